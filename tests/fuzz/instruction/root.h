// SPDX-License-Identifier: Apache-2.0
// The root that signs every bundle which the fuzzer makes up: past the signature is the parser.
#pragma once

#include "lib/instruction/compose.h"

#include <stdlib.h>
#include <string.h>

#define FUZZ_NOW (1800000000LL * 1000000000LL)

static inline const struct sign_key *fuzz_root(void)
{
	static struct sign_key *root;
	if (root)
		return root;
	struct secret *raw = secret_new(32);
	if (!raw)
		abort();
	memset(secret_bytes(raw), 0x77, 32);
	if (sign_key_from_raw(SIGN_ED25519, raw, &root).code != ERR_NONE)
		abort();
	secret_free(raw);
	return root;
}

// Signs these bytes as a bundle and opens it.
static inline struct err fuzz_bundle(const uint8_t *body, size_t n, struct arena *a,
				     struct instruction_bundle *out, enum instruction_reason *why)
{
	static const struct instruction_bundle_memory none;
	scoped(buf) struct buf message = {0}, bytes = {0};
	struct instruction_signed s = {.body = body, .len = n};
	const struct sign_public *p = sign_key_public(fuzz_root());
	instruction_to_sign(INSTRUCTION_BUNDLE, body, n, &message);
	memcpy(s.key_id, p->id, SIGN_KEY_ID);
	*why = INSTRUCTION_BUNDLE_MALFORMED;
	TRY(sign_make(fuzz_root(), message.data, message.len, &s.signature));
	TRY(instruction_signed_write(&s, &bytes));
	return instruction_bundle_open(bytes.data, bytes.len, p, 1, "campus", &none, FUZZ_NOW, a,
				       out, why);
}
