// SPDX-License-Identifier: Apache-2.0
// Challenge and Attest on a device's connection (docs/contracts.md "Joining" 5): a fresh quote over
// the connection's TLS key and the batch key. A good one lifts the device as far as it goes; a bad
// one lets it fall, or ends the connection of who only has its certificate.
// X.2011 8.1.1-1, 8.2.1-4.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <stdio.h>
#include <string.h>

enum { AGAIN_S = 3600 };

typedef Gemel__Enrolment__V1__AttestRequest attest_message;

// --- Challenge

static struct verdict may_challenge(struct management *m, const Ipc__EnrolRequest *r,
				    const Gemel__Enrolment__V1__ChallengeRequest *q,
				    struct device **out)
{
	struct device *d = *out = devices_find(m->devices, q->device_id);
	const struct visit *v = visit_find(m, r->session);
	bool attest = q->purpose == GEMEL__ENROLMENT__V1__CHALLENGE_PURPOSE__CHALLENGE_ATTEST;
	if (!attest && q->purpose != GEMEL__ENROLMENT__V1__CHALLENGE_PURPOSE__CHALLENGE_RENEW)
		return verdict_bad(REASON_REQUEST_MALFORMED, "purpose %d", (int)q->purpose);
	if (!d || !d->enrolled)
		return verdict_bad(REASON_DEVICE_UNKNOWN, "%.64s", q->device_id);
	if (d->state == DEVICE_REVOKED)
		return verdict_bad(REASON_CERTIFICATE_REVOKED, "%s", d->id);
	if (v && strcmp(v->device, d->id) != 0)
		return verdict_bad(REASON_NAME_STOLEN, "the connection is that of %s", v->device);
	if (attest && !v)
		return verdict_bad(REASON_SESSION_UNKNOWN, "%s is not connected", d->id);
	return verdict_good();
}

void join_challenge(struct management *m, const Ipc__EnrolRequest *r)
{
	struct device *d = NULL;
	uint8_t nonce[EVIDENCE_NONCE];
	uint32_t pcrs[] = {EVIDENCE_PCR};
	Gemel__Enrolment__V1__ChallengeAnswer a = GEMEL__ENROLMENT__V1__CHALLENGE_ANSWER__INIT;
	Gemel__Enrolment__V1__ChallengeRequest *q = gemel__enrolment__v1__challenge_request__unpack(
		NULL, r->message.len, r->message.data);
	struct verdict v =
		q ? may_challenge(m, r, q, &d)
		  : verdict_bad(REASON_REQUEST_MALFORMED, "ChallengeRequest cannot be read");
	if (v.reason == REASON_NONE) {
		struct err e = nonce_make(m, d->id, r->session, q->purpose, nonce, &a.expires_ns);
		if (e.code != ERR_NONE)
			v = verdict_bad(REASON_BUSY, "%s", e.text);
	}
	a.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
	a.pcrs = pcrs;
	a.n_pcrs = 1;
	if (v.reason == REASON_NONE)
		join_answer(m, r->id, NULL, &a.base);
	else
		join_refuse(m, r, d, q ? q->device_id : "", &v);
	if (q)
		gemel__enrolment__v1__challenge_request__free_unpacked(q, NULL);
}

// --- Attest

static void answer(struct management *m, const Ipc__EnrolRequest *r, const struct device *d,
		   const struct verdict *v)
{
	char reason[700] = "";
	const char *bundle = authority_bundle(m);
	Gemel__Enrolment__V1__AttestAnswer a = GEMEL__ENROLMENT__V1__ATTEST_ANSWER__INIT;
	a.accepted = v->reason == REASON_NONE;
	enum reason why = a.accepted ? d->reason : v->reason;
	if (why != REASON_NONE)
		snprintf(reason, sizeof reason, "%s: %s %s", reason_word(why), reason_meaning(why),
			 reason_mend(why));
	a.state = (char *)(uintptr_t)device_state_name(d->state);
	a.reason = reason;
	a.again_after_ns = now_of(m) + AGAIN_S * NS_PER_S;
	a.trust_bundle = (ProtobufCBinaryData){strlen(bundle), (uint8_t *)(uintptr_t)bundle};
	join_answer(m, r->id, NULL, &a.base);
}

static struct verdict appraise(struct management *m, const Ipc__EnrolRequest *r,
			       const attest_message *q, const struct device *d,
			       const struct visit *v, struct evidence_found *found)
{
	struct tpm_ak ak;
	if (!v)
		return verdict_bad(REASON_SESSION_UNKNOWN, "%s is not connected", d->id);
	if (strcmp(v->device, d->id) != 0)
		return verdict_bad(REASON_NAME_STOLEN, "the connection is that of %s", v->device);
	if (!nonce_take(m, d->id, r->session,
			GEMEL__ENROLMENT__V1__CHALLENGE_PURPOSE__CHALLENGE_ATTEST, q->nonce.data,
			q->nonce.len))
		return verdict_bad(REASON_NONCE_UNKNOWN, "%s", d->id);
	struct err e = tpm_ak_read(d->ak, d->ak_len, &ak);
	if (e.code != ERR_NONE)
		return verdict_bad(REASON_AK_UNFIT, "%s", e.text);
	struct evidence_want want = {.device = d->id,
				     .ak = &ak,
				     .nonce = q->nonce.data,
				     .tls = v->tls,
				     .references = &m->p->conf->references,
				     .now_ns = now_of(m)};
	return evidence_appraise(&want, q->evidence, q->batch_key, found);
}

static json_t *quote_json(const struct evidence_found *f, const Ipc__EnrolRequest *r)
{
	char source[80];
	clean_text(source, sizeof source, r->source);
	return json_pack("{s:s,s:s,s:I,s:I,s:I,s:s}", "software", f->software, "pcr17", f->pcr17,
			 "tpm_clock_ms", (json_int_t)f->quote.clock_ms, "resets",
			 (json_int_t)f->quote.resets, "firmware", (json_int_t)f->quote.firmware,
			 "source", source);
}

static struct verdict good(struct management *m, const Ipc__EnrolRequest *r, struct device *d,
			   const attest_message *q, struct visit *v, const struct evidence_found *f)
{
	struct device changed = *d;
	struct change c = {.step = "appraised",
			   .to = d->state,
			   .reason = d->reason,
			   .reason_detail = d->reason_detail,
			   .actor = "device",
			   .detail = quote_json(f, r)};
	device_take_evidence(&changed, f, now_of(m));
	if (*q->agent_version)
		clean_text(changed.agent_version, sizeof changed.agent_version, q->agent_version);
	snprintf(changed.attested_session, sizeof changed.attested_session, "%s", v->session);
	struct err e = inventory_change(m, d, &changed, &c);
	if (e.code != ERR_NONE)
		return verdict_bad(REASON_BUSY, "%s", e.text);
	v->attested_ns = now_of(m);
	e = trial_promote(m, d, NULL);
	if (e.code != ERR_NONE)
		log_warning("%s does not rise: %s", d->id, e.text);
	return verdict_good();
}

// Whether it is the device itself that failed, or someone who shows its certificate.
static void bad(struct management *m, const Ipc__EnrolRequest *r, struct device *d, struct visit *v,
		const struct verdict *why)
{
	bool itself = why->reason == REASON_SOFTWARE_UNKNOWN || why->reason == REASON_BATCH_KEY_BAD;
	inventory_refused(m, d, d->id, why, r->source, r->method);
	if (itself && d->state > DEVICE_QUARANTINE && d->state <= DEVICE_PRODUCTION) {
		struct device changed = *d;
		struct change c = {.step = "quarantined",
				   .to = DEVICE_QUARANTINE,
				   .reason = why->reason,
				   .reason_detail = why->detail};
		struct err e = inventory_change(m, d, &changed, &c);
		if (e.code != ERR_NONE)
			log_error("%s could not be put into quarantine: %s", d->id, e.text);
	}
	if (v && why->reason != REASON_NONCE_UNKNOWN && why->reason != REASON_SOFTWARE_UNKNOWN)
		visit_refuse(m, v, why);
}

void attest_request(struct management *m, const Ipc__EnrolRequest *r)
{
	struct evidence_found found;
	attest_message *q =
		gemel__enrolment__v1__attest_request__unpack(NULL, r->message.len, r->message.data);
	struct device *d = q ? devices_find(m->devices, q->device_id) : NULL;
	struct visit *visit = visit_find(m, r->session);
	struct verdict v = verdict_good();
	if (!q)
		v = verdict_bad(REASON_REQUEST_MALFORMED, "AttestRequest cannot be read");
	else if (!d || !d->enrolled)
		v = verdict_bad(REASON_DEVICE_UNKNOWN, "%.64s", q->device_id);
	if (v.reason != REASON_NONE) {
		join_refuse(m, r, NULL, q ? q->device_id : "", &v);
	} else {
		v = appraise(m, r, q, d, visit, &found);
		if (v.reason == REASON_NONE)
			v = good(m, r, d, q, visit, &found);
		if (v.reason == REASON_BUSY) {
			join_answer(m, r->id, &v, NULL);
		} else {
			answer(m, r, d, &v);
			if (v.reason != REASON_NONE)
				bad(m, r, d, visit, &v);
		}
	}
	if (q)
		gemel__enrolment__v1__attest_request__free_unpacked(q, NULL);
}
