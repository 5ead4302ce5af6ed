// SPDX-License-Identifier: Apache-2.0
#include "cli/abe_files.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct err abe_file_read(const char *path, size_t most, struct secret **out)
{
	scoped(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	scoped(secret) struct secret *room = secret_new(most + 1);
	size_t n = 0;
	if (fd < 0)
		return err_system("%s", path);
	ENSURE(room, ERR_LIMIT, "out of memory");
	for (;;) {
		ssize_t r = read(fd, secret_bytes(room) + n, most + 1 - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_system("%s", path);
		if (r == 0)
			break;
		n += (size_t)r;
		ENSURE(n <= most, ERR_LIMIT, "%s: larger than such a file can be", path);
	}
	*out = secret_new(n);
	ENSURE(*out, ERR_LIMIT, "out of memory");
	memcpy(secret_bytes(*out), secret_bytes(room), n);
	return OK;
}

static struct err write_all(int fd, const char *name, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	while (n) {
		ssize_t w = write(fd, at, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_system("%s", name);
		at += w;
		n -= (size_t)w;
	}
	return OK;
}

// --- a file without a name, in this folder

static int nameless(const char *folder, mode_t mode)
{
	return open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
}

static struct err link_nameless(int fd, const char *to)
{
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0)
		return OK;
	ENSURE(errno != EEXIST, ERR_CONFLICT, "%s: exists, and is left as it is", to);
	return err_system("%s", to);
}

static struct err folder_of(const char *path, char *out, size_t size)
{
	char copy[4096];
	ENSURE(strlen(path) < sizeof copy - 32, ERR_USAGE, "%.100s...: too long", path);
	strcpy(copy, path);
	snprintf(out, size, "%s", dirname(copy));
	return OK;
}

// Where the file system knows no nameless files: a name that nobody has.
static struct err open_beside(struct abe_output *o, mode_t mode)
{
	int n = snprintf(o->beside, sizeof o->beside, "%s.%ld", o->path, (long)getpid());
	ENSURE(n > 0 && n < (int)sizeof o->beside, ERR_USAGE, "%.100s...: too long", o->path);
	o->end.fd = nameless(o->folder, mode);
	if (o->end.fd >= 0)
		return OK;
	o->end.fd = open(o->beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (o->end.fd < 0)
		return err_system("%s", o->path);
	o->named = true;
	return OK;
}

// --- results

static bool is_master(const char *path)
{
	uint8_t head[ABE_HEADER];
	unsigned suite;
	scoped(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 && read(fd, head, sizeof head) == sizeof head &&
	       abe_kind_of(head, sizeof head, &suite) == ABE_MASTER;
}

struct err abe_output_open(struct abe_output *o, const char *path, bool secret)
{
	struct stat st;
	*o = (struct abe_output){.end = {STDOUT_FILENO, "standard output"}, .stream = true};
	if (!path || strcmp(path, "-") == 0)
		return OK;
	o->end.name = path;
	bool exists = stat(path, &st) == 0;
	if (exists && !S_ISREG(st.st_mode)) {
		o->end.fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return o->end.fd >= 0 ? OK : err_system("%s", path);
	}
	o->stream = false;
	ENSURE(!exists || !is_master(path), ERR_CONFLICT,
	       "%s: a master key, which is never overwritten", path);
	scoped(heap) char *real = exists ? realpath(path, NULL) : strdup(path); // behind a link
	if (!real)
		return err_system("%s", path);
	TRY(folder_of(real, o->folder, sizeof o->folder));
	snprintf(o->path, sizeof o->path, "%s", real);
	return open_beside(o, secret ? 0600 : 0666);
}

static struct err commit(struct abe_output *o)
{
	if (fsync(o->end.fd) != 0)
		return err_system("%s", o->end.name);
	if (!o->named)
		TRY(link_nameless(o->end.fd, o->beside));
	o->named = true;
	if (rename(o->beside, o->path) != 0)
		return err_system("%s", o->end.name);
	o->named = false;
	return OK;
}

struct err abe_output_close(struct abe_output *o, struct err e)
{
	if (o->end.fd < 0)
		return e;
	if (e.code == ERR_NONE && !o->stream)
		e = commit(o);
	if (o->named)
		unlink(o->beside);
	if (close(o->end.fd) != 0 && e.code == ERR_NONE)
		e = err_system("%s", o->end.name);
	o->end.fd = -1;
	return e;
}

struct err abe_file_create(const char *path, const void *bytes, size_t n, bool secret)
{
	char folder[4096];
	TRY(folder_of(path, folder, sizeof folder));
	scoped(fd) int fd = nameless(folder, secret ? 0600 : 0644);
	bool named = fd < 0;
	if (named)
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			  secret ? 0600 : 0644);
	ENSURE(fd >= 0 || errno != EEXIST, ERR_CONFLICT, "%s: exists, and is left as it is", path);
	if (fd < 0)
		return err_system("%s", path);
	struct err e = write_all(fd, path, bytes, n);
	if (e.code == ERR_NONE && fsync(fd) != 0)
		e = err_system("%s", path);
	if (e.code == ERR_NONE && !named)
		e = link_nameless(fd, path);
	if (e.code != ERR_NONE && named)
		unlink(path);
	TRY(e);
	scoped(fd) int in = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return in >= 0 && fsync(in) == 0 ? OK : err_system("%s", folder);
}

// --- spooling

static int spool_open(void)
{
	const char *folder = getenv("TMPDIR");
	char name[4096];
	if (!folder || folder[0] != '/')
		folder = "/tmp";
	int fd = nameless(folder, 0600);
	if (fd >= 0)
		return fd;
	int n = snprintf(name, sizeof name, "%s/gemel-abe-XXXXXX", folder);
	if (n < 0 || n >= (int)sizeof name)
		return -1;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		unlink(name);
	return fd;
}

struct err abe_spool(struct payload_end in, struct payload_end *out)
{
	scoped(heap) uint8_t *part = malloc(PAYLOAD_CHUNK);
	ENSURE(part, ERR_LIMIT, "out of memory");
	*out = (struct payload_end){spool_open(), "temporary file (TMPDIR names its folder)"};
	if (out->fd < 0)
		return err_system("%s", out->name);
	for (;;) {
		ssize_t n = read(in.fd, part, PAYLOAD_CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_system("%s", in.name);
		if (n == 0)
			break;
		TRY(write_all(out->fd, out->name, part, (size_t)n));
	}
	return lseek(out->fd, 0, SEEK_SET) == 0 ? OK : err_system("%s", out->name);
}
