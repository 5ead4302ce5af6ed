// SPDX-License-Identifier: Apache-2.0
// Policies in JSON form (docs.cedarpolicy.com, "JSON policy format"): {"effect", "principal",
// "action", "resource", "conditions", "annotations"}; an expression is an object of one member,
// named after its operator.

#include "lib/cedar/ast.h"
#include "lib/cedar/json.h"

#include <stdlib.h>

struct reader {
	struct builder b;
	VEC(const struct expr *) stack;
	VEC(struct cedar_text) keys;
};

static struct err wrong(const struct reader *r, const struct json *at, const char *what)
{
	return cedar_syntax(r->b.source, at->at, "%s", what);
}

static struct err member(const struct reader *r, const struct json *j, const char *key,
			 enum json_kind kind, const struct json **out)
{
	*out = cedar_json_get(j, key);
	if (*out && (*out)->kind == kind)
		return OK;
	return cedar_syntax(r->b.source, *out ? (*out)->at : j->at,
			    "a member \"%s\" is expected here, "
			    "and it is of type %s",
			    key, json_kind_names[kind]);
}

static struct err member_text(const struct reader *r, const struct json *j, const char *key,
			      struct cedar_text *out)
{
	const struct json *m;
	TRY(member(r, j, key, JSON_STRING, &m));
	*out = m->s;
	return OK;
}

static struct err type_name(const struct reader *r, const struct json *j, const char *key,
			    struct cedar_text *out)
{
	TRY(member_text(r, j, key, out));
	return cedar_name_valid(*out, false) ? OK
					     : wrong(r, j, "this is no name of an entity type");
}

static struct err entity(struct reader *r, const struct json *j, const struct expr **out)
{
	const struct json *inner = cedar_json_get(j, "__entity");
	struct cedar_text type, id;
	j = inner ? inner : j;
	TRY(type_name(r, j, "type", &type));
	TRY(member_text(r, j, "id", &id));
	return expr_entity(&r->b, j->at, type, id, out);
}

static struct err expression(struct reader *r, const struct json *j, const struct expr **out);

static struct err list(struct reader *r, const struct json *j, enum expr_kind kind, unsigned fn,
		       struct err (*one)(struct reader *, const struct json *,
					 const struct expr **),
		       const struct expr **out)
{
	size_t base = r->stack.n;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct expr *e;
		TRY(one(r, &j->items[i], &e));
		VEC_PUSH(&r->stack, e);
	}
	r->stack.n = base;
	return expr_list(&r->b, j->at, kind, fn, r->stack.v + base, j->n, out);
}

static struct err record(struct reader *r, const struct json *j,
			 struct err (*one)(struct reader *, const struct json *,
					   const struct expr **),
			 const struct expr **out)
{
	size_t base = r->stack.n, keys = r->keys.n;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct expr *e;
		TRY(one(r, &j->members[i].value, &e));
		VEC_PUSH(&r->stack, e);
		VEC_PUSH(&r->keys, j->members[i].key);
	}
	r->stack.n = base;
	r->keys.n = keys;
	return expr_record(&r->b, j->at, r->keys.v + keys, r->stack.v + base, j->n, out);
}

static struct err value(struct reader *r, const struct json *j, const struct expr **out);

static struct err extension(struct reader *r, const struct json *j, const struct expr **out)
{
	struct cedar_text name;
	enum fn f;
	const struct json *arg = cedar_json_get(j, "arg"), *args = cedar_json_get(j, "args");
	TRY(member_text(r, j, "fn", &name));
	if (!cedar_fn_find(name, &f))
		return wrong(r, j, "this is no extension function");
	if (args && args->kind == JSON_ARRAY)
		return list(r, args, EXPR_CALL, f, value, out);
	if (!arg)
		return wrong(r, j, "an extension value has an \"arg\"");
	const struct expr *e;
	TRY(value(r, arg, &e));
	return expr_list(&r->b, j->at, EXPR_CALL, f, &e, 1, out);
}

// A literal, as in entities.
static struct err value(struct reader *r, const struct json *j, const struct expr **out)
{
	const struct json *call = cedar_json_get(j, "__extn");
	switch (j->kind) {
	case JSON_BOOL:
		return expr_literal(&r->b, j->at, value_bool(j->b), out);
	case JSON_LONG:
		return expr_literal(&r->b, j->at, value_int(VALUE_LONG, j->i), out);
	case JSON_STRING:
		return expr_literal(&r->b, j->at, value_text(j->s), out);
	case JSON_ARRAY:
		return list(r, j, EXPR_SET, 0, value, out);
	case JSON_OBJECT:
		if (cedar_json_get(j, "__entity"))
			return entity(r, j, out);
		return call ? extension(r, call, out) : record(r, j, value, out);
	default:
		return wrong(r, j,
			     "null and numbers that are no integers of 64 bits are no values");
	}
}

static struct err variable(struct reader *r, const struct json *j, const struct expr **out)
{
	for (unsigned v = 0; j->kind == JSON_STRING && v < 4; v++)
		if (text_is(j->s, var_names[v]))
			return expr_leaf(&r->b, j->at, EXPR_VAR, v, out);
	return wrong(r, j, "variables are principal, action, resource and context");
}

static struct err operand(struct reader *r, const struct json *j, const char *key,
			  const struct expr **out)
{
	const struct json *m = cedar_json_get(j, key);
	if (!m)
		return cedar_syntax(r->b.source, j->at, "the operand \"%s\" is missing", key);
	return expression(r, m, out);
}

static struct err choice(struct reader *r, const struct json *j, const struct expr **out)
{
	const struct expr *test, *yes, *no;
	TRY(operand(r, j, "if", &test));
	TRY(operand(r, j, "then", &yes));
	TRY(operand(r, j, "else", &no));
	return expr_make(&r->b, j->at, EXPR_IF, test, yes, no, out);
}

static struct err attribute(struct reader *r, const struct json *j, bool has,
			    const struct expr **out)
{
	const struct expr *left;
	struct cedar_text name;
	TRY(operand(r, j, "left", &left));
	TRY(member_text(r, j, "attr", &name));
	return has ? expr_has(&r->b, j->at, left, &name, 1, out)
		   : expr_get(&r->b, j->at, left, name, out);
}

// ["Wildcard", {"Literal": "text"}, ...]
static struct err pattern(struct reader *r, const struct json *j, const struct pattern **out)
{
	struct pattern *p = arena_alloc(r->b.arena, sizeof *p + (j->n + 1) * sizeof *p->part);
	NEED(p);
	p->n = 1;
	p->part[0] = (struct cedar_text){"", 0};
	for (uint32_t i = 0; i < j->n; i++) {
		const struct json *item = &j->items[i], *literal = cedar_json_get(item, "Literal");
		struct cedar_text *last = &p->part[p->n - 1];
		if (item->kind == JSON_STRING && text_is(item->s, "Wildcard")) {
			p->part[p->n++] = (struct cedar_text){"", 0};
			continue;
		}
		if (!literal || literal->kind != JSON_STRING)
			return wrong(r, item,
				     "a pattern holds \"Wildcard\" and {\"Literal\": \"..\"}");
		char *joined = arena_alloc(r->b.arena, last->n + literal->s.n + 1);
		NEED(joined);
		if (last->n)
			memcpy(joined, last->s, last->n);
		if (literal->s.n)
			memcpy(joined + last->n, literal->s.s, literal->s.n);
		*last = (struct cedar_text){joined, last->n + literal->s.n};
	}
	*out = p;
	return OK;
}

static struct err like(struct reader *r, const struct json *j, const struct expr **out)
{
	const struct expr *left;
	const struct json *list_json;
	const struct pattern *p = NULL;
	TRY(operand(r, j, "left", &left));
	TRY(member(r, j, "pattern", JSON_ARRAY, &list_json));
	TRY(pattern(r, list_json, &p));
	return expr_like(&r->b, j->at, left, p, out);
}

static struct err is(struct reader *r, const struct json *j, const struct expr **out)
{
	const struct expr *left, *in;
	struct cedar_text type;
	TRY(operand(r, j, "left", &left));
	TRY(type_name(r, j, "entity_type", &type));
	TRY(expr_is(&r->b, j->at, left, type, out));
	if (!cedar_json_get(j, "in"))
		return OK;
	TRY(operand(r, j, "in", &in));
	TRY(expr_make(&r->b, j->at, EXPR_IN, left, in, NULL, &in));
	return expr_make(&r->b, j->at, EXPR_AND, *out, in, NULL, out);
}

static const struct {
	const char *name;
	enum expr_kind kind;
	bool binary, negated;
} operators[] = {{"!", EXPR_NOT, false, false},
		 {"neg", EXPR_NEGATE, false, false},
		 {"isEmpty", EXPR_IS_EMPTY, false, false},
		 {"==", EXPR_EQUAL, true, false},
		 {"!=", EXPR_EQUAL, true, true},
		 {"<", EXPR_LESS, true, false},
		 {"<=", EXPR_LESS_EQUAL, true, false},
		 {">", EXPR_LESS_EQUAL, true, true},
		 {">=", EXPR_LESS, true, true},
		 {"in", EXPR_IN, true, false},
		 {"&&", EXPR_AND, true, false},
		 {"||", EXPR_OR, true, false},
		 {"+", EXPR_ADD, true, false},
		 {"-", EXPR_SUBTRACT, true, false},
		 {"*", EXPR_MULTIPLY, true, false},
		 {"contains", EXPR_CONTAINS, true, false},
		 {"containsAll", EXPR_CONTAINS_ALL, true, false},
		 {"containsAny", EXPR_CONTAINS_ANY, true, false},
		 {"hasTag", EXPR_HAS_TAG, true, false},
		 {"getTag", EXPR_GET_TAG, true, false}};

static struct err operator(struct reader *r, const struct json *j, size_t i,
			   const struct expr **out)
{
	const struct expr *left, *right = NULL;
	TRY(operand(r, j, operators[i].binary ? "left" : "arg", &left));
	if (operators[i].binary)
		TRY(operand(r, j, "right", &right));
	TRY(expr_make(&r->b, j->at, operators[i].kind, left, right, NULL, out));
	return operators[i].negated ? expr_make(&r->b, j->at, EXPR_NOT, *out, NULL, NULL, out) : OK;
}

static struct err expression(struct reader *r, const struct json *j, const struct expr **out)
{
	enum fn f;
	if (j->kind != JSON_OBJECT || j->n != 1)
		return wrong(r, j,
			     "an expression is an object of one member, named after its operator");
	struct cedar_text key = j->members[0].key;
	const struct json *m = &j->members[0].value;
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
		if (text_is(key, operators[i].name))
			return operator(r, m, i, out);
	if (text_is(key, "Value"))
		return value(r, m, out);
	if (text_is(key, "Var"))
		return variable(r, m, out);
	if (text_is(key, ".") || text_is(key, "has"))
		return attribute(r, m, key.n == 3, out);
	if (text_is(key, "like"))
		return like(r, m, out);
	if (text_is(key, "is"))
		return is(r, m, out);
	if (text_is(key, "if-then-else"))
		return choice(r, m, out);
	if (text_is(key, "Set") && m->kind == JSON_ARRAY)
		return list(r, m, EXPR_SET, 0, expression, out);
	if (text_is(key, "Record") && m->kind == JSON_OBJECT)
		return record(r, m, expression, out);
	if (cedar_fn_find(key, &f) && m->kind == JSON_ARRAY)
		return list(r, m, EXPR_CALL, f, expression, out);
	return cedar_syntax(r->b.source, j->at, "\"%.*s\" is no operator, or its operand is wrong",
			    TEXT_ARG(key));
}

static struct err entity_or_slot(struct reader *r, const struct json *j, enum var v,
				 struct scope *out)
{
	const struct json *slot = cedar_json_get(j, "slot"), *uid = cedar_json_get(j, "entity");
	if (slot && !uid) {
		bool mine =
			slot->kind == JSON_STRING && slot->s.n && slot->s.s[0] == '?' &&
			text_is((struct cedar_text){slot->s.s + 1, slot->s.n - 1}, var_names[v]);
		out->slot = true;
		return mine ? OK : wrong(r, slot, "the slot of another variable");
	}
	return uid ? entity(r, uid, &out->uid)
		   : wrong(r, j, "an \"entity\" or a \"slot\" is expected");
}

static struct err scope(struct reader *r, const struct json *policy, enum var v, struct scope *out)
{
	const struct json *j, *in;
	struct cedar_text op;
	TRY(member(r, policy, var_names[v], JSON_OBJECT, &j));
	TRY(member_text(r, j, "op", &op));
	if (text_is(op, "All"))
		return OK;
	out->op = text_is(op, "==") ? SCOPE_EQUAL : text_is(op, "in") ? SCOPE_IN : SCOPE_IS;
	if (out->op != SCOPE_IS)
		return entity_or_slot(r, j, v, out);
	if (!text_is(op, "is"))
		return wrong(r, j, "an op is All, ==, in or is");
	TRY(type_name(r, j, "entity_type", &out->type));
	in = cedar_json_get(j, "in");
	if (!in)
		return OK;
	out->op = SCOPE_IS_IN;
	return entity_or_slot(r, in, v, out);
}

static struct err action_entity(struct reader *r, const struct json *j, const struct expr **out)
{
	TRY(entity(r, j, out));
	return text_is(cedar_basename((*out)->value.uid->type), "Action")
		       ? OK
		       : wrong(r, j, "the type of an action is Action");
}

static struct err action(struct reader *r, const struct json *policy, struct action_scope *out)
{
	const struct json *j, *one, *many;
	struct cedar_text op;
	TRY(member(r, policy, "action", JSON_OBJECT, &j));
	TRY(member_text(r, j, "op", &op));
	if (text_is(op, "All"))
		return OK;
	out->op = text_is(op, "in") ? SCOPE_IN : SCOPE_EQUAL;
	if (out->op == SCOPE_EQUAL && !text_is(op, "=="))
		return wrong(r, j, "the op of an action is All, == or in");
	one = cedar_json_get(j, "entity");
	many = out->op == SCOPE_IN ? cedar_json_get(j, "entities") : NULL;
	if (!one && (!many || many->kind != JSON_ARRAY))
		return wrong(r, j, "an \"entity\", or with in \"entities\", is expected");
	out->n = one ? 1 : many->n;
	const struct expr **uid = arena_alloc(r->b.arena, out->n * sizeof *uid);
	NEED(uid);
	for (uint32_t i = 0; i < out->n; i++)
		TRY(action_entity(r, one ? one : &many->items[i], &uid[i]));
	out->uid = uid;
	return OK;
}

static struct err conditions(struct reader *r, const struct json *policy, struct policy *out)
{
	const struct json *j;
	TRY(member(r, policy, "conditions", JSON_ARRAY, &j));
	for (uint32_t i = 0; i < j->n; i++) {
		struct cedar_text kind;
		const struct expr *e;
		TRY(member_text(r, &j->items[i], "kind", &kind));
		bool unless = text_is(kind, "unless");
		if (!unless && !text_is(kind, "when"))
			return wrong(r, &j->items[i], "the kind of a condition is when or unless");
		TRY(operand(r, &j->items[i], "body", &e));
		if (unless)
			TRY(expr_make(&r->b, e->at, EXPR_NOT, e, NULL, NULL, &e));
		if (out->body)
			TRY(expr_make(&r->b, e->at, EXPR_AND, out->body, e, NULL, &e));
		out->body = e;
	}
	return OK;
}

static struct err annotations(struct reader *r, const struct json *policy, struct policy *out)
{
	const struct json *j = cedar_json_get(policy, "annotations");
	if (!j)
		return OK;
	if (j->kind != JSON_OBJECT)
		return wrong(r, j, "annotations are an object");
	struct annotation *v = arena_alloc(r->b.arena, j->n * sizeof *v);
	NEED(v);
	for (uint32_t i = 0; i < j->n; i++) {
		const struct json *text = &j->members[i].value;
		if (text->kind != JSON_STRING && text->kind != JSON_NULL)
			return wrong(r, text, "the value of an annotation is a string");
		v[i].key = j->members[i].key;
		v[i].value = text->kind == JSON_STRING ? text->s : (struct cedar_text){"", 0};
	}
	out->annotations = v;
	out->n_annotations = j->n;
	return OK;
}

static struct err policy(struct reader *r, const struct json *j, struct cedar_text id,
			 bool template)
{
	struct policy *p = arena_alloc(r->b.arena, sizeof *p);
	struct cedar_text effect;
	NEED(p);
	p->id = id;
	p->at = j->at;
	TRY(member_text(r, j, "effect", &effect));
	p->permit = text_is(effect, "permit");
	if (!p->permit && !text_is(effect, "forbid"))
		return wrong(r, j, "the effect is permit or forbid");
	TRY(annotations(r, j, p));
	TRY(scope(r, j, VAR_PRINCIPAL, &p->principal));
	TRY(action(r, j, &p->action));
	TRY(scope(r, j, VAR_RESOURCE, &p->resource));
	TRY(conditions(r, j, p));
	if (policy_is_template(p) != template)
		return wrong(r, j,
			     template ? "a template has a slot" : "a static policy has no slot");
	return cedar_policies_add(r->b.set, p);
}

static struct err uid_of(const struct reader *r, const struct json *j, struct cedar_uid *out)
{
	const struct json *inner = cedar_json_get(j, "__entity");
	j = inner ? inner : j;
	TRY(type_name(r, j, "type", &out->type));
	return member_text(r, j, "id", &out->id);
}

static struct err link(struct reader *r, const struct json *j)
{
	struct cedar_text template_id, new_id;
	const struct json *values;
	struct cedar_uid uid[2];
	TRY(member_text(r, j, "templateId", &template_id));
	TRY(member_text(r, j, "newId", &new_id));
	TRY(member(r, j, "values", JSON_OBJECT, &values));
	const struct json *p = cedar_json_get(values, "?principal");
	const struct json *q = cedar_json_get(values, "?resource");
	if (p)
		TRY(uid_of(r, p, &uid[0]));
	if (q)
		TRY(uid_of(r, q, &uid[1]));
	return cedar_policies_link(r->b.set, template_id, new_id, p ? &uid[0] : NULL,
				   q ? &uid[1] : NULL);
}

static struct err set(struct reader *r, struct arena *tree)
{
	const struct json *root;
	TRY(cedar_json_parse(tree, r->b.source, &root));
	if (cedar_json_get(root, "effect"))
		return policy(r, root, cedar_text("policy0"), false);
	if (root->kind != JSON_OBJECT)
		return wrong(r, root, "a policy set is an object");
	for (uint32_t i = 0; i < root->n; i++) {
		const struct json_member *m = &root->members[i];
		bool static_ones = text_is(m->key, "staticPolicies");
		if (!static_ones && !text_is(m->key, "templates"))
			continue;
		for (uint32_t k = 0; m->value.kind == JSON_OBJECT && k < m->value.n; k++)
			TRY(policy(r, &m->value.members[k].value, m->value.members[k].key,
				   !static_ones));
		if (m->value.kind != JSON_OBJECT)
			return wrong(r, &m->value, "an object of policies by id is expected");
	}
	const struct json *links = cedar_json_get(root, "templateLinks");
	for (uint32_t i = 0; links && links->kind == JSON_ARRAY && i < links->n; i++)
		TRY(link(r, &links->items[i]));
	return OK;
}

struct err cedar_policies_parse_json(struct cedar_text source, struct cedar_policies **out)
{
	struct cedar_policies *p;
	TRY(cedar_policies_make(source, &p));
	struct reader r = {.b = {.set = p, .arena = p->arena, .source = p->source}};
	struct err e = set(&r, p->arena);
	free(r.stack.v);
	free(r.keys.v);
	if (e.code) {
		cedar_policies_free(p);
		p = NULL;
	}
	*out = p;
	return e;
}
