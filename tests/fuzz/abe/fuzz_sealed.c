// SPDX-License-Identifier: Apache-2.0
// Any bytes as a sealed file's head.
#include "lib/abe/payload.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct payload_about about;
	uint64_t plain;
	if (payload_about(data, size, &about).code != ERR_NONE)
		return 0;
	if (about.head > size || about.head > PAYLOAD_HEAD_MOST)
		abort();
	if (payload_size(size - about.head, &plain) && plain > size)
		abort();
	policy_free(about.policy);
	return 0;
}
