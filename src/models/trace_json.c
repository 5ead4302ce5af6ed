// SPDX-License-Identifier: Apache-2.0
// What a trace and the checks look like to those who asked. `hops` is the graph (each device
// entered once), `paths` the same as lists of names, for reading.

#include "models/checks.h"
#include "models/json.h"
#include "models/trace.h"

#include <stdio.h>

enum { PATHS_MAX = 32, PATH_LENGTH_MAX = 64 };

static json_t *out_json(const struct state *s, const struct trace_hop *h, const struct trace_out *o)
{
	json_t *j = json_object();
	json_put(j, "interface",
		 o->has_interface ? json_interface(s, h->device, o->interface) : json_null());
	json_put(j, "via", json_address(&o->via));
	json_put(j, "to", o->next >= 0 ? json_integer(o->next) : json_null());
	if (o->next < 0 || o->verdict == TRACE_LOOP)
		json_put(j, "verdict", json_string(trace_verdict_name(o->verdict)));
	if (o->why)
		json_put(j, "why", json_text(o->why));
	if (o->rule)
		json_put(j, "rule",
			 json_pack("{s:o,s:o}", "text", json_text(o->rule), "record",
				   json_text(o->rule_record)));
	if (o->next_hop_record)
		json_put(j, "next_hop_record", json_text(o->next_hop_record));
	return j;
}

static json_t *hop_json(const struct state *s, const struct view *v, const struct trace_hop *h)
{
	json_t *outs = json_array();
	for (unsigned i = 0; i < h->n_outs; i++)
		json_array_append_new(outs, out_json(s, h, &h->outs[i]));
	json_t *j = json_pack("{s:o,s:o,s:o}", "device", json_device(s, h->device), "in",
			      h->has_in ? json_interface(s, h->device, h->in) : json_null(), "out",
			      outs);
	if (h->route)
		json_put(j, "route",
			 json_pack("{s:o,s:o}", "text", json_text(h->route), "record",
				   json_text(h->route_record)));
	if (h->note)
		json_put(j, "note", json_text(h->note));
	json_put_age(j, v, h->device);
	return j;
}

// Depth first; a path ends where a branch ends, or where it would go round.
static void paths_walk(const struct state *s, const struct trace *t, int at, int *path, unsigned n,
		       json_t *paths)
{
	const struct trace_hop *h = &t->hops[at];
	path[n++] = at;
	for (unsigned i = 0; i < (h->n_outs ? h->n_outs : 1); i++) {
		const struct trace_out *o = h->n_outs ? &h->outs[i] : NULL;
		if (json_array_size(paths) == PATHS_MAX)
			return;
		if (o && o->next >= 0 && o->verdict != TRACE_LOOP && n < PATH_LENGTH_MAX) {
			paths_walk(s, t, o->next, path, n, paths);
			continue;
		}
		json_t *names = json_array();
		for (unsigned k = 0; k < n; k++)
			json_array_append_new(names, json_device(s, t->hops[path[k]].device));
		if (o && o->next >= 0)
			json_array_append_new(names, json_device(s, t->hops[o->next].device));
		json_array_append_new(
			paths, json_pack("{s:o,s:s}", "devices", names, "verdict",
					 o ? trace_verdict_name(o->verdict) : "inconclusive"));
	}
}

static json_t *packet_json(const struct trace_query *q, const struct trace *t)
{
	const struct address *source = &t->source;
	for (unsigned i = 0; i < t->n_hops && !source->family; i++)
		source = &t->hops[i].source; // chosen by the branch
	json_t *j = json_pack("{s:o,s:o}", "source", json_address(source), "destination",
			      json_address(&t->destination));
	json_put(j, "protocol", q->protocol < 0 ? json_null() : json_integer(q->protocol));
	json_put(j, "source_port", q->source_port < 0 ? json_null() : json_integer(q->source_port));
	json_put(j, "destination_port",
		 q->destination_port < 0 ? json_null() : json_integer(q->destination_port));
	return j;
}

json_t *trace_json(const struct forwarding *f, const struct view *v, const struct trace_query *q,
		   const struct trace *t)
{
	const struct state *s = forwarding_state(f);
	json_t *hops = json_array(), *starts = json_array(), *paths = json_array(),
	       *stale = json_array();
	int path[PATH_LENGTH_MAX + 1];
	for (unsigned i = 0; i < t->n_hops; i++) {
		json_array_append_new(hops, hop_json(s, v, &t->hops[i]));
		if (view_stale(v, t->hops[i].device))
			json_array_append_new(stale, json_device(s, t->hops[i].device));
	}
	for (unsigned i = 0; i < t->n_starts; i++) {
		json_array_append_new(starts, json_integer(t->starts[i]));
		paths_walk(s, t, t->starts[i], path, 0, paths);
	}
	return json_pack("{s:o,s:o,s:o,s:s,s:o,s:b,s:o,s:o,s:o,s:o,s:o}", "from",
			 json_text(q->from), "to", json_text(q->to), "packet", packet_json(q, t),
			 "verdict", trace_verdict_name(t->verdict), "why", json_text(t->why),
			 "partial", t->partial, "hops", hops, "starts", starts, "paths", paths,
			 "stale_devices", stale, "not_modelled",
			 json_strings(forwarding_not_modelled));
}

static json_t *finding_json(const struct state *s, const struct finding *f)
{
	json_t *devices = json_array(), *prefixes = json_array();
	for (unsigned i = 0; i < f->n_devices; i++)
		json_array_append_new(devices, json_device(s, f->devices[i]));
	for (unsigned i = 0; i < f->n_prefixes; i++)
		json_array_append_new(prefixes, json_prefix(&f->prefixes[i]));
	return json_pack("{s:o,s:o,s:o,s:I,s:o,s:b,s:o}", "devices", devices, "why",
			 json_text(f->why), "prefixes", prefixes, "classes", (json_int_t)f->classes,
			 "example", json_address(&f->example), "connected_only", f->connected,
			 "since", json_time(f->since_ns));
}

static json_t *unmodelled_json(const struct checks *c, const struct view *v)
{
	json_t *array = json_array();
	char why[WHY_MAX];
	for (uint32_t d = 0; d < catalogue_devices(state_catalogue(v->state)); d++)
		if (state_device(v->state, d)->seen &&
		    forwarding_unmodelled(checks_forwarding(c), d, why)[0])
			json_array_append_new(array, json_pack("{s:o,s:o}", "device",
							       json_device(v->state, d), "why",
							       json_text(why)));
	return array;
}

json_t *checks_json(const struct checks *c, const struct view *v)
{
	struct finding *f;
	size_t n = checks_findings(c, &f);
	const struct checks_pass *p = checks_pass(c);
	json_t *loops = json_array(), *holes = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(f[i].kind == FINDING_LOOP ? loops : holes,
				      finding_json(v->state, &f[i]));
	json_t *j = json_pack("{s:o,s:o,s:I,s:I,s:b,s:b,s:o,s:o,s:o,s:o}", "loops", loops,
			      "black_holes", holes, "classes", (json_int_t)p->classes,
			      "inconclusive_next_hops", (json_int_t)p->unknown, "truncated",
			      p->truncated, "pending", checks_due(c), "checked_at",
			      json_time(p->time_ns), "inconclusive_devices", unmodelled_json(c, v),
			      "stale_devices", json_stale(v), "not_modelled",
			      json_strings(forwarding_not_modelled));
	json_t *list = json_object_get(j, "not_modelled");
	json_array_append_new(list,
			      json_string("access lists: what a rule drops is dropped on purpose"));
	return j;
}
