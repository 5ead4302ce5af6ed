// SPDX-License-Identifier: Apache-2.0
// Every kind of key with its bounds, and the exact words of each error: they are what a person has.

#include "lib/base/conf.h"

#include "lib/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct listen {
	char *address;
	int64_t port;
};

struct peer {
	char *name;
	struct listen at;
};

struct sample {
	char *name, *state, *other;
	int64_t count, wait, budget;
	bool on;
	int level;
	struct conf_list roots, given;
	struct listen listen, tls;
	struct conf_items peers;
};

static const char *const levels[] = {"error", "warning", "notice", NULL};

#define IN(type, field) offsetof(struct type, field)

static const struct conf_key listen_keys[] = {
	{.name = "address", .type = CONF_STRING, .offset = IN(listen, address), .help = "address"},
	{.name = "port",
	 .type = CONF_INT,
	 .offset = IN(listen, port),
	 .fallback = "9339",
	 .min = 1,
	 .max = 65535},
	{0},
};

static const struct conf_key peer_keys[] = {
	{.name = "name", .type = CONF_STRING, .offset = IN(peer, name)},
	{.name = "at", .type = CONF_SECTION, .offset = IN(peer, at), .keys = listen_keys},
	{0},
};

static const struct conf_key keys[] = {
	{.name = "name", .type = CONF_STRING, .offset = IN(sample, name), .help = "what it is"},
	{.name = "state", .type = CONF_PATH, .offset = IN(sample, state), .fallback = "state"},
	{.name = "other", .type = CONF_PATH, .offset = IN(sample, other), .optional = true},
	{.name = "count", .type = CONF_INT, .offset = IN(sample, count), .fallback = "-3"},
	{.name = "wait",
	 .type = CONF_DURATION,
	 .offset = IN(sample, wait),
	 .fallback = "250ms",
	 .min = NS_PER_MS,
	 .max = 7 * 86400 * NS_PER_S},
	{.name = "budget",
	 .type = CONF_SIZE,
	 .offset = IN(sample, budget),
	 .fallback = "64k",
	 .min = 1,
	 .max = 1 << 30},
	{.name = "on", .type = CONF_BOOL, .offset = IN(sample, on), .fallback = "yes"},
	{.name = "level",
	 .type = CONF_CHOICE,
	 .offset = IN(sample, level),
	 .fallback = "notice",
	 .choices = levels},
	{.name = "roots", .type = CONF_LIST, .offset = IN(sample, roots), .optional = true},
	{.name = "given", .type = CONF_LIST, .offset = IN(sample, given), .fallback = "a,bc"},
	{.name = "listen", .type = CONF_SECTION, .offset = IN(sample, listen), .keys = listen_keys},
	{.name = "tls",
	 .type = CONF_SECTION,
	 .offset = IN(sample, tls),
	 .keys = listen_keys,
	 .optional = true},
	{.name = "peers",
	 .type = CONF_SECTIONS,
	 .offset = IN(sample, peers),
	 .keys = peer_keys,
	 .item_size = sizeof(struct peer),
	 .optional = true},
	{0},
};

static struct arena *arena;

static struct err parse(const char *text, struct sample *out)
{
	*out = (struct sample){0};
	arena_reset(arena);
	return conf_parse("etc/t.yaml", text, strlen(text), keys, out, arena);
}

static void refused(const char *text, const char *words)
{
	struct sample s;
	struct err e = parse(text, &s);
	if (e.code != ERR_USAGE || !strstr(e.text, words))
		fail_msg("\"%s\" gave %s \"%s\", not \"%s\"", text, err_code_name(e.code),
			 e.text ? e.text : "", words);
}

#define LEAST "name: x\nlisten: {address: \"::1\"}\n"

static void test_defaults(void **state)
{
	struct sample s;
	struct err e = parse(LEAST, &s);
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(s.name, "x");
	assert_string_equal(s.state, "etc/state");
	assert_null(s.other);
	assert_int_equal(s.count, -3);
	assert_int_equal(s.wait, 250 * NS_PER_MS);
	assert_int_equal(s.budget, 65536);
	assert_true(s.on);
	assert_int_equal(s.level, 2);
	assert_int_equal(s.roots.n, 0);
	assert_int_equal(s.given.n, 2);
	assert_string_equal(s.given.items[1], "bc");
	assert_string_equal(s.listen.address, "::1");
	assert_int_equal(s.listen.port, 9339);
	assert_null(s.tls.address); // an optional section left out: defaults, and the rest zero
	assert_int_equal(s.tls.port, 9339);
	assert_int_equal(s.peers.n, 0);
}

static void test_values(void **state)
{
	struct sample s;
	struct err e = parse("name: 'a: b'\n"
			     "state: /var/s\n"
			     "other: certs/x.pem\n"
			     "count: 12\n"
			     "wait: 2h\n"
			     "budget: 1G\n"
			     "on: no\n"
			     "level: error\n"
			     "roots: [one, \"two\"]\n"
			     "given: []\n"
			     "listen:\n"
			     "  address: 0.0.0.0\n"
			     "  port: 1\n"
			     "tls: {address: a, port: 65535}\n"
			     "peers:\n"
			     "  - name: p\n"
			     "    at: {address: 1.2.3.4}\n"
			     "  - name: q\n"
			     "    at:\n"
			     "      address: 1.2.3.5\n"
			     "      port: 7\n",
			     &s);
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(s.name, "a: b");
	assert_string_equal(s.state, "/var/s");
	assert_string_equal(s.other, "etc/certs/x.pem");
	assert_int_equal(s.count, 12);
	assert_int_equal(s.wait, 7200 * NS_PER_S);
	assert_int_equal(s.budget, 1 << 30);
	assert_false(s.on);
	assert_int_equal(s.level, 0);
	assert_int_equal(s.roots.n, 2);
	assert_string_equal(s.roots.items[1], "two");
	assert_int_equal(s.given.n, 0);
	assert_int_equal(s.tls.port, 65535);
	assert_int_equal(s.peers.n, 2);
	const struct peer *p = s.peers.items;
	assert_string_equal(p[0].name, "p");
	assert_int_equal(p[0].at.port, 9339);
	assert_string_equal(p[1].at.address, "1.2.3.5");
	assert_int_equal(p[1].at.port, 7);
}

static void test_units(void **state)
{
	static const struct {
		const char *text;
		int64_t wait;
	} durations[] = {{"1ms", NS_PER_MS},
			 {"10s", 10 * NS_PER_S},
			 {"5m", 300 * NS_PER_S},
			 {"2h", 7200 * NS_PER_S},
			 {"7d", 604800 * NS_PER_S}};
	struct sample s;
	char text[200];
	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
		snprintf(text, sizeof text, LEAST "wait: %s\n", durations[i].text);
		assert_int_equal(parse(text, &s).code, ERR_NONE);
		assert_int_equal(s.wait, durations[i].wait);
	}
	assert_int_equal(parse(LEAST "budget: 512M", &s).code, ERR_NONE);
	assert_int_equal(s.budget, 512 << 20);
	assert_int_equal(parse(LEAST "budget: 77", &s).code, ERR_NONE);
	assert_int_equal(s.budget, 77);
}

static void test_errors(void **state)
{
	refused("listen: {address: a}\n", "etc/t.yaml:1: name: is missing (what it is)");
	refused("", "etc/t.yaml:1: name: is missing");
	refused("name: x\nlisten:\n  port: 3\n",
		"etc/t.yaml:2: listen.address: is missing (address)");
	refused(LEAST "colour: red\n", "etc/t.yaml:3: colour: unknown key; allowed: name, state,");
	refused("name: x\nlisten:\n  address: a\n  prot: 3\n",
		"etc/t.yaml:4: listen.prot: unknown key; allowed: address, port");
	refused("name: x\nlisten: {address: a, port: 99999}\n",
		"etc/t.yaml:2: listen.port: 99999 is too large; 1 to 65535");
	refused("name: x\nlisten: {address: a, port: 0}\n", "port: 0 is too small; 1 to 65535");
	refused("name: x\nlisten: {address: a, port: 1x}\n",
		"listen.port: \"1x\" is not allowed; write a whole number, 1 to 65535");
	refused(LEAST "count: 99999999999999999999\n", "count: 99999999999999999999 is too large");
	refused(LEAST "wait: 10\n", "wait: \"10\" is not allowed; write a number and ms, s, m, h "
				    "or d, such as 10s, 1ms to 7d");
	refused(LEAST "wait: 8d\n", "wait: 8d is too large; 1ms to 7d");
	refused(LEAST "budget: 2G\n", "budget: 2G is too large; 1 to 1G");
	refused(LEAST "budget: 99999999999G\n", "is too large; 1 to 1G");
	refused(LEAST "on: maybe\n", "on: \"maybe\" is not allowed; write true, false, yes or no");
	refused(LEAST "level: loud\n", "level: \"loud\" is not one of error, warning, notice");
	refused(LEAST "name: y\n", "etc/t.yaml:3: name: is given twice, first in line 1; keep one");
	refused(LEAST "roots: one\n", "roots: is not a list; write a list of texts");
	refused(LEAST "roots: [a, [b]]\n", "etc/t.yaml:3: roots[2]: is a list; write a text");
	refused(LEAST "roots:\n  - a\n  -\n", "roots[2]: has no value");
	refused(LEAST "count: [1]\n", "count: is a list; write a whole number");
	refused(LEAST "count:\n", "count: has no value; write a whole number");
	refused(LEAST "peers:\n  - name: p\n    at: {}\n", "peers[1].at.address: is missing");
	refused(LEAST "peers:\n  - name: p\n    at: {address: a}\n  - name: q\n    shape: 2\n",
		"etc/t.yaml:7: peers[2].shape: unknown key; allowed: name, at");
	refused(LEAST "peers: [x]\n", "peers[1]: is not a section");
	refused("- a\n", "etc/t.yaml:1: is not a section; write \"key: value\" lines with name,");
	refused(LEAST "? [a]\n: b\n", "etc/t.yaml:3: a key must be a word");
	refused("name: \"a\\0b\"\nlisten: {address: a}\n", "control character \\x00");
	refused("name: x\n  bad: [\n", "not valid YAML");
	refused(LEAST "---\nname: y\n", "a second document begins");
	refused("name: \xff\n", "write UTF-8 text");
}

static void test_aliases_are_bounded(void **state)
{
	struct sample s;
	struct err e = parse("name: &n x\nother: *n\nlisten: &l {address: a}\ntls: *l\n", &s);
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(s.tls.address, "a");
	refused("name: &a [*a]\nlisten: {address: a}\n", "name: is a list");
}

static void test_file(void **state)
{
	struct sample s = {0};
	char path[] = "test_conf_XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, LEAST, sizeof LEAST - 1), sizeof LEAST - 1);
	close(fd);
	assert_int_equal(conf_load(path, keys, &s, arena).code, ERR_NONE);
	assert_string_equal(s.state, "state"); // no folder in the name: as it is
	unlink(path);
	struct err e = conf_load(path, keys, &s, arena);
	assert_int_equal(e.code, ERR_IO);
	assert_non_null(strstr(e.text, path));
}

// The sample with its required keys filled in is a configuration with the defaults.
static void test_describe(void **state)
{
	scoped(buf) struct buf b = {0};
	conf_describe(keys, &b);
	const char *text = buf_text(&b);
	assert_non_null(strstr(text, "# level: one of error, warning, notice\nlevel: notice\n"));
	assert_non_null(strstr(text, "  # port: a whole number, 1 to 65535\n  port: 9339\n"));
	assert_non_null(strstr(text, "\n#other:\n"));
	assert_non_null(strstr(text, "\n#tls:\n"));
	struct sample s;
	struct err e = parse(text, &s);
	assert_int_equal(e.code, ERR_USAGE);
	assert_non_null(strstr(e.text, "name: has no value"));
	char filled[8192], *at = strstr(text, "\nname:\n"), *address = strstr(text, "  address:\n");
	assert_true(at && address && at < address);
	snprintf(filled, sizeof filled, "%.*s\nname: x\n%.*s  address: a\n%s", (int)(at - text),
		 text, (int)(address - at - 7), at + 7, address + sizeof "  address:");
	e = parse(filled, &s);
	if (e.code != ERR_NONE)
		fail_msg("%s", e.text);
	assert_int_equal(s.listen.port, 9339);
	assert_int_equal(s.given.n, 2);
}

static int set_up(void **state)
{
	arena = arena_new(1 << 20);
	return arena ? 0 : -1;
}

static int tear_down(void **state)
{
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_aliases_are_bounded),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_describe),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
