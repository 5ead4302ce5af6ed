// SPDX-License-Identifier: Apache-2.0
// HTTPS doors over evhttp and OpenSSL, with the bounds that evhttp lacks: connections in all and per
// address, a deadline for each request from its first to its last byte, and a measure of what a
// stream has not yet taken. TLS 1.3 only (lib/crypto/tls.h). Two doors, api and console, share the
// bounds. What goes wrong below the request (a malformed request line, too long headers) is answered
// by evhttp itself with 400, 413 or 501 and the end of the connection.
// X.2011 8.2.1-2, 8.2.1-3. Used by northbound.
#pragma once

#include "lib/crypto/tls.h"

#include <event2/event.h>
#include <netinet/in.h>

enum http_door { DOOR_API, DOOR_CONSOLE, DOORS };

struct http_limits {
	unsigned connections, per_address;
	unsigned request_s; // from accept, or the last answer, to the last byte of a request
	unsigned stalled_s; // an answer that nobody takes
	size_t head, body;  // bytes
};
extern struct http_limits http_default_limits; // a test may tighten them before http_new

struct http; // opaque

// A request that waits for its answer. It is answered once: http_reply, or http_stream_start then
// http_stream_end; each of the ends frees it.
struct http_request {
	struct http *http;
	enum http_door door;
	char source[INET6_ADDRSTRLEN];
	void *user; // of whoever answers
	bool streaming;
	struct evhttp_request *ev;
	struct http_connection *connection; // NULL: the client is gone
};

struct http_events {
	void (*on_request)(void *ctx, struct http_request *r);
	void (*on_gone)(void *ctx, struct http_request *r); // of a stream: end it
};

// `tls` is borrowed and must outlive it. NULL limits: the defaults.
MUST_USE struct err http_new(struct event_base *base, struct tls_context *tls,
			     const struct http_limits *limits, const struct http_events *events,
			     void *ctx, struct http **out);
void http_free(struct http *h); // NULL is fine
// Serves a listening socket, non-blocking; takes it over.
MUST_USE struct err http_listen(struct http *h, enum http_door door, int fd);
unsigned http_connections(const struct http *h);

const char *http_method(const struct http_request *r); // "GET"; "" when it is none that we know
const char *http_target(const struct http_request *r);
const char *http_header(const struct http_request *r, const char *name); // NULL: absent
unsigned http_header_count(const struct http_request *r, const char *name);
// The body as one piece of memory, writable so that secrets in it can be zeroed.
uint8_t *http_body(struct http_request *r, size_t *n);

void http_add_header(struct http_request *r, const char *name, const char *value);
// A body is not sent for HEAD, 204 and 304. `type` NULL: no Content-Type.
void http_reply(struct http_request *r, unsigned status, const char *type, const void *body,
		size_t n);
void http_stream_start(struct http_request *r, unsigned status, const char *type);
void http_stream_send(struct http_request *r, const void *bytes, size_t n);
size_t http_stream_waiting(const struct http_request *r); // bytes that the client has not taken
void http_stream_end(struct http_request *r);
// Ends the connection at once; a stream is told by on_gone.
void http_drop(struct http_request *r);
