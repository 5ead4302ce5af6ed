// SPDX-License-Identifier: Apache-2.0
// Offline proofs and requests to witnesses: what is written is read back, and nothing else is read.

#include "lib/tlog/proof.h"
#include "lib/tlog/request.h"
#include "signer.h"

enum { ENTRIES = 11, INDEX = 6 };

static struct merkle_hash leaves[ENTRIES];

static struct err hash(void *ctx, unsigned level, uint64_t index, struct merkle_hash *out)
{
	struct merkle_frontier f = {0};
	for (uint64_t i = index << level; i < (index + 1) << level; i++)
		merkle_append(&f, &leaves[i], NULL);
	merkle_root(&f, out);
	return OK;
}

static const struct merkle_source source = {hash, NULL};

struct world {
	struct signer log, w1, w2;
	struct checkpoint checkpoint;
	struct buf note;
	struct note_key logs[1], witnesses[2];
	struct tlog_policy policy;
};

static void start(struct world *w)
{
	struct merkle_frontier f = {0};
	uint8_t seed[3][32] = {{1}, {2}, {3}};
	scoped(buf) struct buf text = {0};
	*w = (struct world){0};
	for (size_t i = 0; i < ENTRIES; i++) {
		uint8_t entry = (uint8_t)i;
		merkle_leaf(&entry, 1, &leaves[i]);
		merkle_append(&f, &leaves[i], NULL);
	}
	signer_start(&w->log, "twin.example/log", NOTE_ED25519, seed[0]);
	signer_start(&w->w1, "w1.example", NOTE_COSIGNATURE, seed[1]);
	signer_start(&w->w2, "w2.example", NOTE_COSIGNATURE, seed[2]);
	strcpy(w->checkpoint.origin, "twin.example/log");
	w->checkpoint.size = ENTRIES;
	merkle_root(&f, &w->checkpoint.root);
	checkpoint_format(&w->checkpoint, &text);
	buf_append(&w->note, text.data, text.len);
	buf_u8(&w->note, '\n');
	assert_good(note_sign(&w->log.by, 0, buf_text(&text), text.len, &w->note));
	assert_good(note_sign(&w->w1.by, 1700000000, buf_text(&text), text.len, &w->note));
	w->logs[0] = w->log.by.key;
	w->witnesses[0] = w->w1.by.key;
	w->witnesses[1] = w->w2.by.key;
	w->policy = (struct tlog_policy){"twin.example/log", w->logs, 1, w->witnesses, 2, 1};
}

static void end(struct world *w)
{
	signer_end(&w->log);
	signer_end(&w->w1);
	signer_end(&w->w2);
	buf_clear(&w->note);
}

static void write_proof(struct world *w, const char *extra, struct buf *out)
{
	struct tlog_proof p = {.index = INDEX,
			       .extra = (const uint8_t *)extra,
			       .extra_len = extra ? strlen(extra) : 0,
			       .checkpoint = buf_text(&w->note),
			       .checkpoint_len = w->note.len};
	assert_good(merkle_inclusion(&source, ENTRIES, INDEX, &p.path));
	tlog_proof_format(&p, out);
	assert_good(buf_check(out, "proof"));
}

static bool begins(struct buf *b, const char *text)
{
	return strncmp(buf_text(b), text, strlen(text)) == 0;
}

static struct err verify(const struct world *w, const uint8_t *bytes, size_t n, uint8_t entry)
{
	scoped(arena) struct arena *a = arena_new(65536);
	struct tlog_proof p;
	struct checkpoint c;
	unsigned cosigned = 0;
	TRY(tlog_proof_parse((const char *)bytes, n, a, &p));
	TRY(tlog_proof_verify(&p, &w->policy, &entry, 1, &c, &cosigned));
	assert_int_equal(c.size, ENTRIES);
	assert_int_equal(cosigned, 1);
	return OK;
}

static void test_proof(void **state)
{
	struct world w;
	start(&w);
	scoped(buf) struct buf b = {0}, with = {0};
	write_proof(&w, NULL, &b);
	assert_true(begins(&b, "c2sp.org/tlog-proof@v1\nindex 6\n"));
	assert_good(verify(&w, b.data, b.len, INDEX));
	assert_bad(ERR_CORRUPT, "inclusion", verify(&w, b.data, b.len, INDEX + 1));
	write_proof(&w, "salt", &with);
	assert_true(begins(&with, "c2sp.org/tlog-proof@v1\nextra c2FsdA==\nindex 6\n"));
	assert_good(verify(&w, with.data, with.len, INDEX));
	scoped(arena) struct arena *a = arena_new(65536);
	struct tlog_proof p;
	assert_good(tlog_proof_parse((const char *)with.data, with.len, a, &p));
	assert_int_equal(p.extra_len, 4);
	assert_memory_equal(p.extra, "salt", 4);
	assert_int_equal(p.path.n, 4);
	end(&w);
}

static void test_policy(void **state)
{
	struct world w;
	start(&w);
	const char *note = buf_text(&w.note);
	unsigned cosigned;
	assert_good(tlog_policy_check(&w.policy, note, w.note.len, NULL, &cosigned));
	assert_int_equal(cosigned, 1);
	w.policy.quorum = 2;
	assert_bad(ERR_AUTH, "1 of the 2",
		   tlog_policy_check(&w.policy, note, w.note.len, NULL, NULL));
	w.policy.quorum = 1;
	w.policy.origin = "twin.example/other";
	assert_bad(ERR_NOT_FOUND, NULL, tlog_policy_check(&w.policy, note, w.note.len, NULL, NULL));
	w.policy.origin = "twin.example/log";
	w.logs[0] = w.w2.by.key;
	assert_bad(ERR_AUTH, "did not sign",
		   tlog_policy_check(&w.policy, note, w.note.len, NULL, NULL));
	w.logs[0] = w.log.by.key;
	w.policy.n_witnesses = 0;
	assert_bad(ERR_AUTH, "0 of the 1",
		   tlog_policy_check(&w.policy, note, w.note.len, NULL, NULL));
	end(&w);
}

static void test_proof_flips_and_cuts(void **state)
{
	struct world w;
	start(&w);
	scoped(buf) struct buf b = {0};
	write_proof(&w, NULL, &b);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		struct err e = verify(&w, b.data, b.len, INDEX);
		if (e.code == ERR_NONE)
			fail_msg("flipped bit %zu at byte %zu was not seen", bit % 8, bit / 8);
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t cut = 0; cut < b.len; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);
		memcpy(exact, b.data, cut);
		struct err e = verify(&w, exact, cut, INDEX);
		assert_true(e.code == ERR_PEER || e.code == ERR_AUTH); // whole lines may be missing
		free(exact);
	}
	end(&w);
}

static void test_proof_bounds(void **state)
{
	static const char *const bad[] = {"",
					  "c2sp.org/tlog-proof@v1",
					  "c2sp.org/tlog-proof@v1\n",
					  "c2sp.org/tlog-proof@v2\nindex 1\n\nx",
					  "c2sp.org/tlog-proof@v1\nindex 01\n\nx",
					  "c2sp.org/tlog-proof@v1\nindex \n\nx",
					  "c2sp.org/tlog-proof@v1\nindex 1\n\n",
					  "c2sp.org/tlog-proof@v1\nindex 1\nx\n\nx",
					  "c2sp.org/tlog-proof@v1\nextra \nindex 1\n\nx",
					  "c2sp.org/tlog-proof@v1\nextra AA\nindex 1\n\nx",
					  "c2sp.org/tlog-proof@v1\nindex 1\nextra AAAA\n\nx"};
	scoped(arena) struct arena *a = arena_new(1 << 20);
	struct tlog_proof p;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_bad(ERR_PEER, "tlog-proof", tlog_proof_parse(bad[i], strlen(bad[i]), a, &p));
	scoped(buf) struct buf b = {0};
	buf_str(&b, "c2sp.org/tlog-proof@v1\nindex 1\n");
	for (int i = 0; i <= MERKLE_PROOF_MAX; i++)
		note_hash_write(&leaves[0], &b);
	buf_str(&b, "\nx");
	assert_bad(ERR_PEER, "63", tlog_proof_parse(buf_text(&b), b.len, a, &p));
	buf_reset(&b);
	static uint8_t extra[PROOF_EXTRA_MAX + 1];
	struct tlog_proof big = {.extra = extra,
				 .extra_len = PROOF_EXTRA_MAX,
				 .checkpoint = "x",
				 .checkpoint_len = 1};
	tlog_proof_format(&big, &b);
	assert_good(tlog_proof_parse(buf_text(&b), b.len, a, &p));
	assert_int_equal(p.extra_len, PROOF_EXTRA_MAX);
	buf_reset(&b);
	big.extra_len++;
	tlog_proof_format(&big, &b);
	assert_bad(ERR_PEER, "32768", tlog_proof_parse(buf_text(&b), b.len, a, &p));
}

static void test_request(void **state)
{
	struct witness_request r = {.old = 6, .checkpoint = "o\n11\n", .checkpoint_len = 5}, back;
	scoped(buf) struct buf b = {0};
	assert_good(merkle_consistency(&source, 6, ENTRIES, &r.proof));
	assert_true(r.proof.n > 1);
	witness_request_format(&r, &b);
	assert_good(witness_request_parse(buf_text(&b), b.len, &back));
	assert_true(back.old == 6 && back.proof.n == r.proof.n && back.checkpoint_len == 5);
	assert_memory_equal(back.proof.at, r.proof.at, r.proof.n * sizeof *r.proof.at);
	assert_memory_equal(back.checkpoint, "o\n11\n", 5);
	for (size_t cut = 0; cut < b.len - 4; cut++) {
		char *exact = malloc(cut ? cut : 1);
		memcpy(exact, b.data, cut);
		assert_bad(ERR_PEER, NULL, witness_request_parse(exact, cut, &back));
		free(exact);
	}
	static const char *const bad[] = {
		"old\n\nx",    "old  1\n\nx",	   "Old 1\n\nx",
		"old 01\n\nx", "old -1\n\nx",	   "old 1\nx",
		"old 1\n\n",   "old 1\nAAAA\n\nx", "old 9223372036854775808\n\nx"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_bad(ERR_PEER, NULL, witness_request_parse(bad[i], strlen(bad[i]), &back));
	buf_reset(&b);
	buf_str(&b, "old 1\n");
	for (int i = 0; i < MERKLE_PROOF_MAX; i++)
		note_hash_write(&leaves[0], &b);
	size_t before = b.len;
	buf_str(&b, "\nx");
	assert_good(witness_request_parse(buf_text(&b), b.len, &back));
	b.len = before;
	note_hash_write(&leaves[0], &b);
	buf_str(&b, "\nx");
	assert_bad(ERR_PEER, "63", witness_request_parse(buf_text(&b), b.len, &back));
}

static void test_size(void **state)
{
	uint64_t size;
	assert_good(witness_size_parse("20852163\n", 9, &size));
	assert_int_equal(size, 20852163);
	assert_good(witness_size_parse("0\n", 2, &size));
	static const char *const bad[] = {"",	   "1",	   "\n",   "01\n",
					  "1\n\n", "1 \n", "-1\n", "9223372036854775808\n"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_bad(ERR_PEER, NULL, witness_size_parse(bad[i], strlen(bad[i]), &size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_proof_flips_and_cuts),
		cmocka_unit_test(test_proof_bounds),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
