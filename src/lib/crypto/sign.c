// SPDX-License-Identifier: Apache-2.0
// Both algorithms go through EVP_PKEY; what differs is how public and private bytes look, which the
// few functions at the top know.

#include "lib/crypto/sign.h"

#include "lib/crypto/hash.h"
#include "lib/crypto/internal.h"
#include "lib/crypto/pkey.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum { P256_SCALAR = 32, ED25519_SEED = 32 };

struct sign_key {
	EVP_PKEY *pkey;
	struct sign_public public;
};

struct verify_key {
	EVP_PKEY *pkey;
	struct sign_public public;
};

OPENSSL_SCOPED(BIO)

const uint8_t p256_spki_head[P256_SPKI_HEAD] = {
	0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
	0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};

const char *sign_algorithm_name(enum sign_algorithm a)
{
	switch (a) {
	case SIGN_ED25519:
		return "Ed25519";
	case SIGN_P256:
		return "ECDSA P-256";
	}
	return "unknown";
}

void sign_key_id(enum sign_algorithm a, const uint8_t *public_key, size_t n,
		 uint8_t id[SIGN_KEY_ID])
{
	uint8_t algorithm = (uint8_t)a, digest[HASH_SIZE];
	hash_parts((struct hash_part[]){{&algorithm, 1}, {public_key, n}}, 2, digest);
	memcpy(id, digest, SIGN_KEY_ID);
}

static bool is_p256(EVP_PKEY *k)
{
	char group[64];
	size_t len;
	return EVP_PKEY_is_a(k, "EC") == 1 &&
	       EVP_PKEY_get_group_name(k, group, sizeof group, &len) == 1 &&
	       OBJ_sn2nid(group) == NID_X9_62_prime256v1;
}

struct err pkey_public(EVP_PKEY *k, struct sign_public *out)
{
	memset(out, 0, sizeof *out);
	if (EVP_PKEY_is_a(k, "ED25519") == 1) {
		out->algorithm = SIGN_ED25519;
		out->len = SIGN_ED25519_PUBLIC;
		if (EVP_PKEY_get_raw_public_key(k, out->bytes, &out->len) != 1)
			return crypto_error(ERR_INTERNAL, "no public key bytes");
	} else if (is_p256(k)) {
		out->algorithm = SIGN_P256;
		int n = i2d_PUBKEY(k, NULL);
		uint8_t *at = out->bytes;
		if (n == P256_SPKI) // hybrid points are as long, and refused below
			out->len = (size_t)i2d_PUBKEY(k, &at);
		ENSURE(out->len == P256_SPKI &&
			       memcmp(out->bytes, p256_spki_head, P256_SPKI_HEAD) == 0,
		       ERR_USAGE,
		       "this P-256 key is not in the form of RFC 5480: named curve, uncompressed");
	} else {
		return err_make(ERR_USAGE,
				"this kind of key is not used: Ed25519 and ECDSA P-256 are");
	}
	sign_key_id(out->algorithm, out->bytes, out->len, out->id);
	return OK;
}

static struct err own(EVP_PKEY *pkey, struct sign_key **out) // takes over pkey
{
	openssl(EVP_PKEY) EVP_PKEY *held = pkey;
	struct sign_key *k = calloc(1, sizeof *k);
	ENSURE(k, ERR_LIMIT, "no memory for a key");
	struct err e = pkey_public(held, &k->public);
	if (e.code != ERR_NONE) {
		free(k);
		return e;
	}
	k->pkey = held;
	held = NULL;
	*out = k;
	return OK;
}

struct err sign_key_generate(enum sign_algorithm a, struct sign_key **out)
{
	TRY(crypto_start());
	EVP_PKEY *pkey;
	if (a == SIGN_ED25519)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else if (a == SIGN_P256)
		pkey = EVP_EC_gen("P-256");
	else
		return err_make(ERR_USAGE, "signature algorithm %d is unknown", (int)a);
	if (!pkey)
		return crypto_error(ERR_INTERNAL, "no %s key could be made",
				    sign_algorithm_name(a));
	return own(pkey, out);
}

// The public point must be computed for OpenSSL: a private scalar alone cannot be exported again.
static struct err p256_point(const BIGNUM *scalar, uint8_t point[65])
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT *at = group ? EC_POINT_new(group) : NULL;
	size_t n = 0;
	bool in_range =
		group && !BN_is_zero(scalar) && BN_cmp(scalar, EC_GROUP_get0_order(group)) < 0;
	if (at && in_range && EC_POINT_mul(group, at, scalar, NULL, NULL, NULL) == 1)
		n = EC_POINT_point2oct(group, at, POINT_CONVERSION_UNCOMPRESSED, point, 65, NULL);
	EC_POINT_free(at);
	EC_GROUP_free(group);
	ENSURE(in_range, ERR_USAGE, "the private number is not one of a P-256 key");
	if (n != 65)
		return crypto_error(ERR_INTERNAL, "no public point for the private key");
	return OK;
}

static struct err p256_import(const BIGNUM *scalar, const uint8_t point[65], EVP_PKEY **out)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	openssl(EVP_PKEY_CTX) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	int good = build && ctx &&
		   OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) &&
		   OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar) &&
		   OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 65) &&
		   (params = OSSL_PARAM_BLD_to_param(build)) != NULL &&
		   EVP_PKEY_fromdata_init(ctx) == 1 &&
		   EVP_PKEY_fromdata(ctx, out, EVP_PKEY_KEYPAIR, params) == 1;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	if (!good)
		return crypto_error(ERR_USAGE, "not a P-256 private key");
	return OK;
}

struct err sign_key_from_raw(enum sign_algorithm a, const struct secret *raw, struct sign_key **out)
{
	TRY(crypto_start());
	const uint8_t *bytes = secret_bytes((struct secret *)(uintptr_t)raw);
	EVP_PKEY *pkey = NULL;
	ENSURE(secret_size(raw) == 32, ERR_USAGE,
	       "a raw private key has 32 bytes, this one has %zu", secret_size(raw));
	if (a == SIGN_ED25519) {
		pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, bytes, ED25519_SEED);
		if (!pkey)
			return crypto_error(ERR_USAGE, "not an Ed25519 private key");
		return own(pkey, out);
	}
	ENSURE(a == SIGN_P256, ERR_USAGE, "signature algorithm %d is unknown", (int)a);
	BIGNUM *scalar = BN_secure_new();
	uint8_t point[65];
	struct err e = scalar && BN_bin2bn(bytes, P256_SCALAR, scalar)
			       ? p256_point(scalar, point)
			       : err_make(ERR_LIMIT, "no memory for a key");
	if (e.code == ERR_NONE)
		e = p256_import(scalar, point, &pkey);
	BN_clear_free(scalar);
	TRY(e);
	return own(pkey, out);
}

struct err sign_key_to_raw(const struct sign_key *k, struct secret **out)
{
	scoped(secret) struct secret *s = secret_new(32);
	ENSURE(s, ERR_LIMIT, "no memory for a key");
	if (k->public.algorithm == SIGN_ED25519) {
		size_t n = ED25519_SEED;
		if (EVP_PKEY_get_raw_private_key(k->pkey, secret_bytes(s), &n) != 1)
			return crypto_error(ERR_INTERNAL, "the private key cannot be read");
	} else {
		BIGNUM *scalar = NULL;
		int good = EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1 &&
			   BN_bn2binpad(scalar, secret_bytes(s), P256_SCALAR) == P256_SCALAR;
		BN_clear_free(scalar);
		if (!good)
			return crypto_error(ERR_INTERNAL, "the private key cannot be read");
	}
	*out = s;
	s = NULL;
	return OK;
}

struct err sign_key_from_pem(const struct secret *pem, struct sign_key **out)
{
	TRY(crypto_start());
	const uint8_t *bytes = secret_bytes((struct secret *)(uintptr_t)pem);
	ENSURE(secret_size(pem) <= 1 << 16, ERR_LIMIT, "a private key in PEM of %zu bytes",
	       secret_size(pem));
	openssl(BIO) BIO *in = BIO_new_mem_buf(bytes, (int)secret_size(pem));
	ENSURE(in, ERR_LIMIT, "no memory for a key");
	char none[] = "";
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(in, NULL, NULL, none);
	if (!pkey)
		return crypto_error(ERR_USAGE, "not an unencrypted PKCS#8 private key in PEM");
	return own(pkey, out);
}

struct err sign_key_to_pem(const struct sign_key *k, struct secret **out)
{
	openssl(BIO) BIO *mem = BIO_new(BIO_s_secmem());
	if (!mem || PEM_write_bio_PKCS8PrivateKey(mem, k->pkey, NULL, NULL, 0, NULL, NULL) != 1)
		return crypto_error(ERR_INTERNAL, "the private key cannot be written");
	char *text;
	long n = BIO_get_mem_data(mem, &text);
	struct secret *s = n > 0 ? secret_new((size_t)n) : NULL;
	ENSURE(s, ERR_LIMIT, "no memory for a key");
	memcpy(secret_bytes(s), text, (size_t)n);
	secret_zero(text, (size_t)n);
	*out = s;
	return OK;
}

void sign_key_free(struct sign_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey); // OpenSSL zeroes the private part
	free(k);
}

const struct sign_public *sign_key_public(const struct sign_key *k)
{
	return &k->public;
}

struct evp_pkey_st *sign_key_pkey(const struct sign_key *k)
{
	return k->pkey;
}

static const char *digest_of(enum sign_algorithm a)
{
	return a == SIGN_ED25519 ? NULL
				 : "SHA256"; // Ed25519 hashes by itself, RFC 8032 section 5.1
}

struct err sign_make(const struct sign_key *k, const void *message, size_t n,
		     struct sign_signature *out)
{
	openssl(EVP_MD_CTX) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ENSURE(ctx, ERR_LIMIT, "no memory for a signature");
	out->len = sizeof out->bytes;
	if (EVP_DigestSignInit_ex(ctx, NULL, digest_of(k->public.algorithm), NULL, NULL, k->pkey,
				  NULL) != 1 ||
	    EVP_DigestSign(ctx, out->bytes, &out->len, message, n) != 1)
		return crypto_error(ERR_INTERNAL, "signing with %s failed",
				    sign_algorithm_name(k->public.algorithm));
	return OK;
}

static struct err adopt(EVP_PKEY *pkey, struct verify_key **out) // takes over pkey
{
	openssl(EVP_PKEY) EVP_PKEY *held = pkey;
	struct verify_key *k = calloc(1, sizeof *k);
	ENSURE(k, ERR_LIMIT, "no memory for a key");
	struct err e = pkey_public(held, &k->public);
	if (e.code != ERR_NONE) {
		free(k);
		return e;
	}
	k->pkey = held;
	held = NULL;
	*out = k;
	return OK;
}

struct err pkey_from_public(enum sign_algorithm a, const uint8_t *public_key, size_t n,
			    EVP_PKEY **out)
{
	TRY(crypto_start());
	if (a == SIGN_ED25519) {
		ENSURE(n == SIGN_ED25519_PUBLIC, ERR_USAGE,
		       "an Ed25519 public key has 32 bytes, this one has %zu", n);
		*out = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, public_key, n);
	} else if (a == SIGN_P256) {
		ENSURE(n <= SIGN_PUBLIC_MAX, ERR_USAGE,
		       "a P-256 public key of %zu bytes is too long; %d at most", n,
		       SIGN_PUBLIC_MAX);
		const uint8_t *at = public_key;
		*out = d2i_PUBKEY(NULL, &at, (long)n);
		if (*out && (at != public_key + n || !is_p256(*out))) {
			EVP_PKEY_free(*out);
			*out = NULL;
		}
	} else {
		return err_make(ERR_USAGE,
				"signature algorithm %d is unknown; 1 is Ed25519, 2 is P-256",
				(int)a);
	}
	if (!*out)
		return crypto_error(ERR_USAGE, "not a public key for %s", sign_algorithm_name(a));
	return OK;
}

struct err verify_key_new(enum sign_algorithm a, const uint8_t *public_key, size_t n,
			  struct verify_key **out)
{
	EVP_PKEY *pkey = NULL;
	TRY(pkey_from_public(a, public_key, n, &pkey));
	struct verify_key *k;
	TRY(adopt(pkey, &k));
	// One key, one id: another encoding of the same point is refused.
	if (k->public.len != n || memcmp(k->public.bytes, public_key, n) != 0) {
		verify_key_free(k);
		return err_make(ERR_USAGE, "the public key is not in its one canonical form");
	}
	*out = k;
	return OK;
}

struct err verify_key_from_pkey(struct evp_pkey_st *pkey, struct verify_key **out)
{
	ENSURE(EVP_PKEY_up_ref(pkey) == 1, ERR_INTERNAL, "no reference to a key");
	return adopt(pkey, out);
}

void verify_key_free(struct verify_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

const struct sign_public *verify_key_public(const struct verify_key *k)
{
	return &k->public;
}

struct err verify_check(const struct verify_key *k, const void *message, size_t n,
			const void *signature, size_t signature_len)
{
	openssl(EVP_MD_CTX) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ENSURE(ctx, ERR_LIMIT, "no memory to check a signature");
	if (EVP_DigestVerifyInit_ex(ctx, NULL, digest_of(k->public.algorithm), NULL, NULL, k->pkey,
				    NULL) != 1)
		return crypto_error(ERR_INTERNAL, "signatures of %s cannot be checked",
				    sign_algorithm_name(k->public.algorithm));
	if (EVP_DigestVerify(ctx, signature, signature_len, message, n) != 1) {
		char id[2 * SIGN_KEY_ID + 1];
		return crypto_error(ERR_AUTH,
				    "the signature is not one of %s key %s over these bytes",
				    sign_algorithm_name(k->public.algorithm),
				    hash_hex(k->public.id, SIGN_KEY_ID, id));
	}
	return OK;
}
