// SPDX-License-Identifier: Apache-2.0
// rtnetlink messages taken apart (libmnl checks lengths): one flat struct for each kind, no kernel
// header beyond this file. Pure functions on bytes. rtnetlink(7), linux/rtnetlink.h.
// Used by agent (apply).
#pragma once

#include "lib/base/err.h"

#include <stdint.h>

struct nlmsghdr;

enum { NETLINK_HOPS_MAX = 128, NETLINK_NAME = 16, NETLINK_KIND = 24, NETLINK_LLADDR = 32 };

struct netlink_counters { // in, out: octets, pkts, errors, discards
	uint64_t in[4], out[4];
};

struct netlink_link {
	int index;
	uint32_t flags, mtu; // flags: IFF_*
	uint16_t hardware;   // ARPHRD_*
	uint8_t oper;	     // RFC 2863 operational state, IF_OPER_*
	uint8_t lladdr_len;
	uint8_t lladdr[NETLINK_LLADDR];
	char name[NETLINK_NAME]; // printable
	char kind[NETLINK_KIND]; // "veth", "bridge"; "" unknown
	bool has_counters;
	struct netlink_counters counters;
};

struct netlink_address {
	uint8_t family, length; // AF_INET, AF_INET6
	int index;
	uint8_t address[16];
};

struct netlink_neighbour {
	uint8_t family, lladdr_len;
	int index;
	uint16_t state; // NUD_*
	uint8_t flags;
	uint8_t address[16];
	uint8_t lladdr[NETLINK_LLADDR];
};

struct netlink_hop {
	uint8_t via_family; // 0: directly connected
	uint8_t flags;	    // RTNH_F_*
	bool encapsulated;  // MPLS, SRv6 ...: not modelled
	int index;	    // 0: none
	uint32_t weight;
	uint8_t via[16];
};

struct netlink_route {
	uint8_t family, length, tos, protocol, type; // RTPROT_*, RTN_*
	bool from_source;			     // a source prefix restricts it
	bool unreadable;			     // more hops than NETLINK_HOPS_MAX
	bool cloned;				     // a cache entry, not a route
	uint32_t table, metric, nexthop_id;
	uint8_t destination[16];
	uint32_t n_hops;
	struct netlink_hop hops[NETLINK_HOPS_MAX];
};

struct netlink_nexthop { // linux/nexthop.h
	uint32_t id;
	bool blackhole, unreadable;
	struct netlink_hop hop; // when n_members == 0
	uint32_t n_members;
	struct {
		uint32_t id, weight;
	} members[NETLINK_HOPS_MAX];
};

struct netlink_rule {
	uint8_t family;
	uint32_t table, priority;
	bool plain; // says nothing but "look up this table"
};

// Each: false when the message is too short or is not of this kind for us (another family).
bool netlink_read_link(const struct nlmsghdr *m, struct netlink_link *out);
bool netlink_read_stats(const struct nlmsghdr *m, int *index, struct netlink_counters *out);
bool netlink_read_address(const struct nlmsghdr *m, struct netlink_address *out);
bool netlink_read_neighbour(const struct nlmsghdr *m, struct netlink_neighbour *out);
bool netlink_read_route(const struct nlmsghdr *m, struct netlink_route *out);
bool netlink_read_nexthop(const struct nlmsghdr *m, struct netlink_nexthop *out);
bool netlink_read_rule(const struct nlmsghdr *m, struct netlink_rule *out);

// Every message in one read, checked to lie within it; stops at the first broken one.
// Returns false when bytes were left over.
bool netlink_each(const void *bytes, size_t n, void (*each)(void *ctx, const struct nlmsghdr *m),
		  void *ctx);
