// SPDX-License-Identifier: Apache-2.0
// Making of entity stores and of values from JSON.
#pragma once

#include "lib/cedar/json.h"
#include "lib/cedar/store.h"
#include "lib/cedar/types.h"

struct parentage {
	uint32_t child, parent; // numbers of nodes
};

MUST_USE struct err cedar_entities_make(struct cedar_entities **out);
// Closes the hierarchy over n edges, which it sorts. ERR_USAGE on a cycle.
MUST_USE struct err cedar_entities_close(struct cedar_entities *s, struct parentage *edges,
					 size_t n);

// Reads values. References to entities are nodes of `store`, or loose when that is NULL.
struct value_reader {
	struct arena *arena;
	struct cedar_text source;
	struct cedar_entities *store;
	const struct cedar_schema *schema; // NULL: none
	VEC(struct value) stack;
	VEC(struct field) fields;
};
void value_reader_clear(struct value_reader *r);
// `type` NULL: nothing is expected, so that references and extension values must be explicit.
MUST_USE struct err value_read(struct value_reader *r, const struct json *j,
			       const struct type *type, struct value *out);
MUST_USE struct err value_read_uid(struct value_reader *r, const struct json *j, struct value *out);
MUST_USE struct err value_wrong(const struct value_reader *r, const struct json *at,
				const char *format, ...) __attribute__((format(printf, 3, 4)));

struct cedar_context {
	struct arena *arena;
	const struct record *record;
};
