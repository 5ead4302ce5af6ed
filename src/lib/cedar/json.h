// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259) as Cedar needs it: integers of 64 bits kept exact, duplicate keys refused, U+0000
// allowed in strings, nesting bounded. Views into the text, which must outlive the tree.
#pragma once

#include "lib/cedar/text.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_LONG, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
extern const char *const json_kind_names[];

struct json {
	enum json_kind kind;
	uint32_t n;  // items or members
	uint32_t at; // byte of the text
	union {
		bool b;
		int64_t i;
		struct cedar_text s;
		const struct json *items;
		const struct json_member *members;
	};
};

struct json_member {
	struct cedar_text key;
	struct json value;
};

MUST_USE struct err cedar_json_parse(struct arena *a, struct cedar_text text,
				     const struct json **out);
// NULL when there is no such member, or it is no object.
const struct json *cedar_json_get(const struct json *object, const char *key);
