// SPDX-License-Identifier: Apache-2.0
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdlib.h>

int64_t now_of(const struct management *m)
{
	return (m->frozen_ns ? m->frozen_ns : clock_wall_ns()) + m->skew_ns;
}

void time_text(int64_t ns, char out[40])
{
	clock_format(ns, out);
}

json_t *time_or_null(int64_t ns)
{
	char at[CLOCK_TEXT_MAX];
	return ns ? json_string(clock_format(ns, at)) : json_null();
}

void clean_text(char *out, size_t size, const char *in)
{
	size_t n = 0;
	for (; in && in[n] && n + 1 < size; n++)
		out[n] = in[n] >= ' ' && in[n] <= '~' ? in[n] : '?';
	out[n] = 0;
}

void tell(struct management *m, const char *type, const char *subject, json_t *body,
	  const char *class_name)
{
	json_object_set_new(body, "time", time_or_null(now_of(m)));
	char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	struct err e = text ? process_event(m->p, type, subject, text, class_name)
			    : err_make(ERR_LIMIT, "out of memory");
	free(text);
	if (e.code != ERR_NONE)
		log_debug("event %s was not sent: %s", type, e.text);
}
