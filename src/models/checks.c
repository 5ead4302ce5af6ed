// SPDX-License-Identifier: Apache-2.0
// The next hops of each route are resolved once per pass, when a class first needs them. A class
// then costs one longest match per device and a depth-first walk over the graph, with the path on
// an explicit stack: a device met again on the path closes a cycle.

#include "models/checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t MATTERS = TOUCHES_ROUTES | TOUCHES_ADDRESSES | TOUCHES_STATUS |
			       TOUCHES_NEIGHBOURS | TOUCHES_STRUCTURE;

struct edge {
	enum hop_kind kind;
	uint32_t peer;
	uint32_t next_hop;
};

struct entry_edges {
	uint32_t first, n;
	bool made;
}; // into `edges`; n 0: inconclusive

struct visit {		// of one device in one class
	uint8_t colour; // 0 new, 1 on the path, 2 done
	bool routed, owns;
	uint32_t entry, edge, n_edges, first;
};

struct checks {
	struct forwarding *f;
	struct address *bounds; // where classes begin
	size_t n_bounds, at;
	struct entry_edges **entries; // per device, per entry
	uint32_t n_devices;
	struct edge *edges;
	size_t n_edges, cap_edges;
	struct visit *visits;
	uint32_t *path;
	uint32_t *routed; // devices that have routes at all: where a walk may begin
	uint32_t n_routed;
	struct finding *found, *last;
	size_t n_found, n_last, cap_found, cap_last;
	bool running;
	unsigned restarts;   // of this pass, because the state moved on
	uint64_t generation; // when the pass began
	uint64_t seen;	     // of the last pass
	struct checks_pass pass, last_pass;
};

struct checks *checks_new(struct forwarding *f)
{
	struct checks *c = calloc(1, sizeof *c);
	if (c)
		c->f = f;
	return c;
}

static void pass_free(struct checks *c)
{
	for (uint32_t d = 0; c->entries && d < c->n_devices; d++)
		free(c->entries[d]);
	free(c->entries);
	free(c->bounds);
	free(c->visits);
	free(c->path);
	free(c->routed);
	free(c->edges);
	c->entries = NULL;
	c->bounds = NULL;
	c->visits = NULL;
	c->path = NULL;
	c->routed = NULL;
	c->n_routed = 0;
	c->edges = NULL;
	c->n_bounds = c->at = c->n_edges = c->cap_edges = 0;
}

void checks_free(struct checks *c)
{
	if (!c)
		return;
	pass_free(c);
	free(c->found);
	free(c->last);
	free(c);
}

// --- beginning a pass

static int bound_order(const void *a, const void *b)
{
	return address_compare(a, b);
}

static struct err bounds_collect(struct checks *c)
{
	const struct route *routes;
	const struct state *s = forwarding_state(c->f);
	size_t n = 0, m = 0;
	for (uint32_t d = 0; d < c->n_devices; d++) {
		size_t k = forwarding_routes(c->f, d, &routes);
		c->routed[c->n_routed] = d;
		c->n_routed += k > 0;
		n += k + state_count(s, d, OBJECT_ADDRESS);
	}
	c->bounds = calloc(n * 2 + 1, sizeof *c->bounds);
	ENSURE(c->bounds, ERR_LIMIT, "out of memory for %zu destination classes", n * 2);
	for (uint32_t d = 0; d < c->n_devices; d++) {
		size_t k = forwarding_routes(c->f, d, &routes);
		for (size_t i = 0; i < k; i++) {
			struct address last = prefix_last(&routes[i].prefix);
			c->bounds[m++] = routes[i].prefix.address;
			m += address_next(&last, &c->bounds[m]);
		}
		for (uint32_t i = 0; i < state_count(s, d, OBJECT_ADDRESS); i++) {
			if (!state_value(s, d, OBJECT_ADDRESS, i))
				continue;
			c->bounds[m] = catalogue_identity(catalogue_device(state_catalogue(s), d),
							  OBJECT_ADDRESS, i)
					       ->prefix.address;
			m += 1 + address_next(&c->bounds[m], &c->bounds[m + 1]);
		}
	}
	qsort(c->bounds, m, sizeof *c->bounds, bound_order);
	c->n_bounds = 0;
	for (size_t i = 0; i < m; i++)
		if (!c->n_bounds ||
		    address_compare(&c->bounds[c->n_bounds - 1], &c->bounds[i]) != 0)
			c->bounds[c->n_bounds++] = c->bounds[i];
	return OK;
}

static struct err pass_begin(struct checks *c)
{
	const struct state *s = forwarding_state(c->f);
	pass_free(c);
	TRY(forwarding_refresh(c->f));
	c->generation = state_generation(s, MATTERS);
	c->n_devices = catalogue_devices(state_catalogue(s));
	c->entries = calloc((size_t)c->n_devices + 1, sizeof *c->entries);
	c->visits = calloc((size_t)c->n_devices + 1, sizeof *c->visits);
	c->path = calloc((size_t)c->n_devices + 1, sizeof *c->path);
	c->routed = calloc((size_t)c->n_devices + 1, sizeof *c->routed);
	ENSURE(c->entries && c->visits && c->path && c->routed, ERR_LIMIT,
	       "out of memory for %u devices", c->n_devices);
	for (uint32_t d = 0; d < c->n_devices; d++) {
		c->entries[d] =
			calloc((size_t)state_count(s, d, OBJECT_ENTRY) + 1, sizeof **c->entries);
		ENSURE(c->entries[d], ERR_LIMIT, "out of memory for the routes of a device");
	}
	TRY(bounds_collect(c));
	c->n_found = 0;
	c->pass = (struct checks_pass){.revision = state_revision(s)};
	c->running = true;
	return OK;
}

// --- edges

static struct err edge_add(struct checks *c, struct edge e)
{
	if (c->n_edges == c->cap_edges) {
		size_t cap = c->cap_edges ? c->cap_edges * 2 : 1024;
		struct edge *edges = realloc(c->edges, cap * sizeof *edges);
		ENSURE(edges, ERR_LIMIT, "out of memory for %zu next hops", cap);
		c->edges = edges;
		c->cap_edges = cap;
	}
	c->edges[c->n_edges++] = e;
	return OK;
}

static struct err edges_of(struct checks *c, uint32_t device, uint32_t entry,
			   struct entry_edges **out)
{
	struct entry_edges *x = *out = &c->entries[device][entry];
	if (x->made)
		return OK;
	uint32_t hops[NEXT_HOPS_MAX];
	char why[WHY_MAX];
	size_t n = forwarding_next_hops(c->f, device, entry, hops, why);
	x->first = (uint32_t)c->n_edges;
	for (size_t i = 0; i < n; i++) {
		struct hop h;
		forwarding_hop(c->f, device, hops[i], NULL, &h);
		TRY(edge_add(c, (struct edge){h.kind, h.peer.device, hops[i]}));
	}
	x->n = (uint32_t)n;
	x->made = true;
	return OK;
}

// --- findings

static bool finding_same(const struct finding *a, const struct finding *b)
{
	return a->kind == b->kind && a->n_devices == b->n_devices &&
	       memcmp(a->devices, b->devices, a->n_devices * sizeof *a->devices) == 0 &&
	       strcmp(a->why, b->why) == 0;
}

static void prefix_note(struct finding *f, const struct prefix *p)
{
	for (unsigned i = 0; i < f->n_prefixes; i++)
		if (prefix_compare(&f->prefixes[i], p) == 0)
			return;
	if (f->n_prefixes < FINDING_PREFIXES_MAX)
		f->prefixes[f->n_prefixes++] = *p;
}

static bool found_room(struct checks *c)
{
	if (c->n_found < c->cap_found)
		return true;
	size_t cap = c->cap_found ? c->cap_found * 2 : 8;
	struct finding *found = realloc(c->found, cap * sizeof *found);
	if (!found)
		return false;
	c->found = found;
	c->cap_found = cap;
	return true;
}

static void finding_add(struct checks *c, const struct finding *f, uint32_t device, uint32_t entry,
			const struct address *example)
{
	struct finding *to = NULL;
	for (size_t i = 0; i < c->n_found && !to; i++)
		if (finding_same(&c->found[i], f))
			to = &c->found[i];
	if (!to && (c->n_found == FINDINGS_MAX || !found_room(c))) {
		c->pass.truncated = true;
		return;
	}
	if (!to) {
		to = &c->found[c->n_found++];
		*to = *f;
		to->example = *example;
	}
	to->connected &= f->connected;
	to->classes++;
	const struct catalogue_device *names =
		catalogue_device(state_catalogue(forwarding_state(c->f)), device);
	prefix_note(to, &catalogue_identity(names, OBJECT_ENTRY, entry)->prefix);
}

// The path from where `to` stands on it, turned so that the smallest number is first.
static void loop_found(struct checks *c, uint32_t depth, uint32_t to, const struct address *example)
{
	uint32_t from = depth;
	while (c->path[from] != to)
		from--;
	uint32_t n = depth - from + 1, smallest = 0;
	for (uint32_t i = 1; i < n; i++)
		if (c->path[from + i] < c->path[from + smallest])
			smallest = i;
	struct finding f = {.kind = FINDING_LOOP};
	for (uint32_t i = 0; i < n && i < FINDING_DEVICES_MAX; i++)
		f.devices[f.n_devices++] = c->path[from + (smallest + i) % n];
	snprintf(f.why, WHY_MAX, "%u devices send it round", n);
	finding_add(c, &f, to, c->visits[to].entry, example);
}

static void hole_found(struct checks *c, uint32_t device, const struct edge *e,
		       const struct address *example)
{
	struct finding f = {.kind = FINDING_BLACK_HOLE, .devices = {device}, .n_devices = 1};
	const struct visit *v = &c->visits[device];
	if (e->kind == HOP_PEER) { // handed to a device that has no route for it
		f.devices[0] = e->peer;
		snprintf(f.why, WHY_MAX, "%s sends it here, and here is no route for it",
			 catalogue_device(state_catalogue(forwarding_state(c->f)), device)->id);
	} else {
		struct hop h;
		forwarding_hop(c->f, device, e->next_hop, NULL, &h);
		snprintf(f.why, WHY_MAX, "%s", h.why);
		f.connected = !h.via.family;
	}
	finding_add(c, &f, device, v->entry, example);
}

// --- one class

static struct err class_enter(struct checks *c, uint32_t device, const struct address *to)
{
	struct visit *v = &c->visits[device];
	uint32_t interface;
	struct entry_edges *x;
	v->colour = 1;
	v->edge = v->n_edges = 0;
	v->owns = forwarding_owns(c->f, device, to, &interface);
	v->routed = !v->owns && forwarding_route(c->f, device, to, &v->entry);
	if (!v->routed)
		return OK;
	TRY(edges_of(c, device, v->entry, &x));
	v->first = x->first;
	v->n_edges = x->n;
	c->pass.unknown += x->n == 0;
	return OK;
}

// One edge of the device on top of the path. *down: the peer is to be entered.
static void class_edge(struct checks *c, uint32_t depth, const struct address *to, bool *down)
{
	uint32_t device = c->path[depth];
	struct visit *v = &c->visits[device];
	const struct edge *e = &c->edges[v->first + v->edge++];
	*down = false;
	if (e->kind == HOP_BLACK_HOLE)
		hole_found(c, device, e, to);
	c->pass.unknown += e->kind == HOP_UNKNOWN;
	if (e->kind != HOP_PEER)
		return;
	const struct visit *peer = &c->visits[e->peer];
	if (peer->colour == 1) {
		loop_found(c, depth, e->peer, to);
	} else if (peer->colour == 0) {
		c->path[depth + 1] = e->peer;
		*down = true;
	}
}

// A packet that arrives at a device with neither the address nor a route for it.
static void class_arrive(struct checks *c, uint32_t depth, const struct address *to)
{
	const struct visit *from = &c->visits[c->path[depth]];
	const struct edge *e = &c->edges[from->first + from->edge - 1];
	const struct visit *at = &c->visits[e->peer];
	if (e->kind == HOP_PEER && at->colour == 2 && !at->owns && !at->routed)
		hole_found(c, c->path[depth], e, to);
}

static struct err class_walk(struct checks *c, uint32_t start, const struct address *to)
{
	uint32_t depth = 0;
	c->path[0] = start;
	TRY(class_enter(c, start, to));
	for (;;) {
		struct visit *v = &c->visits[c->path[depth]];
		if (v->edge == v->n_edges) {
			v->colour = 2;
			if (depth == 0)
				return OK;
			depth--;
			class_arrive(c, depth, to);
			continue;
		}
		bool down;
		class_edge(c, depth, to, &down);
		if (down)
			TRY(class_enter(c, c->path[++depth], to));
		else
			class_arrive(c, depth, to);
	}
}

// The first address of the class, but for 0.0.0.0 and :: themselves; false: nothing to be checked.
static bool class_example(const struct checks *c, struct address *out)
{
	static const uint8_t zeros[16];
	*out = c->bounds[c->at];
	if (memcmp(out->bytes, zeros, sizeof zeros) == 0) {
		out->bytes[address_bits(out) / 8 - 1] = 1;
		if (c->at + 1 < c->n_bounds && address_compare(&c->bounds[c->at + 1], out) == 0)
			return false;
	}
	return !address_is_special(out) && !address_is_loopback(out) &&
	       !(out->family == 6 && address_is_link_local(out));
}

static struct err class_check(struct checks *c, const struct address *to)
{
	c->pass.classes++;
	for (uint32_t d = 0; d < c->n_devices; d++)
		c->visits[d].colour = 0;
	for (uint32_t i = 0; i < c->n_routed; i++)
		if (c->visits[c->routed[i]].colour == 0)
			TRY(class_walk(c, c->routed[i], to));
	return OK;
}

// --- passes

static void pass_end(struct checks *c, int64_t now_ns)
{
	for (size_t i = 0; i < c->n_found; i++) {
		struct finding *f = &c->found[i];
		f->since_ns = now_ns;
		for (size_t k = 0; k < c->n_last; k++)
			if (finding_same(f, &c->last[k])) {
				f->since_ns = c->last[k].since_ns;
				f->reported = c->last[k].reported;
			}
	}
	struct finding *swap = c->last;
	c->last = c->found;
	c->n_last = c->n_found;
	c->found = swap;
	size_t cap = c->cap_last;
	c->cap_last = c->cap_found;
	c->cap_found = cap;
	c->pass.complete = true;
	c->pass.time_ns = now_ns;
	c->last_pass = c->pass;
	c->seen = c->generation;
	c->running = false;
	c->restarts = 0;
	pass_free(c);
}

bool checks_due(const struct checks *c)
{
	return c->running || !c->last_pass.complete ||
	       state_generation(forwarding_state(c->f), MATTERS) != c->seen;
}

struct err checks_step(struct checks *c, size_t visits, int64_t now_ns, bool *done)
{
	*done = false;
	if (!checks_due(c))
		return OK;
	bool moved =
		c->running && state_generation(forwarding_state(c->f), MATTERS) != c->generation;
	if (moved && c->restarts < 16)
		c->restarts++;
	if (moved || !c->running)
		TRY(pass_begin(c));
	visits <<=
		c->restarts; // each restart doubles the step: at last a pass fits between changes
	for (size_t done_here = 0; done_here < visits && c->at < c->n_bounds; c->at++) {
		struct address to;
		done_here++;
		if (c->n_routed == 0 || !class_example(c, &to))
			continue;
		TRY(class_check(c, &to));
		done_here += c->n_devices;
	}
	if (c->at < c->n_bounds)
		return OK;
	pass_end(c, now_ns);
	*done = true;
	return OK;
}

size_t checks_findings(const struct checks *c, struct finding **findings)
{
	*findings = c->last;
	return c->n_last;
}

const struct checks_pass *checks_pass(const struct checks *c)
{
	return &c->last_pass;
}

struct forwarding *checks_forwarding(const struct checks *c)
{
	return c->f;
}
