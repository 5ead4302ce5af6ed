// SPDX-License-Identifier: Apache-2.0
// Two ends on a socket pair and one event loop that runs until a condition holds. The loop's bound
// is a number of turns without progress, not a time: a failing test ends, a slow machine does not
// fail.
#pragma once

#include "lib/gnmi/grpc.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static inline void must(struct err e)
{
	if (e.code != ERR_NONE)
		fail_msg("%s: %s", err_code_name(e.code), e.text);
}

static inline void loop_until(struct event_base *base, const bool *done)
{
	for (int i = 0; i < 20000 && !*done; i++) {
		struct timeval tv = {0, 1000};
		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
	}
	assert_true(*done);
}

// Lets everything that is under way happen.
static inline void loop_settle(struct event_base *base)
{
	for (int i = 0; i < 20; i++) {
		struct timeval tv = {0, 1000};
		event_base_loopexit(base, &tv);
		event_base_dispatch(base);
	}
}

static inline void pair(struct event_base *base, struct transport **a, struct transport **b)
{
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	must(transport_plain(base, fd[0], a));
	must(transport_plain(base, fd[1], b));
}
