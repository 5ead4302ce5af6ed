// SPDX-License-Identifier: Apache-2.0
// Trust bundles: taken from the root only, never backwards, never two of one version.
#include "world.h"

static struct instruction_bundle_memory none;

static struct err sign_and_open(struct world *w, enum who root,
				const struct instruction_bundle_memory *memory, int64_t now_ns,
				enum instruction_reason *why)
{
	scoped(buf) struct buf body = {0};
	struct instruction_signed s;
	TRY(instruction_bundle_write(&w->trust, &body));
	world_sign(w->keys[root], INSTRUCTION_BUNDLE, &body, &s);
	buf_reset(&w->bundle_bytes);
	TRY(instruction_signed_write(&s, &w->bundle_bytes));
	return instruction_bundle_open(w->bundle_bytes.data, w->bundle_bytes.len,
				       sign_key_public(w->keys[ROOT]), 1, "campus", memory, now_ns,
				       w->arena, &w->bundle, why);
}

static void assert_why(enum instruction_reason want, struct err e, enum instruction_reason why)
{
	if (want != why)
		print_error("wanted %s, got %s (%s)\n", instruction_reason_word(want),
			    instruction_reason_word(why), e.code ? e.text : "good");
	assert_int_equal(want, why);
	assert_int_equal(e.code == ERR_NONE, want == INSTRUCTION_GOOD);
}

static void test_versions(void **state)
{
	struct world w;
	enum instruction_reason why;
	world_start(&w);
	struct instruction_bundle_memory memory = {.version = 7};
	memcpy(memory.digest, w.bundle.digest, HASH_SIZE);
	struct err e = sign_and_open(&w, ROOT, &memory, NOW, &why); // the one in use, again
	assert_why(INSTRUCTION_GOOD, e, why);
	w.trust.until_ns++;
	e = sign_and_open(&w, ROOT, &memory, NOW, &why);
	assert_why(INSTRUCTION_BUNDLE_FORKED, e, why);
	w.trust.version = 6;
	e = sign_and_open(&w, ROOT, &memory, NOW, &why);
	assert_why(INSTRUCTION_BUNDLE_ROLLED_BACK, e, why);
	w.trust.version = 8;
	e = sign_and_open(&w, ROOT, &memory, NOW, &why);
	assert_why(INSTRUCTION_GOOD, e, why);
	world_end(&w);
}

static void test_who_and_when(void **state)
{
	struct world w;
	enum instruction_reason why;
	struct err e;
	world_start(&w);
	e = sign_and_open(&w, CONTROL, &none, NOW, &why);
	assert_why(INSTRUCTION_BUNDLE_SIGNATURE, e, why);
	e = sign_and_open(&w, ROOT, &none, w.trust.from_ns - 1, &why);
	assert_why(INSTRUCTION_BUNDLE_NOT_YET, e, why);
	e = sign_and_open(&w, ROOT, &none, w.trust.until_ns, &why);
	assert_why(INSTRUCTION_BUNDLE_EXPIRED, e, why);
	e = instruction_bundle_open(w.bundle_bytes.data, w.bundle_bytes.len,
				    sign_key_public(w.keys[ROOT]), 1, "branch", &none, NOW, w.arena,
				    &w.bundle, &why);
	assert_why(INSTRUCTION_BUNDLE_DOMAIN, e, why);
	world_end(&w);
}

// The next root is named in the bundle in use, and signs the next one.
static void test_next_root(void **state)
{
	struct world w;
	struct verify_key *next;
	world_start(&w);
	w.trust.n_roots = 1;
	w.trust.roots = WORLD_LIST(&w, world_key(&w, MALLORY));
	assert_good(world_bundle(&w));
	const Gemel__Control__V1__Key *k = w.bundle.message->roots[0];
	assert_good(verify_key_new((enum sign_algorithm)k->algorithm, k->public_key.data,
				   k->public_key.len, &next));
	struct sign_public roots[2] = {*sign_key_public(w.keys[ROOT]), *verify_key_public(next)};
	verify_key_free(next);
	w.trust.version = 8;
	w.trust.n_roots = 0;
	enum instruction_reason why;
	err_ignore(sign_and_open(&w, MALLORY, &none, NOW, &why));
	assert_int_equal(why, INSTRUCTION_BUNDLE_SIGNATURE);
	assert_good(instruction_bundle_open(w.bundle_bytes.data, w.bundle_bytes.len, roots, 2,
					    "campus", &none, NOW, w.arena, &w.bundle, NULL));
	world_end(&w);
}

static void test_every_byte(void **state)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};
	struct world w;
	world_start(&w);
	scoped(buf) struct buf b = {0};
	buf_append(&b, w.bundle_bytes.data, w.bundle_bytes.len);
	for (size_t i = 0; i < b.len; i++)
		for (size_t m = 0; m < sizeof masks; m++) {
			scoped(arena) struct arena *a = arena_new(INSTRUCTION_ARENA);
			enum instruction_reason why;
			b.data[i] ^= masks[m];
			if (instruction_bundle_open(b.data, b.len, sign_key_public(w.keys[ROOT]), 1,
						    "campus", &none, NOW, a, &w.bundle, &why)
				    .code == ERR_NONE)
				fail_msg("byte %zu of the bundle does not count", i);
			assert_int_not_equal(why, INSTRUCTION_GOOD);
			b.data[i] ^= masks[m];
		}
	world_end(&w);
}

// --- what no bundle may say

static void e_version(struct world *w)
{
	w->trust.version = 0;
}
static void e_time(struct world *w)
{
	w->trust.until_ns = w->trust.from_ns;
}
static void e_authority(struct world *w)
{
	w->trust.n_authorities = 0;
}
static void e_no_log(struct world *w)
{
	w->trust.log = NULL;
}
static void e_quorum(struct world *w)
{
	w->log_part.quorum = 3;
}
static void e_quorum_none(struct world *w)
{
	w->log_part.quorum = 0;
}
static void e_none(struct world *w)
{
	w->log_part.witnesses_none = true;
}
static void e_witness_twice(struct world *w)
{
	w->log_part.witnesses[1] = w->log_part.witnesses[0];
}
static void e_witness_kind(struct world *w)
{
	w->log_part.witnesses[1] = w->log_part.vkeys[0];
}
static void e_floor(struct world *w)
{
	w->log_part.floor_size = 3;
}
static void e_no_control(struct world *w)
{
	w->trust.n_control_keys = 0;
}
static void e_two_offices(struct world *w)
{
	w->trust.verdict_keys = WORLD_LIST(w, world_key(w, CONTROL));
}
static void e_two_accounts(struct world *w)
{
	w->trust.approvers[1]->key = world_key(w, ALICE);
}
static void e_glass_approves(struct world *w)
{
	w->trust.break_glass[0]->key = world_key(w, BOB);
}
static void e_key(struct world *w)
{
	w->trust.control_keys[0]->algorithm = SIGN_P256; // with 32 bytes
}
static void e_class(struct world *w)
{
	w->trust.approvers[0]->classes[0] = w->trust.domain;
}
static void e_class_twice(struct world *w)
{
	w->trust.classes[1] = w->trust.classes[0];
}

static const struct {
	void (*edit)(struct world *w);
	const char *words;
} faults[] = {
	{e_version, "version 0"},
	{e_time, "from_ns"},
	{e_authority, "authorities"},
	{e_no_log, "no log"},
	{e_quorum, "quorum"},
	{e_quorum_none, "quorum"},
	{e_none, "quorum"},
	{e_witness_twice, "twice"},
	{e_witness_kind, "wrong kind"},
	{e_floor, "floor"},
	{e_no_control, "control key"},
	{e_two_offices, "another office"},
	{e_two_accounts, "another office"},
	{e_glass_approves, "another office"},
	{e_key, "control key"},
	{e_class, "a class that the bundle has not"},
	{e_class_twice, "taken"},
};

static void test_faults(void **state)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct world w;
		struct instruction_signed s;
		enum instruction_reason why;
		world_start(&w);
		faults[i].edit(&w);
		scoped(buf) struct buf body = {0}, bytes = {0};
		assert_bad(ERR_USAGE, faults[i].words, instruction_bundle_write(&w.trust, &body));
		// And a root that signs it all the same is not followed.
		size_t n = gemel__control__v1__trust_bundle__get_packed_size(&w.trust);
		gemel__control__v1__trust_bundle__pack(&w.trust, buf_space(&body, n));
		world_sign(w.keys[ROOT], INSTRUCTION_BUNDLE, &body, &s);
		assert_good(instruction_signed_write(&s, &bytes));
		assert_bad(ERR_PEER, faults[i].words,
			   instruction_bundle_open(bytes.data, bytes.len,
						   sign_key_public(w.keys[ROOT]), 1, "campus",
						   &none, NOW, w.arena, &w.bundle, &why));
		assert_int_equal(why, INSTRUCTION_BUNDLE_MALFORMED);
		world_end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),  cmocka_unit_test(test_who_and_when),
		cmocka_unit_test(test_next_root), cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
