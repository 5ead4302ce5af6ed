// SPDX-License-Identifier: Apache-2.0
// gemel.yaml: the least file, a full one written out and read again, what is refused and how.

#include "lib/base/clock.h"
#include "lib/ipc/daemon_conf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *a;
static struct daemon_conf conf;

static struct err parse(const char *text)
{
	arena_free(a);
	a = arena_new(1 << 20);
	return daemon_conf_parse("gemel.yaml", text, strlen(text), &conf, a);
}

#define LEAST "name: gemel.example/campus\nstate: /var/lib/gemel\n"

static void test_least(void **state)
{
	assert_int_equal(parse(LEAST).code, ERR_NONE);
	assert_string_equal(conf.telemetry.address, "0.0.0.0");
	assert_int_equal(conf.telemetry.port, 9339);
	assert_int_equal(conf.enrolment.port, 9340);
	assert_int_equal(conf.control.port, 9342);
	assert_string_equal(conf.api.address, "127.0.0.1"); // nobody else's until someone says so
	assert_int_equal(conf.api.port, 8443);
	assert_string_equal(conf.console.address, "127.0.0.1");
	assert_int_equal(conf.console.port, 8444);
	assert_null(conf.telemetry.netns);
	assert_int_equal(conf.witnesses_mode, 0);
	assert_int_equal(conf.certificate_days, 7);
	assert_int_equal(conf.sample_interval, 10 * NS_PER_S);
	assert_int_equal(conf.references.n, 0);
}

static const char full[] =
	LEAST "log_level: debug\n"
	      "uid_base: 7000\n"
	      "telemetry: {address: '2001:db8::1', port: 1234, netns: edge}\n"
	      "witnesses:\n"
	      "  - {name: w1, vkey: 'w1+12345678+AAAA', address: 192.0.2.9, netns: /run/netns/w}\n"
	      "  - {name: w2, vkey: 'w2+12345678+AAAA', address: 192.0.2.10, port: 1}\n"
	      "witnesses_mode: none\n"
	      "reference_values:\n"
	      "  - name: \"agent \\\"x\\\" \\u00e9\"\n"
	      "    pcr17: 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
	      "classes: [{path: /a/..., class: personal}, {path: /b, class: public}]\n"
	      "sample_interval: 250ms\n"
	      "memory_budget: 3M\n";

static void check_full(void)
{
	const struct conf_witness *w = conf.witnesses.items;
	const struct conf_class *c = conf.classes.items;
	const struct conf_reference *r = conf.references.items;
	assert_string_equal(conf.telemetry.netns, "edge");
	assert_string_equal(conf.telemetry.address, "2001:db8::1");
	assert_int_equal(conf.witnesses.n, 2);
	assert_string_equal(w[0].netns, "/run/netns/w");
	assert_int_equal(w[0].port, 9341);
	assert_int_equal(w[1].port, 1);
	assert_null(w[1].netns);
	assert_int_equal(conf.witnesses_mode, 1);
	assert_string_equal(r[0].name, "agent \"x\" \xc3\xa9");
	assert_int_equal(c[0].class, 4);
	assert_int_equal(c[1].class, 0);
	assert_int_equal(conf.sample_interval, 250 * NS_PER_MS);
	assert_int_equal(conf.memory_budget, 3 << 20);
	assert_int_equal(conf.uid_base, 7000);
	assert_int_equal(conf.log_level, 3);
}

// What the parent hands to its processes says the same as the file.
static void test_written_out(void **state)
{
	scoped(buf) struct buf text = {0};
	assert_int_equal(parse(full).code, ERR_NONE);
	check_full();
	assert_int_equal(daemon_conf_write(&conf, &text).code, ERR_NONE);
	scoped(heap) char *copy = strdup(buf_text(&text));
	assert_int_equal(parse(copy).code, ERR_NONE);
	check_full();
	scoped(buf) struct buf again = {0};
	assert_int_equal(daemon_conf_write(&conf, &again).code, ERR_NONE);
	assert_string_equal(buf_text(&again), copy);
}

static void expect_refused(const char *text, const char *words)
{
	struct err e = parse(text);
	assert_int_equal(e.code, ERR_USAGE);
	assert_non_null(strstr(e.text, "gemel.yaml"));
	if (!strstr(e.text, words))
		fail_msg("\"%s\" does not say \"%s\"", e.text, words);
}

static void test_refused(void **state)
{
	expect_refused("name: x\n", "state");
	expect_refused("name: 'a b'\nstate: /x\n", "name: \"a b\" is not allowed");
	expect_refused("name: 'a+b'\nstate: /x\n", "name:"); // '+' parts a vkey
	expect_refused("name: ''\nstate: /x\n", "name:");
	expect_refused("name: x\nstate: relative\n", "not a whole path");
	expect_refused(LEAST "telemetry: {address: twin.example}\n", "telemetry: \"twin.example\"");
	expect_refused(LEAST "api: {port: 99999}\n", "too large; 1 to 65535");
	expect_refused(LEAST "console: {port: 8443}\n",
		       "console.port: 8443 is the port of api too");
	expect_refused(LEAST "colour: red\n", "unknown key");
	expect_refused(LEAST "witnesses: [{name: w, vkey: k, address: host}]\n",
		       "witnesses[1].address");
	expect_refused(LEAST "witnesses: [{name: w, vkey: k, address: 192.0.2.1}, {name: w, vkey: "
			     "k, address: 192.0.2.2}]\n",
		       "witnesses[2].name: \"w\" is given twice");
	expect_refused(LEAST "reference_values: [{name: a, pcr17: 'abc'}]\n",
		       "reference_values[1].pcr17: not 64 hex digits");
	expect_refused(LEAST "classes: [{path: /a, class: secret}]\n", "is not one of public");
	expect_refused(LEAST "log_level: loud\n", "error, warning, notice, debug");
}

// --- files

static char folder[] = "/tmp/gemel-conf-XXXXXX";

static void put(const char *name, const char *text)
{
	char path[100];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static struct err load(void)
{
	char path[100];
	snprintf(path, sizeof path, "%s/gemel.yaml", folder);
	arena_free(a);
	a = arena_new(1 << 20);
	return daemon_conf_load(path, &conf, a);
}

#define PEM "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"

// PEM files, beside the configuration, are in the text that the processes get.
static void test_files_inlined(void **state)
{
	put("gemel.yaml", "name: x\nstate: here\nek_roots: [maker.pem]\ntargets:\n"
			  "  - {device: d, address: 192.0.2.1, authority: ca.pem}\n");
	put("maker.pem", "Issued by: maker\r\n" PEM);
	put("ca.pem", PEM PEM);
	struct err e = load();
	if (e.code != ERR_NONE)
		fail_msg("%s", e.text);
	char want[100];
	snprintf(want, sizeof want, "%s/here", folder);
	assert_string_equal(conf.state, want);
	assert_string_equal(conf.ek_roots.items[0], PEM);
	assert_string_equal(((struct conf_target *)conf.targets.items)[0].authority, PEM PEM);
	scoped(buf) struct buf text = {0};
	assert_int_equal(daemon_conf_write(&conf, &text).code, ERR_NONE);
	scoped(heap) char *copy = strdup(buf_text(&text));
	assert_int_equal(parse(copy).code, ERR_NONE);
	assert_string_equal(conf.ek_roots.items[0], PEM);
	assert_string_equal(conf.state, want);
}

static void test_files_refused(void **state)
{
	put("gemel.yaml", "name: x\nstate: here\nek_roots: [maker.pem, nothing.pem]\n");
	put("maker.pem", PEM);
	struct err e = load();
	assert_int_equal(e.code, ERR_IO);
	assert_non_null(strstr(e.text, "ek_roots[2]"));
	assert_non_null(strstr(e.text, "nothing.pem"));
	put("nothing.pem", "no certificate in here\n");
	e = load();
	assert_int_equal(e.code, ERR_USAGE);
	assert_non_null(strstr(e.text, "holds no PEM certificate"));
}

static void test_too_large(void **state)
{
	scoped(buf) struct buf text = {.limit = 4 << 20};
	buf_str(&text, "name: x\nstate: here\nek_roots: [");
	for (int i = 0; i < 10; i++)
		buf_str(&text, "large.pem, ");
	buf_str(&text, "]\n");
	put("gemel.yaml", buf_text(&text));
	scoped(buf) struct buf pem = {0};
	for (int i = 0; i < 3000; i++)
		buf_str(&pem, PEM);
	put("large.pem", buf_text(&pem));
	arena_free(a);
	a = arena_new(32 << 20);
	char path[100];
	snprintf(path, sizeof path, "%s/gemel.yaml", folder);
	assert_int_equal(daemon_conf_load(path, &conf, a).code, ERR_NONE);
	scoped(buf) struct buf out = {0};
	struct err e = daemon_conf_write(&conf, &out);
	assert_int_equal(e.code, ERR_USAGE);
	assert_non_null(strstr(e.text, "at most 1048576"));
}

static void test_described(void **state)
{
	scoped(buf) struct buf text = {0};
	conf_describe(daemon_conf_keys, &text);
	for (const struct conf_key *k = daemon_conf_keys; k->name; k++) {
		char line[64];
		snprintf(line, sizeof line, "%s:", k->name);
		assert_non_null(strstr(buf_text(&text), line));
		assert_non_null(k->help);
	}
}

static int prepare(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int tidy(void **state)
{
	static const char *const names[] = {"gemel.yaml", "maker.pem", "ca.pem", "nothing.pem",
					    "large.pem"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[100];
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	arena_free(a);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),	      cmocka_unit_test(test_written_out),
		cmocka_unit_test(test_refused),	      cmocka_unit_test(test_files_inlined),
		cmocka_unit_test(test_files_refused), cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_described),
	};
	return cmocka_run_group_tests(tests, prepare, tidy);
}
