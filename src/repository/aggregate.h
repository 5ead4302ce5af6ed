// SPDX-License-Identifier: Apache-2.0
// Things that may happen thousands of times a second and must be in the ledger: refusals, reads of
// confidential data. The first of a kind in a minute is recorded at once, the others of that minute
// as one entry with their count: nobody can fill the ledger. X.2011 8.3.1-4. Used by repository.
#pragma once

#include "lib/base/mem.h"

struct aggregate; // opaque

// Records `count` events of `kind`; `detail` is JSON text of an object's members or "".
typedef void (*aggregate_fn)(void *ctx, const char *kind, const char *subject, const char *actor,
			     const char *detail, uint64_t count);
struct aggregate *aggregate_new(aggregate_fn record, void *ctx); // NULL: out of memory
void aggregate_free(struct aggregate *a); // NULL is fine; what is held is lost
// kind, subject, actor and `reason` tell things apart; `detail` is the first one's.
void aggregate_note(struct aggregate *a, const char *kind, const char *subject, const char *actor,
		    const char *reason, const char *detail, int64_t now_ns);
void aggregate_tick(struct aggregate *a, int64_t now_ns); // records what is older than a minute
