// SPDX-License-Identifier: Apache-2.0
// The hot path: one SubscribeResponse becomes one BATCH. Paths stay wire bytes and are looked up in
// the device's table (intern.h); a path that is new is put into words once, for SERIES. Values are
// views into the message until they are written into the batch. Nothing is allocated for what is
// known.
//
// Whose fault an error is decides what happens: ERR_PEER and ERR_LIMIT end the device's stream,
// ERR_BUSY says that the repository is away. A batch that is signed is handed on whole or not at
// all; of one that telemetry only observed, single records may be left out, and are counted.
// X.2011 8.3.1-5, 9.2-source.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"
#include "lib/gnmi/gnmi_fast.h"

#include <stdlib.h>
#include <string.h>

enum {
	SERIES_AT_ONCE = 512, // below SERIES' bound, whatever their paths
	RESEND_WINDOW = 4096, // batches that a device may send again without being suspect
};

struct ingest {
	struct buf batch, json;
	struct arena *words;
	Ipc__SeriesItem item[SERIES_AT_ONCE], *items[SERIES_AT_ONCE];
	size_t n_items;
};

struct err ingest_start(struct telemetry *t)
{
	struct ingest *in = t->ingest = calloc(1, sizeof *in);
	ENSURE(in, ERR_INTERNAL, "out of memory");
	in->batch.limit = BATCH_BYTES_MAX;
	in->json.limit = BATCH_STRING_MAX;
	in->words = arena_new(2 << 20);
	ENSURE(in->words, ERR_INTERNAL, "out of memory");
	return OK;
}

void ingest_stop(struct telemetry *t)
{
	if (!t->ingest)
		return;
	buf_clear(&t->ingest->batch);
	buf_clear(&t->ingest->json);
	arena_free(t->ingest->words);
	free(t->ingest);
	t->ingest = NULL;
}

// --- series

static struct err series_flush(struct telemetry *t)
{
	struct ingest *in = t->ingest;
	if (in->n_items == 0)
		return OK;
	Ipc__Series m = IPC__SERIES__INIT;
	m.items = in->items;
	m.n_items = in->n_items;
	struct err e = process_send(t->p, PROCESS_REPOSITORY, IPC_SERIES, &m.base);
	in->n_items = 0;
	arena_reset(in->words);
	return e;
}

static struct err series_tell(struct device *d, uint32_t number, const char *path, size_t n)
{
	struct ingest *in = d->t->ingest;
	if (in->n_items == SERIES_AT_ONCE)
		TRY(series_flush(d->t));
	Ipc__SeriesItem *item = &in->item[in->n_items];
	ipc__series_item__init(item);
	item->number = number;
	item->device = d->name;
	item->path = arena_strndup(in->words, path, n);
	ENSURE(item->path, ERR_LIMIT, "no memory for paths");
	in->items[in->n_items++] = item;
	return OK;
}

static struct err series_text(struct device *d, const uint8_t *path, size_t path_len,
			      char out[PATH_TEXT_MAX + 1], size_t *n)
{
	uint32_t prefix_len;
	const uint8_t *prefix = paths_bytes(d->t->paths, d->series.prefix, &prefix_len);
	TRY(path_text_of_wire(prefix, prefix_len, path, path_len, out, n));
	ENSURE(*n > 0 && *n <= BATCH_PATH_MAX, ERR_PEER, "a path of %zu bytes", *n);
	return OK;
}

static struct err quota_exceeded(struct device *d, const char *path)
{
	d->series_refused++;
	observe(d->t, "series-quota", d->name, d->session ? d->session->source : "",
		"more than %u paths; the first above is %.120s", d->grant->max_series, path);
	return err_make(ERR_LIMIT, "more than %u paths", d->grant->max_series);
}

// *out NULL: over the quota, and the record may be left out.
static struct err series_new(struct device *d, const uint8_t *path, size_t n, struct interned **out)
{
	char text[PATH_TEXT_MAX + 1];
	size_t text_len;
	uint32_t number;
	*out = NULL;
	TRY(series_text(d, path, n, text, &text_len));
	if (d->series.n >= d->grant->max_series) {
		struct err e = quota_exceeded(d, text);
		return d->grant->signed_batches ? e : OK;
	}
	TRY(numbers_take(&d->t->numbers, &number));
	struct err e = series_tell(d, number, text, text_len); // named first, then used
	if (e.code == ERR_NONE)
		e = intern_add(&d->series, path, n, number, out);
	if (e.code != ERR_NONE)
		numbers_give(&d->t->numbers, number);
	TRY(e);
	d->t->count.series_made++;
	(*out)->flags = device_covers(d, text, text_len);
	if (!((*out)->flags & COVERS_UPDATE)) // X.2011 8.1.2-2; the repository refuses it
		log_debug("%s: %s is not what it was asked for", d->name, text);
	return OK;
}

void ingest_recover_series(struct device *d)
{
	char text[PATH_TEXT_MAX + 1];
	for (uint32_t i = 0; i < d->series.n; i++) {
		struct interned *s = &d->series.entries[i];
		uint32_t prefix_len, path_len;
		size_t n;
		const uint8_t *prefix = paths_bytes(d->t->paths, s->prefix, &prefix_len);
		const uint8_t *path = paths_bytes(d->t->paths, s->path, &path_len);
		struct err e = path_text_of_wire(prefix, prefix_len, path, path_len, text, &n);
		s->flags = e.code == ERR_NONE ? device_covers(d, text, n) : 0;
	}
}

// --- values

static struct err view(enum batch_type type, const struct gnmi_value *from, struct batch_value *to)
{
	to->type = type;
	to->s.bytes = from->s.bytes;
	to->s.len = from->s.len;
	ENSURE(from->s.len <= BATCH_STRING_MAX, ERR_LIMIT, "a value of %u bytes; at most %d",
	       from->s.len, BATCH_STRING_MAX);
	return OK;
}

static struct err leaflist(struct ingest *in, const struct gnmi_value *from, struct batch_value *to)
{
	buf_reset(&in->json);
	in->json.failed = false;
	TRY(gnmi_leaflist_json(from->s.bytes, from->s.len, &in->json));
	TRY(buf_check(&in->json, "a leaf-list"));
	to->type = VALUE_JSON;
	to->s.bytes = in->json.data;
	to->s.len = (uint32_t)in->json.len;
	return OK;
}

static inline struct err value_of(struct ingest *in, const struct gnmi_value *from,
				  struct batch_value *to)
{
	switch (from->type) {
	case GNMI_UINT:
		*to = (struct batch_value){.type = VALUE_UINT, .u = from->u};
		return OK;
	case GNMI_INT:
		*to = (struct batch_value){.type = VALUE_INT, .i = from->i};
		return OK;
	case GNMI_BOOL:
		*to = (struct batch_value){.type = VALUE_BOOL, .b = from->b};
		return OK;
	case GNMI_DOUBLE:
		*to = (struct batch_value){.type = VALUE_DOUBLE, .d = from->d};
		return OK;
	case GNMI_STRING:
		return view(VALUE_STRING, from, to);
	case GNMI_JSON:
		return view(VALUE_JSON, from, to);
	case GNMI_BYTES:
	case GNMI_ANY:
		return view(VALUE_BYTES, from, to);
	case GNMI_LEAFLIST:
		return leaflist(in, from, to);
	default:
		*to = (struct batch_value){0};
		return OK;
	}
}

// --- records

static void left_out(struct device *d, const char *why)
{
	d->n_lost++;
	d->t->count.lost++;
	observe(d->t, "records-left-out", d->name, d->session ? d->session->source : "", "%s", why);
}

// Of what was only observed: records that may not or cannot be kept are left out.
static bool kept(struct device *d, const struct interned *s, bool is_delete)
{
	if (!s) {
		left_out(d, "above the quota of paths");
		return false;
	}
	if (s->flags & (is_delete ? COVERS_DELETE : COVERS_UPDATE))
		return true;
	left_out(d, "paths that it was not asked for");
	return false;
}

static struct err write_records(struct device *d, struct gnmi_notification *note,
				struct batch_writer *w)
{
	struct ingest *in = d->t->ingest;
	struct gnmi_record rec;
	bool more, is_signed = d->grant->signed_batches;
	for (;;) {
		TRY(gnmi_next(note, &rec, &more));
		if (!more)
			return OK;
		struct interned *s = intern_find(&d->series, rec.path, rec.path_len);
		if (!s)
			TRY(series_new(d, rec.path, rec.path_len, &s));
		if (!is_signed && !kept(d, s, rec.is_delete))
			continue;
		struct batch_record r = {.op = rec.is_delete ? BATCH_DELETE : BATCH_UPDATE,
					 .series = s->number,
					 .time_ns = note->timestamp_ns};
		struct err e = value_of(in, &rec.value, &r.value);
		if (e.code == ERR_LIMIT && !is_signed) {
			left_out(d, e.text);
			continue;
		}
		TRY(e);
		batch_write_record(w, &r);
	}
}

// An atomic notification is all that there is below its prefix.
static struct err write_atomic(struct device *d, const struct gnmi_notification *note,
			       struct batch_writer *w)
{
	static const uint8_t nothing[1];
	if (!note->atomic || d->grant->signed_batches)
		return OK;
	struct interned *s = intern_find(&d->series, nothing, 0);
	if (!s)
		TRY(series_new(d, nothing, 0, &s));
	if (kept(d, s, true))
		batch_write_record(w, &(struct batch_record){.op = BATCH_DELETE,
							     .series = s->number,
							     .time_ns = note->timestamp_ns});
	return OK;
}

// --- batches

static struct err hand_on(struct device *d, struct batch_writer *w, const struct batch_head *head,
			  size_t message_bytes)
{
	struct telemetry *t = d->t;
	batch_write_finish(w);
	TRY(buf_check(w->out, "a batch"));
	TRY(series_flush(t));
	TRY(ipc_send(t->p->peers[PROCESS_REPOSITORY], IPC_BATCH, w->out->data, w->out->len, -1));
	t->count.updates += w->count;
	t->count.batches++;
	d->n_updates += w->count;
	pressure_sent(d, head->seq, head->key_id, message_bytes, w->out->len, w->count);
	return OK;
}

static void head_of(struct device *d, const struct gnmi_proof *proof, struct batch_head *head)
{
	*head = (struct batch_head){.received_ns = clock_wall_ns()};
	memcpy(head->device, d->name, strlen(d->name) + 1);
	if (!d->grant->signed_batches) { // observed by telemetry: no proof of the device's own
		head->seq = ++d->observed_seq;
		return;
	}
	head->flags = BATCH_SIGNED | (proof->seq == 1 ? BATCH_CHAIN_START : 0) |
		      (proof->sync ? BATCH_SYNC : 0);
	head->seq = proof->seq;
	memcpy(head->previous, proof->previous, BATCH_HASH);
	memcpy(head->key_id, proof->key_id, BATCH_KEY_ID);
	head->algorithm = (uint8_t)proof->algorithm;
	head->signature = proof->signature;
	head->signature_len = (uint16_t)proof->signature_len;
}

static struct err check_proof(const struct device *d, const struct gnmi_proof *p)
{
	ENSURE(p->present, ERR_PEER, "a batch without a proof"); // X.2011 8.3.1-5
	ENSURE(p->device_len == strlen(d->name) && memcmp(p->device, d->name, p->device_len) == 0,
	       ERR_PEER, "a batch of device %.*s on the session of %s", (int)p->device_len,
	       (const char *)p->device, d->name);
	ENSURE(p->seq > 0 && (p->algorithm == 1 || p->algorithm == 2), ERR_PEER,
	       "a proof with seq %llu and algorithm %u", (unsigned long long)p->seq, p->algorithm);
	return OK;
}

// A stream begins with what the device does not know to be acknowledged.
static bool sent_again(struct device *d, const struct gnmi_proof *p)
{
	struct place *place = collect_place(d, p->key_id);
	if (d->resuming && p->seq <= place->acked && place->acked - p->seq < RESEND_WINDOW &&
	    !sabotaged("replay")) { // X.2011 8.2.1-4
		d->t->count.resent++;
		place->told = false;
		collect_ack_due(d);
		return true;
	}
	d->resuming = false;
	if (p->seq > place->forwarded)
		place->forwarded = p->seq;
	return false;
}

static void note_loss(struct device *d, const struct gnmi_loss *l)
{
	if (!l->present)
		return;
	d->n_lost += l->count;
	d->t->count.lost += l->count;
	observe(d->t, "loss", d->name, d->session ? d->session->source : "",
		"its spool overflowed: %llu updates, batches %llu to %llu",
		(unsigned long long)l->count, (unsigned long long)l->from_seq,
		(unsigned long long)l->to_seq);
}

static struct err report_only(struct cursor notification)
{
	struct gnmi_notification note;
	return gnmi_notification_read(notification, 0, &note);
}

// The first state is complete: said in a batch of its own.
static struct err observed_sync(struct device *d, size_t n)
{
	struct batch_writer w;
	struct batch_head head;
	head_of(d, NULL, &head);
	head.flags = BATCH_SYNC;
	buf_reset(&d->t->ingest->batch);
	batch_write_head(&w, &d->t->ingest->batch, &head);
	return hand_on(d, &w, &head, n);
}

static struct err response(struct device *d, const uint8_t *message, size_t n)
{
	struct gnmi_response r;
	struct gnmi_notification note;
	struct batch_writer w;
	struct batch_head head;
	struct buf *out = &d->t->ingest->batch;
	TRY(gnmi_response_read(message, n, &r));
	note_loss(d, &r.loss);
	if (!r.has_notification)
		return r.sync_response && !d->grant->signed_batches ? observed_sync(d, n) : OK;
	if (r.loss.present && !r.proof.present) // a report has a notification that says nothing
		return report_only(r.notification);
	if (d->grant->signed_batches) {
		TRY(check_proof(d, &r.proof));
		if (sent_again(d, &r.proof))
			return OK;
	}
	TRY(gnmi_notification_read(r.notification, BATCH_COUNT_MAX, &note));
	TRY(intern_prefix(&d->series, note.prefix, note.prefix_len));
	head_of(d, &r.proof, &head);
	buf_reset(out);
	out->failed = false;
	batch_write_head(&w, out, &head);
	TRY(write_atomic(d, &note, &w));
	TRY(write_records(d, &note, &w));
	return hand_on(d, &w, &head, n);
}

struct err ingest_response(struct device *d, const uint8_t *message, size_t n)
{
	d->t->count.bytes += n;
	ENSURE(d->grant && d->call, ERR_INTERNAL, "%s is collected from without a grant", d->name);
	ENSURE(d->t->p->peers[PROCESS_REPOSITORY], ERR_BUSY, "the repository is away");
	struct err e = response(d, message, n);
	if (e.code != ERR_NONE)
		err_ignore(series_flush(d->t)); // what was named before the mistake stays named
	return e;
}
