// SPDX-License-Identifier: Apache-2.0
// Where sealed rows rest. A row is found by (table, domain, device, key); keys compare bytewise, so
// big-endian integers sort. `head` is what the seal binds and may be read, `body` is ciphertext (or
// hashes, or wrapped keys): the engine never sees a plaintext byte or a data key.
// Everything between store_begin and store_commit is durable together, or not at all.
// The engine behind it is SQLite: one file, opened once and kept (a closed sandbox opens no path),
// exclusive to its process, WAL with synchronous=FULL, no automatic checkpoint: store_checkpoint is
// called when there is time for it. Used by repository alone.
#pragma once

#include "lib/base/mem.h"

enum store_table {
	STORE_META,     // numbers of the store itself: id, counters
	STORE_KEK,      // wrapped keys that wrap
	STORE_DEK,      // wrapped data keys
	STORE_DEVICE,   // what is known of a device
	STORE_SERIES,   // paths by series number
	STORE_CHUNK,    // points
	STORE_STATE,    // key frames: one device's latest values at a time
	STORE_BATCH,    // proofs of the batches that points came in
	STORE_LEDGER,   // bodies and salts of ledger entries
	STORE_MANIFEST, // hashes of the rows of each commit
	STORE_TABLES,
};

extern const char *const store_table_names[STORE_TABLES];

enum { STORE_KEY_MAX = 64, STORE_BODY_MAX = 16 << 20 };

struct store; // opaque

struct store_row {
	enum store_table table;
	uint32_t domain, device;
	const uint8_t *key, *head, *body; // views
	size_t key_len, head_len, body_len;
};

// `folder` is a directory descriptor, `name` a plain file name in it. *out: store_close.
// ERR_BUSY: another process has it open. ERR_CORRUPT: not a store, or damaged.
MUST_USE struct err store_open(int folder, const char *name, struct store **out);
void store_close(struct store *s); // NULL is fine; rolls back what is not committed

MUST_USE struct err store_begin(struct store *s);
MUST_USE struct err store_commit(struct store *s); // durable when it returns
void store_rollback(struct store *s);
bool store_in_commit(const struct store *s);

// Replaces a row with the same place.
MUST_USE struct err store_put(struct store *s, const struct store_row *row);
// Finds by row's place and fills the views, copied into `a`. ERR_NOT_FOUND.
MUST_USE struct err store_get(struct store *s, struct store_row *row, struct arena *a);
MUST_USE struct err store_delete(struct store *s, const struct store_row *place);

// Rows of one table in the order of (domain, device, key), `from` included. The views live during
// the call of `each`, which sets *more to false to stop. With `device` set, only that one's.
// Newest first with `backward` (from: NULL key means the end). `each` must not write.
struct store_scan {
	enum store_table table;
	bool all_devices; // else only domain, device
	uint32_t domain, device;
	const uint8_t *from; // NULL: from the first (or last)
	size_t from_len;
	bool backward;
	bool heads_only; // body is not read: store_row.body is NULL
	struct err (*each)(void *ctx, const struct store_row *row, bool *more);
	void *ctx;
};
MUST_USE struct err store_scan(struct store *s, const struct store_scan *what);

// Brings the write-ahead log into the file.
MUST_USE struct err store_checkpoint(struct store *s);
// Bytes of the file and its log.
uint64_t store_bytes(struct store *s);
