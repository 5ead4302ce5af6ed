// SPDX-License-Identifier: Apache-2.0
// The parser. It carries whether the number of NOTs around is odd, so that the formula that it
// builds has none (De Morgan: NOT (k of n) is n - k + 1 of the negated).

#include "lib/abe/policy_internal.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA = 32 << 20, OPERANDS_MAX = 4096 };

struct parser {
	struct words w;
	struct arena *arena;
	unsigned depth;
};

struct operands { // on the heap while they are collected
	struct node **at;
	unsigned n;
};

static struct err parse_or(struct parser *p, bool negated, struct node **out);

static struct err operand_add(struct parser *p, struct operands *o, struct node *n)
{
	if (o->n == OPERANDS_MAX)
		return words_wrong(&p->w, "more than %d operands", OPERANDS_MAX);
	if ((o->n & (o->n - 1)) == 0) { // at 0 and the powers of two
		struct node **more =
			realloc(o->at, (o->n ? o->n * 2u : 1u) * sizeof(struct node *));
		ENSURE(more, ERR_LIMIT, "policy: out of memory");
		o->at = more;
	}
	o->at[o->n++] = n;
	return OK;
}

static struct err gate_of(struct parser *p, const struct operands *o, uint64_t k, bool negated,
			  struct node **out)
{
	unsigned need = (unsigned)k;
	return node_of_gate(p->arena, negated ? o->n - need + 1 : need, o->at, o->n, out);
}

static struct err collect_list(struct parser *p, bool negated, struct operands *o)
{
	do {
		struct node *n;
		TRY(parse_or(p, negated, &n));
		TRY(operand_add(p, o, n));
	} while (words_symbol(&p->w, ","));
	return words_symbol(&p->w, ")") ? OK : words_wrong(&p->w, "expected , or )");
}

static struct err parse_threshold(struct parser *p, bool negated, struct node **out)
{
	struct operands o = {0};
	uint64_t k;
	TRY(words_number(&p->w, OPERANDS_MAX, &k));
	if (!words_keyword(&p->w, "OF") || !words_symbol(&p->w, "("))
		return words_wrong(&p->w, "expected OF ( after the number");
	struct err e = collect_list(p, negated, &o);
	if (e.code == ERR_NONE && (k < 1 || k > o.n))
		e = words_wrong(&p->w, "%u OF %u: from 1 to the number of operands", (unsigned)k,
				o.n);
	if (e.code == ERR_NONE)
		e = gate_of(p, &o, k, negated, out);
	free(o.at);
	return e;
}

static struct err parse_term(struct parser *p, bool negated, struct node **out)
{
	struct term *t = arena_alloc(p->arena, sizeof *t);
	ENSURE(t, ERR_LIMIT, "policy: out of memory");
	TRY(term_parse(&p->w, t));
	struct err e = node_of_term(p->arena, t, negated, out);
	return e.code == ERR_USAGE ? words_wrong(&p->w, "%s", e.text) : e;
}

static struct err parse_unary(struct parser *p, bool negated, struct node **out)
{
	char next = words_peek(&p->w);
	if (words_keyword(&p->w, "NOT")) {
		ENSURE(++p->depth <= POLICY_DEPTH_MAX, ERR_LIMIT, "policy: nested deeper than %d",
		       POLICY_DEPTH_MAX);
		TRY(parse_unary(p, !negated, out));
		p->depth--;
		return OK;
	}
	if (words_symbol(&p->w, "(")) {
		TRY(parse_or(p, negated, out));
		return words_symbol(&p->w, ")") ? OK : words_wrong(&p->w, "expected )");
	}
	return next >= '0' && next <= '9' ? parse_threshold(p, negated, out)
					  : parse_term(p, negated, out);
}

static struct err collect_and(struct parser *p, bool negated, struct operands *o)
{
	do {
		struct node *n;
		TRY(parse_unary(p, negated, &n));
		TRY(operand_add(p, o, n));
	} while (words_keyword(&p->w, "AND"));
	return OK;
}

static struct err parse_and(struct parser *p, bool negated, struct node **out)
{
	struct operands o = {0};
	struct err e = collect_and(p, negated, &o);
	if (e.code == ERR_NONE)
		e = gate_of(p, &o, o.n, negated, out);
	free(o.at);
	return e;
}

static struct err collect_or(struct parser *p, bool negated, struct operands *o)
{
	do {
		struct node *n;
		TRY(parse_and(p, negated, &n));
		TRY(operand_add(p, o, n));
	} while (words_keyword(&p->w, "OR"));
	return OK;
}

static struct err parse_or(struct parser *p, bool negated, struct node **out)
{
	struct operands o = {0};
	ENSURE(++p->depth <= POLICY_DEPTH_MAX, ERR_LIMIT, "policy: nested deeper than %d",
	       POLICY_DEPTH_MAX);
	struct err e = collect_or(p, negated, &o);
	if (e.code == ERR_NONE)
		e = gate_of(p, &o, 1, negated, out);
	free(o.at);
	p->depth--;
	return e;
}

static struct err fill(struct policy *policy, const char *text, size_t n)
{
	struct parser p = {.arena = policy->arena};
	struct node *formula;
	TRY(words_open(text, n, POLICY_TEXT_MAX, policy->arena, &p.w));
	TRY(parse_or(&p, false, &formula));
	if (words_more(&p.w))
		return words_wrong(&p.w, "expected AND, OR or the end");
	policy->text = formula->text;
	ENSURE(strlen(policy->text) <= POLICY_TEXT_MAX, ERR_LIMIT,
	       "policy: the canonical form is longer than %d bytes", POLICY_TEXT_MAX);
	return policy_expand(policy, formula);
}

struct err policy_parse(const char *text, size_t n, struct policy **out)
{
	struct policy *p = calloc(1, sizeof *p);
	ENSURE(p, ERR_LIMIT, "policy: out of memory");
	p->arena = arena_new(ARENA);
	struct err e = p->arena ? fill(p, text, n) : err_make(ERR_LIMIT, "policy: out of memory");
	if (e.code != ERR_NONE) {
		policy_free(p);
		return e;
	}
	*out = p;
	return OK;
}

struct err policy_read(const char *text, size_t n, struct policy **out)
{
	struct policy *p;
	struct err e = policy_parse(text, n, &p);
	if (e.code != ERR_NONE)
		return err_make(ERR_PEER, "policy: %s", e.text);
	if (strlen(p->text) != n || memcmp(p->text, text, n) != 0) {
		policy_free(p);
		return err_make(ERR_PEER, "policy: not in canonical form");
	}
	*out = p;
	return OK;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	arena_free(p->arena);
	free(p);
}

const char *policy_text(const struct policy *p)
{
	return p->text;
}

size_t policy_rows(const struct policy *p)
{
	return p->rows;
}

size_t policy_columns(const struct policy *p)
{
	return p->columns;
}

size_t policy_repeat(const struct policy *p)
{
	return p->repeat;
}

const struct attribute *policy_attribute(const struct policy *p, size_t row)
{
	return &p->row[row].attribute;
}

size_t policy_occurrence(const struct policy *p, size_t row)
{
	return p->row[row].occurrence;
}

static bool permits(const struct policy *p, const struct gate *g, const struct attributes *a)
{
	unsigned have = 0;
	if (g->n == 0)
		return attributes_find(a, p->row[g->row].attribute.hash) >= 0;
	for (unsigned i = 0; i < g->n; i++)
		have += permits(p, g->child[i], a);
	return have >= g->k;
}

bool policy_permits(const struct policy *p, const struct attributes *a)
{
	return permits(p, p->root, a);
}
