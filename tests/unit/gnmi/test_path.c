// SPDX-License-Identifier: Apache-2.0
// Paths: canonical text, wire and message forms, patterns.

#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void canonical(const char *in, const char *want)
{
	char out[PATH_TEXT_MAX + 1];
	struct err e = path_canonical(in, out);
	if (e.code != ERR_NONE)
		fail_msg("%s: %s", in, e.text);
	assert_string_equal(out, want);
}

static void refused(const char *in, enum err_code code)
{
	char out[PATH_TEXT_MAX + 1];
	struct err e = path_canonical(in, out);
	if (e.code != code)
		fail_msg("%s: code %s", in, err_code_name(e.code));
	assert_true(strlen(e.text) > 10);
}

static void test_canonical(void **state)
{
	canonical("/", "/");
	canonical("/a/b/", "/a/b");
	canonical("/interfaces/interface[name=eth0]/state",
		  "/interfaces/interface[name=eth0]/state");
	canonical("/l[z=1][a=2]", "/l[a=2][z=1]");
	canonical("/l[name=Ethernet1/2]/x", "/l[name=Ethernet1/2]/x");
	canonical("/l[k=a\\]b\\\\c]", "/l[k=a\\]b\\\\c]");
	canonical("/l[k=[x]", "/l[k=[x]");
	canonical("/l[k=]", "/l[k=]");
	canonical("openconfig:/a", "/a");
	canonical("cli:/show", "cli:/show");
	canonical("/oc-if:interfaces/*/...", "/oc-if:interfaces/*/...");
}

static void test_refused(void **state)
{
	refused("", ERR_USAGE);
	refused("a/b", ERR_USAGE);
	refused("//a", ERR_USAGE);
	refused("/a[b", ERR_USAGE);
	refused("/a[b=c", ERR_USAGE);
	refused("/a[=c]", ERR_USAGE);
	refused("/a[b=c]d", ERR_USAGE);
	refused("/a[b=c\\d]", ERR_USAGE);
	refused("/a[b=1][b=2]", ERR_USAGE);
	refused("/a b", ERR_USAGE);
	refused("/a[b=x\ny]", ERR_USAGE);
	refused("/a[b=\xc3]", ERR_USAGE);
	refused("/a[b=\xed\xa0\x80]", ERR_USAGE); // a surrogate
	refused("/..", ERR_USAGE);
	char many[4 * PATH_ELEMS_MAX] = "";
	for (int i = 0; i <= PATH_ELEMS_MAX; i++)
		strcat(many, "/a");
	refused(many, ERR_LIMIT);
	char longest[PATH_TEXT_MAX + 8];
	memset(longest, 'a', sizeof longest);
	longest[0] = '/';
	longest[sizeof longest - 1] = 0;
	refused(longest, ERR_LIMIT);
	refused("/a[a=1][b=1][c=1][d=1][e=1][f=1][g=1][h=1][i=1]", ERR_LIMIT);
}

static const char *const samples[] = {
	"/",
	"/interfaces/interface[name=eth0]/state/counters/in-octets",
	"/a/b[x=1][y=2/3]/c",
	"/l[k=a\\]b\\\\c]/d",
	"/l[k=]/d",
	"cli:/show",
	"/l[n=\xc3\xa9\xe2\x82\xac]",
};

static void test_wire(void **state)
{
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		scoped(buf) struct buf b = {0};
		char out[PATH_TEXT_MAX + 1];
		size_t n;
		assert_int_equal(path_wire_of_text(samples[i], "dev", &b).code, ERR_NONE);
		assert_int_equal(path_text_of_wire(NULL, 0, b.data, b.len, out, &n).code, ERR_NONE);
		assert_string_equal(out, samples[i]);
		assert_int_equal(n, strlen(out));
		// protobuf-c reads the same from our bytes
		Gnmi__Path *m = gnmi__path__unpack(NULL, b.len, b.data);
		assert_non_null(m);
		assert_string_equal(m->target, "dev");
		assert_int_equal(path_text_of_message(NULL, m, out, NULL).code, ERR_NONE);
		assert_string_equal(out, samples[i]);
		gnmi__path__free_unpacked(m, NULL);
	}
}

static void test_message(void **state)
{
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		scoped(arena) struct arena *a = arena_new(1 << 20);
		Gnmi__Path *m;
		char out[PATH_TEXT_MAX + 1];
		assert_int_equal(path_message_of_text(samples[i], a, &m).code, ERR_NONE);
		uint8_t bytes[2048];
		size_t n = gnmi__path__pack(m, bytes);
		assert_int_equal(path_text_of_wire(NULL, 0, bytes, n, out, NULL).code, ERR_NONE);
		assert_string_equal(out, samples[i]);
	}
}

static void test_prefix(void **state)
{
	scoped(buf) struct buf a = {0};
	scoped(buf) struct buf b = {0};
	char out[PATH_TEXT_MAX + 1];
	assert_int_equal(path_wire_of_text("x:/a/b[k=v]", "dev", &a).code, ERR_NONE);
	assert_int_equal(path_wire_of_text("/c/d", NULL, &b).code, ERR_NONE);
	assert_int_equal(path_text_of_wire(a.data, a.len, b.data, b.len, out, NULL).code, ERR_NONE);
	assert_string_equal(out, "x:/a/b[k=v]/c/d");
}

// Wire forms that no text of ours makes.
static void test_wire_refused(void **state)
{
	char out[PATH_TEXT_MAX + 1];
	const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{"\x0a\x01"
		 "a",
		 3}, // element
		{"\x1a\x05\x0a\x03"
		 "a/b",
		 7},			 // a slash in a name
		{"\x1a\x02\x0a\x00", 4}, // empty name
		{"\x1a\x03\x0a\x04"
		 "a",
		 5}, // length past the end
		{"\x1a\x09\x0a\x01"
		 "a\x12\x04\x0a\x02"
		 "k\x00",
		 11}, // NUL in a key's name
		{"\x1a\x0c\x0a\x01"
		 "a\x12\x07\x0a\x01"
		 "k\x12\x02\x01"
		 "b",
		 14}, // control in a value
		{"\x12\x03"
		 "a:b\x1a\x03\x0a\x01"
		 "a",
		 10},	     // colon in the origin
		{"\x1b", 1}, // a group
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err e = path_text_of_wire(NULL, 0, (const uint8_t *)bad[i].bytes, bad[i].n,
						 out, NULL);
		if (e.code != ERR_PEER)
			fail_msg("case %zu: %s", i, err_code_name(e.code));
	}
}

static void test_unsorted_wire(void **state)
{
	// b[z=1][a=2]: map entries in any order mean the same node
	static const uint8_t wire[] = {0x1a, 0x13, 0x0a, 1, 'b',  0x12, 6,   0x0a, 1, 'z', 0x12,
				       1,    '1',  0x12, 6, 0x0a, 1,	'a', 0x12, 1, '2'};
	char out[PATH_TEXT_MAX + 1];
	assert_int_equal(path_text_of_wire(NULL, 0, wire, sizeof wire, out, NULL).code, ERR_NONE);
	assert_string_equal(out, "/b[a=2][z=1]");
}

static bool m(const char *pattern, const char *path, char how)
{
	struct path_pattern *p;
	assert_int_equal(path_pattern_new(pattern, &p).code, ERR_NONE);
	size_t n = strlen(path);
	bool yes = how == '='	? path_match(p, path, n)
		   : how == '<' ? path_match_under(p, path, n)
				: path_match_towards(p, path, n);
	path_pattern_free(p);
	return yes;
}

static void test_match(void **state)
{
	assert_true(m("/a/b", "/a/b", '='));
	assert_false(m("/a/b", "/a/b/c", '='));
	assert_true(m("/a/b", "/a/b/c", '<'));
	assert_false(m("/a/b", "/a/bc", '<'));
	assert_true(m("/", "/a", '<'));
	assert_false(m("/", "/a", '='));
	assert_true(m("/i/e/s", "/i/e[n=1]/s", '='));
	assert_true(m("/i/e[n=*]/s", "/i/e[n=1]/s", '='));
	assert_false(m("/i/e[n=*]/s", "/i/e/s", '='));
	assert_false(m("/i/e[n=2]/s", "/i/e[n=1]/s", '='));
	assert_true(m("/i/e[b=2]", "/i/e[a=1][b=2]", '='));
	assert_true(m("/i/*/s", "/i/e[n=1]/s", '='));
	assert_false(m("/i/*/s", "/i/s", '='));
	assert_true(m("/.../s", "/s", '='));
	assert_true(m("/.../s", "/a/b/c/s", '='));
	assert_true(m("/.../s/.../t", "/a/s/b/s/c/t", '='));
	assert_false(m("/.../s/t", "/a/s/b/t", '='));
	assert_true(m("/...", "/", '='));
	assert_true(m("/a/.../d", "/a/b/c/d/e", '<'));
	assert_false(m("/x/.../d", "/a/b/c/d/e", '<'));
	assert_true(m("/a/b/c", "/a", '>'));
	assert_true(m("/a/b/c", "/", '>'));
	assert_false(m("/a/b/c", "/b", '>'));
	assert_false(m("/a/b", "/a/b/c", '>'));
	assert_true(m("/a/.../z", "/a/b/c", '>'));
	assert_false(m("cli:/a", "/a", '='));
}

static void test_key_value(void **state)
{
	struct path p;
	char out[8];
	const char *text = "/i/e[n=a\\]b]/s";
	assert_int_equal(path_parse(text, strlen(text), &p).code, ERR_NONE);
	assert_true(path_key_value(&p, "e", "n", out, sizeof out));
	assert_string_equal(out, "a]b");
	assert_false(path_key_value(&p, "e", "m", out, sizeof out));
	assert_false(path_key_value(&p, "e", "n", out, 4)); // would not fit
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical),     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_wire),	      cmocka_unit_test(test_message),
		cmocka_unit_test(test_prefix),	      cmocka_unit_test(test_wire_refused),
		cmocka_unit_test(test_unsorted_wire), cmocka_unit_test(test_match),
		cmocka_unit_test(test_key_value),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
