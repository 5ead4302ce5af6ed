// SPDX-License-Identifier: Apache-2.0
// Evidence: reading TPM structures (Part 2) and judging quotes and EK certificates. Nothing that a
// device sends is used before a signature by a believed key covers it, except to find that key.

#include "lib/crypto/tpm_verify.h"

#include "lib/base/sabotage.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/pkey.h"
#include "lib/crypto/tpm_constants.h"
#include "lib/crypto/x509_internal.h"

#include <openssl/err.h>
#include <string.h>

// --- attestation keys

static struct cursor sized(struct cursor *c) // TPM2B: u16 length, bytes
{
	return cursor_sub(c, cursor_be16(c));
}

static struct err attributes_check(uint32_t have)
{
	static const struct {
		uint32_t bit;
		bool set;
		const char *words;
	} wanted[] = {
		{TPM_FIXED_TPM, true, "could be moved to another TPM (fixedTPM is clear)"},
		{TPM_FIXED_PARENT, true, "could be moved (fixedParent is clear)"},
		{TPM_SENSITIVE_ORIGIN, true,
		 "was made outside of the TPM (sensitiveDataOrigin is clear)"},
		{TPM_RESTRICTED, true,
		 "would sign anything, forged quotes too (restricted is clear)"},
		{TPM_SIGN, true, "cannot sign"},
		{TPM_DECRYPT, false, "also decrypts"},
	};
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		ENSURE(!(have & wanted[i].bit) == !wanted[i].set, ERR_AUTH,
		       "the attestation key %s", wanted[i].words);
	return OK;
}

// SubjectPublicKeyInfo of a P-256 point (RFC 5480): a constant head, then x || y.
static struct err p256_spki(const struct cursor *x, const struct cursor *y, struct sign_public *out)
{
	uint8_t spki[P256_SPKI] = {0};
	size_t xn = cursor_left(x), yn = cursor_left(y);
	ENSURE(xn >= 1 && xn <= 32 && yn >= 1 && yn <= 32, ERR_PEER,
	       "the attestation key's point is malformed");
	memcpy(spki, p256_spki_head, P256_SPKI_HEAD);
	memcpy(spki + P256_SPKI_HEAD + 32 - xn, x->at, xn); // a TPM may leave out leading zeros
	memcpy(spki + P256_SPKI_HEAD + 64 - yn, y->at, yn);
	openssl(EVP_PKEY) EVP_PKEY *pkey = NULL;
	struct err e = pkey_from_public(SIGN_P256, spki, sizeof spki, &pkey);
	if (e.code != ERR_NONE)
		return err_make(ERR_PEER, "the attestation key's point is not on P-256");
	return pkey_public(pkey, out);
}

struct err tpm_ak_read(const uint8_t *bytes, size_t n, struct tpm_ak *out)
{
	memset(out, 0, sizeof *out);
	struct cursor c = cursor_over(bytes, n);
	uint16_t type = cursor_be16(&c), name_hash = cursor_be16(&c);
	uint32_t attributes = cursor_be32(&c);
	sized(&c); // authPolicy: whatever governs the key's use, the TPM made what it signs
	ENSURE(!c.failed && type == TPM_ALG_ECC && name_hash == TPM_ALG_SHA256, ERR_PEER,
	       "the attestation key is not an ECC key named by SHA-256 (TPMT_PUBLIC)");
	TRY(attributes_check(attributes));
	uint16_t symmetric = cursor_be16(&c), scheme = cursor_be16(&c);
	uint16_t hash = cursor_be16(&c), curve = cursor_be16(&c), kdf = cursor_be16(&c);
	ENSURE(!c.failed && symmetric == TPM_ALG_NULL && scheme == TPM_ALG_ECDSA &&
		       hash == TPM_ALG_SHA256 && curve == TPM_ECC_P256 && kdf == TPM_ALG_NULL,
	       ERR_PEER, "the attestation key is not ECDSA P-256 with SHA-256");
	struct cursor x = sized(&c), y = sized(&c);
	TRY(cursor_finish(&c, "the attestation key"));
	TRY(p256_spki(&x, &y, &out->key));
	out->name[0] = TPM_ALG_SHA256 >> 8;
	out->name[1] = TPM_ALG_SHA256 & 0xff;
	hash_sha256(bytes, n, out->name + 2);
	return OK;
}

// --- endorsement keys

static bool says_ek(X509 *cert)
{
	EXTENDED_KEY_USAGE *use = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	bool found = false;
	for (int i = 0; i < sk_ASN1_OBJECT_num(use); i++) {
		char oid[64];
		OBJ_obj2txt(oid, sizeof oid, sk_ASN1_OBJECT_value(use, i), 1);
		found = found || strcmp(oid, "2.23.133.8.1") == 0; // tcg-kp-EKCertificate
	}
	EXTENDED_KEY_USAGE_free(use);
	return found;
}

static struct err ek_of(X509 *cert, struct tpm_ek *out)
{
	struct x509_identity who;
	memset(out, 0, sizeof *out);
	TRY(err_within(x509_identity_of(cert, &who), "EK certificate"));
	out->key = X509_get_pubkey(cert);
	if (!out->key)
		return crypto_error(ERR_PEER, "the EK certificate's key is malformed");
	memcpy(out->fingerprint, who.fingerprint, sizeof out->fingerprint);
	memcpy(out->spki, who.spki, sizeof out->spki);
	memcpy(out->subject, who.subject, sizeof out->subject);
	memcpy(out->issuer, who.issuer, sizeof out->issuer);
	return OK;
}

struct err tpm_ek_read(const uint8_t *der, size_t n, struct tpm_ek *out)
{
	openssl(X509) X509 *cert = NULL;
	TRY(err_within(x509_parse(der, n, &cert), "EK certificate"));
	return ek_of(cert, out);
}

static struct err collect(void *ctx, const uint8_t *der, size_t n)
{
	X509 *cert;
	TRY(x509_parse(der, n, &cert));
	if (sk_X509_num(ctx) < X509_CHAIN_MAX && sk_X509_push(ctx, cert))
		return OK;
	X509_free(cert);
	return err_make(ERR_LIMIT, "too many intermediate certificates");
}

struct err tpm_ek_verify(const uint8_t *der, size_t n, struct x509_trust *roots,
			 const char *between, int64_t now_ns, struct tpm_ek *out)
{
	openssl(X509) X509 *cert = NULL;
	TRY(err_within(x509_parse(der, n, &cert), "EK certificate"));
	STACK_OF(X509) *chain = sk_X509_new_null();
	ENSURE(chain, ERR_LIMIT, "no memory to check an EK certificate");
	struct x509_identity who;
	enum x509_refusal why;
	int code;
	struct err e = OK;
	if (between && between[0])
		e = x509_from_pem(between, strlen(between), collect, chain);
	if (e.code == ERR_NONE)
		e = x509_verify_parsed(roots, NULL, cert, chain, X509_USE_ANY, now_ns, &who, &why,
				       &code);
	x509_pop_free(chain);
	if (!sabotaged("ek"))
		TRY(err_within(e, "EK certificate"));
	ENSURE(says_ek(cert), ERR_AUTH,
	       "the certificate is not one of an endorsement key (its extended key usage lacks "
	       "tcg-kp-EKCertificate)");
	return ek_of(cert, out);
}

void tpm_ek_clear(struct tpm_ek *ek)
{
	EVP_PKEY_free(ek->key);
	memset(ek, 0, sizeof *ek);
}

// --- quotes

static void qualify_sized(struct hash *h, const void *bytes, size_t n)
{
	uint8_t length[2] = {(uint8_t)(n >> 8), (uint8_t)n};
	hash_add(h, length, sizeof length);
	hash_add(h, bytes, n);
}

struct err tpm_qualify(const char *context, const uint8_t *nonce, size_t nonce_len,
		       const struct sign_public *const *keys, size_t n_keys, uint8_t out[32])
{
	static const char label[] = "gemel attest v1\n";
	size_t context_len = strlen(context);
	ENSURE(context_len <= 1024 && nonce_len <= TPM_NONCE_MAX && n_keys <= 16, ERR_USAGE,
	       "too much to bind to a quote");
	struct hash *h = hash_new();
	ENSURE(h, ERR_LIMIT, "no memory to bind keys to a quote");
	hash_add(h, label, sizeof label - 1);
	qualify_sized(h, context, context_len);
	qualify_sized(h, nonce, nonce_len);
	uint8_t count[2] = {0, (uint8_t)n_keys};
	hash_add(h, count, sizeof count);
	for (size_t i = 0; i < n_keys; i++) {
		uint8_t algorithm = (uint8_t)keys[i]->algorithm;
		hash_add(h, &algorithm, 1);
		qualify_sized(h, keys[i]->bytes, keys[i]->len);
	}
	hash_finish(h, out);
	hash_free(h);
	return OK;
}

// TPML_PCR_SELECTION: exactly the SHA-256 bank.
static struct err read_selection(struct cursor *c, uint32_t *mask)
{
	uint32_t count = cursor_be32(c);
	uint16_t bank = cursor_be16(c);
	uint8_t size = cursor_u8(c);
	const uint8_t *bits = cursor_take(c, size);
	ENSURE(bits && count == 1 && bank == TPM_ALG_SHA256 && size >= 1 && size <= 4, ERR_PEER,
	       "the quote is not over the SHA-256 bank alone");
	*mask = 0;
	for (unsigned i = 0; i < size; i++)
		*mask |= (uint32_t)bits[i] << 8 * i;
	return OK;
}

struct err tpm_attest_read(const uint8_t *attest, size_t n, struct tpm_attest *out)
{
	memset(out, 0, sizeof *out);
	ENSURE(n <= TPM_ATTEST_MAX, ERR_PEER, "a quote of %zu bytes; at most %d", n,
	       TPM_ATTEST_MAX);
	struct cursor c = cursor_over(attest, n);
	uint32_t made_by = cursor_be32(&c);
	uint16_t type = cursor_be16(&c);
	ENSURE(!c.failed && made_by == TPM_GENERATED, ERR_PEER,
	       "not made by a TPM (TPM_GENERATED_VALUE is missing)");
	ENSURE(type == TPM_ST_QUOTE, ERR_PEER, "an attestation of type 0x%04x; a quote is 0x%04x",
	       type, TPM_ST_QUOTE);
	sized(&c); // qualified signer: the signature names the key better
	struct cursor extra = sized(&c);
	out->quote.clock_ms = cursor_be64(&c);
	out->quote.resets = cursor_be32(&c);
	out->quote.restarts = cursor_be32(&c);
	uint8_t safe = cursor_u8(&c);
	out->quote.safe = safe == 1;
	out->quote.firmware = cursor_be64(&c);
	ENSURE(!c.failed && safe <= 1, ERR_PEER, "the quote is malformed");
	TRY(read_selection(&c, &out->quote.pcr_mask));
	struct cursor digest = sized(&c);
	TRY(cursor_finish(&c, "the quote"));
	out->extra = extra.at;
	out->extra_len = cursor_left(&extra);
	out->digest = digest.at;
	out->digest_len = cursor_left(&digest);
	return OK;
}

void tpm_pcrs_digest(const struct tpm_pcrs *pcrs, uint8_t out[HASH_SIZE])
{
	struct hash_part parts[TPM_PCRS];
	size_t n = 0;
	for (unsigned i = 0; i < TPM_PCRS; i++)
		if (pcrs->mask >> i & 1)
			parts[n++] = (struct hash_part){pcrs->value[i], 32};
	hash_parts(parts, n, out);
}

struct err tpm_quote_verify(const struct tpm_ak *ak, const uint8_t *attest, size_t n,
			    const uint8_t *signature, size_t signature_len,
			    const uint8_t qualifying[static 32], const struct tpm_pcrs *pcrs,
			    struct tpm_quote *out)
{
	struct verify_key *key = NULL;
	TRY(verify_key_new(ak->key.algorithm, ak->key.bytes, ak->key.len, &key));
	struct err e = verify_check(key, attest, n, signature, signature_len);
	verify_key_free(key);
	if (e.code == ERR_AUTH)
		return err_make(ERR_AUTH,
				"the quote is not signed by this device's attestation key");
	TRY(e);
	struct tpm_attest a;
	e = tpm_attest_read(attest, n, &a);
	if (e.code == ERR_PEER) // signed by a restricted key, and yet no quote: say what it is
		return err_make(ERR_AUTH, "%s", e.text);
	TRY(e);
	ENSURE(a.extra_len == 32 && memcmp(a.extra, qualifying, 32) == 0, ERR_AUTH,
	       "the quote is over another nonce or other keys: an old one, or not for this "
	       "session");
	ENSURE(a.quote.pcr_mask == pcrs->mask && !(pcrs->mask >> TPM_PCRS), ERR_AUTH,
	       "the quote is over the PCRs 0x%06x; 0x%06x were asked for",
	       (unsigned)a.quote.pcr_mask, (unsigned)pcrs->mask);
	uint8_t digest[HASH_SIZE];
	tpm_pcrs_digest(pcrs, digest);
	ENSURE(a.digest_len == HASH_SIZE && memcmp(a.digest, digest, HASH_SIZE) == 0, ERR_AUTH,
	       "the PCR values sent are not those that the TPM signed");
	*out = a.quote;
	return OK;
}
