// SPDX-License-Identifier: Apache-2.0
// The inside of a channel, for ipc.c (life, receiving) and send.c (sending) only.
#pragma once

#include "lib/ipc/rules.h"

enum {
	CHUNK = 64 << 10, // bytes of one
	SPARES = 64,	  // chunks that are kept for the next use
	DIRECT = 8 << 10, // a larger one goes to the kernel at once when nothing waits
	RECEIVE_LEAST = 64 << 10,
	RECEIVE_KEEP = 1 << 20, // a larger buffer is given back when it is not needed for long
	RECEIVE_TURN = 4 << 20, // bytes of one channel before the others have their turn
	RIDES = 2,
};

// A run of bytes that waits to be written: of one frame or of many; a descriptor only at its first.
struct chunk {
	struct chunk *next;
	int fd;	     // -1: none, or it has gone
	bool secret; // zero it when it has been written
	size_t len, sent;
	uint8_t bytes[CHUNK];
};

// A descriptor that came with the bytes [from, until) of the stream, not yet claimed by a frame.
struct ride {
	int fd;
	uint64_t from, until;
};

struct ipc_channel {
	int fd;
	enum process_id self, peer;
	const struct ipc_events *events;
	void *ctx;
	struct ipc_table takes, sends;
	struct event *readable, *writable, *flush;
	bool running, paused;
	bool dead;     // on_close has been called, or must not be
	bool closed;   // by its owner; freed when no handler of it runs any more
	unsigned busy; // handlers that run
	// receiving: in[start..end) has not been delivered; `offset` is the stream's at `start`
	uint8_t *in;
	size_t in_cap, in_start, in_end;
	uint64_t in_offset;
	struct ride rides[RIDES];
	unsigned n_rides, idle_large;
	// sending
	struct chunk *first, *last;
	size_t queued;
	bool full; // the kernel took less than was offered: wait for `writable`
	bool high; // queued was IPC_LOW or more
	bool gone; // nobody reads any more
};

// Telemetry in bulk; anything else may hold a ticket or a pass phrase and is zeroed after use.
static inline bool ipc_is_bulk(enum ipc_type type)
{
	return type == IPC_BATCH || type == IPC_FEED || type == IPC_STATE_FEED ||
	       type == IPC_SERIES;
}

// send.c
void ipc_send_clear(struct ipc_channel *ch);
void ipc_on_writable(evutil_socket_t fd, short what, void *ctx);
// ipc.c
void ipc_enter(struct ipc_channel *ch);
void ipc_leave(struct ipc_channel *ch); // may free it
