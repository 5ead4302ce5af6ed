// SPDX-License-Identifier: Apache-2.0
// What needs someone's attention: one alert for each kind and subject, with how often and since
// when. It is active until it has been quiet for QUIET_S, or its cause is known to be gone. Kept in
// the state, written when it begins and at most once a minute after. X.2011 8.1.2-2, 8.3.3-8.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char table[] = "alert";
enum { ALERTS_MAX = 1024, QUIET_S = 900, WRITE_S = 60 };

struct one {
	char id[17]; // hex: of kind, subject and first time
	char kind[64], subject[80], severity[12], source[80], detail[256], fix[256];
	uint64_t count;
	int64_t first_ns, last_ns, cleared_ns, written_ns;
	bool changed;
};

struct alerts {
	size_t n;
	struct one items[ALERTS_MAX];
};

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static struct err load(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct alerts *a = ctx;
	json_t *j = json_loadb((const char *)bytes, n, 0, NULL);
	if (j && a->n < ALERTS_MAX) {
		struct one *o = &a->items[a->n++];
		snprintf(o->id, sizeof o->id, "%.16s", key);
		snprintf(o->kind, sizeof o->kind, "%s", text(j, "kind"));
		snprintf(o->subject, sizeof o->subject, "%s", text(j, "subject"));
		snprintf(o->severity, sizeof o->severity, "%s", text(j, "severity"));
		snprintf(o->source, sizeof o->source, "%s", text(j, "source"));
		snprintf(o->detail, sizeof o->detail, "%s", text(j, "detail"));
		snprintf(o->fix, sizeof o->fix, "%s", text(j, "fix"));
		o->count = (uint64_t)json_integer_value(json_object_get(j, "count"));
		o->first_ns = json_integer_value(json_object_get(j, "first"));
		o->last_ns = json_integer_value(json_object_get(j, "last"));
		o->cleared_ns = json_integer_value(json_object_get(j, "cleared"));
	}
	json_decref(j);
	return OK;
}

struct err alerts_start(struct management *m)
{
	m->alerts = calloc(1, sizeof *m->alerts);
	ENSURE(m->alerts, ERR_LIMIT, "no memory for alerts");
	return keep_scan(m->keep, table, load, m->alerts);
}

void alerts_stop(struct management *m)
{
	free(m->alerts);
	m->alerts = NULL;
}

static void write_one(struct management *m, struct one *o)
{
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I}", "kind", o->kind,
			      "subject", o->subject, "severity", o->severity, "source", o->source,
			      "detail", o->detail, "fix", o->fix, "count", (json_int_t)o->count,
			      "first", (json_int_t)o->first_ns, "last", (json_int_t)o->last_ns,
			      "cleared", (json_int_t)o->cleared_ns);
	keep_put_json(m->keep, table, o->id, j);
	json_decref(j);
	o->written_ns = now_of(m);
	o->changed = false;
}

static bool active(const struct one *o, int64_t at_ns)
{
	return o->first_ns <= at_ns && at_ns - o->last_ns < QUIET_S * NS_PER_S &&
	       (!o->cleared_ns || o->cleared_ns > at_ns);
}

static struct one *find(struct alerts *a, const char *kind, const char *subject, int64_t now_ns)
{
	for (size_t i = 0; i < a->n; i++)
		if (!strcmp(a->items[i].kind, kind) && !strcmp(a->items[i].subject, subject) &&
		    active(&a->items[i], now_ns))
			return &a->items[i];
	return NULL;
}

// A new place; the one that has been quiet longest gives way.
static struct one *place(struct management *m)
{
	struct alerts *a = m->alerts;
	if (a->n < ALERTS_MAX)
		return &a->items[a->n++];
	struct one *oldest = &a->items[0];
	for (size_t i = 1; i < a->n; i++)
		if (a->items[i].last_ns < oldest->last_ns)
			oldest = &a->items[i];
	keep_delete(m->keep, table, oldest->id);
	return oldest;
}

// Both fit: clean_text has cut them.
static void name(struct one *o, const char *kind, const char *subject, int64_t now_ns)
{
	uint8_t hash[HASH_SIZE];
	struct hash_part parts[] = {
		{kind, strlen(kind) + 1}, {subject, strlen(subject) + 1}, {&now_ns, sizeof now_ns}};
	*o = (struct one){.first_ns = now_ns};
	hash_parts(parts, 3, hash);
	hash_hex(hash, 8, o->id);
	memcpy(o->kind, kind, strlen(kind) + 1);
	memcpy(o->subject, subject, strlen(subject) + 1);
}

static json_t *one_json(const struct one *o, int64_t at_ns)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:o,s:o,s:b,s:s}", "id", o->id, "severity",
			 o->severity, "kind", o->kind, "subject", o->subject, "detail", o->detail,
			 "source", o->source, "count", (json_int_t)o->count, "first",
			 time_or_null(o->first_ns), "last", time_or_null(o->last_ns), "active",
			 active(o, at_ns), "fix", o->fix);
}

void alert(struct management *m, const char *severity, const char *kind, const char *subject,
	   const char *source, const char *detail, const char *fix, uint64_t count)
{
	int64_t now = now_of(m);
	char clean_kind[64], clean[80];
	clean_text(clean_kind, sizeof clean_kind, kind);
	clean_text(clean, sizeof clean, subject);
	struct one *o = find(m->alerts, clean_kind, clean, now);
	bool new = !o;
	if (new) {
		o = place(m);
		name(o, clean_kind, clean, now);
	}
	clean_text(o->severity, sizeof o->severity, severity);
	clean_text(o->source, sizeof o->source, source);
	clean_text(o->detail, sizeof o->detail, detail);
	clean_text(o->fix, sizeof o->fix, fix);
	o->count += count;
	o->last_ns = now;
	o->changed = true;
	if (!new)
		return;
	write_one(m, o);
	record(m, "alert.raised", o->subject, "management", one_json(o, now));
	struct err e = commit(m);
	if (e.code != ERR_NONE)
		log_error("an alert was not written: %s", e.text);
	tell(m, "alert.raised", o->subject, one_json(o, now), "internal");
}

void alert_clear(struct management *m, const char *kind, const char *subject)
{
	struct one *o = find(m->alerts, kind, subject, now_of(m));
	if (!o)
		return;
	o->cleared_ns = now_of(m);
	write_one(m, o);
	err_ignore(commit(m));
	tell(m, "alert.cleared", subject, one_json(o, o->cleared_ns), "internal");
}

struct err alerts_observed(struct management *m, const Ipc__Observed *o)
{
	char kind[64];
	const char *subject = *o->device ? o->device : *o->source ? o->source : "(unknown)";
	snprintf(kind, sizeof kind, "telemetry.%.50s", o->kind);
	if (denial(m, "telemetry.observed", subject, o->kind, o->source, o->detail))
		TRY(commit(m));
	alert(m, "warning", kind, subject, o->source, o->detail,
	      "Look at the device: what it sends is not what it was asked for.",
	      o->count ? o->count : 1);
	return OK;
}

const char *alerts_behaviour(const struct management *m, const char *device, int64_t since_ns)
{
	for (size_t i = 0; i < m->alerts->n; i++) {
		const struct one *o = &m->alerts->items[i];
		if (!strcmp(o->subject, device) && !strncmp(o->kind, "telemetry.", 10) &&
		    o->last_ns > since_ns && !o->cleared_ns)
			return o->kind;
	}
	return NULL;
}

size_t alerts_active(const struct management *m)
{
	size_t n = 0;
	for (size_t i = 0; i < m->alerts->n; i++)
		n += active(&m->alerts->items[i], now_of(m));
	return n;
}

static int newer(const void *a, const void *b)
{
	const struct one *x = *(const struct one *const *)a, *y = *(const struct one *const *)b;
	return x->last_ns < y->last_ns ? 1 : x->last_ns > y->last_ns ? -1 : strcmp(x->id, y->id);
}

json_t *alerts_json(const struct management *m, int64_t at_ns, bool now)
{
	static const struct one *list[ALERTS_MAX];
	size_t n = 0;
	for (size_t i = 0; i < m->alerts->n; i++)
		if (now || m->alerts->items[i].first_ns <= at_ns)
			list[n++] = &m->alerts->items[i];
	qsort(list, n, sizeof *list, newer);
	json_t *all = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, one_json(list[i], at_ns));
	return all;
}

void alerts_tick(struct management *m)
{
	int64_t now = now_of(m);
	bool any = false;
	for (size_t i = 0; i < m->alerts->n; i++) {
		struct one *o = &m->alerts->items[i];
		if (o->changed && now - o->written_ns > WRITE_S * NS_PER_S) {
			write_one(m, o);
			any = true;
		}
	}
	if (any)
		err_ignore(keep_commit_lazily(m->keep));
}
