// SPDX-License-Identifier: Apache-2.0
// Who may send now. A stream that may not is not read: its HTTP/2 window closes, and the device
// keeps what it has until it may go on. Nothing is dropped for want of room here.
//
//   rate        a device above its granted rate waits until its bucket has recovered
//   flight      batches that the repository has not acknowledged: a device may have device_flight
//               bytes of them while there is room, and its even share when all together have more
//               than all_flight; so one that sends much never takes the room of the others
//   repository  its queue is long: all wait, and the least recently served goes on first
// X.2011 8.2.2-1.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/sabotage.h"

#include <string.h>

void pressure_pause(struct device *d, enum pause why, bool paused)
{
	unsigned before = d->paused;
	d->paused = paused ? before | why : before & ~(unsigned)why;
	if ((before != 0) == (d->paused != 0))
		return;
	if (d->call) {
		grpc_call_pause(d->call, d->paused != 0);
		d->t->n_paused += d->paused ? 1u : -1u;
	}
}

static size_t share(const struct telemetry *t)
{
	const struct telemetry_limits *l = &telemetry_limits;
	if (t->flight_bytes < l->all_flight)
		return l->device_flight;
	size_t each = l->all_flight / (t->n_streaming ? t->n_streaming : 1);
	if (each < l->share_least)
		each = l->share_least;
	return each < l->device_flight ? each : l->device_flight;
}

static void rate(struct device *d, size_t bytes, uint32_t updates)
{
	int64_t now = clock_mono_ns();
	if (!d->grant || sabotaged("rate"))
		return;
	int64_t wait = bucket_spend(&d->updates, &d->grant->updates, now, updates);
	int64_t by_bytes = bucket_spend(&d->bytes, &d->grant->bytes, now, bytes);
	if (by_bytes > wait)
		wait = by_bytes;
	if (wait == 0)
		return;
	struct timeval tv = {wait / NS_PER_S, wait % NS_PER_S / 1000 + 1};
	pressure_pause(d, PAUSE_RATE, true);
	event_add(d->timer, &tv);
	d->t->count.throttled++;
	observe(d->t, "rate-exceeded", d->name, d->session ? d->session->source : "",
		"sends more than the %u updates or %u bytes a second that it is granted; it waits",
		d->grant->updates.per_s, d->grant->bytes.per_s);
}

void pressure_sent(struct device *d, uint64_t seq, const uint8_t key_id[BATCH_KEY_ID],
		   size_t message_bytes, size_t batch_bytes, uint32_t updates)
{
	struct telemetry *t = d->t;
	struct flight *f = &d->flights[(d->first_flight + d->n_flights++) % FLIGHTS_MAX];
	*f = (struct flight){.seq = seq, .bytes = (uint32_t)batch_bytes, .updates = updates};
	memcpy(f->key_id, key_id, BATCH_KEY_ID);
	d->flight_bytes += batch_bytes;
	t->flight_bytes += batch_bytes;
	TAILQ_REMOVE(&t->turns, d, turn);
	TAILQ_INSERT_TAIL(&t->turns, d, turn);
	rate(d, message_bytes, updates);
	if (d->n_flights == FLIGHTS_MAX || d->flight_bytes > share(t))
		pressure_pause(d, PAUSE_FLIGHT, true);
	if (!t->choked && ipc_backlog(t->p->peers[PROCESS_REPOSITORY]) > telemetry_limits.backlog) {
		t->choked = true;
		struct device *other;
		TAILQ_FOREACH(other, &t->turns, turn)
		pressure_pause(other, PAUSE_REPOSITORY, true);
	}
}

static void land(struct device *d, struct flight *out)
{
	*out = d->flights[d->first_flight];
	d->first_flight = (d->first_flight + 1) % FLIGHTS_MAX;
	d->n_flights--;
	d->flight_bytes -= out->bytes;
	d->t->flight_bytes -= out->bytes;
}

static bool is(const struct flight *f, uint64_t seq, const uint8_t *key_id)
{
	return f->seq == seq && memcmp(f->key_id, key_id, BATCH_KEY_ID) == 0;
}

// The repository answers in the order of sending.
bool pressure_landed(struct device *d, uint64_t seq, const uint8_t *key_id, struct flight *out)
{
	if (d->n_flights == 0 || !is(&d->flights[d->first_flight], seq, key_id))
		return false;
	land(d, out);
	if (d->n_flights < FLIGHTS_MAX / 2 && d->flight_bytes <= share(d->t) / 2)
		pressure_pause(d, PAUSE_FLIGHT, false);
	return true;
}

void pressure_clear(struct device *d)
{
	struct flight f;
	while (d->n_flights) {
		land(d, &f);
		if (d->grant ? !d->grant->signed_batches : d->target != NULL) {
			d->n_lost += f.updates; // it has no spool to send it again from
			d->t->count.lost += f.updates;
		}
	}
	for (int i = 0; i < PLACES_MAX; i++)
		d->places[i].forwarded = d->places[i].acked;
	pressure_pause(d, PAUSE_FLIGHT, false);
}

void pressure_timer(struct device *d)
{
	if (!(d->paused & PAUSE_RATE))
		return;
	int64_t now = clock_mono_ns();
	int64_t wait = 0;
	if (d->grant) {
		wait = bucket_spend(&d->updates, &d->grant->updates, now, 0);
		int64_t by_bytes = bucket_spend(&d->bytes, &d->grant->bytes, now, 0);
		wait = by_bytes > wait ? by_bytes : wait;
	}
	if (wait == 0) {
		pressure_pause(d, PAUSE_RATE, false);
		return;
	}
	struct timeval tv = {wait / NS_PER_S, wait % NS_PER_S / 1000 + 1};
	event_add(d->timer, &tv);
}

void pressure_drained(struct telemetry *t)
{
	struct device *d;
	t->choked = false;
	TAILQ_FOREACH(d, &t->turns, turn)
	pressure_pause(d, PAUSE_REPOSITORY, false);
}
