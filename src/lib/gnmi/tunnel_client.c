// SPDX-License-Identifier: Apache-2.0
// The network element's end of the tunnel: it dials out, registers its targets, and serves what the
// collector opens. Only targets that it registered are served, whatever the collector asks for.

#include "lib/gnmi/tunnel_internal.h"

#include "lib/gnmi/wire.h"

#include <stdlib.h>
#include <string.h>

struct tunnel_client {
	struct grpc_conn *conn;
	struct grpc_call *call; // the Register stream; NULL: it has ended
	const struct tunnel_client_events *events;
	void *ctx;
	struct tunnel_target target[TUNNEL_TARGETS_MAX];
	unsigned targets;
	struct tunnel_sessions sessions;
	unsigned busy;
	bool dead;
};

static void client_enter(struct tunnel_client *c)
{
	c->busy++;
}

static void client_leave(struct tunnel_client *c)
{
	if (--c->busy == 0 && c->dead) {
		tunnel_sessions_detach(&c->sessions);
		free(c);
	}
}

// Starts the Tunnel stream of a session: its first message is the tag alone.
static struct err session_start_stream(struct tunnel_client *c, struct tunnel_session *s)
{
	struct grpc_call *call;
	uint8_t tag[16] = {1 << 3 | WIRE_VARINT};
	TRY(grpc_call_start(c->conn, TUNNEL_TUNNEL, GRPC_BIDI, &tunnel_session_handlers, s, 0,
			    &call));
	size_t n = (size_t)(wire_varint_to(tag + 1, (uint64_t)(int64_t)s->tag) - tag);
	struct err e = grpc_call_send(call, tag, n);
	if (e.code != ERR_NONE) {
		grpc_call_cancel(call);
		return e;
	}
	tunnel_session_bind(s, call);
	return OK;
}

static struct err client_session(struct tunnel_client *c, const Grpctunnel__Session *m)
{
	struct tunnel_session *s;
	ENSURE(tunnel_target_find(c->target, c->targets, m->target, m->target_type) < c->targets,
	       ERR_NOT_FOUND, "no such target here");
	TAILQ_FOREACH(s, &c->sessions.list, link)
	ENSURE(s->tag != m->tag, ERR_CONFLICT, "tag %d is in use", (int)m->tag);
	struct event_base *base = transport_base(grpc_conn_transport(c->conn));
	TRY(tunnel_session_new(base, &c->sessions, false, m->tag, &s));
	struct err e = session_start_stream(c, s);
	if (e.code != ERR_NONE) {
		transport_close(&s->common);
		return e;
	}
	c->events->on_session(c->ctx, m->target, m->target_type, &s->common);
	return OK;
}

static void client_answer(struct tunnel_client *c, const Grpctunnel__Target *m)
{
	unsigned at = tunnel_target_find(c->target, c->targets, m->target, m->target_type);
	if (at == c->targets || (!m->accept && !m->error[0]))
		return; // news of others' targets, or an answer to nothing
	struct tunnel_target t = c->target[at];
	struct err answer = OK;
	if (!m->accept) {
		answer = err_make(ERR_DENIED, "tunnel: target %s refused: %.300s", t.target,
				  m->error);
		c->target[at] = c->target[--c->targets];
	}
	if (c->events->on_registered)
		c->events->on_registered(c->ctx, t.target, t.type, answer);
}

static void client_message(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct tunnel_client *c = ctx;
	Grpctunnel__RegisterOp *op = tunnel_op_read(message, n);
	struct err e = OK;
	client_enter(c);
	if (!op) {
		c->call = NULL;
		grpc_call_cancel(call);
		e = err_make(ERR_PEER, "tunnel: not a RegisterOp of at most %d bytes",
			     TUNNEL_OP_MAX);
		if (c->events->on_end)
			c->events->on_end(c->ctx, e);
	} else if (op->registration_case == GRPCTUNNEL__REGISTER_OP__REGISTRATION_TARGET) {
		client_answer(c, op->target);
	} else if (op->registration_case == GRPCTUNNEL__REGISTER_OP__REGISTRATION_SESSION &&
		   !op->session->error[0]) {
		e = client_session(c, op->session);
		if (e.code != ERR_NONE && c->call) // a full queue loses the refusal: it times out
			err_ignore(tunnel_answer_session(c->call, op->session->tag, e.text));
	}
	grpctunnel__register_op__free_unpacked(op, NULL);
	client_leave(c);
}

static void client_end(void *ctx, struct grpc_call *call, enum grpc_status status, const char *text)
{
	struct tunnel_client *c = ctx;
	client_enter(c);
	c->call = NULL;
	if (c->events->on_end && !c->dead)
		c->events->on_end(c->ctx, status == GRPC_OK ? OK
							    : err_make(grpc_status_err(status),
								       "tunnel: %s", text));
	client_leave(c);
}

static const struct grpc_handlers client_handlers = {
	.on_message = client_message,
	.on_end = client_end,
};

struct err tunnel_client_new(struct grpc_conn *conn, const struct tunnel_client_events *events,
			     void *ctx, struct tunnel_client **out)
{
	struct tunnel_client *c = calloc(1, sizeof *c);
	ENSURE(c, ERR_LIMIT, "tunnel: out of memory");
	c->conn = conn;
	c->events = events;
	c->ctx = ctx;
	TAILQ_INIT(&c->sessions.list);
	struct err e =
		grpc_call_start(conn, TUNNEL_REGISTER, GRPC_BIDI, &client_handlers, c, 0, &c->call);
	if (e.code != ERR_NONE) {
		free(c);
		return e;
	}
	*out = c;
	return OK;
}

static struct err client_op(struct tunnel_client *c, const struct tunnel_target *t,
			    Grpctunnel__Target__TargetOp what)
{
	Grpctunnel__Target m = GRPCTUNNEL__TARGET__INIT;
	Grpctunnel__RegisterOp op = GRPCTUNNEL__REGISTER_OP__INIT;
	ENSURE(c->call, ERR_BUSY, "tunnel: the Register stream has ended");
	m.op = what;
	m.target = (char *)t->target;
	m.target_type = (char *)t->type;
	op.registration_case = GRPCTUNNEL__REGISTER_OP__REGISTRATION_TARGET;
	op.target = &m;
	return tunnel_op_send(c->call, &op);
}

struct err tunnel_client_register(struct tunnel_client *c, const char *target, const char *type)
{
	struct tunnel_target t;
	TRY(tunnel_target_set(&t, target, type));
	ENSURE(c->targets < TUNNEL_TARGETS_MAX, ERR_LIMIT, "tunnel: at most %d targets",
	       TUNNEL_TARGETS_MAX);
	ENSURE(tunnel_target_find(c->target, c->targets, target, type) == c->targets, ERR_CONFLICT,
	       "tunnel: target %s (%s) is registered already", target, type);
	TRY(client_op(c, &t, GRPCTUNNEL__TARGET__TARGET_OP__ADD));
	c->target[c->targets++] = t;
	return OK;
}

struct err tunnel_client_withdraw(struct tunnel_client *c, const char *target, const char *type)
{
	unsigned at = tunnel_target_find(c->target, c->targets, target, type);
	ENSURE(at < c->targets, ERR_NOT_FOUND, "tunnel: target %s (%s) is not registered", target,
	       type);
	struct tunnel_target t = c->target[at];
	c->target[at] = c->target[--c->targets];
	return client_op(c, &t, GRPCTUNNEL__TARGET__TARGET_OP__REMOVE);
}

void tunnel_client_free(struct tunnel_client *c)
{
	if (!c)
		return;
	client_enter(c);
	c->dead = true;
	if (c->call) {
		struct grpc_call *call = c->call;
		c->call = NULL;
		grpc_call_cancel(call);
	}
	client_leave(c);
}
