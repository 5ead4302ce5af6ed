// SPDX-License-Identifier: Apache-2.0
// Any bytes as an encapsulated key: refused, or with every point good and nothing left over. The
// key of the frozen vector that is the seed tries to open it, and only the seed itself opens.
#include "lib/abe/abe_internal.h"

#include "lib/crypto/hash.h"

#include <stdlib.h>
#include <string.h>

static struct abe_public *public;
static struct abe_key *key;

static void end(void)
{
	abe_key_free(key);
	abe_public_free(public);
}

static void begin(void)
{
	struct abe_master *m;
	struct attributes *a;
	blst_fr alpha;
	static const char seed[] = "gemel abe vector 3: alpha"; // as tests/unit/abe/vectors.c
	uint8_t wide[WIDE_BYTES] = {0};
	hash_sha256(seed, sizeof seed - 1, wide + 16);
	if (!scalar_reduce(wide, &alpha) || abe_setup_with(&alpha, &m).code ||
	    abe_master_public(m, &public).code || attributes_parse("b=1,c=1", 7, &a).code ||
	    abe_keygen(m, a, &key).code)
		abort();
	attributes_free(a);
	abe_master_free(m);
	atexit(end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ciphertext c;
	uint8_t shared[ABE_SHARED];
	static uint8_t opened[32];
	static bool any;
	if (!public)
		begin();
	if (ciphertext_read(data, size, &c).code == ERR_NONE) {
		if (size != abe_ciphertext_bytes(c.policy))
			abort();
		ciphertext_clear(&c);
	}
	if (abe_decapsulate(key, public, data, size, shared).code == ERR_NONE) {
		uint8_t hash[32];
		hash_sha256(data, size, hash);
		if (any && memcmp(hash, opened, 32) != 0)
			abort(); // two different ciphertexts open: one was changed
		memcpy(opened, hash, 32);
		any = true;
	}
	return 0;
}
