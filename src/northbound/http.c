// SPDX-License-Identifier: Apache-2.0
// evhttp accepts and owns connections, and tells nothing of them before a request is complete. So
// each connection is followed by its TLS object instead: made in evhttp's bufferevent callback,
// known again by the SSL's ex_data, and gone when OpenSSL frees it. A sweep each second ends those
// whose request is not complete in time, after a 408 that says so. At the bound of connections the
// listeners pause: who waits in the backlog costs us nothing.
#include "northbound/http.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

struct http_limits http_default_limits = {
	.connections = 256, .per_address = 128, .request_s = 60, .stalled_s = 30,
	.head = 16 << 10, .body = 1000000,
};

struct http_connection {
	struct http *http;
	struct bufferevent *bev; // evhttp's; as alive as `ssl`
	struct ssl_st *ssl;
	struct http_request *current;
	int64_t deadline_ns;
	uint64_t read_before; // raw bytes taken before this request
	bool placed;          // its address is known and counted
	bool dropped;
	char source[INET6_ADDRSTRLEN];
	LIST_ENTRY(http_connection) link;
};

struct door {
	struct http *http;
	enum http_door door;
	struct evhttp *ev;
	struct evconnlistener *listener; // owned by ev
};

struct http {
	struct event_base *base;
	struct tls_context *tls;
	struct http_limits limits;
	struct http_events events;
	void *ctx;
	struct door doors[DOORS];
	LIST_HEAD(, http_connection) connections;
	unsigned n_connections;
	bool paused;
	struct event *fresh, *sweep;
};

static int ex_index = -1;

// --- connections

static void pause_doors(struct http *h, bool pause)
{
	if (h->paused == pause)
		return;
	h->paused = pause;
	for (int i = 0; i < DOORS; i++) {
		if (!h->doors[i].listener)
			continue;
		if (pause)
			evconnlistener_disable(h->doors[i].listener);
		else
			evconnlistener_enable(h->doors[i].listener);
	}
	if (pause)
		log_warning("%u connections are open, the most there may be: new ones wait",
			    h->n_connections);
}

// OpenSSL frees the SSL: the connection is over, however it ended.
static void connection_over(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
			    void *argp)
{
	struct http_connection *c = ptr;
	if (!c)
		return;
	LIST_REMOVE(c, link);
	c->http->n_connections--;
	if (c->current)
		c->current->connection = NULL;
	if (c->http->n_connections < c->http->limits.connections)
		pause_doors(c->http, false);
	free(c);
}

static void await_request(struct http_connection *c)
{
	c->current = NULL;
	c->deadline_ns = clock_mono_ns() + c->http->limits.request_s * NS_PER_S;
	c->read_before = BIO_number_read(SSL_get_rbio(c->ssl));
}

// evhttp asks for the bufferevent of a connection that it has just accepted. To return NULL would
// make it speak without TLS, so that failing here must end the process.
static struct bufferevent *connection_new(struct event_base *base, void *arg)
{
	struct door *d = arg;
	struct http *h = d->http;
	struct http_connection *c = calloc(1, sizeof *c);
	struct ssl_st *ssl = NULL;
	struct err e = tls_connection_new(h->tls, NULL, &ssl);
	if (!c || e.code != ERR_NONE) {
		log_error("a connection could not be made: %s", c ? e.text : "out of memory");
		abort();
	}
	c->bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
						BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev || SSL_set_ex_data(ssl, ex_index, c) != 1) {
		log_error("a connection could not be made: out of memory");
		abort();
	}
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	c->http = h;
	c->ssl = ssl;
	c->deadline_ns = clock_mono_ns() + h->limits.request_s * NS_PER_S;
	LIST_INSERT_HEAD(&h->connections, c, link);
	if (++h->n_connections >= h->limits.connections)
		pause_doors(h, true);
	event_active(h->fresh, EV_TIMEOUT, 0);
	return c->bev;
}

static void connection_drop(struct http_connection *c)
{
	int fd = bufferevent_getfd(c->bev);
	if (fd >= 0 && !c->dropped)
		shutdown(fd, SHUT_RDWR);
	c->dropped = true;
}

static unsigned count_of(const struct http *h, const char *source)
{
	const struct http_connection *c;
	unsigned n = 0;
	LIST_FOREACH(c, &h->connections, link)
		n += c->placed && strcmp(c->source, source) == 0;
	return n;
}

static bool address_of(int fd, char out[INET6_ADDRSTRLEN])
{
	struct sockaddr_storage ss = {0};
	socklen_t n = sizeof ss;
	if (fd < 0 || getpeername(fd, (struct sockaddr *)&ss, &n) != 0)
		return false;
	const void *address = ss.ss_family == AF_INET6
				      ? (const void *)&((struct sockaddr_in6 *)&ss)->sin6_addr
				      : (const void *)&((struct sockaddr_in *)&ss)->sin_addr;
	if (ss.ss_family != AF_INET && ss.ss_family != AF_INET6) {
		memcpy(out, "local", sizeof "local");
		return true;
	}
	return inet_ntop(ss.ss_family, address, out, INET6_ADDRSTRLEN) != NULL;
}

// Runs after evhttp has given new connections their sockets.
static void on_fresh(int fd, short what, void *arg)
{
	struct http *h = arg;
	struct http_connection *c;
	LIST_FOREACH(c, &h->connections, link) {
		char source[INET6_ADDRSTRLEN];
		if (c->placed || c->dropped || !address_of(bufferevent_getfd(c->bev), source))
			continue;
		unsigned n = count_of(h, source);
		memcpy(c->source, source, sizeof c->source);
		c->placed = true;
		if (n >= h->limits.per_address) {
			log_warning("a connection from %s is refused: it has %u, the most there may be",
				    source, n);
			connection_drop(c);
		}
	}
}

// evhttp has read part of a request and waits: nothing of its own is in the output, so that these
// bytes may go out directly.
static void say_too_slow(struct http_connection *c)
{
	static const char body[] =
		"{\"type\":\"urn:gemel:problem:limit\",\"title\":\"Too slow\",\"status\":408,\"detail\":"
		"\"the request was not complete in time\",\"fix\":\"Send the whole request at once.\"}";
	char text[512];
	int n = snprintf(text, sizeof text,
			 "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: "
			 "application/problem+json\r\nContent-Length: %zu\r\n\r\n%s",
			 sizeof body - 1, body);
	bool begun = BIO_number_read(SSL_get_rbio(c->ssl)) > c->read_before;
	if (SSL_is_init_finished(c->ssl) && begun) {
		(void)!SSL_write(c->ssl, text, n);
		SSL_shutdown(c->ssl);
	}
	connection_drop(c);
}

static void on_sweep(int fd, short what, void *arg)
{
	struct http *h = arg;
	struct http_connection *c;
	int64_t now = clock_mono_ns();
	LIST_FOREACH(c, &h->connections, link) {
		bool writing = evbuffer_get_length(bufferevent_get_output(c->bev)) > 0;
		if (!c->current && !writing && !c->dropped && now > c->deadline_ns)
			say_too_slow(c);
	}
}

// --- requests

static void on_closed(struct evhttp_connection *evcon, void *arg)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
	struct http_connection *c = SSL_get_ex_data(bufferevent_openssl_get_ssl(bev), ex_index);
	struct http_request *r = c ? c->current : NULL;
	if (!r)
		return;
	c->current = NULL;
	r->connection = NULL;
	if (r->streaming)
		r->http->events.on_gone(r->http->ctx, r);
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	struct door *d = arg;
	struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
	struct http_connection *c = SSL_get_ex_data(bufferevent_openssl_get_ssl(bev), ex_index);
	struct http_request *r = calloc(1, sizeof *r);
	if (!r || !c) {
		free(r);
		evhttp_send_error(ev, 503, NULL);
		return;
	}
	*r = (struct http_request){.http = d->http, .door = d->door, .ev = ev, .connection = c};
	memcpy(r->source, c->source, sizeof r->source);
	c->current = r;
	evhttp_connection_set_closecb(evcon, on_closed, NULL);
	d->http->events.on_request(d->http->ctx, r);
}

static const struct {
	enum evhttp_cmd_type type;
	const char *name;
} methods[] = {
	{EVHTTP_REQ_GET, "GET"}, {EVHTTP_REQ_HEAD, "HEAD"}, {EVHTTP_REQ_POST, "POST"},
	{EVHTTP_REQ_PUT, "PUT"}, {EVHTTP_REQ_PATCH, "PATCH"}, {EVHTTP_REQ_DELETE, "DELETE"},
	{EVHTTP_REQ_OPTIONS, "OPTIONS"},
};
enum { METHODS = sizeof methods / sizeof *methods };

static struct err door_open(struct http *h, struct door *d)
{
	ev_uint16_t allowed = 0;
	d->http = h;
	d->ev = evhttp_new(h->base);
	ENSURE(d->ev, ERR_LIMIT, "out of memory");
	for (int i = 0; i < METHODS; i++)
		allowed |= (ev_uint16_t)methods[i].type;
	evhttp_set_allowed_methods(d->ev, allowed);
	evhttp_set_default_content_type(d->ev, NULL);
	evhttp_set_max_headers_size(d->ev, (ev_ssize_t)h->limits.head);
	evhttp_set_max_body_size(d->ev, (ev_ssize_t)h->limits.body);
	evhttp_set_timeout(d->ev, (int)h->limits.stalled_s);
	evhttp_set_flags(d->ev, EVHTTP_SERVER_LINGERING_CLOSE); // so that a 413 arrives
	evhttp_set_bevcb(d->ev, connection_new, d);
	evhttp_set_gencb(d->ev, on_request, d);
	return OK;
}

struct err http_new(struct event_base *base, struct tls_context *tls,
		    const struct http_limits *limits, const struct http_events *events, void *ctx,
		    struct http **out)
{
	struct http *h = calloc(1, sizeof *h);
	ENSURE(h, ERR_LIMIT, "out of memory");
	*out = h;
	h->base = base;
	h->tls = tls;
	h->limits = limits ? *limits : http_default_limits;
	h->events = *events;
	h->ctx = ctx;
	LIST_INIT(&h->connections);
	if (ex_index < 0)
		ex_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, connection_over);
	h->fresh = event_new(base, -1, 0, on_fresh, h);
	h->sweep = event_new(base, -1, EV_PERSIST, on_sweep, h);
	ENSURE(ex_index >= 0 && h->fresh && h->sweep, ERR_LIMIT, "out of memory");
	event_add(h->sweep, &(struct timeval){.tv_sec = 1});
	for (int i = 0; i < DOORS; i++) {
		h->doors[i].door = (enum http_door)i;
		TRY(door_open(h, &h->doors[i]));
	}
	return OK;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	for (int i = 0; i < DOORS; i++) {
		h->doors[i].listener = NULL;
		if (h->doors[i].ev)
			evhttp_free(h->doors[i].ev);
	}
	if (h->fresh)
		event_free(h->fresh);
	if (h->sweep)
		event_free(h->sweep);
	free(h);
}

struct err http_listen(struct http *h, enum http_door door, int fd)
{
	// Connections have it from their listener. An answer is several TLS records: without it the
	// last one waits for the client's delayed acknowledgement, 40 ms.
	const int one = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	struct evconnlistener *l = evconnlistener_new(
		h->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	ENSURE(l, ERR_IO, "cannot listen on the %s socket", door == DOOR_API ? "api" : "console");
	if (!evhttp_bind_listener(h->doors[door].ev, l)) {
		evconnlistener_free(l);
		return err_make(ERR_LIMIT, "out of memory");
	}
	h->doors[door].listener = l;
	return OK;
}

unsigned http_connections(const struct http *h)
{
	return h->n_connections;
}

const char *http_method(const struct http_request *r)
{
	for (int i = 0; i < METHODS; i++)
		if (methods[i].type == evhttp_request_get_command(r->ev))
			return methods[i].name;
	return "";
}

const char *http_target(const struct http_request *r)
{
	return evhttp_request_get_uri(r->ev);
}

const char *http_header(const struct http_request *r, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(r->ev), name);
}

unsigned http_header_count(const struct http_request *r, const char *name)
{
	unsigned n = 0;
	struct evkeyval *kv;
	TAILQ_FOREACH(kv, evhttp_request_get_input_headers(r->ev), next)
		n += strcasecmp(kv->key, name) == 0;
	return n;
}

uint8_t *http_body(struct http_request *r, size_t *n)
{
	struct evbuffer *b = evhttp_request_get_input_buffer(r->ev);
	*n = evbuffer_get_length(b);
	return *n ? evbuffer_pullup(b, -1) : NULL;
}

// --- answers

void http_add_header(struct http_request *r, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(r->ev), name, value);
}

static const char *reason_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *reason;
	} reasons[] = {
		{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
		{304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"},
		{403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
		{408, "Request Timeout"}, {409, "Conflict"}, {412, "Precondition Failed"},
		{413, "Content Too Large"}, {414, "URI Too Long"}, {415, "Unsupported Media Type"},
		{422, "Unprocessable Content"}, {429, "Too Many Requests"},
		{500, "Internal Server Error"}, {502, "Bad Gateway"},
		{503, "Service Unavailable"}, {504, "Gateway Timeout"},
	};
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return status < 400 ? "OK" : "Error";
}

static void finished(struct http_request *r)
{
	if (r->connection)
		await_request(r->connection);
	free(r);
}

void http_reply(struct http_request *r, unsigned status, const char *type, const void *body,
		size_t n)
{
	bool head = evhttp_request_get_command(r->ev) == EVHTTP_REQ_HEAD;
	struct evbuffer *b = NULL;
	if (type)
		http_add_header(r, "Content-Type", type);
	http_add_header(r, "X-Content-Type-Options", "nosniff");
	if (head) {
		char length[24];
		snprintf(length, sizeof length, "%zu", n);
		http_add_header(r, "Content-Length", length);
	}
	if (n && !head && status != 204 && status != 304 && (b = evbuffer_new()))
		evbuffer_add(b, body, n);
	struct evhttp_request *ev = r->ev;
	finished(r);
	evhttp_send_reply(ev, (int)status, reason_of(status), b);
	if (b)
		evbuffer_free(b);
}

void http_stream_start(struct http_request *r, unsigned status, const char *type)
{
	http_add_header(r, "Content-Type", type);
	http_add_header(r, "X-Content-Type-Options", "nosniff");
	r->streaming = true;
	evhttp_send_reply_start(r->ev, (int)status, reason_of(status));
}

void http_stream_send(struct http_request *r, const void *bytes, size_t n)
{
	struct evbuffer *b = r->connection && n ? evbuffer_new() : NULL;
	if (!b)
		return;
	evbuffer_add(b, bytes, n);
	evhttp_send_reply_chunk(r->ev, b);
	evbuffer_free(b);
}

size_t http_stream_waiting(const struct http_request *r)
{
	return r->connection ? evbuffer_get_length(bufferevent_get_output(r->connection->bev)) : 0;
}

void http_stream_end(struct http_request *r)
{
	struct evhttp_request *ev = r->ev;
	finished(r);
	evhttp_send_reply_end(ev);
}

void http_drop(struct http_request *r)
{
	if (r->connection)
		connection_drop(r->connection);
}
