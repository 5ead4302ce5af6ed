// SPDX-License-Identifier: Apache-2.0
// Refusals, counted by kind, subject and reason: the first in a minute is recorded at once, those
// that follow make one record when the minute is over. So nobody can fill the ledger by being
// refused. When the table is full the rest is counted together. X.2011 8.3.3-9.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 512, MINUTE_S = 60 };

struct place {
	char kind[48], subject[80], reason[48], source[80]; // kind "": free
	uint64_t more;
	int64_t first_ns, last_ns;
};

struct denials {
	struct place items[PLACES + 1]; // the last: all that found no place
};

struct err denials_start(struct management *m)
{
	m->denials = calloc(1, sizeof *m->denials);
	ENSURE(m->denials, ERR_LIMIT, "no memory for refusals");
	return OK;
}

void denials_stop(struct management *m)
{
	free(m->denials);
	m->denials = NULL;
}

static void name(struct place *p, const char *kind, const char *subject, const char *reason,
		 const char *source)
{
	*p = (struct place){0};
	snprintf(p->kind, sizeof p->kind, "%s", kind);
	snprintf(p->subject, sizeof p->subject, "%s", subject);
	snprintf(p->reason, sizeof p->reason, "%s", reason);
	snprintf(p->source, sizeof p->source, "%s", source);
}

static struct place *find(struct denials *d, const char *kind, const char *subject,
			  const char *reason, bool *found)
{
	struct place *free_one = NULL;
	*found = true;
	for (size_t i = 0; i < PLACES; i++) {
		struct place *p = &d->items[i];
		if (p->kind[0] && !strcmp(p->kind, kind) && !strcmp(p->reason, reason) &&
		    !strcmp(p->subject, subject))
			return p;
		if (!p->kind[0] && !free_one)
			free_one = p;
	}
	*found = false;
	return free_one ? free_one : &d->items[PLACES];
}

bool denial(struct management *m, const char *kind, const char *subject, const char *reason,
	    const char *source, const char *detail)
{
	bool found;
	char shown[256], from[80], who[80], why[48];
	int64_t now = now_of(m);
	clean_text(shown, sizeof shown, detail);
	clean_text(from, sizeof from, source);
	clean_text(who, sizeof who, subject);
	clean_text(why, sizeof why, reason);
	struct place *p = find(m->denials, kind, who, why, &found);
	m->refused++;
	if (found || (p == &m->denials->items[PLACES] && p->kind[0])) {
		p->more++;
		p->last_ns = now;
		return false;
	}
	bool rest = p == &m->denials->items[PLACES];
	name(p, kind, rest ? "(many)" : who, rest ? "many" : why, from);
	p->first_ns = p->last_ns = now;
	record(m, kind, p->subject, "management",
	       json_pack("{s:s,s:s,s:s}", "reason", p->reason, "source", from, "detail", shown));
	return true;
}

static void close_minute(struct management *m, struct place *p)
{
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	if (p->more)
		record(m, p->kind, p->subject, "management",
		       json_pack("{s:s,s:s,s:I,s:s,s:s}", "reason", p->reason, "source", p->source,
				 "more", (json_int_t)p->more, "from",
				 clock_format(p->first_ns, from), "to",
				 clock_format(p->last_ns, to)));
	*p = (struct place){0};
}

void denials_tick(struct management *m)
{
	int64_t now = now_of(m);
	bool any = false;
	for (size_t i = 0; i <= PLACES; i++) {
		struct place *p = &m->denials->items[i];
		if (!p->kind[0] || (now - p->first_ns < MINUTE_S * NS_PER_S && now >= p->first_ns))
			continue;
		any |= p->more > 0;
		close_minute(m, p);
	}
	if (!any)
		return;
	struct err e = commit(m);
	if (e.code != ERR_NONE)
		log_error("refusals were not recorded: %s", e.text);
}
