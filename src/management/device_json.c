// SPDX-License-Identifier: Apache-2.0
// Devices as the API tells them: ids, states, reasons with what they mean and how to mend them,
// times as RFC 3339, keys and certificates by their hashes.
#include "management/devices.h"

#include "lib/base/clock.h"
#include "lib/crypto/hash.h"

static json_t *time_json(int64_t ns)
{
	char at[CLOCK_TEXT_MAX];
	return ns ? json_string(clock_format(ns, at)) : json_null();
}

static json_t *text_json(const char *s)
{
	return *s ? json_string(s) : json_null();
}

static json_t *hex_json(const uint8_t *bytes, size_t n)
{
	char text[HASH_HEX];
	return json_string(hash_hex(bytes, n, text));
}

json_t *device_summary(const struct device *d)
{
	json_t *j =
		json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I}", "id", d->id, "state",
			  device_state_name(d->state), "kind", d->target ? "gnmi" : "agent", "site",
			  text_json(d->site), "domain", text_json(d->domain), "role",
			  text_json(d->role), "reason", text_json(reason_word(d->reason)), "since",
			  time_json(d->since_ns), "last_seen", time_json(d->seen_ns), "attested",
			  time_json(d->attested_ns), "certificate_until",
			  time_json(d->certificate_until_ns), "version", (json_int_t)d->version);
	if (d->target && *d->address) {
		json_object_set_new(j, "address", json_string(d->address));
		json_object_set_new(j, "port", json_integer(d->port));
	}
	return j;
}

static json_t *batch_keys(const struct device *d)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < d->n_keys; i++) {
		const struct device_key *k = &d->keys[i];
		json_array_append_new(
			list,
			json_pack("{s:o,s:s,s:o,s:o}", "id", hex_json(k->key.id, sizeof k->key.id),
				  "algorithm", sign_algorithm_name(k->key.algorithm), "from",
				  time_json(k->from_ns), "until", time_json(k->until_ns)));
	}
	return list;
}

json_t *device_details(const struct device *d)
{
	json_t *j = device_summary(d);
	if (d->reason != REASON_NONE) {
		json_object_set_new(j, "reason_meaning", json_string(reason_meaning(d->reason)));
		json_object_set_new(j, "reason_detail", text_json(d->reason_detail));
		json_object_set_new(j, "fix", json_string(reason_mend(d->reason)));
	}
	json_object_set_new(j, "created", time_json(d->created_ns));
	json_object_set_new(j, "held", json_boolean(d->held));
	json_object_set_new(j, "source", text_json(d->source));
	if (!d->enrolled)
		return j;
	json_object_set_new(j, "certificate",
			    json_pack("{s:s,s:o,s:o}", "serial", d->serial, "until",
				      time_json(d->certificate_until_ns), "key_sha256",
				      hex_json(d->tls, 32)));
	json_object_set_new(j, "tpm",
			    json_pack("{s:o,s:s,s:s}", "ek_sha256", hex_json(d->ek, 32), "subject",
				      d->ek_subject, "manufacturer", d->ek_issuer));
	json_object_set_new(j, "evidence",
			    json_pack("{s:o,s:o,s:o,s:o}", "time", time_json(d->attested_ns),
				      "software", text_json(d->software), "pcr17",
				      text_json(d->pcr17), "agent_version",
				      text_json(d->agent_version)));
	json_object_set_new(j, "batch_keys", batch_keys(d));
	return j;
}
