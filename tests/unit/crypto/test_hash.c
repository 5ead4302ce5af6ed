// SPDX-License-Identifier: Apache-2.0
#include "test_crypto.h"

static void sha256_case(const struct vector *v)
{
	const struct vector_field *m = vector_get(v, "message");
	uint8_t out[HASH_SIZE], pieces[HASH_SIZE];
	hash_sha256(m->bytes, m->len, out);
	assert_memory_equal(out, vector_get(v, "hash")->bytes, HASH_SIZE);
	struct hash *h = hash_new();
	for (size_t i = 0; i < m->len; i++)
		hash_add(h, m->bytes + i, 1);
	hash_so_far(h, pieces);
	assert_memory_equal(pieces, out, HASH_SIZE);
	hash_finish(h, pieces);
	assert_memory_equal(pieces, out, HASH_SIZE);
	hash_free(h);
}

static void hmac_case(const struct vector *v)
{
	const struct vector_field *key = vector_get(v, "key"), *m = vector_get(v, "message");
	uint8_t out[HASH_SIZE];
	hash_hmac(key->bytes, key->len, m->bytes, m->len, out);
	assert_memory_equal(out, vector_get(v, "mac")->bytes, HASH_SIZE);
}

static void hkdf_case(const struct vector *v)
{
	const struct vector_field *ikm = vector_get(v, "ikm"), *salt = vector_get(v, "salt");
	const struct vector_field *info = vector_get(v, "info"), *okm = vector_get(v, "okm");
	uint8_t prk[HASH_SIZE], out[256];
	assert_good(hash_hkdf_extract(salt->bytes, salt->len, ikm->bytes, ikm->len, prk));
	assert_memory_equal(prk, vector_get(v, "prk")->bytes, HASH_SIZE);
	assert_good(hash_hkdf_expand(prk, HASH_SIZE, info->bytes, info->len, out, okm->len));
	assert_memory_equal(out, okm->bytes, okm->len);
}

static void test_vectors(void **state)
{
	assert_int_equal(vectors_run("sha256.txt", sha256_case), 3);
	assert_int_equal(vectors_run("hmac_sha256.txt", hmac_case), 3);
	assert_int_equal(vectors_run("hkdf_sha256.txt", hkdf_case), 3);
}

static void test_parts(void **state)
{
	uint8_t one[HASH_SIZE], parts[HASH_SIZE];
	hash_sha256("abcdef", 6, one);
	hash_parts((struct hash_part[]){{"ab", 2}, {"", 0}, {"cdef", 4}}, 3, parts);
	assert_memory_equal(one, parts, HASH_SIZE);
	hash_sha256("abcdeg", 6, parts);
	assert_memory_not_equal(one, parts, HASH_SIZE);
}

static void test_hkdf_bounds(void **state)
{
	static uint8_t out[255 * HASH_SIZE + 1];
	uint8_t prk[HASH_SIZE] = {1};
	assert_good(hash_hkdf_expand(prk, sizeof prk, "", 0, out, 255 * HASH_SIZE));
	assert_bad(ERR_USAGE, "8161", hash_hkdf_expand(prk, sizeof prk, "", 0, out, sizeof out));
	assert_bad(ERR_USAGE, NULL, hash_hkdf_expand(prk, sizeof prk, "", 0, out, 0));
}

static void test_hmac_empty_key(void **state)
{
	// An empty key must not mean "the key of the call before".
	uint8_t a[HASH_SIZE], b[HASH_SIZE];
	hash_hmac("", 0, "x", 1, a);
	hash_hmac("another", 7, "x", 1, b);
	hash_hmac(NULL, 0, "x", 1, b);
	assert_memory_equal(a, b, HASH_SIZE);
}

static void test_hex(void **state)
{
	char text[HASH_HEX];
	uint8_t back[3];
	assert_string_equal(hash_hex((const uint8_t[]){0x00, 0xaf, 0x9c}, 3, text), "00af9c");
	assert_true(hash_unhex("00AF9c", back, 3));
	assert_int_equal(back[1], 0xaf);
	assert_false(hash_unhex("00AF9", back, 3));
	assert_false(hash_unhex("00AF9c0", back, 3));
	assert_false(hash_unhex("00AG9c", back, 3));
	assert_false(hash_unhex("", back, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),	    cmocka_unit_test(test_parts),
		cmocka_unit_test(test_hkdf_bounds), cmocka_unit_test(test_hmac_empty_key),
		cmocka_unit_test(test_hex),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
