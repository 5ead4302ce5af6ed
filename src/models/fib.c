// SPDX-License-Identifier: Apache-2.0
// Changes of the forwarding engine: routes, next-hop sets, what-if.
//
// Routes are kept in one hash table by (device, length, prefix). A route that goes away hands its
// cells to the longest shorter prefix that covers it, found by asking the table for each length
// that the device uses: no tree of rules for each atom.
#include "models/fib_internal.h"

#include <stdlib.h>
#include <string.h>

enum { ROUTES_FIRST = 1 << 16 };

// --- routes

static uint64_t route_key(uint32_t device, uint32_t address, unsigned length)
{
	return ((uint64_t)device << 38 | (uint64_t)length << 32 | address) + 1;
}

static uint64_t route_slot(const struct fib_routes *r, uint64_t key)
{
	uint64_t h = key * 0x9e3779b97f4a7c15ull;
	return (h ^ h >> 29) & (r->cap - 1);
}

// Its slot, or the empty one where it would be.
static uint64_t route_find(const struct fib_routes *r, uint64_t key)
{
	uint64_t at = route_slot(r, key);
	while (r->keys[at] && r->keys[at] != key)
		at = (at + 1) & (r->cap - 1);
	return at;
}

static struct err routes_room(struct fib_routes *r)
{
	if (r->cap && r->n * 8 < r->cap * 5)
		return OK;
	struct fib_routes more = {.n = r->n, .cap = r->cap ? r->cap * 2 : ROUTES_FIRST};
	more.keys = calloc(more.cap, sizeof *more.keys);
	more.sets = calloc(more.cap, sizeof *more.sets);
	if (!more.keys || !more.sets) {
		free(more.keys);
		free(more.sets);
		return err_make(ERR_LIMIT, "out of memory for routes");
	}
	for (uint64_t i = 0; i < r->cap; i++) {
		if (!r->keys[i])
			continue;
		uint64_t at = route_find(&more, r->keys[i]);
		more.keys[at] = r->keys[i];
		more.sets[at] = r->sets[i];
	}
	free(r->keys);
	free(r->sets);
	*r = more;
	return OK;
}

// Entries behind the hole move up where their probe passes it.
static void route_erase(struct fib_routes *r, uint64_t hole)
{
	uint64_t mask = r->cap - 1;
	for (uint64_t at = (hole + 1) & mask; r->keys[at]; at = (at + 1) & mask) {
		uint64_t home = route_slot(r, r->keys[at]);
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			r->keys[hole] = r->keys[at];
			r->sets[hole] = r->sets[at];
			hole = at;
		}
	}
	r->keys[hole] = 0;
	r->n--;
}

static uint32_t mask_of(unsigned length)
{
	return length ? UINT32_MAX << (32 - length) : 0;
}

// --- start

static struct err seal(struct fib *f)
{
	if (f->sealed)
		return OK;
	ENSURE(f->n_devices, ERR_USAGE, "a route before any device");
	size_t states = (size_t)f->n_ports + f->n_devices;
	f->seen = calloc(states, sizeof *f->seen);
	f->stack = calloc(states, sizeof *f->stack);
	ENSURE(f->seen && f->stack, ERR_LIMIT, "out of memory for walks");
	TRY(routes_room(&f->routes));
	f->sealed = true;
	return fib_atoms_start(f);
}

// --- next-hop sets

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static struct err action_hops(const struct fib *f, struct fib_action *a)
{
	for (uint32_t i = 0; i < a->n_ports; i++)
		a->n_hops += f->ports[a->ports[i]].n_links;
	a->hops = calloc(a->n_hops ? a->n_hops : 1, sizeof *a->hops);
	ENSURE(a->hops, ERR_LIMIT, "out of memory for next-hop sets");
	uint32_t n = 0;
	for (uint32_t i = 0; i < a->n_ports; i++) {
		const struct fib_port *p = &f->ports[a->ports[i]];
		for (uint32_t k = 0; k < p->n_links; k++)
			a->hops[n++] = (struct fib_hop){f->ports[p->links[k]].device, p->links[k],
							a->ports[i]};
	}
	return OK;
}

static bool action_is(const struct fib_action *a, const struct fib_action *b)
{
	return a->n_ports == b->n_ports && a->self == b->self && a->drop == b->drop &&
	       (a->n_ports == 0 || memcmp(a->ports, b->ports, a->n_ports * sizeof *a->ports) == 0);
}

static struct err action_add(struct fib *f, struct fib_device *d, struct fib_action *a,
			     uint16_t *set)
{
	for (uint32_t i = 1; i < d->n_sets; i++)
		if (action_is(&d->sets[i], a)) {
			*set = (uint16_t)i;
			free(a->ports);
			return OK;
		}
	void *p = d->n_sets < FIB_SETS_MAX
			  ? fib_grow(d->sets, d->n_sets, &d->cap_sets, sizeof *d->sets)
			  : NULL;
	struct err e =
		p ? action_hops(f, a)
		  : err_make(ERR_LIMIT, "%s: more than %d next-hop sets", d->name, FIB_SETS_MAX);
	if (p)
		d->sets = p;
	if (e.code != ERR_NONE) {
		free(a->ports);
		return e;
	}
	*set = (uint16_t)d->n_sets;
	d->sets[d->n_sets++] = *a;
	return OK;
}

struct err fib_set_make(struct fib *f, uint32_t device, const struct fib_set *what, uint16_t *set)
{
	TRY(seal(f));
	struct fib_device *d = &f->devices[device];
	struct fib_action a = {.self = what->self, .drop = what->drop};
	ENSURE(what->n || what->self || what->drop, ERR_USAGE, "%s: a next-hop set without a port",
	       d->name);
	a.ports = calloc(what->n ? what->n : 1, sizeof *a.ports);
	ENSURE(a.ports, ERR_LIMIT, "out of memory for next-hop sets");
	for (size_t i = 0; i < what->n; i++)
		a.ports[i] = what->ports[i];
	qsort(a.ports, what->n, sizeof *a.ports, by_number);
	for (size_t i = 0; i < what->n; i++)
		if (i == 0 || a.ports[i] != a.ports[a.n_ports - 1])
			a.ports[a.n_ports++] = a.ports[i];
	return action_add(f, d, &a, set);
}

// --- cells

// What changed of one atom: does some packet loop now that did not, by way of this device?
static void cell_changed(struct fib *f, uint32_t atom, uint32_t device, struct fib_change *out)
{
	out->atoms++;
	bool was = f->cyclic[atom];
	if (fib_loops_through(f, atom, device)) {
		f->n_cyclic += !was;
		f->cyclic[atom] = 1;
		struct fib_packet p;
		if (!f->has_acls) {
			out->address = out->loops++ ? out->address : f->start[atom];
		} else if (fib_cycle_survives(f, atom, &p)) {
			out->address = out->loops++ ? out->address : p.destination;
		}
	} else if (was) {
		f->cyclic[atom] = fib_loops_anywhere(f, atom);
		f->n_cyclic -= !f->cyclic[atom];
	}
}

struct span {
	uint32_t first, device;
	uint64_t end; // exclusive
};

static bool within(const struct fib *f, const struct span *s, uint32_t atom, bool begun)
{
	return !(begun && atom == 0) && f->start[atom] < s->end;
}

static void cells_put(struct fib *f, const struct span *s, uint8_t own, uint16_t set,
		      struct fib_change *out)
{
	uint32_t atom = s->first;
	for (bool begun = false; within(f, s, atom, begun); atom = f->next[atom], begun = true) {
		size_t cell = (size_t)atom * f->n_devices + s->device;
		if (f->own[cell] > own)
			continue;
		bool same = f->act[cell] == set;
		f->own[cell] = own;
		f->act[cell] = set;
		if (!same)
			cell_changed(f, atom, s->device, out);
	}
}

static void cells_hand_over(struct fib *f, const struct span *s, uint8_t from, uint8_t to,
			    uint16_t set, struct fib_change *out)
{
	uint32_t atom = s->first;
	for (bool begun = false; within(f, s, atom, begun); atom = f->next[atom], begun = true) {
		size_t cell = (size_t)atom * f->n_devices + s->device;
		if (f->own[cell] != from)
			continue;
		bool same = f->act[cell] == set;
		f->own[cell] = to;
		f->act[cell] = set;
		if (!same)
			cell_changed(f, atom, s->device, out);
	}
}

static struct err span_hold(struct fib *f, uint32_t address, unsigned length, struct span *s)
{
	uint32_t after;
	s->end = (uint64_t)address + (1ull << (32 - length));
	TRY(fib_atom_hold(f, address, &s->first));
	if (s->end <= UINT32_MAX) {
		struct err e = fib_atom_hold(f, (uint32_t)s->end, &after);
		if (e.code != ERR_NONE) {
			fib_atom_drop(f, address);
			return e;
		}
	}
	return OK;
}

static void span_drop(struct fib *f, uint32_t address, const struct span *s)
{
	if (s->end <= UINT32_MAX)
		fib_atom_drop(f, (uint32_t)s->end);
	fib_atom_drop(f, address);
}

// The longest shorter prefix of this device that covers it. own 0: none.
static void parent_of(const struct fib *f, uint32_t device, uint32_t address, unsigned length,
		      uint8_t *own, uint16_t *set)
{
	uint64_t shorter = f->devices[device].mask & ((1ull << length) - 1);
	*own = 0;
	*set = FIB_SET_NONE;
	while (shorter) {
		unsigned l = 63 - (unsigned)__builtin_clzll(shorter);
		uint64_t at = route_find(&f->routes, route_key(device, address & mask_of(l), l));
		if (f->routes.keys[at]) {
			*own = (uint8_t)(l + 1);
			*set = f->routes.sets[at];
			return;
		}
		shorter &= ~(1ull << l);
	}
}

// --- what-if

static struct err note_undo(struct fib *f, uint32_t device, uint32_t address, unsigned length,
			    bool was, uint16_t set)
{
	if (!f->trying)
		return OK;
	if (f->n_undo == f->cap_undo) {
		size_t cap = f->cap_undo ? f->cap_undo * 2 : 64;
		void *p = realloc(f->undo, cap * sizeof *f->undo);
		ENSURE(p, ERR_LIMIT, "out of memory for a trial");
		f->undo = p;
		f->cap_undo = cap;
	}
	f->undo[f->n_undo++] = (struct fib_undo){device, address, (uint8_t)length, was, set};
	return OK;
}

// --- the changes

static struct err route_check(const struct fib *f, uint32_t device, uint32_t address,
			      unsigned length)
{
	ENSURE(device < f->n_devices, ERR_USAGE, "no such device");
	ENSURE(length <= 32, ERR_USAGE, "prefix length %u: 0 to 32", length);
	ENSURE((address & ~mask_of(length)) == 0, ERR_USAGE, "%u.%u.%u.%u/%u has host bits set",
	       address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255, length);
	return OK;
}

struct err fib_route_put(struct fib *f, uint32_t device, uint32_t address, unsigned length,
			 uint16_t set, struct fib_change *out)
{
	struct fib_device *d = &f->devices[device];
	struct span s = {.device = device};
	*out = (struct fib_change){0};
	TRY(route_check(f, device, address, length));
	TRY(seal(f));
	ENSURE(set && set < d->n_sets, ERR_USAGE, "%s: no such next-hop set", d->name);
	TRY(routes_room(&f->routes));
	uint64_t at = route_find(&f->routes, route_key(device, address, length));
	bool was = f->routes.keys[at] != 0;
	TRY(note_undo(f, device, address, length, was, f->routes.sets[at]));
	if (was) { // its boundaries are held already
		s.first = fib_atom_of(f, address);
		s.end = (uint64_t)address + (1ull << (32 - length));
	} else {
		TRY(span_hold(f, address, length, &s));
		f->routes.keys[at] = route_key(device, address, length);
		f->routes.n++;
		if (d->lengths[length]++ == 0)
			d->mask |= 1ull << length;
	}
	f->routes.sets[at] = set;
	cells_put(f, &s, (uint8_t)(length + 1), set, out);
	return OK;
}

struct err fib_route_remove(struct fib *f, uint32_t device, uint32_t address, unsigned length,
			    struct fib_change *out)
{
	struct fib_device *d = &f->devices[device];
	uint8_t own;
	uint16_t set;
	*out = (struct fib_change){0};
	TRY(route_check(f, device, address, length));
	TRY(seal(f));
	uint64_t at = route_find(&f->routes, route_key(device, address, length));
	ENSURE(f->routes.keys[at], ERR_NOT_FOUND, "%s has no route %u.%u.%u.%u/%u", d->name,
	       address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255, length);
	TRY(note_undo(f, device, address, length, true, f->routes.sets[at]));
	route_erase(&f->routes, at);
	if (--d->lengths[length] == 0)
		d->mask &= ~(1ull << length);
	struct span s = {fib_atom_of(f, address), device,
			 (uint64_t)address + (1ull << (32 - length))};
	parent_of(f, device, address, length, &own, &set);
	cells_hand_over(f, &s, (uint8_t)(length + 1), own, set, out);
	span_drop(f, address, &s);
	return OK;
}

void fib_try_begin(struct fib *f)
{
	f->trying = true;
	f->n_undo = 0;
}

void fib_try_keep(struct fib *f)
{
	f->trying = false;
}

struct err fib_try_undo(struct fib *f)
{
	f->trying = false;
	while (f->n_undo) {
		const struct fib_undo *u = &f->undo[--f->n_undo];
		struct fib_change c;
		TRY(u->was ? fib_route_put(f, u->device, u->address, u->length, u->set, &c)
			   : fib_route_remove(f, u->device, u->address, u->length, &c));
	}
	return OK;
}
