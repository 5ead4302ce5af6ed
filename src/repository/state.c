// SPDX-License-Identifier: Apache-2.0
// Opening and closing everything that the repository keeps, and telling when it is not what it was.
#include "repository/repository.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "repository/grant.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err open_folder(int parent, const char *name, int *out)
{
	if (mkdirat(parent, name, 0700) && errno != EEXIST)
		return err_system("%s", name);
	*out = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*out < 0)
		return err_system("%s", name);
	return OK;
}

// A start as root, before the sandbox drops to the process's own user: files made until then are
// given to whoever owns the folder.
static struct err give_to_owner(int folder)
{
	static const char *const names[] = {"root.key", "repository.db", "repository.db-wal",
					    "journal",	"ledger",	 "ledger/.stage"};
	struct stat st;
	if (geteuid() != 0)
		return OK;
	if (fstat(folder, &st))
		return err_system("state folder");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (fchownat(folder, names[i], st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) &&
		    errno != ENOENT)
			return err_system("%s", names[i]);
	return OK;
}

static void record_aggregate(void *ctx, const char *kind, const char *subject, const char *actor,
			     const char *detail, uint64_t count)
{
	struct repository *r = ctx;
	char json[1024];
	snprintf(json, sizeof json, "{\"count\":%llu%s%s}", (unsigned long long)count,
		 *detail ? "," : "", detail);
	struct err e = ledger_note(r->ledger, kind, subject, actor, json);
	if (e.code != ERR_NONE)
		log_error("record of %s: %s", kind, e.text);
	ingest_schedule(r);
}

static struct err open_rooms(struct repository *r)
{
	TRY(crypto_start());
	TRY(grants_start());
	TRY(open_folder(r->folder, "journal", &r->journal_folder));
	TRY(open_folder(r->folder, "ledger", &r->ledger_folder));
	TRY(store_open(r->folder, "repository.db", &r->store));
	TRY(data_keys_open(r->folder, r->store, &r->keys));
	TRY(index_init(&r->index));
	TRY(classes_new(r->conf, &r->classes));
	TRY(journal_open(r->journal_folder, r->keys, &r->journal));
	TRY(ledger_open(r, r->ledger_folder, &r->ledger));
	r->chunks = chunk_writer_new();
	r->canonical = batch_canonical_new();
	r->records = calloc(BATCH_COUNT_MAX, sizeof *r->records);
	r->aggregate = aggregate_new(record_aggregate, r);
	r->outbox.limit = (size_t)256 << 20;
	r->domains.limit = 1 << 20;
	ENSURE(r->chunks && r->canonical && r->records && r->aggregate, ERR_LIMIT,
	       "no memory for the repository");
	return give_to_owner(r->folder);
}

static struct err open_with(struct process *p, bool offline, verify_report_fn report, void *ctx,
			    struct repository **out)
{
	struct repository *r = calloc(1, sizeof *r);
	ENSURE(r, ERR_LIMIT, "no memory for the repository");
	r->p = p;
	r->offline = offline;
	r->report = report;
	r->report_ctx = ctx;
	r->conf = p->conf;
	r->folder = p->state_dir;
	r->journal_folder = r->ledger_folder = -1;
	struct err e = open_rooms(r);
	if (e.code != ERR_NONE) {
		repository_close(r);
		return e;
	}
	*out = r;
	return OK;
}

struct err repository_open(struct process *p, struct repository **out)
{
	return open_with(p, false, NULL, NULL, out);
}

struct err repository_open_offline(struct process *p, verify_report_fn report, void *ctx,
				   struct repository **out)
{
	return open_with(p, true, report, ctx, out);
}

void repository_close(struct repository *r)
{
	if (!r)
		return;
	if (r->sync_event)
		event_free(r->sync_event);
	if (r->tick_event)
		event_free(r->tick_event);
	if (r->verify_event)
		event_free(r->verify_event);
	scrub_stop(r);
	moments_stop(r);
	aggregate_free(r->aggregate);
	batch_canonical_free(r->canonical);
	chunk_writer_free(r->chunks);
	ledger_close(r->ledger);
	journal_close(r->journal);
	classes_free(r->classes);
	index_clear(&r->index);
	data_keys_close(r->keys);
	store_close(r->store);
	access_policy_free(r->policy);
	buf_clear(&r->policy_bytes);
	buf_clear(&r->domains);
	buf_clear(&r->outbox);
	buf_clear(&r->scratch);
	free(r->sources);
	free(r->records);
	free(r->out);
	free(r->held);
	if (r->journal_folder >= 0)
		close(r->journal_folder);
	if (r->ledger_folder >= 0)
		close(r->ledger_folder);
	grants_stop();
	free(r);
}

// --- telling

static void tell(struct repository *r, bool alert, const char *kind, const char *subject,
		 const char *why)
{
	const char *event = alert ? "integrity.alert" : "repository.notice";
	json_t *o = json_pack("{s:s, s:s, s:s}", "what", kind, "record", subject, "text", why);
	char *json = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (json) {
		struct err e = ledger_note(r->ledger, event, subject, "repository", json);
		if (e.code != ERR_NONE)
			log_error("record of the alert: %s", e.text);
		feed_event(r, event, subject, json, "internal");
		ingest_schedule(r);
	}
	free(json);
	json_decref(o);
}

static void hold(struct repository *r, bool alert, const char *kind, const char *subject,
		 const char *why)
{
	if (!r->held)
		r->held = calloc(HELD_MAX, sizeof *r->held);
	if (!r->held || r->n_held == HELD_MAX) {
		r->more_held++;
		return;
	}
	struct held_note *h = &r->held[r->n_held++];
	h->alert = alert;
	snprintf(h->kind, sizeof h->kind, "%s", kind);
	snprintf(h->subject, sizeof h->subject, "%s", subject);
	snprintf(h->why, sizeof h->why, "%s", why);
}

void repository_tell_held(struct repository *r)
{
	char text[64];
	r->recovering = false;
	for (size_t i = 0; i < r->n_held; i++) {
		const struct held_note *h = &r->held[i];
		tell(r, h->alert, h->kind, h->subject, h->why);
	}
	snprintf(text, sizeof text, "%zu more of the kind", r->more_held);
	if (r->more_held)
		tell(r, true, "damaged", "repository", text);
	free(r->held);
	r->held = NULL;
	r->n_held = r->more_held = 0;
}

void repository_event_damaged(struct repository *r)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "what", "damaged", "record", "repository", "text",
			      r->why);
	char *json = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (json)
		feed_event(r, "integrity.alert", "repository", json, "internal");
	free(json);
	json_decref(o);
}

void repository_notice(struct repository *r, const char *kind, const char *subject, const char *why)
{
	if (r->offline)
		return;
	log_notice("%s %s: %s", subject, kind, why);
	if (r->recovering)
		hold(r, false, kind, subject, why);
	else
		tell(r, false, kind, subject, why);
}

void repository_alert(struct repository *r, const char *kind, const char *subject, const char *why)
{
	r->damaged = true;
	snprintf(r->why, sizeof r->why, "%s %s: %.120s", subject, kind, why);
	if (r->offline) {
		struct verify_finding f = {.what = kind};
		snprintf(f.record, sizeof f.record, "%s", subject);
		snprintf(f.text, sizeof f.text, "%s %s: %s", subject, kind, why);
		if (r->report)
			r->report(r->report_ctx, &f);
		return;
	}
	log_error("integrity: %s %s: %s", subject, kind, why);
	if (r->recovering)
		hold(r, true, kind, subject, why);
	else
		tell(r, true, kind, subject, why);
}
