// SPDX-License-Identifier: Apache-2.0
// Any bytes as a key file of each kind: refused, or written again as the same bytes.
#include "lib/abe/abe.h"

#include <stdlib.h>
#include <string.h>

static void same(const uint8_t *data, size_t size, struct secret *s)
{
	if (secret_size(s) != size || memcmp(secret_bytes(s), data, size) != 0)
		abort();
	secret_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct abe_public *p;
	struct abe_master *m;
	struct abe_key *k;
	struct secret *s;
	if (abe_public_read(data, size, &p).code == ERR_NONE) {
		if (size != ABE_PUBLIC_BYTES || memcmp(abe_public_bytes(p), data, size) != 0)
			abort();
		abe_public_free(p);
	}
	if (abe_master_read(data, size, &m).code == ERR_NONE) {
		if (abe_master_write(m, &s).code)
			abort();
		same(data, size, s);
		abe_master_free(m);
	}
	if (abe_key_read(data, size, &k).code == ERR_NONE) {
		if (abe_key_write(k, &s).code)
			abort();
		same(data, size, s);
		abe_key_free(k);
	}
	return 0;
}
