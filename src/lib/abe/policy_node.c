// SPDX-License-Identifier: Apache-2.0
// The canonical formula, kept canonical as it is built from the leaves up.

#include "lib/abe/policy_internal.h"

#include <stdlib.h>
#include <string.h>

static struct err leaf(struct arena *arena, const struct term *t, struct node **out)
{
	scoped(buf) struct buf text = {.limit = 8192};
	struct node *n = arena_alloc(arena, sizeof *n);
	term_print(t, &text);
	TRY(buf_check(&text, "term"));
	ENSURE(n && (n->text = arena_strdup(arena, buf_text(&text))), ERR_LIMIT,
	       "policy: out of memory");
	n->term = t;
	*out = n;
	return OK;
}

static struct err variant(struct arena *arena, const struct term *t, enum term_op op,
			  uint64_t number, const char *value, struct node **out)
{
	struct term *copy = arena_alloc(arena, sizeof *copy);
	ENSURE(copy, ERR_LIMIT, "policy: out of memory");
	*copy = *t;
	copy->op = op;
	copy->number = number;
	copy->value = value;
	return leaf(arena, copy, out);
}

// --- integers: only =, >= and <= are left, none of them always or never true

static struct err at_least(struct arena *arena, const struct term *t, uint64_t v, struct node **out)
{
	ENSURE(v > 0, ERR_USAGE, "\"%s\": the comparison is always true", t->name);
	return variant(arena, t, v == term_most(t) ? TERM_EQ : TERM_GE, v, NULL, out);
}

static struct err at_most(struct arena *arena, const struct term *t, uint64_t v, struct node **out)
{
	ENSURE(v < term_most(t), ERR_USAGE, "\"%s\": the comparison is always true", t->name);
	return variant(arena, t, v == 0 ? TERM_EQ : TERM_LE, v, NULL, out);
}

static struct err not_equal(struct arena *arena, const struct term *t, struct node **out)
{
	struct node *either[2];
	unsigned n = 0;
	if (t->number > 0)
		TRY(at_most(arena, t, t->number - 1, &either[n++]));
	if (t->number < term_most(t))
		TRY(at_least(arena, t, t->number + 1, &either[n++]));
	return node_of_gate(arena, 1, either, n, out);
}

static struct err integer(struct arena *arena, const struct term *t, enum term_op op,
			  struct node **out)
{
	uint64_t v = t->number;
	switch (op) {
	case TERM_EQ:
		return variant(arena, t, TERM_EQ, v, NULL, out);
	case TERM_NE:
		return not_equal(arena, t, out);
	case TERM_GE:
		return at_least(arena, t, v, out);
	case TERM_LE:
		return at_most(arena, t, v, out);
	case TERM_GT:
		ENSURE(v < term_most(t), ERR_USAGE, "\"%s\": the comparison is never true",
		       t->name);
		return at_least(arena, t, v + 1, out);
	case TERM_LT:
		ENSURE(v > 0, ERR_USAGE, "\"%s\": the comparison is never true", t->name);
		return at_most(arena, t, v - 1, out);
	}
	return err_make(ERR_INTERNAL, "operator %d", (int)op);
}

static struct err other_members(struct arena *arena, const struct term *t, struct node **out)
{
	struct node *others[ATTRIBUTE_MEMBERS_MAX];
	unsigned n = 0;
	for (unsigned i = 0; i < t->n_members; i++)
		if (strcmp(t->members[i], t->value) != 0)
			TRY(variant(arena, t, TERM_EQ, 0, t->members[i], &others[n++]));
	return node_of_gate(arena, 1, others, n, out);
}

struct err node_of_term(struct arena *arena, const struct term *t, bool negated, struct node **out)
{
	static const enum term_op opposite[] = {
		[TERM_EQ] = TERM_NE, [TERM_NE] = TERM_EQ, [TERM_GE] = TERM_LT,
		[TERM_LT] = TERM_GE, [TERM_LE] = TERM_GT, [TERM_GT] = TERM_LE};
	enum term_op op = negated ? opposite[t->op] : t->op;
	if (t->kind == TERM_INTEGER)
		return integer(arena, t, op, out);
	if (op == TERM_EQ)
		return variant(arena, t, TERM_EQ, 0, t->value, out);
	ENSURE(t->kind == TERM_MEMBER, ERR_USAGE,
	       "NOT needs a closed enumeration or an integer, as in NOT %s{a,b} = a", t->name);
	return other_members(arena, t, out);
}

// --- gates

static int by_text(const void *a, const void *b)
{
	return strcmp((*(struct node *const *)a)->text, (*(struct node *const *)b)->text);
}

static bool is_or(const struct node *n)
{
	return !n->term && n->k == 1;
}

static bool is_and(const struct node *n)
{
	return !n->term && n->k == n->n;
}

static struct err gate_text(struct arena *arena, struct node *g)
{
	scoped(buf) struct buf text = {.limit = 2 * POLICY_TEXT_MAX};
	bool list = !is_and(g) && !is_or(g);
	if (list)
		buf_printf(&text, "%u OF (", g->k);
	for (unsigned i = 0; i < g->n; i++) {
		const struct node *c = g->child[i];
		bool wrap = !list && (is_and(c) || is_or(c));
		if (i)
			buf_str(&text, list ? ", " : is_and(g) ? " AND " : " OR ");
		buf_printf(&text, wrap ? "(%s)" : "%s", c->text);
	}
	if (list)
		buf_str(&text, ")");
	TRY(buf_check(&text, "policy"));
	g->text = arena_strdup(arena, buf_text(&text));
	ENSURE(g->text, ERR_LIMIT, "policy: larger than %d MiB when read", 32);
	return OK;
}

// a OR (b OR c) is a OR b OR c, and AND likewise.
static unsigned merge(struct node **to, struct node **child, unsigned n,
		      bool (*same)(const struct node *))
{
	unsigned total = 0;
	for (unsigned i = 0; i < n; i++) {
		if (!same(child[i])) {
			if (to)
				to[total] = child[i];
			total++;
			continue;
		}
		for (unsigned j = 0; j < child[i]->n; j++, total++)
			if (to)
				to[total] = child[i]->child[j];
	}
	return total;
}

static bool never(const struct node *n)
{
	return false;
}

struct err node_of_gate(struct arena *arena, unsigned k, struct node **child, unsigned n,
			struct node **out)
{
	if (n == 1) {
		*out = child[0];
		return OK;
	}
	bool (*same)(const struct node *) = k == 1 ? is_or : k == n ? is_and : never;
	struct node *g = arena_alloc(arena, sizeof *g);
	unsigned total = merge(NULL, child, n, same);
	ENSURE(total <= POLICY_ROWS_MAX, ERR_LIMIT, "policy: more than %d terms", POLICY_ROWS_MAX);
	ENSURE(g && (g->child = arena_alloc(arena, total * sizeof(struct node *))), ERR_LIMIT,
	       "policy: out of memory");
	g->n = merge(g->child, child, n, same);
	g->k = k == n ? total : k;
	qsort(g->child, g->n, sizeof *g->child, by_text);
	for (unsigned i = 1; i < g->n; i++)
		ENSURE(strcmp(g->child[i - 1]->text, g->child[i]->text) != 0, ERR_USAGE,
		       "%.200s: given twice in one %s", g->child[i]->text,
		       k == 1	? "OR"
		       : k == n ? "AND"
				: "OF");
	TRY(gate_text(arena, g));
	*out = g;
	return OK;
}
