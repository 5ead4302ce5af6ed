// SPDX-License-Identifier: Apache-2.0
// TLS set-up: 1.3 only, certificates from memory, no session tickets, no renegotiation, ALPN. One
// tls_context for each listener or kind of connection; its certificate and its trust can be
// replaced while it serves (connections that are open keep what they had).
// X.2011 8.2.1-1, 8.2.1-2, 8.2.1-3. Used by telemetry, control, northbound, agent, witness, CLI.
#pragma once

#include "lib/crypto/x509.h"

struct ssl_st;	   // OpenSSL's SSL
struct ssl_ctx_st; // OpenSSL's SSL_CTX

enum tls_side { TLS_SERVER, TLS_CLIENT };
enum tls_peer_certificate { // for servers; a client always demands the server's
	TLS_PEER_NONE,	    // clients are not asked
	TLS_PEER_OPTIONAL,  // asked; a bad one is refused, none is let through
	TLS_PEER_REQUIRED,
};

struct tls_conf {
	enum tls_side side;
	enum tls_peer_certificate peer;
	// Whom to believe. A client may name a pin instead of, or beside, a trust: the SHA-256 of
	// the SubjectPublicKeyInfo of an authority which the server's chain must contain *and* be
	// signed by (enrolment: the token carries it).
	struct x509_trust
		*trust;	    // borrowed; must outlive the context; NULL with a pin or PEER_NONE
	const uint8_t *pin; // 32 bytes, copied; NULL: none
	const char *const
		*alpn;	    // NULL-terminated, such as {"h2", NULL}; NULL: none. Server: required
	bool alpn_optional; // a peer without ALPN is let through (curl, browsers without h2)
};

struct tls_context; // opaque
MUST_USE struct err tls_context_new(const struct tls_conf *conf, struct tls_context **out);
void tls_context_free(struct tls_context *c); // NULL is fine; open connections live on
// Own certificate, leaf first, and its key (a reference is taken). May be called again at any time.
MUST_USE struct err tls_context_set_identity(struct tls_context *c, const struct x509_chain *chain,
					     const struct sign_key *key);
struct ssl_ctx_st *tls_context_ctx(struct tls_context *c); // borrowed

// Whom a client means to reach; any set member must hold, at least one must be set unless the
// context has a pin (then the pinned authority alone decides).
struct tls_expect {
	const char *host;   // DNS name or numeric address in the certificate; DNS is sent as SNI
	const char *device; // urn:gemel:device:
	const char *role;   // urn:gemel:role:
};
// A new connection; *out is the caller's (SSL_free). `expect` NULL for servers. No BIO is set.
MUST_USE struct err tls_connection_new(struct tls_context *c, const struct tls_expect *expect,
				       struct ssl_st **out);

// After the handshake: who the peer is, as verified. ERR_AUTH when it gave no certificate.
MUST_USE struct err tls_peer_identity(const struct ssl_st *ssl, struct x509_identity *out);
// The peer's chain, leaf first, in `a`'s memory, also after a refusal; n == 0 when it gave none.
MUST_USE struct err tls_peer_chain(const struct ssl_st *ssl, struct arena *a,
				   struct x509_chain *out);
const char *tls_alpn(const struct ssl_st *ssl, size_t *n); // NULL: none agreed. Not NUL-terminated

// What ended a handshake or connection, in words for the person who must act: call right after an
// SSL_* call failed on this thread. `what` names the peer ("device r1 at 10.0.0.1"). Empties
// OpenSSL's error queue. AUTH for certificates, PEER for the rest, IO for a lost connection.
struct err tls_error(const struct ssl_st *ssl, int ssl_result, const char *what) MUST_USE;
// Why we refused the peer's certificate on this connection; X509_GOOD if we did not.
enum x509_refusal tls_refusal(const struct ssl_st *ssl);
