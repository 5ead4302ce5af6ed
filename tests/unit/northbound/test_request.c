// SPDX-License-Identifier: Apache-2.0
// Routing, parameters and the JSON guard: what is right passes as typed, what is wrong is named.
#include "northbound/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;

static struct err ask(struct request *r, const char *method, const char *target, const char *body)
{
	arena_reset(arena);
	TRY(request_route(method, target, r));
	return request_read(r, body ? "application/json" : NULL, body, body ? strlen(body) : 0, arena);
}

static void refused(const char *method, const char *target, const char *body, unsigned status,
		    const char *says)
{
	struct request r;
	struct err e = ask(&r, method, target, body);
	if (e.code == ERR_NONE)
		fail_msg("%s %s was not refused", method, target);
	if (!strstr(e.text, says))
		fail_msg("%s %s: \"%s\" does not say \"%s\"", method, target, e.text, says);
	assert_int_equal(r.status, status);
}

static void routes(void **state)
{
	static const struct {
		const char *method, *target, *operation;
	} good[] = {
		{"GET", "/v1/devices", "devices.list"},
		{"HEAD", "/v1/devices", "devices.list"},
		{"GET", "/v1/devices/fw1", "devices.get"},
		{"GET", "/v1/devices/fw1/state", "devices.state"},
		{"POST", "/v1/devices/fw1:enrol", "devices.enrol"},
		{"POST", "/v1/devices/fw1:revoke", "devices.revoke"},
		{"POST", "/v1/devices", "devices.create"},
		{"DELETE", "/v1/sessions/current", "session.end"},
		{"GET", "/restconf/data/ietf-network:networks", "topology.ietf"},
		{"GET", "/v1/paths:trace?from=a&to=b", "paths.trace"},
		{"GET", "/v1/ledger/tile/0/x001/234.p/17", "ledger.tile"},
		{"GET", "/v1/ledger/entries/12/proof", "ledger.proof"},
		{"PATCH", "/v1/access/accounts/ann", "accounts.update"},
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct request r;
		struct err e = request_route(good[i].method, good[i].target, &r);
		assert_int_equal(e.code, ERR_NONE);
		assert_string_equal(r.op->id, good[i].operation);
	}
}

static void routes_refused(void **state)
{
	refused("GET", "/v1/nothing", NULL, 404, "/v1/nothing");
	refused("GET", "/v1/devices/", NULL, 404, "nothing at");
	refused("GET", "/v1/devices//state", NULL, 404, "nothing at");
	refused("GET", "/v1/devices/fw1:explode", NULL, 404, "fw1:explode");
	refused("PUT", "/v1/devices", NULL, 405, "allowed: GET, POST");
	refused("GET", "/v1/devices/fw1:enrol", NULL, 405, "allowed: POST");
	refused("GET", "v1/devices", NULL, 400, "begin with '/'");
	refused("GET", "/v1/dev ices", NULL, 400, "percent-encoded");
	refused("GET", "/v1/devices#x", NULL, 400, "percent-encoded");
	char *target = malloc(REQUEST_TARGET_MAX + 2);
	assert_non_null(target);
	memset(target, 'a', REQUEST_TARGET_MAX + 1);
	target[0] = '/';
	target[REQUEST_TARGET_MAX + 1] = 0;
	refused("GET", target, NULL, 414, "longer than");
	free(target);
}

static void each_operation_routes_to_itself(void **state)
{
	for (unsigned i = 0; i < OPERATIONS; i++) {
		char path[256];
		size_t n = 0;
		for (const char *t = operations[i].path; *t; t++) {
			if (*t != '{') {
				path[n++] = *t;
				continue;
			}
			path[n++] = '7';
			t += strcspn(t, "}");
		}
		path[n] = 0;
		struct request r;
		struct err e = request_route(operation_method_name(operations[i].method), path, &r);
		assert_int_equal(e.code, ERR_NONE);
		assert_ptr_equal(r.op, &operations[i]);
		// Each name in the path is a parameter of the operation.
		for (unsigned k = 0; k < r.match.n; k++)
			assert_non_null(operation_param_find(r.op, r.match.captures[k].name,
							     r.match.captures[k].name_len));
	}
}

static void query_values(void **state)
{
	struct request r;
	struct err e = ask(&r, "GET",
			   "/v1/paths:trace?from=h%31&to=10.9.1.20&destination_port=443&protocol=tcp"
			   "&at=2026-11-24T09:30:00Z", NULL);
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(request_value(&r, "from")->text, "h1");
	assert_int_equal(request_value(&r, "destination_port")->number, 443);
	assert_null(request_value(&r, "source"));
	e = ask(&r, "GET", "/v1/devices/r%2d1?at=-5m&limit=10&filter=a+b%20c", NULL);
	assert_int_equal(e.code, ERR_USAGE); // devices.get has no limit
	e = ask(&r, "GET", "/v1/devices?at=-5m&limit=10&filter=a+b%20c", NULL);
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(request_value(&r, "filter")->text, "a b c");
}

static void query_refused(void **state)
{
	const char *trace = "/v1/paths:trace?from=a&to=b";
	char target[256];
	static const struct {
		const char *more, *says;
	} bad[] = {
		{"&destination_port=99999", "destination_port: 99999 is out of bounds; 0 to 65535"},
		{"&destination_port=x", "not a whole number"},
		{"&destination_port=-1", "not a whole number"},
		{"&destination_port=", "empty"},
		{"&destination_port=99999999999999999999", "not a whole number"},
		{"&colour=red", "\"colour\": not known in the query of paths.trace; allowed: from, to"},
		{"&from=c", "from: given twice"},
		{"&at=yesterday", "at: "},
		{"&source=%zz", "two hexadecimal digits"},
		{"&source=%4", "two hexadecimal digits"},
		{"&source=a%00b", "control character"},
		{"&source=a%0ab", "control character"},
		{"&source=%ff", "not UTF-8"},
		{"&source=%c0%80", "not UTF-8"},
		{"&source=%ed%a0%80", "not UTF-8"},
		{"&protocol=a/b", "is not a name"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(target, sizeof target, "%s%s", trace, bad[i].more);
		refused("GET", target, NULL, 400, bad[i].says);
	}
	refused("GET", "/v1/paths:trace?from=a", NULL, 400, "to: missing in the query");
	refused("GET", "/v1/devices?state=broken", NULL, 400, "one of unknown|invited");
	refused("GET", "/v1/devices/..%2fx", NULL, 400, "is not a name");
	refused("GET", "/v1/ledger/entries/x1", NULL, 400, "index: \"x1\" is not a whole number");
}

static void body_values(void **state)
{
	struct request r;
	struct err e = ask(&r, "POST", "/v1/access/accounts",
			   "{\"name\":\"ann\",\"password\":\"twelve or more\",\"roles\":[\"viewer\",\"operator\"]}");
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(request_value(&r, "roles")->text, "viewer,operator");
	e = ask(&r, "PATCH", "/v1/access/accounts/ann", "{\"disabled\":true}");
	assert_int_equal(e.code, ERR_NONE);
	assert_true(request_value(&r, "disabled")->flag);
	assert_string_equal(request_value(&r, "name")->text, "ann");
	e = ask(&r, "POST", "/v1/conformance", "{\"run\":\"n1\",\"results\":[ {\"id\":\"a\"} ]}");
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(request_value(&r, "results")->text, "[{\"id\":\"a\"}]");
	e = ask(&r, "POST", "/v1/devices:import", "{\"format\":\"csv\",\"text\":\"id,site\\nr1,a\\n\"}");
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(request_value(&r, "text")->text, "id,site\nr1,a\n");
	e = ask(&r, "POST", "/v1/devices/r1:enrol", "{}");
	assert_int_equal(e.code, ERR_NONE);
}

static void body_refused(void **state)
{
	static const struct {
		const char *body, *says;
	} bad[] = {
		{"{\"account\":\"ann\"}", "password: missing in the body"},
		{"{\"account\":\"ann\",\"password\":7}", "password: a whole number was given"},
		{"{\"account\":\"ann\",\"password\":\"x\",\"otp\":\"1\"}", "\"otp\": not known in the body of session.login; allowed: account, password"},
		{"{\"account\":\"ann\",\"account\":\"bob\",\"password\":\"x\"}", "duplicate"},
		{"{\"account\":\"an\\u0000n\",\"password\":\"x\"}", "line 1"},
		{"{\"account\":\"an\\nn\",\"password\":\"x\"}", "control character"},
		{"{\"account\":\"ann\",\"password\":\"\"}", "password: empty"},
		{"[1]", "body: an array was given"},
		{"{\"account\":", "line 1"},
		{"{} {}", "line 1"},
		{"[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "nested deeper than 16"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused("POST", "/v1/sessions", bad[i].body, 400, bad[i].says);
	refused("POST", "/v1/access/accounts",
		"{\"name\":\"a\",\"password\":\"twelve or more\",\"roles\":[\"king\"]}", 400, "one of viewer|");
	refused("POST", "/v1/access/accounts",
		"{\"name\":\"a\",\"password\":\"twelve or more\",\"roles\":[]}", 400, "roles: empty");
	refused("DELETE", "/v1/access/accounts/a", "{\"x\":1}", 400, "takes none");
	struct request r;
	assert_int_equal(request_route("POST", "/v1/sessions", &r).code, ERR_NONE);
	arena_reset(arena);
	struct err e = request_read(&r, "text/plain", "{}", 2, arena);
	assert_int_equal(e.code, ERR_USAGE);
	assert_int_equal(r.status, 415);
}

static void no_pass_phrase_in_errors(void **state)
{
	struct request r;
	struct err e = ask(&r, "POST", "/v1/access/accounts",
			   "{\"name\":\"a\",\"password\":\"hunter2\",\"roles\":[\"viewer\"]}");
	assert_int_equal(e.code, ERR_USAGE);
	assert_null(strstr(e.text, "hunter2"));
	assert_non_null(strstr(e.text, "12 to 1024"));
}

static void guard_counts(void **state)
{
	size_t n = 3 * REQUEST_NODES_MAX;
	char *text = malloc(n);
	assert_non_null(text);
	memset(text, ',', n);
	assert_int_equal(request_guard(text, n).code, ERR_LIMIT);
	assert_int_equal(request_guard(text, 100).code, ERR_NONE);
	memset(text, '"', n);
	assert_int_equal(request_guard(text, REQUEST_BODY_MAX + 1 < n ? n : n).code, ERR_NONE);
	free(text);
	// Brackets in strings are text.
	static const char deep[] = "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"}";
	assert_int_equal(request_guard(deep, sizeof deep - 1).code, ERR_NONE);
	assert_int_equal(request_guard("\"\\", 2).code, ERR_NONE);
}

static int setup(void **state)
{
	arena = arena_new(8 << 20);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes),	  cmocka_unit_test(routes_refused),
		cmocka_unit_test(query_values),	  cmocka_unit_test(query_refused),
		cmocka_unit_test(body_values),	  cmocka_unit_test(body_refused),
		cmocka_unit_test(guard_counts),	  cmocka_unit_test(each_operation_routes_to_itself),
		cmocka_unit_test(no_pass_phrase_in_errors),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
