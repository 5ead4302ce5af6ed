// SPDX-License-Identifier: Apache-2.0
// Loops and black holes over all destinations. Destinations that every table treats alike form a
// class: the addresses between two neighbouring boundaries of all prefixes of all devices. For each
// class the devices' next hops are a graph; a cycle in it is a loop, an edge that ends in a lost
// next hop or at a device without a route is a black hole. Access lists are not part of it: a
// packet that a rule drops is dropped on purpose. A pass is cut into steps, so that answers never
// wait for it. Used by the models process.
#pragma once

#include "models/forwarding.h"

enum finding_kind { FINDING_LOOP, FINDING_BLACK_HOLE };
enum { FINDING_DEVICES_MAX = 32, FINDING_PREFIXES_MAX = 16, FINDINGS_MAX = 512 };

struct finding {
	enum finding_kind kind;
	uint32_t
		devices[FINDING_DEVICES_MAX]; // a loop's in order; a black hole's: where it is lost
	unsigned n_devices;
	bool connected; // a black hole of nothing but the subnet behind a down interface
	char why[WHY_MAX];
	struct prefix prefixes[FINDING_PREFIXES_MAX]; // some of the routes that lead into it
	unsigned n_prefixes;
	uint64_t classes;
	struct address example;
	int64_t since_ns;
	bool reported; // an event was sent (models.c)
};

struct checks; // opaque

// `f` must outlive it. NULL: out of memory.
struct checks *checks_new(struct forwarding *f);
void checks_free(struct checks *c);
// Whether anything that a finding depends on changed since the last pass began.
bool checks_due(const struct checks *c);
// Works for about `visits` (class, device) pairs; *done when a pass ended with this step. Begins a
// new pass when due, or when the state changed under it. `now_ns` dates new findings.
MUST_USE struct err checks_step(struct checks *c, size_t visits, int64_t now_ns, bool *done);

struct forwarding *checks_forwarding(const struct checks *c);

// Of the last complete pass.
size_t checks_findings(const struct checks *c, struct finding **findings);
struct checks_pass {
	bool complete;		   // a pass has ended
	bool truncated;		   // more findings than FINDINGS_MAX
	uint64_t classes, unknown; // unknown: (class, device) whose next hop is inconclusive
	uint64_t revision;
	int64_t time_ns;
};
const struct checks_pass *checks_pass(const struct checks *c);
// GET /v1/forwarding/checks. NULL: out of memory.
json_t *checks_json(const struct checks *c, const struct view *v);
