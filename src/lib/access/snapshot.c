// SPDX-License-Identifier: Apache-2.0
// Snapshots, integers big-endian, names as in ticket.c:
//     "gemel policy v1\n"  u64 version  i64 made  u16 n
//     n times: u8 flags  name id  name role  u16 actions  u16 kinds  u8 class
//     ||  64 bytes Ed25519 over all before
// and the policy that is shipped. Duties are separated: who approves does not operate, who audits
// changes nothing, who gives out roles does not read confidential data or alter the policy.

#include "lib/access/rules.h"

#include "lib/base/cursor.h"

#include <stdlib.h>
#include <string.h>

static const char magic[] = "gemel policy v1\n";

#define A(name) (1u << ACTION_##name)
#define K(name) (1u << KIND_##name)
#define NETWORK (K(DEVICE) | K(DATASET) | K(PATH) | K(TOPOLOGY))
#define COMMON (NETWORK | K(CONFORMANCE) | K(PROCESS))
#define ALL_KINDS ((1u << ACCESS_KINDS) - 1)
#define CHANGES                                                                                    \
	(A(CREATE) | A(UPDATE) | A(DELETE) | A(EXECUTE) | A(DEPLOY) | A(ACTUATE) | A(DELEGATE) |   \
	 A(APPROVE))

static const struct access_rule shipped[] = {
	// separated duties
	{"operators-do-not-approve", "operator", A(APPROVE), ALL_KINDS, CLASS_PUBLIC, RULE_FORBID},
	{"administrators-do-not-approve", "administrator", A(APPROVE), ALL_KINDS, CLASS_PUBLIC,
	 RULE_FORBID},
	{"applications-do-not-approve", "application", A(APPROVE) | A(DELEGATE), ALL_KINDS,
	 CLASS_PUBLIC, RULE_FORBID},
	{"auditors-change-nothing", "auditor", CHANGES, NETWORK | K(POLICY) | K(TOKEN) | K(PROCESS),
	 CLASS_PUBLIC, RULE_FORBID},
	// everyone
	{"everyone-own-account", "*", A(READ) | A(UPDATE), K(ACCOUNT), CLASS_PERSONAL, RULE_OWN},
	// viewer
	{"viewer-reads-internal", "viewer", A(READ), COMMON, CLASS_INTERNAL, 0},
	// operator
	{"operator-reads-confidential", "operator", A(READ), COMMON, CLASS_CONFIDENTIAL, 0},
	{"operator-runs-devices", "operator", A(CREATE) | A(UPDATE) | A(EXECUTE), K(DEVICE),
	 CLASS_CONFIDENTIAL, 0},
	{"operator-invites-devices", "operator", A(CREATE), K(TOKEN), CLASS_CONFIDENTIAL, 0},
	{"operator-rehearses-and-acts", "operator", A(REHEARSE) | A(ACTUATE) | A(DEPLOY),
	 K(DEVICE) | K(PATH) | K(TOPOLOGY), CLASS_CONFIDENTIAL, 0},
	{"operator-exports-internal", "operator", A(EXPORT), K(DATASET) | K(TOPOLOGY),
	 CLASS_INTERNAL, 0},
	{"operator-submits-conformance", "operator", A(CREATE) | A(EXECUTE), K(CONFORMANCE),
	 CLASS_INTERNAL, 0},
	// security-officer
	{"security-officer-reads-confidential", "security-officer", A(READ), ALL_KINDS,
	 CLASS_CONFIDENTIAL, 0},
	{"security-officer-reads-restricted-strong", "security-officer", A(READ), ALL_KINDS,
	 CLASS_RESTRICTED, RULE_STRONG},
	{"security-officer-manages-policy", "security-officer",
	 A(CREATE) | A(UPDATE) | A(DELETE) | A(DELEGATE), K(POLICY), CLASS_RESTRICTED, 0},
	{"security-officer-contains-devices", "security-officer",
	 A(UPDATE) | A(DELETE) | A(EXECUTE), K(DEVICE), CLASS_CONFIDENTIAL, 0},
	{"security-officer-manages-tokens", "security-officer", A(CREATE) | A(DELETE), K(TOKEN),
	 CLASS_CONFIDENTIAL, 0},
	{"security-officer-submits-conformance", "security-officer", A(CREATE) | A(EXECUTE),
	 K(CONFORMANCE), CLASS_INTERNAL, 0},
	// approver
	{"approver-reads-internal", "approver", A(READ), COMMON | K(LEDGER), CLASS_INTERNAL, 0},
	{"approver-approves", "approver", A(APPROVE), NETWORK | K(POLICY) | K(ACCOUNT),
	 CLASS_CONFIDENTIAL, 0},
	// auditor
	{"auditor-reads-records", "auditor", A(READ),
	 K(DEVICE) | K(TOPOLOGY) | K(LEDGER) | K(ACCOUNT) | K(POLICY) | K(TOKEN) | K(CONFORMANCE) |
		 K(PROCESS),
	 CLASS_CONFIDENTIAL, 0},
	{"auditor-reads-internal-data", "auditor", A(READ), K(DATASET) | K(PATH), CLASS_INTERNAL,
	 0},
	{"auditor-exports-ledger", "auditor", A(EXPORT), K(LEDGER), CLASS_CONFIDENTIAL, 0},
	{"auditor-submits-conformance", "auditor", A(CREATE) | A(EXECUTE), K(CONFORMANCE),
	 CLASS_INTERNAL, 0},
	// administrator
	{"administrator-reads-internal", "administrator", A(READ), ALL_KINDS, CLASS_INTERNAL, 0},
	{"administrator-manages-accounts", "administrator",
	 A(CREATE) | A(UPDATE) | A(DELETE) | A(DELEGATE), K(ACCOUNT), CLASS_CONFIDENTIAL, 0},
	{"administrator-manages-devices", "administrator",
	 A(CREATE) | A(UPDATE) | A(DELETE) | A(EXECUTE), K(DEVICE), CLASS_CONFIDENTIAL, 0},
	{"administrator-manages-tokens", "administrator", A(CREATE) | A(DELETE), K(TOKEN),
	 CLASS_CONFIDENTIAL, 0},
	{"administrator-manages-processes", "administrator", A(UPDATE) | A(EXECUTE), K(PROCESS),
	 CLASS_INTERNAL, 0},
	{"administrator-submits-conformance", "administrator", A(CREATE) | A(EXECUTE),
	 K(CONFORMANCE), CLASS_INTERNAL, 0},
	// application
	{"application-reads-internal", "application", A(READ), NETWORK, CLASS_INTERNAL, 0},
	{"application-rehearses", "application", A(REHEARSE), K(PATH) | K(TOPOLOGY), CLASS_INTERNAL,
	 0},
	// the twin's own collector, see repository
	{"collector-collects", "collector", A(COLLECT), K(DEVICE) | K(DATASET) | K(PATH),
	 CLASS_RESTRICTED, 0},
};

void access_policy_encode_default(struct buf *out, uint64_t version, int64_t now_ns)
{
	enum { N = sizeof shipped / sizeof *shipped };
	buf_str(out, magic);
	buf_be64(out, version);
	buf_be64(out, (uint64_t)now_ns);
	buf_be16(out, N);
	for (size_t i = 0; i < N; i++) {
		const struct access_rule *r = &shipped[i];
		buf_u8(out, (uint8_t)r->flags);
		access_name_write(out, r->id);
		access_name_write(out, r->role);
		buf_be16(out, r->actions);
		buf_be16(out, r->kinds);
		buf_u8(out, (uint8_t)r->most);
	}
}

static bool rule_read(struct cursor *c, struct access_rule *r)
{
	r->flags = cursor_u8(c);
	if ((r->flags & ~(unsigned)RULE_FLAGS) || !access_name_read(c, r->id, false) ||
	    !access_name_read(c, r->role, false))
		return false;
	r->actions = cursor_be16(c);
	r->kinds = cursor_be16(c);
	r->most = cursor_u8(c);
	return !c->failed && r->actions >> ACCESS_ACTIONS == 0 && r->kinds >> ACCESS_KINDS == 0 &&
	       (unsigned)r->most < ACCESS_CLASSES;
}

struct err access_policy_load(const uint8_t *bytes, size_t n, const uint8_t *public_key,
			      struct access_policy **out)
{
	struct cursor c;
	TRY(access_signed(bytes, n, public_key, "the policy snapshot is", &c));
	const uint8_t *m = cursor_take(&c, sizeof magic - 1);
	ENSURE(m && memcmp(m, magic, sizeof magic - 1) == 0, ERR_PEER,
	       "the policy snapshot is of another kind or version");
	uint64_t version = cursor_be64(&c);
	int64_t made = (int64_t)cursor_be64(&c);
	unsigned rules = cursor_be16(&c);
	ENSURE(!c.failed && made >= 0, ERR_PEER, "the policy snapshot is malformed");
	ENSURE(rules <= ACCESS_RULES_MAX, ERR_PEER, "the policy snapshot has %u rules; at most %d",
	       rules, ACCESS_RULES_MAX);
	struct access_policy *p = calloc(1, sizeof *p + rules * sizeof *p->rules);
	ENSURE(p, ERR_LIMIT, "no memory for the policy");
	*p = (struct access_policy){.version = version, .made_ns = made, .refreshed_ns = made};
	bool good = true;
	for (; good && p->n < rules; p->n++)
		good = rule_read(&c, &p->rules[p->n]);
	if (!good || c.failed || cursor_left(&c)) {
		free(p);
		return err_make(ERR_PEER, "the policy snapshot is malformed");
	}
	*out = p;
	return OK;
}
