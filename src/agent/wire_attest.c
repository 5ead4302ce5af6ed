// SPDX-License-Identifier: Apache-2.0
// Proving which device this is and what it runs (docs/contracts.md, Joining 5): the twin gives a
// nonce, the TPM quotes over it, the connection's TLS key and the batch key, the twin judges.
//
//     IDLE -> CHALLENGE (their nonce) -> QUOTE (keys works) -> ANSWER (Attest or Renew) -> IDLE
//
// X.2011 8.2.1-1, 8.2.1-2. RFC 9334: this is the attester, with evidence in the challenge form.

#include "agent/wire_internal.h"

#include "agent/keys_link.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <string.h>

enum { CALL_MS = 15000, PCRS = 24, NONCE_MAX = 64 };

#define METHOD(name) "/gemel.enrolment.v1.Enrolment/" name

static void finish(struct attest *a, struct err why, const void *answer)
{
	a->stage = ATTEST_IDLE;
	a->id = 0;
	a->call = NULL;
	a->conn = NULL;
	a->done(a, why, answer);
}

static struct err call(struct attest *a, const char *path, const void *message, size_t n,
		       const struct grpc_handlers *handlers)
{
	return grpc_call_unary(a->conn, path, message, n, handlers, a, CALL_MS, &a->call);
}

static void on_end(void *ctx, struct grpc_call *c, enum grpc_status status, const char *text)
{
	struct attest *a = ctx;
	if (a->call != c || status == GRPC_OK) // the message has been handled
		return;
	finish(a,
	       wire_tls_refused(grpc_call_conn(c), err_make(grpc_status_err(status), "%s", text)),
	       NULL);
}

// --- the twin's judgement

static void on_attest(void *ctx, struct grpc_call *c, const uint8_t *message, size_t n)
{
	struct attest *a = ctx;
	Gemel__Enrolment__V1__AttestAnswer *m =
		gemel__enrolment__v1__attest_answer__unpack(NULL, n, message);
	struct err e = OK;
	if (!m)
		e = err_make(ERR_PEER, "the answer to Attest is broken");
	else if (!m->accepted)
		e = err_make(ERR_DENIED, "%s", m->reason[0] ? m->reason : "no reason was given");
	finish(a, e, m);
	gemel__enrolment__v1__attest_answer__free_unpacked(m, NULL);
}

static void on_renew(void *ctx, struct grpc_call *c, const uint8_t *message, size_t n)
{
	struct attest *a = ctx;
	Gemel__Enrolment__V1__CompleteAnswer *m =
		gemel__enrolment__v1__complete_answer__unpack(NULL, n, message);
	finish(a, m ? OK : err_make(ERR_PEER, "the answer to Renew is broken"), m);
	gemel__enrolment__v1__complete_answer__free_unpacked(m, NULL);
}

static const struct grpc_handlers attest_handlers = {.on_message = on_attest, .on_end = on_end};
static const struct grpc_handlers renew_handlers = {.on_message = on_renew, .on_end = on_end};

// --- evidence

static struct err take_evidence(struct attest *a, struct cursor request)
{
	ENSURE(cursor_left(&request) > 0, ERR_CONFLICT,
	       "the TPM made no quote: see the agent's log (keys)");
	bool renew = a->purpose == ATTEST_RENEW;
	a->stage = ATTEST_ANSWER;
	return call(a, renew ? METHOD("Renew") : METHOD("Attest"), request.at,
		    cursor_left(&request), renew ? &renew_handlers : &attest_handlers);
}

struct err wire_attested(struct wire *w, const struct link_message *m)
{
	struct cursor in = cursor_over(m->bytes, m->len);
	uint32_t id = cursor_be32(&in);
	struct cursor request = link_get(&in);
	TRY(cursor_finish(&in, "ATTESTED"));
	struct attest *const all[] = {&w->session.attest, &w->enrol.attest};
	for (size_t i = 0; i < 2; i++) {
		if (!id || all[i]->id != id || all[i]->stage != ATTEST_QUOTE)
			continue; // its connection has gone in the meantime
		struct err e = take_evidence(all[i], request);
		if (e.code != ERR_NONE)
			finish(all[i], e, NULL);
		break;
	}
	return OK;
}

// --- challenge

static struct err ask_keys(struct attest *a, const Gemel__Enrolment__V1__ChallengeAnswer *m)
{
	scoped(buf) struct buf b = {0};
	uint32_t mask = 0;
	ENSURE(m->nonce.len >= 16 && m->nonce.len <= NONCE_MAX, ERR_PEER,
	       "the challenge has a nonce of %zu bytes; 16 to %d are right", m->nonce.len,
	       NONCE_MAX);
	for (size_t i = 0; i < m->n_pcrs; i++) {
		ENSURE(m->pcrs[i] < PCRS, ERR_PEER, "the challenge names PCR %u", m->pcrs[i]);
		mask |= 1u << m->pcrs[i];
	}
	a->id = wire_id(a->wire);
	a->stage = ATTEST_QUOTE;
	a->call = NULL;
	buf_be32(&b, a->id);
	buf_u8(&b, (uint8_t)a->purpose);
	link_put(&b, m->nonce.data, m->nonce.len);
	buf_be32(&b, mask);
	link_put(&b, a->certified.data, a->certified.len);
	return link_send_buf(a->wire->child->links[LINK_KEYS], LINK_ATTEST, &b);
}

static void on_challenge(void *ctx, struct grpc_call *c, const uint8_t *message, size_t n)
{
	struct attest *a = ctx;
	Gemel__Enrolment__V1__ChallengeAnswer *m =
		gemel__enrolment__v1__challenge_answer__unpack(NULL, n, message);
	struct err e = m ? ask_keys(a, m) : err_make(ERR_PEER, "the challenge is broken");
	gemel__enrolment__v1__challenge_answer__free_unpacked(m, NULL);
	if (e.code != ERR_NONE)
		finish(a, e, NULL);
}

static const struct grpc_handlers challenge_handlers = {.on_message = on_challenge,
							.on_end = on_end};

struct err wire_attest(struct attest *a, struct grpc_conn *conn, unsigned purpose,
		       const uint8_t key_id[8], struct cursor certified)
{
	Gemel__Enrolment__V1__ChallengeRequest m = GEMEL__ENROLMENT__V1__CHALLENGE_REQUEST__INIT;
	uint8_t bytes[128];
	ENSURE(a->stage == ATTEST_IDLE, ERR_BUSY, "a proof is under way");
	a->conn = conn;
	a->purpose = purpose;
	memcpy(a->key_id, key_id, sizeof a->key_id);
	buf_reset(&a->certified);
	buf_append(&a->certified, certified.at, cursor_left(&certified));
	TRY(buf_check(&a->certified, "batch key"));
	m.device_id = a->wire->conf->device;
	m.purpose = purpose == ATTEST_RENEW
			    ? GEMEL__ENROLMENT__V1__CHALLENGE_PURPOSE__CHALLENGE_RENEW
			    : GEMEL__ENROLMENT__V1__CHALLENGE_PURPOSE__CHALLENGE_ATTEST;
	size_t n = gemel__enrolment__v1__challenge_request__get_packed_size(&m);
	ENSURE(n <= sizeof bytes, ERR_INTERNAL, "a challenge request of %zu bytes", n);
	gemel__enrolment__v1__challenge_request__pack(&m, bytes);
	a->stage = ATTEST_CHALLENGE;
	struct err e = call(a, METHOD("Challenge"), bytes, n, &challenge_handlers);
	if (e.code != ERR_NONE)
		a->stage = ATTEST_IDLE;
	return e;
}

void wire_attest_drop(struct attest *a)
{
	struct grpc_call *c = a->call;
	a->stage = ATTEST_IDLE;
	a->id = 0;
	a->call = NULL;
	if (c)
		grpc_call_cancel(c);
}

void wire_attest_keys_away(struct attest *a)
{
	if (a->stage == ATTEST_QUOTE)
		finish(a, err_make(ERR_BUSY, "the process that holds the TPM is away"), NULL);
}
