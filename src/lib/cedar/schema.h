// SPDX-License-Identifier: Apache-2.0
// A schema as either form says it, before its names are resolved.
#pragma once

#include "lib/cedar/types.h"

enum { SCHEMA_MAX = 2000 }; // types, actions, namespaces each, and attributes of a record

enum raw_kind {
	RAW_NAME,     // of a common type, else of an entity type
	RAW_COMMON,   // of a common type only
	RAW_ENTITY,   // of an entity type only
	RAW_BUILT_IN, // Bool, Long, String or an extension
	RAW_SET,
	RAW_RECORD,
};

struct raw_type {
	enum raw_kind kind;
	size_t at;
	struct cedar_text name;
	const struct type *built_in;
	const struct raw_type *element;
	const struct raw_attribute *attributes;
	uint32_t n;
};

struct raw_attribute {
	struct cedar_text name;
	const struct raw_type *type;
	bool required;
};

struct raw_name {
	struct cedar_text name;
	size_t at;
};

struct raw_names {
	const struct raw_name *v;
	uint32_t n;
};

struct raw_entity {
	struct cedar_text ns, name;
	size_t at;
	struct raw_names parents;
	struct raw_names choices;	     // not none: an enum
	const struct raw_type *shape, *tags; // NULL: none
};

struct raw_common {
	struct cedar_text ns, name;
	size_t at;
	const struct raw_type *type;
};

struct raw_action_name {
	struct cedar_text type, id; // type.s NULL: Action of the namespace
	size_t at;
};

struct raw_action {
	struct cedar_text ns, id;
	size_t at;
	const struct raw_action_name *parents;
	uint32_t n_parents;
	struct raw_names principals, resources;
	const struct raw_type *context; // NULL: {}
};

struct raw_schema {
	struct arena *arena;
	struct cedar_text source;
	VEC(struct raw_entity) entities;
	VEC(struct raw_common) commons;
	VEC(struct raw_action) actions;
	VEC(struct cedar_text) namespaces;
};

MUST_USE struct err schema_read_text(struct raw_schema *raw);
MUST_USE struct err schema_read_json(struct raw_schema *raw);
MUST_USE struct err schema_resolve(const struct raw_schema *raw, struct cedar_schema *s);
// Each name at most once; RFC 70: nothing shadows a name of the empty namespace.
MUST_USE struct err schema_check_names(const struct raw_schema *raw);
