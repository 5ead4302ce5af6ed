// SPDX-License-Identifier: Apache-2.0
// Transports on libevent's bufferevents. A closed transport lingers by itself until what it had
// queued is written or LINGER_S have passed. `busy` counts our frames on the stack: the memory goes
// only when none is left, so that a handler may close the transport that is calling it.

#include "lib/gnmi/transport_internal.h"

#include "lib/base/sabotage.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// libevent reserves a block of this and its own head for each connection, rounded up to a power of
// two, whether anything comes or not; a TLS record is 16 KiB.
enum { LINGER_S = 5, READ_AT_ONCE = (16 << 10) - 128, WRITE_AT_ONCE = 128 << 10 };

struct socket_transport {
	struct transport common;
	struct bufferevent *bev;
	struct event *open_event; // says "open" for sockets that are connected already
	unsigned busy;
	bool open, told_open; // the handshake is done; on_open has run
	bool ended, told_end;
	bool closed, paused;
};

static struct socket_transport *socket_of(struct transport *t)
{
	return (struct socket_transport *)t;
}

static void socket_free(struct socket_transport *s)
{
	SSL *ssl = bufferevent_openssl_get_ssl(s->bev);
	if (ssl && s->open && !s->ended) {
		ERR_clear_error();
		SSL_shutdown(
			ssl); // close_notify, RFC 8446 6.1; whether it left is not ours to know
		ERR_clear_error();
	}
	if (s->open_event)
		event_free(s->open_event);
	bufferevent_free(s->bev);
	free(s);
}

static void socket_enter(struct socket_transport *s)
{
	s->busy++;
}

// A closed one: away with it, or let it write what it has.
static void socket_settle(struct socket_transport *s)
{
	if (s->ended || !s->open || evbuffer_get_length(bufferevent_get_output(s->bev)) == 0) {
		socket_free(s);
		return;
	}
	bufferevent_disable(s->bev, EV_READ);
	bufferevent_setwatermark(s->bev, EV_WRITE, 0, 0);
	struct timeval linger = {LINGER_S, 0};
	bufferevent_set_timeouts(s->bev, NULL, &linger);
}

static void socket_leave(struct socket_transport *s)
{
	if (--s->busy == 0 && s->closed)
		socket_settle(s);
}

static void socket_end(struct socket_transport *s, struct err why)
{
	if (s->ended)
		return;
	s->ended = true;
	bufferevent_disable(s->bev, EV_READ | EV_WRITE);
	if (s->common.events) {
		s->told_end = true;
		s->common.events->on_end(s->common.ctx, why);
	}
}

static void socket_opened(struct socket_transport *s)
{
	SSL *ssl = bufferevent_openssl_get_ssl(s->bev);
	if (ssl) {
		const unsigned char *alpn = NULL;
		unsigned n = 0;
		SSL_get0_alpn_selected(ssl, &alpn, &n);
		if (n != 2 || memcmp(alpn, "h2", 2) != 0) {
			socket_end(s, err_make(ERR_PEER,
					       "TLS: no agreement on HTTP/2; offer ALPN \"h2\" "
					       "(RFC 9113 section 3.2)"));
			return;
		}
	}
	s->open = true;
	if (!s->common.events)
		return; // not started yet: on_open_event tells
	s->told_open = true;
	s->common.events->on_open(s->common.ctx);
}

static void on_open_event(evutil_socket_t fd, short what, void *ctx)
{
	struct socket_transport *s = ctx;
	socket_enter(s);
	if (s->ended && !s->told_end && s->common.events) {
		s->told_end = true;
		s->common.events->on_end(
			s->common.ctx, err_make(ERR_PEER, "broke before the connection was open"));
	} else if (!s->told_open && !s->ended && !s->closed) {
		socket_opened(s);
	}
	if (s->told_open && !s->paused && !s->closed && !s->ended)
		bufferevent_trigger(s->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
	socket_leave(s);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct socket_transport *s = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	socket_enter(s);
	while (s->told_open && !s->closed && !s->ended && !s->paused && evbuffer_get_length(in)) {
		struct evbuffer_iovec v;
		if (evbuffer_peek(in, -1, NULL, &v, 1) < 1)
			break;
		s->common.events->on_bytes(s->common.ctx, v.iov_base, v.iov_len);
		evbuffer_drain(in, v.iov_len);
	}
	socket_leave(s);
}

static void on_write(struct bufferevent *bev, void *ctx)
{
	struct socket_transport *s = ctx;
	socket_enter(s);
	if (s->told_open && !s->closed && !s->ended)
		s->common.events->on_drain(s->common.ctx);
	socket_leave(s); // frees a closed one whose last byte has gone
}

static struct err socket_error(struct socket_transport *s)
{
	SSL *ssl = bufferevent_openssl_get_ssl(s->bev);
	unsigned long code = ssl ? bufferevent_get_openssl_error(s->bev) : 0;
	int socket_code = EVUTIL_SOCKET_ERROR();
	ERR_clear_error();
	if (!ssl || !code)
		return err_make(ERR_IO, "the connection broke: %s",
				socket_code ? evutil_socket_error_to_string(socket_code)
					    : "closed without a word");
	long verify = SSL_get_verify_result(ssl);
	if (verify != X509_V_OK)
		return err_make(ERR_AUTH, "TLS: certificate refused: %s",
				X509_verify_cert_error_string(verify));
	if (ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return err_make(ERR_AUTH, "TLS: no certificate was given; one is required here");
	if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return err_make(s->open ? ERR_IO : ERR_PEER,
				"TLS: closed without close_notify (RFC 8446 section 6.1)");
	const char *reason = ERR_reason_error_string(code);
	return err_make(s->open ? ERR_IO : ERR_PEER, "TLS: %s", reason ? reason : "broken");
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct socket_transport *s = ctx;
	socket_enter(s);
	if (what & BEV_EVENT_CONNECTED) {
		if (!s->open && !s->closed)
			socket_opened(s);
	} else if (what & BEV_EVENT_EOF) {
		socket_end(s,
			   s->open ? OK
				   : err_make(ERR_PEER, "closed before the connection was open"));
	} else if (what & BEV_EVENT_TIMEOUT) {
		socket_end(s, err_make(ERR_PEER, "does not read what was sent"));
	} else if (!sabotaged("transit-integrity") || !s->open) { // X.2011 8.2.1-2
		socket_end(s, socket_error(s));
	}
	socket_leave(s);
}

static void socket_start(struct transport *t)
{
	struct socket_transport *s = socket_of(t);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	SSL *ssl = bufferevent_openssl_get_ssl(s->bev);
	if (!ssl || SSL_is_init_finished(ssl) || s->ended)
		event_active(s->open_event, EV_TIMEOUT, 0);
}

static void socket_send(struct transport *t, const void *bytes, size_t n)
{
	struct socket_transport *s = socket_of(t);
	if (s->ended || s->closed)
		return;
	if (bufferevent_write(s->bev, bytes, n) < 0)
		bufferevent_trigger_event(s->bev, BEV_EVENT_ERROR, BEV_TRIG_DEFER_CALLBACKS);
}

static size_t socket_queued(const struct transport *t)
{
	return evbuffer_get_length(bufferevent_get_output(((struct socket_transport *)t)->bev));
}

static void socket_pause(struct transport *t, bool paused)
{
	struct socket_transport *s = socket_of(t);
	if (s->paused == paused || s->closed || s->ended)
		return;
	s->paused = paused;
	if (!s->open)
		return; // the handshake must be able to go on
	if (paused) {
		bufferevent_disable(s->bev, EV_READ);
	} else {
		bufferevent_enable(s->bev, EV_READ);
		event_active(s->open_event, EV_TIMEOUT, 0); // what has been read already
	}
}

static void socket_close(struct transport *t)
{
	struct socket_transport *s = socket_of(t);
	s->closed = true;
	s->common.events = NULL;
	if (!s->busy)
		socket_settle(s);
}

static struct ssl_st *socket_ssl(struct transport *t)
{
	return bufferevent_openssl_get_ssl(socket_of(t)->bev);
}

static const struct transport_ops socket_ops = {
	.start = socket_start,
	.send = socket_send,
	.queued = socket_queued,
	.pause = socket_pause,
	.close = socket_close,
	.ssl = socket_ssl,
};

// Neither libevent nor OpenSSL write with MSG_NOSIGNAL: a peer that goes must not take us along.
static void ignore_sigpipe(void)
{
	static bool done;
	if (!done)
		signal(SIGPIPE, SIG_IGN);
	done = true;
}

struct transport *transport_bufferevent(struct bufferevent *bev)
{
	ignore_sigpipe();
	struct socket_transport *s = calloc(1, sizeof *s);
	if (!s) {
		bufferevent_free(bev);
		return NULL;
	}
	s->bev = bev;
	s->common.ops = &socket_ops;
	s->common.base = bufferevent_get_base(bev);
	s->open_event = event_new(s->common.base, -1, 0, on_open_event, s);
	if (!s->open_event) {
		bufferevent_free(bev);
		free(s);
		return NULL;
	}
	int one = 1; // frames go out as they are made; not a TCP socket: no matter
	if (bufferevent_getfd(bev) >= 0)
		setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	bufferevent_setcb(bev, on_read, on_write, on_event, s);
	bufferevent_setwatermark(bev, EV_READ, 0, READ_AT_ONCE);
	bufferevent_setwatermark(bev, EV_WRITE, TRANSPORT_LOW, 0);
	bufferevent_set_max_single_read(bev, READ_AT_ONCE);
	bufferevent_set_max_single_write(bev, WRITE_AT_ONCE);
	return &s->common;
}

struct err transport_tls(struct event_base *base, int fd, struct ssl_st *ssl, bool server,
			 struct transport **out)
{
	struct bufferevent *bev = NULL;
	if (evutil_make_socket_nonblocking(fd) == 0)
		bev = bufferevent_openssl_socket_new(base, fd, ssl,
						     server ? BUFFEREVENT_SSL_ACCEPTING
							    : BUFFEREVENT_SSL_CONNECTING,
						     BEV_OPT_CLOSE_ON_FREE);
	if (!bev) {
		SSL_free(ssl);
		close(fd);
		return err_make(ERR_IO, "TLS on descriptor %d: out of memory or not a socket", fd);
	}
	*out = transport_bufferevent(bev);
	ENSURE(*out, ERR_LIMIT, "TLS connection: out of memory");
	return OK;
}

struct err transport_plain(struct event_base *base, int fd, struct transport **out)
{
	struct bufferevent *bev = NULL;
	if (evutil_make_socket_nonblocking(fd) == 0)
		bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!bev) {
		close(fd);
		return err_make(ERR_IO, "descriptor %d: out of memory or not a socket", fd);
	}
	*out = transport_bufferevent(bev);
	ENSURE(*out, ERR_LIMIT, "connection: out of memory");
	return OK;
}

struct ssl_st *transport_ssl(struct transport *t)
{
	return t->ops->ssl(t);
}

struct event_base *transport_base(struct transport *t)
{
	return t->base;
}

void transport_start(struct transport *t, const struct transport_events *events, void *ctx)
{
	t->events = events;
	t->ctx = ctx;
	t->ops->start(t);
}

void transport_send(struct transport *t, const void *bytes, size_t n)
{
	t->ops->send(t, bytes, n);
}

size_t transport_queued(const struct transport *t)
{
	return t->ops->queued(t);
}

void transport_pause(struct transport *t, bool paused)
{
	t->ops->pause(t, paused);
}

void transport_close(struct transport *t)
{
	if (t)
		t->ops->close(t);
}
