// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"

#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/gnmi/grpc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct control *c = ctx;
	certificate_tick(c);
	process_metric(c->p, "gemel_control_connections_total", "", (double)c->accepted, true,
		       "Connections to the control listener");
	process_metric(c->p, "gemel_control_refused_total", "", (double)c->refused, true,
		       "Calls that control refused");
}

static struct err start(struct process *p)
{
	struct control *c = calloc(1, sizeof *c);
	ENSURE(c, ERR_LIMIT, "out of memory");
	p->self = c;
	c->p = p;
	c->listener = -1;
	TRY(crypto_start());
	TRY(certificate_start(c));
	c->tick = event_new(p->base, -1, EV_PERSIST, on_tick, c);
	ENSURE(c->tick, ERR_LIMIT, "out of memory");
	return door_start(c);
}

static struct err listener(struct process *p, const char *name, int fd)
{
	struct control *c = p->self;
	bool mine = strcmp(name, "control") == 0 && c->listener < 0;
	if (mine)
		c->listener = fd;
	else
		close(fd);
	return mine ? OK : err_make(ERR_PEER, "a listener named \"%.32s\"", name);
}

static struct err ready(struct process *p)
{
	struct control *c = p->self;
	ENSURE(event_add(c->tick, &(struct timeval){.tv_sec = 1}) == 0, ERR_LIMIT, "out of memory");
	return OK;
}

static void peer_up(struct process *p, enum process_id peer)
{
	if (peer == PROCESS_MANAGEMENT)
		certificate_tick(p->self);
}

static struct err on_issued(struct process *p, const struct ipc_message *m)
{
	return certificate_issued(p->self, m);
}

static void stop(struct process *p)
{
	struct control *c = p->self;
	event_free(c->tick);
	door_clear(c);
	certificate_clear(c);
	p->self = NULL;
	if (c->connections) // they use it until the process ends, which is now
		return;
	grpc_server_free(c->grpc);
	free(c);
}

static const struct process_handler handlers[] = {{IPC_CERT_ISSUED, on_issued}};
static const char *const syscalls[] = {"accept4", "setsockopt", NULL};

const struct process_part control_part = {
	.id = PROCESS_CONTROL,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
	.syscalls = syscalls,
	.start = start,
	.ready = ready,
	.peer_up = peer_up,
	.listener = listener,
	.stop = stop,
};
