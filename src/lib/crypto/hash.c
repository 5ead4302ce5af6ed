// SPDX-License-Identifier: Apache-2.0
// SHA-256 and its two children. A context that is made and freed for every short hash costs about
// as much as the hash, so the one-shot functions keep one per thread, for the thread's life.

#include "lib/crypto/hash.h"

#include "lib/base/log.h"
#include "lib/crypto/internal.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

struct hash {
	EVP_MD_CTX *ctx;
};

static _Thread_local EVP_MD_CTX *own;
static _Thread_local EVP_MAC_CTX *own_mac;

static void need(int good, const char *what)
{
	if (good == 1)
		return;
	log_error("%s failed inside OpenSSL", what);
	abort();
}

static EVP_MD_CTX *begin_own(void)
{
	if (!own)
		own = EVP_MD_CTX_new();
	need(own && EVP_DigestInit_ex2(own, crypto_fetched()->sha256, NULL), "SHA-256");
	return own;
}

void hash_parts(const struct hash_part *parts, size_t n, uint8_t out[HASH_SIZE])
{
	EVP_MD_CTX *ctx = begin_own();
	for (size_t i = 0; i < n; i++)
		need(EVP_DigestUpdate(ctx, parts[i].bytes, parts[i].len), "SHA-256");
	need(EVP_DigestFinal_ex(ctx, out, NULL), "SHA-256");
}

void hash_sha256(const void *bytes, size_t n, uint8_t out[HASH_SIZE])
{
	hash_parts(&(struct hash_part){bytes, n}, 1, out);
}

struct hash *hash_new(void)
{
	struct hash *h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx) {
		free(h);
		return NULL;
	}
	hash_start(h);
	return h;
}

void hash_free(struct hash *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void hash_start(struct hash *h)
{
	need(EVP_DigestInit_ex2(h->ctx, crypto_fetched()->sha256, NULL), "SHA-256");
}

void hash_add(struct hash *h, const void *bytes, size_t n)
{
	need(EVP_DigestUpdate(h->ctx, bytes, n), "SHA-256");
}

void hash_finish(struct hash *h, uint8_t out[HASH_SIZE])
{
	need(EVP_DigestFinal_ex(h->ctx, out, NULL), "SHA-256");
}

void hash_so_far(const struct hash *h, uint8_t out[HASH_SIZE])
{
	if (!own)
		own = EVP_MD_CTX_new();
	need(own && EVP_MD_CTX_copy_ex(own, h->ctx), "SHA-256");
	need(EVP_DigestFinal_ex(own, out, NULL), "SHA-256");
}

void hash_hmac(const void *key, size_t key_len, const void *bytes, size_t n, uint8_t out[HASH_SIZE])
{
	if (!own_mac)
		own_mac = EVP_MAC_CTX_new(crypto_fetched()->hmac);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	// A NULL key would mean "the key of last time".
	need(own_mac && EVP_MAC_init(own_mac, key_len ? key : "", key_len, params), "HMAC");
	need(EVP_MAC_update(own_mac, bytes, n), "HMAC");
	size_t len = HASH_SIZE;
	need(EVP_MAC_final(own_mac, out, &len, HASH_SIZE), "HMAC");
}

struct err hash_hkdf_extract(const void *salt, size_t salt_len, const void *ikm, size_t ikm_len,
			     uint8_t prk[HASH_SIZE])
{
	// RFC 5869 section 2.2: an absent salt is HashLen zeros, which HMAC pads to anyway.
	hash_hmac(salt, salt_len, ikm, ikm_len, prk);
	return OK;
}

struct err hash_hkdf_expand(const void *prk, size_t prk_len, const void *info, size_t info_len,
			    uint8_t *out, size_t out_len)
{
	ENSURE(out_len > 0 && out_len <= 255 * HASH_SIZE, ERR_USAGE,
	       "HKDF output of %zu bytes: 1 to %d are possible", out_len, 255 * HASH_SIZE);
	openssl(EVP_KDF_CTX) EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(crypto_fetched()->hkdf);
	ENSURE(ctx, ERR_LIMIT, "no memory for HKDF");
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)prk,
						  prk_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info,
						  info_len),
		OSSL_PARAM_construct_end(),
	};
	if (EVP_KDF_derive(ctx, out, out_len, params) != 1)
		return crypto_error(ERR_INTERNAL, "HKDF-Expand failed");
	return OK;
}

char *hash_hex(const uint8_t *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = 0;
	return out;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hash_unhex(const char *text, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(text[2 * i]);
		int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
		if (low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * n] == 0;
}
