// SPDX-License-Identifier: Apache-2.0
// Memory with an owner: arenas for a request or a message, growing buffers with a bound, scope
// clean-up, and secrets that are locked, kept out of core dumps, and zeroed when freed.
// Used by every process.
#pragma once

#include "lib/base/err.h"

#include <stdint.h>

struct arena; // opaque: chunks that are freed together

// A new arena which refuses to grow past `limit` bytes. NULL when memory is out.
struct arena *arena_new(size_t limit);
void arena_free(struct arena *a); // NULL is fine
void arena_reset(struct arena *a); // frees all that was given, keeps the first chunk
size_t arena_used(const struct arena *a);
// 16-byte aligned, zeroed; NULL past the limit. Owned by the arena.
void *arena_alloc(struct arena *a, size_t bytes);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A growing byte buffer with a bound and a sticky failure: append at will, check `failed` once.
struct buf {
	uint8_t *data; // owned; NULL when empty
	size_t len, cap;
	size_t limit; // 0: 16 MiB
	bool failed;  // an append did not fit (bound or memory); len stays at the last good one
};
#define BUF_DEFAULT_LIMIT ((size_t)16 << 20)

void buf_clear(struct buf *b); // frees; the buffer may be used again
void buf_reset(struct buf *b); // keeps the memory
void buf_append(struct buf *b, const void *bytes, size_t n);
void buf_u8(struct buf *b, uint8_t v);
void buf_be16(struct buf *b, uint16_t v);
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
void buf_str(struct buf *b, const char *s); // no NUL, no length
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint8_t *buf_space(struct buf *b, size_t n); // n uninitialised bytes appended; NULL on failure
const char *buf_text(struct buf *b);         // NUL-terminated view (len unchanged); "" on failure
MUST_USE struct err buf_check(const struct buf *b, const char *what); // ERR_LIMIT if failed

// Secrets: own pages, mlocked where allowed, MADV_DONTDUMP, zeroed on free.
struct secret; // opaque
struct secret *secret_new(size_t n); // zeroed; NULL when memory is out
void secret_free(struct secret *s);  // zeroes; NULL is fine
uint8_t *secret_bytes(struct secret *s);
size_t secret_size(const struct secret *s);
bool secret_equal(const void *a, const void *b, size_t n); // constant time
void secret_zero(void *p, size_t n);                       // never optimised away

// Scope clean-up: `scoped(buf) struct buf b = {0};` runs buf_clear on the way out.
#define scoped(kind) __attribute__((cleanup(scoped_##kind)))
static inline void scoped_buf(struct buf *b) { buf_clear(b); }
static inline void scoped_arena(struct arena **a) { arena_free(*a); }
static inline void scoped_secret(struct secret **s) { secret_free(*s); }
void scoped_fd(int *fd);       // closes when >= 0
void scoped_heap(void *where); // `scoped(heap) char *s`: free(*where)
