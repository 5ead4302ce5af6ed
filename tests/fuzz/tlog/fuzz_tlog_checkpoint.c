// SPDX-License-Identifier: Apache-2.0
// Checkpoints: what is accepted without extension lines has one spelling.

#include "lib/tlog/note.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct checkpoint c;
	struct err e = checkpoint_parse((const char *)data, size, &c);
	if (e.code != ERR_NONE) {
		if (e.code != ERR_PEER)
			abort();
		return 0;
	}
	scoped(buf) struct buf b = {0};
	checkpoint_format(&c, &b);
	if (b.failed || b.len > size || memcmp(b.data, data, b.len) != 0 ||
	    c.extended != (b.len < size))
		abort();
	return 0;
}
