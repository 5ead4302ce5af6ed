// SPDX-License-Identifier: Apache-2.0
// Operations of the API that this process owns. Each decides access itself, item by item, with the
// ticket that northbound relays: what may not be seen is left out of a list as if it were not
// there, and refused, with the policy, when it was named. X.2011 8.2.1-1, 8.3.1-3, 8.3.3-4.
// Between api.c, api_*.c and scrub.c only.
#pragma once

#include "lib/ipc/answer.h"
#include "lib/ipc/messages.pb-c.h"
#include "repository/feed.h"

struct ask {
	struct repository *r;
	const Ipc__ApiRequest *m;
	struct access_subject who;
	struct arena *a;
	int64_t now_ns;
	struct access_decision decision; // of the refusal that is returned
	const char *fix;
	bool later; // the answer comes when it is ready
	// A text or bytes instead of JSON:
	struct buf text;
	const char *content_type;
};

// One for each operation: a JSON body, or text and content_type, or an error; ERR_DENIED with
// q->decision set.
typedef struct err (*api_fn)(struct ask *q, json_t **body);
MUST_USE struct err api_data_query(struct ask *q, json_t **body);
MUST_USE struct err api_data_series(struct ask *q, json_t **body);
MUST_USE struct err api_data_lineage(struct ask *q, json_t **body);
MUST_USE struct err api_data_verify(struct ask *q, json_t **body);
MUST_USE struct err api_data_stats(struct ask *q, json_t **body);
MUST_USE struct err api_ledger_checkpoint(struct ask *q, json_t **body);
MUST_USE struct err api_ledger_vkey(struct ask *q, json_t **body);
MUST_USE struct err api_ledger_entries(struct ask *q, json_t **body);
MUST_USE struct err api_ledger_entry(struct ask *q, json_t **body);
MUST_USE struct err api_ledger_proof(struct ask *q, json_t **body);
MUST_USE struct err api_ledger_tile(struct ask *q, json_t **body);

// --- shared
// READ of something of this kind. Sets q->decision.
bool api_may(struct ask *q, const struct access_resource *what);
// ERR_DENIED when it may not be read.
MUST_USE struct err api_need(struct ask *q, const struct access_resource *what);
// One series' data. Above internal nothing is shown that could not be recorded.
bool api_may_read(struct ask *q, const struct device *d, const char *path, enum access_class class);
// The device of that name, if there is one that this subject may know of; else ERR_NOT_FOUND.
MUST_USE struct err api_device(struct ask *q, const char *name, struct device **out);
// A parameter of time: fallback when absent. ERR_USAGE names it; the future is refused.
MUST_USE struct err api_time(struct ask *q, const char *name, int64_t fallback, int64_t *out);
json_t *api_time_json(int64_t ns);				   // null for 0
void api_stamp(json_t *body, int64_t as_of_ns, uint64_t revision); // 0: nothing is in it

// What was read above internal goes into the ledger, aggregated, and is durable before the answer.
// X.2011 8.3.1-4.
struct reads {
	enum access_class highest;
	uint32_t device; // its number, of what was read last
	uint64_t items;
	bool failed;
};
void reads_note(struct reads *n, struct ask *q, const struct device *d, enum access_class class,
		const char *path);
MUST_USE struct err reads_finish(struct reads *n, struct ask *q, const char *path);

// A list with `limit`, `fields`, `filter`.
struct listing {
	json_t *items;
	size_t n, limit;
	const char *filter;
	const char *fields[16]; // none: all
	unsigned n_fields;
};
// `allowed`: names of members, NULL-terminated. ERR_USAGE: a field that is none of them.
MUST_USE struct err listing_start(struct listing *l, struct ask *q, size_t limit,
				  const char *const *allowed);
static inline bool listing_full(const struct listing *l)
{
	return l->n >= l->limit;
}
void listing_add(struct listing *l, json_t *item); // takes it over; leaves out what `filter` does
// {"items": ..., "next": ...}; takes over the items. `next` "" or NULL: the end.
json_t *listing_body(struct listing *l, const char *next);
void listing_clear(struct listing *l);

json_t *
api_value(const struct batch_value *v); // numbers as they are; beyond 2^63 and bytes as text
