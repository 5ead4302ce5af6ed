// SPDX-License-Identifier: Apache-2.0
#include "lib/instruction/internal.h"

#include <string.h>

static const char *const titles[INSTRUCTION_PARTS] = {
	[INSTRUCTION_VERDICT] = "gemel verdict v1\n",
	[INSTRUCTION_APPROVAL] = "gemel approval v1\n",
	[INSTRUCTION_DELIVERY] = "gemel delivery v1\n",
	[INSTRUCTION_BUNDLE] = "gemel trust bundle v1\n",
};

void instruction_to_sign(enum instruction_part part, const uint8_t *body, size_t n, struct buf *out)
{
	buf_str(out, titles[part]);
	buf_append(out, body, n);
}

void instruction_digest(enum instruction_part part, const uint8_t *body, size_t n,
			uint8_t out[HASH_SIZE])
{
	const char *title = titles[part];
	hash_parts((struct hash_part[]){{title, strlen(title)}, {body, n}}, 2, out);
}

// --- bodies

static struct err as_usage(struct err e)
{
	if (e.code == ERR_PEER)
		e.code = ERR_USAGE;
	return e;
}

struct err instruction_plan_write(const Plan *p, struct buf *out)
{
	TRY(as_usage(plan_check(p)));
	return message_write(p, INSTRUCTION_PLAN_MAX, out);
}

struct err instruction_verdict_write(const Verdict *v, struct buf *out)
{
	TRY(as_usage(verdict_check(v)));
	return message_write(v, INSTRUCTION_ENVELOPE_MAX, out);
}

struct err instruction_approval_write(const Approval *v, struct buf *out)
{
	TRY(as_usage(approval_check(v)));
	return message_write(v, INSTRUCTION_ENVELOPE_MAX, out);
}

struct err instruction_bundle_write(const TrustBundle *t, struct buf *out)
{
	struct instruction_bundle ignored;
	TRY(as_usage(bundle_check(t, &ignored)));
	return message_write(t, INSTRUCTION_BUNDLE_MAX, out);
}

void instruction_entry_body(const uint8_t plan_digest[HASH_SIZE], const uint8_t *verdict_digest,
			    const uint8_t (*approvals)[HASH_SIZE], size_t n_approvals,
			    struct buf *out)
{
	char hex[HASH_HEX];
	buf_str(out, "{\"approvals\":[");
	for (size_t i = 0; i < n_approvals; i++)
		buf_printf(out, "%s\"%s\"", i ? "," : "", hash_hex(approvals[i], HASH_SIZE, hex));
	buf_printf(out, "],\"plan\":\"%s\"", hash_hex(plan_digest, HASH_SIZE, hex));
	buf_printf(out, ",\"verdict\":\"%s\"}",
		   verdict_digest ? hash_hex(verdict_digest, HASH_SIZE, hex) : "");
}

// --- signed messages

static ProtobufCBinaryData view(const void *bytes, size_t n)
{
	return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)bytes};
}

static Signed signed_view(const struct instruction_signed *s)
{
	Signed m = GEMEL__CONTROL__V1__SIGNED__INIT;
	m.body = view(s->body, s->len);
	m.key_id = view(s->key_id, SIGN_KEY_ID);
	m.signature = view(s->signature.bytes, s->signature.len);
	return m;
}

struct err instruction_signed_write(const struct instruction_signed *s, struct buf *out)
{
	Signed m = signed_view(s);
	return message_write(&m, INSTRUCTION_BUNDLE_MAX, out);
}

struct err instruction_signed_read(const uint8_t *bytes, size_t n, struct arena *a,
				   struct instruction_signed *out)
{
	Signed *m;
	TRY(message_read(&gemel__control__v1__signed__descriptor, bytes, n, INSTRUCTION_BUNDLE_MAX,
			 a, &m));
	ENSURE(m->body.len > 0 && message_is(m->key_id, SIGN_KEY_ID) && m->signature.len > 0 &&
		       m->signature.len <= SIGN_MAX,
	       ERR_PEER, "signed: no body, key id or signature of a possible length");
	*out = (struct instruction_signed){.body = m->body.data, .len = m->body.len};
	memcpy(out->key_id, m->key_id.data, SIGN_KEY_ID);
	memcpy(out->signature.bytes, m->signature.data, m->signature.len);
	out->signature.len = m->signature.len;
	return OK;
}

// --- the envelope

struct join { // the messages that an envelope points to
	Envelope envelope;
	Signed delivery, verdict, approvals[INSTRUCTION_APPROVALS_MAX];
	Signed *at[INSTRUCTION_APPROVALS_MAX];
	LedgerPart ledger;
	ProtobufCBinaryData hashes[MERKLE_PROOF_MAX];
};

static struct err join(const struct instruction_parts *p, struct join *j)
{
	ENSURE(p->n_approvals <= INSTRUCTION_APPROVALS_MAX, ERR_USAGE, "at most %d approvals",
	       INSTRUCTION_APPROVALS_MAX);
	ENSURE(p->consistency.n <= MERKLE_PROOF_MAX, ERR_USAGE, "at most %d hashes",
	       MERKLE_PROOF_MAX);
	j->envelope = (Envelope)GEMEL__CONTROL__V1__ENVELOPE__INIT;
	j->ledger = (LedgerPart)GEMEL__CONTROL__V1__LEDGER_PART__INIT;
	if (p->verdict) {
		j->verdict = signed_view(p->verdict);
		j->envelope.verdict = &j->verdict;
	}
	for (size_t i = 0; i < p->n_approvals; i++) {
		j->approvals[i] = signed_view(&p->approvals[i]);
		j->at[i] = &j->approvals[i];
	}
	j->envelope.n_approvals = p->n_approvals;
	j->envelope.approvals = j->at;
	j->ledger.record = view(p->record, p->record_len);
	j->ledger.proof = view(p->proof, p->proof_len);
	j->ledger.from_size = p->from_size;
	for (size_t i = 0; i < p->consistency.n; i++)
		j->hashes[i] = view(p->consistency.at[i].bytes, MERKLE_HASH);
	j->ledger.n_consistency = p->consistency.n;
	j->ledger.consistency = j->hashes;
	j->envelope.ledger = &j->ledger;
	return OK;
}

void parts_digest(const Envelope *e, struct arena *a, uint8_t out[HASH_SIZE], struct err *failure)
{
	static const char title[] = "gemel parts v1\n";
	Envelope parts = *e;
	parts.delivery = NULL;
	size_t n = protobuf_c_message_get_packed_size(&parts.base);
	uint8_t *bytes = arena_alloc(a, n + 1);
	if (!bytes) {
		*failure = err_make(ERR_LIMIT, "envelope: %zu bytes are too many", n);
		return;
	}
	protobuf_c_message_pack(&parts.base, bytes);
	hash_parts((struct hash_part[]){{title, sizeof title - 1}, {bytes, n}}, 2, out);
	*failure = OK;
}

struct err instruction_delivery_write(const uint8_t *plan, size_t plan_len,
				      const struct instruction_parts *parts,
				      const uint8_t nonce[INSTRUCTION_NONCE], uint64_t sequence,
				      int64_t time_ns, struct buf *out)
{
	uint8_t plan_digest[HASH_SIZE], verdict_digest[HASH_SIZE], digest[HASH_SIZE];
	scoped(arena) struct arena *a = arena_new(INSTRUCTION_ARENA);
	ENSURE(a, ERR_LIMIT, "delivery: out of memory");
	struct join j;
	Delivery d = GEMEL__CONTROL__V1__DELIVERY__INIT;
	struct err e = OK;
	ENSURE(sequence > 0 && time_ns > 0, ERR_USAGE, "delivery: no sequence, or no time");
	TRY(join(parts, &j));
	parts_digest(&j.envelope, a, digest, &e);
	TRY(e);
	instruction_plan_digest(plan, plan_len, plan_digest);
	d.plan_digest = view(plan_digest, HASH_SIZE);
	if (parts->verdict) {
		instruction_digest(INSTRUCTION_VERDICT, parts->verdict->body, parts->verdict->len,
				   verdict_digest);
		d.verdict_digest = view(verdict_digest, HASH_SIZE);
	}
	d.nonce = view(nonce, INSTRUCTION_NONCE);
	d.sequence = sequence;
	d.time_ns = time_ns;
	d.parts_digest = view(digest, HASH_SIZE);
	return message_write(&d, INSTRUCTION_ENVELOPE_MAX, out);
}

struct err instruction_envelope_write(const struct instruction_parts *parts,
				      const struct instruction_signed *delivery, struct buf *out)
{
	struct join j;
	TRY(join(parts, &j));
	j.delivery = signed_view(delivery);
	j.envelope.delivery = &j.delivery;
	return message_write(&j.envelope, INSTRUCTION_ENVELOPE_MAX, out);
}
