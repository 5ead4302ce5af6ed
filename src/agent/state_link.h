// SPDX-License-Identifier: Apache-2.0
// STATE: what changed in apply's tree, on its way to wire's. A group of changes that belong
// together is one or more messages, the last without STATE_MORE:
//     u8 flags  i64 time_ns  records to the end
//     record: u8 kind (1 leaf, 2 volatile leaf, 3 gone)  u16 length, path  value (batch.h) if a
//     leaf
// STATE_RESET: what follows in this group is the whole state.
// Used by agent: apply writes, wire reads.
#pragma once

#include "agent/link.h"
#include "agent/tree.h"

enum state_flag { STATE_MORE = 1, STATE_RESET = 2 };
enum sample_what { SAMPLE_INTERFACES = 1, SAMPLE_ACL = 2, SAMPLE_SYSTEM = 4 };

// Sends what tree_flush tells (`whole`: all leaves, with STATE_RESET). ERR_LIMIT: wire does not
// keep up; send the whole again when the link has drained.
MUST_USE struct err state_send(struct link *l, struct tree *tree, bool whole, int64_t time_ns);
// The volatile leaves below `path`, which are never news.
MUST_USE struct err state_send_volatile(struct link *l, struct tree *tree, const char *path,
					int64_t time_ns);

struct state_inbox {
	struct tree *tree;
	bool resetting; // in a group that began with STATE_RESET
};
// The other end: puts it into the tree. *complete: the group has ended.
MUST_USE struct err state_receive(struct state_inbox *in, const struct link_message *m,
				  bool *complete);
