// SPDX-License-Identifier: Apache-2.0
// Heads: the open end of each series' history in memory, coded as it grows (about 3 bytes a point)
// until its device is flushed into chunks. One tick for each (batch, time) of a device; a point
// names its tick by the distance to the series' last one. Used by repository.
#pragma once

#include "repository/series.h"

// The tick for a batch's time; appended when it is a new one. ERR_LIMIT: flush the device first.
MUST_USE struct err head_tick(struct index *x, struct device *d, int64_t time_ns, uint64_t revision,
			      uint32_t *tick);
// Appends a point and makes it the latest value (unless an earlier time: then only history).
// value NULL: a deletion. *changed: the latest value is another one now (may be NULL).
MUST_USE struct err head_append(struct index *x, struct device *d, struct series *s, uint32_t tick,
				const struct batch_value *value);
// The head's points; `points` has room for s->head_n. Strings are views into the head.
void head_points(const struct series *s, struct chunk_point *points);
// Forgets the device's heads and ticks: they are in chunks now.
void head_reset(struct index *x, struct device *d);
// Sets the latest value without history (from a key frame).
MUST_USE struct err head_restore(struct device *d, struct series *s, int64_t time_ns,
				 uint64_t revision, const struct batch_value *value);

enum {
	HEAD_POINTS_MAX = 500,
	HEAD_TICKS_MAX = 8192,
	HEAD_BYTES_MAX = 6 << 20, // of a device; with a whole batch more, a column still fits a row
};
// The device wants to be flushed: a series is full, or ticks are.
static inline bool head_full(const struct device *d)
{
	return d->most_points >= HEAD_POINTS_MAX || d->n_ticks >= HEAD_TICKS_MAX - 64 ||
	       d->head_bytes >= HEAD_BYTES_MAX / 2;
}

// Whether a batch of so many records and bytes fits what a chunk can hold.
static inline bool head_fits(const struct device *d, uint32_t count, size_t bytes)
{
	return d->n_ticks + count <= CHUNK_TICKS_MAX &&
	       d->most_points + count <= CHUNK_POINTS_MAX &&
	       d->head_bytes + bytes <= HEAD_BYTES_MAX;
}

// Much more of it would not fit a chunk.
static inline bool head_bursting(const struct device *d)
{
	return d->most_points >= 8 * HEAD_POINTS_MAX || d->n_ticks >= 4 * HEAD_TICKS_MAX;
}
