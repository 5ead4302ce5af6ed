// SPDX-License-Identifier: Apache-2.0
// Issuing in two steps, because the authority's key is in another process. OpenSSL builds the
// to-be-signed part; it has no call that takes a signature made elsewhere, so the outer SEQUENCE
// {tbs, algorithm, signature} of RFC 5280 section 4.1 is written here, by hand: three DER headers.

#include "lib/crypto/hash.h"
#include "lib/crypto/pkey.h"
#include "lib/crypto/random.h"
#include "lib/crypto/x509_internal.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <stdio.h>
#include <string.h>

static const struct profile {
	uint32_t usage; // KU_...
	int path;	// authorities: path length; -1: not an authority
	bool server, client;
	const char *urn; // NULL: none
} profiles[] = {
	[X509_ROOT] = {KU_KEY_CERT_SIGN | KU_CRL_SIGN, 1, false, false, NULL},
	[X509_ISSUING] = {KU_KEY_CERT_SIGN | KU_CRL_SIGN, 0, false, false, NULL},
	[X509_SERVER] = {KU_DIGITAL_SIGNATURE, -1, true, false, "urn:gemel:role:"},
	[X509_CLIENT] = {KU_DIGITAL_SIGNATURE, -1, false, true, "urn:gemel:role:"},
	[X509_PEER] = {KU_DIGITAL_SIGNATURE, -1, true, true, "urn:gemel:role:"},
	[X509_DEVICE] = {KU_DIGITAL_SIGNATURE, -1, true, true, "urn:gemel:device:"},
};

static struct err add(X509 *cert, int nid, void *value, int critical)
{
	if (!value || X509_add1_ext_i2d(cert, nid, value, critical, X509V3_ADD_DEFAULT) != 1)
		return crypto_error(ERR_INTERNAL, "adding %s to a certificate failed",
				    OBJ_nid2sn(nid));
	return OK;
}

static struct err add_usage(X509 *cert, const struct profile *p)
{
	BASIC_CONSTRAINTS *basic = BASIC_CONSTRAINTS_new();
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	struct err e = basic && bits ? OK : err_make(ERR_LIMIT, "no memory for a certificate");
	if (e.code == ERR_NONE && p->path >= 0) {
		basic->ca = 0xff;
		basic->pathlen = ASN1_INTEGER_new();
		if (!basic->pathlen || ASN1_INTEGER_set(basic->pathlen, p->path) != 1)
			e = err_make(ERR_LIMIT, "no memory for a certificate");
	}
	static const struct {
		uint32_t flag;
		int bit; // RFC 5280 section 4.2.1.3
	} uses[] = {{KU_DIGITAL_SIGNATURE, 0}, {KU_KEY_CERT_SIGN, 5}, {KU_CRL_SIGN, 6}};
	for (size_t i = 0; e.code == ERR_NONE && i < sizeof uses / sizeof *uses; i++)
		if (p->usage & uses[i].flag && ASN1_BIT_STRING_set_bit(bits, uses[i].bit, 1) != 1)
			e = err_make(ERR_LIMIT, "no memory for a certificate");
	if (e.code == ERR_NONE)
		e = add(cert, NID_basic_constraints, basic, 1);
	if (e.code == ERR_NONE)
		e = add(cert, NID_key_usage, bits, 1);
	ASN1_BIT_STRING_free(bits);
	BASIC_CONSTRAINTS_free(basic);
	return e;
}

static struct err add_extended_usage(X509 *cert, const struct profile *p)
{
	if (!p->server && !p->client)
		return OK;
	EXTENDED_KEY_USAGE *use = sk_ASN1_OBJECT_new_null();
	bool good = use && (!p->server || sk_ASN1_OBJECT_push(use, OBJ_nid2obj(NID_server_auth))) &&
		    (!p->client || sk_ASN1_OBJECT_push(use, OBJ_nid2obj(NID_client_auth)));
	struct err e = good ? add(cert, NID_ext_key_usage, use, 0)
			    : err_make(ERR_LIMIT, "no memory for a certificate");
	sk_ASN1_OBJECT_free(use); // the objects are OpenSSL's own constants
	return e;
}

static GENERAL_NAME *name_of(int type, const void *bytes, size_t n)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *s =
		ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
	if (name && s && ASN1_STRING_set(s, bytes, (int)n) == 1) {
		GENERAL_NAME_set0_value(name, type, s);
		return name;
	}
	GENERAL_NAME_free(name);
	ASN1_STRING_free(s);
	return NULL;
}

static struct err push(GENERAL_NAMES *names, GENERAL_NAME *name)
{
	if (name && sk_GENERAL_NAME_push(names, name))
		return OK;
	GENERAL_NAME_free(name);
	return err_make(ERR_LIMIT, "no memory for a certificate");
}

static struct err host_name(const char *host, GENERAL_NAMES *names)
{
	uint8_t address[16];
	if (inet_pton(AF_INET, host, address) == 1)
		return push(names, name_of(GEN_IPADD, address, 4));
	if (inet_pton(AF_INET6, host, address) == 1)
		return push(names, name_of(GEN_IPADD, address, 16));
	size_t n = strnlen(host, 254);
	ENSURE(n > 0 && n < 254 &&
		       strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789.-") == n,
	       ERR_USAGE, "\"%.80s\" is neither a DNS name nor a numeric address", host);
	return push(names, name_of(GEN_DNS, host, n));
}

static struct err add_names(X509 *cert, const struct x509_issue *want, const struct profile *p)
{
	if (!p->urn)
		return OK;
	ENSURE(want->n_hosts <= X509_HOSTS_MAX, ERR_USAGE,
	       "%zu hosts for one certificate; at most %d", want->n_hosts, X509_HOSTS_MAX);
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	ENSURE(names, ERR_LIMIT, "no memory for a certificate");
	char uri[32 + X509_NAME_MAX];
	int n = snprintf(uri, sizeof uri, "%s%s", p->urn, want->name);
	struct err e = push(names, name_of(GEN_URI, uri, (size_t)n));
	for (size_t i = 0; e.code == ERR_NONE && i < want->n_hosts; i++)
		e = host_name(want->hosts[i], names);
	if (e.code == ERR_NONE)
		e = add(cert, NID_subject_alt_name, names, 0);
	GENERAL_NAMES_free(names);
	return e;
}

static struct err add_authority_id(X509 *cert, const ASN1_OCTET_STRING *issuer_id)
{
	AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
	struct err e = id ? OK : err_make(ERR_LIMIT, "no memory for a certificate");
	if (e.code == ERR_NONE) {
		id->keyid = ASN1_OCTET_STRING_dup(issuer_id);
		e = add(cert, NID_authority_key_identifier, id, 0);
	}
	AUTHORITY_KEYID_free(id);
	return e;
}

// Key identifiers by RFC 7093 section 2 method 1: the left 160 bits of the key's SHA-256.
static struct err add_key_ids(X509 *cert, X509 *issuer)
{
	uint8_t id[HASH_SIZE];
	TRY(x509_spki(cert, id));
	ASN1_OCTET_STRING *own = ASN1_OCTET_STRING_new();
	struct err e = own && ASN1_OCTET_STRING_set(own, id, 20) == 1
			       ? add(cert, NID_subject_key_identifier, own, 0)
			       : err_make(ERR_LIMIT, "no memory for a certificate");
	const ASN1_OCTET_STRING *from = issuer ? X509_get0_subject_key_id(issuer) : own;
	if (e.code == ERR_NONE && from)
		e = add_authority_id(cert, from);
	ASN1_OCTET_STRING_free(own);
	return e;
}

// Positive, 16 bytes, never zero.
static struct err draw_serial(X509 *cert, char *hex)
{
	uint8_t bytes[X509_SERIAL];
	TRY(random_bytes(bytes, sizeof bytes));
	bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
	BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
	bool good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	ENSURE(good, ERR_LIMIT, "no memory for a certificate");
	if (hex)
		hash_hex(bytes, sizeof bytes, hex);
	return OK;
}

static struct err set_times(X509 *cert, const struct x509_issue *want, X509 *issuer)
{
	time_t from = (time_t)(want->from_ns / 1000000000),
	       until = (time_t)(want->until_ns / 1000000000);
	ENSURE(until > from, ERR_USAGE, "a certificate must end after it begins");
	ENSURE(!issuer || ASN1_TIME_cmp_time_t(X509_get0_notAfter(issuer), until) >= 0, ERR_USAGE,
	       "a certificate cannot outlive its authority: renew the authority first");
	if (!ASN1_TIME_set(X509_getm_notBefore(cert), from) ||
	    !ASN1_TIME_set(X509_getm_notAfter(cert), until))
		return crypto_error(ERR_USAGE, "a certificate's validity is out of range");
	return OK;
}

static struct err set_subject(X509 *cert, const char *name, X509 *issuer)
{
	openssl(X509_NAME) X509_NAME *subject = X509_NAME_new();
	if (!subject ||
	    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
				       (const uint8_t *)name, -1, -1, 0) != 1 ||
	    X509_set_subject_name(cert, subject) != 1 ||
	    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject) != 1)
		return crypto_error(ERR_USAGE, "\"%.64s\" cannot be a common name", name);
	return OK;
}

// OpenSSL writes the algorithm into the to-be-signed part only when it signs, and has no other way
// in: so both are signed once, by a key that nobody keeps, and that signature is dropped.
static EVP_PKEY *throwaway(void)
{
	return EVP_EC_gen("P-256");
}

static struct err append_der(int n, uint8_t *der, struct buf *out)
{
	if (n <= 0)
		return crypto_error(ERR_INTERNAL, "encoding a certificate failed");
	buf_append(out, der, (size_t)n);
	OPENSSL_free(der);
	return buf_check(out, "certificate");
}

static struct err want_check(const struct x509_issue *want)
{
	ENSURE(want->profile < sizeof profiles / sizeof *profiles, ERR_INTERNAL, "unknown profile");
	if (profiles[want->profile].urn)
		return x509_name_check(want->name);
	size_t n = strnlen(want->name, 65);
	ENSURE(n > 0 && n < 65, ERR_USAGE, "an authority's name has 1 to 64 characters");
	return OK;
}

struct err x509_issue_prepare(const struct x509_issue *want, struct buf *tbs, char *serial_hex)
{
	TRY(crypto_start());
	TRY(want_check(want));
	const struct profile *p = &profiles[want->profile];
	openssl(X509) X509 *issuer = NULL;
	if (want->issuer)
		TRY(err_within(x509_parse(want->issuer, want->issuer_len, &issuer), "issuer"));
	ENSURE(!issuer == (want->profile == X509_ROOT), ERR_USAGE,
	       "a root has no issuer, and everything else has one");
	openssl(X509) X509 *cert = X509_new();
	openssl(EVP_PKEY) EVP_PKEY *pkey = NULL;
	TRY(pkey_from_public(want->key->algorithm, want->key->bytes, want->key->len, &pkey));
	if (!cert || X509_set_version(cert, X509_VERSION_3) != 1 ||
	    X509_set_pubkey(cert, pkey) != 1)
		return crypto_error(ERR_INTERNAL, "making a certificate failed");
	TRY(draw_serial(cert, serial_hex));
	TRY(set_subject(cert, want->name, issuer));
	TRY(set_times(cert, want, issuer));
	TRY(add_usage(cert, p));
	TRY(add_extended_usage(cert, p));
	TRY(add_names(cert, want, p));
	TRY(add_key_ids(cert, issuer));
	openssl(EVP_PKEY) EVP_PKEY *nobody = throwaway();
	if (!nobody || X509_sign(cert, nobody, crypto_fetched()->sha256) <= 0)
		return crypto_error(ERR_INTERNAL, "making a certificate failed");
	uint8_t *der = NULL;
	int n = i2d_re_X509_tbs(cert, &der);
	return append_der(n, der, tbs);
}

// --- CRLs

static struct err crl_add(X509_CRL *crl, const struct x509_revoked *r)
{
	ENSURE(r->serial_len >= 1 && r->serial_len <= sizeof r->serial, ERR_USAGE,
	       "a revoked serial number of %zu bytes", r->serial_len);
	X509_REVOKED *entry = X509_REVOKED_new();
	BIGNUM *n = BN_bin2bn(r->serial, (int)r->serial_len, NULL);
	ASN1_INTEGER *serial = n ? BN_to_ASN1_INTEGER(n, NULL) : NULL;
	ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)(r->time_ns / 1000000000));
	bool good = entry && serial && at && X509_REVOKED_set_serialNumber(entry, serial) == 1 &&
		    X509_REVOKED_set_revocationDate(entry, at) == 1 &&
		    X509_CRL_add0_revoked(crl, entry) == 1;
	if (!good)
		X509_REVOKED_free(entry);
	BN_free(n);
	ASN1_INTEGER_free(serial);
	ASN1_TIME_free(at);
	ENSURE(good, ERR_LIMIT, "no memory for a CRL");
	return OK;
}

static struct err crl_head(X509_CRL *crl, X509 *issuer, uint64_t number, int64_t from_ns,
			   int64_t until_ns)
{
	ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)(from_ns / 1000000000));
	ASN1_TIME *until = ASN1_TIME_set(NULL, (time_t)(until_ns / 1000000000));
	ASN1_INTEGER *count = ASN1_INTEGER_new();
	AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
	const ASN1_OCTET_STRING *key = X509_get0_subject_key_id(issuer);
	if (id && key)
		id->keyid = ASN1_OCTET_STRING_dup(key);
	bool good = from && until && count && id && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
		    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)) == 1 &&
		    X509_CRL_set1_lastUpdate(crl, from) == 1 &&
		    X509_CRL_set1_nextUpdate(crl, until) == 1 &&
		    ASN1_INTEGER_set_uint64(count, number) == 1 &&
		    X509_CRL_add1_ext_i2d(crl, NID_crl_number, count, 0, 0) == 1 &&
		    X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, id, 0, 0) == 1;
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	ASN1_INTEGER_free(count);
	AUTHORITY_KEYID_free(id);
	if (!good)
		return crypto_error(ERR_INTERNAL, "making a CRL failed");
	return OK;
}

struct err x509_crl_prepare(const uint8_t *issuer_der, size_t issuer_len,
			    const struct x509_revoked *revoked, size_t n, uint64_t number,
			    int64_t from_ns, int64_t until_ns, struct buf *tbs)
{
	openssl(X509) X509 *issuer = NULL;
	TRY(err_within(x509_parse(issuer_der, issuer_len, &issuer), "issuer"));
	openssl(X509_CRL) X509_CRL *crl = X509_CRL_new();
	ENSURE(crl, ERR_LIMIT, "no memory for a CRL");
	TRY(crl_head(crl, issuer, number, from_ns, until_ns));
	for (size_t i = 0; i < n; i++)
		TRY(crl_add(crl, &revoked[i]));
	X509_CRL_sort(crl);
	openssl(EVP_PKEY) EVP_PKEY *nobody = throwaway();
	if (!nobody || X509_CRL_sign(crl, nobody, crypto_fetched()->sha256) <= 0)
		return crypto_error(ERR_INTERNAL, "making a CRL failed");
	uint8_t *der = NULL;
	int len = i2d_re_X509_CRL_tbs(crl, &der);
	return append_der(len, der, tbs);
}

// --- joining

static void der_header(struct buf *out, uint8_t tag, size_t n)
{
	buf_u8(out, tag);
	if (n < 0x80) {
		buf_u8(out, (uint8_t)n);
	} else if (n < 0x100) {
		buf_u8(out, 0x81);
		buf_u8(out, (uint8_t)n);
	} else if (n < 0x10000) {
		buf_u8(out, 0x82);
		buf_be16(out, (uint16_t)n);
	} else {
		buf_u8(out, 0x84);
		buf_be32(out, (uint32_t)n);
	}
}

static size_t der_header_size(size_t n)
{
	return n < 0x80 ? 2 : n < 0x100 ? 3 : n < 0x10000 ? 4 : 6;
}

struct err x509_assemble(const uint8_t *tbs, size_t tbs_len, const uint8_t *signature,
			 size_t signature_len, struct buf *der)
{
	static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
					       0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
	const uint8_t *at = signature;
	ENSURE(tbs_len > 0 && tbs_len < (4u << 20), ERR_USAGE, "nothing to assemble");
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)signature_len);
	ECDSA_SIG_free(sig);
	if (!sig || at != signature + signature_len)
		return crypto_error(ERR_USAGE, "not an ECDSA signature in DER");
	size_t bits = 1 + signature_len; // BIT STRING: number of unused bits, then the bytes
	size_t inner = tbs_len + sizeof ecdsa_sha256 + der_header_size(bits) + bits;
	der_header(der, 0x30, inner);
	buf_append(der, tbs, tbs_len);
	buf_append(der, ecdsa_sha256, sizeof ecdsa_sha256);
	der_header(der, 0x03, bits);
	buf_u8(der, 0);
	buf_append(der, signature, signature_len);
	return buf_check(der, "certificate");
}

struct err x509_issue(const struct x509_issue *want, const struct sign_key *authority,
		      struct buf *der)
{
	scoped(buf) struct buf tbs = {0};
	struct sign_signature signature;
	ENSURE(sign_key_public(authority)->algorithm == SIGN_P256, ERR_USAGE,
	       "certificates are signed with P-256 keys");
	TRY(x509_issue_prepare(want, &tbs, NULL));
	TRY(sign_make(authority, tbs.data, tbs.len, &signature));
	return x509_assemble(tbs.data, tbs.len, signature.bytes, signature.len, der);
}
