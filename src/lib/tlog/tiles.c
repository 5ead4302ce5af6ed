// SPDX-License-Identifier: Apache-2.0
// The writer. In memory is only the right edge: of each level the hashes from the last full tile
// that is published on, and of the entries their bytes from the last full bundle on.
//
//     level 2   [h h h                      base = 0
//     level 1   [h h h h ... h h|h h        base = 256     | what is published
//     level 0   [h h h|h h h h h            base = 66304   | what was appended since
//     entries   [b b b|b b b b b
//
// A round writes, of every level that grew, each tile from the first that is not published full to
// the last. Tile files are made under .stage and linked into place: a link never replaces a file,
// so two writers, or one that was delayed, are found out and not merged. Partial tiles are removed
// when the full tile stands and the checkpoint that needs it is out.

#include "lib/tlog/tiles.h"

#include "lib/crypto/sealedfile.h"
#include "lib/tlog/tiles_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAITING_MAX = 64 << 20 };

struct edge {
	struct merkle_hash *at;
	size_t n, cap;
	uint64_t base; // index of at[0], a multiple of TILES_WIDTH
};

struct tiles {
	int folder, stage, into; // into: where links are being made; -1: nowhere
	char into_path[TILES_PATH_MAX];
	enum tiles_sync sync;
	struct merkle_frontier frontier;
	uint64_t published, staged, announced; // announced: the last checkpoint's, for removal
	struct edge edge[TILES_LEVELS];
	struct buf entries; // from bundle edge[0].base / TILES_WIDTH on
	size_t published_bytes, staged_bytes;
	size_t *start; // of each bundle in `entries`
	size_t n_start, cap_start;
};

// --- memory

static struct err grow(void **at, size_t *cap, size_t n, size_t each)
{
	if (n <= *cap)
		return OK;
	size_t more = *cap ? *cap * 2 : TILES_WIDTH;
	while (more < n)
		more *= 2;
	void *p = reallocarray(*at, more, each);
	ENSURE(p, ERR_LIMIT, "no memory for tiles");
	*at = p;
	*cap = more;
	return OK;
}

static struct err reserve(struct tiles *t)
{
	for (int level = 0; level < TILES_LEVELS; level++) {
		struct edge *e = &t->edge[level];
		void *at = e->at;
		struct err r = grow(&at, &e->cap, e->n + 1, sizeof *e->at);
		e->at = at;
		TRY(r);
	}
	void *start = t->start;
	struct err r = grow(&start, &t->cap_start, t->n_start + 1, sizeof *t->start);
	t->start = start;
	return r;
}

static struct err add_bytes(struct tiles *t, const void *entry, size_t n)
{
	size_t before = t->entries.len;
	buf_be16(&t->entries, (uint16_t)n);
	buf_append(&t->entries, entry, n);
	if (!t->entries.failed)
		return OK;
	t->entries.len = before;
	t->entries.failed = false;
	return err_make(ERR_LIMIT, "no memory for tiles");
}

struct err tiles_append(struct tiles *t, const void *entry, size_t n)
{
	struct merkle_hash leaf, full[MERKLE_STRIDE];
	ENSURE(n <= TILES_ENTRY_MAX, ERR_LIMIT, "an entry of %zu bytes; at most %d", n,
	       TILES_ENTRY_MAX);
	ENSURE(t->entries.len - t->published_bytes + 2 + n <= WAITING_MAX, ERR_LIMIT,
	       "%d bytes of entries wait to be published", WAITING_MAX);
	TRY(reserve(t));
	size_t begin = t->entries.len;
	TRY(add_bytes(t, entry, n));
	if (t->frontier.size % TILES_WIDTH == 0)
		t->start[t->n_start++] = begin;
	merkle_leaf(entry, n, &leaf);
	unsigned levels = merkle_append(&t->frontier, &leaf, full);
	t->edge[0].at[t->edge[0].n++] = leaf;
	for (unsigned i = 0; i < levels; i++)
		t->edge[i + 1].at[t->edge[i + 1].n++] = full[i];
	return OK;
}

uint64_t tiles_size(const struct tiles *t)
{
	return t->frontier.size;
}

uint64_t tiles_published(const struct tiles *t)
{
	return t->published;
}

void tiles_root(const struct tiles *t, struct merkle_hash *out)
{
	merkle_root(&t->frontier, out);
}

const struct merkle_frontier *tiles_frontier(const struct tiles *t)
{
	return &t->frontier;
}

// --- files

static struct err sync_fd(const struct tiles *t, int fd, const char *what)
{
	if (t->sync == TILES_SYNC && fsync(fd) != 0)
		return err_system("syncing %s", what);
	return OK;
}

static struct err write_file(const struct tiles *t, const char *name, const uint8_t *bytes,
			     size_t n)
{
	scoped(fd) int fd =
		openat(t->stage, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_system(".stage/%s", name);
	for (size_t at = 0; at < n;) {
		ssize_t done = write(fd, bytes + at, n - at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_system(".stage/%s", name);
		at += (size_t)done;
	}
	return sync_fd(t, fd, name);
}

static const char *stage_name(const struct tiles_name *n, char out[TILES_PATH_MAX])
{
	snprintf(out, TILES_PATH_MAX, "%d.%" PRIu64 ".%u", n->level, n->n, n->width);
	return out;
}

// Removes every file in a folder. The descriptor stays the caller's.
static struct err empty_folder(int folder, const char *what)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (!d) {
		struct err e = err_system("%s", what);
		scoped_fd(&copy);
		return e;
	}
	struct err e = OK;
	for (struct dirent *f; e.code == ERR_NONE && (f = readdir(d)) != NULL;)
		if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0 &&
		    unlinkat(folder, f->d_name, 0) != 0)
			e = err_system("removing %s/%s", what, f->d_name);
	closedir(d);
	return e;
}

// Calls `each` for every tile that a log which grew from `old` to `size` entries has to write.
static struct err each_tile(struct tiles *t, uint64_t old, uint64_t size,
			    struct err (*each)(struct tiles *t, const struct tiles_name *n))
{
	for (int level = TILES_ENTRIES; level < TILES_LEVELS; level++) {
		uint64_t before = tiles_count(level, old), now = tiles_count(level, size);
		if (before == now)
			continue;
		for (uint64_t n = before / TILES_WIDTH; n * TILES_WIDTH < now; n++) {
			uint64_t left = now - n * TILES_WIDTH;
			struct tiles_name name = {
				level, n, left < TILES_WIDTH ? (unsigned)left : TILES_WIDTH};
			TRY(each(t, &name));
		}
	}
	return OK;
}

static struct err stage_one(struct tiles *t, const struct tiles_name *n)
{
	char name[TILES_PATH_MAX];
	stage_name(n, name);
	if (n->level >= 0) {
		const struct edge *e = &t->edge[n->level];
		return write_file(t, name, e->at[n->n * TILES_WIDTH - e->base].bytes,
				  (size_t)n->width * MERKLE_HASH);
	}
	size_t i = (size_t)(n->n - t->edge[0].base / TILES_WIDTH);
	size_t end = i + 1 < t->n_start ? t->start[i + 1] : t->entries.len;
	return write_file(t, name, t->entries.data + t->start[i], end - t->start[i]);
}

struct err tiles_stage(struct tiles *t)
{
	if (t->staged > t->published) // an earlier round that was never published
		TRY(empty_folder(t->stage, ".stage"));
	t->staged = t->published;
	TRY(each_tile(t, t->published, t->frontier.size, stage_one));
	TRY(sync_fd(t, t->stage, ".stage"));
	t->staged = t->frontier.size;
	t->staged_bytes = t->entries.len;
	return OK;
}

// --- publication

// Opens the folder of `path`, making what is missing. *out: the descriptor.
static struct err folder_of(const struct tiles *t, const char *path, int *out)
{
	char part[TILES_PATH_MAX];
	int at = fcntl(t->folder, F_DUPFD_CLOEXEC, 0);
	if (at < 0)
		return err_system("%s", path);
	for (const char *slash; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		bool made = mkdirat(at, part, 0755) == 0;
		int next =
			made || errno == EEXIST
				? openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
				: -1;
		struct err e = next < 0 ? err_system("folder %s", part)
			       : made	? sync_fd(t, at, part)
					: OK;
		close(at);
		at = next;
		if (e.code != ERR_NONE) {
			scoped_fd(&at);
			return e;
		}
	}
	*out = at;
	return OK;
}

static struct err same_bytes(const struct tiles *t, const char *staged, const char *path)
{
	scoped(buf) struct buf ours = {.limit = TILES_BUNDLE_MAX},
			       theirs = {.limit = TILES_BUNDLE_MAX};
	TRY(tiles_fetch_folder((void *)(uintptr_t)&t->stage, staged, &ours));
	TRY(tiles_fetch_folder((void *)(uintptr_t)&t->folder, path, &theirs));
	ENSURE(ours.len == theirs.len && memcmp(ours.data, theirs.data, ours.len) == 0,
	       ERR_CONFLICT, "%s is there with other bytes: another writer published it", path);
	return OK;
}

// Leaves the folder that links were last made in, and makes them durable, all at once.
static struct err leave_folder(struct tiles *t)
{
	struct err e = t->into < 0 ? OK : sync_fd(t, t->into, t->into_path);
	scoped_fd(&t->into);
	t->into = -1;
	return e;
}

static struct err enter_folder(struct tiles *t, const char *path)
{
	size_t n = (size_t)(strrchr(path, '/') - path);
	if (t->into >= 0 && strlen(t->into_path) == n && memcmp(t->into_path, path, n) == 0)
		return OK;
	TRY(leave_folder(t));
	memcpy(t->into_path, path, n);
	t->into_path[n] = 0;
	return folder_of(t, path, &t->into);
}

static struct err publish_one(struct tiles *t, const struct tiles_name *n)
{
	char path[TILES_PATH_MAX], name[TILES_PATH_MAX];
	tiles_path(n, path);
	stage_name(n, name);
	TRY(enter_folder(t, path));
	if (linkat(t->stage, name, t->into, strrchr(path, '/') + 1, 0) == 0)
		return OK;
	if (errno != EEXIST)
		return err_system("publishing %s", path);
	return same_bytes(t, name, path);
}

static struct err unstage_one(struct tiles *t, const struct tiles_name *n)
{
	char name[TILES_PATH_MAX];
	if (unlinkat(t->stage, stage_name(n, name), 0) != 0)
		return err_system(".stage/%s", name);
	return OK;
}

// Forgets what stands in full tiles.
static void forget(struct tiles *t)
{
	size_t bundles = (size_t)((t->published - t->edge[0].base) / TILES_WIDTH);
	if (bundles) {
		size_t bytes = bundles < t->n_start ? t->start[bundles] : t->entries.len;
		if (t->entries.len > bytes)
			memmove(t->entries.data, t->entries.data + bytes, t->entries.len - bytes);
		t->entries.len -= bytes;
		t->published_bytes -= bytes;
		t->n_start -= bundles;
		for (size_t i = 0; i < t->n_start; i++)
			t->start[i] = t->start[i + bundles] - bytes;
	}
	for (int level = 0; level < TILES_LEVELS; level++) {
		struct edge *e = &t->edge[level];
		uint64_t base = tiles_count(level, t->published) / TILES_WIDTH * TILES_WIDTH;
		size_t gone = (size_t)(base - e->base);
		if (!gone)
			continue;
		memmove(e->at, e->at + gone, (e->n - gone) * sizeof *e->at);
		e->n -= gone;
		e->base = base;
	}
}

struct err tiles_publish(struct tiles *t)
{
	if (t->staged == t->published)
		return OK;
	struct err e = each_tile(t, t->published, t->staged, publish_one);
	struct err left = leave_folder(t);
	TRY(e);
	TRY(left);
	TRY(each_tile(t, t->published, t->staged, unstage_one));
	t->published = t->staged;
	t->published_bytes = t->staged_bytes;
	forget(t);
	return OK;
}

// A folder of partial tiles whose full one stands. Left-overs do no harm, so that none is an error.
static struct err drop_partials(struct tiles *t, const struct tiles_name *n)
{
	char path[TILES_PATH_MAX];
	struct tiles_name any = {n->level, n->n, 1};
	if (n->width < TILES_WIDTH)
		return OK;
	tiles_path(&any, path);
	*strrchr(path, '/') = 0;
	int folder = openat(t->folder, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return OK;
	err_ignore(empty_folder(folder, path));
	close(folder);
	unlinkat(t->folder, path, AT_REMOVEDIR);
	return OK;
}

struct err tiles_checkpoint(struct tiles *t, const void *note, size_t n)
{
	TRY(sealedfile_replace(t->folder, "checkpoint", note, n));
	TRY(each_tile(t, t->announced, t->published, drop_partials));
	t->announced = t->published;
	return OK;
}

// --- opening

static struct err load_edges(struct tiles *t, struct tiles_reader *r)
{
	uint64_t size = t->frontier.size;
	TRY(reserve(t)); // a right edge has fewer than TILES_WIDTH hashes: it fits
	for (int level = 0; level < TILES_LEVELS; level++) {
		struct edge *e = &t->edge[level];
		uint64_t count = tiles_count(level, size);
		const struct merkle_hash *at;
		unsigned width;
		e->n = (size_t)(count % TILES_WIDTH);
		e->base = count - e->n;
		if (!e->n)
			continue;
		TRY(tiles_reader_tile(r, level, count / TILES_WIDTH, &at, &width));
		memcpy(e->at, at, e->n * sizeof *at);
	}
	for (uint64_t i = t->edge[0].base; i < size; i++) {
		const uint8_t *entry;
		size_t n;
		struct merkle_hash leaf;
		TRY(tiles_entry(r, i, &entry, &n));
		merkle_leaf(entry, n, &leaf);
		ENSURE(merkle_equal(&leaf, &t->edge[0].at[i - t->edge[0].base]), ERR_CORRUPT,
		       "entry %" PRIu64 " does not fit its leaf in the tiles", i);
		TRY(add_bytes(t, entry, n));
	}
	if (t->edge[0].n)
		t->start[t->n_start++] = 0;
	t->published_bytes = t->entries.len;
	return OK;
}

static struct err load(struct tiles *t, uint64_t size, const struct merkle_hash *root)
{
	struct tiles_reader *r = NULL;
	const struct tiles_fetch folder = {tiles_fetch_folder, &t->folder};
	TRY(tiles_reader_new(&folder, size, &r));
	struct merkle_source source = tiles_source(r);
	struct err e = merkle_load(&source, size, &t->frontier);
	struct merkle_hash is;
	if (e.code == ERR_NONE) {
		merkle_root(&t->frontier, &is);
		if (root && !merkle_equal(&is, root))
			e = err_make(ERR_CORRUPT,
				     "the tiles of %" PRIu64 " entries lead to another root than "
				     "the signed one",
				     size);
	}
	if (e.code == ERR_NONE)
		e = load_edges(t, r);
	tiles_reader_free(r);
	return e;
}

static struct err open_folders(struct tiles *t, int folder)
{
	t->folder = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	if (t->folder < 0)
		return err_system("tiles: folder");
	if (mkdirat(folder, ".stage", 0700) != 0 && errno != EEXIST)
		return err_system("making .stage");
	t->stage = openat(folder, ".stage", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (t->stage < 0)
		return err_system(".stage");
	return empty_folder(t->stage, ".stage");
}

struct err tiles_open(int folder, uint64_t size, const struct merkle_hash *root,
		      enum tiles_sync sync, struct tiles **out)
{
	struct tiles *t = calloc(1, sizeof *t);
	ENSURE(t, ERR_LIMIT, "no memory for tiles");
	t->folder = t->stage = t->into = -1;
	t->sync = sync;
	t->entries.limit = WAITING_MAX + TILES_BUNDLE_MAX;
	struct err e = open_folders(t, folder);
	if (e.code == ERR_NONE)
		e = load(t, size, root);
	if (e.code != ERR_NONE) {
		tiles_close(t);
		return e;
	}
	t->published = t->staged = t->announced = size;
	*out = t;
	return OK;
}

void tiles_close(struct tiles *t)
{
	if (!t)
		return;
	scoped_fd(&t->folder);
	scoped_fd(&t->stage);
	for (int level = 0; level < TILES_LEVELS; level++)
		free(t->edge[level].at);
	buf_clear(&t->entries);
	free(t->start);
	free(t);
}
