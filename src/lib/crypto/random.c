// SPDX-License-Identifier: Apache-2.0
#include "lib/crypto/random.h"

#include "lib/crypto/internal.h"

#include <limits.h>
#include <openssl/rand.h>

struct err random_bytes(void *out, size_t n)
{
	TRY(crypto_start());
	ENSURE(n <= INT_MAX, ERR_LIMIT, "%zu random bytes at once: at most %d", n, INT_MAX);
	if (RAND_priv_bytes(out, (int)n) != 1)
		return crypto_error(ERR_INTERNAL, "no random bytes");
	return OK;
}

struct err random_secret(size_t n, struct secret **out)
{
	scoped(secret) struct secret *s = secret_new(n);
	ENSURE(s, ERR_LIMIT, "no memory for a secret of %zu bytes", n);
	TRY(random_bytes(secret_bytes(s), n));
	*out = s;
	s = NULL;
	return OK;
}
