// SPDX-License-Identifier: Apache-2.0
// The decision. A policy can only be satisfied when its scope is, and its scope is nearly always
// tied to an entity: so each policy stands once in three lists, under what its principal, its
// resource and its action must be (an entity, which also counts for all below it; a type; or
// anything). A request looks at the lists of its own principal and of that one's ancestors, or at
// those of its resource or of its action, whichever hold the fewest policies; the other two parts
// of the scope are then numbers to compare, and only what is left is evaluated. 10,000 policies
// tied to groups and folders come down to a handful.
//
// An entity is a number: of its node in the store, or past those for what only policies name.
// Bitmaps over policies, the alternative, cost as much as there are policies, not as match.
//
// Analysis (who can, what can, shadowed, difference) will walk the same rules: `struct rule` holds
// all that a scope says.

#include "lib/cedar/engine.h"

#include <stdio.h>
#include <stdlib.h>

static const size_t scratch_max = (size_t)64 << 20; // values made for one policy

static const struct node *store_node(const struct cedar_engine *e, const struct uid *u)
{
	return e->entities ? cedar_node_find(e->entities, u) : NULL;
}

static uint32_t extra_slot(const struct cedar_engine *e, const struct uid *u)
{
	size_t mask = e->extra_slots_n - 1, at = u->hash & mask;
	while (e->extra_slots[at] && !uid_equal(e->extras.v[e->extra_slots[at] - 1], u))
		at = (at + 1) & mask;
	return (uint32_t)at;
}

// The literals of the policies as the store has them, and numbers for those that it does not have.
static struct err number_literals(struct cedar_engine *e)
{
	size_t n = e->policies->literals.n;
	e->extra_slots_n = 16;
	while (e->extra_slots_n < 2 * n + 2)
		e->extra_slots_n *= 2;
	e->extra_slots = calloc(e->extra_slots_n, sizeof *e->extra_slots);
	e->literals = calloc(n + 1, sizeof *e->literals);
	e->literal_entity = calloc(n + 1, sizeof *e->literal_entity);
	NEED(e->extra_slots);
	NEED(e->literals);
	NEED(e->literal_entity);
	e->nodes = e->entities ? (uint32_t)e->entities->nodes.n : 0;
	for (size_t i = 0; i < n; i++) {
		const struct uid *u = e->policies->literals.v[i]->value.uid;
		const struct node *node = store_node(e, u);
		e->literals[i] = node ? &node->uid : u;
		if (node) {
			e->literal_entity[i] = node->uid.node - 1;
			continue;
		}
		uint32_t slot = extra_slot(e, u); // literals are each once, so it is empty
		e->literal_entity[i] = e->nodes + (uint32_t)e->extras.n;
		VEC_PUSH(&e->extras, u);
		e->extra_slots[slot] = (uint32_t)e->extras.n;
	}
	e->n_entities = e->nodes + (uint32_t)e->extras.n;
	return OK;
}

static struct err type_number(struct cedar_engine *e, struct cedar_text type, uint32_t *out)
{
	if (map_get(&e->types, type, out))
		return OK;
	*out = e->n_types++;
	return map_put(&e->types, type, *out);
}

static struct err make_scope(struct cedar_engine *e, const struct scope *s, struct rule_scope *out)
{
	*out = (struct rule_scope){.op = (uint8_t)s->op, .entity = NO_NUMBER, .type = NO_NUMBER};
	if (s->uid)
		out->entity = e->literal_entity[s->uid->literal];
	return s->type.n ? type_number(e, s->type, &out->type) : OK;
}

static struct err make_action(struct cedar_engine *e, const struct action_scope *s,
			      struct rule *out)
{
	out->action.op = (uint8_t)s->op;
	out->action.entity = NO_NUMBER;
	if (s->n == 1)
		out->action.entity = e->literal_entity[s->uid[0]->literal];
	out->actions = (uint32_t)e->action_list.n;
	out->n_actions = s->n;
	for (uint32_t i = 0; i < s->n; i++)
		VEC_PUSH(&e->action_list, e->literal_entity[s->uid[i]->literal]);
	return OK;
}

static struct err make_rules(struct cedar_engine *e)
{
	size_t n = e->policies->policies.n;
	e->rules = calloc(n + 1, sizeof *e->rules);
	NEED(e->rules);
	for (size_t i = 0; i < n; i++) {
		const struct policy *p = e->policies->policies.v[i];
		struct rule *r = &e->rules[i];
		r->permit = p->permit;
		r->body = p->body;
		TRY(make_scope(e, &p->principal, &r->scope[0]));
		TRY(make_scope(e, &p->resource, &r->scope[1]));
		TRY(make_action(e, &p->action, r));
	}
	e->n_rules = (uint32_t)n;
	// the types of the store, in the numbers of this engine
	e->store_types = calloc(e->entities ? e->entities->types.n + 1 : 1, sizeof *e->store_types);
	NEED(e->store_types);
	for (size_t i = 0; e->entities && i < e->entities->types.n; i++) {
		e->store_types[i] = NO_NUMBER;
		map_get(&e->types, e->entities->types.v[i], &e->store_types[i]);
	}
	return OK;
}

// The list that a scope belongs to: entities, then types, then the one of anything.
static uint32_t list_of(const struct cedar_engine *e, const struct rule_scope *s)
{
	switch (s->op) {
	case SCOPE_EQUAL:
	case SCOPE_IN:
	case SCOPE_IS_IN:
		return s->entity;
	case SCOPE_IS:
		return e->n_entities + s->type;
	default:
		return e->n_entities + e->n_types;
	}
}

static uint32_t rule_list(const struct cedar_engine *e, const struct rule *r, enum axis axis)
{
	if (axis != AXIS_ACTION)
		return list_of(e, &r->scope[axis]);
	return r->action.entity == NO_NUMBER ? e->n_entities + e->n_types : r->action.entity;
}

// Counts, sums, and puts each rule in its place: lists one after the other in one array.
static struct err make_index(struct cedar_engine *e, enum axis axis)
{
	uint32_t lists = e->n_entities + e->n_types + 1;
	struct lists *l = &e->index[axis];
	l->start = calloc((size_t)lists + 2, sizeof *l->start);
	l->rules = calloc(e->n_rules + 1u, sizeof *l->rules);
	NEED(l->start);
	NEED(l->rules);
	for (uint32_t i = 0; i < e->n_rules; i++)
		l->start[rule_list(e, &e->rules[i], axis) + 2]++;
	for (uint32_t i = 2; i < lists + 2; i++)
		l->start[i] += l->start[i - 1];
	for (uint32_t i = 0; i < e->n_rules; i++)
		l->rules[l->start[rule_list(e, &e->rules[i], axis) + 1]++] = i;
	return OK;
}

struct err cedar_engine_new(const struct cedar_policies *policies,
			    const struct cedar_entities *entities, struct cedar_engine **out)
{
	struct cedar_engine *e = calloc(1, sizeof *e);
	struct err err = OK;
	NEED(e);
	e->policies = policies;
	e->entities = entities;
	TRY_OUT(err, number_literals(e));
	TRY_OUT(err, make_rules(e));
	for (enum axis axis = 0; axis < AXES; axis++)
		TRY_OUT(err, make_index(e, axis));
out:
	if (err.code) {
		cedar_engine_free(e);
		e = NULL;
	}
	*out = e;
	return err;
}

void cedar_engine_free(struct cedar_engine *e)
{
	if (!e)
		return;
	for (int axis = 0; axis < AXES; axis++) {
		free(e->index[axis].start);
		free(e->index[axis].rules);
	}
	free(e->extra_slots);
	free(e->extras.v);
	free(e->literals);
	free(e->literal_entity);
	free(e->action_list.v);
	free(e->rules);
	free(e->store_types);
	map_clear(&e->types);
	free(e);
}

struct err cedar_answer_new(struct cedar_answer **out)
{
	struct cedar_answer *a = calloc(1, sizeof *a);
	NEED(a);
	a->scratch = arena_new(scratch_max);
	if (!a->scratch) {
		free(a);
		return cedar_no_memory();
	}
	*out = a;
	return OK;
}

void cedar_answer_free(struct cedar_answer *a)
{
	if (!a)
		return;
	free(a->permits.v);
	free(a->forbids.v);
	free(a->errors.v);
	arena_free(a->scratch);
	free(a);
}

// Who a request names, as numbers.
static void identify(const struct cedar_engine *e, const struct cedar_uid *u, struct subject *s)
{
	s->loose = (struct uid){.type = u->type, .id = u->id, .hash = cedar_uid_hash(u->type, u->id)};
	s->node = store_node(e, &s->loose);
	s->entity = NO_NUMBER;
	s->type = NO_NUMBER;
	if (s->node) {
		s->uid = &s->node->uid;
		s->entity = s->uid->node - 1;
		s->type = e->store_types[s->uid->type_index];
		return;
	}
	s->uid = &s->loose;
	uint32_t slot = e->extra_slots[extra_slot(e, s->uid)];
	if (slot)
		s->entity = e->nodes + slot - 1;
	map_get(&e->types, u->type, &s->type);
}

static uint32_t list_size(const struct lists *l, uint32_t list)
{
	return l->start[list + 1] - l->start[list];
}

// How many rules the lists of this subject hold.
static uint32_t candidates(const struct cedar_engine *e, const struct subject *s, enum axis axis)
{
	const struct lists *l = &e->index[axis];
	uint32_t n = list_size(l, e->n_entities + e->n_types);
	if (s->entity != NO_NUMBER)
		n += list_size(l, s->entity);
	if (s->type != NO_NUMBER)
		n += list_size(l, e->n_entities + s->type);
	for (uint32_t i = 0; s->node && i < s->node->n_ancestors; i++)
		n += list_size(l, s->node->ancestors[i]);
	return n;
}

static bool is_or_below(const struct subject *s, uint32_t entity)
{
	return s->entity == entity ||
	       (s->node && entity != NO_NUMBER && cedar_node_in(s->node, entity));
}

static bool meets(const struct subject *s, const struct rule_scope *r)
{
	switch (r->op) {
	case SCOPE_ANY:
		return true;
	case SCOPE_EQUAL:
		return s->entity == r->entity;
	case SCOPE_IN:
		return is_or_below(s, r->entity);
	case SCOPE_IS:
		return s->type == r->type;
	default:
		return s->type == r->type && is_or_below(s, r->entity);
	}
}

static bool meets_action(const struct cedar_engine *e, const struct subject *s, const struct rule *r)
{
	if (r->action.op == SCOPE_ANY)
		return true;
	if (r->action.op == SCOPE_EQUAL)
		return s->entity == r->action.entity;
	for (uint32_t i = 0; i < r->n_actions; i++)
		if (is_or_below(s, e->action_list.v[r->actions + i]))
			return true;
	return false;
}

static struct err try_rule(struct decision *d, uint32_t i)
{
	const struct rule *r = &d->e->rules[i];
	struct cedar_answer *a = d->a;
	if (!meets(&d->subject[AXIS_PRINCIPAL], &r->scope[0]) ||
	    !meets(&d->subject[AXIS_RESOURCE], &r->scope[1]) ||
	    !meets_action(d->e, &d->subject[AXIS_ACTION], r))
		return OK;
	bool satisfied = true;
	if (r->body) {
		arena_reset(a->scratch);
		if (!cedar_eval_bool(&d->ev, r->body, &satisfied)) {
			struct answer_error error = {i, d->ev.at, d->ev.what};
			VEC_PUSH(&a->errors, error);
			a->forbid_erred = a->forbid_erred || !r->permit;
			return OK;
		}
	}
	if (satisfied && r->permit)
		VEC_PUSH(&a->permits, i);
	else if (satisfied)
		VEC_PUSH(&a->forbids, i);
	return OK;
}

static struct err try_list(struct decision *d, const struct lists *l, uint32_t list)
{
	for (uint32_t i = l->start[list]; i < l->start[list + 1]; i++)
		TRY(try_rule(d, l->rules[i]));
	return OK;
}

static struct err try_axis(struct decision *d, enum axis axis)
{
	const struct cedar_engine *e = d->e;
	const struct subject *s = &d->subject[axis];
	const struct lists *l = &e->index[axis];
	TRY(try_list(d, l, e->n_entities + e->n_types));
	if (s->entity != NO_NUMBER)
		TRY(try_list(d, l, s->entity));
	if (s->type != NO_NUMBER)
		TRY(try_list(d, l, e->n_entities + s->type));
	for (uint32_t i = 0; s->node && i < s->node->n_ancestors; i++)
		TRY(try_list(d, l, s->node->ancestors[i]));
	return OK;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static int by_rule(const void *a, const void *b)
{
	return by_number(&((const struct answer_error *)a)->rule,
			 &((const struct answer_error *)b)->rule);
}

static void settle(struct cedar_answer *a)
{
	a->allows = !a->forbids.n && a->permits.n;
	a->reasons = a->forbids.n ? a->forbids.v : a->permits.v;
	a->n_reasons = a->forbids.n ? a->forbids.n : a->permits.n;
	if (a->n_reasons > 1)
		qsort(a->reasons, a->n_reasons, sizeof *a->reasons, by_number);
	if (a->errors.n > 1)
		qsort(a->errors.v, a->errors.n, sizeof *a->errors.v, by_rule);
}

struct err cedar_decide(const struct cedar_engine *e, const struct cedar_request *r,
			struct cedar_answer *a)
{
	static const struct record none = {0};
	struct decision d = {.e = e, .a = a};
	a->engine = e;
	a->allows = false;
	a->forbid_erred = false;
	a->n_reasons = a->permits.n = a->forbids.n = a->errors.n = 0;
	identify(e, &r->principal, &d.subject[AXIS_PRINCIPAL]);
	identify(e, &r->resource, &d.subject[AXIS_RESOURCE]);
	identify(e, &r->action, &d.subject[AXIS_ACTION]);
	d.ev = (struct eval){.store = e->entities,
			     .literals = e->literals,
			     .principal = d.subject[AXIS_PRINCIPAL].uid,
			     .action = d.subject[AXIS_ACTION].uid,
			     .resource = d.subject[AXIS_RESOURCE].uid,
			     .context = r->context ? r->context->record : &none,
			     .scratch = a->scratch};
	enum axis best = AXIS_PRINCIPAL;
	uint32_t fewest = candidates(e, &d.subject[best], best);
	for (enum axis axis = AXIS_RESOURCE; axis < AXES && fewest; axis++) {
		uint32_t n = candidates(e, &d.subject[axis], axis);
		if (n < fewest) {
			fewest = n;
			best = axis;
		}
	}
	if (fewest)
		TRY(try_axis(&d, best));
	settle(a);
	return OK;
}

bool cedar_answer_allows(const struct cedar_answer *a)
{
	return a->allows;
}

bool cedar_answer_allows_surely(const struct cedar_answer *a)
{
	return a->allows && !a->forbid_erred;
}

size_t cedar_answer_reasons(const struct cedar_answer *a)
{
	return a->n_reasons;
}

size_t cedar_answer_reason(const struct cedar_answer *a, size_t i)
{
	return i < a->n_reasons ? a->reasons[i] : SIZE_MAX;
}

size_t cedar_answer_errors(const struct cedar_answer *a)
{
	return a->errors.n;
}

size_t cedar_answer_error(const struct cedar_answer *a, size_t i)
{
	return i < a->errors.n ? a->errors.v[i].rule : SIZE_MAX;
}

const char *cedar_answer_error_text(const struct cedar_answer *a, size_t i)
{
	if (i >= a->errors.n)
		return "";
	const struct answer_error *error = &a->errors.v[i];
	const struct policy *p = a->engine->policies->policies.v[error->rule];
	unsigned line = 0, column = 0;
	char *text = ((struct cedar_answer *)a)->text;
	struct cedar_text name = {"", 0};
	if (error->at->kind == EXPR_GET || error->at->kind == EXPR_IS)
		name = error->at->name;
	if (p->source.n)
		cedar_position(a->engine->policies->source, error->at->at, &line, &column);
	snprintf(text, sizeof a->text, "%u:%u: %s %s%.*s", line, column, error->what,
		 expr_kind_names[error->at->kind], TEXT_ARG(name));
	return text;
}
