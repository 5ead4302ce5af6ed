// SPDX-License-Identifier: Apache-2.0
// Changes of devices. Each is one commit of row, story and record; then the repository learns the
// state (and grants or revokes), telemetry the targets, people the event. X.2011 8.1.1-2, 8.3.3-6.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ATTEST_GRACE_S = 3600 + 300, // a quote is due every hour
	CERTIFICATE_WARN_S = 86400,
};

// --- telling the others

// A name of our own, into a message that is only read.
static char *lent(const char *s)
{
	return (char *)(uintptr_t)s;
}

void inventory_state_send(struct management *m, const struct device *d)
{
	Ipc__BatchKey keys[DEVICE_KEYS], *list[DEVICE_KEYS];
	Ipc__DeviceState s = IPC__DEVICE_STATE__INIT;
	for (unsigned i = 0; i < d->n_keys; i++) {
		const struct device_key *k = &d->keys[i];
		ipc__batch_key__init(&keys[i]);
		keys[i].key_id =
			(ProtobufCBinaryData){sizeof k->key.id, (uint8_t *)(uintptr_t)k->key.id};
		keys[i].algorithm = k->key.algorithm;
		keys[i].public_key =
			(ProtobufCBinaryData){k->key.len, (uint8_t *)(uintptr_t)k->key.bytes};
		keys[i].from_ns = k->from_ns;
		keys[i].until_ns = k->until_ns;
		list[i] = &keys[i];
	}
	s.device = lent(d->id);
	s.state = lent(device_state_name(d->state));
	s.kind = lent(d->target ? "target" : "agent");
	s.domain = lent(d->domain);
	s.site = lent(d->site);
	s.role = lent(d->role);
	s.keys = list;
	s.n_keys = d->n_keys;
	struct err e = process_send(m->p, PROCESS_REPOSITORY, IPC_DEVICE_STATE, &s.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("the state of %s cannot be sent: %s", d->id, e.text);
}

void inventory_states_send(struct management *m)
{
	for (size_t i = 0; i < devices_count(m->devices); i++)
		inventory_state_send(m, devices_at(m->devices, i));
}

static json_t *change_json(const struct device *d, enum device_state before, const struct change *c)
{
	json_t *j = json_pack("{s:s,s:s,s:s,s:s}", "device", d->id, "step", c->step, "before",
			      device_state_name(before), "state", device_state_name(d->state));
	if (c->reason != REASON_NONE) {
		json_object_set_new(j, "reason", json_string(reason_word(c->reason)));
		json_object_set_new(j, "meaning", json_string(reason_meaning(c->reason)));
		json_object_set_new(j, "fix", json_string(reason_mend(c->reason)));
	}
	if (c->detail)
		json_object_set(j, "detail", c->detail);
	return j;
}

static void after_change(struct management *m, const struct device *d, enum device_state before,
			 const struct change *c)
{
	inventory_state_send(m, d);
	tell(m, d->state != before ? "device.state" : "device.changed", d->id,
	     change_json(d, before, c), "internal");
	if (d->state == DEVICE_PRODUCTION && before != DEVICE_PRODUCTION)
		alert_clear(m, "device.fell", d->id);
	if (before > DEVICE_QUARANTINE && before <= DEVICE_PRODUCTION &&
	    d->state == DEVICE_QUARANTINE) // X.2011 8.1.1-1: it fell
		alert(m, "high", "device.fell", d->id, d->source, reason_meaning(c->reason),
		      reason_mend(c->reason), 1);
	log_notice("%s: %s, %s%s%s", d->id, c->step, device_state_name(d->state),
		   c->reason ? ": " : "", reason_word(c->reason));
}

struct err inventory_change(struct management *m, struct device *d, struct device *changed,
			    const struct change *c)
{
	char kind[64];
	enum device_state before = d->state;
	struct device_step step = {c->step, c->reason, c->actor, c->detail};
	int64_t now = now_of(m);
	if (changed->state != c->to)
		changed->since_ns = now;
	changed->state = c->to;
	changed->reason = c->reason;
	clean_text(changed->reason_detail, sizeof changed->reason_detail,
		   c->reason_detail ? c->reason_detail : "");
	changed->version++;
	device_tell(m->keep, changed, &step, now);
	device_put(m->keep, changed);
	snprintf(kind, sizeof kind, "device.%s", c->step);
	record(m, kind, d->id, c->actor, change_json(changed, before, c));
	struct err e = commit(m);
	if (e.code == ERR_NONE) {
		*d = *changed;
		after_change(m, d, before, c);
	}
	json_decref(c->detail);
	return e;
}

// --- adding

struct err inventory_add_gathered(struct management *m, const struct device *as, const char *actor,
				  struct device **out)
{
	struct device *d;
	TRY(devices_add(m->devices, as->id, &d));
	*d = *as;
	d->state = DEVICE_UNKNOWN;
	d->created_ns = d->since_ns = now_of(m);
	d->version = 1;
	struct device_step step = {.step = "added", .actor = actor};
	device_tell(m->keep, d, &step, d->created_ns);
	device_put(m->keep, d);
	record(m, "device.added", d->id, actor,
	       json_pack("{s:s,s:s,s:s,s:s}", "kind", d->target ? "gnmi" : "agent", "domain",
			 d->domain, "site", d->site, "role", d->role));
	*out = d;
	return OK;
}

struct err inventory_add(struct management *m, const struct device *as, const char *actor,
			 struct device **out)
{
	TRY(inventory_add_gathered(m, as, actor, out));
	struct err e = commit(m);
	if (e.code != ERR_NONE) {
		devices_remove(m->devices, as->id);
		return e;
	}
	inventory_state_send(m, *out);
	tell(m, "device.added", (*out)->id, device_summary(*out), "internal");
	return OK;
}

// --- refusals

void inventory_refused(struct management *m, struct device *d, const char *claimed,
		       const struct verdict *v, const char *source, const char *where)
{
	char subject[X509_NAME_MAX + 1], shown[256];
	const char *word = reason_word(v->reason);
	clean_text(subject, sizeof subject, d ? d->id : *claimed ? claimed : "(unnamed)");
	clean_text(shown, sizeof shown, v->detail[0] ? v->detail : reason_meaning(v->reason));
	bool first = denial(m, "device.refused", subject, word, source, shown);
	struct device changed;
	if (first && d) {
		json_t *detail =
			json_pack("{s:s,s:s,s:s}", "source", source, "at", where, "fact", shown);
		struct device_step step = {"refused", v->reason, "device", detail};
		changed = *d;
		device_tell(m->keep, &changed, &step, now_of(m));
		device_put(m->keep, &changed);
		json_decref(detail);
	}
	if (first) {
		struct err e = commit(m);
		if (e.code != ERR_NONE)
			log_error("a refusal was not recorded: %s", e.text);
		else if (d)
			d->story = changed.story;
		tell(m, "device.refused", subject,
		     json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "device", subject, "reason", word,
			       "meaning", reason_meaning(v->reason), "fix", reason_mend(v->reason),
			       "fact", shown, "source", source, "at", where),
		     "internal");
	}
	char kind[64];
	snprintf(kind, sizeof kind, "device.%s", word);
	alert(m, reason_hostile(v->reason) ? "high" : "warning", kind, subject, source, shown,
	      reason_mend(v->reason), 1);
}

// --- standard targets

static char *address_of(const struct device *d)
{
	return lent(d->address);
}

static void target_send(struct management *m, const struct device *d, const struct conf_target *c)
{
	Ipc__Target t = IPC__TARGET__INIT;
	t.device = lent(d->id);
	t.address = address_of(d);
	t.port = d->port;
	t.netns = lent(c->netns ? c->netns : "");
	t.server_name = lent(c->server_name ? c->server_name : "");
	t.authority =
		(ProtobufCBinaryData){strlen(c->authority), (uint8_t *)(uintptr_t)c->authority};
	t.remove = d->state == DEVICE_REVOKED || d->state == DEVICE_SUSPENDED;
	struct err e = process_send(m->p, PROCESS_TELEMETRY, IPC_TARGET, &t.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("target %s cannot be sent: %s", d->id, e.text);
}

void inventory_targets_send(struct management *m)
{
	const struct conf_target *items = m->p->conf->targets.items;
	for (size_t i = 0; i < m->p->conf->targets.n; i++) {
		const struct device *d = devices_find(m->devices, items[i].device);
		if (d && d->target)
			target_send(m, d, &items[i]);
	}
}

// Targets of the configuration are in the inventory from the start, in quarantine: they cannot be
// enrolled, what is known of them is what telemetry's TLS proves.
static struct err target_add(struct management *m, const struct conf_target *c)
{
	struct device as = {.target = true, .configured = true, .port = (uint16_t)c->port};
	struct device *d = devices_find(m->devices, c->device);
	snprintf(as.id, sizeof as.id, "%s", c->device);
	snprintf(as.address, sizeof as.address, "%s", c->address);
	snprintf(as.domain, sizeof as.domain, "%s", c->domain ? c->domain : "");
	ENSURE(!d || d->target, ERR_USAGE, "targets: %s runs gemel-agent: it comes by itself",
	       c->device);
	if (!d)
		TRY(inventory_add(m, &as, "configuration", &d));
	struct device changed = *d;
	snprintf(changed.address, sizeof changed.address, "%s", as.address);
	changed.port = as.port;
	changed.configured = true;
	if (d->state != DEVICE_UNKNOWN) {
		*d = changed;
		return OK;
	}
	struct change step = {
		.step = "quarantined", .to = DEVICE_QUARANTINE, .actor = "configuration"};
	return inventory_change(m, d, &changed, &step);
}

struct err inventory_targets(struct management *m)
{
	const struct conf_target *items = m->p->conf->targets.items;
	for (size_t i = 0; i < m->p->conf->targets.n; i++)
		TRY(err_within(target_add(m, &items[i]), "targets: %s", items[i].device));
	return OK;
}

// --- time

static bool risen(const struct device *d)
{
	return d->state >= DEVICE_TESTED && d->state <= DEVICE_PRODUCTION;
}

static void overdue(struct management *m, struct device *d, int64_t now)
{
	struct device changed = *d;
	struct change c = {.step = "quarantined",
			   .to = DEVICE_QUARANTINE,
			   .reason = REASON_ATTESTATION_OVERDUE,
			   .detail =
				   json_pack("{s:o}", "last_quote", time_or_null(d->attested_ns))};
	struct err e = inventory_change(m, d, &changed, &c);
	if (e.code != ERR_NONE)
		log_error("%s could not be put into quarantine: %s", d->id, e.text);
}

void inventory_tick(struct management *m)
{
	int64_t now = now_of(m);
	for (size_t i = 0; i < devices_count(m->devices); i++) {
		struct device *d = devices_at(m->devices, i);
		if (d->target || !risen(d))
			continue;
		// X.2011 8.1.1-1: evidence is fresh, or it is none. Who is away is left alone.
		if (visit_of(m, d->id) && now - d->attested_ns > ATTEST_GRACE_S * NS_PER_S)
			overdue(m, d, now);
		if (d->certificate_until_ns - now < CERTIFICATE_WARN_S * NS_PER_S &&
		    d->certificate_until_ns > now)
			alert(m, "warning", "device.certificate-ends", d->id, d->source,
			      "The certificate ends within a day and was not renewed.",
			      "Check that the agent reaches the twin.", 1);
	}
}
