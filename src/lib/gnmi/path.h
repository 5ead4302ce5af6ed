// SPDX-License-Identifier: Apache-2.0
// Paths. The canonical text of a path is what is hashed, stored, shown and compared:
//     /interfaces/interface[name=eth0]/state/oper-status
// absolute, keys sorted by name (bytewise), `]` and `\` in a key's value preceded by `\`, nothing
// else escaped, "/" alone for the root; an origin other than "" or "openconfig" stands in front:
// "cli:/show". Two gnmi.Path messages mean the same node exactly when their texts are equal.
// OpenConfig gNMI path conventions. Element and key names are YANG identifiers (RFC 7950 6.2) with
// an optional "module:"; values are UTF-8 without control characters. A gnmi.Path's `target` is not
// part of the text; the old `element` strings are refused.
// Used by agent, telemetry, repository, models, northbound.
#pragma once

#include "lib/base/cursor.h"
#include "lib/base/mem.h"

enum { PATH_TEXT_MAX = 1024, PATH_ELEMS_MAX = 48, PATH_KEYS_MAX = 8, PATH_NAME_MAX = 128 };

struct Gnmi__Path;

// A path taken apart: views into the text it was parsed from, which must stay.
struct path_key {
	const char *name, *value; // value still escaped
	uint16_t name_len, value_len;
};
struct path_elem {
	const char *name;
	uint16_t name_len;
	uint8_t keys;
	struct path_key key[PATH_KEYS_MAX]; // sorted by name
};
struct path {
	const char *origin; // NULL: none
	uint16_t origin_len, elems;
	struct path_elem elem[PATH_ELEMS_MAX];
};

// Any spelling that people write (keys unsorted, trailing slash, `*` and `...` allowed). ERR_USAGE
// names the character and what would be right.
MUST_USE struct err path_parse(const char *text, size_t n, struct path *out);
// The canonical text of it. `out` is NUL-terminated; *len may be NULL.
MUST_USE struct err path_print(const struct path *p, char out[PATH_TEXT_MAX + 1], size_t *len);
MUST_USE struct err path_canonical(const char *text, char out[PATH_TEXT_MAX + 1]);

// From the wire bytes of gnmi.Path messages (prefix may be empty: n 0) to the canonical text of
// prefix and path joined. ERR_PEER or ERR_LIMIT, naming what is wrong.
MUST_USE struct err path_text_of_wire(const uint8_t *prefix, size_t prefix_len, const uint8_t *path,
				      size_t path_len, char out[PATH_TEXT_MAX + 1], size_t *len);
// Appends the wire bytes of the gnmi.Path. `target` may be NULL.
MUST_USE struct err path_wire_of_text(const char *text, const char *target, struct buf *out);
// The same for decoded messages. `prefix` may be NULL; memory of the message is `a`'s.
MUST_USE struct err path_text_of_message(const struct Gnmi__Path *prefix,
					 const struct Gnmi__Path *path, char out[PATH_TEXT_MAX + 1],
					 size_t *len);
MUST_USE struct err path_message_of_text(const char *text, struct arena *a,
					 struct Gnmi__Path **out);
// The unescaped value of a key, NUL-terminated; false when absent or too long for `out`.
bool path_key_value(const struct path *p, const char *elem, const char *key, char *out,
		    size_t size);

// Patterns: `*` stands for one element or one key's value, `...` for any number of elements, a key
// that is not named for any value.
struct path_pattern; // opaque
MUST_USE struct err path_pattern_new(const char *text, struct path_pattern **out);
void path_pattern_free(struct path_pattern *p);				   // NULL is fine
const char *path_pattern_text(const struct path_pattern *p);		   // canonical
bool path_match(const struct path_pattern *p, const char *path, size_t n); // the node itself
// The node, or any above it: what a gNMI subscription to the pattern covers.
bool path_match_under(const struct path_pattern *p, const char *path, size_t n);
// Whether something at or below `path` could match: for walking a tree from its root.
bool path_match_towards(const struct path_pattern *p, const char *path, size_t n);
