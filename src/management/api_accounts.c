// SPDX-License-Identifier: Apache-2.0
// Log-in, sessions, accounts, and "would it be permitted". X.2011 8.3.3-1, 8.3.3-4, 8.3.3-10.
#include "management/api.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"
#include "lib/ipc/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *need(const struct request *q, const char *name)
{
	const char *s = answer_text(q->r, name);
	return s ? s : "";
}

// --- log-in

// For names that are not known: the same work, so that time does not tell which are.
static const char *nobodys_hash(void)
{
	static char hash[PASSWORD_HASH_MAX];
	if (!hash[0] && password_hash("an account that is not there", 28, hash).code != ERR_NONE)
		hash[0] = 0;
	return hash;
}

static struct err login_refused(struct request *q, const char *name, const char *reason)
{
	backoff_failed(q->m->backoff, name, q->r->source, q->now_ns);
	unsigned wait = backoff_wait(q->m->backoff, name, q->r->source, q->now_ns);
	if (denial(q->m, "account.login-refused", name, reason, q->r->source, "log-in refused"))
		TRY(commit(q->m));
	if (wait >= 30)
		alert(q->m, "warning", "account.guessing", name, q->r->source,
		      "Log-ins fail again and again.",
		      "Ask the owner; lock the account if it is not him.", 1);
	q->fix = wait ? "Wait before you try again; each failure doubles the wait."
		      : "Check the name and the pass phrase.";
	return err_make(ERR_AUTH, "account or pass phrase is wrong");
}

static struct err login_allowed(struct request *q, const char *name)
{
	unsigned wait = backoff_wait(q->m->backoff, name, q->r->source, q->now_ns);
	q->fix = "Wait, then try again.";
	ENSURE(!wait || sabotaged("backoff"), ERR_LIMIT,
	       "too many log-ins have failed: wait %u seconds", wait);
	ENSURE(backoff_spend(q->m->backoff, q->now_ns), ERR_LIMIT,
	       "too many log-ins at this moment");
	q->fix = NULL;
	return OK;
}

static struct err login_open(struct request *q, struct account *a)
{
	struct session *s;
	struct management *m = q->m;
	scoped(secret) struct secret *token = secret_new(SESSION_TOKEN_TEXT);
	ENSURE(token, ERR_LIMIT, "out of memory");
	a->login_ns = q->now_ns;
	account_put(m->keep, a);
	record(m, "account.login", a->name, a->name, json_pack("{s:s}", "source", q->r->source));
	TRY(sessions_new(m->sessions, a->name, q->r->source, q->now_ns, (char *)secret_bytes(token),
			 &s));
	TRY(commit(m));
	json_t *roles = json_array();
	for (unsigned i = 0; i < a->n_roles; i++)
		json_array_append_new(roles, json_string(a->roles[i]));
	q->body = json_pack("{s:s,s:o,s:s,s:o,s:o,s:b}", "account", a->name, "roles", roles,
			    "session", s->id, "domain",
			    *a->domain ? json_string(a->domain) : json_null(), "until",
			    time_or_null(session_until(s)), "initial_password", a->initial);
	q->session_token = token;
	token = NULL;
	m->logins++;
	return OK;
}

struct err api_login(struct request *q)
{
	char name[ACCESS_NAME_MAX + 1];
	struct account a = {.n_roles = 0};
	const char *password = need(q, "password");
	clean_text(name, sizeof name, need(q, "account"));
	TRY(login_allowed(q, name));
	bool known = account_get(q->m->keep, name, &a).code == ERR_NONE;
	struct err e = password_verify(known ? a.hash : nobodys_hash(), password, strlen(password));
	if (known && sabotaged("password"))
		e = OK;
	if (!known || e.code == ERR_AUTH)
		return login_refused(q, name, "wrong-password");
	TRY(e);
	if (a.disabled) {
		e = login_refused(q, name, "account-locked");
		return e.code == ERR_AUTH ? err_make(ERR_AUTH, "the account is locked") : e;
	}
	backoff_succeeded(q->m->backoff, name, q->r->source);
	if (password_needs_rehash(a.hash))
		err_ignore(password_hash(password, strlen(password), a.hash));
	return login_open(q, &a);
}

struct err api_session_get(struct request *q)
{
	const struct session *s = sessions_by_id(q->m->sessions, q->who.session);
	struct account a;
	TRY(account_get(q->m->keep, q->who.account, &a));
	json_t *roles = json_array();
	for (unsigned i = 0; i < q->who.n_roles; i++)
		json_array_append_new(roles, json_string(q->who.roles[i]));
	q->body = json_pack(
		"{s:s,s:o,s:o,s:b,s:s,s:s,s:o,s:o,s:o,s:b}", "account", q->who.account, "roles",
		roles, "domain", *q->who.domain ? json_string(q->who.domain) : json_null(),
		"strong", q->who.strong, "session", s->id, "source", s->source, "created",
		time_or_null(s->created_ns), "until", time_or_null(session_until(s)),
		"ticket_until", time_or_null(q->who.until_ns), "initial_password", a.initial);
	return OK;
}

struct err api_session_end(struct request *q)
{
	record(q->m, "account.logout", q->who.account, q->who.account,
	       json_pack("{s:s}", "source", q->r->source));
	TRY(login_end_one(q->m, q->who.session));
	TRY(commit(q->m));
	q->body = json_pack("{s:b}", "ended", 1);
	return OK;
}

// --- accounts

// One who is limited to a domain makes and sees only accounts that are limited to it too.
static bool in_domain(const struct request *q, const struct account *a)
{
	return !*q->who.domain || strcmp(q->who.domain, a->domain) == 0;
}

static struct err check_domain(struct request *q, const struct account *a)
{
	if (in_domain(q, a))
		return OK;
	q->fix = "Name your own domain, or ask an administrator of the whole twin.";
	return err_make(ERR_DENIED, "%s is limited to domain %s", q->who.account, q->who.domain);
}

static struct err add(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct account a;
	struct request *q = ctx;
	TRY(account_get(q->m->keep, key, &a));
	if (!in_domain(q, &a))
		return OK;
	json_t *j = account_json(&a);
	json_object_set_new(j, "sessions",
			    json_integer((json_int_t)sessions_count(q->m->sessions, a.name)));
	json_array_append_new(q->body, j);
	return OK;
}

struct err api_accounts_list(struct request *q)
{
	TRY(may(q, ACTION_READ, "Account", NULL, NULL, NULL));
	q->body = json_array();
	TRY(keep_scan(q->m->keep, "account", add, q));
	json_t *all = q->body;
	q->body = NULL;
	return listed(q, all, "name");
}

static struct err set_domain(struct account *a, const char *domain)
{
	if (!domain)
		return OK;
	TRY(err_within(x509_name_check(domain), "domain"));
	snprintf(a->domain, sizeof a->domain, "%s", domain);
	return OK;
}

static struct err answer_account(struct request *q, const struct account *a)
{
	set_version(q, a->version);
	q->body = account_json(a);
	return OK;
}

struct err api_accounts_create(struct request *q)
{
	const char *name = need(q, "name"), *roles = need(q, "roles");
	struct management *m = q->m;
	struct account a = {.created_ns = q->now_ns, .version = 1}, known;
	TRY(may(q, ACTION_CREATE, "Account", name, NULL, answer_text(q->r, "domain")));
	TRY(err_within(x509_name_check(name), "name"));
	q->fix = "Choose another name, or change that account.";
	ENSURE(account_get(m->keep, name, &known).code == ERR_NOT_FOUND, ERR_CONFLICT,
	       "account %s is there already", name);
	ENSURE(keep_count(m->keep, "account") < ACCOUNTS_MAX, ERR_LIMIT, "%d accounts are there",
	       ACCOUNTS_MAX);
	q->fix = NULL;
	snprintf(a.name, sizeof a.name, "%s", name);
	TRY(account_set_roles(&a, roles));
	TRY(set_domain(&a, answer_text(q->r, "domain")));
	TRY(check_domain(q, &a));
	TRY(account_set_password(&a, need(q, "password"), m->p->conf->name, q->now_ns));
	account_put(m->keep, &a);
	record(m, "account.created", name, q->who.account,
	       json_pack("{s:s,s:s}", "roles", roles, "domain", a.domain));
	TRY(commit(m));
	tell(m, "account.created", name, json_pack("{s:s}", "account", name), "internal");
	q->status = 201;
	return answer_account(q, &a);
}

struct wanted { // of accounts.update
	const char *password, *roles, *domain;
	bool has_disabled, disabled;
};

static struct err change(struct request *q, struct account *a, const struct wanted *w)
{
	bool was = account_has_role(a, "administrator") && !a->disabled;
	if (w->roles)
		TRY(account_set_roles(a, w->roles));
	TRY(set_domain(a, w->domain));
	if (w->has_disabled)
		a->disabled = w->disabled;
	if (was && (a->disabled || !account_has_role(a, "administrator"))) {
		q->fix = "Give the role administrator to someone else first.";
		ENSURE(accounts_other_administrator(q->m->keep, a->name), ERR_CONFLICT,
		       "%s is the last administrator", a->name);
		q->fix = NULL;
	}
	if (w->password)
		TRY(account_set_password(a, w->password, q->m->p->conf->name, q->now_ns));
	a->version++;
	return OK;
}

static json_t *change_json(const struct account *a, const struct wanted *w)
{
	return json_pack("{s:b,s:s*,s:s*,s:b}", "password", w->password != NULL, "roles", w->roles,
			 "domain", w->domain, "disabled", a->disabled);
}

struct err api_accounts_update(struct request *q)
{
	const char *name = need(q, "name");
	struct management *m = q->m;
	struct account a;
	struct wanted w = {answer_text(q->r, "password"), answer_text(q->r, "roles"),
			   answer_text(q->r, "domain"), false,
			   answer_flag(q->r, "disabled", false)};
	w.has_disabled =
		w.disabled == answer_flag(q->r, "disabled", true); // given: no fallback shows
	bool rights = w.roles || w.domain || w.has_disabled;
	TRY(may(q, ACTION_UPDATE, "Account", name, rights ? "rights" : NULL, NULL));
	TRY(account_get(m->keep, name, &a));
	TRY(check_domain(q, &a));
	TRY(matches(q, a.version));
	bool initial = a.initial && w.password;
	TRY(change(q, &a, &w));
	TRY(check_domain(q, &a));
	account_put(m->keep, &a);
	record(m, "account.changed", name, q->who.account, change_json(&a, &w));
	TRY(commit(m));
	if (initial)
		login_first_forget(m);
	// Who has lost a right or a pass phrase must not go on with an old session.
	bool self = strcmp(name, q->who.account) == 0 && !rights;
	TRY(login_end(m, name, self ? q->who.session : NULL, "the account was changed"));
	tell(m, "account.changed", name, json_pack("{s:s}", "account", name), "internal");
	return answer_account(q, &a);
}

struct err api_accounts_delete(struct request *q)
{
	const char *name = need(q, "name");
	struct management *m = q->m;
	struct account a;
	TRY(may(q, ACTION_DELETE, "Account", name, NULL, NULL));
	TRY(account_get(m->keep, name, &a));
	TRY(check_domain(q, &a));
	TRY(matches(q, a.version));
	q->fix = "Give the role administrator to someone else first.";
	ENSURE(!account_has_role(&a, "administrator") ||
		       accounts_other_administrator(m->keep, name),
	       ERR_CONFLICT, "%s is the last administrator", name);
	q->fix = NULL;
	account_remove(m->keep, name);
	record(m, "account.removed", name, q->who.account, NULL);
	TRY(commit(m));
	if (a.initial)
		login_first_forget(m);
	TRY(login_end(m, name, NULL, "the account was removed"));
	tell(m, "account.removed", name, json_pack("{s:s}", "account", name), "internal");
	q->body = json_pack("{s:s,s:b}", "name", name, "removed", 1);
	return OK;
}

// --- decisions

static bool action_by_name(const char *name, enum access_action *out)
{
	for (int i = ACTION_CREATE; i <= ACTION_APPROVE; i++)
		if (strcmp(access_action_name((enum access_action)i), name) == 0) {
			*out = (enum access_action)i;
			return true;
		}
	return false;
}

static struct err class_by_name(const char *name, enum access_class *out)
{
	*out = CLASS_INTERNAL;
	for (int i = 0; name && access_class_names[i]; i++)
		if (strcmp(access_class_names[i], name) == 0) {
			*out = (enum access_class)i;
			return OK;
		}
	ENSURE(!name, ERR_USAGE, "class: \"%.32s\" is none", name);
	return OK;
}

struct err api_access_decide(struct request *q)
{
	const char *account = answer_text(q->r, "account");
	enum access_action action;
	enum access_class class;
	struct access_subject who = q->who;
	if (account && strcmp(account, q->who.account) != 0) {
		struct account a;
		TRY(may(q, ACTION_READ, "Policy", NULL, NULL, NULL));
		TRY(account_get(q->m->keep, account, &a));
		who = (struct access_subject){.n_roles = a.disabled ? 0 : a.n_roles,
					      .issued_ns = q->now_ns,
					      .until_ns = q->now_ns + NS_PER_S};
		memcpy(who.account, a.name, sizeof who.account);
		memcpy(who.roles, a.roles, sizeof who.roles);
		memcpy(who.domain, a.domain, sizeof who.domain);
	}
	ENSURE(action_by_name(need(q, "action"), &action), ERR_USAGE, "action: \"%.32s\" is none",
	       need(q, "action"));
	TRY(class_by_name(answer_text(q->r, "class"), &class));
	struct access_resource what = {.kind = need(q, "kind"),
				       .id = answer_text(q->r, "id"),
				       .path = answer_text(q->r, "path"),
				       .class = class,
				       .domain = answer_text(q->r, "domain")};
	struct access_decision d = access_decide(q->m->policy, &who, action, &what, q->now_ns);
	q->body = json_pack("{s:b,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "permit", d.permit, "policy",
			    d.policy, "fact", d.fact, "account", who.account, "action",
			    access_action_name(action), "kind", what.kind, "class",
			    access_class_names[class], "policy_version",
			    (json_int_t)q->m->snapshot_version);
	return OK;
}
