// SPDX-License-Identifier: Apache-2.0
// Reading: filtered for those who may see a part, refused where it was named, recorded above
// internal, in pages that do not change under their reader; and where a value came from.
#include "house.h"

#include "lib/base/clock.h"

#define IF "/interfaces/interface[name=eth0]/state/"
#define RULE "/acl/acl-sets/acl-set[name=f][type=ACL_IPV4]/state/"

static int64_t base;

static int setup(void **state)
{
	struct house *h = house_new();
	struct house_device a, b;
	house_open(h);
	base = clock_wall_ns() - 300 * NS_PER_S;
	house_device(&a, "r1", 0);
	house_device(&b, "r2", 1);
	house_state(h, &a, "production", "site-a");
	house_state(h, &b, "production", "site-b");
	for (int i = 0; i < 20; i++) {
		struct house_update u[4] = {
			{IF "counters/in-octets",
			 base + i * NS_PER_S,
			 {.type = VALUE_UINT, .u = (uint64_t)i * 10},
			 false},
			house_text(IF "oper-status", base + i * NS_PER_S, i < 10 ? "UP" : "DOWN"),
			house_text(RULE "hook", base + i * NS_PER_S, "forward"),
			{IF "mtu", base + i * NS_PER_S, {.type = VALUE_UINT, .u = 1500}, false},
		};
		house_batch(h, i % 2 ? &b : &a, u, 4, 0);
		house_turn(h);
		if (i == 9)
			ok(flush_all(house_repository(h)));
	}
	assert_int_equal(h->n_acks, 20);
	house_device_clear(&a);
	house_device_clear(&b);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	house_free(*state);
	return 0;
}

static size_t items(const json_t *answer)
{
	assert_true(json_is_array(json_object_get(answer, "items")));
	return json_array_size(json_object_get(answer, "items"));
}

static const json_t *item(const json_t *answer, size_t i, const char *name)
{
	return json_object_get(json_array_get(json_object_get(answer, "items"), i), name);
}

static const char *text(const json_t *answer, size_t i, const char *name)
{
	const char *s = json_string_value(item(answer, i, name));
	return s ? s : "";
}

static size_t reads(struct house *h)
{
	json_t *a = house_ask(h, "auditor", "ledger.entries", "kind", "data.read", NULL);
	size_t n = items(a);
	json_decref(a);
	return n;
}

static void shows_what_may_be_seen(void **state)
{
	struct house *h = *state;
	json_t *a = house_ask(h, "viewer", "data.query", NULL);
	assert_int_equal(h->answer.status, 200);
	assert_int_equal(items(a), 6); // three internal paths of two devices; rules are left out
	for (size_t i = 0; i < items(a); i++)
		assert_null(strstr(text(a, i, "path"), "/acl"));
	assert_true(json_is_string(json_object_get(a, "as_of")));
	assert_true(json_integer_value(json_object_get(a, "age_ms")) >= 0);
	assert_int_equal(json_integer_value(json_object_get(a, "revision")), 20);
	json_decref(a);
	assert_int_equal(reads(h), 0);
	a = house_ask(h, "operator", "data.query", "purpose", "audit of rules", NULL);
	assert_int_equal(items(a), 8);
	json_decref(a);
	assert_int_equal(reads(h), 2); // one for each device
	// Named, it is refused, whether or not there is any.
	static const char *const named[] = {RULE "hook", "/acl/nowhere"};
	for (int i = 0; i < 2; i++) {
		json_t *p = house_ask(h, "viewer", "data.query", "device", i ? "no-such" : "r1",
				      "path", named[i], NULL);
		assert_int_equal(h->answer.status, 403);
		assert_string_equal(h->answer.type, "application/problem+json");
		assert_string_equal(json_string_value(json_object_get(
					    json_object_get(p, "decision"), "policy")),
				    "viewer-reads-internal");
		json_decref(p);
	}
	json_decref(house_ask(h, "viewer", "data.query", "class", "confidential", NULL));
	assert_int_equal(h->answer.status, 403);
	json_decref(house_ask(h, "nobody", "data.query", NULL));
	assert_int_equal(h->answer.status, 403);
	// Of another domain: not there.
	a = house_ask(h, "viewer@site-b", "data.query", NULL);
	assert_int_equal(items(a), 3);
	assert_string_equal(text(a, 0, "device"), "r2");
	json_decref(a);
	json_decref(house_ask(h, "viewer@site-b", "data.series", "device", "r1", "path", IF "mtu",
			      NULL));
	assert_int_equal(h->answer.status, 404);
	char same[300];
	snprintf(same, sizeof same, "%.*s", (int)h->answer.body.len, (char *)h->answer.body.data);
	json_decref(house_ask(h, "viewer@site-b", "data.series", "device", "r9", "path", IF "mtu",
			      NULL));
	assert_int_equal(h->answer.status, 404); // the same words as for one that is not
	assert_int_equal(strlen(same), h->answer.body.len);
}

static void finds_values(void **state)
{
	struct house *h = *state;
	json_t *a = house_ask(h, "viewer", "data.query", "device", "r1", "path", IF "oper-status",
			      NULL);
	assert_int_equal(items(a), 1);
	assert_string_equal(text(a, 0, "value"), "DOWN");
	assert_string_equal(text(a, 0, "class"), "internal");
	json_decref(a);
	a = house_ask(h, "viewer", "data.query", "path",
		      "/interfaces/interface[name=*]/state/counters", NULL);
	assert_int_equal(items(a), 2);
	assert_int_equal(json_integer_value(item(a, 0, "value")), 180);
	json_decref(a);
	a = house_ask(h, "viewer", "data.query", "path", "/.../mtu", "filter", "R2", "fields",
		      "device,value", NULL);
	assert_int_equal(items(a), 1);
	assert_int_equal(json_object_size(json_array_get(json_object_get(a, "items"), 0)), 2);
	assert_string_equal(text(a, 0, "device"), "r2");
	json_decref(a);
	static const char *const bad[][2] = {
		{"path", "interfaces["},       {"at", "tomorrow-ish"}, {"class", "secret"},
		{"fields", "device,pass"},     {"cursor", "q1.0.0.1"}, {"cursor", "s1.0.0.1.1"},
		{"at", "2100-01-01T00:00:00Z"}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		json_decref(house_ask(h, "viewer", "data.query", bad[i][0], bad[i][1], NULL));
		if (h->answer.status != 400)
			fail_msg("%s %s: %u", bad[i][0], bad[i][1], h->answer.status);
	}
	json_decref(house_ask(h, "viewer", "data.nothing", NULL));
	assert_int_equal(h->answer.status, 404);
}

static void pages_are_whole(void **state)
{
	struct house *h = *state;
	char cursor[256] = "", at[40], all[8][200];
	snprintf(at, sizeof at, "%lld", (long long)(base + 15 * NS_PER_S));
	for (int past = 0; past < 2; past++) {
		size_t n = 0;
		do {
			json_t *a =
				house_ask(h, "operator", "data.query", "#limit", "3", "at",
					  past ? at : "", *cursor ? "cursor" : NULL, cursor, NULL);
			assert_int_equal(h->answer.status, 200);
			assert_true(items(a) >= 1 && items(a) <= 3);
			for (size_t i = 0; i < items(a); i++) {
				assert_true(n < 8);
				snprintf(all[n], sizeof all[n], "%s %s", text(a, i, "device"),
					 text(a, i, "path"));
				if (n)
					assert_true(strcmp(all[n - 1], all[n]) <
						    0); // in order, none twice
				n++;
			}
			const char *next = json_string_value(json_object_get(a, "next"));
			snprintf(cursor, sizeof cursor, "%s", next ? next : "");
			json_decref(a);
		} while (*cursor);
		assert_int_equal(n, 8);
	}
	json_t *a = house_ask(h, "viewer", "data.query", "at", at, "path", IF "oper-status", NULL);
	assert_int_equal(items(a), 2);
	assert_string_equal(text(a, 0, "value"), "DOWN");
	json_decref(a);
	snprintf(at, sizeof at, "%lld", (long long)(base + 9 * NS_PER_S));
	a = house_ask(h, "viewer", "data.query", "at", at, "path", IF "oper-status", NULL);
	assert_string_equal(text(a, 0, "value"), "UP");
	json_decref(a);
	snprintf(at, sizeof at, "%lld", (long long)(base - NS_PER_S));
	a = house_ask(h, "viewer", "data.query", "at", at, NULL);
	assert_int_equal(items(a), 0);
	json_decref(a);
}

static void history_in_pages(void **state)
{
	struct house *h = *state;
	char cursor[256] = "", from[40], to[40];
	snprintf(from, sizeof from, "%lld", (long long)(base + 4 * NS_PER_S));
	snprintf(to, sizeof to, "%lld", (long long)(base + 16 * NS_PER_S));
	size_t n = 0;
	do {
		json_t *a = house_ask(h, "viewer", "data.series", "device", "r1", "path",
				      "/interfaces/interface/state/...", "from", from, "to", to,
				      "#limit", "4", *cursor ? "cursor" : NULL, cursor, NULL);
		assert_int_equal(h->answer.status, 200);
		for (size_t i = 0; i < items(a); i++, n++)
			if (strstr(text(a, i, "path"), "in-octets"))
				assert_int_equal(json_integer_value(item(a, i, "value")),
						 40 + 20 * n);
		const char *next = json_string_value(json_object_get(a, "next"));
		snprintf(cursor, sizeof cursor, "%s", next ? next : "");
		json_decref(a);
	} while (*cursor && n < 100);
	assert_int_equal(n, 21); // seven of each of three paths: chunks and heads
	json_t *a =
		house_ask(h, "viewer", "data.series", "device", "r1", "path",
			  IF "counters/in-octets", "from", from, "to", to, "#points", "2", NULL);
	assert_int_equal(items(a), 2); // the newest
	assert_int_equal(json_integer_value(item(a, 1, "value")), 160);
	json_decref(a);
	json_decref(
		house_ask(h, "viewer", "data.series", "device", "r1", "path", RULE "hook", NULL));
	assert_int_equal(h->answer.status, 403);
	json_decref(house_ask(h, "viewer", "data.series", "device", "r1", "path", IF "mtu", "from",
			      to, "to", from, NULL));
	assert_int_equal(h->answer.status, 400);
}

// X.2011 8.3.1-5, 8.3.1-4: down to the device's signature, and up to everybody who read it.
static void lineage_both_ways(void **state)
{
	struct house *h = *state;
	char at[40];
	json_decref(house_ask(h, "operator", "data.query", "device", "r1", "path", "/acl",
			      "purpose", "change 17", NULL));
	json_t *a =
		house_ask(h, "operator", "data.lineage", "device", "r1", "path", RULE "hook", NULL);
	assert_int_equal(h->answer.status, 200);
	const json_t *batch = json_object_get(a, "batch");
	assert_true(json_is_true(json_object_get(batch, "signed")));
	assert_true(json_is_true(json_object_get(batch, "verified")));
	assert_int_equal(json_integer_value(json_object_get(batch, "seq")), 10);
	assert_string_equal(json_string_value(json_object_get(a, "class_rule")), "/acl");
	assert_int_equal(json_integer_value(json_object_get(a, "grant")), 1);
	const json_t *readers = json_object_get(a, "readers");
	bool found = false;
	for (size_t i = 0; i < json_array_size(readers); i++) {
		const json_t *r = json_array_get(readers, i);
		const char *purpose = json_string_value(json_object_get(r, "purpose"));
		assert_string_equal(json_string_value(json_object_get(r, "actor")), "ann");
		found |= purpose && !strcmp(purpose, "change 17");
	}
	assert_true(found);
	json_decref(a);
	snprintf(at, sizeof at, "%lld", (long long)(base + 5 * NS_PER_S)); // in a chunk
	a = house_ask(h, "viewer", "data.lineage", "device", "r1", "path", IF "mtu", "at", at,
		      NULL);
	assert_int_equal(h->answer.status, 200);
	assert_true(json_is_true(json_object_get(json_object_get(a, "batch"), "verified")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(a, "batch"), "seq")),
			 3);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(a, "stored"), "place")), "chunk");
	assert_false(json_is_true(json_object_get(a, "reads_recorded")));
	json_decref(a);
	json_decref(
		house_ask(h, "viewer", "data.lineage", "device", "r1", "path", RULE "hook", NULL));
	assert_int_equal(h->answer.status, 403);
	json_decref(house_ask(h, "viewer", "data.lineage", "device", "r1", "path",
			      "/lldp/state/none", NULL));
	assert_int_equal(h->answer.status, 404);
}

static void counts_what_is_kept(void **state)
{
	struct house *h = *state;
	json_t *a = house_ask(h, "viewer", "data.stats", NULL);
	assert_int_equal(json_integer_value(json_object_get(a, "devices")), 2);
	const json_t *classes = json_object_get(a, "classes");
	assert_int_equal(json_array_size(classes),
			 2); // public, internal: not even how many of the others
	const json_t *internal = json_array_get(classes, 1);
	assert_int_equal(json_integer_value(json_object_get(internal, "points")), 60);
	assert_int_equal(json_integer_value(json_object_get(internal, "series")), 6);
	json_decref(a);
	a = house_ask(h, "operator", "data.stats", NULL);
	assert_int_equal(json_array_size(json_object_get(a, "classes")), 3);
	json_decref(a);
}

// Without a ledger that takes entries, nothing that would have to be recorded is shown.
static void shows_nothing_unrecorded(void **state)
{
	struct house *h = *state;
	json_t *a = house_ask(h, "operator", "data.query", "path", "/acl", NULL);
	assert_int_equal(items(a), 2);
	json_decref(a);
	house_repository(h)->read_only = true;
	a = house_ask(h, "operator", "data.query", "path", "/acl", NULL);
	assert_int_equal(items(a), 0);
	json_decref(a);
	json_decref(house_ask(h, "operator", "data.lineage", "device", "r1", "path", RULE "hook",
			      NULL));
	assert_int_equal(h->answer.status, 403);
	a = house_ask(h, "operator", "data.query", NULL);
	assert_int_equal(items(a), 6);
	json_decref(a);
	house_repository(h)->read_only = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shows_what_may_be_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_values, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_are_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(history_in_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(lineage_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_what_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(shows_nothing_unrecorded, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
