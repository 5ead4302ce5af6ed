// SPDX-License-Identifier: Apache-2.0
// The language: what parses and what does not, and what each expression evaluates to.
#include "helper.h"

static const char world[] =
	"[{\"uid\":{\"type\":\"User\",\"id\":\"a\"},\"attrs\":{\"n\":3,\"name\":\"ann\",\"tags\":["
	"1,2],"
	"\"boss\":{\"__entity\":{\"type\":\"User\",\"id\":\"b\"}},\"r\":{\"x\":{\"y\":1}}},"
	"\"parents\":[{\"type\":\"Group\",\"id\":\"g\"}],\"tags\":{\"k\":\"v\"}},"
	"{\"uid\":{\"type\":\"Group\",\"id\":\"g\"},\"attrs\":{},"
	"\"parents\":[{\"type\":\"Group\",\"id\":\"top\"}]}]";

// 't', 'f', or 'e' for an error.
static char value_of(const char *expression)
{
	char policy[1000], out[64];
	snprintf(policy, sizeof policy, "permit(principal, action, resource) when { %s };",
		 expression);
	ok(decide_in(policy, world, "{\"p\":\"q\",\"n\":5}", out));
	return strchr(out, 'e') == out + 1 && strstr(out, " e0") ? 'e'
	       : strstr(out, "allow")				 ? 't'
								 : 'f';
}

static void evaluates(void **state)
{
	static const struct {
		const char *e;
		char v;
	} cases[] = {
		{"1 + 2 * 3 == 7", 't'},
		{"9223372036854775807 + 1 == 0", 'e'},
		{"-9223372036854775808 < 0", 't'},
		{"-(-9223372036854775808) == 0", 'e'},
		{"- -1 == 1", 't'},
		{"-9223372036854775808 - 1 == 0", 'e'},
		{"4611686018427387904 * 2 == 0", 'e'},
		{"true || 1", 't'},
		{"false || 1", 'e'},
		{"false && 1", 'f'},
		{"1 && true", 'e'},
		{"1", 'e'},
		{"if 1 then true else true", 'e'},
		{"1 == \"1\"", 'f'},
		{"\"a\" < \"b\"", 'e'},
		{"[1, 2, 2] == [2, 1]", 't'},
		{"[[1], [2, 3]].contains([3, 2])", 't'},
		{"{a: 1, b: {c: [1]}} == {\"b\": {\"c\": [1]}, \"a\": 1}", 't'},
		{"[1, 2].containsAll([2]) && ![1].containsAll([2]) && [1].containsAll([])", 't'},
		{"[1, 2].containsAny([3, 2]) && ![1].containsAny([])", 't'},
		{"[].isEmpty() && ![1].isEmpty()", 't'},
		{"[1].contains(1, 2) == 1", 0},
		{"principal.n == 3 && principal[\"name\"] == \"ann\"", 't'},
		{"principal has n && !(principal has zz) && !(principal.boss has n)", 't'},
		{"principal has r.x.y && !(principal has r.x.z) && !(principal has q.x.y)", 't'},
		{"principal has n.x", 'e'},
		{"principal.boss.n == 1", 'e'},
		{"principal.zz == 1", 'e'},
		{"principal.hasTag(\"k\") && principal.getTag(\"k\") == \"v\"", 't'},
		{"!principal.hasTag(\"z\") && !principal.boss.hasTag(\"k\")", 't'},
		{"principal.getTag(\"z\") == 1", 'e'},
		{"principal in Group::\"g\" && principal in Group::\"top\" && principal in "
		 "principal",
		 't'},
		{"principal in [Group::\"x\", Group::\"top\"]", 't'},
		{"principal in [Group::\"top\", 1]", 'e'},
		{"User::\"none\" in User::\"none\"", 't'},
		{"User::\"none\" in Group::\"g\"", 'f'},
		{"principal is User && principal is User in Group::\"g\" && !(principal is Group)",
		 't'},
		{"1 is User", 'e'},
		{"context.p == \"q\" && context has n", 't'},
		{"\"a*c\" like \"a\\*c\" && \"abc\" like \"a*c\" && !(\"abc\" like \"a\\*c\")",
		 't'},
		{"\"\" like \"*\" && \"abab\" like \"*ab\" && \"aXbXc\" like \"*X*X*\"", 't'},
		{"\"ab\" like \"abab*ab\"", 'f'},
		{"\"\\u{e9}\" == \"\xc3\xa9\" && \"\\x41\" == \"A\"", 't'},
		{"decimal(\"-0.5\") == decimal(\"-0.50\") && "
		 "decimal(\"1.0\").lessThan(decimal(\"1.1\"))",
		 't'},
		{"decimal(\"1.23456\") == decimal(\"1.0\")", 'e'},
		{"decimal(\"1.\") == decimal(\"1.0\")", 'e'},
		{"decimal(\"922337203685477.5808\") == decimal(\"1.0\")", 'e'},
		{"decimal(\"1.0\", \"2.0\") == decimal(\"1.0\")", 'e'},
		{"ip(\"10.1.2.3\").isInRange(ip(\"10.0.0.0/8\")) && ip(\"::1\").isLoopback()", 't'},
		{"ip(\"10.0.0.0/8\") == ip(\"10.0.0.1/8\")", 'f'},
		{"ip(\"127.0.0.1/1\").isLoopback() || ip(\"224.0.0.0/3\").isMulticast()", 'f'},
		{"ip(\"::ffff:1.2.3.4\").isIpv6()", 'e'},
		{"ip(\"1.2.3.04\").isIpv4()", 'e'},
		{"ip(\"1:2:3:4:5:6:7::\").isIpv6() && ip(\"::\") == ip(\"0:0:0:0:0:0:0:0\")", 't'},
		{"ip(\"1.2.3.4/33\").isIpv4()", 'e'},
		{"datetime(\"1969-12-31T23:59:59Z\").toDate() == datetime(\"1969-12-31\")", 't'},
		{"datetime(\"2024-02-29T01:30:00+0130\") == datetime(\"2024-02-29\")", 't'},
		{"datetime(\"2023-02-29\") == datetime(\"2023-02-28\")", 'e'},
		{"datetime(\"2024-01-01T00:00:00\") == datetime(\"2024-01-01\")", 'e'},
		{"datetime(\"2024-01-01\").offset(duration(\"1d2h\")).toTime() == duration(\"2h\")",
		 't'},
		{"datetime(\"2024-01-02\").durationSince(datetime(\"2024-01-01\")).toHours() == 24",
		 't'},
		{"duration(\"-1d1ms\").toDays() == -1 && duration(\"-1ms\").toSeconds() == 0", 't'},
		{"duration(\"1h1d\") == duration(\"1h\")", 'e'},
		{"duration(\"5ms\") < duration(\"5m\")", 't'},
		{"duration(\"1h\") < 1", 'e'},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (!cases[i].v)
			continue;
		char v = value_of(cases[i].e);
		if (v != cases[i].v)
			fail_msg("%s: %c, expected %c", cases[i].e, v, cases[i].v);
	}
}

#define WHEN(e) "permit(principal, action, resource) when { " e " };"
static const char *const right[] = {
	"",
	"permit(principal,action,resource,);",
	"@a @b(\"c\") forbid(principal is User in ?principal, action in [], resource == "
	"Doc::\"d\");",
	"permit(principal == (User::\"a\"), action == NS::Action::\"x\", resource) // end",
	WHEN("principal . a [ \"b c\" ] has d.e"),
	WHEN("!!!!true && ----1 == 1"),
	WHEN("{principal: 1, \"x y\": [1,],}.principal == 1"),
	WHEN("if if true then true else false then true else false"),
	WHEN("a :: b::\"c\" == a::b::\"c\""),
	WHEN("\xc2\xa0true"),
};

static const struct {
	const char *text, *begin;
} wrong[] = {
	{WHEN("1 == 1 == 1"), "1:51: "},
	{WHEN("\n 1 < 2 < 3"), "2:8: "},
	{WHEN("!!!!!true"), NULL},
	{WHEN("!-1 == 1"), NULL},
	{WHEN("9223372036854775808 == 1"), NULL},
	{WHEN("-(9223372036854775808) == 1"), NULL},
	{WHEN("1 / 2 == 1"), NULL},
	{WHEN("foo"), NULL},
	{WHEN("foo(1)"), NULL},
	{WHEN("a::ip(\"1.2.3.4\")"), NULL},
	{WHEN("principal.foo()"), NULL},
	{WHEN("[1].contains()"), NULL},
	{WHEN("\"1.0\".decimal()"), NULL},
	{WHEN("isIpv4(ip(\"::\"))"), NULL},
	{WHEN("principal.in"), NULL},
	{WHEN("{if: 1} == 1"), NULL},
	{WHEN("{a: 1, \"a\": 2} == 1"), NULL},
	{WHEN("principal == ?principal"), NULL},
	{WHEN("\"a\" like principal"), NULL},
	{WHEN("\"\\q\" == \"\""), NULL},
	{WHEN("\"\\*\" == \"\""), NULL},
	{WHEN("\"\\u{d800}\" == \"\""), NULL},
	{WHEN("\"\\x80\" == \"\""), NULL},
	{WHEN("\"a"), NULL},
	{WHEN("__cedar::X::\"a\" == principal"), NULL},
	{WHEN(""), NULL},
	{WHEN("true") " permit", NULL},
	{"allow(principal, action, resource);", "1:1: "},
	{"permit(principal, action);", NULL},
	{"permit(action, principal, resource);", NULL},
	{"permit(principal == ?resource, action, resource);", NULL},
	{"permit(principal, action == User::\"a\", resource);", NULL},
	{"permit(principal, action is Action, resource);", NULL},
	{"permit(principal is User == User::\"a\", action, resource);", NULL},
	{"permit(principal, action, resource)", NULL},
	{"@a@a permit(principal, action, resource);", NULL},
	{WHEN("true") "\xff", NULL},
};

static void parses(void **state)
{
	char text[2000];
	for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
		struct cedar_policies *p;
		snprintf(text, sizeof text, "%s%s", right[i], strchr(right[i], '/') ? "\n;" : "");
		ok(cedar_policies_parse(cedar_text(text), NULL, &p));
		cedar_policies_free(p);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (parse_refused(wrong[i].text, wrong[i].begin) != ERR_USAGE)
			fail_msg("accepted: %s", wrong[i].text);
}

// Deep nesting, long chains and large sets end in a clear error, not in a crash.
static void bounds(void **state)
{
	enum { MANY = 300000 };
	char *text = malloc(MANY * 4 + 200);
	assert_non_null(text);
	for (int shape = 0; shape < 5; shape++) {
		static const char *const piece[] = {"(", "!(", "[", "1 + ", "{a:"};
		char *at = text + sprintf(text, "permit(principal, action, resource) when { ");
		for (int i = 0; i < MANY / 2; i++)
			at += sprintf(at, "%s", piece[shape]);
		strcpy(at, "1 };");
		assert_int_equal(parse_refused(text, NULL), ERR_LIMIT);
	}
	char *at = text + sprintf(text, "permit(principal, action, resource) when { [");
	for (int i = 0; i < MANY / 4; i++)
		at += sprintf(at, "%d,", i);
	strcpy(at, "].contains(7) };");
	char out[64];
	ok(decide_in(text, "[]", "{}", out));
	assert_string_equal(out, "allow r0");
	at = text + sprintf(text, "permit(principal, action, resource) when { context.s like \"");
	for (int i = 0; i < 20000; i++)
		at += sprintf(at, "*a");
	strcpy(at, "*b\" };");
	char *context = malloc(MANY + 20), *c = context + sprintf(context, "{\"s\":\"");
	memset(c, 'a', MANY);
	strcpy(c + MANY, "\"}");
	ok(decide_in(text, "[]", context, out));
	assert_string_equal(out, "deny");
	free(context);
	free(text);
}

static void templates(void **state)
{
	static const char text[] =
		"@id(\"t\") permit(principal == ?principal, action, resource in ?resource);\n"
		"@id(\"s\") forbid(principal, action, resource) when { false };\n"
		"permit(principal, action, resource) when { false };";
	struct cedar_policies_options options = {.id_from_annotation = true};
	struct cedar_policies *p;
	struct cedar_uid who = uid("User", "a"), what = uid("Doc", "d");
	ok(cedar_policies_parse(cedar_text(text), &options, &p));
	assert_int_equal(cedar_policies_count(p), 2);
	assert_true(id_is(p, 0, "s") && id_is(p, 1, "policy2"));
	assert_int_equal(cedar_policies_get(p, 1).line, 3);
	ok(cedar_policies_link(p, cedar_text("t"), cedar_text("l"), &who, &what));
	assert_int_equal(cedar_policies_link(p, cedar_text("t"), cedar_text("l"), &who, &what).code,
			 ERR_USAGE); // the id is taken
	assert_int_equal(cedar_policies_link(p, cedar_text("t"), cedar_text("m"), &who, NULL).code,
			 ERR_USAGE);
	assert_int_equal(cedar_policies_link(p, cedar_text("s"), cedar_text("m"), NULL, NULL).code,
			 ERR_USAGE);
	struct cedar_policy_view v = cedar_policies_get(p, 2);
	assert_int_equal(v.template_id.n, 1);
	struct cedar_text value;
	assert_true(cedar_policies_annotation(p, 2, "id", &value));
	struct cedar_engine *e;
	struct cedar_answer *a;
	ok(cedar_engine_new(p, NULL, &e));
	ok(cedar_answer_new(&a));
	struct cedar_request r = {who, uid("Action", "x"), what, NULL};
	ok(cedar_decide(e, &r, a));
	assert_true(cedar_answer_allows(a));
	r.principal = uid("User", "b");
	ok(cedar_decide(e, &r, a));
	assert_false(cedar_answer_allows(a));
	cedar_answer_free(a);
	cedar_engine_free(e);
	cedar_policies_free(p);
}

static void json_form(void **state)
{
	static const char text[] =
		"{\"staticPolicies\":{\"p\":{\"effect\":\"permit\",\"principal\":{\"op\":\"is\","
		"\"entity_type\":\"User\",\"in\":{\"entity\":{\"type\":\"Group\",\"id\":\"g\"}}},"
		"\"action\":{\"op\":\"in\",\"entities\":[{\"type\":\"Action\",\"id\":\"do\"}]},"
		"\"resource\":{\"op\":\"All\"},\"conditions\":[{\"kind\":\"when\",\"body\":{\"&&\":"
		"{"
		"\"left\":{\"like\":{\"left\":{\".\":{\"left\":{\"Var\":\"context\"},\"attr\":"
		"\"s\"}},"
		"\"pattern\":[{\"Literal\":\"a\"},\"Wildcard\"]}},\"right\":{\"isInRange\":[{"
		"\"ip\":[{"
		"\"Value\":\"10.0.0.1\"}]},{\"ip\":[{\"Value\":\"10.0.0.0/8\"}]}]}}}}]}},"
		"\"templates\":{\"t\":{\"effect\":\"forbid\",\"principal\":{\"op\":\"==\",\"slot\":"
		"\"?principal\"},\"action\":{\"op\":\"All\"},\"resource\":{\"op\":\"All\"},"
		"\"conditions\":[]}},\"templateLinks\":[{\"templateId\":\"t\",\"newId\":\"l\","
		"\"values\":"
		"{\"?principal\":{\"type\":\"User\",\"id\":\"z\"}}}]}";
	struct cedar_policies *p;
	struct cedar_entities *s;
	struct cedar_engine *e;
	struct cedar_answer *a;
	struct cedar_context *c;
	ok(cedar_policies_parse_json(cedar_text(text), &p));
	ok(cedar_entities_parse(cedar_text(world), NULL, &s));
	ok(cedar_engine_new(p, s, &e));
	ok(cedar_answer_new(&a));
	ok(cedar_context_new(&c));
	ok(cedar_context_string(c, "s", cedar_text("abc")));
	struct cedar_request r = {uid("User", "a"), uid("Action", "do"), uid("Doc", "d"), c};
	ok(cedar_decide(e, &r, a));
	assert_true(cedar_answer_allows(a));
	assert_true(id_is(p, cedar_answer_reason(a, 0), "p"));
	r.principal = uid("User", "z");
	ok(cedar_decide(e, &r, a));
	assert_true(id_is(p, cedar_answer_reason(a, 0), "l"));
	cedar_context_free(c);
	cedar_answer_free(a);
	cedar_engine_free(e);
	cedar_entities_free(s);
	cedar_policies_free(p);
	assert_int_equal(cedar_policies_parse_json(cedar_text("{\"effect\":\"allow\"}"), &p).code,
			 ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(evaluates), cmocka_unit_test(parses),	  cmocka_unit_test(bounds),
		cmocka_unit_test(templates), cmocka_unit_test(json_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
