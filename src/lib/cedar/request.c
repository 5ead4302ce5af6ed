// SPDX-License-Identifier: Apache-2.0
// Contexts and the check of requests against the schema.

#include "lib/cedar/entities.h"

#include <stdlib.h>

struct err cedar_context_new(struct cedar_context **out)
{
	struct cedar_context *c = calloc(1, sizeof *c);
	NEED(c);
	c->arena = arena_new((size_t)256 << 20);
	c->record = c->arena ? cedar_record_make(c->arena, NULL, 0) : NULL;
	if (!c->record) {
		cedar_context_free(c);
		return cedar_no_memory();
	}
	*out = c;
	return OK;
}

void cedar_context_free(struct cedar_context *c)
{
	if (!c)
		return;
	arena_free(c->arena);
	free(c);
}

static struct err read_context(struct cedar_context *c, struct arena *tree, struct cedar_text json,
			       const struct type *type)
{
	struct value_reader r = {.arena = c->arena, .source = json};
	const struct json *root;
	struct value v;
	TRY(cedar_json_parse(tree, json, &root));
	if (root->kind != JSON_OBJECT)
		return value_wrong(&r, root, "a context is a JSON object");
	struct err e = value_read(&r, root, type, &v);
	value_reader_clear(&r);
	TRY(e);
	if (v.kind != VALUE_RECORD)
		return value_wrong(&r, root, "a context is a record");
	c->record = v.record;
	return OK;
}

struct err cedar_context_parse(struct cedar_text json, const struct cedar_schema *schema,
			       const struct cedar_uid *action, struct cedar_context **out)
{
	const struct action *a = NULL;
	*out = NULL;
	if (schema) {
		ENSURE(action, ERR_USAGE,
		       "a context is read as its action declares it: which one?");
		a = schema_action(schema, action->type, action->id);
		ENSURE(a, ERR_USAGE, "the schema declares no action %.*s::\"%.*s\"",
		       TEXT_ARG(action->type), TEXT_ARG(action->id));
	}
	struct cedar_context *c;
	TRY(cedar_context_new(&c));
	struct arena *tree = arena_new((size_t)1 << 30);
	struct err e =
		tree ? read_context(c, tree, json, a ? a->context : NULL) : cedar_no_memory();
	arena_free(tree);
	if (e.code) {
		cedar_context_free(c);
		c = NULL;
	}
	*out = c;
	return e;
}

static struct err set(struct cedar_context *c, const char *name, struct value v)
{
	struct cedar_text key = cedar_text(name);
	struct value *known = (struct value *)cedar_record_get(c->record, key);
	if (known) {
		*known = v;
		return OK;
	}
	uint32_t n = c->record->n;
	struct field *fields = malloc((n + 1) * sizeof *fields);
	NEED(fields);
	if (n)
		memcpy(fields, c->record->f, n * sizeof *fields);
	fields[n] = (struct field){cedar_copy(c->arena, key), v};
	const struct record *r =
		fields[n].name.s ? cedar_record_make(c->arena, fields, n + 1) : NULL;
	free(fields);
	NEED(r);
	c->record = r;
	return OK;
}

struct err cedar_context_bool(struct cedar_context *c, const char *name, bool v)
{
	return set(c, name, value_bool(v));
}

struct err cedar_context_long(struct cedar_context *c, const char *name, int64_t v)
{
	return set(c, name, value_int(VALUE_LONG, v));
}

struct err cedar_context_datetime(struct cedar_context *c, const char *name, int64_t ms_since_1970)
{
	return set(c, name, value_int(VALUE_DATETIME, ms_since_1970));
}

static struct err copy_text(struct cedar_context *c, struct cedar_text t, struct cedar_text *out)
{
	ENSURE(t.n <= CEDAR_SOURCE_MAX && cedar_utf8_valid(t), ERR_USAGE,
	       "a text of the context is too long or not UTF-8");
	*out = cedar_copy(c->arena, t);
	NEED(out->s);
	return OK;
}

struct err cedar_context_string(struct cedar_context *c, const char *name, struct cedar_text v)
{
	struct cedar_text copy;
	TRY(copy_text(c, v, &copy));
	return set(c, name, value_text(copy));
}

struct err cedar_context_strings(struct cedar_context *c, const char *name,
				 const struct cedar_text *v, size_t n)
{
	ENSURE(n <= CEDAR_SOURCE_MAX / sizeof *v, ERR_LIMIT, "too many texts in the context");
	struct value *all = arena_alloc(c->arena, n * sizeof *all);
	NEED(all);
	for (size_t i = 0; i < n; i++) {
		struct cedar_text copy;
		TRY(copy_text(c, v[i], &copy));
		all[i] = value_text(copy);
	}
	struct value made = {.kind = VALUE_SET, .set = cedar_set_make(c->arena, all, n)};
	NEED(made.set);
	return set(c, name, made);
}

struct err cedar_context_entity(struct cedar_context *c, const char *name,
				const struct cedar_uid *v)
{
	struct uid *u = arena_alloc(c->arena, sizeof *u);
	NEED(u);
	ENSURE(cedar_name_valid(v->type, false), ERR_USAGE, "\"%.*s\" is no name of an entity type",
	       TEXT_ARG(v->type));
	TRY(copy_text(c, v->type, &u->type));
	TRY(copy_text(c, v->id, &u->id));
	u->hash = cedar_uid_hash(u->type, u->id);
	return set(c, name, (struct value){.kind = VALUE_ENTITY, .uid = u});
}

static struct err applies(const struct conformity *c, const struct entity_type *const *types,
			  uint32_t n, const struct cedar_uid *u, const char *role)
{
	const struct entity_type *t = schema_type(c->schema, u->type);
	struct uid uid = {.type = u->type, .id = u->id};
	struct conformity own = *c;
	for (uint32_t i = 0; i < n; i++)
		if (types[i] == t) {
			ENSURE(type_allows_uid(&own, &uid), ERR_USAGE, "%s: %s", role, own.why);
			return OK;
		}
	return err_make(ERR_USAGE, "the action does not apply to a %s of type %.*s", role,
			TEXT_ARG(u->type));
}

struct err cedar_request_check(const struct cedar_schema *schema, const struct cedar_request *r)
{
	struct conformity c = {.schema = schema};
	const struct action *a = schema_action(schema, r->action.type, r->action.id);
	ENSURE(a, ERR_USAGE, "the schema declares no action %.*s::\"%.*s\"",
	       TEXT_ARG(r->action.type), TEXT_ARG(r->action.id));
	TRY(applies(&c, a->principals, a->n_principals, &r->principal, "principal"));
	TRY(applies(&c, a->resources, a->n_resources, &r->resource, "resource"));
	static const struct record none = {0};
	struct value v = {.kind = VALUE_RECORD, .record = r->context ? r->context->record : &none};
	ENSURE(type_holds(&c, a->context, &v), ERR_USAGE, "context: %s", c.why);
	return OK;
}
