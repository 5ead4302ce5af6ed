// SPDX-License-Identifier: Apache-2.0
// Sorted by shape, so that a shape is found by halving and a subtree is one range.
// NONE rows say only that the object is there: the key already told the value.

#include "models/schema.h"
#include "models/state.h"

#include <string.h>

const char *const status_choices[] = {"UNKNOWN", "UP", "DOWN", "LOWER_LAYER_DOWN", NULL};
const char *const neighbour_choices[] = {"UNKNOWN", "REACHABLE", "STALE", "DELAY",
					 "PROBE",   "PERMANENT", "NOARP", "INCOMPLETE",
					 "FAILED",  "NONE",	 NULL};
const char *const origin_choices[] = {"UNKNOWN", "DIRECTLY_CONNECTED",
				      "STATIC",	 "OSPF",
				      "BGP",	 "LOCAL",
				      "KERNEL",	 "ISIS",
				      "RIP",	 "OTHER",
				      NULL};
const char *const next_hop_choices[] = {"UNKNOWN", "FORWARD", "DISCARD", "REJECT", "LOCAL", NULL};
const char *const hook_choices[] = {"NONE", "INPUT", "FORWARD", "OUTPUT", "OTHER", NULL};
const char *const policy_choices[] = {"UNKNOWN", "ACCEPT", "DROP", NULL};
const char *const verdict_choices[] = {"UNKNOWN", "ACCEPT", "DROP",   "REJECT", "CONTINUE",
				       "JUMP",	  "GOTO",   "RETURN", NULL};

#define FIELD(type, field) offsetof(struct type, field)

const struct schema_leaf schema_leaves[] = {
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/actions/state/forwarding-action", OBJECT_RULE,
	 0, HAVE_VERDICT, LEAF_CHOICE, FIELD(rule_value, action), TOUCHES_RULES, verdict_choices},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/actions/state/jump-chain", OBJECT_RULE, 0,
	 HAVE_JUMP, LEAF_TEXT, FIELD(rule_value, jump), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/input-interface/interface-ref/state/interface",
	 OBJECT_RULE, 0, HAVE_IN, LEAF_TEXT, FIELD(rule_value, in), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/ipv4/state/destination-address", OBJECT_RULE,
	 0, HAVE_DESTINATION, LEAF_PREFIX, FIELD(rule_value, destination[0]), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/ipv4/state/protocol", OBJECT_RULE, 0,
	 HAVE_PROTOCOL, LEAF_PROTOCOL, FIELD(rule_value, protocol[0]), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/ipv4/state/source-address", OBJECT_RULE, 0,
	 HAVE_SOURCE, LEAF_PREFIX, FIELD(rule_value, source[0]), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/ipv6/state/destination-address", OBJECT_RULE,
	 0, HAVE_DESTINATION6, LEAF_PREFIX, FIELD(rule_value, destination[1]), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/ipv6/state/protocol", OBJECT_RULE, 0,
	 HAVE_PROTOCOL6, LEAF_PROTOCOL, FIELD(rule_value, protocol[1]), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/ipv6/state/source-address", OBJECT_RULE, 0,
	 HAVE_SOURCE6, LEAF_PREFIX, FIELD(rule_value, source[1]), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/output-interface/interface-ref/state/"
	 "interface",
	 OBJECT_RULE, 0, HAVE_OUT, LEAF_TEXT, FIELD(rule_value, out), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/state/description", OBJECT_RULE, 0, 1,
	 LEAF_TEXT, FIELD(rule_value, description), TOUCHES_NOTHING},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/state/handle", OBJECT_RULE, 0, HAVE_HANDLE,
	 LEAF_U64, FIELD(rule_value, handle), TOUCHES_NOTHING},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/state/matched-octets", OBJECT_RULE, 0, 3,
	 LEAF_U64, FIELD(rule_value, octets), TOUCHES_NOTHING},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/state/matched-packets", OBJECT_RULE, 0, 2,
	 LEAF_U64, FIELD(rule_value, packets), TOUCHES_NOTHING},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/state/modelled", OBJECT_RULE, 0, HAVE_MODELLED,
	 LEAF_BOOL, FIELD(rule_value, modelled), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/state/raw", OBJECT_RULE, 0, 4, LEAF_TEXT,
	 FIELD(rule_value, raw), TOUCHES_NOTHING},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/state/sequence-id", OBJECT_RULE, 0, HAVE_NAME,
	 LEAF_NONE, 0, TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/transport/state/connection-state", OBJECT_RULE,
	 0, HAVE_CONNECTION, LEAF_CONNECTION, FIELD(rule_value, connection), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/transport/state/destination-port", OBJECT_RULE,
	 0, HAVE_DESTINATION_PORT, LEAF_PORTS, FIELD(rule_value, destination_port), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry/transport/state/source-port", OBJECT_RULE, 0,
	 HAVE_SOURCE_PORT, LEAF_PORTS, FIELD(rule_value, source_port), TOUCHES_RULES},
	{"acl/acl-sets/acl-set/state/default-action", OBJECT_SET, 0, HAVE_POLICY, LEAF_CHOICE,
	 FIELD(set_value, policy), TOUCHES_RULES, policy_choices},
	{"acl/acl-sets/acl-set/state/hook", OBJECT_SET, 0, HAVE_HOOK, LEAF_CHOICE,
	 FIELD(set_value, hook), TOUCHES_RULES, hook_choices},
	{"acl/acl-sets/acl-set/state/name", OBJECT_SET, 0, HAVE_NAME, LEAF_NONE, 0, TOUCHES_RULES},
	{"acl/acl-sets/acl-set/state/priority", OBJECT_SET, 0, HAVE_PRIORITY, LEAF_I32,
	 FIELD(set_value, priority), TOUCHES_RULES},
	{"gemel/agent/state/version", OBJECT_DEVICE, 0, 6, LEAF_TEXT, FIELD(device_value, agent),
	 TOUCHES_NOTHING},
	{"interfaces/interface/ethernet/state/mac-address", OBJECT_INTERFACE, 0, HAVE_MAC, LEAF_MAC,
	 FIELD(interface_value, mac), TOUCHES_STRUCTURE},
	{"interfaces/interface/ethernet/state/port-speed", OBJECT_INTERFACE, 0, HAVE_SPEED,
	 LEAF_U64, FIELD(interface_value, speed), TOUCHES_NOTHING},
	{"interfaces/interface/state/admin-status", OBJECT_INTERFACE, 0, HAVE_ADMIN, LEAF_CHOICE,
	 FIELD(interface_value, admin), TOUCHES_STATUS, status_choices},
	{"interfaces/interface/state/counters/in-discards", OBJECT_INTERFACE, 0, IN_DISCARDS,
	 LEAF_COUNTER, FIELD(interface_value, counters), TOUCHES_NOTHING},
	{"interfaces/interface/state/counters/in-errors", OBJECT_INTERFACE, 0, IN_ERRORS,
	 LEAF_COUNTER, FIELD(interface_value, counters), TOUCHES_NOTHING},
	{"interfaces/interface/state/counters/in-octets", OBJECT_INTERFACE, 0, IN_OCTETS,
	 LEAF_COUNTER, FIELD(interface_value, counters), TOUCHES_NOTHING},
	{"interfaces/interface/state/counters/in-pkts", OBJECT_INTERFACE, 0, IN_PKTS, LEAF_COUNTER,
	 FIELD(interface_value, counters), TOUCHES_NOTHING},
	{"interfaces/interface/state/counters/out-discards", OBJECT_INTERFACE, 0, OUT_DISCARDS,
	 LEAF_COUNTER, FIELD(interface_value, counters), TOUCHES_NOTHING},
	{"interfaces/interface/state/counters/out-errors", OBJECT_INTERFACE, 0, OUT_ERRORS,
	 LEAF_COUNTER, FIELD(interface_value, counters), TOUCHES_NOTHING},
	{"interfaces/interface/state/counters/out-octets", OBJECT_INTERFACE, 0, OUT_OCTETS,
	 LEAF_COUNTER, FIELD(interface_value, counters), TOUCHES_NOTHING},
	{"interfaces/interface/state/counters/out-pkts", OBJECT_INTERFACE, 0, OUT_PKTS,
	 LEAF_COUNTER, FIELD(interface_value, counters), TOUCHES_NOTHING},
	{"interfaces/interface/state/ifindex", OBJECT_INTERFACE, 0, 5, LEAF_U32,
	 FIELD(interface_value, ifindex), TOUCHES_NOTHING},
	{"interfaces/interface/state/last-change", OBJECT_INTERFACE, 0, 7, LEAF_I64,
	 FIELD(interface_value, last_change), TOUCHES_NOTHING},
	{"interfaces/interface/state/mtu", OBJECT_INTERFACE, 0, HAVE_MTU, LEAF_U32,
	 FIELD(interface_value, mtu), TOUCHES_NOTHING},
	{"interfaces/interface/state/name", OBJECT_INTERFACE, 0, HAVE_NAME, LEAF_NONE, 0,
	 TOUCHES_STRUCTURE},
	{"interfaces/interface/state/oper-status", OBJECT_INTERFACE, 0, HAVE_OPER, LEAF_CHOICE,
	 FIELD(interface_value, oper), TOUCHES_STATUS, status_choices},
	{"interfaces/interface/state/type", OBJECT_INTERFACE, 0, 6, LEAF_TEXT,
	 FIELD(interface_value, type), TOUCHES_NOTHING},
	{"interfaces/interface/subinterfaces/subinterface/ipv4/addresses/address/state/ip",
	 OBJECT_ADDRESS, 4, HAVE_NAME, LEAF_NONE, 0, TOUCHES_ADDRESSES},
	{"interfaces/interface/subinterfaces/subinterface/ipv4/addresses/address/state/"
	 "prefix-length",
	 OBJECT_ADDRESS, 4, HAVE_LENGTH, LEAF_U32, FIELD(address_value, length), TOUCHES_ADDRESSES},
	{"interfaces/interface/subinterfaces/subinterface/ipv4/neighbors/neighbor/state/ip",
	 OBJECT_NEIGHBOUR, 4, HAVE_NAME, LEAF_NONE, 0, TOUCHES_NEIGHBOURS},
	{"interfaces/interface/subinterfaces/subinterface/ipv4/neighbors/neighbor/state/"
	 "link-layer-address",
	 OBJECT_NEIGHBOUR, 4, HAVE_LLADDR, LEAF_MAC, FIELD(neighbour_value, mac),
	 TOUCHES_NEIGHBOURS},
	{"interfaces/interface/subinterfaces/subinterface/ipv4/neighbors/neighbor/state/"
	 "neighbor-state",
	 OBJECT_NEIGHBOUR, 4, HAVE_STATE, LEAF_CHOICE, FIELD(neighbour_value, state),
	 TOUCHES_NEIGHBOURS, neighbour_choices},
	{"interfaces/interface/subinterfaces/subinterface/ipv4/neighbors/neighbor/state/origin",
	 OBJECT_NEIGHBOUR, 4, 3, LEAF_TEXT, FIELD(neighbour_value, origin), TOUCHES_NOTHING},
	{"interfaces/interface/subinterfaces/subinterface/ipv6/addresses/address/state/ip",
	 OBJECT_ADDRESS, 6, HAVE_NAME, LEAF_NONE, 0, TOUCHES_ADDRESSES},
	{"interfaces/interface/subinterfaces/subinterface/ipv6/addresses/address/state/"
	 "prefix-length",
	 OBJECT_ADDRESS, 6, HAVE_LENGTH, LEAF_U32, FIELD(address_value, length), TOUCHES_ADDRESSES},
	{"interfaces/interface/subinterfaces/subinterface/ipv6/neighbors/neighbor/state/ip",
	 OBJECT_NEIGHBOUR, 6, HAVE_NAME, LEAF_NONE, 0, TOUCHES_NEIGHBOURS},
	{"interfaces/interface/subinterfaces/subinterface/ipv6/neighbors/neighbor/state/"
	 "link-layer-address",
	 OBJECT_NEIGHBOUR, 6, HAVE_LLADDR, LEAF_MAC, FIELD(neighbour_value, mac),
	 TOUCHES_NEIGHBOURS},
	{"interfaces/interface/subinterfaces/subinterface/ipv6/neighbors/neighbor/state/"
	 "neighbor-state",
	 OBJECT_NEIGHBOUR, 6, HAVE_STATE, LEAF_CHOICE, FIELD(neighbour_value, state),
	 TOUCHES_NEIGHBOURS, neighbour_choices},
	{"interfaces/interface/subinterfaces/subinterface/ipv6/neighbors/neighbor/state/origin",
	 OBJECT_NEIGHBOUR, 6, 3, LEAF_TEXT, FIELD(neighbour_value, origin), TOUCHES_NOTHING},
	{"lldp/interfaces/interface/neighbors/neighbor/state/chassis-id", OBJECT_LLDP, 0, 1,
	 LEAF_TEXT, FIELD(lldp_value, chassis), TOUCHES_STRUCTURE},
	{"lldp/interfaces/interface/neighbors/neighbor/state/management-address", OBJECT_LLDP, 0, 4,
	 LEAF_TEXT, FIELD(lldp_value, management), TOUCHES_NOTHING},
	{"lldp/interfaces/interface/neighbors/neighbor/state/port-description", OBJECT_LLDP, 0, 3,
	 LEAF_TEXT, FIELD(lldp_value, port_description), TOUCHES_STRUCTURE},
	{"lldp/interfaces/interface/neighbors/neighbor/state/port-id", OBJECT_LLDP, 0, 2, LEAF_TEXT,
	 FIELD(lldp_value, port), TOUCHES_STRUCTURE},
	{"lldp/interfaces/interface/neighbors/neighbor/state/system-name", OBJECT_LLDP, 0, 0,
	 LEAF_TEXT, FIELD(lldp_value, name), TOUCHES_STRUCTURE},
	{"lldp/state/chassis-id", OBJECT_DEVICE, 0, 4, LEAF_TEXT, FIELD(device_value, lldp_chassis),
	 TOUCHES_STRUCTURE},
	{"lldp/state/system-name", OBJECT_DEVICE, 0, 3, LEAF_TEXT, FIELD(device_value, lldp_name),
	 TOUCHES_STRUCTURE},
	{"network-instances/network-instance/afts/ipv4-unicast/ipv4-entry/state/metric",
	 OBJECT_ENTRY, 4, HAVE_METRIC, LEAF_U32, FIELD(entry_value, metric), TOUCHES_NOTHING},
	{"network-instances/network-instance/afts/ipv4-unicast/ipv4-entry/state/next-hop-group",
	 OBJECT_ENTRY, 4, HAVE_GROUP, LEAF_U64, FIELD(entry_value, group), TOUCHES_ROUTES},
	{"network-instances/network-instance/afts/ipv4-unicast/ipv4-entry/state/origin-protocol",
	 OBJECT_ENTRY, 4, 2, LEAF_CHOICE, FIELD(entry_value, origin), TOUCHES_ROUTES,
	 origin_choices},
	{"network-instances/network-instance/afts/ipv4-unicast/ipv4-entry/state/prefix",
	 OBJECT_ENTRY, 4, HAVE_NAME, LEAF_NONE, 0, TOUCHES_ROUTES},
	{"network-instances/network-instance/afts/ipv6-unicast/ipv6-entry/state/metric",
	 OBJECT_ENTRY, 6, HAVE_METRIC, LEAF_U32, FIELD(entry_value, metric), TOUCHES_NOTHING},
	{"network-instances/network-instance/afts/ipv6-unicast/ipv6-entry/state/next-hop-group",
	 OBJECT_ENTRY, 6, HAVE_GROUP, LEAF_U64, FIELD(entry_value, group), TOUCHES_ROUTES},
	{"network-instances/network-instance/afts/ipv6-unicast/ipv6-entry/state/origin-protocol",
	 OBJECT_ENTRY, 6, 2, LEAF_CHOICE, FIELD(entry_value, origin), TOUCHES_ROUTES,
	 origin_choices},
	{"network-instances/network-instance/afts/ipv6-unicast/ipv6-entry/state/prefix",
	 OBJECT_ENTRY, 6, HAVE_NAME, LEAF_NONE, 0, TOUCHES_ROUTES},
	{"network-instances/network-instance/afts/next-hop-groups/next-hop-group/next-hops/"
	 "next-hop/state/index",
	 OBJECT_MEMBER, 0, HAVE_INDEX, LEAF_U64, FIELD(member_value, index), TOUCHES_ROUTES},
	{"network-instances/network-instance/afts/next-hop-groups/next-hop-group/next-hops/"
	 "next-hop/state/weight",
	 OBJECT_MEMBER, 0, 1, LEAF_U32, FIELD(member_value, weight), TOUCHES_NOTHING},
	{"network-instances/network-instance/afts/next-hops/next-hop/interface-ref/state/interface",
	 OBJECT_NEXT_HOP, 0, HAVE_NH_INTERFACE, LEAF_TEXT, FIELD(next_hop_value, interface),
	 TOUCHES_ROUTES},
	{"network-instances/network-instance/afts/next-hops/next-hop/state/action", OBJECT_NEXT_HOP,
	 0, HAVE_ACTION, LEAF_CHOICE, FIELD(next_hop_value, action), TOUCHES_ROUTES,
	 next_hop_choices},
	{"network-instances/network-instance/afts/next-hops/next-hop/state/index", OBJECT_NEXT_HOP,
	 0, HAVE_INDEX, LEAF_NONE, 0, TOUCHES_ROUTES},
	{"network-instances/network-instance/afts/next-hops/next-hop/state/ip-address",
	 OBJECT_NEXT_HOP, 0, HAVE_VIA, LEAF_ADDRESS, FIELD(next_hop_value, via), TOUCHES_ROUTES},
	{"network-instances/network-instance/afts/state/not-modelled", OBJECT_DEVICE, 0, 5,
	 LEAF_TEXT, FIELD(device_value, not_modelled), TOUCHES_ROUTES},
	{"system/state/boot-time", OBJECT_DEVICE, 0, 1, LEAF_U64, FIELD(device_value, boot_time),
	 TOUCHES_NOTHING},
	{"system/state/hostname", OBJECT_DEVICE, 0, 0, LEAF_TEXT, FIELD(device_value, hostname),
	 TOUCHES_STRUCTURE},
	{"system/state/software-version", OBJECT_DEVICE, 0, 2, LEAF_TEXT,
	 FIELD(device_value, software), TOUCHES_NOTHING},
};
const unsigned schema_leaves_n = sizeof schema_leaves / sizeof *schema_leaves;

#define IF "interfaces/interface"
#define SUB IF "/subinterfaces/subinterface"
#define AFT "network-instances/network-instance/afts"

const struct schema_list schema_lists[] = {
	{IF, "name", NULL, OBJECT_INTERFACE},
	{SUB, "index", NULL, OBJECT_NONE, "0", 0, UNMODELLED_SUBINTERFACE},
	{SUB "/ipv4/addresses/address", "ip", NULL, OBJECT_ADDRESS, NULL, 4},
	{SUB "/ipv6/addresses/address", "ip", NULL, OBJECT_ADDRESS, NULL, 6},
	{SUB "/ipv4/neighbors/neighbor", "ip", NULL, OBJECT_NEIGHBOUR, NULL, 4},
	{SUB "/ipv6/neighbors/neighbor", "ip", NULL, OBJECT_NEIGHBOUR, NULL, 6},
	{"network-instances/network-instance", "name", NULL, OBJECT_NONE, "default", 0,
	 UNMODELLED_INSTANCE},
	{AFT "/ipv4-unicast/ipv4-entry", "prefix", NULL, OBJECT_ENTRY, NULL, 4},
	{AFT "/ipv6-unicast/ipv6-entry", "prefix", NULL, OBJECT_ENTRY, NULL, 6},
	{AFT "/next-hop-groups/next-hop-group", "id", NULL, OBJECT_GROUP},
	{AFT "/next-hop-groups/next-hop-group/next-hops/next-hop", "index", NULL, OBJECT_MEMBER},
	{AFT "/next-hops/next-hop", "index", NULL, OBJECT_NEXT_HOP},
	{"acl/acl-sets/acl-set", "name", "type", OBJECT_SET},
	{"acl/acl-sets/acl-set/acl-entries/acl-entry", "sequence-id", NULL, OBJECT_RULE},
	{"lldp/interfaces/interface", "name", NULL, OBJECT_INTERFACE},
	{"lldp/interfaces/interface/neighbors/neighbor", "id", NULL, OBJECT_LLDP},
};
const unsigned schema_lists_n = sizeof schema_lists / sizeof *schema_lists;

// The first row not below (shape, n) in byte order; with `past`, the first after all that begin so.
static unsigned schema_bound(const char *shape, size_t n, bool past)
{
	unsigned low = 0, high = schema_leaves_n;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		int order = strncmp(schema_leaves[middle].shape, shape, n);
		if (order < 0 || (past && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int schema_find(const char *shape)
{
	unsigned at = schema_bound(shape, strlen(shape) + 1, false);
	return at < schema_leaves_n && strcmp(schema_leaves[at].shape, shape) == 0 ? (int)at : -1;
}

void schema_range(const char *shape, unsigned *first, unsigned *last)
{
	char below[SCHEMA_SHAPE_MAX + 2];
	size_t n = strlen(shape);
	int exact = schema_find(shape);
	*first = *last = 0;
	if (exact >= 0) { // a leaf has nothing below it
		*first = (unsigned)exact;
		*last = *first + 1;
	} else if (n == 0) {
		*last = schema_leaves_n;
	} else if (n <= SCHEMA_SHAPE_MAX) { // with the slash: "in" must not take "interfaces"
		memcpy(below, shape, n);
		below[n] = '/';
		*first = schema_bound(below, n + 1, false);
		*last = schema_bound(below, n + 1, true);
	}
}
