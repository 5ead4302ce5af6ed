// SPDX-License-Identifier: Apache-2.0
// A circle of events: `head` counts those ever added, event n lies at n % max. Numbers are dense
// (first + n), so that finding the next one is arithmetic, not a search.
#include "northbound/ring.h"

#include "lib/base/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct ring {
	struct ring_event *events;
	size_t max, bytes_max, bytes;
	uint64_t first, head, tail; // tail: oldest kept
};

struct ring *ring_new(size_t events_max, size_t bytes_max, uint64_t first)
{
	struct ring *r = calloc(1, sizeof *r);
	struct ring_event *events = calloc(events_max, sizeof *events);
	if (!r || !events) {
		free(r);
		free(events);
		return NULL;
	}
	*r = (struct ring){events, events_max, bytes_max, 0, first, 0, 0};
	return r;
}

static size_t weight(const struct ring_event *e)
{
	return e->len + strlen(e->type) + strlen(e->subject) + strlen(e->class_name) + sizeof *e;
}

static void event_clear(struct ring_event *e)
{
	free(e->type);
	free(e->subject);
	free(e->class_name);
	free(e->text);
	*e = (struct ring_event){0};
}

static void drop_oldest(struct ring *r)
{
	struct ring_event *e = &r->events[r->tail++ % r->max];
	r->bytes -= weight(e);
	event_clear(e);
}

void ring_free(struct ring *r)
{
	while (r && r->tail < r->head)
		drop_oldest(r);
	if (r)
		free(r->events);
	free(r);
}

static struct err event_text(uint64_t id, const char *source, const struct ring_event *e,
			     int64_t time_ns, const void *json, size_t n, struct buf *out)
{
	char time[CLOCK_TEXT_MAX], number[24];
	json_error_t why;
	json_t *data = json_loadb(json, n, JSON_DECODE_ANY, &why);
	ENSURE(data, ERR_PEER, "event \"%.64s\" of %s is not JSON: %s", e->type, source, why.text);
	snprintf(number, sizeof number, "%" PRIu64, id);
	json_t *all = json_pack("{s:s,s:s,s:o,s:s,s:s,s:s,s:s,s:o}", "specversion", "1.0", "id", number,
				"source", json_sprintf("urn:gemel:process:%s", source), "type", e->type,
				"subject", e->subject, "time", clock_format(time_ns, time), "gemelclass",
				e->class_name, "data", data);
	char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	json_decref(all);
	ENSURE(text, ERR_PEER, "event \"%.64s\" of %s: not UTF-8, or memory is out", e->type, source);
	buf_printf(out, "id: %s\ndata: ", number);
	buf_str(out, text);
	buf_str(out, "\n\n");
	free(text);
	return buf_check(out, "event");
}

struct err ring_add(struct ring *r, const char *source, const char *type, const char *subject,
		    const char *class_name, int64_t time_ns, const void *json, size_t n)
{
	scoped(buf) struct buf text = {.limit = 128 << 10};
	struct ring_event e = {.id = r->first + r->head, .type = strdup(type),
			       .subject = strdup(subject), .class_name = strdup(class_name)};
	struct err why = OK;
	if (!e.type || !e.subject || !e.class_name)
		why = err_make(ERR_LIMIT, "out of memory for an event");
	if (why.code == ERR_NONE)
		why = event_text(e.id, source, &e, time_ns, json, n, &text);
	if (why.code == ERR_NONE && !(e.text = strndup(buf_text(&text), text.len)))
		why = err_make(ERR_LIMIT, "out of memory for an event");
	if (why.code != ERR_NONE) {
		event_clear(&e);
		return why;
	}
	e.len = text.len;
	while (r->tail < r->head &&
	       (r->head - r->tail == r->max || r->bytes + weight(&e) > r->bytes_max))
		drop_oldest(r);
	r->bytes += weight(&e);
	r->events[r->head++ % r->max] = e;
	return OK;
}

uint64_t ring_newest(const struct ring *r)
{
	return r->first + r->head - 1;
}

const struct ring_event *ring_after(const struct ring *r, uint64_t id)
{
	uint64_t oldest = r->first + r->tail;
	uint64_t want = id + 1 > oldest ? id + 1 : oldest;
	if (want >= r->first + r->head)
		return NULL;
	return &r->events[(want - r->first) % r->max];
}

bool ring_gap(const struct ring *r, uint64_t id, uint64_t *from)
{
	uint64_t oldest = r->first + r->tail;
	if (id + 1 >= oldest && id <= ring_newest(r)) {
		*from = id;
		return false;
	}
	*from = id > ring_newest(r) ? ring_newest(r) : oldest - 1; // a number from the future: only new ones
	return true;
}

void ring_gap_text(uint64_t id, uint64_t from, struct buf *out)
{
	buf_printf(out,
		   "id: %" PRIu64 "\nevent: gap\ndata: {\"after\":\"%" PRIu64 "\",\"resumed_after\":\"%" PRIu64
		   "\",\"fix\":\"Read the present state again; events in between are lost.\"}\n\n",
		   from, id, from);
}

static bool type_matches(const char *types, const char *type)
{
	while (*types) {
		size_t n = strcspn(types, ","), word = n;
		if (word && types[word - 1] == '.')
			word--;
		if (word && strncmp(types, type, word) == 0 && (type[word] == 0 || type[word] == '.'))
			return true;
		types += n + (types[n] == ',');
	}
	return false;
}

// "r1" is the subject itself, or an end of the link "r1:eth0--r2:eth1".
static bool subject_matches(const char *want, const char *subject)
{
	size_t n = strlen(want);
	if (strcmp(want, subject) == 0)
		return true;
	const char *other = strstr(subject, "--");
	if (!other)
		return false;
	const char *ends[] = {subject, other + 2};
	for (int i = 0; i < 2; i++)
		if (strncmp(ends[i], want, n) == 0 &&
		    (ends[i][n] == ':' || ends[i][n] == 0 || strncmp(ends[i] + n, "--", 2) == 0))
			return true;
	return false;
}

bool ring_matches(const struct ring_filter *f, const struct ring_event *e)
{
	return (!f->types || type_matches(f->types, e->type)) &&
	       (!f->subject || subject_matches(f->subject, e->subject));
}

struct err ring_resume(const char *text, uint64_t *id)
{
	size_t n = strspn(text, "0123456789");
	ENSURE(n && n < 17 && text[n] == 0, ERR_USAGE,
	       "Last-Event-ID: \"%.32s\" is not a number that an event had", text);
	*id = strtoull(text, NULL, 10);
	return OK;
}
