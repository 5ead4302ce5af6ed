// SPDX-License-Identifier: Apache-2.0
// Access lists of the engine: one packet against a list, and whether any packet of an atom passes
// several lists in a row.
//
// The second question is a search over boxes (ternary addresses, intervals of ports and protocols):
// at each rule that meets the box, the common part is permitted onwards or dropped, and what is
// left of the box goes on to the next rule. The first box that passes the last list is the
// counter-example. The search is exact; where it grows past SEARCH_STEPS it gives up and says so.
#include "models/fib_internal.h"

#include <stdlib.h>
#include <string.h>

enum { SEARCH_STEPS = 1 << 18, SEARCH_DEPTH = 8192, RULES_MOST = 1 << 24 };

static bool matches(const struct fib_match *m, uint32_t address)
{
	return ((address ^ m->value) & m->mask) == 0;
}

static bool rule_matches(const struct fib_rule *r, const struct fib_packet *p)
{
	return p->protocol >= r->protocol_low && p->protocol <= r->protocol_high &&
	       matches(&r->destination, p->destination) && matches(&r->source, p->source) &&
	       p->source_port >= r->source_low && p->source_port <= r->source_high &&
	       p->destination_port >= r->destination_low &&
	       p->destination_port <= r->destination_high;
}

bool fib_list_permits(const struct fib_list *l, const struct fib_packet *p)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (rule_matches(&l->rules[i], p))
			return l->rules[i].permit;
	return false; // no rule: denied, also by an empty list
}

bool fib_port_permits(const struct fib *f, const struct fib_port *p, bool out,
		      const struct fib_packet *k)
{
	uint32_t n = out ? p->n_out : p->n_in;
	const uint32_t *lists = out ? p->out : p->in;
	for (uint32_t i = 0; i < n; i++)
		if (!fib_list_permits(&f->lists[lists[i]], k))
			return false;
	return true;
}

// --- boxes

enum { SOURCE, DESTINATION, TERNARIES };
enum { PROTOCOL, SOURCE_PORT, DESTINATION_PORT, RANGES };

struct range {
	uint16_t low, high;
};

struct box {
	struct fib_match t[TERNARIES];
	struct range r[RANGES];
};

static struct box rule_box(const struct fib_rule *r)
{
	return (struct box){.t = {[SOURCE] = r->source, [DESTINATION] = r->destination},
			    .r = {[PROTOCOL] = {r->protocol_low, r->protocol_high},
				  [SOURCE_PORT] = {r->source_low, r->source_high},
				  [DESTINATION_PORT] = {r->destination_low, r->destination_high}}};
}

static bool box_meet(const struct box *a, const struct box *b, struct box *out)
{
	for (int i = 0; i < TERNARIES; i++) {
		if ((a->t[i].value ^ b->t[i].value) & a->t[i].mask & b->t[i].mask)
			return false;
		out->t[i].mask = a->t[i].mask | b->t[i].mask;
		out->t[i].value = (a->t[i].value & a->t[i].mask) | (b->t[i].value & b->t[i].mask);
	}
	for (int i = 0; i < RANGES; i++) {
		out->r[i].low = a->r[i].low > b->r[i].low ? a->r[i].low : b->r[i].low;
		out->r[i].high = a->r[i].high < b->r[i].high ? a->r[i].high : b->r[i].high;
		if (out->r[i].low > out->r[i].high)
			return false;
	}
	return true;
}

struct meeting {
	const struct fib *f;
	const uint32_t *lists;
	size_t n;
	uint32_t steps, depth;
	bool unsure;
	struct box found;
};

static bool box_passes(struct meeting *m, size_t list, uint32_t rule, struct box box);

// The parts of `box` that lie outside `inner` (which lies inside it) go on to the next rule, one by
// one.
static bool rest_passes(struct meeting *m, size_t list, uint32_t rule, struct box box,
			const struct box *inner)
{
	for (int i = 0; i < TERNARIES; i++) {
		uint32_t extra = inner->t[i].mask & ~box.t[i].mask;
		while (extra) {
			uint32_t bit = extra & -extra;
			struct box part = box;
			part.t[i].mask |= bit;
			part.t[i].value = (box.t[i].value & ~bit) | (~inner->t[i].value & bit);
			if (box_passes(m, list, rule, part))
				return true;
			box.t[i].mask |= bit;
			box.t[i].value = (box.t[i].value & ~bit) | (inner->t[i].value & bit);
			extra &= ~bit;
		}
	}
	for (int i = 0; i < RANGES; i++) {
		struct box part = box;
		if (box.r[i].low < inner->r[i].low) {
			part.r[i].high = (uint16_t)(inner->r[i].low - 1);
			if (box_passes(m, list, rule, part))
				return true;
		}
		part = box;
		if (box.r[i].high > inner->r[i].high) {
			part.r[i].low = (uint16_t)(inner->r[i].high + 1);
			if (box_passes(m, list, rule, part))
				return true;
		}
		box.r[i] = inner->r[i];
	}
	return false;
}

static bool rules_pass(struct meeting *m, size_t list, uint32_t rule, const struct box *box)
{
	const struct fib_list *l = &m->f->lists[m->lists[list]];
	for (; rule < l->n; rule++) {
		struct box of_rule = rule_box(&l->rules[rule]), inner;
		if (m->steps++ > SEARCH_STEPS) {
			m->unsure = true;
			return false;
		}
		if (!box_meet(box, &of_rule, &inner))
			continue;
		if (l->rules[rule].permit && box_passes(m, list + 1, 0, inner))
			return true;
		return rest_passes(m, list, rule + 1, *box, &inner);
	}
	return false;
}

static bool box_passes(struct meeting *m, size_t list, uint32_t rule, struct box box)
{
	if (list == m->n) {
		m->found = box;
		return true;
	}
	if (m->depth == SEARCH_DEPTH) {
		m->unsure = true;
		return false;
	}
	m->depth++;
	bool found = rules_pass(m, list, rule, &box);
	m->depth--;
	return found;
}

bool fib_lists_meet(const struct fib *f, const uint32_t *lists, size_t n, uint32_t atom,
		    struct fib_packet *out, bool *unsure)
{
	struct meeting m = {.f = f, .lists = lists, .n = n};
	uint64_t at = f->start[atom], end = (uint64_t)fib_atom_end(f, atom) + 1;
	while (at < end && !m.unsure) { // the interval as prefixes
		uint64_t size = at ? at & -at : 1ull << 32;
		while (at + size > end)
			size /= 2;
		struct box box = {.r = {[PROTOCOL] = {0, 255},
					[SOURCE_PORT] = {0, 65535},
					[DESTINATION_PORT] = {0, 65535}}};
		box.t[DESTINATION] = (struct fib_match){(uint32_t)at, (uint32_t) ~(size - 1)};
		if (box_passes(&m, 0, 0, box)) {
			*out = (struct fib_packet){
				m.found.t[DESTINATION].value, m.found.t[SOURCE].value,
				(uint8_t)m.found.r[PROTOCOL].low, m.found.r[SOURCE_PORT].low,
				m.found.r[DESTINATION_PORT].low};
			return true;
		}
		at += size;
	}
	*unsure |= m.unsure;
	return false;
}

// --- changes

// The place of a priority, or where it would stand.
static uint32_t rule_place(const struct fib_list *l, int64_t priority)
{
	uint32_t least = 0, n = l->n;
	while (n > 0) {
		uint32_t half = n / 2;
		bool right = l->rules[least + half].priority > priority;
		least = right ? least + half + 1 : least;
		n = right ? n - half - 1 : half;
	}
	return least;
}

// A list decides about loops only in atoms whose next hops already form a cycle.
static void list_changed(struct fib *f, struct fib_change *out)
{
	if (!f->n_cyclic || !f->has_acls)
		return;
	uint32_t atom = 0;
	do {
		struct fib_packet p;
		if (f->cyclic[atom] && fib_cycle_survives(f, atom, &p))
			out->address = out->loops++ ? out->address : p.destination;
		atom = f->next[atom];
	} while (atom);
}

struct err fib_rule_put(struct fib *f, uint32_t acl, const struct fib_rule *rule,
			struct fib_change *out)
{
	*out = (struct fib_change){0};
	ENSURE(acl < f->n_lists, ERR_USAGE, "no such access list");
	struct fib_list *l = &f->lists[acl];
	uint32_t at = rule_place(l, rule->priority);
	if (at == l->n || l->rules[at].priority != rule->priority) {
		void *p = l->n < RULES_MOST ? fib_grow(l->rules, l->n, &l->cap, sizeof *l->rules)
					    : NULL;
		ENSURE(p, ERR_LIMIT, "access list %s is full", l->name);
		l->rules = p;
		memmove(l->rules + at + 1, l->rules + at, (l->n - at) * sizeof *l->rules);
		l->n++;
		f->n_rules++;
	}
	l->rules[at] = *rule;
	list_changed(f, out);
	return OK;
}

struct err fib_rule_remove(struct fib *f, uint32_t acl, int64_t priority, struct fib_change *out)
{
	*out = (struct fib_change){0};
	ENSURE(acl < f->n_lists, ERR_USAGE, "no such access list");
	struct fib_list *l = &f->lists[acl];
	uint32_t at = rule_place(l, priority);
	ENSURE(at < l->n && l->rules[at].priority == priority, ERR_NOT_FOUND,
	       "access list %s has no rule %lld", l->name, (long long)priority);
	memmove(l->rules + at, l->rules + at + 1, (l->n - at - 1) * sizeof *l->rules);
	l->n--;
	f->n_rules--;
	list_changed(f, out);
	return OK;
}
