// SPDX-License-Identifier: Apache-2.0
// Inside fib*.c only. Layout:
//
//     act[atom * devices + device]    u16  next-hop set of that device (local number)
//     own[atom * devices + device]    u8   length of the owning prefix + 1; 0: none owns it
//     start, next, previous, refs [atom]   interval start, neighbours in address order, routes with
//     a
//                                          boundary at `start`
//
// Matrix and atoms lie in one reservation of address space each, so that growth never copies.
// The index finds the atom of an address: 65,536 buckets on the top 16 bits, each a small sorted
// array of (low 16 bits, atom); a bitmap in three levels finds the last bucket before that has any.
#pragma once

#include "models/fib.h"

struct fib_hop {
	uint32_t device, in_port, out_port;
};

struct fib_action {	 // a next-hop set
	uint32_t *ports; // owned, sorted
	uint32_t n_ports, n_hops;
	struct fib_hop *hops; // owned: far ends of all links of all ports
	bool self, drop;
};

struct fib_port {
	char *name;
	uint32_t device;
	uint32_t *links; // far ports
	uint32_t n_links;
	uint32_t *in, *out; // access lists
	uint32_t n_in, n_out;
};

struct fib_list { // an access list, highest priority first
	char *name;
	uint32_t device;
	struct fib_rule *rules;
	uint32_t n, cap;
};

struct fib_device {
	char *name;
	struct fib_action *sets; // sets[0]: no route
	uint32_t n_sets, cap_sets;
	uint32_t *ports; // its port numbers
	uint32_t n_ports;
	uint32_t *in_ports; // its ports that a link leads to
	uint32_t n_in_ports;
	uint32_t lengths[33]; // routes by prefix length
	uint64_t mask;	      // bit i: lengths[i] != 0
};

struct fib_names { // name -> number, within a scope
	struct fib_name *slots;
	uint32_t n, cap;
};

struct fib_bucket {
	uint16_t *starts; // owned; the atoms follow in the same block
	uint32_t *atoms;
	uint16_t n;
	uint32_t cap;
};

struct fib_routes {	// (device, prefix) -> set: open addressing, linear probing
	uint64_t *keys; // 0: empty
	uint16_t *sets;
	uint64_t n, cap;
};

struct fib_undo {
	uint32_t device, address;
	uint8_t length;
	bool was; // a route stood there
	uint16_t set;
};

struct fib {
	size_t limit;
	bool sealed; // topology is complete
	bool split_horizon, has_acls;
	struct fib_device *devices;
	uint32_t n_devices, cap_devices;
	struct fib_port *ports;
	uint32_t n_ports, cap_ports;
	struct fib_list *lists;
	uint32_t n_lists, cap_lists;
	uint64_t n_rules;
	struct fib_names device_names, port_names, list_names;
	// atoms
	uint16_t *act;
	uint8_t *own;
	uint32_t *start, *next, *previous, *refs;
	uint8_t *cyclic; // its next hops form a cycle somewhere
	uint32_t n_cyclic;
	uint32_t n_atoms, high_atoms, max_atoms; // in use; ever used; room for
	uint32_t *free_atoms;
	uint32_t n_free, cap_free;
	struct fib_bucket *buckets; // 65,536
	uint64_t bits0[1024], bits1[16];
	struct fib_routes routes;
	// walks
	uint32_t *seen; // by device, or by port state with split horizon
	uint32_t stamp;
	uint32_t *stack;
	// what-if
	bool trying;
	struct fib_undo *undo;
	size_t n_undo, cap_undo;
};

// fib_atoms.c
MUST_USE struct err fib_atoms_start(struct fib *f);
void fib_atoms_stop(struct fib *f);
uint32_t fib_atom_of(const struct fib *f, uint32_t address);
// The atom that begins exactly there, split off when needed, with one more reference.
MUST_USE struct err fib_atom_hold(struct fib *f, uint32_t address, uint32_t *atom);
void fib_atom_drop(struct fib *f, uint32_t address); // one reference less; merged when none is left
uint32_t fib_atom_end(const struct fib *f, uint32_t atom); // last address

static inline const struct fib_action *fib_action_of(const struct fib *f, uint32_t atom,
						     uint32_t device)
{
	return &f->devices[device].sets[f->act[(size_t)atom * f->n_devices + device]];
}

// fib_walk.c
bool fib_loops_through(struct fib *f, uint32_t atom, uint32_t device);
bool fib_loops_anywhere(struct fib *f, uint32_t atom);
// Some packet of the atom survives a whole cycle (access lists included); `example` may be NULL.
bool fib_cycle_survives(struct fib *f, uint32_t atom, struct fib_packet *example);

// fib_acl.c
bool fib_list_permits(const struct fib_list *l, const struct fib_packet *p);
bool fib_port_permits(const struct fib *f, const struct fib_port *p, bool out,
		      const struct fib_packet *k);
// A packet with a destination in the atom which all these lists permit. *unsure: the search was
// given up.
bool fib_lists_meet(const struct fib *f, const uint32_t *lists, size_t n, uint32_t atom,
		    struct fib_packet *out, bool *unsure);

// fib.c
void *fib_grow(void *array, uint32_t n, uint32_t *cap, size_t item); // NULL: out of memory
