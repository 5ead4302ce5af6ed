// SPDX-License-Identifier: Apache-2.0

#include "agent/interfaces.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
	int index;
	char name[NETLINK_NAME], oper[20];
	int64_t changed_ns;
	bool up, loopback, seen;
};

struct interfaces {
	struct tree *tree;
	struct item *items; // by index
	size_t n, cap;
};

struct interfaces *interfaces_new(struct tree *tree)
{
	struct interfaces *f = calloc(1, sizeof *f);
	if (f)
		f->tree = tree;
	return f;
}

void interfaces_free(struct interfaces *f)
{
	if (f)
		free(f->items);
	free(f);
}

static size_t position(const struct interfaces *f, int index)
{
	size_t low = 0, high = f->n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (f->items[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct item *find(const struct interfaces *f, int index)
{
	size_t at = position(f, index);
	return at < f->n && f->items[at].index == index ? &f->items[at] : NULL;
}

static struct item *add(struct interfaces *f, int index)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 32;
		struct item *more = realloc(f->items, cap * sizeof *more);
		if (!more)
			return NULL;
		f->items = more;
		f->cap = cap;
	}
	size_t at = position(f, index);
	memmove(f->items + at + 1, f->items + at, (f->n - at) * sizeof *f->items);
	f->n++;
	f->items[at] = (struct item){.index = index};
	return &f->items[at];
}

const char *interfaces_name(const struct interfaces *f, int index)
{
	const struct item *i = find(f, index);
	return i ? i->name : NULL;
}

static void entry_path(struct leaf_path *p, const char *name, const char *rest)
{
	char key[PATH_KEY_TEXT];
	leaf_at(p, "/interfaces/interface[name=%s]%s", path_key(key, name), rest);
}

// IANA's ifType, of the kernel's kinds.
static const char *type_name(const struct netlink_link *l)
{
	static const struct {
		const char *kind, *type;
	} kinds[] = {
		{"bridge", "bridge"},	   {"vlan", "l2vlan"},
		{"bond", "ieee8023adLag"}, {"team", "ieee8023adLag"},
		{"gre", "tunnel"},	   {"gretap", "tunnel"},
		{"ip6gre", "tunnel"},	   {"ipip", "tunnel"},
		{"sit", "tunnel"},	   {"ip6tnl", "tunnel"},
		{"vxlan", "tunnel"},	   {"wireguard", "tunnel"},
		{"tun", "tunnel"},	   {"dummy", "softwareLoopback"},
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].kind, l->kind) == 0)
			return kinds[i].type;
	return l->hardware == ARPHRD_LOOPBACK ? "softwareLoopback"
	       : l->hardware == ARPHRD_ETHER  ? "ethernetCsmacd"
	       : l->hardware == ARPHRD_PPP    ? "ppp"
					      : "other";
}

// RFC 2863 states; a driver that does not keep them (loopback) says UNKNOWN, and then IFF_RUNNING
// decides.
static const char *oper_status(const struct netlink_link *l)
{
	switch (l->oper) {
	case IF_OPER_UP:
		return "UP";
	case IF_OPER_LOWERLAYERDOWN:
		return "LOWER_LAYER_DOWN";
	case IF_OPER_UNKNOWN:
		return l->flags & IFF_RUNNING && l->flags & IFF_UP ? "UP" : "DOWN";
	default:
		return "DOWN";
	}
}

static void mac_text(const uint8_t b[6], char out[18])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

static void link_leaves(struct interfaces *f, const struct item *i, const struct netlink_link *l,
			uint64_t speed_bps, int64_t now_ns)
{
	struct leaf_path p;
	struct leaf_writer w = {f->tree, &p, now_ns, 0};
	entry_path(&p, i->name, "/state");
	leaf_text(&w, "name", i->name);
	leaf_text(&w, "type", type_name(l));
	leaf_uint(&w, "mtu", l->mtu);
	leaf_uint(&w, "ifindex", (uint64_t)l->index);
	leaf_text(&w, "admin-status", l->flags & IFF_UP ? "UP" : "DOWN");
	leaf_text(&w, "oper-status", i->oper);
	leaf_uint(&w, "last-change", (uint64_t)i->changed_ns);
	entry_path(&p, i->name, "/ethernet/state");
	if (l->lladdr_len == 6 && l->hardware == ARPHRD_ETHER) {
		char mac[18];
		mac_text(l->lladdr, mac);
		leaf_text(&w, "mac-address", mac);
	}
	if (speed_bps)
		leaf_uint(&w, "port-speed", speed_bps);
}

unsigned interfaces_link(struct interfaces *f, const struct netlink_link *l, uint64_t speed_bps,
			 int64_t now_ns)
{
	unsigned news = 0;
	struct item *i = find(f, l->index);
	if (!i) {
		i = add(f, l->index);
		if (!i)
			return 0;
		news = INTERFACES_NEW;
	} else if (strcmp(i->name, l->name) != 0) {
		struct leaf_path p;
		entry_path(&p, i->name, "");
		tree_delete(f->tree, p.text);
		news = INTERFACES_RENAME;
	}
	const char *oper = oper_status(l);
	bool up = l->flags & IFF_UP && strcmp(oper, "UP") == 0;
	if (i->up && !up)
		news |= INTERFACES_DOWN;
	if (strcmp(i->oper, oper) != 0)
		i->changed_ns = now_ns;
	snprintf(i->oper, sizeof i->oper, "%s", oper);
	snprintf(i->name, sizeof i->name, "%s", l->name);
	i->up = up;
	i->loopback = l->hardware == ARPHRD_LOOPBACK;
	i->seen = true;
	link_leaves(f, i, l, speed_bps, now_ns);
	if (l->has_counters)
		interfaces_counters(f, l->index, &l->counters, now_ns);
	return news;
}

unsigned interfaces_link_gone(struct interfaces *f, int index)
{
	struct item *i = find(f, index);
	if (!i)
		return 0;
	struct leaf_path p;
	entry_path(&p, i->name, "");
	tree_delete(f->tree, p.text);
	size_t at = (size_t)(i - f->items);
	memmove(i, i + 1, (--f->n - at) * sizeof *i);
	return INTERFACES_DOWN;
}

void interfaces_pass_begin(struct interfaces *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->items[i].seen = false;
}

void interfaces_pass_end(struct interfaces *f)
{
	for (size_t i = f->n; i-- > 0;)
		if (!f->items[i].seen)
			interfaces_link_gone(f, f->items[i].index);
}

void interfaces_counters(struct interfaces *f, int index, const struct netlink_counters *c,
			 int64_t now_ns)
{
	static const char *const names[2][4] = {
		{"in-octets", "in-pkts", "in-errors", "in-discards"},
		{"out-octets", "out-pkts", "out-errors", "out-discards"},
	};
	const char *name = interfaces_name(f, index);
	struct leaf_path p;
	struct leaf_writer w = {f->tree, &p, now_ns, TREE_VOLATILE};
	if (!name)
		return;
	entry_path(&p, name, "/state/counters");
	for (int i = 0; i < 4; i++) {
		leaf_uint(&w, names[0][i], c->in[i]);
		leaf_uint(&w, names[1][i], c->out[i]);
	}
}

static bool list_path(struct leaf_path *p, const char *name, uint8_t family, const char *list,
		      const char *entry, const uint8_t address[16], char ip[INET6_ADDRSTRLEN])
{
	char key[PATH_KEY_TEXT];
	if (!name || !inet_ntop(family, address, ip, INET6_ADDRSTRLEN))
		return false;
	leaf_at(p,
		"/interfaces/interface[name=%s]/subinterfaces/subinterface[index=0]/%s/%s/"
		"%s[ip=%s]",
		path_key(key, name), family == AF_INET ? "ipv4" : "ipv6", list, entry, ip);
	return !p->failed;
}

void interfaces_address(struct interfaces *f, const struct netlink_address *a, bool gone,
			int64_t now_ns)
{
	struct leaf_path p, state;
	char ip[INET6_ADDRSTRLEN];
	struct leaf_writer w = {f->tree, &state, now_ns, 0};
	if (!list_path(&p, interfaces_name(f, a->index), a->family, "addresses", "address",
		       a->address, ip))
		return;
	if (gone) {
		tree_delete(f->tree, p.text);
		return;
	}
	leaf_at(&state, "%s/state", p.text);
	leaf_text(&w, "ip", ip);
	leaf_uint(&w, "prefix-length", a->length);
}

static const char *neighbour_state(uint16_t state)
{
	static const struct {
		uint16_t bit;
		const char *name;
	} names[] = {
		{NUD_PERMANENT, "PERMANENT"},	{NUD_NOARP, "NOARP"},
		{NUD_REACHABLE, "REACHABLE"},	{NUD_STALE, "STALE"},
		{NUD_DELAY, "DELAY"},		{NUD_PROBE, "PROBE"},
		{NUD_INCOMPLETE, "INCOMPLETE"}, {NUD_FAILED, "FAILED"},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (state & names[i].bit)
			return names[i].name;
	return "NONE";
}

// The kernel's own entries for group and broadcast addresses are no neighbours.
static bool is_group(const struct netlink_neighbour *n)
{
	if (n->family == AF_INET6)
		return n->address[0] == 0xff;
	return n->address[0] >= 224;
}

void interfaces_neighbour(struct interfaces *f, const struct netlink_neighbour *n, bool gone,
			  int64_t now_ns)
{
	struct leaf_path p, state;
	char ip[INET6_ADDRSTRLEN], mac[18];
	struct leaf_writer w = {f->tree, &state, now_ns, 0};
	const struct item *i = find(f, n->index);
	if (!i || i->loopback || is_group(n) || n->flags & NTF_PROXY ||
	    !list_path(&p, i->name, n->family, "neighbors", "neighbor", n->address, ip))
		return;
	if (gone || n->state == NUD_NONE || n->state == NUD_NOARP) {
		tree_delete(f->tree, p.text);
		return;
	}
	leaf_at(&state, "%s/state", p.text);
	leaf_text(&w, "ip", ip);
	leaf_text(&w, "origin", n->state & NUD_PERMANENT ? "STATIC" : "DYNAMIC");
	leaf_text(&w, "neighbor-state", neighbour_state(n->state));
	if (n->lladdr_len == 6 && !(n->state & (NUD_INCOMPLETE | NUD_FAILED))) {
		mac_text(n->lladdr, mac);
		leaf_text(&w, "link-layer-address", mac);
	} else {
		leaf_drop(&w, "link-layer-address");
	}
}
