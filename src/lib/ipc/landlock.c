// SPDX-License-Identifier: Apache-2.0
// The kernel's interface grows with its ABI number, and Debian 12's headers stop at ABI 2; so the
// numbers of Documentation/userspace-api/landlock.rst (ABI 1 to 7) are written here. Everything
// that the running kernel can forbid is forbidden, then the named folders and files are let
// through.
#include "lib/ipc/landlock.h"

#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	NR_CREATE_RULESET = 444, // the same on every architecture
	NR_ADD_RULE = 445,
	NR_RESTRICT_SELF = 446,
	CREATE_RULESET_VERSION = 1,
	RULE_PATH_BENEATH = 1,
};

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_ABI_1 = (1 << 13) - 1,
	FS_REFER = 1 << 13,	// ABI 2
	FS_TRUNCATE = 1 << 14,	// ABI 3
	FS_IOCTL_DEV = 1 << 15, // ABI 5
	NET_BIND_TCP = 1 << 0,	// ABI 4
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, // ABI 6
	SCOPE_SIGNAL = 1 << 1,
};

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; // ABI 4
	uint64_t scoped;	     // ABI 6
};

struct path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

static uint64_t known_fs(int abi)
{
	uint64_t fs = FS_ABI_1;
	if (abi >= 2)
		fs |= FS_REFER;
	if (abi >= 3)
		fs |= FS_TRUNCATE;
	if (abi >= 5)
		fs |= FS_IOCTL_DEV;
	return fs;
}

static int create(const struct sandbox *s, int abi)
{
	struct ruleset_attr attr = {
		.handled_access_fs = known_fs(abi),
		.handled_access_net = NET_BIND_TCP | (s->sockets ? 0 : NET_CONNECT_TCP),
		.scoped = SCOPE_SIGNAL | (s->sockets ? 0 : SCOPE_ABSTRACT_UNIX_SOCKET),
	};
	size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
	return (int)syscall(NR_CREATE_RULESET, &attr, size, 0);
}

static struct err allow(int ruleset, const char *const *paths, uint64_t access)
{
	for (; paths && *paths; paths++) {
		scoped(fd) int fd = open(*paths, O_PATH | O_CLOEXEC);
		if (fd < 0)
			return err_system("sandbox: %s", *paths);
		struct path_beneath_attr rule = {access, fd};
		if (syscall(NR_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
			return err_system("landlock: %s", *paths);
	}
	return OK;
}

struct err landlock_prepare(const struct sandbox *s, int *ruleset, int *abi)
{
	long version = syscall(NR_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
	*ruleset = -1;
	*abi = version > 0 ? (int)version : 0;
	if (version <= 0)
		return OK;
	*ruleset = create(s, *abi);
	if (*ruleset < 0)
		return err_system("landlock");
	uint64_t known = known_fs(*abi);
	uint64_t folder = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_REMOVE_DIR |
			  FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE;
	struct err e = allow(*ruleset, s->folders, folder & known);
	if (e.code == ERR_NONE)
		e = allow(*ruleset, s->files, FS_READ_FILE | (s->programs ? FS_EXECUTE : 0));
	if (e.code != ERR_NONE)
		close(*ruleset);
	return e;
}

struct err landlock_enter(int ruleset)
{
	if (syscall(NR_RESTRICT_SELF, ruleset, 0) < 0)
		return err_system("landlock");
	return OK;
}
