// SPDX-License-Identifier: Apache-2.0
// Publication. models is fed in the order of revisions: when it comes up, a snapshot of every
// device is sent in slices, each slice only while little is queued; batches that are published
// meanwhile go behind the slices already sent. A device's slice holds its latest values at that
// moment, so a batch that comes after it is news and one that came before it is in it: no gap, and
// what is sent twice is the same fact twice. When models reads too slowly, telemetry is paused: the
// devices' spools hold what this process must not. X.2011 8.2.2-1.
#include "repository/feed.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"

#include <string.h>

enum { SLICE = FEED_SLICE };

static struct ipc_channel *models(const struct repository *r)
{
	return r->p->peers[PROCESS_MODELS];
}

static void pace(struct repository *r)
{
	struct ipc_channel *telemetry = r->p->peers[PROCESS_TELEMETRY];
	bool full = models(r) && ipc_backlog(models(r)) > IPC_HIGH;
	if (full == r->paused)
		return;
	r->paused = full;
	if (telemetry && full)
		ipc_pause(telemetry);
	else if (telemetry)
		ipc_resume(telemetry);
}

// Names the series that models has not heard of yet; each once for a life of its channel.
static struct err tell_series(struct repository *r, const uint32_t *numbers, size_t n)
{
	Ipc__SeriesItem items[256], *list[256];
	size_t used = 0;
	for (size_t i = 0; i <= n; i++) {
		const struct series *s = i < n ? index_series(&r->index, numbers[i]) : NULL;
		if (s && !(s->told & 1)) {
			ipc__series_item__init(&items[used]);
			items[used].number = numbers[i];
			items[used].device = index_device(&r->index, s->device)->name;
			items[used].path = (char *)(uintptr_t)s->path;
			list[used] = &items[used];
			used++;
			index_series(&r->index, numbers[i])->told = 1;
		}
		if (used == 256 || (used && i == n)) {
			Ipc__Series m = IPC__SERIES__INIT;
			m.items = list;
			m.n_items = used;
			TRY(process_send(r->p, PROCESS_MODELS, IPC_SERIES, &m.base));
			used = 0;
		}
	}
	return OK;
}

// Most batches hold series that models has heard of in this life of its channel: they go as they
// are.
static struct err publish(struct repository *r, const struct outgoing *o)
{
	const uint8_t *bytes = r->outbox.data + o->feed;
	size_t n = o->feed_len, used = 0;
	struct cursor c = cursor_over(bytes, n);
	struct batch_head head;
	uint32_t numbers[512];
	if (o->told == r->feed_life)
		return ipc_send(models(r), IPC_FEED, bytes, n, -1);
	TRY(batch_read_head(&c, &head));
	for (uint32_t i = 0; i < head.count; i++) {
		struct batch_record rec;
		TRY(batch_read_record(&c, &rec));
		const struct series *s = index_series(&r->index, rec.series);
		if (s && !(s->told & 1))
			numbers[used++] = rec.series;
		if (used == 512 || (used && i + 1 == head.count)) {
			TRY(tell_series(r, numbers, used));
			used = 0;
		}
	}
	return ipc_send(models(r), IPC_FEED, bytes, n, -1);
}

void feed_publish(struct repository *r, const struct outgoing *o)
{
	if (!models(r))
		return;
	struct err e = publish(r, o);
	if (e.code == ERR_BUSY && ipc_backlog(models(r)) > IPC_HIGH)
		r->feed_lost = true; // not gone, but deaf: what it has would stay wrong
	else if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("feed: %s", e.text);
	pace(r);
}

// --- state as batches

static struct err write_state(struct repository *r, const struct device *d, uint8_t flags,
			      const struct state_point *points, size_t n, struct buf *out)
{
	struct batch_head head = {.flags = flags | BATCH_SNAPSHOT,
				  .received_ns = d->last_ns,
				  .revision = r->revision,
				  .algorithm = 0,
				  .signature = (const uint8_t *)""};
	memcpy(head.device, d->name, sizeof head.device);
	struct batch_writer w;
	batch_write_head(&w, out, &head);
	for (size_t i = 0; i < n; i++) {
		const struct batch_record rec = {BATCH_UPDATE, points[i].series, points[i].time_ns,
						 points[i].value};
		batch_write_record(&w, &rec);
	}
	batch_write_finish(&w);
	return buf_check(out, "state");
}

// Sends points in batches below SLICE; id: STATE_FEED, else FEED.
struct err feed_send_state(struct repository *r, const struct device *d,
			   const struct state_point *points, size_t n, const uint64_t *id)
{
	enum { MOST = 8192 };
	for (size_t at = 0; at < n;) {
		scoped(buf) struct buf out = {0};
		uint32_t numbers[MOST];
		size_t used = 0, bytes = 0;
		while (at + used < n && used < MOST && bytes < SLICE) {
			const struct batch_value *v = &points[at + used].value;
			numbers[used] = points[at + used].series;
			bytes += 32 + (v->type >= VALUE_STRING ? v->s.len : 0);
			used++;
		}
		TRY(tell_series(r, numbers, used));
		if (id)
			buf_be64(&out, *id);
		TRY(write_state(r, d, 0, points + at, used, &out));
		TRY(ipc_send(models(r), id ? IPC_STATE_FEED : IPC_FEED, out.data, out.len, -1));
		at += used;
	}
	return OK;
}

static struct err snapshot_step(struct repository *r)
{
	while (r->next_snapshot && ipc_backlog(models(r)) < SLICE) {
		struct device *d = index_device(&r->index, r->next_snapshot);
		if (!d) {
			Ipc__FeedEnd m = IPC__FEED_END__INIT;
			m.revision = r->revision;
			r->next_snapshot = 0;
			r->models_fed = true;
			return process_send(r->p, PROCESS_MODELS, IPC_FEED_END, &m.base);
		}
		r->next_snapshot++;
		scoped(arena) struct arena *a = arena_new((size_t)256 << 20);
		ENSURE(a, ERR_LIMIT, "no memory for a snapshot");
		struct state_point *points;
		size_t n;
		TRY(history_state(r, d, INT64_MAX, a, &points, &n));
		TRY(feed_send_state(r, d, points, n, NULL));
	}
	return OK;
}

static void snapshot(struct repository *r)
{
	struct err e = models(r) && r->next_snapshot ? snapshot_step(r) : OK;
	if (e.code != ERR_NONE)
		log_error("snapshot for models: %s", e.text);
}

void feed_policy(struct repository *r)
{
	if (!models(r) || !r->policy)
		return;
	Ipc__Policy m = IPC__POLICY__INIT;
	m.snapshot.data = r->policy_bytes.data;
	m.snapshot.len = r->policy_bytes.len;
	err_ignore(process_send(r->p, PROCESS_MODELS, IPC_POLICY, &m.base));
}

void feed_telemetry_up(struct repository *r)
{
	r->paused = false;
	pace(r);
}

void feed_models_down(struct repository *r)
{
	r->models_fed = false;
	r->next_snapshot = 0;
	moments_forget(r);
	pace(r);
}

void feed_models_up(struct repository *r)
{
	for (uint32_t i = 1; i <= r->index.n_series; i++)
		index_series(&r->index, i)->told = 0;
	r->feed_life++;
	r->models_fed = false;
	r->next_snapshot = 1;
	feed_policy(r);
	snapshot(r);
}

void feed_drained(struct repository *r, enum process_id peer)
{
	if (peer == PROCESS_MODELS) {
		snapshot(r);
		moments_go_on(r);
		pace(r);
	}
}

// --- to people

// At most 20 events a second besides alerts; what is held back is counted into the next one.
void feed_event(struct repository *r, const char *type, const char *subject, const char *json,
		const char *class_name)
{
	int64_t now = clock_mono_ns();
	bool alert = !strcmp(type, "integrity.alert");
	if (!alert && now - r->last_event_ns < 50 * NS_PER_MS) {
		r->events_held++;
		return;
	}
	r->last_event_ns = now;
	struct err e = process_event(r->p, type, subject, json, class_name);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_warning("event %s: %s", type, e.text);
}
