// SPDX-License-Identifier: Apache-2.0

#include "lib/tlog/proof.h"

#include "lib/base/cursor.h"
#include "lib/tlog/text.h"

#include <inttypes.h>
#include <string.h>

static const char title[] = "c2sp.org/tlog-proof@v1";

void tlog_proof_format(const struct tlog_proof *p, struct buf *out)
{
	buf_printf(out, "%s\n", title);
	if (p->extra && p->extra_len) {
		buf_str(out, "extra ");
		text_base64_write(p->extra, p->extra_len, out);
		buf_u8(out, '\n');
	}
	buf_printf(out, "index %" PRIu64 "\n", p->index);
	for (size_t i = 0; i < p->path.n; i++)
		note_hash_write(&p->path.at[i], out);
	buf_u8(out, '\n');
	buf_append(out, p->checkpoint, p->checkpoint_len);
}

static bool begins(const char *line, size_t n, const char *word)
{
	size_t len = strlen(word);
	return n > len && memcmp(line, word, len) == 0;
}

static struct err extra_read(const char *base64, size_t n, struct arena *a, struct tlog_proof *out)
{
	size_t len = 0;
	ENSURE(n <= (PROOF_EXTRA_MAX + 2) / 3 * 4, ERR_PEER,
	       "tlog-proof: line 2: at most %d bytes of extra data", PROOF_EXTRA_MAX);
	uint8_t *bytes = arena_alloc(a, n / 4 * 3 + 1);
	ENSURE(bytes, ERR_LIMIT, "tlog-proof: no memory for the extra data");
	ENSURE(text_base64_read(base64, n, bytes, n / 4 * 3, &len) && len <= PROOF_EXTRA_MAX,
	       ERR_PEER,
	       "tlog-proof: line 2: \"extra\" must be followed by base64 of at most %d bytes",
	       PROOF_EXTRA_MAX);
	out->extra = bytes;
	out->extra_len = len;
	return OK;
}

struct err tlog_proof_parse(const char *bytes, size_t n, struct arena *a, struct tlog_proof *out)
{
	struct cursor c = cursor_over(bytes, n);
	const char *line;
	size_t len, at = 2;
	*out = (struct tlog_proof){0};
	ENSURE(n <= PROOF_MAX, ERR_PEER, "tlog-proof: %zu bytes; at most %d", n, PROOF_MAX);
	ENSURE(text_line(&c, &line, &len) && len == sizeof title - 1 &&
		       memcmp(line, title, len) == 0,
	       ERR_PEER, "tlog-proof: line 1 must be %s", title);
	ENSURE(text_line(&c, &line, &len), ERR_PEER, "tlog-proof: it ends after line 1");
	if (begins(line, len, "extra ")) {
		TRY(extra_read(line + 6, len - 6, a, out));
		at++;
		ENSURE(text_line(&c, &line, &len), ERR_PEER, "tlog-proof: it ends after line 2");
	}
	ENSURE(begins(line, len, "index ") && text_decimal(line + 6, len - 6, &out->index),
	       ERR_PEER, "tlog-proof: line %zu must be \"index\", a space and a decimal", at);
	for (at++; cursor_left(&c) && *c.at != '\n'; at++) {
		ENSURE(out->path.n < MERKLE_PROOF_MAX, ERR_PEER,
		       "tlog-proof: line %zu: at most %d hashes", at, MERKLE_PROOF_MAX);
		ENSURE(note_hash_line(&c, &out->path.at[out->path.n]), ERR_PEER,
		       "tlog-proof: line %zu is not the base64 of %d bytes", at, MERKLE_HASH);
		out->path.n++;
	}
	ENSURE(cursor_u8(&c) == '\n', ERR_PEER,
	       "tlog-proof: no blank line %zu before the checkpoint", at);
	out->checkpoint_len = cursor_left(&c);
	out->checkpoint = (const char *)c.at;
	ENSURE(out->checkpoint_len, ERR_PEER, "tlog-proof: no checkpoint after line %zu", at);
	return OK;
}

struct err tlog_policy_check(const struct tlog_policy *policy, const char *checkpoint, size_t n,
			     struct checkpoint *out, unsigned *cosigned)
{
	struct note note;
	struct checkpoint c;
	unsigned logs = 0, witnesses = 0;
	TRY(note_parse(checkpoint, n, &note));
	TRY(checkpoint_parse(note.text, note.text_len, &c));
	ENSURE(strcmp(c.origin, policy->origin) == 0, ERR_NOT_FOUND,
	       "checkpoint: of log \"%.80s\", not of \"%.80s\"", c.origin, policy->origin);
	TRY(note_count(&note, policy->logs, policy->n_logs, &logs));
	ENSURE(logs > 0, ERR_AUTH, "checkpoint: log %.80s did not sign it", policy->origin);
	TRY(note_count(&note, policy->witnesses, policy->n_witnesses, &witnesses));
	// X.2011 8.3.3-9: a log alone could show each reader another history.
	ENSURE(witnesses >= policy->quorum, ERR_AUTH,
	       "checkpoint: %u of the %u required witnesses cosigned it", witnesses,
	       policy->quorum);
	if (out)
		*out = c;
	if (cosigned)
		*cosigned = witnesses;
	return OK;
}

struct err tlog_proof_verify(const struct tlog_proof *p, const struct tlog_policy *policy,
			     const void *entry, size_t n, struct checkpoint *out,
			     unsigned *cosigned)
{
	struct checkpoint c;
	struct merkle_hash leaf;
	TRY(tlog_policy_check(policy, p->checkpoint, p->checkpoint_len, &c, cosigned));
	merkle_leaf(entry, n, &leaf);
	TRY(merkle_check_inclusion(&leaf, p->index, c.size, &c.root, p->path.at, p->path.n));
	if (out)
		*out = c;
	return OK;
}
