// SPDX-License-Identifier: Apache-2.0
// The kernel's routes as OpenConfig AFT: entry -> next-hop group -> next hops.
//
// The kernel keeps several routes for one prefix (other metrics, the local and the main table); the
// entry shows the one that it would use: local before main, then the lowest metric. Groups and next
// hops are named by their content: the number is 48 bits of SHA-256 over it, so that equal content
// has one number, before and after a restart, and a failover that leaves a group as it was moves
// nothing. What is seen but cannot be said in this model (policy rules, other tables,
// encapsulation, type of service) is listed in .../afts/state/not-modelled. Used by agent (apply).
#pragma once

#include "agent/interfaces.h"

struct afts; // opaque
struct afts *afts_new(struct tree *tree,
		      const struct interfaces *interfaces); // NULL: out of memory
void afts_free(struct afts *a);

// An event. False: the table must be read again (the event cannot be applied for sure).
bool afts_route(struct afts *a, const struct netlink_route *r, bool gone, bool replaces);
void afts_nexthop(struct afts *a, const struct netlink_nexthop *n, bool gone);
void afts_rule(struct afts *a, const struct netlink_rule *r);

// Around dumps: what is not told between begin and end is forgotten. `family` 0: nexthops too.
void afts_begin(struct afts *a, uint8_t family);
void afts_rules_begin(struct afts *a);
// Writes what has changed into the tree.
void afts_write(struct afts *a, int64_t now_ns);
