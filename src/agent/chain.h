// SPDX-License-Identifier: Apache-2.0
// The signed chain of batches to the twin (docs/contracts.md, Sensing; batch.h draws the canonical
// form). A batch is written, hashed and chained at once, its hash goes to keys, and when the
// signature is back the whole SubscribeResponse goes to the spool, in order. Several may be on
// their way to keys: a change does not wait for the one before it. X.2011 8.3.1-5, 9.2-source. Used
// by agent (wire).
#pragma once

#include "agent/link.h"
#include "agent/spool.h"
#include "agent/tree.h"

enum {
	CHAIN_PENDING = 64,    // batches that wait for their signature
	CHAIN_RECORDS = 16000, // in one batch: a whole state should fit in one
	CHAIN_BYTES = 1 << 20, // of one batch, about
};

struct chain; // opaque
// `prefix`: wire bytes of the gnmi.Path that stands before each path (the target), copied.
MUST_USE struct err chain_new(const char *device, struct spool *spool, struct chain **out);
void chain_free(struct chain *c);
// A new key begins a new chain; what was not signed is dropped (the caller sends its state again).
MUST_USE struct err chain_key(struct chain *c, const uint8_t key_id[8], unsigned algorithm,
			      struct cursor certified);
bool chain_ready(const struct chain *c);	    // has a key
void chain_stop(struct chain *c);		    // keys is away: its key went with it
bool chain_full(const struct chain *c);		    // hold back changes until signatures are back
bool chain_idle(const struct chain *c);		    // no signature is awaited
const uint8_t *chain_key_id(const struct chain *c); // of the present key, 8 bytes
uint64_t chain_seq(const struct chain *c);	    // of the last batch
void chain_prefix(struct chain *c, const uint8_t *bytes, size_t n);

// One group of changes, as one or more batches: deletes first, then updates.
void chain_start(struct chain *c, int64_t time_ns);
void chain_delete(struct chain *c, const char *path);
void chain_update(struct chain *c, struct tree_leaf *leaf);
// `sync`: the whole state has been told, up to here. Sends SIGN to keys.
MUST_USE struct err chain_finish(struct chain *c, bool sync, struct link *keys);
// keys answered. *synced: the seq of the batch that was appended, when it ends a telling; else 0.
MUST_USE struct err chain_signed(struct chain *c, uint32_t id, struct cursor signature,
				 uint64_t *synced);
const struct buf *chain_certified(const struct chain *c); // the present CertifiedBatchKey
