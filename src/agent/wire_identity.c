// SPDX-License-Identifier: Apache-2.0
// The device's certificate, its key, and whom it believes, as keys hands them over. With a new
// identity everything is made anew: open connections keep what they had, so they are ended, because
// a session is attested over the key that it uses (docs/contracts.md, Joining 5).

#include "agent/wire_internal.h"

#include "agent/keys_link.h"
#include "lib/base/log.h"
#include "lib/crypto/random.h"

#include <string.h>

static const char *const alpn[] = {"h2", NULL};

struct roots {
	struct identity *id;
	bool found;
};

static struct err on_root(void *ctx, const uint8_t *der, size_t n)
{
	struct roots *r = ctx;
	struct x509_identity who;
	TRY(x509_identify(der, n, &who));
	if (who.authority && !r->found) {
		memcpy(r->id->authority_pin, who.spki, 32);
		r->found = true;
	}
	return OK;
}

static struct err trust(struct identity *id, struct cursor pem)
{
	struct roots r = {id, false};
	const char *text = (const char *)pem.at;
	TRY(x509_from_pem(text, cursor_left(&pem), on_root, &r));
	ENSURE(r.found, ERR_CORRUPT, "authority.pem: has no authority");
	id->trust = x509_trust_new();
	ENSURE(id->trust, ERR_LIMIT, "out of memory");
	return x509_trust_add_pem(id->trust, text, cursor_left(&pem));
}

static struct err contexts(struct identity *id, const struct x509_chain *chain)
{
	const struct tls_conf client = {.side = TLS_CLIENT, .trust = id->trust, .alpn = alpn};
	// X.2011 8.2.1-1: nobody reads this device without a certificate of the same authority.
	const struct tls_conf server = {
		.side = TLS_SERVER, .peer = TLS_PEER_REQUIRED, .trust = id->trust, .alpn = alpn};
	TRY(tls_context_new(&client, &id->client));
	TRY(tls_context_new(&server, &id->server));
	TRY(tls_context_set_identity(id->client, chain, id->key));
	return tls_context_set_identity(id->server, chain, id->key);
}

static struct err adopt(struct identity *id, struct cursor *in)
{
	struct x509_chain chain = {0};
	struct x509_identity self;
	struct cursor scalar = link_get(in);
	chain.n = cursor_u8(in);
	ENSURE(chain.n > 0 && chain.n <= KEYS_CHAIN_MAX && chain.n <= X509_CHAIN_MAX, ERR_PEER,
	       "IDENTITY: a chain of %zu certificates", chain.n);
	for (size_t i = 0; i < chain.n; i++) {
		struct cursor one = link_get(in);
		chain.der[i] = one.at;
		chain.len[i] = cursor_left(&one);
	}
	struct cursor authority = link_get(in);
	id->renew_after_ns = (int64_t)cursor_be64(in);
	TRY(cursor_finish(in, "IDENTITY"));
	scoped(secret) struct secret *raw = secret_new(cursor_left(&scalar));
	ENSURE(raw, ERR_LIMIT, "out of memory");
	memcpy(secret_bytes(raw), scalar.at, cursor_left(&scalar));
	TRY(sign_key_from_raw(SIGN_P256, raw, &id->key));
	TRY(x509_identify(chain.der[0], chain.len[0], &self));
	memcpy(id->device, self.device, sizeof id->device);
	memcpy(id->serial, self.serial, sizeof id->serial);
	id->until_ns = self.until_ns;
	TRY(trust(id, authority));
	return contexts(id, &chain);
}

static void identity_clear(struct identity *id)
{
	tls_context_free(id->client);
	tls_context_free(id->server);
	sign_key_free(id->key);
	x509_trust_free(id->trust);
	*id = (struct identity){0};
}

struct err wire_identity(struct wire *w, const struct link_message *m)
{
	// A handshake may still run on a connection that is being closed, and its context borrows
	// this trust: what is replaced lives until the next time.
	static struct identity before;
	struct identity id = {0};
	struct cursor in = cursor_over(m->bytes, m->len);
	id.enrolled = cursor_u8(&in) != 0;
	link_get_text(&in, id.tpm, sizeof id.tpm);
	struct err e = id.enrolled ? adopt(&id, &in) : cursor_finish(&in, "IDENTITY");
	if (e.code != ERR_NONE) {
		identity_clear(&id);
		return err_within(e, "the device's identity");
	}
	identity_clear(&before);
	before = w->identity;
	w->identity = id;
	wire_listen_ready(w);
	if (!id.enrolled) {
		status_set(w, "not enrolled",
			   w->conf->token_file
				   ? "put the token of `gemel device enrol` in token_file"
				   : "set token_file in the agent's configuration");
		return OK;
	}
	enrol_renew_at(w, id.renew_after_ns);
	session_enrolled(w);
	return OK;
}

struct err wire_tls_pinned(struct wire *w, const uint8_t pin[32], struct tls_context **out)
{
	const struct tls_conf conf = {.side = TLS_CLIENT, .pin = pin, .alpn = alpn};
	return tls_context_new(&conf, out);
}

struct err wire_tls_refused(struct grpc_conn *conn, struct err why)
{
	static const struct {
		enum x509_refusal why;
		const char *words;
	} texts[] = {
		{X509_UNKNOWN_AUTHORITY,
		 "its chain does not have the authority that the token names, or "
		 "that this device trusts: it is another twin, or someone in "
		 "between"},
		{X509_WRONG_NAME, "its certificate is not for the role telemetry"},
		{X509_EXPIRED, "its certificate has expired (is the clock right?)"},
		{X509_NOT_YET_VALID, "its certificate is not yet valid (is the clock right?)"},
	};
	struct ssl_st *ssl = transport_ssl(grpc_conn_transport(conn));
	enum x509_refusal refusal = ssl ? tls_refusal(ssl) : X509_GOOD;
	if (refusal == X509_GOOD)
		return why;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].why == refusal)
			return err_make(ERR_AUTH, "the twin is not believed: %s (%s)",
					texts[i].words, x509_refusal_name(refusal));
	return err_make(ERR_AUTH, "the twin is not believed: %s", x509_refusal_name(refusal));
}
