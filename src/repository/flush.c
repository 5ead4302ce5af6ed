// SPDX-License-Identifier: Apache-2.0
// Heads into sealed chunks. A device is flushed whole: then its ticks are free, and one number (the
// revision up to which its points are in chunks) tells replay what it need not bring back. Its
// chunks, new series, proofs and its own row go into one commit, with what the ledger has ready.
// When: a series is full, the memory budget is reached, or the journal is long; one device every
// tenth of a second, and many at once only when that is not enough.
#include "repository/repository.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "repository/flush.h"
#include "repository/proofs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP_COLUMNS = 64, GROUP_BYTES = 48 << 10, COMMIT_DEVICES = 64 };
static const uint64_t journal_most = (uint64_t)512 << 20;
static const int64_t frame_every = 3600 * NS_PER_S, checkpoint_every = 10 * NS_PER_S;

struct group { // chunk rows of one device and class under way
	struct repository *r;
	struct commit *c;
	struct device *d;
	struct sealer sealer;
	bool sealer_open;
	enum store_table table;
	struct row_info info;
	const struct chunk_tick *ticks;
	size_t n_ticks;
	int64_t frame_t1; // STORE_STATE: of the whole frame
	uint16_t part;
};

static void group_start(struct group *g, unsigned class)
{
	chunk_write_start(g->r->chunks, g->ticks, g->n_ticks);
	g->info = (struct row_info){.class = (uint8_t) class, .t0 = INT64_MAX, .t1 = INT64_MIN};
}

static size_t group_key(struct group *g, uint8_t key[32])
{
	if (g->table == STORE_STATE) {
		key_time(key, g->frame_t1);
		key_be64(key + 8, g->c->version);
		key[16] = g->info.class;
		key[17] = (uint8_t)(g->part >> 8);
		key[18] = (uint8_t)g->part;
		g->part++;
		return 19;
	}
	key_time(key, g->info.t1);
	key_be64(key + 8, (uint64_t)g->info.series_first << 32 | (uint32_t)g->c->version);
	return 16;
}

static struct err group_put(struct group *g)
{
	if (!g->info.blocks)
		return OK;
	scoped(buf) struct buf coded = {.limit = STORE_BODY_MAX};
	enum chunk_codec codec;
	TRY(chunk_write_finish(g->r->chunks, &coded, &codec));
	g->info.codec = (uint8_t)codec;
	if (!g->sealer_open)
		TRY(sealer_open(&g->sealer, g->c, g->d->domain, g->d->number, g->info.class,
				g->info.t0));
	g->sealer_open = true;
	uint8_t key[32];
	size_t key_len = group_key(g, key);
	g->r->count.chunk_bytes += coded.len + ROW_HEAD + AEAD_TAG;
	if (g->table == STORE_CHUNK)
		g->r->count.chunk_points += g->info.n;
	return sealer_put(&g->sealer, g->c, g->table, key, key_len, &g->info, coded.data,
			  coded.len);
}

static struct err group_add(struct group *g, uint32_t number, const struct chunk_point *points,
			    size_t n)
{
	unsigned class = g->info.class;
	if (g->info.blocks &&
	    (g->info.blocks >= GROUP_COLUMNS || chunk_written(g->r->chunks) >= GROUP_BYTES)) {
		TRY(group_put(g));
		group_start(g, class);
	}
	chunk_write_column(g->r->chunks, number, points, n);
	if (!g->info.blocks++)
		g->info.series_first = number;
	g->info.series_last = number;
	g->info.n += (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		int64_t t = g->ticks[points[i].tick].time_ns;
		g->info.t0 = t < g->info.t0 ? t : g->info.t0;
		g->info.t1 = t > g->info.t1 ? t : g->info.t1;
	}
	return OK;
}

static struct err flush_class(struct repository *r, struct commit *c, struct device *d,
			      unsigned class)
{
	struct group g = {.r = r,
			  .c = c,
			  .d = d,
			  .table = STORE_CHUNK,
			  .ticks = d->ticks,
			  .n_ticks = d->n_ticks};
	struct err e = OK;
	struct chunk_point *points = NULL;
	group_start(&g, class);
	for (uint32_t i = 0; i < d->n_series && e.code == ERR_NONE; i++) {
		const struct series *s = index_series(&r->index, d->series[i]);
		if (s->class != class || !s->head_n)
			continue;
		free(points);
		points = malloc(s->head_n * sizeof *points);
		if (!points) {
			e = err_make(ERR_LIMIT, "no memory to flush %s", d->name);
			break;
		}
		head_points(s, points);
		e = group_add(&g, d->series[i], points, s->head_n);
	}
	free(points);
	if (e.code == ERR_NONE)
		e = group_put(&g);
	sealer_close(&g.sealer);
	return e;
}

// --- key frames: each live series' latest value, as a chunk of one point a series

static struct err frame_class(struct repository *r, struct commit *c, struct device *d,
			      unsigned class, int64_t t1)
{
	// Ticks of the frame: one for each series; equal neighbours cost almost nothing.
	struct chunk_tick *ticks = calloc(d->n_series + 1, sizeof *ticks);
	ENSURE(ticks, ERR_LIMIT, "no memory for a key frame of %s", d->name);
	struct group g = {
		.r = r, .c = c, .d = d, .table = STORE_STATE, .ticks = ticks, .frame_t1 = t1};
	struct err e = OK;
	uint32_t at = 0;
	while (at < d->n_series && e.code == ERR_NONE) {
		uint32_t members[GROUP_COLUMNS * 4];
		size_t n = 0;
		for (; at < d->n_series && n < GROUP_COLUMNS * 4; at++) {
			const struct series *s = index_series(&r->index, d->series[at]);
			if (s->class != class || !(s->flags & SERIES_LIVE) ||
			    (s->flags & SERIES_DELETED))
				continue;
			ticks[n] = (struct chunk_tick){s->time_ns, s->revision};
			members[n++] = d->series[at];
		}
		g.n_ticks = n;
		group_start(&g, class);
		for (size_t i = 0; i < n; i++) { // one group: no bound is met in between
			struct chunk_point point = {
				.tick = (uint32_t)i,
				.value = series_value(index_series(&r->index, members[i]))};
			chunk_write_column(r->chunks, members[i], &point, 1);
			g.info.series_first = g.info.blocks++ ? g.info.series_first : members[i];
			g.info.series_last = members[i];
			g.info.n++;
			g.info.t0 = ticks[i].time_ns < g.info.t0 ? ticks[i].time_ns : g.info.t0;
		}
		g.info.t1 = t1;
		if (n)
			e = group_put(&g);
	}
	sealer_close(&g.sealer);
	free(ticks);
	return e;
}

static struct err frame(struct repository *r, struct commit *c, struct device *d)
{
	int64_t now = clock_wall_ns(), t1 = INT64_MIN;
	if (d->frame_ns && now - d->frame_ns < frame_every)
		return OK;
	for (uint32_t i = 0; i < d->n_series; i++) {
		const struct series *s = index_series(&r->index, d->series[i]);
		if ((s->flags & SERIES_LIVE) && s->time_ns > t1)
			t1 = s->time_ns;
	}
	for (unsigned class = CLASS_PUBLIC; class <= CLASS_PERSONAL; class ++)
		TRY(frame_class(r, c, d, class, t1));
	d->frame_ns = now;
	return OK;
}

// --- what else belongs to a device

static struct err put_plain(struct commit *c, const struct device *d, unsigned class,
			    enum store_table table, const uint8_t *key, size_t key_len, uint32_t n,
			    int64_t t, const struct buf *plain)
{
	struct sealer s;
	struct row_info info = {.class = (uint8_t) class, .n = n, .t0 = t, .t1 = t};
	struct err e = sealer_open(&s, c, d->domain, d->number, class, t);
	if (e.code == ERR_NONE)
		e = sealer_put(&s, c, table, key, key_len, &info, plain->data, plain->len);
	sealer_close(&s);
	return e;
}

static struct err flush_series(struct repository *r, struct commit *c, struct device *d)
{
	enum { MOST = 4096 };
	while (d->stored_series < d->n_series) {
		scoped(buf) struct buf plain = {0};
		uint32_t first = d->series[d->stored_series], n = 0;
		for (; d->stored_series < d->n_series && n < MOST; d->stored_series++, n++) {
			uint32_t number = d->series[d->stored_series];
			struct series *s = index_series(&r->index, number);
			s->flags |= SERIES_SAVED | SERIES_STORED;
			buf_be32(&plain, number);
			buf_be16(&plain, s->path_len);
			buf_append(&plain, s->path, s->path_len);
		}
		TRY(buf_check(&plain, "definitions of series"));
		uint8_t key[8];
		key_be64(key, first);
		TRY(put_plain(c, d, CLASS_CONFIDENTIAL, STORE_SERIES, key, sizeof key, n,
			      clock_wall_ns(), &plain));
	}
	return OK;
}

static struct err flush_proofs(struct repository *r, struct commit *c, struct device *d)
{
	if (!d->n_proofs)
		return OK;
	uint8_t key[8];
	key_be64(key, d->first_proof);
	TRY(put_plain(c, d, CLASS_INTERNAL, STORE_BATCH, key, sizeof key, d->n_proofs,
		      clock_wall_ns(), &d->proofs));
	r->index.head_bytes -= d->proofs.cap;
	buf_clear(&d->proofs);
	d->n_proofs = 0;
	return OK;
}

static struct err flush_device(struct repository *r, struct commit *c, struct device *d)
{
	TRY(flush_series(r, c, d));
	for (unsigned class = CLASS_PUBLIC; d->head_points && class <= CLASS_PERSONAL; class ++)
		TRY(flush_class(r, c, d, class));
	if (d->head_points)
		TRY(frame(r, c, d));
	if (d->revision > d->flushed)
		d->flushed = d->revision;
	TRY(flush_proofs(r, c, d));
	scoped(buf) struct buf plain = {0};
	TRY(devices_write(r, d, &plain));
	static const uint8_t key[] = "state";
	// Everything about a device lies in its domain, but its own row: domain and number are read
	// from it.
	TRY(put_plain(c, d, CLASS_INTERNAL, STORE_DEVICE, key, sizeof key - 1, 1, clock_wall_ns(),
		      &plain));
	head_reset(&r->index, d);
	d->changed = false;
	d->journalled = true;
	return OK;
}

// --- commits

struct err flush_meta(struct repository *r, struct commit *c)
{
	static const uint8_t counters_key[] = "counters", domains_key[] = "domains";
	scoped(buf) struct buf b = {0};
	buf_be64(&b, r->revision);
	buf_be64(&b, r->last_grant);
	buf_be64(&b, ledger_signed_size(r->ledger));
	buf_be32(&b, r->index.n_series);
	buf_be32(&b, r->index.n_devices);
	TRY(buf_check(&b, "counters"));
	struct store_row row = {.table = STORE_META,
				.key = counters_key,
				.key_len = sizeof counters_key - 1,
				.body = b.data,
				.body_len = b.len};
	TRY(commit_put(c, &row));
	row.key = domains_key;
	row.key_len = sizeof domains_key - 1;
	row.body = r->domains.data;
	row.body_len = r->domains.len;
	return commit_put(c, &row);
}

// Ledger entry of a commit: what binds the store to the ledger. X.2011 8.3.3-9.
struct err flush_record(struct repository *r, const struct commit *c)
{
	char hex[HASH_HEX], json[200];
	snprintf(json, sizeof json, "{\"commit\":%llu,\"root\":\"%s\",\"rows\":%u}",
		 (unsigned long long)c->version, hash_hex(c->root, HASH_SIZE, hex), c->n);
	return ledger_note(r->ledger, "store.commit", "store", "repository", json);
}

static struct err commit_devices(struct repository *r, struct device **list, size_t n)
{
	struct commit c;
	struct err e = commit_begin(&c, r->store, r->keys, r->commit_version + 1);
	for (size_t i = 0; i < n && e.code == ERR_NONE; i++)
		e = flush_device(r, &c, list[i]);
	if (e.code == ERR_NONE)
		e = ledger_flush(r->ledger, &c);
	if (e.code == ERR_NONE)
		e = flush_meta(r, &c);
	if (e.code == ERR_NONE)
		e = commit_finish(&c);
	if (e.code == ERR_NONE) {
		r->commit_version++;
		r->count.commits++;
		ledger_flushed(r->ledger);
		e = flush_record(r, &c);
		ingest_schedule(r);
	}
	commit_clear(&c);
	// The heads have been given up: only the journal holds them now, and a new start reads it.
	return e.code == ERR_NONE ? OK : err_make(ERR_INTERNAL, "commit: %s", e.text);
}

static bool must_go(const struct repository *r, const struct device *d)
{
	return head_full(d) || (d->oldest_segment && journal_bytes(r->journal) > journal_most &&
				d->oldest_segment <= journal_first(r->journal));
}

static bool ledger_must_go(const struct repository *r)
{
	uint64_t oldest = ledger_oldest_segment(r->ledger);
	return ledger_wants_flush(r->ledger) ||
	       (oldest && journal_bytes(r->journal) > journal_most &&
		oldest <= journal_first(r->journal));
}

static size_t budget(const struct repository *r)
{
	return (size_t)r->conf->memory_budget;
}

static bool flush_wanted(const struct repository *r)
{
	return r->index.head_bytes > budget(r) || r->full_devices ||
	       journal_bytes(r->journal) > journal_most || ledger_wants_flush(r->ledger);
}

bool flush_urgent(const struct repository *r)
{
	return r->index.head_bytes > budget(r) / 4 * 5 || r->bursting_devices ||
	       journal_bytes(r->journal) > journal_most / 4 * 5;
}

static int by_need(const void *a, const void *b)
{
	const struct device *x = *(struct device *const *)a, *y = *(struct device *const *)b;
	if (head_full(x) != head_full(y))
		return head_full(x) ? -1 : 1;
	return x->head_bytes > y->head_bytes ? -1 : x->head_bytes < y->head_bytes;
}

// Devices that must go, and, over the budget, the largest ones; in the order of their need.
static size_t choose(const struct repository *r, bool all, struct device **list)
{
	size_t n = 0;
	bool over = r->index.head_bytes > budget(r);
	for (uint32_t i = 1; i <= r->index.n_devices; i++) {
		struct device *d = index_device(&r->index, i);
		if (all ? d->changed || d->head_points || d->n_proofs
			: must_go(r, d) || (over && d->head_points))
			list[n++] = d;
	}
	if (!all)
		qsort(list, n, sizeof *list, by_need);
	return n;
}

static uint64_t oldest_segment(const struct repository *r)
{
	uint64_t oldest = journal_segment(r->journal);
	for (uint32_t i = 1; i <= r->index.n_devices; i++) {
		const struct device *d = index_device(&r->index, i);
		if (d->oldest_segment && d->oldest_segment < oldest)
			oldest = d->oldest_segment;
	}
	uint64_t ledger = ledger_oldest_segment(r->ledger);
	return ledger && ledger < oldest ? ledger : oldest;
}

// `most` devices; SIZE_MAX: all that have anything.
static struct err flush(struct repository *r, size_t most)
{
	bool all = most == SIZE_MAX;
	if (journal_pending(r->journal)) // a chunk must never be ahead of the journal
		TRY(journal_sync(r->journal));
	struct device **list = calloc((size_t)r->index.n_devices + 1, sizeof(*list));
	ENSURE(list, ERR_LIMIT, "no memory to choose devices");
	size_t wanted = choose(r, all, list), n = wanted < most ? wanted : most;
	struct err e = OK;
	for (size_t i = 0; i < n && e.code == ERR_NONE; i += COMMIT_DEVICES)
		e = commit_devices(r, list + i, n - i < COMMIT_DEVICES ? n - i : COMMIT_DEVICES);
	if (!n && (all || ledger_must_go(r)))
		e = commit_devices(r, list, 0);
	free(list);
	if (n == wanted)
		r->full_devices = r->bursting_devices = false;
	if (e.code == ERR_NONE)
		e = journal_remove_below(r->journal, oldest_segment(r));
	return e;
}

struct err flush_all(struct repository *r)
{
	return flush(r, SIZE_MAX);
}

struct err flush_device_now(struct repository *r, struct device *d)
{
	if (journal_pending(r->journal))
		TRY(journal_sync(r->journal));
	return commit_devices(r, &d, 1);
}

struct err flush_now(struct repository *r)
{
	enum { MOST = 16 };
	return flush(r, MOST);
}

// Ten times a second: one device of those that are due, so that nothing waits long behind it; and
// the store's own log when it has been quiet.
struct err flush_housekeeping(struct repository *r)
{
	int64_t now = clock_mono_ns();
	if (flush_wanted(r))
		TRY(flush(r, 1));
	if (r->count.commits == r->checkpointed || now - r->last_checkpoint_ns < checkpoint_every)
		return OK;
	r->last_checkpoint_ns = now;
	r->checkpointed = r->count.commits;
	return store_checkpoint(r->store);
}
