// SPDX-License-Identifier: Apache-2.0
// Collection: nothing without a grant and exactly what it says; batches unchanged from device to
// repository; acknowledgements; refusals; quotas and rates; the death of each neighbour. The whole
// process over TLS, with its neighbours played (house.h).
#include "element.h"
#include "lib/base/clock.h"
#include "lib/gnmi/gnmi_fast.h"
#include "telemetry/telemetry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNTER "/interfaces/interface[name=eth0]/state/counters/in-octets"
#define STATUS "/interfaces/interface[name=eth0]/state/oper-status"

static const char *const everything[] = {"/interfaces", "/system", NULL};
static const char *const posture[] = {"/system/state", NULL};
static struct house_certificate r1, r2;
static uint64_t grant_id = 100;

static struct telemetry *telemetry(void)
{
	return house.p.self;
}

static int setup(void **state)
{
	house_forget();
	house.hold_acks = false;
	house.refuse_batch = NULL;
	house.n_held = 0;
	return 0;
}

static bool all_gone(void *ctx)
{
	return telemetry()->n_sessions == 0 && telemetry()->n_devices == 0;
}

static int teardown(void **state)
{
	house_revoke_grant("r1");
	house_revoke_grant("r2");
	house_until(all_gone, NULL, "the end of all sessions and devices");
	assert_int_equal(telemetry()->n_streaming, 0);
	assert_int_equal(telemetry()->n_paused, 0);
	assert_int_equal(telemetry()->flight_bytes, 0);
	assert_int_equal(paths_count(telemetry()->paths), 0);
	return 0;
}

static size_t wanted;
static bool has_batches(void *ctx)
{
	return house.n_batches >= wanted;
}

static void until_batches(size_t n)
{
	wanted = n;
	house_until(has_batches, NULL, "batches");
}

static bool has_acked(void *ctx)
{
	const struct element *e = ctx;
	return e->acked >= e->seq;
}

static void join(struct element *e, const char *device, struct house_certificate *c,
		 const char *const *paths)
{
	element_open(e, device, c);
	house_grant(device, ++grant_id, paths, true, 100000, 100);
	element_join(e);
	house_until(element_is_subscribed, e, "the subscription");
}

// --- X.2011 8.1.2-1

static void test_nothing_without_grant(void **state)
{
	struct element e;
	element_open(&e, "r1", &r1);
	element_dial(&e, house.tunnel_port);
	element_register(&e, "r1");
	house_turn(300);
	assert_true(e.registered);
	assert_int_equal(e.subscribes, 0);
	assert_null(e.call);
	house_grant("r1", ++grant_id, everything, true, 1000, 100);
	house_until(element_is_subscribed, &e, "the subscription");
	assert_int_equal(e.subscribes, 1);
	element_clear(&e);
}

static void test_exactly_the_grant(void **state)
{
	static const char *const mixed[] = {"/interfaces/interface/state/oper-status",
					    "~/interfaces/interface[name=*]/state/counters", NULL};
	struct element e;
	join(&e, "r1", &r1, mixed);
	assert_int_equal(e.n_paths, 2);
	assert_string_equal(e.path[0], "/interfaces/interface/state/oper-status");
	assert_string_equal(e.path[1], "/interfaces/interface[name=*]/state/counters");
	assert_int_equal(e.mode[0], 1);
	assert_int_equal(e.mode[1], 2);
	element_clear(&e);
}

static void test_regrant(void **state)
{
	struct element e;
	join(&e, "r1", &r1, everything);
	house_grant("r1", grant_id, everything, true, 1000, 100); // the same again: nothing happens
	house_turn(100);
	assert_int_equal(e.subscribes, 1);
	house_grant("r1", ++grant_id, posture, true, 1000, 100);
	for (int i = 0; i < 1000 && e.subscribes < 2; i++)
		house_turn(1);
	assert_int_equal(e.subscribes, 2);
	assert_int_equal(e.cancelled, 1);
	assert_int_equal(e.n_paths, 1);
	assert_string_equal(e.path[0], "/system/state");
	house_revoke_grant("r1");
	for (int i = 0; i < 1000 && e.call; i++)
		house_turn(1);
	assert_null(e.call);
	assert_false(e.conn_over); // it may stay, and nothing is asked of it
	element_clear(&e);
}

// --- batches

static void test_batches(void **state)
{
	struct element e;
	const struct update first[] = {
		{"/interfaces", .gone = true}, {STATUS, "UP"}, {COUNTER, .number = 42}};
	const struct update second[] = {{COUNTER, .number = 43}};
	join(&e, "r1", &r1, everything);
	element_send(&e, first, 3, ELEMENT_SYNC);
	element_send(&e, second, 1, 0);
	house_until(has_acked, &e, "both acknowledgements");
	assert_int_equal(e.acked, 2);
	assert_int_equal(house.n_kept, 4);
	const struct kept *k = house.kept;
	assert_int_equal(k[0].op, BATCH_DELETE);
	assert_string_equal(k[0].path, "/interfaces");
	assert_int_equal(k[0].flags, BATCH_SIGNED | BATCH_CHAIN_START | BATCH_SYNC);
	assert_string_equal(k[1].path, STATUS);
	assert_string_equal(k[1].text, "UP");
	assert_string_equal(k[2].path, COUNTER);
	assert_int_equal(k[2].number, 42);
	assert_int_equal(k[3].number, 43);
	assert_int_equal(k[3].seq, 2);
	assert_int_equal(k[3].flags, BATCH_SIGNED);
	for (size_t i = 0; i < 4; i++)
		assert_true(k[i].proved); // the device's own signature, over what came out here
	element_clear(&e);
}

// What was signed wrongly is handed on as it is: the repository must be able to see it.
static void test_forged_goes_on(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 1}};
	join(&e, "r1", &r1, everything);
	element_send(&e, u, 1, ELEMENT_FORGED);
	until_batches(1);
	assert_false(house.kept[0].proved);
	element_clear(&e);
}

static void test_two_devices(void **state)
{
	struct element a, b;
	const struct update ua[] = {{COUNTER, .number = 1}}, ub[] = {{COUNTER, .number = 2}};
	join(&a, "r1", &r1, everything);
	join(&b, "r2", &r2, everything);
	element_send(&a, ua, 1, 0);
	element_send(&b, ub, 1, 0);
	until_batches(2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(house.kept[i].proved);
		assert_int_equal(house.kept[i].number,
				 strcmp(house.kept[i].device, "r1") == 0 ? 1 : 2);
	}
	assert_int_equal(paths_count(telemetry()->paths), 1); // one path, two series
	element_clear(&a);
	element_clear(&b);
}

// The stream breaks before the acknowledgement is there: it is sent again, acknowledged again, and
// the repository gets it once.
static void test_sent_again(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 7}};
	join(&e, "r1", &r1, everything);
	house.hold_acks = true;
	element_send(&e, u, 1, 0);
	until_batches(1);
	house_grant("r1", ++grant_id, everything, true, 1000, 100);
	for (int i = 0; i < 200 && e.call; i++)
		house_turn(1);
	house_turn(100);
	assert_null(e.call); // the new stream waits for what is on its way
	house.hold_acks = false;
	house_ack_held();
	house_until(element_is_subscribed, &e, "the next stream");
	assert_int_equal(e.acked, 0); // nobody was there to be told
	element_send(&e, NULL, 0, ELEMENT_AGAIN);
	house_until(has_acked, &e, "the second acknowledgement");
	house_turn(20);
	assert_int_equal(house.n_batches, 1);
	assert_int_equal(telemetry()->count.resent, 1);
	element_clear(&e);
}

// A batch once more in the middle of a stream is a replay: the repository is to see and refuse it
// (X.2011 8.2.1-4); what it has already is then acknowledged.
static void test_replay(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 7}};
	join(&e, "r1", &r1, everything);
	element_send(&e, u, 1, 0);
	house_until(has_acked, &e, "the acknowledgement");
	unsigned acks = e.acks;
	house.refuse_batch = "repeat";
	element_send(&e, NULL, 0, ELEMENT_AGAIN);
	until_batches(2);
	for (int i = 0; i < 500 && e.acks == acks; i++)
		house_turn(1);
	assert_int_equal(e.acks, acks + 1);
	assert_int_equal(e.acked, 1);
	assert_non_null(e.call);
	element_clear(&e);
}

static void test_refused(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 7}};
	join(&e, "r1", &r1, everything);
	house.refuse_batch = "gap";
	element_send(&e, u, 1, 0);
	for (int i = 0; i < 1000 && e.subscribes < 2; i++)
		house_turn(1);
	assert_int_equal(e.subscribes, 2); // the stream begins again
	assert_int_equal(e.acked, 0);
	const struct told *o = house_told(IPC_OBSERVED, "r1", "batch-refused");
	assert_non_null(o);
	assert_non_null(strstr(o->text, "gap"));
	element_send(&e, NULL, 0, ELEMENT_AGAIN); // and now it is taken
	house_until(has_acked, &e, "the acknowledgement");
	element_clear(&e);
}

// Nothing mends it: the session ends, so that the device attests anew.
static void test_refused_for_good(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 7}};
	join(&e, "r1", &r1, everything);
	for (int i = 0; i < 8; i++) {
		house.refuse_batch = "signature";
		unsigned before = e.subscribes;
		element_send(&e, u, 1, 0);
		for (int k = 0; k < 3000 && e.subscribes == before && !e.conn_over; k++)
			house_turn(1);
	}
	house_until(element_is_over, &e, "the end of the session");
	assert_non_null(strstr(house_told(IPC_SESSION_END, "r1", NULL)->text, "attest anew"));
	element_clear(&e);
}

// --- what breaks the protocol ends the stream, and only that

static void test_malformed(void **state)
{
	static const uint8_t garbage[] = {0x0a, 0x7f, 0x01};
	struct element e;
	const struct update u[] = {{COUNTER, .number = 7}};
	join(&e, "r1", &r1, everything);
	element_send_raw(&e, garbage, sizeof garbage);
	for (int i = 0; i < 1000 && e.subscribes < 2; i++)
		house_turn(1);
	assert_int_equal(e.subscribes, 2);
	assert_false(e.conn_over);
	assert_non_null(house_told(IPC_OBSERVED, "r1", "message-malformed"));
	element_send(&e, u, 1, 0);
	house_until(has_acked, &e, "the acknowledgement");
	element_clear(&e);
}

static void test_unsigned(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 7}};
	join(&e, "r1", &r1, everything);
	element_send(&e, u, 1, ELEMENT_UNSIGNED);
	for (int i = 0; i < 1000 && e.subscribes < 2; i++)
		house_turn(1);
	assert_int_equal(e.subscribes, 2);
	assert_int_equal(house.n_batches, 0);
	assert_non_null(strstr(house_told(IPC_OBSERVED, "r1", "message-malformed")->text, "proof"));
	element_clear(&e);
}

// A proof that names another device than the session's certificate.
static void test_other_device(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 7}};
	join(&e, "r1", &r1, everything);
	e.device = "r2";
	element_send(&e, u, 1, 0);
	e.device = "r1";
	for (int i = 0; i < 1000 && e.subscribes < 2; i++)
		house_turn(1);
	assert_int_equal(e.subscribes, 2);
	assert_int_equal(house.n_batches, 0);
	element_clear(&e);
}

static void test_series_quota(void **state)
{
	struct element e;
	element_open(&e, "r1", &r1);
	house_grant("r1", ++grant_id, everything, true, 1000, 2);
	element_join(&e);
	house_until(element_is_subscribed, &e, "the subscription");
	const struct update u[] = {{"/interfaces/a", .number = 1},
				   {"/interfaces/b", .number = 2},
				   {"/interfaces/c", .number = 3}};
	element_send(&e, u, 3, 0);
	for (int i = 0; i < 1000 && !e.cancelled; i++)
		house_turn(1);
	assert_int_equal(house.n_batches, 0);
	assert_non_null(
		strstr(house_told(IPC_OBSERVED, "r1", "series-quota")->text, "/interfaces/c"));
	element_clear(&e);
}

static void test_loss_report(void **state)
{
	struct element e;
	scoped(buf) struct buf out = {0};
	struct gnmi_writer w;
	const struct gnmi_loss loss = {true, 17, 3, 5};
	join(&e, "r1", &r1, everything);
	uint64_t before = telemetry()->count.lost;
	gnmi_writer_start(&w, &out, 1, NULL, 0);
	gnmi_writer_finish(&w, NULL, &loss);
	element_send_raw(&e, out.data, out.len);
	for (int i = 0; i < 500 && telemetry()->count.lost == before; i++)
		house_turn(1);
	assert_int_equal(telemetry()->count.lost, before + 17);
	assert_non_null(strstr(house_told(IPC_OBSERVED, "r1", "loss")->text, "17 updates"));
	assert_non_null(e.call);
	element_clear(&e);
}

// --- pressure

// Above its rate a device waits; what it sent meanwhile comes, nothing is lost; another is not
// held.
static void test_rate(void **state)
{
	struct element slow, other;
	const struct update u[] = {{COUNTER, .number = 1}, {STATUS, "UP"}};
	element_open(&slow, "r1", &r1);
	house_grant("r1", ++grant_id, everything, true, 10, 100);
	element_join(&slow);
	house_until(element_is_subscribed, &slow, "the subscription");
	join(&other, "r2", &r2, everything);
	int64_t before = clock_mono_ns();
	for (int i = 0; i < 12; i++)
		element_send(&slow, u, 2, 0);
	for (int i = 0; i < 50; i++)
		element_send(&other, u, 2, 0);
	house_until(has_acked, &other, "the other's acknowledgements");
	assert_true(slow.acked < slow.seq);
	assert_true(telemetry()->n_paused > 0);
	house_until(has_acked, &slow, "its own acknowledgements");
	// 24 updates, ten at once and ten a second: no sooner than this, and nothing missing
	assert_true(clock_mono_ns() - before > NS_PER_S);
	assert_int_equal(house.n_batches, 62);
	assert_non_null(house_told(IPC_OBSERVED, "r1", "rate-exceeded"));
	assert_null(house_told(IPC_OBSERVED, "r2", "rate-exceeded"));
	element_clear(&slow);
	element_clear(&other);
}

// A repository that does not acknowledge: the device is held back at its bound, and goes on after.
static void test_back_pressure(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 1}};
	join(&e, "r1", &r1, everything);
	house.hold_acks = true;
	for (int i = 0; i < 3 * FLIGHTS_MAX; i++)
		element_send(&e, u, 1, 0);
	until_batches(FLIGHTS_MAX);
	house_turn(100);
	assert_int_equal(house.n_batches, FLIGHTS_MAX);
	assert_int_equal(telemetry()->n_paused, 1);
	house.hold_acks = false;
	house_ack_held();
	house_until(has_acked, &e, "all acknowledgements");
	assert_int_equal(house.n_batches, 3 * FLIGHTS_MAX);
	element_clear(&e);
}

// Its share, when all together have too much on the way: the one that sends little is not held.
static void test_fair_share(void **state)
{
	struct element greedy, modest;
	char text[2000];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	const struct update large[] = {{STATUS, text}}, small[] = {{COUNTER, .number = 1}};
	size_t all = telemetry_limits.all_flight, least = telemetry_limits.share_least;
	telemetry_limits.all_flight = 20000;
	telemetry_limits.share_least = 1000;
	join(&greedy, "r1", &r1, everything);
	join(&modest, "r2", &r2, everything);
	house.hold_acks = true;
	for (int i = 0; i < 40; i++)
		element_send(&greedy, large, 1, 0);
	until_batches(5);
	house_turn(50);
	size_t held = house.n_batches;
	assert_true(held < 15); // of 40: about 20,000 bytes
	for (int i = 0; i < 5; i++)
		element_send(&modest, small, 1, 0);
	until_batches(held + 5);
	for (size_t i = house.n_kept - 5; i < house.n_kept; i++)
		assert_string_equal(house.kept[i].device, "r2");
	house.hold_acks = false;
	house_ack_held();
	house_until(has_acked, &greedy, "all acknowledgements");
	house_until(has_acked, &modest, "all acknowledgements");
	assert_int_equal(house.n_batches, 45);
	telemetry_limits.all_flight = all;
	telemetry_limits.share_least = least;
	element_clear(&greedy);
	element_clear(&modest);
}

// --- neighbours that die

static void test_repository_dies(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 1}};
	join(&e, "r1", &r1, everything);
	element_send(&e, u, 1, 0);
	house_until(has_acked, &e, "the acknowledgement");
	house.hold_acks = true;
	element_send(&e, u, 1, 0); // this one is lost with it
	until_batches(2);
	house_down(PROCESS_REPOSITORY);
	house.n_held = 0;
	memset(house.series, 0, sizeof house.series); // it knows nothing of our numbers any more
	for (int i = 0; i < 1000 && e.call; i++)
		house_turn(1);
	assert_null(e.call); // no grant, nothing asked
	assert_false(e.conn_over);
	house.hold_acks = false;
	house_up(PROCESS_REPOSITORY);
	house_turn(50);
	assert_null(e.call);
	house_grant("r1", grant_id, everything, true, 1000, 100);
	house_until(element_is_subscribed, &e, "the next stream");
	element_send(&e, NULL, 0, ELEMENT_AGAIN); // from its spool: the first not acknowledged
	house_until(has_acked, &e, "its acknowledgement");
	assert_int_equal(e.acked, 2);
	assert_string_equal(house.kept[house.n_kept - 1].path, COUNTER);
	assert_true(house.kept[house.n_kept - 1].proved);
	element_clear(&e);
}

static void test_management_dies(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 1}};
	join(&e, "r1", &r1, everything);
	house_down(PROCESS_MANAGEMENT);
	element_send(&e, u, 1, 0);
	house_until(has_acked, &e, "an acknowledgement without management");
	house_up(PROCESS_MANAGEMENT);
	house_turn(20);
	element_send(&e, u, 1, 0);
	house_until(has_acked, &e, "another");
	assert_non_null(house_told(IPC_ADMIT_REQUEST, "r1", "")); // it is told who is here
	element_clear(&e);
}

// The device comes back: its series keep their numbers, its chain goes on.
static void test_reconnect(void **state)
{
	struct element e;
	const struct update u[] = {{COUNTER, .number = 1}};
	join(&e, "r1", &r1, everything);
	element_send(&e, u, 1, 0);
	house_until(has_acked, &e, "the acknowledgement");
	uint64_t made = telemetry()->count.series_made;
	element_hang_up(&e);
	element_join(&e);
	house_until(element_is_subscribed, &e, "the subscription");
	element_send(&e, u, 1, 0);
	house_until(has_acked, &e, "the acknowledgement");
	assert_int_equal(telemetry()->count.series_made, made);
	assert_true(house.kept[house.n_kept - 1].proved);
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
	telemetry_limits.retry_ns = 20 * NS_PER_MS;
	telemetry_limits.retry_most_ns = 200 * NS_PER_MS;
	house_open();
	house_issue("r1", -60, 1800, NULL, NULL, &r1);
	house_issue("r2", -60, 1800, NULL, NULL, &r2);
	return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_nothing_without_grant),
		T(test_exactly_the_grant),
		T(test_regrant),
		T(test_batches),
		T(test_forged_goes_on),
		T(test_two_devices),
		T(test_sent_again),
		T(test_replay),
		T(test_refused),
		T(test_refused_for_good),
		T(test_malformed),
		T(test_unsigned),
		T(test_other_device),
		T(test_series_quota),
		T(test_loss_report),
		T(test_rate),
		T(test_back_pressure),
		T(test_fair_share),
		T(test_repository_dies),
		T(test_management_dies),
		T(test_reconnect),
	};
	return cmocka_run_group_tests(tests, open_house, NULL);
}
