// SPDX-License-Identifier: Apache-2.0
// The whole log, entry by entry: nothing is sampled. The right edge is the only state, so a check
// stops after any entry and goes on from a copy of it.

#include "lib/tlog/tiles.h"
#include "lib/tlog/tiles_internal.h"

#include <inttypes.h>

static struct err bad(struct tiles_check *c, uint64_t first, uint64_t last, const char *why)
{
	c->bad_first = first;
	c->bad_last = last;
	return err_make(ERR_CORRUPT,
			"%s; first bad index %" PRIu64 ", last good checkpoint %" PRIu64, why,
			first, c->good_size);
}

// Files that are missing or of a wrong length say so themselves; here it is said where that is.
static struct err unreadable(struct tiles_check *c, const struct tiles_reader *r, struct err e)
{
	if (e.code != ERR_CORRUPT)
		return e;
	uint64_t first = c->done.size, last = first | (TILES_WIDTH - 1);
	return bad(c, first, last < tiles_reader_size(r) ? last : tiles_reader_size(r) - 1, e.text);
}

static struct err same_hash(struct tiles_check *c, struct tiles_reader *r, int level,
			    uint64_t index, const struct merkle_hash *want)
{
	const struct merkle_hash *at;
	unsigned width;
	struct err e = tiles_reader_tile(r, level, index / TILES_WIDTH, &at, &width);
	if (e.code != ERR_NONE)
		return unreadable(c, r, e);
	if (merkle_equal(&at[index % TILES_WIDTH], want))
		return OK;
	uint64_t span = (uint64_t)1 << (MERKLE_STRIDE * level), first = index * span;
	return bad(c, first, first + span - 1,
		   level ? "a tile's hash is not that of the tile below it"
			 : "an entry does not fit its leaf");
}

static struct err one(struct tiles_check *c, struct tiles_reader *r)
{
	const uint8_t *entry;
	size_t n;
	struct merkle_hash leaf, full[MERKLE_STRIDE];
	struct err e = tiles_entry(r, c->done.size, &entry, &n);
	if (e.code != ERR_NONE)
		return unreadable(c, r, e);
	merkle_leaf(entry, n, &leaf);
	TRY(same_hash(c, r, 0, c->done.size, &leaf));
	struct merkle_frontier next = c->done;
	unsigned levels = merkle_append(&next, &leaf, full);
	for (unsigned i = 0; i < levels; i++)
		TRY(same_hash(c, r, (int)i + 1, tiles_count((int)i + 1, next.size) - 1, &full[i]));
	c->done = next;
	return OK;
}

struct err tiles_check_step(struct tiles_check *c, struct tiles_reader *r,
			    const struct checkpoint *checkpoints, size_t n, uint64_t most,
			    bool *finished)
{
	*finished = false;
	ENSURE(n, ERR_USAGE, "a check needs a signed checkpoint");
	for (size_t i = 0; i < n; i++)
		ENSURE((i == 0 || checkpoints[i - 1].size <= checkpoints[i].size) &&
			       checkpoints[i].size <= tiles_reader_size(r),
		       ERR_USAGE, "checkpoints must ascend, and not pass size %" PRIu64,
		       tiles_reader_size(r));
	for (size_t i = 0; i < n; i++) {
		const struct checkpoint *k = &checkpoints[i];
		struct merkle_hash root;
		for (; c->done.size < k->size; most--) {
			if (most == 0)
				return OK;
			TRY(one(c, r));
		}
		if (c->done.size > k->size)
			continue; // held in an earlier step
		merkle_root(&c->done, &root);
		if (!merkle_equal(&root, &k->root))
			return bad(c, c->good_size, k->size ? k->size - 1 : 0,
				   "the entries do not lead to the signed root");
		c->good_size = k->size;
	}
	*finished = true;
	return OK;
}
