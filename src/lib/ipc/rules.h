// SPDX-License-Identifier: Apache-2.0
// messages.def as a table, and the frame's head held against it. Internal to lib/ipc; its tests and
// fuzz targets use it too.
#pragma once

#include "lib/ipc/ipc.h"

enum ipc_state { IPC_START = 1, IPC_RUN = 2, IPC_ANY = IPC_START | IPC_RUN };
enum ipc_fd { FD_NONE, FD_ONE, FD_MAYBE };
enum { PROCESS_EACH = PROCESS_COUNT }; // any but the parent

struct ipc_rule {
	const char *name;
	enum ipc_type type;
	int from, to; // enum process_id or PROCESS_EACH
	uint32_t most;
	enum ipc_state states;
	enum ipc_fd fd;
};

// The whole list; *n its length.
const struct ipc_rule *ipc_rules(size_t *n);
// NULL: not permitted.
const struct ipc_rule *ipc_rule_find(unsigned type, enum process_id from, enum process_id to);

// What one process may say to another, by type. For the speed of a channel.
struct ipc_table {
	enum process_id from, to;
	const struct ipc_rule *by_type[IPC_TYPES]; // NULL: not permitted
};
void ipc_table_fill(struct ipc_table *t, enum process_id from, enum process_id to);

enum { IPC_HEAD = 8, IPC_FLAG_FD = 1 };

struct ipc_frame {
	enum ipc_type type;
	uint32_t len; // of the payload
	bool fd;
};

// Whether this frame may be sent in this state. ERR_PEER; the text says what broke which rule.
MUST_USE struct err ipc_frame_check(const struct ipc_table *t, bool running, unsigned type,
				    size_t len, bool fd);
// Reads a head and checks it.
MUST_USE struct err ipc_frame_read(const struct ipc_table *t, bool running,
				   const uint8_t head[IPC_HEAD], struct ipc_frame *out);
void ipc_frame_write(uint8_t head[IPC_HEAD], enum ipc_type type, uint32_t len, bool fd);
