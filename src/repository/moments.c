// SPDX-License-Identifier: Apache-2.0
// STATE_AT: the network as it was, for models. A moment is read device by device in slices of a few
// milliseconds, in pace with what models takes, so that what happens now does not wait behind what
// was. X.2011 8.2.3 (time travel).
#include "repository/feed.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/gnmi/path.h"
#include "lib/ipc/messages.pb-c.h"

#include <stdlib.h>
#include <string.h>

enum { MOMENTS = 8, PATTERNS = 64 };
static const int64_t slice_ns = 4 * NS_PER_MS;

struct moment {
	uint64_t id; // of the question
	int64_t time_ns;
	struct path_pattern *patterns[PATTERNS];
	size_t n_patterns;
	uint32_t next; // device
};

struct moments {
	struct moment list[MOMENTS]; // the first is under way
	unsigned n;
	struct event *event;
};

static void moment_clear(struct moment *m)
{
	for (size_t i = 0; i < m->n_patterns; i++)
		path_pattern_free(m->patterns[i]);
	m->n_patterns = 0;
}

static bool wanted(const struct moment *m, const struct series *s)
{
	for (size_t i = 0; i < m->n_patterns; i++)
		if (path_match_under(m->patterns[i], s->path, s->path_len))
			return true;
	return !m->n_patterns;
}

static struct err one_device(struct repository *r, const struct moment *m, struct device *d)
{
	scoped(arena) struct arena *a = arena_new((size_t)256 << 20);
	ENSURE(a, ERR_LIMIT, "no memory for the state of %s", d->name);
	struct state_point *points;
	size_t n, kept = 0;
	TRY(history_state(r, d, m->time_ns, a, &points, &n));
	for (size_t k = 0; k < n; k++)
		if (wanted(m, index_series(&r->index, points[k].series)))
			points[kept++] = points[k];
	return feed_send_state(r, d, points, kept, &m->id);
}

static struct err tell_end(struct repository *r, uint64_t id, int64_t time_ns, struct err why)
{
	Ipc__StateEnd end = IPC__STATE_END__INIT;
	end.id = id;
	end.time_ns = time_ns;
	end.revision = r->revision;
	if (why.code != ERR_NONE)
		end.error = (char *)(uintptr_t)why.text;
	return process_send(r->p, PROCESS_MODELS, IPC_STATE_END, &end.base);
}

static void finish(struct repository *r, struct err why)
{
	struct moments *p = r->moments;
	struct moment *m = &p->list[0];
	struct err e = tell_end(r, m->id, m->time_ns, why);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("state of the past: %s", e.text);
	moment_clear(m);
	memmove(m, m + 1, --p->n * sizeof *m);
}

static void slice(evutil_socket_t fd, short what, void *ctx)
{
	struct repository *r = ctx;
	struct moments *p = r->moments;
	int64_t until = clock_mono_ns() + slice_ns;
	(void)fd, (void)what;
	while (p->n && clock_mono_ns() < until) {
		struct moment *m = &p->list[0];
		struct device *d = index_device(&r->index, m->next++);
		if (r->p->peers[PROCESS_MODELS] &&
		    ipc_backlog(r->p->peers[PROCESS_MODELS]) > FEED_SLICE) {
			m->next--;
			break; // it has enough to read
		}
		struct err e = d ? one_device(r, m, d) : OK;
		if (!d || e.code != ERR_NONE)
			finish(r, e);
	}
	moments_go_on(r);
}

void moments_go_on(struct repository *r)
{
	const struct timeval soon = {.tv_usec = 1000}; // others have their turn in between
	if (r->moments && r->moments->n && r->moments->event)
		event_add(r->moments->event, &soon);
}

static struct err take(struct repository *r, const Ipc__StateAt *m)
{
	if (!r->moments)
		r->moments = calloc(1, sizeof *r->moments);
	struct moments *p = r->moments;
	ENSURE(p, ERR_LIMIT, "no memory for the past");
	if (!p->event)
		p->event = evtimer_new(r->p->base, slice, r);
	ENSURE(p->event, ERR_LIMIT, "no memory for the past");
	ENSURE(p->n < MOMENTS, ERR_BUSY, "%d moments are being read already", MOMENTS);
	ENSURE(m->n_patterns <= PATTERNS, ERR_USAGE, "at most %d patterns", PATTERNS);
	struct moment *at = &p->list[p->n];
	*at = (struct moment){.id = m->id, .time_ns = m->time_ns, .next = 1};
	for (size_t i = 0; i < m->n_patterns; i++) {
		struct err e = path_pattern_new(m->patterns[i], &at->patterns[i]);
		if (e.code != ERR_NONE) {
			moment_clear(at);
			return e;
		}
		at->n_patterns++;
	}
	p->n++;
	moments_go_on(r);
	return OK;
}

struct err moments_state_at(struct repository *r, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__StateAt *m = IPC_UNPACK(state_at, msg, r->p->scratch, &e);
	if (!m)
		return e;
	e = take(r, m);
	return e.code == ERR_NONE ? OK : tell_end(r, m->id, m->time_ns, e);
}

void moments_forget(struct repository *r)
{
	struct moments *p = r->moments;
	while (p && p->n)
		moment_clear(&p->list[--p->n]);
}

void moments_stop(struct repository *r)
{
	moments_forget(r);
	if (r->moments && r->moments->event)
		event_free(r->moments->event);
	free(r->moments);
	r->moments = NULL;
}
