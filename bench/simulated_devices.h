// SPDX-License-Identifier: Apache-2.0
// Many network elements in one process, for a gemeld as it runs in earnest: each enrols with its own
// token and software TPM, attests, registers in the tunnel and answers Subscribe with signed, chained
// batches of counters. Only what they report is made up. One thread, one event loop.
//   simulated_devices.c  options, tokens, pace, the report     simulated_join.c    joining
//   simulated_sample.c   the gNMI service and its batches
#pragma once

#include "soft_tpm.h"

#include "lib/batch/batch.h"
#include "lib/crypto/tls.h"
#include "lib/gnmi/tunnel.h"

#include <event2/event.h>
#include <netinet/in.h>

enum {
	SIMULATED_MAX = 20000,
	SIMULATED_COUNTERS = 12,
	SIMULATED_WINDOW = 2, // batches of one device that are not acknowledged
	TOKEN_MAX = 512,
	SPKI_MAX = 128,
};

enum simulated_stage { STAGE_WAITING, STAGE_ENROLLING, STAGE_ENROLLED, STAGE_ATTESTED, STAGE_REGISTERED };

struct simulated_batch { // sent, and not acknowledged
	struct buf message;
	uint64_t seq; // 0: none
};

struct simulated_device {
	struct simulation *s;
	unsigned number;
	enum simulated_stage stage;
	char name[65], token_id[65], secret[129];
	struct soft_tpm tpm;
	struct sign_key *tls, *batch;
	struct buf certified; // CertifiedBatchKey
	uint8_t batch_spki[32];
	struct x509_st *leaf, *issuing;

	struct event *timer; // the next try, or the next sample
	struct grpc_conn *conn;
	struct tunnel_client *tunnel;
	struct grpc_call *stream;
	int64_t interval_ns; // what Subscribe asked for; 0: no counters were asked for
	uint64_t *value;
	uint32_t random;
	uint64_t seq, acked;
	uint8_t previous[BATCH_HASH];
	struct simulated_batch window[SIMULATED_WINDOW];
};

struct simulated_path {
	struct buf text, wire;
};

struct simulation {
	struct event_base *base;
	struct sockaddr_in telemetry, enrolment;
	unsigned interfaces, at_once;
	struct tpm_pcrs pcrs;
	struct soft_maker maker;
	uint8_t pin[32]; // of every token: the authority's key
	bool has_pin;
	struct tls_context *pinned, *client;
	struct x509_trust *trust; // of the bundle that came with the first certificate
	struct grpc_server *gnmi;
	struct batch_canonical *canonical;
	struct simulated_path *paths;
	unsigned n_paths;
	struct simulated_device **devices;
	unsigned n, next, enrolling; // next: to begin to join
	unsigned enrolled, registered, streaming;
	uint64_t sent, acked, left_out, troubles; // updates; samples that found no room
	char trouble[300]; // the last one
};

// --- simulated_devices.c
uint32_t simulated_draw(struct simulated_device *d);
void simulated_trouble(struct simulated_device *d, const char *where, const char *text);
void simulated_after(struct simulated_device *d, int64_t ms);
void simulated_next(struct simulation *s); // one may begin to join

// --- simulated_join.c
MUST_USE struct err join_prepare(struct simulated_device *d); // its keys
void join_begin(struct simulated_device *d);		      // or goes on: from its stage
void join_clear(struct simulated_device *d);

// --- simulated_sample.c
MUST_USE struct err sample_start(struct simulation *s);
void sample_stop(struct simulation *s);
void sample_due(struct simulated_device *d);
void sample_stream_gone(struct simulated_device *d);
