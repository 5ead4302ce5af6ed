// SPDX-License-Identifier: Apache-2.0
// The bytes of a network element to a collector that opens a session to each target and calls
// inside it: Register operations, tags, Data, and the inner HTTP/2. Must hold: targets come and go
// in pairs, each inner connection and each of its calls ends once.

#include "lib/gnmi/tunnel.h"
#include "memory.h"

static int targets, inner, calls;

static void call_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	calls--;
}

static void inner_end(void *ctx, struct grpc_conn *c, struct err why)
{
	inner--;
}

static const struct grpc_handlers handlers = {.on_end = call_end};
static const struct grpc_conn_events inner_events = {.on_end = inner_end};

static struct err on_target(void *ctx, struct tunnel_peer *peer, const char *target,
			    const char *type)
{
	struct transport *t;
	struct grpc_conn *c;
	if (target[0] == 'x')
		return err_make(ERR_DENIED, "not you");
	targets++;
	if (tunnel_open(peer, target, type, &t).code != ERR_NONE)
		return OK;
	if (grpc_client_new(t, NULL, &inner_events, NULL, &c).code != ERR_NONE)
		abort();
	inner++;
	if (grpc_call_unary(c, "/t.T/Unary", "x", 1, &handlers, NULL, 0, NULL).code != ERR_NONE)
		abort();
	calls++;
	return OK;
}

static void on_target_gone(void *ctx, struct tunnel_peer *peer, const char *target,
			   const char *type)
{
	targets--;
}

static const struct tunnel_server_events events = {on_target, on_target_gone};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct event_base *base;
	static struct grpc_server *server;
	static struct tunnel_server *tunnel;
	if (!base) {
		base = event_base_new();
		server = grpc_server_new(NULL);
		if (tunnel_server_new(server, &events, NULL, &tunnel).code != ERR_NONE)
			abort();
	}
	struct memory *m = memory_new(base);
	if (grpc_server_accept(server, &m->common, NULL, NULL, NULL).code != ERR_NONE)
		abort();
	memory_feed(m, data, n);
	memory_end(m);
	for (int i = 0; i < 5; i++)
		memory_turn(base);
	if (targets || inner || calls)
		abort();
	return 0;
}
