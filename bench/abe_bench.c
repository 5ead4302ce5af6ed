// SPDX-License-Identifier: Apache-2.0
// Attribute-based encryption with n attributes in an n-way AND: the least of many rounds (the
// machine may be shared), one thread, with the attributes' points cached as in a process that
// lives; and the ratio to the same run's sum of the curve operations that none can do without.
// Prints "name value unit" lines.
//
// usage: abe_bench [SECONDS for each figure]

#include "lib/abe/abe_internal.h"
#include "lib/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS_MIN = 5, ROUND_NS = 20000000 };

struct bench {
	double seconds;
	struct abe_master *master;
	struct abe_public *public;
	struct attributes *attributes;
	struct policy *policy;
	struct abe_key *key;
	struct buf ciphertext;
	size_t n;
};

static int64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

// The least that `work` took in processor time, in milliseconds; each round is long enough for the
// kernel's accounting.
static double least_ms(struct bench *b, void (*work)(struct bench *))
{
	int64_t least = INT64_MAX, until = clock_mono_ns() + (int64_t)(b->seconds * NS_PER_S);
	int64_t begin = cpu_ns();
	work(b);
	int repeat = (int)(ROUND_NS / (cpu_ns() - begin + 1)) + 1;
	for (size_t n = 0; n < ROUNDS_MIN || clock_mono_ns() < until; n++) {
		begin = cpu_ns();
		for (int i = 0; i < repeat; i++)
			work(b);
		int64_t took = (cpu_ns() - begin) / repeat;
		least = took < least ? took : least;
	}
	return (double)least / NS_PER_MS;
}

static void must(struct err e)
{
	if (e.code == ERR_NONE)
		return;
	fprintf(stderr, "abe_bench: %s\n", e.text);
	exit(1);
}

// --- what is measured

static void encrypt(struct bench *b)
{
	uint8_t shared[ABE_SHARED];
	buf_reset(&b->ciphertext);
	must(abe_encapsulate(b->public, b->policy, &b->ciphertext, shared));
}

static void decrypt(struct bench *b)
{
	uint8_t shared[ABE_SHARED];
	must(abe_decapsulate(b->key, b->public, b->ciphertext.data, b->ciphertext.len, shared));
}

static void keygen(struct bench *b)
{
	abe_key_free(b->key);
	must(abe_keygen(b->master, b->attributes, &b->key));
}

static void policy_text_read(struct bench *b)
{
	struct policy *p;
	must(policy_read(policy_text(b->policy), strlen(policy_text(b->policy)), &p));
	policy_free(p);
}

// --- the operations that none can do without

static blst_fr scalar;
static blst_p1_affine point1;
static blst_p2_affine point2;
static blst_fp12 element;
static uint8_t g1_bytes[G1_BYTES], g2_bytes[G2_BYTES];

static void op_g1_mul(struct bench *b)
{
	blst_p1 p;
	g1_mul(&p, &point1, &scalar);
}

static void op_g1_base(struct bench *b)
{
	blst_p1 p;
	base_mul_g1(&p, BASE_BLIND, &scalar);
}

static void op_g2_base(struct bench *b)
{
	blst_p2 p;
	base_mul_g2(&p, &scalar);
}

static void op_hash(struct bench *b)
{
	blst_p1_affine p;
	g1_hash("attribute", 9, "tag", &p);
}

static void op_gt_pow(struct bench *b)
{
	blst_fp12 x;
	gt_pow(&x, &element, &scalar);
}

static void op_pairing3(struct bench *b)
{
	struct pairing_term t[3] = {{point1, point2}, {point1, point2}, {point1, point2}};
	blst_fp12 x;
	must(pairing_product(t, 3, &x));
}

static void op_g1_read(struct bench *b)
{
	blst_p1_affine p;
	must(g1_read(g1_bytes, &p));
}

static void op_g2_read(struct bench *b)
{
	blst_p2_affine p;
	must(g2_read(g2_bytes, &p));
}

static void op_sum(struct bench *b)
{
	const blst_p1_affine *points[128];
	static blst_scalar scalars[128];
	blst_p1 out;
	for (size_t i = 0; i < b->n; i++) {
		points[i] = &point1;
		memset(scalars[i].b, (int)(i * 37 + 11) & 0xff, 16);
	}
	must(g1_sum_public(&out, points, scalars, b->n, 128));
}

struct operations {
	double g1_mul, g1_base, g2_base, hash, gt_pow, pairing3, g1_read, g2_read;
};

static void operations(struct bench *b, struct operations *o)
{
	blst_p1 p;
	blst_p2 q;
	must(scalar_random(&scalar));
	base_mul_g1(&p, BASE_G1, &scalar);
	blst_p1_to_affine(&point1, &p);
	base_mul_g2(&q, &scalar);
	blst_p2_to_affine(&point2, &q);
	blst_p1_affine_compress(g1_bytes, &point1);
	blst_p2_affine_compress(g2_bytes, &point2);
	element = b->public->a;
	const struct {
		const char *name;
		void (*work)(struct bench *);
		double *ms;
	} all[] = {
		{"g1_mul", op_g1_mul, &o->g1_mul},	  {"g1_base_mul", op_g1_base, &o->g1_base},
		{"g2_base_mul", op_g2_base, &o->g2_base}, {"g1_hash", op_hash, &o->hash},
		{"gt_pow", op_gt_pow, &o->gt_pow},	  {"pairing_3", op_pairing3, &o->pairing3},
		{"g1_read", op_g1_read, &o->g1_read},	  {"g2_read", op_g2_read, &o->g2_read},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		*all[i].ms = least_ms(b, all[i].work);
		printf("abe_op_%s_us %.1f us\n", all[i].name, *all[i].ms * 1000);
	}
}

// --- n attributes

static void make(struct bench *b, size_t n)
{
	scoped(buf) struct buf list = {0}, policy = {0};
	b->n = n;
	for (size_t i = 0; i < n; i++) {
		buf_printf(&list, "%sattribute-%zu=value", i ? "," : "", i);
		buf_printf(&policy, "%sattribute-%zu = value", i ? " AND " : "", i);
	}
	must(attributes_parse(buf_text(&list), list.len, &b->attributes));
	must(policy_parse(buf_text(&policy), policy.len, &b->policy));
	must(abe_keygen(b->master, b->attributes, &b->key));
}

static void figure(const char *what, size_t n, double ms, double bound)
{
	printf("abe_%s_%zu_ms %.3f ms\n", what, n, ms);
	printf("abe_%s_%zu_ms.ratio %.3f of_operations\n", what, n, ms / bound);
	fflush(stdout);
}

static void measure(struct bench *b, const struct operations *o, size_t count)
{
	make(b, count);
	double n = (double)count, sum = least_ms(b, op_sum);
	figure("encrypt", count, least_ms(b, encrypt),
	       2 * o->g2_base + o->gt_pow + n * (o->g1_base + o->g1_mul));
	figure("decrypt", count, least_ms(b, decrypt),
	       2 * o->g2_read + n * o->g1_read + o->pairing3 + 2 * o->g2_base + o->g1_base +
		       o->g1_mul + 2 * sum);
	figure("keygen", count, least_ms(b, keygen),
	       2 * o->g1_base + o->g2_base + n * (o->hash + o->g1_mul));
	printf("abe_policy_read_%zu_ms %.3f ms\n", count, least_ms(b, policy_text_read));
	printf("abe_ciphertext_%zu_bytes %zu bytes\n", count, b->ciphertext.len);
	abe_key_free(b->key);
	attributes_free(b->attributes);
	policy_free(b->policy);
	b->key = NULL;
}

int main(int argc, char **argv)
{
	static const size_t counts[] = {5, 10, 50, 100};
	struct bench b = {.seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5};
	struct operations o;
	must(abe_setup(&b.master));
	must(abe_master_public(b.master, &b.public));
	operations(&b, &o);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		measure(&b, &o, counts[i]);
	buf_clear(&b.ciphertext);
	abe_public_free(b.public);
	abe_master_free(b.master);
	return 0;
}
