// SPDX-License-Identifier: Apache-2.0
// Two ends of a channel in one loop, each of which keeps what it got.
#pragma once

#include "lib/ipc/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct end {
	struct ipc_channel *ch;
	unsigned messages, drains, closes;
	enum ipc_type type; // of the last message
	struct buf last;    // its bytes
	int fd;		    // its descriptor
	uint64_t bytes;
	enum err_code why; // of the close
	char words[ERR_TEXT_MAX];
	struct err (*answer)(struct end *e, const struct ipc_message *m); // may be NULL
};

static struct err end_message(void *ctx, const struct ipc_message *m)
{
	struct end *e = ctx;
	e->messages++;
	e->type = m->type;
	e->bytes += m->len;
	e->last.limit = (size_t)64 << 20;
	buf_reset(&e->last);
	buf_append(&e->last, m->bytes, m->len);
	if (e->fd >= 0)
		close(e->fd);
	e->fd = m->fd;
	return e->answer ? e->answer(e, m) : OK;
}

static void end_drain(void *ctx, enum process_id peer)
{
	struct end *e = ctx;
	e->drains++;
}

static void end_close(void *ctx, enum process_id peer, struct err why)
{
	struct end *e = ctx;
	e->closes++;
	e->why = why.code;
	snprintf(e->words, sizeof e->words, "%s", why.text);
	ipc_close(e->ch);
	e->ch = NULL;
}

static const struct ipc_events end_events = {end_message, end_drain, end_close};

static inline void end_clear(struct end *e)
{
	ipc_close(e->ch);
	buf_clear(&e->last);
	if (e->fd >= 0)
		close(e->fd);
	*e = (struct end){.fd = -1};
}

static inline void ends_open(struct event_base *base, struct end *a, enum process_id ida,
			     struct end *b, enum process_id idb, bool running)
{
	int fds[2];
	*a = *b = (struct end){.fd = -1};
	assert_int_equal(ipc_pair(fds).code, ERR_NONE);
	assert_int_equal(ipc_open(&a->ch, base, fds[0], ida, idb, &end_events, a).code, ERR_NONE);
	assert_int_equal(ipc_open(&b->ch, base, fds[1], idb, ida, &end_events, b).code, ERR_NONE);
	ipc_set_running(a->ch, running);
	ipc_set_running(b->ch, running);
}

// Turns the loop until it has nothing to do.
static inline void turn(struct event_base *base)
{
	for (int i = 0; i < 50; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}
