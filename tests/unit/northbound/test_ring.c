// SPDX-License-Identifier: Apache-2.0
// The ring of events: numbers, resuming, gaps, filters, bounds.
#include "northbound/ring.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void add(struct ring *r, const char *type, const char *subject, const char *json)
{
	assert_int_equal(ring_add(r, "models", type, subject, "internal", 1700000000000000000, json,
				  strlen(json)).code, ERR_NONE);
}

static void numbers_and_text(void **state)
{
	struct ring *r = ring_new(8, 1 << 20, 1000);
	assert_null(ring_after(r, 0));
	assert_int_equal(ring_newest(r), 999);
	add(r, "topology.link.down", "r1:eth0--r2:eth1", "{\"a\": 1,\n \"b\":\"x\\ny\"}");
	const struct ring_event *e = ring_after(r, 0);
	assert_non_null(e);
	assert_int_equal(e->id, 1000);
	assert_null(ring_after(r, 1000));
	assert_memory_equal(e->text, "id: 1000\ndata: {", 16);
	assert_string_equal(e->text + e->len - 2, "\n\n");
	const char *json = strstr(e->text, "data: ") + 6;
	assert_null(memchr(json, '\n', strlen(json) - 2)); // one line: else the stream would break
	json_t *j = json_loadb(json, strlen(json), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(j, "specversion")), "1.0");
	assert_string_equal(json_string_value(json_object_get(j, "type")), "topology.link.down");
	assert_string_equal(json_string_value(json_object_get(j, "source")), "urn:gemel:process:models");
	assert_string_equal(json_string_value(json_object_get(j, "time")), "2023-11-14T22:13:20.000Z");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "data"), "a")), 1);
	json_decref(j);
	ring_free(r);
}

static void not_json(void **state)
{
	struct ring *r = ring_new(8, 1 << 20, 1);
	assert_int_equal(ring_add(r, "m", "t", "s", "internal", 0, "{\"a\":", 5).code, ERR_PEER);
	assert_int_equal(ring_add(r, "m", "t\xff", "s", "internal", 0, "{}", 2).code, ERR_PEER);
	assert_null(ring_after(r, 0));
	ring_free(r);
}

static void gaps(void **state)
{
	struct ring *r = ring_new(4, 1 << 20, 100);
	uint64_t from = 0;
	assert_false(ring_gap(r, 99, &from));
	for (int i = 0; i < 10; i++) // 100..109; 106..109 are kept
		add(r, "a", "b", "{}");
	assert_true(ring_gap(r, 50, &from)); // before this start
	assert_int_equal(from, 105);
	assert_true(ring_gap(r, 104, &from));
	assert_int_equal(from, 105);
	assert_false(ring_gap(r, 105, &from));
	assert_int_equal(from, 105);
	assert_false(ring_gap(r, 109, &from));
	assert_true(ring_gap(r, 110, &from)); // never given
	assert_int_equal(from, 109);
	assert_int_equal(ring_after(r, 0)->id, 106);
	assert_int_equal(ring_after(r, 107)->id, 108);
	scoped(buf) struct buf text = {0};
	ring_gap_text(50, 105, &text);
	assert_non_null(strstr(buf_text(&text), "id: 105\nevent: gap\ndata: {"));
	ring_free(r);
}

static void bytes_bound(void **state)
{
	struct ring *r = ring_new(1000, 4000, 1);
	for (int i = 0; i < 100; i++)
		add(r, "a", "b", "{\"filler\":\"0123456789012345678901234567890123456789\"}");
	unsigned kept = 0;
	for (const struct ring_event *e = ring_after(r, 0); e; e = ring_after(r, e->id))
		kept++;
	assert_in_range(kept, 5, 20);
	assert_int_equal(ring_newest(r), 100);
	ring_free(r);
}

static void filters(void **state)
{
	struct ring_event e = {.type = (char *)"topology.link.up", .subject = (char *)"r1:eth0--r10:eth1"};
	static const struct {
		const char *types, *subject;
		bool match;
	} cases[] = {
		{NULL, NULL, true}, {"topology", NULL, true}, {"topology.", NULL, true},
		{"topology.link", NULL, true}, {"topo", NULL, false}, {"ledger,topology", NULL, true},
		{"ledger", NULL, false}, {"", NULL, false}, {",", NULL, false},
		{"topology.link.up.x", NULL, false}, {NULL, "r1", true}, {NULL, "r10", true},
		{NULL, "r", false}, {NULL, "eth0", false}, {NULL, "r1:eth0--r10:eth1", true},
		{NULL, "r1:eth0", true}, {"ledger", "r1", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ring_filter f = {cases[i].types, cases[i].subject};
		if (ring_matches(&f, &e) != cases[i].match)
			fail_msg("case %zu", i);
	}
}

static void resume(void **state)
{
	uint64_t id = 0;
	assert_int_equal(ring_resume("1795000000000000", &id).code, ERR_NONE);
	assert_true(id == 1795000000000000);
	static const char *const bad[] = {"", "x", "1x", "-1", " 1", "99999999999999999999"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(ring_resume(bad[i], &id).code, ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_and_text), cmocka_unit_test(not_json),
		cmocka_unit_test(gaps),		    cmocka_unit_test(bytes_bound),
		cmocka_unit_test(filters),	    cmocka_unit_test(resume),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
