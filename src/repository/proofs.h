// SPDX-License-Identifier: Apache-2.0
// Where points came from: for each published batch its place in the device's chain, its hash and
// the device's signature over that hash, under which grant and when it was received. Kept beside
// the points (rows of STORE_BATCH), found by the revision that each tick carries.
// X.2011 8.3.1-5, 9.2-source, 9.2-trace. Used by repository.
#pragma once

#include "lib/batch/batch.h"

struct proof {
	uint64_t revision, seq, grant;
	int64_t received_ns;
	uint32_t count;
	uint8_t flags, algorithm;
	uint8_t key_id[BATCH_KEY_ID];
	uint8_t hash[BATCH_HASH];
	const uint8_t *signature; // a view
	uint16_t signature_len;
};

void proof_write(struct buf *out, const struct proof *p);
// ERR_CORRUPT.
MUST_USE struct err proof_read(struct cursor *c, struct proof *out);
// Finds a revision's proof among many. ERR_NOT_FOUND.
MUST_USE struct err proof_find(const uint8_t *bytes, size_t n, uint64_t revision,
			       struct proof *out);
