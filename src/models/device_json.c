// SPDX-License-Identifier: Apache-2.0
// One device as it is now: /v1/devices/{id}/state.

#include "models/acl.h"
#include "models/forwarding.h"
#include "models/json.h"

#include <string.h>

enum { ROWS_MAX = 20000 };

static const struct catalogue_device *names(const struct view *v, uint32_t d)
{
	return catalogue_device(state_catalogue(v->state), d);
}

static json_t *counters_json(const struct counters *c)
{
	static const char *const keys[COUNTERS] = {"in_octets",	  "in_pkts",	 "in_errors",
						   "in_discards", "out_octets",	 "out_pkts",
						   "out_errors",  "out_discards"};
	if (!c)
		return json_null();
	json_t *j = json_object();
	for (int i = 0; i < COUNTERS; i++)
		json_put(j, keys[i], json_integer((json_int_t)c->value[i]));
	json_put(j, "in_bps", c->rate[0] < 0 ? json_null() : json_real(c->rate[0]));
	json_put(j, "out_bps", c->rate[1] < 0 ? json_null() : json_real(c->rate[1]));
	return j;
}

static json_t *interface_addresses(const struct view *v, uint32_t d, uint32_t interface)
{
	json_t *array = json_array();
	struct object_ref r = catalogue_identity(names(v, d), OBJECT_INTERFACE, interface)->child;
	for (; r.kind; r = names(v, d)->of[r.kind].items[r.index].next) {
		const struct address_value *a =
			r.kind == OBJECT_ADDRESS ? state_value(v->state, d, r.kind, r.index) : NULL;
		char text[ADDRESS_TEXT_MAX];
		if (a)
			json_array_append_new(
				array, json_sprintf("%s/%u",
						    address_print(&catalogue_identity(
									   names(v, d),
									   OBJECT_ADDRESS, r.index)
									   ->prefix.address,
								  text),
						    a->length));
	}
	return array;
}

static json_t *interfaces_json(const struct view *v, uint32_t d)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < state_count(v->state, d, OBJECT_INTERFACE); i++) {
		const struct interface_value *f = state_value(v->state, d, OBJECT_INTERFACE, i);
		if (!f)
			continue;
		json_t *j = json_pack("{s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "name",
				      json_interface(v->state, d, i), "oper_status",
				      status_choices[f->oper], "admin_status",
				      status_choices[f->admin], "type", json_text(f->type), "mtu",
				      f->mtu ? json_integer(f->mtu) : json_null(), "mac",
				      have(&f->h, HAVE_MAC) ? json_mac(f->mac) : json_null(),
				      "addresses", interface_addresses(v, d, i), "counters",
				      counters_json(f->counters), "last_change",
				      json_time(f->last_change ? f->last_change : f->h.changed_ns));
		json_put(j, "speed_bps",
			 f->speed ? json_integer((json_int_t)f->speed) : json_null());
		json_array_append_new(array, json_named(j, v->state, d, OBJECT_INTERFACE, i));
	}
	return array;
}

static json_t *next_hops_json(const struct view *v, const struct forwarding *f, uint32_t d,
			      uint32_t entry, char why[WHY_MAX])
{
	uint32_t hops[NEXT_HOPS_MAX];
	size_t n = forwarding_next_hops(f, d, entry, hops, why);
	json_t *array = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct next_hop_value *h = state_value(v->state, d, OBJECT_NEXT_HOP, hops[i]);
		json_array_append_new(
			array, json_pack("{s:o,s:o,s:s}", "via", json_address(&h->via), "interface",
					 json_text(h->interface), "action",
					 h->action ? next_hop_choices[h->action] : "FORWARD"));
	}
	return array;
}

static json_t *routes_json(const struct view *v, const struct forwarding *f, uint32_t d,
			   bool *truncated)
{
	const struct route *routes;
	size_t n = forwarding_routes(f, d, &routes);
	json_t *array = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct entry_value *e =
			state_value(v->state, d, OBJECT_ENTRY, routes[i].entry);
		char why[WHY_MAX];
		if (i == ROWS_MAX) {
			*truncated = true;
			break;
		}
		if (!e)
			continue;
		json_t *j =
			json_pack("{s:o,s:s,s:o,s:o,s:o}", "prefix", json_prefix(&routes[i].prefix),
				  "origin", origin_choices[e->origin], "metric",
				  have(&e->h, HAVE_METRIC) ? json_integer(e->metric) : json_null(),
				  "next_hops", next_hops_json(v, f, d, routes[i].entry, why),
				  "last_change", json_time(e->h.changed_ns));
		if (why[0])
			json_put(j, "why", json_string(why));
		json_named(j, v->state, d, OBJECT_ENTRY, routes[i].entry);
		json_array_append_new(array, j);
	}
	return array;
}

static json_t *neighbours_json(const struct view *v, uint32_t d, bool *truncated)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < state_count(v->state, d, OBJECT_NEIGHBOUR); i++) {
		const struct neighbour_value *n = state_value(v->state, d, OBJECT_NEIGHBOUR, i);
		const struct identity *id = catalogue_identity(names(v, d), OBJECT_NEIGHBOUR, i);
		if (json_array_size(array) == ROWS_MAX) {
			*truncated = true;
			break;
		}
		if (!n)
			continue;
		json_t *j = json_pack(
			"{s:o,s:o,s:o,s:s,s:o}", "address", json_address(&id->prefix.address),
			"interface", json_interface(v->state, d, id->parent), "mac",
			have(&n->h, HAVE_LLADDR) ? json_mac(n->mac) : json_null(), "state",
			neighbour_choices[n->state], "last_change", json_time(n->h.changed_ns));
		json_array_append_new(array, json_named(j, v->state, d, OBJECT_NEIGHBOUR, i));
	}
	return array;
}

// Who made the line: instructions put "gemel:<id>" into the rule's comment and keep a table of
// their own; all else is the operator's.
static const char *owner_of(const char *set, const struct rule_value *r)
{
	bool ours = strstr(set, ":gemel:") != NULL ||
		    (r->description && strncmp(r->description, "gemel:", 6) == 0);
	return ours ? "gemel" : "operator";
}

static json_t *rule_json(const struct view *v, uint32_t d, uint32_t set, uint32_t rule)
{
	const struct rule_value *r = state_value(v->state, d, OBJECT_RULE, rule);
	char text[1024];
	return json_pack("{s:s,s:o,s:s,s:b,s:s,s:o,s:o,s:o,s:o}", "sequence",
			 catalogue_identity(names(v, d), OBJECT_RULE, rule)->text, "text",
			 json_text(acl_rule_text(v->state, d, set, rule, text, sizeof text)),
			 "action", verdict_choices[r->action], "modelled",
			 have(&r->h, HAVE_MODELLED) && r->modelled, "owner",
			 owner_of(catalogue_identity(names(v, d), OBJECT_SET, set)->text, r),
			 "comment", json_text(r->description), "packets",
			 json_integer((json_int_t)r->packets), "octets",
			 json_integer((json_int_t)r->octets), "raw", json_text(r->raw));
}

static json_t *acls_json(const struct view *v, const struct forwarding *f, uint32_t d)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < state_count(v->state, d, OBJECT_SET); i++) {
		const struct set_value *s = state_value(v->state, d, OBJECT_SET, i);
		const uint32_t *rules;
		if (!s)
			continue;
		json_t *list = json_array();
		size_t n = acl_rules(forwarding_acl(f, d), i, &rules);
		for (size_t k = 0; k < n; k++)
			if (state_value(v->state, d, OBJECT_RULE, rules[k]))
				json_array_append_new(list, rule_json(v, d, i, rules[k]));
		const char *text = catalogue_identity(names(v, d), OBJECT_SET, i)->text;
		json_t *j =
			json_pack("{s:s,s:o,s:i,s:s,s:o}", "chain", strchr(text, ':') + 1, "hook",
				  s->hook ? json_text(hook_choices[s->hook]) : json_null(),
				  "priority", (int)s->priority, "default_action",
				  policy_choices[s->policy], "rules", list);
		json_array_append_new(array, json_named(j, v->state, d, OBJECT_SET, i));
	}
	return array;
}

static json_t *lldp_json(const struct view *v, uint32_t d)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < state_count(v->state, d, OBJECT_LLDP); i++) {
		const struct lldp_value *l = state_value(v->state, d, OBJECT_LLDP, i);
		const struct identity *id = catalogue_identity(names(v, d), OBJECT_LLDP, i);
		if (!l)
			continue;
		json_t *j = json_pack("{s:o,s:o,s:o,s:o,s:o}", "interface",
				      json_interface(v->state, d, id->parent), "system_name",
				      json_text(l->name), "chassis_id", json_text(l->chassis),
				      "port_id", json_text(l->port), "port_description",
				      json_text(l->port_description));
		json_array_append_new(array, json_named(j, v->state, d, OBJECT_LLDP, i));
	}
	return array;
}

json_t *device_json(const struct view *v, const struct forwarding *f, uint32_t d, bool with_rules)
{
	const struct device_value *value = state_device_value(v->state, d);
	const struct device_info *info = state_device(v->state, d);
	char why[WHY_MAX];
	bool truncated = false;
	json_t *routes = routes_json(v, f, d, &truncated);
	json_t *neighbours = neighbours_json(v, d, &truncated);
	json_t *j = json_pack(
		"{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "id", json_device(v->state, d), "hostname",
		json_text(value->hostname), "software", json_text(value->software), "agent",
		json_text(value->agent), "interfaces", interfaces_json(v, d), "routes", routes,
		"neighbours", neighbours, "lldp", lldp_json(v, d), "not_modelled",
		forwarding_unmodelled(f, d, why)[0] ? json_pack("[o]", json_text(why))
						    : json_array());
	json_put(j, "acls", with_rules ? acls_json(v, f, d) : json_null());
	json_put(j, "truncated", json_boolean(truncated));
	json_put(j, "refused_values", json_integer(info->refused));
	json_put(j, "device_time", json_time(info->time_ns));
	json_put_age(j, v, d);
	return j;
}
