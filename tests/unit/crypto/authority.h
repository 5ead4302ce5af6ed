// SPDX-License-Identifier: Apache-2.0
// A small authority for tests: root, issuing, and certificates of seven days.
#pragma once

#include "lib/base/clock.h"
#include "lib/crypto/x509.h"
#include "test_crypto.h"

struct authority {
	struct sign_key *root_key, *issuing_key;
	struct buf root, issuing;
};

static inline struct sign_key *issue_with(const struct authority *ca, enum x509_profile profile,
					  const char *name, int64_t from_ns, int64_t until_ns,
					  struct buf *der)
{
	struct sign_key *key;
	assert_good(sign_key_generate(SIGN_P256, &key));
	const char *const hosts[] = {"twin.example", "127.0.0.1", "::1"};
	struct x509_issue want = {.profile = profile,
				  .name = name,
				  .key = sign_key_public(key),
				  .hosts = hosts,
				  .n_hosts = profile == X509_SERVER ? 3 : 0,
				  .from_ns = from_ns,
				  .until_ns = until_ns,
				  .issuer = ca->issuing.data,
				  .issuer_len = ca->issuing.len};
	assert_good(x509_issue(&want, ca->issuing_key, der));
	return key;
}

static inline struct sign_key *issue(const struct authority *ca, enum x509_profile profile,
				     const char *name, struct buf *der)
{
	int64_t now = clock_wall_ns();
	return issue_with(ca, profile, name, now - 300 * NS_PER_S, now + 7 * 86400 * NS_PER_S, der);
}

static inline void authority_make(struct authority *ca, const char *name)
{
	char issuing[64];
	memset(ca, 0, sizeof *ca);
	int64_t now = clock_wall_ns();
	assert_good(sign_key_generate(SIGN_P256, &ca->root_key));
	assert_good(sign_key_generate(SIGN_P256, &ca->issuing_key));
	struct x509_issue want = {.profile = X509_ROOT,
				  .name = name,
				  .key = sign_key_public(ca->root_key),
				  .from_ns = now - 3600 * NS_PER_S,
				  .until_ns = now + 3650 * 86400 * NS_PER_S};
	assert_good(x509_issue(&want, ca->root_key, &ca->root));
	snprintf(issuing, sizeof issuing, "%s issuing", name);
	want.profile = X509_ISSUING;
	want.name = issuing;
	want.key = sign_key_public(ca->issuing_key);
	want.issuer = ca->root.data;
	want.issuer_len = ca->root.len;
	assert_good(x509_issue(&want, ca->root_key, &ca->issuing));
}

static inline void authority_clear(struct authority *ca)
{
	sign_key_free(ca->root_key);
	sign_key_free(ca->issuing_key);
	buf_clear(&ca->root);
	buf_clear(&ca->issuing);
}

static inline struct x509_trust *authority_trust(const struct authority *ca)
{
	struct x509_trust *t = x509_trust_new();
	assert_non_null(t);
	assert_good(x509_trust_add(t, ca->root.data, ca->root.len));
	return t;
}
