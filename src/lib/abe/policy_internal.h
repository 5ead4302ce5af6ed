// SPDX-License-Identifier: Apache-2.0
// A policy inside: the formula as written (node), and what is shared over it (gate).
#pragma once

#include "lib/abe/policy.h"
#include "lib/abe/term.h"

struct node {			 // of the canonical formula
	const struct term *term; // NULL: a gate, `k` of its children
	unsigned k, n;
	struct node **child;
	const char *text;
};

struct gate {	       // of the formula over rows
	unsigned k, n; // n 0: a row
	const struct gate **child;
	unsigned row;
	unsigned id; // 0 to policy.gates - 1, children behind their parents
};

struct policy_row {
	struct attribute attribute;
	unsigned occurrence;
};

struct policy {
	struct arena *arena;
	const char *text;
	const struct gate *root;
	unsigned gates;
	struct policy_row *row; // POLICY_ROWS_MAX
	unsigned rows, columns, repeat;
};

// policy_node.c: constructors that keep the canonical form.
MUST_USE struct err node_of_term(struct arena *arena, const struct term *t, bool negated,
				 struct node **out);
MUST_USE struct err node_of_gate(struct arena *arena, unsigned k, struct node **child, unsigned n,
				 struct node **out);
// policy_rows.c: from the formula to rows; sets root, gates, row, rows, columns, repeat.
MUST_USE struct err policy_expand(struct policy *p, const struct node *formula);
