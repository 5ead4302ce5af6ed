// SPDX-License-Identifier: Apache-2.0

#include "models/acl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JUMPS_MAX = 16 }; // nftables' own bound

struct chain {
	uint32_t set;
	const struct set_value *value;
	char type[12], family[12], table[256]; // of the name TYPE:FAMILY:TABLE:CHAIN
	const char *name;
	bool foreign; // not one of ours to read: no such name, or a hook that is not modelled
	uint32_t first, n;
};

struct acl {
	const struct state *state;
	uint32_t device;
	struct chain *chains; // by priority, then name
	uint32_t n_chains;
	uint32_t *rules;
	char unreadable[200]; // why no verdict of this device can be trusted; "" fine
};

// --- compiling

static void name_split(struct chain *c, const char *text)
{
	int end = 0;
	c->foreign = sscanf(text, "%11[^:]:%11[^:]:%255[^:]:%n", c->type, c->family, c->table,
			    &end) != 3 ||
		     end == 0 || !text[end];
	c->name = c->foreign ? text : text + end;
}

struct sequence {
	unsigned long major, minor;
	const char *text;
};

static struct sequence sequence_of(const char *text)
{
	char *end;
	struct sequence s = {strtoul(text, &end, 10), 0, text};
	if (*end == '.')
		s.minor = strtoul(end + 1, NULL, 10);
	return s;
}

struct order {
	const struct catalogue_device *names;
};

static int rule_order(const void *a, const void *b, void *ctx)
{
	const struct order *o = ctx;
	struct sequence x =
		sequence_of(catalogue_identity(o->names, OBJECT_RULE, *(const uint32_t *)a)->text);
	struct sequence y =
		sequence_of(catalogue_identity(o->names, OBJECT_RULE, *(const uint32_t *)b)->text);
	if (x.major != y.major)
		return x.major < y.major ? -1 : 1;
	if (x.minor != y.minor)
		return x.minor < y.minor ? -1 : 1;
	return strcmp(x.text, y.text);
}

static int chain_order(const void *a, const void *b)
{
	const struct chain *x = a, *y = b;
	if (x->value->priority != y->value->priority)
		return x->value->priority < y->value->priority ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void rules_collect(struct acl *a, struct chain *c, uint32_t *at)
{
	const struct catalogue_device *names =
		catalogue_device(state_catalogue(a->state), a->device);
	struct object_ref ref = catalogue_identity(names, OBJECT_SET, c->set)->child;
	c->first = *at;
	for (; ref.kind; ref = catalogue_identity(names, OBJECT_RULE, ref.index)->next)
		if (state_value(a->state, a->device, OBJECT_RULE, ref.index))
			a->rules[(*at)++] = ref.index;
	c->n = *at - c->first;
	struct order o = {names};
	qsort_r(a->rules + c->first, c->n, sizeof *a->rules, rule_order, &o);
}

static void chain_check(struct acl *a, struct chain *c)
{
	const struct set_value *v = c->value;
	if (strcmp(c->family, "bridge") == 0 || strcmp(c->family, "arp") == 0)
		return; // not on the routed path
	if (c->foreign)
		snprintf(a->unreadable, sizeof a->unreadable,
			 "access list %.100s is not an nftables chain; only these are modelled",
			 c->name);
	else if (v->hook == HOOK_OTHER || (v->h.bad >> HAVE_HOOK & 1))
		snprintf(a->unreadable, sizeof a->unreadable,
			 "chain %s %.60s %.60s is on a hook that is not modelled", c->family,
			 c->table, c->name);
}

struct acl *acl_new(const struct state *s, uint32_t device)
{
	struct acl *a = calloc(1, sizeof *a);
	uint32_t sets = state_count(s, device, OBJECT_SET);
	if (!a)
		return NULL;
	a->state = s;
	a->device = device;
	a->chains = calloc(sets + 1, sizeof *a->chains);
	a->rules = calloc(state_count(s, device, OBJECT_RULE) + 1, sizeof *a->rules);
	if (!a->chains || !a->rules) {
		acl_free(a);
		return NULL;
	}
	const struct catalogue_device *names = catalogue_device(state_catalogue(s), device);
	uint32_t rules = 0;
	for (uint32_t i = 0; i < sets; i++) {
		struct chain *c = &a->chains[a->n_chains];
		c->set = i;
		c->value = state_value(s, device, OBJECT_SET, i);
		if (!c->value)
			continue;
		name_split(c, catalogue_identity(names, OBJECT_SET, i)->text);
		chain_check(a, c);
		rules_collect(a, c, &rules);
		a->n_chains++;
	}
	if (a->n_chains)
		qsort(a->chains, a->n_chains, sizeof *a->chains, chain_order);
	return a;
}

void acl_free(struct acl *a)
{
	if (!a)
		return;
	free(a->chains);
	free(a->rules);
	free(a);
}

// --- matching

enum match { MATCH_NO, MATCH_PERHAPS, MATCH_YES };

static enum match both(enum match a, enum match b)
{
	return a < b ? a : b;
}

static enum match match_prefix(const struct prefix *p, const struct address *a, uint8_t family)
{
	if (p->address.family != family)
		return MATCH_NO;
	if (!a->family)
		return p->length ? MATCH_PERHAPS : MATCH_YES;
	return prefix_contains(p, a) ? MATCH_YES : MATCH_NO;
}

static enum match match_ports(const struct ports *ports, const struct packet *p, int port)
{
	static const int with_ports[] = {6, 17, 33, 132, 136};
	bool has = p->protocol < 0;
	for (unsigned i = 0; i < sizeof with_ports / sizeof *with_ports; i++)
		has |= p->protocol == with_ports[i];
	if (!has)
		return MATCH_NO;
	enum match known = p->protocol < 0 ? MATCH_PERHAPS : MATCH_YES;
	if (port < 0)
		return ports->low == 0 && ports->high == 65535 ? known : MATCH_PERHAPS;
	return port >= ports->low && port <= ports->high ? known : MATCH_NO;
}

// nft writes a wildcard as "eth*".
static enum match match_interface(const char *rule, const char *name)
{
	if (!name)
		return MATCH_NO;
	size_t n = strlen(rule);
	if (n && rule[n - 1] == '*')
		return strncmp(rule, name, n - 1) == 0 ? MATCH_YES : MATCH_NO;
	return strcmp(rule, name) == 0 ? MATCH_YES : MATCH_NO;
}

// A protocol said of one family only: whether the rule was meant for the other is not known.
static enum match match_protocol(const struct rule_value *r, const struct packet *p)
{
	int own = p->destination.family == 6;
	bool has[2] = {have(&r->h, HAVE_PROTOCOL), have(&r->h, HAVE_PROTOCOL6)};
	if (!has[0] && !has[1])
		return MATCH_YES;
	int wanted = r->protocol[has[own] ? own : 1 - own];
	if (p->protocol >= 0 && p->protocol != wanted)
		return MATCH_NO;
	return p->protocol >= 0 && has[own] ? MATCH_YES : MATCH_PERHAPS;
}

struct question {
	const struct acl *acl;
	const struct packet *packet;
	const char *in, *out;
	unsigned possible;  // of enum possible
	uint32_t set, rule; // what decided, or first was unsure
	uint32_t unsure_set, unsure_rule;
	bool unsure;
	char why[200];
};
enum possible {
	POSSIBLE_ACCEPT = 1,
	POSSIBLE_DROP = 2,
	POSSIBLE_REJECT = 4,
	POSSIBLE_ANYTHING = 8
};

static enum match match_rule(const struct rule_value *r, const struct question *q)
{
	const struct packet *p = q->packet;
	enum match m = MATCH_YES;
	for (int i = 0; i < 2; i++) {
		if (have(&r->h, i ? HAVE_SOURCE6 : HAVE_SOURCE))
			m = both(m, match_prefix(&r->source[i], &p->source, p->destination.family));
		if (have(&r->h, i ? HAVE_DESTINATION6 : HAVE_DESTINATION))
			m = both(m, match_prefix(&r->destination[i], &p->destination,
						 p->destination.family));
	}
	m = both(m, match_protocol(r, p));
	if (have(&r->h, HAVE_SOURCE_PORT))
		m = both(m, match_ports(&r->source_port, p, p->source_port));
	if (have(&r->h, HAVE_DESTINATION_PORT))
		m = both(m, match_ports(&r->destination_port, p, p->destination_port));
	if (have(&r->h, HAVE_CONNECTION))
		m = both(m, r->connection & CONNECTION_NEW ? MATCH_YES : MATCH_NO);
	if (have(&r->h, HAVE_IN))
		m = both(m, match_interface(r->in, q->in));
	if (have(&r->h, HAVE_OUT))
		m = both(m, match_interface(r->out, q->out));
	return m;
}

// Everything that decides must have been understood, the verdict and `modelled` must be there.
static bool rule_readable(const struct rule_value *r)
{
	uint32_t decides = 1u << HAVE_SOURCE | 1u << HAVE_DESTINATION | 1u << HAVE_PROTOCOL |
			   1u << HAVE_SOURCE6 | 1u << HAVE_DESTINATION6 | 1u << HAVE_PROTOCOL6 |
			   1u << HAVE_SOURCE_PORT | 1u << HAVE_DESTINATION_PORT |
			   1u << HAVE_CONNECTION | 1u << HAVE_IN | 1u << HAVE_OUT |
			   1u << HAVE_VERDICT | 1u << HAVE_JUMP | 1u << HAVE_MODELLED;
	return !(r->h.bad & decides) && have(&r->h, HAVE_MODELLED) && r->modelled &&
	       have(&r->h, HAVE_VERDICT) && r->action != VERDICT_UNKNOWN;
}

static void unsure(struct question *q, const struct chain *c, uint32_t rule, const char *why)
{
	if (q->unsure)
		return;
	q->unsure = true;
	q->unsure_set = c->set;
	q->unsure_rule = rule;
	snprintf(q->why, sizeof q->why, "%s", why);
}

// --- running

static const struct chain *chain_named(const struct acl *a, const struct chain *from,
				       const char *name)
{
	const char *last =
		strrchr(name, ':'); // FAMILY:TABLE:CHAIN or CHAIN, always of the same table
	for (uint32_t i = 0; i < a->n_chains; i++)
		if (strcmp(a->chains[i].family, from->family) == 0 &&
		    strcmp(a->chains[i].table, from->table) == 0 &&
		    strcmp(a->chains[i].name, last ? last + 1 : name) == 0)
			return &a->chains[i];
	return NULL;
}

static bool chain_run(struct question *q, const struct chain *c, unsigned depth);

// A jump or goto that matches. True: the packet's fate in this hook is decided for sure.
static bool jump_run(struct question *q, const struct chain *c, uint32_t rule,
		     const struct rule_value *r, unsigned depth)
{
	const struct chain *to = r->jump ? chain_named(q->acl, c, r->jump) : NULL;
	if (!to || depth >= JUMPS_MAX) {
		q->possible |= POSSIBLE_ANYTHING;
		unsure(q, c, rule,
		       to ? "jumps more than 16 deep" : "jumps to a chain that is not known");
		return false;
	}
	return chain_run(q, to, depth + 1);
}

static bool terminal(struct question *q, const struct chain *c, uint32_t rule, unsigned outcome,
		     enum match m)
{
	q->possible |= outcome;
	if (m != MATCH_YES) {
		unsure(q, c, rule, "matches only some of the packets asked about");
		return false;
	}
	q->set = c->set;
	q->rule = rule;
	return true;
}

// True when every packet asked about has met its verdict here; false when some may come out below.
static bool chain_run(struct question *q, const struct chain *c, unsigned depth)
{
	bool some_returned = false;
	for (uint32_t i = 0; i < c->n; i++) {
		uint32_t rule = q->acl->rules[c->first + i];
		const struct rule_value *r =
			state_value(q->acl->state, q->acl->device, OBJECT_RULE, rule);
		if (!rule_readable(r)) {
			q->possible |= POSSIBLE_ANYTHING;
			unsure(q, c, rule, "holds what is not modelled");
			continue;
		}
		enum match m = match_rule(r, q);
		bool ended = false;
		if (m == MATCH_NO || r->action == VERDICT_CONTINUE)
			continue;
		if (r->action == VERDICT_ACCEPT)
			ended = terminal(q, c, rule, POSSIBLE_ACCEPT, m);
		else if (r->action == VERDICT_DROP)
			ended = terminal(q, c, rule, POSSIBLE_DROP, m);
		else if (r->action == VERDICT_REJECT)
			ended = terminal(q, c, rule, POSSIBLE_REJECT, m);
		else if (r->action == VERDICT_JUMP || r->action == VERDICT_GOTO)
			ended = jump_run(q, c, rule, r, depth) && m == MATCH_YES;
		if (ended)
			return !some_returned;
		bool leaves = r->action == VERDICT_RETURN || r->action == VERDICT_GOTO;
		if (leaves && m == MATCH_YES)
			return false;
		some_returned |= leaves;
	}
	return false;
}

static bool chain_applies(const struct chain *c, enum hook hook, const struct packet *p)
{
	if (!have(&c->value->h, HAVE_HOOK) || c->value->hook != hook || c->foreign)
		return false;
	if (strcmp(c->family, "inet") == 0)
		return true;
	return strcmp(c->family, p->destination.family == 6 ? "ip6" : "ip") == 0;
}

// Runs one base chain; what it leaves possible stands in q->possible.
static void base_run(struct question *q, const struct chain *c)
{
	q->possible = 0;
	if (chain_run(q, c, 0))
		return;
	const struct set_value *v = c->value;
	bool known = have(&v->h, HAVE_POLICY) && !(v->h.bad >> HAVE_POLICY & 1) &&
		     v->policy != POLICY_UNKNOWN && !(v->h.bad >> HAVE_PRIORITY & 1);
	if (!known)
		unsure(q, c, UINT32_MAX, "default action or priority is not known");
	q->possible |= !known			    ? POSSIBLE_ANYTHING
		       : v->policy == POLICY_ACCEPT ? POSSIBLE_ACCEPT
						    : POSSIBLE_DROP;
	q->set = c->set;
	q->rule = UINT32_MAX;
}

static void verdict_unsure(const struct question *q, struct acl_verdict *v)
{
	v->outcome = ACL_INCONCLUSIVE;
	v->set = q->unsure_set;
	v->rule = q->unsure_rule;
	snprintf(v->why, sizeof v->why, "%s", q->why);
}

void acl_judge(const struct acl *a, enum hook hook, const struct packet *p, const char *in,
	       const char *out, struct acl_verdict *v)
{
	struct question q = {.acl = a, .packet = p, .in = in, .out = out};
	*v = (struct acl_verdict){.rule = UINT32_MAX, .set = UINT32_MAX};
	if (a->unreadable[0]) {
		v->outcome = ACL_INCONCLUSIVE;
		snprintf(v->why, sizeof v->why, "%s", a->unreadable);
		return;
	}
	bool perhaps = false;
	for (uint32_t i = 0; i < a->n_chains; i++) {
		const struct chain *c = &a->chains[i];
		if (!chain_applies(c, hook, p))
			continue;
		v->filtered = true;
		base_run(&q, c);
		if (q.possible & POSSIBLE_ANYTHING) {
			verdict_unsure(&q, v);
			return;
		}
		if (!(q.possible & POSSIBLE_ACCEPT)) { // dropped here, whatever was before
			v->outcome = q.possible & POSSIBLE_DROP ? ACL_DROP : ACL_REJECT;
			v->set = q.set;
			v->rule = q.rule;
			return;
		}
		if (q.possible == POSSIBLE_ACCEPT && !perhaps) {
			v->set = q.set;
			v->rule = q.rule;
		}
		perhaps |= q.possible != POSSIBLE_ACCEPT;
	}
	if (perhaps)
		verdict_unsure(&q, v);
}

size_t acl_rules(const struct acl *a, uint32_t set, const uint32_t **rules)
{
	for (uint32_t i = 0; i < a->n_chains; i++)
		if (a->chains[i].set == set) {
			*rules = a->rules + a->chains[i].first;
			return a->chains[i].n;
		}
	return 0;
}

// --- text

static void text_ports(struct buf *b, const char *word, const struct ports *p)
{
	if (p->low == p->high)
		buf_printf(b, " %s %u", word, p->low);
	else
		buf_printf(b, " %s %u-%u", word, p->low, p->high);
}

static void text_protocol(struct buf *b, int protocol)
{
	const char *name = protocol == 6    ? "tcp"
			   : protocol == 17 ? "udp"
			   : protocol == 1  ? "icmp"
			   : protocol == 58 ? "icmpv6"
					    : NULL;
	if (name)
		buf_printf(b, " %s", name);
	else
		buf_printf(b, " protocol %d", protocol);
}

static void text_matches(struct buf *b, const struct rule_value *r)
{
	char prefix[PREFIX_TEXT_MAX];
	if (have(&r->h, HAVE_IN))
		buf_printf(b, " in %s", r->in ? r->in : "?");
	if (have(&r->h, HAVE_OUT))
		buf_printf(b, " out %s", r->out ? r->out : "?");
	for (int i = 0; i < 2; i++) {
		if (have(&r->h, i ? HAVE_SOURCE6 : HAVE_SOURCE))
			buf_printf(b, " from %s", prefix_print(&r->source[i], prefix));
		if (have(&r->h, i ? HAVE_DESTINATION6 : HAVE_DESTINATION))
			buf_printf(b, " to %s", prefix_print(&r->destination[i], prefix));
	}
	bool has = have(&r->h, HAVE_PROTOCOL);
	if (has || have(&r->h, HAVE_PROTOCOL6))
		text_protocol(b, r->protocol[has ? 0 : 1]);
	if (have(&r->h, HAVE_SOURCE_PORT))
		text_ports(b, "sport", &r->source_port);
	if (have(&r->h, HAVE_DESTINATION_PORT))
		text_ports(b, "dport", &r->destination_port);
	static const char *const states[] = {"new", "established", "related", "invalid",
					     "untracked"};
	const char *gap = " ct state ";
	for (unsigned i = 0; have(&r->h, HAVE_CONNECTION) && i < 5; i++)
		if (r->connection >> i & 1) {
			buf_printf(b, "%s%s", gap, states[i]);
			gap = ",";
		}
}

char *acl_rule_text(const struct state *s, uint32_t device, uint32_t set, uint32_t rule, char *out,
		    size_t size)
{
	scoped(buf) struct buf b = {.limit = 16384};
	const struct catalogue_device *names = catalogue_device(state_catalogue(s), device);
	const char *name =
		set == UINT32_MAX ? "" : catalogue_identity(names, OBJECT_SET, set)->text;
	const char *colon = strchr(name, ':');
	buf_str(&b, colon ? colon + 1 : name);
	const struct rule_value *r =
		rule == UINT32_MAX ? NULL : state_value(s, device, OBJECT_RULE, rule);
	const struct set_value *v =
		set == UINT32_MAX ? NULL : state_value(s, device, OBJECT_SET, set);
	if (!r) {
		buf_printf(&b, " default action%s",
			   v ? v->policy == POLICY_DROP		? " drop"
				   : v->policy == POLICY_ACCEPT ? " accept"
								: " not known"
			     : "");
	} else {
		buf_printf(&b, " rule %s:", catalogue_identity(names, OBJECT_RULE, rule)->text);
		text_matches(&b, r);
		for (const char *c = verdict_choices[r->action]; *c; c++)
			buf_printf(&b, "%s%c", c == verdict_choices[r->action] ? " " : "",
				   *c | 0x20);
		if (r->jump)
			buf_printf(&b, " %s", r->jump);
		if (r->description && r->description[0])
			buf_printf(&b, " \"%.200s\"", r->description);
	}
	snprintf(out, size, "%s", buf_text(&b));
	return out;
}
