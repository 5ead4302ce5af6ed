// SPDX-License-Identifier: Apache-2.0
// The entity store as the other files of this room see it. Every entity that is named or referred
// to is a node with a number; a node that was only referred to has no attributes. Ancestors are
// closed and sorted. Children of one parent share the parent's array of itself and its ancestors,
// which is most of what makes 100,000 entities small.
#pragma once

#include "lib/cedar/map.h"
#include "lib/cedar/value.h"

struct node {
	struct uid uid; // first: a uid of this store is its node
	const struct record *attributes, *tags;
	const uint32_t *ancestors; // numbers of nodes, ascending
	uint32_t n_ancestors;
	bool declared;
};

struct cedar_entities {
	struct arena *arena;
	VEC(struct node *) nodes;
	VEC(struct cedar_text) types; // each once
	struct map type_numbers;
	uint32_t *slots; // hash table over nodes: number + 1
	size_t slots_n;
	size_t declared, bytes;
};

// NULL when the store has no such entity.
const struct node *cedar_node_find(const struct cedar_entities *s, const struct uid *u);
// Adds when new. Texts are copied.
MUST_USE struct err cedar_node_intern(struct cedar_entities *s, struct cedar_text type,
				      struct cedar_text id, struct node **out);
bool cedar_node_in(const struct node *n, uint32_t ancestor);
