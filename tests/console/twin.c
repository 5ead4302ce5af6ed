// SPDX-License-Identifier: Apache-2.0
// A small campus in the real engine of the models process, for the console's test: facts are said
// as an agent says them, answers are the ones that /v1/topology and its neighbours give. Started
// with the time of its first facts in nanoseconds; then one command a line on standard input, and
// one line of JSON for each on standard output:
//     time NS            the facts that follow are of this moment
//     cut A B, heal A B  a link; routes follow by shortest path
//     count SECONDS      traffic goes on for so long
//     topology | checks | device ID | trace FROM TO SOURCE PROTOCOL SPORT DPORT   ("-": open)
#include "../unit/models/net.h"

#include "models/json.h"
#include "models/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 12, LINKS = 14, LANS = 4, FAR = 99, STALE_S = 60 };

static const struct {
	const char *id, *software, *loopback;
} nodes[NODES] = {
	{"access-guest", "Debian 12, FRR 8.4.4", "10.0.0.1"},
	{"access-staff", "Debian 12, FRR 8.4.4", "10.0.0.2"},
	{"core-1", "Debian 12, FRR 8.4.4", "10.0.0.3"},
	{"core-2", "Debian 12, FRR 8.4.4", "10.0.0.4"},
	{"core-3", "Debian 12, FRR 8.4.4", "10.0.0.5"},
	{"core-4", "Debian 12, FRR 8.4.4", "10.0.0.6"},
	{"edge-1", "Debian 12, FRR 8.4.4", "10.0.0.7"},
	{"finance-1", "Debian 12, FRR 8.4.4", "10.0.0.8"},
	{"fw-1", "Debian 12, nftables 1.0.6", "10.0.0.9"},
	{"isp-1", "SR Linux 23.10", "192.0.2.1"},
	{"mgmt-1", "Debian 12, FRR 8.4.4", "10.0.0.11"},
	{"servers-1", "Debian 12, FRR 8.4.4", "10.0.0.12"},
};

static struct link {
	const char *a, *b;
	double bps; // each way, about
	bool cut;
	int end[2], port[2]; // node and number of the interface
	uint64_t octets[2];  // a to b, b to a
} links[LINKS] = {
	{.a = "core-1", .b = "core-2", .bps = 212e6},
	{.a = "core-2", .b = "core-3", .bps = 96e6},
	{.a = "core-3", .b = "core-4", .bps = 41e6},
	{.a = "core-1", .b = "core-4", .bps = 388e6},
	{.a = "core-1", .b = "edge-1", .bps = 640e6},
	{.a = "core-2", .b = "edge-1", .bps = 74e6},
	{.a = "edge-1", .b = "isp-1", .bps = 703e6},
	{.a = "access-guest", .b = "core-3", .bps = 58e6},
	{.a = "access-staff", .b = "core-3", .bps = 22e6},
	{.a = "access-staff", .b = "core-4", .bps = 130e6},
	{.a = "core-1", .b = "fw-1", .bps = 310e6},
	{.a = "core-4", .b = "fw-1", .bps = 12e6},
	{.a = "finance-1", .b = "fw-1", .bps = 9e6},
	{.a = "fw-1", .b = "servers-1", .bps = 301e6},
};

static const struct {
	const char *node, *prefix, *address, *hosts[3];
} lans[LANS] = {
	{"access-guest", "10.20.0.0/24", "10.20.0.1/24", {"10.20.0.10", "10.20.0.11"}},
	{"access-staff",
	 "10.10.0.0/24",
	 "10.10.0.1/24",
	 {"10.10.0.10", "10.10.0.11", "10.10.0.12"}},
	{"finance-1", "10.30.0.0/24", "10.30.0.1/24", {"10.30.0.10"}},
	{"servers-1", "10.40.0.0/24", "10.40.0.1/24", {"10.40.0.10", "10.40.0.20"}},
};

static struct net net;
static int ports[NODES];

static int node_of(const char *id)
{
	for (int i = 0; i < NODES; i++)
		if (strcmp(nodes[i].id, id) == 0)
			return i;
	fprintf(stderr, "no node %s\n", id);
	exit(2);
}

static const char *port_name(int port)
{
	static char names[4][16];
	static int turn;
	turn = (turn + 1) % 4;
	snprintf(names[turn], sizeof names[turn], port < 0 ? "lan0" : "eth%d", port);
	return names[turn];
}

#define IF "/interfaces/interface[name=%s]"

static void say_port(int node, const char *name, uint64_t speed)
{
	const char *id = nodes[node].id;
	char mac[24];
	snprintf(mac, sizeof mac, "02:00:00:00:%02x:%02x", (unsigned)node, (unsigned)name[3]);
	net_set(&net, id, mac, IF "/ethernet/state/mac-address", name);
	net_set_uint(&net, id, speed, IF "/ethernet/state/port-speed", name);
	net_set_uint(&net, id, 1500, IF "/state/mtu", name);
}

static void say_link(int i)
{
	struct link *l = &links[i];
	char subnet[32];
	snprintf(subnet, sizeof subnet, "10.255.%d", i);
	l->end[0] = node_of(l->a);
	l->end[1] = node_of(l->b);
	for (int k = 0; k < 2; k++)
		l->port[k] = ports[l->end[k]]++;
	net_link(&net, l->a, port_name(l->port[0]), l->b, port_name(l->port[1]), subnet);
	for (int k = 0; k < 2; k++)
		say_port(l->end[k], port_name(l->port[k]), 1000000000);
}

static void say_lan(int i)
{
	const char *id = lans[i].node;
	net_interface(&net, id, "lan0", lans[i].address);
	say_port(node_of(id), "lan0", 1000000000);
	for (int k = 0; k < 3 && lans[i].hosts[k]; k++) {
		char mac[24];
		snprintf(mac, sizeof mac, "02:11:00:00:%02x:%02x", (unsigned)i, (unsigned)k);
		net_neighbour(&net, id, "lan0", lans[i].hosts[k], mac, "REACHABLE");
	}
}

static void say_rules(void)
{
	const char *chain = "inet:filter:forward";
	net_chain(&net, "fw-1", chain, "forward", 0, "DROP");
	net_rule(&net, "fw-1", chain, "1", "ct=ESTABLISHED comment=answers", "ACCEPT");
	net_rule(&net, "fw-1", chain, "2",
		 "src=10.20.0.0/16 dst=10.30.0.0/16 comment=guest-not-finance", "DROP");
	net_rule(&net, "fw-1", chain, "3",
		 "src=10.10.0.0/16 dst=10.30.0.0/16 proto=TCP dport=443 comment=staff-crm",
		 "ACCEPT");
	net_rule(&net, "fw-1", chain, "4", "dst=10.40.0.0/16 proto=TCP dport=443 comment=web",
		 "ACCEPT");
	net_rule(&net, "fw-1", chain, "5", "proto=ICMP comment=icmp", "ACCEPT");
	net_rule(&net, "fw-1", chain, "6", "src=10.0.0.0/24 comment=management", "ACCEPT");
}

// --- routes by shortest path

static int distance[NODES][NODES];

static void distances(void)
{
	for (int a = 0; a < NODES; a++)
		for (int b = 0; b < NODES; b++)
			distance[a][b] = a == b ? 0 : FAR;
	for (int i = 0; i < LINKS; i++)
		if (!links[i].cut)
			distance[links[i].end[0]][links[i].end[1]] =
				distance[links[i].end[1]][links[i].end[0]] = 1;
	for (int k = 0; k < NODES; k++)
		for (int a = 0; a < NODES; a++)
			for (int b = 0; b < NODES; b++)
				if (distance[a][k] + distance[k][b] < distance[a][b])
					distance[a][b] = distance[a][k] + distance[k][b];
}

static void route_to(int from, int to, const char *prefix)
{
	char hops[256] = "";
	net_route_gone(&net, nodes[from].id, prefix);
	for (int i = 0; i < LINKS; i++)
		for (int k = 0; k < 2; k++) {
			if (links[i].cut || links[i].end[k] != from ||
			    distance[links[i].end[!k]][to] != distance[from][to] - 1)
				continue;
			size_t n = strlen(hops);
			snprintf(hops + n, sizeof hops - n, "%s10.255.%d.%d %s", n ? "," : "", i,
				 2 - k, port_name(links[i].port[k]));
		}
	if (hops[0])
		net_route(&net, nodes[from].id, prefix, hops);
}

static void route_here(int node, const char *prefix, const char *hops)
{
	net_route(&net, nodes[node].id, prefix, hops);
	net_set(&net, nodes[node].id, "DIRECTLY_CONNECTED",
		"/network-instances/network-instance[name=default]/afts/ipv4-unicast/"
		"ipv4-entry[prefix=%s]/state/origin-protocol",
		prefix);
}

static void routes_connected(void)
{
	char prefix[32], hops[64];
	for (int i = 0; i < LINKS; i++) {
		snprintf(prefix, sizeof prefix, "10.255.%d.0/30", i);
		for (int k = 0; k < 2; k++) {
			snprintf(hops, sizeof hops, "- %s", port_name(links[i].port[k]));
			if (links[i].cut)
				net_route_gone(&net, nodes[links[i].end[k]].id, prefix);
			else
				route_here(links[i].end[k], prefix, hops);
		}
	}
	for (int i = 0; i < LANS; i++)
		route_here(node_of(lans[i].node), lans[i].prefix, "- lan0");
}

static void routes(void)
{
	char prefix[32];
	distances();
	routes_connected();
	for (int from = 0; from < NODES; from++) {
		if (distance[from][node_of("core-1")] == FAR)
			continue; // mgmt-1 stands alone
		for (int i = 0; i < LANS; i++)
			if (node_of(lans[i].node) != from)
				route_to(from, node_of(lans[i].node), lans[i].prefix);
		for (int to = 0; to < NODES; to++) {
			snprintf(prefix, sizeof prefix, "%s/32", nodes[to].loopback);
			if (to != from && distance[from][to] != FAR)
				route_to(from, to, prefix);
		}
		if (from != node_of("isp-1"))
			route_to(from, node_of("isp-1"), "0.0.0.0/0");
	}
	route_here(node_of("isp-1"), "0.0.0.0/0", "203.0.113.1 up0");
}

static void start(int64_t now_ns)
{
	net_start(&net);
	net.now_ns = now_ns;
	for (int i = 0; i < NODES; i++) {
		char address[32];
		net_set(&net, nodes[i].id, nodes[i].id, "/system/state/hostname");
		net_set(&net, nodes[i].id, nodes[i].software, "/system/state/software-version");
		net_set(&net, nodes[i].id, "0.1.0", "/gemel/agent/state/version");
		snprintf(address, sizeof address, "%s/32", nodes[i].loopback);
		net_interface(&net, nodes[i].id, "lo", address);
		route_here(i, address, "local");
	}
	for (int i = 0; i < LINKS; i++)
		say_link(i);
	for (int i = 0; i < LANS; i++)
		say_lan(i);
	net_interface(&net, "isp-1", "up0", "203.0.113.2/30");
	say_port(node_of("isp-1"), "up0", 10000000000);
	net_neighbour(&net, "isp-1", "up0", "203.0.113.1", "02:22:00:00:00:01", "REACHABLE");
	say_rules();
	routes();
}

// --- commands

static void cut(const char *a, const char *b, bool down)
{
	for (int i = 0; i < LINKS; i++) {
		struct link *l = &links[i];
		if (!((!strcmp(l->a, a) && !strcmp(l->b, b)) ||
		      (!strcmp(l->a, b) && !strcmp(l->b, a))))
			continue;
		l->cut = down;
		for (int k = 0; k < 2; k++)
			net_status(&net, nodes[l->end[k]].id, port_name(l->port[k]),
				   down ? "LOWER_LAYER_DOWN" : "UP");
	}
	routes();
}

static void count(double seconds)
{
	net.now_ns += (int64_t)(seconds * 1e9);
	for (int i = 0; i < LINKS; i++) {
		struct link *l = &links[i];
		for (int way = 0; way < 2 && !l->cut; way++)
			l->octets[way] += (uint64_t)(l->bps * (way ? 0.31 : 1) * seconds / 8);
		for (int k = 0; k < 2; k++) {
			const char *id = nodes[l->end[k]].id, *name = port_name(l->port[k]);
			if (strcmp(id, "isp-1") == 0)
				continue; // fell silent
			net_set_uint(&net, id, l->octets[!k], IF "/state/counters/in-octets", name);
			net_set_uint(&net, id, l->octets[k], IF "/state/counters/out-octets", name);
			net_set_uint(&net, id, l->octets[!k] / 900, IF "/state/counters/in-pkts",
				     name);
			net_set_uint(&net, id, l->octets[k] / 900, IF "/state/counters/out-pkts",
				     name);
		}
	}
	net_set_uint(&net, "mgmt-1", 0, IF "/state/counters/in-octets", "lo");
}

static void problem(struct err e)
{
	json_t *j = json_pack("{s:s,s:s}", "code", err_code_name(e.code), "problem", e.text);
	json_dumpf(j, stdout, JSON_COMPACT);
	json_decref(j);
}

static void say(json_t *j)
{
	json_dumpf(j, stdout, JSON_COMPACT);
	json_decref(j);
}

static const char *given(const char *word)
{
	return strcmp(word, "-") == 0 ? NULL : word;
}

static void trace(char *words[8], const struct view *v)
{
	scoped(arena) struct arena *a = arena_new(8 << 20);
	struct trace *t = arena_alloc(a, sizeof *t);
	struct trace_query q = {words[1], given(words[3]), words[2], -1, -1, -1};
	if (given(words[4]))
		q.protocol = protocol_parse(words[4], strlen(words[4]));
	if (given(words[5]))
		q.source_port = atoi(words[5]);
	if (given(words[6]))
		q.destination_port = atoi(words[6]);
	struct err e = t ? trace_run(net.forwarding, &q, a, t) : err_make(ERR_LIMIT, "memory");
	if (e.code != ERR_NONE)
		problem(e);
	else
		say(trace_json(net.forwarding, v, &q, t));
}

static void ask(char *words[8])
{
	struct view v = {net.state, net.now_ns, STALE_S * 1000000000LL};
	struct finding *findings;
	struct err e = forwarding_refresh(net.forwarding);
	uint32_t device;
	if (e.code != ERR_NONE) {
		problem(e);
	} else if (strcmp(words[0], "topology") == 0) {
		say(topology_json(net.topology, net.forwarding, &v));
	} else if (strcmp(words[0], "checks") == 0) {
		net_checks(&net, &findings);
		say(checks_json(net.checks, &v));
	} else if (strcmp(words[0], "trace") == 0) {
		trace(words, &v);
	} else if (strcmp(words[0], "device") == 0 &&
		   catalogue_device_find(series_catalogue(net.series), words[1], &device)) {
		say(device_json(&v, net.forwarding, device, true));
	} else {
		problem(err_make(ERR_NOT_FOUND,
				 "device \"%.64s\" has sent nothing that the twin knows of",
				 words[1]));
	}
}

int main(int argc, char **argv)
{
	static char none[] = "-";
	char line[1024], *save;
	if (argc != 2) {
		fprintf(stderr, "usage: %s NANOSECONDS\n", argv[0]);
		return 2;
	}
	start(atoll(argv[1]));
	while (fgets(line, sizeof line, stdin)) {
		char *words[8];
		char *at = strtok_r(line, " \n", &save);
		for (int i = 0; i < 8; i++) {
			words[i] = at ? at : none;
			at = at ? strtok_r(NULL, " \n", &save) : NULL;
		}
		if (strcmp(words[0], "time") == 0)
			net.now_ns = atoll(words[1]);
		else if (strcmp(words[0], "cut") == 0 || strcmp(words[0], "heal") == 0)
			cut(words[1], words[2], words[0][0] == 'c');
		else if (strcmp(words[0], "count") == 0)
			count(atof(words[1]));
		else
			ask(words);
		puts("");
		fflush(stdout);
	}
	net_end(&net);
	return 0;
}
