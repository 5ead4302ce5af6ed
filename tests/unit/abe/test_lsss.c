// SPDX-License-Identifier: Apache-2.0
// Secret sharing: for thousands of random policies, (1, 0, ..., 0) is in the span of exactly the
// authorized sets of rows. A public library's AND gate once gave one input the whole secret: a
// test of decryption alone does not see that.
#include "test_abe.h"

enum { UNIVERSE = 6, POLICIES = 2500 };

// Is (1, 0, ..., 0) a combination of the rows? By elimination over the scalars.
static bool in_span(blst_fr *rows, size_t n, size_t columns)
{
	size_t done = 0;
	for (size_t c = columns; c-- > 1 && done < n;) { // the columns that must vanish
		size_t pivot = done;
		while (pivot < n && fr_same(&rows[pivot * columns + c], &scalar_zero))
			pivot++;
		if (pivot == n)
			continue;
		for (size_t i = 0; i < columns; i++) {
			blst_fr t = rows[done * columns + i];
			rows[done * columns + i] = rows[pivot * columns + i];
			rows[pivot * columns + i] = t;
		}
		blst_fr inverse;
		blst_fr_inverse(&inverse, &rows[done * columns + c]);
		for (size_t r = done + 1; r < n; r++) {
			blst_fr factor, t;
			blst_fr_mul(&factor, &rows[r * columns + c], &inverse);
			for (size_t i = 0; i < columns; i++) {
				blst_fr_mul(&t, &factor, &rows[done * columns + i]);
				blst_fr_sub(&rows[r * columns + i], &rows[r * columns + i], &t);
			}
		}
		done++;
	}
	for (size_t r = done; r < n; r++) // what is left has only the first column
		if (!fr_same(&rows[r * columns], &scalar_zero))
			return true;
	return false;
}

static blst_fr *matrix_of(const struct policy *p, const bool *have, size_t *n)
{
	size_t columns = policy_columns(p);
	blst_fr *m = calloc(policy_rows(p) + 1, columns * sizeof *m);
	assert_non_null(m);
	*n = 0;
	for (size_t i = 0; i < policy_rows(p); i++)
		if (!have || have[i])
			lsss_row(p, i, m + (*n)++ * columns);
	return m;
}

static void have_of(const struct policy *p, const struct attributes *a, bool *have)
{
	for (size_t i = 0; i < policy_rows(p); i++)
		have[i] = attributes_find(a, policy_attribute(p, i)->hash) >= 0;
}

static void check_set(const struct policy *p, const struct attributes *a, unsigned *yes,
		      unsigned *no)
{
	bool have[POLICY_ROWS_MAX];
	struct lsss_use use[POLICY_ROWS_MAX];
	size_t rows, used;
	have_of(p, a, have);
	bool authorized = policy_permits(p, a);
	blst_fr *m = matrix_of(p, have, &rows);
	if (in_span(m, rows, policy_columns(p)) != authorized)
		fail_msg("%s with %s", policy_text(p), attributes_text(a));
	free(m);
	assert_good(lsss_choose(p, have, use, &used));
	assert_int_equal(used > 0, authorized);
	for (size_t i = 0; i < used; i++)
		assert_true(have[use[i].row]);
	*(authorized ? yes : no) += 1;
}

static void test_span(void **state)
{
	uint64_t seed = 20261125;
	unsigned yes = 0, no = 0;
	for (int i = 0; i < POLICIES; i++) {
		struct policy *p = random_policy(&seed, 3, UNIVERSE);
		for (int k = 0; k < 6; k++) {
			unsigned mask = 1 + dice(&seed, (1u << UNIVERSE) - 1);
			struct attributes *a = attributes_of_mask(mask);
			check_set(p, a, &yes, &no);
			attributes_free(a);
		}
		policy_free(p);
	}
	assert_true(yes > 2000 && no > 2000);
}

static void test_span_of_comparisons(void **state)
{
	uint64_t seed = 5;
	unsigned yes = 0, no = 0;
	for (int i = 0; i < 300; i++) {
		char text[128], list[64];
		snprintf(text, sizeof text, "(x:6 >= %u AND y:6 <= %u) OR x:6 < %u",
			 1 + dice(&seed, 62), dice(&seed, 62), 1 + dice(&seed, 62));
		struct policy *p = policy_of(text);
		snprintf(list, sizeof list, "x:6=%u,y:6=%u", dice(&seed, 64), dice(&seed, 64));
		struct attributes *a = attributes_of(list);
		check_set(p, a, &yes, &no);
		attributes_free(a);
		policy_free(p);
	}
	assert_true(yes > 50 && no > 50);
}

// No proper part of an AND's operands spans the secret, up to 12 operands.
static void test_and_gate(void **state)
{
	for (unsigned n = 2; n <= 12; n++) {
		scoped(buf) struct buf text = {0};
		for (unsigned i = 0; i < n; i++)
			buf_printf(&text, "%sa%u=v", i ? " AND " : "", i);
		struct policy *p = policy_of(buf_text(&text));
		assert_int_equal(policy_columns(p), n);
		for (unsigned without = 0; without < n; without++) {
			unsigned yes = 0, no = 0;
			struct attributes *a =
				attributes_of_mask(((1u << n) - 1) & ~(1u << without));
			check_set(p, a, &yes, &no);
			assert_int_equal(no, 1);
			attributes_free(a);
		}
		policy_free(p);
	}
}

// Shares along the tree are the matrix times the vector, and the chosen rows give back the secret.
static void test_shares(void **state)
{
	uint64_t seed = 99;
	for (int round = 0; round < 400; round++) {
		struct policy *p = random_policy(&seed, 4, UNIVERSE);
		size_t columns = policy_columns(p), rows = policy_rows(p), n, used;
		blst_fr *v = calloc(columns, sizeof *v), *share = calloc(rows, sizeof *share);
		bool have[POLICY_ROWS_MAX];
		struct lsss_use use[POLICY_ROWS_MAX];
		for (size_t c = 0; c < columns; c++)
			assert_good(scalar_random(&v[c]));
		lsss_share(p, v, share);
		blst_fr *m = matrix_of(p, NULL, &n), sum, t;
		for (size_t i = 0; i < rows; i++) {
			sum = scalar_zero;
			for (size_t c = 0; c < columns; c++) {
				blst_fr_mul(&t, &m[i * columns + c], &v[c]);
				blst_fr_add(&sum, &sum, &t);
			}
			assert_true(fr_same(&sum, &share[i]));
			have[i] = true;
		}
		assert_good(lsss_choose(p, have, use, &used));
		sum = scalar_zero;
		for (size_t i = 0; i < used; i++) {
			blst_fr one = fr_of(1);
			blst_fr_mul(&t, &use[i].coefficient, &share[use[i].row]);
			blst_fr_add(&sum, &sum, &t);
			assert_int_equal(use[i].one, fr_same(&use[i].coefficient, &one));
		}
		assert_true(fr_same(&sum, &v[0]));
		free(m);
		free(v);
		free(share);
		policy_free(p);
	}
}

static void test_matrix_by_hand(void **state)
{
	// rows a, b, c of "a AND (b OR c)": (1, 1), (0, -1), (0, -1)
	struct policy *p = policy_of("a=v AND (b=v OR c=v)");
	blst_fr row[2], one = fr_of(1), minus = one;
	blst_fr_cneg(&minus, &minus, true);
	size_t a = strcmp(policy_attribute(p, 2)->label, "a = v") == 0 ? 2 : 0;
	for (size_t i = 0; i < 3; i++) { // "(b OR c)" sorts before "a"? whichever is first is left
		lsss_row(p, i, row);
		bool left = a == 0 ? i == 0 : i < 2;
		assert_true(fr_same(&row[0], left ? &one : &scalar_zero));
		assert_true(fr_same(&row[1], left ? &one : &minus));
	}
	policy_free(p);
	p = policy_of("2 OF (a=v, b=v, c=v)"); // (1, 1), (1, 2), (1, 3)
	for (size_t i = 0; i < 3; i++) {
		blst_fr x = fr_of(i + 1);
		lsss_row(p, i, row);
		assert_true(fr_same(&row[0], &one) && fr_same(&row[1], &x));
	}
	policy_free(p);
}

// Of two ways the one with fewer rows.
static void test_cheapest(void **state)
{
	struct policy *p = policy_of("(a=v AND b=v AND c=v) OR (d=v AND e=v)");
	bool have[5] = {true, true, true, true, true};
	struct lsss_use use[5];
	size_t used;
	assert_good(lsss_choose(p, have, use, &used));
	assert_int_equal(used, 2);
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_span),	       cmocka_unit_test(test_span_of_comparisons),
		cmocka_unit_test(test_and_gate),       cmocka_unit_test(test_shares),
		cmocka_unit_test(test_matrix_by_hand), cmocka_unit_test(test_cheapest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
