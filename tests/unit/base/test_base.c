// SPDX-License-Identifier: Apache-2.0
// Errors, memory, the cursor and the clock: each bound is reached and passed.

#include "lib/base/clock.h"
#include "lib/base/cursor.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_err(void **state)
{
	struct err e = err_make(ERR_CONFLICT, "port %d", 7);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_string_equal(e.text, "port 7");
	e = err_within(e, "file %s", "x");
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_string_equal(e.text, "file x: port 7");
	assert_int_equal(err_within(OK, "x").code, ERR_NONE);
	errno = ENOENT;
	e = err_system("open y");
	assert_int_equal(e.code, ERR_IO);
	assert_string_equal(e.text, "open y: No such file or directory");
	char big[2 * ERR_TEXT_MAX];
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = 0;
	assert_int_equal(strlen(err_make(ERR_IO, "%s", big).text), ERR_TEXT_MAX - 1);
	for (int c = 0; c < ERR_CODES; c++)
		assert_string_not_equal(err_code_name((enum err_code)c), "unknown");
	assert_string_equal(err_code_name(ERR_CODES), "unknown");
}

static void test_arena(void **state)
{
	struct arena *a = arena_new(10000);
	char *p = arena_alloc(a, 1), *q = arena_alloc(a, 17);
	assert_non_null(p);
	assert_int_equal((uintptr_t)q % 16, 0);
	assert_int_equal(arena_used(a), 48);
	memset(q, 0xff, 17);
	assert_non_null(arena_alloc(a, 5000)); // a chunk of its own
	assert_null(arena_alloc(a, 5000));
	assert_null(arena_alloc(a, SIZE_MAX - 3));
	arena_reset(a);
	assert_int_equal(arena_used(a), 0);
	const char *zero = arena_alloc(a, 64);
	for (int i = 0; i < 64; i++)
		assert_int_equal(zero[i], 0);
	assert_string_equal(arena_strndup(a, "hello", 3), "hel");
	assert_string_equal(arena_printf(a, "%d-%s", 4, "x"), "4-x");
	arena_free(a);
	arena_free(NULL);
}

static void test_buf(void **state)
{
	scoped(buf) struct buf b = {.limit = 16};
	buf_be16(&b, 0x0102);
	buf_be32(&b, 0x03040506);
	buf_be64(&b, 0x0708090a0b0c0d0eULL);
	assert_int_equal(b.len, 14);
	for (int i = 0; i < 14; i++)
		assert_int_equal(b.data[i], i + 1);
	buf_str(&b, "xy");
	assert_int_equal(buf_check(&b, "b").code, ERR_NONE);
	buf_u8(&b, 1);
	assert_true(b.failed);
	assert_int_equal(b.len, 16);
	assert_int_equal(buf_check(&b, "b").code, ERR_LIMIT);
	buf_reset(&b);
	buf_printf(&b, "%05d", 42);
	assert_string_equal(buf_text(&b), "00042");
	assert_null(buf_space(&b, SIZE_MAX));
	assert_string_equal(buf_text(&b), "");
}

static void test_secret(void **state)
{
	struct secret *s = secret_new(5000);
	assert_int_equal(secret_size(s), 5000);
	assert_int_equal(secret_bytes(s)[4999], 0);
	memset(secret_bytes(s), 7, 5000);
	assert_true(secret_equal(secret_bytes(s), secret_bytes(s) + 1, 4999));
	secret_zero(secret_bytes(s), 1);
	assert_false(secret_equal(secret_bytes(s), secret_bytes(s) + 1, 4999));
	secret_free(s);
	secret_free(NULL);
}

static void test_cursor(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 0xac, 0x02, 9, 8};
	struct cursor c = cursor_over(bytes, sizeof bytes);
	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_be16(&c), 0x0203);
	assert_int_equal(cursor_be32(&c), 0x04050607);
	assert_int_equal(cursor_varint(&c), 300);
	assert_int_equal(cursor_finish(&c, "m").code, ERR_PEER);
	struct cursor sub = cursor_sub(&c, 2);
	assert_int_equal(cursor_finish(&c, "m").code, ERR_NONE);
	assert_int_equal(cursor_left(&sub), 2);
	assert_int_equal(cursor_be32(&sub), 0); // past the end: zeros, and it sticks
	assert_int_equal(cursor_u8(&sub), 0);
	assert_int_equal(cursor_left(&sub), 0);
	assert_int_equal(cursor_finish(&sub, "m").code, ERR_PEER);
	assert_true(cursor_sub(&sub, 0).failed);
	uint8_t out[4] = {1, 1, 1, 1};
	cursor_copy(&sub, out, 4);
	assert_int_equal(out[3], 0);
}

static void test_varint(void **state)
{
	uint8_t most[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
	struct cursor c = cursor_over(most, 10);
	assert_true(cursor_varint(&c) == UINT64_MAX);
	assert_int_equal(cursor_finish(&c, "v").code, ERR_NONE);
	most[9] = 2; // 65 bits
	c = cursor_over(most, 10);
	cursor_varint(&c);
	assert_true(c.failed);
	c = cursor_over(most, 9);
	cursor_varint(&c);
	assert_true(c.failed);
}

static void test_clock(void **state)
{
	char text[CLOCK_TEXT_MAX];
	int64_t t;
	assert_string_equal(clock_format(0, text), "1970-01-01T00:00:00.000Z");
	assert_string_equal(clock_format(-1, text), "1969-12-31T23:59:59.999Z");
	assert_int_equal(clock_parse("2026-11-24T09:30:00.123Z", &t).code, ERR_NONE);
	assert_string_equal(clock_format(t, text), "2026-11-24T09:30:00.123Z");
	assert_int_equal(clock_parse("2026-11-24T09:30:00+01:30", &t).code, ERR_NONE);
	assert_string_equal(clock_format(t, text), "2026-11-24T08:00:00.000Z");
	assert_int_equal(clock_parse("1500000000", &t).code, ERR_NONE);
	assert_int_equal(t, 1500000000);
	int64_t before = clock_wall_ns();
	assert_int_equal(clock_parse("-90s", &t).code, ERR_NONE);
	assert_true(t >= before - 90 * NS_PER_S && t <= clock_wall_ns() - 90 * NS_PER_S);
	static const char *const bad[] = {
		"9999-01-01T00:00:00Z", "-1000000d","",
					  "now",
					  "-5",
					  "-5y",
					  "--5s",
					  "2026-11-24",
					  "12x",
					  "2026-11-24T09:30:00",
					  "2026-11-24T09:30:00+25:00"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (clock_parse(bad[i], &t).code != ERR_USAGE)
			fail_msg("time \"%s\" was accepted", bad[i]);
	int64_t mono = clock_mono_ns();
	assert_true(clock_mono_ns() >= mono);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err),    cmocka_unit_test(test_arena),
		cmocka_unit_test(test_buf),    cmocka_unit_test(test_secret),
		cmocka_unit_test(test_cursor), cmocka_unit_test(test_varint),
		cmocka_unit_test(test_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
