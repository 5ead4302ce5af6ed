// SPDX-License-Identifier: Apache-2.0
#include "lib/cedar/lexer.h"

static int peek(const struct lexer *l, size_t ahead)
{
	return (size_t)(l->c.end - l->c.at) > ahead ? l->c.at[ahead] : -1;
}

// Bytes of the white space (Unicode White_Space) that is next; 0 when there is none.
static size_t space(const struct lexer *l)
{
	int a = peek(l, 0), b = peek(l, 1), c = peek(l, 2);
	if (a == ' ' || (a >= '\t' && a <= '\r'))
		return 1;
	if (a == 0xc2 && (b == 0x85 || b == 0xa0))
		return 2;
	if (a == 0xe1 && b == 0x9a && c == 0x80)
		return 3;
	if (a == 0xe2 && b == 0x80 &&
	    ((c >= 0x80 && c <= 0x8a) || c == 0xa8 || c == 0xa9 || c == 0xaf))
		return 3;
	if (a == 0xe2 && b == 0x81 && c == 0x9f)
		return 3;
	return a == 0xe3 && b == 0x80 && c == 0x80 ? 3 : 0;
}

static void skip(struct lexer *l)
{
	for (;;) {
		size_t n = space(l);
		if (n) {
			cursor_take(&l->c, n);
		} else if (peek(l, 0) == '/' && peek(l, 1) == '/') {
			while (peek(l, 0) >= 0 && peek(l, 0) != '\n' && peek(l, 0) != '\r')
				cursor_take(&l->c, 1);
		} else {
			return;
		}
	}
}

static bool letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool digit(int c)
{
	return c >= '0' && c <= '9';
}

static struct err string(struct lexer *l)
{
	cursor_take(&l->c, 1);
	const char *from = (const char *)l->c.at;
	while (peek(l, 0) >= 0 && peek(l, 0) != '"') {
		bool escape = peek(l, 0) == '\\';
		if (escape && peek(l, 1) == '\n')
			return cedar_syntax(
				l->source, (size_t)(l->c.at - l->c.start),
				"a string does not go on after \\ at the end of a line");
		cursor_take(&l->c, escape && peek(l, 1) >= 0 ? 2 : 1);
	}
	l->now.kind = TOKEN_STRING;
	l->now.text = (struct cedar_text){from, (size_t)((const char *)l->c.at - from)};
	if (peek(l, 0) < 0)
		return cedar_syntax(l->source, l->now.at, "this string has no end");
	cursor_take(&l->c, 1);
	return OK;
}

static void run(struct lexer *l, int kind, size_t first)
{
	const char *from = (const char *)l->c.at;
	cursor_take(&l->c, first);
	while (digit(peek(l, 0)) || (kind != TOKEN_NUMBER && letter(peek(l, 0))))
		cursor_take(&l->c, 1);
	l->now.kind = kind;
	l->now.text = (struct cedar_text){from, (size_t)((const char *)l->c.at - from)};
}

static struct err symbol(struct lexer *l)
{
	static const struct {
		char text[3];
		int kind;
	} pairs[] = {{"::", TOKEN_COLONS},     {"==", TOKEN_EQUAL},	    {"!=", TOKEN_NOT_EQUAL},
		     {"<=", TOKEN_LESS_EQUAL}, {">=", TOKEN_GREATER_EQUAL}, {"&&", TOKEN_AND},
		     {"||", TOKEN_OR}};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (peek(l, 0) == pairs[i].text[0] && peek(l, 1) == pairs[i].text[1]) {
			l->now.kind = pairs[i].kind;
			l->now.text = (struct cedar_text){(const char *)l->c.at, 2};
			cursor_take(&l->c, 2);
			return OK;
		}
	if (!strchr("@.,;:(){}[]<>+-*/%!=?", peek(l, 0)) || peek(l, 0) == 0)
		return cedar_syntax(l->source, l->now.at,
				    "this character begins nothing that is known here");
	l->now.kind = peek(l, 0);
	l->now.text = (struct cedar_text){(const char *)l->c.at, 1};
	cursor_take(&l->c, 1);
	return OK;
}

struct err lexer_next(struct lexer *l)
{
	l->end_of_last = (size_t)(l->c.at - l->c.start);
	skip(l);
	int c = peek(l, 0);
	l->now = (struct token){.kind = TOKEN_END, .at = (size_t)(l->c.at - l->c.start)};
	if (c < 0)
		return OK;
	if (letter(c))
		run(l, TOKEN_IDENT, 1);
	else if (digit(c))
		run(l, TOKEN_NUMBER, 1);
	else if (c == '?' && letter(peek(l, 1)))
		run(l, TOKEN_SLOT, 2);
	else if (c == '"')
		return string(l);
	else
		return symbol(l);
	return OK;
}

struct err lexer_start(struct lexer *l, struct cedar_text source)
{
	*l = (struct lexer){.c = cursor_over(source.s, source.n), .source = source};
	return lexer_next(l);
}

struct err lexer_accept(struct lexer *l, int kind, bool *there)
{
	*there = l->now.kind == kind;
	return *there ? lexer_next(l) : OK;
}

struct err lexer_wrong(const struct lexer *l, const char *allowed)
{
	if (l->now.kind == TOKEN_END)
		return cedar_syntax(l->source, l->now.at, "the text ends where %s is expected",
				    allowed);
	return cedar_syntax(l->source, l->now.at, "\"%.*s\" where %s is expected",
			    TEXT_ARG(l->now.text), allowed);
}

struct err lexer_expect(struct lexer *l, int kind, const char *what)
{
	return l->now.kind == kind ? lexer_next(l) : lexer_wrong(l, what);
}

bool lexer_word(const struct lexer *l, const char *word)
{
	return l->now.kind == TOKEN_IDENT && text_is(l->now.text, word);
}
