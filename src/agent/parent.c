// SPDX-License-Identifier: Apache-2.0

#include "agent/parent.h"

#include "agent/link.h"
#include "agent/parent_internal.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"
#include "lib/ipc/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACK_OFF_MIN_MS = 100, BACK_OFF_MAX_MS = 10000, STEADY_S = 30, NICE = 5 };

static void start_later(struct parent_child *c);

// --- links

static struct err on_message(void *ctx, const struct link_message *m)
{
	struct parent *p = ctx;
	struct cursor in = cursor_over(m->bytes, m->len);
	char text[512];
	switch (m->type) {
	case LINK_READY:
		link_get_text(&in, text, sizeof text);
		TRY(cursor_finish(&in, "READY"));
		log_notice("%s runs: %s", link_process_name(m->from), text);
		return OK;
	case LINK_DIAL:
		return parent_dial(p, m);
	case LINK_RUN:
		return parent_run(p, m);
	case LINK_TOKEN_USED:
		parent_token_used(p);
		return OK;
	default:
		return err_make(ERR_INTERNAL, "message %d has no handler", m->type);
	}
}

static void on_close(void *ctx, enum link_process peer, struct err why)
{
	struct parent *p = ctx;
	link_close(p->children[peer].link);
	p->children[peer].link = NULL;
	if (why.code != ERR_BUSY)
		log_error("%s", why.text);
	if (p->children[peer].pid > 0) // it broke the rules, or is ending anyway
		kill(p->children[peer].pid, SIGKILL);
}

static const struct link_events events = {on_message, NULL, on_close};

static void send_channel(struct parent *p, enum link_process to, enum link_process peer, int fd)
{
	uint8_t who = (uint8_t)peer;
	struct err e = link_send(p->children[to].link, LINK_CHANNEL, &who, 1, fd);
	if (e.code != ERR_NONE)
		log_warning("%s", e.text);
	close(fd);
}

// wire talks with both; apply and keys do not know each other.
static void join(struct parent *p, enum link_process a, enum link_process b)
{
	int fds[2];
	if (!p->children[a].link || !p->children[b].link)
		return;
	struct err e = link_pair(fds);
	if (e.code != ERR_NONE) {
		log_error("%s", e.text);
		return;
	}
	send_channel(p, a, b, fds[0]);
	send_channel(p, b, a, fds[1]);
}

// --- children

static void exec_child(const char *config, enum link_process which, int fd)
{
	char name[16], sabotage[512];
	snprintf(name, sizeof name, "%s", link_process_name(which));
	if (fd == LINK_FD)
		fcntl(fd, F_SETFD, 0);
	else if (dup2(fd, LINK_FD) < 0)
		_exit(126);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	char *argv[] = {(char *)(uintptr_t) "gemel-agent", (char *)(uintptr_t) "--process", name,
			(char *)(uintptr_t) "--config",	   (char *)(uintptr_t)config,	    NULL};
	char *environment[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
			       sabotage_variable(sabotage, sizeof sabotage), NULL};
	execve("/proc/self/exe", argv, environment);
	_exit(127);
}

static struct err start(struct parent_child *c)
{
	struct parent *p = c->parent;
	int fds[2];
	TRY(link_pair(fds));
	pid_t pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return err_system("fork");
	}
	if (pid == 0)
		exec_child(p->config, c->which, fds[1]);
	close(fds[1]);
	c->pid = pid;
	c->started_ns = clock_mono_ns();
	TRY(link_open(p->base, fds[0], LINK_PARENT, c->which, &events, p, &c->link));
	if (c->which == LINK_WIRE && p->listener >= 0)
		TRY(link_send(c->link, LINK_LISTENER, NULL, 0, p->listener));
	if (c->which == LINK_KEYS)
		parent_token_again(p);
	if (c->which != LINK_WIRE)
		join(p, LINK_WIRE, c->which);
	for (int i = LINK_APPLY; c->which == LINK_WIRE && i < LINK_PROCESSES; i++)
		join(p, LINK_WIRE, (enum link_process)i);
	return OK;
}

static void on_start_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct parent_child *c = ctx;
	struct err e = start(c);
	if (e.code == ERR_NONE)
		return;
	log_error("starting %s: %s", link_process_name(c->which), e.text);
	if (c->pid <= 0)
		start_later(c);
}

static void start_later(struct parent_child *c)
{
	bool steady = clock_mono_ns() - c->started_ns > STEADY_S * NS_PER_S;
	c->back_off_ms = steady || !c->back_off_ms		? BACK_OFF_MIN_MS
			 : c->back_off_ms * 2 < BACK_OFF_MAX_MS ? c->back_off_ms * 2
								: BACK_OFF_MAX_MS;
	struct timeval t = {c->back_off_ms / 1000, c->back_off_ms % 1000 * 1000};
	event_add(c->timer, &t);
}

static void child_ended(struct parent_child *c, int status)
{
	if (WIFSIGNALED(status))
		log_warning("%s ended by signal %d%s", link_process_name(c->which),
			    WTERMSIG(status),
			    WTERMSIG(status) == SIGSYS ? ": a system call outside its list" : "");
	else
		log_warning("%s ended with status %d", link_process_name(c->which),
			    WEXITSTATUS(status));
	c->pid = 0;
	link_close(c->link);
	c->link = NULL;
	if (c->which == LINK_APPLY)
		parent_programs_end(c->parent);
	if (!c->parent->stopping)
		start_later(c);
}

static void on_child(evutil_socket_t fd, short what, void *ctx)
{
	struct parent *p = ctx;
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		bool ours = false;
		for (int i = LINK_WIRE; i < LINK_PROCESSES; i++)
			if (p->children[i].pid == pid) {
				child_ended(&p->children[i], status);
				ours = true;
			}
		if (!ours)
			parent_program_ended(p, pid);
	}
}

static void on_stop(evutil_socket_t fd, short what, void *ctx)
{
	struct parent *p = ctx;
	p->stopping = true;
	event_base_loopbreak(p->base);
}

// --- state folders

static struct err own(int fd, const char *name, uid_t uid, mode_t mode)
{
	if (geteuid() == 0 && fchown(fd, uid, uid) < 0)
		return err_system("%s: chown", name);
	return fchmod(fd, mode) < 0 ? err_system("%s: chmod", name) : OK;
}

// What is in it belongs to the process too (keys that an operator put there).
static struct err own_files(int folder, const char *path, uid_t uid)
{
	int again = dup(folder);
	DIR *d = again >= 0 ? fdopendir(again) : NULL;
	if (!d)
		return err_system("%s", path);
	struct err e = OK;
	for (struct dirent *f; e.code == ERR_NONE && (f = readdir(d));) {
		scoped(fd) int fd =
			openat(folder, f->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		struct stat s;
		if (fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode))
			e = own(fd, f->d_name, uid, 0600);
	}
	closedir(d);
	return e;
}

static struct err make_folder(int state, const char *name, uid_t uid)
{
	if (mkdirat(state, name, 0700) < 0 && errno != EEXIST)
		return err_system("state folder %s", name);
	scoped(fd) int fd = openat(state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_system("state folder %s", name);
	TRY(own(fd, name, uid, 0700));
	return own_files(fd, name, uid);
}

static struct err make_state(const struct agent_conf *conf)
{
	if (mkdir(conf->state, 0711) < 0 && errno != EEXIST)
		return err_system("state folder %s", conf->state);
	scoped(fd) int fd = open(conf->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_system("state folder %s", conf->state);
	if (fchmod(fd, 0711) < 0) // the processes reach their own folder through it
		return err_system("state folder %s", conf->state);
	TRY(make_folder(fd, "keys", (uid_t)conf->uid_base + LINK_KEYS - 1));
	return make_folder(fd, "spool", (uid_t)conf->uid_base + LINK_WIRE - 1);
}

// --- life

static struct err prepare(struct parent *p)
{
	struct event *child = evsignal_new(p->base, SIGCHLD, on_child, p);
	struct event *term = evsignal_new(p->base, SIGTERM, on_stop, p);
	struct event *intr = evsignal_new(p->base, SIGINT, on_stop, p);
	ENSURE(child && term && intr && event_add(child, NULL) == 0 && event_add(term, NULL) == 0 &&
		       event_add(intr, NULL) == 0,
	       ERR_LIMIT, "out of memory");
	TRY(make_state(p->conf));
	TRY(sandbox_no_core());
	TRY(parent_listen(p));
	TRY(parent_token_start(p));
	setpriority(PRIO_PROCESS, 0, NICE); // the element's own work comes first
	for (int i = LINK_WIRE; i < LINK_PROCESSES; i++) {
		struct parent_child *c = &p->children[i];
		*c = (struct parent_child){.parent = p, .which = (enum link_process)i};
		c->timer = evtimer_new(p->base, on_start_timer, c);
		ENSURE(c->timer, ERR_LIMIT, "out of memory");
		TRY(start(c));
	}
	return OK;
}

static void stop_children(struct parent *p)
{
	parent_programs_end(p);
	for (int i = LINK_WIRE; i < LINK_PROCESSES; i++)
		if (p->children[i].pid > 0)
			kill(p->children[i].pid, SIGTERM);
	for (int i = LINK_WIRE; i < LINK_PROCESSES; i++)
		if (p->children[i].pid > 0)
			waitpid(p->children[i].pid, NULL, 0);
}

int parent_main(const char *config, const struct agent_conf *conf)
{
	static struct parent p;
	scoped(heap) char *path = realpath(config, NULL);
	p = (struct parent){.config = path, .conf = conf, .base = event_base_new(), .listener = -1};
	signal(SIGPIPE, SIG_IGN);
	struct err e = p.base && path ? prepare(&p) : err_system("%s", config);
	if (e.code != ERR_NONE) {
		log_error("%s", e.text);
		stop_children(&p);
		return 1;
	}
	event_base_dispatch(p.base);
	stop_children(&p);
	return 0;
}
