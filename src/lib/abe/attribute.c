// SPDX-License-Identifier: Apache-2.0
#include "lib/abe/attribute.h"

#include "lib/abe/term.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	struct term term;
	const char *text;
};

struct attributes {
	struct arena *arena;
	const char *text;
	struct attribute *all;
	size_t n;
	uint16_t *by_hash; // indices into all
};

enum { ARENA = 8 << 20 };

void attributes_free(struct attributes *a)
{
	if (!a)
		return;
	arena_free(a->arena);
	free(a);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->text, ((const struct entry *)b)->text);
}

static struct err parse_entries(struct words *w, struct entry *entries, size_t *n)
{
	*n = 0;
	do {
		scoped(buf) struct buf text = {.limit = 8192};
		if (*n == ATTRIBUTES_MAX)
			return words_wrong(w, "at most %d attributes", ATTRIBUTES_MAX);
		struct entry *e = &entries[(*n)++];
		TRY(term_parse(w, &e->term));
		if (e->term.op != TERM_EQ)
			return words_wrong(w, "an attribute of a key is written %s=value",
					   e->term.name);
		term_print(&e->term, &text);
		e->text = arena_strdup(w->arena, buf_text(&text));
		ENSURE(e->text, ERR_LIMIT, "attributes: out of memory");
	} while (words_symbol(w, ","));
	return words_more(w) ? words_wrong(w, "expected , between attributes") : OK;
}

// Sorted, and none twice; of an integer or an enumeration not even two values.
static struct err sort_entries(struct entry *entries, size_t n)
{
	qsort(entries, n, sizeof *entries, by_text);
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++) {
			ENSURE(strcmp(entries[i].text, entries[k].text) != 0, ERR_USAGE,
			       "%s: given twice", entries[i].text);
			ENSURE(entries[i].term.kind == TERM_TEXT ||
				       !term_same_name(&entries[i].term, &entries[k].term),
			       ERR_USAGE,
			       "%s and %s: a key has one value of an integer or an enumeration",
			       entries[i].text, entries[k].text);
		}
	return OK;
}

static struct err add_term(struct attributes *a, const struct term *t)
{
	size_t bits = t->kind == TERM_INTEGER ? t->width : 0;
	ENSURE(a->n + 1 + bits <= ATTRIBUTES_MAX, ERR_LIMIT,
	       "more than %d attributes (an integer counts as one and one for each of its bits)",
	       ATTRIBUTES_MAX);
	TRY(term_attribute(t, a->arena, &a->all[a->n++]));
	for (size_t i = bits; i-- > 0;)
		TRY(term_bit(t, (unsigned)i, t->number >> i & 1, a->arena, &a->all[a->n++]));
	return OK;
}

static int by_hash(const void *x, const void *y, void *ctx)
{
	const struct attribute *all = ctx;
	return memcmp(all[*(const uint16_t *)x].hash, all[*(const uint16_t *)y].hash, 32);
}

static struct err fill(struct attributes *a, const char *text, size_t n)
{
	struct words w;
	size_t n_entries;
	scoped(heap) struct entry *entries = calloc(ATTRIBUTES_MAX, sizeof *entries);
	scoped(buf) struct buf out = {.limit = 2 * ATTRIBUTE_LIST_MAX};
	a->all = arena_alloc(a->arena, ATTRIBUTES_MAX * sizeof *a->all);
	a->by_hash = arena_alloc(a->arena, ATTRIBUTES_MAX * sizeof *a->by_hash);
	ENSURE(entries && a->all && a->by_hash, ERR_LIMIT, "attributes: out of memory");
	TRY(words_open(text, n, ATTRIBUTE_LIST_MAX, a->arena, &w));
	TRY(parse_entries(&w, entries, &n_entries));
	TRY(sort_entries(entries, n_entries));
	for (size_t i = 0; i < n_entries; i++) {
		TRY(add_term(a, &entries[i].term));
		buf_printf(&out, "%s%s", i ? ", " : "", entries[i].text);
	}
	ENSURE(out.len <= ATTRIBUTE_LIST_MAX, ERR_LIMIT,
	       "the canonical list is longer than %d bytes", ATTRIBUTE_LIST_MAX);
	a->text = arena_strdup(a->arena, buf_text(&out));
	ENSURE(a->text, ERR_LIMIT, "attributes: out of memory");
	for (size_t i = 0; i < a->n; i++)
		a->by_hash[i] = (uint16_t)i;
	qsort_r(a->by_hash, a->n, sizeof *a->by_hash, by_hash, a->all);
	return OK;
}

struct err attributes_parse(const char *text, size_t n, struct attributes **out)
{
	struct attributes *a = calloc(1, sizeof *a);
	ENSURE(a, ERR_LIMIT, "attributes: out of memory");
	a->arena = arena_new(ARENA);
	struct err e =
		a->arena ? fill(a, text, n) : err_make(ERR_LIMIT, "attributes: out of memory");
	if (e.code != ERR_NONE) {
		attributes_free(a);
		return e;
	}
	*out = a;
	return OK;
}

struct err attributes_read(const char *text, size_t n, struct attributes **out)
{
	struct attributes *a;
	struct err e = attributes_parse(text, n, &a);
	if (e.code != ERR_NONE)
		return err_make(ERR_PEER, "attributes: %s", e.text);
	if (strlen(a->text) != n || memcmp(a->text, text, n) != 0) {
		attributes_free(a);
		return err_make(ERR_PEER, "attributes: not in canonical form");
	}
	*out = a;
	return OK;
}

const char *attributes_text(const struct attributes *a)
{
	return a->text;
}

size_t attributes_count(const struct attributes *a)
{
	return a->n;
}

const struct attribute *attributes_at(const struct attributes *a, size_t i)
{
	return &a->all[i];
}

int attributes_find(const struct attributes *a, const uint8_t hash[static 32])
{
	size_t low = 0, high = a->n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = memcmp(a->all[a->by_hash[mid]].hash, hash, 32);
		if (order == 0)
			return a->by_hash[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return -1;
}
