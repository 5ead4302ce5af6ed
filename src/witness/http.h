// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP/1.1 request (RFC 9112), as far as a witness needs it. Pure and strict: bare
// line feeds, folded lines, repeated lengths and transfer codings are refused, so that no proxy in
// front reads another request than we do. Used by gemel-witness.
#pragma once

#include "lib/base/cursor.h"

enum { HTTP_HEAD_MAX = 8192, HTTP_FIELDS_MAX = 64 };

enum http_method { HTTP_OTHER, HTTP_POST, HTTP_HEAD };

struct http_head {
	enum http_method method;
	const char *path; // of the target, without scheme and authority; a view
	size_t path_len;
	bool keep_alive; // the connection may stay open after the answer
	bool expects;	 // 100-continue
	bool has_length;
	uint64_t length; // of the body
};

// Bytes up to and with the blank line that ends the head; 0: it is not complete yet.
size_t http_head_length(const uint8_t *bytes, size_t n);
// Reads a whole head. false: *status (400, 411, 417, 501, 505) is the answer and the connection
// ends.
bool http_head_read(const uint8_t *bytes, size_t n, struct http_head *out, unsigned *status);
const char *http_reason(unsigned status);
