// SPDX-License-Identifier: Apache-2.0
// From what the disk holds to what memory held: counters and domains, devices, definitions of
// series, latest values (key frames and the chunks since), then the journal. What was acknowledged
// is all there again; a start then flushes, so that old segments, whose ends nobody can vouch for
// any more, are gone. X.2011 8.3.1-1.
#include "repository/feed.h"
#include "repository/flush.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct err get_meta(struct repository *r, const char *key, struct arena *a,
			   struct store_row *row)
{
	*row = (struct store_row){
		.table = STORE_META, .key = (const uint8_t *)key, .key_len = strlen(key)};
	return store_get(r->store, row, a);
}

static struct err read_meta(struct repository *r)
{
	scoped(arena) struct arena *a = arena_new(2 << 20);
	ENSURE(a, ERR_LIMIT, "no memory to start");
	struct store_row row;
	struct err e = get_meta(r, "counters", a, &row);
	if (e.code == ERR_NOT_FOUND)
		return OK; // a new store
	TRY(e);
	struct cursor c = cursor_over(row.body, row.body_len);
	r->revision = cursor_be64(&c);
	r->last_grant = cursor_be64(&c);
	r->signed_ledger = cursor_be64(&c);
	uint32_t series = cursor_be32(&c), devices = cursor_be32(&c);
	e = cursor_finish(&c, "counters");
	ENSURE(e.code == ERR_NONE, ERR_CORRUPT, "%s", e.text);
	// A number whose definition was lost is not given to another.
	TRY(index_reserve(&r->index, series, devices));
	TRY(get_meta(r, "domains", a, &row));
	buf_append(&r->domains, row.body, row.body_len);
	ENSURE(!row.body_len || row.body[row.body_len - 1] == '\n', ERR_CORRUPT,
	       "the list of domains is cut");
	return buf_check(&r->domains, "domains");
}

static struct err last_manifest(void *ctx, const struct store_row *row, bool *more)
{
	*more = false;
	ENSURE(row->key_len == 8, ERR_CORRUPT, "a manifest has a broken key");
	*(uint64_t *)ctx = key_u64(row->key);
	return OK;
}

static struct err read_version(struct repository *r)
{
	const struct store_scan scan = {.table = STORE_MANIFEST,
					.backward = true,
					.each = last_manifest,
					.ctx = &r->commit_version,
					.heads_only = true};
	return store_scan(r->store, &scan);
}

// Rows that do not open are told one by one and the others go on: one flipped byte must not keep
// the whole repository from starting.
static bool tolerate(struct repository *r, struct err *e, const struct store_row *row)
{
	if (e->code != ERR_CORRUPT)
		return false;
	char subject[64];
	snprintf(subject, sizeof subject, "%s row of device %u", store_table_names[row->table],
		 row->device);
	repository_alert(r, "altered", subject, e->text);
	*e = OK;
	return true;
}

static struct err each_device(void *ctx, const struct store_row *row, bool *more)
{
	struct repository *r = ctx;
	struct row_info info;
	const uint8_t *plain;
	size_t n;
	(void)more;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	ENSURE(a, ERR_LIMIT, "no memory to start");
	struct err e = row_open(r->keys, row, a, &info, &plain, &n);
	if (e.code == ERR_NONE)
		e = devices_read(r, row->device, row->domain, plain, n);
	tolerate(r, &e, row);
	return e;
}

static struct err read_definitions(struct repository *r, struct device *d, const uint8_t *plain,
				   size_t n)
{
	struct cursor c = cursor_over(plain, n);
	while (cursor_left(&c)) {
		uint32_t number = cursor_be32(&c);
		uint16_t len = cursor_be16(&c);
		const char *path = (const char *)cursor_take(&c, len);
		ENSURE(path, ERR_CORRUPT, "definitions of series of %s are cut", d->name);
		TRY(index_series_restore(&r->index, number, d, path, len,
					 ingest_class(r, path, len)));
		index_series(&r->index, number)->flags |= SERIES_SAVED | SERIES_STORED;
	}
	d->stored_series = d->n_series;
	return OK;
}

static struct err each_series(void *ctx, const struct store_row *row, bool *more)
{
	struct repository *r = ctx;
	struct row_info info;
	const uint8_t *plain;
	size_t n;
	(void)more;
	struct device *d = index_device(&r->index, row->device);
	scoped(arena) struct arena *a = arena_new(STORE_BODY_MAX + 4096);
	ENSURE(a, ERR_LIMIT, "no memory to start");
	struct err e = d ? row_open(r->keys, row, a, &info, &plain, &n)
			 : err_make(ERR_CORRUPT, "there is no device %u", row->device);
	if (e.code == ERR_NONE)
		e = read_definitions(r, d, plain, n);
	tolerate(r, &e, row);
	return e;
}

static struct err read_devices(struct repository *r)
{
	struct store_scan scan = {
		.table = STORE_DEVICE, .all_devices = true, .each = each_device, .ctx = r};
	TRY(store_scan(r->store, &scan));
	scan.table = STORE_SERIES;
	scan.each = each_series;
	TRY(store_scan(r->store, &scan));
	for (uint32_t i = 1; i <= r->index.n_devices; i++) {
		struct device *d = index_device(&r->index, i);
		struct err e = history_restore(r, d);
		if (e.code == ERR_CORRUPT) {
			repository_alert(r, "altered", d->name, e.text);
			e = OK;
		}
		TRY(e);
	}
	return OK;
}

// --- the journal

static struct err replay_device(struct repository *r, struct cursor *c)
{
	uint32_t number = cursor_be32(c), domain = cursor_be32(c);
	TRY(devices_read(r, number, domain, c->at, cursor_left(c)));
	index_device(&r->index, number)->changed = true; // the journal goes: its row is written
	return OK;
}

static struct err each_record(void *ctx, uint64_t segment, enum journal_kind kind,
			      const uint8_t *bytes, size_t n)
{
	struct repository *r = ctx;
	struct cursor c = cursor_over(bytes, n);
	struct err e = OK;
	switch (kind) {
	case JOURNAL_SERIES:
		e = ingest_replay_series(r, bytes, n);
		break;
	case JOURNAL_BATCH:
		e = ingest_replay(r, segment, bytes, n);
		break;
	case JOURNAL_LEDGER:
		e = ledger_replay(r->ledger, segment, bytes, n);
		break;
	case JOURNAL_DEVICE:
		e = replay_device(r, &c);
		break;
	default:
		e = err_make(ERR_CORRUPT, "a record of kind %d; this program knows 1 to %d",
			     (int)kind, JOURNAL_END);
	}
	if (e.code == ERR_CORRUPT || e.code == ERR_PEER) {
		char name[64];
		snprintf(name, sizeof name, "journal segment %llx", (unsigned long long)segment);
		repository_alert(r, "unreadable", name, e.text);
		e = OK;
	}
	return e;
}

static void each_damage(void *ctx, const struct journal_damage *d)
{
	struct repository *r = ctx;
	char name[96];
	snprintf(name, sizeof name, "journal segment %llx at byte %llu",
		 (unsigned long long)d->segment, (unsigned long long)d->offset);
	if (d->torn) // an attacker could make it look so, hence told; the chains show what is
		     // missing
		repository_notice(r, "cut", name, d->what);
	else
		repository_alert(r, "altered", name, d->what);
}

// --- the ledger entry of the last commit may have been lost with the process

static struct err last_root(struct repository *r, uint8_t root[HASH_SIZE], uint32_t *n)
{
	scoped(arena) struct arena *a = arena_new(STORE_BODY_MAX + 4096);
	ENSURE(a, ERR_LIMIT, "no memory to start");
	uint8_t key[8];
	key_be64(key, r->commit_version);
	struct store_row row = {.table = STORE_MANIFEST, .key = key, .key_len = sizeof key};
	TRY(store_get(r->store, &row, a));
	struct cursor c = cursor_over(row.head, row.head_len);
	*n = cursor_be32(&c);
	cursor_copy(&c, root, HASH_SIZE);
	struct err e = cursor_finish(&c, "manifest head");
	return e.code == ERR_NONE ? OK : err_make(ERR_CORRUPT, "%s", e.text);
}

static struct err bind_last_commit(struct repository *r)
{
	enum { LOOK_BACK = 4096 };
	if (!r->commit_version)
		return OK;
	uint64_t size = ledger_size(r->ledger);
	for (uint64_t i = size; i > 0 && i + LOOK_BACK > size; i--) {
		scoped(arena) struct arena *a = arena_new(1 << 20);
		struct ledger_entry entry;
		ENSURE(a, ERR_LIMIT, "no memory to start");
		if (ledger_get(r->ledger, i - 1, a, &entry).code != ERR_NONE ||
		    strcmp(entry.kind, "store.commit") != 0)
			continue;
		json_t *o = json_loadb((const char *)entry.body, entry.body_len, 0, NULL);
		uint64_t version = (uint64_t)json_integer_value(
			json_object_get(json_object_get(o, "body"), "commit"));
		json_decref(o);
		if (version < r->commit_version)
			break;
		if (version > r->commit_version) {
			repository_alert(
				r, "missing", "store",
				"the ledger knows a later commit: the store was rolled back");
			r->read_only = true;
		}
		return OK;
	}
	struct commit c = {.version = r->commit_version};
	TRY(last_root(r, c.root, &c.n));
	return flush_record(r, &c);
}

static struct err first_commit(struct repository *r)
{
	struct commit c;
	struct err e = commit_begin(&c, r->store, r->keys, 1);
	if (e.code == ERR_NONE)
		e = data_keys_prepare(r->keys, &c);
	if (e.code == ERR_NONE)
		e = flush_meta(r, &c);
	if (e.code == ERR_NONE)
		e = commit_finish(&c);
	if (e.code == ERR_NONE) {
		r->commit_version = 1;
		e = flush_record(r, &c);
	}
	commit_clear(&c);
	return e;
}

static struct err read_store(struct repository *r)
{
	TRY(read_version(r));
	TRY(read_meta(r));
	return read_devices(r);
}

struct err repository_recover(struct repository *r)
{
	int64_t before = clock_mono_ns();
	const struct journal_reader reader = {each_record, each_damage, r};
	r->recovering = true; // no entry may be made before those of the journal are back
	struct err e = read_store(r);
	if (e.code == ERR_CORRUPT && r->offline) { // the verification names what it can
		repository_alert(r, "unreadable", "store", e.text);
		e = OK;
	}
	TRY(e);
	if (r->commit_version)
		TRY(journal_replay(r->journal, &reader));
	else if (!r->offline)
		TRY(first_commit(r));
	e = ledger_check(r->ledger);
	if (e.code == ERR_CORRUPT) { // X.2011 8.3.3-9: loud, and nothing more is taken in
		repository_alert(r, "forked", "ledger", e.text);
		r->read_only = true;
		e = OK;
	}
	TRY(e);
	repository_tell_held(r);
	if (r->offline)
		return OK;
	TRY(bind_last_commit(r));
	char json[200];
	snprintf(json, sizeof json,
		 "{\"devices\":%u,\"series\":%u,\"revision\":%llu,\"damaged\":%s}",
		 r->index.n_devices, r->index.n_series, (unsigned long long)r->revision,
		 r->damaged ? "true" : "false");
	TRY(ledger_note(r->ledger, "repository.started", "repository", "repository", json));
	if (!r->read_only)
		TRY(flush_all(r));
	log_notice("%u devices, %u series, revision %llu, %llu ledger entries, in %lld ms",
		   r->index.n_devices, r->index.n_series, (unsigned long long)r->revision,
		   (unsigned long long)ledger_size(r->ledger),
		   (long long)((clock_mono_ns() - before) / NS_PER_MS));
	return OK;
}
