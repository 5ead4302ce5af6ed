// SPDX-License-Identifier: Apache-2.0
// Alerts, the state of the twin itself, and conformance: which requirement was last seen to hold,
// when, in which run and by what evidence. Results are kept with their history. X.2011 8.3.3-8.
#include "management/api.h"

#include "lib/base/clock.h"
#include "lib/crypto/hash.h"
#include "lib/ipc/answer.h"
#include "management/requirements.h"

#include <stdlib.h>
#include <string.h>

static const char table[] = "conformance";
enum { HISTORY = 8, EVIDENCE_MAX = 16 << 10 };

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

struct err api_alerts_list(struct request *q)
{
	int64_t at;
	bool past;
	TRY(may(q, ACTION_READ, "Device", NULL, NULL, NULL));
	TRY(asked_time(q, &at, &past));
	TRY(listed(q, alerts_json(q->m, at, !past), "id"));
	answer_stamp(q->body, at, keep_revision(q->m->keep));
	return OK;
}

struct err api_system_status(struct request *q)
{
	TRY(may(q, ACTION_READ, "Process", NULL, NULL, NULL));
	q->body = status_json(q->m);
	return OK;
}

// --- conformance

// The newest result until `at_ns`; borrowed.
static const json_t *result_at(const json_t *row, int64_t at_ns)
{
	size_t i;
	json_t *result;
	json_array_foreach(json_object_get(row, "results"), i,
			   result) if (json_integer_value(json_object_get(result, "time")) <=
				       at_ns) return result;
	return NULL;
}

static json_t *requirement_json(const struct request *q, const struct requirement *r, int64_t at_ns)
{
	json_t *row = keep_get_json(q->m->keep, table, r->id);
	const json_t *result = result_at(row, at_ns);
	json_t *evidence = json_object_get(result, "evidence");
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:O}", "id", r->id, "clause",
			      r->clause, "level", r->level, "title", r->title, "verdict",
			      result ? text(result, "verdict") : "none", "when",
			      time_or_null(json_integer_value(json_object_get(result, "time"))),
			      "run", result ? json_string(text(result, "run")) : json_null(), "by",
			      result ? json_string(text(result, "by")) : json_null(), "evidence",
			      evidence ? evidence : json_null());
	json_decref(row);
	return j;
}

struct err api_conformance_list(struct request *q)
{
	int64_t at;
	bool past;
	TRY(may(q, ACTION_READ, "Conformance", NULL, NULL, NULL));
	TRY(asked_time(q, &at, &past));
	json_t *all = json_array();
	for (size_t i = 0; i < requirements_count; i++)
		json_array_append_new(all, requirement_json(q, &requirements[i], at));
	return listed(q, all, "id");
}

static json_t *bounded(const json_t *evidence)
{
	char *s = evidence ? json_dumps(evidence, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	bool fits = s && strlen(s) <= EVIDENCE_MAX;
	free(s);
	if (!s)
		return json_array();
	return fits ? json_incref((json_t *)(uintptr_t)evidence)
		    : json_pack("[{s:s}]", "note",
				"the evidence is longer than 16 KiB and was not kept");
}

static void keep_result(struct request *q, const struct requirement *r, const json_t *result,
			const char *run)
{
	json_t *row = keep_get_json(q->m->keep, table, r->id);
	if (!row)
		row = json_pack("{s:[]}", "results");
	json_t *list = json_object_get(row, "results");
	json_array_insert_new(list, 0,
			      json_pack("{s:s,s:s,s:s,s:I,s:o}", "verdict", text(result, "verdict"),
					"run", run, "by", q->who.account, "time",
					(json_int_t)q->now_ns, "evidence",
					bounded(json_object_get(result, "evidence"))));
	while (json_array_size(list) > HISTORY)
		json_array_remove(list, json_array_size(list) - 1);
	keep_put_json(q->m->keep, table, r->id, row);
	json_decref(row);
}

struct sum {
	int pass, fail, none;
	json_t *unknown;
};

static struct err take_result(struct request *q, const json_t *result, const char *run,
			      struct sum *sum)
{
	const struct requirement *r = requirement_find(text(result, "id"));
	const char *verdict = text(result, "verdict");
	bool pass = strcmp(verdict, "pass") == 0, fail = strcmp(verdict, "fail") == 0;
	ENSURE(json_is_object(result) && *text(result, "id"), ERR_USAGE,
	       "results: each is {id, verdict, evidence}");
	ENSURE(pass || fail || strcmp(verdict, "none") == 0, ERR_USAGE,
	       "results: %.32s: the verdict is pass, fail or none", text(result, "id"));
	if (!r) {
		json_array_append_new(sum->unknown, json_string(text(result, "id")));
		return OK;
	}
	sum->pass += pass;
	sum->fail += fail;
	sum->none += !pass && !fail;
	keep_result(q, r, result, run);
	return OK;
}

static struct err submit(struct request *q, const json_t *results, const char *run,
			 const char *as_text)
{
	struct sum sum = {.unknown = json_array()};
	uint8_t hash[HASH_SIZE];
	char hex[HASH_HEX];
	size_t i;
	json_t *result;
	struct err e = OK;
	json_array_foreach(results, i, result)
	{
		e = take_result(q, result, run, &sum);
		if (e.code != ERR_NONE)
			break;
	}
	hash_sha256(as_text, strlen(as_text), hash);
	if (e.code == ERR_NONE) {
		record(q->m, "conformance.run", run, q->who.account,
		       json_pack("{s:i,s:i,s:i,s:s}", "pass", sum.pass, "fail", sum.fail, "none",
				 sum.none, "results_sha256", hash_hex(hash, sizeof hash, hex)));
		e = commit(q->m);
	}
	if (e.code == ERR_NONE) {
		tell(q->m, "conformance.run", run,
		     json_pack("{s:s,s:i,s:i,s:i}", "run", run, "pass", sum.pass, "fail", sum.fail,
			       "none", sum.none),
		     "internal");
		q->body = json_pack("{s:s,s:o,s:i,s:i,s:i,s:O}", "run", run, "time",
				    time_or_null(q->now_ns), "pass", sum.pass, "fail", sum.fail,
				    "none", sum.none, "unknown", sum.unknown);
	}
	json_decref(sum.unknown);
	return e;
}

struct err api_conformance_submit(struct request *q)
{
	const char *run = answer_text(q->r, "run"), *results = answer_text(q->r, "results");
	json_error_t bad;
	TRY(may(q, ACTION_CREATE, "Conformance", NULL, NULL, NULL));
	ENSURE(run && results, ERR_USAGE, "run and results are needed");
	TRY(err_within(x509_name_check(run), "run"));
	json_t *list = json_loads(results, JSON_REJECT_DUPLICATES, &bad);
	struct err e = json_is_array(list) && json_array_size(list) <= 1000
			       ? submit(q, list, run, results)
			       : err_make(ERR_USAGE, "results: an array of at most 1000 results");
	json_decref(list);
	return e;
}
