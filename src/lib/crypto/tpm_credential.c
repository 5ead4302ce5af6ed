// SPDX-License-Identifier: Apache-2.0
// TPM2_MakeCredential without a TPM (TPM 2.0 Library Part 1 section 24, annexes B.10.4 and C.6.4):
//     seed        known to the EK's TPM alone: ECDH with a fresh key, then KDFe; or RSA-OAEP
//     encIdentity AES-CFB(KDFa(seed, "STORAGE", name), IV 0, TPM2B(secret))
//     integrity   HMAC(KDFa(seed, "INTEGRITY"), encIdentity || name)
// The AK's name is in both keys' making and in the HMAC: the TPM gives the secret out only while it
// holds a key of exactly that name. Hash and cipher are those of the EK's template.

#include "lib/crypto/tpm_verify.h"

#include "lib/crypto/internal.h"
#include "lib/crypto/random.h"
#include "lib/crypto/tpm_constants.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <string.h>

enum { DIGEST_MAX = 48, FIELD_MAX = 48, SECRET_MAX = TPM_CREDENTIAL_MAX };

struct ek_kind {
	const char *group; // NULL: RSA
	const char *digest;
	const char *cipher;
	size_t digest_len, key_len, field;
};

static const struct ek_kind kinds[] = {
	// TCG EK Credential Profile 2.5, templates L-2, H-3, L-1
	{"prime256v1", "SHA256", "AES-128-CFB", 32, 16, 32},
	{"secp384r1", "SHA384", "AES-256-CFB", 48, 32, 48},
	{NULL, "SHA256", "AES-128-CFB", 32, 16, 0},
};

static struct err kind_of(EVP_PKEY *ek, const struct ek_kind **out)
{
	char group[64] = "";
	size_t n;
	bool rsa = EVP_PKEY_is_a(ek, "RSA") == 1 && EVP_PKEY_get_bits(ek) == 2048;
	if (EVP_PKEY_is_a(ek, "EC") == 1)
		EVP_PKEY_get_group_name(ek, group, sizeof group, &n);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].group ? strcmp(kinds[i].group, group) == 0 : rsa) {
			*out = &kinds[i];
			return OK;
		}
	return err_make(ERR_USAGE,
			"the EK is of a kind that is not used here; ECC P-256, ECC P-384 "
			"and RSA 2048 are");
}

static struct err digest_parts(const struct ek_kind *k, uint8_t *out, const void *const *parts,
			       const size_t *lens, size_t n)
{
	openssl(EVP_MD_CTX) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_MD *md = EVP_MD_fetch(NULL, k->digest, NULL);
	bool good = ctx && md && EVP_DigestInit_ex2(ctx, md, NULL) == 1;
	for (size_t i = 0; i < n; i++)
		good = good && EVP_DigestUpdate(ctx, parts[i], lens[i]) == 1;
	good = good && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_free(md);
	if (!good)
		return crypto_error(ERR_INTERNAL, "hashing for a credential failed");
	return OK;
}

// Part 1 section 11.4.10.3. Every use here wants at most one digest: counter 1 only.
static struct err kdfe(const struct ek_kind *k, const uint8_t *z, const char *use,
		       const uint8_t *party_u, const uint8_t *party_v, uint8_t *out)
{
	static const uint8_t counter[4] = {0, 0, 0, 1};
	const void *parts[] = {counter, z, use, party_u, party_v};
	size_t lens[] = {4, k->field, strlen(use) + 1, k->field, k->field};
	return digest_parts(k, out, parts, lens, 5);
}

static struct err mac_parts(const struct ek_kind *k, const uint8_t *key, uint8_t *out,
			    const void *const *parts, const size_t *lens, size_t n)
{
	openssl(EVP_MAC_CTX) EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(crypto_fetched()->hmac);
	char digest[16];
	strncpy(digest, k->digest, sizeof digest - 1);
	digest[sizeof digest - 1] = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	size_t len = DIGEST_MAX;
	bool good = ctx && EVP_MAC_init(ctx, key, k->digest_len, params) == 1;
	for (size_t i = 0; i < n; i++)
		good = good && EVP_MAC_update(ctx, parts[i], lens[i]) == 1;
	good = good && EVP_MAC_final(ctx, out, &len, DIGEST_MAX) == 1;
	if (!good)
		return crypto_error(ERR_INTERNAL, "a MAC for a credential failed");
	return OK;
}

// Part 1 section 11.4.10.2, SP 800-108 in counter mode; `bytes` at most one digest.
static struct err kdfa(const struct ek_kind *k, const uint8_t *seed, const char *use,
		       const uint8_t *context, size_t context_len, size_t bytes,
		       uint8_t out[DIGEST_MAX])
{
	static const uint8_t counter[4] = {0, 0, 0, 1};
	uint32_t bits = (uint32_t)bytes * 8;
	uint8_t size[4] = {(uint8_t)(bits >> 24), (uint8_t)(bits >> 16), (uint8_t)(bits >> 8),
			   (uint8_t)bits};
	const void *parts[] = {counter, use, context, size};
	size_t lens[] = {4, strlen(use) + 1, context_len, 4};
	return mac_parts(k, seed, out, parts, lens, 4);
}

// --- the seed

static struct err point_x_y(EVP_PKEY *key, const struct ek_kind *k, uint8_t *xy)
{
	uint8_t point[1 + 2 * FIELD_MAX];
	size_t n = 0;
	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
					    &n) != 1 ||
	    n != 1 + 2 * k->field || point[0] != 4)
		return crypto_error(ERR_USAGE, "an EK's point is not in the uncompressed form");
	memcpy(xy, point + 1, 2 * k->field);
	return OK;
}

static struct err agree(EVP_PKEY *ours, EVP_PKEY *theirs, size_t want, uint8_t *z)
{
	openssl(EVP_PKEY_CTX) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
	size_t n = FIELD_MAX;
	if (!ctx || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, theirs) != 1 ||
	    EVP_PKEY_derive(ctx, z, &n) != 1 || n != want)
		return crypto_error(ERR_USAGE, "no key agreement with the EK");
	return OK;
}

static struct err seed_by_ecdh(EVP_PKEY *ek, const struct ek_kind *k, uint8_t seed[DIGEST_MAX],
			       struct tpm_credential *out)
{
	openssl(EVP_PKEY) EVP_PKEY *fresh = EVP_EC_gen(k->group);
	if (!fresh)
		return crypto_error(ERR_INTERNAL, "no fresh key for a credential");
	uint8_t ours[2 * FIELD_MAX], theirs[2 * FIELD_MAX], z[FIELD_MAX];
	TRY(point_x_y(fresh, k, ours));
	TRY(point_x_y(ek, k, theirs));
	TRY(agree(fresh, ek, k->field, z));
	struct err e = kdfe(k, z, "IDENTITY", ours, theirs, seed);
	secret_zero(z, sizeof z);
	TRY(e);
	scoped(buf) struct buf point = {0}; // TPMS_ECC_POINT
	buf_be16(&point, (uint16_t)k->field);
	buf_append(&point, ours, k->field);
	buf_be16(&point, (uint16_t)k->field);
	buf_append(&point, ours + k->field, k->field);
	TRY(buf_check(&point, "credential"));
	memcpy(out->seed, point.data, point.len);
	out->seed_len = point.len;
	return OK;
}

static struct err seed_by_oaep(EVP_PKEY *ek, const struct ek_kind *k, uint8_t seed[DIGEST_MAX],
			       struct tpm_credential *out)
{
	static const char label[] = "IDENTITY"; // with its NUL, Part 1 annex B.4
	scoped(secret) struct secret *drawn = NULL;
	TRY(random_secret(k->digest_len, &drawn));
	memcpy(seed, secret_bytes(drawn), k->digest_len);
	openssl(EVP_PKEY_CTX) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ek, NULL);
	void *copy = OPENSSL_memdup(label, sizeof label);
	out->seed_len = sizeof out->seed;
	if (!ctx || !copy || EVP_PKEY_encrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, crypto_fetched()->sha256) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, crypto_fetched()->sha256) != 1 ||
	    EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, sizeof label) != 1) {
		OPENSSL_free(copy);
		return crypto_error(ERR_INTERNAL, "RSA-OAEP could not be set up");
	}
	if (EVP_PKEY_encrypt(ctx, out->seed, &out->seed_len, seed, k->digest_len) != 1)
		return crypto_error(ERR_INTERNAL, "RSA-OAEP failed");
	return OK;
}

// --- the blob

static struct err encrypt(const struct ek_kind *k, const uint8_t *key, const uint8_t *plain,
			  size_t n, uint8_t *out)
{
	static const uint8_t zero[16];
	openssl(EVP_CIPHER_CTX) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, k->cipher, NULL);
	int len = 0;
	bool good = ctx && cipher && EVP_EncryptInit_ex2(ctx, cipher, key, zero, NULL) == 1 &&
		    EVP_EncryptUpdate(ctx, out, &len, plain, (int)n) == 1 && (size_t)len == n;
	EVP_CIPHER_free(cipher);
	if (!good)
		return crypto_error(ERR_INTERNAL, "encrypting a credential failed");
	return OK;
}

static struct err enclose(const struct ek_kind *k, const uint8_t *seed, const uint8_t *name,
			  const struct secret *secret, struct tpm_credential *out)
{
	uint8_t key[DIGEST_MAX], plain[2 + SECRET_MAX], sealed[2 + SECRET_MAX], mac[DIGEST_MAX];
	size_t n = secret_size(secret), total = 2 + n;
	plain[0] = 0;
	plain[1] = (uint8_t)n;
	memcpy(plain + 2, secret_bytes((struct secret *)(uintptr_t)secret), n);
	struct err e = kdfa(k, seed, "STORAGE", name, TPM_NAME, k->key_len, key);
	if (e.code == ERR_NONE)
		e = encrypt(k, key, plain, total, sealed);
	if (e.code == ERR_NONE)
		e = kdfa(k, seed, "INTEGRITY", NULL, 0, k->digest_len, key);
	if (e.code == ERR_NONE)
		e = mac_parts(k, key, mac, (const void *[]){sealed, name},
			      (size_t[]){total, TPM_NAME}, 2);
	secret_zero(key, sizeof key);
	secret_zero(plain, sizeof plain);
	TRY(e);
	out->blob[0] = 0;
	out->blob[1] = (uint8_t)k->digest_len;
	memcpy(out->blob + 2, mac, k->digest_len);
	memcpy(out->blob + 2 + k->digest_len, sealed, total);
	out->blob_len = 2 + k->digest_len + total;
	return OK;
}

struct err tpm_make_credential(const struct tpm_ek *ek, const uint8_t ak_name[TPM_NAME],
			       const struct secret *secret, struct tpm_credential *out)
{
	memset(out, 0, sizeof *out);
	TRY(crypto_start());
	const struct ek_kind *k = NULL;
	TRY(kind_of(ek->key, &k));
	ENSURE(secret_size(secret) >= 1 && secret_size(secret) <= SECRET_MAX, ERR_USAGE,
	       "a credential encloses 1 to %d bytes, not %zu", SECRET_MAX, secret_size(secret));
	uint8_t seed[DIGEST_MAX];
	TRY(k->group ? seed_by_ecdh(ek->key, k, seed, out) : seed_by_oaep(ek->key, k, seed, out));
	struct err e = enclose(k, seed, ak_name, secret, out);
	secret_zero(seed, sizeof seed);
	return e;
}

// --- on the wire

void tpm_credential_write(const struct tpm_credential *c, struct buf *out)
{
	buf_be16(out, (uint16_t)c->blob_len);
	buf_append(out, c->blob, c->blob_len);
	buf_be16(out, (uint16_t)c->seed_len);
	buf_append(out, c->seed, c->seed_len);
}

struct err tpm_credential_read(struct cursor *in, struct tpm_credential *out)
{
	memset(out, 0, sizeof *out);
	out->blob_len = cursor_be16(in);
	ENSURE(!in->failed && out->blob_len <= sizeof out->blob, ERR_PEER,
	       "a credential blob of %zu bytes; at most %zu", out->blob_len, sizeof out->blob);
	cursor_copy(in, out->blob, out->blob_len);
	out->seed_len = cursor_be16(in);
	ENSURE(!in->failed && out->seed_len <= sizeof out->seed, ERR_PEER,
	       "a credential seed of %zu bytes; at most %zu", out->seed_len, sizeof out->seed);
	cursor_copy(in, out->seed, out->seed_len);
	ENSURE(!in->failed, ERR_PEER, "a credential is cut short");
	return OK;
}
