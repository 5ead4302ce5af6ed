// SPDX-License-Identifier: Apache-2.0
// Batches on disk until the twin has acknowledged them. A ring of SPOOL_SEGMENTS files, each a
// numbered segment, opened before the sandbox closes and never opened again:
//     segment: "GEMELSP1"  u64 segment number  records
//     record:  u32 length  u8 kind  3 zeros  u64 record number  key_id[8]  u64 seq  u32 updates
//              check[8] (SHA-256 of the 36 bytes before and the payload, cut)  payload
//     acked:   u64 record number  check[8]
// Records reach the page cache before they are sent: they outlive any death of the process. When
// all segments are full the oldest goes, and what was in it unacknowledged is counted as lost. A
// torn or changed record ends its segment when it is read again. Used by agent (wire).
#pragma once

#include "lib/base/cursor.h"
#include "lib/base/mem.h"

enum { SPOOL_SEGMENTS = 16, SPOOL_RECORD_MAX = 2 << 20, SPOOL_HEAD = 44 };

enum spool_kind { SPOOL_BATCH = 1, SPOOL_KEY = 2 };

struct spool_record {
	enum spool_kind kind;
	uint32_t len, updates;
	uint64_t number, seq;
	uint8_t key_id[8];
	const uint8_t *bytes; // payload, a view
};

struct spool_place { // where to read next
	uint64_t segment, offset;
};

struct spool; // opaque
// `folder` stays the caller's. `limit`: bytes of all segments together.
MUST_USE struct err spool_open(int folder, uint64_t limit, struct spool **out);
void spool_close(struct spool *s); // NULL is fine
MUST_USE struct err spool_append(struct spool *s, const struct spool_record *r);
// Whether the next append of n bytes opens a new segment (and so wants its key first).
bool spool_turns(const struct spool *s, size_t n);
struct spool_place spool_unacked(const struct spool *s); // the first that is not acknowledged
// The number of the last record that is acknowledged: the next one read has one more, or what was
// between is lost.
uint64_t spool_acked(const struct spool *s);
// The CertifiedBatchKey that was appended for this key. ERR_NOT_FOUND.
MUST_USE struct err spool_key(struct spool *s, const uint8_t key_id[8], struct buf *out);
// The record at `at`, into `out` (view into `bytes`), and moves on. *more false: none is left.
MUST_USE struct err spool_next(struct spool *s, struct spool_place *at, struct buf *bytes,
			       struct spool_record *out, bool *more);
// All up to this batch has arrived. ERR_NOT_FOUND: no such batch is waiting before `sent`.
MUST_USE struct err spool_ack(struct spool *s, const struct spool_place *sent,
			      const uint8_t key_id[8], uint64_t seq);

struct spool_counts {
	uint64_t bytes, batches;	     // unacknowledged
	uint64_t lost_updates, lost_batches; // since this process started
	uint64_t lost_from, lost_to;	     // seq of the last loss
};
void spool_count(const struct spool *s, struct spool_counts *out);

// One record from memory; bytes are views. ERR_CORRUPT. For recovery, tests and fuzzing.
MUST_USE struct err spool_record_read(struct cursor *c, struct spool_record *out);
