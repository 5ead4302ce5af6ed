// SPDX-License-Identifier: Apache-2.0
// Landlock (Linux 5.13 and later), for sandbox.c only.
#pragma once

#include "lib/ipc/sandbox.h"

// Opens what the sandbox names and makes the rules: needs the rights that are dropped later.
// *abi 0 and *ruleset -1: the kernel has no Landlock. The ruleset is the caller's to close.
MUST_USE struct err landlock_prepare(const struct sandbox *s, int *ruleset, int *abi);
// No way back. Needs no_new_privs.
MUST_USE struct err landlock_enter(int ruleset);
