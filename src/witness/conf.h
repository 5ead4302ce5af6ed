// SPDX-License-Identifier: Apache-2.0
// witness.yaml: one table; `gemel-witness --describe-config` prints it. Used by gemel-witness.
#pragma once

#include "lib/base/conf.h"
#include "lib/tlog/note.h"

struct witness_log {
	char *origin; // first line of its checkpoints
	char *vkey;   // its verifier key; an origin may be named again with another key
};

struct witness_listen {
	char *address; // numeric
	int64_t port;
};

struct witness_conf {
	char *name;  // of the witness, as in its cosignatures
	char *state; // folder
	struct witness_listen listen;
	struct conf_items logs; // struct witness_log
	int64_t uid;
	int log_level;
	struct note_key *keys; // one for each of `logs`; made by witness_conf_load
};

extern const struct conf_key witness_conf_keys[];

// ERR_USAGE names file and key. Memory is the arena's.
MUST_USE struct err witness_conf_load(const char *path, struct witness_conf *out, struct arena *a);
