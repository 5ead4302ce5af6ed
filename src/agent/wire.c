// SPDX-License-Identifier: Apache-2.0
// The process that speaks with the network (wire_internal.h draws it). Here: its life, what the
// other processes tell it, and the flush that hands changes to all who want them.

#include "agent/wire_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

uint32_t wire_id(struct wire *w)
{
	if (++w->next_id == 0)
		w->next_id = 1;
	return w->next_id;
}

// --- rate: a token for each update, a second's worth at most

bool wire_may_send(struct wire *w)
{
	int64_t now = clock_mono_ns(), rate = w->conf->rate;
	int64_t elapsed = now - w->tokens_ns < NS_PER_S ? now - w->tokens_ns : NS_PER_S;
	int64_t earned = elapsed * rate / NS_PER_S;
	if (earned > 0) {
		w->tokens = w->tokens + earned < rate ? w->tokens + earned : rate;
		w->tokens_ns = now;
	}
	if (w->tokens > 0)
		return true;
	if (!evtimer_pending(w->flush, NULL))
		wire_after(w->flush, 1 + (1 - w->tokens) * 1000 / rate);
	return false;
}

void wire_spend(struct wire *w, size_t updates)
{
	w->tokens -= (int64_t)updates;
}

// --- changes

struct flush {
	struct wire *wire;
	size_t n;
};

static void on_gone(void *ctx, const char *path)
{
	struct flush *f = ctx;
	f->n++;
	twin_gone(f->wire, path);
	subscribers_gone(f->wire, path);
}

static void on_leaf(void *ctx, struct tree_leaf *leaf)
{
	struct flush *f = ctx;
	f->n++;
	twin_leaf(f->wire, leaf);
	subscribers_leaf(f->wire, leaf);
}

void wire_flush(struct wire *w)
{
	static const struct tree_reader reader = {on_gone, on_leaf};
	struct flush f = {w, 0};
	// What waits stays in the tree, where later changes are merged into it.
	if (!w->has_state || !tree_changed(w->tree) || twin_holds(w) || !wire_may_send(w))
		return;
	tree_flush(w->tree, &reader, &f);
	wire_spend(w, f.n);
	twin_flushed(w);
	subscribers_flushed(w);
	if (tree_lost(w->tree))
		log_warning("the state is larger than %d leaves: some is missing", TREE_LEAVES_MAX);
}

static void on_flush_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;
	wire_flush(w);
	twin_work(w);
}

static struct err on_state(struct child *c, const struct link_message *m)
{
	struct wire *w = c->state;
	bool complete = false;
	TRY(state_receive(&w->inbox, m, &complete));
	if (!complete)
		return OK;
	if (!w->has_state) {
		w->has_state = true;
		subscribers_state(w);
		twin_work(w);
	}
	wire_flush(w);
	return OK;
}

// --- the other messages

static struct err on_listener(struct child *c, const struct link_message *m)
{
	return wire_listen(c->state, m->fd);
}

static struct err on_dialled(struct child *c, const struct link_message *m)
{
	return wire_dialled(c->state, m);
}

static struct err on_sampled(struct child *c, const struct link_message *m)
{
	return wire_sampled(c->state, m);
}

static struct err on_identity(struct child *c, const struct link_message *m)
{
	return wire_identity(c->state, m);
}

static struct err on_batch_key(struct child *c, const struct link_message *m)
{
	return twin_batch_key(c->state, m);
}

static struct err on_signed(struct child *c, const struct link_message *m)
{
	return twin_signed(c->state, m);
}

static struct err on_begin(struct child *c, const struct link_message *m)
{
	return enrol_begin(c->state, m);
}

static struct err on_complete(struct child *c, const struct link_message *m)
{
	return enrol_complete(c->state, m);
}

static struct err on_attested(struct child *c, const struct link_message *m)
{
	return wire_attested(c->state, m);
}

static void peer_down(struct child *c, enum link_process peer)
{
	struct wire *w = c->state;
	if (peer == LINK_APPLY) {
		wire_samples_drop(w);
	} else {
		twin_keys_away(w);
		wire_attest_keys_away(&w->session.attest);
		wire_attest_keys_away(&w->enrol.attest);
	}
}

static void drained(struct child *c, enum link_process peer)
{
	if (peer == LINK_KEYS)
		twin_work(c->state);
}

// --- life

static struct err open_files(struct wire *w)
{
	scoped(fd) int state = open(w->conf->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(fd) int spool =
		state < 0 ? -1 : openat(state, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool < 0)
		return err_system("%s/spool", w->conf->state);
	TRY(status_open(w, state));
	return twin_open(w, spool);
}

static struct err start(struct child *c)
{
	struct wire *w = calloc(1, sizeof *w);
	ENSURE(w, ERR_LIMIT, "out of memory");
	c->state = w;
	w->child = c;
	w->conf = c->conf;
	w->base = c->base;
	w->tree = tree_new();
	ENSURE(w->tree, ERR_LIMIT, "out of memory");
	w->inbox.tree = w->tree;
	return open_files(w);
}

static struct err sandbox(struct child *c, struct sandbox *s)
{
	// All files are open and the listener comes from the parent: it may use sockets, not make
	// any.
	static const char *const calls[] = {
		"accept4", "getsockopt", "setsockopt", "getsockname", "getpeername", "shutdown",
		"recvmsg", "sendmsg",	 "recvfrom",   "sendto",      "readv",	     "writev",
		"pread64", "pwrite64",	 "ftruncate",  "fcntl",	      "ioctl",	     NULL};
	s->syscalls = calls;
	return OK;
}

static struct err ready(struct child *c)
{
	struct wire *w = c->state;
	w->flush = evtimer_new(w->base, on_flush_timer, w);
	ENSURE(w->flush, ERR_LIMIT, "out of memory");
	TRY(samples_start(w));
	TRY(twin_start(w));
	TRY(session_start(w));
	TRY(enrol_start(w));
	TRY(service_start(w, &w->dial_in, false));
	TRY(service_start(w, &w->tunnel, true));
	return status_start(w);
}

static const struct child_handler handlers[] = {
	{LINK_LISTENER, on_listener}, {LINK_DIALLED, on_dialled},   {LINK_STATE, on_state},
	{LINK_SAMPLED, on_sampled},   {LINK_IDENTITY, on_identity}, {LINK_BATCH_KEY, on_batch_key},
	{LINK_SIGNED, on_signed},     {LINK_BEGIN, on_begin},	    {LINK_COMPLETE, on_complete},
	{LINK_ATTESTED, on_attested},
};

const struct child_part wire_part = {
	.self = LINK_WIRE,
	.start = start,
	.sandbox = sandbox,
	.ready = ready,
	.peer_down = peer_down,
	.drained = drained,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
};
