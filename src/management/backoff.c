// SPDX-License-Identifier: Apache-2.0
// Failures are counted for the pair of account and source, for the account and for the source. The
// pair waits soonest, so that a guesser is slowed at once; the account alone waits late and
// shortly, so that nobody can lock another out for long. X.2011 8.3.3-1, 8.3.3-10.

#include "management/sessions.h"

#include "lib/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 2048, PER_S = 5, BURST = 10, FORGET_S = 3600 };

static const struct {
	unsigned free_tries, longest_s;
} kinds[] = {
	{3, 900},  // pair
	{20, 30},  // account
	{30, 300}, // source
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct place {
	char name[160]; // kind, account, source
	unsigned failures;
	int64_t last_ns;
};

struct backoff {
	struct place items[PLACES];
	double level; // of password checks that may be paid for
	int64_t filled_ns;
};

struct backoff *backoff_new(void)
{
	struct backoff *b = calloc(1, sizeof *b);
	if (b)
		b->level = BURST;
	return b;
}

void backoff_free(struct backoff *b)
{
	free(b);
}

static void name_of(int kind, const char *account, const char *source, char out[160])
{
	snprintf(out, 160, "%d %.64s %.64s", kind, kind == 2 ? "" : account,
		 kind == 1 ? "" : source);
}

static struct place *find(struct backoff *b, const char *name)
{
	for (size_t i = 0; i < PLACES; i++)
		if (strcmp(b->items[i].name, name) == 0)
			return &b->items[i];
	return NULL;
}

static unsigned wait_of(int kind, const struct place *p, int64_t now_ns)
{
	if (!p || p->failures < kinds[kind].free_tries)
		return 0;
	unsigned beyond = p->failures - kinds[kind].free_tries;
	int64_t wait = beyond > 20 ? kinds[kind].longest_s : (int64_t)1 << beyond;
	if (wait > kinds[kind].longest_s)
		wait = kinds[kind].longest_s;
	int64_t left = p->last_ns + wait * NS_PER_S - now_ns;
	return left > 0 ? (unsigned)((left + NS_PER_S - 1) / NS_PER_S) : 0;
}

unsigned backoff_wait(struct backoff *b, const char *account, const char *source, int64_t now_ns)
{
	unsigned most = 0;
	char name[160];
	for (int kind = 0; kind < KINDS; kind++) {
		name_of(kind, account, source, name);
		unsigned wait = wait_of(kind, find(b, name), now_ns);
		most = wait > most ? wait : most;
	}
	return most;
}

// Its place, or a free one, or the longest unused.
static struct place *place_for(struct backoff *b, const char *name)
{
	struct place *found = find(b, name);
	for (size_t i = 0; i < PLACES && !found; i++)
		if (!b->items[i].name[0])
			found = &b->items[i];
	if (found)
		return found;
	found = &b->items[0];
	for (size_t i = 1; i < PLACES; i++)
		if (b->items[i].last_ns < found->last_ns)
			found = &b->items[i];
	return found;
}

void backoff_failed(struct backoff *b, const char *account, const char *source, int64_t now_ns)
{
	char name[160];
	for (int kind = 0; kind < KINDS; kind++) {
		name_of(kind, account, source, name);
		struct place *p = place_for(b, name);
		if (strcmp(p->name, name) != 0 || now_ns - p->last_ns > FORGET_S * NS_PER_S)
			*p = (struct place){0};
		memcpy(p->name, name, sizeof p->name);
		p->failures++;
		p->last_ns = now_ns;
	}
}

void backoff_succeeded(struct backoff *b, const char *account, const char *source)
{
	char name[160];
	name_of(0, account, source, name);
	struct place *p = find(b, name);
	if (p)
		*p = (struct place){0};
}

bool backoff_spend(struct backoff *b, int64_t now_ns)
{
	if (b->filled_ns && now_ns > b->filled_ns)
		b->level += PER_S * (double)(now_ns - b->filled_ns) / (double)NS_PER_S;
	b->filled_ns = now_ns;
	if (b->level > BURST)
		b->level = BURST;
	if (b->level < 1)
		return false;
	b->level -= 1;
	return true;
}
