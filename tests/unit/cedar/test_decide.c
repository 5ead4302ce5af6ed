// SPDX-License-Identifier: Apache-2.0
// Decisions: forbid over permit, errors skipped and reported, and the index held against a search
// of one policy at a time.
#include "helper.h"

static void combines(void **state)
{
	static const struct {
		const char *policies, *expected;
	} cases[] = {
		{"", "deny"},
		{"permit(principal, action, resource);", "allow r0"},
		{"permit(principal, action, resource); forbid(principal, action, resource);",
		 "deny r1"},
		{"permit(principal, action, resource); permit(principal == User::\"a\", action, "
		 "resource);",
		 "allow r0 r1"},
		{"permit(principal, action, resource) when {1}; permit(principal, action, "
		 "resource);",
		 "allow r1 e0"},
		{"permit(principal, action, resource); forbid(principal, action, resource) when "
		 "{principal.x};",
		 "allow r0 e1"},
		{"permit(principal == User::\"b\", action, resource) when {1};", "deny"},
		{"permit(principal, action == Action::\"do\", resource is Doc) unless {false};",
		 "allow r0"},
		{"permit(principal, action in [Action::\"no\", Action::\"do\"], resource);",
		 "allow r0"},
		{"permit(principal in User::\"a\", action, resource in Doc::\"d\");", "allow r0"},
		{"permit(principal is Doc, action, resource);", "deny"},
	};
	char out[64];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ok(decide_in(cases[i].policies, "[]", "{}", out));
		assert_string_equal(out, cases[i].expected);
	}
}

static void stricter_rule(void **state)
{
	struct cedar_policies *p;
	struct cedar_engine *e;
	struct cedar_answer *a;
	ok(cedar_policies_parse(
		cedar_text("permit(principal, action, resource);\n"
			   "forbid(principal, action, resource) when {context.gone};"),
		NULL, &p));
	ok(cedar_engine_new(p, NULL, &e));
	ok(cedar_answer_new(&a));
	struct cedar_request r = {uid("User", "a"), uid("Action", "do"), uid("Doc", "d"), NULL};
	ok(cedar_decide(e, &r, a));
	assert_true(cedar_answer_allows(a));
	assert_false(cedar_answer_allows_surely(a));
	assert_int_equal(cedar_answer_errors(a), 1);
	assert_int_equal(cedar_answer_error(a, 0), 1);
	assert_non_null(strstr(cedar_answer_error_text(a, 0), "gone"));
	assert_memory_equal(cedar_answer_error_text(a, 0), "2:50: ", 6);
	cedar_answer_free(a);
	cedar_engine_free(e);
	cedar_policies_free(p);
}

enum { GROUPS = 12, USERS = 15, POLICIES = 400, REQUESTS = 500 };

static unsigned random_below(unsigned n)
{
	static uint64_t x = 42;
	x = x * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((x >> 33) % n);
}

static void random_scope(char *out, size_t size, const char *var, const char *group,
			 const char *leaf)
{
	unsigned g = random_below(GROUPS + 2), l = random_below(USERS + 2);
	switch (random_below(7)) {
	case 0:
		snprintf(out, size, "%s", var);
		break;
	case 1:
		snprintf(out, size, "%s == %s::\"%u\"", var, leaf, l);
		break;
	case 2:
		snprintf(out, size, "%s is %s", var, random_below(2) ? leaf : group);
		break;
	case 3:
		snprintf(out, size, "%s is %s in %s::\"%u\"", var, leaf, group, g);
		break;
	case 4:
		snprintf(out, size, "%s in %s::\"%u\"", var, leaf, l);
		break;
	default:
		snprintf(out, size, "%s in %s::\"%u\"", var, group, g);
	}
}

static void random_policy(char *out, size_t size)
{
	static const char *const actions[] = {"action", "action == Action::\"r\"",
					      "action in Action::\"all\"",
					      "action in [Action::\"w\", Action::\"x\"]"};
	static const char *const bodies[] = {"", " when { context.n < 2 }",
					     " when { context.gone }",
					     " when { principal in resource }"};
	char p[100], r[100];
	random_scope(p, sizeof p, "principal", "Group", "User");
	random_scope(r, sizeof r, "resource", "Folder", "Doc");
	snprintf(out, size, "%s(%s, %s, %s)%s;", random_below(4) ? "permit" : "forbid", p,
		 actions[random_below(4)], r, bodies[random_below(4)]);
}

static size_t hierarchy(char *out, size_t size, const char *group, const char *leaf)
{
	size_t n = 0;
	for (unsigned i = 0; i < GROUPS; i++) {
		n += (size_t)snprintf(
			out + n, size - n,
			"{\"uid\":{\"type\":\"%s\",\"id\":\"%u\"},\"attrs\":{},\"parents\":[",
			group, i);
		if (i)
			n += (size_t)snprintf(out + n, size - n, "{\"type\":\"%s\",\"id\":\"%u\"}",
					      group, random_below(i));
		n += (size_t)snprintf(out + n, size - n, "]},");
	}
	for (unsigned i = 0; i < USERS; i++) {
		n += (size_t)snprintf(
			out + n, size - n,
			"{\"uid\":{\"type\":\"%s\",\"id\":\"%u\"},\"attrs\":{},\"parents\":[", leaf,
			i);
		for (unsigned k = random_below(3); k > 0; k--)
			n += (size_t)snprintf(out + n, size - n,
					      "{\"type\":\"%s\",\"id\":\"%u\"}%s", group,
					      random_below(GROUPS), k > 1 ? "," : "");
		n += (size_t)snprintf(out + n, size - n, "]},");
	}
	return n;
}

struct single {
	struct cedar_policies *p;
	struct cedar_engine *e;
};

// What each policy says by itself, combined by hand.
static void expect(const struct single *s, const struct cedar_request *r, struct cedar_answer *one,
		   const struct cedar_answer *all)
{
	size_t permits = 0, forbids = 0, errors = 0;
	for (size_t i = 0; i < POLICIES; i++) {
		ok(cedar_decide(s[i].e, r, one));
		permits += cedar_answer_allows(one);
		forbids += !cedar_answer_allows(one) && cedar_answer_reasons(one);
		errors += cedar_answer_errors(one);
		bool counted = false;
		for (size_t k = 0; k < cedar_answer_reasons(all); k++)
			counted = counted || cedar_answer_reason(all, k) == i;
		assert_true(!counted || cedar_answer_reasons(one) == 1);
	}
	assert_int_equal(cedar_answer_allows(all), permits && !forbids);
	assert_int_equal(cedar_answer_reasons(all), forbids ? forbids : permits);
	assert_int_equal(cedar_answer_errors(all), errors);
}

static void index_finds_all(void **state)
{
	char *text = malloc(POLICIES * 300), *at = text, *json = malloc(100000);
	struct single s[POLICIES];
	struct cedar_entities *entities;
	struct cedar_policies *p;
	struct cedar_engine *e;
	struct cedar_answer *all, *one;
	struct cedar_context *c;
	size_t n = (size_t)sprintf(json, "[");
	n += hierarchy(json + n, 100000 - n, "Group", "User");
	n += hierarchy(json + n, 100000 - n, "Folder", "Doc");
	snprintf(json + n, 100000 - n,
		 "{\"uid\":{\"type\":\"Action\",\"id\":\"r\"},\"attrs\":{},\"parents\":[{\"type\":"
		 "\"Action\",\"id\":\"all\"}]}]");
	ok(cedar_entities_parse(cedar_text(json), NULL, &entities));
	for (size_t i = 0; i < POLICIES; i++) {
		random_policy(at, 300);
		ok(cedar_policies_parse(cedar_text(at), NULL, &s[i].p));
		ok(cedar_engine_new(s[i].p, entities, &s[i].e));
		at += strlen(at);
	}
	ok(cedar_policies_parse(cedar_text(text), NULL, &p));
	ok(cedar_engine_new(p, entities, &e));
	ok(cedar_answer_new(&all));
	ok(cedar_answer_new(&one));
	ok(cedar_context_new(&c));
	for (unsigned i = 0; i < REQUESTS; i++) {
		char who[8], what[8];
		static const char *const actions[] = {"r", "w", "x", "all", "other"};
		snprintf(who, sizeof who, "%u", random_below(USERS + 3));
		snprintf(what, sizeof what, "%u", random_below(USERS + 3));
		ok(cedar_context_long(c, "n", random_below(4)));
		struct cedar_request r = {uid(random_below(8) ? "User" : "Group", who),
					  uid("Action", actions[random_below(5)]),
					  uid(random_below(8) ? "Doc" : "Odd", what), c};
		ok(cedar_decide(e, &r, all));
		expect(s, &r, one, all);
	}
	for (size_t i = 0; i < POLICIES; i++) {
		cedar_engine_free(s[i].e);
		cedar_policies_free(s[i].p);
	}
	cedar_context_free(c);
	cedar_answer_free(one);
	cedar_answer_free(all);
	cedar_engine_free(e);
	cedar_policies_free(p);
	cedar_entities_free(entities);
	free(json);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(combines),
		cmocka_unit_test(stricter_rule),
		cmocka_unit_test(index_finds_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
