// SPDX-License-Identifier: Apache-2.0
// Peers that are truncated, flipped, oversized, slow or plainly not TLS, on both listeners and
// inside the tunnel: each ends its own exchange and nothing else. A good device collects beside
// each.
#include "element.h"
#include "lib/base/clock.h"
#include "lib/gnmi/gnmi_fast.h"
#include "telemetry/telemetry.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNTER "/interfaces/interface[name=eth0]/state/counters/in-octets"

static const char *const everything[] = {"/interfaces", NULL};
static struct house_certificate good_certificate, bad_certificate;
static struct element good;

static struct telemetry *telemetry(void)
{
	return house.p.self;
}

static bool has_acked(void *ctx)
{
	const struct element *e = ctx;
	return e->acked >= e->seq;
}

static bool only_good(void *ctx)
{
	return telemetry()->n_sessions == 1 && telemetry()->n_handshakes == 0;
}

static int setup(void **state)
{
	house_forget();
	return 0;
}

// After each: the good device is still collected from, and the bad one has left nothing behind.
static int teardown(void **state)
{
	const struct update u[] = {{COUNTER, .number = 5}};
	house_revoke_grant("bad");
	element_send(&good, u, 1, 0);
	house_until(has_acked, &good, "the good device's acknowledgement");
	house_until(only_good, NULL, "the end of the bad one's session");
	assert_int_equal(good.subscribes, 1);
	assert_false(good.conn_over);
	return 0;
}

static int dial(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		fail_msg("connect: %s", strerror(errno));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static bool is_closed(void *ctx)
{
	char bytes[4096];
	ssize_t n;
	while ((n = read(*(int *)ctx, bytes, sizeof bytes)) > 0)
		;
	return n == 0 || errno != EAGAIN;
}

static void put(int fd, const void *bytes, size_t n)
{
	if (write(fd, bytes, n) < 0 && errno != EPIPE && errno != ECONNRESET)
		fail_msg("write: %s", strerror(errno));
}

// --- not TLS

static void test_plain_text(void **state)
{
	static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n",
					    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-x\r\n"};
	for (size_t i = 0; i < 6; i++) {
		int fd = dial(i < 3 ? house.tunnel_port : house.enrolment_port);
		put(fd, texts[i % 3], strlen(texts[i % 3]));
		house_until(is_closed, &fd, "the end of it");
		close(fd);
	}
	const struct told *o = house_told(IPC_OBSERVED, NULL, "handshake-failed");
	assert_non_null(o);
	assert_string_equal(o->source, "127.0.0.1");
}

static void test_random_bytes(void **state)
{
	uint8_t bytes[2000];
	srandom(7);
	for (int round = 0; round < 20; round++) {
		int fd = dial(round & 1 ? house.tunnel_port : house.enrolment_port);
		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = (uint8_t)random();
		bytes[0] = 22; // a TLS record of type handshake
		put(fd, bytes, sizeof bytes);
		house_turn(2);
		close(fd);
	}
}

// --- TLS that is cut short or altered

static size_t client_hello(uint8_t *out, size_t size)
{
	struct ssl_st *ssl = NULL;
	struct tls_expect expect = {.role = "telemetry"};
	must(tls_connection_new(good.tls, &expect, &ssl), "TLS");
	BIO *in = BIO_new(BIO_s_mem()), *to = BIO_new(BIO_s_mem());
	SSL_set_bio(ssl, in, to);
	SSL_do_handshake(ssl);
	int n = BIO_read(to, out, (int)size);
	SSL_free(ssl);
	return (size_t)n;
}

static void test_truncated_hello(void **state)
{
	uint8_t hello[2000];
	size_t n = client_hello(hello, sizeof hello);
	assert_true(n > 100);
	for (size_t cut = 0; cut < n; cut += 1 + n / 40) {
		int fd = dial(cut & 1 ? house.tunnel_port : house.enrolment_port);
		put(fd, hello, cut);
		shutdown(fd, SHUT_WR);
		house_until(is_closed, &fd, "the end of it");
		close(fd);
	}
}

static void test_flipped_hello(void **state)
{
	uint8_t hello[2000];
	size_t n = client_hello(hello, sizeof hello);
	for (size_t at = 0; at < n; at += 1 + n / 60) {
		int fd = dial(house.tunnel_port);
		hello[at] ^= 0x10;
		put(fd, hello, n);
		hello[at] ^= 0x10;
		house_turn(1);
		shutdown(fd, SHUT_WR);
		house_until(is_closed, &fd, "the end of it");
		close(fd);
	}
}

// One altered byte on an open connection ends it; nothing of it is believed (X.2011 8.2.1-2).
static void test_flipped_record(void **state)
{
	struct element e;
	element_open(&e, "bad", &bad_certificate);
	house_grant("bad", 1, everything, true, 1000, 100);
	element_join(&e);
	house_until(element_is_subscribed, &e, "the subscription");
	size_t before = house.n_batches;
	uint8_t forged[5 + 60] = {23, 3, 3, 0, 60}; // an application record that no key has sealed
	int fd = SSL_get_fd(transport_ssl(grpc_conn_transport(e.conn)));
	put(fd, forged, sizeof forged);
	house_until(element_is_over, &e, "the end of it");
	assert_int_equal(house.n_batches, before);
	element_clear(&e);
}

// --- slow

static void test_silent(void **state)
{
	int fd[2] = {dial(house.tunnel_port), dial(house.enrolment_port)};
	uint8_t hello[2000];
	client_hello(hello, sizeof hello);
	put(fd[1], hello, 50);
	for (int i = 0; i < 2; i++) {
		house_until(is_closed, &fd[i], "the end of patience"); // open_ms
		close(fd[i]);
	}
}

// TLS is open, and then nothing, or one byte after the other.
static void test_drips(void **state)
{
	struct element e;
	struct gnmi_response r;
	scoped(buf) struct buf out = {0};
	element_open(&e, "bad", &bad_certificate);
	house_grant("bad", 1, everything, true, 1000, 100);
	element_join(&e);
	house_until(element_is_subscribed, &e, "the subscription");
	gnmi_write_sync(&out);
	must(gnmi_response_read(out.data, out.len, &r), "sync");
	// A message that is begun and never completed: its head says more than what comes.
	static const uint8_t begun[] = {0, 0, 0, 4, 0, 1, 2, 3};
	struct transport *t = grpc_conn_transport(grpc_call_conn(e.call));
	uint8_t frame[9 + sizeof begun] = {0, 0, sizeof begun, 0, 0, 0, 0, 0, 1}; // DATA, stream 1
	memcpy(frame + 9, begun, sizeof begun);
	transport_send(t, frame, sizeof frame);
	unsigned before = e.cancelled;
	for (int i = 0; i < 4000 && e.cancelled == before; i++)
		house_turn(1);
	assert_int_equal(e.cancelled, before + 1); // slow_ms
	assert_false(e.conn_over);
	element_clear(&e);
}

// --- oversized

static void test_oversized_message(void **state)
{
	struct element e;
	element_open(&e, "bad", &bad_certificate);
	house_grant("bad", 1, everything, true, 1000, 100);
	element_join(&e);
	house_until(element_is_subscribed, &e, "the subscription");
	struct transport *t = grpc_conn_transport(grpc_call_conn(e.call));
	static const uint8_t frame[] = {0, 0, 5, 0, 0, 0, 0, 0, 1, 0, 0x7f, 0xff, 0xff, 0xff};
	unsigned before = e.subscribes;
	transport_send(t, frame, sizeof frame); // a message of 2 GiB is announced
	for (int i = 0; i < 2000 && e.subscribes == before; i++)
		house_turn(1);
	assert_int_equal(e.subscribes, before + 1); // that stream ended, another begins
	assert_false(e.conn_over);
	element_clear(&e);
}

static void test_many_updates(void **state)
{
	struct element e;
	scoped(buf) struct buf out = {.limit = 8 << 20};
	static const uint8_t update[] = {0x22, 0};
	element_open(&e, "bad", &bad_certificate);
	house_grant("bad", 1, everything, false, 1000000, 100); // unsigned, as a target's would be
	element_join(&e);
	house_until(element_is_subscribed, &e, "the subscription");
	uint32_t n = 2 * (BATCH_COUNT_MAX + 1);
	buf_u8(&out, 0x0a);
	buf_u8(&out, (uint8_t)(n | 0x80));
	buf_u8(&out, (uint8_t)(n >> 7 | 0x80));
	buf_u8(&out, (uint8_t)(n >> 14));
	for (uint32_t i = 0; i < BATCH_COUNT_MAX + 1; i++)
		buf_append(&out, update, sizeof update);
	size_t before = house.n_batches;
	unsigned streams = e.subscribes;
	element_send_raw(&e, out.data, out.len);
	for (int i = 0; i < 2000 && e.subscribes == streams; i++)
		house_turn(1);
	assert_int_equal(e.subscribes, streams + 1);
	assert_int_equal(house.n_batches, before);
	assert_non_null(house_told(IPC_OBSERVED, "bad", "limit-exceeded"));
	element_clear(&e);
}

// --- inside the tunnel

static void test_garbage_in_session(void **state)
{
	struct element e;
	uint8_t garbage[500];
	element_open(&e, "bad", &bad_certificate);
	house_grant("bad", 1, everything, true, 1000, 100);
	element_join(&e);
	house_until(element_is_subscribed, &e, "the subscription");
	memset(garbage, 0xee, sizeof garbage);
	unsigned before = e.subscribes;
	transport_send(grpc_conn_transport(grpc_call_conn(e.call)), garbage, sizeof garbage);
	for (int i = 0; i < 2000 && e.subscribes == before; i++)
		house_turn(1);
	assert_int_equal(e.subscribes, before + 1); // another session of the tunnel
	assert_false(e.conn_over);
	element_clear(&e);
}

// Registers and withdraws without end: its tunnel ends, nobody collects from it.
static void test_register_flood(void **state)
{
	struct element e;
	element_open(&e, "bad", &bad_certificate);
	house_grant("bad", 1, everything, true, 1000, 100);
	element_join(&e);
	house_until(element_is_subscribed, &e, "the subscription");
	for (int i = 0; i < 200; i++) {
		err_ignore(tunnel_client_withdraw(e.tunnel, "bad", TUNNEL_TYPE_GNMI));
		err_ignore(tunnel_client_register(e.tunnel, "bad", TUNNEL_TYPE_GNMI));
	}
	for (int i = 0; i < 1000 && telemetry()->n_streaming > 1; i++)
		house_turn(1);
	house_turn(50);
	assert_int_equal(telemetry()->n_streaming, 1);
	element_clear(&e);
}

// A peer that never reads its acknowledgements costs a bounded queue, not memory without end.
static void test_does_not_read(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 5}};
	element_open(&e, "bad", &bad_certificate);
	house_grant("bad", 1, everything, true, 1000000, 100);
	element_join(&e);
	house_until(element_is_subscribed, &e, "the subscription");
	grpc_call_pause(e.call, true);
	for (int i = 0; i < 400; i++) {
		element_send(&e, u, 1, 0);
		house_turn(1);
	}
	for (int i = 0; i < 500 && house.n_batches < 400; i++)
		house_turn(1);
	assert_int_equal(house.n_batches, 400); // it is still collected from
	grpc_call_pause(e.call, false);
	house_until(has_acked, &e, "all acknowledgements");
	element_clear(&e);
}

static void failed(const char *what)
{
	fail_msg("never came: %s", what);
}

static int open_house(void **state)
{
	house_failed = failed;
	telemetry_limits.source_handshakes = (struct rate){.per_s = 100000, .burst = 100000};
	telemetry_limits.refuse_ms = 500;
	telemetry_limits.open_ms = 1500;
	telemetry_limits.slow_ms = 1500;
	telemetry_limits.retry_ns = 20 * NS_PER_MS;
	telemetry_limits.retry_most_ns = 200 * NS_PER_MS;
	house_open();
	house_issue("good", -60, 1800, NULL, NULL, &good_certificate);
	house_issue("bad", -60, 1800, NULL, NULL, &bad_certificate);
	element_open(&good, "good", &good_certificate);
	house_grant("good", 1, everything, true, 100000, 100);
	element_join(&good);
	house_until(element_is_subscribed, &good, "the subscription");
	return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_plain_text),	 T(test_random_bytes),
		T(test_truncated_hello), T(test_flipped_hello),
		T(test_flipped_record),	 T(test_silent),
		T(test_drips),		 T(test_oversized_message),
		T(test_many_updates),	 T(test_garbage_in_session),
		T(test_register_flood),	 T(test_does_not_read),
	};
	return cmocka_run_group_tests(tests, open_house, NULL);
}
