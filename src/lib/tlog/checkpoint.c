// SPDX-License-Identifier: Apache-2.0
// Checkpoints: three lines and no more from us; a stranger's extension lines are accepted and said.

#include "lib/base/cursor.h"
#include "lib/tlog/note.h"
#include "lib/tlog/text.h"

#include <inttypes.h>
#include <string.h>

bool note_hash_line(struct cursor *c, struct merkle_hash *out)
{
	const char *line;
	size_t n, len = 0;
	return text_line(c, &line, &n) &&
	       text_base64_read(line, n, out->bytes, MERKLE_HASH, &len) && len == MERKLE_HASH;
}

void note_hash_write(const struct merkle_hash *h, struct buf *out)
{
	text_base64_write(h->bytes, MERKLE_HASH, out);
	buf_u8(out, '\n');
}

bool note_decimal_line(struct cursor *c, uint64_t *out)
{
	const char *line;
	size_t n;
	return text_line(c, &line, &n) && text_decimal(line, n, out);
}

void checkpoint_format(const struct checkpoint *c, struct buf *text)
{
	buf_printf(text, "%s\n%" PRIu64 "\n", c->origin, c->size);
	note_hash_write(&c->root, text);
}

struct err checkpoint_parse(const char *text, size_t n, struct checkpoint *out)
{
	struct cursor c = cursor_over(text, n);
	const char *line;
	size_t len;
	*out = (struct checkpoint){0};
	ENSURE(n <= NOTE_MAX && text_clean(text, n), ERR_PEER,
	       "checkpoint: too long, not UTF-8, or control characters in it");
	ENSURE(text_line(&c, &line, &len) && len > 0 && len <= NOTE_NAME_MAX, ERR_PEER,
	       "checkpoint: line 1 must be an origin of 1 to %d bytes", NOTE_NAME_MAX);
	memcpy(out->origin, line, len);
	ENSURE(note_decimal_line(&c, &out->size), ERR_PEER,
	       "checkpoint: line 2 must be the size, decimal, without leading zeros, below 2^63");
	ENSURE(note_hash_line(&c, &out->root), ERR_PEER,
	       "checkpoint: line 3 must be the base64 of a root of %d bytes", MERKLE_HASH);
	while (cursor_left(&c)) {
		ENSURE(text_line(&c, &line, &len) && len > 0, ERR_PEER,
		       "checkpoint: an extension line is empty or does not end");
		out->extended = true;
	}
	return OK;
}

struct err checkpoint_open(const char *bytes, size_t n, const char *origin,
			   const struct note_key *key, struct note *note, struct checkpoint *out)
{
	bool is = false;
	TRY(note_parse(bytes, n, note));
	TRY(checkpoint_parse(note->text, note->text_len, out));
	ENSURE(strcmp(out->origin, origin) == 0, ERR_NOT_FOUND,
	       "checkpoint: of log \"%.80s\", not of \"%.80s\"", out->origin, origin);
	TRY(note_verify(note, key, &is, NULL));
	ENSURE(is, ERR_AUTH, "checkpoint: %s did not sign it", key->name);
	return OK;
}
