// SPDX-License-Identifier: Apache-2.0
// Entities and contexts: what is read with and without a schema, and what is refused.
#include "helper.h"

static const char schema_text[] =
	"entity Group in [Group]; entity User in [Group] { ip?: ipaddr, boss?: User, n: Long, "
	"r?: {a?: Long} } tags String; entity Level enum [\"low\", \"high\"];"
	"action all; action read in [all] appliesTo { principal: User, resource: [User, Level], "
	"context: "
	"{ at: datetime, who?: User } };";

#define E(type, id, attrs, parents)                                                                \
	"{\"uid\":{\"type\":\"" type "\",\"id\":\"" id "\"},\"attrs\":" attrs                      \
	",\"parents\":" parents "}"
#define REF(type, id) "{\"type\":\"" type "\",\"id\":\"" id "\"}"
#define USER(attrs) "[" E("User", "a", attrs, "[]") "]"

static enum err_code load(const char *json, bool with_schema, size_t *count)
{
	struct cedar_schema *schema;
	struct cedar_entities *s;
	ok(cedar_schema_parse(cedar_text(schema_text), &schema));
	struct err e = cedar_entities_parse(cedar_text(json), with_schema ? schema : NULL, &s);
	if (!e.code && count)
		*count = cedar_entities_count(s);
	cedar_entities_free(s);
	cedar_schema_free(schema);
	return e.code;
}

static void reads(void **state)
{
	static const struct {
		const char *json;
		bool with, without; // a schema: is it accepted?
	} cases[] = {
		{"[]", true, true},
		{USER("{\"n\":1}"), true, true},
		{USER("{}"), false, true},
		{USER("{\"n\":1,\"z\":1}"), false, true},
		{USER("{\"n\":1.0}"), false, false},
		{USER("{\"n\":null}"), false, false},
		{USER("{\"n\":9223372036854775808}"), false, false},
		{USER("{\"n\":1,\"n\":1}"), false, false},
		{USER("{\"n\":\"1\"}"), false, true},
		{USER("{\"n\":1,\"ip\":\"10.0.0.1\"}"), true, true},
		{USER("{\"n\":1,\"ip\":\"10.0.0\"}"), false, true},
		{USER("{\"n\":1,\"ip\":{\"__extn\":{\"fn\":\"ip\",\"arg\":\"::1\"}}}"), true, true},
		{USER("{\"n\":1,\"ip\":{\"__extn\":{\"fn\":\"decimal\",\"arg\":\"1.0\"}}}"), false,
		 true},
		{USER("{\"n\":1,\"ip\":{\"__extn\":{\"fn\":\"ip\",\"arg\":\"x\"}}}"), false, false},
		{USER("{\"n\":1,\"boss\":" REF("User", "b") "}"), true, true},
		{USER("{\"n\":1,\"boss\":" REF("Group", "b") "}"), false, true},
		{USER("{\"n\":1,\"r\":{\"a\":1}}"), true, true},
		{USER("{\"n\":1,\"r\":{\"b\":1}}"), false, true},
		{USER("{\"n\":1,\"r\":{\"__expr\":\"1\"}}"), false, false},
		{"[" E("User", "a", "{\"n\":1}", "[" REF("Group", "g") "]") "]", true, true},
		{"[" E("User", "a", "{\"n\":1}", "[" REF("User", "g") "]") "]", false, true},
		{"[" E("Group", "a", "{}", "[" REF("Group", "a") "]") "]", false, false},
		{"[" E("Group", "a", "{}", "[" REF("Group", "b") "]") "," E(
			 "Group", "b", "{}", "[" REF("Group", "a") "]") "]",
		 false, false},
		{"[" E("Odd", "a", "{}", "[]") "]", false, true},
		{"[" E("Level", "low", "{}", "[]") "]", true, true},
		{"[" E("Level", "mid", "{}", "[]") "]", false, true},
		{"[" E("Action", "read", "{}", "[" REF("Action", "all") "]") "]", true, true},
		{"[" E("Action", "read", "{}", "[]") "]", false, true},
		{"[" E("Action", "erase", "{}", "[]") "]", false, true},
		{"[" E("Group", "a", "{}", "[]") "," E("Group", "a", "{}", "[]") "]", true, true},
		{"[" E("Odd", "a", "{}", "[]") "," E("Odd", "a", "{\"x\":1}", "[]") "]", false,
		 false},
		{"[" E("a b", "a", "{}", "[]") "]", false, false},
		{"[{\"uid\":" REF("Group", "a") ",\"attrs\":{}}]", false, false},
		{"[{\"uid\":" REF("Group",
				  "a") ",\"attrs\":{},\"parents\":[],\"tags\":{\"x\":\"y\"}}]",
		 false, true},
		{"[1]", false, false},
		{"{}", false, false},
		{"[", false, false},
		{"[\"\xff\"]", false, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (cases[i].with != !load(cases[i].json, true, NULL))
			fail_msg("with the schema: %s", cases[i].json);
		if (cases[i].without != !load(cases[i].json, false, NULL))
			fail_msg("without a schema: %s", cases[i].json);
	}
}

static void schema_adds_actions(void **state)
{
	size_t n = 0;
	assert_int_equal(load("[]", true, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(load("[]", false, &n), 0);
	assert_int_equal(n, 0);
}

// A chain as long as this must neither exhaust the stack nor the memory.
static void long_chain(void **state)
{
	enum { LONG = 3000 };
	char *json = malloc(LONG * 200), *at = json + sprintf(json, "[");
	for (int i = 0; i < LONG; i++)
		at += sprintf(
			at,
			"%s{\"uid\":{\"type\":\"G\",\"id\":\"%d\"},\"attrs\":{},\"parents\":[{"
			"\"type\":\"G\",\"id\":\"%d\"}]}",
			i ? "," : "", i, i + 1);
	strcpy(at, "]");
	struct cedar_entities *s;
	struct cedar_policies *p;
	struct cedar_engine *e;
	struct cedar_answer *a;
	ok(cedar_entities_parse(cedar_text(json), NULL, &s));
	ok(cedar_policies_parse(cedar_text("permit(principal in G::\"3000\", action, resource);"),
				NULL, &p));
	ok(cedar_engine_new(p, s, &e));
	ok(cedar_answer_new(&a));
	struct cedar_request r = {uid("G", "0"), uid("Action", "x"), uid("G", "0"), NULL};
	ok(cedar_decide(e, &r, a));
	assert_true(cedar_answer_allows(a));
	cedar_answer_free(a);
	cedar_engine_free(e);
	cedar_policies_free(p);
	cedar_entities_free(s);
	free(json);
}

static struct err check(const struct cedar_schema *s, const char *context,
			struct cedar_uid principal, struct cedar_uid resource)
{
	struct cedar_uid action = uid("Action", "read");
	struct cedar_context *c;
	TRY(cedar_context_parse(cedar_text(context), s, &action, &c));
	struct cedar_request r = {principal, action, resource, c};
	struct err e = cedar_request_check(s, &r);
	cedar_context_free(c);
	return e;
}

static void requests(void **state)
{
	struct cedar_schema *s;
	struct cedar_uid user = uid("User", "a"), group = uid("Group", "g");
	static const char good[] = "{\"at\":\"2024-01-01\",\"who\":" REF("User", "b") "}";
	ok(cedar_schema_parse(cedar_text(schema_text), &s));
	ok(check(s, good, user, user));
	ok(check(s, good, user, uid("Level", "low")));
	assert_int_equal(check(s, good, user, uid("Level", "mid")).code, ERR_USAGE);
	assert_int_equal(check(s, good, group, user).code, ERR_USAGE);
	assert_int_equal(check(s, "{}", user, user).code, ERR_USAGE);
	assert_int_equal(check(s, "{\"at\":1}", user, user).code, ERR_USAGE);
	assert_int_equal(check(s, "[]", user, user).code, ERR_USAGE);
	struct cedar_context *c;
	ok(cedar_context_new(&c));
	struct cedar_request r = {user, uid("Action", "read"), user, c};
	assert_int_equal(cedar_request_check(s, &r).code, ERR_USAGE);
	ok(cedar_context_datetime(c, "at", 0));
	ok(cedar_context_entity(c, "who", &user));
	ok(cedar_request_check(s, &r));
	ok(cedar_context_bool(c, "who", true)); // replaces
	assert_int_equal(cedar_request_check(s, &r).code, ERR_USAGE);
	r.action = uid("Action", "all");
	assert_int_equal(cedar_request_check(s, &r).code, ERR_USAGE);
	cedar_context_free(c);
	cedar_schema_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(schema_adds_actions),
		cmocka_unit_test(long_chain),
		cmocka_unit_test(requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
