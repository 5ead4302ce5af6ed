// SPDX-License-Identifier: Apache-2.0
#include "management/accounts.h"

#include "lib/base/clock.h"
#include "management/passwords.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char table[] = "account";

static const char *const roles[] = {"viewer",  "operator",	"security-officer", "approver",
				    "auditor", "administrator", "application"};
enum { ROLES = sizeof roles / sizeof *roles };

// X.2011 8.3.3-1: what one person must not hold together.
static const char *const apart[][2] = {
	{"approver", "operator"},     {"approver", "administrator"},   {"auditor", "operator"},
	{"auditor", "administrator"}, {"auditor", "security-officer"},
};

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static int64_t number(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

static bool copy(char *out, size_t size, const char *in)
{
	int n = snprintf(out, size, "%s", in);
	return n >= 0 && (size_t)n < size;
}

static struct err account_read(const char *name, const json_t *j, struct account *out)
{
	struct account a = {.disabled = json_is_true(json_object_get(j, "disabled")),
			    .initial = json_is_true(json_object_get(j, "initial")),
			    .created_ns = number(j, "created"),
			    .password_ns = number(j, "password"),
			    .login_ns = number(j, "login"),
			    .version = (uint64_t)number(j, "version")};
	bool good = copy(a.name, sizeof a.name, name) &&
		    copy(a.hash, sizeof a.hash, text(j, "hash")) &&
		    copy(a.domain, sizeof a.domain, text(j, "domain"));
	size_t i;
	json_t *role;
	json_array_foreach(json_object_get(j, "roles"), i, role)
	{
		const char *s = json_string_value(role);
		good = good && s && i < ACCESS_ROLES_MAX &&
		       copy(a.roles[a.n_roles++], sizeof a.roles[0], s);
		if (!good)
			break;
	}
	ENSURE(good && a.hash[0], ERR_CORRUPT, "account %.64s is stored wrongly", name);
	*out = a;
	return OK;
}

struct err account_get(const struct keep *k, const char *name, struct account *out)
{
	json_t *j = keep_get_json(k, table, name);
	ENSURE(j, ERR_NOT_FOUND, "there is no account \"%.64s\"", name);
	struct err e = account_read(name, j, out);
	json_decref(j);
	return e;
}

static json_t *roles_json(const struct account *a)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < a->n_roles; i++)
		json_array_append_new(list, json_string(a->roles[i]));
	return list;
}

void account_put(struct keep *k, const struct account *a)
{
	json_t *j = json_pack("{s:s,s:o,s:s,s:b,s:b,s:I,s:I,s:I,s:I}", "hash", a->hash, "roles",
			      roles_json(a), "domain", a->domain, "disabled", a->disabled,
			      "initial", a->initial, "created", (json_int_t)a->created_ns,
			      "password", (json_int_t)a->password_ns, "login",
			      (json_int_t)a->login_ns, "version", (json_int_t)a->version);
	keep_put_json(k, table, a->name, j);
	json_decref(j);
}

void account_remove(struct keep *k, const char *name)
{
	keep_delete(k, table, name);
}

bool account_has_role(const struct account *a, const char *role)
{
	for (unsigned i = 0; i < a->n_roles; i++)
		if (strcmp(a->roles[i], role) == 0)
			return true;
	return false;
}

static bool known(const char *role)
{
	for (unsigned i = 0; i < ROLES; i++)
		if (strcmp(roles[i], role) == 0)
			return true;
	return false;
}

struct err account_set_roles(struct account *a, const char *list)
{
	struct account new = *a;
	new.n_roles = 0;
	for (const char *at = list; *at;) {
		size_t n = strcspn(at, ",");
		char role[ACCESS_NAME_MAX + 1] = "";
		if (n <= ACCESS_NAME_MAX)
			memcpy(role, at, n);
		ENSURE(known(role), ERR_USAGE,
		       "roles: \"%.*s\" is none; viewer, operator, security-officer, approver, "
		       "auditor, "
		       "administrator, application",
		       (int)(n < 64 ? n : 64), at);
		if (!account_has_role(&new, role)) {
			ENSURE(new.n_roles < ACCESS_ROLES_MAX, ERR_USAGE, "roles: too many");
			memcpy(new.roles[new.n_roles++], role, sizeof role);
		}
		at += n + (at[n] == ',');
	}
	ENSURE(new.n_roles > 0, ERR_USAGE, "roles: none is given");
	ENSURE(new.n_roles == 1 || !account_has_role(&new, "application"), ERR_USAGE,
	       "roles: an application holds no other role");
	for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
		ENSURE(!account_has_role(&new, apart[i][0]) || !account_has_role(&new, apart[i][1]),
		       ERR_USAGE, "roles: %s and %s are separated duties: give them to two people",
		       apart[i][0], apart[i][1]);
	*a = new;
	return OK;
}

struct err account_set_password(struct account *a, const char *password, const char *twin,
				int64_t now_ns)
{
	TRY(password_acceptable(password, a->name, twin));
	TRY(password_hash(password, strlen(password), a->hash));
	a->password_ns = now_ns;
	a->initial = false;
	return OK;
}

static json_t *time_json(int64_t ns)
{
	char at[CLOCK_TEXT_MAX];
	return ns ? json_string(clock_format(ns, at)) : json_null();
}

json_t *account_json(const struct account *a)
{
	return json_pack("{s:s,s:o,s:o,s:b,s:o,s:o,s:o,s:b,s:I}", "name", a->name, "roles",
			 roles_json(a), "domain", *a->domain ? json_string(a->domain) : json_null(),
			 "disabled", a->disabled, "created", time_json(a->created_ns),
			 "password_changed", time_json(a->password_ns), "last_login",
			 time_json(a->login_ns), "initial_password", a->initial, "version",
			 (json_int_t)a->version);
}

struct search {
	const char *but;
	bool found;
};

static struct err look(void *ctx, const char *key, const uint8_t *bytes, size_t n)
{
	struct search *s = ctx;
	struct account a;
	json_t *j = json_loadb((const char *)bytes, n, 0, NULL);
	struct err e = account_read(key, j, &a);
	json_decref(j);
	if (e.code == ERR_NONE && strcmp(key, s->but) != 0 && !a.disabled)
		s->found |= account_has_role(&a, "administrator");
	return OK;
}

bool accounts_other_administrator(const struct keep *k, const char *but)
{
	struct search s = {.but = but};
	err_ignore(keep_scan(k, table, look, &s));
	return s.found;
}
