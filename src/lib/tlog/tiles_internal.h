// SPDX-License-Identifier: Apache-2.0
// Between the files of tiles, inside lib/tlog only.
#pragma once

#include "lib/tlog/tiles.h"

// The hashes of a tile as far as they exist at the reader's size; a view, good until the next call.
MUST_USE struct err tiles_reader_tile(struct tiles_reader *r, int level, uint64_t n,
				      const struct merkle_hash **at, unsigned *width);

// How many hashes of this level a tree of `size` entries has.
static inline uint64_t tiles_count(int level, uint64_t size)
{
	return level <= 0 ? size : size >> (MERKLE_STRIDE * level);
}

enum { TILES_LEVELS = 8 };
