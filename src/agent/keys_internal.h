// SPDX-License-Identifier: Apache-2.0
// Inside keys*.c only: what the process holds.
#pragma once

#include "agent/child.h"
#include "agent/keys_link.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/sign.h"
#include "lib/crypto/tpm.h"
#include "lib/crypto/x509.h"

enum { BATCH_KEYS = 2, TOKEN_ID_MAX = 64 };

struct batch_key {
	struct sign_key *key;
	uint8_t id[8];
	uint8_t spki[32];     // SHA-256
	struct buf certified; // CertifiedBatchKey
};

struct token {
	char id[TOKEN_ID_MAX + 1];
	struct secret *secret; // its text
	uint8_t pin[32];
};

struct keys {
	struct child *child;
	int folder;
	struct tpm *tpm; // NULL: this device has none
	char tpm_name[64];
	struct sign_key *tls;	  // with its certificate
	struct sign_key *pending; // asked for, not yet certified
	struct buf chain;	  // PEM
	struct buf authority;	  // PEM
	struct x509_identity self;
	bool enrolled;
	struct batch_key batch[BATCH_KEYS]; // the present one first, then the one before
	struct token token;
	bool has_token;
	uint8_t pin[32]; // of the enrolment under way
};

// keys_store.c: identity.pem (key, then chain) and authority.pem in the state folder.
MUST_USE struct err keys_load(struct keys *k);
MUST_USE struct err keys_save(struct keys *k, struct cursor *chain_and_trust);
MUST_USE struct err keys_identity_message(const struct keys *k, struct buf *out);

// keys_token.c
MUST_USE struct err keys_token_read(const char *text, const char *device, struct token *out);
void keys_token_clear(struct token *t);

// keys_evidence.c: what proves this device, as gemel.proto says.
MUST_USE struct err keys_batch_new(struct keys *k);
MUST_USE struct err keys_begin(struct keys *k, struct buf *out);
MUST_USE struct err keys_complete(struct keys *k, struct cursor *in, struct buf *out);
MUST_USE struct err keys_attest(struct keys *k, struct cursor *in, struct buf *out);
