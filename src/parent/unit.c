// SPDX-License-Identifier: Apache-2.0
// One process: fork, re-execute (a fresh address space with its own randomisation, nothing of ours
// in memory), hand over what it may have, and again when it dies. It is joined with a neighbour
// when both are READY: neither waits for one that cannot start.
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"
#include "lib/ipc/messages.pb-c.h"
#include "parent/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CHILD_FD = 3,
	BACK_OFF_LEAST_MS = 100,
	BACK_OFF_MOST_MS = 10000,
	STEADY_S = 30,	      // who ran that long starts again at once
	ACCUSATIONS_MOST = 5, // a minute
};

// --- what it says

static void join(struct parent *p, struct unit *a, struct unit *b)
{
	int fds[2];
	struct err e = ipc_pair(fds);
	if (e.code != ERR_NONE) {
		log_error("%s with %s: %s", process_name(a->id), process_name(b->id), e.text);
		return;
	}
	struct unit *ends[] = {a, b};
	for (int i = 0; i < 2; i++) {
		Ipc__Channel m = IPC__CHANNEL__INIT;
		uint8_t bytes[16];
		m.peer = ends[1 - i]->id;
		size_t n = ipc__channel__pack(&m, bytes);
		e = ipc_send(ends[i]->ch, IPC_CHANNEL, bytes, n, fds[i]);
		close(fds[i]);
		if (e.code != ERR_NONE)
			log_warning("CHANNEL to %s: %s", process_name(ends[i]->id), e.text);
	}
}

static struct err on_ready(struct unit *u, const struct ipc_message *m)
{
	struct parent *p = u->parent;
	struct err e = OK;
	Ipc__Ready *ready = IPC_UNPACK(ready, m, p->scratch, &e);
	if (!ready)
		return e;
	ENSURE(!u->ready, ERR_PEER, "READY twice");
	snprintf(u->sandbox, sizeof u->sandbox, "%s", ready->sandbox);
	u->uid = ready->uid;
	u->ready = true;
	ipc_set_running(u->ch, true);
	log_notice("%s runs: %s", process_name(u->id), u->sandbox);
	for (int i = 0; i < PROCESS_COUNT; i++)
		if (p->units[i] && p->units[i] != u && p->units[i]->ready &&
		    ipc_joined(u->id, (enum process_id)i))
			join(p, u, p->units[i]);
	status_send(p);
	return OK;
}

// A neighbour says that another broke their contract. It is believed, since the one is as likely as
// the other to be the intruder's, but not without end: an accuser who goes on accusing ends too.
static struct err on_broken(struct unit *u, const struct ipc_message *m)
{
	struct parent *p = u->parent;
	struct err e = OK;
	int64_t now = clock_mono_ns();
	Ipc__Broken *b = IPC_UNPACK(broken, m, p->scratch, &e);
	if (!b)
		return e;
	ENSURE(b->peer < PROCESS_COUNT && b->peer != PROCESS_PARENT &&
		       ipc_joined(u->id, (enum process_id)b->peer),
	       ERR_PEER, "BROKEN names %u", b->peer);
	if (now - u->accused_ns > 60 * NS_PER_S) {
		u->accused_ns = now;
		u->accusations = 0;
	}
	if (p->units[b->peer])
		unit_end(p->units[b->peer],
			 arena_printf(p->scratch, "broke its contract with %s: %.150s",
				      process_name(u->id), b->why));
	if (++u->accusations > ACCUSATIONS_MOST)
		unit_end(u, "accused others without end");
	return OK;
}

static struct err on_publish(struct unit *u, const struct ipc_message *m)
{
	static const char *const names[] = {"authority.pem"};
	struct err e = OK;
	Ipc__Publish *f = IPC_UNPACK(publish, m, u->parent->scratch, &e);
	if (!f)
		return e;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], f->name) == 0)
			return folders_write(u->parent, names[i], f->content.data, f->content.len);
	return err_make(ERR_PEER, "PUBLISH of \"%.32s\"", f->name);
}

static struct err on_message(void *ctx, const struct ipc_message *m)
{
	struct unit *u = ctx;
	arena_reset(u->parent->scratch);
	switch (m->type) {
	case IPC_READY:
		return on_ready(u, m);
	case IPC_DIAL:
		return dial_begin(u, m);
	case IPC_METRICS:
		return status_metrics(u, m);
	case IPC_BROKEN:
		return on_broken(u, m);
	case IPC_PUBLISH:
		return on_publish(u, m);
	default:
		return err_make(ERR_INTERNAL, "%s has no handler", ipc_type_name(m->type));
	}
}

static void on_close(void *ctx, enum process_id peer, struct err why)
{
	struct unit *u = ctx;
	unit_end(u, why.code == ERR_BUSY ? "" : why.text); // BUSY: it is ending by itself
}

static const struct ipc_events events = {on_message, NULL, on_close};

// --- starting

static struct err hand_over(struct unit *u)
{
	struct parent *p = u->parent;
	TRY(ipc_send(u->ch, IPC_CONFIG, p->text.data, p->text.len, -1));
	if (u->part->has_state)
		TRY(ipc_send(u->ch, IPC_STATE_DIR, NULL, 0, u->state_dir));
	for (int i = 0; i < LISTENERS; i++) {
		Ipc__Listener m = IPC__LISTENER__INIT;
		uint8_t bytes[64];
		if (p->listeners[i].owner != u->id)
			continue;
		m.name = (char *)(uintptr_t)p->listeners[i].name;
		size_t n = ipc__listener__pack(&m, bytes);
		TRY(ipc_send(u->ch, IPC_LISTENER, bytes, n, p->listeners[i].fd));
	}
	return ipc_send(u->ch, IPC_STARTED, NULL, 0, -1);
}

// The few variables that mean something to a process. Nothing else of ours goes along.
static void keep_variable(char **environment, size_t *n, char *room, size_t size, const char *name)
{
	const char *value = getenv(name);
	if (value && (size_t)snprintf(room, size, "%s=%s", name, value) < size)
		environment[(*n)++] = room;
}

static void become(const struct unit *u, int fd)
{
	char credentials[512], asan[512], ubsan[512], sabotage[512];
	char *argv[] = {(char *)(uintptr_t) "gemeld", (char *)(uintptr_t) "--process",
			(char *)(uintptr_t)process_name(u->id), NULL};
	char *environment[5] = {NULL};
	size_t n = 0;
	if (u->id == PROCESS_KEYS) // systemd's credential, see src/keys/store.h
		keep_variable(environment, &n, credentials, sizeof credentials,
			      "CREDENTIALS_DIRECTORY");
	keep_variable(environment, &n, asan, sizeof asan, "ASAN_OPTIONS");
	keep_variable(environment, &n, ubsan, sizeof ubsan, "UBSAN_OPTIONS");
	environment[n++] = sabotage_variable(sabotage, sizeof sabotage);
	if (fd == CHILD_FD)
		fcntl(fd, F_SETFD, 0);
	else if (dup2(fd, CHILD_FD) < 0)
		_exit(126);
	(void)syscall(SYS_close_range, CHILD_FD + 1, ~0U, 0); // all are close-on-exec; be sure
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", argv, environment);
	_exit(127);
}

struct err unit_start(struct unit *u)
{
	int fds[2];
	TRY(ipc_pair(fds));
	u->pid = fork();
	if (u->pid == 0)
		become(u, fds[1]);
	close(fds[1]);
	if (u->pid < 0) {
		u->pid = 0;
		close(fds[0]);
		return err_system("fork");
	}
	u->started_ns = clock_wall_ns();
	u->started_mono = clock_mono_ns();
	u->ending[0] = 0;
	struct err e = ipc_open(&u->ch, u->parent->base, fds[0], PROCESS_PARENT, u->id, &events, u);
	if (e.code == ERR_NONE)
		e = hand_over(u);
	if (e.code != ERR_NONE) // it is there, and useless: its end starts it again
		unit_end(u, e.text);
	return OK;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct unit *u = ctx;
	if (u->parent->stopping || u->pid)
		return;
	u->restarts++;
	struct err e = unit_start(u);
	if (e.code == ERR_NONE)
		return;
	log_error("starting %s: %s", process_name(u->id), e.text);
	unit_start_later(u);
}

void unit_start_later(struct unit *u)
{
	bool steady = clock_mono_ns() - u->started_mono > STEADY_S * NS_PER_S;
	if (!u->timer)
		u->timer = evtimer_new(u->parent->base, on_timer, u);
	u->back_off_ms = steady || !u->back_off_ms ? BACK_OFF_LEAST_MS : u->back_off_ms * 2;
	if (u->back_off_ms > BACK_OFF_MOST_MS)
		u->back_off_ms = BACK_OFF_MOST_MS;
	struct timeval t = {u->back_off_ms / 1000, u->back_off_ms % 1000 * 1000};
	if (!u->timer || event_add(u->timer, &t) < 0) {
		log_error("%s cannot be started again: out of memory", process_name(u->id));
		abort(); // the service manager starts all of us again
	}
}

// --- ending

void unit_end(struct unit *u, const char *why)
{
	if (*why && !u->ending[0]) {
		snprintf(u->ending, sizeof u->ending, "%s", why);
		log_error("%s is ended: %s", process_name(u->id), u->ending);
	}
	dials_end(u);
	ipc_close(u->ch);
	u->ch = NULL;
	u->ready = false;
	if (u->pid > 0)
		kill(u->pid, SIGKILL);
}

void unit_ended(struct unit *u, int status)
{
	unit_end(u, "");
	u->pid = 0;
	if (u->ending[0])
		snprintf(u->last_exit, sizeof u->last_exit, "ended by the parent: %.200s",
			 u->ending);
	else if (WIFSIGNALED(status))
		snprintf(u->last_exit, sizeof u->last_exit, "signal %d (%s)%s", WTERMSIG(status),
			 strsignal(WTERMSIG(status)),
			 WTERMSIG(status) == SIGSYS ? ": a system call outside its list" : "");
	else
		snprintf(u->last_exit, sizeof u->last_exit, "exit status %d", WEXITSTATUS(status));
	if (u->parent->stopping)
		return;
	unit_start_later(u);
	log_warning("%s ended: %s; it is started again in %d ms", process_name(u->id), u->last_exit,
		    u->back_off_ms);
	status_send(u->parent);
}

void unit_free(struct unit *u)
{
	if (!u)
		return;
	dials_end(u);
	ipc_close(u->ch);
	if (u->timer)
		event_free(u->timer);
	if (u->state_dir >= 0)
		close(u->state_dir);
	free(u);
}
