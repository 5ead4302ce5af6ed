// SPDX-License-Identifier: Apache-2.0
// Schemas in JSON form: {NAMESPACE: {"entityTypes", "actions", "commonTypes", "annotations"}}.

#include "lib/cedar/json.h"
#include "lib/cedar/schema.h"

#include <stdlib.h>

struct reader {
	struct raw_schema *raw;
	struct cedar_text ns;
};

static struct err wrong(const struct reader *r, const struct json *at, const char *what)
{
	return cedar_syntax(r->raw->source, at->at, "%s", what);
}

static struct err want(const struct reader *r, const struct json *j, enum json_kind kind)
{
	if (j->kind == kind)
		return OK;
	return cedar_syntax(r->raw->source, j->at, "a JSON %s is expected, not a %s",
			    json_kind_names[kind], json_kind_names[j->kind]);
}

// Refuses members that are not named. `allowed` ends with NULL.
static struct err only(const struct reader *r, const struct json *j, const char *const *allowed)
{
	TRY(want(r, j, JSON_OBJECT));
	for (uint32_t i = 0; i < j->n; i++) {
		const char *const *a = allowed;
		while (*a && !text_is(j->members[i].key, *a))
			a++;
		if (!*a)
			return cedar_syntax(r->raw->source, j->members[i].value.at,
					    "the member \"%.*s\" is unknown here",
					    TEXT_ARG(j->members[i].key));
	}
	return OK;
}

static struct err name(const struct reader *r, const struct json *j, struct raw_name *out)
{
	TRY(want(r, j, JSON_STRING));
	*out = (struct raw_name){j->s, j->at};
	return cedar_name_valid(j->s, true) ? OK : wrong(r, j, "this is no name");
}

static struct err names(const struct reader *r, const struct json *j, struct raw_names *out)
{
	TRY(want(r, j, JSON_ARRAY));
	struct raw_name *v = arena_alloc(r->raw->arena, j->n * sizeof *v);
	NEED(v);
	for (uint32_t i = 0; i < j->n; i++)
		TRY(name(r, &j->items[i], &v[i]));
	*out = (struct raw_names){v, j->n};
	return OK;
}

static struct err type(const struct reader *r, const struct json *j, bool attribute,
		       const struct raw_type **out);

static int by_name(const void *a, const void *b)
{
	return text_compare(((const struct raw_attribute *)a)->name,
			    ((const struct raw_attribute *)b)->name);
}

static struct err record(const struct reader *r, const struct json *j, struct raw_type *t)
{
	const struct json *attributes = cedar_json_get(j, "attributes");
	const struct json *open = cedar_json_get(j, "additionalAttributes");
	if (open && (open->kind != JSON_BOOL || open->b))
		return wrong(r, open, "additionalAttributes can only be false");
	if (!attributes)
		return wrong(r, j, "a record needs \"attributes\"");
	TRY(want(r, attributes, JSON_OBJECT));
	ENSURE(attributes->n <= SCHEMA_MAX, ERR_LIMIT, "more than %d attributes in one record",
	       SCHEMA_MAX);
	struct raw_attribute *v = arena_alloc(r->raw->arena, attributes->n * sizeof *v);
	NEED(v);
	for (uint32_t i = 0; i < attributes->n; i++) {
		const struct json_member *m = &attributes->members[i];
		const struct json *required = cedar_json_get(&m->value, "required");
		if (required)
			TRY(want(r, required, JSON_BOOL));
		v[i].name = m->key;
		v[i].required = !required || required->b;
		TRY(type(r, &m->value, true, &v[i].type));
	}
	qsort(v, attributes->n, sizeof *v, by_name);
	t->kind = RAW_RECORD;
	t->attributes = v;
	t->n = attributes->n;
	return OK;
}

static struct err named(const struct reader *r, const struct json *j, struct raw_type *t,
			enum raw_kind kind)
{
	struct raw_name n;
	const struct json *m = cedar_json_get(j, "name");
	if (!m)
		return wrong(r, j, "this type needs a \"name\"");
	TRY(name(r, m, &n));
	t->kind = kind;
	t->name = n.name;
	return OK;
}

static struct err extension(const struct reader *r, const struct json *j, struct raw_type *t)
{
	TRY(named(r, j, t, RAW_BUILT_IN));
	for (unsigned k = VALUE_DECIMAL; k <= VALUE_DURATION; k++)
		if (text_is(t->name, value_kind_names[k]))
			t->built_in = type_extension(k);
	return t->built_in ? OK : wrong(r, j, "extensions are decimal, ipaddr, datetime, duration");
}

static struct err set(const struct reader *r, const struct json *j, struct raw_type *t)
{
	const struct json *element = cedar_json_get(j, "element");
	if (!element)
		return wrong(r, j, "a set needs an \"element\"");
	t->kind = RAW_SET;
	return type(r, element, false, &t->element);
}

static struct err type(const struct reader *r, const struct json *j, bool attribute,
		       const struct raw_type **out)
{
	static const char *const plain[] = {"type", "annotations", "required", NULL};
	static const char *const records[] = {"type",	  "attributes",	 "additionalAttributes",
					      "required", "annotations", NULL};
	static const char *const sets[] = {"type", "element", "annotations", "required", NULL};
	static const char *const others[] = {"type", "name", "annotations", "required", NULL};
	const struct json *kind = cedar_json_get(j, "type");
	const struct json *required = cedar_json_get(j, "required");
	if (!kind)
		return wrong(r, j, "a type needs a \"type\"");
	if (required && !attribute)
		return wrong(r, required, "only attributes are required or not");
	TRY(want(r, kind, JSON_STRING));
	bool named_type = text_is(kind->s, "Entity") || text_is(kind->s, "EntityOrCommon") ||
			  text_is(kind->s, "Extension");
	TRY(only(r, j,
		 text_is(kind->s, "Record") ? records
		 : text_is(kind->s, "Set")  ? sets
		 : named_type		    ? others
					    : plain));
	struct raw_type *t = arena_alloc(r->raw->arena, sizeof *t);
	NEED(t);
	t->at = j->at;
	*out = t;
	if (text_is(kind->s, "Record"))
		return record(r, j, t);
	if (text_is(kind->s, "Set"))
		return set(r, j, t);
	if (text_is(kind->s, "Entity"))
		return named(r, j, t, RAW_ENTITY);
	if (text_is(kind->s, "EntityOrCommon"))
		return named(r, j, t, RAW_NAME);
	if (text_is(kind->s, "Extension"))
		return extension(r, j, t);
	t->built_in = text_is(kind->s, "String")    ? &type_string
		      : text_is(kind->s, "Long")    ? &type_long
		      : text_is(kind->s, "Boolean") ? &type_bool
						    : NULL;
	struct raw_name n = {0};
	if (!t->built_in)
		TRY(name(r, kind, &n));
	t->kind = t->built_in ? RAW_BUILT_IN : RAW_COMMON;
	t->name = n.name;
	return OK;
}

static struct err choices(const struct reader *r, const struct json *j, struct raw_names *out)
{
	TRY(want(r, j, JSON_ARRAY));
	struct raw_name *v = arena_alloc(r->raw->arena, j->n * sizeof *v);
	NEED(v);
	if (!j->n)
		return wrong(r, j, "an enum needs at least one id");
	for (uint32_t i = 0; i < j->n; i++) {
		TRY(want(r, &j->items[i], JSON_STRING));
		v[i] = (struct raw_name){j->items[i].s, j->items[i].at};
	}
	*out = (struct raw_names){v, j->n};
	return OK;
}

static struct err entity(const struct reader *r, const struct json_member *m)
{
	static const char *const members[] = {"memberOfTypes", "shape", "tags",
					      "annotations",   "enum",	NULL};
	const struct json *j = &m->value;
	TRY(only(r, j, members));
	struct raw_entity e = {.ns = r->ns, .name = m->key, .at = j->at};
	const struct json *parents = cedar_json_get(j, "memberOfTypes");
	const struct json *shape = cedar_json_get(j, "shape"), *tags = cedar_json_get(j, "tags");
	const struct json *ids = cedar_json_get(j, "enum");
	if (ids && (parents || shape || tags))
		return wrong(r, ids, "an enum has nothing else");
	if (ids)
		TRY(choices(r, ids, &e.choices));
	if (parents)
		TRY(names(r, parents, &e.parents));
	if (shape)
		TRY(type(r, shape, false, &e.shape));
	if (tags)
		TRY(type(r, tags, false, &e.tags));
	VEC_PUSH(&r->raw->entities, e);
	return OK;
}

static struct err parents(const struct reader *r, const struct json *j, struct raw_action *a)
{
	static const char *const members[] = {"id", "type", NULL};
	if (j->kind == JSON_NULL)
		return OK;
	TRY(want(r, j, JSON_ARRAY));
	struct raw_action_name *v = arena_alloc(r->raw->arena, j->n * sizeof *v);
	NEED(v);
	for (uint32_t i = 0; i < j->n; i++) {
		TRY(only(r, &j->items[i], members));
		const struct json *id = cedar_json_get(&j->items[i], "id");
		const struct json *t = cedar_json_get(&j->items[i], "type");
		if (!id)
			return wrong(r, &j->items[i], "an action needs an \"id\"");
		TRY(want(r, id, JSON_STRING));
		v[i] = (struct raw_action_name){.id = id->s, .at = id->at};
		struct raw_name n = {0};
		if (t && t->kind != JSON_NULL)
			TRY(name(r, t, &n));
		v[i].type = n.name;
	}
	a->parents = v;
	a->n_parents = j->n;
	return OK;
}

static struct err applies_to(const struct reader *r, const struct json *j, struct raw_action *a)
{
	static const char *const members[] = {"principalTypes", "resourceTypes", "context", NULL};
	if (j->kind == JSON_NULL)
		return OK;
	TRY(only(r, j, members));
	const struct json *principals = cedar_json_get(j, "principalTypes");
	const struct json *resources = cedar_json_get(j, "resourceTypes");
	const struct json *context = cedar_json_get(j, "context");
	if (!principals || !resources)
		return wrong(r, j, "appliesTo needs principalTypes and resourceTypes");
	TRY(names(r, principals, &a->principals));
	TRY(names(r, resources, &a->resources));
	return context ? type(r, context, false, &a->context) : OK;
}

static struct err action(const struct reader *r, const struct json_member *m)
{
	static const char *const members[] = {"appliesTo", "memberOf", "attributes", "annotations",
					      NULL};
	const struct json *j = &m->value;
	TRY(only(r, j, members));
	struct raw_action a = {.ns = r->ns, .id = m->key, .at = j->at};
	const struct json *applies = cedar_json_get(j, "appliesTo");
	const struct json *member_of = cedar_json_get(j, "memberOf");
	const struct json *attributes = cedar_json_get(j, "attributes");
	if (attributes && attributes->kind != JSON_NULL)
		return wrong(r, attributes, "actions have no attributes");
	if (member_of)
		TRY(parents(r, member_of, &a));
	if (applies)
		TRY(applies_to(r, applies, &a));
	VEC_PUSH(&r->raw->actions, a);
	return OK;
}

static struct err namespace(const struct reader *r, const struct json *j)
{
	static const char *const members[] = {"entityTypes", "actions", "commonTypes",
					      "annotations", NULL};
	TRY(only(r, j, members));
	const struct json *entities = cedar_json_get(j, "entityTypes");
	const struct json *actions = cedar_json_get(j, "actions");
	const struct json *commons = cedar_json_get(j, "commonTypes");
	if (!r->ns.n && cedar_json_get(j, "annotations"))
		return wrong(r, j, "the empty namespace has no annotations");
	if (!entities || !actions)
		return wrong(r, j, "a namespace needs entityTypes and actions");
	TRY(want(r, entities, JSON_OBJECT));
	TRY(want(r, actions, JSON_OBJECT));
	for (uint32_t i = 0; i < entities->n; i++)
		TRY(entity(r, &entities->members[i]));
	for (uint32_t i = 0; i < actions->n; i++)
		TRY(action(r, &actions->members[i]));
	if (!commons)
		return OK;
	TRY(want(r, commons, JSON_OBJECT));
	for (uint32_t i = 0; i < commons->n; i++) {
		const struct json_member *m = &commons->members[i];
		struct raw_common c = {.ns = r->ns, .name = m->key, .at = m->value.at};
		TRY(type(r, &m->value, false, &c.type));
		VEC_PUSH(&r->raw->commons, c);
	}
	return OK;
}

struct err schema_read_json(struct raw_schema *raw)
{
	struct reader r = {.raw = raw};
	const struct json *root;
	TRY(cedar_json_parse(raw->arena, raw->source, &root));
	TRY(want(&r, root, JSON_OBJECT));
	for (uint32_t i = 0; i < root->n; i++) {
		const struct json_member *m = &root->members[i];
		if (m->key.n && !cedar_name_valid(m->key, false))
			return wrong(&r, &m->value, "this is no name of a namespace");
		r.ns = m->key;
		TRY(namespace(&r, &m->value));
	}
	return OK;
}
