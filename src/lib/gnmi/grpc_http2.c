// SPDX-License-Identifier: Apache-2.0
// nghttp2's callbacks: HTTP/2 frames become calls, headers and messages, and the other way.
// nghttp2 checks framing, header validity and flow control (RFC 9113); what it leaves open is
// bounded here: header list size, floods, faults.

#include "lib/gnmi/grpc_internal.h"

#include <stdio.h>
#include <string.h>

// Floods: how many at once, how many a second. A C-core peer probes its bandwidth by PING at most
// some ten times a second; people cancel less often than that.
enum { CONTROL_BURST = 500, CONTROL_RATE = 100, FAULT_BURST = 200, FAULT_RATE = 50 };
enum { MAX_SETTINGS = 16, MAX_OUTBOUND_ACK = 2 * CONTROL_BURST, MAX_CONTINUATIONS = 4 };

static bool is(const uint8_t *name, size_t n, const char *want)
{
	return n == strlen(want) && memcmp(name, want, n) == 0;
}

static void control_frame(struct grpc_conn *c, const char *what)
{
	if (!grpc_flood_pass(&c->control, CONTROL_BURST, CONTROL_RATE))
		grpc_conn_break(c, err_make(ERR_LIMIT, "flood of %s frames: more than %d a second",
					    what, CONTROL_RATE));
}

// A stream that was reset, by either side, for the peer's doing (CVE-2023-44487, CVE-2025-8671).
static void fault(struct grpc_conn *c)
{
	if (c->server && !grpc_flood_pass(&c->faults, FAULT_BURST, FAULT_RATE))
		grpc_conn_break(c,
				err_make(ERR_LIMIT, "flood of stream resets: more than %d a second",
					 FAULT_RATE));
}

static int go_on(const struct grpc_conn *c)
{
	return c->dead || c->broken.code != ERR_NONE ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *f, void *ctx)
{
	struct grpc_conn *c = ctx;
	if (!c->server || f->headers.cat != NGHTTP2_HCAT_REQUEST)
		return go_on(c);
	struct grpc_call *call = grpc_call_new(c, f->hd.stream_id);
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(h2, f->hd.stream_id, call);
	call->slow_since_ms = grpc_now_ms();
	grpc_conn_watch(c);
	return go_on(c);
}

static void request_header(struct grpc_call *call, const uint8_t *name, size_t n,
			   const uint8_t *value, size_t len)
{
	if (is(name, n, ":path")) {
		call->has_path = len < sizeof call->path;
		if (call->has_path) {
			memcpy(call->path, value, len);
			call->path[len] = 0;
		}
	} else if (is(name, n, ":method")) {
		call->is_post = is(value, len, "POST");
	} else if (is(name, n, "content-type")) {
		call->is_grpc = len >= 16 && memcmp(value, "application/grpc", 16) == 0 &&
				(len == 16 || value[16] == '+' || value[16] == ';');
	} else if (is(name, n, "grpc-timeout")) {
		call->bad_timeout = !grpc_timeout_parse(value, len, &call->timeout_ms);
		call->timeout_ms += !call->timeout_ms; // 0 would be none
	}
}

static void response_header(struct grpc_call *call, const uint8_t *name, size_t n,
			    const uint8_t *value, size_t len)
{
	if (is(name, n, ":status") && len == 3) {
		call->http_status = (uint16_t)((value[0] - '0') * 100 + (value[1] - '0') * 10 +
					       (value[2] - '0'));
	} else if (is(name, n, "content-type")) {
		call->is_grpc = len >= 16 && memcmp(value, "application/grpc", 16) == 0;
	} else if (is(name, n, "grpc-status")) {
		unsigned status = len && len <= 2 ? 0 : GRPC_UNKNOWN;
		for (size_t i = 0; len <= 2 && i < len; i++)
			status = status * 10 + (unsigned)(value[i] - '0');
		call->status = status < GRPC_STATUSES ? (int)status : GRPC_UNKNOWN;
	} else if (is(name, n, "grpc-message")) {
		char text[GRPC_TEXT_MAX];
		grpc_text_decode(value, len, text, sizeof text);
		grpc_call_set_status(call, GRPC_STATUSES, text);
	}
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *f, const uint8_t *name, size_t n,
		     const uint8_t *value, size_t len, uint8_t flags, void *ctx)
{
	struct grpc_conn *c = ctx;
	struct grpc_call *call = nghttp2_session_get_stream_user_data(h2, f->hd.stream_id);
	if (!call || call->header_too_big)
		return go_on(c);
	call->header_bytes += (uint32_t)(n + len) + 32;
	if (call->header_bytes > c->limits.header_list_max)
		call->header_too_big = true;
	else if (c->server)
		request_header(call, name, n, value, len);
	else
		response_header(call, name, n, value, len);
	return go_on(c);
}

// Client: headers or trailers have come.
static void response_headers(struct grpc_call *call, bool end)
{
	char text[160];
	if (call->header_too_big) {
		grpc_call_refuse(call, GRPC_RESOURCE_EXHAUSTED, "response headers are too large");
	} else if (call->http_status != 200 || !call->is_grpc) {
		snprintf(text, sizeof text,
			 "the server answered HTTP status %u%s; not a gRPC service",
			 (unsigned)call->http_status,
			 call->is_grpc ? "" : " and a content-type other than application/grpc");
		grpc_call_refuse(call, call->http_status == 503 ? GRPC_UNAVAILABLE : GRPC_UNKNOWN,
				 text);
	} else if (end) {
		grpc_call_remote_done(call);
	}
}

static void headers_done(struct grpc_conn *c, struct grpc_call *call, const nghttp2_frame *f)
{
	bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (!call)
		return;
	if (!c->server) {
		response_headers(call, end);
		return;
	}
	if (f->headers.cat == NGHTTP2_HCAT_REQUEST)
		grpc_call_begin(call);
	if (end)
		grpc_call_remote_done(call);
}

static int on_frame_recv(nghttp2_session *h2, const nghttp2_frame *f, void *ctx)
{
	struct grpc_conn *c = ctx;
	struct grpc_call *call = nghttp2_session_get_stream_user_data(h2, f->hd.stream_id);
	switch (f->hd.type) {
	case NGHTTP2_HEADERS:
		headers_done(c, call, f);
		break;
	case NGHTTP2_DATA:
		if (f->hd.length == 0 && !(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
			control_frame(c, "empty DATA"); // CVE-2019-9518
		if (call && f->hd.flags & NGHTTP2_FLAG_END_STREAM)
			grpc_call_remote_done(call);
		break;
	case NGHTTP2_SETTINGS:
		c->settled = true;
		if (!(f->hd.flags & NGHTTP2_FLAG_ACK))
			control_frame(c, "SETTINGS"); // CVE-2019-9515
		break;
	case NGHTTP2_PING:
		if (!(f->hd.flags & NGHTTP2_FLAG_ACK))
			control_frame(c, "PING"); // CVE-2019-9512
		break;
	case NGHTTP2_PRIORITY:
		control_frame(c, "PRIORITY"); // CVE-2019-9513
		break;
	case NGHTTP2_RST_STREAM:
		fault(c); // CVE-2019-9514, CVE-2023-44487
		break;
	case NGHTTP2_GOAWAY:
		if (!c->goaway && !c->server && c->events && c->events->on_goaway)
			c->events->on_goaway(c->ctx, c);
		c->goaway = true;
		break;
	default:
		break;
	}
	return go_on(c);
}

static int on_invalid_frame(nghttp2_session *h2, const nghttp2_frame *f, int error, void *ctx)
{
	struct grpc_conn *c = ctx;
	fault(c);
	return go_on(c);
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *bytes,
		   size_t n, void *ctx)
{
	struct grpc_conn *c = ctx;
	struct grpc_call *call = nghttp2_session_get_stream_user_data(h2, stream);
	if (call)
		grpc_call_data(call, bytes, n);
	else
		nghttp2_session_consume(h2, stream, n);
	return go_on(c);
}

static int on_stream_close(nghttp2_session *h2, int32_t stream, uint32_t code, void *ctx)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(h2, stream);
	if (call)
		grpc_call_stream_closed(call, code);
	return 0;
}

static int on_frame_send(nghttp2_session *h2, const nghttp2_frame *f, void *ctx)
{
	struct grpc_conn *c = ctx;
	if (!c->server)
		return 0;
	struct grpc_call *call = nghttp2_session_get_stream_user_data(h2, f->hd.stream_id);
	if (f->hd.type == NGHTTP2_HEADERS && f->hd.flags & NGHTTP2_FLAG_END_STREAM && call &&
	    !call->remote_done) {
		// The answer is complete and the request is not: the rest is not wanted.
		call->reset_by_us = true;
		nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_NO_ERROR);
	}
	if (f->hd.type == NGHTTP2_RST_STREAM && call && !call->reset_by_us)
		fault(c);
	return 0;
}

static int on_frame_not_send(nghttp2_session *h2, const nghttp2_frame *f, int error, void *ctx)
{
	struct grpc_conn *c = ctx;
	struct grpc_call *call = nghttp2_session_get_stream_user_data(h2, f->hd.stream_id);
	if (call && !c->server && f->hd.type == NGHTTP2_HEADERS)
		grpc_call_end(call, GRPC_UNAVAILABLE, "the connection takes no new calls");
	return 0;
}

// --- sending

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
			    NGHTTP2_NV_FLAG_NONE};
}

// grpc-status and grpc-message. The caller's buffers hold the texts while nghttp2 copies them.
static size_t status_pairs(const struct grpc_call *call, nghttp2_nv nv[2], char number[4],
			   char text[3 * GRPC_TEXT_MAX])
{
	snprintf(number, 4, "%d", call->status);
	nv[0] = pair("grpc-status", number);
	if (!call->text || !call->text[0])
		return 1;
	grpc_text_encode(call->text, text, 3 * GRPC_TEXT_MAX);
	nv[1] = pair("grpc-message", text);
	return 2;
}

static ssize_t on_read(nghttp2_session *h2, int32_t stream, uint8_t *out, size_t room,
		       uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct grpc_conn *c = ctx;
	struct grpc_call *call = source->ptr;
	size_t n = grpc_call_take(call, out, room);
	if (call->out.len > 0 || !call->local_done)
		return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (c->server) {
		char number[4], text[3 * GRPC_TEXT_MAX];
		nghttp2_nv nv[2];
		size_t count = status_pairs(call, nv, number, text);
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(h2, stream, nv, count) != 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return (ssize_t)n;
}

int grpc_http2_respond(struct grpc_call *call, bool headers_only)
{
	char number[4], text[3 * GRPC_TEXT_MAX], status[8];
	nghttp2_nv nv[4];
	size_t n = 0;
	snprintf(status, sizeof status, "%u", call->http_status ? call->http_status : 200u);
	nv[n++] = pair(":status", status);
	nv[n++] = pair("content-type", "application/grpc");
	if (headers_only)
		n += status_pairs(call, nv + n, number, text);
	nghttp2_data_provider provider = {.source.ptr = call, .read_callback = on_read};
	call->answered = true;
	return nghttp2_submit_response(call->conn->h2, call->stream, nv, n,
				       headers_only ? NULL : &provider);
}

enum { METADATA_MAX = 8 };

struct err grpc_http2_request(struct grpc_call *call)
{
	struct grpc_conn *c = call->conn;
	nghttp2_nv nv[8 + METADATA_MAX];
	char timeout[16];
	size_t n = 0;
	nv[n++] = pair(":method", "POST");
	nv[n++] = pair(":scheme", c->plain ? "http" : "https");
	nv[n++] = pair(":path", call->path);
	nv[n++] = pair(":authority", c->authority);
	nv[n++] = pair("te", "trailers");
	nv[n++] = pair("content-type", "application/grpc");
	nv[n++] = pair("user-agent", "gemel");
	if (call->timeout_ms) { // at most 8 digits
		bool small = call->timeout_ms < 100000000;
		snprintf(timeout, sizeof timeout, "%u%c",
			 (unsigned)(small ? call->timeout_ms : call->timeout_ms / 1000),
			 small ? 'm' : 'S');
		nv[n++] = pair("grpc-timeout", timeout);
	}
	for (size_t i = 0; c->metadata && c->metadata[i] && c->metadata[i + 1]; i += 2) {
		ENSURE(i / 2 < METADATA_MAX, ERR_LIMIT, "metadata: at most %d names", METADATA_MAX);
		nv[n++] = pair(c->metadata[i], c->metadata[i + 1]);
	}
	nghttp2_data_provider provider = {.source.ptr = call, .read_callback = on_read};
	call->stream = nghttp2_submit_request(c->h2, NULL, nv, n, &provider, call);
	ENSURE(call->stream > 0, ERR_BUSY, "%s: %s", call->path, nghttp2_strerror(call->stream));
	return OK;
}

// --- the session

static void set_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
}

static void set_options(nghttp2_option *o)
{
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_outbound_ack(o, MAX_OUTBOUND_ACK);
	nghttp2_option_set_max_settings(o, MAX_SETTINGS);
	nghttp2_option_set_stream_reset_rate_limit(o, FAULT_BURST, FAULT_RATE);
	nghttp2_option_set_max_continuations(o, MAX_CONTINUATIONS);
}

static int send_settings(struct grpc_conn *c, nghttp2_session *h2)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, c->limits.header_list_max},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, c->limits.window},
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->server ? c->limits.streams_max : 0},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	};
	size_t n = c->server ? 3 : 4;
	if (nghttp2_submit_settings(h2, NGHTTP2_FLAG_NONE, settings, n) != 0)
		return -1;
	int32_t window = (int32_t)(c->limits.window < 1u << 28 ? 4 * c->limits.window : 1u << 30);
	return nghttp2_session_set_local_window_size(h2, NGHTTP2_FLAG_NONE, 0, window);
}

nghttp2_session *grpc_http2_new(struct grpc_conn *c)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *option = NULL;
	nghttp2_session *h2 = NULL;
	if (nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&option) == 0) {
		set_callbacks(cb);
		set_options(option);
		int rc = c->server ? nghttp2_session_server_new2(&h2, cb, c, option)
				   : nghttp2_session_client_new2(&h2, cb, c, option);
		if (rc != 0)
			h2 = NULL;
	}
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	if (h2 && send_settings(c, h2) != 0) {
		nghttp2_session_del(h2);
		h2 = NULL;
	}
	return h2;
}
