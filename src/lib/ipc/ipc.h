// SPDX-License-Identifier: Apache-2.0
// Channels between the processes of gemeld: framed messages with at most one descriptor each, over
// a stream socket pair, checked at both ends against messages.def. What is not permitted there, for
// this pair of processes and this state, ends the sender: the receiver closes the channel and asks
// the parent to restart it (parent), or exits (child, when the parent broke the rule).
//
// Frame: u32 length of payload, u16 type, u16 flags (1: a descriptor rides along), big-endian.
// Sending queues without copying twice and never blocks; `ipc_backlog` tells how much waits, and
// on_drain runs when it falls below IPC_LOW, and when nothing waits any more after the peer had
// been slow: producers pause in between (back-pressure before loss). Above IPC_MOST a send is
// refused. Used by parent and every process.
#pragma once

#include "lib/base/mem.h"

#include <event2/event.h>
#include <protobuf-c/protobuf-c.h>

enum process_id {
	PROCESS_PARENT,
	PROCESS_TELEMETRY,
	PROCESS_CONTROL,
	PROCESS_REPOSITORY,
	PROCESS_MODELS,
	PROCESS_MANAGEMENT,
	PROCESS_NORTHBOUND,
	PROCESS_KEYS,
	PROCESS_COUNT,
};

enum ipc_type {
	IPC_NONE = 0,
	IPC_CONFIG,
	IPC_STATE_DIR,
	IPC_LISTENER,
	IPC_CHANNEL,
	IPC_STARTED,
	IPC_READY,
	IPC_DIAL,
	IPC_DIALLED,
	IPC_PROCESS_STATUS,
	IPC_STOP,
	IPC_KEY_SIGN,
	IPC_KEY_SIGNED,
	IPC_KEY_PUBLIC,
	IPC_CERT_REQUEST,
	IPC_CERT_ISSUED,
	IPC_ENROL_REQUEST,
	IPC_ENROL_ANSWER,
	IPC_ADMIT_REQUEST,
	IPC_ADMIT_ANSWER,
	IPC_SESSION_END,
	IPC_DEVICE_DROP,
	IPC_TARGET,
	IPC_OBSERVED,
	IPC_DEVICE_STATE,
	IPC_GRANT,
	IPC_GRANT_REVOKE,
	IPC_SERIES,
	IPC_BATCH,
	IPC_BATCH_ACK,
	IPC_BATCH_REFUSED,
	IPC_FEED,
	IPC_FEED_END,
	IPC_FEED_ACK,
	IPC_STATE_AT,
	IPC_STATE_FEED,
	IPC_STATE_END,
	IPC_RECORD,
	IPC_RECORDED,
	IPC_WITNESS_ASK,
	IPC_WITNESS_ANSWER,
	IPC_POLICY,
	IPC_SESSION_CHECK,
	IPC_SESSION,
	IPC_API_REQUEST,
	IPC_API_ANSWER,
	IPC_API_CANCEL,
	IPC_EVENT,
	IPC_METRICS,
	IPC_BROKEN,
	IPC_PUBLISH,
	IPC_TYPES,
};

enum { IPC_HIGH = 32 << 20, IPC_LOW = 8 << 20, IPC_MOST = 128 << 20 };

struct ipc_channel; // opaque; owned by whoever opened it

struct ipc_message {
	enum ipc_type type;
	enum process_id from;
	const uint8_t *bytes; // payload; valid during the handler
	size_t len;
	int fd; // -1, or a descriptor that the handler now owns
};

// A handler's error is fatal for the *process* when code is ERR_INTERNAL, for the *channel* when
// it is ERR_PEER (the message broke its contract), and only logged otherwise.
typedef struct err (*ipc_handler_fn)(void *ctx, const struct ipc_message *m);

struct ipc_events {
	ipc_handler_fn on_message;			   // required
	void (*on_drain)(void *ctx, enum process_id peer); // may be NULL
	// The channel is dead: ERR_BUSY when the peer is gone, ERR_PEER when it broke a rule,
	// ERR_INTERNAL when we did. Required; it calls ipc_close, now or later.
	void (*on_close)(void *ctx, enum process_id peer, struct err why);
};

const char *process_name(enum process_id id);
bool process_by_name(const char *name, enum process_id *id);
const char *ipc_type_name(enum ipc_type type);
// Whether messages.def joins two processes at all.
bool ipc_joined(enum process_id a, enum process_id b);

// Two ends for a channel: close-on-exec, non-blocking, with room for a large frame.
MUST_USE struct err ipc_pair(int fds[2]);
// Takes over `fd`, also on failure. `self` and `peer` decide what is permitted. State: START until
// ipc_set_running.
MUST_USE struct err ipc_open(struct ipc_channel **out, struct event_base *base, int fd,
			     enum process_id self, enum process_id peer,
			     const struct ipc_events *events, void *ctx);
void ipc_close(struct ipc_channel *ch); // NULL is fine; drops what is queued; also in a handler
void ipc_set_running(struct ipc_channel *ch, bool running);
enum process_id ipc_peer(const struct ipc_channel *ch);
size_t ipc_backlog(const struct ipc_channel *ch); // bytes queued and not yet written
// Reading stops (the peer feels it as its own backlog) and goes on: back-pressure.
void ipc_pause(struct ipc_channel *ch);
void ipc_resume(struct ipc_channel *ch);

// Sends bytes (copied). fd -1: none; the fd is duplicated by the kernel and stays the caller's.
// ch NULL: ERR_BUSY. Also ERR_BUSY: the peer is gone, or IPC_MOST waits for it already.
// ERR_INTERNAL when messages.def does not permit it.
MUST_USE struct err ipc_send(struct ipc_channel *ch, enum ipc_type type, const void *bytes,
			     size_t len, int fd);
MUST_USE struct err ipc_send_pb(struct ipc_channel *ch, enum ipc_type type,
				const ProtobufCMessage *m);
// Blocks until all that is queued has been written or `timeout_ms` passed. For STOP and tests.
MUST_USE struct err ipc_flush(struct ipc_channel *ch, int timeout_ms);

// Unpacks a payload into `a`'s memory (freed with it). NULL sets *e to ERR_PEER.
// Usage: Ipc__Grant *g = IPC_UNPACK(grant, m, arena, &e);
void *ipc_unpack(const ProtobufCMessageDescriptor *d, const uint8_t *bytes, size_t len,
		 struct arena *a, struct err *e);
#define IPC_UNPACK(lower, m, a, e)                                                                 \
	ipc_unpack(&ipc__##lower##__descriptor, (m)->bytes, (m)->len, a, e)
ProtobufCAllocator ipc_arena_allocator(struct arena *a);
