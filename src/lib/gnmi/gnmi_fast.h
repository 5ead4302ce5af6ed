// SPDX-License-Identifier: Apache-2.0
// gNMI's hot path: walks the wire bytes of a SubscribeResponse without allocating, and writes one.
//
// Reading: gnmi_response_read checks the message and finds its parts; gnmi_notification_read finds
// time, prefix and counts (they may stand behind the updates); gnmi_next then yields each update
// and delete in wire order. Paths stay wire bytes: intern them by (prefix bytes, path bytes) and
// make the text once, with path_text_of_wire. All views point into the message. Writing:
// gnmi_writer_start, gnmi_write_* for each, gnmi_writer_finish; `out` is then one whole
// SubscribeResponse, ready for grpc_call_send. Reuse the buf: no allocation in steady state.
// Used by agent, telemetry, simulators.
#pragma once

#include "lib/base/cursor.h"
#include "lib/base/mem.h"

enum gnmi_type {
	GNMI_NONE = 0, // an update without a value
	GNMI_STRING,   // string_val, ascii_val
	GNMI_INT,
	GNMI_UINT,
	GNMI_BOOL,
	GNMI_BYTES,    // bytes_val, proto_bytes
	GNMI_DOUBLE,   // double_val, float_val, decimal_val (digits / 10^precision)
	GNMI_LEAFLIST, // wire bytes of a ScalarArray: gnmi_leaflist_json
	GNMI_ANY,      // wire bytes of a google.protobuf.Any
	GNMI_JSON,     // json_val, json_ietf_val
};

struct gnmi_value {
	enum gnmi_type type;
	union {
		bool b;
		int64_t i;
		uint64_t u;
		double d;
		struct {
			const uint8_t *bytes; // a view
			uint32_t len;
		} s;
	};
};

// A BatchProof that came as registered extension 999; `present` false: none.
struct gnmi_proof {
	bool present;
	uint64_t seq;
	const uint8_t *previous, *key_id, *signature; // views: 32, 8 and signature_len bytes
	uint32_t signature_len, algorithm;	      // 1 Ed25519, 2 ECDSA P-256 (DER)
	const uint8_t *device;			      // view, device_len bytes, not NUL-terminated
	uint32_t device_len;
	bool sync; // the device has sent its whole state once, up to this batch
};

struct gnmi_loss {
	bool present;
	uint64_t count, from_seq, to_seq;
};

struct gnmi_response {
	bool sync_response; // a response of its own
	bool has_notification;
	struct cursor notification;
	struct gnmi_proof proof;
	struct gnmi_loss loss;
};
// ERR_PEER names the part and its offset.
MUST_USE struct err gnmi_response_read(const uint8_t *message, size_t n, struct gnmi_response *out);

struct gnmi_notification {
	int64_t timestamp_ns;
	const uint8_t *prefix; // wire bytes of the gnmi.Path; prefix_len 0: none
	uint32_t prefix_len;
	uint32_t updates, deletes;
	bool atomic;
	struct cursor rest; // gnmi_next's place
};
// `most` bounds updates + deletes (ERR_LIMIT).
MUST_USE struct err gnmi_notification_read(struct cursor notification, uint32_t most,
					   struct gnmi_notification *out);

struct gnmi_record {
	bool is_delete;
	const uint8_t *path; // wire bytes of the gnmi.Path
	uint32_t path_len;
	uint32_t duplicates;
	struct gnmi_value value; // GNMI_NONE for a delete
};
// *more false: there are no further ones and `out` is unset.
MUST_USE struct err gnmi_next(struct gnmi_notification *n, struct gnmi_record *out, bool *more);

// One TypedValue's wire bytes, and a ScalarArray as RFC 7951 JSON text (64-bit numbers quoted).
MUST_USE struct err gnmi_value_read(struct cursor wire, struct gnmi_value *out);
MUST_USE struct err gnmi_leaflist_json(const uint8_t *wire, size_t n, struct buf *out);

// --- writing
struct gnmi_writer {
	struct buf *out;
	size_t note_at; // where the Notification's length stands, to be set at the end
	uint32_t count;
};
// `prefix` wire bytes of a gnmi.Path or NULL. Appends to `out`.
void gnmi_writer_start(struct gnmi_writer *w, struct buf *out, int64_t timestamp_ns,
		       const uint8_t *prefix, size_t prefix_len);
void gnmi_write_update(struct gnmi_writer *w, const uint8_t *path, size_t path_len,
		       const struct gnmi_value *value);
void gnmi_write_delete(struct gnmi_writer *w, const uint8_t *path, size_t path_len);
// `proof` and `loss` may be NULL. Check buf_check(out).
void gnmi_writer_finish(struct gnmi_writer *w, const struct gnmi_proof *proof,
			const struct gnmi_loss *loss);
void gnmi_write_sync(struct buf *out); // a whole SubscribeResponse{sync_response: true}

// BatchAck upstream: a whole SubscribeRequest that has only the extension; and reading it.
void gnmi_write_ack(struct buf *out, uint64_t seq, const uint8_t key_id[8]);
// *is_ack false: another kind of SubscribeRequest; decode it with protobuf.
MUST_USE struct err gnmi_ack_read(const uint8_t *message, size_t n, bool *is_ack, uint64_t *seq,
				  const uint8_t **key_id);
