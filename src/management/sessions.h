// SPDX-License-Identifier: Apache-2.0
// Log-ins. Of a token only its SHA-256 is kept, in memory and sealed on disk: a session survives a
// restart of this process, a copied state gives nobody a token. X.2011 8.2.1-4, 8.3.3-1.
// Also how often log-ins may fail: a name or an address that fails waits twice as long each time.
// Used by management.
#pragma once

#include "lib/access/access.h"
#include "management/keep.h"

enum {
	SESSIONS_MAX = 4096,
	SESSIONS_OF_ONE = 32, // the longest unused gives way
	SESSION_TOKEN_BYTES = 32,
	SESSION_TOKEN_TEXT = 2 * SESSION_TOKEN_BYTES + 1,
	SESSION_LIFE_S = 12 * 3600,
	SESSION_IDLE_S = 3600,
	SESSION_TICKET_S = 300,
};

struct session {
	uint8_t hash[32];
	char id[33]; // hex; in tickets and the ledger
	char account[ACCESS_NAME_MAX + 1];
	char source[64];
	int64_t created_ns, seen_ns; // seen: in memory only
};

struct sessions; // opaque
MUST_USE struct err sessions_load(struct keep *k, int64_t now_ns, struct sessions **out);
void sessions_free(struct sessions *s);

// A new one; `token` is hex text for the client, once. Durable when it returns.
MUST_USE struct err sessions_new(struct sessions *s, const char *account, const char *source,
				 int64_t now_ns, char token[SESSION_TOKEN_TEXT],
				 struct session **out);
// NULL: unknown, too old or idle for too long. Marks it as seen.
struct session *sessions_find(struct sessions *s, const uint8_t hash[32], int64_t now_ns);
struct session *sessions_by_id(struct sessions *s, const char *id);
int64_t session_until(const struct session *s); // when it must log in again at the latest
// Ends those that `which` picks and calls `ended` for each, before it is forgotten.
typedef bool (*sessions_pick_fn)(const struct session *s, const void *ctx);
typedef void (*sessions_ended_fn)(void *ctx, const struct session *s);
MUST_USE struct err sessions_end(struct sessions *s, sessions_pick_fn which, const void *pick_ctx,
				 sessions_ended_fn ended, void *ctx);
// Those that are over at `now_ns`.
MUST_USE struct err sessions_expire(struct sessions *s, int64_t now_ns, sessions_ended_fn ended,
				    void *ctx);
size_t sessions_count(const struct sessions *s, const char *account); // NULL: all

// --- back-off

struct backoff;			   // opaque
struct backoff *backoff_new(void); // NULL: out of memory
void backoff_free(struct backoff *b);
// How many seconds this account from this source must still wait; 0: it may try.
unsigned backoff_wait(struct backoff *b, const char *account, const char *source, int64_t now_ns);
void backoff_failed(struct backoff *b, const char *account, const char *source, int64_t now_ns);
void backoff_succeeded(struct backoff *b, const char *account, const char *source);
// One password check is about to be paid for; false: too many in this second from everyone.
bool backoff_spend(struct backoff *b, int64_t now_ns);
