// SPDX-License-Identifier: Apache-2.0
// Which nodes there are, how they are joined, and whether the joints are up: derived from a state.
//
// A link is confirmed when LLDP says the same at both ends. What one end alone claims, or what the
// other end contradicts, is `unconfirmed` and never shown as up: LLDP frames are not authenticated,
// and a forged one must not make a link (X.2011 T-7.4-s). A pair of addresses alone in one subnet is
// evidence too, though never enough for `up`: it keeps a cut link on the map after LLDP forgot it.
// An end that reports itself down makes the link down, confirmed or not.
// Used by the models process.
#pragma once

#include "models/state.h"

#include <jansson.h>

enum link_state { LINK_GONE, LINK_UP, LINK_DOWN, LINK_UNCONFIRMED };
enum link_evidence { EVIDENCE_LLDP_A = 1, EVIDENCE_LLDP_B = 2, EVIDENCE_ADDRESSES = 4 };

struct link_end {
	uint32_t device, interface;
};

struct topology_link {
	struct link_end end[2]; // end[0] < end[1], by device, then interface
	uint8_t state;		// enum link_state
	uint8_t evidence;	// enum link_evidence; A is end[0]'s claim
	bool contradicted;	// an end's LLDP names another peer
	int64_t changed_ns;
};

struct topology_member {
	struct prefix prefix;
	struct address address;
	struct link_end at;
};

struct topology; // opaque
struct forwarding;

struct topology *topology_new(const struct state *s); // `s` must outlive it. NULL: out of memory
void topology_free(struct topology *t);
// Brings it up to date: rebuilt when structure changed, only states compared when statuses did.
MUST_USE struct err topology_refresh(struct topology *t);

size_t topology_links(const struct topology *t, const struct topology_link **links);
// Interfaces' addresses sorted by prefix: members of one subnet stand together. Host prefixes,
// loopback and link-local ones are left out.
size_t topology_members(const struct topology *t, const struct topology_member **members);
// The peer over a confirmed link of this end; false when there is none, or more than one.
bool topology_peer(const struct topology *t, struct link_end end, struct link_end *peer);
// The device that a name means: its id, or a host name that only it bears (domain cut off).
bool topology_device(const struct topology *t, const char *name, uint32_t *device);
const char *link_state_name(enum link_state s);
bool interface_is_down(const struct interface_value *v); // admin or oper; NULL is not known: false

// Links whose state changed since the last call, oldest first; at most `most`.
struct topology_change {
	struct link_end end[2];
	uint8_t before, after;
	int64_t time_ns;
};
size_t topology_take_changes(struct topology *t, struct topology_change *out, size_t most);

// What an answer is seen against.
struct view {
	const struct state *state;
	int64_t now_ns;	  // the moment asked about
	int64_t stale_ns; // older last batches make a device stale; 0: no device is
};
bool view_stale(const struct view *v, uint32_t device);

// GET /v1/topology. NULL: out of memory.
json_t *topology_json(const struct topology *t, const struct forwarding *f, const struct view *v);
// RFC 8345 and RFC 8346 in RFC 7951 encoding, with gemel-topology.yang's states.
json_t *topology_ietf_json(const struct topology *t, const struct view *v);
