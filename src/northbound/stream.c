// SPDX-License-Identifier: Apache-2.0
// Server-sent events (WHATWG HTML 9.2). Each stream has its place in the ring; what its session may
// not read is passed over, decided by the last signed policy for each event (X.2011 8.3.3-4). A
// stream whose client takes nothing is cut: it comes back with Last-Event-ID and reads on, or is told
// of the gap. It lives as long as its session.
#include "northbound/northbound.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdio.h>
#include <string.h>

static const char *kind_of(const char *type)
{
	static const struct {
		const char *prefix, *kind;
	} kinds[] = {
		{"topology.", "Topology"}, {"forwarding.", "Topology"}, {"device.", "Device"},
		{"data.", "Dataset"},	   {"ledger.", "Ledger"},	{"account.", "Account"},
		{"session.", "Account"},   {"policy.", "Policy"},	{"process.", "Process"},
		{"conformance.", "Conformance"},
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strncmp(type, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return kinds[i].kind;
	return "Device";
}

static bool class_of(const char *name, enum access_class *class)
{
	for (int i = 0; access_class_names[i]; i++)
		if (strcmp(access_class_names[i], name) == 0) {
			*class = (enum access_class)i;
			return true;
		}
	return false;
}

static bool visible(struct exchange *x, const struct ring_event *e)
{
	struct access_resource what = {.kind = kind_of(e->type), .id = e->subject};
	if (!class_of(e->class_name, &what.class) || !session_know(x->nb, x->session))
		return false;
	return access_decide(x->nb->policy, &x->session->who, ACTION_READ, &what, clock_wall_ns()).permit;
}

static void pump(struct exchange *x)
{
	const struct ring_event *e;
	while ((e = ring_after(x->nb->ring, x->last_event))) {
		if (http_stream_waiting(x->http) > STREAM_WAITING_MAX) {
			log_notice("an event stream of %s takes nothing: it is cut", x->http->source);
			http_drop(x->http);
			return;
		}
		x->last_event = e->id;
		if (ring_matches(&x->filter, e) && visible(x, e))
			http_stream_send(x->http, e->text, e->len);
	}
}

void streams_pump(struct northbound *nb)
{
	struct exchange *x;
	LIST_FOREACH(x, &nb->exchanges, link)
		if (x->state == EXCHANGE_STREAM)
			pump(x);
}

static struct err place(struct exchange *x, bool *gap, uint64_t *asked)
{
	const char *header = http_header(x->http, "Last-Event-ID");
	const struct request_value *query = request_value(&x->r, "last_event_id");
	x->last_event = ring_newest(x->nb->ring);
	*gap = false;
	if (header)
		TRY(ring_resume(header, asked));
	else if (query)
		*asked = (uint64_t)query->number;
	else
		return OK;
	*gap = ring_gap(x->nb->ring, *asked, &x->last_event);
	return OK;
}

void stream_begin(struct exchange *x)
{
	struct northbound *nb = x->nb;
	const struct request_value *types = request_value(&x->r, "type");
	const struct request_value *subject = request_value(&x->r, "subject");
	uint64_t asked = 0;
	bool gap;
	struct err e = place(x, &gap, &asked);
	if (e.code == ERR_NONE && (nb->n_streams >= STREAMS_MAX || x->session->streams >= SESSION_STREAMS_MAX))
		e = err_make(ERR_LIMIT, "too many event streams; %d for a session, %d in all",
			     SESSION_STREAMS_MAX, STREAMS_MAX);
	if (e.code != ERR_NONE) {
		exchange_refuse(x, e, 0, e.code == ERR_LIMIT ? "Close one of them." : NULL);
		return;
	}
	x->filter = (struct ring_filter){types ? types->text : NULL, subject ? subject->text : NULL};
	x->state = EXCHANGE_STREAM;
	x->session->running--;
	x->session->streams++;
	nb->n_streams++;
	x->last_beat_ns = (uint64_t)clock_mono_ns();
	http_add_header(x->http, "Cache-Control", "no-store");
	http_stream_start(x->http, 200, "text/event-stream");
	static const char hello[] = "retry: 1000\n: gemel\n\n";
	http_stream_send(x->http, hello, sizeof hello - 1);
	if (gap) {
		scoped(buf) struct buf text = {0};
		ring_gap_text(asked, x->last_event, &text);
		http_stream_send(x->http, text.data, text.len);
	}
	pump(x);
}

void stream_gone(void *ctx, struct http_request *http)
{
	struct exchange *x = http->user;
	if (x->state == EXCHANGE_PARTS)
		relay_cancel(x);
	exchange_free(x);
	http_stream_end(http);
}

static void end(struct exchange *x)
{
	struct http_request *http = x->http;
	exchange_free(x);
	http_stream_end(http);
}

void streams_session_ended(struct northbound *nb, const uint8_t hash[32])
{
	struct exchange *x = LIST_FIRST(&nb->exchanges), *next;
	for (; x; x = next) {
		next = LIST_NEXT(x, link);
		if (x->state == EXCHANGE_STREAM && memcmp(x->token_hash, hash, 32) == 0)
			end(x);
	}
}

// A heartbeat finds clients that went away, and a session is asked for again before its time is
// over; when management does not renew it, the stream ends.
void streams_tick(struct northbound *nb)
{
	int64_t mono = clock_mono_ns(), wall = clock_wall_ns();
	struct exchange *x = LIST_FIRST(&nb->exchanges), *next;
	for (; x; x = next) {
		next = LIST_NEXT(x, link);
		if (x->state != EXCHANGE_STREAM)
			continue;
		if (mono - (int64_t)x->last_beat_ns > HEARTBEAT_S * NS_PER_S) {
			x->last_beat_ns = (uint64_t)mono;
			if (http_stream_waiting(x->http) < STREAM_WAITING_MAX)
				http_stream_send(x->http, ": still here\n\n", 14);
		}
		int64_t left = x->session->until_ns - wall;
		if (left <= 0)
			end(x);
		else if (left < 20 * NS_PER_S)
			err_ignore(session_check(nb, x->token_hash, x->http->source, x->http->door));
	}
}
