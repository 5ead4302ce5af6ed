// SPDX-License-Identifier: Apache-2.0
#include "management/reasons.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	const char *word, *meaning, *mend;
	bool hostile;
} table[REASONS] = {
	[REASON_NONE] = {"", "", "", false},
	[REASON_TOKEN_UNKNOWN] =
		{"token-unknown", "The enrolment token was not made here, or its secret is wrong.",
		 "Make a token with `gemel device enrol NAME` and copy the whole line.", true},
	[REASON_TOKEN_USED] = {"token-used",
			       "The enrolment token has been used before; it works once.",
			       "Make a new token with `gemel device enrol NAME`; if the device did "
			       "not use it, find out who did.",
			       true},
	[REASON_TOKEN_EXPIRED] = {"token-expired", "The enrolment token was older than one hour.",
				  "Make a new token with `gemel device enrol NAME`.", false},
	[REASON_TOKEN_OTHER_DEVICE] = {"token-other-device",
				       "The enrolment token was made for another device.",
				       "Use the token that was made for this device, or correct "
				       "`device` in its agent.yaml.",
				       true},
	[REASON_EK_UNKNOWN_AUTHORITY] =
		{"ek-unknown-authority",
		 "The TPM's endorsement certificate is not from a manufacturer that is trusted "
		 "here.",
		 "If the device is genuine, add its manufacturer's authority to `ek_roots`.", true},
	[REASON_EK_MISMATCH] =
		{"ek-mismatch",
		 "The TPM is not the one that this device has enrolled with, or it belongs to "
		 "another device.",
		 "If the mainboard was replaced, revoke the device and enrol it anew.", true},
	[REASON_AK_UNFIT] = {"ak-unfit",
			     "The attestation key is not one that can prove anything: it must be "
			     "restricted, signing only, made in the TPM.",
			     "Update gemel-agent on the device.", true},
	[REASON_CREDENTIAL_NOT_ACTIVATED] =
		{"credential-not-activated",
		 "The device could not open what only the TPM with this endorsement key and "
		 "attestation key can open.",
		 "Someone shows another TPM's certificate; look at the device itself.", true},
	[REASON_QUOTE_BAD] =
		{"quote-bad",
		 "The TPM's quote is not a fresh, signed statement over this session's keys.",
		 "Start gemel-agent again; if it happens again, look at the device itself.", true},
	[REASON_SOFTWARE_UNKNOWN] =
		{"software-unknown",
		 "What was started on the device (PCR 17) is not among the reference values.",
		 "If this version is meant to run, add its value to `reference_values`; if not, "
		 "install the agent anew.",
		 true},
	[REASON_BATCH_KEY_BAD] =
		{"batch-key-bad",
		 "The key for batches is not certified by the device's attestation key.",
		 "Start gemel-agent again.", true},
	[REASON_NONCE_UNKNOWN] =
		{"nonce-unknown",
		 "The evidence answers no challenge of ours, or one that is too old or spent.",
		 "The agent must ask for a challenge and answer it within a minute; check the "
		 "device's load.",
		 true},
	[REASON_ATTESTATION_OVERDUE] = {"attestation-overdue", "No fresh quote has come in time.",
					"Check that gemel-agent and its TPM answer; it rises again "
					"with the next good quote.",
					false},
	[REASON_CERTIFICATE_MISSING] = {"certificate-missing", "The peer showed no certificate.",
					"Enrol the device first: `gemel device enrol NAME`.",
					false},
	[REASON_CERTIFICATE_UNKNOWN_AUTHORITY] =
		{"certificate-unknown-authority",
		 "The certificate was not issued by this twin's authority.",
		 "Enrol the device here: `gemel device enrol NAME`.", true},
	[REASON_CERTIFICATE_EXPIRED] = {"certificate-expired", "The certificate has expired.",
					"The agent renews it by itself over the enrolment port; "
					"check that the port can be reached and the clocks agree.",
					false},
	[REASON_CERTIFICATE_NOT_YET_VALID] = {"certificate-not-yet-valid",
					      "The certificate is not valid yet.",
					      "Compare the clocks of the device and of the twin.",
					      false},
	[REASON_CERTIFICATE_REVOKED] =
		{"certificate-revoked", "The certificate, or its device, has been revoked.",
		 "If the device shall come back, enrol it anew: `gemel device enrol NAME`.", true},
	[REASON_CERTIFICATE_MALFORMED] = {"certificate-malformed",
					  "The certificate cannot be read or is not for this use.",
					  "Enrol the device anew: `gemel device enrol NAME`.",
					  true},
	[REASON_NAME_STOLEN] =
		{"name-stolen",
		 "The peer calls itself by a name that its certificate does not give it.",
		 "Find the machine at this source: it claims another device's name.", true},
	[REASON_KEY_MISMATCH] = {"key-mismatch",
				 "The certificate is genuine but the keys behind it are not the "
				 "enrolled ones: it was copied.",
				 "Find the machine at this source; then revoke the device and "
				 "enrol it anew, its key has leaked.",
				 true},
	[REASON_DEVICE_UNKNOWN] = {"device-unknown", "There is no such device in the inventory.",
				   "Add it with `gemel device create NAME`, then enrol it.", true},
	[REASON_DEVICE_SUSPENDED] = {"device-suspended", "The device is suspended.",
				     "Test it with `gemel device test NAME` when it may come back.",
				     false},
	[REASON_TEST_FAILED] = {"test-failed", "A test before production did not pass.",
				"See which in `gemel device show NAME`, mend it, and run `gemel "
				"device test NAME`.",
				false},
	[REASON_HELD] = {"held", "It was put into quarantine by hand.",
			 "Run `gemel device test NAME` when it may come back.", false},
	[REASON_SESSION_UNKNOWN] =
		{"session-unknown",
		 "The enrolment was not begun here, took too long, or has ended.",
		 "Begin again; the agent does so by itself.", false},
	[REASON_REQUEST_MALFORMED] = {"request-malformed",
				      "The request is not of the form of gemel.proto.",
				      "Update gemel-agent on the device.", true},
	[REASON_BUSY] = {"busy", "The twin cannot decide now: a part of it is starting.",
			 "Try again in a moment; the agent does so by itself.", false},
};

const char *reason_word(enum reason r)
{
	return table[r].word;
}

const char *reason_meaning(enum reason r)
{
	return table[r].meaning;
}

const char *reason_mend(enum reason r)
{
	return table[r].mend;
}

bool reason_hostile(enum reason r)
{
	return table[r].hostile;
}

enum reason reason_of_x509(enum x509_refusal why)
{
	static const enum reason reasons[] = {
		[X509_GOOD] = REASON_NONE,
		[X509_NONE_GIVEN] = REASON_CERTIFICATE_MISSING,
		[X509_UNKNOWN_AUTHORITY] = REASON_CERTIFICATE_UNKNOWN_AUTHORITY,
		[X509_EXPIRED] = REASON_CERTIFICATE_EXPIRED,
		[X509_NOT_YET_VALID] = REASON_CERTIFICATE_NOT_YET_VALID,
		[X509_IS_REVOKED] = REASON_CERTIFICATE_REVOKED,
		[X509_WRONG_NAME] = REASON_NAME_STOLEN,
		[X509_MALFORMED] = REASON_CERTIFICATE_MALFORMED,
	};
	return (unsigned)why < sizeof reasons / sizeof *reasons ? reasons[why]
								: REASON_CERTIFICATE_MALFORMED;
}

struct verdict verdict_good(void)
{
	return (struct verdict){.reason = REASON_NONE};
}

struct verdict verdict_bad(enum reason r, const char *format, ...)
{
	struct verdict v = {.reason = r};
	va_list args;
	va_start(args, format);
	vsnprintf(v.detail, sizeof v.detail, format, args);
	va_end(args);
	return v;
}
