// SPDX-License-Identifier: Apache-2.0
// The verifier of attestation (RFC 9334), without a TPM: TPM 2.0 Library Part 1 (credential
// protection, section 24; KDFa and KDFe, section 11.4.10) and Part 2 (structures), with OpenSSL's
// primitives. Foreign bytes are read through struct cursor. X.2011 8.1.1-1.
// Used by management (verifier), agent (to prepare evidence), tests.
#pragma once

#include "lib/base/cursor.h"
#include "lib/base/mem.h"
#include "lib/crypto/x509.h"

enum {
	TPM_PCRS = 24,
	TPM_NAME = 34, // u16 algorithm || SHA-256
	TPM_NONCE_MAX = 64,
	TPM_ATTEST_MAX = 2048,
	TPM_CREDENTIAL_MAX = 32, // bytes of secret in a credential
};

struct tpm_pcrs {		     // SHA-256 bank
	uint32_t mask;		     // bit i: PCR i
	uint8_t value[TPM_PCRS][32]; // those in the mask
};
// SHA-256 of the values, in order of number: what a quote holds.
void tpm_pcrs_digest(const struct tpm_pcrs *pcrs, uint8_t out[32]);

// What encloses a secret for one TPM and one AK (TPM2_MakeCredential's outputs, without the outer
// TPM2B sizes).
struct tpm_credential {
	uint8_t blob[192]; // TPMS_ID_OBJECT: integrity HMAC || encrypted identity
	size_t blob_len;
	uint8_t seed[512]; // TPMS_ECC_POINT (ephemeral) or, for an RSA EK, the OAEP ciphertext
	size_t seed_len;
};
void tpm_credential_write(const struct tpm_credential *c, struct buf *out); // u16-prefixed, both
MUST_USE struct err tpm_credential_read(struct cursor *in, struct tpm_credential *out);

struct tpm_ak { // an attestation key that may be believed once its credential was activated
	struct sign_public key; // P-256
	uint8_t name[TPM_NAME]; // TPM object name: what MakeCredential binds to
};
// Checks that it is P-256, ECDSA-SHA256, restricted, signing only, fixedTPM, fixedParent, made in
// the TPM. ERR_AUTH names the attribute that is wrong; ERR_PEER for malformed bytes.
MUST_USE struct err tpm_ak_read(const uint8_t *tpmt_public, size_t n, struct tpm_ak *out);

// The EK certificate chains to one of `roots` (manufacturers) now, and says that it is an EK (EKU
// tcg-kp-EKCertificate, 2.23.133.8.1). `between`: PEM of intermediates, may be NULL. ERR_AUTH.
struct tpm_ek {
	struct evp_pkey_st *key; // owned: tpm_ek_clear
	uint8_t fingerprint[32]; // SHA-256 of the certificate
	uint8_t spki[32];
	char subject[128], issuer[128];
};
MUST_USE struct err tpm_ek_verify(const uint8_t *der, size_t n, struct x509_trust *roots,
				  const char *between, int64_t now_ns, struct tpm_ek *out);
// Reads the certificate without trust (tests, displays).
MUST_USE struct err tpm_ek_read(const uint8_t *der, size_t n, struct tpm_ek *out);
void tpm_ek_clear(struct tpm_ek *ek);

// Encloses `secret` (at most 32 bytes) so that only the TPM with this EK, holding a key of this
// name, can read it. EK on P-256 or P-384 (templates L-2, H-3), or RSA 2048 (L-1).
MUST_USE struct err tpm_make_credential(const struct tpm_ek *ek, const uint8_t ak_name[TPM_NAME],
					const struct secret *secret, struct tpm_credential *out);

// Qualifying data that binds software keys to a quote:
//     SHA-256("gemel attest v1\n" || u16 length, context || u16 length, nonce ||
//             u16 count || count times (u8 algorithm, u16 length, public key))
// `context` says what it is for and for whom ("enrol r1", "session r1 <channel binding>").
// ERR_USAGE: more than 1024 bytes of context, TPM_NONCE_MAX of nonce, 16 keys.
MUST_USE struct err tpm_qualify(const char *context, const uint8_t *nonce, size_t nonce_len,
				const struct sign_public *const *keys, size_t n_keys,
				uint8_t out[32]);

struct tpm_quote {
	uint64_t clock_ms; // TPM clock, never goes back between clears
	uint32_t resets, restarts;
	bool safe; // the clock was not rolled back by a power cut
	uint64_t firmware;
	uint32_t pcr_mask;
};
// Full check of a quote: made by a TPM (magic, type), signed by the AK, over this qualifying data,
// over exactly the PCRs of `pcrs` with these values. ERR_AUTH says which of these failed.
MUST_USE struct err tpm_quote_verify(const struct tpm_ak *ak, const uint8_t *attest, size_t n,
				     const uint8_t *signature, size_t signature_len,
				     const uint8_t qualifying[static 32],
				     const struct tpm_pcrs *pcrs, struct tpm_quote *out);
// TPMS_ATTEST of a quote, parsed only. Views into `attest`. ERR_PEER.
struct tpm_attest {
	const uint8_t *extra; // qualifying data
	size_t extra_len;
	const uint8_t *digest; // PCR digest
	size_t digest_len;
	struct tpm_quote quote;
};
MUST_USE struct err tpm_attest_read(const uint8_t *attest, size_t n, struct tpm_attest *out);
