// SPDX-License-Identifier: Apache-2.0
// Counters are read when somebody's sample is due. Samples that fall together share one reading:
// a dozen collectors cost the element no more than one.

#include "agent/wire_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#define FRESH_NS (50 * NS_PER_MS)
enum { LATE_MS = 3000 };

static void complete(struct samples *s)
{
	for (unsigned i = 0; i < WAITERS_MAX; i++) {
		struct waiter *x = &s->waiters[i];
		if (!x->id || !x->ready)
			continue;
		struct waiter now = *x;
		*x = (struct waiter){0}; // done() may ask again
		now.done(now.ctx);
	}
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;
	complete(&w->samples);
}

static void on_late(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;
	log_warning("counters are late: what is known is told");
	wire_samples_drop(w);
}

struct err samples_start(struct wire *w)
{
	w->samples.ready = event_new(w->base, -1, 0, on_ready, w);
	w->samples.late = evtimer_new(w->base, on_late, w);
	ENSURE(w->samples.ready && w->samples.late, ERR_LIMIT, "out of memory");
	return OK;
}

static void ready(struct samples *s, struct waiter *x)
{
	x->ready = true;
	event_active(s->ready, EV_TIMEOUT, 0);
}

static bool is_fresh(const struct samples *s, unsigned what)
{
	return (what & ~s->fresh) == 0 && clock_mono_ns() - s->fresh_ns < FRESH_NS;
}

// The reading under way that has all of this; 0: none.
static uint32_t under_way(const struct samples *s, unsigned what)
{
	for (unsigned i = 0; i < WAITERS_MAX; i++) {
		const struct waiter *x = &s->waiters[i];
		if (x->id && !x->ready && (what & ~x->what) == 0)
			return x->id;
	}
	return 0;
}

static struct err ask(struct wire *w, uint32_t id, unsigned what)
{
	scoped(buf) struct buf b = {0};
	buf_be32(&b, id);
	buf_u8(&b, (uint8_t)what);
	return link_send_buf(w->child->links[LINK_APPLY], LINK_SAMPLE, &b);
}

struct err wire_sample(struct wire *w, unsigned what, void (*done)(void *ctx), void *ctx)
{
	struct samples *s = &w->samples;
	struct waiter *x = s->waiters;
	while (x < s->waiters + WAITERS_MAX && x->id)
		x++;
	ENSURE(x < s->waiters + WAITERS_MAX, ERR_BUSY, "%d samples are under way", WAITERS_MAX);
	uint32_t shared = under_way(s, what);
	*x = (struct waiter){shared ? shared : wire_id(w), what, false, done, ctx};
	if (!what || is_fresh(s, what)) {
		ready(s, x);
	} else if (!shared) {
		struct err e = ask(w, x->id, what);
		if (e.code != ERR_NONE) { // apply is away: what is known is told
			ready(s, x);
			log_debug("sample: %s", e.text);
		} else if (!evtimer_pending(s->late, NULL)) {
			wire_after(s->late, LATE_MS);
		}
	}
	return OK;
}

void wire_sample_forget(struct wire *w, const void *ctx)
{
	for (unsigned i = 0; i < WAITERS_MAX; i++)
		if (w->samples.waiters[i].ctx == ctx)
			w->samples.waiters[i] = (struct waiter){0};
}

struct err wire_sampled(struct wire *w, const struct link_message *m)
{
	struct samples *s = &w->samples;
	struct cursor in = cursor_over(m->bytes, m->len);
	uint32_t id = cursor_be32(&in);
	bool others = false;
	TRY(cursor_finish(&in, "SAMPLED"));
	for (unsigned i = 0; i < WAITERS_MAX; i++) {
		struct waiter *x = &s->waiters[i];
		if (!id || x->id != id) {
			others |= x->id && !x->ready;
			continue;
		}
		s->fresh = x->what;
		s->fresh_ns = clock_mono_ns();
		x->ready = true;
	}
	if (!others)
		event_del(s->late);
	complete(s);
	return OK;
}

void wire_samples_drop(struct wire *w)
{
	for (unsigned i = 0; i < WAITERS_MAX; i++)
		if (w->samples.waiters[i].id)
			ready(&w->samples, &w->samples.waiters[i]);
	event_del(w->samples.late);
}
