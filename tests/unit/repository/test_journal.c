// SPDX-License-Identifier: Apache-2.0
// The sealed journal and sealed rows: what was synced is read back; the unfinished end is cut off
// and told; every flipped byte and every missing segment is told, and what stands beside it still
// read.
#include "repository/commit.h"
#include "repository/journal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ok(e)                                                                                      \
	do {                                                                                       \
		struct err e_ = (e);                                                               \
		if (e_.code)                                                                       \
			fail_msg("%s:%d: %s", __FILE__, __LINE__, e_.text);                        \
	} while (0)

struct fixture {
	char path[64], inner[80];
	int folder, journal;
	struct store *store;
	struct data_keys *keys;
	// what replay gave
	unsigned records, damages, torn;
	unsigned last; // value of the last record; records must ascend
	bool disordered;
};

static void open_all(struct fixture *f)
{
	ok(store_open(f->folder, "repository.db", &f->store));
	ok(data_keys_open(f->folder, f->store, &f->keys));
}

static void close_all(struct fixture *f)
{
	data_keys_close(f->keys);
	store_close(f->store);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct commit c;
	strcpy(f->path, "/tmp/gemel-journal-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->folder = open(f->path, O_RDONLY | O_DIRECTORY);
	snprintf(f->inner, sizeof f->inner, "%s/journal", f->path);
	assert_int_equal(mkdir(f->inner, 0700), 0);
	f->journal = open(f->inner, O_RDONLY | O_DIRECTORY);
	open_all(f);
	ok(commit_begin(&c, f->store, f->keys, 1));
	ok(data_keys_prepare(f->keys, &c));
	ok(commit_finish(&c));
	commit_clear(&c);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[120];
	close_all(f);
	close(f->journal);
	close(f->folder);
	snprintf(command, sizeof command, "rm -rf '%s'", f->path);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static struct err take(void *ctx, uint64_t segment, enum journal_kind kind, const uint8_t *bytes,
		       size_t n)
{
	struct fixture *f = ctx;
	unsigned v;
	assert_int_equal(kind, JOURNAL_BATCH);
	assert_true(n >= sizeof v);
	memcpy(&v, bytes, sizeof v);
	f->disordered |= f->records && v <= f->last;
	f->last = v;
	f->records++;
	return OK;
}

static void damaged(void *ctx, const struct journal_damage *d)
{
	struct fixture *f = ctx;
	f->damages++;
	f->torn += d->torn;
}

static void replay(struct fixture *f)
{
	const struct journal_reader r = {take, damaged, f};
	struct journal *j;
	f->records = f->damages = f->torn = f->last = 0;
	f->disordered = false;
	ok(journal_open(f->journal, f->keys, &j));
	ok(journal_replay(j, &r));
	journal_close(j);
	assert_false(f->disordered);
}

static void add(struct journal *j, unsigned v, size_t size)
{
	uint8_t bytes[5000] = {0};
	const struct journal_part parts[] = {{&v, sizeof v}, {bytes, size}};
	ok(journal_add(j, JOURNAL_BATCH, parts, 2));
}

// `frames` frames of three records each, as one life of a process.
static void live(struct fixture *f, unsigned frames, unsigned from, bool orderly)
{
	struct journal *j;
	struct fixture before = {0};
	const struct journal_reader r = {take, damaged, &before};
	ok(journal_open(f->journal, f->keys, &j));
	ok(journal_replay(j, &r)); // as each start does
	for (unsigned i = 0; i < frames; i++) {
		for (unsigned k = 0; k < 3; k++)
			add(j, from + i * 3 + k, (i * 37 + k) % 400);
		ok(journal_sync(j));
		assert_false(journal_pending(j));
	}
	add(j, from + 90, 10); // not synced: never promised
	if (orderly) {
		ok(journal_sync(j));
		ok(journal_end(j));
	}
	journal_close(j);
}

static void clear(struct fixture *f)
{
	char command[120];
	snprintf(command, sizeof command, "rm -f '%s'/*", f->inner);
	assert_int_equal(system(command), 0);
}

static char *segment(struct fixture *f, unsigned number, char out[140])
{
	snprintf(out, 140, "%s/%016x.journal", f->inner, number);
	return out;
}

static off_t size_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void gives_back(void **state)
{
	struct fixture *f = *state;
	clear(f);
	live(f, 7, 1, false);
	replay(f);
	assert_int_equal(f->records, 21);
	assert_int_equal(f->damages, 0);
	live(f, 5, 100, true); // a new life, a new segment
	replay(f);
	assert_int_equal(f->records, 21 + 16);
	close_all(f);
	open_all(f);
	replay(f);
	assert_int_equal(f->records, 21 + 16);
}

// Cut anywhere: all frames before the cut are there, the cut one is told as torn.
static void cuts_the_torn_end(void **state)
{
	struct fixture *f = *state;
	char path[140];
	clear(f);
	live(f, 4, 1, false);
	off_t whole = size_of(segment(f, 1, path));
	off_t three;
	{
		clear(f);
		live(f, 3, 1, false);
		three = size_of(path);
	}
	for (off_t cut = three + 1; cut < whole; cut += 7) {
		clear(f);
		live(f, 4, 1, false);
		assert_int_equal(truncate(path, cut), 0);
		replay(f);
		assert_int_equal(f->records, 9);
		assert_int_equal(f->damages, 1);
		assert_int_equal(f->torn, 1);
	}
	clear(f);
	live(f, 4, 1, false);
	assert_int_equal(truncate(path, 40), 0); // its head
	replay(f);
	assert_int_equal(f->records, 0);
	assert_int_equal(f->torn, 1);
}

static void flip(const char *path, off_t at)
{
	uint8_t byte;
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 8;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void tells_every_flip(void **state)
{
	struct fixture *f = *state;
	char path[140];
	clear(f);
	live(f, 6, 1, false);
	live(f, 2, 500, false); // so that the first is not the last segment
	segment(f, 1, path);
	off_t size = size_of(path);
	replay(f);
	assert_int_equal(f->damages, 0); // cut by a crash, and vouched for by the start after it
	assert_int_equal(f->records, 24);
	for (off_t at = 0; at < size; at++) {
		flip(path, at);
		replay(f);
		if (!f->damages)
			fail_msg("a flip at %ld of %ld is not told", (long)at, (long)size);
		assert_true(f->records >= 6); // those of the other segment
		assert_true(f->records < 24);
		flip(path, at);
	}
	replay(f);
	assert_int_equal(f->damages, 0);
	// Its last frame taken away cleanly: nothing in it is wrong, and yet it is told.
	assert_int_equal(truncate(path, size - 500), 0);
	replay(f);
	assert_true(f->damages > 0);
	assert_int_equal(f->torn, 0);
}

// A start that a crash meets in its turn, at any point: no false alarm.
static void crashes_in_starts_are_no_damage(void **state)
{
	struct fixture *f = *state;
	char path[140];
	clear(f);
	live(f, 3, 1, false);
	segment(f, 1, path);
	assert_int_equal(truncate(path, size_of(path) - 5), 0); // torn
	live(f, 1, 100, false); // reads it, tells it, begins its own
	replay(f);
	assert_int_equal(f->damages, 0);
	assert_int_equal(f->records, 6 + 3);
	assert_int_equal(truncate(segment(f, 2, path), 30), 0); // as it was being made
	replay(f);
	assert_int_equal(f->torn, 1);
	live(f, 1, 200, false);
	replay(f);
	assert_int_equal(f->damages, 0);
	assert_int_equal(f->records, 6 + 3);
	// The same done to a segment that held something is told.
	live(f, 1, 300, false);
	assert_int_equal(truncate(segment(f, 3, path), 30), 0);
	replay(f);
	assert_true(f->damages > 0);
	assert_int_equal(f->torn, 0);
}

static void tells_missing_segments(void **state)
{
	struct fixture *f = *state;
	char path[140], other[140];
	clear(f);
	for (unsigned i = 0; i < 4; i++)
		live(f, 2, 1 + i * 100, true);
	replay(f);
	assert_int_equal(f->damages, 0);
	assert_int_equal(rename(segment(f, 2, path), segment(f, 9, other)), 0);
	replay(f);
	assert_true(f->damages >= 2); // 2 is missing, 9 is not what its head says
	clear(f);
	for (unsigned i = 0; i < 3; i++)
		live(f, 2, 1 + i * 100, true);
	segment(f, 2, path);
	assert_int_equal(truncate(path, size_of(path) - 1), 0);
	replay(f);
	assert_int_equal(f->torn, 0); // not the last: altered
	assert_true(f->damages > 0);
}

static void removes_what_is_stored(void **state)
{
	struct fixture *f = *state;
	struct journal *j;
	char path[140];
	clear(f);
	for (unsigned i = 0; i < 4; i++)
		live(f, 2, 1 + i * 100, true);
	ok(journal_open(f->journal, f->keys, &j));
	assert_int_equal(journal_first(j), 1);
	assert_int_equal(journal_segment(j), 5);
	uint64_t before = journal_bytes(j);
	ok(journal_remove_below(j, 3));
	assert_int_equal(journal_first(j), 3);
	assert_true(journal_bytes(j) < before);
	assert_int_equal(access(segment(f, 2, path), F_OK), -1);
	assert_int_equal(access(segment(f, 3, path), F_OK), 0);
	ok(journal_remove_below(j, 1000));
	assert_int_equal(journal_bytes(j), 0);
	journal_close(j);
	replay(f);
	assert_int_equal(f->records, 0);
	assert_int_equal(f->damages, 0);
}

// --- rows

static void rows_open_only_in_their_place(void **state)
{
	struct fixture *f = *state;
	struct commit c;
	struct sealer s;
	struct row_info info = {.class = CLASS_CONFIDENTIAL, .n = 3, .t0 = 5, .t1 = 9};
	scoped(arena) struct arena *a = arena_new(1 << 20);
	const uint8_t key[] = "key-1", other[] = "key-2";
	const uint8_t *plain;
	size_t n;
	ok(commit_begin(&c, f->store, f->keys, 2));
	ok(sealer_open(&s, &c, 1, 7, CLASS_CONFIDENTIAL, 12345));
	ok(sealer_put(&s, &c, STORE_CHUNK, key, 5, &info, "the plain text", 14));
	ok(sealer_put(&s, &c, STORE_CHUNK, other, 5, &info, "the other text", 14));
	sealer_close(&s);
	ok(commit_finish(&c));
	commit_clear(&c);
	struct store_row row = {
		.table = STORE_CHUNK, .domain = 1, .device = 7, .key = key, .key_len = 5};
	ok(store_get(f->store, &row, a));
	assert_null(memmem(row.body, row.body_len, "plain", 5)); // X.2011 8.3.1-1
	ok(row_open(f->keys, &row, a, &info, &plain, &n));
	assert_int_equal(n, 14);
	assert_memory_equal(plain, "the plain text", 14);
	assert_int_equal(info.version, 2);
	struct store_row moved = row;
	moved.key = other;
	assert_int_equal(row_open(f->keys, &moved, a, &info, &plain, &n).code, ERR_CORRUPT);
	moved = row;
	moved.table = STORE_STATE;
	assert_int_equal(row_open(f->keys, &moved, a, &info, &plain, &n).code, ERR_CORRUPT);
	moved = row;
	moved.device = 8;
	assert_int_equal(row_open(f->keys, &moved, a, &info, &plain, &n).code, ERR_CORRUPT);
	for (size_t i = 0; i < (row.head_len + row.body_len) * 8; i++) {
		uint8_t head[ROW_HEAD], body[200];
		memcpy(head, row.head, row.head_len);
		memcpy(body, row.body, row.body_len);
		if (i / 8 < row.head_len)
			head[i / 8] ^= (uint8_t)(1u << i % 8);
		else
			body[i / 8 - row.head_len] ^= (uint8_t)(1u << i % 8);
		struct store_row bad = row;
		bad.head = head;
		bad.body = body;
		scoped(arena) struct arena *b = arena_new(1 << 16);
		assert_int_equal(row_open(f->keys, &bad, b, &info, &plain, &n).code, ERR_CORRUPT);
	}
}

// X.2011 8.3.1-1, destruction: without its data key a row is noise, the journal's key included.
static void a_deleted_key_ends_its_rows(void **state)
{
	struct fixture *f = *state;
	struct commit c;
	struct sealer s;
	struct row_info info = {.class = CLASS_INTERNAL};
	scoped(arena) struct arena *a = arena_new(1 << 20);
	const uint8_t key[] = "k";
	const uint8_t *plain;
	size_t n;
	uint8_t dek[8];
	ok(commit_begin(&c, f->store, f->keys, 3));
	ok(sealer_open(&s, &c, 1, 9, CLASS_INTERNAL, 0));
	ok(sealer_put(&s, &c, STORE_CHUNK, key, 1, &info, "secret", 6));
	key_be64(dek, s.dek);
	sealer_close(&s);
	ok(commit_finish(&c));
	commit_clear(&c);
	ok(commit_begin(&c, f->store, f->keys, 4));
	const struct store_row place = {
		.table = STORE_DEK, .domain = 1, .device = 9, .key = dek, .key_len = 8};
	ok(commit_delete(&c, &place));
	ok(commit_finish(&c));
	commit_clear(&c);
	close_all(f); // no cache keeps it
	open_all(f);
	struct store_row row = {
		.table = STORE_CHUNK, .domain = 1, .device = 9, .key = key, .key_len = 1};
	ok(store_get(f->store, &row, a));
	assert_int_equal(row_open(f->keys, &row, a, &info, &plain, &n).code, ERR_CORRUPT);
}

static void root_key_and_store_belong_together(void **state)
{
	struct fixture *f = *state;
	char path[100], aside[100];
	struct data_keys *k = NULL;
	snprintf(path, sizeof path, "%s/root.key", f->path);
	snprintf(aside, sizeof aside, "%s/aside", f->path);
	assert_int_equal(size_of(path), 32);
	data_keys_close(f->keys);
	assert_int_equal(rename(path, aside), 0);
	struct err e = data_keys_open(f->folder, f->store, &k);
	assert_int_equal(e.code, ERR_CORRUPT);
	assert_non_null(strstr(e.text, "root.key"));
	assert_int_equal(access(path, F_OK), -1); // and none was made
	assert_int_equal(rename(aside, path), 0);
	flip(path, 9);
	struct journal *j = NULL;
	if (data_keys_open(f->folder, f->store, &k).code == ERR_NONE) {
		uint8_t wrapped[40];
		uint32_t epoch;
		struct secret *key;
		assert_int_equal(data_keys_journal_new(k, &key, wrapped, &epoch).code, ERR_CORRUPT);
		data_keys_close(k);
	}
	journal_close(j);
	flip(path, 9);
	ok(data_keys_open(f->folder, f->store, &f->keys));
	// A store that has lost its id, with keys in it, is never taken for a new one.
	const struct store_row id = {.table = STORE_META,
				     .key = (const uint8_t *)"store-id",
				     .key_len = 8,
				     .body = data_keys_store_id(f->keys),
				     .body_len = STORE_ID};
	uint8_t copy[STORE_ID];
	memcpy(copy, data_keys_store_id(f->keys), STORE_ID);
	data_keys_close(f->keys);
	ok(store_begin(f->store));
	ok(store_delete(f->store, &id));
	ok(store_commit(f->store));
	assert_int_equal(data_keys_open(f->folder, f->store, &f->keys).code, ERR_CORRUPT);
	assert_int_equal(size_of(path), 32);
	struct store_row back = id;
	back.body = copy;
	ok(store_begin(f->store));
	ok(store_put(f->store, &back));
	ok(store_commit(f->store));
	ok(data_keys_open(f->folder, f->store, &f->keys));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_back),
		cmocka_unit_test(cuts_the_torn_end),
		cmocka_unit_test(tells_every_flip),
		cmocka_unit_test(crashes_in_starts_are_no_damage),
		cmocka_unit_test(tells_missing_segments),
		cmocka_unit_test(removes_what_is_stored),
		cmocka_unit_test(rows_open_only_in_their_place),
		cmocka_unit_test(a_deleted_key_ends_its_rows),
		cmocka_unit_test(root_key_and_store_belong_together),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
