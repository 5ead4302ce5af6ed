// SPDX-License-Identifier: Apache-2.0
// The ledger outside the house: export as the static tile tree of c2sp.org/tlog-tiles, which any
// public verifier reads. Tiles never change once full, so that an export that is repeated fetches
// only what is new.
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TILE = 256, TILE_LEVELS = 8 };

static int get(struct cli *c, const char *target, struct reply *r)
{
	int code = call_raw(c, target, r);
	if (code != EXIT_DONE)
		reply_clear(r);
	return code;
}

int run_ledger_text(struct cli *c)
{
	struct reply r = {0};
	int code = get(c, c->op->path, &r);
	if (code == EXIT_DONE)
		cli_write(&r.body);
	reply_clear(&r);
	return code;
}

int run_ledger_prove(struct cli *c)
{
	scoped(buf) struct buf target = {.limit = 8000};
	struct reply r = {0};
	char *body = NULL;
	struct err e = call_target(c, &target, &body);
	if (e.code != ERR_NONE)
		return refuse_err(c, e);
	int code = get(c, buf_text(&target), &r);
	if (code == EXIT_DONE && c->o.output) {
		e = file_replace(c->o.output, r.body.data, r.body.len, false);
		if (e.code != ERR_NONE)
			code = refuse_err(c, e);
	} else if (code == EXIT_DONE) {
		cli_write(&r.body);
	}
	reply_clear(&r);
	return code;
}

// --- export

struct export {
	struct cli *c;
	const char *folder;
	uint64_t size, fetched, kept;
};

// A tile's path (tlog-tiles): "tile/0/x001/234" or "tile/entries/000.p/17".
static void tile_path(int level, uint64_t n, unsigned width, struct buf *out)
{
	char groups[40];
	size_t at = sizeof groups - 1;
	groups[at] = 0;
	for (bool last = true;; last = false) {
		char group[8];
		int len = snprintf(group, sizeof group, last ? "%03u" : "x%03u/", (unsigned)(n % 1000));
		at -= (size_t)len;
		memcpy(groups + at, group, (size_t)len);
		n /= 1000;
		if (n == 0)
			break;
	}
	if (level < 0)
		buf_printf(out, "tile/entries/%s", groups + at);
	else
		buf_printf(out, "tile/%d/%s", level, groups + at);
	if (width < TILE)
		buf_printf(out, ".p/%u", width);
}

static struct err folders_make(const char *path)
{
	char part[4096];
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t n = (size_t)(slash - path);
		ENSURE(n < sizeof part, ERR_USAGE, "%s: too long", path);
		memcpy(part, path, n);
		part[n] = 0;
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return err_system("%s", part);
	}
	return OK;
}

static int save(struct export *x, const char *name, const struct buf *bytes)
{
	const char *path = arena_printf(x->c->arena, "%s/%s", x->folder, name);
	struct err e = path ? folders_make(path) : err_make(ERR_LIMIT, "out of memory");
	if (e.code == ERR_NONE)
		e = file_replace(path, bytes->data, bytes->len, false);
	return e.code ? refuse_err(x->c, e) : EXIT_DONE;
}

static int tile(struct export *x, int level, uint64_t n, unsigned width)
{
	scoped(buf) struct buf path = {.limit = 256};
	scoped(buf) struct buf target = {.limit = 300};
	scoped(arena) struct arena *a = arena_new(16384);
	struct reply r = {0};
	tile_path(level, n, width, &path);
	const char *there = arena_printf(a, "%s/%s", x->folder, buf_text(&path));
	if (there && access(there, R_OK) == 0) {
		x->kept++;
		return EXIT_DONE;
	}
	buf_printf(&target, "/v1/ledger/%s", buf_text(&path));
	int code = get(x->c, buf_text(&target), &r);
	if (code == EXIT_DONE)
		code = save(x, buf_text(&path), &r.body);
	x->fetched++;
	reply_clear(&r);
	return code;
}

static int level_tiles(struct export *x, int level, uint64_t hashes)
{
	int code = EXIT_DONE;
	for (uint64_t n = 0; code == EXIT_DONE && n < hashes / TILE; n++)
		code = tile(x, level, n, TILE);
	if (code == EXIT_DONE && hashes % TILE)
		code = tile(x, level, hashes / TILE, (unsigned)(hashes % TILE));
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%" PRIu64 " tiles", x->fetched + x->kept);
	return code;
}

// The size is the checkpoint's second line.
static struct err checkpoint_size(const struct buf *checkpoint, uint64_t *size)
{
	const char *text = buf_text((struct buf *)(uintptr_t)checkpoint), *line = strchr(text, '\n');
	size_t n = line ? strspn(line + 1, "0123456789") : 0;
	ENSURE(n && n < 19 && line[1 + n] == '\n', ERR_PEER, "the checkpoint is not of the form");
	*size = strtoull(line + 1, NULL, 10);
	return OK;
}

int run_ledger_export(struct cli *c)
{
	struct export x = {.c = c, .folder = c->n_args ? c->args[0] : NULL};
	struct reply checkpoint = {0}, vkey = {0};
	if (!x.folder)
		return refuse_err(c, err_make(ERR_USAGE, "DIR: missing; the folder to write to"));
	int code = get(c, "/v1/ledger/checkpoint", &checkpoint);
	if (code == EXIT_DONE)
		code = get(c, "/v1/ledger/vkey", &vkey);
	struct err e = code == EXIT_DONE ? checkpoint_size(&checkpoint.body, &x.size) : OK;
	if (e.code != ERR_NONE)
		code = refuse_err(c, e);
	if (code == EXIT_DONE)
		code = level_tiles(&x, -1, x.size);
	uint64_t hashes = x.size;
	for (int level = 0; code == EXIT_DONE && hashes && level < TILE_LEVELS; level++) {
		code = level_tiles(&x, level, hashes);
		hashes /= TILE;
	}
	if (code == EXIT_DONE)
		code = save(&x, "vkey", &vkey.body);
	if (code == EXIT_DONE) // last: what it commits to is there
		code = save(&x, "checkpoint", &checkpoint.body);
	reply_clear(&checkpoint);
	reply_clear(&vkey);
	if (code == EXIT_DONE)
		fprintf(stderr, "%s%" PRIu64 " entries in %s (%" PRIu64 " tiles fetched, %" PRIu64
				" were there)\n", isatty(STDERR_FILENO) ? "\r" : "", x.size, x.folder,
			x.fetched, x.kept);
	return code;
}
