// SPDX-License-Identifier: Apache-2.0
// A small twin for the test of joining: the enrolment port, the tunnel, and a check of each thing
// that an agent says, done here once more from the definitions (gemel.proto, batch.h).
#pragma once

#include "../crypto/authority.h"
#include "../crypto/swtpm.h"

#include "lib/batch/batch.h"
#include "lib/crypto/random.h"
#include "lib/crypto/tls.h"
#include "lib/crypto/tpm_verify.h"
#include "lib/gnmi/gemel.pb-c.h"
#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/gnmi_fast.h"
#include "lib/gnmi/path.h"
#include "lib/gnmi/tunnel.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/listener.h>

enum { TWIN_KEYS = 16, TWIN_WAIT_S = 60 };

struct twin_key {
	uint8_t id[8], previous[BATCH_HASH];
	struct verify_key *verify;
	uint64_t seq;
};

struct twin {
	struct event_base *base;
	struct authority ca;
	struct sign_key *server_key;
	struct x509_trust *trust, *makers;
	struct tls_context *tls[2]; // enrolment, tunnel
	struct evconnlistener *listener[2];
	uint16_t port[2];
	struct grpc_server *grpc[2];
	struct tunnel_server *tunnel;

	char secret[65];
	struct tpm_ak ak;
	bool has_ak;
	uint8_t nonce[32], credential[32], tls_spki[32]; // of the CSR
	uint8_t session_spki[32];			 // of the connection to the tunnel
	uint8_t pcr17[32];
	int64_t life_from_ns, life_until_ns; // of certificates
	const char *refuse;		     // Attest: NULL accepts
	unsigned begins, completes, attests, renews, connections;

	struct tunnel_peer *peer;
	struct grpc_conn *outer, *inner;
	struct grpc_call *stream;
	struct twin_key keys[TWIN_KEYS];
	unsigned n_keys;
	uint64_t batches, records, deletes;
	uint64_t first_seq, acked_seq; // of the stream; of all
	bool synced, acks, repeat_ok;
	uint8_t last_key[8];
	void (*on_record)(const char *path, bool gone, const struct batch_value *v);
};

extern struct twin twin;
void twin_make(void);
void twin_clear(void);
char *twin_token(char *out, size_t n, const char *pin_of); // gemel1.r1....
// Runs the loop until true. Fails the test after TWIN_WAIT_S.
void twin_until(bool (*true_now)(void), const char *what);
void twin_subscribe(const char *const *paths); // STREAM ON_CHANGE, in the tunnel
void twin_hang_up(void);
