// SPDX-License-Identifier: Apache-2.0
// The common life of wire, apply and keys: started by the parent with its link on descriptor 3,
// opens what it needs, closes its sandbox, then serves. Links to neighbours come from the parent
// and come again when a neighbour was started anew. A broken link to the parent ends the process.
// Used by the three processes of gemel-agent.
#pragma once

#include "agent/conf.h"
#include "agent/link.h"
#include "lib/ipc/sandbox.h"

#include <event2/event.h>

struct child {
	enum link_process self;
	struct event_base *base;
	const struct agent_conf *conf;
	struct link *links[LINK_PROCESSES]; // NULL while away
	void *state;			    // the process's own
};

struct child_part {
	enum link_process self;
	struct err (*start)(struct child *c); // before the sandbox: open files, sockets
	struct err (*sandbox)(struct child *c, struct sandbox *s);  // fills in what it needs
	struct err (*ready)(struct child *c);			    // after it
	void (*peer_up)(struct child *c, enum link_process peer);   // may be NULL
	void (*peer_down)(struct child *c, enum link_process peer); // may be NULL
	void (*drained)(struct child *c, enum link_process peer);   // may be NULL
	const struct child_handler {
		enum link_type type;
		struct err (*handle)(struct child *c, const struct link_message *m);
	} * handlers;
	size_t n_handlers;
};

// Runs it to its end; returns the exit status.
int child_main(const struct child_part *part, const struct agent_conf *conf);

extern const struct child_part wire_part, apply_part, keys_part;
