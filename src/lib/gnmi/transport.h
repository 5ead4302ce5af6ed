// SPDX-License-Identifier: Apache-2.0
// A two-way stream of bytes under a gRPC connection: a TLS or plain socket (libevent), or a session
// of the gRPC tunnel (tunnel.h). Whoever holds a `struct transport *` owns it and must close it or
// hand it to grpc_server_accept / grpc_client_new. One thread, one event base. Events never run
// inside transport_send, transport_pause or transport_close. SIGPIPE is ignored from the first on.
// Used by agent, telemetry, control.
#pragma once

#include "lib/base/err.h"

#include <event2/bufferevent.h>
#include <stdint.h>

struct ssl_st; // OpenSSL's SSL
struct transport;

enum {
	TRANSPORT_HIGH = 256 << 10, // more than this queued: the producer should wait for on_drain
	TRANSPORT_LOW = 64 << 10,
};

// All are required. on_end is the last event; the transport must still be closed afterwards.
struct transport_events {
	void (*on_open)(void *ctx); // once: the handshake or the tunnel's session is complete
	void (*on_bytes)(void *ctx, const uint8_t *bytes, size_t n); // valid during the handler
	void (*on_drain)(void *ctx);		   // what was queued has fallen to TRANSPORT_LOW
	void (*on_end)(void *ctx, struct err why); // OK: the peer closed in good order
};

// Takes over the bufferevent (connected, or in its TLS handshake); its callbacks are
// replaced. It should have been made with BEV_OPT_CLOSE_ON_FREE. A TLS one must agree on ALPN h2,
// or on_end tells (RFC 9113 section 3.2). NULL: out of memory, and the bufferevent is freed.
struct transport *transport_bufferevent(struct bufferevent *bev);
// TLS over a connected socket; takes over both (also on failure).
MUST_USE struct err transport_tls(struct event_base *base, int fd, struct ssl_st *ssl, bool server,
				  struct transport **out);
// A plain connected socket: tests, and sockets that never leave the machine. Takes over fd.
MUST_USE struct err transport_plain(struct event_base *base, int fd, struct transport **out);

struct ssl_st *transport_ssl(struct transport *t); // borrowed; NULL when it is not TLS
// "TLS" handshake and peer facts are read through transport_ssl; this is the event base to use.
struct event_base *transport_base(struct transport *t);

// For those who run a protocol of their own on a transport. Start delivers the events, first of
// all on_open (from the event loop, never from inside this call).
void transport_start(struct transport *t, const struct transport_events *events, void *ctx);
void transport_send(struct transport *t, const void *bytes, size_t n); // copies; never blocks
size_t transport_queued(const struct transport *t);
void transport_pause(struct transport *t, bool paused); // stops reading: the peer feels it
// No more events. What is queued is still sent (at most 5 s), then the stream is closed and freed.
void transport_close(struct transport *t); // NULL is fine
