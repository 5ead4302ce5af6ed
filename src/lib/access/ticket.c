// SPDX-License-Identifier: Apache-2.0
// Tickets, all integers big-endian, a name being u8 length and its bytes:
//     "gemel ticket v1\n"  name account  u8 n, n names of roles  16 bytes session  name domain
//     u8 strong (0, 1)  i64 issued  i64 until  ||  64 bytes Ed25519 over all before
// The leading words keep a ticket's signature from ever being a snapshot's. There is exactly one
// encoding of a ticket, so that a hash of it names it.

#include "lib/access/rules.h"

#include "lib/base/clock.h"
#include "lib/base/cursor.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/sign.h"

#include <stdio.h>
#include <string.h>

static const char magic[] = "gemel ticket v1\n";

enum { SESSION_BYTES = 16, LIFE_S = 300, SKEW_S = 5 };

static bool name_byte(uint8_t c)
{
	uint8_t low = c | 0x20;
	return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
	       c == '-' || c == '*';
}

bool access_name_read(struct cursor *c, char out[ACCESS_NAME_MAX + 1], bool may_be_empty)
{
	uint8_t n = cursor_u8(c);
	const uint8_t *p = n <= ACCESS_NAME_MAX ? cursor_take(c, n) : NULL;
	out[0] = 0;
	if (!p || (n == 0 && !may_be_empty))
		return false;
	for (uint8_t i = 0; i < n; i++)
		if (!name_byte(p[i]))
			return false;
	memcpy(out, p, n);
	out[n] = 0;
	return true;
}

void access_name_write(struct buf *b, const char *name)
{
	size_t n = strnlen(name, ACCESS_NAME_MAX);
	buf_u8(b, (uint8_t)n);
	buf_append(b, name, n);
}

struct err access_signed(const uint8_t *bytes, size_t n, const uint8_t *public_key,
			 const char *what, struct cursor *out)
{
	ENSURE(n > SIGN_ED25519_SIGNATURE, ERR_AUTH, "%s malformed: %zu bytes", what, n);
	size_t body = n - SIGN_ED25519_SIGNATURE;
	struct verify_key *key;
	TRY(verify_key_new(SIGN_ED25519, public_key, SIGN_ED25519_PUBLIC, &key));
	struct err e = verify_check(key, bytes, body, bytes + body, SIGN_ED25519_SIGNATURE);
	verify_key_free(key);
	ENSURE(e.code == ERR_NONE, ERR_AUTH, "%s with a bad signature", what);
	*out = cursor_over(bytes, body);
	return OK;
}

void access_ticket_encode(const struct access_subject *s, struct buf *out)
{
	uint8_t session[SESSION_BYTES] = {0};
	hash_unhex(s->session, session, sizeof session);
	buf_str(out, magic);
	access_name_write(out, s->account);
	buf_u8(out, (uint8_t)s->n_roles);
	for (unsigned i = 0; i < s->n_roles && i < ACCESS_ROLES_MAX; i++)
		access_name_write(out, s->roles[i]);
	buf_append(out, session, sizeof session);
	access_name_write(out, s->domain);
	buf_u8(out, s->strong);
	buf_be64(out, (uint64_t)s->issued_ns);
	buf_be64(out, (uint64_t)s->until_ns);
}

static bool decode(struct cursor *c, struct access_subject *s)
{
	const uint8_t *m = cursor_take(c, sizeof magic - 1);
	if (!m || memcmp(m, magic, sizeof magic - 1) != 0 ||
	    !access_name_read(c, s->account, false))
		return false;
	s->n_roles = cursor_u8(c);
	if (s->n_roles > ACCESS_ROLES_MAX)
		return false;
	for (unsigned i = 0; i < s->n_roles; i++)
		if (!access_name_read(c, s->roles[i], false))
			return false;
	const uint8_t *session = cursor_take(c, SESSION_BYTES);
	if (!session || !access_name_read(c, s->domain, true))
		return false;
	hash_hex(session, SESSION_BYTES, s->session);
	uint8_t strong = cursor_u8(c);
	s->strong = strong == 1;
	s->issued_ns = (int64_t)cursor_be64(c);
	s->until_ns = (int64_t)cursor_be64(c);
	return strong <= 1 && !c->failed && cursor_left(c) == 0;
}

struct err access_ticket_verify(const uint8_t *bytes, size_t n, const uint8_t *public_key,
				int64_t now_ns, struct access_subject *out)
{
	struct cursor c;
	struct access_subject s = {.n_roles = 0};
	memset(out, 0, sizeof *out);
	TRY(access_signed(bytes, n, public_key, "the ticket is", &c));
	ENSURE(decode(&c, &s) && s.issued_ns >= 0 && s.until_ns >= 0, ERR_AUTH,
	       "the ticket is malformed");
	// X.2011 8.2.1-4: what is captured is worthless within five minutes.
	ENSURE(s.until_ns > s.issued_ns && s.until_ns - s.issued_ns <= LIFE_S * NS_PER_S, ERR_AUTH,
	       "the ticket is for longer than %d seconds", LIFE_S);
	ENSURE(s.issued_ns <= now_ns + SKEW_S * NS_PER_S, ERR_AUTH, "the ticket is not valid yet");
	ENSURE(s.until_ns > now_ns, ERR_AUTH, "the ticket has expired");
	*out = s;
	return OK;
}
