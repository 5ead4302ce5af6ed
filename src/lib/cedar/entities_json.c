// SPDX-License-Identifier: Apache-2.0
// Entity stores from JSON, held against the schema when there is one.

#include "lib/cedar/entities.h"

#include <stdlib.h>

struct loader {
	struct value_reader r;
	struct arena *tree; // of the JSON
	VEC(struct parentage) edges;
	VEC(const struct json *) declared; // by number of node; NULL: not yet
	struct conformity c;
};

static bool same_json(const struct json *a, const struct json *b)
{
	if (a->kind != b->kind || a->n != b->n)
		return false;
	bool same = a->kind != JSON_REAL;
	if (a->kind == JSON_BOOL)
		same = a->b == b->b;
	else if (a->kind == JSON_LONG)
		same = a->i == b->i;
	else if (a->kind == JSON_STRING)
		same = text_equal(a->s, b->s);
	for (uint32_t i = 0; same && a->kind == JSON_ARRAY && i < a->n; i++)
		same = same_json(&a->items[i], &b->items[i]);
	for (uint32_t i = 0; same && a->kind == JSON_OBJECT && i < a->n; i++)
		same = text_equal(a->members[i].key, b->members[i].key) &&
		       same_json(&a->members[i].value, &b->members[i].value);
	return same;
}

static struct err not_conform(const struct loader *l, const struct json *at, const struct node *n)
{
	char text[200];
	return value_wrong(&l->r, at, "%s: %s", cedar_uid_show(&n->uid, text, sizeof text),
			   l->c.why);
}

static struct err read_record(struct loader *l, const struct json *j, const struct node *n,
			      const struct type *type, const struct record **out)
{
	struct value v;
	if (j->kind != JSON_OBJECT)
		return value_wrong(&l->r, j, "a JSON object is expected");
	size_t base = l->r.fields.n;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct json_member *m = &j->members[i];
		const struct attribute *a = type ? type_attribute(type, m->key) : NULL;
		struct field f = {.name = cedar_copy(l->r.arena, m->key)};
		NEED(f.name.s);
		TRY(value_read(&l->r, &m->value, a ? a->type : NULL, &f.v));
		VEC_PUSH(&l->r.fields, f);
	}
	v.kind = VALUE_RECORD;
	v.record = cedar_record_make(l->r.arena, l->r.fields.v + base, j->n);
	l->r.fields.n = base;
	NEED(v.record);
	*out = v.record;
	return type && !type_holds(&l->c, type, &v) ? not_conform(l, j, n) : OK;
}

static struct err read_tags(struct loader *l, const struct json *j, struct node *n,
			    const struct entity_type *t)
{
	if (j->kind != JSON_OBJECT)
		return value_wrong(&l->r, j, "tags are a JSON object");
	size_t base = l->r.fields.n;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct json_member *m = &j->members[i];
		if (t && !t->tags)
			return value_wrong(&l->r, &m->value, "entities of type %.*s have no tags",
					   TEXT_ARG(t->name));
		struct field f = {.name = cedar_copy(l->r.arena, m->key)};
		NEED(f.name.s);
		TRY(value_read(&l->r, &m->value, t ? t->tags : NULL, &f.v));
		if (t && !type_holds(&l->c, t->tags, &f.v))
			return not_conform(l, &m->value, n);
		VEC_PUSH(&l->r.fields, f);
	}
	if (j->n)
		n->tags = cedar_record_make(l->r.arena, l->r.fields.v + base, j->n);
	l->r.fields.n = base;
	return n->tags || !j->n ? OK : cedar_no_memory();
}

static struct err read_parents(struct loader *l, const struct json *j, const struct node *n)
{
	if (j->kind != JSON_ARRAY)
		return value_wrong(&l->r, j, "parents are a JSON array");
	for (uint32_t i = 0; i < j->n; i++) {
		struct value v;
		TRY(value_read_uid(&l->r, &j->items[i], &v));
		struct parentage edge = {n->uid.node - 1, v.uid->node - 1};
		VEC_PUSH(&l->edges, edge);
	}
	return OK;
}

static struct err check_type(struct loader *l, const struct json *at, const struct node *n,
			     const struct entity_type **out)
{
	const struct cedar_schema *schema = l->r.schema;
	*out = schema ? schema_type(schema, n->uid.type) : NULL;
	if (schema && !*out)
		return value_wrong(&l->r, at, "the schema declares no entity type %.*s",
				   TEXT_ARG(n->uid.type));
	return schema && !type_allows_uid(&l->c, &n->uid) ? not_conform(l, at, n) : OK;
}

static struct err entity(struct loader *l, const struct json *j)
{
	const struct json *uid = cedar_json_get(j, "uid"), *attrs = cedar_json_get(j, "attrs");
	const struct json *parents = cedar_json_get(j, "parents"),
			  *tags = cedar_json_get(j, "tags");
	const struct entity_type *type;
	struct value v;
	if (!uid || !attrs || !parents)
		return value_wrong(&l->r, j, "an entity has uid, attrs and parents");
	TRY(value_read_uid(&l->r, uid, &v));
	struct node *n = l->r.store->nodes.v[v.uid->node - 1];
	while (l->declared.n < n->uid.node)
		VEC_PUSH(&l->declared, NULL);
	if (n->declared && same_json(j, l->declared.v[n->uid.node - 1]))
		return OK; // saying the same again is no harm
	if (n->declared)
		return value_wrong(&l->r, uid, "%.*s::\"%.*s\" occurs twice, and differs",
				   TEXT_ARG(n->uid.type), TEXT_ARG(n->uid.id));
	l->declared.v[n->uid.node - 1] = j;
	n->declared = true;
	l->r.store->declared++;
	TRY(check_type(l, uid, n, &type));
	TRY(read_record(l, attrs, n, type ? type->shape : NULL, &n->attributes));
	if (tags)
		TRY(read_tags(l, tags, n, type));
	return read_parents(l, parents, n);
}

// The actions of the schema, with their hierarchy.
static struct err add_actions(struct loader *l)
{
	const struct cedar_schema *schema = l->r.schema;
	for (uint32_t i = 0; schema && i < schema->n_actions; i++) {
		const struct action *a = schema->actions[i];
		struct node *n, *parent;
		TRY(cedar_node_intern(l->r.store, a->uid.type, a->uid.id, &n));
		if (n->declared)
			continue; // check_ancestors sees whether it is as declared here
		l->r.store->declared++;
		n->declared = true;
		for (uint32_t k = 0; k < a->n_parents; k++) {
			const struct uid *u = &a->parents[k]->uid;
			TRY(cedar_node_intern(l->r.store, u->type, u->id, &parent));
			struct parentage edge = {n->uid.node - 1, parent->uid.node - 1};
			VEC_PUSH(&l->edges, edge);
		}
	}
	return OK;
}

// What is above an entity may be above it; and an action has the ancestors that are declared.
static struct err check_ancestors(struct loader *l, const struct node *n)
{
	const struct cedar_schema *schema = l->r.schema;
	const struct entity_type *type = schema_type(schema, n->uid.type);
	char text[200], other[200];
	if (!n->declared || !type)
		return OK;
	const struct action *a =
		type->action ? schema_action(schema, n->uid.type, n->uid.id) : NULL;
	uint32_t expected = 0;
	for (uint32_t i = 0; a && i < schema->n_actions; i++)
		expected += a->above[i];
	for (uint32_t i = 0; i < n->n_ancestors; i++) {
		const struct uid *u = &l->r.store->nodes.v[n->ancestors[i]]->uid;
		const struct entity_type *above = schema_type(schema, u->type);
		bool fine = above && type->above[above->number] && type_allows_uid(&l->c, u);
		if (a && fine) {
			const struct action *b = schema_action(schema, u->type, u->id);
			fine = b && a->above[b->number];
		}
		ENSURE(fine, ERR_USAGE, "the schema does not allow %s in %s",
		       cedar_uid_show(&n->uid, text, sizeof text),
		       cedar_uid_show(u, other, sizeof other));
	}
	ENSURE(!a || expected == n->n_ancestors, ERR_USAGE,
	       "%s is not in all the actions that the schema declares",
	       cedar_uid_show(&n->uid, text, sizeof text));
	return OK;
}

static struct err check(struct loader *l)
{
	for (size_t i = 0; l->r.schema && i < l->r.store->nodes.n; i++)
		TRY(check_ancestors(l, l->r.store->nodes.v[i]));
	return OK;
}

static struct err load(struct loader *l)
{
	const struct json *root;
	TRY(cedar_json_parse(l->tree, l->r.source, &root));
	if (root->kind != JSON_ARRAY)
		return value_wrong(&l->r, root, "entities are a JSON array");
	for (uint32_t i = 0; i < root->n; i++)
		TRY(entity(l, &root->items[i]));
	TRY(add_actions(l));
	TRY(cedar_entities_close(l->r.store, l->edges.v, l->edges.n));
	return check(l);
}

struct err cedar_entities_parse(struct cedar_text json, const struct cedar_schema *schema,
				struct cedar_entities **out)
{
	struct cedar_entities *s;
	*out = NULL;
	TRY(cedar_entities_make(&s));
	struct loader l = {.r = {.arena = s->arena, .source = json, .store = s, .schema = schema},
			   .tree = arena_new((size_t)8 << 30),
			   .c = {.schema = schema}};
	struct err e = l.tree ? load(&l) : cedar_no_memory();
	value_reader_clear(&l.r);
	arena_free(l.tree);
	free(l.edges.v);
	free(l.declared.v);
	if (e.code) {
		cedar_entities_free(s);
		s = NULL;
	}
	*out = s;
	return e;
}
