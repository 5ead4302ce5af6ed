// SPDX-License-Identifier: Apache-2.0
// A transport in memory: the fuzzer's bytes go in, what comes out is counted and dropped.
#pragma once

#include "lib/gnmi/grpc.h"
#include "lib/gnmi/transport_internal.h"

#include <event2/event.h>
#include <stdlib.h>

struct memory {
	struct transport common;
	bool closed, held;
	void (*sink)(const void *bytes, size_t n); // NULL: dropped
};

static void memory_start(struct transport *t)
{
}

static void memory_send(struct transport *t, const void *bytes, size_t n)
{
	struct memory *m = (struct memory *)t;
	if (m->sink)
		m->sink(bytes, n);
}

static size_t memory_queued(const struct transport *t)
{
	return 0;
}

static void memory_pause(struct transport *t, bool paused)
{
}

static void memory_close(struct transport *t)
{
	struct memory *m = (struct memory *)t;
	m->closed = true;
	if (!m->held)
		free(m);
}

static struct ssl_st *memory_ssl(struct transport *t)
{
	return NULL;
}

static inline struct memory *memory_new(struct event_base *base)
{
	static const struct transport_ops ops = {.start = memory_start,
						 .send = memory_send,
						 .queued = memory_queued,
						 .pause = memory_pause,
						 .close = memory_close,
						 .ssl = memory_ssl};
	struct memory *m = calloc(1, sizeof *m);
	if (!m)
		abort();
	m->common = (struct transport){.ops = &ops, .base = base};
	m->held = true; // the harness still looks at it
	return m;
}

static inline void memory_turn(struct event_base *base)
{
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

// The first byte says in what pieces the rest comes.
static inline void memory_feed(struct memory *m, const uint8_t *data, size_t n)
{
	size_t piece = n && data[0] & 1 ? (size_t)data[0] + 1 : n;
	m->common.events->on_open(m->common.ctx);
	for (size_t at = n ? 1 : 0; at < n && !m->closed; at += piece) {
		size_t take = n - at < piece ? n - at : piece;
		m->common.events->on_bytes(m->common.ctx, data + at, take);
		if (!m->closed)
			memory_turn(m->common.base);
	}
	memory_turn(m->common.base);
}

// Ends it as a peer that closes; frees it.
static inline void memory_end(struct memory *m)
{
	struct event_base *base = m->common.base;
	m->held = false;
	if (m->closed)
		free(m);
	else
		m->common.events->on_end(m->common.ctx, OK);
	memory_turn(base);
}
