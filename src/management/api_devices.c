// SPDX-License-Identifier: Apache-2.0
// The inventory. X.2011 8.1.1-2, 8.3.3-4, 8.3.3-6.
#include "management/api.h"

#include "lib/base/clock.h"
#include "lib/ipc/answer.h"
#include "management/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *need(const struct request *q, const char *name)
{
	const char *s = answer_text(q->r, name);
	return s ? s : "";
}

static struct err find(struct request *q, enum access_action action, const char *kind,
		       struct device **out)
{
	const char *id = need(q, "id");
	struct device *d = *out = devices_find(q->m->devices, id);
	TRY(may(q, action, kind, id, NULL, d ? d->domain : NULL));
	q->fix = "See `gemel device list`.";
	ENSURE(d, ERR_NOT_FOUND, "there is no device \"%.64s\" in the inventory", id);
	q->fix = NULL;
	return OK;
}

// --- reading

// Only state and reason are kept with their history; the rest is as it is now, and says so.
static bool as_it_was(struct request *q, const struct device *d, int64_t at_ns, struct device *out)
{
	*out = *d;
	out->reason_detail[0] = 0;
	return d->created_ns <= at_ns &&
	       device_state_at(q->m->keep, d->id, at_ns, &out->state, &out->reason, &out->since_ns);
}

struct err api_devices_list(struct request *q)
{
	const char *wanted = answer_text(q->r, "state");
	int64_t at;
	bool past;
	TRY(may(q, ACTION_READ, "Device", NULL, NULL, *q->who.domain ? q->who.domain : NULL));
	TRY(asked_time(q, &at, &past));
	json_t *all = json_array();
	for (size_t i = 0; i < devices_count(q->m->devices); i++) {
		const struct device *d = devices_at(q->m->devices, i);
		struct device was;
		// What another domain has is not even counted.
		if (*q->who.domain && strcmp(q->who.domain, d->domain) != 0)
			continue;
		if (past && !as_it_was(q, d, at, &was))
			continue;
		if (past)
			d = &was;
		if (!wanted || strcmp(wanted, device_state_name(d->state)) == 0)
			json_array_append_new(all, device_summary(d));
	}
	TRY(listed(q, all, "id"));
	answer_stamp(q->body, at, keep_revision(q->m->keep));
	return OK;
}

struct err api_devices_get(struct request *q)
{
	struct device *d, was;
	const char *failed;
	json_t *checks;
	int64_t at;
	bool past;
	TRY(find(q, ACTION_READ, "Device", &d));
	TRY(asked_time(q, &at, &past));
	if (past) {
		q->fix = "Ask for a later time.";
		ENSURE(as_it_was(q, d, at, &was), ERR_NOT_FOUND,
		       "device %s was not in the inventory then", d->id);
		q->fix = NULL;
		q->body = device_summary(&was);
	} else {
		q->body = device_details(d);
		trial_run(q->m, d, &checks, &failed);
		json_object_set_new(q->body, "checks", checks);
		set_version(q, d->version);
	}
	json_object_set_new(q->body, "story", device_story(q->m->keep, d->id, at));
	answer_stamp(q->body, at, keep_revision(q->m->keep));
	return OK;
}

// --- adding

static struct err name_member(const struct request *q, const char *name,
			      char out[X509_NAME_MAX + 1])
{
	const char *s = answer_text(q->r, name);
	if (!s)
		return OK;
	TRY(err_within(x509_name_check(s), "%s", name));
	snprintf(out, X509_NAME_MAX + 1, "%s", s);
	return OK;
}

struct err api_devices_create(struct request *q)
{
	struct device as = {.target = strcmp(need(q, "kind"), "gnmi") == 0}, *d;
	TRY(may(q, ACTION_CREATE, "Device", need(q, "id"), NULL, answer_text(q->r, "domain")));
	TRY(name_member(q, "id", as.id));
	TRY(name_member(q, "domain", as.domain));
	TRY(name_member(q, "site", as.site));
	TRY(name_member(q, "role", as.role));
	struct err e = inventory_add(q->m, &as, q->who.account, &d);
	if (e.code == ERR_CONFLICT)
		q->fix = "See it with `gemel device show NAME`.";
	TRY(e);
	q->status = 201;
	set_version(q, d->version);
	q->body = device_details(d);
	return OK;
}

struct importing {
	unsigned created, changed, unchanged;
	json_t *ids;
};

static bool same(const char *a, const char *b)
{
	return !*b || strcmp(a, b) == 0; // nothing said changes nothing
}

static struct err import_known(struct request *q, struct device *d, const struct import_row *row,
			       struct import *i, struct importing *sum)
{
	if (!same(d->domain, row->domain)) {
		import_error(i, row->line, "domain", "the device is in another domain",
			     "A device stays in its domain; enrol it under a new name to move it.");
		i->bad++;
		return OK;
	}
	if (same(d->site, row->site) && same(d->role, row->role)) {
		sum->unchanged++;
		return OK;
	}
	struct device changed = *d;
	struct change c = {.step = "changed",
			   .to = d->state,
			   .reason = d->reason,
			   .reason_detail = d->reason_detail,
			   .actor = q->who.account,
			   .detail = json_pack("{s:s,s:s}", "site", row->site, "role", row->role)};
	if (*row->site)
		memcpy(changed.site, row->site, sizeof changed.site);
	if (*row->role)
		memcpy(changed.role, row->role, sizeof changed.role);
	sum->changed++;
	return inventory_change(q->m, d, &changed, &c);
}

static void forget_added(struct request *q, const struct importing *sum)
{
	size_t k;
	json_t *id;
	json_array_foreach(sum->ids, k, id) devices_remove(q->m->devices, json_string_value(id));
}

// New ones together in one commit: all of what can be read is there, or none.
static struct err import_new(struct request *q, const struct import *i, struct importing *sum)
{
	struct err e = OK;
	for (size_t k = 0; k < i->n && e.code == ERR_NONE; k++) {
		const struct import_row *row = &i->rows[k];
		struct device as = {.target = row->target, .port = row->port}, *d;
		if (devices_find(q->m->devices, row->id))
			continue;
		memcpy(as.id, row->id, sizeof as.id);
		memcpy(as.domain, row->domain, sizeof as.domain);
		memcpy(as.site, row->site, sizeof as.site);
		memcpy(as.role, row->role, sizeof as.role);
		memcpy(as.address, row->address, sizeof as.address);
		e = inventory_add_gathered(q->m, &as, q->who.account, &d);
		if (e.code == ERR_NONE)
			json_array_append_new(sum->ids, json_string(row->id));
	}
	if (e.code == ERR_NONE)
		e = commit(q->m);
	if (e.code != ERR_NONE) {
		forget_added(q, sum);
		return e;
	}
	sum->created = (unsigned)json_array_size(sum->ids);
	return OK;
}

static struct err import_all(struct request *q, struct import *i, struct importing *sum)
{
	size_t k;
	json_t *id;
	for (k = 0; k < i->n; k++) {
		struct device *d = devices_find(q->m->devices, i->rows[k].id);
		if (d)
			TRY(import_known(q, d, &i->rows[k], i, sum));
	}
	TRY(import_new(q, i, sum));
	json_array_foreach(sum->ids, k, id)
		inventory_state_send(q->m, devices_find(q->m->devices, json_string_value(id)));
	if (sum->created)
		tell(q->m, "device.imported", "inventory",
		     json_pack("{s:i}", "created", (int)sum->created), "internal");
	return OK;
}

struct err api_devices_import(struct request *q)
{
	struct import i = {.rows = NULL};
	struct importing sum = {.ids = json_array()};
	const char *text = need(q, "text");
	struct err e =
		may(q, ACTION_CREATE, "Device", NULL, NULL, *q->who.domain ? q->who.domain : NULL);
	if (e.code == ERR_NONE)
		e = strcmp(need(q, "format"), "netbox") == 0 ? import_netbox(text, &i)
							     : import_csv(text, &i);
	for (size_t k = 0; e.code == ERR_NONE && *q->who.domain && k < i.n; k++)
		if (strcmp(i.rows[k].domain, q->who.domain) != 0)
			e = err_make(ERR_DENIED, "line %u: you are limited to domain %s",
				     i.rows[k].line, q->who.domain);
	if (e.code == ERR_NONE)
		e = import_all(q, &i, &sum);
	if (e.code == ERR_NONE)
		q->body = json_pack("{s:i,s:i,s:i,s:i,s:O,s:O,s:O}", "created", (int)sum.created,
				    "changed", (int)sum.changed, "unchanged", (int)sum.unchanged,
				    "refused", (int)i.bad, "devices", sum.ids, "errors", i.errors,
				    "ignored_columns", i.ignored);
	json_decref(sum.ids);
	import_clear(&i);
	return e;
}

// --- changing

struct err api_devices_enrol(struct request *q)
{
	struct device *d;
	int64_t until;
	char token[TOKEN_TEXT_MAX];
	TRY(find(q, ACTION_CREATE, "Token", &d));
	TRY(matches(q, d->version));
	struct err e = token_make(q->m, d, q->who.account, answer_number(q->r, "certificate_s", 0),
				  token, &until);
	if (e.code == ERR_BUSY)
		q->fix = "Try again in a moment.";
	TRY(e);
	q->status = 201;
	q->body = json_pack("{s:s,s:s,s:o,s:s}", "id", d->id, "token", token, "until",
			    time_or_null(until), "state", device_state_name(d->state));
	secret_zero(token, sizeof token);
	return OK;
}

struct err api_devices_quarantine(struct request *q)
{
	struct device *d;
	const char *why = answer_text(q->r, "reason");
	TRY(find(q, ACTION_UPDATE, "Device", &d));
	TRY(matches(q, d->version));
	q->fix = "Only what has joined can be put into quarantine.";
	ENSURE(d->state >= DEVICE_QUARANTINE && d->state <= DEVICE_SUSPENDED, ERR_CONFLICT,
	       "device %s is %s", d->id, device_state_name(d->state));
	q->fix = NULL;
	struct device changed = *d;
	struct change c = {.step = "quarantined",
			   .to = DEVICE_QUARANTINE,
			   .reason = REASON_HELD,
			   .reason_detail = why,
			   .actor = q->who.account,
			   .detail = why ? json_pack("{s:s}", "reason", why) : NULL};
	changed.held = true;
	TRY(inventory_change(q->m, d, &changed, &c));
	set_version(q, d->version);
	q->body = device_details(d);
	return OK;
}

struct err api_devices_revoke(struct request *q)
{
	struct device *d;
	const char *why = answer_text(q->r, "reason");
	TRY(find(q, ACTION_DELETE, "Device", &d));
	TRY(matches(q, d->version));
	ENSURE(d->state != DEVICE_REVOKED, ERR_CONFLICT, "device %s is revoked already", d->id);
	struct device changed = *d;
	struct change c = {.step = "revoked",
			   .to = DEVICE_REVOKED,
			   .reason = REASON_CERTIFICATE_REVOKED,
			   .reason_detail = why,
			   .actor = q->who.account,
			   .detail = json_pack("{s:s,s:s*}", "serial", d->serial, "reason", why)};
	if (*d->serial)
		authority_revoke(q->m, d->serial, d->id, d->certificate_until_ns);
	tokens_void(q->m, d->id);
	changed.n_keys = 0;
	changed.held = false;
	TRY(inventory_change(q->m, d, &changed, &c));
	visits_drop(q->m, d->id, REASON_CERTIFICATE_REVOKED);
	authority_crl_make(q->m);
	if (d->target)
		inventory_targets_send(q->m);
	set_version(q, d->version);
	q->body = device_details(d);
	return OK;
}

struct err api_devices_test(struct request *q)
{
	struct device *d;
	const char *failed;
	json_t *checks;
	TRY(find(q, ACTION_EXECUTE, "Device", &d));
	TRY(matches(q, d->version));
	q->fix = "Enrol it first: `gemel device enrol NAME`.";
	ENSURE(d->state >= DEVICE_QUARANTINE && d->state <= DEVICE_SUSPENDED, ERR_CONFLICT,
	       "device %s is %s: there is nothing to test", d->id, device_state_name(d->state));
	q->fix = NULL;
	bool passed = trial_run(q->m, d, &checks, &failed);
	struct err e = trial_promote(q->m, d, q->who.account);
	if (e.code != ERR_NONE) {
		json_decref(checks);
		return e;
	}
	set_version(q, d->version);
	q->body = json_pack("{s:s,s:b,s:s,s:o,s:o}", "id", d->id, "passed", passed, "state",
			    device_state_name(d->state), "failed",
			    failed ? json_string(failed) : json_null(), "checks", checks);
	return OK;
}
