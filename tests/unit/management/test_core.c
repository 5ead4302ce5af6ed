// SPDX-License-Identifier: Apache-2.0
// The judging parts without a process: pass phrases, roles, back-off, imports, reasons,
// requirements, device rows. X.2011 8.3.3-10, 8.1.1-2.
#include "lib/base/clock.h"
#include "management/accounts.h"
#include "management/devices.h"
#include "management/import.h"
#include "management/passwords.h"
#include "management/requirements.h"
#include "management/sessions.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_passwords(void **state)
{
	static const char *const refused[] = {
		"",
		"short",
		"password1234",
		"P4ssw0rd2024!",
		"administrator1",
		"qwertyuiop12",
		"aaaaaaaaaaaaaaaa",
		"123456789012",
		"Welcome2024!!",
		"letmein-letmein",
		"1q2w3e4r5t6y",
		"gemelgemelgemel",
		"correcthorsebatterystaple",
		"marianne2024!",
		"campuscampus1!",
	};
	static const char *const accepted[] = {
		"nine small red boats", "k7wnp-3x9qd-2bcde-fghjk", "correct horse battery staple",
		"Jh8%kq0z!Pw2",		"twelve or more",
	};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct err e = password_acceptable(refused[i], "marianne", "campus");
		if (e.code != ERR_USAGE)
			fail_msg("\"%s\" was accepted", refused[i]);
		if (*refused[i])
			assert_null(strstr(e.text, refused[i])); // it is never repeated
	}
	for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
		if (password_acceptable(accepted[i], "marianne", "campus").code != ERR_NONE)
			fail_msg("\"%s\" was refused", accepted[i]);
}

static void test_roles(void **state)
{
	static const struct {
		const char *roles;
		bool good;
	} t[] = {
		{"viewer", true},
		{"viewer,operator,viewer", true},
		{"administrator,security-officer,operator", true},
		{"approver", true},
		{"auditor,viewer", true},
		{"application", true},
		{"", false},
		{"king", false},
		{"viewer,,operator", false},
		{"approver,operator", false},
		{"auditor,administrator", false},
		{"auditor,security-officer", false},
		{"application,viewer", false},
		{"approver,administrator", false},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct account a = {.n_roles = 1, .roles = {"viewer"}};
		struct err e = account_set_roles(&a, t[i].roles);
		if ((e.code == ERR_NONE) != t[i].good)
			fail_msg("%s: %s", t[i].roles, e.text ? e.text : "accepted");
		if (!t[i].good)
			assert_int_equal(a.n_roles, 1); // unchanged
	}
}

static void test_backoff(void **state)
{
	struct backoff *b = backoff_new();
	int64_t now = 1000 * NS_PER_S;
	unsigned last = 0;
	for (int i = 0; i < 14; i++) {
		unsigned wait = backoff_wait(b, "ann", "10.0.0.1", now);
		assert_true(i < 3 ? wait == 0
				  : wait == (wait > 900 ? 0
					     : last	? last * 2 > 900 ? 900 : last * 2
							: 1));
		last = wait;
		now += wait * NS_PER_S;
		assert_int_equal(backoff_wait(b, "ann", "10.0.0.1", now), 0);
		backoff_failed(b, "ann", "10.0.0.1", now);
	}
	// Who comes from elsewhere is not locked out with him, nor for long when many fail.
	assert_int_equal(backoff_wait(b, "ann", "10.0.0.2", now), 0);
	for (int i = 0; i < 40; i++)
		backoff_failed(b, "ann", "10.0.0.1", now);
	unsigned wait = backoff_wait(b, "ann", "10.0.0.2", now);
	assert_true(wait > 0 && wait <= 30);
	assert_true(backoff_wait(b, "eve", "10.0.0.1", now) > 0); // this source guesses
	backoff_succeeded(b, "ann", "10.0.0.1");
	// Five a second for everybody together.
	unsigned spent = 0;
	while (backoff_spend(b, now))
		spent++;
	assert_int_equal(spent, 10);
	assert_false(backoff_spend(b, now));
	assert_true(backoff_spend(b, now + NS_PER_S / 4));
	// A full table forgets the oldest and stays correct.
	for (int i = 0; i < 3000; i++) {
		char name[32];
		snprintf(name, sizeof name, "u%d", i);
		backoff_failed(b, name, "10.9.9.9", now + i);
	}
	assert_true(backoff_wait(b, "x", "10.9.9.9", now + 3000) > 0);
	backoff_free(b);
}

static void expect_error(const struct import *i, unsigned line, const char *field)
{
	size_t k;
	json_t *e;
	json_array_foreach(i->errors, k,
			   e) if (json_integer_value(json_object_get(e, "line")) == line &&
				  strcmp(json_string_value(json_object_get(e, "field")), field) ==
					  0)
	{
		assert_true(*json_string_value(json_object_get(e, "fix")));
		return;
	}
	fail_msg("no error of line %u, %s", line, field);
}

static void test_csv(void **state)
{
	struct import i;
	assert_int_equal(import_csv("\xef\xbb\xbf"
				    "Name;Site;Role;Kind;address;PORT;colour\r\n"
				    "r1;hq;router;agent;10.0.0.1/24;;red\r\n"
				    "\r\n"
				    "\"r2\";\"hq\";;gnmi;2001:db8::1;9339;\"a;b\nc\"\r\n"
				    "r3;hq;router;robot;;;\r\n"
				    "r4;hq;router;;10.0.0.300;;\r\n"
				    "r5;hq\r\n"
				    "r 6;;;;;;\r\n"
				    "r1;;;;;;\r\n"
				    "r7;;;;;\"",
				    &i)
				 .code,
			 ERR_NONE);
	assert_int_equal(i.n, 2);
	assert_int_equal(i.bad, 6);
	assert_string_equal(i.rows[0].id, "r1");
	assert_string_equal(i.rows[0].address, "10.0.0.1");
	assert_int_equal(i.rows[0].line, 2);
	assert_string_equal(i.rows[1].id, "r2");
	assert_true(i.rows[1].target);
	assert_int_equal(i.rows[1].port, 9339);
	expect_error(&i, 6, "kind");
	expect_error(&i, 7, "address");
	expect_error(&i, 8, "");
	expect_error(&i, 9, "id");
	expect_error(&i, 10, "id");
	expect_error(&i, 11, "");
	assert_string_equal(json_string_value(json_array_get(i.ignored, 0)), "colour");
	import_clear(&i);
	static const char *const bad[] = {"", "colour\nred\n", "id,name\nr1,r1\n", "\"id\nr1\n"};
	for (size_t k = 0; k < 4; k++) {
		assert_int_equal(import_csv(bad[k], &i).code, ERR_USAGE);
		import_clear(&i);
	}
}

static void test_netbox(void **state)
{
	static const char text[] =
		"{\"count\":5,\"next\":\"https://netbox/api/?offset=50\",\"results\":["
		"{\"name\":\"r1\",\"site\":{\"slug\":\"hq\",\"name\":\"Head "
		"Quarter\"},\"role\":{\"slug\":\"router\"},"
		"\"tenant\":{\"slug\":\"campus\"},\"status\":{\"value\":\"active\"},"
		"\"primary_ip\":{\"address\":\"10.0.0.1/"
		"32\"},\"custom_fields\":{\"gemel_kind\":\"gnmi\",\"gemel_port\":9339}},"
		"{\"name\":\"r2\",\"site\":\"hq\",\"device_role\":{\"slug\":\"switch\"},\"status\":"
		"\"active\","
		"\"custom_fields\":{\"gemel_domain\":\"north\"}},"
		"{\"name\":\"r3\",\"status\":{\"value\":\"offline\"}},"
		"{\"name\":null},"
		"17]}";
	struct import i;
	assert_int_equal(import_netbox(text, &i).code, ERR_NONE);
	assert_int_equal(i.n, 2);
	assert_int_equal(i.bad, 3);
	assert_true(i.rows[0].target);
	assert_string_equal(i.rows[0].domain, "campus");
	assert_int_equal(i.rows[0].port, 9339);
	assert_string_equal(i.rows[0].address, "10.0.0.1");
	assert_string_equal(i.rows[1].role, "switch");
	assert_string_equal(i.rows[1].domain, "north");
	expect_error(&i, 3, "status");
	expect_error(&i, 4, "id");
	expect_error(&i, 5, "");
	expect_error(&i, 0, "next");
	import_clear(&i);
	static const char *const bad[] = {"", "{", "{}", "7", "{\"results\":{}}"};
	for (size_t k = 0; k < 5; k++) {
		assert_int_equal(import_netbox(bad[k], &i).code, ERR_USAGE);
		import_clear(&i);
	}
}

static void test_reasons(void **state)
{
	for (unsigned i = 1; i < REASONS; i++) {
		const char *word = reason_word((enum reason)i);
		assert_true(*word && *reason_meaning((enum reason)i) &&
			    *reason_mend((enum reason)i));
		for (const char *c = word; *c; c++)
			assert_true(islower(*c) || *c == '-');
		for (unsigned k = 1; k < i; k++)
			assert_string_not_equal(word, reason_word((enum reason)k));
	}
	for (unsigned why = X509_GOOD; why <= X509_MALFORMED; why++)
		if (why != X509_WRONG_NAME && why != X509_GOOD) // the verifier's words are ours
			assert_string_equal(reason_word(reason_of_x509((enum x509_refusal)why)),
					    x509_refusal_name((enum x509_refusal)why));
}

static void test_requirements(void **state)
{
	for (size_t i = 0; i < requirements_count; i++) {
		const struct requirement *r = &requirements[i];
		assert_ptr_equal(requirement_find(r->id), r);
		assert_true(strlen(r->title) > 10 && strlen(r->title) < 80);
		assert_non_null(strstr("MRC", r->level));
	}
	assert_null(requirement_find("8.9"));
}

static void test_device_rows(void **state)
{
	struct device out;
	assert_int_equal(device_read("x", NULL, &out).code, ERR_CORRUPT);
	json_t *row = json_pack("{s:s}", "state", "production");
	assert_int_equal(device_read("x", row, &out).code, ERR_CORRUPT);
	json_decref(row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passwords),    cmocka_unit_test(test_roles),
		cmocka_unit_test(test_backoff),	     cmocka_unit_test(test_csv),
		cmocka_unit_test(test_netbox),	     cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_requirements), cmocka_unit_test(test_device_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
