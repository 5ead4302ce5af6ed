// SPDX-License-Identifier: Apache-2.0
// A verification beside the work: a few milliseconds at a time, on its own every six hours, and at
// once when somebody asks (data.verify), who is answered when it is done. What it finds that the
// run before did not is an alert. X.2011 9.2-storage, 8.3.3-9.
#include "repository/scrub.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdlib.h>
#include <string.h>

enum { WAITERS = 16, ROWS = 32 };
static const int64_t slice_ns = 4 * NS_PER_MS, waiter_patience = 50 * NS_PER_S,
		     owed_for = 600 * NS_PER_S;

struct waiter {
	uint64_t id;
	char device[BATCH_DEVICE_MAX + 1];
	int64_t since_ns;
};

struct scrub {
	struct verification *v; // NULL: none is under way
	int64_t started_ns, done_ns, began_mono;
	struct verify_totals totals;
	struct verify_finding *found; // FINDINGS_MAX
	size_t n_found;
	char (*told)[sizeof((struct verify_finding *)0)->text]; // by the runs before
	size_t n_told;
	struct waiter waiters[WAITERS];
	unsigned n_waiters;
	bool owed; // somebody asked and went away before the end
};

static void found(void *ctx, const struct verify_finding *f)
{
	struct repository *r = ctx;
	struct scrub *s = r->scrub;
	if (s->n_found < FINDINGS_MAX)
		s->found[s->n_found++] = *f;
	for (size_t i = 0; i < s->n_told; i++)
		if (!strcmp(s->told[i], f->text))
			return;
	if (s->n_told == FINDINGS_MAX)
		return;
	memcpy(s->told[s->n_told++], f->text, sizeof f->text);
	repository_alert(r, f->what, f->record, f->text);
}

static void later(const struct repository *r, int64_t ns)
{
	const struct timeval t = {.tv_usec = ns / 1000};
	if (r->verify_event)
		event_add(r->verify_event, &t);
}

struct err scrub_start(struct repository *r)
{
	if (!r->scrub) {
		struct scrub *s = calloc(1, sizeof *s);
		ENSURE(s, ERR_LIMIT, "no memory for a verification");
		s->found = calloc(FINDINGS_MAX, sizeof *s->found);
		s->told = calloc(FINDINGS_MAX, sizeof *s->told);
		r->scrub = s;
		ENSURE(s->found && s->told, ERR_LIMIT, "no memory for a verification");
	}
	struct scrub *s = r->scrub;
	if (s->v)
		return OK;
	TRY(verification_new(r, found, r, &s->v));
	s->n_found = 0;
	s->started_ns = clock_wall_ns();
	s->began_mono = clock_mono_ns();
	later(r, 1);
	return OK;
}

// --- answers

static void put_text(json_t *o, const char *name, const char *text)
{
	if (*text)
		json_object_set_new(o, name, json_string(text));
}

json_t *scrub_finding_json(const struct verify_finding *f)
{
	json_t *o =
		json_pack("{s:s, s:s, s:s}", "what", f->what, "record", f->record, "text", f->text);
	put_text(o, "device", f->device);
	put_text(o, "path", f->path);
	if (f->paths > 1)
		json_object_set_new(o, "paths", json_integer(f->paths));
	if (f->from_ns)
		json_object_set_new(o, "from", api_time_json(f->from_ns));
	if (f->to_ns)
		json_object_set_new(o, "to", api_time_json(f->to_ns));
	return o;
}

json_t *scrub_totals_json(const struct verify_totals *t)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "rows", (json_int_t)t->rows, "manifests",
			 (json_int_t)t->manifests, "journal_records", (json_int_t)t->journal_frames,
			 "ledger_entries", (json_int_t)t->ledger_entries);
}

static void answer(struct repository *r, const struct waiter *w)
{
	const struct scrub *s = r->scrub;
	json_t *damaged = json_array();
	for (size_t i = 0; i < s->n_found; i++)
		if (!*w->device || !*s->found[i].device || !strcmp(w->device, s->found[i].device))
			json_array_append_new(damaged, scrub_finding_json(&s->found[i]));
	bool ok = s->totals.findings == 0 || (*w->device && json_array_size(damaged) == 0);
	json_t *body =
		json_pack("{s:b, s:o, s:o, s:o, s:I}", "ok", ok, "damaged", damaged, "checked",
			  scrub_totals_json(&s->totals), "started", api_time_json(s->started_ns),
			  "took_ms", (json_int_t)((s->done_ns - s->began_mono) / NS_PER_MS));
	if (body)
		api_stamp(body, s->started_ns, r->revision);
	struct err e =
		body ? answer_json(r->p, w->id, 200, body)
		     : answer_problem(r->p, w->id, err_make(ERR_LIMIT, "no memory"), NULL, NULL);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("answer of a verification: %s", e.text);
}

static void give_up_late(struct repository *r)
{
	struct scrub *s = r->scrub;
	int64_t now = clock_mono_ns();
	for (unsigned i = 0; i < s->n_waiters;) {
		if (now - s->waiters[i].since_ns < waiter_patience) {
			i++;
			continue;
		}
		err_ignore(answer_problem(r->p, s->waiters[i].id,
					  err_make(ERR_BUSY, "the verification goes on"),
					  "Ask again in a minute: its result is kept.", NULL));
		s->owed = true;
		s->waiters[i] = s->waiters[--s->n_waiters];
	}
}

static void finish(struct repository *r)
{
	struct scrub *s = r->scrub;
	s->totals = *verification_totals(s->v);
	s->done_ns = clock_mono_ns();
	verification_free(s->v);
	s->v = NULL;
	for (unsigned i = 0; i < s->n_waiters; i++)
		answer(r, &s->waiters[i]);
	s->n_waiters = 0;
	log_notice("verified %llu rows, %llu ledger entries: %llu findings",
		   (unsigned long long)s->totals.rows, (unsigned long long)s->totals.ledger_entries,
		   (unsigned long long)s->totals.findings);
}

void scrub_slice(evutil_socket_t fd, short what, void *ctx)
{
	struct repository *r = ctx;
	struct scrub *s = r->scrub;
	int64_t until = clock_mono_ns() + slice_ns;
	bool done = false;
	(void)fd, (void)what;
	if (!s || !s->v)
		return;
	struct err e = OK;
	while (!done && e.code == ERR_NONE && clock_mono_ns() < until)
		e = verification_step(s->v, ROWS, &done);
	if (e.code != ERR_NONE) {
		repository_alert(r, "unreadable", "store", e.text);
		done = true;
	}
	if (done)
		finish(r);
	else
		later(r, s->n_waiters ? slice_ns / 2 : 4 * slice_ns);
	give_up_late(r);
}

struct err api_data_verify(struct ask *q, json_t **body)
{
	struct repository *r = q->r;
	const char *device = answer_text(q->m, "device");
	struct waiter w = {.id = q->m->id, .since_ns = clock_mono_ns()};
	(void)body;
	if (device && *device) {
		struct device *d;
		TRY(api_device(q, device, &d));
		memcpy(w.device, d->name, sizeof w.device);
	}
	q->later = true;
	if (r->scrub && r->scrub->owed && !r->scrub->v &&
	    clock_mono_ns() - r->scrub->done_ns < owed_for) {
		r->scrub->owed = false;
		answer(r, &w);
		return OK;
	}
	TRY(scrub_start(r));
	ENSURE(r->scrub->n_waiters < WAITERS, ERR_BUSY, "%d wait for the verification already",
	       WAITERS);
	r->scrub->waiters[r->scrub->n_waiters++] = w;
	return OK;
}

void scrub_cancel(struct repository *r, uint64_t request)
{
	struct scrub *s = r->scrub;
	for (unsigned i = 0; s && i < s->n_waiters; i++)
		if (s->waiters[i].id == request) {
			s->waiters[i] = s->waiters[--s->n_waiters];
			return;
		}
}

void scrub_forget(struct repository *r)
{
	if (r->scrub)
		r->scrub->n_waiters = 0;
}

void scrub_stop(struct repository *r)
{
	if (!r->scrub)
		return;
	verification_free(r->scrub->v);
	free(r->scrub->found);
	free(r->scrub->told);
	free(r->scrub);
	r->scrub = NULL;
}
