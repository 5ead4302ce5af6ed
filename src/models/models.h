// SPDX-License-Identifier: Apache-2.0
// The models process: what its files share. Nothing outside src/models includes this.
//   models.c         messages in, feed, readiness          models_past.c    the twin as it was at T
//   models_answer.c  operations of the API                 models_event.c   what changed, told at
//   once
#pragma once

#include "lib/access/access.h"
#include "lib/ipc/process.h"
#include "models/checks.h"
#include "models/trace.h"

enum { PASTS = 4, WAITING_MAX = 64, PAST_TIMEOUT_MS = 10000 };

struct twin {
	struct state *state;
	struct topology *topology;
	struct forwarding *forwarding;
	struct checks *checks; // live, or when asked of the past
};

struct past {
	enum { PAST_EMPTY, PAST_LOADING, PAST_READY } phase;
	uint64_t id; // of STATE_AT
	int64_t at_ns, used_ns, asked_ns;
	struct twin twin;
	uint64_t revision;
};

struct waiting {	// a request that waits for a past
	uint8_t *bytes; // owned; NULL: free
	size_t len;
	uint64_t past;
	uint64_t request;
	int64_t at_ns;
};

struct models {
	struct process *p;
	struct series *series;
	struct twin live, incoming; // incoming: being rebuilt while live still answers
	bool ready, rebuilding;
	uint64_t revision; // of FEED_END or the newest FEED
	struct access_policy *policy;
	uint8_t *policy_bytes; // the last snapshot, until the key to check it has come
	size_t policy_len;
	uint8_t ticket_key[32], policy_key[32];
	bool has_ticket_key, has_policy_key;
	int64_t stale_ns;

	struct past pasts[PASTS];
	struct waiting waiting[WAITING_MAX];
	uint64_t next_id;

	struct event *soon, *steady; // after changes; every second
	int64_t change_ns;	     // device time of the earliest change not yet told
	int64_t told_ns;	     // when events were last sent, monotonic
	bool *was_stale;	     // per device
	uint32_t n_stale;
};

MUST_USE struct err twin_make(struct twin *t, const struct series *s);
void twin_free(struct twin *t);

// models_answer.c
// `at_ns`: the moment that was asked about, for a request that waited for it ("-90s" means another
// moment each time it is read); 0: as the request says.
MUST_USE struct err models_answer(struct models *m, const uint8_t *bytes, size_t len,
				  int64_t at_ns);

// models_past.c
// The twin at `at_ns`. *out NULL and no error: it is being asked for, and the request (bytes) will
// be answered again when it has come. ERR_BUSY when too many wait, or the repository is away.
MUST_USE struct err past_get(struct models *m, int64_t at_ns, uint64_t request,
			     const uint8_t *bytes, size_t len, struct past **out);
MUST_USE struct err past_feed(struct models *m, const uint8_t *bytes, size_t len);
MUST_USE struct err past_end(struct models *m, uint64_t id, const char *error, uint64_t revision);
void past_tick(struct models *m);   // gives up what took too long
void past_forget(struct models *m); // the repository is away: nothing will come

// models_event.c
MUST_USE struct err events_start(struct models *m);
void events_changed(struct models *m, const struct state_change *change);
