// SPDX-License-Identifier: Apache-2.0
// A temporary folder for tests, removed with what is in it.
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct folder {
	char path[64];
	int fd;
};

static inline void folder_make(struct folder *f)
{
	snprintf(f->path, sizeof f->path, "/tmp/gemel-tlog-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
}

static inline int folder_drop(const char *path, const struct stat *st, int type, struct FTW *w)
{
	return remove(path);
}

static inline void folder_remove(struct folder *f)
{
	close(f->fd);
	assert_int_equal(nftw(f->path, folder_drop, 16, FTW_DEPTH | FTW_PHYS), 0);
}
