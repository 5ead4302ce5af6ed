// SPDX-License-Identifier: Apache-2.0
// One Notification for a client of ours, in the encoding that it asked for. A SubscribeResponse and
// a GetResponse have it under the same field number, so one writer makes both.
// Used by agent (wire).
#pragma once

#include "agent/tree.h"
#include "agent/watch.h"
#include "lib/gnmi/gnmi_fast.h"

enum { NOTE_FULL = 256 << 10 }; // bytes: time to send it

struct note {
	struct buf bytes; // note_clear
	struct gnmi_writer writer;
	enum watch_encoding encoding;
	bool open;
	struct buf value, path; // scratch
};

void note_clear(struct note *n);
// Starts one when none is open. `target` "": none, goes into the prefix.
void note_start(struct note *n, enum watch_encoding encoding, const char *target, int64_t time_ns);
void note_leaf(struct note *n, struct tree_leaf *leaf);
void note_json(struct note *n, const char *path, const void *json, size_t len);
void note_delete(struct note *n, const char *path);
// Closes it. The bytes are one whole message (or the next part of a GetResponse).
MUST_USE struct err note_finish(struct note *n);
static inline bool note_full(const struct note *n)
{
	return n->bytes.len >= NOTE_FULL;
}
// A leaf's value for the wire; JSON stays JSON. The views are the leaf's.
struct gnmi_value note_value(const struct batch_value *v);
