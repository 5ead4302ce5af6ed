// SPDX-License-Identifier: Apache-2.0
// Attributes are first collected into a table by type, each with its least length checked, then
// read. What is missing stays zero.

#include "agent/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/lwtunnel.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

enum { ATTRIBUTES = 80 };

struct attributes {
	const struct nlattr *of[ATTRIBUTES];
};

static int collect(const struct nlattr *a, void *ctx)
{
	struct attributes *t = ctx;
	uint16_t type = mnl_attr_get_type(a);
	if (type < ATTRIBUTES)
		t->of[type] = a;
	return MNL_CB_OK;
}

static bool attributes_read(const struct nlmsghdr *m, size_t head, struct attributes *t)
{
	*t = (struct attributes){0};
	return m->nlmsg_len >= NLMSG_HDRLEN + head &&
	       mnl_attr_parse(m, (unsigned)head, collect, t) == MNL_CB_OK;
}

static void nested_read(const struct nlattr *a, struct attributes *t)
{
	*t = (struct attributes){0};
	mnl_attr_parse_nested(a, collect, t);
}

static const void *payload(const struct nlattr *a, size_t least)
{
	return a && mnl_attr_get_payload_len(a) >= least ? mnl_attr_get_payload(a) : NULL;
}

static uint32_t number(const struct nlattr *a)
{
	uint32_t v = 0;
	if (payload(a, sizeof v))
		memcpy(&v, mnl_attr_get_payload(a), sizeof v);
	return v;
}

static uint8_t octet(const struct nlattr *a)
{
	const uint8_t *p = payload(a, 1);
	return p ? *p : 0;
}

// The kernel lets a name hold any byte but '/', ':' and blanks: what is not printable becomes '?'.
static void text(const struct nlattr *a, char *out, size_t size)
{
	size_t n = a ? mnl_attr_get_payload_len(a) : 0;
	const char *p = a ? mnl_attr_get_payload(a) : NULL;
	size_t i = 0;
	for (; i < n && i + 1 < size && p[i]; i++)
		out[i] = p[i] > 0x20 && p[i] < 0x7f ? p[i] : '?';
	out[i] = 0;
}

static size_t address_size(uint8_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static bool address(const struct nlattr *a, uint8_t family, uint8_t out[16])
{
	size_t n = address_size(family);
	const void *p = n ? payload(a, n) : NULL;
	if (p)
		memcpy(out, p, n);
	return p != NULL;
}

static uint8_t lladdr(const struct nlattr *a, uint8_t out[NETLINK_LLADDR])
{
	size_t n = a ? mnl_attr_get_payload_len(a) : 0;
	if (n > NETLINK_LLADDR)
		n = NETLINK_LLADDR;
	if (n)
		memcpy(out, mnl_attr_get_payload(a), n);
	return (uint8_t)n;
}

static void counters(const struct nlattr *a, struct netlink_counters *out)
{
	struct rtnl_link_stats64 s = {0};
	size_t n = mnl_attr_get_payload_len(a); // grows with the kernel: take what we know
	memcpy(&s, mnl_attr_get_payload(a), n < sizeof s ? n : sizeof s);
	*out = (struct netlink_counters){
		.in = {s.rx_bytes, s.rx_packets, s.rx_errors, s.rx_dropped},
		.out = {s.tx_bytes, s.tx_packets, s.tx_errors, s.tx_dropped},
	};
}

bool netlink_read_link(const struct nlmsghdr *m, struct netlink_link *out)
{
	struct attributes t, info;
	*out = (struct netlink_link){0};
	if (!attributes_read(m, sizeof(struct ifinfomsg), &t))
		return false;
	const struct ifinfomsg *head = mnl_nlmsg_get_payload(m);
	if (head->ifi_family != AF_UNSPEC || !t.of[IFLA_IFNAME])
		return false; // a bridge port's own message comes as AF_BRIDGE
	out->index = head->ifi_index;
	out->flags = head->ifi_flags;
	out->hardware = head->ifi_type;
	text(t.of[IFLA_IFNAME], out->name, sizeof out->name);
	out->mtu = number(t.of[IFLA_MTU]);
	out->oper = octet(t.of[IFLA_OPERSTATE]);
	out->lladdr_len = lladdr(t.of[IFLA_ADDRESS], out->lladdr);
	if (t.of[IFLA_LINKINFO]) {
		nested_read(t.of[IFLA_LINKINFO], &info);
		text(info.of[IFLA_INFO_KIND], out->kind, sizeof out->kind);
	}
	if ((out->has_counters = t.of[IFLA_STATS64] != NULL))
		counters(t.of[IFLA_STATS64], &out->counters);
	return out->name[0] != 0 && out->index > 0;
}

bool netlink_read_stats(const struct nlmsghdr *m, int *index, struct netlink_counters *out)
{
	struct attributes t;
	if (!attributes_read(m, sizeof(struct if_stats_msg), &t) || !t.of[IFLA_STATS_LINK_64])
		return false;
	const struct if_stats_msg *head = mnl_nlmsg_get_payload(m);
	*index = (int)head->ifindex;
	counters(t.of[IFLA_STATS_LINK_64], out);
	return true;
}

bool netlink_read_address(const struct nlmsghdr *m, struct netlink_address *out)
{
	struct attributes t;
	*out = (struct netlink_address){0};
	if (!attributes_read(m, sizeof(struct ifaddrmsg), &t))
		return false;
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(m);
	out->family = head->ifa_family;
	out->length = head->ifa_prefixlen;
	out->index = (int)head->ifa_index;
	if (out->length > 8 * address_size(out->family))
		return false;
	// On a point-to-point link IFA_ADDRESS is the peer's and IFA_LOCAL our own.
	const struct nlattr *own = t.of[IFA_LOCAL] ? t.of[IFA_LOCAL] : t.of[IFA_ADDRESS];
	return address(own, out->family, out->address);
}

bool netlink_read_neighbour(const struct nlmsghdr *m, struct netlink_neighbour *out)
{
	struct attributes t;
	*out = (struct netlink_neighbour){0};
	if (!attributes_read(m, sizeof(struct ndmsg), &t))
		return false;
	const struct ndmsg *head = mnl_nlmsg_get_payload(m);
	out->family = head->ndm_family;
	out->index = head->ndm_ifindex;
	out->state = head->ndm_state;
	out->flags = head->ndm_flags;
	out->lladdr_len = lladdr(t.of[NDA_LLADDR], out->lladdr);
	return address(t.of[NDA_DST], out->family, out->address);
}

// --- routes

// RTA_GATEWAY has the route's own family, RTA_VIA names one (IPv4 over IPv6, RFC 8950).
static void hop_via(struct netlink_hop *h, uint8_t family, const struct nlattr *gateway,
		    const struct nlattr *via)
{
	const struct rtvia *v = payload(via, sizeof *v);
	size_t n = v ? mnl_attr_get_payload_len(via) - sizeof *v : 0;
	if (address(gateway, family, h->via))
		h->via_family = family;
	else if (v && address_size((uint8_t)v->rtvia_family) == n && n) {
		memcpy(h->via, v->rtvia_addr, n);
		h->via_family = (uint8_t)v->rtvia_family;
	}
}

static bool encapsulated(const struct nlattr *type)
{
	const void *p = payload(type, 2);
	uint16_t kind = 0;
	if (p)
		memcpy(&kind, p, sizeof kind);
	return kind != LWTUNNEL_ENCAP_NONE;
}

static void multipath(const struct nlattr *a, struct netlink_route *out)
{
	const uint8_t *p = mnl_attr_get_payload(a);
	size_t left = mnl_attr_get_payload_len(a);
	while (left >= sizeof(struct rtnexthop)) {
		struct rtnexthop head;
		memcpy(&head, p, sizeof head);
		if (head.rtnh_len < sizeof head || head.rtnh_len > left)
			return;
		if (out->n_hops == NETLINK_HOPS_MAX) {
			out->unreadable = true;
			return;
		}
		struct attributes t = {0};
		mnl_attr_parse_payload(p + sizeof head, head.rtnh_len - sizeof head, collect, &t);
		struct netlink_hop *h = &out->hops[out->n_hops++];
		*h = (struct netlink_hop){.index = head.rtnh_ifindex,
					  .flags = head.rtnh_flags,
					  .weight = head.rtnh_hops + 1u,
					  .encapsulated = encapsulated(t.of[RTA_ENCAP_TYPE])};
		hop_via(h, out->family, t.of[RTA_GATEWAY], t.of[RTA_VIA]);
		size_t step = RTNH_ALIGN(head.rtnh_len);
		p += step < left ? step : left;
		left -= step < left ? step : left;
	}
}

bool netlink_read_route(const struct nlmsghdr *m, struct netlink_route *out)
{
	struct attributes t;
	memset(out, 0, offsetof(struct netlink_route, hops));
	if (!attributes_read(m, sizeof(struct rtmsg), &t))
		return false;
	const struct rtmsg *head = mnl_nlmsg_get_payload(m);
	out->family = head->rtm_family;
	out->length = head->rtm_dst_len;
	out->tos = head->rtm_tos;
	out->protocol = head->rtm_protocol;
	out->type = head->rtm_type;
	out->from_source = head->rtm_src_len > 0;
	out->cloned = (head->rtm_flags & RTM_F_CLONED) != 0;
	out->table = t.of[RTA_TABLE] ? number(t.of[RTA_TABLE]) : head->rtm_table;
	out->metric = number(t.of[RTA_PRIORITY]);
	out->nexthop_id = number(t.of[RTA_NH_ID]);
	if (!address_size(out->family) || out->length > 8 * address_size(out->family))
		return false;
	if (out->length && !address(t.of[RTA_DST], out->family, out->destination))
		return false;
	if (t.of[RTA_MULTIPATH]) {
		multipath(t.of[RTA_MULTIPATH], out);
	} else if (t.of[RTA_OIF] || t.of[RTA_GATEWAY] || t.of[RTA_VIA]) {
		out->n_hops = 1;
		out->hops[0] =
			(struct netlink_hop){.index = (int)number(t.of[RTA_OIF]),
					     .flags = (uint8_t)head->rtm_flags,
					     .weight = 1,
					     .encapsulated = encapsulated(t.of[RTA_ENCAP_TYPE])};
		hop_via(&out->hops[0], out->family, t.of[RTA_GATEWAY], t.of[RTA_VIA]);
	}
	return true;
}

bool netlink_read_nexthop(const struct nlmsghdr *m, struct netlink_nexthop *out)
{
	struct attributes t;
	*out = (struct netlink_nexthop){0};
	if (!attributes_read(m, sizeof(struct nhmsg), &t))
		return false;
	const struct nhmsg *head = mnl_nlmsg_get_payload(m);
	out->id = number(t.of[NHA_ID]);
	out->blackhole = t.of[NHA_BLACKHOLE] != NULL;
	out->hop = (struct netlink_hop){.index = (int)number(t.of[NHA_OIF]),
					.flags = (uint8_t)head->nh_flags,
					.weight = 1,
					.encapsulated = encapsulated(t.of[NHA_ENCAP_TYPE])};
	hop_via(&out->hop, head->nh_family, t.of[NHA_GATEWAY], NULL);
	const struct nlattr *group = t.of[NHA_GROUP];
	size_t n = group ? mnl_attr_get_payload_len(group) / sizeof(struct nexthop_grp) : 0;
	out->unreadable = n > NETLINK_HOPS_MAX;
	for (size_t i = 0; i < n && i < NETLINK_HOPS_MAX; i++) {
		struct nexthop_grp g;
		const uint8_t *p = mnl_attr_get_payload(group);
		memcpy(&g, p + i * sizeof g, sizeof g);
		out->members[i].id = g.id;
		out->members[i].weight = g.weight + 1u;
		out->n_members++;
	}
	return out->id != 0;
}

bool netlink_read_rule(const struct nlmsghdr *m, struct netlink_rule *out)
{
	static const uint16_t harmless[] = {FRA_TABLE, FRA_PRIORITY, FRA_PROTOCOL,
					    FRA_SUPPRESS_PREFIXLEN, FRA_L3MDEV};
	struct attributes t;
	*out = (struct netlink_rule){0};
	if (!attributes_read(m, sizeof(struct fib_rule_hdr), &t))
		return false;
	const struct fib_rule_hdr *head = mnl_nlmsg_get_payload(m);
	out->family = head->family;
	out->table = t.of[FRA_TABLE] ? number(t.of[FRA_TABLE]) : head->table;
	out->priority = number(t.of[FRA_PRIORITY]);
	out->plain = head->action == FR_ACT_TO_TBL && !head->src_len && !head->dst_len &&
		     !head->tos && !octet(t.of[FRA_L3MDEV]) &&
		     (!t.of[FRA_SUPPRESS_PREFIXLEN] ||
		      number(t.of[FRA_SUPPRESS_PREFIXLEN]) == UINT32_MAX);
	for (uint16_t i = 1; i < ATTRIBUTES && out->plain; i++) {
		bool known = false;
		for (size_t k = 0; k < sizeof harmless / sizeof *harmless; k++)
			known |= harmless[k] == i;
		out->plain = known || !t.of[i];
	}
	return out->family == AF_INET || out->family == AF_INET6;
}

// Not mnl_nlmsg_ok alone: it compares lengths as int, and takes one of 2 GiB or more as negative.
bool netlink_each(const void *bytes, size_t n, void (*each)(void *ctx, const struct nlmsghdr *m),
		  void *ctx)
{
	const struct nlmsghdr *m = bytes;
	int left = n > INT32_MAX ? 0 : (int)n;
	while (mnl_nlmsg_ok(m, left) && m->nlmsg_len <= (uint32_t)left) {
		each(ctx, m);
		m = mnl_nlmsg_next(m, &left);
	}
	return left <= 0;
}
