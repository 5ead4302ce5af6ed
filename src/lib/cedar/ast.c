// SPDX-License-Identifier: Apache-2.0
// Makers of expressions: they bound depth, hash the structure, number the entity literals, and
// compute what is constant, so that `["a", "b"].contains(x)` makes no set when it is decided.

#include "lib/cedar/ast.h"

#include <stdlib.h>

const char *const expr_kind_names[] = {
	"literal", "variable", "slot",	   "!",		  "-",		 "isEmpty", "&&",
	"||",	   "if",       "==",	   "<",		  "<=",		 "+",	    "-",
	"*",	   "in",       "contains", "containsAll", "containsAny", "hasTag",  "getTag",
	".",	   "has",      "like",	   "is",	  "set",	 "record",  "call"};
const char *const var_names[4] = {"principal", "action", "resource", "context"};

static struct err begin(struct builder *b, size_t at, enum expr_kind kind, unsigned depth,
			struct expr **out)
{
	ENSURE(depth <= CEDAR_DEPTH_MAX, ERR_LIMIT, "an expression is deeper than %d operations",
	       CEDAR_DEPTH_MAX);
	struct expr *e = arena_alloc(b->arena, sizeof *e);
	NEED(e);
	e->kind = (uint8_t)kind;
	e->depth = (uint16_t)depth;
	e->at = (uint32_t)at;
	e->hash = hash_mix(kind + 1, 0x2545f4914f6cdd1du);
	*out = e;
	return OK;
}

static struct err keep_constant(struct builder *b, struct expr *e, struct value v)
{
	struct value *p = arena_alloc(b->arena, sizeof *p);
	NEED(p);
	*p = v;
	e->constant = p;
	return OK;
}

static uint64_t hash_value(const struct value *v)
{
	switch (v->kind) {
	case VALUE_STRING:
		return hash_text(value_string(v), VALUE_STRING);
	case VALUE_ENTITY:
		return v->uid->hash;
	case VALUE_BOOL:
		return hash_mix(v->b + 2u, VALUE_BOOL);
	default:
		return hash_mix((uint64_t)v->i, v->kind);
	}
}

struct err expr_literal(struct builder *b, size_t at, struct value v, const struct expr **out)
{
	struct expr *e = NULL;
	TRY(begin(b, at, EXPR_LITERAL, 1, &e));
	e->value = v;
	e->hash = hash_mix(e->hash, hash_value(&v));
	e->constant = &e->value;
	*out = e;
	return OK;
}

// Doubles the table of literals when it is half full.
static struct err literals_room(struct cedar_policies *set)
{
	if (set->literals.n * 2 < set->literal_slots_n)
		return OK;
	size_t n = set->literal_slots_n ? set->literal_slots_n * 2 : 64;
	uint64_t *slots = calloc(n, sizeof *slots);
	NEED(slots);
	for (size_t i = 0; i < set->literals.n; i++) {
		size_t at = set->literals.v[i]->value.uid->hash & (n - 1);
		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = i + 1;
	}
	free(set->literal_slots);
	set->literal_slots = slots;
	set->literal_slots_n = n;
	return OK;
}

struct err expr_entity(struct builder *b, size_t at, struct cedar_text type, struct cedar_text id,
		       const struct expr **out)
{
	struct cedar_policies *set = b->set;
	struct uid wanted = {.type = type, .id = id, .hash = cedar_uid_hash(type, id)};
	TRY(literals_room(set));
	size_t mask = set->literal_slots_n - 1, slot = wanted.hash & mask;
	const struct uid *uid = NULL;
	uint32_t number = (uint32_t)set->literals.n;
	for (; set->literal_slots[slot] && !uid; slot = (slot + 1) & mask) {
		number = (uint32_t)(set->literal_slots[slot] - 1);
		const struct uid *other = set->literals.v[number]->value.uid;
		uid = uid_equal(other, &wanted) ? other : NULL;
	}
	if (!uid) {
		struct uid *made = arena_alloc(b->arena, sizeof *made);
		NEED(made);
		*made = wanted;
		uid = made;
		number = (uint32_t)set->literals.n;
	}
	TRY(expr_literal(b, at, (struct value){.kind = VALUE_ENTITY, .uid = uid}, out));
	struct expr *e = (struct expr *)*out;
	e->literal = number;
	if (number == set->literals.n) {
		VEC_PUSH(&set->literals, e);
		set->literal_slots[slot] = number + 1;
	}
	return OK;
}

struct err expr_leaf(struct builder *b, size_t at, enum expr_kind kind, unsigned op,
		     const struct expr **out)
{
	struct expr *e = NULL;
	TRY(begin(b, at, kind, 1, &e));
	e->op = (uint8_t)op;
	e->hash = hash_mix(e->hash, op + 1);
	*out = e;
	return OK;
}

static unsigned deeper(unsigned depth, const struct expr *e)
{
	return e && e->depth >= depth ? e->depth + 1u : depth;
}

struct err expr_make(struct builder *b, size_t at, enum expr_kind kind, const struct expr *x,
		     const struct expr *y, const struct expr *z, const struct expr **out)
{
	struct expr *e = NULL;
	TRY(begin(b, at, kind, deeper(deeper(deeper(1, x), y), z), &e));
	e->a = x;
	e->b = y;
	e->c = z;
	e->hash = hash_mix(e->hash, x->hash);
	if (y)
		e->hash = hash_mix(e->hash, y->hash);
	if (z)
		e->hash = hash_mix(e->hash, z->hash);
	*out = e;
	return OK;
}

struct err expr_get(struct builder *b, size_t at, const struct expr *of, struct cedar_text name,
		    const struct expr **out)
{
	struct expr *e = NULL;
	TRY(begin(b, at, EXPR_GET, deeper(1, of), &e));
	e->of = of;
	e->name = name;
	e->hash = hash_mix(hash_mix(e->hash, of->hash), hash_text(name, EXPR_GET));
	*out = e;
	return OK;
}

struct err expr_has(struct builder *b, size_t at, const struct expr *of,
		    const struct cedar_text *names, size_t n, const struct expr **out)
{
	struct expr *e = NULL;
	TRY(begin(b, at, EXPR_HAS, deeper(1, of) + (unsigned)n, &e));
	const struct expr **steps = arena_alloc(b->arena, n * sizeof *steps);
	struct cedar_text *copy = arena_alloc(b->arena, n * sizeof *copy);
	NEED(steps);
	NEED(copy);
	e->hash = hash_mix(e->hash, of->hash);
	for (size_t i = 0; i < n; i++) {
		steps[i] = of;
		copy[i] = names[i];
		e->hash = hash_mix(e->hash, hash_text(names[i], EXPR_HAS));
		if (i + 1 < n)
			TRY(expr_get(b, at, of, names[i], &of));
	}
	e->steps = steps;
	e->names = copy;
	e->n = (uint32_t)n;
	*out = e;
	return OK;
}

struct err expr_is(struct builder *b, size_t at, const struct expr *of, struct cedar_text type,
		   const struct expr **out)
{
	struct expr *e = NULL;
	TRY(begin(b, at, EXPR_IS, deeper(1, of), &e));
	e->of = of;
	e->name = type;
	e->hash = hash_mix(hash_mix(e->hash, of->hash), hash_text(type, EXPR_IS));
	*out = e;
	return OK;
}

struct err expr_like(struct builder *b, size_t at, const struct expr *of, const struct pattern *p,
		     const struct expr **out)
{
	struct expr *e = NULL;
	TRY(begin(b, at, EXPR_LIKE, deeper(1, of), &e));
	e->target = of;
	e->pattern = p;
	e->hash = hash_mix(e->hash, of->hash);
	for (uint32_t i = 0; i < p->n; i++)
		e->hash = hash_mix(e->hash, hash_text(p->part[i], i));
	*out = e;
	return OK;
}

static struct err arguments(struct builder *b, struct expr *e, const struct expr *const *args,
			    size_t n, bool *constant)
{
	const struct expr **copy = arena_alloc(b->arena, n * sizeof *copy);
	NEED(copy);
	*constant = true;
	for (size_t i = 0; i < n; i++) {
		copy[i] = args[i];
		e->hash = hash_mix(e->hash, args[i]->hash);
		*constant = *constant && args[i]->constant;
	}
	e->args = copy;
	e->n = (uint32_t)n;
	return OK;
}

static unsigned deepest(const struct expr *const *args, size_t n)
{
	unsigned depth = 1;
	for (size_t i = 0; i < n; i++)
		depth = deeper(depth, args[i]);
	return depth;
}

// When all arguments are constant: the set, or what the call gives unless that is an error.
static struct err fold(struct builder *b, struct expr *e)
{
	struct value *args = malloc((e->n + 1) * sizeof *args), v = {0};
	NEED(args);
	for (uint32_t i = 0; i < e->n; i++)
		args[i] = *e->args[i]->constant;
	bool good;
	if (e->kind == EXPR_SET) {
		v = (struct value){.kind = VALUE_SET, .set = cedar_set_make(b->arena, args, e->n)};
		good = v.set != NULL;
	} else {
		good = !cedar_ext_call(e->op, args, e->n, b->arena, &v);
	}
	free(args);
	return good ? keep_constant(b, e, v) : OK;
}

struct err expr_list(struct builder *b, size_t at, enum expr_kind kind, unsigned fn,
		     const struct expr *const *args, size_t n, const struct expr **out)
{
	struct expr *e = NULL;
	bool constant = false;
	TRY(begin(b, at, kind, deepest(args, n), &e));
	e->op = (uint8_t)fn;
	e->hash = hash_mix(e->hash, fn + 1);
	TRY(arguments(b, e, args, n, &constant));
	if (constant)
		TRY(fold(b, e));
	*out = e;
	return OK;
}

struct pair {
	struct cedar_text key;
	const struct expr *arg;
};

static int by_key(const void *a, const void *b)
{
	return text_compare(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static struct err sorted_record(struct builder *b, struct expr *e, struct pair *pairs, size_t n)
{
	struct cedar_text *keys = arena_alloc(b->arena, n * sizeof *keys);
	const struct expr **args = arena_alloc(b->arena, n * sizeof *args);
	NEED(keys);
	NEED(args);
	qsort(pairs, n, sizeof *pairs, by_key);
	for (size_t i = 0; i < n; i++) {
		keys[i] = pairs[i].key;
		args[i] = pairs[i].arg;
		if (i && text_equal(keys[i], keys[i - 1]))
			return cedar_syntax(b->source, e->at, "the key \"%.*s\" occurs twice",
					    TEXT_ARG(keys[i]));
		e->hash = hash_mix(hash_mix(e->hash, hash_text(keys[i], 0)), args[i]->hash);
	}
	e->keys = keys;
	e->args = args;
	e->n = (uint32_t)n;
	return OK;
}

struct err expr_record(struct builder *b, size_t at, const struct cedar_text *keys,
		       const struct expr *const *args, size_t n, const struct expr **out)
{
	struct expr *e = NULL;
	TRY(begin(b, at, EXPR_RECORD, deepest(args, n), &e));
	struct pair *pairs = malloc((n + 1) * sizeof *pairs);
	NEED(pairs);
	for (size_t i = 0; i < n; i++)
		pairs[i] = (struct pair){keys[i], args[i]};
	struct err err = sorted_record(b, e, pairs, n);
	free(pairs);
	*out = e;
	return err;
}

static bool same_patterns(const struct pattern *a, const struct pattern *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!text_equal(a->part[i], b->part[i]))
			return false;
	return true;
}

static bool same_lists(const struct expr *a, const struct expr *b)
{
	if (a->n != b->n || a->op != b->op)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!expr_same(a->args[i], b->args[i]) ||
		    (a->kind == EXPR_RECORD && !text_equal(a->keys[i], b->keys[i])))
			return false;
	return true;
}

static bool same_chains(const struct expr *a, const struct expr *b)
{
	if (a->n != b->n || !expr_same(a->steps[0], b->steps[0]))
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!text_equal(a->names[i], b->names[i]))
			return false;
	return true;
}

bool expr_same(const struct expr *a, const struct expr *b)
{
	if (a == b)
		return true;
	if (a->hash != b->hash || a->kind != b->kind)
		return false;
	switch (a->kind) {
	case EXPR_LITERAL:
		return cedar_value_equal(&a->value, &b->value);
	case EXPR_VAR:
	case EXPR_SLOT:
		return a->op == b->op;
	case EXPR_GET:
	case EXPR_IS:
		return text_equal(a->name, b->name) && expr_same(a->of, b->of);
	case EXPR_HAS:
		return same_chains(a, b);
	case EXPR_LIKE:
		return expr_same(a->target, b->target) && same_patterns(a->pattern, b->pattern);
	case EXPR_SET:
	case EXPR_RECORD:
	case EXPR_CALL:
		return same_lists(a, b);
	default:
		return expr_same(a->a, b->a) && (!a->b || expr_same(a->b, b->b)) &&
		       (!a->c || expr_same(a->c, b->c));
	}
}
