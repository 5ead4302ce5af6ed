// SPDX-License-Identifier: Apache-2.0
// The layout byte for byte, the canonical form against a hash over a text built here by hand, every
// bound, every flipped bit and every truncation.

#include "lib/batch/batch.h"
#include "lib/crypto/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(t, bytes)                                                                             \
	{                                                                                          \
		.type = t, .s = {(const uint8_t *)(bytes), sizeof(bytes) - 1 }                     \
	}

static const struct batch_record records[] = {
	{BATCH_UPDATE, 1, -5, {.type = VALUE_NONE}},
	{BATCH_UPDATE, 2, 1700000000000000000, {.type = VALUE_BOOL, .b = true}},
	{BATCH_UPDATE, 3, 7, {.type = VALUE_INT, .i = -2}},
	{BATCH_UPDATE, 0xfffffffe, INT64_MIN, {.type = VALUE_UINT, .u = UINT64_MAX}},
	{BATCH_UPDATE, 5, INT64_MAX, {.type = VALUE_DOUBLE, .d = 1.5}},
	{BATCH_UPDATE, 6, 8, TEXT(VALUE_STRING, "UP")},
	{BATCH_UPDATE, 7, 8, TEXT(VALUE_BYTES, "\0\377")},
	{BATCH_UPDATE, 8, 8, TEXT(VALUE_JSON, "[]")},
	{BATCH_UPDATE, 9, 8, TEXT(VALUE_STRING, "")},
	{BATCH_DELETE, 10, 9, {.type = VALUE_NONE}},
};
enum { N = sizeof records / sizeof *records };

static struct batch_head head_of(void)
{
	struct batch_head h = {.flags = BATCH_SIGNED | BATCH_CHAIN_START,
			       .device = "r1",
			       .seq = 3,
			       .algorithm = 1,
			       .signature = (const uint8_t *)"sig",
			       .signature_len = 3,
			       .received_ns = 11,
			       .revision = 12};
	memset(h.previous, 0xaa, sizeof h.previous);
	memset(h.key_id, 0xbb, sizeof h.key_id);
	return h;
}

static void write_all(struct buf *b)
{
	struct batch_head h = head_of();
	struct batch_writer w;
	batch_write_head(&w, b, &h);
	for (size_t i = 0; i < N; i++)
		batch_write_record(&w, &records[i]);
	batch_write_finish(&w);
	assert_int_equal(buf_check(b, "batch").code, ERR_NONE);
}

// Reads everything; true when all of it was accepted.
static bool read_all(const uint8_t *bytes, size_t n, struct batch_head *h, struct batch_record *out)
{
	struct cursor c = cursor_over(bytes, n);
	struct err e = batch_read_head(&c, h);
	for (uint32_t i = 0; e.code == ERR_NONE && i < h->count; i++)
		e = batch_read_record(&c, &out[i]);
	if (e.code == ERR_NONE)
		e = cursor_finish(&c, "batch");
	if (e.code != ERR_NONE && e.code != ERR_PEER)
		fail_msg("%s: %s", err_code_name(e.code), e.text);
	return e.code == ERR_NONE;
}

static void test_layout(void **state)
{
	static const uint8_t head[] = {
		1,    3,    0,	  2,	'r',  '1',  0,	  0,	0,    0,    0,	  0,	0,    3, //
		0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
		0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
		0xaa, 0xaa, 0xaa, 0xaa,				//
		0xbb, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb, //
		1,    0,    3,	  's',	'i',  'g',  0,	  0,	0,    0,    0,	  0,	0,    11,
		0,    0,    0,	  0,	0,    0,    0,	  12,	0,    0,    0,	  1};
	static const uint8_t record[] = {1, 0, 0, 0, 6, 0, 0, 0, 0,   0,
					 0, 0, 8, 5, 0, 0, 0, 2, 'U', 'P'};
	static const uint8_t number[] = {3, 0x80, 0, 0, 0, 0, 0, 0, 1};
	scoped(buf) struct buf b = {0};
	struct batch_head h = head_of();
	struct batch_writer w;
	buf_u8(&b, 0x77); // a batch may follow something else in the buffer
	batch_write_head(&w, &b, &h);
	batch_write_record(&w, &records[5]);
	batch_write_finish(&w);
	assert_int_equal(b.len, 1 + sizeof head + sizeof record);
	assert_memory_equal(b.data + 1, head, sizeof head);
	assert_memory_equal(b.data + 1 + sizeof head, record, sizeof record);
	buf_reset(&b);
	batch_write_value(&b, &(struct batch_value){.type = VALUE_UINT, .u = (1ULL << 63) + 1});
	assert_int_equal(b.len, sizeof number);
	assert_memory_equal(b.data, number, sizeof number);
}

static void test_round_trip(void **state)
{
	scoped(buf) struct buf b = {0};
	struct batch_head h, want = head_of();
	struct batch_record r[N];
	write_all(&b);
	assert_true(read_all(b.data, b.len, &h, r));
	assert_int_equal(h.count, N);
	assert_int_equal(h.flags, want.flags);
	assert_string_equal(h.device, "r1");
	assert_true(h.seq == 3 && h.algorithm == 1 && h.received_ns == 11 && h.revision == 12);
	assert_memory_equal(h.previous, want.previous, BATCH_HASH);
	assert_memory_equal(h.key_id, want.key_id, BATCH_KEY_ID);
	assert_int_equal(h.signature_len, 3);
	assert_memory_equal(h.signature, "sig", 3);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(r[i].op, records[i].op);
		assert_int_equal(r[i].series, records[i].series);
		assert_true(r[i].time_ns == records[i].time_ns);
		for (size_t k = 0; k < N; k++) {
			bool same = batch_value_equal(&r[i].value, &records[k].value);
			bool both_none = records[i].value.type == VALUE_NONE &&
					 records[k].value.type == VALUE_NONE;
			assert_int_equal(same, i == k || both_none);
		}
	}
}

static void test_values(void **state)
{
	for (size_t i = 0; i < N; i++) {
		scoped(buf) struct buf b = {0};
		struct batch_value v;
		batch_write_value(&b, &records[i].value);
		struct cursor c = cursor_over(b.data, b.len);
		assert_int_equal(batch_read_value(&c, &v).code, ERR_NONE);
		assert_int_equal(cursor_finish(&c, "value").code, ERR_NONE);
		assert_true(batch_value_equal(&v, &records[i].value));
		for (size_t cut = 0; cut < b.len; cut++) {
			c = cursor_over(b.data, cut);
			assert_int_equal(batch_read_value(&c, &v).code, ERR_PEER);
		}
	}
	static const uint8_t bad[][9] = {
		{VALUE_BOOL, 0, 0, 0, 0, 0, 0, 0, 2},
		{VALUE_BOOL, 1},
		{VALUE_JSON + 1},
		{VALUE_NONE, 0, 0, 0, 1, 'x'},
		{VALUE_STRING, 0, 1, 0, 0},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct batch_value v;
		struct cursor c = cursor_over(bad[i], sizeof bad[i]);
		assert_int_equal(batch_read_value(&c, &v).code, ERR_PEER);
	}
	struct batch_value zero = {.type = VALUE_DOUBLE, .d = 0.0}, minus = zero;
	minus.d = -0.0;
	assert_false(batch_value_equal(&zero, &minus));
}

// An accepted change must show: nothing in the layout is ignored.
static void test_flips_and_cuts(void **state)
{
	scoped(buf) struct buf b = {0};
	struct batch_head h;
	struct batch_record r[N];
	write_all(&b);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (read_all(b.data, b.len, &h, r)) {
			scoped(buf) struct buf again = {0};
			struct batch_writer w;
			batch_write_head(&w, &again, &h);
			for (uint32_t i = 0; i < h.count; i++)
				batch_write_record(&w, &r[i]);
			batch_write_finish(&w);
			assert_false(again.failed);
			assert_int_equal(again.len, b.len);
			assert_memory_equal(again.data, b.data, b.len);
		}
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t cut = 0; cut < b.len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);
		memcpy(exact, b.data, cut);
		assert_false(read_all(exact, cut, &h, r));
		free(exact);
	}
}

// `at` bytes into the written batch, one byte is set.
static bool accepted_with(size_t at, uint8_t byte)
{
	scoped(buf) struct buf b = {0};
	struct batch_head h;
	struct batch_record r[N];
	write_all(&b);
	b.data[at] = byte;
	return read_all(b.data, b.len, &h, r);
}

static void test_refused(void **state)
{
	enum { FIRST = 80 }; // the first record
	assert_true(accepted_with(0, 1));
	assert_false(accepted_with(0, 2));		 // version
	assert_false(accepted_with(1, 16));		 // flag
	assert_false(accepted_with(4, 0));		 // zero byte in the device id
	assert_false(accepted_with(79, N - 1));		 // a record more than announced
	assert_false(accepted_with(77, 1));		 // more than can be
	assert_true(accepted_with(FIRST, BATCH_DELETE)); // it has no value
	assert_false(accepted_with(FIRST, 3));
	assert_false(accepted_with(FIRST, 0));
	assert_false(accepted_with(FIRST + 18, BATCH_DELETE)); // it has one
}

static void test_writer_bounds(void **state)
{
	scoped(buf) struct buf b = {0};
	struct batch_head h = head_of();
	struct batch_writer w;
	static const uint8_t big[BATCH_STRING_MAX + 1];
	struct batch_record r = {
		BATCH_UPDATE, 1, 1, {.type = VALUE_BYTES, .s = {big, BATCH_STRING_MAX}}};
	batch_write_head(&w, &b, &h);
	batch_write_record(&w, &r);
	assert_false(b.failed);
	r.value.s.len++;
	batch_write_record(&w, &r);
	assert_true(b.failed);
	buf_reset(&b);
	batch_write_head(&w, &b, &h);
	batch_write_record(&w,
			   &(struct batch_record){BATCH_DELETE, 1, 1, {.type = VALUE_INT, .i = 1}});
	assert_true(b.failed);
	buf_reset(&b);
	h.signature_len = BATCH_SIGNATURE_MAX + 1;
	h.signature = big;
	batch_write_head(&w, &b, &h);
	assert_true(b.failed);
	buf_reset(&b);
	h = head_of();
	batch_write_head(&w, &b, &h);
	for (uint32_t i = 0; i <= BATCH_COUNT_MAX; i++) {
		assert_false(b.failed);
		batch_write_record(&w, &records[2]);
	}
	assert_true(b.failed); // one too many
}

// The documented form, put together without the code under test.
static void canonical_by_hand(const struct batch_record *r, size_t n, const char *path,
			      size_t path_len, const uint8_t previous[BATCH_HASH],
			      uint8_t out[BATCH_HASH])
{
	scoped(buf) struct buf b = {0};
	buf_str(&b, "gemel batch v1\n");
	buf_be16(&b, 2);
	buf_str(&b, "r1");
	buf_be64(&b, 3);
	buf_append(&b, previous, BATCH_HASH);
	buf_be32(&b, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		const struct batch_value *v = &r[i].value;
		buf_u8(&b, (uint8_t)r[i].op);
		buf_be64(&b, (uint64_t)r[i].time_ns);
		buf_be16(&b, (uint16_t)path_len);
		buf_append(&b, path, path_len);
		buf_u8(&b, (uint8_t)v->type);
		if (v->type == VALUE_BOOL) {
			buf_be64(&b, v->b);
		} else if (v->type >= VALUE_INT && v->type <= VALUE_DOUBLE) {
			buf_be64(&b, v->u);
		} else {
			uint32_t len = v->type == VALUE_NONE ? 0 : v->s.len;
			buf_be32(&b, len);
			buf_append(&b, v->s.bytes, len);
		}
	}
	assert_false(b.failed);
	hash_sha256(b.data, b.len, out);
}

static void canonical(struct batch_canonical *c, const struct batch_record *r, size_t n,
		      const char *path, size_t path_len, const uint8_t previous[BATCH_HASH],
		      uint8_t out[BATCH_HASH])
{
	batch_canonical_start(c, "r1", 3, previous, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		batch_canonical_add(c, r[i].op, r[i].time_ns, path, path_len, &r[i].value);
	batch_canonical_finish(c, out);
}

static void test_canonical(void **state)
{
	enum { MANY = 3000 };
	static struct batch_record many[MANY];
	static uint8_t big[BATCH_STRING_MAX];
	static char path[BATCH_PATH_MAX];
	uint8_t previous[BATCH_HASH] = {9}, a[BATCH_HASH], b[BATCH_HASH];
	struct batch_canonical *c = batch_canonical_new();
	assert_non_null(c);
	memset(path, 'p', sizeof path);
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < MANY; i++) {
		many[i] = records[i % N];
		uint32_t len = i % 501 == 0
				       ? 4095 + (uint32_t)(i / 501) // around the block's quarter
				       : (uint32_t)(i * 21 % sizeof big);
		if (i % 97 == 0 || i % 501 == 0)
			many[i].value = (struct batch_value){.type = VALUE_BYTES, .s = {big, len}};
	}
	for (size_t n = 0; n <= N; n++) {
		canonical(c, records, n, "/a", 2, previous, a);
		canonical_by_hand(records, n, "/a", 2, previous, b);
		assert_memory_equal(a, b, BATCH_HASH);
	}
	for (size_t len = 0; len <= sizeof path; len += 128) {
		canonical(c, many, MANY, path, len, previous, a);
		canonical_by_hand(many, MANY, path, len, previous, b);
		assert_memory_equal(a, b, BATCH_HASH);
	}
	previous[31] ^= 1;
	canonical(c, records, N, "/a", 2, previous, b);
	assert_memory_not_equal(a, b, BATCH_HASH);
	batch_canonical_free(c);
	batch_canonical_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),	  cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_values),	  cmocka_unit_test(test_flips_and_cuts),
		cmocka_unit_test(test_refused),	  cmocka_unit_test(test_writer_bounds),
		cmocka_unit_test(test_canonical),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
