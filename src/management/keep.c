// SPDX-License-Identifier: Apache-2.0
#include "management/keep_internal.h"

#include "lib/base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JOURNAL_MAX = 4 << 20 };

struct err keep_open(int folder, struct keep **out)
{
	static const char *const names[KEEP_FILES] = {"state.a", "state.b"};
	struct keep *k = calloc(1, sizeof *k);
	ENSURE(k, ERR_LIMIT, "no memory for the state");
	struct err e = keep_seal_key(folder, &k->key);
	k->fds[0] = k->fds[1] = -1;
	k->pending.limit = KEEP_RECORD_MAX - 64;
	for (unsigned i = 0; i < KEEP_FILES && e.code == ERR_NONE; i++) {
		k->fds[i] =
			openat(folder, names[i], O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (k->fds[i] < 0)
			e = err_system("opening %s", names[i]);
	}
	if (e.code == ERR_NONE && fsync(folder) != 0)
		e = err_system("syncing the state folder");
	if (e.code == ERR_NONE)
		e = keep_load(k);
	if (e.code == ERR_NONE)
		e = keep_begin(k);
	if (e.code != ERR_NONE) {
		keep_close(k);
		return e;
	}
	*out = k;
	return OK;
}

void keep_close(struct keep *k)
{
	if (!k)
		return;
	seal_segment_close(k->segment);
	secret_free(k->key);
	keep_rows_clear(&k->rows);
	keep_rollback(k);
	buf_clear(&k->pending);
	for (unsigned i = 0; i < KEEP_FILES; i++)
		if (k->fds[i] >= 0)
			close(k->fds[i]);
	free(k);
}

void keep_put(struct keep *k, const char *table, const char *key, const void *bytes, size_t n)
{
	keep_put_operation(&k->pending, table, key, n ? bytes : "", n);
}

void keep_put_json(struct keep *k, const char *table, const char *key, const json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	if (!text) {
		k->pending.failed = true;
		return;
	}
	keep_put(k, table, key, text, strlen(text));
	secret_zero(text, strlen(text));
	free(text);
}

void keep_delete(struct keep *k, const char *table, const char *key)
{
	keep_put_operation(&k->pending, table, key, NULL, 0);
}

void keep_rollback(struct keep *k)
{
	if (k->pending.data)
		secret_zero(k->pending.data, k->pending.cap);
	buf_reset(&k->pending);
}

static struct err commit(struct keep *k, bool sync)
{
	TRY(buf_check(&k->pending, "change of the state"));
	if (!k->pending.len)
		return OK;
	if (k->broken)
		TRY(keep_begin(k));
	off_t before = k->at;
	struct err e = keep_append(k, KEEP_CHANGE, k->pending.data, k->pending.len);
	if (e.code == ERR_NONE && sync && fdatasync(k->fds[k->current]) != 0)
		e = err_system("syncing the state");
	if (e.code != ERR_NONE) {
		// Whatever is there of it must not come back, and its counter is spent.
		k->at = before;
		k->broken = true;
		if (ftruncate(k->fds[k->current], before) != 0)
			log_warning("a failed change could not be cut off the state");
		return e;
	}
	struct cursor c = cursor_over(k->pending.data, k->pending.len);
	TRY(err_within(keep_rows_apply(&k->rows, &c), "own change"));
	k->revision++;
	return OK;
}

static struct err commit_and_reset(struct keep *k, bool sync)
{
	struct err e = commit(k, sync);
	keep_rollback(k);
	TRY(e);
	if (k->at - k->snapshot_end > JOURNAL_MAX + k->snapshot_end) {
		struct err compact = keep_begin(k);
		if (compact.code != ERR_NONE)
			log_warning("the state was not compacted: %s", compact.text);
	}
	return OK;
}

struct err keep_commit(struct keep *k)
{
	return commit_and_reset(k, true);
}

struct err keep_commit_lazily(struct keep *k)
{
	return commit_and_reset(k, false);
}

const uint8_t *keep_get(const struct keep *k, const char *table, const char *key, size_t *n)
{
	const struct keep_row *row = keep_rows_find(&k->rows, table, key);
	*n = row ? row->n : 0;
	return row ? row->bytes : NULL;
}

json_t *keep_get_json(const struct keep *k, const char *table, const char *key)
{
	size_t n;
	const uint8_t *bytes = keep_get(k, table, key, &n);
	return bytes ? json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

struct err keep_scan_prefix(const struct keep *k, const char *table, const char *prefix,
			    keep_each_fn each, void *ctx)
{
	size_t n = strlen(prefix);
	for (size_t i = keep_rows_from(&k->rows, table, prefix); i < k->rows.n; i++) {
		const struct keep_row *row = &k->rows.items[i];
		if (strcmp(row->table, table) != 0 || strncmp(row->key, prefix, n) != 0)
			break;
		TRY(each(ctx, row->key, row->bytes, row->n));
	}
	return OK;
}

struct err keep_scan(const struct keep *k, const char *table, keep_each_fn each, void *ctx)
{
	return keep_scan_prefix(k, table, "", each, ctx);
}

size_t keep_count(const struct keep *k, const char *table)
{
	size_t n = 0;
	for (size_t i = keep_rows_from(&k->rows, table, ""); i < k->rows.n; i++, n++)
		if (strcmp(k->rows.items[i].table, table) != 0)
			break;
	return n;
}

bool keep_was_torn(const struct keep *k)
{
	return k->torn;
}

uint64_t keep_revision(const struct keep *k)
{
	return k->revision;
}
