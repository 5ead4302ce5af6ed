// SPDX-License-Identifier: Apache-2.0
// The type of an expression in one request environment: an action, a type of principal and one of
// resource (and of what fills the slots of a template).
#pragma once

#include "lib/cedar/ast.h"
#include "lib/cedar/types.h"

struct environment {
	const struct action *action;
	const struct entity_type *principal, *resource;
	const struct entity_type *slots[2]; // NULL: the template has no such slot
};

struct checker {
	const struct cedar_schema *schema;
	struct environment env;
	struct arena *arena; // reset by the caller
	size_t steps;	     // left of the bound on work
	// of the last error
	const struct expr *at;
	char why[400];
};

enum check_result { CHECK_GOOD, CHECK_WRONG, CHECK_TOO_MUCH };

// CHECK_GOOD: *never tells whether the expression is always false. The expression must be a
// boolean.
enum check_result checker_run(struct checker *c, const struct expr *e, bool *never);
