// SPDX-License-Identifier: Apache-2.0
// Clients that dial in: mutual TLS by the twin's authority, and a certificate for one of the roles
// that the configuration lets read. Who has another role is told so in the answer to each call: a
// connection that only closes would be opened again at once, by a library that does not know why.
// X.2011 8.2.1-1.

#include "agent/wire_internal.h"

#include "lib/base/log.h"

#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool may_read(const struct conf_list *roles, const char *role)
{
	if (!roles->n)
		return strcmp(role, "telemetry-client") == 0;
	for (size_t i = 0; i < roles->n; i++)
		if (strcmp(roles->items[i], role) == 0)
			return true;
	return false;
}

static struct err on_open(void *ctx, struct grpc_conn *conn)
{
	struct client *c = ctx;
	struct x509_identity who;
	TRY(tls_peer_identity(transport_ssl(grpc_conn_transport(conn)), &who));
	if (who.role[0] && may_read(&c->wire->conf->listen.roles, who.role)) {
		log_notice("%s reads by role %s", who.subject, who.role);
		return OK;
	}
	snprintf(c->denied, sizeof c->denied,
		 "\"%s\" may not read this device: role \"%s\" is not in listen.roles", who.subject,
		 who.role);
	log_warning("%s", c->denied);
	return OK;
}

struct err service_admits(const struct service *s, struct grpc_call *call)
{
	const struct client *c = s->twin ? NULL : grpc_conn_context(grpc_call_conn(call));
	ENSURE(!c || !c->denied[0], ERR_DENIED, "%s", c->denied);
	return OK;
}

static void on_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct client *c = ctx;
	c->wire->listen.connections--;
	if (why.code != ERR_NONE)
		log_debug("a client: %s", why.text);
	free(c);
}

static const struct grpc_conn_events conn_events = {.on_open = on_open, .on_end = on_end};

static struct err take(struct wire *w, int fd)
{
	struct ssl_st *ssl = NULL;
	struct transport *t = NULL;
	struct grpc_conn *conn;
	if (!w->identity.server || w->listen.connections >= LISTEN_MAX) {
		close(fd);
		return w->identity.server
			       ? err_make(ERR_LIMIT, "%d clients are connected", LISTEN_MAX)
			       : err_make(ERR_BUSY, "not enrolled yet: no certificate");
	}
	struct err e = tls_connection_new(w->identity.server, NULL, &ssl);
	if (e.code != ERR_NONE) {
		close(fd);
		return e;
	}
	TRY(transport_tls(w->base, fd, ssl, true, &t));
	struct client *c = calloc(1, sizeof *c);
	if (!c) {
		transport_close(t);
		return err_make(ERR_LIMIT, "out of memory");
	}
	c->wire = w;
	e = grpc_server_accept(w->dial_in.grpc, t, &conn_events, c, &conn);
	if (e.code != ERR_NONE)
		free(c);
	else
		w->listen.connections++;
	return e;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int n,
		      void *ctx)
{
	struct err e = take(ctx, fd);
	if (e.code != ERR_NONE)
		log_debug("a client: %s", e.text);
}

static void on_error(struct evconnlistener *l, void *ctx)
{
	log_warning("accepting a client: %s", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

struct err wire_listen(struct wire *w, int fd)
{
	evutil_make_socket_nonblocking(fd);
	struct evconnlistener *l = evconnlistener_new(
		w->base, on_accept, w, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!l) {
		close(fd);
		return err_make(ERR_LIMIT, "out of memory");
	}
	if (w->listen.listener)
		evconnlistener_free(w->listen.listener);
	w->listen.listener = l;
	evconnlistener_set_error_cb(l, on_error);
	if (!w->listen.ready)
		evconnlistener_disable(l);
	return OK;
}

void wire_listen_ready(struct wire *w)
{
	w->listen.ready = true;
	if (w->listen.listener)
		evconnlistener_enable(w->listen.listener);
}
