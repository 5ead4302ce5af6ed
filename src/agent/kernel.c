// SPDX-License-Identifier: Apache-2.0

#include "agent/kernel.h"

#include "agent/afts.h"
#include "agent/interfaces.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RECEIVE = 1 << 16,
	QUEUE_BYTES = 4 << 20, // the kernel's, for events
	TURN_READS = 256,      // reads in one turn: other work must have its own
	DUMP_TRIES = 5,
};

struct kernel {
	struct tree *tree;
	struct interfaces *interfaces;
	struct afts *afts;
	struct mnl_socket *events, *asks;
	int ioctl_fd;
	uint32_t sequence;
	int64_t now_ns;
	uint64_t overruns;
	unsigned reread; // of enum reread: what the events of this turn make unsure
	_Alignas(8) uint8_t bytes[RECEIVE];
};

enum reread { REREAD_IPV4 = 1, REREAD_IPV6 = 2, REREAD_ALL = 4, REREAD_RULES = 8 };

// --- one message

static uint64_t speed_of(const struct kernel *k, const struct netlink_link *l)
{
	_Alignas(8) uint8_t room[sizeof(struct ethtool_link_settings) + 3 * 127 * 4] = {0};
	struct ethtool_link_settings *s = (void *)room; // its masks follow it
	struct ifreq r = {.ifr_data = (void *)room};
	s->cmd = ETHTOOL_GLINKSETTINGS;
	memcpy(r.ifr_name, l->name, sizeof l->name);
	if (k->ioctl_fd < 0 || ioctl(k->ioctl_fd, SIOCETHTOOL, &r) < 0 ||
	    s->link_mode_masks_nwords >= 0 || s->link_mode_masks_nwords < -127)
		return 0;
	// Asked twice, the second time with the size that the first answer named: linux/ethtool.h.
	s->link_mode_masks_nwords = (int8_t)-s->link_mode_masks_nwords;
	s->cmd = ETHTOOL_GLINKSETTINGS;
	if (ioctl(k->ioctl_fd, SIOCETHTOOL, &r) < 0 || s->speed == (uint32_t)SPEED_UNKNOWN)
		return 0;
	return (uint64_t)s->speed * 1000000;
}

static void on_link(struct kernel *k, const struct nlmsghdr *m)
{
	struct netlink_link l;
	if (!netlink_read_link(m, &l))
		return;
	unsigned news = m->nlmsg_type == RTM_DELLINK
				? interfaces_link_gone(k->interfaces, l.index)
				: interfaces_link(k->interfaces, &l, speed_of(k, &l), k->now_ns);
	if (news & INTERFACES_DOWN)
		k->reread |= REREAD_IPV4 | REREAD_IPV6;
	if (news & INTERFACES_RENAME)
		k->reread |= REREAD_ALL;
}

static void on_address(struct kernel *k, const struct nlmsghdr *m)
{
	struct netlink_address a;
	if (!netlink_read_address(m, &a))
		return;
	bool gone = m->nlmsg_type == RTM_DELADDR;
	interfaces_address(k->interfaces, &a, gone, k->now_ns);
	if (gone && a.family == AF_INET)
		k->reread |= REREAD_IPV4;
}

static void on_neighbour(struct kernel *k, const struct nlmsghdr *m)
{
	struct netlink_neighbour n;
	if (netlink_read_neighbour(m, &n))
		interfaces_neighbour(k->interfaces, &n, m->nlmsg_type == RTM_DELNEIGH, k->now_ns);
}

static void on_route(struct kernel *k, const struct nlmsghdr *m)
{
	static struct netlink_route r;
	if (!netlink_read_route(m, &r))
		return;
	if (!afts_route(k->afts, &r, m->nlmsg_type == RTM_DELROUTE,
			(m->nlmsg_flags & NLM_F_REPLACE) != 0))
		k->reread |= r.family == AF_INET ? REREAD_IPV4 : REREAD_IPV6;
}

static void on_nexthop(struct kernel *k, const struct nlmsghdr *m)
{
	static struct netlink_nexthop n;
	if (!netlink_read_nexthop(m, &n))
		return;
	bool gone = m->nlmsg_type == RTM_DELNEXTHOP;
	afts_nexthop(k->afts, &n, gone);
	if (gone)
		k->reread |= REREAD_IPV4 | REREAD_IPV6;
}

static void on_rule(struct kernel *k, const struct nlmsghdr *m)
{
	struct netlink_rule r;
	if (m->nlmsg_type == RTM_DELRULE)
		k->reread |= REREAD_RULES;
	else if (netlink_read_rule(m, &r))
		afts_rule(k->afts, &r);
}

static void on_stats(struct kernel *k, const struct nlmsghdr *m)
{
	struct netlink_counters c;
	int index;
	if (netlink_read_stats(m, &index, &c))
		interfaces_counters(k->interfaces, index, &c, k->now_ns);
}

static void on_message(void *ctx, const struct nlmsghdr *m)
{
	static const struct {
		uint16_t type;
		void (*handle)(struct kernel *k, const struct nlmsghdr *m);
	} handlers[] = {
		{RTM_NEWLINK, on_link},	      {RTM_DELLINK, on_link},
		{RTM_NEWADDR, on_address},    {RTM_DELADDR, on_address},
		{RTM_NEWNEIGH, on_neighbour}, {RTM_DELNEIGH, on_neighbour},
		{RTM_NEWROUTE, on_route},     {RTM_DELROUTE, on_route},
		{RTM_NEWNEXTHOP, on_nexthop}, {RTM_DELNEXTHOP, on_nexthop},
		{RTM_NEWRULE, on_rule},	      {RTM_DELRULE, on_rule},
		{RTM_NEWSTATS, on_stats},
	};
	for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
		if (handlers[i].type == m->nlmsg_type)
			handlers[i].handle(ctx, m);
}

// --- dumps

static int dump_message(const struct nlmsghdr *m, void *ctx)
{
	on_message(ctx, m);
	return MNL_CB_OK;
}

static struct err dump_once(struct kernel *k, struct nlmsghdr *ask, const char *what)
{
	ask->nlmsg_seq = ++k->sequence;
	if (mnl_socket_sendto(k->asks, ask, ask->nlmsg_len) < 0)
		return err_system("asking the kernel for its %s", what);
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(k->asks, k->bytes, sizeof k->bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_system("reading the kernel's %s", what);
		int r = mnl_cb_run(k->bytes, (size_t)n, k->sequence, mnl_socket_get_portid(k->asks),
				   dump_message, k);
		if (r == MNL_CB_STOP)
			return OK;
		if (r < 0 && errno == EINTR) // the state moved on while it was told
			return err_make(ERR_BUSY, "the kernel's %s changed while being read", what);
		if (r < 0 && errno != ESRCH)
			return err_system("the kernel's %s", what);
	}
}

struct dump {
	uint16_t type;
	uint8_t family;
	size_t head; // of the request's fixed part, whose first byte is the family
	const char *what;
};
static const struct dump
	dump_links = {RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), "links"},
	dump_addresses = {RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg), "addresses"},
	dump_neighbours = {RTM_GETNEIGH, AF_UNSPEC, sizeof(struct ndmsg), "neighbours"},
	dump_nexthops = {RTM_GETNEXTHOP, AF_UNSPEC, sizeof(struct nhmsg), "next hops"},
	dump_ipv4 = {RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), "IPv4 routes"},
	dump_ipv6 = {RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg), "IPv6 routes"},
	dump_rules = {RTM_GETRULE, AF_UNSPEC, sizeof(struct fib_rule_hdr), "rules"},
	dump_stats = {RTM_GETSTATS, AF_UNSPEC, sizeof(struct if_stats_msg), "counters"};

static struct err dump(struct kernel *k, const struct dump *d)
{
	_Alignas(8) uint8_t bytes[256] = {0};
	struct nlmsghdr *ask = mnl_nlmsg_put_header(bytes);
	ask->nlmsg_type = d->type;
	ask->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	uint8_t *head = mnl_nlmsg_put_extra_header(ask, d->head);
	head[0] = d->family;
	if (d->type == RTM_GETSTATS)
		((struct if_stats_msg *)(void *)head)->filter_mask =
			IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
	return dump_once(k, ask, d->what);
}

// What is torn (ERR_BUSY) is asked again; at last it is taken as it is: an event follows each
// change.
static struct err dump_routes(struct kernel *k, const struct dump *d)
{
	struct err e = OK;
	for (int i = 0; i < DUMP_TRIES; i++) {
		afts_begin(k->afts, d->family);
		e = dump(k, d);
		if (e.code != ERR_BUSY)
			return e;
	}
	return OK;
}

static struct err read_interfaces(struct kernel *k)
{
	struct err e = OK;
	for (int i = 0; i < DUMP_TRIES; i++) {
		tree_pass_begin(k->tree, "/interfaces");
		interfaces_pass_begin(k->interfaces);
		e = dump(k, &dump_links);
		if (e.code == ERR_NONE)
			e = dump(k, &dump_addresses);
		if (e.code == ERR_NONE)
			e = dump(k, &dump_neighbours);
		if (e.code == ERR_NONE) {
			interfaces_pass_end(k->interfaces);
			tree_pass_end(k->tree, "/interfaces", TREE_VOLATILE);
		}
		if (e.code != ERR_BUSY)
			return e;
	}
	return OK;
}

static struct err read_rules(struct kernel *k)
{
	struct err e = OK;
	for (int i = 0; i < DUMP_TRIES; i++) {
		afts_rules_begin(k->afts);
		e = dump(k, &dump_rules);
		if (e.code != ERR_BUSY)
			return e;
	}
	return OK;
}

struct err kernel_read(struct kernel *k)
{
	k->now_ns = clock_wall_ns();
	TRY(read_interfaces(k));
	afts_begin(k->afts, 0);
	struct err e = dump(k, &dump_nexthops);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_notice("%s: routes are read without them", e.text);
	TRY(dump_routes(k, &dump_ipv4));
	TRY(dump_routes(k, &dump_ipv6));
	TRY(read_rules(k));
	k->reread = 0;
	afts_write(k->afts, k->now_ns);
	return kernel_counters(k);
}

struct err kernel_counters(struct kernel *k)
{
	k->now_ns = clock_wall_ns();
	struct err e = dump(k, &dump_stats);
	return e.code == ERR_BUSY ? OK : e;
}

// --- events

static struct err reread(struct kernel *k)
{
	unsigned what = k->reread;
	k->reread = 0;
	if (what & REREAD_ALL)
		return kernel_read(k);
	if (what & REREAD_IPV4)
		TRY(dump_routes(k, &dump_ipv4));
	if (what & REREAD_IPV6)
		TRY(dump_routes(k, &dump_ipv6));
	if (what & REREAD_RULES)
		TRY(read_rules(k));
	return OK;
}

struct err kernel_events(struct kernel *k)
{
	k->now_ns = clock_wall_ns();
	for (int i = 0; i < TURN_READS; i++) {
		struct sockaddr_nl from;
		socklen_t from_len = sizeof from;
		ssize_t n = recvfrom(kernel_fd(k), k->bytes, sizeof k->bytes, MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			k->overruns++;
			k->reread |= REREAD_ALL;
			continue;
		}
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return err_system("reading the kernel's events");
		if (from.nl_pid == 0) // another process may send here too
			netlink_each(k->bytes, (size_t)n, on_message, k);
	}
	TRY(reread(k));
	afts_write(k->afts, k->now_ns);
	return OK;
}

// --- opening

static struct err join_groups(struct kernel *k)
{
	static const int groups[] = {RTNLGRP_LINK,	  RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR,
				     RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
				     RTNLGRP_IPV4_RULE,	  RTNLGRP_IPV6_RULE,  RTNLGRP_NEXTHOP};
	int bytes = QUEUE_BYTES;
	if (setsockopt(kernel_fd(k), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0 &&
	    setsockopt(kernel_fd(k), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) < 0)
		return err_system("netlink: the size of its queue");
	if (mnl_socket_bind(k->events, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_bind(k->asks, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_system("netlink: bind");
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		int group = groups[i];
		if (mnl_socket_setsockopt(k->events, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) <
		    0)
			return err_system("netlink: group %d", group);
	}
	return OK;
}

struct err kernel_open(struct tree *tree, struct kernel **out)
{
	struct kernel *k = calloc(1, sizeof *k);
	ENSURE(k, ERR_LIMIT, "out of memory");
	k->tree = tree;
	k->interfaces = interfaces_new(tree);
	k->afts = k->interfaces ? afts_new(tree, k->interfaces) : NULL;
	k->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	k->asks = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	k->ioctl_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct err e = OK;
	if (!k->afts)
		e = err_make(ERR_LIMIT, "out of memory");
	else if (!k->events || !k->asks)
		e = err_system("opening netlink");
	else
		e = join_groups(k);
	if (e.code != ERR_NONE) {
		kernel_close(k);
		return e;
	}
	*out = k;
	return OK;
}

void kernel_close(struct kernel *k)
{
	if (!k)
		return;
	if (k->events)
		mnl_socket_close(k->events);
	if (k->asks)
		mnl_socket_close(k->asks);
	if (k->ioctl_fd >= 0)
		close(k->ioctl_fd);
	afts_free(k->afts);
	interfaces_free(k->interfaces);
	free(k);
}

int kernel_fd(const struct kernel *k)
{
	return mnl_socket_get_fd(k->events);
}

uint64_t kernel_overruns(const struct kernel *k)
{
	return k->overruns;
}
