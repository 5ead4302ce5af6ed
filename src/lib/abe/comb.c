// SPDX-License-Identifier: Apache-2.0
// Multiplication of fixed bases. Table of base B: entry [i][d] = d * 16^i * B, affine, d = 0
// neutral; s * B is the sum of one entry of each of 64 windows. Every window is read whole,
// whatever the digit, so that neither time nor the cache tells the digit.
//
// The sum runs from the lowest window up: before window i it is a * B with a < 16^i, and what is
// added is d * 16^i * B. The two are equal only if both are neutral, because s < r; so the addition
// needs no doubling case. Tables: 2 x 96 KiB (G1), 192 KiB (G2), made once a process.

#include "lib/abe/curve.h"

#include <pthread.h>
#include <stdlib.h>

enum { WINDOWS = 64, DIGITS = 16 };

static blst_p1_affine table_g1[BASES_G1][WINDOWS][DIGITS];
static blst_p2_affine table_g2[WINDOWS][DIGITS];
static blst_p1_affine blind;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char blind_tag[] = "GEMEL-ABE-V01-BLIND-with-BLS12381G1_XMD:SHA-256_SSWU_RO_";

// blst's conversion of many points takes their addresses; NULL behind the first: they follow it.
static void fill_g1(blst_p1_affine table[WINDOWS][DIGITS], const blst_p1_affine *base)
{
	blst_p1 row[DIGITS], step;
	const blst_p1 *from[2] = {row + 1, NULL};
	blst_p1_from_affine(&step, base);
	for (size_t i = 0; i < WINDOWS; i++) {
		row[1] = step;
		for (size_t d = 2; d < DIGITS; d++)
			blst_p1_add_or_double(&row[d], &row[d - 1], &step);
		blst_p1_add_or_double(&step, &row[DIGITS - 1], &step);
		blst_p1s_to_affine(table[i] + 1, from, DIGITS - 1);
	}
}

static void fill_g2(const blst_p2_affine *base)
{
	blst_p2 row[DIGITS], step;
	const blst_p2 *from[2] = {row + 1, NULL};
	blst_p2_from_affine(&step, base);
	for (size_t i = 0; i < WINDOWS; i++) {
		row[1] = step;
		for (size_t d = 2; d < DIGITS; d++)
			blst_p2_add_or_double(&row[d], &row[d - 1], &step);
		blst_p2_add_or_double(&step, &row[DIGITS - 1], &step);
		blst_p2s_to_affine(table_g2[i] + 1, from, DIGITS - 1);
	}
}

static void fill(void)
{
	g1_hash("h_b", 3, blind_tag, &blind);
	fill_g1(table_g1[BASE_G1], blst_p1_affine_generator());
	fill_g1(table_g1[BASE_BLIND], &blind);
	fill_g2(blst_p2_affine_generator());
}

const blst_p1_affine *base_blind(void)
{
	pthread_once(&once, fill);
	return &blind;
}

// out = window[digit], all entries read.
static void pick(limb_t *out, const limb_t *window, size_t limbs, unsigned digit)
{
	for (size_t i = 0; i < limbs; i++)
		out[i] = 0;
	for (unsigned d = 0; d < DIGITS; d++) {
		limb_t mask = (limb_t)0 - (limb_t)(((uint32_t)(d ^ digit) - 1u) >> 31);
		for (size_t i = 0; i < limbs; i++)
			out[i] |= window[d * limbs + i] & mask;
	}
}

static unsigned digit_of(const blst_scalar *s, size_t i)
{
	return s->b[i / 2] >> (i % 2 * 4) & 15;
}

void base_mul_g1(blst_p1 *out, enum base base, const blst_fr *secret)
{
	blst_scalar s;
	blst_p1 sum = {0}; // neutral: z = 0
	blst_p1_affine entry;
	pthread_once(&once, fill);
	blst_scalar_from_fr(&s, secret);
	for (size_t i = 0; i < WINDOWS; i++) {
		pick((limb_t *)&entry, (const limb_t *)table_g1[base][i],
		     sizeof entry / sizeof(limb_t), digit_of(&s, i));
		blst_p1_add_affine(&sum, &sum, &entry);
	}
	*out = sum;
	secret_zero(&s, sizeof s);
	secret_zero(&sum, sizeof sum);
	secret_zero(&entry, sizeof entry);
}

void base_mul_g2(blst_p2 *out, const blst_fr *secret)
{
	blst_scalar s;
	blst_p2 sum = {0};
	blst_p2_affine entry;
	pthread_once(&once, fill);
	blst_scalar_from_fr(&s, secret);
	for (size_t i = 0; i < WINDOWS; i++) {
		pick((limb_t *)&entry, (const limb_t *)table_g2[i], sizeof entry / sizeof(limb_t),
		     digit_of(&s, i));
		blst_p2_add_affine(&sum, &sum, &entry);
	}
	*out = sum;
	secret_zero(&s, sizeof s);
	secret_zero(&sum, sizeof sum);
	secret_zero(&entry, sizeof entry);
}
