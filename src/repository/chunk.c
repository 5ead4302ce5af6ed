// SPDX-License-Identifier: Apache-2.0
// Writing and reading the frame of a chunk:
//     u8 format  ticks  columns' directory  columns' bytes
//     ticks:     varint n, then for n > 0: i64 first time, zigzag varint delta of delta of each
//                next; varint first revision, zigzag varint delta of each next
//     directory: varint n; each: zigzag varint series less the one before, varint points,
//                varint bytes
// Columns are chunk_column.c. After Gorilla (VLDB 2015) and Prometheus for times, byte planes as
// in Blosc for values: a plane of high bytes compresses, a plane of noise is left alone by zstd,
// where mixed bytes would spoil both.
#include "repository/chunk.h"

#include "repository/chunk_internal.h"

#include <stdlib.h>
#include <zstd.h>

enum { ZSTD_LEVEL = 3 };

struct chunk_writer {
	struct buf head, directory, columns, plain;
	uint32_t last_series, n_columns;
	ZSTD_CCtx *zstd;
};

struct chunk_writer *chunk_writer_new(void)
{
	struct chunk_writer *w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	w->head.limit = w->directory.limit = w->columns.limit = w->plain.limit = CHUNK_PLAIN_MAX;
	w->zstd = ZSTD_createCCtx();
	if (!w->zstd) {
		free(w);
		return NULL;
	}
	return w;
}

void chunk_writer_free(struct chunk_writer *w)
{
	if (!w)
		return;
	buf_clear(&w->head);
	buf_clear(&w->directory);
	buf_clear(&w->columns);
	buf_clear(&w->plain);
	ZSTD_freeCCtx(w->zstd);
	free(w);
}

void chunk_write_start(struct chunk_writer *w, const struct chunk_tick *ticks, size_t n)
{
	buf_reset(&w->head);
	buf_reset(&w->directory);
	buf_reset(&w->columns);
	buf_reset(&w->plain);
	w->last_series = w->n_columns = 0;
	buf_u8(&w->head, CHUNK_FORMAT);
	put_varint(&w->head, n);
	if (!n)
		return;
	buf_be64(&w->head, (uint64_t)ticks[0].time_ns);
	uint64_t before = 0;
	for (size_t i = 1; i < n; i++) {
		uint64_t delta = (uint64_t)ticks[i].time_ns - (uint64_t)ticks[i - 1].time_ns;
		put_varint(&w->head, zigzag(delta - before));
		before = delta;
	}
	put_varint(&w->head, ticks[0].revision);
	for (size_t i = 1; i < n; i++)
		put_varint(&w->head, zigzag(ticks[i].revision - ticks[i - 1].revision));
}

void chunk_write_column(struct chunk_writer *w, uint32_t series, const struct chunk_point *points,
			size_t n)
{
	size_t at = w->columns.len;
	column_encode(&w->columns, points, n);
	put_varint(&w->directory, zigzag((uint64_t)series - w->last_series));
	put_varint(&w->directory, n);
	put_varint(&w->directory, w->columns.len - at);
	w->last_series = series;
	w->n_columns++;
}

size_t chunk_written(const struct chunk_writer *w)
{
	return w->columns.len;
}

struct err chunk_write_finish(struct chunk_writer *w, struct buf *out, enum chunk_codec *codec)
{
	put_varint(&w->head, w->n_columns);
	buf_append(&w->plain, w->head.data, w->head.len);
	buf_append(&w->plain, w->directory.data, w->directory.len);
	buf_append(&w->plain, w->columns.data, w->columns.len);
	TRY(buf_check(&w->head, "chunk ticks"));
	TRY(buf_check(&w->directory, "chunk directory"));
	TRY(buf_check(&w->columns, "chunk columns"));
	TRY(buf_check(&w->plain, "chunk"));
	size_t bound = ZSTD_compressBound(w->plain.len), at = out->len;
	uint8_t *space = buf_space(out, bound);
	ENSURE(space, ERR_LIMIT, "chunk: no memory for %zu bytes", bound);
	size_t n =
		ZSTD_compressCCtx(w->zstd, space, bound, w->plain.data, w->plain.len, ZSTD_LEVEL);
	out->len = at;
	*codec =
		!ZSTD_isError(n) && n + w->plain.len / 16 < w->plain.len ? CHUNK_ZSTD : CHUNK_PLAIN;
	if (*codec == CHUNK_ZSTD)
		out->len = at + n;
	else
		buf_append(out, w->plain.data, w->plain.len);
	return buf_check(out, "coded chunk");
}

static struct err read_ticks(struct cursor *c, struct arena *a, struct chunk *out)
{
	uint64_t n = cursor_varint(c);
	ENSURE(n <= CHUNK_TICKS_MAX && n <= cursor_left(c), ERR_CORRUPT,
	       "chunk: %llu ticks cannot be", (unsigned long long)n);
	out->n_ticks = n;
	out->ticks = arena_alloc(a, (n + 1) * sizeof *out->ticks);
	ENSURE(out->ticks, ERR_LIMIT, "chunk: no memory for %llu ticks", (unsigned long long)n);
	if (!n)
		return OK;
	uint64_t time = cursor_be64(c), delta = 0;
	out->ticks[0].time_ns = (int64_t)time;
	for (size_t i = 1; i < n; i++) {
		delta += unzigzag(cursor_varint(c));
		time += delta;
		out->ticks[i].time_ns = (int64_t)time;
	}
	uint64_t revision = out->ticks[0].revision = cursor_varint(c);
	for (size_t i = 1; i < n; i++)
		out->ticks[i].revision = revision += unzigzag(cursor_varint(c));
	return OK;
}

static struct err read_directory(struct cursor *c, struct arena *a, struct chunk *out)
{
	uint64_t n = cursor_varint(c), series = 0, sum = 0;
	ENSURE(n <= CHUNK_COLUMNS_MAX && n <= cursor_left(c), ERR_CORRUPT,
	       "chunk: %llu columns cannot be", (unsigned long long)n);
	out->n_columns = n;
	out->columns = arena_alloc(a, (n + 1) * sizeof *out->columns);
	uint64_t *lengths = arena_alloc(a, (n + 1) * sizeof *lengths);
	ENSURE(out->columns && lengths, ERR_LIMIT, "chunk: no memory for its columns");
	for (size_t i = 0; i < n; i++) {
		series += unzigzag(cursor_varint(c));
		uint64_t points = cursor_varint(c);
		lengths[i] = cursor_varint(c);
		sum += points;
		ENSURE(points <= CHUNK_POINTS_MAX && series <= UINT32_MAX && sum <= 1 << 22,
		       ERR_CORRUPT, "chunk: column %zu has %llu points of series %llu", i,
		       (unsigned long long)points, (unsigned long long)series);
		out->columns[i].series = (uint32_t)series;
		out->columns[i].n = (uint32_t)points;
	}
	for (size_t i = 0; i < n; i++)
		out->columns[i].bytes = cursor_sub(c, lengths[i]);
	return OK;
}

static struct err inflate(const uint8_t **bytes, size_t *n, struct arena *a)
{
	unsigned long long size = ZSTD_getFrameContentSize(*bytes, *n);
	ENSURE(size <= CHUNK_PLAIN_MAX, ERR_CORRUPT, "chunk: not a zstd frame of a bounded size");
	uint8_t *plain = arena_alloc(a, size + 1);
	ENSURE(plain, ERR_LIMIT, "chunk: no memory for %llu bytes", size);
	size_t got = ZSTD_decompress(plain, size, *bytes, *n);
	ENSURE(!ZSTD_isError(got) && got == size, ERR_CORRUPT, "chunk: zstd: %s",
	       ZSTD_isError(got) ? ZSTD_getErrorName(got) : "short");
	*bytes = plain;
	*n = size;
	return OK;
}

struct err chunk_read(const uint8_t *bytes, size_t n, enum chunk_codec codec, struct arena *a,
		      struct chunk *out)
{
	*out = (struct chunk){0};
	ENSURE(codec == CHUNK_PLAIN || codec == CHUNK_ZSTD, ERR_CORRUPT, "chunk: unknown codec %d",
	       (int)codec);
	if (codec == CHUNK_ZSTD)
		TRY(inflate(&bytes, &n, a));
	struct cursor c = cursor_over(bytes, n);
	uint8_t format = cursor_u8(&c);
	ENSURE(format == CHUNK_FORMAT, ERR_CORRUPT, "chunk: format %u; this program knows %d",
	       format, CHUNK_FORMAT);
	TRY(read_ticks(&c, a, out));
	TRY(read_directory(&c, a, out));
	struct err e = cursor_finish(&c, "chunk");
	if (e.code != ERR_NONE)
		return err_make(ERR_CORRUPT, "%s", e.text);
	return OK;
}

struct err chunk_read_column(const struct chunk *c, const struct chunk_column *column,
			     struct arena *a, struct chunk_point **points)
{
	struct chunk_point *p = arena_alloc(a, ((size_t)column->n + 1) * sizeof *p);
	ENSURE(p, ERR_LIMIT, "chunk: no memory for %u points", column->n);
	struct cursor at = column->bytes;
	TRY(column_decode(&at, p, column->n, a));
	struct err e = cursor_finish(&at, "chunk column");
	if (e.code != ERR_NONE)
		return err_make(ERR_CORRUPT, "%s", e.text);
	for (uint32_t i = 0; i < column->n; i++)
		ENSURE(p[i].tick < c->n_ticks, ERR_CORRUPT, "chunk: tick %u of %zu", p[i].tick,
		       c->n_ticks);
	*points = p;
	return OK;
}
