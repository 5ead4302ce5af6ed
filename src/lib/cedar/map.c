// SPDX-License-Identifier: Apache-2.0
// Open addressing, at most half full.

#include "lib/cedar/map.h"

#include <stdlib.h>

static struct map_entry *find(const struct map *m, struct cedar_text key)
{
	size_t mask = m->cap - 1, at = hash_text(key, 0) & mask;
	while (m->entries[at].key.s && !text_equal(m->entries[at].key, key))
		at = (at + 1) & mask;
	return &m->entries[at];
}

bool map_get(const struct map *m, struct cedar_text key, uint32_t *value)
{
	const struct map_entry *e = m->cap ? find(m, key) : NULL;
	if (!e || !e->key.s)
		return false;
	if (value)
		*value = e->value;
	return true;
}

static struct err grow(struct map *m)
{
	struct map more = {.cap = m->cap ? m->cap * 2 : 16};
	more.entries = calloc(more.cap, sizeof *more.entries);
	NEED(more.entries);
	for (size_t i = 0; i < m->cap; i++)
		if (m->entries[i].key.s)
			*find(&more, m->entries[i].key) = m->entries[i];
	free(m->entries);
	m->entries = more.entries;
	m->cap = more.cap;
	return OK;
}

struct err map_put(struct map *m, struct cedar_text key, uint32_t value)
{
	if (m->n * 2 >= m->cap)
		TRY(grow(m));
	struct map_entry *e = find(m, key);
	m->n += !e->key.s;
	e->key = (struct cedar_text){key.s ? key.s : "", key.n};
	e->value = value;
	return OK;
}

void map_clear(struct map *m)
{
	free(m->entries);
	*m = (struct map){0};
}
