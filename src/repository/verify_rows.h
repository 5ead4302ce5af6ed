// SPDX-License-Identifier: Apache-2.0
// What every row should be, gathered from the manifests: place -> leaf. Used by verify.c.
#pragma once

#include "repository/commit.h"

struct expected {
	uint8_t place[16]; // of SHA-256 of the place
	uint8_t leaf[HASH_SIZE];
	uint64_t version;
	uint32_t text; // offset of the place in words, for rows that are missing
	bool deleted, seen, used;
};

struct expectations {
	struct expected *slots;
	size_t size, n;
	struct buf places; // u8 table u32 domain u32 device u8 length key
};

void expectations_clear(struct expectations *x);
MUST_USE struct err expectations_put(struct expectations *x, const struct manifest_row *row,
				     uint64_t version);
struct expected *expectations_find(struct expectations *x, const struct store_row *row); // NULL
struct store_row expectations_place(const struct expectations *x, const struct expected *e);
