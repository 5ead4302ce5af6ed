// SPDX-License-Identifier: Apache-2.0
// Tickets and snapshots to the last bit, and the shipped policy's separated duties.
// X.2011 8.3.3-1, 8.3.3-4.
#include "lib/access/access.h"
#include "lib/base/clock.h"
#include "lib/crypto/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int64_t now = 1795000000LL * NS_PER_S;
static struct sign_key *key, *other;
static struct access_policy *policy;

static const uint8_t *public_of(const struct sign_key *k)
{
	return sign_key_public(k)->bytes;
}

static void sign_into(const struct sign_key *k, struct buf *b)
{
	struct sign_signature s;
	assert_int_equal(sign_make(k, b->data, b->len, &s).code, ERR_NONE);
	buf_append(b, s.bytes, s.len);
	assert_false(b->failed);
}

static struct access_subject subject(const char *account, const char *role)
{
	struct access_subject s = {.n_roles = role ? 1 : 0,
				   .session = "00112233445566778899aabbccddeeff",
				   .issued_ns = now,
				   .until_ns = now + 300 * NS_PER_S};
	snprintf(s.account, sizeof s.account, "%s", account);
	if (role)
		snprintf(s.roles[0], sizeof s.roles[0], "%s", role);
	return s;
}

static int setup(void **state)
{
	struct buf b = {0};
	if (sign_key_generate(SIGN_ED25519, &key).code ||
	    sign_key_generate(SIGN_ED25519, &other).code)
		return -1;
	access_policy_encode_default(&b, 7, now);
	sign_into(key, &b);
	struct err e = access_policy_load(b.data, b.len, public_of(key), &policy);
	buf_clear(&b);
	return e.code == ERR_NONE ? 0 : -1;
}

static int teardown(void **state)
{
	access_policy_free(policy);
	sign_key_free(key);
	sign_key_free(other);
	return 0;
}

// --- tickets

static void test_ticket_round_trip(void **state)
{
	scoped(buf) struct buf b = {0};
	struct access_subject s = subject("ann", "viewer"), got;
	snprintf(s.roles[1], sizeof s.roles[1], "operator");
	s.n_roles = 2;
	s.strong = true;
	snprintf(s.domain, sizeof s.domain, "north");
	access_ticket_encode(&s, &b);
	sign_into(key, &b);
	assert_int_equal(access_ticket_verify(b.data, b.len, public_of(key), now, &got).code,
			 ERR_NONE);
	assert_string_equal(got.account, "ann");
	assert_int_equal(got.n_roles, 2);
	assert_string_equal(got.roles[1], "operator");
	assert_string_equal(got.session, s.session);
	assert_string_equal(got.domain, "north");
	assert_true(got.strong);
	assert_true(got.until_ns == s.until_ns && got.issued_ns == s.issued_ns);
	assert_int_equal(access_ticket_verify(b.data, b.len, public_of(other), now, &got).code,
			 ERR_AUTH);
	assert_string_equal(got.account, "");
}

static void test_ticket_every_bit(void **state)
{
	scoped(buf) struct buf b = {0};
	struct access_subject s = subject("ann", "viewer"), got;
	access_ticket_encode(&s, &b);
	sign_into(key, &b);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
			access_ticket_verify(b.data, b.len, public_of(key), now, &got).code,
			ERR_AUTH);
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(access_ticket_verify(b.data, n, public_of(key), now, &got).code,
				 ERR_AUTH);
}

static void expect_ticket(struct access_subject s, int64_t at, const char *words)
{
	scoped(buf) struct buf b = {0};
	struct access_subject got;
	access_ticket_encode(&s, &b);
	sign_into(key, &b);
	struct err e = access_ticket_verify(b.data, b.len, public_of(key), at, &got);
	assert_int_equal(e.code, ERR_AUTH);
	assert_non_null(strstr(e.text, words));
}

static void test_ticket_time(void **state)
{
	struct access_subject s = subject("ann", "viewer");
	expect_ticket(s, s.until_ns, "expired");
	expect_ticket(s, now - 60 * NS_PER_S, "not valid yet");
	s.until_ns++;
	expect_ticket(s, now, "longer");
	s.until_ns = s.issued_ns;
	expect_ticket(s, now - 1, "longer");
	s = subject("ann smith", "viewer");
	expect_ticket(s, now, "malformed");
	s = subject("", "viewer");
	expect_ticket(s, now, "malformed");
}

static void test_ticket_is_no_snapshot(void **state)
{
	scoped(buf) struct buf b = {0}, c = {0};
	struct access_subject s = subject("ann", "viewer"), got;
	struct access_policy *p;
	access_ticket_encode(&s, &b);
	sign_into(key, &b);
	assert_int_not_equal(access_policy_load(b.data, b.len, public_of(key), &p).code, ERR_NONE);
	access_policy_encode_default(&c, 1, now);
	sign_into(key, &c);
	assert_int_equal(access_ticket_verify(c.data, c.len, public_of(key), now, &got).code,
			 ERR_AUTH);
}

// --- snapshots

static void test_snapshot_every_bit(void **state)
{
	scoped(buf) struct buf b = {0};
	struct access_policy *p;
	access_policy_encode_default(&b, 9, now);
	size_t body = b.len;
	sign_into(key, &b);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(access_policy_load(b.data, b.len, public_of(key), &p).code,
				 ERR_AUTH);
		b.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < b.len; n += 7)
		assert_int_equal(access_policy_load(b.data, n, public_of(key), &p).code, ERR_AUTH);
	assert_int_equal(access_policy_load(b.data, b.len, public_of(key), &p).code, ERR_NONE);
	assert_int_equal(access_policy_version(p), 9);
	access_policy_free(p);
	// signed, but cut: the decoder itself must refuse
	for (size_t n = 1; n < body; n += 11) {
		scoped(buf) struct buf cut = {0};
		buf_append(&cut, b.data, n);
		sign_into(key, &cut);
		assert_int_equal(access_policy_load(cut.data, cut.len, public_of(key), &p).code,
				 ERR_PEER);
	}
}

// --- decisions

static struct access_decision ask(const char *role, enum access_action action, const char *kind,
				  enum access_class class)
{
	struct access_subject s = subject("ann", role);
	struct access_resource r = {.kind = kind, .class = class};
	struct access_decision d = access_decide(policy, &s, action, &r, now);
	assert_true(d.policy[0] && d.fact[0]);
	return d;
}

static void test_roles(void **state)
{
	static const struct {
		const char *role;
		enum access_action action;
		const char *kind;
		enum access_class class;
		bool permit;
		const char *policy;
	} t[] = {
		{"viewer", ACTION_READ, "Topology", CLASS_INTERNAL, true, "viewer-reads-internal"},
		{"viewer", ACTION_READ, "Dataset", CLASS_CONFIDENTIAL, false,
		 "viewer-reads-internal"},
		{"viewer", ACTION_CREATE, "Device", CLASS_INTERNAL, false, "default-deny"},
		{"viewer", ACTION_READ, "Account", CLASS_INTERNAL, false, "default-deny"},
		{"viewer", ACTION_READ, "Ledger", CLASS_INTERNAL, false, "default-deny"},
		{"operator", ACTION_READ, "Dataset", CLASS_CONFIDENTIAL, true,
		 "operator-reads-confidential"},
		{"operator", ACTION_READ, "Dataset", CLASS_RESTRICTED, false,
		 "operator-reads-confidential"},
		{"operator", ACTION_CREATE, "Token", CLASS_INTERNAL, true,
		 "operator-invites-devices"},
		{"operator", ACTION_APPROVE, "Path", CLASS_INTERNAL, false,
		 "operators-do-not-approve"},
		{"operator", ACTION_CREATE, "Account", CLASS_INTERNAL, false, "default-deny"},
		{"operator", ACTION_DELETE, "Device", CLASS_INTERNAL, false, "default-deny"},
		{"security-officer", ACTION_UPDATE, "Policy", CLASS_INTERNAL, true,
		 "security-officer-manages-policy"},
		{"security-officer", ACTION_DELETE, "Device", CLASS_INTERNAL, true,
		 "security-officer-contains-devices"},
		{"security-officer", ACTION_CREATE, "Account", CLASS_INTERNAL, false,
		 "default-deny"},
		{"security-officer", ACTION_READ, "Dataset", CLASS_RESTRICTED, false,
		 "security-officer-reads-restricted-strong"},
		{"approver", ACTION_APPROVE, "Path", CLASS_INTERNAL, true, "approver-approves"},
		{"approver", ACTION_UPDATE, "Device", CLASS_INTERNAL, false, "default-deny"},
		{"auditor", ACTION_READ, "Ledger", CLASS_CONFIDENTIAL, true,
		 "auditor-reads-records"},
		{"auditor", ACTION_READ, "Dataset", CLASS_CONFIDENTIAL, false,
		 "auditor-reads-internal-data"},
		{"auditor", ACTION_UPDATE, "Device", CLASS_INTERNAL, false,
		 "auditors-change-nothing"},
		{"administrator", ACTION_CREATE, "Account", CLASS_INTERNAL, true,
		 "administrator-manages-accounts"},
		{"administrator", ACTION_READ, "Dataset", CLASS_CONFIDENTIAL, false,
		 "administrator-reads-internal"},
		{"administrator", ACTION_UPDATE, "Policy", CLASS_INTERNAL, false, "default-deny"},
		{"administrator", ACTION_APPROVE, "Path", CLASS_INTERNAL, false,
		 "administrators-do-not-approve"},
		{"application", ACTION_READ, "Path", CLASS_INTERNAL, true,
		 "application-reads-internal"},
		{"application", ACTION_CREATE, "Device", CLASS_INTERNAL, false, "default-deny"},
		{"collector", ACTION_COLLECT, "Path", CLASS_INTERNAL, true, "collector-collects"},
		{"viewer", ACTION_COLLECT, "Path", CLASS_INTERNAL, false, "default-deny"},
		{"operator", ACTION_READ, "Dataset", CLASS_PERSONAL, false,
		 "operator-reads-confidential"},
		{"king", ACTION_READ, "Dataset", CLASS_PUBLIC, false, "default-deny"},
		{NULL, ACTION_READ, "Dataset", CLASS_PUBLIC, false, "default-deny"},
		{"operator", ACTION_READ, "Weather", CLASS_PUBLIC, false, "default-deny"},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct access_decision d = ask(t[i].role, t[i].action, t[i].kind, t[i].class);
		if (d.permit != t[i].permit || strcmp(d.policy, t[i].policy) != 0)
			fail_msg("row %zu: %d by %s: %s", i, d.permit, d.policy, d.fact);
	}
}

static void test_forbid_overrides(void **state)
{
	struct access_subject s = subject("ann", "operator");
	struct access_resource r = {.kind = "Path", .class = CLASS_INTERNAL};
	snprintf(s.roles[1], sizeof s.roles[1], "approver");
	s.n_roles = 2;
	struct access_decision d = access_decide(policy, &s, ACTION_APPROVE, &r, now);
	assert_false(d.permit);
	assert_string_equal(d.policy, "operators-do-not-approve");
}

static void test_fact(void **state)
{
	struct access_decision d = ask("viewer", ACTION_READ, "Dataset", CLASS_CONFIDENTIAL);
	assert_string_equal(d.fact, "class confidential is above internal");
	d = ask("viewer", ACTION_DELETE, "Device", CLASS_INTERNAL);
	assert_string_equal(d.fact, "no policy lets viewer delete Device");
}

static void test_own_account(void **state)
{
	struct access_subject s = subject("ann", "viewer");
	struct access_resource mine = {.kind = "Account", .id = "ann", .class = CLASS_INTERNAL};
	struct access_resource hers = {.kind = "Account", .id = "eve", .class = CLASS_INTERNAL};
	struct access_resource roles = mine;
	roles.path = "roles";
	assert_true(access_decide(policy, &s, ACTION_UPDATE, &mine, now).permit);
	assert_false(access_decide(policy, &s, ACTION_UPDATE, &hers, now).permit);
	assert_false(access_decide(policy, &s, ACTION_UPDATE, &roles, now).permit);
	assert_false(access_decide(policy, &s, ACTION_DELETE, &mine, now).permit);
}

static void test_domain(void **state)
{
	struct access_subject s = subject("ann", "viewer");
	struct access_resource r = {.kind = "Device", .id = "r1", .class = CLASS_INTERNAL};
	snprintf(s.domain, sizeof s.domain, "north");
	assert_string_equal(access_decide(policy, &s, ACTION_READ, &r, now).policy,
			    "domain-boundary");
	r.domain = "south";
	assert_string_equal(access_decide(policy, &s, ACTION_READ, &r, now).policy,
			    "domain-boundary");
	r.domain = "north";
	assert_true(access_decide(policy, &s, ACTION_READ, &r, now).permit);
	r = (struct access_resource){.kind = "Process", .class = CLASS_INTERNAL};
	assert_true(access_decide(policy, &s, ACTION_READ, &r, now).permit);
}

static void test_strong(void **state)
{
	struct access_subject s = subject("ann", "security-officer");
	struct access_resource r = {.kind = "Dataset", .class = CLASS_RESTRICTED};
	struct access_decision d = access_decide(policy, &s, ACTION_READ, &r, now);
	assert_false(d.permit);
	assert_non_null(strstr(d.fact, "second factor"));
	s.strong = true;
	assert_true(access_decide(policy, &s, ACTION_READ, &r, now).permit);
}

static void test_stale(void **state)
{
	struct access_resource r = {.kind = "Path", .class = CLASS_INTERNAL};
	int64_t late = now + 15 * 60 * NS_PER_S + 1;
	struct access_subject s = subject("ann", "viewer"), c = subject("telemetry", "collector");
	s.until_ns = c.until_ns = late + NS_PER_S;
	assert_true(access_decide(policy, &s, ACTION_READ, &r, late - 1).permit);
	assert_string_equal(access_decide(policy, &s, ACTION_READ, &r, late).policy,
			    "policy-freshness");
	assert_true(access_decide(policy, &c, ACTION_COLLECT, &r, late).permit);
	access_policy_refresh(policy, late);
	assert_true(access_decide(policy, &s, ACTION_READ, &r, late).permit);
	access_policy_refresh(policy, now); // never backwards
	assert_true(access_decide(policy, &s, ACTION_READ, &r, late).permit);
	s.until_ns = late;
	assert_string_equal(access_decide(policy, &s, ACTION_READ, &r, late).policy,
			    "ticket-lifetime");
	assert_false(access_decide(NULL, &s, ACTION_READ, &r, now).permit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ticket_round_trip),
		cmocka_unit_test(test_ticket_every_bit),
		cmocka_unit_test(test_ticket_time),
		cmocka_unit_test(test_ticket_is_no_snapshot),
		cmocka_unit_test(test_snapshot_every_bit),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_forbid_overrides),
		cmocka_unit_test(test_fact),
		cmocka_unit_test(test_own_account),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_strong),
		cmocka_unit_test(test_stale),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
