// SPDX-License-Identifier: Apache-2.0
// The Merkle tree of RFC 6962 section 2.1: a leaf is SHA-256(0x00 || entry), a node SHA-256(0x01 ||
// left || right), an empty tree SHA-256(""); a tree of n leaves splits at the largest power of two
// below n. Pure: no file, no socket. X.2011 8.3.3-9.
// Used by repository (grows the ledger, makes proofs), agent, CLI and witness (verify).
#pragma once

#include "lib/base/mem.h"

enum {
	MERKLE_HASH = 32,
	MERKLE_PROOF_MAX = 63, // hashes in the longest proof: sizes stay below 2^63
	MERKLE_LEVELS = 63,
	MERKLE_STRIDE = 8, // tree levels in one tile level
};

struct merkle_hash {
	uint8_t bytes[MERKLE_HASH];
};

void merkle_leaf(const void *entry, size_t n, struct merkle_hash *out);
void merkle_node(const struct merkle_hash *left, const struct merkle_hash *right,
		 struct merkle_hash *out); // `out` may be one of the two
void merkle_empty(struct merkle_hash *out);
bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b);

// The right edge of a growing tree: at[k] is the root of a full subtree of 2^k leaves where bit k
// of `size` is set, and undefined elsewhere. Plain data: {0} is the empty tree; copy it at will.
struct merkle_frontier {
	uint64_t size;
	struct merkle_hash at[MERKLE_LEVELS];
};

// Appends a leaf hash: amortised one node hash. When `full` is not NULL, full[i] receives the root
// of each subtree of 256^(i+1) leaves that this leaf completes. Returns how many (0 to 7).
unsigned merkle_append(struct merkle_frontier *f, const struct merkle_hash *leaf,
		       struct merkle_hash full[MERKLE_STRIDE]);
void merkle_root(const struct merkle_frontier *f, struct merkle_hash *out);

// Whence a proof's hashes come: the root of the full subtree of 2^level leaves which begins at leaf
// index << level. tiles.h has one over tiles.
struct merkle_source {
	struct err (*hash)(void *ctx, unsigned level, uint64_t index, struct merkle_hash *out);
	void *ctx;
};

struct merkle_proof {
	struct merkle_hash at[MERKLE_PROOF_MAX]; // from the leaf upwards
	size_t n;
};

// The right edge, root and proofs of the tree's first `size` leaves. Errors: the source's;
// ERR_USAGE for an index or size outside.
MUST_USE struct err merkle_load(const struct merkle_source *s, uint64_t size,
				struct merkle_frontier *out);
MUST_USE struct err merkle_inclusion(const struct merkle_source *s, uint64_t size, uint64_t index,
				     struct merkle_proof *out);
// From the tree of `old` leaves to that of `size`. Empty when old is 0 or size.
MUST_USE struct err merkle_consistency(const struct merkle_source *s, uint64_t old, uint64_t size,
				       struct merkle_proof *out);

// RFC 9162 sections 2.1.3.2 and 2.1.4.2. ERR_CORRUPT: the proof does not lead to the root(s).
MUST_USE struct err merkle_check_inclusion(const struct merkle_hash *leaf, uint64_t index,
					   uint64_t size, const struct merkle_hash *root,
					   const struct merkle_hash *proof, size_t n);
MUST_USE struct err merkle_check_consistency(uint64_t old, const struct merkle_hash *old_root,
					     uint64_t size, const struct merkle_hash *root,
					     const struct merkle_hash *proof, size_t n);
