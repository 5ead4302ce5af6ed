// SPDX-License-Identifier: Apache-2.0
// The verifier (RFC 9334): what a device sends to prove what it is and what it runs, decoded and
// checked, without any state of ours. Formats: lib/gnmi/gemel.proto. A refusal is a verdict with
// its reason, never an error; errors are ours (no memory). X.2011 8.1.1-1, 9.2-source. Used by
// management.
#pragma once

#include "lib/base/mem.h"
#include "lib/ipc/daemon_conf.h"
#include "management/devices.h"

enum { EVIDENCE_MESSAGE_MAX = 65536, EVIDENCE_NONCE = 32 };
enum { EVIDENCE_PCR = 17 }; // what the launcher measured: the only one with reference values

struct Gemel__Enrolment__V1__Evidence;
struct Gemel__Enrolment__V1__CertifiedBatchKey;

// --- tokens

// SHA-256 HMAC by the token's secret (its text) over "gemel enrol v1\n" || body.
bool evidence_token_proof(const char *secret, const uint8_t *body, size_t n, const uint8_t *proof,
			  size_t proof_len);

// --- BeginRequest

struct evidence_begin {
	char device[X509_NAME_MAX + 1], token[65], agent_version[33];
	struct x509_csr csr;
	struct tpm_ek ek; // owned: evidence_begin_clear
	struct tpm_ak ak;
	uint8_t ak_public[DEVICE_AK_MAX];
	size_t ak_len;
};
// Names only: enough to find the token. REASON_REQUEST_MALFORMED.
struct verdict evidence_begin_names(const uint8_t *body, size_t n, struct evidence_begin *out);
// All of it: the CSR, the EK's chain to `makers`, the AK's attributes.
struct verdict evidence_begin_read(const uint8_t *body, size_t n, struct x509_trust *makers,
				   int64_t now_ns, struct evidence_begin *out);
void evidence_begin_clear(struct evidence_begin *b);

// --- quotes

struct evidence_want {
	const char *device;
	const struct tpm_ak *ak;
	const uint8_t *nonce;		     // EVIDENCE_NONCE bytes
	const uint8_t *tls;		     // SHA-256 of the TLS key's SubjectPublicKeyInfo
	const struct conf_items *references; // struct conf_reference
	int64_t now_ns;
};
struct evidence_found {
	struct device_key key; // of batches
	struct tpm_quote quote;
	char pcr17[65], software[65];
};
// The batch key's certification, the quote over nonce and both keys, and what it says of the
// software. A quote by another key than the AK is REASON_KEY_MISMATCH.
struct verdict evidence_appraise(const struct evidence_want *want,
				 const struct Gemel__Enrolment__V1__Evidence *evidence,
				 const struct Gemel__Enrolment__V1__CertifiedBatchKey *key,
				 struct evidence_found *out);
// Name of the reference value, NULL: none has it.
const char *evidence_software(const struct conf_items *references, const char *pcr17);

// --- SubjectPublicKeyInfo (RFC 5480, RFC 8410) of the two algorithms that are used here
MUST_USE struct err evidence_public_read(unsigned algorithm, const uint8_t *spki, size_t n,
					 struct sign_public *out);
