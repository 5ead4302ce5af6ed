// SPDX-License-Identifier: Apache-2.0
#include "management/evidence.h"

#include "lib/base/clock.h"
#include "lib/base/sabotage.h"
#include "lib/crypto/hash.h"
#include "lib/gnmi/gemel.pb-c.h"

#include <stdio.h>
#include <strings.h>
#include <string.h>

typedef Gemel__Enrolment__V1__Evidence evidence_message;
typedef Gemel__Enrolment__V1__CertifiedBatchKey key_message;

enum { DAY_S = 86400, KEY_DAYS_MAX = 8 };

struct err evidence_public_read(unsigned algorithm, const uint8_t *spki, size_t n,
				struct sign_public *out)
{
	static const uint8_t ed25519[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
					  0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}; // RFC 8410 section 4
	struct verify_key *key = NULL;
	if (algorithm == SIGN_ED25519) {
		ENSURE(n == sizeof ed25519 + SIGN_ED25519_PUBLIC &&
			       memcmp(spki, ed25519, sizeof ed25519) == 0,
		       ERR_PEER, "the key is not Ed25519");
		spki += sizeof ed25519;
		n -= sizeof ed25519;
	}
	ENSURE(algorithm == SIGN_ED25519 || algorithm == SIGN_P256, ERR_PEER,
	       "keys of algorithm %u are not used here", algorithm);
	TRY(verify_key_new((enum sign_algorithm)algorithm, spki, n, &key));
	*out = *verify_key_public(key);
	verify_key_free(key);
	return OK;
}

bool evidence_token_proof(const char *secret, const uint8_t *body, size_t n, const uint8_t *proof,
			  size_t proof_len)
{
	static const char purpose[] = "gemel enrol v1\n";
	uint8_t expected[HASH_SIZE];
	scoped(buf) struct buf signed_text = {.limit = EVIDENCE_MESSAGE_MAX + sizeof purpose};
	buf_append(&signed_text, purpose, sizeof purpose - 1);
	buf_append(&signed_text, body, n);
	if (signed_text.failed || proof_len != HASH_SIZE)
		return false;
	hash_hmac(secret, strlen(secret), signed_text.data, signed_text.len, expected);
	return secret_equal(expected, proof, HASH_SIZE);
}

const char *evidence_software(const struct conf_items *references, const char *pcr17)
{
	const struct conf_reference *items = references->items;
	for (size_t i = 0; i < references->n; i++)
		if (strcasecmp(items[i].pcr17, pcr17) == 0)
			return items[i].name;
	return NULL;
}

// --- BeginBody

static bool copy_name(char *out, size_t size, const char *in)
{
	size_t n = strlen(in);
	if (n == 0 || n >= size)
		return false;
	for (size_t i = 0; i < n; i++)
		if (in[i] <= ' ' || in[i] > '~')
			return false;
	memcpy(out, in, n + 1);
	return true;
}

static Gemel__Enrolment__V1__BeginBody *body_of(const uint8_t *body, size_t n)
{
	return n <= EVIDENCE_MESSAGE_MAX ? gemel__enrolment__v1__begin_body__unpack(NULL, n, body)
					 : NULL;
}

static struct verdict malformed(const char *what)
{
	return verdict_bad(REASON_REQUEST_MALFORMED, "%s", what);
}

static struct verdict names_of(const Gemel__Enrolment__V1__BeginBody *m, struct evidence_begin *out)
{
	if (!copy_name(out->device, sizeof out->device, m->device_id) ||
	    x509_name_check(out->device).code != ERR_NONE)
		return malformed("device_id is not a name");
	if (!copy_name(out->token, sizeof out->token, m->token_id))
		return malformed("token_id is not a name");
	if (*m->agent_version &&
	    !copy_name(out->agent_version, sizeof out->agent_version, m->agent_version))
		return malformed("agent_version is too long or not printable");
	return verdict_good();
}

struct verdict evidence_begin_names(const uint8_t *body, size_t n, struct evidence_begin *out)
{
	*out = (struct evidence_begin){.ak_len = 0};
	Gemel__Enrolment__V1__BeginBody *m = body_of(body, n);
	if (!m)
		return malformed("BeginBody cannot be read");
	struct verdict v = names_of(m, out);
	gemel__enrolment__v1__begin_body__free_unpacked(m, NULL);
	return v;
}

static struct verdict read_keys(const Gemel__Enrolment__V1__BeginBody *m, struct x509_trust *makers,
				int64_t now_ns, struct evidence_begin *out)
{
	uint8_t spki[HASH_SIZE];
	struct err e = x509_csr_read(m->csr_der.data, m->csr_der.len, &out->csr);
	if (e.code != ERR_NONE)
		return malformed(e.text);
	hash_sha256(m->tls_spki.data, m->tls_spki.len, spki);
	if (memcmp(spki, out->csr.spki, HASH_SIZE) != 0)
		return malformed("tls_spki is not the key of the certificate request");
	e = tpm_ek_verify(m->ek_certificate_der.data, m->ek_certificate_der.len, makers, NULL,
			  now_ns, &out->ek);
	if (e.code != ERR_NONE)
		return verdict_bad(REASON_EK_UNKNOWN_AUTHORITY, "%s", e.text);
	e = tpm_ak_read(m->ak_public.data, m->ak_public.len, &out->ak);
	if (e.code != ERR_NONE || m->ak_public.len > sizeof out->ak_public)
		return verdict_bad(REASON_AK_UNFIT, "%s", e.text ? e.text : "too long");
	memcpy(out->ak_public, m->ak_public.data, m->ak_public.len);
	out->ak_len = m->ak_public.len;
	return verdict_good();
}

struct verdict evidence_begin_read(const uint8_t *body, size_t n, struct x509_trust *makers,
				   int64_t now_ns, struct evidence_begin *out)
{
	*out = (struct evidence_begin){.ak_len = 0};
	Gemel__Enrolment__V1__BeginBody *m = body_of(body, n);
	if (!m)
		return malformed("BeginBody cannot be read");
	struct verdict v = names_of(m, out);
	if (v.reason == REASON_NONE)
		v = read_keys(m, makers, now_ns, out);
	gemel__enrolment__v1__begin_body__free_unpacked(m, NULL);
	return v;
}

void evidence_begin_clear(struct evidence_begin *b)
{
	tpm_ek_clear(&b->ek);
	b->ek.key = NULL;
}

// --- batch keys

// TPM2_Certify cannot speak for a software key, and a restricted key signs nothing foreign: the
// certification is a quote over no PCR whose qualifying data names device and key.
static struct verdict certified(const struct evidence_want *want, const key_message *m)
{
	static const char purpose[] = "gemel batch key v1\n";
	const struct hash_part parts[] = {{purpose, sizeof purpose - 1},
					  {want->device, strlen(want->device) + 1},
					  {m->batch_key.data, m->batch_key.len}};
	uint8_t digest[HASH_SIZE];
	const struct tpm_pcrs none = {.mask = 0};
	struct tpm_quote unwanted;
	hash_parts(parts, 3, digest);
	struct err e =
		tpm_quote_verify(want->ak, m->certification.data, m->certification.len,
				 m->signature.data, m->signature.len, digest, &none, &unwanted);
	return e.code == ERR_NONE ? verdict_good()
				  : verdict_bad(REASON_BATCH_KEY_BAD, "%s", e.text);
}

static struct verdict key_fields(const Gemel__Enrolment__V1__BatchKey *m, int64_t now_ns,
				 struct device_key *out)
{
	struct err e = evidence_public_read(m->algorithm, m->public_key.data, m->public_key.len,
					    &out->key);
	if (e.code != ERR_NONE)
		return verdict_bad(REASON_BATCH_KEY_BAD, "%s", e.text);
	out->from_ns = m->from_ns;
	out->until_ns = m->until_ns;
	if (m->until_ns <= now_ns || m->from_ns > now_ns + DAY_S * NS_PER_S ||
	    m->until_ns <= m->from_ns || m->from_ns < 0 ||
	    m->until_ns - m->from_ns > KEY_DAYS_MAX * DAY_S * NS_PER_S)
		return verdict_bad(REASON_BATCH_KEY_BAD,
				   "its time is over, has not come, or is longer than %d days",
				   KEY_DAYS_MAX);
	return verdict_good();
}

// *spki: SHA-256 of its SubjectPublicKeyInfo, which the quote is over.
static struct verdict batch_key(const struct evidence_want *want, const key_message *m,
				struct device_key *out, uint8_t spki[HASH_SIZE])
{
	struct verdict v =
		m ? certified(want, m) : verdict_bad(REASON_BATCH_KEY_BAD, "none was sent");
	if (v.reason != REASON_NONE)
		return v;
	Gemel__Enrolment__V1__BatchKey *key =
		gemel__enrolment__v1__batch_key__unpack(NULL, m->batch_key.len, m->batch_key.data);
	if (!key)
		return verdict_bad(REASON_BATCH_KEY_BAD, "it cannot be read");
	hash_sha256(key->public_key.data, key->public_key.len, spki);
	v = key_fields(key, want->now_ns, out);
	gemel__enrolment__v1__batch_key__free_unpacked(key, NULL);
	return v;
}

// --- the quote

static struct verdict pcrs_of(const evidence_message *m, struct tpm_pcrs *out)
{
	*out = (struct tpm_pcrs){.mask = 0};
	for (size_t i = 0; i < m->n_pcrs; i++) {
		const Gemel__Enrolment__V1__PcrValue *p = m->pcrs[i];
		if (p->index >= TPM_PCRS || p->value.len != 32 || out->mask >> p->index & 1)
			return verdict_bad(REASON_QUOTE_BAD,
					   "a PCR value is malformed or twice there");
		out->mask |= 1u << p->index;
		memcpy(out->value[p->index], p->value.data, 32);
	}
	if (out->mask != 1u << EVIDENCE_PCR)
		return verdict_bad(REASON_QUOTE_BAD,
				   "the PCRs 0x%06x were sent; 0x%06x were asked for",
				   (unsigned)out->mask, 1u << EVIDENCE_PCR);
	return verdict_good();
}

// A copied certificate betrays itself here: whoever shows it has another TPM.
static bool by_ak(const struct tpm_ak *ak, const evidence_message *m)
{
	struct verify_key *key = NULL;
	if (verify_key_new(ak->key.algorithm, ak->key.bytes, ak->key.len, &key).code != ERR_NONE)
		return false;
	struct err e = verify_check(key, m->quote.data, m->quote.len, m->quote_signature.data,
				    m->quote_signature.len);
	verify_key_free(key);
	return e.code == ERR_NONE;
}

static struct verdict software(const struct evidence_want *want, const struct tpm_pcrs *pcrs,
			       struct evidence_found *out)
{
	hash_hex(pcrs->value[EVIDENCE_PCR], 32, out->pcr17);
	const char *name = evidence_software(want->references, out->pcr17);
	if (!name && sabotaged("software"))
		name = "sabotaged";
	if (!name)
		return verdict_bad(REASON_SOFTWARE_UNKNOWN, "PCR 17 is %s", out->pcr17);
	snprintf(out->software, sizeof out->software, "%s", name);
	return verdict_good();
}

struct verdict evidence_appraise(const struct evidence_want *want, const evidence_message *m,
				 const key_message *key, struct evidence_found *out)
{
	static const char purpose[] = "gemel quote v1\n";
	uint8_t spki[HASH_SIZE], qualifying[HASH_SIZE];
	struct tpm_pcrs pcrs;
	*out = (struct evidence_found){.pcr17 = ""};
	if (!m)
		return verdict_bad(REASON_QUOTE_BAD, "no evidence was sent");
	if (!by_ak(want->ak, m))
		return verdict_bad(REASON_KEY_MISMATCH,
				   "the quote is not signed by the enrolled attestation key");
	struct verdict v = batch_key(want, key, &out->key, spki);
	if (v.reason == REASON_NONE)
		v = pcrs_of(m, &pcrs);
	if (v.reason != REASON_NONE)
		return v;
	const struct hash_part parts[] = {{purpose, sizeof purpose - 1},
					  {want->nonce, EVIDENCE_NONCE},
					  {want->tls, HASH_SIZE},
					  {spki, HASH_SIZE}};
	hash_parts(parts, 4, qualifying);
	struct err e =
		tpm_quote_verify(want->ak, m->quote.data, m->quote.len, m->quote_signature.data,
				 m->quote_signature.len, qualifying, &pcrs, &out->quote);
	if (e.code != ERR_NONE)
		return verdict_bad(REASON_QUOTE_BAD, "%s", e.text);
	return software(want, &pcrs, out);
}
