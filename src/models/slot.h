// SPDX-License-Identifier: Apache-2.0
// Where a series' values go. Only series.c makes slots; only state.c reads them.
#pragma once

#include "models/state.h"

struct slot {
	uint32_t device, object; // object: number of the deepest object that the path names
	uint16_t first, last;	 // rows of the schema at or below the path; empty: not read
	uint8_t bound;		 // that object's kind, or OBJECT_NONE
	uint8_t unmodelled;	 // enum unmodelled: seen, and not modelled
	uint8_t exact;		 // one leaf of one object: what an update needs
	uint8_t used;
};
_Static_assert(sizeof(struct slot) == 16, "a series must stay cheap");

// NULL: not announced.
const struct slot *series_slot(const struct series *s, uint32_t number);
