// SPDX-License-Identifier: Apache-2.0
// The decision. A policy can only be satisfied when its scope is, and its scope is nearly always
// tied to an entity: so each policy stands once in three lists, under what its principal, its
// resource and its action must be (an entity, which also counts for all below it; a type; or
// anything). A request looks at the lists of its own principal and of that one's ancestors, or at
// those of its resource or of its action, whichever hold the fewest policies, or at what stands
// under both one of its principals and one of its resources, where that is fewer looks; the other
// parts of the scope are then numbers to compare, and only what is left is evaluated. 10,000
// policies tied to groups and folders come down to a handful.
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
	s->loose =
		(struct uid){.type = u->type, .id = u->id, .hash = cedar_uid_hash(u->type, u->id)};
	s->node = engine_node(e, &s->loose);
	s->entity = NO_NUMBER;
	s->type = NO_NUMBER;
	if (s->node) {
		s->uid = &s->node->uid;
		s->entity = s->uid->node - 1;
		s->type = e->store_types[s->uid->type_index];
		return;
	}
	s->uid = &s->loose;
	uint32_t slot = e->extra_slots[engine_extra(e, s->uid)];
	if (slot)
		s->entity = e->nodes + slot - 1;
	map_get(&e->types, u->type, &s->type);
}

static uint32_t list_size(const struct lists *l, uint32_t list)
{
	return l->start[list + 1] - l->start[list];
}

// The lists of a subject: anything, itself, its type, its ancestors. NO_NUMBER: there is none.
static uint32_t list_at(const struct cedar_engine *e, const struct subject *s, uint32_t k)
{
	switch (k) {
	case 0:
		return e->n_entities + e->n_types;
	case 1:
		return s->entity;
	case 2:
		return s->type == NO_NUMBER ? NO_NUMBER : e->n_entities + s->type;
	default:
		return s->node->ancestors[k - 3];
	}
}

static uint32_t list_count(const struct subject *s)
{
	return 3 + (s->node ? s->node->n_ancestors : 0);
}

// How many rules its lists hold. Remembers those that hold any.
static uint32_t candidates(const struct cedar_engine *e, struct subject *s, enum axis axis)
{
	uint32_t total = 0;
	s->n_lists = 0;
	for (uint32_t k = 0; k < list_count(s); k++) {
		uint32_t list = list_at(e, s, k);
		uint32_t n = list == NO_NUMBER ? 0 : list_size(&e->index[axis], list);
		total += n;
		if (n && s->n_lists < LISTS_MAX)
			s->lists[s->n_lists] = list;
		s->n_lists += n != 0;
	}
	return total;
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

static bool meets_action(const struct cedar_engine *e, const struct subject *s,
			 const struct rule *r)
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
			const struct expr *own = d->e->policies->policies.v[i]->body;
			if (own != r->body) // once more, for where in this policy it was
				cedar_eval_bool(&d->ev, own, &satisfied);
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

static struct err try_axis(struct decision *d, enum axis axis)
{
	const struct subject *s = &d->subject[axis];
	const struct lists *l = &d->e->index[axis];
	for (uint32_t k = 0; k < list_count(s); k++) {
		uint32_t list = list_at(d->e, s, k);
		if (list == NO_NUMBER)
			continue;
		for (uint32_t i = l->start[list]; i < l->start[list + 1]; i++)
			TRY(try_rule(d, l->rules[i]));
	}
	return OK;
}

static struct err try_pairs(struct decision *d)
{
	const struct cedar_engine *e = d->e;
	const struct subject *p = &d->subject[AXIS_PRINCIPAL], *r = &d->subject[AXIS_RESOURCE];
	for (uint32_t i = 0; i < p->n_lists; i++)
		for (uint32_t k = 0; k < r->n_lists; k++) {
			const struct pair_slot *slot =
				engine_pair(e, pair_key(p->lists[i], r->lists[k]));
			for (uint32_t n = 0; n < slot->n; n++)
				TRY(try_rule(d, e->pair_rules[slot->start + n]));
		}
	return OK;
}

// The cheapest way to all rules that may be met.
static struct err search(struct decision *d)
{
	const struct cedar_engine *e = d->e;
	enum axis best = AXIS_PRINCIPAL;
	uint32_t fewest = candidates(e, &d->subject[best], best);
	for (enum axis axis = AXIS_RESOURCE; axis < AXES && fewest; axis++) {
		uint32_t n = candidates(e, &d->subject[axis], axis);
		if (n < fewest) {
			fewest = n;
			best = axis;
		}
	}
	if (!fewest)
		return OK;
	uint32_t p = d->subject[AXIS_PRINCIPAL].n_lists, r = d->subject[AXIS_RESOURCE].n_lists;
	return p <= LISTS_MAX && r <= LISTS_MAX && p * r < fewest ? try_pairs(d)
								  : try_axis(d, best);
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
	TRY(search(&d));
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
