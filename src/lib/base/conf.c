// SPDX-License-Identifier: Apache-2.0
// The whole file is loaded as one libyaml document, whose nodes keep their line, and the table is
// laid over it: first each mapping's keys are held against the table (unknown, repeated), then the
// table is walked and each key's value converted, or its default taken. The walk's depth is the
// table's, so that neither nesting nor YAML aliases can make it long.
//
// An absent section is an empty one: its defaults apply. When it is `optional`, the keys in it that
// are required stay zero, which is how a program sees that it was left out.
//
// Events were tried on paper instead of the document: the same checks need the same tree.
#include "lib/base/conf.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

enum { FILE_MOST = 1 << 20, KEYS_MOST = 128, DEPTH_MOST = 8, ITEMS_MOST = 10000 };

struct conf_reader {
	const char *name;
	size_t folder; // length of name's folder with its slash; 0: none
	yaml_document_t *doc;
	struct arena *a;
};

// Where the walk is: a key, below its section, or item number `item` of it (from 1).
struct place {
	const struct place *above;
	const char *key;
	size_t item;
	size_t line;
};

struct unit {
	const char *suffix;
	int64_t scale;
};

static const struct unit durations[] = {
	{"ms", NS_PER_MS},
	{"s", NS_PER_S},
	{"m", 60 * NS_PER_S},
	{"h", 3600 * NS_PER_S},
	{"d", 86400 * NS_PER_S},
	{"us", 1000},
	{"ns", 1},
	{NULL, 0},
};

static const struct unit sizes[] = {
	{"", 1}, {"k", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1LL << 40}, {NULL, 0},
};

// --- errors

static void place_write(const struct place *p, struct buf *b)
{
	if (!p)
		return;
	place_write(p->above, b);
	if (p->item)
		buf_printf(b, "[%zu]", p->item);
	else
		buf_printf(b, "%s%.64s", b->len ? "." : "", p->key);
}

#define FAIL(r, p, ...) place_error(r, p, err_make(ERR_USAGE, __VA_ARGS__))

static struct err place_error(const struct conf_reader *r, const struct place *p, struct err inner)
{
	scoped(buf) struct buf where = {.limit = 512};
	place_write(p, &where);
	if (!where.len)
		return err_within(inner, "%s:%zu", r->name, p ? p->line : 1);
	return err_within(inner, "%s:%zu: %s", r->name, p->line, buf_text(&where));
}

// The table's keys, for "allowed: a, b, c".
static const char *names_of(const struct conf_key *keys, struct buf *b)
{
	for (; keys->name; keys++)
		buf_printf(b, "%s%s", b->len ? ", " : "", keys->name);
	return buf_text(b);
}

static const char *choices_of(const char *const *choices, struct buf *b)
{
	for (; *choices; choices++)
		buf_printf(b, "%s%s", b->len ? ", " : "", *choices);
	return buf_text(b);
}

// A bound in the largest unit that divides it.
static const char *bound_write(int64_t v, enum conf_type type, char out[32])
{
	const struct unit *best = NULL, *u = type == CONF_DURATION ? durations : sizes;
	for (; type != CONF_INT && v && u->suffix; u++)
		if (v % u->scale == 0 && (!best || u->scale > best->scale))
			best = u;
	snprintf(out, 32, "%" PRId64 "%s", best ? v / best->scale : v, best ? best->suffix : "");
	return out;
}

// What a value of this key may be, in words.
static const char *allowed(const struct conf_key *k, struct buf *b)
{
	static const char *const words[] = {
		[CONF_STRING] = "a text",
		[CONF_PATH] = "a path",
		[CONF_INT] = "a whole number",
		[CONF_BOOL] = "true, false, yes or no",
		[CONF_DURATION] = "a number and ms, s, m, h or d, such as 10s",
		[CONF_SIZE] = "bytes, or a number and k, M, G or T, such as 64M",
		[CONF_LIST] = "a list of texts",
		[CONF_SECTION] = "keys with values",
		[CONF_SECTIONS] = "a list, each item of keys with values",
	};
	char low[32], high[32];
	if (k->type == CONF_CHOICE) {
		buf_str(b, "one of ");
		for (const char *const *c = k->choices; *c; c++)
			buf_printf(b, "%s%s", c == k->choices ? "" : ", ", *c);
		return buf_text(b);
	}
	buf_str(b, words[k->type]);
	if (k->min || k->max)
		buf_printf(b, ", %s to %s", bound_write(k->min, k->type, low),
			   bound_write(k->max, k->type, high));
	return buf_text(b);
}

// --- one value

static struct err bad_value(const struct conf_reader *r, const struct place *p,
			    const struct conf_key *k, const char *text)
{
	scoped(buf) struct buf words = {.limit = 400};
	return FAIL(r, p, "\"%.64s\" is not allowed; write %s", text, allowed(k, &words));
}

static struct err put_number(const struct conf_reader *r, const struct place *p,
			     const struct conf_key *k, const char *text, void *out)
{
	static const struct unit plain[] = {{"", 1}, {NULL, 0}};
	const struct unit *u = k->type == CONF_DURATION ? durations
			       : k->type == CONF_SIZE	? sizes
							: plain;
	char *end, low[32], high[32];
	errno = 0;
	long long n = strtoll(text, &end, 10);
	int64_t v = 0;
	bool digits = (*text >= '0' && *text <= '9') || (*text == '-' && end > text + 1);
	while (u->suffix && strcmp(u->suffix, end) != 0)
		u++;
	if (n == 0 && !*end) // zero needs no unit
		u = plain;
	if (!digits || !u->suffix)
		return bad_value(r, p, k, text);
	bool over = errno || __builtin_mul_overflow(n, u->scale, &v);
	bool bounded = k->min || k->max;
	if (!bounded && over)
		return FAIL(r, p, "%.64s is too large", text);
	if (bounded && (over || v < k->min || v > k->max))
		return FAIL(r, p, "%.64s is too %s; %s to %s", text,
			    (over ? n < 0 : v < k->min) ? "small" : "large",
			    bound_write(k->min, k->type, low), bound_write(k->max, k->type, high));
	memcpy(out, &v, sizeof v);
	return OK;
}

static struct err put_bool(const struct conf_reader *r, const struct place *p,
			   const struct conf_key *k, const char *text, void *out)
{
	bool v = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0;
	if (!v && strcmp(text, "false") != 0 && strcmp(text, "no") != 0)
		return bad_value(r, p, k, text);
	memcpy(out, &v, sizeof v);
	return OK;
}

static struct err put_choice(const struct conf_reader *r, const struct place *p,
			     const struct conf_key *k, const char *text, void *out)
{
	for (int i = 0; k->choices[i]; i++)
		if (strcmp(k->choices[i], text) == 0) {
			memcpy(out, &i, sizeof i);
			return OK;
		}
	scoped(buf) struct buf words = {.limit = 400};
	return FAIL(r, p, "\"%.64s\" is not one of %s", text, choices_of(k->choices, &words));
}

static struct err put_text(const struct conf_reader *r, const struct place *p,
			   const struct conf_key *k, const char *text, void *out)
{
	bool relative = k->type == CONF_PATH && *text && *text != '/' && r->folder;
	char *s = relative ? arena_printf(r->a, "%.*s%s", (int)r->folder, r->name, text)
			   : arena_strdup(r->a, text);
	if (!s)
		return place_error(r, p, err_make(ERR_LIMIT, "the configuration is too large"));
	memcpy(out, &s, sizeof s);
	return OK;
}

static struct err put_scalar(const struct conf_reader *r, const struct place *p,
			     const struct conf_key *k, const char *text, void *out)
{
	switch (k->type) {
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
		return put_number(r, p, k, text, out);
	case CONF_BOOL:
		return put_bool(r, p, k, text, out);
	case CONF_CHOICE:
		return put_choice(r, p, k, text, out);
	default:
		return put_text(r, p, k, text, out);
	}
}

// A scalar's text: not empty unless quoted, no control bytes but newline and tab.
static struct err scalar_of(const struct conf_reader *r, const struct place *p,
			    const struct conf_key *k, const yaml_node_t *node, const char **text)
{
	scoped(buf) struct buf words = {.limit = 400};
	if (node->type != YAML_SCALAR_NODE)
		return FAIL(r, p, "is a %s; write %s",
			    node->type == YAML_SEQUENCE_NODE ? "list" : "section",
			    allowed(k, &words));
	const char *s = (const char *)node->data.scalar.value;
	size_t n = node->data.scalar.length;
	if (!n && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return FAIL(r, p, "has no value; write %s", allowed(k, &words));
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)s[i] < 0x20 && s[i] != '\n' && s[i] != '\t') || s[i] == 0x7f)
			return FAIL(r, p, "contains the control character \\x%02x", s[i]);
	*text = s;
	return OK;
}

// --- lists and sections

static struct err walk(const struct conf_reader *r, const struct place *p, const yaml_node_t *node,
		       const struct conf_key *keys, bool lenient, void *out);

static bool is_null(const yaml_node_t *node)
{
	return !node || (node->type == YAML_SCALAR_NODE && !node->data.scalar.length &&
			 node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
}

static struct err read_sequence(const struct conf_reader *r, const struct place *p,
				const struct conf_key *k, const yaml_node_t *node, void *out)
{
	bool texts = k->type == CONF_LIST;
	size_t size = texts ? sizeof(char *) : k->item_size;
	const yaml_node_item_t *first = node->data.sequence.items.start;
	size_t n = (size_t)(node->data.sequence.items.top - first);
	if (n > ITEMS_MOST)
		return FAIL(r, p, "has %zu items; at most %d are allowed", n, ITEMS_MOST);
	uint8_t *items = arena_alloc(r->a, n * size);
	if (!items)
		return place_error(r, p, err_make(ERR_LIMIT, "the configuration is too large"));
	static const struct conf_key text_key = {.type = CONF_STRING};
	for (size_t i = 0; i < n; i++) {
		const yaml_node_t *item = yaml_document_get_node(r->doc, first[i]);
		struct place here = {p, k->name, i + 1, item->start_mark.line + 1};
		const char *text;
		if (!texts) {
			TRY(walk(r, &here, item, k->keys, false, items + i * size));
			continue;
		}
		TRY(scalar_of(r, &here, &text_key, item, &text));
		TRY(put_text(r, &here, &text_key, text, items + i * size));
	}
	if (texts)
		*(struct conf_list *)out = (struct conf_list){(char **)(void *)items, n};
	else
		*(struct conf_items *)out = (struct conf_items){items, n};
	return OK;
}

// A list's default: texts with commas between.
static struct err list_fallback(const struct conf_reader *r, const struct place *p,
				const char *text, struct conf_list *out)
{
	size_t n = *text ? 1 : 0;
	for (const char *c = text; *c; c++)
		n += *c == ',';
	*out = (struct conf_list){arena_alloc(r->a, n * sizeof(char *)), 0};
	for (const char *c = text; n && out->items; c++) {
		size_t len = strcspn(c, ",");
		if (!(out->items[out->n++] = arena_strndup(r->a, c, len)))
			break;
		c += len;
		if (!*c)
			return OK;
	}
	return n ? place_error(r, p, err_make(ERR_LIMIT, "the configuration is too large")) : OK;
}

static struct err read_absent(const struct conf_reader *r, const struct place *p,
			      const struct conf_key *k, bool lenient, void *out)
{
	if (k->type == CONF_SECTION)
		return walk(r, p, NULL, k->keys, lenient || k->optional, out);
	if (k->fallback && k->type == CONF_LIST)
		return list_fallback(r, p, k->fallback, out);
	if (k->type == CONF_SECTIONS && k->fallback)
		return OK;
	if (k->fallback)
		return put_scalar(r, p, k, k->fallback, out);
	if (k->optional || lenient)
		return OK;
	scoped(buf) struct buf words = {.limit = 400};
	return FAIL(r, p, "is missing (%s); write %s", k->help ? k->help : k->name,
		    allowed(k, &words));
}

static struct err read_present(const struct conf_reader *r, const struct place *p,
			       const struct conf_key *k, const yaml_node_t *node, void *out)
{
	const char *text;
	switch (k->type) {
	case CONF_SECTION:
		return walk(r, p, is_null(node) ? NULL : node, k->keys, false, out);
	case CONF_LIST:
	case CONF_SECTIONS:
		if (is_null(node))
			return OK;
		if (node->type != YAML_SEQUENCE_NODE) {
			scoped(buf) struct buf words = {.limit = 400};
			return FAIL(r, p, "is not a list; write %s", allowed(k, &words));
		}
		return read_sequence(r, p, k, node, out);
	default:
		TRY(scalar_of(r, p, k, node, &text));
		return put_scalar(r, p, k, text, out);
	}
}

// --- the table over a mapping

static struct err find_key(const struct conf_reader *r, const struct place *p,
			   const yaml_node_t *name, const struct conf_key *keys, size_t *index)
{
	scoped(buf) struct buf words = {.limit = 2000};
	struct place here = {p ? p->above : NULL, p ? p->key : NULL, p ? p->item : 0,
			     name->start_mark.line + 1};
	const struct place *at = p ? &here : &(struct place){NULL, "", 0, here.line};
	if (name->type != YAML_SCALAR_NODE)
		return FAIL(r, at, "a key must be a word; allowed: %s", names_of(keys, &words));
	const char *s = (const char *)name->data.scalar.value;
	for (size_t i = 0; keys[i].name; i++)
		if (strlen(keys[i].name) == name->data.scalar.length &&
		    strcmp(keys[i].name, s) == 0) {
			*index = i;
			return OK;
		}
	struct place unknown = {p, s, 0, here.line};
	return FAIL(r, &unknown, "unknown key; allowed: %s", names_of(keys, &words));
}

// Which value stands for which key of the table. `lines` are the keys', 0 where absent.
static struct err match(const struct conf_reader *r, const struct place *p, const yaml_node_t *node,
			const struct conf_key *keys, const yaml_node_t *values[KEYS_MOST],
			size_t lines[KEYS_MOST])
{
	if (node->type != YAML_MAPPING_NODE) {
		struct place top = {NULL, "", 0, node->start_mark.line + 1};
		scoped(buf) struct buf words = {.limit = 2000};
		return FAIL(r, p ? p : &top, "is not a section; write \"key: value\" lines with %s",
			    names_of(keys, &words));
	}
	const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	for (; pair < node->data.mapping.pairs.top; pair++) {
		size_t i = 0;
		const yaml_node_t *name = yaml_document_get_node(r->doc, pair->key);
		TRY(find_key(r, p, name, keys, &i));
		struct place here = {p, keys[i].name, 0, name->start_mark.line + 1};
		if (lines[i])
			return FAIL(r, &here, "is given twice, first in line %zu; keep one",
				    lines[i]);
		lines[i] = here.line;
		values[i] = yaml_document_get_node(r->doc, pair->value);
	}
	return OK;
}

static struct err walk(const struct conf_reader *r, const struct place *p, const yaml_node_t *node,
		       const struct conf_key *keys, bool lenient, void *out)
{
	const yaml_node_t *values[KEYS_MOST] = {NULL};
	size_t lines[KEYS_MOST] = {0}, n = 0;
	while (keys[n].name)
		n++;
	ENSURE(n < KEYS_MOST, ERR_INTERNAL, "%s: a table of %zu keys", r->name, n);
	if (node)
		TRY(match(r, p, node, keys, values, lines));
	size_t line = p ? p->line : 1;
	for (size_t i = 0; i < n; i++) {
		struct place here = {p, keys[i].name, 0, lines[i] ? lines[i] : line};
		void *to = (uint8_t *)out + keys[i].offset;
		TRY(lines[i] ? read_present(r, &here, &keys[i], values[i], to)
			     : read_absent(r, &here, &keys[i], lenient, to));
	}
	return OK;
}

// --- the file

static struct err yaml_error(const char *name, const yaml_parser_t *y)
{
	if (y->error == YAML_READER_ERROR)
		return err_make(ERR_USAGE, "%s: %s at byte %zu; write UTF-8 text", name, y->problem,
				y->problem_offset);
	if (y->error == YAML_MEMORY_ERROR || !y->problem)
		return err_make(ERR_LIMIT, "%s: out of memory", name);
	return err_make(ERR_USAGE, "%s:%zu: not valid YAML: %s%s%s", name, y->problem_mark.line + 1,
			y->context ? y->context : "", y->context ? ", " : "", y->problem);
}

static struct err one_document(const char *name, yaml_parser_t *y)
{
	yaml_document_t next;
	if (!yaml_parser_load(y, &next))
		return yaml_error(name, y);
	bool more = yaml_document_get_root_node(&next) != NULL;
	size_t line = next.start_mark.line + 1;
	yaml_document_delete(&next);
	ENSURE(!more, ERR_USAGE, "%s:%zu: a second document begins; a configuration is one", name,
	       line);
	return OK;
}

struct err conf_parse(const char *name, const char *text, size_t n, const struct conf_key *keys,
		      void *out, struct arena *a)
{
	ENSURE(n <= FILE_MOST, ERR_LIMIT, "%s: larger than %d bytes", name, FILE_MOST);
	yaml_parser_t y;
	yaml_document_t doc;
	ENSURE(yaml_parser_initialize(&y), ERR_LIMIT, "%s: out of memory", name);
	yaml_parser_set_input_string(&y, (const unsigned char *)text, n);
	if (!yaml_parser_load(&y, &doc)) {
		struct err e = yaml_error(name, &y);
		yaml_parser_delete(&y);
		return e;
	}
	const char *slash = strrchr(name, '/');
	struct conf_reader r = {name, slash ? (size_t)(slash - name) + 1 : 0, &doc, a};
	const yaml_node_t *root = yaml_document_get_root_node(&doc);
	struct err e = walk(&r, NULL, is_null(root) ? NULL : root, keys, false, out);
	if (e.code == ERR_NONE && root)
		e = one_document(name, &y);
	yaml_document_delete(&doc);
	yaml_parser_delete(&y);
	return e;
}

struct err conf_load(const char *path, const struct conf_key *keys, void *out, struct arena *a)
{
	scoped(buf) struct buf text = {.limit = FILE_MOST};
	scoped(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_system("%s: the configuration cannot be opened", path);
	for (;;) {
		uint8_t block[16384];
		ssize_t n = read(fd, block, sizeof block);
		if (n < 0)
			return err_system("%s: the configuration cannot be read", path);
		if (n == 0)
			break;
		buf_append(&text, block, (size_t)n);
	}
	TRY(buf_check(&text, path));
	return conf_parse(path, text.data ? (const char *)text.data : "", text.len, keys, out, a);
}

// --- the sample

// `off`: "#" in front of each line, for what need not be there.
static void describe(const struct conf_key *k, unsigned depth, bool off, struct buf *out)
{
	for (; k->name && depth < DEPTH_MOST; k++) {
		scoped(buf) struct buf words = {.limit = 400};
		bool absent = off || (k->optional && !k->fallback);
		bool items = k->type == CONF_SECTIONS, nested = items || k->type == CONF_SECTION;
		if (depth == 0)
			buf_str(out, "\n");
		buf_printf(out, "%*s# %s", (int)depth * 2, "", k->help ? k->help : k->name);
		if (!nested)
			buf_printf(out, ": %s", allowed(k, &words));
		buf_printf(out, "%s\n",
			   k->optional		     ? " (optional)"
			   : !k->fallback && !nested ? " (required)"
						     : "");
		buf_printf(out, "%s%*s%s:", absent ? "#" : "", (int)depth * 2, "", k->name);
		if (!nested && k->fallback && k->type == CONF_LIST)
			buf_printf(out, " [%s]", k->fallback);
		else if (!nested && k->fallback)
			buf_printf(out, " %s", *k->fallback ? k->fallback : "\"\"");
		buf_str(out, "\n");
		if (items)
			buf_printf(out, "%s%*s-\n", absent ? "#" : "", (int)depth * 2 + 2, "");
		if (nested)
			describe(k->keys, depth + (items ? 2 : 1), absent, out);
	}
}

void conf_describe(const struct conf_key *keys, struct buf *out)
{
	describe(keys, 0, false, out);
}
