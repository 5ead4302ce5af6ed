// SPDX-License-Identifier: Apache-2.0
// The frozen vectors: what was sealed once opens for ever, and seeds give the same bytes for ever.
#include "test_abe.h"

static void case_of(const struct vector *v)
{
	scoped(buf) struct buf alpha = {0}, r = {0}, m = {0}, public = {0}, key = {0}, c = {0},
			       shared = {0}, again = {0};
	scoped(secret) struct secret *written = NULL;
	const char *policy = vector_text(v, "policy"), *list = vector_text(v, "attributes");
	blst_fr a, b;
	uint8_t opened[32];
	struct policy *p;
	struct attributes *at;
	struct abe_master *master;
	struct abe_public *pub;
	struct abe_key *made, *read;
	vector_bytes(v, "alpha", &alpha);
	vector_bytes(v, "r", &r);
	vector_bytes(v, "m", &m);
	vector_bytes(v, "public", &public);
	vector_bytes(v, "key", &key);
	vector_bytes(v, "ciphertext", &c);
	vector_bytes(v, "shared", &shared);
	assert_good(scalar_read(alpha.data, &a));
	assert_good(scalar_read(r.data, &b));
	assert_good(policy_read(policy, strlen(policy), &p));
	assert_good(attributes_read(list, strlen(list), &at));
	assert_good(abe_setup_with(&a, &master));
	assert_good(abe_public_read(public.data, public.len, &pub));
	assert_memory_equal(master->public_hash, abe_public_hash(pub), ABE_HASH);
	assert_good(abe_keygen_with(master, at, &b, &made));
	assert_good(abe_key_write(made, &written));
	assert_int_equal(secret_size(written), key.len);
	assert_memory_equal(secret_bytes(written), key.data, key.len);
	assert_good(abe_key_read(key.data, key.len, &read));
	assert_good(abe_key_check(read, pub));
	assert_good(abe_decapsulate(read, pub, c.data, c.len, opened));
	assert_memory_equal(opened, shared.data, 32);
	assert_good(abe_encapsulate_with(pub, p, m.data, &again, opened));
	assert_int_equal(again.len, c.len);
	assert_memory_equal(again.data, c.data, c.len);
	assert_memory_equal(opened, shared.data, 32);
	abe_key_free(made);
	abe_key_free(read);
	abe_public_free(pub);
	abe_master_free(master);
	attributes_free(at);
	policy_free(p);
}

static void test_frozen(void **state)
{
	assert_int_equal(vectors_run("abe_fabeo.txt", case_of), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_frozen)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
