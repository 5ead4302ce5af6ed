// SPDX-License-Identifier: Apache-2.0
#include "repository/proofs.h"

void proof_write(struct buf *out, const struct proof *p)
{
	buf_be64(out, p->revision);
	buf_be64(out, p->seq);
	buf_be64(out, p->grant);
	buf_be64(out, (uint64_t)p->received_ns);
	buf_be32(out, p->count);
	buf_u8(out, p->flags);
	buf_append(out, p->hash, BATCH_HASH);
	if (!(p->flags & BATCH_SIGNED))
		return;
	buf_u8(out, p->algorithm);
	buf_append(out, p->key_id, BATCH_KEY_ID);
	buf_be16(out, p->signature_len);
	buf_append(out, p->signature, p->signature_len);
}

struct err proof_read(struct cursor *c, struct proof *out)
{
	*out = (struct proof){0};
	out->revision = cursor_be64(c);
	out->seq = cursor_be64(c);
	out->grant = cursor_be64(c);
	out->received_ns = (int64_t)cursor_be64(c);
	out->count = cursor_be32(c);
	out->flags = cursor_u8(c);
	cursor_copy(c, out->hash, BATCH_HASH);
	if (out->flags & BATCH_SIGNED) {
		out->algorithm = cursor_u8(c);
		cursor_copy(c, out->key_id, BATCH_KEY_ID);
		out->signature_len = cursor_be16(c);
		out->signature = cursor_take(c, out->signature_len);
	}
	ENSURE(!c->failed && out->signature_len <= BATCH_SIGNATURE_MAX, ERR_CORRUPT,
	       "a batch's proof is cut");
	return OK;
}

struct err proof_find(const uint8_t *bytes, size_t n, uint64_t revision, struct proof *out)
{
	struct cursor c = cursor_over(n ? bytes : (const uint8_t *)"", n);
	while (cursor_left(&c)) {
		TRY(proof_read(&c, out));
		if (out->revision == revision)
			return OK;
	}
	return err_make(ERR_NOT_FOUND, "no proof of revision %llu", (unsigned long long)revision);
}
