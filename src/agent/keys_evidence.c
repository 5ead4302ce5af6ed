// SPDX-License-Identifier: Apache-2.0
// What proves to the twin that this is the device it is: gemel.proto's messages, filled and packed.
// A software key cannot be certified by TPM2_Certify and a restricted key signs nothing foreign, so
// both evidence and certifications are quotes, with what they are about as qualifying data.

#include "agent/keys_internal.h"

#include "agent/version.h"
#include "lib/base/clock.h"
#include "lib/crypto/random.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_KEY_DAYS = 7, SPKI_MAX = 128 }; // hourly, but a weekend without the twin is signed too

typedef Gemel__Enrolment__V1__Evidence evidence_message;

static struct err spki_of(const struct sign_key *key, uint8_t out[SPKI_MAX], size_t *n)
{
	int len = i2d_PUBKEY(sign_key_pkey(key), NULL);
	ENSURE(len > 0 && len <= SPKI_MAX, ERR_INTERNAL, "a public key of %d bytes", len);
	uint8_t *at = out;
	*n = (size_t)i2d_PUBKEY(sign_key_pkey(key), &at);
	return OK;
}

static struct err spki_hash(const struct sign_key *key, uint8_t out[32])
{
	uint8_t spki[SPKI_MAX];
	size_t n;
	TRY(spki_of(key, spki, &n));
	hash_sha256(spki, n, out);
	return OK;
}

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

// --- batch keys

static struct err batch_certify(struct keys *k, struct batch_key *b, const uint8_t *spki, size_t n)
{
	static const char purpose[] = "gemel batch key v1\n";
	Gemel__Enrolment__V1__BatchKey m = GEMEL__ENROLMENT__V1__BATCH_KEY__INIT;
	Gemel__Enrolment__V1__CertifiedBatchKey c = GEMEL__ENROLMENT__V1__CERTIFIED_BATCH_KEY__INIT;
	scoped(buf) struct buf bytes = {0};
	scoped(buf) struct buf attest = {0};
	scoped(buf) struct buf signature = {0};
	m.algorithm = GEMEL__ENROLMENT__V1__KEY_ALGORITHM__ED25519;
	m.public_key = view(spki, n);
	m.from_ns = clock_wall_ns();
	m.until_ns = m.from_ns + BATCH_KEY_DAYS * 24 * 3600 * NS_PER_S;
	m.key_id = view(b->id, sizeof b->id);
	TRY(pack(&m.base, &bytes));
	if (k->tpm) {
		const char *device = k->child->conf->device;
		const struct hash_part parts[] = {{purpose, sizeof purpose - 1},
						  {device, strlen(device) + 1},
						  {bytes.data, bytes.len}};
		uint8_t digest[32];
		struct tpm_pcrs none = {0};
		hash_parts(parts, 3, digest);
		TRY(tpm_quote(k->tpm, digest, &none, &attest, &signature));
	}
	c.batch_key = view_buf(&bytes);
	c.certification = view_buf(&attest);
	c.signature = view_buf(&signature);
	buf_reset(&b->certified);
	return pack(&c.base, &b->certified);
}

struct err keys_batch_new(struct keys *k)
{
	struct batch_key b = {0};
	uint8_t spki[SPKI_MAX];
	size_t n;
	TRY(sign_key_generate(SIGN_ED25519, &b.key));
	struct err e = spki_of(b.key, spki, &n);
	if (e.code == ERR_NONE) {
		hash_sha256(spki, n, b.spki);
		memcpy(b.id, sign_key_public(b.key)->id, sizeof b.id);
		e = batch_certify(k, &b, spki, n);
	}
	if (e.code != ERR_NONE) {
		sign_key_free(b.key);
		buf_clear(&b.certified);
		return e;
	}
	sign_key_free(k->batch[1].key);
	buf_clear(&k->batch[1].certified);
	k->batch[1] = k->batch[0];
	k->batch[0] = b;
	return OK;
}

// --- evidence

struct evidence {
	evidence_message m;
	struct buf attest, signature;
	struct tpm_pcrs pcrs;
	Gemel__Enrolment__V1__PcrValue values[TPM_PCRS], *list[TPM_PCRS];
};

static void evidence_clear(struct evidence *v)
{
	buf_clear(&v->attest);
	buf_clear(&v->signature);
}

static struct err evidence_make(struct keys *k, struct cursor nonce, uint32_t mask,
				const uint8_t tls[32], const uint8_t batch[32], struct evidence *v)
{
	static const char purpose[] = "gemel quote v1\n";
	uint8_t qualifying[32];
	*v = (struct evidence){.m = GEMEL__ENROLMENT__V1__EVIDENCE__INIT, .pcrs.mask = mask};
	ENSURE(k->tpm, ERR_NOT_FOUND, "this device has no TPM: set tpm in its configuration");
	const struct hash_part parts[] = {{purpose, sizeof purpose - 1},
					  {nonce.at, cursor_left(&nonce)},
					  {tls, 32},
					  {batch, 32}};
	hash_parts(parts, 4, qualifying);
	TRY(tpm_quote(k->tpm, qualifying, &v->pcrs, &v->attest, &v->signature));
	for (uint32_t i = 0; i < TPM_PCRS; i++) {
		Gemel__Enrolment__V1__PcrValue *p = &v->values[v->m.n_pcrs];
		if (!(mask >> i & 1))
			continue;
		gemel__enrolment__v1__pcr_value__init(p);
		p->index = i;
		p->value = view(v->pcrs.value[i], 32);
		v->list[v->m.n_pcrs++] = p;
	}
	v->m.pcrs = v->list;
	v->m.quote = view_buf(&v->attest);
	v->m.quote_signature = view_buf(&v->signature);
	return OK;
}

static struct err pending_key(struct keys *k)
{
	if (k->pending)
		return OK;
	return sign_key_generate(SIGN_P256, &k->pending);
}

// --- enrolment

struct err keys_begin(struct keys *k, struct buf *out)
{
	static const char purpose[] = "gemel enrol v1\n";
	Gemel__Enrolment__V1__BeginBody m = GEMEL__ENROLMENT__V1__BEGIN_BODY__INIT;
	Gemel__Enrolment__V1__BeginRequest r = GEMEL__ENROLMENT__V1__BEGIN_REQUEST__INIT;
	scoped(buf) struct buf csr = {0};
	scoped(buf) struct buf ek = {0};
	scoped(buf) struct buf ak = {0};
	scoped(buf) struct buf body = {0};
	scoped(buf) struct buf signed_text = {0};
	uint8_t nonce[32], spki[SPKI_MAX], proof[HASH_SIZE];
	size_t spki_len;
	ENSURE(k->tpm, ERR_NOT_FOUND, "this device has no TPM and cannot enrol: set tpm");
	TRY(pending_key(k));
	TRY(x509_csr_make(k->pending, k->child->conf->device, &csr));
	TRY(tpm_ek_certificate(k->tpm, &ek));
	TRY(tpm_ak_public(k->tpm, &ak));
	TRY(random_bytes(nonce, sizeof nonce));
	TRY(spki_of(k->pending, spki, &spki_len));
	m.device_id = k->child->conf->device;
	m.token_id = k->token.id;
	m.csr_der = view_buf(&csr);
	m.ek_certificate_der = view_buf(&ek);
	m.ak_public = view_buf(&ak);
	m.tls_spki = view(spki, spki_len);
	m.device_nonce = view(nonce, sizeof nonce);
	m.agent_version = (char *)(uintptr_t)GEMEL_VERSION;
	TRY(pack(&m.base, &body));
	buf_append(&signed_text, purpose, sizeof purpose - 1);
	buf_append(&signed_text, body.data, body.len);
	TRY(buf_check(&signed_text, "request"));
	hash_hmac(secret_bytes(k->token.secret), secret_size(k->token.secret), signed_text.data,
		  signed_text.len, proof);
	r.body = view_buf(&body);
	r.token_proof = view(proof, sizeof proof);
	buf_append(out, k->token.pin, 32);
	memcpy(k->pin, k->token.pin, 32);
	buf_be32(out, (uint32_t)gemel__enrolment__v1__begin_request__get_packed_size(&r));
	return pack(&r.base, out);
}

static struct err activate(struct keys *k, struct cursor blob, struct cursor seed,
			   struct secret **out)
{
	scoped(buf) struct buf both = {0}; // each is a TPM2B: with its own size in front
	struct tpm_credential c;
	buf_append(&both, blob.at, cursor_left(&blob));
	buf_append(&both, seed.at, cursor_left(&seed));
	TRY(buf_check(&both, "credential"));
	struct cursor in = cursor_over(both.data, both.len);
	TRY(tpm_credential_read(&in, &c));
	TRY(cursor_finish(&in, "credential"));
	return tpm_activate(k->tpm, &c, out);
}

struct err keys_complete(struct keys *k, struct cursor *in, struct buf *out)
{
	Gemel__Enrolment__V1__CompleteRequest r = GEMEL__ENROLMENT__V1__COMPLETE_REQUEST__INIT;
	Gemel__Enrolment__V1__CertifiedBatchKey *key = NULL;
	struct evidence v;
	char session[257];
	uint8_t tls[32];
	link_get_text(in, session, sizeof session);
	struct cursor blob = link_get(in), seed = link_get(in), nonce = link_get(in);
	uint32_t mask = cursor_be32(in);
	TRY(cursor_finish(in, "ACTIVATE"));
	ENSURE(k->tpm && k->pending && k->batch[0].key, ERR_CONFLICT, "no enrolment is under way");
	scoped(secret) struct secret *secret = NULL;
	TRY(activate(k, blob, seed, &secret));
	TRY(spki_hash(k->pending, tls));
	struct err e = evidence_make(k, nonce, mask, tls, k->batch[0].spki, &v);
	key = gemel__enrolment__v1__certified_batch_key__unpack(NULL, k->batch[0].certified.len,
								k->batch[0].certified.data);
	if (e.code == ERR_NONE && !key)
		e = err_make(ERR_INTERNAL, "own batch key");
	if (e.code == ERR_NONE) {
		r.session = session;
		r.activated_secret = view(secret_bytes(secret), secret_size(secret));
		r.evidence = &v.m;
		r.batch_key = key;
		e = pack(&r.base, out);
	}
	gemel__enrolment__v1__certified_batch_key__free_unpacked(key, NULL);
	evidence_clear(&v);
	return e;
}

// --- sessions and renewal

// SHA-256 of the SPKI that a CertifiedBatchKey names.
static struct err certified_spki(const Gemel__Enrolment__V1__CertifiedBatchKey *c, uint8_t out[32])
{
	Gemel__Enrolment__V1__BatchKey *b =
		gemel__enrolment__v1__batch_key__unpack(NULL, c->batch_key.len, c->batch_key.data);
	ENSURE(b, ERR_CORRUPT, "a batch key in the spool is broken");
	hash_sha256(b->public_key.data, b->public_key.len, out);
	gemel__enrolment__v1__batch_key__free_unpacked(b, NULL);
	return OK;
}

static struct err renew_request(struct keys *k, struct cursor nonce, struct evidence *v,
				Gemel__Enrolment__V1__CertifiedBatchKey *key, struct buf *out)
{
	Gemel__Enrolment__V1__RenewRequest r = GEMEL__ENROLMENT__V1__RENEW_REQUEST__INIT;
	scoped(buf) struct buf csr = {0};
	scoped(buf) struct buf ak = {0};
	uint8_t spki[SPKI_MAX];
	size_t n;
	TRY(x509_csr_make(k->pending, k->child->conf->device, &csr));
	TRY(tpm_ak_public(k->tpm, &ak));
	TRY(spki_of(k->pending, spki, &n));
	r.device_id = k->child->conf->device;
	r.csr_der = view_buf(&csr);
	r.tls_spki = view(spki, n);
	r.nonce = view(nonce.at, cursor_left(&nonce));
	r.evidence = &v->m;
	r.batch_key = key;
	r.ak_public = view_buf(&ak);
	return pack(&r.base, out);
}

static struct err attest_request(struct keys *k, struct cursor nonce, struct evidence *v,
				 Gemel__Enrolment__V1__CertifiedBatchKey *key, struct buf *out)
{
	Gemel__Enrolment__V1__AttestRequest r = GEMEL__ENROLMENT__V1__ATTEST_REQUEST__INIT;
	r.device_id = k->child->conf->device;
	r.nonce = view(nonce.at, cursor_left(&nonce));
	r.evidence = &v->m;
	r.batch_key = key;
	r.agent_version = (char *)(uintptr_t)GEMEL_VERSION;
	return pack(&r.base, out);
}

struct err keys_attest(struct keys *k, struct cursor *in, struct buf *out)
{
	unsigned purpose = cursor_u8(in);
	struct cursor nonce = link_get(in);
	uint32_t mask = cursor_be32(in);
	struct cursor given = link_get(in);
	struct evidence v;
	uint8_t tls[32], batch[32];
	TRY(cursor_finish(in, "ATTEST"));
	ENSURE(k->enrolled && k->batch[0].key, ERR_CONFLICT, "not enrolled");
	if (cursor_left(&given) == 0)
		given = cursor_over(k->batch[0].certified.data, k->batch[0].certified.len);
	if (purpose == ATTEST_RENEW)
		TRY(pending_key(k));
	TRY(spki_hash(purpose == ATTEST_RENEW ? k->pending : k->tls, tls));
	Gemel__Enrolment__V1__CertifiedBatchKey *key =
		gemel__enrolment__v1__certified_batch_key__unpack(NULL, cursor_left(&given),
								  given.at);
	ENSURE(key, ERR_CORRUPT, "a batch key in the spool is broken");
	struct err e = certified_spki(key, batch);
	if (e.code == ERR_NONE) {
		e = evidence_make(k, nonce, mask, tls, batch, &v);
		if (e.code == ERR_NONE && purpose == ATTEST_RENEW)
			e = renew_request(k, nonce, &v, key, out);
		else if (e.code == ERR_NONE)
			e = attest_request(k, nonce, &v, key, out);
		evidence_clear(&v);
	}
	gemel__enrolment__v1__certified_batch_key__free_unpacked(key, NULL);
	return e;
}
