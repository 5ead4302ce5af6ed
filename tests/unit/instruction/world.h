// SPDX-License-Identifier: Apache-2.0
// A device and a twin around it: real keys, a real ledger of nine entries with two witnesses, and
// an instruction that every test makes, with one thing in it other than it should be. Keys come
// from fixed seeds, so that what is written down as a seed for fuzzing stays good.
#pragma once

#include "../tlog/signer.h"
#include "lib/base/clock.h"
#include "lib/instruction/compose.h"
#include "test_crypto.h"

#define NOW (1800000000LL * NS_PER_S)
#define ORIGIN "twin.example/ledger"

enum who { ROOT, CONTROL, VERDICT, ALICE, BOB, CAROL, MALLORY, GLASS, WHO };
enum { ENTRIES = 9, ENTRY = 6, SEEN = 5 };

struct approval {
	enum who by, key_said; // whose key signs, and whose id is said
	const char *account;
	Gemel__Control__V1__ApprovalOutcome outcome;
	int64_t time_ns;
	bool of_other_plan, spoilt;
};

struct world {
	struct sign_key *keys[WHO];
	struct signer log, other_log, w1, w2, stranger;
	struct arena *arena;
	// --- the bundle, and what may be changed in it before world_bundle()
	Gemel__Control__V1__TrustBundle trust;
	Gemel__Control__V1__Log log_part;
	struct buf bundle_bytes; // a Signed
	struct instruction_bundle bundle;
	// --- what may be changed before world_compose()
	Gemel__Control__V1__Plan plan;
	Gemel__Control__V1__Verdict verdict;
	bool no_verdict, verdict_of_other_plan, verdict_swapped, verdict_spoilt;
	enum who verdict_by, control_by;
	struct approval approvals[3];
	size_t n_approvals;
	const char *kind; // NULL: the right one
	bool entry_of_other_plan, entry_not_in_tree, fork, log_spoilt, cosignature_spoilt;
	struct signer *log_by;
	unsigned cosignatures;
	uint64_t size, from_size;
	uint8_t nonce[INSTRUCTION_NONCE];
	uint64_t sequence;
	bool delivery_of_other_plan, record_altered_after, control_spoilt;
	const char *actor;
	// --- the device, before world_verify()
	struct instruction_nonce nonces[2];
	struct instruction_device device;
	struct checkpoint seen;
	int64_t now_ns;
	// --- what came out
	struct buf plan_bytes, envelope, record, proof;
	struct instruction_result result;
};

// --- the tree

static struct merkle_hash world_leaves[ENTRIES];

static inline struct err world_hash(void *ctx, unsigned level, uint64_t index,
				    struct merkle_hash *out)
{
	struct merkle_frontier f = {0};
	for (uint64_t i = index << level; i < (index + 1) << level; i++)
		merkle_append(&f, &world_leaves[i], NULL);
	merkle_root(&f, out);
	return OK;
}

static const struct merkle_source world_source = {world_hash, NULL};

static inline void world_root(uint64_t size, struct merkle_hash *out)
{
	struct merkle_frontier f = {0};
	for (uint64_t i = 0; i < size; i++)
		merkle_append(&f, &world_leaves[i], NULL);
	merkle_root(&f, out);
}

static inline void world_fill(uint8_t salt)
{
	for (uint8_t i = 0; i < ENTRIES; i++)
		merkle_leaf((uint8_t[]){i, salt}, 2, &world_leaves[i]);
}

// --- keys and bundle

static inline Gemel__Control__V1__Key *world_key(struct world *w, enum who who)
{
	const struct sign_public *p = sign_key_public(w->keys[who]);
	Gemel__Control__V1__Key *k = arena_alloc(w->arena, sizeof *k);
	gemel__control__v1__key__init(k);
	k->algorithm = (uint32_t)p->algorithm;
	k->public_key = (ProtobufCBinaryData){p->len, (uint8_t *)(uintptr_t)p->bytes};
	k->from_ns = NOW - 1000 * NS_PER_S;
	k->until_ns = NOW + 1000 * NS_PER_S;
	return k;
}

static inline Gemel__Control__V1__Approver *
world_approver(struct world *w, enum who who, const char *account, char **classes, size_t n)
{
	Gemel__Control__V1__Approver *a = arena_alloc(w->arena, sizeof *a);
	gemel__control__v1__approver__init(a);
	a->account = arena_strdup(w->arena, account);
	a->key = world_key(w, who);
	a->classes = classes;
	a->n_classes = n;
	return a;
}

static inline void *world_list(struct world *w, size_t n, void *const *members)
{
	void **list = arena_alloc(w->arena, n * sizeof *list);
	memcpy(list, members, n * sizeof *list);
	return list;
}
#define WORLD_LIST(w, ...)                                                                         \
	world_list(w, sizeof((void *[]){__VA_ARGS__}) / sizeof(void *), (void *[]){__VA_ARGS__})

static inline void *world_class(struct world *w, const char *name, uint32_t approvals, bool all)
{
	Gemel__Control__V1__ClassRule *r = arena_alloc(w->arena, sizeof *r);
	gemel__control__v1__class_rule__init(r);
	r->name = arena_strdup(w->arena, name);
	r->approvals = approvals;
	r->acl = true;
	r->route = r->interface = all;
	r->devices = r->services = 10;
	r->users = 100;
	return r;
}

static inline char *world_vkey(struct world *w, const struct signer *s)
{
	scoped(buf) struct buf b = {0};
	note_key_format(&s->by.key, &b);
	return arena_strdup(w->arena, buf_text(&b));
}

static inline void world_trust(struct world *w)
{
	Gemel__Control__V1__TrustBundle *t = &w->trust;
	Gemel__Control__V1__Log *l = &w->log_part;
	static char acl[] = "acl", wide[] = "wide", domain[] = "campus", origin[] = ORIGIN;
	static uint8_t certificate[] = {0x30, 0x00};
	static ProtobufCBinaryData authority = {2, certificate};
	char **both = WORLD_LIST(w, acl, wide), **one = WORLD_LIST(w, wide);
	gemel__control__v1__trust_bundle__init(t);
	gemel__control__v1__log__init(l);
	t->version = 7;
	t->from_ns = NOW - 500 * NS_PER_S;
	t->until_ns = NOW + 86400 * NS_PER_S;
	t->domain = domain;
	t->n_authorities = 1;
	t->authorities = &authority;
	l->origin = origin;
	l->n_vkeys = 1;
	l->vkeys = WORLD_LIST(w, world_vkey(w, &w->log));
	l->n_witnesses = 2;
	l->witnesses = WORLD_LIST(w, world_vkey(w, &w->w1), world_vkey(w, &w->w2));
	l->quorum = 2;
	l->epoch = 1;
	t->log = l;
	t->n_control_keys = t->n_verdict_keys = t->n_break_glass = 1;
	t->control_keys = WORLD_LIST(w, world_key(w, CONTROL));
	t->verdict_keys = WORLD_LIST(w, world_key(w, VERDICT));
	t->n_approvers = 3;
	t->approvers = WORLD_LIST(w, world_approver(w, ALICE, "alice", both, 2),
				  world_approver(w, BOB, "bob", both, 2),
				  world_approver(w, CAROL, "carol", one, 1));
	t->n_classes = 2;
	t->classes = WORLD_LIST(w, world_class(w, acl, 1, false), world_class(w, wide, 2, true));
	t->break_glass = WORLD_LIST(w, world_approver(w, GLASS, "safe", NULL, 0));
}

static inline void world_sign(const struct sign_key *k, enum instruction_part part,
			      const struct buf *body, struct instruction_signed *out)
{
	scoped(buf) struct buf message = {0};
	instruction_to_sign(part, body->data, body->len, &message);
	*out = (struct instruction_signed){.body = body->data, .len = body->len};
	memcpy(out->key_id, sign_key_public(k)->id, SIGN_KEY_ID);
	assert_good(sign_make(k, message.data, message.len, &out->signature));
}

// Signs w->trust and opens it, as the device does.
static inline struct err world_bundle(struct world *w)
{
	scoped(buf) struct buf body = {0};
	struct instruction_signed s;
	static const struct instruction_bundle_memory none;
	TRY(instruction_bundle_write(&w->trust, &body));
	world_sign(w->keys[ROOT], INSTRUCTION_BUNDLE, &body, &s);
	buf_reset(&w->bundle_bytes);
	TRY(instruction_signed_write(&s, &w->bundle_bytes));
	return instruction_bundle_open(w->bundle_bytes.data, w->bundle_bytes.len,
				       sign_key_public(w->keys[ROOT]), 1, "campus", &none, NOW,
				       w->arena, &w->bundle, NULL);
}

// --- plan

static inline void world_plan(struct world *w)
{
	static uint8_t guest[] = {10, 9, 0, 0}, finance[] = {10, 7, 3, 0};
	static char id[] = "p-2026-11-24-1", device[] = "fw1", domain[] = "campus",
		    mallory[] = "alice", why[] = "guest must not reach finance", class[] = "acl";
	Gemel__Control__V1__Plan *p = &w->plan;
	Gemel__Control__V1__Change *c = arena_alloc(w->arena, sizeof *c);
	Gemel__Control__V1__AclEntry *e = arena_alloc(w->arena, sizeof *e);
	Gemel__Control__V1__Prefix *from = arena_alloc(w->arena, sizeof *from);
	Gemel__Control__V1__Prefix *to = arena_alloc(w->arena, sizeof *to);
	gemel__control__v1__plan__init(p);
	gemel__control__v1__change__init(c);
	gemel__control__v1__acl_entry__init(e);
	gemel__control__v1__prefix__init(from);
	gemel__control__v1__prefix__init(to);
	from->address = (ProtobufCBinaryData){4, guest};
	from->length = 16;
	to->address = (ProtobufCBinaryData){4, finance};
	to->length = 24;
	e->sequence_id = 10;
	e->hook = GEMEL__CONTROL__V1__ACL_HOOK__FORWARD;
	e->action = GEMEL__CONTROL__V1__ACL_ACTION__DROP;
	e->source = from;
	e->destination = to;
	c->change_case = GEMEL__CONTROL__V1__CHANGE__CHANGE_ACL;
	c->acl = e;
	p->id = id;
	p->device = device;
	p->domain = domain;
	p->n_changes = 1;
	p->changes = WORLD_LIST(w, c);
	p->created_ns = NOW - 120 * NS_PER_S;
	p->expires_ns = NOW + 600 * NS_PER_S;
	p->confirm_s = 60;
	p->requester = mallory;
	p->reason = why;
	p->class_ = class;
	p->approvals_required = 1;
}

// --- start, end

static inline void world_start(struct world *w)
{
	static uint8_t precondition[HASH_SIZE] = {0x11}, read_set[HASH_SIZE] = {0x22};
	memset(w, 0, sizeof *w);
	w->arena = arena_new(INSTRUCTION_ARENA);
	for (unsigned i = 0; i < WHO; i++) {
		uint8_t seed[32] = {0x40, (uint8_t)(i + 1)};
		struct secret *raw = secret_of(seed, 32);
		assert_good(sign_key_from_raw(i == ALICE || i == CAROL || i == GLASS ? SIGN_P256
										     : SIGN_ED25519,
					      raw, &w->keys[i]));
		secret_free(raw);
	}
	const uint8_t seeds[5][32] = {{1}, {2}, {3}, {4}, {5}};
	signer_start(&w->log, ORIGIN, NOTE_ED25519, seeds[0]);
	signer_start(&w->other_log, ORIGIN, NOTE_ED25519, seeds[1]);
	signer_start(&w->w1, "w1.example", NOTE_COSIGNATURE, seeds[2]);
	signer_start(&w->w2, "w2.example", NOTE_COSIGNATURE, seeds[3]);
	signer_start(&w->stranger, "w3.example", NOTE_COSIGNATURE, seeds[4]);
	world_trust(w);
	assert_good(world_bundle(w));
	world_plan(w);
	gemel__control__v1__verdict__init(&w->verdict);
	w->verdict.twin_revision = 4711;
	w->verdict.precondition = (ProtobufCBinaryData){HASH_SIZE, precondition};
	w->verdict.outcome = GEMEL__CONTROL__V1__VERDICT_OUTCOME__HARMLESS;
	w->verdict.devices = 1;
	w->verdict.users = 40;
	w->verdict.read_set = (ProtobufCBinaryData){HASH_SIZE, read_set};
	w->verdict.time_ns = NOW - 100 * NS_PER_S;
	w->verdict_by = VERDICT;
	w->control_by = CONTROL;
	w->approvals[0] = (struct approval){BOB,
					    BOB,
					    "bob",
					    GEMEL__CONTROL__V1__APPROVAL_OUTCOME__APPROVED,
					    NOW - 50 * NS_PER_S,
					    false,
					    false};
	w->n_approvals = 1;
	w->log_by = &w->log;
	w->cosignatures = 2;
	w->size = ENTRIES;
	w->from_size = SEEN;
	w->sequence = 42;
	w->actor = "management";
	w->now_ns = NOW;
	for (unsigned i = 0; i < 2; i++) {
		memset(w->nonces[i].bytes, (int)(0xa0 + i), INSTRUCTION_NONCE);
		w->nonces[i].given_ns = NOW - (int64_t)(i + 1) * NS_PER_S;
	}
	memcpy(w->nonce, w->nonces[1].bytes, INSTRUCTION_NONCE);
	w->seen = (struct checkpoint){.size = SEEN};
	strcpy(w->seen.origin, ORIGIN);
	world_fill(0);
	world_root(SEEN, &w->seen.root);
	w->device = (struct instruction_device){.device = "fw1",
						.domain = "campus",
						.nonces = w->nonces,
						.n_nonces = 2,
						.sequence = 41,
						.remembered = &w->seen};
	memcpy(w->device.precondition, precondition, HASH_SIZE);
}

static inline void world_end(struct world *w)
{
	for (unsigned i = 0; i < WHO; i++)
		sign_key_free(w->keys[i]);
	signer_end(&w->log);
	signer_end(&w->other_log);
	signer_end(&w->w1);
	signer_end(&w->w2);
	signer_end(&w->stranger);
	buf_clear(&w->bundle_bytes);
	buf_clear(&w->plan_bytes);
	buf_clear(&w->envelope);
	buf_clear(&w->record);
	buf_clear(&w->proof);
	arena_free(w->arena);
}

// --- the ledger's side, written again from repository/ledger.h's drawing

static inline void world_record(struct world *w, const uint8_t plan[HASH_SIZE],
				const uint8_t *verdict, const uint8_t (*approvals)[HASH_SIZE])
{
	const int64_t time_ns = NOW - 10 * NS_PER_S;
	const char *kind = w->kind		 ? w->kind
			   : w->plan.break_glass ? INSTRUCTION_KIND_BREAK_GLASS
						 : INSTRUCTION_KIND;
	const uint8_t salt[32] = {0x5a};
	char time[CLOCK_TEXT_MAX];
	uint8_t hash[HASH_SIZE];
	scoped(buf) struct buf body = {0}, entry = {0};
	buf_printf(&body, "{\"actor\":\"%s\",\"body\":", w->actor);
	instruction_entry_body(plan, verdict, approvals, w->n_approvals, &body);
	buf_printf(&body, ",\"kind\":\"%s\",\"subject\":\"%s\",\"time\":\"%s\"}", kind,
		   w->plan.device, clock_format(time_ns, time));
	buf_reset(&w->record);
	buf_be64(&w->record, (uint64_t)time_ns);
	buf_u8(&w->record, (uint8_t)strlen(kind));
	buf_str(&w->record, kind);
	buf_append(&w->record, salt, sizeof salt);
	buf_be32(&w->record, (uint32_t)body.len);
	buf_append(&w->record, body.data, body.len);
	hash_parts((struct hash_part[]){{salt, sizeof salt}, {body.data, body.len}}, 2, hash);
	buf_u8(&entry, 1);
	buf_u8(&entry, (uint8_t)strlen(kind));
	buf_str(&entry, kind);
	buf_be64(&entry, (uint64_t)time_ns);
	buf_append(&entry, hash, sizeof hash);
	world_fill(w->fork ? 1 : 0);
	if (!w->entry_not_in_tree)
		merkle_leaf(entry.data, entry.len, &world_leaves[ENTRY]);
}

static inline void world_proof(struct world *w, struct merkle_proof *consistency)
{
	struct checkpoint c = {.size = w->size};
	scoped(buf) struct buf text = {0}, note = {0};
	strcpy(c.origin, ORIGIN);
	world_root(w->size, &c.root);
	checkpoint_format(&c, &text);
	buf_append(&note, text.data, text.len);
	buf_u8(&note, '\n');
	struct signer *const cosigners[] = {&w->w1, &w->w2};
	if (w->log_spoilt)
		text.data[text.len - 10] ^= 1;
	assert_good(note_sign(&w->log_by->by, 0, buf_text(&text), text.len, &note));
	if (w->log_spoilt)
		text.data[text.len - 10] ^= 1;
	if (w->cosignature_spoilt)
		text.data[text.len - 10] ^= 1;
	for (unsigned i = 0; i < w->cosignatures; i++)
		assert_good(
			note_sign(&cosigners[i]->by, 1700000000, buf_text(&text), text.len, &note));
	if (w->cosignatures < 2)
		assert_good(
			note_sign(&w->stranger.by, 1700000000, buf_text(&text), text.len, &note));
	struct tlog_proof p = {
		.index = ENTRY, .checkpoint = buf_text(&note), .checkpoint_len = note.len};
	assert_good(merkle_inclusion(&world_source, w->size, ENTRY, &p.path));
	buf_reset(&w->proof);
	tlog_proof_format(&p, &w->proof);
	consistency->n = 0;
	if (w->from_size && w->from_size < w->size)
		assert_good(merkle_consistency(&world_source, w->from_size, w->size, consistency));
}

// --- all of it

static inline void world_approval(struct world *w, const struct approval *a,
				  const uint8_t plan[HASH_SIZE], struct instruction_signed *out)
{
	Gemel__Control__V1__Approval v = GEMEL__CONTROL__V1__APPROVAL__INIT;
	struct buf *body = arena_alloc(w->arena, sizeof *body);
	uint8_t other[HASH_SIZE] = {9};
	v.plan_digest = (ProtobufCBinaryData){
		HASH_SIZE, a->of_other_plan ? other : (uint8_t *)(uintptr_t)plan};
	v.account = (char *)(uintptr_t)a->account;
	v.key_id = (ProtobufCBinaryData){
		SIGN_KEY_ID, (uint8_t *)(uintptr_t)sign_key_public(w->keys[a->key_said])->id};
	v.time_ns = a->time_ns;
	v.outcome = a->outcome;
	scoped(buf) struct buf bytes = {0};
	assert_good(instruction_approval_write(&v, &bytes));
	body->data = arena_alloc(w->arena, bytes.len);
	body->len = bytes.len;
	memcpy(body->data, bytes.data, bytes.len);
	world_sign(w->keys[a->by], INSTRUCTION_APPROVAL, body, out);
	memcpy(out->key_id, sign_key_public(w->keys[a->key_said])->id, SIGN_KEY_ID);
	if (a->spoilt)
		out->signature.bytes[out->signature.len - 1] ^= 1;
}

static inline void world_verdict(struct world *w, uint8_t plan[HASH_SIZE], struct buf *bytes,
				 struct instruction_signed *out)
{
	uint8_t other[HASH_SIZE] = {9};
	w->verdict.plan_digest =
		(ProtobufCBinaryData){HASH_SIZE, w->verdict_of_other_plan ? other : plan};
	assert_good(instruction_verdict_write(&w->verdict, bytes));
	world_sign(w->keys[w->verdict_by], INSTRUCTION_VERDICT, bytes, out);
	if (w->verdict_spoilt)
		out->signature.bytes[3] ^= 1;
}

static inline void world_deliver(struct world *w, struct instruction_parts *parts,
				 const struct instruction_signed *later)
{
	static const uint8_t another[] = "another plan";
	scoped(buf) struct buf body = {0};
	struct instruction_signed delivery;
	const uint8_t *plan = w->delivery_of_other_plan ? another : w->plan_bytes.data;
	size_t n = w->delivery_of_other_plan ? sizeof another : w->plan_bytes.len;
	assert_good(instruction_delivery_write(plan, n, parts, w->nonce, w->sequence,
					       NOW - 2 * NS_PER_S, &body));
	world_sign(w->keys[w->control_by], INSTRUCTION_DELIVERY, &body, &delivery);
	if (w->control_spoilt)
		delivery.signature.bytes[5] ^= 0x10;
	if (w->verdict_swapped)
		parts->verdict = later;
	uint8_t *actor = (uint8_t *)(uintptr_t)parts->record;
	if (w->record_altered_after) { // still the same entry in all but whose it is
		actor = memmem(actor, parts->record_len, "management", 10);
		actor[0] ^= 1;
	}
	buf_reset(&w->envelope);
	assert_good(instruction_envelope_write(parts, &delivery, &w->envelope));
}

static inline void world_compose(struct world *w)
{
	uint8_t plan[HASH_SIZE], verdict[HASH_SIZE], other[HASH_SIZE] = {9};
	uint8_t approvals[3][HASH_SIZE];
	scoped(buf) struct buf verdict_bytes = {0}, later_bytes = {0};
	struct instruction_signed signed_verdict, later, signed_approvals[3];
	struct instruction_parts parts = {.approvals = signed_approvals,
					  .n_approvals = w->n_approvals,
					  .from_size = w->from_size};
	buf_reset(&w->plan_bytes);
	assert_good(instruction_plan_write(&w->plan, &w->plan_bytes));
	instruction_plan_digest(w->plan_bytes.data, w->plan_bytes.len, plan);
	if (!w->no_verdict && !w->plan.break_glass) {
		world_verdict(w, plan, &verdict_bytes, &signed_verdict);
		instruction_digest(INSTRUCTION_VERDICT, verdict_bytes.data, verdict_bytes.len,
				   verdict);
		parts.verdict = &signed_verdict;
		w->verdict.twin_revision++;
		world_verdict(w, plan, &later_bytes, &later);
		w->verdict.twin_revision--;
	}
	for (size_t i = 0; i < w->n_approvals; i++) {
		world_approval(w, &w->approvals[i], plan, &signed_approvals[i]);
		instruction_digest(INSTRUCTION_APPROVAL, signed_approvals[i].body,
				   signed_approvals[i].len, approvals[i]);
	}
	world_record(w, w->entry_of_other_plan ? other : plan, parts.verdict ? verdict : NULL,
		     (const uint8_t(*)[HASH_SIZE])approvals);
	world_proof(w, &parts.consistency);
	parts.record = w->record.data;
	parts.record_len = w->record.len;
	parts.proof = buf_text(&w->proof);
	parts.proof_len = w->proof.len;
	if (w->no_verdict) { // the delivery names one that the envelope then lacks
		world_verdict(w, plan, &verdict_bytes, &signed_verdict);
		parts.verdict = &signed_verdict;
		w->verdict_swapped = true;
		world_deliver(w, &parts, NULL);
		return;
	}
	world_deliver(w, &parts, &later);
}

static inline struct err world_verify_bytes(struct world *w, const uint8_t *envelope, size_t n,
					    const uint8_t *plan, size_t plan_len)
{
	scoped(arena) struct arena *a = arena_new(INSTRUCTION_ARENA);
	return instruction_verify(&w->device, &w->bundle, envelope, n, plan, plan_len, w->now_ns, a,
				  &w->result);
}

static inline struct err world_verify(struct world *w)
{
	return world_verify_bytes(w, w->envelope.data, w->envelope.len, w->plan_bytes.data,
				  w->plan_bytes.len);
}
