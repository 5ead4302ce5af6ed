// SPDX-License-Identifier: Apache-2.0
// What a kind of transport provides: transport.c (sockets), tunnel.c (tunnel sessions).
#pragma once

#include "lib/gnmi/transport.h"

struct transport_ops {
	void (*start)(struct transport *t);
	void (*send)(struct transport *t, const void *bytes, size_t n);
	size_t (*queued)(const struct transport *t);
	void (*pause)(struct transport *t, bool paused);
	void (*close)(struct transport *t);
	struct ssl_st *(*ssl)(struct transport *t);
};

struct transport { // the first member of each kind
	const struct transport_ops *ops;
	struct event_base *base;
	const struct transport_events *events; // NULL before start and after close
	void *ctx;
};
