// SPDX-License-Identifier: Apache-2.0
// The language: what it means, its one canonical form, and all that is refused.
#include "test_abe.h"

static void test_canonical(void **state)
{
	static const char *const same[][2] = {
		{"role=traffic-model", "role = traffic-model"},
		{"b=1 and a=2", "a = 2 AND b = 1"},
		{"a=1 or (b=2 OR (c=3))", "a = 1 OR b = 2 OR c = 3"},
		{"a=1 AND b=2 OR c=3", "(a = 1 AND b = 2) OR c = 3"},
		{"1 of (b=1, a=1)", "a = 1 OR b = 1"},
		{"2 OF (b=1, a=1)", "a = 1 AND b = 1"},
		{"2 of (c=1, b=1 , a=1 and d=2)", "2 OF (a = 1 AND d = 2, b = 1, c = 1)"},
		{"(2 of (c=1,b=1,a=1)) and z=1", "2 OF (a = 1, b = 1, c = 1) AND z = 1"},
		{"1 of (a=1)", "a = 1"},
		{"net/role=x", "net/role = x"},
		{"a=\"x y\"", "a = \"x y\""},
		{"a=\"plain\"", "a = plain"},
		{"a=\"and\"", "a = \"and\""},
		{"a=\"q\\\"\\\\\"", "a = \"q\\\"\\\\\""},
		{"zone{edge,core}=core", "zone{core,edge} = core"},
		{"zone{edge,core,lab} != core",
		 "zone{core,edge,lab} = edge OR zone{core,edge,lab} = lab"},
		{"NOT zone{edge,core}=core", "zone{core,edge} = edge"},
		{"NOT NOT a=1", "a = 1"},
		{"level:8 > 3", "level:8 >= 4"},
		{"level:8 < 3", "level:8 <= 2"},
		{"level:8 >= 255", "level:8 = 255"},
		{"level:8 <= 0", "level:8 = 0"},
		{"level:8 != 0", "level:8 >= 1"},
		{"level:8 != 7", "level:8 <= 6 OR level:8 >= 8"},
		{"NOT (level:8 >= 3)", "level:8 <= 2"},
		{"NOT (l:8 >= 3 AND zone{a,b} = a)", "l:8 <= 2 OR zone{a,b} = b"},
		{"NOT 2 of (l:8>=3, m:8>=3, n:8>=3)", "2 OF (l:8 <= 2, m:8 <= 2, n:8 <= 2)"},
		{"NOT 1 of (l:8>=3, m:8>=3)", "l:8 <= 2 AND m:8 <= 2"},
		{"valid:date >= 2026-12-31", "valid:date >= 2026-12-31"},
		{"valid:date > 2024-02-28", "valid:date >= 2024-02-29"},
		{"valid:date > 1970-01-01", "valid:date >= 1970-01-02"},
		{"a=Zu\xcc\x88rich",
		 "a = Z\xc3\xbcrich"}, // u with a combining diaeresis: one letter
	};
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		struct policy *p = policy_of(same[i][0]), *again;
		assert_string_equal(policy_text(p), same[i][1]);
		assert_good(policy_read(same[i][1], strlen(same[i][1]), &again));
		policy_free(again);
		if (strcmp(same[i][0], same[i][1]) != 0)
			assert_bad(ERR_PEER, "canonical",
				   policy_read(same[i][0], strlen(same[i][0]), &again));
		policy_free(p);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[][2] = {
		{"", "name"},
		{"a", "expected ="},
		{"a=", "value"},
		{"A=1", "lower-case"},
		{"aB=1", "lower case"},
		{"a=1 b=2", "AND, OR or the end"},
		{"a=1 AND", "name"},
		{"(a=1", "expected )"},
		{"a=1)", "the end"},
		{"2 OF (a=1)", "2 OF 1"},
		{"0 OF (a=1)", "0 OF 1"},
		{"2 (a=1,b=1)", "OF ("},
		{"02 OF (a=1,b=1)", "leading zeros"},
		{"a=1 OR a=1", "given twice"},
		{"a=1 AND (b=1 AND a=1)", "given twice"},
		{"2 OF (a=1,b=1,a=1)", "given twice"},
		{"a=1 OR a=\"1\"", "given twice"},
		{"and=1", "cannot be names"},
		{"a=not", "in \"quotes\""},
		{"a=\"x", "quotation mark"},
		{"a=\"\"", "not empty"},
		{"a=\" x\"", "space at its ends"},
		{"a=\"\\n\"", "only"},
		{"a>=1", "write the width"},
		{"a!=b", "closed enumeration"},
		{"NOT a=b", "closed enumeration"},
		{"NOT (a=b OR l:8=1)", "closed enumeration"},
		{"z{a}=a", "two members"},
		{"z{a,b,a}=a", "twice"},
		{"z{a,b}=c", "no member"},
		{"z{a,b=c", "expected , or }"},
		{"l:0=0", "1 to 64"},
		{"l:65=0", "larger than 64"},
		{"l:8=256", "larger than 255"},
		{"l:64=18446744073709551616", "larger"},
		{"l:8=01", "leading zeros"},
		{"l:8=x", "whole number"},
		{"l:8=-1", "whole number"},
		{"l:8>=0", "always true"},
		{"l:8<=255", "always true"},
		{"l:8>255", "never true"},
		{"l:8<0", "never true"},
		{"NOT l:8>255", "always true"},
		{"d:date=2026-02-29", "a date"},
		{"d:date=2149-06-07", "a date"},
		{"d:date=1969-12-31", "a date"},
		{"d:date=2026-1-1", "a date"},
		{"a=b\x01", "not allowed"},
		{"a=\"x\ty\"", "no tab"},
		{"a=\xff", "not UTF-8"},
		{"a=\xc0\xaf", "not UTF-8"},	 // overlong
		{"a=\xed\xa0\x80", "not UTF-8"}, // surrogate
		{"a=x\xe2\x80\x8by", "U+200B"},	 // zero width space
		{"a=x\xe2\x80\xaey", "U+202E"},	 // turns the direction of writing
		{"a=\"x\xc2\xa0y\"", "U+00A0"},	 // no-break space
		{"a=\xee\x80\x80", "U+E000"},	 // private use
		{"a=\xcd\xb8", "U+0378"},	 // unassigned
		{"a=\"\xcc\x88u\"", "combining mark"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct policy *p = NULL;
		assert_bad(ERR_USAGE, bad[i][1], policy_parse(bad[i][0], strlen(bad[i][0]), &p));
		assert_null(p);
	}
}

// Every comparison of every width up to 5 with every value, against arithmetic.
static void test_comparisons(void **state)
{
	static const char *const ops[] = {"=", "!=", "<", "<=", ">", ">="};
	size_t met = 0;
	for (unsigned width = 1; width <= 5; width++)
		for (unsigned c = 0; c < 1u << width; c++)
			for (unsigned op = 0; op < 12; op++) {
				char text[64];
				snprintf(text, sizeof text, "%sx:%u %s %u", op < 6 ? "" : "NOT ",
					 width, ops[op % 6], c);
				struct policy *p;
				bool made = policy_parse(text, strlen(text), &p).code == ERR_NONE;
				unsigned trues = 0;
				for (unsigned x = 0; x < 1u << width; x++) {
					bool want[] = {x == c, x != c, x<c, x <= c, x> c, x >= c};
					bool yes = want[op % 6] == (op < 6);
					trues += yes;
					if (!made)
						continue;
					char list[32];
					snprintf(list, sizeof list, "x:%u=%u", width, x);
					struct attributes *a = attributes_of(list);
					if (policy_permits(p, a) != yes)
						fail_msg("%s with %u", text, x);
					attributes_free(a);
					met++;
				}
				// refused are those, and only those, that are always or never true
				assert_int_equal(made, trues != 0 && trues != 1u << width);
				if (made) {
					assert_true(policy_rows(p) <= 2 * width);
					policy_free(p);
				}
			}
	assert_true(met > 8000);
}

static void test_dates_and_wide(void **state)
{
	assert_true(permitted("valid:date >= 2026-11-25", "valid:date=2026-11-25"));
	assert_true(permitted("valid:date >= 2026-11-25", "valid:date=2027-01-01"));
	assert_false(permitted("valid:date >= 2026-11-25", "valid:date=2026-11-24"));
	assert_true(permitted("valid:date <= 2149-06-05", "valid:date=1970-01-01"));
	assert_false(permitted("valid:date = 2026-11-25", "valid:16=20782")); // another type
	assert_true(permitted("e:64 >= 9223372036854775808", "e:64=18446744073709551615"));
	assert_false(permitted("e:64 > 9223372036854775808", "e:64=9223372036854775808"));
	assert_false(permitted("l:8 = 3", "l:9=3"));
	assert_false(permitted("l:8 = 3", "l=3"));
	assert_false(permitted("net/l = 3", "l=3"));
	assert_false(permitted("z{a,b} = a", "z=a"));
	assert_false(permitted("z{a,b} = a", "z{a,b,c}=a")); // another enumeration
}

static void test_formula(void **state)
{
	const char *p = "(role = traffic-model AND domain = core) OR 2 OF (level:8 >= 3, site = a, "
			"site = b)";
	assert_true(permitted(p, "role=traffic-model,domain=core"));
	assert_false(permitted(p, "role=traffic-model,level:8=9"));
	assert_true(permitted(p, "site=b,level:8=3"));
	assert_true(permitted(p, "site=a,site=b"));
	assert_false(permitted(p, "site=a,level:8=2"));
}

// --- limits

static void repeat_text(struct buf *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_str(out, text);
}

static void test_depth(void **state)
{
	for (unsigned depth = 1; depth < 6000; depth = depth * 2 + 1) {
		static const char *const openers[] = {"(", "NOT ", "1 OF ("};
		for (size_t k = 0; k < 3; k++) {
			scoped(buf) struct buf text = {.limit = 64 << 10};
			struct policy *p;
			repeat_text(&text, openers[k], depth);
			buf_str(&text, "l:8 >= 2");
			repeat_text(&text, k == 1 ? "" : ")", depth);
			struct err e = policy_parse(buf_text(&text), text.len, &p);
			assert_int_equal(e.code, depth < POLICY_DEPTH_MAX ? ERR_NONE : ERR_LIMIT);
			if (e.code == ERR_NONE)
				policy_free(p);
		}
	}
}

static struct err parse_many(const char *format, unsigned n, const char *between)
{
	scoped(buf) struct buf text = {.limit = 1 << 20};
	struct policy *p;
	for (unsigned i = 0; i < n; i++) {
		buf_str(&text, i ? between : "");
		buf_printf(&text, "a%u", i);
		buf_str(&text, format);
	}
	struct err e = policy_parse(buf_text(&text), text.len, &p);
	if (e.code == ERR_NONE) {
		assert_true(policy_rows(p) <= POLICY_ROWS_MAX);
		policy_free(p);
	}
	return e;
}

static void test_sizes(void **state)
{
	assert_good(parse_many("=v", 1024, " OR ")); // 13 KiB of canonical text
	assert_bad(ERR_LIMIT, "terms", parse_many("=v", 1025, " OR "));
	assert_bad(ERR_LIMIT, "rows", parse_many(":64>=1", 20, " AND "));
	assert_bad(ERR_LIMIT, "16384", parse_many("=v", 20000, " OR "));
	assert_bad(ERR_LIMIT, "canonical form", parse_many("=vvvvvvv", 1000, " or "));
	scoped(buf) struct buf long_name = {0}, long_value = {0}, again = {0};
	struct policy *p;
	repeat_text(&long_name, "n", ATTRIBUTE_NAME_MAX + 1);
	buf_str(&long_name, "=v");
	assert_bad(ERR_USAGE, "at most 64", policy_parse(buf_text(&long_name), long_name.len, &p));
	buf_str(&long_value, "a=");
	repeat_text(&long_value, "v", ATTRIBUTE_VALUE_MAX + 1);
	assert_bad(ERR_USAGE, "at most 256",
		   policy_parse(buf_text(&long_value), long_value.len, &p));
	for (int i = 0; i <= POLICY_REPEAT_MAX; i++)
		buf_printf(&again, "%s(x=v OR y%d=v)", i ? " AND " : "", i);
	assert_bad(ERR_LIMIT, "more than 64 places", policy_parse(buf_text(&again), again.len, &p));
}

static void test_occurrences(void **state)
{
	struct policy *p = policy_of("(a=1 OR b=1) AND (a=1 OR c=1)");
	assert_int_equal(policy_rows(p), 4);
	assert_int_equal(policy_columns(p), 2);
	assert_int_equal(policy_repeat(p), 2);
	size_t first = 0;
	for (size_t i = 0; i < 4; i++) {
		bool a = strcmp(policy_attribute(p, i)->label, "a = 1") == 0;
		assert_int_equal(policy_occurrence(p, i), a ? first++ : 0);
	}
	assert_int_equal(first, 2);
	policy_free(p);
}

static void test_random_is_fixed_point(void **state)
{
	uint64_t seed = 7;
	for (int i = 0; i < 3000; i++) {
		struct policy *p = random_policy(&seed, 4, 9), *again;
		assert_good(policy_read(policy_text(p), strlen(policy_text(p)), &again));
		assert_string_equal(policy_text(p), policy_text(again));
		policy_free(p);
		policy_free(again);
	}
}

// --- attribute lists

static void test_lists(void **state)
{
	struct attributes *a = attributes_of("role=traffic-model , domain=core,level:8=3,n/role=x");
	assert_string_equal(attributes_text(a),
			    "domain = core, level:8 = 3, n/role = x, role = traffic-model");
	assert_int_equal(attributes_count(a), 12);
	for (size_t i = 0; i < attributes_count(a); i++)
		assert_int_equal(attributes_find(a, attributes_at(a, i)->hash), i);
	assert_string_equal(attributes_at(a, 2)->label, "level:8 bit 7 = 0");
	assert_string_equal(attributes_at(a, 9)->label, "level:8 bit 0 = 1");
	assert_int_equal(attributes_find(a, (const uint8_t[32]){1}), -1);
	attributes_free(a);
	static const char *const bad[][2] = {
		{"a=1,a=1", "given twice"},
		{"a=1,a=\"1\"", "given twice"},
		{"a=Zu\xcc\x88rich,a=Z\xc3\xbcrich", "given twice"},
		{"l:8=3,l:8=4", "one value"}, // their bits together would be 7
		{"d:date=2026-01-01,d:date=2026-01-02", "one value"},
		{"z{a,b}=a,z{b,a}=b", "one value"},
		{"l:8>=3", "=value"},
		{"z{a,b}!=a", "=value"},
		{"a=1;b=2", "expected ,"},
		{"a=1,", "name"},
		{"", "name"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_bad(ERR_USAGE, bad[i][1],
			   attributes_parse(bad[i][0], strlen(bad[i][0]), &a));
	assert_bad(ERR_PEER, "canonical", attributes_read("a=1", 3, &a));
	attributes_free(attributes_of("a=1,a=2,l:8=3,l:9=3"));
}

static void test_list_limit(void **state)
{
	scoped(buf) struct buf text = {0};
	struct attributes *a;
	for (int i = 0; i < 16; i++)
		buf_printf(&text, "%sl%d:64=1", i ? "," : "", i);
	assert_bad(ERR_LIMIT, "1024", attributes_parse(buf_text(&text), text.len, &a));
}

// The identity tells apart what a careless concatenation would not, and is what attribute.h draws.
static void test_identities(void **state)
{
	struct attributes *a = attributes_of(
		"ab/c=d,a/"
		"bc=d,abc=d,c=d,x{cd,e}=e,x{c,de,e}=e,l:8=3,l:9=3,x=\"e}\",x=\"e}=e\",c=\"d,c\"");
	for (size_t i = 0; i < attributes_count(a); i++)
		for (size_t k = i + 1; k < attributes_count(a); k++)
			assert_memory_not_equal(attributes_at(a, i)->hash,
						attributes_at(a, k)->hash, 32);
	attributes_free(a);
	static const uint8_t id[] = {1, 0, 2, 'n', 's', 0, 1, 'a', 0, 2, 0xc3, 0xbc};
	static const uint8_t bit[] = {4, 0, 0, 0, 1, 'l', 0, 4, 'u', 2, 1, 1};
	a = attributes_of("ns/a=u\xcc\x88,l:2=2");
	assert_int_equal(attributes_at(a, 3)->len, sizeof id);
	assert_memory_equal(attributes_at(a, 3)->id, id, sizeof id);
	assert_int_equal(attributes_at(a, 1)->len, sizeof bit);
	assert_memory_equal(attributes_at(a, 1)->id, bit, sizeof bit);
	attributes_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_comparisons),
		cmocka_unit_test(test_dates_and_wide),
		cmocka_unit_test(test_formula),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_occurrences),
		cmocka_unit_test(test_random_is_fixed_point),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_list_limit),
		cmocka_unit_test(test_identities),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
