// SPDX-License-Identifier: Apache-2.0
// Programs that we did not write read what we make: openssl with -x509_strict, and GnuTLS's
// certtool.
#include "authority.h"
#include "swtpm.h"

static struct swtpm place; // only its folder

static void save(enum x509_kind kind, const struct buf *der, const char *name)
{
	scoped(buf) struct buf pem = {0};
	assert_good(x509_to_pem(kind, der->data, der->len, &pem));
	swtpm_file(&place, name, buf_text(&pem));
}

static int setup(void **state)
{
	scoped(buf) struct buf device = {0}, server = {0}, csr = {0}, tbs = {0}, crl = {0};
	struct authority ca;
	struct x509_identity who;
	strcpy(place.folder, "/tmp/gemel-interop-XXXXXX");
	assert_non_null(mkdtemp(place.folder));
	authority_make(&ca, "Test");
	struct sign_key *key = issue(&ca, X509_DEVICE, "r1", &device);
	struct sign_key *server_key = issue(&ca, X509_SERVER, "telemetry", &server);
	assert_good(x509_csr_make(key, "r1", &csr));
	assert_good(x509_identify(device.data, device.len, &who));
	struct x509_revoked r = {.serial_len = 16, .time_ns = clock_wall_ns()};
	assert_true(hash_unhex(who.serial, r.serial, 16));
	int64_t now = clock_wall_ns();
	struct sign_signature s;
	assert_good(x509_crl_prepare(ca.issuing.data, ca.issuing.len, &r, 1, 1, now - NS_PER_S,
				     now + 86400 * NS_PER_S, &tbs));
	assert_good(sign_make(ca.issuing_key, tbs.data, tbs.len, &s));
	assert_good(x509_assemble(tbs.data, tbs.len, s.bytes, s.len, &crl));
	save(X509_CERTIFICATE, &ca.root, "root");
	save(X509_CERTIFICATE, &ca.issuing, "issuing");
	save(X509_CERTIFICATE, &device, "device");
	save(X509_CERTIFICATE, &server, "server");
	save(X509_REQUEST, &csr, "csr");
	save(X509_CRL_KIND, &crl, "crl");
	sign_key_free(key);
	sign_key_free(server_key);
	authority_clear(&ca);
	return chdir(place.folder);
}

static int teardown(void **state)
{
	swtpm_drop(&place);
	return 0;
}

static int run(const char *const *argv)
{
	int status;
	pid_t pid = swtpm_spawn(argv, NULL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 127); // 127: not installed
	return WEXITSTATUS(status);
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void test_openssl(void **state)
{
	assert_int_equal(RUN("openssl", "verify", "-x509_strict", "-purpose", "sslclient",
			     "-CAfile", "root", "-untrusted", "issuing", "device"),
			 0);
	assert_int_equal(RUN("openssl", "verify", "-x509_strict", "-purpose", "sslserver",
			     "-verify_hostname", "twin.example", "-CAfile", "root", "-untrusted",
			     "issuing", "server"),
			 0);
	assert_int_not_equal(RUN("openssl", "verify", "-purpose", "sslclient", "-CAfile", "root",
				 "-untrusted", "issuing", "server"),
			     0);
	assert_int_not_equal(RUN("openssl", "verify", "-crl_check", "-CRLfile", "crl", "-CAfile",
				 "root", "-untrusted", "issuing", "device"),
			     0);
	assert_int_equal(RUN("openssl", "verify", "-crl_check", "-CRLfile", "crl", "-CAfile",
			     "root", "-untrusted", "issuing", "server"),
			 0);
	assert_int_equal(RUN("openssl", "req", "-in", "csr", "-verify", "-noout"), 0);
}

static void test_gnutls(void **state)
{
	scoped(buf) struct buf chain = {0};
	swtpm_text(&place, "device", &chain);
	swtpm_text(&place, "issuing", &chain);
	swtpm_text(&place, "root", &chain);
	swtpm_file(&place, "chain", buf_text(&chain));
	assert_int_equal(
		RUN("certtool", "--verify", "--load-ca-certificate", "root", "--infile", "chain"),
		0);
	assert_int_equal(RUN("certtool", "--verify-crl", "--load-ca-certificate", "issuing",
			     "--infile", "crl"),
			 0);
	assert_int_not_equal(
		RUN("certtool", "--verify-crl", "--load-ca-certificate", "root", "--infile", "crl"),
		0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_openssl),
					   cmocka_unit_test(test_gnutls)};
	return cmocka_run_group_tests(tests, setup, teardown);
}
