// SPDX-License-Identifier: Apache-2.0
// captures/ruleset.json is what nft 1.0.6 printed for captures/ruleset.nft.
#include "agent/lldp.h"
#include "agent/nft.h"
#include "agent/nft_internal.h"
#include "test_agent.h"

#define SET "/acl/acl-sets/acl-set[name=inet:filter:%s][type=ACL_MIXED]"
static struct tree *t;

static const char *at(const char *chain, const char *rest)
{
	static char path[4][PATH_TEXT_MAX];
	static unsigned next;
	char *out = path[next++ % 4];
	int n = snprintf(out, PATH_TEXT_MAX, SET, chain);
	snprintf(out + n, PATH_TEXT_MAX - (size_t)n, "%s", rest);
	return out;
}

static const char *entry(const char *sequence, const char *rest)
{
	char text[256];
	snprintf(text, sizeof text, "/acl-entries/acl-entry[sequence-id=%s]%s", sequence, rest);
	return at("forward", text);
}

static int make(void **state)
{
	size_t n;
	struct nft_count count;
	const char *json = capture("ruleset.json", &n);
	t = tree_new();
	assert_good(nft_read(t, json, n, 1, &count));
	assert_int_equal(count.rules, 20);
	assert_int_equal(count.unmodelled,
			 6); // icmpv6 type, !=, limit, concatenation, vmap, masquerade
	return 0;
}

static int clear(void **state)
{
	tree_free(t);
	return 0;
}

static void test_chains(void **state)
{
	assert_leaf(t, at("forward", "/state/hook"), "FORWARD");
	assert_leaf(t, at("forward", "/state/priority"), "0");
	assert_leaf(t, at("forward", "/state/default-action"), "DROP");
	assert_leaf(t, at("sub", "/state/hook"), "NONE");
	assert_no_leaf(t, at("sub", "/state/default-action"));
	// Empty accepting chains on other hooks say nothing; the one that translates is shown.
	assert_non_null(tree_first(t, "/acl/acl-sets/acl-set[name=ip:nat:post][type=ACL_IPV4]"));
	assert_null(tree_first(t, "/acl/acl-sets/acl-set[name=ip:nat:pre][type=ACL_IPV4]"));
}

static void test_states(void **state)
{
	assert_leaf(t, entry("1", "/transport/state/connection-state"), "ESTABLISHED,RELATED");
	assert_leaf(t, entry("1", "/actions/state/forwarding-action"), "ACCEPT");
	assert_leaf(t, entry("2", "/transport/state/connection-state"), "INVALID");
	assert_leaf(t, entry("2", "/actions/state/forwarding-action"), "DROP");
}

// 3 addresses in the set become 10.1/16, 10.2.0.5/32 and the range's four prefixes; times 3 ports.
static void test_sets_are_multiplied_out(void **state)
{
	unsigned n = 0, with_range = 0;
	for (unsigned i = 1; i <= 32; i++) {
		char sequence[16];
		snprintf(sequence, sizeof sequence, "3.%u", i);
		const char *port = leaf_of(t, entry(sequence, "/transport/state/destination-port"));
		if (!port)
			continue;
		n++;
		with_range += strcmp(port, "8000..8080") == 0;
		assert_leaf(t, entry(sequence, "/ipv4/state/destination-address"), "10.20.0.0/16");
		assert_leaf(t, entry(sequence, "/ipv4/state/protocol"), "TCP");
		assert_leaf(t, entry(sequence, "/state/description"), "web for guests");
		assert_leaf(t, entry(sequence, "/input-interface/interface-ref/state/interface"),
			    "lo");
		assert_leaf(t, entry(sequence, "/state/modelled"), "true");
		assert_non_null(leaf_of(t, entry(sequence, "/state/matched-packets")));
	}
	assert_int_equal(n, 6 * 3);
	assert_int_equal(with_range, 6);
}

static void test_an_empty_set_matches_nothing(void **state)
{
	assert_leaf(t, entry("4", "/actions/state/forwarding-action"), "CONTINUE");
}

static void test_what_is_not_understood_is_said(void **state)
{
	static const char *const numbers[] = {"6", "10", "11", "12", "13"};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		assert_leaf(t, entry(numbers[i], "/state/modelled"), "false");
		assert_non_null(leaf_of(t, entry(numbers[i], "/state/raw")));
		assert_no_leaf(t, entry(numbers[i], "/ipv4/state/source-address"));
	}
	assert_leaf(t, entry("14", "/actions/state/forwarding-action"), "REJECT");
}

static void test_jumps(void **state)
{
	assert_leaf(t, entry("9", "/actions/state/forwarding-action"), "JUMP");
	assert_leaf(t, entry("9", "/actions/state/jump-chain"), "sub");
	assert_leaf(
		t,
		at("sub", "/acl-entries/acl-entry[sequence-id=2]/transport/state/connection-state"),
		"ESTABLISHED,RELATED,INVALID,UNTRACKED"); // != new
	assert_leaf(
		t,
		at("sub", "/acl-entries/acl-entry[sequence-id=4]/actions/state/forwarding-action"),
		"GOTO");
}

static void test_what_is_no_longer_there_goes(void **state)
{
	static const char empty[] = "{\"nftables\": [{\"metainfo\": {}}]}";
	size_t before = count_below(t, "/acl");
	assert_bad(ERR_PEER, "nftables", nft_read(t, "{}", 2, 1, NULL));
	assert_bad(ERR_PEER, NULL, nft_read(t, "{", 1, 1, NULL));
	assert_int_equal(count_below(t, "/acl"), before); // as it was
	assert_good(nft_read(t, empty, sizeof empty - 1, 1, NULL));
	assert_int_equal(count_below(t, "/acl"), 0);
}

static void prefixes(int family, const char *first, const char *last, const char *wanted)
{
	static struct nft_values v;
	char text[4096] = "";
	v.n = 0;
	assert_true(nft_range_prefixes(family, first, last, &v));
	for (unsigned i = 0; i < v.n; i++)
		strcat(strcat(text, i ? " " : ""), v.text[i]);
	assert_string_equal(text, wanted);
}

static void test_ranges(void **state)
{
	static struct nft_values v;
	prefixes(AF_INET, "10.9.0.1", "10.9.0.6",
		 "10.9.0.1/32 10.9.0.2/31 10.9.0.4/31 10.9.0.6/32");
	prefixes(AF_INET, "0.0.0.0", "255.255.255.255", "0.0.0.0/0");
	prefixes(AF_INET, "255.255.255.255", "255.255.255.255", "255.255.255.255/32");
	prefixes(AF_INET6, "2001:db8::", "2001:db8::ffff", "2001:db8::/112");
	assert_false(nft_range_prefixes(AF_INET, "10.0.0.2", "10.0.0.1", &v));
	assert_false(nft_range_prefixes(AF_INET, "10.0.0.2", "::1", &v));
}

// --- LLDP

static void test_lldp(void **state)
{
	size_t n;
	struct tree *l = tree_new();
	const char *json = capture("lldp_neighbours.json", &n);
	assert_good(lldp_read_neighbours(l, json, n, 1));
#define NEIGHBOUR                                                                                  \
	"/lldp/interfaces/interface[name=eth1]/neighbors/"                                         \
	"neighbor[id=5e:e7:6a:4b:d6:8e 5e:e7:6a:4b:d6:8e]/state/"
	assert_leaf(l, NEIGHBOUR "system-name", "rb");
	assert_leaf(l, NEIGHBOUR "port-description", "eth7");
	assert_leaf(l, NEIGHBOUR "management-address", "10.0.0.2");
	json = capture("lldp_chassis.json", &n);
	assert_good(lldp_read_chassis(l, json, n, 1));
	assert_leaf(l, "/lldp/state/system-name", "ra");
	assert_leaf(l, "/lldp/state/chassis-id", "7a:79:6b:f7:7c:38");
	assert_bad(ERR_PEER, "lldp", lldp_read_neighbours(l, "{}", 2, 1));
	assert_leaf(l, NEIGHBOUR "system-name", "rb");
	static const char none[] = "{\"lldp\": [{}]}";
	assert_good(lldp_read_neighbours(l, none, sizeof none - 1, 1));
	assert_int_equal(count_below(l, "/lldp/interfaces"), 0);
	tree_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_sets_are_multiplied_out),
		cmocka_unit_test(test_an_empty_set_matches_nothing),
		cmocka_unit_test(test_what_is_not_understood_is_said),
		cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_what_is_no_longer_there_goes),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_lldp),
	};
	return cmocka_run_group_tests(tests, make, clear);
}
