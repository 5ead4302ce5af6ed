// SPDX-License-Identifier: Apache-2.0
// Resolving a schema: a name means the one of its own namespace, else that of the empty one, and a
// common type before an entity type (RFC 24, RFC 70 of the language). Common types are resolved
// once, on first use, so that a type that is used often is one object; a type in its own definition
// is an error. Hierarchies are closed into a byte per pair, which bounds and speeds up every
// question.

#include "lib/cedar/schema.h"

#include <stdlib.h>

enum { CHAIN_MAX = 200 }; // common types that name each other

struct resolver {
	const struct raw_schema *raw;
	struct cedar_schema *s;
	struct map commons; // to numbers of raw->commons, or past them of built_in
	const struct type **resolved;
	uint8_t *state; // of the commons: 0 not begun, 1 open, 2 done
	unsigned chain;
};

static const char *const built_in_names[] = {"Bool",   "Long",	   "String",  "decimal",
					     "ipaddr", "datetime", "duration"};
enum { BUILT_INS = 7 };

static const struct type *built_in(uint32_t i)
{
	static const struct type *const first[] = {&type_bool, &type_long, &type_string};
	return i < 3 ? first[i] : type_extension(VALUE_DECIMAL + i - 3);
}

struct cedar_text action_key(struct arena *a, struct cedar_text type, struct cedar_text id)
{
	char *s = arena_alloc(a, type.n + 1 + id.n);
	if (!s)
		return (struct cedar_text){NULL, 0};
	memcpy(s, type.s, type.n);
	s[type.n] = '\n';
	if (id.n)
		memcpy(s + type.n + 1, id.s, id.n);
	return (struct cedar_text){s, type.n + 1 + id.n};
}

const struct entity_type *schema_type(const struct cedar_schema *s, struct cedar_text name)
{
	uint32_t i;
	return map_get(&s->type_numbers, name, &i) ? s->types[i] : NULL;
}

const struct action *schema_action(const struct cedar_schema *s, struct cedar_text type,
				   struct cedar_text id)
{
	uint64_t hash = cedar_uid_hash(type, id);
	struct cedar_text key = {(const char *)&hash, sizeof hash};
	uint32_t i;
	if (!map_get(&s->action_numbers, key, &i))
		return NULL;
	const struct uid *u = &s->actions[i]->uid;
	return text_equal(u->type, type) && text_equal(u->id, id) ? s->actions[i] : NULL;
}

static struct err undeclared(const struct resolver *r, size_t at, struct cedar_text name,
			     const char *what)
{
	return cedar_syntax(r->raw->source, at, "%.*s is not declared as %s", TEXT_ARG(name), what);
}

// Is it found under this very name?
static bool look(const struct resolver *r, struct cedar_text name, enum raw_kind kind,
		 uint32_t *common, const struct entity_type **entity)
{
	*entity = NULL;
	if (kind != RAW_ENTITY && map_get(&r->commons, name, common))
		return true;
	if (kind != RAW_COMMON)
		*entity = schema_type(r->s, name);
	return *entity != NULL;
}

static struct err find(const struct resolver *r, struct cedar_text ns, struct cedar_text name,
		       size_t at, enum raw_kind kind, uint32_t *common,
		       const struct entity_type **entity)
{
	bool found = false;
	if (ns.n && !memchr(name.s, ':', name.n)) {
		struct cedar_text mine = cedar_qualify(r->s->arena, ns, name);
		NEED(mine.s);
		found = look(r, mine, kind, common, entity);
	}
	if (found || look(r, name, kind, common, entity))
		return OK;
	return undeclared(r, at, name,
			  kind == RAW_ENTITY   ? "an entity type"
			  : kind == RAW_COMMON ? "a common type"
					       : "an entity type or a common type");
}

static struct err resolve(struct resolver *r, struct cedar_text ns, const struct raw_type *raw,
			  const struct type **out);

static struct err resolve_common(struct resolver *r, uint32_t i, const struct type **out)
{
	if (i >= r->raw->commons.n) {
		*out = built_in(i - (uint32_t)r->raw->commons.n);
		return OK;
	}
	const struct raw_common *c = &r->raw->commons.v[i];
	if (r->state[i] == 1)
		return cedar_syntax(r->raw->source, c->at, "the type %.*s is part of itself",
				    TEXT_ARG(c->name));
	if (!r->state[i]) {
		r->state[i] = 1;
		ENSURE(++r->chain <= CHAIN_MAX, ERR_LIMIT,
		       "more than %d common types that name each other", CHAIN_MAX);
		TRY(resolve(r, c->ns, c->type, &r->resolved[i]));
		r->chain--;
		r->state[i] = 2;
	}
	*out = r->resolved[i];
	return OK;
}

static struct err resolve_record(struct resolver *r, struct cedar_text ns,
				 const struct raw_type *raw, struct type *t)
{
	struct attribute *v = arena_alloc(r->s->arena, raw->n * sizeof *v);
	NEED(v);
	for (uint32_t i = 0; i < raw->n; i++) {
		v[i].name = raw->attributes[i].name;
		v[i].required = raw->attributes[i].required;
		TRY(resolve(r, ns, raw->attributes[i].type, &v[i].type));
	}
	t->attributes = v;
	t->n = raw->n;
	return OK;
}

static struct err resolve(struct resolver *r, struct cedar_text ns, const struct raw_type *raw,
			  const struct type **out)
{
	uint32_t common;
	const struct entity_type *entity;
	if (raw->kind == RAW_BUILT_IN) {
		*out = raw->built_in;
		return OK;
	}
	if (raw->kind == RAW_SET || raw->kind == RAW_RECORD) {
		struct type *t = arena_alloc(r->s->arena, sizeof *t);
		NEED(t);
		t->kind = raw->kind == RAW_SET ? TYPE_SET : TYPE_RECORD;
		*out = t;
		return raw->kind == RAW_SET ? resolve(r, ns, raw->element, &t->element)
					    : resolve_record(r, ns, raw, t);
	}
	TRY(find(r, ns, raw->name, raw->at, raw->kind, &common, &entity));
	if (!entity)
		return resolve_common(r, common, out);
	*out = &entity->self;
	return OK;
}

static struct err add_type(struct resolver *r, struct cedar_text name, bool action,
			   const struct entity_type **out)
{
	struct cedar_schema *s = r->s;
	const struct entity_type *known = schema_type(s, name);
	if (known) {
		*out = known;
		return OK;
	}
	ENSURE(s->n_types < 2 * SCHEMA_MAX, ERR_LIMIT, "more than %d entity types", SCHEMA_MAX);
	struct entity_type *t = arena_alloc(s->arena, sizeof *t);
	struct type *shape = arena_alloc(s->arena, sizeof *shape);
	NEED(t);
	NEED(shape);
	shape->kind = TYPE_RECORD;
	*t = (struct entity_type){.name = name, .shape = shape, .action = action};
	t->self = (struct type){.kind = TYPE_ENTITY, .entity = t};
	t->number = s->n_types;
	s->types[s->n_types++] = t;
	*out = t;
	return map_put(&s->type_numbers, name, t->number);
}

static struct err declare(struct resolver *r)
{
	const struct raw_schema *raw = r->raw;
	struct cedar_text name;
	const struct entity_type *t;
	for (size_t i = 0; i < raw->entities.n; i++) {
		name = cedar_qualify(r->s->arena, raw->entities.v[i].ns, raw->entities.v[i].name);
		NEED(name.s);
		TRY(add_type(r, name, false, &t));
	}
	for (size_t i = 0; i < raw->commons.n; i++) {
		name = cedar_qualify(r->s->arena, raw->commons.v[i].ns, raw->commons.v[i].name);
		NEED(name.s);
		TRY(map_put(&r->commons, name, (uint32_t)i));
	}
	for (uint32_t i = 0; i < BUILT_INS; i++) {
		uint32_t number = (uint32_t)raw->commons.n + i;
		struct cedar_text bare = cedar_text(built_in_names[i]);
		name = cedar_qualify(r->s->arena, cedar_text("__cedar"), bare);
		NEED(name.s);
		TRY(map_put(&r->commons, name, number));
		if (!map_get(&r->commons, bare, NULL) && !schema_type(r->s, bare))
			TRY(map_put(&r->commons, bare, number));
	}
	for (size_t i = 0; i < raw->actions.n; i++) {
		name = cedar_qualify(r->s->arena, raw->actions.v[i].ns, cedar_text("Action"));
		NEED(name.s);
		TRY(add_type(r, name, true, &t));
	}
	return OK;
}

static struct err entity(struct resolver *r, const struct raw_entity *raw, struct entity_type *t)
{
	uint32_t ignored;
	for (uint32_t i = 0; i < raw->parents.n; i++) {
		const struct entity_type *parent;
		const struct raw_name *n = &raw->parents.v[i];
		TRY(find(r, raw->ns, n->name, n->at, RAW_ENTITY, &ignored, &parent));
		if (parent->action)
			return undeclared(r, n->at, n->name, "an entity type");
		t->above[parent->number] = 1;
	}
	if (raw->shape)
		TRY(resolve(r, raw->ns, raw->shape, &t->shape));
	if (t->shape->kind != TYPE_RECORD)
		return cedar_syntax(r->raw->source, raw->shape->at,
				    "the attributes of an entity are a record");
	if (raw->tags)
		TRY(resolve(r, raw->ns, raw->tags, &t->tags));
	struct cedar_text *choices = arena_alloc(r->s->arena, raw->choices.n * sizeof *choices);
	NEED(choices);
	for (uint32_t i = 0; i < raw->choices.n; i++)
		choices[i] = raw->choices.v[i].name;
	t->choices = choices;
	t->n_choices = raw->choices.n;
	return OK;
}

// Everything that is above what is above.
static void close_above(uint8_t **above, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++)
		for (uint32_t i = 0; i < n; i++) {
			if (!above[i][k])
				continue;
			for (uint32_t j = 0; j < n; j++)
				above[i][j] |= above[k][j];
		}
}

static struct err entities(struct resolver *r)
{
	struct cedar_schema *s = r->s;
	for (uint32_t i = 0; i < s->n_types; i++) {
		s->types[i]->above = arena_alloc(s->arena, s->n_types);
		NEED(s->types[i]->above);
	}
	for (uint32_t i = 0; i < r->raw->entities.n; i++)
		TRY(entity(r, &r->raw->entities.v[i], s->types[i]));
	return OK;
}

static struct err applicable(struct resolver *r, const struct raw_action *raw,
			     const struct raw_names *names, const struct entity_type ***out,
			     uint32_t *n)
{
	const struct entity_type **v = arena_alloc(r->s->arena, names->n * sizeof *v);
	uint32_t ignored;
	NEED(v);
	*n = 0;
	for (uint32_t i = 0; i < names->n; i++) {
		const struct entity_type *t;
		const struct raw_name *name = &names->v[i];
		TRY(find(r, raw->ns, name->name, name->at, RAW_ENTITY, &ignored, &t));
		if (t->action)
			return undeclared(r, name->at, name->name, "an entity type");
		bool twice = false;
		for (uint32_t k = 0; k < *n; k++)
			twice = twice || v[k] == t;
		if (!twice)
			v[(*n)++] = t;
	}
	*out = v;
	return OK;
}

static struct err find_parent(struct resolver *r, const struct raw_action *raw,
			      const struct raw_action_name *p, const struct action **out)
{
	struct cedar_text bare = p->type.s ? p->type : cedar_text("Action");
	*out = NULL;
	if (raw->ns.n && !memchr(bare.s, ':', bare.n)) {
		struct cedar_text mine = cedar_qualify(r->s->arena, raw->ns, bare);
		NEED(mine.s);
		*out = schema_action(r->s, mine, p->id);
	}
	if (!*out)
		*out = schema_action(r->s, bare, p->id);
	return *out ? OK : undeclared(r, p->at, p->id, "an action");
}

static struct err action(struct resolver *r, const struct raw_action *raw, struct action *a)
{
	TRY(applicable(r, raw, &raw->principals, &a->principals, &a->n_principals));
	TRY(applicable(r, raw, &raw->resources, &a->resources, &a->n_resources));
	if (raw->context)
		TRY(resolve(r, raw->ns, raw->context, &a->context));
	if (a->context->kind != TYPE_RECORD)
		return cedar_syntax(r->raw->source, raw->context->at,
				    "the context of an action is a record");
	a->parents = arena_alloc(r->s->arena, raw->n_parents * sizeof *a->parents);
	NEED(a->parents);
	for (uint32_t i = 0; i < raw->n_parents; i++) {
		TRY(find_parent(r, raw, &raw->parents[i], &a->parents[i]));
		a->above[a->parents[i]->number] = 1;
	}
	a->n_parents = raw->n_parents;
	return OK;
}

static struct err declare_actions(struct resolver *r)
{
	struct cedar_schema *s = r->s;
	struct type *none = arena_alloc(s->arena, sizeof *none);
	NEED(none);
	none->kind = TYPE_RECORD;
	for (uint32_t i = 0; i < r->raw->actions.n; i++) {
		const struct raw_action *raw = &r->raw->actions.v[i];
		struct cedar_text type = cedar_qualify(s->arena, raw->ns, cedar_text("Action"));
		struct action *a = arena_alloc(s->arena, sizeof *a);
		NEED(type.s);
		NEED(a);
		a->uid = (struct uid){
			.type = type, .id = raw->id, .hash = cedar_uid_hash(type, raw->id)};
		a->type = schema_type(s, type);
		a->context = none;
		a->number = i;
		a->above = arena_alloc(s->arena, r->raw->actions.n);
		NEED(a->above);
		s->actions[s->n_actions++] = a;
		struct cedar_text key = {(const char *)&a->uid.hash, sizeof a->uid.hash};
		ENSURE(!map_get(&s->action_numbers, key, NULL), ERR_INTERNAL,
		       "two actions collide");
		TRY(map_put(&s->action_numbers, key, i));
	}
	return OK;
}

static struct err actions(struct resolver *r)
{
	struct cedar_schema *s = r->s;
	TRY(declare_actions(r));
	for (uint32_t i = 0; i < s->n_actions; i++)
		TRY(action(r, &r->raw->actions.v[i], s->actions[i]));
	uint8_t **above = malloc((s->n_actions + 1) * sizeof *above);
	NEED(above);
	for (uint32_t i = 0; i < s->n_actions; i++)
		above[i] = s->actions[i]->above;
	close_above(above, s->n_actions);
	free(above);
	for (uint32_t i = 0; i < s->n_actions; i++) {
		if (s->actions[i]->above[i])
			return cedar_syntax(
				r->raw->source, r->raw->actions.v[i].at,
				"the action \"%.*s\" is in itself: the hierarchy must have "
				"no cycle",
				TEXT_ARG(s->actions[i]->uid.id));
		for (uint32_t k = 0; k < s->n_actions; k++)
			if (s->actions[i]->above[k])
				s->types[s->actions[i]->type->number]
					->above[s->actions[k]->type->number] = 1;
	}
	return OK;
}

static struct err close_types(struct cedar_schema *s)
{
	// those of actions are closed already, and lead nowhere else
	uint8_t **above = malloc((s->n_types + 1) * sizeof *above);
	NEED(above);
	uint32_t n = 0;
	while (n < s->n_types && !s->types[n]->action) {
		above[n] = s->types[n]->above;
		n++;
	}
	close_above(above, n);
	free(above);
	return OK;
}

static struct err run(struct resolver *r)
{
	struct cedar_schema *s = r->s;
	size_t n = r->raw->entities.n + r->raw->actions.n;
	s->types = arena_alloc(s->arena, n * sizeof *s->types);
	s->actions = arena_alloc(s->arena, r->raw->actions.n * sizeof *s->actions);
	r->resolved = calloc(r->raw->commons.n + 1, sizeof *r->resolved);
	r->state = calloc(r->raw->commons.n + 1, 1);
	NEED(s->types);
	NEED(s->actions);
	NEED(r->resolved);
	NEED(r->state);
	TRY(declare(r));
	TRY(entities(r));
	TRY(actions(r));
	for (uint32_t i = 0; i < r->raw->commons.n; i++) {
		const struct type *ignored;
		TRY(resolve_common(r, i, &ignored)); // unused ones must make sense, too
	}
	return close_types(s);
}

struct err schema_resolve(const struct raw_schema *raw, struct cedar_schema *s)
{
	struct resolver r = {.raw = raw, .s = s};
	struct err e = run(&r);
	map_clear(&r.commons);
	free(r.resolved);
	free(r.state);
	return e;
}

typedef struct err (*reader)(struct raw_schema *raw);

static struct err parse(struct cedar_text source, reader read, struct cedar_schema **out)
{
	ENSURE(source.n <= CEDAR_SOURCE_MAX, ERR_LIMIT, "the schema is longer than %d bytes",
	       CEDAR_SOURCE_MAX);
	ENSURE(cedar_utf8_valid(source), ERR_USAGE, "the schema is not UTF-8");
	struct cedar_schema *s = calloc(1, sizeof *s);
	NEED(s);
	struct raw_schema raw = {0};
	struct err e = OK;
	s->arena = arena_new((size_t)1 << 30);
	s->source = s->arena ? cedar_copy(s->arena, source) : (struct cedar_text){NULL, 0};
	if (!s->source.s)
		TRY_OUT(e, cedar_no_memory());
	raw.arena = s->arena;
	raw.source = s->source;
	TRY_OUT(e, read(&raw));
	TRY_OUT(e, schema_check_names(&raw));
	TRY_OUT(e, schema_resolve(&raw, s));
out:
	free(raw.entities.v);
	free(raw.commons.v);
	free(raw.actions.v);
	free(raw.namespaces.v);
	if (e.code) {
		cedar_schema_free(s);
		s = NULL;
	}
	*out = s;
	return e;
}

struct err cedar_schema_parse(struct cedar_text source, struct cedar_schema **out)
{
	return parse(source, schema_read_text, out);
}

struct err cedar_schema_parse_json(struct cedar_text source, struct cedar_schema **out)
{
	return parse(source, schema_read_json, out);
}

void cedar_schema_free(struct cedar_schema *s)
{
	if (!s)
		return;
	map_clear(&s->type_numbers);
	map_clear(&s->action_numbers);
	arena_free(s->arena);
	free(s);
}
