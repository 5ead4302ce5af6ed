// SPDX-License-Identifier: Apache-2.0
// Built in four steps, each over a sorted array: names of devices, LLDP claims with both sides
// resolved, subnets, and links from the first three. A rebuild is O(n log n) in what devices have
// reported; a status change alone looks at links only.

#include "models/topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGES_MAX = 4096 };

struct name {
	const char *text;
	uint32_t device;
	bool id;
};

struct claim { // `from` says that it sees `to`
	struct link_end from, to;
	int64_t changed_ns;
};

struct topology {
	const struct state *state;
	uint64_t structure, status; // generations that this is built from
	bool built;
	struct name *names;
	size_t n_names;
	struct claim *claims;
	size_t n_claims;
	struct topology_member *members;
	size_t n_members;
	struct topology_link *links;
	size_t n_links, cap_links;
	struct link_end *ends; // both ends of each confirmed link: end, then its peer; sorted
	size_t n_ends;
	struct topology_change *changes;
	size_t n_changes;
};

static const uint8_t STRUCTURE = TOUCHES_STRUCTURE | TOUCHES_ADDRESSES;

struct topology *topology_new(const struct state *s)
{
	struct topology *t = calloc(1, sizeof *t);
	if (t)
		t->state = s;
	return t;
}

static void clear(struct topology *t)
{
	free(t->names);
	free(t->claims);
	free(t->members);
	free(t->links);
	free(t->ends);
	t->names = NULL;
	t->claims = NULL;
	t->members = NULL;
	t->links = NULL;
	t->ends = NULL;
	t->n_names = t->n_claims = t->n_members = t->n_links = t->cap_links = t->n_ends = 0;
}

void topology_free(struct topology *t)
{
	if (!t)
		return;
	clear(t);
	free(t->changes);
	free(t);
}

static int end_compare(struct link_end a, struct link_end b)
{
	if (a.device != b.device)
		return a.device < b.device ? -1 : 1;
	return a.interface < b.interface ? -1 : a.interface > b.interface;
}

static const struct identity *identity(const struct topology *t, uint32_t device,
				       enum object_kind kind, uint32_t index)
{
	return catalogue_identity(catalogue_device(state_catalogue(t->state), device), kind, index);
}

static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return true;
	size_t more = *cap ? *cap * 2 : 64;
	void *bigger = realloc(*items, more * size);
	if (!bigger)
		return false;
	*items = bigger;
	*cap = more;
	return true;
}

// --- names

static int name_order(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int order = strcmp(x->text, y->text);
	return order ? order : (int)y->id - (int)x->id; // the id, which is authenticated, first
}

static struct err names_build(struct topology *t)
{
	uint32_t devices = catalogue_devices(state_catalogue(t->state));
	t->names = calloc((size_t)devices * 3 + 1, sizeof *t->names);
	ENSURE(t->names, ERR_LIMIT, "out of memory for the topology");
	for (uint32_t d = 0; d < devices; d++) {
		const struct device_value *v = state_device_value(t->state, d);
		if (!state_device(t->state, d)->seen)
			continue;
		const char *id = catalogue_device(state_catalogue(t->state), d)->id;
		t->names[t->n_names++] = (struct name){id, d, true};
		if (v->hostname && strcmp(v->hostname, id) != 0)
			t->names[t->n_names++] = (struct name){v->hostname, d, false};
		if (v->lldp_name && strcmp(v->lldp_name, id) != 0)
			t->names[t->n_names++] = (struct name){v->lldp_name, d, false};
	}
	qsort(t->names, t->n_names, sizeof *t->names, name_order);
	return OK;
}

static bool name_exact(const struct topology *t, const char *text, uint32_t *device)
{
	size_t low = 0, high = t->n_names;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (strcmp(t->names[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == t->n_names || strcmp(t->names[low].text, text) != 0)
		return false;
	*device = t->names[low].device;
	// Two devices under one host name: nobody is meant. A device id cannot be taken this way.
	for (size_t i = low + 1; !t->names[low].id && i < t->n_names; i++) {
		if (strcmp(t->names[i].text, text) != 0)
			break;
		if (t->names[i].device != *device)
			return false;
	}
	return true;
}

static bool name_find(const struct topology *t, const char *text, uint32_t *device)
{
	if (name_exact(t, text, device))
		return true;
	const char *dot = strchr(text, '.');
	char host[65];
	if (!dot || dot == text || (size_t)(dot - text) >= sizeof host)
		return false;
	snprintf(host, sizeof host, "%.*s", (int)(dot - text), text);
	return name_exact(t, host, device);
}

bool topology_device(const struct topology *t, const char *name, uint32_t *device)
{
	return name_find(t, name, device);
}

// --- claims

static bool mac_is(const char *text, const struct interface_value *v)
{
	char own[18];
	const uint8_t *m = v->mac;
	snprintf(own, sizeof own, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
		 m[5]);
	return have(&v->h, HAVE_MAC) && strcasecmp(own, text) == 0;
}

static bool interface_find(const struct topology *t, uint32_t device, const struct lldp_value *l,
			   uint32_t *out)
{
	struct object_key key = {.kind = OBJECT_INTERFACE, .text = l->port ? l->port : ""};
	const struct catalogue *c = state_catalogue(t->state);
	if (catalogue_find(c, device, &key, out) &&
	    state_value(t->state, device, OBJECT_INTERFACE, *out))
		return true;
	for (uint32_t i = 0; l->port && i < state_count(t->state, device, OBJECT_INTERFACE); i++) {
		const struct interface_value *v =
			state_value(t->state, device, OBJECT_INTERFACE, i);
		if (v && mac_is(l->port, v)) {
			*out = i;
			return true;
		}
	}
	key.text = l->port_description ? l->port_description : "";
	return catalogue_find(c, device, &key, out) &&
	       state_value(t->state, device, OBJECT_INTERFACE, *out);
}

// Whom the neighbour entry means. A chassis id that is another device's own makes it nobody.
static bool claim_resolve(const struct topology *t, const struct lldp_value *l, struct link_end *to)
{
	if (!l->name || !name_find(t, l->name, &to->device))
		return false;
	const char *own = state_device_value(t->state, to->device)->lldp_chassis;
	if (own && l->chassis && strcasecmp(own, l->chassis) != 0)
		return false;
	return interface_find(t, to->device, l, &to->interface);
}

static int claim_order(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int order = end_compare(x->from, y->from);
	return order ? order : end_compare(x->to, y->to);
}

static struct err claims_build(struct topology *t)
{
	size_t cap = 0;
	for (uint32_t d = 0; d < catalogue_devices(state_catalogue(t->state)); d++)
		for (uint32_t i = 0; i < state_count(t->state, d, OBJECT_LLDP); i++) {
			const struct lldp_value *l = state_value(t->state, d, OBJECT_LLDP, i);
			struct claim c = {.from = {d, identity(t, d, OBJECT_LLDP, i)->parent}};
			if (!l || !claim_resolve(t, l, &c.to) || end_compare(c.from, c.to) == 0)
				continue;
			c.changed_ns = l->h.changed_ns;
			ENSURE(grow((void **)&t->claims, t->n_claims, &cap, sizeof *t->claims),
			       ERR_LIMIT, "out of memory for the topology");
			t->claims[t->n_claims++] = c;
		}
	if (t->n_claims)
		qsort(t->claims, t->n_claims, sizeof *t->claims, claim_order);
	return OK;
}

// The first claim of this end, or n_claims.
static size_t claim_first(const struct topology *t, struct link_end from)
{
	size_t low = 0, high = t->n_claims;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (end_compare(t->claims[middle].from, from) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool claims_at(const struct topology *t, struct link_end from)
{
	size_t i = claim_first(t, from);
	return i < t->n_claims && end_compare(t->claims[i].from, from) == 0;
}

// --- subnets

static int member_order(const void *a, const void *b)
{
	const struct topology_member *x = a, *y = b;
	int order = prefix_compare(&x->prefix, &y->prefix);
	if (!order)
		order = address_compare(&x->address, &y->address);
	return order ? order : end_compare(x->at, y->at);
}

static struct err members_build(struct topology *t)
{
	size_t cap = 0;
	for (uint32_t d = 0; d < catalogue_devices(state_catalogue(t->state)); d++)
		for (uint32_t i = 0; i < state_count(t->state, d, OBJECT_ADDRESS); i++) {
			const struct address_value *v = state_value(t->state, d, OBJECT_ADDRESS, i);
			const struct identity *id = identity(t, d, OBJECT_ADDRESS, i);
			const struct address *a = &id->prefix.address;
			if (!v || !have(&v->h, HAVE_LENGTH) || v->h.bad ||
			    v->length >= address_bits(a) || address_is_loopback(a) ||
			    address_is_link_local(a))
				continue;
			ENSURE(grow((void **)&t->members, t->n_members, &cap, sizeof *t->members),
			       ERR_LIMIT, "out of memory for the topology");
			t->members[t->n_members++] = (struct topology_member){
				prefix_around(a, v->length), *a, {d, id->parent}};
		}
	if (t->n_members)
		qsort(t->members, t->n_members, sizeof *t->members, member_order);
	return OK;
}

// --- links

static int link_compare(const struct topology_link *x, const struct topology_link *y)
{
	int order = end_compare(x->end[0], y->end[0]);
	return order ? order : end_compare(x->end[1], y->end[1]);
}

static int link_order(const void *a, const void *b)
{
	return link_compare(a, b);
}

static struct err link_add(struct topology *t, struct link_end a, struct link_end b,
			   uint8_t evidence, int64_t changed_ns)
{
	bool swap = end_compare(a, b) > 0;
	struct topology_link l = {.end = {swap ? b : a, swap ? a : b},
				  .evidence = evidence,
				  .changed_ns = changed_ns};
	if (swap && evidence == EVIDENCE_LLDP_A)
		l.evidence = EVIDENCE_LLDP_B;
	ENSURE(grow((void **)&t->links, t->n_links, &t->cap_links, sizeof *t->links), ERR_LIMIT,
	       "out of memory for the topology");
	t->links[t->n_links++] = l;
	return OK;
}

static void links_merge(struct topology *t)
{
	if (t->n_links)
		qsort(t->links, t->n_links, sizeof *t->links, link_order);
	size_t kept = 0;
	for (size_t i = 0; i < t->n_links; i++) {
		struct topology_link *last = kept ? &t->links[kept - 1] : NULL;
		if (!last || link_compare(last, &t->links[i]) != 0) {
			t->links[kept++] = t->links[i];
			continue;
		}
		last->evidence |= t->links[i].evidence;
		if (t->links[i].changed_ns > last->changed_ns)
			last->changed_ns = t->links[i].changed_ns;
	}
	t->n_links = kept;
}

// Two interfaces alone in a subnet. Where LLDP speaks of either end to others, LLDP is believed.
static struct err links_of_subnets(struct topology *t)
{
	for (size_t i = 0, n; i < t->n_members; i += n) {
		n = 1;
		while (i + n < t->n_members &&
		       prefix_compare(&t->members[i].prefix, &t->members[i + n].prefix) == 0)
			n++;
		struct link_end a = t->members[i].at, b = t->members[i + n - 1].at;
		if (n == 2 && a.device != b.device)
			TRY(link_add(t, a, b, EVIDENCE_ADDRESSES, 0));
	}
	return OK;
}

static bool claims_other(const struct topology *t, struct link_end from, struct link_end to)
{
	bool other = false;
	for (size_t i = claim_first(t, from); i < t->n_claims; i++) {
		if (end_compare(t->claims[i].from, from) != 0)
			break;
		if (end_compare(t->claims[i].to, to) == 0)
			return false;
		other = true;
	}
	return other;
}

static bool both(const struct topology_link *l)
{
	return (l->evidence & (EVIDENCE_LLDP_A | EVIDENCE_LLDP_B)) ==
	       (EVIDENCE_LLDP_A | EVIDENCE_LLDP_B);
}

static struct err links_build(struct topology *t)
{
	for (size_t i = 0; i < t->n_claims; i++)
		TRY(link_add(t, t->claims[i].from, t->claims[i].to, EVIDENCE_LLDP_A,
			     t->claims[i].changed_ns));
	TRY(links_of_subnets(t));
	links_merge(t);
	size_t kept = 0;
	for (size_t i = 0; i < t->n_links; i++) {
		struct topology_link *l = &t->links[i];
		if (l->evidence == EVIDENCE_ADDRESSES &&
		    (claims_at(t, l->end[0]) || claims_at(t, l->end[1])))
			continue;
		l->contradicted = !both(l) && (claims_other(t, l->end[0], l->end[1]) ||
					       claims_other(t, l->end[1], l->end[0]));
		t->links[kept++] = *l;
	}
	t->n_links = kept;
	return OK;
}

static int ends_order(const void *a, const void *b)
{
	const struct link_end *x = a, *y = b;
	return end_compare(x[0], y[0]);
}

static struct err ends_build(struct topology *t)
{
	t->ends = calloc(t->n_links * 4 + 1, sizeof *t->ends);
	ENSURE(t->ends, ERR_LIMIT, "out of memory for the topology");
	for (size_t i = 0; i < t->n_links; i++) {
		const struct topology_link *l = &t->links[i];
		for (int side = 0; both(l) && side < 2; side++) {
			t->ends[t->n_ends * 2] = l->end[side];
			t->ends[t->n_ends * 2 + 1] = l->end[1 - side];
			t->n_ends++;
		}
	}
	qsort(t->ends, t->n_ends, 2 * sizeof *t->ends, ends_order);
	return OK;
}

// --- states

bool interface_is_down(const struct interface_value *v)
{
	return v && (v->oper == STATUS_DOWN || v->oper == STATUS_LOWER_LAYER_DOWN ||
		     v->admin == STATUS_DOWN);
}

static uint8_t link_state_of(const struct topology *t, const struct topology_link *l,
			     int64_t *changed_ns)
{
	bool up = true, down = false;
	for (int side = 0; side < 2; side++) {
		const struct interface_value *v = state_value(
			t->state, l->end[side].device, OBJECT_INTERFACE, l->end[side].interface);
		up &= v && v->oper == STATUS_UP && v->admin != STATUS_DOWN;
		down |= interface_is_down(v);
		if (v && v->h.changed_ns > *changed_ns)
			*changed_ns = v->h.changed_ns;
	}
	return down ? LINK_DOWN : up && both(l) ? LINK_UP : LINK_UNCONFIRMED;
}

static void change_note(struct topology *t, const struct topology_link *l, uint8_t before,
			uint8_t after, int64_t time_ns)
{
	if (before == after || !t->built)
		return; // what the first build finds is no news
	if (!t->changes)
		t->changes = calloc(CHANGES_MAX, sizeof *t->changes);
	if (!t->changes || t->n_changes == CHANGES_MAX)
		return;
	t->changes[t->n_changes++] =
		(struct topology_change){{l->end[0], l->end[1]}, before, after, time_ns};
}

static void states_update(struct topology *t)
{
	for (size_t i = 0; i < t->n_links; i++) {
		struct topology_link *l = &t->links[i];
		uint8_t before = l->state;
		l->state = link_state_of(t, l, &l->changed_ns);
		change_note(t, l, before, l->state, l->changed_ns);
	}
}

// Carries the old states over, so that states_update sees what changed; notes what is gone.
static void states_inherit(struct topology *t, const struct topology_link *old, size_t n_old)
{
	size_t o = 0;
	for (size_t i = 0; i <= t->n_links; i++) {
		while (o < n_old && (i == t->n_links || link_compare(&old[o], &t->links[i]) < 0)) {
			change_note(t, &old[o], old[o].state, LINK_GONE, state_newest_ns(t->state));
			o++;
		}
		if (i < t->n_links && o < n_old && link_compare(&old[o], &t->links[i]) == 0)
			t->links[i].state = old[o++].state;
	}
}

static struct err rebuild(struct topology *t)
{
	struct topology_link *old = t->links;
	size_t n_old = t->n_links;
	t->links = NULL;
	clear(t);
	struct err e;
	TRY_OUT(e, names_build(t));
	TRY_OUT(e, claims_build(t));
	TRY_OUT(e, members_build(t));
	TRY_OUT(e, links_build(t));
	TRY_OUT(e, ends_build(t));
	states_inherit(t, old, n_old);
out:
	free(old);
	return e;
}

struct err topology_refresh(struct topology *t)
{
	uint64_t structure = state_generation(t->state, STRUCTURE);
	uint64_t status = state_generation(t->state, TOUCHES_STATUS);
	if (t->built && structure == t->structure && status == t->status)
		return OK;
	if (!t->built || structure != t->structure)
		TRY(rebuild(t));
	states_update(t);
	t->structure = structure;
	t->status = status;
	t->built = true;
	return OK;
}

size_t topology_links(const struct topology *t, const struct topology_link **links)
{
	*links = t->links;
	return t->n_links;
}

size_t topology_members(const struct topology *t, const struct topology_member **members)
{
	*members = t->members;
	return t->n_members;
}

bool topology_peer(const struct topology *t, struct link_end end, struct link_end *peer)
{
	size_t low = 0, high = t->n_ends;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (end_compare(t->ends[middle * 2], end) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == t->n_ends || end_compare(t->ends[low * 2], end) != 0)
		return false;
	if (low + 1 < t->n_ends && end_compare(t->ends[low * 2 + 2], end) == 0)
		return false;
	*peer = t->ends[low * 2 + 1];
	return true;
}

const char *link_state_name(enum link_state s)
{
	static const char *const names[] = {"gone", "up", "down", "unconfirmed"};
	return names[s];
}

size_t topology_take_changes(struct topology *t, struct topology_change *out, size_t most)
{
	size_t n = t->n_changes < most ? t->n_changes : most;
	if (n) {
		memcpy(out, t->changes, n * sizeof *out);
		memmove(t->changes, t->changes + n, (t->n_changes - n) * sizeof *t->changes);
	}
	t->n_changes -= n;
	return n;
}

bool view_stale(const struct view *v, uint32_t device)
{
	const struct device_info *i = state_device(v->state, device);
	return v->stale_ns > 0 && i->received_ns < v->now_ns - v->stale_ns;
}
