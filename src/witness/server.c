// SPDX-License-Identifier: Apache-2.0

#include "witness/server.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/tlog/request.h"
#include "witness/http.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 250 };

// A client asks (HEAD, then BODY) and is answered, again and again, until one end wants no more;
// then what it still sends is thrown away (LINGER), so that a reset does not overtake the answer.
enum client_state { CLIENT_HEAD, CLIENT_BODY, CLIENT_CLOSING, CLIENT_LINGER };

struct client {
	struct server *server;
	struct bufferevent *bev;
	enum client_state state;
	bool keep_alive, started;
	size_t length; // of the body
	int64_t since_ns, until_ns;
	TAILQ_ENTRY(client) link;
};

struct server {
	struct keeper *keeper;
	struct evconnlistener *listener;
	struct event *tick;
	TAILQ_HEAD(, client) clients;
	unsigned n;
};

static void client_free(struct client *c)
{
	TAILQ_REMOVE(&c->server->clients, c, link);
	c->server->n--;
	bufferevent_free(c->bev);
	free(c);
}

static void within(struct client *c, int seconds)
{
	c->until_ns = clock_mono_ns() + seconds * NS_PER_S;
}

// --- answers

static void date(char out[64])
{
	time_t now = time(NULL);
	struct tm tm;
	if (!gmtime_r(&now, &tm) || !strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", &tm))
		out[0] = 0;
}

static void reply(struct client *c, unsigned status, const char *type, const void *body, size_t n)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	char now[64];
	date(now);
	evbuffer_add_printf(
		out, "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n",
		status, http_reason(status), now, type, n);
	if (status == 405)
		evbuffer_add_printf(out, "Allow: POST\r\n");
	evbuffer_add_printf(out, "Connection: %s\r\n\r\n", c->keep_alive ? "keep-alive" : "close");
	evbuffer_add(out, body, n);
	c->since_ns = clock_mono_ns();
	c->started = false;
	c->state = c->keep_alive ? CLIENT_HEAD : CLIENT_CLOSING;
	within(c, c->keep_alive ? SERVER_IDLE_S : SERVER_REQUEST_S);
}

// Ends the exchange with a status: what follows on this connection is not read.
static void refuse(struct client *c, unsigned status, bool with_body)
{
	char text[64];
	int n = snprintf(text, sizeof text, "%s\n", http_reason(status));
	c->keep_alive = false;
	reply(c, status, "text/plain; charset=utf-8", text, with_body ? (size_t)n : 0);
}

// --- requests

static void take_head(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	uint8_t bytes[HTTP_HEAD_MAX];
	ev_ssize_t got = evbuffer_copyout(in, bytes, sizeof bytes);
	size_t n = got > 0 ? http_head_length(bytes, (size_t)got) : 0;
	struct http_head head;
	unsigned status;
	if (got > 0 && !c->started) {
		c->started = true;
		within(c, SERVER_REQUEST_S);
	}
	if (n == 0) {
		if (got == sizeof bytes)
			refuse(c, 431, true);
		return;
	}
	bool good = http_head_read(bytes, n, &head, &status);
	if (!good) {
		refuse(c, status, true);
		return;
	}
	static const char path[] = "/add-checkpoint";
	if (head.path_len != sizeof path - 1 || memcmp(head.path, path, sizeof path - 1) != 0)
		refuse(c, 404, head.method != HTTP_HEAD);
	else if (head.method != HTTP_POST)
		refuse(c, 405, head.method != HTTP_HEAD);
	else if (!head.has_length)
		refuse(c, 411, true);
	else if (head.length > REQUEST_MAX)
		refuse(c, 413, true);
	else
		c->state = CLIENT_BODY;
	if (c->state != CLIENT_BODY)
		return;
	evbuffer_drain(in, n);
	c->length = (size_t)head.length;
	c->keep_alive = head.keep_alive;
	if (head.expects && evbuffer_get_length(in) < c->length)
		evbuffer_add_printf(bufferevent_get_output(c->bev),
				    "HTTP/1.1 100 Continue\r\n\r\n");
}

static void take_body(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct keeper_answer a = {.body = {.limit = 1 << 16}};
	if (evbuffer_get_length(in) < c->length)
		return;
	const uint8_t *body =
		c->length ? evbuffer_pullup(in, (ev_ssize_t)c->length) : (const uint8_t *)"";
	if (!body) {
		refuse(c, 500, true);
		return;
	}
	keeper_judge(c->server->keeper, body, c->length, (uint64_t)(clock_wall_ns() / NS_PER_S),
		     &a);
	evbuffer_drain(in, c->length);
	if (a.body.failed)
		refuse(c, 500, true);
	else
		reply(c, a.status, a.type, a.body.data, a.body.len);
	buf_clear(&a.body);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct client *c = ctx;
	if (c->state == CLIENT_HEAD && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		take_head(c); // the next one only when the last answer was taken
	if (c->state == CLIENT_BODY)
		take_body(c);
	if (c->state >= CLIENT_CLOSING)
		evbuffer_drain(bufferevent_get_input(bev),
			       evbuffer_get_length(bufferevent_get_input(bev)));
}

static void on_written(struct bufferevent *bev, void *ctx)
{
	struct client *c = ctx;
	if (evbuffer_get_length(bufferevent_get_output(bev)) > 0)
		return;
	if (c->state == CLIENT_CLOSING) {
		shutdown(bufferevent_getfd(bev), SHUT_WR);
		c->state = CLIENT_LINGER;
		within(c, SERVER_LINGER_S);
	} else if (evbuffer_get_length(bufferevent_get_input(bev)) > 0) {
		on_read(bev, c);
	}
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct client *c = ctx;
	bool waiting = evbuffer_get_length(bufferevent_get_output(bev)) > 0;
	if (!(what & BEV_EVENT_EOF) || !waiting) {
		client_free(c);
		return;
	}
	bufferevent_disable(bev, EV_READ); // it has said all, and still listens
	c->state = CLIENT_CLOSING;
	within(c, SERVER_REQUEST_S);
}

// --- connections

static void make_room(struct server *s)
{
	struct client *c, *oldest = NULL;
	TAILQ_FOREACH(c, &s->clients, link)
	if (!oldest || c->since_ns < oldest->since_ns)
		oldest = c;
	if (oldest)
		client_free(oldest);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int len,
		      void *ctx)
{
	struct server *s = ctx;
	if (s->n >= SERVER_CLIENTS)
		make_room(s);
	struct client *c = calloc(1, sizeof *c);
	struct bufferevent *bev =
		c ? bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE)
		  : NULL;
	if (!bev) {
		free(c);
		close(fd);
		return;
	}
	*c = (struct client){.server = s, .bev = bev, .since_ns = clock_mono_ns()};
	within(c, SERVER_REQUEST_S);
	TAILQ_INSERT_TAIL(&s->clients, c, link);
	s->n++;
	bufferevent_setcb(bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(bev, EV_READ, 0, HTTP_HEAD_MAX + REQUEST_MAX);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct server *s = ctx;
	int64_t now = clock_mono_ns();
	struct client *c = TAILQ_FIRST(&s->clients), *next;
	for (; c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (now > c->until_ns)
			client_free(c);
	}
}

struct err server_listen(const struct witness_listen *at, int *out)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = {.any.sa_family = AF_INET};
	socklen_t len = sizeof a.v4;
	int on = 1;
	if (inet_pton(AF_INET, at->address, &a.v4.sin_addr) == 1) {
		a.v4.sin_port = htons((uint16_t)at->port);
	} else {
		ENSURE(inet_pton(AF_INET6, at->address, &a.v6.sin6_addr) == 1, ERR_USAGE,
		       "listen.address: \"%.64s\" is not a numeric address", at->address);
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons((uint16_t)at->port);
		len = sizeof a.v6;
	}
	scoped(fd) int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    (a.any.sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
	    bind(fd, &a.any, len) < 0 || listen(fd, SERVER_CLIENTS) < 0)
		return err_system("listening on %s port %lld", at->address, (long long)at->port);
	*out = fd;
	fd = -1;
	return OK;
}

struct err server_new(struct event_base *base, int fd, struct keeper *keeper, struct server **out)
{
	const struct timeval every = {.tv_usec = TICK_MS * 1000};
	struct server *s = calloc(1, sizeof *s);
	if (!s) {
		close(fd);
		return err_make(ERR_LIMIT, "out of memory");
	}
	s->keeper = keeper;
	TAILQ_INIT(&s->clients);
	s->listener = evconnlistener_new(base, on_accept, s, LEV_OPT_CLOSE_ON_FREE, 0, fd);
	if (!s->listener)
		close(fd);
	s->tick = event_new(base, -1, EV_PERSIST, on_tick, s);
	if (!s->listener || !s->tick || event_add(s->tick, &every) != 0) {
		server_free(s);
		return err_make(ERR_LIMIT, "out of memory");
	}
	*out = s;
	return OK;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (!TAILQ_EMPTY(&s->clients))
		client_free(TAILQ_FIRST(&s->clients));
	if (s->listener)
		evconnlistener_free(s->listener);
	if (s->tick)
		event_free(s->tick);
	free(s);
}
