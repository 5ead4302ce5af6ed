// SPDX-License-Identifier: Apache-2.0
// Privileges: what the sandbox forbids is tried, each time in a process of its own. A system call
// outside the list kills it; a path cannot be opened; the user cannot be changed back.

#include "lib/ipc/sandbox.h"

#include "lib/base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { UID = 61293, ENTER_FAILED = 99 };

static int landlock; // ABI of this kernel
static char summary_seen[300];

// Runs `act` in a child behind the sandbox; returns waitpid's status.
static int behind(const struct sandbox *s, int (*act)(void))
{
	int words[2], status;
	assert_int_equal(pipe(words), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const char *summary;
		int abi;
		struct err e = sandbox_enter(s, &summary, &abi);
		const char *text = e.code == ERR_NONE ? summary : e.text;
		if (write(words[1], text, strlen(text)) < 0 || e.code != ERR_NONE)
			_exit(ENTER_FAILED);
		_exit(act());
	}
	close(words[1]);
	memset(summary_seen, 0, sizeof summary_seen);
	ssize_t n = read(words[0], summary_seen, sizeof summary_seen - 1);
	close(words[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (n <= 0 || (WIFEXITED(status) && WEXITSTATUS(status) == ENTER_FAILED))
		fail_msg("sandbox_enter: %s", summary_seen);
	return status;
}

static void expect_killed(const struct sandbox *s, int (*act)(void))
{
	int status = behind(s, act);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		fail_msg("not killed by SIGSYS: status 0x%x", status);
}

static void expect_exit(const struct sandbox *s, int (*act)(void), int want)
{
	int status = behind(s, act);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != want)
		fail_msg("status 0x%x, not exit %d (errno: %s)", status, want,
			 WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "");
}

static const struct sandbox plain = {.uid = UID};

// --- forbidden calls

static int act_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0;
}
static int act_connect(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	return connect(0, (struct sockaddr *)&to, sizeof to) < 0;
}
static int act_bind(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	return bind(0, (struct sockaddr *)&at, sizeof at) < 0;
}
static int act_fork(void)
{
	return (int)syscall(SYS_fork) < 0;
}
static int act_clone(void)
{
	return fork() < 0;
}
static int act_execve(void)
{
	char *args[] = {(char *)(uintptr_t) "/bin/true", NULL};
	return execve(args[0], args, NULL);
}
static int act_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, 0, 0) < 0;
}
static int act_setuid(void)
{
	return setuid(0) < 0;
}
static int act_kill(void)
{
	return (int)syscall(SYS_tgkill, getppid(), getppid(), 0) < 0;
}
static int act_memfd(void)
{
	return (int)syscall(SYS_memfd_create, "x", 0) < 0;
}
static int act_executable(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}
static int act_make_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0;
}
static int act_open(void)
{
	return open("/etc/hostname", O_RDONLY) < 0;
}
static int act_stat(void)
{
	struct stat s;
	return stat("/etc/hostname", &s) < 0;
}
static int act_unshare(void)
{
	return (int)syscall(SYS_unshare, 0) < 0;
}
static int act_process_vm(void)
{
	return (int)syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0) < 0;
}
static int act_io_uring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL) < 0;
}
static int act_bpf(void)
{
	return (int)syscall(SYS_bpf, 0, NULL, 0) < 0;
}

static void test_forbidden_calls(void **state)
{
	int (*const acts[])(void) = {
		act_socket,	act_connect,  act_bind,	  act_fork,  act_clone,
		act_execve,	act_ptrace,   act_setuid, act_memfd, act_unshare,
		act_process_vm, act_io_uring, act_bpf,
	};
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
		expect_killed(&plain, acts[i]);
}

// The sanitizers' own runtime needs these in a test build.
static void test_forbidden_in_real_builds(void **state)
{
	int (*const acts[])(void) = {act_kill, act_executable, act_make_executable, act_open,
				     act_stat};
#ifdef SANDBOX_SANITIZERS
	skip();
#endif
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
		expect_killed(&plain, acts[i]);
}

// --- what must still work

static int act_allowed(void)
{
	struct stat s;
	struct rlimit l;
	char *large = malloc(1 << 20), *more = realloc(large, 8 << 20);
	uint8_t random[16];
	if (!more || fstat(1, &s) < 0 || getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur == 0 ||
	    syscall(SYS_getrandom, random, sizeof random, 0) != sizeof random)
		return 1;
	free(more);
	char day[32];
	time_t now = time(NULL);
	struct tm tm;
	if (strftime(day, sizeof day, "%F %T", gmtime_r(&now, &tm)) == 0)
		return 3;
	struct secret *secret = secret_new(32);
	secret_free(secret);
	return getuid() == geteuid() ? 0 : 2;
}

static void test_allowed(void **state)
{
	expect_exit(&plain, act_allowed, 0);
}

static int act_abort(void)
{
	abort();
}

// A broken invariant ends as what it is, not as a forbidden call.
static void test_abort(void **state)
{
	int status = behind(&plain, act_abort);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static int act_limits(void)
{
	struct rlimit core = {1, 1};
	getrlimit(RLIMIT_CORE, &core);
	return core.rlim_cur != 0 || core.rlim_max != 0;
}

static void test_no_core(void **state)
{
	static const char *const more[] = {"prctl", NULL};
	const struct sandbox s = {.uid = UID, .syscalls = more};
	expect_exit(&s, act_limits, 0);
}

static int act_dumpable(void)
{
	return prctl(PR_GET_DUMPABLE) * 2 + (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1);
}

static void test_not_dumpable(void **state)
{
	static const char *const more[] = {"prctl", NULL};
	const struct sandbox s = {.uid = UID, .syscalls = more};
	expect_exit(&s, act_dumpable, 0);
}

// --- users

static int act_user(void)
{
	uid_t r, e, v;
	getresuid(&r, &e, &v);
	if (r != UID || e != UID || v != UID || getgroups(0, NULL) != 0 || getegid() != UID)
		return 1;
	return setresuid(0, 0, 0) == 0 || setuid(0) == 0 ? 2 : 0;
}

static void test_user_dropped(void **state)
{
	static const char *const more[] = {"getresuid", "setresuid", "setuid", "getgroups", NULL};
	const struct sandbox s = {.uid = UID, .syscalls = more};
	if (geteuid() != 0)
		skip();
	expect_exit(&s, act_user, 0);
	assert_non_null(strstr(summary_seen, "uid 61293, seccomp "));
}

static uint64_t held(void)
{
	uint32_t head[2] = {0x20080522, 0}, data[6] = {0};
	syscall(SYS_capget, head, data);
	return (uint64_t)data[3] << 32 | data[0] | (uint64_t)data[4] << 32 | data[1];
}

static int act_capabilities(void)
{
	return held() == 0 ? 0 : 1;
}

static int act_net_admin(void)
{
	return held() == 1 << 12 ? 0 : 1;
}

static void test_capabilities(void **state)
{
	static const char *const more[] = {"capget", NULL};
	const struct sandbox none = {.uid = UID, .syscalls = more};
	const struct sandbox stays = {.syscalls = more};
	const struct sandbox kept = {.uid = UID, .syscalls = more, .keep_capabilities = true};
	expect_exit(&none, act_capabilities, 0);
	expect_exit(&stays, act_capabilities, 0);
	if (geteuid() != 0)
		skip();
	assert_non_null(strstr(summary_seen, "uid 0 (root, without capabilities)"));
	expect_exit(&kept, act_net_admin, 0);
	assert_non_null(strstr(summary_seen, "only CAP_NET_ADMIN"));
}

// --- paths

static char folder[] = "/tmp/gemel-sandbox-XXXXXX";
static char file[64];

static int act_open_errno(void)
{
	return open("/etc/hostname", O_RDONLY) < 0 ? errno : 0;
}

static int act_folder(void)
{
	char path[100];
	snprintf(path, sizeof path, "%s/new", folder);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || unlink(path) < 0)
		return errno;
	return open("/tmp/gemel-sandbox-elsewhere", O_RDWR | O_CREAT, 0600) < 0 && errno == EACCES
		       ? 0
		       : 200;
}

static int act_file(void)
{
	if (open(file, O_RDONLY) < 0)
		return errno;
	return open(file, O_RDWR) < 0 && errno == EACCES ? 0 : 200;
}

static void test_paths(void **state)
{
	static const char *const more[] = {"openat", "unlink", NULL};
	const char *folders[] = {folder, NULL}, *files[] = {file, NULL};
	const struct sandbox nothing = {.uid = UID, .syscalls = more};
	const struct sandbox one_folder = {.uid = UID, .syscalls = more, .folders = folders};
	const struct sandbox one_file = {.uid = UID, .syscalls = more, .files = files};
	if (!landlock)
		skip();
	expect_exit(&nothing, act_open_errno, EACCES);
	expect_exit(&one_folder, act_folder, 0);
	expect_exit(&one_file, act_file, 0);
	static const char *const missing[] = {"/nonexistent/folder", NULL};
	const struct sandbox bad = {.folders = missing};
	int abi;
	const char *summary;
	pid_t pid = fork();
	if (pid == 0) // no rule, no sandbox: it fails closed
		_exit(sandbox_enter(&bad, &summary, &abi).code == ERR_IO ? 0 : 1);
	int status;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

// --- sockets

static int act_connect_tcp(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(9),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
}

static void test_sockets(void **state)
{
	const struct sandbox s = {.uid = UID, .sockets = true};
	expect_exit(&s, act_connect_tcp, ECONNREFUSED);
	if (landlock < 4)
		skip();
	// The calls alone do not open the way: Landlock knows no TCP port.
	static const char *const more[] = {"socket", "connect", NULL};
	const struct sandbox closed = {.uid = UID, .syscalls = more};
	expect_exit(&closed, act_connect_tcp, EACCES);
}

static void test_unknown_call(void **state)
{
	static const char *const wrong[] = {"no_such_call", NULL};
	const struct sandbox s = {.syscalls = wrong};
	const char *summary;
	int abi, status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(sandbox_enter(&s, &summary, &abi).code == ERR_INTERNAL ? 0 : 1);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static int prepare(void **state)
{
	long abi = syscall(444, NULL, 0, 1);
	landlock = abi > 0 ? (int)abi : 0;
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof file, "%s/file", folder);
	int fd = open(file, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || (geteuid() == 0 && (fchown(fd, UID, UID) || chown(folder, UID, UID))))
		return -1;
	close(fd);
	return 0;
}

static int tidy(void **state)
{
	unlink(file);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden_calls),
		cmocka_unit_test(test_forbidden_in_real_builds),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_no_core),
		cmocka_unit_test(test_not_dumpable),
		cmocka_unit_test(test_user_dropped),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_unknown_call),
	};
	return cmocka_run_group_tests(tests, prepare, tidy);
}
