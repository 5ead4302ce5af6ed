// SPDX-License-Identifier: Apache-2.0
// Enrolment tokens: gemel1.<device>.<id>.<secret>.<SHA-256 of the authority's key>. The secret is
// kept (sealed, as all of the state), because the proof is an HMAC with it; it goes when the token
// is spent or over. What was spent is remembered for SPENT_DAYS, so that "used" can be told from
// "unknown". X.2011 8.1.1-2, 8.2.1-4.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char table[] = "token";
enum { SECRET_BYTES = 32, ID_BYTES = 8, TOKENS_MAX = 20000 };
#define SPENT_NS (30 * 86400LL * NS_PER_S)

static void put(struct management *m, const char *id, const char *device, const char *secret,
		int64_t until_ns, bool spent, int64_t life_s)
{
	json_t *row = json_pack("{s:s,s:s,s:I,s:b,s:I}", "device", device, "secret",
				spent ? "" : secret, "until", (json_int_t)until_ns, "spent", spent,
				"life", (json_int_t)life_s);
	keep_put_json(m->keep, table, id, row);
	json_decref(row);
}

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

struct err token_make(struct management *m, struct device *d, const char *actor, int64_t life_s,
		      char out[TOKEN_TEXT_MAX], int64_t *until_ns)
{
	uint8_t id_bytes[ID_BYTES], secret_bytes_[SECRET_BYTES];
	char id[2 * ID_BYTES + 1], secret[2 * SECRET_BYTES + 1], until[CLOCK_TEXT_MAX];
	ENSURE(authority_ready(m), ERR_BUSY, "the authority is not there yet: keys is starting");
	ENSURE(!d->target, ERR_USAGE, "%s is a standard gNMI target: it cannot be enrolled", d->id);
	ENSURE(keep_count(m->keep, table) < TOKENS_MAX, ERR_LIMIT, "%d tokens are out", TOKENS_MAX);
	TRY(random_bytes(id_bytes, sizeof id_bytes));
	TRY(random_bytes(secret_bytes_, sizeof secret_bytes_));
	hash_hex(id_bytes, sizeof id_bytes, id);
	hash_hex(secret_bytes_, sizeof secret_bytes_, secret);
	secret_zero(secret_bytes_, sizeof secret_bytes_);
	*until_ns = now_of(m) + TOKEN_LIFE_S * NS_PER_S;
	tokens_void(m, d->id); // one at a time
	put(m, id, d->id, secret, *until_ns, false, life_s);
	struct device changed = *d;
	struct change c = {.step = "invited",
			   .to = d->state,
			   .reason = d->reason,
			   .actor = actor,
			   .reason_detail = d->reason_detail,
			   .detail = json_pack("{s:s,s:s}", "token", id, "until",
					       clock_format(*until_ns, until))};
	if (d->state == DEVICE_UNKNOWN || d->state == DEVICE_REVOKED) {
		c.to = DEVICE_INVITED;
		c.reason = REASON_NONE;
	}
	if (d->state == DEVICE_REVOKED)
		changed.enrolled = false; // another TPM may come
	struct err e = inventory_change(m, d, &changed, &c);
	if (e.code == ERR_NONE)
		snprintf(out, TOKEN_TEXT_MAX, "gemel1.%s.%s.%s.%s", d->id, id, secret,
			 authority_pin(m));
	secret_zero(secret, sizeof secret);
	return e;
}

struct verdict token_check(struct management *m, const char *id, const char *device,
			   const uint8_t *body, size_t n, const uint8_t *proof, size_t proof_len)
{
	json_t *row = keep_get_json(m->keep, table, id);
	struct verdict v = verdict_good();
	bool spent = json_is_true(json_object_get(row, "spent"));
	int64_t until = json_integer_value(json_object_get(row, "until"));
	if (!row)
		v = verdict_bad(REASON_TOKEN_UNKNOWN, "there is no token %.64s", id);
	else if (spent) // its secret is gone: anyone may learn that it was used
		v = verdict_bad(REASON_TOKEN_USED, "token %.64s was for %.64s", id,
				text(row, "device"));
	else if (!evidence_token_proof(text(row, "secret"), body, n, proof, proof_len))
		v = verdict_bad(REASON_TOKEN_UNKNOWN, "the proof was not made with token %.64s",
				id);
	else if (until <= now_of(m))
		v = verdict_bad(REASON_TOKEN_EXPIRED, "token %.64s", id);
	else if (strcmp(text(row, "device"), device) != 0)
		v = verdict_bad(REASON_TOKEN_OTHER_DEVICE, "token %.64s is for %.64s", id,
				text(row, "device"));
	json_decref(row);
	return v;
}

void token_spend(struct management *m, const char *id)
{
	json_t *row = keep_get_json(m->keep, table, id);
	if (row)
		put(m, id, text(row, "device"), "", now_of(m), true, 0);
	json_decref(row);
}

int64_t token_life(const struct management *m, const char *id)
{
	json_t *row = keep_get_json(m->keep, table, id);
	int64_t life_s = json_integer_value(json_object_get(row, "life"));
	json_decref(row);
	return life_s;
}

struct pick {
	struct management *m;
	const char *device; // NULL: those that are over
	bool any;
};

static struct err each(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct pick *p = ctx;
	json_t *row = json_loadb((const char *)bytes, n, 0, NULL);
	bool spent = json_is_true(json_object_get(row, "spent"));
	int64_t until = json_integer_value(json_object_get(row, "until")), now = now_of(p->m);
	if (p->device && !spent && strcmp(text(row, "device"), p->device) == 0)
		keep_delete(p->m->keep, table, key);
	if (!p->device && until < now - SPENT_NS) {
		keep_delete(p->m->keep, table, key);
		p->any = true;
	}
	json_decref(row);
	return OK;
}

void tokens_void(struct management *m, const char *device)
{
	struct pick p = {.m = m, .device = device};
	err_ignore(keep_scan(m->keep, table, each, &p));
}

void tokens_tick(struct management *m)
{
	struct pick p = {.m = m};
	err_ignore(keep_scan(m->keep, table, each, &p));
	if (p.any)
		err_ignore(keep_commit_lazily(m->keep));
}
