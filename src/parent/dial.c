// SPDX-License-Identifier: Apache-2.0
// DIAL: a process that may not make sockets asks for a connection. The address is in numbers (no
// resolver here). northbound reaches the configured witnesses and nothing else; telemetry and
// control reach devices, whose addresses management gives them, but only in network namespaces that
// the configuration names. X.2011 8.3.1-7.
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"
#include "parent/netns.h"
#include "parent/parent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIAL_S = 10 };

struct dial {
	struct dial *next;
	struct unit *unit;
	uint64_t id;
	int fd;
	struct event *event;
};

static void answer(struct unit *u, uint64_t id, int fd, const char *error)
{
	Ipc__Dialled m = IPC__DIALLED__INIT;
	uint8_t bytes[1024];
	char text[512];
	snprintf(text, sizeof text, "%s", error);
	m.id = id;
	m.error = text;
	size_t n = ipc__dialled__pack(&m, bytes); // at most 11 + 3 + 511 bytes
	struct err e = ipc_send(u->ch, IPC_DIALLED, bytes, n, fd);
	if (e.code != ERR_NONE)
		log_warning("DIALLED to %s: %s", process_name(u->id), e.text);
}

static void dial_free(struct dial *d)
{
	struct dial **at = &d->unit->dials;
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	d->unit->n_dials--;
	if (d->event)
		event_free(d->event);
	if (d->fd >= 0)
		close(d->fd);
	free(d);
}

void dials_end(struct unit *u)
{
	while (u->dials)
		dial_free(u->dials);
}

static void on_connected(evutil_socket_t fd, short what, void *ctx)
{
	struct dial *d = ctx;
	int error = 0;
	socklen_t len = sizeof error;
	if (what & EV_TIMEOUT)
		error = ETIMEDOUT;
	else if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	answer(d->unit, d->id, error ? -1 : d->fd, error ? strerror(error) : "");
	dial_free(d);
}

// --- what is permitted

static bool same(const char *conf, const char *asked)
{
	return strcmp(conf ? conf : "", asked) == 0;
}

static bool is_witness(const struct daemon_conf *c, const Ipc__Dial *m)
{
	const struct conf_witness *w = c->witnesses.items;
	for (size_t i = 0; i < c->witnesses.n; i++)
		if (same(w[i].address, m->address) && w[i].port == m->port &&
		    same(w[i].netns, m->netns))
			return true;
	return false;
}

static bool known_netns(const struct daemon_conf *c, const char *netns)
{
	const struct conf_listen *l[] = {&c->telemetry, &c->enrolment, &c->control};
	const struct conf_target *t = c->targets.items;
	if (!*netns)
		return true;
	for (size_t i = 0; i < sizeof l / sizeof *l; i++)
		if (same(l[i]->netns, netns))
			return true;
	for (size_t i = 0; i < c->targets.n; i++)
		if (same(t[i].netns, netns))
			return true;
	return false;
}

static struct err permitted(const struct unit *u, const Ipc__Dial *m)
{
	const struct daemon_conf *c = u->parent->conf;
	ENSURE(m->port > 0 && m->port <= UINT16_MAX, ERR_USAGE, "port %u", m->port);
	if (u->id == PROCESS_NORTHBOUND)
		ENSURE(is_witness(c, m), ERR_DENIED, "%.64s port %u is no configured witness",
		       m->address, m->port);
	else
		ENSURE(known_netns(c, m->netns), ERR_DENIED,
		       "network namespace \"%.64s\" is not in the configuration", m->netns);
	ENSURE(u->n_dials < DIALS_MAX, ERR_BUSY, "%d connections are under way", DIALS_MAX);
	return OK;
}

// --- connecting

static struct err begin(struct unit *u, const Ipc__Dial *m)
{
	struct sockaddr_storage address;
	socklen_t len;
	TRY(permitted(u, m));
	TRY(netns_address(m->address, (uint16_t)m->port, &address, &len));
	struct dial *d = calloc(1, sizeof *d);
	ENSURE(d, ERR_LIMIT, "out of memory");
	*d = (struct dial){.next = u->dials, .unit = u, .id = m->id, .fd = -1};
	u->dials = d;
	u->n_dials++;
	struct err e = netns_socket(m->netns, address.ss_family, &d->fd);
	if (e.code == ERR_NONE && connect(d->fd, (struct sockaddr *)&address, len) < 0 &&
	    errno != EINPROGRESS)
		e = err_system("connect");
	if (e.code == ERR_NONE) {
		d->event = event_new(u->parent->base, d->fd, EV_WRITE, on_connected, d);
		if (!d->event || event_add(d->event, &(struct timeval){.tv_sec = DIAL_S}) < 0)
			e = err_make(ERR_LIMIT, "out of memory");
	}
	if (e.code != ERR_NONE)
		dial_free(d);
	return e;
}

struct err dial_begin(struct unit *u, const struct ipc_message *m)
{
	struct err e = OK;
	Ipc__Dial *ask = IPC_UNPACK(dial, m, u->parent->scratch, &e);
	if (!ask)
		return e;
	e = begin(u, ask);
	if (e.code == ERR_DENIED)
		log_warning("%s was refused a connection: %s", process_name(u->id), e.text);
	if (e.code != ERR_NONE)
		answer(u, ask->id, -1, e.text);
	return OK;
}
