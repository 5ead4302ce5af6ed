// SPDX-License-Identifier: Apache-2.0

#include "lib/tlog/request.h"

#include "lib/base/cursor.h"
#include "lib/tlog/text.h"

#include <inttypes.h>
#include <string.h>

void witness_request_format(const struct witness_request *r, struct buf *out)
{
	buf_printf(out, "old %" PRIu64 "\n", r->old);
	for (size_t i = 0; i < r->proof.n; i++)
		note_hash_write(&r->proof.at[i], out);
	buf_u8(out, '\n');
	buf_append(out, r->checkpoint, r->checkpoint_len);
}

struct err witness_request_parse(const char *body, size_t n, struct witness_request *out)
{
	struct cursor c = cursor_over(body, n);
	const uint8_t *old = cursor_take(&c, 4);
	out->proof.n = 0;
	ENSURE(n <= REQUEST_MAX, ERR_PEER, "add-checkpoint: %zu bytes; at most %d", n, REQUEST_MAX);
	ENSURE(old && memcmp(old, "old ", 4) == 0 && note_decimal_line(&c, &out->old), ERR_PEER,
	       "add-checkpoint: line 1 must be \"old\", a space and a size");
	while (cursor_left(&c) && *c.at != '\n') {
		ENSURE(out->proof.n < MERKLE_PROOF_MAX, ERR_PEER,
		       "add-checkpoint: more than %d hashes", MERKLE_PROOF_MAX);
		ENSURE(note_hash_line(&c, &out->proof.at[out->proof.n]), ERR_PEER,
		       "add-checkpoint: hash %zu is not the base64 of %d bytes", out->proof.n + 1,
		       MERKLE_HASH);
		out->proof.n++;
	}
	ENSURE(cursor_u8(&c) == '\n', ERR_PEER,
	       "add-checkpoint: no blank line before the checkpoint");
	out->checkpoint_len = cursor_left(&c);
	out->checkpoint = (const char *)c.at;
	ENSURE(out->checkpoint_len, ERR_PEER, "add-checkpoint: no checkpoint");
	return OK;
}

struct err witness_size_parse(const char *body, size_t n, uint64_t *size)
{
	struct cursor c = cursor_over(body, n);
	ENSURE(note_decimal_line(&c, size), ERR_PEER,
	       "the witness's size must be a decimal without leading zeros, below 2^63");
	return cursor_finish(&c, "the witness's size");
}
