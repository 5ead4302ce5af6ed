// SPDX-License-Identifier: Apache-2.0
#include "lib/abe/lsss.h"

#include "lib/abe/policy_internal.h"

#include <stdlib.h>
#include <string.h>

// --- shares

struct sharing {
	const blst_fr *v;
	blst_fr *share;
	unsigned column; // next
};

static void share_gate(struct sharing *s, const struct gate *g, const blst_fr *value);

static void share_and(struct sharing *s, const struct gate *g, const blst_fr *value)
{
	blst_fr rest = *value, left;
	for (unsigned i = 0; i + 1 < g->n; i++) {
		const blst_fr *fresh = &s->v[s->column++];
		blst_fr_add(&left, &rest, fresh);
		blst_fr_cneg(&rest, fresh, true);
		share_gate(s, g->child[i], &left);
	}
	share_gate(s, g->child[g->n - 1], &rest);
	secret_zero(&rest, sizeof rest);
	secret_zero(&left, sizeof left);
}

// A polynomial of degree k - 1 with `value` at 0, by Horner.
static void share_threshold(struct sharing *s, const struct gate *g, const blst_fr *value)
{
	const blst_fr *fresh = &s->v[s->column];
	s->column += g->k - 1;
	for (unsigned i = 0; i < g->n; i++) {
		blst_fr at, sum = scalar_zero;
		scalar_small(&at, i + 1);
		for (unsigned j = g->k - 1; j-- > 0;) {
			blst_fr_add(&sum, &sum, &fresh[j]);
			blst_fr_mul(&sum, &sum, &at);
		}
		blst_fr_add(&sum, &sum, value);
		share_gate(s, g->child[i], &sum);
		secret_zero(&sum, sizeof sum);
	}
}

static void share_gate(struct sharing *s, const struct gate *g, const blst_fr *value)
{
	if (g->n == 0)
		s->share[g->row] = *value;
	else if (g->k == g->n)
		share_and(s, g, value);
	else if (g->k > 1)
		share_threshold(s, g, value);
	else
		for (unsigned i = 0; i < g->n; i++)
			share_gate(s, g->child[i], value);
}

void lsss_share(const struct policy *p, const blst_fr *v, blst_fr *share)
{
	struct sharing s = {v, share, 1};
	share_gate(&s, p->root, &v[0]);
}

// --- the matrix: the vector of each gate, handed down as the text above says

struct matrix {
	const struct policy *p;
	size_t row;
	blst_fr *out;
	unsigned column;
};

static bool row_below(struct matrix *m, const struct gate *g);

// w = (0^c, -1) or w stays; then the operand gets a 1 in the fresh column, but for the last.
static bool row_of_and(struct matrix *m, const struct gate *g)
{
	blst_fr one;
	scalar_small(&one, 1);
	for (unsigned i = 0; i + 1 < g->n; i++) {
		unsigned fresh = m->column++;
		m->out[fresh] = one;
		if (row_below(m, g->child[i]))
			return true;
		for (unsigned c = 0; c < fresh; c++)
			m->out[c] = scalar_zero;
		blst_fr_cneg(&m->out[fresh], &one, true);
	}
	return row_below(m, g->child[g->n - 1]);
}

static bool row_of_threshold(struct matrix *m, const struct gate *g)
{
	unsigned fresh = m->column;
	m->column += g->k - 1;
	for (unsigned i = 0; i < g->n; i++) {
		blst_fr at, power;
		scalar_small(&at, i + 1);
		power = at;
		for (unsigned j = 0; j + 1 < g->k; j++) {
			m->out[fresh + j] = power;
			blst_fr_mul(&power, &power, &at);
		}
		if (row_below(m, g->child[i]))
			return true;
	}
	return false;
}

// Whether the row is below this gate; if so `out` is its vector, else as before the call.
static bool row_below(struct matrix *m, const struct gate *g)
{
	if (g->n == 0)
		return g->row == m->row;
	size_t n = m->p->columns;
	scoped(heap) blst_fr *before = malloc(n * sizeof *before);
	if (!before)
		abort();
	memcpy(before, m->out, n * sizeof *before);
	bool found = false;
	if (g->k == g->n)
		found = row_of_and(m, g);
	else if (g->k > 1)
		found = row_of_threshold(m, g);
	else
		for (unsigned i = 0; i < g->n && !found; i++)
			found = row_below(m, g->child[i]);
	if (!found)
		memcpy(m->out, before, n * sizeof *before);
	return found;
}

void lsss_row(const struct policy *p, size_t row, blst_fr *out)
{
	struct matrix m = {p, row, out, 1};
	for (unsigned i = 0; i < p->columns; i++)
		out[i] = scalar_zero;
	scalar_small(&out[0], 1);
	row_below(&m, p->root);
}

// --- which rows

enum { NEVER = 1 << 30 };

struct choice {
	const bool *have;
	unsigned *cost; // by gate id: rows needed, or NEVER
	struct lsss_use *out;
	size_t n;
	bool failed;
};

// The k cheapest operands of a gate, marked; returns their cost.
static unsigned cheapest(const struct choice *c, const struct gate *g, bool *taken)
{
	unsigned total = 0;
	memset(taken, 0, g->n * sizeof *taken);
	for (unsigned round = 0; round < g->k; round++) {
		unsigned best = g->n, least = NEVER;
		for (unsigned i = 0; i < g->n; i++)
			if (!taken[i] && c->cost[g->child[i]->id] < least) {
				best = i;
				least = c->cost[g->child[i]->id];
			}
		if (best == g->n)
			return NEVER;
		taken[best] = true;
		total += least;
	}
	return total;
}

static void count_cost(struct choice *c, const struct gate *g)
{
	bool taken[POLICY_ROWS_MAX];
	for (unsigned i = 0; i < g->n; i++)
		count_cost(c, g->child[i]);
	if (g->n == 0)
		c->cost[g->id] = c->have[g->row] ? 1 : NEVER;
	else
		c->cost[g->id] = cheapest(c, g, taken);
}

// Lagrange at 0: Π j / (j - i) over the other operands taken.
static void lagrange(const struct gate *g, const bool *taken, unsigned i, blst_fr *out)
{
	blst_fr below, at, other;
	scalar_small(out, 1);
	scalar_small(&below, 1);
	scalar_small(&at, i + 1);
	for (unsigned j = 0; j < g->n; j++) {
		if (!taken[j] || j == i)
			continue;
		scalar_small(&other, j + 1);
		blst_fr_mul(out, out, &other);
		blst_fr_sub(&other, &other, &at);
		blst_fr_mul(&below, &below, &other);
	}
	blst_fr_eucl_inverse(&below, &below);
	blst_fr_mul(out, out, &below);
}

static void take(struct choice *c, const struct gate *g, const blst_fr *coefficient, bool whole)
{
	if (g->n == 0) {
		c->out[c->n++] = (struct lsss_use){g->row, whole, *coefficient};
		return;
	}
	scoped(heap) bool *taken = calloc(g->n, sizeof *taken);
	if (!taken) {
		c->failed = true;
		return;
	}
	cheapest(c, g, taken);
	bool threshold = g->k > 1 && g->k < g->n;
	for (unsigned i = 0; i < g->n; i++) {
		blst_fr mine = *coefficient;
		if (taken[i] && threshold) {
			lagrange(g, taken, i, &mine);
			blst_fr_mul(&mine, &mine, coefficient);
		}
		if (taken[i])
			take(c, g->child[i], &mine, whole && !threshold);
	}
}

struct err lsss_choose(const struct policy *p, const bool *have, struct lsss_use *out, size_t *n)
{
	struct choice c = {.have = have, .out = out};
	blst_fr one;
	scoped(heap) unsigned *cost = calloc(p->gates, sizeof *cost);
	ENSURE(cost, ERR_LIMIT, "out of memory");
	c.cost = cost;
	*n = 0;
	count_cost(&c, p->root);
	if (cost[p->root->id] >= NEVER)
		return OK;
	scalar_small(&one, 1);
	take(&c, p->root, &one, true);
	ENSURE(!c.failed, ERR_LIMIT, "out of memory");
	*n = c.n;
	return OK;
}
