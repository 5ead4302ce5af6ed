// SPDX-License-Identifier: Apache-2.0
// The forwarding engine: what every IPv4 packet meets on every device, kept exact under changes
// that cost well under a microsecond each.
//
// An *atom* is an interval of destination addresses that all devices treat alike. A matrix holds,
// for each (atom, device), the next-hop set and the length of the prefix that owns the cell. A
// change touches the cells of the atoms inside its prefix whose owner is shorter, after at most two
// atoms were split; a new loop must pass the changed device, so the check walks from there alone.
// Atoms whose boundary no route needs any more are merged. Access lists are never multiplied into
// atoms: they are intersected along a cycle only when there is one (fib_acl.h). After Delta-net
// (NSDI 2017) and VeriFlow (NSDI 2013).
//
// Pure: no process, no socket, no clock. Used by models and gemel-forwarding(1).
#pragma once

#include "lib/base/mem.h"

enum {
	FIB_DEVICES_MAX = 1 << 20,
	FIB_PORTS_MAX = 1 << 24,
	FIB_SETS_MAX = 65535, // next-hop sets of one device
	FIB_NAME_MAX = 255,
	FIB_NONE = -1,
};

struct fib; // opaque

// `bytes`: the most that the matrix may take, 0: 16 GiB (address space; only what is used is
// resident).
struct fib *fib_new(size_t bytes); // NULL: out of memory
void fib_free(struct fib *f);	   // NULL is fine

// --- topology. It is complete before the first route: ERR_USAGE afterwards.
MUST_USE struct err fib_device_add(struct fib *f, const char *name, uint32_t *device);
MUST_USE struct err fib_port_add(struct fib *f, uint32_t device, const char *name, uint32_t *port);
// One direction. A port may have several: each far end gets a copy.
MUST_USE struct err fib_link_add(struct fib *f, uint32_t from_port, uint32_t to_port);
// A packet never leaves by the port it came in by. Default off.
MUST_USE struct err fib_split_horizon(struct fib *f, bool on);
// Access lists of a device; bound in order, all must permit.
MUST_USE struct err fib_acl_add(struct fib *f, uint32_t device, const char *name, uint32_t *acl);
MUST_USE struct err fib_acl_bind(struct fib *f, uint32_t port, bool out, uint32_t acl);

int64_t fib_device_find(const struct fib *f, const char *name, size_t n); // FIB_NONE
int64_t fib_port_find(const struct fib *f, uint32_t device, const char *name, size_t n);
int64_t fib_acl_find(const struct fib *f, uint32_t device, const char *name, size_t n);
uint32_t fib_devices(const struct fib *f);
const char *fib_device_name(const struct fib *f, uint32_t device);
const char *fib_port_name(const struct fib *f, uint32_t port);

// --- changes
// A next-hop set of a device: interned, FIB_SET_NONE is "no route".
enum { FIB_SET_NONE = 0 };
struct fib_set {
	const uint32_t *ports; // of the device
	size_t n;
	bool self, drop; // delivered to the device itself; discarded by rule
};
MUST_USE struct err fib_set_make(struct fib *f, uint32_t device, const struct fib_set *what,
				 uint16_t *set);

struct fib_change {
	uint32_t atoms;	  // whose treatment changed
	uint32_t loops;	  // of those, the ones that now loop through the device
	uint32_t address; // a destination that loops, when loops > 0
};
// Inserts, or replaces the set of this (device, prefix). `address` has no host bits set
// (ERR_USAGE).
MUST_USE struct err fib_route_put(struct fib *f, uint32_t device, uint32_t address, unsigned length,
				  uint16_t set, struct fib_change *out);
// ERR_NOT_FOUND: there is no such route.
MUST_USE struct err fib_route_remove(struct fib *f, uint32_t device, uint32_t address,
				     unsigned length, struct fib_change *out);

// --- what-if: changes after begin can be taken back, newest first. Not nested.
void fib_try_begin(struct fib *f);
MUST_USE struct err fib_try_undo(struct fib *f);
void fib_try_keep(struct fib *f);

// --- access lists (fib_acl.c)
struct fib_match { // bits of `mask` must equal those of `value`
	uint32_t value, mask;
};
struct fib_rule {
	int64_t priority; // the highest that matches decides; unique in its list
	bool permit;
	struct fib_match source, destination;
	uint8_t protocol_low, protocol_high;
	uint16_t source_low, source_high, destination_low, destination_high; // ports
};
// *loops: destinations that loop now and did not before (0 or more atoms).
MUST_USE struct err fib_rule_put(struct fib *f, uint32_t acl, const struct fib_rule *rule,
				 struct fib_change *out);
MUST_USE struct err fib_rule_remove(struct fib *f, uint32_t acl, int64_t priority,
				    struct fib_change *out);

// --- questions
struct fib_packet {
	uint32_t destination, source;
	uint8_t protocol;
	uint16_t source_port, destination_port;
};
enum fib_fate {
	FIB_EXIT,
	FIB_SELF,
	FIB_DROP,
	FIB_NO_ROUTE,
	FIB_DENY_IN,
	FIB_DENY_OUT,
	FIB_HAIRPIN,
	FIB_LOOP
};
struct fib_outcome {
	enum fib_fate fate;
	uint32_t device, port; // where; not for a loop; port for exit, deny, hairpin
};
enum { FIB_OUTCOMES_MAX = 4096 };
// What may become of all copies of a packet that is injected at `device`, each once, in no order.
// ERR_LIMIT: more than `most`.
MUST_USE struct err fib_trace(struct fib *f, const struct fib_packet *p, uint32_t device,
			      struct fib_outcome *out, size_t most, size_t *n);

struct fib_counts {
	uint32_t atoms;
	uint64_t routes, rules;
	uint64_t loops;	      // atoms in which some packet loops
	uint64_t black_holes; // (atom, device) from which next hops lead to no route or a discard
	size_t bytes;	      // of the matrix, in use
};
void fib_count(struct fib *f, struct fib_counts *out); // walks all: not for every change

// A packet that loops, when one does. Returns false when none does.
bool fib_loop_find(struct fib *f, struct fib_packet *out);
