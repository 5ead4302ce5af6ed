// SPDX-License-Identifier: Apache-2.0

#include "net.h"

#include "lib/batch/batch.h"
#include "models/value.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NI "/network-instances/network-instance[name=default]/afts"
#define IF "/interfaces/interface[name=%s]"

static void must(struct err e)
{
	if (e.code != ERR_NONE)
		fail_msg("%s: %s", err_code_name(e.code), e.text);
}

void net_start(struct net *n)
{
	*n = (struct net){.now_ns = 1700000000LL * 1000000000};
	n->series = series_new();
	n->state = state_new(n->series);
	n->topology = topology_new(n->state);
	n->forwarding = forwarding_new(n->state, n->topology);
	n->checks = checks_new(n->forwarding);
	assert_non_null(n->checks);
}

void net_end(struct net *n)
{
	checks_free(n->checks);
	forwarding_free(n->forwarding);
	topology_free(n->topology);
	state_free(n->state);
	series_free(n->series);
	free(n->paths);
}

static uint32_t series_of(struct net *n, const char *device, const char *path)
{
	char name[1100];
	snprintf(name, sizeof name, "%s %s", device, path);
	for (uint32_t i = 0; i < n->n_series; i++)
		if (strcmp(n->paths[i], name) == 0)
			return i + 1;
	if (n->n_series == n->cap_series) {
		n->cap_series = n->cap_series ? n->cap_series * 2 : 256;
		n->paths = realloc(n->paths, n->cap_series * sizeof *n->paths);
		assert_non_null(n->paths);
	}
	memcpy(n->paths[n->n_series++], name, sizeof name);
	must(series_add(n->series, n->n_series, device, path, strlen(path)));
	return n->n_series;
}

static void send(struct net *n, const char *device, enum batch_op op, const char *path,
		 struct batch_value value)
{
	struct batch_head head = {
		.flags = BATCH_SYNC, .revision = ++n->revision, .received_ns = n->now_ns += 1000};
	snprintf(head.device, sizeof head.device, "%s", device);
	struct batch_record r = {op, series_of(n, device, path), n->now_ns, value};
	scoped(buf) struct buf b = {0};
	struct batch_writer w;
	batch_write_head(&w, &b, &head);
	batch_write_record(&w, &r);
	batch_write_finish(&w);
	struct state_change change;
	must(state_apply(n->state, b.data, b.len, &change));
	n->last_touched = change.touched;
}

#define PATH_OF(text, format)                                                                      \
	char text[1024];                                                                           \
	va_list args;                                                                              \
	va_start(args, format);                                                                    \
	vsnprintf(text, sizeof text, format, args);                                                \
	va_end(args)

static struct batch_value text_value(const char *text)
{
	return (struct batch_value){.type = VALUE_STRING,
				    .s = {(const uint8_t *)text, (uint32_t)strlen(text)}};
}

void net_set(struct net *n, const char *device, const char *value, const char *path, ...)
{
	PATH_OF(text, path);
	send(n, device, BATCH_UPDATE, text, text_value(value));
}

void net_set_uint(struct net *n, const char *device, uint64_t value, const char *path, ...)
{
	PATH_OF(text, path);
	send(n, device, BATCH_UPDATE, text, (struct batch_value){.type = VALUE_UINT, .u = value});
}

void net_set_bool(struct net *n, const char *device, bool value, const char *path, ...)
{
	PATH_OF(text, path);
	send(n, device, BATCH_UPDATE, text, (struct batch_value){.type = VALUE_BOOL, .b = value});
}

void net_delete(struct net *n, const char *device, const char *path, ...)
{
	PATH_OF(text, path);
	send(n, device, BATCH_DELETE, text, (struct batch_value){0});
}

void net_status(struct net *n, const char *device, const char *interface, const char *oper)
{
	net_set(n, device, oper, IF "/state/oper-status", interface);
}

void net_interface(struct net *n, const char *device, const char *interface, const char *address)
{
	net_set(n, device, interface, IF "/state/name", interface);
	net_set(n, device, "UP", IF "/state/admin-status", interface);
	net_status(n, device, interface, "UP");
	if (!address)
		return;
	const char *slash = strchr(address, '/');
	int family = strchr(address, ':') ? 6 : 4, length = (int)(slash - address);
	net_set_uint(n, device, (uint64_t)atoi(slash + 1),
		     IF
		     "/subinterfaces/subinterface[index=0]/ipv%d/addresses/address[ip=%.*s]/state/"
		     "prefix-length",
		     interface, family, length, address);
}

void net_lldp(struct net *n, const char *device, const char *interface, const char *peer,
	      const char *peer_interface)
{
	net_set(n, device, peer,
		"/lldp/interfaces/interface[name=%s]/neighbors/neighbor[id=1]/state/"
		"system-name",
		interface);
	net_set(n, device, peer_interface,
		"/lldp/interfaces/interface[name=%s]/neighbors/neighbor[id=1]/state/port-id",
		interface);
}

void net_link(struct net *n, const char *a, const char *a_interface, const char *b,
	      const char *b_interface, const char *subnet)
{
	char address[64];
	snprintf(address, sizeof address, "%s.1/30", subnet);
	net_interface(n, a, a_interface, address);
	snprintf(address, sizeof address, "%s.2/30", subnet);
	net_interface(n, b, b_interface, address);
	net_lldp(n, a, a_interface, b, b_interface);
	net_lldp(n, b, b_interface, a, a_interface);
}

void net_neighbour(struct net *n, const char *device, const char *interface, const char *address,
		   const char *mac, const char *state)
{
	int family = strchr(address, ':') ? 6 : 4;
#define NB IF "/subinterfaces/subinterface[index=0]/ipv%d/neighbors/neighbor[ip=%s]/state/"
	if (mac)
		net_set(n, device, mac, NB "link-layer-address", interface, family, address);
	net_set(n, device, state, NB "neighbor-state", interface, family, address);
}

static void next_hop(struct net *n, const char *device, unsigned long group, unsigned long index,
		     const char *text)
{
	char via[64] = "-", interface[64] = "";
	int fields = sscanf(text, "%63s %63s", via, interface);
	net_set_uint(
		n, device, index,
		NI
		"/next-hop-groups/next-hop-group[id=%lu]/next-hops/next-hop[index=%lu]/state/index",
		group, index);
	net_set_uint(n, device, index, NI "/next-hops/next-hop[index=%lu]/state/index", index);
	const char *action = strcmp(via, "discard") == 0  ? "DISCARD"
			     : strcmp(via, "local") == 0  ? "LOCAL"
			     : strcmp(via, "reject") == 0 ? "REJECT"
							  : "FORWARD";
	net_set(n, device, action, NI "/next-hops/next-hop[index=%lu]/state/action", index);
	if (strcmp(action, "FORWARD") == 0 && strcmp(via, "-") != 0)
		net_set(n, device, via, NI "/next-hops/next-hop[index=%lu]/state/ip-address",
			index);
	if (fields == 2)
		net_set(n, device, interface,
			NI "/next-hops/next-hop[index=%lu]/interface-ref/state/interface", index);
}

// Group and next-hop numbers come from the prefix, so that a route said again replaces itself.
static unsigned long number_of(const char *text)
{
	unsigned long h = 5381;
	for (; *text; text++)
		h = h * 33 + (unsigned char)*text;
	return h % 100000000 * 10;
}

void net_route_gone(struct net *n, const char *device, const char *prefix)
{
	int family = strchr(prefix, ':') ? 6 : 4;
	unsigned long group = number_of(prefix);
	net_delete(n, device, NI "/ipv%d-unicast/ipv%d-entry[prefix=%s]", family, family, prefix);
	net_delete(n, device, NI "/next-hop-groups/next-hop-group[id=%lu]", group);
	for (unsigned i = 0; i < 8; i++)
		net_delete(n, device, NI "/next-hops/next-hop[index=%lu]", group + i);
}

void net_route(struct net *n, const char *device, const char *prefix, const char *next_hops)
{
	int family = strchr(prefix, ':') ? 6 : 4;
	unsigned long group = number_of(prefix), index = group;
	char copy[512], *save = NULL;
	snprintf(copy, sizeof copy, "%s", next_hops);
	for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save))
		next_hop(n, device, group, index++, part);
	net_set(n, device, "OSPF", NI "/ipv%d-unicast/ipv%d-entry[prefix=%s]/state/origin-protocol",
		family, family, prefix);
	net_set_uint(n, device, group,
		     NI "/ipv%d-unicast/ipv%d-entry[prefix=%s]/state/next-hop-group", family,
		     family, prefix);
}

#define SET "/acl/acl-sets/acl-set[name=%s][type=ACL_MIXED]"

void net_chain(struct net *n, const char *device, const char *chain, const char *hook, int priority,
	       const char *policy)
{
	net_set(n, device, chain, SET "/state/name", chain);
	if (!hook)
		return;
	char text[16];
	snprintf(text, sizeof text, "%d", priority);
	net_set(n, device, hook, SET "/state/hook", chain);
	net_set(n, device, text, SET "/state/priority", chain);
	net_set(n, device, policy, SET "/state/default-action", chain);
}

static void rule_field(struct net *n, const char *device, const char *chain, const char *sequence,
		       const char *key, const char *value)
{
	static const struct {
		const char *key, *path;
	} known[] = {
		{"src", "ipv4/state/source-address"},
		{"dst", "ipv4/state/destination-address"},
		{"src6", "ipv6/state/source-address"},
		{"dst6", "ipv6/state/destination-address"},
		{"proto", "ipv4/state/protocol"},
		{"sport", "transport/state/source-port"},
		{"dport", "transport/state/destination-port"},
		{"ct", "transport/state/connection-state"},
		{"in", "input-interface/interface-ref/state/interface"},
		{"out", "output-interface/interface-ref/state/interface"},
		{"comment", "state/description"},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].key, key) == 0)
			net_set(n, device, value, SET "/acl-entries/acl-entry[sequence-id=%s]/%s",
				chain, sequence, known[i].path);
}

void net_rule(struct net *n, const char *device, const char *chain, const char *sequence,
	      const char *fields, const char *action)
{
	char copy[512], verdict[32], jump[64], *save = NULL;
	snprintf(copy, sizeof copy, "%s", fields);
	bool modelled = strstr(fields, "raw=") == NULL;
	for (char *part = strtok_r(copy, " ", &save); part; part = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(part, '=');
		*equals = 0;
		rule_field(n, device, chain, sequence, part, equals + 1);
	}
	net_set_bool(n, device, modelled,
		     SET "/acl-entries/acl-entry[sequence-id=%s]/state/modelled", chain, sequence);
	int parts = sscanf(action, "%31s %63s", verdict, jump);
	net_set(n, device, verdict,
		SET "/acl-entries/acl-entry[sequence-id=%s]/actions/state/forwarding-action", chain,
		sequence);
	if (parts == 2)
		net_set(n, device, jump,
			SET "/acl-entries/acl-entry[sequence-id=%s]/actions/state/jump-chain",
			chain, sequence);
}

enum trace_verdict net_trace(struct net *n, const char *from, const char *to, const char *protocol,
			     int port, struct trace *out, struct arena *a)
{
	struct arena *own = a ? NULL : arena_new(8 << 20);
	struct trace *t = out ? out : malloc(sizeof *t);
	struct trace_query q = {from,
				NULL,
				to,
				protocol ? protocol_parse(protocol, strlen(protocol)) : -1,
				protocol ? 40000 : -1,
				port};
	assert_non_null(t);
	must(forwarding_refresh(n->forwarding));
	must(trace_run(n->forwarding, &q, a ? a : own, t));
	enum trace_verdict v = t->verdict;
	if (!out)
		free(t);
	arena_free(own);
	return v;
}

size_t net_checks(struct net *n, struct finding **findings)
{
	for (bool done = false; checks_due(n->checks) && !done;)
		must(checks_step(n->checks, 64, n->now_ns, &done));
	return checks_findings(n->checks, findings);
}
