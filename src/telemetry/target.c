// SPDX-License-Identifier: Apache-2.0
// Standard gNMI devices, which listen: telemetry dials them while the repository grants something
// of theirs, checks their certificate against the authority that the operator named for them, asks
// management for admission like for any other, and reads what they speak (Capabilities) before it
// subscribes. They prove nothing about a batch: what comes from them is marked as observed by
// telemetry (batch.h: not BATCH_SIGNED). X.2011 6-interface, 8.2.1-1.
#include "telemetry/telemetry.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/gnmi/gnmi.pb-c.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CAPABILITIES_MS = 10000, CAPABILITIES_MAX = 1 << 20 };

static void later(struct target *g)
{
	const struct telemetry_limits *l = &telemetry_limits;
	g->wait_ns = g->wait_ns ? g->wait_ns * 2 : l->retry_ns;
	if (g->wait_ns > l->retry_most_ns)
		g->wait_ns = l->retry_most_ns;
	g->retry_ns = clock_mono_ns() + g->wait_ns;
}

// --- what management names

static struct target *find(struct telemetry *t, const char *device)
{
	struct target *g;
	LIST_FOREACH(g, &t->targets, link)
	if (strcmp(g->device->name, device) == 0)
		return g;
	return NULL;
}

static void target_free(struct target *g)
{
	struct device *d = g->device;
	if (g->session)
		session_end(g->session, "it is no target any more");
	LIST_REMOVE(g, link);
	g->t->n_targets--;
	d->target = NULL;
	tls_context_free(g->tls);
	x509_trust_free(g->trust);
	free(g);
	device_release(d);
}

static struct err trust_of(struct target *g, const ProtobufCBinaryData *authority)
{
	static const char *const alpn[] = {"h2", NULL};
	static const char pem[] = "-----BEGIN";
	ENSURE(authority->len > 0, ERR_USAGE, "no authority is named for its certificate");
	g->trust = x509_trust_new();
	ENSURE(g->trust, ERR_LIMIT, "out of memory");
	if (authority->len > sizeof pem && memcmp(authority->data, pem, sizeof pem - 1) == 0)
		TRY(x509_trust_add_pem(g->trust, (const char *)authority->data, authority->len));
	else
		TRY(x509_trust_add(g->trust, authority->data, authority->len));
	struct tls_conf conf = {.side = TLS_CLIENT, .trust = g->trust, .alpn = alpn};
	return tls_context_new(&conf, &g->tls);
}

static struct err fill(struct target *g, const Ipc__Target *m)
{
	ENSURE(m->port > 0 && m->port < 65536, ERR_USAGE, "port %u", m->port);
	ENSURE(strlen(m->address) < sizeof g->address && strlen(m->netns) < sizeof g->netns &&
		       strlen(m->server_name) < sizeof g->server_name,
	       ERR_USAGE, "an address or name is too long");
	memcpy(g->address, m->address, strlen(m->address) + 1);
	memcpy(g->netns, m->netns, strlen(m->netns) + 1);
	const char *name = *m->server_name ? m->server_name : m->address;
	memcpy(g->server_name, name, strlen(name) + 1);
	g->port = (uint16_t)m->port;
	return trust_of(g, &m->authority);
}

static struct err target_new(struct telemetry *t, const Ipc__Target *m)
{
	struct device *d;
	ENSURE(t->n_targets < TARGETS_MAX, ERR_LIMIT, "at most %d targets", TARGETS_MAX);
	TRY(device_get(t, m->device, &d));
	struct target *g = calloc(1, sizeof *g);
	ENSURE(g, ERR_LIMIT, "out of memory");
	g->t = t;
	g->device = d;
	g->encoding = -1;
	d->target = g;
	LIST_INSERT_HEAD(&t->targets, g, link);
	t->n_targets++;
	struct err e = fill(g, m);
	if (e.code != ERR_NONE) {
		target_free(g);
		return e;
	}
	collect_consider(d);
	return OK;
}

struct err target_set(struct telemetry *t, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__Target *m = IPC_UNPACK(target, msg, t->p->scratch, &e);
	if (!m)
		return e;
	struct target *old = find(t, m->device);
	if (old)
		target_free(old);
	if (m->remove)
		return OK;
	e = target_new(t, m);
	if (e.code != ERR_NONE) { // the operator's mistake ends nothing but this target
		log_error("target %.64s: %s", m->device, e.text);
		observe(t, "target-unusable", m->device, "", "%s", e.text);
	}
	return OK;
}

// --- connecting

void target_want(struct target *g)
{
	struct telemetry *t = g->t;
	if (!g->device->grant || g->device->grant->scope->n == 0) { // X.2011 8.1.2-1
		if (g->session)
			session_end(g->session, "nothing is granted");
		return;
	}
	if (g->session || g->dial || clock_mono_ns() < g->retry_ns)
		return;
	uint64_t id = t->next_id++;
	struct err e = process_dial(t->p, id, g->address, g->port, g->netns);
	if (e.code == ERR_NONE)
		g->dial = id;
	else
		later(g);
}

static struct err connected(struct target *g, int fd)
{
	struct telemetry *t = g->t;
	struct transport *tr;
	SSL *ssl;
	char source[SOURCE_TEXT_MAX + 16];
	struct tls_expect expect = {.host = g->server_name};
	struct err e = identity_lend(t, g->tls);
	if (e.code == ERR_NONE)
		e = tls_connection_new(g->tls, &expect, &ssl);
	if (e.code != ERR_NONE) {
		close(fd);
		return e;
	}
	TRY(transport_tls(t->p->base, fd, ssl, false, &tr));
	snprintf(source, sizeof source, strchr(g->address, ':') ? "[%s]:%u" : "%s:%u", g->address,
		 g->port);
	return session_new(t, tr, NULL, g, source);
}

void target_dialled(struct telemetry *t, uint64_t id, int fd, const char *error)
{
	struct target *g;
	LIST_FOREACH(g, &t->targets, link)
	if (g->dial == id)
		break;
	if (!g || id == 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	g->dial = 0;
	struct err e = fd >= 0 ? connected(g, fd) : err_make(ERR_IO, "%s", error ? error : "");
	if (e.code == ERR_NONE)
		return;
	observe(t, "target-unreachable", g->device->name, g->address, "port %u: %s", g->port,
		e.text);
	later(g);
}

// --- what it speaks

static bool speaks(const Gnmi__CapabilityResponse *r, Gnmi__Encoding encoding)
{
	for (size_t i = 0; i < r->n_supported_encodings; i++)
		if (r->supported_encodings[i] == encoding)
			return true;
	return false;
}

static void on_capabilities(void *ctx, struct grpc_call *call, const uint8_t *message, size_t n)
{
	static const Gnmi__Encoding wanted[] = {GNMI__ENCODING__PROTO, GNMI__ENCODING__JSON_IETF,
						GNMI__ENCODING__JSON};
	struct target *g = ctx;
	scoped(arena) struct arena *a = arena_new(8 * CAPABILITIES_MAX);
	if (!a || n > CAPABILITIES_MAX)
		return;
	ProtobufCAllocator in_arena = ipc_arena_allocator(a);
	Gnmi__CapabilityResponse *r = gnmi__capability_response__unpack(&in_arena, n, message);
	if (!r)
		return;
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted && g->encoding < 0; i++)
		if (speaks(r, wanted[i]))
			g->encoding = (int)wanted[i];
	log_notice("target %s speaks gNMI %.20s, %zu models", g->device->name, r->gnmi_version,
		   r->n_supported_models);
}

static void on_capabilities_end(void *ctx, struct grpc_call *call, enum grpc_status status,
				const char *text)
{
	struct target *g = ctx;
	g->asking = NULL;
	if (!g->session || g->session->state != ADMISSION_ADMITTED || status == GRPC_UNAVAILABLE)
		return; // it is going
	if (status != GRPC_OK)
		log_notice("target %s: Capabilities: %s %s", g->device->name,
			   grpc_status_name(status), text);
	if (g->encoding < 0)
		g->encoding = GNMI__ENCODING__PROTO;
	g->device->reachable = true;
	collect_consider(g->device);
}

static const struct grpc_handlers capabilities_handlers = {.on_message = on_capabilities,
							   .on_end = on_capabilities_end};

void target_admitted(struct target *g)
{
	static const uint8_t empty[1];
	g->wait_ns = 0;
	g->encoding = -1;
	g->device->conn = g->session->conn;
	struct err e = grpc_call_unary(g->device->conn, "/gnmi.gNMI/Capabilities", empty, 0,
				       &capabilities_handlers, g, CAPABILITIES_MS, &g->asking);
	if (e.code != ERR_NONE)
		session_end(g->session, e.text);
}

void target_gone(struct target *g, struct session *s, const char *why)
{
	if (g->session != s)
		return;
	g->session = NULL;
	g->asking = NULL;
	log_notice("target %s is not connected any more: %s", g->device->name, why);
	later(g);
}

void targets_tick(struct telemetry *t)
{
	struct target *g;
	LIST_FOREACH(g, &t->targets, link)
	if (!g->session && g->device->grant)
		target_want(g);
}
