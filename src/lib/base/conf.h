// SPDX-License-Identifier: Apache-2.0
// YAML configuration by a table of keys (libyaml, with marks). Each error names file, line and key
// and says what is allowed there; unknown and repeated keys are errors. Defaults are in the table,
// so that the table is the documentation: conf_describe prints it.
// Used by every program at start; never on foreign bytes.
#pragma once

#include "lib/base/mem.h"

enum conf_type {
	CONF_STRING,   // char *            (arena)
	CONF_PATH,     // char *            (arena; relative ones are resolved against the file's folder)
	CONF_INT,      // int64_t           min..max
	CONF_BOOL,     // bool              true/false/yes/no
	CONF_DURATION, // int64_t, ns       "250ms", "10s", "5m", "2h", "7d"; min..max in ns
	CONF_SIZE,     // int64_t, bytes    "64k", "512M", "2G"; min..max
	CONF_CHOICE,   // int               index into choices
	CONF_LIST,     // struct conf_list  of strings
	CONF_SECTION,  // nested struct at offset, keys in `keys`
	CONF_SECTIONS, // struct conf_items: a list of mappings, each `item_size` bytes, keys in `keys`
};

struct conf_list {
	char **items; // arena
	size_t n;
};

struct conf_items {
	void *items; // arena; n x item_size
	size_t n;
};

struct conf_key {
	const char *name;
	enum conf_type type;
	size_t offset; // into the struct
	const char *fallback; // NULL: required, unless `optional` (then zero / NULL / empty)
	bool optional;
	int64_t min, max;                // both 0: unchecked
	const char *const *choices;      // CONF_CHOICE, NULL-terminated
	const struct conf_key *keys;     // sections; ends with name == NULL
	size_t item_size;                // CONF_SECTIONS
	const char *help;                // one line
};

// Fills `*out` (zeroed by the caller) from the file. Strings live in `a`.
// ERR_USAGE: "gemel.yaml:12: listen.port: 99999 is too large; 1 to 65535".
MUST_USE struct err conf_load(const char *path, const struct conf_key *keys, void *out,
			      struct arena *a);
// The same from memory; `name` stands for the path in errors.
MUST_USE struct err conf_parse(const char *name, const char *text, size_t n,
			       const struct conf_key *keys, void *out, struct arena *a);
// A commented sample of the whole table in YAML.
void conf_describe(const struct conf_key *keys, struct buf *out);
