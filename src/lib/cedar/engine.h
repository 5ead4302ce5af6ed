// SPDX-License-Identifier: Apache-2.0
// The compiled and indexed form of a policy set over an entity store; see engine.c.
#pragma once

#include "lib/cedar/entities.h"
#include "lib/cedar/eval.h"

#define NO_NUMBER UINT32_MAX

enum axis { AXIS_PRINCIPAL, AXIS_RESOURCE, AXIS_ACTION, AXES };

struct rule_scope {
	uint8_t op;	 // enum scope_op
	uint32_t entity; // NO_NUMBER: none
	uint32_t type;
};

struct rule { // a policy, what a decision needs of it
	struct rule_scope scope[2]; // principal, resource
	struct rule_scope action;   // entity: when there is just one
	uint32_t actions, n_actions; // of action_list
	bool permit;
	const struct expr *body;
};

struct lists {
	uint32_t *start; // of each list in `rules`, and the end of the last
	uint32_t *rules;
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
};

struct subject { // principal, resource or action of a request
	struct uid loose;
	const struct uid *uid;
	const struct node *node; // NULL: the store does not have it
	uint32_t entity, type;	 // NO_NUMBER: no policy speaks of it
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
