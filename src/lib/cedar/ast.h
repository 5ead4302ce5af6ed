// SPDX-License-Identifier: Apache-2.0
// Expressions and policies as they are read, from either form. Nodes live in the arena of their
// policy set, are never changed once the set is read, and carry a hash of their structure, by which
// the validator finds "the same expression" again. `a > b` is !(a <= b), `a != b` is !(a == b) and
// `a is T in b` is a is T && a in b, as the language defines them.
#pragma once

#include "lib/cedar/ext.h"

enum expr_kind {
	EXPR_LITERAL, // boolean, long, string, entity
	EXPR_VAR,
	EXPR_SLOT, // only in scopes; a linked policy has none
	EXPR_NOT,
	EXPR_NEGATE,
	EXPR_IS_EMPTY,
	EXPR_AND,
	EXPR_OR,
	EXPR_IF,
	EXPR_EQUAL,
	EXPR_LESS,
	EXPR_LESS_EQUAL,
	EXPR_ADD,
	EXPR_SUBTRACT,
	EXPR_MULTIPLY,
	EXPR_IN,
	EXPR_CONTAINS,
	EXPR_CONTAINS_ALL,
	EXPR_CONTAINS_ANY,
	EXPR_HAS_TAG,
	EXPR_GET_TAG,
	EXPR_GET,
	EXPR_HAS, // a chain: `e has a.b.c`
	EXPR_LIKE,
	EXPR_IS,
	EXPR_SET,
	EXPR_RECORD,
	EXPR_CALL,
};
extern const char *const expr_kind_names[];

enum var { VAR_PRINCIPAL, VAR_ACTION, VAR_RESOURCE, VAR_CONTEXT };
extern const char *const var_names[4];

struct expr {
	uint8_t kind; // enum expr_kind
	uint8_t op;   // enum var, enum fn, or 0 principal / 1 resource for a slot
	uint16_t depth;
	uint32_t at;	  // byte of the source
	uint32_t n;	  // of args
	uint32_t literal; // of an entity literal: its number in the set
	uint64_t hash;
	const struct value *constant; // its value, when it is the same always and no error
	union {
		struct value value; // EXPR_LITERAL
		struct {
			const struct expr *a, *b, *c;
		};
		struct {
			const struct expr *of;
			struct cedar_text name; // EXPR_GET attribute, EXPR_IS type
		};
		struct {
			const struct expr *target;
			const struct pattern *pattern; // EXPR_LIKE
		};
		struct { // EXPR_HAS: steps[0] = e, steps[i] = steps[i-1].names[i-1]
			const struct expr *const *steps;
			const struct cedar_text *names;
		};
		struct { // EXPR_SET, EXPR_CALL, and with names, sorted, EXPR_RECORD
			const struct expr *const *args;
			const struct cedar_text *keys;
		};
	};
};

enum scope_op { SCOPE_ANY, SCOPE_EQUAL, SCOPE_IN, SCOPE_IS, SCOPE_IS_IN };

// Of principal or resource. A slot is filled in a link: then `uid` is set and `slot` tells that it
// was.
struct scope {
	enum scope_op op;
	bool slot;
	struct cedar_text type; // SCOPE_IS, SCOPE_IS_IN
	const struct expr *uid; // an entity literal; NULL with an open slot
};

struct action_scope {
	enum scope_op op;	       // any, equal, in
	const struct expr *const *uid; // n of them; one with ==
	uint32_t n;
};

struct annotation {
	struct cedar_text key, value;
};

struct policy {
	struct cedar_text id, source, template_id;
	uint32_t at;	   // byte of the source
	bool permit, text; // text: from the text form
	struct scope principal, resource;
	struct action_scope action;
	const struct expr *body; // NULL: true
	const struct annotation *annotations;
	uint32_t n_annotations;
};

// What policies are made in.
struct cedar_policies {
	struct arena *arena;
	struct cedar_text source;      // a copy
	VEC(struct policy *) policies; // static policies and links
	VEC(struct policy *) templates;
	VEC(const struct expr *) literals; // the entity literals, each once
	uint64_t *literal_slots;	   // hash table over `literals`: number + 1
	size_t literal_slots_n;
	uint64_t *id_slots; // hash table over ids: policies, then templates from the top bit
	size_t id_slots_n;
};

struct builder {
	struct cedar_policies *set;
	struct arena *arena;
	struct cedar_text source; // for positions
};

// Makers: ERR_LIMIT past CEDAR_DEPTH_MAX or when memory is out.
struct err expr_literal(struct builder *b, size_t at, struct value v,
			const struct expr **out) MUST_USE;
struct err expr_entity(struct builder *b, size_t at, struct cedar_text type, struct cedar_text id,
		       const struct expr **out) MUST_USE;
struct err expr_leaf(struct builder *b, size_t at, enum expr_kind kind, unsigned op,
		     const struct expr **out) MUST_USE;
struct err expr_make(struct builder *b, size_t at, enum expr_kind kind, const struct expr *x,
		     const struct expr *y, const struct expr *z, const struct expr **out) MUST_USE;
struct err expr_get(struct builder *b, size_t at, const struct expr *of, struct cedar_text name,
		    const struct expr **out) MUST_USE;
struct err expr_has(struct builder *b, size_t at, const struct expr *of,
		    const struct cedar_text *names, size_t n, const struct expr **out) MUST_USE;
struct err expr_is(struct builder *b, size_t at, const struct expr *of, struct cedar_text type,
		   const struct expr **out) MUST_USE;
struct err expr_like(struct builder *b, size_t at, const struct expr *of, const struct pattern *p,
		     const struct expr **out) MUST_USE;
struct err expr_list(struct builder *b, size_t at, enum expr_kind kind, unsigned fn,
		     const struct expr *const *args, size_t n, const struct expr **out) MUST_USE;
struct err expr_record(struct builder *b, size_t at, const struct cedar_text *keys,
		       const struct expr *const *args, size_t n, const struct expr **out) MUST_USE;

bool expr_same(const struct expr *a, const struct expr *b);

// Adds; ERR_USAGE when the id is taken.
struct err cedar_policies_add(struct cedar_policies *set, struct policy *p) MUST_USE;
struct err cedar_policies_make(struct cedar_text source, struct cedar_policies **out) MUST_USE;
bool policy_is_template(const struct policy *p);
