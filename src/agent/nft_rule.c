// SPDX-License-Identifier: Apache-2.0
// One rule's expressions, in order: matches narrow the fields, statements without effect on the
// verdict are passed over, a verdict ends it. Anything else: not modelled.

#include "agent/nft_internal.h"

#include <string.h>

struct reading {
	const char *table;
	const json_t *sets;
	struct nft_rule *rule;
};

static bool is(const json_t *v, const char *text)
{
	const char *s = json_string_value(v);
	return s && strcmp(s, text) == 0;
}

// A field that is matched twice would need an intersection: only equal sets are taken.
static bool narrow(struct reading *r, enum nft_field field, const json_t *right)
{
	static struct nft_values v;
	struct nft_values *old = &r->rule->of[field];
	v.n = 0;
	v.given = true;
	if (!nft_values_read(right, field, r->rule->family, r->table, r->sets, &v))
		return false;
	if (old->given && (old->n != v.n || memcmp(old->text, v.text, v.n * sizeof *v.text) != 0))
		return false;
	memcpy(old->text, v.text, v.n * sizeof *v.text);
	old->n = v.n;
	old->given = true;
	return true;
}

// `tcp dport` says that the protocol is TCP; after `meta l4proto { tcp, udp }` it chooses one.
static bool narrow_protocol(struct reading *r, const char *name)
{
	struct nft_values *p = &r->rule->of[NFT_PROTOCOL];
	const char *text = strcmp(name, "tcp") == 0	  ? "TCP"
			   : strcmp(name, "udp") == 0	  ? "UDP"
			   : strcmp(name, "sctp") == 0	  ? "132"
			   : strcmp(name, "dccp") == 0	  ? "33"
			   : strcmp(name, "udplite") == 0 ? "136"
							  : NULL;
	bool found = !p->given;
	for (unsigned i = 0; text && i < p->n; i++)
		found |= strcmp(p->text[i], text) == 0;
	if (!text || !found)
		return false;
	p->given = true;
	p->n = 1;
	memset(p->text[0], 0, sizeof p->text[0]);
	memcpy(p->text[0], text, strlen(text));
	return true;
}

static bool match_port(struct reading *r, const char *protocol, const char *field,
		       const json_t *right)
{
	if (strcmp(protocol, "th") == 0) { // any with ports: only when the protocols were named
		const struct nft_values *p = &r->rule->of[NFT_PROTOCOL];
		if (!p->given)
			return false;
	} else if (!narrow_protocol(r, protocol)) {
		return false;
	}
	if (strcmp(field, "sport") == 0)
		return narrow(r, NFT_SOURCE_PORT, right);
	return strcmp(field, "dport") == 0 && narrow(r, NFT_DESTINATION_PORT, right);
}

static bool match_payload(struct reading *r, const json_t *payload, const json_t *right)
{
	static const struct {
		const char *protocol, *name;
		enum nft_field field;
	} fields[] = {
		{"ip", "saddr", NFT_SOURCE4},	  {"ip", "daddr", NFT_DESTINATION4},
		{"ip6", "saddr", NFT_SOURCE6},	  {"ip6", "daddr", NFT_DESTINATION6},
		{"ip", "protocol", NFT_PROTOCOL}, {"ip6", "nexthdr", NFT_PROTOCOL},
	};
	const char *protocol = json_string_value(json_object_get(payload, "protocol"));
	const char *name = json_string_value(json_object_get(payload, "field"));
	if (!protocol || !name)
		return false;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strcmp(fields[i].protocol, protocol) == 0 &&
		    strcmp(fields[i].name, name) == 0) {
			r->rule->ipv4_only |= strcmp(protocol, "ip") == 0;
			r->rule->ipv6_only |= strcmp(protocol, "ip6") == 0;
			return narrow(r, fields[i].field, right);
		}
	return match_port(r, protocol, name, right);
}

static bool match_meta(struct reading *r, const char *key, const json_t *right)
{
	if (strcmp(key, "iifname") == 0 || strcmp(key, "iif") == 0)
		return narrow(r, NFT_IN, right);
	if (strcmp(key, "oifname") == 0 || strcmp(key, "oif") == 0)
		return narrow(r, NFT_OUT, right);
	if (strcmp(key, "l4proto") == 0)
		return narrow(r, NFT_PROTOCOL, right);
	bool four = is(right, "ipv4") || is(right, "ip"),
	     six = is(right, "ipv6") || is(right, "ip6");
	if (strcmp(key, "nfproto") != 0 && strcmp(key, "protocol") != 0)
		return false;
	r->rule->ipv4_only |= four;
	r->rule->ipv6_only |= six;
	return four || six;
}

static const char *const states[] = {"new", "established", "related", "invalid", "untracked"};

static bool add_state(const json_t *v, unsigned *set)
{
	for (unsigned i = 0; i < 5; i++)
		if (is(v, states[i])) {
			*set |= 1u << i;
			return true;
		}
	return false;
}

static bool match_state(struct reading *r, const json_t *right, bool negated)
{
	const json_t *list = json_object_get(right, "set");
	unsigned set = 0;
	size_t i;
	json_t *v;
	if (!list && json_is_array(right))
		list = right;
	json_array_foreach(list, i, v) if (!add_state(v, &set)) return false;
	if (!list && !add_state(right, &set))
		return false;
	set = negated ? ~set & 31u : set;
	r->rule->connection = r->rule->connection ? r->rule->connection & set : set;
	return r->rule->connection != 0;
}

static bool match(struct reading *r, const json_t *m)
{
	const json_t *left = json_object_get(m, "left"), *right = json_object_get(m, "right");
	const json_t *op = json_object_get(m, "op");
	bool equal = is(op, "==") || is(op, "in"), differs = is(op, "!=");
	const json_t *ct = json_object_get(left, "ct");
	const json_t *payload = json_object_get(left, "payload");
	const char *meta = json_string_value(json_object_get(json_object_get(left, "meta"), "key"));
	if (!left || !right || (!equal && !differs))
		return false;
	if (ct)
		return is(json_object_get(ct, "key"), "state") && !json_object_get(ct, "dir") &&
		       match_state(r, right, differs);
	if (!equal)
		return false;
	if (payload)
		return match_payload(r, payload, right);
	return meta && match_meta(r, meta, right);
}

static void counter(struct nft_rule *rule, const json_t *c)
{
	if (!json_is_object(c))
		return; // a named counter is not this rule's own
	rule->has_counter = true;
	rule->packets = (uint64_t)json_integer_value(json_object_get(c, "packets"));
	rule->octets = (uint64_t)json_integer_value(json_object_get(c, "bytes"));
}

static bool verdict(struct nft_rule *rule, const char *kind, const json_t *value)
{
	static const struct {
		const char *kind, *name;
		bool target;
	} verdicts[] = {
		{"accept", "ACCEPT", false},	 {"drop", "DROP", false},
		{"reject", "REJECT", false},	 {"jump", "JUMP", true},
		{"goto", "GOTO", true},		 {"return", "RETURN", false},
		{"continue", "CONTINUE", false},
	};
	for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
		if (strcmp(verdicts[i].kind, kind) == 0) {
			rule->verdict = verdicts[i].name;
			rule->target = verdicts[i].target
					       ? json_string_value(json_object_get(value, "target"))
					       : NULL;
			return !verdicts[i].target || rule->target;
		}
	return false;
}

static bool expression(struct reading *r, const char *kind, const json_t *value)
{
	if (r->rule->verdict)
		return false; // nothing may follow a verdict
	if (strcmp(kind, "match") == 0)
		return match(r, value);
	if (strcmp(kind, "counter") == 0) {
		counter(r->rule, value);
		return true;
	}
	if (strcmp(kind, "log") == 0)
		return true;
	return verdict(r->rule, kind, value);
}

void nft_rule_read(const json_t *expr, const char *family, const char *table, const json_t *sets,
		   struct nft_rule *out)
{
	struct reading r = {table, sets, out};
	for (unsigned i = 0; i < NFT_FIELDS; i++) {
		out->of[i].given = false;
		out->of[i].n = 0;
	}
	out->family = family;
	out->unmodelled = !json_is_array(expr);
	out->ipv4_only = strcmp(family, "ip") == 0;
	out->ipv6_only = strcmp(family, "ip6") == 0;
	out->connection = 0;
	out->verdict = out->target = NULL;
	out->has_counter = false;
	out->packets = out->octets = 0;
	size_t i;
	json_t *e;
	json_array_foreach(expr, i, e)
	{
		void *first = json_object_iter((json_t *)e);
		if (!first || json_object_size(e) != 1 ||
		    !expression(&r, json_object_iter_key(first), json_object_iter_value(first)))
			out->unmodelled = true;
	}
	if (!out->verdict)
		out->verdict = "CONTINUE"; // it only counts or logs
	if (out->ipv4_only && out->ipv6_only)
		out->unmodelled = true;
}
