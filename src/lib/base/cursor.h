// SPDX-License-Identifier: Apache-2.0
// The one bounds-checked reader. Every byte that another process, a device or a disk sent is read
// through it. A read past the end sets a sticky `failed` and returns zeros, so that a decoder reads
// straight on and checks once with cursor_finish, which also demands that everything was consumed.
// After Knot DNS's wire_ctx. Used by every process.
#pragma once

#include "lib/base/err.h"

#include <stdint.h>

struct cursor {
	const uint8_t *at, *end;
	const uint8_t *start; // for offsets in error texts
	bool failed;
};

static inline struct cursor cursor_over(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	return (struct cursor){p, p + n, p, false};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return c->failed ? 0 : (size_t)(c->end - c->at);
}

// A view of the next n bytes, or NULL (sticky) when fewer are left. Not a copy.
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
	if (c->failed || (size_t)(c->end - c->at) < n) {
		c->failed = true;
		return NULL;
	}
	const uint8_t *p = c->at;
	c->at += n;
	return p;
}

static inline uint64_t cursor_be(struct cursor *c, unsigned n)
{
	const uint8_t *p = cursor_take(c, n);
	uint64_t v = 0;
	for (unsigned i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)cursor_be(c, 1);
}

static inline uint16_t cursor_be16(struct cursor *c)
{
	return (uint16_t)cursor_be(c, 2);
}

static inline uint32_t cursor_be32(struct cursor *c)
{
	return (uint32_t)cursor_be(c, 4);
}

static inline uint64_t cursor_be64(struct cursor *c)
{
	return cursor_be(c, 8);
}

// Base-128 varint (protobuf encoding, at most 10 bytes).
static inline uint64_t cursor_varint(struct cursor *c)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 70; shift += 7) {
		const uint8_t *p = cursor_take(c, 1);
		if (!p)
			return 0;
		if (shift == 63 && *p > 1)
			break;
		v |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p & 0x80))
			return v;
	}
	c->failed = true;
	return 0;
}

// A cursor over the next n bytes; failed when fewer are left.
static inline struct cursor cursor_sub(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_take(c, n);
	struct cursor sub = {p, p ? p + n : p, p, p == NULL};
	return sub;
}

// Copies n bytes out; zeros when fewer are left.
void cursor_copy(struct cursor *c, void *out, size_t n);

// ERR_PEER when a read went past the end or bytes remain; `what` names the message.
MUST_USE struct err cursor_finish(const struct cursor *c, const char *what);
