// SPDX-License-Identifier: Apache-2.0
// The twin as it was. repository answers STATE_AT with the values that were true then; they are
// applied to a second state over the same series and never changed again. The four last asked for
// stay: a slider moved to and fro costs nothing.

#include "models/models.h"

#include "lib/base/clock.h"
#include "lib/base/cursor.h"
#include "lib/base/log.h"
#include "lib/ipc/answer.h"
#include "lib/ipc/messages.pb-c.h"

#include <stdlib.h>
#include <string.h>

// All that schema.h reads, but for counters.
static const char *const patterns[] = {
	"/interfaces/interface/state/*",
	"/interfaces/interface/ethernet/state/*",
	"/interfaces/interface/subinterfaces/...",
	"/network-instances/network-instance/afts/...",
	"/acl/...",
	"/lldp/...",
	"/system/state/*",
	"/gemel/agent/state/version",
};

static void past_clear(struct past *p)
{
	twin_free(&p->twin);
	*p = (struct past){0};
}

static struct past *past_by_id(struct models *m, uint64_t id)
{
	for (int i = 0; i < PASTS; i++)
		if (m->pasts[i].phase != PAST_EMPTY && m->pasts[i].id == id)
			return &m->pasts[i];
	return NULL;
}

// A place for a new one: empty, or ready and unused for longest. NULL: all are loading.
static struct past *past_place(struct models *m)
{
	struct past *best = NULL;
	for (int i = 0; i < PASTS; i++) {
		struct past *p = &m->pasts[i];
		if (p->phase == PAST_EMPTY)
			return p;
		if (p->phase == PAST_READY && (!best || p->used_ns < best->used_ns))
			best = p;
	}
	if (best)
		past_clear(best);
	return best;
}

static struct err past_ask(struct models *m, struct past *p, int64_t at_ns)
{
	Ipc__StateAt ask = IPC__STATE_AT__INIT;
	ask.id = m->next_id;
	ask.time_ns = at_ns;
	ask.n_patterns = sizeof patterns / sizeof *patterns;
	ask.patterns = (char **)(uintptr_t)patterns;
	struct err e = twin_make(&p->twin, m->series);
	if (e.code == ERR_NONE)
		e = process_send(m->p, PROCESS_REPOSITORY, IPC_STATE_AT, &ask.base);
	if (e.code != ERR_NONE) {
		past_clear(p);
		return e;
	}
	p->phase = PAST_LOADING;
	p->id = m->next_id++;
	p->at_ns = at_ns;
	p->asked_ns = clock_mono_ns();
	return OK;
}

static struct err wait_for(struct models *m, const struct past *p, uint64_t request,
			   const uint8_t *bytes, size_t len)
{
	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &m->waiting[i];
		if (w->bytes)
			continue;
		w->bytes = malloc(len + 1);
		ENSURE(w->bytes, ERR_LIMIT, "out of memory");
		memcpy(w->bytes, bytes, len);
		w->len = len;
		w->past = p->id;
		w->request = request;
		w->at_ns = p->at_ns;
		return OK;
	}
	return err_make(ERR_BUSY, "%d questions about the past are waiting already", WAITING_MAX);
}

struct err past_get(struct models *m, int64_t at_ns, uint64_t request, const uint8_t *bytes,
		    size_t len, struct past **out)
{
	struct past *p = NULL;
	*out = NULL;
	for (int i = 0; i < PASTS && !p; i++)
		if (m->pasts[i].phase != PAST_EMPTY && m->pasts[i].at_ns == at_ns)
			p = &m->pasts[i];
	if (!p) {
		p = past_place(m);
		ENSURE(p, ERR_BUSY, "%d other moments are being read already", PASTS);
		TRY(past_ask(m, p, at_ns));
	}
	p->used_ns = clock_mono_ns();
	if (p->phase == PAST_READY) {
		*out = p;
		return OK;
	}
	return wait_for(m, p, request, bytes, len);
}

struct err past_feed(struct models *m, const uint8_t *bytes, size_t len)
{
	struct cursor c = cursor_over(bytes, len);
	uint64_t id = cursor_be64(&c);
	size_t left = cursor_left(&c);
	const uint8_t *feed = cursor_take(&c, left);
	TRY(cursor_finish(&c, "state feed"));
	struct past *p = past_by_id(m, id);
	if (!p || p->phase != PAST_LOADING)
		return OK; // given up meanwhile
	struct state_change change;
	return state_apply(p->twin.state, feed, left, &change);
}

// Answers all that waited for it: again when it is ready, with the error otherwise.
static void release(struct models *m, uint64_t past, struct err why)
{
	for (int i = 0; i < WAITING_MAX; i++) {
		struct waiting w = m->waiting[i];
		if (!w.bytes || w.past != past)
			continue;
		m->waiting[i] = (struct waiting){0};
		struct err e = why.code == ERR_NONE
				       ? models_answer(m, w.bytes, w.len, w.at_ns)
				       : answer_problem(m->p, w.request, why,
							"Ask again, or for a later moment.", NULL);
		if (e.code != ERR_NONE)
			log_warning("an answer about the past could not be sent: %s", e.text);
		free(w.bytes);
	}
}

struct err past_end(struct models *m, uint64_t id, const char *error, uint64_t revision)
{
	struct past *p = past_by_id(m, id);
	if (!p || p->phase != PAST_LOADING)
		return OK;
	if (error && *error) {
		past_clear(p);
		release(m, id, err_make(ERR_NOT_FOUND, "the state at that moment: %s", error));
		return OK;
	}
	p->phase = PAST_READY;
	p->revision = revision;
	release(m, id, OK);
	return OK;
}

void past_tick(struct models *m)
{
	int64_t limit = clock_mono_ns() - (int64_t)PAST_TIMEOUT_MS * NS_PER_MS;
	for (int i = 0; i < PASTS; i++) {
		struct past *p = &m->pasts[i];
		uint64_t id = p->id;
		if (p->phase != PAST_LOADING || p->asked_ns > limit)
			continue;
		past_clear(p);
		release(m, id,
			err_make(ERR_BUSY,
				 "the repository did not give the state at that "
				 "moment within %d s",
				 PAST_TIMEOUT_MS / 1000));
	}
}

void past_forget(struct models *m)
{
	for (int i = 0; i < PASTS; i++) {
		struct past *p = &m->pasts[i];
		uint64_t id = p->id;
		if (p->phase != PAST_LOADING)
			continue;
		past_clear(p);
		release(m, id, err_make(ERR_BUSY, "the repository is away"));
	}
}
