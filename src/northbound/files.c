// SPDX-License-Identifier: Apache-2.0
#include "northbound/files.h"

#include "lib/base/mem.h"
#include "lib/crypto/hash.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_DEPTH = 6 };

struct files {
	struct file items[FILES_MAX];
	size_t n, bytes;
};

static const char *type_of(const char *name)
{
	static const struct {
		const char *ending, *type;
	} types[] = {
		{".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
		{".mjs", "text/javascript; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
		{".json", "application/json"}, {".svg", "image/svg+xml"}, {".png", "image/png"},
		{".ico", "image/x-icon"}, {".woff2", "font/woff2"}, {".txt", "text/plain; charset=utf-8"},
		{".webmanifest", "application/manifest+json"},
	};
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
		if (strcmp(dot, types[i].ending) == 0)
			return types[i].type;
	return NULL;
}

static struct err read_all(int fd, struct file *f)
{
	size_t done = 0;
	while (done < f->len) {
		ssize_t got = read(fd, f->bytes + done, f->len - done);
		if (got < 0)
			return err_system("%s", f->path);
		ENSURE(got > 0, ERR_IO, "%s: became shorter while it was read", f->path);
		done += (size_t)got;
	}
	return OK;
}

static struct err add_file(struct files *all, int folder, const char *name, const char *path,
			   const struct stat *st)
{
	const char *type = type_of(name);
	if (!type)
		return OK;
	ENSURE(all->n < FILES_MAX, ERR_LIMIT, "%s: more than %d files", path, FILES_MAX);
	ENSURE(st->st_size <= FILE_BYTES_MAX && all->bytes + (size_t)st->st_size <= FILES_BYTES_MAX,
	       ERR_LIMIT, "%s: too large; %d MiB each, %d MiB in all", path, FILE_BYTES_MAX >> 20,
	       FILES_BYTES_MAX >> 20);
	scoped(fd) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_system("%s", path);
	struct file *f = &all->items[all->n++];
	*f = (struct file){.path = strdup(path), .type = type, .len = (size_t)st->st_size,
			   .bytes = malloc((size_t)st->st_size + 1)};
	ENSURE(f->path && f->bytes, ERR_LIMIT, "out of memory");
	TRY(read_all(fd, f));
	all->bytes += f->len;
	uint8_t hash[HASH_SIZE];
	char hex[33];
	hash_sha256(f->bytes, f->len, hash);
	snprintf(f->etag, sizeof f->etag, "\"%s\"", hash_hex(hash, 16, hex));
	return OK;
}

static struct err add_folder(struct files *all, int fd, const char *prefix, int depth)
{
	DIR *dir = fdopendir(fd);
	struct err e = OK;
	struct dirent *d;
	if (!dir) {
		close(fd);
		return err_system("%s", prefix);
	}
	while (e.code == ERR_NONE && (d = readdir(dir))) {
		char path[512];
		struct stat st;
		if (d->d_name[0] == '.' ||
		    fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (snprintf(path, sizeof path, "%s/%s", prefix, d->d_name) >= (int)sizeof path)
			continue;
		if (S_ISREG(st.st_mode)) {
			e = add_file(all, dirfd(dir), d->d_name, path, &st);
		} else if (S_ISDIR(st.st_mode) && depth > 0) {
			int sub = openat(dirfd(dir), d->d_name,
					 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (sub >= 0)
				e = add_folder(all, sub, path, depth - 1);
		}
	}
	closedir(dir);
	return e;
}

struct err files_load(const char *folder, struct files **out)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_system("console files at %s", folder);
	struct files *all = calloc(1, sizeof *all);
	if (!all) {
		close(fd);
		return err_make(ERR_LIMIT, "out of memory");
	}
	struct err e = add_folder(all, fd, "", FOLDER_DEPTH);
	if (e.code != ERR_NONE) {
		files_free(all);
		return err_within(e, "console files at %s", folder);
	}
	*out = all;
	return OK;
}

void files_free(struct files *f)
{
	for (size_t i = 0; f && i < f->n; i++) {
		free(f->items[i].path);
		free(f->items[i].bytes);
	}
	free(f);
}

size_t files_count(const struct files *f)
{
	return f ? f->n : 0;
}

static const struct file *exactly(const struct files *f, const char *path, size_t len)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (strlen(f->items[i].path) == len && memcmp(f->items[i].path, path, len) == 0)
			return &f->items[i];
	return NULL;
}

const struct file *files_find(const struct files *f, const char *path, size_t len)
{
	const struct file *found = exactly(f, path, len);
	if (found || len == 0)
		return found;
	const char *last = memrchr(path, '/', len);
	bool names_file = last && memchr(last, '.', len - (size_t)(last - path));
	return names_file ? NULL : exactly(f, "/index.html", 11);
}
