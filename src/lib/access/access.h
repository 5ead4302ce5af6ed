// SPDX-License-Identifier: Apache-2.0
// One decision for everything: may this subject do this to that, here and now. The processes that
// own a resource call access_decide themselves, at the data, with the ticket that northbound
// relays and the last signed policy snapshot. Today's engine is a small role policy; Cedar replaces
// it behind these names. X.2011 8.2.1-1, 8.3.1-3, 8.3.3-1, 8.3.3-4.
// Used by management (makes tickets and snapshots), repository, models, telemetry, northbound.
#pragma once

#include "lib/base/mem.h"

enum access_class {
	CLASS_PUBLIC,
	CLASS_INTERNAL,
	CLASS_CONFIDENTIAL,
	CLASS_RESTRICTED,
	CLASS_PERSONAL
};
extern const char *const access_class_names[]; // NULL-terminated

enum access_action {
	ACTION_CREATE,
	ACTION_READ,
	ACTION_UPDATE,
	ACTION_DELETE,
	ACTION_COLLECT,
	ACTION_EXECUTE,
	ACTION_DEPLOY,
	ACTION_REHEARSE,
	ACTION_ACTUATE,
	ACTION_EXPORT,
	ACTION_DELEGATE,
	ACTION_APPROVE,
};
const char *access_action_name(enum access_action action);

enum { ACCESS_ROLES_MAX = 8, ACCESS_NAME_MAX = 64 };

// Who asks, as management vouches. Encoded and signed as a ticket; five minutes at most.
struct access_subject {
	char account[ACCESS_NAME_MAX + 1];
	char roles[ACCESS_ROLES_MAX][ACCESS_NAME_MAX + 1]; // viewer, operator, security-officer,
	unsigned n_roles;		  // approver, auditor, administrator, application
	char session[33];		  // hex, to be ended
	char domain[ACCESS_NAME_MAX + 1]; // "" all
	bool strong;			  // second factor or client certificate
	int64_t issued_ns, until_ns;
};

struct access_resource {
	const char *kind; // Device, Dataset, Path, Topology, Ledger, Account, Policy, Token,
			  // Conformance, Process
	const char *id;	  // device id or account, may be NULL
	const char *path; // for Dataset/Path
	enum access_class class;
	const char *domain; // NULL: none
};

struct access_decision {
	bool permit;
	char policy[80]; // id of the deciding policy, such as "viewer-reads-internal"
	char fact[160];	 // the fact that decided, such as "class confidential is above internal"
};

struct access_policy; // a verified snapshot; opaque

// Snapshot: encoded policy, version and time, signed by management's policy key (through keys).
// Fetched by id: version. With `now` more than 15 minutes after the snapshot was refreshed only
// ACTION_COLLECT is permitted (fail closed).
MUST_USE struct err access_policy_load(const uint8_t *bytes, size_t n, const uint8_t *public_key,
				       struct access_policy **out);
void access_policy_free(struct access_policy *p);
uint64_t access_policy_version(const struct access_policy *p);
void access_policy_refresh(struct access_policy *p, int64_t now_ns); // management is there
// Encodes the shipped default policy for signing (management).
void access_policy_encode_default(struct buf *out, uint64_t version, int64_t now_ns);
// Bytes to sign / signed form = these bytes || 64-byte Ed25519 signature.

// policy NULL: denies everything ("no policy yet").
struct access_decision access_decide(const struct access_policy *policy,
				     const struct access_subject *who, enum access_action action,
				     const struct access_resource *what, int64_t now_ns);

// Tickets: encode (management signs what this gives, Ed25519 64 bytes appended), verify and decode.
void access_ticket_encode(const struct access_subject *s, struct buf *out);
// ERR_AUTH with the reason: bad signature, expired, malformed.
MUST_USE struct err access_ticket_verify(const uint8_t *bytes, size_t n, const uint8_t *public_key,
					 int64_t now_ns, struct access_subject *out);
