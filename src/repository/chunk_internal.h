// SPDX-License-Identifier: Apache-2.0
// Between chunk.c, chunk_column.c and head.c only.
#pragma once

#include "repository/chunk.h"

void column_encode(struct buf *out, const struct chunk_point *points, size_t n);
// Fills n points, all zeroed before.
MUST_USE struct err column_decode(struct cursor *c, struct chunk_point *points, size_t n,
				  struct arena *a);

static inline uint64_t zigzag(uint64_t v)
{
	return v << 1 ^ (uint64_t) - (int64_t)(v >> 63);
}

static inline uint64_t unzigzag(uint64_t v)
{
	return v >> 1 ^ (uint64_t) - (int64_t)(v & 1);
}

static inline size_t varint_write(uint8_t out[10], uint64_t v)
{
	size_t n = 0;
	while (v >= 0x80) {
		out[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	out[n++] = (uint8_t)v;
	return n;
}

static inline void put_varint(struct buf *b, uint64_t v)
{
	uint8_t bytes[10];
	buf_append(b, bytes, varint_write(bytes, v));
}

static inline bool value_is_text(enum batch_type t)
{
	return t == VALUE_STRING || t == VALUE_BYTES || t == VALUE_JSON;
}

static inline uint64_t value_bits(const struct batch_value *v)
{
	return v->type == VALUE_BOOL ? v->b : v->u;
}
