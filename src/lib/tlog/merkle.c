// SPDX-License-Identifier: Apache-2.0
// Every range that a proof needs begins at a multiple of the largest power of two that fits in it,
// so its root is folded from full subtrees, one per set bit of its length, the smallest first.
// Those come from a source (a tile holds each eighth level), so no part of the tree is ever walked
// leaf by leaf and the work is logarithmic.

#include "lib/tlog/merkle.h"

#include "lib/base/log.h"
#include "lib/crypto/hash.h"

#include <stdlib.h>
#include <string.h>

void merkle_leaf(const void *entry, size_t n, struct merkle_hash *out)
{
	static const uint8_t prefix = 0; // RFC 6962 section 2.1: leaves and nodes never collide
	hash_parts((struct hash_part[]){{&prefix, 1}, {entry, n}}, 2, out->bytes);
}

void merkle_node(const struct merkle_hash *left, const struct merkle_hash *right,
		 struct merkle_hash *out)
{
	uint8_t both[1 + 2 * MERKLE_HASH] = {1};
	memcpy(both + 1, left->bytes, MERKLE_HASH);
	memcpy(both + 1 + MERKLE_HASH, right->bytes, MERKLE_HASH);
	hash_sha256(both, sizeof both, out->bytes);
}

void merkle_empty(struct merkle_hash *out)
{
	hash_sha256("", 0, out->bytes);
}

bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b)
{
	return memcmp(a->bytes, b->bytes, MERKLE_HASH) == 0; // public values: no constant time
}

unsigned merkle_append(struct merkle_frontier *f, const struct merkle_hash *leaf,
		       struct merkle_hash full[MERKLE_STRIDE])
{
	struct merkle_hash h = *leaf;
	unsigned level = 0, n = 0;
	if (f->size >= INT64_MAX) { // at one leaf each nanosecond: 292 years
		log_error("a Merkle tree has no room for another leaf");
		abort();
	}
	for (; f->size >> level & 1;) {
		merkle_node(&f->at[level], &h, &h);
		if (++level % MERKLE_STRIDE == 0 && full)
			full[n++] = h;
	}
	f->at[level] = h;
	f->size++;
	return full ? n : level / MERKLE_STRIDE;
}

void merkle_root(const struct merkle_frontier *f, struct merkle_hash *out)
{
	bool begun = false;
	struct merkle_hash h;
	merkle_empty(&h);
	for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
		if (!(f->size >> level & 1))
			continue;
		if (begun)
			merkle_node(&f->at[level], &h, &h);
		else
			h = f->at[level];
		begun = true;
	}
	*out = h;
}

// --- proofs

// The root of leaves [begin, end), which is not empty.
static struct err range(const struct merkle_source *s, uint64_t begin, uint64_t end,
			struct merkle_hash *out)
{
	uint64_t n = end - begin;
	bool begun = false;
	struct merkle_hash h;
	for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
		if (!(n >> level & 1))
			continue;
		end -= (uint64_t)1 << level; // this subtree is the last of what is left
		TRY(s->hash(s->ctx, level, end >> level, &h));
		if (begun)
			merkle_node(&h, out, out);
		else
			*out = h;
		begun = true;
	}
	return OK;
}

// The largest power of two below n, which is at least 2.
static uint64_t split(uint64_t n)
{
	return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

static struct err collect(const struct merkle_source *s, uint64_t begin, uint64_t end,
			  struct merkle_proof *out)
{
	ENSURE(out->n < MERKLE_PROOF_MAX, ERR_INTERNAL, "a proof of more than %d hashes",
	       MERKLE_PROOF_MAX);
	return range(s, begin, end, &out->at[out->n++]);
}

// The descent finds the hash next to the root first.
static void reverse(struct merkle_proof *p)
{
	for (size_t i = 0; i < p->n / 2; i++) {
		struct merkle_hash h = p->at[i];
		p->at[i] = p->at[p->n - 1 - i];
		p->at[p->n - 1 - i] = h;
	}
}

struct err merkle_load(const struct merkle_source *s, uint64_t size, struct merkle_frontier *out)
{
	ENSURE(size <= INT64_MAX, ERR_USAGE, "a tree of %llu leaves: sizes stay below 2^63",
	       (unsigned long long)size);
	*out = (struct merkle_frontier){.size = size};
	for (unsigned level = 0; level < MERKLE_LEVELS; level++)
		if (size >> level & 1)
			TRY(s->hash(s->ctx, level, (size >> level) - 1, &out->at[level]));
	return OK;
}

struct err merkle_inclusion(const struct merkle_source *s, uint64_t size, uint64_t index,
			    struct merkle_proof *out)
{
	out->n = 0;
	ENSURE(size <= INT64_MAX && index < size, ERR_USAGE, "entry %llu of a tree of %llu",
	       (unsigned long long)index, (unsigned long long)size);
	uint64_t begin = 0, end = size;
	while (end - begin > 1) { // RFC 6962 section 2.1.1
		uint64_t middle = begin + split(end - begin);
		if (index < middle) {
			TRY(collect(s, middle, end, out));
			end = middle;
		} else {
			TRY(collect(s, begin, middle, out));
			begin = middle;
		}
	}
	reverse(out);
	return OK;
}

struct err merkle_consistency(const struct merkle_source *s, uint64_t old, uint64_t size,
			      struct merkle_proof *out)
{
	out->n = 0;
	ENSURE(size <= INT64_MAX && old <= size, ERR_USAGE, "from %llu to %llu leaves",
	       (unsigned long long)old, (unsigned long long)size);
	if (old == 0 || old == size)
		return OK;
	uint64_t begin = 0, end = size;
	while (old != end) { // RFC 6962 section 2.1.2
		uint64_t middle = begin + split(end - begin);
		if (old <= middle) {
			TRY(collect(s, middle, end, out));
			end = middle;
		} else {
			TRY(collect(s, begin, middle, out));
			begin = middle;
		}
	}
	if (begin > 0) // else it is the old root, which the verifier has
		TRY(collect(s, begin, end, out));
	reverse(out);
	return OK;
}

// --- verification

static void climb(uint64_t *node, uint64_t *last)
{
	*node >>= 1;
	*last >>= 1;
}

struct err merkle_check_inclusion(const struct merkle_hash *leaf, uint64_t index, uint64_t size,
				  const struct merkle_hash *root, const struct merkle_hash *proof,
				  size_t n)
{
	ENSURE(size <= INT64_MAX && index < size, ERR_CORRUPT, "entry %llu of a tree of %llu",
	       (unsigned long long)index, (unsigned long long)size);
	struct merkle_hash h = *leaf;
	uint64_t node = index, last = size - 1;
	for (size_t i = 0; i < n; i++) { // RFC 9162 section 2.1.3.2
		ENSURE(last, ERR_CORRUPT, "inclusion of %llu in %llu: the proof is too long",
		       (unsigned long long)index, (unsigned long long)size);
		if (node & 1 || node == last) {
			merkle_node(&proof[i], &h, &h);
			while (!(node & 1) && node)
				climb(&node, &last);
		} else {
			merkle_node(&h, &proof[i], &h);
		}
		climb(&node, &last);
	}
	ENSURE(last == 0, ERR_CORRUPT, "inclusion of %llu in %llu: the proof is too short",
	       (unsigned long long)index, (unsigned long long)size);
	ENSURE(merkle_equal(&h, root), ERR_CORRUPT,
	       "inclusion of %llu in %llu: the proof leads to another root",
	       (unsigned long long)index, (unsigned long long)size);
	return OK;
}

// RFC 9162 section 2.1.4.2, for 0 < old < size and n > 0.
static bool consistent(uint64_t old, const struct merkle_hash *old_root, uint64_t size,
		       const struct merkle_hash *root, const struct merkle_hash *proof, size_t n)
{
	uint64_t node = old - 1, last = size - 1;
	size_t i = 0;
	while (node & 1)
		climb(&node, &last);
	// A full old tree is a node of the new one, and its root is the proof's first hash.
	const struct merkle_hash *first = old & (old - 1) ? &proof[i++] : old_root;
	struct merkle_hash a = *first, b = *first;
	for (; i < n; i++) {
		if (!last)
			return false;
		if (node & 1 || node == last) {
			merkle_node(&proof[i], &a, &a);
			merkle_node(&proof[i], &b, &b);
			while (!(node & 1) && node)
				climb(&node, &last);
		} else {
			merkle_node(&b, &proof[i], &b);
		}
		climb(&node, &last);
	}
	return last == 0 && merkle_equal(&a, old_root) && merkle_equal(&b, root);
}

struct err merkle_check_consistency(uint64_t old, const struct merkle_hash *old_root, uint64_t size,
				    const struct merkle_hash *root, const struct merkle_hash *proof,
				    size_t n)
{
	bool good = size <= INT64_MAX && old <= size;
	if (good && old == 0) { // each tree extends the empty one
		struct merkle_hash empty;
		merkle_empty(&empty);
		good = n == 0 && merkle_equal(&empty, old_root) &&
		       (size || merkle_equal(&empty, root));
	} else if (good && old == size) {
		good = n == 0 && merkle_equal(old_root, root);
	} else if (good) {
		good = n > 0 && consistent(old, old_root, size, root, proof, n);
	}
	ENSURE(good, ERR_CORRUPT, "the tree of %llu leaves does not extend that of %llu",
	       (unsigned long long)size, (unsigned long long)old);
	return OK;
}
