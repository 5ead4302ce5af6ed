// SPDX-License-Identifier: Apache-2.0
// Operations of the API that management owns (northbound's operations.def). Each decides for itself
// whether the ticket's subject may, before it looks whether the thing is there. Used by management.
#pragma once

#include "management/management.h"

#include <jansson.h>

struct request {
	struct management *m;
	const Ipc__ApiRequest *r;
	struct access_subject who; // of the ticket; empty for session.login
	int64_t now_ns;
	// the answer
	unsigned status; // 200 unless set
	json_t *body;	 // owned until it is sent
	char etag[40];	 // "" : a hash of the body
	const char *fix; // what to do, for a refusal
	struct access_decision decision;
	bool decided;		      // `decision` refused
	struct secret *session_token; // log-in
};

// ERR_DENIED with the decision kept for the answer. `id`, `path`, `domain` may be NULL.
MUST_USE struct err may(struct request *q, enum access_action action, const char *kind,
			const char *id, const char *path, const char *domain);
// If-Match against a version. ERR_CONFLICT.
MUST_USE struct err matches(struct request *q, uint64_t version);
void set_version(struct request *q, uint64_t version);
// `at`, or now. *past: it was given and is before now. ERR_USAGE.
MUST_USE struct err asked_time(struct request *q, int64_t *at_ns, bool *past);
// {items, next} of `all` (taken over): filter, cursor, limit, fields.
MUST_USE struct err listed(struct request *q, json_t *all, const char *key);

MUST_USE struct err api_request(struct management *m, const Ipc__ApiRequest *r);
MUST_USE struct err api_start(struct management *m);
void api_stop(struct management *m);

// One row for each operation.
typedef struct err (*api_fn)(struct request *q);
struct api_operation {
	const char *id;
	api_fn run;
	bool without_session, changes, secret_answer;
};
extern const struct api_operation api_operations[];
extern const unsigned api_operations_count;

// api_accounts.c
struct err api_login(struct request *q);
struct err api_session_get(struct request *q);
struct err api_session_end(struct request *q);
struct err api_accounts_list(struct request *q);
struct err api_accounts_create(struct request *q);
struct err api_accounts_update(struct request *q);
struct err api_accounts_delete(struct request *q);
struct err api_access_decide(struct request *q);
// api_devices.c
struct err api_devices_list(struct request *q);
struct err api_devices_get(struct request *q);
struct err api_devices_create(struct request *q);
struct err api_devices_import(struct request *q);
struct err api_devices_enrol(struct request *q);
struct err api_devices_quarantine(struct request *q);
struct err api_devices_revoke(struct request *q);
struct err api_devices_test(struct request *q);
// api_system.c
struct err api_alerts_list(struct request *q);
struct err api_system_status(struct request *q);
struct err api_conformance_list(struct request *q);
struct err api_conformance_submit(struct request *q);
