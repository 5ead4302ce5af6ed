// SPDX-License-Identifier: Apache-2.0
#include "lib/crypto/sign.h"
#include "test_crypto.h"

static void ed25519_case(const struct vector *v)
{
	const struct vector_field *m = vector_get(v, "message"), *sig = vector_get(v, "signature");
	struct secret *raw = secret_of(vector_get(v, "secret")->bytes, 32);
	struct sign_key *k;
	assert_good(sign_key_from_raw(SIGN_ED25519, raw, &k));
	assert_memory_equal(sign_key_public(k)->bytes, vector_get(v, "public")->bytes, 32);
	struct sign_signature made;
	assert_good(sign_make(k, m->bytes, m->len, &made));
	assert_int_equal(made.len, SIGN_ED25519_SIGNATURE);
	assert_memory_equal(made.bytes, sig->bytes, made.len);
	sign_key_free(k);
	secret_free(raw);
}

static void test_vectors(void **state)
{
	assert_int_equal(vectors_run("ed25519.txt", ed25519_case), 3);
}

static struct verify_key *public_of(const struct sign_key *k)
{
	const struct sign_public *p = sign_key_public(k);
	struct verify_key *v;
	assert_good(verify_key_new(p->algorithm, p->bytes, p->len, &v));
	assert_memory_equal(verify_key_public(v)->id, p->id, SIGN_KEY_ID);
	return v;
}

static void round_trip(enum sign_algorithm a)
{
	struct sign_key *k, *again, *pem_again, *other;
	struct secret *raw, *pem;
	assert_good(sign_key_generate(a, &k));
	assert_good(sign_key_generate(a, &other));
	assert_good(sign_key_to_raw(k, &raw));
	assert_good(sign_key_to_pem(k, &pem));
	assert_good(sign_key_from_raw(a, raw, &again));
	assert_good(sign_key_from_pem(pem, &pem_again));
	assert_memory_equal(sign_key_public(k)->id, sign_key_public(again)->id, SIGN_KEY_ID);
	assert_memory_equal(sign_key_public(k)->id, sign_key_public(pem_again)->id, SIGN_KEY_ID);
	struct sign_signature s;
	assert_good(sign_make(again, "fact", 4, &s));
	struct verify_key *v = public_of(k), *stranger = public_of(other);
	assert_good(verify_check(v, "fact", 4, s.bytes, s.len));
	assert_bad(ERR_AUTH, NULL, verify_check(v, "fict", 4, s.bytes, s.len));
	assert_bad(ERR_AUTH, NULL, verify_check(v, "fact", 3, s.bytes, s.len));
	assert_bad(ERR_AUTH, NULL, verify_check(stranger, "fact", 4, s.bytes, s.len));
	assert_bad(ERR_AUTH, NULL, verify_check(v, "fact", 4, s.bytes, s.len - 1));
	assert_bad(ERR_AUTH, NULL, verify_check(v, "fact", 4, s.bytes, 0));
	for (size_t bit = 0; bit < s.len * 8; bit++) {
		s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_bad(ERR_AUTH, NULL, verify_check(v, "fact", 4, s.bytes, s.len));
		s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_good(verify_check(v, "fact", 4, s.bytes, s.len));
	verify_key_free(v);
	verify_key_free(stranger);
	sign_key_free(k);
	sign_key_free(again);
	sign_key_free(pem_again);
	sign_key_free(other);
	secret_free(raw);
	secret_free(pem);
}

static void test_round_trips(void **state)
{
	round_trip(SIGN_ED25519);
	round_trip(SIGN_P256);
}

static void test_public_forms(void **state)
{
	struct sign_key *k;
	assert_good(sign_key_generate(SIGN_P256, &k));
	struct sign_public p = *sign_key_public(k);
	assert_int_equal(p.len, 91);
	uint8_t one_hash[HASH_SIZE], joined[1 + 91] = {SIGN_P256};
	memcpy(joined + 1, p.bytes, p.len);
	hash_sha256(joined, sizeof joined, one_hash);
	assert_memory_equal(one_hash, p.id, SIGN_KEY_ID);
	struct verify_key *v;
	for (size_t cut = 0; cut < p.len; cut++)
		assert_bad(ERR_USAGE, NULL, verify_key_new(SIGN_P256, p.bytes, cut, &v));
	for (size_t bit = 0; bit < p.len * 8; bit++) { // off the curve, or another encoding
		struct sign_public q = p;
		q.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_bad(ERR_USAGE, NULL, verify_key_new(SIGN_P256, q.bytes, q.len, &v));
	}
	assert_bad(ERR_USAGE, "32 bytes", verify_key_new(SIGN_ED25519, p.bytes, 31, &v));
	assert_bad(ERR_USAGE, "unknown", verify_key_new((enum sign_algorithm)3, p.bytes, 32, &v));
	sign_key_free(k);
}

static void test_bad_private(void **state)
{
	uint8_t zero[32] = {0}, high[32];
	memset(high, 0xff, sizeof high);
	struct secret *z = secret_of(zero, 32), *h = secret_of(high, 32), *s = secret_of(zero, 31);
	struct sign_key *k;
	assert_bad(ERR_USAGE, NULL, sign_key_from_raw(SIGN_P256, z, &k));
	assert_bad(ERR_USAGE, NULL, sign_key_from_raw(SIGN_P256, h, &k));
	assert_bad(ERR_USAGE, "31", sign_key_from_raw(SIGN_P256, s, &k));
	assert_bad(ERR_USAGE, NULL, sign_key_from_pem(z, &k));
	secret_free(z);
	secret_free(h);
	secret_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_public_forms),
		cmocka_unit_test(test_bad_private),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
