// SPDX-License-Identifier: Apache-2.0
// Routes stand in one sorted array, all routes of a prefix side by side, best first; the first of
// each run is the entry. Events move one route and mark its prefix; a dump marks all. afts_write
// then writes the marked entries and, after them, drops the groups and next hops that nobody uses:
// those are counted.

#include "agent/afts.h"

#include "lib/crypto/hash.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NI "/network-instances/network-instance[name=default]/afts"

enum { ROUTES_MAX = 1 << 19, ENTRY_HOPS_MAX = NETLINK_HOPS_MAX, HOP_TEXT = 96 };

struct route {
	uint8_t family, length, tos, protocol, type;
	uint8_t destination[16];
	uint32_t table, metric, nexthop_id;
	uint32_t n_hops;
	struct netlink_hop *hops; // owned
	bool odd;		  // something in it cannot be modelled
};

struct hop { // as written: content decides the number
	uint64_t id;
	uint32_t weight;
	const char *action;
	char via[INET6_ADDRSTRLEN], name[NETLINK_NAME];
};

struct used { // a group or a next hop in the tree, and how many point at it
	uint64_t id;
	uint32_t users;
	bool group;
	uint32_t n_members; // of a group
	uint64_t *members;
};

struct entry { // what the tree shows for a prefix
	uint8_t family, length;
	uint8_t destination[16];
	uint64_t group;
};

struct afts {
	struct tree *tree;
	const struct interfaces *interfaces;
	struct route *routes;
	size_t n, cap;
	struct entry *entries;
	size_t n_entries, cap_entries;
	struct used *used; // by (group, id)
	size_t n_used, cap_used;
	struct netlink_nexthop *nexthops; // by id
	size_t n_nexthops, cap_nexthops;
	struct entry *touched; // prefixes to write again
	size_t n_touched, cap_touched;
	bool policy_rules, other_tables, all_touched;
};

struct afts *afts_new(struct tree *tree, const struct interfaces *interfaces)
{
	struct afts *a = calloc(1, sizeof *a);
	if (a) {
		a->tree = tree;
		a->interfaces = interfaces;
	}
	return a;
}

void afts_free(struct afts *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n; i++)
		free(a->routes[i].hops);
	for (size_t i = 0; i < a->n_used; i++)
		free(a->used[i].members);
	free(a->routes);
	free(a->entries);
	free(a->used);
	free(a->nexthops);
	free(a->touched);
	free(a);
}

// --- sorted arrays

typedef int order_fn(const void *item, const void *key);

static size_t lower(const void *items, size_t n, size_t size, const void *key, order_fn *order)
{
	size_t low = 0, high = n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (order((const char *)items + middle * size, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

// Room for one at `at`; NULL when memory is out.
static void *open_gap(void **items, size_t *n, size_t *cap, size_t size, size_t at)
{
	if (*n == *cap) {
		size_t wanted = *cap ? *cap * 2 : 64;
		void *more = realloc(*items, wanted * size);
		if (!more)
			return NULL;
		*items = more;
		*cap = wanted;
	}
	char *p = (char *)*items + at * size;
	memmove(p + size, p, (*n - at) * size);
	(*n)++;
	return p;
}

static void close_gap(void *items, size_t *n, size_t size, size_t at)
{
	char *p = (char *)items + at * size;
	memmove(p, p + size, (--*n - at) * size);
}

static int prefix_order(uint8_t f1, const uint8_t *d1, uint8_t l1, uint8_t f2, const uint8_t *d2,
			uint8_t l2)
{
	if (f1 != f2)
		return f1 < f2 ? -1 : 1;
	int order = memcmp(d1, d2, 16);
	return order ? order : (int)l1 - (int)l2;
}

static int entry_order(const void *item, const void *key)
{
	const struct entry *e = item, *k = key;
	return prefix_order(e->family, e->destination, e->length, k->family, k->destination,
			    k->length);
}

// The kernel's order of preference within a prefix: its rules ask local, main, default in turn.
static int table_rank(uint32_t table)
{
	return table == RT_TABLE_LOCAL ? 0 : table == RT_TABLE_MAIN ? 1 : 2;
}

static int route_order(const void *item, const void *key)
{
	const struct route *r = item, *k = key;
	int order = prefix_order(r->family, r->destination, r->length, k->family, k->destination,
				 k->length);
	if (!order)
		order = table_rank(r->table) - table_rank(k->table);
	if (!order)
		order = (r->metric > k->metric) - (r->metric < k->metric);
	return order ? order : (int)r->tos - (int)k->tos;
}

static int used_order(const void *item, const void *key)
{
	const struct used *u = item, *k = key;
	if (u->group != k->group)
		return u->group ? 1 : -1;
	return (u->id > k->id) - (u->id < k->id);
}

static int nexthop_order(const void *item, const void *key)
{
	const struct netlink_nexthop *n = item;
	uint32_t id = *(const uint32_t *)key;
	return (n->id > id) - (n->id < id);
}

// --- what the kernel has

static void touch(struct afts *a, const struct route *r)
{
	struct entry e = {.family = r->family, .length = r->length};
	memcpy(e.destination, r->destination, 16);
	size_t at = lower(a->touched, a->n_touched, sizeof e, &e, entry_order);
	if (a->all_touched || (at < a->n_touched && entry_order(&a->touched[at], &e) == 0))
		return;
	struct entry *t =
		open_gap((void **)&a->touched, &a->n_touched, &a->cap_touched, sizeof e, at);
	if (t)
		*t = e;
	else
		a->all_touched = true;
}

static struct route *route_find(struct afts *a, const struct route *key)
{
	size_t at = lower(a->routes, a->n, sizeof *key, key, route_order);
	return at < a->n && route_order(&a->routes[at], key) == 0 ? &a->routes[at] : NULL;
}

static bool same_hop(const struct netlink_hop *x, const struct netlink_hop *y)
{
	return x->index == y->index && x->via_family == y->via_family &&
	       memcmp(x->via, y->via, sizeof x->via) == 0;
}

static bool hops_set(struct route *r, const struct netlink_hop *hops, uint32_t n)
{
	struct netlink_hop *copy = calloc(n ? n : 1, sizeof *copy);
	if (!copy)
		return false;
	if (n)
		memcpy(copy, hops, n * sizeof *copy);
	free(r->hops);
	r->hops = copy;
	r->n_hops = n;
	return true;
}

static void route_remove(struct afts *a, struct route *r)
{
	touch(a, r);
	free(r->hops);
	close_gap(a->routes, &a->n, sizeof *r, (size_t)(r - a->routes));
}

static struct route route_head(const struct netlink_route *n)
{
	struct route r = {.family = n->family,
			  .length = n->length,
			  .tos = n->tos,
			  .protocol = n->protocol,
			  .type = n->type,
			  .table = n->table,
			  .metric = n->metric,
			  .nexthop_id = n->nexthop_id,
			  .odd = n->from_source || n->unreadable || n->tos};
	memcpy(r.destination, n->destination, 16);
	for (uint32_t i = 0; i < n->n_hops; i++)
		r.odd |= n->hops[i].encapsulated;
	return r;
}

// IPv6 tells each path of a prefix by itself (fe80::/64 on every link): they stand as one route
// with several hops.
static bool route_merge(struct afts *a, struct route *r, const struct netlink_route *n)
{
	for (uint32_t i = 0; i < n->n_hops; i++) {
		uint32_t k = 0;
		while (k < r->n_hops && !same_hop(&r->hops[k], &n->hops[i]))
			k++;
		if (k < r->n_hops) {
			r->hops[k] = n->hops[i];
			continue;
		}
		if (r->n_hops == ENTRY_HOPS_MAX)
			return false;
		struct netlink_hop *more = realloc(r->hops, (r->n_hops + 1) * sizeof *more);
		if (!more)
			return false;
		r->hops = more;
		r->hops[r->n_hops++] = n->hops[i];
	}
	touch(a, r);
	return true;
}

static bool route_add(struct afts *a, const struct netlink_route *n, bool replaces)
{
	struct route r = route_head(n), *old = route_find(a, &r);
	if (old && !replaces) {
		bool same = old->n_hops == n->n_hops && old->type == n->type &&
			    old->protocol == n->protocol && old->nexthop_id == n->nexthop_id;
		for (uint32_t i = 0; same && i < n->n_hops; i++)
			same = same_hop(&old->hops[i], &n->hops[i]);
		if (n->family == AF_INET6)
			return route_merge(a, old, n);
		return same; // IPv4 with `append`: the kernel's order decides, so read it again
	}
	if (!old) {
		if (a->n >= ROUTES_MAX)
			return true;
		size_t at = lower(a->routes, a->n, sizeof r, &r, route_order);
		old = open_gap((void **)&a->routes, &a->n, &a->cap, sizeof r, at);
		if (!old)
			return true;
		*old = r;
	}
	struct netlink_hop *keep = old->hops;
	*old = r;
	old->hops = keep;
	touch(a, old);
	return hops_set(old, n->hops, n->n_hops);
}

static bool route_del(struct afts *a, const struct netlink_route *n)
{
	struct route key = route_head(n), *r = route_find(a, &key);
	if (!r)
		return true;
	if (n->family == AF_INET6 && n->n_hops && n->n_hops < r->n_hops) {
		for (uint32_t i = 0; i < n->n_hops; i++)
			for (uint32_t k = 0; k < r->n_hops; k++)
				if (same_hop(&r->hops[k], &n->hops[i])) {
					r->hops[k] = r->hops[--r->n_hops];
					break;
				}
		touch(a, r);
		return true;
	}
	bool same = n->n_hops == 0 || n->n_hops == r->n_hops;
	for (uint32_t i = 0; same && i < n->n_hops; i++)
		same = same_hop(&r->hops[i], &n->hops[i]);
	route_remove(a, r);
	return same; // another one of the same key went, or stays: read again
}

bool afts_route(struct afts *a, const struct netlink_route *r, bool gone, bool replaces)
{
	if (r->cloned || r->type == RTN_MULTICAST || r->type == RTN_UNSPEC)
		return true;
	if (r->table != RT_TABLE_MAIN && r->table != RT_TABLE_LOCAL &&
	    r->table != RT_TABLE_DEFAULT) {
		a->other_tables |= !gone;
		return true;
	}
	return gone ? route_del(a, r) : route_add(a, r, replaces);
}

void afts_nexthop(struct afts *a, const struct netlink_nexthop *n, bool gone)
{
	size_t at = lower(a->nexthops, a->n_nexthops, sizeof *n, &n->id, nexthop_order);
	bool have = at < a->n_nexthops && a->nexthops[at].id == n->id;
	if (gone && have) {
		close_gap(a->nexthops, &a->n_nexthops, sizeof *n, at);
	} else if (!gone) {
		struct netlink_nexthop *to = have ? &a->nexthops[at] : NULL;
		if (!to && a->n_nexthops < ROUTES_MAX)
			to = open_gap((void **)&a->nexthops, &a->n_nexthops, &a->cap_nexthops,
				      sizeof *n, at);
		if (to)
			*to = *n;
	}
	for (size_t i = 0; i < a->n; i++)
		if (a->routes[i].nexthop_id)
			touch(a, &a->routes[i]);
}

void afts_rule(struct afts *a, const struct netlink_rule *r)
{
	// The three that every system has: 0 local, 32766 main, 32767 default.
	bool usual = r->plain && ((r->priority == 0 && r->table == RT_TABLE_LOCAL) ||
				  (r->priority == 32766 && r->table == RT_TABLE_MAIN) ||
				  (r->priority == 32767 && r->table == RT_TABLE_DEFAULT));
	a->policy_rules |= !usual;
}

void afts_rules_begin(struct afts *a)
{
	a->policy_rules = false;
}

void afts_begin(struct afts *a, uint8_t family)
{
	size_t kept = 0;
	for (size_t i = 0; i < a->n; i++)
		if (family && a->routes[i].family != family)
			a->routes[kept++] = a->routes[i];
		else
			free(a->routes[i].hops);
	a->n = kept;
	a->all_touched = true;
	if (!family) {
		a->n_nexthops = 0;
		a->other_tables = false;
	}
}

// --- hops as the model has them

static uint64_t number_of(const char *text, size_t n)
{
	uint8_t hash[HASH_SIZE];
	uint64_t id = 0;
	hash_sha256(text, n, hash);
	for (int i = 0; i < 6; i++)
		id = id << 8 | hash[i];
	return id;
}

static const char *action_of(uint8_t type)
{
	switch (type) {
	case RTN_UNICAST:
		return "FORWARD";
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_ANYCAST:
		return "LOCAL";
	case RTN_BLACKHOLE:
		return "DISCARD";
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		return "REJECT";
	default:
		return NULL; // throw, nat: said to be not modelled
	}
}

static void hop_number(struct hop *h)
{
	char text[HOP_TEXT];
	int n = snprintf(text, sizeof text, "%s|%s|%s", h->action, h->via, h->name);
	h->id = number_of(text, (size_t)n);
}

static bool hop_of(const struct afts *a, const struct netlink_hop *in, const char *action,
		   struct hop *out)
{
	const char *name = interfaces_name(a->interfaces, in->index);
	*out = (struct hop){.action = action, .weight = in->weight};
	if (in->flags & RTNH_F_DEAD)
		return false;
	if (in->via_family)
		inet_ntop(in->via_family, in->via, out->via, sizeof out->via);
	snprintf(out->name, sizeof out->name, "%s", name ? name : "");
	hop_number(out);
	return true;
}

static uint32_t hops_of_nexthop(const struct afts *a, uint32_t id, uint32_t weight, unsigned depth,
				struct hop out[ENTRY_HOPS_MAX], uint32_t n)
{
	size_t at = lower(a->nexthops, a->n_nexthops, sizeof *a->nexthops, &id, nexthop_order);
	if (at == a->n_nexthops || a->nexthops[at].id != id || depth > 1)
		return n;
	const struct netlink_nexthop *h = &a->nexthops[at];
	for (uint32_t i = 0; i < h->n_members; i++)
		n = hops_of_nexthop(a, h->members[i].id, h->members[i].weight, depth + 1, out, n);
	if (!h->n_members && n < ENTRY_HOPS_MAX &&
	    hop_of(a, &h->hop, h->blackhole ? "DISCARD" : "FORWARD", &out[n]))
		out[n++].weight = weight;
	return n;
}

static int hop_order(const void *x, const void *y)
{
	const struct hop *a = x, *b = y;
	return (a->id > b->id) - (a->id < b->id);
}

static uint32_t hops_of(const struct afts *a, const struct route *r, struct hop out[ENTRY_HOPS_MAX])
{
	const char *action = action_of(r->type);
	uint32_t n = 0;
	if (!action)
		return 0;
	if (strcmp(action, "FORWARD") != 0) { // how it would leave says nothing then
		out[0] = (struct hop){.action = action, .weight = 1};
		const char *name =
			r->n_hops ? interfaces_name(a->interfaces, r->hops[0].index) : NULL;
		if (strcmp(action, "LOCAL") == 0 && name)
			snprintf(out[0].name, sizeof out[0].name, "%s", name);
		hop_number(&out[0]);
		return 1;
	}
	for (uint32_t i = 0; i < r->n_hops && n < ENTRY_HOPS_MAX; i++)
		n += hop_of(a, &r->hops[i], action, &out[n]);
	if (!r->n_hops && r->nexthop_id)
		n = hops_of_nexthop(a, r->nexthop_id, 1, 0, out, 0);
	qsort(out, n, sizeof *out, hop_order);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < n; i++) { // one hop given twice carries the weight of both
		if (kept && out[kept - 1].id == out[i].id)
			out[kept - 1].weight += out[i].weight;
		else
			out[kept++] = out[i];
	}
	return kept;
}

// --- groups and next hops in the tree

static struct used *use(struct afts *a, uint64_t id, bool group, bool *is_new)
{
	struct used key = {.id = id, .group = group};
	size_t at = lower(a->used, a->n_used, sizeof key, &key, used_order);
	*is_new = at == a->n_used || used_order(&a->used[at], &key) != 0;
	if (*is_new) {
		struct used *u =
			open_gap((void **)&a->used, &a->n_used, &a->cap_used, sizeof key, at);
		if (!u)
			return NULL;
		*u = key;
	}
	a->used[at].users++;
	return &a->used[at];
}

static void hop_write(struct afts *a, const struct hop *h, int64_t now_ns)
{
	struct leaf_path p;
	struct leaf_writer w = {a->tree, &p, now_ns, 0};
	bool is_new;
	if (!use(a, h->id, false, &is_new) || !is_new)
		return;
	leaf_at(&p, NI "/next-hops/next-hop[index=%llu]/state", (unsigned long long)h->id);
	leaf_uint(&w, "index", h->id);
	leaf_text(&w, "action", h->action);
	if (h->via[0])
		leaf_text(&w, "ip-address", h->via);
	leaf_at(&p, NI "/next-hops/next-hop[index=%llu]/interface-ref/state",
		(unsigned long long)h->id);
	if (h->name[0])
		leaf_text(&w, "interface", h->name);
}

static uint64_t group_write(struct afts *a, const struct hop *hops, uint32_t n, int64_t now_ns)
{
	scoped(buf) struct buf text = {0};
	bool is_new;
	for (uint32_t i = 0; i < n; i++)
		buf_printf(&text, "%llu*%u|", (unsigned long long)hops[i].id, hops[i].weight);
	uint64_t id = number_of((const char *)text.data, text.len);
	struct used *u = use(a, id, true, &is_new);
	if (!u || !is_new)
		return id;
	u->members = calloc(n ? n : 1, sizeof *u->members);
	u->n_members = u->members ? n : 0;
	for (uint32_t i = 0; i < u->n_members; i++)
		u->members[i] = hops[i].id;
	for (uint32_t i = 0; i < n; i++) {
		struct leaf_path p;
		struct leaf_writer w = {a->tree, &p, now_ns, 0};
		hop_write(a, &hops[i], now_ns);
		leaf_at(&p,
			NI "/next-hop-groups/next-hop-group[id=%llu]/next-hops/"
			   "next-hop[index=%llu]/state",
			(unsigned long long)id, (unsigned long long)hops[i].id);
		leaf_uint(&w, "index", hops[i].id);
		leaf_uint(&w, "weight", hops[i].weight);
	}
	return id;
}

static void drop(struct afts *a, uint64_t id, bool group)
{
	struct used key = {.id = id, .group = group};
	size_t at = lower(a->used, a->n_used, sizeof key, &key, used_order);
	if (at < a->n_used && used_order(&a->used[at], &key) == 0 && a->used[at].users)
		a->used[at].users--;
}

// Groups first: they let go of their hops.
static void sweep(struct afts *a)
{
	for (int groups = 1; groups >= 0; groups--)
		for (size_t i = a->n_used; i-- > 0;) {
			struct used u = a->used[i];
			struct leaf_path p;
			if (u.group != (groups == 1) || u.users)
				continue;
			leaf_at(&p,
				u.group ? NI "/next-hop-groups/next-hop-group[id=%llu]"
					: NI "/next-hops/next-hop[index=%llu]",
				(unsigned long long)u.id);
			tree_delete(a->tree, p.text);
			close_gap(a->used, &a->n_used, sizeof u, i);
			for (uint32_t m = 0; m < u.n_members; m++)
				drop(a, u.members[m], false);
			free(u.members);
		}
}

// --- entries in the tree

enum { PREFIX_TEXT = INET6_ADDRSTRLEN + 4 };

static void entry_path(struct leaf_path *p, const struct entry *e, char prefix[PREFIX_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "";
	const char *v = e->family == AF_INET ? "ipv4" : "ipv6";
	inet_ntop(e->family, e->destination, ip, sizeof ip);
	snprintf(prefix, PREFIX_TEXT, "%s/%u", ip, e->length);
	leaf_at(p, NI "/%s-unicast/%s-entry[prefix=%s]", v, v, prefix);
}

static const char *origin_of(const struct route *r)
{
	if (r->type == RTN_LOCAL || r->type == RTN_BROADCAST || r->type == RTN_ANYCAST)
		return "LOCAL";
	switch (r->protocol) {
	case RTPROT_KERNEL:
		return "DIRECTLY_CONNECTED";
	case RTPROT_BOOT:
	case RTPROT_STATIC:
	case 196: // FRR's staticd, RTPROT_ZSTATIC
		return "STATIC";
	case RTPROT_OSPF:
		return "OSPF";
	case RTPROT_BGP:
		return "BGP";
	case RTPROT_ISIS:
		return "ISIS";
	case RTPROT_RIP:
	case 190: // RIPng
		return "RIP";
	case RTPROT_REDIRECT:
	case RTPROT_RA:
		return "KERNEL";
	default:
		return "OTHER";
	}
}

static void entry_write(struct afts *a, struct entry *e, const struct route *r, int64_t now_ns)
{
	static struct hop hops[ENTRY_HOPS_MAX];
	struct leaf_path at, p;
	struct leaf_writer w = {a->tree, &p, now_ns, 0};
	char prefix[PREFIX_TEXT];
	uint64_t old = e->group;
	entry_path(&at, e, prefix);
	e->group = group_write(a, hops, hops_of(a, r, hops), now_ns);
	if (old)
		drop(a, old, true);
	leaf_at(&p, "%s/state", at.text);
	leaf_text(&w, "prefix", prefix);
	leaf_uint(&w, "next-hop-group", e->group);
	leaf_text(&w, "origin-protocol", origin_of(r));
	leaf_uint(&w, "metric", r->metric);
}

static const struct route *best(const struct afts *a, const struct entry *e)
{
	struct route key = {.family = e->family, .length = e->length};
	memcpy(key.destination, e->destination, 16);
	key.table = RT_TABLE_LOCAL;
	size_t at = lower(a->routes, a->n, sizeof key, &key, route_order);
	if (at == a->n)
		return NULL;
	const struct route *r = &a->routes[at];
	return prefix_order(r->family, r->destination, r->length, e->family, e->destination,
			    e->length) == 0
		       ? r
		       : NULL;
}

static void entry_refresh(struct afts *a, const struct entry *key, int64_t now_ns)
{
	size_t at = lower(a->entries, a->n_entries, sizeof *key, key, entry_order);
	bool have = at < a->n_entries && entry_order(&a->entries[at], key) == 0;
	const struct route *r = best(a, key);
	if (r) {
		struct entry *e = have ? &a->entries[at]
				       : open_gap((void **)&a->entries, &a->n_entries,
						  &a->cap_entries, sizeof *e, at);
		if (!e)
			return;
		if (!have) {
			*e = *key;
			e->group = 0;
		}
		entry_write(a, e, r, now_ns);
	} else if (have) {
		struct leaf_path p;
		char prefix[PREFIX_TEXT];
		entry_path(&p, key, prefix);
		tree_delete(a->tree, p.text);
		drop(a, a->entries[at].group, true);
		close_gap(a->entries, &a->n_entries, sizeof *key, at);
	}
}

static void touch_all(struct afts *a)
{
	a->all_touched = false;
	for (size_t i = 0; i < a->n; i++)
		touch(a, &a->routes[i]);
	for (size_t i = 0; i < a->n_entries; i++) {
		struct route r = {.family = a->entries[i].family, .length = a->entries[i].length};
		memcpy(r.destination, a->entries[i].destination, 16);
		touch(a, &r);
	}
	a->all_touched = false;
}

static void not_modelled_write(struct afts *a, int64_t now_ns)
{
	bool odd = false, thrown = false;
	for (size_t i = 0; i < a->n; i++) {
		odd |= a->routes[i].odd;
		thrown |= action_of(a->routes[i].type) == NULL;
	}
	scoped(buf) struct buf b = {0};
	const struct {
		bool seen;
		const char *name;
	} all[] = {{a->policy_rules, "policy-rules"},
		   {a->other_tables, "multiple-tables"},
		   {odd, "route-attributes"},
		   {thrown, "throw-routes"}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i].seen)
			buf_printf(&b, "%s\"%s\"", b.len ? "," : "[", all[i].name);
	buf_str(&b, b.len ? "]" : "[]");
	struct leaf_path p;
	struct leaf_writer w = {a->tree, &p, now_ns, 0};
	leaf_at(&p, NI "/state");
	leaf_json(&w, "not-modelled", buf_text(&b));
}

void afts_write(struct afts *a, int64_t now_ns)
{
	if (a->all_touched)
		touch_all(a);
	for (size_t i = 0; i < a->n_touched; i++)
		entry_refresh(a, &a->touched[i], now_ns);
	a->n_touched = 0;
	sweep(a);
	not_modelled_write(a, now_ns);
}
