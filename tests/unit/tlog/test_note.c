// SPDX-License-Identifier: Apache-2.0
// Published notes are opened and made again; every flipped bit and every truncation is refused.

#include "lib/base/cursor.h"
#include "lib/tlog/note.h"
#include "signer.h"

#define SUMDB_ORIGIN "go.sum database tree"

static struct buf file(const char *name)
{
	char path[4096];
	struct buf b = {0};
	snprintf(path, sizeof path, "%s/note/%s", VECTORS, name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	for (int c; (c = fgetc(f)) != EOF;)
		buf_u8(&b, (uint8_t)c);
	fclose(f);
	return b;
}

static struct note_key key_of(const char *name)
{
	scoped(buf) struct buf b = file(name);
	struct note_key k;
	assert_true(b.len && b.data[b.len - 1] == '\n');
	b.len--;
	assert_good(note_key_parse(buf_text(&b), &k));
	scoped(buf) struct buf again = {0};
	note_key_format(&k, &again);
	assert_string_equal(buf_text(&again), buf_text(&b));
	return k;
}

static const char *text_of(struct buf *b)
{
	return buf_text(b);
}

// --- published notes

static void test_published(void **state)
{
	scoped(buf) struct buf b = file("peter_neumann"), two = file("enoch_root");
	struct note_key k = key_of("peter_neumann.vkey");
	struct note note;
	bool is = false;
	uint64_t when = 1;
	assert_good(note_parse((const char *)b.data, b.len, &note));
	assert_int_equal(note.n, 1);
	assert_good(note_verify(&note, &k, &is, &when));
	assert_true(is && when == 0);

	// The second signature is made here from its published seed.
	struct signer s;
	uint8_t seed[32] = {0};
	signer_start(&s, "EnochRoot", NOTE_ED25519, seed);
	scoped(buf) struct buf made = {0};
	buf_append(&made, b.data, b.len);
	assert_good(note_sign(&s.by, 0, note.text, note.text_len, &made));
	assert_int_equal(made.len, two.len);
	assert_memory_equal(made.data, two.data, two.len);
	assert_good(note_parse((const char *)two.data, two.len, &note));
	assert_int_equal(note.n, 2);
	unsigned count;
	struct note_key both[] = {k, s.by.key, k};
	assert_good(note_count(&note, both, 3, &count));
	assert_int_equal(count, 2);
	signer_end(&s);
}

static void test_sumdb(void **state)
{
	static const struct {
		const char *name;
		uint64_t size;
	} heads[] = {{"go_sumdb_6476701", 6476701}, {"go_sumdb_3935567", 3935567}};
	struct note_key k = key_of("go_sumdb.vkey"), other = key_of("peter_neumann.vkey");
	for (size_t i = 0; i < 2; i++) {
		scoped(buf) struct buf b = file(heads[i].name), again = {0};
		struct note note;
		struct checkpoint c;
		const char *bytes = (const char *)b.data;
		assert_good(checkpoint_open(bytes, b.len, SUMDB_ORIGIN, &k, &note, &c));
		assert_true(c.size == heads[i].size && !c.extended);
		assert_string_equal(c.origin, SUMDB_ORIGIN);
		checkpoint_format(&c, &again);
		assert_int_equal(again.len, note.text_len);
		assert_memory_equal(again.data, note.text, again.len);
		assert_bad(ERR_NOT_FOUND, "another",
			   checkpoint_open(bytes, b.len, "another", &k, &note, &c));
		assert_bad(ERR_AUTH, "did not sign",
			   checkpoint_open(bytes, b.len, SUMDB_ORIGIN, &other, &note, &c));
	}
}

static void test_spec_examples(void **state)
{
	scoped(buf) struct buf poem = file("quasimodo"), sofa = file("behind_the_sofa");
	struct note note;
	struct checkpoint c;
	assert_good(note_parse((const char *)poem.data, poem.len, &note));
	assert_true(note.text_len > 80 && memmem(note.text, note.text_len, "\n\n", 2));
	assert_int_equal(note.n, 1);
	assert_int_equal(note.lines[0].id, 0x367ba04b);
	assert_good(note_parse((const char *)sofa.data, sofa.len, &note));
	assert_int_equal(note.n, 2);
	assert_good(checkpoint_parse(note.text, note.text_len, &c));
	assert_int_equal(c.size, 20852163);
}

// Whatever is changed, the key's word no longer holds for it.
static void test_flips_and_cuts(void **state)
{
	scoped(buf) struct buf b = file("go_sumdb_6476701");
	struct note_key k = key_of("go_sumdb.vkey");
	struct note note;
	struct checkpoint c;
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		struct err e =
			checkpoint_open((const char *)b.data, b.len, SUMDB_ORIGIN, &k, &note, &c);
		if (e.code != ERR_PEER && e.code != ERR_AUTH && e.code != ERR_NOT_FOUND)
			fail_msg("bit %zu: %s", bit, err_code_name(e.code));
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t cut = 0; cut < b.len; cut++) {
		char *exact = malloc(cut ? cut : 1);
		memcpy(exact, b.data, cut);
		assert_bad(ERR_PEER, NULL,
			   checkpoint_open(exact, cut, SUMDB_ORIGIN, &k, &note, &c));
		free(exact);
	}
}

// --- keys and forms

static void test_keys(void **state)
{
	static const char *const bad[] = {
		"",
		"PeterNeumann",
		"PeterNeumann+c74f20a3",
		"PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", // id
		"PeterNeumanN+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", // name
		"Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
		"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWAAAA",
		"PeterNeumann+c74f20a3+Axpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", // type 3
		"PeterNeumann+c74f20zz+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	};
	struct note_key k;
	uint8_t public[NOTE_PUBLIC] = {1};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (note_key_parse(bad[i], &k).code != ERR_USAGE)
			fail_msg("\"%s\" was accepted", bad[i]);
	static const char *const names[] = {
		"",	"a b",	    "a+b",	    "a\tb", "a\xc2\xa0z", "a\xe2\x80\x83",
		"\xff", "\xc0\xaf", "\xed\xa0\x80", "a\x7f"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_bad(ERR_USAGE, "key name",
			   note_key_make(names[i], NOTE_ED25519, public, &k));
	char longest[NOTE_NAME_MAX + 2];
	memset(longest, 'n', sizeof longest);
	longest[NOTE_NAME_MAX + 1] = 0;
	assert_bad(ERR_USAGE, NULL, note_key_make(longest, NOTE_ED25519, public, &k));
	longest[NOTE_NAME_MAX] = 0;
	assert_good(note_key_make(longest, NOTE_COSIGNATURE, public, &k));
	assert_good(note_key_make("twin.example/\xc3\xa9", NOTE_ED25519, public, &k));
	assert_bad(ERR_USAGE, "type 2", note_key_make("a", (enum note_type)2, public, &k));
}

static void test_forms(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"\n\n",
		"text\n",
		"text\n\n",
		"text\n\n\xe2\x80\x94 a AAAAAAA=",   // no newline
		"text\n\xe2\x80\x94 a AAAAAAA=\n",   // no blank line
		"text\n\n- a AAAAAAA=\n",	     // not a dash
		"text\n\n\xe2\x80\x94 a AAAAAA==\n", // an id and nothing else
		"text\n\n\xe2\x80\x94 a AAAAAAB=\n", // unused bits
		"text\n\n\xe2\x80\x94 a AAAA AAA=\n",
		"text\n\n\xe2\x80\x94  AAAAAAA=\n",
		"text\n\n\xe2\x80\x94 a+b AAAAAAA=\n",
		"text\n\n\xe2\x80\x94 AAAAAAA=\n",
		"te\rxt\n\n\xe2\x80\x94 a AAAAAAA=\n",
		"te\txt\n\n\xe2\x80\x94 a AAAAAAA=\n",
		"te\xffxt\n\n\xe2\x80\x94 a AAAAAAA=\n",
	};
	struct note note;
	static const char good[] = "text\n\n\xe2\x80\x94 a AAAAAAA=\n",
			  zero[] = "te\0t\n\n\xe2\x80\x94 a AAAAAAA=\n";
	assert_good(note_parse(good, sizeof good - 1, &note));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_bad(ERR_PEER, NULL, note_parse(bad[i], strlen(bad[i]), &note));
	assert_bad(ERR_PEER, NULL, note_parse(zero, sizeof zero - 1, &note));

	scoped(buf) struct buf many = {0};
	buf_str(&many, "text\n\n");
	for (int i = 0; i < NOTE_SIGNATURES_MAX; i++)
		buf_str(&many, "\xe2\x80\x94 a AAAAAAA=\n");
	assert_good(note_parse(text_of(&many), many.len, &note));
	assert_int_equal(note.n, NOTE_SIGNATURES_MAX);
	buf_str(&many, "\xe2\x80\x94 a AAAAAAA=\n");
	assert_bad(ERR_PEER, "32", note_parse(text_of(&many), many.len, &note));
	buf_reset(&many);
	for (int i = 0; i <= NOTE_MAX; i++)
		buf_u8(&many, 'x');
	assert_bad(ERR_PEER, "65537", note_parse(text_of(&many), many.len, &note));
}

static void test_checkpoint_forms(void **state)
{
#define ROOT "mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n"
	static const char *const bad[] = {"",
					  "o\n",
					  "o\n1\n",
					  "\n1\n" ROOT,
					  "o\n01\n" ROOT,
					  "o\n-1\n" ROOT,
					  "o\n+1\n" ROOT,
					  "o\n\n" ROOT,
					  "o\n1 \n" ROOT,
					  "o\n9223372036854775808\n" ROOT,
					  "o\n18446744073709551617\n" ROOT,
					  "o\n1\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk\n",
					  "o\n1\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9W==\n",
					  "o\n1\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wl=\n",
					  "o\n1\n" ROOT "\n",
					  "o\n1\n" ROOT "x",
					  "o\n1\n" ROOT "x\n\ny\n"};
	struct checkpoint c;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_bad(ERR_PEER, "checkpoint", checkpoint_parse(bad[i], strlen(bad[i]), &c));
	static const char most[] = "o\n9223372036854775807\n" ROOT,
			  more[] = "o\n0\n" ROOT "x\ny z\n";
	assert_good(checkpoint_parse(most, sizeof most - 1, &c));
	assert_true(c.size == INT64_MAX && !c.extended);
	assert_good(checkpoint_parse(more, sizeof more - 1, &c));
	assert_true(c.size == 0 && c.extended);
}

// --- cosignatures

static const char body[] = "twin.example/log\n5\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n";

static void test_cosignature(void **state)
{
	struct signer s;
	uint8_t seed[32] = {7};
	signer_start(&s, "witness.example/w", NOTE_COSIGNATURE, seed);
	scoped(buf) struct buf lines = {0}, message = {0};
	assert_good(note_sign(&s.by, 1700000000, body, sizeof body - 1, &lines));
	note_message(&s.by.key, 1700000000, body, sizeof body - 1, &message);
	assert_true(strncmp(buf_text(&message),
			    "cosignature/v1\ntime 1700000000\ntwin.example/log\n", 48) == 0);
	struct note note;
	bool is;
	uint64_t when;
	assert_good(note_parse_lines(text_of(&lines), lines.len, body, sizeof body - 1, &note));
	assert_good(note_verify(&note, &s.by.key, &is, &when));
	assert_true(is && when == 1700000000);

	// The same key as a log's own signs something else: never one for the other.
	struct note_key log;
	assert_good(note_key_make("witness.example/w", NOTE_ED25519, s.by.key.public, &log));
	assert_good(note_verify(&note, &log, &is, &when));
	assert_false(is);
	struct note_key renamed;
	assert_good(
		note_key_make("witness.example/v", NOTE_COSIGNATURE, s.by.key.public, &renamed));
	assert_good(note_verify(&note, &renamed, &is, &when));
	assert_false(is);
	// One key under two names is one witness.
	assert_good(note_sign(&(struct note_signer){renamed, s.by.sign, s.by.ctx}, 3, body,
			      sizeof body - 1, &lines));
	struct note_key keys[] = {s.by.key, renamed};
	unsigned count;
	assert_good(note_parse_lines(text_of(&lines), lines.len, body, sizeof body - 1, &note));
	assert_int_equal(note.n, 2);
	assert_good(note_count(&note, keys, 2, &count));
	assert_int_equal(count, 1);
	assert_good(note_count(&note, keys + 1, 1, &count));
	assert_int_equal(count, 1);
	// For another text: a wrong signature of a known key refuses the note.
	assert_good(note_parse_lines(text_of(&lines), lines.len, "other\n", 6, &note));
	assert_bad(ERR_AUTH, "witness.example/w", note_verify(&note, &s.by.key, &is, &when));
	assert_false(is);
	signer_end(&s);
}

static void test_cosignature_flips(void **state)
{
	struct signer s;
	uint8_t seed[32] = {7};
	signer_start(&s, "w", NOTE_COSIGNATURE, seed);
	scoped(buf) struct buf lines = {0};
	assert_good(note_sign(&s.by, 1700000000, body, sizeof body - 1, &lines));
	for (size_t bit = 0; bit < lines.len * 8; bit++) {
		struct note note;
		bool is = false;
		lines.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		struct err e = note_parse_lines((const char *)lines.data, lines.len, body,
						sizeof body - 1, &note);
		if (e.code == ERR_NONE)
			e = note_verify(&note, &s.by.key, &is, NULL);
		assert_false(is);
		assert_true(e.code == ERR_NONE || e.code == ERR_PEER || e.code == ERR_AUTH);
		lines.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	// A time of 2^63 is none.
	uint8_t signature[NOTE_SIGNATURE];
	scoped(buf) struct buf message = {0}, late = {0};
	note_message(&s.by.key, (uint64_t)1 << 63, body, sizeof body - 1, &message);
	assert_good(s.by.sign(s.by.ctx, message.data, message.len, signature));
	note_line(&s.by.key, (uint64_t)1 << 63, signature, &late);
	struct note note;
	bool is;
	assert_good(note_parse_lines(text_of(&late), late.len, body, sizeof body - 1, &note));
	assert_bad(ERR_AUTH, "time", note_verify(&note, &s.by.key, &is, NULL));
	signer_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_sumdb),
		cmocka_unit_test(test_spec_examples),
		cmocka_unit_test(test_flips_and_cuts),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_checkpoint_forms),
		cmocka_unit_test(test_cosignature),
		cmocka_unit_test(test_cosignature_flips),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
