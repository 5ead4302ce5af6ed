// SPDX-License-Identifier: Apache-2.0
// Who is asking, remembered for as long as management vouched: SHA-256 of the token -> ticket. The
// token itself is not kept. Also how much one session, and one address, may ask in a time (token
// buckets) and how much at once. X.2011 8.2.1-1. Used by northbound.
#pragma once

#include "lib/access/access.h"

enum {
	SESSIONS_MAX = 512,
	SESSION_TICKET_MAX = 4096,
	SESSION_CONCURRENT_MAX = 16, // requests of one session that are being answered
	SESSION_STREAMS_MAX = 8,
	SESSION_RATE = 1000,	     // requests per second
	SESSION_BURST = 2000,
	SOURCES_MAX = 256,
	SOURCE_RATE = 2,   // log-ins and unknown tokens of one address per second
	SOURCE_BURST = 30,
	SESSION_TOKEN_MAX = 512,
};

struct bucket {
	double level;
	int64_t filled_ns;
};
// Takes one. False: empty; *wait_s: whole seconds until one is there.
bool bucket_take(struct bucket *b, double rate, double burst, int64_t now_ns, unsigned *wait_s);

struct session {
	uint8_t hash[32];
	uint8_t ticket[SESSION_TICKET_MAX];
	size_t ticket_len;
	int64_t until_ns; // wall time
	bool used;
	unsigned running, streams;
	struct bucket bucket;
	int64_t last_ns;
	bool known; // `who` is filled: the ticket's signature was checked here too
	struct access_subject who;
};

struct sessions; // opaque

struct sessions *sessions_new(void); // NULL: out of memory
void sessions_free(struct sessions *s);
// NULL: not known, or its time is over at `now_ns`. Valid until the next sessions_put.
struct session *sessions_find(struct sessions *s, const uint8_t hash[32], int64_t now_ns);
// As sessions_find, but also when its time is over.
struct session *sessions_any(struct sessions *s, const uint8_t hash[32]);
// Remembers or renews. The longest unused one gives way. ERR_PEER: ticket too long. ERR_LIMIT: all
// are in use.
MUST_USE struct err sessions_put(struct sessions *s, const uint8_t hash[32], const uint8_t *ticket,
				 size_t n, int64_t until_ns, struct session **out);
void sessions_drop(struct sessions *s, const uint8_t hash[32]);
// Takes one of what an address may try.
bool sessions_source(struct sessions *s, const char *source, int64_t now_ns, unsigned *wait_s);
// The token of "Bearer TOKEN" (RFC 6750), or of the cookie gemel_session. NULL: none there or
// malformed. *n its length; a view into `header`.
const char *session_bearer(const char *header, size_t *n);
const char *session_cookie(const char *header, size_t *n);
