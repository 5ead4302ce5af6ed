// SPDX-License-Identifier: Apache-2.0
// Tokens of policy and schema texts: one ahead of the parser.
#pragma once

#include "lib/base/cursor.h"
#include "lib/cedar/text.h"

enum token_kind { // or the character itself, for those of one
	TOKEN_END = 256,
	TOKEN_IDENT,
	TOKEN_NUMBER,
	TOKEN_STRING, // text: the inside, with escapes
	TOKEN_SLOT,   // text: with ?
	TOKEN_COLONS, // ::
	TOKEN_EQUAL,
	TOKEN_NOT_EQUAL,
	TOKEN_LESS_EQUAL,
	TOKEN_GREATER_EQUAL,
	TOKEN_AND,
	TOKEN_OR,
};

struct token {
	int kind;
	size_t at;
	struct cedar_text text;
};

struct lexer {
	struct cursor c;
	struct cedar_text source;
	struct token now;
	size_t end_of_last;
};

MUST_USE struct err lexer_start(struct lexer *l, struct cedar_text source); // reads the first
MUST_USE struct err lexer_next(struct lexer *l);
// Reads on when the token is there.
MUST_USE struct err lexer_accept(struct lexer *l, int kind, bool *there);
// `what` says what is allowed here, for the error.
MUST_USE struct err lexer_expect(struct lexer *l, int kind, const char *what);
MUST_USE struct err lexer_wrong(const struct lexer *l, const char *allowed);
bool lexer_word(const struct lexer *l, const char *word); // an identifier with this text
