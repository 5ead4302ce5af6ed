// SPDX-License-Identifier: Apache-2.0
// A bundle that the root signed, whatever is in it; and the same bytes as if they were signed.
#include "root.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(arena) struct arena *a = arena_new(INSTRUCTION_ARENA);
	static const struct instruction_bundle_memory none;
	struct instruction_bundle b;
	enum instruction_reason why;
	scoped(buf) struct buf again = {0};
	struct err e = fuzz_bundle(data, size, a, &b, &why);
	if ((e.code == ERR_NONE) != (why == INSTRUCTION_GOOD))
		abort();
	// What is believed has one spelling, and the root would have written it.
	if (e.code == ERR_NONE && (instruction_bundle_write(b.message, &again).code != ERR_NONE ||
				   again.len != size || memcmp(again.data, data, size) != 0))
		abort();
	e = instruction_bundle_open(data, size, sign_key_public(fuzz_root()), 1, "campus", &none,
				    FUZZ_NOW, a, &b, &why);
	if (e.code == ERR_NONE)
		abort();
	return 0;
}
