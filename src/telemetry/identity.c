// SPDX-License-Identifier: Apache-2.0
// Our certificate, and whom the tunnel listener trusts. The key is made here and never leaves; the
// certificate comes from management, is replaced when two thirds of it are spent, and with it come
// the authority and its list of revoked certificates. Until there is one, newcomers wait in the
// listeners' backlog. X.2011 8.2.1-1, 8.1.1-2.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"

#include <stdlib.h>
#include <string.h>

enum { RETRY_S = 2, ROOTS_MAX = 8 };

struct identity {
	struct sign_key *key, *next_key;
	struct x509_trust *trust;
	uint8_t roots[ROOTS_MAX][HASH_SIZE]; // those in `trust`
	unsigned n_roots;
	struct tls_context *tls[LISTENERS];
	uint8_t *chain_bytes[X509_CHAIN_MAX]; // owned
	struct x509_chain chain;
	uint64_t asked; // id of CERT_REQUEST
	int64_t ask_ns; // monotonic; when to ask
};

struct err identity_start(struct telemetry *t)
{
	static const char *const alpn[] = {"h2", NULL};
	struct identity *i = t->identity = calloc(1, sizeof *i);
	ENSURE(i, ERR_INTERNAL, "out of memory");
	i->trust = x509_trust_new();
	ENSURE(i->trust, ERR_INTERNAL, "out of memory");
	struct tls_conf tunnel = {
		.side = TLS_SERVER, .peer = TLS_PEER_REQUIRED, .trust = i->trust, .alpn = alpn};
	struct tls_conf enrolment = {.side = TLS_SERVER, .peer = TLS_PEER_NONE, .alpn = alpn};
	TRY(tls_context_new(&tunnel, &i->tls[LISTEN_TUNNEL]));
	TRY(tls_context_new(&enrolment, &i->tls[LISTEN_ENROLMENT]));
	return sign_key_generate(SIGN_P256, &i->next_key);
}

static struct err ask(struct telemetry *t)
{
	struct identity *i = t->identity;
	scoped(buf) struct buf csr = {.limit = X509_DER_MAX};
	if (!i->next_key)
		TRY(sign_key_generate(SIGN_P256, &i->next_key));
	TRY(x509_csr_make(i->next_key, "telemetry", &csr));
	Ipc__CertRequest m = IPC__CERT_REQUEST__INIT;
	m.id = i->asked = t->next_id++;
	m.role = (char *)(uintptr_t) "telemetry";
	m.csr = (ProtobufCBinaryData){csr.len, csr.data};
	return process_send(t->p, PROCESS_MANAGEMENT, IPC_CERT_REQUEST, &m.base);
}

void identity_tick(struct telemetry *t)
{
	struct identity *i = t->identity;
	int64_t now = clock_mono_ns();
	if (now < i->ask_ns || !t->p->peers[PROCESS_MANAGEMENT])
		return;
	i->ask_ns = now + RETRY_S * NS_PER_S;
	struct err e = ask(t);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("a certificate could not be asked for: %s", e.text);
}

// --- what management answers

static struct err take_root(struct identity *i, const ProtobufCBinaryData *root)
{
	uint8_t hash[HASH_SIZE];
	if (!root->len)
		return OK;
	hash_sha256(root->data, root->len, hash);
	for (unsigned k = 0; k < i->n_roots; k++)
		if (memcmp(i->roots[k], hash, sizeof hash) == 0)
			return OK;
	ENSURE(i->n_roots < ROOTS_MAX, ERR_LIMIT, "more than %d authorities", ROOTS_MAX);
	TRY(x509_trust_add(i->trust, root->data, root->len));
	memcpy(i->roots[i->n_roots++], hash, sizeof hash);
	return OK;
}

static void chain_forget(struct identity *i)
{
	for (size_t k = 0; k < X509_CHAIN_MAX; k++) {
		free(i->chain_bytes[k]);
		i->chain_bytes[k] = NULL;
	}
	i->chain = (struct x509_chain){0};
}

static struct err chain_keep(struct identity *i, const Ipc__CertIssued *m)
{
	chain_forget(i);
	for (size_t k = 0; k < m->n_chain; k++) {
		i->chain_bytes[k] = malloc(m->chain[k].len + 1);
		ENSURE(i->chain_bytes[k], ERR_LIMIT, "no memory for a certificate");
		if (m->chain[k].len)
			memcpy(i->chain_bytes[k], m->chain[k].data, m->chain[k].len);
		i->chain.der[k] = i->chain_bytes[k];
		i->chain.len[k] = m->chain[k].len;
		i->chain.n = k + 1;
	}
	return OK;
}

static struct err take_chain(struct identity *i, const Ipc__CertIssued *m)
{
	struct x509_identity who;
	ENSURE(m->n_chain <= X509_CHAIN_MAX, ERR_PEER, "CERT_ISSUED: %zu certificates; at most %d",
	       m->n_chain, X509_CHAIN_MAX);
	TRY(x509_identify(m->chain[0].data, m->chain[0].len, &who));
	TRY(chain_keep(i, m));
	for (int k = 0; k < LISTENERS; k++)
		TRY(tls_context_set_identity(i->tls[k], &i->chain, i->next_key));
	sign_key_free(i->key);
	i->key = i->next_key;
	i->next_key = NULL;
	int64_t left = who.until_ns - clock_wall_ns();
	i->ask_ns = clock_mono_ns() + (left > 0 ? left / 3 * 2 : RETRY_S * NS_PER_S);
	log_notice("certificate of role %s, to be renewed in %lld s", who.role,
		   (long long)((i->ask_ns - clock_mono_ns()) / NS_PER_S));
	return OK;
}

struct err identity_issued(struct telemetry *t, const struct ipc_message *msg)
{
	struct identity *i = t->identity;
	struct err e = OK;
	Ipc__CertIssued *m = IPC_UNPACK(cert_issued, msg, t->p->scratch, &e);
	if (!m)
		return e;
	TRY(take_root(i, &m->root));
	if (m->crl.len) // also by itself, when something was revoked
		TRY(x509_trust_set_crl(i->trust, m->crl.data, m->crl.len));
	if (m->id != i->asked || !i->next_key)
		return OK; // an answer to an older asking, or news of the authority
	if (*m->error || m->n_chain == 0) {
		log_warning("no certificate yet: %s", *m->error ? m->error : "it is empty");
		return OK;
	}
	TRY(take_chain(i, m));
	accept_tick(t);
	return OK;
}

struct tls_context *identity_tls(struct telemetry *t, enum telemetry_listener l)
{
	return t->identity->key ? t->identity->tls[l] : NULL;
}

struct err identity_lend(struct telemetry *t, struct tls_context *to)
{
	ENSURE(t->identity->key, ERR_BUSY, "no certificate yet");
	return tls_context_set_identity(to, &t->identity->chain, t->identity->key);
}
