// SPDX-License-Identifier: Apache-2.0
// The certificate of role control: its key is made here and never leaves. It is renewed when two
// thirds of its life are spent; devices' certificates are believed under the root that came with
// it.
#include "control/control.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"

enum { RETRY_S = 2 };

struct err certificate_start(struct control *c)
{
	static const char *const alpn[] = {"h2", NULL};
	c->trust = x509_trust_new();
	ENSURE(c->trust, ERR_LIMIT, "out of memory");
	const struct tls_conf conf = {
		.side = TLS_SERVER, .peer = TLS_PEER_REQUIRED, .trust = c->trust, .alpn = alpn};
	TRY(tls_context_new(&conf, &c->tls));
	return sign_key_generate(SIGN_P256, &c->next_key);
}

static struct err ask(struct control *c)
{
	scoped(buf) struct buf csr = {.limit = X509_DER_MAX};
	if (!c->next_key)
		TRY(sign_key_generate(SIGN_P256, &c->next_key));
	TRY(x509_csr_make(c->next_key, "control", &csr));
	Ipc__CertRequest m = IPC__CERT_REQUEST__INIT;
	m.id = ++c->asked;
	m.role = (char *)(uintptr_t) "control";
	m.csr = (ProtobufCBinaryData){csr.len, csr.data};
	return process_send(c->p, PROCESS_MANAGEMENT, IPC_CERT_REQUEST, &m.base);
}

void certificate_tick(struct control *c)
{
	int64_t now = clock_mono_ns();
	if (now < c->ask_again_ns || !c->p->peers[PROCESS_MANAGEMENT])
		return;
	c->ask_again_ns = now + RETRY_S * NS_PER_S;
	struct err e = ask(c);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("a certificate could not be asked for: %s", e.text);
}

static struct err take(struct control *c, const Ipc__CertIssued *m)
{
	struct x509_chain chain = {.n = m->n_chain};
	struct x509_identity who;
	ENSURE(m->n_chain > 0 && m->n_chain <= X509_CHAIN_MAX, ERR_PEER,
	       "a chain of %zu certificates", m->n_chain);
	for (size_t i = 0; i < m->n_chain; i++) {
		chain.der[i] = m->chain[i].data;
		chain.len[i] = m->chain[i].len;
	}
	TRY(x509_identify(chain.der[0], chain.len[0], &who));
	TRY(tls_context_set_identity(c->tls, &chain, c->next_key));
	sign_key_free(c->key);
	c->key = c->next_key;
	c->next_key = NULL;
	int64_t left = who.until_ns - clock_wall_ns();
	c->ask_again_ns = clock_mono_ns() + (left > 0 ? left / 3 * 2 : RETRY_S * NS_PER_S);
	return OK;
}

struct err certificate_issued(struct control *c, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__CertIssued *m = IPC_UNPACK(cert_issued, msg, c->p->scratch, &e);
	if (!m)
		return e;
	if (m->root.len && !c->has_root) {
		TRY(x509_trust_add(c->trust, m->root.data, m->root.len));
		c->has_root = true;
	}
	if (m->crl.len) // also by itself, when a device was revoked
		TRY(x509_trust_set_crl(c->trust, m->crl.data, m->crl.len));
	if (m->id != c->asked || !c->next_key)
		return OK; // an answer to an older asking, or news of revocations
	if (*m->error) {
		log_warning("no certificate yet: %s", m->error);
		return OK;
	}
	TRY(take(c, m));
	return c->has_root ? door_open(c) : OK;
}

void certificate_clear(struct control *c)
{
	tls_context_free(c->tls);
	x509_trust_free(c->trust);
	sign_key_free(c->key);
	sign_key_free(c->next_key);
}
