// SPDX-License-Identifier: Apache-2.0
// Lists, alike everywhere: `filter` by text, `cursor` after the last item's key, `limit`, `fields`.
#include "management/api.h"

#include "lib/ipc/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LIMIT = 1000 };

static bool contains(const json_t *item, const char *filter)
{
	char *text = json_dumps(item, JSON_COMPACT | JSON_ENCODE_ANY);
	bool found = text && strcasestr(text, filter);
	free(text);
	return found;
}

static void only(json_t *item, const char *fields)
{
	const char *key;
	json_t *value;
	void *next;
	json_object_foreach_safe(item, next, key, value)
	{
		size_t n = strlen(key);
		bool wanted = false;
		for (const char *at = fields; at && *at; at = strchr(at, ','), at += at != NULL)
			wanted |= strncmp(at, key, n) == 0 && (at[n] == ',' || at[n] == 0);
		if (!wanted)
			json_object_del(item, key);
	}
}

static const char *key_of(const json_t *item, const char *key)
{
	const char *s = json_string_value(json_object_get(item, key));
	return s ? s : "";
}

struct err listed(struct request *q, json_t *all, const char *key)
{
	const char *filter = answer_text(q->r, "filter"), *cursor = answer_text(q->r, "cursor");
	const char *fields = answer_text(q->r, "fields");
	int64_t limit = answer_number(q->r, "limit", LIMIT);
	json_t *items = json_array(), *item;
	char next[256] = "";
	bool after = !cursor, more = false;
	size_t i;
	json_array_foreach(all, i, item)
	{
		if (!after) { // the item may have gone, but lists in the order of keys go on after
			      // it
			after = strcmp(key_of(item, key), cursor) == 0;
			continue;
		}
		if (filter && !contains(item, filter))
			continue;
		more = (int64_t)json_array_size(items) >= limit;
		if (more)
			break;
		snprintf(next, sizeof next, "%s", key_of(item, key));
		if (fields)
			only(item, fields);
		json_array_append(items, item);
	}
	json_decref(all);
	if (!after) {
		json_decref(items);
		return err_make(ERR_USAGE,
				"cursor: \"%.64s\" is not in the list any more; ask from its "
				"beginning",
				cursor);
	}
	q->body = json_pack("{s:o,s:o}", "items", items, "next",
			    more ? json_string(next) : json_null());
	return OK;
}
