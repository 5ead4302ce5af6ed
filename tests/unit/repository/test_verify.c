// SPDX-License-Identifier: Apache-2.0
// The complete check: silent on what is as it was written, and naming device, path and time of a
// byte that was flipped in any table, of rows that were removed, added, swapped or rolled back, and
// of anything in the journal and the ledger's files. On a copy, and in the running process.
#include "house.h"

#include "lib/base/clock.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_OCTETS "/interfaces/interface[name=eth0]/state/counters/in-octets"
#define STATUS "/interfaces/interface[name=eth0]/state/oper-status"
#define RULE "/acl/acl-sets/acl-set[name=f][type=ACL_IPV4]/state/name"

struct report {
	struct verify_finding first;
	char all[4000];
	unsigned n;
};

struct fixture {
	struct house *h;
	char copy[100];
	struct report report;
	struct verify_totals totals;
	int64_t base;
};

static void note(void *ctx, const struct verify_finding *f)
{
	struct report *r = ctx;
	if (!r->n++)
		r->first = *f;
	size_t n = strlen(r->all);
	snprintf(r->all + n, sizeof r->all - n, "%s\n", f->text);
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
	char command[400];
	va_list args;
	va_start(args, format);
	vsnprintf(command, sizeof command, format, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}

// A store with two devices, three classes, several commits, a journal with points, a signed ledger.
static void fill(struct fixture *f)
{
	struct house *h = f->h;
	struct house_device a, b;
	house_device(&a, "r1", 0);
	house_device(&b, "r2", 1);
	house_state(h, &a, "production", "");
	house_state(h, &b, "production", "site-b");
	for (int i = 0; i < 40; i++) {
		if (i == 25)
			house_wait_head(h, ledger_size(house_repository(h)->ledger));
		struct house_update u[3] = {
			{IN_OCTETS,
			 f->base + i * NS_PER_S,
			 {.type = VALUE_UINT, .u = (uint64_t)i * 900},
			 false},
			house_text(STATUS, f->base + i * NS_PER_S, i % 2 ? "UP" : "DOWN"),
			house_text(RULE, f->base + i * NS_PER_S, "f"),
		};
		house_batch(h, i % 3 ? &a : &b, u, 3, 0);
		if (i == 12 || i == 25) {
			house_turn(h);
			ok(flush_all(house_repository(h)));
		}
	}
	house_turn(h);
	for (int i = 0; i < 30; i++)
		house_record(h, PROCESS_MANAGEMENT, 0, "device.enrolled", "r1", "{}");
	house_turn(h);
	house_wait_head(h, ledger_size(house_repository(h)->ledger));
	house_device_clear(&a);
	house_device_clear(&b);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	f->h = house_new();
	f->base = clock_wall_ns() - 500 * NS_PER_S;
	snprintf(f->copy, sizeof f->copy, "%s-copy", f->h->folder);
	house_open(f->h);
	fill(f);
	house_close(f->h, false); // as after a crash: the journal is needed
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	run("rm -rf '%s'", f->copy);
	house_free(f->h);
	free(f);
	return 0;
}

static void copy(struct fixture *f)
{
	run("rm -rf '%s' && cp -a '%s' '%s'", f->copy, f->h->folder, f->copy);
}

static void verify(struct fixture *f)
{
	f->report = (struct report){0};
	ok(repository_verify(f->copy, note, &f->report, &f->totals));
	assert_int_equal(f->report.n, f->totals.findings);
}

static void expect(struct fixture *f, const char *what, const char *record)
{
	verify(f);
	if (!f->report.n)
		fail_msg("nothing was found; %s of %s expected", what, record);
	if (strcmp(f->report.first.what, what) != 0 || !strstr(f->report.first.record, record))
		fail_msg("%s %s expected, found: %s", record, what, f->report.all);
}

static void sql(struct fixture *f, const char *text)
{
	char path[160];
	sqlite3 *db;
	char *why = NULL;
	snprintf(path, sizeof path, "%s/repository.db", f->copy);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
	assert_true(sqlite3_changes(db) > 0);
	sqlite3_close(db);
}

static void intact_is_silent(void **state)
{
	struct fixture *f = *state;
	copy(f);
	verify(f);
	if (f->report.n)
		fail_msg("%s", f->report.all);
	assert_true(f->totals.rows > 20);
	assert_true(f->totals.manifests >= 3);
	assert_true(f->totals.journal_frames > 5);
	assert_true(f->totals.ledger_entries > 30);
	// again, over what the check itself has brought in
	verify(f);
	assert_int_equal(f->report.n, 0);
}

// One byte in the middle of a row's blob, by SQL: the engine sees nothing wrong.
#define FLIP(column)                                                                               \
	column "=substr(" column ",1,length(" column ")/2)||"                                      \
	       "CAST(char(CASE unicode(CAST(substr(" column ",length(" column                      \
	       ")/2+1,1) AS TEXT)) "                                                               \
	       "WHEN 65 THEN 66 ELSE 65 END) AS BLOB)||substr(" column ",length(" column ")/2+2)"

static void names_a_flip_in_each_table(void **state)
{
	static const struct {
		const char *table, *sql, *what, *record;
	} cases[] = {
		{"kek", "UPDATE kek SET " FLIP("body") " WHERE rowid=1", NULL, "kek"},
		{"dek", "UPDATE dek SET " FLIP("body") " WHERE rowid=2", NULL, "dek"},
		{"device",
		 "UPDATE device SET " FLIP("body") " WHERE rowid=(SELECT max(rowid) FROM device)",
		 "altered", "device"},
		{"device head",
		 "UPDATE device SET " FLIP("head") " WHERE rowid=(SELECT max(rowid) FROM device)",
		 "altered", "device"},
		{"series", "UPDATE series SET " FLIP("body") " WHERE rowid=1", "altered", "series"},
		{"chunk", "UPDATE chunk SET " FLIP("body") " WHERE rowid=1", "altered", "chunk"},
		{"chunk head", "UPDATE chunk SET " FLIP("head") " WHERE rowid=1", "altered",
		 "chunk"},
		{"state", "UPDATE state SET " FLIP("body") " WHERE rowid=1", "altered", "state"},
		{"batch", "UPDATE batch SET " FLIP("body") " WHERE rowid=1", "altered", "batch"},
		{"ledger", "UPDATE ledger SET " FLIP("body") " WHERE rowid=1", NULL, "ledger"},
		{"meta", "UPDATE meta SET " FLIP("body") " WHERE key=CAST('counters' AS BLOB)",
		 "altered", "meta"},
		{"manifest", "UPDATE manifest SET " FLIP("body") " WHERE rowid=2", NULL,
		 "manifest"},
		{"manifest head", "UPDATE manifest SET " FLIP("head") " WHERE rowid=2", "altered",
		 "manifest"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		copy(f);
		sql(f, cases[i].sql);
		verify(f);
		if (!f->report.n || !strstr(f->report.all, cases[i].record))
			fail_msg("%s: found %u: %s", cases[i].table, f->report.n, f->report.all);
		if (cases[i].what && !strstr(f->report.all, cases[i].what))
			fail_msg("%s: %s expected: %s", cases[i].table, cases[i].what,
				 f->report.all);
	}
}

// A person can act on it: which device, which path, which time.
static void says_device_path_and_time(void **state)
{
	struct fixture *f = *state;
	copy(f);
	sql(f, "UPDATE chunk SET " FLIP(
		       "body") " WHERE rowid=(SELECT min(rowid) FROM chunk WHERE device=2)");
	expect(f, "altered", "chunk");
	assert_string_equal(f->report.first.device, "r2");
	assert_non_null(strstr(f->report.first.path, "eth0"));
	assert_true(f->report.first.from_ns >= f->base);
	assert_true(f->report.first.to_ns <= f->base + 40 * NS_PER_S);
	assert_non_null(strstr(f->report.first.text, "r2"));
	assert_int_equal(f->report.n, 1);
}

static void names_missing_added_and_moved(void **state)
{
	struct fixture *f = *state;
	copy(f);
	sql(f, "DELETE FROM chunk WHERE rowid=(SELECT min(rowid) FROM chunk WHERE device=1)");
	expect(f, "missing", "chunk");
	assert_string_equal(f->report.first.device, "r1");
	copy(f);
	sql(f, "INSERT INTO chunk SELECT domain,1,key,head,body FROM chunk WHERE device=2 LIMIT 1");
	expect(f, "added", "chunk");
	copy(f); // one row's bytes in another's place
	sql(f, "UPDATE chunk SET head=(SELECT head FROM chunk WHERE device=2 LIMIT 1), "
	       "body=(SELECT body FROM chunk WHERE device=2 LIMIT 1) WHERE rowid=(SELECT "
	       "min(rowid) FROM "
	       "chunk WHERE device=1)");
	expect(f, "altered", "chunk");
	copy(f); // the newest commit taken back, cleanly
	sql(f, "DELETE FROM manifest WHERE key=(SELECT max(key) FROM manifest)");
	verify(f);
	assert_true(f->report.n > 0);
	assert_non_null(strstr(f->report.all, "rolled back"));
	copy(f);
	sql(f, "DELETE FROM manifest WHERE rowid=2");
	verify(f);
	assert_non_null(strstr(f->report.all, "manifest of commit 2 missing"));
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

static off_t size_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void file_flips(struct fixture *f, const char *pattern, unsigned places, const char *record)
{
	char command[300], path[300] = "";
	copy(f);
	snprintf(command, sizeof command, "ls -d '%s'/%s | tail -1", f->copy, pattern);
	FILE *list = popen(command, "r");
	assert_non_null(list);
	assert_non_null(fgets(path, sizeof path, list));
	pclose(list);
	path[strcspn(path, "\n")] = 0;
	off_t size = size_of(path);
	for (unsigned i = 0; i < places; i++) {
		off_t at = size * i / places + (off_t)(i % 3);
		at = at < size ? at : size - 1;
		flip(path, at);
		verify(f);
		if (!f->report.n || !strstr(f->report.all, record))
			fail_msg("%s at %ld of %ld: %s", path, (long)at, (long)size, f->report.all);
		flip(path, at);
	}
	verify(f);
	assert_int_equal(f->report.n, 0);
}

static void names_a_flip_in_files(void **state)
{
	struct fixture *f = *state;
	file_flips(f, "journal/*.journal", 40, "journal");
	file_flips(f, "ledger/checkpoint", 25, "checkpoint");
	file_flips(f, "ledger/keys", 25, "key");
	file_flips(f, "ledger/tile/0/000.p/*", 10, "ledger");
	file_flips(f, "ledger/tile/entries/000.p/*", 30, "ledger");
	file_flips(f, "root.key", 4, "");
}

static void names_files_that_are_gone(void **state)
{
	struct fixture *f = *state;
	copy(f);
	run("rm '%s'/ledger/checkpoint", f->copy);
	verify(f);
	assert_true(f->report.n > 0);
	copy(f);
	run("rm -r '%s'/ledger", f->copy);
	verify(f);
	assert_non_null(strstr(f->report.all, "ledger"));
	copy(f);
	run("rm '%s'/journal/*", f->copy);
	verify(f);
	assert_non_null(strstr(f->report.all, "shortened"));
	copy(f);
	run("rm '%s'/root.key", f->copy);
	verify(f);
	assert_non_null(strstr(f->report.all, "root.key"));
	struct verify_totals t;
	refused_with(repository_verify("/tmp/gemel-no-such-folder", note, &f->report, &t), ERR_IO);
	copy(f);
	run("rm '%s'/repository.db*", f->copy);
	refused_with(repository_verify(f->copy, note, &f->report, &t), ERR_NOT_FOUND);
}

static struct err add_row(void *ctx, const struct store_row *row, bool *more)
{
	const uint32_t place[] = {row->table, row->domain, row->device};
	hash_add(ctx, place, sizeof place);
	hash_add(ctx, row->key, row->key_len);
	hash_add(ctx, row->head, row->head_len);
	hash_add(ctx, row->body, row->body_len);
	return OK;
}

// What the store gives for all rows of all tables; false: it refuses.
static bool content(const char *folder, uint8_t out[HASH_SIZE])
{
	struct store *s = NULL;
	struct hash *h = hash_new();
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = store_open(fd, "repository.db", &s).code == ERR_NONE;
	hash_start(h);
	for (int t = 0; good && t < STORE_TABLES; t++) {
		const struct store_scan scan = {.table = (enum store_table)t,
						.all_devices = true,
						.each = add_row,
						.ctx = h};
		good = store_scan(s, &scan).code == ERR_NONE;
	}
	store_close(s);
	close(fd);
	hash_finish(h, out);
	hash_free(h);
	return good;
}

// Any byte of the database file: found, or it was in room that no row uses.
static void finds_flips_anywhere(void **state)
{
	struct fixture *f = *state;
	char path[160];
	unsigned found = 0, tried = 0;
	uint8_t before[HASH_SIZE], after[HASH_SIZE];
	copy(f);
	verify(f); // the write-ahead log is in the file now
	snprintf(path, sizeof path, "%s/repository.db", f->copy);
	assert_true(content(f->copy, before));
	run("cp '%s' '%s'.good", path, path);
	off_t size = size_of(path);
	for (off_t at = 7; at < size; at += size / 400 + 1, tried++) {
		flip(path, at);
		f->report = (struct report){0};
		struct err e = repository_verify(f->copy, note, &f->report, &f->totals);
		bool told = e.code != ERR_NONE || f->report.n > 0;
		found += told;
		if (!told && (!content(f->copy, after) || memcmp(before, after, HASH_SIZE) != 0))
			fail_msg("a flip at %ld of %ld was not found", (long)at, (long)size);
		run("rm -f '%s'-* && cp '%s'.good '%s'", path, path, path);
	}
	assert_true(found > 10 && found < tried);
}

// In the running process, beside its work: an answer, an alert, an entry.
static void finds_it_live(void **state)
{
	struct fixture *f = *state;
	struct house *h = f->h;
	house_open(h);
	json_t *answer = house_ask(h, "operator", "data.verify", NULL);
	assert_int_equal(h->answer.status, 200);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	house_close(h, true);
	char original[100];
	snprintf(original, sizeof original, "%s", f->copy);
	snprintf(f->copy, sizeof f->copy, "%s", h->folder);
	sql(f, "UPDATE chunk SET " FLIP(
		       "body") " WHERE rowid=(SELECT min(rowid) FROM chunk WHERE device=2)");
	snprintf(f->copy, sizeof f->copy, "%s", original);
	house_open(h);
	h->alerts = 0;
	answer = house_ask(h, "operator", "data.verify", NULL);
	assert_int_equal(h->answer.status, 200);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	const json_t *one = json_array_get(json_object_get(answer, "damaged"), 0);
	assert_string_equal(json_string_value(json_object_get(one, "device")), "r2");
	json_decref(answer);
	house_turn(h);
	assert_int_equal(h->alerts, 1);
	answer = house_ask(h, "operator", "data.verify", NULL); // told once
	house_turn(h);
	assert_int_equal(h->alerts, 1);
	json_decref(answer);
	answer = house_ask(h, "operator", "data.verify", "device", "r1", NULL);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	answer = house_ask(h, "auditor", "ledger.entries", "kind", "integrity.alert", NULL);
	assert_int_equal(json_array_size(json_object_get(answer, "items")), 1);
	json_decref(answer);
	json_decref(house_ask(h, "nobody", "data.verify", NULL));
	assert_int_equal(h->answer.status, 403);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intact_is_silent),
		cmocka_unit_test(names_a_flip_in_each_table),
		cmocka_unit_test(says_device_path_and_time),
		cmocka_unit_test(names_missing_added_and_moved),
		cmocka_unit_test(names_a_flip_in_files),
		cmocka_unit_test(names_files_that_are_gone),
		cmocka_unit_test(finds_flips_anywhere),
		cmocka_unit_test(finds_it_live), // last: it alters the original
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
