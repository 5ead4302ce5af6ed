// SPDX-License-Identifier: Apache-2.0
// Offline proofs: what is accepted is written again as the same bytes.

#include "lib/tlog/proof.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(arena) struct arena *a = arena_new(1 << 20);
	scoped(buf) struct buf b = {0};
	struct tlog_proof p;
	struct err e = tlog_proof_parse((const char *)data, size, a, &p);
	if (e.code != ERR_NONE) {
		if (e.code != ERR_PEER)
			abort();
		return 0;
	}
	tlog_proof_format(&p, &b);
	if (b.failed || b.len != size || memcmp(b.data, data, size) != 0)
		abort();
	const struct tlog_policy policy = {.origin = "twin.example/log", .quorum = 1};
	if (tlog_proof_verify(&p, &policy, "x", 1, NULL, NULL).code == ERR_NONE)
		abort(); // no key is trusted
	return 0;
}
