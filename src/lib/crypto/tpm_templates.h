// SPDX-License-Identifier: Apache-2.0
// What keys the TPM is asked to make. The EK's must be those of the TCG EK Credential Profile for
// TPM 2.0, byte for byte: only then is the key made the one that its certificate speaks of.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tss2/tss2_tpm2_types.h>

struct tpm_template {
	uint32_t nv;	// where its certificate is
	bool by_policy; // used by PolicySecret(endorsement); else by its empty authorization
	TPM2B_PUBLIC public;
};
extern const struct tpm_template tpm_ek_templates[]; // in order of preference
extern const size_t tpm_ek_templates_n;
extern const TPM2B_PUBLIC tpm_ak_template;
