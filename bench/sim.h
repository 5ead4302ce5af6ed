// SPDX-License-Identifier: Apache-2.0
// Simulated devices, as many as one process holds: each a tunnel client with a certificate, a chain
// of signed batches and counters that move like counters do. Each dials from a loopback address of
// its own, so that bounds by source are those of as many machines. They attest with empty evidence,
// which stand.h takes; devices that really join are simulated_devices. Used by ingest_bench.
#pragma once

#include "lib/crypto/tls.h"

#include <event2/event.h>

// What a device is made of; keys are taken over.
struct sim_identity {
	char name[65];
	struct sign_key *tls, *batch;
	uint8_t *certificate; // owned
	size_t certificate_len;
};

struct sim_conf {
	struct event_base *base;
	const char *address; // of telemetry
	uint16_t port;
	unsigned devices, interfaces;
	unsigned window;	// batches of one device that are not acknowledged
	unsigned interval_ms;	// between its samples; 0: as fast as they are acknowledged
	const struct buf *root; // the authority's certificate, DER
	bool spread;		// each device dials from a 127.x.y.z of its own
};

struct sim_counts {
	unsigned connected, subscribed;
	uint64_t sent, acked;	 // updates
	uint64_t batches, again; // batches sent again
	char trouble[200];	 // the last thing that went wrong
};

struct sim; // opaque
enum { SIM_COUNTERS = 12 };
MUST_USE struct err sim_new(const struct sim_conf *conf, struct sim **out);
void sim_free(struct sim *s);
MUST_USE struct err sim_add(struct sim *s,
			    struct sim_identity *who); // it dials, and again when it is cut off
void sim_pace(struct sim *s, unsigned interval_ms);
void sim_count(const struct sim *s, struct sim_counts *out);
