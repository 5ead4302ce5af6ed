// SPDX-License-Identifier: Apache-2.0
// What both ends of a tunnel share: sessions, which are transports on a Tunnel stream (tunnel.c).
#pragma once

#include "lib/gnmi/grpc_internal.h"
#include "lib/gnmi/grpctunnel.pb-c.h"
#include "lib/gnmi/transport_internal.h"
#include "lib/gnmi/tunnel.h"

#define TUNNEL_REGISTER "/grpctunnel.Tunnel/Register"
#define TUNNEL_TUNNEL "/grpctunnel.Tunnel/Tunnel"

struct tunnel_session {
	struct transport common;
	TAILQ_ENTRY(tunnel_session) link;
	struct tunnel_sessions *owner; // NULL: the peer or client is gone
	struct grpc_call *call;	       // the Tunnel stream; NULL before it came and after its end
	int32_t tag;
	struct buf early;    // what was sent before the stream was there
	struct event *event; // says "open" or "ended" from the loop; or time is up
	unsigned busy;
	bool server, started, told_open, ended, told_end, closed, paused;
	enum err_code why;
	char why_text[GRPC_TEXT_MAX];
};

TAILQ_HEAD(tunnel_session_list, tunnel_session);
struct tunnel_sessions {
	struct tunnel_session_list list;
	unsigned count;
};

// A target's name and type, as both ends keep them.
struct tunnel_target {
	char target[TUNNEL_NAME_MAX + 1], type[TUNNEL_NAME_MAX + 1];
};
MUST_USE struct err tunnel_target_set(struct tunnel_target *t, const char *target,
				      const char *type);
// Index in list[n], or n.
unsigned tunnel_target_find(const struct tunnel_target *list, unsigned n, const char *target,
			    const char *type);

// ERR_LIMIT when the owner has TUNNEL_SESSIONS_MAX already.
MUST_USE struct err tunnel_session_new(struct event_base *base, struct tunnel_sessions *owner,
				       bool server, int32_t tag, struct tunnel_session **out);
// Server: the stream for this session has come. Client: it has been started.
void tunnel_session_bind(struct tunnel_session *s, struct grpc_call *call);
void tunnel_session_end(struct tunnel_session *s, struct err why);
void tunnel_sessions_detach(struct tunnel_sessions *owner);
extern const struct grpc_handlers tunnel_session_handlers; // context: the session

enum { TUNNEL_OP_MAX = 4096 };
MUST_USE struct err tunnel_op_send(struct grpc_call *call, const Grpctunnel__RegisterOp *op);
// NULL: not a RegisterOp, or too large. Free with grpctunnel__register_op__free_unpacked(op, NULL).
Grpctunnel__RegisterOp *tunnel_op_read(const uint8_t *message, size_t n);
MUST_USE struct err tunnel_answer_target(struct grpc_call *call, const char *target,
					 const char *type, const char *error);
MUST_USE struct err tunnel_answer_session(struct grpc_call *call, int32_t tag, const char *error);
