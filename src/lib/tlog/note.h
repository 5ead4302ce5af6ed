// SPDX-License-Identifier: Apache-2.0
// Signed notes (c2sp.org/signed-note 1.0.0), the checkpoint that is their text
// (c2sp.org/tlog-checkpoint 1.0.0) and witnesses' cosignatures (c2sp.org/tlog-cosignature 1.0.1,
// Ed25519). The private key is elsewhere: one function gives the bytes to sign, another makes the
// line from the signature. X.2011 8.3.3-9, 9.1-ledger.
// Used by keys and repository (make), agent, CLI and witness (verify).
#pragma once

#include "lib/tlog/merkle.h"

struct cursor;

enum {
	NOTE_NAME_MAX = 255,
	NOTE_MAX = 65536,	 // bytes of a note that is accepted
	NOTE_SIGNATURES_MAX = 32,
	NOTE_PUBLIC = 32, // Ed25519
	NOTE_SIGNATURE = 64,
};

enum note_type { NOTE_ED25519 = 1, NOTE_COSIGNATURE = 4 }; // signed-note: signature types

struct note_key { // a verifier key
	char name[NOTE_NAME_MAX + 1];
	enum note_type type;
	uint32_t id; // first 4 bytes of SHA-256(name || 0x0A || type || public)
	uint8_t public[NOTE_PUBLIC];
};

// ERR_USAGE: empty name, a space or '+' in it, not UTF-8, too long.
MUST_USE struct err note_key_make(const char *name, enum note_type type,
				  const uint8_t public[NOTE_PUBLIC], struct note_key *out);
// `name+hex id+base64(type || public)`, as Go's sumdb/note. ERR_USAGE says what is wrong in it.
MUST_USE struct err note_key_parse(const char *vkey, struct note_key *out);
void note_key_format(const struct note_key *k, struct buf *out);

// --- a note, taken apart. Views of the caller's bytes.
struct note_line {
	const char *name, *base64;
	size_t name_len, base64_len;
	uint32_t id;
};

struct note {
	const char *text; // with its last newline
	size_t text_len;
	struct note_line lines[NOTE_SIGNATURES_MAX];
	size_t n;
};

// ERR_PEER: not UTF-8, control bytes, no blank line, a malformed signature line, too large.
MUST_USE struct err note_parse(const char *bytes, size_t n, struct note *out);
// Only signature lines, as a witness answers; `out->text` becomes `text`, so that they verify.
MUST_USE struct err note_parse_lines(const char *bytes, size_t n, const char *text, size_t text_len,
				     struct note *out);

// Whether `k` signed it. *signed_ is false when no line has its name and id; ERR_AUTH when a line
// has and its signature is wrong: then the whole note is to be refused. *time_s (may be NULL) is a
// cosignature's POSIX time, 0 for others.
MUST_USE struct err note_verify(const struct note *note, const struct note_key *k, bool *signed_,
				uint64_t *time_s);
// How many of these keys signed it; one public key counts once, whatever its names.
MUST_USE struct err note_count(const struct note *note, const struct note_key *keys, size_t n,
			       unsigned *count);

// --- making
// What the key must sign: the text itself, or for a cosignature the text with its header and time.
void note_message(const struct note_key *k, uint64_t time_s, const char *text, size_t text_len,
		  struct buf *out);
// The line for such a signature, to be appended to text, blank line and other lines.
void note_line(const struct note_key *k, uint64_t time_s, const uint8_t signature[NOTE_SIGNATURE],
	       struct buf *out);

// Both steps where the key can be called at once.
struct note_signer {
	struct note_key key;
	struct err (*sign)(void *ctx, const void *message, size_t n, uint8_t out[NOTE_SIGNATURE]);
	void *ctx;
};
MUST_USE struct err note_sign(const struct note_signer *s, uint64_t time_s, const char *text,
			      size_t text_len, struct buf *line);

// --- checkpoints
struct checkpoint {
	char origin[NOTE_NAME_MAX + 1];
	uint64_t size; // below 2^63
	struct merkle_hash root;
	bool extended; // extension lines followed; ours never have any
};

// The note text: origin, decimal size, base64 root, each with a newline. Strict both ways.
void checkpoint_format(const struct checkpoint *c, struct buf *text);
MUST_USE struct err checkpoint_parse(const char *text, size_t n, struct checkpoint *out); // PEER
// Parses, and demands that `key` signed it and that its origin is `origin`. `note` views `bytes`.
// ERR_PEER: form; ERR_NOT_FOUND: another origin; ERR_AUTH: not signed by the key.
MUST_USE struct err checkpoint_open(const char *bytes, size_t n, const char *origin,
				    const struct note_key *key, struct note *note,
				    struct checkpoint *out);

// --- shared with proof.h and request.h: strict base64 (RFC 4648 section 4) and decimals
bool note_hash_line(struct cursor *c, struct merkle_hash *out); // base64 of 32 bytes, newline
void note_hash_write(const struct merkle_hash *h, struct buf *out);
bool note_decimal_line(struct cursor *c, uint64_t *out); // no leading zeros, below 2^63, newline
