// SPDX-License-Identifier: Apache-2.0
// Requests to a witness, and its answer of a size.

#include "lib/tlog/request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(buf) struct buf b = {0};
	struct witness_request r;
	uint64_t n;
	struct err e = witness_request_parse((const char *)data, size, &r);
	if (e.code == ERR_NONE) {
		witness_request_format(&r, &b);
		if (b.failed || b.len != size || memcmp(b.data, data, size) != 0)
			abort();
	} else if (e.code != ERR_PEER) {
		abort();
	}
	e = witness_size_parse((const char *)data, size, &n);
	if (e.code != ERR_NONE && e.code != ERR_PEER)
		abort();
	return 0;
}
