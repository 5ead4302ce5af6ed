// SPDX-License-Identifier: Apache-2.0
// The common life of a process of gemeld: handed its configuration and descriptors by the parent,
// starts, closes its sandbox, runs its event loop, and is told when a neighbour comes or goes.
// Each process defines one `const struct process_part` in its folder (src/NAME/NAME.c), which
// src/parent/main.c lists. Used by every process; the parent has its own loop.
#pragma once

#include "lib/ipc/daemon_conf.h"
#include "lib/ipc/ipc.h"

struct process {
	enum process_id id;
	struct event_base *base;
	const struct daemon_conf *conf;
	int state_dir;				  // descriptor of its state folder, -1: none
	struct ipc_channel *peers[PROCESS_COUNT]; // NULL while away
	struct arena *scratch;			  // reset before each message handler
	void *self;				  // the part's own state
	bool running;				  // READY has been sent
};

struct process_part {
	enum process_id id;
	bool has_state; // wants a state folder
	// Table: one row for each message type that it receives. An unlisted one is ERR_INTERNAL.
	const struct process_handler {
		enum ipc_type type;
		struct err (*handle)(struct process *p, const struct ipc_message *m);
	} * handlers;
	size_t n_handlers;
	// System calls beyond the common set (sandbox.h), NULL-terminated names; may be NULL.
	const char *const *syscalls;
	// Before the sandbox: open files, make keys. After it: take up work. A part that has state
	// and lists "openat" may go on opening files in its state folder, and nowhere else.
	// Neighbours come after `ready` (peer_up); until then they are away.
	struct err (*start)(struct process *p);
	struct err (*ready)(struct process *p);
	void (*peer_up)(struct process *p, enum process_id peer);   // may be NULL
	void (*peer_down)(struct process *p, enum process_id peer); // may be NULL
	void (*drained)(struct process *p, enum process_id peer);   // may be NULL
	// A listening socket, by name (telemetry, enrolment, control, api, console). Non-blocking;
	// the part's from now on. Between start and ready.
	struct err (*listener)(struct process *p, const char *name, int fd);	    // may be NULL
	void (*dialled)(struct process *p, uint64_t id, int fd, const char *error); // may be NULL
	// The last call: what must still be written. May be NULL. Then messages are flushed and the
	// process ends.
	void (*stop)(struct process *p);
};

// Runs a process to its end; returns the exit status. Descriptor 3 is the parent's channel.
int process_main(const struct process_part *part);

// Convenience over p->peers: sends or returns ERR_BUSY when the peer is away.
MUST_USE struct err process_send(struct process *p, enum process_id to, enum ipc_type type,
				 const ProtobufCMessage *m);
// Asks the parent for a connection; `dialled` runs with the same id.
MUST_USE struct err process_dial(struct process *p, uint64_t id, const char *address, uint16_t port,
				 const char *netns);
// A ledger record, from management or models. id 0: no answer wanted.
MUST_USE struct err process_record(struct process *p, uint64_t id, const char *kind,
				   const char *subject, const char *actor, const char *json);
MUST_USE struct err process_event(struct process *p, const char *type, const char *subject,
				  const char *json, const char *class_name);
// A metric of this process (set at any time; sent to the parent every second). Names as Prometheus
// wants them: gemel_..._total for counters. labels: `device="x"` or "".
void process_metric(struct process *p, const char *name, const char *labels, double value,
		    bool counter, const char *help);
// A file for clients in the state folder, such as authority.pem. From management.
MUST_USE struct err process_publish(struct process *p, const char *name, const void *content,
				    size_t n);
