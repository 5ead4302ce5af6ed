// SPDX-License-Identifier: Apache-2.0
#include "lib/crypto/aead.h"
#include "lib/crypto/random.h"
#include "test_crypto.h"

static void gcm_case(const struct vector *v)
{
	const struct vector_field *plain = vector_get(v, "plain"), *aad = vector_get(v, "aad");
	const struct vector_field *sealed = vector_get(v, "sealed"),
				  *nonce = vector_get(v, "nonce");
	struct aead *a;
	uint8_t out[256], back[256];
	assert_good(aead_new(vector_get(v, "key")->bytes, &a));
	for (int twice = 0; twice < 2; twice++) { // the reused context too
		assert_good(aead_seal(a, nonce->bytes, aad->bytes, aad->len, plain->bytes,
				      plain->len, out));
		assert_int_equal(sealed->len, plain->len + AEAD_TAG);
		assert_memory_equal(out, sealed->bytes, sealed->len);
		assert_good(
			aead_open(a, nonce->bytes, aad->bytes, aad->len, out, sealed->len, back));
		assert_memory_equal(back, plain->bytes, plain->len);
	}
	aead_free(a);
}

static void kw_case(const struct vector *v)
{
	const struct vector_field *key = vector_get(v, "key"), *wrapped = vector_get(v, "wrapped");
	struct secret *kek = secret_of(vector_get(v, "kek")->bytes, 32), *back;
	struct secret *k = secret_of(key->bytes, key->len);
	uint8_t out[KEYWRAP_MAX];
	size_t n;
	assert_good(keywrap_wrap(kek, k, out, &n));
	assert_int_equal(n, wrapped->len);
	assert_memory_equal(out, wrapped->bytes, n);
	assert_good(keywrap_unwrap(kek, out, n, &back));
	assert_int_equal(secret_size(back), key->len);
	assert_memory_equal(secret_bytes(back), key->bytes, key->len);
	secret_free(back);
	for (size_t bit = 0; bit < n * 8; bit++) {
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_bad(ERR_CORRUPT, NULL, keywrap_unwrap(kek, out, n, &back));
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < n; cut++)
		assert_bad(ERR_CORRUPT, NULL, keywrap_unwrap(kek, out, cut, &back));
	secret_free(kek);
	secret_free(k);
}

static void test_vectors(void **state)
{
	assert_int_equal(vectors_run("aes256_gcm.txt", gcm_case), 4);
	assert_int_equal(vectors_run("aes_kw.txt", kw_case), 3);
}

static void test_in_place_and_wiped(void **state)
{
	struct aead *a;
	uint8_t key[AEAD_KEY] = {7}, nonce[AEAD_NONCE] = {1}, bytes[64 + AEAD_TAG], out[64];
	assert_good(aead_new(key, &a));
	memset(bytes, 'x', 64);
	assert_good(aead_seal(a, nonce, "place", 5, bytes, 64, bytes));
	memset(out, 'y', sizeof out);
	assert_bad(ERR_CORRUPT, NULL, aead_open(a, nonce, "plaxe", 5, bytes, sizeof bytes, out));
	for (size_t i = 0; i < sizeof out; i++)
		assert_int_equal(out[i], 0); // nothing unauthenticated is left behind
	assert_good(aead_open(a, nonce, "place", 5, bytes, sizeof bytes, bytes));
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(bytes[i], 'x');
	assert_bad(ERR_CORRUPT, NULL, aead_open(a, nonce, "", 0, bytes, AEAD_TAG - 1, out));
	aead_free(a);
}

static void test_segment(void **state)
{
	struct secret *dek, *other;
	struct seal_segment *w, *r;
	uint8_t one[5 + AEAD_TAG], two[5 + AEAD_TAG], out[5], head[SEGMENT_HEAD];
	assert_good(random_secret(32, &dek));
	assert_good(random_secret(32, &other));
	assert_good(seal_segment_create(dek, "test v1", "here", 4, &w));
	memcpy(head, seal_segment_head(w), SEGMENT_HEAD);
	assert_int_equal(seal_segment_next(w), 0);
	assert_good(seal_segment_seal(w, 0, "a", 1, "hello", 5, one));
	assert_good(seal_segment_seal(w, 1, "a", 1, "hello", 5, two));
	assert_memory_not_equal(one, two, sizeof one);
	assert_bad(ERR_INTERNAL, "already", seal_segment_seal(w, 1, "a", 1, "hello", 5, two));
	assert_int_equal(seal_segment_next(w), 2);

	assert_good(seal_segment_open(dek, "test v1", "here", 4, head, &r));
	assert_good(seal_segment_unseal(r, 1, "a", 1, two, sizeof two, out));
	assert_memory_equal(out, "hello", 5);
	assert_good(seal_segment_unseal(r, 0, "a", 1, one, sizeof one, out));
	assert_bad(ERR_CORRUPT, "record 1",
		   seal_segment_unseal(r, 1, "a", 1, one, sizeof one, out));
	assert_bad(ERR_CORRUPT, NULL, seal_segment_unseal(r, 0, "b", 1, one, sizeof one, out));
	assert_bad(ERR_INTERNAL, "never written", seal_segment_seal(r, 2, "a", 1, "hello", 5, out));
	seal_segment_close(r);

	assert_bad(ERR_CORRUPT, NULL, seal_segment_open(other, "test v1", "here", 4, head, &r));
	assert_bad(ERR_CORRUPT, NULL, seal_segment_open(dek, "test v2", "here", 4, head, &r));
	assert_bad(ERR_CORRUPT, NULL, seal_segment_open(dek, "test v1", "hers", 4, head, &r));
	for (size_t i = 0; i < SEGMENT_HEAD; i++) {
		head[i] ^= 1;
		assert_bad(ERR_CORRUPT, NULL,
			   seal_segment_open(dek, "test v1", "here", 4, head, &r));
		head[i] ^= 1;
	}
	seal_segment_close(w);
	secret_free(dek);
	secret_free(other);
}

static void test_two_segments_differ(void **state)
{
	struct secret *dek;
	struct seal_segment *a, *b;
	uint8_t x[3 + AEAD_TAG], y[3 + AEAD_TAG], out[3];
	assert_good(random_secret(32, &dek));
	assert_good(seal_segment_create(dek, "test v1", "", 0, &a));
	assert_good(seal_segment_create(dek, "test v1", "", 0, &b));
	assert_memory_not_equal(seal_segment_head(a), seal_segment_head(b), SEGMENT_HEAD);
	assert_good(seal_segment_seal(a, 0, "", 0, "abc", 3, x));
	assert_good(seal_segment_seal(b, 0, "", 0, "abc", 3, y));
	assert_memory_not_equal(x, y, sizeof x);
	assert_bad(ERR_CORRUPT, NULL, seal_segment_unseal(b, 0, "", 0, x, sizeof x, out));
	seal_segment_close(a);
	seal_segment_close(b);
	secret_free(dek);
}

static void test_key_sizes(void **state)
{
	struct secret *short_key = secret_of("0123456789abcdef", 16),
		      *odd = secret_of("0123456", 7);
	struct secret *kek = secret_of("0123456789abcdef0123456789abcdef", 32);
	struct seal_segment *s;
	uint8_t out[KEYWRAP_MAX];
	size_t n;
	assert_bad(ERR_USAGE, "32", seal_segment_create(short_key, "test v1", "", 0, &s));
	assert_bad(ERR_USAGE, "32", keywrap_wrap(short_key, kek, out, &n));
	assert_bad(ERR_USAGE, "7 bytes", keywrap_wrap(kek, odd, out, &n));
	secret_free(short_key);
	secret_free(odd);
	secret_free(kek);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),	  cmocka_unit_test(test_in_place_and_wiped),
		cmocka_unit_test(test_segment),	  cmocka_unit_test(test_two_segments_differ),
		cmocka_unit_test(test_key_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
