// SPDX-License-Identifier: Apache-2.0
// Sealed files: sizes around the chunk, and every way to cut, continue or change one.
#include "test_abe.h"

#include "lib/abe/payload.h"
#include "lib/crypto/aead.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct abe_master *master;
static struct abe_public *public;
static struct abe_key *key;
static struct policy *policy;

static int begin(void **state)
{
	struct attributes *a = attributes_of("role=reader");
	assert_good(abe_setup(&master));
	assert_good(abe_master_public(master, &public));
	assert_good(abe_keygen(master, a, &key));
	attributes_free(a);
	policy = policy_of("role=reader");
	return 0;
}

static int end(void **state)
{
	policy_free(policy);
	abe_key_free(key);
	abe_public_free(public);
	abe_master_free(master);
	return 0;
}

static int file_of(const void *bytes, size_t n)
{
	int fd = memfd_create("payload", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void content(int fd, struct buf *out)
{
	off_t n = lseek(fd, 0, SEEK_END);
	out->limit = 64 << 20;
	uint8_t *at = buf_space(out, (size_t)n);
	assert_int_equal(pread(fd, at, (size_t)n, 0), n);
}

static void seal(const void *bytes, size_t n, struct buf *sealed)
{
	int in = file_of(bytes, n), out = file_of("", 0);
	assert_good(payload_seal(public, policy, (struct payload_end){in, "in"},
				 (struct payload_end){out, "out"}));
	content(out, sealed);
	close(in);
	close(out);
}

static struct err open_bytes(const uint8_t *bytes, size_t n, struct buf *plain)
{
	int in = file_of(bytes, n), out = file_of("", 0);
	struct err e = payload_open(key, public, (struct payload_end){in, "in"},
				    (struct payload_end){out, "out"});
	if (plain)
		content(out, plain);
	close(in);
	close(out);
	return e;
}

static void pattern(struct buf *b, size_t n)
{
	b->limit = 64 << 20;
	uint8_t *at = buf_space(b, n);
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(i * 31 + i / 251);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = {0,     1,      15,     65535,  65536,
				       65537, 131071, 131072, 131073, 1000000};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		scoped(buf) struct buf plain = {0}, sealed = {0}, again = {0};
		struct payload_about about;
		uint64_t size;
		pattern(&plain, sizes[i]);
		seal(plain.data, plain.len, &sealed);
		assert_good(open_bytes(sealed.data, sealed.len, &again));
		assert_int_equal(again.len, sizes[i]);
		if (sizes[i])
			assert_memory_equal(again.data, plain.data, sizes[i]);
		assert_good(payload_about(sealed.data, sealed.len, &about));
		assert_string_equal(policy_text(about.policy), "role = reader");
		assert_true(payload_size(sealed.len - about.head, &size));
		assert_int_equal(size, sizes[i]);
		policy_free(about.policy);
	}
}

static void test_pipe(void **state)
{
	scoped(buf) struct buf plain = {0}, sealed = {0}, again = {0};
	int pipes[2];
	pattern(&plain, 300000);
	assert_int_equal(pipe(pipes), 0);
	pid_t writer = fork();
	if (writer == 0) { // it arrives in pieces
		for (size_t i = 0; i < plain.len; i += 1000)
			if (write(pipes[1], plain.data + i, 1000) != 1000)
				_exit(1);
		_exit(0);
	}
	close(pipes[1]);
	int out = file_of("", 0);
	assert_good(payload_seal(public, policy, (struct payload_end){pipes[0], "in"},
				 (struct payload_end){out, "out"}));
	content(out, &sealed);
	assert_good(open_bytes(sealed.data, sealed.len, &again));
	assert_int_equal(again.len, plain.len);
	assert_memory_equal(again.data, plain.data, plain.len);
	close(pipes[0]);
	close(out);
	int status;
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(status, 0);
}

static size_t head_of(const struct buf *sealed)
{
	struct payload_about about;
	assert_good(payload_about(sealed->data, sealed->len, &about));
	policy_free(about.policy);
	return about.head;
}

static void test_every_byte(void **state)
{
	scoped(buf) struct buf sealed = {0};
	seal("twin", 4, &sealed);
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= (uint8_t)(1u << i % 8);
		assert_bad(ERR_CORRUPT, "cannot decrypt",
			   open_bytes(sealed.data, sealed.len, NULL));
		sealed.data[i] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t n = 0; n < sealed.len; n++)
		assert_bad(ERR_CORRUPT, "cannot decrypt", open_bytes(sealed.data, n, NULL));
}

// Chunks dropped, repeated, exchanged, of another file; the end cut at and around every boundary.
static void test_chunks(void **state)
{
	enum { FULL = PAYLOAD_CHUNK + 16 };
	scoped(buf) struct buf plain = {0}, sealed = {0}, work = {0}, other = {0};
	pattern(&plain, 3 * PAYLOAD_CHUNK + 100);
	seal(plain.data, plain.len, &sealed);
	seal(plain.data, plain.len, &other);
	size_t head = head_of(&sealed);
	for (size_t chunk = 0; chunk <= 3; chunk++)
		for (int off = -1; off <= 1; off++) {
			size_t n = head + chunk * FULL + (size_t)off;
			assert_bad(ERR_CORRUPT, NULL, open_bytes(sealed.data, n, NULL));
		}
	work.limit = 64 << 20;
	static const uint8_t orders[][5] = {{1, 0, 2, 3, 9}, {0, 2, 3, 9}, {0, 1, 3, 9},
					    {0, 0, 1, 2, 3}, {1, 2, 3, 9}, {3, 9}};
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		buf_reset(&work);
		buf_append(&work, sealed.data, head);
		for (size_t k = 0; k < 5 && orders[i][k] != 9; k++)
			buf_append(&work, sealed.data + head + orders[i][k] * FULL,
				   orders[i][k] == 3 ? 116 : FULL);
		assert_bad(ERR_CORRUPT, NULL, open_bytes(work.data, work.len, NULL));
	}
	buf_reset(&work);
	buf_append(&work, sealed.data, sealed.len);
	memcpy(work.data + head, other.data + head, FULL);
	assert_bad(ERR_CORRUPT, NULL, open_bytes(work.data, work.len, NULL));
	buf_append(&sealed, other.data + head, 116); // more behind the last chunk
	assert_bad(ERR_CORRUPT, NULL, open_bytes(sealed.data, sealed.len, NULL));
}

// By hand, from the drawing in payload.h: `last_empty` ends a full chunk by an empty one.
static void seal_by_hand(bool last_empty, struct buf *out)
{
	scoped(buf) struct buf c = {0};
	uint8_t shared[32], keys[39], nonce[12] = {0}, hash[32];
	static uint8_t plain[PAYLOAD_CHUNK], sealed[PAYLOAD_CHUNK + 16];
	struct aead *aead;
	out->limit = 1 << 20;
	assert_good(abe_encapsulate(public, policy, &c, shared));
	buf_append(out, "GABE\5\0\1", 7);
	buf_be32(out, (uint32_t)c.len);
	buf_append(out, c.data, c.len);
	assert_good(hash_hkdf_expand(shared, 32, "gemel abe payload v1", 20, keys, sizeof keys));
	hash_sha256(out->data, out->len, hash);
	assert_good(aead_new(keys, &aead));
	memcpy(nonce, keys + 32, 7);
	nonce[11] = !last_empty;
	assert_good(aead_seal(aead, nonce, hash, 32, plain, sizeof plain, sealed));
	buf_append(out, sealed, sizeof sealed);
	if (last_empty) {
		nonce[10] = 1;
		nonce[11] = 1;
		assert_good(aead_seal(aead, nonce, hash, 32, plain, 0, sealed));
		buf_append(out, sealed, 16);
	}
	aead_free(aead);
}

static void test_one_encoding(void **state)
{
	scoped(buf) struct buf good = {0}, bad = {0}, plain = {0};
	seal_by_hand(false, &good);
	assert_good(open_bytes(good.data, good.len, &plain));
	assert_int_equal(plain.len, PAYLOAD_CHUNK);
	seal_by_hand(true, &bad);
	assert_bad(ERR_CORRUPT, "cannot decrypt", open_bytes(bad.data, bad.len, NULL));
}

static void test_io_errors(void **state)
{
	scoped(buf) struct buf sealed = {0};
	int in = file_of("x", 1), full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	assert_bad(ERR_IO, "full disk",
		   payload_seal(public, policy, (struct payload_end){in, "in"},
				(struct payload_end){full, "full disk"}));
	assert_bad(ERR_IO, "nowhere",
		   payload_seal(public, policy, (struct payload_end){-1, "nowhere"},
				(struct payload_end){in, "out"}));
	seal("x", 1, &sealed);
	close(in);
	in = file_of(sealed.data, sealed.len);
	assert_bad(ERR_IO, "full disk",
		   payload_open(key, public, (struct payload_end){in, "in"},
				(struct payload_end){full, "full disk"}));
	close(in);
	close(full);
}

static void test_lengths(void **state)
{
	uint64_t plain;
	assert_false(payload_size(0, &plain));
	assert_false(payload_size(15, &plain));
	assert_true(payload_size(16, &plain) && plain == 0);
	assert_true(payload_size(65552, &plain) && plain == 65536);
	assert_false(payload_size(65552 + 16, &plain)); // an empty chunk behind another
	assert_true(payload_size(65552 + 17, &plain) && plain == 65537);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	     cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_every_byte),   cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_one_encoding), cmocka_unit_test(test_io_errors),
		cmocka_unit_test(test_lengths),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
