// SPDX-License-Identifier: Apache-2.0
// The nodes of an entity store, and the closure of their parents.

#include "lib/cedar/entities.h"

#include <stdlib.h>

static const size_t closure_max = (size_t)256 << 20; // entries

struct err cedar_entities_make(struct cedar_entities **out)
{
	struct cedar_entities *s = calloc(1, sizeof *s);
	NEED(s);
	s->arena = arena_new((size_t)8 << 30);
	if (!s->arena) {
		free(s);
		return cedar_no_memory();
	}
	*out = s;
	return OK;
}

void cedar_entities_free(struct cedar_entities *s)
{
	if (!s)
		return;
	free(s->nodes.v);
	free(s->types.v);
	free(s->slots);
	map_clear(&s->type_numbers);
	arena_free(s->arena);
	free(s);
}

size_t cedar_entities_count(const struct cedar_entities *s)
{
	return s->declared;
}

size_t cedar_entities_bytes(const struct cedar_entities *s)
{
	return sizeof *s + arena_used(s->arena) + s->nodes.cap * sizeof *s->nodes.v +
	       s->types.cap * sizeof *s->types.v + s->slots_n * sizeof *s->slots;
}

// The slot of a uid, or the empty one where it would be.
static uint32_t *find(const struct cedar_entities *s, const struct uid *u)
{
	size_t mask = s->slots_n - 1, at = u->hash & mask;
	while (s->slots[at] && !uid_equal(&s->nodes.v[s->slots[at] - 1]->uid, u))
		at = (at + 1) & mask;
	return &s->slots[at];
}

const struct node *cedar_node_find(const struct cedar_entities *s, const struct uid *u)
{
	if (!s->slots_n)
		return NULL;
	uint32_t slot = *find(s, u);
	return slot ? s->nodes.v[slot - 1] : NULL;
}

static struct err room(struct cedar_entities *s)
{
	ENSURE(s->nodes.n < CEDAR_ENTITIES_MAX, ERR_LIMIT, "more than %d entities in one store",
	       CEDAR_ENTITIES_MAX);
	if (s->nodes.n * 2 < s->slots_n)
		return OK;
	size_t n = s->slots_n ? s->slots_n * 2 : 64;
	uint32_t *slots = calloc(n, sizeof *slots);
	NEED(slots);
	for (size_t i = 0; i < s->nodes.n; i++) {
		size_t at = s->nodes.v[i]->uid.hash & (n - 1);
		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = (uint32_t)i + 1;
	}
	free(s->slots);
	s->slots = slots;
	s->slots_n = n;
	return OK;
}

static struct err type_index(struct cedar_entities *s, struct cedar_text type, uint32_t *out)
{
	if (map_get(&s->type_numbers, type, out))
		return OK;
	struct cedar_text copy = cedar_copy(s->arena, type);
	NEED(copy.s);
	*out = (uint32_t)s->types.n;
	VEC_PUSH(&s->types, copy);
	return map_put(&s->type_numbers, copy, *out);
}

struct err cedar_node_intern(struct cedar_entities *s, struct cedar_text type, struct cedar_text id,
			     struct node **out)
{
	struct uid wanted = {.type = type, .id = id, .hash = cedar_uid_hash(type, id)};
	TRY(room(s));
	uint32_t *slot = find(s, &wanted), index;
	if (*slot) {
		*out = s->nodes.v[*slot - 1];
		return OK;
	}
	TRY(type_index(s, type, &index));
	struct node *n = arena_alloc(s->arena, sizeof *n);
	NEED(n);
	n->uid = wanted;
	n->uid.type = s->types.v[index];
	n->uid.type_index = index;
	n->uid.id = cedar_copy(s->arena, id);
	NEED(n->uid.id.s);
	VEC_PUSH(&s->nodes, n);
	n->uid.node = (uint32_t)s->nodes.n;
	*slot = n->uid.node;
	*out = n;
	return OK;
}

bool cedar_node_in(const struct node *n, uint32_t ancestor)
{
	const uint32_t *a = n->ancestors;
	uint32_t low = 0, high = n->n_ancestors;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (a[middle] == ancestor)
			return true;
		if (a[middle] < ancestor)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

// One node on its way to being closed. `self` holds its ancestors and itself, made once a child
// needs it.
struct closing {
	const uint32_t *parents; // of cedar_hierarchy
	uint32_t n_parents, next;
	uint8_t state; // 0 not begun, 1 open, 2 closed
	const uint32_t *self;
};

struct closer {
	struct cedar_entities *s;
	struct closing *c;
	VEC(uint32_t) stack, merged;
	size_t entries;
};

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static struct err keep(struct closer *k, size_t n, const uint32_t **out)
{
	k->entries += n;
	ENSURE(k->entries <= closure_max, ERR_LIMIT, "the hierarchy has more than %zu ancestors",
	       closure_max);
	uint32_t *copy = arena_alloc(k->s->arena, n * sizeof *copy);
	NEED(copy);
	if (n)
		memcpy(copy, k->merged.v, n * sizeof *copy);
	*out = copy;
	return OK;
}

// Appends the ancestors of a closed node.
static struct err merge(struct closer *k, uint32_t from)
{
	const struct node *n = k->s->nodes.v[from];
	for (uint32_t i = 0; i < n->n_ancestors; i++)
		VEC_PUSH(&k->merged, n->ancestors[i]);
	return OK;
}

static size_t sort_merged(struct closer *k)
{
	uint32_t *v = k->merged.v;
	size_t kept = 0;
	if (k->merged.n > 1)
		qsort(v, k->merged.n, sizeof *v, by_number);
	for (size_t i = 0; i < k->merged.n; i++)
		if (!i || v[i] != v[i - 1])
			v[kept++] = v[i];
	return kept;
}

static struct err self_and_above(struct closer *k, uint32_t number)
{
	if (k->c[number].self)
		return OK;
	k->merged.n = 0;
	TRY(merge(k, number));
	VEC_PUSH(&k->merged, number);
	return keep(k, sort_merged(k), &k->c[number].self);
}

static struct err close_node(struct closer *k, uint32_t number)
{
	struct closing *c = &k->c[number];
	struct node *n = k->s->nodes.v[number];
	c->state = 2;
	if (c->n_parents == 1) { // the usual case: shared with its siblings
		TRY(self_and_above(k, c->parents[0]));
		n->ancestors = k->c[c->parents[0]].self;
		n->n_ancestors = k->s->nodes.v[c->parents[0]]->n_ancestors + 1;
		return OK;
	}
	k->merged.n = 0;
	for (uint32_t i = 0; i < c->n_parents; i++) {
		TRY(merge(k, c->parents[i]));
		VEC_PUSH(&k->merged, c->parents[i]);
	}
	size_t kept = sort_merged(k);
	TRY(keep(k, kept, &n->ancestors));
	n->n_ancestors = (uint32_t)kept;
	return OK;
}

// Depth first without recursion: a chain of entities may be as long as the store is large.
static struct err close_from(struct closer *k, uint32_t root)
{
	char text[500];
	if (k->c[root].state)
		return OK;
	VEC_PUSH(&k->stack, root);
	k->c[root].state = 1;
	while (k->stack.n) {
		uint32_t number = k->stack.v[k->stack.n - 1];
		struct closing *c = &k->c[number];
		if (c->next == c->n_parents) {
			TRY(close_node(k, number));
			k->stack.n--;
			continue;
		}
		uint32_t parent = c->parents[c->next++];
		ENSURE(k->c[parent].state != 1, ERR_USAGE,
		       "%s is its own ancestor: the hierarchy must have no cycle",
		       cedar_uid_show(&k->s->nodes.v[parent]->uid, text, sizeof text));
		if (!k->c[parent].state) {
			k->c[parent].state = 1;
			VEC_PUSH(&k->stack, parent);
		}
	}
	return OK;
}

static int by_child(const void *a, const void *b)
{
	const struct parentage *x = a, *y = b;
	return x->child != y->child    ? (x->child < y->child ? -1 : 1)
	       : x->parent < y->parent ? -1
				       : x->parent > y->parent;
}

struct err cedar_entities_close(struct cedar_entities *s, struct parentage *edges, size_t n)
{
	struct closer k = {.s = s, .c = calloc(s->nodes.n + 1, sizeof *k.c)};
	uint32_t *parents = malloc((n + 1) * sizeof *parents);
	struct err e = OK;
	if (!k.c || !parents)
		TRY_OUT(e, cedar_no_memory());
	if (n)
		qsort(edges, n, sizeof *edges, by_child);
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		if (i && by_child(&edges[i], &edges[i - 1]) == 0)
			continue; // the same parent twice
		struct closing *c = &k.c[edges[i].child];
		if (!c->n_parents++)
			c->parents = &parents[kept];
		parents[kept++] = edges[i].parent;
	}
	for (size_t i = 0; i < s->nodes.n; i++)
		TRY_OUT(e, close_from(&k, (uint32_t)i));
out:
	free(k.c);
	free(k.stack.v);
	free(k.merged.v);
	free(parents);
	return e;
}
