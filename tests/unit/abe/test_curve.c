// SPDX-License-Identifier: Apache-2.0
// What is built on blst, against published vectors and against slow ways to the same; and what must
// not come in.
#include "test_abe.h"

// --- RFC 9380

static void hash_case(const struct vector *v)
{
	scoped(buf) struct buf message = {0}, x = {0}, y = {0};
	uint8_t out[96];
	blst_p1_affine p;
	vector_bytes(v, "message", &message);
	vector_bytes(v, "x", &x);
	vector_bytes(v, "y", &y);
	g1_hash(message.data, message.len, "QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_",
		&p);
	blst_p1_affine_serialize(out, &p);
	assert_memory_equal(out, x.data, 48);
	assert_memory_equal(out + 48, y.data, 48);
}

static void expand_case(const struct vector *v)
{
	scoped(buf) struct buf tag = {0}, message = {0}, want = {0};
	uint8_t out[256];
	vector_bytes(v, "tag", &tag);
	vector_bytes(v, "message", &message);
	vector_bytes(v, "bytes", &want);
	blst_expand_message_xmd(out, want.len, message.data, message.len, tag.data, tag.len);
	assert_memory_equal(out, want.data, want.len);
}

static void test_rfc9380(void **state)
{
	assert_int_equal(vectors_run("bls12381g1_hash.txt", hash_case), 5);
	assert_int_equal(vectors_run("expand_message_xmd_sha256.txt", expand_case), 20);
}

// --- scalars

static const uint8_t order[32] = {0x73, 0xed, 0xa7, 0x53, 0x29, 0x9d, 0x7d, 0x48, 0x33, 0x39, 0xd8,
				  0x08, 0x09, 0xa1, 0xd8, 0x05, 0x53, 0xbd, 0xa4, 0x02, 0xff, 0xfe,
				  0x5b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01};

static void test_scalars(void **state)
{
	uint8_t bytes[32], wide[WIDE_BYTES] = {0}, again[32];
	blst_fr a;
	memcpy(bytes, order, 32);
	assert_bad(ERR_PEER, NULL, scalar_read(bytes, &a));
	bytes[31] = 0; // r - 1
	assert_good(scalar_read(bytes, &a));
	scalar_write(again, &a);
	assert_memory_equal(bytes, again, 32);
	memset(bytes, 0, 32);
	assert_bad(ERR_PEER, NULL, scalar_read(bytes, &a));
	assert_false(scalar_reduce(wide, &a));
	memcpy(wide + 16, order, 32);
	assert_false(scalar_reduce(wide, &a)); // r = 0
	wide[47] += 5;
	assert_true(scalar_reduce(wide, &a));
	blst_fr five = fr_of(5);
	assert_true(fr_same(&a, &five));
	memset(wide, 0, sizeof wide);
	wide[15] = 1; // 2^256
	assert_true(scalar_reduce(wide, &a));
	blst_fr two = fr_of(2), power = fr_of(1);
	for (int i = 0; i < 256; i++)
		blst_fr_mul(&power, &power, &two);
	assert_true(fr_same(&a, &power));
}

// --- fixed bases

static void edge_scalar(size_t i, blst_fr *out)
{
	uint8_t bytes[32];
	blst_fr one = fr_of(1);
	static const uint64_t small[] = {1, 2, 15, 16, 17, 0x1111111111111111, UINT64_MAX};
	if (i < 7) {
		scalar_small(out, small[i]);
	} else if (i == 7) {
		memcpy(bytes, order, 32);
		bytes[31] = 0; // r - 1
		assert_good(scalar_read(bytes, out));
	} else if (i == 8) {
		memset(bytes, 0, 32);
		bytes[0] = 0x70; // the highest window alone
		assert_good(scalar_read(bytes, out));
	} else if (i == 9) {
		*out = scalar_zero;
	} else {
		assert_good(scalar_random(out));
		blst_fr_add(out, out, &one);
	}
}

static void test_bases(void **state)
{
	for (size_t i = 0; i < 200; i++) {
		blst_fr s;
		blst_scalar bytes;
		blst_p1 fast, slow;
		blst_p2 fast2, slow2;
		edge_scalar(i, &s);
		scalar_bytes(&bytes, &s);
		base_mul_g1(&fast, BASE_G1, &s);
		blst_p1_unchecked_mult(&slow, blst_p1_generator(), bytes.b, 255);
		assert_true(blst_p1_is_equal(&fast, &slow));
		assert_int_equal(blst_p1_is_inf(&fast), i == 9);
		blst_p1_from_affine(&slow, base_blind());
		blst_p1_unchecked_mult(&slow, &slow, bytes.b, 255);
		base_mul_g1(&fast, BASE_BLIND, &s);
		assert_true(blst_p1_is_equal(&fast, &slow));
		g1_mul(&fast, base_blind(), &s);
		assert_true(blst_p1_is_equal(&fast, &slow));
		base_mul_g2(&fast2, &s);
		blst_p2_unchecked_mult(&slow2, blst_p2_generator(), bytes.b, 255);
		assert_true(blst_p2_is_equal(&fast2, &slow2));
	}
}

static void test_sums(void **state)
{
	for (size_t n = 1; n <= 70; n += n < 8 ? 1 : 13) {
		blst_p1_affine p[70];
		const blst_p1_affine *at[70];
		blst_scalar s[70];
		blst_p1 sum = {0}, fast;
		for (size_t i = 0; i < n; i++) {
			blst_fr a;
			blst_p1 x;
			assert_good(scalar_random(&a));
			base_mul_g1(&x, BASE_G1, &a);
			blst_p1_to_affine(&p[i], &x);
			at[i] = &p[i];
			assert_good(scalar_random(&a));
			scalar_bytes(&s[i], &a);
			blst_p1_unchecked_mult(&x, &x, s[i].b, 255);
			blst_p1_add_or_double(&sum, &sum, &x);
		}
		assert_good(g1_sum_public(&fast, at, s, n, 255));
		assert_true(blst_p1_is_equal(&fast, &sum));
	}
}

// --- GT

static void pairing_of_generators(blst_fp12 *out)
{
	struct pairing_term t = {*blst_p1_affine_generator(), *blst_p2_affine_generator()};
	assert_good(pairing_product(&t, 1, out));
}

static void slow_pow(blst_fp12 *out, const blst_fp12 *base, const blst_fr *e)
{
	blst_scalar s;
	scalar_bytes(&s, e);
	*out = *blst_fp12_one();
	for (int bit = 255; bit >= 0; bit--) {
		blst_fp12_sqr(out, out);
		if (s.b[bit / 8] >> bit % 8 & 1)
			blst_fp12_mul(out, out, base);
	}
}

static void test_gt_pow(void **state)
{
	blst_fp12 base, fast, slow;
	pairing_of_generators(&base);
	for (size_t i = 0; i < 60; i++) {
		blst_fr s;
		edge_scalar(i, &s);
		gt_pow(&fast, &base, &s);
		slow_pow(&slow, &base, &s);
		assert_true(blst_fp12_is_equal(&fast, &slow));
	}
	blst_fr z = fr_of(UINT64_C(0xd201000000010000)), power = z; // digits at their ends
	for (int i = 0; i < 3; i++) {
		for (int off = -1; off <= 1; off++) {
			blst_fr s = power, one = fr_of(1);
			if (off)
				(off > 0 ? blst_fr_add : blst_fr_sub)(&s, &s, &one);
			gt_pow(&fast, &base, &s);
			slow_pow(&slow, &base, &s);
			assert_true(blst_fp12_is_equal(&fast, &slow));
		}
		blst_fr_mul(&power, &power, &z);
	}
}

static void test_gt_bytes(void **state)
{
	blst_fp12 a, b;
	uint8_t bytes[GT_BYTES], bad[GT_BYTES];
	pairing_of_generators(&a);
	gt_write(bytes, &a);
	assert_good(gt_read(bytes, &b));
	assert_true(blst_fp12_is_equal(&a, &b));
	for (size_t i = 0; i < GT_BYTES; i += 5) { // another field element is not of the subgroup
		memcpy(bad, bytes, GT_BYTES);
		bad[i] ^= 1;
		assert_bad(ERR_PEER, NULL, gt_read(bad, &b));
	}
	gt_write(bad, blst_fp12_one());
	assert_bad(ERR_PEER, NULL, gt_read(bad, &b));
	memset(bad, 0, GT_BYTES);
	assert_bad(ERR_PEER, NULL, gt_read(bad, &b));
	blst_fp12 minus = {0}; // -1: order 2, cyclotomic
	blst_fp_cneg(&minus.fp6[0].fp2[0].fp[0], &blst_fp12_one()->fp6[0].fp2[0].fp[0], true);
	gt_write(bad, &minus);
	assert_bad(ERR_PEER, NULL, gt_read(bad, &b));
	memcpy(bad, bytes,
	       GT_BYTES); // the first coefficient plus p: the same element, not canonical
	static const uint8_t p[48] = {0x1a, 0x01, 0x11, 0xea, 0x39, 0x7f, 0xe6, 0x9a, 0x4b, 0x1b,
				      0xa7, 0xb6, 0x43, 0x4b, 0xac, 0xd7, 0x64, 0x77, 0x4b, 0x84,
				      0xf3, 0x85, 0x12, 0xbf, 0x67, 0x30, 0xd2, 0xa0, 0xf6, 0xb0,
				      0xf6, 0x24, 0x1e, 0xab, 0xff, 0xfe, 0xb1, 0x53, 0xff, 0xff,
				      0xb9, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xaa, 0xab};
	for (int i = 47, carry = 0; i >= 0; i--) {
		carry += bad[i] + p[i];
		bad[i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_bad(ERR_PEER, NULL, gt_read(bad, &b));
}

// --- points that must not come in

static void test_points(void **state)
{
	uint8_t bytes[G2_BYTES] = {0xc0}, g[G2_BYTES];
	blst_p1_affine p;
	blst_p2_affine q;
	assert_bad(ERR_PEER, NULL, g1_read(bytes, &p)); // neutral
	assert_bad(ERR_PEER, NULL, g2_read(bytes, &q));
	blst_p1_affine_compress(g, blst_p1_affine_generator());
	assert_good(g1_read(g, &p));
	g[0] &= 0x7f; // says that it is not compressed
	assert_bad(ERR_PEER, NULL, g1_read(g, &p));
	blst_p2_affine_compress(g, blst_p2_affine_generator());
	assert_good(g2_read(g, &q));
	g[0] |= 0x40; // neutral, with a coordinate
	assert_bad(ERR_PEER, NULL, g2_read(g, &q));
	memset(bytes, 0xff, sizeof bytes);
	bytes[0] = 0x9f; // x above p
	assert_bad(ERR_PEER, NULL, g1_read(bytes, &p));
	assert_bad(ERR_PEER, NULL, g2_read(bytes, &q));
}

// Points on the curve but not of the subgroup, and x without a point, both exist among small x.
static void test_subgroup(void **state)
{
	unsigned off_curve = 0, off_group = 0;
	for (unsigned x = 1; x < 60; x++) {
		uint8_t one[G1_BYTES] = {0x80}, two[G2_BYTES] = {0x80};
		blst_p1_affine p;
		blst_p2_affine q;
		one[G1_BYTES - 1] = two[G2_BYTES - 1] = (uint8_t)x;
		bool on1 = blst_p1_uncompress(&p, one) == BLST_SUCCESS;
		bool on2 = blst_p2_uncompress(&q, two) == BLST_SUCCESS;
		off_curve += !on1 + !on2;
		off_group += on1 + on2;
		assert_bad(ERR_PEER, NULL, g1_read(one, &p));
		assert_bad(ERR_PEER, NULL, g2_read(two, &q));
	}
	assert_true(off_curve > 20 && off_group > 20);
	uint8_t low[G1_BYTES] = {0x80}; // (0, 2): order 3
	blst_p1_affine p;
	assert_bad(ERR_PEER, NULL, g1_read(low, &p));
}

static void test_pairing(void **state)
{
	blst_fr a = fr_seeded("a"), b = fr_seeded("b"), ab;
	blst_p1 p;
	blst_p2 q;
	blst_fp12 left, right, base, one;
	struct pairing_term t[12];
	blst_fr_mul(&ab, &a, &b);
	base_mul_g1(&p, BASE_G1, &a);
	base_mul_g2(&q, &b);
	blst_p1_to_affine(&t[0].p, &p);
	blst_p2_to_affine(&t[0].q, &q);
	assert_good(pairing_product(t, 1, &left));
	pairing_of_generators(&base);
	gt_pow(&one, &base, &ab); // e(g1^a, g2^b) = e(g1, g2)^(a b)
	assert_true(blst_fp12_is_equal(&left, &one));
	right = one;
	for (size_t n = 2; n <= 12; n++) { // past blst's batch of 8
		t[n - 1] = t[0];
		blst_fp12_mul(&right, &right, &one);
		assert_good(pairing_product(t, n, &left));
		assert_true(blst_fp12_is_equal(&left, &right));
	}
	memset(&t[1].p, 0, sizeof t[1].p);
	assert_bad(ERR_INTERNAL, "neutral", pairing_product(t, 3, &left));
	assert_bad(ERR_INTERNAL, "neutral", pairing_product(t, 0, &left));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc9380), cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_bases),	cmocka_unit_test(test_sums),
		cmocka_unit_test(test_gt_pow),	cmocka_unit_test(test_gt_bytes),
		cmocka_unit_test(test_points),	cmocka_unit_test(test_subgroup),
		cmocka_unit_test(test_pairing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
