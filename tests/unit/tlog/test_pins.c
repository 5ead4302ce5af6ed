// SPDX-License-Identifier: Apache-2.0
// Memory of logs: forward only, on one history, over restarts, and told from a damaged file.

#include "lib/tlog/pins.h"
#include "test_crypto.h"
#include "folder.h"

enum { SIZE = 40 };

static struct merkle_hash leaves[SIZE];

static struct err hash(void *ctx, unsigned level, uint64_t index, struct merkle_hash *out)
{
	struct merkle_frontier f = {0};
	for (uint64_t i = index << level; i < (index + 1) << level; i++)
		merkle_append(&f, &leaves[i], NULL);
	merkle_root(&f, out);
	return OK;
}

static const struct merkle_source source = {hash, NULL};

static struct checkpoint at_size(const char *origin, uint64_t size)
{
	struct checkpoint c = {.size = size};
	struct merkle_frontier f;
	snprintf(c.origin, sizeof c.origin, "%s", origin);
	assert_good(merkle_load(&source, size, &f));
	merkle_root(&f, &c.root);
	return c;
}

static struct merkle_proof from_to(uint64_t old, uint64_t size)
{
	struct merkle_proof p;
	assert_good(merkle_consistency(&source, old, size, &p));
	return p;
}

static int make_leaves(void **state)
{
	for (size_t i = 0; i < SIZE; i++)
		merkle_leaf(&i, sizeof i, &leaves[i]);
	return 0;
}

static void test_advance(void **state)
{
	struct folder f;
	struct pins *p;
	struct checkpoint c = at_size("log a", 5), seen, fork;
	folder_make(&f);
	assert_good(pins_open(f.fd, "pins", &p));
	assert_false(pins_find(p, "log a", &seen));
	assert_good(pins_advance(p, &c, NULL)); // the first is believed
	c = at_size("log a", 17);
	assert_bad(ERR_BUSY, "from 5 to 17", pins_check(p, &c, NULL));
	struct merkle_proof proof = from_to(5, 17), other = from_to(6, 17);
	assert_bad(ERR_CORRUPT, "forked", pins_advance(p, &c, &other));
	fork = c;
	fork.root.bytes[0] ^= 1;
	assert_bad(ERR_CORRUPT, "forked", pins_advance(p, &fork, &proof));
	assert_true(pins_find(p, "log a", &seen));
	assert_int_equal(seen.size, 5);
	assert_good(pins_advance(p, &c, &proof));
	assert_good(pins_advance(p, &c, NULL)); // again
	fork = c;
	fork.root.bytes[31] ^= 0x80;
	assert_bad(ERR_CORRUPT, "forked", pins_check(p, &fork, NULL));
	c = at_size("log a", 16);
	assert_bad(ERR_CONFLICT, "rolled back to 16; 17", pins_advance(p, &c, NULL));
	c = at_size("log b", 16); // another log is another memory
	assert_good(pins_advance(p, &c, NULL));
	c = at_size("empty", 0);
	assert_good(pins_advance(p, &c, NULL));
	c.root.bytes[0] ^= 1;
	assert_bad(ERR_CORRUPT, "empty", pins_check(p, &c, NULL));
	c = at_size("empty", 3);
	proof.n = 0;
	assert_good(pins_advance(p, &c, &proof));
	pins_close(p);

	assert_good(pins_open(f.fd, "pins", &p)); // after a restart
	assert_true(pins_find(p, "log a", &seen));
	struct checkpoint want = at_size("log a", 17);
	assert_true(seen.size == 17 && merkle_equal(&seen.root, &want.root));
	assert_true(pins_find(p, "log b", &seen) && seen.size == 16);
	assert_true(pins_find(p, "empty", &seen) && seen.size == 3);
	pins_close(p);
	pins_close(NULL);
	folder_remove(&f);
}

static size_t read_pins(const struct folder *f, uint8_t *bytes, size_t cap)
{
	int fd = openat(f->fd, "pins", O_RDONLY);
	ssize_t n = read(fd, bytes, cap);
	close(fd);
	assert_true(n > 0 && (size_t)n < cap);
	return (size_t)n;
}

static void write_pins(const struct folder *f, const uint8_t *bytes, size_t n)
{
	int fd = openat(f->fd, "pins", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

static void test_altered(void **state)
{
	struct folder f;
	struct pins *p;
	uint8_t bytes[1024];
	folder_make(&f);
	assert_good(pins_open(f.fd, "pins", &p));
	struct checkpoint c = at_size("log a", 5);
	assert_good(pins_advance(p, &c, NULL));
	pins_close(p);
	size_t n = read_pins(&f, bytes, sizeof bytes);
	for (size_t bit = 0; bit < n * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		write_pins(&f, bytes, n);
		struct err e = pins_open(f.fd, "pins", &p);
		if (e.code == ERR_NONE) { // a letter's case in the digest is all that may differ
			assert_true(bit / 8 >= n - 65 && bit % 8 == 5);
			pins_close(p);
		} else {
			assert_int_equal(e.code, ERR_CORRUPT);
		}
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t cut = 0; cut < n; cut++) {
		write_pins(&f, bytes, cut);
		assert_bad(ERR_CORRUPT, NULL, pins_open(f.fd, "pins", &p));
	}
	write_pins(&f, bytes, n);
	assert_good(pins_open(f.fd, "pins", &p));
	pins_close(p);
	folder_remove(&f);
}

static void with_digest(const struct folder *f, const char *text)
{
	char whole[1024], hex[HASH_HEX];
	uint8_t digest[HASH_SIZE];
	hash_sha256(text, strlen(text), digest);
	int n = snprintf(whole, sizeof whole, "%ssha256 %s\n", text,
			 hash_hex(digest, sizeof digest, hex));
	write_pins(f, (const uint8_t *)whole, (size_t)n);
}

static void test_forms(void **state)
{
#define ROOT "mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk="
	static const char *const bad[] = {"gemel pins v2\n",
					  "gemel pins v1",
					  "gemel pins v1\n01 " ROOT " a\n",
					  "gemel pins v1\n1 " ROOT " \n",
					  "gemel pins v1\n1 " ROOT "\n",
					  "gemel pins v1\n1 " ROOT " a\n2 " ROOT " a\n",
					  "gemel pins v1\n1 AAAA a\n",
					  "gemel pins v1\n\n"};
	struct folder f;
	struct pins *p;
	struct checkpoint c;
	folder_make(&f);
	with_digest(&f, "gemel pins v1\n1 " ROOT " a b\n");
	assert_good(pins_open(f.fd, "pins", &p));
	assert_true(pins_find(p, "a b", &c));
	pins_close(p);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		with_digest(&f, bad[i]);
		assert_bad(ERR_CORRUPT, "pins", pins_open(f.fd, "pins", &p));
	}
	folder_remove(&f);
}

// What could not be written is not remembered: nothing may be answered on its ground.
static void test_not_written(void **state)
{
	struct folder f;
	struct pins *p;
	struct checkpoint c = at_size("a", 5), seen;
	folder_make(&f);
	assert_good(pins_open(f.fd, "pins", &p));
	assert_good(pins_advance(p, &c, NULL));
	assert_int_equal(mkdirat(f.fd, ".pins.new", 0700), 0); // stands in the writer's way
	c = at_size("a", 9);
	struct merkle_proof proof = from_to(5, 9);
	assert_bad(ERR_IO, NULL, pins_advance(p, &c, &proof));
	assert_true(pins_find(p, "a", &seen) && seen.size == 5);
	c = at_size("b", 9);
	assert_bad(ERR_IO, NULL, pins_advance(p, &c, NULL));
	assert_false(pins_find(p, "b", &seen));
	assert_int_equal(unlinkat(f.fd, ".pins.new", AT_REMOVEDIR), 0);
	assert_good(pins_advance(p, &c, NULL));
	pins_close(p);
	folder_remove(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_advance),
		cmocka_unit_test(test_altered),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_not_written),
	};
	return cmocka_run_group_tests(tests, make_leaves, NULL);
}
