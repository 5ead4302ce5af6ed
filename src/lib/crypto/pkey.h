// SPDX-License-Identifier: Apache-2.0
// Between our public keys and OpenSSL's, inside lib/crypto only.
#pragma once

#include "lib/crypto/sign.h"

#include <openssl/evp.h>

// ERR_USAGE for kinds of keys that are not used here.
MUST_USE struct err pkey_public(EVP_PKEY *k, struct sign_public *out);
// *out: EVP_PKEY_free.
MUST_USE struct err pkey_from_public(enum sign_algorithm a, const uint8_t *public_key, size_t n,
				     EVP_PKEY **out);

// SubjectPublicKeyInfo of a P-256 key up to and with the 04 of its uncompressed point (RFC 5480):
// the 64 bytes of x and y follow. The one form that is used: one key, one id.
enum { P256_SPKI_HEAD = 27, P256_SPKI = 91 };
extern const uint8_t p256_spki_head[P256_SPKI_HEAD];
