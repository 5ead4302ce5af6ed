// SPDX-License-Identifier: Apache-2.0
// The network's state as its devices last reported it, at one moment: typed values under the
// numbers of a catalogue. The live state is fed from repository's FEED; the state at time T is a
// second one over the same series, fed from STATE_FEED and then never changed.
//
// A record costs two array lookups: series number -> slot (made once, by schema.h) -> value.
// A value that cannot be understood sets `bad` and clears the field: whatever depends on it is then
// inconclusive, never permitted (fail closed, X.2011 8.2.1-1).
// Used by the models process.
#pragma once

#include "lib/batch/batch.h"
#include "models/catalogue.h"
#include "models/schema.h"

// Every value begins with this. Absent objects have `have` 0.
struct value_head {
	uint32_t have, bad; // bits of schema_leaf.bit
	int64_t changed_ns; // the device's time of the last change (counters do not count)
};

enum status { STATUS_UNKNOWN, STATUS_UP, STATUS_DOWN, STATUS_LOWER_LAYER_DOWN };
enum neighbour_state {
	NEIGHBOUR_UNKNOWN,
	NEIGHBOUR_REACHABLE,
	NEIGHBOUR_STALE,
	NEIGHBOUR_DELAY,
	NEIGHBOUR_PROBE,
	NEIGHBOUR_PERMANENT,
	NEIGHBOUR_NOARP,
	NEIGHBOUR_INCOMPLETE,
	NEIGHBOUR_FAILED,
	NEIGHBOUR_NONE,
};
enum next_hop_action { NH_UNKNOWN, NH_FORWARD, NH_DISCARD, NH_REJECT, NH_LOCAL };
enum hook { HOOK_NONE, HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT, HOOK_OTHER };
enum policy { POLICY_UNKNOWN, POLICY_ACCEPT, POLICY_DROP };
enum rule_verdict {
	VERDICT_UNKNOWN,
	VERDICT_ACCEPT,
	VERDICT_DROP,
	VERDICT_REJECT,
	VERDICT_CONTINUE,
	VERDICT_JUMP,
	VERDICT_GOTO,
	VERDICT_RETURN,
};
enum connection {
	CONNECTION_NEW = 1,
	CONNECTION_ESTABLISHED = 2,
	CONNECTION_RELATED = 4,
	CONNECTION_INVALID = 8,
	CONNECTION_UNTRACKED = 16,
};

enum counter {
	IN_OCTETS,
	IN_PKTS,
	IN_ERRORS,
	IN_DISCARDS,
	OUT_OCTETS,
	OUT_PKTS,
	OUT_ERRORS,
	OUT_DISCARDS,
	COUNTERS,
};
struct counters {
	uint64_t value[COUNTERS];
	int64_t octets_ns[2]; // time of IN_OCTETS, OUT_OCTETS
	double rate[2];	      // bit/s between the last two of them; negative: not known
};

struct ports {
	uint16_t low, high;
};

struct device_value {
	struct value_head h;
	char *hostname, *software, *lldp_name, *lldp_chassis, *not_modelled, *agent;
	uint64_t boot_time;
};
struct interface_value {
	struct value_head h;
	char *type;
	struct counters *counters; // NULL until the first
	int64_t last_change;
	uint64_t speed; // bit/s
	uint32_t mtu, ifindex;
	uint8_t admin, oper, mac[6];
};
struct address_value {
	struct value_head h;
	uint32_t length;
};
struct neighbour_value {
	struct value_head h;
	uint8_t mac[6], state;
	char *origin;
};
struct entry_value {
	struct value_head h;
	uint64_t group;
	uint32_t metric;
	uint8_t origin;
};
struct group_value {
	struct value_head h;
};
struct member_value {
	struct value_head h;
	uint64_t index;
	uint32_t weight;
};
struct next_hop_value {
	struct value_head h;
	struct address via;
	uint8_t action;
	char *interface;
};
struct set_value {
	struct value_head h;
	uint8_t hook, policy;
	int32_t priority;
};
struct rule_value {
	struct value_head h;
	char *description, *raw, *jump, *in, *out;
	uint64_t packets, octets, handle;
	struct prefix source[2], destination[2]; // of .../ipv4/state and .../ipv6/state
	struct ports source_port, destination_port;
	int16_t protocol[2];
	uint8_t connection, action, modelled;
};
struct lldp_value {
	struct value_head h;
	char *name, *chassis, *port, *port_description, *management;
};

// Bits of `have`, for the leaves that readers ask about.
enum {
	HAVE_NAME = 0,
	HAVE_OPER = 1,
	HAVE_ADMIN = 2,
	HAVE_MAC = 3,
	HAVE_MTU = 4,
	HAVE_SPEED = 8,
	HAVE_LENGTH = 1,
	HAVE_STATE = 2,
	HAVE_LLADDR = 1,
	HAVE_GROUP = 1,
	HAVE_METRIC = 3,
	HAVE_INDEX = 0,
	HAVE_VIA = 1,
	HAVE_ACTION = 2,
	HAVE_NH_INTERFACE = 3,
	HAVE_HOOK = 1,
	HAVE_PRIORITY = 2,
	HAVE_POLICY = 3,
	HAVE_SOURCE = 8,
	HAVE_DESTINATION = 9,
	HAVE_PROTOCOL = 10,
	HAVE_SOURCE_PORT = 11,
	HAVE_DESTINATION_PORT = 12,
	HAVE_CONNECTION = 13,
	HAVE_IN = 14,
	HAVE_OUT = 15,
	HAVE_VERDICT = 16,
	HAVE_JUMP = 17,
	HAVE_MODELLED = 18,
	HAVE_HANDLE = 19,
	HAVE_SOURCE6 = 20,
	HAVE_DESTINATION6 = 21,
	HAVE_PROTOCOL6 = 22,
};
static inline bool have(const struct value_head *h, unsigned bit)
{
	return h->have >> bit & 1;
}

// What is known of a device beside its values.
struct device_info {
	int64_t received_ns, time_ns; // last batch: when telemetry had it; newest record's own time
	uint64_t revision;	      // last batch's
	uint32_t refused;	      // values that were not understood
	uint8_t unmodelled;	      // enum unmodelled, seen
	bool synced;		      // has sent its whole state once
	bool seen;		      // any batch at all
	uint32_t generation[6];	      // counts changes for each bit of enum leaf_touches
};

// --- series: number -> slot. Shared by the live state and those of the past.
struct series;			 // opaque
struct series *series_new(void); // with a catalogue of its own. NULL: out of memory
void series_free(struct series *s);
const struct catalogue *series_catalogue(const struct series *s);
// Announces a series. Paths that the twin does not read cost one slot and nothing more. ERR_PEER
// when the number already means something else, or a malformed path; ERR_LIMIT past a bound.
MUST_USE struct err series_add(struct series *s, uint32_t number, const char *device,
			       const char *path, size_t path_len);
size_t series_count(const struct series *s);

// --- state
struct state;					 // opaque
struct state *state_new(const struct series *s); // `s` must outlive it. NULL: out of memory
void state_free(struct state *s);
const struct catalogue *state_catalogue(const struct state *s);

// What a batch changed.
struct state_change {
	uint8_t touched;     // enum leaf_touches
	int64_t earliest_ns; // device time of the earliest record that touched something; 0: none
	uint32_t device;
};
// Applies one FEED payload. ERR_PEER: malformed, an unannounced series, or one of another device.
MUST_USE struct err state_apply(struct state *s, const uint8_t *bytes, size_t n,
				struct state_change *change);

uint64_t state_revision(const struct state *s);
int64_t state_newest_ns(const struct state *s); // newest received_ns of all devices
uint64_t state_records(const struct state *s);	// applied
uint64_t state_ignored(const struct state *s);	// of series that the twin does not read
const struct device_info *state_device(const struct state *s, uint32_t device);
// Sum of generations over all devices for the touched bits: cheap "has anything changed".
uint64_t state_generation(const struct state *s, uint8_t touches);

// How many of a kind there may be (some absent).
uint32_t state_count(const struct state *s, uint32_t device, enum object_kind kind);
// The value or NULL when absent. Valid until the next state_apply.
const void *state_value(const struct state *s, uint32_t device, enum object_kind kind,
			uint32_t index);
// The device value always exists (perhaps empty).
const struct device_value *state_device_value(const struct state *s, uint32_t device);

// The canonical path of an object (the list entry, without /state), for evidence. Returns `out`.
enum { STATE_PATH_MAX = 1200 };
char *state_path(const struct state *s, uint32_t device, enum object_kind kind, uint32_t index,
		 char out[STATE_PATH_MAX]);
// A rough count of bytes held by this state (not the catalogue).
size_t state_bytes(const struct state *s);
