// SPDX-License-Identifier: Apache-2.0
// Answers for people. Most are shown by their shape alone, so that a member which the server gains
// is seen without a new client: lists as tables, objects as names and values, the stamp last.
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS_SHOWN = 8, DEPTH_SHOWN = 4 };

void cli_write(struct buf *out)
{
	fwrite(out->data, 1, out->len, stdout);
	fflush(stdout);
}

const char *show_text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static bool stamp_member(const char *key)
{
	return strcmp(key, "as_of") == 0 || strcmp(key, "age_ms") == 0 || strcmp(key, "revision") == 0;
}

void show_stamp(const json_t *body, const struct style *s, struct buf *out)
{
	const char *as_of = show_text(body, "as_of");
	if (!s->terminal || !*as_of)
		return;
	buf_str(out, "as of ");
	text_time(as_of, s, out);
	json_t *revision = json_object_get(body, "revision");
	if (json_is_integer(revision))
		buf_printf(out, ", revision %" JSON_INTEGER_FORMAT, json_integer_value(revision));
	buf_str(out, "\n");
}

static void value(const char *key, const json_t *j, const struct style *s, struct buf *out)
{
	if (text_is_time(key, j))
		text_time(json_string_value(j), s, out);
	else
		text_value(j, out);
}

// --- lists

static bool is_rows(const json_t *j)
{
	return json_is_array(j) && json_is_object(json_array_get(j, 0));
}

// Which members become columns: those that the command wants, in its order, when the rows have
// them; else the scalars of the first row.
static unsigned choose(const json_t *rows, const char *columns, const char *out[COLUMNS_SHOWN],
		       struct buf *names)
{
	const json_t *first = json_array_get(rows, 0);
	unsigned n = 0;
	const char *key;
	json_t *j;
	names->limit = 4096;
	buf_str(names, columns ? columns : "");
	for (char *at = (char *)(uintptr_t)buf_text(names); *at && n < COLUMNS_SHOWN;) {
		size_t len = strcspn(at, " ");
		bool more = at[len] == ' ';
		at[len] = 0;
		bool there = false;
		for (size_t i = 0; i < json_array_size(rows) && !there; i++)
			there = json_object_get(json_array_get(rows, i), at) != NULL;
		if (there)
			out[n++] = at;
		at += len + more;
	}
	if (n)
		return n;
	json_object_foreach((json_t *)(uintptr_t)first, key, j)
		if (n < COLUMNS_SHOWN && !json_is_object(j) && !is_rows(j))
			out[n++] = key;
	return n;
}

void show_list(const json_t *rows, const char *columns, const struct style *s, struct buf *out)
{
	const char *keys[COLUMNS_SHOWN];
	scoped(buf) struct buf names = {0};
	size_t i;
	json_t *row;
	unsigned n = choose(rows, columns, keys, &names);
	struct table *t = n ? table_new(n) : NULL;
	if (!t)
		return;
	table_head(t, keys);
	json_array_foreach((json_t *)(uintptr_t)rows, i, row)
		for (unsigned k = 0; k < n; k++) {
			scoped(buf) struct buf text = {.limit = 64 << 10};
			value(keys[k], json_object_get(row, keys[k]), s, &text);
			table_cell(t, buf_text(&text), text_is_state(keys[k]));
		}
	table_print(t, s, out);
	table_free(t);
}

// --- objects

static unsigned widest_key(const json_t *object, unsigned prefix, int depth)
{
	unsigned most = 0;
	const char *key;
	json_t *j;
	json_object_foreach((json_t *)(uintptr_t)object, key, j) {
		unsigned n = prefix + text_columns(key);
		if (json_is_object(j) && depth > 0)
			n = widest_key(j, n + 1, depth - 1);
		if (!is_rows(j) && !stamp_member(key) && n > most)
			most = n;
	}
	return most < 32 ? most : 32;
}

static void members(const json_t *object, const char *prefix, unsigned width, int depth,
		    const struct style *s, struct buf *out)
{
	const char *key;
	json_t *j;
	json_object_foreach((json_t *)(uintptr_t)object, key, j) {
		scoped(buf) struct buf name = {.limit = 1024};
		scoped(buf) struct buf text = {.limit = 1 << 20};
		buf_str(&name, prefix);
		text_safe(key, &name);
		if (is_rows(j) || (*prefix == 0 && stamp_member(key)))
			continue;
		if (json_is_object(j) && depth > 0) {
			buf_str(&name, ".");
			members(j, buf_text(&name), width, depth - 1, s, out);
			continue;
		}
		value(key, j, s, &text);
		buf_str(out, buf_text(&name));
		for (unsigned n = text_columns(buf_text(&name)); s->terminal && n < width + 2; n++)
			buf_str(out, " ");
		if (!s->terminal)
			buf_str(out, "\t");
		if (text_is_state(key))
			text_state(buf_text(&text), s, out);
		else
			buf_str(out, buf_text(&text));
		buf_str(out, "\n");
	}
}

static void tables(const json_t *object, const char *columns, bool titled, const struct style *s,
		   struct buf *out)
{
	const char *key;
	json_t *j;
	json_object_foreach((json_t *)(uintptr_t)object, key, j) {
		if (!is_rows(j))
			continue;
		if (titled && s->terminal) {
			buf_str(out, "\n");
			text_safe(key, out);
			buf_str(out, "\n");
		}
		show_list(j, columns, s, out);
	}
}

void show_any(struct cli *c, const json_t *body, struct buf *out)
{
	const struct style *s = &c->style;
	const json_t *items = json_object_get(body, "items");
	const char *columns = c->command->columns;
	if (json_is_array(body)) {
		show_list(body, columns, s, out);
		return;
	}
	if (!json_is_object(body)) {
		text_value(body, out);
		buf_str(out, "\n");
		return;
	}
	if (columns && !json_is_array(items)) { // the list goes by another name
		const char *key;
		json_t *j;
		json_object_foreach((json_t *)(uintptr_t)body, key, j)
			if (is_rows(j) && !items)
				items = j;
	}
	if (json_is_array(items)) {
		show_list(items, columns, s, out);
		if (json_array_size(items) == 0 && s->terminal)
			buf_str(out, "nothing\n");
		if (*show_text(body, "next") && s->terminal) {
			buf_str(out, "more: --cursor ");
			text_safe(show_text(body, "next"), out);
			buf_str(out, "\n");
		}
	} else {
		members(body, "", widest_key(body, 0, DEPTH_SHOWN), DEPTH_SHOWN, s, out);
		tables(body, NULL, true, s, out);
	}
	show_stamp(body, s, out);
}

// --- single commands

void show_status(struct cli *c, const json_t *body, struct buf *out)
{
	const struct style *s = &c->style;
	const json_t *processes = json_object_get(body, "processes");
	members(body, "", widest_key(body, 0, DEPTH_SHOWN), DEPTH_SHOWN, s, out);
	if (is_rows(processes)) {
		buf_str(out, s->terminal ? "\n" : "");
		show_list(processes, "name running pid uid restarts rss_bytes started sandbox", s, out);
	}
	show_stamp(body, s, out);
}

void show_enrol(struct cli *c, const json_t *body, struct buf *out)
{
	const char *token = show_text(body, "token");
	if (!c->style.terminal && *token) { // gemel device enrol r1 > token
		text_safe(token, out);
		buf_str(out, "\n");
		return;
	}
	show_any(c, body, out);
	buf_str(out, "It is shown once and works once. Put it into the device's token_file.\n");
}

void show_verify(struct cli *c, const json_t *body, struct buf *out)
{
	static const char *const keys[] = {"ok", "good", "verified", "intact"};
	show_any(c, body, out);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		c->false_answer |= json_is_false(json_object_get(body, keys[i]));
	c->false_answer |= json_array_size(json_object_get(body, "damaged")) > 0;
}
