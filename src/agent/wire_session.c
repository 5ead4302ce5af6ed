// SPDX-License-Identifier: Apache-2.0
// The connection to telemetry. This device listens on nothing for the twin: it dials, proves
// itself, registers as a target of the gRPC tunnel, and serves gNMI in the sessions that telemetry
// opens.
//
//     AWAY -> DIALLING -> PROVING -> REGISTERING -> UP
//       ^________|___________|____________|_________|
//
// The way back waits: 0.5 s to 30 s after the network, 10 s to 5 minutes after a refusal.
// What refuses it is told in the log and in the status file, in the twin's own words.

#include "agent/wire_internal.h"

#include "agent/keys_link.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <event2/event.h>
#include <string.h>
#include <unistd.h>

enum { OVERDUE_MS = 30000, AGAIN_LEAST_S = 60, AGAIN_MOST_S = 3600, RECONNECT_MS = 300 };

static const char role[] = "telemetry"; // in the certificate of whom we dial

static void session_end(struct wire *w)
{
	struct session *s = &w->session;
	struct grpc_conn *conn = s->conn;
	struct tunnel_client *tunnel = s->tunnel;
	wire_dial_forget(w, DIAL_SESSION);
	s->conn = NULL;
	s->tunnel = NULL;
	s->stage = SESSION_AWAY;
	s->n_attested = 0;
	if (s->attest.stage != ATTEST_IDLE && s->attest.purpose == ATTEST_RENEW)
		enrol_renew_at(w, clock_wall_ns() + AGAIN_LEAST_S * NS_PER_S);
	wire_attest_drop(&s->attest);
	tunnel_client_free(tunnel);
	grpc_conn_close(conn);
	event_del(s->overdue);
	event_del(s->again);
}

void session_again(struct wire *w, int64_t ms)
{
	session_end(w);
	wire_after(w->session.retry, ms);
}

static void session_failed(struct wire *w, struct err why)
{
	bool refused = why.code == ERR_DENIED || why.code == ERR_AUTH || why.code == ERR_CONFLICT ||
		       why.code == ERR_NOT_FOUND || why.code == ERR_USAGE;
	char text[ERR_TEXT_MAX];
	snprintf(text, sizeof text, "%s", why.text);
	session_again(w, back_off_next(&w->session.back_off, refused));
	status_set(w, refused ? "refused" : "away", text);
}

// --- registered

static void on_registered(void *ctx, const char *target, const char *type, struct err answer)
{
	struct wire *w = ctx;
	if (answer.code != ERR_NONE) {
		session_failed(w, answer);
		return;
	}
	w->session.stage = SESSION_UP;
	w->session.back_off = (struct back_off){0};
	event_del(w->session.overdue);
	log_notice("registered with the twin at %s", w->conf->twin.address);
}

static void on_session(void *ctx, const char *target, const char *type, struct transport *t)
{
	struct wire *w = ctx;
	struct grpc_conn *conn;
	struct err e = grpc_server_accept(w->tunnel.grpc, t, NULL, NULL, &conn);
	if (e.code != ERR_NONE)
		log_warning("a session of the tunnel: %s", e.text);
}

static void on_tunnel_end(void *ctx, struct err why)
{
	session_failed(ctx,
		       why.code == ERR_NONE ? err_make(ERR_IO, "the twin ended the tunnel") : why);
}

static const struct tunnel_client_events tunnel_events = {on_registered, on_session, on_tunnel_end};

// --- proved

static struct err register_target(struct wire *w)
{
	struct session *s = &w->session;
	s->stage = SESSION_REGISTERING;
	TRY(tunnel_client_new(s->conn, &tunnel_events, w, &s->tunnel));
	return tunnel_client_register(s->tunnel, w->conf->device, TUNNEL_TYPE_GNMI);
}

bool session_knows(const struct session *s, const uint8_t key_id[8])
{
	for (unsigned i = 0; i < s->n_attested; i++)
		if (memcmp(s->attested[i], key_id, 8) == 0)
			return true;
	return false;
}

static void remember(struct session *s, const uint8_t key_id[8])
{
	if (session_knows(s, key_id))
		return;
	if (s->n_attested == KEYS_ATTESTED) // the oldest is the least likely to be needed again
		memmove(s->attested[0], s->attested[1], sizeof s->attested[0] * --s->n_attested);
	memcpy(s->attested[s->n_attested++], key_id, 8);
}

// `again_after_ns` is a time, or from an older twin a duration.
static void next_proof(struct session *s, int64_t again_after_ns)
{
	int64_t now = clock_wall_ns();
	int64_t wait = again_after_ns > now / 2 ? again_after_ns - now : again_after_ns;
	int64_t seconds = wait / NS_PER_S;
	seconds = seconds > AGAIN_MOST_S || seconds <= 0 ? AGAIN_MOST_S : seconds;
	wire_after(s->again, (seconds < AGAIN_LEAST_S ? AGAIN_LEAST_S : seconds) * 1000);
}

static void on_proved(struct attest *a, struct err why, const void *answer)
{
	struct wire *w = a->wire;
	struct session *s = &w->session;
	const Gemel__Enrolment__V1__AttestAnswer *m = answer;
	bool present = chain_ready(w->twin.chain) &&
		       memcmp(a->key_id, chain_key_id(w->twin.chain), 8) == 0;
	if (a->purpose == ATTEST_RENEW) {
		why = why.code == ERR_NONE ? enrol_send(w, answer) : why;
		if (why.code != ERR_NONE) {
			log_warning("renewing the certificate: %s", why.text);
			enrol_renew_at(w, clock_wall_ns() + AGAIN_LEAST_S * NS_PER_S);
		}
		twin_pump(w); // it may wait for a proof of its own
		return;
	}
	if (why.code == ERR_DENIED && s->stage == SESSION_UP && !present) {
		log_warning("batches of an earlier key are not taken: %s", why.text);
		twin_key_refused(w, a->key_id);
		return;
	}
	if (why.code == ERR_NONE) {
		remember(s, a->key_id);
		status_set(w, m->state[0] ? m->state : "connected",
			   m->reason[0] ? m->reason : NULL);
		next_proof(s, m->again_after_ns);
		if (s->stage == SESSION_PROVING)
			why = register_target(w);
	}
	if (why.code != ERR_NONE)
		session_failed(w, why);
	else
		twin_pump(w);
}

// A fresh quote each hour comes with a fresh batch key: twin_new_key, then the pump asks for a
// proof of it before it sends the first batch.
static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;
	twin_new_key(w);
	wire_after(w->session.again, AGAIN_MOST_S * 1000LL);
}

// --- dialled

static void on_conn_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct wire *w = ctx;
	if (w->session.conn != conn)
		return;
	w->session.conn = NULL; // frees itself
	why = wire_tls_refused(conn, why);
	session_failed(w, why.code == ERR_NONE ? err_make(ERR_IO, "the twin ended the connection")
					       : why);
}

static const struct grpc_conn_events conn_events = {.on_end = on_conn_end};

static struct err connect_tls(struct wire *w, int fd)
{
	struct session *s = &w->session;
	const struct grpc_client_conf conf = {.limits = {.streams_max = 64}, .authority = role};
	struct ssl_st *ssl = NULL;
	struct transport *t = NULL;
	// X.2011 8.2.1-2: not any certificate of this authority, telemetry's.
	struct err e =
		tls_connection_new(w->identity.client, &(struct tls_expect){.role = role}, &ssl);
	if (e.code != ERR_NONE) {
		close(fd);
		return e;
	}
	TRY(transport_tls(w->base, fd, ssl, false, &t));
	return grpc_client_new(t, &conf, &conn_events, w, &s->conn);
}

static struct err prove(struct wire *w)
{
	struct session *s = &w->session;
	if (!chain_ready(w->twin.chain)) { // keys may have failed to make one
		err_ignore(link_send(w->child->links[LINK_KEYS], LINK_NEW_KEY, NULL, 0, -1));
		return err_make(ERR_BUSY, "there is no batch key yet");
	}
	s->stage = SESSION_PROVING;
	return wire_attest(&s->attest, s->conn, ATTEST_SESSION, chain_key_id(w->twin.chain),
			   cursor_over(NULL, 0));
}

static void on_dialled(struct wire *w, int fd, struct err why)
{
	if (why.code == ERR_NONE)
		why = connect_tls(w, fd);
	if (why.code == ERR_NONE)
		why = prove(w);
	if (why.code != ERR_NONE)
		session_failed(w, why);
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;
	if (!w->identity.enrolled || w->session.stage != SESSION_AWAY)
		return;
	w->session.stage = SESSION_DIALLING;
	wire_after(w->session.overdue, OVERDUE_MS);
	struct err e = wire_dial(w, DIAL_SESSION, (uint16_t)w->conf->twin.port, on_dialled);
	if (e.code != ERR_NONE)
		session_failed(w, e);
}

static void on_overdue(evutil_socket_t fd, short what, void *ctx)
{
	session_failed(
		ctx, err_make(ERR_IO, "the twin did not let us in within %d s", OVERDUE_MS / 1000));
}

void session_enrolled(struct wire *w)
{
	w->session.back_off = (struct back_off){0};
	// The twin must see the old session end before one with another key begins.
	session_again(w, w->session.conn ? RECONNECT_MS : 0);
}

struct err session_start(struct wire *w)
{
	struct session *s = &w->session;
	s->attest.wire = w;
	s->attest.done = on_proved;
	s->retry = evtimer_new(w->base, on_retry, w);
	s->again = evtimer_new(w->base, on_again, w);
	s->overdue = evtimer_new(w->base, on_overdue, w);
	ENSURE(s->retry && s->again && s->overdue, ERR_LIMIT, "out of memory");
	return OK;
}
