// SPDX-License-Identifier: Apache-2.0
// One term of a policy or an attribute list: parsing, canonical text, identities.
// Used inside lib/abe.
#pragma once

#include "lib/abe/attribute.h"
#include "lib/abe/words.h"

enum term_kind { TERM_TEXT, TERM_MEMBER, TERM_INTEGER };
enum term_op { TERM_EQ, TERM_NE, TERM_GE, TERM_LE, TERM_GT, TERM_LT };

struct term {
	enum term_kind kind;
	enum term_op op;
	const char *space, *name; // space "": none
	const char *value;	  // text, member
	const char *members[ATTRIBUTE_MEMBERS_MAX];
	unsigned n_members; // in order
	unsigned width;	    // integer
	bool date;
	uint64_t number;
};

// Every operator that the kind permits. Strings live in the words' arena. ERR_USAGE.
MUST_USE struct err term_parse(struct words *w, struct term *out);
void term_print(const struct term *t, struct buf *out); // canonical
uint64_t term_most(const struct term *t);		// the largest value of its width
// Same namespace, name and, of an integer or enumeration, same width or set.
bool term_same_name(const struct term *a, const struct term *b);

// Makes the identity (of a term with `=`) or that of bit `index` being `bit`, in the arena.
MUST_USE struct err term_attribute(const struct term *t, struct arena *arena,
				   struct attribute *out);
MUST_USE struct err term_bit(const struct term *t, unsigned index, bool bit, struct arena *arena,
			     struct attribute *out);
