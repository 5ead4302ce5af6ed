// SPDX-License-Identifier: Apache-2.0
// What the repository lets itself collect from a device, decided by the device's state before
// anything is asked of it, and checked again on each path that arrives. X.2011 8.3.1-2, 8.1.1-2.
// Used by repository.
#pragma once

#include "lib/base/mem.h"

enum grant_mode { GRANT_ON_CHANGE = 1, GRANT_SAMPLE = 2 };

struct grant_item {
	const char *path; // static text
	enum grant_mode mode;
};

struct grant; // opaque; one for each state, shared by its devices, made once

// Compiles the grants; before the first grant_for. Calling again is fine.
MUST_USE struct err grants_start(void);
void grants_stop(void);
// NULL: this state is granted nothing.
const struct grant *grant_for(const char *state);
unsigned grant_number(const struct grant *g); // 0 to 7, for sets of them
const struct grant_item *grant_items(const struct grant *g, size_t *n);
// An update's path must be granted or lie under what is. A deletion may also name a node above it:
// it ends only what was granted. g NULL: false.
bool grant_covers(const struct grant *g, const char *path, size_t n, bool deletion);
