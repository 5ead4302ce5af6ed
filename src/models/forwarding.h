// SPDX-License-Identifier: Apache-2.0
// Where packets go: longest prefix match over the live AFTs, next-hop groups with every ECMP branch
// followed, and who stands at the other end of a next hop. This header is the interface; the engine
// behind it may be replaced (atoms and a next-hop matrix) without its users noticing.
// What cannot be known for sure is inconclusive with its reason, never a delivery (X.2011: fail
// closed). Used by trace.c and checks.c in the models process.
#pragma once

#include "models/acl.h"
#include "models/topology.h"

struct forwarding; // opaque

// Both must outlive it. NULL: out of memory.
struct forwarding *forwarding_new(const struct state *s, struct topology *t);
void forwarding_free(struct forwarding *f);
// Takes up what changed since the last call; the functions below answer as of the last refresh.
MUST_USE struct err forwarding_refresh(struct forwarding *f);
const struct state *forwarding_state(const struct forwarding *f);
const struct topology *forwarding_topology(const struct forwarding *f);

// The device's route for a destination by longest match: number of the AFT entry; false: no route.
bool forwarding_route(const struct forwarding *f, uint32_t device, const struct address *to,
		      uint32_t *entry);
// All prefixes of a device's table, in order (prefix_compare).
struct route {
	struct prefix prefix;
	uint32_t entry;
	int32_t parent;
};
size_t forwarding_routes(const struct forwarding *f, uint32_t device, const struct route **routes);
// Whether the address is the device's own (on an interface that is not administratively down).
bool forwarding_owns(const struct forwarding *f, uint32_t device, const struct address *a,
		     uint32_t *interface);
// All ends that own the address.
size_t forwarding_owners(const struct forwarding *f, const struct address *a, struct link_end *out,
			 size_t most);
const struct acl *forwarding_acl(const struct forwarding *f, uint32_t device);

enum { NEXT_HOPS_MAX = 256, WHY_MAX = 200 };

// The next hops of an entry: numbers of NEXT_HOP objects. 0 and a reason when the entry leads to
// none that is known: then inconclusive.
size_t forwarding_next_hops(const struct forwarding *f, uint32_t device, uint32_t entry,
			    uint32_t out[NEXT_HOPS_MAX], char why[WHY_MAX]);

enum hop_kind {
	HOP_PEER,	// on to `peer`
	HOP_LOCAL,	// delivered to this device
	HOP_LINK,	// on the link: to the destination itself, which no device of the twin owns
	HOP_DISCARD,	// dropped silently, or with an ICMP error, as the route says
	HOP_BLACK_HOLE, // lost, and nobody meant it: why
	HOP_LEFT,	// to a router outside the twin
	HOP_UNKNOWN,	// inconclusive: why
};
struct hop {
	enum hop_kind kind;
	uint32_t next_hop;  // number of the NEXT_HOP object
	bool has_interface; // `interface` is the egress interface
	uint32_t interface;
	struct address via; // family 0: directly connected
	struct link_end peer;
	char why[WHY_MAX];
};
// What becomes of a packet on one next hop. `to` NULL: for a whole class of destinations; then a
// connected hop is HOP_LINK when its interface is up.
void forwarding_hop(const struct forwarding *f, uint32_t device, uint32_t next_hop,
		    const struct address *to, struct hop *out);

// Kernel features seen on the device that the model does not know; "" none. Returns `out`.
char *forwarding_unmodelled(const struct forwarding *f, uint32_t device, char out[WHY_MAX]);
// What no answer of this engine takes into account.
extern const char *const forwarding_not_modelled[]; // NULL-terminated
