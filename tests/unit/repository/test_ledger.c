// SPDX-License-Identifier: Apache-2.0
// The ledger: grown, signed, witnessed, proved to a public verifier; the same after a restart; and
// shortened, rolled back, forked or altered, it is found out and takes nothing more.
#include "house.h"

#include "lib/base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void record(struct house *h, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char json[64];
		snprintf(json, sizeof json, "{\"n\":%u}", i);
		house_record(h, PROCESS_MANAGEMENT, i + 1, "device.enrolled", "r1", json);
		if (i % 100 == 99)
			house_turn(h);
	}
	house_turn(h);
}

static uint64_t size_of(struct house *h)
{
	return ledger_size(house_repository(h)->ledger);
}

// The public verifier: entry and proof as the API gives them, nothing else of ours.
static void prove(struct house *h, uint64_t index, unsigned quorum)
{
	char number[24];
	struct note_key log;
	struct tlog_proof p;
	struct checkpoint c;
	unsigned cosigned = 0;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	snprintf(number, sizeof number, "%llu", (unsigned long long)index);
	json_t *entry = house_ask(h, "auditor", "ledger.entry", "#index", number, NULL);
	assert_int_equal(h->answer.status, 200);
	const char *hex = json_string_value(json_object_get(entry, "leaf"));
	const char *record = json_string_value(json_object_get(entry, "record"));
	const char *salt_hex = json_string_value(json_object_get(entry, "salt"));
	assert_true(hex && record && salt_hex);
	uint8_t leaf[256], salt[LEDGER_SALT], commitment[HASH_SIZE];
	size_t n = strlen(hex) / 2;
	assert_true(hash_unhex(hex, leaf, n) && hash_unhex(salt_hex, salt, sizeof salt));
	const struct hash_part parts[] = {{salt, sizeof salt}, {record, strlen(record)}};
	hash_parts(parts, 2, commitment);
	assert_memory_equal(leaf + n - HASH_SIZE, commitment, HASH_SIZE);
	json_decref(house_ask(h, "auditor", "ledger.proof", "#index", number, NULL));
	assert_int_equal(h->answer.status, 200);
	json_t *none = house_ask(h, "auditor", "ledger.vkey", NULL);
	assert_null(none);
	char vkey[300];
	snprintf(vkey, sizeof vkey, "%.*s", (int)h->answer.body.len - 1,
		 (char *)h->answer.body.data);
	ok(note_key_parse(vkey, &log));
	json_decref(house_ask(h, "auditor", "ledger.proof", "#index", number, NULL));
	ok(tlog_proof_parse((char *)h->answer.body.data, h->answer.body.len, a, &p));
	const struct tlog_policy policy = {h->conf.name, &log, 1, &h->witness.key, 1, quorum};
	ok(tlog_proof_verify(&p, &policy, leaf, n, &c, &cosigned));
	assert_true(cosigned >= quorum);
	leaf[3] ^= 1;
	refused_with(tlog_proof_verify(&p, &policy, leaf, n, &c, &cosigned), ERR_CORRUPT);
	json_decref(entry);
}

static void grows_and_proves(void **state)
{
	struct house *h = *state;
	record(h, 700);
	assert_int_equal(h->n_recorded, 700);
	for (size_t i = 1; i < h->n_recorded; i++)
		assert_int_equal(h->recorded[i].expected, h->recorded[i - 1].expected + 1);
	house_wait_head(h, h->recorded[699].expected + 1);
	assert_true(h->witness.cosigned > 0);
	prove(h, 0, 1);
	prove(h, h->recorded[0].expected, 1);
	prove(h, h->recorded[699].expected, 1);
	uint64_t index = h->recorded[300].expected;
	for (int orderly = 0; orderly < 2; orderly++) {
		house_close(h, orderly);
		house_open(h);
		assert_int_equal(h->alerts, 0);
		house_wait_head(h, size_of(h));
		prove(h, index, 1);
		prove(h, size_of(h) - 1, 1);
		record(h, 3);
	}
}

// Tiles as the API gives them, at the size of the served checkpoint: what `gemel ledger export`
// does.
static void serves_tiles(void **state)
{
	struct house *h = *state;
	record(h, 300);
	house_wait_head(h, size_of(h));
	uint64_t size = ledger_checkpoint_size(house_repository(h)->ledger);
	char rest[80];
	snprintf(rest, sizeof rest, "entries/001.p/%u", (unsigned)(size - 256));
	json_decref(house_ask(h, "auditor", "ledger.tile", "rest", "entries/000", NULL));
	assert_int_equal(h->answer.status, 200);
	json_decref(house_ask(h, "auditor", "ledger.tile", "rest", rest, NULL));
	assert_int_equal(h->answer.status, 200);
	json_decref(house_ask(h, "auditor", "ledger.tile", "rest", "0/000", NULL));
	assert_int_equal(h->answer.status, 200);
	assert_int_equal(h->answer.body.len, 8192);
	json_decref(house_ask(h, "auditor", "ledger.tile", "rest", "1/000.p/1", NULL));
	assert_int_equal(h->answer.status, 200);
	assert_int_equal(h->answer.body.len, 32);
	// a partial one whose file has gone since is the front of what there is
	json_decref(house_ask(h, "auditor", "ledger.tile", "rest", "0/000.p/7", NULL));
	assert_int_equal(h->answer.status, 200);
	assert_int_equal(h->answer.body.len, 7 * 32);
	json_decref(house_ask(h, "auditor", "ledger.tile", "rest", "entries/000.p/7", NULL));
	assert_int_equal(h->answer.status, 200);
	static const char *const bad[] = {"0/001",	 "0/../checkpoint", "entries/002", "9/000",
					  "0/000.p/256", "../root.key",	    "0/000.p/0"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		json_decref(house_ask(h, "auditor", "ledger.tile", "rest", bad[i], NULL));
		assert_int_equal(h->answer.status, 404);
	}
}

static void lists_entries(void **state)
{
	struct house *h = *state;
	record(h, 150);
	house_record(h, PROCESS_MANAGEMENT, 900, "session.refused", "eve",
		     "{\"why\":\"password\"}");
	house_record(h, PROCESS_MODELS, 901, "model.started", "basic", "{}");
	house_turn(h);
	json_t *list =
		house_ask(h, "auditor", "ledger.entries", "kind", "device.", "subject", "r1", NULL);
	assert_int_equal(json_array_size(json_object_get(list, "items")), 100);
	uint64_t before = UINT64_MAX;
	for (size_t i = 0; i < 100; i++) {
		const json_t *e = json_array_get(json_object_get(list, "items"), i);
		uint64_t index = (uint64_t)json_integer_value(json_object_get(e, "index"));
		assert_true(index < before);
		before = index;
		assert_string_equal(json_string_value(json_object_get(e, "kind")),
				    "device.enrolled");
	}
	char next[64];
	snprintf(next, sizeof next, "%s", json_string_value(json_object_get(list, "next")));
	json_decref(list);
	list = house_ask(h, "auditor", "ledger.entries", "kind", "device.", "subject", "r1",
			 "cursor", next, NULL);
	assert_int_equal(json_array_size(json_object_get(list, "items")), 50);
	assert_true(json_is_null(json_object_get(list, "next")));
	json_decref(list);
	// Who logged in is not for everybody; that entries are left out is not told.
	list = house_ask(h, "administrator", "ledger.entries", "kind", "session.", NULL);
	assert_int_equal(h->answer.status, 200);
	assert_int_equal(json_array_size(json_object_get(list, "items")), 0);
	json_decref(list);
	list = house_ask(h, "auditor", "ledger.entries", "kind", "session.", "fields", "index,body",
			 NULL);
	assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
	const json_t *e = json_array_get(json_object_get(list, "items"), 0);
	assert_int_equal(json_object_size(e), 2);
	char number[24];
	snprintf(number, sizeof number, "%lld",
		 (long long)json_integer_value(json_object_get(e, "index")));
	json_decref(list);
	json_t *problem = house_ask(h, "administrator", "ledger.entry", "#index", number, NULL);
	assert_int_equal(h->answer.status, 403);
	assert_non_null(json_object_get(json_object_get(problem, "decision"), "policy"));
	json_decref(problem);
	json_decref(house_ask(h, "viewer", "ledger.checkpoint", NULL));
	assert_int_equal(h->answer.status, 403);
	json_decref(house_ask(h, "auditor", "ledger.entries", "fields", "index,salt", NULL));
	assert_int_equal(h->answer.status, 400);
	json_decref(house_ask(h, "auditor", "ledger.entries", "cursor", "e1.7;x", NULL));
	assert_int_equal(h->answer.status, 400);
}

// Heads go on without keys or a witness, as far as they can, and catch up.
static void survives_neighbours(void **state)
{
	struct house *h = *state;
	h->witness.away = true;
	record(h, 10);
	house_wait_head(h, size_of(h));
	prove(h, 3, 0);
	house_down(h, PROCESS_KEYS);
	record(h, 10);
	house_turn(h);
	assert_int_equal(h->n_recorded, 20); // RECORDED does not wait for a head
	h->mute_keys = true;
	house_up(h, PROCESS_KEYS);
	house_turn(h);
	house_down(h, PROCESS_KEYS);
	h->mute_keys = h->witness.away = false;
	house_up(h, PROCESS_KEYS);
	house_wait_head(h, size_of(h));
	house_until(h, &h->witness.cosigned, 1);
	int64_t until = clock_mono_ns() + 200 * NS_PER_MS;
	while (clock_mono_ns() < until)
		event_base_loop(h->p.base, EVLOOP_ONCE);
	prove(h, 3, 1);
	assert_int_equal(h->alerts, 0);
}

// --- attacks

static void copy_folder(const char *from, const char *to)
{
	char command[300];
	snprintf(command, sizeof command, "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	assert_int_equal(system(command), 0);
}

static void read_only_with(struct house *h, const char *word)
{
	assert_true(house_repository(h)->read_only);
	assert_true(h->alerts > 0);
	if (!strstr(h->alert, word))
		fail_msg("the alert does not say \"%s\": %s", word, h->alert);
	size_t recorded = h->n_recorded;
	house_record(h, PROCESS_MANAGEMENT, 77, "device.enrolled", "r9", "{}");
	house_turn(h);
	assert_int_equal(h->n_recorded, recorded + 1);
	assert_string_not_equal(h->recorded[recorded].reason, "");
	struct house_device d; // nor data
	house_device(&d, "r1", 0);
	house_state(h, &d, "production", "");
	house_uint(h, &d, "/interfaces/interface[name=a]/state/mtu", 5, 5);
	house_turn(h);
	assert_string_equal(h->refusals[h->n_refusals - 1].reason, "repository-read-only");
	house_device_clear(&d);
}

// An older copy of everything is consistent in itself: only the witness remembers.
static void finds_roll_back(void **state)
{
	struct house *h = *state;
	char copy[100];
	snprintf(copy, sizeof copy, "%s-old", h->folder);
	record(h, 20);
	house_wait_head(h, size_of(h));
	house_close(h, true);
	copy_folder(h->folder, copy);
	house_open(h);
	record(h, 20);
	house_wait_head(h, size_of(h));
	house_close(h, true);
	copy_folder(copy, h->folder);
	house_open(h);
	house_until(h, &h->alerts, 1);
	read_only_with(h, "rolled back");
	char command[200];
	snprintf(command, sizeof command, "rm -rf '%s'", copy);
	assert_int_equal(system(command), 0);
}

// The same size, another history.
static void finds_fork(void **state)
{
	struct house *h = *state;
	record(h, 20);
	house_wait_head(h, size_of(h));
	h->witness.root.bytes[5] ^= 1; // as if it had seen another tree
	unsigned asked = h->witness.asked;
	record(h, 5);
	house_until(h, &h->witness.asked, asked + 1);
	house_until(h, &h->alerts, 1);
	read_only_with(h, "forked");
}

static void finds_shortening(void **state)
{
	struct house *h = *state;
	char command[300];
	record(h, 20);
	house_wait_head(h, size_of(h));
	house_close(h, false);
	// Entries that were acknowledged and signed are in the journal only: it goes.
	snprintf(command, sizeof command, "rm -f '%s'/journal/*", h->folder);
	assert_int_equal(system(command), 0);
	house_open(h);
	read_only_with(h, "shortened");
}

static void flip(const char *path, off_t at)
{
	uint8_t byte;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void refuses_altered_head(void **state)
{
	char tile[64];
	const struct {
		const char *file;
		off_t at;
	} places[] = {{"checkpoint", 20}, {"checkpoint", 120}, {"keys", 40}, {tile, 3}};
	struct house *h = *state;
	record(h, 20);
	house_wait_head(h, size_of(h));
	snprintf(tile, sizeof tile, "tile/0/000.p/%u",
		 (unsigned)ledger_checkpoint_size(house_repository(h)->ledger));
	house_close(h, true);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		char path[200];
		snprintf(path, sizeof path, "%s/ledger/%s", h->folder, places[i].file);
		flip(path, places[i].at);
		house_open(h);
		assert_true(house_repository(h)->read_only);
		assert_true(h->alerts > 0);
		house_close(h, false);
		flip(path, places[i].at);
		h->alerts = 0;
	}
	house_open(h); // mended: all is well
	assert_false(house_repository(h)->read_only);
	assert_int_equal(h->alerts, 0);
}

// A cosignature over something else is not merged.
static void refuses_lying_witness(void **state)
{
	struct house *h = *state;
	h->witness.lies = true;
	record(h, 5);
	house_wait_head(h, size_of(h));
	assert_true(h->witness.asked > 0);
	assert_null(strstr(ledger_checkpoint(house_repository(h)->ledger), "gemel.test/witness"));
	assert_false(house_repository(h)->read_only);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(grows_and_proves, setup, teardown),
		cmocka_unit_test_setup_teardown(serves_tiles, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_neighbours, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_roll_back, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_fork, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_shortening, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_altered_head, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_lying_witness, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
