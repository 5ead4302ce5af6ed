// SPDX-License-Identifier: Apache-2.0
// People and applications: names, Argon2id hashes, roles, domain. Rows of `keep`; in memory only
// while one is looked at. Roles are given so that duties stay apart: who operates does not approve,
// who audits changes nothing, an application is nothing else. X.2011 8.3.3-1, 8.3.3-10.
// Used by management.
#pragma once

#include "lib/access/access.h"
#include "lib/crypto/password.h"
#include "management/keep.h"

enum { ACCOUNTS_MAX = 4096 };

struct account {
	char name[ACCESS_NAME_MAX + 1];
	char hash[PASSWORD_HASH_MAX];
	char roles[ACCESS_ROLES_MAX][ACCESS_NAME_MAX + 1];
	unsigned n_roles;
	char domain[ACCESS_NAME_MAX + 1];
	bool disabled;
	bool initial; // its pass phrase is the one that was made at the first start
	int64_t created_ns, password_ns, login_ns; // login_ns 0: never
	uint64_t version;			   // grows with each change, for If-Match
};

// ERR_NOT_FOUND, ERR_CORRUPT.
MUST_USE struct err account_get(const struct keep *k, const char *name, struct account *out);
void account_put(struct keep *k, const struct account *a); // then keep_commit
void account_remove(struct keep *k, const char *name);
// Roles by comma, as the API gives them. ERR_USAGE: unknown, or not to be held together.
MUST_USE struct err account_set_roles(struct account *a, const char *roles);
// Checks the pass phrase's strength and hashes it.
MUST_USE struct err account_set_password(struct account *a, const char *password, const char *twin,
					 int64_t now_ns);
// For people: all but the hash.
json_t *account_json(const struct account *a);
bool account_has_role(const struct account *a, const char *role);
// Whether someone else who is not disabled can give out roles: the last one must not go.
bool accounts_other_administrator(const struct keep *k, const char *but);
