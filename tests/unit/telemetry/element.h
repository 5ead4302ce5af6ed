// SPDX-License-Identifier: Apache-2.0
// A network element for tests: it dials telemetry, registers as a tunnel target and serves gNMI
// Subscribe inside, with signed, chained batches, as gemel-agent does; or it does wrong on order.
#pragma once

#include "house.h"

#include "lib/crypto/tls.h"
#include "lib/gnmi/tunnel.h"

struct element {
	const char *device;
	struct house_certificate *certificate;
	struct x509_trust *trust;
	struct tls_context *tls;
	struct grpc_conn *conn;
	struct tunnel_client *tunnel;
	struct grpc_server *grpc;
	struct grpc_call *call; // Subscribe
	bool open, registered, conn_over;
	const char *target;	      // to be registered when Attest is answered
	char over[300], refused[300]; // words of the end; of a refused registration
	// what was subscribed to
	unsigned subscribes;
	size_t n_paths;
	char path[32][200];
	unsigned mode[32];
	// what came after it
	uint64_t acked;
	unsigned acks, cancelled;
	// the chain
	struct sign_key *batch_key;
	uint8_t key_id[BATCH_KEY_ID];
	uint64_t seq;
	uint8_t previous[BATCH_HASH];
	struct batch_canonical *canonical;
	// answers of the Enrolment service
	unsigned answers;
	enum grpc_status status;
	char status_text[300];
	size_t answer_len;
};

void element_open(struct element *e, const char *device, struct house_certificate *certificate);
void element_dial(struct element *e, int port); // TLS and gRPC; not registered yet
// Attests, and when that was accepted registers.
void element_register(struct element *e, const char *target);
void element_register_only(struct element *e, const char *target);
void element_join(struct element *e); // dials and registers; waits for its subscription
void element_hang_up(struct element *e);
void element_clear(struct element *e);
void element_new_key(struct element *e); // and a new chain; the house knows the key

struct update {
	const char *path;
	const char *text; // NULL: `number`
	uint64_t number;
	bool gone; // a delete
};
enum { ELEMENT_UNSIGNED = 1, ELEMENT_FORGED = 2, ELEMENT_SYNC = 4, ELEMENT_AGAIN = 8 };
// One batch on the open stream. AGAIN: as the last one was, once more.
void element_send(struct element *e, const struct update *u, size_t n, unsigned how);
void element_send_raw(struct element *e, const void *bytes, size_t n);
// A unary call on its connection, such as "/gemel.enrolment.v1.Enrolment/Challenge".
void element_call(struct element *e, const char *path, const void *bytes, size_t n);

// For house_until.
bool element_is_open(void *ctx);
bool element_is_over(void *ctx);
bool element_is_subscribed(void *ctx);
bool element_has_answer(void *ctx);
bool element_is_refused(void *ctx);
