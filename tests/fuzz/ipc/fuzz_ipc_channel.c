// SPDX-License-Identifier: Apache-2.0
// Bytes from a process that has been taken over, as they come out of its socket. The first byte
// chooses who talks to whom, the second the state and how the stream is cut; the rest is the
// stream. Nothing that messages.def does not permit may reach a handler.

#include "lib/ipc/rules.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct receiver {
	struct ipc_channel *ch;
	struct ipc_table permitted;
	bool running, ended;
};

static struct err on_message(void *ctx, const struct ipc_message *m)
{
	struct receiver *r = ctx;
	volatile uint8_t sum = 0;
	if (r->ended ||
	    ipc_frame_check(&r->permitted, r->running, m->type, m->len, m->fd >= 0).code)
		abort();
	for (size_t i = 0; i < m->len; i++)
		sum = (uint8_t)(sum + m->bytes[i]);
	if (m->fd >= 0)
		close(m->fd);
	return OK;
}

static void on_close(void *ctx, enum process_id peer, struct err why)
{
	struct receiver *r = ctx;
	if (r->ended || !why.text)
		abort();
	r->ended = true;
}

static const struct ipc_events events = {on_message, NULL, on_close};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct event_base *base;
	int fds[2];
	if (size < 2 || size > 1 << 16)
		return 0;
	if (!base)
		base = event_base_new();
	enum process_id from = (enum process_id)(data[0] % PROCESS_COUNT);
	enum process_id to = (enum process_id)(data[0] / PROCESS_COUNT % PROCESS_COUNT);
	size_t piece = data[1] >> 1 ? data[1] >> 1 : size;
	struct receiver r = {.running = data[1] & 1};
	if (!base || ipc_pair(fds).code != ERR_NONE)
		abort();
	ipc_table_fill(&r.permitted, from, to);
	if (ipc_open(&r.ch, base, fds[1], to, from, &events, &r).code != ERR_NONE)
		abort();
	ipc_set_running(r.ch, r.running);
	for (size_t at = 2; at < size && !r.ended; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		if (write(fds[0], data + at, n) != (ssize_t)n)
			abort();
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	close(fds[0]);
	for (int i = 0; i < 8 && !r.ended; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	if (!r.ended) // the end of the stream is always told
		abort();
	ipc_close(r.ch);
	return 0;
}
