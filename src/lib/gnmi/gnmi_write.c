// SPDX-License-Identifier: Apache-2.0
// Writing SubscribeResponses into one buffer. The Notification's length is not known at its start:
// four bytes stand for it, and hold a varint padded to that size at the end (decoders take padded
// varints; moving the bytes instead would touch each batch twice).

#include "lib/gnmi/gnmi_fast.h"

#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/wire.h"

#include <string.h>

enum { LENGTH_SIZE = 4, LENGTH_MAX = (1 << 28) - 1 };

void gnmi_writer_start(struct gnmi_writer *w, struct buf *out, int64_t timestamp_ns,
		       const uint8_t *prefix, size_t prefix_len)
{
	static const uint8_t length[LENGTH_SIZE];
	buf_u8(out, 1 << 3 | WIRE_BYTES); // SubscribeResponse.update
	*w = (struct gnmi_writer){.out = out, .note_at = out->len};
	buf_append(out, length, sizeof length);
	wire_put_number(out, 1, (uint64_t)timestamp_ns);
	if (prefix && prefix_len)
		wire_put_bytes(out, 2, prefix, prefix_len);
}

static uint32_t value_field_number(enum gnmi_type type)
{
	static const uint8_t number[] = {
		[GNMI_STRING] = 1,   [GNMI_INT] = 2,   [GNMI_UINT] = 3,
		[GNMI_BOOL] = 4,     [GNMI_BYTES] = 5, [GNMI_DOUBLE] = 14,
		[GNMI_LEAFLIST] = 8, [GNMI_ANY] = 9,   [GNMI_JSON] = 11,
	};
	return number[type];
}

// Bytes of the TypedValue. All field numbers are below 16: one tag byte.
static size_t value_size(const struct gnmi_value *v)
{
	switch (v->type) {
	case GNMI_NONE:
		return 0;
	case GNMI_BOOL:
		return 2;
	case GNMI_INT:
	case GNMI_UINT:
		return 1 + wire_varint_size(v->u);
	case GNMI_DOUBLE:
		return 9;
	default:
		return 1 + wire_varint_size(v->s.len) + v->s.len;
	}
}

static uint8_t *put(uint8_t *p, const void *bytes, size_t n)
{
	if (n)
		memcpy(p, bytes, n);
	return p + n;
}

static uint8_t *value_to(uint8_t *p, const struct gnmi_value *v)
{
	uint32_t number = value_field_number(v->type);
	switch (v->type) {
	case GNMI_NONE:
		return p;
	case GNMI_BOOL:
		*p++ = (uint8_t)(number << 3 | WIRE_VARINT);
		*p++ = v->b;
		return p;
	case GNMI_INT:
	case GNMI_UINT:
		*p++ = (uint8_t)(number << 3 | WIRE_VARINT);
		return wire_varint_to(p, v->u);
	case GNMI_DOUBLE:
		*p++ = (uint8_t)(number << 3 | WIRE_FIXED64);
		uint64_t bits;
		memcpy(&bits, &v->d, sizeof bits);
		for (unsigned i = 0; i < 8; i++)
			*p++ = (uint8_t)(bits >> 8 * i);
		return p;
	default:
		*p++ = (uint8_t)(number << 3 | WIRE_BYTES);
		return put(wire_varint_to(p, v->s.len), v->s.bytes, v->s.len);
	}
}

void gnmi_write_update(struct gnmi_writer *w, const uint8_t *path, size_t path_len,
		       const struct gnmi_value *value)
{
	size_t value_len = value_size(value);
	size_t n = wire_bytes_size(1, path_len) + wire_bytes_size(3, value_len);
	uint8_t *p = buf_space(w->out, wire_bytes_size(4, n));
	if (!p)
		return;
	*p++ = 4 << 3 | WIRE_BYTES;
	p = wire_varint_to(p, n);
	*p++ = 1 << 3 | WIRE_BYTES;
	p = put(wire_varint_to(p, path_len), path, path_len);
	*p++ = 3 << 3 | WIRE_BYTES;
	value_to(wire_varint_to(p, value_len), value);
	w->count++;
}

void gnmi_write_delete(struct gnmi_writer *w, const uint8_t *path, size_t path_len)
{
	wire_put_bytes(w->out, 5, path, path_len);
	w->count++;
}

// --- extensions: each level's length first, so they are made inside out in small buffers

static void put_extension(struct buf *out, uint32_t kind, const uint8_t *message, size_t n)
{
	size_t payload = wire_bytes_size(kind, n);
	size_t registered = wire_varint_field_size(1, GNMI_EXT__EXTENSION_ID__EID_EXPERIMENTAL) +
			    wire_bytes_size(2, payload);
	wire_put_head(out, 5, wire_bytes_size(1, registered));
	wire_put_head(out, 1, registered);
	wire_put_number(out, 1, GNMI_EXT__EXTENSION_ID__EID_EXPERIMENTAL);
	wire_put_head(out, 2, payload);
	wire_put_bytes(out, kind, message, n);
}

static void put_proof(struct buf *out, const struct gnmi_proof *p)
{
	scoped(buf) struct buf m = {0};
	wire_put_number(&m, 1, p->seq);
	wire_put_bytes(&m, 2, p->previous, 32);
	wire_put_bytes(&m, 3, p->key_id, 8);
	wire_put_number(&m, 4, p->algorithm);
	wire_put_bytes(&m, 5, p->signature, p->signature_len);
	wire_put_bytes(&m, 6, p->device, p->device_len);
	if (p->sync)
		wire_put_number(&m, 7, 1);
	if (m.failed)
		out->failed = true;
	else
		put_extension(out, 1, m.data, m.len);
}

static void put_loss(struct buf *out, const struct gnmi_loss *l)
{
	uint8_t m[3 * 11], *p = m;
	const uint64_t v[3] = {l->count, l->from_seq, l->to_seq};
	for (unsigned i = 0; i < 3; i++) {
		*p++ = (uint8_t)((i + 1) << 3 | WIRE_VARINT);
		p = wire_varint_to(p, v[i]);
	}
	put_extension(out, 3, m, (size_t)(p - m));
}

void gnmi_writer_finish(struct gnmi_writer *w, const struct gnmi_proof *proof,
			const struct gnmi_loss *loss)
{
	struct buf *out = w->out;
	if (out->failed)
		return;
	size_t n = out->len - w->note_at - LENGTH_SIZE;
	if (n > LENGTH_MAX) {
		out->failed = true;
		return;
	}
	for (unsigned i = 0; i < LENGTH_SIZE; i++, n >>= 7)
		out->data[w->note_at + i] =
			(uint8_t)((n & 0x7f) | (i + 1 < LENGTH_SIZE ? 0x80 : 0));
	if (proof && proof->present)
		put_proof(out, proof);
	if (loss && loss->present)
		put_loss(out, loss);
}

void gnmi_write_sync(struct buf *out)
{
	wire_put_number(out, 3, 1);
}

void gnmi_write_ack(struct buf *out, uint64_t seq, const uint8_t key_id[8])
{
	uint8_t m[32], *p = m;
	*p++ = 1 << 3 | WIRE_VARINT;
	p = wire_varint_to(p, seq);
	*p++ = 2 << 3 | WIRE_BYTES;
	*p++ = 8;
	p = put(p, key_id, 8);
	put_extension(out, 2, m, (size_t)(p - m));
}
