// SPDX-License-Identifier: Apache-2.0
// Sealing: AES-256-GCM (NIST SP 800-38D), sealed segments, and key wrapping (RFC 3394).
//
// A segment is a run of records under one data key (DEK), written once, in one go:
//     salt[24]            random, drawn when the segment is created
//     key[32] || base nonce[12] || commitment[32] = HKDF-Expand(DEK, label || salt || context)
//     record i            AES-256-GCM(key, base nonce XOR i in the last 8 bytes, AAD, plaintext)
// Stored head: salt || commitment (56 bytes). The commitment binds the head to one DEK, label and
// context: GCM alone commits to no key. A reopened segment can only be read: a restored snapshot
// that wrote on would repeat nonces. To write again, create a new one.
// Used by repository (journal, chunks), agent (spool), keys.
#pragma once

#include "lib/base/mem.h"

enum { AEAD_KEY = 32, AEAD_NONCE = 12, AEAD_TAG = 16 };

// A key made ready; the cipher context is reused from call to call. Not for two threads at once.
struct aead; // opaque
MUST_USE struct err aead_new(const uint8_t key[static AEAD_KEY], struct aead **out);
void aead_free(struct aead *a); // NULL is fine; zeroes
// `out` takes n + AEAD_TAG bytes: ciphertext || tag; it may be `plain` itself, else must not
// overlap. The caller answers for a nonce that never repeats under this key.
MUST_USE struct err aead_seal(struct aead *a, const uint8_t nonce[static AEAD_NONCE],
			      const void *aad, size_t aad_len, const void *plain, size_t n,
			      uint8_t *out);
// `n` counts the tag; `out` takes n - AEAD_TAG bytes and is zeroed on failure. ERR_CORRUPT.
MUST_USE struct err aead_open(struct aead *a, const uint8_t nonce[static AEAD_NONCE],
			      const void *aad, size_t aad_len, const void *sealed, size_t n,
			      uint8_t *out);

enum { SEGMENT_SALT = 24, SEGMENT_COMMITMENT = 32, SEGMENT_HEAD = 56, SEGMENT_CONTEXT_MAX = 1024 };

struct seal_segment; // opaque
// `dek`: 32 bytes. `label` names the use ("gemel journal v1"), `context` binds it to a place (store
// id, DEK id, epoch ...), at most SEGMENT_CONTEXT_MAX bytes. *out: seal_segment_close.
MUST_USE struct err seal_segment_create(const struct secret *dek, const char *label,
					const void *context, size_t context_len,
					struct seal_segment **out);
// For reading. ERR_CORRUPT when the head is not of this key, label and context.
MUST_USE struct err seal_segment_open(const struct secret *dek, const char *label,
				      const void *context, size_t context_len,
				      const uint8_t head[static SEGMENT_HEAD],
				      struct seal_segment **out);
void seal_segment_close(struct seal_segment *s);		// NULL is fine; zeroes
const uint8_t *seal_segment_head(const struct seal_segment *s); // SEGMENT_HEAD bytes
uint64_t seal_segment_next(const struct seal_segment *s); // counter that the next record may take
// Seals record `counter`, which must be seal_segment_next or above (ERR_INTERNAL otherwise, and for
// a segment opened for reading). The counter is bound by the nonce; `out` as in aead_seal.
MUST_USE struct err seal_segment_seal(struct seal_segment *s, uint64_t counter, const void *aad,
				      size_t aad_len, const void *plain, size_t n, uint8_t *out);
// Opens a record, of either kind of segment. ERR_CORRUPT names the counter.
MUST_USE struct err seal_segment_unseal(struct seal_segment *s, uint64_t counter, const void *aad,
					size_t aad_len, const void *sealed, size_t n, uint8_t *out);

// Key wrapping under a 32-byte KEK; keys of 16 to 64 bytes, in steps of 8; 8 bytes longer wrapped.
enum { KEYWRAP_EXTRA = 8, KEYWRAP_MAX = 72, KEYWRAP_DEK = 40 };
MUST_USE struct err keywrap_wrap(const struct secret *kek, const struct secret *key,
				 uint8_t out[static KEYWRAP_MAX], size_t *out_len);
// ERR_CORRUPT: not wrapped under this KEK, or changed. *out: secret_free.
MUST_USE struct err keywrap_unwrap(const struct secret *kek, const uint8_t *wrapped, size_t n,
				   struct secret **out);
