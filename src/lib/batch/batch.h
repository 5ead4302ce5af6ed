// SPDX-License-Identifier: Apache-2.0
// Facts on their way: values, the canonical form that a device signs, and the layout in which
// telemetry hands batches to repository (BATCH) and repository publishes them (FEED).
//
// Canonical form, hashed with SHA-256 (all integers big-endian):
//     "gemel batch v1\n"  u16 length, device id  u64 seq  previous[32]  u32 count
//     count times: u8 op  i64 time_ns  u16 length, canonical path text  u8 type  value
//     value: 8 bytes for bool/int/uint/double (IEEE 754 bits), else u32 length and the bytes
// The signature is over these 32 bytes; the next batch's `previous` is these 32 bytes.
//
// Layout of BATCH and FEED (all integers big-endian):
//     u8 version (1)  u8 flags  u16 length, device id  u64 seq  previous[32]  key_id[8]
//     u8 algorithm  u16 length, signature  i64 received_ns  u64 revision (0 in BATCH)  u32 count
//     count times: u8 op  u32 series  i64 time_ns  u8 type  value as above
// Series numbers are made by the sender of the message: telemetry's per device session (SERIES
// messages on that channel), repository's for all time. X.2011 8.3.1-5, 9.2-source, 9.2-trace.
// Used by agent (canonical form), telemetry, repository, models.
#pragma once

#include "lib/base/cursor.h"
#include "lib/base/mem.h"

enum batch_op { BATCH_UPDATE = 1, BATCH_DELETE = 2 }; // delete: the path and all below it

enum batch_type {
	VALUE_NONE = 0,
	VALUE_BOOL = 1,
	VALUE_INT = 2,
	VALUE_UINT = 3,
	VALUE_DOUBLE = 4,
	VALUE_STRING = 5,
	VALUE_BYTES = 6,
	VALUE_JSON = 7,
};

enum batch_flags {
	BATCH_SIGNED = 1,      // carries a proof of the device
	BATCH_CHAIN_START = 2, // first of a chain: previous is zeros, seq 1
	BATCH_SYNC = 4,        // the device has sent its whole state once
	BATCH_SNAPSHOT = 8,    // FEED only: replay of state, not news
};

enum {
	BATCH_DEVICE_MAX = 64,
	BATCH_PATH_MAX = 1024,
	BATCH_STRING_MAX = 65535,
	BATCH_COUNT_MAX = 65536,
	BATCH_SIGNATURE_MAX = 512,
	BATCH_HASH = 32,
	BATCH_KEY_ID = 8,
	BATCH_BYTES_MAX = 8 << 20,
};

struct batch_value {
	enum batch_type type;
	union {
		bool b;
		int64_t i;
		uint64_t u;
		double d;
		struct {
			const uint8_t *bytes; // a view, not owned
			uint32_t len;
		} s;
	};
};

struct batch_head {
	uint8_t flags;
	char device[BATCH_DEVICE_MAX + 1];
	uint64_t seq;
	uint8_t previous[BATCH_HASH];
	uint8_t key_id[BATCH_KEY_ID];
	uint8_t algorithm; // 1 Ed25519, 2 ECDSA P-256 (DER)
	const uint8_t *signature; // a view
	uint16_t signature_len;
	int64_t received_ns;
	uint64_t revision;
	uint32_t count;
};

struct batch_record {
	enum batch_op op;
	uint32_t series;
	int64_t time_ns;
	struct batch_value value;
};

// Incremental canonical hash. init -> add (count times) -> final. No allocation after init.
struct batch_canonical; // opaque
struct batch_canonical *batch_canonical_new(void); // NULL: out of memory
void batch_canonical_free(struct batch_canonical *c);
void batch_canonical_start(struct batch_canonical *c, const char *device, uint64_t seq,
			   const uint8_t previous[BATCH_HASH], uint32_t count);
void batch_canonical_add(struct batch_canonical *c, enum batch_op op, int64_t time_ns,
			 const char *path, size_t path_len, const struct batch_value *value);
void batch_canonical_finish(struct batch_canonical *c, uint8_t hash[BATCH_HASH]);

// Writing: head with count 0, then records; batch_write_finish sets the count. Check buf_check.
struct batch_writer {
	struct buf *out;
	size_t start, count_at;
	uint32_t count;
};
void batch_write_head(struct batch_writer *w, struct buf *out, const struct batch_head *head);
void batch_write_record(struct batch_writer *w, const struct batch_record *r);
void batch_write_finish(struct batch_writer *w);

// Reading: views point into the bytes. Errors are ERR_PEER and name the offset.
MUST_USE struct err batch_read_head(struct cursor *c, struct batch_head *head);
MUST_USE struct err batch_read_record(struct cursor *c, struct batch_record *r);

// The value's wire form (type, then as in the layout), for stores and hashes.
void batch_write_value(struct buf *out, const struct batch_value *v);
MUST_USE struct err batch_read_value(struct cursor *c, struct batch_value *v);
bool batch_value_equal(const struct batch_value *a, const struct batch_value *b);
