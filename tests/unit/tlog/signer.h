// SPDX-License-Identifier: Apache-2.0
// A note signer with a key from a seed, for tests.
#pragma once

#include "lib/crypto/sign.h"
#include "lib/tlog/note.h"
#include "test_crypto.h"

struct signer {
	struct sign_key *key;
	struct note_signer by;
};

static inline struct err signer_sign(void *ctx, const void *message, size_t n,
				     uint8_t out[NOTE_SIGNATURE])
{
	struct sign_signature s;
	TRY(sign_make(ctx, message, n, &s));
	memcpy(out, s.bytes, NOTE_SIGNATURE);
	return OK;
}

static inline void signer_start(struct signer *s, const char *name, enum note_type type,
				const uint8_t seed[32])
{
	struct secret *raw = secret_of(seed, 32);
	assert_good(sign_key_from_raw(SIGN_ED25519, raw, &s->key));
	secret_free(raw);
	assert_good(note_key_make(name, type, sign_key_public(s->key)->bytes, &s->by.key));
	s->by.sign = signer_sign;
	s->by.ctx = s->key;
}

static inline void signer_end(struct signer *s)
{
	sign_key_free(s->key);
}
