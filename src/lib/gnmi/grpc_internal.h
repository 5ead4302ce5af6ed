// SPDX-License-Identifier: Apache-2.0
// The parts of the gRPC layer among themselves. grpc_conn.c owns connections, their timers and the
// pump between transport and nghttp2; grpc_http2.c is nghttp2's callbacks; grpc_call.c and
// grpc_receive.c are calls and messages.
//
// Rule of memory: no user handler runs inside a function that the user calls (grpc_conn_close
// excepted), and nothing is freed while one of our frames is on the stack (conn->busy). A call is
// freed when its stream is closed and its user is gone (`gone`: finished, cancelled, or on_end
// ran).
#pragma once

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/gnmi/grpc.h"

#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <sys/queue.h>

enum { GRPC_METHODS_MAX = 64, GRPC_PATH_MAX = 128, GRPC_TEXT_MAX = 1024, GRPC_HEAD = 5 };
// Calls that a client may have waiting or open.
enum { GRPC_CLIENT_CALLS_MAX = 1024 };

struct grpc_method {
	char path[GRPC_PATH_MAX];
	enum grpc_kind kind;
	const struct grpc_handlers *handlers;
	void *ctx;
};

struct grpc_server {
	struct grpc_limits limits;
	unsigned methods;
	struct grpc_method method[GRPC_METHODS_MAX];
};

// A queue of bytes in one block: written at head + len, read at head.
struct grpc_queue {
	uint8_t *data;
	size_t head, len, cap;
};

// A token bucket in thousandths.
struct grpc_flood {
	int64_t tokens, at_ms;
};

struct grpc_call {
	TAILQ_ENTRY(grpc_call) link;
	struct grpc_conn *conn;
	int32_t stream;
	const struct grpc_handlers *handlers;
	void *ctx;
	enum grpc_kind kind;
	char path[GRPC_PATH_MAX];

	bool started;	  // server: on_start ran; client: always
	bool answered;	  // server: response headers are submitted
	bool local_done;  // nothing will be queued any more
	bool remote_done; // the peer's END_STREAM has been seen
	bool told_done;	  // on_half_close ran
	bool gone;	  // the user has no pointer any more
	bool closed;	  // the stream is closed
	bool paused;
	bool was_full;	  // on_drain is owed
	bool resume_due;  // `held` must be fed from the event loop
	bool reset_by_us; // does not count as a fault of the peer

	// headers as they come
	uint32_t header_bytes;
	bool header_too_big, bad_timeout, has_path, is_post, is_grpc, compressed;
	uint16_t http_status;
	uint64_t timeout_ms; // 0: none

	// what the trailers say, or will say
	int status;	     // -1: none yet
	uint32_t error_code; // of a closed stream, RFC 9113 section 7
	char *text;	     // owned; NULL: ""

	struct grpc_queue out;
	size_t full_at, drain_at; // of `out`, for back-pressure
	struct grpc_queue held;	  // received while paused; not consumed
	uint8_t head[GRPC_HEAD];  // of the message being put together
	unsigned head_len;
	struct grpc_queue in;
	size_t in_size;
	unsigned messages;     // received
	int64_t slow_since_ms; // 0: nothing half received
	struct event *deadline;
};

TAILQ_HEAD(grpc_calls, grpc_call);

struct grpc_conn {
	struct transport *transport;
	nghttp2_session *h2;
	struct grpc_server *server; // NULL: client
	struct grpc_limits limits;
	char *authority; // client
	bool plain;
	const char *const *metadata;
	const struct grpc_conn_events *events;
	void *ctx;
	struct grpc_calls calls;
	size_t call_count;
	unsigned busy;
	bool open, dead, paused, settled /* the peer's SETTINGS came */, goaway;
	bool drains_due;   // some call's on_drain is owed
	bool sweep_due;	   // some call waits to be resumed or freed
	struct err broken; // decided inside a callback; the code only, with broken_text
	char broken_text[ERR_TEXT_MAX];
	struct event *flush, *tick;
	int64_t opened_ms, heard_ms, tick_at_ms, ping_ms; // ping_ms 0: none outstanding
	size_t assembling;
	struct grpc_flood control, faults;
};

// grpc_status.c
size_t grpc_text_encode(const char *text, char *out, size_t size);
void grpc_text_decode(const uint8_t *in, size_t n, char *out, size_t size);
size_t grpc_utf8_length(const uint8_t *text, size_t n); // bytes of the longest valid start
bool grpc_timeout_parse(const uint8_t *in, size_t n, uint64_t *ms);

// grpc_http2.c
nghttp2_session *grpc_http2_new(struct grpc_conn *c); // NULL: out of memory
int grpc_http2_respond(struct grpc_call *call, bool headers_only);
MUST_USE struct err grpc_http2_request(struct grpc_call *call);

// grpc_call.c
struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream); // NULL: out of memory
void grpc_call_free(struct grpc_call *call);
// grpc_call_full and on_drain at these marks instead of a quarter and an eighth of queue_max.
void grpc_call_set_marks(struct grpc_call *call, size_t full_at, size_t drain_at);
void grpc_call_begin(struct grpc_call *call);				 // server: headers complete
void grpc_call_data(struct grpc_call *call, const uint8_t *p, size_t n); // consumes or holds
void grpc_call_remote_done(struct grpc_call *call);
void grpc_call_stream_closed(struct grpc_call *call, uint32_t error_code);
void grpc_call_end(struct grpc_call *call, enum grpc_status status, const char *text); // on_end
void grpc_call_refuse(struct grpc_call *call, enum grpc_status status, const char *text);
void grpc_call_reset(struct grpc_call *call, uint32_t code); // RST_STREAM; drops what is queued
void grpc_call_resume(struct grpc_call *call);
void grpc_call_slow_check(struct grpc_call *call, int64_t now_ms);
size_t grpc_call_take(struct grpc_call *call, uint8_t *out, size_t room);
MUST_USE struct err grpc_call_arm(struct grpc_call *call, uint64_t ms);
void grpc_call_set_status(struct grpc_call *call, enum grpc_status status, const char *text);

// grpc_conn.c
void grpc_conn_enter(struct grpc_conn *c);
void grpc_conn_leave(struct grpc_conn *c); // `c` may be freed
void grpc_conn_wake(struct grpc_conn *c);  // pump soon
void grpc_conn_watch(struct grpc_conn *c); // something is half received: tick every second
// From inside a callback: the connection is to end for this reason.
void grpc_conn_break(struct grpc_conn *c, struct err why);
bool grpc_flood_pass(struct grpc_flood *f, int64_t burst, int64_t per_s);
int64_t grpc_now_ms(void);
