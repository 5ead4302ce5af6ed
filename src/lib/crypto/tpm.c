// SPDX-License-Identifier: Apache-2.0
// The device's side. ESYS speaks to the TPM through a TCTI of our own (tpm_tcti.c) over a
// descriptor that somebody else opened. Keys are made again from their templates at each start:
// CreatePrimary with the same template gives the same key until the hierarchy's seed is replaced,
// so nothing has to be stored, and nothing stored can be swapped.

#include "lib/crypto/tpm.h"

#include "lib/crypto/hash.h"
#include "lib/crypto/internal.h"
#include "lib/crypto/tpm_internal.h"
#include "lib/crypto/tpm_templates.h"

#include <openssl/ec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <unistd.h>

struct err tpm_failed(uint32_t rc, const char *what)
{
	if (rc == TSS2_RC_SUCCESS)
		return OK;
	return err_make(rc == TSS2_ESYS_RC_MEMORY ? ERR_LIMIT : ERR_IO, "TPM: %s failed: %s", what,
			Tss2_RC_Decode(rc));
}

// The TPM's own code, without the layer that reports it and without the parameter's number.
uint32_t tpm_code(uint32_t rc)
{
	if (rc & TPM2_RC_FMT1)
		return rc & 0xbf;
	return rc & 0xffff;
}

struct err tpm_open(int fd, struct tpm **out)
{
	scoped(fd) int held = fd;
	TRY(crypto_start());
	// The library's own log would repeat on standard error what we answer in errors.
	setenv("TSS2_LOG", "all+none", 0);
	struct tpm *t = calloc(1, sizeof *t);
	ENSURE(t, ERR_LIMIT, "no memory for a TPM");
	t->ak = ESYS_TR_NONE;
	tpm_tcti_init(&t->tcti, held);
	held = -1;
	struct err e = tpm_failed(Esys_Initialize(&t->esys, (TSS2_TCTI_CONTEXT *)&t->tcti, NULL),
				  "setting up");
	if (e.code == ERR_NONE) {
		TSS2_RC rc = Esys_Startup(t->esys, TPM2_SU_CLEAR);
		if (tpm_code(rc) != TPM2_RC_INITIALIZE) // somebody started it already
			e = tpm_failed(rc, "TPM2_Startup");
	}
	if (e.code != ERR_NONE) {
		tpm_close(t);
		return e;
	}
	*out = t;
	return OK;
}

void tpm_close(struct tpm *t)
{
	if (!t)
		return;
	if (t->ak != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, t->ak);
	Esys_Free(t->ak_public);
	if (t->esys)
		Esys_Finalize(&t->esys);
	close(t->tcti.fd);
	free(t);
}

ESYS_CONTEXT *tpm_esys(struct tpm *t)
{
	return t->esys;
}

static bool property(struct tpm *t, uint32_t which, uint32_t *value)
{
	TPMI_YES_NO more;
	TPMS_CAPABILITY_DATA *data = NULL;
	bool good = Esys_GetCapability(t->esys, NO_SESSION, TPM2_CAP_TPM_PROPERTIES, which, 1,
				       &more, &data) == TSS2_RC_SUCCESS &&
		    data->data.tpmProperties.count == 1 &&
		    data->data.tpmProperties.tpmProperty[0].property == which;
	if (good)
		*value = data->data.tpmProperties.tpmProperty[0].value;
	Esys_Free(data);
	return good;
}

static void four(char *out, uint32_t value) // a property that holds four characters
{
	for (unsigned i = 0; i < 4; i++) {
		char c = (char)(value >> (24 - 8 * i));
		out[i] = c > 0x20 && c < 0x7f ? c : 0;
	}
	out[4] = 0;
}

struct err tpm_describe(struct tpm *t, char out[64])
{
	uint32_t maker, model = 0, firmware;
	ENSURE(property(t, TPM2_PT_MANUFACTURER, &maker) &&
		       property(t, TPM2_PT_FIRMWARE_VERSION_1, &firmware),
	       ERR_IO, "TPM: it does not tell its manufacturer");
	property(t, TPM2_PT_VENDOR_STRING_1, &model);
	char a[5], b[5];
	four(a, maker);
	four(b, model);
	snprintf(out, 64, "%s %s %u.%u", a, b, firmware >> 16, firmware & 0xffff);
	return OK;
}

// --- endorsement key

// Reads a whole NV index with its own (empty) authorization.
static struct err nv_read(struct tpm *t, ESYS_TR nv, struct buf *out)
{
	TPM2B_NV_PUBLIC *public = NULL;
	TPM2B_NAME *name = NULL;
	TRY(tpm_failed(Esys_NV_ReadPublic(t->esys, nv, NO_SESSION, &public, &name),
		       "NV_ReadPublic"));
	size_t size = public->nvPublic.dataSize;
	Esys_Free(public);
	Esys_Free(name);
	enum { PIECE = 512, MOST = 8192 };
	ENSURE(size <= MOST, ERR_LIMIT, "TPM: an NV index of %zu bytes; at most %d", size, MOST);
	for (size_t at = 0; at < size;) {
		uint16_t n = (uint16_t)(size - at < PIECE ? size - at : PIECE);
		TPM2B_MAX_NV_BUFFER *piece = NULL;
		TRY(tpm_failed(Esys_NV_Read(t->esys, nv, nv, PASSWORD, n, (uint16_t)at, &piece),
			       "NV_Read"));
		bool whole = piece->size == n;
		buf_append(out, piece->buffer, piece->size);
		Esys_Free(piece);
		ENSURE(whole, ERR_IO, "TPM: an NV index ends early");
		at += n;
	}
	return buf_check(out, "NV index");
}

struct err tpm_nv_find(struct tpm *t, uint32_t index, ESYS_TR *nv)
{
	TSS2_RC rc = Esys_TR_FromTPMPublic(t->esys, index, NO_SESSION, nv);
	if (tpm_code(rc) == (TPM2_RC_HANDLE & 0xbf))
		return err_make(ERR_NOT_FOUND, "TPM: there is no NV index 0x%08x", index);
	return tpm_failed(rc, "looking for an NV index");
}

// The certificate's own length, from its DER header: NV may be padded behind it.
static struct err der_cut(struct buf *b, size_t start)
{
	struct cursor c = cursor_over(b->data + start, b->len - start);
	uint8_t tag = cursor_u8(&c), first = cursor_u8(&c);
	size_t n = first < 0x80 ? first : cursor_be(&c, first & 3);
	ENSURE(!c.failed && tag == 0x30 && first != 0x80 && first <= 0x83 && n <= cursor_left(&c),
	       ERR_CORRUPT, "TPM: what NV holds is not a certificate");
	b->len = start + (size_t)(c.at - c.start) + n;
	return OK;
}

static struct err ek_find(struct tpm *t, const struct tpm_template **which, struct buf *der)
{
	for (size_t i = 0; i < tpm_ek_templates_n; i++) {
		ESYS_TR nv = ESYS_TR_NONE;
		struct err e = tpm_nv_find(t, tpm_ek_templates[i].nv, &nv);
		if (e.code == ERR_NOT_FOUND)
			continue;
		TRY(e);
		size_t start = der->len;
		e = nv_read(t, nv, der);
		Esys_TR_Close(t->esys, &nv);
		TRY(err_within(e, "EK certificate"));
		*which = &tpm_ek_templates[i];
		return der_cut(der, start);
	}
	return err_make(
		ERR_NOT_FOUND,
		"TPM: it holds no EK certificate that is used here (ECC P-256 at "
		"0x01c0000a, ECC P-384 at 0x01c00016, RSA 2048 at 0x01c00002): write one with "
		"the manufacturer's tool, or swtpm_setup --create-ek-cert");
}

struct err tpm_ek_certificate(struct tpm *t, struct buf *der)
{
	const struct tpm_template *which;
	return ek_find(t, &which, der);
}

static struct err create_primary(struct tpm *t, const TPM2B_PUBLIC *template, const char *what,
				 ESYS_TR *handle, TPM2B_PUBLIC **public)
{
	TPM2B_SENSITIVE_CREATE sensitive = {0};
	TPM2B_DATA outside = {0};
	TPML_PCR_SELECTION pcrs = {0};
	TPM2B_PUBLIC *made = NULL;
	TPM2B_CREATION_DATA *data = NULL;
	TPM2B_DIGEST *hash = NULL;
	TPMT_TK_CREATION *ticket = NULL;
	TSS2_RC rc =
		Esys_CreatePrimary(t->esys, ESYS_TR_RH_ENDORSEMENT, PASSWORD, &sensitive, template,
				   &outside, &pcrs, handle, &made, &data, &hash, &ticket);
	Esys_Free(data);
	Esys_Free(hash);
	Esys_Free(ticket);
	if (public)
		*public = made;
	else
		Esys_Free(made);
	return tpm_failed(rc, what);
}

// --- attestation key

struct err tpm_ak_make(struct tpm *t)
{
	if (t->ak != ESYS_TR_NONE)
		return OK;
	return create_primary(t, &tpm_ak_template, "making the attestation key", &t->ak,
			      &t->ak_public);
}

struct err tpm_ak_public(struct tpm *t, struct buf *out)
{
	TRY(tpm_ak_make(t));
	uint8_t bytes[sizeof(TPMT_PUBLIC)];
	size_t n = 0;
	TRY(tpm_failed(
		Tss2_MU_TPMT_PUBLIC_Marshal(&t->ak_public->publicArea, bytes, sizeof bytes, &n),
		"writing the attestation key"));
	buf_append(out, bytes, n);
	return buf_check(out, "attestation key");
}

// The EK of the low templates is used by policy: PolicySecret of the endorsement hierarchy.
static struct err ek_session(struct tpm *t, ESYS_TR *session)
{
	TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
	TRY(tpm_failed(Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, NO_SESSION, NULL,
					     TPM2_SE_POLICY, &none, TPM2_ALG_SHA256, session),
		       "StartAuthSession"));
	TPM2B_TIMEOUT *timeout = NULL;
	TPMT_TK_AUTH *ticket = NULL;
	TSS2_RC rc = Esys_PolicySecret(t->esys, ESYS_TR_RH_ENDORSEMENT, *session, PASSWORD, NULL,
				       NULL, NULL, 0, &timeout, &ticket);
	Esys_Free(timeout);
	Esys_Free(ticket);
	return tpm_failed(rc, "PolicySecret");
}

static struct err activate(struct tpm *t, ESYS_TR ek, ESYS_TR ek_auth,
			   const struct tpm_credential *c, struct secret **out)
{
	TPM2B_ID_OBJECT blob = {.size = (uint16_t)c->blob_len};
	TPM2B_ENCRYPTED_SECRET seed = {.size = (uint16_t)c->seed_len};
	ENSURE(c->blob_len <= sizeof blob.credential && c->seed_len <= sizeof seed.secret, ERR_PEER,
	       "the credential is too large for a TPM");
	memcpy(blob.credential, c->blob, c->blob_len);
	memcpy(seed.secret, c->seed, c->seed_len);
	TPM2B_DIGEST *inside = NULL;
	TSS2_RC rc = Esys_ActivateCredential(t->esys, t->ak, ek, ESYS_TR_PASSWORD, ek_auth,
					     ESYS_TR_NONE, &blob, &seed, &inside);
	if (rc != TSS2_RC_SUCCESS && (rc & TSS2_RC_LAYER_MASK) == TSS2_TPM_RC_LAYER)
		return err_make(ERR_AUTH,
				"TPM: the credential was not made for this TPM and this "
				"attestation key (%s)",
				Tss2_RC_Decode(rc));
	TRY(tpm_failed(rc, "ActivateCredential"));
	struct secret *s = secret_new(inside->size);
	if (s)
		memcpy(secret_bytes(s), inside->buffer, inside->size);
	secret_zero(inside->buffer, inside->size);
	Esys_Free(inside);
	ENSURE(s, ERR_LIMIT, "no memory for a secret");
	*out = s;
	return OK;
}

struct err tpm_activate(struct tpm *t, const struct tpm_credential *c, struct secret **out)
{
	scoped(buf) struct buf der = {0};
	const struct tpm_template *which;
	ESYS_TR ek = ESYS_TR_NONE, session = ESYS_TR_NONE;
	TRY(tpm_ak_make(t));
	TRY(ek_find(t, &which, &der));
	TRY(create_primary(t, &which->public, "making the endorsement key", &ek, NULL));
	struct err e = which->by_policy ? ek_session(t, &session) : OK;
	if (e.code == ERR_NONE)
		e = activate(t, ek, which->by_policy ? session : ESYS_TR_PASSWORD, c, out);
	if (session != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, session);
	Esys_FlushContext(t->esys, ek);
	return e;
}
