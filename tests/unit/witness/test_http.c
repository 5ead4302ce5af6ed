// SPDX-License-Identifier: Apache-2.0
// Heads of requests: which are read, as what, and with which status others end.

#include "witness/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOST "Host: w\r\n"

static unsigned read_head(const char *text, struct http_head *h)
{
	unsigned status = 0;
	return http_head_read((const uint8_t *)text, strlen(text), h, &status) ? 200 : status;
}

static void test_length(void **state)
{
	static const char text[] = "POST / HTTP/1.1\r\n\r\nrest";
	const uint8_t *bytes = (const uint8_t *)text;
	for (size_t n = 0; n < sizeof text; n++)
		assert_int_equal(http_head_length(bytes, n), n < 19 ? 0 : 19);
}

static void test_read(void **state)
{
	struct http_head h;
	assert_int_equal(read_head("POST /add-checkpoint HTTP/1.1\r\n" HOST
				   "Content-Length: 12\r\n\r\n",
				   &h),
			 200);
	assert_true(h.method == HTTP_POST && h.keep_alive && !h.expects && h.has_length &&
		    h.length == 12);
	assert_int_equal(h.path_len, 15);
	assert_memory_equal(h.path, "/add-checkpoint", 15);
	assert_int_equal(read_head("HEAD http://w:1/x?y HTTP/1.0\r\n\r\n", &h), 200);
	assert_true(h.method == HTTP_HEAD && !h.keep_alive && !h.has_length);
	assert_memory_equal(h.path, "/x?y", 4);
	assert_int_equal(read_head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", &h), 200);
	assert_true(h.method == HTTP_OTHER && h.keep_alive);
	assert_int_equal(read_head("GET / HTTP/1.1\r\n" HOST "Connection: te , CLOSE\r\n\r\n", &h),
			 200);
	assert_false(h.keep_alive);
	assert_int_equal(read_head("POST / HTTP/1.1\r\n" HOST "expect:\t100-Continue \r\n\r\n", &h),
			 200);
	assert_true(h.expects);
}

static void test_refused(void **state)
{
	static const struct {
		unsigned status;
		const char *text;
	} bad[] = {
		{400, ""},
		{400, "\r\n\r\n"},
		{400, "POST /\r\n\r\n"},
		{400, "POST / HTTP/1.1\n\n"},
		{400, "POST / HTTP/1.1\r\n\r\n"}, // no Host
		{400, "POST / HTTP/1.1\r\n" HOST},
		{400, "POST / HTTP/1.1\r\n" HOST HOST "\r\n"},
		{400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1000000000000000\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\n" HOST "Content-Length : 1\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\n" HOST " X: y\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\n" HOST "\r\nmore"},
		{411, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n"},
		{417, "POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n\r\n"},
		{505, "POST / HTTP/2.0\r\n" HOST "\r\n"},
		{505, "POST / HTTP/1.2\r\n" HOST "\r\n"},
		{400, "POST / HTTP/1.1 \r\n" HOST "\r\n"},
	};
	struct http_head h;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		unsigned status = read_head(bad[i].text, &h);
		if (status != bad[i].status)
			fail_msg("%zu: %u instead of %u", i, status, bad[i].status);
		assert_string_not_equal(http_reason(status), "Unknown");
	}
}

static void test_flips(void **state)
{
	static const char good[] =
		"POST /add-checkpoint HTTP/1.1\r\n" HOST "Content-Length: 12\r\n\r\n";
	struct http_head h;
	char text[sizeof good];
	unsigned status;
	for (size_t bit = 0; bit < (sizeof good - 1) * 8; bit++) {
		memcpy(text, good, sizeof good);
		text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
		if (!http_head_read((const uint8_t *)text, sizeof good - 1, &h, &status))
			continue;
		assert_true(h.path >= text && h.path + h.path_len < text + sizeof text);
		if (h.has_length) // a digit may have become another
			assert_true(h.length < 100);
	}
	for (size_t cut = 0; cut < sizeof good - 1; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);
		memcpy(exact, good, cut);
		assert_false(http_head_read(exact, cut, &h, &status));
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_flips),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
