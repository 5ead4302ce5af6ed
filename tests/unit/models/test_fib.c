// SPDX-License-Identifier: Apache-2.0
// The forwarding engine against a plain walker that shares nothing with it: random networks,
// routes, access lists and packets. The walker keeps every route in one list and looks for the
// longest by hand.
#include "models/fib.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DEVICES = 6, PORTS = 4, ROUTES = 300, RULES = 12, UPDATES = 4000, OUTCOMES = 256 };

static uint64_t seed;
static uint32_t any(uint32_t n) // xorshift: the same networks in every run
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

struct plain_route {
	bool used, self, drop;
	uint32_t device, address, length, ports; // ports: bits
};

struct plain {
	bool split;
	int far[DEVICES][PORTS]; // device * PORTS + port, -1: an edge
	struct plain_route routes[ROUTES];
	struct fib_rule rules[2][RULES]; // list 0 inbound at device 1 port 0, list 1 outbound at
					 // device 2 port 1
	bool has_rule[2][RULES];
	// a walk
	bool on_path[DEVICES * (PORTS + 1)], done[DEVICES * (PORTS + 1)];
	struct fib_outcome out[OUTCOMES];
	unsigned n;
};

static uint32_t mask_of(uint32_t length)
{
	return length ? UINT32_MAX << (32 - length) : 0;
}

static const struct plain_route *longest(const struct plain *p, uint32_t device, uint32_t address)
{
	const struct plain_route *best = NULL;
	for (int i = 0; i < ROUTES; i++) {
		const struct plain_route *r = &p->routes[i];
		if (r->used && r->device == device &&
		    (address & mask_of(r->length)) == r->address &&
		    (!best || r->length > best->length))
			best = r;
	}
	return best;
}

static bool permits(const struct plain *p, int list, const struct fib_packet *k)
{
	int best = -1;
	for (int i = 0; i < RULES; i++) {
		const struct fib_rule *r = &p->rules[list][i];
		if (p->has_rule[list][i] &&
		    (best < 0 || r->priority > p->rules[list][best].priority) &&
		    (k->source & r->source.mask) == r->source.value &&
		    (k->destination & r->destination.mask) == r->destination.value &&
		    k->protocol >= r->protocol_low && k->protocol <= r->protocol_high &&
		    k->destination_port >= r->destination_low &&
		    k->destination_port <= r->destination_high)
			best = i;
	}
	return best >= 0 && p->rules[list][best].permit;
}

static void add(struct plain *p, enum fib_fate fate, uint32_t device, uint32_t port)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->out[i].fate == fate && p->out[i].device == device && p->out[i].port == port)
			return;
	assert_true(p->n < OUTCOMES);
	p->out[p->n++] = (struct fib_outcome){fate, device, port};
}

static void walk(struct plain *p, const struct fib_packet *k, uint32_t device, int in)
{
	int state = p->split ? (int)device * (PORTS + 1) + in + 1 : (int)device * (PORTS + 1);
	if (p->on_path[state])
		add(p, FIB_LOOP, 0, 0);
	if (p->on_path[state] || p->done[state])
		return;
	p->on_path[state] = true;
	const struct plain_route *r = longest(p, device, k->destination);
	if (!r)
		add(p, FIB_NO_ROUTE, device, 0);
	if (r && r->self)
		add(p, FIB_SELF, device, 0);
	if (r && r->drop)
		add(p, FIB_DROP, device, 0);
	bool only_back = r && r->ports && p->split && in >= 0 && r->ports == 1u << in && !r->self &&
			 !r->drop;
	if (only_back)
		add(p, FIB_HAIRPIN, device, device * PORTS + (uint32_t)in);
	for (int port = 0; r && port < PORTS; port++) {
		uint32_t number = device * PORTS + (uint32_t)port;
		if (!(r->ports >> port & 1) || (p->split && port == in))
			continue;
		int far = p->far[device][port];
		if (device == 2 && port == 1 && !permits(p, 1, k))
			add(p, FIB_DENY_OUT, device, number);
		else if (far < 0)
			add(p, FIB_EXIT, device, number);
		else if (far == 1 * PORTS && !permits(p, 0, k))
			add(p, FIB_DENY_IN, 1, (uint32_t)far);
		else
			walk(p, k, (uint32_t)far / PORTS, far % PORTS);
	}
	p->on_path[state] = false;
	p->done[state] = true;
}

static void topology(struct plain *p, struct fib *f)
{
	char name[16];
	uint32_t n, list;
	for (int d = 0; d < DEVICES; d++) {
		snprintf(name, sizeof name, "d%d", d);
		assert_int_equal(fib_device_add(f, name, &n).code, ERR_NONE);
		for (int k = 0; k < PORTS; k++) {
			snprintf(name, sizeof name, "p%d", k);
			assert_int_equal(fib_port_add(f, (uint32_t)d, name, &n).code, ERR_NONE);
			assert_int_equal(n, d * PORTS + k);
			p->far[d][k] = -1;
		}
	}
	for (int i = 0; i < 9; i++) { // two-way links between free ports
		int a = (int)any(DEVICES), b = (int)any(DEVICES), x = (int)any(PORTS),
		    y = (int)any(PORTS);
		if (a == b || p->far[a][x] >= 0 || p->far[b][y] >= 0)
			continue;
		p->far[a][x] = b * PORTS + y;
		p->far[b][y] = a * PORTS + x;
		assert_int_equal(
			fib_link_add(f, (uint32_t)(a * PORTS + x), (uint32_t)(b * PORTS + y)).code,
			ERR_NONE);
		assert_int_equal(
			fib_link_add(f, (uint32_t)(b * PORTS + y), (uint32_t)(a * PORTS + x)).code,
			ERR_NONE);
	}
	assert_int_equal(fib_split_horizon(f, p->split).code, ERR_NONE);
	assert_int_equal(fib_acl_add(f, 1, "in", &list).code, ERR_NONE);
	assert_int_equal(fib_acl_bind(f, 1 * PORTS, false, list).code, ERR_NONE);
	assert_int_equal(fib_acl_add(f, 2, "out", &list).code, ERR_NONE);
	assert_int_equal(fib_acl_bind(f, 2 * PORTS + 1, true, list).code, ERR_NONE);
}

static uint32_t some_address(void) // few bits vary, so that prefixes nest and meet
{
	return 0x0a000000 | any(8) << 16 | any(4) << 8 | any(4);
}

static void put(struct plain *p, struct fib *f, struct plain_route *r)
{
	uint32_t ports[PORTS];
	struct fib_set s = {.ports = ports, .self = r->self, .drop = r->drop};
	struct fib_change c;
	uint16_t set;
	for (uint32_t i = 0; i < PORTS; i++)
		if (r->ports >> i & 1)
			ports[s.n++] = r->device * PORTS + i;
	assert_int_equal(fib_set_make(f, r->device, &s, &set).code, ERR_NONE);
	assert_int_equal(fib_route_put(f, r->device, r->address, r->length, set, &c).code,
			 ERR_NONE);
}

static struct plain_route *same_place(struct plain *p, const struct plain_route *r)
{
	struct plain_route *unused = NULL;
	for (int i = 0; i < ROUTES; i++) {
		struct plain_route *q = &p->routes[i];
		if (q->used && q->device == r->device && q->address == r->address &&
		    q->length == r->length)
			return q;
		if (!q->used)
			unused = q;
	}
	return unused;
}

static void change_route(struct plain *p, struct fib *f)
{
	struct fib_change c;
	struct plain_route *r = &p->routes[any(ROUTES)];
	if (r->used && any(3)) {
		assert_int_equal(fib_route_remove(f, r->device, r->address, r->length, &c).code,
				 ERR_NONE);
		r->used = false;
		return;
	}
	struct plain_route n = {
		.used = true, .device = any(DEVICES), .length = any(33), .ports = any(1 << PORTS)};
	n.address = some_address() & mask_of(n.length);
	n.self = !n.ports && any(2);
	n.drop = !n.ports && !n.self;
	r = same_place(p, &n);
	if (!r)
		return;
	*r = n;
	put(p, f, r);
}

static void change_rule(struct plain *p, struct fib *f)
{
	int list = (int)any(2), i = (int)any(RULES);
	struct fib_rule *r = &p->rules[list][i];
	struct fib_change c;
	if (p->has_rule[list][i]) {
		assert_int_equal(fib_rule_remove(f, (uint32_t)list, r->priority, &c).code,
				 ERR_NONE);
		p->has_rule[list][i] = false;
		return;
	}
	static const uint32_t masks[] = {0,	     0xff000000, 0xffff0000,
					 0xffffff00, 0xff00ff00, 0xffffffff};
	*r = (struct fib_rule){.priority = i * 10,
			       .permit = any(2),
			       .protocol_high = 255,
			       .source_high = 65535,
			       .destination_high = 65535};
	r->source.mask = masks[any(6)];
	r->source.value = some_address() & r->source.mask;
	r->destination.mask = masks[any(6)];
	r->destination.value = some_address() & r->destination.mask;
	if (any(2))
		r->protocol_low = r->protocol_high = (uint8_t)(any(2) ? 6 : 17);
	if (any(2))
		r->destination_low = (uint16_t)(r->destination_high = (uint16_t)(80 + any(3)));
	p->has_rule[list][i] = true;
	assert_int_equal(fib_rule_put(f, (uint32_t)list, r, &c).code, ERR_NONE);
}

static bool compare(struct plain *p, struct fib *f, struct fib_packet *k)
{
	struct fib_outcome out[OUTCOMES];
	bool loops = false;
	for (uint32_t d = 0; d < DEVICES; d++) {
		size_t n = 0;
		p->n = 0;
		memset(p->on_path, 0, sizeof p->on_path);
		memset(p->done, 0, sizeof p->done);
		walk(p, k, d, -1);
		assert_int_equal(fib_trace(f, k, d, out, OUTCOMES, &n).code, ERR_NONE);
		assert_int_equal(n, p->n);
		for (size_t i = 0; i < n; i++) {
			unsigned before = p->n;
			add(p, out[i].fate, out[i].device, out[i].port);
			assert_int_equal(p->n, before); // the walker had it too
			loops |= out[i].fate == FIB_LOOP;
		}
	}
	return loops;
}

static bool compare_some(struct plain *p, struct fib *f, int count)
{
	bool loops = false;
	for (int i = 0; i < count; i++) {
		struct fib_packet k = {some_address(), some_address(), any(2) ? 6 : 17,
				       (uint16_t)any(65536), (uint16_t)(80 + any(4))};
		loops |= compare(p, f, &k);
	}
	return loops;
}

static void agrees_with_the_walker(void **state)
{
	for (int round = 0; round < 8; round++) {
		static struct plain p;
		struct fib_packet k;
		struct fib_counts c;
		memset(&p, 0, sizeof p);
		seed = 88172645463325252ull + (uint64_t)round;
		p.split = round & 1;
		struct fib *f = fib_new(0);
		assert_non_null(f);
		topology(&p, f);
		for (int i = 0; i < UPDATES; i++) {
			if (any(5))
				change_route(&p, f);
			else
				change_rule(&p, f);
			if (i % 20 == 19 && compare_some(&p, f, 4))
				assert_true(fib_loop_find(f, &k));
		}
		if (fib_loop_find(f, &k)) // its example loops from somewhere
			assert_true(compare(&p, f, &k));
		for (int i = 0; i < ROUTES; i++) {
			struct fib_change change;
			if (p.routes[i].used)
				assert_int_equal(fib_route_remove(f, p.routes[i].device,
								  p.routes[i].address,
								  p.routes[i].length, &change)
							 .code,
						 ERR_NONE);
		}
		fib_count(f, &c);
		assert_int_equal(c.atoms, 1); // every boundary went with its routes
		assert_int_equal(c.loops, 0);
		fib_free(f);
	}
}

static void trial_is_taken_back(void **state)
{
	static struct plain p, before;
	memset(&p, 0, sizeof p);
	seed = 362436069;
	struct fib *f = fib_new(0);
	topology(&p, f);
	for (int i = 0; i < 500; i++)
		change_route(&p, f);
	for (int i = 0; i < 50; i++) {
		before = p;
		fib_try_begin(f);
		for (int k = 0; k < 20; k++)
			change_route(&p, f);
		compare_some(&p, f, 3);
		assert_int_equal(fib_try_undo(f).code, ERR_NONE);
		p = before;
		compare_some(&p, f, 5);
	}
	fib_free(f);
}

static void says_what_is_wrong(void **state)
{
	struct fib *f = fib_new(0);
	uint32_t d, port;
	struct fib_change c;
	uint16_t set;
	assert_int_equal(fib_device_add(f, "a", &d).code, ERR_NONE);
	assert_int_equal(fib_device_add(f, "a", &d).code, ERR_USAGE);
	assert_int_equal(fib_port_add(f, 0, "p", &port).code, ERR_NONE);
	assert_int_equal(fib_set_make(f, 0, &(struct fib_set){&port, 1, false, false}, &set).code,
			 ERR_NONE);
	assert_int_equal(fib_set_make(f, 0, &(struct fib_set){0}, &set).code, ERR_USAGE);
	assert_int_equal(fib_route_put(f, 0, 0x0a000001, 8, set, &c).code, ERR_USAGE);
	assert_int_equal(fib_route_put(f, 0, 0x0a000000, 33, set, &c).code, ERR_USAGE);
	assert_int_equal(fib_route_remove(f, 0, 0x0a000000, 8, &c).code, ERR_NOT_FOUND);
	assert_int_equal(fib_device_add(f, "late", &d).code, ERR_USAGE);
	fib_free(f);
	f = fib_new(64); // no room for a matrix
	assert_int_equal(fib_device_add(f, "a", &d).code, ERR_NONE);
	assert_int_equal(fib_port_add(f, 0, "p", &port).code, ERR_NONE);
	assert_int_equal(fib_set_make(f, 0, &(struct fib_set){&port, 1, false, false}, &set).code,
			 ERR_LIMIT);
	fib_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_walker),
		cmocka_unit_test(trial_is_taken_back),
		cmocka_unit_test(says_what_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
