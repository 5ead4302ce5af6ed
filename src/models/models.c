// SPDX-License-Identifier: Apache-2.0
// The models process: the basic model of the network, in memory, rebuilt from repository's feed at
// each start. It has no file and no socket but its channels to repository, keys and northbound.
// A feed that breaks its contract ends the channel: repository comes back with a whole replay, and
// until FEED_END the last good twin answers, with its age. X.2011 clause 6 (basic model), 8.3.1-7.

#include "models/models.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"
#include "lib/ipc/messages.pb-c.h"

#include <stdlib.h>
#include <string.h>

enum { STALE_FACTOR = 3 };
static const int64_t STALE_LEAST_NS = 30 * NS_PER_S;

void twin_free(struct twin *t)
{
	checks_free(t->checks);
	forwarding_free(t->forwarding);
	topology_free(t->topology);
	state_free(t->state);
	*t = (struct twin){0};
}

struct err twin_make(struct twin *t, const struct series *s)
{
	*t = (struct twin){.state = state_new(s)};
	t->topology = t->state ? topology_new(t->state) : NULL;
	t->forwarding = t->topology ? forwarding_new(t->state, t->topology) : NULL;
	t->checks = t->forwarding ? checks_new(t->forwarding) : NULL;
	if (t->checks)
		return OK;
	twin_free(t);
	return err_make(ERR_INTERNAL, "out of memory for the twin");
}

static struct err start(struct process *p)
{
	struct models *m = calloc(1, sizeof *m);
	ENSURE(m, ERR_INTERNAL, "out of memory");
	p->self = m;
	m->p = p;
	m->next_id = 1;
	m->series = series_new();
	ENSURE(m->series, ERR_INTERNAL, "out of memory");
	m->stale_ns = p->conf->sample_interval * STALE_FACTOR;
	if (m->stale_ns < STALE_LEAST_NS)
		m->stale_ns = STALE_LEAST_NS;
	TRY(twin_make(&m->live, m->series));
	TRY(twin_make(&m->incoming, m->series));
	m->rebuilding = true;
	return events_start(m);
}

// --- the feed

static struct err on_series(struct process *p, const struct ipc_message *msg)
{
	struct models *m = p->self;
	struct err e = OK;
	Ipc__Series *s = IPC_UNPACK(series, msg, p->scratch, &e);
	if (!s)
		return e;
	for (size_t i = 0; i < s->n_items; i++)
		TRY(series_add(m->series, s->items[i]->number, s->items[i]->device,
			       s->items[i]->path, strlen(s->items[i]->path)));
	return OK;
}

static struct err ack(struct models *m)
{
	Ipc__FeedAck a = IPC__FEED_ACK__INIT;
	a.revision = m->revision;
	return process_send(m->p, PROCESS_REPOSITORY, IPC_FEED_ACK, &a.base);
}

static struct err on_feed(struct process *p, const struct ipc_message *msg)
{
	struct models *m = p->self;
	struct state_change change;
	struct twin *t = m->rebuilding ? &m->incoming : &m->live;
	if (sabotaged("mirror") && !m->rebuilding)
		return ack(m);
	struct err e = state_apply(t->state, msg->bytes, msg->len, &change);
	if (e.code == ERR_LIMIT) // half a batch is no state: start anew
		return err_make(ERR_INTERNAL, "%s", e.text);
	TRY(e);
	if (state_revision(t->state) > m->revision)
		m->revision = state_revision(t->state);
	if (!m->rebuilding)
		events_changed(m, &change);
	return ack(m);
}

static struct err on_feed_end(struct process *p, const struct ipc_message *msg)
{
	struct models *m = p->self;
	struct err e = OK;
	Ipc__FeedEnd *end = IPC_UNPACK(feed_end, msg, p->scratch, &e);
	if (!end)
		return e;
	ENSURE(m->rebuilding, ERR_PEER, "FEED_END without a replay");
	TRY(topology_refresh(m->incoming.topology));
	TRY(forwarding_refresh(m->incoming.forwarding));
	twin_free(&m->live);
	m->live = m->incoming;
	m->incoming = (struct twin){0};
	m->rebuilding = false;
	m->ready = true;
	m->revision = end->revision;
	log_notice("the twin is built: revision %llu, %u devices, %zu series",
		   (unsigned long long)end->revision,
		   catalogue_devices(series_catalogue(m->series)), series_count(m->series));
	struct state_change change = {.touched = TOUCHES_STRUCTURE};
	events_changed(m, &change); // first pass of the checks
	return ack(m);
}

static struct err on_state_feed(struct process *p, const struct ipc_message *msg)
{
	return past_feed(p->self, msg->bytes, msg->len);
}

static struct err on_state_end(struct process *p, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__StateEnd *end = IPC_UNPACK(state_end, msg, p->scratch, &e);
	return end ? past_end(p->self, end->id, end->error, end->revision) : e;
}

// --- keys and policy

static void policy_take(struct models *m)
{
	if (!m->has_policy_key || !m->policy_bytes)
		return;
	struct access_policy *fresh = NULL;
	struct err e = access_policy_load(m->policy_bytes, m->policy_len, m->policy_key, &fresh);
	if (e.code != ERR_NONE) {
		log_error("the policy snapshot is refused, the last one stays: %s", e.text);
		return;
	}
	access_policy_free(m->policy);
	m->policy = fresh;
}

static struct err on_policy(struct process *p, const struct ipc_message *msg)
{
	struct models *m = p->self;
	struct err e = OK;
	Ipc__Policy *policy = IPC_UNPACK(policy, msg, p->scratch, &e);
	if (!policy)
		return e;
	uint8_t *copy = malloc(policy->snapshot.len + 1);
	ENSURE(copy, ERR_INTERNAL, "out of memory");
	if (policy->snapshot.len)
		memcpy(copy, policy->snapshot.data, policy->snapshot.len);
	free(m->policy_bytes);
	m->policy_bytes = copy;
	m->policy_len = policy->snapshot.len;
	policy_take(m);
	return OK;
}

static struct err on_key_public(struct process *p, const struct ipc_message *msg)
{
	struct models *m = p->self;
	struct err e = OK;
	Ipc__KeyPublic *keys = IPC_UNPACK(key_public, msg, p->scratch, &e);
	if (!keys)
		return e;
	for (size_t i = 0; i < keys->n_keys; i++) {
		const Ipc__KeyPublicItem *k = keys->keys[i];
		bool ticket = k->purpose == IPC__KEY_PURPOSE__KEY_TICKET;
		bool policy = k->purpose == IPC__KEY_PURPOSE__KEY_POLICY;
		if (!ticket && !policy)
			continue;
		ENSURE(k->algorithm == 1 && k->public_key.len == 32, ERR_PEER,
		       "key for %s is not 32 bytes of Ed25519", ticket ? "tickets" : "policy");
		memcpy(ticket ? m->ticket_key : m->policy_key, k->public_key.data, 32);
		m->has_ticket_key |= ticket;
		m->has_policy_key |= policy;
	}
	policy_take(m);
	return OK;
}

static struct err on_api_request(struct process *p, const struct ipc_message *msg)
{
	return models_answer(p->self, msg->bytes, msg->len, 0);
}

// --- life

static void peer_up(struct process *p, enum process_id peer)
{
	struct models *m = p->self;
	if (peer != PROCESS_REPOSITORY)
		return;
	twin_free(&m->incoming);
	struct err e = twin_make(&m->incoming, m->series);
	if (e.code != ERR_NONE) // nothing to build into: start anew from an empty process
		abort();
	m->rebuilding = true;
}

static void peer_down(struct process *p, enum process_id peer)
{
	if (peer == PROCESS_REPOSITORY)
		past_forget(p->self);
}

static const struct process_handler handlers[] = {
	{IPC_SERIES, on_series},	 {IPC_FEED, on_feed},
	{IPC_FEED_END, on_feed_end},	 {IPC_STATE_FEED, on_state_feed},
	{IPC_STATE_END, on_state_end},	 {IPC_POLICY, on_policy},
	{IPC_KEY_PUBLIC, on_key_public}, {IPC_API_REQUEST, on_api_request},
};

extern const struct process_part models_part;
const struct process_part models_part = {
	.id = PROCESS_MODELS,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
	.start = start,
	.peer_up = peer_up,
	.peer_down = peer_down,
};
