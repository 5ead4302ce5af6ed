// SPDX-License-Identifier: Apache-2.0
// Links from LLDP seen from both ends, states, changes, and the two documents made of them.

#include "net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
	struct net *n = calloc(1, sizeof *n);
	net_start(n);
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	net_end(*state);
	free(*state);
	return 0;
}

static const struct topology_link *links(struct net *n, size_t expected)
{
	const struct topology_link *l;
	assert_int_equal(topology_refresh(n->topology).code, ERR_NONE);
	assert_int_equal(topology_links(n->topology, &l), expected);
	return l;
}

static void both_ends_confirm(void **state)
{
	struct net *n = *state;
	net_link(n, "a", "e1", "b", "e1", "10.0.1");
	const struct topology_link *l = links(n, 1);
	assert_int_equal(l->state, LINK_UP);
	assert_int_equal(l->evidence, EVIDENCE_LLDP_A | EVIDENCE_LLDP_B | EVIDENCE_ADDRESSES);
	net_status(n, "b", "e1", "LOWER_LAYER_DOWN");
	assert_int_equal(links(n, 1)->state, LINK_DOWN);
	struct topology_change c[4];
	assert_int_equal(topology_take_changes(n->topology, c, 4), 1);
	assert_int_equal(c[0].before, LINK_UP);
	assert_int_equal(c[0].after, LINK_DOWN);
	assert_int_equal(c[0].time_ns, n->now_ns);
	assert_int_equal(topology_take_changes(n->topology, c, 4), 0);
}

static void one_end_alone_is_not_up(void **state)
{
	struct net *n = *state;
	net_interface(n, "a", "e1", NULL);
	net_interface(n, "b", "e1", NULL);
	net_lldp(n, "a", "e1", "b", "e1");
	const struct topology_link *l = links(n, 1);
	assert_int_equal(l->state, LINK_UNCONFIRMED);
	assert_false(l->contradicted);
	net_status(n, "a", "e1", "DOWN");
	assert_int_equal(links(n, 1)->state, LINK_DOWN);
	net_status(n, "a", "e1", "UP");
	net_lldp(n, "b", "e1", "a", "e1");
	assert_int_equal(links(n, 1)->state, LINK_UP);
	net_delete(n, "a", "/lldp/interfaces/interface[name=e1]/neighbors/neighbor[id=1]");
	assert_int_equal(links(n, 1)->state, LINK_UNCONFIRMED);
	net_delete(n, "b", "/lldp");
	links(n, 0);
	struct topology_change c[8];
	size_t k = topology_take_changes(n->topology, c, 8);
	assert_int_equal(c[k - 1].after, LINK_GONE);
}

static void a_contradiction_is_said(void **state)
{
	struct net *n = *state;
	net_link(n, "a", "e1", "b", "e1", "10.0.1");
	// c forges frames towards a: a sees c on the same port
	net_interface(n, "c", "e9", NULL);
	net_lldp(n, "c", "e9", "a", "e1");
	const struct topology_link *l = links(n, 2);
	for (int i = 0; i < 2; i++) {
		bool real = l[i].evidence & EVIDENCE_ADDRESSES;
		assert_int_equal(l[i].state, real ? LINK_UP : LINK_UNCONFIRMED);
		assert_int_equal(l[i].contradicted, !real);
	}
	// a frame in b's name with another chassis is nobody's
	net_set(n, "b", "02:00:00:00:00:bb", "/lldp/state/chassis-id");
	net_set(n, "a", "02:66:66:66:66:66",
		"/lldp/interfaces/interface[name=e1]/neighbors/neighbor[id=1]/state/chassis-id");
	l = links(n, 2);
	assert_int_equal(l[0].state, LINK_UNCONFIRMED);
	assert_int_equal(l[1].state, LINK_UNCONFIRMED);
}

static void a_host_name_taken_twice_is_nobodys(void **state)
{
	struct net *n = *state;
	net_interface(n, "dev-1", "e1", NULL);
	net_interface(n, "dev-2", "e1", NULL);
	net_interface(n, "dev-3", "e1", NULL);
	net_set(n, "dev-1", "core", "/system/state/hostname");
	net_lldp(n, "dev-1", "e1", "dev-2.example.net", "e1"); // domain cut off
	net_lldp(n, "dev-2", "e1", "core", "e1");
	assert_int_equal(links(n, 1)->state, LINK_UP);
	net_set(n, "dev-3", "core", "/system/state/hostname"); // now two bear the name
	assert_int_equal(links(n, 1)->state, LINK_UNCONFIRMED);
	net_lldp(n, "dev-2", "e1", "dev-1", "e1");
	net_set(n, "dev-3", "dev-1", "/system/state/hostname"); // an id cannot be taken
	assert_int_equal(links(n, 1)->state, LINK_UP);
}

static void ports_are_known_by_mac_or_description(void **state)
{
	struct net *n = *state;
	net_interface(n, "a", "e1", NULL);
	net_interface(n, "b", "e1", NULL);
	net_set(n, "b", "02:00:00:00:00:0B",
		"/interfaces/interface[name=e1]/ethernet/state/mac-address");
	net_lldp(n, "a", "e1", "b", "02:00:00:00:00:0b");
	net_lldp(n, "b", "e1", "a", "02:00:00:00:00:0a");
	net_set(n, "b", "e1",
		"/lldp/interfaces/interface[name=e1]/neighbors/neighbor[id=1]/state/"
		"port-description");
	assert_int_equal(links(n, 1)->state, LINK_UP);
}

static void a_cut_link_stays_on_the_map(void **state)
{
	struct net *n = *state;
	net_link(n, "a", "e1", "b", "e1", "10.0.1");
	links(n, 1);
	net_status(n, "a", "e1", "DOWN");
	net_status(n, "b", "e1", "DOWN");
	net_delete(n, "a", "/lldp/interfaces/interface[name=e1]");
	net_delete(n, "b", "/lldp/interfaces/interface[name=e1]");
	const struct topology_link *l = links(n, 1);
	assert_int_equal(l->state, LINK_DOWN);
	assert_int_equal(l->evidence, EVIDENCE_ADDRESSES);
	net_status(n, "a", "e1", "UP");
	net_status(n, "b", "e1", "UP");
	assert_int_equal(links(n, 1)->state, LINK_UNCONFIRMED); // addresses alone are not enough
	net_interface(n, "c", "e5", "10.0.1.3/30"); // three in a subnet are a network, not a link
	links(n, 0);
}

static void status_alone_does_not_rebuild(void **state)
{
	struct net *n = *state;
	net_link(n, "a", "e1", "b", "e1", "10.0.1");
	net_status(n, "a", "e1", "DOWN");
	assert_int_equal(n->last_touched, TOUCHES_STATUS);
	net_status(n, "a", "e1", "DOWN"); // the same again is no change
	assert_int_equal(n->last_touched, 0);
	net_set_uint(n, "a", 12345, "/interfaces/interface[name=e1]/state/counters/in-octets");
	assert_int_equal(n->last_touched, 0);
	net_neighbour(n, "a", "e1", "10.0.1.2", "02:00:00:00:00:02", "REACHABLE");
	net_neighbour(n, "a", "e1", "10.0.1.2", NULL, "STALE");
	assert_int_equal(n->last_touched, 0);
	net_neighbour(n, "a", "e1", "10.0.1.2", NULL, "FAILED");
	assert_int_equal(n->last_touched, TOUCHES_NEIGHBOURS);
}

static void documents_say_it_all(void **state)
{
	struct net *n = *state;
	net_link(n, "a", "e1", "b", "e1", "10.0.1");
	net_interface(n, "a", "lo", "10.9.9.1/32");
	net_interface(n, "a", "e0", "10.7.0.1/24");
	net_interface(n, "c", "e1", NULL);
	net_lldp(n, "c", "e1", "b", "e9");
	net_interface(n, "b", "e9", "2001:db8::1/64");
	net_neighbour(n, "a", "e0", "10.7.0.50", "02:00:00:00:00:50", "REACHABLE");
	net_set_uint(n, "a", 1000000, "/interfaces/interface[name=e1]/state/counters/out-octets");
	n->now_ns += 1000000000 - 1000;
	net_set_uint(n, "a", 2000000, "/interfaces/interface[name=e1]/state/counters/out-octets");
	struct view v = {n->state, n->now_ns + 5000000, 1000000000};
	assert_int_equal(forwarding_refresh(n->forwarding).code, ERR_NONE);
	json_t *j = topology_json(n->topology, n->forwarding, &v);
	assert_non_null(j);
	assert_int_equal(json_array_size(json_object_get(j, "nodes")), 3);
	assert_int_equal(json_array_size(json_object_get(j, "links")), 2);
	assert_int_equal(json_array_size(json_object_get(j, "hosts")), 1);
	json_t *load = json_object_get(json_array_get(json_object_get(j, "links"), 0), "load");
	assert_true(json_number_value(json_object_get(load, "a_to_b_bps")) == 8e6);
	assert_int_equal(json_array_size(json_object_get(j, "stale_devices")), 2); // b and c
	json_decref(j);
	j = topology_ietf_json(n->topology, &v);
	assert_non_null(j);
	const char *to = getenv("IETF_DOCUMENT"); // for the structure check
	if (to)
		assert_int_equal(json_dump_file(j, to, JSON_INDENT(1)), 0);
	json_t *network = json_array_get(
		json_object_get(json_object_get(j, "ietf-network:networks"), "network"), 0);
	assert_int_equal(json_array_size(json_object_get(network, "ietf-network-topology:link")),
			 2);
	assert_int_equal(
		json_array_size(json_object_get(network, "gemel-topology:unconfirmed-link")), 2);
	json_decref(j);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(both_ends_confirm),
		CASE(one_end_alone_is_not_up),
		CASE(a_contradiction_is_said),
		CASE(a_host_name_taken_twice_is_nobodys),
		CASE(ports_are_known_by_mac_or_description),
		CASE(a_cut_link_stays_on_the_map),
		CASE(status_alone_does_not_rebuild),
		CASE(documents_say_it_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
