// SPDX-License-Identifier: Apache-2.0
#include "repository/verify_rows.h"

#include <stdlib.h>
#include <string.h>

void expectations_clear(struct expectations *x)
{
	free(x->slots);
	buf_clear(&x->places);
	*x = (struct expectations){0};
}

static void place_id(const struct store_row *row, uint8_t id[16])
{
	uint8_t front[10] = {(uint8_t)row->table}, hash[HASH_SIZE];
	for (int i = 0; i < 4; i++) {
		front[1 + i] = (uint8_t)(row->domain >> (24 - 8 * i));
		front[5 + i] = (uint8_t)(row->device >> (24 - 8 * i));
	}
	const struct hash_part parts[] = {{front, 9}, {row->key, row->key_len}};
	hash_parts(parts, 2, hash);
	memcpy(id, hash, 16);
}

static struct expected *slot(const struct expectations *x, const uint8_t id[16])
{
	uint64_t at;
	memcpy(&at, id, sizeof at);
	for (;; at++) {
		struct expected *e = &x->slots[at & (x->size - 1)];
		if (!e->used || !memcmp(e->place, id, 16))
			return e;
	}
}

static struct err grow(struct expectations *x)
{
	struct expectations bigger = {.size = x->size ? x->size * 2 : 1024, .n = x->n};
	bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
	ENSURE(bigger.slots, ERR_LIMIT, "no memory to check %zu rows", x->n);
	for (size_t i = 0; i < x->size; i++)
		if (x->slots[i].used)
			*slot(&bigger, x->slots[i].place) = x->slots[i];
	free(x->slots);
	x->slots = bigger.slots;
	x->size = bigger.size;
	return OK;
}

struct err expectations_put(struct expectations *x, const struct manifest_row *row,
			    uint64_t version)
{
	uint8_t id[16];
	if ((x->n + 1) * 4 > x->size * 3)
		TRY(grow(x));
	place_id(&row->place, id);
	struct expected *e = slot(x, id);
	if (!e->used) {
		x->places.limit = (size_t)2 << 30;
		e->used = true;
		memcpy(e->place, id, sizeof id);
		e->text = (uint32_t)x->places.len;
		buf_u8(&x->places, (uint8_t)row->place.table);
		buf_be32(&x->places, row->place.domain);
		buf_be32(&x->places, row->place.device);
		buf_u8(&x->places, (uint8_t)row->place.key_len);
		buf_append(&x->places, row->place.key, row->place.key_len);
		x->n++;
	}
	memcpy(e->leaf, row->leaf, HASH_SIZE);
	e->version = version;
	e->deleted = row->deleted;
	return buf_check(&x->places, "places of rows");
}

struct expected *expectations_find(struct expectations *x, const struct store_row *row)
{
	uint8_t id[16];
	if (!x->size)
		return NULL;
	place_id(row, id);
	struct expected *e = slot(x, id);
	return e->used ? e : NULL;
}

struct store_row expectations_place(const struct expectations *x, const struct expected *e)
{
	struct cursor c = cursor_over(x->places.data + e->text, x->places.len - e->text);
	struct store_row row = {.table = (enum store_table)cursor_u8(&c)};
	row.domain = cursor_be32(&c);
	row.device = cursor_be32(&c);
	row.key_len = cursor_u8(&c);
	row.key = cursor_take(&c, row.key_len);
	return row;
}
