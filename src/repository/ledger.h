// SPDX-License-Identifier: Apache-2.0
// The ledger: an append-only Merkle tree (C2SP tlog-tiles) of what was decided, asked and done.
// An entry's leaf is a salted commitment, so a body can be erased and the proofs stay:
//     leaf   u8 1  u8 length, kind  i64 time  SHA-256(salt || body)
//     record i64 time  u8 length, kind  salt[32]  u32 length, body      (sealed: journal, store)
//     body   JSON, sorted keys, no spaces: {"actor":..,"body":..,"kind":..,"subject":..,"time":..}
// Order of publication: record in the journal, synced; RECORDED; tiles staged and synced; head
// signed by keys; checkpoint renamed into place; witnesses asked. X.2011 8.3.3-9, 9.1-ledger.
// Used by repository.
#pragma once

#include "lib/base/cursor.h"
#include "lib/crypto/hash.h"
#include "lib/ipc/process.h"
#include "lib/tlog/tiles.h"
#include "repository/commit.h"
#include "repository/journal.h"

enum { LEDGER_SALT = 32, LEDGER_KIND_MAX = 64, LEDGER_BODY_MAX = 60000 };

struct ledger; // opaque
struct repository;

struct ledger_entry {
	uint64_t index;
	int64_t time_ns;
	char kind[LEDGER_KIND_MAX + 1];
	uint8_t salt[LEDGER_SALT];
	const uint8_t *body; // a view
	size_t body_len;
};

// `folder`: descriptor of the ledger's folder (tiles, checkpoint). *out: ledger_close.
MUST_USE struct err ledger_open(struct repository *r, int folder, struct ledger **out);
void ledger_close(struct ledger *l); // NULL is fine

// Appends; durable after the next journal sync (ledger_synced). `json`: text of one JSON value.
MUST_USE struct err ledger_note(struct ledger *l, const char *kind, const char *subject,
				const char *actor, const char *json);
// The same for another process: RECORDED {id, index} goes to `from` after the sync (id 0: none).
MUST_USE struct err ledger_record(struct ledger *l, const struct ipc_message *m);
MUST_USE struct err ledger_synced(struct ledger *l); // the journal has been synced
MUST_USE struct err ledger_replay(struct ledger *l, uint64_t segment, const uint8_t *bytes,
				  size_t n); // a journal record, at start

// Into the store: all entries that are not there, as rows of `c`; then, when it is durable,
// flushed.
MUST_USE struct err ledger_flush(struct ledger *l, struct commit *c);
void ledger_flushed(struct ledger *l);
uint64_t ledger_oldest_segment(const struct ledger *l); // of the journal; 0: none is needed
bool ledger_wants_flush(const struct ledger *l);

uint64_t ledger_size(const struct ledger *l);
uint64_t ledger_stored(const struct ledger *l);
// ERR_NOT_FOUND, ERR_CORRUPT. `e` views memory of `a`.
MUST_USE struct err ledger_get(struct ledger *l, uint64_t index, struct arena *a,
			       struct ledger_entry *e);
void ledger_leaf(const struct ledger_entry *e, struct buf *out); // the entry's public bytes
void ledger_record_write(const struct ledger_entry *e, struct buf *out);
MUST_USE struct err ledger_record_read(struct cursor *c, struct ledger_entry *e);

// Whether the entry is the one whose leaf is in the tree. ERR_CORRUPT.
MUST_USE struct err ledger_entry_check(struct ledger *l, const struct ledger_entry *e);

// --- ledger_head.c: the tree, its signed head, its witnesses
// After recovery: tiles, checkpoint and entries must tell one story. ERR_CORRUPT says how not.
MUST_USE struct err ledger_check(struct ledger *l);
// The complete check of the tiles under the signed head, `most` entries further. ERR_CORRUPT.
MUST_USE struct err ledger_check_tiles(struct ledger *l, struct tiles_check *at, uint64_t most,
				       bool *finished);
// Left-over partial tiles, which are served as long as they are there.
MUST_USE struct err ledger_check_partials(struct ledger *l);
void ledger_keys(struct ledger *l, const uint8_t public_key[32]); // the checkpoint key
MUST_USE struct err ledger_tick(struct ledger *l);		  // sign, publish, ask witnesses
MUST_USE struct err ledger_signed(struct ledger *l, const struct ipc_message *m);
void ledger_peer_gone(struct ledger *l, enum process_id peer); // what was asked of it is forgotten
MUST_USE struct err ledger_witnessed(struct ledger *l, const struct ipc_message *m);
uint64_t ledger_signed_size(const struct ledger *l); // of the newest head, served yet or not
const char *ledger_checkpoint(struct ledger *l); // the newest signed note with cosignatures, or ""
uint64_t ledger_checkpoint_size(const struct ledger *l);
// How many witnesses are configured, and one of them, for people.
struct ledger_witness_state {
	const char *name, *why; // why it last failed; "" when it did not
	uint64_t size;		// of the head that it cosigned or said it knows
	int64_t last_ns;	// of its last good cosignature; 0: none yet
	bool signed_;		// the present head
};
unsigned ledger_witnesses(const struct ledger *l);
struct ledger_witness_state ledger_witness_state(const struct ledger *l, unsigned i);
MUST_USE struct err ledger_vkey(struct ledger *l, struct buf *out);
MUST_USE struct err ledger_proof(struct ledger *l, uint64_t index, struct buf *out); // tlog-proof
MUST_USE struct err ledger_tile(struct ledger *l, const char *path, struct buf *out);
