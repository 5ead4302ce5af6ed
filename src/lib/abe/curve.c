// SPDX-License-Identifier: Apache-2.0
#include "lib/abe/curve.h"

#include "lib/crypto/random.h"

#include <stdlib.h>
#include <string.h>

const blst_fr scalar_zero;

// --- scalars

void scalar_bytes(blst_scalar *out, const blst_fr *a)
{
	blst_scalar_from_fr(out, a);
}

void scalar_write(uint8_t out[static SCALAR_BYTES], const blst_fr *a)
{
	blst_scalar s;
	blst_scalar_from_fr(&s, a);
	blst_bendian_from_scalar(out, &s);
	secret_zero(&s, sizeof s);
}

struct err scalar_read(const uint8_t in[static SCALAR_BYTES], blst_fr *out)
{
	blst_scalar s;
	blst_scalar_from_bendian(&s, in);
	bool good = blst_sk_check(&s); // below r and not zero
	if (good)
		blst_fr_from_scalar(out, &s);
	secret_zero(&s, sizeof s);
	ENSURE(good, ERR_PEER, "scalar: zero, or not below the group order");
	return OK;
}

bool scalar_reduce(const uint8_t wide[static WIDE_BYTES], blst_fr *out)
{
	blst_scalar s;
	bool good = blst_scalar_from_be_bytes(&s, wide, WIDE_BYTES);
	blst_fr_from_scalar(out, &s);
	secret_zero(&s, sizeof s);
	return good;
}

struct err scalar_random(blst_fr *out)
{
	uint8_t wide[WIDE_BYTES];
	TRY(random_bytes(wide, sizeof wide));
	bool good = scalar_reduce(wide, out);
	secret_zero(wide, sizeof wide);
	ENSURE(good, ERR_INTERNAL, "random generator: zero scalar");
	return OK;
}

void scalar_small(blst_fr *out, uint64_t v)
{
	blst_fr_from_uint64(out, (const uint64_t[4]){v});
}

// --- points

struct err g1_read(const uint8_t in[static G1_BYTES], blst_p1_affine *out)
{
	ENSURE(blst_p1_uncompress(out, in) == BLST_SUCCESS && !blst_p1_affine_is_inf(out) &&
		       blst_p1_affine_in_g1(out),
	       ERR_PEER, "point of G1: not canonical, neutral, or not of the group");
	return OK;
}

struct err g2_read(const uint8_t in[static G2_BYTES], blst_p2_affine *out)
{
	ENSURE(blst_p2_uncompress(out, in) == BLST_SUCCESS && !blst_p2_affine_is_inf(out) &&
		       blst_p2_affine_in_g2(out),
	       ERR_PEER, "point of G2: not canonical, neutral, or not of the group");
	return OK;
}

void g1_hash(const void *message, size_t n, const char *tag, blst_p1_affine *out)
{
	blst_p1 p;
	blst_hash_to_g1(&p, message, n, (const byte *)tag, strlen(tag), NULL, 0);
	blst_p1_to_affine(out, &p);
}

void g1_mul(blst_p1 *out, const blst_p1_affine *p, const blst_fr *secret)
{
	blst_scalar s;
	blst_p1 point;
	blst_scalar_from_fr(&s, secret);
	blst_p1_from_affine(&point, p);
	blst_p1_mult(out, &point, s.b, 255);
	secret_zero(&s, sizeof s);
}

struct err g1_sum_public(blst_p1 *out, const blst_p1_affine *const *p, const blst_scalar *scalar,
			 size_t n, size_t bits)
{
	// blst takes arrays of pointers; a NULL behind the first says that the rest follows it.
	// With one point its prefetch would read a second.
	const byte *scalars[2] = {NULL, NULL};
	size_t step = (bits + 7) / 8;
	if (n == 1) {
		blst_p1_from_affine(out, p[0]);
		blst_p1_mult(out, out, scalar->b, bits);
		return OK;
	}
	scoped(heap) uint8_t *packed = malloc(n * step);
	scoped(heap) limb_t *scratch = malloc(blst_p1s_mult_pippenger_scratch_sizeof(n));
	ENSURE(packed && scratch, ERR_LIMIT, "out of memory");
	for (size_t i = 0; i < n; i++)
		memcpy(packed + i * step, scalar[i].b, step);
	scalars[0] = packed;
	blst_p1s_mult_pippenger(out, p, n, scalars, bits, scratch);
	return OK;
}

// --- pairing

struct err pairing_product(const struct pairing_term *t, size_t n, blst_fp12 *out)
{
	blst_pairing *ctx = malloc(blst_pairing_sizeof());
	ENSURE(ctx, ERR_LIMIT, "out of memory");
	blst_pairing_init(ctx, true, NULL, 0);
	bool neutral = n == 0;
	for (size_t i = 0; i < n; i++)
		neutral |= blst_p1_affine_is_inf(&t[i].p) || blst_p2_affine_is_inf(&t[i].q);
	for (size_t i = 0; !neutral && i < n; i++)
		blst_pairing_raw_aggregate(ctx, &t[i].q, &t[i].p);
	if (!neutral) {
		blst_pairing_commit(ctx);
		blst_final_exp(out, blst_pairing_as_fp12(ctx));
	}
	secret_zero(ctx, blst_pairing_sizeof());
	free(ctx);
	ENSURE(!neutral, ERR_INTERNAL, "pairing: a neutral element");
	return OK;
}
