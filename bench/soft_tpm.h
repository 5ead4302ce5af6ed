// SPDX-License-Identifier: Apache-2.0
// A TPM's part in joining, without a TPM: an endorsement key with its manufacturer's certificate, an
// attestation key, ActivateCredential and quotes (TPM 2.0 Library Part 1 sections 11.4.10 and 24,
// Part 2 sections 10.12 and 12.2). It proves nothing about where the keys are, which is why only a
// bench's gemeld is told to believe its manufacturer. For simulated devices.
#pragma once

#include "lib/crypto/sign.h"
#include "lib/crypto/tpm_verify.h"

struct soft_maker { // a manufacturer's authority, for one run
	struct sign_key *key;
	struct buf root; // DER
};
MUST_USE struct err soft_maker_init(struct soft_maker *m, const char *name);
MUST_USE struct err soft_maker_write(const struct soft_maker *m, const char *path); // PEM
void soft_maker_clear(struct soft_maker *m);

struct soft_tpm {
	struct evp_pkey_st *ek;
	struct sign_key *ak;
	struct buf ek_certificate; // DER
	struct buf ak_public;	   // TPMT_PUBLIC
	uint8_t ak_name[TPM_NAME];
	struct tpm_pcrs pcrs; // mask: those that it has
	uint64_t clock_ms;
};
MUST_USE struct err soft_tpm_init(struct soft_tpm *t, const struct soft_maker *m, const char *serial,
				  const struct tpm_pcrs *pcrs);
void soft_tpm_clear(struct soft_tpm *t);
// ERR_AUTH: made for another TPM or another AK. *out: secret_free.
MUST_USE struct err soft_tpm_activate(const struct soft_tpm *t, const struct tpm_credential *c,
				      struct secret **out);
// Over the PCRs of `mask`, as tpm_quote: TPMS_ATTEST and a DER signature are appended.
MUST_USE struct err soft_tpm_quote(struct soft_tpm *t, const uint8_t qualifying[static 32],
				   uint32_t mask, struct buf *attest, struct buf *signature);
