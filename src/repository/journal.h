// SPDX-License-Identifier: Apache-2.0
// The sealed journal: what is acknowledged is in it, synced, before anybody is told. Frames collect
// in memory; journal_sync seals what has come since the last call as one frame, writes it and
// fdatasyncs once (group commit). A segment is one file under a data key of its own, written in one
// life of the process; a start always begins a new one. Segments go when all they hold is in the
// store. docs/man/gemel-store.5. X.2011 8.3.1-1 (reliability). Used by repository.
#pragma once

#include "repository/data_keys.h"

enum journal_kind {
	JOURNAL_SERIES = 1, // definitions: u32 device, u32 number, u16 length, path; again
	JOURNAL_BATCH = 2,  // u32 device, u64 grant, hash[32], then the FEED
	JOURNAL_LEDGER = 3, // u64 index, then as in a ledger row
	JOURNAL_DEVICE = 4, // u32 number, u32 domain, then as its row: what is known of a device
	JOURNAL_END = 5,    // the segment was closed in good order
	JOURNAL_BEGIN =
		6, // first of each segment: u64 the one before, u64 where that one's frames end
};

enum { JOURNAL_SEGMENT_BYTES = 64 << 20, JOURNAL_FRAME_MAX = 64 << 20 };

struct journal; // opaque

// `folder`: descriptor of the journal's folder. Does not read what is there: journal_replay.
MUST_USE struct err journal_open(int folder, struct data_keys *k, struct journal **out);
void journal_close(struct journal *j); // NULL is fine; what was not synced is lost
// Appends to the frame in memory. `parts` are joined.
struct journal_part {
	const void *bytes;
	size_t n;
};
MUST_USE struct err journal_add(struct journal *j, enum journal_kind kind,
				const struct journal_part *parts, size_t n);
bool journal_pending(const struct journal *j);
size_t journal_pending_bytes(const struct journal *j);
// Durable when it returns. Nothing pending: nothing is done.
MUST_USE struct err journal_sync(struct journal *j);
// Ends the segment in good order; the next sync starts another.
MUST_USE struct err journal_end(struct journal *j);
uint64_t journal_segment(const struct journal *j); // number that the next record goes to
uint64_t journal_bytes(const struct journal *j);   // of all segments
uint64_t journal_first(const struct journal *j);   // oldest segment there is
// Removes segments below `number`.
MUST_USE struct err journal_remove_below(struct journal *j, uint64_t number);

// What replay found, besides records.
struct journal_damage {
	uint64_t segment, offset, bytes;
	bool torn; // the unfinished end of the last segment: never acknowledged, unless it was
		   // altered
	const char *what;
};
struct journal_reader {
	// An error from it ends the replay.
	struct err (*record)(void *ctx, uint64_t segment, enum journal_kind kind,
			     const uint8_t *bytes, size_t n);
	void (*damage)(void *ctx, const struct journal_damage *d);
	void *ctx;
};
// BEGIN and END are kept to itself: a segment that a crash has cut is whole when the next one, made
// by the start that read it, names the same end. Reads all segments in order and goes on after
// damage with the next segment (frames behind a damaged one are tried as well). Errors are those of
// the disk or of `record`.
MUST_USE struct err journal_replay(struct journal *j, const struct journal_reader *r);
// The same for one segment: the first with a number of *number or above (0: the first of all),
// which becomes the one to go on with. *done: there was none.
MUST_USE struct err journal_replay_next(struct journal *j, uint64_t *number,
					const struct journal_reader *r, bool *done);
// Decodes the records of one opened frame (also for tests and fuzzing).
MUST_USE struct err journal_frame(const uint8_t *plain, size_t n, uint64_t segment,
				  const struct journal_reader *r);
