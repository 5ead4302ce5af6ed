// SPDX-License-Identifier: Apache-2.0
// The process itself, with its sandbox closed, killed with SIGKILL in the middle of its work again
// and again: nothing that it acknowledged or recorded is missing afterwards, devices go on where
// they were, and the complete check of a copy finds nothing.
#include "house.h"

#include "lib/base/clock.h"
#include "lib/crypto/random.h"

#include <signal.h>
#include <sys/wait.h>

#define PATH "/interfaces/interface[name=eth0]/state/counters/in-octets"
enum { LIVES = 12, DEVICES = 3, WINDOW = 40, BATCHES_MOST = 20000 };

static uint8_t hashes[DEVICES][BATCHES_MOST + WINDOW + 2][BATCH_HASH]; // of batch seq
static uint64_t acked[DEVICES];
static uint64_t recorded_id[HOUSE_LOG], n_recorded;
static int64_t base_ns;

static int setup(void **state)
{
	*state = house_new();
	return 0;
}

static int teardown(void **state)
{
	house_free(*state);
	return 0;
}

static unsigned number(const char *device)
{
	return (unsigned)(device[1] - '0');
}

static void collect(struct house *h)
{
	for (size_t i = 0; i < h->n_acks; i++) {
		unsigned d = number(h->acks[i].device);
		if (h->acks[i].seq > acked[d])
			acked[d] = h->acks[i].seq;
	}
	for (size_t i = 0; i < h->n_recorded; i++) {
		assert_string_equal(h->recorded[i].reason, "");
		recorded_id[n_recorded++] = h->recorded[i].expected;
	}
	h->n_acks = h->n_recorded = 0;
}

static void send_one(struct house *h, struct house_device *d)
{
	unsigned n = number(d->name);
	house_uint(h, d, PATH, base_ns + (int64_t)(d->seq + 1) * NS_PER_MS, d->seq + 1);
	memcpy(hashes[n][d->seq], d->previous, BATCH_HASH);
}

// Where the grant says that the repository is.
static void resume(struct house *h, struct house_device *d)
{
	unsigned n = number(d->name), grants = h->grants;
	house_telemetry_again(d);
	house_state(h, d, "production", "");
	house_until(h, &h->grants, grants + 1);
	while (strcmp(h->grant->device, d->name) != 0) {
		grants = h->grants;
		house_until(h, &h->grants, grants + 1);
	}
	if (h->grant->acked_seq < acked[n])
		fail_msg("%s: %llu was acknowledged, %llu is there", d->name,
			 (unsigned long long)acked[n], (unsigned long long)h->grant->acked_seq);
	assert_true(h->grant->acked_seq <= d->seq);
	d->seq = h->grant->acked_seq;
	memcpy(d->previous, hashes[n][d->seq], BATCH_HASH);
}

static void live(struct house *h, struct house_device *devices, int64_t for_ns)
{
	int64_t until = clock_mono_ns() + for_ns;
	for (unsigned turn = 0; clock_mono_ns() < until; turn++) {
		for (int i = 0; i < DEVICES; i++)
			if (devices[i].seq < acked[i] + WINDOW && devices[i].seq < BATCHES_MOST)
				send_one(h, &devices[i]);
		if (turn % 16 == 0 && n_recorded < 2000)
			house_record(h, PROCESS_MANAGEMENT, turn + 1, "device.enrolled", "r0",
				     "{}");
		event_base_loop(h->p.base, EVLOOP_NONBLOCK);
		collect(h);
		assert_int_equal(h->n_refusals, 0);
	}
}

static void check_values(struct house *h, const struct house_device *d)
{
	unsigned n = number(d->name);
	uint64_t next = 1;
	char from[40], cursor[256] = "";
	snprintf(from, sizeof from, "%lld", (long long)base_ns);
	while (next <= acked[n]) {
		json_t *a = house_ask(h, "operator", "data.series", "device", d->name, "path", PATH,
				      "from", from, "#points", "10000", "#limit", "1000",
				      *cursor ? "cursor" : NULL, cursor, NULL);
		assert_int_equal(h->answer.status, 200);
		size_t i;
		json_t *item;
		json_array_foreach(json_object_get(a, "items"), i, item)
		{
			uint64_t v = (uint64_t)json_integer_value(json_object_get(item, "value"));
			if (v != next)
				fail_msg("%s: value %llu, expected %llu of %llu", d->name,
					 (unsigned long long)v, (unsigned long long)next,
					 (unsigned long long)acked[n]);
			next++;
		}
		const char *more = json_string_value(json_object_get(a, "next"));
		if (next <= acked[n] && !more)
			fail_msg("%s: %llu values, %llu were acknowledged", d->name,
				 (unsigned long long)next - 1, (unsigned long long)acked[n]);
		snprintf(cursor, sizeof cursor, "%s", more ? more : "");
		json_decref(a);
	}
}

static void check_records(struct house *h)
{
	for (uint64_t i = 0; i < n_recorded; i += 1 + n_recorded / 50) {
		char index[24];
		snprintf(index, sizeof index, "%llu", (unsigned long long)recorded_id[i]);
		json_t *e = house_ask(h, "auditor", "ledger.entry", "#index", index, NULL);
		assert_int_equal(h->answer.status, 200);
		assert_string_equal(json_string_value(json_object_get(e, "kind")),
				    "device.enrolled");
		json_decref(e);
	}
}

static void note(void *ctx, const struct verify_finding *f)
{
	strncat(ctx, f->text, 900);
}

static void check_copy(struct house *h)
{
	char command[300], copy[100], found[8000] = "";
	struct verify_totals t;
	snprintf(copy, sizeof copy, "%s-copy", h->folder);
	snprintf(command, sizeof command, "cp -a '%s' '%s'", h->folder, copy);
	assert_int_equal(system(command), 0);
	ok(repository_verify(copy, note, found, &t));
	// A frame that was being written when it was killed is told, and is no loss.
	if (t.findings && (t.findings > 1 || !strstr(found, "cut")))
		fail_msg("%s", found);
	snprintf(command, sizeof command, "rm -rf '%s'", copy);
	assert_int_equal(system(command), 0);
}

static void loses_nothing_acknowledged(void **state)
{
	struct house *h = *state;
	struct house_device devices[DEVICES];
	base_ns = clock_wall_ns() - 600 * NS_PER_S;
	for (unsigned i = 0; i < DEVICES; i++) {
		char name[8];
		snprintf(name, sizeof name, "r%u", i);
		house_device(&devices[i], name, i * 2);
	}
	for (int life = 0; life < LIVES; life++) {
		uint8_t random;
		house_open_child(h);
		if (!life)
			assert_non_null(strstr(h->sandbox, "seccomp"));
		for (int i = 0; i < DEVICES; i++)
			resume(h, &devices[i]);
		ok(random_bytes(&random, 1));
		live(h, devices, (20 + random) * NS_PER_MS);
		collect(h);
		house_kill(h);
		check_copy(h);
	}
	assert_true(acked[0] > LIVES);
	house_open_child(h);
	for (int i = 0; i < DEVICES; i++) {
		resume(h, &devices[i]);
		check_values(h, &devices[i]);
	}
	check_records(h);
	if (h->alerts)
		fail_msg("%s", h->alert);
	int status = house_stop_child(h);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	check_copy(h);
	for (int i = 0; i < DEVICES; i++)
		house_device_clear(&devices[i]);
}

// Everything that the process does, under its own sandbox: a system call that is not on its list
// kills it, and then nothing answers.
static void works_in_its_sandbox(void **state)
{
	struct house *h = *state;
	struct house_device d;
	house_device(&d, "r0", 0);
	base_ns = clock_wall_ns() - 600 * NS_PER_S;
	memset(acked, 0, sizeof acked);
	for (int life = 0; life < 2; life++) {
		house_open_child(h);
		resume(h, &d);
		for (int i = 0; i < 1200;
		     i++) { // enough for chunks: a commit, a checkpoint of the store
			send_one(h, &d);
			if (i % 50 == 49)
				while (acked[0] < d.seq) {
					event_base_loop(h->p.base, EVLOOP_ONCE);
					collect(h);
				}
		}
		static const char *const asked[] = {"data.verify", "data.stats", "ledger.entries",
						    "data.query"};
		for (size_t i = 0; i < 4; i++) {
			json_decref(house_ask(h, i == 2 ? "auditor" : "operator", asked[i], NULL));
			assert_int_equal(h->answer.status, 200);
		}
		json_t *v = house_ask(h, "operator", "data.verify", NULL);
		assert_true(json_is_true(json_object_get(v, "ok")));
		json_decref(v);
		house_until(h, &h->witness.cosigned, 1); // tiles were written
		h->witness.cosigned = 0;
		v = house_ask(h, "operator", "data.lineage", "device", "r0", "path", PATH, NULL);
		assert_int_equal(h->answer.status, 200);
		assert_true(json_is_true(json_object_get(json_object_get(v, "batch"), "verified")));
		json_decref(v);
		int status = house_stop_child(h);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		assert_string_equal(h->broken, "");
	}
	house_device_clear(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(loses_nothing_acknowledged, setup, teardown),
		cmocka_unit_test_setup_teardown(works_in_its_sandbox, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
