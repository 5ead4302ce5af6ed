// SPDX-License-Identifier: Apache-2.0
// Answers of the API, made by the process that owns the operation: JSON on success, RFC 9457
// problem+json on refusal, with `fix` (what to do next) and `decision` (which policy refused).
// Used by repository, models, management and northbound.
#pragma once

#include "lib/ipc/process.h"

#include <jansson.h>

struct Ipc__ApiRequest;
struct access_decision;

// A request's parameter by name. NULL / false / fallback when absent.
const char *answer_text(const struct Ipc__ApiRequest *r, const char *name);
int64_t answer_number(const struct Ipc__ApiRequest *r, const char *name, int64_t fallback);
bool answer_flag(const struct Ipc__ApiRequest *r, const char *name, bool fallback);

// Sends status and body; takes over (decrefs) `body`. Adds an ETag (hash of the body) on 200.
MUST_USE struct err answer_json(struct process *p, uint64_t id, unsigned status, json_t *body);
// Sends a problem. Status follows the code: USAGE 400, AUTH 401, DENIED 403, NOT_FOUND 404,
// CONFLICT 409, LIMIT 429, BUSY 503, others 500. `fix` may be NULL.
MUST_USE struct err answer_problem(struct process *p, uint64_t id, struct err why, const char *fix,
				   const struct access_decision *decision);
// as_of, age_ms and revision, in every answer that speaks of the network.
void answer_stamp(json_t *body, int64_t as_of_ns, uint64_t revision);
