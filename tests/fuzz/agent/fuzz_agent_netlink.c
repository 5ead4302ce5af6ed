// SPDX-License-Identifier: Apache-2.0
// rtnetlink messages into the collectors: the first byte says whether as events or as a dump.
#include "agent/afts.h"
#include "agent/netlink.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct target {
	struct tree *tree;
	struct interfaces *interfaces;
	struct afts *afts;
};

static void read_links(struct target *t, const struct nlmsghdr *m, bool gone)
{
	struct netlink_link l;
	struct netlink_address a;
	struct netlink_neighbour n;
	struct netlink_counters c;
	int index;
	if (netlink_read_link(m, &l)) {
		if (gone)
			interfaces_link_gone(t->interfaces, l.index);
		else
			interfaces_link(t->interfaces, &l, 0, 1);
	}
	if (netlink_read_address(m, &a))
		interfaces_address(t->interfaces, &a, gone, 1);
	if (netlink_read_neighbour(m, &n))
		interfaces_neighbour(t->interfaces, &n, gone, 1);
	if (netlink_read_stats(m, &index, &c))
		interfaces_counters(t->interfaces, index, &c, 1);
}

static void each(void *ctx, const struct nlmsghdr *m)
{
	static struct netlink_route route;
	static struct netlink_nexthop hop;
	struct netlink_rule rule;
	struct target *t = ctx;
	bool gone = m->nlmsg_type & 1;
	read_links(t, m, gone);
	if (netlink_read_route(m, &route))
		afts_route(t->afts, &route, gone, m->nlmsg_flags & NLM_F_REPLACE);
	if (netlink_read_nexthop(m, &hop))
		afts_nexthop(t->afts, &hop, gone);
	if (netlink_read_rule(m, &rule))
		afts_rule(t->afts, &rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct target t = {.tree = tree_new()};
	t.interfaces = interfaces_new(t.tree);
	t.afts = afts_new(t.tree, t.interfaces);
	uint8_t *aligned = malloc(n ? n : 1); // messages are read where they lie, 4-aligned
	if (n > 1)
		memcpy(aligned, data + 1, n - 1);
	if (n && data[0] & 1)
		afts_begin(t.afts, 0);
	netlink_each(aligned, n ? n - 1 : 0, each, &t);
	afts_write(t.afts, 1);
	free(aligned);
	afts_free(t.afts);
	interfaces_free(t.interfaces);
	tree_free(t.tree);
	return 0;
}
