// SPDX-License-Identifier: Apache-2.0
// gRPC between our client and our server: the four kinds of calls, ends of every sort, limits,
// back-pressure, closing from inside handlers.

#include "loop.h"

#include <stdio.h>

struct fixture {
	struct event_base *base;
	struct grpc_server *server;
	struct grpc_conn *s, *c;
	bool server_ended, client_ended, goaway;
	struct err_seen {
		enum err_code code;
		char text[200];
	} why;
};

struct heard { // by a client call
	struct fixture *f;
	struct grpc_call *call;
	unsigned messages, drains;
	size_t bytes;
	char last[256];
	bool done;
	enum grpc_status status;
	char text[256];
	bool close_in_message;
};

// --- server methods

static void echo(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	must(grpc_call_send(call, m, n));
	grpc_call_finish(call, GRPC_OK, NULL);
}

static void refuse(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	grpc_call_fail(call, err_make(ERR_DENIED, "not for you: 100%% \xc3\xa9\n"));
}

static struct err refuse_at_start(void *ctx, struct grpc_call *call)
{
	return err_make(ERR_AUTH, "who are you?");
}

static void bidi_message(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	must(grpc_call_send2(call, "re:", 3, m, n));
}

static void bidi_half_close(void *ctx, struct grpc_call *call)
{
	grpc_call_finish(call, GRPC_OK, NULL);
}

static unsigned produced;
static bool producer_ended;
static void produce(void *ctx, struct grpc_call *call)
{
	static uint8_t block[10000];
	for (; produced < 1000 && !grpc_call_full(call); produced++) {
		memset(block, (int)produced, sizeof block);
		must(grpc_call_send(call, block, sizeof block));
	}
	if (produced == 1000)
		grpc_call_finish(call, GRPC_OK, NULL);
}

static void produce_start(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	produced = 0;
	producer_ended = false;
	produce(ctx, call);
}

static void producer_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	producer_ended = true;
}

static bool silent_ended;
static enum grpc_status silent_status;
static void silent(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
}

static void silent_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	silent_ended = true;
	silent_status = s;
}

static void close_all(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct fixture *f = ctx;
	struct grpc_conn *conn = f->s;
	f->s = NULL;
	grpc_conn_close(conn);
}

static const struct grpc_handlers echo_handlers = {.on_message = echo};
static const struct grpc_handlers refuse_handlers = {.on_message = refuse};
static const struct grpc_handlers start_handlers = {.on_start = refuse_at_start,
						    .on_message = refuse};
static const struct grpc_handlers bidi_handlers = {.on_message = bidi_message,
						   .on_half_close = bidi_half_close};
static const struct grpc_handlers produce_handlers = {
	.on_message = produce_start, .on_drain = produce, .on_end = producer_end};
static const struct grpc_handlers silent_handlers = {.on_message = silent, .on_end = silent_end};
static const struct grpc_handlers close_handlers = {.on_message = close_all};

// --- client side

static void heard_message(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct heard *h = ctx;
	h->messages++;
	h->bytes += n;
	snprintf(h->last, sizeof h->last, "%.*s", (int)(n < 200 ? n : 200), (const char *)m);
	if (h->close_in_message) {
		struct grpc_conn *conn = h->f->c;
		h->f->c = NULL;
		grpc_conn_close(conn);
	}
}

static void heard_drain(void *ctx, struct grpc_call *call)
{
	((struct heard *)ctx)->drains++;
}

static void heard_end(void *ctx, struct grpc_call *call, enum grpc_status status, const char *text)
{
	struct heard *h = ctx;
	assert_false(h->done); // once
	h->done = true;
	h->status = status;
	snprintf(h->text, sizeof h->text, "%s", text);
}

static const struct grpc_handlers heard_handlers = {
	.on_message = heard_message, .on_drain = heard_drain, .on_end = heard_end};

static void server_conn_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct fixture *f = ctx;
	f->server_ended = true;
	f->s = NULL;
	f->why.code = why.code;
	snprintf(f->why.text, sizeof f->why.text, "%s", why.code ? why.text : "");
}

static void client_conn_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct fixture *f = ctx;
	f->client_ended = true;
	f->c = NULL;
}

static void client_goaway(void *ctx, struct grpc_conn *conn)
{
	((struct fixture *)ctx)->goaway = true;
}

static const struct grpc_conn_events server_events = {.on_end = server_conn_end};
static const struct grpc_conn_events client_events = {.on_end = client_conn_end,
						      .on_goaway = client_goaway};

static void fixture_up(struct fixture *f, const struct grpc_limits *limits)
{
	struct transport *a, *b;
	memset(f, 0, sizeof *f);
	f->base = event_base_new();
	f->server = grpc_server_new(limits);
	must(grpc_server_add(f->server, "/t.T/Echo", GRPC_UNARY, &echo_handlers, f));
	must(grpc_server_add(f->server, "/t.T/Refuse", GRPC_UNARY, &refuse_handlers, f));
	must(grpc_server_add(f->server, "/t.T/Start", GRPC_UNARY, &start_handlers, f));
	must(grpc_server_add(f->server, "/t.T/Bidi", GRPC_BIDI, &bidi_handlers, f));
	must(grpc_server_add(f->server, "/t.T/Produce", GRPC_SERVER_STREAM, &produce_handlers, f));
	must(grpc_server_add(f->server, "/t.T/Silent", GRPC_BIDI, &silent_handlers, f));
	must(grpc_server_add(f->server, "/t.T/Close", GRPC_UNARY, &close_handlers, f));
	pair(f->base, &a, &b);
	must(grpc_server_accept(f->server, a, &server_events, f, &f->s));
	must(grpc_client_new(b, NULL, &client_events, f, &f->c));
	silent_ended = false;
}

static void fixture_down(struct fixture *f)
{
	grpc_conn_close(f->c);
	grpc_conn_close(f->s);
	loop_settle(f->base);
	grpc_server_free(f->server);
	event_base_free(f->base);
}

static void unary(struct fixture *f, const char *path, const void *m, size_t n, struct heard *h)
{
	*h = (struct heard){.f = f};
	must(grpc_call_unary(f->c, path, m, n, &heard_handlers, h, 0, &h->call));
	loop_until(f->base, &h->done);
}

static void test_unary(void **state)
{
	struct fixture f;
	struct heard h;
	fixture_up(&f, NULL);
	unary(&f, "/t.T/Echo", "hello", 5, &h);
	assert_int_equal(h.status, GRPC_OK);
	assert_int_equal(h.messages, 1);
	assert_string_equal(h.last, "hello");
	unary(&f, "/t.T/Echo", "", 0, &h); // an empty message is a message
	assert_int_equal(h.status, GRPC_OK);
	assert_int_equal(h.messages, 1);
	fixture_down(&f);
}

static void test_big(void **state)
{
	struct fixture f;
	struct heard h;
	fixture_up(&f, NULL);
	size_t n = 4 << 20;
	char *big = malloc(n);
	memset(big, 'x', n);
	unary(&f, "/t.T/Echo", big, n, &h);
	assert_int_equal(h.status, GRPC_OK);
	assert_int_equal(h.bytes, n);
	struct grpc_call *call;
	assert_int_equal(
		grpc_call_unary(f.c, "/t.T/Echo", big, n + 1, &heard_handlers, &h, 0, &call).code,
		ERR_LIMIT);
	free(big);
	fixture_down(&f);
}

static void test_message_too_big(void **state)
{
	struct fixture f;
	struct heard h;
	const struct grpc_limits small = {.message_max = 1000};
	fixture_up(&f, &small);
	char m[1001] = {0};
	unary(&f, "/t.T/Echo", m, 1001, &h);
	assert_int_equal(h.status, GRPC_RESOURCE_EXHAUSTED);
	assert_non_null(strstr(h.text, "1001"));
	unary(&f, "/t.T/Echo", m, 1000, &h); // the connection goes on
	assert_int_equal(h.status, GRPC_OK);
	fixture_down(&f);
}

static void test_refusals(void **state)
{
	struct fixture f;
	struct heard h;
	fixture_up(&f, NULL);
	unary(&f, "/t.T/Refuse", "x", 1, &h);
	assert_int_equal(h.status, GRPC_PERMISSION_DENIED);
	assert_string_equal(h.text, "not for you: 100% \xc3\xa9 ");
	unary(&f, "/t.T/Start", "x", 1, &h);
	assert_int_equal(h.status, GRPC_UNAUTHENTICATED);
	unary(&f, "/t.T/Nothing", "x", 1, &h);
	assert_int_equal(h.status, GRPC_UNIMPLEMENTED);
	assert_string_equal(h.text, "no method /t.T/Nothing here");
	fixture_down(&f);
}

static void test_bidi(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f};
	fixture_up(&f, NULL);
	must(grpc_call_start(f.c, "/t.T/Bidi", GRPC_BIDI, &heard_handlers, &h, 0, &h.call));
	for (int i = 0; i < 100; i++)
		must(grpc_call_send(h.call, "abc", 3));
	loop_settle(f.base);
	assert_int_equal(h.messages, 100);
	assert_string_equal(h.last, "re:abc");
	assert_false(h.done);
	grpc_call_half_close(h.call);
	loop_until(f.base, &h.done);
	assert_int_equal(h.status, GRPC_OK);
	fixture_down(&f);
}

static void test_second_message_refused(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f};
	fixture_up(&f, NULL);
	// a server-streaming method called as if it took a stream
	must(grpc_call_start(f.c, "/t.T/Produce", GRPC_BIDI, &heard_handlers, &h, 0, &h.call));
	grpc_call_pause(h.call, true); // keeps the producer from finishing
	must(grpc_call_send(h.call, "a", 1));
	loop_settle(f.base);
	must(grpc_call_send(h.call, "b", 1));
	loop_settle(f.base);
	assert_true(producer_ended);
	grpc_call_pause(h.call, false);
	loop_until(f.base, &h.done);
	assert_int_not_equal(h.status, GRPC_OK);
	fixture_down(&f);
}

// A paused reader holds the producer back; nothing is lost, and memory stays bounded.
static void test_back_pressure(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f};
	const struct grpc_limits l = {.queue_max = 400000, .window = 100000};
	fixture_up(&f, &l);
	must(grpc_call_start(f.c, "/t.T/Produce", GRPC_SERVER_STREAM, &heard_handlers, &h, 0,
			     &h.call));
	must(grpc_call_send(h.call, "go", 2));
	grpc_call_half_close(h.call);
	grpc_call_pause(h.call, true);
	loop_settle(f.base);
	assert_int_equal(h.messages, 0);
	assert_in_range(produced, 1,
			300); // of 1000: the client's window, and a quarter of the queue
	grpc_call_pause(h.call, false);
	loop_until(f.base, &h.done);
	assert_int_equal(h.status, GRPC_OK);
	assert_int_equal(h.messages, 1000);
	assert_int_equal(h.bytes, 10000000);
	fixture_down(&f);
}

static void test_queue_bound(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f};
	fixture_up(&f, NULL);
	must(grpc_call_start(f.c, "/t.T/Silent", GRPC_BIDI, &heard_handlers, &h, 0, &h.call));
	uint8_t block[100000] = {0};
	unsigned taken = 0;
	struct err e;
	do // the loop does not run: nothing leaves
		e = grpc_call_send(h.call, block, sizeof block);
	while (e.code == ERR_NONE && ++taken < 1000);
	assert_int_equal(e.code, ERR_BUSY);
	assert_in_range(taken, 30, 50);
	assert_true(grpc_call_full(h.call));
	for (int i = 0; i < 100 && h.drains == 0; i++)
		loop_settle(f.base);
	assert_int_equal(h.drains, 1);
	assert_false(grpc_call_full(h.call));
	grpc_call_cancel(h.call);
	fixture_down(&f);
}

static void test_cancel(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f};
	fixture_up(&f, NULL);
	must(grpc_call_start(f.c, "/t.T/Silent", GRPC_BIDI, &heard_handlers, &h, 0, &h.call));
	must(grpc_call_send(h.call, "x", 1));
	loop_settle(f.base);
	assert_int_equal(grpc_conn_calls(f.s), 1);
	grpc_call_cancel(h.call);
	loop_until(f.base, &silent_ended);
	assert_int_equal(silent_status, GRPC_CANCELLED);
	assert_false(h.done); // whoever cancels is not told
	assert_int_equal(grpc_conn_calls(f.s), 0);
	unary(&f, "/t.T/Echo", "on", 2, &h);
	assert_int_equal(h.status, GRPC_OK);
	fixture_down(&f);
}

static void test_cancel_before_open(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f};
	fixture_up(&f, NULL);
	must(grpc_call_start(f.c, "/t.T/Silent", GRPC_BIDI, &heard_handlers, &h, 0, &h.call));
	grpc_call_cancel(h.call);
	loop_settle(f.base);
	unary(&f, "/t.T/Echo", "on", 2, &h);
	assert_int_equal(h.status, GRPC_OK);
	fixture_down(&f);
}

static void test_deadline(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f};
	fixture_up(&f, NULL);
	must(grpc_call_start(f.c, "/t.T/Silent", GRPC_BIDI, &heard_handlers, &h, 30, &h.call));
	loop_until(f.base, &h.done);
	assert_int_equal(h.status, GRPC_DEADLINE_EXCEEDED);
	loop_until(f.base, &silent_ended);
	fixture_down(&f);
}

static void test_stream_limit(void **state)
{
	struct fixture f;
	const struct grpc_limits l = {.streams_max = 3};
	fixture_up(&f, &l);
	loop_settle(f.base); // the client knows the limit
	struct heard h[5];
	for (int i = 0; i < 5; i++) {
		h[i] = (struct heard){.f = &f};
		must(grpc_call_start(f.c, "/t.T/Silent", GRPC_BIDI, &heard_handlers, &h[i], 0,
				     &h[i].call));
	}
	loop_settle(f.base);
	assert_int_equal(grpc_conn_calls(f.s), 3);
	grpc_call_cancel(h[0].call);
	loop_settle(f.base);
	assert_int_equal(grpc_conn_calls(f.s), 3); // the fourth has come in its place
	fixture_down(&f);
	unsigned ended = 0;
	for (int i = 0; i < 5; i++)
		ended += h[i].done;
	assert_int_equal(ended, 4);
}

static void test_close_inside_server(void **state)
{
	struct fixture f;
	struct heard h;
	fixture_up(&f, NULL);
	unary(&f, "/t.T/Close", "x", 1, &h);
	assert_int_equal(h.status, GRPC_UNAVAILABLE);
	fixture_down(&f);
}

static void test_close_inside_client(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f, .close_in_message = true};
	fixture_up(&f, NULL);
	must(grpc_call_unary(f.c, "/t.T/Echo", "x", 1, &heard_handlers, &h, 0, &h.call));
	loop_until(f.base, &h.done);
	assert_int_equal(h.status, GRPC_UNAVAILABLE);
	loop_until(f.base, &f.server_ended);
	assert_int_equal(f.why.code, ERR_NONE); // in good order
	fixture_down(&f);
}

static void test_goaway(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f}, none;
	fixture_up(&f, NULL);
	must(grpc_call_start(f.c, "/t.T/Bidi", GRPC_BIDI, &heard_handlers, &h, 0, &h.call));
	loop_settle(f.base);
	grpc_conn_goaway(f.s);
	loop_until(f.base, &f.goaway);
	assert_int_equal(
		grpc_call_start(f.c, "/t.T/Echo", GRPC_UNARY, &heard_handlers, &none, 0, &none.call)
			.code,
		ERR_BUSY);
	must(grpc_call_send(h.call, "still", 5)); // what is open goes on
	loop_settle(f.base);
	assert_string_equal(h.last, "re:still");
	grpc_call_half_close(h.call);
	loop_until(f.base, &h.done);
	assert_int_equal(h.status, GRPC_OK);
	loop_until(f.base, &f.client_ended);
	fixture_down(&f);
}

static void test_held_messages_come_before_the_end(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f};
	fixture_up(&f, NULL);
	must(grpc_call_start(f.c, "/t.T/Echo", GRPC_UNARY, &heard_handlers, &h, 0, &h.call));
	grpc_call_pause(h.call, true);
	must(grpc_call_send(h.call, "x", 1));
	grpc_call_half_close(h.call);
	loop_settle(f.base);
	assert_false(h.done);
	grpc_call_pause(h.call, false);
	loop_until(f.base, &h.done);
	assert_int_equal(h.messages, 1);
	assert_int_equal(h.status, GRPC_OK);
	fixture_down(&f);
}

static void test_conn_pause(void **state)
{
	struct fixture f;
	struct heard h = {.f = &f};
	fixture_up(&f, NULL);
	loop_settle(f.base);
	grpc_conn_pause(f.s, true);
	must(grpc_call_unary(f.c, "/t.T/Echo", "x", 1, &heard_handlers, &h, 0, &h.call));
	loop_settle(f.base);
	assert_false(h.done);
	grpc_conn_pause(f.s, false);
	loop_until(f.base, &h.done);
	assert_int_equal(h.status, GRPC_OK);
	fixture_down(&f);
}

// Admission: the decision is awaited with the connection paused; nothing is read before it.
static struct err admit_later(void *ctx, struct grpc_conn *conn)
{
	grpc_conn_pause(conn, true);
	return OK;
}

static struct err admit_never(void *ctx, struct grpc_conn *conn)
{
	return err_make(ERR_DENIED, "not enrolled");
}

static void admission(struct fixture *f, const struct grpc_conn_events *events)
{
	struct transport *a, *b;
	memset(f, 0, sizeof *f);
	f->base = event_base_new();
	f->server = grpc_server_new(NULL);
	must(grpc_server_add(f->server, "/t.T/Echo", GRPC_UNARY, &echo_handlers, f));
	pair(f->base, &a, &b);
	must(grpc_server_accept(f->server, a, events, f, &f->s));
	must(grpc_client_new(b, NULL, &client_events, f, &f->c));
}

static void test_admit_later(void **state)
{
	static const struct grpc_conn_events events = {.on_open = admit_later,
						       .on_end = server_conn_end};
	struct fixture f;
	struct heard h = {.f = &f};
	admission(&f, &events);
	must(grpc_call_unary(f.c, "/t.T/Echo", "x", 1, &heard_handlers, &h, 0, &h.call));
	loop_settle(f.base);
	assert_false(h.done);
	assert_int_equal(grpc_conn_calls(f.s), 0);
	grpc_conn_pause(f.s, false);
	loop_until(f.base, &h.done);
	assert_int_equal(h.status, GRPC_OK);
	fixture_down(&f);
}

static void test_admit_never(void **state)
{
	static const struct grpc_conn_events events = {.on_open = admit_never,
						       .on_end = server_conn_end};
	struct fixture f;
	struct heard h = {.f = &f};
	admission(&f, &events);
	must(grpc_call_unary(f.c, "/t.T/Echo", "x", 1, &heard_handlers, &h, 0, &h.call));
	loop_until(f.base, &h.done);
	assert_int_equal(h.status, GRPC_UNAVAILABLE);
	assert_true(f.server_ended && f.why.code == ERR_DENIED);
	assert_string_equal(f.why.text, "not enrolled");
	fixture_down(&f);
}

// A call's on_end closes the connection and frees what its events would use: none may run after.
static void close_in_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	struct heard *h = ctx;
	h->done = true;
	if (h->f->c) { // h is the first of three
		struct grpc_conn *conn = h->f->c;
		h->f->c = NULL;
		grpc_conn_close(conn);
		assert_true(h[1].done && h[2].done); // when it returns
	}
}

static void test_close_inside_end(void **state)
{
	static const struct grpc_handlers closing = {.on_message = heard_message,
						     .on_end = close_in_end};
	struct fixture f;
	struct heard h[3] = {{.f = &f}, {.f = &f}, {.f = &f}};
	fixture_up(&f, NULL);
	for (int i = 0; i < 3; i++)
		must(grpc_call_start(f.c, "/t.T/Silent", GRPC_BIDI, &closing, &h[i], 0,
				     &h[i].call));
	loop_settle(f.base);
	grpc_conn_close(f.s);
	f.s = NULL;
	loop_until(f.base, &h[0].done);
	loop_settle(f.base);
	assert_false(f.client_ended);
	fixture_down(&f);
}

static void test_status_names(void **state)
{
	assert_string_equal(grpc_status_name(GRPC_RESOURCE_EXHAUSTED), "RESOURCE_EXHAUSTED");
	assert_string_equal(grpc_status_name((enum grpc_status)99), "UNKNOWN");
	for (int i = 0; i < ERR_CODES; i++)
		assert_true((grpc_status_of((enum err_code)i) == GRPC_OK) == (i == ERR_NONE));
	for (int i = 0; i < GRPC_STATUSES; i++)
		assert_true((grpc_status_err((enum grpc_status)i) == ERR_NONE) == (i == GRPC_OK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unary),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_message_too_big),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bidi),
		cmocka_unit_test(test_second_message_refused),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_queue_bound),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_before_open),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_stream_limit),
		cmocka_unit_test(test_close_inside_server),
		cmocka_unit_test(test_close_inside_client),
		cmocka_unit_test(test_goaway),
		cmocka_unit_test(test_held_messages_come_before_the_end),
		cmocka_unit_test(test_conn_pause),
		cmocka_unit_test(test_admit_later),
		cmocka_unit_test(test_admit_never),
		cmocka_unit_test(test_close_inside_end),
		cmocka_unit_test(test_status_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
