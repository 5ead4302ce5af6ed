// SPDX-License-Identifier: Apache-2.0
// The gNMI Set: what is accepted has one spelling.
#include "lib/instruction/compose.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(arena) struct arena *a = arena_new(INSTRUCTION_ARENA);
	const uint8_t *plan, *envelope;
	size_t plan_len, envelope_len;
	Gemel__Control__V1__Plan *p;
	scoped(buf) struct buf again = {0};
	if (instruction_request_open(data, size, a, &plan, &plan_len, &envelope, &envelope_len)
		    .code != ERR_NONE)
		return 0;
	if (instruction_plan_read(plan, plan_len, a, &p).code != ERR_NONE ||
	    instruction_request_write(p->id, plan, plan_len, envelope, envelope_len, &again).code !=
		    ERR_NONE ||
	    again.len != size || memcmp(again.data, data, size) != 0)
		abort();
	return 0;
}
