// SPDX-License-Identifier: Apache-2.0
// usage: valgrind secrets OPERATION
// Marks the secrets of an operation as undefined (A. Langley's ctgrind): memcheck then reports
// every branch and every address that depends on one. What leaves the operation in public
// (ciphertext, points of a key) is defined again where it leaves. `leak` does what must be found: a
// test that this program can fail.
#include "test_abe.h"

#include <valgrind/memcheck.h>

#define SECRET(p, n) VALGRIND_MAKE_MEM_UNDEFINED(p, n)
#define PUBLIC(p, n) VALGRIND_MAKE_MEM_DEFINED(p, n)

static volatile int sink;
static blst_fr scalar;

static void begin_scalar(void)
{
	scalar = fr_seeded("secret");
	SECRET(&scalar, sizeof scalar);
}

// --- the blocks

static void base_g1(void)
{
	blst_p1 p;
	begin_scalar();
	base_mul_g1(&p, BASE_BLIND, &scalar);
	PUBLIC(&p, sizeof p);
	sink = p.x.l[0] & 1;
}

static void base_g2(void)
{
	blst_p2 p;
	begin_scalar();
	base_mul_g2(&p, &scalar);
	PUBLIC(&p, sizeof p);
	sink = p.x.fp[0].l[0] & 1;
}

static void mul_g1(void)
{
	blst_p1 p;
	begin_scalar();
	g1_mul(&p, blst_p1_affine_generator(), &scalar);
	PUBLIC(&p, sizeof p);
	sink = p.x.l[0] & 1;
}

static void pow_gt(void)
{
	struct pairing_term t = {*blst_p1_affine_generator(), *blst_p2_affine_generator()};
	blst_fp12 a, b;
	assert_good(pairing_product(&t, 1, &a));
	begin_scalar();
	gt_pow(&b, &a, &scalar);
	PUBLIC(&b, sizeof b);
	sink = b.fp6[0].fp2[0].fp[0].l[0] & 1;
}

static void mask(void)
{
	struct pairing_term t = {*blst_p1_affine_generator(), *blst_p2_affine_generator()};
	uint8_t context[32] = {1}, out[32];
	blst_fp12 a;
	assert_good(pairing_product(&t, 1, &a));
	SECRET(&a, sizeof a);
	abe_mask(&a, context, out);
	PUBLIC(out, sizeof out);
	sink = out[0] & 1;
}

// A secret point in a pairing: the keys' part of decryption.
static void pairing(void)
{
	struct pairing_term t = {*blst_p1_affine_generator(), *blst_p2_affine_generator()};
	blst_fp12 a;
	SECRET(&t.p, sizeof t.p);
	blst_miller_loop(&a, &t.q, &t.p);
	blst_final_exp(&a, &a);
	PUBLIC(&a, sizeof a);
	sink = a.fp6[0].fp2[0].fp[0].l[0] & 1;
}

// --- the coins, from m to the shares

static void coins(void)
{
	struct abe_public *public;
	struct abe_master *master;
	struct coins c;
	uint8_t m[32] = {7};
	struct policy *p = policy_of("(a=1 OR b=1) AND (a=1 OR c=1) AND 2 OF (d=1,e=1,f=1)");
	scalar = fr_seeded("alpha");
	assert_good(abe_setup_with(&scalar, &master));
	assert_good(abe_master_public(master, &public));
	SECRET(m, sizeof m);
	assert_good(coins_make(public, p, m, &c));
	PUBLIC(c.share, sizeof *c.share);
	sink = c.share[0].l[0] & 1;
	coins_clear(&c);
	policy_free(p);
	abe_public_free(public);
	abe_master_free(master);
}

// What must be found.
static void leak(void)
{
	static const int table[2] = {1, 2};
	begin_scalar();
	sink = table[scalar.l[0] & 1];
	if (scalar.l[1] & 1)
		sink++;
}

static const struct {
	const char *name;
	void (*run)(void);
} operations[] = {{"base_g1", base_g1}, {"base_g2", base_g2}, {"mul_g1", mul_g1},
		  {"pow_gt", pow_gt},	{"mask", mask},	      {"pairing", pairing},
		  {"coins", coins},	{"leak", leak}};

int main(int argc, char **argv)
{
	base_blind(); // the tables, before
	for (size_t i = 0; argc == 2 && i < sizeof operations / sizeof *operations; i++)
		if (strcmp(argv[1], operations[i].name) == 0) {
			operations[i].run();
			return 0;
		}
	return 2;
}
