// SPDX-License-Identifier: Apache-2.0
// Phases: the ledger's tiles, its entries (they name each commit's root), manifests, rows table by
// table, what no row stood for, journal, the ledger's head. Rows of commits later than the start
// are passed over: they are checked by the next run.
#include "repository/verify.h"

#include "lib/base/clock.h"
#include "lib/base/sabotage.h"
#include "repository/repository.h"
#include "repository/verify_rows.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum phase { TILES, ENTRIES, MANIFESTS, ROWS, MISSING, JOURNAL, HEAD, DONE };

struct verification {
	struct repository *r;
	verify_report_fn report;
	void *ctx;
	struct verify_totals totals;
	enum phase phase;
	uint64_t upto, entries; // commits and ledger entries at the start
	uint64_t at;		// index, version, slot or segment that is next
	struct tiles_check tiles;
	bool tiles_bad; // from tiles.bad_first to bad_last
	enum store_table table;
	uint8_t key[STORE_KEY_MAX]; // last row seen in this table
	size_t key_len;
	uint32_t domain, device;
	bool within;		     // key is set
	unsigned left;		     // rows of this slice
	uint8_t (*roots)[HASH_SIZE]; // by version, from the ledger
	bool *has_root;
	struct expectations rows;
};

struct err verification_new(struct repository *r, verify_report_fn report, void *ctx,
			    struct verification **out)
{
	struct verification *v = calloc(1, sizeof *v);
	ENSURE(v, ERR_LIMIT, "no memory for a verification");
	v->r = r;
	v->report = report;
	v->ctx = ctx;
	v->upto = r->commit_version;
	v->entries = ledger_size(r->ledger);
	v->roots = calloc(v->upto + 1, sizeof *v->roots);
	v->has_root = calloc(v->upto + 1, sizeof *v->has_root);
	if (!v->roots || !v->has_root) {
		verification_free(v);
		return err_make(ERR_LIMIT, "no memory to check %" PRIu64 " commits", v->upto);
	}
	*out = v;
	return OK;
}

void verification_free(struct verification *v)
{
	if (!v)
		return;
	expectations_clear(&v->rows);
	free(v->roots);
	free(v->has_root);
	free(v);
}

const struct verify_totals *verification_totals(const struct verification *v)
{
	return &v->totals;
}

// --- findings

static void say(struct verification *v, struct verify_finding *f, const char *why)
{
	char from[CLOCK_TEXT_MAX] = "", to[CLOCK_TEXT_MAX] = "";
	if (sabotaged("verify"))
		return;
	if (f->to_ns) {
		clock_format(f->from_ns ? f->from_ns : f->to_ns, from);
		clock_format(f->to_ns, to);
	}
	int n = snprintf(f->text, sizeof f->text, "%s %s", f->record, f->what);
	if (*f->device && n < (int)sizeof f->text)
		n += snprintf(f->text + n, sizeof f->text - (size_t)n, ": device %s", f->device);
	if (*f->path && n < (int)sizeof f->text)
		n += snprintf(f->text + n, sizeof f->text - (size_t)n, ", path %.200s", f->path);
	if (f->paths > 1 && n < (int)sizeof f->text)
		n += snprintf(f->text + n, sizeof f->text - (size_t)n, " and %u more",
			      f->paths - 1);
	if (*to && n < (int)sizeof f->text)
		n += snprintf(f->text + n, sizeof f->text - (size_t)n, ", from %s to %s", from, to);
	if (n < (int)sizeof f->text)
		snprintf(f->text + n, sizeof f->text - (size_t)n, ": %s", why);
	v->totals.findings++;
	v->report(v->ctx, f);
}

static void name_path(const struct verification *v, struct verify_finding *f, uint32_t series)
{
	const struct series *s = index_series(&v->r->index, series);
	if (s && s->path)
		snprintf(f->path, sizeof f->path, "%s", s->path);
}

// Device, path and time, from the place (which the manifest vouches for) and the head where it is.
static void find_row(struct verification *v, const char *what, const struct store_row *row,
		     const char *why)
{
	struct verify_finding f = {.what = what};
	snprintf(f.record, sizeof f.record, "%s", store_table_names[row->table]);
	const struct device *d = index_device(&v->r->index, row->device);
	struct row_info info;
	if (d)
		memcpy(f.device, d->name, sizeof f.device);
	else if (row->device)
		snprintf(f.device, sizeof f.device, "number %u", row->device);
	if ((row->table == STORE_CHUNK && row->key_len == 16) ||
	    (row->table == STORE_STATE && row->key_len == 19))
		f.to_ns = key_time_read(row->key);
	if (row->table == STORE_CHUNK && row->key_len == 16) {
		name_path(v, &f, (uint32_t)(key_u64(row->key + 8) >> 32));
		f.paths = 1;
	}
	if (row->head && row_info_read(row, &info).code == ERR_NONE) {
		if (row->table == STORE_CHUNK)
			f.paths = info.blocks;
		if (f.to_ns && info.t0 < f.to_ns)
			f.from_ns = info.t0;
	}
	say(v, &f, why);
}

static void find(struct verification *v, const char *what, const char *record, const char *why)
{
	struct verify_finding f = {.what = what};
	snprintf(f.record, sizeof f.record, "%s", record);
	say(v, &f, why);
}

// --- ledger entries and manifests

static struct err step_tiles(struct verification *v)
{
	enum { MOST = 8 * TILES_WIDTH };
	bool finished;
	struct err e = ledger_check_tiles(v->r->ledger, &v->tiles, MOST, &finished);
	if (e.code == ERR_CORRUPT) {
		find(v, "altered", "ledger tiles", e.text);
		v->tiles_bad = finished = true;
	} else {
		TRY(e);
	}
	e = finished && !v->tiles_bad ? ledger_check_partials(v->r->ledger) : OK;
	if (e.code == ERR_CORRUPT)
		find(v, "altered", "ledger tiles", e.text);
	else
		TRY(e);
	v->left = v->left > MOST / 64 ? v->left - MOST / 64 : 0;
	if (finished)
		v->phase = ENTRIES;
	return OK;
}

static void note_root(struct verification *v, const struct ledger_entry *e)
{
	json_t *o = json_loadb((const char *)e->body, e->body_len, 0, NULL);
	const json_t *body = json_object_get(o, "body");
	uint64_t version = (uint64_t)json_integer_value(json_object_get(body, "commit"));
	const char *root = json_string_value(json_object_get(body, "root"));
	if (version > v->upto)
		find(v, "missing", "store", "the ledger knows a later commit: it was rolled back");
	else if (root && hash_unhex(root, v->roots[version], HASH_SIZE))
		v->has_root[version] = true;
	json_decref(o);
}

static struct err step_entries(struct verification *v)
{
	for (; v->left && v->at < v->entries; v->at++, v->left--) {
		scoped(arena) struct arena *a = arena_new(1 << 20);
		ENSURE(a, ERR_LIMIT, "no memory for a ledger entry");
		struct ledger_entry e;
		struct err bad = ledger_get(v->r->ledger, v->at, a, &e);
		char text[80];
		snprintf(text, sizeof text, "ledger entry %" PRIu64, v->at);
		v->totals.ledger_entries++;
		if (bad.code == ERR_CORRUPT) {
			find(v, "unreadable", text, bad.text);
			continue;
		}
		TRY(bad);
		if (!strcmp(e.kind, "store.commit"))
			note_root(v, &e);
		if (v->tiles_bad && v->at >= v->tiles.bad_first && v->at <= v->tiles.bad_last)
			continue; // its leaf cannot be believed
		bad = ledger_entry_check(v->r->ledger, &e);
		if (bad.code == ERR_CORRUPT)
			find(v, "altered", text, bad.text);
		else
			TRY(bad);
	}
	if (v->at == v->entries) {
		v->phase = MANIFESTS;
		v->at = 1;
	}
	return OK;
}

static struct err read_manifest(struct verification *v, const struct store_row *row,
				uint64_t version)
{
	struct cursor c = cursor_over(row->body, row->body_len);
	scoped(buf) struct buf leaves = {.limit = STORE_BODY_MAX};
	uint8_t root[HASH_SIZE];
	char name[64];
	snprintf(name, sizeof name, "manifest of commit %" PRIu64, version);
	uint32_t rows = 0;
	for (bool more = true; more;) {
		struct manifest_row m;
		struct err e = manifest_next(&c, &m, &more);
		if (e.code != ERR_NONE) {
			find(v, "altered", name, e.text);
			return OK;
		}
		if (!more)
			break;
		rows++;
		buf_append(&leaves, m.leaf, HASH_SIZE);
		TRY(expectations_put(&v->rows, &m, version));
	}
	TRY(buf_check(&leaves, "manifest"));
	commit_merkle_root(leaves.data, leaves.len / HASH_SIZE, root);
	struct cursor head = cursor_over(row->head, row->head_len);
	if (cursor_be32(&head) != rows || cursor_left(&head) != HASH_SIZE ||
	    memcmp(cursor_take(&head, HASH_SIZE), root, HASH_SIZE) != 0)
		find(v, "altered", name, "its head does not fit its list");
	if (v->has_root[version] && memcmp(root, v->roots[version], HASH_SIZE) != 0)
		find(v, "altered", name, "its root is not the one in the ledger");
	else if (!v->has_root[version] && version != v->upto)
		find(v, "added", name, "the ledger has no entry for it");
	return OK;
}

static struct err step_manifests(struct verification *v)
{
	for (; v->left && v->at <= v->upto; v->at++, v->left--) {
		scoped(arena) struct arena *a = arena_new(STORE_BODY_MAX + 4096);
		ENSURE(a, ERR_LIMIT, "no memory for a manifest");
		uint8_t key[8];
		key_be64(key, v->at);
		struct store_row row = {.table = STORE_MANIFEST, .key = key, .key_len = sizeof key};
		struct err e = store_get(v->r->store, &row, a);
		v->totals.manifests++;
		if (e.code == ERR_NOT_FOUND) {
			char name[64];
			snprintf(name, sizeof name, "manifest of commit %" PRIu64, v->at);
			find(v, "missing", name, "its rows cannot be checked");
			continue;
		}
		TRY(e);
		TRY(read_manifest(v, &row, v->at));
	}
	if (v->at > v->upto) {
		v->phase = ROWS;
		v->table = STORE_META;
	}
	return OK;
}

// --- rows

static void check_row(struct verification *v, const struct store_row *row)
{
	uint8_t leaf[HASH_SIZE];
	if (row->table == STORE_META && row->key_len == 8 && !memcmp(row->key, "store-id", 8))
		return; // part of every leaf
	struct expected *e = expectations_find(&v->rows, row);
	struct row_info info;
	bool sealed = row->table >= STORE_DEVICE;
	if (sealed && row_info_read(row, &info).code == ERR_NONE && info.version > v->upto)
		return; // written since
	if (!e || e->deleted) {
		find_row(v, "added", row,
			 e ? "it was deleted, and is here again"
			   : "no commit put it here: made or moved from elsewhere");
		return;
	}
	e->seen = true;
	row_leaf(data_keys_store_id(v->r->keys), row, leaf);
	if (memcmp(leaf, e->leaf, HASH_SIZE) != 0) {
		if (!sealed && v->r->commit_version > v->upto)
			return; // counters, written since
		find_row(v, "altered", row, "its bytes are not those that were committed");
		return;
	}
	if (!sealed)
		return;
	scoped(arena) struct arena *a = arena_new(STORE_BODY_MAX + 4096);
	const uint8_t *plain;
	size_t n;
	struct err bad = a ? row_open(v->r->keys, row, a, &info, &plain, &n)
			   : err_make(ERR_LIMIT, "no memory");
	if (bad.code != ERR_NONE)
		find_row(v, "unreadable", row, bad.text);
}

static struct err each_row(void *ctx, const struct store_row *row, bool *more)
{
	struct verification *v = ctx;
	if (v->within && row->domain == v->domain && row->device == v->device &&
	    row->key_len == v->key_len && !memcmp(row->key, v->key, v->key_len))
		return OK; // the last one of the slice before
	check_row(v, row);
	v->totals.rows++;
	v->within = true;
	v->domain = row->domain;
	v->device = row->device;
	v->key_len = row->key_len <= STORE_KEY_MAX ? row->key_len : STORE_KEY_MAX;
	memcpy(v->key, row->key, v->key_len);
	*more = --v->left > 0;
	return OK;
}

static struct err step_rows(struct verification *v)
{
	const struct store_scan scan = {.table = v->table,
					.all_devices = true,
					.domain = v->domain,
					.device = v->device,
					.from = v->key,
					.from_len = v->key_len,
					.each = each_row,
					.ctx = v};
	struct err e = store_scan(v->r->store, &scan);
	if (e.code == ERR_CORRUPT) { // the file's own structure is broken here
		find(v, "unreadable", store_table_names[v->table], e.text);
		v->left = v->left ? v->left : 1;
	} else {
		TRY(e);
	}
	if (!v->left)
		return OK;
	v->within = false;
	v->domain = v->device = 0;
	v->key_len = 0;
	if (++v->table == STORE_MANIFEST) {
		v->phase = MISSING;
		v->at = 0;
	}
	return OK;
}

static struct err step_missing(struct verification *v)
{
	for (; v->at < v->rows.size; v->at++) {
		const struct expected *e = &v->rows.slots[v->at];
		if (!e->used || e->seen || e->deleted)
			continue;
		struct store_row place = expectations_place(&v->rows, e), now = place;
		scoped(arena) struct arena *a = arena_new(STORE_BODY_MAX + 4096);
		if (v->r->commit_version > v->upto && a &&
		    store_get(v->r->store, &now, a).code == ERR_NONE)
			continue; // replaced since
		find_row(v, "missing", &place, "it was committed and is not there");
	}
	v->phase = JOURNAL;
	v->at = 0;
	return OK;
}

// --- journal and head

static struct err count_record(void *ctx, uint64_t segment, enum journal_kind kind,
			       const uint8_t *bytes, size_t n)
{
	struct verification *v = ctx;
	(void)segment, (void)kind, (void)bytes, (void)n;
	v->totals.journal_frames++;
	return OK;
}

static void journal_damaged(void *ctx, const struct journal_damage *d)
{
	struct verification *v = ctx;
	char name[96];
	snprintf(name, sizeof name, "journal segment %" PRIx64 " at byte %" PRIu64, d->segment,
		 d->offset);
	find(v, d->torn ? "cut" : "altered", name, d->what);
}

struct err verification_step(struct verification *v, unsigned rows, bool *done)
{
	const struct journal_reader reader = {count_record, journal_damaged, v};
	bool over;
	v->left = rows;
	while (v->left && v->phase != DONE) {
		struct err e = OK;
		switch (v->phase) {
		case TILES:
			e = step_tiles(v);
			break;
		case ENTRIES:
			e = step_entries(v);
			break;
		case MANIFESTS:
			e = step_manifests(v);
			break;
		case ROWS:
			e = step_rows(v);
			break;
		case MISSING:
			e = step_missing(v);
			break;
		case JOURNAL:
			e = journal_replay_next(v->r->journal, &v->at, &reader, &over);
			v->left = 0; // a slice of its own
			v->phase = over ? HEAD : JOURNAL;
			break;
		default:
			e = ledger_check(v->r->ledger);
			if (e.code == ERR_CORRUPT) {
				find(v, "forked", "ledger", e.text);
				e = OK;
			}
			v->phase = DONE;
		}
		TRY(e);
	}
	*done = v->phase == DONE;
	return OK;
}
