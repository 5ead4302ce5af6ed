// SPDX-License-Identifier: Apache-2.0
// The two listeners. A newcomer costs a table look-up until his source's bucket, the bucket of all
// and the bounds on open connections have let him through; only then is a handshake begun. A source
// that asks too often is closed at once and named. When the processor's share for newcomers is
// spent, nothing is accepted: the rest waits in the kernel's backlog, and those who are here feel
// nothing of it. X.2011 8.2.2-1.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 32, WAIT_MS = 50 };

struct door {
	struct telemetry *t;
	enum telemetry_listener which;
	int fd; // -1: none
	struct event *event;
	bool open;
};

struct acceptor {
	struct door door[LISTENERS];
	struct sources *sources;
	struct bucket all;
	struct event *later;
};

static void on_later(evutil_socket_t fd, short what, void *ctx)
{
	accept_tick(ctx);
}

struct err accept_start(struct telemetry *t)
{
	if (t->acceptor)
		return OK;
	struct acceptor *a = t->acceptor = calloc(1, sizeof *a);
	ENSURE(a, ERR_INTERNAL, "out of memory");
	for (int i = 0; i < LISTENERS; i++)
		a->door[i] = (struct door){.t = t, .which = (enum telemetry_listener)i, .fd = -1};
	return OK;
}

// --- who may come in

static bool room(const struct telemetry *t, enum telemetry_listener l)
{
	if (t->n_handshakes >= telemetry_limits.handshakes)
		return false;
	return l == LISTEN_ENROLMENT || t->n_sessions < telemetry_limits.connections;
}

static bool welcome(struct telemetry *t, struct source *from, const char *text, int64_t now)
{
	const struct telemetry_limits *l = &telemetry_limits;
	bool often = !bucket_take(&from->handshakes, &l->source_handshakes, now, 1);
	if ((!often && from->open < l->source_connections) || sabotaged("source-rate"))
		return true;
	from->refused++;
	t->count.handshakes_limited++;
	observe(t, often ? "handshake-flood" : "connection-flood", "", from->text,
		often ? "more than %u handshakes a second" : "more than %u connections at once",
		often ? l->source_handshakes.per_s : l->source_connections);
	return false;
}

static struct err begin(struct telemetry *t, struct door *d, int fd, struct source *from,
			const char *text)
{
	SSL *ssl;
	struct transport *tr;
	struct err e = tls_connection_new(identity_tls(t, d->which), NULL, &ssl);
	if (e.code != ERR_NONE) {
		close(fd);
		return e;
	}
	TRY(transport_tls(t->p->base, fd, ssl, true, &tr));
	return d->which == LISTEN_TUNNEL ? session_new(t, tr, from, NULL, text)
					 : enrolment_accept(t, tr, from, text);
}

// Who waited so long in the backlog that he has gone costs no handshake: after an outage, when all
// come at once, that would be most of them.
static bool gone(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};
	return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

static void newcomer(struct telemetry *t, struct door *d, int fd, const struct sockaddr *at,
		     int64_t now)
{
	char text[SOURCE_TEXT_MAX];
	if (gone(fd)) {
		t->count.handshakes_failed++;
		close(fd);
		return;
	}
	struct source *from = sources_get(t->acceptor->sources, at, now);
	if (!welcome(t, from, source_text(at, text), now)) {
		close(fd);
		return;
	}
	from->open++;
	struct err e = begin(t, d, fd, from, text);
	if (e.code == ERR_NONE)
		return;
	from->open--;
	log_warning("a connection from %s was not begun: %s", text, e.text);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct door *d = ctx;
	struct telemetry *t = d->t;
	int64_t now = clock_mono_ns();
	for (int i = 0; i < AT_ONCE; i++) {
		struct sockaddr_storage at;
		socklen_t n = sizeof at;
		if (!room(t, d->which) ||
		    !bucket_take(&t->acceptor->all, &telemetry_limits.all_handshakes, now, 1)) {
			event_del(d->event);
			d->open = false;
			event_add(t->acceptor->later, &(struct timeval){.tv_usec = WAIT_MS * 1000});
			return;
		}
		int newcomer_fd =
			accept4(fd, (struct sockaddr *)&at, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (newcomer_fd >= 0)
			newcomer(t, d, newcomer_fd, (struct sockaddr *)&at, now);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		else if (errno != ECONNABORTED && errno != EINTR)
			log_warning("accept: %s", strerror(errno));
	}
}

// --- doors

static struct err open_door(struct telemetry *t, struct door *d)
{
	if (d->open || d->fd < 0 || !identity_tls(t, d->which) || !room(t, d->which))
		return OK;
	if (!d->event) {
		d->event = event_new(t->p->base, d->fd, EV_READ | EV_PERSIST, on_readable, d);
		log_notice("the %s listener is served",
			   d->which == LISTEN_TUNNEL ? "tunnel" : "enrolment");
	}
	ENSURE(d->event && event_add(d->event, NULL) == 0, ERR_INTERNAL, "out of memory");
	d->open = true;
	return OK;
}

void accept_tick(struct telemetry *t)
{
	struct acceptor *a = t->acceptor;
	if (!a->later)
		a->later = event_new(t->p->base, -1, 0, on_later, t);
	if (!a->sources)
		a->sources = sources_new(&t->hash_key);
	for (int i = 0; i < LISTENERS; i++) {
		struct err e = a->later && a->sources ? open_door(t, &a->door[i])
						      : err_make(ERR_LIMIT, "out of memory");
		if (e.code != ERR_NONE)
			log_error("a listener cannot be served: %s", e.text);
	}
}

struct err accept_listener(struct telemetry *t, enum telemetry_listener l, int fd)
{
	struct door *d = &t->acceptor->door[l];
	ENSURE(d->fd < 0, ERR_PEER, "the same listener twice");
	d->fd = fd;
	return OK;
}

void accept_closed(struct telemetry *t, struct source *from)
{
	if (from)
		from->open--;
	accept_tick(t);
}
