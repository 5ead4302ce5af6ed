// SPDX-License-Identifier: Apache-2.0
// The certificate authority: what to certify is decided here, the signature is made by keys, which
// alone has the key. Certificates for devices and for our own listeners. X.2011 8.2.1-1, 8.3.3-5.
#include "management/ca_internal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTENER_DAYS = 7, BACK_S = 300, PEM_MAX = 1 << 20 };

// --- manufacturers of TPMs: read before the sandbox closes

static struct err read_file(const char *path, struct buf *out)
{
	scoped(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_system("ek_roots: %s", path);
	uint8_t piece[4096];
	out->limit = PEM_MAX;
	for (ssize_t n; (n = read(fd, piece, sizeof piece)) != 0;) {
		if (n < 0)
			return err_system("ek_roots: %s", path);
		buf_append(out, piece, (size_t)n);
	}
	return buf_check(out, path);
}

static struct err add_maker(struct authority *a, const char *item)
{
	scoped(buf) struct buf text = {0};
	if (strstr(item, "-----BEGIN"))
		return x509_trust_add_pem(a->makers, item, strlen(item));
	TRY(read_file(item, &text));
	return err_within(x509_trust_add_pem(a->makers, (const char *)text.data, text.len),
			  "ek_roots: %s", item);
}

struct err authority_start(struct management *m)
{
	struct authority *a = m->authority = calloc(1, sizeof *a);
	ENSURE(a, ERR_LIMIT, "no memory for certificates");
	a->makers = x509_trust_new();
	a->trust = x509_trust_new();
	ENSURE(a->makers && a->trust, ERR_LIMIT, "no memory for certificates");
	if (gethostname(a->host, sizeof a->host - 1) != 0)
		a->host[0] = 0;
	for (size_t i = 0; i < m->p->conf->ek_roots.n; i++)
		TRY(add_maker(a, m->p->conf->ek_roots.items[i]));
	if (!m->p->conf->ek_roots.n)
		log_warning("ek_roots names no manufacturer: no device can enrol");
	return OK;
}

void authority_stop(struct management *m)
{
	struct authority *a = m->authority;
	if (!a)
		return;
	x509_trust_free(a->makers);
	x509_trust_free(a->trust);
	buf_clear(&a->root);
	buf_clear(&a->issuing);
	buf_clear(&a->crl);
	buf_clear(&a->bundle);
	buf_clear(&a->crl_tbs);
	free(a);
	m->authority = NULL;
}

// --- from keys

static bool is_revoked(void *ctx, const struct x509_identity *who)
{
	return authority_revoked(ctx, who->serial);
}

static void requests_again(struct management *m)
{
	struct authority *a = m->authority;
	unsigned n = a->n_early;
	a->n_early = 0;
	for (unsigned i = 0; i < n; i++) {
		Ipc__CertRequest r = IPC__CERT_REQUEST__INIT;
		r.id = a->early[i].id;
		r.role = a->early[i].role;
		r.csr = (ProtobufCBinaryData){a->early[i].csr_len, a->early[i].csr};
		err_ignore(authority_request(m, a->early[i].from, &r));
	}
}

struct err authority_keys(struct management *m, const uint8_t *root, size_t root_len,
			  const uint8_t *issuing, size_t issuing_len)
{
	struct authority *a = m->authority;
	struct x509_identity who;
	TRY(x509_identify(root, root_len, &who));
	if (!a->root.len || a->root.len != root_len || memcmp(a->root.data, root, root_len) != 0)
		TRY(x509_trust_add(a->trust, root, root_len));
	x509_trust_on_revoked(a->trust, is_revoked, m);
	buf_reset(&a->root);
	buf_append(&a->root, root, root_len);
	buf_reset(&a->issuing);
	buf_append(&a->issuing, issuing, issuing_len);
	buf_reset(&a->bundle);
	TRY(x509_to_pem(X509_CERTIFICATE, root, root_len, &a->bundle));
	TRY(buf_check(&a->root, "root certificate"));
	TRY(buf_check(&a->issuing, "issuing certificate"));
	hash_hex(who.spki, sizeof who.spki, a->pin);
	struct err e = process_publish(m->p, "authority.pem", a->bundle.data, a->bundle.len);
	if (e.code != ERR_NONE)
		log_warning("authority.pem was not written: %s", e.text);
	bool first = !a->ready;
	a->ready = true;
	authority_crl_make(m);
	if (first) {
		requests_again(m);
		admit_early(m);
	}
	return OK;
}

bool authority_ready(const struct management *m)
{
	return m->authority->ready;
}

const struct buf *authority_root(const struct management *m)
{
	return &m->authority->root;
}

const struct buf *authority_issuing(const struct management *m)
{
	return &m->authority->issuing;
}

const char *authority_pin(const struct management *m)
{
	return m->authority->pin;
}

const char *authority_bundle(const struct management *m)
{
	return buf_text(&m->authority->bundle);
}

struct x509_trust *authority_trust(struct management *m)
{
	return m->authority->trust;
}

struct x509_trust *authority_makers(struct management *m)
{
	return m->authority->makers;
}

// --- issuing

struct issue {
	issued_fn done;
	void *ctx;
	char serial[2 * X509_SERIAL + 1];
	struct buf tbs;
};

static void signed_certificate(struct management *m, void *ctx, struct err e,
			       const uint8_t *signature, size_t n)
{
	struct issue *i = ctx;
	scoped(buf) struct buf der = {0};
	if (e.code == ERR_NONE)
		e = x509_assemble(i->tbs.data, i->tbs.len, signature, n, &der);
	i->done(m, i->ctx, e, &der, i->serial);
	buf_clear(&i->tbs);
	free(i);
}

void authority_issue(struct management *m, const struct x509_issue *want, issued_fn done, void *ctx)
{
	struct x509_issue full = *want;
	struct issue *i = calloc(1, sizeof *i);
	full.issuer = m->authority->issuing.data;
	full.issuer_len = m->authority->issuing.len;
	struct err e = i ? x509_issue_prepare(&full, &i->tbs, i->serial)
			 : err_make(ERR_LIMIT, "out of memory");
	if (e.code != ERR_NONE) {
		done(m, ctx, e, NULL, "");
		if (i)
			buf_clear(&i->tbs);
		free(i);
		return;
	}
	i->done = done;
	i->ctx = ctx;
	signer_ask(m, IPC__KEY_PURPOSE__KEY_CERTIFICATE, i->tbs.data, i->tbs.len,
		   signed_certificate, i);
}

// --- our own listeners

static const struct {
	const char *role;
	enum process_id who;
	enum x509_profile profile;
} roles[] = {
	{"telemetry", PROCESS_TELEMETRY, X509_PEER}, // it dials standard targets too
	{"enrolment", PROCESS_TELEMETRY, X509_SERVER},
	{"northbound", PROCESS_NORTHBOUND, X509_SERVER},
	{"control", PROCESS_CONTROL, X509_PEER},
};

static void cert_answer(struct management *m, enum process_id to, uint64_t id, const char *error,
			const struct buf *der)
{
	struct authority *a = m->authority;
	Ipc__CertIssued c = IPC__CERT_ISSUED__INIT;
	// The root goes along: who has only its key's hash finds it in the chain.
	ProtobufCBinaryData chain[] = {
		{0, NULL}, {a->issuing.len, a->issuing.data}, {a->root.len, a->root.data}};
	c.id = id;
	c.error = (char *)(uintptr_t)error;
	if (der) {
		chain[0] = (ProtobufCBinaryData){der->len, der->data};
		c.chain = chain;
		c.n_chain = 3;
		c.root = chain[2];
		c.crl = (ProtobufCBinaryData){a->crl.len, a->crl.data};
	}
	struct err e = process_send(m->p, to, IPC_CERT_ISSUED, &c.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("a certificate cannot be sent to %s: %s", process_name(to), e.text);
}

struct listener {
	enum process_id to;
	uint64_t id;
	char role[16];
};

static void listener_issued(struct management *m, void *ctx, struct err e, const struct buf *der,
			    const char *serial)
{
	struct listener *l = ctx;
	if (e.code == ERR_NONE) {
		record(m, "certificate.issued", l->role, "management",
		       json_pack("{s:s,s:s}", "role", l->role, "serial", serial));
		e = commit(m);
	}
	cert_answer(m, l->to, l->id, e.code == ERR_NONE ? "" : e.text,
		    e.code == ERR_NONE ? der : NULL);
	free(l);
}

// Names under which a listener can be reached: its addresses, this machine's name, localhost.
static size_t hosts_of(struct management *m, enum process_id who, const char **out)
{
	const struct daemon_conf *c = m->p->conf;
	const struct conf_listen *listens[] = {&c->telemetry, &c->enrolment, &c->api, &c->console,
					       &c->control};
	static const enum process_id owners[] = {PROCESS_TELEMETRY, PROCESS_TELEMETRY,
						 PROCESS_NORTHBOUND, PROCESS_NORTHBOUND,
						 PROCESS_CONTROL};
	const char *always[] = {"localhost", "127.0.0.1", m->authority->host};
	size_t n = 0;
	for (size_t i = 0; i < 3; i++)
		if (*always[i])
			out[n++] = always[i];
	for (size_t i = 0; i < 5 && n < X509_HOSTS_MAX; i++) {
		const char *a = listens[i]->address;
		bool twice = !a || !strcmp(a, "0.0.0.0") || !strcmp(a, "::");
		for (size_t k = 0; k < n && !twice; k++)
			twice = strcmp(out[k], a) == 0;
		if (owners[i] == who && !twice)
			out[n++] = a;
	}
	return n;
}

static struct err keep_early(struct authority *a, enum process_id from, const Ipc__CertRequest *r)
{
	ENSURE(a->n_early < CA_EARLY && r->csr.len <= sizeof a->early[0].csr &&
		       strlen(r->role) < sizeof a->early[0].role,
	       ERR_BUSY, "keys is starting; ask again");
	struct early *to = &a->early[a->n_early++];
	*to = (struct early){.from = from, .id = r->id, .csr_len = r->csr.len};
	memcpy(to->role, r->role, strlen(r->role) + 1);
	memcpy(to->csr, r->csr.data, r->csr.len);
	return OK;
}

static struct err listener_issue(struct management *m, enum process_id from,
				 const Ipc__CertRequest *r, enum x509_profile profile)
{
	struct x509_csr csr;
	const char *hosts[X509_HOSTS_MAX];
	TRY(x509_csr_read(r->csr.data, r->csr.len, &csr));
	struct listener *l = calloc(1, sizeof *l);
	ENSURE(l, ERR_LIMIT, "out of memory");
	l->to = from;
	l->id = r->id;
	snprintf(l->role, sizeof l->role, "%s", r->role);
	struct x509_issue want = {.profile = profile,
				  .name = l->role,
				  .key = &csr.key,
				  .hosts = hosts,
				  .n_hosts = hosts_of(m, from, hosts),
				  .from_ns = now_of(m) - BACK_S * NS_PER_S,
				  .until_ns = now_of(m) + LISTENER_DAYS * 86400 * NS_PER_S};
	authority_issue(m, &want, listener_issued, l);
	return OK;
}

struct err authority_request(struct management *m, enum process_id from, const Ipc__CertRequest *r)
{
	struct err e = err_make(ERR_DENIED, "%s may not have a certificate of role \"%.32s\"",
				process_name(from), r->role);
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
		if (roles[i].who == from && strcmp(roles[i].role, r->role) == 0)
			e = m->authority->ready ? listener_issue(m, from, r, roles[i].profile)
						: keep_early(m->authority, from, r);
	if (e.code != ERR_NONE)
		cert_answer(m, from, r->id, e.text, NULL);
	return OK;
}
