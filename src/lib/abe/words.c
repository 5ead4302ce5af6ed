// SPDX-License-Identifier: Apache-2.0
#include "lib/abe/words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// --- the Unicode rule

static bool point_allowed(utf8proc_int32_t c)
{
	if (c < 0x80)
		return (c >= 0x20 && c < 0x7f) || is_space((char)c);
	switch (utf8proc_category(c)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_MC:
	case UTF8PROC_CATEGORY_ME:
	case UTF8PROC_CATEGORY_ND:
	case UTF8PROC_CATEGORY_NL:
	case UTF8PROC_CATEGORY_NO:
	case UTF8PROC_CATEGORY_PC:
	case UTF8PROC_CATEGORY_PD:
	case UTF8PROC_CATEGORY_PS:
	case UTF8PROC_CATEGORY_PE:
	case UTF8PROC_CATEGORY_PI:
	case UTF8PROC_CATEGORY_PF:
	case UTF8PROC_CATEGORY_PO:
	case UTF8PROC_CATEGORY_SM:
	case UTF8PROC_CATEGORY_SC:
	case UTF8PROC_CATEGORY_SK:
	case UTF8PROC_CATEGORY_SO:
		return true;
	default:
		return false;
	}
}

static bool is_mark(const char *at, const char *end)
{
	utf8proc_int32_t c;
	if (at == end || utf8proc_iterate((const uint8_t *)at, end - at, &c) <= 0)
		return false;
	utf8proc_category_t k = utf8proc_category(c);
	return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
}

struct err words_open(const char *text, size_t n, size_t most, struct arena *arena,
		      struct words *out)
{
	ENSURE(n <= most, ERR_LIMIT, "the text is longer than %zu bytes", most);
	for (size_t i = 0; i < n;) {
		utf8proc_int32_t c;
		utf8proc_ssize_t len =
			utf8proc_iterate((const uint8_t *)text + i, (utf8proc_ssize_t)(n - i), &c);
		ENSURE(len > 0, ERR_USAGE, "at character %zu: not UTF-8", i + 1);
		ENSURE(point_allowed(c), ERR_USAGE,
		       "at character %zu: U+%04" PRIX32
		       " is not allowed (letters, marks, numbers, punctuation and symbols are)",
		       i + 1, (uint32_t)c);
		i += (size_t)len;
	}
	utf8proc_uint8_t *nfc = NULL;
	utf8proc_ssize_t len = utf8proc_map((const uint8_t *)text, (utf8proc_ssize_t)n, &nfc,
					    UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_REJECTNA);
	if (len < 0 || (size_t)len > most) {
		free(nfc);
		return err_make(len < 0 ? ERR_USAGE : ERR_LIMIT, "the text: %s",
				len < 0 ? utf8proc_errmsg(len)
					: "too long in normalization form C");
	}
	char *copy = arena_strndup(arena, (const char *)nfc, (size_t)len);
	free(nfc);
	ENSURE(copy, ERR_LIMIT, "out of memory");
	*out = (struct words){copy, copy + len, copy, arena};
	return OK;
}

// --- words

struct err words_wrong(const struct words *w, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	size_t character = 1;
	for (const char *c = w->start; c < w->at; c++)
		character += (*c & 0xc0) != 0x80;
	return err_make(ERR_USAGE, "at character %zu: %s", character, text);
}

static void skip_space(struct words *w)
{
	while (w->at < w->end && is_space(*w->at))
		w->at++;
}

bool words_more(struct words *w)
{
	skip_space(w);
	return w->at < w->end;
}

char words_peek(struct words *w)
{
	return words_more(w) ? *w->at : 0;
}

bool words_symbol(struct words *w, const char *symbol)
{
	size_t n = strlen(symbol);
	skip_space(w);
	if ((size_t)(w->end - w->at) < n || memcmp(w->at, symbol, n) != 0)
		return false;
	w->at += n;
	return true;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool in_name(char c)
{
	return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

static bool in_value(char c)
{
	return is_alnum(c) || (c && strchr("._@+:/-", c)) || (c & 0x80);
}

bool words_keyword(struct words *w, const char *keyword)
{
	size_t n = strlen(keyword);
	skip_space(w);
	if ((size_t)(w->end - w->at) < n || strncasecmp(w->at, keyword, n) != 0 ||
	    (w->at + n < w->end && in_value(w->at[n])))
		return false;
	w->at += n;
	return true;
}

static bool is_keyword(const char *s, size_t n)
{
	static const char *const keywords[] = {"and", "or", "not", "of"};
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
		if (strlen(keywords[i]) == n && strncasecmp(keywords[i], s, n) == 0)
			return true;
	return false;
}

static struct err keep(struct words *w, const char *from, size_t n, const char **out)
{
	*out = arena_strndup(w->arena, from, n);
	ENSURE(*out, ERR_LIMIT, "out of memory");
	return OK;
}

struct err words_name(struct words *w, size_t most, const char **out)
{
	skip_space(w);
	const char *from = w->at;
	if (from == w->end || !(*from >= 'a' && *from <= 'z'))
		return words_wrong(w, "expected a name, which begins with a lower-case letter");
	for (; w->at < w->end && in_name(*w->at); w->at++)
		if (*w->at >= 'A' && *w->at <= 'Z')
			return words_wrong(w, "names are lower case");
	size_t n = (size_t)(w->at - from);
	if (n > most)
		return words_wrong(w, "a name has at most %zu characters", most);
	if (is_keyword(from, n))
		return words_wrong(w, "AND, OR, NOT and OF cannot be names");
	return keep(w, from, n, out);
}

static struct err quoted(struct words *w, size_t most, const char **out)
{
	char *value = arena_alloc(w->arena, most + 1);
	size_t n = 0;
	ENSURE(value, ERR_LIMIT, "out of memory");
	for (w->at++; w->at < w->end && *w->at != '"'; w->at++) {
		if (*w->at == '\\') {
			w->at++;
			if (w->at == w->end || (*w->at != '"' && *w->at != '\\'))
				return words_wrong(w, "only \\\" and \\\\ are known");
		}
		if (*w->at == '\t' || *w->at == '\n' || *w->at == '\r')
			return words_wrong(w, "no tab or line break inside a value");
		if (n == most)
			return words_wrong(w, "a value has at most %zu bytes", most);
		value[n++] = *w->at;
	}
	if (w->at == w->end)
		return words_wrong(w, "the closing quotation mark is missing");
	w->at++;
	if (n == 0 || value[0] == ' ' || value[n - 1] == ' ')
		return words_wrong(w, "a value is not empty and has no space at its ends");
	*out = value;
	return OK;
}

struct err words_value(struct words *w, size_t most, const char **out)
{
	skip_space(w);
	const char *from = w->at;
	if (from < w->end && *from == '"') {
		TRY(quoted(w, most, out));
		if (is_mark(*out, *out + strlen(*out)))
			return words_wrong(w, "a value does not begin with a combining mark");
		return OK;
	}
	if (is_mark(from, w->end))
		return words_wrong(w, "a value does not begin with a combining mark");
	while (w->at < w->end && in_value(*w->at))
		w->at++;
	size_t n = (size_t)(w->at - from);
	if (n == 0)
		return words_wrong(w, "expected a value; other characters stand in \"quotes\"");
	if (n > most)
		return words_wrong(w, "a value has at most %zu bytes", most);
	if (is_keyword(from, n))
		return words_wrong(w, "as a value this word stands in \"quotes\"");
	return keep(w, from, n, out);
}

struct err words_number(struct words *w, uint64_t most, uint64_t *out)
{
	skip_space(w);
	const char *from = w->at;
	uint64_t v = 0;
	for (; w->at < w->end && *w->at >= '0' && *w->at <= '9'; w->at++) {
		uint64_t digit = (uint64_t)(*w->at - '0');
		if (digit > most || v > (most - digit) / 10)
			return words_wrong(w, "the number is larger than %" PRIu64, most);
		v = v * 10 + digit;
	}
	if (w->at == from || (*from == '0' && w->at - from > 1) ||
	    (w->at < w->end && in_value(*w->at)))
		return words_wrong(w, "expected a whole number without leading zeros");
	*out = v;
	return OK;
}

void words_print(const char *value, struct buf *out)
{
	bool bare = !is_keyword(value, strlen(value));
	for (const char *c = value; *c; c++)
		bare &= in_value(*c);
	if (bare) {
		buf_str(out, value);
		return;
	}
	buf_u8(out, '"');
	for (const char *c = value; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_u8(out, '\\');
		buf_u8(out, (uint8_t)*c);
	}
	buf_u8(out, '"');
}
