// SPDX-License-Identifier: Apache-2.0
// What a log sends to a witness (c2sp.org/tlog-witness 1.0.0, POST add-checkpoint): `old N`, up to
// 63 base64 hashes, a blank line, the checkpoint. Used by repository (writes), witness (reads).
#pragma once

#include "lib/tlog/note.h"

enum { REQUEST_MAX = 64 + 45 * MERKLE_PROOF_MAX + NOTE_MAX };

struct witness_request {
	uint64_t old;
	struct merkle_proof proof;
	const char *checkpoint; // the signed note; after parsing: a view
	size_t checkpoint_len;
};

void witness_request_format(const struct witness_request *r, struct buf *out);
MUST_USE struct err witness_request_parse(const char *body, size_t n, struct witness_request *out);
// The body of a 409: the size that the witness has. ERR_PEER.
MUST_USE struct err witness_size_parse(const char *body, size_t n, uint64_t *size);
