// SPDX-License-Identifier: Apache-2.0
#include "lib/crypto/password.h"

#include "lib/crypto/internal.h"
#include "lib/crypto/random.h"

#include <sodium.h>
#include <string.h>

// RFC 9106 section 4, second recommended option: 64 MiB, 3 passes (libsodium runs one lane).
enum { PASSES = 3, MEMORY = 64 << 20 };

_Static_assert(PASSWORD_HASH_MAX == crypto_pwhash_STRBYTES, "libsodium's text form");

static struct err length_check(size_t n)
{
	ENSURE(n >= PASSWORD_MIN && n <= PASSWORD_MAX, ERR_USAGE,
	       "a password of %zu bytes; %d to %d are allowed", n, PASSWORD_MIN, PASSWORD_MAX);
	return OK;
}

struct err password_hash(const char *password, size_t n, char out[PASSWORD_HASH_MAX])
{
	TRY(crypto_start());
	TRY(length_check(n));
	ENSURE(crypto_pwhash_str_alg(out, password, n, PASSES, MEMORY,
				     crypto_pwhash_ALG_ARGON2ID13) == 0,
	       ERR_LIMIT, "no memory to hash a password (%d MiB are needed)", MEMORY >> 20);
	return OK;
}

struct err password_verify(const char *hash, const char *password, size_t n)
{
	TRY(crypto_start());
	ENSURE(n <= PASSWORD_MAX, ERR_AUTH, "wrong password");
	char bounded[PASSWORD_HASH_MAX] = {0};
	size_t len = strnlen(hash, sizeof bounded);
	ENSURE(len < sizeof bounded, ERR_CORRUPT, "a stored password hash is too long");
	memcpy(bounded, hash, len);
	ENSURE(strncmp(bounded, crypto_pwhash_STRPREFIX, strlen(crypto_pwhash_STRPREFIX)) == 0,
	       ERR_CORRUPT, "a stored password hash is not Argon2id");
	ENSURE(crypto_pwhash_str_verify(bounded, password, n) == 0, ERR_AUTH, "wrong password");
	return OK;
}

bool password_needs_rehash(const char *hash)
{
	return crypto_pwhash_str_needs_rehash(hash, PASSES, MEMORY) != 0;
}

struct err password_generate(struct secret **out)
{
	// Without 0/o, 1/l, i, u: easy to read aloud and to copy. 30^20 is 98 bits.
	static const char signs[] = "23456789abcdefghjkmnpqrstvwxyz-";
	enum { SIGNS = 30, GROUPS = 4, GROUP = 5, LENGTH = GROUPS * (GROUP + 1) };
	_Static_assert(sizeof signs - 2 == SIGNS, "the hyphen separates");
	TRY(crypto_start());
	struct secret *s = secret_new(LENGTH); // the last hyphen's place holds the NUL
	ENSURE(s, ERR_LIMIT, "no memory for a pass phrase");
	char *at = (char *)secret_bytes(s);
	for (unsigned i = 0; i < LENGTH; i++)
		at[i] = i % (GROUP + 1) == GROUP ? '-' : signs[randombytes_uniform(SIGNS)];
	at[LENGTH - 1] = 0;
	*out = s;
	return OK;
}
