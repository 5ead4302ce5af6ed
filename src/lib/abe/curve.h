// SPDX-License-Identifier: Apache-2.0
// BLS12-381 over blst: what blst has, checked at the door, and what it lacks: fixed-base
// multiplication in constant time, powers in GT, decoding of GT.
//
// Points come in only through g1_read, g2_read and gt_read: canonical encoding, on the curve, in
// the subgroup of order r, and not the neutral element, each point by itself (the cofactor of G1
// has small factors, so that a check of a random combination could be fooled). Everything named
// secret here is handled without branches or indices that depend on it. Used inside lib/abe.
#pragma once

#include "lib/base/mem.h"

#include <blst.h>

enum { SCALAR_BYTES = 32, G1_BYTES = 48, G2_BYTES = 96, GT_BYTES = 576, WIDE_BYTES = 48 };

// --- scalars modulo r
void scalar_write(uint8_t out[static SCALAR_BYTES], const blst_fr *a); // big-endian
// Canonical (below r) and not zero; ERR_PEER.
MUST_USE struct err scalar_read(const uint8_t in[static SCALAR_BYTES], blst_fr *out);
// 48 uniform bytes, big-endian, modulo r (RFC 9380 section 5.2). False: zero.
bool scalar_reduce(const uint8_t wide[static WIDE_BYTES], blst_fr *out);
MUST_USE struct err scalar_random(blst_fr *out); // not zero
void scalar_small(blst_fr *out, uint64_t v);
void scalar_bytes(blst_scalar *out, const blst_fr *a); // little-endian, for blst's functions
extern const blst_fr scalar_zero;

// --- points
MUST_USE struct err g1_read(const uint8_t in[static G1_BYTES], blst_p1_affine *out); // ERR_PEER
MUST_USE struct err g2_read(const uint8_t in[static G2_BYTES], blst_p2_affine *out); // ERR_PEER
// RFC 9380 hash-to-curve, BLS12381G1_XMD:SHA-256_SSWU_RO_ with this tag.
void g1_hash(const void *message, size_t n, const char *tag, blst_p1_affine *out);
void g1_mul(blst_p1 *out, const blst_p1_affine *p, const blst_fr *secret);
// Σ scalar[i] p[i], Pippenger: of public scalars and points only. `bits` of each scalar.
MUST_USE struct err g1_sum_public(blst_p1 *out, const blst_p1_affine *const *p,
				  const blst_scalar *scalar, size_t n, size_t bits);

// --- fixed bases: 64 windows of 4 bits, every entry of a window touched
enum base { BASE_G1, BASE_BLIND, BASES_G1 }; // the generator of G1; h_b
void base_mul_g1(blst_p1 *out, enum base base, const blst_fr *secret);
void base_mul_g2(blst_p2 *out, const blst_fr *secret);
const blst_p1_affine *base_blind(void); // h_b

// --- pairing
struct pairing_term {
	blst_p1_affine p;
	blst_p2_affine q;
};
// Π e(p, q); none may be the neutral element (ERR_INTERNAL).
MUST_USE struct err pairing_product(const struct pairing_term *t, size_t n, blst_fp12 *out);

// --- GT, written as 12 coefficients of 48 bytes, big-endian: for Fp12 = Fp6[w], Fp6 = Fp2[v],
// Fp2 = Fp[u], in order of the powers of w, then v, then u, from the lowest.
void gt_write(uint8_t out[static GT_BYTES], const blst_fp12 *a);
MUST_USE struct err gt_read(const uint8_t in[static GT_BYTES], blst_fp12 *out); // ERR_PEER
void gt_pow(blst_fp12 *out, const blst_fp12 *base, const blst_fr *secret);
