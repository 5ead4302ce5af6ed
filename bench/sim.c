// SPDX-License-Identifier: Apache-2.0
// All devices share the table of paths; each has its counters (8 bytes each), its chain and what is
// not acknowledged yet, so that it can send it again.
#include "sim.h"

#include "lib/base/clock.h"
#include "lib/batch/batch.h"
#include "lib/gnmi/gnmi_fast.h"
#include "lib/gnmi/path.h"
#include "lib/gnmi/tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WINDOW_MAX = 16, REDIAL_MS = 500, DIALS_MAX = 32 }; // one processor stands for all devices

static const char *const counters[SIM_COUNTERS] = {
	"in-octets",	   "in-pkts",		"in-errors",	    "in-discards",
	"in-unicast-pkts", "in-multicast-pkts", "out-octets",	    "out-pkts",
	"out-errors",	   "out-discards",	"out-unicast-pkts", "out-multicast-pkts"};

struct sim_path {
	struct buf text, wire;
};

struct sent { // not acknowledged
	struct buf message;
	uint64_t seq;
};

struct sim_device {
	struct sim *s;
	struct sim_identity who;
	unsigned number;
	struct tls_context *tls;
	struct grpc_conn *conn;
	struct tunnel_client *tunnel;
	struct grpc_call *call;
	struct event *timer;
	uint64_t *value;
	uint32_t random;
	bool up, dialling;
	uint64_t seq, acked;
	uint8_t previous[BATCH_HASH];
	struct sent window[WINDOW_MAX];
};

struct sim {
	struct sim_conf conf;
	struct x509_trust *trust;
	struct grpc_server *grpc;
	struct batch_canonical *canonical;
	struct sim_path *paths;
	unsigned n_paths;
	struct sim_device **devices;
	unsigned n, dialling;
	struct sim_counts count;
};

static void trouble(struct sim *s, const char *where, const char *text)
{
	snprintf(s->count.trouble, sizeof s->count.trouble, "%s: %s", where, text);
}

// --- counters

static uint32_t draw(struct sim_device *d)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 17;
	d->random ^= d->random << 5;
	return d->random;
}

// Octets and packets go together and irregularly; errors and discards hardly ever move.
static void advance(struct sim_device *d)
{
	for (unsigned i = 0; i < d->s->conf.interfaces; i++) {
		uint64_t *v = d->value + i * SIM_COUNTERS;
		for (unsigned way = 0; way < SIM_COUNTERS; way += 6) {
			uint32_t packets = 800 + draw(d) % 400;
			v[way] += (uint64_t)packets * (400 + draw(d) % 200);
			v[way + 1] += packets;
			v[way + 2] += draw(d) % 256 == 0;
			v[way + 3] += draw(d) % 128 == 0;
			v[way + 4] += packets - packets / 50;
			v[way + 5] += packets / 50;
		}
	}
}

// --- batches

static struct err make_batch(struct sim_device *d, struct sent *to)
{
	struct sim *s = d->s;
	struct gnmi_writer w;
	struct sign_signature signature;
	uint8_t hash[BATCH_HASH];
	int64_t now = clock_wall_ns();
	const struct sign_public *key = sign_key_public(d->who.batch);
	buf_reset(&to->message);
	to->seq = ++d->seq;
	gnmi_writer_start(&w, &to->message, now, NULL, 0);
	batch_canonical_start(s->canonical, d->who.name, d->seq, d->previous, s->n_paths);
	for (unsigned i = 0; i < s->n_paths; i++) {
		const struct sim_path *p = &s->paths[i];
		const struct gnmi_value g = {.type = GNMI_UINT, .u = d->value[i]};
		const struct batch_value v = {.type = VALUE_UINT, .u = d->value[i]};
		gnmi_write_update(&w, p->wire.data, p->wire.len, &g);
		batch_canonical_add(s->canonical, BATCH_UPDATE, now, (const char *)p->text.data,
				    p->text.len, &v);
	}
	batch_canonical_finish(s->canonical, hash);
	TRY(sign_make(d->who.batch, hash, sizeof hash, &signature));
	const struct gnmi_proof proof = {.present = true,
					 .seq = d->seq,
					 .previous = d->previous,
					 .key_id = key->id,
					 .signature = signature.bytes,
					 .signature_len = (uint32_t)signature.len,
					 .algorithm = key->algorithm,
					 .device = (const uint8_t *)d->who.name,
					 .device_len = (uint32_t)strlen(d->who.name),
					 .sync = d->seq == 1};
	gnmi_writer_finish(&w, &proof, NULL);
	memcpy(d->previous, hash, sizeof hash);
	return buf_check(&to->message, "batch");
}

static bool send_sample(struct sim_device *d)
{
	struct sim *s = d->s;
	struct sent *at = &d->window[(d->seq + 1) % s->conf.window];
	if (!d->call || d->seq - d->acked >= s->conf.window || grpc_call_full(d->call))
		return false;
	advance(d);
	struct err e = make_batch(d, at);
	if (e.code == ERR_NONE)
		e = grpc_call_send(d->call, at->message.data, at->message.len);
	if (e.code != ERR_NONE) {
		trouble(s, d->who.name, e.text);
		return false;
	}
	s->count.sent += s->n_paths;
	s->count.batches++;
	return true;
}

static void again_in(struct sim_device *d, unsigned ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	event_add(d->timer, &tv);
}

static void pump(struct sim_device *d)
{
	while (!d->s->conf.interval_ms && send_sample(d))
		;
}

static void send_again(struct sim_device *d)
{
	for (uint64_t seq = d->acked + 1; seq <= d->seq; seq++) {
		const struct sent *at = &d->window[seq % d->s->conf.window];
		struct err e = grpc_call_send(d->call, at->message.data, at->message.len);
		if (e.code != ERR_NONE)
			trouble(d->s, d->who.name, e.text);
		d->s->count.again++;
	}
}

// --- gNMI, served inside the tunnel

static struct err on_subscribe(void *ctx, struct grpc_call *call)
{
	struct sim_device *d = grpc_conn_context(grpc_call_conn(call));
	ENSURE(!d->call, ERR_CONFLICT, "one stream is enough");
	d->call = call;
	grpc_call_set_context(call, d);
	return OK;
}

static void on_request(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	struct sim_device *d = ctx;
	bool is_ack;
	uint64_t seq;
	const uint8_t *key_id;
	struct err e = gnmi_ack_read(message, n, &is_ack, &seq, &key_id);
	if (e.code != ERR_NONE) {
		trouble(d->s, d->who.name, e.text);
	} else if (!is_ack) {
		d->s->count.subscribed++;
		send_again(d);
		if (d->s->conf.interval_ms) // not all in the same moment
			again_in(d, draw(d) % d->s->conf.interval_ms);
	} else if (seq > d->acked && seq <= d->seq) {
		d->s->count.acked += (seq - d->acked) * d->s->n_paths;
		d->acked = seq;
	}
	pump(d);
}

static void on_stream_drain(void *ctx, struct grpc_call *call)
{
	pump(ctx);
}

static void on_stream_end(void *ctx, struct grpc_call *call, enum grpc_status status,
			  const char *text)
{
	struct sim_device *d = ctx;
	if (d->call != call)
		return;
	d->call = NULL;
	d->s->count.subscribed--;
	trouble(d->s, d->who.name, text);
}

static const struct grpc_handlers subscribe_handlers = {.on_start = on_subscribe,
							.on_message = on_request,
							.on_drain = on_stream_drain,
							.on_end = on_stream_end};

// --- the tunnel

static void on_registered(void *ctx, const char *target, const char *type, struct err answer)
{
	struct sim_device *d = ctx;
	if (answer.code != ERR_NONE)
		trouble(d->s, target, answer.text);
}

static void on_session(void *ctx, const char *target, const char *type, struct transport *t)
{
	struct sim_device *d = ctx;
	struct err e = grpc_server_accept(d->s->grpc, t, NULL, d, NULL);
	if (e.code != ERR_NONE)
		trouble(d->s, target, e.text);
}

static void on_tunnel_end(void *ctx, struct err why)
{
}

static const struct tunnel_client_events tunnel_events = {on_registered, on_session, on_tunnel_end};

static void join(struct sim_device *d)
{
	struct err e = tunnel_client_new(d->conn, &tunnel_events, d, &d->tunnel);
	if (e.code == ERR_NONE)
		e = tunnel_client_register(d->tunnel, d->who.name, TUNNEL_TYPE_GNMI);
	if (e.code != ERR_NONE)
		trouble(d->s, d->who.name, e.text);
}

static void on_attest_end(void *ctx, struct grpc_call *call, enum grpc_status status,
			  const char *text)
{
	struct sim_device *d = ctx;
	if (status == GRPC_OK && d->conn)
		join(d);
	else
		trouble(d->s, d->who.name, text);
}

static const struct grpc_handlers attest_handlers = {.on_end = on_attest_end};

static void dialled(struct sim_device *d)
{
	d->s->dialling -= d->dialling;
	d->dialling = false;
}

static struct err on_open(void *ctx, struct grpc_conn *conn)
{
	struct sim_device *d = ctx;
	struct grpc_call *call;
	dialled(d);
	d->up = true;
	d->s->count.connected++;
	return grpc_call_unary(conn, "/gemel.enrolment.v1.Enrolment/Attest", "", 0,
			       &attest_handlers, d, 0, &call);
}

static void on_conn_end(void *ctx, struct grpc_conn *conn, struct err why)
{
	struct sim_device *d = ctx;
	d->conn = NULL;
	dialled(d);
	tunnel_client_free(d->tunnel);
	d->tunnel = NULL;
	d->s->count.connected -= d->up;
	d->up = false;
	trouble(d->s, d->who.name, why.code ? why.text : "cut off");
	again_in(d, REDIAL_MS);
}

static const struct grpc_conn_events conn_events = {.on_open = on_open, .on_end = on_conn_end};

// --- dialling

static uint32_t sim_source(unsigned number)
{
	return 0x7f010000 + number + number / 250 * 6 + 1; // no .0 and no .255
}

static struct err dial(struct sim_device *d)
{
	struct sim *s = d->s;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(s->conf.port)};
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct tls_expect expect = {.role = "telemetry"};
	struct transport *t;
	struct ssl_st *ssl;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ENSURE(fd >= 0 && inet_pton(AF_INET, s->conf.address, &to.sin_addr) == 1, ERR_IO,
	       "no socket to %s", s->conf.address);
	from.sin_addr.s_addr = htonl(sim_source(d->number));
	if ((s->conf.spread && bind(fd, (struct sockaddr *)&from, sizeof from) != 0) ||
	    (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)) {
		struct err e = err_system("dialling %s", s->conf.address);
		close(fd);
		return e;
	}
	struct err e = tls_connection_new(d->tls, &expect, &ssl);
	if (e.code != ERR_NONE) {
		close(fd);
		return e;
	}
	TRY(transport_tls(s->conf.base, fd, ssl, false, &t));
	return grpc_client_new(t, NULL, &conn_events, d, &d->conn);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct sim_device *d = ctx;
	if (!d->conn && d->s->dialling >= DIALS_MAX) {
		again_in(d, 20 + draw(d) % 50);
	} else if (!d->conn) {
		d->dialling = true;
		d->s->dialling++;
		struct err e = dial(d);
		if (e.code != ERR_NONE) {
			dialled(d);
			trouble(d->s, d->who.name, e.text);
			again_in(d, REDIAL_MS);
		}
	} else if (d->call && d->s->conf.interval_ms) {
		send_sample(d);
		again_in(d, d->s->conf.interval_ms);
	}
}

struct err sim_add(struct sim *s, struct sim_identity *who)
{
	static const char *const alpn[] = {"h2", NULL};
	struct tls_conf conf = {.side = TLS_CLIENT, .trust = s->trust, .alpn = alpn};
	struct x509_chain chain = {
		.der = {who->certificate}, .len = {who->certificate_len}, .n = 1};
	ENSURE(s->n < s->conf.devices, ERR_LIMIT, "more devices than were announced");
	if (s->n == 0)
		TRY(x509_trust_add(s->trust, s->conf.root->data, s->conf.root->len));
	struct sim_device *d = calloc(1, sizeof *d);
	ENSURE(d, ERR_LIMIT, "out of memory");
	*d = (struct sim_device){
		.s = s, .who = *who, .number = s->n, .random = s->n * 2654435761u + 1};
	d->value = calloc(s->n_paths, sizeof *d->value);
	d->timer = event_new(s->conf.base, -1, 0, on_timer, d);
	ENSURE(d->value && d->timer, ERR_LIMIT, "out of memory");
	for (unsigned i = 0; i < s->n_paths; i++)
		d->value[i] = draw(d);
	TRY(tls_context_new(&conf, &d->tls));
	TRY(tls_context_set_identity(d->tls, &chain, d->who.tls));
	s->devices[s->n++] = d;
	again_in(d, s->n % 2000);
	return OK;
}

// --- all of them

static struct err make_paths(struct sim *s)
{
	s->n_paths = s->conf.interfaces * SIM_COUNTERS;
	s->paths = calloc(s->n_paths, sizeof *s->paths);
	ENSURE(s->paths, ERR_LIMIT, "out of memory");
	for (unsigned i = 0; i < s->n_paths; i++) {
		struct sim_path *p = &s->paths[i];
		buf_printf(&p->text, "/interfaces/interface[name=eth%u]/state/counters/%s",
			   i / SIM_COUNTERS, counters[i % SIM_COUNTERS]);
		TRY(path_wire_of_text(buf_text(&p->text), NULL, &p->wire));
	}
	return OK;
}

struct err sim_new(const struct sim_conf *conf, struct sim **out)
{
	struct sim *s = calloc(1, sizeof *s);
	ENSURE(s && conf->window > 0 && conf->window <= WINDOW_MAX, ERR_USAGE,
	       "a window of 1 to %d batches", WINDOW_MAX);
	s->conf = *conf;
	s->devices = calloc(conf->devices, sizeof(struct sim_device *));
	s->canonical = batch_canonical_new();
	s->trust = x509_trust_new();
	s->grpc = grpc_server_new(NULL);
	ENSURE(s->devices && s->canonical && s->trust && s->grpc, ERR_LIMIT, "out of memory");
	TRY(grpc_server_add(s->grpc, "/gnmi.gNMI/Subscribe", GRPC_BIDI, &subscribe_handlers, s));
	TRY(make_paths(s));
	*out = s;
	return OK;
}

void sim_pace(struct sim *s, unsigned interval_ms)
{
	s->conf.interval_ms = interval_ms;
	for (unsigned i = 0; i < s->n; i++) {
		event_del(s->devices[i]->timer);
		if (!s->devices[i]->conn)
			again_in(s->devices[i], REDIAL_MS);
		else if (interval_ms)
			again_in(s->devices[i], draw(s->devices[i]) % interval_ms);
		else
			pump(s->devices[i]);
	}
}

void sim_count(const struct sim *s, struct sim_counts *out)
{
	*out = s->count;
}

static void device_free(struct sim_device *d)
{
	struct grpc_conn *conn = d->conn;
	tunnel_client_free(d->tunnel);
	d->tunnel = NULL;
	if (conn)
		grpc_conn_close(conn);
	event_free(d->timer);
	tls_context_free(d->tls);
	for (int i = 0; i < WINDOW_MAX; i++)
		buf_clear(&d->window[i].message);
	sign_key_free(d->who.tls);
	sign_key_free(d->who.batch);
	free(d->who.certificate);
	free(d->value);
	free(d);
}

void sim_free(struct sim *s)
{
	for (unsigned i = 0; i < s->n; i++)
		device_free(s->devices[i]);
	for (unsigned i = 0; i < s->n_paths; i++) {
		buf_clear(&s->paths[i].text);
		buf_clear(&s->paths[i].wire);
	}
	batch_canonical_free(s->canonical);
	grpc_server_free(s->grpc);
	x509_trust_free(s->trust);
	free(s->paths);
	free(s->devices);
	free(s);
}
