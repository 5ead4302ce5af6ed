// SPDX-License-Identifier: Apache-2.0
// Our verifier and our TPM client against swtpm: each side was written by somebody else than the
// other, so agreement means that both follow the specification.
#include "authority.h"
#include "swtpm.h"

#include "lib/base/clock.h"
#include "lib/crypto/random.h"
#include "lib/crypto/tpm_internal.h"
#include "lib/crypto/tpm_templates.h"

#include <openssl/evp.h>

static struct swtpm machine;
static struct tpm *tpm;

static int setup(void **state)
{
	swtpm_make(&machine);
	assert_good(tpm_open(swtpm_connect(&machine), &tpm));
	swtpm_measure(&machine, "gemel-agent 1.0");
	return 0;
}

static int teardown(void **state)
{
	tpm_close(tpm);
	swtpm_drop(&machine);
	return 0;
}

static struct x509_trust *makers(void)
{
	scoped(buf) struct buf pem = {0};
	struct x509_trust *t = x509_trust_new();
	swtpm_text(&machine, "swtpm-localca-rootca-cert.pem", &pem);
	assert_good(x509_trust_add_pem(t, (char *)pem.data, pem.len));
	return t;
}

static struct tpm_ak ak_of(struct tpm *t)
{
	scoped(buf) struct buf public = {0};
	struct tpm_ak ak;
	assert_good(tpm_ak_public(t, &public));
	assert_good(tpm_ak_read(public.data, public.len, &ak));
	return ak;
}

static void test_describe(void **state)
{
	char words[64];
	assert_good(tpm_describe(tpm, words));
	assert_non_null(strstr(words, "IBM"));
}

static void test_ek_certificate(void **state)
{
	scoped(buf) struct buf der = {0}, between = {0};
	struct x509_trust *t = makers(), *empty = x509_trust_new();
	struct tpm_ek ek;
	assert_good(tpm_ek_certificate(tpm, &der));
	swtpm_text(&machine, "issuercert.pem", &between);
	int64_t now = clock_wall_ns();
	assert_good(tpm_ek_verify(der.data, der.len, t, buf_text(&between), now, &ek));
	assert_string_equal(ek.subject, "r1");
	tpm_ek_clear(&ek);
	assert_bad(ERR_AUTH, "swtpm-localca", tpm_ek_verify(der.data, der.len, t, NULL, now, &ek));
	assert_bad(ERR_AUTH, "EK certificate",
		   tpm_ek_verify(der.data, der.len, empty, buf_text(&between), now, &ek));
	for (size_t i = 0; i < der.len; i++) {
		der.data[i] ^= 0x10;
		struct err e = tpm_ek_verify(der.data, der.len, t, buf_text(&between), now, &ek);
		assert_true(e.code == ERR_AUTH || e.code == ERR_PEER);
		der.data[i] ^= 0x10;
	}
	x509_trust_free(t);
	x509_trust_free(empty);
}

static void test_not_an_ek(void **state)
{
	scoped(buf) struct buf der = {0};
	struct authority ca;
	struct tpm_ek ek;
	authority_make(&ca, "Test");
	struct sign_key *key = issue(&ca, X509_DEVICE, "r1", &der);
	struct x509_trust *t = authority_trust(&ca);
	assert_good(x509_trust_add(t, ca.issuing.data, ca.issuing.len));
	assert_bad(ERR_AUTH, "tcg-kp-EKCertificate",
		   tpm_ek_verify(der.data, der.len, t, NULL, clock_wall_ns(), &ek));
	x509_trust_free(t);
	sign_key_free(key);
	authority_clear(&ca);
}

static void test_ak_bytes(void **state)
{
	scoped(buf) struct buf public = {0};
	struct tpm_ak ak;
	assert_good(tpm_ak_public(tpm, &public));
	for (size_t cut = 0; cut < public.len; cut++)
		assert_int_not_equal(tpm_ak_read(public.data, cut, &ak).code, ERR_NONE);
	static const struct {
		int byte, bit;
		const char *words;
	} attributes[] = {
		{7, 1, "fixedTPM"},   {7, 4, "fixedParent"}, {7, 5, "sensitiveDataOrigin"},
		{5, 0, "restricted"}, {5, 1, "decrypts"},    {5, 2, "sign"}};
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
		public.data[attributes[i].byte] ^= (uint8_t)(1 << attributes[i].bit);
		assert_bad(ERR_AUTH, attributes[i].words,
			   tpm_ak_read(public.data, public.len, &ak));
		public.data[attributes[i].byte] ^= (uint8_t)(1 << attributes[i].bit);
	}
	public.data[public.len - 1] ^= 1;
	assert_bad(ERR_PEER, "not on P-256", tpm_ak_read(public.data, public.len, &ak));
}

// The EK certificate is `der` in NV, and it can be activated; nobody else's can.
static void activates(const uint8_t *der, size_t n, unsigned times)
{
	struct tpm_ek ek;
	struct tpm_ak ak = ak_of(tpm);
	struct tpm_credential c, sent;
	struct secret *secret, *back;
	assert_good(tpm_ek_read(der, n, &ek));
	for (unsigned i = 0; i < times; i++) {
		assert_good(random_secret(32, &secret));
		assert_good(tpm_make_credential(&ek, ak.name, secret, &sent));
		scoped(buf) struct buf wire = {0};
		tpm_credential_write(&sent, &wire);
		struct cursor in = cursor_over(wire.data, wire.len);
		assert_good(tpm_credential_read(&in, &c));
		assert_good(cursor_finish(&in, "credential"));
		assert_good(tpm_activate(tpm, &c, &back));
		assert_int_equal(secret_size(back), 32);
		assert_memory_equal(secret_bytes(back), secret_bytes(secret), 32);
		secret_free(back);
		secret_free(secret);
	}
	assert_good(random_secret(32, &secret));
	ak.name[20] ^= 1; // a key that this TPM does not hold
	assert_good(tpm_make_credential(&ek, ak.name, secret, &c));
	assert_bad(ERR_AUTH, "was not made for", tpm_activate(tpm, &c, &back));
	ak.name[20] ^= 1;
	assert_good(tpm_make_credential(&ek, ak.name, secret, &c));
	c.blob[c.blob_len - 1] ^= 1;
	assert_bad(ERR_AUTH, "was not made for", tpm_activate(tpm, &c, &back));
	secret_free(secret);
	tpm_ek_clear(&ek);
}

static void test_activate_p384(void **state)
{
	scoped(buf) struct buf der = {0};
	struct tpm_ek ek;
	assert_good(tpm_ek_certificate(tpm, &der));
	assert_good(tpm_ek_read(der.data, der.len, &ek));
	assert_int_equal(EVP_PKEY_get_bits(ek.key), 384);
	tpm_ek_clear(&ek);
	activates(der.data, der.len, 10);
}

static void test_other_tpm(void **state)
{
	struct sign_key *key;
	scoped(buf) struct buf der = {0};
	struct authority ca;
	struct tpm_ek ek;
	struct tpm_credential c;
	struct secret *secret, *back;
	struct tpm_ak ak = ak_of(tpm);
	authority_make(&ca, "Test");
	key = issue(&ca, X509_DEVICE, "r2", &der); // an EK which is not this TPM's
	assert_good(tpm_ek_read(der.data, der.len, &ek));
	assert_good(random_secret(32, &secret));
	assert_good(tpm_make_credential(&ek, ak.name, secret, &c));
	assert_bad(ERR_AUTH, NULL, tpm_activate(tpm, &c, &back));
	tpm_ek_clear(&ek);
	secret_free(secret);
	sign_key_free(key);
	authority_clear(&ca);
}

// --- the other two EK templates: swtpm_setup gives no P-256 certificate, so the test writes one

static void nv_drop(uint32_t index)
{
	ESYS_TR nv = ESYS_TR_NONE;
	ESYS_CONTEXT *esys = tpm_esys(tpm);
	assert_int_equal(
		Esys_TR_FromTPMPublic(esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &nv),
		0);
	assert_int_equal(Esys_NV_UndefineSpace(esys, ESYS_TR_RH_PLATFORM, nv, ESYS_TR_PASSWORD,
					       ESYS_TR_NONE, ESYS_TR_NONE),
			 0);
}

static void nv_write(uint32_t index, const struct buf *bytes, size_t padding)
{
	ESYS_TR nv = ESYS_TR_NONE;
	ESYS_CONTEXT *esys = tpm_esys(tpm);
	TPM2B_AUTH empty = {0};
	TPM2B_NV_PUBLIC public = {.nvPublic = {.nvIndex = index,
					       .nameAlg = TPM2_ALG_SHA256,
					       .attributes = TPMA_NV_PLATFORMCREATE |
							     TPMA_NV_PPWRITE | TPMA_NV_AUTHREAD |
							     TPMA_NV_OWNERREAD | TPMA_NV_NO_DA,
					       .dataSize = (uint16_t)(bytes->len + padding)}};
	assert_int_equal(Esys_NV_DefineSpace(esys, ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD,
					     ESYS_TR_NONE, ESYS_TR_NONE, &empty, &public, &nv),
			 0);
	TPM2B_MAX_NV_BUFFER data = {.size = (uint16_t)(bytes->len + padding)};
	assert_true(data.size <= 1024);
	memset(data.buffer, 0xff, data.size);
	memcpy(data.buffer, bytes->data, bytes->len);
	assert_int_equal(Esys_NV_Write(esys, ESYS_TR_RH_PLATFORM, nv, ESYS_TR_PASSWORD,
				       ESYS_TR_NONE, ESYS_TR_NONE, &data, 0),
			 0);
	Esys_TR_Close(esys, &nv);
}

static struct sign_public ek_p256(void)
{
	TPM2B_SENSITIVE_CREATE sensitive = {0};
	TPM2B_DATA outside = {0};
	TPML_PCR_SELECTION pcrs = {0};
	TPM2B_PUBLIC *public = NULL;
	ESYS_TR handle = ESYS_TR_NONE;
	ESYS_CONTEXT *esys = tpm_esys(tpm);
	assert_int_equal(Esys_CreatePrimary(esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
					    ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
					    &tpm_ek_templates[0].public, &outside, &pcrs, &handle,
					    &public, NULL, NULL, NULL),
			 0);
	static const uint8_t head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
				       0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
				       0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
	struct sign_public out = {.algorithm = SIGN_P256, .len = 91};
	memcpy(out.bytes, head, sizeof head);
	memcpy(out.bytes + 27, public->publicArea.unique.ecc.x.buffer, 32);
	memcpy(out.bytes + 59, public->publicArea.unique.ecc.y.buffer, 32);
	Esys_FlushContext(esys, handle);
	Esys_Free(public);
	return out;
}

static void test_activate_p256_and_rsa(void **state)
{
	scoped(buf) struct buf der = {0}, read = {0}, rsa = {0};
	struct authority ca;
	struct tpm_ek ek;
	authority_make(&ca, "Maker");
	struct sign_public key = ek_p256();
	int64_t now = clock_wall_ns();
	struct x509_issue want = {.profile = X509_DEVICE,
				  .name = "ek",
				  .key = &key,
				  .from_ns = now,
				  .until_ns = now + 3600 * NS_PER_S,
				  .issuer = ca.issuing.data,
				  .issuer_len = ca.issuing.len};
	assert_good(x509_issue(&want, ca.issuing_key, &der));
	nv_write(0x01c0000a, &der, 100); // makers pad
	assert_good(tpm_ek_certificate(tpm, &read));
	assert_int_equal(read.len, der.len);
	assert_memory_equal(read.data, der.data, der.len);
	activates(read.data, read.len, 10);

	nv_drop(0x01c0000a);
	nv_drop(0x01c00016);
	assert_good(tpm_ek_certificate(tpm, &rsa));
	assert_good(tpm_ek_read(rsa.data, rsa.len, &ek));
	assert_int_equal(EVP_PKEY_get_bits(ek.key), 2048);
	tpm_ek_clear(&ek);
	activates(rsa.data, rsa.len, 2);
	authority_clear(&ca);
}

// --- quotes

struct quote {
	struct tpm_ak ak;
	struct buf attest, signature;
	struct tpm_pcrs pcrs;
	uint8_t qualifying[32];
};

static void quote_make(struct quote *q, uint32_t mask)
{
	memset(q, 0, sizeof *q);
	q->ak = ak_of(tpm);
	q->pcrs.mask = mask;
	uint8_t nonce[32];
	assert_good(random_bytes(nonce, sizeof nonce));
	const struct sign_public *keys[] = {&q->ak.key};
	assert_good(tpm_qualify("test r1", nonce, sizeof nonce, keys, 1, q->qualifying));
	assert_good(tpm_quote(tpm, q->qualifying, &q->pcrs, &q->attest, &q->signature));
}

static void quote_clear(struct quote *q)
{
	buf_clear(&q->attest);
	buf_clear(&q->signature);
}

static struct err judge(const struct quote *q, struct tpm_quote *out)
{
	return tpm_quote_verify(&q->ak, q->attest.data, q->attest.len, q->signature.data,
				q->signature.len, q->qualifying, &q->pcrs, out);
}

static void measured(const char *text, uint8_t out[32])
{
	uint8_t zeros[32] = {0}, file[32];
	hash_sha256(text, strlen(text), file);
	hash_parts((struct hash_part[]){{zeros, 32}, {file, 32}}, 2, out);
}

static void test_quote(void **state)
{
	struct quote q;
	struct tpm_quote about;
	uint8_t expected[32];
	quote_make(&q, 1u << 17);
	assert_good(judge(&q, &about));
	assert_int_equal(about.pcr_mask, 1u << 17);
	measured("gemel-agent 1.0", expected);
	assert_memory_equal(q.pcrs.value[17], expected, 32);

	q.pcrs.value[17][0] ^= 1;
	assert_bad(ERR_AUTH, "PCR values", judge(&q, &about));
	q.pcrs.value[17][0] ^= 1;
	q.qualifying[0] ^= 1;
	assert_bad(ERR_AUTH, "another nonce", judge(&q, &about));
	q.qualifying[0] ^= 1;
	q.pcrs.mask = 1u << 16;
	assert_bad(ERR_AUTH, "PCRs 0x020000", judge(&q, &about));
	q.pcrs.mask = 1u << 17;
	for (size_t bit = 0; bit < q.attest.len * 8; bit++) {
		q.attest.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_bad(ERR_AUTH, "not signed by", judge(&q, &about));
		q.attest.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	struct sign_key *other;
	assert_good(sign_key_generate(SIGN_P256, &other));
	q.ak.key = *sign_key_public(other);
	assert_bad(ERR_AUTH, "not signed by", judge(&q, &about));
	// Signed by a believed key, yet not what a TPM made.
	struct sign_signature s;
	assert_good(sign_make(other, "forged", 6, &s));
	assert_bad(ERR_AUTH, "not made by a TPM",
		   tpm_quote_verify(&q.ak, (const uint8_t *)"forged", 6, s.bytes, s.len,
				    q.qualifying, &q.pcrs, &about));
	sign_key_free(other);
	quote_clear(&q);
}

static void test_quote_many(void **state)
{
	struct quote q;
	struct tpm_quote about;
	quote_make(&q, 0xff | 1u << 17 | 1u << 10);
	assert_good(judge(&q, &about));
	assert_int_equal(about.pcr_mask, 0x204ff);
	quote_clear(&q);
}

// What stands against an altered agent: it cannot touch the PCR that its launcher measured it into.
static void test_locality(void **state)
{
	uint8_t digest[32] = {1}, before[32], expected[32];
	struct tpm_pcrs pcrs = {.mask = 1u << 17 | 1u << 10};
	assert_good(tpm_pcr_read(tpm, &pcrs));
	memcpy(before, pcrs.value[17], 32);
	assert_bad(ERR_DENIED, "PCR 17", tpm_pcr_extend(tpm, 17, digest));
	assert_int_not_equal(
		Esys_PCR_Reset(tpm_esys(tpm), 17, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE), 0);
	hash_parts((struct hash_part[]){{pcrs.value[10], 32}, {digest, 32}}, 2, expected);
	assert_good(tpm_pcr_extend(tpm, 10, digest));
	assert_good(tpm_pcr_read(tpm, &pcrs));
	assert_memory_equal(pcrs.value[17], before, 32);
	assert_memory_equal(pcrs.value[10], expected, 32);
	swtpm_measure(&machine, "gemel-agent, altered");
	assert_good(tpm_pcr_read(tpm, &pcrs));
	measured("gemel-agent, altered", expected);
	assert_memory_equal(pcrs.value[17], expected, 32);
	swtpm_measure(&machine, "gemel-agent 1.0");
}

static void test_qualify(void **state)
{
	uint8_t a[32], b[32], nonce[8] = {0};
	struct sign_public k = {.algorithm = SIGN_ED25519, .len = 32};
	const struct sign_public *keys[] = {&k, &k};
	assert_good(tpm_qualify("a", nonce, 8, keys, 1, a));
	assert_good(tpm_qualify("a", nonce, 7, keys, 1, b));
	assert_memory_not_equal(a, b, 32);
	assert_good(tpm_qualify("a", nonce, 8, keys, 2, b));
	assert_memory_not_equal(a, b, 32);
	k.bytes[31] = 1;
	assert_good(tpm_qualify("a", nonce, 8, keys, 1, b));
	assert_memory_not_equal(a, b, 32);
}

static void test_counter(void **state)
{
	uint64_t first, next, read;
	enum { INDEX = 0x01800a11 };
	assert_good(tpm_counter_read(tpm, INDEX, &first));
	assert_good(tpm_counter_next(tpm, INDEX, &next));
	assert_int_equal(next, first + 1);
	assert_bad(ERR_USAGE, "owner", tpm_counter_read(tpm, 0x01c00002, &read));
	struct tpm_ak before = ak_of(tpm), after;
	tpm_close(tpm);
	tpm = NULL;
	swtpm_kill(&machine); // no orderly shutdown
	swtpm_start(&machine);
	assert_good(tpm_open(swtpm_connect(&machine), &tpm));
	assert_good(tpm_counter_read(tpm, INDEX, &read));
	assert_int_equal(read, next);
	after = ak_of(tpm); // made again from its template: the same key
	assert_memory_equal(&before, &after, sizeof before);
}

static void test_gone(void **state)
{
	struct tpm_pcrs pcrs = {.mask = 1};
	swtpm_kill(&machine);
	assert_bad(ERR_IO, "TPM", tpm_pcr_read(tpm, &pcrs));
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_ek_certificate),
		cmocka_unit_test(test_not_an_ek),
		cmocka_unit_test(test_ak_bytes),
		cmocka_unit_test(test_activate_p384),
		cmocka_unit_test(test_other_tpm),
		cmocka_unit_test(test_activate_p256_and_rsa),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_quote_many),
		cmocka_unit_test(test_locality),
		cmocka_unit_test(test_qualify),
		cmocka_unit_test(test_counter),
		cmocka_unit_test(test_gone),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
