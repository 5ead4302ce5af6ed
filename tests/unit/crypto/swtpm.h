// SPDX-License-Identifier: Apache-2.0
// A real software TPM for a test: manufactured by swtpm_setup with EK certificates of a local
// authority in a folder of its own, run by swtpm, ended with the test.
#pragma once

#include "test_crypto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct swtpm {
	char folder[64], data[96], control[96];
	pid_t pid;
};

static inline void swtpm_child(const char *const *argv, const char *input)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open(input ? input : "/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(open("/dev/null", O_WRONLY), 1);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static inline pid_t swtpm_spawn(const char *const *argv, const char *input)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		swtpm_child(argv, input);
	return pid;
}

static inline void swtpm_run(const char *const *argv, const char *input)
{
	int status;
	pid_t pid = swtpm_spawn(argv, input);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s failed (%d): is the package swtpm-tools installed?", argv[0], status);
}

static inline void swtpm_file(const struct swtpm *s, const char *name, const char *format)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", s->folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	for (const char *c = format; *c; c++)
		if (*c == '@')
			fputs(s->folder, f);
		else
			fputc(*c, f);
	fclose(f);
}

static inline int swtpm_connect(const struct swtpm *s)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	strncpy(to.sun_path, s->data, sizeof to.sun_path - 1);
	for (int i = 0; i < 1000; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fd >= 0);
		if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
			return fd;
		close(fd);
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	}
	fail_msg("swtpm does not answer at %s", s->data);
	return -1;
}

static inline void swtpm_start(struct swtpm *s)
{
	char state[96], data[128], control[128];
	snprintf(state, sizeof state, "dir=%s", s->folder);
	snprintf(data, sizeof data, "type=unixio,path=%s", s->data);
	snprintf(control, sizeof control, "type=unixio,path=%s", s->control);
	unlink(s->data);
	unlink(s->control);
	s->pid = swtpm_spawn((const char *const[]){"swtpm", "socket", "--tpm2", "--tpmstate", state,
						   "--server", data, "--ctrl", control, "--flags",
						   "not-need-init,startup-clear", NULL},
			     NULL);
}

static inline void swtpm_kill(struct swtpm *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
}

static inline void swtpm_make(struct swtpm *s)
{
	char config[96];
	memset(s, 0, sizeof *s);
	strcpy(s->folder, "/tmp/gemel-swtpm-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->data, sizeof s->data, "%s/data", s->folder);
	snprintf(s->control, sizeof s->control, "%s/control", s->folder);
	snprintf(config, sizeof config, "%s/setup.conf", s->folder);
	swtpm_file(s, "setup.conf",
		   "create_certs_tool = /usr/bin/swtpm_localca\n"
		   "create_certs_tool_config = @/localca.conf\n"
		   "create_certs_tool_options = @/localca.options\n");
	swtpm_file(s, "localca.conf",
		   "statedir = @\nsigningkey = @/signkey.pem\n"
		   "issuercert = @/issuercert.pem\ncertserial = @/certserial\n");
	swtpm_file(s, "localca.options", "");
	swtpm_run((const char *const[]){"swtpm_setup", "--tpm2", "--tpmstate", s->folder,
					"--create-ek-cert", "--ecc", "--pcr-banks", "sha256",
					"--config", config, "--vmid", "r1", "--logfile",
					"/dev/null", NULL},
		  NULL);
	swtpm_start(s);
}

// What a launcher does at locality 4: PCR 17 = SHA-256(zeros || SHA-256(file)).
static inline void swtpm_measure(const struct swtpm *s, const char *text)
{
	char path[96];
	swtpm_file(s, "measured", text);
	snprintf(path, sizeof path, "%s/measured", s->folder);
	swtpm_run((const char *const[]){"swtpm_ioctl", "--unix", s->control, "-h", "-", NULL},
		  path);
}

static inline void swtpm_text(const struct swtpm *s, const char *name, struct buf *out)
{
	char path[128], piece[4096];
	snprintf(path, sizeof path, "%s/%s", s->folder, name);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
		buf_append(out, piece, n);
	fclose(f);
}

static inline void swtpm_drop(struct swtpm *s)
{
	swtpm_kill(s);
	DIR *d = opendir(s->folder);
	for (struct dirent *e; d && (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.' || strlen(e->d_name) > 2)
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(s->folder);
}
