// SPDX-License-Identifier: Apache-2.0
// The tree against published vectors, against a recursive one written straight from RFC 6962, and
// with every bit of every proof flipped.

#include "lib/tlog/merkle.h"
#include "test_crypto.h"

enum { LEAVES = 70 };

static struct merkle_hash leaves[LEAVES];

// RFC 6962 section 2.1, word for word.
static void mth(size_t begin, size_t n, struct merkle_hash *out)
{
	if (n == 0) {
		merkle_empty(out);
		return;
	}
	if (n == 1) {
		*out = leaves[begin];
		return;
	}
	size_t k = 1;
	while (k * 2 < n)
		k *= 2;
	struct merkle_hash left, right;
	mth(begin, k, &left);
	mth(begin + k, n - k, &right);
	merkle_node(&left, &right, out);
}

static struct err hash(void *ctx, unsigned level, uint64_t index, struct merkle_hash *out)
{
	size_t n = (size_t)1 << level;
	ENSURE((index + 1) << level <= LEAVES, ERR_INTERNAL, "asked for more than there is");
	mth((size_t)(index << level), n, out);
	return OK;
}

static const struct merkle_source source = {hash, NULL};

static int make_leaves(void **state)
{
	for (size_t i = 0; i < LEAVES; i++) {
		uint8_t entry[3] = {(uint8_t)i, 7, (uint8_t)(i * 3)};
		merkle_leaf(entry, i % 4, &leaves[i]);
	}
	return 0;
}

// --- vectors

static struct merkle_frontier published;
static struct merkle_hash published_leaves[8], published_roots[9];

static void root_case(const struct vector *v)
{
	const struct vector_field *leaf = vector_get(v, "leaf");
	struct merkle_hash h, root;
	merkle_leaf(leaf->bytes, leaf->len, &h);
	published_leaves[published.size] = h;
	merkle_append(&published, &h, NULL);
	merkle_root(&published, &root);
	published_roots[published.size] = root;
	assert_memory_equal(root.bytes, vector_get(v, "root")->bytes, MERKLE_HASH);
}

static struct err published_hash(void *ctx, unsigned level, uint64_t index, struct merkle_hash *out)
{
	struct merkle_frontier f = {0};
	for (uint64_t i = index << level; i < (index + 1) << level; i++)
		merkle_append(&f, &published_leaves[i], NULL);
	merkle_root(&f, out);
	return OK;
}

static void check_proof(const struct vector *v, const struct merkle_proof *p)
{
	const struct vector_field *want = vector_get(v, "proof");
	assert_int_equal(p->n * MERKLE_HASH, want->len);
	assert_memory_equal(p->at, want->bytes, want->len);
}

static void inclusion_case(const struct vector *v)
{
	const struct merkle_source s = {published_hash, NULL};
	uint64_t index = vector_get(v, "index")->bytes[0], size = vector_get(v, "size")->bytes[0];
	struct merkle_proof p;
	assert_good(merkle_inclusion(&s, size, index, &p));
	check_proof(v, &p);
	assert_good(merkle_check_inclusion(&published_leaves[index], index, size,
					   &published_roots[size], p.at, p.n));
}

static void consistency_case(const struct vector *v)
{
	const struct merkle_source s = {published_hash, NULL};
	uint64_t old = vector_get(v, "old")->bytes[0], size = vector_get(v, "size")->bytes[0];
	struct merkle_proof p;
	assert_good(merkle_consistency(&s, old, size, &p));
	check_proof(v, &p);
	assert_good(merkle_check_consistency(old, &published_roots[old], size,
					     &published_roots[size], p.at, p.n));
}

static void test_vectors(void **state)
{
	static const uint8_t empty[] = {0xe3, 0xb0, 0xc4, 0x42,
					0x98, 0xfc, 0x1c, 0x14}; // SHA-256("")
	struct merkle_hash h;
	merkle_root(&published, &h);
	assert_memory_equal(h.bytes, empty, sizeof empty);
	assert_int_equal(vectors_run("merkle_roots.txt", root_case), 8);
	assert_int_equal(vectors_run("merkle_inclusion.txt", inclusion_case), 5);
	assert_int_equal(vectors_run("merkle_consistency.txt", consistency_case), 4);
}

// --- the growing edge

static void test_frontier(void **state)
{
	struct merkle_frontier f = {0};
	struct merkle_hash is, want;
	for (size_t n = 0; n <= LEAVES; n++) {
		mth(0, n, &want);
		merkle_root(&f, &is);
		assert_true(merkle_equal(&is, &want));
		struct merkle_frontier loaded;
		assert_good(merkle_load(&source, n, &loaded));
		assert_int_equal(loaded.size, n);
		merkle_root(&loaded, &is);
		assert_true(merkle_equal(&is, &want));
		if (n < LEAVES)
			merkle_append(&f, &leaves[n], NULL);
	}
	assert_bad(ERR_USAGE, "2^63", merkle_load(&source, (uint64_t)1 << 63, &f));
}

static void test_full(void **state)
{
	struct merkle_frontier f = {0};
	struct merkle_hash full[MERKLE_STRIDE], want[257];
	unsigned tiles = 0;
	for (size_t i = 0; i < 65536; i++) {
		unsigned n = merkle_append(&f, &leaves[i % LEAVES], full);
		assert_int_equal(n, (i + 1) % 256 ? 0 : i == 65535 ? 2 : 1);
		if (n)
			want[tiles++] = full[0];
	}
	struct merkle_frontier above = {0};
	for (unsigned i = 0; i < tiles; i++)
		merkle_append(&above, &want[i], NULL);
	merkle_root(&above, &want[256]);
	assert_true(merkle_equal(&want[256], &full[1]));
}

// --- proofs

static void test_inclusion(void **state)
{
	for (uint64_t size = 1; size <= LEAVES; size++) {
		struct merkle_hash root;
		mth(0, (size_t)size, &root);
		for (uint64_t index = 0; index < size; index++) {
			struct merkle_proof p;
			assert_good(merkle_inclusion(&source, size, index, &p));
			assert_good(merkle_check_inclusion(&leaves[index], index, size, &root, p.at,
							   p.n));
			uint64_t other = (index + 1) % size;
			if (size > 1 && !merkle_equal(&leaves[index], &leaves[other]))
				assert_bad(ERR_CORRUPT, NULL,
					   merkle_check_inclusion(&leaves[other], index, size,
								  &root, p.at, p.n));
			p.at[p.n] = root;
			assert_bad(ERR_CORRUPT, NULL,
				   merkle_check_inclusion(&leaves[index], index, size, &root, p.at,
							  p.n + 1));
			if (p.n)
				assert_bad(ERR_CORRUPT, NULL,
					   merkle_check_inclusion(&leaves[index], index, size,
								  &root, p.at, p.n - 1));
		}
	}
	struct merkle_proof p;
	assert_bad(ERR_USAGE, NULL, merkle_inclusion(&source, 5, 5, &p));
	assert_bad(ERR_CORRUPT, NULL,
		   merkle_check_inclusion(&leaves[0], 0, 0, &leaves[0], p.at, 0));
	assert_bad(ERR_CORRUPT, NULL,
		   merkle_check_inclusion(&leaves[0], 0, UINT64_MAX, &leaves[0], p.at, 0));
}

static void test_consistency(void **state)
{
	struct merkle_hash roots[LEAVES + 1];
	for (size_t n = 0; n <= LEAVES; n++)
		mth(0, n, &roots[n]);
	for (uint64_t size = 0; size <= LEAVES; size++)
		for (uint64_t old = 0; old <= size; old++) {
			struct merkle_proof p;
			assert_good(merkle_consistency(&source, old, size, &p));
			assert_good(merkle_check_consistency(old, &roots[old], size, &roots[size],
							     p.at, p.n));
			const struct merkle_hash *wrong = &roots[(old + 1) % (LEAVES + 1)];
			assert_bad(ERR_CORRUPT, NULL,
				   merkle_check_consistency(old, wrong, size, &roots[size], p.at,
							    p.n));
			wrong = &roots[(size + 1) % (LEAVES + 1)];
			if (old) // everything extends the empty tree
				assert_bad(ERR_CORRUPT, NULL,
					   merkle_check_consistency(old, &roots[old], size, wrong,
								    p.at, p.n));
			p.at[p.n] = roots[1];
			assert_bad(ERR_CORRUPT, NULL,
				   merkle_check_consistency(old, &roots[old], size, &roots[size],
							    p.at, p.n + 1));
			if (p.n)
				assert_bad(ERR_CORRUPT, NULL,
					   merkle_check_consistency(old, &roots[old], size,
								    &roots[size], p.at, p.n - 1));
		}
	struct merkle_proof p;
	assert_bad(ERR_USAGE, NULL, merkle_consistency(&source, 6, 5, &p));
	assert_bad(ERR_CORRUPT, NULL,
		   merkle_check_consistency(6, &roots[6], 5, &roots[5], p.at, 0));
}

static void test_flips(void **state)
{
	enum { OLD = 21, SIZE = 67, INDEX = 40 };
	struct merkle_hash old, root;
	struct merkle_proof p;
	mth(0, OLD, &old);
	mth(0, SIZE, &root);
	assert_good(merkle_consistency(&source, OLD, SIZE, &p));
	for (size_t bit = 0; bit < p.n * 256; bit++) {
		p.at[bit / 256].bytes[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
		assert_bad(ERR_CORRUPT, NULL,
			   merkle_check_consistency(OLD, &old, SIZE, &root, p.at, p.n));
		p.at[bit / 256].bytes[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_good(merkle_inclusion(&source, SIZE, INDEX, &p));
	for (size_t bit = 0; bit < p.n * 256; bit++) {
		p.at[bit / 256].bytes[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
		assert_bad(ERR_CORRUPT, NULL,
			   merkle_check_inclusion(&leaves[INDEX], INDEX, SIZE, &root, p.at, p.n));
		p.at[bit / 256].bytes[bit % 256 / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),	    cmocka_unit_test(test_frontier),
		cmocka_unit_test(test_full),	    cmocka_unit_test(test_inclusion),
		cmocka_unit_test(test_consistency), cmocka_unit_test(test_flips),
	};
	return cmocka_run_group_tests(tests, make_leaves, NULL);
}
