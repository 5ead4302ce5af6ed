// SPDX-License-Identifier: Apache-2.0
// The scheme: who can open, and what the known ways to break such schemes come to.
#include "test_abe.h"

struct world {
	struct abe_master *master;
	struct abe_public *public;
};

static void world_make(struct world *w)
{
	assert_good(abe_setup(&w->master));
	assert_good(abe_master_public(w->master, &w->public));
}

static void world_clear(struct world *w)
{
	abe_master_free(w->master);
	abe_public_free(w->public);
}

static struct abe_key *key_of(const struct world *w, const char *list)
{
	struct attributes *a = attributes_of(list);
	struct abe_key *k = NULL;
	assert_good(abe_keygen(w->master, a, &k));
	attributes_free(a);
	return k;
}

static void seal(const struct world *w, const char *text, struct buf *out, uint8_t shared[32])
{
	struct policy *p = policy_of(text);
	assert_good(abe_encapsulate(w->public, p, out, shared));
	assert_int_equal(out->len, abe_ciphertext_bytes(p));
	policy_free(p);
}

static bool opens(const struct world *w, const struct abe_key *k, const struct buf *c,
		  const uint8_t want[32])
{
	uint8_t shared[32];
	struct err e = abe_decapsulate(k, w->public, c->data, c->len, shared);
	if (e.code != ERR_NONE) {
		static const uint8_t zero[32];
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_string_equal(e.text, "cannot decrypt");
		assert_memory_equal(shared, zero, 32);
		return false;
	}
	assert_memory_equal(shared, want, 32);
	return true;
}

static bool opens_with(const struct world *w, const char *policy, const char *list)
{
	scoped(buf) struct buf c = {0};
	uint8_t shared[32];
	struct abe_key *k = key_of(w, list);
	seal(w, policy, &c, shared);
	bool yes = opens(w, k, &c, shared);
	abe_key_free(k);
	return yes;
}

static void test_who_opens(void **state)
{
	struct world w;
	world_make(&w);
	static const char *const yes[][2] = {
		{"a=1", "a=1"},
		{"a=1 AND b=1", "a=1,b=1,c=1"},
		{"a=1 OR b=1", "b=1"},
		{"2 OF (a=1,b=1,c=1)", "a=1,c=1"},
		{"2 OF (a=1,b=1 AND d=1,c=1)", "b=1,d=1,c=1"},
		{"(a=1 OR b=1) AND (a=1 OR c=1)", "a=1"},
		{"(a=1 OR b=1) AND (a=1 OR c=1)", "b=1,c=1"},
		{"3 OF (a=1,b=1,c=1,d=1,e=1) AND (a=1 OR f=1)", "a=1,d=1,e=1"},
		{"level:8 >= 100 AND level:8 <= 150", "level:8=100"},
		{"zone{x,y,z} != x", "zone{x,y,z}=z"},
		{"valid:date >= 2026-01-01", "valid:date=2026-11-25"},
	};
	static const char *const no[][2] = {
		{"a=1", "a=2"},
		{"a=1 AND b=1", "a=1,c=1"},
		{"2 OF (a=1,b=1,c=1)", "a=1"},
		{"(a=1 OR b=1) AND (a=1 OR c=1)", "b=1"},
		{"level:8 >= 100 AND level:8 <= 150", "level:8=151"},
		{"zone{x,y,z} != x", "zone{x,y,z}=x"},
	};
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		if (!opens_with(&w, yes[i][0], yes[i][1]))
			fail_msg("%s does not open for %s", yes[i][0], yes[i][1]);
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		if (opens_with(&w, no[i][0], no[i][1]))
			fail_msg("%s opens for %s", no[i][0], no[i][1]);
	world_clear(&w);
}

static void test_random_policies(void **state)
{
	struct world w;
	uint64_t seed = 31337;
	unsigned yes = 0, no = 0;
	world_make(&w);
	for (int i = 0; i < 120; i++) {
		scoped(buf) struct buf c = {0};
		uint8_t shared[32];
		struct policy *p = random_policy(&seed, 3, 6);
		struct attributes *a = attributes_of_mask(1 + dice(&seed, 63));
		struct abe_key *k;
		assert_good(abe_keygen(w.master, a, &k));
		assert_good(abe_encapsulate(w.public, p, &c, shared));
		bool permits = policy_permits(p, a);
		if (opens(&w, k, &c, shared) != permits)
			fail_msg("%s with %s", policy_text(p), attributes_text(a));
		*(permits ? &yes : &no) += 1;
		abe_key_free(k);
		attributes_free(a);
		policy_free(p);
	}
	assert_true(yes > 20 && no > 20);
	world_clear(&w);
}

// --- below the policy check: what a cheater computes with the parts that he has

// The pairing equation with rows and coefficients of the cheater's choice.
static void cheat(const struct abe_key *k, const struct ciphertext *c, const unsigned *rows,
		  const struct abe_key *const *from, size_t n, blst_fp12 *d)
{
	struct pairing_term t[16];
	blst_p1 sum = {0}, part;
	size_t terms = 0;
	t[terms++] = (struct pairing_term){k->sk3, c->ct1};
	for (size_t i = 0; i < n; i++) {
		const struct attribute *a = policy_attribute(c->policy, rows[i]);
		int mine = attributes_find(from[i]->attributes, a->hash);
		assert_true(mine >= 0);
		t[terms++] = (struct pairing_term){from[i]->sk2[mine],
						   c->ct2[policy_occurrence(c->policy, rows[i])]};
		blst_p1_from_affine(&part, &c->ct3[rows[i]]);
		blst_p1_add_or_double(&sum, &sum, &part);
	}
	blst_p1_cneg(&sum, true);
	blst_p1_to_affine(&t[terms].p, &sum);
	t[terms++].q = k->sk1;
	assert_good(pairing_product(t, terms, d));
}

static unsigned row_of(const struct policy *p, const char *label, unsigned occurrence)
{
	for (unsigned i = 0; i < policy_rows(p); i++)
		if (strcmp(policy_attribute(p, i)->label, label) == 0 &&
		    policy_occurrence(p, i) == occurrence)
			return i;
	fail_msg("no row %s", label);
	return 0;
}

struct attack {
	struct world w;
	struct policy *policy;
	struct coins coins;
	struct ciphertext c;
	blst_fp12 d; // the truth
};

static void attack_begin(struct attack *a, const char *policy)
{
	scoped(buf) struct buf bytes = {0};
	uint8_t m[32] = {42}, shared[32];
	world_make(&a->w);
	a->policy = policy_of(policy);
	assert_good(abe_encapsulate_with(a->w.public, a->policy, m, &bytes, shared));
	assert_good(coins_make(a->w.public, a->policy, m, &a->coins));
	assert_good(ciphertext_read(bytes.data, bytes.len, &a->c));
	gt_pow(&a->d, &a->w.public->a, &a->coins.v[0]);
}

static void attack_end(struct attack *a)
{
	ciphertext_clear(&a->c);
	coins_clear(&a->coins);
	policy_free(a->policy);
	world_clear(&a->w);
}

// With an honest set the equation gives the truth: the attacks below fail for their own reason.
static void test_equation(void **state)
{
	struct attack a;
	blst_fp12 d;
	attack_begin(&a, "(a=1 OR b=1) AND (a=1 OR c=1)");
	struct abe_key *k = key_of(&a.w, "b=1,c=1");
	const struct abe_key *from[2] = {k, k};
	unsigned rows[2] = {row_of(a.policy, "b = 1", 0), row_of(a.policy, "c = 1", 0)};
	cheat(k, &a.c, rows, from, 2, &d);
	assert_true(blst_fp12_is_equal(&d, &a.d));
	abe_key_free(k);
	attack_end(&a);
}

// (A OR B) AND (A OR C) with a key for B. λ of "A in the second" and of "C" are one share, so with
// one s' for both occurrences of A:
//     ct3[B] * ct3[A2] / ct3[A1] = h_b^(λB + λA2 - λA1) H(B)^s' = h_b^λA2 H(B)^s'
// and the share of the second gate comes free of A: with ct3[B] the secret is rebuilt. Each
// occurrence having its own s', a term H(A)^(s'2 - s'1) is left.
static void reuse(const struct attack *a, const struct abe_key *k, blst_fp12 *d)
{
	unsigned b = row_of(a->policy, "b = 1", 0), a1 = row_of(a->policy, "a = 1", 0);
	unsigned a2 = row_of(a->policy, "a = 1", 1);
	blst_p1 sum, part;
	struct pairing_term t[3] = {{k->sk3, a->c.ct1}};
	blst_fr two = fr_of(2);
	bool first = fr_same(&a->coins.share[b], &a->coins.share[a1]);
	unsigned with = first ? a1 : a2, other = first ? a2 : a1;
	// ct3[B] once for its own share; ct3[other] ct3[B] / ct3[with] for the other's
	blst_p1_from_affine(&sum, &a->c.ct3[b]);
	blst_p1_double(&sum, &sum);
	blst_p1_from_affine(&part, &a->c.ct3[other]);
	blst_p1_add_or_double(&sum, &sum, &part);
	blst_p1_from_affine(&part, &a->c.ct3[with]);
	blst_p1_cneg(&part, true);
	blst_p1_add_or_double(&sum, &sum, &part);
	blst_p1_cneg(&sum, true);
	blst_p1_to_affine(&t[1].p, &sum);
	t[1].q = k->sk1;
	g1_mul(&part, &k->sk2[0], &two);
	blst_p1_to_affine(&t[2].p, &part);
	t[2].q = a->c.ct2[0];
	assert_good(pairing_product(t, 3, d));
}

static void test_reuse(void **state)
{
	struct attack a;
	blst_fp12 d;
	attack_begin(&a, "(a=1 OR b=1) AND (a=1 OR c=1)");
	struct abe_key *k = key_of(&a.w, "b=1");
	reuse(&a, k, &d);
	assert_false(blst_fp12_is_equal(&d, &a.d));
	// the attack is real: against rows made with one s' it gives the secret
	for (unsigned i = 0; i < policy_rows(a.policy); i++) {
		blst_p1_affine h;
		blst_p1 row, part;
		attribute_point(policy_attribute(a.policy, i), &h);
		base_mul_g1(&row, BASE_BLIND, &a.coins.share[i]);
		g1_mul(&part, &h, &a.coins.spread[0]);
		blst_p1_add_or_double(&row, &row, &part);
		blst_p1_to_affine(&a.c.ct3[i], &row);
	}
	reuse(&a, k, &d);
	assert_true(blst_fp12_is_equal(&d, &a.d));
	abe_key_free(k);
	attack_end(&a);
}

// Two users who together have what the policy asks: their parts do not mix, whoever's sk1 is used.
static void test_collusion(void **state)
{
	struct attack a;
	blst_fp12 d;
	attack_begin(&a, "a=1 AND b=1");
	struct abe_key *one = key_of(&a.w, "a=1"), *two = key_of(&a.w, "b=1");
	const struct abe_key *from[2] = {one, two};
	unsigned rows[2] = {row_of(a.policy, "a = 1", 0), row_of(a.policy, "b = 1", 0)};
	cheat(one, &a.c, rows, from, 2, &d);
	assert_false(blst_fp12_is_equal(&d, &a.d));
	cheat(two, &a.c, rows, from, 2, &d);
	assert_false(blst_fp12_is_equal(&d, &a.d));
	// nor do two keys of one user, issued at different times
	struct abe_key *again = key_of(&a.w, "a=1,b=1");
	assert_memory_not_equal(&one->sk1, &again->sk1, sizeof one->sk1);
	abe_key_free(again);
	// the same r would open: that is what a fresh r is for
	blst_fr r = fr_seeded("r");
	struct attributes *l1 = attributes_of("a=1"), *l2 = attributes_of("b=1");
	struct abe_key *bad1, *bad2;
	assert_good(abe_keygen_with(a.w.master, l1, &r, &bad1));
	assert_good(abe_keygen_with(a.w.master, l2, &r, &bad2));
	cheat(bad1, &a.c, rows, (const struct abe_key *const[]){bad1, bad2}, 2, &d);
	assert_true(blst_fp12_is_equal(&d, &a.d));
	abe_key_free(bad1);
	abe_key_free(bad2);
	attributes_free(l1);
	attributes_free(l2);
	abe_key_free(one);
	abe_key_free(two);
	attack_end(&a);
}

// A missing row left out.
static void test_one_input_of_and(void **state)
{
	struct attack a;
	blst_fp12 d;
	attack_begin(&a, "a=1 AND b=1");
	struct abe_key *k = key_of(&a.w, "a=1,b=1");
	const struct abe_key *from[2] = {k, k};
	for (unsigned only = 0; only < 2; only++) {
		cheat(k, &a.c, &only, from, 1, &d);
		assert_false(blst_fp12_is_equal(&d, &a.d));
	}
	abe_key_free(k);
	attack_end(&a);
}

// H_A and h_b must not meet: with h_b = H_A(u), sk3 / sk2[u] would be g1^α.
static void test_tags(void **state)
{
	blst_p1_affine p;
	static const char text[] = "h_b";
	const struct attribute a = {.id = (const uint8_t *)text, .len = 3};
	attribute_point(&a, &p);
	assert_false(blst_p1_affine_is_equal(&p, base_blind()));
}

// --- changed bytes

static void flips(const struct world *w, const struct abe_key *k, struct buf *c,
		  const uint8_t shared[32])
{
	for (size_t i = 0; i < c->len; i++)
		for (unsigned mask = 1; mask <= 128; mask <<= i % 7 == 0 ? 1 : 3) {
			c->data[i] ^= (uint8_t)mask;
			if (opens(w, k, c, shared))
				fail_msg("byte %zu changed by %02x opens", i, mask);
			c->data[i] ^= (uint8_t)mask;
		}
}

static void test_every_byte(void **state)
{
	struct world w;
	scoped(buf) struct buf c = {0};
	uint8_t shared[32];
	world_make(&w);
	struct abe_key *k = key_of(&w, "a=1,b=1,x=1");
	seal(&w, "(a=1 AND b=1) OR (a=1 AND x=2)", &c, shared);
	assert_true(opens(&w, k, &c, shared));
	flips(&w, k, &c, shared);
	for (size_t n = 0; n < c.len; n++) {
		const struct buf cut = {.data = c.data, .len = n};
		assert_false(opens(&w, k, &cut, shared));
	}
	buf_u8(&c, 0);
	assert_false(opens(&w, k, &c, shared));
	abe_key_free(k);
	world_clear(&w);
}

static size_t points_at(const struct buf *c)
{
	return ABE_HEADER + 2 + ((size_t)c->data[ABE_HEADER] << 8 | c->data[ABE_HEADER + 1]) + 32;
}

// Components exchanged, also for ones that are valid in another ciphertext.
static void test_parts_exchanged(void **state)
{
	struct world w;
	scoped(buf) struct buf c = {0}, other = {0}, work = {0};
	uint8_t shared[32], shared2[32];
	world_make(&w);
	struct abe_key *k = key_of(&w, "a=1,b=1,c=1");
	seal(&w, "(a=1 OR b=1) AND (a=1 OR c=1)", &c, shared);
	seal(&w, "(a=1 OR b=1) AND (a=1 OR c=1)", &other, shared2);
	size_t at = points_at(&c), rows = at + 96 * 3;
	assert_int_equal(c.len, rows + 48 * 4);
	const struct part {
		size_t at, n;
	} parts[] = {{at - 32, 32}, {at, 96},	     {at + 96, 96},   {at + 192, 96},
		     {rows, 48},    {rows + 48, 48}, {rows + 96, 48}, {rows + 144, 48},
		     {at, 288},	    {rows, 192},     {at - 32, 128}};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		buf_reset(&work);
		buf_append(&work, c.data, c.len);
		memcpy(work.data + parts[i].at, other.data + parts[i].at, parts[i].n);
		assert_false(opens(&w, k, &work, shared));
	}
	for (size_t i = 0; i < 4; i++) // rows reordered; also two of one share: "a OR b"
		for (size_t j = i + 1; j < 4; j++) {
			buf_reset(&work);
			buf_append(&work, c.data, c.len);
			memcpy(work.data + rows + 48 * i, c.data + rows + 48 * j, 48);
			memcpy(work.data + rows + 48 * j, c.data + rows + 48 * i, 48);
			assert_false(opens(&w, k, &work, shared));
		}
	buf_reset(&work);
	buf_append(&work, c.data, c.len);
	memcpy(work.data + at + 96, c.data + at + 192, 96); // the two s' exchanged
	memcpy(work.data + at + 192, c.data + at + 96, 96);
	assert_false(opens(&w, k, &work, shared));
	abe_key_free(k);
	world_clear(&w);
}

// The points of one policy under the text of another of the same shape.
static void test_policy_swapped(void **state)
{
	struct world w;
	scoped(buf) struct buf c = {0};
	uint8_t shared[32];
	world_make(&w);
	struct abe_key *k = key_of(&w, "a=1,b=1,epoch:8=4");
	seal(&w, "a=1 AND epoch:8 = 4", &c, shared);
	assert_true(opens(&w, k, &c, shared));
	static const char *const texts[] = {"a=1 AND epoch:8 = 5", "b=1 AND epoch:8 = 4"};
	for (size_t i = 0; i < 2; i++) {
		struct policy *p = policy_of(texts[i]);
		scoped(buf) struct buf forged = {0};
		buf_append(&forged, c.data, c.len);
		assert_int_equal(strlen(policy_text(p)), points_at(&c) - 32 - ABE_HEADER - 2);
		memcpy(forged.data + ABE_HEADER + 2, policy_text(p), strlen(policy_text(p)));
		assert_false(opens(&w, k, &forged, shared));
		struct abe_key *other = key_of(&w, "a=1,b=1,epoch:8=5");
		assert_false(opens(&w, other, &forged, shared));
		abe_key_free(other);
		policy_free(p);
	}
	abe_key_free(k);
	world_clear(&w);
}

// Rows of a policy to which the recipient is entitled, lengthened by rows for someone else: a
// recipient must notice, or she would vouch for a ciphertext that another opens differently.
static void test_another_opening(void **state)
{
	struct world w;
	scoped(buf) struct buf c = {0};
	uint8_t shared[32];
	world_make(&w);
	struct abe_key *k = key_of(&w, "a=1");
	seal(&w, "a=1 OR b=1", &c, shared);
	size_t rows = points_at(&c) + 96 * 2;
	blst_p1 p;
	blst_fr s = fr_seeded("s");
	base_mul_g1(&p, BASE_G1, &s);
	blst_p1_compress(c.data + rows + 48, &p); // the row that k does not use
	assert_false(opens(&w, k, &c, shared));
	abe_key_free(k);
	world_clear(&w);
}

static void bad_point(const struct world *w, const struct abe_key *k, const struct buf *c,
		      size_t at, const uint8_t *point, size_t n, const uint8_t shared[32])
{
	scoped(buf) struct buf work = {0};
	struct ciphertext read;
	buf_append(&work, c->data, c->len);
	memcpy(work.data + at, point, n);
	assert_bad(ERR_PEER, "point of G", ciphertext_read(work.data, work.len, &read));
	assert_false(opens(w, k, &work, shared));
}

static void test_bad_points(void **state)
{
	struct world w;
	scoped(buf) struct buf c = {0};
	uint8_t shared[32];
	world_make(&w);
	struct abe_key *k = key_of(&w, "a=1,b=1");
	seal(&w, "a=1 AND b=1", &c, shared);
	size_t at = points_at(&c);
	uint8_t neutral[96] = {0xc0}, one[48], two[96];
	for (unsigned x = 1;; x++) { // on the curve, not of the subgroup
		blst_p1_affine p;
		memset(one, 0, sizeof one);
		one[0] = 0x80;
		one[47] = (uint8_t)x;
		if (blst_p1_uncompress(&p, one) == BLST_SUCCESS && !blst_p1_affine_in_g1(&p))
			break;
	}
	for (unsigned x = 1;; x++) {
		blst_p2_affine p;
		memset(two, 0, sizeof two);
		two[0] = 0x80;
		two[95] = (uint8_t)x;
		if (blst_p2_uncompress(&p, two) == BLST_SUCCESS && !blst_p2_affine_in_g2(&p))
			break;
	}
	for (size_t i = 0; i < 2; i++) {
		bad_point(&w, k, &c, at + 96 * i, neutral, 96, shared);
		bad_point(&w, k, &c, at + 96 * i, two, 96, shared);
		bad_point(&w, k, &c, at + 192 + 48 * i, neutral, 48, shared);
		bad_point(&w, k, &c, at + 192 + 48 * i, one, 48, shared);
	}
	abe_key_free(k);
	world_clear(&w);
}

static void test_wrong_public(void **state)
{
	struct world w, other;
	scoped(buf) struct buf c = {0};
	uint8_t shared[32], got[32];
	world_make(&w);
	world_make(&other);
	struct abe_key *k = key_of(&w, "a=1"), *foreign = key_of(&other, "a=1");
	seal(&w, "a=1", &c, shared);
	assert_true(opens(&w, k, &c, shared));
	assert_bad(ERR_CORRUPT, "cannot decrypt",
		   abe_decapsulate(k, other.public, c.data, c.len, got));
	assert_bad(ERR_CORRUPT, "cannot decrypt",
		   abe_decapsulate(foreign, other.public, c.data, c.len, got));
	assert_bad(ERR_CORRUPT, "cannot decrypt",
		   abe_decapsulate(foreign, w.public, c.data, c.len, got));
	memcpy(foreign->public_hash, w.public->hash, ABE_HASH); // a key that lies about it
	assert_false(opens(&w, foreign, &c, shared));
	abe_key_free(k);
	abe_key_free(foreign);
	world_clear(&w);
	world_clear(&other);
}

// --- objects

static void test_objects(void **state)
{
	struct world w;
	struct abe_master *m;
	struct abe_public *p;
	struct abe_key *k, *again;
	scoped(secret) struct secret *master = NULL, *key = NULL, *key2 = NULL;
	scoped(buf) struct buf c = {0};
	uint8_t shared[32];
	world_make(&w);
	assert_good(abe_master_write(w.master, &master));
	assert_good(abe_master_read(secret_bytes(master), secret_size(master), &m));
	assert_good(abe_public_read(abe_public_bytes(w.public), ABE_PUBLIC_BYTES, &p));
	assert_memory_equal(abe_public_hash(p), abe_public_hash(w.public), ABE_HASH);
	k = key_of(&w, "b=1,a=1,l:8=5");
	assert_good(abe_key_write(k, &key));
	assert_good(abe_key_read(secret_bytes(key), secret_size(key), &again));
	assert_good(abe_key_write(again, &key2));
	assert_int_equal(secret_size(key), secret_size(key2));
	assert_memory_equal(secret_bytes(key), secret_bytes(key2), secret_size(key));
	assert_string_equal(attributes_text(abe_key_attributes(again)), "a = 1, b = 1, l:8 = 5");
	seal(&w, "a=1 AND l:8 >= 4", &c, shared);
	assert_true(opens(&w, again, &c, shared));
	unsigned suite;
	assert_int_equal(abe_kind_of(secret_bytes(key), secret_size(key), &suite), ABE_KEY);
	assert_int_equal(suite, ABE_SUITE_FABEO);
	assert_int_equal(abe_kind_of(c.data, c.len, &suite), ABE_CIPHERTEXT);
	assert_int_equal(abe_kind_of(c.data, 6, &suite), 0);
	abe_key_free(k);
	abe_key_free(again);
	abe_master_free(m);
	abe_public_free(p);
	world_clear(&w);
}

// No changed key, public or master object is taken for good.
static void test_objects_changed(void **state)
{
	struct world w;
	scoped(secret) struct secret *key = NULL, *master = NULL;
	uint8_t public[ABE_PUBLIC_BYTES];
	world_make(&w);
	struct abe_key *k = key_of(&w, "a=1,l:2=2"), *bad;
	assert_good(abe_key_write(k, &key));
	assert_good(abe_master_write(w.master, &master));
	for (size_t i = 0; i < secret_size(key); i++) {
		secret_bytes(key)[i] ^= 1;
		struct err e = abe_key_read(secret_bytes(key), secret_size(key), &bad);
		if (e.code == ERR_NONE) {
			assert_bad(ERR_AUTH, NULL, abe_key_check(bad, w.public));
			abe_key_free(bad);
		} else {
			assert_int_equal(e.code, ERR_PEER);
		}
		secret_bytes(key)[i] ^= 1;
	}
	for (size_t i = 0; i < ABE_PUBLIC_BYTES; i++) {
		struct abe_public *p;
		memcpy(public, abe_public_bytes(w.public), sizeof public);
		public[i] ^= 1;
		assert_bad(ERR_PEER, NULL, abe_public_read(public, sizeof public, &p));
	}
	for (size_t i = 0; i < ABE_MASTER_BYTES; i++) {
		struct abe_master *m;
		secret_bytes(master)[i] ^= 1;
		assert_bad(ERR_PEER, NULL,
			   abe_master_read(secret_bytes(master), ABE_MASTER_BYTES, &m));
		secret_bytes(master)[i] ^= 1;
	}
	abe_key_free(k);
	world_clear(&w);
}

static void test_key_check(void **state)
{
	struct world w, other;
	world_make(&w);
	world_make(&other);
	struct abe_key *k = key_of(&w, "a=1,b=1,l:4=7"), *k2 = key_of(&w, "a=1,b=1,l:4=7");
	assert_good(abe_key_check(k, w.public));
	assert_bad(ERR_AUTH, "another public key", abe_key_check(k, other.public));
	blst_p1_affine kept = k->sk2[1];
	k->sk2[1] = k2->sk2[1]; // of another issue
	assert_bad(ERR_AUTH, "b = 1", abe_key_check(k, w.public));
	k->sk2[1] = k->sk2[0];
	assert_bad(ERR_AUTH, "b = 1", abe_key_check(k, w.public));
	k->sk2[1] = kept;
	k->sk3 = k2->sk3;
	assert_bad(ERR_AUTH, "master key", abe_key_check(k, w.public));
	abe_key_free(k);
	abe_key_free(k2);
	world_clear(&w);
	world_clear(&other);
}

// Keys and ciphertexts of one input are never the same twice.
static void test_fresh(void **state)
{
	struct world w;
	scoped(buf) struct buf one = {0}, two = {0};
	uint8_t s1[32], s2[32];
	world_make(&w);
	seal(&w, "a=1", &one, s1);
	seal(&w, "a=1", &two, s2);
	assert_memory_not_equal(s1, s2, 32);
	assert_memory_not_equal(one.data + points_at(&one), two.data + points_at(&two), 240);
	world_clear(&w);
}

// More attributes than the cache of points has slots, back and forth.
static void test_cache(void **state)
{
	struct world w;
	world_make(&w);
	for (int round = 0; round < 2; round++)
		for (unsigned i = 0; i < CACHE + CACHE / 2; i += round ? 37 : 1) {
			char text[32];
			blst_p1_affine p;
			snprintf(text, sizeof text, "a=%u", i);
			struct attributes *a = attributes_of(text);
			const blst_p1_affine *cached =
				attribute_point_cached(w.public, attributes_at(a, 0));
			if (i % 37 == 0) {
				attribute_point(attributes_at(a, 0), &p);
				assert_true(blst_p1_affine_is_equal(&p, cached));
			}
			attributes_free(a);
		}
	world_clear(&w);
}

static void test_large(void **state)
{
	struct world w;
	scoped(buf) struct buf policy = {0}, list = {0}, c = {0};
	uint8_t shared[32];
	world_make(&w);
	for (int i = 0; i < 300; i++) {
		buf_printf(&policy, "%sa%d=v", i ? ", " : "200 OF (", i);
		if (i % 3)
			buf_printf(&list, "%sa%d=v", list.len ? "," : "", i);
	}
	buf_str(&policy, ")");
	struct abe_key *k = key_of(&w, buf_text(&list));
	seal(&w, buf_text(&policy), &c, shared);
	assert_true(opens(&w, k, &c, shared));
	abe_key_free(k);
	world_clear(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_opens),
		cmocka_unit_test(test_random_policies),
		cmocka_unit_test(test_equation),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_collusion),
		cmocka_unit_test(test_one_input_of_and),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_parts_exchanged),
		cmocka_unit_test(test_policy_swapped),
		cmocka_unit_test(test_another_opening),
		cmocka_unit_test(test_bad_points),
		cmocka_unit_test(test_wrong_public),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_objects_changed),
		cmocka_unit_test(test_key_check),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
