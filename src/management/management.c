// SPDX-License-Identifier: Apache-2.0
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "management/api.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// --- life

static struct err start_parts(struct management *m)
{
	int64_t now = now_of(m);
	TRY(keep_open(m->p->state_dir, &m->keep));
	TRY(sessions_load(m->keep, now, &m->sessions));
	TRY(devices_load(m->keep, &m->devices));
	m->backoff = backoff_new();
	ENSURE(m->backoff, ERR_LIMIT, "no memory for back-off");
	TRY(outbox_start(m));
	TRY(signer_start(m));
	TRY(denials_start(m));
	TRY(alerts_start(m));
	TRY(nonces_start(m));
	TRY(joins_start(m));
	TRY(visits_start(m));
	TRY(api_start(m));
	TRY(authority_start(m));
	TRY(inventory_targets(m));
	if (keep_was_torn(m->keep)) // X.2011 8.3.3-9
		alert(m, "high", "management.state-torn", "management", "",
		      "The last change in management's state was torn and was dropped.",
		      "After a power cut nothing is to be done: it was never acknowledged. Else "
		      "compare "
		      "accounts and devices with the ledger.",
		      1);
	return login_first(m);
}

static struct err start(struct process *p)
{
	TRY(crypto_start());
	struct management *m = p->self = calloc(1, sizeof *m);
	ENSURE(m, ERR_LIMIT, "no memory for management");
	m->p = p;
	m->first_login = -1;
	return start_parts(m);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct management *m = ctx;
	signer_tick(m);
	outbox_tick(m);
	denials_tick(m);
	alerts_tick(m);
	login_tick(m);
	visits_tick(m);
	if (m->ticks % 10 == 0)
		inventory_tick(m);
	if (m->ticks++ % 60 == 0)
		tokens_tick(m);
	policy_tick(m);
	authority_tick(m);
	status_metrics(m);
}

static struct err ready(struct process *p)
{
	struct management *m = p->self;
	struct timeval second = {.tv_sec = 1};
	m->tick = event_new(p->base, -1, EV_PERSIST, on_tick, m);
	ENSURE(m->tick && event_add(m->tick, &second) == 0, ERR_LIMIT, "no memory for a timer");
	status_metrics(m);
	return OK;
}

static void stop(struct process *p)
{
	struct management *m = p->self;
	if (!m)
		return;
	if (m->tick)
		event_free(m->tick);
	if (m->signer)
		signer_stop(m);
	denials_stop(m);
	alerts_stop(m);
	nonces_stop(m);
	joins_stop(m);
	visits_stop(m);
	api_stop(m);
	authority_stop(m);
	outbox_stop(m);
	backoff_free(m->backoff);
	sessions_free(m->sessions);
	devices_free(m->devices);
	access_policy_free(m->policy);
	buf_clear(&m->snapshot);
	buf_clear(&m->key_public);
	buf_clear(&m->status);
	keep_close(m->keep);
	if (m->first_login >= 0)
		close(m->first_login);
	free(m);
	p->self = NULL;
}

// --- neighbours

static void peer_up(struct process *p, enum process_id peer)
{
	struct management *m = p->self;
	if (peer == PROCESS_NORTHBOUND)
		policy_keys_send(m);
	if (peer == PROCESS_REPOSITORY || peer == PROCESS_NORTHBOUND || peer == PROCESS_TELEMETRY)
		policy_send(m, peer);
	if (peer == PROCESS_REPOSITORY) {
		inventory_states_send(m);
		outbox_again(m);
	}
	if (peer == PROCESS_TELEMETRY)
		inventory_targets_send(m);
}

static void peer_down(struct process *p, enum process_id peer)
{
	struct management *m = p->self;
	if (peer == PROCESS_KEYS)
		signer_away(m);
	if (peer == PROCESS_TELEMETRY)
		visits_forget(m);
}

// --- dispatch

#define HANDLER(name, lower, Type, call)                                                           \
	static struct err name(struct process *p, const struct ipc_message *msg)                   \
	{                                                                                          \
		struct err e = OK;                                                                 \
		Type *r = IPC_UNPACK(lower, msg, p->scratch, &e);                                  \
		if (!r)                                                                            \
			return e;                                                                  \
		return call;                                                                       \
	}

HANDLER(on_signed, key_signed, Ipc__KeySigned, signer_answer(p->self, r))
HANDLER(on_cert, cert_request, Ipc__CertRequest, authority_request(p->self, msg->from, r))
HANDLER(on_enrol, enrol_request, Ipc__EnrolRequest, join_request(p->self, r))
HANDLER(on_admit, admit_request, Ipc__AdmitRequest, admit_request(p->self, r))
HANDLER(on_session_end, session_end, Ipc__SessionEnd, admit_ended(p->self, r))
HANDLER(on_observed, observed, Ipc__Observed, alerts_observed(p->self, r))
HANDLER(on_recorded, recorded, Ipc__Recorded, outbox_recorded(p->self, r))
HANDLER(on_check, session_check, Ipc__SessionCheck, login_check(p->self, r))
HANDLER(on_api, api_request, Ipc__ApiRequest, api_request(p->self, r))

static struct err on_status(struct process *p, const struct ipc_message *msg)
{
	return status_take(p->self, msg);
}

static struct err on_keys(struct process *p, const struct ipc_message *msg)
{
	return policy_keys(p->self, msg);
}

static const struct process_handler handlers[] = {
	{IPC_PROCESS_STATUS, on_status},   {IPC_KEY_SIGNED, on_signed},
	{IPC_KEY_PUBLIC, on_keys},	   {IPC_CERT_REQUEST, on_cert},
	{IPC_ENROL_REQUEST, on_enrol},	   {IPC_ADMIT_REQUEST, on_admit},
	{IPC_SESSION_END, on_session_end}, {IPC_OBSERVED, on_observed},
	{IPC_RECORDED, on_recorded},	   {IPC_SESSION_CHECK, on_check},
	{IPC_API_REQUEST, on_api},
};

// The state's two files are open; Argon2id maps and unmaps its 64 MiB.
static const char *const syscalls[] = {"pwrite64",  "pread64", "fdatasync", "fsync",   "ftruncate",
				       "getrandom", "mlock",   "munlock",   "madvise", NULL};

const struct process_part management_part = {
	.id = PROCESS_MANAGEMENT,
	.has_state = true,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
	.syscalls = syscalls,
	.start = start,
	.ready = ready,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.stop = stop,
};
