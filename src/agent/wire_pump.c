// SPDX-License-Identifier: Apache-2.0
// From the spool to the stream, in order. Before the first batch of a key goes, the key is proved
// on this connection (its certification travels with the proof), so that telemetry and the
// repository can check it; while that is under way the pump waits.

#include "agent/wire_internal.h"

#include "agent/keys_link.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <string.h>

// What was lost since this connection last heard of it. Wire: a SubscribeResponse that has a
// Notification without updates, and the report.
static struct err tell_losses(struct wire *w, struct grpc_call *call)
{
	struct twin *t = &w->twin;
	struct spool_counts c;
	spool_count(t->spool, &c);
	uint64_t lost = c.lost_updates + t->skipped;
	if (lost <= t->lost_told)
		return OK;
	scoped(buf) struct buf out = {0};
	struct gnmi_writer writer;
	const struct gnmi_loss loss = {true, lost - t->lost_told, c.lost_from, c.lost_to};
	gnmi_writer_start(&writer, &out, clock_wall_ns(), NULL, 0);
	gnmi_writer_finish(&writer, NULL, &loss);
	TRY(buf_check(&out, "loss report"));
	TRY(grpc_call_send(call, out.data, out.len));
	t->lost_told = lost;
	return OK;
}

static bool is_broken(const struct twin *t, const uint8_t key_id[8])
{
	return t->has_broken && memcmp(t->broken, key_id, 8) == 0;
}

static void mark_broken(struct twin *t, const uint8_t key_id[8])
{
	memcpy(t->broken, key_id, 8);
	t->has_broken = true;
}

static void passed(struct twin *t, const struct spool_record *r, bool sent)
{
	t->last_number = r->number;
	t->gap = false;
	if (!sent && r->number > t->skipped_to) { // counted once, however often it is replayed
		t->skipped += r->updates;
		t->skipped_to = r->number;
	}
}

// What was signed by a key whose time is over is not taken by anybody: to show it would only raise
// an alarm.
static struct err still_good(const struct buf *certified)
{
	Gemel__Enrolment__V1__CertifiedBatchKey *c =
		gemel__enrolment__v1__certified_batch_key__unpack(NULL, certified->len,
								  certified->data);
	Gemel__Enrolment__V1__BatchKey *key = c ? gemel__enrolment__v1__batch_key__unpack(
							  NULL, c->batch_key.len, c->batch_key.data)
						: NULL;
	bool good = key && key->until_ns > clock_wall_ns();
	gemel__enrolment__v1__batch_key__free_unpacked(key, NULL);
	gemel__enrolment__v1__certified_batch_key__free_unpacked(c, NULL);
	ENSURE(good, ERR_NOT_FOUND, "batches of a key whose time is over are left out");
	return OK;
}

static struct err prove_key(struct wire *w, const uint8_t key_id[8])
{
	scoped(buf) struct buf certified = {0};
	bool present =
		chain_ready(w->twin.chain) && memcmp(chain_key_id(w->twin.chain), key_id, 8) == 0;
	if (w->session.attest.stage != ATTEST_IDLE)
		return OK; // when that one is done, the pump runs again
	if (!present) {
		TRY(spool_key(w->twin.spool, key_id, &certified));
		TRY(still_good(&certified));
	}
	return wire_attest(&w->session.attest, w->session.conn, ATTEST_SESSION, key_id,
			   cursor_over(certified.data, certified.len));
}

static struct err send_sync(struct grpc_call *call)
{
	scoped(buf) struct buf out = {0};
	gnmi_write_sync(&out);
	return grpc_call_send(call, out.data, out.len);
}

static struct err send_batch(struct twin *t, struct grpc_call *call, const struct spool_record *r)
{
	TRY(grpc_call_send(call, r->bytes, r->len));
	if (t->sync_seq == r->seq && memcmp(t->sync_key, r->key_id, 8) == 0) {
		t->sync_seq = 0;
		return send_sync(call);
	}
	return OK;
}

// Record numbers have no holes but where records were lost: behind one, a chain that did not begin
// there cannot be verified.
static struct err batch(struct wire *w, struct grpc_call *call, const struct spool_record *r,
			bool *later)
{
	struct twin *t = &w->twin;
	if ((t->gap || r->number != t->last_number + 1) && r->seq != 1)
		mark_broken(t, r->key_id);
	if (is_broken(t, r->key_id)) {
		passed(t, r, false);
		return OK;
	}
	if (!session_knows(&w->session, r->key_id)) {
		struct err e = prove_key(w, r->key_id);
		*later = e.code != ERR_NOT_FOUND;
		if (*later)
			return e;
		log_warning("%s", e.text); // nobody could verify them
		mark_broken(t, r->key_id);
		passed(t, r, false);
		return OK;
	}
	struct err e = send_batch(t, call, r);
	*later = e.code != ERR_NONE;
	if (!*later)
		passed(t, r, true);
	return e;
}

// One record. *more false: nothing is left, or it must wait.
static struct err step(struct wire *w, struct grpc_call *call, bool *more)
{
	struct twin *t = &w->twin;
	struct spool_place before = t->sent;
	struct spool_record r;
	bool later = false;
	struct err e = spool_next(t->spool, &t->sent, &t->record, &r, more);
	if (e.code == ERR_CORRUPT) {
		log_warning("%s: what follows it in its segment is lost", e.text);
		t->gap = *more = true;
		return OK;
	}
	TRY(e);
	if (!*more)
		return OK;
	if (r.kind == SPOOL_KEY) {
		t->gap |= r.number != t->last_number + 1;
		t->last_number = r.number;
		return OK;
	}
	e = batch(w, call, &r, &later);
	if (later) {
		t->sent = before;
		*more = false;
	}
	return e;
}

void twin_pump(struct wire *w)
{
	struct twin *t = &w->twin;
	struct grpc_call *call = t->stream ? t->stream->call : NULL;
	if (!call || !w->session.conn)
		return;
	struct err e = tell_losses(w, call);
	if (e.code == ERR_NONE && t->sync_seq == UINT64_MAX &&
	    (e = send_sync(call)).code == ERR_NONE)
		t->sync_seq = 0;
	for (bool more = true; more && e.code == ERR_NONE && !grpc_call_full(call);)
		e = step(w, call, &more);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_warning("sending batches: %s", e.text);
	// The rest of the present chain can go nowhere: another must begin.
	if (chain_ready(t->chain) && is_broken(t, chain_key_id(t->chain)) && !t->rotating &&
	    !evtimer_pending(t->rotate, NULL)) {
		t->missed = true;
		wire_after(t->rotate, 0);
	}
}
