// SPDX-License-Identifier: Apache-2.0
// Values of the Cedar language: 16 bytes each, the larger ones by pointer into the arena of whoever
// made them. Sets are sorted and without duplicates, records sorted by name, so that equality is
// element by element and membership is a search.
#pragma once

#include "lib/cedar/text.h"

enum value_kind {
	VALUE_BOOL,
	VALUE_LONG,
	VALUE_STRING,
	VALUE_ENTITY,
	VALUE_SET,
	VALUE_RECORD,
	VALUE_DECIMAL, // i: ten-thousandths
	VALUE_IP,
	VALUE_DATETIME, // i: milliseconds since 1970
	VALUE_DURATION, // i: milliseconds
};
extern const char *const value_kind_names[];

struct uid {
	struct cedar_text type, id;
	uint64_t hash;
	uint32_t node;	     // of the entity store that holds it, plus one; 0: of none
	uint32_t type_index; // of that store
};

struct ip {
	uint8_t bytes[16];
	uint8_t prefix;
	bool v6;
};

struct value {
	uint32_t kind;
	uint32_t n; // bytes of a string
	union {
		bool b;
		int64_t i;
		const char *s;
		const struct uid *uid;
		const struct set *set;
		const struct record *record;
		const struct ip *ip;
	};
};

struct set {
	uint32_t n;
	struct value v[];
};

struct field {
	struct cedar_text name;
	struct value v;
};

struct record {
	uint32_t n;
	struct field f[];
};

static inline struct value value_bool(bool b)
{
	return (struct value){.kind = VALUE_BOOL, .b = b};
}
static inline struct value value_int(enum value_kind kind, int64_t i)
{
	return (struct value){.kind = kind, .i = i};
}
static inline struct value value_text(struct cedar_text t)
{
	return (struct value){.kind = VALUE_STRING, .n = (uint32_t)t.n, .s = t.s};
}
static inline struct cedar_text value_string(const struct value *v)
{
	return (struct cedar_text){v->s, v->n};
}

uint64_t cedar_uid_hash(struct cedar_text type, struct cedar_text id);
static inline bool uid_equal(const struct uid *a, const struct uid *b)
{
	return a == b ||
	       (a->hash == b->hash && text_equal(a->type, b->type) && text_equal(a->id, b->id));
}
// Type::"id" for messages, cut when long.
const char *cedar_uid_show(const struct uid *u, char *out, size_t size);

int cedar_value_compare(const struct value *a, const struct value *b);
bool cedar_value_equal(const struct value *a, const struct value *b);

// Takes n values, which it sorts in place; NULL when memory is out.
const struct set *cedar_set_make(struct arena *a, struct value *v, size_t n);
bool cedar_set_contains(const struct set *s, const struct value *v);
// Takes n fields of different names.
const struct record *cedar_record_make(struct arena *a, const struct field *f, size_t n);
const struct value *cedar_record_get(const struct record *r, struct cedar_text name);
