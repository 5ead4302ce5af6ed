// SPDX-License-Identifier: Apache-2.0
// Making of an engine: numbers for entities and types, the rules, and the lists that engine.c
// searches.

#include "lib/cedar/engine.h"

#include <stdlib.h>

const struct node *engine_node(const struct cedar_engine *e, const struct uid *u)
{
	return e->entities ? cedar_node_find(e->entities, u) : NULL;
}

uint32_t engine_extra(const struct cedar_engine *e, const struct uid *u)
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
		const struct node *node = engine_node(e, u);
		e->literals[i] = node ? &node->uid : u;
		if (node) {
			e->literal_entity[i] = node->uid.node - 1;
			continue;
		}
		uint32_t slot = engine_extra(e, u); // literals are each once, so it is empty
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

// Policies that end in the same condition share one, so that it stays in the processor's cache.
static const struct expr *share(const struct cedar_engine *e, uint32_t *slots, size_t mask,
				uint32_t i)
{
	const struct expr *body = e->rules[i].body;
	size_t at = body->hash & mask;
	for (; slots[at]; at = (at + 1) & mask)
		if (expr_same(e->rules[slots[at] - 1].body, body))
			return e->rules[slots[at] - 1].body;
	slots[at] = i + 1;
	return body;
}

static struct err share_bodies(struct cedar_engine *e)
{
	size_t n = 16;
	while (n < 2u * e->n_rules)
		n *= 2;
	uint32_t *slots = calloc(n, sizeof *slots);
	NEED(slots);
	for (uint32_t i = 0; i < e->n_rules; i++)
		if (e->rules[i].body)
			e->rules[i].body = share(e, slots, n - 1, i);
	free(slots);
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
	TRY(share_bodies(e));
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

struct placed {
	uint64_t pair;
	uint32_t rule;
};

static int by_pair(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	return x->pair != y->pair  ? (x->pair < y->pair ? -1 : 1)
	       : x->rule < y->rule ? -1
				   : x->rule > y->rule;
}

// The rules once more, under principal and resource together.
static struct err make_pairs(struct cedar_engine *e)
{
	e->pair_slots_n = 16;
	while (e->pair_slots_n < 2u * e->n_rules + 2)
		e->pair_slots_n *= 2;
	struct placed *order = calloc(e->n_rules + 1u, sizeof *order);
	e->pair_slots = calloc(e->pair_slots_n, sizeof *e->pair_slots);
	e->pair_rules = calloc(e->n_rules + 1u, sizeof *e->pair_rules);
	if (!order || !e->pair_slots || !e->pair_rules) {
		free(order);
		return cedar_no_memory();
	}
	for (uint32_t i = 0; i < e->n_rules; i++)
		order[i] = (struct placed){pair_key(rule_list(e, &e->rules[i], AXIS_PRINCIPAL),
						    rule_list(e, &e->rules[i], AXIS_RESOURCE)),
					   i};
	qsort(order, e->n_rules, sizeof *order, by_pair);
	for (uint32_t i = 0; i < e->n_rules; i++) {
		struct pair_slot *slot = engine_pair(e, order[i].pair);
		if (!slot->n)
			*slot = (struct pair_slot){order[i].pair, i, 0};
		slot->n++;
		e->pair_rules[i] = order[i].rule;
	}
	free(order);
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
	TRY_OUT(err, make_pairs(e));
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
	free(e->pair_slots);
	free(e->pair_rules);
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
