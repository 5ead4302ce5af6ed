// SPDX-License-Identifier: Apache-2.0
#include "house.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/hash.h"
#include "telemetry/telemetry.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct house house = {.p = {.id = PROCESS_TELEMETRY, .state_dir = -1}};
void (*house_failed)(const char *what);
static struct house *h = &house;

void must(struct err e, const char *what)
{
	if (e.code == ERR_NONE)
		return;
	fprintf(stderr, "house: %s: %s\n", what, e.text);
	exit(1);
}

static void say(enum process_id from, enum ipc_type type, const ProtobufCMessage *m)
{
	if (h->others[from])
		must(ipc_send_pb(h->others[from], type, m), ipc_type_name(type));
}

// --- telemetry's side

static struct err on_message(void *ctx, const struct ipc_message *m)
{
	arena_reset(h->p.scratch);
	if (m->type == IPC_DIALLED) {
		struct err e = OK;
		Ipc__Dialled *d = IPC_UNPACK(dialled, m, h->p.scratch, &e);
		if (d)
			telemetry_part.dialled(&h->p, d->id, m->fd, *d->error ? d->error : NULL);
		return e;
	}
	for (size_t i = 0; i < telemetry_part.n_handlers; i++)
		if (telemetry_part.handlers[i].type == m->type)
			return telemetry_part.handlers[i].handle(&h->p, m);
	return err_make(ERR_INTERNAL, "%s has no handler", ipc_type_name(m->type));
}

static void on_drain(void *ctx, enum process_id peer)
{
	telemetry_part.drained(&h->p, peer);
}

static void on_close(void *ctx, enum process_id peer, struct err why)
{
	if (why.code == ERR_BUSY)
		return;
	fprintf(stderr, "house: channel to %s broke: %s\n", process_name(peer), why.text);
	exit(1);
}

// --- management

static struct told *tell(enum ipc_type type, const char *device, const char *word, const char *text)
{
	if (h->n_told == TOLD_MAX)
		memmove(h->told, h->told + 1, sizeof h->told[0] * --h->n_told);
	struct told *t = &h->told[h->n_told++];
	*t = (struct told){.type = type};
	snprintf(t->device, sizeof t->device, "%s", device);
	snprintf(t->word, sizeof t->word, "%s", word);
	snprintf(t->text, sizeof t->text, "%s", text);
	return t;
}

static void certify(const Ipc__CertRequest *r)
{
	scoped(buf) struct buf der = {0};
	static const char *const hosts[] = {"127.0.0.1"};
	struct x509_csr csr;
	must(x509_csr_read(r->csr.data, r->csr.len, &csr), "request");
	struct x509_issue want = {.profile = X509_PEER,
				  .name = r->role,
				  .key = &csr.key,
				  .hosts = hosts,
				  .n_hosts = 1,
				  .from_ns = clock_wall_ns() - 60 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 3600 * NS_PER_S,
				  .issuer = h->root.data,
				  .issuer_len = h->root.len};
	must(x509_issue(&want, h->authority, &der), "certificate");
	Ipc__CertIssued m = IPC__CERT_ISSUED__INIT;
	ProtobufCBinaryData chain[] = {{der.len, der.data}};
	m.id = r->id;
	m.chain = chain;
	m.n_chain = 1;
	m.root = (ProtobufCBinaryData){h->root.len, h->root.data};
	say(PROCESS_MANAGEMENT, IPC_CERT_ISSUED, &m.base);
}

static void admission(const Ipc__AdmitRequest *r)
{
	struct told *t = tell(IPC_ADMIT_REQUEST, r->device, r->tls_error, r->channel);
	Ipc__AdmitAnswer m = IPC__ADMIT_ANSWER__INIT;
	t->id = r->id;
	t->chain = r->n_chain;
	snprintf(t->session, sizeof t->session, "%s", r->session);
	snprintf(t->source, sizeof t->source, "%s", r->source);
	if (h->hold_admission)
		return;
	m.id = r->id;
	m.admitted = !h->refuse && !*r->tls_error;
	m.device = r->device;
	m.state = (char *)(uintptr_t) "production";
	m.reason = (char *)(uintptr_t)(h->refuse ? h->refuse : r->tls_error);
	say(PROCESS_MANAGEMENT, IPC_ADMIT_ANSWER, &m.base);
}

static void enrolment(const Ipc__EnrolRequest *r)
{
	static uint8_t accepted[] = {8, 1};
	struct told *t = tell(IPC_ENROL_REQUEST, "", r->method, r->source);
	Ipc__EnrolAnswer m = IPC__ENROL_ANSWER__INIT;
	t->id = r->id;
	t->chain = r->peer_certificate.len;
	t->bytes = r->message.len;
	snprintf(t->session, sizeof t->session, "%s", r->session);
	if (h->hold_enrolment)
		return;
	m.id = r->id;
	m.grpc_status = h->enrol_status;
	m.reason = (char *)(uintptr_t) "token-used";
	m.message = r->message;		      // an echo
	if (strcmp(r->method, "Attest") == 0) // AttestAnswer{accepted}
		m.message = (ProtobufCBinaryData){h->attest_no ? 0 : 2, accepted};
	say(PROCESS_MANAGEMENT, IPC_ENROL_ANSWER, &m.base);
}

static struct err on_management(void *ctx, const struct ipc_message *m)
{
	struct err e = OK;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	void *r = NULL;
	if (m->type == IPC_CERT_REQUEST && (r = IPC_UNPACK(cert_request, m, a, &e)))
		certify(r);
	else if (m->type == IPC_ADMIT_REQUEST && (r = IPC_UNPACK(admit_request, m, a, &e)))
		admission(r);
	else if (m->type == IPC_ENROL_REQUEST && (r = IPC_UNPACK(enrol_request, m, a, &e)))
		enrolment(r);
	else if (m->type == IPC_SESSION_END && (r = IPC_UNPACK(session_end, m, a, &e)))
		tell(IPC_SESSION_END, ((Ipc__SessionEnd *)r)->device, "",
		     ((Ipc__SessionEnd *)r)->reason);
	else if (m->type == IPC_OBSERVED && (r = IPC_UNPACK(observed, m, a, &e))) {
		const Ipc__Observed *o = r;
		struct told *t = tell(IPC_OBSERVED, o->device, o->kind, o->detail);
		t->count = o->count;
		snprintf(t->source, sizeof t->source, "%s", o->source);
	}
	return e;
}

// --- the repository

static void name_series(const Ipc__Series *list)
{
	for (size_t i = 0; i < list->n_items; i++) {
		const Ipc__SeriesItem *s = list->items[i];
		if (s->number >= SERIES_MAX)
			must(err_make(ERR_LIMIT, "series %u", s->number), "SERIES");
		snprintf(h->series[s->number].device, 65, "%s", s->device);
		snprintf(h->series[s->number].path, 200, "%s", s->path);
	}
}

static void keep(const struct batch_head *head, const struct batch_record *r)
{
	if (h->n_kept == RECORDS_MAX)
		memmove(h->kept, h->kept + 1, sizeof h->kept[0] * --h->n_kept);
	struct kept *k = &h->kept[h->n_kept++];
	const struct batch_value *v = &r->value;
	bool text = v->type == VALUE_STRING || v->type == VALUE_BYTES || v->type == VALUE_JSON;
	*k = (struct kept){.op = r->op, .type = v->type, .seq = head->seq, .flags = head->flags};
	memcpy(k->device, head->device, sizeof k->device);
	memcpy(k->path, h->series[r->series].path, sizeof k->path);
	k->number = text ? v->s.len : v->type == VALUE_BOOL ? v->b : v->u;
	if (text)
		snprintf(k->text, sizeof k->text, "%.*s", (int)v->s.len, (const char *)v->s.bytes);
}

static bool proved(const struct batch_head *head, const uint8_t hash[BATCH_HASH])
{
	for (unsigned i = 0; i < KEYS_MAX && h->keys[i]; i++)
		if (verify_check(h->keys[i], hash, BATCH_HASH, head->signature, head->signature_len)
			    .code == ERR_NONE)
			return true;
	return false;
}

static void answer_batch(const char *device, uint64_t seq, const uint8_t *key_id)
{
	Ipc__BatchAck ack = IPC__BATCH_ACK__INIT;
	Ipc__BatchRefused no = IPC__BATCH_REFUSED__INIT;
	ack.device = no.device = (char *)(uintptr_t)device;
	ack.seq = no.seq = seq;
	ack.key_id = no.key_id = (ProtobufCBinaryData){BATCH_KEY_ID, (uint8_t *)(uintptr_t)key_id};
	if (!h->refuse_batch) {
		say(PROCESS_REPOSITORY, IPC_BATCH_ACK, &ack.base);
		return;
	}
	no.reason = (char *)(uintptr_t)h->refuse_batch;
	no.expected = strcmp(h->refuse_batch, "repeat") == 0 ? seq + 1 : seq - 1;
	h->refuse_batch = NULL;
	say(PROCESS_REPOSITORY, IPC_BATCH_REFUSED, &no.base);
}

static struct err take_batch(const uint8_t *bytes, size_t n)
{
	struct cursor c = cursor_over(bytes, n);
	struct batch_head head;
	uint8_t hash[BATCH_HASH];
	size_t first = h->n_kept;
	TRY(batch_read_head(&c, &head));
	batch_canonical_start(h->canonical, head.device, head.seq, head.previous, head.count);
	for (uint32_t i = 0; i < head.count; i++) {
		struct batch_record r;
		TRY(batch_read_record(&c, &r));
		ENSURE(r.series < SERIES_MAX &&
			       strcmp(h->series[r.series].device, head.device) == 0,
		       ERR_PEER, "BATCH of %s: series %u is not its own", head.device, r.series);
		const char *path = h->series[r.series].path;
		batch_canonical_add(h->canonical, r.op, r.time_ns, path, strlen(path), &r.value);
		keep(&head, &r);
	}
	batch_canonical_finish(h->canonical, hash);
	TRY(cursor_finish(&c, "BATCH"));
	bool good = head.flags & BATCH_SIGNED && proved(&head, hash);
	for (size_t i = first; i < h->n_kept && first < RECORDS_MAX; i++)
		h->kept[i].proved = good;
	h->n_batches++;
	if (h->hold_acks && h->n_held < 256) {
		memcpy(h->held[h->n_held].device, head.device, 65);
		h->held[h->n_held].seq = head.seq;
		memcpy(h->held[h->n_held++].key_id, head.key_id, BATCH_KEY_ID);
		return OK;
	}
	answer_batch(head.device, head.seq, head.key_id);
	return OK;
}

void house_ack_held(void)
{
	for (size_t i = 0; i < h->n_held; i++)
		answer_batch(h->held[i].device, h->held[i].seq, h->held[i].key_id);
	h->n_held = 0;
}

static struct err on_repository(void *ctx, const struct ipc_message *m)
{
	struct err e = OK;
	scoped(arena) struct arena *a = arena_new(16 << 20);
	if (m->type == IPC_BATCH)
		return take_batch(m->bytes, m->len);
	Ipc__Series *list = IPC_UNPACK(series, m, a, &e);
	if (list)
		name_series(list);
	return e;
}

// --- the parent

static struct err on_parent(void *ctx, const struct ipc_message *m)
{
	struct err e = OK;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	if (m->type != IPC_DIAL)
		return OK; // METRICS
	Ipc__Dial *r = IPC_UNPACK(dial, m, a, &e);
	if (!r)
		return e;
	int port = h->dial_port ? h->dial_port : (int)r->port;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	Ipc__Dialled d = IPC__DIALLED__INIT;
	uint8_t bytes[512];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, r->address, &to.sin_addr);
	h->dials++;
	d.id = r->id;
	d.error = (char *)(uintptr_t) "";
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		d.error = strerror(errno);
		close(fd);
		fd = -1;
	}
	size_t n = protobuf_c_message_pack(&d.base, bytes);
	must(ipc_send(h->others[PROCESS_PARENT], IPC_DIALLED, bytes, n, fd), "DIALLED");
	if (fd >= 0)
		close(fd);
	return OK;
}

// --- channels

void house_up(enum process_id id)
{
	static const struct ipc_events ours = {on_message, on_drain, on_close};
	static const struct ipc_events theirs[PROCESS_COUNT] = {
		[PROCESS_PARENT] = {on_parent, NULL, on_close},
		[PROCESS_MANAGEMENT] = {on_management, NULL, on_close},
		[PROCESS_REPOSITORY] = {on_repository, NULL, on_close},
	};
	int fds[2];
	must(ipc_pair(fds), "channel");
	must(ipc_open(&h->p.peers[id], h->base, fds[0], PROCESS_TELEMETRY, id, &ours, NULL),
	     "channel");
	must(ipc_open(&h->others[id], h->base, fds[1], id, PROCESS_TELEMETRY, &theirs[id], NULL),
	     "channel");
	ipc_set_running(h->p.peers[id], true);
	ipc_set_running(h->others[id], true);
	if (h->p.running)
		telemetry_part.peer_up(&h->p, id);
}

void house_down(enum process_id id)
{
	ipc_close(h->others[id]);
	ipc_close(h->p.peers[id]);
	h->others[id] = h->p.peers[id] = NULL;
	telemetry_part.peer_down(&h->p, id);
}

static int listen_on(const char *name)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, 64) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		exit(1);
	must(telemetry_part.listener(&h->p, name, fd), "listener");
	return ntohs(at.sin_port);
}

void house_open(void)
{
	log_start("house", getenv("HOUSE_DEBUG") ? LOG_DEBUG : LOG_ERROR);
	must(crypto_start(), "crypto");
	h->conf.device_rate = 5000;
	h->conf.device_series = 1000;
	h->base = h->p.base = event_base_new();
	h->p.conf = &h->conf;
	h->p.scratch = arena_new(16 << 20);
	h->canonical = batch_canonical_new();
	must(sign_key_generate(SIGN_P256, &h->authority), "key");
	struct x509_issue want = {.profile = X509_ROOT,
				  .name = "house",
				  .key = sign_key_public(h->authority),
				  .from_ns = clock_wall_ns() - 7200 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 4 * 3600 * NS_PER_S};
	must(x509_issue(&want, h->authority, &h->root), "authority");
	must(telemetry_part.start(&h->p), "start");
	h->tunnel_port = listen_on("telemetry");
	h->enrolment_port = listen_on("enrolment");
	house_up(PROCESS_PARENT);
	h->p.running = true;
	must(telemetry_part.ready(&h->p), "ready");
	house_up(PROCESS_MANAGEMENT);
	house_up(PROCESS_REPOSITORY);
}

// --- the loop

void house_until(bool (*done)(void *ctx), void *ctx, const char *what)
{
	int64_t until = clock_mono_ns() + 60 * NS_PER_S;
	while (!done(ctx) && clock_mono_ns() < until) {
		event_base_loopexit(h->base, &(struct timeval){.tv_usec = 20000});
		event_base_loop(h->base, EVLOOP_ONCE);
	}
	if (done(ctx))
		return;
	if (house_failed)
		house_failed(what);
	fprintf(stderr, "house: never came: %s\n", what);
	exit(1);
}

void house_turn(int times)
{
	for (int i = 0; i < times; i++) {
		event_base_loopexit(h->base, &(struct timeval){.tv_usec = 2000});
		event_base_loop(h->base, 0);
	}
}

const struct told *house_told(enum ipc_type type, const char *device, const char *word)
{
	for (size_t i = h->n_told; i-- > 0;) {
		const struct told *t = &h->told[i];
		if (t->type == type && (!device || strcmp(t->device, device) == 0) &&
		    (!word || strcmp(t->word, word) == 0))
			return t;
	}
	return NULL;
}

size_t house_count(enum ipc_type type, const char *device, const char *word)
{
	size_t n = 0;
	for (size_t i = 0; i < h->n_told; i++)
		n += h->told[i].type == type &&
		     (!device || strcmp(h->told[i].device, device) == 0) &&
		     (!word || strcmp(h->told[i].word, word) == 0);
	return n;
}

void house_forget(void)
{
	h->n_told = h->n_kept = h->n_batches = 0;
}

// --- orders

void house_issue(const char *device, int64_t from_s, int64_t until_s, const struct sign_key *by,
		 const struct buf *issuer, struct house_certificate *out)
{
	*out = (struct house_certificate){0};
	must(sign_key_generate(SIGN_P256, &out->key), "key");
	struct x509_issue want = {.profile = X509_DEVICE,
				  .name = device,
				  .key = sign_key_public(out->key),
				  .from_ns = clock_wall_ns() + from_s * NS_PER_S,
				  .until_ns = clock_wall_ns() + until_s * NS_PER_S,
				  .issuer = issuer ? issuer->data : h->root.data,
				  .issuer_len = issuer ? issuer->len : h->root.len};
	must(x509_issue(&want, by ? by : h->authority, &out->der), "certificate");
}

void house_certificate_clear(struct house_certificate *c)
{
	sign_key_free(c->key);
	buf_clear(&c->der);
}

void house_revoke(const struct house_certificate *c)
{
	struct x509_identity who;
	struct x509_revoked r = {.time_ns = clock_wall_ns()};
	struct sign_signature signature;
	scoped(buf) struct buf tbs = {0};
	scoped(buf) struct buf crl = {0};
	must(x509_identify(c->der.data, c->der.len, &who), "certificate");
	r.serial_len = strlen(who.serial) / 2;
	hash_unhex(who.serial, r.serial, r.serial_len);
	must(x509_crl_prepare(h->root.data, h->root.len, &r, 1, 1, clock_wall_ns() - NS_PER_S,
			      clock_wall_ns() + 3600 * NS_PER_S, &tbs),
	     "CRL");
	must(sign_make(h->authority, tbs.data, tbs.len, &signature), "CRL");
	must(x509_assemble(tbs.data, tbs.len, signature.bytes, signature.len, &crl), "CRL");
	Ipc__CertIssued m = IPC__CERT_ISSUED__INIT;
	m.crl = (ProtobufCBinaryData){crl.len, crl.data};
	say(PROCESS_MANAGEMENT, IPC_CERT_ISSUED, &m.base);
}

void house_grant(const char *device, uint64_t id, const char *const *paths, bool signed_batches,
		 uint32_t updates_per_s, uint32_t max_series)
{
	Ipc__GrantItem item[32], *items[32];
	Ipc__Grant m = IPC__GRANT__INIT;
	for (; paths[m.n_items]; m.n_items++) {
		Ipc__GrantItem *g = items[m.n_items] = &item[m.n_items];
		const char *path = paths[m.n_items];
		ipc__grant_item__init(g);
		g->mode = *path == '~' ? 2 : 1;
		g->interval_ns = *path == '~' ? NS_PER_S : 0;
		g->path = (char *)(uintptr_t)(*path == '~' ? path + 1 : path);
	}
	m.items = items;
	m.device = (char *)(uintptr_t)device;
	m.grant = id;
	m.signed_batches = signed_batches;
	m.updates_per_s = updates_per_s;
	m.burst = updates_per_s;
	m.max_series = max_series;
	say(PROCESS_REPOSITORY, IPC_GRANT, &m.base);
}

void house_revoke_grant(const char *device)
{
	Ipc__GrantRevoke m = IPC__GRANT_REVOKE__INIT;
	m.device = (char *)(uintptr_t)device;
	m.reason = (char *)(uintptr_t) "suspended";
	say(PROCESS_REPOSITORY, IPC_GRANT_REVOKE, &m.base);
}

void house_drop(const char *device, const char *reason)
{
	Ipc__DeviceDrop m = IPC__DEVICE_DROP__INIT;
	m.device = (char *)(uintptr_t)device;
	m.reason = (char *)(uintptr_t)reason;
	say(PROCESS_MANAGEMENT, IPC_DEVICE_DROP, &m.base);
}

void house_target(const char *device, int port, const char *server_name, const struct buf *root,
		  bool gone)
{
	Ipc__Target m = IPC__TARGET__INIT;
	m.device = (char *)(uintptr_t)device;
	m.address = (char *)(uintptr_t) "127.0.0.1";
	m.port = (uint32_t)port;
	m.server_name = (char *)(uintptr_t)server_name;
	if (root)
		m.authority = (ProtobufCBinaryData){root->len, root->data};
	m.remove = gone;
	say(PROCESS_MANAGEMENT, IPC_TARGET, &m.base);
}
