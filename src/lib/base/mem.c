// SPDX-License-Identifier: Apache-2.0
// Arena: a list of chunks, each twice the last up to 1 MiB; a request larger than a chunk gets its
// own. Buffers double. Secrets sit on pages of their own, so that mlock and MADV_DONTDUMP never
// touch a neighbour.

#include "lib/base/mem.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct chunk {
	struct chunk *next;
	size_t size, used;
	_Alignas(16) uint8_t bytes[];
};

struct arena {
	struct chunk *head; // newest first
	size_t limit, used;
};

enum { CHUNK_FIRST = 4096, CHUNK_MAX = 1 << 20 };

struct arena *arena_new(size_t limit)
{
	struct arena *a = calloc(1, sizeof *a);
	if (a)
		a->limit = limit;
	return a;
}

void arena_reset(struct arena *a)
{
	while (a->head && a->head->next) {
		struct chunk *next = a->head->next;
		free(a->head);
		a->head = next;
	}
	if (a->head)
		a->head->used = 0;
	a->used = 0;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	arena_reset(a);
	free(a->head);
	free(a);
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

static struct chunk *arena_grow(struct arena *a, size_t bytes)
{
	size_t size = a->head ? a->head->size * 2 : CHUNK_FIRST;
	if (size > CHUNK_MAX)
		size = CHUNK_MAX;
	if (size < bytes)
		size = bytes;
	struct chunk *c = malloc(sizeof *c + size);
	if (!c)
		return NULL;
	c->next = a->head;
	c->size = size;
	c->used = 0;
	a->head = c;
	return c;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	if (bytes > a->limit)
		return NULL;
	bytes = (bytes + 15) & ~(size_t)15;
	if (a->used + bytes > a->limit)
		return NULL;
	struct chunk *c = a->head;
	if (!c || c->size - c->used < bytes)
		c = arena_grow(a, bytes);
	if (!c)
		return NULL;
	void *p = c->bytes + c->used;
	c->used += bytes;
	a->used += bytes;
	return memset(p, 0, bytes);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);
	if (p && n)
		memcpy(p, s, n);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (p)
		vsnprintf(p, (size_t)n + 1, format, again);
	va_end(again);
	return p;
}

void buf_clear(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.limit = b->limit};
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

static bool buf_reserve(struct buf *b, size_t n)
{
	size_t limit = b->limit ? b->limit : BUF_DEFAULT_LIMIT;
	if (b->failed || n > limit || b->len > limit - n) {
		b->failed = true;
		return false;
	}
	if (b->cap - b->len > n)
		return true;
	size_t cap = b->cap ? b->cap : 256;
	while (cap - b->len <= n)
		cap *= 2;
	uint8_t *data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

uint8_t *buf_space(struct buf *b, size_t n)
{
	if (!buf_reserve(b, n))
		return NULL;
	uint8_t *p = b->data + b->len;
	b->len += n;
	return p;
}

void buf_append(struct buf *b, const void *bytes, size_t n)
{
	uint8_t *p = buf_space(b, n);
	if (p && n)
		memcpy(p, bytes, n);
}

void buf_u8(struct buf *b, uint8_t v)
{
	buf_append(b, &v, 1);
}

static void buf_be(struct buf *b, uint64_t v, size_t n)
{
	uint8_t *p = buf_space(b, n);
	for (size_t i = 0; p && i < n; i++)
		p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

void buf_be16(struct buf *b, uint16_t v)
{
	buf_be(b, v, 2);
}

void buf_be32(struct buf *b, uint32_t v)
{
	buf_be(b, v, 4);
}

void buf_be64(struct buf *b, uint64_t v)
{
	buf_be(b, v, 8);
}

void buf_str(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0)
		b->failed = true;
	else if (buf_reserve(b, (size_t)n)) {
		vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

const char *buf_text(struct buf *b)
{
	if (b->failed || !buf_reserve(b, 0))
		return "";
	b->data[b->len] = 0;
	return (const char *)b->data;
}

struct err buf_check(const struct buf *b, const char *what)
{
	ENSURE(!b->failed, ERR_LIMIT, "%s: larger than %zu bytes, or out of memory", what,
	       b->limit ? b->limit : BUF_DEFAULT_LIMIT);
	return OK;
}

struct secret {
	size_t size, mapped;
	_Alignas(16) uint8_t bytes[];
};

struct secret *secret_new(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t mapped = (sizeof(struct secret) + n + page - 1) / page * page;
	struct secret *s = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);
	if (s == MAP_FAILED)
		return NULL;
	madvise(s, mapped, MADV_DONTDUMP);
	madvise(s, mapped, MADV_WIPEONFORK);
	(void)mlock(s, mapped); // a small RLIMIT_MEMLOCK must not stop an unprivileged user
	s->size = n;
	s->mapped = mapped;
	return s;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	size_t mapped = s->mapped;
	OPENSSL_cleanse(s, mapped);
	munmap(s, mapped);
}

uint8_t *secret_bytes(struct secret *s)
{
	return s->bytes;
}

size_t secret_size(const struct secret *s)
{
	return s->size;
}

bool secret_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void secret_zero(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}

void scoped_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

void scoped_heap(void *where)
{
	free(*(void **)where);
}
