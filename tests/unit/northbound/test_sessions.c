// SPDX-License-Identifier: Apache-2.0
// Tokens in headers, the cache of sessions, buckets.
#include "northbound/sessions.h"

#include "lib/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void is(const char *found, const size_t *n, const char *want)
{
	if (!want) {
		assert_null(found);
		return;
	}
	assert_non_null(found);
	assert_int_equal(*n, strlen(want));
	assert_memory_equal(found, want, *n);
}

static void headers(void **state)
{
	size_t n = 0;
	is(session_bearer("Bearer abc.DEF-1_2~+/=", &n), &n, "abc.DEF-1_2~+/=");
	is(session_bearer("bearer abc", &n), &n, "abc");
	is(session_bearer("Basic abc", &n), &n, NULL);
	is(session_bearer("Bearer ", &n), &n, NULL);
	is(session_bearer("Bearer a b", &n), &n, NULL);
	is(session_bearer(NULL, &n), &n, NULL);
	is(session_cookie("a=b; gemel_session=tok; c=d", &n), &n, "tok");
	is(session_cookie("gemel_session=tok", &n), &n, "tok");
	is(session_cookie("xgemel_session=tok", &n), &n, NULL);
	is(session_cookie("gemel_session=one; gemel_session=two", &n), &n, NULL);
	is(session_cookie("gemel_session=", &n), &n, NULL);
	is(session_cookie("gemel_session=a\"b", &n), &n, NULL);
	is(session_cookie(";;;  ;", &n), &n, NULL);
}

static void cache(void **state)
{
	struct sessions *s = sessions_new();
	struct session *found, *kept;
	uint8_t hash[32] = {1}, ticket[8] = "ticket";
	assert_null(sessions_find(s, hash, 0));
	assert_int_equal(sessions_put(s, hash, ticket, 8, 100, &found).code, ERR_NONE);
	assert_ptr_equal(sessions_find(s, hash, 99), found);
	assert_null(sessions_find(s, hash, 100)); // its time is over
	assert_ptr_equal(sessions_any(s, hash), found);
	assert_int_equal(sessions_put(s, hash, ticket, 8, 200, &kept).code, ERR_NONE);
	assert_ptr_equal(kept, found); // renewed in place
	found->running = 1;
	sessions_drop(s, hash);
	assert_null(sessions_find(s, hash, 0));
	assert_int_equal(found->ticket_len, 0);
	for (unsigned i = 0; i < SESSIONS_MAX + 10; i++) { // what runs is never overwritten
		uint8_t other[32] = {2, (uint8_t)i, (uint8_t)(i >> 8)};
		assert_int_equal(sessions_put(s, other, ticket, 8, 300, &kept).code, ERR_NONE);
		assert_ptr_not_equal(kept, found);
		kept->last_ns = i;
	}
	assert_int_equal(sessions_put(s, hash, ticket, SESSION_TICKET_MAX + 1, 1, &kept).code, ERR_PEER);
	sessions_free(s);
}

static void cache_full_of_busy(void **state)
{
	struct sessions *s = sessions_new();
	struct session *kept;
	uint8_t ticket[1] = {0};
	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		uint8_t other[32] = {2, (uint8_t)i, (uint8_t)(i >> 8)};
		assert_int_equal(sessions_put(s, other, ticket, 1, 300, &kept).code, ERR_NONE);
		kept->streams = 1;
	}
	uint8_t more[32] = {9};
	assert_int_equal(sessions_put(s, more, ticket, 1, 1, &kept).code, ERR_LIMIT);
	sessions_free(s);
}

static void buckets(void **state)
{
	struct bucket b = {0};
	unsigned wait = 0;
	for (int i = 0; i < 5; i++)
		assert_true(bucket_take(&b, 2, 5, 1, &wait));
	assert_false(bucket_take(&b, 2, 5, 1, &wait));
	assert_int_equal(wait, 1);
	assert_true(bucket_take(&b, 2, 5, 1 + NS_PER_S / 2, &wait));
	assert_false(bucket_take(&b, 2, 5, 1 + NS_PER_S / 2, &wait));
	for (int i = 0; i < 5; i++) // no more than the burst, however long the pause
		assert_true(bucket_take(&b, 2, 5, 100 * NS_PER_S, &wait));
	assert_false(bucket_take(&b, 2, 5, 100 * NS_PER_S, &wait));
}

static void sources(void **state)
{
	struct sessions *s = sessions_new();
	unsigned wait = 0, taken = 0;
	while (sessions_source(s, "10.0.0.1", 1, &wait))
		taken++;
	assert_int_equal(taken, SOURCE_BURST);
	assert_true(sessions_source(s, "10.0.0.2", 1, &wait)); // another address is not held for it
	sessions_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers), cmocka_unit_test(cache), cmocka_unit_test(cache_full_of_busy),
		cmocka_unit_test(buckets), cmocka_unit_test(sources),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
