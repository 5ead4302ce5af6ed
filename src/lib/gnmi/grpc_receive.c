// SPDX-License-Identifier: Apache-2.0
// Receiving the messages of a call. A message on the wire is u8 compressed flag, u32 length, bytes.
// One that lies whole in a DATA chunk is handed over where it lies; others are put together in a
// buffer that grows with what has really come, not with what the length promises (64 KiB excepted).
// While the user has paused the call, bytes are held and not consumed: at most the flow-control
// window.

#include "lib/gnmi/grpc_queue.h"

#include <stdio.h>

enum { ASSEMBLE_AT_ONCE = 64 << 10 };

static void call_consume(struct grpc_call *call, size_t n)
{
	if (!n || call->conn->dead)
		return;
	if (call->closed)
		nghttp2_session_consume_connection(call->conn->h2, n);
	else
		nghttp2_session_consume(call->conn->h2, call->stream, n);
}

// One message is whole.
static void call_deliver(struct grpc_call *call, const uint8_t *p, size_t n)
{
	call->head_len = 0;
	call->in_size = 0;
	call->slow_since_ms = 0;
	call->messages++;
	if (call->handlers->on_message)
		call->handlers->on_message(call->ctx, call, p, n);
}

// Checks the five bytes before a message.
static bool call_head(struct grpc_call *call)
{
	char text[128];
	size_t n = (size_t)call->head[1] << 24 | (size_t)call->head[2] << 16 |
		   (size_t)call->head[3] << 8 | call->head[4];
	bool server = call->conn->server != NULL;
	bool one = server ? call->kind == GRPC_UNARY || call->kind == GRPC_SERVER_STREAM
			  : call->kind == GRPC_UNARY || call->kind == GRPC_CLIENT_STREAM;
	if (call->head[0] != 0) {
		grpc_call_refuse(call, call->head[0] == 1 ? GRPC_UNIMPLEMENTED : GRPC_INTERNAL,
				 "message is compressed; send with grpc-encoding identity");
		return false;
	}
	if (n > call->conn->limits.message_max) {
		snprintf(text, sizeof text, "message of %zu bytes; at most %zu are taken", n,
			 call->conn->limits.message_max);
		grpc_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, text);
		return false;
	}
	if (one && call->messages > 0) {
		grpc_call_refuse(call, server ? GRPC_INVALID_ARGUMENT : GRPC_INTERNAL,
				 "this method takes one message; a second one came");
		return false;
	}
	call->in_size = n;
	return true;
}

// Puts bytes of the message together; false when it may not grow further.
static bool call_assemble(struct grpc_call *call, const uint8_t *p, size_t n)
{
	struct grpc_conn *c = call->conn;
	size_t before = call->in.cap;
	bool small = call->in_size <= ASSEMBLE_AT_ONCE; // worth its memory on the peer's word
	bool good = queue_reserve(&call->in, small ? call->in_size - call->in.len : n) &&
		    queue_put(&call->in, p, n);
	c->assembling += call->in.cap - before;
	if (good && c->assembling <= c->limits.assembly_max)
		return true;
	grpc_call_refuse(call, GRPC_RESOURCE_EXHAUSTED,
			 "too much is half received on this connection; send fewer at once");
	return false;
}

// Takes a piece of a message's head; false: refused, or more is needed.
static bool feed_head(struct grpc_call *call, const uint8_t *p, size_t n, size_t *at)
{
	while (call->head_len < GRPC_HEAD && *at < n)
		call->head[call->head_len++] = p[(*at)++];
	return call->head_len == GRPC_HEAD && call_head(call);
}

// Takes a piece of a message's body.
static void feed_body(struct grpc_call *call, const uint8_t *p, size_t n, size_t *at)
{
	size_t left = n - *at, want = call->in_size - call->in.len;
	if (call->in.len == 0 && left >= want) {
		*at += want;
		call_deliver(call, p + *at - want, want);
		return;
	}
	size_t take = left < want ? left : want;
	if (!call_assemble(call, p + *at, take))
		return;
	*at += take;
	if (call->in.len < call->in_size)
		return;
	call_deliver(call, call->in.data, call->in.len);
	call->conn->assembling -= call->in.cap;
	call->in.len = 0;
	if (call->in.cap > QUEUE_KEEP)
		queue_clear(&call->in);
	call->conn->assembling += call->in.cap;
}

// Returns how many bytes were used; fewer than n when the user paused or went.
static size_t call_feed(struct grpc_call *call, const uint8_t *p, size_t n)
{
	size_t at = 0;
	while (at < n && !call->gone && !call->paused) {
		if (call->head_len < GRPC_HEAD && !feed_head(call, p, n, &at))
			break;
		feed_body(call, p, n, &at);
	}
	if (call->head_len && !call->gone && !call->slow_since_ms) {
		call->slow_since_ms = grpc_now_ms();
		grpc_conn_watch(call->conn);
	}
	return at;
}

void grpc_call_data(struct grpc_call *call, const uint8_t *p, size_t n)
{
	size_t taken = 0;
	if (!call->gone && !call->paused && call->held.len == 0)
		taken = call_feed(call, p, n);
	if (call->gone)
		taken = n;
	call_consume(call, taken);
	if (taken < n && !queue_put(&call->held, p + taken, n - taken))
		grpc_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

static void server_input_done(struct grpc_call *call)
{
	if (call->told_done || call->gone)
		return;
	call->told_done = true;
	if (call->head_len)
		grpc_call_refuse(call, GRPC_INVALID_ARGUMENT, "the last message is cut short");
	else if ((call->kind == GRPC_UNARY || call->kind == GRPC_SERVER_STREAM) && !call->messages)
		grpc_call_refuse(call, GRPC_INVALID_ARGUMENT, "no request message came");
	else if (call->handlers->on_half_close)
		call->handlers->on_half_close(call->ctx, call);
}

// What a stream's end means when no grpc-status came.
static enum grpc_status status_of_reset(uint32_t code)
{
	switch (code) {
	case NGHTTP2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	default:
		return GRPC_INTERNAL;
	}
}

static void client_input_done(struct grpc_call *call)
{
	bool one = call->kind == GRPC_UNARY || call->kind == GRPC_CLIENT_STREAM;
	char text[96];
	if (call->gone)
		return;
	if (!call->closed && !call->local_done)
		grpc_call_reset(call, NGHTTP2_NO_ERROR); // the server wants no more of ours
	if (call->status < 0) {
		snprintf(text, sizeof text, "the stream ended without a status (%s)",
			 nghttp2_http2_strerror(call->error_code));
		grpc_call_end(call, status_of_reset(call->error_code), text);
	} else if (call->status == GRPC_OK && call->head_len) {
		grpc_call_end(call, GRPC_INTERNAL, "the last message is cut short");
	} else if (call->status == GRPC_OK && one && call->messages != 1) {
		grpc_call_end(call, GRPC_INTERNAL, "the server said OK and sent no message");
	} else {
		grpc_call_end(call, (enum grpc_status)call->status, call->text);
	}
}

static void call_input_done(struct grpc_call *call)
{
	if (call->held.len || !call->remote_done)
		return;
	if (call->conn->server)
		server_input_done(call);
	else
		client_input_done(call);
}

void grpc_call_remote_done(struct grpc_call *call)
{
	call->remote_done = true;
	call_input_done(call);
}

void grpc_call_stream_closed(struct grpc_call *call, uint32_t code)
{
	call->closed = true;
	if (!call->remote_done)
		call->error_code = code;
	if (call->conn->server)
		grpc_call_end(call, GRPC_CANCELLED, "the client ended the call");
	else
		grpc_call_remote_done(call);
	if (call->gone)
		grpc_call_free(call); // else `held` waits for its user; conn_sweep frees it
}

void grpc_call_resume(struct grpc_call *call)
{
	call->resume_due = false;
	if (call->gone || call->paused)
		return;
	struct grpc_queue held = call->held; // what comes in meanwhile goes behind the rest
	call->held = (struct grpc_queue){0};
	size_t taken = held.len ? call_feed(call, held.data + held.head, held.len) : 0;
	if (call->gone)
		taken = held.len;
	call_consume(call, taken);
	if (taken < held.len) {
		queue_drop(&held, taken);
		queue_clear(&call->held);
		call->held = held;
	} else {
		queue_clear(&held);
	}
	call_input_done(call);
	grpc_conn_wake(call->conn);
}

void grpc_call_slow_check(struct grpc_call *call, int64_t now_ms)
{
	if (!call->slow_since_ms || call->paused || call->closed ||
	    now_ms - call->slow_since_ms <= (int64_t)call->conn->limits.slow_ms)
		return;
	call->slow_since_ms = 0;
	if (call->gone) {
		grpc_call_reset(call,
				NGHTTP2_CANCEL); // half a header, or an answer that is not taken
	} else {
		grpc_call_refuse(call, GRPC_DEADLINE_EXCEEDED,
				 "a message was begun and not completed in time");
	}
}

void grpc_call_pause(struct grpc_call *call, bool paused)
{
	if (call->paused == paused)
		return;
	call->paused = paused;
	if (paused)
		return;
	if (call->slow_since_ms)
		call->slow_since_ms = grpc_now_ms();
	call->resume_due = true;
	call->conn->sweep_due = true;
	grpc_conn_wake(call->conn);
}
