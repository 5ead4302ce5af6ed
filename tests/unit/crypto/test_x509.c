// SPDX-License-Identifier: Apache-2.0
#include "authority.h"

#include "lib/base/clock.h"

static struct authority ca;

static int make_authority(void **state)
{
	authority_make(&ca, "Test");
	return 0;
}

static int drop_authority(void **state)
{
	authority_clear(&ca);
	return 0;
}

static struct x509_chain chain_of(const struct buf *leaf)
{
	return (struct x509_chain){
		.der = {leaf->data, ca.issuing.data}, .len = {leaf->len, ca.issuing.len}, .n = 2};
}

static void test_device(void **state)
{
	scoped(buf) struct buf leaf = {0};
	struct sign_key *key = issue(&ca, X509_DEVICE, "r1", &leaf);
	struct x509_identity who;
	enum x509_refusal why;
	struct x509_trust *t = authority_trust(&ca);
	struct x509_chain chain = chain_of(&leaf);
	assert_good(x509_verify(t, &chain, X509_USE_CLIENT, clock_wall_ns(), &who, &why));
	assert_good(x509_verify(t, &chain, X509_USE_SERVER, clock_wall_ns(), &who, &why));
	assert_int_equal(why, X509_GOOD);
	assert_string_equal(who.device, "r1");
	assert_string_equal(who.role, "");
	assert_string_equal(who.subject, "r1");
	assert_string_equal(who.issuer, "Test issuing");
	assert_int_equal(strlen(who.serial), 32);
	assert_false(who.authority);
	uint8_t spki[32];
	hash_sha256(sign_key_public(key)->bytes, sign_key_public(key)->len, spki);
	assert_memory_equal(spki, who.spki, 32);
	hash_sha256(leaf.data, leaf.len, spki);
	assert_memory_equal(spki, who.fingerprint, 32);
	x509_trust_free(t);
	sign_key_free(key);
}

static void refused(struct x509_trust *t, const struct x509_chain *chain, enum x509_use use,
		    int64_t now, enum x509_refusal wanted, const char *words)
{
	enum x509_refusal why;
	assert_bad(ERR_AUTH, words, x509_verify(t, chain, use, now, NULL, &why));
	assert_int_equal(why, wanted);
}

static void test_refusals(void **state)
{
	scoped(buf) struct buf leaf = {0};
	struct sign_key *key = issue(&ca, X509_CLIENT, "administrator", &leaf);
	struct x509_trust *t = authority_trust(&ca), *other = x509_trust_new();
	struct authority stranger;
	authority_make(&stranger, "Test"); // same names, other keys
	assert_good(x509_trust_add(other, stranger.root.data, stranger.root.len));
	struct x509_chain chain = chain_of(&leaf), none = {.n = 0}, alone = chain;
	alone.n = 1;
	int64_t now = clock_wall_ns();
	assert_good(x509_verify(t, &chain, X509_USE_CLIENT, now, NULL, NULL));
	refused(t, &chain, X509_USE_SERVER, now, X509_MALFORMED, "purpose");
	refused(t, &chain, X509_USE_CLIENT, now + 8 * 86400 * NS_PER_S, X509_EXPIRED, "expired");
	refused(t, &chain, X509_USE_CLIENT, now - 86400 * NS_PER_S, X509_NOT_YET_VALID, "clocks");
	refused(t, &none, X509_USE_CLIENT, now, X509_NONE_GIVEN, "no certificate");
	refused(t, &alone, X509_USE_CLIENT, now, X509_UNKNOWN_AUTHORITY, "Test issuing");
	refused(other, &chain, X509_USE_CLIENT, now, X509_UNKNOWN_AUTHORITY, "trusted");
	x509_trust_free(other);
	x509_trust_free(t);
	authority_clear(&stranger);
	sign_key_free(key);
}

static void test_every_bit(void **state)
{
	scoped(buf) struct buf leaf = {0};
	struct sign_key *key = issue(&ca, X509_DEVICE, "r1", &leaf);
	struct x509_trust *t = authority_trust(&ca);
	struct x509_chain chain = chain_of(&leaf);
	int64_t now = clock_wall_ns();
	for (size_t bit = 0; bit < leaf.len * 8; bit++) {
		leaf.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		struct err e = x509_verify(t, &chain, X509_USE_ANY, now, NULL, NULL);
		assert_int_equal(e.code, ERR_AUTH);
		leaf.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < leaf.len; cut++) {
		chain.len[0] = cut;
		assert_bad(ERR_AUTH, NULL, x509_verify(t, &chain, X509_USE_ANY, now, NULL, NULL));
	}
	x509_trust_free(t);
	sign_key_free(key);
}

static bool is_named(void *ctx, const struct x509_identity *who)
{
	return strcmp(who->device, ctx) == 0;
}

static void test_revoked_by_callback(void **state)
{
	scoped(buf) struct buf a = {0}, b = {0};
	struct sign_key *ka = issue(&ca, X509_DEVICE, "r1", &a),
			*kb = issue(&ca, X509_DEVICE, "r2", &b);
	struct x509_trust *t = authority_trust(&ca);
	char name[] = "r1";
	x509_trust_on_revoked(t, is_named, name);
	struct x509_chain ca_ = chain_of(&a), cb = chain_of(&b);
	refused(t, &ca_, X509_USE_CLIENT, clock_wall_ns(), X509_IS_REVOKED, "revoked");
	assert_good(x509_verify(t, &cb, X509_USE_CLIENT, clock_wall_ns(), NULL, NULL));
	x509_trust_free(t);
	sign_key_free(ka);
	sign_key_free(kb);
}

static void make_crl(const struct sign_key *signer, const char *serial, struct buf *der)
{
	scoped(buf) struct buf tbs = {0};
	struct x509_revoked r = {.serial_len = 16, .time_ns = clock_wall_ns()};
	struct sign_signature s;
	assert_true(hash_unhex(serial, r.serial, 16));
	int64_t now = clock_wall_ns();
	assert_good(x509_crl_prepare(ca.issuing.data, ca.issuing.len, &r, 1, 7, now,
				     now + 3600 * NS_PER_S, &tbs));
	assert_good(sign_make(signer, tbs.data, tbs.len, &s));
	assert_good(x509_assemble(tbs.data, tbs.len, s.bytes, s.len, der));
}

static void test_crl(void **state)
{
	scoped(buf) struct buf a = {0}, b = {0}, crl = {0}, forged = {0};
	struct sign_key *ka = issue(&ca, X509_DEVICE, "r1", &a),
			*kb = issue(&ca, X509_DEVICE, "r2", &b);
	struct x509_trust *t = authority_trust(&ca);
	struct x509_identity who;
	struct x509_chain one = chain_of(&a), two = chain_of(&b);
	int64_t now = clock_wall_ns();
	assert_good(x509_verify(t, &one, X509_USE_CLIENT, now, &who, NULL));
	make_crl(ka, who.serial, &forged); // not the authority's key
	assert_good(x509_trust_set_crl(t, forged.data, forged.len));
	assert_good(x509_verify(t, &one, X509_USE_CLIENT, now, &who, NULL));
	make_crl(ca.issuing_key, who.serial, &crl);
	assert_good(x509_trust_set_crl(t, crl.data, crl.len));
	refused(t, &one, X509_USE_CLIENT, now, X509_IS_REVOKED, who.serial);
	refused(t, &one, X509_USE_CLIENT, now + 86400 * NS_PER_S, X509_IS_REVOKED, "revoked");
	assert_good(x509_verify(t, &two, X509_USE_CLIENT, now, NULL, NULL));
	crl.data[crl.len - 1] ^= 1;
	assert_bad(ERR_PEER, NULL, x509_trust_set_crl(t, crl.data, crl.len - 1));
	x509_trust_free(t);
	sign_key_free(ka);
	sign_key_free(kb);
}

static void test_csr(void **state)
{
	scoped(buf) struct buf der = {0};
	struct sign_key *key;
	struct x509_csr csr;
	assert_good(sign_key_generate(SIGN_P256, &key));
	assert_good(x509_csr_make(key, "r1", &der));
	assert_good(x509_csr_read(der.data, der.len, &csr));
	assert_memory_equal(csr.key.bytes, sign_key_public(key)->bytes, csr.key.len);
	assert_string_equal(csr.subject, "r1");
	for (size_t bit = 0; bit < der.len * 8; bit++) {
		der.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(x509_csr_read(der.data, der.len, &csr).code, ERR_PEER);
		der.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < der.len; cut++)
		assert_bad(ERR_PEER, NULL, x509_csr_read(der.data, cut, &csr));
	buf_u8(&der, 0);
	assert_bad(ERR_PEER, "after the end", x509_csr_read(der.data, der.len, &csr));
	assert_bad(ERR_USAGE, "letters", x509_csr_make(key, "r1/x", &der));
	sign_key_free(key);
}

static void test_issue_bounds(void **state)
{
	scoped(buf) struct buf der = {0};
	struct sign_key *key;
	assert_good(sign_key_generate(SIGN_P256, &key));
	int64_t now = clock_wall_ns();
	struct x509_issue want = {.profile = X509_DEVICE,
				  .name = "r1",
				  .key = sign_key_public(key),
				  .from_ns = now,
				  .until_ns = now + NS_PER_S,
				  .issuer = ca.issuing.data,
				  .issuer_len = ca.issuing.len};
	struct x509_issue bad = want;
	bad.name = "a b";
	assert_bad(ERR_USAGE, "\"a b\"", x509_issue(&bad, ca.issuing_key, &der));
	bad = want;
	bad.until_ns = now - NS_PER_S;
	assert_bad(ERR_USAGE, "after it begins", x509_issue(&bad, ca.issuing_key, &der));
	bad = want;
	bad.until_ns = now + 9000 * 86400 * NS_PER_S;
	assert_bad(ERR_USAGE, "outlive", x509_issue(&bad, ca.issuing_key, &der));
	bad = want;
	bad.issuer = NULL;
	assert_bad(ERR_USAGE, "issuer", x509_issue(&bad, ca.issuing_key, &der));
	bad = want;
	bad.hosts = (const char *const[]){"*/bad"};
	bad.n_hosts = 1;
	assert_bad(ERR_USAGE, "DNS name", x509_issue(&bad, ca.issuing_key, &der));
	assert_int_equal(der.len, 0);
	assert_bad(ERR_USAGE, "DER",
		   x509_assemble((const uint8_t *)"x", 1, (const uint8_t *)"y", 1, &der));
	sign_key_free(key);
}

static struct err count(void *ctx, const uint8_t *der, size_t n)
{
	struct buf *joined = ctx;
	buf_append(joined, der, n);
	return OK;
}

static void test_pem(void **state)
{
	scoped(buf) struct buf pem = {0}, joined = {0}, wanted = {0}, request = {0};
	assert_good(x509_to_pem(X509_CERTIFICATE, ca.issuing.data, ca.issuing.len, &pem));
	assert_good(x509_to_pem(X509_CERTIFICATE, ca.root.data, ca.root.len, &pem));
	assert_good(x509_from_pem((char *)pem.data, pem.len, count, &joined));
	buf_append(&wanted, ca.issuing.data, ca.issuing.len);
	buf_append(&wanted, ca.root.data, ca.root.len);
	assert_int_equal(joined.len, wanted.len);
	assert_memory_equal(joined.data, wanted.data, wanted.len);
	assert_bad(ERR_USAGE, "BEGIN", x509_from_pem("nothing", 7, count, &joined));
	assert_good(x509_to_pem(X509_REQUEST, (const uint8_t *)"x", 1, &request));
	assert_bad(ERR_USAGE, "CERTIFICATE REQUEST",
		   x509_from_pem((char *)request.data, request.len, count, &joined));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device),	     cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_every_bit),    cmocka_unit_test(test_revoked_by_callback),
		cmocka_unit_test(test_crl),	     cmocka_unit_test(test_csr),
		cmocka_unit_test(test_issue_bounds), cmocka_unit_test(test_pem),
	};
	return cmocka_run_group_tests(tests, make_authority, drop_authority);
}
