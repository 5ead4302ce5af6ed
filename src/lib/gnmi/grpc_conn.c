// SPDX-License-Identifier: Apache-2.0
// gRPC connections: the pump between a transport and nghttp2, timers, floods, and the end.
//
// Output is pumped from the event loop (conn->flush), never from inside grpc_call_send: many sends
// become few writes, and no handler runs inside a function that the user calls. The pump stops
// while the transport holds more than TRANSPORT_HIGH; then calls' queues fill and their users see
// grpc_call_full: back-pressure from the socket to the producer.

#include "lib/gnmi/grpc_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 1000, TICK_IDLE_MS = 10000 };

int64_t grpc_now_ms(void)
{
	return clock_mono_ns() / NS_PER_MS;
}

bool grpc_flood_pass(struct grpc_flood *f, int64_t burst, int64_t per_s)
{
	int64_t now = grpc_now_ms();
	if (f->at_ms == 0)
		f->tokens = burst * 1000;
	else
		f->tokens += (now - f->at_ms) * per_s;
	f->at_ms = now;
	if (f->tokens > burst * 1000)
		f->tokens = burst * 1000;
	f->tokens -= 1000;
	return f->tokens >= 0;
}

// --- memory

static uint32_t goaway_code(const struct grpc_conn *c)
{
	if (c->broken.code == ERR_LIMIT)
		return NGHTTP2_ENHANCE_YOUR_CALM;
	return c->broken.code == ERR_NONE ? NGHTTP2_NO_ERROR : NGHTTP2_PROTOCOL_ERROR;
}

// Everything that nghttp2 has to say, at most `most` bytes waiting in the transport.
static ssize_t conn_drain_h2(struct grpc_conn *c, size_t most)
{
	ssize_t n = 0;
	while (transport_queued(c->transport) < most) {
		const uint8_t *bytes;
		n = nghttp2_session_mem_send(c->h2, &bytes);
		if (n <= 0)
			break;
		transport_send(c->transport, bytes, (size_t)n);
	}
	return n;
}

static void conn_free(struct grpc_conn *c)
{
	if (c->h2 && c->open) {
		if (c->broken.code == ERR_NONE)
			conn_drain_h2(c, 4 * TRANSPORT_HIGH); // answers that were finished
		nghttp2_session_terminate_session(c->h2, goaway_code(c));
		conn_drain_h2(c, SIZE_MAX);
	}
	transport_close(c->transport);
	for (struct grpc_call *call; (call = TAILQ_FIRST(&c->calls)) != NULL;)
		grpc_call_free(call);
	nghttp2_session_del(c->h2);
	if (c->flush)
		event_free(c->flush);
	if (c->tick)
		event_free(c->tick);
	free(c->authority);
	free(c);
}

void grpc_conn_enter(struct grpc_conn *c)
{
	c->busy++;
}

void grpc_conn_leave(struct grpc_conn *c)
{
	if (--c->busy == 0 && c->dead)
		conn_free(c);
}

// --- the end

static void conn_end_calls(struct grpc_conn *c, const char *text)
{
	for (struct grpc_call *call = TAILQ_FIRST(&c->calls), *next; call; call = next) {
		next = TAILQ_NEXT(call, link); // nothing is freed while c->busy
		grpc_call_end(call, GRPC_UNAVAILABLE, text);
	}
}

static void conn_end(struct grpc_conn *c, struct err why, bool tell)
{
	if (c->dead)
		return;
	c->dead = true;
	char text[ERR_TEXT_MAX] = "connection closed";
	if (why.code != ERR_NONE)
		snprintf(text, sizeof text, "%s", why.text);
	conn_end_calls(c, text);
	if (tell && c->events && c->events->on_end) {
		if (why.code != ERR_NONE)
			why.text = text;
		c->events->on_end(c->ctx, c, why);
	}
}

void grpc_conn_break(struct grpc_conn *c, struct err why)
{
	if (c->broken.code != ERR_NONE)
		return;
	c->broken.code = why.code;
	snprintf(c->broken_text, sizeof c->broken_text, "%s", why.text);
	c->broken.text = c->broken_text;
	grpc_conn_wake(c);
}

void grpc_conn_close(struct grpc_conn *c)
{
	if (!c)
		return;
	grpc_conn_enter(c);
	conn_end(c, OK, false);
	// Closed from inside a call's on_end: the rest of the calls, and no word of its own.
	conn_end_calls(c, "connection closed");
	c->events = NULL;
	grpc_conn_leave(c);
}

void grpc_conn_goaway(struct grpc_conn *c)
{
	if (c->dead)
		return;
	nghttp2_submit_goaway(c->h2, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(c->h2), NGHTTP2_NO_ERROR,
			      NULL, 0);
	c->goaway = true;
	grpc_conn_wake(c);
}

// --- the pump

static void conn_drains(struct grpc_conn *c)
{
	c->drains_due = false;
	for (struct grpc_call *call = TAILQ_FIRST(&c->calls); call && !c->dead;
	     call = TAILQ_NEXT(call, link)) {
		if (call->gone || !call->was_full || call->out.len > call->drain_at)
			continue;
		call->was_full = false;
		if (call->handlers->on_drain)
			call->handlers->on_drain(call->ctx, call);
	}
}

static void conn_sweep(struct grpc_conn *c)
{
	c->sweep_due = false;
	for (struct grpc_call *call = TAILQ_FIRST(&c->calls), *next; call && !c->dead;
	     call = next) {
		if (call->resume_due)
			grpc_call_resume(call);
		next = TAILQ_NEXT(call, link);
		if (call->gone && call->closed)
			grpc_call_free(call);
	}
}

static void conn_pump(struct grpc_conn *c)
{
	if (c->sweep_due && !c->dead)
		conn_sweep(c);
	if (!c->open || c->dead)
		return;
	ssize_t n = conn_drain_h2(c, TRANSPORT_HIGH);
	if (n < 0)
		grpc_conn_break(c, err_make(ERR_INTERNAL, "HTTP/2: %s", nghttp2_strerror((int)n)));
	if (c->drains_due)
		conn_drains(c);
	if (c->dead)
		return;
	if (c->broken.code != ERR_NONE)
		conn_end(c, c->broken, true);
	else if (!nghttp2_session_want_read(c->h2) && !nghttp2_session_want_write(c->h2))
		conn_end(c, OK, true);
}

void grpc_conn_wake(struct grpc_conn *c)
{
	if (!c->dead)
		event_active(c->flush, EV_TIMEOUT, 0);
}

static void on_flush(evutil_socket_t fd, short what, void *ctx)
{
	struct grpc_conn *c = ctx;
	grpc_conn_enter(c);
	conn_pump(c);
	grpc_conn_leave(c);
}

// --- timers

static void conn_tick_in(struct grpc_conn *c, int64_t ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	c->tick_at_ms = grpc_now_ms() + ms;
	event_add(c->tick, &tv);
}

void grpc_conn_watch(struct grpc_conn *c)
{
	if (c->tick_at_ms > grpc_now_ms() + TICK_MS) // never later than it was
		conn_tick_in(c, TICK_MS);
}

static void conn_keepalive(struct grpc_conn *c, int64_t now)
{
	if (c->paused)
		return;
	if (c->ping_ms && now - c->ping_ms > c->limits.keepalive_wait_ms) {
		grpc_conn_break(c, err_make(ERR_IO, "no answer to PING for %u ms",
					    (unsigned)c->limits.keepalive_wait_ms));
	} else if (!c->ping_ms && now - c->heard_ms > c->limits.keepalive_ms) {
		c->ping_ms = now;
		nghttp2_submit_ping(c->h2, NGHTTP2_FLAG_NONE, NULL);
		grpc_conn_wake(c);
	}
}

// Slow peers: a handshake, a header or a message that does not come to its end. The call timer runs
// each second only while something is half received.
static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct grpc_conn *c = ctx;
	int64_t now = grpc_now_ms();
	bool half = !c->settled;
	grpc_conn_enter(c);
	if (!c->settled && !c->paused && now - c->opened_ms > c->limits.open_ms)
		grpc_conn_break(c, err_make(ERR_PEER, "no HTTP/2 SETTINGS within %u ms",
					    (unsigned)c->limits.open_ms));
	if (c->open)
		conn_keepalive(c, now);
	for (struct grpc_call *call = TAILQ_FIRST(&c->calls); call && !c->dead;
	     call = TAILQ_NEXT(call, link)) {
		grpc_call_slow_check(call, now);
		half |= call->slow_since_ms != 0;
	}
	if (!c->dead && !c->open && c->broken.code != ERR_NONE)
		conn_end(c, c->broken, true); // the pump does not run yet
	if (!c->dead)
		conn_tick_in(c, half || c->ping_ms || c->limits.keepalive_ms < TICK_IDLE_MS
					? TICK_MS
					: TICK_IDLE_MS);
	grpc_conn_leave(c);
}

// --- transport events

static void on_open(void *ctx)
{
	struct grpc_conn *c = ctx;
	grpc_conn_enter(c);
	c->open = true;
	c->heard_ms = grpc_now_ms();
	if (c->events && c->events->on_open) {
		struct err e = c->events->on_open(c->ctx, c);
		if (e.code != ERR_NONE)
			conn_end(c, e, true);
	}
	conn_pump(c);
	grpc_conn_leave(c);
}

static void on_bytes(void *ctx, const uint8_t *bytes, size_t n)
{
	struct grpc_conn *c = ctx;
	if (c->dead || c->broken.code != ERR_NONE)
		return;
	grpc_conn_enter(c);
	c->heard_ms = grpc_now_ms();
	c->ping_ms = 0;
	ssize_t taken = nghttp2_session_mem_recv(c->h2, bytes, n);
	if (taken < 0 && !c->dead)
		grpc_conn_break(c, err_make(taken == NGHTTP2_ERR_FLOODED ? ERR_LIMIT : ERR_PEER,
					    "HTTP/2: %s", nghttp2_strerror((int)taken)));
	conn_pump(c);
	grpc_conn_leave(c);
}

static void on_drain(void *ctx)
{
	struct grpc_conn *c = ctx;
	grpc_conn_enter(c);
	conn_pump(c);
	grpc_conn_leave(c);
}

static void on_end(void *ctx, struct err why)
{
	struct grpc_conn *c = ctx;
	grpc_conn_enter(c);
	conn_end(c, why, true);
	grpc_conn_leave(c);
}

static const struct transport_events transport_events = {on_open, on_bytes, on_drain, on_end};

// --- making them

static void limits_default(struct grpc_limits *l, const struct grpc_limits *from, bool server)
{
	if (from)
		*l = *from;
	l->message_max = l->message_max ? l->message_max : 4u << 20;
	l->queue_max = l->queue_max ? l->queue_max : 4u << 20;
	l->assembly_max = l->assembly_max ? l->assembly_max : 16u << 20;
	l->streams_max = l->streams_max ? l->streams_max : 64;
	l->header_list_max = l->header_list_max ? l->header_list_max : 16u << 10;
	l->window = l->window ? l->window : 1u << 20;
	l->open_ms = l->open_ms ? l->open_ms : 10000;
	l->slow_ms = l->slow_ms ? l->slow_ms : 60000;
	// A C-core server ends clients that PING oftener than every 300 s ("too_many_pings").
	l->keepalive_ms = l->keepalive_ms ? l->keepalive_ms : server ? 30000 : 330000;
	l->keepalive_wait_ms = l->keepalive_wait_ms ? l->keepalive_wait_ms : 20000;
}

static struct err conn_new(struct transport *t, struct grpc_server *server,
			   const struct grpc_limits *limits, const struct grpc_conn_events *events,
			   void *ctx, struct grpc_conn **out)
{
	struct grpc_conn *c = calloc(1, sizeof *c);
	if (!c) {
		transport_close(t);
		return err_make(ERR_LIMIT, "gRPC connection: out of memory");
	}
	TAILQ_INIT(&c->calls);
	c->transport = t;
	c->server = server;
	c->events = events;
	c->ctx = ctx;
	c->opened_ms = grpc_now_ms();
	limits_default(&c->limits, limits, server != NULL);
	c->flush = event_new(transport_base(t), -1, 0, on_flush, c);
	c->tick = evtimer_new(transport_base(t), on_tick, c);
	c->h2 = c->flush && c->tick ? grpc_http2_new(c) : NULL;
	if (!c->h2) {
		conn_free(c);
		return err_make(ERR_LIMIT, "gRPC connection: out of memory");
	}
	*out = c;
	return OK;
}

struct err grpc_server_accept(struct grpc_server *s, struct transport *t,
			      const struct grpc_conn_events *events, void *ctx,
			      struct grpc_conn **out)
{
	struct grpc_conn *c;
	TRY(conn_new(t, s, &s->limits, events, ctx, &c));
	if (out)
		*out = c;
	conn_tick_in(c, TICK_MS);
	transport_start(t, &transport_events, c);
	return OK;
}

struct err grpc_client_new(struct transport *t, const struct grpc_client_conf *conf,
			   const struct grpc_conn_events *events, void *ctx, struct grpc_conn **out)
{
	struct grpc_conn *c;
	TRY(conn_new(t, NULL, conf ? &conf->limits : NULL, events, ctx, &c));
	c->authority = strdup(conf && conf->authority ? conf->authority : "localhost");
	if (!c->authority) {
		conn_free(c);
		return err_make(ERR_LIMIT, "gRPC connection: out of memory");
	}
	c->plain = conf && conf->plain;
	c->metadata = conf ? conf->metadata : NULL;
	*out = c;
	conn_tick_in(c, TICK_MS);
	transport_start(t, &transport_events, c);
	return OK;
}

struct grpc_server *grpc_server_new(const struct grpc_limits *limits)
{
	struct grpc_server *s = calloc(1, sizeof *s);
	if (s && limits)
		s->limits = *limits;
	return s;
}

void grpc_server_free(struct grpc_server *s)
{
	free(s);
}

struct err grpc_server_add(struct grpc_server *s, const char *path, enum grpc_kind kind,
			   const struct grpc_handlers *handlers, void *ctx)
{
	ENSURE(s->methods < GRPC_METHODS_MAX, ERR_LIMIT, "method %s: a server has at most %d", path,
	       GRPC_METHODS_MAX);
	ENSURE(strlen(path) < GRPC_PATH_MAX && path[0] == '/', ERR_USAGE,
	       "method %s: must be /package.Service/Method below %d bytes", path, GRPC_PATH_MAX);
	ENSURE(handlers->on_message, ERR_USAGE, "method %s: has no on_message", path);
	struct grpc_method *m = &s->method[s->methods++];
	snprintf(m->path, sizeof m->path, "%s", path);
	m->kind = kind;
	m->handlers = handlers;
	m->ctx = ctx;
	return OK;
}

// --- facts

void *grpc_conn_context(const struct grpc_conn *c)
{
	return c->ctx;
}

void grpc_conn_set_context(struct grpc_conn *c, void *ctx)
{
	c->ctx = ctx;
}

struct transport *grpc_conn_transport(struct grpc_conn *c)
{
	return c->transport;
}

size_t grpc_conn_calls(const struct grpc_conn *c)
{
	size_t n = 0;
	const struct grpc_call *call;
	TAILQ_FOREACH(call, &c->calls, link)
	n += !call->gone;
	return n;
}

void grpc_conn_pause(struct grpc_conn *c, bool paused)
{
	if (c->dead || c->paused == paused)
		return;
	c->paused = paused;
	if (!paused)
		c->opened_ms = c->heard_ms = grpc_now_ms();
	transport_pause(c->transport, paused);
}
