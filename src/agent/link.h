// SPDX-License-Identifier: Apache-2.0
// Links between the processes of gemel-agent: one message for one packet of a SOCK_SEQPACKET pair
// (u16 type, then the payload; at most one descriptor), checked at both ends against
// messages_agent.def. (gemeld's lib/ipc has the same idea for its own processes and table; here a
// packet socket spares the framing.) Sending never blocks: what does not go is queued, up to
// LINK_QUEUE. Used by all processes of gemel-agent.
#pragma once

#include "lib/base/cursor.h"
#include "lib/base/mem.h"

struct event_base;

enum link_process { LINK_PARENT, LINK_WIRE, LINK_APPLY, LINK_KEYS, LINK_PROCESSES };

enum link_type {
	LINK_NONE,
	LINK_CHANNEL,
	LINK_READY,
	LINK_DIAL,
	LINK_DIALLED,
	LINK_LISTENER,
	LINK_RUN,
	LINK_RAN,
	LINK_TOKEN,
	LINK_TOKEN_USED,
	LINK_STATE,
	LINK_SAMPLE,
	LINK_SAMPLED,
	LINK_IDENTITY,
	LINK_BATCH_KEY,
	LINK_NEW_KEY,
	LINK_SIGN,
	LINK_SIGNED,
	LINK_BEGIN,
	LINK_ACTIVATE,
	LINK_COMPLETE,
	LINK_ENROLLED,
	LINK_REFUSED,
	LINK_ATTEST,
	LINK_ATTESTED,
	LINK_TYPES,
};

enum {
	LINK_MESSAGE_MAX = 64 << 10,
	LINK_QUEUE = 8 << 20,
	LINK_FD = 3, // a child's link to its parent
};

struct link_message {
	enum link_type type;
	enum link_process from;
	const uint8_t *bytes; // valid during the handler
	size_t len;
	int fd; // -1, or the handler's
};

struct link_events {
	// An error closes the link (on_close runs with it).
	struct err (*on_message)(void *ctx, const struct link_message *m);
	void (*on_drain)(void *ctx,
			 enum link_process peer); // the queue is empty again; may be NULL
	void (*on_close)(void *ctx, enum link_process peer, struct err why); // link_close it
};

struct link; // opaque
const char *link_process_name(enum link_process p);
MUST_USE struct err link_pair(int fds[2]); // close-on-exec, non-blocking
// Takes over fd. `self` and `peer` decide what is permitted.
MUST_USE struct err link_open(struct event_base *base, int fd, enum link_process self,
			      enum link_process peer, const struct link_events *events, void *ctx,
			      struct link **out);
void link_close(struct link *l); // NULL is fine; also from its own handlers
// `fd` -1: none; it stays the caller's. `l` NULL: ERR_BUSY. Queue full: ERR_LIMIT.
MUST_USE struct err link_send(struct link *l, enum link_type type, const void *bytes, size_t n,
			      int fd);
MUST_USE struct err link_send_buf(struct link *l, enum link_type type, const struct buf *b);
size_t link_queued(const struct link *l);

// u32 length and bytes.
void link_put(struct buf *b, const void *bytes, size_t n);
void link_put_text(struct buf *b, const char *text);
struct cursor link_get(struct cursor *c);
// As text into `out` of `size` (NUL-terminated); longer ones fail the cursor.
void link_get_text(struct cursor *c, char *out, size_t size);
