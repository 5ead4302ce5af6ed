// SPDX-License-Identifier: Apache-2.0
// The control process with a management of the test's own: it asks for its certificate, opens its
// listener when it has one, and refuses each call after mutual TLS, and strangers before it.

#include "authority.h"

#include "control/control.h"
#include "lib/gnmi/grpc.h"
#include "lib/ipc/messages.pb-c.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct authority ca, other;
static struct process p;
static struct ipc_channel *management;
static unsigned asked;
static bool refuse_it;

// --- management

static struct err on_asked(void *ctx, const struct ipc_message *m)
{
	scoped(arena) struct arena *a = arena_new(1 << 20);
	scoped(buf) struct buf leaf = {0};
	struct err e = OK;
	struct x509_csr csr;
	assert_int_equal(m->type, IPC_CERT_REQUEST);
	Ipc__CertRequest *r = IPC_UNPACK(cert_request, m, a, &e);
	assert_non_null(r);
	assert_string_equal(r->role, "control");
	assert_good(x509_csr_read(r->csr.data, r->csr.len, &csr));
	asked++;
	Ipc__CertIssued answer = IPC__CERT_ISSUED__INIT;
	answer.id = r->id;
	if (refuse_it) {
		answer.error = (char *)(uintptr_t) "not yet";
		return ipc_send_pb(management, IPC_CERT_ISSUED, &answer.base);
	}
	const char *const hosts[] = {"127.0.0.1"};
	const struct x509_issue want = {.profile = X509_PEER,
					.name = r->role,
					.key = &csr.key,
					.hosts = hosts,
					.n_hosts = 1,
					.from_ns = clock_wall_ns() - 60 * NS_PER_S,
					.until_ns = clock_wall_ns() + 86400 * NS_PER_S,
					.issuer = ca.issuing.data,
					.issuer_len = ca.issuing.len};
	assert_good(x509_issue(&want, ca.issuing_key, &leaf));
	ProtobufCBinaryData chain[] = {{leaf.len, leaf.data}, {ca.issuing.len, ca.issuing.data}};
	answer.chain = chain;
	answer.n_chain = 2;
	answer.root = (ProtobufCBinaryData){ca.root.len, ca.root.data};
	return ipc_send_pb(management, IPC_CERT_ISSUED, &answer.base);
}

static struct err to_control(void *ctx, const struct ipc_message *m)
{
	arena_reset(p.scratch);
	for (size_t i = 0; i < control_part.n_handlers; i++)
		if (control_part.handlers[i].type == m->type)
			return control_part.handlers[i].handle(&p, m);
	return err_make(ERR_INTERNAL, "no handler");
}

static void on_close(void *ctx, enum process_id peer, struct err why)
{
	fail_msg("%s", why.text);
}

static const struct ipc_events asks = {on_asked, NULL, on_close};
static const struct ipc_events hears = {to_control, NULL, on_close};

// --- a client

static struct {
	bool done, ended;
	enum grpc_status status;
	char text[256];
} call;

static void call_end(void *ctx, struct grpc_call *c, enum grpc_status status, const char *text)
{
	call.done = true;
	call.status = status;
	snprintf(call.text, sizeof call.text, "%s", text);
}

static void conn_end(void *ctx, struct grpc_conn *c, struct err why)
{
	call.ended = true;
}

static const struct grpc_handlers handlers = {.on_end = call_end};
static const struct grpc_conn_events conn_events = {.on_end = conn_end};

static void turn_until(const bool *done)
{
	for (int i = 0; i < 20000 && !*done; i++) {
		event_base_loopexit(p.base, &(struct timeval){0, 1000});
		event_base_dispatch(p.base);
	}
	assert_true(*done);
}

// One call as `who`, under the authority `by`; NULL: without a certificate.
static void ask(const char *path, struct authority *by, const char *who,
		const struct sockaddr_in *at)
{
	static const char *const alpn[] = {"h2", NULL};
	scoped(buf) struct buf leaf = {0};
	struct x509_trust *trust = authority_trust(&ca);
	struct tls_context *tls;
	struct tls_conf conf = {.side = TLS_CLIENT, .trust = trust, .alpn = alpn};
	SSL *ssl;
	struct transport *t;
	struct grpc_conn *conn;
	struct grpc_call *c;
	memset(&call, 0, sizeof call);
	assert_good(tls_context_new(&conf, &tls));
	if (by) {
		struct sign_key *key = issue(by, X509_DEVICE, who, &leaf);
		struct x509_chain chain = {
			{leaf.data, by->issuing.data}, {leaf.len, by->issuing.len}, 2};
		assert_good(tls_context_set_identity(tls, &chain, key));
		sign_key_free(key);
	}
	assert_good(tls_connection_new(tls, &(struct tls_expect){.role = "control"}, &ssl));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)at, sizeof *at), 0);
	assert_good(transport_tls(p.base, fd, ssl, false, &t));
	assert_good(grpc_client_new(t, NULL, &conn_events, NULL, &conn));
	assert_good(grpc_call_unary(conn, path, "", 0, &handlers, NULL, 0, &c));
	turn_until(&call.done);
	if (!call.ended)
		grpc_conn_close(conn);
	tls_context_free(tls);
	x509_trust_free(trust);
}

static void test_control(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	int fds[2], door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(door, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(door, 10), 0);
	assert_int_equal(getsockname(door, (struct sockaddr *)&at, &len), 0);
	p = (struct process){.id = PROCESS_CONTROL,
			     .base = event_base_new(),
			     .state_dir = -1,
			     .scratch = arena_new(1 << 20),
			     .running = true};
	assert_good(control_part.start(&p));
	int wrong = dup(door);
	struct err e = control_part.listener(&p, "api", wrong);
	assert_int_equal(e.code, ERR_PEER);
	assert_good(control_part.listener(&p, "control", door));
	assert_good(control_part.ready(&p));
	const struct control *c = p.self;

	// Refused at first: it asks again, and its door stays shut.
	refuse_it = true;
	assert_good(ipc_pair(fds));
	assert_good(ipc_open(&management, p.base, fds[0], PROCESS_MANAGEMENT, PROCESS_CONTROL,
			     &asks, NULL));
	assert_good(ipc_open(&p.peers[PROCESS_MANAGEMENT], p.base, fds[1], PROCESS_CONTROL,
			     PROCESS_MANAGEMENT, &hears, NULL));
	ipc_set_running(management, true);
	ipc_set_running(p.peers[PROCESS_MANAGEMENT], true);
	control_part.peer_up(&p, PROCESS_MANAGEMENT);
	for (int i = 0; i < 20000 && asked < 1; i++)
		event_base_loop(p.base, EVLOOP_ONCE);
	assert_null(c->door);
	refuse_it = false;
	for (int i = 0; i < 20000 && !c->door; i++)
		event_base_loop(p.base, EVLOOP_ONCE);
	assert_non_null(c->door);
	assert_true(asked >= 2);

	ask("/gnmi.gNMI/Set", &ca, "r1", &at);
	assert_int_equal(call.status, GRPC_UNIMPLEMENTED);
	assert_non_null(strstr(call.text, "control arrives with instructions"));
	ask("/no.such/Method", &ca, "r1", &at);
	assert_int_equal(call.status, GRPC_UNIMPLEMENTED);
	assert_int_equal(c->refused, 1);
	// Strangers do not get that far.
	ask("/gnmi.gNMI/Set", NULL, NULL, &at);
	assert_int_equal(call.status, GRPC_UNAVAILABLE);
	ask("/gnmi.gNMI/Set", &other, "r1", &at);
	assert_int_equal(call.status, GRPC_UNAVAILABLE);
	assert_int_equal(c->refused, 1);
	assert_int_equal(c->accepted, 4);
	for (int i = 0; i < 20000 && c->connections; i++)
		event_base_loop(p.base, EVLOOP_ONCE);
	assert_int_equal(c->connections, 0);
	control_part.stop(&p);
	ipc_close(management);
	ipc_close(p.peers[PROCESS_MANAGEMENT]);
	event_base_free(p.base);
	arena_free(p.scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_control)};
	authority_make(&ca, "test");
	authority_make(&other, "stranger");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	authority_clear(&ca);
	authority_clear(&other);
	return failed;
}
