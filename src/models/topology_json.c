// SPDX-License-Identifier: Apache-2.0
// The map for people and programs of ours: /v1/topology.

#include "models/forwarding.h"
#include "models/json.h"

#include <stdio.h>

enum { HOSTS_MAX = 5000 };

static json_t *node_addresses(const struct state *s, uint32_t d)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < state_count(s, d, OBJECT_ADDRESS) && json_array_size(array) < 16;
	     i++) {
		const struct identity *id = catalogue_identity(
			catalogue_device(state_catalogue(s), d), OBJECT_ADDRESS, i);
		const struct address *a = &id->prefix.address;
		if (state_value(s, d, OBJECT_ADDRESS, i) && !address_is_link_local(a) &&
		    !address_is_loopback(a))
			json_array_append_new(array, json_address(a));
	}
	return array;
}

static json_t *node_json(const struct view *v, uint32_t d)
{
	const struct state *s = v->state;
	const struct device_value *value = state_device_value(s, d);
	unsigned interfaces = 0, up = 0;
	int64_t changed = value->h.changed_ns;
	for (uint32_t i = 0; i < state_count(s, d, OBJECT_INTERFACE); i++) {
		const struct interface_value *f = state_value(s, d, OBJECT_INTERFACE, i);
		if (!f)
			continue;
		interfaces++;
		up += f->oper == STATUS_UP;
		if (f->h.changed_ns > changed)
			changed = f->h.changed_ns;
	}
	json_t *node = json_pack(
		"{s:o,s:o,s:s,s:o,s:i,s:i,s:o,s:o}", "id", json_device(s, d), "name",
		json_text(value->hostname ? value->hostname
					  : catalogue_device(state_catalogue(s), d)->id),
		"state", view_stale(v, d) ? "stale" : "present", "software",
		json_text(value->software), "interfaces", (int)interfaces, "interfaces_up", (int)up,
		"addresses", node_addresses(s, d), "last_change", json_time(changed));
	json_put_age(node, v, d);
	return node;
}

static json_t *link_evidence(const struct topology_link *l)
{
	json_t *array = json_array();
	if (l->evidence & EVIDENCE_LLDP_A)
		json_array_append_new(array, json_string("lldp-a"));
	if (l->evidence & EVIDENCE_LLDP_B)
		json_array_append_new(array, json_string("lldp-b"));
	if (l->evidence & EVIDENCE_ADDRESSES)
		json_array_append_new(array, json_string("addresses"));
	return array;
}

static bool link_confirmed(const struct topology_link *l)
{
	unsigned both = EVIDENCE_LLDP_A | EVIDENCE_LLDP_B;
	return (l->evidence & both) == both;
}

static const char *link_why(const struct topology_link *l)
{
	if (link_confirmed(l))
		return "LLDP says the same at both ends";
	if (l->contradicted)
		return "the ends' LLDP contradict each other";
	if (l->evidence & (EVIDENCE_LLDP_A | EVIDENCE_LLDP_B))
		return "only one end's LLDP says so";
	return "both ends are alone in one subnet; no LLDP";
}

static json_t *rate(const struct state *s, struct link_end out, struct link_end in, uint64_t *speed)
{
	const struct interface_value *a =
		state_value(s, out.device, OBJECT_INTERFACE, out.interface);
	const struct interface_value *b = state_value(s, in.device, OBJECT_INTERFACE, in.interface);
	if (a && a->speed && (!*speed || a->speed < *speed))
		*speed = a->speed;
	if (a && a->counters && a->counters->rate[1] >= 0)
		return json_real(a->counters->rate[1]);
	if (b && b->counters && b->counters->rate[0] >= 0)
		return json_real(b->counters->rate[0]);
	return json_null();
}

static json_t *link_load(const struct state *s, const struct topology_link *l)
{
	uint64_t speed = 0;
	json_t *ab = rate(s, l->end[0], l->end[1], &speed),
	       *ba = rate(s, l->end[1], l->end[0], &speed);
	double most = json_number_value(ab) > json_number_value(ba) ? json_number_value(ab)
								    : json_number_value(ba);
	json_t *load =
		json_pack("{s:o,s:o,s:o}", "a_to_b_bps", ab, "b_to_a_bps", ba, "capacity_bps",
			  speed ? json_integer((json_int_t)speed) : json_null());
	json_put(load, "utilisation", speed ? json_real(most / (double)speed) : json_null());
	return load;
}

static json_t *link_end_json(const struct state *s, struct link_end end)
{
	json_t *j = json_end(s, end);
	const struct interface_value *v =
		state_value(s, end.device, OBJECT_INTERFACE, end.interface);
	json_put(j, "oper_status", json_text(v ? status_choices[v->oper] : NULL));
	json_put(j, "admin_status", json_text(v ? status_choices[v->admin] : NULL));
	return json_named(j, s, end.device, OBJECT_INTERFACE, end.interface);
}

static json_t *link_json(const struct view *v, const struct topology_link *l)
{
	const struct catalogue *c = state_catalogue(v->state);
	const struct catalogue_device *a = catalogue_device(c, l->end[0].device);
	const struct catalogue_device *b = catalogue_device(c, l->end[1].device);
	json_t *id = json_sprintf(
		"%s:%s--%s:%s", a->id,
		catalogue_identity(a, OBJECT_INTERFACE, l->end[0].interface)->text, b->id,
		catalogue_identity(b, OBJECT_INTERFACE, l->end[1].interface)->text);
	bool stale = view_stale(v, l->end[0].device) || view_stale(v, l->end[1].device);
	return json_pack("{s:o,s:o,s:o,s:s,s:b,s:o,s:s,s:o,s:b,s:o}", "id", id, "a",
			 link_end_json(v->state, l->end[0]), "b",
			 link_end_json(v->state, l->end[1]), "state", link_state_name(l->state),
			 "confirmed", link_confirmed(l), "evidence", link_evidence(l), "why",
			 link_why(l), "last_change", json_time(l->changed_ns), "stale", stale,
			 "load", link_load(v->state, l));
}

static json_t *subnets_json(const struct topology *t, const struct view *v)
{
	const struct topology_member *m;
	size_t n = topology_members(t, &m);
	json_t *array = json_array(), *members = NULL;
	for (size_t i = 0; i < n; i++) {
		if (!members || prefix_compare(&m[i].prefix, &m[i - 1].prefix) != 0) {
			members = json_array();
			json_array_append_new(array, json_pack("{s:o,s:o}", "prefix",
							       json_prefix(&m[i].prefix), "members",
							       members));
		}
		json_t *member = json_end(v->state, m[i].at);
		json_put(member, "address", json_address(&m[i].address));
		json_array_append_new(members, member);
	}
	return array;
}

static bool neighbour_is_device(const struct forwarding *f, const struct address *a)
{
	struct link_end owner;
	return forwarding_owners(f, a, &owner, 1) > 0;
}

static json_t *hosts_json(const struct forwarding *f, const struct view *v)
{
	const struct state *s = v->state;
	json_t *array = json_array();
	for (uint32_t d = 0; d < catalogue_devices(state_catalogue(s)); d++)
		for (uint32_t i = 0; i < state_count(s, d, OBJECT_NEIGHBOUR); i++) {
			const struct neighbour_value *n = state_value(s, d, OBJECT_NEIGHBOUR, i);
			const struct identity *id = catalogue_identity(
				catalogue_device(state_catalogue(s), d), OBJECT_NEIGHBOUR, i);
			const struct address *a = &id->prefix.address;
			if (!n || address_is_link_local(a) || address_is_special(a) ||
			    !have(&n->h, HAVE_LLADDR) || neighbour_is_device(f, a) ||
			    json_array_size(array) == HOSTS_MAX)
				continue;
			json_array_append_new(array,
					      json_pack("{s:o,s:o,s:o,s:o,s:s,s:o}", "address",
							json_address(a), "mac", json_mac(n->mac),
							"device", json_device(s, d), "interface",
							json_interface(s, d, id->parent), "state",
							neighbour_choices[n->state], "last_change",
							json_time(n->h.changed_ns)));
		}
	return array;
}

json_t *topology_json(const struct topology *t, const struct forwarding *f, const struct view *v)
{
	json_t *nodes = json_array(), *links = json_array();
	for (uint32_t d = 0; d < catalogue_devices(state_catalogue(v->state)); d++)
		if (state_device(v->state, d)->seen)
			json_array_append_new(nodes, node_json(v, d));
	const struct topology_link *l;
	size_t n = topology_links(t, &l);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(links, link_json(v, &l[i]));
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "nodes", nodes, "links", links, "subnets",
			 subnets_json(t, v), "hosts", hosts_json(f, v), "stale_devices",
			 json_stale(v), "not_modelled", json_strings(forwarding_not_modelled));
}
