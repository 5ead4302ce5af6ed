// SPDX-License-Identifier: Apache-2.0
// A record is written in the same commit as what it tells of, as a row of "outbox", and goes when
// the repository has answered RECORDED: neither is ever there without the other. After a crash a
// record may be sent twice; it carries its number, so that a reader sees that it is the same one.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char table[] = "outbox";
enum { WINDOW = 64, RECORD_MAX = 60000, STUCK_S = 15 };

struct outbox {
	uint64_t next; // number of the next record
	uint64_t sent; // highest that is under way
	unsigned under_way;
	size_t waiting;	  // rows that are committed
	size_t gathered;  // of the change that is being gathered
	int64_t moved_ns; // monotonic; when it last went on
};

static void key_of(uint64_t number, char out[24])
{
	snprintf(out, 24, "%020llu", (unsigned long long)number);
}

static struct err count(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct outbox *o = ctx;
	uint64_t number = strtoull(key, NULL, 10);
	o->waiting++;
	o->next = number >= o->next ? number + 1 : o->next;
	return OK;
}

struct err outbox_start(struct management *m)
{
	m->outbox = calloc(1, sizeof *m->outbox);
	ENSURE(m->outbox, ERR_LIMIT, "no memory for records");
	// Above all numbers of earlier runs, whose answers must not be taken for ours.
	m->outbox->next = (uint64_t)now_of(m) / 1000;
	return keep_scan(m->keep, table, count, m->outbox);
}

void outbox_stop(struct management *m)
{
	free(m->outbox);
	m->outbox = NULL;
}

size_t outbox_waiting(const struct management *m)
{
	return m->outbox->waiting;
}

struct err outbox_room(const struct management *m)
{
	ENSURE(m->outbox->waiting < RECORDS_WAITING_MAX, ERR_BUSY,
	       "%zu records wait for the ledger; nothing is changed until it takes them",
	       m->outbox->waiting);
	return OK;
}

void record(struct management *m, const char *kind, const char *subject, const char *actor,
	    json_t *body)
{
	char key[24], at[CLOCK_TEXT_MAX];
	uint64_t number = m->outbox->next++;
	if (!body)
		body = json_object();
	json_object_set_new(body, "time", json_string(clock_format(now_of(m), at)));
	json_object_set_new(body, "record", json_integer((json_int_t)number));
	json_t *row =
		json_pack("{s:s,s:s,s:s,s:o}", "kind", kind, "subject", subject ? subject : "",
			  "actor", actor ? actor : "management", "body", body);
	key_of(number, key);
	keep_put_json(m->keep, table, key, row);
	json_decref(row);
	m->outbox->gathered++;
}

void rollback(struct management *m)
{
	keep_rollback(m->keep);
	m->outbox->gathered = 0;
}

struct err commit(struct management *m)
{
	struct err e = keep_commit(m->keep);
	if (e.code == ERR_NONE)
		m->outbox->waiting += m->outbox->gathered;
	m->outbox->gathered = 0;
	TRY(e);
	outbox_send(m);
	return OK;
}

// --- sending

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static struct err send_row(struct management *m, uint64_t number, const json_t *row)
{
	char *body = json_dumps(json_object_get(row, "body"), JSON_COMPACT | JSON_SORT_KEYS);
	ENSURE(body, ERR_LIMIT, "no memory for a record");
	struct err e =
		strlen(body) > RECORD_MAX
			? process_record(m->p, number, text(row, "kind"), text(row, "subject"),
					 text(row, "actor"), "{\"cut\":true}")
			: process_record(m->p, number, text(row, "kind"), text(row, "subject"),
					 text(row, "actor"), body);
	free(body);
	return e;
}

static struct err send_next(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct management *m = ctx;
	struct outbox *o = m->outbox;
	uint64_t number = strtoull(key, NULL, 10);
	if (number <= o->sent)
		return OK;
	ENSURE(o->under_way < WINDOW, ERR_LIMIT, "enough for now");
	json_t *row = json_loadb((const char *)bytes, n, 0, NULL);
	struct err e = row ? send_row(m, number, row) : OK;
	json_decref(row);
	TRY(e);
	o->sent = number;
	o->under_way++;
	return OK;
}

void outbox_send(struct management *m)
{
	if (!m->p->peers[PROCESS_REPOSITORY] || !m->outbox->waiting)
		return;
	struct err e = keep_scan(m->keep, table, send_next, m);
	if (e.code != ERR_NONE && e.code != ERR_LIMIT && e.code != ERR_BUSY)
		log_error("a record cannot be sent: %s", e.text);
}

void outbox_again(struct management *m)
{
	m->outbox->sent = 0;
	m->outbox->under_way = 0;
	m->outbox->moved_ns = clock_mono_ns();
	outbox_send(m);
}

void outbox_tick(struct management *m)
{
	struct outbox *o = m->outbox;
	if (o->waiting && clock_mono_ns() - o->moved_ns > STUCK_S * NS_PER_S)
		outbox_again(m);
}

struct err outbox_recorded(struct management *m, const Ipc__Recorded *r)
{
	struct outbox *o = m->outbox;
	char key[24];
	size_t n;
	key_of(r->id, key);
	if (!keep_get(m->keep, table, key, &n))
		return OK; // answered twice
	if (o->under_way)
		o->under_way--;
	o->moved_ns = clock_mono_ns();
	if (*r->error) { // stays; all are sent again when the repository comes anew, or in a while
		log_error("record %llu was not taken: %s", (unsigned long long)r->id, r->error);
		return OK;
	}
	keep_delete(m->keep, table, key);
	struct err e = keep_commit_lazily(m->keep);
	if (e.code != ERR_NONE)
		log_warning("a record that was taken stays in the outbox: %s", e.text);
	else
		o->waiting--;
	outbox_send(m);
	return OK;
}
