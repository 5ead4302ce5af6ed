// SPDX-License-Identifier: Apache-2.0
// One packet's way through the twin: every ECMP branch, the deciding route and rule at each device,
// and where it ends. Used by the models process.
#pragma once

#include "models/forwarding.h"

enum trace_verdict { // the worse, the larger: what one branch does, the packet may meet
	TRACE_DELIVERED,
	TRACE_LEFT, // handed to a router outside the twin
	TRACE_DROPPED,
	TRACE_DISCARDED,
	TRACE_NO_ROUTE,
	TRACE_BLACK_HOLE,
	TRACE_LOOP,
	TRACE_INCONCLUSIVE, // wins over all: what is not known is never called delivered
	TRACE_VERDICTS,
};
const char *trace_verdict_name(enum trace_verdict v); // "delivered", "black-hole" ...

struct trace_query {
	const char *from;   // device, device/interface (enters there), or address
	const char *source; // the packet's source address; NULL: follows from `from`
	const char *to;	    // address, device, or device/interface
	int protocol, source_port, destination_port; // -1: open
};

struct trace_out { // one branch out of a hop
	bool has_interface;
	uint32_t interface;
	struct address via;
	int next;			// place of the next hop, -1: ends here
	enum trace_verdict verdict;	// when it ends here, or goes back (TRACE_LOOP)
	const char *why;		// NULL or a sentence
	const char *rule, *rule_record; // the access rule that decided, NULL: none looked
	const char *next_hop_record;	// path of the AFT next hop
};

struct trace_hop {
	uint32_t device;
	bool has_in; // entered by interface `in`; false: begins here
	uint32_t in;
	struct address source;
	const char *route, *route_record; // NULL when delivered here
	const char *note;		  // why no verdict through this device can be sure; or NULL
	struct trace_out *outs;
	unsigned n_outs;
	bool finished;
};

enum { TRACE_HOPS_MAX = 512 };

struct trace {
	struct address source, destination; // source family 0: chosen per branch, or open
	struct trace_hop hops[TRACE_HOPS_MAX];
	unsigned n_hops;
	int starts[64];
	unsigned n_starts;
	enum trace_verdict verdict;
	bool partial; // branches end differently
	const char *why;
};

// Runs it; texts and outs are `a`'s. ERR_USAGE, ERR_NOT_FOUND, ERR_CONFLICT for what `from` and
// `to` name; ERR_LIMIT. `f` must have been refreshed.
MUST_USE struct err trace_run(const struct forwarding *f, const struct trace_query *q,
			      struct arena *a, struct trace *out);
// The body of POST /v1/paths:trace. NULL: out of memory.
json_t *trace_json(const struct forwarding *f, const struct view *v, const struct trace_query *q,
		   const struct trace *t);
