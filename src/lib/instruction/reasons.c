// SPDX-License-Identifier: Apache-2.0
#include "lib/instruction/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *word, *meaning, *mend;
	enum err_code error;
} table[INSTRUCTION_REASONS] = {
	[INSTRUCTION_GOOD] = {"good", "Every check passed.", "", ERR_NONE},
#define REASON(symbol, word, error, meaning, mend)                                                 \
	[INSTRUCTION_##symbol] = {word, meaning, mend, error},
#include "lib/instruction/instruction_reasons.def"
#undef REASON
};

static unsigned known(enum instruction_reason r)
{
	return (unsigned)r < INSTRUCTION_REASONS ? (unsigned)r : (unsigned)INSTRUCTION_MALFORMED;
}

const char *instruction_reason_word(enum instruction_reason r)
{
	return table[known(r)].word;
}

const char *instruction_reason_meaning(enum instruction_reason r)
{
	return table[known(r)].meaning;
}

const char *instruction_reason_mend(enum instruction_reason r)
{
	return table[known(r)].mend;
}

enum instruction_reason instruction_reason_find(const char *word)
{
	for (unsigned i = 1; i < INSTRUCTION_REASONS; i++)
		if (strcmp(table[i].word, word) == 0)
			return (enum instruction_reason)i;
	return INSTRUCTION_GOOD;
}

struct err reason_refuse(enum instruction_reason *where, enum instruction_reason r,
			 const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (where)
		*where = r;
	return err_make(table[r].error, "%s: %s", table[r].word, text);
}

#ifdef SABOTAGE
bool reason_off(enum instruction_reason r)
{
	char control[64];
	snprintf(control, sizeof control, "instruction-%s", table[r].word);
	return sabotaged(control);
}
#endif
