// SPDX-License-Identifier: Apache-2.0
// Reading a tile tree. A tile holds each eighth level; the levels between are folded from it when
// they are asked for. A partial tile that is gone is looked for in the full one, which begins with
// the same hashes (tlog-tiles, "Partial Tiles"): a log may delete a partial once it has grown full.

#include "lib/tlog/tiles.h"

#include "lib/base/cursor.h"
#include "lib/tlog/tiles_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	KEPT = 64, // tiles of 8 KiB
	GROUPS_MAX = 6,
};

// --- names

char *tiles_path(const struct tiles_name *t, char out[TILES_PATH_MAX])
{
	unsigned groups[GROUPS_MAX + 1];
	size_t n = 0, at;
	uint64_t rest = t->n;
	do {
		groups[n++] = (unsigned)(rest % 1000);
		rest /= 1000;
	} while (rest && n <= GROUPS_MAX);
	if (t->level == TILES_ENTRIES)
		at = (size_t)snprintf(out, TILES_PATH_MAX, "tile/entries/");
	else
		at = (size_t)snprintf(out, TILES_PATH_MAX, "tile/%d/", t->level);
	while (n--)
		at += (size_t)snprintf(out + at, TILES_PATH_MAX - at, n ? "x%03u/" : "%03u",
				       groups[n]);
	if (t->width < TILES_WIDTH)
		snprintf(out + at, TILES_PATH_MAX - at, ".p/%u", t->width);
	return out;
}

// Three digits; -1 otherwise.
static int group(const char *p)
{
	int v = 0;
	for (int i = 0; i < 3; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + p[i] - '0';
	}
	return v;
}

static bool name_read(const char *p, struct tiles_name *out)
{
	int v = 0, groups = 0;
	*out = (struct tiles_name){.width = TILES_WIDTH};
	if (strncmp(p, "tile/entries/", 13) == 0) {
		out->level = TILES_ENTRIES;
		p += 13;
	} else if (strncmp(p, "tile/", 5) == 0 && p[5] >= '0' && p[5] < '0' + TILES_LEVELS &&
		   p[6] == '/') {
		out->level = p[5] - '0';
		p += 7;
	} else {
		return false;
	}
	for (bool last = false; !last; groups++) {
		last = *p != 'x';
		p += !last;
		if (groups == GROUPS_MAX || (v = group(p)) < 0 || (!last && p[3] != '/'))
			return false;
		out->n = out->n * 1000 + (uint64_t)v;
		p += last ? 3 : 4;
	}
	if (strncmp(p, ".p/", 3) == 0) {
		out->width = 0;
		for (p += 3; *p >= '0' && *p <= '9' && out->width < TILES_WIDTH; p++)
			out->width = out->width * 10 + (unsigned)(*p - '0');
		if (out->width == 0 || out->width >= TILES_WIDTH)
			return false;
	}
	return *p == 0;
}

bool tiles_path_parse(const char *path, struct tiles_name *out)
{
	char again[TILES_PATH_MAX];
	if (strnlen(path, TILES_PATH_MAX) == TILES_PATH_MAX || !name_read(path, out))
		return false;
	if (out->n > (uint64_t)INT64_MAX / TILES_WIDTH)
		return false;
	return strcmp(tiles_path(out, again), path) == 0; // one spelling only
}

// --- files

struct err tiles_fetch_folder(void *fd, const char *path, struct buf *out)
{
	scoped(fd) int file = openat(*(const int *)fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_make(ERR_NOT_FOUND, "%s: no such file", path);
	if (file < 0)
		return err_system("%s", path);
	struct stat st;
	if (fstat(file, &st) != 0)
		return err_system("%s", path);
	ENSURE(S_ISREG(st.st_mode) && st.st_size <= TILES_BUNDLE_MAX, ERR_CORRUPT,
	       "%s: not a file of at most %d bytes", path, TILES_BUNDLE_MAX);
	size_t size = (size_t)st.st_size, at = 0;
	uint8_t *to = buf_space(out, size);
	ENSURE(to, ERR_LIMIT, "%s: no room for %zu bytes", path, size);
	while (at < size) {
		ssize_t n = read(file, to + at, size - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_system("%s", path);
		ENSURE(n > 0, ERR_CORRUPT, "%s: shrinks while it is read", path);
		at += (size_t)n;
	}
	return OK;
}

// --- reader

struct kept {
	int level;
	uint64_t n, used; // used: 0 is an empty place
	unsigned width;
	struct merkle_hash at[TILES_WIDTH];
};

struct tiles_reader {
	struct tiles_fetch fetch;
	uint64_t size, clock;
	struct buf file;   // the last file
	struct buf bundle; // the entries' last file
	uint64_t bundle_n;
	unsigned bundle_width; // 0: none
	uint32_t offset[TILES_WIDTH + 1];
	struct kept kept[KEPT];
};

struct err tiles_reader_new(const struct tiles_fetch *f, uint64_t size, struct tiles_reader **out)
{
	ENSURE(size <= INT64_MAX, ERR_USAGE, "a log of %" PRIu64 " entries: sizes stay below 2^63",
	       size);
	struct tiles_reader *r = calloc(1, sizeof *r);
	ENSURE(r, ERR_LIMIT, "no memory to read tiles");
	r->fetch = *f;
	r->size = size;
	r->file.limit = r->bundle.limit = TILES_BUNDLE_MAX;
	*out = r;
	return OK;
}

void tiles_reader_free(struct tiles_reader *r)
{
	if (!r)
		return;
	buf_clear(&r->file);
	buf_clear(&r->bundle);
	free(r);
}

uint64_t tiles_reader_size(const struct tiles_reader *r)
{
	return r->size;
}

void tiles_reader_grow(struct tiles_reader *r, uint64_t size)
{
	if (size > r->size && size <= INT64_MAX)
		r->size = size;
}

static unsigned width_of(const struct tiles_reader *r, int level, uint64_t n)
{
	uint64_t count = tiles_count(level, r->size), begin = n * TILES_WIDTH;
	if (n > (uint64_t)INT64_MAX / TILES_WIDTH || begin >= count)
		return 0;
	return count - begin < TILES_WIDTH ? (unsigned)(count - begin) : TILES_WIDTH;
}

// Fetches the partial file or, when that is gone, the full one. *width: of the file that came.
static struct err fetch(struct tiles_reader *r, struct tiles_name *t, struct buf *out)
{
	char path[TILES_PATH_MAX];
	buf_reset(out);
	struct err e = r->fetch.get(r->fetch.ctx, tiles_path(t, path), out);
	if (e.code == ERR_NOT_FOUND && t->width < TILES_WIDTH) {
		struct tiles_name full = {t->level, t->n, TILES_WIDTH};
		char other[TILES_PATH_MAX];
		buf_reset(out);
		e = r->fetch.get(r->fetch.ctx, tiles_path(&full, other), out);
		if (e.code == ERR_NONE)
			t->width = TILES_WIDTH;
	}
	if (e.code == ERR_NOT_FOUND)
		return err_make(ERR_CORRUPT, "%s is missing", path);
	TRY(e);
	return buf_check(out, path);
}

static struct kept *place(struct tiles_reader *r, int level, uint64_t n)
{
	struct kept *oldest = &r->kept[0];
	for (size_t i = 0; i < KEPT; i++) {
		struct kept *k = &r->kept[i];
		if (k->used && k->level == level && k->n == n)
			return k;
		if (k->used < oldest->used)
			oldest = k;
	}
	oldest->used = 0;
	return oldest;
}

struct err tiles_reader_tile(struct tiles_reader *r, int level, uint64_t n,
			     const struct merkle_hash **at, unsigned *width)
{
	*width = width_of(r, level, n);
	ENSURE(level >= 0 && level < TILES_LEVELS && *width, ERR_USAGE,
	       "tile %d/%" PRIu64 " is not in a log of %" PRIu64 " entries", level, n, r->size);
	struct kept *k = place(r, level, n);
	if (!k->used || k->width < *width) {
		struct tiles_name t = {level, n, *width};
		char path[TILES_PATH_MAX];
		k->used = 0;
		TRY(fetch(r, &t, &r->file));
		ENSURE(r->file.len == t.width * MERKLE_HASH, ERR_CORRUPT,
		       "%s: %zu bytes instead of %u", tiles_path(&t, path), r->file.len,
		       t.width * MERKLE_HASH);
		memcpy(k->at, r->file.data, r->file.len);
		k->level = level;
		k->n = n;
		k->width = t.width;
	}
	k->used = ++r->clock;
	*at = k->at;
	return OK;
}

// Folds 2^height neighbours into their root.
static void fold(const struct merkle_hash *at, unsigned height, struct merkle_hash *out)
{
	struct merkle_frontier f = {0};
	for (size_t i = 0; i < (size_t)1 << height; i++)
		merkle_append(&f, &at[i], NULL);
	merkle_root(&f, out);
}

static struct err source_hash(void *ctx, unsigned level, uint64_t index, struct merkle_hash *out)
{
	struct tiles_reader *r = ctx;
	const struct merkle_hash *at;
	unsigned width, height = level % MERKLE_STRIDE;
	ENSURE(level < MERKLE_LEVELS && index < r->size >> level, ERR_USAGE,
	       "subtree %u/%" PRIu64 " is not in a log of %" PRIu64 " entries", level, index,
	       r->size);
	uint64_t first = index << height;
	TRY(tiles_reader_tile(r, (int)(level / MERKLE_STRIDE), first / TILES_WIDTH, &at, &width));
	fold(at + first % TILES_WIDTH, height, out);
	return OK;
}

struct merkle_source tiles_source(struct tiles_reader *r)
{
	return (struct merkle_source){source_hash, r};
}

// --- entries

static struct err bundle_read(struct tiles_reader *r, uint64_t n)
{
	struct tiles_name t = {TILES_ENTRIES, n, width_of(r, TILES_ENTRIES, n)};
	char path[TILES_PATH_MAX];
	r->bundle_width = 0;
	TRY(fetch(r, &t, &r->bundle));
	struct cursor c = cursor_over(r->bundle.data, r->bundle.len);
	for (unsigned i = 0; i < t.width; i++) {
		r->offset[i] = (uint32_t)(c.at - c.start);
		cursor_take(&c, cursor_be16(&c));
	}
	r->offset[t.width] = (uint32_t)(c.at - c.start);
	struct err e = cursor_finish(&c, tiles_path(&t, path));
	if (e.code != ERR_NONE)
		return err_make(ERR_CORRUPT, "%s (of %u entries)", e.text, t.width);
	r->bundle_n = n;
	r->bundle_width = t.width;
	return OK;
}

struct err tiles_entry(struct tiles_reader *r, uint64_t index, const uint8_t **bytes, size_t *n)
{
	ENSURE(index < r->size, ERR_USAGE, "entry %" PRIu64 " of a log of %" PRIu64, index,
	       r->size);
	uint64_t bundle = index / TILES_WIDTH;
	unsigned at = (unsigned)(index % TILES_WIDTH);
	if (!r->bundle_width || r->bundle_n != bundle || r->bundle_width <= at)
		TRY(bundle_read(r, bundle));
	*bytes = r->bundle.data + r->offset[at] + 2;
	*n = r->offset[at + 1] - r->offset[at] - 2;
	return OK;
}

struct err tiles_prove(struct tiles_reader *r, const struct checkpoint *c, uint64_t index,
		       struct merkle_proof *out)
{
	struct merkle_source s = tiles_source(r);
	struct merkle_hash leaf;
	ENSURE(c->size <= r->size && index < c->size, ERR_USAGE,
	       "entry %" PRIu64 " under size %" PRIu64 " of a log of %" PRIu64, index, c->size,
	       r->size);
	TRY(merkle_inclusion(&s, c->size, index, out));
	TRY(s.hash(s.ctx, 0, index, &leaf));
	struct err e = merkle_check_inclusion(&leaf, index, c->size, &c->root, out->at, out->n);
	return e.code == ERR_NONE ? OK : err_within(e, "the tiles do not fit the checkpoint");
}
