// SPDX-License-Identifier: Apache-2.0
// See sealedfile.h for the layout. The whole header up to the nonce's end is authenticated, so that
// the costs of Argon2id cannot be lowered by an editor of the file; they are bounded before they
// are paid, so that such an editor cannot exhaust memory either.

#include "lib/crypto/sealedfile.h"

#include "lib/base/cursor.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/internal.h"
#include "lib/crypto/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "GEMELSF1";
static const char derive_label[] = "gemel sealed file v1";

enum { KIND_KEY = 1, KIND_PASSPHRASE = 2 };
enum { SALT = 16, HEADER = 8 + 4 + SALT + 32 + 4 + AEAD_NONCE };
enum { MEMORY_LOG2 = 16, MEMORY_LOG2_MAX = 18, PASSES = 3, PASSES_MAX = 10 };

struct header {
	uint8_t kind, memory_log2, passes;
	uint8_t salt[SALT], purpose[HASH_SIZE], nonce[AEAD_NONCE];
	uint32_t rest;
};

static struct err lock_check(const struct sealedfile_lock *lock)
{
	ENSURE(!lock->key != !lock->passphrase, ERR_INTERNAL,
	       "a sealed file has a key or a pass phrase, one of them");
	ENSURE(!lock->key || secret_size(lock->key) == AEAD_KEY, ERR_USAGE,
	       "the key of a sealed file has %d bytes", AEAD_KEY);
	return OK;
}

static struct err file_key(const struct sealedfile_lock *lock, const struct header *h,
			   uint8_t key[AEAD_KEY])
{
	const struct secret *s = lock->key ? lock->key : lock->passphrase;
	const uint8_t *bytes = secret_bytes((struct secret *)(uintptr_t)s);
	if (lock->key) {
		uint8_t info[sizeof derive_label - 1 + SALT];
		memcpy(info, derive_label, sizeof derive_label - 1);
		memcpy(info + sizeof derive_label - 1, h->salt, SALT);
		return hash_hkdf_expand(bytes, AEAD_KEY, info, sizeof info, key, AEAD_KEY);
	}
	_Static_assert(SALT == crypto_pwhash_SALTBYTES, "Argon2id's salt");
	ENSURE(crypto_pwhash(key, AEAD_KEY, (const char *)bytes, secret_size(s), h->salt, h->passes,
			     (size_t)1024 << h->memory_log2, crypto_pwhash_ALG_ARGON2ID13) == 0,
	       ERR_LIMIT, "no memory to derive a key from the pass phrase (%u MiB are needed)",
	       (1u << h->memory_log2) >> 10);
	return OK;
}

static struct err write_header(const struct sealedfile_lock *lock, const char *purpose, size_t n,
			       struct header *h, struct buf *out)
{
	h->kind = lock->key ? KIND_KEY : KIND_PASSPHRASE;
	h->memory_log2 = lock->key ? 0 : MEMORY_LOG2;
	h->passes = lock->key ? 0 : PASSES;
	h->rest = (uint32_t)n + AEAD_TAG;
	TRY(random_bytes(h->salt, sizeof h->salt));
	TRY(random_bytes(h->nonce, sizeof h->nonce));
	hash_sha256(purpose, strlen(purpose), h->purpose);
	buf_append(out, magic, sizeof magic);
	buf_u8(out, h->kind);
	buf_u8(out, h->memory_log2);
	buf_u8(out, h->passes);
	buf_u8(out, 0);
	buf_append(out, h->salt, sizeof h->salt);
	buf_append(out, h->purpose, sizeof h->purpose);
	buf_be32(out, h->rest);
	buf_append(out, h->nonce, sizeof h->nonce);
	return OK;
}

struct err sealedfile_encode(const struct sealedfile_lock *lock, const char *purpose,
			     const void *plain, size_t n, struct buf *out)
{
	TRY(crypto_start());
	TRY(lock_check(lock));
	ENSURE(n <= SEALEDFILE_MAX, ERR_LIMIT, "%zu bytes are too many for a sealed file", n);
	struct header h;
	size_t start = out->len;
	TRY(write_header(lock, purpose, n, &h, out));
	uint8_t *room = buf_space(out, n + AEAD_TAG);
	TRY(buf_check(out, "sealed file"));
	uint8_t key[AEAD_KEY];
	struct aead *a = NULL;
	struct err e = file_key(lock, &h, key);
	if (e.code == ERR_NONE)
		e = aead_new(key, &a);
	if (e.code == ERR_NONE)
		e = aead_seal(a, h.nonce, out->data + start, HEADER, plain, n, room);
	aead_free(a);
	secret_zero(key, sizeof key);
	return e;
}

static struct err read_header(struct cursor *c, const struct sealedfile_lock *lock,
			      const char *purpose, struct header *h)
{
	uint8_t found[sizeof magic], wanted[HASH_SIZE];
	cursor_copy(c, found, sizeof found);
	h->kind = cursor_u8(c);
	h->memory_log2 = cursor_u8(c);
	h->passes = cursor_u8(c);
	uint8_t zero = cursor_u8(c);
	cursor_copy(c, h->salt, sizeof h->salt);
	cursor_copy(c, h->purpose, sizeof h->purpose);
	h->rest = cursor_be32(c);
	cursor_copy(c, h->nonce, sizeof h->nonce);
	ENSURE(!c->failed && memcmp(found, magic, sizeof magic) == 0 && zero == 0, ERR_CORRUPT,
	       "not a sealed file, or of a newer version");
	ENSURE(h->kind == (lock->key ? KIND_KEY : KIND_PASSPHRASE), ERR_CORRUPT,
	       "the file is not sealed under a %s", lock->key ? "key" : "pass phrase");
	if (h->kind == KIND_PASSPHRASE)
		ENSURE(h->memory_log2 >= 10 && h->memory_log2 <= MEMORY_LOG2_MAX &&
			       h->passes >= 1 && h->passes <= PASSES_MAX,
		       ERR_CORRUPT, "the costs in the sealed file's header are out of bounds");
	hash_sha256(purpose, strlen(purpose), wanted);
	ENSURE(memcmp(wanted, h->purpose, HASH_SIZE) == 0, ERR_CORRUPT,
	       "the sealed file was made for another purpose than \"%s\"", purpose);
	ENSURE(h->rest == cursor_left(c) && h->rest >= AEAD_TAG &&
		       h->rest <= SEALEDFILE_MAX + AEAD_TAG,
	       ERR_CORRUPT, "the sealed file is cut short or has bytes after its end");
	return OK;
}

struct err sealedfile_decode(const struct sealedfile_lock *lock, const char *purpose,
			     const uint8_t *bytes, size_t n, struct secret **out)
{
	TRY(crypto_start());
	TRY(lock_check(lock));
	struct cursor c = cursor_over(bytes, n);
	struct header h;
	TRY(read_header(&c, lock, purpose, &h));
	size_t plain = h.rest - AEAD_TAG;
	scoped(secret) struct secret *s = secret_new(plain);
	ENSURE(s, ERR_LIMIT, "no memory for a sealed file of %zu bytes", plain);
	uint8_t key[AEAD_KEY];
	struct aead *a = NULL;
	struct err e = file_key(lock, &h, key);
	if (e.code == ERR_NONE)
		e = aead_new(key, &a);
	if (e.code == ERR_NONE)
		e = aead_open(a, h.nonce, bytes, HEADER, c.at, h.rest, secret_bytes(s));
	aead_free(a);
	secret_zero(key, sizeof key);
	TRY(e);
	*out = s;
	s = NULL;
	return OK;
}

// --- files

static struct err name_check(const char *name)
{
	size_t n = strlen(name);
	ENSURE(n > 0 && n <= 200 && !strchr(name, '/') && name[0] != '.', ERR_USAGE,
	       "\"%s\" is not a plain file name", name);
	return OK;
}

static struct err write_all(int fd, const uint8_t *bytes, size_t n, const char *name)
{
	while (n > 0) {
		ssize_t done = write(fd, bytes, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_system("writing %s", name);
		bytes += done;
		n -= (size_t)done;
	}
	if (fsync(fd) != 0)
		return err_system("syncing %s", name);
	return OK;
}

struct err sealedfile_replace(int folder, const char *name, const void *bytes, size_t n)
{
	TRY(name_check(name));
	char beside[256];
	snprintf(beside, sizeof beside, ".%s.new", name);
	if (unlinkat(folder, beside, 0) != 0 && errno != ENOENT)
		return err_system("removing %s", beside);
	scoped(fd) int fd =
		openat(folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_system("making %s", beside);
	TRY(write_all(fd, bytes, n, beside));
	if (renameat(folder, beside, folder, name) != 0)
		return err_system("renaming %s to %s", beside, name);
	if (fsync(folder) != 0)
		return err_system("syncing the folder of %s", name);
	return OK;
}

struct err sealedfile_write(int folder, const char *name, const struct sealedfile_lock *lock,
			    const char *purpose, const void *plain, size_t n)
{
	scoped(buf) struct buf bytes = {0};
	TRY(err_within(sealedfile_encode(lock, purpose, plain, n, &bytes), "%s", name));
	return sealedfile_replace(folder, name, bytes.data, bytes.len);
}

static struct err read_file(int folder, const char *name, struct buf *out)
{
	scoped(fd) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_make(ERR_NOT_FOUND, "there is no file %s", name);
	if (fd < 0)
		return err_system("opening %s", name);
	struct stat st;
	if (fstat(fd, &st) != 0)
		return err_system("looking at %s", name);
	ENSURE(S_ISREG(st.st_mode), ERR_CORRUPT, "%s is not a regular file", name);
	ENSURE(st.st_size <= SEALEDFILE_MAX + HEADER + AEAD_TAG, ERR_LIMIT,
	       "%s is too large for a sealed file", name);
	for (;;) {
		uint8_t piece[4096];
		ssize_t n = read(fd, piece, sizeof piece);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_system("reading %s", name);
		if (n == 0)
			return buf_check(out, name);
		buf_append(out, piece, (size_t)n);
	}
}

struct err sealedfile_read(int folder, const char *name, const struct sealedfile_lock *lock,
			   const char *purpose, struct secret **out)
{
	TRY(name_check(name));
	scoped(buf) struct buf bytes = {.limit = SEALEDFILE_MAX + HEADER + AEAD_TAG};
	TRY(read_file(folder, name, &bytes));
	return err_within(sealedfile_decode(lock, purpose, bytes.data, bytes.len, out), "%s", name);
}
