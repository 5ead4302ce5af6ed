// SPDX-License-Identifier: Apache-2.0
#include "twin.h"

struct twin twin;

// --- evidence

static void answer(struct grpc_call *call, const ProtobufCMessage *m)
{
	uint8_t bytes[16384];
	size_t n = protobuf_c_message_get_packed_size(m);
	assert_true(n <= sizeof bytes);
	protobuf_c_message_pack(m, bytes);
	grpc_call_fail(call, grpc_call_send(call, bytes, n));
}

static ProtobufCBinaryData view(const void *bytes, size_t n)
{
	return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)bytes};
}

static void certified_key(const Gemel__Enrolment__V1__CertifiedBatchKey *c, uint8_t spki[32])
{
	static const char purpose[] = "gemel batch key v1\n";
	const struct hash_part parts[] = {
		{purpose, sizeof purpose - 1}, {"r1", 3}, {c->batch_key.data, c->batch_key.len}};
	const struct tpm_pcrs none = {.mask = 0};
	struct tpm_quote quote;
	uint8_t digest[32];
	hash_parts(parts, 3, digest);
	assert_good(tpm_quote_verify(&twin.ak, c->certification.data, c->certification.len,
				     c->signature.data, c->signature.len, digest, &none, &quote));
	Gemel__Enrolment__V1__BatchKey *b =
		gemel__enrolment__v1__batch_key__unpack(NULL, c->batch_key.len, c->batch_key.data);
	assert_non_null(b);
	hash_sha256(b->public_key.data, b->public_key.len, spki);
	struct verify_key *verify = NULL;
	assert_int_equal(b->public_key.len, 44); // RFC 8410: 12 bytes, then the key
	assert_good(verify_key_new(SIGN_ED25519, b->public_key.data + 12, 32, &verify));
	assert_int_equal(b->key_id.len, 8);
	assert_memory_equal(verify_key_public(verify)->id, b->key_id.data, 8);
	bool known = false;
	for (unsigned i = 0; i < twin.n_keys; i++)
		known |= memcmp(twin.keys[i].id, b->key_id.data, 8) == 0;
	if (!known) {
		assert_true(twin.n_keys < TWIN_KEYS);
		struct twin_key *k = &twin.keys[twin.n_keys++];
		memcpy(k->id, b->key_id.data, 8);
		k->verify = verify;
	} else {
		verify_key_free(verify);
	}
	gemel__enrolment__v1__batch_key__free_unpacked(b, NULL);
}

// The quote is fresh, by this TPM, over this TLS key and this batch key, and over what runs.
static void evidence(const Gemel__Enrolment__V1__Evidence *e,
		     const Gemel__Enrolment__V1__CertifiedBatchKey *key, const uint8_t tls[32])
{
	static const char purpose[] = "gemel quote v1\n";
	uint8_t batch[32], qualifying[32];
	struct tpm_pcrs pcrs = {.mask = 1u << 17};
	struct tpm_quote quote;
	assert_non_null(e);
	assert_non_null(key);
	certified_key(key, batch);
	assert_int_equal(e->n_pcrs, 1);
	assert_int_equal(e->pcrs[0]->index, 17);
	assert_memory_equal(e->pcrs[0]->value.data, twin.pcr17, 32);
	memcpy(pcrs.value[17], twin.pcr17, 32);
	const struct hash_part parts[] = {
		{purpose, sizeof purpose - 1}, {twin.nonce, 32}, {tls, 32}, {batch, 32}};
	hash_parts(parts, 4, qualifying);
	assert_good(tpm_quote_verify(&twin.ak, e->quote.data, e->quote.len, e->quote_signature.data,
				     e->quote_signature.len, qualifying, &pcrs, &quote));
}

// --- Enrolment

static void on_begin(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	static const char purpose[] = "gemel enrol v1\n";
	Gemel__Enrolment__V1__BeginAnswer a = GEMEL__ENROLMENT__V1__BEGIN_ANSWER__INIT;
	Gemel__Enrolment__V1__BeginRequest *r =
		gemel__enrolment__v1__begin_request__unpack(NULL, n, message);
	assert_non_null(r);
	Gemel__Enrolment__V1__BeginBody *b =
		gemel__enrolment__v1__begin_body__unpack(NULL, r->body.len, r->body.data);
	assert_non_null(b);
	scoped(buf) struct buf mac_of = {0};
	scoped(buf) struct buf blob = {0};
	scoped(buf) struct buf seed = {0};
	uint8_t mac[32];
	uint32_t pcrs[] = {17};
	struct tpm_ek ek;
	struct tpm_credential c;
	struct x509_csr csr;
	twin.begins++;
	buf_append(&mac_of, purpose, sizeof purpose - 1);
	buf_append(&mac_of, r->body.data, r->body.len);
	hash_hmac(twin.secret, strlen(twin.secret), mac_of.data, mac_of.len, mac);
	assert_int_equal(r->token_proof.len, 32);
	assert_memory_equal(r->token_proof.data, mac, 32);
	assert_string_equal(b->device_id, "r1");
	assert_string_equal(b->token_id, "t1");
	assert_good(tpm_ek_verify(b->ek_certificate_der.data, b->ek_certificate_der.len,
				  twin.makers, NULL, clock_wall_ns(), &ek));
	assert_good(tpm_ak_read(b->ak_public.data, b->ak_public.len, &twin.ak));
	assert_good(x509_csr_read(b->csr_der.data, b->csr_der.len, &csr));
	memcpy(twin.tls_spki, csr.spki, 32);
	assert_good(random_bytes(twin.nonce, 32));
	assert_good(random_bytes(twin.credential, 32));
	scoped(secret) struct secret *secret = secret_of(twin.credential, 32);
	assert_good(tpm_make_credential(&ek, twin.ak.name, secret, &c));
	buf_be16(&blob, (uint16_t)c.blob_len);
	buf_append(&blob, c.blob, c.blob_len);
	buf_be16(&seed, (uint16_t)c.seed_len);
	buf_append(&seed, c.seed, c.seed_len);
	a.session = (char *)(uintptr_t) "s1";
	a.credential_blob = view(blob.data, blob.len);
	a.encrypted_secret = view(seed.data, seed.len);
	a.attest_nonce = view(twin.nonce, 32);
	a.pcrs = pcrs;
	a.n_pcrs = 1;
	answer(call, &a.base);
	tpm_ek_clear(&ek);
	gemel__enrolment__v1__begin_body__free_unpacked(b, NULL);
	gemel__enrolment__v1__begin_request__free_unpacked(r, NULL);
}

static struct sign_public csr_key;

static void certificate(struct grpc_call *call)
{
	Gemel__Enrolment__V1__CompleteAnswer a = GEMEL__ENROLMENT__V1__COMPLETE_ANSWER__INIT;
	scoped(buf) struct buf der = {0};
	scoped(buf) struct buf pem = {0};
	struct x509_issue want = {.profile = X509_DEVICE,
				  .name = "r1",
				  .key = &csr_key,
				  .from_ns = twin.life_from_ns,
				  .until_ns = twin.life_until_ns,
				  .issuer = twin.ca.issuing.data,
				  .issuer_len = twin.ca.issuing.len};
	assert_good(x509_issue(&want, twin.ca.issuing_key, &der));
	assert_good(x509_to_pem(X509_CERTIFICATE, twin.ca.root.data, twin.ca.root.len, &pem));
	ProtobufCBinaryData chain[] = {view(der.data, der.len),
				       view(twin.ca.issuing.data, twin.ca.issuing.len)};
	a.certificate_chain_der = chain;
	a.n_certificate_chain_der = 2;
	a.trust_bundle = view(pem.data, pem.len);
	a.state = (char *)(uintptr_t) "quarantine";
	answer(call, &a.base);
}

static void on_complete(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	Gemel__Enrolment__V1__CompleteRequest *r =
		gemel__enrolment__v1__complete_request__unpack(NULL, n, message);
	assert_non_null(r);
	assert_string_equal(r->session, "s1");
	assert_int_equal(r->activated_secret.len, 32);
	assert_memory_equal(r->activated_secret.data, twin.credential, 32);
	evidence(r->evidence, r->batch_key, twin.tls_spki);
	twin.completes++;
	certificate(call);
	gemel__enrolment__v1__complete_request__free_unpacked(r, NULL);
}

static void on_challenge(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	Gemel__Enrolment__V1__ChallengeAnswer a = GEMEL__ENROLMENT__V1__CHALLENGE_ANSWER__INIT;
	uint32_t pcrs[] = {17};
	assert_good(random_bytes(twin.nonce, 32));
	a.nonce = view(twin.nonce, 32);
	a.pcrs = pcrs;
	a.n_pcrs = 1;
	answer(call, &a.base);
}

static void on_attest(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	Gemel__Enrolment__V1__AttestAnswer a = GEMEL__ENROLMENT__V1__ATTEST_ANSWER__INIT;
	Gemel__Enrolment__V1__AttestRequest *r =
		gemel__enrolment__v1__attest_request__unpack(NULL, n, message);
	assert_non_null(r);
	evidence(r->evidence, r->batch_key, twin.session_spki);
	twin.attests++;
	a.accepted = !twin.refuse;
	a.state = (char *)(uintptr_t) "production";
	a.reason = (char *)(uintptr_t)(twin.refuse ? twin.refuse : "");
	a.again_after_ns = clock_wall_ns() + 3600 * NS_PER_S;
	answer(call, &a.base);
	gemel__enrolment__v1__attest_request__free_unpacked(r, NULL);
}

static void on_renew(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct x509_csr csr;
	Gemel__Enrolment__V1__RenewRequest *r =
		gemel__enrolment__v1__renew_request__unpack(NULL, n, message);
	assert_non_null(r);
	assert_good(x509_csr_read(r->csr_der.data, r->csr_der.len, &csr));
	assert_memory_not_equal(csr.spki, twin.session_spki, 32); // a new key
	evidence(r->evidence, r->batch_key, csr.spki);
	csr_key = csr.key;
	twin.renews++;
	twin.life_from_ns = clock_wall_ns() - 300 * NS_PER_S;
	twin.life_until_ns = clock_wall_ns() + 7 * 86400 * NS_PER_S;
	certificate(call);
	gemel__enrolment__v1__renew_request__free_unpacked(r, NULL);
}

static void on_begin_first(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	Gemel__Enrolment__V1__BeginRequest *r =
		gemel__enrolment__v1__begin_request__unpack(NULL, n, message);
	Gemel__Enrolment__V1__BeginBody *b =
		gemel__enrolment__v1__begin_body__unpack(NULL, r->body.len, r->body.data);
	struct x509_csr csr;
	assert_good(x509_csr_read(b->csr_der.data, b->csr_der.len, &csr));
	csr_key = csr.key;
	gemel__enrolment__v1__begin_body__free_unpacked(b, NULL);
	gemel__enrolment__v1__begin_request__free_unpacked(r, NULL);
	on_begin(ctx, call, message, n);
}

static const struct grpc_handlers begin_h = {.on_message = on_begin_first},
				  complete_h = {.on_message = on_complete},
				  challenge_h = {.on_message = on_challenge},
				  attest_h = {.on_message = on_attest},
				  renew_h = {.on_message = on_renew};

// --- batches

static void value_of(const struct gnmi_value *g, struct batch_value *v)
{
	static const enum batch_type types[] = {
		[GNMI_STRING] = VALUE_STRING, [GNMI_INT] = VALUE_INT,
		[GNMI_UINT] = VALUE_UINT,     [GNMI_BOOL] = VALUE_BOOL,
		[GNMI_BYTES] = VALUE_BYTES,   [GNMI_DOUBLE] = VALUE_DOUBLE,
		[GNMI_JSON] = VALUE_JSON,     [GNMI_NONE] = VALUE_NONE};
	*v = (struct batch_value){.type = types[g->type]};
	if (v->type >= VALUE_STRING) {
		v->s.bytes = g->s.bytes;
		v->s.len = g->s.len;
	} else {
		v->u = g->u;
	}
}

static void hash_batch(struct gnmi_notification *note, const struct gnmi_proof *p, uint8_t hash[32])
{
	struct batch_canonical *c = batch_canonical_new();
	struct gnmi_record r;
	bool more;
	assert_non_null(c);
	batch_canonical_start(c, "r1", p->seq, p->previous, note->updates + note->deletes);
	for (;;) {
		char path[PATH_TEXT_MAX + 1];
		size_t n;
		struct batch_value v;
		assert_good(gnmi_next(note, &r, &more));
		if (!more)
			break;
		assert_good(path_text_of_wire(note->prefix, note->prefix_len, r.path, r.path_len,
					      path, &n));
		value_of(&r.value, &v);
		batch_canonical_add(c, r.is_delete ? BATCH_DELETE : BATCH_UPDATE,
				    note->timestamp_ns, path, n, &v);
		twin.records++;
		twin.deletes += r.is_delete;
		if (twin.on_record)
			twin.on_record(path, r.is_delete, &v);
	}
	batch_canonical_finish(c, hash);
	batch_canonical_free(c);
}

static void on_batch(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct gnmi_response r;
	struct gnmi_notification note;
	uint8_t hash[32];
	assert_good(gnmi_response_read(message, n, &r));
	twin.synced |= r.sync_response;
	if (!r.has_notification || r.loss.present)
		return;
	assert_true(r.proof.present);
	struct twin_key *k = NULL;
	for (unsigned i = 0; i < twin.n_keys; i++)
		if (memcmp(twin.keys[i].id, r.proof.key_id, 8) == 0)
			k = &twin.keys[i];
	assert_non_null(k); // proved before its first batch
	if (!twin.first_seq)
		twin.first_seq = r.proof.seq;
	if (twin.repeat_ok && r.proof.seq <= k->seq)
		return; // sent again
	twin.repeat_ok = false;
	assert_int_equal(r.proof.seq, k->seq + 1);
	assert_memory_equal(r.proof.previous, k->previous, 32);
	assert_good(gnmi_notification_read(r.notification, BATCH_COUNT_MAX, &note));
	hash_batch(&note, &r.proof, hash);
	assert_good(verify_check(k->verify, hash, 32, r.proof.signature, r.proof.signature_len));
	memcpy(k->previous, hash, 32);
	memcpy(twin.last_key, k->id, 8);
	k->seq = r.proof.seq;
	twin.batches++;
	if (twin.acks) {
		scoped(buf) struct buf ack = {0};
		gnmi_write_ack(&ack, k->seq, k->id);
		assert_good(grpc_call_send(call, ack.data, ack.len));
		twin.acked_seq = k->seq;
	}
}

static void on_stream_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	if (twin.stream == call)
		twin.stream = NULL;
}

static const struct grpc_handlers stream_h = {.on_message = on_batch, .on_end = on_stream_end};

void twin_subscribe(const char *const *paths)
{
	struct transport *t;
	const struct grpc_client_conf conf = {.plain = true, .authority = "r1"};
	Gnmi__SubscribeRequest m = GNMI__SUBSCRIBE_REQUEST__INIT;
	Gnmi__SubscriptionList list = GNMI__SUBSCRIPTION_LIST__INIT;
	Gnmi__Subscription item[16], *items[16];
	scoped(arena) struct arena *a = arena_new(1 << 20);
	uint8_t bytes[4096];
	for (; paths[list.n_subscription]; list.n_subscription++) {
		Gnmi__Subscription *s = items[list.n_subscription] = &item[list.n_subscription];
		gnmi__subscription__init(s);
		assert_good(path_message_of_text(paths[list.n_subscription], a, &s->path));
		s->mode = GNMI__SUBSCRIPTION_MODE__ON_CHANGE;
	}
	list.subscription = items;
	list.encoding = GNMI__ENCODING__PROTO;
	m.request_case = GNMI__SUBSCRIBE_REQUEST__REQUEST_SUBSCRIBE;
	m.subscribe = &list;
	size_t n = gnmi__subscribe_request__get_packed_size(&m);
	assert_true(n <= sizeof bytes);
	gnmi__subscribe_request__pack(&m, bytes);
	if (!twin.inner) {
		assert_good(tunnel_open(twin.peer, "r1", TUNNEL_TYPE_GNMI, &t));
		assert_good(grpc_client_new(t, &conf, NULL, NULL, &twin.inner));
	}
	twin.synced = false;
	twin.first_seq = 0;
	assert_good(grpc_call_start(twin.inner, "/gnmi.gNMI/Subscribe", GRPC_BIDI, &stream_h, NULL,
				    0, &twin.stream));
	assert_good(grpc_call_send(twin.stream, bytes, n));
}

// --- connections

static struct err on_target(void *ctx, struct tunnel_peer *peer, const char *target,
			    const char *type)
{
	assert_string_equal(target, "r1");
	twin.peer = peer;
	return OK;
}

static void on_target_gone(void *ctx, struct tunnel_peer *peer, const char *target,
			   const char *type)
{
	if (twin.peer == peer)
		twin.peer = NULL;
}

static const struct tunnel_server_events tunnel_events = {on_target, on_target_gone};

static struct err on_open(void *ctx, struct grpc_conn *conn)
{
	struct x509_identity who;
	if (ctx != &twin.tls[1])
		return OK;
	TRY(tls_peer_identity(transport_ssl(grpc_conn_transport(conn)), &who));
	assert_string_equal(who.device, "r1");
	memcpy(twin.session_spki, who.spki, 32);
	twin.outer = conn;
	twin.connections++;
	return OK;
}

static void on_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	if (twin.outer != conn)
		return;
	twin.outer = NULL;
	twin.peer = NULL;
	twin.inner = NULL;
	twin.stream = NULL;
}

static const struct grpc_conn_events conn_events = {.on_open = on_open, .on_end = on_end};

void twin_hang_up(void)
{
	struct grpc_conn *inner = twin.inner, *outer = twin.outer;
	twin.inner = twin.outer = NULL;
	twin.stream = NULL;
	twin.peer = NULL;
	grpc_conn_close(inner);
	grpc_conn_close(outer);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a, int n,
		      void *ctx)
{
	unsigned which = ctx == &twin.tls[1];
	struct ssl_st *ssl;
	struct transport *t;
	struct grpc_conn *conn;
	assert_good(tls_connection_new(twin.tls[which], NULL, &ssl));
	assert_good(transport_tls(twin.base, fd, ssl, true, &t));
	assert_good(grpc_server_accept(twin.grpc[which], t, &conn_events, ctx, &conn));
}

static void listen_on(unsigned which)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	twin.listener[which] =
		evconnlistener_new_bind(twin.base, on_accept, &twin.tls[which],
					LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&a, sizeof a);
	assert_non_null(twin.listener[which]);
	assert_int_equal(
		getsockname(evconnlistener_get_fd(twin.listener[which]), (struct sockaddr *)&a, &n),
		0);
	twin.port[which] = ntohs(a.sin_port);
}

// --- life

void twin_make(void)
{
	static const char *const alpn[] = {"h2", NULL};
	scoped(buf) struct buf der = {0};
	uint8_t secret[32];
	twin.base = event_base_new();
	authority_make(&twin.ca, "twin");
	twin.trust = authority_trust(&twin.ca);
	twin.server_key = issue(&twin.ca, X509_SERVER, "telemetry", &der);
	const struct x509_chain chain = {{der.data, twin.ca.issuing.data, twin.ca.root.data},
					 {der.len, twin.ca.issuing.len, twin.ca.root.len},
					 3};
	for (unsigned i = 0; i < 2; i++) {
		const struct tls_conf conf = {.side = TLS_SERVER,
					      .peer = i ? TLS_PEER_REQUIRED : TLS_PEER_NONE,
					      .trust = i ? twin.trust : NULL,
					      .alpn = alpn};
		assert_good(tls_context_new(&conf, &twin.tls[i]));
		assert_good(tls_context_set_identity(twin.tls[i], &chain, twin.server_key));
		twin.grpc[i] = grpc_server_new(NULL);
		listen_on(i);
	}
#define SERVICE "/gemel.enrolment.v1.Enrolment/"
	assert_good(grpc_server_add(twin.grpc[0], SERVICE "Begin", GRPC_UNARY, &begin_h, NULL));
	assert_good(
		grpc_server_add(twin.grpc[0], SERVICE "Complete", GRPC_UNARY, &complete_h, NULL));
	assert_good(
		grpc_server_add(twin.grpc[1], SERVICE "Challenge", GRPC_UNARY, &challenge_h, NULL));
	assert_good(grpc_server_add(twin.grpc[1], SERVICE "Attest", GRPC_UNARY, &attest_h, NULL));
	assert_good(grpc_server_add(twin.grpc[1], SERVICE "Renew", GRPC_UNARY, &renew_h, NULL));
	assert_good(tunnel_server_new(twin.grpc[1], &tunnel_events, NULL, &twin.tunnel));
	assert_good(random_bytes(secret, sizeof secret));
	hash_hex(secret, sizeof secret, twin.secret);
}

void twin_clear(void)
{
	twin_hang_up();
	event_base_loop(twin.base, EVLOOP_NONBLOCK);
	for (unsigned i = 0; i < 2; i++) {
		evconnlistener_free(twin.listener[i]);
		tls_context_free(twin.tls[i]);
	}
	for (unsigned i = 0; i < twin.n_keys; i++)
		verify_key_free(twin.keys[i].verify);
	x509_trust_free(twin.makers);
	sign_key_free(twin.server_key);
	authority_clear(&twin.ca);
}

char *twin_token(char *out, size_t n, const char *pin_of)
{
	struct x509_identity root;
	char pin[65];
	assert_good(x509_identify(twin.ca.root.data, twin.ca.root.len, &root));
	if (pin_of)
		hash_sha256(pin_of, strlen(pin_of), root.spki);
	hash_hex(root.spki, 32, pin);
	snprintf(out, n, "gemel1.r1.t1.%s.%s\n", twin.secret, pin);
	return out;
}

static void on_late(evutil_socket_t fd, short what, void *ctx)
{
	*(bool *)ctx = true;
}

void twin_until(bool (*true_now)(void), const char *what)
{
	bool late = false;
	struct timeval limit = {TWIN_WAIT_S, 0}, turn = {0, 50000};
	struct event *end = evtimer_new(twin.base, on_late, &late), *tick;
	bool unused;
	tick = event_new(twin.base, -1, EV_PERSIST, on_late, &unused);
	event_add(end, &limit);
	event_add(tick, &turn); // conditions outside the loop are looked at again
	while (!late && !true_now())
		if (event_base_loop(twin.base, EVLOOP_ONCE) < 0)
			fail_msg("a check inside the loop has failed: nothing goes on");
	event_free(end);
	event_free(tick);
	if (late)
		fail_msg("not within %d s: %s", TWIN_WAIT_S, what);
}
