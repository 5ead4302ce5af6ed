// SPDX-License-Identifier: Apache-2.0
// Inside keep*.c only.
#pragma once

#include "lib/base/cursor.h"
#include "lib/crypto/aead.h"
#include "management/keep.h"

enum { KEEP_FILES = 2, KEEP_RECORD_MAX = 4 << 20, KEEP_HEADER = 8 + 8 + SEGMENT_HEAD };
enum keep_kind { KEEP_SNAPSHOT = 1, KEEP_COMPLETE = 2, KEEP_CHANGE = 3 };

struct keep_row {
	uint8_t *bytes;
	size_t n;
	char *key;
	char table[KEEP_NAME_MAX + 1];
};

struct keep_rows { // sorted by table, then key
	struct keep_row *items;
	size_t n, cap;
};

struct keep {
	int fds[KEEP_FILES];
	unsigned current; // the file that is written
	struct secret *key;
	struct seal_segment *segment;
	uint64_t generation, revision;
	off_t at, snapshot_end;
	bool torn;   // the last change was dropped at the start
	bool broken; // a write failed: the next change begins a new generation
	struct keep_rows rows;
	struct buf pending; // operations
};

// keep_rows.c
void keep_rows_clear(struct keep_rows *r);
struct keep_row *keep_rows_find(const struct keep_rows *r, const char *table, const char *key);
size_t keep_rows_from(const struct keep_rows *r, const char *table, const char *key);
// Applies operations; ERR_PEER: malformed (then some may have been applied).
MUST_USE struct err keep_rows_apply(struct keep_rows *r, struct cursor *operations);
void keep_put_operation(struct buf *out, const char *table, const char *key, const void *bytes,
			size_t n);

// keep_file.c
MUST_USE struct err keep_seal_key(int folder, struct secret **out);
MUST_USE struct err keep_load(struct keep *k);	// fills rows, generation, current
MUST_USE struct err keep_begin(struct keep *k); // the next generation, in the other file
MUST_USE struct err keep_append(struct keep *k, enum keep_kind kind, const void *bytes, size_t n);
