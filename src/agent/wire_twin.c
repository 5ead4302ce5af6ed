// SPDX-License-Identifier: Apache-2.0
// The signed stream to the twin. What telemetry subscribed to last goes on into the spool while it
// is away; the stream only reads the spool, in order, from what is not acknowledged.
//
//     changes, samples, tellings -> chain -> keys signs -> spool -> pump -> Subscribe in the tunnel
//                                                            ^-- BatchAck
//
// A *telling* puts the whole state into the chain, in portions that other changes pass between. It
// begins by deleting what it is about to tell (`wipes`) when the twin may know of things that are
// no longer so: after this process started anew, after a failure, and for paths that were not
// subscribed before. A new key begins a new chain and a telling. X.2011 8.3.1-5, 9.2-source.
//
// A chain with a hole in it proves nothing behind the hole: when the spool overflowed or the twin
// refuses a batch for its place, the rest of that chain is given up (and counted as lost), and a
// new one begins.

#include "agent/wire_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <stdio.h>
#include <string.h>

enum { PORTION = 8000, PORTION_BYTES = 700 << 10, FAULT_MS = 5000, STRIKES = 3 };

static struct link *keys_of(const struct wire *w)
{
	return w->child->links[LINK_KEYS];
}

// --- faults and keys

// What was to be chained was not: the twin does not have the state any more. A new chain, soon.
static void fault(struct wire *w, struct err why)
{
	struct twin *t = &w->twin;
	log_warning("batches: %s; a new chain begins", why.text);
	t->missed = true;
	t->telling = false;
	wire_after(t->rotate, FAULT_MS);
}

void twin_new_key(struct wire *w)
{
	w->twin.rotating = true;
	event_del(w->twin.rotate);
	twin_work(w);
}

void twin_keys_away(struct wire *w)
{
	struct twin *t = &w->twin;
	t->missed |= !chain_idle(t->chain) || t->telling; // it comes back with a new key
	t->rotating = false;
	chain_stop(t->chain);
}

static void on_rotate(evutil_socket_t fd, short what, void *ctx)
{
	twin_new_key(ctx);
}

static void tell_again(struct twin *t, bool wipe)
{
	t->telling = t->watching;
	t->wipe |= wipe;
	t->at[0] = 0;
}

// What a telling of this pattern must delete first: a path that surely has no list in it, or all
// below the root of its model.
static const char *wipe_of(const struct path_pattern *p)
{
	static const char *const with_lists[] = {"/interfaces", "/network-instances", "/acl",
						 "/lldp", "/components"};
	const char *text = path_pattern_text(p);
	for (size_t i = 0; i < sizeof with_lists / sizeof *with_lists; i++)
		if (tree_below(text, with_lists[i]))
			return with_lists[i];
	if (strchr(text, '*') || strstr(text, "..."))
		return tree_below(text, "/system") ? "/system" : "/gemel";
	return text;
}

static void wipe_add(struct twin *t, const char *path)
{
	for (unsigned i = 0; i < t->n_wipes; i++)
		if (strcmp(t->wipes[i], path) == 0)
			return;
	if (t->n_wipes < WATCH_ITEMS)
		snprintf(t->wipes[t->n_wipes++], sizeof t->wipes[0], "%s", path);
}

static void wipe_all(struct twin *t)
{
	for (unsigned i = 0; i < t->watch.n; i++)
		wipe_add(t, wipe_of(t->watch.items[i].pattern));
}

struct err twin_batch_key(struct wire *w, const struct link_message *m)
{
	struct twin *t = &w->twin;
	struct cursor in = cursor_over(m->bytes, m->len);
	uint8_t id[8];
	cursor_copy(&in, id, sizeof id);
	unsigned algorithm = cursor_u8(&in);
	struct cursor certified = link_get(&in);
	TRY(cursor_finish(&in, "BATCH_KEY"));
	if (!chain_idle(t->chain))
		t->missed = true;
	TRY(chain_key(t->chain, id, algorithm, certified));
	t->rotating = false;
	t->has_broken &= memcmp(t->broken, id, sizeof id) != 0;
	if (t->missed)
		wipe_all(t);
	t->missed = false;
	tell_again(t, false);
	twin_work(w);
	return OK;
}

// --- telling

static struct tree_leaf *next_covered(struct wire *w, struct tree_leaf *leaf)
{
	while (leaf && !watch_covers(&w->twin.watch, leaf, TWIN_WATCHER))
		leaf = tree_next(leaf, "/");
	return leaf;
}

static void tell_portion(struct wire *w)
{
	struct twin *t = &w->twin;
	size_t n = t->n_wipes, bytes = 0;
	chain_start(t->chain, clock_wall_ns());
	for (unsigned i = 0; i < t->n_wipes; i++)
		chain_delete(t->chain, t->wipes[i]);
	t->n_wipes = 0;
	struct tree_leaf *leaf = next_covered(w, tree_after(w->tree, t->at)), *last = NULL;
	for (; leaf && n < PORTION && bytes < PORTION_BYTES; n++) {
		bytes += leaf->path_len + 64;
		if (leaf->value.type >= VALUE_STRING)
			bytes += leaf->value.s.len;
		chain_update(t->chain, leaf);
		last = leaf;
		leaf = next_covered(w, tree_next(leaf, "/"));
	}
	if (last)
		memcpy(t->at, last->path, (size_t)last->path_len + 1);
	t->telling = leaf != NULL;
	wire_spend(w, n);
	struct err e = chain_finish(t->chain, !t->telling, keys_of(w));
	if (e.code != ERR_NONE) {
		fault(w, e);
		return;
	}
	if (!t->telling) {
		struct spool_counts c;
		spool_count(t->spool, &c);
		t->rotate_bytes = c.bytes;
		if (n == 0 && t->stream) // nothing that it asked for exists here
			t->sync_seq = UINT64_MAX;
	}
}

static void ask_key(struct wire *w)
{
	struct err e = link_send(keys_of(w), LINK_NEW_KEY, NULL, 0, -1);
	if (e.code != ERR_NONE)
		log_debug("%s", e.text); // keys brings one when it is back
	chain_stop(w->twin.chain);
}

void twin_work(struct wire *w)
{
	struct twin *t = &w->twin;
	if (t->rotating && chain_ready(t->chain) && chain_idle(t->chain))
		ask_key(w);
	while (t->telling && w->has_state && chain_ready(t->chain) && !t->rotating &&
	       !chain_full(t->chain) && wire_may_send(w))
		tell_portion(w);
	twin_pump(w);
}

// --- changes

bool twin_holds(const struct wire *w)
{
	const struct twin *t = &w->twin;
	return t->watching && ((chain_ready(t->chain) && chain_full(t->chain)) || t->rotating);
}

static void group(struct wire *w)
{
	struct twin *t = &w->twin;
	if (t->group++ == 0)
		chain_start(t->chain, clock_wall_ns());
}

void twin_gone(struct wire *w, const char *path)
{
	struct twin *t = &w->twin;
	if (!t->watching || !watch_concerned(&t->watch, path))
		return;
	group(w);
	chain_delete(t->chain, path);
}

void twin_leaf(struct wire *w, struct tree_leaf *leaf)
{
	struct twin *t = &w->twin;
	if (!t->watching ||
	    !(watch_covers(&t->watch, leaf, TWIN_WATCHER) & watch_on_change(&t->watch)))
		return;
	group(w);
	chain_update(t->chain, leaf);
}

void twin_flushed(struct wire *w)
{
	struct twin *t = &w->twin;
	if (!t->group)
		return;
	t->group = 0;
	if (!chain_ready(t->chain)) { // its key is on the way, and a telling comes with it
		t->missed = true;
		return;
	}
	struct err e = chain_finish(t->chain, false, keys_of(w));
	if (e.code != ERR_NONE)
		fault(w, e);
}

static void watch_deletes(const struct watch *now, const struct watch *before, struct twin *t)
{
	for (unsigned i = 0; i < now->n; i++) {
		bool known = false;
		const char *text = path_pattern_text(now->items[i].pattern);
		for (unsigned k = 0; k < before->n; k++)
			known |= strcmp(text, path_pattern_text(before->items[k].pattern)) == 0;
		if (!known)
			wipe_add(t, wipe_of(now->items[i].pattern));
	}
}

// --- samples

static void arm(struct wire *w)
{
	struct twin *t = &w->twin;
	int64_t now = clock_mono_ns(), next = watch_due(&t->watch, now);
	if (next)
		wire_after(t->timer, (next - now + NS_PER_MS - 1) / NS_PER_MS);
}

static void on_sampled(void *ctx)
{
	struct wire *w = ctx;
	struct twin *t = &w->twin;
	size_t n = 0;
	t->sampling = false;
	if (!chain_ready(t->chain) || twin_holds(w) || !wire_may_send(w))
		return; // one sample is left out: the next has the sums
	chain_start(t->chain, clock_wall_ns());
	for (struct tree_leaf *leaf = tree_after(w->tree, ""); leaf; leaf = tree_next(leaf, "/")) {
		uint64_t covers = watch_covers(&t->watch, leaf, TWIN_WATCHER);
		if (!covers || !watch_wants(&t->watch, covers, leaf))
			continue;
		chain_update(t->chain, leaf);
		n++;
	}
	watch_sampled(&t->watch, tree_version(w->tree));
	wire_spend(w, n);
	struct err e = chain_finish(t->chain, false, keys_of(w));
	if (e.code != ERR_NONE)
		fault(w, e);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;
	struct twin *t = &w->twin;
	unsigned refresh = 0;
	bool due = false;
	arm(w);
	for (unsigned i = 0; i < t->watch.n; i++) {
		const struct watch_item *x = &t->watch.items[i];
		if (x->due || x->heartbeat_due)
			refresh |= x->what;
		due |= x->due || x->heartbeat_due;
	}
	if (!due || t->sampling)
		return;
	struct err e = wire_sample(w, refresh, on_sampled, w);
	t->sampling = e.code == ERR_NONE;
	if (e.code != ERR_NONE)
		log_debug("%s", e.text);
}

// --- the stream

static struct err target_prefix(struct twin *t)
{
	scoped(buf) struct buf b = {0};
	const char *target = t->watch.target;
	if (target[0])
		TRY(path_wire_of_text("/", target, &b));
	chain_prefix(t->chain, b.data, b.len);
	return OK;
}

// What the twin asks of this device is no secret to whoever runs it. X.2011 8.1.2-1.
static void note_asked(const struct watch *watch)
{
	char text[512] = "";
	size_t n = 0;
	for (unsigned i = 0; i < watch->n && n < sizeof text; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, " %s",
				      path_pattern_text(watch->items[i].pattern));
	log_notice("the twin asks for %u paths:%s%s", watch->n, text,
		   n >= sizeof text ? "..." : "");
}

struct err twin_subscribe(struct wire *w, struct subscriber *s)
{
	struct twin *t = &w->twin;
	struct subscriber *before = t->stream;
	ENSURE(!s->watch.updates_only, ERR_USAGE,
	       "updates_only: a chain of signed batches begins with the whole state");
	watch_deletes(&s->watch, &t->watch, t);
	watch_clear(&t->watch);
	t->watch = s->watch; // its patterns are ours now
	s->watch = (struct watch){0};
	note_asked(&t->watch);
	TRY(target_prefix(t));
	tree_forget_watcher(w->tree, TWIN_WATCHER);
	t->watching = true;
	t->stream = s;
	s->signed_stream = true;
	if (before)
		subscriber_fail(before,
				err_make(ERR_CONFLICT, "a newer subscription took its place"));
	t->sent = spool_unacked(t->spool);
	t->last_number = spool_acked(t->spool);
	t->gap = false;
	t->sync_seq = 0;
	watch_schedule(&t->watch, clock_mono_ns());
	arm(w);
	tell_again(t, false);
	twin_work(w);
	return OK;
}

// --- what telemetry says on it

static void give_up_chain(struct wire *w, const uint8_t key_id[8], const char *why)
{
	struct twin *t = &w->twin;
	log_error("the twin does not take this chain of batches: %s", why);
	memcpy(t->broken, key_id, 8);
	t->has_broken = true;
	if (chain_ready(t->chain) && memcmp(chain_key_id(t->chain), key_id, 8) == 0) {
		t->missed = true;
		wire_after(t->rotate, FAULT_MS);
	}
}

void twin_key_refused(struct wire *w, const uint8_t key_id[8])
{
	give_up_chain(w, key_id, "its key is not accepted");
	twin_pump(w);
}

static void acknowledged(struct wire *w, const uint8_t key_id[8], uint64_t seq)
{
	struct twin *t = &w->twin;
	struct spool_counts c;
	struct err e = spool_ack(t->spool, &t->sent, key_id, seq);
	if (e.code != ERR_NONE)
		log_debug("%s", e.text);
	else
		t->strikes = 0;
	spool_count(t->spool, &c);
	if (t->rotate_bytes > c.bytes)
		t->rotate_bytes = c.bytes;
}

void twin_message(struct wire *w, const uint8_t *message, size_t n)
{
	bool is_ack = false;
	uint64_t seq = 0;
	const uint8_t *key_id = NULL;
	struct err e = gnmi_ack_read(message, n, &is_ack, &seq, &key_id);
	if (e.code == ERR_NONE && !is_ack)
		e = err_make(ERR_USAGE, "on a stream of signed batches only BatchAck may follow");
	if (e.code == ERR_NONE)
		acknowledged(w, key_id, seq);
	struct subscriber *s = w->twin.stream;
	if (e.code != ERR_NONE) {
		twin_ended(w);
		subscriber_fail(s, e);
		return;
	}
	twin_work(w);
}

// A batch that is refused ends the stream, and nothing says so but that: when the same first batch
// has been sent on several streams and none acknowledged it, its chain is not taken.
static void strike(struct wire *w)
{
	struct twin *t = &w->twin;
	struct spool_place at = spool_unacked(t->spool);
	struct spool_record r = {0};
	bool more = true;
	do
		if (spool_next(t->spool, &at, &t->record, &r, &more).code != ERR_NONE)
			return;
	while (more &&
	       (r.kind != SPOOL_BATCH || (t->has_broken && !memcmp(t->broken, r.key_id, 8))));
	if (!more || r.number > t->last_number)
		return; // nothing waits, or it was not sent
	t->strikes = r.number == t->stuck ? t->strikes + 1 : 1;
	t->stuck = r.number;
	if (t->strikes < STRIKES)
		return;
	t->strikes = 0;
	give_up_chain(w, r.key_id, "its batches are not acknowledged");
}

void twin_ended(struct wire *w)
{
	w->twin.stream = NULL;
	w->twin.sync_seq = 0;
	strike(w);
}

// --- signatures

static void rotate_when_full(struct wire *w)
{
	struct twin *t = &w->twin;
	struct spool_counts c;
	spool_count(t->spool, &c);
	// While the twin is away a chain fills at most a quarter of the spool, so that an overflow
	// costs no more than that.
	if (!t->stream && !t->telling && !t->rotating &&
	    c.bytes > t->rotate_bytes + (uint64_t)w->conf->spool_bytes / 4) {
		t->rotate_bytes = c.bytes;
		twin_new_key(w);
	}
}

struct err twin_signed(struct wire *w, const struct link_message *m)
{
	struct twin *t = &w->twin;
	struct cursor in = cursor_over(m->bytes, m->len);
	uint64_t synced = 0;
	uint32_t id = cursor_be32(&in);
	struct cursor signature = link_get(&in);
	TRY(cursor_finish(&in, "SIGNED"));
	struct err e = chain_signed(t->chain, id, signature, &synced);
	if (e.code != ERR_NONE)
		fault(w, e);
	if (synced && t->stream && t->sync_seq == 0) {
		memcpy(t->sync_key, chain_key_id(t->chain), 8);
		t->sync_seq = synced;
	}
	rotate_when_full(w);
	twin_work(w);
	wire_flush(w); // changes may have waited for room
	return OK;
}

// --- life

struct err twin_open(struct wire *w, int folder)
{
	TRY(spool_open(folder, (uint64_t)w->conf->spool_bytes, &w->twin.spool));
	return chain_new(w->conf->device, w->twin.spool, &w->twin.chain);
}

struct err twin_start(struct wire *w)
{
	struct twin *t = &w->twin;
	t->timer = evtimer_new(w->base, on_timer, w);
	t->rotate = evtimer_new(w->base, on_rotate, w);
	ENSURE(t->timer && t->rotate, ERR_LIMIT, "out of memory");
	return OK;
}
