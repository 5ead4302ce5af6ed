// SPDX-License-Identifier: Apache-2.0
// TPMS_ATTEST of a quote: parsed after its signature was checked, and safe even if it was not.
#include "lib/crypto/tpm_verify.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tpm_attest a;
	if (tpm_attest_read(data, size, &a).code != ERR_NONE)
		return 0;
	const uint8_t *end = data + size;
	if (a.extra < data || a.extra + a.extra_len > end || a.digest < data ||
	    a.digest + a.digest_len != end)
		abort();
	return 0;
}
