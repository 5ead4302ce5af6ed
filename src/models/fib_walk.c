// SPDX-License-Identifier: Apache-2.0
// Walks over next hops: cycles of an atom, and what becomes of one packet.
//
// A walk's state is the device, or with split horizon the port by which a packet came in (a
// device's own packets: n_ports + device). `seen` holds stamps, so that nothing is cleared between
// walks.
#include "models/fib_internal.h"

#include <stdlib.h>
#include <string.h>

enum { CYCLE_STEPS = 20000, CYCLE_LENGTH = 256, CYCLE_LISTS = 2 * CYCLE_LENGTH };

static uint32_t states(const struct fib *f)
{
	return f->split_horizon ? f->n_ports + f->n_devices : f->n_devices;
}

static uint32_t device_of(const struct fib *f, uint32_t state)
{
	if (!f->split_horizon)
		return state;
	return state < f->n_ports ? f->ports[state].device : state - f->n_ports;
}

static uint32_t state_after(const struct fib *f, const struct fib_hop *h)
{
	return f->split_horizon ? h->in_port : h->device;
}

static uint32_t injected_at(const struct fib *f, uint32_t device)
{
	return f->split_horizon ? f->n_ports + device : device;
}

static bool back_out(const struct fib *f, uint32_t state, uint32_t port)
{
	return f->split_horizon && state == port;
}

// Two stamps a walk: on the path, and done with.
static uint32_t stamp_new(struct fib *f)
{
	f->stamp += 2;
	if (f->stamp >= UINT32_MAX - 2) {
		memset(f->seen, 0, ((size_t)f->n_ports + f->n_devices) * sizeof *f->seen);
		f->stamp = 2;
	}
	return f->stamp;
}

// Does a packet in this state come back to it?
static bool returns(struct fib *f, uint32_t atom, uint32_t from)
{
	uint32_t stamp = stamp_new(f), n = 0;
	f->stack[n++] = from;
	while (n) {
		uint32_t state = f->stack[--n];
		const struct fib_action *a = fib_action_of(f, atom, device_of(f, state));
		for (uint32_t i = 0; i < a->n_hops; i++) {
			uint32_t to = state_after(f, &a->hops[i]);
			if (back_out(f, state, a->hops[i].out_port))
				continue;
			if (to == from)
				return true;
			if (f->seen[to] != stamp) {
				f->seen[to] = stamp;
				f->stack[n++] = to;
			}
		}
	}
	return false;
}

bool fib_loops_through(struct fib *f, uint32_t atom, uint32_t device)
{
	if (!f->split_horizon)
		return returns(f, atom, device);
	const struct fib_device *d = &f->devices[device];
	for (uint32_t i = 0; i < d->n_in_ports; i++)
		if (returns(f, atom, d->in_ports[i]))
			return true;
	return false;
}

bool fib_loops_anywhere(struct fib *f, uint32_t atom)
{
	for (uint32_t d = 0; d < f->n_devices; d++)
		if (fib_loops_through(f, atom, d))
			return true;
	return false;
}

// --- cycles that access lists let pass

struct search {
	struct fib *f;
	uint32_t atom, start, steps, stamp;
	struct fib_packet *example;
	const struct fib_hop *path[CYCLE_LENGTH];
	bool unsure;
};

static bool path_survives(struct search *s, uint32_t length)
{
	uint32_t lists[CYCLE_LISTS], n = 0;
	for (uint32_t i = 0; i < length; i++) {
		const struct fib_port *out = &s->f->ports[s->path[i]->out_port];
		const struct fib_port *in = &s->f->ports[s->path[i]->in_port];
		if (n + out->n_out + in->n_in > CYCLE_LISTS) {
			s->unsure = true;
			return false;
		}
		for (uint32_t k = 0; k < out->n_out; k++)
			lists[n++] = out->out[k];
		for (uint32_t k = 0; k < in->n_in; k++)
			lists[n++] = in->in[k];
	}
	struct fib_packet p = {.destination = s->f->start[s->atom]};
	if (n == 0 || fib_lists_meet(s->f, lists, n, s->atom, &p, &s->unsure)) {
		if (s->example)
			*s->example = p;
		return true;
	}
	return false;
}

// Simple cycles back to `start`, through states that are not smaller than it.
static bool cycle_from(struct search *s, uint32_t state, uint32_t length)
{
	struct fib *f = s->f;
	if (length == CYCLE_LENGTH || s->steps++ > CYCLE_STEPS) {
		s->unsure = true;
		return false;
	}
	const struct fib_action *a = fib_action_of(f, s->atom, device_of(f, state));
	for (uint32_t i = 0; i < a->n_hops; i++) {
		uint32_t to = state_after(f, &a->hops[i]);
		if (back_out(f, state, a->hops[i].out_port) || to < s->start ||
		    f->seen[to] == s->stamp)
			continue;
		s->path[length] = &a->hops[i];
		if (to == s->start) {
			if (path_survives(s, length + 1))
				return true;
			continue;
		}
		f->seen[to] = s->stamp;
		bool found = cycle_from(s, to, length + 1);
		f->seen[to] = 0;
		if (found)
			return true;
	}
	return false;
}

// When the search had to be given up the answer is yes: what is not known to be harmless is not.
bool fib_cycle_survives(struct fib *f, uint32_t atom, struct fib_packet *example)
{
	struct search s = {.f = f, .atom = atom, .example = example};
	for (s.start = 0; s.start < states(f); s.start++) {
		s.stamp = stamp_new(f);
		if (cycle_from(&s, s.start, 0))
			return true;
	}
	if (s.unsure && example)
		*example = (struct fib_packet){.destination = f->start[atom]};
	return s.unsure;
}

bool fib_loop_find(struct fib *f, struct fib_packet *out)
{
	if (!f->sealed)
		return false;
	uint32_t atom = 0;
	do {
		if (f->cyclic[atom] && fib_cycle_survives(f, atom, out))
			return true;
		atom = f->next[atom];
	} while (atom);
	return false;
}

// --- counts

// Devices from which a packet of the atom may vanish: from those that discard, backwards to a fixed
// point.
static uint64_t atom_holes(const struct fib *f, uint32_t atom, uint8_t *hole)
{
	uint64_t n = 0;
	bool more = true;
	for (uint32_t d = 0; d < f->n_devices; d++) {
		const struct fib_action *a = fib_action_of(f, atom, d);
		hole[d] = a->drop || (a->n_ports == 0 && !a->self);
		n += hole[d];
	}
	while (more) {
		more = false;
		for (uint32_t d = 0; d < f->n_devices; d++) {
			const struct fib_action *a = fib_action_of(f, atom, d);
			bool into = false;
			for (uint32_t i = 0; !hole[d] && !into && i < a->n_hops; i++)
				into = hole[a->hops[i].device];
			if (into) {
				hole[d] = 1;
				n++;
				more = true;
			}
		}
	}
	return n;
}

void fib_count(struct fib *f, struct fib_counts *out)
{
	*out = (struct fib_counts){.routes = f->routes.n, .rules = f->n_rules, .atoms = f->n_atoms};
	out->bytes = (size_t)f->high_atoms * (f->n_devices * 3 + 17);
	uint8_t *hole = f->sealed ? calloc(f->n_devices, 1) : NULL;
	if (!hole)
		return;
	uint32_t atom = 0;
	do {
		out->black_holes += atom_holes(f, atom, hole);
		if (f->cyclic[atom])
			out->loops += !f->has_acls || fib_cycle_survives(f, atom, NULL);
		atom = f->next[atom];
	} while (atom);
	free(hole);
}

// --- one packet

struct tracing {
	struct fib *f;
	const struct fib_packet *packet;
	struct fib_outcome *out;
	size_t most, n;
	bool full;
};

static void outcome(struct tracing *t, enum fib_fate fate, uint32_t device, uint32_t port)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->out[i].fate == fate && t->out[i].device == device && t->out[i].port == port)
			return;
	if (t->n == t->most)
		t->full = true;
	else
		t->out[t->n++] = (struct fib_outcome){fate, device, port};
}

// What ends right here, at a state that was just entered.
static void state_ends(struct tracing *t, uint32_t state, uint32_t device,
		       const struct fib_action *a)
{
	struct fib *f = t->f;
	uint32_t back = 0;
	if (!a->self && !a->drop && a->n_ports == 0)
		outcome(t, FIB_NO_ROUTE, device, 0);
	if (a->self)
		outcome(t, FIB_SELF, device, 0);
	if (a->drop)
		outcome(t, FIB_DROP, device, 0);
	for (uint32_t i = 0; i < a->n_ports; i++) {
		const struct fib_port *p = &f->ports[a->ports[i]];
		if (back_out(f, state, a->ports[i]))
			back++;
		else if (!fib_port_permits(f, p, true, t->packet))
			outcome(t, FIB_DENY_OUT, device, a->ports[i]);
		else if (p->n_links == 0)
			outcome(t, FIB_EXIT, device, a->ports[i]);
	}
	if (a->n_ports && back == a->n_ports && !a->self && !a->drop)
		outcome(t, FIB_HAIRPIN, device, state);
}

struct frame {
	uint32_t state, hop;
};

struct err fib_trace(struct fib *f, const struct fib_packet *p, uint32_t device,
		     struct fib_outcome *out, size_t most, size_t *n)
{
	struct tracing t = {.f = f, .packet = p, .out = out, .most = most};
	*n = 0;
	ENSURE(f->sealed && device < f->n_devices, ERR_USAGE, "no such device, or no route yet");
	scoped(heap) struct frame *frames = calloc(states(f) + 1, sizeof *frames);
	ENSURE(frames, ERR_LIMIT, "out of memory for a trace");
	uint32_t atom = fib_atom_of(f, p->destination), depth = 0, path = stamp_new(f),
		 done = path + 1;
	frames[depth++] = (struct frame){injected_at(f, device), 0};
	f->seen[frames[0].state] = path;
	state_ends(&t, frames[0].state, device, fib_action_of(f, atom, device));
	while (depth) {
		struct frame *top = &frames[depth - 1];
		const struct fib_action *a = fib_action_of(f, atom, device_of(f, top->state));
		if (top->hop == a->n_hops) {
			f->seen[top->state] = done;
			depth--;
			continue;
		}
		const struct fib_hop *h = &a->hops[top->hop++];
		uint32_t to = state_after(f, h);
		if (back_out(f, top->state, h->out_port) ||
		    !fib_port_permits(f, &f->ports[h->out_port], true, p))
			continue;
		if (!fib_port_permits(f, &f->ports[h->in_port], false, p)) {
			outcome(&t, FIB_DENY_IN, h->device, h->in_port);
			continue;
		}
		if (f->seen[to] == path)
			outcome(&t, FIB_LOOP, 0, 0);
		if (f->seen[to] == path || f->seen[to] == done)
			continue;
		f->seen[to] = path;
		state_ends(&t, to, h->device, fib_action_of(f, atom, h->device));
		frames[depth++] = (struct frame){to, 0};
	}
	*n = t.n;
	ENSURE(!t.full, ERR_LIMIT, "more than %zu outcomes", most);
	return OK;
}
