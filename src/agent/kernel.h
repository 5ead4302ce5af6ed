// SPDX-License-Identifier: Apache-2.0
// The kernel's routing state, by rtnetlink: dumps at the start, then its multicast groups. An event
// reaches the tree in the same turn of the loop; only what is already readable is taken together.
//
// Three things that the kernel does not tell are asked for: IPv4 routes after a link or an address
// went (it flushes them silently), everything after an overrun (ENOBUFS), counters when a sample is
// due. Dumps use a second socket and block for as long as the kernel takes to answer.
// Used by agent (apply).
#pragma once

#include "agent/tree.h"

struct kernel; // opaque
// Opens its sockets: before the sandbox closes.
MUST_USE struct err kernel_open(struct tree *tree, struct kernel **out);
void kernel_close(struct kernel *k);   // NULL is fine
int kernel_fd(const struct kernel *k); // readable: call kernel_events
// The whole state into the tree.
MUST_USE struct err kernel_read(struct kernel *k);
// All events that are readable now.
MUST_USE struct err kernel_events(struct kernel *k);
MUST_USE struct err kernel_counters(struct kernel *k);
uint64_t kernel_overruns(const struct kernel *k); // times that the kernel's queue ran over
