// SPDX-License-Identifier: Apache-2.0
#include "lib/ipc/answer.h"

#include "lib/access/access.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
	WHOLE_MOST = 4 << 20, // a longer body goes in parts, so that it never blocks other answers
	PART = 1 << 20,
	ETAG_BYTES = 16,
};

// --- the request's parameters

static const Ipc__Param *find(const Ipc__ApiRequest *r, const char *name)
{
	for (size_t i = 0; i < r->n_params; i++)
		if (strcmp(r->params[i]->name, name) == 0)
			return r->params[i];
	return NULL;
}

const char *answer_text(const struct Ipc__ApiRequest *r, const char *name)
{
	const Ipc__Param *p = find(r, name);
	return p && p->value_case == IPC__PARAM__VALUE_TEXT ? p->text : NULL;
}

int64_t answer_number(const struct Ipc__ApiRequest *r, const char *name, int64_t fallback)
{
	const Ipc__Param *p = find(r, name);
	return p && p->value_case == IPC__PARAM__VALUE_NUMBER ? p->number : fallback;
}

bool answer_flag(const struct Ipc__ApiRequest *r, const char *name, bool fallback)
{
	const Ipc__Param *p = find(r, name);
	return p && p->value_case == IPC__PARAM__VALUE_FLAG ? p->flag : fallback;
}

// --- answers

static struct err send_parts(struct process *p, Ipc__ApiAnswer *m, const char *text, size_t n)
{
	for (size_t at = 0; at < n; at += PART) {
		size_t part = n - at < PART ? n - at : PART;
		m->body = (ProtobufCBinaryData){part, (uint8_t *)(uintptr_t)(text + at)};
		m->more = at + part < n;
		TRY(process_send(p, PROCESS_NORTHBOUND, IPC_API_ANSWER, &m->base));
	}
	return OK;
}

static struct err send_body(struct process *p, Ipc__ApiAnswer *m, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(body);
	ENSURE(text, ERR_LIMIT, "the answer cannot be written");
	size_t n = strlen(text);
	uint8_t hash[ETAG_BYTES];
	char etag[2 * ETAG_BYTES + 3];
	if (m->status == 200 && n <= WHOLE_MOST) {
		crypto_generichash(hash, sizeof hash, (const uint8_t *)text, n, NULL, 0);
		etag[0] = etag[2 * ETAG_BYTES + 1] = '"';
		etag[2 * ETAG_BYTES + 2] = 0;
		char hex[2 * ETAG_BYTES + 1];
		sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
		memcpy(etag + 1, hex, 2 * ETAG_BYTES);
		m->etag = etag;
	}
	m->body = (ProtobufCBinaryData){n, (uint8_t *)text};
	struct err e = n <= WHOLE_MOST
			       ? process_send(p, PROCESS_NORTHBOUND, IPC_API_ANSWER, &m->base)
			       : send_parts(p, m, text, n);
	free(text);
	return e;
}

struct err answer_json(struct process *p, uint64_t id, unsigned status, json_t *body)
{
	Ipc__ApiAnswer m = IPC__API_ANSWER__INIT;
	m.id = id;
	m.status = status;
	m.content_type = (char *)(uintptr_t) "application/json";
	return send_body(p, &m, body);
}

// --- refusals, RFC 9457

static const struct {
	unsigned status;
	const char *title;
} kinds[ERR_CODES] = {
	[ERR_NONE] = {500, "Failed"},
	[ERR_IO] = {500, "Failed"},
	[ERR_PEER] = {500, "Failed"},
	[ERR_AUTH] = {401, "Not logged in"},
	[ERR_DENIED] = {403, "Not permitted"},
	[ERR_CONFLICT] = {409, "It has changed in the meantime"},
	[ERR_NOT_FOUND] = {404, "Not found"},
	[ERR_CORRUPT] = {500, "Stored data is damaged"},
	[ERR_USAGE] = {400, "The request is not right"},
	[ERR_LIMIT] = {429, "Too much"},
	[ERR_BUSY] = {503, "Not ready"},
	[ERR_INTERNAL] = {500, "Failed"},
};

// A text may quote what a client sent, cut within a character: those bytes become '?'.
static json_t *text_json(const char *text)
{
	json_t *j = json_string(text);
	if (j)
		return j;
	char safe[ERR_TEXT_MAX];
	size_t n = 0;
	for (; text[n] && n + 1 < sizeof safe; n++)
		safe[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
	safe[n] = 0;
	return json_string(safe);
}

struct err answer_problem(struct process *p, uint64_t id, struct err why, const char *fix,
			  const struct access_decision *decision)
{
	enum err_code code = why.code < ERR_CODES ? why.code : ERR_INTERNAL;
	Ipc__ApiAnswer m = IPC__API_ANSWER__INIT;
	m.id = id;
	m.status = kinds[code].status;
	m.content_type = (char *)(uintptr_t) "application/problem+json";
	json_t *body = json_pack("{s:o, s:s, s:i, s:o, s:s*}", "type",
				 json_sprintf("urn:gemel:problem:%s", err_code_name(code)), "title",
				 kinds[code].title, "status", (int)m.status, "detail",
				 text_json(why.text ? why.text : ""), "fix", fix);
	if (body && decision)
		json_object_set_new(body, "decision",
				    json_pack("{s:b, s:o, s:o}", "permit", decision->permit,
					      "policy", text_json(decision->policy), "fact",
					      text_json(decision->fact)));
	ENSURE(body, ERR_LIMIT, "out of memory for a refusal");
	if (m.status >= 500 && code != ERR_BUSY)
		log_error("a request failed: %s", why.text ? why.text : "");
	return send_body(p, &m, body);
}

void answer_stamp(json_t *body, int64_t as_of_ns, uint64_t revision)
{
	char text[CLOCK_TEXT_MAX];
	int64_t age = clock_wall_ns() - as_of_ns;
	json_object_set_new(body, "as_of", json_string(clock_format(as_of_ns, text)));
	json_object_set_new(body, "age_ms", json_integer(age > 0 ? age / NS_PER_MS : 0));
	json_object_set_new(body, "revision", json_integer((json_int_t)revision));
}
