// SPDX-License-Identifier: Apache-2.0
// The bytes of an HTTP/2 server, to a client with a unary and a streaming call. Must hold: each
// call ends exactly once, with printable text, and the unary one is OK only after exactly one
// message.

#include "memory.h"

#include <string.h>

struct ask {
	unsigned messages, ends;
	bool unary;
};

static void message(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct ask *a = ctx;
	if (n > 4096 || a->ends)
		abort();
	a->messages++;
}

static void end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	struct ask *a = ctx;
	if (a->ends++ || (a->unary && s == GRPC_OK && a->messages != 1))
		abort();
	for (; *text; text++)
		if ((uint8_t)*text < 0x20)
			abort();
}

static const struct grpc_handlers handlers = {.on_message = message, .on_end = end};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct event_base *base;
	const struct grpc_client_conf conf = {
		.limits = {.message_max = 4096, .header_list_max = 1024}};
	struct grpc_conn *c;
	struct grpc_call *call;
	struct ask unary = {.unary = true}, stream = {0};
	if (!base)
		base = event_base_new();
	struct memory *m = memory_new(base);
	struct err e = grpc_client_new(&m->common, &conf, NULL, NULL, &c);
	if (e.code == ERR_NONE)
		e = grpc_call_unary(c, "/t.T/Unary", "x", 1, &handlers, &unary, 0, NULL);
	if (e.code == ERR_NONE)
		e = grpc_call_start(c, "/t.T/Bidi", GRPC_BIDI, &handlers, &stream, 0, &call);
	if (e.code != ERR_NONE)
		abort();
	memory_feed(m, data, n);
	memory_end(m);
	if (unary.ends != 1 || stream.ends != 1)
		abort();
	return 0;
}
