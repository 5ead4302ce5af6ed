// SPDX-License-Identifier: Apache-2.0
// The process: what each message does, what happens when a neighbour comes or goes, and the ticks.
// Files are opened before the sandbox closes; they are read, and what the last life left is brought
// back, after it: hostile bytes on the disk meet a process that can do nothing else.
#include "repository/repository.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"
#include "repository/feed.h"

#include <stdlib.h>
#include <string.h>

static const int64_t tick_ns = 100 * NS_PER_MS, scrub_every = 6 * 3600 * NS_PER_S;

// Nothing that follows could be vouched for: the parent starts a new process, which reads back what
// was acknowledged.
static void must(struct err e, const char *what)
{
	if (e.code == ERR_NONE)
		return;
	log_error("%s: %s", what, e.text);
	exit(EXIT_FAILURE);
}

// --- ticks

static void on_sync(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd, (void)what;
	must(ingest_sync(ctx), "sync");
}

static void metrics(struct repository *r)
{
	const struct counters *c = &r->count;
	const struct {
		const char *name;
		double value;
		bool counter;
		const char *help;
	} list[] = {
		{"gemel_repository_points_total", (double)c->points, true, "points taken in"},
		{"gemel_repository_batches_total", (double)c->batches, true, "batches taken in"},
		{"gemel_repository_refused_total", (double)c->refused, true, "batches refused"},
		{"gemel_repository_syncs_total", (double)c->syncs, true, "syncs of the journal"},
		{"gemel_repository_reads_total", (double)c->reads, true, "answers with data"},
		{"gemel_repository_commits_total", (double)c->commits, true,
		 "commits of the store"},
		{"gemel_repository_chunk_points_total", (double)c->chunk_points, true,
		 "points written into chunks"},
		{"gemel_repository_chunk_bytes_total", (double)c->chunk_bytes, true,
		 "bytes of sealed chunks"},
		{"gemel_repository_sync_seconds", (double)c->sync_ns / 1e9, false,
		 "how long the last sync of the journal took"},
		{"gemel_repository_devices", r->index.n_devices, false, "devices known"},
		{"gemel_repository_series", r->index.n_series, false, "series known"},
		{"gemel_repository_head_bytes", (double)r->index.head_bytes, false,
		 "memory of points that are not in chunks yet"},
		{"gemel_repository_journal_bytes", (double)journal_bytes(r->journal), false,
		 "bytes of the journal"},
		{"gemel_repository_damaged", r->damaged, false,
		 "1: something stored is not what it was"},
		{"gemel_ledger_entries", (double)ledger_size(r->ledger), false,
		 "entries of the ledger"},
		{"gemel_ledger_checkpoint_entries", (double)ledger_checkpoint_size(r->ledger),
		 false, "entries under the signed head"},
	};
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		process_metric(r->p, list[i].name, "", list[i].value, list[i].counter,
			       list[i].help);
}

// What comes once a second.
static void second(struct repository *r, int64_t now)
{
	aggregate_tick(r->aggregate, clock_wall_ns());
	if (r->policy && r->p->peers[PROCESS_MANAGEMENT])
		access_policy_refresh(r->policy, clock_wall_ns());
	metrics(r);
	if (now - r->last_scrub_ns > scrub_every) { // X.2011 9.2-storage
		r->last_scrub_ns = now;
		must(scrub_start(r), "scrub");
	}
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct repository *r = ctx;
	int64_t now = clock_mono_ns();
	(void)fd, (void)what;
	if (r->feed_lost)
		must(err_make(ERR_INTERNAL, "models does not read"), "feed");
	if (!r->read_only)
		must(flush_housekeeping(r), "flush");
	must(ledger_tick(r->ledger), "ledger");
	if (now - r->last_second_ns >= NS_PER_S) {
		r->last_second_ns = now;
		second(r, now);
	}
}

// --- messages

static void take_policy(struct repository *r)
{
	struct access_policy *fresh = NULL;
	if (!r->have_keys || !r->policy_bytes.len)
		return;
	struct err e = access_policy_load(r->policy_bytes.data, r->policy_bytes.len, r->policy_key,
					  &fresh);
	if (e.code != ERR_NONE) {
		log_error("the policy snapshot is refused, the last one stays: %s", e.text);
		return;
	}
	access_policy_free(r->policy);
	r->policy = fresh;
	feed_policy(r);
}

static struct err on_policy(struct process *p, const struct ipc_message *msg)
{
	struct repository *r = repository_of(p);
	struct err e = OK;
	Ipc__Policy *m = IPC_UNPACK(policy, msg, p->scratch, &e);
	if (!m)
		return e;
	buf_reset(&r->policy_bytes);
	buf_append(&r->policy_bytes, m->snapshot.data, m->snapshot.len);
	TRY(buf_check(&r->policy_bytes, "policy"));
	take_policy(r);
	return OK;
}

static struct err on_key_public(struct process *p, const struct ipc_message *msg)
{
	struct repository *r = repository_of(p);
	struct err e = OK;
	Ipc__KeyPublic *m = IPC_UNPACK(key_public, msg, p->scratch, &e);
	if (!m)
		return e;
	const uint8_t *checkpoint = NULL, *ticket = NULL, *policy = NULL;
	for (size_t i = 0; i < m->n_keys; i++) {
		const Ipc__KeyPublicItem *k = m->keys[i];
		const uint8_t **at = k->purpose == IPC__KEY_PURPOSE__KEY_CHECKPOINT ? &checkpoint
				     : k->purpose == IPC__KEY_PURPOSE__KEY_TICKET   ? &ticket
				     : k->purpose == IPC__KEY_PURPOSE__KEY_POLICY   ? &policy
										    : NULL;
		if (!at)
			continue;
		ENSURE(k->algorithm == 1 && k->public_key.len == 32, ERR_PEER,
		       "KEY_PUBLIC: the key for purpose %d is not 32 bytes of Ed25519", k->purpose);
		*at = k->public_key.data;
	}
	ENSURE(checkpoint && ticket && policy, ERR_PEER,
	       "KEY_PUBLIC: the keys for checkpoints, tickets and policy must all be there");
	memcpy(r->ticket_key, ticket, 32);
	memcpy(r->policy_key, policy, 32);
	r->have_keys = true;
	ledger_keys(r->ledger, checkpoint);
	take_policy(r);
	return OK;
}

static struct err on_device_state(struct process *p, const struct ipc_message *m)
{
	return devices_state(repository_of(p), m);
}

static struct err on_series(struct process *p, const struct ipc_message *m)
{
	return ingest_series(repository_of(p), m);
}

static struct err on_batch(struct process *p, const struct ipc_message *m)
{
	return ingest_batch(repository_of(p), m->bytes, m->len);
}

static struct err on_feed_ack(struct process *p, const struct ipc_message *m)
{
	(void)m;
	feed_drained(repository_of(p), PROCESS_MODELS);
	return OK;
}

static struct err on_state_at(struct process *p, const struct ipc_message *m)
{
	return moments_state_at(repository_of(p), m);
}

static struct err on_record(struct process *p, const struct ipc_message *m)
{
	return ledger_record(repository_of(p)->ledger, m);
}

static struct err on_key_signed(struct process *p, const struct ipc_message *m)
{
	return ledger_signed(repository_of(p)->ledger, m);
}

static struct err on_witness_answer(struct process *p, const struct ipc_message *m)
{
	return ledger_witnessed(repository_of(p)->ledger, m);
}

static struct err on_api_request(struct process *p, const struct ipc_message *m)
{
	return api_request(repository_of(p), m);
}

static struct err on_api_cancel(struct process *p, const struct ipc_message *m)
{
	return api_cancel(repository_of(p), m);
}

// --- life

static struct err start(struct process *p)
{
	struct repository *r;
	TRY(repository_open(p, &r));
	p->self = r;
	return OK;
}

static struct err ready(struct process *p)
{
	struct repository *r = repository_of(p);
	const struct timeval every = {.tv_usec = tick_ns / 1000};
	TRY(repository_recover(r));
	r->last_scrub_ns = clock_mono_ns();
	r->sync_event = event_new(p->base, -1, 0, on_sync, r);
	r->tick_event = event_new(p->base, -1, EV_PERSIST, on_tick, r);
	r->verify_event = event_new(p->base, -1, 0, scrub_slice, r);
	ENSURE(r->sync_event && r->tick_event && r->verify_event &&
		       event_add(r->tick_event, &every) == 0,
	       ERR_LIMIT, "no memory for the repository's ticks");
	return ingest_sync(r); // the entries of the start itself
}

static void peer_up(struct process *p, enum process_id peer)
{
	struct repository *r = repository_of(p);
	if (peer == PROCESS_TELEMETRY) {
		if (r->n_sources) // its numbers were of the channel before
			memset(r->sources, 0, r->n_sources * sizeof *r->sources);
		feed_telemetry_up(r);
		devices_grant_all(r);
	} else if (peer == PROCESS_MODELS) {
		feed_models_up(r);
	} else if (peer == PROCESS_NORTHBOUND && r->damaged) {
		repository_event_damaged(r); // it may have been away, or not yet there
	}
}

static void peer_down(struct process *p, enum process_id peer)
{
	struct repository *r = repository_of(p);
	ledger_peer_gone(r->ledger, peer);
	if (peer == PROCESS_MODELS)
		feed_models_down(r);
	if (peer == PROCESS_NORTHBOUND)
		scrub_forget(r);
}

static void drained(struct process *p, enum process_id peer)
{
	feed_drained(repository_of(p), peer);
}

static void stop(struct process *p)
{
	struct repository *r = repository_of(p);
	if (!r)
		return;
	r->stopping = true;
	struct err e = ingest_sync(r);
	if (e.code == ERR_NONE)
		e = journal_end(r->journal);
	if (e.code != ERR_NONE)
		log_error("stop: %s", e.text);
	repository_close(r);
	p->self = NULL;
}

static const struct process_handler handlers[] = {
	{IPC_DEVICE_STATE, on_device_state},
	{IPC_SERIES, on_series},
	{IPC_BATCH, on_batch},
	{IPC_FEED_ACK, on_feed_ack},
	{IPC_STATE_AT, on_state_at},
	{IPC_RECORD, on_record},
	{IPC_KEY_SIGNED, on_key_signed},
	{IPC_KEY_PUBLIC, on_key_public},
	{IPC_POLICY, on_policy},
	{IPC_WITNESS_ANSWER, on_witness_answer},
	{IPC_API_REQUEST, on_api_request},
	{IPC_API_CANCEL, on_api_cancel},
};

// Files within its own state folder only: Landlock sees to that.
static const char *const syscalls[] = {
	"openat",     "newfstatat", "pread64", "pwrite64", "ftruncate", "fsync",    "fdatasync",
	"getdents64", "unlinkat",   "unlink",  "mkdirat",  "linkat",	"renameat", NULL,
};

const struct process_part repository_part = {
	.id = PROCESS_REPOSITORY,
	.has_state = true,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
	.syscalls = syscalls,
	.start = start,
	.ready = ready,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.drained = drained,
	.stop = stop,
};
