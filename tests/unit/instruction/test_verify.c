// SPDX-License-Identifier: Apache-2.0
// A good instruction is taken, and every attack is refused with a reason of its own.
#include "world.h"

static void assert_reason(struct world *w, struct err e, enum instruction_reason want)
{
	if (w->result.reason == want && (e.code == ERR_NONE) == (want == INSTRUCTION_GOOD) &&
	    (!e.code || strncmp(e.text, instruction_reason_word(want),
				strlen(instruction_reason_word(want))) == 0))
		return;
	print_error("wanted %s, got %s (%s)\n", instruction_reason_word(want),
		    instruction_reason_word(w->result.reason), e.code ? e.text : "good");
	fail();
}

static void test_good(void **state)
{
	struct world w;
	world_start(&w);
	world_compose(&w);
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	assert_int_equal(w.result.nonce, 1);
	assert_int_equal(w.result.sequence, 42);
	assert_int_equal(w.result.twin_revision, 4711);
	assert_int_equal(w.result.read_set[0], 0x22);
	assert_int_equal(w.result.checkpoint.size, ENTRIES);
	assert_int_equal(w.result.entry_index, ENTRY);
	assert_int_equal(w.result.cosigned, 2);
	assert_true(w.result.consistent_from && !w.result.unwitnessed && !w.result.break_glass);
	// What it hands back is what the device remembers next.
	w.seen = w.result.checkpoint;
	w.from_size = ENTRIES;
	w.device.sequence = 42;
	w.sequence = 43;
	world_compose(&w);
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	assert_false(w.result.consistent_from);
	world_end(&w);
}

// Without a memory of this ledger the bundle's floor counts, or else the first is believed.
static void test_no_memory(void **state)
{
	struct world w;
	world_start(&w);
	w.device.remembered = NULL;
	w.from_size = 0;
	world_compose(&w);
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	w.log_part.floor_size = SEEN;
	w.log_part.floor_root = (ProtobufCBinaryData){MERKLE_HASH, w.seen.root.bytes};
	assert_good(world_bundle(&w));
	assert_reason(&w, world_verify(&w), INSTRUCTION_LEDGER_FROM_OTHER);
	w.from_size = SEEN;
	world_compose(&w);
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	strcpy(w.seen.origin, "twin.example/before-the-restore");
	w.device.remembered = &w.seen;
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	world_end(&w);
}

static void test_unwitnessed(void **state)
{
	struct world w;
	world_start(&w);
	w.log_part.n_witnesses = w.log_part.quorum = 0;
	assert_bad(ERR_USAGE, "witnesses_none", world_bundle(&w));
	w.log_part.witnesses_none = true;
	assert_good(world_bundle(&w));
	w.cosignatures = 0;
	world_compose(&w);
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	assert_true(w.result.unwitnessed);
	world_end(&w);
}

static void glass(struct world *w)
{
	w->plan.break_glass = true;
	w->plan.approvals_required = 0;
	w->approvals[0] = (struct approval){GLASS,
					    GLASS,
					    "safe",
					    GEMEL__CONTROL__V1__APPROVAL_OUTCOME__BREAK_GLASS,
					    NOW - 50 * NS_PER_S,
					    false,
					    false};
}

static void test_break_glass(void **state)
{
	struct world w;
	world_start(&w);
	glass(&w);
	w.device.precondition[0] ^= 1; // nothing was rehearsed
	world_compose(&w);
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	assert_true(w.result.break_glass);
	assert_int_equal(w.result.twin_revision, 0);
	world_end(&w);
}

// --- attacks: each changes one thing in the world; `again` false: after the instruction was made

static void a_wrong_device(struct world *w)
{
	w->device.device = "fw2";
}
static void a_wrong_domain(struct world *w)
{
	static char other[] = "branch";
	w->plan.domain = other;
}
static void a_bundle_domain(struct world *w)
{
	w->device.domain = "branch";
}
static void a_not_yet(struct world *w)
{
	w->plan.created_ns = NOW + INSTRUCTION_SKEW_NS + 1;
	w->approvals[0].time_ns = NOW + INSTRUCTION_SKEW_NS;
}
static void a_expired(struct world *w)
{
	w->plan.expires_ns = NOW;
}
static void a_nonce_unknown(struct world *w)
{
	w->nonce[31] ^= 1;
}
static void a_nonce_used(struct world *w)
{
	w->device.n_nonces = 1;
}
static void a_nonce_expired(struct world *w)
{
	w->nonces[1].given_ns = NOW - INSTRUCTION_NONCE_LIFE_NS - 1;
}
static void a_nonce_future(struct world *w)
{
	w->nonces[1].given_ns = NOW + 1;
}
static void a_replayed(struct world *w)
{
	w->device.sequence = 42;
}
static void a_digest(struct world *w)
{
	w->delivery_of_other_plan = true;
}
static void a_applied(struct world *w)
{
	static uint8_t digest[1][HASH_SIZE];
	instruction_plan_digest(w->plan_bytes.data, w->plan_bytes.len, digest[0]);
	w->device.applied = (const uint8_t(*)[HASH_SIZE])digest;
	w->device.n_applied = 1;
}
static void a_control_forged(struct world *w)
{
	w->control_by = MALLORY;
}
static void a_control_is_verdict(struct world *w)
{
	w->control_by = VERDICT;
}
static void a_control_spoilt(struct world *w)
{
	w->control_spoilt = true;
}
static void a_control_old(struct world *w)
{
	w->trust.control_keys[0]->until_ns = NOW;
	assert_good(world_bundle(w));
}
static void a_class_unknown(struct world *w)
{
	static char other[] = "trifle";
	w->plan.class_ = other;
}
static void a_class_exceeded(struct world *w)
{
	static Gemel__Control__V1__InterfaceChange f;
	static char name[] = "eth0";
	gemel__control__v1__interface_change__init(&f);
	f.name = name;
	f.admin = GEMEL__CONTROL__V1__ADMIN_STATE__ADMIN_DOWN;
	w->plan.changes[0]->change_case = GEMEL__CONTROL__V1__CHANGE__CHANGE_INTERFACE;
	w->plan.changes[0]->interface = &f;
}
static void a_no_verdict(struct world *w)
{
	w->no_verdict = true;
}
static void a_verdict_forged(struct world *w)
{
	w->verdict_by = CONTROL;
}
static void a_verdict_spoilt(struct world *w)
{
	w->verdict_spoilt = true;
}
static void a_verdict_other_plan(struct world *w)
{
	w->verdict_of_other_plan = true;
}
static void a_verdict_revision(struct world *w)
{
	w->verdict_swapped = true;
}
static void a_verdict_negative(struct world *w)
{
	w->verdict.outcome = GEMEL__CONTROL__V1__VERDICT_OUTCOME__HARMFUL;
}
static void a_verdict_inconclusive(struct world *w)
{
	w->verdict.outcome = GEMEL__CONTROL__V1__VERDICT_OUTCOME__INCONCLUSIVE;
}
static void a_verdict_stale(struct world *w)
{
	w->verdict.time_ns = NOW - INSTRUCTION_VERDICT_LIFE_NS - 1;
}
static void a_verdict_future(struct world *w)
{
	w->verdict.time_ns = NOW + INSTRUCTION_SKEW_NS + 1;
}
static void a_radius(struct world *w)
{
	w->verdict.users = 101;
}
static void a_precondition(struct world *w)
{
	w->device.precondition[31] ^= 1;
}
static void a_no_approval(struct world *w)
{
	w->n_approvals = 0;
}
static void a_class_wants_two(struct world *w)
{
	static char wide[] = "wide";
	w->plan.class_ = wide; // and the plan says that one is enough
}
static void a_plan_wants_two(struct world *w)
{
	w->plan.approvals_required = 2;
}
static void a_approval_spoilt(struct world *w)
{
	w->approvals[0].spoilt = true;
}
static void a_approval_forged(struct world *w)
{
	w->approvals[0].by = MALLORY;
}
static void a_approval_other(struct world *w)
{
	w->approvals[0].of_other_plan = true;
}
static void a_approval_unknown(struct world *w)
{
	w->approvals[0].by = w->approvals[0].key_said = MALLORY;
}
static void a_approval_account(struct world *w)
{
	w->approvals[0].account = "carol";
}
static void a_approval_no(struct world *w)
{
	w->approvals[0].outcome = GEMEL__CONTROL__V1__APPROVAL_OUTCOME__REFUSED;
}
static void a_approval_own(struct world *w)
{
	w->approvals[0].by = w->approvals[0].key_said = ALICE;
	w->approvals[0].account = "alice";
}
static void a_approval_class(struct world *w)
{
	w->approvals[0].by = w->approvals[0].key_said = CAROL;
	w->approvals[0].account = "carol";
}
static void a_approval_early(struct world *w)
{
	w->approvals[0].time_ns = w->plan.created_ns - INSTRUCTION_SKEW_NS - 1;
}
static void a_approval_twice(struct world *w)
{
	w->plan.approvals_required = 2;
	w->approvals[1] = w->approvals[0];
	w->approvals[1].time_ns++;
	w->n_approvals = 2;
}
static void a_glass_none(struct world *w)
{
	glass(w);
	w->trust.n_break_glass = 0;
	assert_good(world_bundle(w));
}
static void a_glass_long(struct world *w)
{
	glass(w);
	w->plan.expires_ns = w->plan.created_ns + INSTRUCTION_BREAK_GLASS_LIFE_NS + 1;
}
static void a_glass_silent(struct world *w)
{
	static char nothing[] = "";
	glass(w);
	w->plan.reason = nothing;
}
static void a_glass_missing(struct world *w)
{
	glass(w);
	w->n_approvals = 0;
}
static void a_glass_approval(struct world *w)
{
	w->plan.break_glass = true; // with an ordinary approval
}
static void a_glass_key(struct world *w)
{
	glass(w);
	w->approvals[0].by = w->approvals[0].key_said = BOB;
	w->approvals[0].account = "bob";
}
static void a_glass_spoilt(struct world *w)
{
	glass(w);
	w->approvals[0].by = BOB;
}
static void a_glass_other(struct world *w)
{
	glass(w);
	w->approvals[0].of_other_plan = true;
}
static void a_glass_as_approval(struct world *w)
{
	glass(w);
	w->plan.break_glass = false;
}
static void a_glass_quiet(struct world *w)
{
	glass(w);
	w->kind = INSTRUCTION_KIND; // recorded as if it were an ordinary one
}
static void a_entry_other(struct world *w)
{
	w->entry_of_other_plan = true;
}
static void a_entry_kind(struct world *w)
{
	w->kind = "login";
}
static void a_entry_inject(struct world *w)
{
	w->actor = "x\\\",\"body\":{},\"a\":\"";
}
static void a_not_in_tree(struct world *w)
{
	w->entry_not_in_tree = true;
}
static void a_log_forged(struct world *w)
{
	w->log_by = &w->other_log;
}
static void a_log_spoilt(struct world *w)
{
	w->log_spoilt = true;
}
static void a_no_quorum(struct world *w)
{
	w->cosignatures = 1;
}
static void a_cosignature(struct world *w)
{
	w->cosignature_spoilt = true;
}
static void a_forked(struct world *w)
{
	w->fork = true;
}
static void a_forked_same_size(struct world *w)
{
	w->seen.size = w->from_size = ENTRIES;
	w->seen.root.bytes[0] ^= 1;
}
static void a_rolled_back(struct world *w)
{
	w->seen.size = ENTRIES;
	w->size = w->from_size = ENTRIES - 1;
}
static void a_from_other(struct world *w)
{
	w->from_size = SEEN - 1;
}
static void a_altered(struct world *w)
{
	w->record_altered_after = true;
}
static void a_bundle_old(struct world *w)
{
	w->now_ns = w->trust.until_ns;
}
static void a_bundle_young(struct world *w)
{
	w->now_ns = w->trust.from_ns - 1;
}

static const struct attack {
	void (*edit)(struct world *w);
	enum instruction_reason reason;
	bool after; // it was made as it should be
} attacks[] = {
	{a_wrong_device, INSTRUCTION_WRONG_DEVICE, false},
	{a_wrong_domain, INSTRUCTION_WRONG_DOMAIN, false},
	{a_bundle_domain, INSTRUCTION_BUNDLE_DOMAIN, false},
	{a_bundle_old, INSTRUCTION_BUNDLE_EXPIRED, false},
	{a_bundle_young, INSTRUCTION_BUNDLE_NOT_YET, false},
	{a_not_yet, INSTRUCTION_NOT_YET, false},
	{a_expired, INSTRUCTION_EXPIRED, false},
	{a_nonce_unknown, INSTRUCTION_NONCE_UNKNOWN, false},
	{a_nonce_used, INSTRUCTION_NONCE_UNKNOWN, true},
	{a_nonce_expired, INSTRUCTION_NONCE_EXPIRED, true},
	{a_nonce_future, INSTRUCTION_NONCE_EXPIRED, true},
	{a_replayed, INSTRUCTION_SEQUENCE_REPLAYED, true},
	{a_digest, INSTRUCTION_DIGEST_MISMATCH, false},
	{a_applied, INSTRUCTION_ALREADY_APPLIED, true},
	{a_control_forged, INSTRUCTION_CONTROL_SIGNATURE, false},
	{a_control_is_verdict, INSTRUCTION_CONTROL_SIGNATURE, false},
	{a_control_spoilt, INSTRUCTION_CONTROL_SIGNATURE, false},
	{a_control_old, INSTRUCTION_CONTROL_SIGNATURE, false},
	{a_class_unknown, INSTRUCTION_CLASS_UNKNOWN, false},
	{a_class_exceeded, INSTRUCTION_CLASS_EXCEEDED, false},
	{a_no_verdict, INSTRUCTION_VERDICT_MISSING, false},
	{a_verdict_forged, INSTRUCTION_VERDICT_SIGNATURE, false},
	{a_verdict_spoilt, INSTRUCTION_VERDICT_SIGNATURE, false},
	{a_verdict_other_plan, INSTRUCTION_VERDICT_OTHER_PLAN, false},
	{a_verdict_revision, INSTRUCTION_VERDICT_OTHER_REVISION, false},
	{a_verdict_negative, INSTRUCTION_VERDICT_NEGATIVE, false},
	{a_verdict_inconclusive, INSTRUCTION_VERDICT_NEGATIVE, false},
	{a_verdict_stale, INSTRUCTION_VERDICT_STALE, false},
	{a_verdict_future, INSTRUCTION_VERDICT_STALE, false},
	{a_radius, INSTRUCTION_RADIUS_EXCEEDED, false},
	{a_precondition, INSTRUCTION_PRECONDITION_STALE, true},
	{a_no_approval, INSTRUCTION_APPROVAL_MISSING, false},
	{a_class_wants_two, INSTRUCTION_APPROVAL_MISSING, false},
	{a_plan_wants_two, INSTRUCTION_APPROVAL_MISSING, false},
	{a_approval_spoilt, INSTRUCTION_APPROVAL_SIGNATURE, false},
	{a_approval_forged, INSTRUCTION_APPROVAL_SIGNATURE, false},
	{a_approval_other, INSTRUCTION_APPROVAL_OTHER_DIGEST, false},
	{a_approval_unknown, INSTRUCTION_APPROVAL_UNKNOWN_KEY, false},
	{a_approval_account, INSTRUCTION_APPROVAL_UNKNOWN_KEY, false},
	{a_approval_no, INSTRUCTION_APPROVAL_REFUSED, false},
	{a_approval_own, INSTRUCTION_APPROVAL_OWN_REQUEST, false},
	{a_approval_class, INSTRUCTION_APPROVAL_CLASS, false},
	{a_approval_early, INSTRUCTION_APPROVAL_TIME, false},
	{a_approval_twice, INSTRUCTION_APPROVAL_REPEATED, false},
	{a_glass_none, INSTRUCTION_BREAK_GLASS_NOT_ALLOWED, false},
	{a_glass_long, INSTRUCTION_BREAK_GLASS_TOO_LONG, false},
	{a_glass_silent, INSTRUCTION_BREAK_GLASS_NO_REASON, false},
	{a_glass_missing, INSTRUCTION_BREAK_GLASS_MISSING, false},
	{a_glass_approval, INSTRUCTION_BREAK_GLASS_MISSING, false},
	{a_glass_key, INSTRUCTION_BREAK_GLASS_UNKNOWN_KEY, false},
	{a_glass_spoilt, INSTRUCTION_BREAK_GLASS_SIGNATURE, false},
	{a_glass_other, INSTRUCTION_BREAK_GLASS_OTHER_DIGEST, false},
	{a_glass_as_approval, INSTRUCTION_APPROVAL_UNKNOWN_KEY, false},
	{a_glass_quiet, INSTRUCTION_LEDGER_ENTRY_OTHER, false},
	{a_entry_other, INSTRUCTION_LEDGER_ENTRY_OTHER, false},
	{a_entry_kind, INSTRUCTION_LEDGER_ENTRY_OTHER, false},
	{a_entry_inject, INSTRUCTION_LEDGER_ENTRY_OTHER, false},
	{a_log_forged, INSTRUCTION_CHECKPOINT_SIGNATURE, false},
	{a_log_spoilt, INSTRUCTION_CHECKPOINT_SIGNATURE, false},
	{a_no_quorum, INSTRUCTION_CHECKPOINT_QUORUM, false},
	{a_cosignature, INSTRUCTION_CHECKPOINT_QUORUM, false},
	{a_not_in_tree, INSTRUCTION_LEDGER_PROOF, false},
	{a_rolled_back, INSTRUCTION_LEDGER_ROLLED_BACK, false},
	{a_from_other, INSTRUCTION_LEDGER_FROM_OTHER, false},
	{a_forked, INSTRUCTION_LEDGER_FORKED, false},
	{a_forked_same_size, INSTRUCTION_LEDGER_FORKED, false},
	{a_altered, INSTRUCTION_LEDGER_PROOF, false},
};
enum { ATTACKS = sizeof attacks / sizeof *attacks };

static void attack(struct world *w, const struct attack *a)
{
	world_start(w);
	if (a->after)
		world_compose(w);
	a->edit(w);
	if (!a->after)
		world_compose(w);
}

static void test_attacks(void **state)
{
	bool seen[INSTRUCTION_REASONS] = {false};
	struct world w;
	for (size_t i = 0; i < ATTACKS; i++) {
		attack(&w, &attacks[i]);
		assert_reason(&w, world_verify(&w), attacks[i].reason);
		seen[attacks[i].reason] = true;
#ifdef SABOTAGE // without its control each of them goes further
		char control[64];
		snprintf(control, sizeof control, "instruction-%s",
			 instruction_reason_word(attacks[i].reason));
		setenv("GEMEL_SABOTAGE", control, 1);
		err_ignore(world_verify(&w));
		unsetenv("GEMEL_SABOTAGE");
		assert_int_not_equal(w.result.reason, attacks[i].reason);
#endif
		world_end(&w);
	}
	for (unsigned r = INSTRUCTION_WRONG_DEVICE; r < INSTRUCTION_ENVELOPE_ALTERED; r++)
		if (!seen[r])
			fail_msg("no attack is refused as %s",
				 instruction_reason_word((enum instruction_reason)r));
}

// --- alterations

static void test_every_byte(void **state)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};
	bool seen[INSTRUCTION_REASONS] = {false};
	struct world w;
	world_start(&w);
	world_compose(&w);
	for (size_t i = 0; i < w.envelope.len; i++)
		for (size_t m = 0; m < sizeof masks; m++) {
			w.envelope.data[i] ^= masks[m];
			if (world_verify(&w).code == ERR_NONE)
				fail_msg("byte %zu of the envelope does not count", i);
			seen[w.result.reason] = true;
			w.envelope.data[i] ^= masks[m];
		}
	for (size_t i = 0; i < w.plan_bytes.len; i++)
		for (size_t m = 0; m < sizeof masks; m++) {
			w.plan_bytes.data[i] ^= masks[m];
			if (world_verify(&w).code == ERR_NONE)
				fail_msg("byte %zu of the plan does not count", i);
			w.plan_bytes.data[i] ^= masks[m];
		}
	for (size_t n = 0; n < w.envelope.len; n += 7)
		if (world_verify_bytes(&w, w.envelope.data, n, w.plan_bytes.data, w.plan_bytes.len)
			    .code == ERR_NONE)
			fail_msg("the envelope may be cut at %zu", n);
	assert_true(seen[INSTRUCTION_MALFORMED] && seen[INSTRUCTION_CONTROL_SIGNATURE] &&
		    seen[INSTRUCTION_VERDICT_SIGNATURE] && seen[INSTRUCTION_APPROVAL_SIGNATURE] &&
		    seen[INSTRUCTION_LEDGER_PROOF]);
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	world_end(&w);
}

// What no signature but the delivery's covers: a signature line of a witness whom nobody named.
static void test_parts(void **state)
{
	struct world w;
	world_start(&w);
	w.log_part.quorum = 1;
	assert_good(world_bundle(&w));
	w.cosignatures = 1; // and the stranger's
	world_compose(&w);
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	uint8_t *name = memmem(w.envelope.data, w.envelope.len, "w3.example", 10);
	assert_non_null(name);
	name[1] = '4';
	assert_reason(&w, world_verify(&w), INSTRUCTION_ENVELOPE_ALTERED);
#ifdef SABOTAGE
	setenv("GEMEL_SABOTAGE", "instruction-envelope-altered", 1);
	assert_reason(&w, world_verify(&w), INSTRUCTION_GOOD);
	unsetenv("GEMEL_SABOTAGE");
#endif
	world_end(&w);
}

// Other spellings of the same message are refused: unknown fields, another order, a default.
static void test_canonical(void **state)
{
	struct world w;
	world_start(&w);
	world_compose(&w);
	const uint8_t unknown[] = {0xf8, 0x01, 0x01}, zero[] = {0x68, 0x00},
		      again[] = {0x3a, 0x01, 0x3c};
	const struct {
		const uint8_t *bytes;
		size_t n;
	} tails[] = {{unknown, sizeof unknown}, {zero, sizeof zero}, {again, sizeof again}};
	for (size_t i = 0; i < 3; i++) {
		scoped(buf) struct buf plan = {0}, envelope = {0};
		buf_append(&plan, w.plan_bytes.data, w.plan_bytes.len);
		buf_append(&plan, tails[i].bytes, tails[i].n);
		assert_reason(&w,
			      world_verify_bytes(&w, w.envelope.data, w.envelope.len, plan.data,
						 plan.len),
			      INSTRUCTION_MALFORMED);
		buf_append(&envelope, w.envelope.data, w.envelope.len);
		buf_append(&envelope, tails[i].bytes, tails[i].n);
		assert_reason(&w,
			      world_verify_bytes(&w, envelope.data, envelope.len, w.plan_bytes.data,
						 w.plan_bytes.len),
			      INSTRUCTION_MALFORMED);
	}
	world_end(&w);
}

static void test_reasons(void **state)
{
	for (unsigned i = 0; i < INSTRUCTION_REASONS; i++) {
		enum instruction_reason r = (enum instruction_reason)i;
		const char *word = instruction_reason_word(r);
		assert_true(strspn(word, "abcdefghijklmnopqrstuvwxyz-") == strlen(word));
		assert_int_equal(instruction_reason_find(word), r);
		assert_true(*instruction_reason_meaning(r));
		assert_true(r == INSTRUCTION_GOOD || *instruction_reason_mend(r));
	}
	assert_int_equal(instruction_reason_find("no-such-word"), INSTRUCTION_GOOD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	    cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_unwitnessed), cmocka_unit_test(test_break_glass),
		cmocka_unit_test(test_attacks),	    cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_parts),	    cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_reasons),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
