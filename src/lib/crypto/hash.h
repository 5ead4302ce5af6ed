// SPDX-License-Identifier: Apache-2.0
// SHA-256, HMAC-SHA-256 (RFC 2104), HKDF-SHA-256 (RFC 5869). The EVP_MD is fetched once and the
// one-shot functions reuse a context of their thread: no allocation but at a thread's first use.
// The void functions cannot fail on any input; when memory is out at a thread's first use they end
// the process. Used by every process.
#pragma once

#include "lib/base/mem.h"

enum { HASH_SIZE = 32, HASH_HEX = 2 * HASH_SIZE + 1 };

// One shot, over one range or over up to n ranges as if joined.
struct hash_part {
	const void *bytes;
	size_t len;
};
void hash_sha256(const void *bytes, size_t n, uint8_t out[HASH_SIZE]);
void hash_parts(const struct hash_part *parts, size_t n, uint8_t out[HASH_SIZE]);

// Incremental: new -> (start -> add ... -> finish) any number of times -> free.
struct hash;			// opaque
struct hash *hash_new(void);	// NULL: out of memory
void hash_free(struct hash *h); // NULL is fine
void hash_start(struct hash *h);
void hash_add(struct hash *h, const void *bytes, size_t n);
void hash_finish(struct hash *h, uint8_t out[HASH_SIZE]);
void hash_so_far(const struct hash *h, uint8_t out[HASH_SIZE]); // the hash goes on

void hash_hmac(const void *key, size_t key_len, const void *bytes, size_t n,
	       uint8_t out[HASH_SIZE]);

// RFC 5869 sections 2.2 and 2.3. `out_len` at most 255 * 32, else ERR_USAGE.
MUST_USE struct err hash_hkdf_extract(const void *salt, size_t salt_len, const void *ikm,
				      size_t ikm_len, uint8_t prk[HASH_SIZE]);
MUST_USE struct err hash_hkdf_expand(const void *prk, size_t prk_len, const void *info,
				     size_t info_len, uint8_t *out, size_t out_len);

// Lower-case hexadecimal; `out` has 2 * n + 1 bytes. Returns `out`.
char *hash_hex(const uint8_t *bytes, size_t n, char *out);
// Exactly n bytes from 2 * n digits (either case), then the end of the text; false otherwise.
bool hash_unhex(const char *text, uint8_t *out, size_t n);
