// SPDX-License-Identifier: Apache-2.0
// The store keeps what was committed, forgets what was not, and scans in order, both ways.
#include "lib/store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ok(e)                                                                                      \
	do {                                                                                       \
		struct err e_ = (e);                                                               \
		if (e_.code)                                                                       \
			fail_msg("%s", e_.text);                                                   \
	} while (0)

struct fixture {
	char path[64];
	int folder;
	struct store *s;
	struct arena *a;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	strcpy(f->path, "/tmp/store-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->folder = open(f->path, O_RDONLY | O_DIRECTORY);
	f->a = arena_new(1 << 20);
	ok(store_open(f->folder, "s.db", &f->s));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	store_close(f->s);
	arena_free(f->a);
	unlinkat(f->folder, "s.db", 0);
	unlinkat(f->folder, "s.db-wal", 0);
	close(f->folder);
	assert_int_equal(rmdir(f->path), 0);
	free(f);
	return 0;
}

static struct store_row row(uint32_t device, const char *key, const char *body)
{
	return (struct store_row){.table = STORE_CHUNK,
				  .domain = 1,
				  .device = device,
				  .key = (const uint8_t *)key,
				  .key_len = strlen(key),
				  .head = (const uint8_t *)"head",
				  .head_len = 4,
				  .body = (const uint8_t *)body,
				  .body_len = strlen(body)};
}

static void put_all(struct store *s)
{
	static const char *const keys[] = {"b", "a", "c", "aa"};
	ok(store_begin(s));
	for (uint32_t device = 1; device <= 3; device++)
		for (size_t i = 0; i < 4; i++) {
			struct store_row r = row(device, keys[i], keys[i]);
			ok(store_put(s, &r));
		}
	ok(store_commit(s));
}

static void keeps_and_replaces(void **state)
{
	struct fixture *f = *state;
	put_all(f->s);
	struct store_row r = row(2, "b", "new");
	ok(store_begin(f->s));
	ok(store_put(f->s, &r));
	ok(store_commit(f->s));
	store_close(f->s);
	ok(store_open(f->folder, "s.db", &f->s));
	r = row(2, "b", "");
	ok(store_get(f->s, &r, f->a));
	assert_int_equal(r.body_len, 3);
	assert_memory_equal(r.body, "new", 3);
	assert_memory_equal(r.head, "head", 4);
	r = row(2, "none", "");
	assert_int_equal(store_get(f->s, &r, f->a).code, ERR_NOT_FOUND);
}

static void forgets_what_was_not_committed(void **state)
{
	struct fixture *f = *state;
	struct store_row r = row(1, "k", "v");
	ok(store_begin(f->s));
	ok(store_put(f->s, &r));
	assert_int_equal(store_begin(f->s).code, ERR_INTERNAL);
	store_rollback(f->s);
	assert_int_equal(store_get(f->s, &r, f->a).code, ERR_NOT_FOUND);
	assert_int_equal(store_commit(f->s).code, ERR_INTERNAL);
}

struct seen {
	char text[256];
	int most;
};

static struct err see(void *ctx, const struct store_row *r, bool *more)
{
	struct seen *s = ctx;
	size_t at = strlen(s->text);
	snprintf(s->text + at, sizeof s->text - at, "%u%.*s ", r->device, (int)r->key_len, r->key);
	*more = --s->most > 0;
	return OK;
}

static void scans_in_order(void **state)
{
	struct fixture *f = *state;
	put_all(f->s);
	struct seen seen = {.most = 100};
	struct store_scan scan = {.table = STORE_CHUNK, .domain = 1, .device = 2, .each = see, .ctx = &seen};
	ok(store_scan(f->s, &scan));
	assert_string_equal(seen.text, "2a 2aa 2b 2c ");
	seen = (struct seen){.most = 2};
	scan.from = (const uint8_t *)"aa";
	scan.from_len = 2;
	ok(store_scan(f->s, &scan));
	assert_string_equal(seen.text, "2aa 2b ");
	seen = (struct seen){.most = 3};
	scan.backward = true;
	ok(store_scan(f->s, &scan));
	assert_string_equal(seen.text, "2aa 2a ");
	seen = (struct seen){.most = 3};
	scan.from = NULL;
	scan.all_devices = true;
	ok(store_scan(f->s, &scan));
	assert_string_equal(seen.text, "3c 3b 3aa ");
	seen = (struct seen){.most = 100};
	scan = (struct store_scan){.table = STORE_CHUNK, .all_devices = true, .domain = 1, .device = 2,
				   .from = (const uint8_t *)"b", .from_len = 1, .each = see, .ctx = &seen};
	ok(store_scan(f->s, &scan));
	assert_string_equal(seen.text, "2b 2c 3a 3aa 3b 3c ");
}

static void one_process_at_a_time(void **state)
{
	struct fixture *f = *state;
	put_all(f->s);
	struct store *second = NULL;
	assert_int_equal(store_open(f->folder, "s.db", &second).code, ERR_BUSY);
	assert_null(second);
}

static void deletes_and_checkpoints(void **state)
{
	struct fixture *f = *state;
	put_all(f->s);
	struct store_row r = row(1, "a", "");
	ok(store_begin(f->s));
	ok(store_delete(f->s, &r));
	assert_int_equal(store_checkpoint(f->s).code, ERR_INTERNAL);
	ok(store_commit(f->s));
	ok(store_checkpoint(f->s));
	assert_int_equal(store_get(f->s, &r, f->a).code, ERR_NOT_FOUND);
	assert_true(store_bytes(f->s) >= 4096);
}

static void says_what_is_not_a_store(void **state)
{
	struct fixture *f = *state;
	int fd = openat(f->folder, "other", O_CREAT | O_WRONLY, 0600);
	char junk[8192];
	memset(junk, 'x', sizeof junk);
	assert_int_equal(write(fd, junk, sizeof junk), sizeof junk);
	close(fd);
	struct store *s = NULL;
	assert_int_equal(store_open(f->folder, "other", &s).code, ERR_CORRUPT);
	unlinkat(f->folder, "other", 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(keeps_and_replaces),     TEST(forgets_what_was_not_committed),
		TEST(scans_in_order),	      TEST(one_process_at_a_time),
		TEST(deletes_and_checkpoints), TEST(says_what_is_not_a_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
