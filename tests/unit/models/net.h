// SPDX-License-Identifier: Apache-2.0
// Small networks for tests: facts are said as the agent says them (path and value), carried in real
// FEED batches. Used by the tests of the models process and its fuzz target.
#pragma once

#include "models/checks.h"
#include "models/trace.h"

struct net {
	struct series *series;
	struct state *state;
	struct topology *topology;
	struct forwarding *forwarding;
	struct checks *checks;
	char (*paths)[1100]; // path of each series: "device path"
	uint32_t n_series, cap_series;
	uint64_t revision;
	int64_t now_ns; // each fact is a microsecond later
	uint8_t last_touched;
};

void net_start(struct net *n);
void net_end(struct net *n);

// One fact: the device's path (printf) has this text as its value.
void net_set(struct net *n, const char *device, const char *value, const char *path, ...)
	__attribute__((format(printf, 4, 5)));
void net_set_uint(struct net *n, const char *device, uint64_t value, const char *path, ...)
	__attribute__((format(printf, 4, 5)));
void net_set_bool(struct net *n, const char *device, bool value, const char *path, ...)
	__attribute__((format(printf, 4, 5)));
void net_delete(struct net *n, const char *device, const char *path, ...)
	__attribute__((format(printf, 3, 4)));

// Facts together. An interface with an address "10.0.0.1/30" (NULL: none), up.
void net_interface(struct net *n, const char *device, const char *interface, const char *address);
void net_status(struct net *n, const char *device, const char *interface, const char *oper);
void net_lldp(struct net *n, const char *device, const char *interface, const char *peer,
	      const char *peer_interface);
// LLDP at both ends, and a subnet between them: a gets .1, b gets .2 of "10.0.N".
void net_link(struct net *n, const char *a, const char *a_interface, const char *b,
	      const char *b_interface, const char *subnet);
void net_neighbour(struct net *n, const char *device, const char *interface, const char *address,
		   const char *mac, const char *state);
// A route over next hops "VIA INTERFACE" ("- eth0": connected), separated by commas; or "discard",
// "local".
void net_route(struct net *n, const char *device, const char *prefix, const char *next_hops);
void net_route_gone(struct net *n, const char *device, const char *prefix);
// Chain "inet:filter:forward" (hook NULL: jumped to only).
void net_chain(struct net *n, const char *device, const char *chain, const char *hook, int priority,
	       const char *policy);
// Rule fields as "src=10.0.0.0/8 dst=... proto=tcp sport=.. dport=80 in=eth0 out=eth1
// ct=established raw=1" and an action ("ACCEPT", "JUMP other").
void net_rule(struct net *n, const char *device, const char *chain, const char *sequence,
	      const char *fields, const char *action);

// The verdict of a trace; NULL protocol and -1 ports: open. `out` may be NULL.
enum trace_verdict net_trace(struct net *n, const char *from, const char *to, const char *protocol,
			     int port, struct trace *out, struct arena *a);
// Runs the checks to their end.
size_t net_checks(struct net *n, struct finding **findings);
