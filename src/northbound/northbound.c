// SPDX-License-Identifier: Apache-2.0
// The northbound process faces whoever can reach the API: it has no data, no database, no credential
// but a TLS key of its own that lives a few days and never leaves it. Its certificate comes from
// management; until then connections wait in the listeners' backlog. X.2011 8.2.1-1, 8.3.1-7.
#include "northbound/northbound.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "northbound/openapi.h"

#include <jansson.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CERTIFICATE_RETRY_S = 2 };

// --- certificate

static void certificate_ask(struct northbound *nb)
{
	scoped(buf) struct buf csr = {.limit = 8192};
	struct err e = OK;
	nb->ask_again_ns = clock_mono_ns() + CERTIFICATE_RETRY_S * NS_PER_S;
	if (!nb->next_key)
		e = sign_key_generate(SIGN_P256, &nb->next_key);
	if (e.code == ERR_NONE)
		e = x509_csr_make(nb->next_key, "northbound", &csr);
	if (e.code == ERR_NONE) {
		Ipc__CertRequest m = IPC__CERT_REQUEST__INIT;
		m.id = nb->certificate_id = nb->next_id++;
		m.role = (char *)(uintptr_t)"northbound";
		m.csr = (ProtobufCBinaryData){csr.len, csr.data};
		e = process_send(nb->p, PROCESS_MANAGEMENT, IPC_CERT_REQUEST, &m.base);
	}
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("a certificate could not be asked for: %s", e.text);
}

static struct err serve(struct northbound *nb)
{
	static const char *const names[DOORS] = {"API", "console"};
	for (int i = 0; i < DOORS; i++) {
		if (nb->listeners[i] < 0)
			continue;
		TRY(http_listen(nb->http, (enum http_door)i, nb->listeners[i]));
		nb->listeners[i] = -1; // the door's
		log_notice("the %s is served", names[i]);
	}
	return OK;
}

static struct err certificate_take(struct northbound *nb, const Ipc__CertIssued *m)
{
	struct x509_chain chain = {.n = m->n_chain};
	struct x509_identity who;
	ENSURE(m->n_chain > 0 && m->n_chain <= X509_CHAIN_MAX, ERR_PEER, "a chain of %zu certificates",
	       m->n_chain);
	for (size_t i = 0; i < m->n_chain; i++) {
		chain.der[i] = m->chain[i].data;
		chain.len[i] = m->chain[i].len;
	}
	TRY(x509_identify(chain.der[0], chain.len[0], &who));
	TRY(tls_context_set_identity(nb->tls, &chain, nb->next_key));
	sign_key_free(nb->key);
	nb->key = nb->next_key;
	nb->next_key = NULL;
	int64_t left = who.until_ns - clock_wall_ns();
	nb->ask_again_ns = clock_mono_ns() + (left > 0 ? left / 3 * 2 : 0);
	return OK;
}

static struct err on_cert_issued(struct process *p, const struct ipc_message *msg)
{
	struct northbound *nb = p->self;
	struct err e = OK;
	Ipc__CertIssued *m = IPC_UNPACK(cert_issued, msg, p->scratch, &e);
	if (!m)
		return e;
	if (m->id != nb->certificate_id || !nb->next_key)
		return OK; // an answer to an older asking
	nb->ask_again_ns = clock_mono_ns() + CERTIFICATE_RETRY_S * NS_PER_S;
	if (*m->error) {
		log_warning("no certificate yet: %s", m->error);
		return OK;
	}
	TRY(certificate_take(nb, m));
	if (!nb->serving)
		TRY(serve(nb));
	nb->serving = true;
	return OK;
}

// --- sessions

struct err session_check(struct northbound *nb, const uint8_t hash[32], const char *source,
			 enum http_door door)
{
	Ipc__SessionCheck m = IPC__SESSION_CHECK__INIT;
	m.id = nb->next_id++;
	m.token_hash = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)hash};
	m.source = (char *)(uintptr_t)source;
	m.channel = (char *)(uintptr_t)(door == DOOR_API ? "api" : "console");
	return process_send(nb->p, PROCESS_MANAGEMENT, IPC_SESSION_CHECK, &m.base);
}

bool session_know(struct northbound *nb, struct session *s)
{
	if (s->known || !nb->has_ticket_key)
		return s->known;
	struct err e = access_ticket_verify(s->ticket, s->ticket_len, nb->ticket_key, clock_wall_ns(),
					    &s->who);
	if (e.code != ERR_NONE)
		log_warning("a ticket is not believed: %s", e.text);
	s->known = e.code == ERR_NONE;
	return s->known;
}

// All requests that wait for this session go on.
static void session_come(struct northbound *nb, const uint8_t hash[32], struct err why)
{
	struct exchange *x = LIST_FIRST(&nb->exchanges), *next;
	for (; x; x = next) {
		next = LIST_NEXT(x, link);
		if (x->state == EXCHANGE_SESSION && x->with_session &&
		    memcmp(x->token_hash, hash, 32) == 0)
			exchange_session(x, why);
	}
}

static struct err on_session(struct process *p, const struct ipc_message *msg)
{
	struct northbound *nb = p->self;
	struct err e = OK;
	struct session *s;
	Ipc__Session *m = IPC_UNPACK(session, msg, p->scratch, &e);
	if (!m)
		return e;
	ENSURE(m->token_hash.len == 32, ERR_PEER, "SESSION with a hash of %zu bytes", m->token_hash.len);
	const uint8_t *hash = m->token_hash.data;
	if (m->ended || *m->error) {
		streams_session_ended(nb, hash);
		sessions_drop(nb->sessions, hash);
		session_come(nb, hash, err_make(ERR_AUTH, "%s", *m->error ? m->error
								: "the session is over"));
		return OK;
	}
	e = sessions_put(nb->sessions, hash, m->ticket.data, m->ticket.len, m->until_ns, &s);
	session_come(nb, hash, e);
	return e.code == ERR_PEER ? e : OK;
}

// --- policy and keys

static void policy_take(struct northbound *nb)
{
	struct access_policy *fresh = NULL;
	if (!nb->has_policy_key || !nb->policy_bytes)
		return;
	struct err e = access_policy_load(nb->policy_bytes, nb->policy_len, nb->policy_key, &fresh);
	if (e.code != ERR_NONE) {
		log_error("the policy snapshot is refused, the last one stays: %s", e.text);
		return;
	}
	access_policy_free(nb->policy);
	nb->policy = fresh;
}

static struct err on_policy(struct process *p, const struct ipc_message *msg)
{
	struct northbound *nb = p->self;
	struct err e = OK;
	Ipc__Policy *m = IPC_UNPACK(policy, msg, p->scratch, &e);
	if (!m)
		return e;
	uint8_t *copy = malloc(m->snapshot.len + 1);
	ENSURE(copy, ERR_INTERNAL, "out of memory");
	if (m->snapshot.len)
		memcpy(copy, m->snapshot.data, m->snapshot.len);
	free(nb->policy_bytes);
	nb->policy_bytes = copy;
	nb->policy_len = m->snapshot.len;
	policy_take(nb);
	return OK;
}

static struct err on_key_public(struct process *p, const struct ipc_message *msg)
{
	struct northbound *nb = p->self;
	struct err e = OK;
	Ipc__KeyPublic *m = IPC_UNPACK(key_public, msg, p->scratch, &e);
	if (!m)
		return e;
	for (size_t i = 0; i < m->n_keys; i++) {
		const Ipc__KeyPublicItem *k = m->keys[i];
		bool ticket = k->purpose == IPC__KEY_PURPOSE__KEY_TICKET;
		if (!ticket && k->purpose != IPC__KEY_PURPOSE__KEY_POLICY)
			continue;
		ENSURE(k->algorithm == SIGN_ED25519 && k->public_key.len == 32, ERR_PEER,
		       "key for %s is not 32 bytes of Ed25519", ticket ? "tickets" : "policy");
		memcpy(ticket ? nb->ticket_key : nb->policy_key, k->public_key.data, 32);
		nb->has_ticket_key |= ticket;
		nb->has_policy_key |= !ticket;
	}
	policy_take(nb);
	streams_pump(nb);
	return OK;
}

// --- other messages

static struct err on_event(struct process *p, const struct ipc_message *msg)
{
	struct northbound *nb = p->self;
	struct err e = OK;
	Ipc__Event *m = IPC_UNPACK(event, msg, p->scratch, &e);
	if (!m)
		return e;
	TRY(ring_add(nb->ring, process_name(msg->from), m->type, m->subject, m->class_, m->time_ns,
		     m->json.data, m->json.len));
	nb->events++;
	streams_pump(nb);
	return OK;
}

static struct err on_answer(struct process *p, const struct ipc_message *m)
{
	return relay_answer(p->self, m);
}

static struct err on_metrics(struct process *p, const struct ipc_message *m)
{
	return local_metrics_keep(p->self, m);
}

static struct err on_witness_ask(struct process *p, const struct ipc_message *m)
{
	return witness_ask(p->self, m);
}

static void dialled(struct process *p, uint64_t id, int fd, const char *error)
{
	witness_dialled(p->self, id, fd, error);
}

// --- life

static void on_tick(int fd, short what, void *ctx)
{
	struct northbound *nb = ctx;
	int64_t now = clock_mono_ns();
	exchanges_tick(nb);
	streams_tick(nb);
	witness_tick(nb);
	local_counts(nb);
	if (nb->p->peers[PROCESS_MANAGEMENT]) {
		if (nb->policy)
			access_policy_refresh(nb->policy, clock_wall_ns());
		if (now >= nb->ask_again_ns)
			certificate_ask(nb);
	}
}

static struct err files_start(struct northbound *nb)
{
	const char *folders[] = {nb->p->conf->console_files, CONSOLE_INSTALLED, CONSOLE_BUILT};
	size_t n = sizeof folders / sizeof *folders;
	for (size_t i = 0; i < n; i++) {
		if (!folders[i] || !*folders[i])
			continue;
		struct err e = files_load(folders[i], &nb->files);
		if (e.code == ERR_NONE) {
			log_notice("%zu console files are served from %s", files_count(nb->files),
				   folders[i]);
			return OK;
		}
		if (i == 0) // what was asked for in so many words must be there
			return err_within(e, "console_files");
	}
	log_warning("no console files: neither at %s nor at %s", CONSOLE_INSTALLED, CONSOLE_BUILT);
	return OK;
}

static struct err self_make(struct process *p, struct northbound **out)
{
	*out = p->self;
	if (*out)
		return OK;
	*out = p->self = calloc(1, sizeof **out);
	ENSURE(*out, ERR_INTERNAL, "out of memory");
	(*out)->listeners[DOOR_API] = (*out)->listeners[DOOR_CONSOLE] = -1;
	return OK;
}

static struct err start(struct process *p)
{
	static const char *const alpn[] = {"http/1.1", NULL};
	static const struct http_events events = {exchange_begin, stream_gone};
	struct tls_conf tls = {.side = TLS_SERVER, .peer = TLS_PEER_NONE, .alpn = alpn,
			       .alpn_optional = true};
	struct northbound *nb;
	TRY(self_make(p, &nb)); // a listener may have come first
	signal(SIGPIPE, SIG_IGN);
	TRY(crypto_start());
	nb->p = p;
	nb->next_id = 1;
	LIST_INIT(&nb->exchanges);
	LIST_INIT(&nb->asks);
	nb->sessions = sessions_new();
	nb->ring = ring_new(RING_EVENTS_MAX, RING_BYTES_MAX, (uint64_t)clock_wall_ns() / 1000);
	json_t *document = openapi_document();
	nb->openapi = document ? json_dumps(document, JSON_INDENT(1)) : NULL;
	json_decref(document);
	nb->tick = event_new(p->base, -1, EV_PERSIST, on_tick, nb);
	ENSURE(nb->sessions && nb->ring && nb->openapi && nb->tick, ERR_INTERNAL, "out of memory");
	nb->openapi_len = strlen(nb->openapi);
	TRY(files_start(nb));
	TRY(tls_context_new(&tls, &nb->tls));
	TRY(sign_key_generate(SIGN_P256, &nb->next_key));
	return http_new(p->base, nb->tls, NULL, &events, nb, &nb->http);
}

static struct err listener(struct process *p, const char *name, int fd)
{
	struct northbound *nb;
	TRY(self_make(p, &nb));
	bool api = strcmp(name, "api") == 0;
	ENSURE(api || strcmp(name, "console") == 0, ERR_PEER, "a listener named \"%.32s\"", name);
	nb->listeners[api ? DOOR_API : DOOR_CONSOLE] = fd;
	return OK;
}

static struct err ready(struct process *p)
{
	struct northbound *nb = p->self;
	event_add(nb->tick, &(struct timeval){.tv_sec = 1});
	if (p->peers[PROCESS_MANAGEMENT])
		certificate_ask(nb);
	return OK;
}

static void peer_up(struct process *p, enum process_id peer)
{
	struct northbound *nb = p->self;
	if (peer != PROCESS_MANAGEMENT || !nb || !p->running)
		return;
	if (!nb->serving || clock_mono_ns() >= nb->ask_again_ns)
		certificate_ask(nb);
}

static void peer_down(struct process *p, enum process_id peer)
{
	if (p->self)
		relay_away(p->self, peer);
}

static const struct process_handler handlers[] = {
	{IPC_CERT_ISSUED, on_cert_issued}, {IPC_SESSION, on_session},
	{IPC_API_ANSWER, on_answer},	   {IPC_EVENT, on_event},
	{IPC_POLICY, on_policy},	   {IPC_KEY_PUBLIC, on_key_public},
	{IPC_METRICS, on_metrics},	   {IPC_WITNESS_ASK, on_witness_ask},
};

static const char *const syscalls[] = {"accept4", "getpeername", "getsockname", "shutdown",
				       "setsockopt", "getsockopt", NULL};

extern const struct process_part northbound_part;
const struct process_part northbound_part = {
	.id = PROCESS_NORTHBOUND,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
	.syscalls = syscalls,
	.start = start,
	.ready = ready,
	.peer_up = peer_up,
	.peer_down = peer_down,
	.listener = listener,
	.dialled = dialled,
};
