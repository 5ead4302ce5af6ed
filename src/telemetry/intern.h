// SPDX-License-Identifier: Apache-2.0
// From a path's wire bytes to its series number, without making text of it: the hot path of
// collection.
//
// The bytes of each path stand once in a pool that all devices share (a thousand alike devices cost
// the paths of one); a device's table maps (prefix, path) to its own series number:
//
//     pool     id -> {references, bytes}        found by SipHash of the bytes
//     table    entry {prefix id, path id, number, flags}, in the order of their first coming
//
// Devices send the same leaves in the same order again and again, so a table expects, after entry
// i, entry i + 1: one memcmp against bytes that are warm in the cache, and no hash. Only when that
// fails are the two tables asked. (Turned down: a table of bytes for each device. A thousand of
// them do not stay in the cache, and cost six times the memory.) Used by telemetry.
#pragma once

#include "lib/base/err.h"
#include "telemetry/siphash.h"

enum {
	INTERN_WIRE_MAX = 4096,		   // bytes of one path on the wire
	INTERN_SERIES_MAX = (1 << 23) - 1, // of all devices: the repository's bound
};

// --- the pool

struct paths; // opaque
// `limit`: bytes of all paths together.
struct paths *paths_new(const struct siphash_key *key, size_t limit); // NULL: out of memory
void paths_free(struct paths *p);
// One reference to these bytes. Id 0 is the empty path and is never counted.
MUST_USE struct err paths_get(struct paths *p, const uint8_t *bytes, size_t n, uint32_t *id);
uint32_t paths_find(const struct paths *p, const uint8_t *bytes, size_t n); // UINT32_MAX: none
void paths_put(struct paths *p, uint32_t id);
const uint8_t *paths_bytes(const struct paths *p, uint32_t id, uint32_t *n);
size_t paths_count(const struct paths *p);
size_t paths_memory(const struct paths *p);

// --- series numbers, of one channel to the repository

struct numbers {
	uint32_t *given_back;
	uint32_t n_back, cap_back;
	uint32_t next; // 1 is the first
};
MUST_USE struct err numbers_take(struct numbers *n, uint32_t *out); // ERR_LIMIT
void numbers_give(struct numbers *n, uint32_t number);
void numbers_clear(struct numbers *n); // frees; the first is 1 again

// --- a device's table

struct interned {
	uint32_t prefix, path; // ids
	uint32_t number;
	uint32_t flags; // the owner's
};

struct intern {
	struct paths *paths; // borrowed
	struct interned *entries;
	uint32_t n, cap;
	uint32_t *index; // entry + 1 by hash of the two ids
	uint32_t index_size;
	uint32_t expected; // entry
	uint32_t prefix;   // id, of the notification under way
};

void intern_init(struct intern *t, struct paths *paths);
// Gives back its references, and its numbers when `numbers` is not NULL; frees.
void intern_clear(struct intern *t, struct numbers *numbers);
MUST_USE struct err intern_prefix(struct intern *t, const uint8_t *bytes, size_t n);
// NULL: not known yet. The entry is valid until the next intern_add.
struct interned *intern_find(struct intern *t, const uint8_t *path, size_t n);
// Adds what intern_find did not find. ERR_LIMIT.
MUST_USE struct err intern_add(struct intern *t, const uint8_t *path, size_t n, uint32_t number,
			       struct interned **out);
