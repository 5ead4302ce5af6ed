// SPDX-License-Identifier: Apache-2.0
// The parent's life: everything opened, all processes started, then supervision until a signal says
// stop. Stopping goes in waves, so that each process can still hand on what it holds: first those
// that face outside, then who decides, then who stores, last who signs.
#include "parent/parent.h"

#include "lib/base/log.h"
#include "lib/ipc/sandbox.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SCRATCH_MAX = 4 << 20,
	STATUS_EVERY = 5,  // s
	STOP_S = 10,	   // for a wave
	FILES = 65536,	   // descriptors: devices and clients
	LOCKED = 64 << 20, // bytes of memory that may be locked: secrets
};

static const enum process_id waves[][4] = {
	// ended by PROCESS_PARENT
	{PROCESS_NORTHBOUND, PROCESS_CONTROL, PROCESS_TELEMETRY},
	{PROCESS_MODELS, PROCESS_MANAGEMENT},
	{PROCESS_REPOSITORY},
	{PROCESS_KEYS},
};
enum { WAVES = sizeof waves / sizeof *waves };

// --- stopping

static unsigned alive(const struct parent *p, int wave)
{
	unsigned n = 0;
	for (const enum process_id *id = waves[wave - 1]; *id != PROCESS_PARENT; id++)
		n += p->units[*id] && p->units[*id]->pid > 0;
	return n;
}

static void stop_wave(struct parent *p)
{
	for (; p->stopping <= WAVES && !alive(p, p->stopping); p->stopping++)
		;
	if (p->stopping > WAVES) {
		event_base_loopbreak(p->base);
		return;
	}
	for (const enum process_id *id = waves[p->stopping - 1]; *id != PROCESS_PARENT; id++) {
		struct unit *u = p->units[*id];
		if (u && u->ch && ipc_send(u->ch, IPC_STOP, NULL, 0, -1).code != ERR_NONE)
			unit_end(u, "it did not take STOP");
	}
	event_add(p->deadline, &(struct timeval){.tv_sec = STOP_S});
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	struct parent *p = ctx;
	for (const enum process_id *id = waves[p->stopping - 1]; *id != PROCESS_PARENT; id++)
		if (p->units[*id] && p->units[*id]->pid > 0)
			unit_end(p->units[*id], "it did not stop in time");
}

static void stop(struct parent *p, int status)
{
	if (p->stopping)
		return;
	p->status = status;
	p->stopping = 1;
	stop_wave(p);
}

static void on_stop(evutil_socket_t fd, short what, void *ctx)
{
	struct parent *p = ctx;
	log_notice(p->stopping ? "stopping at once" : "stopping");
	if (!p->stopping) {
		stop(p, 0);
		return;
	}
	for (int i = 0; i < PROCESS_COUNT; i++) // a second signal: no more waiting
		if (p->units[i])
			unit_end(p->units[i], "");
}

static void on_hangup(evutil_socket_t fd, short what, void *ctx)
{
	log_notice("SIGHUP: the configuration is read at start only; restart gemeld to apply it");
}

// --- supervision

static void on_child(evutil_socket_t fd, short what, void *ctx)
{
	struct parent *p = ctx;
	bool any = false;
	for (int i = 0; i < PROCESS_COUNT; i++) {
		struct unit *u = p->units[i];
		int status;
		if (u && u->pid > 0 && waitpid(u->pid, &status, WNOHANG) == u->pid) {
			unit_ended(u, status);
			any = true;
		}
	}
	if (any && p->stopping && p->stopping <= WAVES && !alive(p, p->stopping))
		stop_wave(p);
}

static void on_second(evutil_socket_t fd, short what, void *ctx)
{
	struct parent *p = ctx;
	status_own_metrics(p);
	if (++p->seconds % STATUS_EVERY == 0)
		status_send(p);
}

// --- start

static struct err watch(struct parent *p)
{
	const struct {
		struct event **event;
		int signal;
		event_callback_fn fn;
	} all[] = {{&p->child, SIGCHLD, on_child},
		   {&p->term, SIGTERM, on_stop},
		   {&p->intr, SIGINT, on_stop},
		   {&p->hangup, SIGHUP, on_hangup}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		*all[i].event = evsignal_new(p->base, all[i].signal, all[i].fn, p);
		ENSURE(*all[i].event && event_add(*all[i].event, NULL) == 0, ERR_LIMIT,
		       "out of memory");
	}
	p->second = event_new(p->base, -1, EV_PERSIST, on_second, p);
	p->deadline = evtimer_new(p->base, on_deadline, p);
	ENSURE(p->second && p->deadline &&
		       event_add(p->second, &(struct timeval){.tv_sec = 1}) == 0,
	       ERR_LIMIT, "out of memory");
	return OK;
}

static void raise_limit(int which, rlim_t want)
{
	struct rlimit l;
	if (getrlimit(which, &l) < 0 || l.rlim_cur >= want)
		return;
	if (l.rlim_max < want)
		l.rlim_max = geteuid() == 0 ? want : l.rlim_max;
	l.rlim_cur = l.rlim_max < want ? l.rlim_max : want;
	(void)setrlimit(which, &l); // fewer devices at once, then
}

static struct err add_units(struct parent *p, const struct process_part *const *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct unit *u = calloc(1, sizeof *u);
		ENSURE(u, ERR_LIMIT, "out of memory");
		*u = (struct unit){
			.parent = p, .id = parts[i]->id, .part = parts[i], .state_dir = -1};
		p->units[u->id] = u;
	}
	return OK;
}

static struct err prepare(struct parent *p, const struct process_part *const *parts, size_t n)
{
	umask(077);
	TRY(sandbox_no_core());
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_system("no new privileges");
	raise_limit(RLIMIT_NOFILE, FILES);
	raise_limit(RLIMIT_MEMLOCK, LOCKED);
	p->base = event_base_new();
	p->scratch = arena_new(SCRATCH_MAX);
	ENSURE(p->base && p->scratch, ERR_LIMIT, "out of memory");
	TRY(daemon_conf_write(p->conf, &p->text));
	TRY(add_units(p, parts, n));
	TRY(folders_make(p));
	TRY(listeners_open(p));
	TRY(status_console(p));
	TRY(watch(p));
	for (int i = 0; i < PROCESS_COUNT; i++)
		if (p->units[i])
			TRY(unit_start(p->units[i]));
	return OK;
}

static void end_all(struct parent *p)
{
	struct event *events[] = {p->child, p->term, p->intr, p->hangup, p->second, p->deadline};
	for (int i = 0; i < PROCESS_COUNT; i++) {
		struct unit *u = p->units[i];
		if (u && u->pid > 0) {
			kill(u->pid, SIGKILL);
			waitpid(u->pid, NULL, 0);
		}
		unit_free(u);
	}
	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		if (events[i])
			event_free(events[i]);
	if (p->base)
		event_base_free(p->base);
	arena_free(p->scratch);
	buf_clear(&p->text);
}

int parent_main(const struct daemon_conf *conf, const struct process_part *const *parts, size_t n)
{
	static struct parent p;
	p = (struct parent){.conf = conf, .state = -1};
	log_start("gemeld", (enum log_level)conf->log_level);
	signal(SIGPIPE, SIG_IGN);
	struct err e = prepare(&p, parts, n);
	if (e.code == ERR_NONE)
		event_base_dispatch(p.base);
	else
		log_error("%s", e.text);
	end_all(&p);
	return e.code == ERR_NONE ? p.status : 1;
}
