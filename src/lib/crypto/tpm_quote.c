// SPDX-License-Identifier: Apache-2.0
// What a running device asks of its TPM: PCR values, quotes, counters that only go up.

#include "lib/crypto/hash.h"
#include "lib/crypto/internal.h"
#include "lib/crypto/tpm_internal.h"

#include <openssl/ec.h>
#include <string.h>

// --- PCRs and quotes

static TPML_PCR_SELECTION selection(uint32_t mask)
{
	TPML_PCR_SELECTION s = {.count = 1};
	s.pcrSelections[0].hash = TPM2_ALG_SHA256;
	s.pcrSelections[0].sizeofSelect = 3;
	for (unsigned i = 0; i < 3; i++)
		s.pcrSelections[0].pcrSelect[i] = (uint8_t)(mask >> 8 * i);
	return s;
}

// One PCR_Read gives at most eight values, and says which.
static struct err read_some(struct tpm *t, struct tpm_pcrs *pcrs, uint32_t *left)
{
	TPML_PCR_SELECTION want = selection(*left), *got = NULL;
	TPML_DIGEST *values = NULL;
	uint32_t counter;
	TRY(tpm_failed(Esys_PCR_Read(t->esys, NO_SESSION, &want, &counter, &got, &values),
		       "PCR_Read"));
	uint32_t mask = 0;
	if (got->count == 1)
		for (unsigned i = 0; i < got->pcrSelections[0].sizeofSelect && i < 3; i++)
			mask |= (uint32_t)got->pcrSelections[0].pcrSelect[i] << 8 * i;
	mask &= *left;
	uint32_t next = 0, taken = 0;
	for (unsigned i = 0; i < TPM_PCRS; i++)
		if (mask >> i & 1 && next < values->count && values->digests[next].size == 32) {
			memcpy(pcrs->value[i], values->digests[next++].buffer, 32);
			taken |= 1u << i;
		}
	Esys_Free(got);
	Esys_Free(values);
	ENSURE(taken, ERR_IO,
	       "TPM: it gives no SHA-256 values of PCRs 0x%06x: is its SHA-256 bank on?",
	       (unsigned)*left);
	*left &= ~taken;
	return OK;
}

struct err tpm_pcr_read(struct tpm *t, struct tpm_pcrs *pcrs)
{
	ENSURE(pcrs->mask && !(pcrs->mask >> TPM_PCRS), ERR_USAGE, "PCRs are numbered 0 to 23");
	for (uint32_t left = pcrs->mask; left;)
		TRY(read_some(t, pcrs, &left));
	return OK;
}

struct err tpm_pcr_extend(struct tpm *t, unsigned pcr, const uint8_t digest[static 32])
{
	ENSURE(pcr < TPM_PCRS, ERR_USAGE, "PCRs are numbered 0 to 23");
	TPML_DIGEST_VALUES values = {.count = 1};
	values.digests[0].hashAlg = TPM2_ALG_SHA256;
	memcpy(values.digests[0].digest.sha256, digest, 32);
	TSS2_RC rc = Esys_PCR_Extend(t->esys, pcr, PASSWORD, &values);
	if (tpm_code(rc) == TPM2_RC_LOCALITY)
		return err_make(ERR_DENIED, "TPM: PCR %u cannot be extended at this locality", pcr);
	return tpm_failed(rc, "PCR_Extend");
}

static struct err ecdsa_der(const TPMT_SIGNATURE *from, struct buf *out)
{
	const TPMS_SIGNATURE_ECDSA *s = &from->signature.ecdsa;
	ENSURE(from->sigAlg == TPM2_ALG_ECDSA, ERR_IO, "TPM: it signed with another algorithm");
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(s->signatureR.buffer, s->signatureR.size, NULL);
	BIGNUM *v = BN_bin2bn(s->signatureS.buffer, s->signatureS.size, NULL);
	if (!sig || !r || !v || ECDSA_SIG_set0(sig, r, v) != 1) {
		BN_free(r);
		BN_free(v);
		ECDSA_SIG_free(sig);
		return err_make(ERR_LIMIT, "no memory for a quote");
	}
	uint8_t *der = NULL;
	int n = i2d_ECDSA_SIG(sig, &der);
	ECDSA_SIG_free(sig);
	if (n <= 0)
		return crypto_error(ERR_INTERNAL, "writing a signature failed");
	buf_append(out, der, (size_t)n);
	OPENSSL_free(der);
	return buf_check(out, "quote");
}

static struct err quote_once(struct tpm *t, const uint8_t qualifying[32], uint32_t mask,
			     struct buf *attest, struct buf *signature)
{
	TPM2B_DATA extra = {.size = 32};
	memcpy(extra.buffer, qualifying, 32);
	TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL}; // the AK's own
	TPML_PCR_SELECTION want = selection(mask);
	TPM2B_ATTEST *quoted = NULL;
	TPMT_SIGNATURE *sig = NULL;
	TRY(tpm_failed(Esys_Quote(t->esys, t->ak, PASSWORD, &extra, &scheme, &want, &quoted, &sig),
		       "Quote"));
	buf_append(attest, quoted->attestationData, quoted->size);
	struct err e = buf_check(attest, "quote");
	if (e.code == ERR_NONE)
		e = ecdsa_der(sig, signature);
	Esys_Free(quoted);
	Esys_Free(sig);
	return e;
}

struct err tpm_quote(struct tpm *t, const uint8_t qualifying[static 32], struct tpm_pcrs *pcrs,
		     struct buf *attest, struct buf *signature)
{
	TRY(tpm_ak_make(t));
	size_t attest_start = attest->len, signature_start = signature->len;
	for (unsigned tries = 0; tries < 3; tries++) {
		struct tpm_attest a;
		uint8_t digest[HASH_SIZE];
		attest->len = attest_start;
		signature->len = signature_start;
		if (pcrs->mask) // a quote over none certifies a key: only its qualifying data counts
			TRY(tpm_pcr_read(t, pcrs));
		TRY(quote_once(t, qualifying, pcrs->mask, attest, signature));
		TRY(tpm_attest_read(attest->data + attest_start, attest->len - attest_start, &a));
		tpm_pcrs_digest(pcrs, digest);
		if (a.digest_len == HASH_SIZE && memcmp(a.digest, digest, HASH_SIZE) == 0)
			return OK;
	}
	return err_make(ERR_BUSY, "TPM: the PCRs change faster than they can be read");
}

// --- counters

static struct err counter_find(struct tpm *t, uint32_t index, ESYS_TR *nv)
{
	TRY(tpm_nv_find(t, index, nv));
	TPM2B_NV_PUBLIC *public = NULL;
	TPM2B_NAME *name = NULL;
	struct err e = tpm_failed(Esys_NV_ReadPublic(t->esys, *nv, NO_SESSION, &public, &name),
				  "NV_ReadPublic");
	if (e.code == ERR_NONE &&
	    (public->nvPublic.attributes & TPMA_NV_TPM2_NT_MASK) >> TPMA_NV_TPM2_NT_SHIFT !=
		    TPM2_NT_COUNTER)
		e = err_make(ERR_CONFLICT,
			     "TPM: NV index 0x%08x is in use and is no counter: choose "
			     "another index",
			     index);
	Esys_Free(public);
	Esys_Free(name);
	if (e.code != ERR_NONE)
		Esys_TR_Close(t->esys, nv);
	return e;
}

static struct err counter_make(struct tpm *t, uint32_t index, ESYS_TR *nv)
{
	TPM2B_NV_PUBLIC public = {.nvPublic = {
					  .nvIndex = index,
					  .nameAlg = TPM2_ALG_SHA256,
					  .attributes = TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD |
							TPMA_NV_AUTHREAD | TPMA_NV_NO_DA |
							TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT,
					  .dataSize = 8,
				  }};
	TPM2B_AUTH empty = {0};
	return tpm_failed(
		Esys_NV_DefineSpace(t->esys, ESYS_TR_RH_OWNER, PASSWORD, &empty, &public, nv),
		"NV_DefineSpace of a counter");
}

static struct err counter_step(struct tpm *t, ESYS_TR nv)
{
	return tpm_failed(Esys_NV_Increment(t->esys, ESYS_TR_RH_OWNER, nv, PASSWORD),
			  "NV_Increment");
}

static struct err counter_value(struct tpm *t, ESYS_TR nv, uint64_t *value)
{
	TPM2B_MAX_NV_BUFFER *bytes = NULL;
	TRY(tpm_failed(Esys_NV_Read(t->esys, ESYS_TR_RH_OWNER, nv, PASSWORD, 8, 0, &bytes),
		       "NV_Read of a counter"));
	struct cursor c = cursor_over(bytes->buffer, bytes->size);
	*value = cursor_be64(&c);
	struct err e = cursor_finish(&c, "TPM counter");
	Esys_Free(bytes);
	return e;
}

static struct err counter(struct tpm *t, uint32_t index, bool step, uint64_t *value)
{
	ENSURE(index >= 0x01800000 && index <= 0x01bfffff, ERR_USAGE,
	       "NV index 0x%08x is not one of the owner's (0x01800000 to 0x01bfffff)", index);
	ESYS_TR nv = ESYS_TR_NONE;
	struct err e = counter_find(t, index, &nv);
	if (e.code == ERR_NOT_FOUND) {
		e = counter_make(t, index, &nv);
		step = true; // a counter cannot be read before its first increment
	}
	TRY(e);
	if (step)
		e = counter_step(t, nv);
	if (e.code == ERR_NONE)
		e = counter_value(t, nv, value);
	Esys_TR_Close(t->esys, &nv);
	return e;
}

struct err tpm_counter_read(struct tpm *t, uint32_t index, uint64_t *value)
{
	return counter(t, index, false, value);
}

struct err tpm_counter_next(struct tpm *t, uint32_t index, uint64_t *value)
{
	return counter(t, index, true, value);
}
