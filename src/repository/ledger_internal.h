// SPDX-License-Identifier: Apache-2.0
// Between ledger.c (entries), ledger_tree.c (tiles, agreement of what is stored) and ledger_head.c
// (signed head, witnesses) only.
//
// Sizes, each at most the one before:
//     size       entries that were appended
//     synced     of these, in the journal on disk: RECORDED has been said
//     tree       of these, in the tree in memory (tiles_size); behind only while keys is away long
//     published  tiles on disk, under a head that keys signed (tiles_published)
//     served     under the note that is handed out
#pragma once

#include "lib/base/cursor.h"
#include "lib/tlog/proof.h"
#include "lib/tlog/tiles.h"
#include "repository/ledger.h"
#include "repository/repository.h"

struct ledger_waiting { // RECORDED goes out after the sync
	enum process_id to;
	uint64_t id, index;
};

enum { LEDGER_WITNESSES_MAX = 16 };

struct ledger_witness {
	const char *name; // in the configuration
	struct note_key key;
	uint64_t size;			     // of what it has seen, as far as we know
	uint64_t ask;			     // id of the question under way; 0: none
	unsigned tries;			     // of this round
	int64_t asked_ns, again_ns, wait_ns; // wait_ns: doubles with each failure
	int64_t last_ns;		     // of its last good cosignature, wall time
	bool signed_;			     // in this round
	char why[160];			     // it last failed; "" when it did not
};

// A note that is handed out, as text.
struct ledger_served {
	struct buf text;
	uint64_t size;
};

struct ledger {
	struct repository *r;
	int folder;
	bool broken;   // shortened or forked: nothing is added any more
	char why[400]; // in words
	// entries
	uint64_t size, synced, stored; // stored: in the store
	struct ledger_waiting *waiting;
	size_t n_waiting, cap_waiting;
	struct buf kept; // records that are not in the store
	size_t *kept_at, n_kept, cap_kept, flushing;
	uint64_t oldest_segment; // of the journal that holds the first kept one; 0: none
	struct buf group;	 // a row of the store, opened
	uint64_t group_first;
	uint32_t group_n;
	uint32_t *group_at; // offsets of its records
	// tree
	struct tiles *tiles; // NULL: what is there could not be taken up
	struct tiles_reader *reader;
	uint64_t signed_size; // of the checkpoint that was found at the start
	// head
	struct note_key key;
	bool have_key;
	uint64_t sign_id; // KEY_SIGN under way; 0: none
	int64_t sign_ns, last_head_ns, sign_again_ns;
	struct checkpoint head, next; // published last; staged and being signed
	struct buf next_text;
	struct buf head_note; // of `head`, with the log's signature, and cosignatures as they come
	size_t log_note_len;  // of it, without cosignatures
	struct ledger_served served, witnessed;
	// witnesses
	struct ledger_witness witnesses[LEDGER_WITNESSES_MAX];
	unsigned n_witnesses;
	uint64_t next_id;
};

// Takes the leaf in, or, for an entry that is below the signed size, compares it.
MUST_USE struct err ledger_tree_append(struct ledger *l, const void *leaf, size_t n);
// Brings the tree up to l->size again, at most `most` entries.
MUST_USE struct err ledger_tree_catch_up(struct ledger *l, uint64_t most);
// From here on nothing is added; alerts. `e` says why.
void ledger_break(struct ledger *l, struct err e);
// ledger_head.c: reads the witnesses of the configuration; what is on disk becomes what is served.
MUST_USE struct err ledger_head_open(struct ledger *l, const char *note, size_t n);
void ledger_head_close(struct ledger *l);
// The head becomes what is served; `witnessed`: it has a cosignature.
MUST_USE struct err ledger_serve(struct ledger *l, bool witnessed);
// The note against the keys that are on disk beside it; `note` empty: there is none.
MUST_USE struct err ledger_head_signatures(struct ledger *l, const struct buf *note,
					   struct checkpoint *out);
// The checkpoint on disk against the keys that are on disk beside it.
MUST_USE struct err ledger_head_check(struct ledger *l);
