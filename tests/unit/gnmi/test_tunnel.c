// SPDX-License-Identifier: Apache-2.0
// The tunnel, both ends ours: registering, refusing, a gRPC server of the network element reached
// by a gRPC client of the collector inside the tunnel, back-pressure through it, and its ends.

#include "loop.h"

#include "lib/gnmi/tunnel.h"

#include <stdio.h>

struct rig {
	struct event_base *base;
	struct grpc_server *outer_server, *inner_server;
	struct grpc_conn *outer_s, *outer_c, *inner_c;
	struct tunnel_server *ts;
	struct tunnel_client *tc;
	struct tunnel_peer *peer;
	bool registered, refused, gone, inner_open, inner_ended, client_ended, answered;
	char refusal[300], inner_why[300];
	unsigned messages, sessions;
	size_t bytes;
	enum grpc_status status;
	bool decline; // the network element takes no session
};

// --- collector

static struct err on_target(void *ctx, struct tunnel_peer *peer, const char *target,
			    const char *type)
{
	struct rig *r = ctx;
	r->peer = peer;
	assert_string_equal(type, TUNNEL_TYPE_GNMI);
	return strcmp(target, "r1") == 0 ? OK : err_make(ERR_DENIED, "the certificate is r1's");
}

static void on_target_gone(void *ctx, struct tunnel_peer *peer, const char *target,
			   const char *type)
{
	struct rig *r = ctx;
	assert_string_equal(target, "r1");
	r->gone = true;
	r->peer = NULL;
}

static const struct tunnel_server_events server_events = {on_target, on_target_gone};

static struct err inner_open(void *ctx, struct grpc_conn *c)
{
	((struct rig *)ctx)->inner_open = true;
	return OK;
}

static void inner_end(void *ctx, struct grpc_conn *c, struct err why)
{
	struct rig *r = ctx;
	r->inner_ended = true;
	r->inner_c = NULL;
	snprintf(r->inner_why, sizeof r->inner_why, "%s", why.code ? why.text : "");
}

static const struct grpc_conn_events inner_events = {.on_open = inner_open, .on_end = inner_end};

static void answer_message(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct rig *r = ctx;
	r->messages++;
	r->bytes += n;
}

static void answer_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	struct rig *r = ctx;
	r->answered = true;
	r->status = s;
}

static const struct grpc_handlers answer_handlers = {.on_message = answer_message,
						     .on_end = answer_end};

// --- network element

static unsigned produced;
static void produce(void *ctx, struct grpc_call *call)
{
	static uint8_t block[10000];
	for (; produced < 1000 && !grpc_call_full(call); produced++)
		must(grpc_call_send(call, block, sizeof block));
	if (produced == 1000)
		grpc_call_finish(call, GRPC_OK, NULL);
}

static void produce_start(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	produced = 0;
	produce(ctx, call);
}

static void echo(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	must(grpc_call_send(call, m, n));
	grpc_call_finish(call, GRPC_OK, NULL);
}

static const struct grpc_handlers produce_handlers = {.on_message = produce_start,
						      .on_drain = produce};
static const struct grpc_handlers echo_handlers = {.on_message = echo};

static void on_registered(void *ctx, const char *target, const char *type, struct err answer)
{
	struct rig *r = ctx;
	r->registered |= answer.code == ERR_NONE;
	r->refused |= answer.code != ERR_NONE;
	if (answer.code != ERR_NONE)
		snprintf(r->refusal, sizeof r->refusal, "%s", answer.text);
}

static void on_session(void *ctx, const char *target, const char *type, struct transport *t)
{
	struct rig *r = ctx;
	r->sessions++;
	if (r->decline)
		transport_close(t);
	else
		must(grpc_server_accept(r->inner_server, t, NULL, NULL, NULL));
}

static void on_client_end(void *ctx, struct err why)
{
	((struct rig *)ctx)->client_ended = true;
}

static const struct tunnel_client_events client_events = {on_registered, on_session, on_client_end};

static void outer_end(void *ctx, struct grpc_conn *c, struct err why)
{
	struct rig *r = ctx;
	if (c == r->outer_s)
		r->outer_s = NULL;
	else
		r->outer_c = NULL;
}

static const struct grpc_conn_events outer_events = {.on_end = outer_end};

static void rig_up(struct rig *r)
{
	struct transport *a, *b;
	memset(r, 0, sizeof *r);
	r->base = event_base_new();
	r->outer_server = grpc_server_new(NULL);
	r->inner_server = grpc_server_new(NULL);
	must(grpc_server_add(r->inner_server, "/t.T/Produce", GRPC_SERVER_STREAM, &produce_handlers,
			     r));
	must(grpc_server_add(r->inner_server, "/t.T/Echo", GRPC_UNARY, &echo_handlers, r));
	must(tunnel_server_new(r->outer_server, &server_events, r, &r->ts));
	pair(r->base, &a, &b);
	must(grpc_server_accept(r->outer_server, a, &outer_events, r, &r->outer_s));
	must(grpc_client_new(b, NULL, &outer_events, r, &r->outer_c));
	must(tunnel_client_new(r->outer_c, &client_events, r, &r->tc));
	must(tunnel_client_register(r->tc, "r1", TUNNEL_TYPE_GNMI));
	loop_until(r->base, &r->registered);
	assert_non_null(r->peer);
}

static void rig_down(struct rig *r)
{
	tunnel_client_free(r->tc);
	grpc_conn_close(r->inner_c);
	grpc_conn_close(r->outer_c);
	loop_settle(r->base);
	grpc_conn_close(r->outer_s);
	loop_settle(r->base);
	tunnel_server_free(r->ts);
	grpc_server_free(r->outer_server);
	grpc_server_free(r->inner_server);
	event_base_free(r->base);
}

static void open_inner(struct rig *r)
{
	struct transport *t;
	must(tunnel_open(r->peer, "r1", TUNNEL_TYPE_GNMI, &t));
	must(grpc_client_new(t, NULL, &inner_events, r, &r->inner_c));
}

static void test_register(void **state)
{
	struct rig r;
	rig_up(&r);
	must(tunnel_client_register(r.tc, "r2", TUNNEL_TYPE_GNMI));
	loop_until(r.base, &r.refused);
	assert_string_equal(r.refusal, "tunnel: target r2 refused: the certificate is r1's");
	struct transport *t;
	assert_int_equal(tunnel_open(r.peer, "r2", TUNNEL_TYPE_GNMI, &t).code, ERR_NOT_FOUND);
	assert_int_equal(tunnel_client_register(r.tc, "r1", TUNNEL_TYPE_GNMI).code, ERR_CONFLICT);
	assert_int_equal(tunnel_client_register(r.tc, "a b", TUNNEL_TYPE_GNMI).code, ERR_USAGE);
	must(tunnel_client_withdraw(r.tc, "r1", TUNNEL_TYPE_GNMI));
	loop_until(r.base, &r.gone);
	rig_down(&r);
}

static void test_call_inside(void **state)
{
	struct rig r;
	struct grpc_call *call;
	rig_up(&r);
	open_inner(&r); // calls wait for the session
	must(grpc_call_unary(r.inner_c, "/t.T/Echo", "hello", 5, &answer_handlers, &r, 0, &call));
	loop_until(r.base, &r.answered);
	assert_int_equal(r.status, GRPC_OK);
	assert_int_equal(r.bytes, 5);
	assert_true(r.inner_open);
	rig_down(&r);
}

static void test_sessions_side_by_side(void **state)
{
	struct rig r;
	struct grpc_call *call;
	struct transport *t;
	struct grpc_conn *second;
	rig_up(&r);
	open_inner(&r);
	must(tunnel_open(r.peer, "r1", TUNNEL_TYPE_GNMI, &t));
	must(grpc_client_new(t, NULL, NULL, NULL, &second));
	// the first is stopped; the second goes on
	must(grpc_call_start(r.inner_c, "/t.T/Produce", GRPC_SERVER_STREAM, &answer_handlers, &r, 0,
			     &call));
	must(grpc_call_send(call, "go", 2));
	loop_settle(r.base);
	grpc_conn_pause(r.inner_c, true);
	loop_settle(r.base);
	unsigned held_at = produced;
	struct rig other = {0};
	must(grpc_call_unary(second, "/t.T/Echo", "x", 1, &answer_handlers, &other, 0, &call));
	loop_until(r.base, &other.answered);
	assert_int_equal(other.status, GRPC_OK);
	assert_true(produced <= 1000 && held_at <= produced);
	grpc_conn_pause(r.inner_c, false);
	loop_until(r.base, &r.answered);
	assert_int_equal(r.messages, 1000);
	grpc_conn_close(second);
	loop_settle(r.base);
	rig_down(&r);
}

// The collector's call is paused: the element's producer stops, through both layers of HTTP/2.
static void test_back_pressure(void **state)
{
	struct rig r;
	struct grpc_call *call;
	rig_up(&r);
	open_inner(&r);
	must(grpc_call_start(r.inner_c, "/t.T/Produce", GRPC_SERVER_STREAM, &answer_handlers, &r, 0,
			     &call));
	grpc_call_pause(call, true);
	must(grpc_call_send(call, "go", 2));
	grpc_call_half_close(call);
	for (int i = 0; i < 10; i++)
		loop_settle(r.base);
	assert_int_equal(r.messages, 0);
	assert_in_range(produced, 1, 400);
	grpc_call_pause(call, false);
	loop_until(r.base, &r.answered);
	assert_int_equal(r.status, GRPC_OK);
	assert_int_equal(r.messages, 1000);
	assert_int_equal(r.bytes, 10000000);
	rig_down(&r);
}

static void test_declined(void **state)
{
	struct rig r;
	rig_up(&r);
	r.decline = true;
	open_inner(&r);
	loop_until(r.base, &r.inner_ended);
	assert_int_equal(r.sessions, 1);
	r.decline = false; // the next one works
	r.inner_ended = false;
	struct grpc_call *call;
	open_inner(&r);
	must(grpc_call_unary(r.inner_c, "/t.T/Echo", "x", 1, &answer_handlers, &r, 0, &call));
	loop_until(r.base, &r.answered);
	assert_int_equal(r.status, GRPC_OK);
	rig_down(&r);
}

static void test_session_limit(void **state)
{
	struct rig r;
	struct transport *t[TUNNEL_SESSIONS_MAX], *more;
	rig_up(&r);
	for (int i = 0; i < TUNNEL_SESSIONS_MAX; i++)
		must(tunnel_open(r.peer, "r1", TUNNEL_TYPE_GNMI, &t[i]));
	assert_int_equal(tunnel_open(r.peer, "r1", TUNNEL_TYPE_GNMI, &more).code, ERR_LIMIT);
	loop_settle(r.base);
	assert_int_equal(r.sessions, TUNNEL_SESSIONS_MAX);
	for (int i = 0; i < TUNNEL_SESSIONS_MAX; i++)
		transport_close(t[i]);
	loop_settle(r.base);
	must(tunnel_open(r.peer, "r1", TUNNEL_TYPE_GNMI, &more));
	transport_close(more);
	loop_settle(r.base);
	rig_down(&r);
}

static void test_connection_lost(void **state)
{
	struct rig r;
	rig_up(&r);
	open_inner(&r);
	loop_until(r.base, &r.inner_open);
	grpc_conn_close(r.outer_c);
	r.outer_c = NULL;
	loop_until(r.base, &r.inner_ended);
	loop_until(r.base, &r.gone);
	assert_true(r.client_ended);
	rig_down(&r);
}

static void test_lost_before_open(void **state)
{
	struct rig r;
	rig_up(&r);
	open_inner(&r);
	grpc_conn_close(r.outer_s);
	r.outer_s = NULL;
	loop_until(r.base, &r.inner_ended);
	assert_string_equal(r.inner_why, "tunnel: the peer has gone");
	rig_down(&r);
}

static void test_register_only_once(void **state)
{
	struct rig r;
	struct tunnel_client *second;
	struct rig other = {0};
	rig_up(&r);
	must(tunnel_client_new(r.outer_c, &client_events, &other, &second));
	loop_until(r.base, &other.client_ended);
	tunnel_client_free(second);
	rig_down(&r);
}

// A Tunnel stream whose tag nobody waits for, and one whose first message is not a tag.
static void test_foreign_streams(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum grpc_status want;
	} first[] = {
		{"\x08\x63", 2, GRPC_NOT_FOUND},
		{"\x08\x01\x12\x01x", 5, GRPC_INVALID_ARGUMENT},
		{"\xff", 1, GRPC_INVALID_ARGUMENT},
	};
	struct rig r;
	rig_up(&r);
	for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
		struct grpc_call *call;
		struct transport *waiting; // a session that waits for another tag is not given away
		must(tunnel_open(r.peer, "r1", TUNNEL_TYPE_GNMI, &waiting));
		r.answered = false;
		must(grpc_call_start(r.outer_c, "/grpctunnel.Tunnel/Tunnel", GRPC_BIDI,
				     &answer_handlers, &r, 0, &call));
		must(grpc_call_send(call, first[i].bytes, first[i].n));
		loop_until(r.base, &r.answered);
		assert_int_equal(r.status, first[i].want);
		transport_close(waiting);
	}
	assert_false(r.gone);
	rig_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register),
		cmocka_unit_test(test_call_inside),
		cmocka_unit_test(test_sessions_side_by_side),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_declined),
		cmocka_unit_test(test_session_limit),
		cmocka_unit_test(test_connection_lost),
		cmocka_unit_test(test_lost_before_open),
		cmocka_unit_test(test_register_only_once),
		cmocka_unit_test(test_foreign_streams),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
