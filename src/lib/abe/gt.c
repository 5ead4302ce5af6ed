// SPDX-License-Identifier: Apache-2.0
// GT, the subgroup of order r of Fp12*: powers and decoding, which blst does not have.
//
// The curve's parameter is z = -|z|, |z| = 0xd201000000010000, r = z^4 - z^2 + 1, and the Frobenius
// map is the power p, where p = z modulo r. So a^|z| is the conjugate of frobenius(a), and with
// s = s0 + s1 |z| + s2 |z|^2 + s3 |z|^3, each s_i < |z| < 2^64,
//     a^s = a^s0 * (conj frob a)^s1 * (frob^2 a)^s2 * (conj frob^3 a)^s3:
// 64 squarings, and 64 products with one of 16 combinations of the four, picked without a
// secret-dependent index.

#include "lib/abe/curve.h"

#include <string.h>

enum { PARTS = 4, COMBINATIONS = 16, LIMBS = sizeof(blst_fp12) / sizeof(limb_t) };
#define Z_ABSOLUTE UINT64_C(0xd201000000010000)

// a /= |z|; returns the remainder. Bit by bit, the same steps for every a.
static uint64_t divide_by_z(uint64_t a[4])
{
	uint64_t rest = 0;
	for (int bit = 255; bit >= 0; bit--) {
		uint64_t carry = rest >> 63;
		rest = rest << 1 | (a[bit / 64] >> (bit % 64) & 1);
		uint64_t low = rest - Z_ABSOLUTE;
		uint64_t borrow = ((~rest & Z_ABSOLUTE) | ((~rest | Z_ABSOLUTE) & low)) >> 63;
		uint64_t take = carry | (borrow ^ 1); // rest, of 65 bits, is at least |z|
		rest = (rest & (take - 1)) | (low & (0 - take));
		a[bit / 64] = (a[bit / 64] & ~(UINT64_C(1) << (bit % 64))) | take << (bit % 64);
	}
	return rest;
}

static void pick(blst_fp12 *out, const blst_fp12 table[COMBINATIONS], unsigned index)
{
	limb_t *to = (limb_t *)out;
	memset(out, 0, sizeof *out);
	for (unsigned d = 0; d < COMBINATIONS; d++) {
		const limb_t *from = (const limb_t *)&table[d];
		limb_t mask = (limb_t)0 - (limb_t)(((uint32_t)(d ^ index) - 1u) >> 31);
		for (size_t i = 0; i < LIMBS; i++)
			to[i] |= from[i] & mask;
	}
}

static void fill_table(blst_fp12 table[COMBINATIONS], const blst_fp12 *base)
{
	table[0] = *blst_fp12_one();
	table[1] = *base;
	for (unsigned part = 1; part < PARTS; part++) {
		blst_fp12 *p = &table[1u << part];
		blst_fp12_frobenius_map(p, base, part);
		if (part % 2)
			blst_fp12_conjugate(p);
	}
	for (unsigned i = 3; i < COMBINATIONS; i++)
		if (i & (i - 1)) // not one of the four
			blst_fp12_mul(&table[i], &table[i & (i - 1)], &table[i & -i]);
}

void gt_pow(blst_fp12 *out, const blst_fp12 *base, const blst_fr *secret)
{
	blst_fp12 table[COMBINATIONS], result = *blst_fp12_one(), entry;
	blst_scalar s;
	uint64_t quotient[4], part[PARTS];
	blst_scalar_from_fr(&s, secret);
	blst_uint64_from_scalar(quotient, &s);
	for (unsigned i = 0; i < PARTS; i++)
		part[i] = divide_by_z(quotient);
	fill_table(table, base);
	for (int bit = 63; bit >= 0; bit--) {
		unsigned index = 0;
		for (unsigned i = 0; i < PARTS; i++)
			index |= (unsigned)(part[i] >> bit & 1) << i;
		pick(&entry, table, index);
		blst_fp12_cyclotomic_sqr(&result, &result);
		blst_fp12_mul(&result, &result, &entry);
	}
	*out = result;
	secret_zero(&s, sizeof s);
	secret_zero(quotient, sizeof quotient);
	secret_zero(part, sizeof part);
	secret_zero(&result, sizeof result);
	secret_zero(&entry, sizeof entry);
}

void gt_write(uint8_t out[static GT_BYTES], const blst_fp12 *a)
{
	for (size_t w = 0; w < 2; w++)
		for (size_t v = 0; v < 3; v++)
			for (size_t u = 0; u < 2; u++, out += 48)
				blst_bendian_from_fp(out, &a->fp6[w].fp2[v].fp[u]);
}

struct err gt_read(const uint8_t in[static GT_BYTES], blst_fp12 *out)
{
	uint8_t again[GT_BYTES];
	const uint8_t *at = in;
	for (size_t w = 0; w < 2; w++)
		for (size_t v = 0; v < 3; v++)
			for (size_t u = 0; u < 2; u++, at += 48)
				blst_fp_from_bendian(&out->fp6[w].fp2[v].fp[u], at);
	gt_write(again, out); // a coefficient that is not below p comes back reduced
	ENSURE(memcmp(again, in, GT_BYTES) == 0 && blst_fp12_in_group(out) &&
		       !blst_fp12_is_one(out),
	       ERR_PEER, "element of GT: not canonical, neutral, or not of the group");
	return OK;
}
