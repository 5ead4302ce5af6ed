// SPDX-License-Identifier: Apache-2.0
// Policies: who may decrypt, as a monotone formula over attributes (attribute.h).
//
//     policy    = and *( "OR" and )
//     and       = unary *( "AND" unary )
//     unary     = "NOT" unary / "(" policy ")" / threshold / term
//     threshold = number "OF" "(" policy *( "," policy ) ")"
//     term      = [ namespace "/" ] name [ ":" width / ":date" / "{" members "}" ] operator value
//     operator  = "=" / "!=" / "<" / "<=" / ">" / ">="
//
// Keywords in any case; AND binds stronger than OR. NOT and != are only for closed enumerations and
// integers (whose width closes them), because a key proves what it holds, never what it lacks: NOT
// is driven inwards and a member is replaced by the alternatives.
//
// The canonical form, which alone is encrypted under and sent: no NOT, no !=, no < and >; nested
// gates of a kind merged; 1 OF is OR, all OF is AND; operands in bytewise order of their text; an
// operand given twice is refused. Two policies that differ only in such things are the same bytes.
//
// Below it, the rows: an integer comparison becomes a formula over its bits. Each leaf is one row
// of the share-generating matrix (lsss.h). Used by lib/abe, gemel(1), the DTMF.
#pragma once

#include "lib/abe/attribute.h"

enum {
	POLICY_TEXT_MAX = 16384,
	POLICY_DEPTH_MAX = 32, // nested parentheses and NOTs
	POLICY_ROWS_MAX = 1024,
	POLICY_REPEAT_MAX = 64, // rows with one and the same attribute
};

struct policy; // opaque
// Any form. ERR_USAGE says what is wrong and where; ERR_LIMIT. *out: policy_free.
MUST_USE struct err policy_parse(const char *text, size_t n, struct policy **out);
// Only the canonical form, from another party: ERR_PEER otherwise.
MUST_USE struct err policy_read(const char *text, size_t n, struct policy **out);
void policy_free(struct policy *p); // NULL is fine

const char *policy_text(const struct policy *p); // canonical, NUL-terminated
size_t policy_rows(const struct policy *p);
size_t policy_columns(const struct policy *p); // of the matrix
size_t policy_repeat(const struct policy *p);  // τ: the most rows with one attribute
const struct attribute *policy_attribute(const struct policy *p, size_t row);
// ρ: which occurrence of its attribute the row is, from 0.
size_t policy_occurrence(const struct policy *p, size_t row);
// Would a key with these attributes decrypt?
bool policy_permits(const struct policy *p, const struct attributes *a);
