// SPDX-License-Identifier: Apache-2.0
#include "management/sessions.h"

#include "lib/base/clock.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char table[] = "session";

struct sessions {
	struct keep *keep;
	size_t n;
	struct session items[SESSIONS_MAX];
};

int64_t session_until(const struct session *s)
{
	return s->created_ns + SESSION_LIFE_S * NS_PER_S;
}

static bool over(const struct session *s, int64_t now_ns)
{
	return session_until(s) <= now_ns || s->seen_ns + SESSION_IDLE_S * NS_PER_S <= now_ns;
}

struct loading {
	struct sessions *s;
	int64_t now_ns;
};

static struct err load_one(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct loading *l = ctx;
	struct session s = {.seen_ns = l->now_ns};
	json_t *j = json_loadb((const char *)bytes, n, 0, NULL);
	const char *id = json_string_value(json_object_get(j, "id"));
	const char *account = json_string_value(json_object_get(j, "account"));
	const char *source = json_string_value(json_object_get(j, "source"));
	bool good = id && account && source && hash_unhex(key, s.hash, sizeof s.hash) &&
		    strlen(id) < sizeof s.id && strlen(account) < sizeof s.account;
	if (good) {
		snprintf(s.id, sizeof s.id, "%s", id);
		snprintf(s.account, sizeof s.account, "%s", account);
		snprintf(s.source, sizeof s.source, "%s", source);
		s.created_ns = json_integer_value(json_object_get(j, "created"));
	}
	json_decref(j);
	ENSURE(good, ERR_CORRUPT, "a session is stored wrongly");
	if (l->s->n < SESSIONS_MAX)
		l->s->items[l->s->n++] = s;
	return OK;
}

struct err sessions_load(struct keep *k, int64_t now_ns, struct sessions **out)
{
	struct sessions *s = calloc(1, sizeof *s);
	ENSURE(s, ERR_LIMIT, "no memory for sessions");
	s->keep = k;
	struct loading l = {s, now_ns};
	struct err e = keep_scan(k, table, load_one, &l);
	if (e.code != ERR_NONE) {
		free(s);
		return e;
	}
	*out = s;
	return OK;
}

void sessions_free(struct sessions *s)
{
	free(s);
}

static void key_of(const struct session *s, char key[HASH_HEX])
{
	hash_hex(s->hash, sizeof s->hash, key);
}

static void forget(struct sessions *s, struct session *which)
{
	*which = s->items[--s->n];
}

// Whom a newcomer replaces: the longest unused of his own account, else of all.
static struct session *oldest(struct sessions *s, const char *account)
{
	struct session *found = NULL;
	for (size_t i = 0; i < s->n; i++) {
		struct session *c = &s->items[i];
		if (account && strcmp(c->account, account) != 0)
			continue;
		if (!found || c->seen_ns < found->seen_ns)
			found = c;
	}
	return found;
}

struct err sessions_new(struct sessions *s, const char *account, const char *source, int64_t now_ns,
			char token[SESSION_TOKEN_TEXT], struct session **out)
{
	uint8_t secret[SESSION_TOKEN_BYTES], id[16];
	char key[HASH_HEX];
	struct session new = {.created_ns = now_ns, .seen_ns = now_ns};
	TRY(random_bytes(secret, sizeof secret));
	TRY(random_bytes(id, sizeof id));
	hash_hex(secret, sizeof secret, token);
	secret_zero(secret, sizeof secret);
	hash_hex(id, sizeof id, new.id);
	hash_sha256(token, strlen(token), new.hash);
	snprintf(new.account, sizeof new.account, "%s", account);
	snprintf(new.source, sizeof new.source, "%s", source);
	struct session *gone = sessions_count(s, account) >= SESSIONS_OF_ONE ? oldest(s, account)
			       : s->n == SESSIONS_MAX			     ? oldest(s, NULL)
									     : NULL;
	if (gone) {
		key_of(gone, key);
		keep_delete(s->keep, table, key);
	}
	key_of(&new, key);
	json_t *j = json_pack("{s:s,s:s,s:s,s:I}", "id", new.id, "account", new.account, "source",
			      new.source, "created", (json_int_t) new.created_ns);
	keep_put_json(s->keep, table, key, j);
	json_decref(j);
	TRY(keep_commit(s->keep));
	if (gone)
		forget(s, gone);
	s->items[s->n] = new;
	*out = &s->items[s->n++];
	return OK;
}

struct session *sessions_find(struct sessions *s, const uint8_t hash[32], int64_t now_ns)
{
	for (size_t i = 0; i < s->n; i++)
		if (secret_equal(s->items[i].hash, hash, 32)) {
			if (over(&s->items[i], now_ns))
				return NULL;
			s->items[i].seen_ns = now_ns;
			return &s->items[i];
		}
	return NULL;
}

struct session *sessions_by_id(struct sessions *s, const char *id)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->items[i].id, id) == 0)
			return &s->items[i];
	return NULL;
}

size_t sessions_count(const struct sessions *s, const char *account)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += !account || strcmp(s->items[i].account, account) == 0;
	return n;
}

struct err sessions_end(struct sessions *s, sessions_pick_fn which, const void *pick_ctx,
			sessions_ended_fn ended, void *ctx)
{
	char key[HASH_HEX];
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		if (which(&s->items[i], pick_ctx)) {
			key_of(&s->items[i], key);
			keep_delete(s->keep, table, key);
			n++;
		}
	if (!n)
		return OK;
	TRY(keep_commit(s->keep));
	for (size_t i = 0; i < s->n;) {
		if (!which(&s->items[i], pick_ctx)) {
			i++;
			continue;
		}
		if (ended)
			ended(ctx, &s->items[i]);
		forget(s, &s->items[i]);
	}
	return OK;
}

static bool is_over(const struct session *s, const void *ctx)
{
	return over(s, *(const int64_t *)ctx);
}

struct err sessions_expire(struct sessions *s, int64_t now_ns, sessions_ended_fn ended, void *ctx)
{
	return sessions_end(s, is_over, &now_ns, ended, ctx);
}
