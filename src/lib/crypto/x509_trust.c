// SPDX-License-Identifier: Apache-2.0
// Whom to believe. OpenSSL builds and checks the chain (RFC 5280 section 6); revocation is asked
// afterwards, here, for two reasons: a callback must be able to answer from memory, and a CRL that
// is past its nextUpdate must go on revoking what it lists without darkening everyone else (devices
// hold certificates of seven days: what a stale CRL lacks expires soon).

#include "lib/crypto/hash.h"
#include "lib/crypto/x509_internal.h"

#include "lib/base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { CRLS_MAX = 16, CRL_DER_MAX = 4 << 20 };

struct x509_trust {
	X509_STORE *store;
	X509_CRL *crls[CRLS_MAX];
	size_t n_crls, n_roots;
	x509_revoked_fn revoked;
	void *revoked_ctx;
};

OPENSSL_SCOPED(X509_STORE)
OPENSSL_SCOPED(X509_STORE_CTX)

struct x509_trust *x509_trust_new(void)
{
	crypto_fetched();
	struct x509_trust *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->store = X509_STORE_new();
	if (!t->store) {
		free(t);
		return NULL;
	}
	return t;
}

void x509_trust_free(struct x509_trust *t)
{
	if (!t)
		return;
	X509_STORE_free(t->store);
	for (size_t i = 0; i < t->n_crls; i++)
		X509_CRL_free(t->crls[i]);
	free(t);
}

struct err x509_trust_add(struct x509_trust *t, const uint8_t *root_der, size_t n)
{
	openssl(X509) X509 *root = NULL;
	TRY(err_within(x509_parse(root_der, n, &root), "authority"));
	ENSURE(X509_check_ca(root) != 0, ERR_USAGE,
	       "the certificate given as an authority may not sign certificates (basicConstraints "
	       "CA:TRUE is missing)");
	if (X509_STORE_add_cert(t->store, root) != 1)
		return crypto_error(ERR_LIMIT, "an authority could not be added");
	t->n_roots++;
	return OK;
}

static struct err add_each(void *ctx, const uint8_t *der, size_t n)
{
	return x509_trust_add(ctx, der, n);
}

struct err x509_trust_add_pem(struct x509_trust *t, const char *pem, size_t n)
{
	return x509_from_pem(pem, n, add_each, t);
}

struct err x509_trust_set_crl(struct x509_trust *t, const uint8_t *der, size_t n)
{
	ENSURE(n <= CRL_DER_MAX, ERR_LIMIT, "a CRL of %zu bytes; at most %d", n, CRL_DER_MAX);
	const uint8_t *at = der;
	openssl(X509_CRL) X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)n);
	if (!crl || at != der + n)
		return crypto_error(ERR_PEER, "not a CRL in DER, or bytes after its end");
	size_t i = 0;
	while (i < t->n_crls &&
	       X509_NAME_cmp(X509_CRL_get_issuer(t->crls[i]), X509_CRL_get_issuer(crl)) != 0)
		i++;
	ENSURE(i < CRLS_MAX, ERR_LIMIT, "more than %d authorities with CRLs", CRLS_MAX);
	if (i == t->n_crls)
		t->n_crls++;
	else
		X509_CRL_free(t->crls[i]);
	t->crls[i] = crl;
	crl = NULL;
	return OK;
}

void x509_trust_on_revoked(struct x509_trust *t, x509_revoked_fn fn, void *ctx)
{
	t->revoked = fn;
	t->revoked_ctx = ctx;
}

const char *x509_refusal_name(enum x509_refusal why)
{
	static const char *const names[] = {
		[X509_GOOD] = "good",
		[X509_NONE_GIVEN] = "certificate-missing",
		[X509_UNKNOWN_AUTHORITY] = "certificate-unknown-authority",
		[X509_EXPIRED] = "certificate-expired",
		[X509_NOT_YET_VALID] = "certificate-not-yet-valid",
		[X509_IS_REVOKED] = "certificate-revoked",
		[X509_WRONG_NAME] = "name-mismatch",
		[X509_MALFORMED] = "certificate-malformed",
	};
	return (size_t)why < sizeof names / sizeof *names ? names[why] : "unknown";
}

static bool in_crl(const struct x509_trust *t, X509 *cert, X509 *issuer)
{
	for (size_t i = 0; i < t->n_crls; i++) {
		X509_REVOKED *entry = NULL;
		X509_CRL *crl = t->crls[i];
		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(cert)) != 0)
			continue;
		if (X509_CRL_get0_by_cert(crl, &entry, cert) == 0)
			continue;
		// Asked only when it lists the certificate: a forged CRL cannot revoke.
		if (X509_CRL_verify(crl, X509_get0_pubkey(issuer)) == 1)
			return true;
	}
	return false;
}

// `chain`: leaf first, as verified, anchor last.
static bool any_revoked(const struct x509_trust *t, const STACK_OF(X509) * chain)
{
	int n = sk_X509_num(chain);
	for (int i = 0; i < n; i++) {
		X509 *cert = sk_X509_value(chain, i);
		X509 *issuer = sk_X509_value(chain, i + 1 < n ? i + 1 : i);
		struct x509_identity who;
		if (in_crl(t, cert, issuer))
			return true;
		if (!t->revoked || (i + 1 == n && n > 1))
			continue; // an anchor is removed, not revoked
		struct err e = x509_identity_of(cert, &who);
		if (e.code != ERR_NONE || t->revoked(t->revoked_ctx, &who))
			return true;
	}
	return false;
}

static enum x509_refusal refusal_of(int code)
{
	switch (code) {
	case X509_V_OK:
		return X509_GOOD;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return X509_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return X509_NOT_YET_VALID;
	case X509_V_ERR_CERT_REVOKED:
		return X509_IS_REVOKED;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return X509_UNKNOWN_AUTHORITY;
	default:
		return X509_MALFORMED;
	}
}

static struct err refused(enum x509_refusal why, int code, const struct x509_identity *who,
			  int64_t now_ns)
{
	char at[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];
	const char *name = who->subject[0] ? who->subject : "(unnamed)";
	switch (why) {
	case X509_EXPIRED:
		return err_make(ERR_AUTH,
				"the certificate of %s, or one above it, has expired (its own "
				"until %s, now %s): renew it, or check the clocks",
				name, clock_format(who->until_ns, at), clock_format(now_ns, now));
	case X509_NOT_YET_VALID:
		return err_make(ERR_AUTH,
				"the certificate of %s is not valid before %s, now is %s: "
				"check the clocks",
				name, clock_format(who->from_ns, at), clock_format(now_ns, now));
	case X509_IS_REVOKED:
		return err_make(ERR_AUTH, "the certificate of %s (serial %s) is revoked", name,
				who->serial);
	case X509_UNKNOWN_AUTHORITY:
		return err_make(ERR_AUTH,
				"the certificate of %s was issued by \"%s\", which is not "
				"an authority that is trusted here",
				name, who->issuer);
	default:
		return err_make(ERR_AUTH, "the certificate of %s cannot be used: %s", name,
				X509_verify_cert_error_string(code));
	}
}

static int purpose_of(enum x509_use use)
{
	return use == X509_USE_SERVER	? X509_PURPOSE_SSL_SERVER
	       : use == X509_USE_CLIENT ? X509_PURPOSE_SSL_CLIENT
					: X509_PURPOSE_ANY;
}

// Builds and checks the chain in `ctx`; the result is in *code.
static struct err chain_check(X509_STORE_CTX *ctx, X509_STORE *store, X509 *leaf,
			      STACK_OF(X509) * between, enum x509_use use, int64_t now_ns,
			      int *code)
{
	if (X509_STORE_CTX_init(ctx, store, leaf, between) != 1 ||
	    (use != X509_USE_ANY && X509_STORE_CTX_set_purpose(ctx, purpose_of(use)) != 1))
		return crypto_error(ERR_INTERNAL, "a chain could not be checked");
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, (time_t)(now_ns / NS_PER_S));
	X509_VERIFY_PARAM_set_depth(param, X509_CHAIN_MAX);
	X509_VERIFY_PARAM_set_auth_level(param, 2); // 112 bits and more; no SHA-1
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
	int good = X509_verify_cert(ctx);
	*code = X509_STORE_CTX_get_error(ctx);
	if (good != 1 && *code == X509_V_OK)
		*code = X509_V_ERR_UNSPECIFIED;
	return OK;
}

struct err x509_verify_parsed(struct x509_trust *t, X509 *anchor, X509 *leaf,
			      STACK_OF(X509) * between, enum x509_use use, int64_t now_ns,
			      struct x509_identity *who, enum x509_refusal *why, int *code)
{
	*why = X509_MALFORMED;
	*code = X509_V_ERR_CERT_REJECTED;
	struct err named = x509_identity_of(leaf, who);
	if (named.code != ERR_NONE)
		return err_make(ERR_AUTH, "%s", named.text);
	openssl(X509_STORE) X509_STORE *pinned = NULL;
	if (anchor) {
		pinned = X509_STORE_new();
		if (!pinned || X509_STORE_add_cert(pinned, anchor) != 1)
			return crypto_error(ERR_LIMIT, "no memory to check a chain");
	}
	openssl(X509_STORE_CTX) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	ENSURE(ctx && (anchor || t), ERR_INTERNAL, "a chain could not be checked");
	TRY(chain_check(ctx, anchor ? pinned : t->store, leaf, between, use, now_ns, code));
	if (*code == X509_V_OK && t && any_revoked(t, X509_STORE_CTX_get0_chain(ctx)))
		*code = X509_V_ERR_CERT_REVOKED;
	*why = refusal_of(*code);
	if (*why == X509_GOOD)
		return OK;
	struct err e = refused(*why, *code, who, now_ns);
	err_ignore(crypto_error(ERR_AUTH, "queue emptied"));
	return e;
}

struct err x509_verify(struct x509_trust *t, const struct x509_chain *chain, enum x509_use use,
		       int64_t now_ns, struct x509_identity *who, enum x509_refusal *why)
{
	struct x509_identity unwanted_who;
	enum x509_refusal unwanted_why;
	int code;
	who = who ? who : &unwanted_who;
	why = why ? why : &unwanted_why;
	memset(who, 0, sizeof *who);
	*why = X509_NONE_GIVEN;
	ENSURE(chain->n > 0, ERR_AUTH, "no certificate was given");
	*why = X509_MALFORMED;
	ENSURE(chain->n <= X509_CHAIN_MAX, ERR_AUTH, "a chain of %zu certificates; at most %d",
	       chain->n, X509_CHAIN_MAX);
	openssl(X509) X509 *leaf = NULL;
	STACK_OF(X509) *between = sk_X509_new_null();
	struct err e = between ? x509_parse(chain->der[0], chain->len[0], &leaf)
			       : err_make(ERR_LIMIT, "no memory to check a chain");
	for (size_t i = 1; i < chain->n && e.code == ERR_NONE; i++) {
		X509 *next = NULL;
		e = x509_parse(chain->der[i], chain->len[i], &next);
		if (e.code == ERR_NONE && !sk_X509_push(between, next)) {
			X509_free(next);
			e = err_make(ERR_LIMIT, "no memory to check a chain");
		}
	}
	if (e.code == ERR_NONE)
		e = x509_verify_parsed(t, NULL, leaf, between, use, now_ns, who, why, &code);
	else if (e.code == ERR_PEER)
		e = err_make(ERR_AUTH, "%s", e.text);
	x509_pop_free(between);
	return e;
}
