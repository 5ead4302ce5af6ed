// SPDX-License-Identifier: Apache-2.0
// The write path. One BATCH is read once: each record's series number is translated and patched
// into a copy, which is at the same time the FEED for models and the journal's record, while its
// canonical form goes into the hash that the device signed. Only when grant, chain and signature
// hold do points enter the heads. Nothing is told to anybody before the journal is synced, once for
// all batches that one turn of the loop read. X.2011 8.3.1-2, 8.3.1-5, 8.2.2-1.
#include "repository/ingest.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"
#include "lib/ipc/messages.pb-c.h"
#include "repository/chain.h"
#include "repository/grant.h"

#include <stdlib.h>
#include <string.h>

enum {
	SYNC_BYTES = 4 << 20,
	TEXT_MAX = 32 << 20,	 // bytes of a device's latest values, what comes included
	DELETIONS_MAX = 4 << 20, // series that the deletions of one batch may look at
};

// --- telemetry's numbers

static struct err source_room(struct repository *r, uint32_t number)
{
	ENSURE(number < SOURCES_MAX, ERR_PEER, "SERIES: number %u; below %d is right", number,
	       SOURCES_MAX);
	if (number < r->n_sources)
		return OK;
	uint32_t n = r->n_sources ? r->n_sources : 4096;
	while (n <= number)
		n *= 2;
	struct source *grown = realloc(r->sources, n * sizeof *grown);
	ENSURE(grown, ERR_LIMIT, "no memory for %u series", n);
	memset(grown + r->n_sources, 0, (n - r->n_sources) * sizeof *grown);
	r->sources = grown;
	r->n_sources = n;
	return OK;
}

// Decided once for a path, whichever devices have it.
enum access_class ingest_class(struct repository *r, const char *path, size_t n)
{
	struct path_facts *f;
	if (index_path(&r->index, path, n, &f).code != ERR_NONE)
		return classes_of(r->classes, path, n); // no memory: whoever defines it will say so
	if (!f->class_known) {
		f->class = (uint8_t)classes_of(r->classes, path, n);
		f->class_known = true;
	}
	return (enum access_class)f->class;
}

static struct err add_source(struct repository *r, const Ipc__SeriesItem *item)
{
	TRY(source_room(r, item->number));
	struct source *s = &r->sources[item->number];
	struct device *d = index_device_find(&r->index, item->device);
	*s = (struct source){0};
	if (!d || !d->known)
		return OK; // its batches will be refused; nothing is kept for it
	size_t n = strlen(item->path);
	ENSURE(n && n <= BATCH_PATH_MAX, ERR_PEER, "SERIES %u: a canonical path has 1 to %d bytes",
	       item->number, BATCH_PATH_MAX);
	s->device = d->number;
	s->series = index_series_find(&r->index, d->number, item->path, n);
	if (s->series)
		return OK;
	if (d->n_series >= (size_t)r->conf->device_series) { // before anything is kept for it
		ingest_refused(r, d, 0, "series-quota", item->path);
		return OK;
	}
	return index_series_add(&r->index, d, item->path, n, ingest_class(r, item->path, n),
				(size_t)r->conf->device_series, &s->series);
}

struct err ingest_series(struct repository *r, const struct ipc_message *m)
{
	struct err e = OK;
	Ipc__Series *list = IPC_UNPACK(series, m, r->p->scratch, &e);
	if (!list)
		return e;
	for (size_t i = 0; i < list->n_items; i++)
		TRY(add_source(r, list->items[i]));
	return OK;
}

// --- one batch

struct work {
	struct device *d;
	struct chain *chain;
	struct batch_head head;
	uint8_t hash[BATCH_HASH];
	bool untold;	  // models does not know all its series
	size_t text;	  // bytes of its values
	size_t deletions; // series that they look at
	uint8_t *copy;	  // of the message, in the outbox: the FEED
	size_t n;
	const char *detail; // of a refusal
};

static void cover(struct repository *r, struct source *s, const struct device *d)
{
	struct path_facts *f = series_facts(index_series(&r->index, s->series));
	uint8_t bit = d->grant ? (uint8_t)(1u << grant_number(d->grant)) : 0;
	if (d->grant && !(f->cover_known & bit)) {
		bool update = grant_covers(d->grant, f->text, f->len, false);
		f->cover_known |= bit;
		f->cover_update |= update ? bit : 0;
		f->cover_delete |=
			update || grant_covers(d->grant, f->text, f->len, true) ? bit : 0;
	}
	s->epoch = d->grant_epoch;
	s->update = f->cover_update & bit;
	s->deletion = f->cover_delete & bit;
}

static void put_be(uint8_t *at, uint64_t v, unsigned n)
{
	while (n--) {
		at[n] = (uint8_t)v;
		v >>= 8;
	}
}

// What one device may cost, in memory and in time: the others must not feel it. X.2011 8.2.2-1.
static struct err price(struct repository *r, struct work *w, const struct batch_record *rec,
			const struct series *s, const char **refused)
{
	size_t count = 0;
	if (rec->value.type >= VALUE_STRING)
		w->text += rec->value.s.len;
	if (rec->op == BATCH_DELETE)
		TRY(index_under_count(&r->index, w->d, s->path, s->path_len, &count));
	w->deletions += count;
	if (w->d->text_bytes + w->text > TEXT_MAX)
		*refused = "value-quota";
	else if (w->deletions > DELETIONS_MAX)
		*refused = "deletion-quota";
	return OK;
}

// Reads, translates and hashes all records. *refused: the reason, in one word.
static struct err walk_records(struct repository *r, struct work *w, struct cursor *c,
			       const char **refused)
{
	batch_canonical_start(r->canonical, w->head.device, w->head.seq, w->head.previous,
			      w->head.count);
	for (uint32_t i = 0; i < w->head.count; i++) {
		struct batch_record *rec = &r->records[i];
		size_t at = (size_t)(c->at - c->start);
		TRY(batch_read_record(c, rec));
		ENSURE(rec->series < r->n_sources && r->sources[rec->series].device, ERR_PEER,
		       "BATCH of %s: series %u was never named", w->head.device, rec->series);
		struct source *s = &r->sources[rec->series];
		ENSURE(s->device == w->d->number, ERR_PEER, "BATCH of %s: series %u is of another",
		       w->head.device, rec->series);
		if (!s->series) {
			*refused = "series-quota";
			return OK;
		}
		if (s->epoch != w->d->grant_epoch)
			cover(r, s, w->d);
		const struct series *series = index_series(&r->index, s->series);
		if (!(rec->op == BATCH_DELETE ? s->deletion : s->update)) {
			*refused = "collection-outside-grant"; // X.2011 8.3.1-2
			w->detail = series->path;
			return OK;
		}
		if (rec->value.type >= VALUE_STRING || rec->op == BATCH_DELETE) {
			TRY(price(r, w, rec, series, refused));
			if (*refused)
				return OK;
		}
		w->untold |= !series->told;
		batch_canonical_add(r->canonical, rec->op, rec->time_ns, series->path,
				    series->path_len, &rec->value);
		rec->series = s->series;
		put_be(w->copy + at + 1, s->series, 4);
	}
	batch_canonical_finish(r->canonical, w->hash);
	return cursor_finish(c, "BATCH");
}

// Grant and chain, before any work is spent on the records.
static const char *refuse_early(struct repository *r, struct work *w, uint64_t *expected)
{
	struct device *d = w->d;
	if (r->read_only)
		return "repository-read-only";
	if (!d || !d->known)
		return "device-unknown";
	if (!d->grant && !sabotaged("grant"))
		return "collection-outside-grant"; // X.2011 8.3.1-2
	w->chain = chain_find(d, w->head.key_id);
	if (sabotaged("batch-proof") || sabotaged("replay"))
		return NULL;
	if (w->head.flags & BATCH_SIGNED)
		return chain_place(w->chain, &w->head, clock_wall_ns(), expected);
	if (strcmp(d->kind, "target") != 0)
		return "unsigned"; // X.2011 8.3.1-5: only devices without an agent may be
	return NULL;
}

void ingest_refused(struct repository *r, struct device *d, uint64_t seq, const char *reason,
		    const char *detail)
{
	char text[400];
	const char *subject = d ? d->name : "unknown";
	if (d)
		d->refused++;
	r->count.refused++;
	json_t *o = json_pack("{s:s, s:I, s:s*}", "reason", reason, "seq", (json_int_t)seq, "path",
			      detail && *detail ? detail : NULL);
	char *json = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	size_t n = json ? strlen(json) : 0;
	text[0] = 0;
	if (n > 2 && n - 2 < sizeof text) { // the members without the braces
		memcpy(text, json + 1, n - 2);
		text[n - 2] = 0;
	}
	aggregate_note(r->aggregate, "data.refused", subject, "repository", reason, text,
		       clock_wall_ns());
	if (json)
		feed_event(r, "data.refused", subject, json, "internal");
	free(json);
	json_decref(o);
}

static struct err refuse(struct repository *r, const struct work *w, const char *reason,
			 uint64_t expected)
{
	ingest_refused(r, w->d, w->head.seq, reason, w->detail);
	Ipc__BatchRefused m = IPC__BATCH_REFUSED__INIT;
	m.device = (char *)(uintptr_t)w->head.device;
	m.seq = w->head.seq;
	m.expected = expected;
	m.reason = (char *)(uintptr_t)reason;
	m.key_id.data = (uint8_t *)(uintptr_t)w->head.key_id;
	m.key_id.len = BATCH_KEY_ID;
	struct err e = process_send(r->p, PROCESS_TELEMETRY, IPC_BATCH_REFUSED, &m.base);
	return e.code == ERR_BUSY ? OK : e;
}

// Our own time and revision in the copy. received_ns of telemetry is believed within a minute.
static void stamp(struct repository *r, struct work *w)
{
	size_t at = 4 + strlen(w->head.device) + 8 + BATCH_HASH + BATCH_KEY_ID + 1 + 2 +
		    w->head.signature_len;
	int64_t now = clock_wall_ns();
	if (w->head.received_ns > now + NS_PER_S || w->head.received_ns < now - 60 * NS_PER_S)
		w->head.received_ns = now;
	w->head.revision = ++r->revision;
	put_be(w->copy + at, (uint64_t)w->head.received_ns, 8);
	put_be(w->copy + at + 8, w->head.revision, 8);
}

// Definitions of series that this batch is the first to use go before it.
static struct err save_series(struct repository *r, const struct work *w)
{
	buf_reset(&r->scratch);
	for (uint32_t i = 0; i < w->head.count; i++) {
		struct series *s = index_series(&r->index, r->records[i].series);
		if (s->flags & SERIES_SAVED)
			continue;
		s->flags |= SERIES_SAVED;
		buf_be32(&r->scratch, s->device);
		buf_be32(&r->scratch, r->records[i].series);
		buf_be16(&r->scratch, s->path_len);
		buf_append(&r->scratch, s->path, s->path_len);
	}
	TRY(buf_check(&r->scratch, "definitions of series"));
	if (!r->scratch.len)
		return OK;
	const struct journal_part part = {r->scratch.data, r->scratch.len};
	return journal_add(r->journal, JOURNAL_SERIES, &part, 1);
}

static struct err save_batch(struct repository *r, const struct work *w)
{
	uint8_t front[4 + 8 + BATCH_HASH];
	put_be(front, w->d->number, 4);
	put_be(front + 4, w->d->grant_id, 8);
	memcpy(front + 12, w->hash, BATCH_HASH);
	const struct journal_part parts[] = {{front, sizeof front}, {w->copy, w->n}};
	return journal_add(r->journal, JOURNAL_BATCH, parts, 2);
}

static struct err queue(struct repository *r, const struct work *w, size_t feed)
{
	if (r->n_out == r->cap_out) {
		size_t cap = r->cap_out ? r->cap_out * 2 : 256;
		struct outgoing *grown = realloc(r->out, cap * sizeof *grown);
		ENSURE(grown, ERR_LIMIT, "no memory for acknowledgements");
		r->out = grown;
		r->cap_out = cap;
	}
	struct outgoing *o = &r->out[r->n_out++];
	*o = (struct outgoing){.device = w->d->number,
			       .seq = w->head.seq,
			       .feed = feed,
			       .feed_len = w->n,
			       .told = w->untold ? 0 : r->feed_life};
	memcpy(o->key_id, w->head.key_id, BATCH_KEY_ID);
	return OK;
}

static struct err take_in(struct repository *r, struct work *w, size_t feed)
{
	if (!head_fits(w->d, w->head.count, w->n))
		TRY(flush_device_now(r, w->d));
	if (w->chain && (w->head.flags & BATCH_SIGNED))
		chain_advance(w->chain, w->head.seq, w->hash);
	stamp(r, w);
	if (!w->d->journalled)
		TRY(devices_save(r, w->d));
	TRY(save_series(r, w));
	TRY(save_batch(r, w));
	TRY(ingest_apply(r, w->d, &w->head, w->hash, w->d->grant_id, journal_segment(r->journal)));
	TRY(queue(r, w, feed));
	if (journal_pending_bytes(r->journal) >= SYNC_BYTES)
		return ingest_sync(r);
	ingest_schedule(r);
	return OK;
}

// An error of code PEER: telemetry broke its contract. What the device did wrong is a refusal.
struct err ingest_batch(struct repository *r, const uint8_t *bytes, size_t n)
{
	struct work w = {.n = n};
	struct cursor c = cursor_over(bytes, n);
	TRY(batch_read_head(&c, &w.head));
	ENSURE(w.head.count <= BATCH_COUNT_MAX, ERR_PEER, "BATCH of %u records; at most %d",
	       w.head.count, BATCH_COUNT_MAX);
	uint64_t expected = 0;
	w.d = index_device_find(&r->index, w.head.device);
	const char *reason = refuse_early(r, &w, &expected);
	if (reason)
		return refuse(r, &w, reason, expected);
	size_t feed = r->outbox.len;
	w.copy = buf_space(&r->outbox, n);
	ENSURE(w.copy, ERR_INTERNAL, "no memory for a batch of %zu bytes", n);
	memcpy(w.copy, bytes, n);
	struct err e = walk_records(r, &w, &c, &reason);
	if (e.code == ERR_NONE && !reason && (w.head.flags & BATCH_SIGNED) &&
	    !sabotaged("batch-proof")) {
		struct err bad = chain_verify(w.chain, &w.head, w.hash);
		if (bad.code != ERR_NONE)
			reason = "signature";
	}
	if (e.code != ERR_NONE || reason) {
		r->outbox.len = feed;
		r->outbox.failed = false;
		return reason ? refuse(r, &w, reason, expected ? expected : w.head.seq) : e;
	}
	e = take_in(r, &w, feed);
	return e.code == ERR_NONE ? OK : err_make(ERR_INTERNAL, "%s", e.text);
}

// --- after the sync

static struct err acknowledge(struct repository *r, const struct outgoing *o)
{
	Ipc__BatchAck m = IPC__BATCH_ACK__INIT;
	m.device = index_device(&r->index, o->device)->name;
	m.seq = o->seq;
	m.key_id.data = (uint8_t *)(uintptr_t)o->key_id;
	m.key_id.len = BATCH_KEY_ID;
	struct err e = process_send(r->p, PROCESS_TELEMETRY, IPC_BATCH_ACK, &m.base);
	return e.code == ERR_BUSY ? OK : e; // away: its chain tells it later
}

struct err ingest_sync(struct repository *r)
{
	if (journal_pending(r->journal)) {
		int64_t before = clock_mono_ns();
		struct err e = journal_sync(r->journal);
		if (e.code != ERR_NONE) // what is not on disk is never acknowledged
			return err_make(ERR_INTERNAL, "%s", e.text);
		r->count.sync_ns = clock_mono_ns() - before;
		r->count.syncs++;
	}
	TRY(ledger_synced(r->ledger));
	for (size_t i = 0; i < r->n_out; i++) {
		const struct outgoing *o = &r->out[i];
		feed_publish(r, o);
		TRY(acknowledge(r, o));
	}
	r->n_out = 0;
	if (r->outbox.cap > (size_t)16 << 20)
		buf_clear(&r->outbox);
	buf_reset(&r->outbox);
	return flush_urgent(r) ? flush_now(r) : OK;
}

void ingest_schedule(struct repository *r)
{
	if (r->sync_event)
		event_active(r->sync_event, 0, 0);
}
