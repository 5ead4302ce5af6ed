// SPDX-License-Identifier: Apache-2.0
// The compiled and indexed form of a policy set over an entity store; see engine.c.
#pragma once

#include "lib/cedar/entities.h"
#include "lib/cedar/eval.h"

#define NO_NUMBER UINT32_MAX
enum { LISTS_MAX = 64 };

enum axis { AXIS_PRINCIPAL, AXIS_RESOURCE, AXIS_ACTION, AXES };

struct rule_scope {
	uint8_t op;	 // enum scope_op
	uint32_t entity; // NO_NUMBER: none
	uint32_t type;
};

struct rule {			     // a policy, what a decision needs of it
	struct rule_scope scope[2];  // principal, resource
	struct rule_scope action;    // entity: when there is just one
	uint32_t actions, n_actions; // of action_list
	bool permit;
	const struct expr *body; // or that of another policy, if it is the same
};

struct lists {
	uint32_t *start; // of each list in `rules`, and the end of the last
	uint32_t *rules;
};

struct pair_slot {
	uint64_t pair;	   // pair_key
	uint32_t start, n; // of pair_rules; n 0: empty
};

struct cedar_engine {
	const struct cedar_policies *policies;
	const struct cedar_entities *entities;
	uint32_t nodes;	     // of the store
	uint32_t n_entities; // and those that only policies name
	VEC(const struct uid *) extras;
	uint32_t *extra_slots; // hash table over extras
	size_t extra_slots_n;
	const struct uid **literals; // by number of literal
	uint32_t *literal_entity;
	VEC(uint32_t) action_list;
	struct rule *rules; // as the policies are ordered
	uint32_t n_rules;
	struct map types;
	uint32_t n_types, *store_types;
	struct lists index[AXES];
	struct pair_slot *pair_slots; // hash table
	size_t pair_slots_n;
	uint32_t *pair_rules;
};

struct subject { // principal, resource or action of a request
	struct uid loose;
	const struct uid *uid;
	const struct node *node;	    // NULL: the store does not have it
	uint32_t entity, type;		    // NO_NUMBER: no policy speaks of it
	uint32_t lists[LISTS_MAX], n_lists; // with any rule; n_lists may be more
};

struct answer_error {
	uint32_t rule;
	const struct expr *at;
	const char *what;
};

struct cedar_answer {
	const struct cedar_engine *engine;
	struct arena *scratch;
	bool allows, forbid_erred;
	VEC(uint32_t) permits, forbids;
	VEC(struct answer_error) errors;
	uint32_t *reasons;
	size_t n_reasons;
	char text[600];
};

struct decision {
	const struct cedar_engine *e;
	struct cedar_answer *a;
	struct subject subject[AXES];
	struct eval ev;
};

const struct node *engine_node(const struct cedar_engine *e, const struct uid *u);
uint32_t engine_extra(const struct cedar_engine *e, const struct uid *u); // slot of extra_slots

static inline uint64_t pair_key(uint32_t principal_list, uint32_t resource_list)
{
	return (uint64_t)principal_list << 32 | resource_list;
}

// The slot of a pair, or the empty one where it would be.
static inline struct pair_slot *engine_pair(const struct cedar_engine *e, uint64_t pair)
{
	size_t mask = e->pair_slots_n - 1, at = hash_mix(pair, 1) & mask;
	while (e->pair_slots[at].n && e->pair_slots[at].pair != pair)
		at = (at + 1) & mask;
	return &e->pair_slots[at];
}
