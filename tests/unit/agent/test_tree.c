// SPDX-License-Identifier: Apache-2.0
#include "test_agent.h"

static struct tree *t;

static int make(void **state)
{
	t = tree_new();
	return t ? 0 : -1;
}

static int clear(void **state)
{
	tree_free(t);
	return 0;
}

// --- what a flush tells, as one text

static char told[65536];

static void on_gone(void *ctx, const char *path)
{
	strcat(strcat(strcat(told, "-"), path), " ");
}

static void on_leaf(void *ctx, struct tree_leaf *leaf)
{
	strcat(strcat(strcat(told, "+"), leaf->path), " ");
}

static const char *flush(void)
{
	static const struct tree_reader reader = {on_gone, on_leaf};
	told[0] = 0;
	tree_flush(t, &reader, NULL);
	return told;
}

static void test_news(void **state)
{
	put_uint(t, "/a/x", 1, 0);
	put_uint(t, "/a/y", 1, 0);
	put_uint(t, "/a/x", 2, 0); // changed twice: told once
	put_uint(t, "/a/z", 1, 0);
	tree_delete(t, "/a/z"); // came and went
	assert_string_equal(flush(), "-/a/z +/a/x +/a/y ");
	assert_false(tree_changed(t));
	put_uint(t, "/a/x", 2, 0); // the same: no news
	assert_string_equal(flush(), "");
	put_uint(t, "/a/c", 1, TREE_VOLATILE);
	assert_string_equal(flush(), "+/a/c "); // that it is there
	uint64_t before = tree_version(t);
	put_uint(t, "/a/c", 2, TREE_VOLATILE);
	assert_string_equal(flush(), ""); // that it counts is no news
	assert_true(tree_version(t) > before);
	tree_delete(t, "/a");
	assert_string_equal(flush(), "-/a ");
	assert_int_equal(tree_leaves(t), 0);
}

static void test_subtrees(void **state)
{
	static const char *const paths[] = {"/a/b",	   "/a/b-c",	  "/a/b/d",
					    "/a/b[k=1]/e", "/a/b[k=1]/f", "/a/b[k=11]/e",
					    "/a/b0",	   "/a/c",	  "/aa"};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		put_uint(t, paths[i], i, 0);
	assert_int_equal(count_below(t, "/"), 9);
	assert_int_equal(count_below(t, "/a"), 8);
	assert_int_equal(count_below(t, "/a/b"), 5); // itself, /d, and both entries
	assert_int_equal(count_below(t, "/a/b[k=1]"), 2);
	assert_int_equal(count_below(t, "/a/b0"), 1);
	assert_int_equal(count_below(t, "/x"), 0);
	assert_true(tree_below("/a/b[k=1]/e", "/a/b"));
	assert_false(tree_below("/a/b-c", "/a/b"));
	assert_false(tree_below("/a/b[k=11]/e", "/a/b[k=1]"));
	tree_delete(t, "/a/b");
	assert_int_equal(tree_leaves(t), 4);
	assert_leaf(t, "/a/b-c", "1");
	assert_leaf(t, "/a/b0", "6");
}

static void test_after(void **state)
{
	put_uint(t, "/a", 1, 0);
	put_uint(t, "/c", 1, 0);
	assert_string_equal(tree_after(t, "")->path, "/a");
	assert_string_equal(tree_after(t, "/a")->path, "/c");
	assert_string_equal(tree_after(t, "/b")->path,
			    "/c"); // the place need not be there any more
	assert_null(tree_after(t, "/c"));
}

static void test_passes(void **state)
{
	put_uint(t, "/l/e[n=1]/state/x", 1, 0);
	put_uint(t, "/l/e[n=1]/state/y", 1, 0);
	put_uint(t, "/l/e[n=2]/state/x", 1, 0);
	put_uint(t, "/l/e[n=2]/state/c", 1, TREE_VOLATILE);
	put_uint(t, "/other", 1, 0);
	flush();
	tree_pass_begin(t, "/l");
	put_uint(t, "/l/e[n=2]/state/x", 1, 0);
	tree_pass_end(t, "/l", TREE_VOLATILE);
	assert_string_equal(flush(), "-/l/e[n=1] "); // the entry as a whole, not leaf by leaf
	assert_int_equal(count_below(t, "/l"), 2);
	tree_pass_begin(t, "/l");
	tree_pass_end(t, "/l", 0);
	assert_string_equal(flush(), "-/l/e[n=2] ");
	assert_leaf(t, "/other", "1");
}

static void test_bounds(void **state)
{
	static uint8_t big[TREE_VALUE_MAX + 1];
	char path[PATH_TEXT_MAX + 8];
	tree_put(t, "/a", &(struct batch_value){.type = VALUE_BYTES, .s = {big, sizeof big}}, 1, 0);
	assert_true(tree_lost(t));
	assert_false(tree_lost(t));
	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[sizeof path - 1] = 0;
	put_uint(t, path, 1, 0);
	assert_true(tree_lost(t));
	assert_int_equal(tree_leaves(t), 0);
}

// Against the plainest implementation: an array of texts.
enum { NAMES = 200 };
static bool present[NAMES];

static void name_of(unsigned i, char out[64])
{
	snprintf(out, 64, "/r%u/l[k=%u]/state/v%u", i % 3, i / 3 % 13, i);
}

static size_t expected_below(const char *path)
{
	size_t n = 0;
	for (unsigned i = 0; i < NAMES; i++) {
		char name[64];
		name_of(i, name);
		n += present[i] && tree_below(name, path);
	}
	return n;
}

static void test_against_an_array(void **state)
{
	uint32_t random = 12345;
	memset(present, 0, sizeof present);
	for (unsigned step = 0; step < 5000; step++) {
		char name[64];
		random = random * 1664525u + 1013904223u;
		unsigned i = (random >> 8) % NAMES;
		name_of(i, name);
		if (random >> 28 < 9) {
			put_uint(t, name, step, 0);
			present[i] = true;
		} else if (random >> 28 < 15) {
			tree_delete(t, name);
			present[i] = false;
		} else {
			*strstr(name, "/state") = 0; // the whole entry
			tree_delete(t, name);
			for (unsigned k = 0; k < NAMES; k++) {
				char other[64];
				name_of(k, other);
				present[k] &= !tree_below(other, name);
			}
		}
		if (step % 50)
			continue;
		assert_int_equal(tree_leaves(t), expected_below("/"));
		assert_int_equal(count_below(t, "/"), expected_below("/"));
		assert_int_equal(count_below(t, "/r1"), expected_below("/r1"));
		assert_int_equal(count_below(t, "/r2/l[k=7]"), expected_below("/r2/l[k=7]"));
		const char *last = "";
		for (struct tree_leaf *l = tree_after(t, ""); l; l = tree_next(l, "/")) {
			assert_true(strcmp(last, l->path) < 0);
			last = l->path;
		}
	}
}

static void test_keys_are_escaped(void **state)
{
	char out[PATH_KEY_TEXT];
	assert_string_equal(path_key(out, "eth0"), "eth0");
	assert_string_equal(path_key(out, "a]b\\c"), "a\\]b\\\\c");
	assert_string_equal(path_key(out, "\x01\xc3\xa9"), "_x01_xc3_xa9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_news, make, clear),
		cmocka_unit_test_setup_teardown(test_subtrees, make, clear),
		cmocka_unit_test_setup_teardown(test_after, make, clear),
		cmocka_unit_test_setup_teardown(test_passes, make, clear),
		cmocka_unit_test_setup_teardown(test_bounds, make, clear),
		cmocka_unit_test_setup_teardown(test_against_an_array, make, clear),
		cmocka_unit_test(test_keys_are_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
