// SPDX-License-Identifier: Apache-2.0
// Numbers of TPM 2.0 Library Part 2 that the verifier needs, so that it builds without tpm2-tss.
#pragma once

#define TPM_GENERATED 0xff544347u

enum {
	TPM_ST_QUOTE = 0x8018,
	TPM_ALG_SHA256 = 0x000b,
	TPM_ALG_NULL = 0x0010,
	TPM_ALG_ECDSA = 0x0018,
	TPM_ALG_ECC = 0x0023,
	TPM_ECC_P256 = 0x0003,
};

enum { // TPMA_OBJECT
	TPM_FIXED_TPM = 1 << 1,
	TPM_FIXED_PARENT = 1 << 4,
	TPM_SENSITIVE_ORIGIN = 1 << 5,
	TPM_RESTRICTED = 1 << 16,
	TPM_DECRYPT = 1 << 17,
	TPM_SIGN = 1 << 18,
};
