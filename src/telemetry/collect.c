// SPDX-License-Identifier: Apache-2.0
// A device's Subscribe stream. It asks exactly what the repository's grant says and is opened only
// while there is one (X.2011 8.1.2-1); a new grant ends it and opens another. Between two streams
// all that was sent on must have been acknowledged or refused: then the device's next first batch
// is the one after the last acknowledgement, and nothing is skipped or counted twice. What a device
// sends again, because an acknowledgement was lost on the way, is acknowledged again at once.
//
// The repository's death voids what it had not acknowledged: streams end, grants come anew, and the
// devices send again from their spools.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/gnmi_fast.h"

#include <stdio.h>
#include <string.h>

enum { REFUSALS_MAX = 8 }; // streams in a row; then the device must attest anew

// --- closing

static void call_gone(struct device *d)
{
	struct telemetry *t = d->t;
	d->call = NULL;
	t->n_streaming--;
	t->n_paused -= d->paused != 0;
	d->paused &= PAUSE_REPOSITORY | PAUSE_FLIGHT; // a rate's debt stays in its bucket
}

static void cancel(struct device *d)
{
	struct grpc_call *call = d->call;
	if (!call)
		return;
	call_gone(d);
	grpc_call_cancel(call);
}

static void close_own_conn(struct device *d)
{
	struct grpc_conn *conn = d->conn;
	d->conn = NULL;
	if (conn && !d->target)
		grpc_conn_close(conn);
}

// Closed, and to be tried again: later each time.
static void settle(struct device *d)
{
	const struct telemetry_limits *l = &telemetry_limits;
	d->state = COLLECT_SETTLING;
	d->wait_ns = d->wait_ns ? d->wait_ns * 2 : l->retry_ns;
	if (d->wait_ns > l->retry_most_ns)
		d->wait_ns = l->retry_most_ns;
	d->retry_ns = clock_mono_ns() + d->wait_ns;
	struct timeval tv = {d->wait_ns / NS_PER_S, d->wait_ns % NS_PER_S / 1000};
	event_add(d->timer, &tv);
}

void collect_stop(struct device *d, const char *why)
{
	if (d->call)
		log_debug("%s: the stream ends: %s", d->name, why);
	cancel(d);
	close_own_conn(d);
	d->state = COLLECT_IDLE;
}

void collect_fail(struct device *d, const char *kind, struct err why)
{
	d->t->count.malformed++;
	observe(d->t, kind, d->name, d->session ? d->session->source : "", "%s", why.text);
	log_notice("%s: the stream ends: %s", d->name, why.text);
	cancel(d);
	settle(d);
}

void collect_lost_conn(struct device *d)
{
	collect_stop(d, "the device is away");
}

// --- the stream

static void on_message(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct device *d = ctx;
	struct err e = ingest_response(d, message, n);
	if (e.code == ERR_BUSY)
		collect_stop(d, "the repository is away");
	else if (e.code != ERR_NONE)
		collect_fail(d, e.code == ERR_LIMIT ? "limit-exceeded" : "message-malformed", e);
}

static void on_drain(void *ctx, struct grpc_call *call)
{
	collect_ack_due(ctx);
}

static void on_end(void *ctx, struct grpc_call *call, enum grpc_status status, const char *text)
{
	struct device *d = ctx;
	call_gone(d);
	log_debug("%s: its stream ended: %s %s", d->name, grpc_status_name(status), text);
	if (status != GRPC_CANCELLED && status != GRPC_UNAVAILABLE)
		observe(d->t, "collection-refused", d->name, d->session ? d->session->source : "",
			"%s: %s", grpc_status_name(status), text);
	settle(d);
}

static const struct grpc_handlers subscribe_handlers = {
	.on_message = on_message, .on_drain = on_drain, .on_end = on_end};

static struct err request_of(struct device *d, struct arena *a, struct buf *out)
{
	const struct scope *g = d->grant->scope;
	Gnmi__SubscribeRequest m = GNMI__SUBSCRIBE_REQUEST__INIT;
	Gnmi__SubscriptionList list = GNMI__SUBSCRIPTION_LIST__INIT;
	Gnmi__Subscription item[GRANT_ITEMS_MAX], *items[GRANT_ITEMS_MAX];
	for (size_t i = 0; i < g->n; i++) {
		gnmi__subscription__init(&item[i]);
		TRY(path_message_of_text(path_pattern_text(g->item[i].pattern), a, &item[i].path));
		item[i].mode = g->item[i].mode == 1 ? GNMI__SUBSCRIPTION_MODE__ON_CHANGE
						    : GNMI__SUBSCRIPTION_MODE__SAMPLE;
		item[i].sample_interval = (uint64_t)g->item[i].interval_ns;
		items[i] = &item[i];
	}
	list.subscription = items;
	list.n_subscription = g->n;
	list.mode = GNMI__SUBSCRIPTION_LIST__MODE__STREAM;
	list.encoding = d->target ? (Gnmi__Encoding)d->target->encoding : GNMI__ENCODING__PROTO;
	m.request_case = GNMI__SUBSCRIBE_REQUEST__REQUEST_SUBSCRIBE;
	m.subscribe = &list;
	uint8_t *at = buf_space(out, gnmi__subscribe_request__get_packed_size(&m));
	ENSURE(at, ERR_LIMIT, "a subscription of more than %zu bytes", out->limit);
	gnmi__subscribe_request__pack(&m, at);
	return OK;
}

static void inner_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct device *d = ctx;
	if (d->conn != conn)
		return;
	d->conn = NULL;
	log_debug("%s: the session in the tunnel ended: %s", d->name, why.code ? why.text : "OK");
	if (d->reachable)
		settle(d);
}

static const struct grpc_conn_events inner_events = {.on_end = inner_end};

static struct err open_conn(struct device *d)
{
	struct transport *tr;
	struct grpc_client_conf conf = {.plain = true, // inside TLS already
					.authority = d->name,
					.limits = {.message_max = 4 << 20,
						   .assembly_max = 4 << 20,
						   .window = 512 << 10,
						   .slow_ms = telemetry_limits.slow_ms}};
	if (d->target)
		d->conn = d->session->conn;
	if (d->conn)
		return OK;
	ENSURE(d->session->peer, ERR_BUSY, "%s is not connected", d->name);
	TRY(tunnel_open(d->session->peer, d->name, TUNNEL_TYPE_GNMI, &tr));
	return grpc_client_new(tr, &conf, &inner_events, d, &d->conn);
}

static struct err subscribe(struct device *d)
{
	scoped(buf) struct buf request = {.limit = 256 << 10};
	scoped(arena) struct arena *a = arena_new(1 << 20);
	ENSURE(a, ERR_LIMIT, "out of memory");
	TRY(request_of(d, a, &request));
	TRY(open_conn(d));
	TRY(grpc_call_start(d->conn, "/gnmi.gNMI/Subscribe", GRPC_BIDI, &subscribe_handlers, d, 0,
			    &d->call));
	struct telemetry *t = d->t;
	t->n_streaming++;
	t->n_paused += d->paused != 0;
	if (d->paused)
		grpc_call_pause(d->call, true);
	d->asked = d->grant->id;
	d->resuming = true;
	for (int i = 0; i < PLACES_MAX; i++)
		d->places[i].told = true; // what it does not know, it asks by sending again
	d->state = COLLECT_STREAMING;
	log_debug("%s: subscribing to %zu paths under grant %llu", d->name, d->grant->scope->n,
		  (unsigned long long)d->asked);
	struct err e = grpc_call_send(d->call, request.data, request.len);
	if (e.code != ERR_NONE)
		cancel(d);
	return e;
}

// Whether something may be asked of this device now.
static bool permitted(struct device *d)
{
	const struct telemetry *t = d->t;
	if (!d->grant || d->grant->scope->n == 0) // X.2011 8.1.2-1
		return false;
	return d->session && d->session->state == ADMISSION_ADMITTED && d->reachable &&
	       t->p->peers[PROCESS_REPOSITORY];
}

void collect_consider(struct device *d)
{
	if (!permitted(d)) {
		collect_stop(d, "it is not granted, or not there");
		if (d->target)
			target_want(d->target);
		return;
	}
	if (d->call && d->asked == d->grant->id)
		return;
	if (d->call) {
		cancel(d);
		d->state = COLLECT_SETTLING;
	}
	int64_t now = clock_mono_ns();
	if (d->n_flights)
		return; // goes on with the last acknowledgement
	if (now < d->retry_ns) {
		int64_t wait = d->retry_ns - now;
		struct timeval tv = {wait / NS_PER_S, wait % NS_PER_S / 1000 + 1};
		event_add(d->timer, &tv);
		return;
	}
	struct err e = subscribe(d);
	if (e.code == ERR_NONE)
		return;
	log_notice("%s: no stream yet: %s", d->name, e.text);
	settle(d);
}

// --- acknowledgements

// The most recently used first.
struct place *collect_place(struct device *d, const uint8_t key_id[BATCH_KEY_ID])
{
	struct place *p = d->places, found;
	unsigned i = 0;
	while (i < PLACES_MAX - 1 && p[i].used && memcmp(p[i].key_id, key_id, BATCH_KEY_ID) != 0)
		i++;
	found = p[i];
	if (!found.used || memcmp(found.key_id, key_id, BATCH_KEY_ID) != 0) {
		found = (struct place){.used = true, .told = true};
		memcpy(found.key_id, key_id, BATCH_KEY_ID);
	}
	memmove(p + 1, p, i * sizeof *p);
	p[0] = found;
	return p;
}

static void tell(struct device *d)
{
	scoped(buf) struct buf out = {.limit = 256};
	for (unsigned i = 0; i < PLACES_MAX && d->call; i++) {
		struct place *p = &d->places[i];
		if (!p->used || p->told)
			continue;
		buf_reset(&out);
		gnmi_write_ack(&out, p->acked, p->key_id);
		struct err e = grpc_call_send(d->call, out.data, out.len);
		if (e.code != ERR_NONE)
			return; // the queue is full: on_drain comes here again
		p->told = true;
	}
}

void collect_ack_due(struct device *d)
{
	if (d->ack_due)
		return;
	d->ack_due = true;
	TAILQ_INSERT_TAIL(&d->t->acks, d, ack);
	event_active(d->t->acks_event, EV_TIMEOUT, 0); // one for all that this turn brings
}

void collect_tell_acks(struct telemetry *t)
{
	struct device *d;
	while ((d = TAILQ_FIRST(&t->acks)) != NULL) {
		TAILQ_REMOVE(&t->acks, d, ack);
		d->ack_due = false;
		tell(d);
	}
}

static void acked_to(struct device *d, const uint8_t *key_id, uint64_t seq)
{
	struct place *p = collect_place(d, key_id);
	if (seq > p->acked)
		p->acked = seq;
	if (p->forwarded < p->acked)
		p->forwarded = p->acked;
	p->told = false;
	collect_ack_due(d);
}

static void landed(struct device *d)
{
	if (d->n_flights)
		return;
	if (!d->call)
		collect_consider(d);
	device_release(d);
}

struct err collect_acked(struct telemetry *t, const struct ipc_message *msg)
{
	struct err e = OK;
	struct flight f;
	Ipc__BatchAck *m = IPC_UNPACK(batch_ack, msg, t->p->scratch, &e);
	if (!m)
		return e;
	ENSURE(m->key_id.len == BATCH_KEY_ID, ERR_PEER, "BATCH_ACK with a key id of %zu bytes",
	       m->key_id.len);
	struct device *d = device_find(t, m->device);
	if (!d || !pressure_landed(d, m->seq, m->key_id.data, &f))
		return OK;
	t->count.acks++;
	d->refusals = 0;
	d->wait_ns = 0;
	if (d->grant && d->grant->signed_batches)
		acked_to(d, m->key_id.data, m->seq);
	landed(d);
	return OK;
}

// The stream ends, and the device sends again from behind the last acknowledgement: what was only
// out of step is in step then. An agent whose first batch is refused again and again gives that
// chain up and begins another under a new key; if nothing mends it, it must connect and attest
// anew.
static void refused(struct device *d, const Ipc__BatchRefused *m)
{
	char why[160];
	if (!d->call)
		return; // one of those that were on their way behind the first
	cancel(d);
	settle(d);
	if (++d->refusals < REFUSALS_MAX || d->target || !d->session)
		return;
	d->refusals = 0;
	snprintf(why, sizeof why, "its batches are refused (%.60s): it must attest anew",
		 m->reason);
	session_refuse(d->session, ADMISSION_DROPPED, why);
}

struct err collect_refused(struct telemetry *t, const struct ipc_message *msg)
{
	struct err e = OK;
	struct flight f;
	Ipc__BatchRefused *m = IPC_UNPACK(batch_refused, msg, t->p->scratch, &e);
	if (!m)
		return e;
	ENSURE(m->key_id.len == BATCH_KEY_ID, ERR_PEER, "BATCH_REFUSED with a key id of %zu bytes",
	       m->key_id.len);
	struct device *d = device_find(t, m->device);
	if (!d || !pressure_landed(d, m->seq, m->key_id.data, &f))
		return OK;
	t->count.refused++;
	bool is_signed = d->grant && d->grant->signed_batches;
	if (is_signed && m->expected > m->seq) { // it has it: only the device did not know
		acked_to(d, m->key_id.data, m->expected - 1);
		landed(d);
		return OK;
	}
	observe(t, "batch-refused", d->name, d->session ? d->session->source : "",
		"batch %llu: %.80s; %llu was expected", (unsigned long long)m->seq, m->reason,
		(unsigned long long)m->expected);
	log_notice("%s: batch %llu is refused: %s", d->name, (unsigned long long)m->seq, m->reason);
	if (is_signed) {
		struct place *p = collect_place(d, m->key_id.data);
		p->forwarded = p->acked;
	} else { // it has no spool to send it again from
		d->n_lost += f.updates;
		t->count.lost += f.updates;
	}
	refused(d, m);
	d = device_find(t, m->device); // its session may have been the last that knew it
	if (d)
		landed(d);
	return OK;
}
