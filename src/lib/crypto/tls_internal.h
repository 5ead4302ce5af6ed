// SPDX-License-Identifier: Apache-2.0
// What tls.c and tls_error.c share.
#pragma once

#include "lib/crypto/tls.h"

#include <openssl/x509.h>

struct tls_connection {
	struct tls_context *context; // a reference
	char *host;		     // owned; NULL: none expected
	char device[X509_NAME_MAX + 1], role[X509_NAME_MAX + 1];
	STACK_OF(X509) * chain; // the peer's, as sent, leaf first; owned
	struct x509_identity who;
	enum x509_refusal why;
	bool verified;
	char words[ERR_TEXT_MAX]; // why the certificate was refused
};

struct tls_connection *tls_connection_of(const struct ssl_st *ssl); // NULL: not one of ours
