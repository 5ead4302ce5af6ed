// SPDX-License-Identifier: Apache-2.0
// The life of a gRPC call on both sides, and sending. Receiving is grpc_receive.c.

#include "lib/gnmi/grpc_queue.h"

#include <stdio.h>

// --- life

void grpc_call_set_marks(struct grpc_call *call, size_t full_at, size_t drain_at)
{
	call->full_at = full_at;
	call->drain_at = drain_at;
}

struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream)
{
	struct grpc_call *call = calloc(1, sizeof *call);
	if (!call)
		return NULL;
	call->conn = c;
	call->stream = stream;
	call->status = -1;
	grpc_call_set_marks(call, c->limits.queue_max / 4, c->limits.queue_max / 8);
	call->gone = c->server != NULL; // until on_start has run, nobody knows of it
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	c->call_count++;
	return call;
}

void grpc_call_free(struct grpc_call *call)
{
	struct grpc_conn *c = call->conn;
	TAILQ_REMOVE(&c->calls, call, link);
	c->call_count--;
	c->assembling -= call->in.cap;
	if (call->deadline)
		event_free(call->deadline);
	queue_clear(&call->out);
	queue_clear(&call->held);
	queue_clear(&call->in);
	free(call->text);
	free(call);
}

// GRPC_STATUSES: the text alone.
void grpc_call_set_status(struct grpc_call *call, enum grpc_status status, const char *text)
{
	if (status != GRPC_STATUSES)
		call->status = (int)status;
	free(call->text);
	call->text = NULL;
	size_t n = text ? strnlen(text, GRPC_TEXT_MAX - 1) : 0;
	if (n && (call->text = malloc(n + 1))) {
		memcpy(call->text, text, n);
		call->text[n] = 0;
	}
}

static void call_leave_user(struct grpc_call *call)
{
	call->gone = true;
	if (call->deadline)
		event_del(call->deadline);
	queue_clear(&call->held);
	if (call->closed)
		call->conn->sweep_due = true;
	grpc_conn_wake(call->conn);
}

void grpc_call_end(struct grpc_call *call, enum grpc_status status, const char *text)
{
	if (call->gone)
		return;
	call_leave_user(call);
	if (call->handlers->on_end)
		call->handlers->on_end(call->ctx, call, status, text ? text : "");
}

void grpc_call_reset(struct grpc_call *call, uint32_t code)
{
	if (call->closed || call->reset_by_us)
		return;
	call->reset_by_us = true;
	queue_clear(&call->out);
	nghttp2_submit_rst_stream(call->conn->h2, NGHTTP2_FLAG_NONE, call->stream, code);
	grpc_conn_wake(call->conn);
}

// Server: the status goes out after what is queued.
static void call_answer(struct grpc_call *call)
{
	call->local_done = true;
	if (call->closed || call->conn->dead)
		return;
	if (!call->answered)
		grpc_http2_respond(call, call->out.len == 0);
	else
		nghttp2_session_resume_data(call->conn->h2, call->stream);
	if (call->out.len) { // a peer that does not take it will not keep it for ever
		call->slow_since_ms = grpc_now_ms();
		grpc_conn_watch(call->conn);
	}
	grpc_conn_wake(call->conn);
}

// The library itself ends a call: the peer hears the status, the user hears on_end.
void grpc_call_refuse(struct grpc_call *call, enum grpc_status status, const char *text)
{
	if (!call->conn->server) {
		grpc_call_reset(call, NGHTTP2_CANCEL);
	} else if (call->answered && call->out.len) {
		grpc_call_reset(call, NGHTTP2_CANCEL);
	} else if (!call->local_done) {
		grpc_call_set_status(call, status, text);
		call_answer(call);
	}
	grpc_call_end(call, status, text);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	struct grpc_call *call = ctx;
	struct grpc_conn *c = call->conn;
	grpc_conn_enter(c);
	grpc_call_refuse(call, GRPC_DEADLINE_EXCEEDED, "the deadline has passed");
	grpc_conn_leave(c);
}

struct err grpc_call_arm(struct grpc_call *call, uint64_t ms)
{
	struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
	call->deadline = evtimer_new(transport_base(call->conn->transport), on_deadline, call);
	ENSURE(call->deadline && evtimer_add(call->deadline, &tv) == 0, ERR_LIMIT,
	       "deadline: out of memory");
	return OK;
}

// --- server: a call comes in

static const struct grpc_method *find_method(const struct grpc_server *s, const char *path)
{
	for (unsigned i = 0; i < s->methods; i++)
		if (strcmp(s->method[i].path, path) == 0)
			return &s->method[i];
	return NULL;
}

static void call_start(struct grpc_call *call, const struct grpc_method *m)
{
	call->handlers = m->handlers;
	call->ctx = m->ctx;
	call->kind = m->kind;
	struct err e = call->timeout_ms ? grpc_call_arm(call, call->timeout_ms) : OK;
	if (e.code == ERR_NONE) {
		call->gone = false;
		e = m->handlers->on_start ? m->handlers->on_start(call->ctx, call) : OK;
		if (call->gone)
			return; // ended inside
		call->started = true;
	}
	if (e.code == ERR_NONE)
		return;
	grpc_call_set_status(call, grpc_status_of(e.code), e.text);
	call_leave_user(call);
	call_answer(call);
}

void grpc_call_begin(struct grpc_call *call)
{
	struct grpc_conn *c = call->conn;
	char text[GRPC_PATH_MAX + 64];
	enum grpc_status status = GRPC_UNIMPLEMENTED;
	call->slow_since_ms = 0;
	if (c->dead)
		return;
	const struct grpc_method *m = call->has_path ? find_method(c->server, call->path) : NULL;
	if (call->header_too_big) {
		status = GRPC_RESOURCE_EXHAUSTED;
		snprintf(text, sizeof text, "request headers are above %u bytes",
			 (unsigned)c->limits.header_list_max);
	} else if (!call->is_post || !call->is_grpc) {
		call->http_status = call->is_post ? 415 : 405;
		snprintf(text, sizeof text, "not gRPC: POST with content-type application/grpc");
	} else if (!m) {
		snprintf(text, sizeof text, "no method %s here", call->path);
	} else if (call->bad_timeout) {
		status = GRPC_INVALID_ARGUMENT;
		snprintf(text, sizeof text, "grpc-timeout: up to 8 digits and one of HMSmun");
	} else {
		call_start(call, m);
		return;
	}
	grpc_call_set_status(call, status, text);
	call_answer(call);
}

// --- sending

size_t grpc_call_take(struct grpc_call *call, uint8_t *out, size_t room)
{
	size_t n = call->out.len < room ? call->out.len : room;
	if (!n)
		return 0;
	memcpy(out, call->out.data + call->out.head, n);
	queue_drop(&call->out, n);
	if (call->was_full && call->out.len <= call->drain_at)
		call->conn->drains_due = true;
	if (call->gone && call->slow_since_ms)
		call->slow_since_ms = grpc_now_ms();
	return n;
}

struct err grpc_call_send2(struct grpc_call *call, const void *head, size_t head_len,
			   const void *body, size_t body_len)
{
	struct grpc_conn *c = call->conn;
	size_t n = head_len + body_len;
	ENSURE(!call->gone && !call->local_done, ERR_INTERNAL, "%s: sending after the end",
	       call->path);
	ENSURE(!c->dead && !call->closed, ERR_BUSY, "%s: the connection is ending", call->path);
	ENSURE(n <= c->limits.message_max, ERR_LIMIT, "%s: message of %zu bytes; at most %zu",
	       call->path, n, c->limits.message_max);
	if (call->out.len && call->out.len + n + GRPC_HEAD > c->limits.queue_max) {
		call->was_full = true;
		return err_make(ERR_BUSY, "%s: %zu bytes are queued; the peer does not take them",
				call->path, call->out.len);
	}
	const uint8_t five[GRPC_HEAD] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
					 (uint8_t)(n >> 8), (uint8_t)n};
	ENSURE(queue_reserve(&call->out, n + GRPC_HEAD), ERR_LIMIT, "%s: out of memory",
	       call->path);
	queue_put(&call->out, five, GRPC_HEAD);
	queue_put(&call->out, head, head_len);
	queue_put(&call->out, body, body_len);
	if (c->server && !call->answered)
		grpc_http2_respond(call, false);
	else
		nghttp2_session_resume_data(c->h2, call->stream);
	call->was_full |= grpc_call_full(call);
	grpc_conn_wake(c);
	return OK;
}

struct err grpc_call_send(struct grpc_call *call, const void *message, size_t n)
{
	return grpc_call_send2(call, NULL, 0, message, n);
}

size_t grpc_call_queued(const struct grpc_call *call)
{
	return call->out.len;
}

bool grpc_call_full(const struct grpc_call *call)
{
	return call->out.len >= call->full_at;
}

void grpc_call_half_close(struct grpc_call *call)
{
	if (call->conn->server || call->local_done)
		return;
	call->local_done = true;
	if (!call->closed && !call->conn->dead)
		nghttp2_session_resume_data(call->conn->h2, call->stream);
	grpc_conn_wake(call->conn);
}

void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *text)
{
	if (call->gone)
		return;
	call_leave_user(call);
	grpc_call_set_status(call, status, text);
	call_answer(call);
}

void grpc_call_fail(struct grpc_call *call, struct err why)
{
	grpc_call_finish(call, grpc_status_of(why.code), why.code == ERR_NONE ? NULL : why.text);
}

void grpc_call_cancel(struct grpc_call *call)
{
	if (call->gone)
		return;
	call_leave_user(call);
	if (!call->conn->dead)
		grpc_call_reset(call, NGHTTP2_CANCEL);
}

// --- client

struct err grpc_call_start(struct grpc_conn *c, const char *path, enum grpc_kind kind,
			   const struct grpc_handlers *handlers, void *ctx, uint32_t timeout_ms,
			   struct grpc_call **out)
{
	ENSURE(!c->server && strlen(path) < GRPC_PATH_MAX, ERR_USAGE, "%s: not a client call",
	       path);
	ENSURE(!c->dead && !c->goaway, ERR_BUSY, "%s: the connection takes no new calls", path);
	ENSURE(c->call_count < GRPC_CLIENT_CALLS_MAX, ERR_LIMIT, "%s: %d calls are open", path,
	       GRPC_CLIENT_CALLS_MAX);
	struct grpc_call *call = grpc_call_new(c, 0);
	ENSURE(call, ERR_LIMIT, "%s: out of memory", path);
	snprintf(call->path, sizeof call->path, "%s", path);
	call->handlers = handlers;
	call->ctx = ctx;
	call->kind = kind;
	call->started = true;
	call->timeout_ms = timeout_ms;
	struct err e = timeout_ms ? grpc_call_arm(call, timeout_ms) : OK;
	if (e.code == ERR_NONE)
		e = grpc_http2_request(call);
	if (e.code != ERR_NONE) {
		grpc_call_free(call);
		return e;
	}
	*out = call;
	grpc_conn_wake(c);
	return OK;
}

struct err grpc_call_unary(struct grpc_conn *c, const char *path, const void *message, size_t n,
			   const struct grpc_handlers *handlers, void *ctx, uint32_t timeout_ms,
			   struct grpc_call **out)
{
	struct grpc_call *call;
	TRY(grpc_call_start(c, path, GRPC_UNARY, handlers, ctx, timeout_ms, &call));
	struct err e = grpc_call_send(call, message, n);
	if (e.code != ERR_NONE) {
		grpc_call_cancel(call);
		return e;
	}
	grpc_call_half_close(call);
	if (out)
		*out = call;
	return OK;
}

// --- facts

void grpc_call_set_context(struct grpc_call *call, void *ctx)
{
	call->ctx = ctx;
}

void *grpc_call_context(const struct grpc_call *call)
{
	return call->ctx;
}

struct grpc_conn *grpc_call_conn(const struct grpc_call *call)
{
	return call->conn;
}

const char *grpc_call_path(const struct grpc_call *call)
{
	return call->path;
}
