// SPDX-License-Identifier: Apache-2.0

#include "agent/nft_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACL "/acl/acl-sets"

struct ruleset {
	struct tree *tree;
	int64_t now_ns;
	json_t *sets, *chains; // arrays of borrowed-by-reference objects
	struct nft_count count;
	struct nft_rule *rule; // scratch
};

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));
	return s ? s : "";
}

static const char *type_of(const char *family)
{
	return strcmp(family, "ip") == 0    ? "ACL_IPV4"
	       : strcmp(family, "ip6") == 0 ? "ACL_IPV6"
					    : "ACL_MIXED";
}

static void upper(const char *in, char *out, size_t size)
{
	size_t i = 0;
	for (; in[i] && i + 1 < size; i++)
		out[i] = in[i] >= 'a' && in[i] <= 'z' ? (char)(in[i] - 32) : in[i];
	out[i] = 0;
}

static bool set_path(struct leaf_path *p, const json_t *chain, const char *name_field,
		     char name[PATH_KEY_TEXT])
{
	const char *family = text_of(chain, "family");
	char key[PATH_KEY_TEXT];
	int n = snprintf(name, PATH_KEY_TEXT, "%s:%s:%s", family, text_of(chain, "table"),
			 text_of(chain, name_field));
	if (n < 0 || n >= PATH_KEY_TEXT)
		return false;
	leaf_at(p, ACL "/acl-set[name=%s][type=%s]", path_key(key, name), type_of(family));
	return !p->failed;
}

// --- one entry

struct entry {
	struct ruleset *s;
	const struct leaf_path *at; // the acl-entry
	const struct nft_rule *rule;
	const unsigned *pick; // which of each field's values
};

static const char *picked(const struct entry *e, enum nft_field field)
{
	const struct nft_values *v = &e->rule->of[field];
	return v->given && v->n ? v->text[e->pick[field]] : NULL;
}

static void put_text(const struct entry *e, const char *below, const char *leaf, const char *text)
{
	struct leaf_path p;
	struct leaf_writer w = {e->s->tree, &p, e->s->now_ns, 0};
	leaf_at(&p, "%s/%s", e->at->text, below);
	leaf_text(&w, leaf, text);
}

// A port alone is a number, a range is text.
static void put_port(const struct entry *e, const char *leaf, const char *text)
{
	struct leaf_path p;
	struct leaf_writer w = {e->s->tree, &p, e->s->now_ns, 0};
	leaf_at(&p, "%s/transport/state", e->at->text);
	if (text && strstr(text, ".."))
		leaf_text(&w, leaf, text);
	else if (text)
		leaf_uint(&w, leaf, strtoul(text, NULL, 10));
}

static void put_protocol(const struct entry *e, const char *below)
{
	const char *text = picked(e, NFT_PROTOCOL);
	struct leaf_path p;
	struct leaf_writer w = {e->s->tree, &p, e->s->now_ns, 0};
	leaf_at(&p, "%s/%s", e->at->text, below);
	if (text && text[0] >= '0' && text[0] <= '9')
		leaf_uint(&w, "protocol", strtoul(text, NULL, 10));
	else
		leaf_text(&w, "protocol", text);
}

static void put_matches(const struct entry *e)
{
	const struct nft_rule *r = e->rule;
	const char *four = picked(e, NFT_SOURCE4), *six = picked(e, NFT_SOURCE6);
	bool both = strcmp(r->family, "inet") == 0;
	// "IPv4 only" without an address is said as the whole of IPv4.
	if (both && r->ipv4_only && !four && !picked(e, NFT_DESTINATION4))
		four = "0.0.0.0/0";
	if (both && r->ipv6_only && !six && !picked(e, NFT_DESTINATION6))
		six = "::/0";
	put_text(e, "ipv4/state", "source-address", four);
	put_text(e, "ipv4/state", "destination-address", picked(e, NFT_DESTINATION4));
	put_text(e, "ipv6/state", "source-address", six);
	put_text(e, "ipv6/state", "destination-address", picked(e, NFT_DESTINATION6));
	if (!r->ipv6_only)
		put_protocol(e, "ipv4/state");
	if (!r->ipv4_only)
		put_protocol(e, "ipv6/state");
	put_port(e, "source-port", picked(e, NFT_SOURCE_PORT));
	put_port(e, "destination-port", picked(e, NFT_DESTINATION_PORT));
	put_text(e, "input-interface/interface-ref/state", "interface", picked(e, NFT_IN));
	put_text(e, "output-interface/interface-ref/state", "interface", picked(e, NFT_OUT));
	if (r->connection) {
		static const char *const names[] = {"NEW", "ESTABLISHED", "RELATED", "INVALID",
						    "UNTRACKED"};
		char text[64] = "";
		for (unsigned i = 0; i < 5; i++)
			if (r->connection >> i & 1) {
				size_t n = strlen(text);
				snprintf(text + n, sizeof text - n, "%s%s", n ? "," : "", names[i]);
			}
		put_text(e, "transport/state", "connection-state", text);
	}
}

static void put_state(const struct entry *e, const json_t *rule, const char *sequence)
{
	struct leaf_path p;
	struct leaf_writer w = {e->s->tree, &p, e->s->now_ns, 0};
	struct leaf_writer counts = {e->s->tree, &p, e->s->now_ns, TREE_VOLATILE};
	leaf_at(&p, "%s/state", e->at->text);
	leaf_text(&w, "sequence-id", sequence);
	leaf_text(&w, "description", json_string_value(json_object_get(rule, "comment")));
	leaf_uint(&w, "handle", (uint64_t)json_integer_value(json_object_get(rule, "handle")));
	leaf_bool(&w, "modelled", !e->rule->unmodelled);
	if (e->rule->has_counter) {
		leaf_uint(&counts, "matched-packets", e->rule->packets);
		leaf_uint(&counts, "matched-octets", e->rule->octets);
	}
	if (!e->rule->unmodelled)
		return;
	char *raw = json_dumps(json_object_get(rule, "expr"), JSON_COMPACT);
	if (raw && strlen(raw) > NFT_RAW_MAX)
		memcpy(raw + NFT_RAW_MAX - 3, "...", 4);
	leaf_text(&w, "raw", raw);
	free(raw);
}

static void put_entry(struct ruleset *s, const struct leaf_path *set, const json_t *rule,
		      const char *sequence, const unsigned *pick)
{
	struct leaf_path at;
	struct entry e = {s, &at, s->rule, pick};
	leaf_at(&at, "%s/acl-entries/acl-entry[sequence-id=%s]", set->text, sequence);
	if (at.failed)
		return;
	put_state(&e, rule, sequence);
	if (!s->rule->unmodelled)
		put_matches(&e);
	put_text(&e, "actions/state", "forwarding-action", s->rule->verdict);
	put_text(&e, "actions/state", "jump-chain", s->rule->target);
}

// --- one rule: every choice of one value for each field

static unsigned choices(const struct nft_rule *r)
{
	unsigned n = 1;
	for (unsigned i = 0; i < NFT_FIELDS; i++)
		if (r->of[i].given) {
			n *= r->of[i].n;
			if (n > NFT_ENTRIES_MAX)
				return NFT_ENTRIES_MAX + 1;
		}
	return n;
}

static bool next_choice(const struct nft_rule *r, unsigned pick[NFT_FIELDS])
{
	for (unsigned i = NFT_FIELDS; i-- > 0;) {
		if (!r->of[i].given)
			continue;
		if (++pick[i] < r->of[i].n)
			return true;
		pick[i] = 0;
	}
	return false;
}

static void rule_write(struct ruleset *s, const json_t *rule, unsigned number)
{
	struct leaf_path set;
	char name[PATH_KEY_TEXT], sequence[32];
	unsigned pick[NFT_FIELDS] = {0};
	if (!set_path(&set, rule, "chain", name))
		return;
	nft_rule_read(json_object_get(rule, "expr"), text_of(rule, "family"),
		      text_of(rule, "table"), s->sets, s->rule);
	unsigned n = choices(s->rule);
	if (n > NFT_ENTRIES_MAX)
		s->rule->unmodelled = true;
	if (!s->rule->unmodelled &&
	    n == 0) { // an empty set: it matches nothing, and so does nothing
		s->rule->verdict = "CONTINUE";
		s->rule->target = NULL;
	}
	s->count.rules++;
	s->count.unmodelled += s->rule->unmodelled;
	if (s->rule->unmodelled || n <= 1) {
		snprintf(sequence, sizeof sequence, "%u", number);
		put_entry(s, &set, rule, sequence, pick);
		return;
	}
	for (unsigned i = 1; i <= n; i++) {
		snprintf(sequence, sizeof sequence, "%u.%u", number, i);
		put_entry(s, &set, rule, sequence, pick);
		next_choice(s->rule, pick);
	}
}

// --- chains

static bool same_chain(const json_t *chain, const json_t *rule)
{
	return strcmp(text_of(chain, "name"), text_of(rule, "chain")) == 0 &&
	       strcmp(text_of(chain, "table"), text_of(rule, "table")) == 0 &&
	       strcmp(text_of(chain, "family"), text_of(rule, "family")) == 0;
}

static bool shown(const json_t *chain, bool has_rules)
{
	const char *hook = text_of(chain, "hook"), *family = text_of(chain, "family");
	if (strcmp(family, "bridge") == 0 || strcmp(family, "arp") == 0)
		return false; // not on the routed path
	bool usual = !hook[0] || strcmp(hook, "forward") == 0 || strcmp(hook, "input") == 0 ||
		     strcmp(hook, "output") == 0;
	return usual || has_rules || strcmp(text_of(chain, "policy"), "drop") == 0;
}

static void chain_write(struct ruleset *s, const json_t *chain)
{
	struct leaf_path set, p;
	struct leaf_writer w = {s->tree, &p, s->now_ns, 0};
	char name[PATH_KEY_TEXT], text[32];
	const json_t *priority = json_object_get(chain, "prio");
	if (!set_path(&set, chain, "name", name))
		return;
	leaf_at(&p, "%s/state", set.text);
	leaf_text(&w, "name", name);
	leaf_text(&w, "type", type_of(text_of(chain, "family")));
	upper(text_of(chain, "hook"), text, sizeof text);
	leaf_text(&w, "hook", text[0] ? text : "NONE");
	if (json_is_integer(priority))
		leaf_int(&w, "priority", json_integer_value(priority));
	upper(text_of(chain, "policy"), text, sizeof text);
	if (text[0])
		leaf_text(&w, "default-action", text);
}

static void write_all(struct ruleset *s, const json_t *items)
{
	size_t i, k;
	json_t *chain, *item;
	json_array_foreach(s->chains, i, chain)
	{
		unsigned rules = 0;
		json_array_foreach(items, k, item) rules +=
			same_chain(chain, json_object_get(item, "rule"));
		if (!shown(chain, rules > 0))
			continue;
		chain_write(s, chain);
		unsigned number = 0;
		json_array_foreach(items, k, item)
		{
			const json_t *rule = json_object_get(item, "rule");
			if (rule && same_chain(chain, rule))
				rule_write(s, rule, ++number);
		}
	}
}

static struct err collect(struct ruleset *s, const json_t *items)
{
	size_t i;
	json_t *item;
	json_array_foreach(items, i, item)
	{
		json_t *chain = json_object_get(item, "chain"), *set = json_object_get(item, "set");
		int failed = 0;
		if (chain)
			failed = json_array_append(s->chains, chain);
		else if (set)
			failed = json_array_append(s->sets, set);
		ENSURE(!failed, ERR_LIMIT, "out of memory");
	}
	return OK;
}

struct err nft_read(struct tree *tree, const char *json, size_t n, int64_t now_ns,
		    struct nft_count *count)
{
	json_error_t why;
	ENSURE(n <= NFT_JSON_MAX, ERR_LIMIT, "nft printed more than %d bytes", NFT_JSON_MAX);
	json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &why);
	ENSURE(root, ERR_PEER, "nft's JSON, line %d: %s", why.line, why.text);
	static struct nft_rule rule; // large, and needs no clearing
	struct ruleset s = {.tree = tree,
			    .now_ns = now_ns,
			    .sets = json_array(),
			    .chains = json_array(),
			    .rule = &rule};
	const json_t *items = json_object_get(root, "nftables");
	struct err e = OK;
	if (!s.sets || !s.chains)
		e = err_make(ERR_LIMIT, "out of memory");
	else if (!json_is_array(items))
		e = err_make(ERR_PEER, "nft's JSON has no array \"nftables\"");
	else
		e = collect(&s, items);
	if (e.code == ERR_NONE) {
		tree_pass_begin(tree, "/acl");
		write_all(&s, items);
		tree_pass_end(tree, "/acl", 0);
	}
	if (count)
		*count = s.count;
	json_decref(s.sets);
	json_decref(s.chains);
	json_decref(root);
	return e;
}
