// SPDX-License-Identifier: Apache-2.0
// The policy snapshot: made here, signed by keys, taken up here as everywhere, and confirmed every
// five minutes with a new one, because its holders trust none that is older than fifteen. Its
// version grows when what it says changes. X.2011 8.2.1-1, 8.3.3-3.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIRM_S = 300, RETRY_S = 10, TIME_AT = 16 + 8 }; // where the encoded time begins

static const enum process_id holders[] = {PROCESS_REPOSITORY, PROCESS_NORTHBOUND,
					  PROCESS_TELEMETRY};

// What it says, without version and time.
static void hash_of(char hex[HASH_HEX])
{
	scoped(buf) struct buf b = {0};
	uint8_t hash[HASH_SIZE];
	access_policy_encode_default(&b, 0, 0);
	hash_sha256(b.data, b.len, hash);
	hash_hex(hash, sizeof hash, hex);
}

// The version under which this content is known; a new one when it has changed.
static struct err version_of(struct management *m, uint64_t *version)
{
	char hex[HASH_HEX];
	hash_of(hex);
	json_t *row = keep_get_json(m->keep, "policy", "current");
	const char *known = json_string_value(json_object_get(row, "hash"));
	*version = (uint64_t)json_integer_value(json_object_get(row, "version"));
	bool same = known && strcmp(known, hex) == 0;
	json_decref(row);
	if (same)
		return OK;
	row = json_pack("{s:s,s:I}", "hash", hex, "version", (json_int_t)++ * version);
	keep_put_json(m->keep, "policy", "current", row);
	record(m, "policy.changed", "policy", "management", row);
	return commit(m);
}

void policy_send(struct management *m, enum process_id to)
{
	Ipc__Policy s = IPC__POLICY__INIT;
	if (!m->snapshot.len)
		return;
	s.snapshot = (ProtobufCBinaryData){m->snapshot.len, m->snapshot.data};
	struct err e = process_send(m->p, to, IPC_POLICY, &s.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("the policy cannot be sent to %s: %s", process_name(to), e.text);
}

static void snapshot_signed(struct management *m, void *ctx, struct err e, const uint8_t *signature,
			    size_t n)
{
	struct buf *b = ctx;
	struct access_policy *fresh = NULL;
	if (e.code == ERR_NONE) {
		buf_append(b, signature, n);
		e = buf_check(b, "policy");
	}
	if (e.code == ERR_NONE)
		e = access_policy_load(b->data, b->len, m->policy_key, &fresh);
	if (e.code == ERR_NONE) {
		access_policy_free(m->policy);
		m->policy = fresh;
		buf_reset(&m->snapshot);
		buf_append(&m->snapshot, b->data, b->len);
		for (size_t i = 0; i < sizeof holders / sizeof *holders; i++)
			policy_send(m, holders[i]);
	} else {
		log_warning("the policy was not signed: %s", e.text);
		m->snapshot_ns = now_of(m) - (CONFIRM_S - RETRY_S) * NS_PER_S;
	}
	buf_clear(b);
	free(b);
}

void policy_make(struct management *m)
{
	struct buf *b = calloc(1, sizeof *b);
	m->snapshot_ns = now_of(m);
	if (!b)
		return;
	struct err e = version_of(m, &m->snapshot_version);
	if (e.code != ERR_NONE) {
		log_error("the policy's version: %s", e.text);
		free(b);
		return;
	}
	access_policy_encode_default(b, m->snapshot_version, m->snapshot_ns);
	signer_ask(m, IPC__KEY_PURPOSE__KEY_POLICY, b->data, b->len, snapshot_signed, b);
}

void policy_tick(struct management *m)
{
	if (m->has_keys && now_of(m) - m->snapshot_ns >= CONFIRM_S * NS_PER_S)
		policy_make(m);
	access_policy_refresh(m->policy, now_of(m)); // we are the ones who would change it
}

// --- public keys

static bool take(uint8_t out[32], const Ipc__KeyPublicItem *k)
{
	if (k->algorithm != SIGN_ED25519 || k->public_key.len != SIGN_ED25519_PUBLIC)
		return false;
	memcpy(out, k->public_key.data, SIGN_ED25519_PUBLIC);
	return true;
}

// northbound verifies tickets and policy, and does not know keys.
void policy_keys_send(struct management *m)
{
	if (!m->has_keys)
		return;
	struct err e = ipc_send(m->p->peers[PROCESS_NORTHBOUND], IPC_KEY_PUBLIC, m->key_public.data,
				m->key_public.len, -1);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("public keys to northbound: %s", e.text);
}

struct err policy_keys(struct management *m, const struct ipc_message *msg)
{
	struct err e = OK;
	bool ticket = false, policy = false;
	Ipc__KeyPublic *k = IPC_UNPACK(key_public, msg, m->p->scratch, &e);
	if (!k)
		return e;
	for (size_t i = 0; i < k->n_keys; i++) {
		if (k->keys[i]->purpose == IPC__KEY_PURPOSE__KEY_TICKET)
			ticket = take(m->ticket_key, k->keys[i]);
		if (k->keys[i]->purpose == IPC__KEY_PURPOSE__KEY_POLICY)
			policy = take(m->policy_key, k->keys[i]);
	}
	ENSURE(ticket && policy, ERR_PEER, "KEY_PUBLIC without the keys of tickets and policy");
	buf_reset(&m->key_public);
	buf_append(&m->key_public, msg->bytes, msg->len);
	m->has_keys = true;
	policy_keys_send(m);
	TRY(authority_keys(m, k->root_certificate.data, k->root_certificate.len,
			   k->issuing_certificate.data, k->issuing_certificate.len));
	policy_make(m);
	return OK;
}
