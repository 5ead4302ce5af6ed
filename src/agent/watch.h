// SPDX-License-Identifier: Apache-2.0
// A subscription list, read and checked (gNMI 0.10, 3.5.1): which leaves, when, in which form.
// A leaf may be covered by several items; its bits say by which. Used by agent (wire).
#pragma once

#include "agent/tree.h"

#include <event2/util.h>

enum { WATCH_ITEMS = 64 };
enum watch_mode { WATCH_STREAM, WATCH_ONCE, WATCH_POLL };
enum watch_encoding { WATCH_PROTO, WATCH_JSON, WATCH_JSON_IETF };

struct watch_item {
	struct path_pattern *pattern;
	bool on_change, sampled; // TARGET_DEFINED: changes, and samples of what is volatile
	bool only_volatile;	 // the samples: of counters only
	bool suppress_redundant;
	int64_t interval_ns, heartbeat_ns;  // 0: none
	int64_t next_ns, next_heartbeat_ns; // monotonic
	uint64_t version;		    // of the tree at the last sample
	unsigned what;			    // enum sample_what to refresh before a sample
	bool due, heartbeat_due;
};

struct watch {
	enum watch_mode mode;
	enum watch_encoding encoding;
	bool updates_only;
	char target[65]; // as the client named it; goes back in each prefix
	unsigned n;
	struct watch_item items[WATCH_ITEMS];
};

struct Gnmi__SubscriptionList;
struct Gnmi__Path;
// ERR_USAGE (INVALID_ARGUMENT), ERR_NOT_FOUND, ERR_LIMIT: names the path. `sample_ns`: when none is
// asked for. `device`: a target, if given, must be it. `lenient`: counters that are asked for
// ON_CHANGE are sampled; otherwise that is refused, as gNMI 3.5.1.5.2 has it.
MUST_USE struct err watch_read(const struct Gnmi__SubscriptionList *list, const char *device,
			       int64_t sample_ns, bool lenient, struct watch *out);
void watch_clear(struct watch *w);
// One path of a Get or a subscription, checked against what a device has.
MUST_USE struct err watch_pattern(const struct Gnmi__Path *prefix, const struct Gnmi__Path *path,
				  const char *device, struct path_pattern **out);
MUST_USE struct err watch_encoding_of(int encoding, enum watch_encoding *out);
// Which items cover a leaf; kept with it under `watcher`.
uint64_t watch_covers(const struct watch *w, struct tree_leaf *leaf, unsigned watcher);
uint64_t watch_covers_once(const struct watch *w, const struct tree_leaf *leaf); // keeps nothing
// Whether a subtree that went concerns any item that wants changes.
bool watch_concerned(const struct watch *w, const char *gone);
unsigned watch_what(const struct path_pattern *p);    // enum sample_what
void watch_schedule(struct watch *w, int64_t now_ns); // the first times
// Marks what is due now; the earliest time after that, or 0: never.
int64_t watch_due(struct watch *w, int64_t now_ns);
// The items of these that want changes of a leaf told when they happen.
uint64_t watch_on_change(const struct watch *w);
// Whether the due items want this leaf.
bool watch_wants(const struct watch *w, uint64_t covers, const struct tree_leaf *leaf);
void watch_sampled(struct watch *w, uint64_t version); // the due ones have been sent
