// SPDX-License-Identifier: Apache-2.0
// Inside lib/abe, and for tests that need the randomness in their hands.
#pragma once

#include "lib/abe/abe.h"
#include "lib/abe/lsss.h"
#include "lib/base/cursor.h"

struct abe_master {
	struct secret *memory; // this struct lives in it
	blst_fr alpha;
	uint8_t public_hash[ABE_HASH];
};

// Attributes hashed to the curve; the home slot is overwritten when those after it are taken.
enum { CACHE = 2048, CACHE_PROBES = 8 };
struct cached {
	bool used;
	uint8_t hash[32];
	blst_p1_affine point;
};

struct abe_public {
	blst_fp12 a;
	uint8_t bytes[ABE_PUBLIC_BYTES], hash[ABE_HASH];
	struct cached cache[CACHE];
};

struct abe_key {
	struct secret *memory; // this struct and sk2 live in it
	struct attributes *attributes;
	uint8_t public_hash[ABE_HASH];
	blst_p2_affine sk1;
	blst_p1_affine sk3;
	blst_p1_affine sk2[];
};

// setup.c
// H_A, through the public key's cache or not. A cached point lasts until the next call.
void attribute_point(const struct attribute *a, blst_p1_affine *out);
const blst_p1_affine *attribute_point_cached(struct abe_public *p, const struct attribute *a);
void abe_header(struct buf *out, enum abe_kind kind);
// Takes the header of this kind from the cursor; ERR_PEER.
MUST_USE struct err abe_header_read(struct cursor *c, enum abe_kind kind);
MUST_USE struct err abe_setup_with(const blst_fr *alpha, struct abe_master **out);
MUST_USE struct err abe_keygen_with(const struct abe_master *m, const struct attributes *a,
				    const blst_fr *r, struct abe_key **out);

// kem.c: what the coins m decide.
struct coins {
	struct secret *memory;
	blst_fr *v;	 // s1, then the other columns
	blst_fr *spread; // s', policy_repeat of them
	blst_fr *share;	 // λ, policy_rows
	uint8_t context[32];
};
enum { COIN_BYTES = 32 };
MUST_USE struct err coins_make(const struct abe_public *p, const struct policy *policy,
			       const uint8_t m[static COIN_BYTES], struct coins *out);
void coins_clear(struct coins *c);
void abe_context(const struct abe_public *p, const struct policy *policy, uint8_t out[static 32]);
void abe_mask(const blst_fp12 *d, const uint8_t context[static 32], uint8_t out[static COIN_BYTES]);
MUST_USE struct err abe_shared(const uint8_t m[static COIN_BYTES], const uint8_t *ciphertext,
			       size_t n, uint8_t out[static ABE_SHARED]);
MUST_USE struct err abe_encapsulate_with(struct abe_public *p, const struct policy *policy,
					 const uint8_t m[static COIN_BYTES], struct buf *out,
					 uint8_t shared[static ABE_SHARED]);

// open.c
struct ciphertext { // decoded; points checked one by one
	struct policy *policy;
	uint8_t c0[COIN_BYTES];
	blst_p2_affine ct1;
	blst_p2_affine *ct2; // policy_repeat
	blst_p1_affine *ct3; // policy_rows
};
MUST_USE struct err ciphertext_read(const uint8_t *bytes, size_t n, struct ciphertext *out);
void ciphertext_clear(struct ciphertext *c);
MUST_USE struct err abe_pairing_decrypt(const struct abe_key *k, const struct ciphertext *c,
					blst_fp12 *d);
