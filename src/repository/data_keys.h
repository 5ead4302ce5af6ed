// SPDX-License-Identifier: Apache-2.0
// Keys of data: root KEK (root.key in the state folder) -> KEK for each domain and class, by epoch
// -> random DEK for each device, day and class. Each is wrapped (AES-KW) by the one above; none is
// derived, so that deleting a wrapped key ends what it sealed. X.2011 8.3.1-1, 8.3.1-7.
// Used by repository.
#pragma once

#include "lib/access/access.h"
#include "lib/store/store.h"

enum { STORE_ID = 16, CLASS_JOURNAL = 200 };

struct data_keys; // opaque
struct commit;

// Reads root.key in `folder`, or makes it when the store is empty. ERR_CORRUPT: the store is there
// and the key is not, or is another one's. *out: data_keys_close.
MUST_USE struct err data_keys_open(int folder, struct store *s, struct data_keys **out);
void data_keys_close(struct data_keys *k);		      // NULL is fine; zeroes
const uint8_t *data_keys_store_id(const struct data_keys *k); // STORE_ID bytes

struct data_key {
	uint64_t id; // day << 8 | class
	uint32_t epoch;
	const struct secret *key; // valid until the next call
};

static inline uint64_t data_key_id(int64_t time_ns, unsigned class)
{
	const int64_t day = 86400LL * 1000000000;
	return (uint64_t)(time_ns / day - (time_ns % day < 0)) << 8 | (class & 255);
}

// The key for a device's day and class; made, in `c`, when there is none. c NULL: ERR_NOT_FOUND.
MUST_USE struct err data_keys_get(struct data_keys *k, struct commit *c, uint32_t domain,
				  uint32_t device, uint64_t id, struct data_key *out);
// A new key for one journal segment, wrapped: 40 bytes and the epoch of what wraps it.
MUST_USE struct err data_keys_journal_new(struct data_keys *k, struct secret **key,
					  uint8_t wrapped[40], uint32_t *epoch);
MUST_USE struct err data_keys_journal_open(struct data_keys *k, const uint8_t wrapped[40],
					   uint32_t epoch, struct secret **key);
// Makes what must be there before the first journal segment; inside a commit.
MUST_USE struct err data_keys_prepare(struct data_keys *k, struct commit *c);
