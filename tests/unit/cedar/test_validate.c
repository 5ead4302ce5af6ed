// SPDX-License-Identifier: Apache-2.0
// Schemas, in both forms, and strict validation against them.
#include "helper.h"

static const char schema_text[] =
	"type Rec = { x: Long, y?: { z?: Long } };\n"
	"entity Group in Group; entity Level enum [\"low\", \"high\"]; entity Thing;\n"
	"entity User in [Group] { n: Long, s: String, opt?: Rec, set: Set<String>, at: datetime, "
	"d: decimal } tags Long;\n"
	"action all;\n"
	"action read in [all] appliesTo { principal: [User], resource: [User], context: {} };\n"
	"action write in [all] appliesTo { principal: [User, Group], resource: User, context: { "
	"q?: Bool } "
	"};";

static bool passes(const char *schema, const char *policies)
{
	struct cedar_schema *s;
	struct cedar_policies *p;
	struct cedar_findings *f;
	ok(cedar_schema_parse(cedar_text(schema), &s));
	ok(cedar_policies_parse(cedar_text(policies), NULL, &p));
	ok(cedar_validate(s, p, &f));
	bool passed = cedar_findings_passed(f);
	assert_true(passed || cedar_findings_count(f) > 0);
	cedar_findings_free(f);
	cedar_policies_free(p);
	cedar_schema_free(s);
	return passed;
}

static void conditions(void **state)
{
	static const struct {
		const char *e;
		bool passes;
	} cases[] = {
		{"principal.n == 1", false}, // a Group has none
		{"principal is User && principal.n == 1", true},
		{"principal is Group && principal.n == 1", false},
		{"resource.opt.x == 1", false},
		{"resource has opt && resource.opt.x == 1", true},
		{"resource has opt && principal is User && principal.opt.x == 1", false},
		{"resource has opt.y.z && resource.opt.y.z == 1", true},
		{"resource has opt.y && resource.opt.y.z == 1", false},
		{"(resource has opt || resource has opt.y) && resource.opt.x == 1", true},
		{"(resource has opt || true) && resource.opt.x == 1", false},
		{"if resource has opt then resource.opt.x == 1 else true", true},
		{"resource.hasTag(\"a\") && resource.getTag(\"a\") == 1", true},
		{"resource.hasTag(\"a\") && resource.getTag(\"b\") == 1", false},
		{"resource.hasTag(resource.s) && resource.getTag(resource.s) == 1", true},
		{"Thing::\"t\".hasTag(\"a\") && 1 + \"a\" == 2", true}, // never looked at
		{"resource.n == \"a\"", false},
		{"1 == \"a\"", true}, // two literals: false, and known to be
		{"resource == action", true},
		{"resource.set.contains(1)", false},
		{"resource.set.containsAny([])", false},
		{"[1, \"a\"].contains(1)", false},
		{"[resource, action] == [resource]", false},
		{"resource.at < datetime(\"2024-01-01\")", true},
		{"resource.s < \"a\"", false},
		{"resource.d < resource.d", false},
		{"resource.d.lessThan(decimal(\"1.00000\"))", false},
		{"resource.d.lessThan(decimal(resource.s))", false},
		{"resource.d.lessThan(decimal(\"1.0\"))", true},
		{"decimal(\"1.0\", \"1.0\") == resource.d", false},
		{"resource.n + 1 == 2 && -resource.n < 3", true},
		{"context.q", false},
		{"action == Action::\"write\" && context has q && context.q", true},
		{"action in Action::\"all\"", true},
		{"action in Action::\"gone\"", false},
		{"resource in Group::\"g\" && resource in [Group::\"g\"]", true},
		{"resource in Thing::\"t\" && 1 + \"a\" == 2", true},
		{"Level::\"low\" == Level::\"high\"", true},
		{"false && Level::\"mid\" == Level::\"low\"", false},
		{"resource is Nothing", false},
		{"1", false},
		{"resource.s like \"a*\"", true},
		{"resource.n like \"a*\"", false},
		{"{a: 1, b: resource.s} == {a: 2, b: \"x\"}", true},
		{"{a: 1} == {b: 1}", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[400];
		snprintf(text, sizeof text, "permit(principal, action, resource) when { %s };",
			 cases[i].e);
		if (passes(schema_text, text) != cases[i].passes)
			fail_msg("%s", cases[i].e);
	}
}

static void scopes(void **state)
{
	static const struct {
		const char *scope;
		bool passes;
	} cases[] = {
		{"principal, action, resource", true},
		{"principal == Thing::\"t\", action, resource", false},
		{"principal is Group, action == Action::\"read\", resource", false},
		{"principal is Group, action == Action::\"write\", resource", true},
		{"principal in Group::\"g\", action in Action::\"all\", resource", true},
		{"principal, action == Action::\"all\", resource", false},
		{"principal, action in [Action::\"gone\"], resource", false},
		{"principal, action in [], resource", false},
		{"principal is Nothing, action, resource", false},
		{"principal == ?principal, action, resource in ?resource", true},
		{"principal is Thing in ?principal, action, resource", false},
		{"principal, action, resource == Level::\"mid\"", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[400];
		snprintf(text, sizeof text, "permit(%s);", cases[i].scope);
		if (passes(schema_text, text) != cases[i].passes)
			fail_msg("%s", cases[i].scope);
	}
}

static void findings(void **state)
{
	struct cedar_schema *s;
	struct cedar_policies *p;
	struct cedar_findings *f;
	ok(cedar_schema_parse(cedar_text(schema_text), &s));
	ok(cedar_policies_parse(cedar_text("permit(principal, action, resource) when { false };\n"
					   "permit(principal, action, resource)\n"
					   "when { resource.gone };"),
				NULL, &p));
	ok(cedar_validate(s, p, &f));
	assert_false(cedar_findings_passed(f));
	struct cedar_finding first = cedar_findings_get(f, 0), second = cedar_findings_get(f, 1);
	assert_false(first.error); // a policy that is never satisfied is a warning
	assert_true(second.error && second.line == 3 && second.column == 16);
	assert_non_null(strstr(second.text, "gone"));
	cedar_findings_free(f);
	cedar_policies_free(p);
	cedar_schema_free(s);
}

static void schemas(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{"", true},
		{"entity A in [B]; entity B in [A];", true},
		{"action a in [b]; action b in [a];", false},
		{"action a in \"gone\";", false},
		{"namespace N { action a in [Action::\"b\"]; action \"b\"; }", true},
		{"namespace A {} namespace A {}", false},
		{"entity X; namespace A { entity X; }", false},
		{"entity Action;", false},
		{"entity A; entity A;", false},
		{"entity A; type A = Long; entity B { x: A };", true},
		{"type A = { x: B }; type B = Set<A>;", false},
		{"type Set = Long;", false},
		{"entity Set; entity A { x: Set, y: Set<Set> };", true},
		{"entity String; entity A { x: String, y: __cedar::String };", true},
		{"entity A { x: Gone };", false},
		{"entity A { in: Long };", false},
		{"entity A { \"in\"?: Long, };", true},
		{"entity A { x: Long, x: String };", true},
		{"entity A enum [];", false},
		{"entity A enum [\"x\"]; entity B in A;", true},
		{"entity A; action a appliesTo { principal: A };", false},
		{"entity A; action a appliesTo { principal: [], resource: A };", false},
		{"entity A; action a appliesTo { principal: A, principal: A, resource: A };",
		 false},
		{"entity A; action a appliesTo { principal: Action, resource: A };", false},
		{"entity A; type C = { x: Long }; action a appliesTo { principal: A, resource: A, "
		 "context: "
		 "C };",
		 true},
		{"entity A; action a appliesTo { principal: A, resource: A, context: Long };",
		 false},
		{"@a @b(\"c\") entity A { @d x: Long } tags Set<Long>;", true},
		{"@a @a entity A;", false},
		{"namespace __cedar { entity A; }", false},
		{"entity A = {};", true},
		{"entity A", false},
		{"entity 5;", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct cedar_schema *s;
		struct err e = cedar_schema_parse(cedar_text(cases[i].text), &s);
		if (!e.code != cases[i].good)
			fail_msg("%s: %s", cases[i].text, e.code ? e.text : "accepted");
		cedar_schema_free(s);
	}
}

static void json_schema(void **state)
{
	static const char text[] = "{\"\":{\"entityTypes\":{\"User\":{\"memberOfTypes\":[\"Group\"]"
				   ",\"shape\":{\"type\":"
				   "\"Record\",\"attributes\":{\"n\":{\"type\":\"Long\"},\"ip\":{"
				   "\"type\":\"Extension\","
				   "\"name\":\"ipaddr\",\"required\":false},\"all\":{\"type\":"
				   "\"Set\",\"element\":{\"type\":"
				   "\"Entity\",\"name\":\"User\"}},\"c\":{\"type\":\"C\"}}}},"
				   "\"Group\":{}},\"commonTypes\":{"
				   "\"C\":{\"type\":\"Boolean\"}},\"actions\":{\"read\":{"
				   "\"memberOf\":[{\"id\":\"all\"}],"
				   "\"appliesTo\":{\"principalTypes\":[\"User\"],\"resourceTypes\":"
				   "[\"User\"]}},\"all\":{}}}}";
	struct cedar_schema *s;
	struct cedar_policies *p;
	struct cedar_findings *f;
	ok(cedar_schema_parse_json(cedar_text(text), &s));
	ok(cedar_policies_parse(
		cedar_text("permit(principal in Group::\"g\", action in Action::\"all\", resource) "
			   "when { "
			   "principal.c && principal has ip && principal.ip.isIpv4() && "
			   "principal.all.contains(resource) };"),
		NULL, &p));
	ok(cedar_validate(s, p, &f));
	assert_true(cedar_findings_passed(f));
	cedar_findings_free(f);
	cedar_policies_free(p);
	cedar_schema_free(s);
	static const char *const bad[] = {
		"[]",
		"{\"\":{\"entityTypes\":{}}}",
		"{\"\":{\"entityTypes\":{},\"actions\":{},\"more\":{}}}",
		"{\"\":{\"entityTypes\":{\"A\":{\"shape\":{\"type\":\"Long\"}}},\"actions\":{}}}",
		"{\"\":{\"entityTypes\":{\"A\":{\"tags\":{\"type\":\"Gone\"}}},\"actions\":{}}}",
		"{\"a b\":{\"entityTypes\":{},\"actions\":{}}}",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(cedar_schema_parse_json(cedar_text(bad[i]), &s).code, ERR_USAGE);
}

// Types that double with each name: the work is bounded.
static void bounded_work(void **state)
{
	char *text = malloc(400000), *at = text + sprintf(text, "type T0 = Long; type S0 = Long;");
	for (int i = 1; i < 60; i++)
		at += sprintf(at, "type T%d = { a: T%d, b: T%d }; type S%d = { a: S%d, b: S%d };",
			      i, i - 1, i - 1, i, i - 1, i - 1);
	sprintf(at,
		"entity U { x: T59, y: S59 }; action a appliesTo { principal: U, resource: U };");
	struct cedar_schema *s;
	struct cedar_policies *p;
	struct cedar_findings *f;
	ok(cedar_schema_parse(cedar_text(text), &s));
	ok(cedar_policies_parse(
		cedar_text("permit(principal, action, resource) when { principal.x == "
			   "principal.y };"),
		NULL, &p));
	assert_int_equal(cedar_validate(s, p, &f).code, ERR_LIMIT);
	cedar_policies_free(p);
	cedar_schema_free(s);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions),  cmocka_unit_test(scopes),
		cmocka_unit_test(findings),    cmocka_unit_test(schemas),
		cmocka_unit_test(json_schema), cmocka_unit_test(bounded_work),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
