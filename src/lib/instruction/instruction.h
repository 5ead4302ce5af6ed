// SPDX-License-Identifier: Apache-2.0
// Proof-carrying control, verified by the device itself: no single process, key or person can make
// a device do what was not authorized, rehearsed, approved and written down, and the device knows
// it. instruction.proto draws the messages and says who signs what; docs/control.md tells the
// whole.
//
// Pure: no file, no socket, no clock. The caller gives its memory (nonces, sequence, checkpoint,
// bundle version) and keeps what a good verification hands back, on disk, before it applies.
// Foreign bytes are decoded into an arena, within the limits below, and only in their one form.
// X.2011 8.2.1-4, 8.2.3-1, 8.2.3-4, 9.1-ledger. Used by agent (apply) and control (for devices
// without an agent); compose.h is the other side.
#pragma once

#include "lib/crypto/hash.h"
#include "lib/crypto/sign.h"
#include "lib/instruction/instruction.pb-c.h"
#include "lib/tlog/proof.h"

#define INSTRUCTION_NONCE_LIFE_NS (60 * 1000000000LL)
#define INSTRUCTION_SKEW_NS (30 * 1000000000LL) // between the clocks of twin and device
#define INSTRUCTION_VERDICT_LIFE_NS (3600 * 1000000000LL)
#define INSTRUCTION_PLAN_LIFE_NS (7 * 86400 * 1000000000LL)
#define INSTRUCTION_BREAK_GLASS_LIFE_NS (3600 * 1000000000LL)

enum {
	INSTRUCTION_NAME_MAX = 128,	// ids, accounts, classes, devices, domains
	INSTRUCTION_INTERFACE_MAX = 15, // IFNAMSIZ - 1
	INSTRUCTION_DESCRIPTION_MAX = 255,
	INSTRUCTION_REASON_MAX = 1000,
	INSTRUCTION_CHANGES_MAX = 256,
	INSTRUCTION_HOPS_MAX = 16,
	INSTRUCTION_CONFIRM_MAX_S = 3600,
	INSTRUCTION_APPROVALS_MAX = 16,
	INSTRUCTION_NONCE = 32,
	INSTRUCTION_NONCES_MAX = 8,	  // outstanding
	INSTRUCTION_PLAN_MAX = 128 << 10, // bytes
	INSTRUCTION_RECORD_MAX = 64 << 10,
	INSTRUCTION_ENVELOPE_MAX = 256 << 10,
	INSTRUCTION_REQUEST_MAX = INSTRUCTION_PLAN_MAX + INSTRUCTION_ENVELOPE_MAX + 4096,
	INSTRUCTION_BUNDLE_MAX = 256 << 10,
	INSTRUCTION_KEYS_MAX = 8, // of a kind
	INSTRUCTION_WITNESSES_MAX = 16,
	INSTRUCTION_APPROVERS_MAX = 512,
	INSTRUCTION_CLASSES_MAX = 32,
	INSTRUCTION_ARENA = 4 << 20, // for one verification, or one bundle
};

enum instruction_reason {
	INSTRUCTION_GOOD = 0,
#define REASON(symbol, word, error, meaning, mend) INSTRUCTION_##symbol,
#include "lib/instruction/instruction_reasons.def"
#undef REASON
	INSTRUCTION_REASONS,
};
// Stable words, for the wire, the ledger and people. "good" for INSTRUCTION_GOOD.
const char *instruction_reason_word(enum instruction_reason r);
const char *instruction_reason_meaning(enum instruction_reason r);
const char *instruction_reason_mend(enum instruction_reason r);
// INSTRUCTION_GOOD when no reason has this word.
enum instruction_reason instruction_reason_find(const char *word);

// --- the plan

// Decodes and checks every field; *out and what it points to live in `a`. `plan` needs not stay.
// ERR_PEER: not canonical, or a field that no plan may have; the text names it.
MUST_USE struct err instruction_plan_read(const uint8_t *plan, size_t n, struct arena *a,
					  Gemel__Control__V1__Plan **out);
void instruction_plan_digest(const uint8_t *plan, size_t n, uint8_t out[HASH_SIZE]);

// Digest of the state that a plan touches: paths in strictly ascending byte order, each with its
// value: SHA-256("gemel precondition v1\n" || (u32 length, path, u32 length, value) ...). Device
// and twin make it alike. ERR_USAGE: not ascending.
struct instruction_leaf {
	const char *path;
	const void *value;
	size_t len;
};
MUST_USE struct err instruction_precondition(const struct instruction_leaf *leaves, size_t n,
					     uint8_t out[HASH_SIZE]);

// --- the trust bundle

struct instruction_bundle {
	Gemel__Control__V1__TrustBundle *message; // in the arena
	struct note_key logs[INSTRUCTION_KEYS_MAX];
	struct note_key witnesses[INSTRUCTION_WITNESSES_MAX];
	struct checkpoint floor; // size 0: none
	uint8_t digest[HASH_SIZE];
};
// What the device remembers of the bundle in use. version 0: none.
struct instruction_bundle_memory {
	uint64_t version;
	uint8_t digest[HASH_SIZE];
};
// Verifies a bundle (a serialised Signed) for `domain` under any of the `roots`: those that the
// device was enrolled with, or those that the bundle in use names. The bundle in use may be opened
// again; another one of its version, or an older one, may not. On success the caller keeps version
// and digest. `out` lives as long as `a`. *why (may be NULL) is the reason also on an error.
MUST_USE struct err instruction_bundle_open(
	const uint8_t *bytes, size_t n, const struct sign_public *roots, size_t n_roots,
	const char *domain, const struct instruction_bundle_memory *memory, int64_t now_ns,
	struct arena *a, struct instruction_bundle *out, enum instruction_reason *why);

// --- the instruction

struct instruction_nonce {
	uint8_t bytes[INSTRUCTION_NONCE];
	int64_t given_ns;
};
struct instruction_device { // all pointers are borrowed
	const char *device, *domain;
	const struct instruction_nonce *nonces; // given out and not used
	size_t n_nonces;
	uint64_t sequence; // the last one that was taken; 0: none
	// What pins.h remembers of the bundle's log (pins_find by bundle->message->log->origin);
	// NULL: nothing. Of another origin counts as nothing: the bundle's floor takes its place.
	const struct checkpoint *remembered;
	uint8_t precondition[HASH_SIZE];     // of what this plan touches, now
	const uint8_t (*applied)[HASH_SIZE]; // digests of the plans in force
	size_t n_applied;
};

struct instruction_result {
	enum instruction_reason reason;
	// The rest is set as far as the checks came, and to be used only when `reason` is GOOD.
	Gemel__Control__V1__Plan *plan; // in the arena
	uint8_t plan_digest[HASH_SIZE];
	size_t nonce;		      // index: it is used up
	uint64_t sequence;	      // to be remembered
	uint64_t twin_revision;	      // 0 under break-glass
	uint8_t read_set[HASH_SIZE];  // for control's last look; zeros under break-glass
	struct checkpoint checkpoint; // to be remembered (pins_advance with `consistency`)
	struct merkle_proof consistency;
	bool consistent_from; // `consistency` is meant: what was remembered is smaller
	uint64_t entry_index;
	unsigned cosigned; // by so many witnesses
	bool unwitnessed;  // the bundle says that there are none
	bool break_glass;
};
// Every check, in the order of instruction_reasons.def. OK: the plan may be applied, once what the
// result says is remembered. An error's text begins with the reason's word. `plan` are the bytes
// that will be applied: the value of the Set's update, not a copy from elsewhere.
MUST_USE struct err instruction_verify(const struct instruction_device *state,
				       const struct instruction_bundle *bundle,
				       const uint8_t *envelope, size_t envelope_len,
				       const uint8_t *plan, size_t plan_len, int64_t now_ns,
				       struct arena *a, struct instruction_result *out);

// --- as it travels: a gNMI SetRequest with one update and one extension, and nothing else

// Views of `request`'s decoded copy in `a`. ERR_PEER: any other shape.
MUST_USE struct err instruction_request_open(const uint8_t *request, size_t n, struct arena *a,
					     const uint8_t **plan, size_t *plan_len,
					     const uint8_t **envelope, size_t *envelope_len);
