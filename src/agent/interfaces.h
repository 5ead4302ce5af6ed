// SPDX-License-Identifier: Apache-2.0
// Links, their addresses, neighbours and counters as OpenConfig leaves (docs/contracts.md, Paths).
// Keeps what other collectors ask: the name behind an interface number.
// Used by agent (apply).
#pragma once

#include "agent/netlink.h"
#include "agent/tree.h"

struct interfaces;				      // opaque
struct interfaces *interfaces_new(struct tree *tree); // NULL: out of memory
void interfaces_free(struct interfaces *f);

enum interfaces_news {
	INTERFACES_DOWN = 1,   // it lost carrier, went admin down or away: the kernel drops IPv4
			       // routes over it and tells nobody
	INTERFACES_RENAME = 2, // everything that names it must be read again
	INTERFACES_NEW = 4,
};
// `speed_bps` 0: not known. Returns a set of enum interfaces_news.
unsigned interfaces_link(struct interfaces *f, const struct netlink_link *l, uint64_t speed_bps,
			 int64_t now_ns);
unsigned interfaces_link_gone(struct interfaces *f, int index);
void interfaces_counters(struct interfaces *f, int index, const struct netlink_counters *c,
			 int64_t now_ns);
void interfaces_address(struct interfaces *f, const struct netlink_address *a, bool gone,
			int64_t now_ns);
void interfaces_neighbour(struct interfaces *f, const struct netlink_neighbour *n, bool gone,
			  int64_t now_ns);
const char *interfaces_name(const struct interfaces *f, int index); // NULL: not known
// Around a dump of all links: begin, interfaces_link for each, end (which drops the others).
void interfaces_pass_begin(struct interfaces *f);
void interfaces_pass_end(struct interfaces *f);
