// SPDX-License-Identifier: Apache-2.0
// The state on disk: what was acknowledged is there after any end; a torn end is dropped; any other
// change of any bit is found and nothing is made anew. X.2011 8.3.1-1, 8.3.3-9.
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "management/keep.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder_path[64];
static int folder;

static void good(struct err e)
{
	if (e.code != ERR_NONE)
		fail_msg("%s", e.text);
}

static int setup(void **state)
{
	log_start("keep", LOG_ERROR); // torn ends are what is tested
	strcpy(folder_path, "/tmp/gemel-keep-XXXXXX");
	assert_non_null(mkdtemp(folder_path));
	folder = open(folder_path, O_RDONLY | O_DIRECTORY);
	return folder < 0 || crypto_start().code != ERR_NONE;
}

static int teardown(void **state)
{
	DIR *d = opendir(folder_path);
	for (struct dirent *f; (f = readdir(d));)
		unlinkat(folder, f->d_name, 0);
	closedir(d);
	close(folder);
	rmdir(folder_path);
	return 0;
}

static bool has(const struct keep *k, const char *key, const char *value)
{
	size_t n;
	const uint8_t *p = keep_get(k, "t", key, &n);
	return value ? p && n == strlen(value) && memcmp(p, value, n) == 0 : !p;
}

static void put(struct keep *k, const char *key, const char *value)
{
	keep_put(k, "t", key, value, strlen(value));
}

static void test_rows(void **state)
{
	struct keep *k;
	good(keep_open(folder, &k));
	put(k, "a", "1");
	assert_true(has(k, "a", NULL)); // not before the commit
	good(keep_commit(k));
	put(k, "b", "2");
	put(k, "a", "3");
	keep_rollback(k);
	good(keep_commit(k));
	assert_true(has(k, "a", "1") && has(k, "b", NULL));
	put(k, "b", "2");
	put(k, "a", "");
	good(keep_commit(k));
	keep_delete(k, "t", "b");
	keep_delete(k, "t", "none");
	put(k, "c", "4");
	good(keep_commit(k));
	uint64_t revision = keep_revision(k);
	keep_close(k);
	for (int i = 0; i < 3; i++) { // each start begins a new generation
		good(keep_open(folder, &k));
		assert_true(has(k, "a", "") && has(k, "b", NULL) && has(k, "c", "4"));
		assert_int_equal(keep_revision(k), revision);
		assert_int_equal(keep_count(k, "t"), 2);
		keep_close(k);
	}
}

static struct err collect(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	strcat(ctx, key);
	strcat(ctx, " ");
	return OK;
}

static void test_scan(void **state)
{
	struct keep *k;
	char keys[200] = "";
	good(keep_open(folder, &k));
	static const char *const all[] = {"b/2", "a/1", "b/10", "bb/1", "a/2", "b/1"};
	for (size_t i = 0; i < 6; i++)
		put(k, all[i], "x");
	keep_put(k, "s", "b/3", "x", 1);
	keep_put(k, "u", "b/4", "x", 1);
	good(keep_commit(k));
	good(keep_scan(k, "t", collect, keys));
	assert_string_equal(keys, "a/1 a/2 b/1 b/10 b/2 bb/1 ");
	keys[0] = 0;
	good(keep_scan_prefix(k, "t", "b/", collect, keys));
	assert_string_equal(keys, "b/1 b/10 b/2 ");
	keep_close(k);
}

static void test_bounds(void **state)
{
	struct keep *k;
	char key[KEEP_KEY_MAX + 2], value[] = "v";
	static uint8_t large[KEEP_ROW_MAX + 1];
	memset(key, 'k', sizeof key - 1);
	key[sizeof key - 1] = 0;
	good(keep_open(folder, &k));
	put(k, key, value);
	assert_int_equal(keep_commit(k).code, ERR_LIMIT);
	keep_put(k, "t", "k", large, sizeof large);
	assert_int_equal(keep_commit(k).code, ERR_LIMIT);
	put(k, "", value);
	assert_int_equal(keep_commit(k).code, ERR_LIMIT);
	put(k, key + 1, value); // the refused ones spoil nothing
	good(keep_commit(k));
	assert_true(has(k, key + 1, value));
	keep_close(k);
}

static size_t size_of(const char *name)
{
	struct stat st;
	return fstatat(folder, name, &st, 0) == 0 ? (size_t)st.st_size : 0;
}

static const char *current(void)
{
	return size_of("state.a") ? "state.a" : "state.b";
}

static uint8_t *slurp(const char *name, size_t *n)
{
	*n = size_of(name);
	uint8_t *bytes = malloc(*n + 1);
	int fd = openat(folder, name, O_RDONLY);
	assert_int_equal(read(fd, bytes, *n), *n);
	close(fd);
	return bytes;
}

static void spill(const char *name, const uint8_t *bytes, size_t n)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

// As kill -9 leaves it, cut anywhere: all commits before the cut are there, none after it.
static void test_every_cut(void **state)
{
	struct keep *k;
	size_t ends[6], n;
	good(keep_open(folder, &k));
	const char *name = current();
	ends[0] = size_of(name);
	for (int i = 1; i < 6; i++) {
		char key[8];
		snprintf(key, sizeof key, "k%d", i);
		put(k, key, "value");
		put(k, "last", key);
		good(keep_commit(k));
		ends[i] = size_of(name);
	}
	uint8_t *whole = slurp(name, &n);
	keep_close(k);
	assert_int_equal(n, ends[5]);
	for (size_t cut = ends[0]; cut <= n; cut++) {
		unlinkat(folder, "state.a", 0);
		unlinkat(folder, "state.b", 0);
		spill(name, whole, cut);
		good(keep_open(folder, &k));
		for (int i = 1; i < 6; i++) {
			char key[8];
			snprintf(key, sizeof key, "k%d", i);
			assert_true(has(k, key, cut >= ends[i] ? "value" : NULL));
		}
		bool whole_record = false;
		for (int i = 0; i < 6; i++)
			whole_record |= cut == ends[i];
		assert_int_equal(keep_was_torn(k), !whole_record);
		keep_close(k);
	}
	free(whole);
}

// One changed bit: found, or it was in the last change, which then counts as torn.
static void test_every_bit(void **state)
{
	struct keep *k;
	size_t n, before;
	good(keep_open(folder, &k));
	put(k, "a", "first");
	good(keep_commit(k));
	put(k, "b", "second");
	good(keep_commit(k));
	keep_close(k);
	good(keep_open(folder, &k)); // both are in a snapshot now
	put(k, "c", "third");
	good(keep_commit(k));
	const char *name = current();
	before = size_of(name);
	put(k, "d", "fourth");
	good(keep_commit(k));
	keep_close(k);
	uint8_t *whole = slurp(name, &n);
	unsigned found = 0, torn = 0;
	for (size_t bit = 0; bit < n * 8; bit++) {
		whole[bit / 8] ^= (uint8_t)(1u << bit % 8);
		unlinkat(folder, "state.a", 0);
		unlinkat(folder, "state.b", 0);
		spill(name, whole, n);
		struct err e = keep_open(folder, &k);
		whole[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (e.code != ERR_NONE) {
			assert_int_equal(e.code, ERR_CORRUPT);
			found++;
			continue;
		}
		if (bit / 8 <
		    before) // a longer length in the record before eats the last one: torn too
			assert_true(has(k, "a", "first") && has(k, "b", "second"));
		else
			assert_true(has(k, "c", "third"));
		assert_true(has(k, "d", NULL));
		assert_true(keep_was_torn(k));
		torn++;
		keep_close(k);
	}
	free(whole);
	assert_true(found > 8 * before / 2 && torn > 0);
}

static void test_lost_key(void **state)
{
	struct keep *k;
	uint8_t other[32] = {1};
	good(keep_open(folder, &k));
	put(k, "a", "1");
	good(keep_commit(k));
	keep_close(k);
	size_t n;
	uint8_t *key = slurp("seal.key", &n);
	assert_int_equal(n, 32);
	unlinkat(folder, "seal.key", 0);
	assert_int_equal(keep_open(folder, &k).code, ERR_CORRUPT); // not made anew
	spill("seal.key", other, 32);
	assert_int_equal(keep_open(folder, &k).code, ERR_CORRUPT);
	spill("seal.key", other, 31);
	assert_int_equal(keep_open(folder, &k).code, ERR_CORRUPT);
	spill("seal.key", key, 32);
	good(keep_open(folder, &k));
	assert_true(has(k, "a", "1"));
	keep_close(k);
	free(key);
}

static void test_nothing_readable(void **state)
{
	struct keep *k;
	size_t n;
	good(keep_open(folder, &k));
	put(k, "account", "a-planted-plaintext");
	good(keep_commit(k));
	keep_close(k);
	good(keep_open(folder, &k));
	keep_close(k);
	for (int i = 0; i < 2; i++) {
		uint8_t *bytes = slurp(i ? "state.a" : "state.b", &n);
		assert_null(memmem(bytes, n, "planted", 7));
		assert_null(memmem(bytes, n, "account", 7));
		free(bytes);
	}
}

static void test_compaction(void **state)
{
	struct keep *k;
	static char value[64 << 10];
	memset(value, 'v', sizeof value - 1);
	good(keep_open(folder, &k));
	size_t most = 0;
	for (int i = 0; i < 300; i++) { // 19 MiB of changes of one row
		value[0] = (char)('a' + i % 26);
		put(k, "row", value);
		good(keep_commit(k));
		size_t now = size_of("state.a") + size_of("state.b");
		most = now > most ? now : most;
	}
	assert_true(most < 12 << 20);
	keep_close(k);
	good(keep_open(folder, &k));
	assert_true(has(k, "row", value));
	keep_close(k);
}

// A power cut while the next generation was being begun: the one before still holds.
static void test_cut_while_beginning(void **state)
{
	struct keep *k;
	size_t n, fresh_n;
	good(keep_open(folder, &k));
	put(k, "a", "1");
	put(k, "b", "2");
	good(keep_commit(k));
	const char *old = current(), *new = strcmp(old, "state.a") ? "state.a" : "state.b";
	uint8_t *whole = slurp(old, &n);
	keep_close(k);
	good(keep_open(folder, &k));
	keep_close(k);
	uint8_t *fresh = slurp(new, &fresh_n);
	for (size_t cut = 0; cut < fresh_n; cut++) {
		spill(old, whole, n);
		spill(new, fresh, cut);
		good(keep_open(folder, &k));
		assert_true(has(k, "a", "1") && has(k, "b", "2"));
		keep_close(k);
	}
	free(whole);
	free(fresh);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_rows),
		T(test_scan),
		T(test_bounds),
		T(test_every_cut),
		T(test_every_bit),
		T(test_lost_key),
		T(test_nothing_readable),
		T(test_compaction),
		T(test_cut_while_beginning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
