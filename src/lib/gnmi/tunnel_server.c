// SPDX-License-Identifier: Apache-2.0
// The collector's end of the tunnel. A peer is one Register stream; a Tunnel stream belongs to the
// peer on the same connection and names its session by tag in its first message. What a peer may
// register is the owner's decision (on_target), by the connection's certificate. X.2011 8.2.1-1.

#include "lib/gnmi/tunnel_internal.h"

#include "lib/gnmi/wire.h"

#include <stdlib.h>
#include <string.h>

enum { OP_BURST = 64, OP_RATE = 5 }; // Register operations of one peer

struct tunnel_peer {
	TAILQ_ENTRY(tunnel_peer) link;
	struct tunnel_server *server;
	struct grpc_call *call; // the Register stream; NULL: it has ended
	struct grpc_conn *conn;
	struct tunnel_target target[TUNNEL_TARGETS_MAX];
	unsigned targets;
	struct tunnel_sessions sessions;
	int32_t next_tag;
	struct grpc_flood ops;
	unsigned busy;
	void *ctx;
};

TAILQ_HEAD(tunnel_peers, tunnel_peer);
struct tunnel_server {
	const struct tunnel_server_events *events;
	void *ctx;
	struct tunnel_peers peers;
};

static struct tunnel_peer *peer_on(struct tunnel_server *s, const struct grpc_conn *conn)
{
	struct tunnel_peer *p;
	TAILQ_FOREACH(p, &s->peers, link)
	if (p->conn == conn)
		return p;
	return NULL;
}

static void peer_enter(struct tunnel_peer *p)
{
	p->busy++;
}

static void peer_leave(struct tunnel_peer *p)
{
	if (--p->busy > 0 || p->call)
		return;
	TAILQ_REMOVE(&p->server->peers, p, link);
	tunnel_sessions_detach(&p->sessions);
	free(p);
}

// Its Register stream is over: whoever holds targets of it hears so.
static void peer_gone(struct tunnel_peer *p)
{
	struct tunnel_server *s = p->server;
	peer_enter(p);
	p->call = NULL;
	while (p->targets > 0) {
		struct tunnel_target t = p->target[--p->targets];
		if (s->events->on_target_gone)
			s->events->on_target_gone(s->ctx, p, t.target, t.type);
	}
	peer_leave(p);
}

// --- Register

static struct err register_start(void *ctx, struct grpc_call *call)
{
	struct tunnel_server *s = ctx;
	ENSURE(!peer_on(s, grpc_call_conn(call)), ERR_CONFLICT,
	       "tunnel: this connection has a Register stream already");
	struct tunnel_peer *p = calloc(1, sizeof *p);
	ENSURE(p, ERR_LIMIT, "tunnel: out of memory");
	p->server = s;
	p->call = call;
	p->conn = grpc_call_conn(call);
	p->next_tag = 1;
	TAILQ_INIT(&p->sessions.list);
	TAILQ_INSERT_TAIL(&s->peers, p, link);
	grpc_call_set_context(call, p);
	return OK;
}

static struct err target_add(struct tunnel_peer *p, const Grpctunnel__Target *m)
{
	struct tunnel_server *s = p->server;
	struct tunnel_target t;
	TRY(tunnel_target_set(&t, m->target, m->target_type));
	ENSURE(tunnel_target_find(p->target, p->targets, t.target, t.type) == p->targets,
	       ERR_CONFLICT, "target %s (%s) is registered already", t.target, t.type);
	ENSURE(p->targets < TUNNEL_TARGETS_MAX, ERR_LIMIT, "at most %d targets on one connection",
	       TUNNEL_TARGETS_MAX);
	p->target[p->targets++] = t;
	struct err e = s->events->on_target(s->ctx, p, t.target, t.type);
	unsigned at = tunnel_target_find(p->target, p->targets, t.target, t.type);
	if (e.code != ERR_NONE && at < p->targets)
		p->target[at] = p->target[--p->targets];
	return e;
}

static struct err target_remove(struct tunnel_peer *p, const Grpctunnel__Target *m)
{
	struct tunnel_server *s = p->server;
	unsigned at = tunnel_target_find(p->target, p->targets, m->target, m->target_type);
	ENSURE(at < p->targets, ERR_NOT_FOUND, "no such target is registered");
	struct tunnel_target t = p->target[at];
	p->target[at] = p->target[--p->targets];
	if (s->events->on_target_gone)
		s->events->on_target_gone(s->ctx, p, t.target, t.type);
	return OK;
}

static struct err register_target(struct tunnel_peer *p, const Grpctunnel__Target *m)
{
	struct err e;
	if (m->op == GRPCTUNNEL__TARGET__TARGET_OP__ADD)
		e = target_add(p, m);
	else if (m->op == GRPCTUNNEL__TARGET__TARGET_OP__REMOVE)
		e = target_remove(p, m);
	else
		e = err_make(ERR_USAGE, "target operation %d; 1 (add) or 2 (remove) is allowed",
			     (int)m->op);
	if (!p->call)
		return OK; // ended inside
	return tunnel_answer_target(p->call, m->target, m->target_type, e.code ? e.text : NULL);
}

// A session is the server's to ask for; the peer may only refuse ours.
static struct err register_session(struct tunnel_peer *p, const Grpctunnel__Session *m)
{
	struct tunnel_session *s;
	if (m->accept)
		return OK; // the Tunnel stream says it
	TAILQ_FOREACH(s, &p->sessions.list, link)
	if (s->tag == m->tag && !s->call) {
		tunnel_session_end(
			s, err_make(ERR_DENIED, "tunnel: the peer refused: %.200s", m->error));
		return OK;
	}
	return m->error[0] ? OK
			   : tunnel_answer_session(p->call, m->tag,
						   "sessions are opened by the collector");
}

static struct err register_subscription(struct tunnel_peer *p, const Grpctunnel__Subscription *m)
{
	Grpctunnel__Subscription answer = GRPCTUNNEL__SUBSCRIPTION__INIT;
	Grpctunnel__RegisterOp op = GRPCTUNNEL__REGISTER_OP__INIT;
	answer.op = m->op;
	answer.target_type = m->target_type;
	answer.error = (char *)"lists of targets are not given out here";
	op.registration_case = GRPCTUNNEL__REGISTER_OP__REGISTRATION_SUBSCRIPTION;
	op.subscription = &answer;
	return tunnel_op_send(p->call, &op);
}

static struct err register_op(struct tunnel_peer *p, const Grpctunnel__RegisterOp *op)
{
	ENSURE(grpc_flood_pass(&p->ops, OP_BURST, OP_RATE), ERR_LIMIT,
	       "tunnel: more than %d operations a second", OP_RATE);
	switch (op->registration_case) {
	case GRPCTUNNEL__REGISTER_OP__REGISTRATION_TARGET:
		return register_target(p, op->target);
	case GRPCTUNNEL__REGISTER_OP__REGISTRATION_SESSION:
		return register_session(p, op->session);
	case GRPCTUNNEL__REGISTER_OP__REGISTRATION_SUBSCRIPTION:
		return register_subscription(p, op->subscription);
	default:
		return err_make(ERR_USAGE,
				"tunnel: RegisterOp without target, session or subscription");
	}
}

static void register_message(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct tunnel_peer *p = ctx;
	Grpctunnel__RegisterOp *op = tunnel_op_read(message, n);
	struct err e = op ? OK
			  : err_make(ERR_USAGE, "tunnel: not a RegisterOp of at most %d bytes",
				     TUNNEL_OP_MAX);
	peer_enter(p);
	if (op)
		e = register_op(p, op);
	grpctunnel__register_op__free_unpacked(op, NULL);
	if (e.code != ERR_NONE && p->call) {
		grpc_call_fail(p->call, e);
		peer_gone(p);
	}
	peer_leave(p);
}

static void register_half_close(void *ctx, struct grpc_call *call)
{
	struct tunnel_peer *p = ctx;
	grpc_call_finish(call, GRPC_OK, NULL);
	peer_gone(p);
}

static void register_end(void *ctx, struct grpc_call *call, enum grpc_status status,
			 const char *text)
{
	peer_gone(ctx);
}

static const struct grpc_handlers register_handlers = {
	.on_start = register_start,
	.on_message = register_message,
	.on_half_close = register_half_close,
	.on_end = register_end,
};

// --- Tunnel: until the first message has named its session, the stream is nobody's; then
// tunnel_session_bind gives it the session's handlers

static struct err read_tag(const uint8_t *message, size_t n, int32_t *tag)
{
	struct cursor c = cursor_over(message, n);
	struct wire_field f;
	*tag = 0;
	while (wire_next(&c, &f)) {
		if (f.number == 1 && f.type == WIRE_VARINT)
			*tag = (int32_t)f.value;
		ENSURE(f.number != 2, ERR_USAGE, "tunnel: data before the tag");
	}
	return cursor_finish(&c, "tunnel Data");
}

static struct err tunnel_bind(struct tunnel_server *server, struct grpc_call *call,
			      const uint8_t *message, size_t n)
{
	int32_t tag;
	struct tunnel_session *s;
	TRY(read_tag(message, n, &tag));
	struct tunnel_peer *p = peer_on(server, grpc_call_conn(call));
	ENSURE(p, ERR_NOT_FOUND, "tunnel: this connection has no Register stream");
	TAILQ_FOREACH(s, &p->sessions.list, link)
	if (s->tag == tag && !s->call && !s->closed && !s->ended) {
		tunnel_session_bind(s, call);
		return OK;
	}
	return err_make(ERR_NOT_FOUND, "tunnel: no session with tag %d is waiting", (int)tag);
}

static void unbound_message(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct err e = tunnel_bind(ctx, call, message, n);
	if (e.code != ERR_NONE)
		grpc_call_fail(call, e);
}

static void unbound_half_close(void *ctx, struct grpc_call *call)
{
	grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "tunnel: ended before the tag");
}

static const struct grpc_handlers unbound_handlers = {
	.on_message = unbound_message,
	.on_half_close = unbound_half_close,
};

// --- the owner's side

struct err tunnel_server_new(struct grpc_server *grpc, const struct tunnel_server_events *events,
			     void *ctx, struct tunnel_server **out)
{
	struct tunnel_server *s = calloc(1, sizeof *s);
	ENSURE(s, ERR_LIMIT, "tunnel: out of memory");
	s->events = events;
	s->ctx = ctx;
	TAILQ_INIT(&s->peers);
	struct err e = grpc_server_add(grpc, TUNNEL_REGISTER, GRPC_BIDI, &register_handlers, s);
	if (e.code == ERR_NONE)
		e = grpc_server_add(grpc, TUNNEL_TUNNEL, GRPC_BIDI, &unbound_handlers, s);
	if (e.code != ERR_NONE) {
		free(s);
		return e;
	}
	*out = s;
	return OK;
}

void tunnel_server_free(struct tunnel_server *s)
{
	free(s);
}

struct grpc_conn *tunnel_peer_conn(const struct tunnel_peer *p)
{
	return p->conn;
}

void tunnel_peer_set_context(struct tunnel_peer *p, void *ctx)
{
	p->ctx = ctx;
}

void *tunnel_peer_context(const struct tunnel_peer *p)
{
	return p->ctx;
}

struct err tunnel_open(struct tunnel_peer *p, const char *target, const char *type,
		       struct transport **out)
{
	struct tunnel_session *s;
	ENSURE(p->call && tunnel_target_find(p->target, p->targets, target, type) < p->targets,
	       ERR_NOT_FOUND, "tunnel: target %s (%s) is not registered", target, type);
	struct event_base *base = transport_base(grpc_conn_transport(p->conn));
	TRY(tunnel_session_new(base, &p->sessions, true, p->next_tag, &s));
	p->next_tag = p->next_tag == INT32_MAX ? 1 : p->next_tag + 1;
	Grpctunnel__Session m = GRPCTUNNEL__SESSION__INIT;
	Grpctunnel__RegisterOp op = GRPCTUNNEL__REGISTER_OP__INIT;
	m.tag = s->tag;
	m.accept = 1;
	m.target = (char *)target;
	m.target_type = (char *)type;
	op.registration_case = GRPCTUNNEL__REGISTER_OP__REGISTRATION_SESSION;
	op.session = &m;
	struct err e = tunnel_op_send(p->call, &op);
	if (e.code != ERR_NONE) {
		transport_close(&s->common);
		return e;
	}
	*out = &s->common;
	return OK;
}
