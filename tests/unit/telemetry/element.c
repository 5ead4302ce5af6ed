// SPDX-License-Identifier: Apache-2.0
#include "element.h"

#include "lib/base/clock.h"
#include "lib/gnmi/gnmi.pb-c.h"
#include "lib/gnmi/gnmi_fast.h"
#include "lib/gnmi/path.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// --- gNMI

static void take_subscription(struct element *e, const Gnmi__SubscriptionList *list)
{
	e->subscribes++;
	e->n_paths = 0;
	for (size_t i = 0; i < list->n_subscription && i < 32; i++) {
		char text[PATH_TEXT_MAX + 1];
		must(path_text_of_message(NULL, list->subscription[i]->path, text, NULL), "path");
		snprintf(e->path[e->n_paths], 200, "%.199s", text);
		e->mode[e->n_paths++] = list->subscription[i]->mode;
	}
}

static void on_request(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct element *e = ctx;
	bool is_ack;
	uint64_t seq;
	const uint8_t *key_id;
	must(gnmi_ack_read(message, n, &is_ack, &seq, &key_id), "request");
	if (is_ack) {
		e->acked = seq;
		e->acks++;
		return;
	}
	Gnmi__SubscribeRequest *m = gnmi__subscribe_request__unpack(NULL, n, message);
	if (m && m->request_case == GNMI__SUBSCRIBE_REQUEST__REQUEST_SUBSCRIBE)
		take_subscription(e, m->subscribe);
	gnmi__subscribe_request__free_unpacked(m, NULL);
}

static struct err on_subscribe(void *ctx, struct grpc_call *call)
{
	struct element *e = ctx;
	e->call = call;
	return OK;
}

static void on_subscribe_end(void *ctx, struct grpc_call *call, enum grpc_status status,
			     const char *text)
{
	struct element *e = ctx;
	if (e->call == call)
		e->call = NULL;
	e->cancelled++;
}

static const struct grpc_handlers subscribe_handlers = {
	.on_start = on_subscribe, .on_message = on_request, .on_end = on_subscribe_end};

// --- tunnel

static void on_registered(void *ctx, const char *target, const char *type, struct err answer)
{
	struct element *e = ctx;
	e->registered = answer.code == ERR_NONE;
	if (!e->registered)
		snprintf(e->refused, sizeof e->refused, "%s", answer.text);
}

static void on_session(void *ctx, const char *target, const char *type, struct transport *t)
{
	struct element *e = ctx;
	must(grpc_server_accept(e->grpc, t, NULL, NULL, NULL), "session");
}

static void on_tunnel_end(void *ctx, struct err why)
{
}

static const struct tunnel_client_events tunnel_events = {on_registered, on_session, on_tunnel_end};

// --- the connection

static struct err on_open(void *ctx, struct grpc_conn *conn)
{
	((struct element *)ctx)->open = true;
	return OK;
}

static void on_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct element *e = ctx;
	if (e->conn != conn)
		return;
	e->conn = NULL;
	e->conn_over = true;
	snprintf(e->over, sizeof e->over, "%s", why.code ? why.text : "in good order");
}

static const struct grpc_conn_events conn_events = {.on_open = on_open, .on_end = on_end};

void element_new_key(struct element *e)
{
	sign_key_free(e->batch_key);
	must(sign_key_generate(SIGN_ED25519, &e->batch_key), "key");
	const struct sign_public *p = sign_key_public(e->batch_key);
	memcpy(e->key_id, p->id, BATCH_KEY_ID);
	struct verify_key **at = &house.keys[house.n_keys++ % KEYS_MAX];
	verify_key_free(*at);
	must(verify_key_new(p->algorithm, p->bytes, p->len, at), "key");
	e->seq = 0;
	memset(e->previous, 0, sizeof e->previous);
}

void element_open(struct element *e, const char *device, struct house_certificate *certificate)
{
	static const char *const alpn[] = {"h2", NULL};
	*e = (struct element){.device = device, .certificate = certificate};
	e->trust = x509_trust_new();
	must(x509_trust_add(e->trust, house.root.data, house.root.len), "trust");
	struct tls_conf conf = {.side = TLS_CLIENT, .trust = e->trust, .alpn = alpn};
	must(tls_context_new(&conf, &e->tls), "TLS");
	if (certificate) {
		struct x509_chain chain = {
			.der = {certificate->der.data}, .len = {certificate->der.len}, .n = 1};
		must(tls_context_set_identity(e->tls, &chain, certificate->key), "identity");
	}
	e->grpc = grpc_server_new(NULL);
	must(grpc_server_add(e->grpc, "/gnmi.gNMI/Subscribe", GRPC_BIDI, &subscribe_handlers, e),
	     "method");
	e->canonical = batch_canonical_new();
	element_new_key(e);
}

void element_dial(struct element *e, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct tls_expect expect = {.role = "telemetry"};
	struct transport *t;
	struct ssl_st *ssl;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		must(err_system("connect"), "dial");
	e->open = e->registered = e->conn_over = false;
	e->refused[0] = 0;
	must(tls_connection_new(e->tls, &expect, &ssl), "TLS");
	must(transport_tls(house.base, fd, ssl, false, &t), "TLS");
	must(grpc_client_new(t, NULL, &conn_events, e, &e->conn), "gRPC");
}

static void on_attested(void *ctx, struct grpc_call *call, enum grpc_status status,
			const char *text)
{
	struct element *e = ctx;
	if (status == GRPC_OK && e->conn)
		element_register_only(e, e->target);
	else
		snprintf(e->refused, sizeof e->refused, "%s", text);
}

static const struct grpc_handlers attest_handlers = {.on_end = on_attested};

void element_register(struct element *e, const char *target)
{
	e->target = target;
	must(grpc_call_unary(e->conn, "/gemel.enrolment.v1.Enrolment/Attest", "quote", 5,
			     &attest_handlers, e, 0, &(struct grpc_call *){NULL}),
	     "Attest");
}

void element_register_only(struct element *e, const char *target)
{
	if (!e->tunnel)
		must(tunnel_client_new(e->conn, &tunnel_events, e, &e->tunnel), "tunnel");
	must(tunnel_client_register(e->tunnel, target, TUNNEL_TYPE_GNMI), "register");
}

void element_join(struct element *e)
{
	unsigned before = e->subscribes;
	element_dial(e, house.tunnel_port);
	house_until(element_is_open, e, "the connection");
	element_register(e, e->device);
	for (int i = 0; i < 2000 && e->subscribes == before; i++)
		house_turn(1);
}

void element_hang_up(struct element *e)
{
	struct grpc_conn *conn = e->conn;
	tunnel_client_free(e->tunnel);
	e->tunnel = NULL;
	e->conn = NULL;
	grpc_conn_close(conn);
	house_turn(5);
}

void element_clear(struct element *e)
{
	element_hang_up(e);
	house_turn(5);
	grpc_server_free(e->grpc);
	tls_context_free(e->tls);
	x509_trust_free(e->trust);
	sign_key_free(e->batch_key);
	batch_canonical_free(e->canonical);
}

// --- batches

static void write_updates(struct element *e, struct gnmi_writer *w, const struct update *u,
			  size_t n, int64_t time_ns)
{
	for (size_t i = 0; i < n; i++) {
		scoped(buf) struct buf path = {0};
		const char *text = u[i].text;
		struct gnmi_value g = {.type = GNMI_UINT, .u = u[i].number};
		struct batch_value v = {.type = VALUE_UINT, .u = u[i].number};
		if (text) {
			g = (struct gnmi_value){
				.type = GNMI_STRING,
				.s = {(const uint8_t *)text, (uint32_t)strlen(text)}};
			v = (struct batch_value){
				.type = VALUE_STRING,
				.s = {(const uint8_t *)text, (uint32_t)strlen(text)}};
		}
		if (u[i].gone)
			v = (struct batch_value){0};
		must(path_wire_of_text(u[i].path, NULL, &path), "path");
		if (u[i].gone)
			gnmi_write_delete(w, path.data, path.len);
		else
			gnmi_write_update(w, path.data, path.len, &g);
		batch_canonical_add(e->canonical, u[i].gone ? BATCH_DELETE : BATCH_UPDATE, time_ns,
				    u[i].path, strlen(u[i].path), &v);
	}
}

void element_send(struct element *e, const struct update *u, size_t n, unsigned how)
{
	static struct buf last;
	scoped(buf) struct buf out = {0};
	struct gnmi_writer w;
	struct sign_signature signature;
	uint8_t hash[BATCH_HASH];
	int64_t now = clock_wall_ns();
	if (how & ELEMENT_AGAIN) {
		element_send_raw(e, last.data, last.len);
		return;
	}
	gnmi_writer_start(&w, &out, now, NULL, 0);
	batch_canonical_start(e->canonical, e->device, e->seq + 1, e->previous, (uint32_t)n);
	write_updates(e, &w, u, n, now);
	batch_canonical_finish(e->canonical, hash);
	must(sign_make(e->batch_key, hash, sizeof hash, &signature), "signature");
	if (how & ELEMENT_FORGED)
		signature.bytes[7] ^= 1;
	struct gnmi_proof proof = {.present = true,
				   .seq = e->seq + 1,
				   .previous = e->previous,
				   .key_id = e->key_id,
				   .signature = signature.bytes,
				   .signature_len = (uint32_t)signature.len,
				   .algorithm = 1,
				   .device = (const uint8_t *)e->device,
				   .device_len = (uint32_t)strlen(e->device),
				   .sync = how & ELEMENT_SYNC};
	gnmi_writer_finish(&w, how & ELEMENT_UNSIGNED ? NULL : &proof, NULL);
	must(buf_check(&out, "batch"), "batch");
	element_send_raw(e, out.data, out.len);
	buf_reset(&last);
	buf_append(&last, out.data, out.len);
	e->seq++;
	memcpy(e->previous, hash, sizeof hash);
}

void element_send_raw(struct element *e, const void *bytes, size_t n)
{
	if (!e->call)
		must(err_make(ERR_CONFLICT, "no stream is open"), "send");
	must(grpc_call_send(e->call, bytes, n), "send");
}

// --- unary calls

static void on_answer(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	((struct element *)ctx)->answer_len = n;
}

static void on_answer_end(void *ctx, struct grpc_call *call, enum grpc_status status,
			  const char *text)
{
	struct element *e = ctx;
	e->answers++;
	e->status = status;
	snprintf(e->status_text, sizeof e->status_text, "%s", text);
}

static const struct grpc_handlers answer_handlers = {.on_message = on_answer,
						     .on_end = on_answer_end};

void element_call(struct element *e, const char *path, const void *bytes, size_t n)
{
	e->answers = 0;
	e->answer_len = 0;
	must(grpc_call_unary(e->conn, path, bytes, n, &answer_handlers, e, 0,
			     &(struct grpc_call *){NULL}),
	     path);
}

bool element_is_open(void *ctx)
{
	return ((struct element *)ctx)->open;
}

bool element_is_over(void *ctx)
{
	return ((struct element *)ctx)->conn_over;
}

bool element_is_subscribed(void *ctx)
{
	struct element *e = ctx;
	return e->call && e->n_paths;
}

bool element_has_answer(void *ctx)
{
	return ((struct element *)ctx)->answers;
}

bool element_is_refused(void *ctx)
{
	return ((struct element *)ctx)->refused[0];
}
