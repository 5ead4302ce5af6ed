// SPDX-License-Identifier: Apache-2.0
// Protobuf's wire format, straight: fields one after the other through a cursor, and the pieces to
// write them. For the hot path and for paths; everything else uses protobuf-c.
// https://protobuf.dev/programming-guides/encoding. Used inside lib/gnmi.
#pragma once

#include "lib/base/cursor.h"
#include "lib/base/mem.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;	   // of the three scalar types
	struct cursor sub; // of WIRE_BYTES
};

static inline uint64_t wire_varint(struct cursor *c)
{
	if (c->at < c->end && *c->at < 0x80 && !c->failed)
		return *c->at++;
	return cursor_varint(c);
}

static inline uint64_t wire_little(struct cursor *c, unsigned n)
{
	const uint8_t *p = cursor_take(c, n);
	uint64_t v = 0;
	for (unsigned i = 0; p && i < n; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

// The next field; false at the end or when the bytes are broken (cursor_finish tells which).
static inline bool wire_next(struct cursor *c, struct wire_field *f)
{
	if (c->failed || c->at == c->end)
		return false;
	uint64_t tag = wire_varint(c);
	*f = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
	if (f->number == 0 || tag >> 32)
		c->failed = true;
	switch (f->type) {
	case WIRE_VARINT:
		f->value = wire_varint(c);
		break;
	case WIRE_FIXED64:
		f->value = wire_little(c, 8);
		break;
	case WIRE_BYTES:
		f->sub = cursor_sub(c, wire_varint(c));
		break;
	case WIRE_FIXED32:
		f->value = wire_little(c, 4);
		break;
	default:
		c->failed = true; // groups are not used
	}
	return !c->failed;
}

// --- writing

static inline size_t wire_varint_size(uint64_t v)
{
	return (size_t)(9 * (64 - __builtin_clzll(v | 1)) + 64) / 64;
}

static inline uint8_t *wire_varint_to(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

static inline size_t wire_bytes_size(uint32_t number, size_t n)
{
	return wire_varint_size((uint64_t)number << 3) + wire_varint_size(n) + n;
}

static inline size_t wire_varint_field_size(uint32_t number, uint64_t v)
{
	return wire_varint_size((uint64_t)number << 3) + wire_varint_size(v);
}

static inline void wire_put_varint(struct buf *b, uint64_t v)
{
	uint8_t *p = buf_space(b, wire_varint_size(v));
	if (p)
		wire_varint_to(p, v);
}

static inline void wire_put_number(struct buf *b, uint32_t number, uint64_t v)
{
	wire_put_varint(b, (uint64_t)number << 3 | WIRE_VARINT);
	wire_put_varint(b, v);
}

// The head of a field of n bytes that the caller appends next.
static inline void wire_put_head(struct buf *b, uint32_t number, size_t n)
{
	wire_put_varint(b, (uint64_t)number << 3 | WIRE_BYTES);
	wire_put_varint(b, n);
}

static inline void wire_put_bytes(struct buf *b, uint32_t number, const void *bytes, size_t n)
{
	wire_put_head(b, number, n);
	buf_append(b, bytes, n);
}
