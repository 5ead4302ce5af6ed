// SPDX-License-Identifier: Apache-2.0
// Values from JSON: a number is a long, an array a set, an object a record, {"__entity": {"type",
// "id"}} a reference and {"__extn": {"fn", "arg"}} an extension value. Where the schema expects a
// reference or an extension value, {"type", "id"} or the constructor's text is enough.

#include "lib/cedar/entities.h"

#include "lib/cedar/ext.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void value_reader_clear(struct value_reader *r)
{
	free(r->stack.v);
	free(r->fields.v);
}

struct err value_wrong(const struct value_reader *r, const struct json *at, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return cedar_syntax(r->source, at->at, "%s", text);
}

static struct err uid_of(struct value_reader *r, const struct json *j, struct value *out)
{
	const struct json *type = cedar_json_get(j, "type"), *id = cedar_json_get(j, "id");
	if (!type || !id || j->n != 2 || type->kind != JSON_STRING || id->kind != JSON_STRING)
		return value_wrong(r, j, "an entity is {\"type\": \"...\", \"id\": \"...\"}");
	if (!cedar_name_valid(type->s, false))
		return value_wrong(r, type, "\"%.*s\" is no name of an entity type",
				   TEXT_ARG(type->s));
	out->kind = VALUE_ENTITY;
	if (r->store) {
		struct node *n;
		TRY(cedar_node_intern(r->store, type->s, id->s, &n));
		out->uid = &n->uid;
		return OK;
	}
	struct uid *u = arena_alloc(r->arena, sizeof *u);
	NEED(u);
	u->type = cedar_copy(r->arena, type->s);
	u->id = cedar_copy(r->arena, id->s);
	NEED(u->type.s);
	NEED(u->id.s);
	u->hash = cedar_uid_hash(u->type, u->id);
	out->uid = u;
	return OK;
}

struct err value_read_uid(struct value_reader *r, const struct json *j, struct value *out)
{
	const struct json *explicit = cedar_json_get(j, "__entity");
	if (explicit && j->n != 1)
		return value_wrong(r, j, "nothing stands beside \"__entity\"");
	return uid_of(r, explicit ? explicit : j, out);
}

static struct err call(struct value_reader *r, const struct json *at, enum fn f, size_t base,
		       struct value *out)
{
	const char *wrong = cedar_ext_call(f, r->stack.v + base, r->stack.n - base, r->arena, out);
	r->stack.n = base;
	return wrong ? value_wrong(r, at, "%s: %s", cedar_fns[f].name, wrong) : OK;
}

// {"fn": "ip", "arg": "10.0.0.1"}, or "args" for more than one.
static struct err extension(struct value_reader *r, const struct json *j, struct value *out)
{
	const struct json *fn = cedar_json_get(j, "fn"), *arg = cedar_json_get(j, "arg");
	const struct json *args = cedar_json_get(j, "args");
	size_t base = r->stack.n;
	enum fn f;
	if (!fn || fn->kind != JSON_STRING || j->n != 2 || (!arg && !args) ||
	    (args && args->kind != JSON_ARRAY))
		return value_wrong(r, j, "an extension value is {\"fn\": \"...\", \"arg\": ...}");
	if (!cedar_fn_find(fn->s, &f))
		return value_wrong(r, fn, "\"%.*s\" is no extension function", TEXT_ARG(fn->s));
	for (uint32_t i = 0; i < (arg ? 1 : args->n); i++) {
		struct value v;
		TRY(value_read(r, arg ? arg : &args->items[i], NULL, &v));
		VEC_PUSH(&r->stack, v);
	}
	return call(r, j, f, base, out);
}

static struct err implicit_extension(struct value_reader *r, const struct json *j,
				     enum value_kind kind, struct value *out)
{
	const struct json *explicit = cedar_json_get(j, "__extn");
	size_t base = r->stack.n;
	struct value v;
	if (explicit)
		return extension(r, explicit, out);
	if (j->kind == JSON_OBJECT)
		return extension(r, j, out);
	TRY(value_read(r, j, NULL, &v));
	VEC_PUSH(&r->stack, v);
	return call(r, j, cedar_fn_constructor(kind), base, out);
}

static struct err set(struct value_reader *r, const struct json *j, const struct type *element,
		      struct value *out)
{
	size_t base = r->stack.n;
	for (uint32_t i = 0; i < j->n; i++) {
		struct value v;
		TRY(value_read(r, &j->items[i], element, &v));
		VEC_PUSH(&r->stack, v);
	}
	*out = (struct value){.kind = VALUE_SET,
			      .set = cedar_set_make(r->arena, r->stack.v + base, j->n)};
	r->stack.n = base;
	NEED(out->set);
	return OK;
}

static struct err record(struct value_reader *r, const struct json *j, const struct type *type,
			 struct value *out)
{
	size_t base = r->fields.n;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct json_member *m = &j->members[i];
		const struct attribute *a = type ? type_attribute(type, m->key) : NULL;
		if (type && !a)
			return value_wrong(r, &m->value, "the attribute \"%.*s\" is not declared",
					   TEXT_ARG(m->key));
		struct field f = {.name = cedar_copy(r->arena, m->key)};
		NEED(f.name.s);
		TRY(value_read(r, &m->value, a ? a->type : NULL, &f.v));
		VEC_PUSH(&r->fields, f);
	}
	*out = (struct value){.kind = VALUE_RECORD,
			      .record = cedar_record_make(r->arena, r->fields.v + base, j->n)};
	r->fields.n = base;
	NEED(out->record);
	return OK;
}

static struct err object(struct value_reader *r, const struct json *j, const struct type *type,
			 struct value *out)
{
	static const char *const escapes[] = {"__entity", "__extn", "__expr"};
	for (int i = 0; i < 3; i++) {
		const struct json *inner = cedar_json_get(j, escapes[i]);
		if (!inner)
			continue;
		if (i == 2)
			return value_wrong(r, j, "__expr is no longer part of the language");
		if (j->n != 1)
			return value_wrong(r, j, "nothing stands beside \"%s\"", escapes[i]);
		return i ? extension(r, inner, out) : uid_of(r, inner, out);
	}
	return record(r, j, type && type->kind == TYPE_RECORD ? type : NULL, out);
}

static struct err string(struct value_reader *r, struct cedar_text t, struct value *out)
{
	struct cedar_text copy = cedar_copy(r->arena, t);
	NEED(copy.s);
	*out = value_text(copy);
	return OK;
}

struct err value_read(struct value_reader *r, const struct json *j, const struct type *type,
		      struct value *out)
{
	if (type && type->kind == TYPE_ENTITY)
		return value_read_uid(r, j, out);
	if (type && type->kind == TYPE_EXTENSION)
		return implicit_extension(r, j, type->extension, out);
	switch (j->kind) {
	case JSON_BOOL:
		*out = value_bool(j->b);
		return OK;
	case JSON_LONG:
		*out = value_int(VALUE_LONG, j->i);
		return OK;
	case JSON_STRING:
		return string(r, j->s, out);
	case JSON_ARRAY:
		return set(r, j, type && type->kind == TYPE_SET ? type->element : NULL, out);
	case JSON_OBJECT:
		return object(r, j, type, out);
	default:
		return value_wrong(r, j,
				   "a value is a boolean, an integer of 64 bits, a string, an "
				   "array or an object, not a %s",
				   json_kind_names[j->kind]);
	}
}
