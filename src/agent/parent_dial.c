// SPDX-License-Identifier: Apache-2.0
// Connections to the twin's two ports, and the listener: sockets that only the parent makes.

#include "agent/parent_internal.h"

#include "lib/base/log.h"

#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DIAL_S = 10, BACKLOG = 16 };

struct dialling {
	struct parent *parent;
	uint32_t id;
	int fd;
	struct event *event;
	uint16_t port;
};

static struct err address_of(const char *text, uint16_t port, struct sockaddr_storage *out,
			     int *len)
{
	char both[128];
	*len = sizeof *out;
	memset(out, 0, sizeof *out);
	snprintf(both, sizeof both, strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, port);
	if (evutil_parse_sockaddr_port(both, (struct sockaddr *)out, len) < 0)
		return err_make(ERR_USAGE, "%s is not a numeric address", text);
	return OK;
}

struct err parent_listen(struct parent *p)
{
	const struct agent_listen *l = &p->conf->listen;
	struct sockaddr_storage a;
	int len, yes = 1;
	if (!l->address)
		return OK;
	TRY(address_of(l->address, (uint16_t)l->port, &a, &len));
	int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_system("listen: socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(fd, (struct sockaddr *)&a, (socklen_t)len) < 0 || listen(fd, BACKLOG) < 0) {
		struct err e = err_system("listen: %s port %u", l->address, (unsigned)l->port);
		close(fd);
		return e;
	}
	p->listener = fd;
	return OK;
}

static void answer(struct parent *p, uint32_t id, int fd, const char *error)
{
	scoped(buf) struct buf b = {0};
	buf_be32(&b, id);
	link_put_text(&b, error);
	struct err e =
		b.failed ? err_make(ERR_LIMIT, "out of memory")
			 : link_send(p->children[LINK_WIRE].link, LINK_DIALLED, b.data, b.len, fd);
	if (e.code != ERR_NONE)
		log_debug("%s", e.text);
}

static void on_connected(evutil_socket_t fd, short what, void *ctx)
{
	struct dialling *d = ctx;
	int error = what & EV_TIMEOUT ? ETIMEDOUT : 0, yes = 1;
	socklen_t n = sizeof error;
	if (!error)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error) {
		char why[256];
		snprintf(why, sizeof why, "%s port %u: %s", d->parent->conf->twin.address, d->port,
			 strerror(error));
		answer(d->parent, d->id, -1, why);
	} else {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
		answer(d->parent, d->id, fd, "");
	}
	close(d->fd);
	event_free(d->event);
	free(d);
}

static struct err dial(struct parent *p, uint32_t id, uint16_t port)
{
	struct sockaddr_storage a;
	int len;
	const struct agent_twin *twin = &p->conf->twin;
	ENSURE(port == twin->port || port == twin->enrolment_port, ERR_PEER,
	       "DIAL: port %u is not one of the twin's", port);
	TRY(address_of(twin->address, port, &a, &len));
	int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_system("socket");
	struct dialling *d = calloc(1, sizeof *d);
	struct timeval limit = {DIAL_S, 0};
	if (d)
		*d = (struct dialling){p, id, fd, NULL, port};
	if (d)
		d->event = event_new(p->base, fd, EV_WRITE, on_connected, d);
	if (connect(fd, (struct sockaddr *)&a, (socklen_t)len) < 0 && errno != EINPROGRESS) {
		struct err e = err_system("%s port %u", twin->address, port);
		close(fd);
		if (d && d->event)
			event_free(d->event);
		free(d);
		return e;
	}
	if (!d || !d->event || event_add(d->event, &limit) < 0) {
		close(fd);
		free(d);
		return err_make(ERR_LIMIT, "out of memory");
	}
	return OK;
}

struct err parent_dial(struct parent *p, const struct link_message *m)
{
	struct cursor in = cursor_over(m->bytes, m->len);
	uint32_t id = cursor_be32(&in);
	uint16_t port = cursor_be16(&in);
	TRY(cursor_finish(&in, "DIAL"));
	struct err e = dial(p, id, port);
	if (e.code == ERR_PEER)
		return e;
	if (e.code != ERR_NONE)
		answer(p, id, -1, e.text);
	return OK;
}
