// SPDX-License-Identifier: Apache-2.0
// Starting the fixed list of programs (programs.h), output into a pipe that apply reads.

#include "agent/parent_internal.h"
#include "agent/programs.h"

#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void exec_program(const char *const *argv, int out)
{
	char *environment[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
			       (char *)(uintptr_t) "LC_ALL=C", NULL};
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	int nothing = open("/dev/null", O_RDWR);
	if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(out, 1) < 0 || dup2(nothing, 2) < 0)
		_exit(126);
	execve(argv[0], (char *const *)(uintptr_t)argv, environment);
	_exit(127);
}

static void answer(struct parent *p, uint32_t id, int fd, const char *error)
{
	scoped(buf) struct buf b = {0};
	buf_be32(&b, id);
	link_put_text(&b, error);
	struct err e =
		b.failed ? err_make(ERR_LIMIT, "out of memory")
			 : link_send(p->children[LINK_APPLY].link, LINK_RAN, b.data, b.len, fd);
	if (e.code != ERR_NONE)
		log_debug("%s", e.text);
}

static struct err run(struct parent *p, uint32_t id, const char *const *argv)
{
	int fds[2], at = 0;
	while (at < PARENT_RUNS && p->runs[at])
		at++;
	ENSURE(at < PARENT_RUNS, ERR_LIMIT, "%d programs are running already", PARENT_RUNS);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_system("pipe");
	pid_t pid = fork();
	if (pid == 0)
		exec_program(argv, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return err_system("fork");
	}
	p->runs[at] = pid;
	answer(p, id, fds[0], "");
	close(fds[0]);
	return OK;
}

struct err parent_run(struct parent *p, const struct link_message *m)
{
	static const char *const names[PROGRAMS] = {
		"nft: the ruleset is not read", "nft: rules are not watched",
		"lldpcli: LLDP is not read", "lldpcli: LLDP is not read",
		"lldpcli: LLDP is not watched"};
	struct cursor in = cursor_over(m->bytes, m->len);
	const char *argv[PROGRAM_ARGUMENTS];
	uint32_t id = cursor_be32(&in);
	unsigned program = cursor_u8(&in);
	TRY(cursor_finish(&in, "RUN"));
	ENSURE(program < PROGRAMS, ERR_PEER, "RUN: %u is not a program", program);
	if (!program_arguments((enum program)program, p->conf->lldp, argv)) {
		char why[128];
		snprintf(why, sizeof why, "%s: not installed or not configured", names[program]);
		answer(p, id, -1, why);
		return OK;
	}
	struct err e = run(p, id, argv);
	if (e.code != ERR_NONE)
		answer(p, id, -1, e.text);
	return OK;
}

void parent_program_ended(struct parent *p, pid_t pid)
{
	for (int i = 0; i < PARENT_RUNS; i++)
		if (p->runs[i] == pid)
			p->runs[i] = 0;
}

void parent_programs_end(struct parent *p)
{
	for (int i = 0; i < PARENT_RUNS; i++)
		if (p->runs[i])
			kill(p->runs[i], SIGTERM);
}
