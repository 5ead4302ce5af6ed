// SPDX-License-Identifier: Apache-2.0
// How the parts of an instruction are made, each by the one who answers for it. The private key is
// elsewhere: one function gives the bytes to sign, instruction_signed joins them with a signature.
//     management  plan -> instruction_plan_write
//     models      verdict -> bytes to sign -> its verdict key
//     person      approval -> bytes to sign -> the approver's own key
//     management  the ledger's record body; the repository adds time, salt and proof
//     management  delivery over all of it -> bytes to sign -> keys, control key
//     control     instruction_request_write, and out
// Every writer checks what it writes as the device will. Used by management, models, control, cli.
#pragma once

#include "lib/instruction/instruction.h"

// All append canonical bytes to `out`. ERR_USAGE names the field.
MUST_USE struct err instruction_plan_write(const Gemel__Control__V1__Plan *p, struct buf *out);
MUST_USE struct err instruction_verdict_write(const Gemel__Control__V1__Verdict *v,
					      struct buf *out);
MUST_USE struct err instruction_approval_write(const Gemel__Control__V1__Approval *v,
					       struct buf *out);
MUST_USE struct err instruction_bundle_write(const Gemel__Control__V1__TrustBundle *t,
					     struct buf *out);

enum instruction_part {
	INSTRUCTION_VERDICT,
	INSTRUCTION_APPROVAL,
	INSTRUCTION_DELIVERY,
	INSTRUCTION_BUNDLE,
	INSTRUCTION_PARTS,
};
// The bytes that the key must sign, and their SHA-256, for a part's canonical bytes.
void instruction_to_sign(enum instruction_part part, const uint8_t *body, size_t n,
			 struct buf *out);
void instruction_digest(enum instruction_part part, const uint8_t *body, size_t n,
			uint8_t out[HASH_SIZE]);

struct instruction_signed { // borrowed bytes
	const uint8_t *body;
	size_t len;
	uint8_t key_id[SIGN_KEY_ID];
	struct sign_signature signature;
};
// A Signed message, as a bundle is kept and as models and approvers hand over theirs.
MUST_USE struct err instruction_signed_write(const struct instruction_signed *s, struct buf *out);
// The other way; `out` views memory of `a`. ERR_PEER.
MUST_USE struct err instruction_signed_read(const uint8_t *bytes, size_t n, struct arena *a,
					    struct instruction_signed *out);

// The ledger's entry: kind, subject = device, and the text of its JSON body.
#define INSTRUCTION_KIND "instruction"
#define INSTRUCTION_KIND_BREAK_GLASS "instruction-break-glass"
void instruction_entry_body(const uint8_t plan_digest[HASH_SIZE], const uint8_t *verdict_digest,
			    const uint8_t (*approvals)[HASH_SIZE], size_t n_approvals,
			    struct buf *out); // verdict_digest NULL: break-glass

struct instruction_parts {			  // all but the delivery; borrowed
	const struct instruction_signed *verdict; // NULL: break-glass
	const struct instruction_signed *approvals;
	size_t n_approvals;
	const uint8_t *record; // as repository/ledger.h draws it
	size_t record_len;
	const char *proof; // tlog-proof text without extra data
	size_t proof_len;
	uint64_t from_size; // what the device told with its nonce
	struct merkle_proof consistency;
};
// The delivery's canonical bytes, which bind plan, nonce, sequence and all the parts.
MUST_USE struct err instruction_delivery_write(const uint8_t *plan, size_t plan_len,
					       const struct instruction_parts *parts,
					       const uint8_t nonce[INSTRUCTION_NONCE],
					       uint64_t sequence, int64_t time_ns, struct buf *out);
MUST_USE struct err instruction_envelope_write(const struct instruction_parts *parts,
					       const struct instruction_signed *delivery,
					       struct buf *out);
// The gNMI SetRequest for it; `id` is the plan's.
MUST_USE struct err instruction_request_write(const char *id, const uint8_t *plan, size_t plan_len,
					      const uint8_t *envelope, size_t envelope_len,
					      struct buf *out);
