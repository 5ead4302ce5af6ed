// SPDX-License-Identifier: Apache-2.0
// A device's chains of signed batches: one for each batch key, each batch naming the hash of the
// one before, so that gaps, repeats and changes are seen, after a restart too. X.2011 8.3.1-5,
// 9.2-source. Used by repository.
#pragma once

#include "repository/series.h"

struct chain *chain_find(struct device *d, const uint8_t key_id[BATCH_KEY_ID]); // NULL: none
MUST_USE struct err chain_room(struct device *d, unsigned n); // for n in all, n <= DEVICE_KEYS_MAX
// Finds or makes. ERR_LIMIT when the device has too many keys. Other chains may move.
MUST_USE struct err chain_add(struct device *d, const uint8_t key_id[BATCH_KEY_ID],
			      struct chain **out);
// Forgets chains whose keys are neither listed nor within their time: nothing of theirs is
// accepted.
void chain_prune(struct device *d, int64_t now_ns);

// What is wrong with a batch's place, in one word for BATCH_REFUSED; NULL: nothing. *expected is
// the seq that would be right.
const char *chain_place(const struct chain *c, const struct batch_head *head, int64_t now_ns,
			uint64_t *expected);
// Verifies the signature over `hash`. ERR_AUTH.
MUST_USE struct err chain_verify(struct chain *c, const struct batch_head *head,
				 const uint8_t hash[BATCH_HASH]);
void chain_advance(struct chain *c, uint64_t seq, const uint8_t hash[BATCH_HASH]);
