// SPDX-License-Identifier: Apache-2.0
// A walk over the tree. Every operation fails on a value of the wrong type; && and || look at their
// right side only when the left leaves it open. Depth was bounded when the tree was made.

#include "lib/cedar/eval.h"

static const char type_error[] = "the value has the wrong type for";
static const char overflow[] = "the result does not fit in 64 bits:";
static const char no_attribute[] = "there is no such attribute:";
static const char no_entity[] = "the entity does not exist, so it has no attribute or tag:";
static const char no_tag[] = "the entity has no such tag:";
static const char no_memory[] = "the values made are too large for";

static bool fail(struct eval *ev, const struct expr *e, const char *what)
{
	ev->at = e;
	ev->what = what;
	return false;
}

bool cedar_eval_bool(struct eval *ev, const struct expr *e, bool *out)
{
	struct value v;
	if (!cedar_eval(ev, e, &v))
		return false;
	if (v.kind != VALUE_BOOL)
		return fail(ev, e, type_error);
	*out = v.b;
	return true;
}

static bool eval_kind(struct eval *ev, const struct expr *e, enum value_kind kind,
		      const struct expr *whole, struct value *out)
{
	if (!cedar_eval(ev, e, out))
		return false;
	return out->kind == kind || fail(ev, whole, type_error);
}

static const struct node *node_of(const struct eval *ev, const struct uid *u)
{
	if (u->node) // of this store
		return ev->store->nodes.v[u->node - 1];
	return ev->store ? cedar_node_find(ev->store, u) : NULL;
}

static bool var(struct eval *ev, const struct expr *e, struct value *out)
{
	out->kind = VALUE_ENTITY;
	switch (e->op) {
	case VAR_PRINCIPAL:
		out->uid = ev->principal;
		return true;
	case VAR_ACTION:
		out->uid = ev->action;
		return true;
	case VAR_RESOURCE:
		out->uid = ev->resource;
		return true;
	default:
		*out = (struct value){.kind = VALUE_RECORD, .record = ev->context};
		return true;
	}
}

static bool and_or(struct eval *ev, const struct expr *e, struct value *out)
{
	bool stop_at = e->kind == EXPR_OR, v;
	if (!cedar_eval_bool(ev, e->a, &v))
		return false;
	if (v != stop_at && !cedar_eval_bool(ev, e->b, &v))
		return false;
	*out = value_bool(v);
	return true;
}

static bool choice(struct eval *ev, const struct expr *e, struct value *out)
{
	bool v;
	return cedar_eval_bool(ev, e->a, &v) && cedar_eval(ev, v ? e->b : e->c, out);
}

static bool unary(struct eval *ev, const struct expr *e, struct value *out)
{
	if (!cedar_eval(ev, e->a, out))
		return false;
	if (e->kind == EXPR_NOT && out->kind == VALUE_BOOL)
		out->b = !out->b;
	else if (e->kind == EXPR_IS_EMPTY && out->kind == VALUE_SET)
		*out = value_bool(out->set->n == 0);
	else if (e->kind != EXPR_NEGATE || out->kind != VALUE_LONG)
		return fail(ev, e, type_error);
	else if (__builtin_sub_overflow(0, out->i, &out->i))
		return fail(ev, e, overflow);
	return true;
}

static bool equal(struct eval *ev, const struct expr *e, struct value *out)
{
	struct value b;
	if (!cedar_eval(ev, e->a, out) || !cedar_eval(ev, e->b, &b))
		return false;
	*out = value_bool(cedar_value_equal(out, &b));
	return true;
}

// long, datetime and duration have < and <=, each with its own kind.
static bool less(struct eval *ev, const struct expr *e, struct value *out)
{
	struct value a, b;
	if (!cedar_eval(ev, e->a, &a) || !cedar_eval(ev, e->b, &b))
		return false;
	if (a.kind != b.kind ||
	    (a.kind != VALUE_LONG && a.kind != VALUE_DATETIME && a.kind != VALUE_DURATION))
		return fail(ev, e, type_error);
	*out = value_bool(e->kind == EXPR_LESS ? a.i < b.i : a.i <= b.i);
	return true;
}

static bool arithmetic(struct eval *ev, const struct expr *e, struct value *out)
{
	struct value b;
	if (!cedar_eval(ev, e->a, out) || !cedar_eval(ev, e->b, &b))
		return false;
	if (out->kind != VALUE_LONG || b.kind != VALUE_LONG)
		return fail(ev, e, type_error);
	bool bad = e->kind == EXPR_ADD	      ? __builtin_add_overflow(out->i, b.i, &out->i)
		   : e->kind == EXPR_SUBTRACT ? __builtin_sub_overflow(out->i, b.i, &out->i)
					      : __builtin_mul_overflow(out->i, b.i, &out->i);
	return !bad || fail(ev, e, overflow);
}

static bool is_in(const struct eval *ev, const struct uid *a, const struct node *below,
		  const struct uid *b)
{
	if (uid_equal(a, b))
		return true;
	if (!below || !below->n_ancestors)
		return false;
	const struct node *above = node_of(ev, b);
	return above && cedar_node_in(below, above->uid.node - 1);
}

static bool in(struct eval *ev, const struct expr *e, struct value *out)
{
	struct value a, b;
	if (!eval_kind(ev, e->a, VALUE_ENTITY, e, &a) || !cedar_eval(ev, e->b, &b))
		return false;
	const struct node *below = node_of(ev, a.uid);
	bool found = false;
	if (b.kind == VALUE_ENTITY) {
		found = is_in(ev, a.uid, below, b.uid);
	} else if (b.kind == VALUE_SET) {
		// an element that is no entity is an error, even when another one matches
		for (uint32_t i = 0; i < b.set->n; i++)
			if (b.set->v[i].kind != VALUE_ENTITY)
				return fail(ev, e, type_error);
		for (uint32_t i = 0; i < b.set->n && !found; i++)
			found = is_in(ev, a.uid, below, b.set->v[i].uid);
	} else {
		return fail(ev, e, type_error);
	}
	*out = value_bool(found);
	return true;
}

static bool contains(struct eval *ev, const struct expr *e, struct value *out)
{
	struct value a, b;
	if (!cedar_eval(ev, e->a, &a) || !cedar_eval(ev, e->b, &b))
		return false;
	if (a.kind != VALUE_SET || (e->kind != EXPR_CONTAINS && b.kind != VALUE_SET))
		return fail(ev, e, type_error);
	if (e->kind == EXPR_CONTAINS) {
		*out = value_bool(cedar_set_contains(a.set, &b));
		return true;
	}
	bool all = e->kind == EXPR_CONTAINS_ALL, found = all;
	for (uint32_t i = 0; i < b.set->n && found == all; i++)
		found = cedar_set_contains(a.set, &b.set->v[i]);
	*out = value_bool(found);
	return true;
}

static bool tag(struct eval *ev, const struct expr *e, struct value *out)
{
	struct value a, key;
	if (!eval_kind(ev, e->a, VALUE_ENTITY, e, &a) ||
	    !eval_kind(ev, e->b, VALUE_STRING, e, &key))
		return false;
	const struct node *n = node_of(ev, a.uid);
	bool there = n && n->declared;
	const struct value *v =
		there && n->tags ? cedar_record_get(n->tags, value_string(&key)) : NULL;
	if (e->kind == EXPR_HAS_TAG)
		*out = value_bool(v != NULL);
	else if (v)
		*out = *v;
	else
		return fail(ev, e, there ? no_tag : no_entity);
	return true;
}

// The attribute, or NULL with why not.
static const struct value *attribute(const struct eval *ev, const struct value *of,
				     struct cedar_text name, const char **why)
{
	const struct record *r = NULL;
	*why = no_attribute;
	if (of->kind == VALUE_RECORD) {
		r = of->record;
	} else if (of->kind == VALUE_ENTITY) {
		const struct node *n = node_of(ev, of->uid);
		if (!n || !n->declared) {
			*why = no_entity;
			return NULL;
		}
		r = n->attributes;
	} else {
		*why = type_error;
		return NULL;
	}
	return r ? cedar_record_get(r, name) : NULL;
}

static bool get(struct eval *ev, const struct expr *e, struct value *out)
{
	const char *why;
	if (!cedar_eval(ev, e->of, out))
		return false;
	const struct value *v = attribute(ev, out, e->name, &why);
	if (!v)
		return fail(ev, e, why);
	*out = *v;
	return true;
}

static bool has(struct eval *ev, const struct expr *e, struct value *out)
{
	struct value v;
	const char *why;
	if (!cedar_eval(ev, e->steps[0], &v))
		return false;
	const struct value *found = &v;
	for (uint32_t i = 0; i < e->n && found; i++) {
		found = attribute(ev, found, e->names[i], &why);
		if (!found && why == type_error)
			return fail(ev, e, why);
	}
	*out = value_bool(found != NULL);
	return true;
}

static bool like(struct eval *ev, const struct expr *e, struct value *out)
{
	if (!eval_kind(ev, e->target, VALUE_STRING, e, out))
		return false;
	*out = value_bool(cedar_pattern_matches(e->pattern, value_string(out)));
	return true;
}

static bool is(struct eval *ev, const struct expr *e, struct value *out)
{
	if (!eval_kind(ev, e->of, VALUE_ENTITY, e, out))
		return false;
	*out = value_bool(text_equal(out->uid->type, e->name));
	return true;
}

static bool set(struct eval *ev, const struct expr *e, struct value *out)
{
	struct value *v = arena_alloc(ev->scratch, e->n * sizeof *v);
	if (!v)
		return fail(ev, e, no_memory);
	for (uint32_t i = 0; i < e->n; i++)
		if (!cedar_eval(ev, e->args[i], &v[i]))
			return false;
	*out = (struct value){.kind = VALUE_SET, .set = cedar_set_make(ev->scratch, v, e->n)};
	return out->set || fail(ev, e, no_memory);
}

static bool record(struct eval *ev, const struct expr *e, struct value *out)
{
	struct record *r = arena_alloc(ev->scratch, sizeof *r + e->n * sizeof *r->f);
	if (!r)
		return fail(ev, e, no_memory);
	r->n = e->n;
	for (uint32_t i = 0; i < e->n; i++) {
		r->f[i].name = e->keys[i];
		if (!cedar_eval(ev, e->args[i], &r->f[i].v))
			return false;
	}
	*out = (struct value){.kind = VALUE_RECORD, .record = r};
	return true;
}

static bool call(struct eval *ev, const struct expr *e, struct value *out)
{
	struct value *v = arena_alloc(ev->scratch, e->n * sizeof *v);
	if (!v)
		return fail(ev, e, no_memory);
	for (uint32_t i = 0; i < e->n; i++)
		if (!cedar_eval(ev, e->args[i], &v[i]))
			return false;
	const char *wrong = cedar_ext_call(e->op, v, e->n, ev->scratch, out);
	return !wrong || fail(ev, e, wrong);
}

static bool literal(struct eval *ev, const struct expr *e, struct value *out)
{
	*out = e->value;
	if (out->kind == VALUE_ENTITY && ev->literals)
		out->uid = ev->literals[e->literal];
	return true;
}

static bool (*const kinds[])(struct eval *, const struct expr *, struct value *) = {
	[EXPR_LITERAL] = literal,
	[EXPR_VAR] = var,
	[EXPR_NOT] = unary,
	[EXPR_NEGATE] = unary,
	[EXPR_IS_EMPTY] = unary,
	[EXPR_AND] = and_or,
	[EXPR_OR] = and_or,
	[EXPR_IF] = choice,
	[EXPR_EQUAL] = equal,
	[EXPR_LESS] = less,
	[EXPR_LESS_EQUAL] = less,
	[EXPR_ADD] = arithmetic,
	[EXPR_SUBTRACT] = arithmetic,
	[EXPR_MULTIPLY] = arithmetic,
	[EXPR_IN] = in,
	[EXPR_CONTAINS] = contains,
	[EXPR_CONTAINS_ALL] = contains,
	[EXPR_CONTAINS_ANY] = contains,
	[EXPR_HAS_TAG] = tag,
	[EXPR_GET_TAG] = tag,
	[EXPR_GET] = get,
	[EXPR_HAS] = has,
	[EXPR_LIKE] = like,
	[EXPR_IS] = is,
	[EXPR_SET] = set,
	[EXPR_RECORD] = record,
	[EXPR_CALL] = call,
};

bool cedar_eval(struct eval *ev, const struct expr *e, struct value *out)
{
	if (e->constant && e->kind != EXPR_LITERAL) {
		*out = *e->constant;
		return true;
	}
	if (e->kind == EXPR_SLOT) // a template is never evaluated
		return fail(ev, e, type_error);
	return kinds[e->kind](ev, e, out);
}
