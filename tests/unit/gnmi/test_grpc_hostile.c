// SPDX-License-Identifier: Apache-2.0
// A peer that speaks raw HTTP/2 against the rules or without measure. Each must end with its own
// call or its own connection, with a reason, and a second connection to the same server must go on.

#include "loop.h"

#include <openssl/ssl.h>
#include <stdio.h>

struct hostile {
	struct event_base *base;
	struct grpc_server *server;
	struct grpc_conn *conn;
	int fd; // the peer's end, written by hand
	bool ended;
	enum err_code code;
	char why[300];
	unsigned messages, call_ends;
	enum grpc_status status;
};

static void message(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct hostile *h = ctx;
	h->messages++;
}

static void call_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	struct hostile *h = ctx;
	h->call_ends++;
	h->status = s;
}

static const struct grpc_handlers handlers = {.on_message = message, .on_end = call_end};

static void conn_end(void *ctx, struct grpc_conn *c, struct err why)
{
	struct hostile *h = ctx;
	h->ended = true;
	h->conn = NULL;
	h->code = why.code;
	snprintf(h->why, sizeof h->why, "%s", why.code ? why.text : "");
}

static const struct grpc_conn_events events = {.on_end = conn_end};

static void up_with(struct hostile *h, const struct grpc_limits *l)
{
	struct transport *t;
	int fd[2];
	memset(h, 0, sizeof *h);
	h->base = event_base_new();
	h->server = grpc_server_new(l);
	must(grpc_server_add(h->server, "/t.T/Bidi", GRPC_BIDI, &handlers, h));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	must(transport_plain(h->base, fd[0], &t));
	evutil_make_socket_nonblocking(fd[1]);
	h->fd = fd[1];
	must(grpc_server_accept(h->server, t, &events, h, &h->conn));
}

static void down(struct hostile *h)
{
	grpc_conn_close(h->conn);
	loop_settle(h->base);
	close(h->fd);
	grpc_server_free(h->server);
	event_base_free(h->base);
}

static void put(struct hostile *h, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	while (n > 0 && !h->ended) {
		ssize_t done = write(h->fd, p, n);
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
		for (int i = 0; i < 4; i++)
			event_base_loop(h->base, EVLOOP_NONBLOCK);
	}
}

static size_t frame(uint8_t *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
		    size_t n)
{
	const uint8_t head[9] = {(uint8_t)(n >> 16),
				 (uint8_t)(n >> 8),
				 (uint8_t)n,
				 type,
				 flags,
				 (uint8_t)(stream >> 24),
				 (uint8_t)(stream >> 16),
				 (uint8_t)(stream >> 8),
				 (uint8_t)stream};
	memcpy(out, head, 9);
	if (n)
		memcpy(out + 9, payload, n);
	return n + 9;
}

enum {
	DATA = 0,
	HEADERS = 1,
	PRIORITY = 2,
	RST_STREAM = 3,
	SETTINGS = 4,
	PING = 6,
	CONTINUATION = 9
};
enum { END_STREAM = 1, END_HEADERS = 4 };

static void hello(struct hostile *h)
{
	uint8_t f[64] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	put(h, f, 24 + frame(f + 24, SETTINGS, 0, 0, NULL, 0));
	loop_settle(h->base);
	assert_false(h->ended);
}

// A call's headers, HPACK literals without indexing (RFC 7541 6.2.2).
static size_t headers(uint8_t *out, uint32_t stream)
{
	static const char *const pair[][2] = {{":method", "POST"},
					      {":scheme", "http"},
					      {":path", "/t.T/Bidi"},
					      {":authority", "x"},
					      {"content-type", "application/grpc"},
					      {"te", "trailers"}};
	uint8_t block[256];
	size_t n = 0;
	for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
		block[n++] = 0;
		for (int j = 0; j < 2; j++) {
			size_t len = strlen(pair[i][j]);
			block[n++] = (uint8_t)len;
			memcpy(block + n, pair[i][j], len);
			n += len;
		}
	}
	return frame(out, HEADERS, END_HEADERS, stream, block, n);
}

static void open_call(struct hostile *h, uint32_t stream)
{
	uint8_t f[512];
	put(h, f, headers(f, stream));
	loop_settle(h->base);
}

static void repeat(struct hostile *h, const uint8_t *bytes, size_t n, unsigned times)
{
	uint8_t many[16384];
	size_t fit = sizeof many / n;
	for (size_t i = 0; i < fit; i++)
		memcpy(many + i * n, bytes, n);
	while (times > 0 && !h->ended) {
		size_t now = times < fit ? times : fit;
		put(h, many, now * n);
		times -= (unsigned)now;
	}
	loop_settle(h->base);
}

static void flooded(struct hostile *h, const char *what)
{
	assert_true(h->ended);
	assert_int_equal(h->code, ERR_LIMIT);
	assert_non_null(strstr(h->why, what));
	// the last frame that the peer got is GOAWAY with ENHANCE_YOUR_CALM
	uint8_t got[65536];
	ssize_t n = 0, total = 0;
	while (total < (ssize_t)sizeof got &&
	       (n = read(h->fd, got + total, sizeof got - (size_t)total)) > 0)
		total += n;
	assert_true(total >= 17);
	assert_int_equal(got[total - 17 + 3], 7);
	assert_int_equal(got[total - 1], 11);
}

static void test_normal(void **state)
{
	struct hostile h;
	uint8_t f[64];
	up_with(&h, NULL);
	hello(&h);
	open_call(&h, 1);
	put(&h, f, frame(f, DATA, 0, 1, "\0\0\0\0\3abc", 8));
	loop_settle(h.base);
	assert_int_equal(h.messages, 1);
	down(&h);
}

static void test_ping_flood(void **state)
{
	struct hostile h;
	uint8_t f[32];
	up_with(&h, NULL);
	hello(&h);
	repeat(&h, f, frame(f, PING, 0, 0, "12345678", 8), 20000);
	flooded(&h, "PING");
	down(&h);
}

static void test_settings_flood(void **state)
{
	struct hostile h;
	uint8_t f[32];
	up_with(&h, NULL);
	hello(&h);
	repeat(&h, f, frame(f, SETTINGS, 0, 0, NULL, 0), 20000);
	flooded(&h, "SETTINGS");
	down(&h);
}

static void test_empty_data_flood(void **state)
{
	struct hostile h;
	uint8_t f[32];
	up_with(&h, NULL);
	hello(&h);
	open_call(&h, 1);
	repeat(&h, f, frame(f, DATA, 0, 1, NULL, 0), 20000);
	flooded(&h, "empty DATA");
	assert_int_equal(h.call_ends, 1);
	down(&h);
}

static void test_priority_flood(void **state)
{
	struct hostile h;
	uint8_t f[32];
	up_with(&h, NULL);
	hello(&h);
	repeat(&h, f, frame(f, PRIORITY, 0, 1, "\0\0\0\0\1", 5), 20000);
	flooded(&h, "PRIORITY");
	down(&h);
}

static void test_rapid_reset(void **state)
{
	struct hostile h;
	uint8_t f[512];
	up_with(&h, NULL);
	hello(&h);
	unsigned opened = 0;
	for (uint32_t stream = 1; stream < 20001 && !h.ended; stream += 2, opened++) {
		size_t n = headers(f, stream);
		n += frame(f + n, RST_STREAM, 0, stream, "\0\0\0\10", 4);
		if (write(h.fd, f, n) != (ssize_t)n || opened % 50 == 49)
			loop_settle(h.base);
	}
	loop_settle(h.base);
	assert_true(h.ended);
	assert_int_equal(h.code, ERR_LIMIT);
	assert_non_null(strstr(h.why, "flood of stream resets"));
	assert_in_range(opened, 150, 1000);
	down(&h);
}

// Requests that make the server reset them: the same bound.
static void test_made_you_reset(void **state)
{
	struct hostile h;
	uint8_t f[512];
	up_with(&h, NULL);
	hello(&h);
	unsigned opened = 0;
	for (uint32_t stream = 1; stream < 20001 && !h.ended; stream += 2, opened++) {
		size_t n = headers(f, stream);
		n += frame(f + n, 8, 0, stream, "\x7f\xff\xff\xff", 4); // WINDOW_UPDATE past 2^31
		if (write(h.fd, f, n) != (ssize_t)n || opened % 50 == 49)
			loop_settle(h.base);
	}
	loop_settle(h.base);
	assert_true(h.ended);
	assert_int_equal(h.code, ERR_LIMIT);
	assert_non_null(strstr(h.why, "flood of stream resets"));
	assert_in_range(opened, 150, 1000);
	down(&h);
}

static void test_continuation_flood(void **state)
{
	struct hostile h;
	uint8_t f[64];
	up_with(&h, NULL);
	hello(&h);
	put(&h, f, frame(f, HEADERS, 0, 1, "\0\1a\1b", 5));
	repeat(&h, f, frame(f, CONTINUATION, 0, 1, "\0\1a\1b", 5), 10000);
	assert_true(h.ended);
	down(&h);
}

static void test_header_list(void **state)
{
	struct hostile h;
	uint8_t f[20000], block[9000];
	const struct grpc_limits l = {.header_list_max = 4096};
	up_with(&h, &l);
	hello(&h);
	// one field of 8,000 bytes before the rest: ends the call, not the connection
	memset(block, 'v', sizeof block);
	memcpy(block, "\0\1x\x7f\xc1\x3d", 6); // length 8,000: 127 + 7873
	size_t n = headers(f, 1);
	size_t rest = n - 9;
	memmove(block + 6 + 8000, f + 9, rest);
	put(&h, f, frame(f, HEADERS, END_HEADERS, 1, block, 6 + 8000 + rest));
	loop_settle(h.base);
	assert_false(h.ended);
	assert_int_equal(grpc_conn_calls(h.conn), 0);
	open_call(&h, 3);
	assert_int_equal(grpc_conn_calls(h.conn), 1);
	down(&h);
}

static void test_not_http2(void **state)
{
	struct hostile h;
	up_with(&h, NULL);
	put(&h, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
	loop_until(h.base, &h.ended);
	assert_int_equal(h.code, ERR_PEER);
	down(&h);
}

static void test_silent(void **state)
{
	struct hostile h;
	const struct grpc_limits l = {.open_ms = 100};
	up_with(&h, &l);
	loop_until(h.base, &h.ended);
	assert_string_equal(h.why, "no HTTP/2 SETTINGS within 100 ms");
	down(&h);
}

// A TLS handshake that is never begun.
static void test_silent_tls(void **state)
{
	struct hostile h = {.base = event_base_new()};
	const struct grpc_limits l = {.open_ms = 100};
	struct transport *t;
	int fd[2];
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	h.server = grpc_server_new(&l);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	h.fd = fd[1];
	must(transport_tls(h.base, fd[0], SSL_new(tls), true, &t));
	must(grpc_server_accept(h.server, t, &events, &h, &h.conn));
	loop_until(h.base, &h.ended);
	assert_int_equal(h.code, ERR_PEER);
	SSL_CTX_free(tls);
	down(&h);
}

// Silence is asked by PING; no answer ends the connection.
static void test_dead_peer(void **state)
{
	struct hostile h;
	const struct grpc_limits l = {.keepalive_ms = 100, .keepalive_wait_ms = 100};
	up_with(&h, &l);
	hello(&h);
	loop_until(h.base, &h.ended);
	assert_string_equal(h.why, "no answer to PING for 100 ms");
	down(&h);
}

// A message begun and not ended, a header begun and not ended.
static void test_slow_message(void **state)
{
	struct hostile h;
	uint8_t f[64];
	const struct grpc_limits l = {.slow_ms = 100};
	up_with(&h, &l);
	hello(&h);
	open_call(&h, 1);
	put(&h, f, frame(f, DATA, 0, 1, "\0\0\0\1\0a", 6));
	bool ended = false;
	for (int i = 0; i < 20000 && !ended; i++, ended = h.call_ends > 0)
		loop_settle(h.base);
	assert_int_equal(h.status, GRPC_DEADLINE_EXCEEDED);
	assert_false(h.ended);
	down(&h);
}

static void test_compressed(void **state)
{
	struct hostile h;
	uint8_t f[64];
	up_with(&h, NULL);
	hello(&h);
	open_call(&h, 1);
	put(&h, f, frame(f, DATA, 0, 1, "\1\0\0\0\1a", 6));
	loop_settle(h.base);
	assert_int_equal(h.call_ends, 1);
	assert_int_equal(h.status, GRPC_UNIMPLEMENTED);
	assert_int_equal(h.messages, 0);
	down(&h);
}

// Many calls, each with most of a large message and no end: the connection's sum is bounded.
static void test_half_received_sum(void **state)
{
	struct hostile h;
	uint8_t f[12000] = {0}, part[10000] = {0, 0, 1, 0, 0};
	const struct grpc_limits l = {.assembly_max = 100000};
	up_with(&h, &l);
	hello(&h);
	for (uint32_t i = 0; i < 40; i++) {
		open_call(&h, 2 * i + 1);
		put(&h, f, frame(f, DATA, 0, 2 * i + 1, part, sizeof part));
	}
	loop_settle(h.base);
	assert_false(h.ended);
	assert_in_range(h.call_ends, 30, 39);
	assert_int_equal(h.status, GRPC_RESOURCE_EXHAUSTED);
	down(&h);
}

static void test_cut_message(void **state)
{
	struct hostile h;
	uint8_t f[64];
	up_with(&h, NULL);
	hello(&h);
	open_call(&h, 1);
	put(&h, f, frame(f, DATA, END_STREAM, 1, "\0\0\0\0\5ab", 7));
	loop_settle(h.base);
	assert_int_equal(h.call_ends, 1);
	assert_int_equal(h.status, GRPC_INVALID_ARGUMENT);
	assert_false(h.ended);
	down(&h);
}

// One peer's ruin is not its neighbour's.
static void test_neighbour(void **state)
{
	struct hostile h, n;
	uint8_t f[64];
	up_with(&h, NULL);
	up_with(&n, NULL);
	hello(&h);
	hello(&n);
	repeat(&h, f, frame(f, PING, 0, 0, "12345678", 8), 20000);
	assert_true(h.ended);
	open_call(&n, 1);
	put(&n, f, frame(f, DATA, 0, 1, "\0\0\0\0\3abc", 8));
	loop_settle(n.base);
	assert_int_equal(n.messages, 1);
	assert_false(n.ended);
	down(&h);
	down(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normal),	       cmocka_unit_test(test_ping_flood),
		cmocka_unit_test(test_settings_flood), cmocka_unit_test(test_empty_data_flood),
		cmocka_unit_test(test_priority_flood), cmocka_unit_test(test_rapid_reset),
		cmocka_unit_test(test_made_you_reset), cmocka_unit_test(test_continuation_flood),
		cmocka_unit_test(test_header_list),    cmocka_unit_test(test_not_http2),
		cmocka_unit_test(test_silent),	       cmocka_unit_test(test_silent_tls),
		cmocka_unit_test(test_dead_peer),      cmocka_unit_test(test_slow_message),
		cmocka_unit_test(test_compressed),     cmocka_unit_test(test_half_received_sum),
		cmocka_unit_test(test_cut_message),    cmocka_unit_test(test_neighbour),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
