// SPDX-License-Identifier: Apache-2.0
// Rows of the table "story", keyed "DEVICE/NUMBER": {time, step, state, reason, actor, detail}.
// When a story grows too long its middle goes: how it began and what happened last stay.
#include "management/devices.h"

#include "lib/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char table[] = "story";
enum { BEGINNING = 40 };

static void key_of(const char *id, uint32_t number, char out[KEEP_KEY_MAX])
{
	snprintf(out, KEEP_KEY_MAX, "%s/%010u", id, number);
}

void device_tell(struct keep *k, struct device *d, const struct device_step *s, int64_t now_ns)
{
	char key[KEEP_KEY_MAX];
	json_t *row =
		json_pack("{s:I,s:s,s:s,s:s,s:s,s:O*}", "time", (json_int_t)now_ns, "step", s->step,
			  "state", device_state_name(d->state), "reason", reason_word(s->reason),
			  "actor", s->actor ? s->actor : "management", "detail", s->detail);
	if (d->story >= DEVICE_STORY_MAX) {
		key_of(d->id, d->story - DEVICE_STORY_MAX + BEGINNING, key);
		keep_delete(k, table, key);
	}
	key_of(d->id, d->story++, key);
	keep_put_json(k, table, key, row);
	json_decref(row);
}

struct telling {
	int64_t at_ns;
	json_t *list;
	// the last step that says so
	char state[32], reason[32];
	int64_t since_ns;
};

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static enum reason by_word(const char *word)
{
	for (unsigned i = 1; i < REASONS; i++)
		if (strcmp(reason_word((enum reason)i), word) == 0)
			return (enum reason)i;
	return REASON_NONE;
}

static json_t *for_people(const json_t *row)
{
	char at[CLOCK_TEXT_MAX];
	enum reason reason = by_word(text(row, "reason"));
	json_t *j = json_pack("{s:s,s:s,s:s,s:s}", "time",
			      clock_format(json_integer_value(json_object_get(row, "time")), at),
			      "step", text(row, "step"), "state", text(row, "state"), "actor",
			      text(row, "actor"));
	if (reason != REASON_NONE) {
		json_object_set_new(j, "reason", json_string(reason_word(reason)));
		json_object_set_new(j, "meaning", json_string(reason_meaning(reason)));
		json_object_set_new(j, "fix", json_string(reason_mend(reason)));
	}
	if (json_object_get(row, "detail"))
		json_object_set(j, "detail", json_object_get(row, "detail"));
	return j;
}

static struct err each(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct telling *t = ctx;
	json_t *row = json_loadb((const char *)bytes, n, 0, NULL);
	int64_t time = json_integer_value(json_object_get(row, "time"));
	if (row && time <= t->at_ns) {
		if (strcmp(t->state, text(row, "state")) != 0)
			t->since_ns = time;
		snprintf(t->state, sizeof t->state, "%s", text(row, "state"));
		snprintf(t->reason, sizeof t->reason, "%s", text(row, "reason"));
		if (t->list)
			json_array_append_new(t->list, for_people(row));
	}
	json_decref(row);
	return OK;
}

static void tell(const struct keep *k, const char *id, struct telling *t)
{
	char prefix[KEEP_KEY_MAX];
	snprintf(prefix, sizeof prefix, "%s/", id);
	err_ignore(keep_scan_prefix(k, table, prefix, each, t));
}

json_t *device_story(const struct keep *k, const char *id, int64_t at_ns)
{
	struct telling t = {.at_ns = at_ns, .list = json_array()};
	tell(k, id, &t);
	return t.list;
}

bool device_state_at(const struct keep *k, const char *id, int64_t at_ns, enum device_state *state,
		     enum reason *reason, int64_t *since_ns)
{
	struct telling t = {.at_ns = at_ns};
	tell(k, id, &t);
	if (!t.state[0] || !device_state_by_name(t.state, state))
		return false;
	*reason = by_word(t.reason);
	*since_ns = t.since_ns;
	return true;
}
