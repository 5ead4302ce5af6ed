// SPDX-License-Identifier: Apache-2.0
// Evaluation of one expression for one request.
#pragma once

#include "lib/cedar/ast.h"
#include "lib/cedar/store.h"

struct eval {
	const struct cedar_entities *store;
	const struct uid *const *literals; // the set's entity literals, as this store has them
	const struct uid *principal, *action, *resource;
	const struct record *context;
	struct arena *scratch; // made values; reset by the caller
	// of the last error
	const struct expr *at;
	const char *what;
};

// False on an error, which `at` and `what` then describe.
bool cedar_eval(struct eval *ev, const struct expr *e, struct value *out);
// The body of a policy, which must be a boolean.
bool cedar_eval_bool(struct eval *ev, const struct expr *e, bool *out);
