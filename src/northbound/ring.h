// SPDX-License-Identifier: Apache-2.0
// The last events, numbered, so that a stream which broke goes on where it was (Last-Event-ID).
// Bounded by count and bytes: what fell out is a gap, and a gap is told, never hidden. Numbers rise
// over restarts too, because the first one is taken from the clock. Each event keeps its text as it
// goes over the wire (server-sent event with a CloudEvents 1.0 envelope). Pure. Used by northbound.
#pragma once

#include "lib/base/mem.h"

struct ring; // opaque

struct ring_event {
	uint64_t id;
	char *type, *subject, *class_name;
	char *text; // "id: N\ndata: {...}\n\n"
	size_t len;
};

struct ring_filter {
	const char *types;   // "topology,ledger.entry": prefixes by whole words; NULL: all
	const char *subject; // this one, or a link that has it as an end; NULL: all
};

enum { RING_EVENTS_MAX = 4096, RING_BYTES_MAX = 8 << 20 };

// `first` is the number of the first event. NULL: out of memory.
struct ring *ring_new(size_t events_max, size_t bytes_max, uint64_t first);
void ring_free(struct ring *r); // NULL is fine
// Adds an event. `json` must be one JSON text: ERR_PEER otherwise. `source` names the process.
MUST_USE struct err ring_add(struct ring *r, const char *source, const char *type,
			     const char *subject, const char *class_name, int64_t time_ns,
			     const void *json, size_t n);
// The first event after `id`; NULL: none yet. Valid until the next ring_add.
const struct ring_event *ring_after(const struct ring *r, uint64_t id);
uint64_t ring_newest(const struct ring *r); // number of the newest, or the one before the first
// Whether events between `id` and the oldest kept are lost; *from the number to go on after.
bool ring_gap(const struct ring *r, uint64_t id, uint64_t *from);
// "event: gap" with what is missing, as text of the stream.
void ring_gap_text(uint64_t id, uint64_t from, struct buf *out);
bool ring_matches(const struct ring_filter *f, const struct ring_event *e);
// A Last-Event-ID. ERR_USAGE unless it is a number that we could have given.
MUST_USE struct err ring_resume(const char *text, uint64_t *id);
