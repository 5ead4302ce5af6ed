// SPDX-License-Identifier: Apache-2.0
// Our ends for the interoperability test (run.py holds the others, made with grpcio):
//     peer server CERT KEY CA           listens on 127.0.0.1, prints the port; mutual TLS 1.3
//     peer client CERT KEY CA PORT      calls a grpcio server, prints a line per finding
//     peer collector CERT KEY CA        tunnel server: opens a session to whoever registers
//     peer element CERT KEY CA PORT     tunnel client: serves the same methods as `server` inside
// The TLS contexts are made here, so that this test depends on lib/gnmi alone.

#include "lib/gnmi/gnmi_fast.h"
#include "lib/gnmi/path.h"
#include "lib/gnmi/tunnel.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct event_base *base;
static SSL_CTX *tls;
static struct grpc_server *server;

static void must(struct err e)
{
	if (e.code == ERR_NONE)
		return;
	fprintf(stderr, "%s: %s\n", err_code_name(e.code), e.text);
	exit(1);
}

// --- TLS and sockets

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
		     unsigned in_len, void *ctx)
{
	static const unsigned char h2[] = "\x02h2";
	return SSL_select_next_proto((unsigned char **)out, n, h2, 3, in, in_len) ==
			       OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void tls_up(bool listening, char **files)
{
	tls = SSL_CTX_new(listening ? TLS_server_method() : TLS_client_method());
	SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_num_tickets(tls, 0);
	if (SSL_CTX_use_certificate_chain_file(tls, files[0]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, files[1], SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_locations(tls, files[2], NULL) != 1) {
		fprintf(stderr, "certificates do not load\n");
		exit(1);
	}
	if (listening)
		SSL_CTX_set_alpn_select_cb(tls, choose_h2, NULL);
	else
		SSL_CTX_set_alpn_protos(tls, (const unsigned char *)"\x02h2", 3);
}

static void conn_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	fprintf(stderr, "connection ended: %s\n", why.code ? why.text : "in good order");
	if (ctx)
		event_base_loopbreak(base);
}

static const struct grpc_conn_events conn_events = {.on_end = conn_end};

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a, int n,
		      void *ctx)
{
	struct transport *t;
	SSL *ssl = SSL_new(tls);
	if (transport_tls(base, fd, ssl, true, &t).code == ERR_NONE)
		err_ignore(grpc_server_accept(server, t, &conn_events, NULL, NULL));
}

static void serve(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	struct evconnlistener *l = evconnlistener_new_bind(
		base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&a, sizeof a);
	if (!l || getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&a, &n) != 0)
		exit(1);
	printf("port %d\n", ntohs(a.sin_port));
	fflush(stdout);
	event_base_dispatch(base);
	evconnlistener_free(l);
}

static struct transport *dial(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)atoi(port)),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct transport *t;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
		perror("connect");
		exit(1);
	}
	must(transport_tls(base, fd, SSL_new(tls), false, &t));
	return t;
}

// --- methods

static void echo(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct err e = grpc_call_send(call, m, n);
	grpc_call_fail(call, e);
}

static void stream_echo(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct err e = grpc_call_send(call, m, n);
	if (e.code != ERR_NONE)
		grpc_call_fail(call, e);
}

static void stream_done(void *ctx, struct grpc_call *call)
{
	grpc_call_finish(call, GRPC_OK, NULL);
}

static void refuse(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	grpc_call_finish(call, GRPC_FAILED_PRECONDITION, "the path is f\xc3\xbcr others: 100%");
}

static unsigned ended;
static void nothing(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
}

static void count_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	ended++;
}

static void how_many(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	char text[16];
	snprintf(text, sizeof text, "%u", ended);
	grpc_call_fail(call, grpc_call_send(call, text, strlen(text)));
}

// 500 messages of 20,000 bytes, as the reader takes them.
struct flow {
	unsigned sent;
};

static void flow_on(void *ctx, struct grpc_call *call)
{
	static uint8_t block[20000];
	struct flow *f = ctx;
	for (; f->sent < 500 && !grpc_call_full(call); f->sent++) {
		memset(block, (int)f->sent, sizeof block);
		if (grpc_call_send(call, block, sizeof block).code != ERR_NONE)
			return;
	}
	if (f->sent == 500) {
		free(f);
		grpc_call_finish(call, GRPC_OK, NULL);
	}
}

static void flow_start(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct flow *f = calloc(1, sizeof *f);
	if (!f)
		exit(1);
	grpc_call_set_context(call, f);
	flow_on(f, call);
}

static void flow_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	if (ctx != base)
		free(ctx);
}

// One SubscribeResponse by our writer, for the other side's protobuf to read.
static void subscribe(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	scoped(buf) struct buf out = {0};
	scoped(buf) struct buf path = {0};
	static const uint8_t previous[32], key_id[8], signature[64];
	struct gnmi_writer w;
	const struct gnmi_proof proof = {.present = true,
					 .seq = 7,
					 .previous = previous,
					 .key_id = key_id,
					 .algorithm = 1,
					 .signature = signature,
					 .signature_len = 64,
					 .device = (const uint8_t *)"r1",
					 .device_len = 2};
	const struct gnmi_value v = {.type = GNMI_UINT, .u = 123456789012};
	must(path_wire_of_text("/interfaces/interface[name=eth0]/state/counters/in-octets", NULL,
			       &path));
	gnmi_writer_start(&w, &out, 1700000000000000000, NULL, 0);
	for (int i = 0; i < 3; i++)
		gnmi_write_update(&w, path.data, path.len, &v);
	gnmi_writer_finish(&w, &proof, NULL);
	must(grpc_call_send(call, out.data, out.len));
	buf_reset(&out);
	gnmi_write_sync(&out);
	must(grpc_call_send(call, out.data, out.len));
}

static const struct grpc_handlers echo_h = {.on_message = echo};
static const struct grpc_handlers stream_h = {.on_message = stream_echo,
					      .on_half_close = stream_done};
static const struct grpc_handlers refuse_h = {.on_message = refuse};
static const struct grpc_handlers never_h = {.on_message = nothing, .on_end = count_end};
static const struct grpc_handlers many_h = {.on_message = how_many};
static const struct grpc_handlers flow_h = {
	.on_message = flow_start, .on_drain = flow_on, .on_end = flow_end};
static const struct grpc_handlers subscribe_h = {.on_message = subscribe,
						 .on_half_close = stream_done};

static void methods(void)
{
	server = grpc_server_new(NULL);
	must(grpc_server_add(server, "/t.T/Echo", GRPC_UNARY, &echo_h, NULL));
	must(grpc_server_add(server, "/t.T/Stream", GRPC_BIDI, &stream_h, NULL));
	must(grpc_server_add(server, "/t.T/Refuse", GRPC_UNARY, &refuse_h, NULL));
	must(grpc_server_add(server, "/t.T/Never", GRPC_UNARY, &never_h, NULL));
	must(grpc_server_add(server, "/t.T/Ended", GRPC_UNARY, &many_h, NULL));
	must(grpc_server_add(server, "/t.T/Flow", GRPC_SERVER_STREAM, &flow_h, base));
	must(grpc_server_add(server, "/gnmi.gNMI/Subscribe", GRPC_BIDI, &subscribe_h, NULL));
}

// --- client: the findings of each call as one line, in order

struct finding {
	const char *name;
	unsigned messages;
	size_t bytes;
	unsigned cancel_at; // 0: never
};

static unsigned waiting;

static void found_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	struct finding *f = ctx;
	printf("%s %s messages=%u bytes=%zu %s\n", f->name, grpc_status_name(s), f->messages,
	       f->bytes, text);
	fflush(stdout);
	if (--waiting == 0)
		event_base_loopbreak(base);
}

static void found_message(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct finding *f = ctx;
	f->bytes += n;
	if (++f->messages != f->cancel_at)
		return;
	grpc_call_cancel(call);
	found_end(f, NULL, GRPC_CANCELLED, "by us");
}

static const struct grpc_handlers found_h = {.on_message = found_message, .on_end = found_end};

static void ask(struct grpc_conn *c, struct finding *f, const char *path, enum grpc_kind kind,
		size_t n, unsigned times, uint32_t timeout_ms)
{
	struct grpc_call *call;
	char *message = malloc(n + 1);
	if (!message)
		exit(1);
	memset(message, 'm', n);
	must(grpc_call_start(c, path, kind, &found_h, f, timeout_ms, &call));
	for (unsigned i = 0; i < times; i++)
		must(grpc_call_send(call, message, n));
	grpc_call_half_close(call);
	free(message);
	waiting++;
	event_base_dispatch(base);
}

// The calls that both a grpcio server and our own (in the tunnel) answer alike.
static void ask_all(struct grpc_conn *c)
{
	ask(c, &(struct finding){"unary"}, "/t.T/Echo", GRPC_UNARY, 5, 1, 5000);
	ask(c, &(struct finding){"large"}, "/t.T/Echo", GRPC_UNARY, 3 << 20, 1, 20000);
	ask(c, &(struct finding){"stream"}, "/t.T/Stream", GRPC_BIDI, 1000, 50, 0);
	ask(c, &(struct finding){"flow"}, "/t.T/Flow", GRPC_SERVER_STREAM, 1, 1, 0);
	ask(c, &(struct finding){"refused"}, "/t.T/Refuse", GRPC_UNARY, 1, 1, 0);
	ask(c, &(struct finding){"missing"}, "/t.T/Nothing", GRPC_UNARY, 1, 1, 0);
	ask(c, &(struct finding){"deadline"}, "/t.T/Never", GRPC_UNARY, 1, 1, 200);
	ask(c, &(struct finding){"cancelled", .cancel_at = 3}, "/t.T/Flow", GRPC_SERVER_STREAM, 1,
	    1, 0);
	ask(c, &(struct finding){"after"}, "/t.T/Echo", GRPC_UNARY, 5, 1, 5000);
}

static void client(const char *port)
{
	struct grpc_conn *c;
	must(grpc_client_new(dial(port), NULL, &conn_events, base, &c));
	ask_all(c);
	grpc_conn_close(c);
}

// --- tunnel

static struct tunnel_peer *registered;

static struct err on_target(void *ctx, struct tunnel_peer *peer, const char *target,
			    const char *type)
{
	if (strcmp(target, "r1") != 0)
		return err_make(ERR_DENIED, "only r1 may register here");
	registered = peer;
	event_base_loopbreak(base);
	return OK;
}

static const struct tunnel_server_events tunnel_server_events = {.on_target = on_target};

static void collector(void)
{
	struct tunnel_server *ts;
	struct transport *t;
	struct grpc_conn *c;
	server = grpc_server_new(NULL);
	must(tunnel_server_new(server, &tunnel_server_events, NULL, &ts));
	serve(); // until a target has registered
	must(tunnel_open(registered, "r1", TUNNEL_TYPE_GNMI, &t));
	must(grpc_client_new(t, NULL, &conn_events, base, &c));
	ask_all(c);
	grpc_conn_close(c);
	tunnel_server_free(ts);
}

static void on_registered(void *ctx, const char *target, const char *type, struct err answer)
{
	printf("%s %s\n", target, answer.code ? answer.text : "registered");
	fflush(stdout);
}

static void on_session(void *ctx, const char *target, const char *type, struct transport *t)
{
	must(grpc_server_accept(server, t, &conn_events, NULL, NULL));
}

static const struct tunnel_client_events tunnel_client_events = {.on_registered = on_registered,
								 .on_session = on_session};

static void element(const char *port)
{
	struct grpc_conn *c;
	struct tunnel_client *tc;
	methods();
	must(grpc_client_new(dial(port), NULL, &conn_events, base, &c));
	must(tunnel_client_new(c, &tunnel_client_events, NULL, &tc));
	must(tunnel_client_register(tc, "r2", TUNNEL_TYPE_GNMI));
	must(tunnel_client_register(tc, "r1", TUNNEL_TYPE_GNMI));
	event_base_dispatch(base);
	tunnel_client_free(tc);
}

int main(int argc, char **argv)
{
	bool dials = argc == 6;
	if (argc < 5)
		return 2;
	base = event_base_new();
	tls_up(!dials, argv + 2);
	if (strcmp(argv[1], "server") == 0) {
		methods();
		serve();
	} else if (strcmp(argv[1], "client") == 0 && dials) {
		client(argv[5]);
	} else if (strcmp(argv[1], "collector") == 0) {
		collector();
	} else if (strcmp(argv[1], "element") == 0 && dials) {
		element(argv[5]);
	} else {
		return 2;
	}
	return 0;
}
