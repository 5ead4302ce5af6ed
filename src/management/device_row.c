// SPDX-License-Identifier: Apache-2.0
// A device as its row, JSON. Bytes are hexadecimal, times nanoseconds, reasons their words: a later
// version reads what an earlier one wrote.
#include "management/devices.h"

#include "lib/crypto/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEX_MAX = 2 * DEVICE_AK_MAX + 1 };

static json_t *hex(const uint8_t *bytes, size_t n)
{
	char text[HEX_MAX];
	return json_string(hash_hex(bytes, n, text));
}

static json_t *keys_row(const struct device *d)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < d->n_keys; i++) {
		const struct device_key *k = &d->keys[i];
		json_array_append_new(
			list, json_pack("{s:i,s:o,s:I,s:I}", "algorithm", (int)k->key.algorithm,
					"key", hex(k->key.bytes, k->key.len), "from",
					(json_int_t)k->from_ns, "until", (json_int_t)k->until_ns));
	}
	return list;
}

static json_t *evidence_row(const struct device *d)
{
	return json_pack(
		"{s:o,s:s,s:s,s:o,s:o,s:o,s:I,s:s,s:I,s:o,s:s,s:s,s:s,s:I,s:s}", "ek",
		hex(d->ek, 32), "ek_subject", d->ek_subject, "ek_issuer", d->ek_issuer, "ak",
		hex(d->ak, d->ak_len), "tls", hex(d->tls, 32), "tls_before", hex(d->tls_before, 32),
		"tls_before_until", (json_int_t)d->tls_before_until_ns, "serial", d->serial,
		"certificate_until", (json_int_t)d->certificate_until_ns, "keys", keys_row(d),
		"pcr17", d->pcr17, "software", d->software, "agent_version", d->agent_version,
		"attested", (json_int_t)d->attested_ns, "attested_session", d->attested_session);
}

void device_put(struct keep *k, const struct device *d)
{
	json_t *row =
		json_pack("{s:s,s:s,s:s,s:b,s:b,s:b,s:s,s:i,s:s,s:s,s:s,s:I,s:I,s:I,s:I}", "domain",
			  d->domain, "site", d->site, "role", d->role, "target", d->target,
			  "configured", d->configured, "held", d->held, "address", d->address,
			  "port", (int)d->port, "state", device_state_name(d->state), "reason",
			  reason_word(d->reason), "detail", d->reason_detail, "created",
			  (json_int_t)d->created_ns, "since", (json_int_t)d->since_ns, "version",
			  (json_int_t)d->version, "story", (json_int_t)d->story);
	if (d->enrolled)
		json_object_set_new(row, "evidence", evidence_row(d));
	keep_put_json(k, "device", d->id, row);
	json_decref(row);
}

// --- reading

struct reading {
	const json_t *j;
	bool good;
};

static void text(struct reading *r, const char *key, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(r->j, key));
	r->good = r->good && s && strlen(s) < size;
	if (r->good)
		memcpy(out, s, strlen(s) + 1);
}

static int64_t number(struct reading *r, const char *key)
{
	const json_t *j = json_object_get(r->j, key);
	r->good = r->good && json_is_integer(j);
	return json_integer_value(j);
}

static void bytes(struct reading *r, const char *key, uint8_t *out, size_t most, size_t *n)
{
	const char *s = json_string_value(json_object_get(r->j, key));
	size_t len = s ? strlen(s) / 2 : 0;
	r->good =
		r->good && s && len <= most && (!n ? len == most : true) && hash_unhex(s, out, len);
	if (n)
		*n = len;
}

static enum reason reason_by_word(const char *word)
{
	for (unsigned i = 0; i < REASONS; i++)
		if (strcmp(reason_word((enum reason)i), word) == 0)
			return (enum reason)i;
	return REASON_NONE;
}

static bool keys_read(const json_t *list, struct device *d)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		if (i >= DEVICE_KEYS)
			return false;
		struct device_key *k = &d->keys[d->n_keys++];
		struct reading r = {item, true};
		k->key.algorithm = (enum sign_algorithm)number(&r, "algorithm");
		bytes(&r, "key", k->key.bytes, sizeof k->key.bytes, &k->key.len);
		k->from_ns = number(&r, "from");
		k->until_ns = number(&r, "until");
		if (!r.good)
			return false;
		sign_key_id(k->key.algorithm, k->key.bytes, k->key.len, k->key.id);
	}
	return true;
}

static bool evidence_read(const json_t *j, struct device *d)
{
	struct reading r = {j, true};
	bytes(&r, "ek", d->ek, 32, NULL);
	text(&r, "ek_subject", d->ek_subject, sizeof d->ek_subject);
	text(&r, "ek_issuer", d->ek_issuer, sizeof d->ek_issuer);
	bytes(&r, "ak", d->ak, sizeof d->ak, &d->ak_len);
	bytes(&r, "tls", d->tls, 32, NULL);
	bytes(&r, "tls_before", d->tls_before, 32, NULL);
	d->tls_before_until_ns = number(&r, "tls_before_until");
	text(&r, "serial", d->serial, sizeof d->serial);
	d->certificate_until_ns = number(&r, "certificate_until");
	text(&r, "pcr17", d->pcr17, sizeof d->pcr17);
	text(&r, "software", d->software, sizeof d->software);
	text(&r, "agent_version", d->agent_version, sizeof d->agent_version);
	d->attested_ns = number(&r, "attested");
	text(&r, "attested_session", d->attested_session, sizeof d->attested_session);
	d->enrolled = true;
	return r.good && keys_read(json_object_get(j, "keys"), d);
}

struct err device_read(const char *id, const json_t *row, struct device *out)
{
	struct device d = {.target = json_is_true(json_object_get(row, "target")),
			   .configured = json_is_true(json_object_get(row, "configured")),
			   .held = json_is_true(json_object_get(row, "held"))};
	struct reading r = {row, true};
	char state[32] = "", reason[32] = "";
	snprintf(d.id, sizeof d.id, "%s", id);
	text(&r, "domain", d.domain, sizeof d.domain);
	text(&r, "site", d.site, sizeof d.site);
	text(&r, "role", d.role, sizeof d.role);
	text(&r, "address", d.address, sizeof d.address);
	text(&r, "state", state, sizeof state);
	text(&r, "reason", reason, sizeof reason);
	text(&r, "detail", d.reason_detail, sizeof d.reason_detail);
	d.port = (uint16_t)number(&r, "port");
	d.created_ns = number(&r, "created");
	d.since_ns = number(&r, "since");
	d.version = (uint64_t)number(&r, "version");
	d.story = (uint32_t)number(&r, "story");
	d.reason = reason_by_word(reason);
	const json_t *evidence = json_object_get(row, "evidence");
	bool good = r.good && device_state_by_name(state, &d.state) &&
		    (!evidence || evidence_read(evidence, &d));
	ENSURE(good, ERR_CORRUPT, "device %.64s is stored wrongly", id);
	d.seen_ns = d.attested_ns; // the last time that we know of
	*out = d;
	return OK;
}
