// SPDX-License-Identifier: Apache-2.0
// Hundreds of thousands of records pass here each second, so a record costs one bounds check for
// its fixed part and one for its value, and the canonical form is gathered in a block before it is
// hashed: OpenSSL's EVP costs more per call than SHA-256 does per byte. Nothing is allocated but a
// writer's buffer and the canonical state itself.
//
// Strict on purpose: each value has one encoding (a bool is 0 or 1, a value of no type is empty, a
// deletion has no value), so that what is stored hashes to what was signed.

#include "lib/batch/batch.h"

#include "lib/base/log.h"
#include "lib/crypto/hash.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum {
	VERSION = 1,
	FLAGS = BATCH_SIGNED | BATCH_CHAIN_START | BATCH_SYNC | BATCH_SNAPSHOT,
	RECORD_FIXED = 1 + 4 + 8 + 1, // op, series, time, type
	RECORD_MIN = RECORD_FIXED + 4,
	CANONICAL_BLOCK = 16384,
	CANONICAL_RECORD = 1 + 8 + 2 + BATCH_PATH_MAX + 1 + 8, // all but the bytes of a long value
};

static inline void put16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof v);
}

static inline void put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof v);
}

static inline void put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof v);
}

static inline uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return be32toh(v);
}

static inline uint64_t get64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return be64toh(v);
}

// --- values

static inline bool is_text(enum batch_type t)
{
	return t == VALUE_STRING || t == VALUE_BYTES || t == VALUE_JSON;
}

static inline bool is_word(enum batch_type t)
{
	return t >= VALUE_BOOL && t <= VALUE_DOUBLE;
}

static uint64_t word_of(const struct batch_value *v)
{
	uint64_t word = v->u;
	if (v->type == VALUE_BOOL)
		word = v->b;
	else if (v->type == VALUE_DOUBLE)
		memcpy(&word, &v->d, sizeof word);
	return word;
}

// Type and value; text bytes follow separately. Returns the length: 5 or 9.
static inline size_t put_value(uint8_t *p, const struct batch_value *v)
{
	p[0] = (uint8_t)v->type;
	if (is_word(v->type)) {
		put64(p + 1, word_of(v));
		return 9;
	}
	put32(p + 1, is_text(v->type) ? v->s.len : 0);
	return 5;
}

static inline bool writable(const struct batch_value *v)
{
	return v->type == VALUE_NONE || is_word(v->type) ||
	       (is_text(v->type) && v->s.len <= BATCH_STRING_MAX);
}

// Takes what follows the type. On false the cursor has failed, or stands behind what is not
// allowed.
static bool take_value(struct cursor *c, uint8_t type, struct batch_value *v)
{
	v->type = (enum batch_type)type;
	if (is_word(v->type)) {
		const uint8_t *p = cursor_take(c, 8);
		if (!p)
			return false;
		uint64_t word = get64(p);
		if (type == VALUE_BOOL)
			v->b = word != 0;
		else
			memcpy(&v->u, &word, sizeof word); // the same 64 bits, whichever it is
		return type != VALUE_BOOL || word <= 1;
	}
	if (type > VALUE_JSON)
		return false;
	const uint8_t *p = cursor_take(c, 4);
	if (!p)
		return false;
	v->s.len = get32(p);
	if (v->s.len > (type == VALUE_NONE ? 0 : BATCH_STRING_MAX))
		return false;
	v->s.bytes = cursor_take(c, v->s.len);
	return !c->failed;
}

static struct err value_error(const struct cursor *c, size_t at, uint8_t type)
{
	ENSURE(!c->failed, ERR_PEER, "batch: the value at byte %zu is cut short", at);
	ENSURE(type <= VALUE_JSON, ERR_PEER, "batch: unknown type %u at byte %zu", type, at);
	ENSURE(type != VALUE_BOOL, ERR_PEER, "batch: the bool at byte %zu is neither 0 nor 1", at);
	return err_make(ERR_PEER, "batch: the value at byte %zu is longer than %d", at,
			type == VALUE_NONE ? 0 : BATCH_STRING_MAX);
}

void batch_write_value(struct buf *out, const struct batch_value *v)
{
	if (!writable(v)) {
		out->failed = true;
		return;
	}
	uint8_t head[9];
	buf_append(out, head, put_value(head, v));
	if (is_text(v->type))
		buf_append(out, v->s.bytes, v->s.len);
}

struct err batch_read_value(struct cursor *c, struct batch_value *v)
{
	size_t at = (size_t)(c->at - c->start);
	uint8_t type = cursor_u8(c);
	*v = (struct batch_value){0};
	return !c->failed && take_value(c, type, v) ? OK : value_error(c, at, type);
}

bool batch_value_equal(const struct batch_value *a, const struct batch_value *b)
{
	if (a->type != b->type)
		return false;
	if (is_word(a->type))
		return word_of(a) == word_of(b); // doubles by their bits: a NaN equals itself
	if (a->type == VALUE_NONE)
		return true;
	return a->s.len == b->s.len &&
	       (a->s.len == 0 || memcmp(a->s.bytes, b->s.bytes, a->s.len) == 0);
}

// --- canonical form

struct batch_canonical {
	struct hash *hash;
	size_t used;
	uint8_t block[CANONICAL_BLOCK];
};

struct batch_canonical *batch_canonical_new(void)
{
	struct batch_canonical *c = malloc(sizeof *c);
	if (!c)
		return NULL;
	c->used = 0;
	c->hash = hash_new();
	if (!c->hash) {
		free(c);
		return NULL;
	}
	return c;
}

void batch_canonical_free(struct batch_canonical *c)
{
	if (!c)
		return;
	hash_free(c->hash);
	free(c);
}

static void flush(struct batch_canonical *c)
{
	hash_add(c->hash, c->block, c->used);
	c->used = 0;
}

// A block's worth of `n` bytes, to be filled at once.
static inline uint8_t *space(struct batch_canonical *c, size_t n)
{
	if (sizeof c->block - c->used < n)
		flush(c);
	uint8_t *p = c->block + c->used;
	c->used += n;
	return p;
}

static void add_bytes(struct batch_canonical *c, const void *bytes, size_t n)
{
	if (n > sizeof c->block / 4) {
		flush(c);
		hash_add(c->hash, bytes, n);
	} else if (n) {
		memcpy(space(c, n), bytes, n);
	}
}

// What no reader lets through and no writer makes: going on would sign an ambiguous text.
static void need(bool good, const char *what)
{
	if (good)
		return;
	log_error("a batch has %s", what);
	abort();
}

void batch_canonical_start(struct batch_canonical *c, const char *device, uint64_t seq,
			   const uint8_t previous[BATCH_HASH], uint32_t count)
{
	static const char title[] = "gemel batch v1\n";
	size_t len = strlen(device);
	need(len <= BATCH_DEVICE_MAX, "a device id that is too long");
	hash_start(c->hash);
	c->used = 0;
	add_bytes(c, title, sizeof title - 1);
	put16(space(c, 2), (uint16_t)len);
	add_bytes(c, device, len);
	put64(space(c, 8), seq);
	add_bytes(c, previous, BATCH_HASH);
	put32(space(c, 4), count);
}

void batch_canonical_add(struct batch_canonical *c, enum batch_op op, int64_t time_ns,
			 const char *path, size_t path_len, const struct batch_value *value)
{
	need(path_len <= BATCH_PATH_MAX, "a path that is too long");
	need(writable(value), "a value that has no form");
	if (sizeof c->block - c->used < CANONICAL_RECORD)
		flush(c);
	uint8_t *p = c->block + c->used;
	p[0] = (uint8_t)op;
	put64(p + 1, (uint64_t)time_ns);
	put16(p + 9, (uint16_t)path_len);
	memcpy(p + 11, path, path_len);
	c->used += 11 + path_len + put_value(p + 11 + path_len, value);
	if (is_text(value->type))
		add_bytes(c, value->s.bytes, value->s.len);
}

void batch_canonical_finish(struct batch_canonical *c, uint8_t hash[BATCH_HASH])
{
	flush(c);
	hash_finish(c->hash, hash);
}

// --- writing

void batch_write_head(struct batch_writer *w, struct buf *out, const struct batch_head *head)
{
	size_t device = strlen(head->device);
	*w = (struct batch_writer){.out = out, .start = out->len};
	if (device == 0 || head->signature_len > BATCH_SIGNATURE_MAX || head->flags & ~FLAGS)
		out->failed = true;
	buf_u8(out, VERSION);
	buf_u8(out, head->flags);
	buf_be16(out, (uint16_t)device);
	buf_append(out, head->device, device);
	buf_be64(out, head->seq);
	buf_append(out, head->previous, BATCH_HASH);
	buf_append(out, head->key_id, BATCH_KEY_ID);
	buf_u8(out, head->algorithm);
	buf_be16(out, head->signature_len);
	buf_append(out, head->signature, head->signature_len);
	buf_be64(out, (uint64_t)head->received_ns);
	buf_be64(out, head->revision);
	w->count_at = out->len;
	buf_be32(out, 0);
}

void batch_write_record(struct batch_writer *w, const struct batch_record *r)
{
	const struct batch_value *v = &r->value;
	bool text = is_text(v->type);
	if (!writable(v) || w->count == BATCH_COUNT_MAX ||
	    (r->op != BATCH_UPDATE && (r->op != BATCH_DELETE || v->type != VALUE_NONE))) {
		w->out->failed = true;
		return;
	}
	size_t n = RECORD_FIXED + (is_word(v->type) ? 8 : 4) + (text ? v->s.len : 0);
	uint8_t *p = buf_space(w->out, n);
	if (!p)
		return;
	p[0] = (uint8_t)r->op;
	put32(p + 1, r->series);
	put64(p + 5, (uint64_t)r->time_ns);
	size_t head = put_value(p + 13, v);
	if (text && v->s.len)
		memcpy(p + 13 + head, v->s.bytes, v->s.len);
	w->count++;
}

void batch_write_finish(struct batch_writer *w)
{
	if (w->out->len - w->start > BATCH_BYTES_MAX)
		w->out->failed = true;
	if (!w->out->failed)
		put32(w->out->data + w->count_at, w->count);
}

// --- reading

struct err batch_read_head(struct cursor *c, struct batch_head *head)
{
	*head = (struct batch_head){0};
	size_t at = (size_t)(c->at - c->start), all = cursor_left(c);
	uint8_t version = cursor_u8(c);
	head->flags = cursor_u8(c);
	uint16_t device = cursor_be16(c);
	const uint8_t *name = cursor_take(c, device);
	head->seq = cursor_be64(c);
	cursor_copy(c, head->previous, BATCH_HASH);
	cursor_copy(c, head->key_id, BATCH_KEY_ID);
	head->algorithm = cursor_u8(c);
	head->signature_len = cursor_be16(c);
	head->signature = cursor_take(c, head->signature_len);
	head->received_ns = (int64_t)cursor_be64(c);
	head->revision = cursor_be64(c);
	head->count = cursor_be32(c);
	ENSURE(!c->failed, ERR_PEER, "batch: its head is cut short at byte %zu",
	       (size_t)(c->at - c->start));
	ENSURE(version == VERSION, ERR_PEER, "batch: version %u at byte %zu; %d is known", version,
	       at, VERSION);
	ENSURE(!(head->flags & ~FLAGS), ERR_PEER, "batch: unknown flags 0x%02x at byte %zu",
	       head->flags, at + 1);
	ENSURE(device > 0 && device <= BATCH_DEVICE_MAX && !memchr(name, 0, device), ERR_PEER,
	       "batch: the device id at byte %zu is empty, too long or has a zero byte", at + 4);
	ENSURE(head->signature_len <= BATCH_SIGNATURE_MAX, ERR_PEER,
	       "batch: a signature of %u bytes; at most %d", head->signature_len,
	       BATCH_SIGNATURE_MAX);
	ENSURE(all <= BATCH_BYTES_MAX, ERR_PEER, "batch: %zu bytes; at most %d", all,
	       BATCH_BYTES_MAX);
	ENSURE(head->count <= BATCH_COUNT_MAX && head->count <= cursor_left(c) / RECORD_MIN,
	       ERR_PEER, "batch: %u records are announced, and %zu bytes follow byte %zu",
	       head->count, cursor_left(c), (size_t)(c->at - c->start));
	memcpy(head->device, name, device);
	return OK;
}

struct err batch_read_record(struct cursor *c, struct batch_record *r)
{
	size_t at = (size_t)(c->at - c->start);
	const uint8_t *p = cursor_take(c, RECORD_FIXED);
	ENSURE(p, ERR_PEER, "batch: the record at byte %zu is cut short", at);
	r->op = (enum batch_op)p[0];
	r->series = get32(p + 1);
	r->time_ns = (int64_t)get64(p + 5);
	ENSURE(p[0] == BATCH_UPDATE || p[0] == BATCH_DELETE, ERR_PEER,
	       "batch: unknown operation %u at byte %zu", p[0], at);
	if (!take_value(c, p[13], &r->value))
		return value_error(c, at + 13, p[13]);
	ENSURE(p[0] == BATCH_UPDATE || p[13] == VALUE_NONE, ERR_PEER,
	       "batch: the deletion at byte %zu has a value", at);
	return OK;
}
