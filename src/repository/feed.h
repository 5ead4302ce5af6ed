// SPDX-License-Identifier: Apache-2.0
// State of devices as FEED batches: for models when it comes up (a snapshot, device by device, in
// pace with what it reads), and at a time in the past. Used by repository.
#pragma once

#include "repository/repository.h"

enum { FEED_SLICE = 4 << 20 }; // so much waits for models before more is made

// One point of a device's state.
struct state_point {
	uint32_t series;
	int64_t time_ns;
	uint64_t revision;
	struct batch_value value;
	bool deleted;
};

// Sends points in messages of a bounded size; id: STATE_FEED, else FEED. feed.c
MUST_USE struct err feed_send_state(struct repository *r, const struct device *d,
				    const struct state_point *points, size_t n, const uint64_t *id);

// The device's live series at `time_ns` (INT64_MAX: now), each its latest value not after it, in
// ascending series. *points is `a`'s. history.c
MUST_USE struct err history_state(struct repository *r, struct device *d, int64_t time_ns,
				  struct arena *a, struct state_point **points, size_t *n);
// Points of one series with from <= time <= to, ascending; at most `most` (the newest).
MUST_USE struct err history_points(struct repository *r, struct device *d, uint32_t series,
				   int64_t from, int64_t to, size_t most, struct arena *a,
				   struct state_point **points, size_t *n);
// Everything that is stored of a device into its latest values; at start.
MUST_USE struct err history_restore(struct repository *r, struct device *d);
