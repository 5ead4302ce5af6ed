// SPDX-License-Identifier: Apache-2.0
// gRPC over HTTP/2 (nghttp2), server and client, on any transport. Asynchronous: everything happens
// in handlers run by the event loop, on one thread.
//
// Life of a call: it ends exactly once, either because you end it (grpc_call_finish on a server,
// grpc_call_cancel anywhere) or because on_end runs (the peer, the deadline, a limit or the
// connection ended it). After either the pointer is dead and no handler runs for it again.
// Life of a connection: grpc_conn_close, or after its on_end it frees itself. Its calls' on_end run
// before. Both may be called from inside any handler.
//
// A peer's mistake ends its call (with a status that says so) or its connection (GOAWAY), nothing
// else. Everything is bounded by struct grpc_limits: message size, streams, headers, what is queued
// and half received, floods of PING, SETTINGS, RST_STREAM and empty frames (CVE-2023-44487,
// CVE-2019-9512, -9514, -9515, -9518), slow peers. RFC 9113; gRPC over HTTP2 protocol description.
// X.2011 8.2.1-2, 8.2.1-3. Used by agent, telemetry, control.
#pragma once

#include "lib/gnmi/transport.h"

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16,
	GRPC_STATUSES,
};
const char *grpc_status_name(enum grpc_status s); // "RESOURCE_EXHAUSTED"; never NULL
enum grpc_status grpc_status_of(enum err_code code);
enum err_code grpc_status_err(enum grpc_status s); // the other way, for clients

// Zero means the default in brackets.
struct grpc_limits {
	size_t message_max;	  // one received or sent message [4 MiB]
	size_t queue_max;	  // queued to send in one call before ERR_BUSY [4 MiB]
	size_t assembly_max;	  // half-received messages of one connection together [16 MiB]
	uint32_t streams_max;	  // concurrent calls that the peer may open [64]
	uint32_t header_list_max; // bytes of header fields in one call, RFC 9113 6.5.2 [16 KiB]
	uint32_t window;       // flow-control window of one call; 4 times it a connection [1 MiB]
	uint32_t open_ms;      // handshake and the peer's first SETTINGS [10 s]
	uint32_t slow_ms;      // from a message's or header's first byte to its last [60 s]
	uint32_t keepalive_ms; // silence before PING [30 s as server, 330 s as client]
	uint32_t keepalive_wait_ms; // PING without answer ends the connection [20 s]
};

struct grpc_server; // a table of methods, shared by any number of connections
struct grpc_conn;
struct grpc_call;

enum grpc_kind { GRPC_UNARY, GRPC_SERVER_STREAM, GRPC_CLIENT_STREAM, GRPC_BIDI };

// `ctx` is the call's context: what grpc_call_set_context gave, else the one given at
// grpc_server_add or grpc_call_start. Any but on_message may be NULL; and on a server on_message
// may not be NULL.
struct grpc_handlers {
	// Server only: a call came in. An error is answered as its status, and on_end does not run.
	struct err (*on_start)(void *ctx, struct grpc_call *call);
	// One whole message; valid during the handler. GRPC_UNARY and GRPC_SERVER_STREAM: exactly
	// one comes to a server, or the library refuses the call itself.
	void (*on_message)(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n);
	void (*on_half_close)(void *ctx, struct grpc_call *call); // server: no more will come
	void (*on_drain)(void *ctx, struct grpc_call *call); // grpc_call_full was true, now not
	// The last word. Client: the server's status, or ours (CANCELLED, UNAVAILABLE ...). `text`
	// is valid during the handler, never NULL, printable UTF-8.
	void (*on_end)(void *ctx, struct grpc_call *call, enum grpc_status status,
		       const char *text);
};

// Connection events; each may be NULL. `ctx` is the one given at accept or client_new.
struct grpc_conn_events {
	// Transport open (TLS verified, transport_ssl has the peer), no HTTP/2 byte has been read.
	// An error ends the connection. May grpc_conn_pause until an admission is decided.
	struct err (*on_open)(void *ctx, struct grpc_conn *conn);
	void (*on_goaway)(void *ctx, struct grpc_conn *conn); // client: no new calls here
	void (*on_end)(void *ctx, struct grpc_conn *conn,
		       struct err why); // frees itself afterwards
};

// --- server
struct grpc_server *grpc_server_new(const struct grpc_limits *limits); // NULL: all defaults
void grpc_server_free(struct grpc_server *s); // after its connections; NULL is fine
// `path` "/package.Service/Method" and `handlers` must outlive the server. At most 64 methods.
MUST_USE struct err grpc_server_add(struct grpc_server *s, const char *path, enum grpc_kind kind,
				    const struct grpc_handlers *handlers, void *ctx);
// Takes over the transport, also on failure.
MUST_USE struct err grpc_server_accept(struct grpc_server *s, struct transport *t,
				       const struct grpc_conn_events *events, void *ctx,
				       struct grpc_conn **out);

// --- client
struct grpc_client_conf {
	struct grpc_limits limits;
	const char *authority;	     // :authority, copied; NULL: "localhost"
	bool plain;		     // :scheme http instead of https
	const char *const *metadata; // name, value, name, value ..., NULL, on every call; borrowed
};
// Takes over the transport, also on failure. Calls may be started at once; they wait for on_open.
MUST_USE struct err grpc_client_new(struct transport *t, const struct grpc_client_conf *conf,
				    const struct grpc_conn_events *events, void *ctx,
				    struct grpc_conn **out);
// `timeout_ms` 0: no deadline. ERR_BUSY after GOAWAY or on a connection that is ending.
MUST_USE struct err grpc_call_start(struct grpc_conn *conn, const char *path, enum grpc_kind kind,
				    const struct grpc_handlers *handlers, void *ctx,
				    uint32_t timeout_ms, struct grpc_call **out);
// A whole unary call: start, send, half-close.
MUST_USE struct err grpc_call_unary(struct grpc_conn *conn, const char *path, const void *message,
				    size_t n, const struct grpc_handlers *handlers, void *ctx,
				    uint32_t timeout_ms, struct grpc_call **out);

// --- both
// Queues one message (copied). ERR_BUSY: queue_max is reached, nothing was taken, wait for on_drain
// (an empty queue takes any message of message_max). ERR_LIMIT: above message_max.
MUST_USE struct err grpc_call_send(struct grpc_call *call, const void *message, size_t n);
// The same for a message in two parts (head and body of a wrapper), to spare a copy.
MUST_USE struct err grpc_call_send2(struct grpc_call *call, const void *head, size_t head_len,
				    const void *body, size_t body_len);
size_t grpc_call_queued(const struct grpc_call *call); // bytes not yet handed to the transport
bool grpc_call_full(const struct grpc_call *call);     // above a quarter of queue_max: pause
void grpc_call_half_close(struct grpc_call *call);     // client: no more messages from us
// Server: sends what is queued, then the status. `text` is for the person at the other end: says
// what was wrong, where, what would be right; "" or NULL for GRPC_OK. The pointer is dead.
void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *text);
void grpc_call_fail(struct grpc_call *call, struct err why); // finish with grpc_status_of
// RST_STREAM CANCEL, drops what is queued. on_end does not run. The pointer is dead.
void grpc_call_cancel(struct grpc_call *call);
// No on_message until resumed; the peer is held back by flow control.
void grpc_call_pause(struct grpc_call *call, bool paused);
void grpc_call_set_context(struct grpc_call *call, void *ctx);
void *grpc_call_context(const struct grpc_call *call);
struct grpc_conn *grpc_call_conn(const struct grpc_call *call);
const char *grpc_call_path(const struct grpc_call *call);

void *grpc_conn_context(const struct grpc_conn *conn);
void grpc_conn_set_context(struct grpc_conn *conn, void *ctx);
struct transport *grpc_conn_transport(struct grpc_conn *conn); // borrowed
size_t grpc_conn_calls(const struct grpc_conn *conn);
void grpc_conn_pause(struct grpc_conn *conn, bool paused); // reads nothing more until resumed
void grpc_conn_goaway(struct grpc_conn *conn);		   // no new calls; the open ones may end
// GOAWAY, on_end (UNAVAILABLE) for its calls before this returns, not for itself; then it is freed.
// NULL is fine, and so is calling it inside its own on_end.
void grpc_conn_close(struct grpc_conn *conn);
