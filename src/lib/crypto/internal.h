// SPDX-License-Identifier: Apache-2.0
// Shared inside lib/crypto only: what was fetched once, and OpenSSL's errors in our words.
#pragma once

#include "lib/crypto/crypto.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>

struct crypto_fetched {
	EVP_MD *sha256;
	EVP_CIPHER *aes_gcm;  // AES-256-GCM
	EVP_CIPHER *aes_wrap; // AES-256-WRAP
	EVP_KDF *hkdf;
	EVP_MAC *hmac;
};

// The fetched algorithms; starts the libraries if nobody did, and ends the process if it cannot.
const struct crypto_fetched *crypto_fetched(void);

// "TEXT: OpenSSL's reason"; empties OpenSSL's error queue.
struct err crypto_error(enum err_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3))) MUST_USE;

// Scope clean-up for OpenSSL's objects: `openssl(EVP_PKEY) EVP_PKEY *k = NULL;`
#define openssl(type) __attribute__((cleanup(scoped_##type)))
#define OPENSSL_SCOPED(type)                                                                       \
	static inline void scoped_##type(type **p)                                                 \
	{                                                                                          \
		type##_free(*p);                                                                   \
	}
OPENSSL_SCOPED(EVP_PKEY)
OPENSSL_SCOPED(EVP_PKEY_CTX)
OPENSSL_SCOPED(EVP_MD_CTX)
OPENSSL_SCOPED(EVP_CIPHER_CTX)
OPENSSL_SCOPED(EVP_KDF_CTX)
OPENSSL_SCOPED(EVP_MAC_CTX)
