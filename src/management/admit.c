// SPDX-License-Identifier: Apache-2.0
// Admission of connections (docs/contracts.md "Joining" 5): the chain, whom it names, whether the
// key behind it is the enrolled one. An admitted connection must be attested within ATTEST_S, else
// it was made by someone who has the certificate but not the TPM. X.2011 8.1.1-2, 8.2.1-1.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VISITS_MAX = 8192, ATTEST_S = 60, BLOCKS_MAX = 256, BLOCK_S = 600, OF_ONE = 8 };

struct block { // who has shown a copied certificate is not heard for a while
	char device[X509_NAME_MAX + 1], address[80];
	int64_t until_ns;
};

struct visits {
	size_t n;
	struct visit items[VISITS_MAX];
	struct block blocks[BLOCKS_MAX];
	struct buf early; // u32 length, ADMIT_REQUEST: came before keys did
};

struct err visits_start(struct management *m)
{
	m->visits = calloc(1, sizeof *m->visits);
	ENSURE(m->visits, ERR_LIMIT, "no memory for connections of devices");
	return OK;
}

void visits_stop(struct management *m)
{
	if (m->visits)
		buf_clear(&m->visits->early);
	free(m->visits);
	m->visits = NULL;
}

struct visit *visit_find(struct management *m, const char *session)
{
	for (size_t i = 0; *session && i < m->visits->n; i++)
		if (strcmp(m->visits->items[i].session, session) == 0)
			return &m->visits->items[i];
	return NULL;
}

struct visit *visit_of(struct management *m, const char *device)
{
	struct visit *found = NULL;
	for (size_t i = 0; i < m->visits->n; i++) {
		struct visit *v = &m->visits->items[i];
		if (strcmp(v->device, device) == 0 &&
		    (!found || v->attested_ns > found->attested_ns))
			found = v;
	}
	return found;
}

static void visit_forget(struct management *m, struct visit *v)
{
	*v = m->visits->items[--m->visits->n];
}

void visits_forget(struct management *m)
{
	m->visits->n = 0;
	buf_reset(&m->visits->early);
}

// --- answers

static void answer(struct management *m, uint64_t id, const char *device, const char *state,
		   const struct verdict *why)
{
	char reason[160];
	Ipc__AdmitAnswer a = IPC__ADMIT_ANSWER__INIT;
	bool good = why->reason == REASON_NONE;
	snprintf(reason, sizeof reason, "%s: %s", reason_word(why->reason),
		 reason_meaning(why->reason));
	a.id = id;
	a.admitted = good;
	a.device = (char *)(uintptr_t)device;
	a.state = (char *)(uintptr_t)state;
	a.reason = good ? (char *)(uintptr_t) "" : reason;
	struct err e = process_send(m->p, PROCESS_TELEMETRY, IPC_ADMIT_ANSWER, &a.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("an admission cannot be answered: %s", e.text);
}

// "192.0.2.7:50000" without the port.
static void address_of(const char *source, char out[80])
{
	clean_text(out, 80, source);
	char *colon = strrchr(out, ':');
	if (colon)
		*colon = 0;
}

static void block(struct management *m, const struct visit *v)
{
	struct block *to = &m->visits->blocks[0];
	for (size_t i = 1; i < BLOCKS_MAX; i++)
		if (m->visits->blocks[i].until_ns < to->until_ns)
			to = &m->visits->blocks[i];
	snprintf(to->device, sizeof to->device, "%s", v->device);
	address_of(v->source, to->address);
	to->until_ns = now_of(m) + BLOCK_S * NS_PER_S;
}

static bool blocked(struct management *m, const char *device, const char *source)
{
	char address[80];
	address_of(source, address);
	for (size_t i = 0; i < BLOCKS_MAX; i++) {
		const struct block *b = &m->visits->blocks[i];
		if (b->until_ns > now_of(m) && !strcmp(b->device, device) &&
		    !strcmp(b->address, address))
			return true;
	}
	return false;
}

void visit_refuse(struct management *m, struct visit *v, const struct verdict *why)
{
	if (why->reason == REASON_KEY_MISMATCH)
		block(m, v);
	answer(m, v->ask, v->device, "", why);
	visit_forget(m, v);
}

void visits_drop(struct management *m, const char *device, enum reason why)
{
	char reason[160];
	Ipc__DeviceDrop drop = IPC__DEVICE_DROP__INIT;
	snprintf(reason, sizeof reason, "%s: %s", reason_word(why), reason_meaning(why));
	drop.device = (char *)(uintptr_t)device;
	drop.reason = reason;
	for (size_t i = 0; i < m->visits->n;)
		if (strcmp(m->visits->items[i].device, device) == 0)
			visit_forget(m, &m->visits->items[i]);
		else
			i++;
	struct err e = process_send(m->p, PROCESS_TELEMETRY, IPC_DEVICE_DROP, &drop.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("connections of %s cannot be ended: %s", device, e.text);
}

// --- the decision

static struct verdict chain_of(const Ipc__AdmitRequest *r, struct x509_chain *out)
{
	*out = (struct x509_chain){.n = 0};
	if (r->n_chain > X509_CHAIN_MAX)
		return verdict_bad(REASON_CERTIFICATE_MALFORMED, "a chain of %zu", r->n_chain);
	for (size_t i = 0; i < r->n_chain; i++, out->n++) {
		out->der[i] = r->chain[i].data;
		out->len[i] = r->chain[i].len;
	}
	return verdict_good();
}

// What the TLS layer said, when the chain itself is good here (or none came along).
static struct verdict handshake(const Ipc__AdmitRequest *r)
{
	if (!*r->tls_error)
		return verdict_good();
	for (unsigned i = 1; i < REASONS; i++)
		if (strcmp(reason_word((enum reason)i), r->tls_error) == 0)
			return verdict_bad((enum reason)i, "the handshake was refused");
	return verdict_bad(REASON_CERTIFICATE_MALFORMED, "%.100s", r->tls_error);
}

static struct verdict who_is_it(struct management *m, const Ipc__AdmitRequest *r,
				struct x509_identity *who)
{
	struct x509_chain chain;
	enum x509_refusal why;
	memset(who, 0, sizeof *who);
	struct verdict v = chain_of(r, &chain);
	if (v.reason != REASON_NONE)
		return v;
	struct err e =
		x509_verify(authority_trust(m), &chain, X509_USE_CLIENT, now_of(m), who, &why);
	if (sabotaged("identity"))
		return verdict_good();
	if (e.code != ERR_NONE)
		return verdict_bad(reason_of_x509(why), "%s", e.text);
	if (!who->device[0])
		return verdict_bad(REASON_NAME_STOLEN,
				   "the certificate is for role \"%s\", not for a "
				   "device",
				   who->role);
	if (*r->device && strcmp(r->device, who->device) != 0)
		return verdict_bad(REASON_NAME_STOLEN, "the certificate is for %s", who->device);
	return handshake(r);
}

static struct verdict may_enter(struct management *m, const Ipc__AdmitRequest *r,
				const struct x509_identity *who, struct device **out)
{
	struct device *d = *out = devices_find(m->devices, who->device);
	const struct visit *other = d ? visit_of(m, d->id) : NULL;
	if (!d || !d->enrolled)
		return verdict_bad(REASON_DEVICE_UNKNOWN, "%s", who->device);
	if (d->state == DEVICE_REVOKED)
		return verdict_bad(REASON_CERTIFICATE_REVOKED, "%s", d->id);
	if (d->state == DEVICE_SUSPENDED)
		return verdict_bad(REASON_DEVICE_SUSPENDED, "%s", d->id);
	bool newest = memcmp(who->spki, d->tls, 32) == 0;
	bool before =
		memcmp(who->spki, d->tls_before, 32) == 0 && d->tls_before_until_ns > now_of(m);
	if (!newest && !before)
		return verdict_bad(REASON_KEY_MISMATCH, "serial %s, enrolled is %s", who->serial,
				   d->serial);
	if (before && other && memcmp(other->tls, d->tls, 32) == 0)
		return verdict_bad(REASON_KEY_MISMATCH, "the renewed key is in use already");
	if (blocked(m, d->id, r->source))
		return verdict_bad(REASON_KEY_MISMATCH, "this source has shown another TPM");
	return verdict_good();
}

static struct verdict enter(struct management *m, const Ipc__AdmitRequest *r, const char *device,
			    const uint8_t tls[32], bool target)
{
	struct device *d = devices_find(m->devices, device);
	struct visit *v = visit_find(m, r->session);
	size_t of_one = 0;
	for (size_t i = 0; i < m->visits->n; i++)
		of_one += strcmp(m->visits->items[i].device, device) == 0;
	if (strlen(r->session) >= sizeof v->session || !*r->session)
		return verdict_bad(REASON_REQUEST_MALFORMED, "a connection without a name");
	if (!v && (m->visits->n == VISITS_MAX || of_one >= OF_ONE))
		return verdict_bad(REASON_BUSY, "%zu connections of devices", m->visits->n);
	if (!v)
		v = &m->visits->items[m->visits->n++];
	*v = (struct visit){.ask = r->id, .since_ns = now_of(m), .target = target};
	snprintf(v->session, sizeof v->session, "%s", r->session);
	snprintf(v->device, sizeof v->device, "%s", device);
	clean_text(v->source, sizeof v->source, r->source);
	memcpy(v->tls, tls, 32);
	if (strcmp(d->attested_session, v->session) == 0) // we were away, it was not
		v->attested_ns = d->attested_ns;
	d->seen_ns = v->since_ns;
	memcpy(d->source, v->source, sizeof d->source);
	return verdict_good();
}

// --- standard targets: what is proved is what their authority, named in the configuration, says

static struct verdict target_chain(struct management *m, const Ipc__AdmitRequest *r,
				   struct x509_identity *who)
{
	const struct conf_target *items = m->p->conf->targets.items, *c = NULL;
	struct x509_chain chain;
	enum x509_refusal why = X509_GOOD;
	for (size_t i = 0; i < m->p->conf->targets.n; i++)
		if (strcmp(items[i].device, r->device) == 0)
			c = &items[i];
	if (!c)
		return verdict_bad(REASON_DEVICE_UNKNOWN, "%.64s is no target", r->device);
	struct verdict v = chain_of(r, &chain);
	struct x509_trust *trust = x509_trust_new();
	struct err e = trust ? x509_trust_add_pem(trust, c->authority, strlen(c->authority))
			     : err_make(ERR_LIMIT, "out of memory");
	if (e.code == ERR_NONE)
		e = x509_verify(trust, &chain, X509_USE_SERVER, now_of(m), who, &why);
	x509_trust_free(trust);
	if (v.reason == REASON_NONE && e.code != ERR_NONE)
		v = verdict_bad(why ? reason_of_x509(why) : REASON_BUSY, "%s", e.text);
	return v.reason == REASON_NONE ? handshake(r) : v;
}

static void target_request(struct management *m, const Ipc__AdmitRequest *r)
{
	struct x509_identity who;
	struct device *d = devices_find(m->devices, r->device);
	struct verdict v = target_chain(m, r, &who);
	if (v.reason == REASON_NONE && (!d || !d->target))
		v = verdict_bad(REASON_DEVICE_UNKNOWN, "%.64s", r->device);
	if (v.reason == REASON_NONE && d->state > DEVICE_PRODUCTION)
		v = verdict_bad(d->state == DEVICE_REVOKED ? REASON_CERTIFICATE_REVOKED
							   : REASON_DEVICE_SUSPENDED,
				"%s", d->id);
	if (v.reason == REASON_NONE)
		v = enter(m, r, d->id, who.spki, true);
	if (v.reason == REASON_NONE) {
		struct err e = trial_promote(m, d, NULL);
		if (e.code != ERR_NONE)
			log_warning("%s does not rise: %s", d->id, e.text);
	} else if (v.reason != REASON_BUSY) {
		inventory_refused(m, d, r->device, &v, r->source, "target");
	}
	answer(m, r->id, r->device, d ? device_state_name(d->state) : "", &v);
}

// --- requests

// Whose story a refusal belongs to: a forger must not write in others' stories, so only who has a
// certificate of ours is known, good as it may no longer be.
static bool issued_here(enum reason r)
{
	return r == REASON_CERTIFICATE_EXPIRED || r == REASON_CERTIFICATE_NOT_YET_VALID ||
	       r == REASON_CERTIFICATE_REVOKED || r == REASON_NAME_STOLEN;
}

// After a restart of ours telemetry asks about everyone who is there, before keys has come: a "no"
// for want of a key would end connections that nothing is wrong with.
static void admit_later(struct management *m, const Ipc__AdmitRequest *r)
{
	struct buf *b = &m->visits->early;
	size_t n = ipc__admit_request__get_packed_size(r);
	struct verdict busy = verdict_bad(REASON_BUSY, "the authority is starting");
	buf_be32(b, (uint32_t)n);
	uint8_t *to = buf_space(b, n);
	if (to)
		ipc__admit_request__pack(r, to);
	else
		answer(m, r->id, r->device, "", &busy);
}

void admit_early(struct management *m)
{
	struct buf b = m->visits->early;
	struct cursor c = cursor_over(b.data, b.len);
	m->visits->early = (struct buf){0};
	while (cursor_left(&c)) {
		struct cursor one = cursor_sub(&c, cursor_be32(&c));
		Ipc__AdmitRequest *r = ipc__admit_request__unpack(NULL, cursor_left(&one), one.at);
		if (!r)
			break;
		err_ignore(admit_request(m, r));
		ipc__admit_request__free_unpacked(r, NULL);
	}
	buf_clear(&b);
}

struct err admit_request(struct management *m, const Ipc__AdmitRequest *r)
{
	struct x509_identity who = {.authority = false};
	struct device *d = NULL;
	struct verdict v = verdict_good();
	if (!authority_ready(m)) {
		admit_later(m, r);
		return OK;
	}
	if (strcmp(r->channel, "tunnel") != 0) {
		target_request(m, r);
		return OK;
	}
	v = who_is_it(m, r, &who);
	if (issued_here(v.reason))
		d = devices_find(m->devices, who.device);
	if (v.reason == REASON_NONE)
		v = may_enter(m, r, &who, &d);
	if (v.reason == REASON_NONE)
		v = enter(m, r, d->id, who.spki, false);
	const char *claimed = who.device[0] ? who.device : *r->device ? r->device : who.subject;
	if (v.reason != REASON_NONE && v.reason != REASON_BUSY)
		inventory_refused(m, d, claimed, &v, r->source, r->channel);
	answer(m, r->id, d ? d->id : claimed, d ? device_state_name(d->state) : "unknown", &v);
	return OK;
}

struct err admit_ended(struct management *m, const Ipc__SessionEnd *s)
{
	struct visit *v = visit_find(m, s->session);
	struct device *d = v ? devices_find(m->devices, v->device) : NULL;
	if (d)
		d->seen_ns = now_of(m);
	if (v)
		visit_forget(m, v);
	return OK;
}

// Who has the certificate and does not attest has not got the TPM.
void visits_tick(struct management *m)
{
	int64_t now = now_of(m);
	for (size_t i = 0; i < m->visits->n;) {
		struct visit *v = &m->visits->items[i];
		struct device *d = devices_find(m->devices, v->device);
		if (d)
			d->seen_ns = now;
		if (v->target || v->attested_ns || now - v->since_ns < ATTEST_S * NS_PER_S) {
			i++;
			continue;
		}
		struct verdict why = verdict_bad(REASON_ATTESTATION_OVERDUE,
						 "no quote within %d seconds", ATTEST_S);
		inventory_refused(m, d, v->device, &why, v->source, "tunnel");
		visit_refuse(m, v, &why);
	}
}
