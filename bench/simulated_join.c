// SPDX-License-Identifier: Apache-2.0
// A simulated device joins as gemel-agent does (docs/contracts.md, Joining 2 to 5):
//
//     Begin, Complete on the enrolment port -> certificate -> Challenge, Attest, Register on the
//     tunnel port -> sessions that telemetry opens
//
// What fails is tried again a moment later from where it stood.
#include "simulated_devices.h"

#include "lib/base/clock.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/random.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALL_MS = 30000, AGAIN_MS = 1000, KEY_DAYS = 7, SOURCES_A_HOST = 250 };

#define METHOD(name) "/gemel.enrolment.v1.Enrolment/" name

static ProtobufCBinaryData view(const void *bytes, size_t n)
{
	return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)bytes};
}

static ProtobufCBinaryData view_buf(const struct buf *b)
{
	return view(b->data, b->len);
}

static struct err pack(const ProtobufCMessage *m, struct buf *out)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *at = buf_space(out, n);
	ENSURE(at, ERR_LIMIT, "out of memory");
	protobuf_c_message_pack(m, at);
	return OK;
}

static struct err spki_of(const struct sign_key *key, uint8_t out[SPKI_MAX], size_t *n)
{
	int len = i2d_PUBKEY(sign_key_pkey(key), NULL);
	ENSURE(len > 0 && len <= SPKI_MAX, ERR_INTERNAL, "a public key of %d bytes", len);
	uint8_t *at = out;
	*n = (size_t)i2d_PUBKEY(sign_key_pkey(key), &at);
	return OK;
}

// --- the end of a connection

static void close_conn(struct simulated_device *d)
{
	struct grpc_conn *conn = d->conn;
	tunnel_client_free(d->tunnel);
	d->tunnel = NULL;
	d->conn = NULL;
	if (d->stage == STAGE_ENROLLING) {
		d->stage = STAGE_WAITING;
		d->s->enrolling--;
	}
	if (d->stage == STAGE_REGISTERED)
		d->s->registered--;
	if (d->stage > STAGE_ENROLLED)
		d->stage = STAGE_ENROLLED;
	grpc_conn_close(conn);
}

static void give_up(struct simulated_device *d, const char *where, struct err why)
{
	simulated_trouble(d, where, why.code ? why.text : "closed");
	close_conn(d);
	simulated_after(d, AGAIN_MS + simulated_draw(d) % AGAIN_MS);
	simulated_next(d->s);
}

static void on_conn_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct simulated_device *d = ctx;
	if (d->conn != conn)
		return;
	d->conn = NULL; // frees itself
	give_up(d, "its connection", why);
}

static void on_call_end(void *ctx, struct grpc_call *call, enum grpc_status status,
			const char *text)
{
	struct simulated_device *d = ctx;
	if (status != GRPC_OK && grpc_call_conn(call) == d->conn)
		give_up(d, grpc_call_path(call), err_make(ERR_DENIED, "%s", text));
}

static struct err call(struct simulated_device *d, const char *path, const ProtobufCMessage *m,
		       const struct grpc_handlers *handlers)
{
	scoped(buf) struct buf bytes = {0};
	struct grpc_call *unused;
	TRY(pack(m, &bytes));
	return grpc_call_unary(d->conn, path, bytes.data, bytes.len, handlers, d, CALL_MS, &unused);
}

// --- evidence

static struct err certify_batch_key(struct simulated_device *d)
{
	static const char purpose[] = "gemel batch key v1\n";
	Gemel__Enrolment__V1__BatchKey m = GEMEL__ENROLMENT__V1__BATCH_KEY__INIT;
	Gemel__Enrolment__V1__CertifiedBatchKey c = GEMEL__ENROLMENT__V1__CERTIFIED_BATCH_KEY__INIT;
	scoped(buf) struct buf bytes = {0}, attest = {0}, signature = {0};
	uint8_t spki[SPKI_MAX], digest[HASH_SIZE];
	size_t n;
	TRY(spki_of(d->batch, spki, &n));
	hash_sha256(spki, n, d->batch_spki);
	m.algorithm = GEMEL__ENROLMENT__V1__KEY_ALGORITHM__ED25519;
	m.public_key = view(spki, n);
	m.from_ns = clock_wall_ns();
	m.until_ns = m.from_ns + KEY_DAYS * 86400 * NS_PER_S;
	m.key_id = view(sign_key_public(d->batch)->id, SIGN_KEY_ID);
	TRY(pack(&m.base, &bytes));
	const struct hash_part parts[] = {{purpose, sizeof purpose - 1},
					  {d->name, strlen(d->name) + 1},
					  {bytes.data, bytes.len}};
	hash_parts(parts, 3, digest);
	TRY(soft_tpm_quote(&d->tpm, digest, 0, &attest, &signature));
	c.batch_key = view_buf(&bytes);
	c.certification = view_buf(&attest);
	c.signature = view_buf(&signature);
	return pack(&c.base, &d->certified);
}

struct evidence {
	Gemel__Enrolment__V1__Evidence m;
	Gemel__Enrolment__V1__CertifiedBatchKey *key;
	Gemel__Enrolment__V1__PcrValue values[TPM_PCRS], *list[TPM_PCRS];
	struct buf attest, signature;
};

static void evidence_clear(struct evidence *v)
{
	buf_clear(&v->attest);
	buf_clear(&v->signature);
	gemel__enrolment__v1__certified_batch_key__free_unpacked(v->key, NULL);
}

static struct err mask_of(const uint32_t *pcrs, size_t n, uint32_t *mask)
{
	*mask = 0;
	for (size_t i = 0; i < n; i++) {
		ENSURE(pcrs[i] < TPM_PCRS, ERR_PEER, "PCR %u was asked for", pcrs[i]);
		*mask |= 1u << pcrs[i];
	}
	return OK;
}

static struct err evidence_make(struct simulated_device *d, ProtobufCBinaryData nonce,
				uint32_t mask, struct evidence *v)
{
	static const char purpose[] = "gemel quote v1\n";
	uint8_t spki[SPKI_MAX], tls[HASH_SIZE], qualifying[HASH_SIZE];
	size_t n;
	*v = (struct evidence){.m = GEMEL__ENROLMENT__V1__EVIDENCE__INIT};
	TRY(spki_of(d->tls, spki, &n));
	hash_sha256(spki, n, tls);
	const struct hash_part parts[] = {{purpose, sizeof purpose - 1},
					  {nonce.data, nonce.len},
					  {tls, sizeof tls},
					  {d->batch_spki, sizeof d->batch_spki}};
	hash_parts(parts, 4, qualifying);
	v->key = gemel__enrolment__v1__certified_batch_key__unpack(NULL, d->certified.len,
								   d->certified.data);
	ENSURE(v->key, ERR_INTERNAL, "own batch key");
	TRY(soft_tpm_quote(&d->tpm, qualifying, mask, &v->attest, &v->signature));
	for (uint32_t i = 0; i < TPM_PCRS; i++) {
		Gemel__Enrolment__V1__PcrValue *p = &v->values[v->m.n_pcrs];
		if (!(mask >> i & 1))
			continue;
		gemel__enrolment__v1__pcr_value__init(p);
		p->index = i;
		p->value = view(d->tpm.pcrs.value[i], 32);
		v->list[v->m.n_pcrs++] = p;
	}
	v->m.pcrs = v->list;
	v->m.quote = view_buf(&v->attest);
	v->m.quote_signature = view_buf(&v->signature);
	return OK;
}

// --- Complete

static struct err parse(ProtobufCBinaryData der, X509 **out)
{
	const uint8_t *at = der.data;
	X509_free(*out);
	*out = d2i_X509(NULL, &at, (long)der.len);
	ENSURE(*out && at == der.data + der.len, ERR_PEER, "a certificate cannot be read");
	return OK;
}

// The first answer brings what all of them believe.
static struct err trust_bundle(struct simulation *s, ProtobufCBinaryData pem)
{
	static const char *const alpn[] = {"h2", NULL};
	const struct tls_conf conf = {.side = TLS_CLIENT, .trust = s->trust, .alpn = alpn};
	if (s->client)
		return OK;
	TRY(x509_trust_add_pem(s->trust, (const char *)pem.data, pem.len));
	return tls_context_new(&conf, &s->client);
}

static struct err take_certificate(struct simulated_device *d,
				   const Gemel__Enrolment__V1__CompleteAnswer *m)
{
	ENSURE(m && m->n_certificate_chain_der == 2, ERR_PEER, "the answer to Complete is broken");
	TRY(parse(m->certificate_chain_der[0], &d->leaf));
	TRY(parse(m->certificate_chain_der[1], &d->issuing));
	return trust_bundle(d->s, m->trust_bundle);
}

static void on_complete(void *ctx, struct grpc_call *c, const uint8_t *message, size_t n)
{
	struct simulated_device *d = ctx;
	Gemel__Enrolment__V1__CompleteAnswer *m =
		gemel__enrolment__v1__complete_answer__unpack(NULL, n, message);
	struct err e = take_certificate(d, m);
	gemel__enrolment__v1__complete_answer__free_unpacked(m, NULL);
	if (e.code != ERR_NONE) {
		give_up(d, "Complete", e);
		return;
	}
	close_conn(d);
	d->stage = STAGE_ENROLLED;
	d->s->enrolled++;
	simulated_after(d, 0);
	simulated_next(d->s);
}

static const struct grpc_handlers complete_handlers = {.on_message = on_complete,
						       .on_end = on_call_end};

static struct err activate(struct simulated_device *d,
			   const Gemel__Enrolment__V1__BeginAnswer *b, struct secret **out)
{
	scoped(buf) struct buf both = {0};
	struct tpm_credential c;
	buf_append(&both, b->credential_blob.data, b->credential_blob.len);
	buf_append(&both, b->encrypted_secret.data, b->encrypted_secret.len);
	struct cursor in = cursor_over(both.data, both.len);
	TRY(tpm_credential_read(&in, &c));
	TRY(cursor_finish(&in, "credential"));
	return soft_tpm_activate(&d->tpm, &c, out);
}

static struct err complete(struct simulated_device *d, const Gemel__Enrolment__V1__BeginAnswer *b)
{
	Gemel__Enrolment__V1__CompleteRequest r = GEMEL__ENROLMENT__V1__COMPLETE_REQUEST__INIT;
	scoped(secret) struct secret *secret = NULL;
	struct evidence v;
	uint32_t mask;
	ENSURE(b, ERR_PEER, "the answer to Begin is broken");
	TRY(mask_of(b->pcrs, b->n_pcrs, &mask));
	TRY(activate(d, b, &secret));
	struct err e = evidence_make(d, b->attest_nonce, mask, &v);
	r.session = b->session;
	r.activated_secret = view(secret_bytes(secret), secret_size(secret));
	r.evidence = &v.m;
	r.batch_key = v.key;
	if (e.code == ERR_NONE)
		e = call(d, METHOD("Complete"), &r.base, &complete_handlers);
	evidence_clear(&v);
	return e;
}

// --- Begin

static void on_begin(void *ctx, struct grpc_call *c, const uint8_t *message, size_t n)
{
	struct simulated_device *d = ctx;
	Gemel__Enrolment__V1__BeginAnswer *m =
		gemel__enrolment__v1__begin_answer__unpack(NULL, n, message);
	struct err e = complete(d, m);
	gemel__enrolment__v1__begin_answer__free_unpacked(m, NULL);
	if (e.code != ERR_NONE)
		give_up(d, "Begin", e);
}

static const struct grpc_handlers begin_handlers = {.on_message = on_begin, .on_end = on_call_end};

static struct err begin_body(struct simulated_device *d, struct buf *out)
{
	Gemel__Enrolment__V1__BeginBody m = GEMEL__ENROLMENT__V1__BEGIN_BODY__INIT;
	scoped(buf) struct buf csr = {0};
	uint8_t spki[SPKI_MAX], nonce[32];
	size_t n;
	TRY(x509_csr_make(d->tls, d->name, &csr));
	TRY(spki_of(d->tls, spki, &n));
	TRY(random_bytes(nonce, sizeof nonce));
	m.device_id = d->name;
	m.token_id = d->token_id;
	m.csr_der = view_buf(&csr);
	m.ek_certificate_der = view_buf(&d->tpm.ek_certificate);
	m.ak_public = view_buf(&d->tpm.ak_public);
	m.tls_spki = view(spki, n);
	m.device_nonce = view(nonce, sizeof nonce);
	m.agent_version = (char *)(uintptr_t)"simulated";
	return pack(&m.base, out);
}

static struct err enrol(struct simulated_device *d)
{
	static const char purpose[] = "gemel enrol v1\n";
	Gemel__Enrolment__V1__BeginRequest r = GEMEL__ENROLMENT__V1__BEGIN_REQUEST__INIT;
	scoped(buf) struct buf body = {0}, signed_text = {0};
	uint8_t proof[HASH_SIZE];
	TRY(begin_body(d, &body));
	buf_append(&signed_text, purpose, sizeof purpose - 1);
	buf_append(&signed_text, body.data, body.len);
	TRY(buf_check(&signed_text, "request"));
	hash_hmac(d->secret, strlen(d->secret), signed_text.data, signed_text.len, proof);
	r.body = view_buf(&body);
	r.token_proof = view(proof, sizeof proof);
	return call(d, METHOD("Begin"), &r.base, &begin_handlers);
}

// --- the tunnel

static void on_registered(void *ctx, const char *target, const char *type, struct err answer)
{
	struct simulated_device *d = ctx;
	if (answer.code != ERR_NONE) {
		give_up(d, "Register", answer);
		return;
	}
	d->stage = STAGE_REGISTERED;
	d->s->registered++;
}

static void on_session(void *ctx, const char *target, const char *type, struct transport *t)
{
	struct simulated_device *d = ctx;
	struct grpc_conn *unused;
	struct err e = grpc_server_accept(d->s->gnmi, t, NULL, d, &unused);
	if (e.code != ERR_NONE)
		simulated_trouble(d, "a session", e.text);
}

static void on_tunnel_end(void *ctx, struct err why)
{
	give_up(ctx, "the tunnel", why);
}

static const struct tunnel_client_events tunnel_events = {on_registered, on_session, on_tunnel_end};

static void on_attest(void *ctx, struct grpc_call *c, const uint8_t *message, size_t n)
{
	struct simulated_device *d = ctx;
	Gemel__Enrolment__V1__AttestAnswer *m =
		gemel__enrolment__v1__attest_answer__unpack(NULL, n, message);
	struct err e = m ? OK : err_make(ERR_PEER, "the answer is broken");
	if (m && !m->accepted)
		e = err_make(ERR_DENIED, "%s", m->reason);
	gemel__enrolment__v1__attest_answer__free_unpacked(m, NULL);
	if (e.code == ERR_NONE)
		e = tunnel_client_new(d->conn, &tunnel_events, d, &d->tunnel);
	if (e.code == ERR_NONE)
		e = tunnel_client_register(d->tunnel, d->name, TUNNEL_TYPE_GNMI);
	if (e.code == ERR_NONE)
		d->stage = STAGE_ATTESTED;
	else
		give_up(d, "Attest", e);
}

static const struct grpc_handlers attest_handlers = {.on_message = on_attest,
						     .on_end = on_call_end};

static struct err attest(struct simulated_device *d,
			 const Gemel__Enrolment__V1__ChallengeAnswer *q)
{
	Gemel__Enrolment__V1__AttestRequest r = GEMEL__ENROLMENT__V1__ATTEST_REQUEST__INIT;
	struct evidence v;
	uint32_t mask;
	ENSURE(q, ERR_PEER, "the challenge is broken");
	TRY(mask_of(q->pcrs, q->n_pcrs, &mask));
	struct err e = evidence_make(d, q->nonce, mask, &v);
	r.device_id = d->name;
	r.nonce = q->nonce;
	r.evidence = &v.m;
	r.batch_key = v.key;
	r.agent_version = (char *)(uintptr_t)"simulated";
	if (e.code == ERR_NONE)
		e = call(d, METHOD("Attest"), &r.base, &attest_handlers);
	evidence_clear(&v);
	return e;
}

static void on_challenge(void *ctx, struct grpc_call *c, const uint8_t *message, size_t n)
{
	struct simulated_device *d = ctx;
	Gemel__Enrolment__V1__ChallengeAnswer *m =
		gemel__enrolment__v1__challenge_answer__unpack(NULL, n, message);
	struct err e = attest(d, m);
	gemel__enrolment__v1__challenge_answer__free_unpacked(m, NULL);
	if (e.code != ERR_NONE)
		give_up(d, "Challenge", e);
}

static const struct grpc_handlers challenge_handlers = {.on_message = on_challenge,
							.on_end = on_call_end};

static struct err challenge(struct simulated_device *d)
{
	Gemel__Enrolment__V1__ChallengeRequest m = GEMEL__ENROLMENT__V1__CHALLENGE_REQUEST__INIT;
	m.device_id = d->name;
	m.purpose = GEMEL__ENROLMENT__V1__CHALLENGE_PURPOSE__CHALLENGE_ATTEST;
	return call(d, METHOD("Challenge"), &m.base, &challenge_handlers);
}

// --- dialling

static const struct grpc_conn_events conn_events = {.on_end = on_conn_end};

// Each from a 127.x.y.z of its own, so that bounds by source are those of as many machines.
static struct err connect_from(const struct simulated_device *d, const struct sockaddr_in *to,
			       int *out)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	uint32_t host = d->number / SOURCES_A_HOST << 8 | (d->number % SOURCES_A_HOST + 1);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	from.sin_addr.s_addr = htonl(0x7f010000 + host);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
	    (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 || errno == EINPROGRESS)) {
		*out = fd;
		return OK;
	}
	struct err e = err_system("connecting");
	if (fd >= 0)
		close(fd);
	return e;
}

static struct err show_identity(const struct simulated_device *d, SSL *ssl)
{
	STACK_OF(X509) *above = sk_X509_new_null();
	bool good = above && sk_X509_push(above, d->issuing) &&
		    SSL_use_cert_and_key(ssl, d->leaf, sign_key_pkey(d->tls), above, 1) == 1;
	sk_X509_free(above);
	ENSURE(good, ERR_INTERNAL, "the certificate cannot be used");
	return OK;
}

static struct err dial(struct simulated_device *d, bool enrolling)
{
	struct simulation *s = d->s;
	const struct tls_expect expect = {.role = "telemetry"};
	struct transport *t;
	SSL *ssl;
	int fd = -1;
	TRY(tls_connection_new(enrolling ? s->pinned : s->client, enrolling ? NULL : &expect,
			       &ssl));
	struct err e = enrolling ? OK : show_identity(d, ssl);
	if (e.code == ERR_NONE)
		e = connect_from(d, enrolling ? &s->enrolment : &s->telemetry, &fd);
	if (e.code != ERR_NONE) {
		SSL_free(ssl);
		return e;
	}
	TRY(transport_tls(s->base, fd, ssl, false, &t));
	return grpc_client_new(t, NULL, &conn_events, d, &d->conn);
}

void join_begin(struct simulated_device *d)
{
	bool enrolling = d->stage == STAGE_WAITING;
	if (d->conn)
		return;
	if (enrolling) {
		d->stage = STAGE_ENROLLING;
		d->s->enrolling++;
	}
	struct err e = dial(d, enrolling);
	if (e.code == ERR_NONE)
		e = enrolling ? enrol(d) : challenge(d);
	if (e.code != ERR_NONE)
		give_up(d, "dialling", e);
}

struct err join_prepare(struct simulated_device *d)
{
	TRY(soft_tpm_init(&d->tpm, &d->s->maker, d->name, &d->s->pcrs));
	TRY(sign_key_generate(SIGN_P256, &d->tls));
	TRY(sign_key_generate(SIGN_ED25519, &d->batch));
	return certify_batch_key(d);
}

void join_clear(struct simulated_device *d)
{
	close_conn(d);
	soft_tpm_clear(&d->tpm);
	sign_key_free(d->tls);
	sign_key_free(d->batch);
	buf_clear(&d->certified);
	X509_free(d->leaf);
	X509_free(d->issuing);
}
