// SPDX-License-Identifier: Apache-2.0
#include "keys/store.h"
#include "lib/base/clock.h"
#include "lib/crypto/x509.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY_NS (86400 * NS_PER_S)

static char folder[64];
static int dir;

static void check(struct err e, enum err_code code, const char *words, int line)
{
	if (e.code == code && (!words || strstr(e.text, words)))
		return;
	print_error("got %s \"%s\"\n", err_code_name(e.code), e.text ? e.text : "");
	_fail(__FILE__, line);
}
#define assert_good(e) check((e), ERR_NONE, NULL, __LINE__)
#define assert_bad(code, words, e) check((e), code, words, __LINE__)

static int setup(void **state)
{
	strcpy(folder, "/tmp/gemel-keys-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsetenv("CREDENTIALS_DIRECTORY");
	return dir < 0;
}

static int teardown(void **state)
{
	static const char *const files[] = {"seal.key", "keys.sealed", "root.sealed", "away",
					    "gemel-keys"};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		unlinkat(dir, files[i], 0);
	close(dir);
	return rmdir(folder);
}

static void open_store(struct key_store *s, int64_t now)
{
	memset(s, 0, sizeof *s);
	assert_good(key_store_open(s, dir, "gemel.example/test", now));
}

static void test_first_and_next_start(void **state)
{
	struct key_store a, b;
	int64_t now = clock_wall_ns();
	open_store(&a, now);
	open_store(&b, now);
	for (unsigned p = 1; p < PURPOSES; p++) {
		assert_memory_equal(sign_key_public(a.keys[p])->id, sign_key_public(b.keys[p])->id,
				    SIGN_KEY_ID);
		for (unsigned q = 1; q < p; q++) // one key, one purpose
			assert_memory_not_equal(sign_key_public(a.keys[p])->id,
						sign_key_public(a.keys[q])->id, SIGN_KEY_ID);
	}
	assert_int_equal(a.issuing.len, b.issuing.len);
	assert_memory_equal(a.issuing.data, b.issuing.data, a.issuing.len);
	key_store_clear(&a);
	key_store_clear(&b);
}

static void test_authority(void **state)
{
	struct key_store s;
	int64_t now = clock_wall_ns();
	open_store(&s, now);
	struct x509_trust *t = x509_trust_new();
	assert_good(x509_trust_add(t, s.root.data, s.root.len));
	struct x509_chain chain = {.der = {s.issuing.data}, .len = {s.issuing.len}, .n = 1};
	struct x509_identity who;
	assert_good(x509_verify(t, &chain, X509_USE_ANY, now, &who, NULL));
	assert_true(who.authority);
	assert_string_equal(who.subject, "gemel.example/test issuing");
	const struct sign_public *k = sign_key_public(s.keys[PURPOSE_CERTIFICATE]);
	scoped(buf) struct buf device = {0};
	struct x509_issue want = {.profile = X509_DEVICE,
				  .name = "r1",
				  .key = k,
				  .from_ns = now,
				  .until_ns = now + DAY_NS,
				  .issuer = s.issuing.data,
				  .issuer_len = s.issuing.len};
	assert_good(x509_issue(&want, s.keys[PURPOSE_CERTIFICATE], &device));
	struct x509_chain full = {
		.der = {device.data, s.issuing.data}, .len = {device.len, s.issuing.len}, .n = 2};
	assert_good(x509_verify(t, &full, X509_USE_CLIENT, now, &who, NULL));
	x509_trust_free(t);
	key_store_clear(&s);
}

static void test_nothing_is_made_anew(void **state)
{
	struct key_store s;
	int64_t now = clock_wall_ns();
	open_store(&s, now);
	key_store_clear(&s);
	assert_int_equal(renameat(dir, "seal.key", dir, "away"), 0);
	assert_bad(ERR_NOT_FOUND, "backup", key_store_open(&s, dir, "x", now));
	key_store_clear(&s);
	assert_int_equal(renameat(dir, "away", dir, "seal.key"), 0);
	int fd = openat(dir, "keys.sealed", O_RDWR | O_CLOEXEC);
	char byte;
	assert_int_equal(pread(fd, &byte, 1, 100), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
	assert_bad(ERR_CORRUPT, "backup", key_store_open(&s, dir, "x", now));
	key_store_clear(&s);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
	close(fd);
	open_store(&s, now);
	key_store_clear(&s);
}

static void test_crash_in_first_start(void **state)
{
	struct key_store a, b;
	int64_t now = clock_wall_ns();
	open_store(&a, now);
	assert_int_equal(unlinkat(dir, "keys.sealed", 0), 0); // as if it had not been written yet
	open_store(&b, now);
	assert_int_equal(a.root.len, b.root.len);
	assert_memory_equal(a.root.data, b.root.data, a.root.len);
	key_store_clear(&a);
	key_store_clear(&b);
}

static void test_offline_root(void **state)
{
	struct key_store s;
	struct x509_identity before, kept, renewed;
	int64_t now = clock_wall_ns(), later = now + 600 * DAY_NS;
	open_store(&s, now);
	assert_good(x509_identify(s.issuing.data, s.issuing.len, &before));
	key_store_clear(&s);
	assert_int_equal(renameat(dir, "root.sealed", dir, "away"), 0);
	open_store(&s, later); // warns, goes on
	assert_good(x509_identify(s.issuing.data, s.issuing.len, &kept));
	assert_memory_equal(kept.fingerprint, before.fingerprint, 32);
	key_store_clear(&s);
	assert_int_equal(renameat(dir, "away", dir, "root.sealed"), 0);
	open_store(&s, later);
	assert_good(x509_identify(s.issuing.data, s.issuing.len, &renewed));
	assert_memory_equal(renewed.spki, before.spki, 32); // the same key
	assert_true(renewed.until_ns > before.until_ns);
	key_store_clear(&s);
	open_store(&s, later); // and kept
	assert_good(x509_identify(s.issuing.data, s.issuing.len, &kept));
	assert_memory_equal(kept.fingerprint, renewed.fingerprint, 32);
	key_store_clear(&s);
}

static void test_credential(void **state)
{
	struct key_store s;
	int fd = openat(dir, "gemel-keys", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "0123456789abcdef0123456789abcdef", 32), 32);
	close(fd);
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	open_store(&s, clock_wall_ns());
	key_store_clear(&s);
	assert_int_equal(faccessat(dir, "seal.key", F_OK, 0), -1); // nothing beside the store
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_bad(ERR_NOT_FOUND, "seal.key", key_store_open(&s, dir, "x", clock_wall_ns()));
	key_store_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_and_next_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_authority, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_is_made_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crash_in_first_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offline_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_credential, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
