// SPDX-License-Identifier: Apache-2.0
// The way in and out: ticket, first decision, the operation, its answer.
#include "repository/api.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"

#include <string.h>

enum { ARENA = 64 << 20, TEXT_MOST = 20 << 20 };

static const struct operation {
	const char *name;
	const char *kind;
	enum access_class class; // the least that it shows
	api_fn run;
} operations[] = {
	{"data.query", "Dataset", CLASS_PUBLIC, api_data_query},
	{"data.series", "Dataset", CLASS_PUBLIC, api_data_series},
	{"data.lineage", "Dataset", CLASS_PUBLIC, api_data_lineage},
	{"data.verify", "Dataset", CLASS_INTERNAL, api_data_verify},
	{"data.stats", "Dataset", CLASS_INTERNAL, api_data_stats},
	{"ledger.checkpoint", "Ledger", CLASS_PUBLIC, api_ledger_checkpoint},
	{"ledger.vkey", "Ledger", CLASS_PUBLIC, api_ledger_vkey},
	{"ledger.entries", "Ledger", CLASS_INTERNAL, api_ledger_entries},
	{"ledger.entry", "Ledger", CLASS_INTERNAL, api_ledger_entry},
	{"ledger.proof", "Ledger", CLASS_PUBLIC, api_ledger_proof},
	{"ledger.tile", "Ledger", CLASS_PUBLIC, api_ledger_tile},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static const struct operation *find(const char *name)
{
	for (size_t i = 0; i < OPERATIONS; i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	return NULL;
}

static struct err answer_text_body(struct ask *q)
{
	Ipc__ApiAnswer m = IPC__API_ANSWER__INIT;
	m.id = q->m->id;
	m.status = 200;
	m.content_type = (char *)(uintptr_t)q->content_type;
	m.body.data = q->text.data;
	m.body.len = q->text.len;
	return process_send(q->r->p, PROCESS_NORTHBOUND, IPC_API_ANSWER, &m.base);
}

// A subject limited to a domain passes the first gate for his own; each item is decided again.
static struct err gate(struct ask *q, const struct operation *o)
{
	const struct access_resource what = {.kind = o->kind,
					     .class = o->class,
					     .domain = *q->who.domain ? q->who.domain : NULL};
	return api_need(q, &what);
}

static struct err operate(struct ask *q, const struct operation *o)
{
	json_t *body = NULL;
	struct err e = access_ticket_verify(q->m->ticket.data, q->m->ticket.len, q->r->ticket_key,
					    q->now_ns, &q->who);
	if (e.code != ERR_NONE)
		q->fix = "Log in again.";
	if (e.code == ERR_NONE)
		e = gate(q, o);
	if (e.code == ERR_NONE)
		e = o->run(q, &body);
	if (q->later && e.code == ERR_NONE)
		return OK;
	if (e.code == ERR_NONE && q->content_type)
		e = buf_check(&q->text, "the answer");
	if (e.code == ERR_NONE && !q->content_type && !body)
		e = err_make(ERR_LIMIT, "no memory for the answer");
	if (e.code == ERR_NONE && !q->content_type)
		return answer_json(q->r->p, q->m->id, 200, body);
	json_decref(body);
	if (e.code == ERR_NONE)
		return answer_text_body(q);
	return answer_problem(q->r->p, q->m->id, e, q->fix,
			      e.code == ERR_DENIED ? &q->decision : NULL);
}

struct err api_request(struct repository *r, const struct ipc_message *msg)
{
	struct err e = OK;
	struct ask q = {.r = r, .now_ns = clock_wall_ns(), .text = {.limit = TEXT_MOST}};
	q.m = IPC_UNPACK(api_request, msg, r->p->scratch, &e);
	if (!q.m)
		return e;
	const struct operation *o = find(q.m->operation);
	scoped(arena) struct arena *a = arena_new(ARENA);
	q.a = a;
	if (!a)
		e = err_make(ERR_LIMIT, "no memory for the request");
	else if (!o)
		e = err_make(ERR_NOT_FOUND, "the repository has no operation \"%.64s\"",
			     q.m->operation);
	else if (!r->have_keys)
		e = err_make(ERR_BUSY, "the key that checks tickets has not come yet");
	if (e.code == ERR_NONE)
		e = operate(&q, o);
	else
		e = answer_problem(r->p, q.m->id, e, NULL, NULL);
	buf_clear(&q.text);
	if (e.code == ERR_LIMIT) // the body does not fit one message
		e = answer_problem(r->p, q.m->id, e, "Ask for less: `limit`, `fields`, one device.",
				   NULL);
	return e.code == ERR_BUSY ? OK : e; // northbound is away, and its client with it
}

struct err api_cancel(struct repository *r, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__ApiCancel *m = IPC_UNPACK(api_cancel, msg, r->p->scratch, &e);
	if (m)
		scrub_cancel(r, m->id);
	return e;
}

// --- decisions

bool api_may(struct ask *q, const struct access_resource *what)
{
	q->decision = access_decide(q->r->policy, &q->who, ACTION_READ, what, q->now_ns);
	return q->decision.permit;
}

struct err api_need(struct ask *q, const struct access_resource *what)
{
	ENSURE(api_may(q, what), ERR_DENIED, "%s may not read this %s: %s", q->who.account,
	       what->kind, q->decision.fact);
	return OK;
}

bool api_may_read(struct ask *q, const struct device *d, const char *path, enum access_class class)
{
	const struct access_resource what = {.kind = "Path",
					     .id = d->name,
					     .path = path,
					     .class = class,
					     .domain = *d->domain_name ? d->domain_name : NULL};
	if (!api_may(q, &what))
		return false;
	if (class > CLASS_INTERNAL && q->r->read_only) {
		q->decision = (struct access_decision){
			.policy = "reads-are-recorded",
			.fact = "the ledger takes no entries, so nothing above internal is shown"};
		return false;
	}
	return true;
}

struct err api_device(struct ask *q, const char *name, struct device **out)
{
	struct device *d = name ? index_device_find(&q->r->index, name) : NULL;
	if (d) {
		const struct access_resource what = {.kind = "Device",
						     .id = d->name,
						     .class = CLASS_INTERNAL,
						     .domain = *d->domain_name ? d->domain_name
									       : NULL};
		if (!api_may(q, &what))
			d = NULL; // not told apart from one that is not there
	}
	ENSURE(d, ERR_NOT_FOUND, "there is no device \"%.64s\"", name ? name : "");
	*out = d;
	return OK;
}

// --- parameters

struct err api_time(struct ask *q, const char *name, int64_t fallback, int64_t *out)
{
	const char *text = answer_text(q->m, name);
	*out = fallback;
	if (!text || !*text)
		return OK;
	struct err e = clock_parse(text, out);
	if (e.code != ERR_NONE)
		return err_within(e, "%s", name);
	ENSURE(*out <= q->now_ns + NS_PER_S || !strcmp(name, "to"), ERR_USAGE,
	       "%s: %.40s is in the future", name, text);
	return OK;
}

void api_stamp(json_t *body, int64_t as_of_ns, uint64_t revision)
{
	answer_stamp(body, as_of_ns, revision);
	if (as_of_ns)
		return;
	json_object_set_new(body, "as_of", json_null());
	json_object_set_new(body, "age_ms", json_null());
}

json_t *api_time_json(int64_t ns)
{
	char text[CLOCK_TEXT_MAX];
	return ns ? json_string(clock_format(ns, text)) : json_null();
}

// --- records of reading

static struct err write_reads(struct reads *n, struct ask *q, const char *path)
{
	const struct device *d = index_device(&q->r->index, n->device);
	const char *purpose = answer_text(q->m, "purpose");
	char text[500];
	if (!n->items || !d)
		return OK;
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:s}", "class", access_class_names[n->highest],
			      "path", path, "purpose", purpose && *purpose ? purpose : "not stated",
			      "items", (json_int_t)n->items, "operation", q->m->operation);
	char *json = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	size_t len = json ? strlen(json) : 0;
	struct err e = len ? OK : err_make(ERR_LIMIT, "no memory to record the read");
	if (len > 2 && len - 2 < sizeof text) { // the members without the braces
		memcpy(text, json + 1, len - 2);
		text[len - 2] = 0;
		aggregate_note(q->r->aggregate, "data.read", d->name, q->who.account, text, text,
			       q->now_ns);
	} else if (len) {
		e = err_make(ERR_USAGE, "path and purpose together are too long to be recorded; "
					"name a shorter pattern");
	}
	free(json);
	json_decref(o);
	*n = (struct reads){0};
	return e;
}

void reads_note(struct reads *n, struct ask *q, const struct device *d, enum access_class class,
		const char *path)
{
	if (class <= CLASS_INTERNAL || sabotaged("read-record"))
		return;
	if (n->device && n->device != d->number)
		n->failed |= write_reads(n, q, path).code != ERR_NONE;
	n->device = d->number;
	n->items++;
	if (class > n->highest)
		n->highest = class;
}

struct err reads_finish(struct reads *n, struct ask *q, const char *path)
{
	bool failed = n->failed;
	q->r->count.reads++;
	TRY(write_reads(n, q, path));
	ENSURE(!failed, ERR_USAGE, "path and purpose together are too long to be recorded");
	return journal_pending(q->r->journal) ? ingest_sync(q->r) : OK;
}
