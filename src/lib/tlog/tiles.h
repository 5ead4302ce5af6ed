// SPDX-License-Identifier: Apache-2.0
// The log as files (c2sp.org/tlog-tiles 0.1.0):
//     tile/<L>/<N>[.p/<W>]        W (256 when full) hashes of 32 bytes
//     tile/entries/<N>[.p/<W>]    W times: big-endian u16 length, entry
//     checkpoint                  the signed note
// Order of publication: append, stage (files complete under .stage, synced), head signed, publish
// (linked into place: a file that is there is never overwritten, and other bytes there are
// ERR_CONFLICT), checkpoint renamed. A delayed write once replaced a tile and wedged a public log;
// here it cannot. Used by repository (writes), repository, CLI and tests (read, verify).
#pragma once

#include "lib/tlog/note.h"

enum {
	TILES_WIDTH = 256,
	TILES_ENTRY_MAX = 65535,
	TILES_BUNDLE_MAX = TILES_WIDTH * (2 + TILES_ENTRY_MAX),
	TILES_PATH_MAX = 64,
	TILES_ENTRIES = -1, // as a level: the entry bundles
};

struct tiles_name {
	int level; // 0 to 7, or TILES_ENTRIES
	uint64_t n;
	unsigned width; // 1 to 256
};
// "tile/0/x001/x234/067.p/17". Returns `out`.
char *tiles_path(const struct tiles_name *t, char out[TILES_PATH_MAX]);
// The only way back: false unless the text is exactly what tiles_path writes. For HTTP paths.
bool tiles_path_parse(const char *path, struct tiles_name *out);

// --- writing: one writer; the ledger's journal is the truth, the tiles follow it
enum tiles_sync { TILES_SYNC, TILES_NO_SYNC }; // NO_SYNC: the tiles can be made again

struct tiles; // opaque
// Takes up a log of `size` entries in `folder` (a directory descriptor, duplicated). Files under
// .stage are left-overs and removed. `root` (may be NULL): what the root must be. ERR_CORRUPT names
// the tile that is missing or wrong. *out: tiles_close.
MUST_USE struct err tiles_open(int folder, uint64_t size, const struct merkle_hash *root,
			       enum tiles_sync sync, struct tiles **out);
void tiles_close(struct tiles *t); // NULL is fine; what is not published is forgotten
// In memory until staged; about 8 KiB and the entries' bytes each 256 entries. ERR_LIMIT: too long,
// or 64 MiB wait: publish first. `t` does not change on an error.
MUST_USE struct err tiles_append(struct tiles *t, const void *entry, size_t n);
uint64_t tiles_size(const struct tiles *t);
void tiles_root(const struct tiles *t, struct merkle_hash *out);
const struct merkle_frontier *tiles_frontier(const struct tiles *t);
// Writes what was appended since the last publication. Entries appended between stage and publish
// belong to the next round.
MUST_USE struct err tiles_stage(struct tiles *t);
// ERR_CONFLICT: another writer published other bytes; stop writing.
MUST_USE struct err tiles_publish(struct tiles *t);
uint64_t tiles_published(const struct tiles *t); // size of the last publication
// Replaces `checkpoint` (tmp, fsync, rename, fsync).
MUST_USE struct err tiles_checkpoint(struct tiles *t, const void *note, size_t n);

// --- reading: the first `size` entries, from wherever files come
struct tiles_fetch {
	// Appends the file's bytes. ERR_NOT_FOUND: no such file.
	struct err (*get)(void *ctx, const char *path, struct buf *out);
	void *ctx;
};
// A fetch from a folder: ctx is a pointer to its descriptor.
MUST_USE struct err tiles_fetch_folder(void *fd, const char *path, struct buf *out);

struct tiles_reader; // opaque: keeps the last tiles that it read (about 600 KiB)
MUST_USE struct err tiles_reader_new(const struct tiles_fetch *f, uint64_t size,
				     struct tiles_reader **out);
void tiles_reader_free(struct tiles_reader *r); // NULL is fine
uint64_t tiles_reader_size(const struct tiles_reader *r);
void tiles_reader_grow(struct tiles_reader *r, uint64_t size); // a newer checkpoint was verified
// As a source of hashes for merkle.h's proofs; lives as long as the reader. What a tile says is
// believed: verify the proof made of it against a signed root (tiles_prove does).
struct merkle_source tiles_source(struct tiles_reader *r);
// A view of entry `index`, good until the next call. ERR_USAGE: index not below size.
MUST_USE struct err tiles_entry(struct tiles_reader *r, uint64_t index, const uint8_t **bytes,
				size_t *n);
// The inclusion proof of `index` under the checkpoint (whose size is the reader's, or smaller),
// checked before it is given. ERR_CORRUPT: the tiles do not fit the checkpoint.
MUST_USE struct err tiles_prove(struct tiles_reader *r, const struct checkpoint *c, uint64_t index,
				struct merkle_proof *out);

// --- verifying all of it: sampling misses tampering (2 of 6 one-byte changes), so nothing is
// skipped. Plain data: {0} begins, a copy resumes.
struct tiles_check {
	struct merkle_frontier done;	    // entries that are verified
	uint64_t good_size;		    // the last checkpoint that held
	uint64_t bad_first, bad_last;	    // on ERR_CORRUPT: where the damage is, as close as can be
};
// Verifies up to `most` entries further: each entry against its leaf, each hash of each tile, each
// file's length, and the root at each checkpoint (ascending by size; the last one's size is the
// whole). *finished when the last checkpoint held. ERR_CORRUPT's text names the first bad index and
// the last good checkpoint.
MUST_USE struct err tiles_check_step(struct tiles_check *c, struct tiles_reader *r,
				     const struct checkpoint *checkpoints, size_t n, uint64_t most,
				     bool *finished);
