// SPDX-License-Identifier: Apache-2.0
// Chunks and heads give back exactly what went in: every type, deletions, irregular ticks, mixed
// types, extremes; and refuse what was cut or altered without reading past it.
#include "lib/crypto/random.h"
#include "repository/chunk.h"
#include "repository/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ok(e)                                                                                      \
	do {                                                                                       \
		struct err e_ = (e);                                                               \
		if (e_.code)                                                                       \
			fail_msg("%s:%d: %s", __FILE__, __LINE__, e_.text);                        \
	} while (0)

enum { TICKS = 500, COLUMNS = 40 };

static uint32_t seed = 7;
static uint32_t next(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static const char *const words[] = {"UP", "DOWN", "", "LOWER_LAYER_DOWN", "10.0.0.1/24"};

static struct batch_value any_value(unsigned type)
{
	struct batch_value v = {.type = (enum batch_type)type};
	const char *w = words[next() % 5];
	static const uint64_t extremes[] = {0,	 1,  UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN,
					    255, 256};
	switch (type) {
	case VALUE_NONE:
		break;
	case VALUE_BOOL:
		v.b = next() & 1;
		break;
	case VALUE_DOUBLE:
		v.d = next() % 5 ? (double)next() / 7 : 0.0;
		break;
	case VALUE_INT:
	case VALUE_UINT:
		v.u = next() % 6 ? (uint64_t)next() << next() % 30 : extremes[next() % 7];
		break;
	default:
		v.s.bytes = (const uint8_t *)w;
		v.s.len = (uint32_t)strlen(w);
	}
	return v;
}

struct column {
	struct chunk_point points[TICKS];
	size_t n;
};

static void make_column(struct column *c, int kind)
{
	unsigned type = kind < 8 ? (unsigned)kind : VALUE_UINT;
	uint64_t counter = next();
	c->n = 0;
	for (uint32_t t = 0; t < TICKS; t++) {
		if (kind % 3 == 1 && next() % 4)
			continue; // irregular
		struct chunk_point *p = &c->points[c->n++];
		*p = (struct chunk_point){.tick = t};
		if (kind % 5 == 2 && next() % 7 == 0) {
			p->deleted = true;
			continue;
		}
		if (kind == 9) // a counter
			p->value = (struct batch_value){.type = VALUE_UINT,
							.u = counter += 1000 + next() % 50};
		else if (kind == 10) // mixed
			p->value = any_value(next() % 8);
		else
			p->value = any_value(type);
	}
}

static void same_points(const struct chunk_point *a, const struct chunk_point *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(a[i].tick, b[i].tick);
		assert_int_equal(a[i].deleted, b[i].deleted);
		if (!a[i].deleted && !batch_value_equal(&a[i].value, &b[i].value))
			fail_msg("point %zu of type %d", i, a[i].value.type);
	}
}

static void chunks_give_back(void **state)
{
	static struct column columns[COLUMNS];
	struct chunk_tick ticks[TICKS];
	struct chunk_writer *w = chunk_writer_new();
	for (int round = 0; round < 6; round++) {
		scoped(arena) struct arena *a = arena_new(64 << 20);
		scoped(buf) struct buf out = {0};
		enum chunk_codec codec;
		struct chunk c;
		int64_t t = round == 5 ? INT64_MIN : 1700000000000000000;
		for (int i = 0; i < TICKS; i++)
			ticks[i] =
				(struct chunk_tick){t += round % 2 ? 10000000000 : (int64_t)next(),
						    (uint64_t)i * 3 + next() % 2};
		chunk_write_start(w, ticks, TICKS);
		for (int i = 0; i < COLUMNS; i++) {
			make_column(&columns[i], i % 11);
			if (round == 3)
				columns[i].n = columns[i].n ? 1 : 0;
			if (columns[i].n)
				chunk_write_column(w, (uint32_t)(i * i + 1), columns[i].points,
						   columns[i].n);
		}
		ok(chunk_write_finish(w, &out, &codec));
		ok(chunk_read(out.data, out.len, codec, a, &c));
		assert_int_equal(c.n_ticks, TICKS);
		assert_memory_equal(c.ticks, ticks, sizeof ticks);
		size_t at = 0;
		for (int i = 0; i < COLUMNS; i++) {
			struct chunk_point *points;
			if (!columns[i].n)
				continue;
			assert_int_equal(c.columns[at].series, i * i + 1);
			assert_int_equal(c.columns[at].n, columns[i].n);
			ok(chunk_read_column(&c, &c.columns[at], a, &points));
			same_points(columns[i].points, points, columns[i].n);
			at++;
		}
		assert_int_equal(c.n_columns, at);
	}
	chunk_writer_free(w);
}

// Interface counters, as 8.3.1 keeps them most: the size is a promise of the design.
static void counters_are_small(void **state)
{
	static struct chunk_point points[TICKS];
	struct chunk_tick ticks[TICKS];
	struct chunk_writer *w = chunk_writer_new();
	scoped(buf) struct buf out = {0};
	enum chunk_codec codec;
	for (int i = 0; i < TICKS; i++)
		ticks[i] = (struct chunk_tick){1700000000000000000 + (int64_t)i * 10000000000,
					       (uint64_t)i};
	chunk_write_start(w, ticks, TICKS);
	for (uint32_t s = 1; s <= 12; s++) {
		uint64_t v = 0;
		for (uint32_t i = 0; i < TICKS; i++)
			points[i] = (struct chunk_point){
				i,
				false,
				{.type = VALUE_UINT, .u = v += s % 3 ? 900 + next() % 200 : 0}};
		chunk_write_column(w, s, points, TICKS);
	}
	ok(chunk_write_finish(w, &out, &codec));
	assert_true(out.len < (size_t)12 * TICKS * 2);
	chunk_writer_free(w);
}

static void refuses_cut_and_altered(void **state)
{
	static struct column column;
	struct chunk_tick ticks[TICKS];
	struct chunk_writer *w = chunk_writer_new();
	scoped(buf) struct buf out = {0};
	enum chunk_codec codec;
	for (int i = 0; i < TICKS; i++)
		ticks[i] = (struct chunk_tick){i, (uint64_t)i};
	chunk_write_start(w, ticks, 20);
	for (int i = 0; i < 11; i++) {
		make_column(&column, i);
		chunk_write_column(w, (uint32_t)i + 1, column.points,
				   column.n > 10 ? 10 : column.n);
	}
	ok(chunk_write_finish(w, &out, &codec));
	for (size_t cut = 0; cut < out.len; cut++) {
		scoped(arena) struct arena *a = arena_new(64 << 20);
		struct chunk c;
		uint8_t *exact = malloc(cut ? cut : 1);
		memcpy(exact, out.data, cut);
		assert_int_equal(chunk_read(exact, cut, codec, a, &c).code, ERR_CORRUPT);
		free(exact);
	}
	chunk_writer_free(w);
}

// A head of one series, coded as it grows, against a plain list.
static void heads_give_back(void **state)
{
	struct index x;
	struct device *d;
	ok(index_init(&x));
	ok(index_device_add(&x, "r1", &d));
	for (int kind = 0; kind < 11; kind++) {
		static struct column column;
		static struct chunk_point points[TICKS];
		char path[64];
		uint32_t number;
		snprintf(path, sizeof path, "/a/b%d", kind);
		ok(index_series_add(&x, d, path, strlen(path), CLASS_INTERNAL, 1000, &number));
		struct series *s = index_series(&x, number);
		make_column(&column, kind);
		for (size_t i = 0; i < column.n; i++) {
			uint32_t tick;
			const struct chunk_point *p = &column.points[i];
			ok(head_tick(&x, d, p->tick % 17 ? (int64_t)p->tick + 100 : 5, i + 1,
				     &tick)); // some are late
			column.points[i].tick = tick;
			ok(head_append(&x, d, s, tick, p->deleted ? NULL : &p->value));
		}
		assert_int_equal(s->head_n, column.n);
		head_points(s, points);
		same_points(column.points, points, column.n);
	}
	assert_true(x.head_bytes > 0 && x.head_points > 0);
	head_reset(&x, d);
	assert_int_equal(x.head_bytes, 0);
	assert_int_equal(x.head_points, 0);
	index_clear(&x);
}

// Paths below a node, its list entries included, its namesakes not.
static void count(void *ctx, uint32_t number, struct series *s)
{
	(*(unsigned *)ctx)++;
}

static void finds_what_lies_under(void **state)
{
	static const char *const paths[] = {"/a",     "/a/b", "/a/b[k=1]/c", "/a/bc",
					    "/a/b/d", "/ab",  "/a/b[k=2]"};
	static const struct {
		const char *path;
		unsigned n;
	} asked[] = {{"/a", 6}, {"/a/b", 4},	  {"/", 7}, {"/a/bc", 1},
		     {"/x", 0}, {"/a/b[k=1]", 1}, {"", 7}};
	struct index x;
	struct device *d, *other;
	ok(index_init(&x));
	ok(index_device_add(&x, "r1", &d));
	ok(index_device_add(&x, "r2", &other));
	for (size_t i = 0; i < 7; i++) {
		uint32_t a, b, again;
		ok(index_series_add(&x, d, paths[i], strlen(paths[i]), CLASS_INTERNAL, 100, &a));
		ok(index_series_add(&x, other, paths[i], strlen(paths[i]), CLASS_INTERNAL, 100,
				    &b));
		ok(index_series_add(&x, d, paths[i], strlen(paths[i]), CLASS_INTERNAL, 100,
				    &again));
		assert_int_equal(a, again);
		assert_int_not_equal(a, b);
		assert_ptr_equal(index_series(&x, a)->path, index_series(&x, b)->path); // kept once
	}
	for (size_t i = 0; i < 7; i++) {
		unsigned n = 0;
		ok(index_under(&x, d, asked[i].path, strlen(asked[i].path), count, &n));
		if (n != asked[i].n)
			fail_msg("under \"%s\": %u", asked[i].path, n);
	}
	uint32_t number;
	assert_int_equal(index_series_add(&x, d, "/z", 2, CLASS_INTERNAL, 7, &number).code,
			 ERR_LIMIT);
	for (int i = 0; i < 20000; i++) { // tables grow, and find what they had
		char path[40];
		snprintf(path, sizeof path, "/grow/p%d", i);
		ok(index_series_add(&x, other, path, strlen(path), CLASS_INTERNAL, 100000,
				    &number));
	}
	assert_true(index_series_find(&x, other->number, "/grow/p77", 9) > 0);
	assert_int_equal(index_series_find(&x, d->number, "/grow/p77", 9), 0);
	index_clear(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_give_back),	   cmocka_unit_test(counters_are_small),
		cmocka_unit_test(refuses_cut_and_altered), cmocka_unit_test(heads_give_back),
		cmocka_unit_test(finds_what_lies_under),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
