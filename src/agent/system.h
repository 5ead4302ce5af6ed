// SPDX-License-Identifier: Apache-2.0
// The machine itself: name, start, software, memory, processors and parts. Files of /proc are
// opened before the sandbox closes and read again from their start. Used by agent (apply).
#pragma once

#include "agent/tree.h"

struct system; // opaque
MUST_USE struct err system_open(struct tree *tree, struct system **out);
void system_close(struct system *s); // NULL is fine
// What stays: once, and again for the name. What varies (memory, processors): when sampled.
void system_read(struct system *s, int64_t now_ns);
void system_sample(struct system *s, int64_t now_ns);
