// SPDX-License-Identifier: Apache-2.0
// password.h and sealedfile.h.
#include "lib/crypto/password.h"
#include "lib/crypto/random.h"
#include "lib/crypto/sealedfile.h"
#include "test_crypto.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_password(void **state)
{
	char hash[PASSWORD_HASH_MAX], again[PASSWORD_HASH_MAX];
	assert_good(password_hash("correct horse", 13, hash));
	assert_good(password_hash("correct horse", 13, again));
	assert_string_not_equal(hash, again); // salted
	assert_non_null(strstr(hash, "$argon2id$v=19$m=65536,t=3,p=1$"));
	assert_good(password_verify(hash, "correct horse", 13));
	assert_bad(ERR_AUTH, "wrong password", password_verify(hash, "correct horsf", 13));
	assert_bad(ERR_AUTH, NULL, password_verify(hash, "correct hors", 12));
	assert_false(password_needs_rehash(hash));
	assert_true(password_needs_rehash("$argon2id$v=19$m=8192,t=1,p=1$"
					  "c29tZXNhbHRzb21lc2FsdA$"
					  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
	assert_bad(ERR_CORRUPT, "Argon2id", password_verify("$1$abc$def", "correct horse", 13));
	assert_bad(ERR_USAGE, "8 to", password_hash("short", 5, hash));
}

static void test_generated(void **state)
{
	struct secret *a, *b;
	assert_good(password_generate(&a));
	assert_good(password_generate(&b));
	const char *text = (const char *)secret_bytes(a);
	assert_int_equal(strlen(text), 23);
	assert_int_equal(strspn(text, "23456789abcdefghjkmnpqrstvwxyz-"), 23);
	assert_string_not_equal(text, (const char *)secret_bytes(b));
	secret_free(a);
	secret_free(b);
}

static void sealed_with(const struct sealedfile_lock *lock, const struct sealedfile_lock *wrong)
{
	scoped(buf) struct buf b = {0};
	struct secret *out;
	assert_good(sealedfile_encode(lock, "test v1", "private", 7, &b));
	assert_good(sealedfile_decode(lock, "test v1", b.data, b.len, &out));
	assert_int_equal(secret_size(out), 7);
	assert_memory_equal(secret_bytes(out), "private", 7);
	secret_free(out);
	assert_bad(ERR_CORRUPT, NULL, sealedfile_decode(wrong, "test v1", b.data, b.len, &out));
	assert_bad(ERR_CORRUPT, "purpose", sealedfile_decode(lock, "test v2", b.data, b.len, &out));
}

static void test_sealed(void **state)
{
	struct sealedfile_lock key = {0}, other = {0};
	struct secret *k, *o, *p = secret_of("open sesame", 11), *q = secret_of("open sesamf", 11);
	assert_good(random_secret(32, &k));
	assert_good(random_secret(32, &o));
	key.key = k;
	other.key = o;
	sealed_with(&key, &other);
	sealed_with(&(struct sealedfile_lock){.passphrase = p},
		    &(struct sealedfile_lock){.passphrase = q});
	sealed_with(&(struct sealedfile_lock){.passphrase = p}, &key);
	secret_free(k);
	secret_free(o);
	secret_free(p);
	secret_free(q);
}

static void test_sealed_tampering(void **state)
{
	struct secret *k, *out;
	assert_good(random_secret(32, &k));
	struct sealedfile_lock lock = {.key = k};
	scoped(buf) struct buf b = {0};
	assert_good(sealedfile_encode(&lock, "test v1", "private", 7, &b));
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_bad(ERR_CORRUPT, NULL,
			   sealedfile_decode(&lock, "test v1", b.data, b.len, &out));
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < b.len; cut++)
		assert_bad(ERR_CORRUPT, NULL,
			   sealedfile_decode(&lock, "test v1", b.data, cut, &out));
	buf_u8(&b, 0);
	assert_bad(ERR_CORRUPT, NULL, sealedfile_decode(&lock, "test v1", b.data, b.len, &out));
	secret_free(k);
}

static void test_files(void **state)
{
	char folder[] = "/tmp/gemel-test-XXXXXX";
	assert_non_null(mkdtemp(folder));
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	struct secret *k, *out;
	assert_good(random_secret(32, &k));
	struct sealedfile_lock lock = {.key = k};
	assert_bad(ERR_NOT_FOUND, "keys", sealedfile_read(dir, "keys", &lock, "test v1", &out));
	assert_good(sealedfile_write(dir, "keys", &lock, "test v1", "one", 3));
	assert_good(sealedfile_write(dir, "keys", &lock, "test v1", "three", 5));
	assert_good(sealedfile_read(dir, "keys", &lock, "test v1", &out));
	assert_int_equal(secret_size(out), 5);
	secret_free(out);
	struct stat st;
	assert_int_equal(fstatat(dir, "keys", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_not_equal(fstatat(dir, ".keys.new", &st, 0), 0); // nothing left beside it
	assert_bad(ERR_USAGE, "plain file name", sealedfile_write(dir, "../x", &lock, "t", "x", 1));
	assert_bad(ERR_USAGE, "plain file name", sealedfile_write(dir, ".x", &lock, "t", "x", 1));
	assert_int_equal(symlinkat("keys", dir, "link"), 0);
	assert_bad(ERR_IO, "link", sealedfile_read(dir, "link", &lock, "test v1", &out));
	unlinkat(dir, "link", 0);
	unlinkat(dir, "keys", 0);
	close(dir);
	rmdir(folder);
	secret_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_password), cmocka_unit_test(test_generated),
		cmocka_unit_test(test_sealed),	 cmocka_unit_test(test_sealed_tampering),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
