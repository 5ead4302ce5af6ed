// SPDX-License-Identifier: Apache-2.0
// The process around store.h and rules.h: hands every neighbour the public keys when it comes up,
// and answers KEY_SIGN. A refusal is an answer, so that the asker can record it, and is counted.

#include "keys/keys.h"

#include "keys/rules.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/messages.pb-c.h"

#include <openssl/crypto.h>
#include <stdlib.h>

_Static_assert((int)PURPOSE_CHECKPOINT == (int)IPC__KEY_PURPOSE__KEY_CHECKPOINT, "numbers agree");
_Static_assert((int)PURPOSE_TICKET == (int)IPC__KEY_PURPOSE__KEY_TICKET, "numbers agree");
_Static_assert((int)PURPOSE_CONTROL == (int)IPC__KEY_PURPOSE__KEY_CONTROL, "numbers agree");
_Static_assert((int)PURPOSE_VERDICT == (int)IPC__KEY_PURPOSE__KEY_VERDICT, "numbers agree");
_Static_assert((int)PURPOSE_CERTIFICATE == (int)IPC__KEY_PURPOSE__KEY_CERTIFICATE, "numbers agree");
_Static_assert((int)PURPOSE_POLICY == (int)IPC__KEY_PURPOSE__KEY_POLICY, "numbers agree");
_Static_assert((int)PURPOSE_BUNDLE == (int)IPC__KEY_PURPOSE__KEY_BUNDLE, "numbers agree");

struct keys {
	struct key_store store;
	uint64_t made, refused;
};

// Before the sandbox. OpenSSL's secure heap locks private keys into memory and out of core dumps.
static struct err start(struct process *p)
{
	enum { HEAP = 65536, LEAST = 16 };
	TRY(crypto_start());
	if (!CRYPTO_secure_malloc_initialized() && CRYPTO_secure_malloc_init(HEAP, LEAST) != 1)
		log_warning("private keys cannot be locked into memory: raise the memlock limit");
	struct keys *k = calloc(1, sizeof *k);
	ENSURE(k, ERR_LIMIT, "no memory for keys");
	p->self = k;
	TRY(key_store_open(&k->store, p->state_dir, p->conf->name, clock_wall_ns()));
	return OK;
}

static void count(struct process *p)
{
	const struct keys *k = p->self;
	process_metric(p, "gemel_keys_signatures_total", "", (double)k->made, true,
		       "signatures made by the keys process");
	process_metric(p, "gemel_keys_refused_total", "", (double)k->refused, true,
		       "signatures that the keys process refused to the asking process");
}

static struct err send_public(struct process *p, enum process_id to)
{
	const struct key_store *s = &((struct keys *)p->self)->store;
	Ipc__KeyPublicItem items[PURPOSES], *list[PURPOSES];
	size_t n = 0;
	for (unsigned purpose = 1; purpose < PURPOSES; purpose++) {
		const struct sign_public *public = sign_key_public(s->keys[purpose]);
		Ipc__KeyPublicItem *item = &items[n];
		ipc__key_public_item__init(item);
		item->purpose = (Ipc__KeyPurpose)purpose;
		item->algorithm = public->algorithm;
		item->public_key.data = (uint8_t *)(uintptr_t) public->bytes;
		item->public_key.len = public->len;
		list[n++] = item;
	}
	Ipc__KeyPublic m = IPC__KEY_PUBLIC__INIT;
	m.keys = list;
	m.n_keys = n;
	m.root_certificate.data = s->root.data;
	m.root_certificate.len = s->root.len;
	m.issuing_certificate.data = s->issuing.data;
	m.issuing_certificate.len = s->issuing.len;
	return process_send(p, to, IPC_KEY_PUBLIC, &m.base);
}

static void peer_up(struct process *p, enum process_id peer)
{
	if (!ipc_joined(PROCESS_KEYS, peer) || peer == PROCESS_PARENT)
		return;
	struct err e = send_public(p, peer);
	if (e.code != ERR_NONE)
		log_warning("public keys to %s: %s", process_name(peer), e.text);
}

static struct err on_sign(struct process *p, const struct ipc_message *m)
{
	struct keys *k = p->self;
	struct err e = OK;
	Ipc__KeySign *ask = IPC_UNPACK(key_sign, m, p->scratch, &e);
	if (!ask)
		return e;
	struct sign_signature made;
	Ipc__KeySigned answer = IPC__KEY_SIGNED__INIT;
	answer.id = ask->id;
	e = key_rules_sign(&k->store, m->from, ask->purpose, ask->message.data, ask->message.len,
			   &made);
	if (e.code == ERR_NONE) {
		answer.signature.data = made.bytes;
		answer.signature.len = made.len;
		k->made++;
	} else {
		log_warning("refused: %s", e.text);
		answer.error = (char *)(uintptr_t)e.text;
		k->refused++;
	}
	count(p);
	return process_send(p, m->from, IPC_KEY_SIGNED, &answer.base);
}

static struct err ready(struct process *p)
{
	count(p);
	return OK;
}

static void stop(struct process *p)
{
	struct keys *k = p->self;
	if (!k)
		return;
	key_store_clear(&k->store);
	free(k);
	p->self = NULL;
}

static const struct process_handler handlers[] = {{IPC_KEY_SIGN, on_sign}};
static const char *const syscalls[] = {"getrandom", "mlock", "munlock", "madvise", NULL};

const struct process_part keys_part = {
	.id = PROCESS_KEYS,
	.has_state = true,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
	.syscalls = syscalls,
	.start = start,
	.ready = ready,
	.peer_up = peer_up,
	.stop = stop,
};
