// SPDX-License-Identifier: Apache-2.0
// The control process: the management plane of the devices, with a listener, key and user of its
// own. It proves who both sides are (mutual TLS 1.3) and then refuses: instructions are not carried
// yet, and what cannot be proved is not done. X.2011 figure 2, 8.2.1-1.
#pragma once

#include "lib/crypto/tls.h"
#include "lib/ipc/process.h"

enum { CONNECTIONS_MAX = 64 };

struct grpc_server;

struct control {
	struct process *p;
	// certificate.c
	struct tls_context *tls;
	struct x509_trust *trust;
	struct sign_key *key, *next_key;
	bool has_root;
	uint64_t asked;	      // id of CERT_REQUEST
	int64_t ask_again_ns; // monotonic
	struct event *tick;
	// door.c
	int listener; // -1: none
	struct event *door;
	struct grpc_server *grpc;
	unsigned connections;
	uint64_t accepted, refused;
};

// certificate.c
MUST_USE struct err certificate_start(struct control *c);
void certificate_tick(struct control *c); // asks for one when it is time
MUST_USE struct err certificate_issued(struct control *c, const struct ipc_message *m);
void certificate_clear(struct control *c);

// door.c
MUST_USE struct err door_start(struct control *c);
MUST_USE struct err door_open(struct control *c); // once there is a certificate
void door_clear(struct control *c);

extern const struct process_part control_part;
