// SPDX-License-Identifier: Apache-2.0
// Shared by the TPM files and their tests: the TCTI, and the ESYS context underneath.
#pragma once

#include "lib/crypto/tpm.h"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_tcti.h>

enum { TPM_MESSAGE_MAX = 4096 };

struct tpm_tcti {
	TSS2_TCTI_CONTEXT_COMMON_V2 common; // first: ESYS sees only this
	int fd;
	uint8_t response[TPM_MESSAGE_MAX];
	size_t len; // of the response so far
};
void tpm_tcti_init(struct tpm_tcti *t, int fd); // the fd stays the caller's

struct tpm {
	struct tpm_tcti tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR ak; // ESYS_TR_NONE until made
	TPM2B_PUBLIC *ak_public;
};

#define NO_SESSION ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE
#define PASSWORD ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE // of the empty authorization

ESYS_CONTEXT *tpm_esys(struct tpm *t);
struct err tpm_failed(uint32_t rc, const char *what) MUST_USE; // ERR_IO with tpm2-tss's words
uint32_t tpm_code(uint32_t rc); // the TPM's own code, without layer and parameter number
MUST_USE struct err tpm_nv_find(struct tpm *t, uint32_t index, ESYS_TR *nv); // ERR_NOT_FOUND
MUST_USE struct err tpm_ak_make(struct tpm *t);				     // once
