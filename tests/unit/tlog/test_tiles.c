// SPDX-License-Identifier: Apache-2.0
// Tiles written and read back at every awkward size, over restarts and broken-off rounds; each byte
// of a small log changed in turn, and the check names it.

#include "lib/tlog/tiles.h"
#include "test_crypto.h"
#include "folder.h"

#include <sys/stat.h>

static size_t entry_of(uint64_t i, uint8_t out[600])
{
	size_t n = (size_t)(i * 37 % 600);
	for (size_t k = 0; k < n; k++)
		out[k] = (uint8_t)(i + k * 11);
	return n;
}

static void append(struct tiles *t, uint64_t until)
{
	uint8_t entry[600];
	for (uint64_t i = tiles_size(t); i < until; i++)
		assert_good(tiles_append(t, entry, entry_of(i, entry)));
}

static struct checkpoint head_of(const struct tiles *t)
{
	struct checkpoint c = {.origin = "log", .size = tiles_size(t)};
	tiles_root(t, &c.root);
	return c;
}

static struct checkpoint publish(struct tiles *t)
{
	struct checkpoint c = head_of(t);
	assert_good(tiles_stage(t));
	assert_good(tiles_publish(t));
	assert_int_equal(tiles_published(t), c.size);
	assert_good(tiles_checkpoint(t, "note", 4));
	return c;
}

static struct tiles_reader *reader(const struct folder *f, uint64_t size)
{
	const struct tiles_fetch fetch = {tiles_fetch_folder, (void *)(uintptr_t)&f->fd};
	struct tiles_reader *r;
	assert_good(tiles_reader_new(&fetch, size, &r));
	return r;
}

static struct err check(const struct folder *f, const struct checkpoint *c, size_t n,
			struct tiles_check *state)
{
	struct tiles_reader *r = reader(f, c[n - 1].size);
	bool finished = false;
	struct err e = OK;
	*state = (struct tiles_check){0};
	while (e.code == ERR_NONE && !finished)
		e = tiles_check_step(state, r, c, n, 1000, &finished);
	tiles_reader_free(r);
	return e;
}

static bool there(const struct folder *f, const char *path)
{
	struct stat st;
	return fstatat(f->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

// --- names

static void test_names(void **state)
{
	static const struct {
		struct tiles_name name;
		const char *path;
	} good[] = {
		{{0, 1234067, 256}, "tile/0/x001/x234/067"}, // tlog-tiles' own example
		{{0, 273, 112}, "tile/0/273.p/112"},
		{{TILES_ENTRIES, 0, 1}, "tile/entries/000.p/1"},
		{{7, 999, 255}, "tile/7/999.p/255"},
		{{1, 1000, 256}, "tile/1/x001/000"},
		{{TILES_ENTRIES, 36028797018963967, 256},
		 "tile/entries/x036/x028/x797/x018/x963/967"},
	};
	char path[TILES_PATH_MAX];
	struct tiles_name n;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_string_equal(tiles_path(&good[i].name, path), good[i].path);
		assert_true(tiles_path_parse(good[i].path, &n));
		assert_true(n.level == good[i].name.level && n.n == good[i].name.n &&
			    n.width == good[i].name.width);
	}
	static const char *const bad[] = {"",
					  "tile",
					  "tile/0",
					  "tile/0/",
					  "tile/0/1",
					  "tile/0/01",
					  "tile/0/0001",
					  "tile/8/000",
					  "tile/-1/000",
					  "tile/00/000",
					  "tile/0/x000/000",
					  "tile/0/x001",
					  "tile/0/x001/",
					  "tile/0/000/000",
					  "tile/0/000.p",
					  "tile/0/000.p/",
					  "tile/0/000.p/0",
					  "tile/0/000.p/256",
					  "tile/0/000.p/01",
					  "tile/0/000.p/1/",
					  "tile/0/000/",
					  "/tile/0/000",
					  "tile/0/../000",
					  "tile/0/000.p/1x",
					  "tile/entries/",
					  "tile/entries/0x1",
					  "tile/0/x36/x028/000",
					  "tile/0/x999/x999/x999/x999/x999/999",
					  "tile/0/x001/x001/x001/x001/x001/x001/001",
					  "tile//000",
					  "checkpoint",
					  "tile/0/ 00",
					  "tile/0/+00"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (tiles_path_parse(bad[i], &n))
			fail_msg("\"%s\" was accepted", bad[i]);
}

// --- writing and reading back

static void read_back(const struct folder *f, const struct checkpoint *c)
{
	struct tiles_reader *r = reader(f, c->size);
	struct merkle_source s = tiles_source(r);
	struct merkle_frontier edge;
	struct merkle_hash root;
	assert_good(merkle_load(&s, c->size, &edge));
	merkle_root(&edge, &root);
	assert_true(merkle_equal(&root, &c->root));
	for (uint64_t i = 0; i<c->size; i += c->size> 2000 ? 97 : 1) {
		uint8_t want[600];
		const uint8_t *is;
		size_t n, want_n = entry_of(i, want);
		struct merkle_proof proof;
		struct merkle_hash leaf;
		assert_good(tiles_entry(r, i, &is, &n));
		assert_int_equal(n, want_n);
		assert_memory_equal(is, want, n);
		assert_good(tiles_prove(r, c, i, &proof));
		merkle_leaf(want, want_n, &leaf);
		assert_good(merkle_check_inclusion(&leaf, i, c->size, &c->root, proof.at, proof.n));
	}
	const uint8_t *is;
	size_t n;
	assert_bad(ERR_USAGE, NULL, tiles_entry(r, c->size, &is, &n));
	tiles_reader_free(r);
}

static void test_sizes(void **state)
{
	static const uint64_t sizes[] = {1,   2,   255,	  256,	 257,	511,  512,
					 700, 768, 65535, 65536, 65537, 66000};
	enum { N = sizeof sizes / sizeof *sizes };
	struct folder f;
	struct tiles *t;
	struct checkpoint heads[N];
	folder_make(&f);
	assert_good(tiles_open(f.fd, 0, NULL, TILES_NO_SYNC, &t));
	for (size_t i = 0; i < N; i++) {
		append(t, sizes[i]);
		heads[i] = publish(t);
		read_back(&f, &heads[i]);
		if (i % 2) { // a restart takes up where it was
			tiles_close(t);
			assert_bad(ERR_CORRUPT, "another root",
				   tiles_open(f.fd, sizes[i], &heads[0].root, TILES_NO_SYNC, &t));
			assert_good(tiles_open(f.fd, sizes[i], &heads[i].root, TILES_NO_SYNC, &t));
			assert_int_equal(tiles_size(t), sizes[i]);
		}
	}
	tiles_close(t);
	struct tiles_check all;
	assert_good(check(&f, heads, N, &all));
	assert_int_equal(all.good_size, 66000);
	for (size_t i = 0; i < N; i++) { // an older log is a part of the newer one
		struct tiles_reader *r = reader(&f, 66000);
		struct merkle_source s = tiles_source(r);
		struct merkle_proof p;
		assert_good(merkle_consistency(&s, sizes[i], 66000, &p));
		assert_good(merkle_check_consistency(sizes[i], &heads[i].root, 66000,
						     &heads[N - 1].root, p.at, p.n));
		tiles_reader_free(r);
	}
	folder_remove(&f);
}

static void test_files(void **state)
{
	struct folder f;
	struct tiles *t;
	folder_make(&f);
	assert_good(tiles_open(f.fd, 0, NULL, TILES_SYNC, &t));
	assert_false(there(&f, "checkpoint"));
	append(t, 200);
	publish(t);
	assert_true(there(&f, "tile/0/000.p/200") && there(&f, "tile/entries/000.p/200"));
	assert_false(there(&f, "tile/1/000.p/1") || there(&f, "tile/1"));
	append(t, 256);
	assert_good(tiles_stage(t));
	assert_false(there(&f, "tile/0/000"));
	assert_good(tiles_publish(t));
	assert_true(there(&f, "tile/0/000") && there(&f, "tile/1/000.p/1") &&
		    there(&f, "tile/entries/000"));
	assert_true(there(&f, "tile/0/000.p/200")); // the checkpoint still is of 200
	assert_good(tiles_checkpoint(t, "note", 4));
	assert_false(there(&f, "tile/0/000.p") || there(&f, "tile/entries/000.p"));
	assert_false(there(&f, "tile/0/001.p/0") || there(&f, "tile/0/001")); // no empty tile
	struct stat st;
	assert_int_equal(fstatat(f.fd, "tile/0/000", &st, 0), 0);
	assert_int_equal(st.st_size, 8192);
	assert_int_equal(st.st_nlink, 1); // nothing is left in .stage
	// A reader that still has the checkpoint of 200 finds its tiles in the full ones.
	struct tiles_reader *r = reader(&f, 200);
	const uint8_t *entry;
	size_t n;
	assert_good(tiles_entry(r, 199, &entry, &n));
	assert_bad(ERR_USAGE, NULL, tiles_entry(r, 200, &entry, &n));
	struct merkle_source s = tiles_source(r);
	struct merkle_frontier edge;
	assert_good(merkle_load(&s, 200, &edge));
	tiles_reader_free(r);
	tiles_close(t);
	folder_remove(&f);
}

// Rounds that break off at each step, and another writer.
static void test_broken_off(void **state)
{
	struct folder f;
	struct tiles *t;
	folder_make(&f);
	assert_good(tiles_open(f.fd, 0, NULL, TILES_NO_SYNC, &t));
	append(t, 300);
	struct checkpoint c = publish(t);
	append(t, 310);
	assert_good(tiles_stage(t)); // and never published
	append(t, 320);
	assert_good(tiles_stage(t));
	append(t, 330); // belongs to the next round
	assert_good(tiles_publish(t));
	assert_int_equal(tiles_published(t), 320);
	assert_false(there(&f, "tile/0/001.p/54"));
	assert_true(there(&f, "tile/0/001.p/64"));
	assert_good(tiles_publish(t)); // nothing staged: nothing happens
	tiles_close(t);
	// The head that was signed last is of 300: the log is taken up there and grows into the
	// same tiles.
	assert_good(tiles_open(f.fd, 300, &c.root, TILES_NO_SYNC, &t));
	append(t, 320);
	c = publish(t);
	read_back(&f, &c);
	tiles_close(t);
	// Another writer's different entry is a conflict, and what is published stays.
	assert_good(tiles_open(f.fd, 300, NULL, TILES_NO_SYNC, &t));
	append(t, 319);
	assert_good(tiles_append(t, "other", 5));
	assert_good(tiles_stage(t));
	assert_bad(ERR_CONFLICT, "tile/entries/001.p/64", tiles_publish(t));
	tiles_close(t);
	read_back(&f, &c);
	folder_remove(&f);
}

static void test_open_damaged(void **state)
{
	struct folder f;
	struct tiles *t;
	folder_make(&f);
	assert_good(tiles_open(f.fd, 0, NULL, TILES_NO_SYNC, &t));
	append(t, 300);
	struct checkpoint c = publish(t);
	tiles_close(t);
	assert_bad(ERR_CORRUPT, "tile/0/001.p/45", tiles_open(f.fd, 301, NULL, TILES_NO_SYNC, &t));
	assert_int_equal(renameat(f.fd, "tile/entries/001.p/44", f.fd, "aside"), 0);
	assert_bad(ERR_CORRUPT, "tile/entries/001.p/44 is missing",
		   tiles_open(f.fd, 300, &c.root, TILES_NO_SYNC, &t));
	int fd = openat(f.fd, "tile/entries/001.p/44", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "\0\1x", 3), 3);
	close(fd);
	assert_bad(ERR_CORRUPT, "tile/entries/001.p/44",
		   tiles_open(f.fd, 300, &c.root, TILES_NO_SYNC, &t));
	folder_remove(&f);
}

static void test_bounds(void **state)
{
	static uint8_t big[TILES_ENTRY_MAX + 1];
	struct folder f;
	struct tiles *t;
	folder_make(&f);
	assert_good(tiles_open(f.fd, 0, NULL, TILES_NO_SYNC, &t));
	assert_bad(ERR_LIMIT, "65536", tiles_append(t, big, sizeof big));
	uint64_t n = 0;
	for (; tiles_append(t, big, TILES_ENTRY_MAX).code == ERR_NONE; n++)
		assert_true(n < 2000);
	assert_int_equal(tiles_size(t), 1023); // of 64 MiB
	struct checkpoint before = head_of(t);
	assert_bad(ERR_LIMIT, "wait", tiles_append(t, big, TILES_ENTRY_MAX));
	struct checkpoint after = head_of(t);
	assert_true(merkle_equal(&before.root, &after.root) && after.size == 1023);
	publish(t);
	assert_good(tiles_append(t, big, TILES_ENTRY_MAX));
	struct checkpoint c = publish(t);
	struct tiles_check state_of;
	assert_good(check(&f, &c, 1, &state_of));
	tiles_close(t);
	folder_remove(&f);
}

// --- the check

struct flip {
	const struct folder *folder;
	const struct checkpoint *heads;
	size_t n, files, bytes;
};
static struct flip flipping;

static int flip_file(const char *path, const struct stat *st, int type, struct FTW *w)
{
	if (type != FTW_F || strstr(path, "checkpoint") || strstr(path, "/aside"))
		return 0;
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	flipping.files++;
	off_t step = st->st_size > 600 ? 211 : 1;
	for (off_t at = 0; at < st->st_size; at += step, flipping.bytes++) {
		uint8_t was, now;
		struct tiles_check c;
		assert_int_equal(pread(fd, &was, 1, at), 1);
		now = was ^ (uint8_t)(1u << at % 8);
		assert_int_equal(pwrite(fd, &now, 1, at), 1);
		struct err e = check(flipping.folder, flipping.heads, flipping.n, &c);
		if (e.code != ERR_CORRUPT || !strstr(e.text, "first bad index"))
			fail_msg("byte %ld of %s was changed unseen", (long)at, path);
		assert_true(c.bad_first <= c.bad_last && c.good_size <= c.bad_first);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	if (st->st_size) { // and one byte less
		struct tiles_check c;
		uint8_t last;
		assert_int_equal(pread(fd, &last, 1, st->st_size - 1), 1);
		assert_int_equal(ftruncate(fd, st->st_size - 1), 0);
		assert_bad(ERR_CORRUPT, NULL,
			   check(flipping.folder, flipping.heads, flipping.n, &c));
		assert_int_equal(pwrite(fd, &last, 1, st->st_size - 1), 1);
	}
	close(fd);
	return 0;
}

static void test_check_flips(void **state)
{
	struct folder f;
	struct tiles *t;
	struct checkpoint heads[2];
	folder_make(&f);
	assert_good(tiles_open(f.fd, 0, NULL, TILES_NO_SYNC, &t));
	append(t, 256);
	heads[0] = publish(t);
	append(t, 262);
	heads[1] = publish(t);
	tiles_close(t);
	// A partial tile that a newer checkpoint outgrew is not part of what is checked.
	flipping = (struct flip){&f, heads, 2, 0, 0};
	struct tiles_check c;
	assert_good(check(&f, heads, 2, &c));
	assert_int_equal(nftw(f.path, flip_file, 16, FTW_PHYS), 0);
	assert_int_equal(flipping.files, 5); // two tiles and two bundles, and one tile above
	assert_good(check(&f, heads, 2, &c));
	folder_remove(&f);
}

static void test_check_finds(void **state)
{
	struct folder f;
	struct tiles *t;
	struct checkpoint heads[3];
	struct tiles_check c;
	folder_make(&f);
	assert_good(tiles_open(f.fd, 0, NULL, TILES_NO_SYNC, &t));
	append(t, 100);
	heads[0] = publish(t);
	append(t, 900);
	heads[1] = publish(t);
	append(t, 1000);
	heads[2] = publish(t);
	tiles_close(t);
	// Entry, leaf and tile above all made to fit each other: only the signed root tells.
	heads[2].root.bytes[5] ^= 4;
	assert_bad(ERR_CORRUPT, "last good checkpoint 900", check(&f, heads, 3, &c));
	assert_true(c.bad_first == 900 && c.bad_last == 999 && c.good_size == 900);
	heads[2].root.bytes[5] ^= 4;
	heads[1].root.bytes[5] ^= 4;
	assert_bad(ERR_CORRUPT, "last good checkpoint 100", check(&f, heads, 3, &c));
	assert_true(c.bad_first == 100 && c.bad_last == 899);
	heads[1].root.bytes[5] ^= 4;
	assert_int_equal(unlinkat(f.fd, "tile/0/001", 0), 0);
	assert_bad(ERR_CORRUPT, "tile/0/001 is missing; first bad index 256",
		   check(&f, heads, 3, &c));
	assert_true(c.bad_first == 256 && c.bad_last == 511);
	struct tiles_reader *r = reader(&f, 900);
	bool finished;
	c = (struct tiles_check){0};
	assert_bad(ERR_USAGE, "900", tiles_check_step(&c, r, heads, 3, 10, &finished));
	assert_bad(ERR_USAGE, NULL, tiles_check_step(&c, r, heads, 0, 10, &finished));
	// It stops where it is told to.
	assert_good(tiles_check_step(&c, r, heads, 2, 99, &finished));
	assert_true(!finished && c.done.size == 99 && c.good_size == 0);
	assert_good(tiles_check_step(&c, r, heads, 2, 2, &finished));
	assert_true(!finished && c.done.size == 101 && c.good_size == 100);
	tiles_reader_free(r);
	folder_remove(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	     cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_files),	     cmocka_unit_test(test_broken_off),
		cmocka_unit_test(test_open_damaged), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_check_flips),  cmocka_unit_test(test_check_finds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
