// SPDX-License-Identifier: Apache-2.0
#include "management/keep_internal.h"

#include "lib/base/log.h"
#include "lib/crypto/random.h"
#include "lib/crypto/sealedfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[] = "GEMELKP1";
static const char label[] = "gemel management v1";
static const char seal_file[] = "seal.key", credential_file[] = "gemel-management";
static const char file_a[] = "state.a", file_b[] = "state.b";

enum { KEY = 32, PART = 256 << 10 };

// --- the key under which the files are sealed

static struct err seal_read(int folder, const char *name, struct secret **out)
{
	scoped(fd) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_make(ERR_NOT_FOUND, "%s is missing", name);
	if (fd < 0)
		return err_system("opening %s", name);
	scoped(secret) struct secret *key = secret_new(KEY);
	ENSURE(key, ERR_LIMIT, "no memory for the seal key");
	uint8_t more;
	ssize_t n = read(fd, secret_bytes(key), KEY);
	ENSURE(n == KEY && read(fd, &more, 1) == 0, ERR_CORRUPT,
	       "%s must hold exactly %d bytes: restore it from a backup", name, KEY);
	*out = key;
	key = NULL;
	return OK;
}

static bool exists(int folder, const char *name)
{
	struct stat st;
	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
}

// A credential of the service manager (systemd-creds seals it to the machine's TPM) goes before the
// file beside the state.
struct err keep_seal_key(int folder, struct secret **out)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	scoped(fd) int given =
		credentials ? open(credentials, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct err e = given < 0 ? err_make(ERR_NOT_FOUND, "no credential")
				 : seal_read(given, credential_file, out);
	if (e.code != ERR_NOT_FOUND)
		return e;
	e = seal_read(folder, seal_file, out);
	if (e.code != ERR_NOT_FOUND)
		return e;
	ENSURE(!exists(folder, file_a) && !exists(folder, file_b), ERR_CORRUPT,
	       "management: %s is missing and there is a sealed state: restore it from a backup. "
	       "Accounts and devices are not made anew",
	       seal_file);
	scoped(secret) struct secret *key = NULL;
	TRY(random_secret(KEY, &key));
	TRY(sealedfile_replace(folder, seal_file, secret_bytes(key), KEY));
	*out = key;
	key = NULL;
	return OK;
}

// --- reading

static struct err read_all(int fd, struct buf *out)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return err_system("looking at the state");
	ENSURE(st.st_size < (off_t)512 << 20, ERR_LIMIT, "the state is larger than 512 MiB");
	out->limit = (size_t)st.st_size + 1;
	uint8_t *to = buf_space(out, (size_t)st.st_size);
	ENSURE(to || st.st_size == 0, ERR_LIMIT, "no memory for the state");
	for (off_t at = 0; at < st.st_size;) {
		ssize_t n = pread(fd, to + at, (size_t)(st.st_size - at), at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_system("reading the state");
		at += n;
	}
	return OK;
}

struct reading {
	struct keep_rows rows;
	uint64_t generation, counter, changes;
	bool complete, torn;
	bool sealed_otherwise; // a whole head, and not under this key: no power cut makes that
};

static struct err record_open(struct keep *k, struct reading *r, struct seal_segment *s,
			      struct cursor *sealed)
{
	size_t n = cursor_left(sealed);
	scoped(buf) struct buf plain = {.limit = KEEP_RECORD_MAX};
	uint8_t *to = buf_space(&plain, n - AEAD_TAG);
	ENSURE(to, ERR_LIMIT, "no memory for the state");
	TRY(seal_segment_unseal(s, r->counter, NULL, 0, sealed->at, n, to));
	r->counter++;
	struct cursor c = cursor_over(to, n - AEAD_TAG);
	uint8_t kind = cursor_u8(&c);
	r->complete |= kind == KEEP_COMPLETE;
	r->changes += kind == KEEP_CHANGE;
	if (kind == KEEP_COMPLETE)
		k->revision = cursor_be64(&c);
	struct err e = keep_rows_apply(&r->rows, &c);
	secret_zero(to, n - AEAD_TAG);
	return e;
}

// A file without a whole header, or whose snapshot is not complete, was being begun when the power
// went: it counts as empty.
static struct err file_load(struct keep *k, int fd, struct reading *r)
{
	scoped(buf) struct buf bytes = {0};
	TRY(read_all(fd, &bytes));
	struct cursor c = cursor_over(bytes.data, bytes.len);
	const uint8_t *m = cursor_take(&c, sizeof magic - 1);
	uint8_t generation[8] = {0};
	struct cursor ahead = c;
	cursor_copy(&ahead, generation, sizeof generation);
	r->generation = cursor_be64(&c);
	const uint8_t *head = cursor_take(&c, SEGMENT_HEAD);
	if (!head || memcmp(m, magic, sizeof magic - 1) != 0)
		return OK;
	struct seal_segment *s = NULL;
	struct err e = seal_segment_open(k->key, label, generation, sizeof generation, head, &s);
	r->sealed_otherwise = e.code != ERR_NONE;
	while (e.code == ERR_NONE && cursor_left(&c) > 0) {
		struct cursor length = c;
		uint32_t n = cursor_be32(&length);
		struct cursor sealed = cursor_sub(&length, n);
		r->torn = sealed.failed;
		if (sealed.failed)
			break; // it was never acknowledged
		if (n <= AEAD_TAG || n > KEEP_RECORD_MAX)
			e = err_make(ERR_CORRUPT, "a record of %u bytes", n);
		else
			e = record_open(k, r, s, &sealed);
		if (e.code == ERR_CORRUPT && cursor_left(&length) == 0) {
			r->torn = true;
			e = OK;
			break;
		}
		c = length;
	}
	seal_segment_close(s);
	return e;
}

struct err keep_load(struct keep *k)
{
	struct reading r[KEEP_FILES] = {0};
	struct err e = OK;
	uint64_t revisions[KEEP_FILES] = {0};
	for (unsigned i = 0; i < KEEP_FILES && e.code == ERR_NONE; i++) {
		e = file_load(k, k->fds[i], &r[i]);
		if (e.code == ERR_PEER)
			e = err_make(ERR_CORRUPT, "%s", e.text);
		if (e.code == ERR_CORRUPT && !r[i].complete && !r[i].sealed_otherwise)
			e = OK; // begun and never finished; the other one decides
		revisions[i] = k->revision + r[i].changes;
	}
	unsigned best = r[1].complete && (!r[0].complete || r[1].generation > r[0].generation);
	bool any = r[best].complete;
	for (unsigned i = 0; i < KEEP_FILES && e.code == ERR_NONE && !any; i++) {
		struct stat st;
		bool there = fstat(k->fds[i], &st) == 0 && st.st_size > KEEP_HEADER;
		if (there && r[i].generation > 1)
			e = err_make(ERR_CORRUPT, "no complete state is left");
	}
	k->torn = any && r[best].torn;
	if (k->torn)
		log_warning("the last change in the state was torn and is dropped");
	k->rows = r[best].rows;
	keep_rows_clear(&r[!best].rows);
	k->current = best;
	k->generation = r[0].generation > r[1].generation ? r[0].generation : r[1].generation;
	k->revision = any ? revisions[best] : 0;
	return err_within(e,
			  "management's state (restore its folder from a backup; nothing is made "
			  "anew)");
}

// --- writing

static struct err write_at(int fd, const void *bytes, size_t n, off_t at)
{
	for (const uint8_t *p = bytes; n > 0;) {
		ssize_t done = pwrite(fd, p, n, at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_system("writing the state");
		p += done;
		at += done;
		n -= (size_t)done;
	}
	return OK;
}

struct err keep_append(struct keep *k, enum keep_kind kind, const void *bytes, size_t n)
{
	scoped(buf) struct buf frame = {.limit = KEEP_RECORD_MAX + 64};
	size_t plain = n + 1, sealed = plain + AEAD_TAG;
	ENSURE(sealed <= KEEP_RECORD_MAX, ERR_LIMIT, "a change of %zu bytes; at most %d", n,
	       KEEP_RECORD_MAX - 64);
	buf_be32(&frame, (uint32_t)sealed);
	uint8_t *to = buf_space(&frame, sealed);
	ENSURE(to, ERR_LIMIT, "no memory for a change");
	to[0] = (uint8_t)kind;
	if (n)
		memcpy(to + 1, bytes, n);
	TRY(seal_segment_seal(k->segment, seal_segment_next(k->segment), NULL, 0, to, plain, to));
	// A failed write may have left a part: it is written over, or truncated by the next start.
	TRY(write_at(k->fds[k->current], frame.data, frame.len, k->at));
	k->at += (off_t)frame.len;
	return OK;
}

static struct err snapshot(struct keep *k)
{
	scoped(buf) struct buf part = {.limit = KEEP_RECORD_MAX};
	struct err e = OK;
	for (size_t i = 0; i < k->rows.n && e.code == ERR_NONE; i++) {
		const struct keep_row *row = &k->rows.items[i];
		keep_put_operation(&part, row->table, row->key, row->bytes, row->n);
		if (part.len < PART && i + 1 < k->rows.n)
			continue;
		e = buf_check(&part, "snapshot");
		if (e.code == ERR_NONE)
			e = keep_append(k, KEEP_SNAPSHOT, part.data, part.len);
		secret_zero(part.data, part.len);
		buf_reset(&part);
	}
	TRY(e);
	scoped(buf) struct buf end = {0};
	buf_be64(&end, k->revision);
	return keep_append(k, KEEP_COMPLETE, end.data, end.len);
}

struct err keep_begin(struct keep *k)
{
	struct seal_segment *old = k->segment, *s = NULL;
	unsigned was = k->current;
	off_t old_at = k->at;
	scoped(buf) struct buf head = {0};
	buf_str(&head, magic);
	buf_be64(&head, k->generation + 1);
	TRY(seal_segment_create(k->key, label, head.data + 8, 8, &s));
	buf_append(&head, seal_segment_head(s), SEGMENT_HEAD);
	k->segment = s;
	k->current = !was;
	k->at = KEEP_HEADER;
	struct err e =
		ftruncate(k->fds[k->current], 0) == 0 ? OK : err_system("clearing the state");
	if (e.code == ERR_NONE)
		e = write_at(k->fds[k->current], head.data, head.len, 0);
	if (e.code == ERR_NONE)
		e = snapshot(k);
	if (e.code == ERR_NONE && fdatasync(k->fds[k->current]) != 0)
		e = err_system("syncing the state");
	if (e.code != ERR_NONE) { // go on in the old one
		seal_segment_close(s);
		k->segment = old;
		k->current = was;
		k->at = old_at;
		return e;
	}
	seal_segment_close(old);
	// Damage in the new one must be seen, not healed by an older truth.
	if (ftruncate(k->fds[was], 0) != 0)
		log_warning("the older state was not cleared");
	k->generation++;
	k->broken = false;
	k->snapshot_end = k->at;
	return OK;
}
