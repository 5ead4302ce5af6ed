// SPDX-License-Identifier: Apache-2.0
// One rule of the policy and a verified snapshot, as snapshot.c fills and access.c reads them.
// A decision: any forbid that matches refuses; else any permit that matches permits; else refused.
// Used inside lib/access only.
#pragma once

#include "lib/access/access.h"

enum {
	ACCESS_ACTIONS = ACTION_APPROVE + 1,
	ACCESS_CLASSES = CLASS_PERSONAL + 1,
	ACCESS_RULES_MAX = 256,
	ACCESS_STALE_S = 15 * 60, // without management, collection goes on and reads stop
};

enum access_kind {
	KIND_DEVICE,
	KIND_DATASET,
	KIND_PATH,
	KIND_TOPOLOGY,
	KIND_LEDGER,
	KIND_ACCOUNT,
	KIND_POLICY,
	KIND_TOKEN,
	KIND_CONFORMANCE,
	KIND_PROCESS,
	ACCESS_KINDS,
};
extern const char *const access_kind_names[ACCESS_KINDS];

enum access_rule_flags {
	RULE_FORBID = 1,
	RULE_OWN = 2,	 // only the subject's own account, as a whole (no path)
	RULE_STRONG = 4, // only with a second factor or a client certificate
	RULE_FLAGS = 7,
};

struct access_rule {
	char id[ACCESS_NAME_MAX + 1];
	char role[ACCESS_NAME_MAX + 1]; // "*": every subject
	uint16_t actions, kinds;	// bit for each
	enum access_class most;		// forbid: at this class and above; permit: up to it
	unsigned flags;
};

struct access_policy {
	uint64_t version;
	int64_t made_ns, refreshed_ns;
	unsigned n;
	struct access_rule rules[];
};

// A name as tickets and snapshots carry it: u8 length, then letters, digits, '.', '_', '-', '*'.
struct cursor;
bool access_name_read(struct cursor *c, char out[ACCESS_NAME_MAX + 1], bool may_be_empty);
void access_name_write(struct buf *b, const char *name);
// Splits SIGNED || 64 bytes and checks them with a raw Ed25519 key. ERR_AUTH names `what`.
MUST_USE struct err access_signed(const uint8_t *bytes, size_t n, const uint8_t *public_key,
				  const char *what, struct cursor *out);
