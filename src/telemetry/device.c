// SPDX-License-Identifier: Apache-2.0
// Devices, by name: what the repository granted for each, and who is there. A grant that has come
// is taken apart completely before it replaces the last one; one that cannot be read is no grant.
// X.2011 8.1.2-1, 8.3.1-2.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdlib.h>
#include <string.h>

enum { MODE_ON_CHANGE = 1, MODE_SAMPLE = 2 };

static struct device_list *bucket_of(struct telemetry *t, const char *name)
{
	return &t->devices[siphash(&t->hash_key, name, strlen(name)) % DEVICE_BUCKETS];
}

struct device *device_find(struct telemetry *t, const char *name)
{
	struct device *d;
	LIST_FOREACH(d, bucket_of(t, name), chain)
	if (strcmp(d->name, name) == 0)
		return d;
	return NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct device *d = ctx;
	pressure_timer(d);
	collect_consider(d);
}

struct err device_get(struct telemetry *t, const char *name, struct device **out)
{
	*out = device_find(t, name);
	if (*out)
		return OK;
	struct err e = x509_name_check(name);
	if (e.code != ERR_NONE)
		return err_make(ERR_PEER, "%s", e.text);
	ENSURE(t->n_devices < DEVICES_MAX, ERR_LIMIT, "%d devices are known", DEVICES_MAX);
	struct device *d = calloc(1, sizeof *d);
	ENSURE(d, ERR_LIMIT, "no memory for a device");
	d->timer = event_new(t->p->base, -1, 0, on_timer, d);
	if (!d->timer) {
		free(d);
		return err_make(ERR_LIMIT, "no memory for a device");
	}
	d->t = t;
	memcpy(d->name, name, strlen(name) + 1);
	intern_init(&d->series, t->paths);
	LIST_INSERT_HEAD(bucket_of(t, name), d, chain);
	TAILQ_INSERT_TAIL(&t->turns, d, turn);
	t->n_devices++;
	*out = d;
	return OK;
}

static void scope_put(struct scope *c)
{
	if (!c || --c->references > 0)
		return;
	LIST_REMOVE(c, link);
	for (size_t i = 0; i < c->n; i++)
		path_pattern_free(c->item[i].pattern);
	free(c);
}

static void collection_free(struct collection *c)
{
	if (c)
		scope_put(c->scope);
	free(c);
}

void device_release(struct device *d)
{
	struct telemetry *t = d->t;
	if (d->grant || d->n_admitted || d->target || d->n_flights)
		return;
	collect_stop(d, "nobody knows of it any more");
	if (d->ack_due)
		TAILQ_REMOVE(&t->acks, d, ack);
	LIST_REMOVE(d, chain);
	TAILQ_REMOVE(&t->turns, d, turn);
	t->n_devices--;
	intern_clear(&d->series, &t->numbers);
	event_free(d->timer);
	free(d);
}

// --- grants

static struct err read_item(const Ipc__GrantItem *from, struct scope_path *to)
{
	ENSURE(from->mode == MODE_ON_CHANGE || from->mode == MODE_SAMPLE, ERR_PEER,
	       "GRANT: mode %u of %.100s", from->mode, from->path);
	ENSURE(from->mode == MODE_ON_CHANGE || from->interval_ns > 0, ERR_PEER,
	       "GRANT: %.100s is to be sampled without an interval", from->path);
	to->mode = from->mode;
	to->interval_ns = from->interval_ns;
	return path_pattern_new(from->path, &to->pattern);
}

static bool same_scope(const struct scope *c, const Ipc__Grant *m)
{
	if (c->n != m->n_items)
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (c->item[i].mode != m->items[i]->mode ||
		    c->item[i].interval_ns != m->items[i]->interval_ns ||
		    strcmp(path_pattern_text(c->item[i].pattern), m->items[i]->path) != 0)
			return false;
	return true;
}

static struct err scope_get(struct telemetry *t, const Ipc__Grant *m, struct scope **out)
{
	struct scope *c;
	LIST_FOREACH(c, &t->scopes, link)
	if (same_scope(c, m)) {
		c->references++;
		*out = c;
		return OK;
	}
	ENSURE(m->n_items <= GRANT_ITEMS_MAX, ERR_PEER, "GRANT of %zu items; at most %d",
	       m->n_items, GRANT_ITEMS_MAX);
	c = calloc(1, sizeof *c);
	ENSURE(c, ERR_LIMIT, "no memory for a grant");
	c->references = 1;
	LIST_INSERT_HEAD(&t->scopes, c, link);
	for (; c->n < m->n_items; c->n++) {
		struct err e = read_item(m->items[c->n], &c->item[c->n]);
		if (e.code == ERR_NONE)
			continue;
		scope_put(c);
		return e.code == ERR_USAGE ? err_make(ERR_PEER, "GRANT: %s", e.text) : e;
	}
	*out = c;
	return OK;
}

static struct err read_grant(struct telemetry *t, const Ipc__Grant *m, struct collection **out)
{
	const struct daemon_conf *conf = t->p->conf;
	struct collection *c = calloc(1, sizeof *c);
	ENSURE(c, ERR_LIMIT, "no memory for a grant");
	struct err e = scope_get(t, m, &c->scope);
	if (e.code != ERR_NONE) {
		free(c);
		return e;
	}
	uint32_t per_s = m->updates_per_s ? m->updates_per_s : (uint32_t)conf->device_rate;
	uint32_t burst = m->burst ? m->burst : per_s * 4;
	uint32_t each = telemetry_limits.bytes_per_update;
	c->id = m->grant;
	c->updates = (struct rate){per_s, burst};
	c->bytes = (struct rate){per_s < UINT32_MAX / each ? per_s * each : UINT32_MAX,
				 burst < UINT32_MAX / each ? burst * each : UINT32_MAX};
	c->max_series = m->max_series ? m->max_series : (uint32_t)conf->device_series;
	c->signed_batches = m->signed_batches;
	*out = c;
	return OK;
}

struct err device_grant(struct telemetry *t, const struct ipc_message *msg)
{
	struct err e = OK;
	struct device *d;
	struct collection *fresh = NULL;
	Ipc__Grant *m = IPC_UNPACK(grant, msg, t->p->scratch, &e);
	if (!m)
		return e;
	TRY(read_grant(t, m, &fresh));
	e = device_get(t, m->device, &d);
	if (e.code != ERR_NONE) {
		collection_free(fresh);
		return e;
	}
	bool changed = d->grant && d->grant->id != fresh->id;
	collection_free(d->grant);
	d->grant = fresh;
	if (changed) {
		d->wait_ns = d->retry_ns = 0;
		d->series_refused = 0;
		ingest_recover_series(d);
	}
	log_debug("grant %llu for %s: %zu paths", (unsigned long long)fresh->id, d->name,
		  fresh->scope->n);
	collect_consider(d);
	return OK;
}

static void take_grant(struct device *d, const char *why)
{
	collection_free(d->grant);
	d->grant = NULL;
	collect_stop(d, why);
}

struct err device_revoke(struct telemetry *t, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__GrantRevoke *m = IPC_UNPACK(grant_revoke, msg, t->p->scratch, &e);
	if (!m)
		return e;
	struct device *d = device_find(t, m->device);
	if (!d)
		return OK;
	log_notice("nothing more is collected from %s: %s", d->name, m->reason);
	take_grant(d, m->reason);
	collect_consider(d);
	device_release(d);
	return OK;
}

struct err device_drop(struct telemetry *t, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__DeviceDrop *m = IPC_UNPACK(device_drop, msg, t->p->scratch, &e);
	if (!m)
		return e;
	sessions_drop(t, m->device, *m->reason ? m->reason : "management ended this session");
	return OK;
}

void devices_forget(struct telemetry *t)
{
	struct device *d = TAILQ_FIRST(&t->turns), *next;
	TAILQ_FOREACH(d, &t->turns, turn)
	{
		take_grant(d, "the repository is away");
		pressure_clear(d);
		intern_clear(&d->series, NULL);
	}
	numbers_clear(&t->numbers);
	for (d = TAILQ_FIRST(&t->turns); d; d = next) {
		next = TAILQ_NEXT(d, turn);
		device_release(d);
	}
}

unsigned device_covers(const struct device *d, const char *path, size_t n)
{
	unsigned covers = 0;
	const struct scope *c = d->grant ? d->grant->scope : NULL;
	for (size_t i = 0; c && i < c->n; i++) {
		const struct path_pattern *p = c->item[i].pattern;
		if (path_match_under(p, path, n))
			return COVERS_UPDATE | COVERS_DELETE;
		if (path_match_towards(p, path, n))
			covers |= COVERS_DELETE;
	}
	return covers;
}
