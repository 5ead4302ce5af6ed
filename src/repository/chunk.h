// SPDX-License-Identifier: Apache-2.0
// A chunk: some minutes of one device's points, by column, as small as they get before sealing.
// All series of a device that change together share the times of their batches (ticks), so a tick
// is written once for a group of columns and not once a point. Pure: bytes in, bytes out.
// Layout: docs/man/gemel-store.5. X.2011 8.3.1-1. Used by repository.
#pragma once

#include "lib/batch/batch.h"

enum {
	CHUNK_FORMAT = 1,
	CHUNK_TICKS_MAX = 65536,
	CHUNK_COLUMNS_MAX = 4096,
	CHUNK_POINTS_MAX = 65536, // of one column
	CHUNK_PLAIN_MAX = 32 << 20,
};

enum chunk_codec { CHUNK_PLAIN = 0, CHUNK_ZSTD = 1 };

struct chunk_tick {
	int64_t time_ns;
	uint64_t revision; // of the batch that it came in
};

struct chunk_point {
	uint32_t tick; // index of the chunk's ticks
	bool deleted;  // the path ceased to be here; value is unset
	struct batch_value value;
};

// Writing: start, column by column (ascending series), finish. The writer may be used again.
struct chunk_writer;			     // opaque
struct chunk_writer *chunk_writer_new(void); // NULL: out of memory
void chunk_writer_free(struct chunk_writer *w);
void chunk_write_start(struct chunk_writer *w, const struct chunk_tick *ticks, size_t n);
void chunk_write_column(struct chunk_writer *w, uint32_t series, const struct chunk_point *points,
			size_t n);
size_t chunk_written(const struct chunk_writer *w); // bytes of columns so far
// Appends the coded chunk to `out`: zstd where that is smaller by a sixteenth, else plain.
MUST_USE struct err chunk_write_finish(struct chunk_writer *w, struct buf *out,
				       enum chunk_codec *codec);

struct chunk_column {
	uint32_t series, n;
	struct cursor bytes;
};

struct chunk {
	struct chunk_tick *ticks;
	size_t n_ticks;
	struct chunk_column *columns;
	size_t n_columns;
};

// Memory is `a`'s. ERR_CORRUPT names what does not fit.
MUST_USE struct err chunk_read(const uint8_t *bytes, size_t n, enum chunk_codec codec,
			       struct arena *a, struct chunk *out);
// The column's `n` points; strings are views into the chunk's memory.
MUST_USE struct err chunk_read_column(const struct chunk *c, const struct chunk_column *column,
				      struct arena *a, struct chunk_point **points);
