// SPDX-License-Identifier: Apache-2.0
#include "soft_tpm.h"

#include "lib/base/clock.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/pkey.h"
#include "lib/crypto/random.h"
#include "lib/crypto/tpm_constants.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { FIELD = 32, AES_KEY = 16, DAY_S = 86400 };
#define TPM_RH_ENDORSEMENT 0x4000000bu

static struct err failed(const char *what)
{
	return err_make(ERR_INTERNAL, "OpenSSL: %s", what);
}

// --- the manufacturer

struct err soft_maker_init(struct soft_maker *m, const char *name)
{
	*m = (struct soft_maker){0};
	TRY(sign_key_generate(SIGN_P256, &m->key));
	struct x509_issue want = {.profile = X509_ROOT, .name = name,
				  .key = sign_key_public(m->key),
				  .from_ns = clock_wall_ns() - 3600 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 2LL * DAY_S * NS_PER_S};
	return x509_issue(&want, m->key, &m->root);
}

struct err soft_maker_write(const struct soft_maker *m, const char *path)
{
	scoped(buf) struct buf pem = {0};
	TRY(x509_to_pem(X509_CERTIFICATE, m->root.data, m->root.len, &pem));
	FILE *f = fopen(path, "we");
	if (!f)
		return err_system("%s", path);
	bool good = fwrite(pem.data, 1, pem.len, f) == pem.len;
	good = fclose(f) == 0 && good;
	ENSURE(good, ERR_IO, "%s: not written", path);
	return OK;
}

void soft_maker_clear(struct soft_maker *m)
{
	sign_key_free(m->key);
	buf_clear(&m->root);
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool good = x && X509_add_ext(cert, x, -1) == 1;
	X509_EXTENSION_free(x);
	return good;
}

// TCG EK Credential Profile 2.5 section 3.2: extended key usage tcg-kp-EKCertificate.
static bool fill(X509 *cert, X509 *root, EVP_PKEY *ek, const char *serial)
{
	uint8_t number[16];
	BIGNUM *n = random_bytes(number, sizeof number).code == ERR_NONE
			    ? BN_bin2bn(number, sizeof number, NULL)
			    : NULL;
	X509_NAME *name = X509_get_subject_name(cert);
	bool good = n && X509_set_version(cert, 2) == 1 &&
		    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) &&
		    X509_set_issuer_name(cert, X509_get_subject_name(root)) == 1 &&
		    X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
		    X509_gmtime_adj(X509_getm_notAfter(cert), DAY_S) &&
		    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)serial,
					       -1, -1, 0) == 1 &&
		    X509_set_pubkey(cert, ek) == 1;
	BN_free(n);
	return good && add_extension(cert, root, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(cert, root, NID_key_usage, "critical,keyAgreement") &&
	       add_extension(cert, root, NID_ext_key_usage, "2.23.133.8.1") &&
	       add_extension(cert, root, NID_authority_key_identifier, "keyid");
}

static struct err certify(const struct soft_maker *m, EVP_PKEY *ek, const char *serial,
			  struct buf *der)
{
	const uint8_t *at = m->root.data;
	X509 *root = d2i_X509(NULL, &at, (long)m->root.len), *cert = X509_new();
	uint8_t *bytes = NULL;
	int n = -1;
	if (root && cert && fill(cert, root, ek, serial) &&
	    X509_sign(cert, sign_key_pkey(m->key), EVP_sha256()) > 0)
		n = i2d_X509(cert, &bytes);
	if (n > 0)
		buf_append(der, bytes, (size_t)n);
	OPENSSL_free(bytes);
	X509_free(cert);
	X509_free(root);
	return n > 0 ? buf_check(der, "EK certificate") : failed("an EK certificate");
}

// --- making one

static void put_sized(struct buf *out, const void *bytes, size_t n)
{
	buf_be16(out, (uint16_t)n);
	buf_append(out, bytes, n);
}

// Part 2 section 12.2.4, as gemel-agent's template has it (src/lib/crypto/tpm_templates.c).
static struct err write_public(struct soft_tpm *t)
{
	const struct sign_public *p = sign_key_public(t->ak);
	struct buf *out = &t->ak_public;
	ENSURE(p->len == P256_SPKI, ERR_INTERNAL, "a P-256 key of %zu bytes", p->len);
	buf_be16(out, TPM_ALG_ECC);
	buf_be16(out, TPM_ALG_SHA256);
	buf_be32(out, TPM_FIXED_TPM | TPM_FIXED_PARENT | TPM_SENSITIVE_ORIGIN | TPM_RESTRICTED |
			      TPM_SIGN);
	buf_be16(out, 0); // no policy
	buf_be16(out, TPM_ALG_NULL);
	buf_be16(out, TPM_ALG_ECDSA);
	buf_be16(out, TPM_ALG_SHA256);
	buf_be16(out, TPM_ECC_P256);
	buf_be16(out, TPM_ALG_NULL);
	put_sized(out, p->bytes + P256_SPKI_HEAD, FIELD);
	put_sized(out, p->bytes + P256_SPKI_HEAD + FIELD, FIELD);
	TRY(buf_check(out, "attestation key"));
	t->ak_name[0] = TPM_ALG_SHA256 >> 8;
	t->ak_name[1] = TPM_ALG_SHA256 & 0xff;
	hash_sha256(out->data, out->len, t->ak_name + 2);
	return OK;
}

struct err soft_tpm_init(struct soft_tpm *t, const struct soft_maker *m, const char *serial,
			 const struct tpm_pcrs *pcrs)
{
	*t = (struct soft_tpm){.pcrs = *pcrs, .clock_ms = (uint64_t)(clock_mono_ns() / NS_PER_MS)};
	t->ek = EVP_EC_gen("P-256");
	ENSURE(t->ek, ERR_INTERNAL, "no endorsement key");
	TRY(certify(m, t->ek, serial, &t->ek_certificate));
	TRY(sign_key_generate(SIGN_P256, &t->ak));
	return write_public(t);
}

void soft_tpm_clear(struct soft_tpm *t)
{
	EVP_PKEY_free(t->ek);
	sign_key_free(t->ak);
	buf_clear(&t->ek_certificate);
	buf_clear(&t->ak_public);
}

// --- ActivateCredential

static struct err x_of(EVP_PKEY *key, uint8_t x[FIELD])
{
	uint8_t point[1 + 2 * FIELD];
	size_t n = 0;
	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
					    &n) != 1 ||
	    n != sizeof point)
		return failed("a point");
	memcpy(x, point + 1, FIELD);
	return OK;
}

static struct err agree(EVP_PKEY *ours, const uint8_t *point, size_t n, uint8_t x[FIELD],
			uint8_t z[FIELD])
{
	uint8_t spki[P256_SPKI];
	struct cursor c = cursor_over(point, n), px, py;
	EVP_PKEY *theirs = NULL;
	EVP_PKEY_CTX *ctx = NULL;
	size_t len = FIELD;
	px = cursor_sub(&c, cursor_be16(&c));
	py = cursor_sub(&c, cursor_be16(&c));
	TRY(cursor_finish(&c, "credential"));
	ENSURE(cursor_left(&px) == FIELD && cursor_left(&py) == FIELD, ERR_PEER,
	       "the credential's point is not on P-256");
	memcpy(spki, p256_spki_head, P256_SPKI_HEAD);
	memcpy(spki + P256_SPKI_HEAD, px.at, FIELD);
	memcpy(spki + P256_SPKI_HEAD + FIELD, py.at, FIELD);
	memcpy(x, px.at, FIELD);
	TRY(pkey_from_public(SIGN_P256, spki, sizeof spki, &theirs));
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
	bool good = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
		    EVP_PKEY_derive_set_peer(ctx, theirs) == 1 &&
		    EVP_PKEY_derive(ctx, z, &len) == 1 && len == FIELD;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(theirs);
	return good ? OK : failed("key agreement");
}

// KDFe, section 11.4.10.3: one round is one SHA-256.
static struct err seed_of(const struct soft_tpm *t, const struct tpm_credential *c,
			  uint8_t seed[HASH_SIZE])
{
	static const uint8_t counter[4] = {0, 0, 0, 1};
	uint8_t x[FIELD], ours[FIELD], z[FIELD];
	TRY(agree(t->ek, c->seed, c->seed_len, x, z));
	TRY(x_of(t->ek, ours));
	const struct hash_part parts[] = {
		{counter, 4}, {z, FIELD}, {"IDENTITY", 9}, {x, FIELD}, {ours, FIELD}};
	hash_parts(parts, 5, seed);
	return OK;
}

// KDFa, section 11.4.10.2, at most one SHA-256's bytes.
static void kdfa(const uint8_t seed[HASH_SIZE], const char *use, const uint8_t *context, size_t n,
		 uint32_t bits, uint8_t out[HASH_SIZE])
{
	scoped(buf) struct buf b = {0};
	buf_be32(&b, 1);
	buf_append(&b, use, strlen(use) + 1);
	buf_append(&b, context, n);
	buf_be32(&b, bits);
	hash_hmac(seed, HASH_SIZE, b.data, b.len, out);
}

static bool decrypt(const uint8_t key[AES_KEY], const uint8_t *sealed, size_t n, uint8_t *plain)
{
	static const uint8_t zero[16];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0;
	bool good = ctx && EVP_DecryptInit_ex2(ctx, EVP_aes_128_cfb128(), key, zero, NULL) == 1 &&
		    EVP_DecryptUpdate(ctx, plain, &len, sealed, (int)n) == 1 && (size_t)len == n;
	EVP_CIPHER_CTX_free(ctx);
	return good;
}

static struct err open_blob(const struct soft_tpm *t, const uint8_t seed[HASH_SIZE],
			    const uint8_t *mac, const uint8_t *sealed, size_t n,
			    struct secret **out)
{
	uint8_t key[HASH_SIZE], expected[HASH_SIZE], plain[2 + TPM_CREDENTIAL_MAX];
	scoped(buf) struct buf covered = {0};
	buf_append(&covered, sealed, n);
	buf_append(&covered, t->ak_name, TPM_NAME);
	kdfa(seed, "INTEGRITY", NULL, 0, 8 * HASH_SIZE, key);
	hash_hmac(key, HASH_SIZE, covered.data, covered.len, expected);
	ENSURE(secret_equal(mac, expected, HASH_SIZE), ERR_AUTH,
	       "the credential was made for another TPM or another key");
	kdfa(seed, "STORAGE", t->ak_name, TPM_NAME, 8 * AES_KEY, key);
	ENSURE(n >= 3 && n <= sizeof plain && decrypt(key, sealed, n, plain), ERR_PEER,
	       "the credential cannot be opened");
	ENSURE((size_t)(plain[0] << 8 | plain[1]) == n - 2, ERR_PEER, "the credential is cut");
	*out = secret_new(n - 2);
	ENSURE(*out, ERR_LIMIT, "out of memory");
	memcpy(secret_bytes(*out), plain + 2, n - 2);
	return OK;
}

struct err soft_tpm_activate(const struct soft_tpm *t, const struct tpm_credential *c,
			     struct secret **out)
{
	uint8_t seed[HASH_SIZE];
	struct cursor in = cursor_over(c->blob, c->blob_len);
	size_t mac_len = cursor_be16(&in);
	const uint8_t *mac = cursor_take(&in, HASH_SIZE);
	size_t n = cursor_left(&in);
	const uint8_t *sealed = cursor_take(&in, n);
	*out = NULL;
	ENSURE(mac && sealed && mac_len == HASH_SIZE, ERR_PEER, "the credential is malformed");
	TRY(seed_of(t, c, seed));
	return open_blob(t, seed, mac, sealed, n, out);
}

// --- quotes

struct err soft_tpm_quote(struct soft_tpm *t, const uint8_t qualifying[static 32], uint32_t mask,
			  struct buf *attest, struct buf *signature)
{
	uint8_t endorsement[4] = {TPM_RH_ENDORSEMENT >> 24, 0, 0, TPM_RH_ENDORSEMENT & 0xff};
	uint8_t signer[TPM_NAME] = {TPM_ALG_SHA256 >> 8, TPM_ALG_SHA256 & 0xff}, digest[HASH_SIZE];
	const struct hash_part parts[] = {{endorsement, 4}, {t->ak_name, TPM_NAME}};
	struct tpm_pcrs asked = t->pcrs;
	struct sign_signature s;
	size_t start = attest->len;
	ENSURE((mask & ~t->pcrs.mask) == 0, ERR_USAGE, "PCRs 0x%06x: not all are here",
	       (unsigned)mask);
	asked.mask = mask;
	tpm_pcrs_digest(&asked, digest);
	hash_parts(parts, 2, signer + 2);
	buf_be32(attest, TPM_GENERATED);
	buf_be16(attest, TPM_ST_QUOTE);
	put_sized(attest, signer, sizeof signer);
	put_sized(attest, qualifying, 32);
	buf_be64(attest, ++t->clock_ms);
	buf_be32(attest, 1); // resets
	buf_be32(attest, 0); // restarts
	buf_u8(attest, 1);
	buf_be64(attest, 1); // firmware
	buf_be32(attest, 1); // one bank
	buf_be16(attest, TPM_ALG_SHA256);
	buf_u8(attest, 3);
	for (unsigned i = 0; i < 3; i++)
		buf_u8(attest, (uint8_t)(mask >> 8 * i));
	put_sized(attest, digest, sizeof digest);
	TRY(buf_check(attest, "quote"));
	TRY(sign_make(t->ak, attest->data + start, attest->len - start, &s));
	buf_append(signature, s.bytes, s.len);
	return buf_check(signature, "quote");
}
