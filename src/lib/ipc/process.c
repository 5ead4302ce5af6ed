// SPDX-License-Identifier: Apache-2.0
// The life of a process: CONFIG, STATE_DIR, LISTENER... and STARTED come from the parent; then the
// part opens what it needs, the sandbox closes, READY goes out, and channels to neighbours are
// taken up as they come. Every foreign byte is read after the sandbox has closed.
#include "lib/ipc/process_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"
#include "lib/ipc/sandbox.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARENT_FD = 3, LISTENERS_MAX = 4, FLUSH_MS = 2000 };
enum { SCRATCH_MAX = 64 << 20, CONF_MAX = 16 << 20 };

struct listener {
	char name[16];
	int fd;
};

struct life {
	const struct process_part *part;
	struct process p;
	struct daemon_conf conf;
	struct arena *conf_arena;
	struct listener listeners[LISTENERS_MAX];
	unsigned n_listeners;
	int channels[PROCESS_COUNT]; // came before READY; -1: none
	bool configured, started, ended;
	int status;
	struct event *second;
};

static struct life life; // one process has one

static void end(struct life *l, int status)
{
	l->ended = true;
	l->status = status;
	event_base_loopbreak(l->p.base);
}

static void end_badly(struct life *l, struct err why)
{
	log_error("%s", why.text);
	end(l, 1);
}

// --- neighbours

static struct err on_message(void *ctx, const struct ipc_message *m);
static void on_drain(void *ctx, enum process_id peer);
static void on_close(void *ctx, enum process_id peer, struct err why);

static const struct ipc_events events = {on_message, on_drain, on_close};

static void peer_away(struct life *l, enum process_id peer)
{
	if (!l->p.peers[peer])
		return;
	ipc_close(l->p.peers[peer]);
	l->p.peers[peer] = NULL;
	if (l->part->peer_down)
		l->part->peer_down(&l->p, peer);
}

static struct err peer_here(struct life *l, enum process_id peer, int fd)
{
	peer_away(l, peer);
	TRY(ipc_open(&l->p.peers[peer], l->p.base, fd, l->p.id, peer, &events, l));
	ipc_set_running(l->p.peers[peer], true);
	if (l->part->peer_up)
		l->part->peer_up(&l->p, peer);
	return OK;
}

static void accuse(struct life *l, enum process_id peer, struct err why)
{
	char text[512];
	snprintf(text, sizeof text, "%s", why.text);
	log_error("%s broke its contract: %s", process_name(peer), text);
	Ipc__Broken m = IPC__BROKEN__INIT;
	m.peer = peer;
	m.why = text;
	struct err e = process_send(&l->p, PROCESS_PARENT, IPC_BROKEN, &m.base);
	if (e.code != ERR_NONE)
		end_badly(l, e);
}

static void on_close(void *ctx, enum process_id peer, struct err why)
{
	struct life *l = ctx;
	if (peer == PROCESS_PARENT) {
		if (why.code != ERR_BUSY) // else it has gone, and so do we
			log_error("%s", why.text);
		end(l, why.code == ERR_BUSY ? 0 : 1);
		return;
	}
	if (why.code == ERR_PEER)
		accuse(l, peer, why);
	else if (why.code != ERR_BUSY)
		end_badly(l, why);
	if (!l->ended)
		peer_away(l, peer);
}

static void on_drain(void *ctx, enum process_id peer)
{
	struct life *l = ctx;
	if (peer != PROCESS_PARENT && l->part->drained)
		l->part->drained(&l->p, peer);
}

// --- what the parent says

static struct err on_config(struct life *l, const struct ipc_message *m)
{
	ENSURE(!l->configured, ERR_PEER, "CONFIG came twice");
	l->conf_arena = arena_new(CONF_MAX);
	ENSURE(l->conf_arena, ERR_LIMIT, "out of memory for the configuration");
	TRY(daemon_conf_parse("configuration", (const char *)m->bytes, m->len, &l->conf,
			      l->conf_arena));
	l->configured = true;
	log_start(process_name(l->p.id), (enum log_level)l->conf.log_level);
	return OK;
}

static struct err on_state_dir(struct life *l, const struct ipc_message *m)
{
	if (l->part->has_state && l->p.state_dir < 0) {
		l->p.state_dir = m->fd;
		return OK;
	}
	close(m->fd);
	return err_make(ERR_PEER, "a state folder that was not asked for");
}

static struct err on_listener(struct life *l, const struct ipc_message *m)
{
	struct err e = OK;
	Ipc__Listener *want = IPC_UNPACK(listener, m, l->p.scratch, &e);
	bool fits = want && l->n_listeners < LISTENERS_MAX &&
		    strlen(want->name) < sizeof l->listeners[0].name && l->part->listener;
	if (!fits) {
		close(m->fd);
		return want ? err_make(ERR_PEER, "a listener that was not asked for") : e;
	}
	struct listener *new = &l->listeners[l->n_listeners++];
	snprintf(new->name, sizeof new->name, "%s", want->name);
	new->fd = m->fd;
	return OK;
}

static struct err on_channel(struct life *l, const struct ipc_message *m)
{
	struct err e = OK;
	Ipc__Channel *with = IPC_UNPACK(channel, m, l->p.scratch, &e);
	bool good = with && with->peer < PROCESS_COUNT && with->peer != PROCESS_PARENT &&
		    ipc_joined(l->p.id, (enum process_id)with->peer);
	if (!good) {
		close(m->fd);
		return with ? err_make(ERR_PEER, "CHANNEL to %u, whom we do not talk to",
				       with->peer)
			    : e;
	}
	if (l->p.running)
		return peer_here(l, (enum process_id)with->peer, m->fd);
	if (l->channels[with->peer] >= 0)
		close(l->channels[with->peer]);
	l->channels[with->peer] = m->fd;
	return OK;
}

static struct err on_started(struct life *l, const struct ipc_message *m)
{
	ENSURE(l->configured && (l->p.state_dir >= 0 || !l->part->has_state), ERR_PEER,
	       "STARTED without configuration or state folder");
	l->started = true;
	event_base_loopbreak(l->p.base);
	return OK;
}

static struct err on_dialled(struct life *l, const struct ipc_message *m)
{
	struct err e = OK;
	Ipc__Dialled *d = IPC_UNPACK(dialled, m, l->p.scratch, &e);
	if (!d || !l->part->dialled || (m->fd < 0) == !*d->error) {
		if (m->fd >= 0)
			close(m->fd);
		return d ? err_make(ERR_PEER, "DIALLED with neither a connection nor an error") : e;
	}
	l->part->dialled(&l->p, d->id, m->fd, *d->error ? d->error : NULL);
	return OK;
}

static struct err on_stop(struct life *l, const struct ipc_message *m)
{
	if (l->p.running && l->part->stop)
		l->part->stop(&l->p);
	for (int i = PROCESS_COUNT - 1; i >= PROCESS_PARENT; i--)
		err_ignore(ipc_flush(l->p.peers[i], FLUSH_MS)); // who does not read loses
	end(l, 0);
	return OK;
}

// --- dispatch

static struct err from_parent(struct life *l, const struct ipc_message *m, bool *taken)
{
	static const struct {
		enum ipc_type type;
		struct err (*handle)(struct life *l, const struct ipc_message *m);
	} own[] = {
		{IPC_CONFIG, on_config},     {IPC_STATE_DIR, on_state_dir},
		{IPC_LISTENER, on_listener}, {IPC_CHANNEL, on_channel},
		{IPC_STARTED, on_started},   {IPC_DIALLED, on_dialled},
		{IPC_STOP, on_stop},
	};
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (own[i].type == m->type) {
			*taken = true;
			struct err e = own[i].handle(l, m);
			if (e.code != ERR_NONE && !l->p.running) // half a start is none
				e.code = ERR_INTERNAL;
			return e;
		}
	*taken = false;
	return OK;
}

static struct err on_message(void *ctx, const struct ipc_message *m)
{
	struct life *l = ctx;
	bool taken = false;
	if (l->ended) {
		if (m->fd >= 0)
			close(m->fd);
		return OK;
	}
	arena_reset(l->p.scratch);
	if (m->from == PROCESS_PARENT)
		TRY(from_parent(l, m, &taken));
	if (taken)
		return OK;
	for (size_t i = 0; i < l->part->n_handlers; i++)
		if (l->part->handlers[i].type == m->type)
			return l->part->handlers[i].handle(&l->p, m);
	if (m->fd >= 0)
		close(m->fd);
	return err_make(ERR_INTERNAL, "%s has no handler", ipc_type_name(m->type));
}

// --- from STARTED to READY

static bool lists(const char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

// X.2011 8.3.1-7: what the process may reach once it reads foreign bytes.
static struct err close_sandbox(struct life *l, Ipc__Ready *ready)
{
	char state[32];
	const char *folders[] = {state, NULL}, *summary = "";
	struct sandbox s = {.syscalls = l->part->syscalls};
	int abi = 0;
	if (geteuid() == 0)
		s.uid = (uid_t)(l->conf.uid_base + l->p.id);
	// Only who may call openat has a use for its folder; keys keeps what it has open.
	if (l->p.state_dir >= 0 && lists(l->part->syscalls, "openat")) {
		snprintf(state, sizeof state, "/proc/self/fd/%d", l->p.state_dir);
		s.folders = folders;
	}
	json_object_seed(0); // reads /dev/urandom, which is out of reach afterwards
	TRY(sandbox_enter(&s, &summary, &abi));
	ready->sandbox = (char *)(uintptr_t)summary;
	ready->uid = geteuid();
	ready->landlock_abi = (uint32_t)abi;
	return OK;
}

static struct err hand_listeners(struct life *l)
{
	for (unsigned i = 0; i < l->n_listeners; i++)
		TRY(l->part->listener(&l->p, l->listeners[i].name, l->listeners[i].fd));
	return OK;
}

static void on_second(evutil_socket_t fd, short what, void *ctx)
{
	struct life *l = ctx;
	struct err e = process_metrics_send(&l->p);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		end_badly(l, e);
}

// What is in the state folder is the process's own, and may be what an intruder left there: it is
// opened with that user's rights, not with root's. (A service manager's credential is root's alone;
// only the parent's `keys` gets one.)
static struct err start_as_user(struct life *l)
{
	uid_t uid = (uid_t)(l->conf.uid_base + l->p.id);
	bool change = geteuid() == 0 && l->part->has_state && !getenv("CREDENTIALS_DIRECTORY");
	if (change && (setegid(uid) < 0 || seteuid(uid) < 0))
		return err_system("becoming user %u", (unsigned)uid);
	struct err e = l->part->start ? l->part->start(&l->p) : OK;
	if (change && (seteuid(0) < 0 || setegid(0) < 0))
		return err_system("going back to root");
	return e;
}

static struct err begin(struct life *l)
{
	Ipc__Ready ready = IPC__READY__INIT;
	struct ipc_channel *parent = l->p.peers[PROCESS_PARENT];
	TRY(start_as_user(l));
	TRY(hand_listeners(l));
	TRY(close_sandbox(l, &ready));
	// READY first: what `ready` asks of the parent is permitted only after it.
	TRY(ipc_send_pb(parent, IPC_READY, &ready.base));
	ipc_set_running(parent, true);
	l->p.running = true;
	if (l->part->ready)
		TRY(l->part->ready(&l->p));
	for (int i = 0; i < PROCESS_COUNT; i++) {
		int fd = l->channels[i];
		l->channels[i] = -1;
		if (fd >= 0)
			TRY(peer_here(l, (enum process_id)i, fd));
	}
	event_add(l->second, &(struct timeval){.tv_sec = 1});
	return OK;
}

static struct err prepare(struct life *l)
{
	struct event_config *choice = event_config_new();
	ENSURE(choice, ERR_LIMIT, "out of memory");
	event_config_set_flag(choice, EVENT_BASE_FLAG_IGNORE_ENV);
	l->p.base = event_base_new_with_config(choice);
	event_config_free(choice);
	l->p.scratch = arena_new(SCRATCH_MAX);
	ENSURE(l->p.base && l->p.scratch, ERR_LIMIT, "out of memory");
	l->second = event_new(l->p.base, -1, EV_PERSIST, on_second, l);
	ENSURE(l->second, ERR_LIMIT, "out of memory");
	return ipc_open(&l->p.peers[PROCESS_PARENT], l->p.base, PARENT_FD, l->p.id, PROCESS_PARENT,
			&events, l);
}

int process_main(const struct process_part *part)
{
	struct life *l = &life;
	*l = (struct life){.part = part, .p = {.id = part->id, .conf = &l->conf, .state_dir = -1}};
	for (int i = 0; i < PROCESS_COUNT; i++)
		l->channels[i] = -1;
	log_start(process_name(part->id), LOG_NOTICE);
	// The terminal's signals are for the parent, which stops its processes in order.
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	struct err e = prepare(l);
	if (e.code == ERR_NONE) {
		while (!l->started && !l->ended)
			event_base_loop(l->p.base, EVLOOP_ONCE);
		if (!l->ended)
			e = begin(l);
		if (e.code == ERR_NONE && !l->ended)
			event_base_dispatch(l->p.base);
	}
	if (e.code != ERR_NONE) {
		log_error("%s", e.text);
		return 1;
	}
	return l->status;
}

// --- conveniences

struct err process_send(struct process *p, enum process_id to, enum ipc_type type,
			const ProtobufCMessage *m)
{
	ENSURE(to < PROCESS_COUNT && p->peers[to], ERR_BUSY, "%s is away", process_name(to));
	return ipc_send_pb(p->peers[to], type, m);
}

struct err process_dial(struct process *p, uint64_t id, const char *address, uint16_t port,
			const char *netns)
{
	Ipc__Dial m = IPC__DIAL__INIT;
	m.id = id;
	m.address = (char *)(uintptr_t)address;
	m.port = port;
	m.netns = (char *)(uintptr_t)(netns ? netns : "");
	return process_send(p, PROCESS_PARENT, IPC_DIAL, &m.base);
}

struct err process_record(struct process *p, uint64_t id, const char *kind, const char *subject,
			  const char *actor, const char *json)
{
	Ipc__Record m = IPC__RECORD__INIT;
	m.id = id;
	m.kind = (char *)(uintptr_t)kind;
	m.subject = (char *)(uintptr_t)(subject ? subject : "");
	m.actor = (char *)(uintptr_t)(actor ? actor : "");
	m.body = (ProtobufCBinaryData){strlen(json), (uint8_t *)(uintptr_t)json};
	return process_send(p, PROCESS_REPOSITORY, IPC_RECORD, &m.base);
}

struct err process_event(struct process *p, const char *type, const char *subject, const char *json,
			 const char *class_name)
{
	Ipc__Event m = IPC__EVENT__INIT;
	m.type = (char *)(uintptr_t)type;
	m.subject = (char *)(uintptr_t)(subject ? subject : "");
	m.time_ns = clock_wall_ns();
	m.json = (ProtobufCBinaryData){strlen(json), (uint8_t *)(uintptr_t)json};
	m.class_ = (char *)(uintptr_t)class_name;
	return process_send(p, PROCESS_NORTHBOUND, IPC_EVENT, &m.base);
}

struct err process_publish(struct process *p, const char *name, const void *content, size_t n)
{
	Ipc__Publish m = IPC__PUBLISH__INIT;
	m.name = (char *)(uintptr_t)name;
	m.content = (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)content};
	return process_send(p, PROCESS_PARENT, IPC_PUBLISH, &m.base);
}
