// SPDX-License-Identifier: Apache-2.0
// Shared by x509*.c and tls.c: the same work on OpenSSL's objects instead of DER.
#pragma once

#include "lib/crypto/internal.h"
#include "lib/crypto/x509.h"

#include <openssl/x509v3.h>

OPENSSL_SCOPED(X509)
OPENSSL_SCOPED(X509_REQ)
OPENSSL_SCOPED(X509_CRL)
OPENSSL_SCOPED(X509_NAME)

// Whole and nothing after it. *out: X509_free. ERR_PEER.
MUST_USE struct err x509_parse(const uint8_t *der, size_t n, X509 **out);
MUST_USE struct err x509_identity_of(X509 *cert, struct x509_identity *out);
// SHA-256 of SubjectPublicKeyInfo.
MUST_USE struct err x509_spki(X509 *cert, uint8_t out[32]);
void x509_pop_free(STACK_OF(X509) * certs);

// The core of x509_verify and of TLS. `anchor`: trust this one certificate instead of `t`'s.
// *code: OpenSSL's X509_V_... , for the alert.
MUST_USE struct err x509_verify_parsed(struct x509_trust *t, X509 *anchor, X509 *leaf,
				       STACK_OF(X509) * between, enum x509_use use, int64_t now_ns,
				       struct x509_identity *who, enum x509_refusal *why,
				       int *code);
