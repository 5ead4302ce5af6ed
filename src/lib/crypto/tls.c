// SPDX-License-Identifier: Apache-2.0
// Each connection carries a `struct connection` in OpenSSL's ex_data: whom it expects, and what the
// check of the peer's chain found. The check replaces OpenSSL's own (cert verify callback), so that
// it runs on our clock, with our revocation, our names, and leaves words that a person understands.

#include "lib/crypto/tls.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/sabotage.h"
#include "lib/crypto/pkey.h"
#include "lib/crypto/tls_internal.h"
#include "lib/crypto/x509_internal.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ALPN_MAX = 64 };

struct tls_context {
	SSL_CTX *ctx;
	enum tls_side side;
	enum tls_peer_certificate peer;
	struct x509_trust *trust;
	bool pinned, alpn_optional;
	uint8_t pin[32];
	uint8_t alpn[ALPN_MAX]; // wire form: length, name ...
	size_t alpn_len;
	unsigned references; // its owner and its connections
};

static int slot = -1; // ex_data index of struct connection
static pthread_once_t slot_once = PTHREAD_ONCE_INIT;

static void release(struct tls_context *c)
{
	if (--c->references > 0)
		return;
	SSL_CTX_free(c->ctx);
	free(c);
}

static void connection_free(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long l, void *arg)
{
	struct tls_connection *k = p;
	if (!k)
		return;
	release(k->context);
	x509_pop_free(k->chain);
	free(k->host);
	free(k);
}

static void slot_make(void)
{
	slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, connection_free);
}

struct tls_connection *tls_connection_of(const struct ssl_st *ssl)
{
	return slot < 0 ? NULL : SSL_get_ex_data(ssl, slot);
}

// --- the peer's chain

// The authority in the chain whose key is the pinned one; NULL when there is none.
static X509 *find_pinned(const struct tls_context *c, STACK_OF(X509) * chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		uint8_t spki[32];
		X509 *cert = sk_X509_value(chain, i);
		struct err e = x509_spki(cert, spki);
		if (e.code == ERR_NONE && memcmp(spki, c->pin, 32) == 0 && X509_check_ca(cert) == 1)
			return cert;
	}
	return NULL;
}

static bool host_matches(X509 *leaf, const char *host)
{
	uint8_t address[16];
	if (inet_pton(AF_INET, host, address) == 1)
		return X509_check_ip(leaf, address, 4, 0) == 1;
	if (inet_pton(AF_INET6, host, address) == 1)
		return X509_check_ip(leaf, address, 16, 0) == 1;
	return X509_check_host(leaf, host, 0,
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
				       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
			       NULL) == 1;
}

static struct err check_names(const struct tls_connection *k, X509 *leaf)
{
	const struct x509_identity *who = &k->who;
	const char *is = who->device[0] ? who->device : who->role[0] ? who->role : who->subject;
	ENSURE(!k->host || host_matches(leaf, k->host), ERR_AUTH,
	       "the server's certificate is for \"%s\" and does not name %s", is, k->host);
	ENSURE(!k->device[0] || strcmp(k->device, who->device) == 0, ERR_AUTH,
	       "device %s was expected; the certificate is for \"%s\"", k->device, is);
	ENSURE(!k->role[0] || strcmp(k->role, who->role) == 0, ERR_AUTH,
	       "the role %s was expected; the certificate is for \"%s\"", k->role, is);
	return OK;
}

static struct err check_chain(struct tls_connection *k, X509 *leaf, STACK_OF(X509) * chain,
			      int *code)
{
	struct tls_context *c = k->context;
	X509 *anchor = NULL;
	if (c->pinned) {
		anchor = find_pinned(c, chain);
		if (!anchor) {
			k->why = X509_UNKNOWN_AUTHORITY;
			*code = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
			return err_make(ERR_AUTH,
					"the server's chain does not contain the authority "
					"that the token names: this is another twin, or someone in "
					"between");
		}
	}
	enum x509_use use = c->side == TLS_CLIENT ? X509_USE_SERVER : X509_USE_CLIENT;
	int64_t now = clock_wall_ns();
	TRY(x509_verify_parsed(c->trust, anchor, leaf, chain, use, now, &k->who, &k->why, code));
	if (anchor && c->trust) // beside a pin, the trust must hold too
		TRY(x509_verify_parsed(c->trust, NULL, leaf, chain, use, now, &k->who, &k->why,
				       code));
	struct err e = check_names(k, leaf);
	if (e.code != ERR_NONE) {
		k->why = X509_WRONG_NAME;
		*code = X509_V_ERR_HOSTNAME_MISMATCH;
	}
	return e;
}

static int on_certificate(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_connection *k = tls_connection_of(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
	if (!k || !leaf || sk_X509_num(chain) > X509_CHAIN_MAX) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_CHAIN_TOO_LONG);
		return 0;
	}
	x509_pop_free(k->chain);
	k->chain = X509_chain_up_ref(chain); // OpenSSL drops it when the check fails
	k->verified = false;
	int code = X509_V_OK;
	struct err e = check_chain(k, leaf, chain, &code);
	if (e.code != ERR_NONE) {
		strncpy(k->words, e.text, sizeof k->words - 1);
		X509_STORE_CTX_set_error(store, code);
		return 0;
	}
	k->verified = true;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

// --- ALPN (RFC 7301)

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		   const unsigned char *in, unsigned int in_len, void *arg)
{
	const struct tls_context *c = arg;
	unsigned char *chosen = NULL;
	if (SSL_select_next_proto(&chosen, out_len, c->alpn, (unsigned)c->alpn_len, in, in_len) ==
	    OPENSSL_NPN_NEGOTIATED) {
		*out = chosen;
		return SSL_TLSEXT_ERR_OK;
	}
	return c->alpn_optional ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// A client that sends no ALPN at all never reaches on_alpn.
static int on_hello(SSL *ssl, int *alert, void *arg)
{
	const struct tls_context *c = arg;
	const unsigned char *ext;
	size_t n;
	if (c->alpn_len == 0 || c->alpn_optional ||
	    SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext,
				      &n) == 1)
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

static struct err set_alpn(struct tls_context *c, const char *const *names)
{
	for (; names && *names; names++) {
		size_t n = strlen(*names);
		ENSURE(n > 0 && c->alpn_len + 1 + n <= ALPN_MAX, ERR_INTERNAL,
		       "ALPN list too long");
		c->alpn[c->alpn_len++] = (uint8_t)n;
		memcpy(c->alpn + c->alpn_len, *names, n);
		c->alpn_len += n;
	}
	if (c->alpn_len == 0)
		return OK;
	if (c->side == TLS_SERVER) {
		SSL_CTX_set_alpn_select_cb(c->ctx, on_alpn, c);
		SSL_CTX_set_client_hello_cb(c->ctx, on_hello, c);
	} else if (SSL_CTX_set_alpn_protos(c->ctx, c->alpn, (unsigned)c->alpn_len) != 0) {
		return crypto_error(ERR_INTERNAL, "setting ALPN failed");
	}
	return OK;
}

// --- contexts

static struct err set_protocol(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	// No partial writes: libevent goes on to its next block after one, and the rest is lost.
	SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(ctx, X509_CHAIN_MAX * X509_DER_MAX);
	if (SSL_CTX_set_min_proto_version(ctx, sabotaged("tls-version") ? TLS1_2_VERSION
									: TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:"
					  "TLS_CHACHA20_POLY1305_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") != 1 ||
	    SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256:ed25519:ECDSA+SHA384:RSA-PSS+SHA256:"
					   "RSA-PSS+SHA384") != 1)
		return crypto_error(ERR_INTERNAL, "TLS 1.3 could not be set up");
	return OK;
}

// For the test that must see plaintext then: HTTP/2 between programs of this build, unencrypted.
static void expose(SSL_CTX *ctx)
{
	SSL_CTX_set_security_level(ctx, 0);
	(void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	(void)SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	(void)SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-NULL-SHA");
}

static void set_verification(struct tls_context *c)
{
	int mode = SSL_VERIFY_PEER;
	if (c->side == TLS_SERVER && c->peer == TLS_PEER_NONE)
		mode = SSL_VERIFY_NONE;
	else if (c->side == TLS_SERVER && c->peer == TLS_PEER_REQUIRED)
		mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(c->ctx, mode, NULL);
	SSL_CTX_set_cert_verify_callback(c->ctx, on_certificate, NULL);
}

static struct err fill(struct tls_context *c, const struct tls_conf *conf)
{
	c->side = conf->side;
	c->peer = conf->peer;
	c->trust = conf->trust;
	c->alpn_optional = conf->alpn_optional;
	c->pinned = conf->pin != NULL;
	if (conf->pin)
		memcpy(c->pin, conf->pin, sizeof c->pin);
	bool believes = conf->trust || conf->pin;
	ENSURE(believes || (conf->side == TLS_SERVER && conf->peer == TLS_PEER_NONE), ERR_INTERNAL,
	       "a TLS context that checks certificates needs a trust or a pin");
	c->ctx = SSL_CTX_new(conf->side == TLS_SERVER ? TLS_server_method() : TLS_client_method());
	if (!c->ctx)
		return crypto_error(ERR_INTERNAL, "TLS could not be set up");
	TRY(set_protocol(c->ctx));
	set_verification(c);
	if (conf->alpn && strcmp(conf->alpn[0], "h2") == 0 && sabotaged("confidentiality"))
		expose(c->ctx);
	return set_alpn(c, conf->alpn);
}

struct err tls_context_new(const struct tls_conf *conf, struct tls_context **out)
{
	TRY(crypto_start());
	pthread_once(&slot_once, slot_make);
	struct tls_context *c = calloc(1, sizeof *c);
	ENSURE(c && slot >= 0, ERR_LIMIT, "no memory for TLS");
	c->references = 1;
	struct err e = fill(c, conf);
	if (e.code != ERR_NONE) {
		release(c);
		return e;
	}
	*out = c;
	return OK;
}

void tls_context_free(struct tls_context *c)
{
	if (c)
		release(c);
}

struct ssl_ctx_st *tls_context_ctx(struct tls_context *c)
{
	return c->ctx;
}

struct err tls_context_set_identity(struct tls_context *c, const struct x509_chain *chain,
				    const struct sign_key *key)
{
	ENSURE(chain->n >= 1 && chain->n <= X509_CHAIN_MAX, ERR_USAGE,
	       "a chain has 1 to %d certificates", X509_CHAIN_MAX);
	openssl(X509) X509 *leaf = NULL;
	TRY(x509_parse(chain->der[0], chain->len[0], &leaf));
	ENSURE(X509_check_private_key(leaf, sign_key_pkey(key)) == 1, ERR_USAGE,
	       "the certificate is not for this private key");
	STACK_OF(X509) *rest = sk_X509_new_null();
	struct err e = rest ? OK : err_make(ERR_LIMIT, "no memory for a chain");
	for (size_t i = 1; i < chain->n && e.code == ERR_NONE; i++) {
		X509 *next = NULL;
		e = x509_parse(chain->der[i], chain->len[i], &next);
		if (e.code == ERR_NONE && !sk_X509_push(rest, next)) {
			X509_free(next);
			e = err_make(ERR_LIMIT, "no memory for a chain");
		}
	}
	if (e.code == ERR_NONE &&
	    SSL_CTX_use_cert_and_key(c->ctx, leaf, sign_key_pkey(key), rest, 1) != 1)
		e = crypto_error(ERR_USAGE, "the certificate cannot be used for TLS");
	x509_pop_free(rest);
	return e;
}

// --- connections

static struct err expect(SSL *ssl, struct tls_connection *k, const struct tls_expect *want)
{
	bool any = want && (want->host || want->device || want->role);
	ENSURE(any || k->context->side == TLS_SERVER || k->context->pinned, ERR_INTERNAL,
	       "a TLS client must say whom it expects");
	if (!want)
		return OK;
	if (want->device)
		TRY(x509_name_check(want->device));
	if (want->role)
		TRY(x509_name_check(want->role));
	strncpy(k->device, want->device ? want->device : "", X509_NAME_MAX);
	strncpy(k->role, want->role ? want->role : "", X509_NAME_MAX);
	if (!want->host)
		return OK;
	k->host = strdup(want->host);
	ENSURE(k->host, ERR_LIMIT, "no memory for a connection");
	uint8_t address[16];
	bool numeric = inet_pton(AF_INET, want->host, address) == 1 ||
		       inet_pton(AF_INET6, want->host, address) == 1;
	if (!numeric && SSL_set_tlsext_host_name(ssl, want->host) != 1) // RFC 6066 section 3
		return crypto_error(ERR_USAGE, "\"%.80s\" is not a host name", want->host);
	return OK;
}

struct err tls_connection_new(struct tls_context *c, const struct tls_expect *want,
			      struct ssl_st **out)
{
	struct tls_connection *k = calloc(1, sizeof *k);
	ENSURE(k, ERR_LIMIT, "no memory for a connection");
	SSL *ssl = SSL_new(c->ctx);
	if (!ssl || SSL_set_ex_data(ssl, slot, k) != 1) {
		SSL_free(ssl);
		free(k);
		return crypto_error(ERR_LIMIT, "no memory for a connection");
	}
	k->context = c; // from here on connection_free gives everything back
	c->references++;
	struct err e = expect(ssl, k, want);
	if (e.code != ERR_NONE) {
		SSL_free(ssl);
		return e;
	}
	if (c->side == TLS_SERVER)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	*out = ssl;
	return OK;
}

struct err tls_peer_identity(const struct ssl_st *ssl, struct x509_identity *out)
{
	const struct tls_connection *k = tls_connection_of(ssl);
	ENSURE(k && k->verified, ERR_AUTH, "the other side gave no certificate");
	*out = k->who;
	return OK;
}

struct err tls_peer_chain(const struct ssl_st *ssl, struct arena *a, struct x509_chain *out)
{
	memset(out, 0, sizeof *out);
	const struct tls_connection *k = tls_connection_of(ssl);
	int n = k && k->chain ? sk_X509_num(k->chain) : 0;
	for (int i = 0; i < n && i < X509_CHAIN_MAX; i++) {
		X509 *cert = sk_X509_value(k->chain, i);
		int len = i2d_X509(cert, NULL);
		uint8_t *der = len > 0 ? arena_alloc(a, (size_t)len) : NULL;
		ENSURE(der, ERR_LIMIT, "no memory for the peer's chain");
		uint8_t *at = der;
		out->der[i] = der;
		out->len[i] = (size_t)i2d_X509(cert, &at);
		out->n++;
	}
	return OK;
}

const char *tls_alpn(const struct ssl_st *ssl, size_t *n)
{
	const unsigned char *name = NULL;
	unsigned len = 0;
	SSL_get0_alpn_selected(ssl, &name, &len);
	*n = len;
	return len ? (const char *)name : NULL;
}

enum x509_refusal tls_refusal(const struct ssl_st *ssl)
{
	const struct tls_connection *k = tls_connection_of(ssl);
	return k ? k->why : X509_GOOD;
}
