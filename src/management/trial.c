// SPDX-License-Identifier: Apache-2.0
// The security test that a device must pass before production (X.2011 8.3.3-6): each check looks at
// evidence, not at a setting, and says what it saw. A standard target cannot be attested; of it the
// checks are those that telemetry's TLS answers, and its values stay "observed by telemetry".
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/sabotage.h"
#include "lib/crypto/hash.h"

#include <stdio.h>
#include <string.h>

enum { QUOTE_S = 3600 + 300, BEHAVIOUR_S = 600, DETAIL_MAX = 200 };

struct trial {
	struct management *m;
	const struct device *d;
	const struct visit *visit; // attested if any is
	int64_t now_ns;
	char detail[DETAIL_MAX];
};

static bool identity(struct trial *t)
{
	char until[CLOCK_TEXT_MAX];
	if (!t->d->enrolled) {
		snprintf(t->detail, DETAIL_MAX, "it has not enrolled");
		return false;
	}
	snprintf(t->detail, DETAIL_MAX, "certificate %.16s until %s, TPM of %.60s", t->d->serial,
		 clock_format(t->d->certificate_until_ns, until), t->d->ek_issuer);
	return t->d->certificate_until_ns > t->now_ns && !authority_revoked(t->m, t->d->serial);
}

static bool session(struct trial *t)
{
	snprintf(t->detail, DETAIL_MAX, t->visit ? "connected from %.80s" : "it is not connected",
		 t->visit ? t->visit->source : "");
	return t->visit != NULL;
}

static bool key(struct trial *t)
{
	char hex[HASH_HEX];
	if (!t->visit) {
		snprintf(t->detail, DETAIL_MAX, "it is not connected");
		return false;
	}
	hash_hex(t->visit->tls, 32, hex);
	snprintf(t->detail, DETAIL_MAX, "TLS key %.16s...", hex);
	return memcmp(t->visit->tls, t->d->tls, 32) == 0 ||
	       (memcmp(t->visit->tls, t->d->tls_before, 32) == 0 &&
		t->d->tls_before_until_ns > t->now_ns);
}

static bool software(struct trial *t)
{
	const char *name = evidence_software(&t->m->p->conf->references, t->d->pcr17);
	snprintf(t->detail, DETAIL_MAX, "PCR 17 %.16s... is %s", t->d->pcr17,
		 name ? name : "not a reference value");
	return name != NULL;
}

static bool attestation(struct trial *t)
{
	int64_t age = t->now_ns - t->d->attested_ns;
	if (!t->d->attested_ns || !t->visit || !t->visit->attested_ns) {
		snprintf(t->detail, DETAIL_MAX, "no quote on this connection");
		return false;
	}
	snprintf(t->detail, DETAIL_MAX, "the last quote is %lld s old",
		 (long long)(age / NS_PER_S));
	return age < QUOTE_S * NS_PER_S;
}

static bool batch_key(struct trial *t)
{
	unsigned n = 0;
	for (unsigned i = 0; i < t->d->n_keys; i++)
		n += t->d->keys[i].until_ns > t->now_ns;
	snprintf(t->detail, DETAIL_MAX, "%u certified keys are valid", n);
	return n > 0;
}

static bool behaviour(struct trial *t)
{
	const char *kind = alerts_behaviour(t->m, t->d->id, t->now_ns - BEHAVIOUR_S * NS_PER_S);
	snprintf(t->detail, DETAIL_MAX, "%s", kind ? kind : "nothing abnormal in ten minutes");
	return !kind;
}

static const struct check {
	const char *name;
	bool target; // asked of standard targets too
	bool (*run)(struct trial *t);
	const char *fix;
} checks[] = {
	{"session", true, session, "Connect the device: see the agent's log, or telemetry's."},
	{"identity", false, identity, "Enrol it: `gemel device enrol NAME`."},
	{"key", false, key, "Restart the agent, so that it connects with its enrolled key."},
	{"attestation", false, attestation,
	 "See why the agent sends no quote: its log names the TPM."},
	{"software", false, software,
	 "Add the value to `reference_values`, or install the agent anew."},
	{"batch-key", false, batch_key, "Restart the agent."},
	{"behaviour", true, behaviour, "See `gemel alert list`, mend it, and wait ten minutes."},
};

bool trial_run(struct management *m, const struct device *d, json_t **list, const char **failed)
{
	struct trial t = {.m = m, .d = d, .visit = visit_of(m, d->id), .now_ns = now_of(m)};
	bool all = true;
	if (list)
		*list = json_array();
	*failed = NULL;
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		const struct check *c = &checks[i];
		if (d->target && !c->target)
			continue;
		bool passed = c->run(&t) || sabotaged("trial");
		if (!passed && !*failed)
			*failed = c->name;
		all &= passed;
		if (list)
			json_array_append_new(
				*list, json_pack("{s:s,s:s,s:s,s:s*}", "name", c->name, "verdict",
						 passed ? "pass" : "fail", "detail", t.detail,
						 "fix", passed ? NULL : c->fix));
	}
	return all;
}

// --- rising

static const struct {
	enum device_state from, to;
	const char *step;
} ladder[] = {
	{DEVICE_QUARANTINE, DEVICE_TESTED, "tested"},
	{DEVICE_TESTED, DEVICE_ATTESTED, "attested"},
	{DEVICE_ATTESTED, DEVICE_PRODUCTION, "production"},
};

static json_t *rung_detail(const struct device *d, enum device_state to, json_t *list)
{
	if (to == DEVICE_TESTED)
		return json_pack("{s:O}", "checks", list);
	if (to == DEVICE_ATTESTED && d->target)
		return json_pack(
			"{s:s}", "note",
			"A standard target has no TPM that we could ask: its identity is its TLS "
			"certificate, its values are marked as observed by telemetry.");
	if (to == DEVICE_ATTESTED)
		return json_pack("{s:s,s:s,s:o}", "software", d->software, "pcr17", d->pcr17,
				 "quote", time_or_null(d->attested_ns));
	return NULL;
}

static struct err fail_test(struct management *m, struct device *d, const char *failed,
			    const char *actor, json_t *list)
{
	struct device changed = *d;
	char detail[80];
	snprintf(detail, sizeof detail, "test %s did not pass", failed);
	struct change c = {.step = "test-failed",
			   .to = d->state,
			   .reason = REASON_TEST_FAILED,
			   .reason_detail = detail,
			   .actor = actor,
			   .detail = json_pack("{s:O}", "checks", list)};
	if (d->state >= DEVICE_TESTED && d->state <= DEVICE_PRODUCTION)
		c.to = DEVICE_QUARANTINE;
	return inventory_change(m, d, &changed, &c);
}

static struct err rise(struct management *m, struct device *d, const char *actor, json_t *list)
{
	for (size_t i = 0; i < sizeof ladder / sizeof *ladder; i++) {
		if (d->state != ladder[i].from)
			continue;
		struct device changed = *d;
		struct change c = {.step = ladder[i].step,
				   .to = ladder[i].to,
				   .actor = actor,
				   .detail = rung_detail(d, ladder[i].to, list)};
		changed.held = false;
		TRY(inventory_change(m, d, &changed, &c));
	}
	return OK;
}

struct err trial_promote(struct management *m, struct device *d, const char *actor)
{
	const char *failed;
	json_t *list;
	bool by_hand = actor != NULL;
	if (d->state == DEVICE_SUSPENDED && by_hand) {
		struct device changed = *d;
		struct change c = {.step = "quarantined", .to = DEVICE_QUARANTINE, .actor = actor};
		TRY(inventory_change(m, d, &changed, &c));
	}
	if (d->state < DEVICE_QUARANTINE || d->state > DEVICE_PRODUCTION || (d->held && !by_hand))
		return OK;
	bool passed = trial_run(m, d, &list, &failed);
	struct err e = OK;
	bool told =
		d->reason == REASON_TEST_FAILED && strstr(d->reason_detail, failed ? failed : "?");
	if (passed)
		e = rise(m, d, actor, list);
	else if (by_hand || !told) // by itself once for each cause
		e = fail_test(m, d, failed, actor, list);
	json_decref(list);
	return e;
}
