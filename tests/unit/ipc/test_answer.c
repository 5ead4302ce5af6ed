// SPDX-License-Identifier: Apache-2.0
// Answers and refusals as northbound gets them.

#include "ends.h"

#include "lib/access/access.h"
#include "lib/ipc/answer.h"
#include "lib/ipc/messages.pb-c.h"

static struct event_base *base;
static struct process models; // the one that answers
static struct end models_end, northbound;
static struct arena *arena;
static struct buf parts;
static unsigned n_parts;

static struct err keep_part(struct end *e, const struct ipc_message *m)
{
	struct err why = OK;
	Ipc__ApiAnswer *answer = IPC_UNPACK(api_answer, m, arena, &why);
	assert_non_null(answer);
	assert_int_equal(answer->id, 9);
	buf_append(&parts, answer->body.data, answer->body.len);
	n_parts++;
	assert_int_equal(answer->more, parts.len < 6000002);
	return OK;
}

static int open_ends(void **state)
{
	base = event_base_new();
	arena = arena_new(64 << 20);
	ends_open(base, &models_end, PROCESS_MODELS, &northbound, PROCESS_NORTHBOUND, true);
	models = (struct process){.id = PROCESS_MODELS, .base = base};
	models.peers[PROCESS_NORTHBOUND] = models_end.ch;
	return 0;
}

static int close_ends(void **state)
{
	end_clear(&models_end);
	end_clear(&northbound);
	arena_free(arena);
	event_base_free(base);
	return 0;
}

static Ipc__ApiAnswer *answered(void)
{
	struct err e = OK;
	turn(base);
	assert_int_equal(northbound.type, IPC_API_ANSWER);
	struct ipc_message m = {.bytes = northbound.last.data, .len = northbound.last.len};
	Ipc__ApiAnswer *a = IPC_UNPACK(api_answer, &m, arena, &e);
	assert_non_null(a);
	return a;
}

static json_t *body_of(const Ipc__ApiAnswer *a)
{
	json_t *j = json_loadb((char *)a->body.data, a->body.len, 0, NULL);
	assert_non_null(j);
	return j;
}

static void test_json(void **state)
{
	json_t *body = json_pack("{s:i}", "n", 7);
	answer_stamp(body, 1700000000123456789, 42);
	assert_int_equal(answer_json(&models, 5, 200, body).code, ERR_NONE);
	Ipc__ApiAnswer *a = answered();
	assert_int_equal(a->id, 5);
	assert_int_equal(a->status, 200);
	assert_string_equal(a->content_type, "application/json");
	assert_int_equal(strlen(a->etag), 34);
	json_t *j = body_of(a);
	assert_string_equal(json_string_value(json_object_get(j, "as_of")),
			    "2023-11-14T22:13:20.123Z");
	assert_true(json_integer_value(json_object_get(j, "age_ms")) > 0);
	assert_int_equal(json_integer_value(json_object_get(j, "revision")), 42);
	json_decref(j);
	char first[64];
	snprintf(first, sizeof first, "%s", a->etag);
	assert_int_equal(answer_json(&models, 6, 200, json_pack("{s:i}", "n", 8)).code, ERR_NONE);
	assert_string_not_equal(answered()->etag, first);
	assert_int_equal(answer_json(&models, 7, 201, json_pack("{s:i}", "n", 8)).code, ERR_NONE);
	assert_string_equal(answered()->etag, "");
}

static void test_long_answer(void **state)
{
	char *text = malloc(6000001);
	memset(text, 'x', 6000000);
	text[6000000] = 0;
	northbound.answer = keep_part;
	buf_reset(&parts);
	n_parts = 0;
	assert_int_equal(answer_json(&models, 9, 200, json_string(text)).code, ERR_NONE);
	turn(base);
	assert_int_equal(n_parts, 6);
	assert_int_equal(parts.len, 6000002);
	assert_memory_equal(parts.data + 1, text, 6000000);
	buf_clear(&parts);
	free(text);
}

static void test_problem(void **state)
{
	static const struct {
		enum err_code code;
		unsigned status;
	} all[] = {{ERR_USAGE, 400},	 {ERR_AUTH, 401},     {ERR_DENIED, 403},
		   {ERR_NOT_FOUND, 404}, {ERR_CONFLICT, 409}, {ERR_LIMIT, 429},
		   {ERR_BUSY, 503},	 {ERR_IO, 500},	      {ERR_CORRUPT, 500},
		   {ERR_INTERNAL, 500},	 {ERR_PEER, 500}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct err why = err_make(all[i].code, "it is so");
		assert_int_equal(answer_problem(&models, i, why, "do that", NULL).code, ERR_NONE);
		Ipc__ApiAnswer *a = answered();
		assert_int_equal(a->status, all[i].status);
		assert_string_equal(a->content_type, "application/problem+json");
		json_t *j = body_of(a);
		assert_string_equal(json_string_value(json_object_get(j, "detail")), "it is so");
		assert_string_equal(json_string_value(json_object_get(j, "fix")), "do that");
		assert_int_equal(json_integer_value(json_object_get(j, "status")), all[i].status);
		assert_non_null(json_string_value(json_object_get(j, "title")));
		assert_null(json_object_get(j, "decision"));
		json_decref(j);
	}
}

static void test_decision(void **state)
{
	struct access_decision d = {false, "viewer-reads-internal",
				    "class confidential is above internal"};
	struct err why = err_make(ERR_DENIED, "cut within a character: \xc3");
	assert_int_equal(answer_problem(&models, 1, why, NULL, &d).code, ERR_NONE);
	json_t *j = body_of(answered());
	json_t *decision = json_object_get(j, "decision");
	assert_string_equal(json_string_value(json_object_get(decision, "policy")), d.policy);
	assert_string_equal(json_string_value(json_object_get(decision, "fact")), d.fact);
	assert_true(json_is_false(json_object_get(decision, "permit")));
	assert_null(json_object_get(j, "fix"));
	assert_string_equal(json_string_value(json_object_get(j, "detail")),
			    "cut within a character: ?");
	json_decref(j);
}

static void test_away(void **state)
{
	models.peers[PROCESS_NORTHBOUND] = NULL;
	assert_int_equal(answer_json(&models, 1, 200, json_object()).code, ERR_BUSY);
	assert_int_equal(answer_problem(&models, 1, err_make(ERR_BUSY, "x"), NULL, NULL).code,
			 ERR_BUSY);
}

static void test_parameters(void **state)
{
	Ipc__Param text = IPC__PARAM__INIT, number = IPC__PARAM__INIT, flag = IPC__PARAM__INIT;
	Ipc__Param *list[] = {&text, &number, &flag};
	Ipc__ApiRequest r = IPC__API_REQUEST__INIT;
	text.name = (char *)(uintptr_t) "t";
	text.value_case = IPC__PARAM__VALUE_TEXT;
	text.text = (char *)(uintptr_t) "words";
	number.name = (char *)(uintptr_t) "n";
	number.value_case = IPC__PARAM__VALUE_NUMBER;
	number.number = -5;
	flag.name = (char *)(uintptr_t) "f";
	flag.value_case = IPC__PARAM__VALUE_FLAG;
	flag.flag = true;
	r.params = list;
	r.n_params = 3;
	assert_string_equal(answer_text(&r, "t"), "words");
	assert_null(answer_text(&r, "n")); // another kind is absent
	assert_null(answer_text(&r, "x"));
	assert_int_equal(answer_number(&r, "n", 1), -5);
	assert_int_equal(answer_number(&r, "t", 1), 1);
	assert_true(answer_flag(&r, "f", false));
	assert_false(answer_flag(&r, "n", false));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_ends, close_ends)
	const struct CMUnitTest tests[] = {
		CASE(test_json),     CASE(test_long_answer), CASE(test_problem),
		CASE(test_decision), CASE(test_away),	     CASE(test_parameters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
