// SPDX-License-Identifier: Apache-2.0
// Signatures: Ed25519 (RFC 8032) and ECDSA P-256 with SHA-256 (FIPS 186-5; signature in DER).
// A sign_key holds a private key and makes signatures; a verify_key holds public bytes of someone
// else. The numbers of enum sign_algorithm go over the wire and into files: never change one.
// Public form: Ed25519 the 32 raw bytes; P-256 the SubjectPublicKeyInfo in DER (RFC 5480,
// uncompressed point, named curve: 91 bytes). Key id: the first 8 bytes of
// SHA-256(algorithm byte || public form). Used by keys, agent, repository, management, telemetry.
#pragma once

#include "lib/base/mem.h"

struct evp_pkey_st; // OpenSSL's EVP_PKEY

enum sign_algorithm { SIGN_ED25519 = 1, SIGN_P256 = 2 };

enum {
	SIGN_KEY_ID = 8,
	SIGN_PUBLIC_MAX = 96,
	SIGN_MAX = 72, // longest signature: DER of two 256-bit integers
	SIGN_ED25519_PUBLIC = 32,
	SIGN_ED25519_SIGNATURE = 64,
};

struct sign_public {
	enum sign_algorithm algorithm;
	uint8_t bytes[SIGN_PUBLIC_MAX];
	size_t len;
	uint8_t id[SIGN_KEY_ID];
};

struct sign_signature {
	uint8_t bytes[SIGN_MAX];
	size_t len;
};

const char *sign_algorithm_name(enum sign_algorithm a); // "Ed25519", "ECDSA P-256", "unknown"
void sign_key_id(enum sign_algorithm a, const uint8_t *public_key, size_t n,
		 uint8_t id[SIGN_KEY_ID]);

// Private keys. *out is owned by the caller: sign_key_free (NULL is fine; zeroes).
struct sign_key; // opaque
MUST_USE struct err sign_key_generate(enum sign_algorithm a, struct sign_key **out);
// Raw form: Ed25519 the 32-byte seed, P-256 the 32-byte big-endian scalar. ERR_USAGE otherwise.
MUST_USE struct err sign_key_from_raw(enum sign_algorithm a, const struct secret *raw,
				      struct sign_key **out);
MUST_USE struct err sign_key_to_raw(const struct sign_key *k, struct secret **out);
// PKCS#8 PEM, unencrypted: only ever inside a struct secret (see sealedfile.h).
MUST_USE struct err sign_key_from_pem(const struct secret *pem, struct sign_key **out);
MUST_USE struct err sign_key_to_pem(const struct sign_key *k, struct secret **out);
void sign_key_free(struct sign_key *k);
const struct sign_public *sign_key_public(const struct sign_key *k); // lives as long as k
struct evp_pkey_st *sign_key_pkey(const struct sign_key *k); // borrowed; for x509.h and tls.h
// Signs the message itself (P-256 hashes it with SHA-256).
MUST_USE struct err sign_make(const struct sign_key *k, const void *message, size_t n,
			      struct sign_signature *out);

// Public keys, from foreign bytes. ERR_USAGE: unknown algorithm, wrong length, point not on the
// curve. *out: verify_key_free.
struct verify_key; // opaque
MUST_USE struct err verify_key_new(enum sign_algorithm a, const uint8_t *public_key, size_t n,
				   struct verify_key **out);
// From a public key that OpenSSL holds (a certificate's); takes a reference of its own.
MUST_USE struct err verify_key_from_pkey(struct evp_pkey_st *pkey, struct verify_key **out);
void verify_key_free(struct verify_key *k);
const struct sign_public *verify_key_public(const struct verify_key *k);
// ERR_AUTH when the signature is not this key's over this message.
MUST_USE struct err verify_check(const struct verify_key *k, const void *message, size_t n,
				 const void *signature, size_t signature_len);
