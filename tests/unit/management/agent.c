// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include "lib/crypto/hash.h"
#include "lib/crypto/random.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define VIEW(bytes, n) ((ProtobufCBinaryData){(n), (uint8_t *)(uintptr_t)(bytes)})

static size_t spki_of(const struct sign_key *key, uint8_t out[AGENT_SPKI_MAX])
{
	uint8_t *at = out;
	int n = i2d_PUBKEY(sign_key_pkey(key), &at);
	assert_true(n > 0 && n <= AGENT_SPKI_MAX);
	return (size_t)n;
}

void agent_new(struct agent *a, struct drive *d, const char *device)
{
	*a = (struct agent){.d = d};
	strcpy(a->device, device);
	snprintf(a->source, sizeof a->source, "10.0.0.%u:4000", 10 + (unsigned)device[1] % 100);
	swtpm_make(&a->machine);
	good(tpm_open(swtpm_connect(&a->machine), &a->tpm));
	swtpm_measure(&a->machine, "gemel-agent 1.0");
	good(sign_key_generate(SIGN_P256, &a->tls));
	good(sign_key_generate(SIGN_ED25519, &a->batch));
}

void agent_free(struct agent *a)
{
	sign_key_free(a->tls);
	sign_key_free(a->batch);
	tpm_close(a->tpm);
	swtpm_drop(&a->machine);
}

void agent_trust(struct agent *a, struct conf_reference *reference, char **ek_root)
{
	struct tpm_pcrs pcrs = {.mask = 1u << EVIDENCE_PCR};
	static char hex[HASH_HEX];
	scoped(buf) struct buf pem = {0};
	good(tpm_pcr_read(a->tpm, &pcrs));
	reference->name = (char *)(uintptr_t) "agent-1.0";
	reference->pcr17 = hash_hex(pcrs.value[EVIDENCE_PCR], 32, hex);
	swtpm_text(&a->machine, "swtpm-localca-rootca-cert.pem", &pem);
	swtpm_text(&a->machine, "issuercert.pem", &pem);
	*ek_root = strdup(buf_text(&pem));
}

// --- calls

static const char *ask(struct agent *a, const char *method, const void *message, size_t n,
		       const char *session, Ipc__EnrolAnswer **out)
{
	static char word[64];
	Ipc__EnrolRequest r = IPC__ENROL_REQUEST__INIT;
	r.id = a->d->next_id++;
	r.method = (char *)(uintptr_t)method;
	r.source = a->source;
	r.session = (char *)(uintptr_t)session;
	r.message = VIEW(message, n);
	if (*session && a->chain_len[0])
		r.peer_certificate = VIEW(a->chain[0], a->chain_len[0]);
	drive_say(a->d, PROCESS_TELEMETRY, IPC_ENROL_REQUEST, &r.base);
	drive_settle(a->d);
	*out = drive_last(a->d, PROCESS_TELEMETRY, IPC_ENROL_ANSWER,
			  &ipc__enrol_answer__descriptor);
	assert_non_null(*out);
	assert_int_equal((*out)->id, r.id);
	snprintf(word, sizeof word, "%.*s", (int)strcspn((*out)->reason, ":"), (*out)->reason);
	assert_int_equal((*out)->grpc_status == 0, word[0] == 0);
	return word;
}

static size_t pack(const ProtobufCMessage *m, uint8_t *out)
{
	return protobuf_c_message_pack(m, out);
}

static const char *name_of(const struct agent *a)
{
	return a->claims ? a->claims : a->device;
}

// --- Begin

static void read_token(const char *token, char id[65], char secret[129])
{
	const char *hash = strrchr(token, '.');
	char text[TOKEN_TEXT_MAX];
	snprintf(text, sizeof text, "%.*s", (int)(hash - token), token);
	char *at = strrchr(text, '.');
	snprintf(secret, 129, "%s", at + 1);
	*at = 0;
	at = strrchr(text, '.');
	snprintf(id, 65, "%s", at + 1);
}

static size_t begin_body(struct agent *a, const char *token_id, uint8_t *out)
{
	Gemel__Enrolment__V1__BeginBody m = GEMEL__ENROLMENT__V1__BEGIN_BODY__INIT;
	scoped(buf) struct buf csr = {0}, ek = {0}, ak = {0};
	uint8_t spki[AGENT_SPKI_MAX], nonce[32] = {1};
	good(x509_csr_make(a->tls, name_of(a), &csr));
	good(tpm_ek_certificate(a->tpm, &ek));
	good(tpm_ak_public(a->tpm, &ak));
	m.device_id = (char *)(uintptr_t)name_of(a);
	m.token_id = (char *)(uintptr_t)token_id;
	m.csr_der = VIEW(csr.data, csr.len);
	m.ek_certificate_der = VIEW(ek.data, ek.len);
	m.ak_public = VIEW(ak.data, ak.len);
	m.tls_spki = VIEW(spki, spki_of(a->tls, spki));
	m.device_nonce = VIEW(nonce, sizeof nonce);
	m.agent_version = (char *)(uintptr_t) "1.0";
	return pack(&m.base, out);
}

const char *agent_begin(struct agent *a, const char *token, Gemel__Enrolment__V1__BeginAnswer **out)
{
	static const char purpose[] = "gemel enrol v1\n";
	static uint8_t body[32768], signed_text[32768 + 64], message[40000];
	char id[65], secret[129];
	uint8_t proof[HASH_SIZE];
	Gemel__Enrolment__V1__BeginRequest r = GEMEL__ENROLMENT__V1__BEGIN_REQUEST__INIT;
	Ipc__EnrolAnswer *answer;
	read_token(token, id, secret);
	size_t n = begin_body(a, id, body);
	memcpy(signed_text, purpose, sizeof purpose - 1);
	memcpy(signed_text + sizeof purpose - 1, body, n);
	hash_hmac(secret, strlen(secret), signed_text, n + sizeof purpose - 1, proof);
	r.body = VIEW(body, n);
	r.token_proof = VIEW(proof, sizeof proof);
	const char *word = ask(a, "Begin", message, pack(&r.base, message), "", &answer);
	*out = *word ? NULL
		     : gemel__enrolment__v1__begin_answer__unpack(NULL, answer->message.len,
								  answer->message.data);
	return word;
}

// --- evidence

struct evidence {
	Gemel__Enrolment__V1__Evidence m;
	Gemel__Enrolment__V1__CertifiedBatchKey key;
	Gemel__Enrolment__V1__PcrValue pcr, *list[1];
	struct tpm_pcrs pcrs;
	struct buf attest, signature, key_bytes, key_attest, key_signature;
};

static void evidence_clear(struct evidence *v)
{
	buf_clear(&v->attest);
	buf_clear(&v->signature);
	buf_clear(&v->key_bytes);
	buf_clear(&v->key_attest);
	buf_clear(&v->key_signature);
}

static void certify(struct agent *a, struct tpm *tpm, struct evidence *v, uint8_t spki_hash[32])
{
	static const char purpose[] = "gemel batch key v1\n";
	uint8_t spki[AGENT_SPKI_MAX], digest[HASH_SIZE], message[512];
	Gemel__Enrolment__V1__BatchKey m = GEMEL__ENROLMENT__V1__BATCH_KEY__INIT;
	struct tpm_pcrs none = {.mask = 0};
	size_t n = spki_of(a->batch, spki);
	int64_t now = now_of(drive_management(a->d));
	hash_sha256(spki, n, spki_hash);
	m.algorithm = GEMEL__ENROLMENT__V1__KEY_ALGORITHM__ED25519;
	m.public_key = VIEW(spki, n);
	m.from_ns = now;
	m.until_ns = now + 7 * 86400 * NS_PER_S;
	m.key_id = VIEW(spki_hash, 8);
	buf_append(&v->key_bytes, message, pack(&m.base, message));
	const struct hash_part parts[] = {{purpose, sizeof purpose - 1},
					  {a->device, strlen(a->device) + 1},
					  {v->key_bytes.data, v->key_bytes.len}};
	hash_parts(parts, 3, digest);
	if (!a->no_batch_key)
		good(tpm_quote(tpm, digest, &none, &v->key_attest, &v->key_signature));
	gemel__enrolment__v1__certified_batch_key__init(&v->key);
	v->key.batch_key = VIEW(v->key_bytes.data, v->key_bytes.len);
	v->key.certification = VIEW(v->key_attest.data, v->key_attest.len);
	v->key.signature = VIEW(v->key_signature.data, v->key_signature.len);
}

static void evidence_make(struct agent *a, const struct sign_key *tls_key, const uint8_t *nonce,
			  struct evidence *v)
{
	static const char purpose[] = "gemel quote v1\n";
	struct tpm *tpm = a->quotes ? a->quotes->tpm : a->tpm;
	uint8_t spki[AGENT_SPKI_MAX], tls[32], batch[32], used[EVIDENCE_NONCE], qualifying[32];
	*v = (struct evidence){.pcrs.mask = 1u << EVIDENCE_PCR};
	hash_sha256(spki, spki_of(tls_key, spki), tls);
	certify(a, tpm, v, batch);
	memcpy(used, nonce, sizeof used);
	used[0] ^= a->wrong_nonce;
	const struct hash_part parts[] = {
		{purpose, sizeof purpose - 1}, {used, sizeof used}, {tls, 32}, {batch, 32}};
	hash_parts(parts, 4, qualifying);
	good(tpm_quote(tpm, qualifying, &v->pcrs, &v->attest, &v->signature));
	gemel__enrolment__v1__evidence__init(&v->m);
	gemel__enrolment__v1__pcr_value__init(&v->pcr);
	v->pcr.index = EVIDENCE_PCR;
	v->pcr.value = VIEW(v->pcrs.value[EVIDENCE_PCR], 32);
	v->list[0] = &v->pcr;
	v->m.pcrs = v->list;
	v->m.n_pcrs = 1;
	v->m.quote = VIEW(v->attest.data, v->attest.len);
	v->m.quote_signature = VIEW(v->signature.data, v->signature.len);
}

// --- Complete

static void chain_take(struct agent *a, const Ipc__EnrolAnswer *answer)
{
	Gemel__Enrolment__V1__CompleteAnswer *c = gemel__enrolment__v1__complete_answer__unpack(
		NULL, answer->message.len, answer->message.data);
	assert_non_null(c);
	assert_int_equal(c->n_certificate_chain_der, 2);
	for (size_t i = 0; i < 2; i++) {
		a->chain_len[i] = c->certificate_chain_der[i].len;
		memcpy(a->chain[i], c->certificate_chain_der[i].data, a->chain_len[i]);
	}
	assert_non_null(memmem(c->trust_bundle.data, c->trust_bundle.len, "BEGIN CERTIFICATE", 17));
	assert_true(c->renew_after_ns > now_of(drive_management(a->d)));
	gemel__enrolment__v1__complete_answer__free_unpacked(c, NULL);
}

static struct secret *activate(struct agent *a, const Gemel__Enrolment__V1__BeginAnswer *b)
{
	scoped(buf) struct buf both = {0};
	struct tpm_credential c;
	struct secret *secret = NULL;
	buf_append(&both, b->credential_blob.data, b->credential_blob.len);
	buf_append(&both, b->encrypted_secret.data, b->encrypted_secret.len);
	struct cursor in = cursor_over(both.data, both.len);
	good(tpm_credential_read(&in, &c));
	good(cursor_finish(&in, "credential"));
	good(tpm_activate(a->tpm, &c, &secret));
	return secret;
}

const char *agent_enrol(struct agent *a, const char *token)
{
	static uint8_t message[40000];
	Gemel__Enrolment__V1__BeginAnswer *b;
	Gemel__Enrolment__V1__CompleteRequest r = GEMEL__ENROLMENT__V1__COMPLETE_REQUEST__INIT;
	Ipc__EnrolAnswer *answer;
	struct evidence v;
	const char *word = agent_begin(a, token, &b);
	if (*word)
		return word;
	struct secret *secret = activate(a, b);
	secret_bytes(secret)[0] ^= a->wrong_secret;
	evidence_make(a, a->tls, b->attest_nonce.data, &v);
	r.session = b->session;
	r.activated_secret = VIEW(secret_bytes(secret), secret_size(secret));
	r.evidence = &v.m;
	r.batch_key = &v.key;
	word = ask(a, "Complete", message, pack(&r.base, message), "", &answer);
	if (!*word)
		chain_take(a, answer);
	evidence_clear(&v);
	secret_free(secret);
	gemel__enrolment__v1__begin_answer__free_unpacked(b, NULL);
	return word;
}

// --- admission

bool agent_admitted(struct agent *a, const char **word)
{
	static char text[64];
	Ipc__AdmitAnswer *m = drive_last(a->d, PROCESS_TELEMETRY, IPC_ADMIT_ANSWER,
					 &ipc__admit_answer__descriptor);
	assert_non_null(m);
	snprintf(text, sizeof text, "%.*s", (int)strcspn(m->reason, ":"), m->reason);
	*word = text;
	return m->admitted;
}

void agent_admit_ask(struct agent *a, const char *session)
{
	Ipc__AdmitRequest r = IPC__ADMIT_REQUEST__INIT;
	ProtobufCBinaryData chain[] = {VIEW(a->chain[0], a->chain_len[0]),
				       VIEW(a->chain[1], a->chain_len[1])};
	snprintf(a->session, sizeof a->session, "%s", session);
	r.id = a->d->next_id++;
	r.session = a->session;
	r.source = a->source;
	r.channel = (char *)(uintptr_t) "tunnel";
	r.chain = chain;
	r.n_chain = a->chain_len[0] ? 2 : 0;
	r.device = (char *)(uintptr_t)name_of(a);
	drive_say(a->d, PROCESS_TELEMETRY, IPC_ADMIT_REQUEST, &r.base);
	drive_settle(a->d);
}

const char *agent_admit(struct agent *a, const char *session)
{
	const char *word;
	agent_admit_ask(a, session);
	bool admitted = agent_admitted(a, &word);
	assert_int_equal(admitted, word[0] == 0);
	return word;
}

void agent_leave(struct agent *a)
{
	Ipc__SessionEnd m = IPC__SESSION_END__INIT;
	m.session = a->session;
	m.device = a->device;
	m.reason = (char *)(uintptr_t) "it went";
	drive_say(a->d, PROCESS_TELEMETRY, IPC_SESSION_END, &m.base);
	drive_settle(a->d);
}

// --- attestation

static const char *challenge(struct agent *a, unsigned purpose, const char *session)
{
	uint8_t message[256];
	Gemel__Enrolment__V1__ChallengeRequest q = GEMEL__ENROLMENT__V1__CHALLENGE_REQUEST__INIT;
	Ipc__EnrolAnswer *answer;
	q.device_id = (char *)(uintptr_t)name_of(a);
	q.purpose = purpose;
	const char *word = ask(a, "Challenge", message, pack(&q.base, message), session, &answer);
	if (*word)
		return word;
	Gemel__Enrolment__V1__ChallengeAnswer *c = gemel__enrolment__v1__challenge_answer__unpack(
		NULL, answer->message.len, answer->message.data);
	assert_non_null(c);
	assert_int_equal(c->nonce.len, EVIDENCE_NONCE);
	assert_int_equal(c->pcrs[0], EVIDENCE_PCR);
	memcpy(a->nonce, c->nonce.data, sizeof a->nonce);
	gemel__enrolment__v1__challenge_answer__free_unpacked(c, NULL);
	return word;
}

const char *agent_attest_again(struct agent *a)
{
	static uint8_t message[40000];
	static char reason[64];
	struct evidence v;
	Gemel__Enrolment__V1__AttestRequest r = GEMEL__ENROLMENT__V1__ATTEST_REQUEST__INIT;
	Ipc__EnrolAnswer *answer;
	evidence_make(a, a->tls, a->nonce, &v);
	r.device_id = (char *)(uintptr_t)name_of(a);
	r.nonce = VIEW(a->nonce, sizeof a->nonce);
	r.evidence = &v.m;
	r.batch_key = &v.key;
	r.agent_version = (char *)(uintptr_t) "1.0";
	const char *word = ask(a, "Attest", message, pack(&r.base, message), a->session, &answer);
	evidence_clear(&v);
	if (*word)
		return word;
	Gemel__Enrolment__V1__AttestAnswer *c = gemel__enrolment__v1__attest_answer__unpack(
		NULL, answer->message.len, answer->message.data);
	assert_non_null(c);
	snprintf(reason, sizeof reason, "%.*s", (int)strcspn(c->reason, ":"), c->reason);
	if (c->accepted)
		reason[0] = 0;
	gemel__enrolment__v1__attest_answer__free_unpacked(c, NULL);
	return reason;
}

const char *agent_attest(struct agent *a)
{
	const char *word =
		challenge(a, GEMEL__ENROLMENT__V1__CHALLENGE_PURPOSE__CHALLENGE_ATTEST, a->session);
	return *word ? word : agent_attest_again(a);
}

const char *agent_renew(struct agent *a)
{
	static uint8_t message[40000];
	uint8_t spki[AGENT_SPKI_MAX];
	struct sign_key *new;
	struct evidence v;
	scoped(buf) struct buf csr = {0}, ak = {0};
	Gemel__Enrolment__V1__RenewRequest r = GEMEL__ENROLMENT__V1__RENEW_REQUEST__INIT;
	Ipc__EnrolAnswer *answer;
	const char *word =
		challenge(a, GEMEL__ENROLMENT__V1__CHALLENGE_PURPOSE__CHALLENGE_RENEW, a->session);
	if (*word)
		return word;
	good(sign_key_generate(SIGN_P256, &new));
	good(x509_csr_make(new, name_of(a), &csr));
	good(tpm_ak_public(a->tpm, &ak));
	evidence_make(a, new, a->nonce, &v);
	r.device_id = (char *)(uintptr_t)name_of(a);
	r.csr_der = VIEW(csr.data, csr.len);
	r.tls_spki = VIEW(spki, spki_of(new, spki));
	r.nonce = VIEW(a->nonce, sizeof a->nonce);
	r.evidence = &v.m;
	r.batch_key = &v.key;
	r.ak_public = VIEW(ak.data, ak.len);
	word = ask(a, "Renew", message, pack(&r.base, message), a->session, &answer);
	evidence_clear(&v);
	if (*word) {
		sign_key_free(new);
		return word;
	}
	chain_take(a, answer);
	sign_key_free(a->tls);
	a->tls = new;
	return word;
}
