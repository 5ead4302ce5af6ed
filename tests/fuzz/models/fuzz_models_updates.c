// SPDX-License-Identifier: Apache-2.0
// Whatever devices say, in paths and values: the twin is built from it, every question is asked,
// and none may crash, hang, or leave an answer that is no JSON. One line is one record:
//     +a /interfaces/interface[name=e1]/state/oper-status sUP
// `+` update, `-` delete; one letter for the device; the path to the last blank; then the type
// (s string, u uint, i int, b bool, j JSON, y bytes) and the value.

#include "lib/batch/batch.h"
#include "models/checks.h"
#include "models/json.h"
#include "models/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct series *series;
	struct state *state;
	uint32_t numbers;
};

static struct batch_value value_of(const char *text, size_t n)
{
	struct batch_value v = {.type = VALUE_STRING};
	char copy[32] = "";
	char type = n ? *text : 's';
	if (n) {
		text++;
		n--;
	}
	memcpy(copy, text, n < sizeof copy - 1 ? n : sizeof copy - 1);
	if (type == 'u') {
		v.type = VALUE_UINT;
		v.u = strtoull(copy, NULL, 10);
	} else if (type == 'i') {
		v.type = VALUE_INT;
		v.i = strtoll(copy, NULL, 10);
	} else if (type == 'b') {
		v.type = VALUE_BOOL;
		v.b = copy[0] == 't';
	} else {
		v.type = type == 'j' ? VALUE_JSON : type == 'y' ? VALUE_BYTES : VALUE_STRING;
		v.s.bytes = (const uint8_t *)text;
		v.s.len = (uint32_t)n;
	}
	return v;
}

static void feed(struct run *r, const char *line, size_t n)
{
	const char *gap = memrchr(line, ' ', n);
	if (n < 4 || !gap || gap < line + 3)
		return;
	struct batch_head head = {
		.flags = BATCH_SYNC, .received_ns = r->numbers + 1, .revision = r->numbers + 1};
	head.device[0] = (char)('a' + (unsigned char)line[1] % 4);
	if (series_add(r->series, ++r->numbers, head.device, line + 3, (size_t)(gap - line - 3))
		    .code)
		return;
	struct batch_record record = {line[0] == '-' ? BATCH_DELETE : BATCH_UPDATE, r->numbers,
				      r->numbers, value_of(gap + 1, (size_t)(line + n - gap - 1))};
	if (record.op == BATCH_DELETE)
		record.value = (struct batch_value){0};
	scoped(buf) struct buf b = {0};
	struct batch_writer w;
	struct state_change change;
	batch_write_head(&w, &b, &head);
	batch_write_record(&w, &record);
	batch_write_finish(&w);
	struct err e = state_apply(r->state, b.data, b.len, &change);
	if (e.code != ERR_NONE)
		abort(); // what series_add took, a well-formed batch may speak of
}

static void must_be_json(json_t *j)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	if (!text)
		abort();
	free(text);
	json_decref(j);
}

static void ask(struct forwarding *f, const struct view *v)
{
	static const char *const ends[] = {"a", "b/e1", "10.0.0.1", "10.1.0.9", "2001:db8::9"};
	for (unsigned i = 0; i < 5; i++)
		for (unsigned k = 0; k < 5; k++) {
			struct arena *a = arena_new(1 << 20);
			struct trace *t = a ? arena_alloc(a, sizeof *t) : NULL;
			struct trace_query q = {ends[i],	NULL, ends[k],
						k % 2 ? 6 : -1, -1,   i % 2 ? 80 : -1};
			if (!t)
				abort();
			if (trace_run(f, &q, a, t).code == ERR_NONE)
				must_be_json(trace_json(f, v, &q, t));
			arena_free(a);
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = {.series = series_new()};
	r.state = state_new(r.series);
	struct topology *t = topology_new(r.state);
	struct forwarding *f = forwarding_new(r.state, t);
	struct checks *c = checks_new(f);
	const char *at = (const char *)data, *end = at + size;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		feed(&r, at, (size_t)((newline ? newline : end) - at));
		at = newline ? newline + 1 : end;
	}
	struct view v = {r.state, 1000, 100};
	bool done = false;
	if (forwarding_refresh(f).code || checks_step(c, 1 << 20, 1, &done).code || !done)
		abort();
	ask(f, &v);
	must_be_json(topology_json(t, f, &v));
	must_be_json(topology_ietf_json(t, &v));
	must_be_json(checks_json(c, &v));
	for (uint32_t d = 0; d < catalogue_devices(series_catalogue(r.series)); d++)
		must_be_json(device_json(&v, f, d, true));
	checks_free(c);
	forwarding_free(f);
	topology_free(t);
	state_free(r.state);
	series_free(r.series);
	return 0;
}
