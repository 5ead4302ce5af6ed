// SPDX-License-Identifier: Apache-2.0
// Reading back. The state at a time is the newest key frame that is not after it, then every chunk
// written since the frame, then the heads; of each series the latest value not after the time, less
// what was deleted. Points of one series are in chunks whose range of series and times covers it.
// X.2011 8.2.3 (time travel), 8.3.3-8.
#include "repository/feed.h"

#include "lib/base/clock.h"

#include <stdlib.h>
#include <string.h>

// A chunk may be newer than the frame and yet hold points a little older than it (clocks, late
// sends): so far back they are looked for.
static const int64_t late_ns = 3600 * NS_PER_S;

struct best { // of one series: the latest point so far, with memory of its own for a text
	struct state_point p;
	uint8_t *text;
	uint32_t cap;
	bool any;
};

struct reading {
	struct repository *r;
	struct device *d;
	struct arena *a, *heads; // heads: reset for each of them, when only the best point stays
	int64_t from, to;
	uint32_t series; // 0: all
	uint64_t after;	 // only rows of later commits; 0: all
	// either: the best point for each series of the device
	struct best *best; // by position in d->series
	// or: a list of one series' points
	struct state_point *list;
	size_t n, cap;
};

static struct best *place(const struct reading *q, uint32_t series)
{
	uint32_t low = 0, high = q->d->n_series;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (q->d->series[middle] < series)
			low = middle + 1;
		else
			high = middle;
	}
	return low < q->d->n_series && q->d->series[low] == series ? &q->best[low] : NULL;
}

// The row that a text was read from does not stay.
static struct err keep_text(struct reading *q, struct best *b)
{
	struct batch_value *v = &b->p.value;
	if (b->p.deleted || v->type < VALUE_STRING)
		return OK;
	if (v->s.len > b->cap || !b->text) {
		b->cap = v->s.len + v->s.len / 2 + 16;
		b->text = arena_alloc(q->a, b->cap);
		ENSURE(b->text, ERR_LIMIT, "the state of %s is too large", q->d->name);
	}
	if (v->s.len)
		memcpy(b->text, v->s.bytes, v->s.len);
	v->s.bytes = b->text;
	return OK;
}

static struct err take_best(struct reading *q, const struct state_point *p)
{
	struct best *b = place(q, p->series);
	ENSURE(b, ERR_CORRUPT, "a chunk of %s holds series %u, which is another's", q->d->name,
	       p->series);
	if (b->any && (b->p.time_ns > p->time_ns ||
		       (b->p.time_ns == p->time_ns && b->p.revision > p->revision)))
		return OK;
	b->any = true;
	b->p = *p;
	return keep_text(q, b);
}

static struct err take(struct reading *q, const struct state_point *p)
{
	if (p->time_ns > q->to || p->time_ns < q->from)
		return OK;
	if (q->best)
		return take_best(q, p);
	if (q->n == q->cap) {
		size_t cap = q->cap ? q->cap * 2 : 256;
		struct state_point *grown = arena_alloc(q->a, cap * sizeof *grown);
		ENSURE(grown, ERR_LIMIT, "too many points; ask for a shorter time");
		if (q->n)
			memcpy(grown, q->list, q->n * sizeof *grown);
		q->list = grown;
		q->cap = cap;
	}
	q->list[q->n++] = *p;
	return OK;
}

static struct err read_columns(struct reading *q, const struct chunk *c, struct arena *a)
{
	for (size_t i = 0; i < c->n_columns; i++) {
		if (q->series && c->columns[i].series != q->series)
			continue;
		struct chunk_point *points;
		TRY(chunk_read_column(c, &c->columns[i], a, &points));
		for (uint32_t k = 0; k < c->columns[i].n; k++) {
			const struct chunk_tick *t = &c->ticks[points[k].tick];
			const struct state_point p = {c->columns[i].series, t->time_ns, t->revision,
						      points[k].value, points[k].deleted};
			TRY(take(q, &p));
		}
	}
	return OK;
}

static bool of_interest(const struct reading *q, const struct row_info *i)
{
	return i->t0 <= q->to && i->t1 >= q->from && i->version > q->after &&
	       (!q->series || (q->series >= i->series_first && q->series <= i->series_last));
}

// Points are kept in q's arena; the row itself, when a list needs its texts, too.
static struct err read_row(struct reading *q, const struct store_row *row)
{
	enum { ROW_MOST = 256 << 20 };
	struct row_info info;
	const uint8_t *plain;
	size_t n;
	struct chunk chunk;
	scoped(arena) struct arena *own = q->best ? arena_new(ROW_MOST) : NULL;
	struct arena *a = q->best ? own : q->a;
	ENSURE(a, ERR_LIMIT, "no memory for a chunk of %s", q->d->name);
	TRY(row_open(q->r->keys, row, a, &info, &plain, &n));
	TRY(chunk_read(plain, n, (enum chunk_codec)info.codec, a, &chunk));
	return read_columns(q, &chunk, a);
}

struct keys { // of rows that are of interest: found by their heads, read one by one
	struct reading *q;
	struct buf list; // u8 length, key
};

static struct err note_key(void *ctx, const struct store_row *row, bool *more)
{
	struct keys *k = ctx;
	struct row_info info;
	(void)more;
	TRY(row_info_read(row, &info));
	if (!of_interest(k->q, &info))
		return OK;
	buf_u8(&k->list, (uint8_t)row->key_len);
	buf_append(&k->list, row->key, row->key_len);
	return buf_check(&k->list, "rows to be read");
}

static struct err read_keys(struct keys *k, enum store_table table)
{
	struct cursor c =
		cursor_over(k->list.len ? k->list.data : (const uint8_t *)"", k->list.len);
	while (cursor_left(&c)) {
		struct store_row row = {.table = table,
					.domain = k->q->d->domain,
					.device = k->q->d->number,
					.key_len = cursor_u8(&c)};
		scoped(arena) struct arena *a = arena_new(STORE_BODY_MAX + 4096);
		row.key = cursor_take(&c, row.key_len);
		ENSURE(a && row.key, ERR_LIMIT, "no memory for a row");
		TRY(store_get(k->q->r->store, &row, a));
		TRY(read_row(k->q, &row));
	}
	return OK;
}

static struct err read_chunks(struct reading *q, int64_t from)
{
	uint8_t key[8];
	key_time(key, from);
	struct keys k = {.q = q, .list = {.limit = (size_t)64 << 20}};
	const struct store_scan scan = {.table = STORE_CHUNK,
					.domain = q->d->domain,
					.device = q->d->number,
					.from = key,
					.from_len = sizeof key,
					.heads_only = true,
					.each = note_key,
					.ctx = &k};
	struct err e = store_scan(q->r->store, &scan);
	if (e.code == ERR_NONE)
		e = read_keys(&k, STORE_CHUNK);
	buf_clear(&k.list);
	return e;
}

static struct err read_head(struct reading *q, uint32_t number)
{
	const struct series *s = index_series(&q->r->index, number);
	if (!s->head_n)
		return OK;
	if (q->heads)
		arena_reset(q->heads);
	struct chunk_point *points =
		arena_alloc(q->heads ? q->heads : q->a, s->head_n * sizeof *points);
	ENSURE(points, ERR_LIMIT, "no memory for the head of %s", s->path);
	head_points(s, points);
	for (uint32_t i = 0; i < s->head_n; i++) {
		const struct chunk_tick *t = &q->d->ticks[points[i].tick];
		const struct state_point p = {number, t->time_ns, t->revision, points[i].value,
					      points[i].deleted};
		TRY(take(q, &p));
	}
	return OK;
}

// --- state

struct frame_scan {
	struct reading *q;
	int64_t t1;
	uint64_t version;
	bool found;
};

static struct err frame_row(void *ctx, const struct store_row *row, bool *more)
{
	struct frame_scan *f = ctx;
	ENSURE(row->key_len == 19, ERR_CORRUPT, "a key frame of %s has a broken key",
	       f->q->d->name);
	int64_t t1 = key_time_read(row->key);
	uint64_t version = key_u64(row->key + 8);
	if (f->found && (t1 != f->t1 || version != f->version)) {
		*more = false;
		return OK;
	}
	f->found = true;
	f->t1 = t1;
	f->version = version;
	struct row_info info;
	TRY(row_info_read(row, &info));
	return of_interest(f->q, &info) ? read_row(f->q, row) : OK;
}

static struct err read_frame(struct reading *q, struct frame_scan *f)
{
	uint8_t key[8 + 11];
	key_time(key, q->to);
	memset(key + 8, 0xff, sizeof key - 8);
	const struct store_scan scan = {.table = STORE_STATE,
					.domain = q->d->domain,
					.device = q->d->number,
					.from = key,
					.from_len = sizeof key,
					.backward = true,
					.each = frame_row,
					.ctx = f};
	return store_scan(q->r->store, &scan);
}

static struct err collect(struct reading *q, struct state_point **points, size_t *n)
{
	struct state_point *out = arena_alloc(q->a, (q->d->n_series + 1) * sizeof *out);
	ENSURE(out, ERR_LIMIT, "the state of %s is too large", q->d->name);
	*n = 0;
	for (uint32_t i = 0; i < q->d->n_series; i++)
		if (q->best[i].any && !q->best[i].p.deleted)
			out[(*n)++] = q->best[i].p;
	*points = out;
	return OK;
}

static struct err state_now(struct repository *r, struct device *d, struct arena *a,
			    struct state_point **points, size_t *n)
{
	struct state_point *out = arena_alloc(a, (d->n_series + 1) * sizeof *out);
	ENSURE(out, ERR_LIMIT, "the state of %s is too large", d->name);
	*n = 0;
	for (uint32_t i = 0; i < d->n_series; i++) {
		const struct series *s = index_series(&r->index, d->series[i]);
		if ((s->flags & SERIES_LIVE) && !(s->flags & SERIES_DELETED))
			out[(*n)++] = (struct state_point){d->series[i], s->time_ns, s->revision,
							   series_value(s), false};
	}
	*points = out;
	return OK;
}

static struct err stored_state(struct reading *q)
{
	struct frame_scan f = {.q = q, .t1 = INT64_MIN};
	q->best = arena_alloc(q->a, (q->d->n_series + 1) * sizeof *q->best);
	ENSURE(q->best, ERR_LIMIT, "the state of %s is too large", q->d->name);
	TRY(read_frame(q, &f));
	q->after = f.version;
	int64_t from = !f.found || f.t1 < INT64_MIN + late_ns ? INT64_MIN : f.t1 - late_ns;
	return read_chunks(q, from);
}

struct err history_state(struct repository *r, struct device *d, int64_t time_ns, struct arena *a,
			 struct state_point **points, size_t *n)
{
	if (time_ns == INT64_MAX)
		return state_now(r, d, a, points, n);
	scoped(arena) struct arena *heads =
		arena_new(CHUNK_POINTS_MAX * sizeof(struct chunk_point));
	struct reading q = {
		.r = r, .d = d, .a = a, .heads = heads, .from = INT64_MIN, .to = time_ns};
	ENSURE(heads, ERR_LIMIT, "no memory for the state of %s", d->name);
	TRY(stored_state(&q));
	for (uint32_t i = 0; i < d->n_series; i++)
		TRY(read_head(&q, d->series[i]));
	return collect(&q, points, n);
}

struct err history_restore(struct repository *r, struct device *d)
{
	scoped(arena) struct arena *a = arena_new((size_t)1 << 30);
	ENSURE(a, ERR_LIMIT, "no memory for the state of %s", d->name);
	struct reading q = {.r = r, .d = d, .a = a, .from = INT64_MIN, .to = INT64_MAX};
	TRY(stored_state(&q));
	for (uint32_t i = 0; i < d->n_series; i++) {
		const struct state_point *p = &q.best[i].p;
		if (!q.best[i].any)
			continue;
		TRY(head_restore(d, index_series(&r->index, d->series[i]), p->time_ns, p->revision,
				 p->deleted ? NULL : &p->value));
		if (p->time_ns > d->last_ns)
			d->last_ns = p->time_ns;
	}
	return OK;
}

// --- one series

static int by_time(const void *a, const void *b)
{
	const struct state_point *x = a, *y = b;
	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->revision < y->revision ? -1 : x->revision > y->revision;
}

struct err history_points(struct repository *r, struct device *d, uint32_t series, int64_t from,
			  int64_t to, size_t most, struct arena *a, struct state_point **points,
			  size_t *n)
{
	struct reading q = {.r = r, .d = d, .a = a, .from = from, .to = to, .series = series};
	TRY(read_chunks(&q, from));
	TRY(read_head(&q, series));
	if (q.n)
		qsort(q.list, q.n, sizeof *q.list, by_time);
	size_t skip = q.n > most ? q.n - most : 0;
	*points = q.list + skip;
	*n = q.n - skip;
	return OK;
}
