// SPDX-License-Identifier: Apache-2.0
// Enrolment, first half: Begin and Complete (docs/contracts.md "Joining" 3 and 4). Between the two
// only this process knows what it asked of which TPM; it forgets after JOIN_S. X.2011 8.1.1-1, -2.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/random.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOINS_MAX = 256, JOIN_S = 300, SECRET = 32, ANSWER_MAX = 60000 };
enum { GRPC_OK = 0, GRPC_INVALID_ARGUMENT = 3, GRPC_PERMISSION_DENIED = 7, GRPC_UNAVAILABLE = 14 };

struct join {
	char session[33]; // "": free
	char device[X509_NAME_MAX + 1], token[65], agent_version[33];
	struct x509_csr csr;
	struct tpm_ak ak;
	uint8_t ak_public[DEVICE_AK_MAX];
	size_t ak_len;
	uint8_t ek[32];
	char ek_subject[128], ek_issuer[128];
	uint8_t nonce[EVIDENCE_NONCE], secret[SECRET];
	int64_t until_ns;
};

struct joins {
	struct join items[JOINS_MAX];
};

struct err joins_start(struct management *m)
{
	m->joins = calloc(1, sizeof *m->joins);
	ENSURE(m->joins, ERR_LIMIT, "no memory for enrolments");
	return OK;
}

void joins_stop(struct management *m)
{
	if (m->joins)
		secret_zero(m->joins, sizeof *m->joins);
	free(m->joins);
	m->joins = NULL;
}

// --- answers

void join_answer(struct management *m, uint64_t id, const struct verdict *why,
		 const ProtobufCMessage *message)
{
	char reason[1000] = "";
	scoped(buf) struct buf bytes = {.limit = ANSWER_MAX};
	Ipc__EnrolAnswer a = IPC__ENROL_ANSWER__INIT;
	a.id = id;
	if (why) {
		bool bad = why->reason == REASON_REQUEST_MALFORMED;
		a.grpc_status = bad			     ? GRPC_INVALID_ARGUMENT
				: why->reason == REASON_BUSY ? GRPC_UNAVAILABLE
							     : GRPC_PERMISSION_DENIED;
		snprintf(reason, sizeof reason, "%s: %s %s%s%s", reason_word(why->reason),
			 reason_meaning(why->reason), reason_mend(why->reason),
			 why->detail[0] ? " Seen: " : "", why->detail);
		clean_text(reason, sizeof reason, reason);
	} else {
		size_t n = protobuf_c_message_get_packed_size(message);
		uint8_t *to = buf_space(&bytes, n);
		if (to)
			protobuf_c_message_pack(message, to);
		else
			a.grpc_status = GRPC_UNAVAILABLE;
		a.message = (ProtobufCBinaryData){bytes.len, bytes.data};
	}
	a.reason = reason;
	struct err e = process_send(m->p, PROCESS_TELEMETRY, IPC_ENROL_ANSWER, &a.base);
	if (bytes.data)
		secret_zero(bytes.data, bytes.len);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("an enrolment cannot be answered: %s", e.text);
}

void join_refuse(struct management *m, const Ipc__EnrolRequest *r, struct device *d,
		 const char *claimed, const struct verdict *v)
{
	if (v->reason != REASON_BUSY)
		inventory_refused(m, d, claimed, v, r->source, r->method);
	join_answer(m, r->id, v, NULL);
}

// --- Begin

static void join_forget(struct join *j)
{
	secret_zero(j, sizeof *j);
}

static struct join *join_place(struct management *m, const char *token)
{
	struct join *free_one = NULL;
	int64_t now = now_of(m);
	for (size_t i = 0; i < JOINS_MAX; i++) {
		struct join *j = &m->joins->items[i];
		if (j->session[0] && (j->until_ns <= now || strcmp(j->token, token) == 0))
			join_forget(j); // one for each token: the newest
		if (!j->session[0] && !free_one)
			free_one = j;
	}
	return free_one;
}

// The TPM must be this device's, and no other's.
static struct verdict same_tpm(struct management *m, const struct device *d, const uint8_t ek[32])
{
	const struct device *other = devices_by_ek(m->devices, ek);
	if (d->enrolled && memcmp(d->ek, ek, 32) != 0)
		return verdict_bad(REASON_EK_MISMATCH, "%s has enrolled with another TPM", d->id);
	if (other && other != d && other->state != DEVICE_REVOKED)
		return verdict_bad(REASON_EK_MISMATCH, "this TPM is that of %s", other->id);
	return verdict_good();
}

static struct verdict may_join(struct management *m, const struct evidence_begin *b,
			       struct device **out)
{
	struct device *d = *out = devices_find(m->devices, b->device);
	if (!d)
		return verdict_bad(REASON_DEVICE_UNKNOWN, "%s", b->device);
	if (d->state == DEVICE_SUSPENDED)
		return verdict_bad(REASON_DEVICE_SUSPENDED, "%s", b->device);
	if (d->state == DEVICE_REVOKED)
		return verdict_bad(REASON_CERTIFICATE_REVOKED, "%s", b->device);
	return same_tpm(m, d, b->ek.spki);
}

static struct err make_join(struct join *j, const struct evidence_begin *b, int64_t now)
{
	uint8_t session[16];
	TRY(random_bytes(session, sizeof session));
	TRY(random_bytes(j->nonce, sizeof j->nonce));
	TRY(random_bytes(j->secret, sizeof j->secret));
	hash_hex(session, sizeof session, j->session);
	memcpy(j->device, b->device, sizeof j->device);
	memcpy(j->token, b->token, sizeof j->token);
	memcpy(j->agent_version, b->agent_version, sizeof j->agent_version);
	memcpy(j->ak_public, b->ak_public, b->ak_len);
	memcpy(j->ek, b->ek.spki, sizeof j->ek);
	clean_text(j->ek_subject, sizeof j->ek_subject, b->ek.subject);
	clean_text(j->ek_issuer, sizeof j->ek_issuer, b->ek.issuer);
	j->ak_len = b->ak_len;
	j->ak = b->ak;
	j->csr = b->csr;
	j->until_ns = now + JOIN_S * NS_PER_S;
	return OK;
}

// TPM2B: each with its own size in front, as the TPM's own marshalling.
static void send_challenge(struct management *m, uint64_t id, const struct join *j,
			   const struct tpm_credential *c)
{
	uint32_t pcrs[] = {EVIDENCE_PCR};
	scoped(buf) struct buf blob = {0}, seed = {0};
	Gemel__Enrolment__V1__BeginAnswer a = GEMEL__ENROLMENT__V1__BEGIN_ANSWER__INIT;
	buf_be16(&blob, (uint16_t)c->blob_len);
	buf_append(&blob, c->blob, c->blob_len);
	buf_be16(&seed, (uint16_t)c->seed_len);
	buf_append(&seed, c->seed, c->seed_len);
	a.session = (char *)(uintptr_t)j->session;
	a.credential_blob = (ProtobufCBinaryData){blob.len, blob.data};
	a.encrypted_secret = (ProtobufCBinaryData){seed.len, seed.data};
	a.attest_nonce = (ProtobufCBinaryData){sizeof j->nonce, (uint8_t *)(uintptr_t)j->nonce};
	a.pcrs = pcrs;
	a.n_pcrs = 1;
	a.expires_ns = j->until_ns;
	join_answer(m, id, NULL, &a.base);
}

static struct verdict begin_with(struct management *m, const Ipc__EnrolRequest *r,
				 const struct evidence_begin *b, struct device *d)
{
	struct tpm_credential credential;
	struct join *j = join_place(m, b->token);
	if (!j)
		return verdict_bad(REASON_BUSY, "%d enrolments are under way", JOINS_MAX);
	struct err e = make_join(j, b, now_of(m));
	scoped(secret) struct secret *secret = secret_new(SECRET);
	if (e.code == ERR_NONE && !secret)
		e = err_make(ERR_LIMIT, "out of memory");
	if (e.code == ERR_NONE) {
		memcpy(secret_bytes(secret), j->secret, SECRET);
		e = tpm_make_credential(&b->ek, b->ak.name, secret, &credential);
	}
	if (e.code != ERR_NONE) {
		join_forget(j);
		return verdict_bad(e.code == ERR_USAGE ? REASON_EK_UNKNOWN_AUTHORITY : REASON_BUSY,
				   "%s", e.text);
	}
	send_challenge(m, r->id, j, &credential);
	tell(m, "device.joining", d->id,
	     json_pack("{s:s,s:s}", "device", d->id, "source", r->source), "internal");
	return verdict_good();
}

void join_begin(struct management *m, const Ipc__EnrolRequest *r)
{
	struct device *d = NULL;
	struct evidence_begin b = {.ak_len = 0};
	Gemel__Enrolment__V1__BeginRequest *q =
		gemel__enrolment__v1__begin_request__unpack(NULL, r->message.len, r->message.data);
	struct verdict v = q ? evidence_begin_names(q->body.data, q->body.len, &b)
			     : verdict_bad(REASON_REQUEST_MALFORMED, "BeginRequest cannot be read");
	if (v.reason == REASON_NONE) {
		d = devices_find(m->devices, b.device);
		v = token_check(m, b.token, b.device, q->body.data, q->body.len,
				q->token_proof.data, q->token_proof.len);
	}
	if (v.reason == REASON_NONE)
		v = evidence_begin_read(q->body.data, q->body.len, authority_makers(m), now_of(m),
					&b);
	if (v.reason == REASON_NONE)
		v = may_join(m, &b, &d);
	if (v.reason == REASON_NONE)
		v = begin_with(m, r, &b, d);
	if (v.reason != REASON_NONE)
		join_refuse(m, r, d, b.device, &v);
	evidence_begin_clear(&b);
	if (q)
		gemel__enrolment__v1__begin_request__free_unpacked(q, NULL);
}

// --- Complete

static struct join *join_find(struct management *m, const char *session)
{
	for (size_t i = 0; *session && i < JOINS_MAX; i++) {
		struct join *j = &m->joins->items[i];
		if (strcmp(j->session, session) == 0)
			return j->until_ns > now_of(m) ? j : NULL;
	}
	return NULL;
}

static void grant_of(const struct join *j, const Ipc__EnrolRequest *r, struct join_grant *g)
{
	g->id = r->id;
	memcpy(g->device, j->device, sizeof g->device);
	memcpy(g->token, j->token, sizeof g->token);
	clean_text(g->source, sizeof g->source, r->source);
	memcpy(g->agent_version, j->agent_version, sizeof g->agent_version);
	memcpy(g->ek, j->ek, sizeof g->ek);
	memcpy(g->ek_subject, j->ek_subject, sizeof g->ek_subject);
	memcpy(g->ek_issuer, j->ek_issuer, sizeof g->ek_issuer);
	memcpy(g->ak, j->ak_public, j->ak_len);
	g->ak_len = j->ak_len;
	g->csr = j->csr;
}

static struct verdict complete_with(struct management *m, const struct join *j,
				    const Gemel__Enrolment__V1__CompleteRequest *q,
				    struct evidence_found *found)
{
	struct evidence_want want = {.device = j->device,
				     .ak = &j->ak,
				     .nonce = j->nonce,
				     .tls = j->csr.spki,
				     .references = &m->p->conf->references,
				     .now_ns = now_of(m)};
	if (q->activated_secret.len != SECRET ||
	    !secret_equal(q->activated_secret.data, j->secret, SECRET))
		return verdict_bad(REASON_CREDENTIAL_NOT_ACTIVATED, "the secret is another");
	struct verdict v = evidence_appraise(&want, q->evidence, q->batch_key, found);
	if (v.reason == REASON_KEY_MISMATCH) // nothing was enrolled yet that could be copied
		v.reason = REASON_QUOTE_BAD;
	return v;
}

void join_complete(struct management *m, const Ipc__EnrolRequest *r)
{
	struct join_grant g = {.id = 0};
	struct device *d = NULL;
	Gemel__Enrolment__V1__CompleteRequest *q = gemel__enrolment__v1__complete_request__unpack(
		NULL, r->message.len, r->message.data);
	struct join *j = q ? join_find(m, q->session) : NULL;
	struct verdict v = verdict_good();
	if (!q)
		v = verdict_bad(REASON_REQUEST_MALFORMED, "CompleteRequest cannot be read");
	else if (!j)
		v = verdict_bad(REASON_SESSION_UNKNOWN, "session %.32s", q->session);
	if (j) {
		grant_of(j, r, &g);
		g.life_s = token_life(m, j->token);
		d = devices_find(m->devices, j->device);
		v = complete_with(m, j, q, &g.found);
		join_forget(j); // one use, whatever came of it
	}
	if (v.reason == REASON_NONE && !d)
		v = verdict_bad(REASON_DEVICE_UNKNOWN, "%s", g.device);
	if (v.reason == REASON_NONE)
		join_issue(m, &g);
	else
		join_refuse(m, r, d, g.device, &v);
	if (q)
		gemel__enrolment__v1__complete_request__free_unpacked(q, NULL);
}

// --- dispatch

struct err join_request(struct management *m, const Ipc__EnrolRequest *r)
{
	static const struct {
		const char *method;
		void (*run)(struct management *m, const Ipc__EnrolRequest *r);
	} methods[] = {
		{"Begin", join_begin},	       {"Complete", join_complete}, {"Renew", join_renew},
		{"Challenge", join_challenge}, {"Attest", attest_request},
	};
	const char *slash = strrchr(r->method, '/'), *method = slash ? slash + 1 : r->method;
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (strcmp(methods[i].method, method) == 0) {
			if (authority_ready(m)) {
				methods[i].run(m, r);
				return OK;
			}
			struct verdict busy = verdict_bad(REASON_BUSY, "the authority is starting");
			join_answer(m, r->id, &busy, NULL);
			return OK;
		}
	return err_make(ERR_PEER, "ENROL_REQUEST with method \"%.32s\"", r->method);
}
