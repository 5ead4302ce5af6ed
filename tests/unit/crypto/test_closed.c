// SPDX-License-Identifier: Apache-2.0
// After crypto_start nothing here opens a file or a socket: in a process with a closed sandbox the
// attempt would be its end. A child that kills itself on such calls does one of everything.
#include "authority.h"

#include "lib/crypto/aead.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/password.h"
#include "lib/crypto/random.h"
#include "lib/crypto/tls.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <seccomp.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(struct err e)
{
	if (e.code != ERR_NONE) {
		print_error("%s\n", e.text);
		_exit(1);
	}
}

static void close_down(void)
{
	static const char *const forbidden[] = {"open",	   "openat", "openat2", "socket",
						"connect", "execve", "stat",	"newfstatat"};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
		int call = seccomp_syscall_resolve_name(forbidden[i]);
		if (call >= 0 && seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, 0) != 0)
			_exit(2);
	}
	if (seccomp_load(filter) != 0)
		_exit(2);
	seccomp_release(filter);
}

static void handshake(struct authority *ca, const struct sign_key *key, const struct buf *leaf)
{
	struct x509_trust *trust = authority_trust(ca);
	struct x509_chain chain = {
		.der = {leaf->data, ca->issuing.data}, .len = {leaf->len, ca->issuing.len}, .n = 2};
	struct tls_context *server, *client;
	must(tls_context_new(&(struct tls_conf){.side = TLS_SERVER}, &server));
	must(tls_context_set_identity(server, &chain, key));
	must(tls_context_new(&(struct tls_conf){.side = TLS_CLIENT, .trust = trust}, &client));
	SSL *s, *c;
	must(tls_connection_new(server, NULL, &s));
	must(tls_connection_new(client, &(struct tls_expect){.role = "telemetry"}, &c));
	BIO *a, *b;
	BIO_new_bio_pair(&a, 65536, &b, 65536);
	SSL_set_bio(s, a, a);
	SSL_set_bio(c, b, b);
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(c);
		SSL_do_handshake(s);
	}
	if (!SSL_is_init_finished(s) || !SSL_is_init_finished(c))
		_exit(3);
	SSL_free(s);
	SSL_free(c);
	tls_context_free(server);
	tls_context_free(client);
	x509_trust_free(trust);
}

static void everything(void)
{
	struct authority ca;
	struct buf leaf = {0};
	authority_make(&ca, "Test");
	struct sign_key *key = issue(&ca, X509_SERVER, "telemetry", &leaf), *again;
	handshake(&ca, key, &leaf);
	char hash[PASSWORD_HASH_MAX];
	must(password_hash("password", 8, hash));
	must(password_verify(hash, "password", 8));
	struct secret *s, *dek;
	must(password_generate(&s));
	secret_free(s);
	must(sign_key_to_pem(key, &s));
	must(sign_key_from_pem(s, &again));
	secret_free(s);
	must(random_secret(32, &dek));
	struct seal_segment *segment;
	must(seal_segment_create(dek, "test v1", "", 0, &segment));
	seal_segment_close(segment);
	uint8_t wrapped[KEYWRAP_MAX];
	size_t n;
	must(keywrap_wrap(dek, dek, wrapped, &n));
	secret_free(dek);
	sign_key_free(key);
	sign_key_free(again);
	buf_clear(&leaf);
	authority_clear(&ca);
}

static int in_child(void (*work)(void))
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		must(crypto_start());
		close_down();
		work();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void open_something(void)
{
	close(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static void test_closed(void **state)
{
	int status = in_child(open_something); // the fence holds ...
	assert_true(WIFSIGNALED(status));
	status = in_child(everything); // ... and nobody runs into it
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_closed)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
