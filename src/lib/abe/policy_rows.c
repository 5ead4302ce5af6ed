// SPDX-License-Identifier: Apache-2.0
// From the canonical formula to rows. A comparison is unfolded over the bits from the highest:
//     x >= c   bit of c is 1: x's bit = 1 AND the rest;    0: x's bit = 1 OR the rest
//     x <= c   bit of c is 0: x's bit = 0 AND the rest;    1: x's bit = 0 OR the rest
// where the rest is dropped as soon as it is true for every x (c's remaining bits are all 0, or all
// 1). At most one row a bit.

#include "lib/abe/policy_internal.h"

#include <stdlib.h>
#include <string.h>

static struct err row_add(struct policy *p, const struct attribute *a, const struct gate **out)
{
	struct gate *g = arena_alloc(p->arena, sizeof *g);
	ENSURE(g, ERR_LIMIT, "policy: out of memory");
	ENSURE(p->rows < POLICY_ROWS_MAX, ERR_LIMIT,
	       "policy: more than %d rows (a comparison takes up to one for each bit)",
	       POLICY_ROWS_MAX);
	g->row = p->rows++;
	g->id = p->gates++;
	p->row[g->row].attribute = *a;
	*out = g;
	return OK;
}

static struct gate *gate_new(struct policy *p, unsigned k, unsigned n)
{
	struct gate *g = arena_alloc(p->arena, sizeof *g);
	const struct gate **child = arena_alloc(p->arena, n * sizeof *child);
	if (!g || !child)
		return NULL;
	*g = (struct gate){.k = k, .n = n, .child = child, .id = p->gates++};
	return g;
}

static struct err compare(struct policy *p, const struct term *t, unsigned bits,
			  const struct gate **out)
{
	bool least = t->op == TERM_GE;
	unsigned index = bits - 1;
	uint64_t rest = t->number & ((UINT64_C(1) << index) - 1);
	bool rest_true = rest == (least ? 0 : (UINT64_C(1) << index) - 1);
	bool strict = (t->number >> index & 1) == least; // this bit must be so
	struct attribute a;
	TRY(term_bit(t, index, least, p->arena, &a));
	if (rest_true && strict)
		return row_add(p, &a, out);
	struct gate *g = gate_new(p, strict ? 2 : 1, 2);
	ENSURE(g, ERR_LIMIT, "policy: out of memory");
	TRY(row_add(p, &a, &g->child[0]));
	TRY(compare(p, t, index, &g->child[1]));
	*out = g;
	return OK;
}

static struct err expand(struct policy *p, const struct node *n, const struct gate **out)
{
	if (n->term && n->term->op == TERM_EQ) {
		struct attribute a;
		TRY(term_attribute(n->term, p->arena, &a));
		return row_add(p, &a, out);
	}
	if (n->term)
		return compare(p, n->term, n->term->width, out);
	struct gate *g = gate_new(p, n->k, n->n);
	ENSURE(g, ERR_LIMIT, "policy: out of memory");
	for (unsigned i = 0; i < n->n; i++)
		TRY(expand(p, n->child[i], &g->child[i]));
	*out = g;
	return OK;
}

static unsigned columns_below(const struct gate *g)
{
	unsigned n = g->n ? g->k - 1 : 0;
	for (unsigned i = 0; i < g->n; i++)
		n += columns_below(g->child[i]);
	return n;
}

static int by_attribute(const void *a, const void *b, void *ctx)
{
	const struct policy_row *row = ctx;
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	int order = memcmp(row[x].attribute.hash, row[y].attribute.hash, 32);
	return order ? order : (x > y) - (x < y);
}

// Rows of one attribute are numbered in row order.
static struct err count_occurrences(struct policy *p)
{
	unsigned *order = arena_alloc(p->arena, p->rows * sizeof *order);
	ENSURE(order, ERR_LIMIT, "policy: out of memory");
	for (unsigned i = 0; i < p->rows; i++)
		order[i] = i;
	qsort_r(order, p->rows, sizeof *order, by_attribute, p->row);
	p->repeat = 1;
	for (unsigned i = 1; i < p->rows; i++) {
		struct policy_row *last = &p->row[order[i - 1]], *now = &p->row[order[i]];
		if (memcmp(last->attribute.hash, now->attribute.hash, 32) == 0)
			now->occurrence = last->occurrence + 1;
		if (now->occurrence >= p->repeat)
			p->repeat = now->occurrence + 1;
	}
	ENSURE(p->repeat <= POLICY_REPEAT_MAX, ERR_LIMIT,
	       "policy: one attribute in more than %d places", POLICY_REPEAT_MAX);
	return OK;
}

struct err policy_expand(struct policy *p, const struct node *formula)
{
	p->row = arena_alloc(p->arena, POLICY_ROWS_MAX * sizeof *p->row);
	ENSURE(p->row, ERR_LIMIT, "policy: out of memory");
	TRY(expand(p, formula, &p->root));
	p->columns = 1 + columns_below(p->root);
	return count_occurrences(p);
}
