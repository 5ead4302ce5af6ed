// SPDX-License-Identifier: Apache-2.0
// The checks in their order: form, this device, now, this plan, who (verify_people.c), written
// (verify_ledger.c), and last that nothing else in the envelope is other than what was signed. The
// general check is the last so that each attack is refused for what it is. X.2011 8.2.1-4, 8.2.3-4.
#include "lib/instruction/internal.h"

#include <inttypes.h>
#include <string.h>

// --- form

static struct err read_signed(const Signed *s, const char *what)
{
	ENSURE(s->body.len > 0 && message_is(s->key_id, SIGN_KEY_ID) && s->signature.len > 0 &&
		       s->signature.len <= SIGN_MAX,
	       ERR_PEER, "%s: no body, key id or signature of a possible length", what);
	return OK;
}

static struct err read_delivery(struct check *c)
{
	Delivery *d;
	ENSURE(c->envelope->delivery && c->envelope->ledger, ERR_PEER,
	       "envelope: no delivery, or no ledger part");
	TRY(read_signed(c->envelope->delivery, "delivery"));
	TRY(message_read(&gemel__control__v1__delivery__descriptor,
			 c->envelope->delivery->body.data, c->envelope->delivery->body.len,
			 INSTRUCTION_ENVELOPE_MAX, c->arena, &d));
	ENSURE(message_is(d->plan_digest, HASH_SIZE) && message_is(d->parts_digest, HASH_SIZE) &&
		       message_is(d->nonce, INSTRUCTION_NONCE) &&
		       message_is(d->verdict_digest, c->plan->break_glass ? 0 : HASH_SIZE),
	       ERR_PEER, "delivery: a digest or nonce of the wrong length");
	ENSURE(d->sequence > 0 && d->time_ns > 0, ERR_PEER, "delivery: no sequence, or no time");
	c->delivery = d;
	return OK;
}

static struct err read_people(const struct check *c)
{
	const Envelope *v = c->envelope;
	ENSURE(!v->verdict || !c->plan->break_glass, ERR_PEER,
	       "envelope: a verdict under break-glass");
	if (v->verdict)
		TRY(read_signed(v->verdict, "verdict"));
	ENSURE(v->n_approvals <= INSTRUCTION_APPROVALS_MAX, ERR_PEER,
	       "envelope: at most %d approvals", INSTRUCTION_APPROVALS_MAX);
	for (size_t i = 0; i < v->n_approvals; i++)
		TRY(read_signed(v->approvals[i], "approval"));
	return OK;
}

static struct err read_all(struct check *c, const uint8_t *envelope, size_t envelope_len,
			   const uint8_t *plan, size_t plan_len)
{
	TRY(instruction_plan_read(plan, plan_len, c->arena, &c->plan));
	TRY(message_read(&gemel__control__v1__envelope__descriptor, envelope, envelope_len,
			 INSTRUCTION_ENVELOPE_MAX, c->arena, &c->envelope));
	TRY(read_delivery(c));
	TRY(read_people(c));
	c->out->plan = c->plan;
	return OK;
}

// --- this device

static struct err check_bundle(const struct check *c)
{
	enum instruction_reason *why = &c->out->reason;
	const TrustBundle *t = c->bundle->message;
	CHECK(why, strcmp(t->domain, c->state->domain) == 0, BUNDLE_DOMAIN, "of domain %s, not %s",
	      t->domain, c->state->domain);
	CHECK(why, c->now_ns >= t->from_ns, BUNDLE_NOT_YET, "version %" PRIu64, t->version);
	CHECK(why, c->now_ns < t->until_ns, BUNDLE_EXPIRED, "version %" PRIu64, t->version);
	return OK;
}

static struct err check_device(const struct check *c)
{
	enum instruction_reason *why = &c->out->reason;
	const Plan *p = c->plan;
	CHECK(why, strcmp(p->device, c->state->device) == 0, WRONG_DEVICE, "for %s, and this is %s",
	      p->device, c->state->device);
	CHECK(why, strcmp(p->domain, c->state->domain) == 0, WRONG_DOMAIN,
	      "in domain %s, and this is %s", p->domain, c->state->domain);
	CHECK(why, p->created_ns <= c->now_ns + INSTRUCTION_SKEW_NS, NOT_YET,
	      "made %" PRId64 " ms from now", (p->created_ns - c->now_ns) / 1000000);
	CHECK(why, c->now_ns < p->expires_ns, EXPIRED, "%" PRId64 " ms ago",
	      (c->now_ns - p->expires_ns) / 1000000);
	return OK;
}

// --- now

static struct err check_nonce(const struct check *c)
{
	enum instruction_reason *why = &c->out->reason;
	const struct instruction_device *s = c->state;
	size_t found = s->n_nonces;
	for (size_t i = 0; i < s->n_nonces; i++)
		if (secret_equal(s->nonces[i].bytes, c->delivery->nonce.data, INSTRUCTION_NONCE))
			found = i;
	CHECK(why, found < s->n_nonces, NONCE_UNKNOWN, "%zu are outstanding", s->n_nonces);
	int64_t age = found < s->n_nonces ? c->now_ns - s->nonces[found].given_ns : 0;
	// A clock that went back makes a nonce no younger than it is: not below zero either.
	CHECK(why, age >= 0 && age <= INSTRUCTION_NONCE_LIFE_NS, NONCE_EXPIRED,
	      "%" PRId64 " ms old", age / 1000000);
	CHECK(why, c->delivery->sequence > s->sequence, SEQUENCE_REPLAYED,
	      "%" PRIu64 "; the last one was %" PRIu64, c->delivery->sequence, s->sequence);
	c->out->nonce = found;
	c->out->sequence = c->delivery->sequence;
	return OK;
}

// --- this plan, and who delivers it

static struct err check_plan(const struct check *c)
{
	enum instruction_reason *why = &c->out->reason;
	const struct instruction_device *s = c->state;
	CHECK(why, message_equal(c->delivery->plan_digest, c->out->plan_digest, HASH_SIZE),
	      DIGEST_MISMATCH, "plan %s", c->plan->id);
	for (size_t i = 0; i < s->n_applied; i++)
		CHECK(why, memcmp(s->applied[i], c->out->plan_digest, HASH_SIZE) != 0,
		      ALREADY_APPLIED, "plan %s", c->plan->id);
	return OK;
}

static struct err control_signature(const struct check *c)
{
	const TrustBundle *t = c->bundle->message;
	const Signed *s = c->envelope->delivery;
	for (size_t i = 0; i < t->n_control_keys; i++)
		if (key_is(t->control_keys[i], s->key_id)) {
			ENSURE(key_current(t->control_keys[i], c->now_ns), ERR_AUTH,
			       "its key is not valid now");
			return key_check(t->control_keys[i], INSTRUCTION_DELIVERY, s);
		}
	return err_make(ERR_AUTH, "by no control key of bundle version %" PRIu64, t->version);
}

static struct err check_control(const struct check *c)
{
	struct err e = control_signature(c);
	CHECK(&c->out->reason, e.code == ERR_NONE, CONTROL_SIGNATURE, "%s", e.text);
	return OK;
}

static struct err check_class(struct check *c)
{
	enum instruction_reason *why = &c->out->reason;
	const TrustBundle *t = c->bundle->message;
	static const ClassRule none = GEMEL__CONTROL__V1__CLASS_RULE__INIT;
	for (size_t i = 0; i < t->n_classes; i++)
		if (strcmp(t->classes[i]->name, c->plan->class_) == 0)
			c->rule = t->classes[i];
	CHECK(why, c->rule, CLASS_UNKNOWN, "%s", c->plan->class_);
	if (!c->rule)
		c->rule = &none;
	for (size_t i = 0; i < c->plan->n_changes; i++) {
		int kind = (int)c->plan->changes[i]->change_case;
		CHECK(why,
		      (kind == GEMEL__CONTROL__V1__CHANGE__CHANGE_ACL && c->rule->acl) ||
			      (kind == GEMEL__CONTROL__V1__CHANGE__CHANGE_ROUTE &&
			       c->rule->route) ||
			      (kind == GEMEL__CONTROL__V1__CHANGE__CHANGE_INTERFACE &&
			       c->rule->interface),
		      CLASS_EXCEEDED, "class %s: change %zu is of a kind that it does not allow",
		      c->plan->class_, i);
	}
	return OK;
}

// --- the rest of the envelope

static struct err check_parts(const struct check *c)
{
	uint8_t digest[HASH_SIZE] = {0};
	struct err e = OK;
	parts_digest(c->envelope, c->arena, digest, &e);
	TRY(e);
	CHECK(&c->out->reason, message_equal(c->delivery->parts_digest, digest, HASH_SIZE),
	      ENVELOPE_ALTERED, "plan %s", c->plan->id);
	return OK;
}

struct err instruction_verify(const struct instruction_device *state,
			      const struct instruction_bundle *bundle, const uint8_t *envelope,
			      size_t envelope_len, const uint8_t *plan, size_t plan_len,
			      int64_t now_ns, struct arena *a, struct instruction_result *out)
{
	struct check c = {
		.state = state, .bundle = bundle, .now_ns = now_ns, .arena = a, .out = out};
	memset(out, 0, sizeof *out);
	out->reason = INSTRUCTION_MALFORMED;
	struct err e = read_all(&c, envelope, envelope_len, plan, plan_len);
	if (e.code != ERR_NONE)
		return reason_refuse(&out->reason, INSTRUCTION_MALFORMED, "%s", e.text);
	instruction_plan_digest(plan, plan_len, out->plan_digest);
	out->break_glass = c.plan->break_glass;
	TRY(check_bundle(&c));
	TRY(check_device(&c));
	TRY(check_nonce(&c));
	TRY(check_plan(&c));
	TRY(check_control(&c));
	TRY(check_class(&c));
	TRY(check_people(&c));
	TRY(check_ledger(&c));
	TRY(check_parts(&c));
	out->reason = INSTRUCTION_GOOD;
	return OK;
}
