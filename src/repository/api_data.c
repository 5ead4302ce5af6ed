// SPDX-License-Identifier: Apache-2.0
// Values: the latest or at a time, and their history. Both walk the series of a device in the order
// of their paths; a cursor names the last one that was looked at, and the moment that "now" or
// "-5m" was at the first request, so that a list does not change under its reader.
// X.2011 8.3.1-3, 6-data.
#include "repository/api.h"

#include "lib/base/clock.h"
#include "lib/gnmi/path.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKED_AT_MOST = 200000, VALUES = 200, POINTS = 500, ITEMS = 10000 };

struct walk {
	struct ask *q;
	struct path_pattern *pattern; // NULL: all
	const char *pattern_text, *prefix;
	size_t prefix_len;
	const char *only; // device
	int class;	  // -1: any
	struct listing list;
	struct reads reads;
	unsigned left; // series that may still be looked at
	bool stop, more;
	uint32_t device, series; // cursor: under way, and the last one of it that is done with
	const char *after;	 // its path: go on behind it
	struct device *d;	 // under way
	struct err e;
	int64_t as_of_ns;
	// query
	bool past;
	int64_t at_ns;
	struct state_point *points; // of the device at that time
	size_t n_points;
	// series
	int64_t from_ns, to_ns;
	size_t most;
	uint32_t part; // cursor: the series that was given in part, up to this point
	int64_t part_ns;
	uint64_t part_revision;
};

// --- what is asked

// The first element's name is common to all that a pattern matches, unless it is a wildcard.
static void find_prefix(struct walk *w)
{
	size_t n = strcspn(w->pattern_text + 1, "/[");
	bool plain = *w->pattern_text == '/' && n && !memchr(w->pattern_text, '*', n + 1) &&
		     strncmp(w->pattern_text + 1, "...", 3) != 0;
	w->prefix = plain ? w->pattern_text : "";
	w->prefix_len = plain ? n + 1 : 0;
}

// What was named by device, path or class is refused as such, whether or not there is any.
static struct err named(struct walk *w)
{
	struct ask *q = w->q;
	if (w->class >= 0) {
		const struct access_resource what = {.kind = "Dataset",
						     .class = (enum access_class)w->class,
						     .domain =
							     *q->who.domain ? q->who.domain : NULL};
		TRY(api_need(q, &what));
	}
	if (!w->pattern || strchr(w->pattern_text, '*') || strstr(w->pattern_text, "..."))
		return OK;
	enum access_class class =
		classes_of(q->r->classes, w->pattern_text, strlen(w->pattern_text));
	const struct access_resource what = {.kind = "Path",
					     .id = w->only,
					     .path = w->pattern_text,
					     .class = class,
					     .domain = *q->who.domain ? q->who.domain : NULL};
	return api_need(q, &what);
}

static struct err walk_start(struct walk *w)
{
	const char *path = answer_text(w->q->m, "path"), *class = answer_text(w->q->m, "class");
	w->left = LOOKED_AT_MOST;
	w->class = -1;
	w->only = answer_text(w->q->m, "device");
	w->pattern_text = "/...";
	w->prefix = "";
	for (int i = 0; class && *class && access_class_names[i]; i++)
		if (!strcmp(class, access_class_names[i]))
			w->class = i;
	ENSURE(!class || !*class || w->class >= 0, ERR_USAGE, "class: \"%.16s\" is none", class);
	if (path && *path && strcmp(path, "/") != 0) {
		struct err e = path_pattern_new(path, &w->pattern);
		if (e.code != ERR_NONE)
			return err_within(e, "path");
		w->pattern_text = path_pattern_text(w->pattern);
		find_prefix(w);
	}
	return named(w);
}

static void walk_clear(struct walk *w)
{
	path_pattern_free(w->pattern);
	listing_clear(&w->list);
}

// Whether this series is asked for and may be read.
static bool wanted(struct walk *w, uint32_t number, const struct series *s)
{
	if (w->stop || w->e.code != ERR_NONE)
		return false;
	if (w->after && strcmp(s->path, w->after) <= 0)
		return false;
	if (!w->left--) {
		w->stop = w->more = true;
		return false;
	}
	bool fits = (w->class < 0 || s->class == w->class) &&
		    (!w->pattern || path_match_under(w->pattern, s->path, s->path_len)) &&
		    api_may_read(w->q, w->d, s->path, (enum access_class)s->class);
	if (!fits)
		w->series = number;
	return fits;
}

static struct err walk_devices(struct walk *w,
			       void (*each)(void *ctx, uint32_t number, struct series *s),
			       struct err (*begin)(struct walk *w, struct arena *a))
{
	struct index *x = &w->q->r->index;
	const struct series *after = index_series(x, w->series);
	uint32_t first = w->device ? w->device : 1;
	w->after = after && after->device == first ? after->path : NULL;
	for (uint32_t i = first; i <= x->n_devices && !w->stop; i++) {
		w->d = index_device(x, i);
		if (w->d->name[0] == '#' ||
		    (w->only && *w->only && strcmp(w->d->name, w->only) != 0))
			continue;
		if (i != first)
			w->after = NULL;
		if (!w->after)
			w->series = 0;
		w->device = i;
		scoped(arena) struct arena *a = arena_new((size_t)256 << 20);
		ENSURE(a, ERR_LIMIT, "no memory for the answer");
		if (begin)
			TRY(begin(w, a));
		TRY(index_under(x, w->d, w->prefix, w->prefix_len, each, w));
		TRY(w->e);
	}
	return OK;
}

// --- data.query

static struct err read_past(struct walk *w, struct arena *a)
{
	if (!w->past)
		return OK;
	return history_state(w->q->r, w->d, w->at_ns, a, &w->points, &w->n_points);
}

static int by_series(const void *key, const void *item)
{
	uint32_t a = *(const uint32_t *)key, b = ((const struct state_point *)item)->series;
	return a < b ? -1 : a > b;
}

static bool value_of(struct walk *w, uint32_t number, const struct series *s,
		     struct state_point *out)
{
	if (w->past) {
		const struct state_point *p = w->n_points ? bsearch(&number, w->points, w->n_points,
								    sizeof *w->points, by_series)
							  : NULL;
		if (p)
			*out = *p;
		return p != NULL;
	}
	*out = (struct state_point){number, s->time_ns, s->revision, series_value(s), false};
	return (s->flags & SERIES_LIVE) && !(s->flags & SERIES_DELETED);
}

static void each_value(void *ctx, uint32_t number, struct series *s)
{
	struct walk *w = ctx;
	struct state_point p;
	if (w->stop || !value_of(w, number, s, &p) || !wanted(w, number, s))
		return;
	if (listing_full(&w->list)) {
		w->stop = w->more = true;
		return;
	}
	w->series = number;
	reads_note(&w->reads, w->q, w->d, (enum access_class)s->class, w->pattern_text);
	if (w->d->last_ns > w->as_of_ns)
		w->as_of_ns = w->d->last_ns;
	listing_add(&w->list,
		    json_pack("{s:s, s:s, s:o, s:o, s:s, s:I}", "device", w->d->name, "path",
			      s->path, "value", api_value(&p.value), "time",
			      api_time_json(p.time_ns), "class", access_class_names[s->class],
			      "revision", (json_int_t)p.revision));
}

static struct err query_cursor(struct walk *w)
{
	const char *text = answer_text(w->q->m, "cursor");
	int past, end = 0;
	if (!text || !*text)
		return OK;
	int n = sscanf(text, "q1.%1d.%" SCNd64 ".%" SCNu32 ".%" SCNu32 "%n", &past, &w->at_ns,
		       &w->device, &w->series, &end);
	ENSURE(n == 4 && end && !text[end], ERR_USAGE, "cursor: it is not the `next` of an answer");
	w->past = past;
	return OK;
}

struct err api_data_query(struct ask *q, json_t **body)
{
	static const char *const fields[] = {"device", "path",	   "value", "time",
					     "class",  "revision", NULL};
	struct walk w = {.q = q};
	char next[128] = "";
	struct err e = api_time(q, "at", 0, &w.at_ns);
	w.past = w.at_ns != 0;
	if (e.code == ERR_NONE)
		e = walk_start(&w);
	if (e.code == ERR_NONE)
		e = listing_start(&w.list, q, VALUES, fields);
	if (e.code == ERR_NONE)
		e = query_cursor(&w);
	if (e.code == ERR_NONE)
		e = walk_devices(&w, each_value, read_past);
	if (e.code == ERR_NONE)
		e = reads_finish(&w.reads, q, w.pattern_text);
	if (w.more)
		snprintf(next, sizeof next, "q1.%d.%" PRId64 ".%" PRIu32 ".%" PRIu32, w.past,
			 w.at_ns, w.device, w.series);
	if (e.code == ERR_NONE) {
		*body = listing_body(&w.list, next);
		api_stamp(*body, w.past ? w.at_ns : w.as_of_ns, q->r->revision);
	}
	walk_clear(&w);
	return e;
}

// --- data.series

static json_t *point_json(const struct walk *w, const struct series *s, const struct state_point *p)
{
	json_t *o = json_pack("{s:o, s:s, s:s, s:o, s:I}", "time", api_time_json(p->time_ns),
			      "device", w->d->name, "path", s->path, "value",
			      p->deleted ? json_null() : api_value(&p->value), "revision",
			      (json_int_t)p->revision);
	if (p->deleted)
		json_object_set_new(o, "deleted", json_true());
	return o;
}

static struct err give_points(struct walk *w, uint32_t number, const struct series *s)
{
	scoped(arena) struct arena *a = arena_new((size_t)256 << 20);
	ENSURE(a, ERR_LIMIT, "no memory for the answer");
	struct state_point *points;
	size_t n;
	TRY(history_points(w->q->r, w->d, number, w->from_ns, w->to_ns, w->most, a, &points, &n));
	for (size_t i = 0; i < n; i++) {
		const struct state_point *p = &points[i];
		if (number == w->part &&
		    (p->time_ns < w->part_ns ||
		     (p->time_ns == w->part_ns && p->revision <= w->part_revision)))
			continue; // given in the answer before
		if (listing_full(&w->list)) {
			w->stop = w->more = true;
			return OK;
		}
		w->part = number;
		w->part_ns = p->time_ns;
		w->part_revision = p->revision;
		reads_note(&w->reads, w->q, w->d, (enum access_class)s->class, w->pattern_text);
		listing_add(&w->list, point_json(w, s, p));
	}
	w->part = 0;
	w->series = number;
	return OK;
}

static void each_history(void *ctx, uint32_t number, struct series *s)
{
	struct walk *w = ctx;
	if (wanted(w, number, s))
		w->e = give_points(w, number, s);
}

static struct err series_cursor(struct walk *w)
{
	const char *text = answer_text(w->q->m, "cursor");
	int end = 0;
	if (!text || !*text)
		return OK;
	int n = sscanf(text,
		       "s1.%" SCNd64 ".%" SCNd64 ".%" SCNu32 ".%" SCNu32 ".%" SCNu32 ".%" SCNd64
		       ".%" SCNu64 "%n",
		       &w->from_ns, &w->to_ns, &w->device, &w->series, &w->part, &w->part_ns,
		       &w->part_revision, &end);
	ENSURE(n == 7 && end && !text[end], ERR_USAGE, "cursor: it is not the `next` of an answer");
	return OK;
}

static struct err series_times(struct walk *w)
{
	struct ask *q = w->q;
	int64_t at;
	TRY(api_time(q, "at", q->now_ns, &at));
	TRY(api_time(q, "to", at, &w->to_ns));
	if (w->to_ns > at)
		w->to_ns = at;
	TRY(api_time(q, "from", w->to_ns - 3600 * NS_PER_S, &w->from_ns));
	ENSURE(w->from_ns <= w->to_ns, ERR_USAGE, "from: is after `to`");
	int64_t most = answer_number(q->m, "points", POINTS);
	ENSURE(most >= 1 && most <= ITEMS, ERR_USAGE, "points: 1 to %d", ITEMS);
	w->most = (size_t)most;
	return series_cursor(w);
}

struct err api_data_series(struct ask *q, json_t **body)
{
	static const char *const fields[] = {"time",	 "device",  "path", "value",
					     "revision", "deleted", NULL};
	struct walk w = {.q = q};
	struct device *d;
	char next[160] = "";
	struct err e = walk_start(&w);
	if (e.code == ERR_NONE)
		e = api_device(q, w.only, &d);
	if (e.code == ERR_NONE)
		e = series_times(&w);
	if (e.code == ERR_NONE)
		e = listing_start(&w.list, q, ITEMS, fields);
	if (e.code == ERR_NONE)
		e = walk_devices(&w, each_history, NULL);
	if (e.code == ERR_NONE)
		e = reads_finish(&w.reads, q, w.pattern_text);
	if (w.more)
		snprintf(next, sizeof next,
			 "s1.%" PRId64 ".%" PRId64 ".%" PRIu32 ".%" PRIu32 ".%" PRIu32 ".%" PRId64
			 ".%" PRIu64,
			 w.from_ns, w.to_ns, w.device, w.series, w.part, w.part_ns,
			 w.part_revision);
	if (e.code == ERR_NONE) {
		*body = listing_body(&w.list, next);
		json_object_set_new(*body, "from", api_time_json(w.from_ns));
		json_object_set_new(*body, "to", api_time_json(w.to_ns));
		api_stamp(*body, w.to_ns < d->last_ns ? w.to_ns : d->last_ns, q->r->revision);
	}
	walk_clear(&w);
	return e;
}
