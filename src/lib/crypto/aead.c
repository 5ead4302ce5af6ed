// SPDX-License-Identifier: Apache-2.0
// AES-256-GCM with one cipher context for each key: only the nonce is set again for a record, which
// keeps the key schedule and the GHASH tables. Segments and key wrapping stand on it.

#include "lib/crypto/aead.h"

#include "lib/crypto/hash.h"
#include "lib/crypto/internal.h"
#include "lib/crypto/random.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct aead {
	EVP_CIPHER_CTX *seal, *open; // two, so that a turn of direction costs no key schedule
};

static EVP_CIPHER_CTX *ready(const uint8_t key[static AEAD_KEY], int sealing)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (ctx &&
	    EVP_CipherInit_ex2(ctx, crypto_fetched()->aes_gcm, key, NULL, sealing, NULL) == 1)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

struct err aead_new(const uint8_t key[static AEAD_KEY], struct aead **out)
{
	TRY(crypto_start());
	struct aead *a = calloc(1, sizeof *a);
	ENSURE(a, ERR_LIMIT, "no memory for a cipher");
	a->seal = ready(key, 1);
	a->open = ready(key, 0);
	if (!a->seal || !a->open) {
		aead_free(a);
		return crypto_error(ERR_INTERNAL, "AES-256-GCM could not be set up");
	}
	*out = a;
	return OK;
}

void aead_free(struct aead *a)
{
	if (!a)
		return;
	EVP_CIPHER_CTX_free(a->seal); // cleanses the key
	EVP_CIPHER_CTX_free(a->open);
	free(a);
}

struct err aead_seal(struct aead *a, const uint8_t nonce[static AEAD_NONCE], const void *aad,
		     size_t aad_len, const void *plain, size_t n, uint8_t *out)
{
	ENSURE(n <= INT_MAX - AEAD_TAG && aad_len <= INT_MAX, ERR_LIMIT,
	       "%zu bytes are too many to seal at once", n);
	int len = 0, rest = 0;
	if (EVP_EncryptInit_ex2(a->seal, NULL, NULL, nonce, NULL) != 1 ||
	    (aad_len && EVP_EncryptUpdate(a->seal, NULL, &len, aad, (int)aad_len) != 1) ||
	    (n && EVP_EncryptUpdate(a->seal, out, &len, plain, (int)n) != 1) ||
	    EVP_EncryptFinal_ex(a->seal, out + n, &rest) != 1 ||
	    EVP_CIPHER_CTX_ctrl(a->seal, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, out + n) != 1)
		return crypto_error(ERR_INTERNAL, "sealing failed");
	return OK;
}

struct err aead_open(struct aead *a, const uint8_t nonce[static AEAD_NONCE], const void *aad,
		     size_t aad_len, const void *sealed, size_t n, uint8_t *out)
{
	ENSURE(n >= AEAD_TAG && n <= INT_MAX && aad_len <= INT_MAX, ERR_CORRUPT,
	       "%zu sealed bytes: at least the %d of the tag are needed", n, AEAD_TAG);
	n -= AEAD_TAG;
	uint8_t tag[AEAD_TAG]; // a copy: `out` may be `sealed`
	memcpy(tag, (const uint8_t *)sealed + n, AEAD_TAG);
	int len = 0, rest = 0;
	uint8_t nothing[16];
	if (EVP_DecryptInit_ex2(a->open, NULL, NULL, nonce, NULL) != 1 ||
	    (aad_len && EVP_DecryptUpdate(a->open, NULL, &len, aad, (int)aad_len) != 1) ||
	    (n && EVP_DecryptUpdate(a->open, out, &len, sealed, (int)n) != 1) ||
	    EVP_CIPHER_CTX_ctrl(a->open, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, tag) != 1)
		return crypto_error(ERR_INTERNAL, "opening failed");
	if (EVP_DecryptFinal_ex(a->open, nothing, &rest) != 1) {
		if (n)
			secret_zero(out, n);
		return crypto_error(
			ERR_CORRUPT,
			"sealed bytes do not open: changed, moved, or under another key");
	}
	return OK;
}

// --- segments

struct seal_segment {
	struct aead *aead;
	uint8_t base[AEAD_NONCE];
	uint8_t head[SEGMENT_HEAD]; // salt || commitment
	uint64_t next;
	bool reading;
};

enum { DERIVED = AEAD_KEY + AEAD_NONCE + SEGMENT_COMMITMENT, LABEL_MAX = 64 };

static struct err derive(const struct secret *dek, const char *label, const void *context,
			 size_t context_len, const uint8_t salt[SEGMENT_SALT], uint8_t out[DERIVED])
{
	ENSURE(secret_size(dek) == AEAD_KEY, ERR_USAGE, "a data key has %d bytes, this one has %zu",
	       AEAD_KEY, secret_size(dek));
	size_t label_len = strlen(label);
	ENSURE(label_len > 0 && label_len <= LABEL_MAX && context_len <= SEGMENT_CONTEXT_MAX,
	       ERR_USAGE, "label or context of a segment is too long");
	uint8_t info[LABEL_MAX + SEGMENT_SALT + SEGMENT_CONTEXT_MAX];
	memcpy(info, label, label_len);
	memcpy(info + label_len, salt, SEGMENT_SALT);
	if (context_len)
		memcpy(info + label_len + SEGMENT_SALT, context, context_len);
	return hash_hkdf_expand(secret_bytes((struct secret *)(uintptr_t)dek), AEAD_KEY, info,
				label_len + SEGMENT_SALT + context_len, out, DERIVED);
}

static struct err segment_make(const struct secret *dek, const char *label, const void *context,
			       size_t context_len, const uint8_t salt[SEGMENT_SALT],
			       struct seal_segment **out)
{
	uint8_t derived[DERIVED];
	TRY(derive(dek, label, context, context_len, salt, derived));
	struct seal_segment *s = calloc(1, sizeof *s);
	struct err e =
		s ? aead_new(derived, &s->aead) : err_make(ERR_LIMIT, "no memory for a segment");
	if (e.code == ERR_NONE) {
		memcpy(s->base, derived + AEAD_KEY, AEAD_NONCE);
		memcpy(s->head, salt, SEGMENT_SALT);
		memcpy(s->head + SEGMENT_SALT, derived + AEAD_KEY + AEAD_NONCE, SEGMENT_COMMITMENT);
		*out = s;
	} else {
		free(s);
	}
	secret_zero(derived, sizeof derived);
	return e;
}

struct err seal_segment_create(const struct secret *dek, const char *label, const void *context,
			       size_t context_len, struct seal_segment **out)
{
	uint8_t salt[SEGMENT_SALT];
	TRY(random_bytes(salt, sizeof salt));
	return segment_make(dek, label, context, context_len, salt, out);
}

struct err seal_segment_open(const struct secret *dek, const char *label, const void *context,
			     size_t context_len, const uint8_t head[static SEGMENT_HEAD],
			     struct seal_segment **out)
{
	struct seal_segment *s;
	TRY(segment_make(dek, label, context, context_len, head, &s));
	if (!secret_equal(s->head, head, SEGMENT_HEAD)) {
		seal_segment_close(s);
		return err_make(ERR_CORRUPT,
				"%s: this segment is not of this key and place, or its "
				"head was changed",
				label);
	}
	s->reading = true;
	*out = s;
	return OK;
}

void seal_segment_close(struct seal_segment *s)
{
	if (!s)
		return;
	aead_free(s->aead);
	secret_zero(s, sizeof *s);
	free(s);
}

const uint8_t *seal_segment_head(const struct seal_segment *s)
{
	return s->head;
}

uint64_t seal_segment_next(const struct seal_segment *s)
{
	return s->next;
}

static void nonce_of(const struct seal_segment *s, uint64_t counter, uint8_t out[AEAD_NONCE])
{
	memcpy(out, s->base, AEAD_NONCE);
	for (unsigned i = 0; i < 8; i++)
		out[AEAD_NONCE - 1 - i] ^= (uint8_t)(counter >> (8 * i));
}

struct err seal_segment_seal(struct seal_segment *s, uint64_t counter, const void *aad,
			     size_t aad_len, const void *plain, size_t n, uint8_t *out)
{
	ENSURE(!s->reading, ERR_INTERNAL, "a reopened segment is never written: create a new one");
	ENSURE(counter >= s->next && counter < UINT64_MAX, ERR_INTERNAL,
	       "record %llu of a segment was already sealed", (unsigned long long)counter);
	uint8_t nonce[AEAD_NONCE];
	nonce_of(s, counter, nonce);
	s->next = counter + 1; // also when sealing fails: a nonce is used up when it is tried
	return aead_seal(s->aead, nonce, aad, aad_len, plain, n, out);
}

struct err seal_segment_unseal(struct seal_segment *s, uint64_t counter, const void *aad,
			       size_t aad_len, const void *sealed, size_t n, uint8_t *out)
{
	uint8_t nonce[AEAD_NONCE];
	nonce_of(s, counter, nonce);
	return err_within(aead_open(s->aead, nonce, aad, aad_len, sealed, n, out), "record %llu",
			  (unsigned long long)counter);
}

// --- key wrapping

static struct err kek_check(const struct secret *kek)
{
	ENSURE(secret_size(kek) == AEAD_KEY, ERR_USAGE,
	       "a key-encryption key has %d bytes, this one has %zu", AEAD_KEY, secret_size(kek));
	return OK;
}

static EVP_CIPHER_CTX *wrapping(const struct secret *kek, int sealing)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx)
		return NULL;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	const uint8_t *key = secret_bytes((struct secret *)(uintptr_t)kek);
	if (EVP_CipherInit_ex2(ctx, crypto_fetched()->aes_wrap, key, NULL, sealing, NULL) == 1)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

struct err keywrap_wrap(const struct secret *kek, const struct secret *key,
			uint8_t out[static KEYWRAP_MAX], size_t *out_len)
{
	TRY(kek_check(kek));
	size_t n = secret_size(key);
	ENSURE(n >= 16 && n <= KEYWRAP_MAX - KEYWRAP_EXTRA && n % 8 == 0, ERR_USAGE,
	       "a key of %zu bytes cannot be wrapped; 16 to 64, in steps of 8", n);
	openssl(EVP_CIPHER_CTX) EVP_CIPHER_CTX *ctx = wrapping(kek, 1);
	int len = 0;
	if (!ctx || EVP_EncryptUpdate(ctx, out, &len, secret_bytes((struct secret *)(uintptr_t)key),
				      (int)n) != 1)
		return crypto_error(ERR_INTERNAL, "wrapping a key failed");
	*out_len = (size_t)len;
	return OK;
}

struct err keywrap_unwrap(const struct secret *kek, const uint8_t *wrapped, size_t n,
			  struct secret **out)
{
	TRY(kek_check(kek));
	ENSURE(n >= 24 && n <= KEYWRAP_MAX && n % 8 == 0, ERR_CORRUPT,
	       "a wrapped key has 24 to %d bytes in steps of 8, this one %zu", KEYWRAP_MAX, n);
	openssl(EVP_CIPHER_CTX) EVP_CIPHER_CTX *ctx = wrapping(kek, 0);
	// OpenSSL may write the whole input's length before it finds the integrity value wrong.
	scoped(secret) struct secret *work = secret_new(n);
	ENSURE(ctx && work, ERR_LIMIT, "no memory to unwrap a key");
	int len = 0;
	if (EVP_DecryptUpdate(ctx, secret_bytes(work), &len, wrapped, (int)n) != 1 ||
	    (size_t)len != n - KEYWRAP_EXTRA)
		return crypto_error(ERR_CORRUPT, "a wrapped key does not open under this key");
	struct secret *key = secret_new((size_t)len);
	ENSURE(key, ERR_LIMIT, "no memory to unwrap a key");
	memcpy(secret_bytes(key), secret_bytes(work), (size_t)len);
	*out = key;
	return OK;
}
