// SPDX-License-Identifier: Apache-2.0
// POST /add-checkpoint over HTTP/1.1: one thread, so that a check and what it writes are one step.
// Bounded: SERVER_CLIENTS connections (the one that was idle longest gives way to a new one), a
// request complete within SERVER_REQUEST_S of its first byte or of the accept, bodies of
// REQUEST_MAX. X.2011 8.3.3-9. Used by gemel-witness.
#pragma once

#include "witness/keeper.h"

struct event_base;
struct server; // opaque

enum { SERVER_CLIENTS = 64, SERVER_REQUEST_S = 10, SERVER_IDLE_S = 30, SERVER_LINGER_S = 2 };

// A listening socket, non-blocking. ERR_USAGE: the address is not numeric. *out: close it.
MUST_USE struct err server_listen(const struct witness_listen *at, int *out);
// Serves `fd` (taken over) from `keeper` (borrowed).
MUST_USE struct err server_new(struct event_base *base, int fd, struct keeper *keeper,
			       struct server **out);
void server_free(struct server *s); // NULL is fine
