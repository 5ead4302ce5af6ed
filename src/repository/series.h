// SPDX-License-Identifier: Apache-2.0
// Every device and every series that the repository knows, in memory: path, class, latest value and
// the open end (head) of its history. A series is one path of one device; its number is given once
// and for all time. One struct is 72 bytes and devices share their paths: 600,000 series of 1,000
// like devices take 50 MB.
// Lookup by number is an array; by (device, path) an open-addressed table. X.2011 8.2.3 (mapping).
// Used by repository.
#pragma once

#include "lib/access/access.h"
#include "lib/batch/batch.h"
#include "repository/chunk.h"

// A path, stored once for all devices that have it, with what is decided by the path alone.
struct path_facts {
	uint8_t class; // enum access_class
	bool class_known;
	uint8_t cover_known;		    // bit for each grant (grant_number): the two below hold
	uint8_t cover_update, cover_delete; // grant_covers
	uint16_t len;
	char text[]; // NUL-terminated
};

enum series_flags {
	SERIES_SAVED = 1,    // its definition is in the journal or the store
	SERIES_STORED = 2,   // its definition is in the store
	SERIES_LIVE = 4,     // has a latest value
	SERIES_ABSOLUTE = 8, // the head's next point is written whole
	SERIES_DELETED = 16, // ended by a deletion
};

struct series {
	const char *path; // of a struct path_facts, NUL-terminated; NULL: its definition is lost
	uint32_t device;  // number
	uint16_t path_len;
	uint8_t class; // enum access_class
	uint8_t flags;
	// latest
	int64_t time_ns;
	uint64_t revision;
	union {
		uint64_t bits;
		uint8_t *text; // owned
	} last;
	uint32_t text_len;
	uint8_t type; // enum batch_type of last
	// head: points after the last chunk, see head.c
	uint8_t told; // 1: models knows its number
	uint32_t head_n, head_len, head_cap;
	uint32_t head_tick; // tick of the last point
	uint8_t *head;	    // owned
};

enum { DEVICE_KEYS_MAX = 64 };

// One chain of signed batches: its key, and how far it has come.
struct chain {
	uint8_t key_id[BATCH_KEY_ID];
	uint8_t algorithm;
	uint8_t public_key[96];
	uint8_t public_len;
	bool listed; // management names it now
	int64_t from_ns, until_ns;
	uint64_t seq; // 0: nothing yet
	uint8_t hash[BATCH_HASH];
	struct verify_key *verify; // made at first use
};

struct grant;

struct device {
	uint32_t number, domain;
	char name[BATCH_DEVICE_MAX + 1];
	char state[17], kind[17];
	char domain_name[65], site[65], role[65];
	bool known;	      // management has told its state, now or before
	bool changed;	      // its row must be written
	bool journalled;      // its definition is in the journal or the store
	uint64_t revision;    // of its last batch
	uint64_t flushed;     // revision up to which its points are in chunks
	struct chain *chains; // owned; chain_add may move them
	unsigned n_chains, cap_chains;
	const struct grant *grant; // NULL: nothing may be collected
	uint64_t grant_id;
	uint32_t grant_epoch; // changes with the grant
	// heads
	struct chunk_tick *ticks;
	uint32_t n_ticks, cap_ticks;
	uint64_t tick_revision; // of the last tick
	size_t head_bytes, head_points;
	size_t text_bytes;	 // of its latest values
	uint32_t most_points;	 // of one series
	uint64_t oldest_segment; // of the journal, with points not in a chunk; 0: none
	struct buf proofs;	 // of batches not in the store yet, see lineage.h
	uint32_t n_proofs;
	uint64_t first_proof; // revision
	uint32_t *series;     // its numbers, ascending
	uint32_t n_series, cap_series;
	uint32_t *sorted; // the same by path; the first n_sorted are in order
	uint32_t n_sorted, cap_sorted;
	uint32_t stored_series; // how many definitions are in the store
	int64_t frame_ns;	// time of the last key frame
	int64_t last_ns;	// received
	uint64_t points, batches, refused;
};

struct index {
	struct series **blocks;	       // of 4096
	uint32_t n_series, cap_blocks; // numbers are 1..n_series
	struct device **devices;       // numbers are 1..n_devices
	uint32_t n_devices, cap_devices;
	uint32_t *names; // devices by hash of name
	uint32_t names_size;
	uint32_t *table; // series by hash of (device, path)
	uint32_t table_size;
	struct path_facts **facts; // by hash of path
	uint32_t facts_size, n_facts;
	struct arena *paths;
	size_t path_bytes;
	size_t head_bytes; // over all devices: heads, ticks, proofs
	uint64_t head_points;
};

MUST_USE struct err index_init(struct index *x);
void index_clear(struct index *x);

static inline struct series *index_series(const struct index *x, uint32_t number)
{
	number--;
	return number < x->n_series ? &x->blocks[number >> 12][number & 4095] : NULL;
}

static inline struct device *index_device(const struct index *x, uint32_t number)
{
	return number - 1 < x->n_devices ? x->devices[number - 1] : NULL;
}

static inline struct path_facts *series_facts(const struct series *s)
{
	return (struct path_facts *)(uintptr_t)(s->path - offsetof(struct path_facts, text));
}

// Finds or makes. ERR_LIMIT, ERR_USAGE (length).
MUST_USE struct err index_path(struct index *x, const char *path, size_t n,
			       struct path_facts **out);
struct device *index_device_find(const struct index *x, const char *name); // NULL: none
// Finds or makes. ERR_LIMIT, ERR_USAGE (not a device name).
MUST_USE struct err index_device_add(struct index *x, const char *name, struct device **out);
// The device with this number, as read back; numbers between become nameless ones.
MUST_USE struct err index_device_restore(struct index *x, uint32_t number, const char *name,
					 struct device **out);
// 0: none.
uint32_t index_series_find(const struct index *x, uint32_t device, const char *path, size_t n);
// Finds or makes; `most` bounds the device's series: ERR_LIMIT.
MUST_USE struct err index_series_add(struct index *x, struct device *d, const char *path, size_t n,
				     enum access_class class, size_t most, uint32_t *number);
// The next number to be given, for reading definitions back in their places.
MUST_USE struct err index_series_restore(struct index *x, uint32_t number, struct device *d,
					 const char *path, size_t n, enum access_class class);
// Numbers up to these are taken, whether or not their definitions are found.
MUST_USE struct err index_reserve(struct index *x, uint32_t series, uint32_t devices);
// Calls for each series at `path` or below it (the node, its children, its list entries), or for
// all of the device when n is 0, in the order of their paths.
MUST_USE struct err index_under(struct index *x, struct device *d, const char *path, size_t n,
				void (*each)(void *ctx, uint32_t number, struct series *s),
				void *ctx);
// How many series at most index_under would call for: what that costs, without doing it.
MUST_USE struct err index_under_count(struct index *x, struct device *d, const char *path, size_t n,
				      size_t *count);
// The latest value as a view.
struct batch_value series_value(const struct series *s);
