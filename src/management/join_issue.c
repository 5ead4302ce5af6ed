// SPDX-License-Identifier: Apache-2.0
// Enrolment, second half: the certificate for a device whose evidence was appraised, and its
// renewal. X.2011 8.1.1-2, 8.2.1-1.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACK_S = 300, OVERLAP_S = 600, EXPIRED_DAYS = 30 };

struct issuing {
	struct join_grant g;
	int64_t from_ns, until_ns;
};

static int newer(const void *a, const void *b)
{
	const struct device_key *x = a, *y = b;
	return x->from_ns < y->from_ns ? 1 : x->from_ns > y->from_ns ? -1 : 0;
}

// The newest first; those that are over go. (A device that was away proves older keys too, for the
// batches in its spool.)
static void key_add(struct device *d, const struct device_key *key, int64_t now_ns)
{
	struct device_key all[DEVICE_KEYS + 1] = {*key};
	unsigned n = 1;
	for (unsigned i = 0; i < d->n_keys; i++)
		if (d->keys[i].until_ns > now_ns && memcmp(d->keys[i].key.id, key->key.id, 8) != 0)
			all[n++] = d->keys[i];
	if (n > DEVICE_KEYS) { // the oldest of the others makes room for what was just proved
		qsort(all + 1, n - 1, sizeof *all, newer);
		n = DEVICE_KEYS;
	}
	qsort(all, n, sizeof *all, newer);
	d->n_keys = n;
	memcpy(d->keys, all, n * sizeof *all);
}

void device_take_evidence(struct device *d, const struct evidence_found *f, int64_t now_ns)
{
	key_add(d, &f->key, now_ns);
	memcpy(d->pcr17, f->pcr17, sizeof d->pcr17);
	memcpy(d->software, f->software, sizeof d->software);
	d->attested_ns = now_ns;
}

static void take_certificate(struct device *d, const struct issuing *i, const char *serial,
			     int64_t now_ns)
{
	const struct join_grant *g = &i->g;
	if (d->enrolled && memcmp(d->tls, g->csr.spki, 32) != 0) {
		memcpy(d->tls_before, d->tls, 32);
		d->tls_before_until_ns = g->renewal ? now_ns + OVERLAP_S * NS_PER_S : 0;
	}
	d->enrolled = true;
	memcpy(d->tls, g->csr.spki, 32);
	snprintf(d->serial, sizeof d->serial, "%s", serial);
	d->certificate_until_ns = i->until_ns;
	if (g->renewal)
		return;
	memcpy(d->ek, g->ek, 32);
	memcpy(d->ek_subject, g->ek_subject, sizeof d->ek_subject);
	memcpy(d->ek_issuer, g->ek_issuer, sizeof d->ek_issuer);
	memcpy(d->ak, g->ak, g->ak_len);
	d->ak_len = g->ak_len;
	memcpy(d->agent_version, g->agent_version, sizeof d->agent_version);
}

static json_t *issued_json(const struct issuing *i, const char *serial)
{
	char until[CLOCK_TEXT_MAX], key[HASH_HEX];
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "serial", serial, "until",
			 clock_format(i->until_ns, until), "key_sha256",
			 hash_hex(i->g.csr.spki, 32, key), "tpm", i->g.ek_issuer, "software",
			 i->g.found.software, "pcr17", i->g.found.pcr17, "source", i->g.source);
}

static void answer(struct management *m, const struct issuing *i, const struct device *d,
		   const struct buf *der)
{
	const struct buf *issuing = authority_issuing(m);
	const char *bundle = authority_bundle(m);
	Gemel__Enrolment__V1__CompleteAnswer a = GEMEL__ENROLMENT__V1__COMPLETE_ANSWER__INIT;
	ProtobufCBinaryData chain[] = {{der->len, der->data}, {issuing->len, issuing->data}};
	char reason[300] = "";
	if (d->state < DEVICE_PRODUCTION)
		snprintf(reason, sizeof reason, "%s",
			 d->reason ? reason_mend(d->reason)
				   : "Connect over the tunnel and attest: it rises by itself.");
	a.certificate_chain_der = chain;
	a.n_certificate_chain_der = 2;
	a.trust_bundle = (ProtobufCBinaryData){strlen(bundle), (uint8_t *)(uintptr_t)bundle};
	a.state = (char *)(uintptr_t)device_state_name(d->state);
	a.reason = reason;
	a.renew_after_ns = i->from_ns + (i->until_ns - i->from_ns) / 3;
	join_answer(m, i->g.id, NULL, &a.base);
}

static void issued(struct management *m, void *ctx, struct err e, const struct buf *der,
		   const char *serial)
{
	struct issuing *i = ctx;
	struct device *d = devices_find(m->devices, i->g.device);
	int64_t now = now_of(m);
	if (e.code == ERR_NONE &&
	    (!d || d->state == DEVICE_REVOKED || d->state == DEVICE_SUSPENDED))
		e = err_make(ERR_CONFLICT, "the device is gone");
	if (e.code == ERR_NONE) {
		struct device changed = *d;
		bool rises = !i->g.renewal && d->state <= DEVICE_INVITED;
		struct change c = {.step = i->g.renewal ? "renewed" : "enrolled",
				   .to = rises ? DEVICE_QUARANTINE : d->state,
				   .reason = rises ? REASON_NONE : d->reason,
				   .actor = "device",
				   .reason_detail = rises ? "" : d->reason_detail,
				   .detail = issued_json(i, serial)};
		take_certificate(&changed, i, serial, now);
		device_take_evidence(&changed, &i->g.found, now);
		if (!i->g.renewal)
			token_spend(m, i->g.token);
		e = inventory_change(m, d, &changed, &c);
		m->enrolled++;
	}
	if (e.code == ERR_NONE) {
		answer(m, i, d, der);
	} else {
		struct verdict v = verdict_bad(REASON_BUSY, "%s", e.text);
		log_warning("%s gets no certificate: %s", i->g.device, e.text);
		join_answer(m, i->g.id, &v, NULL);
	}
	free(i);
}

void join_issue(struct management *m, const struct join_grant *g)
{
	struct issuing *i = calloc(1, sizeof *i);
	const char *const hosts[] = {g->device};
	struct verdict busy = verdict_bad(REASON_BUSY, "out of memory");
	if (!i) {
		join_answer(m, g->id, &busy, NULL);
		return;
	}
	i->g = *g;
	i->from_ns = now_of(m) - BACK_S * NS_PER_S; // clocks of devices
	int64_t life_s = g->life_s ? g->life_s : m->p->conf->certificate_days * 86400;
	i->until_ns = now_of(m) + life_s * NS_PER_S;
	struct x509_issue want = {.profile = X509_DEVICE,
				  .name = i->g.device,
				  .key = &i->g.csr.key,
				  .hosts = hosts,
				  .n_hosts = 1,
				  .from_ns = i->from_ns,
				  .until_ns = i->until_ns};
	authority_issue(m, &want, issued, i);
}

// --- Renew: under its certificate, also one that has expired a while ago; the AK proves who it is

static struct verdict old_certificate(struct management *m, const Ipc__EnrolRequest *r,
				      const struct device *d)
{
	struct x509_identity who;
	if (!r->peer_certificate.len)
		return verdict_good(); // the enrolment listener asks for none
	struct err e = x509_identify(r->peer_certificate.data, r->peer_certificate.len, &who);
	if (e.code != ERR_NONE)
		return verdict_bad(REASON_CERTIFICATE_MALFORMED, "%s", e.text);
	if (strcmp(who.device, d->id) != 0)
		return verdict_bad(REASON_NAME_STOLEN, "the certificate is for %s", who.device);
	if (authority_revoked(m, who.serial))
		return verdict_bad(REASON_CERTIFICATE_REVOKED, "serial %s", who.serial);
	return verdict_good();
}

static struct verdict may_renew(struct management *m, const Ipc__EnrolRequest *r,
				const Gemel__Enrolment__V1__RenewRequest *q, struct device *d,
				struct x509_csr *csr)
{
	uint8_t spki[HASH_SIZE];
	if (!d || !d->enrolled)
		return verdict_bad(REASON_DEVICE_UNKNOWN, "%.64s has not enrolled", q->device_id);
	if (d->state == DEVICE_REVOKED)
		return verdict_bad(REASON_CERTIFICATE_REVOKED, "%s", d->id);
	if (d->state == DEVICE_SUSPENDED)
		return verdict_bad(REASON_DEVICE_SUSPENDED, "%s", d->id);
	if (d->certificate_until_ns + EXPIRED_DAYS * 86400 * NS_PER_S < now_of(m))
		return verdict_bad(REASON_CERTIFICATE_EXPIRED, "more than %d days ago",
				   EXPIRED_DAYS);
	struct err e = x509_csr_read(q->csr_der.data, q->csr_der.len, csr);
	if (e.code != ERR_NONE)
		return verdict_bad(REASON_REQUEST_MALFORMED, "%s", e.text);
	hash_sha256(q->tls_spki.data, q->tls_spki.len, spki);
	if (memcmp(spki, csr->spki, HASH_SIZE) != 0)
		return verdict_bad(REASON_REQUEST_MALFORMED, "tls_spki is not the request's key");
	if (q->ak_public.len != d->ak_len || memcmp(q->ak_public.data, d->ak, d->ak_len) != 0)
		return verdict_bad(REASON_KEY_MISMATCH,
				   "the attestation key is not the enrolled one");
	if (!nonce_take(m, d->id, r->session,
			GEMEL__ENROLMENT__V1__CHALLENGE_PURPOSE__CHALLENGE_RENEW, q->nonce.data,
			q->nonce.len))
		return verdict_bad(REASON_NONCE_UNKNOWN, "%s", d->id);
	return old_certificate(m, r, d);
}

static struct verdict renew(struct management *m, const Ipc__EnrolRequest *r,
			    const Gemel__Enrolment__V1__RenewRequest *q, struct device *d)
{
	struct join_grant g = {.id = r->id, .renewal = true};
	struct tpm_ak ak;
	struct verdict v = may_renew(m, r, q, d, &g.csr);
	if (v.reason != REASON_NONE)
		return v;
	struct err e = tpm_ak_read(d->ak, d->ak_len, &ak);
	if (e.code != ERR_NONE)
		return verdict_bad(REASON_AK_UNFIT, "%s", e.text);
	struct evidence_want want = {.device = d->id,
				     .ak = &ak,
				     .nonce = q->nonce.data,
				     .tls = g.csr.spki,
				     .references = &m->p->conf->references,
				     .now_ns = now_of(m)};
	v = evidence_appraise(&want, q->evidence, q->batch_key, &g.found);
	if (v.reason != REASON_NONE)
		return v;
	snprintf(g.device, sizeof g.device, "%s", d->id);
	snprintf(g.ek_issuer, sizeof g.ek_issuer, "%s", d->ek_issuer);
	clean_text(g.source, sizeof g.source, r->source);
	join_issue(m, &g);
	return v;
}

void join_renew(struct management *m, const Ipc__EnrolRequest *r)
{
	Gemel__Enrolment__V1__RenewRequest *q =
		gemel__enrolment__v1__renew_request__unpack(NULL, r->message.len, r->message.data);
	struct device *d = q ? devices_find(m->devices, q->device_id) : NULL;
	struct verdict v = q ? renew(m, r, q, d)
			     : verdict_bad(REASON_REQUEST_MALFORMED, "RenewRequest cannot be read");
	if (v.reason != REASON_NONE)
		join_refuse(m, r, d, q ? q->device_id : "", &v);
	if (q)
		gemel__enrolment__v1__renew_request__free_unpacked(q, NULL);
}
