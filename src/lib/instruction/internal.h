// SPDX-License-Identifier: Apache-2.0
// Between the files of lib/instruction only.
#pragma once

#include "lib/base/sabotage.h"
#include "lib/instruction/compose.h"

typedef Gemel__Control__V1__Plan Plan;
typedef Gemel__Control__V1__Change Change;
typedef Gemel__Control__V1__Prefix Prefix;
typedef Gemel__Control__V1__Signed Signed;
typedef Gemel__Control__V1__Verdict Verdict;
typedef Gemel__Control__V1__Approval Approval;
typedef Gemel__Control__V1__Delivery Delivery;
typedef Gemel__Control__V1__LedgerPart LedgerPart;
typedef Gemel__Control__V1__Envelope Envelope;
typedef Gemel__Control__V1__Key Key;
typedef Gemel__Control__V1__Approver Approver;
typedef Gemel__Control__V1__ClassRule ClassRule;
typedef Gemel__Control__V1__TrustBundle TrustBundle;

// --- message.c
// Decodes into `a` and demands canonical bytes. ERR_PEER.
MUST_USE struct err message_read(const ProtobufCMessageDescriptor *d, const uint8_t *bytes,
				 size_t n, size_t most, struct arena *a, void *out);
MUST_USE struct err message_write(const void *message, size_t most, struct buf *out);
bool message_name(const char *s);		  // letters, digits, . _ : @ -; 1 to NAME_MAX
bool message_text(const char *s, size_t most);	  // UTF-8 without control characters; may be empty
bool message_is(ProtobufCBinaryData b, size_t n); // of this length
bool message_equal(ProtobufCBinaryData b, const uint8_t *bytes, size_t n);

// --- plan.c and others: fields, as reader and writer want them. ERR_PEER.
MUST_USE struct err plan_check(const Plan *p);
MUST_USE struct err verdict_check(const Verdict *v);
MUST_USE struct err approval_check(const Approval *v);
MUST_USE struct err bundle_check(const TrustBundle *t, struct instruction_bundle *out);
void parts_digest(const Envelope *e, struct arena *a, uint8_t out[HASH_SIZE],
		  struct err *failure); // of the envelope without its delivery

// --- keys
bool key_is(const Key *k, ProtobufCBinaryData id); // has this key id
bool key_current(const Key *k, int64_t now_ns);	   // within its own validity
// ERR_AUTH: not this key's signature of this part.
MUST_USE struct err key_check(const Key *k, enum instruction_part part, const Signed *s);

// --- verification: one run over an instruction
struct check {
	const struct instruction_device *state;
	const struct instruction_bundle *bundle;
	int64_t now_ns;
	struct arena *arena;
	struct instruction_result *out;
	Plan *plan;
	Envelope *envelope;
	Delivery *delivery;
	const ClassRule *rule;
	uint8_t verdict_digest[HASH_SIZE];
	bool have_verdict;
	uint8_t approvals[INSTRUCTION_APPROVALS_MAX][HASH_SIZE];
};
MUST_USE struct err check_people(struct check *c); // verify_people.c
MUST_USE struct err check_ledger(struct check *c); // verify_ledger.c

// Sets *where (may be NULL) and returns the error whose text begins with the reason's word.
MUST_USE struct err reason_refuse(enum instruction_reason *where, enum instruction_reason r,
				  const char *format, ...) __attribute__((format(printf, 3, 4)));
#ifdef SABOTAGE
bool reason_off(enum instruction_reason r);
#else
#define reason_off(r) false
#endif

// CHECK(where, condition, REASON, "printf text")
#define CHECK(where, condition, symbol, ...)                                                       \
	do {                                                                                       \
		if (!(condition) && !reason_off(INSTRUCTION_##symbol))                             \
			return reason_refuse(where, INSTRUCTION_##symbol, __VA_ARGS__);            \
	} while (0)
