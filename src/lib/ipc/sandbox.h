// SPDX-License-Identifier: Apache-2.0
// The sandbox that every process closes before it reads a foreign byte: groups and uid dropped when
// root, no new privileges, Landlock without any path or TCP port (a process keeps only descriptors
// that it opened or was handed; `folders` may be named for databases that reopen their files),
// seccomp with kill on anything not listed, no core dumps, no ptrace.
// X.2011 8.3.1-7. Used by every process, gemel-agent and gemel-witness.
#pragma once

#include "lib/base/err.h"

#include <stdint.h>
#include <sys/types.h>

struct sandbox {
	uid_t uid;		     // drop to this user and group when root; 0: stay
	const char *const *syscalls; // beyond the common set; NULL-terminated; may be NULL
	const char *const *folders;  // readable and writable below; NULL-terminated; may be NULL
	const char *const *files;    // readable only; NULL-terminated; may be NULL
	bool sockets;  // socket() and connect() (agent's collectors, witness): off for gemeld's
	bool programs; // execve of what `files` names (agent's collectors)
	bool keep_capabilities; // keep CAP_NET_ADMIN only (agent's apply)
};

// Closes it for good. On success *summary (static text) tells a person what holds, such as
// "uid 61203, seccomp 74 calls, landlock 7". Fails closed: no seccomp is an error; a kernel without
// Landlock is said in the summary.
MUST_USE struct err sandbox_enter(const struct sandbox *s, const char **summary, int *landlock_abi);
// Core dumps off, not dumpable, not traceable; part of sandbox_enter, for the parent too.
MUST_USE struct err sandbox_no_core(void);
