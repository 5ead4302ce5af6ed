// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include "lib/base/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 16, CELL_LEAST = 8, GAP = 2 };

// --- foreign text

// Length of the sequence at `s` and its code point; 0: not UTF-8.
static size_t code_point(const char *s, uint32_t *cp)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = *p < 0x80 ? 1 : *p >= 0xC2 && *p < 0xE0 ? 2 : *p >= 0xE0 && *p < 0xF0 ? 3
			       : *p >= 0xF0 && *p < 0xF5 ? 4 : 0;
	if (n == 0)
		return 0;
	*cp = n == 1 ? *p : *p & (0x7Fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xC0) != 0x80) // also the end of the text
			return 0;
		*cp = *cp << 6 | (p[i] & 0x3F);
	}
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	return *cp < least[n] || (*cp >= 0xD800 && *cp < 0xE000) || *cp > 0x10FFFF ? 0 : n;
}

static bool harmless(uint32_t cp)
{
	bool control = cp < 0x20 || (cp >= 0x7F && cp < 0xA0);
	bool direction = (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x2028 && cp <= 0x202E) ||
			 (cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF || cp == 0x061C;
	return !control && !direction;
}

void text_safe(const char *s, struct buf *out)
{
	uint32_t cp = 0;
	while (*s) {
		size_t n = code_point(s, &cp);
		if (n && harmless(cp))
			buf_append(out, s, n);
		else
			buf_str(out, "?");
		s += n ? n : 1;
	}
}

unsigned text_columns(const char *s)
{
	unsigned n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xC0) != 0x80;
	return n;
}

// Appends at most `columns` of a safe text, the last one a mark when it was shortened.
static void shorten(const char *s, unsigned columns, struct buf *out)
{
	if (text_columns(s) <= columns) {
		buf_str(out, s);
		return;
	}
	unsigned n = 0;
	for (; *s && n + 1 < columns; n++) {
		size_t len = 1;
		while (((unsigned char)s[len] & 0xC0) == 0x80)
			len++;
		buf_append(out, s, len);
		s += len;
	}
	buf_str(out, "~");
}

// --- times, values, states

void text_ago(int64_t then_ns, int64_t now_ns, struct buf *out)
{
	static const struct {
		int64_t s;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	bool future = then_ns > now_ns;
	int64_t s = (future ? then_ns - now_ns : now_ns - then_ns) / NS_PER_S;
	if (s == 0) {
		buf_str(out, "now");
		return;
	}
	unsigned i = 0;
	while (s < units[i].s * (i < 2 ? 2 : 1)) // up to 47 h in hours, up to 119 min in minutes
		i++;
	buf_printf(out, future ? "in %" PRId64 " %s" : "%" PRId64 " %s ago", s / units[i].s,
		   units[i].name);
}

void text_time(const char *rfc3339, const struct style *s, struct buf *out)
{
	int64_t ns;
	struct err e = s->terminal ? clock_parse(rfc3339, &ns) : err_make(ERR_USAGE, "%s", "");
	if (e.code == ERR_NONE)
		text_ago(ns, s->now_ns, out);
	else
		text_safe(rfc3339, out);
}

bool text_is_time(const char *key, const json_t *j)
{
	const char *s = json_string_value(j);
	size_t n = strlen(key);
	bool named = strstr(key, "time") || strstr(key, "since") || strstr(key, "until") ||
		     strncmp(key, "last_", 5) == 0 || strcmp(key, "as_of") == 0 ||
		     strcmp(key, "when") == 0 || (n > 3 && strcmp(key + n - 3, "_at") == 0) ||
		     strcmp(key, "created") == 0;
	return named && s && strlen(s) > 18 && s[4] == '-' && s[10] == 'T';
}

void text_value(const json_t *j, struct buf *out)
{
	size_t i;
	json_t *item;
	char *text = NULL;
	if (json_is_string(j)) {
		text_safe(json_string_value(j), out);
	} else if (json_is_integer(j)) {
		buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
	} else if (json_is_real(j)) {
		buf_printf(out, "%.6g", json_real_value(j));
	} else if (json_is_boolean(j)) {
		buf_str(out, json_is_true(j) ? "yes" : "no");
	} else if (json_is_array(j)) {
		json_array_foreach((json_t *)(uintptr_t)j, i, item) {
			if (i)
				buf_str(out, ", ");
			text_value(item, out);
		}
	} else if (json_is_object(j)) {
		text = json_dumps(j, JSON_COMPACT);
		text_safe(text ? text : "", out);
		free(text);
	}
}

bool text_is_state(const char *key)
{
	static const char *const keys[] = {"state", "verdict", "status", "oper_status", "result",
					   "severity", "running"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

static const char *colour_of(const char *word)
{
	static const char *const good[] = {"up", "production", "attested", "pass", "delivered", "ok",
					   "present", "permit", "yes", "verified", "confirmed"};
	static const char *const bad[] = {"down", "revoked", "fail", "dropped", "loop", "no", "black-hole",
					  "refused", "lower_layer_down", "no-route", "critical",
					  "rejected", "unreachable", "contradicted", "error"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (strcasecmp(good[i], word) == 0)
			return "\033[32m";
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (strcasecmp(bad[i], word) == 0)
			return "\033[31m";
	return "\033[33m";
}

void text_state(const char *word, const struct style *s, struct buf *out)
{
	if (s->colour && *word)
		buf_str(out, colour_of(word));
	text_safe(word, out);
	if (s->colour && *word)
		buf_str(out, "\033[0m");
}

// --- tables

struct cell {
	char *text;
	bool state;
};

struct table {
	unsigned columns, cells, cap;
	char *head[COLUMNS_MAX];
	struct cell *cell;
	bool failed;
};

struct table *table_new(unsigned columns)
{
	struct table *t = calloc(1, sizeof *t);
	if (t)
		t->columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX;
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->columns; i++)
		free(t->head[i]);
	for (unsigned i = 0; i < t->cells; i++)
		free(t->cell[i].text);
	free(t->cell);
	free(t);
}

void table_head(struct table *t, const char *const *names)
{
	for (unsigned i = 0; i < t->columns; i++) {
		scoped(buf) struct buf safe = {0};
		text_safe(names[i], &safe);
		t->head[i] = strdup(buf_text(&safe));
		for (char *c = t->head[i]; c && *c; c++)
			*c = *c == '_' ? ' ' : (char)toupper((unsigned char)*c);
	}
}

void table_cell(struct table *t, const char *text, bool state)
{
	scoped(buf) struct buf safe = {.limit = 64 << 10};
	if (t->cells == t->cap) {
		unsigned cap = t->cap ? t->cap * 2 : 64;
		struct cell *more = realloc(t->cell, cap * sizeof *more);
		if (!more) {
			t->failed = true;
			return;
		}
		t->cell = more;
		t->cap = cap;
	}
	text_safe(text, &safe);
	char *copy = strdup(buf_text(&safe));
	t->failed |= !copy;
	if (copy)
		t->cell[t->cells++] = (struct cell){copy, state};
}

unsigned table_rows(const struct table *t)
{
	return t->cells / t->columns;
}

// Each column as wide as its widest cell; while the whole is too wide, the widest gives way.
static void widths(const struct table *t, unsigned limit, unsigned w[COLUMNS_MAX])
{
	unsigned total = 0;
	for (unsigned c = 0; c < t->columns; c++) {
		w[c] = t->head[c] ? text_columns(t->head[c]) : 0;
		for (unsigned i = c; i < t->cells; i += t->columns) {
			unsigned n = text_columns(t->cell[i].text);
			w[c] = n > w[c] ? n : w[c];
		}
		total += w[c] + (c ? GAP : 0);
	}
	while (total > limit) {
		unsigned widest = 0;
		for (unsigned c = 1; c < t->columns; c++)
			widest = w[c] > w[widest] ? c : widest;
		if (w[widest] <= CELL_LEAST)
			return;
		w[widest]--;
		total--;
	}
}

static void padded(const char *text, bool state, bool last, unsigned width, const struct style *s,
		   struct buf *out)
{
	scoped(buf) struct buf cut = {.limit = 64 << 10};
	shorten(text, width, &cut);
	if (state)
		text_state(buf_text(&cut), s, out);
	else
		buf_str(out, buf_text(&cut));
	for (unsigned n = text_columns(buf_text(&cut)); !last && n < width + GAP; n++)
		buf_str(out, " ");
}

void table_print(const struct table *t, const struct style *s, struct buf *out)
{
	unsigned w[COLUMNS_MAX];
	widths(t, s->width ? s->width : 80, w);
	for (unsigned c = 0; s->terminal && t->head[0] && c < t->columns; c++)
		padded(t->head[c], false, c + 1 == t->columns, w[c], s, out);
	if (s->terminal && t->head[0])
		buf_str(out, "\n");
	for (unsigned i = 0; i < t->cells; i++) {
		bool last = i % t->columns == t->columns - 1;
		if (s->terminal)
			padded(t->cell[i].text, t->cell[i].state, last, w[i % t->columns], s, out);
		else
			buf_str(out, t->cell[i].text);
		buf_str(out, last ? "\n" : s->terminal ? "" : "\t");
	}
}
