// SPDX-License-Identifier: Apache-2.0
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/random.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { PATHS_BYTES = 256 << 20 };

struct telemetry_limits telemetry_limits = {
	.source_handshakes = {.per_s = 4, .burst = 64},
	.all_handshakes = {.per_s = 200, .burst = 200},
	.source_connections = 512,
	.connections = 8192,
	.handshakes = 64,
	.enrolments = 256,
	.answer_s = 10,
	.register_s = 120,
	.enrolment_s = 60,
	.device_flight = 4 << 20,
	.all_flight = 16 << 20,
	.share_least = 64 << 10,
	.backlog = 16 << 20,
	.bytes_per_update = 512,
	.retry_ns = NS_PER_S / 2,
	.retry_most_ns = 60 * NS_PER_S,
	.refuse_ms = 3000,
	.open_ms = 10000,
	.slow_ms = 20000,
};

// --- messages

static struct err on_cert_issued(struct process *p, const struct ipc_message *m)
{
	return identity_issued(telemetry_of(p), m);
}

static struct err on_enrol_answer(struct process *p, const struct ipc_message *m)
{
	return enrolment_answer(telemetry_of(p), m);
}

static struct err on_admit_answer(struct process *p, const struct ipc_message *m)
{
	return session_answer(telemetry_of(p), m);
}

static struct err on_device_drop(struct process *p, const struct ipc_message *m)
{
	return device_drop(telemetry_of(p), m);
}

static struct err on_target(struct process *p, const struct ipc_message *m)
{
	return target_set(telemetry_of(p), m);
}

static struct err on_grant(struct process *p, const struct ipc_message *m)
{
	return device_grant(telemetry_of(p), m);
}

static struct err on_grant_revoke(struct process *p, const struct ipc_message *m)
{
	return device_revoke(telemetry_of(p), m);
}

static struct err on_batch_ack(struct process *p, const struct ipc_message *m)
{
	return collect_acked(telemetry_of(p), m);
}

static struct err on_batch_refused(struct process *p, const struct ipc_message *m)
{
	return collect_refused(telemetry_of(p), m);
}

// What telemetry decides alone, it decides by grants and admissions; it needs no policy of its own.
static struct err on_policy(struct process *p, const struct ipc_message *m)
{
	return OK;
}

// --- life

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct telemetry *t = ctx;
	identity_tick(t);
	accept_tick(t);
	sessions_tick(t);
	enrolment_tick(t);
	targets_tick(t);
	observe_tick(t);
	observe_metrics(t);
}

static void on_acks(evutil_socket_t fd, short what, void *ctx)
{
	collect_tell_acks(ctx);
}

// Each device is a descriptor: as many as the system lets us have.
static void raise_descriptors(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur == l.rlim_max)
		return;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) != 0)
		log_warning("more than 1,024 descriptors are not allowed");
}

static struct err self_make(struct process *p)
{
	if (p->self)
		return OK;
	struct telemetry *t = p->self = calloc(1, sizeof *t);
	ENSURE(t, ERR_INTERNAL, "out of memory");
	t->p = p;
	t->next_id = 1;
	LIST_INIT(&t->targets);
	LIST_INIT(&t->scopes);
	TAILQ_INIT(&t->turns);
	TAILQ_INIT(&t->acks);
	return accept_start(t);
}

static struct err start(struct process *p)
{
	TRY(self_make(p)); // a listener may have come first
	struct telemetry *t = telemetry_of(p);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptors();
	TRY(crypto_start());
	TRY(random_bytes(&t->hash_key, sizeof t->hash_key));
	t->paths = paths_new(&t->hash_key, PATHS_BYTES);
	t->tick = event_new(p->base, -1, EV_PERSIST, on_tick, t);
	t->acks_event = event_new(p->base, -1, 0, on_acks, t);
	ENSURE(t->paths && t->tick && t->acks_event, ERR_INTERNAL, "out of memory");
	TRY(observe_start(t));
	TRY(ingest_start(t));
	TRY(identity_start(t));
	TRY(session_start(t));
	return enrolment_start(t);
}

static struct err ready(struct process *p)
{
	struct telemetry *t = telemetry_of(p);
	ENSURE(event_add(t->tick, &(struct timeval){.tv_sec = 1}) == 0, ERR_INTERNAL,
	       "out of memory");
	identity_tick(t);
	return OK;
}

static struct err listener(struct process *p, const char *name, int fd)
{
	TRY(self_make(p));
	bool tunnel = strcmp(name, "telemetry") == 0;
	ENSURE(tunnel || strcmp(name, "enrolment") == 0, ERR_PEER, "a listener named \"%.32s\"",
	       name);
	return accept_listener(telemetry_of(p), tunnel ? LISTEN_TUNNEL : LISTEN_ENROLMENT, fd);
}

static void dialled(struct process *p, uint64_t id, int fd, const char *error)
{
	target_dialled(telemetry_of(p), id, fd, error);
}

static void peer_up(struct process *p, enum process_id peer)
{
	struct telemetry *t = telemetry_of(p);
	if (!t || !p->running || peer != PROCESS_MANAGEMENT)
		return; // the repository sends its grants by itself
	identity_tick(t);
	sessions_ask_again(t);
	observe_tick(t);
}

static void peer_down(struct process *p, enum process_id peer)
{
	struct telemetry *t = telemetry_of(p);
	if (t && peer == PROCESS_REPOSITORY) {
		pressure_drained(t);
		devices_forget(t);
	} else if (t && peer == PROCESS_MANAGEMENT) {
		enrolment_away(t); // collection goes on; newcomers wait or are told
	}
}

static void drained(struct process *p, enum process_id peer)
{
	if (p->self && peer == PROCESS_REPOSITORY)
		pressure_drained(telemetry_of(p));
}

static const struct process_handler handlers[] = {
	{IPC_CERT_ISSUED, on_cert_issued},
	{IPC_ENROL_ANSWER, on_enrol_answer},
	{IPC_ADMIT_ANSWER, on_admit_answer},
	{IPC_DEVICE_DROP, on_device_drop},
	{IPC_TARGET, on_target},
	{IPC_GRANT, on_grant},
	{IPC_GRANT_REVOKE, on_grant_revoke},
	{IPC_BATCH_ACK, on_batch_ack},
	{IPC_BATCH_REFUSED, on_batch_refused},
	{IPC_POLICY, on_policy},
};

static const char *const syscalls[] = {"accept4",    "getpeername", "getsockname", "shutdown",
				       "setsockopt", "getsockopt",  NULL};

const struct process_part telemetry_part = {
	.id = PROCESS_TELEMETRY,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
	.syscalls = syscalls,
	.start = start,
	.ready = ready,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.drained = drained,
	.listener = listener,
	.dialled = dialled,
};
