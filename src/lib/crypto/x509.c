// SPDX-License-Identifier: Apache-2.0
// Reading: who a certificate speaks for, requests, and the text form. OpenSSL decodes; what we add
// is strictness, since a second reading of the same bytes is how names are stolen: everything is
// consumed, one urn:gemel: name, only the letters that we issue.

#include "lib/crypto/hash.h"
#include "lib/crypto/pkey.h"
#include "lib/crypto/x509_internal.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

static const char device_urn[] = "urn:gemel:device:";
static const char role_urn[] = "urn:gemel:role:";
static const char own_urn[] = "urn:gemel:";

OPENSSL_SCOPED(BIO)

static bool name_good(const char *s, size_t n)
{
	if (n == 0 || n > X509_NAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		bool letter =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!letter && (i == 0 || (c != '.' && c != '_' && c != '-')))
			return false;
	}
	return true;
}

struct err x509_name_check(const char *name)
{
	ENSURE(name_good(name, strnlen(name, X509_NAME_MAX + 1)), ERR_USAGE,
	       "\"%.80s\" cannot be a name: 1 to %d letters, digits, '.', '_', '-', first a letter "
	       "or digit",
	       name, X509_NAME_MAX);
	return OK;
}

struct err x509_parse(const uint8_t *der, size_t n, X509 **out)
{
	TRY(crypto_start());
	ENSURE(n <= X509_DER_MAX, ERR_PEER, "a certificate of %zu bytes; at most %d are taken", n,
	       X509_DER_MAX);
	const uint8_t *at = der;
	X509 *cert = d2i_X509(NULL, &at, (long)n);
	if (!cert)
		return crypto_error(ERR_PEER, "not a certificate");
	if (at != der + n) {
		X509_free(cert);
		return err_make(ERR_PEER, "%zu bytes after the end of a certificate",
				(size_t)(der + n - at));
	}
	*out = cert;
	return OK;
}

void x509_pop_free(STACK_OF(X509) * certs)
{
	sk_X509_pop_free(certs, X509_free);
}

struct err x509_spki(X509 *cert, uint8_t out[32])
{
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	if (n <= 0)
		return crypto_error(ERR_PEER, "a certificate without a public key");
	hash_sha256(der, (size_t)n, out);
	OPENSSL_free(der);
	return OK;
}

// The common name for people: printable ASCII, the rest as '?'. Decides nothing.
static void common_name(X509_NAME *name, char *out, size_t size)
{
	out[0] = 0;
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	if (at < 0)
		return;
	const ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	size_t n = (size_t)ASN1_STRING_length(s);
	const uint8_t *bytes = ASN1_STRING_get0_data(s);
	if (n > size - 1)
		n = size - 1;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '?');
	out[n] = 0;
}

static struct err take_uri(const ASN1_STRING *uri, struct x509_identity *out)
{
	const char *s = (const char *)ASN1_STRING_get0_data(uri);
	size_t n = (size_t)ASN1_STRING_length(uri);
	if (n < sizeof own_urn - 1 || memcmp(s, own_urn, sizeof own_urn - 1) != 0)
		return OK; // another scheme's name: not ours to judge
	ENSURE(!out->device[0] && !out->role[0], ERR_PEER,
	       "the certificate has more than one urn:gemel: name");
	const char *prefix = device_urn;
	char *into = out->device;
	if (n >= sizeof role_urn - 1 && memcmp(s, role_urn, sizeof role_urn - 1) == 0) {
		prefix = role_urn;
		into = out->role;
	}
	size_t skip = strlen(prefix);
	ENSURE(n > skip && memcmp(s, prefix, skip) == 0 && name_good(s + skip, n - skip), ERR_PEER,
	       "the certificate has a malformed urn:gemel: name");
	memcpy(into, s + skip, n - skip);
	into[n - skip] = 0;
	return OK;
}

static struct err take_names(X509 *cert, struct x509_identity *out)
{
	int state = -1;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &state, NULL);
	if (!names) { // -1: there is none; -2: twice; else it does not decode
		ENSURE(state == -1, ERR_PEER, "the certificate's subjectAltName is malformed");
		return OK;
	}
	struct err e = OK;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && e.code == ERR_NONE; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_URI)
			e = take_uri(name->d.uniformResourceIdentifier, out);
	}
	GENERAL_NAMES_free(names);
	return e;
}

static struct err time_of(const ASN1_TIME *t, int64_t *ns)
{
	struct tm tm;
	if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
		return crypto_error(ERR_PEER, "a time in the certificate is malformed");
	int64_t seconds = (int64_t)timegm(&tm);
	// 9999-12-31 means "no end" (RFC 5280 section 4.1.2.5) and does not fit into 64 bits of ns.
	*ns = seconds > INT64_MAX / 1000000000 ? INT64_MAX : seconds * 1000000000;
	return OK;
}

static struct err serial_of(X509 *cert, char out[41])
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	int n = ASN1_STRING_length(serial);
	ENSURE(n >= 1 && n <= 20, ERR_PEER,
	       "the certificate's serial number has %d bytes; 1 to 20 are allowed (RFC 5280)", n);
	hash_hex(ASN1_STRING_get0_data(serial), (size_t)n, out);
	return OK;
}

struct err x509_identity_of(X509 *cert, struct x509_identity *out)
{
	memset(out, 0, sizeof *out);
	common_name(X509_get_subject_name(cert), out->subject, sizeof out->subject);
	common_name(X509_get_issuer_name(cert), out->issuer, sizeof out->issuer);
	if (X509_digest(cert, crypto_fetched()->sha256, out->fingerprint, NULL) != 1)
		return crypto_error(ERR_INTERNAL, "no fingerprint of a certificate");
	TRY(x509_spki(cert, out->spki));
	TRY(serial_of(cert, out->serial));
	TRY(time_of(X509_get0_notBefore(cert), &out->from_ns));
	TRY(time_of(X509_get0_notAfter(cert), &out->until_ns));
	TRY(take_names(cert, out));
	out->authority = X509_check_ca(cert) == 1;
	return OK;
}

struct err x509_identify(const uint8_t *der, size_t n, struct x509_identity *out)
{
	openssl(X509) X509 *cert = NULL;
	TRY(x509_parse(der, n, &cert));
	struct err e = x509_identity_of(cert, out);
	ERR_clear_error();
	return e;
}

// --- requests

struct err x509_csr_make(const struct sign_key *key, const char *name, struct buf *der)
{
	TRY(x509_name_check(name));
	EVP_PKEY *pkey = sign_key_pkey(key);
	openssl(X509_REQ) X509_REQ *req = X509_REQ_new();
	const EVP_MD *md =
		sign_key_public(key)->algorithm == SIGN_P256 ? crypto_fetched()->sha256 : NULL;
	if (!req || X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
	    X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(req), NID_commonName,
				       MBSTRING_UTF8, (const uint8_t *)name, -1, -1, 0) != 1 ||
	    X509_REQ_set_pubkey(req, pkey) != 1 || X509_REQ_sign(req, pkey, md) <= 0)
		return crypto_error(ERR_INTERNAL, "making a certificate request failed");
	uint8_t *bytes = NULL;
	int n = i2d_X509_REQ(req, &bytes);
	if (n <= 0)
		return crypto_error(ERR_INTERNAL, "making a certificate request failed");
	buf_append(der, bytes, (size_t)n);
	OPENSSL_free(bytes);
	return buf_check(der, "certificate request");
}

struct err x509_csr_read(const uint8_t *der, size_t n, struct x509_csr *out)
{
	TRY(crypto_start());
	memset(out, 0, sizeof *out);
	ENSURE(n <= X509_DER_MAX, ERR_PEER, "a certificate request of %zu bytes; at most %d", n,
	       X509_DER_MAX);
	const uint8_t *at = der;
	openssl(X509_REQ) X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)n);
	if (!req)
		return crypto_error(ERR_PEER, "not a certificate request (PKCS#10, DER)");
	ENSURE(at == der + n, ERR_PEER, "%zu bytes after the end of a certificate request",
	       (size_t)(der + n - at));
	EVP_PKEY *pkey = X509_REQ_get0_pubkey(req);
	if (!pkey)
		return crypto_error(ERR_PEER, "the certificate request's key is malformed");
	struct err e = pkey_public(pkey, &out->key);
	if (e.code != ERR_NONE)
		return err_make(ERR_PEER, "the certificate request: %s", e.text);
	if (X509_REQ_verify(req, pkey) != 1)
		return crypto_error(ERR_PEER,
				    "the certificate request is not signed by its own key");
	uint8_t *spki = NULL;
	int spki_len = i2d_PUBKEY(pkey, &spki);
	if (spki_len <= 0)
		return crypto_error(ERR_PEER, "the certificate request's key is malformed");
	hash_sha256(spki, (size_t)spki_len, out->spki);
	OPENSSL_free(spki);
	common_name(X509_REQ_get_subject_name(req), out->subject, sizeof out->subject);
	return OK;
}

// --- text form

static const char *const labels[] = {
	[X509_CERTIFICATE] = PEM_STRING_X509,
	[X509_CRL_KIND] = PEM_STRING_X509_CRL,
	[X509_REQUEST] = PEM_STRING_X509_REQ,
};

struct err x509_to_pem(enum x509_kind kind, const uint8_t *der, size_t n, struct buf *pem)
{
	TRY(crypto_start());
	ENSURE(n <= INT_MAX / 2, ERR_LIMIT, "%zu bytes are too many for PEM", n);
	openssl(BIO) BIO *mem = BIO_new(BIO_s_mem());
	if (!mem || PEM_write_bio(mem, labels[kind], "", der, (long)n) <= 0)
		return crypto_error(ERR_INTERNAL, "writing PEM failed");
	char *text;
	long len = BIO_get_mem_data(mem, &text);
	buf_append(pem, text, (size_t)len);
	return buf_check(pem, "PEM text");
}

struct err x509_from_pem(const char *pem, size_t n,
			 struct err (*each)(void *ctx, const uint8_t *der, size_t len), void *ctx)
{
	TRY(crypto_start());
	ENSURE(n <= 1 << 20, ERR_LIMIT, "PEM text of %zu bytes; at most 1 MiB", n);
	openssl(BIO) BIO *mem = BIO_new_mem_buf(pem, (int)n);
	ENSURE(mem, ERR_LIMIT, "no memory to read PEM");
	struct err e = OK;
	for (unsigned found = 0; e.code == ERR_NONE; found++) {
		char *label = NULL, *header = NULL;
		uint8_t *der = NULL;
		long len = 0;
		if (PEM_read_bio(mem, &label, &header, &der, &len) != 1) {
			bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
			if (end && found > 0) {
				ERR_clear_error();
				return OK;
			}
			return crypto_error(ERR_USAGE, "%s",
					    end ? "no -----BEGIN CERTIFICATE----- in the text"
						: "a PEM block is malformed");
		}
		if (strcmp(label, PEM_STRING_X509) == 0)
			e = each(ctx, der, (size_t)len);
		else
			e = err_make(ERR_USAGE, "a %.40s in PEM where a CERTIFICATE is wanted",
				     label);
		OPENSSL_free(label);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)len);
	}
	return e;
}
