// SPDX-License-Identifier: Apache-2.0
// Order matters: what needs rights first (paths opened for Landlock's rules), then the user is
// dropped, then Landlock and last seccomp, which would forbid the steps before it. X.2011 8.3.1-7.
#include "lib/ipc/sandbox.h"

#include "lib/base/mem.h"
#include "lib/base/sabotage.h"
#include "lib/ipc/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// What an event loop over descriptors that it holds cannot do without. None of these opens a path,
// makes a socket or a process, or touches another process.
static const char *const common_calls[] = {
	"read",
	"write",
	"readv",
	"writev",
	"recvmsg",
	"sendmsg",
	"recvfrom",
	"sendto",
	"close",
	"lseek",
	"fcntl",
	"fstat",
	"getsockopt",
	"getsockname",
	"getpeername",
	"shutdown",
	"epoll_wait",
	"epoll_pwait",
	"epoll_ctl",
	"poll",
	"ppoll",
	"brk",
	"munmap",
	"mremap",
	"madvise",
	"mlock",
	"munlock",
	"futex",
	"sched_yield",
	"clock_gettime",
	"clock_nanosleep",
	"nanosleep",
	"gettimeofday",
	"time",
	"getrandom",
	"getpid",
	"gettid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getrusage",
	"sysinfo", // qsort asks how much memory there is
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"sigaltstack",
	"restart_syscall",
	"exit",
	"exit_group",
	NULL,
};

static const char *const socket_calls[] = {
	"socket", "connect", "setsockopt", "accept4", NULL,
};

// What the dynamic loader and a small program need on top, since a filter stays over execve.
static const char *const program_calls[] = {
	"execve",
	"clone",
	"clone3",
	"vfork",
	"wait4",
	"pipe2",
	"dup2",
	"dup3",
	"openat",
	"access",
	"pread64",
	"arch_prctl",
	"set_tid_address",
	"set_robust_list",
	"rseq",
	"prlimit64",
	"statx",
	"newfstatat",
	"readlink",
	"readlinkat",
	"getdents64",
	"mmap",
	"mprotect",
	"ioctl",
	"uname",
	"socket",
	"connect",
	NULL,
};

// The runtimes of AddressSanitizer and UBSan, in test builds only: how they map shadow memory,
// and write a report (they may try to open files, which Landlock refuses).
static const char *const sanitizer_calls[] = {
#ifdef SANDBOX_SANITIZERS
	"mmap",	      "mprotect", "openat", "readlink",	 "readlinkat",
	"newfstatat", "ioctl",	  "prctl",  "prlimit64", "sched_getaffinity",
	"getdents64", "tgkill",	  "kill",   "uname",
#endif
	NULL,
};

// Allowed with some arguments only.
static const struct {
	const char *name;
	struct scmp_arg_cmp only;
	bool pid; // the argument is our own process
} guarded_calls[] = {
	// No new code: neither a page made executable nor one mapped so.
	{"mmap", {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}, false},
	{"mprotect", {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}, false},
	{"newfstatat", {3, SCMP_CMP_EQ, AT_EMPTY_PATH, 0}, false}, // fstat: a descriptor, no path
	{"ioctl", {1, SCMP_CMP_EQ, FIONREAD, 0}, false},	   // libevent
	{"prlimit64", {2, SCMP_CMP_EQ, 0, 0}, false},		   // asks, sets nothing
	{"tgkill", {0, SCMP_CMP_EQ, 0, 0}, true},		   // abort()
};

#ifdef SANDBOX_SANITIZERS
// LeakSanitizer stops and traces its own process at exit, which the sandbox is there to prevent.
static int entered;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return entered;
}
#endif

// --- no core dump, no tracing

struct err sandbox_no_core(void)
{
	struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_system("core dumps off");
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_system("not dumpable");
	return OK;
}

// --- user and capabilities

static struct err set_capabilities(uint64_t keep, bool *kept)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct have[2], want[2] = {0};
	if (syscall(SYS_capget, &head, have) < 0)
		return err_system("capabilities");
	for (int i = 0; i < 2; i++) {
		want[i].permitted = have[i].permitted & (uint32_t)(keep >> (32 * i));
		want[i].effective = want[i].permitted;
	}
	*kept = want[0].permitted || want[1].permitted;
	if (syscall(SYS_capset, &head, want) < 0)
		return err_system("dropping capabilities");
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return OK;
}

static struct err drop_user(const struct sandbox *s, bool *kept)
{
	uint64_t keep = s->keep_capabilities ? (uint64_t)1 << CAP_NET_ADMIN : 0;
	bool change = geteuid() == 0 && s->uid != 0;
	if (change) {
		for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; i++)
			if (!(keep >> i & 1))
				(void)prctl(PR_CAPBSET_DROP, i); // no_new_privs holds anyway
		if (keep && prctl(PR_SET_KEEPCAPS, 1) < 0)
			return err_system("keeping CAP_NET_ADMIN");
		if (setgroups(0, NULL) < 0 || setresgid(s->uid, s->uid, s->uid) < 0 ||
		    setresuid(s->uid, s->uid, s->uid) < 0)
			return err_system("becoming user %u", (unsigned)s->uid);
	}
	TRY(set_capabilities(keep, kept));
	if (change)
		ENSURE(setresuid(0, 0, 0) < 0 && geteuid() == s->uid && getegid() == s->uid,
		       ERR_INTERNAL, "user %u can become root again", (unsigned)s->uid);
	return OK;
}

// --- system calls

struct filter {
	scmp_filter_ctx ctx;
	int added[256]; // for the count, and because a list may name one again
	unsigned n;
};

static struct err add_call(struct filter *f, const char *name, const struct scmp_arg_cmp *only)
{
	int number = seccomp_syscall_resolve_name(name);
	ENSURE(number != __NR_SCMP_ERROR, ERR_INTERNAL, "seccomp: no system call \"%s\"", name);
	for (unsigned i = 0; i < f->n; i++)
		if (f->added[i] == number)
			return OK; // whole calls come first: a guard would add nothing
	ENSURE(f->n < sizeof f->added / sizeof *f->added, ERR_INTERNAL, "seccomp: list too long");
	int rc = only ? seccomp_rule_add_array(f->ctx, SCMP_ACT_ALLOW, number, 1, only)
		      : seccomp_rule_add(f->ctx, SCMP_ACT_ALLOW, number, 0);
	errno = -rc;
	if (rc < 0)
		return err_system("seccomp: %s", name);
	f->added[f->n++] = number;
	return OK;
}

static struct err add_calls(struct filter *f, const char *const *names)
{
	for (; names && *names; names++)
		TRY(add_call(f, *names, NULL));
	return OK;
}

static struct err fill(struct filter *f, const struct sandbox *s)
{
	int pid = getpid();
	// A tree instead of a chain: each call costs seven comparisons, not fifty.
	(void)seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	TRY(add_calls(f, common_calls));
	TRY(add_calls(f, s->syscalls));
	TRY(add_calls(f, sanitizer_calls));
	if (s->sockets)
		TRY(add_calls(f, socket_calls));
	if (s->programs)
		TRY(add_calls(f, program_calls));
	for (size_t i = 0; i < sizeof guarded_calls / sizeof *guarded_calls; i++) {
		struct scmp_arg_cmp only = guarded_calls[i].only;
		if (guarded_calls[i].pid)
			only.datum_a = (scmp_datum_t)pid;
		TRY(add_call(f, guarded_calls[i].name, &only));
	}
	return OK;
}

static struct err close_calls(const struct sandbox *s, unsigned *n)
{
	struct filter f = {.ctx = seccomp_init(SCMP_ACT_KILL_PROCESS)};
	ENSURE(f.ctx, ERR_LIMIT, "seccomp: out of memory");
	struct err e = fill(&f, s);
	*n = f.n;
	if (sabotaged("sandbox")) {
		*n = 0;
	} else if (e.code == ERR_NONE) {
		errno = -seccomp_load(f.ctx);
		if (errno)
			e = err_system("seccomp");
	}
	seccomp_release(f.ctx);
	return e;
}

// --- all of it

static const char *summarise(const struct sandbox *s, bool kept, unsigned calls, int abi)
{
	static char text[200];
	char user[80], paths[40], caps[40] = "";
	bool root = geteuid() == 0, stayed = s->uid && geteuid() != s->uid;
	snprintf(user, sizeof user, "uid %u%s", (unsigned)geteuid(),
		 stayed ? " (not started as root: shared by all processes)"
		 : root ? " (root, without capabilities)"
			: "");
	if (s->keep_capabilities)
		snprintf(caps, sizeof caps, ", %s CAP_NET_ADMIN", kept ? "only" : "without");
	snprintf(paths, sizeof paths, abi ? "landlock %d" : "no landlock in this kernel", abi);
	if (calls)
		snprintf(text, sizeof text, "%s%s, seccomp %u calls, %s", user, caps, calls, paths);
	else
		snprintf(text, sizeof text, "%s%s, seccomp off, %s", user, caps, paths);
	return text;
}

struct err sandbox_enter(const struct sandbox *s, const char **summary, int *landlock_abi)
{
	int ruleset, abi;
	unsigned calls = 0;
	bool kept = false;
	// strftime looks at /etc/localtime each time that it is called, unless a zone is named.
	if (setenv("TZ", "UTC0", 1) < 0)
		return err_system("time zone");
	tzset();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_system("no new privileges");
	TRY(landlock_prepare(s, &ruleset, &abi));
	scoped(fd) int held = ruleset;
	TRY(drop_user(s, &kept));
	TRY(sandbox_no_core()); // after the change of user, which sets it anew
	if (held >= 0)
		TRY(landlock_enter(held));
#ifdef SANDBOX_SANITIZERS
	entered = 1;
#endif
	TRY(close_calls(s, &calls));
	*summary = summarise(s, kept, calls, abi);
	*landlock_abi = abi;
	return OK;
}
