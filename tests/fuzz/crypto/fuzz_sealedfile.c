// SPDX-License-Identifier: Apache-2.0
// Sealed files from a disk that somebody else wrote to. The key is fixed, so that the seeds open;
// nothing but a whole seed ever does.
#include "lib/crypto/sealedfile.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(secret) struct secret *key = secret_new(32);
	struct secret *out = NULL;
	if (!key)
		abort();
	memset(secret_bytes(key), 0x42, 32);
	struct sealedfile_lock lock = {.key = key};
	if (sealedfile_decode(&lock, "fuzz v1", data, size, &out).code == ERR_NONE &&
	    (secret_size(out) != 7 || memcmp(secret_bytes(out), "private", 7) != 0))
		abort();
	secret_free(out);
	return 0;
}
