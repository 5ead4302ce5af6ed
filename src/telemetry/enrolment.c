// SPDX-License-Identifier: Apache-2.0
// The enrolment service, passed on: telemetry reads nothing of a request but its size, and
// management decides. Who has no certificate yet comes to the enrolment listener (Begin, Complete;
// Challenge and Renew for one that has expired); who has one calls on his tunnel connection
// (Challenge, Attest, Renew), and his certificate and session go along. X.2011 8.1.1-1, 8.1.1-2.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <stdlib.h>
#include <string.h>

enum { REQUEST_MAX = 48 << 10, INQUIRIES_MAX = 256 };
#define SERVICE "/gemel.enrolment.v1.Enrolment/"
static const struct rate inquiry_rate = {.per_s = 2, .burst = 16}; // of one connection

struct method {
	struct telemetry *t;
	enum telemetry_listener where;
	const char *name;
};

// One call that management has been asked about.
struct inquiry {
	LIST_ENTRY(inquiry) link;
	struct telemetry *t;
	const struct method *method;
	struct grpc_call *call;
	uint64_t id; // 0: its message has not come yet
	int64_t since_ns;
};

// One connection to the enrolment listener.
struct visitor {
	LIST_ENTRY(visitor) link;
	struct telemetry *t;
	struct grpc_conn *conn;
	struct source *from;
	char source[SOURCE_TEXT_MAX];
	struct bucket inquiries;
	int64_t since_ns;
	bool open;
};

static const struct {
	const char *name, *path;
	bool tunnel, listener;
} methods[] = {
	{"Begin", SERVICE "Begin", false, true},   {"Complete", SERVICE "Complete", false, true},
	{"Renew", SERVICE "Renew", true, true},	   {"Challenge", SERVICE "Challenge", true, true},
	{"Attest", SERVICE "Attest", true, false},
};
enum { METHODS = sizeof methods / sizeof *methods };

struct enrolment {
	struct grpc_server *grpc; // of the listener
	struct method method[LISTENERS][METHODS];
	LIST_HEAD(, inquiry) inquiries;
	LIST_HEAD(, visitor) visitors;
	uint32_t n_inquiries, n_visitors;
};

static void inquiry_free(struct inquiry *q)
{
	LIST_REMOVE(q, link);
	q->t->enrolment->n_inquiries--;
	free(q);
}

// --- a call

static struct err may_ask(const struct method *m, struct grpc_call *call)
{
	void *who = grpc_conn_context(grpc_call_conn(call));
	int64_t now = clock_mono_ns();
	struct bucket *bucket;
	if (m->where == LISTEN_TUNNEL) {
		struct session *s = who;
		ENSURE(admission_may_attest(s->state), ERR_DENIED, "%s",
		       s->reason[0] ? s->reason : "this connection is not admitted");
		bucket = &s->inquiries;
	} else {
		bucket = &((struct visitor *)who)->inquiries;
	}
	ENSURE(bucket_take(bucket, &inquiry_rate, now, 1), ERR_LIMIT,
	       "%s: more than %u enrolment calls a second", m->name, inquiry_rate.per_s);
	ENSURE(m->t->enrolment->n_inquiries < INQUIRIES_MAX, ERR_LIMIT,
	       "%s: %d devices are enrolling at this moment; try again in a minute", m->name,
	       INQUIRIES_MAX);
	return OK;
}

static struct err on_start(void *ctx, struct grpc_call *call)
{
	const struct method *m = ctx;
	TRY(may_ask(m, call));
	struct inquiry *q = calloc(1, sizeof *q);
	ENSURE(q, ERR_LIMIT, "out of memory");
	*q = (struct inquiry){.t = m->t, .method = m, .call = call, .since_ns = clock_mono_ns()};
	LIST_INSERT_HEAD(&m->t->enrolment->inquiries, q, link);
	m->t->enrolment->n_inquiries++;
	grpc_call_set_context(call, q);
	return OK;
}

static void on_message(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct inquiry *q = ctx;
	struct telemetry *t = q->t;
	void *who = grpc_conn_context(grpc_call_conn(call));
	Ipc__EnrolRequest m = IPC__ENROL_REQUEST__INIT;
	if (n > REQUEST_MAX) {
		inquiry_free(q);
		grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "the request is above 48 KiB");
		return;
	}
	m.id = q->id = t->next_id++;
	m.method = (char *)(uintptr_t)q->method->name;
	m.message = (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)message};
	if (q->method->where == LISTEN_TUNNEL) {
		struct session *s = who;
		m.source = s->source;
		m.session = s->id;
		m.peer_certificate = (ProtobufCBinaryData){s->leaf_len, s->leaf};
	} else {
		m.source = ((struct visitor *)who)->source;
	}
	struct err e = process_send(t->p, PROCESS_MANAGEMENT, IPC_ENROL_REQUEST, &m.base);
	t->count.enrolments++;
	if (e.code == ERR_NONE)
		return;
	inquiry_free(q);
	grpc_call_fail(call,
		       e.code == ERR_BUSY
			       ? err_make(ERR_BUSY, "management is away; try again in some seconds")
			       : err_make(ERR_INTERNAL, "the request cannot be passed on"));
}

static void on_end(void *ctx, struct grpc_call *call, enum grpc_status status, const char *text)
{
	inquiry_free(ctx);
}

static const struct grpc_handlers handlers = {
	.on_start = on_start, .on_message = on_message, .on_end = on_end};

// The one thing that telemetry reads of an answer: whether this connection is attested now.
static void note_attested(const struct inquiry *q, const Ipc__EnrolAnswer *m)
{
	if (q->method->where != LISTEN_TUNNEL || strcmp(q->method->name, "Attest") != 0 ||
	    m->grpc_status != GRPC_OK)
		return;
	struct session *s = grpc_conn_context(grpc_call_conn(q->call));
	Gemel__Enrolment__V1__AttestAnswer *a =
		gemel__enrolment__v1__attest_answer__unpack(NULL, m->message.len, m->message.data);
	s->attested |= a && a->accepted;
	gemel__enrolment__v1__attest_answer__free_unpacked(a, NULL);
}

struct err enrolment_answer(struct telemetry *t, const struct ipc_message *msg)
{
	struct err e = OK;
	struct inquiry *q;
	Ipc__EnrolAnswer *m = IPC_UNPACK(enrol_answer, msg, t->p->scratch, &e);
	if (!m)
		return e;
	ENSURE(m->grpc_status < GRPC_STATUSES, ERR_PEER, "ENROL_ANSWER with status %u",
	       m->grpc_status);
	LIST_FOREACH(q, &t->enrolment->inquiries, link)
	if (q->id == m->id)
		break;
	if (!q || m->id == 0)
		return OK; // the device has not waited
	struct grpc_call *call = q->call;
	note_attested(q, m);
	inquiry_free(q);
	if (m->grpc_status == GRPC_OK) {
		e = grpc_call_send(call, m->message.data, m->message.len);
		grpc_call_fail(call, e); // OK when it was sent
		return OK;
	}
	grpc_call_finish(call, (enum grpc_status)m->grpc_status, m->reason);
	return OK;
}

// --- connections to the listener

static struct err visitor_open(void *ctx, struct grpc_conn *conn)
{
	struct visitor *v = ctx;
	v->open = true;
	v->t->n_handshakes--;
	v->t->count.handshakes_good++;
	return OK;
}

static void visitor_forget(struct visitor *v)
{
	struct telemetry *t = v->t;
	struct source *from = v->from;
	LIST_REMOVE(v, link);
	t->enrolment->n_visitors--;
	t->n_handshakes -= !v->open;
	free(v);
	accept_closed(t, from);
}

static void visitor_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct visitor *v = ctx;
	log_debug("enrolment connection from %s: %s", v->source, why.code ? why.text : "closed");
	if (!v->open) {
		v->t->count.handshakes_failed++;
		observe(v->t, "handshake-failed", "", v->from ? v->from->text : v->source, "%s",
			why.code ? why.text : "closed during the handshake");
	}
	visitor_forget(v);
}

static const struct grpc_conn_events visitor_events = {.on_open = visitor_open,
						       .on_end = visitor_end};

struct err enrolment_accept(struct telemetry *t, struct transport *tr, struct source *from,
			    const char *source)
{
	struct enrolment *n = t->enrolment;
	struct visitor *v =
		n->n_visitors < telemetry_limits.enrolments ? calloc(1, sizeof *v) : NULL;
	if (!v) {
		transport_close(tr);
		return err_make(ERR_LIMIT, "%u enrolments are under way", n->n_visitors);
	}
	*v = (struct visitor){.t = t, .from = from, .since_ns = clock_mono_ns()};
	memcpy(v->source, source, strlen(source) + 1);
	struct err e = grpc_server_accept(n->grpc, tr, &visitor_events, v, &v->conn);
	if (e.code != ERR_NONE) {
		free(v);
		return e;
	}
	LIST_INSERT_HEAD(&n->visitors, v, link);
	n->n_visitors++;
	t->n_handshakes++;
	return OK;
}

bool enrolment_idle(const struct telemetry *t)
{
	return t->enrolment->n_visitors == 0 && t->enrolment->n_inquiries == 0;
}

// --- time

void enrolment_tick(struct telemetry *t)
{
	int64_t now = clock_mono_ns();
	struct inquiry *q = LIST_FIRST(&t->enrolment->inquiries), *q_next;
	for (; q; q = q_next) {
		q_next = LIST_NEXT(q, link);
		if (now - q->since_ns <= telemetry_limits.answer_s * NS_PER_S)
			continue;
		struct grpc_call *call = q->call;
		inquiry_free(q);
		grpc_call_finish(call, GRPC_DEADLINE_EXCEEDED,
				 "no answer in time; try again in some seconds");
	}
	struct visitor *v = LIST_FIRST(&t->enrolment->visitors), *v_next;
	for (; v; v = v_next) {
		v_next = LIST_NEXT(v, link);
		if (now - v->since_ns <= telemetry_limits.enrolment_s * NS_PER_S)
			continue;
		grpc_conn_close(v->conn);
		visitor_forget(v);
	}
}

void enrolment_away(struct telemetry *t)
{
	struct inquiry *q = LIST_FIRST(&t->enrolment->inquiries), *next;
	for (; q; q = next) {
		struct grpc_call *call = q->call;
		next = LIST_NEXT(q, link);
		if (q->id == 0)
			continue;
		inquiry_free(q);
		grpc_call_finish(call, GRPC_UNAVAILABLE,
				 "management is away; try again in some seconds");
	}
}

struct err enrolment_start(struct telemetry *t)
{
	struct grpc_limits limits = {.message_max = REQUEST_MAX,
				     .queue_max = 256 << 10,
				     .assembly_max = 2 * REQUEST_MAX,
				     .window = 64 << 10,
				     .streams_max = 4,
				     .header_list_max = 8 << 10,
				     .open_ms = telemetry_limits.open_ms,
				     .slow_ms = telemetry_limits.slow_ms};
	struct enrolment *n = t->enrolment = calloc(1, sizeof *n);
	ENSURE(n, ERR_INTERNAL, "out of memory");
	LIST_INIT(&n->inquiries);
	LIST_INIT(&n->visitors);
	n->grpc = grpc_server_new(&limits);
	ENSURE(n->grpc, ERR_INTERNAL, "out of memory");
	for (int i = 0; i < METHODS; i++) {
		struct method *m = n->method[LISTEN_TUNNEL];
		m[i] = (struct method){t, LISTEN_TUNNEL, methods[i].name};
		if (methods[i].tunnel)
			TRY(grpc_server_add(t->grpc, methods[i].path, GRPC_UNARY, &handlers,
					    &m[i]));
		m = n->method[LISTEN_ENROLMENT];
		m[i] = (struct method){t, LISTEN_ENROLMENT, methods[i].name};
		if (methods[i].listener)
			TRY(grpc_server_add(n->grpc, methods[i].path, GRPC_UNARY, &handlers,
					    &m[i]));
	}
	return OK;
}
