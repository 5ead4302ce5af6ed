// SPDX-License-Identifier: Apache-2.0
// The types of the validator, and the schema once it is resolved: every name is a pointer.
#pragma once

#include "lib/cedar/map.h"
#include "lib/cedar/value.h"

enum type_kind {
	TYPE_TRUE,
	TYPE_FALSE,
	TYPE_BOOL,
	TYPE_LONG,
	TYPE_STRING,
	TYPE_SET,
	TYPE_RECORD, // closed: has these attributes and no others
	TYPE_ENTITY,
	TYPE_EXTENSION,
	// only expected, never had
	TYPE_ANY_SET,
	TYPE_ANY_RECORD,
	TYPE_ANY_ENTITY,
	TYPE_SET_OF_ANY_ENTITY,
};

struct type {
	enum type_kind kind;
	enum value_kind extension;
	uint32_t n; // attributes, sorted by name
	union {
		const struct type *element;
		const struct attribute *attributes;
		const struct entity_type *entity;
	};
};

struct attribute {
	struct cedar_text name;
	const struct type *type;
	bool required;
};

struct entity_type {
	struct cedar_text name;
	struct type self;		  // the type of a reference to it
	const struct type *shape;	  // a record
	const struct type *tags;	  // NULL: it has no tags
	const struct cedar_text *choices; // of an enum
	uint32_t n_choices;		  // 0: no enum
	bool action;
	uint8_t *above; // by number of entity type: may be an ancestor
	uint32_t number;
};

struct action {
	struct uid uid;
	const struct entity_type *type;
	const struct entity_type **principals, **resources;
	uint32_t n_principals, n_resources;
	const struct type *context;
	const struct action **parents; // direct
	uint32_t n_parents;
	uint8_t *above; // by number of action, closed
	uint32_t number;
};

struct cedar_schema {
	struct arena *arena;
	struct cedar_text source;
	struct entity_type **types; // declared ones first, then those of actions
	uint32_t n_types;
	struct action **actions;
	uint32_t n_actions;
	struct map type_numbers, action_numbers; // the latter by action_key
};

const struct entity_type *schema_type(const struct cedar_schema *s, struct cedar_text name);
const struct action *schema_action(const struct cedar_schema *s, struct cedar_text type,
				   struct cedar_text id);
// TYPE, a line feed, ID; .s NULL when memory is out.
struct cedar_text action_key(struct arena *a, struct cedar_text type, struct cedar_text id);

extern const struct type type_true, type_false, type_bool, type_long, type_string;
const struct type *type_extension(enum value_kind kind); // decimal, ipaddr, datetime, duration
static inline bool type_is_bool(const struct type *t)
{
	return t->kind <= TYPE_BOOL;
}

const struct attribute *type_attribute(const struct type *record, struct cedar_text name);
// The type of an attribute of a record or entity; NULL when it has none of that name.
const struct attribute *type_lookup(const struct type *t, struct cedar_text name);
// Compares types with a bound on the work: counts down `*steps`, and answers no at zero.
bool type_same(const struct type *a, const struct type *b, size_t *steps);
// Is `t` of the kind that is expected? True and False are Bool; anything is any.
bool type_meets(const struct type *t, const struct type *expected, size_t *steps);
// The strict least upper bound; NULL when there is none or memory is out.
const struct type *type_join(struct arena *a, const struct type *x, const struct type *y,
			     size_t *steps);
const char *type_show(const struct type *t, char *out, size_t size);

// Whether a value is of the type; *why says what is wrong where. Texts as type_show.
struct conformity {
	const struct cedar_schema *schema;
	char why[300];
};
bool type_holds(struct conformity *c, const struct type *t, const struct value *v);
// An entity that enums and actions allow.
bool type_allows_uid(struct conformity *c, const struct uid *u);
