// SPDX-License-Identifier: Apache-2.0
#include "management/keep_internal.h"

#include <stdlib.h>
#include <string.h>

enum { PUT = 1, DELETE = 2 };

static void row_clear(struct keep_row *row)
{
	if (row->bytes)
		secret_zero(row->bytes, row->n);
	free(row->bytes);
	free(row->key);
}

void keep_rows_clear(struct keep_rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		row_clear(&r->items[i]);
	free(r->items);
	*r = (struct keep_rows){0};
}

static int compare(const struct keep_row *row, const char *table, const char *key)
{
	int order = strcmp(row->table, table);
	return order ? order : strcmp(row->key, key);
}

// The first row that is not before (table, key).
size_t keep_rows_from(const struct keep_rows *r, const char *table, const char *key)
{
	size_t low = 0, high = r->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare(&r->items[middle], table, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct keep_row *keep_rows_find(const struct keep_rows *r, const char *table, const char *key)
{
	size_t i = keep_rows_from(r, table, key);
	return i < r->n && compare(&r->items[i], table, key) == 0 ? &r->items[i] : NULL;
}

static struct err insert(struct keep_rows *r, const char *table, const char *key,
			 struct keep_row **out)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 64;
		struct keep_row *items = realloc(r->items, cap * sizeof *items);
		ENSURE(items, ERR_LIMIT, "no memory for the state");
		r->items = items;
		r->cap = cap;
	}
	char *copy = strdup(key);
	ENSURE(copy, ERR_LIMIT, "no memory for the state");
	size_t i = keep_rows_from(r, table, key);
	memmove(&r->items[i + 1], &r->items[i], (r->n - i) * sizeof *r->items);
	r->n++;
	r->items[i] = (struct keep_row){.key = copy};
	memcpy(r->items[i].table, table, strlen(table) + 1);
	*out = &r->items[i];
	return OK;
}

static struct err put(struct keep_rows *r, const char *table, const char *key, struct cursor *value)
{
	size_t n = cursor_left(value);
	uint8_t *copy = malloc(n + 1);
	ENSURE(copy, ERR_LIMIT, "no memory for the state");
	if (n)
		memcpy(copy, value->at, n);
	copy[n] = 0;
	struct keep_row *row = keep_rows_find(r, table, key);
	struct err e = row ? OK : insert(r, table, key, &row);
	if (e.code != ERR_NONE) {
		free(copy);
		return e;
	}
	if (row->bytes)
		secret_zero(row->bytes, row->n);
	free(row->bytes);
	row->bytes = copy;
	row->n = n;
	return OK;
}

static void delete (struct keep_rows *r, const char *table, const char *key)
{
	struct keep_row *row = keep_rows_find(r, table, key);
	if (!row)
		return;
	size_t i = (size_t)(row - r->items);
	row_clear(row);
	memmove(row, row + 1, (r->n - i - 1) * sizeof *row);
	r->n--;
}

static bool take_text(struct cursor *c, size_t n, size_t most, char *out)
{
	const uint8_t *p = n > 0 && n <= most ? cursor_take(c, n) : NULL;
	if (!p || memchr(p, 0, n))
		return false;
	memcpy(out, p, n);
	out[n] = 0;
	return true;
}

struct err keep_rows_apply(struct keep_rows *r, struct cursor *c)
{
	char table[KEEP_NAME_MAX + 1], key[KEEP_KEY_MAX + 1];
	while (cursor_left(c)) {
		uint8_t op = cursor_u8(c);
		bool named = take_text(c, cursor_u8(c), KEEP_NAME_MAX, table) &&
			     take_text(c, cursor_be16(c), KEEP_KEY_MAX, key);
		ENSURE(named && (op == PUT || op == DELETE), ERR_PEER, "an operation is malformed");
		if (op == DELETE) {
			delete (r, table, key);
			continue;
		}
		struct cursor value = cursor_sub(c, cursor_be32(c));
		ENSURE(!value.failed, ERR_PEER, "an operation is cut short");
		TRY(put(r, table, key, &value));
	}
	return cursor_finish(c, "operations");
}

// `bytes` NULL: delete.
void keep_put_operation(struct buf *out, const char *table, const char *key, const void *bytes,
			size_t n)
{
	size_t table_len = strlen(table), key_len = strlen(key);
	if (table_len == 0 || table_len > KEEP_NAME_MAX || key_len == 0 || key_len > KEEP_KEY_MAX ||
	    n > KEEP_ROW_MAX) {
		out->failed = true;
		return;
	}
	buf_u8(out, bytes ? PUT : DELETE);
	buf_u8(out, (uint8_t)table_len);
	buf_append(out, table, table_len);
	buf_be16(out, (uint16_t)key_len);
	buf_append(out, key, key_len);
	if (bytes) {
		buf_be32(out, (uint32_t)n);
		buf_append(out, bytes, n);
	}
}
