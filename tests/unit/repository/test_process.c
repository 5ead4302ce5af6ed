// SPDX-License-Identifier: Apache-2.0
// What the process does with what comes: grants, batches, chains, history, time travel, restarts.
#include "house.h"

#include "lib/base/clock.h"

#define IN_OCTETS "/interfaces/interface[name=eth0]/state/counters/in-octets"
#define STATUS "/interfaces/interface[name=eth0]/state/oper-status"
#define SECRET_RULE "/acl/acl-sets/acl-set[name=f][type=ACL_IPV4]/state/name"

static int setup(void **state)
{
	struct house *h = house_new();
	house_open(h);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	house_free(*state);
	return 0;
}

static const struct house_told *last_refusal(const struct house *h)
{
	assert_true(h->n_refusals > 0);
	return &h->refusals[h->n_refusals - 1];
}

static void expect_refused(struct house *h, const char *reason, uint64_t expected)
{
	house_turn(h);
	assert_string_equal(last_refusal(h)->reason, reason);
	if (expected)
		assert_int_equal(last_refusal(h)->expected, expected);
}

static uint64_t uint_at(struct house *h, const char *device, const char *path)
{
	const struct batch_value *v = house_value(h, &h->feeds, device, path);
	assert_non_null(v);
	assert_int_equal(v->type, VALUE_UINT);
	return v->u;
}

// X.2011 8.3.1-2: nothing is collected before it is granted, and only what is.
static void collects_under_grants(void **state)
{
	struct house *h = *state;
	struct house_device d;
	int64_t now = clock_wall_ns();
	house_device(&d, "r1", 0);
	house_uint(h, &d, IN_OCTETS, now, 1);
	expect_refused(h, "device-unknown", 0);
	d.seq = 0;
	house_telemetry_again(&d);
	house_state(h, &d, "invited", "");
	assert_int_equal(h->grants, 0);
	assert_int_equal(h->revokes, 1);
	house_uint(h, &d, IN_OCTETS, now, 1);
	expect_refused(h, "collection-outside-grant", 0);
	d.seq = 0;
	house_state(h, &d, "quarantine", "");
	assert_int_equal(h->grants, 1);
	assert_int_equal(h->grant->n_items, 2);
	house_uint(h, &d, IN_OCTETS, now, 1);
	expect_refused(h, "collection-outside-grant", 0);
	d.seq = 0;
	size_t acks = h->n_acks;
	const struct house_update name = house_text("/system/state/hostname", now, "r1");
	house_batch(h, &d, &name, 1, 0);
	house_turn(h);
	assert_int_equal(h->n_acks, acks + 1);
	house_state(h, &d, "production", "");
	assert_true(h->grant->n_items > 10);
	house_uint(h, &d, IN_OCTETS, now, 7);
	house_turn(h);
	assert_int_equal(h->n_acks, acks + 2);
	assert_int_equal(uint_at(h, "r1", IN_OCTETS), 7);
	house_state(h, &d, "suspended", "");
	assert_int_equal(h->revokes, 2);
	house_uint(h, &d, IN_OCTETS, now + 1, 8);
	expect_refused(h, "collection-outside-grant", 0);
	house_device_clear(&d);
}

// X.2011 8.2.1-4, 8.3.1-5: a repeat, a gap, a wrong predecessor, a changed value, another's
// signature and none at all.
static void keeps_chains(void **state)
{
	struct house *h = *state;
	int64_t now = clock_wall_ns();
	const struct house_update u = {IN_OCTETS, now, {.type = VALUE_UINT, .u = 5}, false};
	for (unsigned algorithm = 0; algorithm < 2; algorithm++) {
		struct house_device d;
		house_device(&d, algorithm ? "p256" : "ed25519", algorithm);
		house_state(h, &d, "production", "");
		house_batch(h, &d, &u, 1, SPOIL_GAP);
		expect_refused(h, "gap", 1);
		house_batch(h, &d, &u, 1, 0);
		house_batch(h, &d, &u, 1, 0);
		house_turn(h);
		size_t acks = h->n_acks;
		assert_int_equal(h->acks[acks - 1].seq, 2);
		house_batch(h, &d, &u, 1, SPOIL_REPEAT);
		expect_refused(h, "repeat", 3);
		house_batch(h, &d, &u, 1, SPOIL_GAP);
		expect_refused(h, "gap", 3);
		house_batch(h, &d, &u, 1, SPOIL_PREVIOUS);
		expect_refused(h, "previous-hash", 3);
		house_batch(h, &d, &u, 1, SPOIL_VALUE);
		expect_refused(h, "signature", 3);
		house_batch(h, &d, &u, 1, SPOIL_SIGNATURE);
		expect_refused(h, "signature", 3);
		house_batch(h, &d, &u, 1, SPOIL_UNSIGNED);
		expect_refused(h, "unsigned", 0);
		assert_int_equal(h->n_acks, acks);
		house_device_clear(&d);
	}
}

static void goes_on_after_refusals(void **state)
{
	struct house *h = *state;
	struct house_device d;
	int64_t now = clock_wall_ns();
	const struct house_update u = {IN_OCTETS, now, {.type = VALUE_UINT, .u = 5}, false};
	house_device(&d, "r1", 0);
	house_state(h, &d, "production", "");
	house_batch(h, &d, &u, 1, 0);
	house_batch(h, &d, &u, 1, SPOIL_SIGNATURE);
	house_batch(h, &d, &u, 1, 0);
	house_turn(h);
	assert_int_equal(h->n_acks, 2);
	assert_int_equal(h->acks[1].seq, 2);
	// after a start as well
	for (int orderly = 0; orderly < 2; orderly++) {
		house_close(h, orderly);
		house_open(h);
		house_telemetry_again(&d);
		house_batch(h, &d, &u, 1, SPOIL_REPEAT);
		expect_refused(h, "repeat", d.seq + 1);
		house_batch(h, &d, &u, 1, 0);
		house_turn(h);
		assert_int_equal(h->acks[h->n_acks - 1].seq, d.seq);
	}
	house_device_clear(&d);
}

// A device that sends another's numbers, or none that was named, is telemetry's fault.
static void telemetry_is_held_to_its_numbers(void **state)
{
	struct house *h = *state;
	struct house_device a, b;
	house_device(&a, "a", 0);
	house_device(&b, "b", 2);
	house_state(h, &a, "production", "");
	house_state(h, &b, "production", "");
	house_uint(h, &a, IN_OCTETS, 5, 1);
	house_turn(h);
	b.first = a.first;
	b.paths[b.n_paths++] = strdup(IN_OCTETS); // as if it had been told for b
	house_uint(h, &b, IN_OCTETS, 5, 1);
	house_turn(h);
	assert_int_equal(h->closed, 1);
	assert_null(h->p.peers[PROCESS_TELEMETRY]);
	house_up(h, PROCESS_TELEMETRY); // and the next one is taken up
	house_telemetry_again(&a);
	house_uint(h, &a, IN_OCTETS, 6, 2);
	house_turn(h);
	assert_int_equal(uint_at(h, "a", IN_OCTETS), 2);
	house_device_clear(&a);
	house_device_clear(&b);
}

// Values of every type, deletions and late points: the same from memory, chunks, journal and past.
struct step {
	int64_t s; // seconds
	const char *path;
	struct batch_value value;
	bool deletion;
};

#define ETH1 "/interfaces/interface[name=eth1]"
static const struct step steps[] = {
	{10, IN_OCTETS, {.type = VALUE_UINT, .u = 100}, false},
	{10, STATUS, {.type = VALUE_STRING, .s = {(const uint8_t *)"UP", 2}}, false},
	{11, ETH1 "/state/mtu", {.type = VALUE_UINT, .u = 1500}, false},
	{12,
	 "/system/cpus/cpu[index=ALL]/state/total/instant",
	 {.type = VALUE_DOUBLE, .d = 0.25},
	 false},
	{20, IN_OCTETS, {.type = VALUE_UINT, .u = 250}, false},
	{21, STATUS, {.type = VALUE_STRING, .s = {(const uint8_t *)"DOWN", 4}}, false},
	{22, ETH1, {.type = VALUE_NONE}, true},
	{30, STATUS, {.type = VALUE_STRING, .s = {(const uint8_t *)"UP", 2}}, false},
	{31, ETH1 "/state/mtu", {.type = VALUE_UINT, .u = 9000}, false},
	{15,
	 "/system/cpus/cpu[index=ALL]/state/total/instant",
	 {.type = VALUE_DOUBLE, .d = 0.5},
	 false},
	{40, IN_OCTETS, {.type = VALUE_UINT, .u = UINT64_MAX}, false},
	{41,
	 "/lldp/state/system-name",
	 {.type = VALUE_JSON, .s = {(const uint8_t *)"[1]", 3}},
	 false},
};
enum { STEPS = sizeof steps / sizeof *steps };

static void ask_state_at(struct house *h, int64_t t)
{
	static uint64_t id = 100;
	Ipc__StateAt m = IPC__STATE_AT__INIT;
	m.id = ++id;
	m.time_ns = t;
	buf_reset(&h->state);
	unsigned before = h->state_ends;
	ok(ipc_send_pb(h->others[PROCESS_MODELS], IPC_STATE_AT, &m.base));
	house_until(h, &h->state_ends, before + 1);
	assert_int_equal(h->state_end, id);
	assert_string_equal(h->state_error, "");
}

// The straightforward answer: the last step of that path not after t.
static void check_at(struct house *h, int64_t base, int64_t s, const char *path)
{
	const struct step *want = NULL;
	for (int i = 0; i < STEPS; i++) {
		size_t n = strlen(steps[i].path);
		bool here = steps[i].deletion ? !strncmp(path, steps[i].path, n)
					      : !strcmp(path, steps[i].path);
		if (here && steps[i].s <= s && (!want || steps[i].s >= want->s))
			want = &steps[i];
	}
	const struct batch_value *v = house_value(h, &h->state, "r1", path);
	if (!want || want->deletion) {
		assert_null(v);
		return;
	}
	if (!v || !batch_value_equal(v, &want->value))
		fail_msg("at %lld: %s is not what it was", (long long)s, path);
}

static void check_all_times(struct house *h, int64_t base)
{
	for (int64_t s = 9; s <= 42; s++) {
		ask_state_at(h, base + s * NS_PER_S);
		for (int i = 0; i < STEPS; i++)
			if (!steps[i].deletion)
				check_at(h, base, s, steps[i].path);
	}
}

static void travels_in_time(void **state)
{
	struct house *h = *state;
	struct house_device d;
	int64_t base = clock_wall_ns() - 100 * NS_PER_S;
	house_device(&d, "r1", 0);
	house_state(h, &d, "production", "site-a");
	for (int flush_after = 0; flush_after < STEPS; flush_after++) {
		const struct step *s = &steps[flush_after];
		const struct house_update u = {s->path, base + s->s * NS_PER_S, s->value,
					       s->deletion};
		house_batch(h, &d, &u, 1, 0);
		house_turn(h);
		if (flush_after % 4 == 3) // some in chunks, some in heads
			ok(flush_all(house_repository(h)));
	}
	assert_int_equal(h->n_acks, STEPS);
	check_all_times(h, base);
	for (int orderly = 0; orderly < 2; orderly++) {
		house_close(h, orderly);
		house_open(h);
		assert_int_equal(h->feed_ends, 1);
		assert_int_equal(h->alerts, 0);
		check_all_times(h, base);
		// what models was fed at the start is the state now
		const struct batch_value *v = house_value(h, &h->feeds, "r1", STATUS);
		assert_non_null(v);
		assert_memory_equal(v->s.bytes, "UP", 2);
		assert_int_equal(uint_at(h, "r1", IN_OCTETS), UINT64_MAX);
	}
	house_device_clear(&d);
}

// models that comes up in the middle gets the state, then the news.
static void feeds_models_again(void **state)
{
	struct house *h = *state;
	struct house_device d;
	int64_t now = clock_wall_ns();
	house_device(&d, "r1", 0);
	house_state(h, &d, "production", "");
	house_uint(h, &d, IN_OCTETS, now, 1);
	house_turn(h);
	house_down(h, PROCESS_MODELS);
	house_uint(h, &d, IN_OCTETS, now + 1, 2);
	house_turn(h);
	memset(h->names, 0, sizeof h->names);
	buf_reset(&h->feeds);
	house_up(h, PROCESS_MODELS);
	house_turn(h);
	assert_int_equal(h->feed_ends, 2);
	assert_int_equal(uint_at(h, "r1", IN_OCTETS), 2);
	house_uint(h, &d, IN_OCTETS, now + 2, 3);
	house_turn(h);
	assert_int_equal(uint_at(h, "r1", IN_OCTETS), 3);
	house_device_clear(&d);
}

// A device's quota of series; the others are not hurt. X.2011 8.2.2-1
static void bounds_series(void **state)
{
	struct house *h = *state;
	struct house_device a, b;
	int64_t now = clock_wall_ns();
	h->conf.device_series = 10;
	house_device(&a, "a", 0);
	house_device(&b, "b", 1);
	house_state(h, &a, "production", "");
	house_state(h, &b, "production", "");
	for (int i = 0; i < 12; i++) {
		char path[120];
		uint8_t previous[BATCH_HASH];
		memcpy(previous, a.previous, sizeof previous);
		snprintf(path, sizeof path, "/interfaces/interface[name=e%d]/state/mtu", i);
		house_uint(h, &a, path, now, 1500);
		if (i >= 10) {
			expect_refused(h, "series-quota", 0);
			a.seq--;
			memcpy(a.previous, previous, sizeof previous);
		}
	}
	house_uint(h, &b, IN_OCTETS, now, 4);
	house_turn(h);
	assert_int_equal(uint_at(h, "b", IN_OCTETS), 4);
	house_device_clear(&a);
	house_device_clear(&b);
}

// One device at its worst, within one batch and over many: it is bounded or refused, and the
// process lives, restarts, and serves the other. X.2011 8.2.2-1
static void survives_a_hostile_device(void **state)
{
	enum { MANY = 1024 };
	struct house *h = *state;
	struct house_device bad, good;
	static struct house_update u[MANY];
	static char paths[700][100], text[60000];
	int64_t base = clock_wall_ns() - 4000 * NS_PER_S;
	house_device(&bad, "bad", 0);
	house_device(&good, "good", 2);
	house_state(h, &bad, "production", "");
	house_state(h, &good, "production", "");
	// every record its own time, all on one series: many batches without a flush between
	for (int b = 0; b < 140; b++) {
		for (int i = 0; i < MANY; i++)
			u[i] = (struct house_update){IN_OCTETS,
						     base + b * NS_PER_S + i,
						     {.type = VALUE_UINT, .u = (uint64_t)i},
						     false};
		house_batch(h, &bad, u, MANY, 0);
		if (b % 4 == 3)
			house_turn(h);
	}
	house_turn(h);
	assert_int_equal(h->n_acks, 140);
	assert_int_equal(uint_at(h, "bad", IN_OCTETS), MANY - 1);
	// long texts, the same series again and again: more than a row holds
	memset(text, 'x', sizeof text - 1);
	for (int b = 0; b < 10; b++) {
		for (int i = 0; i < 60; i++) {
			text[0] = (char)('a' + i % 26);
			u[i] = house_text(STATUS, base + (200 + b) * NS_PER_S + i, text);
		}
		house_batch(h, &bad, u, 60, 0);
		house_turn(h);
	}
	assert_int_equal(h->n_acks, 150);
	// ... and on many series: more than is kept of one device
	for (int i = 0; i < 700; i++)
		snprintf(paths[i], sizeof paths[i],
			 "/lldp/interfaces/interface[name=e%d]/state/name", i);
	size_t refusals = h->n_refusals;
	for (int b = 0; b < 12 && h->n_refusals == refusals; b++) {
		for (int i = 0; i < 60; i++) {
			u[i] = house_text(paths[(b * 60 + i) % 700], base + (300 + b) * NS_PER_S,
					  text);
		}
		house_batch(h, &bad, u, 60, 0);
		house_turn(h);
	}
	assert_string_equal(last_refusal(h)->reason, "value-quota");
	house_uint(h, &good, IN_OCTETS, base, 5);
	house_turn(h);
	assert_int_equal(uint_at(h, "good", IN_OCTETS), 5);
	for (int orderly = 0; orderly < 2; orderly++) {
		house_close(h, orderly);
		house_open(h);
		assert_int_equal(h->alerts, 0);
		assert_int_equal(uint_at(h, "bad", IN_OCTETS), MANY - 1);
		house_telemetry_again(&good);
		house_uint(h, &good, IN_OCTETS, base + 1 + orderly, 6);
		house_turn(h);
		assert_int_equal(uint_at(h, "good", IN_OCTETS), 6);
	}
	struct repository *r = house_repository(h);
	assert_true(r->index.head_bytes < (size_t)h->conf.memory_budget);
	json_t *v = house_ask(h, "operator", "data.verify", NULL);
	assert_true(json_is_true(json_object_get(v, "ok")));
	json_decref(v);
	house_device_clear(&bad);
	house_device_clear(&good);
}

// Deletions that each look at everything are priced before they are done.
static void prices_deletions(void **state)
{
	struct house *h = *state;
	struct house_device d;
	static struct house_update u[1024];
	struct device *in;
	int64_t now = clock_wall_ns();
	h->conf.device_series = 100000;
	house_device(&d, "r1", 0);
	house_state(h, &d, "production", "");
	house_uint(h, &d, "/acl/state/x", now, 1);
	house_turn(h);
	in = index_device_find(&house_repository(h)->index, "r1");
	for (int i = 0; i < 50000; i++) { // as if it had sent them
		char path[80];
		uint32_t number;
		snprintf(path, sizeof path, "/acl/entry[id=%d]/x", i);
		ok(index_series_add(&house_repository(h)->index, in, path, strlen(path),
				    CLASS_INTERNAL, 100000, &number));
	}
	for (int i = 0; i < 1024; i++)
		u[i] = (struct house_update){"/acl", now + 1, {.type = VALUE_NONE}, true};
	house_batch(h, &d, u, 50, 0);
	house_turn(h);
	assert_int_equal(h->n_acks, 2);
	house_batch(h, &d, u, 1024, 0);
	expect_refused(h, "deletion-quota", 0);
	house_device_clear(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(collects_under_grants, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_chains, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_on_after_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(telemetry_is_held_to_its_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(travels_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(feeds_models_again, setup, teardown),
		cmocka_unit_test_setup_teardown(bounds_series, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_a_hostile_device, setup, teardown),
		cmocka_unit_test_setup_teardown(prices_deletions, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
