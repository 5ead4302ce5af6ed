// SPDX-License-Identifier: Apache-2.0
// The text of policies and attribute lists, read word by word. One Unicode rule for all of it:
//     valid UTF-8, brought into normalization form C (NFC, UAX #15); every code point outside ASCII
//     is an assigned letter, mark, number, punctuation or symbol (no format characters, separators
//     or private use); of ASCII the printable characters, and white space between words.
// Comparison is exact afterwards, case included. Unassigned code points are refused, so that two
// Unicode versions never disagree. Used inside lib/abe.
#pragma once

#include "lib/base/mem.h"

struct words {
	const char *at, *end, *start;
	struct arena *arena; // what words_value returns lives here
};

// Checks the rule, normalizes into the arena. ERR_USAGE says what is wrong and where.
MUST_USE struct err words_open(const char *text, size_t n, size_t most, struct arena *arena,
			       struct words *out);
// Skips white space, then takes the symbol if it is next.
bool words_symbol(struct words *w, const char *symbol);
// Skips white space, then takes this word (any case), if it stands alone there.
bool words_keyword(struct words *w, const char *keyword);
bool words_more(struct words *w); // false: only white space is left
char words_peek(struct words *w); // the next character after white space, 0 at the end
// A name: a lower-case letter, then lower-case letters, digits, '_', '-', '.'; at most `most`.
MUST_USE struct err words_name(struct words *w, size_t most, const char **out);
// A value: a bare word (letters, digits, "._@+:/-", all beyond ASCII) that is no keyword, or any
// text in double quotes with \" and \\ inside.
MUST_USE struct err words_value(struct words *w, size_t most, const char **out);
// A decimal number without leading zeros.
MUST_USE struct err words_number(struct words *w, uint64_t most, uint64_t *out);
// ERR_USAGE: "at character 12: ..."; for parsers on top.
struct err words_wrong(const struct words *w, const char *format, ...)
	__attribute__((format(printf, 2, 3))) MUST_USE;

// Appends a value as words_value reads it, quoted only where it must be.
void words_print(const char *value, struct buf *out);
