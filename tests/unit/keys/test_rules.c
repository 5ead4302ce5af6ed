// SPDX-License-Identifier: Apache-2.0
// Every process asks for every purpose: exactly the table's pairs are signed.
#include "keys/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	unsigned purpose;
	enum process_id owner;
} allowed[] = {
	// as docs/contracts.md and messages.def say, written out again
	{PURPOSE_CHECKPOINT, PROCESS_REPOSITORY},  {PURPOSE_TICKET, PROCESS_MANAGEMENT},
	{PURPOSE_CONTROL, PROCESS_MANAGEMENT},	   {PURPOSE_VERDICT, PROCESS_MODELS},
	{PURPOSE_CERTIFICATE, PROCESS_MANAGEMENT}, {PURPOSE_POLICY, PROCESS_MANAGEMENT},
	{PURPOSE_BUNDLE, PROCESS_MANAGEMENT},
};

static struct key_store store;

static int setup(void **state)
{
	for (unsigned p = 1; p < PURPOSES; p++) {
		enum sign_algorithm a = p == PURPOSE_CERTIFICATE ? SIGN_P256 : SIGN_ED25519;
		if (sign_key_generate(a, &store.keys[p]).code != ERR_NONE)
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	key_store_clear(&store);
	return 0;
}

static bool may(enum process_id who, unsigned purpose)
{
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
		if (allowed[i].purpose == purpose && allowed[i].owner == who)
			return true;
	return false;
}

static void check_signature(unsigned purpose, const struct sign_signature *s)
{
	const struct sign_public *k = sign_key_public(store.keys[purpose]);
	struct verify_key *v;
	assert_int_equal(verify_key_new(k->algorithm, k->bytes, k->len, &v).code, ERR_NONE);
	assert_int_equal(verify_check(v, "note", 4, s->bytes, s->len).code, ERR_NONE);
	verify_key_free(v);
}

static void test_matrix(void **state)
{
	unsigned good = 0, refused = 0;
	for (unsigned who = 0; who < PROCESS_COUNT; who++)
		for (unsigned purpose = 1; purpose < PURPOSES; purpose++) {
			struct sign_signature s = {.len = 0};
			struct err e = key_rules_sign(&store, who, purpose, (const uint8_t *)"note",
						      4, &s);
			if (may(who, purpose)) {
				assert_int_equal(e.code, ERR_NONE);
				check_signature(purpose, &s);
				good++;
			} else {
				assert_int_equal(e.code, ERR_DENIED);
				assert_non_null(strstr(e.text, key_purpose_name(purpose)));
				assert_int_equal(s.len, 0);
				refused++;
			}
		}
	assert_int_equal(good, 7);
	assert_int_equal(refused, 7 * PROCESS_COUNT - 7);
}

static void test_bounds(void **state)
{
	struct sign_signature s;
	assert_int_equal(
		key_rules_sign(&store, PROCESS_MANAGEMENT, 0, (const uint8_t *)"x", 1, &s).code,
		ERR_USAGE);
	assert_int_equal(
		key_rules_sign(&store, PROCESS_MANAGEMENT, PURPOSES, (const uint8_t *)"x", 1, &s)
			.code,
		ERR_USAGE);
	assert_int_equal(
		key_rules_sign(&store, PROCESS_MANAGEMENT, PURPOSE_TICKET, NULL, 0, &s).code,
		ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_matrix),
					   cmocka_unit_test(test_bounds)};
	return cmocka_run_group_tests(tests, setup, teardown);
}
