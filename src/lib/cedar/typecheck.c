// SPDX-License-Identifier: Apache-2.0
// Strict typechecking as the language publishes it. A capability says that an attribute (or a tag)
// of an expression is there, once `has` (`hasTag`) was true; what an expression gives when it is
// true is passed on through && and if, united or intersected. A && whose left side has type False,
// a || with True, and an if with either, leave their other side unread: types are how the validator
// knows that a policy for one kind of principal need not make sense for the others.
//
// The first error of an environment ends it. Capabilities are unions of unions, never copied.

#include "lib/cedar/typecheck.h"

#include <stdarg.h>
#include <stdio.h>

struct capability {
	const struct capability *left, *right; // a union; else
	const struct expr *of;
	const struct expr *tag; // NULL: an attribute
	struct cedar_text name;
	uint64_t hash;
};

struct typed {
	const struct type *type;
	const struct capability *gives; // when it is true; NULL: nothing
};

static const struct type any_entity = {.kind = TYPE_ANY_ENTITY}, any_set = {.kind = TYPE_ANY_SET},
			 any_record = {.kind = TYPE_ANY_RECORD},
			 entity_set = {.kind = TYPE_SET_OF_ANY_ENTITY};

static bool check(struct checker *c, const struct capability *prior, const struct expr *e,
		  struct typed *out);

static bool wrong(struct checker *c, const struct expr *e, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static bool wrong(struct checker *c, const struct expr *e, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(c->why, sizeof c->why, format, args);
	va_end(args);
	c->at = e;
	return false;
}

// Apart from its callers, whose frames pile up with the depth of an expression.
__attribute__((noinline)) static bool clash(struct checker *c, const struct expr *e,
					    const char *what, const struct type *a,
					    const struct type *b)
{
	char x[150], y[150];
	type_show(a, x, sizeof x);
	return b ? wrong(c, e, "%s: %s and %s", what, x, type_show(b, y, sizeof y))
		 : wrong(c, e, "%s: %s", what, x);
}

__attribute__((noinline)) static bool unexpected(struct checker *c, const struct expr *e,
						 const struct type *want, const struct type * or,
						 const struct type *have)
{
	char x[150], y[100], z[100];
	return wrong(c, e, "expected %s%s%s, and this is %s", type_show(want, y, sizeof y),
		     or ? " or " : "", or ? type_show(or, z, sizeof z) : "",
		     type_show(have, x, sizeof x));
}

static bool spend(struct checker *c)
{
	if (c->steps)
		c->steps--;
	return c->steps != 0;
}

static bool give(struct typed *out, const struct type *t)
{
	*out = (struct typed){t, NULL};
	return true;
}

static const struct type *singleton(bool b)
{
	return b ? &type_true : &type_false;
}

static const struct capability *unite(struct checker *c, const struct capability *a,
				      const struct capability *b)
{
	if (!a || !b || a == b)
		return a ? a : b;
	struct capability *u = arena_alloc(c->arena, sizeof *u);
	if (!u) {
		c->steps = 0; // memory is out: says "too much"
		return NULL;
	}
	u->left = a;
	u->right = b;
	return u;
}

static bool is_same(const struct capability *a, const struct capability *b)
{
	return a->hash == b->hash && !a->tag == !b->tag && expr_same(a->of, b->of) &&
	       (a->tag ? expr_same(a->tag, b->tag) : text_equal(a->name, b->name));
}

static bool holds(struct checker *c, const struct capability *set, const struct capability *one)
{
	for (; set && spend(c); set = set->right) {
		if (!set->left)
			return is_same(set, one);
		if (holds(c, set->left, one))
			return true;
	}
	return false;
}

// Those of `a` that are in `b`.
static const struct capability *intersect(struct checker *c, const struct capability *a,
					  const struct capability *b)
{
	if (!a || !b)
		return NULL;
	if (!a->left)
		return holds(c, b, a) ? a : NULL;
	return unite(c, intersect(c, a->left, b), intersect(c, a->right, b));
}

static const struct capability *capability(struct checker *c, const struct expr *of,
					   struct cedar_text name, const struct expr *tag)
{
	struct capability *k = arena_alloc(c->arena, sizeof *k);
	if (!k) {
		c->steps = 0;
		return NULL;
	}
	k->of = of;
	k->name = name;
	k->tag = tag;
	k->hash = hash_mix(of->hash, tag ? tag->hash : hash_text(name, 1));
	return k;
}

static bool expect2(struct checker *c, const struct capability *prior, const struct expr *e,
		    const struct type *want, const struct type * or, struct typed *out)
{
	if (!check(c, prior, e, out))
		return false;
	if (type_meets(out->type, want, &c->steps) || (or &&type_meets(out->type, or, &c->steps)))
		return true;
	return unexpected(c, e, want, or, out->type);
}

static bool expect(struct checker *c, const struct capability *prior, const struct expr *e,
		   const struct type *want, struct typed *out)
{
	return expect2(c, prior, e, want, NULL, out);
}

static bool check_literal(struct checker *c, const struct expr *e, struct typed *out)
{
	const struct uid *u;
	const struct entity_type *t;
	switch (e->value.kind) {
	case VALUE_BOOL:
		return give(out, singleton(e->value.b));
	case VALUE_LONG:
		return give(out, &type_long);
	case VALUE_STRING:
		return give(out, &type_string);
	default:
		u = e->value.uid;
		t = schema_type(c->schema, u->type);
		if (!t || (t->action && !schema_action(c->schema, u->type, u->id)))
			return wrong(c, e, "the schema declares no %.*s::\"%.*s\"",
				     TEXT_ARG(u->type), TEXT_ARG(u->id));
		return give(out, &t->self);
	}
}

static bool check_var(struct checker *c, const struct expr *e, struct typed *out)
{
	switch (e->op) {
	case VAR_PRINCIPAL:
		return give(out, &c->env.principal->self);
	case VAR_ACTION:
		return give(out, &c->env.action->type->self);
	case VAR_RESOURCE:
		return give(out, &c->env.resource->self);
	default:
		return give(out, c->env.action->context);
	}
}

static bool check_if(struct checker *c, const struct capability *prior, const struct expr *e,
		     struct typed *out)
{
	struct typed test, yes, no;
	if (!expect(c, prior, e->a, &type_bool, &test))
		return false;
	const struct capability *inside = unite(c, prior, test.gives);
	if (test.type->kind == TYPE_FALSE)
		return check(c, prior, e->c, out);
	if (!check(c, inside, e->b, &yes))
		return false;
	yes.gives = unite(c, yes.gives, test.gives);
	if (test.type->kind == TYPE_TRUE) {
		*out = yes;
		return true;
	}
	if (!check(c, prior, e->c, &no))
		return false;
	out->type = type_join(c->arena, yes.type, no.type, &c->steps);
	out->gives = intersect(c, no.gives, yes.gives);
	return out->type || clash(c, e, "then and else must have the same type", yes.type, no.type);
}

static bool check_and(struct checker *c, const struct capability *prior, const struct expr *e,
		      struct typed *out)
{
	struct typed left, right;
	if (!expect(c, prior, e->a, &type_bool, &left))
		return false;
	if (left.type->kind == TYPE_FALSE)
		return give(out, &type_false);
	if (!expect(c, unite(c, prior, left.gives), e->b, &type_bool, &right))
		return false;
	if (right.type->kind == TYPE_FALSE)
		return give(out, &type_false);
	out->gives = unite(c, left.gives, right.gives);
	out->type = right.type->kind == TYPE_TRUE  ? left.type
		    : left.type->kind == TYPE_TRUE ? right.type
						   : &type_bool;
	return true;
}

static bool check_or(struct checker *c, const struct capability *prior, const struct expr *e,
		     struct typed *out)
{
	struct typed left, right;
	if (!expect(c, prior, e->a, &type_bool, &left))
		return false;
	if (left.type->kind == TYPE_TRUE) {
		*out = left;
		return true;
	}
	if (!expect(c, prior, e->b, &type_bool, &right))
		return false;
	if (right.type->kind == TYPE_TRUE || left.type->kind == TYPE_FALSE)
		*out = right;
	else if (right.type->kind == TYPE_FALSE)
		*out = left;
	else
		*out = (struct typed){&type_bool, intersect(c, right.gives, left.gives)};
	return true;
}

static bool check_unary(struct checker *c, const struct capability *prior, const struct expr *e,
			struct typed *out)
{
	static const struct type *takes[] = {&type_bool, &type_long, &any_set};
	struct typed t;
	if (!expect(c, prior, e->a, takes[e->kind - EXPR_NOT], &t))
		return false;
	if (e->kind == EXPR_NEGATE)
		return give(out, &type_long);
	if (e->kind == EXPR_IS_EMPTY || t.type->kind == TYPE_BOOL)
		return give(out, &type_bool);
	return give(out, singleton(t.type->kind == TYPE_FALSE));
}

// The literal that it is, or the action of the environment for `action`; NULL when it is neither.
static const struct value *known(const struct checker *c, const struct expr *e, struct value *room)
{
	if (e->kind == EXPR_LITERAL)
		return &e->value;
	if (e->kind != EXPR_VAR || e->op != VAR_ACTION)
		return NULL;
	*room = (struct value){.kind = VALUE_ENTITY, .uid = &c->env.action->uid};
	return room;
}

static bool comparable(struct checker *c, const struct expr *e, const struct type *a,
		       const struct type *b)
{
	return type_join(c->arena, a, b, &c->steps) ||
	       clash(c, e, "these types are never the same", a, b);
}

static bool check_equal(struct checker *c, const struct capability *prior, const struct expr *e,
			struct typed *out)
{
	struct typed a, b;
	struct value room_a, room_b;
	if (!check(c, prior, e->a, &a) || !check(c, prior, e->b, &b))
		return false;
	if (a.type->kind == TYPE_ENTITY && b.type->kind == TYPE_ENTITY &&
	    a.type->entity != b.type->entity)
		return give(out, &type_false);
	const struct value *x = known(c, e->a, &room_a), *y = known(c, e->b, &room_b);
	if (x && y)
		return give(out, singleton(cedar_value_equal(x, y)));
	return comparable(c, e, a.type, b.type) && give(out, &type_bool);
}

static bool check_less(struct checker *c, const struct capability *prior, const struct expr *e,
		       struct typed *out)
{
	struct typed a, b;
	if (!check(c, prior, e->a, &a) || !check(c, prior, e->b, &b))
		return false;
	bool ordered = a.type->kind == TYPE_LONG ||
		       (a.type->kind == TYPE_EXTENSION && a.type->extension >= VALUE_DATETIME);
	if (!ordered || !type_same(a.type, b.type, &c->steps))
		return clash(c, e, "compared must be two of Long, datetime or duration", a.type,
			     b.type);
	return give(out, &type_bool);
}

static bool check_arithmetic(struct checker *c, const struct capability *prior,
			     const struct expr *e, struct typed *out)
{
	struct typed a, b;
	return expect(c, prior, e->a, &type_long, &a) && expect(c, prior, e->b, &type_long, &b) &&
	       give(out, &type_long);
}

// Is the action below one of the known entities of `e`, a literal or a set of them? False when it
// cannot be told.
static bool action_in(struct checker *c, const struct action *a, const struct expr *e, bool *yes)
{
	struct value room;
	const struct value *v = known(c, e, &room);
	uint32_t n = v ? 1 : e->n;
	if (!v && e->kind != EXPR_SET)
		return false;
	*yes = false;
	for (uint32_t i = 0; i < n; i++) {
		if (e->kind == EXPR_SET)
			v = known(c, e->args[i], &room);
		if (!v || v->kind != VALUE_ENTITY)
			return false;
		const struct action *b = schema_action(c->schema, v->uid->type, v->uid->id);
		*yes = *yes || (b && (a == b || a->above[b->number]));
	}
	return true;
}

static bool check_in(struct checker *c, const struct capability *prior, const struct expr *e,
		     struct typed *out)
{
	struct typed a, b;
	struct value room;
	bool yes;
	if (!expect(c, prior, e->a, &any_entity, &a) ||
	    !expect2(c, prior, e->b, &entity_set, &any_entity, &b))
		return false;
	const struct value *left = known(c, e->a, &room);
	const struct action *action =
		left ? schema_action(c->schema, left->uid->type, left->uid->id) : NULL;
	if (action && action_in(c, action, e->b, &yes))
		return give(out, singleton(yes));
	const struct entity_type *below = a.type->entity;
	const struct entity_type *above =
		b.type->kind == TYPE_SET ? b.type->element->entity : b.type->entity;
	return give(out, below == above || below->above[above->number] ? &type_bool : &type_false);
}

static bool check_contains(struct checker *c, const struct capability *prior, const struct expr *e,
			   struct typed *out)
{
	struct typed a, b;
	if (!expect(c, prior, e->a, &any_set, &a))
		return false;
	if (e->kind == EXPR_CONTAINS)
		return check(c, prior, e->b, &b) && comparable(c, e, a.type->element, b.type) &&
		       give(out, &type_bool);
	return expect(c, prior, e->b, &any_set, &b) && comparable(c, e, a.type, b.type) &&
	       give(out, &type_bool);
}

static bool check_tag(struct checker *c, const struct capability *prior, const struct expr *e,
		      struct typed *out)
{
	struct typed a, b;
	if (!expect(c, prior, e->a, &any_entity, &a) || !expect(c, prior, e->b, &type_string, &b))
		return false;
	const struct entity_type *t = a.type->entity;
	const struct capability *k = capability(c, e->a, (struct cedar_text){"", 0}, e->b);
	bool there = k && holds(c, prior, k);
	if (e->kind == EXPR_HAS_TAG) {
		*out = (struct typed){!t->tags ? &type_false : there ? &type_true : &type_bool, k};
		return true;
	}
	if (!there)
		return wrong(c, e, "the tag may be missing: ask with hasTag first");
	if (!t->tags)
		return wrong(c, e, "entities of type %.*s have no tags", TEXT_ARG(t->name));
	return give(out, t->tags);
}

__attribute__((noinline)) static bool no_attribute(struct checker *c, const struct expr *e,
						   const struct type *t, struct cedar_text name)
{
	char x[150];
	return wrong(c, e, "%s has no attribute %.*s", type_show(t, x, sizeof x), TEXT_ARG(name));
}

static bool check_get(struct checker *c, const struct capability *prior, const struct expr *e,
		      struct typed *out)
{
	struct typed of;
	if (!expect2(c, prior, e->of, &any_entity, &any_record, &of))
		return false;
	const struct attribute *a = type_lookup(of.type, e->name);
	if (!a)
		return no_attribute(c, e, of.type, e->name);
	if (!a->required) {
		const struct capability *k = capability(c, e->of, e->name, NULL);
		if (!k || !holds(c, prior, k))
			return wrong(c, e,
				     "the optional attribute %.*s may be missing: ask with "
				     "has first",
				     TEXT_ARG(e->name));
	}
	return give(out, a->type);
}

// One `has` of a chain. A record surely has what it requires; an entity may not exist at all.
static void has_step(struct checker *c, const struct capability *prior, const struct type *t,
		     const struct expr *of, struct cedar_text name, struct typed *out)
{
	const struct attribute *a = type_lookup(t, name);
	*out = (struct typed){&type_false, NULL};
	if (!a)
		return;
	out->gives = capability(c, of, name, NULL);
	bool sure = (a->required && t->kind == TYPE_RECORD) ||
		    (out->gives && holds(c, prior, out->gives));
	out->type = sure ? &type_true : &type_bool;
}

// `e has a.b` is e has a && e.a has b, without reading e twice.
static bool check_has(struct checker *c, const struct capability *prior, const struct expr *e,
		      struct typed *out)
{
	struct typed of, step;
	if (!expect2(c, prior, e->steps[0], &any_entity, &any_record, &of))
		return false;
	*out = (struct typed){&type_true, NULL};
	for (uint32_t i = 0; i < e->n; i++) {
		if (of.type->kind != TYPE_ENTITY && of.type->kind != TYPE_RECORD)
			return no_attribute(c, e, of.type, e->names[i]);
		has_step(c, prior, of.type, e->steps[i], e->names[i], &step);
		if (step.type->kind == TYPE_FALSE)
			return give(out, &type_false);
		if (step.type->kind == TYPE_BOOL)
			out->type = &type_bool;
		out->gives = unite(c, out->gives, step.gives);
		prior = unite(c, prior, step.gives);
		of.type = type_lookup(of.type, e->names[i])->type;
	}
	return true;
}

static bool check_is(struct checker *c, const struct capability *prior, const struct expr *e,
		     struct typed *out)
{
	struct typed of;
	return expect(c, prior, e->of, &any_entity, &of) &&
	       give(out, singleton(text_equal(of.type->entity->name, e->name)));
}

static bool check_like(struct checker *c, const struct capability *prior, const struct expr *e,
		       struct typed *out)
{
	struct typed of;
	return expect(c, prior, e->target, &type_string, &of) && give(out, &type_bool);
}

static bool check_set(struct checker *c, const struct capability *prior, const struct expr *e,
		      struct typed *out)
{
	const struct type *join = NULL;
	struct typed one;
	if (!e->n)
		return wrong(c, e, "an empty set has no type, so a policy must not hold one");
	for (uint32_t i = 0; i < e->n; i++) {
		if (!check(c, prior, e->args[i], &one))
			return false;
		const struct type *next =
			join ? type_join(c->arena, join, one.type, &c->steps) : one.type;
		if (!next)
			return clash(c, e, "what is in a set must have one type", join, one.type);
		join = next;
	}
	struct type *t = arena_alloc(c->arena, sizeof *t);
	if (!t)
		return wrong(c, e, "memory is out");
	*t = (struct type){.kind = TYPE_SET, .element = join};
	return give(out, t);
}

static bool check_record(struct checker *c, const struct capability *prior, const struct expr *e,
			 struct typed *out)
{
	struct attribute *list = arena_alloc(c->arena, e->n * sizeof *list);
	struct type *t = arena_alloc(c->arena, sizeof *t);
	if (!list || !t)
		return wrong(c, e, "memory is out");
	for (uint32_t i = 0; i < e->n; i++) {
		struct typed one;
		if (!check(c, prior, e->args[i], &one))
			return false;
		list[i] = (struct attribute){e->keys[i], one.type, true};
	}
	*t = (struct type){.kind = TYPE_RECORD, .n = e->n, .attributes = list};
	return give(out, t);
}

static const struct type *type_of_kind(enum value_kind kind)
{
	return kind == VALUE_BOOL     ? &type_bool
	       : kind == VALUE_LONG   ? &type_long
	       : kind == VALUE_STRING ? &type_string
				      : type_extension(kind);
}

// The text of a constructor must be written out and right.
static bool check_constructor(struct checker *c, const struct expr *e)
{
	struct value ignored;
	for (uint32_t i = 0; i < e->n; i++)
		if (e->args[i]->kind != EXPR_LITERAL)
			return wrong(c, e, "%s takes a text that is written out here",
				     cedar_fns[e->op].name);
	const struct value *v = &e->args[0]->value;
	const char *bad = v->kind == VALUE_STRING
				  ? cedar_ext_parse(e->op, value_string(v), c->arena, &ignored)
				  : NULL;
	return !bad || wrong(c, e, "this is %s", bad);
}

static bool check_call(struct checker *c, const struct capability *prior, const struct expr *e,
		       struct typed *out)
{
	const struct fn_info *f = &cedar_fns[e->op];
	if (e->n != f->arity)
		return wrong(c, e, "%s takes %u argument%s, not %u", f->name, f->arity - f->method,
			     f->arity - f->method == 1 ? "" : "s", e->n - f->method);
	if (e->op < FN_CONSTRUCTORS && !check_constructor(c, e))
		return false;
	for (uint32_t i = 0; i < e->n; i++) {
		struct typed one;
		if (!expect(c, prior, e->args[i], type_of_kind(f->takes[i]), &one))
			return false;
	}
	return give(out, type_of_kind(f->gives));
}

static bool check_slot(struct checker *c, const struct expr *e, struct typed *out)
{
	return give(out, &c->env.slots[e->op]->self);
}

static bool check(struct checker *c, const struct capability *prior, const struct expr *e,
		  struct typed *out)
{
	static bool (*const kinds[])(struct checker *, const struct capability *,
				     const struct expr *, struct typed *) = {
		[EXPR_NOT] = check_unary,
		[EXPR_NEGATE] = check_unary,
		[EXPR_IS_EMPTY] = check_unary,
		[EXPR_AND] = check_and,
		[EXPR_OR] = check_or,
		[EXPR_IF] = check_if,
		[EXPR_EQUAL] = check_equal,
		[EXPR_LESS] = check_less,
		[EXPR_LESS_EQUAL] = check_less,
		[EXPR_ADD] = check_arithmetic,
		[EXPR_SUBTRACT] = check_arithmetic,
		[EXPR_MULTIPLY] = check_arithmetic,
		[EXPR_IN] = check_in,
		[EXPR_CONTAINS] = check_contains,
		[EXPR_CONTAINS_ALL] = check_contains,
		[EXPR_CONTAINS_ANY] = check_contains,
		[EXPR_HAS_TAG] = check_tag,
		[EXPR_GET_TAG] = check_tag,
		[EXPR_GET] = check_get,
		[EXPR_HAS] = check_has,
		[EXPR_LIKE] = check_like,
		[EXPR_IS] = check_is,
		[EXPR_SET] = check_set,
		[EXPR_RECORD] = check_record,
		[EXPR_CALL] = check_call,
	};
	if (!spend(c))
		return wrong(c, e, "the check takes too long");
	switch (e->kind) {
	case EXPR_LITERAL:
		return check_literal(c, e, out);
	case EXPR_VAR:
		return check_var(c, e, out);
	case EXPR_SLOT:
		return check_slot(c, e, out);
	default:
		return kinds[e->kind](c, prior, e, out);
	}
}

enum check_result checker_run(struct checker *c, const struct expr *e, bool *never)
{
	struct typed t;
	bool good = expect(c, NULL, e, &type_bool, &t);
	if (!c->steps)
		return CHECK_TOO_MUCH;
	*never = good && t.type->kind == TYPE_FALSE;
	return good ? CHECK_GOOD : CHECK_WRONG;
}
