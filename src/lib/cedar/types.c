// SPDX-License-Identifier: Apache-2.0
// Comparison, join and show of types, and values held against them. In strict validation a join
// exists only of types that are the same but for True, False and Bool.

#include "lib/cedar/types.h"

#include "lib/cedar/ext.h"

#include <stdio.h>

const struct type type_true = {.kind = TYPE_TRUE}, type_false = {.kind = TYPE_FALSE},
		  type_bool = {.kind = TYPE_BOOL}, type_long = {.kind = TYPE_LONG},
		  type_string = {.kind = TYPE_STRING};

const struct type *type_extension(enum value_kind kind)
{
	static const struct type types[] = {
		[VALUE_DECIMAL] = {.kind = TYPE_EXTENSION, .extension = VALUE_DECIMAL},
		[VALUE_IP] = {.kind = TYPE_EXTENSION, .extension = VALUE_IP},
		[VALUE_DATETIME] = {.kind = TYPE_EXTENSION, .extension = VALUE_DATETIME},
		[VALUE_DURATION] = {.kind = TYPE_EXTENSION, .extension = VALUE_DURATION},
	};
	return &types[kind];
}

const struct attribute *type_attribute(const struct type *record, struct cedar_text name)
{
	uint32_t low = 0, high = record->n;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int c = text_compare(record->attributes[middle].name, name);
		if (c == 0)
			return &record->attributes[middle];
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct attribute *type_lookup(const struct type *t, struct cedar_text name)
{
	return type_attribute(t->kind == TYPE_ENTITY ? t->entity->shape : t, name);
}

static bool spend(size_t *steps)
{
	if (*steps)
		--*steps;
	return *steps != 0;
}

// `wider` lets True and False stand for Bool on the right.
static bool fits(const struct type *a, const struct type *b, bool wider, size_t *steps)
{
	if (a == b)
		return true;
	if (!spend(steps))
		return false;
	if (a->kind != b->kind)
		return wider && type_is_bool(a) && b->kind == TYPE_BOOL;
	switch (a->kind) {
	case TYPE_SET:
		return fits(a->element, b->element, wider, steps);
	case TYPE_RECORD:
		if (a->n != b->n)
			return false;
		for (uint32_t i = 0; i < a->n; i++) {
			const struct attribute *x = &a->attributes[i], *y = &b->attributes[i];
			if (x->required != y->required || !text_equal(x->name, y->name) ||
			    !fits(x->type, y->type, wider, steps))
				return false;
		}
		return true;
	case TYPE_ENTITY:
		return a->entity == b->entity;
	case TYPE_EXTENSION:
		return a->extension == b->extension;
	default:
		return true;
	}
}

bool type_same(const struct type *a, const struct type *b, size_t *steps)
{
	return fits(a, b, false, steps);
}

bool type_meets(const struct type *t, const struct type *expected, size_t *steps)
{
	switch (expected->kind) {
	case TYPE_ANY_SET:
		return t->kind == TYPE_SET;
	case TYPE_ANY_RECORD:
		return t->kind == TYPE_RECORD;
	case TYPE_ANY_ENTITY:
		return t->kind == TYPE_ENTITY;
	case TYPE_SET_OF_ANY_ENTITY:
		return t->kind == TYPE_SET && t->element->kind == TYPE_ENTITY;
	default:
		return fits(t, expected, true, steps);
	}
}

static const struct type *join_records(struct arena *a, const struct type *x, const struct type *y,
				       size_t *steps)
{
	struct type *t = arena_alloc(a, sizeof *t);
	struct attribute *list = arena_alloc(a, x->n * sizeof *list);
	if (!t || !list || x->n != y->n)
		return NULL;
	for (uint32_t i = 0; i < x->n; i++) {
		const struct attribute *p = &x->attributes[i], *q = &y->attributes[i];
		if (p->required != q->required || !text_equal(p->name, q->name))
			return NULL;
		list[i] = *p;
		list[i].type = type_join(a, p->type, q->type, steps);
		if (!list[i].type)
			return NULL;
	}
	*t = (struct type){.kind = TYPE_RECORD, .n = x->n, .attributes = list};
	return t;
}

const struct type *type_join(struct arena *a, const struct type *x, const struct type *y,
			     size_t *steps)
{
	if (fits(x, y, true, steps))
		return y;
	if (fits(y, x, true, steps))
		return x;
	if (type_is_bool(x) && type_is_bool(y))
		return &type_bool;
	if (x->kind == TYPE_RECORD && y->kind == TYPE_RECORD)
		return join_records(a, x, y, steps);
	if (x->kind != TYPE_SET || y->kind != TYPE_SET)
		return NULL;
	struct type *t = arena_alloc(a, sizeof *t);
	const struct type *element = type_join(a, x->element, y->element, steps);
	if (!t || !element)
		return NULL;
	*t = (struct type){.kind = TYPE_SET, .element = element};
	return t;
}

struct shower {
	char *out;
	size_t n, size;
};

static void say(struct shower *s, struct cedar_text t)
{
	for (size_t i = 0; i < t.n && s->n + 1 < s->size; i++)
		s->out[s->n++] = t.s[i];
}

static void show(struct shower *s, const struct type *t, unsigned depth)
{
	static const char *const names[] = {"True", "False", "Bool", "Long", "String"};
	if (t->kind <= TYPE_STRING) {
		say(s, cedar_text(names[t->kind]));
	} else if (t->kind == TYPE_ENTITY) {
		say(s, t->entity->name);
	} else if (t->kind == TYPE_EXTENSION) {
		say(s, cedar_text(value_kind_names[t->extension]));
	} else if (t->kind == TYPE_SET && depth < 8) {
		say(s, cedar_text("Set<"));
		show(s, t->element, depth + 1);
		say(s, cedar_text(">"));
	} else if (t->kind == TYPE_RECORD && depth < 8) {
		say(s, cedar_text("{"));
		for (uint32_t i = 0; i < t->n && s->n + 8 < s->size; i++) {
			say(s, cedar_text(i ? ", " : ""));
			say(s, t->attributes[i].name);
			say(s, cedar_text(t->attributes[i].required ? ": " : "?: "));
			show(s, t->attributes[i].type, depth + 1);
		}
		say(s, cedar_text("}"));
	} else {
		say(s, cedar_text(t->kind == TYPE_ANY_SET	      ? "a set"
				  : t->kind == TYPE_ANY_RECORD	      ? "a record"
				  : t->kind == TYPE_ANY_ENTITY	      ? "an entity"
				  : t->kind == TYPE_SET_OF_ANY_ENTITY ? "a set of entities"
								      : "..."));
	}
}

const char *type_show(const struct type *t, char *out, size_t size)
{
	struct shower s = {out, 0, size};
	show(&s, t, 0);
	out[s.n] = 0;
	return out;
}

bool type_allows_uid(struct conformity *c, const struct uid *u)
{
	const struct entity_type *t = schema_type(c->schema, u->type);
	char text[200];
	bool fine = true;
	if (t && t->action)
		fine = schema_action(c->schema, u->type, u->id) != NULL;
	for (uint32_t i = 0; t && i < t->n_choices; i++) {
		fine = text_equal(t->choices[i], u->id);
		if (fine)
			return true;
	}
	if (!fine)
		snprintf(c->why, sizeof c->why, "the schema declares no %s",
			 cedar_uid_show(u, text, sizeof text));
	return fine;
}

static bool mismatch(struct conformity *c, const struct type *t, const struct value *v)
{
	char text[160];
	snprintf(c->why, sizeof c->why, "expected %s, not a value of type %s",
		 type_show(t, text, sizeof text), value_kind_names[v->kind]);
	return false;
}

static bool holds_record(struct conformity *c, const struct type *t, const struct record *r)
{
	uint32_t i = 0, k = 0;
	while (i < t->n || k < r->n) { // both sorted by name
		int order = i == t->n	? 1
			    : k == r->n ? -1
					: text_compare(t->attributes[i].name, r->f[k].name);
		if (order > 0) {
			snprintf(c->why, sizeof c->why, "the attribute %.*s is not declared",
				 TEXT_ARG(r->f[k].name));
			return false;
		}
		if (order < 0 && t->attributes[i].required) {
			snprintf(c->why, sizeof c->why, "the attribute %.*s is missing",
				 TEXT_ARG(t->attributes[i].name));
			return false;
		}
		if (order == 0 && !type_holds(c, t->attributes[i].type, &r->f[k++].v))
			return false;
		i++;
	}
	return true;
}

bool type_holds(struct conformity *c, const struct type *t, const struct value *v)
{
	static const enum value_kind plain[] = {
		[TYPE_TRUE] = VALUE_BOOL,     [TYPE_FALSE] = VALUE_BOOL,
		[TYPE_BOOL] = VALUE_BOOL,     [TYPE_LONG] = VALUE_LONG,
		[TYPE_STRING] = VALUE_STRING, [TYPE_SET] = VALUE_SET,
		[TYPE_RECORD] = VALUE_RECORD, [TYPE_ENTITY] = VALUE_ENTITY,
	};
	if (v->kind != (t->kind == TYPE_EXTENSION ? t->extension : plain[t->kind]))
		return mismatch(c, t, v);
	if (t->kind == TYPE_RECORD)
		return holds_record(c, t, v->record);
	for (uint32_t i = 0; t->kind == TYPE_SET && i < v->set->n; i++)
		if (!type_holds(c, t->element, &v->set->v[i]))
			return false;
	if (t->kind != TYPE_ENTITY)
		return true;
	return text_equal(v->uid->type, t->entity->name) ? type_allows_uid(c, v->uid)
							 : mismatch(c, t, v);
}
