// SPDX-License-Identifier: Apache-2.0
// Where packets go, in networks small enough to be checked by hand.

#include "net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
	struct net *n = calloc(1, sizeof *n);
	net_start(n);
	*state = n;
	return n == NULL;
}

static int teardown(void **state)
{
	net_end(*state);
	free(*state);
	return 0;
}

// h (10.1.0.10) - r1 - r2 - (10.2.0.0/24) with a host 10.2.0.20 behind r2.
static void line(struct net *n)
{
	net_link(n, "r1", "eth1", "r2", "eth1", "10.0.12");
	net_interface(n, "r1", "eth0", "10.1.0.1/24");
	net_interface(n, "r2", "eth0", "10.2.0.1/24");
	net_route(n, "r1", "10.1.0.0/24", "- eth0");
	net_route(n, "r1", "10.0.12.0/30", "- eth1");
	net_route(n, "r1", "10.2.0.0/24", "10.0.12.2 eth1");
	net_route(n, "r2", "10.2.0.0/24", "- eth0");
	net_route(n, "r2", "10.0.12.0/30", "- eth1");
	net_route(n, "r2", "10.1.0.0/24", "10.0.12.1 eth1");
	net_neighbour(n, "r2", "eth0", "10.2.0.20", "02:00:00:00:00:20", "REACHABLE");
	net_neighbour(n, "r1", "eth0", "10.1.0.10", "02:00:00:00:00:10", "STALE");
}

static void delivers_along_a_line(void **state)
{
	struct net *n = *state;
	scoped(arena) struct arena *a = arena_new(8 << 20);
	struct trace *t = arena_alloc(a, sizeof *t);
	line(n);
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, t, a), TRACE_DELIVERED);
	assert_int_equal(t->n_hops, 2);
	assert_string_equal(t->hops[0].route, "10.2.0.0/24 OSPF");
	assert_string_equal(t->hops[0].route_record,
			    "/network-instances/network-instance[name=default]/afts/ipv4-unicast/"
			    "ipv4-entry[prefix=10.2.0.0/24]");
	assert_true(t->hops[0].has_in);
	assert_false(t->partial);
	assert_int_equal(net_trace(n, "r1", "r2", NULL, -1, NULL, NULL), TRACE_DELIVERED);
	assert_int_equal(net_trace(n, "r1/eth0", "10.2.0.20", "tcp", 80, NULL, NULL),
			 TRACE_DELIVERED);
	assert_int_equal(net_trace(n, "10.1.0.10", "10.0.12.2", NULL, -1, NULL, NULL),
			 TRACE_DELIVERED);
	assert_int_equal(net_trace(n, "10.1.0.10", "10.1.0.99", NULL, -1, NULL, NULL),
			 TRACE_INCONCLUSIVE);
	assert_int_equal(net_trace(n, "10.1.0.77", "10.1.0.10", NULL, -1, NULL, NULL),
			 TRACE_DELIVERED);
}

static void says_why_a_packet_is_lost(void **state)
{
	struct net *n = *state;
	scoped(arena) struct arena *a = arena_new(8 << 20);
	struct trace *t = arena_alloc(a, sizeof *t);
	line(n);
	assert_int_equal(net_trace(n, "10.1.0.10", "192.0.2.1", NULL, -1, t, a), TRACE_NO_ROUTE);
	assert_string_equal(t->why, "r1 has no route for it");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.21", NULL, -1, t, a),
			 TRACE_INCONCLUSIVE);
	net_neighbour(n, "r2", "eth0", "10.2.0.21", NULL, "FAILED");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.21", NULL, -1, t, a), TRACE_BLACK_HOLE);
	net_route(n, "r1", "10.2.0.128/25", "discard");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.130", NULL, -1, t, a), TRACE_DISCARDED);
	net_status(n, "r2", "eth1", "LOWER_LAYER_DOWN");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, t, a), TRACE_BLACK_HOLE);
	assert_string_equal(t->why, "r1: the other end, r2 eth1, is down");
	net_status(n, "r1", "eth1", "DOWN");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, t, a), TRACE_BLACK_HOLE);
	assert_string_equal(t->why, "r1: eth1 is down");
	net_status(n, "r1", "eth0", "DOWN");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, t, a), TRACE_BLACK_HOLE);
	assert_int_equal(net_trace(n, "r1", "224.0.0.5", NULL, -1, t, a), TRACE_INCONCLUSIVE);
}

static void longest_match_wins_and_deletes_restore(void **state)
{
	struct net *n = *state;
	line(n);
	net_route(n, "r1", "0.0.0.0/0", "10.0.12.2 eth1");
	net_route(n, "r1", "10.2.0.20/32", "reject");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_DISCARDED);
	net_delete(n, "r1",
		   "/network-instances/network-instance[name=default]/afts/ipv4-unicast/"
		   "ipv4-entry[prefix=10.2.0.20/32]");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_DELIVERED);
	net_delete(n, "r1", "/network-instances/network-instance[name=default]/afts/ipv4-unicast");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_NO_ROUTE);
}

static void follows_every_branch(void **state)
{
	struct net *n = *state;
	scoped(arena) struct arena *a = arena_new(8 << 20);
	struct trace *t = arena_alloc(a, sizeof *t);
	net_link(n, "a", "e1", "b", "e1", "10.0.1");
	net_link(n, "a", "e2", "c", "e1", "10.0.2");
	net_link(n, "b", "e2", "d", "e1", "10.0.3");
	net_link(n, "c", "e2", "d", "e2", "10.0.4");
	net_interface(n, "a", "e0", "10.1.0.1/24");
	net_interface(n, "d", "lo", "10.9.9.9/32");
	net_route(n, "a", "10.9.9.9/32", "10.0.1.2 e1,10.0.2.2 e2");
	net_route(n, "b", "10.9.9.9/32", "10.0.3.2 e2");
	net_route(n, "c", "10.9.9.9/32", "10.0.4.2 e2");
	assert_int_equal(net_trace(n, "a/e0", "d", NULL, -1, t, a), TRACE_DELIVERED);
	assert_int_equal(t->n_hops, 5); // d is entered by two interfaces
	assert_false(t->partial);
	assert_int_equal(t->hops[0].n_outs, 2);
	// one branch loses it: the answer is the worse one, and says that it is partial
	net_status(n, "c", "e2", "DOWN");
	assert_int_equal(net_trace(n, "a/e0", "10.9.9.9", NULL, -1, t, a), TRACE_BLACK_HOLE);
	assert_true(t->partial);
	// origin: each branch bears the address of its own interface
	net_status(n, "c", "e2", "UP");
	net_chain(n, "d", "inet:filter:input", "input", 0, "ACCEPT");
	net_rule(n, "d", "inet:filter:input", "1", "src=10.0.2.1", "DROP");
	assert_int_equal(net_trace(n, "a", "10.9.9.9", "tcp", 22, t, a), TRACE_DROPPED);
	assert_true(t->partial);
}

static void finds_loops(void **state)
{
	struct net *n = *state;
	scoped(arena) struct arena *a = arena_new(8 << 20);
	struct trace *t = arena_alloc(a, sizeof *t);
	struct finding *f;
	net_link(n, "a", "e1", "b", "e1", "10.0.1");
	net_link(n, "b", "e2", "c", "e1", "10.0.2");
	net_link(n, "c", "e2", "a", "e2", "10.0.3");
	net_route(n, "a", "10.5.0.0/16", "10.0.1.2 e1");
	net_route(n, "b", "10.5.0.0/16", "10.0.2.2 e2");
	net_route(n, "c", "10.5.0.0/17", "10.0.3.2 e2");
	assert_int_equal(net_trace(n, "a", "10.5.1.1", NULL, -1, t, a), TRACE_LOOP);
	assert_int_equal(net_trace(n, "a", "10.5.200.1", NULL, -1, t, a), TRACE_NO_ROUTE);
	assert_int_equal(net_checks(n, &f), 2);
	assert_int_equal(f[0].kind, FINDING_LOOP);
	assert_int_equal(f[0].n_devices, 3);
	assert_int_equal(f[0].devices[0], 0);
	assert_int_equal(f[0].devices[1], 1);
	assert_int_equal(f[0].devices[2], 2);
	assert_int_equal(f[1].kind, FINDING_BLACK_HOLE); // the other half ends at c
	assert_int_equal(f[1].devices[0], 2);
	int64_t since = f[0].since_ns;
	net_route(n, "a", "10.77.0.0/16", "discard"); // something else changes
	assert_int_equal(net_checks(n, &f), 2);
	assert_int_equal(f[0].since_ns, since);
	net_route_gone(n, "b", "10.5.0.0/16");
	net_route_gone(n, "c", "10.5.0.0/17");
	assert_int_equal(net_checks(n, &f), 1); // a still sends to b, where is no route
	assert_int_equal(f[0].kind, FINDING_BLACK_HOLE);
	assert_int_equal(f[0].devices[0], 1);
	net_route_gone(n, "a", "10.5.0.0/16");
	assert_int_equal(net_checks(n, &f), 0);
}

static void finds_black_holes_behind_a_cut(void **state)
{
	struct net *n = *state;
	struct finding *f;
	line(n);
	assert_int_equal(net_checks(n, &f), 0);
	net_status(n, "r1", "eth1", "LOWER_LAYER_DOWN");
	net_status(n, "r2", "eth1", "LOWER_LAYER_DOWN");
	size_t found = net_checks(n, &f), real = 0;
	for (size_t i = 0; i < found; i++)
		real += !f[i].connected;
	assert_int_equal(real, 2); // each way, by the other's subnet
	net_status(n, "r1", "eth1", "UP");
	net_status(n, "r2", "eth1", "UP");
	assert_int_equal(net_checks(n, &f), 0);
	// the default route alone, which begins at 0.0.0.0
	net_route(n, "r1", "0.0.0.0/0", "10.0.12.2 eth1");
	assert_int_equal(net_checks(n, &f), 1);
	assert_string_equal(f[0].why, "r1 sends it here, and here is no route for it");
}

static void speaks_ipv6(void **state)
{
	struct net *n = *state;
	net_link(n, "r1", "eth1", "r2", "eth1", "10.0.12");
	net_interface(n, "r1", "eth1", "fe80::1/64");
	net_interface(n, "r2", "eth1", "fe80::2/64");
	net_interface(n, "r3", "eth7", "fe80::2/64"); // the same link-local address elsewhere
	net_interface(n, "r1", "eth0", "2001:db8:1::1/64");
	net_interface(n, "r2", "lo", "2001:db8:9::9/128");
	net_route(n, "r1", "2001:db8:9::/48", "fe80::2 eth1");
	assert_int_equal(net_trace(n, "2001:db8:1::10", "2001:db8:9::9", NULL, -1, NULL, NULL),
			 TRACE_DELIVERED);
	assert_int_equal(net_trace(n, "2001:db8:1::10", "2001:db8:9::8", NULL, -1, NULL, NULL),
			 TRACE_NO_ROUTE);
	// LLDP gone: which fe80::2 is meant is told by the neighbour's MAC address, else by nobody
	net_delete(n, "r1", "/lldp");
	assert_int_equal(net_trace(n, "r1/eth0", "2001:db8:9::9", NULL, -1, NULL, NULL),
			 TRACE_INCONCLUSIVE);
	net_set(n, "r2", "02:00:00:00:02:01",
		"/interfaces/interface[name=eth1]/ethernet/state/mac-address");
	net_neighbour(n, "r1", "eth1", "fe80::2", "02:00:00:00:02:01", "REACHABLE");
	assert_int_equal(net_trace(n, "r1/eth0", "2001:db8:9::9", NULL, -1, NULL, NULL),
			 TRACE_DELIVERED);
}

static void leaves_the_twin(void **state)
{
	struct net *n = *state;
	net_interface(n, "edge", "eth0", "10.1.0.1/24");
	net_interface(n, "edge", "wan", "203.0.113.2/30");
	net_route(n, "edge", "0.0.0.0/0", "203.0.113.1 wan");
	assert_int_equal(net_trace(n, "10.1.0.5", "198.51.100.7", NULL, -1, NULL, NULL),
			 TRACE_INCONCLUSIVE);
	net_neighbour(n, "edge", "wan", "203.0.113.1", "02:00:00:00:00:99", "REACHABLE");
	assert_int_equal(net_trace(n, "10.1.0.5", "198.51.100.7", NULL, -1, NULL, NULL),
			 TRACE_LEFT);
	net_neighbour(n, "edge", "wan", "203.0.113.1", NULL, "INCOMPLETE");
	assert_int_equal(net_trace(n, "10.1.0.5", "198.51.100.7", NULL, -1, NULL, NULL),
			 TRACE_BLACK_HOLE);
}

static void what_is_not_known_is_inconclusive(void **state)
{
	struct net *n = *state;
	line(n);
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_DELIVERED);
	// a group that nobody described
	net_set_uint(n, "r1", 4711,
		     "/network-instances/network-instance[name=default]/afts/ipv4-unicast/"
		     "ipv4-entry[prefix=10.2.0.0/25]/state/next-hop-group");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_INCONCLUSIVE);
	net_route_gone(n, "r1", "10.2.0.0/25");
	// a value that makes no sense
	net_set(n, "r2", "eleven",
		"/network-instances/network-instance[name=default]/afts/ipv4-unicast/"
		"ipv4-entry[prefix=10.2.0.0/24]/state/next-hop-group");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_INCONCLUSIVE);
	net_route(n, "r2", "10.2.0.0/24", "- eth0");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_DELIVERED);
	// policy routing
	net_set(n, "r2", "policy-rules",
		"/network-instances/network-instance[name=default]/afts/state/"
		"not-modelled");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_INCONCLUSIVE);
	net_set(n, "r2", "",
		"/network-instances/network-instance[name=default]/afts/state/not-modelled");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_DELIVERED);
	// another network instance
	net_set_uint(n, "r2", 1,
		     "/network-instances/network-instance[name=blue]/afts/ipv4-unicast/"
		     "ipv4-entry[prefix=10.0.0.0/8]/state/next-hop-group");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_INCONCLUSIVE);
}

static void mac_that_is_not_the_owners_is_doubted(void **state)
{
	struct net *n = *state;
	line(n);
	net_set(n, "r2", "02:00:00:00:02:01",
		"/interfaces/interface[name=eth1]/ethernet/state/mac-address");
	net_neighbour(n, "r1", "eth1", "10.0.12.2", "02:00:00:00:02:01", "REACHABLE");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_DELIVERED);
	net_neighbour(n, "r1", "eth1", "10.0.12.2", "02:66:66:66:66:66", "REACHABLE");
	assert_int_equal(net_trace(n, "10.1.0.10", "10.2.0.20", NULL, -1, NULL, NULL),
			 TRACE_INCONCLUSIVE);
}

static void refuses_unknown_ends(void **state)
{
	struct net *n = *state;
	scoped(arena) struct arena *a = arena_new(8 << 20);
	struct trace *t = arena_alloc(a, sizeof *t);
	line(n);
	struct trace_query q = {"nobody", NULL, "10.2.0.20", -1, -1, -1};
	assert_int_equal(forwarding_refresh(n->forwarding).code, ERR_NONE);
	assert_int_equal(trace_run(n->forwarding, &q, a, t).code, ERR_NOT_FOUND);
	q.from = "192.0.2.1";
	assert_int_equal(trace_run(n->forwarding, &q, a, t).code, ERR_NOT_FOUND);
	q.from = "r1/eth9";
	assert_int_equal(trace_run(n->forwarding, &q, a, t).code, ERR_NOT_FOUND);
	q.from = NULL;
	assert_int_equal(trace_run(n->forwarding, &q, a, t).code, ERR_USAGE);
	q.from = "r1";
	q.to = "2001:db8::1";
	q.source = "10.1.0.10";
	assert_int_equal(trace_run(n->forwarding, &q, a, t).code, ERR_USAGE);
	net_interface(n, "r9", "eth0", "10.1.0.1/24"); // the address of r1, taken
	assert_int_equal(forwarding_refresh(n->forwarding).code, ERR_NONE);
	q = (struct trace_query){"10.1.0.1", NULL, "10.2.0.20", -1, -1, -1};
	assert_int_equal(trace_run(n->forwarding, &q, a, t).code, ERR_CONFLICT);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(delivers_along_a_line),
		CASE(says_why_a_packet_is_lost),
		CASE(longest_match_wins_and_deletes_restore),
		CASE(follows_every_branch),
		CASE(finds_loops),
		CASE(finds_black_holes_behind_a_cut),
		CASE(speaks_ipv6),
		CASE(leaves_the_twin),
		CASE(what_is_not_known_is_inconclusive),
		CASE(mac_that_is_not_the_owners_is_doubted),
		CASE(refuses_unknown_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
