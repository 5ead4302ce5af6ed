// SPDX-License-Identifier: Apache-2.0
// A recursive descent over a cursor. Items of the arrays and objects that are still open wait on
// one stack; each is copied to the arena, at its exact size, when it closes.

#include "lib/cedar/json.h"

#include "lib/base/cursor.h"

#include <errno.h>
#include <stdlib.h>

enum { KEYS_BY_PAIRS = 12 }; // so few keys are compared each with each

const char *const json_kind_names[] = {"null",	 "boolean", "integer", "number that is no integer",
				       "string", "array",   "object"};

struct parser {
	struct arena *a;
	struct cedar_text text;
	struct cursor c;
	unsigned depth;
	VEC(struct json_member) stack; // items have no key
};

static struct err wrong(const struct parser *p, const char *what)
{
	return cedar_syntax(p->text, (size_t)(p->c.at - p->c.start), "%s", what);
}

static int peek(const struct parser *p)
{
	return p->c.at < p->c.end ? *p->c.at : -1;
}

static void skip_space(struct parser *p)
{
	while (p->c.at < p->c.end &&
	       (*p->c.at == ' ' || *p->c.at == '\t' || *p->c.at == '\n' || *p->c.at == '\r'))
		p->c.at++;
}

static bool accept(struct parser *p, char c)
{
	skip_space(p);
	if (peek(p) != c)
		return false;
	p->c.at++;
	return true;
}

static struct err word(struct parser *p, const char *s)
{
	const uint8_t *at = cursor_left(&p->c) >= strlen(s) ? p->c.at : NULL;
	if (!at || memcmp(at, s, strlen(s)) != 0)
		return wrong(p, "a JSON value is expected");
	cursor_take(&p->c, strlen(s));
	return OK;
}

static struct err number(struct parser *p, struct json *out)
{
	const char *from = (const char *)p->c.at;
	bool negative = peek(p) == '-', real = false;
	p->c.at += negative;
	const uint8_t *digits = p->c.at;
	while (peek(p) >= '0' && peek(p) <= '9')
		p->c.at++;
	if (p->c.at == digits || (*digits == '0' && p->c.at - digits > 1))
		return wrong(p, "a number is expected, without leading zeros");
	if (peek(p) == '.') {
		real = true;
		const uint8_t *fraction = ++p->c.at;
		while (peek(p) >= '0' && peek(p) <= '9')
			p->c.at++;
		if (p->c.at == fraction)
			return wrong(p, "digits are expected after the point");
	}
	if (peek(p) == 'e' || peek(p) == 'E') {
		real = true;
		p->c.at++;
		p->c.at += peek(p) == '+' || peek(p) == '-';
		const uint8_t *exponent = p->c.at;
		while (peek(p) >= '0' && peek(p) <= '9')
			p->c.at++;
		if (p->c.at == exponent)
			return wrong(p, "digits are expected in the exponent");
	}
	out->kind = JSON_LONG;
	for (const char *d = from + negative; !real && d < (const char *)p->c.at; d++)
		real = __builtin_mul_overflow(out->i, 10, &out->i) ||
		       __builtin_add_overflow(out->i, negative ? -(*d - '0') : *d - '0', &out->i);
	if (real)
		out->kind = JSON_REAL; // kept, so that whoever reads it can say which one it was
	return OK;
}

static int hex4(struct parser *p)
{
	const uint8_t *s = cursor_take(&p->c, 4);
	int v = 0;
	for (int i = 0; s && i < 4; i++) {
		int c = s[i] | 0x20;
		int d = s[i] >= '0' && s[i] <= '9' ? s[i] - '0'
			: c >= 'a' && c <= 'f'	   ? c - 'a' + 10
						   : -1;
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return s ? v : -1;
}

static size_t put(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)((0xf00 >> n & 0xff) | c);
	return n;
}

static struct err escape(struct parser *p, char *out, size_t *n)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int c = peek(p);
	const char *at = c > 0 ? strchr(from, c) : NULL;
	if (at) {
		p->c.at++;
		out[(*n)++] = to[at - from];
		return OK;
	}
	if (c != 'u')
		return wrong(p, "this escape is unknown");
	p->c.at++;
	int v = hex4(p);
	uint32_t scalar = (uint32_t)v;
	if (v >= 0xd800 && v < 0xdc00 && cursor_left(&p->c) >= 6 &&
	    memcmp(p->c.at, "\\u", 2) == 0) {
		p->c.at += 2;
		int low = hex4(p);
		if (low < 0xdc00 || low > 0xdfff)
			v = -1;
		scalar = 0x10000 + (((uint32_t)v - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
	} else if (v >= 0xd800 && v < 0xe000) {
		v = -1;
	}
	if (v < 0)
		return wrong(p, "\\u takes four hexadecimal digits, and surrogates come in pairs");
	*n += put(out + *n, scalar);
	return OK;
}

static struct err string(struct parser *p, struct cedar_text *out)
{
	p->c.at++; // the quote
	const uint8_t *from = p->c.at;
	while (peek(p) >= 0x20 && peek(p) != '"' && peek(p) != '\\')
		p->c.at++;
	*out = (struct cedar_text){(const char *)from, (size_t)(p->c.at - from)};
	if (peek(p) != '"') {
		// no longer than its source, since every escape shrinks
		const uint8_t *end = p->c.at;
		while (end < p->c.end && *end != '"')
			end += *end == '\\' && end + 1 < p->c.end ? 2 : 1;
		char *s = arena_alloc(p->a, (size_t)(end - from) + 1);
		NEED(s);
		size_t n = out->n;
		memcpy(s, from, n);
		while (peek(p) != '"') {
			if (peek(p) < 0x20)
				return wrong(p, "a string ends with \", and control characters in "
						"it are escaped");
			if (peek(p) == '\\') {
				p->c.at++;
				TRY(escape(p, s, &n));
			} else {
				s[n++] = (char)*p->c.at++;
			}
		}
		*out = (struct cedar_text){s, n};
	}
	p->c.at++;
	return OK;
}

static int by_key(const void *a, const void *b)
{
	const struct json_member *const *x = a, *const *y = b;
	return text_compare((*x)->key, (*y)->key);
}

static struct err no_duplicates(const struct parser *p, const struct json_member *m, size_t n)
{
	const struct json_member *twice = NULL;
	for (size_t i = 1; n <= KEYS_BY_PAIRS && i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (text_equal(m[i].key, m[j].key))
				twice = &m[i];
	if (n > KEYS_BY_PAIRS) {
		const struct json_member **order = malloc(n * sizeof *order);
		NEED(order);
		for (size_t i = 0; i < n; i++)
			order[i] = &m[i];
		qsort(order, n, sizeof *order, by_key);
		for (size_t i = 1; i < n; i++)
			if (text_equal(order[i]->key, order[i - 1]->key))
				twice = order[i];
		free(order);
	}
	if (twice)
		return cedar_syntax(p->text, twice->value.at, "the key \"%.*s\" occurs twice",
				    TEXT_ARG(twice->key));
	return OK;
}

static struct err value(struct parser *p, struct json *out);

static struct err member(struct parser *p, bool object)
{
	struct json_member m = {0};
	if (object) {
		skip_space(p);
		if (peek(p) != '"')
			return wrong(p, "a key in \" is expected");
		TRY(string(p, &m.key));
		if (!accept(p, ':'))
			return wrong(p, ": is expected after the key");
	}
	TRY(value(p, &m.value));
	VEC_PUSH(&p->stack, m);
	return OK;
}

static struct err close_list(struct parser *p, bool object, size_t base, struct json *out)
{
	const struct json_member *from = p->stack.v + base;
	size_t n = p->stack.n - base;
	out->n = (uint32_t)n;
	p->stack.n = base;
	if (!object) {
		struct json *items = arena_alloc(p->a, n * sizeof *items);
		NEED(items);
		for (size_t i = 0; i < n; i++)
			items[i] = from[i].value;
		out->items = items;
		return OK;
	}
	struct json_member *members = arena_alloc(p->a, n * sizeof *members);
	NEED(members);
	if (n)
		memcpy(members, from, n * sizeof *members);
	out->members = members;
	return no_duplicates(p, members, n);
}

static struct err list(struct parser *p, bool object, struct json *out)
{
	char end = object ? '}' : ']';
	size_t base = p->stack.n;
	out->kind = object ? JSON_OBJECT : JSON_ARRAY;
	if (++p->depth > CEDAR_NESTING_MAX)
		return err_make(ERR_LIMIT, "JSON values are nested deeper than %d",
				CEDAR_NESTING_MAX);
	p->c.at++;
	if (!accept(p, end)) {
		do
			TRY(member(p, object));
		while (accept(p, ','));
		if (!accept(p, end))
			return wrong(p, object ? ", or } is expected" : ", or ] is expected");
	}
	p->depth--;
	return close_list(p, object, base, out);
}

static struct err value(struct parser *p, struct json *out)
{
	skip_space(p);
	*out = (struct json){.at = (uint32_t)(p->c.at - p->c.start)};
	switch (peek(p)) {
	case '{':
		return list(p, true, out);
	case '[':
		return list(p, false, out);
	case '"':
		out->kind = JSON_STRING;
		return string(p, &out->s);
	case 't':
	case 'f':
		out->kind = JSON_BOOL;
		out->b = peek(p) == 't';
		return word(p, out->b ? "true" : "false");
	case 'n':
		return word(p, "null");
	default:
		return number(p, out);
	}
}

struct err cedar_json_parse(struct arena *a, struct cedar_text text, const struct json **out)
{
	ENSURE(text.n <= CEDAR_SOURCE_MAX, ERR_LIMIT, "the JSON text is longer than %d bytes",
	       CEDAR_SOURCE_MAX);
	ENSURE(cedar_utf8_valid(text), ERR_USAGE, "the JSON text is not UTF-8");
	struct parser p = {.a = a, .text = text, .c = cursor_over(text.s, text.n)};
	struct json *root = arena_alloc(a, sizeof *root);
	NEED(root);
	struct err e = value(&p, root);
	skip_space(&p);
	if (!e.code && p.c.at != p.c.end)
		e = wrong(&p, "nothing may follow the value");
	free(p.stack.v);
	*out = root;
	return e;
}

const struct json *cedar_json_get(const struct json *object, const char *key)
{
	if (object->kind != JSON_OBJECT)
		return NULL;
	for (uint32_t i = 0; i < object->n; i++)
		if (text_is(object->members[i].key, key))
			return &object->members[i].value;
	return NULL;
}
