// SPDX-License-Identifier: Apache-2.0
// Real handshakes between our two sides, over memory, and what each says when one fails.
#include "authority.h"

#include "lib/base/clock.h"
#include "lib/crypto/tls.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>

static struct authority ca;
static struct buf server_der, device_der;
static struct sign_key *server_key, *device_key;

static int setup(void **state)
{
	authority_make(&ca, "Test");
	server_key = issue(&ca, X509_SERVER, "telemetry", &server_der);
	device_key = issue(&ca, X509_DEVICE, "r1", &device_der);
	return 0;
}

static int teardown(void **state)
{
	sign_key_free(server_key);
	sign_key_free(device_key);
	buf_clear(&server_der);
	buf_clear(&device_der);
	authority_clear(&ca);
	return 0;
}

static struct x509_chain chain(const struct buf *leaf, const struct authority *a, size_t n)
{
	return (struct x509_chain){.der = {leaf->data, a->issuing.data, a->root.data},
				   .len = {leaf->len, a->issuing.len, a->root.len},
				   .n = n};
}

static const char *const h2[] = {"h2", NULL};

struct pair {
	struct x509_trust *trust;
	struct tls_context *server, *client;
	SSL *s, *c;
	struct err server_error, client_error;
};

static void contexts(struct pair *p, enum tls_peer_certificate peer, bool client_certificate)
{
	memset(p, 0, sizeof *p);
	p->trust = authority_trust(&ca);
	struct x509_chain own = chain(&server_der, &ca, 3), device = chain(&device_der, &ca, 2);
	assert_good(tls_context_new(
		&(struct tls_conf){.side = TLS_SERVER, .peer = peer, .trust = p->trust, .alpn = h2},
		&p->server));
	assert_good(tls_context_set_identity(p->server, &own, server_key));
	assert_good(tls_context_new(
		&(struct tls_conf){.side = TLS_CLIENT, .trust = p->trust, .alpn = h2}, &p->client));
	if (client_certificate)
		assert_good(tls_context_set_identity(p->client, &device, device_key));
}

static void connect_pair(struct pair *p, const struct tls_expect *expect)
{
	assert_good(tls_connection_new(p->server, NULL, &p->s));
	assert_good(tls_connection_new(p->client, expect, &p->c));
	BIO *a, *b;
	assert_int_equal(BIO_new_bio_pair(&a, 65536, &b, 65536), 1);
	SSL_set_bio(p->s, a, a);
	SSL_set_bio(p->c, b, b);
}

// Steps one side: handshake, then a read (a TLS 1.3 client hears of its refusal only there).
static bool step(SSL *ssl, struct err *e, const char *what)
{
	char byte;
	if (e->code != ERR_NONE)
		return false;
	int rc = SSL_is_init_finished(ssl) ? SSL_read(ssl, &byte, 1) : SSL_do_handshake(ssl);
	if (rc > 0)
		return true;
	int kind = SSL_get_error(ssl, rc);
	if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE)
		*e = tls_error(ssl, rc, what);
	return false;
}

static void run(struct pair *p)
{
	for (int i = 0; i < 20; i++) {
		step(p->c, &p->client_error, "server");
		step(p->s, &p->server_error, "client");
	}
}

static void clear(struct pair *p)
{
	SSL_free(p->s);
	SSL_free(p->c);
	tls_context_free(p->server);
	tls_context_free(p->client);
	x509_trust_free(p->trust);
}

static void test_mutual(void **state)
{
	struct pair p;
	contexts(&p, TLS_PEER_REQUIRED, true);
	connect_pair(&p, &(struct tls_expect){.host = "twin.example", .role = "telemetry"});
	run(&p);
	assert_good(p.server_error);
	assert_good(p.client_error);
	assert_int_equal(SSL_version(p.s), TLS1_3_VERSION);
	struct x509_identity who;
	assert_good(tls_peer_identity(p.s, &who));
	assert_string_equal(who.device, "r1");
	assert_good(tls_peer_identity(p.c, &who));
	assert_string_equal(who.role, "telemetry");
	size_t n;
	assert_memory_equal(tls_alpn(p.s, &n), "h2", 2);
	assert_int_equal(n, 2);
	assert_int_equal(tls_refusal(p.s), X509_GOOD);
	struct arena *a = arena_new(1 << 20);
	struct x509_chain seen;
	assert_good(tls_peer_chain(p.s, a, &seen));
	assert_int_equal(seen.n, 2);
	assert_memory_equal(seen.der[0], device_der.data, device_der.len);
	arena_free(a);
	assert_null(SSL_get0_session(p.c) && SSL_SESSION_is_resumable(SSL_get0_session(p.c))
			    ? p.c
			    : NULL); // no ticket was given
	clear(&p);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *host;
		bool good;
	} cases[] = {
		{"127.0.0.1", true}, {"::1", true}, {"127.0.0.2", false}, {"evil.example", false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pair p;
		contexts(&p, TLS_PEER_NONE, false);
		connect_pair(&p, &(struct tls_expect){.host = cases[i].host});
		run(&p);
		if (cases[i].good)
			assert_good(p.client_error);
		else
			assert_bad(ERR_AUTH, cases[i].host, p.client_error);
		clear(&p);
	}
}

static void test_no_certificate(void **state)
{
	struct pair p;
	struct x509_identity who;
	contexts(&p, TLS_PEER_REQUIRED, false);
	connect_pair(&p, &(struct tls_expect){.role = "telemetry"});
	run(&p);
	assert_bad(ERR_AUTH, "gave no certificate", p.server_error);
	assert_bad(ERR_AUTH, "demands a certificate", p.client_error);
	clear(&p);
	contexts(&p, TLS_PEER_OPTIONAL, false);
	connect_pair(&p, &(struct tls_expect){.role = "telemetry"});
	run(&p);
	assert_good(p.server_error);
	assert_bad(ERR_AUTH, "no certificate", tls_peer_identity(p.s, &who));
	clear(&p);
}

// A client with this certificate meets a server that requires a good one.
static void refused_client(const struct buf *der, const struct authority *a,
			   const struct sign_key *key, enum x509_refusal why,
			   const char *server_words, const char *client_words)
{
	struct pair p;
	struct arena *arena = arena_new(1 << 20);
	struct x509_chain own = chain(der, a, 2), seen;
	contexts(&p, TLS_PEER_OPTIONAL, false);
	assert_good(tls_context_set_identity(p.client, &own, key));
	connect_pair(&p, &(struct tls_expect){.role = "telemetry"});
	run(&p);
	assert_bad(ERR_AUTH, server_words, p.server_error);
	assert_bad(ERR_AUTH, client_words, p.client_error);
	assert_int_equal(tls_refusal(p.s), why);
	struct x509_identity who;
	assert_bad(ERR_AUTH, NULL, tls_peer_identity(p.s, &who));
	assert_good(tls_peer_chain(p.s, arena, &seen)); // who it claimed to be, for the record
	assert_int_equal(seen.n, 2);
	assert_memory_equal(seen.der[0], der->data, der->len);
	arena_free(arena);
	clear(&p);
}

static void test_expired_client(void **state)
{
	scoped(buf) struct buf der = {0};
	int64_t now = clock_wall_ns();
	struct sign_key *key =
		issue_with(&ca, X509_DEVICE, "r1", now - 600 * NS_PER_S, now - 60 * NS_PER_S, &der);
	refused_client(&der, &ca, key, X509_EXPIRED, "expired", "has expired");
	sign_key_free(key);
}

static void test_stranger(void **state)
{
	scoped(buf) struct buf der = {0};
	struct authority other;
	authority_make(&other, "Other");
	struct sign_key *key = issue(&other, X509_DEVICE, "r1", &der);
	refused_client(&der, &other, key, X509_UNKNOWN_AUTHORITY, "Other", "does not trust");
	sign_key_free(key);
	authority_clear(&other);
}

static void test_wrong_use(void **state)
{
	scoped(buf) struct buf der = {0};
	struct sign_key *key = issue(&ca, X509_SERVER, "northbound", &der); // not for clients
	refused_client(&der, &ca, key, X509_MALFORMED, "purpose", "refuses our certificate");
	sign_key_free(key);
}

static bool revoke_all(void *ctx, const struct x509_identity *who)
{
	return who->device[0] != 0;
}

static void test_revoked(void **state)
{
	struct pair p;
	contexts(&p, TLS_PEER_REQUIRED, true);
	x509_trust_on_revoked(p.trust, revoke_all, NULL);
	connect_pair(&p, &(struct tls_expect){.role = "telemetry"});
	run(&p);
	assert_bad(ERR_AUTH, "revoked", p.server_error);
	assert_bad(ERR_AUTH, "revoked", p.client_error);
	assert_int_equal(tls_refusal(p.s), X509_IS_REVOKED);
	clear(&p);
}

static void test_wrong_name(void **state)
{
	struct pair p;
	contexts(&p, TLS_PEER_NONE, false);
	connect_pair(&p, &(struct tls_expect){.role = "control"});
	run(&p);
	assert_bad(ERR_AUTH, "control was expected", p.client_error);
	assert_int_equal(tls_refusal(p.c), X509_WRONG_NAME);
	clear(&p);
	contexts(&p, TLS_PEER_NONE, false);
	SSL *ssl;
	assert_bad(ERR_INTERNAL, "whom it expects", tls_connection_new(p.client, NULL, &ssl));
	clear(&p);
}

static void pinned(const uint8_t *pin, const char *words)
{
	struct pair p;
	contexts(&p, TLS_PEER_NONE, false);
	tls_context_free(p.client);
	assert_good(tls_context_new(&(struct tls_conf){.side = TLS_CLIENT, .pin = pin, .alpn = h2},
				    &p.client));
	connect_pair(&p, NULL);
	run(&p);
	if (words)
		assert_bad(ERR_AUTH, words, p.client_error);
	else
		assert_good(p.client_error);
	clear(&p);
}

static void test_pin(void **state)
{
	struct x509_identity root, issuing, leaf;
	assert_good(x509_identify(ca.root.data, ca.root.len, &root));
	assert_good(x509_identify(ca.issuing.data, ca.issuing.len, &issuing));
	assert_good(x509_identify(server_der.data, server_der.len, &leaf));
	pinned(root.spki, NULL);
	pinned(issuing.spki, NULL);
	pinned(leaf.spki, "does not contain the authority"); // not an authority
	root.spki[31] ^= 1;
	pinned(root.spki, "does not contain the authority");
}

// The true authority's certificate in the chain is not enough: it must have signed.
static void test_pin_not_signed_by_it(void **state)
{
	struct pair p;
	struct authority other;
	struct x509_identity root;
	scoped(buf) struct buf der = {0};
	authority_make(&other, "Test"); // same names as the true one
	struct sign_key *key = issue(&other, X509_SERVER, "telemetry", &der);
	assert_good(x509_identify(ca.root.data, ca.root.len, &root));
	contexts(&p, TLS_PEER_NONE, false);
	struct x509_chain forged = {.der = {der.data, other.issuing.data, ca.root.data},
				    .len = {der.len, other.issuing.len, ca.root.len},
				    .n = 3};
	assert_good(tls_context_set_identity(p.server, &forged, key));
	tls_context_free(p.client);
	assert_good(tls_context_new(
		&(struct tls_conf){.side = TLS_CLIENT, .pin = root.spki, .alpn = h2}, &p.client));
	connect_pair(&p, NULL);
	run(&p);
	assert_int_equal(p.client_error.code, ERR_AUTH);
	clear(&p);
	sign_key_free(key);
	authority_clear(&other);
}

static void test_alpn(void **state)
{
	static const char *const other[] = {"http/1.1", NULL};
	for (int none = 0; none < 2; none++) {
		struct pair p;
		contexts(&p, TLS_PEER_NONE, false);
		tls_context_free(p.client);
		assert_good(tls_context_new(&(struct tls_conf){.side = TLS_CLIENT,
							       .trust = p.trust,
							       .alpn = none ? NULL : other},
					    &p.client));
		connect_pair(&p, &(struct tls_expect){.role = "telemetry"});
		run(&p);
		assert_bad(ERR_PEER, "ALPN", p.server_error);
		assert_bad(ERR_PEER, "ALPN", p.client_error);
		clear(&p);
	}
}

static void test_replaced_certificate(void **state)
{
	struct pair p;
	scoped(buf) struct buf der = {0};
	struct x509_identity who;
	contexts(&p, TLS_PEER_NONE, false);
	struct sign_key *key = issue(&ca, X509_SERVER, "control", &der);
	struct x509_chain next = chain(&der, &ca, 2), own = chain(&server_der, &ca, 2);
	assert_bad(ERR_USAGE, "private key", tls_context_set_identity(p.server, &own, key));
	assert_good(tls_context_set_identity(p.server, &next, key));
	connect_pair(&p, &(struct tls_expect){.role = "control"});
	tls_context_free(p.server); // the open connection lives on
	p.server = NULL;
	run(&p);
	assert_good(p.client_error);
	assert_good(tls_peer_identity(p.c, &who));
	assert_string_equal(who.role, "control");
	clear(&p);
	sign_key_free(key);
}

static void test_flipped_byte(void **state)
{
	struct pair p;
	char text[64];
	contexts(&p, TLS_PEER_REQUIRED, true);
	connect_pair(&p, &(struct tls_expect){.role = "telemetry"});
	run(&p);
	assert_int_equal(SSL_write(p.c, "counter 17", 10), 10);
	uint8_t wire[256];
	int n = BIO_read(SSL_get_rbio(p.s), wire, sizeof wire);
	assert_true(n > 10);
	wire[n - 5] ^= 1;
	BIO *in = BIO_new_mem_buf(wire, n);
	SSL_set0_rbio(p.s, in);
	int rc = SSL_read(p.s, text, sizeof text);
	assert_true(rc <= 0);
	assert_bad(ERR_PEER, "altered", tls_error(p.s, rc, "client"));
	clear(&p);
}

static void test_plain_text(void **state)
{
	struct pair p;
	contexts(&p, TLS_PEER_NONE, false);
	connect_pair(&p, &(struct tls_expect){.role = "telemetry"});
	BIO *in = BIO_new_mem_buf("GET / HTTP/1.1\r\n\r\n", -1);
	SSL_set0_rbio(p.s, in);
	int rc = SSL_do_handshake(p.s);
	assert_bad(ERR_PEER, "plain HTTP", tls_error(p.s, rc, "client"));
	clear(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutual),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_no_certificate),
		cmocka_unit_test(test_expired_client),
		cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_wrong_use),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_wrong_name),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_pin_not_signed_by_it),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_replaced_certificate),
		cmocka_unit_test(test_flipped_byte),
		cmocka_unit_test(test_plain_text),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
