// SPDX-License-Identifier: Apache-2.0
// A device's TPM 2.0, by tpm2-tss ESYS over a descriptor that is already connected: a stream socket
// that carries raw commands and responses (swtpm --server type=unixio), or /dev/tpmrm0. Nothing is
// opened here, so it works in a closed sandbox. Calls block (some ms with swtpm, up to a second on
// hardware). The verifier's side is tpm_verify.h, which needs no TPM. X.2011 8.1.1-1.
//
// Keys: both are primaries of the endorsement hierarchy made from fixed templates, so a restart
// finds the same keys again and nothing of them is stored.
//   EK  ECC, TCG EK Credential Profile 2.5 template L-2 (P-256, NV 0x01c0000a) or H-3 (P-384, NV
//       0x01c00016), whichever has a certificate: decrypts only, proves which TPM this is
//   AK  P-256, restricted, signing, ECDSA-SHA256: signs only what the TPM itself made (quotes)
// A software key cannot be certified by TPM2_Certify (it is not in the TPM): instead a quote
// carries its hash as qualifying data, see tpm_qualify in tpm_verify.h. Used by agent (keys).
#pragma once

#include "lib/base/mem.h"
#include "lib/crypto/tpm_verify.h"

struct tpm; // opaque; one at a time for each descriptor
// Takes over `fd` (also on failure). Starts the TPM up (TPM2_Startup) if nobody did.
MUST_USE struct err tpm_open(int fd, struct tpm **out);
void tpm_close(struct tpm *t); // NULL is fine; flushes what it loaded
// Manufacturer and firmware for people: "IBM swtpm 8217.4131".
MUST_USE struct err tpm_describe(struct tpm *t, char out[64]);

// The EK certificate from NV, appended in DER. ERR_NOT_FOUND: this TPM has none.
MUST_USE struct err tpm_ek_certificate(struct tpm *t, struct buf *der);
// AK public area (TPMT_PUBLIC, marshalled), appended.
MUST_USE struct err tpm_ak_public(struct tpm *t, struct buf *out);
// TPM2_ActivateCredential for the AK: recovers what tpm_make_credential enclosed. ERR_AUTH: it was
// made for another TPM or another AK. *out: secret_free.
MUST_USE struct err tpm_activate(struct tpm *t, const struct tpm_credential *c,
				 struct secret **out);
// Quote over the SHA-256 bank. `pcrs->mask` says which (0: none); values are filled in, consistent
// with the quote. `attest` (TPMS_ATTEST) and `signature` (ECDSA, DER) are appended.
MUST_USE struct err tpm_quote(struct tpm *t, const uint8_t qualifying[static 32],
			      struct tpm_pcrs *pcrs, struct buf *attest, struct buf *signature);
MUST_USE struct err tpm_pcr_read(struct tpm *t, struct tpm_pcrs *pcrs); // mask in, values out
MUST_USE struct err tpm_pcr_extend(struct tpm *t, unsigned pcr, const uint8_t digest[static 32]);

// A counter that never goes back, at an NV index of the owner (0x01800000 to 0x01bfffff, owner's
// empty authorization). Created and incremented once if missing. ERR_CONFLICT: something else is
// there. tpm_counter_next increments first; *value is what it holds then.
MUST_USE struct err tpm_counter_read(struct tpm *t, uint32_t index, uint64_t *value);
MUST_USE struct err tpm_counter_next(struct tpm *t, uint32_t index, uint64_t *value);
