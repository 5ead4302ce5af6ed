// SPDX-License-Identifier: Apache-2.0
// The inventory: each device with its admission state, the evidence that it rests on, and its
// story, from token to production, step by step. A state falls back as easily as it rises, and what
// cannot be proved is not in production. X.2011 8.1.1-1, 8.1.1-2, 8.3.3-6. Used by management.
//
//     unknown -> invited -> quarantine -> tested -> attested -> production
//                           any of these -> quarantine (evidence fails), suspended, revoked
// A device is changed as a copy, written with its story's step and its record in one commit, and
// only then put in the place of the old one: memory never says what the disk does not.
#pragma once

#include "lib/crypto/sign.h"
#include "lib/crypto/tpm_verify.h"
#include "management/keep.h"
#include "management/reasons.h"

enum device_state {
	DEVICE_UNKNOWN, // in the inventory, nothing proved
	DEVICE_INVITED, // a token is out
	DEVICE_QUARANTINE,
	DEVICE_TESTED,
	DEVICE_ATTESTED,
	DEVICE_PRODUCTION,
	DEVICE_SUSPENDED,
	DEVICE_REVOKED,
	DEVICE_STATES,
};
const char *device_state_name(enum device_state s);
bool device_state_by_name(const char *name, enum device_state *out);

enum { DEVICES_MAX = 65536, DEVICE_KEYS = 4, DEVICE_AK_MAX = 256, DEVICE_STORY_MAX = 400 };

struct device_key { // of batches, certified by the AK
	struct sign_public key;
	int64_t from_ns, until_ns;
};

struct device {
	char id[X509_NAME_MAX + 1];
	char domain[X509_NAME_MAX + 1], site[X509_NAME_MAX + 1], role[X509_NAME_MAX + 1];
	bool target;	 // a standard gNMI target that telemetry dials; else it runs gemel-agent
	bool configured; // a target of gemel.yaml
	bool held;	 // put into quarantine by hand: only a test by hand lifts it
	char address[64];
	uint16_t port;
	enum device_state state;
	enum reason reason; // why it is not higher
	char reason_detail[128];
	int64_t created_ns, since_ns;
	uint64_t version;
	uint32_t story; // number of the next step

	// evidence
	bool enrolled;
	uint8_t ek[32]; // SHA-256 of the EK's public key
	char ek_subject[128], ek_issuer[128];
	uint8_t ak[DEVICE_AK_MAX]; // TPMT_PUBLIC
	size_t ak_len;
	uint8_t tls[32], tls_before[32]; // SHA-256 of the SubjectPublicKeyInfo; before: until it is
					 // used no more
	int64_t tls_before_until_ns;
	char serial[41];
	int64_t certificate_until_ns;
	struct device_key keys[DEVICE_KEYS]; // newest first
	unsigned n_keys;
	char pcr17[65], software[65]; // hex, name of the reference value
	char agent_version[33];
	int64_t attested_ns; // last good quote
	char attested_session[65];

	// memory only
	int64_t seen_ns;
	char source[80];
};

struct devices; // opaque; sorted by id
MUST_USE struct err devices_load(struct keep *k, struct devices **out);
void devices_free(struct devices *s);
size_t devices_count(const struct devices *s);
struct device *devices_at(struct devices *s, size_t i); // in the order of ids
struct device *devices_find(struct devices *s, const char *id);
struct device *devices_by_ek(struct devices *s, const uint8_t ek[32]); // enrolled with this TPM
// A new one in memory, not in `keep`. ERR_CONFLICT, ERR_LIMIT, ERR_USAGE (name).
MUST_USE struct err devices_add(struct devices *s, const char *id, struct device **out);
void devices_remove(struct devices *s, const char *id); // undoes devices_add

// --- rows (device_row.c)
void device_put(struct keep *k, const struct device *d);
MUST_USE struct err device_read(const char *id, const json_t *row, struct device *out);

// --- the story (device_story.c)
struct device_step {
	const char *step; // "added", "invited", "enrolled", "tested", "refused", ...
	enum reason reason;
	const char *actor;    // account, "management", "device"
	const json_t *detail; // borrowed; may be NULL
};
// Writes the step and moves changed->story on; then device_put, keep_commit.
void device_tell(struct keep *k, struct device *changed, const struct device_step *s,
		 int64_t now_ns);
// Steps until `at_ns`, oldest first; a new reference.
json_t *device_story(const struct keep *k, const char *id, int64_t at_ns);
// State and reason as they were; false: it was not in the inventory yet.
bool device_state_at(const struct keep *k, const char *id, int64_t at_ns, enum device_state *state,
		     enum reason *reason, int64_t *since_ns);

// --- for people (device_json.c)
json_t *device_summary(const struct device *d);
json_t *device_details(const struct device *d);
