// SPDX-License-Identifier: Apache-2.0
// The bytes of an HTTP/2 client, to a server with methods of each kind that answer, stream, pause
// and refuse. Must hold: no message above the limit is delivered, and each call ends at most once.

#include "memory.h"

enum { MESSAGE_MAX = 4096 };

struct live {
	bool ended;
};

static struct err start(void *ctx, struct grpc_call *call)
{
	struct live *l = calloc(1, sizeof *l);
	if (!l)
		abort();
	grpc_call_set_context(call, l);
	return OK;
}

static void message(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct live *l = ctx;
	if (n > MESSAGE_MAX || l->ended)
		abort();
	if (n && m[0] == 'p')
		grpc_call_pause(call, true);
	err_ignore(grpc_call_send(call, m, n));
	if (n && m[0] == 'f') {
		free(l);
		grpc_call_finish(call, GRPC_OK, NULL);
	} else if (n && m[0] == 'c') {
		free(l);
		grpc_call_cancel(call);
	}
}

static void half_close(void *ctx, struct grpc_call *call)
{
	free(ctx);
	grpc_call_finish(call, GRPC_ABORTED, "half \x7f closed");
}

static void end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	struct live *l = ctx;
	if (l->ended || !text)
		abort();
	l->ended = true;
	free(l);
}

static const struct grpc_handlers handlers = {
	.on_start = start, .on_message = message, .on_half_close = half_close, .on_end = end};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct event_base *base;
	static struct grpc_server *server;
	if (!base) {
		const struct grpc_limits l = {.message_max = MESSAGE_MAX,
					      .queue_max = 8192,
					      .assembly_max = 16384,
					      .streams_max = 4,
					      .header_list_max = 1024,
					      .window = 8192};
		base = event_base_new();
		server = grpc_server_new(&l);
		err_ignore(grpc_server_add(server, "/t.T/Unary", GRPC_UNARY, &handlers, NULL));
		err_ignore(grpc_server_add(server, "/t.T/Bidi", GRPC_BIDI, &handlers, NULL));
	}
	struct memory *m = memory_new(base);
	struct err e = grpc_server_accept(server, &m->common, NULL, NULL, NULL);
	if (e.code != ERR_NONE)
		abort();
	memory_feed(m, data, n);
	memory_end(m);
	return 0;
}
