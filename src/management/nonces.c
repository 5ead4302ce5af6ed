// SPDX-License-Identifier: Apache-2.0
// Challenges that are out: each is answered once, by the device and on the session that it was
// given to, within a minute. X.2011 8.2.1-4.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/crypto/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NONCES_MAX = 4096, OF_ONE = 8 };

struct nonce {
	char device[X509_NAME_MAX + 1], session[65]; // device "": free
	unsigned purpose;
	int64_t until_ns;
	uint8_t bytes[EVIDENCE_NONCE];
};

struct nonces {
	struct nonce items[NONCES_MAX];
};

struct err nonces_start(struct management *m)
{
	m->nonces = calloc(1, sizeof *m->nonces);
	ENSURE(m->nonces, ERR_LIMIT, "no memory for challenges");
	return OK;
}

void nonces_stop(struct management *m)
{
	free(m->nonces);
	m->nonces = NULL;
}

static bool same(const struct nonce *c, const char *device, const char *session)
{
	return strcmp(c->device, device) == 0 && strcmp(c->session, session) == 0;
}

struct err nonce_make(struct management *m, const char *device, const char *session,
		      unsigned purpose, uint8_t out[EVIDENCE_NONCE], int64_t *until_ns)
{
	struct nonce *to = NULL, *oldest = NULL;
	int64_t now = now_of(m);
	unsigned of_one = 0;
	for (size_t i = 0; i < NONCES_MAX; i++) {
		struct nonce *c = &m->nonces->items[i];
		if (!c->device[0] || c->until_ns <= now) {
			to = to ? to : c;
			continue;
		}
		if (!same(c, device, session))
			continue;
		of_one++;
		if (!oldest || c->until_ns < oldest->until_ns)
			oldest = c;
	}
	if (of_one >= OF_ONE)
		to = oldest;
	ENSURE(to, ERR_LIMIT, "%d challenges are out; try again in a minute", NONCES_MAX);
	TRY(random_bytes(out, EVIDENCE_NONCE));
	*to = (struct nonce){.purpose = purpose, .until_ns = now + NONCE_LIFE_S * NS_PER_S};
	snprintf(to->device, sizeof to->device, "%s", device);
	snprintf(to->session, sizeof to->session, "%s", session);
	memcpy(to->bytes, out, EVIDENCE_NONCE);
	*until_ns = to->until_ns;
	return OK;
}

bool nonce_take(struct management *m, const char *device, const char *session, unsigned purpose,
		const uint8_t *nonce, size_t n)
{
	for (size_t i = 0; n == EVIDENCE_NONCE && i < NONCES_MAX; i++) {
		struct nonce *c = &m->nonces->items[i];
		if (!c->device[0] || c->purpose != purpose || !same(c, device, session) ||
		    memcmp(c->bytes, nonce, n) != 0)
			continue;
		bool good = c->until_ns > now_of(m);
		*c = (struct nonce){.purpose = 0};
		return good;
	}
	return false;
}
