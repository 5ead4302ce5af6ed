// SPDX-License-Identifier: Apache-2.0
// The tree over the entries, and whether it, its checkpoint and the entries tell one story. Tiles
// hold what a signed head covers; behind them stand entries of the store and the journal, from
// which the tree is grown again at each start. An entry below the signed size that does not fit its
// leaf, a tile that does not fit the signed root, or fewer entries than were signed: the ledger was
// altered, shortened or forked, and nothing more is taken in. X.2011 8.3.3-9.
#include "repository/ledger_internal.h"

#include "lib/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAIL = 256, ENTRY_ARENA = 1 << 20 };

// --- opening

static struct err last_row(void *ctx, const struct store_row *row, bool *more)
{
	struct ledger *l = ctx;
	struct row_info info;
	*more = false;
	ENSURE(row->key_len == 8, ERR_CORRUPT, "a ledger row has a broken key");
	TRY(row_info_read(row, &info));
	l->stored = key_u64(row->key) + info.n;
	return OK;
}

static struct err read_stored(struct ledger *l)
{
	const struct store_scan scan = {.table = STORE_LEDGER,
					.backward = true,
					.heads_only = true,
					.each = last_row,
					.ctx = l};
	struct err e = store_scan(l->r->store, &scan);
	l->size = l->synced = l->stored;
	return e;
}

static struct err read_checkpoint(struct ledger *l, struct buf *note, struct checkpoint *out)
{
	struct err e = tiles_fetch_folder(&l->folder, "checkpoint", note);
	*out = (struct checkpoint){0};
	if (e.code == ERR_NOT_FOUND) {
		buf_reset(note);
		merkle_empty(&out->root);
		return OK; // a new ledger
	}
	TRY(e);
	struct note n;
	e = note_parse((const char *)note->data, note->len, &n);
	if (e.code == ERR_NONE)
		e = checkpoint_parse(n.text, n.text_len, out);
	return e.code == ERR_NONE ? OK : err_make(ERR_CORRUPT, "checkpoint: %s", e.text);
}

static struct err open_tree(struct ledger *l)
{
	const struct tiles_fetch fetch = {tiles_fetch_folder, &l->folder};
	scoped(buf) struct buf note = {.limit = NOTE_MAX};
	struct checkpoint c;
	TRY(read_checkpoint(l, &note, &c));
	struct checkpoint same = c;
	TRY(ledger_head_signatures(l, &note, &same));
	TRY(tiles_open(l->folder, c.size, &c.root, TILES_SYNC, &l->tiles));
	TRY(tiles_reader_new(&fetch, c.size, &l->reader));
	l->signed_size = c.size;
	l->head = c;
	return note.len ? ledger_head_open(l, buf_text(&note), note.len)
			: ledger_head_open(l, "", 0);
}

static void remember(struct ledger *l, struct err e)
{
	if (!l->broken)
		snprintf(l->why, sizeof l->why, "%s", e.text);
	l->broken = true;
}

struct err ledger_open(struct repository *r, int folder, struct ledger **out)
{
	struct ledger *l = calloc(1, sizeof *l);
	ENSURE(l, ERR_LIMIT, "no memory for the ledger");
	l->r = r;
	l->next_id = 1;
	l->kept.limit = (size_t)256 << 20;
	l->folder = dup(folder);
	struct err e = l->folder < 0 ? err_system("ledger folder") : read_stored(l);
	if (e.code == ERR_NONE || e.code == ERR_CORRUPT) {
		if (e.code == ERR_CORRUPT)
			remember(l, e);
		e = open_tree(l);
	}
	if (e.code == ERR_CORRUPT) { // told by ledger_check; what there is can still be read
		remember(l, e);
		e = OK;
	}
	if (e.code != ERR_NONE) {
		ledger_close(l);
		return e;
	}
	*out = l;
	return OK;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	ledger_head_close(l);
	tiles_reader_free(l->reader);
	tiles_close(l->tiles);
	if (l->folder >= 0)
		close(l->folder);
	buf_clear(&l->kept);
	buf_clear(&l->group);
	free(l->group_at);
	free(l->kept_at);
	free(l->waiting);
	free(l);
}

void ledger_break(struct ledger *l, struct err e)
{
	if (l->broken)
		return;
	remember(l, e);
	l->r->read_only = true;
	repository_alert(l->r, "forked", "ledger", l->why);
	if (!l->r->offline)
		devices_grant_all(l->r); // takes the grants back
}

// --- growing

static struct err leaf_fits(struct ledger *l, uint64_t index, const void *leaf, size_t n)
{
	struct merkle_source source = tiles_source(l->reader);
	struct merkle_hash have, want;
	struct err e = source.hash(source.ctx, 0, index, &want);
	if (e.code != ERR_NONE)
		return err_make(e.code == ERR_IO ? ERR_IO : ERR_CORRUPT,
				"ledger entry %" PRIu64 ": %s", index, e.text);
	merkle_leaf(leaf, n, &have);
	ENSURE(merkle_equal(&have, &want), ERR_CORRUPT,
	       "ledger entry %" PRIu64 " is not the one whose leaf is in the tree", index);
	return OK;
}

struct err ledger_tree_append(struct ledger *l, const void *leaf, size_t n)
{
	if (!l->tiles || l->broken)
		return OK; // has been, or will be, told
	if (l->size < l->signed_size && l->size < tiles_published(l->tiles)) {
		struct err e = leaf_fits(l, l->size, leaf, n);
		if (e.code == ERR_CORRUPT) {
			remember(l, e);
			e = OK;
		}
		return e;
	}
	if (l->size != tiles_size(l->tiles))
		return OK; // behind: ledger_tree_catch_up
	struct err e = tiles_append(l->tiles, leaf, n);
	return e.code == ERR_LIMIT ? OK : e; // waits for keys; the store keeps the entry meanwhile
}

static struct err append_stored(struct ledger *l, uint64_t index)
{
	struct ledger_entry e;
	scoped(arena) struct arena *a = arena_new(ENTRY_ARENA);
	scoped(buf) struct buf leaf = {.limit = 1024};
	ENSURE(a, ERR_LIMIT, "no memory for a ledger entry");
	TRY(ledger_get(l, index, a, &e));
	ledger_leaf(&e, &leaf);
	TRY(buf_check(&leaf, "ledger leaf"));
	return tiles_append(l->tiles, leaf.data, leaf.len);
}

struct err ledger_tree_catch_up(struct ledger *l, uint64_t most)
{
	while (most-- && tiles_size(l->tiles) < l->size) {
		struct err e = append_stored(l, tiles_size(l->tiles));
		if (e.code == ERR_LIMIT)
			return OK; // published first, then on
		TRY(e);
	}
	return OK;
}

// --- agreement

struct err ledger_entry_check(struct ledger *l, const struct ledger_entry *e)
{
	scoped(buf) struct buf leaf = {.limit = 1024};
	if (!l->reader || e->index >= tiles_reader_size(l->reader))
		return OK; // not under a signed head yet
	ledger_leaf(e, &leaf);
	TRY(buf_check(&leaf, "ledger leaf"));
	return leaf_fits(l, e->index, leaf.data, leaf.len);
}

// The last entries at each start; all of them in a verification.
static struct err check_tail(struct ledger *l)
{
	uint64_t upto = tiles_reader_size(l->reader);
	for (uint64_t i = upto > TAIL ? upto - TAIL : 0; i < upto; i++) {
		struct ledger_entry e;
		scoped(arena) struct arena *a = arena_new(ENTRY_ARENA);
		ENSURE(a, ERR_LIMIT, "no memory for a ledger entry");
		TRY(ledger_get(l, i, a, &e));
		TRY(ledger_entry_check(l, &e));
	}
	return OK;
}

static struct err check(struct ledger *l)
{
	ENSURE(!l->broken && l->tiles, ERR_CORRUPT, "%s", l->why);
	ENSURE(l->size >= l->signed_size, ERR_CORRUPT,
	       "%" PRIu64 " entries were signed, and %" PRIu64 " are here: it was shortened",
	       l->signed_size, l->size);
	ENSURE(l->head.size >= l->r->signed_ledger, ERR_CORRUPT,
	       "the store remembers a head of %" PRIu64 " entries; the checkpoint is of %" PRIu64,
	       l->r->signed_ledger, l->head.size);
	TRY(ledger_head_check(l));
	TRY(check_tail(l));
	return ledger_tree_catch_up(l, UINT64_MAX);
}

struct err ledger_check(struct ledger *l)
{
	struct err e = check(l);
	if (e.code == ERR_CORRUPT)
		remember(l, e);
	return e;
}

struct err ledger_check_tiles(struct ledger *l, struct tiles_check *at, uint64_t most,
			      bool *finished)
{
	*finished = true;
	if (!l->reader || !l->head.size || tiles_reader_size(l->reader) < l->head.size)
		return OK; // nothing was signed; or ledger_check tells why it cannot be read
	return tiles_check_step(at, l->reader, &l->head, 1, most, finished);
}

// A partial tile that a larger one has replaced is the larger one's front.
static struct err tile_front(struct ledger *l, struct tiles_name want, unsigned width,
			     struct buf *out)
{
	char path[TILES_PATH_MAX];
	scoped(buf) struct buf whole = {.limit = TILES_BUNDLE_MAX};
	struct tiles_name name = want;
	name.width = width;
	TRY(tiles_fetch_folder(&l->folder, tiles_path(&name, path), &whole));
	struct cursor c = cursor_over(whole.data, whole.len);
	if (want.level == TILES_ENTRIES)
		for (unsigned i = 0; i < want.width; i++)
			cursor_take(&c, cursor_be16(&c));
	else
		cursor_take(&c, (size_t)want.width * MERKLE_HASH);
	ENSURE(!c.failed, ERR_CORRUPT, "%s is too short", path);
	buf_append(out, whole.data, (size_t)(c.at - c.start));
	return buf_check(out, "tile");
}

// One folder of partial tiles: each must be the front of the tile as it is now.
static struct err check_partials_in(struct ledger *l, DIR *d, const struct tiles_name *now)
{
	for (struct dirent *f; (f = readdir(d)) != NULL;) {
		char path[TILES_PATH_MAX];
		scoped(buf) struct buf is = {.limit = TILES_BUNDLE_MAX},
				       should = {.limit = TILES_BUNDLE_MAX};
		struct tiles_name t = *now;
		t.width = (unsigned)strtoul(f->d_name, NULL, 10);
		if (*f->d_name == '.' || !t.width || t.width >= now->width)
			continue; // wider: of a round that a crash has cut, made again
		TRY(tiles_fetch_folder(&l->folder, tiles_path(&t, path), &is));
		TRY(tile_front(l, t, now->width, &should));
		ENSURE(is.len == should.len && !memcmp(is.data, should.data, is.len), ERR_CORRUPT,
		       "%s is not the front of the tile as it is now", path);
	}
	return OK;
}

struct err ledger_check_partials(struct ledger *l)
{
	uint64_t size = l->tiles ? tiles_published(l->tiles) : 0;
	struct err e = OK;
	for (int level = TILES_ENTRIES; size && e.code == ERR_NONE; level++) {
		char path[TILES_PATH_MAX];
		uint64_t count = level > 0 ? size >> (MERKLE_STRIDE * level) : size;
		struct tiles_name now = {level, count / TILES_WIDTH,
					 (unsigned)(count % TILES_WIDTH)};
		if (!count || level == MERKLE_STRIDE)
			break;
		if (!now.width)
			continue;
		*strrchr(tiles_path(&now, path), '/') = 0;
		int fd = openat(l->folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		DIR *d = fd < 0 ? NULL : fdopendir(fd);
		if (d) {
			e = check_partials_in(l, d, &now);
			closedir(d);
		}
	}
	return e;
}

uint64_t ledger_signed_size(const struct ledger *l)
{
	return l->head.size;
}

// --- public forms

struct err ledger_tile(struct ledger *l, const char *path, struct buf *out)
{
	struct tiles_name t;
	ENSURE(tiles_path_parse(path, &t), ERR_NOT_FOUND, "\"%.100s\" is not the name of a tile",
	       path);
	uint64_t have = l->tiles ? tiles_published(l->tiles) : 0;
	for (int level = 0; level < t.level; level++)
		have /= TILES_WIDTH;
	bool inside = t.n <= have / TILES_WIDTH && t.n * TILES_WIDTH + t.width <= have;
	ENSURE(inside, ERR_NOT_FOUND, "%s is not under the checkpoint yet", path);
	struct err e = tiles_fetch_folder(&l->folder, path, out);
	if (e.code != ERR_NOT_FOUND || t.width == TILES_WIDTH)
		return e;
	buf_reset(out);
	uint64_t width = have - t.n * TILES_WIDTH;
	return tile_front(l, t, width > TILES_WIDTH ? TILES_WIDTH : (unsigned)width, out);
}

struct err ledger_proof(struct ledger *l, uint64_t index, struct buf *out)
{
	const struct ledger_served *s = index < l->witnessed.size ? &l->witnessed : &l->served;
	struct checkpoint c;
	struct note n;
	ENSURE(index < l->size, ERR_NOT_FOUND, "the ledger has %" PRIu64 " entries", l->size);
	ENSURE(index < s->size && l->reader, ERR_BUSY,
	       "entry %" PRIu64 " is not under a signed checkpoint yet", index);
	TRY(note_parse((const char *)s->text.data, s->text.len, &n));
	TRY(checkpoint_parse(n.text, n.text_len, &c));
	struct tlog_proof p = {.index = index,
			       .checkpoint = (const char *)s->text.data,
			       .checkpoint_len = s->text.len};
	TRY(tiles_prove(l->reader, &c, index, &p.path));
	tlog_proof_format(&p, out);
	return buf_check(out, "proof");
}
