// SPDX-License-Identifier: Apache-2.0
// The parser of policy texts: parse.c reads policies, parse_expr.c their expressions.
#pragma once

#include "lib/cedar/ast.h"
#include "lib/cedar/lexer.h"

struct parser {
	struct lexer l;
	struct builder b;
	unsigned nesting;
	bool slots;			// allowed here: in a scope
	VEC(const struct expr *) stack; // members of the lists that are still open
	VEC(struct cedar_text) keys;
};

MUST_USE struct err parse_expr(struct parser *p, const struct expr **out);
// Type::Name, checked; the token after it is next.
MUST_USE struct err parse_name(struct parser *p, struct cedar_text *out);
