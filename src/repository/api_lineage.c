// SPDX-License-Identifier: Apache-2.0
// Where a value came from and who has seen it: the device's signed batch, under which grant it was
// collected, by which way it came, in which sealed row it lies and which ledger entry vouches for
// that row; and every recorded read that covered it. X.2011 8.3.1-5, 9.2-source, 9.2-trace.
#include "repository/api.h"

#include "lib/base/clock.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/sign.h"
#include "lib/gnmi/path.h"
#include "repository/chain.h"
#include "repository/proofs.h"

#include <openssl/evp.h>
#include <string.h>

enum { READERS = 50, READS_LOOKED_AT = 5000 };

// --- the proof of a revision

struct found_proof {
	struct repository *r;
	uint64_t revision;
	struct arena *a;
	struct proof p;
	bool found;
	struct row_info row;
};

static struct err proof_row(void *ctx, const struct store_row *row, bool *more)
{
	struct found_proof *f = ctx;
	const uint8_t *plain;
	size_t n;
	*more = false; // rows are by their first revision: only this one can have it
	TRY(row_open(f->r->keys, row, f->a, &f->row, &plain, &n));
	struct err e = proof_find(plain, n, f->revision, &f->p);
	f->found = e.code == ERR_NONE;
	return e.code == ERR_NOT_FOUND ? OK : e;
}

static struct err find_proof(struct found_proof *f, struct device *d)
{
	struct err e = proof_find(d->proofs.data, d->proofs.len, f->revision, &f->p);
	f->found = e.code == ERR_NONE;
	if (e.code != ERR_NOT_FOUND)
		return e;
	uint8_t key[8];
	key_be64(key, f->revision);
	const struct store_scan scan = {.table = STORE_BATCH,
					.domain = d->domain,
					.device = d->number,
					.from = key,
					.from_len = sizeof key,
					.backward = true,
					.each = proof_row,
					.ctx = f};
	return store_scan(f->r->store, &scan);
}

static json_t *hex(const uint8_t *bytes, size_t n)
{
	char text[2 * 128 + 1];
	return n <= 128 ? json_string(hash_hex(bytes, n, text)) : json_null();
}

static json_t *base64(const uint8_t *bytes, size_t n)
{
	char text[(BATCH_SIGNATURE_MAX + 2) / 3 * 4 + 1];
	int len = EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);
	return json_stringn(text, (size_t)len);
}

static json_t *batch_json(const struct proof *p, struct device *d)
{
	bool is_signed = p->flags & BATCH_SIGNED;
	json_t *o = json_pack("{s:I, s:I, s:I, s:o, s:o, s:b}", "seq", (json_int_t)p->seq,
			      "revision", (json_int_t)p->revision, "records", (json_int_t)p->count,
			      "received", api_time_json(p->received_ns), "hash",
			      hex(p->hash, BATCH_HASH), "signed", is_signed);
	if (!o || !is_signed)
		return o;
	const struct batch_head head = {.algorithm = p->algorithm,
					.signature = p->signature,
					.signature_len = p->signature_len};
	struct chain *chain = chain_find(d, p->key_id);
	json_object_set_new(o, "algorithm",
			    json_string(sign_algorithm_name((enum sign_algorithm)p->algorithm)));
	json_object_set_new(o, "key_id", hex(p->key_id, BATCH_KEY_ID));
	json_object_set_new(o, "signature", base64(p->signature, p->signature_len));
	// Checked again now, while the key is known; afterwards anybody who has it can.
	if (chain && chain->public_len) {
		json_object_set_new(o, "public_key", base64(chain->public_key, chain->public_len));
		json_object_set_new(
			o, "verified",
			json_boolean(chain_verify(chain, &head, p->hash).code == ERR_NONE));
	}
	return o;
}

// --- the row that holds it

struct found_row {
	uint32_t series;
	int64_t time_ns;
	struct row_info info;
	bool found;
};

static struct err chunk_row(void *ctx, const struct store_row *row, bool *more)
{
	struct found_row *f = ctx;
	struct row_info info;
	TRY(row_info_read(row, &info));
	if (info.t0 > f->time_ns || info.t1 < f->time_ns || f->series < info.series_first ||
	    f->series > info.series_last)
		return OK;
	f->info = info;
	f->found = true;
	*more = false;
	return OK;
}

static json_t *row_json(struct repository *r, const struct device *d, const struct state_point *p)
{
	uint8_t key[8];
	struct found_row f = {.series = p->series, .time_ns = p->time_ns};
	key_time(key, p->time_ns);
	const struct store_scan scan = {.table = STORE_CHUNK,
					.domain = d->domain,
					.device = d->number,
					.from = key,
					.from_len = sizeof key,
					.each = chunk_row,
					.ctx = &f,
					.heads_only = true};
	if (p->revision > d->flushed)
		return json_pack("{s:s}", "place", "journal and memory: not in a chunk yet");
	struct err e = store_scan(r->store, &scan);
	if (e.code != ERR_NONE || !f.found)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:I, s:I}", "place", "chunk", "commit",
			 (json_int_t)f.info.version, "key", (json_int_t)f.info.dek, "key_epoch",
			 (json_int_t)f.info.epoch, "points", (json_int_t)f.info.n);
}

// --- who has seen it

static bool read_covers(const json_t *detail, const char *path)
{
	struct path_pattern *pattern = NULL;
	const char *text = json_string_value(json_object_get(detail, "path"));
	if (!text || path_pattern_new(text, &pattern).code != ERR_NONE)
		return false;
	bool covers = path_match_under(pattern, path, strlen(path));
	path_pattern_free(pattern);
	return covers;
}

static json_t *reader_json(const struct ledger_entry *e, const json_t *entry)
{
	const json_t *detail = json_object_get(entry, "body");
	json_t *o = json_pack("{s:I, s:o}", "entry", (json_int_t)e->index, "time",
			      api_time_json(e->time_ns));
	static const char *const members[] = {"purpose", "class", "count", "operation"};
	json_object_set(o, "actor", json_object_get(entry, "actor"));
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (json_object_get(detail, members[i]))
			json_object_set(o, members[i], json_object_get(detail, members[i]));
	return o;
}

// Entries of reads since the value was there, newest first.
static json_t *readers(struct ask *q, const struct device *d, const char *path, int64_t since)
{
	json_t *list = json_array();
	unsigned looked = 0;
	for (uint64_t i = ledger_size(q->r->ledger); i-- > 0 && looked < READS_LOOKED_AT;
	     looked++) {
		scoped(arena) struct arena *a = arena_new(1 << 20);
		struct ledger_entry e;
		if (!a || ledger_get(q->r->ledger, i, a, &e).code != ERR_NONE || e.time_ns < since)
			break;
		if (strcmp(e.kind, "data.read") != 0)
			continue;
		json_t *entry = json_loadb((const char *)e.body, e.body_len, 0, NULL);
		const char *subject = json_string_value(json_object_get(entry, "subject"));
		if (subject && !strcmp(subject, d->name) &&
		    read_covers(json_object_get(entry, "body"), path))
			json_array_append_new(list, reader_json(&e, entry));
		json_decref(entry);
		if (json_array_size(list) == READERS)
			break;
	}
	return list;
}

// --- the operation

static struct err find_value(struct ask *q, struct device *d, uint32_t number, int64_t at_ns,
			     struct state_point *out)
{
	const struct series *s = index_series(&q->r->index, number);
	struct state_point *points;
	size_t n;
	bool live = (s->flags & SERIES_LIVE) && !(s->flags & SERIES_DELETED);
	*out = (struct state_point){number, s->time_ns, s->revision, series_value(s), false};
	if (!at_ns) {
		ENSURE(live, ERR_NOT_FOUND, "%s has no value now", s->path);
		return OK;
	}
	TRY(history_state(q->r, d, at_ns, q->a, &points, &n));
	for (size_t i = 0; i < n; i++)
		if (points[i].series == number) {
			*out = points[i];
			return OK;
		}
	return err_make(ERR_NOT_FOUND, "%s had no value then", s->path);
}

static json_t *route(const struct device *d, bool is_signed)
{
	return json_pack("[s, s, s]", d->name, "telemetry: TLS 1.3, mutual",
			 is_signed ? "repository: signature, chain and grant checked"
				   : "repository: observed by telemetry, not signed by the device");
}

static struct err describe(struct ask *q, struct device *d, const struct state_point *p,
			   json_t **body)
{
	struct repository *r = q->r;
	const struct series *s = index_series(&r->index, p->series);
	struct found_proof f = {.r = r, .revision = p->revision, .a = q->a};
	TRY(find_proof(&f, d));
	bool is_signed = f.found && (f.p.flags & BATCH_SIGNED);
	*body = json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:I}", "device", d->name, "path", s->path,
			  "value", api_value(&p->value), "time", api_time_json(p->time_ns), "class",
			  access_class_names[s->class], "class_rule",
			  classes_rule(r->classes, s->path, s->path_len), "value_revision",
			  (json_int_t)p->revision);
	ENSURE(*body, ERR_LIMIT, "no memory for the answer");
	json_object_set_new(
		*body, "source",
		json_string(is_signed ? "signed by the device" : "observed by telemetry"));
	json_object_set_new(*body, "batch", f.found ? batch_json(&f.p, d) : json_null());
	json_object_set_new(*body, "grant",
			    f.found ? json_integer((json_int_t)f.p.grant) : json_null());
	json_object_set_new(*body, "route", route(d, is_signed));
	json_object_set_new(*body, "stored", row_json(r, d, p));
	json_object_set_new(*body, "decided_by", json_string(q->decision.policy));
	json_object_set_new(*body, "reads_recorded", json_boolean(s->class > CLASS_INTERNAL));
	json_object_set_new(*body, "readers", readers(q, d, s->path, p->time_ns));
	return OK;
}

struct err api_data_lineage(struct ask *q, json_t **body)
{
	const char *text = answer_text(q->m, "path");
	char path[PATH_TEXT_MAX + 1];
	int64_t at_ns;
	struct device *d;
	struct state_point p;
	struct reads reads = {0};
	ENSURE(text && *text, ERR_USAGE, "path: of one value");
	TRY(path_canonical(text, path));
	TRY(api_time(q, "at", 0, &at_ns));
	TRY(api_device(q, answer_text(q->m, "device"), &d));
	enum access_class class = classes_of(q->r->classes, path, strlen(path));
	if (!api_may_read(q, d, path, class))
		return err_make(ERR_DENIED, "%s may not read %s: %s", q->who.account, path,
				q->decision.fact);
	const struct access_decision permitted = q->decision;
	uint32_t number = index_series_find(&q->r->index, d->number, path, strlen(path));
	ENSURE(number, ERR_NOT_FOUND, "%s has no value at %s", d->name, path);
	TRY(find_value(q, d, number, at_ns, &p));
	q->decision = permitted;
	reads_note(&reads, q, d, class, path);
	TRY(reads_finish(&reads, q, path));
	TRY(describe(q, d, &p, body));
	api_stamp(*body, at_ns ? at_ns : d->last_ns, q->r->revision);
	return OK;
}
