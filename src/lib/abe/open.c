// SPDX-License-Identifier: Apache-2.0
// Decapsulation: decode, decrypt with τ + 2 pairings, make the ciphertext again and compare.
//
// The comparison of the rows is by one random combination, 128 bits a row: with the rows in the
// group of prime order r (each was checked), unequal rows pass with probability 2^-128.
//     Σ ρ_i ct3[i] = (Σ ρ_i λ_i) h_b + Σ_j s'[j] (Σ_{ρ(i)=j} ρ_i H_A(π(i)))
// All else is compared byte for byte.

#include "lib/abe/abe_internal.h"

#include "lib/crypto/random.h"

#include <stdlib.h>
#include <string.h>

enum { RANDOM_BITS = 128, RANDOM_BYTES = RANDOM_BITS / 8 };

// --- decoding

void ciphertext_clear(struct ciphertext *c)
{
	policy_free(c->policy);
	free(c->ct2);
	free(c->ct3);
	*c = (struct ciphertext){0};
}

static struct err read_policy(struct cursor *c, struct policy **out)
{
	TRY(abe_header_read(c, ABE_CIPHERTEXT));
	size_t n = cursor_be16(c);
	const uint8_t *text = cursor_take(c, n);
	ENSURE(text, ERR_PEER, "ciphertext: too short");
	return policy_read((const char *)text, n, out);
}

struct err abe_ciphertext_policy(const uint8_t *ciphertext, size_t n, struct policy **out)
{
	struct cursor c = cursor_over(ciphertext, n);
	TRY(read_policy(&c, out));
	if (n == abe_ciphertext_bytes(*out))
		return OK;
	policy_free(*out);
	return err_make(ERR_PEER, "ciphertext: %zu bytes are not what its policy needs", n);
}

static struct err read_points(struct cursor *c, struct ciphertext *out)
{
	size_t repeat = policy_repeat(out->policy), rows = policy_rows(out->policy);
	cursor_copy(c, out->c0, sizeof out->c0);
	const uint8_t *ct1 = cursor_take(c, G2_BYTES);
	const uint8_t *ct2 = cursor_take(c, G2_BYTES * repeat);
	const uint8_t *ct3 = cursor_take(c, G1_BYTES * rows);
	TRY(cursor_finish(c, "ciphertext"));
	out->ct2 = calloc(repeat, sizeof *out->ct2);
	out->ct3 = calloc(rows, sizeof *out->ct3);
	ENSURE(out->ct2 && out->ct3, ERR_LIMIT, "out of memory");
	TRY(g2_read(ct1, &out->ct1));
	for (size_t j = 0; j < repeat; j++)
		TRY(g2_read(ct2 + G2_BYTES * j, &out->ct2[j]));
	for (size_t i = 0; i < rows; i++)
		TRY(g1_read(ct3 + G1_BYTES * i, &out->ct3[i]));
	return OK;
}

struct err ciphertext_read(const uint8_t *bytes, size_t n, struct ciphertext *out)
{
	struct cursor c = cursor_over(bytes, n);
	*out = (struct ciphertext){0};
	struct err e = read_policy(&c, &out->policy);
	if (e.code == ERR_NONE)
		e = read_points(&c, out);
	if (e.code != ERR_NONE)
		ciphertext_clear(out);
	return e;
}

// --- decryption

// Σ coefficient point over the rows used (of occurrence `j`, or all: SIZE_MAX).
struct sum {
	const struct policy *policy;
	const struct lsss_use *use;
	size_t n;
	const blst_p1_affine **point; // by use
	const blst_p1_affine **some;  // scratch, n
	blst_scalar *scalar;	      // scratch, n
};

static struct err sum_rows(const struct sum *s, size_t j, blst_p1 *out, bool *any)
{
	size_t n = 0;
	bool ones = true;
	for (size_t i = 0; i < s->n; i++) {
		if (j != SIZE_MAX && policy_occurrence(s->policy, s->use[i].row) != j)
			continue;
		s->some[n] = s->point[i];
		scalar_bytes(&s->scalar[n++], &s->use[i].coefficient);
		ones &= s->use[i].one;
	}
	*any = n > 0;
	if (n == 0)
		return OK;
	if (!ones)
		return g1_sum_public(out, s->some, s->scalar, n, 255);
	blst_p1_from_affine(out, s->some[0]);
	for (size_t i = 1; i < n; i++)
		blst_p1_add_or_double_affine(out, out, s->some[i]);
	return OK;
}

static struct err decrypt_terms(const struct abe_key *k, const struct ciphertext *c, struct sum *s,
				const int *mine, struct pairing_term *t, size_t *n)
{
	bool any;
	blst_p1 sum;
	t[0] = (struct pairing_term){k->sk3, c->ct1};
	for (size_t i = 0; i < s->n; i++)
		s->point[i] = &c->ct3[s->use[i].row];
	TRY(sum_rows(s, SIZE_MAX, &sum, &any));
	blst_p1_cneg(&sum, true);
	blst_p1_to_affine(&t[1].p, &sum);
	t[1].q = k->sk1;
	*n = 2;
	for (size_t i = 0; i < s->n; i++)
		s->point[i] = &k->sk2[mine[s->use[i].row]];
	for (size_t j = 0; j < policy_repeat(c->policy); j++) {
		TRY(sum_rows(s, j, &sum, &any));
		if (!any)
			continue;
		blst_p1_to_affine(&t[*n].p, &sum);
		t[(*n)++].q = c->ct2[j];
	}
	secret_zero(&sum, sizeof sum);
	return OK;
}

struct scratch {
	int *mine;  // by row: the key's part, or -1
	bool *have; // by row
	struct lsss_use *use;
	const blst_p1_affine **point, **some;
	blst_scalar *scalar;
	struct pairing_term *term;
};

static void scratch_clear(struct scratch *s)
{
	free(s->mine);
	free(s->have);
	free(s->use);
	free(s->point);
	free(s->some);
	free(s->scalar);
	if (s->term)
		free(s->term);
}

static bool scratch_make(struct scratch *s, size_t rows, size_t repeat)
{
	s->mine = calloc(rows, sizeof *s->mine);
	s->have = calloc(rows, sizeof *s->have);
	s->use = calloc(rows, sizeof *s->use);
	s->point = calloc(rows, sizeof *s->point);
	s->some = calloc(rows, sizeof *s->some);
	s->scalar = calloc(rows, sizeof *s->scalar);
	s->term = calloc(repeat + 2, sizeof *s->term);
	return s->mine && s->have && s->use && s->point && s->some && s->scalar && s->term;
}

struct err abe_pairing_decrypt(const struct abe_key *k, const struct ciphertext *c, blst_fp12 *d)
{
	size_t rows = policy_rows(c->policy), repeat = policy_repeat(c->policy), used = 0,
	       terms = 0;
	struct scratch s = {0};
	struct err e = OK;
	if (!scratch_make(&s, rows, repeat)) {
		e = err_make(ERR_LIMIT, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < rows; i++) {
		s.mine[i] = attributes_find(k->attributes, policy_attribute(c->policy, i)->hash);
		s.have[i] = s.mine[i] >= 0;
	}
	TRY_OUT(e, lsss_choose(c->policy, s.have, s.use, &used));
	if (used == 0) {
		e = err_make(ERR_DENIED, "the policy does not permit the key's attributes");
		goto out;
	}
	struct sum sum = {c->policy, s.use, used, s.point, s.some, s.scalar};
	TRY_OUT(e, decrypt_terms(k, c, &sum, s.mine, s.term, &terms));
	e = pairing_product(s.term, terms, d);
	secret_zero(s.term, terms * sizeof *s.term);
out:
	scratch_clear(&s);
	return e;
}

// --- making it again

static bool same_g2(const blst_fr *secret, const blst_p2_affine *given)
{
	blst_p2 again;
	blst_p2_affine affine;
	base_mul_g2(&again, secret);
	blst_p2_to_affine(&affine, &again);
	return secret_equal(&affine, given, sizeof affine);
}

struct check {
	const struct ciphertext *c;
	const struct coins *coins;
	const blst_p1_affine **point; // rows
	const blst_p1_affine **some;
	blst_scalar *random, *chosen;
};

// s'[j] Σ_{ρ(i)=j} ρ_i H_A(π(i)), added to `sum`.
static struct err add_spread(const struct check *k, size_t j, blst_p1 *sum)
{
	const struct policy *policy = k->c->policy;
	size_t n = 0;
	blst_p1 p;
	blst_p1_affine affine;
	for (size_t i = 0; i < policy_rows(policy); i++)
		if (policy_occurrence(policy, i) == j) {
			k->some[n] = k->point[i];
			k->chosen[n++] = k->random[i];
		}
	TRY(g1_sum_public(&p, k->some, k->chosen, n, RANDOM_BITS));
	blst_p1_to_affine(&affine, &p);
	g1_mul(&p, &affine, &k->coins->spread[j]);
	blst_p1_add_or_double(sum, sum, &p);
	return OK;
}

static struct err same_rows(const struct check *k, bool *same)
{
	const struct policy *policy = k->c->policy;
	size_t rows = policy_rows(policy);
	blst_fr weighted = scalar_zero, term;
	blst_p1 given, again;
	for (size_t i = 0; i < rows; i++) {
		blst_fr_from_scalar(&term, &k->random[i]);
		blst_fr_mul(&term, &term, &k->coins->share[i]);
		blst_fr_add(&weighted, &weighted, &term);
		k->some[i] = &k->c->ct3[i];
	}
	TRY(g1_sum_public(&given, k->some, k->random, rows, RANDOM_BITS));
	base_mul_g1(&again, BASE_BLIND, &weighted);
	for (size_t j = 0; j < policy_repeat(policy); j++)
		TRY(add_spread(k, j, &again));
	*same = blst_p1_is_equal(&given, &again);
	return OK;
}

static struct err randoms(blst_scalar *out, size_t n)
{
	scoped(heap) uint8_t *bytes = malloc(n * RANDOM_BYTES);
	ENSURE(bytes, ERR_LIMIT, "out of memory");
	TRY(random_bytes(bytes, n * RANDOM_BYTES));
	for (size_t i = 0; i < n; i++) {
		memset(&out[i], 0, sizeof out[i]);
		memcpy(out[i].b, bytes + i * RANDOM_BYTES, RANDOM_BYTES); // the low 128 bits
	}
	return OK;
}

static struct err made_of(struct abe_public *p, const struct ciphertext *c,
			  const struct coins *coins, bool *same)
{
	size_t rows = policy_rows(c->policy);
	scoped(heap) const blst_p1_affine **point = calloc(2 * rows, sizeof *point);
	scoped(heap) blst_p1_affine *own = calloc(rows, sizeof *own);
	scoped(heap) blst_scalar *random = calloc(2 * rows, sizeof *random);
	ENSURE(point && own && random, ERR_LIMIT, "out of memory");
	struct check k = {c, coins, point, point + rows, random, random + rows};
	bool good = same_g2(&coins->v[0], &c->ct1);
	for (size_t j = 0; j < policy_repeat(c->policy); j++)
		good &= same_g2(&coins->spread[j], &c->ct2[j]);
	for (size_t i = 0; i < rows; i++) { // copies: a cache slot may be taken again
		own[i] = *attribute_point_cached(p, policy_attribute(c->policy, i));
		point[i] = &own[i];
	}
	TRY(randoms(random, rows));
	TRY(same_rows(&k, same));
	*same &= good;
	return OK;
}

static struct err decapsulate(const struct abe_key *k, struct abe_public *p,
			      const struct ciphertext *c, uint8_t m[static COIN_BYTES])
{
	struct coins coins = {0};
	blst_fp12 d;
	bool same = false;
	uint8_t context[32], zero[COIN_BYTES] = {0};
	ENSURE(memcmp(k->public_hash, p->hash, ABE_HASH) == 0, ERR_AUTH, "another public key");
	abe_context(p, c->policy, context);
	TRY(abe_pairing_decrypt(k, c, &d));
	abe_mask(&d, context, m);
	secret_zero(&d, sizeof d);
	for (size_t i = 0; i < COIN_BYTES; i++)
		m[i] ^= c->c0[i];
	TRY(coins_make(p, c->policy, m, &coins));
	struct err e = made_of(p, c, &coins, &same);
	coins_clear(&coins);
	if (e.code != ERR_NONE || !same)
		memcpy(m, zero, sizeof zero);
	TRY(e);
	ENSURE(same, ERR_CORRUPT, "the ciphertext is not what its coins make");
	return OK;
}

struct err abe_decapsulate(const struct abe_key *k, struct abe_public *p, const uint8_t *ciphertext,
			   size_t n, uint8_t shared[static ABE_SHARED])
{
	struct ciphertext c;
	uint8_t m[COIN_BYTES] = {0};
	struct err e = ciphertext_read(ciphertext, n, &c);
	if (e.code == ERR_NONE) {
		e = decapsulate(k, p, &c, m);
		ciphertext_clear(&c);
	}
	if (e.code == ERR_NONE)
		e = abe_shared(m, ciphertext, n, shared);
	secret_zero(m, sizeof m);
	if (e.code == ERR_NONE || e.code == ERR_LIMIT)
		return e;
	memset(shared, 0, ABE_SHARED);
	return err_make(ERR_CORRUPT, "cannot decrypt");
}
