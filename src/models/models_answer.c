// SPDX-License-Identifier: Apache-2.0
// The operations that this process answers. Access is decided here, at the data, with the ticket
// that northbound relays (X.2011 8.2.1-1, 8.3.3-4); `at` on each of them asks for the past. Access
// rules of a device are shown to those who may read `/acl`; to others the trace says that a rule
// decided, not which.

#include "models/models.h"

#include "lib/base/clock.h"
#include "lib/ipc/answer.h"
#include "lib/ipc/messages.pb-c.h"
#include "models/json.h"
#include "models/value.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

struct request {
	struct models *m;
	const Ipc__ApiRequest *r;
	struct access_subject who;
	struct twin *twin;
	struct view view;
	int64_t at_ns; // resolved before; 0: not yet
	int64_t as_of_ns;
	uint64_t revision;
	bool past;
	struct arena *a;
};

struct operation {
	const char *name;
	bool needs_twin; // else answered also while the twin is being rebuilt
	struct err (*run)(struct request *q, json_t **body);
};

static struct access_decision decide(const struct request *q, const char *kind, const char *id,
				     const char *path, enum access_class class)
{
	struct access_resource what = {.kind = kind, .id = id, .path = path, .class = class};
	return access_decide(q->m->policy, &q->who, ACTION_READ, &what, clock_wall_ns());
}

static bool may_read_rules(const struct request *q, const char *device)
{
	return decide(q, "Path", device, "/acl", CLASS_CONFIDENTIAL).permit;
}

// --- operations

static struct err topology_get(struct request *q, json_t **body)
{
	TRY(forwarding_refresh(q->twin->forwarding));
	*body = topology_json(q->twin->topology, q->twin->forwarding, &q->view);
	return OK;
}

static struct err topology_ietf(struct request *q, json_t **body)
{
	TRY(topology_refresh(q->twin->topology));
	*body = topology_ietf_json(q->twin->topology, &q->view);
	return OK;
}

// A number that came as one, or as text in a query.
static struct err number(const struct request *q, const char *name, int64_t most, int64_t *out)
{
	const char *text = answer_text(q->r, name);
	*out = answer_number(q->r, name, -1);
	if (text && *text) {
		char *end;
		*out = strtoll(text, &end, 10);
		ENSURE(*end == 0, ERR_USAGE, "%s: \"%.32s\" is not a number", name, text);
		ENSURE(*out >= 0, ERR_USAGE, "%s: %s; 0 to %lld", name, text, (long long)most);
	}
	ENSURE(*out >= -1 && *out <= most, ERR_USAGE, "%s: %lld is too large; 0 to %lld", name,
	       (long long)*out, (long long)most);
	return OK;
}

static struct err trace_ask(const struct request *q, struct trace_query *t)
{
	int64_t protocol, source, destination;
	const char *text = answer_text(q->r, "protocol");
	*t = (struct trace_query){.from = answer_text(q->r, "from"),
				  .to = answer_text(q->r, "to"),
				  .source = answer_text(q->r, "source")};
	TRY(number(q, "source_port", 65535, &source));
	TRY(number(q, "destination_port", 65535, &destination));
	protocol = answer_number(q->r, "protocol", -1);
	if (text && *text) {
		protocol = protocol_parse(text, strlen(text));
		ENSURE(protocol >= 0, ERR_USAGE,
		       "protocol: \"%.32s\" is not known; tcp, udp, icmp, or 0 to 255", text);
	}
	ENSURE(protocol >= -1 && protocol <= 255, ERR_USAGE, "protocol: 0 to 255, or a name");
	t->protocol = (int)protocol;
	t->source_port = (int)source;
	t->destination_port = (int)destination;
	return OK;
}

// Takes the rules' words out of a trace, for who may know the way but not the rules.
static void rules_withhold(const struct request *q, struct trace *t)
{
	for (unsigned i = 0; i < t->n_hops; i++) {
		const char *device =
			catalogue_device(state_catalogue(q->view.state), t->hops[i].device)->id;
		bool may = may_read_rules(q, device);
		for (unsigned k = 0; k < t->hops[i].n_outs && !may; k++) {
			struct trace_out *o = &t->hops[i].outs[k];
			if (!o->rule)
				continue;
			o->rule = "an access rule (withheld: it is confidential)";
			o->rule_record = NULL;
			if (t->why == o->why)
				t->why = o->rule;
			o->why = o->why ? o->rule : NULL;
		}
	}
}

// A trace is as old as the oldest of the devices that it leads through.
static void trace_age(struct request *q, const struct trace *t)
{
	for (unsigned i = 0; i < t->n_hops && !q->past; i++) {
		int64_t ns = state_device(q->view.state, t->hops[i].device)->received_ns;
		if (ns && ns < q->as_of_ns)
			q->as_of_ns = ns;
	}
}

static struct err paths_trace(struct request *q, json_t **body)
{
	struct trace_query ask;
	struct trace *t = arena_alloc(q->a, sizeof *t);
	ENSURE(t, ERR_LIMIT, "out of memory");
	TRY(trace_ask(q, &ask));
	TRY(forwarding_refresh(q->twin->forwarding));
	TRY(trace_run(q->twin->forwarding, &ask, q->a, t));
	rules_withhold(q, t);
	trace_age(q, t);
	*body = trace_json(q->twin->forwarding, &q->view, &ask, t);
	return OK;
}

static struct err forwarding_checks(struct request *q, json_t **body)
{
	bool done = false;
	if (q->past) // the past stands still: at once, though not for ever
		TRY(checks_step(q->twin->checks, 5000000, q->as_of_ns, &done));
	TRY(forwarding_refresh(q->twin->forwarding));
	*body = checks_json(q->twin->checks, &q->view);
	return OK;
}

static struct err devices_state(struct request *q, json_t **body)
{
	const char *id = answer_text(q->r, "id");
	uint32_t device;
	if (!id)
		id = answer_text(q->r, "device");
	ENSURE(id && *id, ERR_USAGE, "id: missing; the device's name");
	bool known = catalogue_device_find(series_catalogue(q->m->series), id, &device) &&
		     state_device(q->view.state, device)->seen;
	ENSURE(known, ERR_NOT_FOUND, "device \"%.64s\" has sent nothing that the twin knows of",
	       id);
	TRY(forwarding_refresh(q->twin->forwarding));
	if (!q->past)
		q->as_of_ns = state_device(q->view.state, device)->received_ns;
	*body = device_json(&q->view, q->twin->forwarding, device, may_read_rules(q, id));
	return OK;
}

static struct err models_status(struct request *q, json_t **body)
{
	const struct models *m = q->m;
	const struct state *s = m->live.state;
	unsigned waiting = 0, pasts = 0;
	for (int i = 0; i < WAITING_MAX; i++)
		waiting += m->waiting[i].bytes != NULL;
	for (int i = 0; i < PASTS; i++)
		pasts += m->pasts[i].phase != PAST_EMPTY;
	*body = json_pack("{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:i,s:i,s:f,s:o}", "ready",
			  m->ready, "rebuilding", m->rebuilding, "devices",
			  (json_int_t)catalogue_devices(series_catalogue(m->series)), "series",
			  (json_int_t)series_count(m->series), "objects",
			  (json_int_t)catalogue_objects(series_catalogue(m->series)), "records",
			  (json_int_t)state_records(s), "ignored", (json_int_t)state_ignored(s),
			  "memory_bytes", (json_int_t)mallinfo2().uordblks, "state_bytes",
			  (json_int_t)state_bytes(s), "pasts", (int)pasts, "waiting", (int)waiting,
			  "stale_after_s", (double)m->stale_ns / 1e9, "stale_devices",
			  json_stale(&q->view));
	return OK;
}

static const struct operation operations[] = {
	{"topology.get", true, topology_get},	{"topology.ietf", true, topology_ietf},
	{"paths.trace", true, paths_trace},	{"forwarding.checks", true, forwarding_checks},
	{"devices.state", true, devices_state}, {"models.status", false, models_status},
};

// --- the way in

static void use_live(struct request *q)
{
	q->twin = &q->m->live;
	q->as_of_ns = state_newest_ns(q->m->live.state);
	q->revision = q->m->rebuilding ? state_revision(q->m->live.state) : q->m->revision;
	q->view = (struct view){q->m->live.state, clock_wall_ns(), q->m->stale_ns};
}

// Chooses the twin that is asked about. q->twin NULL: it is being fetched, the answer comes later.
static struct err use_twin(struct request *q, const uint8_t *bytes, size_t len)
{
	const char *at = answer_text(q->r, "at");
	int64_t at_ns = q->at_ns;
	ENSURE(q->m->ready, ERR_BUSY, "the twin is being rebuilt");
	use_live(q);
	if (!at || !*at)
		return OK;
	q->twin = NULL;
	if (!at_ns)
		TRY(clock_parse(at, &at_ns));
	ENSURE(at_ns <= clock_wall_ns(), ERR_USAGE, "at: %s is in the future", at);
	struct past *p;
	TRY(past_get(q->m, at_ns, q->r->id, bytes, len, &p));
	if (!p)
		return OK;
	q->twin = &p->twin;
	q->past = true;
	q->as_of_ns = at_ns;
	q->revision = p->revision;
	q->view = (struct view){p->twin.state, at_ns, 0}; // nothing is stale in what was true then
	return OK;
}

static struct err operate(struct request *q, const struct operation *o, const uint8_t *bytes,
			  size_t len)
{
	struct process *p = q->m->p;
	json_t *body = NULL;
	struct err e = OK;
	if (o->needs_twin)
		e = use_twin(q, bytes, len);
	else
		use_live(q);
	if (e.code == ERR_NONE && !q->twin)
		return OK; // waits for the past
	if (e.code == ERR_NONE)
		e = o->run(q, &body);
	if (e.code == ERR_NONE && !body)
		e = err_make(ERR_LIMIT, "out of memory for the answer");
	if (e.code != ERR_NONE)
		return answer_problem(p, q->r->id, e,
				      e.code == ERR_BUSY ? "Ask again in a moment." : NULL, NULL);
	answer_stamp(body, q->as_of_ns, q->revision);
	e = answer_json(p, q->r->id, 200, body);
	if (e.code == ERR_NONE || e.code == ERR_BUSY)
		return e;
	return answer_problem(p, q->r->id,
			      err_within(err_make(ERR_LIMIT, "%s", e.text), "the answer"),
			      "Ask for one device, or for a smaller part of the network.", NULL);
}

static struct err subject_of(struct request *q)
{
	ENSURE(q->m->has_ticket_key, ERR_BUSY, "the key that checks tickets has not come yet");
	return access_ticket_verify(q->r->ticket.data, q->r->ticket.len, q->m->ticket_key,
				    clock_wall_ns(), &q->who);
}

struct err models_answer(struct models *m, const uint8_t *bytes, size_t len, int64_t at_ns)
{
	scoped(arena) struct arena *a = arena_new(16 << 20);
	ENSURE(a, ERR_LIMIT, "out of memory");
	struct err e = OK;
	struct request q = {.m = m, .a = a, .at_ns = at_ns};
	q.r = ipc_unpack(&ipc__api_request__descriptor, bytes, len, a, &e);
	if (!q.r)
		return e;
	const struct operation *o = NULL;
	for (size_t i = 0; i < sizeof operations / sizeof *operations && !o; i++)
		if (strcmp(operations[i].name, q.r->operation) == 0)
			o = &operations[i];
	if (!o)
		return answer_problem(m->p, q.r->id,
				      err_make(ERR_NOT_FOUND, "models has no operation \"%.64s\"",
					       q.r->operation),
				      NULL, NULL);
	e = subject_of(&q);
	if (e.code != ERR_NONE)
		return answer_problem(m->p, q.r->id, e, "Log in again.", NULL);
	struct access_decision d =
		decide(&q, "Topology", answer_text(q.r, "id"), NULL, CLASS_INTERNAL);
	if (!d.permit)
		return answer_problem(
			m->p, q.r->id,
			err_make(ERR_DENIED, "%s may not read the topology", q.who.account), NULL,
			&d);
	return operate(&q, o, bytes, len);
}
