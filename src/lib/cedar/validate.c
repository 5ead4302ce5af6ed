// SPDX-License-Identifier: Apache-2.0
// Strict validation of a policy set: every name is declared, the scope fits some action, and the
// condition has a type in every environment. A policy that is false in all of them is a warning.

#include "lib/cedar/typecheck.h"

#include <stdio.h>
#include <stdlib.h>

enum { FINDINGS_MAX = 10000 };
static const size_t steps_max = 500u * 1000 * 1000, steps_of_policy = 20u * 1000 * 1000;

struct cedar_findings {
	struct arena *arena;
	VEC(struct cedar_finding) list;
	bool passed;
};

struct validator {
	const struct cedar_schema *schema;
	const struct cedar_policies *set;
	struct cedar_findings *out;
	struct checker c;
	struct arena *built; // conditions: reset for each policy
	size_t steps;	     // left for the whole
	const struct policy *p;
};

size_t cedar_findings_count(const struct cedar_findings *f)
{
	return f->list.n;
}

struct cedar_finding cedar_findings_get(const struct cedar_findings *f, size_t i)
{
	return i < f->list.n ? f->list.v[i] : (struct cedar_finding){0};
}

bool cedar_findings_passed(const struct cedar_findings *f)
{
	return f->passed;
}

void cedar_findings_free(struct cedar_findings *f)
{
	if (!f)
		return;
	free(f->list.v);
	arena_free(f->arena);
	free(f);
}

// Adds, unless the last ones of this policy say the same.
static struct err finding(struct validator *v, bool error, size_t at, const char *text)
{
	struct cedar_findings *out = v->out;
	struct cedar_finding f = {.policy = v->p->id, .error = error};
	out->passed = out->passed && !error;
	if (v->p->source.n && at)
		cedar_position(v->set->source, at, &f.line, &f.column);
	for (size_t i = out->list.n; i > 0 && out->list.n - i < 32; i--) {
		const struct cedar_finding *old = &out->list.v[i - 1];
		if (text_equal(old->policy, f.policy) && old->line == f.line &&
		    old->column == f.column && strcmp(old->text, text) == 0)
			return OK;
	}
	if (out->list.n >= FINDINGS_MAX)
		return OK; // it has failed anyway
	f.text = arena_strdup(out->arena, text);
	NEED(f.text);
	VEC_PUSH(&out->list, f);
	return OK;
}

static struct err check_uid(struct validator *v, const struct expr *e)
{
	const struct uid *u = e->value.uid;
	struct conformity c = {.schema = v->schema};
	char text[400];
	if (!schema_type(v->schema, u->type) && !text_is(cedar_basename(u->type), "Action"))
		snprintf(text, sizeof text, "the schema declares no entity type %.*s",
			 TEXT_ARG(u->type));
	else if (!schema_type(v->schema, u->type))
		snprintf(text, sizeof text, "the schema declares no action %.*s::\"%.*s\"",
			 TEXT_ARG(u->type), TEXT_ARG(u->id));
	else if (!type_allows_uid(&c, u))
		snprintf(text, sizeof text, "%s", c.why);
	else
		return OK;
	return finding(v, true, e->at, text);
}

static struct err check_type(struct validator *v, struct cedar_text type, size_t at)
{
	char text[300];
	if (schema_type(v->schema, type) || text_is(cedar_basename(type), "Action"))
		return OK;
	snprintf(text, sizeof text, "the schema declares no entity type %.*s", TEXT_ARG(type));
	return finding(v, true, at, text);
}

// All names that are written, also where the type check need not look.
static struct err check_names(struct validator *v, const struct expr *e)
{
	if (!e)
		return OK;
	switch (e->kind) {
	case EXPR_LITERAL:
		return e->value.kind == VALUE_ENTITY ? check_uid(v, e) : OK;
	case EXPR_VAR:
	case EXPR_SLOT:
		return OK;
	case EXPR_IS:
		TRY(check_type(v, e->name, e->at));
		return check_names(v, e->of);
	case EXPR_GET:
		return check_names(v, e->of);
	case EXPR_HAS:
		return check_names(v, e->steps[0]);
	case EXPR_LIKE:
		return check_names(v, e->target);
	case EXPR_SET:
	case EXPR_RECORD:
	case EXPR_CALL:
		for (uint32_t i = 0; i < e->n; i++)
			TRY(check_names(v, e->args[i]));
		return OK;
	default:
		TRY(check_names(v, e->a));
		TRY(check_names(v, e->b));
		return check_names(v, e->c);
	}
}

static struct err check_scope_names(struct validator *v, const struct scope *s)
{
	if (s->type.n)
		TRY(check_type(v, s->type, v->p->at));
	return s->uid && v->p->template_id.n == 0 ? check_uid(v, s->uid) : OK;
}

// May a principal (resource) of this type meet the scope?
static bool scope_allows(const struct validator *v, const struct scope *s,
			 const struct entity_type *t)
{
	const struct entity_type *of =
		s->uid ? schema_type(v->schema, s->uid->value.uid->type) : NULL;
	bool in = !s->uid || (of && (t == of || t->above[of->number]));
	switch (s->op) {
	case SCOPE_ANY:
		return true;
	case SCOPE_EQUAL:
		return !s->uid || t == of;
	case SCOPE_IN:
		return in;
	case SCOPE_IS:
		return text_equal(t->name, s->type);
	default:
		return text_equal(t->name, s->type) && in;
	}
}

static bool any_allowed(const struct validator *v, const struct scope *s,
			const struct entity_type *const *types, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (scope_allows(v, s, types[i]))
			return true;
	return false;
}

static const struct action *action_of(const struct validator *v, const struct expr *e)
{
	return schema_action(v->schema, e->value.uid->type, e->value.uid->id);
}

static bool action_allows(const struct validator *v, const struct action *a)
{
	const struct action_scope *s = &v->p->action;
	if (s->op == SCOPE_ANY)
		return true;
	for (uint32_t i = 0; i < s->n; i++)
		if (!action_of(v, s->uid[i]))
			return false; // an unknown one: nothing can be said of the others
	for (uint32_t i = 0; i < s->n; i++) {
		const struct action *b = action_of(v, s->uid[i]);
		if (a == b || (s->op == SCOPE_IN && a->above[b->number]))
			return true;
	}
	return false;
}

static struct err check_application(struct validator *v)
{
	for (uint32_t i = 0; i < v->schema->n_actions; i++) {
		const struct action *a = v->schema->actions[i];
		if (action_allows(v, a) &&
		    any_allowed(v, &v->p->principal, a->principals, a->n_principals) &&
		    any_allowed(v, &v->p->resource, a->resources, a->n_resources))
			return OK;
	}
	return finding(v, true, v->p->at,
		       "no action applies to such principals and resources: the scope can never "
		       "match");
}

static struct err scope_expr(struct builder *b, size_t at, enum var var, const struct scope *s,
			     const struct expr **out)
{
	const struct expr *v, *uid = s->uid, *is;
	if (s->op == SCOPE_ANY)
		return expr_literal(b, at, value_bool(true), out);
	TRY(expr_leaf(b, at, EXPR_VAR, var, &v));
	if (!uid && s->slot)
		TRY(expr_leaf(b, at, EXPR_SLOT, var == VAR_RESOURCE, &uid));
	if (s->op == SCOPE_EQUAL)
		return expr_make(b, at, EXPR_EQUAL, v, uid, NULL, out);
	if (s->op == SCOPE_IN)
		return expr_make(b, at, EXPR_IN, v, uid, NULL, out);
	TRY(expr_is(b, at, v, s->type, &is));
	*out = is;
	if (s->op == SCOPE_IS)
		return OK;
	TRY(expr_make(b, at, EXPR_IN, v, uid, NULL, &v));
	return expr_make(b, at, EXPR_AND, is, v, NULL, out);
}

static struct err action_expr(struct builder *b, size_t at, const struct action_scope *s,
			      const struct expr **out)
{
	const struct expr *v, *set;
	if (s->op == SCOPE_ANY)
		return expr_literal(b, at, value_bool(true), out);
	TRY(expr_leaf(b, at, EXPR_VAR, VAR_ACTION, &v));
	if (s->op == SCOPE_EQUAL)
		return expr_make(b, at, EXPR_EQUAL, v, s->uid[0], NULL, out);
	TRY(expr_list(b, at, EXPR_SET, 0, s->uid, s->n, &set));
	return expr_make(b, at, EXPR_IN, v, set, NULL, out);
}

// principal && action && resource && body, as it is evaluated.
static struct err condition(struct validator *v, const struct expr **out)
{
	const struct policy *p = v->p;
	struct builder b = {.arena = v->built, .source = v->set->source};
	const struct expr *e;
	TRY(scope_expr(&b, p->at, VAR_PRINCIPAL, &p->principal, out));
	TRY(action_expr(&b, p->at, &p->action, &e));
	TRY(expr_make(&b, p->at, EXPR_AND, *out, e, NULL, out));
	TRY(scope_expr(&b, p->at, VAR_RESOURCE, &p->resource, &e));
	TRY(expr_make(&b, p->at, EXPR_AND, *out, e, NULL, out));
	return p->body ? expr_make(&b, p->at, EXPR_AND, *out, p->body, NULL, out) : OK;
}

static struct err check_environment(struct validator *v, const struct expr *e, bool *possible)
{
	char text[700];
	bool never;
	arena_reset(v->c.arena);
	switch (checker_run(&v->c, e, &never)) {
	case CHECK_TOO_MUCH:
		return err_make(ERR_LIMIT, "policy %.*s: the set is too costly to validate",
				TEXT_ARG(v->p->id));
	case CHECK_WRONG:
		*possible = true;
		snprintf(text, sizeof text, "%s (principal %.*s, action \"%.*s\", resource %.*s)",
			 v->c.why, TEXT_ARG(v->c.env.principal->name),
			 TEXT_ARG(v->c.env.action->uid.id), TEXT_ARG(v->c.env.resource->name));
		return finding(v, true, v->c.at->at, text);
	default:
		*possible = *possible || !never;
		return OK;
	}
}

// The types that a slot may have: what could meet the scope.
static bool slot_may_be(const struct scope *s, const struct entity_type *var,
			const struct entity_type *t)
{
	return s->op == SCOPE_EQUAL ? t == var : t == var || var->above[t->number];
}

static struct err check_slots(struct validator *v, const struct expr *e, unsigned slot,
			      bool *possible)
{
	if (slot == 2)
		return check_environment(v, e, possible);
	const struct scope *s = slot ? &v->p->resource : &v->p->principal;
	const struct entity_type *var = slot ? v->c.env.resource : v->c.env.principal;
	v->c.env.slots[slot] = NULL;
	if (!s->slot || s->uid)
		return check_slots(v, e, slot + 1, possible);
	for (uint32_t i = 0; i < v->schema->n_types; i++) {
		v->c.env.slots[slot] = v->schema->types[i];
		if (!v->schema->types[i]->action && slot_may_be(s, var, v->schema->types[i]))
			TRY(check_slots(v, e, slot + 1, possible));
	}
	return OK;
}

static struct err check_types(struct validator *v)
{
	const struct expr *e;
	bool possible = false;
	arena_reset(v->built);
	TRY(condition(v, &e));
	for (uint32_t i = 0; i < v->schema->n_actions; i++) {
		const struct action *a = v->schema->actions[i];
		v->c.env.action = a;
		for (uint32_t p = 0; p < a->n_principals; p++) {
			v->c.env.principal = a->principals[p];
			for (uint32_t r = 0; r < a->n_resources; r++) {
				v->c.env.resource = a->resources[r];
				TRY(check_slots(v, e, 0, &possible));
			}
		}
	}
	return possible ? OK : finding(v, false, v->p->at, "the policy is false for every request");
}

static struct err check_policy(struct validator *v, const struct policy *p)
{
	v->p = p;
	v->c.steps = v->steps < steps_of_policy ? v->steps : steps_of_policy;
	v->steps -= v->c.steps;
	TRY(check_scope_names(v, &p->principal));
	TRY(check_scope_names(v, &p->resource));
	if (p->template_id.n) { // the template was checked: what fills it remains
		v->steps += v->c.steps;
		if (p->principal.slot)
			TRY(check_type(v, p->principal.uid->value.uid->type, 0));
		if (p->resource.slot)
			TRY(check_type(v, p->resource.uid->value.uid->type, 0));
		return check_application(v);
	}
	for (uint32_t i = 0; i < p->action.n; i++)
		TRY(check_uid(v, p->action.uid[i]));
	TRY(check_names(v, p->body));
	TRY(check_application(v));
	struct err e = check_types(v);
	v->steps += v->c.steps; // what it did not need
	return e;
}

static struct err run(struct validator *v)
{
	NEED(v->out->arena);
	NEED(v->c.arena);
	NEED(v->built);
	for (size_t i = 0; i < v->set->templates.n; i++)
		TRY(check_policy(v, v->set->templates.v[i]));
	for (size_t i = 0; i < v->set->policies.n; i++)
		TRY(check_policy(v, v->set->policies.v[i]));
	return OK;
}

struct err cedar_validate(const struct cedar_schema *schema, const struct cedar_policies *policies,
			  struct cedar_findings **out)
{
	*out = calloc(1, sizeof **out);
	NEED(*out);
	(*out)->arena = arena_new((size_t)64 << 20);
	(*out)->passed = true;
	struct validator v = {.schema = schema,
			      .set = policies,
			      .out = *out,
			      .c = {.schema = schema, .arena = arena_new((size_t)256 << 20)},
			      .steps = steps_max,
			      .built = arena_new((size_t)16 << 20)};
	struct err e = run(&v);
	arena_free(v.c.arena);
	arena_free(v.built);
	if (e.code) {
		cedar_findings_free(*out);
		*out = NULL;
	}
	return e;
}
