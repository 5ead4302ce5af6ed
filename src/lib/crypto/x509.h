// SPDX-License-Identifier: Apache-2.0
// A small certificate authority and its verifier (RFC 5280), P-256 with SHA-256 throughout.
// Who a certificate speaks for is a SAN URI: urn:gemel:device:NAME or urn:gemel:role:ROLE, exactly
// one of the two; servers also carry DNS names and addresses.
//
// The authority's private key is in another process: issuing has two steps.
//     x509_issue_prepare -> the TBSCertificate in DER -> signed elsewhere (ECDSA P-256 SHA-256, DER
//     signature) -> x509_assemble -> the certificate. CRLs likewise.
// X.2011 8.2.1-1, 9.2-source. Used by management, keys, agent, telemetry, control, northbound, CLI.
#pragma once

#include "lib/base/mem.h"
#include "lib/crypto/sign.h"

struct x509_st; // OpenSSL's X509

enum {
	X509_NAME_MAX = 64, // a device or role: letters, digits, '.', '_', '-'
	X509_SERIAL = 16,
	X509_CHAIN_MAX = 8,
	X509_DER_MAX = 8192, // a certificate, a request
	X509_HOSTS_MAX = 8,
};

enum x509_profile {
	X509_ROOT,    // authority, path length 1
	X509_ISSUING, // authority, path length 0
	X509_SERVER,  // role: telemetry, enrolment, control, northbound, witness ...: TLS server
	X509_CLIENT,  // role: TLS client (telemetry dialling out, an administrator, an application)
	X509_PEER,    // role: TLS server and client
	X509_DEVICE,  // device: TLS client (tunnel) and server (dial-in gNMI)
};

// --- identity

struct x509_identity {
	char device[X509_NAME_MAX + 1]; // "" unless urn:gemel:device:
	char role[X509_NAME_MAX + 1];	// "" unless urn:gemel:role:
	char subject[128];		// common name, control characters replaced; for people only
	char issuer[128];
	char serial[2 * 20 + 1]; // hex
	uint8_t fingerprint[32]; // SHA-256 of the certificate
	uint8_t spki[32];	 // SHA-256 of its SubjectPublicKeyInfo
	int64_t from_ns, until_ns;
	bool authority;
};
// Reads one certificate strictly (DER, nothing after it, at most X509_DER_MAX). ERR_PEER.
// No trust is implied. More than one urn:gemel: name, or a malformed one, is ERR_PEER.
MUST_USE struct err x509_identify(const uint8_t *der, size_t n, struct x509_identity *out);
// Letters, digits, '.', '_', '-', 1 to 64, first a letter or digit. ERR_USAGE says what is allowed.
MUST_USE struct err x509_name_check(const char *name);

// --- requests (PKCS#10, RFC 2986)

MUST_USE struct err x509_csr_make(const struct sign_key *key, const char *name, struct buf *der);
struct x509_csr {
	struct sign_public key;		 // P-256 or Ed25519
	uint8_t spki[32];		 // SHA-256 of its SubjectPublicKeyInfo
	char subject[X509_NAME_MAX + 1]; // its common name: a wish, decides nothing
};
// Strict: DER, nothing after it, its own signature good, key allowed. ERR_PEER.
MUST_USE struct err x509_csr_read(const uint8_t *der, size_t n, struct x509_csr *out);

// --- issuing

struct x509_issue {
	enum x509_profile profile;
	const char *name;	       // device, role, or the authority's common name
	const struct sign_public *key; // subject's public key
	const char *const *hosts;      // DNS names or numeric addresses; servers and devices
	size_t n_hosts;
	int64_t from_ns, until_ns; // whole seconds are kept
	const uint8_t *issuer;	   // DER of the issuing certificate; NULL: self-signed root
	size_t issuer_len;
};
// `tbs`: the bytes to sign. The serial is 16 random bytes; `serial_hex` (33 bytes) may be NULL.
MUST_USE struct err x509_issue_prepare(const struct x509_issue *want, struct buf *tbs,
				       char *serial_hex);
// Joins TBS (of a certificate or a CRL) and a DER ECDSA signature.
MUST_USE struct err x509_assemble(const uint8_t *tbs, size_t tbs_len, const uint8_t *signature,
				  size_t signature_len, struct buf *der);
// Both steps with a key at hand (P-256).
MUST_USE struct err x509_issue(const struct x509_issue *want, const struct sign_key *authority,
			       struct buf *der);

struct x509_revoked {
	uint8_t serial[20];
	size_t serial_len;
	int64_t time_ns;
};
// A CRL (RFC 5280 section 5); then x509_assemble.
MUST_USE struct err x509_crl_prepare(const uint8_t *issuer, size_t issuer_len,
				     const struct x509_revoked *revoked, size_t n, uint64_t number,
				     int64_t from_ns, int64_t until_ns, struct buf *tbs);

// --- text form

enum x509_kind { X509_CERTIFICATE, X509_CRL_KIND, X509_REQUEST };
MUST_USE struct err x509_to_pem(enum x509_kind kind, const uint8_t *der, size_t n,
				struct buf *pem); // appends
// Calls `each` for each certificate in the text, in order; other blocks are ERR_USAGE.
MUST_USE struct err x509_from_pem(const char *pem, size_t n,
				  struct err (*each)(void *ctx, const uint8_t *der, size_t len),
				  void *ctx);

// --- trust

// Why a chain was refused: the stable words of docs/contracts.md, for records and answers.
enum x509_refusal {
	X509_GOOD,
	X509_NONE_GIVEN,	// "certificate-missing"
	X509_UNKNOWN_AUTHORITY, // "certificate-unknown-authority"
	X509_EXPIRED,		// "certificate-expired"
	X509_NOT_YET_VALID,	// "certificate-not-yet-valid"
	X509_IS_REVOKED,	// "certificate-revoked"
	X509_WRONG_NAME,	// "name-mismatch"
	X509_MALFORMED,		// "certificate-malformed": broken, wrong use, weak key
};
const char *x509_refusal_name(enum x509_refusal why);

struct x509_trust; // authorities and CRLs; opaque; not shared between threads
typedef bool (*x509_revoked_fn)(void *ctx, const struct x509_identity *who); // true: revoked
struct x509_trust *x509_trust_new(void);				     // NULL: out of memory
void x509_trust_free(struct x509_trust *t); // NULL is fine; contexts made from it keep their own
MUST_USE struct err x509_trust_add(struct x509_trust *t, const uint8_t *root_der, size_t n);
MUST_USE struct err x509_trust_add_pem(struct x509_trust *t, const char *pem, size_t n);
// Replaces an older CRL of the same issuer; its signature is checked when a chain is.
MUST_USE struct err x509_trust_set_crl(struct x509_trust *t, const uint8_t *der, size_t n);
// Asked for each certificate below the root.
void x509_trust_on_revoked(struct x509_trust *t, x509_revoked_fn fn, void *ctx);

enum x509_use { X509_USE_ANY, X509_USE_SERVER, X509_USE_CLIENT };
struct x509_chain { // leaf first; the bytes are the caller's
	const uint8_t *der[X509_CHAIN_MAX];
	size_t len[X509_CHAIN_MAX];
	size_t n;
};
// Verifies leaf to a trusted root at `now_ns`; fills `who` (also on refusal, as far as read).
// ERR_AUTH with *why set. `why` and `who` may be NULL.
MUST_USE struct err x509_verify(struct x509_trust *t, const struct x509_chain *chain,
				enum x509_use use, int64_t now_ns, struct x509_identity *who,
				enum x509_refusal *why);
