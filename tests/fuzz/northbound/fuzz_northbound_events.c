// SPDX-License-Identifier: Apache-2.0
// Resuming and filtering of event streams, and events of any content: lines of input are, in turn,
// Last-Event-ID, types, subject, event type, event subject, JSON. Each event that is taken must stay
// one "data:" line.
#include "northbound/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES = 6 };

static void check_text(const struct ring_event *e)
{
	assert(e->len > 12 && memcmp(e->text, "id: ", 4) == 0);
	unsigned ends = 0;
	for (size_t i = 0; i < e->len; i++)
		ends += e->text[i] == '\n';
	assert(ends == 3 && memcmp(e->text + e->len - 2, "\n\n", 2) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + LINES + 1), *line[LINES];
	struct ring *r = ring_new(4, 4096, 1000);
	uint64_t id = 0, from = 0;
	if (!text || !r)
		abort();
	memcpy(text, data, size);
	char *at = text;
	for (int i = 0; i < LINES; i++) {
		line[i] = at;
		at += i < LINES - 1 ? strcspn(at, "\n") : strlen(at);
		if (i < LINES - 1 && *at)
			*at++ = 0;
	}
	struct ring_filter f = {line[1], line[2]};
	for (int i = 0; i < 6; i++) {
		struct err e = ring_add(r, "models", line[3], line[4], "internal", 1, line[5], strlen(line[5]));
		if (e.code == ERR_NONE)
			check_text(ring_after(r, ring_newest(r) - 1));
	}
	if (ring_resume(line[0], &id).code == ERR_NONE) {
		bool gap = ring_gap(r, id, &from);
		assert(from <= ring_newest(r));
		assert(gap || from == id);
		unsigned n = 0;
		for (const struct ring_event *e = ring_after(r, from); e; e = ring_after(r, e->id)) {
			assert(e->id > from);
			from = e->id;
			ring_matches(&f, e);
			n++;
		}
		assert(n <= 4);
	}
	ring_free(r);
	free(text);
	return 0;
}
