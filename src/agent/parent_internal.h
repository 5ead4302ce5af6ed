// SPDX-License-Identifier: Apache-2.0
// Inside parent*.c only.
#pragma once

#include "agent/conf.h"
#include "agent/link.h"

#include <event2/event.h>
#include <sys/types.h>

enum { PARENT_RUNS = 16 };

struct parent;

struct parent_child {
	struct parent *parent;
	enum link_process which;
	pid_t pid; // 0: not running
	struct link *link;
	int64_t started_ns;
	int back_off_ms;
	struct event *timer;
};

struct parent {
	const char *config;
	const struct agent_conf *conf;
	struct event_base *base;
	struct parent_child children[LINK_PROCESSES];
	int listener;		 // -1: none
	pid_t runs[PARENT_RUNS]; // programs under way
	struct event *token_timer;
	int64_t token_changed_ns; // of the file that was sent last
	bool stopping;
};

// parent_dial.c
MUST_USE struct err parent_listen(struct parent *p);
MUST_USE struct err parent_dial(struct parent *p, const struct link_message *m);
// parent_run.c
MUST_USE struct err parent_run(struct parent *p, const struct link_message *m);
void parent_program_ended(struct parent *p, pid_t pid);
void parent_programs_end(struct parent *p); // ends all that were started for apply
// parent_token.c
MUST_USE struct err parent_token_start(struct parent *p);
void parent_token_again(struct parent *p); // keys was started anew: it has no token
void parent_token_used(struct parent *p);
