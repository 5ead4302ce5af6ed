// SPDX-License-Identifier: Apache-2.0
// The OpenConfig gRPC tunnel: an agent dials out, registers its targets, and the collector opens
// sessions to them. Each session is a transport (transport.h), so that gRPC runs inside it as if it
// were a socket. Back-pressure passes through: a session that is not read stops its sender, by the
// flow control of its own HTTP/2 stream; the others go on.
//
//     agent (tunnel client)                      telemetry (tunnel server)
//     Register stream   --- Target{ADD} -->      on_target decides
//                       <-- Target{accept} ---
//                       <-- Session{tag} -----   tunnel_open
//     Tunnel stream     --- Data{tag} ------>    the stream is bound to the session by its tag
//     on_session        <== Data{data} ====>     the transport opens
//
// Bounds: targets and sessions of one peer, name lengths, Data size, queued bytes; a session which
// is not taken up in time ends. The outer connection's limits must leave queue_max at 1 MiB or more
// and streams_max above TUNNEL_SESSIONS_MAX. github.com/openconfig/grpctunnel is the protocol.
// Used by agent (client), telemetry (server), control (server).
#pragma once

#include "lib/gnmi/grpc.h"

#define TUNNEL_TYPE_GNMI "GNMI_GNOI"

enum {
	TUNNEL_TARGETS_MAX = 16,  // of one peer
	TUNNEL_SESSIONS_MAX = 16, // of one peer at once
	TUNNEL_NAME_MAX = 128,
	TUNNEL_OPEN_MS = 10000, // for a session to be taken up
};

// --- server
struct tunnel_server;
struct tunnel_peer; // one Register stream

struct tunnel_server_events {
	// May this peer register this target? Decide by the connection's certificate. An error's
	// text is the refusal which the peer reads. tunnel_open may be called from here on.
	struct err (*on_target)(void *ctx, struct tunnel_peer *peer, const char *target,
				const char *type);
	// Removed by the peer, or the peer is going (then for each of its targets).
	void (*on_target_gone)(void *ctx, struct tunnel_peer *peer, const char *target,
			       const char *type);
};
// `events` must outlive it. Registers both methods at `grpc`.
MUST_USE struct err tunnel_server_new(struct grpc_server *grpc,
				      const struct tunnel_server_events *events, void *ctx,
				      struct tunnel_server **out);
void tunnel_server_free(struct tunnel_server *s); // after grpc's connections; NULL is fine

struct grpc_conn *tunnel_peer_conn(const struct tunnel_peer *peer);
void tunnel_peer_set_context(struct tunnel_peer *peer, void *ctx);
void *tunnel_peer_context(const struct tunnel_peer *peer);
// Asks for a session. The transport may be given to grpc_client_new at once: its on_open runs when
// the peer has taken the session up, its on_end when it refused. ERR_NOT_FOUND: no such target.
MUST_USE struct err tunnel_open(struct tunnel_peer *peer, const char *target, const char *type,
				struct transport **out);

// --- client
struct tunnel_client;

struct tunnel_client_events {
	// The server's word on a target: OK or ERR_DENIED with its text.
	void (*on_registered)(void *ctx, const char *target, const char *type, struct err answer);
	// The server wants a session. Give `t` to grpc_server_accept; or transport_close it.
	void (*on_session)(void *ctx, const char *target, const char *type, struct transport *t);
	// The Register stream ended; its sessions end each by themselves. Free it afterwards.
	void (*on_end)(void *ctx, struct err why);
};
// Starts the Register stream on a client connection. `events` must outlive it.
MUST_USE struct err tunnel_client_new(struct grpc_conn *conn,
				      const struct tunnel_client_events *events, void *ctx,
				      struct tunnel_client **out);
MUST_USE struct err tunnel_client_register(struct tunnel_client *c, const char *target,
					   const char *type);
MUST_USE struct err tunnel_client_withdraw(struct tunnel_client *c, const char *target,
					   const char *type);
// Ends the Register stream; open sessions go on until they or the connection end. NULL is fine.
void tunnel_client_free(struct tunnel_client *c);
