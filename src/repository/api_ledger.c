// SPDX-License-Identifier: Apache-2.0
// The ledger for people and for public verifiers. Checkpoint, key, tiles and proofs hold only
// salted hashes; bodies are shown entry by entry, to those who may read their class.
// X.2011 8.3.3-9.
#include "repository/api.h"

#include "lib/base/clock.h"
#include "lib/crypto/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ENTRIES = 100, LOOKED_AT_MOST = 20000 };

static const char text_plain[] = "text/plain; charset=utf-8";

// --- C2SP forms

struct err api_ledger_checkpoint(struct ask *q, json_t **body)
{
	const char *note = ledger_checkpoint(q->r->ledger);
	(void)body;
	ENSURE(*note, ERR_BUSY, "no head has been signed yet");
	buf_str(&q->text, note);
	q->content_type = text_plain;
	return OK;
}

struct err api_ledger_vkey(struct ask *q, json_t **body)
{
	(void)body;
	q->content_type = text_plain;
	return ledger_vkey(q->r->ledger, &q->text);
}

static struct err index_of(struct ask *q, uint64_t *out)
{
	int64_t index = answer_number(q->m, "index", -1);
	ENSURE(index >= 0, ERR_USAGE, "index: of the entry, from 0");
	*out = (uint64_t)index;
	return OK;
}

struct err api_ledger_proof(struct ask *q, json_t **body)
{
	uint64_t index = 0;
	(void)body;
	q->content_type = text_plain;
	q->fix = "A head is signed within seconds of an entry: ask again.";
	TRY(index_of(q, &index));
	return ledger_proof(q->r->ledger, index, &q->text);
}

struct err api_ledger_tile(struct ask *q, json_t **body)
{
	const char *rest = answer_text(q->m, "rest");
	char path[160];
	(void)body;
	ENSURE(rest && strlen(rest) < sizeof path - 8, ERR_USAGE, "the tile's name is missing");
	snprintf(path, sizeof path, "tile/%s", rest);
	q->content_type = "application/octet-stream";
	return ledger_tile(q->r->ledger, path, &q->text);
}

// --- entries

// Who logged in from where, and who read what, is about people.
static enum access_class class_of(const char *kind)
{
	static const char *const confidential[] = {"account.", "session.", "data.read", "access."};
	for (size_t i = 0; i < sizeof confidential / sizeof *confidential; i++)
		if (!strncmp(kind, confidential[i], strlen(confidential[i])))
			return CLASS_CONFIDENTIAL;
	return CLASS_INTERNAL;
}

static bool may_see(struct ask *q, const struct ledger_entry *e, const char *subject)
{
	const struct access_resource what = {
		.kind = "Ledger", .id = subject, .path = e->kind, .class = class_of(e->kind)};
	return api_may(q, &what);
}

static json_t *entry_json(const struct ledger_entry *e, json_t *parsed)
{
	json_t *o = json_pack("{s:I, s:o, s:s, s:O?, s:O?, s:O?}", "index", (json_int_t)e->index,
			      "time", api_time_json(e->time_ns), "kind", e->kind, "subject",
			      json_object_get(parsed, "subject"), "actor",
			      json_object_get(parsed, "actor"), "body",
			      json_object_get(parsed, "body"));
	return o;
}

struct search {
	const char *kind, *subject, *actor;
	int64_t from_ns, to_ns;
	uint64_t below; // entries with a smaller index
};

static struct err search_read(struct ask *q, struct search *s)
{
	const char *cursor = answer_text(q->m, "cursor");
	int end = 0;
	*s = (struct search){.kind = answer_text(q->m, "kind"),
			     .subject = answer_text(q->m, "subject"),
			     .actor = answer_text(q->m, "actor")};
	int64_t at;
	TRY(api_time(q, "at", INT64_MAX, &at));
	TRY(api_time(q, "to", at, &s->to_ns));
	s->to_ns = s->to_ns < at ? s->to_ns : at;
	TRY(api_time(q, "from", INT64_MIN, &s->from_ns));
	s->below = ledger_size(q->r->ledger);
	if (!cursor || !*cursor)
		return OK;
	uint64_t below;
	ENSURE(sscanf(cursor, "e1.%" SCNu64 "%n", &below, &end) == 1 && end && !cursor[end],
	       ERR_USAGE, "cursor: it is not the `next` of an answer");
	s->below = below < s->below ? below : s->below;
	return OK;
}

static bool kind_fits(const char *want, const char *kind)
{
	size_t n = want ? strlen(want) : 0;
	if (!n)
		return true;
	return want[n - 1] == '.' ? !strncmp(kind, want, n) : !strcmp(kind, want);
}

static bool text_fits(const char *want, const json_t *have)
{
	const char *text = json_string_value(have);
	return !want || !*want || (text && !strcmp(want, text));
}

static struct err give(struct ask *q, const struct search *s, uint64_t index, struct listing *l)
{
	scoped(arena) struct arena *a = arena_new(1 << 20);
	struct ledger_entry e;
	ENSURE(a, ERR_LIMIT, "no memory for a ledger entry");
	struct err bad = ledger_get(q->r->ledger, index, a, &e);
	if (bad.code == ERR_CORRUPT) { // told, and passed over
		listing_add(l, json_pack("{s:I, s:s, s:s}", "index", (json_int_t)index, "kind",
					 "unreadable", "body", bad.text));
		return OK;
	}
	TRY(bad);
	if (!kind_fits(s->kind, e.kind) || e.time_ns < s->from_ns || e.time_ns > s->to_ns)
		return OK;
	json_t *parsed = json_loadb((const char *)e.body, e.body_len, 0, NULL);
	const json_t *subject = json_object_get(parsed, "subject");
	if (text_fits(s->subject, subject) &&
	    text_fits(s->actor, json_object_get(parsed, "actor")) &&
	    may_see(q, &e, json_string_value(subject)))
		listing_add(l, entry_json(&e, parsed));
	json_decref(parsed);
	return OK;
}

struct err api_ledger_entries(struct ask *q, json_t **body)
{
	static const char *const fields[] = {"index", "time", "kind", "subject",
					     "actor", "body", NULL};
	struct search s;
	struct listing l;
	char next[40] = "";
	unsigned looked = 0;
	TRY(search_read(q, &s));
	TRY(listing_start(&l, q, ENTRIES, fields));
	struct err e = OK;
	uint64_t i = s.below;
	for (; i > 0 && !listing_full(&l) && looked < LOOKED_AT_MOST && e.code == ERR_NONE;
	     looked++)
		e = give(q, &s, --i, &l);
	if (i > 0)
		snprintf(next, sizeof next, "e1.%" PRIu64, i);
	if (e.code == ERR_NONE)
		*body = listing_body(&l, next);
	listing_clear(&l);
	if (*body) {
		json_object_set_new(*body, "size",
				    json_integer((json_int_t)ledger_size(q->r->ledger)));
		json_object_set_new(*body, "signed",
				    json_integer((json_int_t)ledger_checkpoint_size(q->r->ledger)));
	}
	return e;
}

// Body and salt, exactly as they were hashed: with them anybody can make the leaf again.
struct err api_ledger_entry(struct ask *q, json_t **body)
{
	struct ledger_entry e;
	char salt[2 * LEDGER_SALT + 1];
	scoped(buf) struct buf leaf = {.limit = 1024};
	uint64_t index = 0;
	TRY(index_of(q, &index));
	TRY(ledger_get(q->r->ledger, index, q->a, &e));
	json_t *parsed = json_loadb((const char *)e.body, e.body_len, 0, NULL);
	struct err bad = OK;
	if (!may_see(q, &e, json_string_value(json_object_get(parsed, "subject"))))
		bad = err_make(ERR_DENIED, "%s may not read entries of kind %s: %s", q->who.account,
			       e.kind, q->decision.fact);
	if (bad.code == ERR_NONE) {
		ledger_leaf(&e, &leaf);
		char *hex = arena_alloc(q->a, leaf.len * 2 + 1);
		*body = entry_json(&e, parsed);
		if (*body && hex) {
			json_object_set_new(*body, "record",
					    json_stringn((const char *)e.body, e.body_len));
			json_object_set_new(*body, "salt",
					    json_string(hash_hex(e.salt, LEDGER_SALT, salt)));
			json_object_set_new(*body, "leaf",
					    json_string(hash_hex(leaf.data, leaf.len, hex)));
			json_object_set_new(
				*body, "signed",
				json_boolean(index < ledger_checkpoint_size(q->r->ledger)));
		}
	}
	json_decref(parsed);
	return bad;
}
