// SPDX-License-Identifier: Apache-2.0
// Layouts (big-endian; docs/man/gemel-store.5):
//   place     "gemel row v1\n" store id[16] u8 table u32 domain u32 device u16 length, key
//   head      u8 format  u8 class  u8 codec  u8 0  u16 columns  u16 0  u32 first series
//             u32 last series  u32 points  i64 t0  i64 t1  u64 DEK id  u64 version  u32 KEK epoch
//             u32 counter  salt and commitment[56]
//   manifest  key u64 version; head u32 rows, root[32]; body, for each row:
//             u8 table (128 added: deleted)  u32 domain  u32 device  u8 length, key  leaf[32]
#include "repository/commit.h"

#include <string.h>

static const char label[] = "gemel row v1";

void key_be64(uint8_t out[static 8], uint64_t v)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> (56 - 8 * i));
}

uint64_t key_u64(const uint8_t in[static 8])
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | in[i];
	return v;
}

void key_time(uint8_t out[static 8], int64_t t)
{
	key_be64(out, (uint64_t)t ^ (uint64_t)1 << 63);
}

int64_t key_time_read(const uint8_t in[static 8])
{
	return (int64_t)(key_u64(in) ^ (uint64_t)1 << 63);
}

enum { PLACE_MAX = 13 + STORE_ID + 1 + 4 + 4 + 2 + STORE_KEY_MAX };

static size_t place_of(const uint8_t *store_id, const struct store_row *row, uint8_t out[PLACE_MAX])
{
	size_t n = 13;
	memcpy(out, "gemel row v1\n", 13);
	memcpy(out + n, store_id, STORE_ID);
	n += STORE_ID;
	out[n++] = (uint8_t)row->table;
	for (int i = 24; i >= 0; i -= 8)
		out[n++] = (uint8_t)(row->domain >> i);
	for (int i = 24; i >= 0; i -= 8)
		out[n++] = (uint8_t)(row->device >> i);
	size_t key_len = row->key_len <= STORE_KEY_MAX ? row->key_len : STORE_KEY_MAX;
	out[n++] = (uint8_t)(row->key_len >> 8);
	out[n++] = (uint8_t)row->key_len;
	memcpy(out + n, row->key, key_len);
	return n + key_len;
}

void row_leaf(const uint8_t store_id[static STORE_ID], const struct store_row *row,
	      uint8_t out[HASH_SIZE])
{
	uint8_t place[PLACE_MAX], zero = 0;
	size_t n = place_of(store_id, row, place);
	const struct hash_part parts[] = {
		{&zero, 1}, {place, n}, {row->head, row->head_len}, {row->body, row->body_len}};
	hash_parts(parts, 4, out);
}

void commit_merkle_root(uint8_t *hashes, size_t n, uint8_t root[HASH_SIZE])
{
	// Level by level; an odd last one moves up as it is, which is RFC 6962's split.
	const uint8_t one = 1;
	if (!n) {
		hash_sha256("", 0, root);
		return;
	}
	for (; n > 1; n = (n + 1) / 2)
		for (size_t i = 0; i < n; i += 2) {
			uint8_t *left = hashes + i * HASH_SIZE, *out = hashes + i / 2 * HASH_SIZE;
			const struct hash_part parts[] = {{&one, 1}, {left, 2 * HASH_SIZE}};
			if (i + 1 < n)
				hash_parts(parts, 2, out);
			else
				memmove(out, left, HASH_SIZE);
		}
	memcpy(root, hashes, HASH_SIZE);
}

struct err commit_begin(struct commit *c, struct store *s, struct data_keys *k, uint64_t version)
{
	*c = (struct commit){.store = s, .keys = k, .version = version};
	c->list.limit = c->leaves.limit = STORE_BODY_MAX;
	return store_begin(s);
}

static void list(struct commit *c, const struct store_row *row, bool deleted)
{
	uint8_t leaf[HASH_SIZE];
	row_leaf(data_keys_store_id(c->keys), row, leaf);
	buf_u8(&c->list, (uint8_t)(row->table | (deleted ? 128 : 0)));
	buf_be32(&c->list, row->domain);
	buf_be32(&c->list, row->device);
	buf_u8(&c->list, (uint8_t)row->key_len);
	buf_append(&c->list, row->key, row->key_len);
	buf_append(&c->list, leaf, sizeof leaf);
	buf_append(&c->leaves, leaf, sizeof leaf);
	c->n++;
}

struct err commit_put(struct commit *c, const struct store_row *row)
{
	TRY(store_put(c->store, row));
	list(c, row, false);
	return OK;
}

struct err commit_delete(struct commit *c, const struct store_row *place)
{
	TRY(store_delete(c->store, place));
	struct store_row gone = *place;
	gone.head_len = gone.body_len = 0;
	list(c, &gone, true);
	return OK;
}

struct err commit_finish(struct commit *c)
{
	TRY(buf_check(&c->list, "manifest"));
	TRY(buf_check(&c->leaves, "manifest"));
	commit_merkle_root(c->leaves.data, c->n, c->root);
	uint8_t key[8], head[4 + HASH_SIZE];
	key_be64(key, c->version);
	for (int i = 0; i < 4; i++)
		head[i] = (uint8_t)(c->n >> (24 - 8 * i));
	memcpy(head + 4, c->root, HASH_SIZE);
	struct store_row row = {.table = STORE_MANIFEST,
				.key = key,
				.key_len = sizeof key,
				.head = head,
				.head_len = sizeof head,
				.body = c->list.data,
				.body_len = c->list.len};
	TRY(store_put(c->store, &row));
	return store_commit(c->store);
}

void commit_clear(struct commit *c)
{
	if (c->store && store_in_commit(c->store))
		store_rollback(c->store);
	buf_clear(&c->list);
	buf_clear(&c->leaves);
}

struct err manifest_next(struct cursor *c, struct manifest_row *out, bool *more)
{
	*more = cursor_left(c) > 0;
	if (!*more)
		return OK;
	uint8_t table = cursor_u8(c);
	out->deleted = table & 128;
	out->place = (struct store_row){.table = (enum store_table)(table & 127)};
	out->place.domain = cursor_be32(c);
	out->place.device = cursor_be32(c);
	out->place.key_len = cursor_u8(c);
	out->place.key = cursor_take(c, out->place.key_len);
	out->leaf = cursor_take(c, HASH_SIZE);
	ENSURE(out->leaf && out->place.table < STORE_TABLES && out->place.key_len <= STORE_KEY_MAX,
	       ERR_CORRUPT, "a manifest's list is broken");
	return OK;
}

// --- seals

static size_t context_of(const struct data_keys *k, uint32_t domain, uint32_t device, uint64_t dek,
			 uint32_t epoch, uint8_t out[64])
{
	memcpy(out, data_keys_store_id(k), STORE_ID);
	key_be64(out + STORE_ID, (uint64_t)domain << 32 | device);
	key_be64(out + STORE_ID + 8, dek);
	key_be64(out + STORE_ID + 16, epoch);
	return STORE_ID + 24;
}

struct err sealer_open(struct sealer *s, struct commit *c, uint32_t domain, uint32_t device,
		       unsigned class, int64_t time_ns)
{
	struct data_key key;
	uint8_t context[64];
	*s = (struct sealer){.keys = c->keys, .domain = domain, .device = device};
	TRY(data_keys_get(c->keys, c, domain, device, data_key_id(time_ns, class), &key));
	s->dek = key.id;
	s->epoch = key.epoch;
	size_t n = context_of(c->keys, domain, device, key.id, key.epoch, context);
	return seal_segment_create(key.key, label, context, n, &s->segment);
}

void sealer_close(struct sealer *s)
{
	seal_segment_close(s->segment);
	s->segment = NULL;
}

static void head_write(const struct row_info *i, struct buf *out)
{
	buf_u8(out, ROW_FORMAT);
	buf_u8(out, i->class);
	buf_u8(out, i->codec);
	buf_u8(out, 0);
	buf_be16(out, i->blocks);
	buf_be16(out, 0);
	buf_be32(out, i->series_first);
	buf_be32(out, i->series_last);
	buf_be32(out, i->n);
	buf_be64(out, (uint64_t)i->t0);
	buf_be64(out, (uint64_t)i->t1);
	buf_be64(out, i->dek);
	buf_be64(out, i->version);
	buf_be32(out, i->epoch);
	buf_be32(out, i->counter);
	buf_append(out, i->segment, SEGMENT_HEAD);
}

struct err row_info_read(const struct store_row *row, struct row_info *out)
{
	struct cursor c = cursor_over(row->head, row->head_len);
	uint8_t format = cursor_u8(&c);
	out->class = cursor_u8(&c);
	out->codec = cursor_u8(&c);
	uint8_t zero = cursor_u8(&c);
	out->blocks = cursor_be16(&c);
	uint16_t zeros = cursor_be16(&c);
	out->series_first = cursor_be32(&c);
	out->series_last = cursor_be32(&c);
	out->n = cursor_be32(&c);
	out->t0 = (int64_t)cursor_be64(&c);
	out->t1 = (int64_t)cursor_be64(&c);
	out->dek = cursor_be64(&c);
	out->version = cursor_be64(&c);
	out->epoch = cursor_be32(&c);
	out->counter = cursor_be32(&c);
	cursor_copy(&c, out->segment, SEGMENT_HEAD);
	struct err e = cursor_finish(&c, "row head");
	if (e.code == ERR_NONE && (format != ROW_FORMAT || zero || zeros))
		e = err_make(ERR_CORRUPT, "row head of format %u", format);
	if (e.code != ERR_NONE)
		return err_make(ERR_CORRUPT, "%s row of device %u: %s",
				store_table_names[row->table], row->device, e.text);
	return OK;
}

struct err sealer_put(struct sealer *s, struct commit *c, enum store_table table,
		      const uint8_t *key, size_t key_len, struct row_info *info, const void *plain,
		      size_t n)
{
	scoped(buf) struct buf head = {.limit = 256}, body = {.limit = STORE_BODY_MAX};
	uint8_t place[PLACE_MAX + ROW_HEAD];
	uint64_t counter = seal_segment_next(s->segment);
	info->dek = s->dek;
	info->epoch = s->epoch;
	info->version = c->version;
	info->counter = (uint32_t)counter;
	memcpy(info->segment, seal_segment_head(s->segment), SEGMENT_HEAD);
	head_write(info, &head);
	struct store_row row = {.table = table,
				.domain = s->domain,
				.device = s->device,
				.key = key,
				.key_len = key_len,
				.head = head.data,
				.head_len = head.len};
	uint8_t *out = buf_space(&body, n + AEAD_TAG);
	ENSURE(out && !head.failed, ERR_LIMIT, "a row of %zu bytes is too large", n);
	size_t place_len = place_of(data_keys_store_id(c->keys), &row, place);
	memcpy(place + place_len, head.data, head.len);
	TRY(seal_segment_seal(s->segment, counter, place, place_len + head.len, plain, n, out));
	row.body = body.data;
	row.body_len = body.len;
	return commit_put(c, &row);
}

struct err row_open(struct data_keys *k, const struct store_row *row, struct arena *a,
		    struct row_info *info, const uint8_t **plain, size_t *n)
{
	TRY(row_info_read(row, info));
	struct data_key key;
	struct seal_segment *segment = NULL;
	uint8_t context[64], place[PLACE_MAX + ROW_HEAD];
	ENSURE(row->body_len >= AEAD_TAG && row->head_len <= ROW_HEAD, ERR_CORRUPT,
	       "%s row of device %u: too short", store_table_names[row->table], row->device);
	struct err e = data_keys_get(k, NULL, row->domain, row->device, info->dek, &key);
	if (e.code == ERR_NOT_FOUND)
		return err_make(ERR_CORRUPT, "%s row of device %u: its data key is gone",
				store_table_names[row->table], row->device);
	TRY(e);
	size_t context_len =
		context_of(k, row->domain, row->device, info->dek, info->epoch, context);
	size_t place_len = place_of(data_keys_store_id(k), row, place);
	memcpy(place + place_len, row->head, row->head_len);
	*n = row->body_len - AEAD_TAG;
	uint8_t *out = arena_alloc(a, *n + 1);
	ENSURE(out, ERR_LIMIT, "no memory to open a row of %zu bytes", *n);
	e = seal_segment_open(key.key, label, context, context_len, info->segment, &segment);
	if (e.code == ERR_NONE)
		e = seal_segment_unseal(segment, info->counter, place, place_len + row->head_len,
					row->body, row->body_len, out);
	seal_segment_close(segment);
	*plain = out;
	return e.code == ERR_NONE ? OK
				  : err_within(e, "%s row of device %u",
					       store_table_names[row->table], row->device);
}
