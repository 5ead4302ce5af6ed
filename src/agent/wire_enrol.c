// SPDX-License-Identifier: Apache-2.0
// Joining, and renewal of the certificate (docs/contracts.md, Joining 2 to 4).
//
//     keys: BEGIN {pin, BeginRequest} -> TLS to the enrolment port: the chain must contain the
//     pinned authority -> Begin -> ACTIVATE to keys -> COMPLETE -> Complete -> ENROLLED to keys ->
//     IDENTITY
//
// The token's secret is not here: keys made the proof. What the twin refuses goes to keys, which
// forgets the token, and to people. What the network refuses is tried again with the same request.
// When a third of the certificate's life has passed, Renew goes over telemetry's connection; near
// its end, or after it, when that cannot be had, over the enrolment port.

#include "agent/wire_internal.h"

#include "agent/keys_link.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <string.h>
#include <unistd.h>

enum { CALL_MS = 20000, OVERDUE_MS = 60000, BLOB_MAX = 4096, TIMER_MOST_MS = 3600000 };
#define RENEW_ALONE_NS (24 * 3600 * NS_PER_S) // this near to the end the enrolment port is used
#define RENEW_LOOK_NS (2 * NS_PER_S)

#define METHOD(name) "/gemel.enrolment.v1.Enrolment/" name

static void enrol_end(struct wire *w)
{
	struct enrol *n = &w->enrol;
	struct grpc_conn *conn = n->conn;
	wire_dial_forget(w, DIAL_ENROL);
	n->conn = NULL;
	n->call = NULL;
	n->completing = n->renewing = false;
	wire_attest_drop(&n->attest);
	grpc_conn_close(conn);
	tls_context_free(n->tls); // open connections keep it
	n->tls = NULL;
	event_del(n->overdue);
}

static bool is_refusal(enum err_code code)
{
	return code == ERR_DENIED || code == ERR_AUTH || code == ERR_CONFLICT ||
	       code == ERR_NOT_FOUND || code == ERR_USAGE;
}

static void refused(struct wire *w, const char *why)
{
	scoped(buf) struct buf b = {0};
	w->enrol.asked = false; // the token is used up: a person must bring another
	link_put_text(&b, why);
	struct err e = link_send_buf(w->child->links[LINK_KEYS], LINK_REFUSED, &b);
	if (e.code != ERR_NONE)
		log_warning("%s", e.text);
	status_set(w, "refused", why);
}

static void enrol_failed(struct wire *w, struct err why)
{
	struct enrol *n = &w->enrol;
	bool renewing = n->renewing, judged = is_refusal(why.code) && n->conn;
	char text[ERR_TEXT_MAX];
	snprintf(text, sizeof text, "%s", why.text);
	enrol_end(w);
	int64_t wait = back_off_next(&n->back_off, is_refusal(why.code));
	if (renewing) {
		log_warning("renewing the certificate: %s", text);
		enrol_renew_at(w, clock_wall_ns() + wait * NS_PER_MS);
	} else if (judged && why.code != ERR_AUTH) {
		refused(w, text);
	} else { // not the twin that the token names, or nobody: the token is still good
		status_set(w, is_refusal(why.code) ? "refused" : "not enrolled", text);
		wire_after(n->retry, wait);
	}
}

// --- calls

static void on_end(void *ctx, struct grpc_call *c, enum grpc_status status, const char *text)
{
	struct wire *w = ctx;
	if (w->enrol.call != c || status == GRPC_OK)
		return;
	w->enrol.call = NULL;
	enum err_code code = grpc_status_err(status);
	// UNAUTHENTICATED from the service is a judgement too (a token that is not known).
	struct err e = err_make(code == ERR_AUTH ? ERR_DENIED : code, "%s", text);
	enrol_failed(w, wire_tls_refused(grpc_call_conn(c), e));
}

static struct err put_chain(struct buf *b, const Gemel__Enrolment__V1__CompleteAnswer *m)
{
	ENSURE(m->n_certificate_chain_der > 0 && m->n_certificate_chain_der <= KEYS_CHAIN_MAX,
	       ERR_PEER, "the answer has %zu certificates; 1 to %d are right",
	       m->n_certificate_chain_der, KEYS_CHAIN_MAX);
	buf_u8(b, (uint8_t)m->n_certificate_chain_der);
	for (size_t i = 0; i < m->n_certificate_chain_der; i++)
		link_put(b, m->certificate_chain_der[i].data, m->certificate_chain_der[i].len);
	link_put(b, m->trust_bundle.data, m->trust_bundle.len);
	return buf_check(b, "certificate");
}

struct err enrol_send(struct wire *w, const void *answer)
{
	const Gemel__Enrolment__V1__CompleteAnswer *m = answer;
	scoped(buf) struct buf b = {.limit = LINK_MESSAGE_MAX};
	TRY(put_chain(&b, m));
	TRY(link_send_buf(w->child->links[LINK_KEYS], LINK_ENROLLED, &b));
	status_set(w, m->state[0] ? m->state : "enrolled", m->reason[0] ? m->reason : NULL);
	return OK;
}

static void on_complete(void *ctx, struct grpc_call *c, const uint8_t *message, size_t n)
{
	struct wire *w = ctx;
	Gemel__Enrolment__V1__CompleteAnswer *m =
		gemel__enrolment__v1__complete_answer__unpack(NULL, n, message);
	w->enrol.call = NULL;
	struct err e =
		m ? enrol_send(w, m) : err_make(ERR_PEER, "the answer to Complete is broken");
	gemel__enrolment__v1__complete_answer__free_unpacked(m, NULL);
	if (e.code != ERR_NONE) {
		enrol_failed(w, e);
		return;
	}
	w->enrol.asked = false;
	w->enrol.back_off = (struct back_off){0};
	enrol_end(w);
}

static const struct grpc_handlers complete_handlers = {.on_message = on_complete, .on_end = on_end};

struct err enrol_complete(struct wire *w, const struct link_message *m)
{
	struct enrol *n = &w->enrol;
	struct cursor in = cursor_over(m->bytes, m->len);
	struct cursor request = link_get(&in);
	TRY(cursor_finish(&in, "COMPLETE"));
	if (!n->conn || !n->completing)
		return OK; // the connection has gone: Begin comes again
	n->completing = false;
	if (cursor_left(&request) == 0) {
		enrol_failed(w, err_make(ERR_IO, "the TPM did not open the credential or made no "
						 "quote: see the agent's log (keys)"));
		return OK;
	}
	struct err e =
		grpc_call_unary(n->conn, METHOD("Complete"), request.at, cursor_left(&request),
				&complete_handlers, w, CALL_MS, &n->call);
	if (e.code != ERR_NONE)
		enrol_failed(w, e);
	return OK;
}

static struct err activate(struct wire *w, const Gemel__Enrolment__V1__BeginAnswer *m)
{
	struct enrol *n = &w->enrol;
	scoped(buf) struct buf b = {0};
	uint32_t mask = 0;
	ENSURE(m->session[0] && strlen(m->session) < sizeof n->session &&
		       m->credential_blob.len <= BLOB_MAX && m->encrypted_secret.len <= BLOB_MAX &&
		       m->attest_nonce.len >= 16 && m->attest_nonce.len <= 64,
	       ERR_PEER, "the answer to Begin has parts of a wrong size");
	for (size_t i = 0; i < m->n_pcrs; i++) {
		ENSURE(m->pcrs[i] < 24, ERR_PEER, "the answer to Begin names PCR %u", m->pcrs[i]);
		mask |= 1u << m->pcrs[i];
	}
	link_put_text(&b, m->session);
	link_put(&b, m->credential_blob.data, m->credential_blob.len);
	link_put(&b, m->encrypted_secret.data, m->encrypted_secret.len);
	link_put(&b, m->attest_nonce.data, m->attest_nonce.len);
	buf_be32(&b, mask);
	n->completing = true;
	return link_send_buf(w->child->links[LINK_KEYS], LINK_ACTIVATE, &b);
}

static void on_begin(void *ctx, struct grpc_call *c, const uint8_t *message, size_t n)
{
	struct wire *w = ctx;
	Gemel__Enrolment__V1__BeginAnswer *m =
		gemel__enrolment__v1__begin_answer__unpack(NULL, n, message);
	w->enrol.call = NULL;
	struct err e = m ? activate(w, m) : err_make(ERR_PEER, "the answer to Begin is broken");
	gemel__enrolment__v1__begin_answer__free_unpacked(m, NULL);
	if (e.code != ERR_NONE)
		enrol_failed(w, e);
}

static const struct grpc_handlers begin_handlers = {.on_message = on_begin, .on_end = on_end};

// --- the connection

// A pin says which authority; a device has a certificate of it too, and must not stand in for the
// twin. X.2011 8.2.1-2.
static struct err on_open(void *ctx, struct grpc_conn *conn)
{
	struct x509_identity who;
	TRY(tls_peer_identity(transport_ssl(grpc_conn_transport(conn)), &who));
	ENSURE(strcmp(who.role, "telemetry") == 0 || strcmp(who.role, "enrolment") == 0, ERR_AUTH,
	       "the certificate at the enrolment port is for \"%s%s\", not for the twin's "
	       "enrolment",
	       who.role, who.device);
	return OK;
}

static void on_conn_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct wire *w = ctx;
	if (w->enrol.conn != conn)
		return;
	w->enrol.conn = NULL; // frees itself; nothing was judged
	why = wire_tls_refused(conn, why);
	enrol_failed(w, why.code == ERR_NONE ? err_make(ERR_IO, "the twin ended the connection")
					     : why);
}

static const struct grpc_conn_events conn_events = {.on_open = on_open, .on_end = on_conn_end};

static struct err connect_tls(struct wire *w, int fd)
{
	struct enrol *n = &w->enrol;
	const struct grpc_client_conf conf = {.authority = "enrolment"};
	struct ssl_st *ssl = NULL;
	struct transport *t = NULL;
	struct err e =
		wire_tls_pinned(w, n->renewing ? w->identity.authority_pin : n->pin, &n->tls);
	if (e.code == ERR_NONE)
		e = tls_connection_new(n->tls, NULL, &ssl);
	if (e.code != ERR_NONE) {
		close(fd);
		return e;
	}
	TRY(transport_tls(w->base, fd, ssl, false, &t));
	return grpc_client_new(t, &conf, &conn_events, w, &n->conn);
}

static struct err start_call(struct wire *w)
{
	struct enrol *n = &w->enrol;
	if (!n->renewing)
		return grpc_call_unary(n->conn, METHOD("Begin"), n->request.data, n->request.len,
				       &begin_handlers, w, CALL_MS, &n->call);
	ENSURE(chain_ready(w->twin.chain), ERR_BUSY, "there is no batch key yet");
	return wire_attest(&n->attest, n->conn, ATTEST_RENEW, chain_key_id(w->twin.chain),
			   cursor_over(NULL, 0));
}

static void on_dialled(struct wire *w, int fd, struct err why)
{
	if (why.code == ERR_NONE)
		why = connect_tls(w, fd);
	if (why.code == ERR_NONE)
		why = start_call(w);
	if (why.code != ERR_NONE)
		enrol_failed(w, why);
}

static void dial(struct wire *w, bool renewing)
{
	enrol_end(w);
	w->enrol.renewing = renewing;
	wire_after(w->enrol.overdue, OVERDUE_MS);
	struct err e = wire_dial(w, DIAL_ENROL, (uint16_t)w->conf->twin.enrolment_port, on_dialled);
	if (e.code != ERR_NONE)
		enrol_failed(w, e);
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;
	if (w->enrol.asked)
		dial(w, false);
}

static void on_overdue(evutil_socket_t fd, short what, void *ctx)
{
	enrol_failed(ctx, err_make(ERR_IO, "enrolment took more than %d s", OVERDUE_MS / 1000));
}

struct err enrol_begin(struct wire *w, const struct link_message *m)
{
	struct enrol *n = &w->enrol;
	struct cursor in = cursor_over(m->bytes, m->len);
	cursor_copy(&in, n->pin, sizeof n->pin);
	struct cursor request = link_get(&in);
	TRY(cursor_finish(&in, "BEGIN"));
	buf_reset(&n->request);
	buf_append(&n->request, request.at, cursor_left(&request));
	TRY(buf_check(&n->request, "BeginRequest"));
	n->asked = true;
	n->back_off = (struct back_off){0};
	status_set(w, "enrolling", NULL);
	dial(w, false);
	return OK;
}

// --- renewal

static void on_renewed(struct attest *a, struct err why, const void *answer)
{
	struct wire *w = a->wire;
	if (why.code == ERR_NONE)
		why = enrol_send(w, answer);
	if (why.code != ERR_NONE)
		enrol_failed(w, why);
	else
		enrol_end(w);
}

static void on_renew(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;
	struct session *s = &w->session;
	if (!w->identity.enrolled || w->enrol.asked)
		return;
	if (clock_wall_ns() < w->identity.renew_after_ns) {
		enrol_renew_at(w, w->identity.renew_after_ns); // a timer has its bounds
		return;
	}
	if (s->stage != SESSION_UP && clock_wall_ns() < w->identity.until_ns - RENEW_ALONE_NS) {
		enrol_renew_at(w, clock_wall_ns() + RENEW_LOOK_NS);
		return;
	}
	if (s->stage != SESSION_UP) {
		dial(w, true);
		return;
	}
	struct err e = wire_attest(&s->attest, s->conn, ATTEST_RENEW, chain_key_id(w->twin.chain),
				   cursor_over(NULL, 0));
	if (e.code != ERR_NONE)
		enrol_renew_at(w, clock_wall_ns() + NS_PER_S);
}

void enrol_renew_at(struct wire *w, int64_t wall_ns)
{
	int64_t ms = (wall_ns - clock_wall_ns()) / NS_PER_MS;
	wire_after(w->enrol.renew, ms < 100 ? 100 : ms > TIMER_MOST_MS ? TIMER_MOST_MS : ms);
}

struct err enrol_start(struct wire *w)
{
	struct enrol *n = &w->enrol;
	n->attest.wire = w;
	n->attest.done = on_renewed;
	n->retry = evtimer_new(w->base, on_retry, w);
	n->renew = evtimer_new(w->base, on_renew, w);
	n->overdue = evtimer_new(w->base, on_overdue, w);
	ENSURE(n->retry && n->renew && n->overdue, ERR_LIMIT, "out of memory");
	return OK;
}
