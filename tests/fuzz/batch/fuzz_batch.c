// SPDX-License-Identifier: Apache-2.0
// BATCH and FEED: what is accepted must be written again as the same bytes, since a record has one
// encoding only.

#include "lib/batch/batch.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool copy(struct cursor *c, const struct batch_head *head, struct buf *out)
{
	struct batch_writer w;
	batch_write_head(&w, out, head);
	for (uint32_t i = 0; i < head->count; i++) {
		struct batch_record r;
		struct err e = batch_read_record(c, &r);
		if (e.code != ERR_NONE) {
			if (e.code != ERR_PEER || !e.text)
				abort();
			return false;
		}
		if (!batch_value_equal(&r.value, &r.value))
			abort();
		batch_write_record(&w, &r);
	}
	batch_write_finish(&w);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(buf) struct buf out = {.limit = BATCH_BYTES_MAX};
	struct cursor c = cursor_over(data, size);
	struct batch_head head;
	struct err e = batch_read_head(&c, &head);
	if (e.code != ERR_NONE) {
		if (e.code != ERR_PEER || !e.text)
			abort();
		return 0;
	}
	if (!copy(&c, &head, &out))
		return 0;
	size_t used = (size_t)(c.at - c.start);
	if (out.failed || out.len != used || memcmp(out.data, data, used) != 0)
		abort();
	return 0;
}
