// SPDX-License-Identifier: Apache-2.0
// What clients get: subscriptions read and timed (watch), leaves as JSON (rfc7951) and as
// Notifications (note); and the token that people carry.
#include "agent/keys_internal.h"
#include "agent/note.h"
#include "agent/rfc7951.h"
#include "agent/state_link.h"
#include "agent/watch.h"
#include "lib/base/clock.h"
#include "lib/gnmi/gnmi.pb-c.h"
#include "test_agent.h"

#include <jansson.h>

// --- watch

struct wanted {
	const char *path;
	int mode;
	uint64_t interval, heartbeat;
	bool suppress;
};

static struct err watch_of(const struct wanted *w, size_t n, bool lenient, struct watch *out)
{
	Gnmi__SubscriptionList list = GNMI__SUBSCRIPTION_LIST__INIT;
	Gnmi__Subscription item[4], *items[4];
	scoped(arena) struct arena *a = arena_new(1 << 20);
	for (size_t i = 0; i < n; i++) {
		gnmi__subscription__init(&item[i]);
		TRY(path_message_of_text(w[i].path, a, &item[i].path));
		item[i].mode = (Gnmi__SubscriptionMode)w[i].mode;
		item[i].sample_interval = w[i].interval;
		item[i].heartbeat_interval = w[i].heartbeat;
		item[i].suppress_redundant = w[i].suppress;
		items[i] = &item[i];
	}
	list.subscription = items;
	list.n_subscription = n;
	list.encoding = GNMI__ENCODING__PROTO;
	return watch_read(&list, "r1", 10 * NS_PER_S, lenient, out);
}

enum { TARGET_DEFINED, ON_CHANGE, SAMPLE };

static void test_subscriptions_are_checked(void **state)
{
	static const struct {
		struct wanted w;
		enum err_code code;
		const char *words;
	} bad[] = {
		{{"/routing-policy", ON_CHANGE, 0, 0, false}, ERR_NOT_FOUND, "/interfaces"},
		{{"/interfaces", 7, 0, 0, false}, ERR_USAGE, "mode 7"},
		{{"/interfaces", SAMPLE, NS_PER_MS, 0, false}, ERR_USAGE, "at least 100 ms"},
		{{"/interfaces", SAMPLE, UINT64_MAX, 0, false}, ERR_USAGE, "more than a day"},
		{{"/interfaces", ON_CHANGE, 0, 1, false}, ERR_USAGE, "at least 100 ms"},
		{{"/interfaces/interface/state/counters", ON_CHANGE, 0, 0, false},
		 ERR_USAGE,
		 "SAMPLE"},
	};
	struct watch w;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_bad(bad[i].code, bad[i].words, watch_of(&bad[i].w, 1, false, &w));
	assert_bad(ERR_USAGE, "no path", watch_of(NULL, 0, false, &w));
}

static void test_the_twin_may_ask_for_counters_on_change(void **state)
{
	const struct wanted c = {"/system/memory/state", ON_CHANGE, 0, 0, false};
	struct watch w;
	assert_good(watch_of(&c, 1, true, &w));
	assert_true(w.items[0].sampled && w.items[0].only_volatile);
	assert_int_equal(w.items[0].what, SAMPLE_SYSTEM);
	watch_clear(&w);
}

static void test_what_covers_a_leaf(void **state)
{
	const struct wanted both[] = {
		{"/interfaces/interface[name=*]/state", ON_CHANGE, 0, 0, false},
		{"/interfaces/interface[name=eth0]", SAMPLE, 0, 0, false}};
	struct tree *t = tree_new();
	struct watch w;
	assert_good(watch_of(both, 2, false, &w));
	put_uint(t, "/interfaces/interface[name=eth0]/state/mtu", 1, 0);
	put_uint(t, "/interfaces/interface[name=eth1]/state/mtu", 1, 0);
	put_uint(t, "/system/state/boot-time", 1, 0);
	struct tree_leaf *eth0 = tree_after(t, ""), *eth1 = tree_next(eth0, "/"),
			 *boot = tree_next(eth1, "/");
	for (int again = 0; again < 2; again++) { // the second time from what is kept with the leaf
		assert_int_equal(watch_covers(&w, eth0, 3), 3);
		assert_int_equal(watch_covers(&w, eth1, 3), 1);
		assert_int_equal(watch_covers(&w, boot, 3), 0);
	}
	assert_int_equal(watch_on_change(&w), 1);
	assert_true(watch_concerned(&w, "/interfaces/interface[name=eth9]"));
	assert_true(watch_concerned(&w, "/interfaces"));
	assert_false(watch_concerned(&w, "/system"));
	watch_clear(&w);
	tree_free(t);
}

static void test_samples_fall_due(void **state)
{
	const struct wanted s = {"/interfaces", SAMPLE, NS_PER_S, 5 * NS_PER_S, true};
	struct tree *t = tree_new();
	struct watch w;
	assert_good(watch_of(&s, 1, false, &w));
	put_uint(t, "/interfaces/interface[name=eth0]/state/mtu", 1, 0);
	struct tree_leaf *leaf = tree_after(t, "");
	watch_schedule(&w, 0);
	assert_int_equal(watch_due(&w, NS_PER_S - 1), NS_PER_S);
	assert_false(watch_wants(&w, 1, leaf));
	assert_int_equal(watch_due(&w, NS_PER_S), 2 * NS_PER_S);
	assert_true(watch_wants(&w, 1, leaf));
	watch_sampled(&w, tree_version(t));
	assert_false(watch_wants(&w, 1, leaf));
	watch_due(&w, 2 * NS_PER_S);
	assert_false(watch_wants(&w, 1, leaf)); // redundant
	put_uint(t, "/interfaces/interface[name=eth0]/state/mtu", 2, 0);
	assert_true(watch_wants(&w, 1, leaf));
	watch_sampled(&w, tree_version(t));
	assert_int_equal(watch_due(&w, 7 * NS_PER_S + 1), 8 * NS_PER_S); // missed ones are one
	assert_true(watch_wants(&w, 1, leaf));				 // the heartbeat
	watch_clear(&w);
	tree_free(t);
}

static void test_targets_and_encodings(void **state)
{
	Gnmi__Path prefix = GNMI__PATH__INIT, path = GNMI__PATH__INIT;
	struct path_pattern *p;
	enum watch_encoding e;
	prefix.target = (char *)(uintptr_t) "r2";
	assert_bad(ERR_NOT_FOUND, "this is r1", watch_pattern(&prefix, &path, "r1", &p));
	prefix.target = (char *)(uintptr_t) "r1";
	assert_good(watch_pattern(&prefix, &path, "r1", &p));
	assert_string_equal(path_pattern_text(p), "/");
	path_pattern_free(p);
	assert_bad(ERR_USAGE, "encoding", watch_encoding_of(GNMI__ENCODING__ASCII, &e));
	assert_bad(ERR_USAGE, "encoding", watch_encoding_of(99, &e));
	assert_good(watch_encoding_of(GNMI__ENCODING__JSON, &e));
}

// --- JSON

static struct tree *sample_tree(void)
{
	struct tree *t = tree_new();
	put_string(t, "/interfaces/interface[name=eth0]/state/name", "eth0");
	put_uint(t, "/interfaces/interface[name=eth0]/state/mtu", 1500, 0);
	put_uint(t, "/interfaces/interface[name=eth0]/state/counters/in-octets", 1ULL << 60, 1);
	put_string(t, "/interfaces/interface[name=eth0]/ethernet/state/mac-address",
		   "02:00:00:00:00:01");
	put_uint(t,
		 "/interfaces/interface[name=eth0]/subinterfaces/subinterface[index=0]/ipv4/"
		 "addresses/"
		 "address[ip=10.0.0.1]/state/prefix-length",
		 24, 0);
	put_uint(t,
		 "/interfaces/interface[name=eth0]/subinterfaces/subinterface[index=0]/ipv4/"
		 "addresses/"
		 "address[ip=10.0.0.2]/state/prefix-length",
		 32, 0);
	put_string(t, "/interfaces/interface[name=a\\]b\"]/state/name", "a]b\"\n");
	put_string(t, "/system/state/hostname", "r1");
	return t;
}

static json_t *node(const struct tree *t, const char *path, bool ietf)
{
	scoped(buf) struct buf b = {0};
	json_error_t why;
	assert_good(rfc7951_node(&b, t, path, ietf));
	json_t *j = json_loadb((const char *)b.data, b.len,
			       JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
	if (!j)
		fail_msg("%s: %.*s", why.text, (int)b.len, (const char *)b.data);
	return j;
}

static void test_a_subtree_as_json(void **state)
{
	struct tree *t = sample_tree();
	json_t *all = node(t, "/", true);
	json_t *list = json_object_get(json_object_get(all, "openconfig-interfaces:interfaces"),
				       "interface");
	assert_int_equal(json_array_size(list), 2);
	json_t *odd = json_array_get(list, 0), *eth0 = json_array_get(list, 1);
	assert_string_equal(json_string_value(json_object_get(odd, "name")), "a]b\"");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(odd, "state"), "name")),
		"a]b\"\n");
	json_t *s = json_object_get(eth0, "state");
	assert_int_equal(json_integer_value(json_object_get(s, "mtu")), 1500); // 16 bits: a number
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(s, "counters"), "in-octets")),
		"1152921504606846976"); // 64 bits: a string, RFC 7951 6.1
	assert_non_null(json_object_get(eth0, "openconfig-if-ethernet:ethernet"));
	json_t *sub = json_array_get(
		json_object_get(json_object_get(eth0, "subinterfaces"), "subinterface"), 0);
	assert_int_equal(json_integer_value(json_object_get(sub, "index")), 0);
	json_t *addresses = json_object_get(
		json_object_get(json_object_get(sub, "openconfig-if-ip:ipv4"), "addresses"),
		"address");
	assert_int_equal(json_array_size(addresses), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(addresses, 1), "ip")),
			    "10.0.0.2");
	assert_non_null(json_object_get(json_object_get(all, "openconfig-system:system"), "state"));
	json_decref(all);
	tree_free(t);
}

static void test_nodes_as_json(void **state)
{
	struct tree *t = sample_tree();
	json_t *leaf = node(t, "/interfaces/interface[name=eth0]/state/counters/in-octets", false);
	assert_true(json_integer_value(leaf) == (json_int_t)1 << 60); // plain JSON: a number
	json_decref(leaf);
	json_t *entry = node(t, "/interfaces/interface[name=eth0]", true);
	assert_string_equal(json_string_value(json_object_get(entry, "name")), "eth0");
	assert_non_null(
		json_object_get(entry, "openconfig-interfaces:state")); // the first level is named
	json_decref(entry);
	scoped(buf) struct buf b = {0};
	assert_bad(ERR_NOT_FOUND, NULL, rfc7951_node(&b, t, "/acl", true));
	tree_free(t);
}

static void test_cuts(void **state)
{
	static const char path[] = "/a[k=x/y\\]z]/b/c";
	assert_int_equal(rfc7951_cut(path, 1), strlen("/a[k=x/y\\]z]"));
	assert_int_equal(rfc7951_cut(path, 2), strlen("/a[k=x/y\\]z]/b"));
	assert_int_equal(rfc7951_cut(path, 3), strlen(path));
	assert_int_equal(rfc7951_cut(path, 9), strlen(path));
}

// --- notifications, read by protobuf-c

static void test_notes(void **state)
{
	struct tree *t = sample_tree();
	static const char list[] = "[\"netlink\",\"system\"]";
	tree_put(t, "/gemel/agent/state/collectors",
		 &(struct batch_value){.type = VALUE_JSON,
				       .s = {(const uint8_t *)list, sizeof list - 1}},
		 1, 0);
	for (enum watch_encoding e = WATCH_PROTO; e <= WATCH_JSON_IETF; e++) {
		struct note n = {0};
		note_start(&n, e, "r1", 42);
		note_leaf(&n, tree_first(t, "/gemel"));
		note_delete(&n, "/interfaces/interface[name=eth7]");
		assert_good(note_finish(&n));
		Gnmi__SubscribeResponse *m =
			gnmi__subscribe_response__unpack(NULL, n.bytes.len, n.bytes.data);
		assert_non_null(m);
		assert_int_equal(m->update->timestamp, 42);
		assert_string_equal(m->update->prefix->target, "r1");
		assert_int_equal(m->update->n_update, 1);
		assert_int_equal(m->update->n_delete_, 1);
		const Gnmi__TypedValue *v = m->update->update[0]->val;
		if (e == WATCH_PROTO) {
			assert_int_equal(v->value_case, GNMI__TYPED_VALUE__VALUE_LEAFLIST_VAL);
			assert_int_equal(v->leaflist_val->n_element, 2);
			assert_string_equal(v->leaflist_val->element[1]->string_val, "system");
		} else {
			assert_int_equal(v->value_case,
					 e == WATCH_JSON ? GNMI__TYPED_VALUE__VALUE_JSON_VAL
							 : GNMI__TYPED_VALUE__VALUE_JSON_IETF_VAL);
			assert_int_equal(v->json_val.len, sizeof list - 1);
			assert_memory_equal(v->json_val.data, list, sizeof list - 1);
		}
		gnmi__subscribe_response__free_unpacked(m, NULL);
		note_clear(&n);
	}
	tree_free(t);
}

// --- tokens

#define PIN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_tokens(void **state)
{
	struct token t;
	assert_good(keys_token_read("gemel1.core.r1.id7.0123456789abcdef." PIN, "core.r1", &t));
	assert_string_equal(t.id, "id7");
	assert_int_equal(secret_size(t.secret), 16);
	assert_int_equal(t.pin[31], 0xff);
	keys_token_clear(&t);
	static const char *const bad[] = {"",
					  "gemel1.",
					  "gemel2.r1.id.0123456789abcdef." PIN,
					  "gemel1.r1.id.short." PIN,
					  "gemel1.r1..0123456789abcdef." PIN,
					  "gemel1.r1.id.0123456789abcdef.0011",
					  "gemel1.r1.id.0123456789abcdef." PIN "00",
					  "gemel1.r1.id.0123456789abcdef"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_bad(ERR_USAGE, "whole line", keys_token_read(bad[i], "r1", &t));
	assert_bad(ERR_USAGE, "is for device r2",
		   keys_token_read("gemel1.r2.id.0123456789abcdef." PIN, "r1", &t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subscriptions_are_checked),
		cmocka_unit_test(test_the_twin_may_ask_for_counters_on_change),
		cmocka_unit_test(test_what_covers_a_leaf),
		cmocka_unit_test(test_samples_fall_due),
		cmocka_unit_test(test_targets_and_encodings),
		cmocka_unit_test(test_a_subtree_as_json),
		cmocka_unit_test(test_nodes_as_json),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_tokens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
