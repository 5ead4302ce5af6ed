// SPDX-License-Identifier: Apache-2.0
// The state folder: ours, with what clients may read; below it one folder for each process that has
// state, its own and nobody else's. While no process runs, what is in there is given to its owner
// (a backup that was put back by root, say): plain files with one name and folders only, so that a
// link left by an intruder gives nothing away.
#include "lib/base/log.h"
#include "parent/parent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 6 };

// Takes over `folder`.
static struct err own_all(int folder, uid_t uid, int depth)
{
	DIR *d = fdopendir(folder);
	struct err e = OK;
	if (!d) {
		close(folder);
		return err_system("state folder");
	}
	for (struct dirent *f; e.code == ERR_NONE && (f = readdir(d));) {
		struct stat s;
		if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0 ||
		    fstatat(folder, f->d_name, &s, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		bool is_folder = S_ISDIR(s.st_mode);
		if (!is_folder && !(S_ISREG(s.st_mode) && s.st_nlink == 1))
			continue;
		if ((s.st_uid != uid || s.st_gid != uid) &&
		    fchownat(folder, f->d_name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0)
			e = err_system("%s: chown", f->d_name);
		int below = is_folder && depth < DEPTH_MAX
				    ? openat(folder, f->d_name,
					     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
				    : -1;
		if (e.code == ERR_NONE && below >= 0)
			e = own_all(below, uid, depth + 1);
		else if (below >= 0)
			close(below);
	}
	closedir(d);
	return e;
}

static struct err make_one(struct parent *p, struct unit *u)
{
	const char *name = process_name(u->id);
	uid_t uid = (uid_t)(p->conf->uid_base + u->id);
	if (mkdirat(p->state, name, 0700) < 0 && errno != EEXIST)
		return err_system("state folder %s", name);
	u->state_dir = openat(p->state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (u->state_dir < 0 || fchmod(u->state_dir, 0700) < 0)
		return err_system("state folder %s", name);
	if (geteuid() != 0)
		return OK;
	if (fchown(u->state_dir, uid, uid) < 0)
		return err_system("state folder %s: chown", name);
	int walk = openat(p->state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (walk < 0)
		return err_system("state folder %s", name);
	return err_within(own_all(walk, uid, 0), "state folder %s", name);
}

// Two of us on one state would each be the other's intruder.
static struct err lock(struct parent *p)
{
	int fd = openat(p->state, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_system("%s/lock", p->conf->state);
	ENSURE(flock(fd, LOCK_EX | LOCK_NB) == 0, ERR_BUSY,
	       "%s: another gemeld runs on this state folder", p->conf->state);
	return OK; // held until we end
}

struct err folders_make(struct parent *p)
{
	const char *path = p->conf->state;
	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		return err_system("state folder %s", path);
	p->state = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->state < 0 || fchmod(p->state, 0711) < 0) // clients reach authority.pem through it
		return err_system("state folder %s", path);
	TRY(lock(p));
	for (int i = 0; i < PROCESS_COUNT; i++)
		if (p->units[i] && p->units[i]->part->has_state)
			TRY(make_one(p, p->units[i]));
	return OK;
}

struct err folders_write(struct parent *p, const char *name, const void *bytes, size_t n)
{
	char new[64];
	snprintf(new, sizeof new, "%.48s.new", name);
	scoped(fd) int fd =
		openat(p->state, new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return err_system("%s/%s", p->conf->state, new);
	ssize_t written = write(fd, bytes, n);
	ENSURE(written >= 0 && (size_t)written == n, ERR_IO, "%s/%s: it cannot be written",
	       p->conf->state, new);
	if (fsync(fd) < 0 || renameat(p->state, new, p->state, name) < 0)
		return err_system("%s/%s", p->conf->state, name);
	return OK;
}
