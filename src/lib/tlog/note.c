// SPDX-License-Identifier: Apache-2.0
// The last blank line parts text from signatures, so a text may hold blank lines itself. Lines of
// unknown keys are kept and ignored, whatever their length; a line of a known key must verify, or
// the note is refused: someone made it to look signed (signed-note, "Signatures").

#include "lib/tlog/note.h"

#include "lib/base/cursor.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/sign.h"
#include "lib/tlog/text.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

enum {
	ID = 4,
	TIME = 8,
	BLOB_MAX = ID + TIME + NOTE_SIGNATURE,
};

static const char dash[] = "\xe2\x80\x94 "; // U+2014

// --- keys

struct err note_key_make(const char *name, enum note_type type, const uint8_t public[NOTE_PUBLIC],
			 struct note_key *out)
{
	size_t n = strlen(name);
	ENSURE(n <= NOTE_NAME_MAX && text_name(name, n), ERR_USAGE,
	       "key name \"%.80s\": 1 to %d bytes of UTF-8 without spaces and '+'", name,
	       NOTE_NAME_MAX);
	ENSURE(type == NOTE_ED25519 || type == NOTE_COSIGNATURE, ERR_USAGE,
	       "key %.80s: type %d is unknown; 1 (Ed25519) and 4 (cosignature) are not", name,
	       (int)type);
	*out = (struct note_key){.type = type};
	memcpy(out->name, name, n + 1);
	memcpy(out->public, public, NOTE_PUBLIC);
	uint8_t hash[HASH_SIZE], middle[2] = {'\n', (uint8_t)type};
	hash_parts((struct hash_part[]){{name, n}, {middle, 2}, {public, NOTE_PUBLIC}}, 3, hash);
	memcpy(&out->id, hash, ID);
	out->id = be32toh(out->id);
	return OK;
}

struct err note_key_parse(const char *vkey, struct note_key *out)
{
	char name[NOTE_NAME_MAX + 1], hex[2 * ID + 1];
	uint8_t id[ID], key[1 + NOTE_PUBLIC];
	const char *first = strchr(vkey, '+'), *second = first ? strchr(first + 1, '+') : NULL;
	ENSURE(second && second - first == 2 * ID + 1 && first - vkey <= NOTE_NAME_MAX, ERR_USAGE,
	       "verifier key \"%.80s\": must be NAME+8 hexadecimal digits+BASE64", vkey);
	memcpy(name, vkey, (size_t)(first - vkey));
	name[first - vkey] = 0;
	memcpy(hex, first + 1, 2 * ID);
	hex[2 * ID] = 0;
	ENSURE(hash_unhex(hex, id, ID), ERR_USAGE,
	       "verifier key of %.80s: \"%s\" is not hexadecimal", name, hex);
	size_t n = strlen(second + 1), len = 0;
	ENSURE(text_base64_read(second + 1, n, key, sizeof key, &len) && len == sizeof key,
	       ERR_USAGE, "verifier key of %.80s: its key is not the base64 of %zu bytes", name,
	       sizeof key);
	TRY(note_key_make(name, (enum note_type)key[0], key + 1, out));
	uint32_t said;
	memcpy(&said, id, ID);
	ENSURE(be32toh(said) == out->id, ERR_USAGE,
	       "verifier key of %.80s: id %s does not fit the key (%08x)", name, hex, out->id);
	return OK;
}

void note_key_format(const struct note_key *k, struct buf *out)
{
	uint8_t key[1 + NOTE_PUBLIC] = {(uint8_t)k->type};
	memcpy(key + 1, k->public, NOTE_PUBLIC);
	buf_printf(out, "%s+%08x+", k->name, k->id);
	text_base64_write(key, sizeof key, out);
}

// --- taking apart

static struct err signature_line(const char *line, size_t n, struct note *out)
{
	size_t at = out->n + 1, len = 0;
	ENSURE(out->n < NOTE_SIGNATURES_MAX, ERR_PEER, "note: more than %d signatures",
	       NOTE_SIGNATURES_MAX);
	ENSURE(n > sizeof dash - 1 && memcmp(line, dash, sizeof dash - 1) == 0, ERR_PEER,
	       "note: signature %zu does not begin with a dash and a space", at);
	line += sizeof dash - 1;
	n -= sizeof dash - 1;
	const char *space = memchr(line, ' ', n);
	size_t name = space ? (size_t)(space - line) : 0;
	ENSURE(name <= NOTE_NAME_MAX && text_name(line, name), ERR_PEER,
	       "note: signature %zu has no name, or one that is not allowed", at);
	uint8_t id[ID];
	const char *base64 = space + 1;
	size_t base64_len = n - name - 1;
	ENSURE(text_base64_read(base64, base64_len, id, ID, &len) && len > ID, ERR_PEER,
	       "note: signature %zu is not the base64 of an id and a signature", at);
	struct note_line *l = &out->lines[out->n++];
	*l = (struct note_line){line, base64, name, base64_len, 0};
	memcpy(&l->id, id, ID);
	l->id = be32toh(l->id);
	return OK;
}

static struct err signature_lines(const char *bytes, size_t n, struct note *out)
{
	struct cursor c = cursor_over(bytes, n);
	out->n = 0;
	while (cursor_left(&c)) {
		const char *line;
		size_t len;
		ENSURE(text_line(&c, &line, &len), ERR_PEER, "note: its last line does not end");
		TRY(signature_line(line, len, out));
	}
	ENSURE(out->n, ERR_PEER, "note: no signature");
	return OK;
}

static struct err clean(const char *bytes, size_t n)
{
	ENSURE(n <= NOTE_MAX, ERR_PEER, "note: %zu bytes; at most %d", n, NOTE_MAX);
	ENSURE(text_clean(bytes, n), ERR_PEER, "note: not UTF-8, or control characters in it");
	return OK;
}

struct err note_parse(const char *bytes, size_t n, struct note *out)
{
	TRY(clean(bytes, n));
	size_t at = n; // of the blank line
	while (at >= 2 && !(bytes[at - 2] == '\n' && bytes[at - 1] == '\n'))
		at--;
	ENSURE(at >= 2, ERR_PEER, "note: no blank line before the signatures");
	out->text = bytes;
	out->text_len = at - 1;
	return signature_lines(bytes + at, n - at, out);
}

struct err note_parse_lines(const char *bytes, size_t n, const char *text, size_t text_len,
			    struct note *out)
{
	TRY(clean(bytes, n));
	out->text = text;
	out->text_len = text_len;
	return signature_lines(bytes, n, out);
}

// --- verification

void note_message(const struct note_key *k, uint64_t time_s, const char *text, size_t text_len,
		  struct buf *out)
{
	if (k->type == NOTE_COSIGNATURE)
		buf_printf(out, "cosignature/v1\ntime %" PRIu64 "\n", time_s);
	buf_append(out, text, text_len);
}

static struct err verify_line(const struct note *note, const struct note_line *l,
			      const struct note_key *k, const struct verify_key *key,
			      uint64_t *time_s)
{
	scoped(buf) struct buf message = {.limit = NOTE_MAX + 64};
	uint8_t blob[BLOB_MAX];
	size_t len = 0, head = k->type == NOTE_COSIGNATURE ? ID + TIME : ID;
	bool read = text_base64_read(l->base64, l->base64_len, blob, sizeof blob, &len);
	ENSURE(read && len == head + NOTE_SIGNATURE, ERR_AUTH,
	       "note: the signature of %s has %zu bytes", k->name, len);
	*time_s = 0;
	if (k->type == NOTE_COSIGNATURE) {
		memcpy(time_s, blob + ID, TIME);
		*time_s = be64toh(*time_s);
	}
	ENSURE(*time_s <= INT64_MAX, ERR_AUTH, "note: the cosignature of %s is past all time",
	       k->name);
	note_message(k, *time_s, note->text, note->text_len, &message);
	TRY(buf_check(&message, "note"));
	struct err e = verify_check(key, message.data, message.len, blob + head, NOTE_SIGNATURE);
	return e.code == ERR_NONE ? OK : err_within(e, "note: the signature of %s", k->name);
}

struct err note_verify(const struct note *note, const struct note_key *k, bool *signed_,
		       uint64_t *time_s)
{
	struct verify_key *key = NULL;
	struct err e = OK;
	uint64_t latest = 0;
	size_t name = strlen(k->name);
	*signed_ = false;
	for (size_t i = 0; e.code == ERR_NONE && i < note->n; i++) {
		const struct note_line *l = &note->lines[i];
		uint64_t when = 0;
		if (l->id != k->id || l->name_len != name || memcmp(l->name, k->name, name) != 0)
			continue;
		if (!key)
			e = verify_key_new(SIGN_ED25519, k->public, NOTE_PUBLIC, &key);
		if (e.code == ERR_NONE)
			e = verify_line(note, l, k, key, &when);
		if (e.code == ERR_NONE && (!*signed_ || when > latest))
			latest = when;
		*signed_ = e.code == ERR_NONE;
	}
	verify_key_free(key);
	if (time_s)
		*time_s = latest;
	return e;
}

struct err note_count(const struct note *note, const struct note_key *keys, size_t n,
		      unsigned *count)
{
	*count = 0;
	for (size_t i = 0; i < n; i++) {
		bool is = false;
		TRY(note_verify(note, &keys[i], &is, NULL));
		// One witness under several names is one witness; X.2011 8.3.3-9.
		for (size_t k = 0; is && k < i; k++) {
			bool before = false;
			if (memcmp(keys[k].public, keys[i].public, NOTE_PUBLIC) != 0)
				continue;
			TRY(note_verify(note, &keys[k], &before, NULL));
			is = !before;
		}
		*count += is;
	}
	return OK;
}

// --- making

void note_line(const struct note_key *k, uint64_t time_s, const uint8_t signature[NOTE_SIGNATURE],
	       struct buf *out)
{
	uint8_t blob[BLOB_MAX];
	uint32_t id = htobe32(k->id);
	uint64_t time = htobe64(time_s);
	size_t n = ID;
	memcpy(blob, &id, ID);
	if (k->type == NOTE_COSIGNATURE) {
		memcpy(blob + n, &time, TIME);
		n += TIME;
	}
	memcpy(blob + n, signature, NOTE_SIGNATURE);
	buf_printf(out, "%s%s ", dash, k->name);
	text_base64_write(blob, n + NOTE_SIGNATURE, out);
	buf_u8(out, '\n');
}

struct err note_sign(const struct note_signer *s, uint64_t time_s, const char *text,
		     size_t text_len, struct buf *line)
{
	scoped(buf) struct buf message = {.limit = NOTE_MAX + 64};
	uint8_t signature[NOTE_SIGNATURE];
	note_message(&s->key, time_s, text, text_len, &message);
	TRY(buf_check(&message, "note"));
	TRY(s->sign(s->ctx, message.data, message.len, signature));
	note_line(&s->key, time_s, signature, line);
	return buf_check(line, "note");
}
