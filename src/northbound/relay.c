// SPDX-License-Identifier: Apache-2.0
// What others answer: the request goes to its owner as the table typed it, the answer comes back
// unopened, but for a log-in, whose token is put where this door keeps it.
#include "northbound/northbound.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct err params_make(const struct exchange *x, Ipc__ApiRequest *m)
{
	m->params = arena_alloc(x->arena, (x->r.n_values + 1) * sizeof *m->params);
	ENSURE(m->params, ERR_LIMIT, "the request is too large");
	for (unsigned i = 0; i < x->r.n_values; i++) {
		const struct request_value *v = &x->r.values[i];
		Ipc__Param *p = arena_alloc(x->arena, sizeof *p);
		ENSURE(p, ERR_LIMIT, "the request is too large");
		ipc__param__init(p);
		p->name = (char *)(uintptr_t)v->param->name;
		if (v->param->type == TYPE_NUMBER) {
			p->value_case = IPC__PARAM__VALUE_NUMBER;
			p->number = v->number;
		} else if (v->param->type == TYPE_FLAG) {
			p->value_case = IPC__PARAM__VALUE_FLAG;
			p->flag = v->flag;
		} else {
			p->value_case = IPC__PARAM__VALUE_TEXT;
			p->text = v->text;
		}
		m->params[m->n_params++] = p;
	}
	return OK;
}

struct err relay_ask(struct exchange *x)
{
	Ipc__ApiRequest m = IPC__API_REQUEST__INIT;
	const char *key = http_header(x->http, "Idempotency-Key");
	const char *match = http_header(x->http, "If-Match"), *agent = http_header(x->http, "User-Agent");
	TRY(params_make(x, &m));
	m.id = x->id;
	m.operation = (char *)(uintptr_t)x->r.op->id;
	if (x->session) {
		m.ticket.data = x->session->ticket;
		m.ticket.len = x->session->ticket_len;
	}
	m.source = x->http->source;
	m.idempotency_key = (char *)(uintptr_t)(key ? key : "");
	m.if_match = (char *)(uintptr_t)(match ? match : "");
	m.cli = agent && strncmp(agent, "gemel/", 6) == 0;
	return process_send(x->nb->p, x->r.op->owner, IPC_API_REQUEST, &m.base);
}

void relay_cancel(struct exchange *x)
{
	Ipc__ApiCancel m = IPC__API_CANCEL__INIT;
	m.id = x->id;
	if (x->r.op->owner == PROCESS_REPOSITORY && !x->cancelled)
		err_ignore(process_send(x->nb->p, PROCESS_REPOSITORY, IPC_API_CANCEL, &m.base));
	x->cancelled = true;
}

void relay_away(struct northbound *nb, enum process_id peer)
{
	struct exchange *x = LIST_FIRST(&nb->exchanges), *next;
	for (; x; x = next) {
		next = LIST_NEXT(x, link);
		bool waits = x->state == EXCHANGE_RUN && x->r.op->owner == peer;
		waits |= x->state == EXCHANGE_SESSION && peer == PROCESS_MANAGEMENT;
		if (x->state == EXCHANGE_PARTS && x->r.op->owner == peer)
			http_drop(x->http);
		if (waits)
			exchange_refuse(x, err_make(ERR_BUSY, "%s went away", process_name(peer)), 503,
					"It is started again within seconds; ask again then.");
	}
}

// --- log-in and log-out

static bool token_printable(const ProtobufCBinaryData *t)
{
	for (size_t i = 0; i < t->len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=",
			    t->data[i]) || t->data[i] == 0)
			return false;
	return t->len > 0 && t->len <= SESSION_TOKEN_MAX;
}

// The API's door tells the token in the body, the console's in a cookie that scripts cannot read.
static void login_answer(struct exchange *x, Ipc__ApiAnswer *m)
{
	if (!token_printable(&m->set_session)) {
		exchange_refuse(x, err_make(ERR_INTERNAL, "management gave no usable token"), 500, NULL);
		return;
	}
	char cookie[SESSION_TOKEN_MAX + 128];
	json_t *body = json_loadb((char *)m->body.data, m->body.len, 0, NULL);
	if (!body)
		body = json_object();
	if (x->http->door == DOOR_API) {
		json_object_set_new(body, "token", json_stringn((char *)m->set_session.data,
								m->set_session.len));
	} else {
		snprintf(cookie, sizeof cookie,
			 "gemel_session=%.*s; Path=/; HttpOnly; Secure; SameSite=Strict",
			 (int)m->set_session.len, (char *)m->set_session.data);
		http_add_header(x->http, "Set-Cookie", cookie);
		secret_zero(cookie, sizeof cookie);
	}
	char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	exchange_answer(x, m->status, "application/json", text, text ? strlen(text) : 0);
	if (text)
		secret_zero(text, strlen(text));
	free(text);
}

static void logout_done(struct exchange *x)
{
	streams_session_ended(x->nb, x->token_hash);
	sessions_drop(x->nb->sessions, x->token_hash);
	if (x->http->door == DOOR_CONSOLE)
		http_add_header(x->http, "Set-Cookie", "gemel_session=; Path=/; Max-Age=0; HttpOnly; "
						       "Secure; SameSite=Strict");
}

// --- answers

static bool etag_known(const struct exchange *x, const char *etag)
{
	const char *asked = http_header(x->http, "If-None-Match");
	size_t n = strlen(etag);
	for (const char *at = asked; at && n && (at = strstr(at, etag)); at += n)
		if ((at == asked || strchr(" ,/", at[-1])) && (at[n] == 0 || strchr(" ,", at[n])))
			return true;
	return asked && strcmp(asked, "*") == 0 && n;
}

static const char *type_of(const Ipc__ApiAnswer *m)
{
	if (m->content_type && *m->content_type)
		return m->content_type;
	return m->status >= 400 ? "application/problem+json" : "application/json";
}

static void answer_whole(struct exchange *x, Ipc__ApiAnswer *m)
{
	char etag[160] = "";
	if (m->etag && *m->etag)
		snprintf(etag, sizeof etag, *m->etag == '"' ? "%s" : "\"%s\"", m->etag);
	if (etag[0])
		http_add_header(x->http, "ETag", etag);
	http_add_header(x->http, "Cache-Control", "no-store");
	if (m->status == 401 && x->http->door == DOOR_API)
		http_add_header(x->http, "WWW-Authenticate", "Bearer realm=\"gemel\"");
	if (m->status == 429 || m->status == 503)
		http_add_header(x->http, "Retry-After", "1");
	if (m->status == 200 && x->r.op->method == METHOD_GET && etag_known(x, etag)) {
		exchange_answer(x, 304, NULL, NULL, 0);
		return;
	}
	exchange_answer(x, m->status, type_of(m), m->body.data, m->body.len);
}

static void part(struct exchange *x, Ipc__ApiAnswer *m)
{
	if (x->state == EXCHANGE_RUN) {
		http_add_header(x->http, "Cache-Control", "no-store");
		http_stream_start(x->http, m->status, type_of(m));
		x->state = EXCHANGE_PARTS;
	}
	x->until_ns = clock_mono_ns() + ANSWER_S * NS_PER_S;
	http_stream_send(x->http, m->body.data, m->body.len);
	if (!m->more) {
		struct http_request *http = x->http;
		exchange_free(x);
		http_stream_end(http);
	} else if (http_stream_waiting(x->http) > PARTS_MAX) {
		log_warning("a client of %s does not take its answer: it is cut", x->r.op->id);
		relay_cancel(x);
		http_drop(x->http);
	}
}

struct err relay_answer(struct northbound *nb, const struct ipc_message *msg)
{
	scoped(arena) struct arena *a = arena_new(ANSWER_ARENA);
	struct err e = OK;
	ENSURE(a, ERR_LIMIT, "out of memory");
	Ipc__ApiAnswer *m = IPC_UNPACK(api_answer, msg, a, &e);
	if (!m)
		return e;
	struct exchange *x;
	LIST_FOREACH(x, &nb->exchanges, link)
		if (x->id == m->id && (x->state == EXCHANGE_RUN || x->state == EXCHANGE_PARTS))
			break;
	if (!x) // given up in the meantime
		return OK;
	ENSURE(x->r.op->owner == msg->from, ERR_PEER, "API_ANSWER %llu is not for %s to give",
	       (unsigned long long)m->id, process_name(msg->from));
	ENSURE(m->status >= 200 && m->status <= 599, ERR_PEER, "API_ANSWER with status %u", m->status);
	if (x->r.op == &operations[OP_session_end] && m->status < 300)
		logout_done(x);
	if (m->status == 401 && x->session)
		sessions_drop(nb->sessions, x->token_hash); // its ticket is no longer believed
	if (m->set_session.len && x->r.op == &operations[OP_session_login] && m->status < 300) {
		http_add_header(x->http, "Cache-Control", "no-store");
		login_answer(x, m);
		secret_zero(m->set_session.data, m->set_session.len);
	} else if (m->more || x->state == EXCHANGE_PARTS) {
		part(x, m);
	} else {
		answer_whole(x, m);
	}
	return OK;
}
