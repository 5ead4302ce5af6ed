// SPDX-License-Identifier: Apache-2.0
// From a series' path to its slot. Pages of slots keep the table small while numbers are dense, and
// an absurd number from costing more than a page.

#include "lib/gnmi/path.h"
#include "models/slot.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, PAGES = 1 << 14 }; // 2^26 series

struct series {
	struct catalogue *catalogue;
	struct slot *pages[PAGES];
	size_t count;
};

struct series *series_new(void)
{
	struct series *s = calloc(1, sizeof *s);
	if (s && !(s->catalogue = catalogue_new())) {
		free(s);
		return NULL;
	}
	return s;
}

void series_free(struct series *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < PAGES; i++)
		free(s->pages[i]);
	catalogue_free(s->catalogue);
	free(s);
}

const struct catalogue *series_catalogue(const struct series *s)
{
	return s->catalogue;
}

size_t series_count(const struct series *s)
{
	return s->count;
}

const struct slot *series_slot(const struct series *s, uint32_t number)
{
	const struct slot *page = number / PAGE < PAGES ? s->pages[number / PAGE] : NULL;
	return page && page[number % PAGE].used ? &page[number % PAGE] : NULL;
}

static const struct schema_list *list_find(const char *shape)
{
	for (unsigned i = 0; i < schema_lists_n; i++)
		if (strcmp(schema_lists[i].shape, shape) == 0)
			return &schema_lists[i];
	return NULL;
}

// The key's value without escapes; false when absent or too long.
static bool key_text(const struct path_elem *e, const char *name, char *out, size_t size)
{
	size_t want = strlen(name), n = 0;
	for (unsigned k = 0; k < e->keys; k++) {
		const struct path_key *key = &e->key[k];
		if (key->name_len != want || memcmp(key->name, name, want) != 0)
			continue;
		for (unsigned i = 0; i < key->value_len; i++) {
			if (key->value[i] == '\\' && i + 1 < key->value_len)
				i++;
			if (n + 1 >= size)
				return false;
			out[n++] = key->value[i];
		}
		out[n] = 0;
		return true;
	}
	return false;
}

static bool number_parse(const char *text, uint64_t *out)
{
	*out = 0;
	if (!*text || strlen(text) > 20)
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (uint64_t)(*text - '0'), out))
			return false;
	return true;
}

struct walk {
	struct series *s;
	struct slot *slot;
	char shape[SCHEMA_SHAPE_MAX + 1];
	size_t shape_len;
	bool unbound; // a list without its key: whatever it holds
	bool unknown; // nothing that the twin reads
	// Keys are written here: an object's text must outlive object_key
	char text[CATALOGUE_NAME_MAX + 1];
};

// The key of a list element as the kind wants it; false: not understood.
static bool key_read(struct walk *w, const struct path_elem *e, const struct schema_list *list,
		     struct object_key *key)
{
	size_t at = 0;
	if (list->key2) {
		if (!key_text(e, list->key2, w->text, sizeof w->text - 1))
			return false;
		at = strlen(w->text);
		w->text[at++] = ':';
	}
	if (!key_text(e, list->key, w->text + at, sizeof w->text - at))
		return false;
	key->kind = list->kind;
	key->parent = w->slot->bound == OBJECT_NONE ? 0 : w->slot->object;
	switch (list->kind) {
	case OBJECT_ENTRY:
	case OBJECT_ADDRESS:
	case OBJECT_NEIGHBOUR:
		return prefix_parse(w->text, strlen(w->text), &key->prefix) &&
		       key->prefix.address.family == list->family &&
		       (list->kind == OBJECT_ENTRY || !strchr(w->text, '/'));
	case OBJECT_GROUP:
	case OBJECT_MEMBER:
	case OBJECT_NEXT_HOP:
		return number_parse(w->text, &key->number);
	default:
		key->text = w->text;
		return true;
	}
}

static struct err walk_list(struct walk *w, const struct path_elem *e,
			    const struct schema_list *list)
{
	if (e->keys == 0) {
		w->unbound = true;
		return OK;
	}
	if (w->unbound) { // keys below a list without one: no agent sends it
		w->unknown = true;
		return OK;
	}
	struct object_key key = {0};
	if (!key_read(w, e, list, &key)) {
		w->slot->unmodelled |= UNMODELLED_KEY;
		return OK;
	}
	if (list->kind == OBJECT_NONE) {
		if (strcmp(w->text, list->only) != 0)
			w->slot->unmodelled |= list->unmodelled;
		return OK;
	}
	TRY(catalogue_add(w->s->catalogue, w->slot->device, &key, &w->slot->object));
	w->slot->bound = (uint8_t)list->kind;
	return OK;
}

static struct err walk_elem(struct walk *w, const struct path_elem *e)
{
	const char *colon = memchr(e->name, ':', e->name_len);
	const char *name = colon ? colon + 1 : e->name;
	size_t n = (size_t)(e->name + e->name_len - name), gap = w->shape_len ? 1 : 0;
	if (n == 0 || w->shape_len + gap + n > SCHEMA_SHAPE_MAX || *name == '*' || *name == '.') {
		w->unknown = true;
		return OK;
	}
	if (gap)
		w->shape[w->shape_len++] = '/';
	memcpy(w->shape + w->shape_len, name, n);
	w->shape_len += n;
	w->shape[w->shape_len] = 0;
	const struct schema_list *list = list_find(w->shape);
	if (list)
		return walk_list(w, e, list);
	w->unknown |= e->keys > 0;
	return OK;
}

static struct err slot_build(struct series *s, const struct path *p, struct slot *slot)
{
	struct walk w = {.s = s, .slot = slot, .unknown = p->origin != NULL};
	slot->bound = OBJECT_NONE;
	for (unsigned i = 0; i < p->elems && !w.unknown && !slot->unmodelled; i++)
		TRY(walk_elem(&w, &p->elem[i]));
	if (w.unknown || slot->unmodelled)
		return OK;
	unsigned first, last;
	schema_range(w.shape, &first, &last);
	slot->first = (uint16_t)first;
	slot->last = (uint16_t)last;
	if (last != first + 1 || strcmp(schema_leaves[first].shape, w.shape) != 0)
		return OK;
	enum object_kind kind = schema_leaves[first].kind;
	slot->exact = kind == slot->bound || (kind == OBJECT_DEVICE && slot->bound == OBJECT_NONE);
	return OK;
}

static struct err page_of(struct series *s, uint32_t number, struct slot **out)
{
	ENSURE(number / PAGE < PAGES, ERR_LIMIT, "series %u: at most %d series", number,
	       PAGE * PAGES);
	struct slot **page = &s->pages[number / PAGE];
	if (!*page)
		*page = calloc(PAGE, sizeof **page);
	ENSURE(*page, ERR_LIMIT, "out of memory for series %u", number);
	*out = &(*page)[number % PAGE];
	return OK;
}

struct err series_add(struct series *s, uint32_t number, const char *device, const char *path,
		      size_t path_len)
{
	struct slot *place = NULL;
	TRY(page_of(s, number, &place));
	struct path p;
	struct err e = path_parse(path, path_len, &p);
	ENSURE(e.code == ERR_NONE, ERR_PEER, "series %u: %s", number, e.text);
	struct slot slot = {.used = true};
	TRY(catalogue_device_add(s->catalogue, device, &slot.device));
	e = slot_build(s, &p, &slot);
	if (e.code == ERR_LIMIT) { // the device is inconclusive from its first value on
		slot = (struct slot){.device = slot.device,
				     .bound = OBJECT_NONE,
				     .used = true,
				     .unmodelled = UNMODELLED_LIMIT};
		e = OK;
	}
	TRY(e);
	ENSURE(!place->used || memcmp(place, &slot, sizeof slot) == 0, ERR_PEER,
	       "series %u of %s already names another path", number, device);
	if (!place->used)
		s->count++;
	*place = slot;
	return OK;
}
