// SPDX-License-Identifier: Apache-2.0
// Between journal.c and journal_replay.c only.
#pragma once

#include "repository/journal.h"

#include <sys/stat.h>

#define JOURNAL_MAGIC "GEMELJN1"
enum { JOURNAL_AAD = 20, JOURNAL_NAME = 32, JOURNAL_HEAD = 8 + STORE_ID + 8 + 4 + 40 + 56 };

struct journal {
	struct data_keys *keys;
	int folder, fd; // fd -1: no segment is open
	uint64_t number, first, offset, old_bytes;
	struct seal_segment *segment;
	struct buf frame; // u32 length, then records not yet synced
	bool ending;
	// the segment before the one that is begun next
	uint64_t before, before_end;
	bool lived; // has written one: what a replay finds now is no news
	// replay: a segment without a good end, until the next one's BEGIN is read
	struct journal_damage cut, headless; // segment 0: none
};

extern const char journal_label[];
size_t journal_context(const struct data_keys *k, uint64_t number, uint32_t epoch, uint8_t out[64]);
void journal_aad(uint64_t number, uint64_t offset, uint32_t n, uint8_t out[JOURNAL_AAD]);
char *journal_name(uint64_t number, char out[JOURNAL_NAME]);
// *numbers: free. Ascending.
MUST_USE struct err journal_list(int folder, uint64_t **numbers, size_t *n);
