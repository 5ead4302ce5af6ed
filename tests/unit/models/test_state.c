// SPDX-License-Identifier: Apache-2.0
// From paths and values to typed state: the schema's table, deletes at every level, values that
// make no sense, batches that break their contract, several states over one catalogue.

#include "net.h"

#include "lib/batch/batch.h"
#include "models/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define E1 "/interfaces/interface[name=e1]"
#define AFT "/network-instances/network-instance[name=default]/afts"

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

static void schema_is_sorted_and_bits_are_unique(void **state)
{
	for (unsigned i = 1; i < schema_leaves_n; i++)
		assert_true(strcmp(schema_leaves[i - 1].shape, schema_leaves[i].shape) < 0);
	for (unsigned i = 0; i < schema_leaves_n; i++) {
		const struct schema_leaf *a = &schema_leaves[i];
		assert_true(strlen(a->shape) <= SCHEMA_SHAPE_MAX);
		assert_true(a->bit < 32);
		assert_int_equal(schema_find(a->shape), i);
		for (unsigned k = 0; k < i; k++) {
			const struct schema_leaf *b = &schema_leaves[k];
			if (a->kind == b->kind && a->bit == b->bit && a->type != LEAF_COUNTER &&
			    b->type != LEAF_COUNTER && a->family == b->family)
				fail_msg("%s and %s share a bit", a->shape, b->shape);
		}
	}
	unsigned first, last;
	schema_range("", &first, &last);
	assert_int_equal(last - first, schema_leaves_n);
	schema_range("acl", &first, &last);
	assert_true(last > first);
	assert_int_equal(strncmp(schema_leaves[first].shape, "acl/", 4), 0);
	schema_range("interf", &first, &last); // a part of a name is no name
	assert_int_equal(first, last);
	schema_range("system/state/hostname", &first, &last);
	assert_int_equal(last - first, 1);
}

static const struct interface_value *interface(struct net *n)
{
	return state_value(n->state, 0, OBJECT_INTERFACE, 0);
}

static void values_are_typed(void **state)
{
	struct net *n = *state;
	net_set(n, "a", "openconfig-interfaces:up", E1 "/state/oper-status");
	net_set(n, "a", "02:00:5e:00:00:01", E1 "/ethernet/state/mac-address");
	net_set(n, "a", "1500", E1 "/state/mtu");
	net_set_uint(n, "a", 1000000000, E1 "/ethernet/state/port-speed");
	const struct interface_value *v = interface(n);
	assert_int_equal(v->oper, STATUS_UP);
	assert_int_equal(v->mac[5], 1);
	assert_int_equal(v->mtu, 1500);
	assert_true(v->speed == 1000000000);
	assert_int_equal(v->h.bad, 0);
	net_set(n, "a", "sideways", E1 "/state/oper-status");
	v = interface(n);
	assert_int_equal(v->oper, STATUS_UNKNOWN); // and not what it was before
	assert_int_equal(v->h.bad, 1u << HAVE_OPER);
	assert_int_equal(state_device(n->state, 0)->refused, 1);
	net_set(n, "a", "DOWN", E1 "/state/oper-status");
	assert_int_equal(interface(n)->h.bad, 0);
	net_set(n, "a", "02:00:5e:00:00:0", E1 "/ethernet/state/mac-address");
	assert_true(interface(n)->h.bad != 0);
	net_set_uint(n, "a", 1ull << 40, E1 "/state/mtu");
	assert_int_equal(interface(n)->mtu, 0);
}

static void counters_give_rates(void **state)
{
	struct net *n = *state;
	net_set(n, "a", "e1", E1 "/state/name");
	net_set_uint(n, "a", 1000, E1 "/state/counters/in-octets");
	assert_true(interface(n)->counters->rate[0] < 0);
	n->now_ns += 2000000000 - 1000;
	net_set_uint(n, "a", 3000, E1 "/state/counters/in-octets");
	assert_true(interface(n)->counters->rate[0] == 8000);
	n->now_ns += 1000000000;
	net_set_uint(n, "a", 10, E1 "/state/counters/in-octets"); // began anew
	assert_true(interface(n)->counters->rate[0] < 0);
}

static void deletes_cover_what_is_below(void **state)
{
	struct net *n = *state;
	net_interface(n, "a", "e1", "10.0.0.1/24");
	net_interface(n, "a", "e1", "2001:db8::1/64");
	net_interface(n, "a", "e2", "10.0.2.1/24");
	net_neighbour(n, "a", "e1", "10.0.0.9", "02:00:00:00:00:09", "REACHABLE");
	net_delete(n, "a", E1 "/subinterfaces/subinterface[index=0]/ipv6");
	assert_non_null(state_value(n->state, 0, OBJECT_ADDRESS, 0));
	assert_null(state_value(n->state, 0, OBJECT_ADDRESS, 1));
	net_delete(n, "a", E1 "/subinterfaces");
	assert_null(state_value(n->state, 0, OBJECT_ADDRESS, 0));
	assert_null(state_value(n->state, 0, OBJECT_NEIGHBOUR, 0));
	assert_non_null(state_value(n->state, 0, OBJECT_ADDRESS, 2)); // e2's
	assert_int_equal(interface(n)->oper, STATUS_UP);
	net_delete(n, "a", E1 "/state/oper-status");
	assert_int_equal(interface(n)->oper, STATUS_UNKNOWN);
	assert_int_equal(interface(n)->admin, STATUS_UP);
	net_delete(n, "a", E1);
	assert_null(interface(n));
	net_interface(n, "a", "e1", NULL); // and back again
	assert_non_null(interface(n));
	net_delete(n, "a", "/");
	assert_null(interface(n));
	assert_null(state_value(n->state, 0, OBJECT_ADDRESS, 2));
	net_interface(n, "a", "e2", "10.0.2.1/24");
	net_delete(n, "a", "/interfaces/interface/subinterfaces"); // without a key: of all
	assert_null(state_value(n->state, 0, OBJECT_ADDRESS, 2));
	assert_non_null(state_value(n->state, 0, OBJECT_INTERFACE, 1));
}

static void groups_and_routes_go_alone(void **state)
{
	struct net *n = *state;
	net_route(n, "a", "10.1.0.0/16", "10.0.0.1 e1,10.0.0.2 e2");
	net_route(n, "a", "10.2.0.0/16", "10.0.0.1 e1");
	net_delete(n, "a", AFT "/ipv4-unicast/ipv4-entry[prefix=10.1.0.0/16]");
	assert_null(state_value(n->state, 0, OBJECT_ENTRY, 0));
	assert_non_null(state_value(n->state, 0, OBJECT_ENTRY, 1));
	const struct identity *group =
		catalogue_identity(catalogue_device(state_catalogue(n->state), 0), OBJECT_GROUP, 0);
	net_delete(n, "a", AFT "/next-hop-groups/next-hop-group[id=%llu]",
		   (unsigned long long)group->number);
	assert_null(state_value(n->state, 0, OBJECT_MEMBER, 0));
	assert_null(state_value(n->state, 0, OBJECT_MEMBER, 1));
	assert_non_null(state_value(n->state, 0, OBJECT_MEMBER, 2));
	net_delete(n, "a", AFT);
	assert_null(state_value(n->state, 0, OBJECT_MEMBER, 2));
	assert_null(state_value(n->state, 0, OBJECT_ENTRY, 1));
}

static void unknown_paths_cost_nothing(void **state)
{
	struct net *n = *state;
	net_set(n, "a", "1", "/qos/interfaces/interface[interface-id=e1]/state/name");
	net_set(n, "a", "1", "/interfaces/interface[name=e1]/state/forwarding-viable");
	net_set(n, "a", "1", "/interfaces/interface[name=e1][unit=7]/state/cpu");
	net_delete(n, "a", "/qos");
	assert_int_equal(state_records(n->state), 0);
	assert_int_equal(state_ignored(n->state), 4);
	assert_int_equal(n->last_touched, 0);
}

static void keys_may_hold_anything(void **state)
{
	struct net *n = *state;
	char path[STATE_PATH_MAX];
	net_set(n, "a", "x", "/interfaces/interface[name=a\\]b/c\\\\d]/state/name");
	const struct catalogue_device *d = catalogue_device(state_catalogue(n->state), 0);
	assert_string_equal(catalogue_identity(d, OBJECT_INTERFACE, 0)->text, "a]b/c\\d");
	assert_string_equal(state_path(n->state, 0, OBJECT_INTERFACE, 0, path),
			    "/interfaces/interface[name=a\\]b/c\\\\d]");
}

static struct err apply(struct net *n, struct buf *b)
{
	struct state_change change;
	return state_apply(n->state, b->data, b->len, &change);
}

static void one_update(struct buf *b, const char *device, uint32_t series)
{
	struct batch_head head = {.revision = 1, .received_ns = 1};
	snprintf(head.device, sizeof head.device, "%s", device);
	struct batch_record r = {
		BATCH_UPDATE, series, 1, {.type = VALUE_STRING, .s = {(const uint8_t *)"UP", 2}}};
	struct batch_writer w;
	buf_reset(b);
	batch_write_head(&w, b, &head);
	batch_write_record(&w, &r);
	batch_write_finish(&w);
}

static void broken_feeds_are_refused(void **state)
{
	struct net *n = *state;
	scoped(buf) struct buf b = {0};
	net_set(n, "a", "UP", E1 "/state/oper-status"); // series 1
	net_set(n, "b", "UP", E1 "/state/oper-status"); // series 2
	one_update(&b, "a", 1);
	assert_int_equal(apply(n, &b).code, ERR_NONE);
	one_update(&b, "a", 2); // another device's series
	assert_int_equal(apply(n, &b).code, ERR_PEER);
	one_update(&b, "a", 3); // not announced
	assert_int_equal(apply(n, &b).code, ERR_PEER);
	one_update(&b, "nobody", 1);
	assert_int_equal(apply(n, &b).code, ERR_PEER);
	one_update(&b, "a", 1);
	for (size_t whole = b.len, cut = 0; cut < whole; cut++) {
		b.len = cut;
		assert_int_equal(apply(n, &b).code, ERR_PEER);
		b.len = whole;
	}
	const char *other = E1 "/state/mtu";
	assert_int_equal(series_add(n->series, 1, "a", other, strlen(other)).code, ERR_PEER);
	assert_int_equal(series_add(n->series, 9, "a", "no path", 7).code, ERR_PEER);
	assert_int_equal(series_add(n->series, UINT32_MAX, "a", other, strlen(other)).code,
			 ERR_LIMIT);
	const char *same = E1 "/state/oper-status";
	assert_int_equal(series_add(n->series, 1, "a", same, strlen(same)).code, ERR_NONE);
}

static void the_past_is_a_second_state(void **state)
{
	struct net *n = *state;
	scoped(buf) struct buf b = {0};
	net_set(n, "a", "DOWN", E1 "/state/oper-status");
	struct state *past = state_new(n->series);
	struct state_change change;
	one_update(&b, "a", 1);
	assert_int_equal(state_apply(past, b.data, b.len, &change).code, ERR_NONE);
	// identities made later than the past
	net_interface(n, "a", "e2", "10.0.2.1/24");
	net_interface(n, "late", "e2", NULL);
	const struct interface_value *was = state_value(past, 0, OBJECT_INTERFACE, 0);
	assert_int_equal(was->oper, STATUS_UP);
	assert_int_equal(interface(n)->oper, STATUS_DOWN);
	assert_null(state_value(past, 0, OBJECT_INTERFACE, 1));
	assert_null(state_value(past, 1, OBJECT_INTERFACE, 0));
	assert_false(state_device(past, 1)->seen);
	struct topology *t = topology_new(past);
	struct forwarding *f = forwarding_new(past, t);
	assert_int_equal(forwarding_refresh(f).code, ERR_NONE);
	struct view v = {past, 1, 0};
	json_t *j = topology_json(t, f, &v);
	assert_int_equal(json_array_size(json_object_get(j, "nodes")), 1);
	json_decref(j);
	forwarding_free(f);
	topology_free(t);
	state_free(past);
}

static void a_device_is_told_whole(void **state)
{
	struct net *n = *state;
	net_interface(n, "a", "e1", "10.0.0.1/24");
	net_route(n, "a", "10.0.0.0/24", "- e1");
	net_route(n, "a", "0.0.0.0/0", "10.0.0.2 e1");
	net_chain(n, "a", "inet:gemel:forward", "forward", 0, "ACCEPT");
	net_rule(n, "a", "inet:gemel:forward", "1", "src=10.0.0.0/8 comment=gemel:i7", "DROP");
	net_neighbour(n, "a", "e1", "10.0.0.2", "02:00:00:00:00:02", "REACHABLE");
	net_set(n, "a", "caf\xc3\xa9", "/system/state/hostname");
	struct view v = {n->state, n->now_ns, 0};
	assert_int_equal(forwarding_refresh(n->forwarding).code, ERR_NONE);
	json_t *j = device_json(&v, n->forwarding, 0, true);
	assert_non_null(j);
	assert_int_equal(json_array_size(json_object_get(j, "routes")), 2);
	json_t *acl = json_array_get(json_object_get(j, "acls"), 0);
	json_t *rule = json_array_get(json_object_get(acl, "rules"), 0);
	assert_string_equal(json_string_value(json_object_get(rule, "owner")), "gemel");
	json_decref(j);
	j = device_json(&v, n->forwarding, 0, false);
	assert_true(json_is_null(json_object_get(j, "acls")));
	json_decref(j);
	net_set(n, "a", "\xff\xfe", "/system/state/hostname"); // no answer can carry it
	assert_null(state_device_value(n->state, 0)->hostname);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(schema_is_sorted_and_bits_are_unique),
		CASE(values_are_typed),
		CASE(counters_give_rates),
		CASE(deletes_cover_what_is_below),
		CASE(groups_and_routes_go_alone),
		CASE(unknown_paths_cost_nothing),
		CASE(keys_may_hold_anything),
		CASE(broken_feeds_are_refused),
		CASE(the_past_is_a_second_state),
		CASE(a_device_is_told_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
