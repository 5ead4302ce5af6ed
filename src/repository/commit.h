// SPDX-License-Identifier: Apache-2.0
// Sealed rows and the commits that write them. Every row that a commit puts or deletes is a leaf
//     SHA256(0x00 || place || head || body)
// of that commit's manifest, whose Merkle root (RFC 6962) becomes a ledger entry: a row that was
// altered, lost, swapped or rolled back no longer fits. `place || head` is also the AAD of the
// row's seal, so that no row opens in another's place. X.2011 8.3.1-1, 8.3.3-9. Used by repository.
#pragma once

#include "lib/base/cursor.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/hash.h"
#include "repository/data_keys.h"

enum { ROW_FORMAT = 1, ROW_HEAD = 116 };

// What stands readable beside the ciphertext, and is bound by it.
struct row_info {
	uint8_t class, codec;
	uint16_t blocks; // columns
	uint32_t series_first, series_last, n;
	int64_t t0, t1;
	// set by sealing
	uint64_t dek, version; // version: number of the commit
	uint32_t epoch, counter;
	uint8_t segment[SEGMENT_HEAD];
};

struct commit {
	struct store *store;
	struct data_keys *keys;
	uint64_t version;
	struct buf list, leaves; // manifest's rows, their hashes
	uint32_t n;
	uint8_t root[HASH_SIZE]; // after commit_finish
};

MUST_USE struct err commit_begin(struct commit *c, struct store *s, struct data_keys *k,
				 uint64_t version);
MUST_USE struct err commit_put(struct commit *c, const struct store_row *row);
MUST_USE struct err commit_delete(struct commit *c, const struct store_row *place);
MUST_USE struct err commit_finish(struct commit *c); // durable when it returns
void commit_clear(struct commit *c);		     // rolls back what is not finished

// Seals rows of one device, class and day.
struct sealer {
	struct data_keys *keys;
	struct seal_segment *segment;
	uint32_t domain, device;
	uint64_t dek;
	uint32_t epoch;
};
MUST_USE struct err sealer_open(struct sealer *s, struct commit *c, uint32_t domain,
				uint32_t device, unsigned class, int64_t time_ns);
void sealer_close(struct sealer *s);
// Seals `plain` as a row of `table` at `key`; info's class to t1 are the caller's.
MUST_USE struct err sealer_put(struct sealer *s, struct commit *c, enum store_table table,
			       const uint8_t *key, size_t key_len, struct row_info *info,
			       const void *plain, size_t n);

// ERR_CORRUPT: not a head.
MUST_USE struct err row_info_read(const struct store_row *row, struct row_info *out);
// Opens a row; *plain is `a`'s. ERR_CORRUPT names the row.
MUST_USE struct err row_open(struct data_keys *k, const struct store_row *row, struct arena *a,
			     struct row_info *info, const uint8_t **plain, size_t *n);
void row_leaf(const uint8_t store_id[static STORE_ID], const struct store_row *row,
	      uint8_t out[HASH_SIZE]);

// Big-endian pieces of keys; signed times sort.
void key_be64(uint8_t out[static 8], uint64_t v);
void key_time(uint8_t out[static 8], int64_t t);
uint64_t key_u64(const uint8_t in[static 8]);
int64_t key_time_read(const uint8_t in[static 8]);
// RFC 6962 root over n hashes of 32 bytes; overwrites them.
void commit_merkle_root(uint8_t *hashes, size_t n, uint8_t root[HASH_SIZE]);

struct manifest_row {
	struct store_row place;
	bool deleted;
	const uint8_t *leaf;
};
// Reads one row of a manifest's body. *more false: at its end.
MUST_USE struct err manifest_next(struct cursor *c, struct manifest_row *out, bool *more);
