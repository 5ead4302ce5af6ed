// SPDX-License-Identifier: Apache-2.0
// RFC 8345 network and topology, RFC 8346 layer-3 attributes, in RFC 7951 JSON: 64-bit numbers are
// strings, a name is qualified where its module differs from its parent's. A link there is one-way
// (RFC 8345 4.4.5), so each of ours is a pair. Links that are not confirmed are no links there:
// they stand in a list of gemel-topology.yang, where a client that does not know it cannot take
// them for real ones.

#include "models/json.h"

#include <stdio.h>
#include <string.h>

static json_t *tp_json(const struct view *v, uint32_t d, uint32_t i,
		       const struct interface_value *f)
{
	const struct state *s = v->state;
	const struct catalogue_device *names = catalogue_device(state_catalogue(s), d);
	const struct identity *id = catalogue_identity(names, OBJECT_INTERFACE, i);
	json_t *addresses = json_array();
	for (struct object_ref r = id->child; r.kind; r = names->of[r.kind].items[r.index].next)
		if (r.kind == OBJECT_ADDRESS && state_value(s, d, OBJECT_ADDRESS, r.index))
			json_array_append_new(
				addresses,
				json_address(&catalogue_identity(names, OBJECT_ADDRESS, r.index)
						      ->prefix.address));
	json_t *l3 = json_object(); // a choice (RFC 8346): addresses, or else the interface's name
	if (json_array_size(addresses)) {
		json_put(l3, "ip-address", addresses);
	} else {
		json_decref(addresses);
		json_put(l3, "interface-name", json_string(id->text));
	}
	json_t *tp = json_pack("{s:s,s:o}", "tp-id", id->text,
			       "ietf-l3-unicast-topology:l3-termination-point-attributes", l3);
	static const char *const oper[] = {"unknown", "up", "down", "lower-layer-down"};
	json_put(tp, "gemel-topology:oper-status", json_string(oper[f->oper]));
	return tp;
}

static void prefix_add(json_t *array, json_t *seen, const struct prefix *p)
{
	char text[PREFIX_TEXT_MAX];
	prefix_print(p, text);
	if (json_object_get(seen, text))
		return; // a list's keys are unique (RFC 7950 7.8.2)
	json_object_set_new(seen, text, json_true());
	json_array_append_new(array, json_pack("{s:s}", "prefix", text));
}

// Connected prefixes, and as router ids the IPv4 host addresses (a router's loopback).
static json_t *l3_node(const struct view *v, uint32_t d)
{
	const struct state *s = v->state;
	const struct catalogue_device *names = catalogue_device(state_catalogue(s), d);
	json_t *prefixes = json_array(), *ids = json_array(), *seen = json_object();
	for (uint32_t i = 0; i < state_count(s, d, OBJECT_ADDRESS); i++) {
		const struct address_value *a = state_value(s, d, OBJECT_ADDRESS, i);
		const struct address *ip =
			&catalogue_identity(names, OBJECT_ADDRESS, i)->prefix.address;
		if (!a || !have(&a->h, HAVE_LENGTH) || address_is_loopback(ip) ||
		    address_is_link_local(ip))
			continue;
		struct prefix p = prefix_around(ip, a->length);
		prefix_add(prefixes, seen, &p);
		if (ip->family == 4 && a->length >= 32)
			json_array_append_new(ids, json_address(ip));
	}
	json_decref(seen);
	json_t *l3 =
		json_pack("{s:s,s:o,s:o}", "name", names->id, "router-id", ids, "prefix", prefixes);
	for (const char *const *key = (const char *const[]){"router-id", "prefix", NULL}; *key;
	     key++)
		if (json_array_size(json_object_get(l3, *key)) == 0)
			json_object_del(l3, *key);
	return l3;
}

static json_t *node_json(const struct view *v, uint32_t d)
{
	json_t *tps = json_array();
	for (uint32_t i = 0; i < state_count(v->state, d, OBJECT_INTERFACE); i++) {
		const struct interface_value *f = state_value(v->state, d, OBJECT_INTERFACE, i);
		if (f)
			json_array_append_new(tps, tp_json(v, d, i, f));
	}
	json_t *node = json_pack("{s:o,s:o,s:o}", "node-id", json_device(v->state, d),
				 "ietf-network-topology:termination-point", tps,
				 "ietf-l3-unicast-topology:l3-node-attributes", l3_node(v, d));
	if (json_array_size(tps) == 0)
		json_object_del(node, "ietf-network-topology:termination-point");
	json_put(node, "gemel-topology:stale", json_boolean(view_stale(v, d)));
	return node;
}

static const char *name_of(const struct view *v, struct link_end e, const char **interface)
{
	const struct catalogue_device *d = catalogue_device(state_catalogue(v->state), e.device);
	*interface = catalogue_identity(d, OBJECT_INTERFACE, e.interface)->text;
	return d->id;
}

static json_t *link_json(const struct view *v, const struct topology_link *l, int from,
			 bool standard)
{
	const char *i, *j;
	const char *a = name_of(v, l->end[from], &i), *b = name_of(v, l->end[1 - from], &j);
	json_t *link = json_pack("{s:o,s:{s:s,s:s},s:{s:s,s:s}}", "link-id",
				 json_sprintf("%s:%s--%s:%s", a, i, b, j), "source", "source-node",
				 a, "source-tp", i, "destination", "dest-node", b, "dest-tp", j);
	if (standard) {
		json_put(link, "ietf-l3-unicast-topology:l3-link-attributes",
			 json_pack("{s:o}", "name", json_sprintf("%s:%s--%s:%s", a, i, b, j)));
		json_put(link, "gemel-topology:oper-status",
			 json_string(l->state == LINK_UP     ? "up"
				     : l->state == LINK_DOWN ? "down"
							     : "unknown"));
	}
	return link;
}

json_t *topology_ietf_json(const struct topology *t, const struct view *v)
{
	json_t *nodes = json_array(), *links = json_array(), *unconfirmed = json_array();
	for (uint32_t d = 0; d < catalogue_devices(state_catalogue(v->state)); d++)
		if (state_device(v->state, d)->seen)
			json_array_append_new(nodes, node_json(v, d));
	const struct topology_link *l;
	size_t n = topology_links(t, &l);
	unsigned both = EVIDENCE_LLDP_A | EVIDENCE_LLDP_B;
	for (size_t i = 0; i < n; i++)
		for (int from = 0; from < 2; from++) {
			bool confirmed = (l[i].evidence & both) == both;
			json_array_append_new(confirmed ? links : unconfirmed,
					      link_json(v, &l[i], from, confirmed));
		}
	json_t *network = json_pack("{s:s,s:{s:{}},s:{s:s},s:o,s:o,s:o}", "network-id", "gemel",
				    "network-types", "ietf-l3-unicast-topology:l3-unicast-topology",
				    "ietf-l3-unicast-topology:l3-topology-attributes", "name",
				    "gemel", "node", nodes, "ietf-network-topology:link", links,
				    "gemel-topology:unconfirmed-link", unconfirmed);
	return json_pack("{s:{s:[o]}}", "ietf-network:networks", "network", network);
}
