// SPDX-License-Identifier: Apache-2.0
// Schemas in text form: {namespace N {decl} | decl}; decl = entity .. ; | action .. ; | type .. ;
// Their keywords are identifiers everywhere else.

#include "lib/cedar/lexer.h"
#include "lib/cedar/schema.h"

#include <stdlib.h>

struct parser {
	struct lexer l;
	struct raw_schema *raw;
	struct cedar_text ns;
	unsigned nesting;
	VEC(struct raw_attribute) attributes; // of the records that are still open
	VEC(struct raw_name) names;
};

static struct err ident(struct parser *p, struct raw_name *out)
{
	*out = (struct raw_name){p->l.now.text, p->l.now.at};
	TRY(lexer_expect(&p->l, TOKEN_IDENT, "a name"));
	if (cedar_reserved(out->name))
		return cedar_syntax(p->l.source, out->at, "\"%.*s\" is a reserved word",
				    TEXT_ARG(out->name));
	return OK;
}

static struct err string(struct parser *p, struct raw_name *out)
{
	struct cedar_text raw = p->l.now.text;
	out->at = p->l.now.at;
	TRY(lexer_expect(&p->l, TOKEN_STRING, "a name in \""));
	return cedar_unescape(p->raw->arena, p->l.source, raw, &out->name);
}

static struct err ident_or_string(struct parser *p, struct raw_name *out)
{
	return p->l.now.kind == TOKEN_STRING ? string(p, out) : ident(p, out);
}

// A::B::C. With `string_after`, an id in " may end it after ::, and *id is set to it.
static struct err path(struct parser *p, struct raw_name *out, struct raw_name *id)
{
	bool more;
	TRY(ident(p, out));
	for (;;) {
		TRY(lexer_accept(&p->l, TOKEN_COLONS, &more));
		if (!more)
			return OK;
		if (id && p->l.now.kind == TOKEN_STRING)
			return string(p, id);
		struct raw_name part;
		TRY(ident(p, &part));
		out->name = cedar_qualify(p->raw->arena, out->name, part.name);
		NEED(out->name.s);
	}
}

static struct err take_names(struct parser *p, size_t base, struct raw_names *out)
{
	size_t n = p->names.n - base;
	struct raw_name *copy = arena_alloc(p->raw->arena, n * sizeof *copy);
	NEED(copy);
	if (n)
		memcpy(copy, p->names.v + base, n * sizeof *copy);
	p->names.n = base;
	*out = (struct raw_names){copy, (uint32_t)n};
	return OK;
}

// One or more, separated by commas.
static struct err list(struct parser *p, struct err (*one)(struct parser *, struct raw_name *),
		       struct raw_names *out)
{
	size_t base = p->names.n;
	bool more = true;
	while (more) {
		struct raw_name name = {0};
		TRY(one(p, &name));
		VEC_PUSH(&p->names, name);
		TRY(lexer_accept(&p->l, ',', &more));
	}
	return take_names(p, base, out);
}

static struct err type_name(struct parser *p, struct raw_name *out)
{
	return path(p, out, NULL);
}

// T, or [T, U]; empty only where that is allowed.
static struct err type_names(struct parser *p, bool empty, struct raw_names *out)
{
	bool bracket;
	TRY(lexer_accept(&p->l, '[', &bracket));
	if (!bracket) {
		size_t base = p->names.n;
		struct raw_name name;
		TRY(path(p, &name, NULL));
		VEC_PUSH(&p->names, name);
		return take_names(p, base, out);
	}
	*out = (struct raw_names){0};
	if (p->l.now.kind == ']' && !empty)
		return lexer_wrong(&p->l, "at least one entity type");
	if (p->l.now.kind != ']')
		TRY(list(p, type_name, out));
	return lexer_expect(&p->l, ']', ", or ]");
}

static struct err annotations(struct parser *p)
{
	struct map seen = {0};
	struct err e = OK;
	while (p->l.now.kind == '@') {
		bool value;
		TRY_OUT(e, lexer_next(&p->l));
		if (p->l.now.kind == TOKEN_IDENT && map_get(&seen, p->l.now.text, NULL))
			TRY_OUT(e, cedar_syntax(p->l.source, p->l.now.at,
						"the annotation @%.*s occurs twice",
						TEXT_ARG(p->l.now.text)));
		TRY_OUT(e, map_put(&seen, p->l.now.text, 0));
		TRY_OUT(e, lexer_expect(&p->l, TOKEN_IDENT, "the name of an annotation"));
		TRY_OUT(e, lexer_accept(&p->l, '(', &value));
		if (value) {
			struct raw_name ignored;
			TRY_OUT(e, string(p, &ignored));
			TRY_OUT(e, lexer_expect(&p->l, ')', ")"));
		}
	}
out:
	map_clear(&seen);
	return e;
}

static struct err type(struct parser *p, const struct raw_type **out);

static int by_name(const void *a, const void *b)
{
	return text_compare(((const struct raw_attribute *)a)->name,
			    ((const struct raw_attribute *)b)->name);
}

// After {. Of a name that is declared twice, the last one counts.
static struct err record(struct parser *p, size_t at, const struct raw_type **out)
{
	size_t base = p->attributes.n;
	bool more = p->l.now.kind != '}', optional;
	while (more) {
		struct raw_name name;
		struct raw_attribute one = {0};
		TRY(annotations(p));
		TRY(ident_or_string(p, &name));
		TRY(lexer_accept(&p->l, '?', &optional));
		TRY(lexer_expect(&p->l, ':', optional ? ":" : "? or :"));
		TRY(type(p, &one.type));
		one.name = name.name;
		one.required = !optional;
		for (size_t i = base; i < p->attributes.n; i++)
			if (text_equal(p->attributes.v[i].name, one.name))
				p->attributes.v[i--] = p->attributes.v[--p->attributes.n];
		ENSURE(p->attributes.n - base < SCHEMA_MAX, ERR_LIMIT,
		       "more than %d attributes in one record", SCHEMA_MAX);
		VEC_PUSH(&p->attributes, one);
		TRY(lexer_accept(&p->l, ',', &more));
		more = more && p->l.now.kind != '}';
	}
	TRY(lexer_expect(&p->l, '}', ", or }"));
	size_t n = p->attributes.n - base;
	struct raw_type *t = arena_alloc(p->raw->arena, sizeof *t);
	struct raw_attribute *copy = arena_alloc(p->raw->arena, n * sizeof *copy);
	NEED(t);
	NEED(copy);
	if (n) {
		memcpy(copy, p->attributes.v + base, n * sizeof *copy);
		qsort(copy, n, sizeof *copy, by_name);
	}
	p->attributes.n = base;
	*t = (struct raw_type){.kind = RAW_RECORD, .at = at, .attributes = copy, .n = (uint32_t)n};
	*out = t;
	return OK;
}

static struct err type(struct parser *p, const struct raw_type **out)
{
	bool brace, less = false;
	struct raw_name name;
	size_t at = p->l.now.at;
	bool set = lexer_word(&p->l, "Set");
	if (++p->nesting > CEDAR_NESTING_MAX)
		return err_make(ERR_LIMIT, "types are nested deeper than %d", CEDAR_NESTING_MAX);
	TRY(lexer_accept(&p->l, '{', &brace));
	if (brace) {
		p->nesting--;
		return record(p, at, out);
	}
	TRY(path(p, &name, NULL));
	struct raw_type *t = arena_alloc(p->raw->arena, sizeof *t);
	NEED(t);
	*t = (struct raw_type){.kind = RAW_NAME, .at = at, .name = name.name};
	if (set && text_is(name.name, "Set"))
		TRY(lexer_accept(&p->l, '<', &less));
	if (less) {
		t->kind = RAW_SET;
		TRY(type(p, &t->element));
		TRY(lexer_expect(&p->l, '>', ">"));
	}
	p->nesting--;
	*out = t;
	return OK;
}

static struct err word(struct parser *p, const char *w, bool *there)
{
	*there = lexer_word(&p->l, w);
	return *there ? lexer_next(&p->l) : OK;
}

static struct err entity_rest(struct parser *p, struct raw_entity *out)
{
	bool in, equals, brace, tags, choices;
	size_t at = p->l.now.at;
	TRY(word(p, "enum", &choices));
	if (choices) {
		TRY(lexer_expect(&p->l, '[', "["));
		TRY(list(p, string, &out->choices));
		return lexer_expect(&p->l, ']', ", or ]");
	}
	TRY(word(p, "in", &in));
	if (in)
		TRY(type_names(p, true, &out->parents));
	TRY(lexer_accept(&p->l, '=', &equals));
	at = p->l.now.at;
	TRY(lexer_accept(&p->l, '{', &brace));
	if (brace)
		TRY(record(p, at, &out->shape));
	else if (equals)
		return lexer_wrong(&p->l, "{");
	TRY(word(p, "tags", &tags));
	return tags ? type(p, &out->tags) : OK;
}

static struct err entity(struct parser *p)
{
	struct raw_names names;
	struct raw_entity e = {.ns = p->ns};
	TRY(list(p, ident, &names));
	TRY(entity_rest(p, &e));
	for (uint32_t i = 0; i < names.n; i++) {
		e.name = names.v[i].name;
		e.at = names.v[i].at;
		VEC_PUSH(&p->raw->entities, e);
	}
	return lexer_expect(&p->l, ';', "in, enum, {, tags or ;");
}

static struct err parent(struct parser *p, struct raw_action_name *out)
{
	struct raw_name name, id = {0};
	*out = (struct raw_action_name){.at = p->l.now.at};
	if (p->l.now.kind == TOKEN_STRING) {
		TRY(string(p, &id));
		out->id = id.name;
		return OK;
	}
	TRY(path(p, &name, &id));
	if (!id.name.s) {
		if (memchr(name.name.s, ':', name.name.n))
			return lexer_wrong(&p->l, ":: and the id of an action in \"");
		out->id = name.name;
	} else {
		out->type = name.name;
		out->id = id.name;
	}
	return OK;
}

static struct err parents(struct parser *p, struct raw_action *out)
{
	bool bracket, more = true;
	VEC(struct raw_action_name) found = {0};
	struct err e = OK;
	TRY(lexer_accept(&p->l, '[', &bracket));
	while (more && !e.code) {
		struct raw_action_name one;
		TRY_OUT(e, parent(p, &one));
		if (found.n == found.cap &&
		    !cedar_vec_grow(&found.v, sizeof *found.v, found.n, &found.cap))
			TRY_OUT(e, cedar_no_memory());
		found.v[found.n++] = one;
		more = false;
		if (bracket)
			TRY_OUT(e, lexer_accept(&p->l, ',', &more));
	}
	if (bracket)
		TRY_OUT(e, lexer_expect(&p->l, ']', ", or ]"));
	struct raw_action_name *copy = arena_alloc(p->raw->arena, found.n * sizeof *copy);
	if (!copy)
		TRY_OUT(e, cedar_no_memory());
	memcpy(copy, found.v, found.n * sizeof *copy);
	out->parents = copy;
	out->n_parents = (uint32_t)found.n;
out:
	free(found.v);
	return e;
}

static struct err context(struct parser *p, const struct raw_type **out)
{
	bool brace;
	size_t at = p->l.now.at;
	TRY(lexer_accept(&p->l, '{', &brace));
	if (brace)
		return record(p, at, out);
	struct raw_type *t = arena_alloc(p->raw->arena, sizeof *t);
	struct raw_name name;
	NEED(t);
	TRY(path(p, &name, NULL));
	*t = (struct raw_type){.kind = RAW_COMMON, .at = at, .name = name.name};
	*out = t;
	return OK;
}

static struct err applies_to(struct parser *p, struct raw_action *out)
{
	bool more = true;
	size_t at = p->l.now.at;
	TRY(lexer_expect(&p->l, '{', "{"));
	while (more) {
		struct token t = p->l.now;
		bool is_principal = lexer_word(&p->l, "principal");
		bool is_context = lexer_word(&p->l, "context");
		if (!is_principal && !is_context && !lexer_word(&p->l, "resource"))
			return lexer_wrong(&p->l, "principal, resource or context");
		struct raw_names *names = is_principal ? &out->principals : &out->resources;
		if (is_context ? out->context != NULL : names->n != 0)
			return cedar_syntax(p->l.source, t.at, "%.*s is declared twice",
					    TEXT_ARG(t.text));
		TRY(lexer_next(&p->l));
		TRY(lexer_expect(&p->l, ':', ":"));
		if (is_context)
			TRY(context(p, &out->context));
		else
			TRY(type_names(p, false, names));
		TRY(lexer_accept(&p->l, ',', &more));
		more = more && p->l.now.kind != '}';
	}
	if (!out->principals.n || !out->resources.n)
		return cedar_syntax(p->l.source, at,
				    "an action that applies to something names both principal and "
				    "resource");
	return lexer_expect(&p->l, '}', ", or }");
}

static struct err action(struct parser *p)
{
	struct raw_names names;
	struct raw_action a = {.ns = p->ns};
	bool in, applies, attributes;
	TRY(list(p, ident_or_string, &names));
	TRY(word(p, "in", &in));
	if (in)
		TRY(parents(p, &a));
	TRY(word(p, "appliesTo", &applies));
	if (applies)
		TRY(applies_to(p, &a));
	TRY(word(p, "attributes", &attributes));
	if (attributes) {
		TRY(lexer_expect(&p->l, '{', "{"));
		TRY(lexer_expect(&p->l, '}', "} (actions have no attributes)"));
	}
	for (uint32_t i = 0; i < names.n; i++) {
		a.id = names.v[i].name;
		a.at = names.v[i].at;
		VEC_PUSH(&p->raw->actions, a);
	}
	return lexer_expect(&p->l, ';', "in, appliesTo or ;");
}

static struct err common(struct parser *p)
{
	struct raw_name name;
	struct raw_common c = {.ns = p->ns};
	TRY(ident(p, &name));
	c.name = name.name;
	c.at = name.at;
	TRY(lexer_expect(&p->l, '=', "="));
	TRY(type(p, &c.type));
	VEC_PUSH(&p->raw->commons, c);
	return lexer_expect(&p->l, ';', ";");
}

static struct err declaration(struct parser *p)
{
	bool it;
	TRY(word(p, "entity", &it));
	if (it)
		return entity(p);
	TRY(word(p, "action", &it));
	if (it)
		return action(p);
	TRY(word(p, "type", &it));
	return it ? common(p) : lexer_wrong(&p->l, "entity, action, type or namespace");
}

static struct err namespace(struct parser *p)
{
	struct raw_name name;
	TRY(path(p, &name, NULL));
	for (size_t i = 0; i < p->raw->namespaces.n; i++)
		if (text_equal(p->raw->namespaces.v[i], name.name))
			return cedar_syntax(p->l.source, name.at,
					    "the namespace %.*s is opened twice",
					    TEXT_ARG(name.name));
	ENSURE(p->raw->namespaces.n < SCHEMA_MAX, ERR_LIMIT, "more than %d namespaces", SCHEMA_MAX);
	VEC_PUSH(&p->raw->namespaces, name.name);
	if (!cedar_name_valid(name.name, false))
		return cedar_syntax(p->l.source, name.at, "the namespace __cedar is reserved");
	p->ns = name.name;
	TRY(lexer_expect(&p->l, '{', ":: or {"));
	while (p->l.now.kind != '}') {
		TRY(annotations(p));
		TRY(declaration(p));
	}
	p->ns = (struct cedar_text){0};
	return lexer_next(&p->l);
}

static struct err declarations(struct parser *p)
{
	TRY(lexer_start(&p->l, p->raw->source));
	while (p->l.now.kind != TOKEN_END) {
		bool opens;
		TRY(annotations(p));
		TRY(word(p, "namespace", &opens));
		TRY(opens ? namespace(p) : declaration(p));
	}
	return OK;
}

struct err schema_read_text(struct raw_schema *raw)
{
	struct parser p = {.raw = raw};
	struct err e = declarations(&p);
	free(p.attributes.v);
	free(p.names.v);
	return e;
}
