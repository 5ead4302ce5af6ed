// SPDX-License-Identifier: Apache-2.0
// Written: the entry opens to this instruction, is in the ledger whose checkpoint enough witnesses
// cosigned, and that ledger continues what this device has seen. X.2011 8.3.3-9, 9.1-ledger.
//
// The entry's body is JSON in one form (sorted keys, no spaces), so the device writes what it must
// be and compares bytes; only the actor's name is another's to choose. No JSON parser is needed.
#include "lib/instruction/internal.h"

#include "lib/base/clock.h"
#include "lib/base/cursor.h"

#include <inttypes.h>
#include <string.h>

enum { SALT = 32 };

struct record {
	int64_t time_ns;
	const uint8_t *kind, *salt, *body;
	size_t kind_len, body_len;
};

static struct err record_read(ProtobufCBinaryData bytes, struct record *r)
{
	struct cursor in = cursor_over(bytes.data, bytes.len);
	ENSURE(bytes.len > 0 && bytes.len <= INSTRUCTION_RECORD_MAX, ERR_PEER,
	       "ledger record: %zu bytes; must be 1 to %d", bytes.len, INSTRUCTION_RECORD_MAX);
	r->time_ns = (int64_t)cursor_be64(&in);
	r->kind_len = cursor_u8(&in);
	r->kind = cursor_take(&in, r->kind_len);
	r->salt = cursor_take(&in, SALT);
	r->body_len = cursor_be32(&in);
	r->body = cursor_take(&in, r->body_len);
	TRY(cursor_finish(&in, "ledger record"));
	ENSURE(r->time_ns > 0, ERR_PEER, "ledger record: no time");
	return OK;
}

static void leaf(const struct record *r, struct merkle_hash *out)
{
	scoped(buf) struct buf b = {0};
	uint8_t hash[HASH_SIZE];
	hash_parts((struct hash_part[]){{r->salt, SALT}, {r->body, r->body_len}}, 2, hash);
	buf_u8(&b, 1);
	buf_u8(&b, (uint8_t)r->kind_len);
	buf_append(&b, r->kind, r->kind_len);
	buf_be64(&b, (uint64_t)r->time_ns);
	buf_append(&b, hash, sizeof hash);
	merkle_leaf(b.data, b.len, out); // when memory was out: of fewer bytes, which prove nothing
}

static bool starts(struct cursor *c, const void *with, size_t n)
{
	const uint8_t *p = cursor_take(c, n);
	return p && memcmp(p, with, n) == 0;
}

static bool entry_is_this(const struct check *c, const struct record *r)
{
	static const char before[] = "{\"actor\":\"";
	const char *kind = c->plan->break_glass ? INSTRUCTION_KIND_BREAK_GLASS : INSTRUCTION_KIND;
	char time[CLOCK_TEXT_MAX];
	scoped(buf) struct buf rest = {0};
	buf_str(&rest, "\",\"body\":");
	instruction_entry_body(c->out->plan_digest, c->have_verdict ? c->verdict_digest : NULL,
			       (const uint8_t(*)[HASH_SIZE])c->approvals, c->envelope->n_approvals,
			       &rest);
	buf_printf(&rest, ",\"kind\":\"%s\",\"subject\":\"%s\",\"time\":\"%s\"}", kind,
		   c->plan->device, clock_format(r->time_ns, time));
	struct cursor in = cursor_over(r->body, r->body_len);
	if (rest.failed || r->kind_len != strlen(kind) || memcmp(r->kind, kind, r->kind_len) != 0 ||
	    !starts(&in, before, sizeof before - 1))
		return false;
	while (cursor_left(&in) && *in.at != '"' && *in.at != '\\' && *in.at >= 0x20)
		cursor_u8(&in);
	return starts(&in, rest.data, rest.len) && cursor_left(&in) == 0;
}

// --- the checkpoint

static struct err signatures(const struct check *c, const struct note *note,
			     const struct checkpoint *cp)
{
	enum instruction_reason *why = &c->out->reason;
	const Gemel__Control__V1__Log *l = c->bundle->message->log;
	unsigned logs = 0, witnesses = 0;
	struct err e = note_count(note, c->bundle->logs, l->n_vkeys, &logs);
	CHECK(why,
	      e.code == ERR_NONE && logs > 0 && strcmp(cp->origin, l->origin) == 0 && !cp->extended,
	      CHECKPOINT_SIGNATURE, "%s", e.code ? e.text : "not by this ledger, or extended");
	e = note_count(note, c->bundle->witnesses, l->n_witnesses, &witnesses);
	CHECK(why, e.code == ERR_NONE && witnesses >= l->quorum, CHECKPOINT_QUORUM, "%s%u of %u",
	      e.code ? e.text : "", witnesses, l->quorum);
	c->out->cosigned = witnesses;
	c->out->unwitnessed = l->witnesses_none;
	return OK;
}

static const struct checkpoint *memory(const struct check *c)
{
	const struct checkpoint *r = c->state->remembered, *floor = &c->bundle->floor;
	if (r && strcmp(r->origin, floor->origin) == 0)
		return r;
	return floor->size ? floor : NULL;
}

static struct err continues(const struct check *c, const struct checkpoint *cp)
{
	enum instruction_reason *why = &c->out->reason;
	const struct checkpoint *m = memory(c);
	const struct merkle_proof *p = &c->out->consistency;
	uint64_t from = m ? m->size : 0;
	CHECK(why, cp->size >= from, LEDGER_ROLLED_BACK,
	      "%" PRIu64 " entries; %" PRIu64 " were seen", cp->size, from);
	CHECK(why, c->envelope->ledger->from_size == from, LEDGER_FROM_OTHER,
	      "from %" PRIu64 "; %" PRIu64 " is remembered", c->envelope->ledger->from_size, from);
	bool good;
	if (from == 0) // the first that is seen of a ledger is believed
		good = p->n == 0;
	else if (cp->size == from)
		good = p->n == 0 && merkle_equal(&cp->root, &m->root);
	else
		good = merkle_check_consistency(from, &m->root, cp->size, &cp->root, p->at, p->n)
			       .code == ERR_NONE;
	CHECK(why, good, LEDGER_FORKED, "between %" PRIu64 " and %" PRIu64 " entries", from,
	      cp->size);
	c->out->consistent_from = from > 0 && cp->size > from;
	return OK;
}

// --- all of it

static struct err read_ledger(struct check *c, struct record *r, struct tlog_proof *proof,
			      struct note *note, struct checkpoint *cp)
{
	const LedgerPart *l = c->envelope->ledger;
	struct merkle_proof *p = &c->out->consistency;
	TRY(record_read(l->record, r));
	ENSURE(l->proof.len > 0, ERR_PEER, "ledger part: no proof");
	TRY(tlog_proof_parse((const char *)l->proof.data, l->proof.len, c->arena, proof));
	ENSURE(!proof->extra, ERR_PEER, "tlog-proof: has extra data");
	TRY(note_parse(proof->checkpoint, proof->checkpoint_len, note));
	TRY(checkpoint_parse(note->text, note->text_len, cp));
	ENSURE(l->n_consistency <= MERKLE_PROOF_MAX, ERR_PEER, "consistency: at most %d hashes",
	       MERKLE_PROOF_MAX);
	for (p->n = 0; p->n < l->n_consistency; p->n++) {
		ENSURE(message_is(l->consistency[p->n], MERKLE_HASH), ERR_PEER,
		       "consistency: hash %zu has not %d bytes", p->n, MERKLE_HASH);
		memcpy(p->at[p->n].bytes, l->consistency[p->n].data, MERKLE_HASH);
	}
	return OK;
}

struct err check_ledger(struct check *c)
{
	enum instruction_reason *why = &c->out->reason;
	struct record r = {0};
	struct tlog_proof proof = {0};
	struct note note = {0};
	struct checkpoint cp = {0};
	struct merkle_hash hash;
	struct err e = read_ledger(c, &r, &proof, &note, &cp);
	if (e.code != ERR_NONE)
		return reason_refuse(why, INSTRUCTION_MALFORMED, "%s", e.text);
	CHECK(why, entry_is_this(c, &r), LEDGER_ENTRY_OTHER, "entry %" PRIu64, proof.index);
	TRY(signatures(c, &note, &cp));
	leaf(&r, &hash);
	e = merkle_check_inclusion(&hash, proof.index, cp.size, &cp.root, proof.path.at,
				   proof.path.n);
	CHECK(why, e.code == ERR_NONE, LEDGER_PROOF, "entry %" PRIu64 " of %" PRIu64, proof.index,
	      cp.size);
	TRY(continues(c, &cp));
	c->out->checkpoint = cp;
	c->out->entry_index = proof.index;
	return OK;
}
