// SPDX-License-Identifier: Apache-2.0
// The parts of path.h among themselves: building a canonical text element by element.
#pragma once

#include "lib/gnmi/path.h"

// What text a path may hold. `wild`: `*` and `...` too.
MUST_USE struct err path_check_name(const char *name, size_t n, bool wild, const char *what);
MUST_USE struct err path_check_value(const char *value, size_t n); // UTF-8, no control characters
// Sorts by name; ERR_USAGE when one comes twice.
MUST_USE struct err path_sort_keys(struct path_key *key, unsigned n);

// A bounded writer of canonical text.
struct path_text {
	char *out;
	size_t len;
	bool failed; // above PATH_TEXT_MAX
	unsigned elems;
};
void path_text_bytes(struct path_text *t, const char *bytes, size_t n);
void path_text_escaped(struct path_text *t, const char *value, size_t n);
MUST_USE struct err path_text_finish(struct path_text *t, size_t *len);
size_t path_unescape(const char *value, size_t n, char *out); // `out` at least n bytes
