// SPDX-License-Identifier: Apache-2.0
// A chunk (first byte: its codec); what is read is written and read again, and must be the same.
#include "repository/chunk.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct chunk *c, struct arena *a)
{
	struct chunk_writer *w = chunk_writer_new();
	scoped(buf) struct buf out = {0};
	enum chunk_codec codec;
	struct chunk back;
	chunk_write_start(w, c->ticks, c->n_ticks);
	for (size_t i = 0; i < c->n_columns; i++) {
		struct chunk_point *points;
		assert(chunk_read_column(c, &c->columns[i], a, &points).code == ERR_NONE);
		chunk_write_column(w, c->columns[i].series, points, c->columns[i].n);
	}
	assert(chunk_write_finish(w, &out, &codec).code == ERR_NONE);
	chunk_writer_free(w);
	assert(chunk_read(out.data, out.len, codec, a, &back).code == ERR_NONE);
	assert(back.n_columns == c->n_columns && back.n_ticks == c->n_ticks);
	assert(!c->n_ticks || !memcmp(back.ticks, c->ticks, c->n_ticks * sizeof *c->ticks));
	for (size_t i = 0; i < c->n_columns; i++) {
		struct chunk_point *x, *y;
		assert(chunk_read_column(c, &c->columns[i], a, &x).code == ERR_NONE);
		assert(chunk_read_column(&back, &back.columns[i], a, &y).code == ERR_NONE);
		for (uint32_t k = 0; k < c->columns[i].n; k++)
			assert(x[k].tick == y[k].tick && x[k].deleted == y[k].deleted &&
			       (x[k].deleted || batch_value_equal(&x[k].value, &y[k].value)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(arena) struct arena *a = arena_new(256 << 20);
	struct chunk c;
	bool whole = true;
	if (!size || chunk_read(data + 1, size - 1, (enum chunk_codec)(data[0] & 1), a, &c).code)
		return 0;
	for (size_t i = 0; i < c.n_columns && whole; i++) {
		struct chunk_point *points;
		whole = chunk_read_column(&c, &c.columns[i], a, &points).code == ERR_NONE;
	}
	if (whole)
		again(&c, a);
	return 0;
}
