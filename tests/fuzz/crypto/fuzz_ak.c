// SPDX-License-Identifier: Apache-2.0
// TPMT_PUBLIC of an attestation key, as a device sends it at enrolment.
#include "lib/crypto/tpm_verify.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tpm_ak ak;
	if (tpm_ak_read(data, size, &ak).code != ERR_NONE)
		return 0;
	struct verify_key *k;
	if (verify_key_new(ak.key.algorithm, ak.key.bytes, ak.key.len, &k).code != ERR_NONE)
		abort();
	verify_key_free(k);
	return 0;
}
