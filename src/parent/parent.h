// SPDX-License-Identifier: Apache-2.0
// gemeld's parent: reads the configuration, opens what needs rights (listeners, connections, state
// folders), starts each process anew and again when it dies, and joins them. It parses nothing but
// what its own processes say, and stops them in order. X.2011 figure 2, 8.3.1-7.
#pragma once

#include "lib/ipc/process.h"

#include <sys/types.h>

enum { LISTENERS = 5, DIALS_MAX = 128 };

struct parent;
struct dial; // dial.c

// One process, running or to be started again.
struct unit {
	struct parent *parent;
	enum process_id id;
	const struct process_part *part;
	pid_t pid;		// 0: not running
	struct ipc_channel *ch; // NULL: not running
	bool ready;
	int state_dir;	      // -1: has none
	int64_t started_ns;   // wall
	int64_t started_mono; // 0: never
	int back_off_ms;
	struct event *timer;
	// for PROCESS_STATUS
	uint32_t restarts, uid;
	char sandbox[200], last_exit[256];
	char ending[256];   // why we end it ourselves; "" when we do not
	int64_t accused_ns; // start of the minute in which `accusations` are counted
	unsigned accusations;
	struct dial *dials;
	unsigned n_dials;
};

struct listening {
	const char *name;
	enum process_id owner;
	int fd;
};

struct parent {
	const struct daemon_conf *conf;
	struct buf text; // CONFIG
	struct event_base *base;
	struct arena *scratch;
	struct unit *units[PROCESS_COUNT]; // NULL: not in this program
	struct listening listeners[LISTENERS];
	int state; // descriptor of the state folder
	struct event *child, *term, *intr, *hangup, *second, *deadline;
	unsigned seconds;
	int stopping; // 0: no; else the wave under way, from 1
	int status;   // exit status
};

// parent.c: runs it to its end. `parts`: n process parts.
int parent_main(const struct daemon_conf *conf, const struct process_part *const *parts, size_t n);

// unit.c
MUST_USE struct err unit_start(struct unit *u);
void unit_start_later(struct unit *u);
void unit_ended(struct unit *u, int status); // what waitpid said
// Ends it now; it is started again. `why` shows in PROCESS_STATUS.
void unit_end(struct unit *u, const char *why);
void unit_free(struct unit *u);

// listen.c
MUST_USE struct err listeners_open(struct parent *p);
// dial.c
MUST_USE struct err dial_begin(struct unit *u, const struct ipc_message *m);
void dials_end(struct unit *u);
// folders.c
MUST_USE struct err folders_make(struct parent *p);
MUST_USE struct err folders_write(struct parent *p, const char *name, const void *bytes, size_t n);
// status.c
void status_send(struct parent *p); // PROCESS_STATUS to management
// On to northbound. ERR_PEER: malformed.
MUST_USE struct err status_metrics(struct unit *u, const struct ipc_message *m);
void status_own_metrics(struct parent *p);
MUST_USE struct err status_console(struct parent *p); // console.json

// --- store.c: gemeld --verify-store. Returns the exit status: 0 good, 1 findings, 2 it cannot be
// checked.
int store_verify(const char *folder);
