// SPDX-License-Identifier: Apache-2.0
// u16 length, bundle; u16 length, plan; envelope. The device is that of the unit tests: the seed is
// taken, and nothing else is, unless it differs only in the bundle.
#include "root.h"

#include "lib/base/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(arena) struct arena *a = arena_new(2 * (size_t)INSTRUCTION_ARENA);
	struct cursor in = cursor_over(data, size);
	struct cursor bundle = cursor_sub(&in, cursor_be16(&in));
	struct cursor plan = cursor_sub(&in, cursor_be16(&in));
	struct instruction_bundle b;
	struct instruction_nonce nonce = {.given_ns = FUZZ_NOW - 1};
	struct instruction_device device = {.device = "fw1",
					    .domain = "campus",
					    .nonces = &nonce,
					    .n_nonces = 1,
					    .sequence = 41,
					    .precondition = {0x11}};
	struct instruction_result r;
	enum instruction_reason why;
	memset(nonce.bytes, 0xa1, sizeof nonce.bytes);
	if (in.failed || fuzz_bundle(bundle.at, cursor_left(&bundle), a, &b, &why).code != ERR_NONE)
		return 0;
	struct err e = instruction_verify(&device, &b, in.at, cursor_left(&in), plan.at,
					  cursor_left(&plan), FUZZ_NOW, a, &r);
	if ((e.code == ERR_NONE) != (r.reason == INSTRUCTION_GOOD))
		abort();
	if (e.code == ERR_NONE && (strcmp(r.plan->device, "fw1") != 0 || r.sequence <= 41 ||
				   (r.cosigned == 0 && !r.unwitnessed)))
		abort();
	return 0;
}
