// SPDX-License-Identifier: Apache-2.0
// Why a device was refused or fell back: the stable words of docs/contracts.md "Joining", each with
// what it means and how to mend it. They go into the ledger, events, alerts and answers.
// X.2011 8.1.1-1, 8.1.1-2. Used by management.
#pragma once

#include "lib/crypto/x509.h"

enum reason {
	REASON_NONE,
	// tokens
	REASON_TOKEN_UNKNOWN,
	REASON_TOKEN_USED,
	REASON_TOKEN_EXPIRED,
	REASON_TOKEN_OTHER_DEVICE,
	// TPM
	REASON_EK_UNKNOWN_AUTHORITY,
	REASON_EK_MISMATCH,
	REASON_AK_UNFIT,
	REASON_CREDENTIAL_NOT_ACTIVATED,
	REASON_QUOTE_BAD,
	REASON_SOFTWARE_UNKNOWN,
	REASON_BATCH_KEY_BAD,
	REASON_NONCE_UNKNOWN,
	REASON_ATTESTATION_OVERDUE,
	// certificates
	REASON_CERTIFICATE_MISSING,
	REASON_CERTIFICATE_UNKNOWN_AUTHORITY,
	REASON_CERTIFICATE_EXPIRED,
	REASON_CERTIFICATE_NOT_YET_VALID,
	REASON_CERTIFICATE_REVOKED,
	REASON_CERTIFICATE_MALFORMED,
	REASON_NAME_STOLEN,
	REASON_KEY_MISMATCH,
	// devices
	REASON_DEVICE_UNKNOWN,
	REASON_DEVICE_SUSPENDED,
	REASON_TEST_FAILED,
	REASON_HELD,
	// the exchange itself
	REASON_SESSION_UNKNOWN,
	REASON_REQUEST_MALFORMED,
	REASON_BUSY,
	REASONS,
};

const char *reason_word(enum reason r);	   // "token-used"
const char *reason_meaning(enum reason r); // one sentence: what was seen
const char *reason_mend(enum reason r);	   // one sentence: what to do
// Whether it speaks of an attack rather than of a mistake: then the alert is of severity high.
bool reason_hostile(enum reason r);
enum reason reason_of_x509(enum x509_refusal why);

// A check's outcome: REASON_NONE is good. `detail` says which fact decided, for the record.
struct verdict {
	enum reason reason;
	char detail[256];
};
struct verdict verdict_good(void);
struct verdict verdict_bad(enum reason r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
