// SPDX-License-Identifier: Apache-2.0
// Whom the device believes. A key has one office in a bundle: were the control key also a verdict
// key, or two accounts one key, one holder could stand for two.
#include "lib/instruction/internal.h"

#include <stdlib.h>
#include <string.h>

enum { AUTHORITIES_MAX = 8, AUTHORITY_MAX = 8192 };

struct offices {
	uint8_t ids[5 * INSTRUCTION_KEYS_MAX + INSTRUCTION_APPROVERS_MAX][SIGN_KEY_ID];
	size_t n;
};

static struct err take_key(const Key *k, const char *what, struct offices *o)
{
	struct verify_key *key = NULL;
	ENSURE(k, ERR_PEER, "%s: no key", what);
	ENSURE(k->from_ns > 0 && k->from_ns < k->until_ns, ERR_PEER,
	       "%s: from_ns must lie before until_ns", what);
	struct err e = verify_key_new((enum sign_algorithm)k->algorithm, k->public_key.data,
				      k->public_key.len, &key);
	if (e.code != ERR_NONE)
		return err_make(ERR_PEER, "%s: %s", what, e.text);
	memcpy(o->ids[o->n], verify_key_public(key)->id, SIGN_KEY_ID);
	verify_key_free(key);
	for (size_t i = 0; i < o->n; i++)
		ENSURE(memcmp(o->ids[i], o->ids[o->n], SIGN_KEY_ID) != 0, ERR_PEER,
		       "%s: the key has another office already", what);
	o->n++;
	return OK;
}

static struct err take_keys(Key *const *keys, size_t n, size_t least, const char *what,
			    struct offices *o)
{
	ENSURE(n >= least && n <= INSTRUCTION_KEYS_MAX, ERR_PEER, "bundle: %zu to %d %ss", least,
	       INSTRUCTION_KEYS_MAX, what);
	for (size_t i = 0; i < n; i++)
		TRY(take_key(keys[i], what, o));
	return OK;
}

static const ClassRule *class_find(const TrustBundle *t, const char *name)
{
	for (size_t i = 0; i < t->n_classes; i++)
		if (strcmp(t->classes[i]->name, name) == 0)
			return t->classes[i];
	return NULL;
}

static struct err classes_check(const TrustBundle *t)
{
	ENSURE(t->n_classes >= 1 && t->n_classes <= INSTRUCTION_CLASSES_MAX, ERR_PEER,
	       "bundle: 1 to %d classes", INSTRUCTION_CLASSES_MAX);
	for (size_t i = 0; i < t->n_classes; i++) {
		const ClassRule *r = t->classes[i];
		ENSURE(message_name(r->name), ERR_PEER, "bundle: class %zu: no name", i);
		for (size_t j = 0; j < i; j++)
			ENSURE(strcmp(t->classes[j]->name, r->name) != 0, ERR_PEER,
			       "bundle: class %s: the name is taken", r->name);
		ENSURE(r->approvals <= INSTRUCTION_APPROVALS_MAX, ERR_PEER,
		       "bundle: class %s: at most %d approvals", r->name,
		       INSTRUCTION_APPROVALS_MAX);
	}
	return OK;
}

static struct err approvers_check(const TrustBundle *t, struct offices *o)
{
	ENSURE(t->n_approvers <= INSTRUCTION_APPROVERS_MAX, ERR_PEER,
	       "bundle: at most %d approvers", INSTRUCTION_APPROVERS_MAX);
	for (size_t i = 0; i < t->n_approvers; i++) {
		const Approver *a = t->approvers[i];
		ENSURE(message_name(a->account), ERR_PEER, "bundle: approver %zu: no account", i);
		TRY(take_key(a->key, "approver", o));
		ENSURE(a->n_classes <= INSTRUCTION_CLASSES_MAX, ERR_PEER,
		       "bundle: approver %s: too many classes", a->account);
		for (size_t j = 0; j < a->n_classes; j++)
			ENSURE(class_find(t, a->classes[j]), ERR_PEER,
			       "bundle: approver %s: a class that the bundle has not", a->account);
	}
	ENSURE(t->n_break_glass <= INSTRUCTION_KEYS_MAX, ERR_PEER,
	       "bundle: at most %d sealed credentials", INSTRUCTION_KEYS_MAX);
	for (size_t i = 0; i < t->n_break_glass; i++) {
		const Approver *a = t->break_glass[i];
		ENSURE(message_name(a->account) && a->n_classes == 0, ERR_PEER,
		       "bundle: sealed credential %zu: no account, or it has classes", i);
		TRY(take_key(a->key, "sealed credential", o));
	}
	return OK;
}

// --- the ledger

static struct err note_keys(char *const *vkeys, size_t n, size_t most, enum note_type type,
			    struct note_key *out)
{
	ENSURE(n <= most, ERR_PEER, "bundle: at most %zu of these keys", most);
	for (size_t i = 0; i < n; i++) {
		struct err e = note_key_parse(vkeys[i], &out[i]);
		if (e.code != ERR_NONE)
			return err_make(ERR_PEER, "bundle: %s", e.text);
		ENSURE(out[i].type == type, ERR_PEER, "bundle: %s: a key of the wrong kind",
		       out[i].name);
		for (size_t j = 0; j < i; j++)
			ENSURE(memcmp(out[i].public, out[j].public, NOTE_PUBLIC) != 0, ERR_PEER,
			       "bundle: %s: a key that is there twice", out[i].name);
	}
	return OK;
}

static struct err log_check(const Gemel__Control__V1__Log *l, struct instruction_bundle *out)
{
	ENSURE(l, ERR_PEER, "bundle: no log");
	ENSURE(message_text(l->origin, NOTE_NAME_MAX) && *l->origin, ERR_PEER,
	       "bundle: log: no origin");
	ENSURE(l->n_vkeys > 0, ERR_PEER, "bundle: log: no key");
	TRY(note_keys(l->vkeys, l->n_vkeys, INSTRUCTION_KEYS_MAX, NOTE_ED25519, out->logs));
	TRY(note_keys(l->witnesses, l->n_witnesses, INSTRUCTION_WITNESSES_MAX, NOTE_COSIGNATURE,
		      out->witnesses));
	// X.2011 9.1-ledger: that nobody watches must be written out, and never be a default.
	ENSURE(l->quorum <= l->n_witnesses && (l->quorum == 0) == l->witnesses_none &&
		       (l->n_witnesses == 0) == l->witnesses_none,
	       ERR_PEER, "bundle: log: a quorum of 1 to all witnesses, or witnesses_none");
	for (size_t i = 0; i < l->n_vkeys; i++)
		for (size_t j = 0; j < l->n_witnesses; j++)
			ENSURE(memcmp(out->logs[i].public, out->witnesses[j].public, NOTE_PUBLIC) !=
				       0,
			       ERR_PEER, "bundle: log: it is its own witness");
	ENSURE(l->floor_size <= INT64_MAX &&
		       message_is(l->floor_root, l->floor_size ? HASH_SIZE : 0),
	       ERR_PEER, "bundle: log: floor: a size and a root of %d bytes, or neither",
	       HASH_SIZE);
	out->floor = (struct checkpoint){.size = l->floor_size};
	strcpy(out->floor.origin, l->origin);
	if (l->floor_size)
		memcpy(out->floor.root.bytes, l->floor_root.data, HASH_SIZE);
	return OK;
}

struct err bundle_check(const TrustBundle *t, struct instruction_bundle *out)
{
	scoped(heap) struct offices *o = calloc(1, sizeof *o);
	ENSURE(o, ERR_LIMIT, "bundle: out of memory");
	ENSURE(t->version > 0, ERR_PEER, "bundle: version 0");
	ENSURE(t->from_ns > 0 && t->from_ns < t->until_ns, ERR_PEER,
	       "bundle: from_ns must lie before until_ns");
	ENSURE(message_name(t->domain), ERR_PEER, "bundle: domain: no name");
	ENSURE(t->n_authorities >= 1 && t->n_authorities <= AUTHORITIES_MAX, ERR_PEER,
	       "bundle: 1 to %d authorities", AUTHORITIES_MAX);
	for (size_t i = 0; i < t->n_authorities; i++)
		ENSURE(t->authorities[i].len >= 1 && t->authorities[i].len <= AUTHORITY_MAX,
		       ERR_PEER, "bundle: authority %zu: 1 to %d bytes", i, AUTHORITY_MAX);
	TRY(log_check(t->log, out));
	TRY(take_keys(t->control_keys, t->n_control_keys, 1, "control key", o));
	TRY(take_keys(t->verdict_keys, t->n_verdict_keys, 1, "verdict key", o));
	TRY(take_keys(t->roots, t->n_roots, 0, "root", o));
	TRY(classes_check(t));
	return approvers_check(t, o);
}

// --- opening

static struct err root_check(const Signed *s, const struct sign_public *roots, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		Key k = GEMEL__CONTROL__V1__KEY__INIT;
		if (!message_equal(s->key_id, roots[i].id, SIGN_KEY_ID))
			continue;
		k.algorithm = (uint32_t)roots[i].algorithm;
		k.public_key.data = (uint8_t *)(uintptr_t)roots[i].bytes;
		k.public_key.len = roots[i].len;
		return key_check(&k, INSTRUCTION_BUNDLE, s);
	}
	return err_make(ERR_AUTH, "by no root that this device knows");
}

static struct err in_force(const TrustBundle *t, const struct instruction_bundle *b,
			   const char *domain, const struct instruction_bundle_memory *memory,
			   int64_t now_ns, enum instruction_reason *why)
{
	CHECK(why, strcmp(t->domain, domain) == 0, BUNDLE_DOMAIN, "of domain %s, not %s", t->domain,
	      domain);
	CHECK(why, t->version >= memory->version, BUNDLE_ROLLED_BACK,
	      "version %llu; %llu is in use", (unsigned long long)t->version,
	      (unsigned long long)memory->version);
	CHECK(why,
	      t->version != memory->version || memcmp(b->digest, memory->digest, HASH_SIZE) == 0,
	      BUNDLE_FORKED, "version %llu was another bundle", (unsigned long long)t->version);
	CHECK(why, now_ns >= t->from_ns, BUNDLE_NOT_YET, "version %llu",
	      (unsigned long long)t->version);
	CHECK(why, now_ns < t->until_ns, BUNDLE_EXPIRED, "version %llu",
	      (unsigned long long)t->version);
	return OK;
}

struct err instruction_bundle_open(const uint8_t *bytes, size_t n, const struct sign_public *roots,
				   size_t n_roots, const char *domain,
				   const struct instruction_bundle_memory *memory, int64_t now_ns,
				   struct arena *a, struct instruction_bundle *out,
				   enum instruction_reason *why)
{
	enum instruction_reason own;
	Signed *s;
	why = why ? why : &own;
	*why = INSTRUCTION_BUNDLE_MALFORMED;
	memset(out, 0, sizeof *out);
	struct err e = message_read(&gemel__control__v1__signed__descriptor, bytes, n,
				    INSTRUCTION_BUNDLE_MAX, a, &s);
	if (e.code != ERR_NONE)
		return reason_refuse(why, INSTRUCTION_BUNDLE_MALFORMED, "%s", e.text);
	// The signature first: what nobody signed is not taken apart.
	e = root_check(s, roots, n_roots);
	CHECK(why, e.code == ERR_NONE, BUNDLE_SIGNATURE, "%s", e.text);
	e = message_read(&gemel__control__v1__trust_bundle__descriptor, s->body.data, s->body.len,
			 INSTRUCTION_BUNDLE_MAX, a, &out->message);
	if (e.code == ERR_NONE)
		e = bundle_check(out->message, out);
	if (e.code != ERR_NONE)
		return reason_refuse(why, INSTRUCTION_BUNDLE_MALFORMED, "%s", e.text);
	instruction_digest(INSTRUCTION_BUNDLE, s->body.data, s->body.len, out->digest);
	TRY(in_force(out->message, out, domain, memory, now_ns, why));
	*why = INSTRUCTION_GOOD;
	return OK;
}
