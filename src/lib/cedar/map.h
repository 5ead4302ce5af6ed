// SPDX-License-Identifier: Apache-2.0
// Texts to numbers. Keys are borrowed.
#pragma once

#include "lib/cedar/text.h"

struct map {
	struct map_entry {
		struct cedar_text key; // .s NULL: empty
		uint32_t value;
	} * entries;
	size_t n, cap;
};

bool map_get(const struct map *m, struct cedar_text key, uint32_t *value); // value may be NULL
MUST_USE struct err map_put(struct map *m, struct cedar_text key, uint32_t value); // replaces
void map_clear(struct map *m);
