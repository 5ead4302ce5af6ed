// SPDX-License-Identifier: Apache-2.0
// Who: the models' verdict, and the approvers; or, under break-glass, the sealed credential alone.
#include "lib/instruction/internal.h"

#include <inttypes.h>
#include <string.h>

// --- the rehearsal

static struct err verdict_signature(const struct check *c)
{
	const TrustBundle *t = c->bundle->message;
	const Signed *s = c->envelope->verdict;
	for (size_t i = 0; i < t->n_verdict_keys; i++)
		if (key_is(t->verdict_keys[i], s->key_id)) {
			ENSURE(key_current(t->verdict_keys[i], c->now_ns), ERR_AUTH,
			       "its key is not valid now");
			return key_check(t->verdict_keys[i], INSTRUCTION_VERDICT, s);
		}
	return err_make(ERR_AUTH, "by no verdict key of bundle version %" PRIu64, t->version);
}

// What the verdict says, once it is known whose it is.
static struct err verdict_content(const struct check *c, const Verdict *v)
{
	enum instruction_reason *why = &c->out->reason;
	const ClassRule *r = c->rule;
	CHECK(why, message_equal(v->plan_digest, c->out->plan_digest, HASH_SIZE),
	      VERDICT_OTHER_PLAN, "this is plan %s", c->plan->id);
	CHECK(why, message_equal(c->delivery->verdict_digest, c->verdict_digest, HASH_SIZE),
	      VERDICT_OTHER_REVISION, "it is of revision %" PRIu64, v->twin_revision);
	CHECK(why, v->outcome == GEMEL__CONTROL__V1__VERDICT_OUTCOME__HARMLESS, VERDICT_NEGATIVE,
	      "%s",
	      v->outcome == GEMEL__CONTROL__V1__VERDICT_OUTCOME__HARMFUL ? "harmful"
									 : "inconclusive");
	CHECK(why,
	      v->time_ns <= c->now_ns + INSTRUCTION_SKEW_NS &&
		      v->time_ns >= c->now_ns - INSTRUCTION_VERDICT_LIFE_NS,
	      VERDICT_STALE, "%" PRId64 " s old", (c->now_ns - v->time_ns) / 1000000000);
	CHECK(why, v->devices <= r->devices && v->services <= r->services && v->users <= r->users,
	      RADIUS_EXCEEDED,
	      "%" PRIu64 " devices, %" PRIu64 " services, %" PRIu64
	      " users; class %s allows %" PRIu64 ", %" PRIu64 " and %" PRIu64,
	      v->devices, v->services, v->users, c->plan->class_, r->devices, r->services,
	      r->users);
	CHECK(why, message_equal(v->precondition, c->state->precondition, HASH_SIZE),
	      PRECONDITION_STALE, "it was rehearsed at revision %" PRIu64, v->twin_revision);
	c->out->twin_revision = v->twin_revision;
	memcpy(c->out->read_set, v->read_set.data, HASH_SIZE);
	return OK;
}

static struct err check_verdict(struct check *c)
{
	enum instruction_reason *why = &c->out->reason;
	const Signed *s = c->envelope->verdict;
	Verdict *v;
	CHECK(why, s, VERDICT_MISSING, "plan %s", c->plan->id);
	if (!s)
		return OK;
	struct err e = verdict_signature(c);
	CHECK(why, e.code == ERR_NONE, VERDICT_SIGNATURE, "%s", e.text);
	e = message_read(&gemel__control__v1__verdict__descriptor, s->body.data, s->body.len,
			 INSTRUCTION_ENVELOPE_MAX, c->arena, &v);
	if (e.code == ERR_NONE)
		e = verdict_check(v);
	if (e.code != ERR_NONE)
		return reason_refuse(why, INSTRUCTION_MALFORMED, "%s", e.text);
	instruction_digest(INSTRUCTION_VERDICT, s->body.data, s->body.len, c->verdict_digest);
	c->have_verdict = true;
	return verdict_content(c, v);
}

// --- approvals

static struct err read_approval(const struct check *c, const Signed *s, Approval **out)
{
	struct err e = message_read(&gemel__control__v1__approval__descriptor, s->body.data,
				    s->body.len, INSTRUCTION_ENVELOPE_MAX, c->arena, out);
	if (e.code == ERR_NONE)
		e = approval_check(*out);
	return e.code == ERR_NONE
		       ? OK
		       : reason_refuse(&c->out->reason, INSTRUCTION_MALFORMED, "%s", e.text);
}

// The one whose key it is, if the account is the same and both places name the key. NULL: nobody.
static const Approver *find(Approver *const *all, size_t n, const Signed *s, const Approval *v,
			    int64_t now_ns)
{
	for (size_t i = 0; i < n; i++)
		if (key_is(all[i]->key, s->key_id))
			return key_current(all[i]->key, now_ns) &&
					       message_equal(v->key_id, s->key_id.data,
							     s->key_id.len) &&
					       strcmp(all[i]->account, v->account) == 0
				       ? all[i]
				       : NULL;
	return NULL;
}

static bool may_approve(const Approver *a, const char *class)
{
	for (size_t i = 0; i < a->n_classes; i++)
		if (strcmp(a->classes[i], class) == 0)
			return true;
	return false;
}

static bool timely(const struct check *c, const Approval *v)
{
	return v->time_ns >= c->plan->created_ns - INSTRUCTION_SKEW_NS &&
	       v->time_ns <= c->now_ns + INSTRUCTION_SKEW_NS;
}

static struct err check_approval(struct check *c, const Signed *s, Approval **out)
{
	enum instruction_reason *why = &c->out->reason;
	const TrustBundle *t = c->bundle->message;
	Approval *v;
	TRY(read_approval(c, s, &v));
	const Approver *a = find(t->approvers, t->n_approvers, s, v, c->now_ns);
	CHECK(why, a, APPROVAL_UNKNOWN_KEY, "as %s", v->account);
	struct err e = a ? key_check(a->key, INSTRUCTION_APPROVAL, s) : OK;
	CHECK(why, e.code == ERR_NONE, APPROVAL_SIGNATURE, "of %s: %s", v->account, e.text);
	CHECK(why, message_equal(v->plan_digest, c->out->plan_digest, HASH_SIZE),
	      APPROVAL_OTHER_DIGEST, "by %s", v->account);
	CHECK(why, v->outcome == GEMEL__CONTROL__V1__APPROVAL_OUTCOME__APPROVED, APPROVAL_REFUSED,
	      "by %s", v->account);
	CHECK(why, strcmp(v->account, c->plan->requester) != 0, APPROVAL_OWN_REQUEST, "by %s",
	      v->account);
	CHECK(why, !a || may_approve(a, c->plan->class_), APPROVAL_CLASS, "%s, class %s",
	      v->account, c->plan->class_);
	CHECK(why, timely(c, v), APPROVAL_TIME, "by %s", v->account);
	*out = v;
	return OK;
}

static struct err check_approvals(struct check *c)
{
	enum instruction_reason *why = &c->out->reason;
	Approval *seen[INSTRUCTION_APPROVALS_MAX];
	const Envelope *v = c->envelope;
	// X.2011 8.2.1-4: what the class demands is the root's word; a plan can only demand more.
	uint32_t need = c->rule->approvals > c->plan->approvals_required
				? c->rule->approvals
				: c->plan->approvals_required;
	for (size_t i = 0; i < v->n_approvals; i++) {
		TRY(check_approval(c, v->approvals[i], &seen[i]));
		for (size_t j = 0; j < i; j++)
			CHECK(why, strcmp(seen[i]->account, seen[j]->account) != 0,
			      APPROVAL_REPEATED, "by %s", seen[i]->account);
	}
	CHECK(why, v->n_approvals >= need, APPROVAL_MISSING, "%zu of %u", v->n_approvals, need);
	return OK;
}

// --- break-glass

static struct err check_break_glass(struct check *c)
{
	enum instruction_reason *why = &c->out->reason;
	const TrustBundle *t = c->bundle->message;
	const Plan *p = c->plan;
	Approval *v;
	CHECK(why, t->n_break_glass > 0, BREAK_GLASS_NOT_ALLOWED, "plan %s", p->id);
	CHECK(why, p->expires_ns - p->created_ns <= INSTRUCTION_BREAK_GLASS_LIFE_NS,
	      BREAK_GLASS_TOO_LONG, "%" PRId64 " s", (p->expires_ns - p->created_ns) / 1000000000);
	CHECK(why, *p->reason, BREAK_GLASS_NO_REASON, "plan %s", p->id);
	CHECK(why, c->envelope->n_approvals == 1, BREAK_GLASS_MISSING, "%zu signatures",
	      c->envelope->n_approvals);
	if (c->envelope->n_approvals == 0)
		return OK;
	const Signed *s = c->envelope->approvals[0];
	TRY(read_approval(c, s, &v));
	CHECK(why, v->outcome == GEMEL__CONTROL__V1__APPROVAL_OUTCOME__BREAK_GLASS,
	      BREAK_GLASS_MISSING, "%s signed something else", v->account);
	const Approver *a = find(t->break_glass, t->n_break_glass, s, v, c->now_ns);
	CHECK(why, a, BREAK_GLASS_UNKNOWN_KEY, "as %s", v->account);
	struct err e = a ? key_check(a->key, INSTRUCTION_APPROVAL, s) : OK;
	CHECK(why, e.code == ERR_NONE, BREAK_GLASS_SIGNATURE, "of %s: %s", v->account, e.text);
	CHECK(why, message_equal(v->plan_digest, c->out->plan_digest, HASH_SIZE),
	      BREAK_GLASS_OTHER_DIGEST, "by %s", v->account);
	return OK;
}

struct err check_people(struct check *c)
{
	const Envelope *v = c->envelope;
	for (size_t i = 0; i < v->n_approvals; i++)
		instruction_digest(INSTRUCTION_APPROVAL, v->approvals[i]->body.data,
				   v->approvals[i]->body.len, c->approvals[i]);
	if (c->plan->break_glass)
		return check_break_glass(c);
	TRY(check_verdict(c));
	return check_approvals(c);
}
