// SPDX-License-Identifier: Apache-2.0
// Buckets, sources, interned paths, series numbers and the admission table, each by itself.
#include "lib/base/clock.h"
#include "telemetry/admission.h"
#include "telemetry/bucket.h"
#include "telemetry/intern.h"
#include "telemetry/sources.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct siphash_key zero_key;

static void good(struct err e)
{
	if (e.code != ERR_NONE)
		fail_msg("%s", e.text);
}

// --- SipHash-1-3: CPython 3.11's hash of bytes under PYTHONHASHSEED=0

static void test_siphash(void **state)
{
	static const struct {
		const char *text;
		uint64_t hash;
	} vectors[] = {
		{"a", 0x407448d2b89b1813},
		{"abcdefg", 0x6db12aae9070f506},
		{"abcdefgh", 0x3f7b849c0b8e35ea},
		{"abcdefghi", 0xf89b34a3d11eb6e5},
		{"/interfaces/interface[name=eth0]/state/counters/in-octets", 0x57bc6074e4639646},
	};
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
		assert_true(siphash(&zero_key, vectors[i].text, strlen(vectors[i].text)) ==
			    vectors[i].hash);
	const struct siphash_key other = {{1, 0}};
	assert_true(siphash(&other, "a", 1) != vectors[0].hash);
}

// --- buckets

static void test_bucket_take(void **state)
{
	const struct rate r = {.per_s = 10, .burst = 5};
	struct bucket b = {0};
	int64_t now = 1000 * NS_PER_S;
	for (int i = 0; i < 5; i++)
		assert_true(bucket_take(&b, &r, now, 1));
	assert_false(bucket_take(&b, &r, now, 1));
	assert_false(bucket_take(&b, &r, now + NS_PER_S / 20, 1)); // half a token
	assert_true(bucket_take(&b, &r, now + NS_PER_S / 10, 1));
	assert_false(bucket_take(&b, &r, now + NS_PER_S / 10, 1));
	assert_true(bucket_take(&b, &r, now + 100 * NS_PER_S, 5)); // full, and no fuller
	assert_false(bucket_take(&b, &r, now + 100 * NS_PER_S, 1));
	assert_false(bucket_take(&b, &r, now + 200 * NS_PER_S, 6)); // more than it ever holds
}

static void test_bucket_spend(void **state)
{
	const struct rate r = {.per_s = 100, .burst = 100};
	struct bucket b = {0};
	int64_t now = 1000 * NS_PER_S;
	assert_int_equal(bucket_spend(&b, &r, now, 100), 0);
	assert_int_equal(bucket_spend(&b, &r, now, 50), NS_PER_S / 2);
	assert_int_equal(bucket_spend(&b, &r, now, 0), NS_PER_S / 2);
	assert_int_equal(bucket_spend(&b, &r, now + NS_PER_S / 2, 0), 0);
	// One huge message does not darken a peer for ever.
	assert_true(bucket_spend(&b, &r, now, UINT64_MAX) <= 3600 * NS_PER_S);
	assert_int_equal(bucket_spend(&b, &r, now + 7200 * NS_PER_S, 0), 0);
}

static void test_bucket_closed(void **state)
{
	const struct rate none = {0};
	struct bucket b = {0};
	assert_false(bucket_take(&b, &none, NS_PER_S, 0));
	assert_true(bucket_spend(&b, &none, NS_PER_S, 0) > 0);
}

// --- sources

static const struct sockaddr *v4(struct sockaddr_in *a, uint32_t address)
{
	*a = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(4000)};
	return (const struct sockaddr *)a;
}

static void test_sources_same(void **state)
{
	struct sources *s = sources_new(&zero_key);
	struct sockaddr_in a, b;
	struct sockaddr_in6 six = {.sin6_family = AF_INET6}, seven;
	char text[SOURCE_TEXT_MAX];
	assert_ptr_equal(sources_get(s, v4(&a, 0x0a000001), 1),
			 sources_get(s, v4(&b, 0x0a000001), 2));
	assert_ptr_not_equal(sources_get(s, v4(&a, 0x0a000001), 1),
			     sources_get(s, v4(&b, 0x0a000002), 2));
	assert_string_equal(source_text(v4(&a, 0x0a000001), text), "10.0.0.1:4000");
	assert_string_equal(sources_get(s, v4(&a, 0x0a000001), 1)->text, "10.0.0.1");
	inet_pton(AF_INET6, "2001:db8:1:2::7", &six.sin6_addr);
	seven = six;
	inet_pton(AF_INET6, "2001:db8:1:2:ffff::9", &seven.sin6_addr);
	assert_ptr_equal(sources_get(s, (struct sockaddr *)&six, 1),
			 sources_get(s, (struct sockaddr *)&seven, 1)); // one /64 is one source
	assert_string_equal(sources_get(s, (struct sockaddr *)&six, 1)->text, "2001:db8:1:2::/64");
	sources_free(s);
}

// A million strangers: those who hold a connection keep their entry, the table keeps its size.
static void test_sources_full(void **state)
{
	struct sources *s = sources_new(&zero_key);
	struct sockaddr_in a;
	struct source *kept[64], *others = NULL;
	for (uint32_t i = 0; i < 64; i++) {
		kept[i] = sources_get(s, v4(&a, 0x0a000000 + i), 1);
		kept[i]->open++;
	}
	const struct rate r = {.per_s = 1, .burst = 1};
	for (uint32_t i = 0; i < 1000000; i++) {
		struct source *e = sources_get(s, v4(&a, 0xc0000000 + i), 100);
		bucket_take(&e->handshakes, &r, 100, 1);
		if (strcmp(e->text, "many sources") == 0)
			others = e;
	}
	assert_non_null(others);
	assert_false(bucket_take(&others->handshakes, &r, 100, 1)); // they share one bucket
	for (uint32_t i = 0; i < 64; i++)
		assert_ptr_equal(sources_get(s, v4(&a, 0x0a000000 + i), 200), kept[i]);
	// When their debts are paid the strangers' places are free again.
	struct source *late = sources_get(s, v4(&a, 0xd0000000), 100 + 10 * NS_PER_S);
	assert_string_equal(late->text, "208.0.0.0");
	sources_free(s);
}

// --- interned paths

static const uint8_t *bytes(const char *text)
{
	return (const uint8_t *)text;
}

static void test_paths(void **state)
{
	struct paths *p = paths_new(&zero_key, 1 << 20);
	uint32_t a, b, again, n;
	good(paths_get(p, bytes("one"), 3, &a));
	good(paths_get(p, bytes("two"), 3, &b));
	good(paths_get(p, bytes("one"), 3, &again));
	assert_int_equal(a, again);
	assert_int_not_equal(a, b);
	assert_int_equal(paths_count(p), 2);
	assert_memory_equal(paths_bytes(p, b, &n), "two", 3);
	assert_int_equal(paths_find(p, bytes("three"), 5), UINT32_MAX);
	paths_put(p, a);
	assert_int_equal(paths_find(p, bytes("one"), 3), a); // one reference is left
	paths_put(p, a);
	assert_int_equal(paths_find(p, bytes("one"), 3), UINT32_MAX);
	good(paths_get(p, bytes("three"), 5, &again));
	assert_int_equal(again, a); // its id is used again
	good(paths_get(p, bytes(""), 0, &n));
	assert_int_equal(n, 0);
	paths_put(p, b);
	paths_put(p, again);
	assert_int_equal(paths_memory(p), 0);
	paths_free(p);
}

static void test_paths_bounds(void **state)
{
	static uint8_t large[INTERN_WIRE_MAX + 1];
	struct paths *p = paths_new(&zero_key, 10000);
	uint32_t id;
	assert_int_equal(paths_get(p, large, sizeof large, &id).code, ERR_PEER);
	good(paths_get(p, large, INTERN_WIRE_MAX, &id));
	good(paths_get(p, large, INTERN_WIRE_MAX - 1, &id));
	assert_int_equal(paths_get(p, large, INTERN_WIRE_MAX - 2, &id).code, ERR_LIMIT);
	paths_free(p);
}

static void test_paths_many(void **state)
{
	struct paths *p = paths_new(&zero_key, 64 << 20);
	char text[32];
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 50000; i++) {
			uint32_t id;
			int n = snprintf(text, sizeof text, "/a/b[c=%u]", i);
			good(paths_get(p, bytes(text), (size_t)n, &id));
			assert_in_range(id, 1, 50000);
		}
		for (uint32_t i = 0; i < 50000; i++) {
			int n = snprintf(text, sizeof text, "/a/b[c=%u]", i);
			paths_put(p, paths_find(p, bytes(text), (size_t)n));
		}
		assert_int_equal(paths_count(p), 0);
	}
	paths_free(p);
}

static struct interned *add(struct intern *t, struct numbers *numbers, const char *path)
{
	struct interned *e = NULL;
	uint32_t number;
	good(numbers_take(numbers, &number));
	good(intern_add(t, bytes(path), strlen(path), number, &e));
	return e;
}

static uint32_t number_of(struct intern *t, const char *path)
{
	const struct interned *e = intern_find(t, bytes(path), strlen(path));
	return e ? e->number : 0;
}

static void test_intern(void **state)
{
	struct paths *p = paths_new(&zero_key, 1 << 20);
	struct numbers numbers = {0};
	struct intern t, u;
	intern_init(&t, p);
	intern_init(&u, p);
	assert_int_equal(number_of(&t, "x"), 0);
	assert_int_equal(add(&t, &numbers, "x")->number, 1);
	assert_int_equal(add(&t, &numbers, "y")->number, 2);
	assert_int_equal(add(&t, &numbers, "z")->number, 3);
	// In order (expected) and out of it (looked up), and what it expects then.
	for (int i = 0; i < 3; i++) {
		assert_int_equal(number_of(&t, "x"), 1);
		assert_int_equal(number_of(&t, "y"), 2);
		assert_int_equal(number_of(&t, "z"), 3);
	}
	assert_int_equal(number_of(&t, "z"), 3);
	assert_int_equal(number_of(&t, "y"), 2);
	assert_int_equal(number_of(&t, "y"), 2);
	assert_int_equal(number_of(&t, "w"), 0);
	// Another device's x is another series, and costs no second copy of its bytes.
	assert_int_equal(number_of(&u, "x"), 0);
	assert_int_equal(add(&u, &numbers, "x")->number, 4);
	assert_int_equal(paths_count(p), 3);
	// The prefix is a part of what is looked for.
	good(intern_prefix(&t, bytes("pre"), 3));
	assert_int_equal(number_of(&t, "x"), 0);
	assert_int_equal(add(&t, &numbers, "x")->number, 5);
	assert_int_equal(number_of(&t, "x"), 5);
	good(intern_prefix(&t, bytes(""), 0));
	assert_int_equal(number_of(&t, "x"), 1);
	intern_clear(&t, &numbers);
	intern_clear(&u, &numbers);
	assert_int_equal(paths_count(p), 0);
	assert_int_equal(numbers.n_back, 5);
	numbers_clear(&numbers);
	paths_free(p);
}

// Against a plain list, in an order that neither helps nor repeats.
static void test_intern_many(void **state)
{
	enum { N = 5000 };
	static uint32_t want[N];
	struct paths *p = paths_new(&zero_key, 8 << 20);
	struct numbers numbers = {0};
	struct intern t;
	char text[32];
	uint32_t seed = 1;
	intern_init(&t, p);
	for (int i = 0; i < 20 * N; i++) {
		seed = seed * 1664525 + 1013904223;
		uint32_t k = seed >> 8 & (N - 1) ? (seed >> 8) % N : 0;
		snprintf(text, sizeof text, "/path/%u", k);
		uint32_t number = number_of(&t, text);
		assert_int_equal(number, want[k]);
		if (!number)
			want[k] = add(&t, &numbers, text)->number;
	}
	intern_clear(&t, NULL);
	numbers_clear(&numbers);
	paths_free(p);
}

static void test_numbers(void **state)
{
	struct numbers n = {.next = INTERN_SERIES_MAX};
	uint32_t number;
	good(numbers_take(&n, &number));
	assert_int_equal(number, INTERN_SERIES_MAX);
	assert_int_equal(numbers_take(&n, &number).code, ERR_LIMIT);
	numbers_give(&n, 17);
	good(numbers_take(&n, &number));
	assert_int_equal(number, 17);
	numbers_clear(&n);
	good(numbers_take(&n, &number));
	assert_int_equal(number, 1);
	numbers_clear(&n);
}

// --- admission

static void test_admission(void **state)
{
	enum admission s = ADMISSION_HANDSHAKE;
	s = admission_next(s, ADMISSION_OPENED);
	assert_int_equal(s, ADMISSION_ASKED);
	assert_int_equal(admission_next(s, ADMISSION_AGAIN), ADMISSION_ASKED);
	s = admission_next(s, ADMISSION_YES);
	assert_int_equal(s, ADMISSION_ADMITTED);
	assert_int_equal(admission_next(s, ADMISSION_AGAIN), ADMISSION_ADMITTED);
	assert_int_equal(admission_next(s, ADMISSION_NO), ADMISSION_REFUSED);
	assert_int_equal(admission_next(s, ADMISSION_DROPPED), ADMISSION_REFUSED);
}

// Nothing leads to ADMITTED but management's yes to one who was asked about; nothing leads out of
// the end; and nobody may do anything but the admitted.
static void test_admission_closed(void **state)
{
	for (unsigned s = 0; s < ADMISSION_STATES; s++) {
		for (unsigned e = 0; e < ADMISSION_EVENTS; e++) {
			enum admission next =
				admission_next((enum admission)s, (enum admission_event)e);
			if (next == ADMISSION_ADMITTED && s != ADMISSION_ADMITTED)
				assert_true(s == ADMISSION_ASKED && e == ADMISSION_YES);
			if (s == ADMISSION_ENDED)
				assert_int_equal(next, ADMISSION_ENDED);
			if (s == ADMISSION_REFUSED)
				assert_true(next == ADMISSION_REFUSED || next == ADMISSION_ENDED);
			if (e == ADMISSION_BROKEN)
				assert_int_equal(next, ADMISSION_ENDED);
		}
		bool admitted = s == ADMISSION_ADMITTED;
		assert_int_equal(admission_may_register((enum admission)s), admitted);
		assert_int_equal(admission_may_attest((enum admission)s), admitted);
	}
	assert_int_equal(admission_next((enum admission)99, ADMISSION_YES), ADMISSION_ENDED);
	assert_int_equal(admission_next(ADMISSION_ASKED, (enum admission_event)99),
			 ADMISSION_ENDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash),	     cmocka_unit_test(test_bucket_take),
		cmocka_unit_test(test_bucket_spend), cmocka_unit_test(test_bucket_closed),
		cmocka_unit_test(test_sources_same), cmocka_unit_test(test_sources_full),
		cmocka_unit_test(test_paths),	     cmocka_unit_test(test_paths_bounds),
		cmocka_unit_test(test_paths_many),   cmocka_unit_test(test_intern),
		cmocka_unit_test(test_intern_many),  cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_admission),    cmocka_unit_test(test_admission_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
