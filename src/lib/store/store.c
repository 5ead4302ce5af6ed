// SPDX-License-Identifier: Apache-2.0
// SQLite, one table for each room:
//     CREATE TABLE chunk (domain, device, key, head, body), UNIQUE (domain, device, key)
// Ordinary row-id tables: rows of 1 to 60 KB pack their pages, where a WITHOUT ROWID table would
// push everything above a quarter page to overflow pages. The engine's own checksum of pages is
// not relied on: each row carries its seal, and manifests count the rows.
#include "lib/store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum statement { PUT, GET, DELETE, SCAN, SCAN_ALL, BACK, BACK_ALL, STATEMENTS };

struct store {
	sqlite3 *db;
	sqlite3_stmt *made[STORE_TABLES][STATEMENTS]; // prepared at first use
	bool open_commit;
};

const char *const store_table_names[STORE_TABLES] = {"meta",  "kek",   "dek",	"device", "series",
						     "chunk", "state", "batch", "ledger", "manifest"};

static struct err failed(struct store *s, const char *what)
{
	int rc = sqlite3_errcode(s->db);
	enum err_code code = rc == SQLITE_BUSY || rc == SQLITE_LOCKED ? ERR_BUSY
			     : rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? ERR_CORRUPT
			     : rc == SQLITE_NOMEM ? ERR_LIMIT
						  : ERR_IO;
	return err_make(code, "store: %s: %s", what, sqlite3_errmsg(s->db));
}

static struct err run(struct store *s, const char *sql)
{
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return failed(s, sql);
	return OK;
}

static struct err prepare_file(struct store *s)
{
	// Page size before WAL; exclusive locking keeps the wal-index in memory: no -shm file.
	static const char *const settings[] = {
		"PRAGMA page_size=4096",	  "PRAGMA locking_mode=EXCLUSIVE",
		"PRAGMA journal_mode=WAL",	  "PRAGMA synchronous=FULL",
		"PRAGMA wal_autocheckpoint=0",	  "PRAGMA temp_store=MEMORY",
		"PRAGMA trusted_schema=OFF",	  "PRAGMA cell_size_check=ON",
		"PRAGMA journal_size_limit=0",    "PRAGMA cache_size=-4096",
	};
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		TRY(run(s, settings[i]));
	TRY(run(s, "BEGIN IMMEDIATE"));
	for (int t = 0; t < STORE_TABLES; t++) {
		char sql[256];
		snprintf(sql, sizeof sql,
			 "CREATE TABLE IF NOT EXISTS %s (domain INTEGER NOT NULL, device INTEGER NOT "
			 "NULL, key BLOB NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL, "
			 "UNIQUE (domain, device, key))",
			 store_table_names[t]);
		TRY(run(s, sql));
	}
	return run(s, "COMMIT");
}

struct err store_open(int folder, const char *name, struct store **out)
{
	struct store *s = calloc(1, sizeof *s);
	ENSURE(s, ERR_LIMIT, "no memory for the store");
	char path[128];
	snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, name);
	struct err e = OK;
	mode_t before = umask(077);
	int rc = sqlite3_open_v2(path, &s->db,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
					 SQLITE_OPEN_PRIVATECACHE,
				 NULL);
	if (rc != SQLITE_OK)
		e = s->db ? failed(s, name) : err_make(ERR_LIMIT, "store: no memory");
	else
		e = prepare_file(s);
	umask(before);
	if (e.code != ERR_NONE) {
		e = err_within(e, "%s", name);
		store_close(s);
		return e;
	}
	*out = s;
	return OK;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (int t = 0; t < STORE_TABLES; t++)
		for (int k = 0; k < STATEMENTS; k++)
			sqlite3_finalize(s->made[t][k]);
	sqlite3_close(s->db);
	free(s);
}

static struct err statement(struct store *s, enum store_table t, enum statement k,
			    sqlite3_stmt **out)
{
	static const char *const texts[STATEMENTS] = {
		[PUT] = "INSERT OR REPLACE INTO %s VALUES (?1, ?2, ?3, ?4, ?5)",
		[GET] = "SELECT head, body FROM %s WHERE domain=?1 AND device=?2 AND key=?3",
		[DELETE] = "DELETE FROM %s WHERE domain=?1 AND device=?2 AND key=?3",
		[SCAN] = "SELECT domain, device, key, head, body FROM %s WHERE domain=?1 AND "
			 "device=?2 AND key>=?3 ORDER BY key",
		[SCAN_ALL] = "SELECT domain, device, key, head, body FROM %s WHERE (domain, device, "
			     "key) >= (?1, ?2, ?3) ORDER BY domain, device, key",
		[BACK] = "SELECT domain, device, key, head, body FROM %s WHERE domain=?1 AND "
			 "device=?2 AND key<=?3 ORDER BY key DESC",
		[BACK_ALL] = "SELECT domain, device, key, head, body FROM %s WHERE (domain, device, "
			     "key) <= (?1, ?2, ?3) ORDER BY domain DESC, device DESC, key DESC",
	};
	ENSURE(t >= 0 && t < STORE_TABLES, ERR_INTERNAL, "store: no table %d", (int)t);
	if (!s->made[t][k]) {
		char sql[256];
		snprintf(sql, sizeof sql, texts[k], store_table_names[t]);
		if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->made[t][k],
				       NULL) != SQLITE_OK)
			return failed(s, sql);
	}
	*out = s->made[t][k];
	return OK;
}

static void bind_place(sqlite3_stmt *q, uint32_t domain, uint32_t device, const uint8_t *key,
		       size_t n)
{
	sqlite3_bind_int64(q, 1, domain);
	sqlite3_bind_int64(q, 2, device);
	sqlite3_bind_blob(q, 3, key ? key : (const uint8_t *)"", (int)n, SQLITE_STATIC);
}

struct err store_begin(struct store *s)
{
	ENSURE(!s->open_commit, ERR_INTERNAL, "store: a commit is open already");
	TRY(run(s, "BEGIN IMMEDIATE"));
	s->open_commit = true;
	return OK;
}

struct err store_commit(struct store *s)
{
	ENSURE(s->open_commit, ERR_INTERNAL, "store: no commit is open");
	TRY(run(s, "COMMIT"));
	s->open_commit = false;
	return OK;
}

void store_rollback(struct store *s)
{
	if (s->open_commit)
		err_ignore(run(s, "ROLLBACK"));
	s->open_commit = false;
}

bool store_in_commit(const struct store *s)
{
	return s->open_commit;
}

static struct err finish(struct store *s, sqlite3_stmt *q, const char *what)
{
	int rc = sqlite3_step(q);
	struct err e = rc == SQLITE_DONE ? OK : failed(s, what);
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	return e;
}

struct err store_put(struct store *s, const struct store_row *row)
{
	ENSURE(row->key_len <= STORE_KEY_MAX && row->body_len <= STORE_BODY_MAX, ERR_INTERNAL,
	       "store: a row of %zu + %zu bytes does not fit", row->key_len, row->body_len);
	sqlite3_stmt *q;
	TRY(statement(s, row->table, PUT, &q));
	bind_place(q, row->domain, row->device, row->key, row->key_len);
	sqlite3_bind_blob(q, 4, row->head ? row->head : (const uint8_t *)"", (int)row->head_len,
			  SQLITE_STATIC);
	sqlite3_bind_blob(q, 5, row->body ? row->body : (const uint8_t *)"", (int)row->body_len,
			  SQLITE_STATIC);
	return finish(s, q, "put");
}

struct err store_delete(struct store *s, const struct store_row *place)
{
	sqlite3_stmt *q;
	TRY(statement(s, place->table, DELETE, &q));
	bind_place(q, place->domain, place->device, place->key, place->key_len);
	return finish(s, q, "delete");
}

static struct err copy_blob(sqlite3_stmt *q, int column, struct arena *a, const uint8_t **out,
			    size_t *n)
{
	const void *bytes = sqlite3_column_blob(q, column);
	*n = (size_t)sqlite3_column_bytes(q, column);
	uint8_t *copy = arena_alloc(a, *n + 1);
	ENSURE(copy, ERR_LIMIT, "store: no memory for a row of %zu bytes", *n);
	if (*n)
		memcpy(copy, bytes, *n);
	*out = copy;
	return OK;
}

struct err store_get(struct store *s, struct store_row *row, struct arena *a)
{
	sqlite3_stmt *q;
	TRY(statement(s, row->table, GET, &q));
	bind_place(q, row->domain, row->device, row->key, row->key_len);
	struct err e = OK;
	int rc = sqlite3_step(q);
	if (rc == SQLITE_ROW) {
		e = copy_blob(q, 0, a, &row->head, &row->head_len);
		if (e.code == ERR_NONE)
			e = copy_blob(q, 1, a, &row->body, &row->body_len);
	} else {
		e = rc == SQLITE_DONE ? err_make(ERR_NOT_FOUND, "store: no such %s row",
						 store_table_names[row->table])
				      : failed(s, "get");
	}
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	return e;
}

static struct store_row scanned(sqlite3_stmt *q, const struct store_scan *what)
{
	struct store_row row = {.table = what->table};
	row.domain = (uint32_t)sqlite3_column_int64(q, 0);
	row.device = (uint32_t)sqlite3_column_int64(q, 1);
	row.key = sqlite3_column_blob(q, 2);
	row.key_len = (size_t)sqlite3_column_bytes(q, 2);
	row.head = sqlite3_column_blob(q, 3);
	row.head_len = (size_t)sqlite3_column_bytes(q, 3);
	if (!what->heads_only) {
		row.body = sqlite3_column_blob(q, 4);
		row.body_len = (size_t)sqlite3_column_bytes(q, 4);
	}
	return row;
}

struct err store_scan(struct store *s, const struct store_scan *what)
{
	// A statement of its own: a scan may be started inside another one's `each`.
	sqlite3_stmt *q, *cached;
	enum statement k = what->backward ? (what->all_devices ? BACK_ALL : BACK)
					  : (what->all_devices ? SCAN_ALL : SCAN);
	TRY(statement(s, what->table, k, &cached));
	bool own = sqlite3_stmt_busy(cached);
	q = cached;
	if (own && sqlite3_prepare_v2(s->db, sqlite3_sql(cached), -1, &q, NULL) != SQLITE_OK)
		return failed(s, "scan");
	static const uint8_t last[STORE_KEY_MAX + 1] = {[0 ... STORE_KEY_MAX] = 0xff};
	if (what->backward && !what->from)
		bind_place(q, what->all_devices ? UINT32_MAX : what->domain,
			   what->all_devices ? UINT32_MAX : what->device, last, sizeof last);
	else
		bind_place(q, what->domain, what->device, what->from, what->from_len);
	struct err e = OK;
	bool more = true;
	int rc = SQLITE_DONE;
	while (more && e.code == ERR_NONE && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		struct store_row row = scanned(q, what);
		e = what->each(what->ctx, &row, &more);
	}
	if (e.code == ERR_NONE && rc != SQLITE_ROW && rc != SQLITE_DONE)
		e = failed(s, "scan");
	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	if (own)
		sqlite3_finalize(q);
	return e;
}

struct err store_checkpoint(struct store *s)
{
	ENSURE(!s->open_commit, ERR_INTERNAL, "store: checkpoint inside a commit");
	if (sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
	    SQLITE_OK)
		return failed(s, "checkpoint");
	return OK;
}

static uint64_t pragma(struct store *s, const char *sql)
{
	sqlite3_stmt *q;
	uint64_t v = 0;
	if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK &&
	    sqlite3_step(q) == SQLITE_ROW)
		v = (uint64_t)sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return v;
}

uint64_t store_bytes(struct store *s)
{
	return pragma(s, "PRAGMA page_count") * pragma(s, "PRAGMA page_size");
}
