// SPDX-License-Identifier: Apache-2.0
// Tunnel sessions: a transport whose bytes travel as Data messages of one Tunnel stream. Marks of
// the stream's queue are set to the transport's, so that back-pressure is felt inside the session
// at the same level as on a socket; pausing the session pauses the stream, and HTTP/2 flow control
// carries that to the other end.

#include "lib/gnmi/tunnel_internal.h"

#include "lib/gnmi/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DATA_MAX = 64 << 10, EARLY_MAX = 1 << 20, CLOSE_MS = 5000 };

static struct tunnel_session *session_of(struct transport *t)
{
	return (struct tunnel_session *)t;
}

static void session_free(struct tunnel_session *s)
{
	if (s->owner) {
		TAILQ_REMOVE(&s->owner->list, s, link);
		s->owner->count--;
	}
	event_free(s->event);
	buf_clear(&s->early);
	free(s);
}

static void session_enter(struct tunnel_session *s)
{
	s->busy++;
}

// A closed session stays only while its client stream is still sending.
static void session_leave(struct tunnel_session *s)
{
	if (--s->busy == 0 && s->closed && !s->call)
		session_free(s);
}

static void session_soon(struct tunnel_session *s)
{
	event_active(s->event, EV_WRITE, 0);
}

void tunnel_session_end(struct tunnel_session *s, struct err why)
{
	if (s->ended)
		return;
	s->ended = true;
	s->why = why.code;
	snprintf(s->why_text, sizeof s->why_text, "%s", why.code == ERR_NONE ? "" : why.text);
	session_soon(s);
}

static void session_tell(struct tunnel_session *s)
{
	if (!s->started || s->closed)
		return;
	if (s->call && !s->told_open) {
		s->told_open = true;
		evtimer_del(s->event); // TUNNEL_OPEN_MS
		s->common.events->on_open(s->common.ctx);
	}
	if (s->closed || !s->ended || s->told_end)
		return;
	s->told_end = true;
	s->common.events->on_end(s->common.ctx, (struct err){s->why, s->why ? s->why_text : NULL});
}

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
	struct tunnel_session *s = ctx;
	session_enter(s);
	if (what & EV_TIMEOUT) {
		if (s->closed && s->call) { // the other end does not take the rest
			grpc_call_cancel(s->call);
			s->call = NULL;
		} else if (!s->call) {
			tunnel_session_end(s, err_make(ERR_PEER,
						       "tunnel: session %d was not taken up "
						       "within %d ms",
						       (int)s->tag, TUNNEL_OPEN_MS));
		}
	}
	session_tell(s);
	session_leave(s);
}

// --- the stream

static void session_put(struct tunnel_session *s, const uint8_t *bytes, size_t n)
{
	while (n > 0 && s->call) {
		size_t take = n < DATA_MAX ? n : DATA_MAX;
		uint8_t head[8] = {2 << 3 | WIRE_BYTES};
		size_t head_len = (size_t)(wire_varint_to(head + 1, take) - head);
		struct err e = grpc_call_send2(s->call, head, head_len, bytes, take);
		if (e.code != ERR_NONE) {
			tunnel_session_end(s, e);
			return;
		}
		bytes += take;
		n -= take;
	}
}

void tunnel_session_bind(struct tunnel_session *s, struct grpc_call *call)
{
	s->call = call;
	call->handlers = &tunnel_session_handlers;
	grpc_call_set_context(call, s);
	grpc_call_set_marks(call, TRANSPORT_HIGH, TRANSPORT_LOW);
	grpc_call_pause(call, s->paused || !s->started);
	session_put(s, s->early.data, s->early.len);
	buf_clear(&s->early);
	session_soon(s);
}

static struct err read_data(const uint8_t *message, size_t n, struct cursor *data, bool *close)
{
	struct cursor c = cursor_over(message, n);
	struct wire_field f;
	*close = false;
	*data = cursor_over(message, 0);
	while (wire_next(&c, &f))
		if (f.number == 2 && f.type == WIRE_BYTES)
			*data = f.sub;
		else if (f.number == 3 && f.type == WIRE_VARINT)
			*close = f.value != 0;
	return cursor_finish(&c, "tunnel Data");
}

static void on_message(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct tunnel_session *s = ctx;
	struct cursor data;
	bool close;
	if (s->ended || s->closed)
		return;
	session_enter(s);
	struct err e = read_data(message, n, &data, &close);
	if (e.code == ERR_NONE && cursor_left(&data)) {
		session_tell(s); // on_open comes first
		if (!s->closed && !s->ended)
			s->common.events->on_bytes(s->common.ctx, data.at, cursor_left(&data));
	}
	if (e.code != ERR_NONE || close)
		tunnel_session_end(s, e);
	session_leave(s);
}

static void on_half_close(void *ctx, struct grpc_call *call)
{
	struct tunnel_session *s = ctx;
	tunnel_session_end(s, OK);
}

static void on_drain(void *ctx, struct grpc_call *call)
{
	struct tunnel_session *s = ctx;
	session_enter(s);
	if (s->told_open && !s->closed && !s->ended)
		s->common.events->on_drain(s->common.ctx);
	session_leave(s);
}

static void on_end(void *ctx, struct grpc_call *call, enum grpc_status status, const char *text)
{
	struct tunnel_session *s = ctx;
	session_enter(s);
	s->call = NULL;
	tunnel_session_end(
		s, status == GRPC_OK ? OK : err_make(grpc_status_err(status), "tunnel: %s", text));
	session_leave(s);
}

const struct grpc_handlers tunnel_session_handlers = {
	.on_message = on_message,
	.on_half_close = on_half_close,
	.on_drain = on_drain,
	.on_end = on_end,
};

// --- the transport

static void session_start(struct transport *t)
{
	struct tunnel_session *s = session_of(t);
	s->started = true;
	if (s->call)
		grpc_call_pause(s->call, s->paused);
	if (s->call || s->ended)
		session_soon(s);
}

static void session_send(struct transport *t, const void *bytes, size_t n)
{
	struct tunnel_session *s = session_of(t);
	if (s->ended || s->closed)
		return;
	if (s->call) {
		session_put(s, bytes, n);
		return;
	}
	buf_append(&s->early, bytes, n);
	if (s->early.failed)
		tunnel_session_end(s,
				   err_make(ERR_LIMIT, "tunnel: too much sent before the session "
						       "was taken up"));
}

static size_t session_queued(const struct transport *t)
{
	const struct tunnel_session *s = (const struct tunnel_session *)t;
	return s->early.len + (s->call ? grpc_call_queued(s->call) : 0);
}

static void session_pause(struct transport *t, bool paused)
{
	struct tunnel_session *s = session_of(t);
	s->paused = paused;
	if (s->call && s->started)
		grpc_call_pause(s->call, paused);
}

// Data{close}, then the end of our direction. A server's stream is finished by that; a client's
// must live until the server has finished it.
static void session_close_stream(struct tunnel_session *s)
{
	static const uint8_t close_data[] = {3 << 3 | WIRE_VARINT, 1};
	if (!s->ended)
		err_ignore(grpc_call_send(s->call, close_data, sizeof close_data));
	if (s->server) {
		grpc_call_finish(s->call, GRPC_OK, NULL);
		s->call = NULL;
		return;
	}
	grpc_call_half_close(s->call);
	grpc_call_pause(s->call, false);
	struct timeval wait = {CLOSE_MS / 1000, 0};
	evtimer_add(s->event, &wait);
}

static void session_close(struct transport *t)
{
	struct tunnel_session *s = session_of(t);
	session_enter(s);
	if (!s->closed) {
		s->closed = true;
		s->common.events = NULL;
		evtimer_del(s->event);
		if (s->call)
			session_close_stream(s);
	}
	session_leave(s);
}

static struct ssl_st *session_ssl(struct transport *t)
{
	return NULL;
}

static const struct transport_ops session_ops = {
	.start = session_start,
	.send = session_send,
	.queued = session_queued,
	.pause = session_pause,
	.close = session_close,
	.ssl = session_ssl,
};

struct err tunnel_session_new(struct event_base *base, struct tunnel_sessions *owner, bool server,
			      int32_t tag, struct tunnel_session **out)
{
	ENSURE(owner->count < TUNNEL_SESSIONS_MAX, ERR_LIMIT,
	       "tunnel: %d sessions are open already", TUNNEL_SESSIONS_MAX);
	struct tunnel_session *s = calloc(1, sizeof *s);
	ENSURE(s, ERR_LIMIT, "tunnel session: out of memory");
	s->common = (struct transport){.ops = &session_ops, .base = base};
	s->server = server;
	s->tag = tag;
	s->early.limit = EARLY_MAX;
	s->event = event_new(base, -1, 0, on_event, s);
	if (!s->event) {
		free(s);
		return err_make(ERR_LIMIT, "tunnel session: out of memory");
	}
	s->owner = owner;
	TAILQ_INSERT_TAIL(&owner->list, s, link);
	owner->count++;
	struct timeval wait = {TUNNEL_OPEN_MS / 1000, 0};
	evtimer_add(s->event, &wait);
	*out = s;
	return OK;
}

void tunnel_sessions_detach(struct tunnel_sessions *owner)
{
	for (struct tunnel_session *s; (s = TAILQ_FIRST(&owner->list)) != NULL;) {
		TAILQ_REMOVE(&owner->list, s, link);
		owner->count--;
		s->owner = NULL;
		if (!s->call) // never taken up
			tunnel_session_end(s, err_make(ERR_BUSY, "tunnel: the peer has gone"));
	}
}

// --- targets and Register operations

static struct err name_check(const char *what, const char *s, bool empty)
{
	size_t n = strnlen(s, TUNNEL_NAME_MAX + 1);
	ENSURE(n <= TUNNEL_NAME_MAX && (n > 0 || empty), ERR_USAGE, "%s: must have 1 to %d bytes",
	       what, TUNNEL_NAME_MAX);
	for (size_t i = 0; i < n; i++)
		ENSURE(s[i] > 0x20 && s[i] < 0x7f, ERR_USAGE,
		       "%s: byte 0x%02x; printable ASCII without spaces is allowed", what,
		       (unsigned)(unsigned char)s[i]);
	return OK;
}

struct err tunnel_target_set(struct tunnel_target *t, const char *target, const char *type)
{
	TRY(name_check("tunnel target", target, false));
	TRY(name_check("tunnel target type", type, true));
	snprintf(t->target, sizeof t->target, "%s", target);
	snprintf(t->type, sizeof t->type, "%s", type);
	return OK;
}

unsigned tunnel_target_find(const struct tunnel_target *list, unsigned n, const char *target,
			    const char *type)
{
	unsigned i = 0;
	while (i < n && (strcmp(list[i].target, target) != 0 || strcmp(list[i].type, type) != 0))
		i++;
	return i;
}

struct err tunnel_op_send(struct grpc_call *call, const Grpctunnel__RegisterOp *op)
{
	uint8_t bytes[TUNNEL_OP_MAX];
	size_t n = grpctunnel__register_op__get_packed_size(op);
	ENSURE(n <= sizeof bytes, ERR_LIMIT, "tunnel: RegisterOp of %zu bytes", n);
	grpctunnel__register_op__pack(op, bytes);
	return grpc_call_send(call, bytes, n);
}

Grpctunnel__RegisterOp *tunnel_op_read(const uint8_t *message, size_t n)
{
	return n <= TUNNEL_OP_MAX ? grpctunnel__register_op__unpack(NULL, n, message) : NULL;
}

struct err tunnel_answer_target(struct grpc_call *call, const char *target, const char *type,
				const char *error)
{
	Grpctunnel__Target t = GRPCTUNNEL__TARGET__INIT;
	Grpctunnel__RegisterOp op = GRPCTUNNEL__REGISTER_OP__INIT;
	t.target = (char *)target;
	t.target_type = (char *)type;
	t.accept = error == NULL;
	t.error = (char *)(error ? error : "");
	op.registration_case = GRPCTUNNEL__REGISTER_OP__REGISTRATION_TARGET;
	op.target = &t;
	return tunnel_op_send(call, &op);
}

struct err tunnel_answer_session(struct grpc_call *call, int32_t tag, const char *error)
{
	Grpctunnel__Session s = GRPCTUNNEL__SESSION__INIT;
	Grpctunnel__RegisterOp op = GRPCTUNNEL__REGISTER_OP__INIT;
	s.tag = tag;
	s.error = (char *)error;
	op.registration_case = GRPCTUNNEL__REGISTER_OP__REGISTRATION_SESSION;
	op.session = &s;
	return tunnel_op_send(call, &op);
}
