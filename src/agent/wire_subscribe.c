// SPDX-License-Identifier: Apache-2.0
// gNMI Subscribe (0.10, section 3.5). Third parties get it unsigned, as they asked: ONCE, POLL, and
// STREAM with ON_CHANGE, SAMPLE and TARGET_DEFINED. A STREAM inside the tunnel is the twin's and
// goes to wire_twin.c. State is told leaf by leaf, in the order of the tree, from where the last
// message ended: a client that reads slowly costs one message's memory. One that does not read at
// all is ended when its queue is full: what it missed could not be told any more.

#include "agent/wire_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/gnmi/gnmi.pb-c.h"

#include <string.h>

enum { REQUEST_MAX = 64 << 10 };

static void subscriber_free(struct subscriber *s)
{
	struct wire *w = s->wire;
	wire_sample_forget(w, s);
	if (s->watcher)
		tree_forget_watcher(w->tree, s->watcher);
	if (s->timer)
		event_free(s->timer);
	watch_clear(&s->watch);
	note_clear(&s->note);
	*s = (struct subscriber){0};
}

void subscriber_fail(struct subscriber *s, struct err why)
{
	struct grpc_call *call = s->call;
	s->call = NULL;
	grpc_call_fail(call, why);
	subscriber_free(s);
}

static void subscriber_done(struct subscriber *s)
{
	struct grpc_call *call = s->call;
	s->call = NULL;
	grpc_call_finish(call, GRPC_OK, NULL);
	subscriber_free(s);
}

// --- sending

// The note that is open, if it has anything.
static struct err send_note(struct subscriber *s)
{
	if (!s->note.open)
		return OK;
	TRY(note_finish(&s->note));
	struct err e = grpc_call_send(s->call, s->note.bytes.data, s->note.bytes.len);
	buf_reset(&s->note.bytes);
	if (e.code == ERR_BUSY)
		return err_make(ERR_LIMIT,
				"updates are not read as fast as they come: subscribe again");
	return e;
}

static struct err send_sync(struct subscriber *s)
{
	scoped(buf) struct buf out = {0};
	gnmi_write_sync(&out);
	return grpc_call_send(s->call, out.data, out.len);
}

static void start_note(struct subscriber *s)
{
	note_start(&s->note, s->watch.encoding, s->watch.target, clock_wall_ns());
}

static uint64_t covers(struct subscriber *s, struct tree_leaf *leaf)
{
	return s->watcher ? watch_covers(&s->watch, leaf, s->watcher)
			  : watch_covers_once(&s->watch, leaf);
}

// --- telling the whole

static void told(struct subscriber *s)
{
	s->telling = false;
	struct err e = send_sync(s);
	if (e.code != ERR_NONE)
		subscriber_fail(s, e);
	else if (s->watch.mode == WATCH_ONCE || (s->watch.mode == WATCH_POLL && s->half_closed))
		subscriber_done(s);
}

static void tell(struct subscriber *s)
{
	struct tree_leaf *leaf = tree_after(s->wire->tree, s->at), *last = NULL;
	struct err e = OK;
	for (; leaf && e.code == ERR_NONE && !grpc_call_full(s->call);
	     leaf = tree_next(leaf, "/")) {
		last = leaf;
		if (!covers(s, leaf))
			continue;
		start_note(s);
		note_leaf(&s->note, leaf);
		if (note_full(&s->note))
			e = send_note(s);
	}
	if (last)
		memcpy(s->at, last->path, (size_t)last->path_len + 1);
	if (e.code == ERR_NONE)
		e = send_note(s);
	if (e.code != ERR_NONE)
		subscriber_fail(s, e);
	else if (!leaf)
		told(s); // else on_drain goes on
}

static void begin_telling(void *ctx)
{
	struct subscriber *s = ctx;
	s->sampling = false;
	if (!s->wire->has_state)
		return; // subscribers_state comes back here
	s->telling = true;
	s->at[0] = 0;
	if (s->watch.updates_only && !s->again)
		told(s);
	else
		tell(s);
}

static struct err refresh(struct subscriber *s, void (*then)(void *ctx))
{
	unsigned what = 0;
	for (unsigned i = 0; i < s->watch.n; i++)
		what |= s->watch.items[i].what;
	s->sampling = true;
	return wire_sample(s->wire, what, then, s);
}

void subscribers_state(struct wire *w)
{
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
		struct subscriber *s = &w->subscribers[i];
		if (s->call && s->subscribed && !s->signed_stream && !s->telling && !s->sampling)
			begin_telling(s);
	}
}

// --- samples

static void arm(struct subscriber *s)
{
	int64_t now = clock_mono_ns(), next = watch_due(&s->watch, now);
	if (next)
		wire_after(s->timer, (next - now + NS_PER_MS - 1) / NS_PER_MS);
}

static void on_sampled(void *ctx)
{
	struct subscriber *s = ctx;
	struct wire *w = s->wire;
	struct err e = OK;
	s->sampling = false;
	if (s->telling || grpc_call_full(s->call))
		return; // still due: with the next
	for (struct tree_leaf *leaf = tree_after(w->tree, ""); leaf && e.code == ERR_NONE;
	     leaf = tree_next(leaf, "/")) {
		uint64_t bits = covers(s, leaf);
		if (!bits || !watch_wants(&s->watch, bits, leaf))
			continue;
		start_note(s);
		note_leaf(&s->note, leaf);
		if (note_full(&s->note))
			e = send_note(s);
	}
	watch_sampled(&s->watch, tree_version(w->tree));
	if (e.code == ERR_NONE)
		e = send_note(s);
	if (e.code != ERR_NONE)
		subscriber_fail(s, e);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct subscriber *s = ctx;
	bool due = false;
	unsigned need = 0;
	arm(s);
	for (unsigned i = 0; i < s->watch.n; i++) {
		const struct watch_item *x = &s->watch.items[i];
		if (!x->due && !x->heartbeat_due)
			continue;
		due = true;
		need |= x->what;
	}
	if (!due || s->sampling)
		return;
	struct err e = wire_sample(s->wire, need, on_sampled, s);
	s->sampling = e.code == ERR_NONE;
	if (e.code != ERR_NONE)
		log_debug("%s", e.text);
}

// --- changes

static bool wants_changes(const struct subscriber *s)
{
	return s->call && s->subscribed && !s->signed_stream && s->watch.mode == WATCH_STREAM &&
	       !s->failed;
}

static void change_sent(struct subscriber *s)
{
	if (note_full(&s->note))
		s->failed = send_note(s).code != ERR_NONE;
}

void subscribers_gone(struct wire *w, const char *path)
{
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
		struct subscriber *s = &w->subscribers[i];
		if (!wants_changes(s) || !watch_concerned(&s->watch, path))
			continue;
		start_note(s);
		note_delete(&s->note, path);
		change_sent(s);
	}
}

void subscribers_leaf(struct wire *w, struct tree_leaf *leaf)
{
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
		struct subscriber *s = &w->subscribers[i];
		if (!wants_changes(s) || !(covers(s, leaf) & watch_on_change(&s->watch)))
			continue;
		start_note(s);
		note_leaf(&s->note, leaf);
		change_sent(s);
	}
}

void subscribers_flushed(struct wire *w)
{
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
		struct subscriber *s = &w->subscribers[i];
		if (!s->call || s->signed_stream)
			continue;
		struct err e = s->failed
				       ? err_make(ERR_LIMIT, "updates are not read as fast as they "
							     "come: subscribe again")
				       : send_note(s);
		if (e.code != ERR_NONE)
			subscriber_fail(s, e);
	}
}

// --- the call

static struct err take_watcher(struct subscriber *s)
{
	unsigned used = 0;
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++)
		used |= 1u << s->wire->subscribers[i].watcher;
	for (unsigned i = TWIN_WATCHER + 1; i < TREE_WATCHERS; i++)
		if (!(used >> i & 1)) {
			s->watcher = i;
			return OK;
		}
	return err_make(ERR_LIMIT, "%d streams are open already: end one", TREE_WATCHERS - 1);
}

static struct err stream(struct subscriber *s)
{
	TRY(take_watcher(s));
	s->timer = evtimer_new(s->wire->base, on_timer, s);
	ENSURE(s->timer, ERR_LIMIT, "out of memory");
	watch_schedule(&s->watch, clock_mono_ns());
	arm(s);
	return OK;
}

static struct err subscribe(struct subscriber *s, const Gnmi__SubscribeRequest *m)
{
	ENSURE(m->request_case == GNMI__SUBSCRIBE_REQUEST__REQUEST_SUBSCRIBE, ERR_USAGE,
	       "the first message of Subscribe must have a subscription list");
	TRY(service_models(m->subscribe->use_models, m->subscribe->n_use_models));
	TRY(watch_read(m->subscribe, s->wire->conf->device, s->wire->conf->sample_ns, s->twin,
		       &s->watch));
	s->subscribed = true;
	if (s->twin && s->watch.mode == WATCH_STREAM) {
		ENSURE(s->watch.encoding == WATCH_PROTO, ERR_USAGE,
		       "signed batches are made in the PROTO encoding alone");
		return twin_subscribe(s->wire, s);
	}
	if (s->watch.mode == WATCH_STREAM)
		TRY(stream(s));
	return refresh(s, begin_telling);
}

// A poll; or an error, because nothing else may follow the list (gNMI 3.5.1.1).
static struct err poll_again(struct subscriber *s, const Gnmi__SubscribeRequest *m)
{
	ENSURE(m->request_case != GNMI__SUBSCRIBE_REQUEST__REQUEST_SUBSCRIBE, ERR_USAGE,
	       "this call has its subscription list already: open another");
	ENSURE(m->request_case == GNMI__SUBSCRIBE_REQUEST__REQUEST_POLL &&
		       s->watch.mode == WATCH_POLL,
	       ERR_USAGE, "Poll belongs to a subscription list of mode POLL");
	ENSURE(!s->telling && !s->sampling, ERR_USAGE,
	       "a Poll before the last one was answered: wait for sync_response");
	s->again = true;
	return refresh(s, begin_telling);
}

static void on_message(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct subscriber *s = ctx;
	if (s->signed_stream) {
		twin_message(s->wire, message, n);
		return;
	}
	Gnmi__SubscribeRequest *m =
		n <= REQUEST_MAX ? gnmi__subscribe_request__unpack(NULL, n, message) : NULL;
	struct err e =
		m ? OK
		  : err_make(ERR_USAGE, "not a SubscribeRequest of at most %d bytes", REQUEST_MAX);
	if (e.code == ERR_NONE)
		e = s->subscribed ? poll_again(s, m) : subscribe(s, m);
	gnmi__subscribe_request__free_unpacked(m, NULL);
	if (e.code != ERR_NONE)
		subscriber_fail(s, e);
}

static struct err on_start(void *ctx, struct grpc_call *call)
{
	struct service *service = ctx;
	struct wire *w = service->wire;
	TRY(service_admits(service, call));
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
		struct subscriber *s = &w->subscribers[i];
		if (s->call)
			continue;
		*s = (struct subscriber){.wire = w, .call = call, .twin = service->twin};
		grpc_call_set_context(call, s);
		return OK;
	}
	return err_make(ERR_LIMIT, "%d subscriptions are open already: end one", SUBSCRIBERS_MAX);
}

static void on_half_close(void *ctx, struct grpc_call *call)
{
	struct subscriber *s = ctx;
	s->half_closed = true;
	if (!s->subscribed)
		subscriber_fail(s,
				err_make(ERR_USAGE, "the call ended without a subscription list"));
	else if (s->watch.mode == WATCH_POLL && !s->signed_stream && !s->telling && !s->sampling)
		subscriber_done(s);
}

static void on_drain(void *ctx, struct grpc_call *call)
{
	struct subscriber *s = ctx;
	if (s->signed_stream)
		twin_pump(s->wire);
	else if (s->telling)
		tell(s);
}

static void on_end(void *ctx, struct grpc_call *call, enum grpc_status status, const char *text)
{
	struct subscriber *s = ctx;
	struct wire *w = s->wire;
	s->call = NULL;
	if (w->twin.stream == s)
		twin_ended(w);
	subscriber_free(s);
}

const struct grpc_handlers wire_subscribe_handlers = {
	.on_start = on_start,
	.on_message = on_message,
	.on_half_close = on_half_close,
	.on_drain = on_drain,
	.on_end = on_end,
};
