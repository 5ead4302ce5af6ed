// SPDX-License-Identifier: Apache-2.0
#include "repository/aggregate.h"

#include "lib/base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 1024, KEY_MAX = 320, DETAIL_MAX = 512 };
static const int64_t minute = 60 * NS_PER_S;

struct held {
	char key[KEY_MAX]; // kind \n subject \n actor \n reason
	char detail[DETAIL_MAX];
	int64_t since_ns;
	uint64_t count; // not recorded yet
};

struct aggregate {
	aggregate_fn record;
	void *ctx;
	size_t n;
	struct held held[MOST];
	uint64_t overflow; // different ones than fit
	int64_t overflow_ns;
};

struct aggregate *aggregate_new(aggregate_fn record, void *ctx)
{
	struct aggregate *a = calloc(1, sizeof *a);
	if (a) {
		a->record = record;
		a->ctx = ctx;
	}
	return a;
}

void aggregate_free(struct aggregate *a)
{
	free(a);
}

static void emit(struct aggregate *a, const char *key, const char *detail, uint64_t count)
{
	char copy[KEY_MAX], empty[1] = "", *parts[4], *at = copy;
	memcpy(copy, key, KEY_MAX);
	for (int i = 0; i < 4; i++) {
		parts[i] = at ? at : empty;
		at = at ? strchr(at, '\n') : NULL;
		if (at)
			*at++ = 0;
	}
	a->record(a->ctx, parts[0], parts[1], parts[2], detail, count);
}

void aggregate_note(struct aggregate *a, const char *kind, const char *subject, const char *actor,
		    const char *reason, const char *detail, int64_t now_ns)
{
	char key[KEY_MAX] = {0};
	scoped(buf) struct buf b = {.limit = 2048};
	buf_printf(&b, "%s\n%s\n%s\n%s", kind, subject, actor, reason);
	memcpy(key, b.data, b.len < KEY_MAX ? b.len : KEY_MAX - 1);
	for (size_t i = 0; i < a->n; i++)
		if (!strcmp(a->held[i].key, key)) {
			a->held[i].count++;
			return;
		}
	if (a->n == MOST) {
		if (!a->overflow++)
			a->overflow_ns = now_ns;
		return;
	}
	struct held *h = &a->held[a->n++];
	*h = (struct held){.since_ns = now_ns};
	memcpy(h->key, key, sizeof key);
	size_t n = strlen(detail);
	if (n < DETAIL_MAX)
		memcpy(h->detail, detail, n + 1);
	emit(a, key, h->detail, 1);
}

void aggregate_tick(struct aggregate *a, int64_t now_ns)
{
	for (size_t i = 0; i < a->n;) {
		struct held *h = &a->held[i];
		if (now_ns - h->since_ns < minute) {
			i++;
			continue;
		}
		if (h->count)
			emit(a, h->key, h->detail, h->count);
		*h = a->held[--a->n];
	}
	if (a->overflow && now_ns - a->overflow_ns >= minute) {
		char key[KEY_MAX] = "record.overflow\n\nrepository\nmany";
		emit(a, key, "\"what\":\"more different events in a minute than are told apart\"",
		     a->overflow);
		a->overflow = 0;
	}
}
