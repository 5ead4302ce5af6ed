// SPDX-License-Identifier: Apache-2.0
// PKCS#10 requests, as a device sends them at enrolment.
#include "lib/crypto/x509.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct x509_csr csr;
	if (x509_csr_read(data, size, &csr).code != ERR_NONE)
		return 0;
	struct verify_key *k; // what is accepted must be a key that works
	if (strnlen(csr.subject, sizeof csr.subject) == sizeof csr.subject ||
	    verify_key_new(csr.key.algorithm, csr.key.bytes, csr.key.len, &k).code != ERR_NONE)
		abort();
	verify_key_free(k);
	return 0;
}
