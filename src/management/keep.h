// SPDX-License-Identifier: Apache-2.0
// What management must not forget: rows found by (table, key), all of them in memory, sealed on
// disk. A change of any number of rows is durable when keep_commit returns, or not there at all.
//
// Two files in the state folder, opened once and kept (a closed sandbox opens no path), written in
// turn; integers big-endian:
//     "GEMELKP1"  u64 generation  segment head[56]  records: u32 length, sealed record
//     record: u8 kind (1 part of the snapshot, 2 the snapshot is complete, 3 a change)  operations
//     operation: u8 (1 put, 2 delete)  u8 length, table  u16 length, key  put: u32 length, bytes
// The file with the higher generation whose snapshot is complete holds the truth. A reopened sealed
// segment must not be appended to (aead.h), so each start, and a journal that has grown, begins
// the next generation in the other file. A torn last record was never acknowledged and is dropped;
// any other damage is ERR_CORRUPT: nothing is made anew. X.2011 8.3.1-1. Used by management.
#pragma once

#include "lib/base/mem.h"

#include <jansson.h>

enum { KEEP_NAME_MAX = 32, KEEP_KEY_MAX = 256, KEEP_ROW_MAX = 1 << 20 };

struct keep; // opaque

// `folder` is a directory descriptor, borrowed during the call. *out: keep_close.
MUST_USE struct err keep_open(int folder, struct keep **out);
void keep_close(struct keep *k); // NULL is fine; what is not committed is dropped

// Gathers changes; nothing is seen by keep_get and keep_scan before keep_commit.
void keep_put(struct keep *k, const char *table, const char *key, const void *bytes, size_t n);
void keep_put_json(struct keep *k, const char *table, const char *key, const json_t *j);
void keep_delete(struct keep *k, const char *table, const char *key);
// Durable when it returns OK. On failure (disk, limit) nothing of the change is there.
MUST_USE struct err keep_commit(struct keep *k);
// Written but not synced: for what may be done twice after a crash.
MUST_USE struct err keep_commit_lazily(struct keep *k);
void keep_rollback(struct keep *k);

// NULL: no such row. The view lives until the next commit.
const uint8_t *keep_get(const struct keep *k, const char *table, const char *key, size_t *n);
json_t *keep_get_json(const struct keep *k, const char *table, const char *key); // a new reference
// Rows of a table in the order of their keys. `each` must not commit.
typedef struct err (*keep_each_fn)(void *ctx, const char *key, const uint8_t *bytes, size_t n);
MUST_USE struct err keep_scan(const struct keep *k, const char *table, keep_each_fn each,
			      void *ctx);
// Only those whose key begins with `prefix`.
MUST_USE struct err keep_scan_prefix(const struct keep *k, const char *table, const char *prefix,
				     keep_each_fn each, void *ctx);
size_t keep_count(const struct keep *k, const char *table);
// The last change on disk was torn (a power cut, or a hand) and was dropped: people should know.
bool keep_was_torn(const struct keep *k);
// Grows with every commit, over restarts.
uint64_t keep_revision(const struct keep *k);
