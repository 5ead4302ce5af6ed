// SPDX-License-Identifier: Apache-2.0
// Protobuf allows many spellings of one message; what is signed and hashed must have one. A reader
// decodes, refuses unknown fields at any depth, packs again and compares: everything else that
// protobuf tolerates (other orders, repeated or default fields, long varints) changes the bytes.
#include "lib/instruction/internal.h"

#include <string.h>

enum { DEPTH_MAX = 8, MEMBERS_MAX = 8192 };

static void *give(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void keep(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

// --- unknown fields

static bool known(const ProtobufCMessage *m, unsigned depth);

static bool known_members(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
			  unsigned depth)
{
	const uint8_t *base = (const uint8_t *)m;
	if (f->type != PROTOBUF_C_TYPE_MESSAGE)
		return true;
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		size_t n = *(const size_t *)(const void *)(base + f->quantifier_offset);
		ProtobufCMessage *const *at =
			*(ProtobufCMessage *const *const *)(const void *)(base + f->offset);
		if (n > MEMBERS_MAX)
			return false;
		for (size_t i = 0; i < n; i++)
			if (!known(at[i], depth + 1))
				return false;
		return true;
	}
	// A member of a oneof shares its place with the others: look only at the one that is set.
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
	    *(const uint32_t *)(const void *)(base + f->quantifier_offset) != f->id)
		return true;
	const ProtobufCMessage *one =
		*(const ProtobufCMessage *const *)(const void *)(base + f->offset);
	return !one || known(one, depth + 1);
}

static bool known(const ProtobufCMessage *m, unsigned depth)
{
	if (depth > DEPTH_MAX || m->n_unknown_fields)
		return false;
	for (unsigned i = 0; i < m->descriptor->n_fields; i++)
		if (!known_members(m, &m->descriptor->fields[i], depth))
			return false;
	return true;
}

struct err message_read(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t n,
			size_t most, struct arena *a, void *out)
{
	ProtobufCAllocator in_arena = {give, keep, a};
	ENSURE(n > 0 && n <= most, ERR_PEER, "%s: %zu bytes; must be 1 to %zu", d->short_name, n,
	       most);
	ProtobufCMessage *m = protobuf_c_message_unpack(d, &in_arena, n, bytes);
	ENSURE(m, ERR_PEER, "%s: malformed, or too many parts", d->short_name);
	ENSURE(known(m, 0), ERR_PEER, "%s: has a field that it does not have", d->short_name);
	ENSURE(protobuf_c_message_get_packed_size(m) == n, ERR_PEER, "%s: not in canonical form",
	       d->short_name);
	uint8_t *again = arena_alloc(a, n);
	ENSURE(again, ERR_PEER, "%s: too many parts", d->short_name);
	protobuf_c_message_pack(m, again);
	ENSURE(memcmp(again, bytes, n) == 0, ERR_PEER, "%s: not in canonical form", d->short_name);
	memcpy(out, &m, sizeof m);
	return OK;
}

struct err message_write(const void *message, size_t most, struct buf *out)
{
	const ProtobufCMessage *m = message;
	size_t n = protobuf_c_message_get_packed_size(m);
	ENSURE(n > 0 && n <= most, ERR_LIMIT, "%s: %zu bytes; must be 1 to %zu",
	       m->descriptor->short_name, n, most);
	uint8_t *to = buf_space(out, n);
	if (to)
		protobuf_c_message_pack(m, to);
	return buf_check(out, m->descriptor->short_name);
}

// --- fields

bool message_name(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._:@-";
	size_t n = s ? strlen(s) : 0;
	return n > 0 && n <= INSTRUCTION_NAME_MAX && strspn(s, allowed) == n;
}

// How many continuation bytes follow, and the range of the first of them (RFC 3629 section 4).
static int follow(uint8_t lead, uint8_t *low, uint8_t *high)
{
	*low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	*high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	if (lead < 0x80)
		return lead < 0x20 || lead == 0x7f ? -1 : 0;
	if (lead < 0xc2 || lead > 0xf4)
		return -1;
	return lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
}

bool message_text(const char *s, size_t most)
{
	if (!s || strlen(s) > most)
		return false;
	for (const uint8_t *at = (const uint8_t *)s; *at;) {
		uint8_t low, high;
		int n = follow(*at++, &low, &high);
		if (n < 0)
			return false;
		for (; n > 0; n--, at++, low = 0x80, high = 0xbf)
			if (*at < low || *at > high)
				return false;
	}
	return true;
}

bool message_is(ProtobufCBinaryData b, size_t n)
{
	return b.len == n && (b.data || n == 0);
}

bool message_equal(ProtobufCBinaryData b, const uint8_t *bytes, size_t n)
{
	return message_is(b, n) && (n == 0 || memcmp(b.data, bytes, n) == 0);
}

// --- keys

bool key_is(const Key *k, ProtobufCBinaryData id)
{
	uint8_t own[SIGN_KEY_ID];
	sign_key_id((enum sign_algorithm)k->algorithm, k->public_key.data, k->public_key.len, own);
	return message_equal(id, own, sizeof own);
}

bool key_current(const Key *k, int64_t now_ns)
{
	return k->from_ns <= now_ns && now_ns < k->until_ns;
}

struct err key_check(const Key *k, enum instruction_part part, const Signed *s)
{
	scoped(buf) struct buf message = {0};
	struct verify_key *key = NULL;
	instruction_to_sign(part, s->body.data, s->body.len, &message);
	TRY(buf_check(&message, "a signed part"));
	TRY(verify_key_new((enum sign_algorithm)k->algorithm, k->public_key.data, k->public_key.len,
			   &key));
	struct err e =
		verify_check(key, message.data, message.len, s->signature.data, s->signature.len);
	verify_key_free(key);
	return e;
}
