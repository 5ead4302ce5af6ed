// SPDX-License-Identifier: Apache-2.0
// Segment file NNNNNNNNNNNNNNNN.journal (number in hexadecimal):
//     "GEMELJN1"  store id[16]  u64 number  u32 KEK epoch  wrapped DEK[40]  salt, commitment[56]
//     frames: u32 n, n bytes: ciphertext || tag of records   (record i sealed with counter i,
//             AAD = u64 number || u64 offset || u32 n)
//     record: u8 kind  u32 length  bytes
// A frame is one fdatasync. The file's folder is fsynced when a segment is made, so that it cannot
// vanish after its frames were acknowledged.
#include "repository/journal.h"

#include "lib/base/log.h"
#include "lib/crypto/aead.h"
#include "repository/commit.h"
#include "repository/journal_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char journal_label[] = "gemel journal v1";

size_t journal_context(const struct data_keys *k, uint64_t number, uint32_t epoch, uint8_t out[64])
{
	memcpy(out, data_keys_store_id(k), STORE_ID);
	key_be64(out + STORE_ID, number);
	key_be64(out + STORE_ID + 8, epoch);
	return STORE_ID + 16;
}

void journal_aad(uint64_t number, uint64_t offset, uint32_t n, uint8_t out[JOURNAL_AAD])
{
	key_be64(out, number);
	key_be64(out + 8, offset);
	for (int i = 0; i < 4; i++)
		out[16 + i] = (uint8_t)(n >> (24 - 8 * i));
}

char *journal_name(uint64_t number, char out[JOURNAL_NAME])
{
	snprintf(out, JOURNAL_NAME, "%016llx.journal", (unsigned long long)number);
	return out;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

struct err journal_list(int folder, uint64_t **numbers, size_t *n)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (!d) {
		struct err e = err_system("journal folder");
		if (copy >= 0)
			close(copy);
		return e;
	}
	*numbers = NULL;
	*n = 0;
	struct err e = OK;
	for (struct dirent *at; e.code == ERR_NONE && (at = readdir(d)) != NULL;) {
		unsigned long long v;
		int end = 0;
		if (sscanf(at->d_name, "%16llx.journal%n", &v, &end) != 1 || !end ||
		    at->d_name[end])
			continue;
		uint64_t *grown = realloc(*numbers, (*n + 1) * sizeof **numbers);
		if (grown) {
			*numbers = grown;
			grown[(*n)++] = v;
		} else {
			e = err_make(ERR_LIMIT, "no memory to list the journal");
		}
	}
	closedir(d);
	if (*n)
		qsort(*numbers, *n, sizeof **numbers, by_number);
	return e;
}

struct err journal_open(int folder, struct data_keys *k, struct journal **out)
{
	struct journal *j = calloc(1, sizeof *j);
	ENSURE(j, ERR_LIMIT, "no memory for the journal");
	j->keys = k;
	j->fd = -1;
	j->frame.limit = JOURNAL_FRAME_MAX + 64;
	j->folder = dup(folder);
	uint64_t *numbers = NULL;
	size_t n = 0;
	struct err e =
		j->folder < 0 ? err_system("journal folder") : journal_list(folder, &numbers, &n);
	for (size_t i = 0; i < n && e.code == ERR_NONE; i++) {
		struct stat st;
		char name[JOURNAL_NAME];
		if (fstatat(folder, journal_name(numbers[i], name), &st, 0))
			e = err_system("%s", name);
		j->old_bytes += (uint64_t)st.st_size;
	}
	j->first = n ? numbers[0] : 1;
	j->number = n ? numbers[n - 1] + 1 : 1;
	free(numbers);
	if (e.code != ERR_NONE) {
		journal_close(j);
		return e;
	}
	*out = j;
	return OK;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	if (j->folder >= 0)
		close(j->folder);
	seal_segment_close(j->segment);
	if (j->frame.data)
		secret_zero(j->frame.data, j->frame.cap);
	buf_clear(&j->frame);
	free(j);
}

static void add_begin(struct journal *j)
{
	buf_u8(&j->frame, JOURNAL_BEGIN);
	buf_be32(&j->frame, 16);
	buf_be64(&j->frame, j->before);
	buf_be64(&j->frame, j->before_end);
}

// Room for the frame's length is kept at its front, so that it is sealed and written in place.
struct err journal_add(struct journal *j, enum journal_kind kind, const struct journal_part *parts,
		       size_t n)
{
	size_t total = 0;
	for (size_t i = 0; i < n; i++)
		total += parts[i].n;
	ENSURE(total + j->frame.len < JOURNAL_FRAME_MAX, ERR_LIMIT,
	       "journal: a record of %zu bytes does not fit", total);
	if (!j->frame.len) {
		buf_be32(&j->frame, 0);
		if (j->fd < 0 && !j->ending)
			add_begin(j);
	}
	buf_u8(&j->frame, (uint8_t)kind);
	buf_be32(&j->frame, (uint32_t)total);
	for (size_t i = 0; i < n; i++)
		buf_append(&j->frame, parts[i].bytes, parts[i].n);
	return buf_check(&j->frame, "journal frame");
}

bool journal_pending(const struct journal *j)
{
	return j->frame.len > 0;
}

size_t journal_pending_bytes(const struct journal *j)
{
	return j->frame.len;
}

static struct err write_all(int fd, const uint8_t *bytes, size_t n, uint64_t offset)
{
	while (n) {
		ssize_t done = pwrite(fd, bytes, n, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return err_system("journal: %zu bytes not written", n);
		bytes += done;
		n -= (size_t)done;
		offset += (uint64_t)done;
	}
	return OK;
}

static struct err begin_segment(struct journal *j)
{
	char name[JOURNAL_NAME];
	uint8_t wrapped[40], context[64];
	uint32_t epoch;
	scoped(secret) struct secret *key = NULL;
	TRY(data_keys_journal_new(j->keys, &key, wrapped, &epoch));
	size_t n = journal_context(j->keys, j->number, epoch, context);
	TRY(seal_segment_create(key, journal_label, context, n, &j->segment));
	j->fd = openat(j->folder, journal_name(j->number, name),
		       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return err_system("journal: %s", name);
	scoped(buf) struct buf head = {0};
	buf_append(&head, JOURNAL_MAGIC, 8);
	buf_append(&head, data_keys_store_id(j->keys), STORE_ID);
	buf_be64(&head, j->number);
	buf_be32(&head, epoch);
	buf_append(&head, wrapped, sizeof wrapped);
	buf_append(&head, seal_segment_head(j->segment), SEGMENT_HEAD);
	TRY(buf_check(&head, "journal head"));
	TRY(write_all(j->fd, head.data, head.len, 0));
	j->offset = head.len;
	j->lived = true;
	if (fsync(j->folder))
		return err_system("journal folder");
	return OK;
}

struct err journal_sync(struct journal *j)
{
	if (!j->frame.len)
		return OK;
	if (j->fd < 0)
		TRY(begin_segment(j));
	size_t n = j->frame.len - 4;
	uint8_t aad[JOURNAL_AAD];
	ENSURE(buf_space(&j->frame, AEAD_TAG), ERR_LIMIT, "no memory for a journal frame");
	uint32_t sealed = (uint32_t)(n + AEAD_TAG);
	for (int i = 0; i < 4; i++)
		j->frame.data[i] = (uint8_t)(sealed >> (24 - 8 * i));
	journal_aad(j->number, j->offset, sealed, aad);
	TRY(seal_segment_seal(j->segment, seal_segment_next(j->segment), aad, sizeof aad,
			      j->frame.data + 4, n, j->frame.data + 4));
	TRY(write_all(j->fd, j->frame.data, j->frame.len, j->offset));
	if (fdatasync(j->fd))
		return err_system("journal: not synced");
	j->offset += j->frame.len;
	buf_reset(&j->frame);
	if (j->offset >= JOURNAL_SEGMENT_BYTES)
		TRY(journal_end(j));
	return OK;
}

struct err journal_end(struct journal *j)
{
	if (j->fd < 0)
		return OK;
	if (!j->ending) { // once: its own sync may come back here
		j->ending = true;
		struct err e = journal_add(j, JOURNAL_END, NULL, 0);
		if (e.code == ERR_NONE)
			e = journal_sync(j);
		j->ending = false;
		TRY(e);
	} else {
		return OK;
	}
	close(j->fd);
	j->fd = -1;
	seal_segment_close(j->segment);
	j->segment = NULL;
	j->old_bytes += j->offset;
	j->before = j->number;
	j->before_end = j->offset;
	j->offset = 0;
	j->number++;
	return OK;
}

uint64_t journal_segment(const struct journal *j)
{
	return j->number;
}

uint64_t journal_bytes(const struct journal *j)
{
	return j->old_bytes + j->offset;
}

uint64_t journal_first(const struct journal *j)
{
	return j->first;
}

struct err journal_remove_below(struct journal *j, uint64_t number)
{
	char name[JOURNAL_NAME];
	bool any = false;
	for (; j->first < number && j->first < j->number; j->first++) {
		struct stat st;
		if (fstatat(j->folder, journal_name(j->first, name), &st, 0))
			continue; // a number that was never used
		if (unlinkat(j->folder, name, 0))
			return err_system("journal: %s not removed", name);
		j->old_bytes -=
			(uint64_t)st.st_size < j->old_bytes ? (uint64_t)st.st_size : j->old_bytes;
		any = true;
	}
	if (any && fsync(j->folder))
		return err_system("journal folder");
	return OK;
}
