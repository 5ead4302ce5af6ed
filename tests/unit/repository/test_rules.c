// SPDX-License-Identifier: Apache-2.0
// What decides before anything is kept: grants by state, classes by path, places in chains; and
// that nobody can fill the ledger.
#include "lib/base/clock.h"
#include "repository/aggregate.h"
#include "repository/chain.h"
#include "repository/classes.h"
#include "repository/grant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ok(e)                                                                                      \
	do {                                                                                       \
		struct err e_ = (e);                                                               \
		if (e_.code)                                                                       \
			fail_msg("%s:%d: %s", __FILE__, __LINE__, e_.text);                        \
	} while (0)

static bool covers(const char *state, const char *path, bool deletion)
{
	return grant_covers(grant_for(state), path, strlen(path), deletion);
}

// X.2011 8.3.1-2
static void grants_by_state(void **state)
{
	static const char *const nothing[] = {"unknown", "invited", "suspended",
					      "revoked", "",	    "Production"};
	static const char *const posture[] = {"quarantine", "tested", "attested"};
	ok(grants_start());
	for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
		assert_null(grant_for(nothing[i]));
		assert_false(covers(nothing[i], "/system/state/hostname", false));
	}
	for (size_t i = 0; i < sizeof posture / sizeof *posture; i++) {
		assert_true(covers(posture[i], "/system/state/hostname", false));
		assert_true(covers(posture[i], "/gemel/agent/state/version", false));
		assert_false(covers(posture[i], "/interfaces/interface[name=e]/state/mtu", false));
		assert_false(covers(posture[i], "/system/aaa/users", false));
	}
	assert_true(covers("production", "/interfaces/interface[name=e]/state/counters/in-octets",
			   false));
	assert_true(covers("production", "/acl/acl-sets/acl-set[name=a][type=ACL_IPV4]/state/hook",
			   false));
	assert_false(covers("production", "/interfaces/interface[name=e]/config/mtu", false));
	assert_false(covers("production", "/system/aaa/authentication/users", false));
	// A deletion may name a node above what is granted, and only then.
	assert_true(covers("production", "/interfaces/interface[name=e]", true));
	assert_false(covers("production", "/interfaces/interface[name=e]", false));
	assert_false(covers("quarantine", "/interfaces", true));
	size_t n;
	grant_items(grant_for("production"), &n);
	assert_true(n <= 32); // one message's bound, see devices.c
	grants_stop();
}

static enum access_class class_of(const struct classes *c, const char *path)
{
	return classes_of(c, path, strlen(path));
}

// X.2011 8.3.1-6
static void classes_by_path(void **state)
{
	struct conf_class own[] = {
		{(char *)(uintptr_t) "/lldp", CLASS_PERSONAL},
		{(char *)(uintptr_t) "/acl/acl-sets/acl-set[name=open]", CLASS_PUBLIC}};
	struct daemon_conf conf = {.classes = {own, 2}};
	struct classes *c;
	ok(classes_new(&conf, &c));
	assert_int_equal(class_of(c, "/interfaces/interface[name=e]/state/mtu"), CLASS_INTERNAL);
	assert_int_equal(class_of(c, "/acl/acl-sets/acl-set[name=x][type=ACL_IPV4]/state/hook"),
			 CLASS_CONFIDENTIAL);
	assert_int_equal(class_of(c, "/acl/acl-sets/acl-set[name=open][type=ACL_IPV4]/state/hook"),
			 CLASS_PUBLIC);
	assert_int_equal(class_of(c, "/lldp/state/system-name"), CLASS_PERSONAL);
	assert_int_equal(class_of(c, "/system/aaa/x"), CLASS_RESTRICTED);
	assert_int_equal(class_of(c, "/bgp/neighbors/neighbor[a=1]/password"), CLASS_RESTRICTED);
	assert_string_equal(classes_rule(c, "/lldp/state/system-name", 23), "/lldp");
	assert_string_equal(classes_rule(c, "/x", 2), "(default)");
	classes_free(c);
	own[0].path = (char *)(uintptr_t) "lldp[";
	struct err e = classes_new(&conf, &c);
	assert_int_equal(e.code, ERR_USAGE);
	assert_non_null(strstr(e.text, "lldp["));
}

// X.2011 8.2.1-4
static void places_in_chains(void **state)
{
	struct chain c = {
		.listed = true, .public_len = 32, .from_ns = 100, .until_ns = 200, .seq = 7};
	struct batch_head h = {.flags = BATCH_SIGNED, .seq = 8};
	uint64_t expected = 0;
	memset(c.hash, 3, sizeof c.hash);
	memset(h.previous, 3, sizeof h.previous);
	assert_null(chain_place(&c, &h, 150, &expected));
	assert_int_equal(expected, 8);
	assert_string_equal(chain_place(NULL, &h, 150, &expected), "key-unknown");
	assert_string_equal(chain_place(&c, &h, 99, &expected), "key-expired");
	assert_string_equal(chain_place(&c, &h, 201, &expected), "key-expired");
	h.seq = 7;
	assert_string_equal(chain_place(&c, &h, 150, &expected), "repeat");
	h.seq = 9;
	assert_string_equal(chain_place(&c, &h, 150, &expected), "gap");
	h.seq = 8;
	h.flags |= BATCH_CHAIN_START;
	assert_string_equal(chain_place(&c, &h, 150, &expected), "chain-start");
	h.flags = BATCH_SIGNED;
	h.previous[31] ^= 1;
	assert_string_equal(chain_place(&c, &h, 150, &expected), "previous-hash");
	c.seq = 0;
	h.seq = 1;
	memset(h.previous, 0, sizeof h.previous);
	assert_string_equal(chain_place(&c, &h, 150, &expected), "chain-start");
	h.flags |= BATCH_CHAIN_START;
	assert_null(chain_place(&c, &h, 150, &expected));
	c.listed = false; // management has taken the key back
	assert_string_equal(chain_place(&c, &h, 150, &expected), "key-unknown");
}

static void bounds_and_forgets_keys(void **state)
{
	struct device *d = calloc(1, sizeof *d);
	struct chain *c;
	int64_t day = 86400 * NS_PER_S;
	strcpy(d->name, "r1");
	for (unsigned i = 0; i < DEVICE_KEYS_MAX; i++) {
		uint8_t id[BATCH_KEY_ID] = {(uint8_t)i, 1};
		ok(chain_add(d, id, &c));
		c->until_ns = (int64_t)(i + 1) * day;
		c->seq = i;
	}
	uint8_t one_more[BATCH_KEY_ID] = {9, 9};
	assert_int_equal(chain_add(d, one_more, &c).code, ERR_LIMIT);
	uint8_t fifth[BATCH_KEY_ID] = {5, 1};
	chain_find(d, fifth)->listed = true;
	chain_prune(d, 30 * day);
	assert_non_null(chain_find(d, fifth)); // listed still
	uint8_t sixth[BATCH_KEY_ID] = {6, 1}, late[BATCH_KEY_ID] = {40, 1};
	assert_null(chain_find(d, sixth));
	assert_int_equal(chain_find(d, late)->seq, 40);
	ok(chain_add(d, one_more, &c));
	free(d->chains);
	free(d);
}

struct written {
	unsigned n;
	uint64_t count;
	char last[200];
};

static void write_one(void *ctx, const char *kind, const char *subject, const char *actor,
		      const char *detail, uint64_t count)
{
	struct written *w = ctx;
	w->n++;
	w->count += count;
	snprintf(w->last, sizeof w->last, "%s %s %s {%s} %llu", kind, subject, actor, detail,
		 (unsigned long long)count);
}

static void aggregates(void **state)
{
	struct written w = {0};
	struct aggregate *a = aggregate_new(write_one, &w);
	int64_t now = 1000 * NS_PER_S;
	for (int i = 0; i < 5000; i++)
		aggregate_note(a, "data.refused", "r1", "repository", "gap", "\"seq\":1", now);
	assert_int_equal(w.n, 1); // at once, the first
	assert_string_equal(w.last, "data.refused r1 repository {\"seq\":1} 1");
	aggregate_note(a, "data.refused", "r1", "repository", "repeat", "", now);
	assert_int_equal(w.n, 2); // another reason is another event
	aggregate_tick(a, now + 59 * NS_PER_S);
	assert_int_equal(w.n, 2);
	aggregate_tick(a, now + 61 * NS_PER_S);
	assert_int_equal(w.n, 3);
	assert_int_equal(w.count, 5001); // none is lost
	aggregate_note(a, "data.refused", "r1", "repository", "gap", "", now + 62 * NS_PER_S);
	assert_int_equal(w.n, 4);	   // a new minute
	for (int i = 0; i < 100000; i++) { // a flood of different ones
		char subject[20];
		snprintf(subject, sizeof subject, "x%d", i);
		aggregate_note(a, "data.refused", subject, "repository", "gap", "",
			       now + 63 * NS_PER_S);
	}
	assert_true(w.n < 1100);
	aggregate_tick(a, now + 200 * NS_PER_S);
	assert_int_equal(w.count, 5001 + 1 + 100000);
	assert_true(w.n < 1200);
	aggregate_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grants_by_state),  cmocka_unit_test(classes_by_path),
		cmocka_unit_test(places_in_chains), cmocka_unit_test(bounds_and_forgets_keys),
		cmocka_unit_test(aggregates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
