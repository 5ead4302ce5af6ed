// SPDX-License-Identifier: Apache-2.0
// The listener: who comes is let through the handshake, named, told why nothing is done, and shown
// out. Nothing that he says is decoded.
#include "control/control.h"

#include "lib/base/log.h"
#include "lib/gnmi/grpc.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char why[] = "control arrives with instructions; this gemeld carries none yet";

static struct err refuse(void *ctx, struct grpc_call *call)
{
	struct control *c = ctx;
	struct x509_identity who;
	struct ssl_st *ssl = transport_ssl(grpc_conn_transport(grpc_call_conn(call)));
	struct err e = ssl ? tls_peer_identity(ssl, &who) : err_make(ERR_AUTH, "no TLS");
	c->refused++;
	if (e.code != ERR_NONE) // the handshake demands one: it cannot be
		return e;
	log_notice("%s %s asked %s: refused", *who.device ? "device" : "role",
		   *who.device ? who.device : who.role, grpc_call_path(call));
	grpc_call_finish(call, GRPC_UNIMPLEMENTED, why);
	return OK;
}

static void unheard(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
}

static const struct grpc_handlers handlers = {.on_start = refuse, .on_message = unheard};

static void on_end(void *ctx, struct grpc_conn *conn, struct err e)
{
	struct control *c = ctx;
	c->connections--;
	if (e.code != ERR_NONE)
		log_debug("a connection ended: %s", e.text);
	if (c->door)
		event_add(c->door, NULL);
}

static const struct grpc_conn_events conn_events = {.on_end = on_end};

static void accept_one(struct control *c, int fd)
{
	SSL *ssl = NULL;
	struct transport *t = NULL;
	struct grpc_conn *conn;
	struct err e = tls_connection_new(c->tls, NULL, &ssl);
	if (e.code != ERR_NONE)
		close(fd);
	else
		e = transport_tls(c->p->base, fd, ssl, true, &t);
	if (e.code == ERR_NONE) {
		c->connections++;
		e = grpc_server_accept(c->grpc, t, &conn_events, c, &conn);
		if (e.code != ERR_NONE)
			c->connections--;
	}
	if (e.code == ERR_NONE)
		c->accepted++;
	else
		log_warning("a connection was not begun: %s", e.text);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct control *c = ctx;
	while (c->connections < CONNECTIONS_MAX) {
		int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (got >= 0) {
			accept_one(c, got);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			log_warning("accept: %s", strerror(errno));
			return;
		}
	}
	event_del(c->door); // the rest waits in the backlog until one leaves
}

struct err door_start(struct control *c)
{
	static const struct {
		const char *path;
		enum grpc_kind kind;
	} methods[] = {
		{"/gnmi.gNMI/Capabilities", GRPC_UNARY},
		{"/gnmi.gNMI/Get", GRPC_UNARY},
		{"/gnmi.gNMI/Set", GRPC_UNARY},
		{"/gnmi.gNMI/Subscribe", GRPC_BIDI},
		{"/grpctunnel.Tunnel/Register", GRPC_BIDI},
		{"/grpctunnel.Tunnel/Tunnel", GRPC_BIDI},
	};
	c->grpc = grpc_server_new(NULL);
	ENSURE(c->grpc, ERR_LIMIT, "out of memory");
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		TRY(grpc_server_add(c->grpc, methods[i].path, methods[i].kind, &handlers, c));
	return OK;
}

struct err door_open(struct control *c)
{
	if (c->door || c->listener < 0)
		return OK;
	c->door = event_new(c->p->base, c->listener, EV_READ | EV_PERSIST, on_readable, c);
	ENSURE(c->door && event_add(c->door, NULL) == 0, ERR_INTERNAL, "out of memory");
	log_notice("the control listener is served: it refuses instructions");
	return OK;
}

void door_clear(struct control *c)
{
	if (c->door)
		event_free(c->door);
	c->door = NULL;
	if (c->listener >= 0)
		close(c->listener);
}
