// SPDX-License-Identifier: Apache-2.0
// RFC 4180: fields by comma, quoted ones may hold commas, line ends and doubled quotes. A UTF-8
// mark at the beginning and empty lines are let pass; semicolons are told from commas by the
// header.
#include "management/import.h"

#include "lib/base/cursor.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { COLUMNS_MAX = 64 };

static const struct {
	const char *column, *field;
} columns[] = {
	{"id", "id"},	  {"name", "id"},	  {"device", "id"},
	{"kind", "kind"}, {"domain", "domain"},	  {"site", "site"},
	{"role", "role"}, {"address", "address"}, {"primary_ip", "address"},
	{"port", "port"},
};

struct csv {
	struct cursor c;
	unsigned line;
	char separator;
	struct import *out;
	const char *fields[COLUMNS_MAX]; // of each column; NULL: means nothing here
	size_t n_columns;
};

enum field_end { FIELD_MORE, FIELD_ROW, FIELD_TEXT };

static int peek(const struct csv *s)
{
	return cursor_left(&s->c) ? s->c.at[0] : -1;
}

// The rest of a quoted field.
static bool quoted(struct csv *s, char *out, size_t *n)
{
	while (cursor_left(&s->c)) {
		uint8_t ch = cursor_u8(&s->c);
		if (ch == '"' && peek(s) != '"')
			return true;
		if (ch == '"')
			cursor_u8(&s->c);
		s->line += ch == '\n';
		if (*n < IMPORT_FIELD_MAX)
			out[(*n)++] = (char)ch;
	}
	return false;
}

static enum field_end end_of(struct csv *s)
{
	if (peek(s) == '\r')
		cursor_u8(&s->c);
	if (peek(s) < 0)
		return FIELD_TEXT;
	uint8_t ch = cursor_u8(&s->c);
	s->line += ch == '\n';
	return ch == '\n' ? FIELD_ROW : FIELD_MORE;
}

// One field into `out` (cut at IMPORT_FIELD_MAX, which no member reaches). *good: well-formed.
static enum field_end field(struct csv *s, char out[IMPORT_FIELD_MAX + 1], bool *good)
{
	size_t n = 0;
	*good = true;
	if (peek(s) == '"') {
		cursor_u8(&s->c);
		*good = quoted(s, out, &n);
	}
	for (int ch; (ch = peek(s)) >= 0 && ch != s->separator && ch != '\n' &&
		     !(ch == '\r' && cursor_left(&s->c) > 1 && s->c.at[1] == '\n');) {
		cursor_u8(&s->c);
		if (n < IMPORT_FIELD_MAX)
			out[n++] = (char)ch;
	}
	while (n && (out[n - 1] == ' ' || out[n - 1] == '\t'))
		n--;
	out[n] = 0;
	size_t blank = strspn(out, " \t");
	memmove(out, out + blank, strlen(out + blank) + 1);
	return end_of(s);
}

static const char *field_of(const char *column)
{
	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
		if (strcasecmp(columns[i].column, column) == 0)
			return columns[i].field;
	return NULL;
}

static void choose_separator(struct csv *s)
{
	const uint8_t *end = memchr(s->c.at, '\n', cursor_left(&s->c));
	size_t n = end ? (size_t)(end - s->c.at) : cursor_left(&s->c);
	s->separator = !memchr(s->c.at, ',', n) && memchr(s->c.at, ';', n) ? ';' : ',';
}

static void ignore(struct import *i, const char *column)
{
	char shown[64];
	size_t n = 0;
	for (; column[n] && n < sizeof shown - 1; n++)
		shown[n] = column[n] >= ' ' && column[n] <= '~' ? column[n] : '?';
	shown[n] = 0;
	json_array_append_new(i->ignored, json_string(shown));
}

static struct err header(struct csv *s)
{
	char text[IMPORT_FIELD_MAX + 1];
	bool good, has_id = false;
	enum field_end end = FIELD_MORE;
	while (end == FIELD_MORE) {
		end = field(s, text, &good);
		ENSURE(good, ERR_USAGE, "line 1: a quoted column name does not end");
		ENSURE(s->n_columns < COLUMNS_MAX, ERR_USAGE, "line 1: more than %d columns",
		       COLUMNS_MAX);
		const char *name = field_of(text);
		for (size_t i = 0; i < s->n_columns; i++)
			ENSURE(!name || s->fields[i] != name, ERR_USAGE,
			       "line 1: two columns mean %s", name);
		if (!name && *text)
			ignore(s->out, text);
		has_id |= name && strcmp(name, "id") == 0;
		s->fields[s->n_columns++] = name;
	}
	ENSURE(has_id, ERR_USAGE,
	       "line 1: there is no column id (or name); id, kind, domain, site, role, address and "
	       "port "
	       "are read");
	return OK;
}

static struct err row(struct csv *s)
{
	char text[IMPORT_FIELD_MAX + 1], problem[80];
	struct import_row r = {.line = s->line};
	bool all_good = true, good, empty = true;
	size_t n = 0;
	enum field_end end = FIELD_MORE;
	while (end == FIELD_MORE) {
		end = field(s, text, &good);
		empty &= !*text;
		if (!good) {
			import_error(s->out, r.line, "", "a quoted field does not end",
				     "Close it with a quote; double those inside it.");
			all_good = false;
		} else if (n < s->n_columns && s->fields[n]) {
			all_good &= import_field(s->out, &r, s->fields[n], text);
		}
		n++;
	}
	if (n == 1 && empty)
		return OK; // an empty line
	if (n != s->n_columns) {
		snprintf(problem, sizeof problem, "%zu fields; the header has %zu", n,
			 s->n_columns);
		import_error(s->out, r.line, "", problem,
			     "Give each line as many fields as the header.");
		all_good = false;
	}
	return import_add(s->out, &r, all_good);
}

struct err import_csv(const char *text, struct import *out)
{
	struct csv s = {.c = cursor_over(text, strlen(text)), .line = 1, .out = out};
	*out = (struct import){.errors = json_array(), .ignored = json_array()};
	ENSURE(out->errors && out->ignored, ERR_LIMIT, "out of memory");
	if (cursor_left(&s.c) >= 3 && memcmp(s.c.at, "\xef\xbb\xbf", 3) == 0)
		cursor_take(&s.c, 3);
	ENSURE(cursor_left(&s.c), ERR_USAGE, "the text is empty");
	choose_separator(&s);
	TRY(header(&s));
	while (cursor_left(&s.c))
		TRY(row(&s));
	return OK;
}
