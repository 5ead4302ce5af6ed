// SPDX-License-Identifier: Apache-2.0
// Devices as management states them, and what follows from it: the grant that telemetry collects
// under. What is known outlives management and this process (journal, then its row), so collection
// goes on while management is away. X.2011 8.3.1-2, 8.1.1-2.
#include "repository/repository.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/sign.h"
#include "lib/ipc/messages.pb-c.h"
#include "repository/chain.h"
#include "repository/grant.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- as bytes: the row's plaintext and the journal's record

static void put_text(struct buf *out, const char *s)
{
	size_t n = strlen(s);
	buf_u8(out, (uint8_t)n);
	buf_append(out, s, n);
}

static void get_text(struct cursor *c, char *out, size_t size)
{
	size_t n = cursor_u8(c);
	const uint8_t *p = cursor_take(c, n);
	if (p && n < size) {
		memcpy(out, p, n);
		out[n] = 0;
	} else {
		c->failed = true;
	}
}

struct err devices_write(const struct repository *r, const struct device *d, struct buf *out)
{
	(void)r;
	buf_u8(out, 1); // format
	put_text(out, d->name);
	put_text(out, d->state);
	put_text(out, d->kind);
	put_text(out, d->domain_name);
	put_text(out, d->site);
	put_text(out, d->role);
	buf_u8(out, d->known);
	buf_be64(out, d->grant_id);
	buf_be64(out, d->flushed);
	buf_u8(out, (uint8_t)d->n_chains);
	for (unsigned i = 0; i < d->n_chains; i++) {
		const struct chain *c = &d->chains[i];
		buf_append(out, c->key_id, BATCH_KEY_ID);
		buf_u8(out, c->algorithm);
		buf_u8(out, c->listed);
		buf_u8(out, c->public_len);
		buf_append(out, c->public_key, c->public_len);
		buf_be64(out, (uint64_t)c->from_ns);
		buf_be64(out, (uint64_t)c->until_ns);
		buf_be64(out, c->seq);
		buf_append(out, c->hash, BATCH_HASH);
	}
	return buf_check(out, "device");
}

static void read_chain(struct cursor *c, struct chain *out)
{
	*out = (struct chain){0};
	cursor_copy(c, out->key_id, BATCH_KEY_ID);
	out->algorithm = cursor_u8(c);
	out->listed = cursor_u8(c);
	out->public_len = cursor_u8(c);
	if (out->public_len > sizeof out->public_key) {
		c->failed = true;
		return;
	}
	cursor_copy(c, out->public_key, out->public_len);
	out->from_ns = (int64_t)cursor_be64(c);
	out->until_ns = (int64_t)cursor_be64(c);
	out->seq = cursor_be64(c);
	cursor_copy(c, out->hash, BATCH_HASH);
}

// Behind five texts, the known flag and the grant.
static uint64_t flushed_of(struct cursor *c)
{
	for (int i = 0; i < 5; i++)
		cursor_take(c, cursor_u8(c));
	cursor_take(c, 1 + 8);
	return cursor_be64(c);
}

struct err devices_read(struct repository *r, uint32_t number, uint32_t domain,
			const uint8_t *bytes, size_t n)
{
	struct cursor c = cursor_over(bytes, n);
	char name[BATCH_DEVICE_MAX + 1] = "";
	uint8_t format = cursor_u8(&c);
	get_text(&c, name, sizeof name);
	ENSURE(!c.failed && format == 1, ERR_CORRUPT, "device %u is broken", number);
	struct device *d;
	TRY(index_device_restore(&r->index, number, name, &d));
	struct cursor ahead = c;
	if (flushed_of(&ahead) < d->flushed)
		return OK; // older than the row that has been read
	d->domain = domain;
	get_text(&c, d->state, sizeof d->state);
	get_text(&c, d->kind, sizeof d->kind);
	get_text(&c, d->domain_name, sizeof d->domain_name);
	get_text(&c, d->site, sizeof d->site);
	get_text(&c, d->role, sizeof d->role);
	d->known = cursor_u8(&c);
	d->grant_id = cursor_be64(&c);
	d->flushed = cursor_be64(&c);
	unsigned chains = cursor_u8(&c);
	ENSURE(!c.failed && chains <= DEVICE_KEYS_MAX, ERR_CORRUPT, "device %s is broken", name);
	for (unsigned i = 0; i < d->n_chains; i++)
		verify_key_free(d->chains[i].verify);
	d->n_chains = 0;
	TRY(chain_room(d, chains));
	for (; d->n_chains < chains; d->n_chains++)
		read_chain(&c, &d->chains[d->n_chains]);
	d->grant = grant_for(d->state);
	d->grant_epoch++;
	d->journalled = true;
	if (d->grant_id > r->last_grant)
		r->last_grant = d->grant_id;
	struct err e = cursor_finish(&c, "device");
	return e.code == ERR_NONE ? OK : err_make(ERR_CORRUPT, "device %s: %s", name, e.text);
}

struct err devices_save(struct repository *r, struct device *d)
{
	buf_reset(&r->scratch);
	buf_be32(&r->scratch, d->number);
	buf_be32(&r->scratch, d->domain);
	TRY(devices_write(r, d, &r->scratch));
	const struct journal_part part = {r->scratch.data, r->scratch.len};
	d->changed = true;
	d->journalled = true;
	if (!d->oldest_segment) // which must stay until the row is in the store
		d->oldest_segment = journal_segment(r->journal);
	return journal_add(r->journal, JOURNAL_DEVICE, &part, 1);
}

uint32_t devices_domain(struct repository *r, const char *name)
{
	uint32_t number = 0;
	size_t n = strlen(name), at = 0;
	if (!n)
		return 0;
	while (at < r->domains.len) {
		const uint8_t *end = memchr(r->domains.data + at, '\n', r->domains.len - at);
		size_t len = (size_t)(end - (r->domains.data + at));
		number++;
		if (len == n && !memcmp(r->domains.data + at, name, n))
			return number;
		at += len + 1;
	}
	buf_printf(&r->domains, "%s\n", name);
	return number + 1;
}

// --- from management

static void copy_text(char *out, size_t size, const char *in)
{
	snprintf(out, size, "%s", in ? in : "");
}

static struct err set_keys(struct device *d, const Ipc__DeviceState *m)
{
	for (unsigned i = 0; i < d->n_chains; i++)
		d->chains[i].listed = false;
	chain_prune(d, clock_wall_ns());
	for (size_t i = 0; i < m->n_keys; i++) {
		const Ipc__BatchKey *k = m->keys[i];
		struct chain *c;
		ENSURE(k->key_id.len == BATCH_KEY_ID && k->public_key.len <= sizeof c->public_key,
		       ERR_PEER, "DEVICE_STATE of %s: batch key %zu has wrong lengths", d->name, i);
		uint8_t id[SIGN_KEY_ID];
		sign_key_id((enum sign_algorithm)k->algorithm, k->public_key.data,
			    k->public_key.len, id);
		ENSURE(!memcmp(id, k->key_id.data, SIGN_KEY_ID), ERR_PEER,
		       "DEVICE_STATE of %s: batch key %zu has an id of another key", d->name, i);
		TRY(chain_add(d, k->key_id.data, &c));
		c->listed = true;
		c->algorithm = (uint8_t)k->algorithm;
		c->public_len = (uint8_t)k->public_key.len;
		memcpy(c->public_key, k->public_key.data, k->public_key.len);
		c->from_ns = k->from_ns;
		c->until_ns = k->until_ns;
	}
	return OK;
}

// The domain is part of the place and key of everything that a device sent: it stays.
static void set_domain(struct repository *r, struct device *d, const char *domain)
{
	if (!d->known) {
		copy_text(d->domain_name, sizeof d->domain_name, domain);
		d->domain = devices_domain(r, d->domain_name);
	} else if (strcmp(d->domain_name, domain) != 0) {
		log_warning(
			"%s stays in domain \"%s\"; enrol it under a new name to move it to \"%s\"",
			d->name, d->domain_name, domain);
	}
}

struct err devices_state(struct repository *r, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__DeviceState *m = IPC_UNPACK(device_state, msg, r->p->scratch, &e);
	if (!m)
		return e;
	struct device *d;
	TRY(index_device_add(&r->index, m->device, &d));
	ENSURE(strlen(m->state) < sizeof d->state && strlen(m->kind) < sizeof d->kind, ERR_PEER,
	       "DEVICE_STATE of %s: state \"%.32s\" is too long", d->name, m->state);
	bool same = d->known && !strcmp(d->state, m->state) && !strcmp(d->kind, m->kind);
	set_domain(r, d, m->domain);
	copy_text(d->state, sizeof d->state, m->state);
	copy_text(d->kind, sizeof d->kind, m->kind);
	copy_text(d->site, sizeof d->site, m->site);
	copy_text(d->role, sizeof d->role, m->role);
	TRY(set_keys(d, m));
	d->known = true;
	if (!same) {
		d->grant = grant_for(d->state);
		d->grant_id = d->grant ? ++r->last_grant : 0;
		d->grant_epoch++;
		char json[300];
		snprintf(json, sizeof json, "{\"grant\":%llu,\"state\":\"%s\",\"covers\":\"%s\"}",
			 (unsigned long long)d->grant_id, d->state,
			 !d->grant			   ? "nothing"
			 : !strcmp(d->state, "production") ? "production paths"
							   : "posture only");
		TRY(ledger_note(r->ledger, d->grant ? "grant.given" : "grant.revoked", d->name,
				"repository", json));
	}
	TRY(devices_save(r, d));
	ingest_schedule(r);
	e = devices_grant(r, d);
	return e.code == ERR_BUSY ? OK : e;
}

// --- to telemetry

static struct err revoke(struct repository *r, const struct device *d)
{
	char reason[64];
	if (r->read_only)
		snprintf(reason, sizeof reason, "the repository is read-only: it was altered");
	else
		snprintf(reason, sizeof reason, "the device is in state %s", d->state);
	Ipc__GrantRevoke m = IPC__GRANT_REVOKE__INIT;
	m.device = (char *)(uintptr_t)d->name;
	m.reason = reason;
	return process_send(r->p, PROCESS_TELEMETRY, IPC_GRANT_REVOKE, &m.base);
}

static uint64_t acked(const struct device *d)
{
	const struct chain *newest = NULL;
	for (unsigned i = 0; i < d->n_chains; i++)
		if (d->chains[i].listed && (!newest || d->chains[i].from_ns >= newest->from_ns))
			newest = &d->chains[i];
	return newest ? newest->seq : 0;
}

struct err devices_grant(struct repository *r, struct device *d)
{
	enum { MOST = 32 };
	if (!d->grant || r->read_only)
		return revoke(r, d);
	size_t n;
	const struct grant_item *items = grant_items(d->grant, &n);
	Ipc__GrantItem list[MOST], *pointers[MOST];
	ENSURE(n <= MOST, ERR_INTERNAL, "a grant of %zu items", n);
	for (size_t i = 0; i < n; i++) {
		ipc__grant_item__init(&list[i]);
		list[i].path = (char *)(uintptr_t)items[i].path;
		list[i].mode = items[i].mode;
		list[i].interval_ns = items[i].mode == GRANT_SAMPLE ? r->conf->sample_interval : 0;
		pointers[i] = &list[i];
	}
	Ipc__Grant m = IPC__GRANT__INIT;
	m.device = d->name;
	m.grant = d->grant_id;
	m.items = pointers;
	m.n_items = n;
	m.updates_per_s = (uint32_t)r->conf->device_rate;
	m.burst = (uint32_t)(r->conf->device_rate * 4);
	m.max_series = (uint32_t)r->conf->device_series;
	m.signed_batches = strcmp(d->kind, "target") != 0;
	m.acked_seq = acked(d);
	return process_send(r->p, PROCESS_TELEMETRY, IPC_GRANT, &m.base);
}

void devices_grant_all(struct repository *r)
{
	for (uint32_t i = 1; i <= r->index.n_devices; i++) {
		struct device *d = index_device(&r->index, i);
		struct err e = d->known ? devices_grant(r, d) : OK;
		if (e.code != ERR_NONE && e.code != ERR_BUSY)
			log_warning("grant of %s: %s", d->name, e.text);
	}
}
