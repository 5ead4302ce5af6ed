// SPDX-License-Identifier: Apache-2.0
// keys signs by who asks; what was asked waits here, by its number, for at most PATIENCE_S.
#include "management/management.h"

#include "lib/base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 1024, PATIENCE_S = 20 };

struct waiting {
	uint64_t id; // 0: free
	signed_fn done;
	void *ctx;
	int64_t since_ns; // monotonic
};

struct signer {
	uint64_t next;
	struct waiting items[WAITING_MAX];
};

struct err signer_start(struct management *m)
{
	m->signer = calloc(1, sizeof *m->signer);
	ENSURE(m->signer, ERR_LIMIT, "no memory for signatures");
	m->signer->next = 1;
	return OK;
}

static void finish(struct management *m, struct waiting *w, struct err e, const uint8_t *signature,
		   size_t n)
{
	struct waiting was = *w;
	w->id = 0;
	was.done(m, was.ctx, e, signature, n);
}

void signer_away(struct management *m)
{
	for (size_t i = 0; i < WAITING_MAX; i++)
		if (m->signer->items[i].id)
			finish(m, &m->signer->items[i],
			       err_make(ERR_BUSY, "keys is away; try again in a moment"), NULL, 0);
}

void signer_stop(struct management *m)
{
	if (m->signer)
		signer_away(m);
	free(m->signer);
	m->signer = NULL;
}

void signer_ask(struct management *m, unsigned purpose, const void *bytes, size_t n, signed_fn done,
		void *ctx)
{
	struct signer *s = m->signer;
	struct waiting *w = NULL;
	for (size_t i = 0; i < WAITING_MAX && !w; i++)
		if (!s->items[i].id)
			w = &s->items[i];
	if (!w) {
		done(m, ctx,
		     err_make(ERR_BUSY, "%d signatures are under way; try again", WAITING_MAX),
		     NULL, 0);
		return;
	}
	Ipc__KeySign ask = IPC__KEY_SIGN__INIT;
	ask.id = s->next++;
	ask.purpose = (Ipc__KeyPurpose)purpose;
	ask.message = (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)bytes};
	*w = (struct waiting){ask.id, done, ctx, clock_mono_ns()};
	struct err e = process_send(m->p, PROCESS_KEYS, IPC_KEY_SIGN, &ask.base);
	if (e.code != ERR_NONE)
		finish(m, w, e, NULL, 0);
}

struct err signer_answer(struct management *m, const Ipc__KeySigned *a)
{
	for (size_t i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &m->signer->items[i];
		if (!w->id || w->id != a->id)
			continue;
		struct err e = *a->error ? err_make(ERR_DENIED, "keys: %s", a->error) : OK;
		finish(m, w, e, a->signature.data, a->signature.len);
		return OK;
	}
	return OK; // it came too late
}

void signer_tick(struct management *m)
{
	int64_t now = clock_mono_ns();
	for (size_t i = 0; i < WAITING_MAX; i++) {
		struct waiting *w = &m->signer->items[i];
		if (w->id && now - w->since_ns > PATIENCE_S * NS_PER_S)
			finish(m, w, err_make(ERR_BUSY, "keys did not answer"), NULL, 0);
	}
}
