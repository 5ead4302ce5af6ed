// SPDX-License-Identifier: Apache-2.0
// Token buckets, kept as one time each: when the bucket will be full again (the generic cell rate
// algorithm, ITU-T I.371 annex A). What flows over is the caller's to refuse or to delay.
// X.2011 8.2.2-1. Used by telemetry.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rate {
	uint32_t per_s; // 0: nothing passes
	uint32_t burst;
};

struct bucket {
	int64_t full_ns; // monotonic; zero is a full one
};

// Takes `cost` tokens when they are there. False: nothing was taken.
bool bucket_take(struct bucket *b, const struct rate *r, int64_t now_ns, uint64_t cost);
// Takes them in any case (they have been spent already). Returns how long to take nothing more, in
// ns; 0: go on. At most an hour, so that no single message darkens a peer for good.
int64_t bucket_spend(struct bucket *b, const struct rate *r, int64_t now_ns, uint64_t cost);
