// SPDX-License-Identifier: Apache-2.0
#include "telemetry/intern.h"

#include <stdlib.h>
#include <string.h>

// --- the pool: ids index `all`; each bucket is a chain of ids

struct path_bytes {
	uint32_t references;
	uint32_t next; // in its bucket, or in the list of free ids; 0: the last
	uint32_t hash;
	uint32_t len;
	uint8_t bytes[];
};

struct paths {
	struct siphash_key key;
	size_t limit, memory, count;
	struct path_bytes **all; // [0] is never used
	uint32_t n, cap;
	uint32_t *free_ids; // of those given back
	uint32_t n_free, cap_free;
	uint32_t *buckets, n_buckets; // a power of two
};

enum { FIRST_BUCKETS = 4096, FIRST_ENTRIES = 64 };

struct paths *paths_new(const struct siphash_key *key, size_t limit)
{
	struct paths *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	*p = (struct paths){.key = *key, .limit = limit, .n = 1, .n_buckets = FIRST_BUCKETS};
	p->buckets = calloc(FIRST_BUCKETS, sizeof *p->buckets);
	if (p->buckets)
		return p;
	free(p);
	return NULL;
}

void paths_free(struct paths *p)
{
	if (!p)
		return;
	for (uint32_t i = 1; i < p->n; i++)
		free(p->all[i]);
	free(p->all);
	free(p->free_ids);
	free(p->buckets);
	free(p);
}

static uint32_t find(const struct paths *p, const uint8_t *bytes, size_t n, uint32_t hash)
{
	uint32_t id = p->buckets[hash & (p->n_buckets - 1)];
	for (; id; id = p->all[id]->next) {
		const struct path_bytes *b = p->all[id];
		if (b->hash == hash && b->len == n && memcmp(b->bytes, bytes, n) == 0)
			return id;
	}
	return UINT32_MAX;
}

uint32_t paths_find(const struct paths *p, const uint8_t *bytes, size_t n)
{
	return n ? find(p, bytes, n, (uint32_t)siphash(&p->key, bytes, n)) : 0;
}

static void grow_buckets(struct paths *p)
{
	uint32_t size = p->n_buckets * 2;
	uint32_t *fresh = calloc(size, sizeof *fresh);
	if (!fresh)
		return; // longer chains
	for (uint32_t i = 1; i < p->n; i++) {
		if (!p->all[i])
			continue;
		p->all[i]->next = fresh[p->all[i]->hash & (size - 1)];
		fresh[p->all[i]->hash & (size - 1)] = i;
	}
	free(p->buckets);
	p->buckets = fresh;
	p->n_buckets = size;
}

static bool free_id(struct paths *p, uint32_t *id)
{
	if (p->n_free) {
		*id = p->free_ids[--p->n_free];
		return true;
	}
	if (p->n >= p->cap) {
		uint32_t cap = p->cap ? p->cap * 2 : 1024;
		struct path_bytes **all = realloc(p->all, cap * sizeof *all);
		if (!all)
			return false;
		p->all = all;
		p->cap = cap;
	}
	*id = p->n++;
	p->all[*id] = NULL;
	return true;
}

struct err paths_get(struct paths *p, const uint8_t *bytes, size_t n, uint32_t *id)
{
	*id = 0;
	if (n == 0)
		return OK;
	ENSURE(n <= INTERN_WIRE_MAX, ERR_PEER, "a path of %zu bytes; at most %d are taken", n,
	       INTERN_WIRE_MAX);
	uint32_t hash = (uint32_t)siphash(&p->key, bytes, n);
	*id = find(p, bytes, n, hash);
	if (*id != UINT32_MAX) {
		p->all[*id]->references++;
		return OK;
	}
	size_t size = sizeof(struct path_bytes) + n;
	ENSURE(p->memory + size <= p->limit, ERR_LIMIT, "all paths together take %zu bytes",
	       p->limit);
	struct path_bytes *b = malloc(size);
	if (!b || !free_id(p, id)) {
		free(b);
		return err_make(ERR_LIMIT, "no memory for paths");
	}
	if (p->count >= p->n_buckets)
		grow_buckets(p);
	uint32_t *bucket = &p->buckets[hash & (p->n_buckets - 1)];
	*b = (struct path_bytes){
		.references = 1, .next = *bucket, .hash = hash, .len = (uint32_t)n};
	memcpy(b->bytes, bytes, n);
	p->all[*id] = b;
	*bucket = *id;
	p->memory += size;
	p->count++;
	return OK;
}

static void keep_free_id(struct paths *p, uint32_t id)
{
	if (p->n_free == p->cap_free) {
		uint32_t cap = p->cap_free ? p->cap_free * 2 : 256;
		uint32_t *ids = realloc(p->free_ids, cap * sizeof *ids);
		if (!ids)
			return; // the id is lost, the memory of its path is not
		p->free_ids = ids;
		p->cap_free = cap;
	}
	p->free_ids[p->n_free++] = id;
}

void paths_put(struct paths *p, uint32_t id)
{
	if (id == 0 || --p->all[id]->references > 0)
		return;
	struct path_bytes *b = p->all[id];
	uint32_t *at = &p->buckets[b->hash & (p->n_buckets - 1)];
	while (*at != id)
		at = &p->all[*at]->next;
	*at = b->next;
	p->memory -= sizeof *b + b->len;
	p->count--;
	free(b);
	p->all[id] = NULL;
	keep_free_id(p, id);
}

const uint8_t *paths_bytes(const struct paths *p, uint32_t id, uint32_t *n)
{
	static const uint8_t empty[1];
	*n = id ? p->all[id]->len : 0;
	return id ? p->all[id]->bytes : empty;
}

size_t paths_count(const struct paths *p)
{
	return p->count;
}

size_t paths_memory(const struct paths *p)
{
	return p->memory;
}

// --- numbers

struct err numbers_take(struct numbers *n, uint32_t *out)
{
	if (n->n_back) {
		*out = n->given_back[--n->n_back];
		return OK;
	}
	if (n->next == 0)
		n->next = 1;
	ENSURE(n->next <= INTERN_SERIES_MAX, ERR_LIMIT, "%d series are in use", INTERN_SERIES_MAX);
	*out = n->next++;
	return OK;
}

void numbers_give(struct numbers *n, uint32_t number)
{
	if (n->n_back == n->cap_back) {
		uint32_t cap = n->cap_back ? n->cap_back * 2 : 1024;
		uint32_t *back = realloc(n->given_back, cap * sizeof *back);
		if (!back)
			return; // not used again until the repository comes anew
		n->given_back = back;
		n->cap_back = cap;
	}
	n->given_back[n->n_back++] = number;
}

void numbers_clear(struct numbers *n)
{
	free(n->given_back);
	*n = (struct numbers){0};
}

// --- tables

void intern_init(struct intern *t, struct paths *paths)
{
	*t = (struct intern){.paths = paths};
}

void intern_clear(struct intern *t, struct numbers *numbers)
{
	for (uint32_t i = 0; i < t->n; i++) {
		paths_put(t->paths, t->entries[i].prefix);
		paths_put(t->paths, t->entries[i].path);
		if (numbers)
			numbers_give(numbers, t->entries[i].number);
	}
	paths_put(t->paths, t->prefix);
	free(t->entries);
	free(t->index);
	*t = (struct intern){.paths = t->paths};
}

static bool same(const struct paths *p, uint32_t id, const uint8_t *bytes, size_t n)
{
	if (id == 0)
		return n == 0;
	const struct path_bytes *b = p->all[id];
	return b->len == n && memcmp(b->bytes, bytes, n) == 0;
}

struct err intern_prefix(struct intern *t, const uint8_t *bytes, size_t n)
{
	uint32_t id;
	if (same(t->paths, t->prefix, bytes, n))
		return OK;
	TRY(paths_get(t->paths, bytes, n, &id));
	paths_put(t->paths, t->prefix);
	t->prefix = id;
	return OK;
}

// Ids are our own numbers: mixed, not keyed.
static uint32_t place(const struct intern *t, uint32_t prefix, uint32_t path)
{
	uint64_t h = ((uint64_t)prefix << 32 | path) * 0x9e3779b97f4a7c15;
	return (uint32_t)((h ^ h >> 32) & (t->index_size - 1));
}

struct interned *intern_find(struct intern *t, const uint8_t *path, size_t n)
{
	if (t->n == 0)
		return NULL;
	struct interned *e = &t->entries[t->expected < t->n ? t->expected : 0];
	if (e->prefix == t->prefix && same(t->paths, e->path, path, n)) {
		t->expected = (uint32_t)(e - t->entries) + 1;
		return e;
	}
	uint32_t id = paths_find(t->paths, path, n);
	if (id == UINT32_MAX)
		return NULL;
	for (uint32_t at = place(t, t->prefix, id); t->index[at];
	     at = (at + 1) & (t->index_size - 1)) {
		e = &t->entries[t->index[at] - 1];
		if (e->path != id || e->prefix != t->prefix)
			continue;
		t->expected = t->index[at];
		return e;
	}
	return NULL;
}

static void index_put(struct intern *t, uint32_t entry)
{
	uint32_t at = place(t, t->entries[entry].prefix, t->entries[entry].path);
	while (t->index[at])
		at = (at + 1) & (t->index_size - 1);
	t->index[at] = entry + 1;
}

static struct err room(struct intern *t)
{
	if (t->n < t->cap)
		return OK;
	uint32_t cap = t->cap ? t->cap + t->cap / 2 : FIRST_ENTRIES, size = FIRST_ENTRIES * 2;
	while (size < cap + cap / 4)
		size *= 2;
	struct interned *entries = realloc(t->entries, cap * sizeof *entries);
	ENSURE(entries, ERR_LIMIT, "no memory for series");
	t->entries = entries;
	t->cap = cap;
	if (size == t->index_size)
		return OK;
	uint32_t *index = calloc(size, sizeof *index);
	if (!index) {
		t->cap = t->n;
		return err_make(ERR_LIMIT, "no memory for series");
	}
	free(t->index);
	t->index = index;
	t->index_size = size;
	for (uint32_t i = 0; i < t->n; i++)
		index_put(t, i);
	return OK;
}

struct err intern_add(struct intern *t, const uint8_t *path, size_t n, uint32_t number,
		      struct interned **out)
{
	uint32_t id;
	TRY(room(t));
	TRY(paths_get(t->paths, path, n, &id));
	struct interned *e = &t->entries[t->n];
	*e = (struct interned){.prefix = t->prefix, .path = id, .number = number};
	if (t->prefix) // one more reference to the prefix
		t->paths->all[t->prefix]->references++;
	index_put(t, t->n++);
	t->expected = t->n;
	*out = e;
	return OK;
}
