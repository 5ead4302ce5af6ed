// SPDX-License-Identifier: Apache-2.0
// Entries: made, journalled, answered after the sync, kept in the store, read back.
#include "repository/ledger_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/random.h"
#include "lib/ipc/messages.pb-c.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { WANTS_FLUSH = 8 << 20, ROW_BYTES = 256 << 10 };

// --- forms

void ledger_leaf(const struct ledger_entry *e, struct buf *out)
{
	uint8_t hash[HASH_SIZE];
	const struct hash_part parts[] = {{e->salt, LEDGER_SALT}, {e->body, e->body_len}};
	hash_parts(parts, 2, hash);
	buf_u8(out, 1);
	buf_u8(out, (uint8_t)strlen(e->kind));
	buf_str(out, e->kind);
	buf_be64(out, (uint64_t)e->time_ns);
	buf_append(out, hash, sizeof hash);
}

void ledger_record_write(const struct ledger_entry *e, struct buf *out)
{
	buf_be64(out, (uint64_t)e->time_ns);
	buf_u8(out, (uint8_t)strlen(e->kind));
	buf_str(out, e->kind);
	buf_append(out, e->salt, LEDGER_SALT);
	buf_be32(out, (uint32_t)e->body_len);
	buf_append(out, e->body, e->body_len);
}

struct err ledger_record_read(struct cursor *c, struct ledger_entry *e)
{
	e->time_ns = (int64_t)cursor_be64(c);
	size_t n = cursor_u8(c);
	const uint8_t *kind = cursor_take(c, n);
	ENSURE(kind && n <= LEDGER_KIND_MAX, ERR_CORRUPT, "a ledger entry's kind is broken");
	memcpy(e->kind, kind, n);
	e->kind[n] = 0;
	cursor_copy(c, e->salt, LEDGER_SALT);
	e->body_len = cursor_be32(c);
	e->body = cursor_take(c, e->body_len);
	ENSURE(e->body, ERR_CORRUPT, "a ledger entry is cut");
	return OK;
}

// --- appending

static struct err make_body(const char *kind, const char *subject, const char *actor,
			    const char *json, size_t json_len, int64_t time_ns, char **out)
{
	json_error_t bad;
	json_t *inner = json_loadb(json, json_len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &bad);
	ENSURE(inner, ERR_USAGE, "a ledger body is JSON: %s", bad.text);
	char time[CLOCK_TEXT_MAX];
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:o}", "kind", kind, "subject", subject,
			      "actor", actor, "time", clock_format(time_ns, time), "body", inner);
	*out = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(o);
	ENSURE(*out, ERR_USAGE, "a ledger entry's texts are UTF-8");
	return OK;
}

static struct err waiting_add(struct ledger *l, enum process_id to, uint64_t id, uint64_t index)
{
	if (l->n_waiting == l->cap_waiting) {
		size_t cap = l->cap_waiting ? l->cap_waiting * 2 : 64;
		struct ledger_waiting *grown = realloc(l->waiting, cap * sizeof *grown);
		ENSURE(grown, ERR_LIMIT, "no memory for the ledger");
		l->waiting = grown;
		l->cap_waiting = cap;
	}
	l->waiting[l->n_waiting++] = (struct ledger_waiting){to, id, index};
	return OK;
}

// Keeps the record until it is in the store, and gives its leaf to the tree.
static struct err keep(struct ledger *l, struct ledger_entry *e, uint64_t segment)
{
	if (l->n_kept == l->cap_kept) {
		size_t cap = l->cap_kept ? l->cap_kept * 2 : 256;
		size_t *grown = realloc(l->kept_at, cap * sizeof *grown);
		ENSURE(grown, ERR_LIMIT, "no memory for the ledger");
		l->kept_at = grown;
		l->cap_kept = cap;
	}
	size_t at = l->kept.len;
	l->kept_at[l->n_kept] = at;
	ledger_record_write(e, &l->kept);
	scoped(buf) struct buf leaf = {.limit = 1024};
	ledger_leaf(e, &leaf);
	struct err bad = buf_check(&l->kept, "ledger entries in memory");
	if (bad.code == ERR_NONE)
		bad = buf_check(&leaf, "ledger leaf");
	if (bad.code == ERR_NONE)
		bad = ledger_tree_append(l, leaf.data, leaf.len);
	if (bad.code != ERR_NONE) { // as if it had never been
		l->kept.len = at;
		l->kept.failed = false;
		return bad;
	}
	if (!l->n_kept++)
		l->oldest_segment = segment;
	l->size++;
	return OK;
}

static struct err append(struct ledger *l, const char *kind, const char *subject, const char *actor,
			 const char *json, size_t json_len, uint64_t *index)
{
	size_t n = strlen(kind);
	ENSURE(n && n <= LEDGER_KIND_MAX, ERR_USAGE, "a ledger kind has 1 to %d bytes",
	       LEDGER_KIND_MAX);
	struct ledger_entry e = {.index = l->size, .time_ns = clock_wall_ns()};
	memcpy(e.kind, kind, n + 1);
	char scoped(heap) *body = NULL;
	TRY(make_body(kind, subject, actor, json, json_len, e.time_ns, &body));
	e.body = (const uint8_t *)body;
	e.body_len = strlen(body);
	ENSURE(e.body_len <= LEDGER_BODY_MAX, ERR_LIMIT, "a ledger entry of %zu bytes; at most %d",
	       e.body_len, LEDGER_BODY_MAX);
	TRY(random_bytes(e.salt, sizeof e.salt));
	uint8_t number[8];
	key_be64(number, e.index);
	size_t at = l->kept.len;
	TRY(keep(l, &e, journal_segment(l->r->journal)));
	const struct journal_part parts[] = {{number, 8}, {l->kept.data + at, l->kept.len - at}};
	struct err bad = journal_add(l->r->journal, JOURNAL_LEDGER, parts, 2);
	if (bad.code != ERR_NONE) // the tree has it and the journal has not: start again
		return err_make(ERR_INTERNAL, "%s", bad.text);
	*index = e.index;
	ingest_schedule(l->r);
	return OK;
}

struct err ledger_note(struct ledger *l, const char *kind, const char *subject, const char *actor,
		       const char *json)
{
	uint64_t index;
	if (l->broken)
		return OK; // read only: the alert has been raised, nothing may be added
	TRY(append(l, kind, subject, actor, json, strlen(json), &index));
	return waiting_add(l, PROCESS_REPOSITORY, 0, index);
}

static struct err answer(struct ledger *l, enum process_id to, uint64_t id, uint64_t index,
			 const char *error)
{
	if (!id || to == PROCESS_REPOSITORY)
		return OK;
	Ipc__Recorded m = IPC__RECORDED__INIT;
	m.id = id;
	m.index = index;
	m.error = (char *)(uintptr_t)(error ? error : "");
	struct err e = process_send(l->r->p, to, IPC_RECORDED, &m.base);
	return e.code == ERR_BUSY ? OK : e;
}

struct err ledger_record(struct ledger *l, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__Record *m = IPC_UNPACK(record, msg, l->r->p->scratch, &e);
	if (!m)
		return e;
	uint64_t index = 0;
	if (l->broken)
		e = err_make(ERR_CORRUPT, "the ledger was altered: nothing is recorded");
	else
		e = append(l, m->kind, m->subject, m->actor,
			   m->body.len ? (const char *)m->body.data : "{}",
			   m->body.len ? m->body.len : 2, &index);
	if (e.code == ERR_INTERNAL)
		return e;
	if (e.code != ERR_NONE)
		return answer(l, msg->from, m->id, 0, e.text);
	return waiting_add(l, msg->from, m->id, index);
}

static void announce(struct ledger *l, uint64_t index)
{
	scoped(arena) struct arena *a = arena_new(1 << 20);
	struct ledger_entry e;
	if (!a || ledger_get(l, index, a, &e).code != ERR_NONE)
		return;
	json_t *body = json_loadb((const char *)e.body, e.body_len, 0, NULL);
	const char *subject = json_string_value(json_object_get(body, "subject"));
	char json[200];
	snprintf(json, sizeof json, "{\"index\":%llu,\"kind\":\"%s\",\"size\":%llu}",
		 (unsigned long long)index, e.kind, (unsigned long long)l->size);
	feed_event(l->r, "ledger.appended", subject ? subject : "", json, "internal");
	json_decref(body);
}

struct err ledger_synced(struct ledger *l)
{
	struct err e = OK;
	for (size_t i = 0; i < l->n_waiting && e.code == ERR_NONE; i++)
		e = answer(l, l->waiting[i].to, l->waiting[i].id, l->waiting[i].index, NULL);
	if (l->n_waiting)
		announce(l, l->waiting[l->n_waiting - 1].index);
	l->n_waiting = 0;
	l->synced = l->size;
	return e;
}

struct err ledger_replay(struct ledger *l, uint64_t segment, const uint8_t *bytes, size_t n)
{
	struct cursor c = cursor_over(bytes, n);
	struct ledger_entry e = {.index = cursor_be64(&c)};
	TRY(ledger_record_read(&c, &e));
	if (e.index < l->size)
		return OK; // in the store
	ENSURE(e.index == l->size, ERR_CORRUPT, "ledger entries %llu to %llu are missing",
	       (unsigned long long)l->size, (unsigned long long)e.index - 1);
	TRY(keep(l, &e, segment));
	l->synced = l->size;
	return OK;
}

// --- the store

struct err ledger_flush(struct ledger *l, struct commit *c)
{
	size_t at = 0;
	l->flushing = l->n_kept;
	while (at < l->n_kept) {
		size_t first = at, start = l->kept_at[at], end = start;
		while (at < l->n_kept && end - start < ROW_BYTES) {
			at++;
			end = at < l->n_kept ? l->kept_at[at] : l->kept.len;
		}
		uint8_t key[8];
		key_be64(key, l->stored + first);
		int64_t now = clock_wall_ns();
		struct sealer s;
		struct row_info info = {.class = CLASS_CONFIDENTIAL,
					.n = (uint32_t)(at - first),
					.t0 = now,
					.t1 = now};
		struct err e = sealer_open(&s, c, 0, 0, CLASS_CONFIDENTIAL, now);
		if (e.code == ERR_NONE)
			e = sealer_put(&s, c, STORE_LEDGER, key, sizeof key, &info,
				       l->kept.data + start, end - start);
		sealer_close(&s);
		TRY(e);
	}
	return OK;
}

void ledger_flushed(struct ledger *l)
{
	l->stored += l->flushing;
	l->n_kept = 0;
	l->flushing = 0;
	l->oldest_segment = 0;
	buf_reset(&l->kept);
}

uint64_t ledger_oldest_segment(const struct ledger *l)
{
	return l->oldest_segment;
}

bool ledger_wants_flush(const struct ledger *l)
{
	return l->kept.len > WANTS_FLUSH;
}

uint64_t ledger_size(const struct ledger *l)
{
	return l->size;
}

uint64_t ledger_stored(const struct ledger *l)
{
	return l->stored;
}

// --- reading

struct found {
	struct ledger *l;
	struct err e;
	bool any;
};

// Where each of the row's n records begins.
static struct err index_group(struct ledger *l, uint32_t n)
{
	struct cursor c = cursor_over(l->group.data, l->group.len);
	ENSURE(n && n <= l->group.len, ERR_CORRUPT, "a ledger row of %u entries cannot be", n);
	uint32_t *at = realloc(l->group_at, n * sizeof *at);
	ENSURE(at, ERR_LIMIT, "no memory for a ledger row");
	l->group_at = at;
	for (uint32_t i = 0; i < n; i++) {
		struct ledger_entry e;
		at[i] = (uint32_t)(c.at - c.start);
		TRY(ledger_record_read(&c, &e));
	}
	ENSURE(cursor_left(&c) == 0, ERR_CORRUPT, "a ledger row holds more than its entries");
	l->group_n = n;
	return OK;
}

static struct err open_group(void *ctx, const struct store_row *row, bool *more)
{
	struct found *f = ctx;
	struct row_info info;
	const uint8_t *plain;
	size_t n;
	*more = false;
	ENSURE(row->key_len == 8, ERR_CORRUPT, "a ledger row has a broken key");
	scoped(arena) struct arena *a = arena_new(STORE_BODY_MAX);
	ENSURE(a, ERR_LIMIT, "no memory for a ledger row");
	TRY(row_open(f->l->r->keys, row, a, &info, &plain, &n));
	buf_reset(&f->l->group);
	buf_append(&f->l->group, plain, n);
	TRY(buf_check(&f->l->group, "ledger row"));
	TRY(index_group(f->l, info.n));
	f->l->group_first = key_u64(row->key);
	f->any = true;
	return OK;
}

static struct err load_group(struct ledger *l, uint64_t index)
{
	if (l->group_n && index >= l->group_first && index - l->group_first < l->group_n)
		return OK;
	uint8_t key[8];
	key_be64(key, index);
	struct found f = {.l = l};
	const struct store_scan scan = {.table = STORE_LEDGER,
					.from = key,
					.from_len = sizeof key,
					.backward = true,
					.each = open_group,
					.ctx = &f};
	l->group_n = 0;
	TRY(store_scan(l->r->store, &scan));
	if (!f.any || index - l->group_first >= l->group_n) {
		l->group_n = 0;
		return err_make(ERR_CORRUPT, "ledger entry %llu is not in the store",
				(unsigned long long)index);
	}
	return OK;
}

struct err ledger_get(struct ledger *l, uint64_t index, struct arena *a, struct ledger_entry *e)
{
	*e = (struct ledger_entry){.index = index};
	ENSURE(index < l->size, ERR_NOT_FOUND, "the ledger has %llu entries; the last is %llu",
	       (unsigned long long)l->size, (unsigned long long)(l->size ? l->size - 1 : 0));
	struct cursor c;
	if (index >= l->stored) {
		size_t at = l->kept_at[index - l->stored];
		c = cursor_over(l->kept.data + at, l->kept.len - at);
		TRY(ledger_record_read(&c, e));
	} else {
		TRY(load_group(l, index));
		size_t at = l->group_at[index - l->group_first];
		c = cursor_over(l->group.data + at, l->group.len - at);
		TRY(ledger_record_read(&c, e));
	}
	uint8_t *copy = arena_alloc(a, e->body_len + 1);
	ENSURE(copy, ERR_LIMIT, "no memory for a ledger entry");
	memcpy(copy, e->body, e->body_len);
	e->body = copy;
	return OK;
}
