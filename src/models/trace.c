// SPDX-License-Identifier: Apache-2.0
// A walk over (device, incoming interface, source): each is visited once, so that branches that
// meet again cost nothing, and an edge back into a visit that is not finished is a loop. The walk
// goes on behind an inconclusive filter, because the way is of use to a person; the verdict stays
// inconclusive.

#include "models/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct walk {
	const struct forwarding *f;
	const struct state *state;
	const struct trace_query *q;
	struct arena *a;
	struct trace *t;
	bool any, unsure;
	bool full; // memory or hops ran out
};

const char *trace_verdict_name(enum trace_verdict v)
{
	static const char *const names[] = {"delivered", "left",       "dropped", "discarded",
					    "no-route",	 "black-hole", "loop",	  "inconclusive"};
	return names[v];
}

static const char *text(struct walk *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static const char *text(struct walk *w, const char *format, ...)
{
	char line[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	const char *copy = arena_strdup(w->a, line);
	w->full |= !copy;
	return copy ? copy : "";
}

static const char *record(struct walk *w, uint32_t device, enum object_kind kind, uint32_t index)
{
	char path[STATE_PATH_MAX];
	const char *copy = arena_strdup(w->a, state_path(w->state, device, kind, index, path));
	w->full |= !copy;
	return copy;
}

static const char *device_name(const struct walk *w, uint32_t device)
{
	return catalogue_device(state_catalogue(w->state), device)->id;
}

static const char *interface_name(const struct walk *w, uint32_t device, uint32_t interface)
{
	return catalogue_identity(catalogue_device(state_catalogue(w->state), device),
				  OBJECT_INTERFACE, interface)
		->text;
}

// --- verdicts

static void ends(struct walk *w, enum trace_verdict v, const char *why)
{
	struct trace *t = w->t;
	if (w->any && v != t->verdict)
		t->partial = true;
	if (!w->any || v > t->verdict) {
		t->verdict = v;
		t->why = why;
	}
	w->any = true;
}

static void out_ends(struct walk *w, struct trace_out *o, enum trace_verdict v, const char *why)
{
	o->verdict = v;
	o->why = why;
	o->next = -1;
	ends(w, v, why);
}

static void doubt(struct walk *w, const char *why)
{
	if (!w->unsure)
		w->t->why = why;
	w->unsure = true;
	ends(w, TRACE_INCONCLUSIVE, why);
}

// --- access lists

static void rule_note(struct walk *w, uint32_t device, const struct acl_verdict *v,
		      struct trace_out *o)
{
	char line[1024];
	if (!v->filtered || v->set == UINT32_MAX)
		return;
	o->rule =
		text(w, "%s", acl_rule_text(w->state, device, v->set, v->rule, line, sizeof line));
	o->rule_record = v->rule == UINT32_MAX ? record(w, device, OBJECT_SET, v->set)
					       : record(w, device, OBJECT_RULE, v->rule);
}

// False when the packet ends here.
static bool permitted(struct walk *w, const struct trace_hop *h, enum hook hook, const char *in,
		      const char *out, struct trace_out *o)
{
	struct packet p = {h->source, w->t->destination, w->q->protocol, w->q->source_port,
			   w->q->destination_port};
	struct acl_verdict v;
	acl_judge(forwarding_acl(w->f, h->device), hook, &p, in, out, &v);
	rule_note(w, h->device, &v, o);
	if (v.outcome == ACL_INCONCLUSIVE) {
		o->why = text(w, "%s: %s%s%s", device_name(w, h->device), o->rule ? o->rule : "",
			      o->rule ? ": " : "", v.why);
		doubt(w, o->why);
	} else if (v.outcome != ACL_PERMIT) {
		out_ends(w, o, TRACE_DROPPED,
			 text(w, "%s %s it: %s", device_name(w, h->device),
			      v.outcome == ACL_DROP ? "drops" : "rejects", o->rule ? o->rule : ""));
		return false;
	}
	return true;
}

static const char *in_name(const struct walk *w, const struct trace_hop *h)
{
	return h->has_in ? interface_name(w, h->device, h->in) : NULL;
}

static void deliver(struct walk *w, const struct trace_hop *h, struct trace_out *o)
{
	if (!h->has_in && !permitted(w, h, HOOK_OUTPUT, NULL, "lo", o))
		return;
	if (permitted(w, h, HOOK_INPUT, h->has_in ? in_name(w, h) : "lo", NULL, o))
		out_ends(w, o, TRACE_DELIVERED, NULL);
}

// --- visiting

static int visit(struct walk *w, uint32_t device, const struct link_end *in,
		 const struct address *source);

static void follow(struct walk *w, struct trace_hop *h, struct trace_out *o, struct hop *hop)
{
	const char *device = device_name(w, h->device);
	switch (hop->kind) {
	case HOP_PEER:
		o->next = visit(w, hop->peer.device, &hop->peer, &h->source);
		if (o->next < 0)
			out_ends(w, o, TRACE_INCONCLUSIVE,
				 "the way is longer than can be followed");
		else if (!w->t->hops[o->next].finished) {
			o->verdict = TRACE_LOOP;
			o->why = text(w, "back to %s", device_name(w, hop->peer.device));
			ends(w, TRACE_LOOP,
			     text(w, "loop: %s sends it back to %s", device,
				  device_name(w, hop->peer.device)));
		}
		break;
	case HOP_LINK:
		out_ends(w, o, TRACE_DELIVERED, NULL);
		break;
	case HOP_LEFT:
		out_ends(w, o, TRACE_LEFT, text(w, "%s: %s", device, hop->why));
		break;
	case HOP_DISCARD:
		out_ends(w, o, TRACE_DISCARDED, text(w, "%s: %s", device, hop->why));
		break;
	case HOP_BLACK_HOLE:
		out_ends(w, o, TRACE_BLACK_HOLE, text(w, "%s: %s", device, hop->why));
		break;
	default:
		out_ends(w, o, TRACE_INCONCLUSIVE, text(w, "%s: %s", device, hop->why));
		break;
	}
}

// A host's own packet bears the address of the interface that it leaves by (RFC 6724 in short: the
// first of the family that is not link-local), else any of the device's.
static struct address source_for(const struct walk *w, uint32_t device, const struct hop *hop)
{
	struct address any = {0};
	for (uint32_t i = 0; i < state_count(w->state, device, OBJECT_ADDRESS); i++) {
		const struct identity *id = catalogue_identity(
			catalogue_device(state_catalogue(w->state), device), OBJECT_ADDRESS, i);
		const struct address *a = &id->prefix.address;
		if (!state_value(w->state, device, OBJECT_ADDRESS, i) ||
		    a->family != w->t->destination.family || address_is_link_local(a) ||
		    address_is_loopback(a))
			continue;
		if (hop->has_interface && id->parent == hop->interface)
			return *a;
		any = *a;
	}
	return any;
}

static void branch(struct walk *w, struct trace_hop *h, uint32_t next_hop, struct trace_out *o)
{
	struct hop hop;
	struct address was = h->source;
	forwarding_hop(w->f, h->device, next_hop, &w->t->destination, &hop);
	o->next = -1;
	o->has_interface = hop.has_interface;
	o->interface = hop.interface;
	o->via = hop.via;
	o->next_hop_record = record(w, h->device, OBJECT_NEXT_HOP, next_hop);
	if (!h->has_in && !h->source.family)
		h->source = source_for(w, h->device, &hop);
	const char *out = hop.has_interface ? interface_name(w, h->device, hop.interface) : NULL;
	if (hop.kind == HOP_LOCAL)
		deliver(w, h, o);
	else if (hop.kind == HOP_DISCARD || !out ||
		 permitted(w, h, h->has_in ? HOOK_FORWARD : HOOK_OUTPUT, in_name(w, h), out, o))
		follow(w, h, o, &hop);
	h->source = was;
}

static struct trace_out *outs_new(struct walk *w, struct trace_hop *h, size_t n)
{
	h->outs = arena_alloc(w->a, n * sizeof *h->outs);
	w->full |= !h->outs;
	h->n_outs = h->outs ? (unsigned)n : 0;
	for (unsigned i = 0; i < h->n_outs; i++)
		h->outs[i].next = -1;
	return h->outs;
}

static void route_note(struct walk *w, struct trace_hop *h, uint32_t entry)
{
	char prefix[PREFIX_TEXT_MAX];
	const struct entry_value *e = state_value(w->state, h->device, OBJECT_ENTRY, entry);
	const struct identity *id = catalogue_identity(
		catalogue_device(state_catalogue(w->state), h->device), OBJECT_ENTRY, entry);
	h->route = text(w, "%s %s", prefix_print(&id->prefix, prefix), origin_choices[e->origin]);
	h->route_record = record(w, h->device, OBJECT_ENTRY, entry);
}

static void forward(struct walk *w, struct trace_hop *h)
{
	uint32_t entry, next_hops[NEXT_HOPS_MAX];
	char why[WHY_MAX];
	if (!forwarding_route(w->f, h->device, &w->t->destination, &entry)) {
		struct trace_out *o = outs_new(w, h, 1);
		if (o)
			out_ends(w, o, TRACE_NO_ROUTE,
				 text(w, "%s has no route for it", device_name(w, h->device)));
		return;
	}
	route_note(w, h, entry);
	size_t n = forwarding_next_hops(w->f, h->device, entry, next_hops, why);
	struct trace_out *outs = outs_new(w, h, n ? n : 1);
	if (outs && n == 0)
		out_ends(w, outs, TRACE_INCONCLUSIVE,
			 text(w, "%s: %s", device_name(w, h->device), why));
	for (size_t i = 0; outs && i < n && !w->full; i++)
		branch(w, h, next_hops[i], &outs[i]);
}

static void doubts(struct walk *w, struct trace_hop *h)
{
	char why[WHY_MAX];
	if (forwarding_unmodelled(w->f, h->device, why)[0])
		h->note =
			text(w, "%s uses what is not modelled: %s", device_name(w, h->device), why);
	else if (!state_device(w->state, h->device)->synced)
		h->note = text(w, "%s has not sent its whole state yet", device_name(w, h->device));
	if (h->note)
		doubt(w, h->note);
}

static int visited(const struct walk *w, uint32_t device, const struct link_end *in,
		   const struct address *source)
{
	for (unsigned i = 0; i < w->t->n_hops; i++) {
		const struct trace_hop *h = &w->t->hops[i];
		if (h->device == device && h->has_in == (in != NULL) &&
		    (!in || h->in == in->interface) && address_compare(&h->source, source) == 0)
			return (int)i;
	}
	return -1;
}

// The hop's place; -1 when there is no room. Unfinished when the walk is still inside it: a loop.
static int visit(struct walk *w, uint32_t device, const struct link_end *in,
		 const struct address *source)
{
	int known = visited(w, device, in, source);
	if (known >= 0 || w->full || w->t->n_hops == TRACE_HOPS_MAX)
		return known;
	int at = (int)w->t->n_hops++;
	struct trace_hop *h = &w->t->hops[at];
	*h = (struct trace_hop){.device = device, .has_in = in != NULL, .source = *source};
	if (in)
		h->in = in->interface;
	doubts(w, h);
	uint32_t interface;
	if (forwarding_owns(w->f, device, &w->t->destination, &interface)) {
		struct trace_out *o = outs_new(w, h, 1);
		if (o)
			deliver(w, h, o);
	} else {
		forward(w, h);
	}
	h->finished = true;
	return at;
}

// --- from and to

static bool first_address(const struct walk *w, uint32_t device, const uint32_t *interface,
			  uint8_t family, struct address *out)
{
	const struct catalogue_device *names = catalogue_device(state_catalogue(w->state), device);
	int best = 0;
	for (uint32_t i = 0; i < state_count(w->state, device, OBJECT_ADDRESS); i++) {
		const struct address_value *v = state_value(w->state, device, OBJECT_ADDRESS, i);
		const struct identity *id = catalogue_identity(names, OBJECT_ADDRESS, i);
		const struct address *a = &id->prefix.address;
		if (!v || address_is_link_local(a) || address_is_loopback(a) ||
		    (family && a->family != family) || (interface && id->parent != *interface))
			continue;
		// a host address (a router's own) before interfaces', IPv4 before IPv6
		int rank = 1 + 2 * (v->length == address_bits(a)) + (a->family == 4);
		if (rank > best) {
			best = rank;
			*out = *a;
		}
	}
	return best > 0;
}

// "device" or "device/interface".
static struct err place_find(const struct walk *w, const char *name, const char *what,
			     uint32_t *device, bool *has_interface, uint32_t *interface)
{
	const char *slash = strchr(name, '/');
	char id[129];
	snprintf(id, sizeof id, "%.*s", slash ? (int)(slash - name) : 128, name);
	*has_interface = slash != NULL;
	ENSURE(topology_device(forwarding_topology(w->f), id, device), ERR_NOT_FOUND,
	       "%s: no device, address or subnet \"%s\" is known", what, id);
	if (!slash)
		return OK;
	struct object_key key = {.kind = OBJECT_INTERFACE, .text = slash + 1};
	ENSURE(catalogue_find(state_catalogue(w->state), *device, &key, interface) &&
		       state_value(w->state, *device, OBJECT_INTERFACE, *interface),
	       ERR_NOT_FOUND, "%s: %s has no interface \"%.64s\"", what, id, slash + 1);
	return OK;
}

static struct err to_find(struct walk *w)
{
	const char *to = w->q->to;
	ENSURE(to && *to, ERR_USAGE, "to: missing; an address, a device, or device/interface");
	if (!address_parse(to, strlen(to), &w->t->destination)) {
		uint32_t device, interface;
		bool has_interface;
		TRY(place_find(w, to, "to", &device, &has_interface, &interface));
		uint8_t family = w->t->source.family;
		ENSURE(first_address(w, device, has_interface ? &interface : NULL, family,
				     &w->t->destination),
		       ERR_NOT_FOUND, "to: %s has no %saddress", to,
		       family == 4   ? "IPv4 "
		       : family == 6 ? "IPv6 "
				     : "");
	}
	ENSURE(!w->t->source.family || w->t->source.family == w->t->destination.family, ERR_USAGE,
	       "from and to are of different address families");
	return OK;
}

static void start(struct walk *w, uint32_t device, const struct link_end *in)
{
	int at = visit(w, device, in, &w->t->source);
	if (at >= 0 && w->t->n_starts < 64)
		w->t->starts[w->t->n_starts++] = at;
}

static bool on_subnet_seen(const struct walk *w, const struct topology_member *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct object_key key = {.kind = OBJECT_NEIGHBOUR,
					 .parent = m[i].at.interface,
					 .prefix = prefix_around(&w->t->destination, 128)};
		uint32_t index;
		const struct neighbour_value *v = NULL;
		if (catalogue_find(state_catalogue(w->state), m[i].at.device, &key, &index))
			v = state_value(w->state, m[i].at.device, OBJECT_NEIGHBOUR, index);
		if (v && have(&v->h, HAVE_LLADDR) && v->state != NEIGHBOUR_FAILED)
			return true;
	}
	return false;
}

// From a host outside the twin, attached to a subnet: every router on it may be the host's gateway.
static void from_subnet(struct walk *w, const struct topology_member *m, size_t n)
{
	bool local = prefix_contains(&m->prefix, &w->t->destination), met = false;
	for (size_t i = 0; i < n; i++) {
		const struct interface_value *v =
			state_value(w->state, m[i].at.device, OBJECT_INTERFACE, m[i].at.interface);
		uint32_t interface;
		bool owner = forwarding_owns(w->f, m[i].at.device, &w->t->destination, &interface);
		if (interface_is_down(v) || (local && !owner))
			continue;
		met = true;
		start(w, m[i].at.device, &m[i].at);
	}
	if (local && !met && on_subnet_seen(w, m, n))
		ends(w, TRACE_DELIVERED, "both are on one subnet: no router is between them");
	else if (local && !met)
		ends(w, TRACE_INCONCLUSIVE, "the destination has not been seen on its subnet");
	else if (!met)
		ends(w, TRACE_BLACK_HOLE, "every router interface on the subnet is down");
}

static struct err from_address(struct walk *w)
{
	struct link_end owners[2];
	size_t n = forwarding_owners(w->f, &w->t->source, owners, 2);
	ENSURE(n < 2 || owners[0].device == owners[1].device, ERR_CONFLICT,
	       "from: %s is an address of both %s and %s; name the device", w->q->from,
	       device_name(w, owners[0].device), device_name(w, owners[1].device));
	if (n) {
		start(w, owners[0].device, NULL);
		return OK;
	}
	const struct topology_member *m, *best = NULL;
	size_t members = topology_members(forwarding_topology(w->f), &m), count = 0;
	for (size_t i = 0; i < members; i++)
		if (prefix_contains(&m[i].prefix, &w->t->source) &&
		    (!best || m[i].prefix.length > best->prefix.length)) {
			best = &m[i];
			count = 0;
			while (i + count < members &&
			       prefix_compare(&m[i + count].prefix, &best->prefix) == 0)
				count++;
		}
	ENSURE(best, ERR_NOT_FOUND, "from: no device owns %s and no known subnet holds it",
	       w->q->from);
	from_subnet(w, best, count);
	return OK;
}

static struct err source_find(struct walk *w)
{
	const char *source = w->q->source;
	ENSURE(!source || address_parse(source, strlen(source), &w->t->source), ERR_USAGE,
	       "source: \"%.64s\" is not an address", source);
	return OK;
}

static bool special(struct walk *w)
{
	if (!address_is_special(&w->t->destination))
		return false;
	ends(w, TRACE_INCONCLUSIVE,
	     "multicast, broadcast and unspecified addresses are not modelled");
	return true;
}

static struct err from_walk(struct walk *w)
{
	const char *from = w->q->from;
	struct address a;
	ENSURE(from && *from, ERR_USAGE, "from: missing; a device, device/interface or an address");
	TRY(source_find(w));
	if (address_parse(from, strlen(from), &a)) {
		ENSURE(!w->q->source || address_compare(&a, &w->t->source) == 0, ERR_USAGE,
		       "source: from is an address already; leave source out, or name a device in "
		       "from");
		w->t->source = a;
		TRY(to_find(w));
		return special(w) ? OK : from_address(w);
	}
	uint32_t device, interface = 0;
	bool has_interface;
	TRY(place_find(w, from, "from", &device, &has_interface, &interface));
	TRY(to_find(w));
	struct link_end in = {device, interface};
	if (!special(w))
		start(w, device, has_interface ? &in : NULL);
	return OK;
}

struct err trace_run(const struct forwarding *f, const struct trace_query *q, struct arena *a,
		     struct trace *out)
{
	struct walk w = {f, forwarding_state(f), q, a, out};
	memset(out, 0, sizeof *out);
	TRY(from_walk(&w));
	ENSURE(!w.full, ERR_LIMIT, "the trace needs more memory than a question may");
	return OK;
}
