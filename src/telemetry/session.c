// SPDX-License-Identifier: Apache-2.0
// Connections to devices: those that came to the tunnel listener, and those that were dialled.
// After the handshake nothing is read from a peer until management has decided about him; a
// handshake that was refused is told to management as well, each with its own reason, so that it is
// written down.
//
// A device may have several connections, and is collected over one: the newest that registered. To
// register, a connection must have been attested: who has copied a certificate, and not the TPM,
// can neither be collected from nor push the device itself out. X.2011 8.1.1-1, 8.1.1-2, 8.2.1-1.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_BYTES_MAX = 48 << 10 }; // of an ADMIT_REQUEST, which has 64 KiB

static void become(struct session *s, enum admission state)
{
	if (s->state == ADMISSION_HANDSHAKE && state != s->state)
		s->t->n_handshakes--;
	s->state = state;
	s->since_ns = clock_mono_ns();
}

// --- asking management

static struct err ask_with(struct session *s, const char *device, const char *tls_error)
{
	struct telemetry *t = s->t;
	Ipc__AdmitRequest m = IPC__ADMIT_REQUEST__INIT;
	ProtobufCBinaryData list[X509_CHAIN_MAX];
	struct x509_chain chain = {0};
	size_t bytes = 0;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	ENSURE(a, ERR_LIMIT, "out of memory");
	struct ssl_st *ssl = transport_ssl(grpc_conn_transport(s->conn));
	if (ssl)
		TRY(tls_peer_chain(ssl, a, &chain));
	for (size_t i = 0; i < chain.n && bytes + chain.len[i] <= CHAIN_BYTES_MAX; i++) {
		list[m.n_chain++] =
			(ProtobufCBinaryData){chain.len[i], (uint8_t *)(uintptr_t)chain.der[i]};
		bytes += chain.len[i];
	}
	m.chain = list;
	m.id = s->ask = t->next_id++;
	m.session = s->id;
	m.source = s->source;
	m.channel = (char *)(uintptr_t)(s->target ? "dial-in" : "tunnel");
	m.tls_error = (char *)(uintptr_t)tls_error;
	m.device = (char *)(uintptr_t)device;
	return process_send(t->p, PROCESS_MANAGEMENT, IPC_ADMIT_REQUEST, &m.base);
}

static void ask(struct session *s)
{
	struct err e = ask_with(s, s->claimed, "");
	if (e.code == ERR_NONE)
		s->told = true;
	else if (e.code != ERR_BUSY) // away: it is asked when it comes
		log_error("management cannot be asked about %s: %s", s->claimed, e.text);
}

void sessions_ask_again(struct telemetry *t)
{
	struct session *s;
	LIST_FOREACH(s, &t->sessions, link)
	{
		if (s->state != ADMISSION_ASKED && s->state != ADMISSION_ADMITTED)
			continue;
		s->state = admission_next(s->state, ADMISSION_AGAIN);
		ask(s);
	}
}

// --- the end

static void detach(struct session *s)
{
	struct device *d = s->device;
	s->device = NULL;
	s->peer = NULL;
	if (!d)
		return;
	d->n_admitted--;
	if (d->session == s) {
		d->session = NULL;
		d->reachable = false;
		collect_lost_conn(d);
	}
	device_release(d);
}

static void tell_end(struct session *s, const char *reason)
{
	Ipc__SessionEnd m = IPC__SESSION_END__INIT;
	if (!s->told)
		return;
	m.session = s->id;
	m.device = s->claimed;
	m.reason = (char *)(uintptr_t)reason;
	struct err e = process_send(s->t->p, PROCESS_MANAGEMENT, IPC_SESSION_END, &m.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("%s", e.text);
}

static void forget(struct session *s, const char *reason)
{
	struct telemetry *t = s->t;
	tell_end(s, reason);
	become(s, ADMISSION_ENDED);
	detach(s);
	LIST_REMOVE(s, link);
	t->n_sessions--;
	struct source *from = s->from;
	if (s->target)
		target_gone(s->target, s, reason);
	free(s->leaf);
	free(s);
	accept_closed(t, from);
}

void session_end(struct session *s, const char *reason)
{
	char copy[200];
	struct grpc_conn *conn = s->conn;
	snprintf(copy, sizeof copy, "%s", reason); // may be the session's own
	log_debug("session of %s from %s ends: %s", s->claimed, s->source, copy);
	become(s, ADMISSION_ENDED);
	detach(s); // the connection inside goes before the one around it
	grpc_conn_close(conn);
	forget(s, copy);
}

void session_refuse(struct session *s, enum admission_event why, const char *reason)
{
	enum admission next = admission_next(s->state, why);
	snprintf(s->reason, sizeof s->reason, "%s", reason);
	s->t->count.denied++;
	log_notice("%s from %s is refused: %s", s->claimed, s->source, s->reason);
	if (next != ADMISSION_REFUSED || s->target) {
		session_end(s, s->reason);
		return;
	}
	become(s, next);
	detach(s);
	grpc_conn_pause(s->conn, false); // so that it may hear why
}

void sessions_drop(struct telemetry *t, const char *device, const char *reason)
{
	struct session *s = LIST_FIRST(&t->sessions), *next;
	for (; s; s = next) {
		next = LIST_NEXT(s, link);
		if (s->device && strcmp(s->device->name, device) == 0)
			session_refuse(s, ADMISSION_DROPPED, reason);
	}
}

// --- the answer

static struct session *find_asked(struct telemetry *t, uint64_t id)
{
	struct session *s;
	LIST_FOREACH(s, &t->sessions, link)
	if (s->ask == id)
		return s;
	return NULL;
}

static struct err admit(struct session *s, const Ipc__AdmitAnswer *m)
{
	struct device *d;
	enum admission before = s->state;
	ENSURE(strcmp(m->device, s->claimed) == 0, ERR_DENIED,
	       "the certificate is for %s, and %.64s was admitted", s->claimed, m->device);
	if (before == ADMISSION_ADMITTED)
		return OK; // management came anew, and says the same
	TRY(device_get(s->t, s->claimed, &d));
	d->n_admitted++;
	s->device = d;
	if (s->target)
		d->session = s;
	become(s, admission_next(before, ADMISSION_YES));
	s->t->count.admitted++;
	log_notice("%s from %s is admitted, state %s", s->claimed, s->source, m->state);
	grpc_conn_pause(s->conn, false);
	if (s->target)
		target_admitted(s->target);
	return OK;
}

struct err session_answer(struct telemetry *t, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__AdmitAnswer *m = IPC_UNPACK(admit_answer, msg, t->p->scratch, &e);
	if (!m)
		return e;
	struct session *s = find_asked(t, m->id);
	if (!s)
		return OK; // about a refused handshake, or it has gone
	bool admitted = m->admitted || sabotaged("admission");
	if (sabotaged("admission"))
		m->device = s->claimed;
	if (s->state != ADMISSION_ASKED && s->state != ADMISSION_ADMITTED)
		return OK;
	if (admitted) {
		e = admit(s, m);
		if (e.code != ERR_NONE)
			session_refuse(s, ADMISSION_NO, e.text);
		return OK;
	}
	session_refuse(s, ADMISSION_NO, *m->reason ? m->reason : "not admitted");
	return OK;
}

// --- connection events

static struct err keep_peer(struct session *s, struct ssl_st *ssl)
{
	struct x509_identity who;
	struct x509_chain chain;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	ENSURE(a, ERR_LIMIT, "out of memory");
	TRY(tls_peer_identity(ssl, &who));
	TRY(tls_peer_chain(ssl, a, &chain));
	ENSURE(s->target || who.device[0], ERR_AUTH,
	       "the certificate speaks for %.64s, not for a device",
	       who.role[0] ? who.role : who.subject);
	if (!s->target)
		snprintf(s->claimed, sizeof s->claimed, "%s", who.device);
	s->leaf = malloc(chain.len[0]);
	ENSURE(s->leaf, ERR_LIMIT, "out of memory");
	memcpy(s->leaf, chain.der[0], chain.len[0]);
	s->leaf_len = chain.len[0];
	return OK;
}

static struct err on_open(void *ctx, struct grpc_conn *conn)
{
	struct session *s = ctx;
	struct ssl_st *ssl = transport_ssl(grpc_conn_transport(conn));
	if (s->state != ADMISSION_HANDSHAKE)
		return OK;
	ENSURE(ssl, ERR_INTERNAL, "a session without TLS");
	struct err e = keep_peer(s, ssl);
	if (e.code != ERR_NONE) { // an authority that we trust, and not a device of it
		s->t->count.handshakes_refused++;
		err_ignore(ask_with(s, "", x509_refusal_name(X509_MALFORMED)));
		become(s, ADMISSION_ENDED);
		return e;
	}
	s->t->count.handshakes_good++;
	become(s, admission_next(s->state, ADMISSION_OPENED));
	grpc_conn_pause(conn, true); // nothing is read before management has answered
	ask(s);
	return OK;
}

// As its certificate says, which was not believed.
static void claim_of(struct session *s, struct ssl_st *ssl)
{
	struct x509_identity who;
	struct x509_chain chain;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	if (!a || s->target || tls_peer_chain(ssl, a, &chain).code != ERR_NONE || chain.n == 0)
		return;
	if (x509_identify(chain.der[0], chain.len[0], &who).code == ERR_NONE)
		snprintf(s->claimed, sizeof s->claimed, "%s", who.device);
}

static void handshake_over(struct session *s, struct err why)
{
	struct ssl_st *ssl = transport_ssl(grpc_conn_transport(s->conn));
	enum x509_refusal refusal = ssl ? tls_refusal(ssl) : X509_GOOD;
	if (refusal == X509_GOOD && why.code == ERR_AUTH)
		refusal = X509_NONE_GIVEN;
	if (refusal == X509_GOOD) {
		s->t->count.handshakes_failed++;
		observe(s->t, "handshake-failed", s->target ? s->claimed : "",
			s->from ? s->from->text : s->source, "%s",
			why.code ? why.text : "closed during the handshake");
		return;
	}
	s->t->count.handshakes_refused++;
	claim_of(s, ssl);
	struct err e =
		ask_with(s, s->claimed, x509_refusal_name(refusal)); // the answer is only a receipt
	log_notice("TLS from %s (%s) is refused: %s", s->source, s->claimed,
		   x509_refusal_name(refusal));
	if (e.code != ERR_NONE) // management is away: counted, told when it comes
		observe(s->t, x509_refusal_name(refusal), s->claimed,
			s->from ? s->from->text : s->source, "a handshake was refused");
}

static void on_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct session *s = ctx;
	char reason[200];
	snprintf(reason, sizeof reason, "%s", why.code ? why.text : "closed");
	if (s->state == ADMISSION_HANDSHAKE)
		handshake_over(s, why);
	log_debug("connection of %s from %s: %s", s->claimed, s->source, reason);
	forget(s, reason);
}

static const struct grpc_conn_events conn_events = {.on_open = on_open, .on_end = on_end};

static struct err make(struct telemetry *t, struct source *from, struct target *g,
		       const char *source, struct session **out)
{
	uint8_t id[16];
	struct session *s = calloc(1, sizeof *s);
	ENSURE(s, ERR_LIMIT, "no memory for a session");
	struct err e = random_bytes(id, sizeof id);
	if (e.code != ERR_NONE) {
		free(s);
		return e;
	}
	s->t = t;
	s->from = from;
	s->target = g;
	hash_hex(id, sizeof id, s->id);
	snprintf(s->source, sizeof s->source, "%s", source);
	if (g)
		snprintf(s->claimed, sizeof s->claimed, "%s", g->device->name);
	s->since_ns = clock_mono_ns();
	*out = s;
	return OK;
}

struct err session_new(struct telemetry *t, struct transport *tr, struct source *from,
		       struct target *g, const char *source)
{
	struct grpc_client_conf conf = {.limits = {.message_max = 4 << 20,
						   .window = 512 << 10,
						   .open_ms = telemetry_limits.open_ms,
						   .slow_ms = telemetry_limits.slow_ms},
					.authority = g ? g->server_name : NULL};
	struct session *s = NULL;
	struct err e = make(t, from, g, source, &s);
	if (e.code != ERR_NONE) {
		transport_close(tr);
		return e;
	}
	e = g ? grpc_client_new(tr, &conf, &conn_events, s, &s->conn)
	      : grpc_server_accept(t->grpc, tr, &conn_events, s, &s->conn);
	if (e.code != ERR_NONE) {
		free(s);
		return e;
	}
	LIST_INSERT_HEAD(&t->sessions, s, link);
	t->n_sessions++;
	t->n_handshakes++;
	if (g)
		g->session = s;
	return OK;
}

// --- tunnel targets

static struct err on_target(void *ctx, struct tunnel_peer *peer, const char *target,
			    const char *type)
{
	struct session *s = grpc_conn_context(tunnel_peer_conn(peer));
	ENSURE(admission_may_register(s->state) && s->device, ERR_DENIED, "%s",
	       s->reason[0] ? s->reason : "this connection is not admitted");
	if (strcmp(target, s->device->name) != 0) {  // X.2011 8.1.1-2: no other's name
		err_ignore(ask_with(s, target, "")); // management says name-stolen, and why
		return err_make(ERR_DENIED, "only target %s may be registered here",
				s->device->name);
	}
	ENSURE(strcmp(type, TUNNEL_TYPE_GNMI) == 0, ERR_USAGE,
	       "targets of type %s are collected from here, not \"%.32s\"", TUNNEL_TYPE_GNMI, type);
	ENSURE(s->attested || sabotaged("attestation"), ERR_DENIED, // X.2011 8.1.1-1
	       "this connection is not attested: call Challenge and Attest first");
	struct session *before = s->device->session;
	if (before && before != s)
		session_end(before, "the device has connected again");
	s->device->session = s;
	s->peer = peer;
	s->registered = true;
	s->device->reachable = true;
	event_active(s->device->timer, EV_TIMEOUT, 0); // after the answer to this has been written
	return OK;
}

static void on_target_gone(void *ctx, struct tunnel_peer *peer, const char *target,
			   const char *type)
{
	struct session *s = grpc_conn_context(tunnel_peer_conn(peer));
	if (!s || s->peer != peer || strcmp(type, TUNNEL_TYPE_GNMI) != 0)
		return;
	s->peer = NULL;
	s->since_ns = clock_mono_ns();
	s->registered = false;
	if (!s->device || s->device->session != s)
		return;
	s->device->reachable = false;
	collect_lost_conn(s->device);
}

static const struct tunnel_server_events tunnel_events = {on_target, on_target_gone};

struct err session_start(struct telemetry *t)
{
	// Data of the tunnel is at most 64 KiB; what a device may have under way is bounded by its
	// windows: 256 KiB a stream, four times that a connection.
	struct grpc_limits limits = {.message_max = 128 << 10,
				     .queue_max = 1 << 20,
				     .assembly_max = 2 << 20,
				     .window = 256 << 10,
				     .streams_max = TUNNEL_SESSIONS_MAX + 8,
				     .open_ms = telemetry_limits.open_ms,
				     .slow_ms = telemetry_limits.slow_ms};
	LIST_INIT(&t->sessions);
	t->grpc = grpc_server_new(&limits);
	ENSURE(t->grpc, ERR_INTERNAL, "out of memory");
	return tunnel_server_new(t->grpc, &tunnel_events, t, &t->tunnel);
}

// --- time

static bool too_long(const struct session *s, int64_t now)
{
	int64_t ms = (now - s->since_ns) / NS_PER_MS;
	const struct telemetry_limits *l = &telemetry_limits;
	switch (s->state) {
	case ADMISSION_ASKED:
		return ms > (int64_t)l->answer_s * 1000;
	case ADMISSION_ADMITTED:
		return !s->target && !s->registered && ms > (int64_t)l->register_s * 1000;
	case ADMISSION_REFUSED:
		return ms > (int64_t)l->refuse_ms;
	default:
		return false; // a handshake's time is the connection's own
	}
}

void sessions_tick(struct telemetry *t)
{
	int64_t now = clock_mono_ns();
	struct session *s = LIST_FIRST(&t->sessions), *next;
	for (; s; s = next) {
		next = LIST_NEXT(s, link);
		if (!too_long(s, now))
			continue;
		if (s->state == ADMISSION_REFUSED)
			session_end(s, s->reason);
		else if (s->state == ADMISSION_ASKED)
			session_refuse(s, ADMISSION_TIMEOUT,
				       "management does not answer; try again in some seconds");
		else
			session_refuse(s, ADMISSION_TIMEOUT, "no target was registered in time");
	}
}
