// SPDX-License-Identifier: Apache-2.0
// The engine against two oracles that are too simple to be wrong: random tables over a space of 32
// addresses, walked by trying every route for every packet; and random rule sets, where every
// packet of a small world is filtered one by one. Tables change between questions, so that what is
// kept from before is tested too.

#include "net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed;

static unsigned dice(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

// --- forwarding

enum { DEVICES = 5, SPACE = 32, ROUTES = 24 }; // destinations 10.66.0.0 to 10.66.0.31

struct plain_route {
	bool there, discard;
	unsigned from, length; // prefix 10.66.0.(from)/(27 + length)
	unsigned hops;	       // bit set of devices
};

struct world {
	struct net *n;
	struct plain_route routes[DEVICES][ROUTES];
	int owner[SPACE];	     // device that owns the address, -1
	bool down[DEVICES][DEVICES]; // our interface towards the other
};

static void name(unsigned device, char out[8])
{
	snprintf(out, 8, "d%u", device);
}

static bool covers(const struct plain_route *r, unsigned to)
{
	return r->there && to >> (5 - r->length) == r->from >> (5 - r->length);
}

static bool lost; // some packet was, after it left its first device

static enum trace_verdict oracle(const struct world *w, unsigned device, unsigned to, unsigned path)
{
	if (w->owner[to] == (int)device)
		return TRACE_DELIVERED;
	const struct plain_route *best = NULL;
	for (unsigned i = 0; i < ROUTES; i++)
		if (covers(&w->routes[device][i], to) &&
		    (!best || w->routes[device][i].length > best->length))
			best = &w->routes[device][i];
	lost |= !best && path != 1u << device;
	if (!best)
		return TRACE_NO_ROUTE;
	if (best->discard)
		return TRACE_DISCARDED;
	enum trace_verdict worst = TRACE_DELIVERED;
	for (unsigned d = 0; d < DEVICES; d++) {
		if (!(best->hops >> d & 1))
			continue;
		enum trace_verdict v = w->down[device][d] || w->down[d][device] ? TRACE_BLACK_HOLE
				       : path >> d & 1				? TRACE_LOOP
						       : oracle(w, d, to, path | 1u << d);
		lost |= v == TRACE_BLACK_HOLE;
		if (v > worst)
			worst = v;
	}
	return worst;
}

static void mesh(struct world *w)
{
	char a[8], b[8], ia[16], ib[16], subnet[32];
	for (unsigned i = 0; i < DEVICES; i++)
		for (unsigned k = i + 1; k < DEVICES; k++) {
			name(i, a);
			name(k, b);
			snprintf(ia, sizeof ia, "to%u", k);
			snprintf(ib, sizeof ib, "to%u", i);
			snprintf(subnet, sizeof subnet, "10.%u.%u", i, k);
			net_link(w->n, a, ia, b, ib, subnet);
		}
	for (unsigned to = 0; to < SPACE; to++) {
		char address[32];
		w->owner[to] = dice(3) ? -1 : (int)dice(DEVICES);
		if (w->owner[to] < 0)
			continue;
		name((unsigned)w->owner[to], a);
		snprintf(address, sizeof address, "10.66.0.%u/32", to);
		net_interface(w->n, a, "lo", address);
	}
}

static void route_say(struct world *w, unsigned device, const struct plain_route *r)
{
	char dev[8], prefix[32], hops[256] = "";
	name(device, dev);
	snprintf(prefix, sizeof prefix, "10.66.0.%u/%u", r->from, 27 + r->length);
	net_route_gone(w->n, dev, prefix);
	if (!r->there)
		return;
	for (unsigned d = 0; d < DEVICES; d++)
		if (r->hops >> d & 1) {
			unsigned low = device < d ? device : d, high = device < d ? d : device;
			size_t at = strlen(hops);
			snprintf(hops + at, sizeof hops - at, "%s10.%u.%u.%u to%u", at ? "," : "",
				 low, high, device < d ? 2 : 1, d);
		}
	net_route(w->n, dev, prefix, r->discard ? "discard" : hops);
}

static void route_change(struct world *w)
{
	unsigned device = dice(DEVICES), length = dice(6);
	unsigned from = dice(SPACE) >> (5 - length) << (5 - length);
	struct plain_route *r = NULL;
	for (unsigned i = 0; i < ROUTES; i++) {
		struct plain_route *x = &w->routes[device][i];
		if (x->there && x->from == from && x->length == length)
			r = x; // the same prefix again: replaced
		else if (!x->there && !r)
			r = x;
	}
	if (!r)
		r = &w->routes[device][dice(ROUTES)];
	if (r->there && (r->from != from || r->length != length)) {
		r->there = false;
		route_say(w, device, r);
	}
	unsigned hops = (1 + dice((1u << DEVICES) - 1)) & (dice(2) ? ~0u : 1u << dice(DEVICES));
	hops &= ~(1u << device);
	*r = (struct plain_route){dice(4) != 0, dice(8) == 0, from, length, hops};
	if (!hops)
		r->discard = true;
	route_say(w, device, r);
}

static void status_change(struct world *w)
{
	unsigned a = dice(DEVICES), b = dice(DEVICES);
	char dev[8], interface[16];
	if (a == b)
		return;
	name(a, dev);
	snprintf(interface, sizeof interface, "to%u", b);
	w->down[a][b] = dice(4) == 0;
	net_status(w->n, dev, interface, w->down[a][b] ? "DOWN" : "UP");
}

static void compare(struct world *w)
{
	bool loops = false;
	lost = false;
	char from[8], to[32];
	for (unsigned d = 0; d < DEVICES; d++)
		for (unsigned a = 0; a < SPACE; a++) {
			enum trace_verdict want = oracle(w, d, a, 1u << d);
			loops |= want == TRACE_LOOP;
			name(d, from);
			snprintf(to, sizeof to, "10.66.0.%u", a);
			enum trace_verdict got = net_trace(w->n, from, to, "tcp", 80, NULL, NULL);
			if (got != want)
				fail_msg("%s to %s: %s, but the oracle says %s", from, to,
					 trace_verdict_name(got), trace_verdict_name(want));
		}
	struct finding *f;
	size_t n = net_checks(w->n, &f);
	bool looping = false, losing = false;
	for (size_t i = 0; i < n; i++) {
		looping |= f[i].kind == FINDING_LOOP;
		losing |= f[i].kind == FINDING_BLACK_HOLE;
	}
	assert_int_equal(looping, loops);
	assert_int_equal(losing, lost);
}

static void forwarding_agrees_with_the_oracle(void **state)
{
	for (unsigned world = 1; world <= 12; world++) {
		struct net n;
		struct world *w = calloc(1, sizeof *w);
		seed = world * 0x9e3779b97f4a7c15ull;
		net_start(&n);
		w->n = &n;
		mesh(w);
		for (unsigned round = 0; round < 12; round++) {
			for (unsigned i = 0; i < 8; i++)
				route_change(w);
			status_change(w);
			compare(w);
		}
		net_end(&n);
		free(w);
	}
}

// --- filters

enum { CHAINS = 4, RULES = 5 };
static const char *const chain_names[CHAINS] = {"one", "two", "three", "four"};

struct plain_rule {
	int protocol, low, high, source; // -1: any
	int action;			 // 0 accept 1 drop 2 continue 3 return 4 jump 5 goto
	int jump;
};
struct rules {
	struct plain_rule r[CHAINS][RULES];
	int policy[2]; // of the base chains, one and two: 0 accept, 1 drop
};

enum { ON, ACCEPTED, DROPPED };

static int chain_oracle(const struct rules *x, int chain, int protocol, int port, int source,
			int depth)
{
	for (int i = 0; i < RULES; i++) {
		const struct plain_rule *r = &x->r[chain][i];
		if ((r->protocol >= 0 && r->protocol != protocol) ||
		    (r->low >= 0 && (port < r->low || port > r->high)) ||
		    (r->source >= 0 && r->source != source) || r->action == 2)
			continue;
		if (r->action <= 1)
			return r->action ? DROPPED : ACCEPTED;
		if (r->action == 3)
			return ON;
		int v = chain_oracle(x, r->jump, protocol, port, source, depth + 1);
		if (v != ON || r->action == 5)
			return v;
	}
	return ON;
}

static bool passes(const struct rules *x, int protocol, int port, int source)
{
	for (int base = 0; base < 2; base++) {
		int v = chain_oracle(x, base, protocol, port, source, 0);
		if (v == DROPPED || (v == ON && x->policy[base]))
			return false;
	}
	return true;
}

static struct plain_rule rule_random(int chain)
{
	struct plain_rule r = {-1, -1, -1, -1, (int)dice(6), 0};
	if (dice(3))
		r.protocol = dice(2) ? 6 : 17;
	if (r.protocol >= 0 && dice(2)) {
		r.low = 1 + (int)dice(4);
		r.high = r.low + (int)dice(3);
	}
	if (dice(3) == 0)
		r.source = 1 + (int)dice(3);
	// only downwards, so that nothing goes round; the base chains are not jumped to
	r.jump = chain < 2 ? 2 + (int)dice(2) : 3;
	if (r.action >= 4 && chain == 3)
		r.action = 0;
	return r;
}

static void rules_make(struct net *n, struct rules *x)
{
	static const char *const actions[] = {"ACCEPT", "DROP", "CONTINUE",
					      "RETURN", "JUMP", "GOTO"};
	for (int c = 0; c < CHAINS; c++) {
		char chain[32];
		snprintf(chain, sizeof chain, "inet:t:%s", chain_names[c]);
		if (c < 2)
			x->policy[c] = (int)dice(2);
		net_chain(n, "fw", chain, c < 2 ? "forward" : NULL, c * 10,
			  c < 2 && x->policy[c] ? "DROP" : "ACCEPT");
		for (int i = 0; i < RULES; i++) {
			struct plain_rule r = x->r[c][i] = rule_random(c);
			char fields[128] = "", action[32], sequence[16];
			size_t at = 0;
			if (r.protocol >= 0)
				at += (size_t)snprintf(fields, sizeof fields, "proto=%d",
						       r.protocol);
			if (r.low >= 0)
				at += (size_t)snprintf(fields + at, sizeof fields - at,
						       " dport=%d..%d", r.low, r.high);
			if (r.source >= 0)
				snprintf(fields + at, sizeof fields - at, " src=10.1.0.%d",
					 r.source);
			snprintf(sequence, sizeof sequence, "%d", i + 1);
			snprintf(action, sizeof action, "%s%s%s", actions[r.action],
				 r.action >= 4 ? " " : "",
				 r.action >= 4 ? chain_names[r.jump] : "");
			net_rule(n, "fw", chain, sequence, fields, action);
		}
	}
}

static enum trace_verdict ask(struct net *n, int protocol, int port, int source)
{
	char from[32];
	snprintf(from, sizeof from, "10.1.0.%d", source);
	return net_trace(n, from, "10.2.0.20",
			 protocol == 6	  ? "tcp"
			 : protocol == 17 ? "udp"
					  : NULL,
			 port, NULL, NULL);
}

// Sure answers to open questions hold for every packet that the question covers; unsure ones are
// unsure for a reason only of the method (it does not join what two rules say), never wrong.
static void check_open(struct net *n, const struct rules *x, int source, unsigned *sure)
{
	enum trace_verdict v = ask(n, -1, -1, source);
	if (v == TRACE_INCONCLUSIVE)
		return;
	++*sure;
	for (int port = 1; port <= 7; port++)
		for (int p = 0; p < 2; p++)
			assert_int_equal(v == TRACE_DELIVERED, passes(x, p ? 17 : 6, port, source));
}

static void filters_agree_with_the_oracle(void **state)
{
	unsigned sure = 0;
	for (unsigned round = 0; round < 300; round++) {
		struct net n;
		struct rules x;
		seed = 77777 + round * 0x9e3779b97f4a7c15ull;
		net_start(&n);
		net_interface(&n, "fw", "in0", "10.1.0.254/24");
		net_interface(&n, "fw", "out0", "10.2.0.1/24");
		net_route(&n, "fw", "10.2.0.0/24", "- out0");
		net_neighbour(&n, "fw", "out0", "10.2.0.20", "02:00:00:00:00:20", "REACHABLE");
		rules_make(&n, &x);
		for (int source = 1; source <= 4; source++) {
			for (int port = 1; port <= 7; port++)
				for (int p = 0; p < 2; p++)
					assert_int_equal(ask(&n, p ? 17 : 6, port, source),
							 passes(&x, p ? 17 : 6, port, source)
								 ? TRACE_DELIVERED
								 : TRACE_DROPPED);
			check_open(&n, &x, source, &sure);
		}
		net_end(&n);
	}
	assert_true(sure > 50); // the method must answer often enough to be of use
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forwarding_agrees_with_the_oracle),
		cmocka_unit_test(filters_agree_with_the_oracle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
