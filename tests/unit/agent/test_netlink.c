// SPDX-License-Identifier: Apache-2.0
// rtnetlink messages, made with libmnl as the kernel makes them, taken apart; and what becomes of
// routes. Each message is also given cut at every length and with every bit flipped.
#include "agent/afts.h"
#include "agent/netlink.h"
#include "test_agent.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

static _Alignas(8) uint8_t bytes[8192];

static struct nlmsghdr *start(uint16_t type, const void *head, size_t n)
{
	memset(bytes, 0, sizeof bytes);
	struct nlmsghdr *m = mnl_nlmsg_put_header(bytes);
	m->nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(m, n), head, n);
	return m;
}

static void put_address(struct nlmsghdr *m, uint16_t type, const char *text)
{
	uint8_t a[16];
	bool six = strchr(text, ':') != NULL;
	assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, text, a), 1);
	mnl_attr_put(m, type, six ? 16 : 4, a);
}

static void read_any(void *ctx, const struct nlmsghdr *m)
{
	static struct netlink_route route;
	static struct netlink_nexthop hop;
	struct netlink_link link;
	struct netlink_address address;
	struct netlink_neighbour neighbour;
	struct netlink_rule rule;
	struct netlink_counters counters;
	int index;
	unsigned *n = ctx;
	*n += netlink_read_link(m, &link) + netlink_read_address(m, &address) +
	      netlink_read_neighbour(m, &neighbour) + netlink_read_route(m, &route) +
	      netlink_read_nexthop(m, &hop) + netlink_read_rule(m, &rule) +
	      netlink_read_stats(m, &index, &counters);
}

// No damage may lead outside the message (a sanitizer build sees it: the copy is exact).
static void damage(const struct nlmsghdr *m)
{
	unsigned n = 0;
	for (size_t len = 0; len <= m->nlmsg_len; len++) {
		uint8_t *copy = malloc(len + 1);
		memcpy(copy, m, len);
		netlink_each(copy, len, read_any, &n);
		free(copy);
	}
	for (size_t bit = 0; bit < m->nlmsg_len * 8u; bit++) {
		uint8_t *copy = malloc(m->nlmsg_len);
		memcpy(copy, m, m->nlmsg_len);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		netlink_each(copy, m->nlmsg_len, read_any, &n);
		free(copy);
	}
}

static void test_link(void **state)
{
	const struct ifinfomsg head = {
		.ifi_index = 7, .ifi_flags = IFF_UP | IFF_RUNNING, .ifi_type = ARPHRD_ETHER};
	struct netlink_link l;
	struct nlmsghdr *m = start(RTM_NEWLINK, &head, sizeof head);
	mnl_attr_put_strz(m, IFLA_IFNAME,
			  "eth\x01"
			  "0");
	mnl_attr_put_u32(m, IFLA_MTU, 9000);
	mnl_attr_put_u8(m, IFLA_OPERSTATE, IF_OPER_UP);
	mnl_attr_put(m, IFLA_ADDRESS, 6, "\x02\x00\x00\x00\x00\x01");
	struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "veth");
	mnl_attr_nest_end(m, info);
	assert_true(netlink_read_link(m, &l));
	assert_string_equal(l.name, "eth?0"); // a name may hold any byte
	assert_string_equal(l.kind, "veth");
	assert_int_equal(l.mtu, 9000);
	assert_int_equal(l.lladdr_len, 6);
	assert_false(l.has_counters);
	damage(m);
	((struct ifinfomsg *)mnl_nlmsg_get_payload(m))->ifi_family = AF_BRIDGE;
	assert_false(netlink_read_link(m, &l)); // a bridge port's own message
}

static void test_addresses(void **state)
{
	const struct ifaddrmsg head = {.ifa_family = AF_INET, .ifa_prefixlen = 30, .ifa_index = 3};
	struct netlink_address a;
	struct nlmsghdr *m = start(RTM_NEWADDR, &head, sizeof head);
	put_address(m, IFA_ADDRESS, "10.0.0.2"); // the peer's
	put_address(m, IFA_LOCAL, "10.0.0.1");
	assert_true(netlink_read_address(m, &a));
	assert_int_equal(a.address[3], 1);
	assert_int_equal(a.length, 30);
	damage(m);
	const struct ifaddrmsg bad = {.ifa_family = AF_INET, .ifa_prefixlen = 33, .ifa_index = 3};
	m = start(RTM_NEWADDR, &bad, sizeof bad);
	put_address(m, IFA_LOCAL, "10.0.0.1");
	assert_false(netlink_read_address(m, &a));
}

static void test_neighbours(void **state)
{
	const struct ndmsg head = {
		.ndm_family = AF_INET6, .ndm_ifindex = 3, .ndm_state = NUD_STALE};
	struct netlink_neighbour n;
	struct nlmsghdr *m = start(RTM_NEWNEIGH, &head, sizeof head);
	put_address(m, NDA_DST, "fe80::1");
	mnl_attr_put(m, NDA_LLADDR, 6, "\x02\x00\x00\x00\x00\x09");
	assert_true(netlink_read_neighbour(m, &n));
	assert_int_equal(n.lladdr[5], 9);
	damage(m);
	const struct ndmsg short_one = {.ndm_family = AF_INET6};
	m = start(RTM_NEWNEIGH, &short_one, sizeof short_one);
	mnl_attr_put(m, NDA_DST, 4, "\x0a\x00\x00\x01"); // four bytes are no IPv6 address
	assert_false(netlink_read_neighbour(m, &n));
}

// --- routes

struct path_of { // one path of a route
	int index;
	const char *via; // NULL: directly connected
	unsigned weight;
};

static struct nlmsghdr *route(const char *prefix, uint8_t length, uint32_t table, uint32_t metric,
			      const struct path_of *paths, unsigned n)
{
	bool six = strchr(prefix, ':') != NULL;
	const struct rtmsg head = {.rtm_family = six ? AF_INET6 : AF_INET,
				   .rtm_dst_len = length,
				   .rtm_table = (uint8_t)table,
				   .rtm_protocol = RTPROT_STATIC,
				   .rtm_type = table == RT_TABLE_LOCAL ? RTN_LOCAL : RTN_UNICAST};
	struct nlmsghdr *m = start(RTM_NEWROUTE, &head, sizeof head);
	put_address(m, RTA_DST, prefix);
	mnl_attr_put_u32(m, RTA_TABLE, table);
	mnl_attr_put_u32(m, RTA_PRIORITY, metric);
	if (n == 1) {
		mnl_attr_put_u32(m, RTA_OIF, (uint32_t)paths[0].index);
		if (paths[0].via)
			put_address(m, RTA_GATEWAY, paths[0].via);
		return m;
	}
	struct nlattr *multi = mnl_attr_nest_start(m, RTA_MULTIPATH);
	for (unsigned i = 0; i < n; i++) {
		struct rtnexthop *h = (void *)(bytes + m->nlmsg_len);
		*h = (struct rtnexthop){.rtnh_ifindex = paths[i].index,
					.rtnh_hops = (uint8_t)(paths[i].weight - 1)};
		uint32_t before = m->nlmsg_len;
		m->nlmsg_len += sizeof *h;
		if (paths[i].via)
			put_address(m, RTA_GATEWAY, paths[i].via);
		h->rtnh_len = (uint16_t)(m->nlmsg_len - before);
	}
	mnl_attr_nest_end(m, multi);
	return m;
}

static void test_route(void **state)
{
	static struct netlink_route r;
	const struct path_of two[] = {{2, "10.0.0.1", 1}, {3, "10.0.1.1", 3}};
	struct nlmsghdr *m = route("192.0.2.0", 24, RT_TABLE_MAIN, 20, two, 2);
	assert_true(netlink_read_route(m, &r));
	assert_int_equal(r.n_hops, 2);
	assert_int_equal(r.hops[1].weight, 3);
	assert_int_equal(r.hops[1].via[2], 1);
	assert_int_equal(r.metric, 20);
	damage(m);
	// IPv4 over an IPv6 next hop (RFC 8950).
	const struct rtmsg head = {.rtm_family = AF_INET,
				   .rtm_dst_len = 8,
				   .rtm_table = RT_TABLE_MAIN,
				   .rtm_type = RTN_UNICAST};
	uint8_t via[2 + 16] = {AF_INET6, 0, 0xfe, 0x80};
	m = start(RTM_NEWROUTE, &head, sizeof head);
	put_address(m, RTA_DST, "10.0.0.0");
	mnl_attr_put_u32(m, RTA_OIF, 2);
	mnl_attr_put(m, RTA_VIA, sizeof via, via);
	assert_true(netlink_read_route(m, &r));
	assert_int_equal(r.hops[0].via_family, AF_INET6);
	damage(m);
}

static void test_more_hops_than_fit(void **state)
{
	static struct netlink_route r;
	static struct path_of many[NETLINK_HOPS_MAX + 1];
	for (unsigned i = 0; i <= NETLINK_HOPS_MAX; i++)
		many[i] = (struct path_of){(int)i + 1, NULL, 1};
	struct nlmsghdr *m = route("10.0.0.0", 8, RT_TABLE_MAIN, 0, many, NETLINK_HOPS_MAX + 1);
	assert_true(netlink_read_route(m, &r));
	assert_true(r.unreadable);
	assert_int_equal(r.n_hops, NETLINK_HOPS_MAX);
}

static void test_nexthop(void **state)
{
	static struct netlink_nexthop n;
	const struct nhmsg head = {.nh_family = AF_UNSPEC};
	const struct nexthop_grp group[] = {{.id = 1, .weight = 0}, {.id = 2, .weight = 4}};
	struct nlmsghdr *m = start(RTM_NEWNEXTHOP, &head, sizeof head);
	mnl_attr_put_u32(m, NHA_ID, 9);
	mnl_attr_put(m, NHA_GROUP, sizeof group, group);
	assert_true(netlink_read_nexthop(m, &n));
	assert_int_equal(n.n_members, 2);
	assert_int_equal(n.members[1].weight, 5);
	damage(m);
}

static void test_rules(void **state)
{
	struct netlink_rule r;
	const struct fib_rule_hdr head = {
		.family = AF_INET, .table = RT_TABLE_MAIN, .action = FR_ACT_TO_TBL};
	struct nlmsghdr *m = start(RTM_NEWRULE, &head, sizeof head);
	mnl_attr_put_u32(m, FRA_PRIORITY, 32766);
	mnl_attr_put_u32(m, FRA_TABLE, RT_TABLE_MAIN);
	mnl_attr_put_u32(m, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
	assert_true(netlink_read_rule(m, &r) && r.plain);
	mnl_attr_put_u32(m, FRA_FWMARK, 1);
	assert_true(netlink_read_rule(m, &r) && !r.plain);
	damage(m);
}

// --- AFT

#define NI "/network-instances/network-instance[name=default]/afts"
static struct tree *t;
static struct interfaces *interfaces;
static struct afts *afts;

static int make(void **state)
{
	t = tree_new();
	interfaces = interfaces_new(t);
	afts = afts_new(t, interfaces);
	for (int i = 1; i <= 3; i++) {
		struct netlink_link l = {.index = i,
					 .flags = IFF_UP | IFF_RUNNING,
					 .hardware = ARPHRD_ETHER,
					 .oper = IF_OPER_UP};
		snprintf(l.name, sizeof l.name, "eth%d", i);
		interfaces_link(interfaces, &l, 0, 1);
	}
	return 0;
}

static int clear(void **state)
{
	afts_free(afts);
	interfaces_free(interfaces);
	tree_free(t);
	return 0;
}

static bool tell(struct nlmsghdr *m, bool gone, bool replaces)
{
	static struct netlink_route r;
	assert_true(netlink_read_route(m, &r));
	bool sure = afts_route(afts, &r, gone, replaces);
	afts_write(afts, 1);
	return sure;
}

static const char *of_entry(const char *prefix, const char *leaf)
{
	char path[512];
	const char *v = strchr(prefix, ':') ? "ipv6" : "ipv4";
	snprintf(path, sizeof path, NI "/%s-unicast/%s-entry[prefix=%s]/state/%s", v, v, prefix,
		 leaf);
	return leaf_of(t, path);
}

static const char *of_hop(const char *index, const char *leaf)
{
	char path[512];
	snprintf(path, sizeof path, NI "/next-hops/next-hop[index=%s]/%s", index, leaf);
	return leaf_of(t, path);
}

// "10.0.0.1@eth2*1 ..." of the entry's group, in order of index.
static const char *hops_of(const char *prefix)
{
	static char text[1024];
	char below[512];
	text[0] = 0;
	snprintf(below, sizeof below, NI "/next-hop-groups/next-hop-group[id=%s]",
		 of_entry(prefix, "next-hop-group"));
	for (struct tree_leaf *l = tree_first(t, below); l; l = tree_next(l, below)) {
		if (!strstr(l->path, "/state/weight"))
			continue;
		char index[32];
		sscanf(strstr(l->path, "next-hop[index=") + 15, "%31[0-9]", index);
		const char *via = of_hop(index, "state/ip-address");
		const char *name = of_hop(index, "interface-ref/state/interface");
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s@%s*%s ",
			 via ? via : "", name ? name : "", leaf_of(t, l->path));
	}
	return text;
}

static void test_the_best_route_is_the_entry(void **state)
{
	const struct path_of one = {1, "10.0.0.1", 1}, other = {2, "10.0.1.1", 1},
			     own = {3, NULL, 1};
	assert_true(tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 20, &one, 1), false, false));
	assert_true(tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 10, &other, 1), false, false));
	assert_string_equal(of_entry("192.0.2.0/24", "metric"), "10");
	assert_string_equal(hops_of("192.0.2.0/24"), "10.0.1.1@eth2*1 ");
	assert_true(tell(route("192.0.2.0", 24, RT_TABLE_LOCAL, 0, &own, 1), false, false));
	assert_string_equal(of_entry("192.0.2.0/24", "origin-protocol"), "LOCAL");
	assert_true(tell(route("192.0.2.0", 24, RT_TABLE_LOCAL, 0, &own, 1), true, false));
	assert_true(tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 10, &other, 1), true, false));
	assert_string_equal(hops_of("192.0.2.0/24"), "10.0.0.1@eth1*1 ");
	assert_true(tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 20, &one, 1), true, false));
	assert_null(of_entry("192.0.2.0/24", "prefix"));
	assert_int_equal(count_below(t, NI "/next-hops"), 0); // nobody uses them any more
	assert_int_equal(count_below(t, NI "/next-hop-groups"), 0);
}

static void test_groups_are_named_by_content(void **state)
{
	const struct path_of two[] = {{1, "10.0.0.1", 1}, {2, "10.0.1.1", 2}};
	const struct path_of turned[] = {{2, "10.0.1.1", 2}, {1, "10.0.0.1", 1}};
	tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 0, two, 2), false, false);
	tell(route("198.51.100.0", 24, RT_TABLE_MAIN, 0, turned, 2), false, false);
	assert_string_equal(of_entry("192.0.2.0/24", "next-hop-group"),
			    of_entry("198.51.100.0/24", "next-hop-group"));
	assert_int_equal(strlen(hops_of("192.0.2.0/24")), 32); // both, each with its weight
	tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 0, two, 1), false, true); // replaced by one path
	assert_string_equal(hops_of("192.0.2.0/24"), "10.0.0.1@eth1*1 ");
	assert_int_equal(strlen(hops_of("198.51.100.0/24")), 32); // the other still has both
}

static void test_ipv6_paths_come_one_by_one(void **state)
{
	const struct path_of a = {1, "fe80::1", 1}, b = {2, "fe80::2", 1};
	tell(route("2001:db8::", 32, RT_TABLE_MAIN, 0, &a, 1), false, false);
	tell(route("2001:db8::", 32, RT_TABLE_MAIN, 0, &b, 1), false, false);
	assert_non_null(strstr(hops_of("2001:db8::/32"), "fe80::1@eth1*1"));
	assert_non_null(strstr(hops_of("2001:db8::/32"), "fe80::2@eth2*1"));
	tell(route("2001:db8::", 32, RT_TABLE_MAIN, 0, &a, 1), true, false);
	assert_string_equal(hops_of("2001:db8::/32"), "fe80::2@eth2*1 ");
}

static void test_an_ambiguous_event_asks_for_a_dump(void **state)
{
	const struct path_of a = {1, "10.0.0.1", 1}, b = {2, "10.0.1.1", 1};
	assert_true(tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 0, &a, 1), false, false));
	assert_false(tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 0, &b, 1), false, false)); // append
}

static void test_what_is_not_modelled_is_said(void **state)
{
	const struct path_of a = {1, "10.0.0.1", 1};
	const struct netlink_rule policy = {.family = AF_INET, .table = 100, .priority = 100};
	afts_write(afts, 1);
	assert_leaf(t, NI "/state/not-modelled", "[]");
	afts_rule(afts, &policy);
	tell(route("192.0.2.0", 24, 100, 0, &a, 1), false, false);
	assert_leaf(t, NI "/state/not-modelled", "[\"policy-rules\",\"multiple-tables\"]");
	assert_null(of_entry("192.0.2.0/24", "prefix"));
}

static void test_a_dump_forgets_what_it_does_not_tell(void **state)
{
	const struct path_of a = {1, "10.0.0.1", 1};
	tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 0, &a, 1), false, false);
	tell(route("198.51.100.0", 24, RT_TABLE_MAIN, 0, &a, 1), false, false);
	afts_begin(afts, AF_INET);
	tell(route("192.0.2.0", 24, RT_TABLE_MAIN, 0, &a, 1), false, false);
	assert_non_null(of_entry("192.0.2.0/24", "prefix"));
	assert_null(of_entry("198.51.100.0/24", "prefix"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_route),
		cmocka_unit_test(test_more_hops_than_fit),
		cmocka_unit_test(test_nexthop),
		cmocka_unit_test(test_rules),
		cmocka_unit_test_setup_teardown(test_the_best_route_is_the_entry, make, clear),
		cmocka_unit_test_setup_teardown(test_groups_are_named_by_content, make, clear),
		cmocka_unit_test_setup_teardown(test_ipv6_paths_come_one_by_one, make, clear),
		cmocka_unit_test_setup_teardown(test_an_ambiguous_event_asks_for_a_dump, make,
						clear),
		cmocka_unit_test_setup_teardown(test_what_is_not_modelled_is_said, make, clear),
		cmocka_unit_test_setup_teardown(test_a_dump_forgets_what_it_does_not_tell, make,
						clear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
