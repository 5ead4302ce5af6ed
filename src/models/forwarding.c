// SPDX-License-Identifier: Apache-2.0
// Each device's table is its prefixes in order, each with the place of the nearest one that
// contains it. Prefixes nest or are apart, so the last one that starts at or before an address
// either contains it or one of its parents is the longest match: a binary search and a short climb.
// Owners of addresses are one sorted array over all devices. Tables and chains are compiled again
// for a device when its generation moved, owners when any address did.

#include "models/forwarding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const forwarding_not_modelled[] = {
	"NAT and packet rewriting",
	"policy routing and VRFs (a device that uses them is inconclusive)",
	"multicast and broadcast",
	"reverse path filters, TTL, MTU and fragmentation",
	"whether a device forwards at all (ip_forward)",
	"layer 2 between two routed interfaces, beyond LLDP and neighbour tables",
	NULL,
};

struct owner {
	struct address address;
	struct link_end at;
};

struct table {
	struct route *routes;
	uint32_t n;
	struct acl *acl;
	uint32_t routes_seen, rules_seen; // generations
	bool made;
};

struct forwarding {
	const struct state *state;
	struct topology *topology;
	struct table *tables;
	uint32_t n_tables;
	struct owner *owners;
	size_t n_owners;
	uint64_t addresses_seen;
	bool made;
};

struct forwarding *forwarding_new(const struct state *s, struct topology *t)
{
	struct forwarding *f = calloc(1, sizeof *f);
	if (f) {
		f->state = s;
		f->topology = t;
	}
	return f;
}

void forwarding_free(struct forwarding *f)
{
	if (!f)
		return;
	for (uint32_t d = 0; d < f->n_tables; d++) {
		free(f->tables[d].routes);
		acl_free(f->tables[d].acl);
	}
	free(f->tables);
	free(f->owners);
	free(f);
}

const struct state *forwarding_state(const struct forwarding *f)
{
	return f->state;
}

const struct topology *forwarding_topology(const struct forwarding *f)
{
	return f->topology;
}

static const struct catalogue_device *names_of(const struct forwarding *f, uint32_t device)
{
	return catalogue_device(state_catalogue(f->state), device);
}

// --- compiling

static int route_order(const void *a, const void *b)
{
	const struct route *x = a, *y = b;
	return prefix_compare(&x->prefix, &y->prefix);
}

static struct err routes_compile(struct forwarding *f, uint32_t device, struct table *t)
{
	uint32_t n = state_count(f->state, device, OBJECT_ENTRY);
	free(t->routes);
	t->n = 0;
	t->routes = calloc((size_t)n + 1, sizeof *t->routes);
	ENSURE(t->routes, ERR_LIMIT, "out of memory for the routes of a device");
	for (uint32_t i = 0; i < n; i++)
		if (state_value(f->state, device, OBJECT_ENTRY, i))
			t->routes[t->n++] = (struct route){
				catalogue_identity(names_of(f, device), OBJECT_ENTRY, i)->prefix, i,
				-1};
	qsort(t->routes, t->n, sizeof *t->routes, route_order);
	for (uint32_t i = 1; i < t->n; i++) {
		int32_t parent = (int32_t)i - 1;
		while (parent >= 0 &&
		       !prefix_contains(&t->routes[parent].prefix, &t->routes[i].prefix.address))
			parent = t->routes[parent].parent;
		t->routes[i].parent = parent;
	}
	return OK;
}

static struct err table_refresh(struct forwarding *f, uint32_t device)
{
	struct table *t = &f->tables[device];
	const uint32_t *g = state_device(f->state, device)->generation;
	if (!t->made || t->routes_seen != g[2])
		TRY(routes_compile(f, device, t));
	if (!t->made || t->rules_seen != g[3]) {
		acl_free(t->acl);
		t->acl = acl_new(f->state, device);
		ENSURE(t->acl, ERR_LIMIT, "out of memory for the access lists of a device");
	}
	t->routes_seen = g[2];
	t->rules_seen = g[3];
	t->made = true;
	return OK;
}

static int owner_order(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;
	int order = address_compare(&x->address, &y->address);
	if (!order && x->at.device != y->at.device)
		order = x->at.device < y->at.device ? -1 : 1;
	return order;
}

static struct err owners_compile(struct forwarding *f)
{
	size_t n = 0;
	for (uint32_t d = 0; d < f->n_tables; d++)
		n += state_count(f->state, d, OBJECT_ADDRESS);
	free(f->owners);
	f->n_owners = 0;
	f->owners = calloc(n + 1, sizeof *f->owners);
	ENSURE(f->owners, ERR_LIMIT, "out of memory for %zu addresses", n);
	for (uint32_t d = 0; d < f->n_tables; d++)
		for (uint32_t i = 0; i < state_count(f->state, d, OBJECT_ADDRESS); i++) {
			if (!state_value(f->state, d, OBJECT_ADDRESS, i))
				continue;
			const struct identity *id =
				catalogue_identity(names_of(f, d), OBJECT_ADDRESS, i);
			f->owners[f->n_owners++] =
				(struct owner){id->prefix.address, {d, id->parent}};
		}
	qsort(f->owners, f->n_owners, sizeof *f->owners, owner_order);
	return OK;
}

struct err forwarding_refresh(struct forwarding *f)
{
	TRY(topology_refresh(f->topology));
	uint32_t devices = catalogue_devices(state_catalogue(f->state));
	if (devices > f->n_tables) {
		struct table *tables = realloc(f->tables, devices * sizeof *tables);
		ENSURE(tables, ERR_LIMIT, "out of memory for %u devices", devices);
		memset(tables + f->n_tables, 0, (devices - f->n_tables) * sizeof *tables);
		f->tables = tables;
		f->n_tables = devices;
	}
	for (uint32_t d = 0; d < devices; d++)
		TRY(table_refresh(f, d));
	uint64_t addresses = state_generation(f->state, TOUCHES_ADDRESSES);
	if (!f->made || addresses != f->addresses_seen)
		TRY(owners_compile(f));
	f->addresses_seen = addresses;
	f->made = true;
	return OK;
}

// --- looking up

bool forwarding_route(const struct forwarding *f, uint32_t device, const struct address *to,
		      uint32_t *entry)
{
	if (device >= f->n_tables)
		return false;
	const struct table *t = &f->tables[device];
	uint32_t low = 0, high = t->n; // the first that starts after `to`
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (address_compare(&t->routes[middle].prefix.address, to) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (int32_t i = (int32_t)low - 1; i >= 0; i = t->routes[i].parent)
		if (prefix_contains(&t->routes[i].prefix, to)) {
			*entry = t->routes[i].entry;
			return true;
		}
	return false;
}

size_t forwarding_routes(const struct forwarding *f, uint32_t device, const struct route **routes)
{
	*routes = device < f->n_tables ? f->tables[device].routes : NULL;
	return device < f->n_tables ? f->tables[device].n : 0;
}

const struct acl *forwarding_acl(const struct forwarding *f, uint32_t device)
{
	return f->tables[device].acl;
}

static size_t owner_first(const struct forwarding *f, const struct address *a)
{
	size_t low = 0, high = f->n_owners;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (address_compare(&f->owners[middle].address, a) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct interface_value *interface_of(const struct forwarding *f, struct link_end e)
{
	return state_value(f->state, e.device, OBJECT_INTERFACE, e.interface);
}

// Linux takes an interface's local routes away when it is set down, not when its carrier is lost.
static bool owner_live(const struct forwarding *f, const struct owner *o)
{
	const struct interface_value *v = interface_of(f, o->at);
	return !v || v->admin != STATUS_DOWN;
}

size_t forwarding_owners(const struct forwarding *f, const struct address *a, struct link_end *out,
			 size_t most)
{
	size_t n = 0;
	for (size_t i = owner_first(f, a); i < f->n_owners && n < most; i++) {
		if (address_compare(&f->owners[i].address, a) != 0)
			break;
		if (owner_live(f, &f->owners[i]))
			out[n++] = f->owners[i].at;
	}
	return n;
}

bool forwarding_owns(const struct forwarding *f, uint32_t device, const struct address *a,
		     uint32_t *interface)
{
	for (size_t i = owner_first(f, a); i < f->n_owners; i++) {
		if (address_compare(&f->owners[i].address, a) != 0)
			return false;
		if (f->owners[i].at.device == device && owner_live(f, &f->owners[i])) {
			*interface = f->owners[i].at.interface;
			return true;
		}
	}
	return false;
}

// --- next hops

static size_t fail(char why[WHY_MAX], const char *what, uint64_t number)
{
	snprintf(why, WHY_MAX, "%s %llu has not been reported", what, (unsigned long long)number);
	return 0;
}

size_t forwarding_next_hops(const struct forwarding *f, uint32_t device, uint32_t entry,
			    uint32_t out[NEXT_HOPS_MAX], char why[WHY_MAX])
{
	const struct entry_value *e = state_value(f->state, device, OBJECT_ENTRY, entry);
	const struct catalogue *c = state_catalogue(f->state);
	why[0] = 0;
	if (!e || !have(&e->h, HAVE_GROUP) || (e->h.bad >> HAVE_GROUP & 1)) {
		snprintf(why, WHY_MAX, "the route's next-hop group has not been reported");
		return 0;
	}
	struct object_key key = {.kind = OBJECT_GROUP, .number = e->group};
	uint32_t group;
	if (!catalogue_find(c, device, &key, &group))
		return fail(why, "next-hop group", e->group);
	size_t n = 0;
	struct object_ref ref = catalogue_identity(names_of(f, device), OBJECT_GROUP, group)->child;
	for (; ref.kind;
	     ref = catalogue_identity(names_of(f, device), OBJECT_MEMBER, ref.index)->next) {
		const struct member_value *m =
			state_value(f->state, device, OBJECT_MEMBER, ref.index);
		if (!m)
			continue;
		uint64_t number =
			catalogue_identity(names_of(f, device), OBJECT_MEMBER, ref.index)->number;
		key = (struct object_key){.kind = OBJECT_NEXT_HOP, .number = number};
		if (n == NEXT_HOPS_MAX || m->h.bad || !catalogue_find(c, device, &key, &out[n]) ||
		    !state_value(f->state, device, OBJECT_NEXT_HOP, out[n]))
			return fail(why, "next hop", number);
		n++;
	}
	return n ? n : fail(why, "next-hop group", e->group);
}

static bool neighbour_of(const struct forwarding *f, struct link_end at, const struct address *a,
			 const struct neighbour_value **out)
{
	struct object_key key = {
		.kind = OBJECT_NEIGHBOUR, .parent = at.interface, .prefix = prefix_around(a, 128)};
	uint32_t index;
	if (!catalogue_find(state_catalogue(f->state), at.device, &key, &index))
		return false;
	*out = state_value(f->state, at.device, OBJECT_NEIGHBOUR, index);
	return *out != NULL;
}

static bool neighbour_failed(const struct neighbour_value *n)
{
	return n->state == NEIGHBOUR_FAILED || n->state == NEIGHBOUR_INCOMPLETE;
}

static bool neighbour_resolved(const struct neighbour_value *n)
{
	return !neighbour_failed(n) && (have(&n->h, HAVE_LLADDR) || n->state == NEIGHBOUR_NOARP);
}

static const char *interface_name(const struct forwarding *f, struct link_end e)
{
	return catalogue_identity(names_of(f, e.device), OBJECT_INTERFACE, e.interface)->text;
}

static void hop_fail(struct hop *h, enum hop_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void hop_fail(struct hop *h, enum hop_kind kind, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	h->kind = kind;
	vsnprintf(h->why, WHY_MAX, format, args);
	va_end(args);
}

// Of several owners (link-local addresses, anycast, or a lie) the one on our link, or with the MAC
// address that our neighbour table has. SIZE_MAX: none stands out.
static size_t owner_choose(const struct forwarding *f, struct link_end egress,
			   const struct link_end *owners, size_t n,
			   const struct neighbour_value *nb)
{
	struct link_end peer;
	bool has_peer = topology_peer(f->topology, egress, &peer);
	size_t chosen = SIZE_MAX, matches = 0;
	for (size_t i = 0; i < n; i++) {
		const struct interface_value *v = interface_of(f, owners[i]);
		bool on_link = has_peer && peer.device == owners[i].device &&
			       peer.interface == owners[i].interface;
		bool same_mac = nb && v && have(&nb->h, HAVE_LLADDR) && have(&v->h, HAVE_MAC) &&
				memcmp(nb->mac, v->mac, 6) == 0;
		if (on_link)
			return i;
		if (same_mac) {
			chosen = i;
			matches++;
		}
	}
	return matches == 1 ? chosen : SIZE_MAX;
}

static void hop_to_owner(const struct forwarding *f, struct link_end egress, struct link_end owner,
			 const struct neighbour_value *nb, struct hop *h)
{
	const struct interface_value *v = interface_of(f, owner);
	const char *device = names_of(f, owner.device)->id;
	h->peer = owner;
	if (interface_is_down(v))
		hop_fail(h, HOP_BLACK_HOLE, "the other end, %s %s, is down", device,
			 interface_name(f, owner));
	else if (nb && neighbour_failed(nb))
		hop_fail(h, HOP_BLACK_HOLE, "%s does not answer on %s: the neighbour entry is %s",
			 device, interface_name(f, egress), neighbour_choices[nb->state]);
	else if (nb && v && have(&nb->h, HAVE_LLADDR) && have(&v->h, HAVE_MAC) &&
		 memcmp(nb->mac, v->mac, 6) != 0)
		hop_fail(h, HOP_UNKNOWN, "the neighbour's MAC address is not that of %s %s", device,
			 interface_name(f, owner));
	else
		h->kind = HOP_PEER;
}

// Nobody in the twin owns the address that the packet is handed to.
static void hop_to_stranger(const struct forwarding *f, struct link_end egress,
			    const struct address *target, const struct neighbour_value *nb,
			    struct hop *h)
{
	char text[ADDRESS_TEXT_MAX];
	address_print(target, text);
	if (nb && neighbour_failed(nb))
		hop_fail(h, HOP_BLACK_HOLE, "%s does not answer on %s: the neighbour entry is %s",
			 text, interface_name(f, egress), neighbour_choices[nb->state]);
	else if (!nb || !neighbour_resolved(nb))
		hop_fail(h, HOP_UNKNOWN, "%s has not been seen on %s", text,
			 interface_name(f, egress));
	else if (h->via.family)
		hop_fail(h, HOP_LEFT, "%s is not a device of the twin", text);
	else
		h->kind = HOP_LINK;
}

static void hop_hand_over(const struct forwarding *f, struct link_end egress,
			  const struct address *target, struct hop *h)
{
	struct link_end owners[64];
	const struct neighbour_value *nb = NULL;
	neighbour_of(f, egress, target, &nb);
	size_t n = forwarding_owners(f, target, owners, 64), kept = 0;
	for (size_t i = 0; i < n; i++)
		if (owners[i].device != egress.device)
			owners[kept++] = owners[i];
	size_t chosen = kept ? owner_choose(f, egress, owners, kept, nb) : SIZE_MAX;
	char text[ADDRESS_TEXT_MAX];
	if (kept == 1 && chosen == SIZE_MAX && !address_is_link_local(target))
		chosen = 0;
	if (chosen != SIZE_MAX)
		hop_to_owner(f, egress, owners[chosen], nb, h);
	else if (kept == 0 || (address_is_link_local(target) && nb))
		hop_to_stranger(f, egress, target, nb, h);
	else
		hop_fail(h, HOP_UNKNOWN,
			 "which of %zu devices with address %s is on %s is not known", kept,
			 address_print(target, text), interface_name(f, egress));
}

// The egress interface as the next hop names it; without one, the interface whose subnet holds
// `via`.
static bool egress_of(const struct forwarding *f, uint32_t device, const struct next_hop_value *n,
		      uint32_t *interface)
{
	struct object_key key = {.kind = OBJECT_INTERFACE};
	if (n->interface) {
		key.text = n->interface;
		return catalogue_find(state_catalogue(f->state), device, &key, interface) &&
		       state_value(f->state, device, OBJECT_INTERFACE, *interface);
	}
	for (uint32_t i = 0; n->via.family && i < state_count(f->state, device, OBJECT_ADDRESS);
	     i++) {
		const struct address_value *a = state_value(f->state, device, OBJECT_ADDRESS, i);
		const struct identity *id =
			catalogue_identity(names_of(f, device), OBJECT_ADDRESS, i);
		struct prefix p = prefix_around(&id->prefix.address, a ? a->length : 128);
		if (a && have(&a->h, HAVE_LENGTH) && prefix_contains(&p, &n->via)) {
			*interface = id->parent;
			return true;
		}
	}
	return false;
}

void forwarding_hop(const struct forwarding *f, uint32_t device, uint32_t next_hop,
		    const struct address *to, struct hop *h)
{
	*h = (struct hop){.next_hop = next_hop};
	const struct next_hop_value *n = state_value(f->state, device, OBJECT_NEXT_HOP, next_hop);
	if (!n || n->h.bad) {
		hop_fail(h, HOP_UNKNOWN, "the next hop was not reported, or not understood");
		return;
	}
	h->via = n->via;
	h->has_interface = egress_of(f, device, n, &h->interface);
	struct link_end egress = {device, h->interface};
	if (n->action == NH_DISCARD || n->action == NH_REJECT)
		hop_fail(h, HOP_DISCARD, "the route %s",
			 n->action == NH_DISCARD ? "discards" : "rejects");
	else if (n->action == NH_LOCAL)
		h->kind = HOP_LOCAL;
	else if (!h->has_interface)
		hop_fail(h, HOP_UNKNOWN, "the egress interface%s%s is not known",
			 n->interface ? " " : "", n->interface ? n->interface : "");
	else if (interface_is_down(interface_of(f, egress)))
		hop_fail(h, HOP_BLACK_HOLE, "%s is down", interface_name(f, egress));
	else if (n->via.family)
		hop_hand_over(f, egress, &n->via, h);
	else if (to)
		hop_hand_over(f, egress, to, h);
	else
		h->kind = HOP_LINK;
}

char *forwarding_unmodelled(const struct forwarding *f, uint32_t device, char out[WHY_MAX])
{
	const struct device_value *v = state_device_value(f->state, device);
	uint8_t seen = state_device(f->state, device)->unmodelled;
	bool listed = (v->not_modelled && v->not_modelled[0]) || (v->h.bad >> 5 & 1);
	out[0] = 0;
	if (listed || seen)
		snprintf(out, WHY_MAX, "%.120s%s%s%s",
			 listed && v->not_modelled ? v->not_modelled
			 : listed		   ? "features that were not understood"
						   : "",
			 seen & UNMODELLED_INSTANCE ? " other network instances" : "",
			 seen & UNMODELLED_SUBINTERFACE ? " subinterfaces" : "",
			 seen & UNMODELLED_LIMIT ? " more objects than the twin can hold"
			 : seen & UNMODELLED_KEY ? " keys that were not understood"
						 : "");
	return out;
}
