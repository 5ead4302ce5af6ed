// SPDX-License-Identifier: Apache-2.0
// The decision. Rules are few (tens), so they are walked; every refusal names the rule that came
// nearest, because "class confidential is above internal" is mended differently from "no role of
// yours may do this".

#include "lib/access/rules.h"

#include "lib/base/clock.h"
#include "lib/base/sabotage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const access_class_names[] = {"public",	"internal", "confidential",
					  "restricted", "personal", NULL};

const char *const access_kind_names[ACCESS_KINDS] = {
	"Device",  "Dataset", "Path",  "Topology",    "Ledger",
	"Account", "Policy",  "Token", "Conformance", "Process",
};

const char *access_action_name(enum access_action action)
{
	static const char *const names[ACCESS_ACTIONS] = {
		"create", "read",     "update",	 "delete", "collect",  "execute",
		"deploy", "rehearse", "actuate", "export", "delegate", "approve",
	};
	return (unsigned)action < ACCESS_ACTIONS ? names[action] : "unknown";
}

void access_policy_free(struct access_policy *p)
{
	free(p);
}

uint64_t access_policy_version(const struct access_policy *p)
{
	return p->version;
}

void access_policy_refresh(struct access_policy *p, int64_t now_ns)
{
	if (p && now_ns > p->refreshed_ns)
		p->refreshed_ns = now_ns;
}

struct question {
	const struct access_subject *who;
	const struct access_resource *what;
	enum access_action action;
	unsigned kind;
};

static struct access_decision refuse(const char *policy, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static struct access_decision refuse(const char *policy, const char *format, ...)
{
	struct access_decision d = {.permit = false};
	snprintf(d.policy, sizeof d.policy, "%s", policy);
	va_list args;
	va_start(args, format);
	vsnprintf(d.fact, sizeof d.fact, format, args);
	va_end(args);
	return d;
}

static bool has_role(const struct access_subject *who, const char *role)
{
	if (strcmp(role, "*") == 0)
		return true;
	for (unsigned i = 0; i < who->n_roles && i < ACCESS_ROLES_MAX; i++)
		if (strcmp(who->roles[i], role) == 0)
			return true;
	return false;
}

static bool own_account(const struct question *q)
{
	return q->kind == KIND_ACCOUNT && q->what->id && !q->what->path &&
	       strcmp(q->what->id, q->who->account) == 0;
}

// Role, action, kind and owner; class and strength are looked at after, to tell what is missing.
static bool concerns(const struct access_rule *r, const struct question *q)
{
	if (!(r->actions & 1u << q->action) || !(r->kinds & 1u << q->kind))
		return false;
	return has_role(q->who, r->role) && (!(r->flags & RULE_OWN) || own_account(q));
}

// Kinds that are the network itself: without a domain of their own they may be of any domain, so
// one who is limited to a domain is refused.
static bool of_network(unsigned kind)
{
	return kind == KIND_DEVICE || kind == KIND_DATASET || kind == KIND_PATH ||
	       kind == KIND_TOPOLOGY;
}

static bool before_rules(const struct access_policy *p, const struct question *q, int64_t now_ns,
			 struct access_decision *d)
{
	const char *mine = q->who->domain, *its = q->what->domain ? q->what->domain : "";
	if (q->who->until_ns <= now_ns)
		*d = refuse("ticket-lifetime", "the ticket of %s is over", q->who->account);
	else if (now_ns - p->refreshed_ns > ACCESS_STALE_S * NS_PER_S &&
		 q->action != ACTION_COLLECT)
		*d = refuse("policy-freshness",
			    "the policy was last confirmed more than %d minutes ago; only "
			    "collection goes on",
			    ACCESS_STALE_S / 60);
	else if (*mine && *its && strcmp(mine, its) != 0)
		*d = refuse("domain-boundary", "%s is limited to domain %.40s; this is in %.40s",
			    q->who->account, mine, its);
	else if (*mine && !*its && of_network(q->kind))
		*d = refuse("domain-boundary",
			    "%s is limited to domain %.40s; this is not known to be in it",
			    q->who->account, mine);
	else
		return true;
	return false;
}

static struct access_decision no_rule(const struct question *q)
{
	char roles[80] = "";
	for (unsigned i = 0; i < q->who->n_roles && i < ACCESS_ROLES_MAX; i++) {
		size_t n = strlen(roles);
		snprintf(roles + n, sizeof roles - n, "%s%s", i ? ", " : "", q->who->roles[i]);
	}
	return refuse("default-deny", "no policy lets %.32s %s %s",
		      *roles ? roles : "a subject without roles", access_action_name(q->action),
		      access_kind_names[q->kind]);
}

static struct access_decision permit(const struct access_rule *r, const struct question *q)
{
	struct access_decision d = {.permit = true};
	snprintf(d.policy, sizeof d.policy, "%s", r->id);
	snprintf(d.fact, sizeof d.fact, "%s may %s %s up to class %s",
		 strcmp(r->role, "*") == 0 ? "everyone" : r->role, access_action_name(q->action),
		 access_kind_names[q->kind], access_class_names[r->most]);
	return d;
}

static struct access_decision by_rules(const struct access_policy *p, const struct question *q)
{
	struct access_decision nearest = no_rule(q);
	const struct access_rule *permits = NULL;
	for (unsigned i = 0; i < p->n; i++) {
		const struct access_rule *r = &p->rules[i];
		if (!concerns(r, q))
			continue;
		if (r->flags & RULE_FORBID) {
			if (q->what->class >= r->most)
				return refuse(r->id, "role %s must not %s %s, whatever else it has",
					      r->role, access_action_name(q->action),
					      access_kind_names[q->kind]);
		} else if (q->what->class > r->most) {
			nearest = refuse(r->id, "class %s is above %s",
					 access_class_names[q->what->class],
					 access_class_names[r->most]);
		} else if ((r->flags & RULE_STRONG) && !q->who->strong) {
			nearest = refuse(r->id,
					 "class %s wants a second factor or a client "
					 "certificate",
					 access_class_names[q->what->class]);
		} else if (!permits) {
			permits = r;
		}
	}
	return permits ? permit(permits, q) : nearest;
}

struct access_decision access_decide(const struct access_policy *policy,
				     const struct access_subject *who, enum access_action action,
				     const struct access_resource *what, int64_t now_ns)
{
	struct question q = {who, what, action, ACCESS_KINDS};
	struct access_decision d;
	if (sabotaged("access"))
		return (struct access_decision){
			.permit = true, .policy = "none", .fact = "sabotaged"};
	if (!policy)
		return refuse("none", "no policy yet: management has not sent it");
	for (unsigned i = 0; what->kind && i < ACCESS_KINDS; i++)
		if (strcmp(access_kind_names[i], what->kind) == 0)
			q.kind = i;
	if (q.kind == ACCESS_KINDS || (unsigned)action >= ACCESS_ACTIONS ||
	    (unsigned)what->class >= ACCESS_CLASSES)
		return refuse("default-deny", "no such action, kind or class");
	return before_rules(policy, &q, now_ns, &d) ? by_rules(policy, &q) : d;
}
