// SPDX-License-Identifier: Apache-2.0
// Changes, told at once and told once: after the first change of a burst within EVENT_SOON_MS, then
// at most every EVENT_PAUSE_MS with what is true by then. The checks run in the same rhythm, in
// steps, so that answers come between them. A delay measured here is from the device's own time of
// the change to the moment the event leaves.

#include "models/models.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "models/json.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENT_SOON_MS = 2, EVENT_PAUSE_MS = 100, STEP_VISITS = 50000, EVENTS_MAX = 256 };

static void tell(struct models *m, const char *type, const char *subject, json_t *body,
		 int64_t time_ns)
{
	int64_t now = clock_wall_ns();
	json_put(body, "revision", json_integer((json_int_t)m->revision));
	json_put(body, "time", json_time(time_ns));
	if (time_ns)
		json_put(body, "delay_ms", json_real((double)(now - time_ns) / 1e6));
	char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	struct err e = text ? process_event(m->p, type, subject, text, "internal")
			    : err_make(ERR_LIMIT, "out of memory");
	free(text);
	if (e.code != ERR_NONE)
		log_debug("event %s was not sent: %s", type, e.text);
}

static void tell_link(struct models *m, const struct topology_change *c)
{
	const struct state *s = m->live.state;
	const char *type = c->after == LINK_UP		  ? "topology.link.up"
			   : c->after == LINK_UNCONFIRMED ? "topology.link.unconfirmed"
							  : "topology.link.down";
	json_t *a = json_end(s, c->end[0]), *b = json_end(s, c->end[1]);
	char subject[256];
	snprintf(subject, sizeof subject, "%s:%s--%s:%s",
		 json_string_value(json_object_get(a, "device")),
		 json_string_value(json_object_get(a, "interface")),
		 json_string_value(json_object_get(b, "device")),
		 json_string_value(json_object_get(b, "interface")));
	json_t *body = json_pack("{s:o,s:o,s:s,s:s}", "a", a, "b", b, "before",
				 link_state_name(c->before), "after", link_state_name(c->after));
	tell(m, type, subject, body, c->time_ns);
}

static void tell_links(struct models *m)
{
	static struct topology_change changes[EVENTS_MAX];
	size_t n = topology_take_changes(m->live.topology, changes, EVENTS_MAX);
	for (size_t i = 0; i < n; i++) {
		// Of one link's changes in this burst only the last counts.
		bool later = false;
		for (size_t k = i + 1; k < n && !later; k++)
			later = memcmp(changes[k].end, changes[i].end, sizeof changes[i].end) == 0;
		if (!later)
			tell_link(m, &changes[i]);
	}
}

static void tell_finding(struct models *m, const struct finding *f)
{
	const struct state *s = m->live.state;
	json_t *devices = json_array(), *prefixes = json_array();
	for (unsigned i = 0; i < f->n_devices; i++)
		json_array_append_new(devices, json_device(s, f->devices[i]));
	for (unsigned i = 0; i < f->n_prefixes; i++)
		json_array_append_new(prefixes, json_prefix(&f->prefixes[i]));
	json_t *body = json_pack("{s:o,s:o,s:o,s:o}", "devices", devices, "prefixes", prefixes,
				 "why", json_text(f->why), "example", json_address(&f->example));
	tell(m, f->kind == FINDING_LOOP ? "forwarding.loop" : "forwarding.black-hole",
	     catalogue_device(state_catalogue(s), f->devices[0])->id, body, m->change_ns);
}

static void tell_findings(struct models *m)
{
	struct finding *f;
	size_t n = checks_findings(m->live.checks, &f), told = 0;
	for (size_t i = 0; i < n && told < EVENTS_MAX; i++) {
		if (f[i].reported || f[i].connected) // a cut link's own subnet is no news
			continue;
		f[i].reported = true;
		told++;
		tell_finding(m, &f[i]);
	}
}

static void again_in(struct models *m, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
	if (!event_pending(m->soon, EV_TIMEOUT, NULL))
		event_add(m->soon, &tv);
}

static void on_soon(int fd, short what, void *ctx)
{
	struct models *m = ctx;
	if (!m->ready)
		return;
	struct err e = topology_refresh(m->live.topology);
	if (e.code == ERR_NONE)
		tell_links(m);
	bool done = false;
	if (e.code == ERR_NONE)
		e = checks_step(m->live.checks, STEP_VISITS, clock_wall_ns(), &done);
	if (e.code != ERR_NONE) {
		log_error("the twin could not be brought up to date: %s", e.text);
		again_in(m, 1000);
		return;
	}
	if (done) {
		tell_findings(m);
		m->change_ns = 0;
		m->told_ns = clock_mono_ns();
	} else if (checks_due(m->live.checks)) {
		again_in(m, 1); // the loop reads its messages in between
	}
}

void events_changed(struct models *m, const struct state_change *change)
{
	if (!change->touched)
		return;
	if (change->earliest_ns && (!m->change_ns || change->earliest_ns < m->change_ns))
		m->change_ns = change->earliest_ns;
	int64_t rest = m->told_ns + EVENT_PAUSE_MS * NS_PER_MS - clock_mono_ns();
	again_in(m, rest > 0 ? rest / NS_PER_MS + 1 : EVENT_SOON_MS);
}

// --- every second: who fell silent, and how we are

static void stale_room(struct models *m, uint32_t devices)
{
	if (devices <= m->n_stale)
		return;
	bool *more = realloc(m->was_stale, devices * sizeof *more);
	if (!more)
		return;
	memset(more + m->n_stale, 0, (devices - m->n_stale) * sizeof *more);
	m->was_stale = more;
	m->n_stale = devices;
}

static void tell_stale(struct models *m)
{
	struct view v = {m->live.state, clock_wall_ns(), m->stale_ns};
	stale_room(m, catalogue_devices(state_catalogue(v.state)));
	for (uint32_t d = 0; d < m->n_stale; d++) {
		const struct device_info *i = state_device(v.state, d);
		bool stale = i->seen && view_stale(&v, d);
		if (!i->seen || stale == m->was_stale[d])
			continue;
		m->was_stale[d] = stale;
		json_t *body = json_pack("{s:o,s:o}", "device", json_device(v.state, d),
					 "last_batch", json_time(i->received_ns));
		tell(m, stale ? "topology.node.lost" : "topology.node.back",
		     catalogue_device(state_catalogue(v.state), d)->id, body, 0);
	}
}

static void metrics(struct models *m)
{
	const struct state *s = m->live.state;
	struct process *p = m->p;
	process_metric(p, "gemel_models_revision", "", (double)m->revision, false,
		       "Revision of the repository that the twin has reached.");
	process_metric(p, "gemel_models_records_total", "", (double)state_records(s), true,
		       "Records applied to the twin.");
	process_metric(p, "gemel_models_devices", "", (double)catalogue_devices(state_catalogue(s)),
		       false, "Devices of the twin.");
	process_metric(p, "gemel_models_ready", "", m->ready, false, "Whether the twin is built.");
	process_metric(p, "gemel_models_state_bytes", "", (double)mallinfo2().uordblks, false,
		       "Heap in use by the models process.");
	struct finding *f;
	size_t n = checks_findings(m->live.checks, &f), loops = 0;
	for (size_t i = 0; i < n; i++)
		loops += f[i].kind == FINDING_LOOP;
	process_metric(p, "gemel_forwarding_loops", "", (double)loops, false,
		       "Forwarding loops now.");
	process_metric(p, "gemel_forwarding_black_holes", "", (double)(n - loops), false,
		       "Black holes now.");
}

static void on_steady(int fd, short what, void *ctx)
{
	struct models *m = ctx;
	past_tick(m);
	metrics(m);
	if (m->ready)
		tell_stale(m);
}

struct err events_start(struct models *m)
{
	static const struct timeval second = {1, 0};
	m->soon = evtimer_new(m->p->base, on_soon, m);
	m->steady = event_new(m->p->base, -1, EV_PERSIST, on_steady, m);
	ENSURE(m->soon && m->steady && event_add(m->steady, &second) == 0, ERR_INTERNAL,
	       "the models process's timers could not be made");
	return OK;
}
