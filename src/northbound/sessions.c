// SPDX-License-Identifier: Apache-2.0
#include "northbound/sessions.h"

#include "lib/base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct source {
	char address[48];
	struct bucket bucket;
	int64_t last_ns;
};

struct sessions {
	struct session items[SESSIONS_MAX];
	struct source sources[SOURCES_MAX];
};

bool bucket_take(struct bucket *b, double rate, double burst, int64_t now_ns, unsigned *wait_s)
{
	if (b->filled_ns == 0)
		b->level = burst;
	else
		b->level += rate * (double)(now_ns - b->filled_ns) / (double)NS_PER_S;
	b->filled_ns = now_ns;
	if (b->level > burst)
		b->level = burst;
	if (b->level >= 1) {
		b->level -= 1;
		return true;
	}
	*wait_s = (unsigned)((1 - b->level) / rate) + 1;
	return false;
}

struct sessions *sessions_new(void)
{
	return calloc(1, sizeof(struct sessions));
}

void sessions_free(struct sessions *s)
{
	if (s)
		secret_zero(s, sizeof *s);
	free(s);
}

struct session *sessions_any(struct sessions *s, const uint8_t hash[32])
{
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		if (s->items[i].used && memcmp(s->items[i].hash, hash, 32) == 0)
			return &s->items[i];
	return NULL;
}

struct session *sessions_find(struct sessions *s, const uint8_t hash[32], int64_t now_ns)
{
	struct session *found = sessions_any(s, hash);
	if (!found || found->until_ns <= now_ns)
		return NULL;
	found->last_ns = now_ns;
	return found;
}

struct err sessions_put(struct sessions *s, const uint8_t hash[32], const uint8_t *ticket, size_t n,
			int64_t until_ns, struct session **out)
{
	struct session *to = sessions_any(s, hash);
	ENSURE(n <= SESSION_TICKET_MAX, ERR_PEER, "ticket of %zu bytes; at most %d", n,
	       SESSION_TICKET_MAX);
	for (unsigned i = 0; !to && i < SESSIONS_MAX; i++)
		if (!s->items[i].used)
			to = &s->items[i];
	for (unsigned i = 0; !to && i < SESSIONS_MAX; i++)
		if (!s->items[i].running && !s->items[i].streams)
			to = &s->items[i];
	ENSURE(to, ERR_LIMIT, "all %d sessions are busy", SESSIONS_MAX);
	for (unsigned i = 0; i < SESSIONS_MAX && to->used && memcmp(to->hash, hash, 32) != 0; i++) {
		struct session *c = &s->items[i];
		if (!c->running && !c->streams && c->last_ns < to->last_ns)
			to = c;
	}
	if (!to->used || memcmp(to->hash, hash, 32) != 0)
		*to = (struct session){.used = true};
	memcpy(to->hash, hash, 32);
	memcpy(to->ticket, ticket, n);
	to->ticket_len = n;
	to->until_ns = until_ns;
	to->known = false;
	*out = to;
	return OK;
}

void sessions_drop(struct sessions *s, const uint8_t hash[32])
{
	struct session *found = sessions_any(s, hash);
	if (!found)
		return;
	found->until_ns = 0;
	found->known = false;
	secret_zero(found->ticket, sizeof found->ticket);
	found->ticket_len = 0;
	found->used = found->running || found->streams; // counted down by those who hold it
}

bool sessions_source(struct sessions *s, const char *source, int64_t now_ns, unsigned *wait_s)
{
	struct source *to = &s->sources[0];
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		struct source *c = &s->sources[i];
		if (c->address[0] && strcmp(c->address, source) == 0) {
			to = c;
			break;
		}
		if (c->last_ns < to->last_ns)
			to = c; // the longest unused: its bucket is the fullest
	}
	if (strcmp(to->address, source) != 0) {
		*to = (struct source){0};
		strncpy(to->address, source, sizeof to->address - 1);
	}
	to->last_ns = now_ns;
	return bucket_take(&to->bucket, SOURCE_RATE, SOURCE_BURST, now_ns, wait_s);
}

static const char *token(const char *text, size_t n)
{
	if (n == 0 || n > SESSION_TOKEN_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		char c = text[i], low = c | 0x20;
		if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && !strchr("-._~+/=", c))
			return NULL;
	}
	return text;
}

const char *session_bearer(const char *header, size_t *n)
{
	if (!header || strncasecmp(header, "Bearer ", 7) != 0)
		return NULL;
	*n = strlen(header + 7);
	return token(header + 7, *n);
}

const char *session_cookie(const char *header, size_t *n)
{
	static const char name[] = "gemel_session=";
	const char *found = NULL;
	while (header && *header) {
		header += strspn(header, " ");
		size_t len = strcspn(header, ";");
		if (strncmp(header, name, sizeof name - 1) == 0) {
			if (found) // twice: someone else has set one; believe neither
				return NULL;
			found = header + sizeof name - 1;
			*n = len - (sizeof name - 1);
		}
		header += len + (header[len] == ';');
	}
	return found ? token(found, *n) : NULL;
}
