// SPDX-License-Identifier: Apache-2.0
// Every tile and bundle of a log of 3 entries is the input.

#include "lib/tlog/tiles.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

static struct err get(void *ctx, const char *path, struct buf *out)
{
	const struct input *in = ctx;
	buf_append(out, in->data, in->size);
	return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	const struct tiles_fetch fetch = {get, &in};
	struct tiles_reader *r;
	struct checkpoint c = {.origin = "log", .size = 3};
	struct tiles_check check = {0};
	struct merkle_proof proof;
	bool finished;
	if (tiles_reader_new(&fetch, 3, &r).code)
		abort();
	for (uint64_t i = 0; i < 3; i++) {
		const uint8_t *entry;
		size_t n;
		struct err e = tiles_entry(r, i, &entry, &n);
		if (e.code == ERR_NONE && n + 2 > size)
			abort();
		if (e.code != ERR_NONE && e.code != ERR_CORRUPT)
			abort();
		if (tiles_prove(r, &c, i, &proof).code != ERR_CORRUPT)
			abort(); // nothing leads to a root of zeros
	}
	if (tiles_check_step(&check, r, &c, 1, 10, &finished).code != ERR_CORRUPT)
		abort();
	tiles_reader_free(r);
	return 0;
}
