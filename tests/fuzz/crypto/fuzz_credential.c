// SPDX-License-Identifier: Apache-2.0
// A credential as the twin sends it to a device: what is read writes back as it was.
#include "lib/crypto/tpm_verify.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tpm_credential c;
	struct cursor in = cursor_over(data, size);
	if (tpm_credential_read(&in, &c).code != ERR_NONE)
		return 0;
	scoped(buf) struct buf out = {0};
	tpm_credential_write(&c, &out);
	if (out.len != (size_t)(in.at - data) || memcmp(out.data, data, out.len) != 0)
		abort();
	return 0;
}
