// SPDX-License-Identifier: Apache-2.0
// Records of a segment, one after the other, as they are read again after a power cut.
#include "agent/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_over(data, n);
	struct spool_record r;
	while (cursor_left(&c) && spool_record_read(&c, &r).code == ERR_NONE)
		;
	return 0;
}
