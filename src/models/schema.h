// SPDX-License-Identifier: Apache-2.0
// The table of what the twin reads: which leaf (docs/contracts.md, "Paths that the agent sends")
// fills which field of which object. A path is matched once, when its series is announced:
//
//     /interfaces/interface[name=eth0]/state/oper-status     shape:
//     interfaces/interface/state/oper-status
//
// The shape (names without keys) is found in the sorted table; the keys name the objects. What a
// delete covers is the range of rows that begin with its shape. Used by the models process.
#pragma once

#include "models/catalogue.h"

enum leaf_type {
	LEAF_NONE, // the object is there
	LEAF_TEXT, // char *, owned by the state
	LEAF_U64,
	LEAF_U32,
	LEAF_I32,
	LEAF_I64,
	LEAF_BOOL,	 // uint8_t 0 or 1
	LEAF_CHOICE,	 // uint8_t: place in `choices`
	LEAF_MAC,	 // uint8_t[6]
	LEAF_ADDRESS,	 // struct address
	LEAF_PREFIX,	 // struct prefix
	LEAF_PORTS,	 // struct ports
	LEAF_PROTOCOL,	 // int16_t
	LEAF_CONNECTION, // uint8_t: set of enum connection
	LEAF_COUNTER,	 // struct counters *, made when the first comes; `bit` is the counter
};

// What a change of the leaf makes stale.
enum leaf_touches {
	TOUCHES_NOTHING = 0,
	TOUCHES_STRUCTURE = 1, // which nodes and links there are
	TOUCHES_STATUS = 2,    // whether they are up
	TOUCHES_ROUTES = 4,
	TOUCHES_RULES = 8,
	TOUCHES_ADDRESSES = 16,
	TOUCHES_NEIGHBOURS = 32,
};

struct schema_leaf {
	const char *shape;
	enum object_kind kind;
	uint8_t family; // ADDRESS, NEIGHBOUR, ENTRY: 4 or 6; 0 otherwise
	uint8_t bit;	// place in the object's `have` mask
	enum leaf_type type;
	uint16_t offset; // into the value
	uint8_t touches;
	const char *const *choices; // NULL-terminated; [0] is never sent: "not known"
};

extern const struct schema_leaf schema_leaves[]; // sorted by shape
extern const unsigned schema_leaves_n;

// A list element on the way: its shape, its keys, the object that it names.
struct schema_list {
	const char *shape;
	const char *key, *key2; // key2: NULL, or joined in front of key with ':'
	enum object_kind kind;	// OBJECT_NONE: no object, but the key must equal `only`
	const char *only;
	uint8_t family;
	uint8_t unmodelled; // bit for device_value.unmodelled when it does not equal `only`
};
extern const struct schema_list schema_lists[];
extern const unsigned schema_lists_n;

enum unmodelled {
	UNMODELLED_INSTANCE = 1,
	UNMODELLED_SUBINTERFACE = 2,
	UNMODELLED_KEY = 4,
	UNMODELLED_LIMIT = 8
};
enum { SCHEMA_SHAPE_MAX = 255 };

// The row of exactly this shape, or -1.
int schema_find(const char *shape);
// The rows at or below the shape: [*first, *last). Shape "" is everything.
void schema_range(const char *shape, unsigned *first, unsigned *last);

extern const char *const status_choices[],
	*const neighbour_choices[], *const origin_choices[],
					    *const next_hop_choices[],
						    *const hook_choices[],
							    *const policy_choices[],
								    *const verdict_choices[];
