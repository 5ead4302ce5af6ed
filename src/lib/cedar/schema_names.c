// SPDX-License-Identifier: Apache-2.0
// The names that a schema declares: each once, none reserved, and none of a namespace the same as
// one of the empty namespace (RFC 70 of the language), which would change what others mean by it.

#include "lib/cedar/schema.h"

enum { ENTITIES = 1, COMMONS = 2 };

struct names {
	const struct raw_schema *raw;
	struct arena *arena;
	struct map bare;      // base names of the empty namespace
	struct map qualified; // full names, to ENTITIES | COMMONS
	struct map actions, bare_actions;
};

static struct err add(struct names *n, struct cedar_text ns, struct cedar_text name, size_t at,
		      uint32_t kind)
{
	struct cedar_text full = cedar_qualify(n->arena, ns, name);
	uint32_t kinds = 0;
	NEED(full.s);
	if (!cedar_name_valid(name, false) || memchr(name.s, ':', name.n))
		return cedar_syntax(n->raw->source, at,
				    "\"%.*s\" cannot be declared: it is no name "
				    "or reserved",
				    TEXT_ARG(name));
	map_get(&n->qualified, full, &kinds);
	if (kinds & kind)
		return cedar_syntax(n->raw->source, at, "%.*s is declared twice", TEXT_ARG(full));
	if (!ns.n)
		TRY(map_put(&n->bare, name, 0));
	return map_put(&n->qualified, full, kinds | kind);
}

static struct err common(struct names *n, const struct raw_common *c)
{
	static const char *const words[] = {"Bool", "Boolean", "Entity", "Extension",
					    "Long", "Record",  "Set",	 "String"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (text_is(c->name, words[i]))
			return cedar_syntax(n->raw->source, c->at,
					    "%s cannot be the name of a common type", words[i]);
	return add(n, c->ns, c->name, c->at, COMMONS);
}

static struct err action(struct names *n, const struct raw_action *a)
{
	struct cedar_text key = action_key(n->arena, a->ns.s ? a->ns : cedar_text(""), a->id);
	NEED(key.s);
	if (map_get(&n->actions, key, NULL))
		return cedar_syntax(n->raw->source, a->at, "the action \"%.*s\" is declared twice",
				    TEXT_ARG(a->id));
	if (!a->ns.n)
		TRY(map_put(&n->bare_actions, a->id, 0));
	return map_put(&n->actions, key, 0);
}

static struct err shadow(const struct names *n, size_t at, struct cedar_text name)
{
	return cedar_syntax(n->raw->source, at,
			    "\"%.*s\" is also declared in the empty namespace: rename one of them",
			    TEXT_ARG(name));
}

static struct err shadows(const struct names *n)
{
	const struct raw_schema *raw = n->raw;
	for (size_t i = 0; i < raw->entities.n; i++)
		if (raw->entities.v[i].ns.n && map_get(&n->bare, raw->entities.v[i].name, NULL))
			return shadow(n, raw->entities.v[i].at, raw->entities.v[i].name);
	for (size_t i = 0; i < raw->commons.n; i++)
		if (raw->commons.v[i].ns.n && map_get(&n->bare, raw->commons.v[i].name, NULL))
			return shadow(n, raw->commons.v[i].at, raw->commons.v[i].name);
	for (size_t i = 0; i < raw->actions.n; i++)
		if (raw->actions.v[i].ns.n && map_get(&n->bare_actions, raw->actions.v[i].id, NULL))
			return shadow(n, raw->actions.v[i].at, raw->actions.v[i].id);
	return OK;
}

static struct err check(struct names *n)
{
	const struct raw_schema *raw = n->raw;
	ENSURE(raw->entities.n <= SCHEMA_MAX && raw->commons.n <= SCHEMA_MAX &&
		       raw->actions.n <= SCHEMA_MAX,
	       ERR_LIMIT, "more than %d entity types, common types or actions", SCHEMA_MAX);
	for (size_t i = 0; i < raw->entities.n; i++) {
		const struct raw_entity *e = &raw->entities.v[i];
		if (text_is(e->name, "Action"))
			return cedar_syntax(
				raw->source, e->at,
				"the type Action is that of the actions, and not declared");
		TRY(add(n, e->ns, e->name, e->at, ENTITIES));
	}
	for (size_t i = 0; i < raw->commons.n; i++)
		TRY(common(n, &raw->commons.v[i]));
	for (size_t i = 0; i < raw->actions.n; i++)
		TRY(action(n, &raw->actions.v[i]));
	return shadows(n);
}

struct err schema_check_names(const struct raw_schema *raw)
{
	struct names n = {.raw = raw, .arena = raw->arena};
	struct err e = check(&n);
	map_clear(&n.bare);
	map_clear(&n.qualified);
	map_clear(&n.actions);
	map_clear(&n.bare_actions);
	return e;
}
