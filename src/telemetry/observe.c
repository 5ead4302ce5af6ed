// SPDX-License-Identifier: Apache-2.0
// Alerts to management, which writes them down and raises events. The first of its kind for a
// device and source goes at once; what follows is counted and goes every ten seconds, so that an
// attacker makes neither floods of messages nor of ledger entries. When the table is full, the rest
// is counted together. X.2011 8.1.2-2, 8.2.2-1.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALERTS = 256, DETAIL_MAX = 240 };
static const int64_t EVERY_NS = 10 * NS_PER_S;
static const int64_t FORGET_NS = 60 * NS_PER_S;

struct alert {
	const char *kind; // NULL: free
	char device[BATCH_DEVICE_MAX + 1], source[SOURCE_TEXT_MAX], detail[DETAIL_MAX];
	uint64_t count;		  // not sent yet
	int64_t first_ns;	  // wall, of those
	int64_t sent_ns, last_ns; // monotonic
};

struct observer {
	struct alert alert[ALERTS + 1]; // the last: all that found no place
	uint64_t total;
};

struct err observe_start(struct telemetry *t)
{
	t->observer = calloc(1, sizeof *t->observer);
	ENSURE(t->observer, ERR_INTERNAL, "out of memory");
	return OK;
}

void observe_stop(struct telemetry *t)
{
	free(t->observer);
	t->observer = NULL;
}

static void alert_send(struct telemetry *t, struct alert *a, int64_t now)
{
	Ipc__Observed m = IPC__OBSERVED__INIT;
	m.device = a->device;
	m.kind = (char *)(uintptr_t)a->kind;
	m.detail = a->detail;
	m.count = a->count;
	m.time_ns = a->first_ns;
	m.source = a->source;
	struct err e = process_send(t->p, PROCESS_MANAGEMENT, IPC_OBSERVED, &m.base);
	if (e.code != ERR_NONE)
		return; // management is away: it is told when it comes
	a->count = 0;
	a->sent_ns = now;
}

static struct alert *place(struct observer *o, const char *kind, const char *device,
			   const char *source)
{
	struct alert *free_one = NULL;
	for (int i = 0; i < ALERTS; i++) {
		struct alert *a = &o->alert[i];
		if (a->kind && strcmp(a->kind, kind) == 0 && strcmp(a->device, device) == 0 &&
		    strcmp(a->source, source) == 0)
			return a;
		if (!a->kind && !free_one)
			free_one = a;
	}
	struct alert *a = free_one ? free_one : &o->alert[ALERTS];
	if (!a->kind) {
		bool rest = a == &o->alert[ALERTS];
		*a = (struct alert){.kind = rest ? "many-alerts" : kind};
		snprintf(a->device, sizeof a->device, "%s", rest ? "" : device);
		snprintf(a->source, sizeof a->source, "%s", rest ? "" : source);
	}
	return a;
}

void observe(struct telemetry *t, const char *kind, const char *device, const char *source,
	     const char *format, ...)
{
	struct alert *a = place(t->observer, kind, device, source);
	int64_t now = clock_mono_ns();
	va_list args;
	va_start(args, format);
	vsnprintf(a->detail, sizeof a->detail, format, args);
	va_end(args);
	if (a->count++ == 0)
		a->first_ns = clock_wall_ns();
	a->last_ns = now;
	t->observer->total++;
	log_debug("%s %s %s: %s", kind, device, source, a->detail);
	if (a->sent_ns == 0)
		alert_send(t, a, now);
}

void observe_tick(struct telemetry *t)
{
	int64_t now = clock_mono_ns();
	for (int i = 0; i <= ALERTS; i++) {
		struct alert *a = &t->observer->alert[i];
		if (a->kind && a->count && now - a->sent_ns >= EVERY_NS)
			alert_send(t, a, now);
		else if (a->kind && !a->count && now - a->last_ns >= FORGET_NS)
			a->kind = NULL;
	}
}

// --- metrics

static void metric(struct telemetry *t, const char *name, const char *labels, double value,
		   bool counter, const char *help)
{
	process_metric(t->p, name, labels, value, counter, help);
}

static void count_metrics(struct telemetry *t)
{
	const struct counters *c = &t->count;
	const struct {
		const char *name, *labels, *help;
		uint64_t value;
	} rows[] = {
		{"gemel_telemetry_updates_total", "", "gNMI updates and deletes handed on",
		 c->updates},
		{"gemel_telemetry_batches_total", "", "Batches handed on", c->batches},
		{"gemel_telemetry_bytes_total", "", "Bytes of gNMI messages", c->bytes},
		{"gemel_telemetry_acks_total", "", "Batches that the repository acknowledged",
		 c->acks},
		{"gemel_telemetry_batches_refused_total", "", "Batches that it refused",
		 c->refused},
		{"gemel_telemetry_updates_lost_total", "",
		 "Updates lost between device and repository", c->lost},
		{"gemel_telemetry_batches_resent_total", "",
		 "Batches that came again because their acknowledgement was lost", c->resent},
		{"gemel_telemetry_messages_malformed_total", "", "Messages that broke the protocol",
		 c->malformed},
		{"gemel_telemetry_throttled_total", "", "Times a device had to wait for its rate",
		 c->throttled},
		{"gemel_telemetry_handshakes_total", "result=\"good\"", "TLS handshakes by result",
		 c->handshakes_good},
		{"gemel_telemetry_handshakes_total", "result=\"refused\"",
		 "TLS handshakes by result", c->handshakes_refused},
		{"gemel_telemetry_handshakes_total", "result=\"failed\"",
		 "TLS handshakes by result", c->handshakes_failed},
		{"gemel_telemetry_handshakes_total", "result=\"limited\"",
		 "TLS handshakes by result", c->handshakes_limited},
		{"gemel_telemetry_admissions_total", "result=\"admitted\"",
		 "Decisions of management", c->admitted},
		{"gemel_telemetry_admissions_total", "result=\"denied\"", "Decisions of management",
		 c->denied},
		{"gemel_telemetry_enrolment_calls_total", "",
		 "Enrolment calls passed to management", c->enrolments},
		{"gemel_telemetry_alerts_total", "", "Observations, counted ones too",
		 t->observer->total},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		metric(t, rows[i].name, rows[i].labels, (double)rows[i].value, true, rows[i].help);
}

void observe_metrics(struct telemetry *t)
{
	count_metrics(t);
	metric(t, "gemel_telemetry_sessions", "", t->n_sessions, false, "Connections of devices");
	metric(t, "gemel_telemetry_streams", "", t->n_streaming, false, "Subscribe streams");
	metric(t, "gemel_telemetry_paused", "", t->n_paused, false,
	       "Streams that are held back now");
	metric(t, "gemel_telemetry_unacknowledged_bytes", "", (double)t->flight_bytes, false,
	       "Bytes of batches that the repository has not acknowledged");
	metric(t, "gemel_telemetry_paths", "", (double)paths_count(t->paths), false,
	       "Different paths known by their wire bytes");
	unsigned told = 0;
	struct device *d;
	TAILQ_FOREACH(d, &t->turns, turn)
	{
		char labels[BATCH_DEVICE_MAX + 16];
		if (d->n_lost == 0 || told++ >= 64)
			continue;
		snprintf(labels, sizeof labels, "device=\"%s\"", d->name);
		metric(t, "gemel_telemetry_device_updates_lost_total", labels, (double)d->n_lost,
		       true, "Updates of this device that were lost");
	}
}
