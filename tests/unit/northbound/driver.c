// SPDX-License-Identifier: Apache-2.0
// The northbound process as gemeld runs it, but in this program, with its neighbours played at the
// other ends of its channels: a small authority, sessions "good", "viewer", "short", and an owner of
// operations that answers with what it was asked. drive.py talks to it over HTTPS.
//     driver FOLDER    writes FOLDER/authority.pem, prints "API CONSOLE" (ports), then obeys lines:
//     event TYPE SUBJECT CLASS | flood COUNT | end | down NAME | up NAME | metrics | witness | quit
#include "lib/access/access.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/x509.h"
#include "lib/ipc/messages.pb-c.h"
#include "lib/ipc/process.h"
#include "northbound/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern const struct process_part northbound_part;

enum { PARTS = 40, PART_BYTES = 4096 };

static struct process p = {.id = PROCESS_NORTHBOUND, .state_dir = -1};
static struct ipc_channel *others[PROCESS_COUNT]; // the neighbours' ends
static struct daemon_conf conf;
static struct sign_key *authority, *signer; // signer: tickets and policy
static struct buf root;
static bool up[PROCESS_COUNT];

static void must(struct err e, const char *what)
{
	if (e.code == ERR_NONE)
		return;
	fprintf(stderr, "driver: %s: %s\n", what, e.text);
	exit(1);
}

static void say(enum process_id from, enum ipc_type type, const ProtobufCMessage *m)
{
	if (others[from])
		must(ipc_send_pb(others[from], type, m), ipc_type_name(type));
}

// --- northbound's side

static struct err on_message(void *ctx, const struct ipc_message *m)
{
	arena_reset(p.scratch);
	if (m->type == IPC_DIALLED) {
		struct err e = OK;
		Ipc__Dialled *d = IPC_UNPACK(dialled, m, p.scratch, &e);
		if (!d)
			return e;
		northbound_part.dialled(&p, d->id, m->fd, d->error);
		return OK;
	}
	for (size_t i = 0; i < northbound_part.n_handlers; i++)
		if (northbound_part.handlers[i].type == m->type) {
			struct err e = northbound_part.handlers[i].handle(&p, m);
			if (e.code != ERR_NONE)
				fprintf(stderr, "driver: %s: %s\n", ipc_type_name(m->type), e.text);
			return e;
		}
	return err_make(ERR_INTERNAL, "%s has no handler", ipc_type_name(m->type));
}

static void on_close(void *ctx, enum process_id peer, struct err why)
{
}

// --- management

static void issue(const Ipc__CertRequest *r)
{
	scoped(buf) struct buf der = {0};
	struct x509_csr csr;
	static const char *const hosts[] = {"127.0.0.1", "localhost"};
	must(x509_csr_read(r->csr.data, r->csr.len, &csr), "request");
	struct x509_issue want = {.profile = X509_SERVER, .name = r->role, .key = &csr.key, .hosts = hosts,
				  .n_hosts = 2, .from_ns = clock_wall_ns() - 60 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 3600 * NS_PER_S, .issuer = root.data,
				  .issuer_len = root.len};
	must(x509_issue(&want, authority, &der), "certificate");
	Ipc__CertIssued m = IPC__CERT_ISSUED__INIT;
	ProtobufCBinaryData chain[] = {{der.len, der.data}};
	m.id = r->id;
	m.chain = chain;
	m.n_chain = 1;
	say(PROCESS_MANAGEMENT, IPC_CERT_ISSUED, &m.base);
}

static void ticket_make(const char *role, int64_t until_ns, struct buf *out)
{
	struct access_subject s = {.account = "ann", .session = "0123456789abcdef0123456789abcdef",
				   .n_roles = 1, .issued_ns = clock_wall_ns(), .until_ns = until_ns};
	struct sign_signature signature;
	snprintf(s.roles[0], sizeof s.roles[0], "%s", role);
	access_ticket_encode(&s, out);
	must(sign_make(signer, out->data, out->len, &signature), "ticket");
	buf_append(out, signature.bytes, signature.len);
}

static void check(const Ipc__SessionCheck *r)
{
	static const struct {
		const char *token, *role;
		int seconds;
	} known[] = {{"good", "administrator", 290}, {"viewer", "viewer", 290}, {"short", "viewer", 2}};
	Ipc__Session m = IPC__SESSION__INIT;
	scoped(buf) struct buf ticket = {0};
	m.id = r->id;
	m.token_hash = r->token_hash;
	m.error = (char *)(uintptr_t)"the session is not known";
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		uint8_t hash[32];
		hash_sha256(known[i].token, strlen(known[i].token), hash);
		if (memcmp(hash, r->token_hash.data, 32) != 0)
			continue;
		m.until_ns = clock_wall_ns() + known[i].seconds * NS_PER_S;
		ticket_make(known[i].role, m.until_ns, &ticket);
		m.ticket = (ProtobufCBinaryData){ticket.len, ticket.data};
		m.error = (char *)(uintptr_t)"";
	}
	say(PROCESS_MANAGEMENT, IPC_SESSION, &m.base);
}

// --- owners

static const char *param(const Ipc__ApiRequest *r, const char *name)
{
	for (size_t i = 0; i < r->n_params; i++)
		if (strcmp(r->params[i]->name, name) == 0 &&
		    r->params[i]->value_case == IPC__PARAM__VALUE_TEXT)
			return r->params[i]->text;
	return "";
}

static json_t *echo(const Ipc__ApiRequest *r)
{
	json_t *params = json_object();
	for (size_t i = 0; i < r->n_params; i++) {
		const Ipc__Param *q = r->params[i];
		json_object_set_new(params, q->name,
				    q->value_case == IPC__PARAM__VALUE_NUMBER ? json_integer(q->number)
				    : q->value_case == IPC__PARAM__VALUE_FLAG ? json_boolean(q->flag)
									      : json_string(q->text));
	}
	return json_pack("{s:s,s:o,s:s,s:s,s:b,s:b}", "operation", r->operation, "params", params, "if_match",
			 r->if_match, "idempotency_key", r->idempotency_key, "cli", r->cli, "ticket",
			 r->ticket.len > 0);
}

static void answer(enum process_id from, uint64_t id, unsigned status, const void *body, size_t n,
		   bool more, const char *token)
{
	Ipc__ApiAnswer m = IPC__API_ANSWER__INIT;
	m.id = id;
	m.status = status;
	m.body = (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)body};
	m.more = more;
	m.etag = (char *)(uintptr_t)(status == 200 ? "\"v1\"" : "");
	m.set_session = (ProtobufCBinaryData){token ? strlen(token) : 0, (uint8_t *)(uintptr_t)token};
	say(from, IPC_API_ANSWER, &m.base);
}

static void own(enum process_id me, const Ipc__ApiRequest *r)
{
	static const char denied[] = "{\"type\":\"urn:gemel:problem:denied\",\"title\":\"Not permitted\","
				     "\"status\":403,\"detail\":\"ann may not\",\"fix\":\"Ask.\"}";
	const char *id = param(r, "id");
	bool login = strcmp(r->operation, "session.login") == 0;
	if (strcmp(id, "never") == 0)
		return;
	if (strcmp(id, "denied") == 0 || (login && strcmp(param(r, "password"), "right") != 0)) {
		answer(me, r->id, login ? 401 : 403, denied, sizeof denied - 1, false, NULL);
		return;
	}
	if (strcmp(id, "parts") == 0 || strcmp(id, "big") == 0) {
		size_t n = *id == 'b' ? 7 << 20 : PART_BYTES;
		char *part = malloc(n);
		memset(part, 'x', n);
		for (int i = 0; i < (*id == 'b' ? 1 : PARTS); i++)
			answer(me, r->id, 200, part, n, *id == 'p' && i < PARTS - 1, NULL);
		free(part);
		return;
	}
	json_t *j = echo(r);
	if (login)
		json_object_del(j, "params");
	char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	answer(me, r->id, 200, text, strlen(text), false, login ? "good" : NULL);
	free(text);
}

// --- parent

static void dial(const Ipc__Dial *r)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)r->port)};
	Ipc__Dialled m = IPC__DIALLED__INIT;
	scoped(buf) struct buf bytes = {0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, r->address, &to.sin_addr);
	m.id = r->id;
	m.error = (char *)(uintptr_t)"";
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		m.error = strerror(errno);
		close(fd);
		fd = -1;
	}
	size_t n = protobuf_c_message_get_packed_size(&m.base);
	protobuf_c_message_pack(&m.base, buf_space(&bytes, n));
	must(ipc_send(others[PROCESS_PARENT], IPC_DIALLED, bytes.data, bytes.len, fd), "DIALLED");
	if (fd >= 0)
		close(fd);
}

static struct err on_other(void *ctx, const struct ipc_message *m)
{
	enum process_id me = (enum process_id)(intptr_t)ctx;
	struct err e = OK;
	scoped(arena) struct arena *a = arena_new(16 << 20);
	void *r = NULL;
	if (m->type == IPC_CERT_REQUEST && (r = IPC_UNPACK(cert_request, m, a, &e)))
		issue(r);
	else if (m->type == IPC_SESSION_CHECK && (r = IPC_UNPACK(session_check, m, a, &e)))
		check(r);
	else if (m->type == IPC_API_REQUEST && (r = IPC_UNPACK(api_request, m, a, &e)))
		own(me, r);
	else if (m->type == IPC_DIAL && (r = IPC_UNPACK(dial, m, a, &e)))
		dial(r);
	else if (m->type == IPC_WITNESS_ANSWER && (r = IPC_UNPACK(witness_answer, m, a, &e))) {
		const Ipc__WitnessAnswer *w = r;
		printf("witness %u %.*s%s\n", w->status, (int)w->body.len, (char *)w->body.data, w->error);
		fflush(stdout);
	}
	return e;
}

static void bring_up(enum process_id id)
{
	static const struct ipc_events ours = {on_message, NULL, on_close};
	static const struct ipc_events theirs = {on_other, NULL, on_close};
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
		exit(1);
	must(ipc_open(&p.peers[id], p.base, fds[0], PROCESS_NORTHBOUND, id, &ours, NULL), "channel");
	must(ipc_open(&others[id], p.base, fds[1], id, PROCESS_NORTHBOUND, &theirs, (void *)(intptr_t)id),
	     "channel");
	ipc_set_running(p.peers[id], true);
	ipc_set_running(others[id], true);
	up[id] = true;
	if (p.running)
		northbound_part.peer_up(&p, id);
}

static void bring_down(enum process_id id)
{
	ipc_close(others[id]);
	ipc_close(p.peers[id]);
	others[id] = p.peers[id] = NULL;
	up[id] = false;
	northbound_part.peer_down(&p, id);
}

// --- orders

static void handle_directly(enum ipc_type type, const ProtobufCMessage *m)
{
	scoped(buf) struct buf bytes = {0};
	size_t n = protobuf_c_message_get_packed_size(m);
	protobuf_c_message_pack(m, buf_space(&bytes, n));
	struct ipc_message message = {type, PROCESS_MANAGEMENT, bytes.data, bytes.len, -1};
	must(on_message(NULL, &message), ipc_type_name(type));
}

static void give_policy(void)
{
	scoped(buf) struct buf policy = {0};
	struct sign_signature signature;
	const struct sign_public *public = sign_key_public(signer);
	Ipc__KeyPublicItem ticket = IPC__KEY_PUBLIC_ITEM__INIT, policies = IPC__KEY_PUBLIC_ITEM__INIT;
	Ipc__KeyPublicItem *items[] = {&ticket, &policies};
	Ipc__KeyPublic keys = IPC__KEY_PUBLIC__INIT;
	ticket.purpose = IPC__KEY_PURPOSE__KEY_TICKET;
	policies.purpose = IPC__KEY_PURPOSE__KEY_POLICY;
	ticket.algorithm = policies.algorithm = SIGN_ED25519;
	ticket.public_key = policies.public_key =
		(ProtobufCBinaryData){public->len, (uint8_t *)(uintptr_t)public->bytes};
	keys.keys = items;
	keys.n_keys = 2;
	handle_directly(IPC_KEY_PUBLIC, &keys.base);
	access_policy_encode_default(&policy, 1, clock_wall_ns());
	must(sign_make(signer, policy.data, policy.len, &signature), "policy");
	buf_append(&policy, signature.bytes, signature.len);
	Ipc__Policy m = IPC__POLICY__INIT;
	m.snapshot = (ProtobufCBinaryData){policy.len, policy.data};
	handle_directly(IPC_POLICY, &m.base);
}

static void send_event(const char *type, const char *subject, const char *class)
{
	Ipc__Event m = IPC__EVENT__INIT;
	m.type = (char *)(uintptr_t)type;
	m.subject = (char *)(uintptr_t)subject;
	m.class_ = (char *)(uintptr_t)class;
	m.time_ns = clock_wall_ns();
	m.json = (ProtobufCBinaryData){7, (uint8_t *)(uintptr_t)"{\"a\":1}"};
	say(PROCESS_MODELS, IPC_EVENT, &m.base);
}

static void send_metrics(void)
{
	Ipc__Metric metric = IPC__METRIC__INIT, *list[] = {&metric};
	Ipc__Metrics m = IPC__METRICS__INIT;
	metric.name = (char *)(uintptr_t)"gemel_test_total";
	metric.labels = (char *)(uintptr_t)"device=\"r1\"";
	metric.help = (char *)(uintptr_t)"A test";
	metric.value = 42;
	metric.counter = true;
	m.process = (char *)(uintptr_t)"models";
	m.metrics = list;
	m.n_metrics = 1;
	say(PROCESS_PARENT, IPC_METRICS, &m.base);
}

static void send_end(void)
{
	Ipc__Session m = IPC__SESSION__INIT;
	uint8_t hash[32];
	hash_sha256("good", 4, hash);
	m.token_hash = (ProtobufCBinaryData){32, hash};
	m.ended = true;
	say(PROCESS_MANAGEMENT, IPC_SESSION, &m.base);
}

static void ask_witness(void)
{
	Ipc__WitnessAsk m = IPC__WITNESS_ASK__INIT;
	m.id = 1;
	m.witness = (char *)(uintptr_t)"w1";
	m.body = (ProtobufCBinaryData){7, (uint8_t *)(uintptr_t)"old 0\n\n"};
	say(PROCESS_REPOSITORY, IPC_WITNESS_ASK, &m.base);
}

static void on_order(int fd, short what, void *ctx)
{
	char line[256], a[64] = "", b[64] = "", c[64] = "", d[64] = "";
	enum process_id id;
	if (!fgets(line, sizeof line, stdin))
		exit(0);
	sscanf(line, "%63s %63s %63s %63s", a, b, c, d);
	if (strcmp(a, "event") == 0)
		send_event(b, c, d);
	else if (strcmp(a, "flood") == 0)
		for (int i = atoi(b); i > 0; i--)
			send_event("flood.x", "somewhere-with-a-long-name", "internal");
	else if (strcmp(a, "end") == 0)
		send_end();
	else if (strcmp(a, "down") == 0 && process_by_name(b, &id))
		bring_down(id);
	else if (strcmp(a, "up") == 0 && process_by_name(b, &id))
		bring_up(id);
	else if (strcmp(a, "metrics") == 0)
		send_metrics();
	else if (strcmp(a, "witness") == 0)
		ask_witness();
	else if (strcmp(a, "quit") == 0)
		event_base_loopbreak(p.base);
	printf("done\n");
	fflush(stdout);
}

static int listen_on(const char *name)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, 64) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		exit(1);
	must(northbound_part.listener(&p, name, fd), "listener");
	return ntohs(at.sin_port);
}

static void authority_make(const char *folder)
{
	char path[512];
	scoped(buf) struct buf pem = {0};
	must(sign_key_generate(SIGN_P256, &authority), "key");
	must(sign_key_generate(SIGN_ED25519, &signer), "key");
	struct x509_issue want = {.profile = X509_ROOT, .name = "driver", .key = sign_key_public(authority),
				  .from_ns = clock_wall_ns() - 60 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 3600 * NS_PER_S};
	must(x509_issue(&want, authority, &root), "authority");
	must(x509_to_pem(X509_CERTIFICATE, root.data, root.len, &pem), "PEM");
	snprintf(path, sizeof path, "%s/authority.pem", folder);
	FILE *f = fopen(path, "w");
	if (!f || fwrite(pem.data, 1, pem.len, f) != pem.len || fclose(f) != 0)
		exit(1);
}

int main(int argc, char **argv)
{
	static struct conf_witness witness = {.name = (char *)"w1", .address = (char *)"127.0.0.1"};
	char console[512];
	if (argc != 3)
		return 2;
	log_start("driver", LOG_NOTICE);
	setvbuf(stdin, NULL, _IONBF, 0);
	must(crypto_start(), "crypto");
	snprintf(console, sizeof console, "%s/console", argv[1]);
	conf.console_files = console;
	witness.port = atoi(argv[2]);
	conf.witnesses = (struct conf_items){&witness, 1};
	p.base = event_base_new();
	p.conf = &conf;
	p.scratch = arena_new(16 << 20);
	authority_make(argv[1]);
	int api = listen_on("api"), site = listen_on("console");
	http_default_limits.request_s = 8;
	must(northbound_part.start(&p), "start");
	static const enum process_id all[] = {PROCESS_PARENT, PROCESS_MANAGEMENT, PROCESS_MODELS,
					      PROCESS_REPOSITORY};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		bring_up(all[i]);
	p.running = true;
	must(northbound_part.ready(&p), "ready");
	give_policy();
	struct event *orders = event_new(p.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_order, NULL);
	event_add(orders, NULL);
	printf("%d %d\n", api, site);
	fflush(stdout);
	event_base_dispatch(p.base);
	return 0;
}
