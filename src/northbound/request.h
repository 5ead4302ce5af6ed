// SPDX-License-Identifier: Apache-2.0
// A request as the table wants it: target split and decoded, parameters of path, query and JSON body
// checked against operations.def. Each refusal names the parameter, what was wrong with it and what
// is allowed. Pure: foreign bytes in, values in an arena out; nothing here knows sockets or sessions.
// Used by northbound.
#pragma once

#include "northbound/operations.h"

enum {
	REQUEST_TARGET_MAX = 8192,
	REQUEST_BODY_MAX = 1000000, // below the bound of API_REQUEST in messages.def
	REQUEST_VALUES_MAX = 24,
	REQUEST_DEPTH_MAX = 16,     // JSON
	REQUEST_NODES_MAX = 100000, // JSON values and member names together
};

struct request_value {
	const struct operation_param *param;
	char *text; // TYPE_NUMBER and TYPE_FLAG: NULL. Owned by the arena.
	int64_t number;
	bool flag;
};

struct request {
	const struct operation *op;
	struct operation_match match;
	const char *query; // into the target; NULL: none
	struct request_value values[REQUEST_VALUES_MAX];
	unsigned n_values;
	unsigned status; // HTTP status of the refusal
	char allow[40];  // for 405: "GET, POST"
};

// Finds the operation. `target` as in the request line, NUL-terminated. On refusal r->status is 400,
// 404 or 405. `method` in capitals; HEAD is routed as GET.
MUST_USE struct err request_route(const char *method, const char *target, struct request *r);

// Checks all parameters. `body` may be NULL. `content_type` NULL: none given. r->status on refusal:
// 400, 413 or 415.
MUST_USE struct err request_read(struct request *r, const char *content_type, const void *body,
				 size_t n, struct arena *a);
const struct request_value *request_value(const struct request *r, const char *name); // NULL: absent
void request_wipe(struct request *r); // zeroes secrets

// JSON before it is parsed: depth, number of values, and that it is text at all. ERR_USAGE, ERR_LIMIT.
MUST_USE struct err request_guard(const char *text, size_t n);
// "%2F" and such in n bytes, decoded into `a`; `plus`: '+' is a space (queries). ERR_USAGE: broken
// escapes, control characters, bytes that are not UTF-8. `what` names it.
MUST_USE struct err request_decode(const char *text, size_t n, bool plus, const char *what,
				   struct arena *a, char **out);
