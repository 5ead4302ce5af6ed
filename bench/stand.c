// SPDX-License-Identifier: Apache-2.0
#include "stand.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/ipc/messages.pb-c.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACKLOG = 1024, CHILD_FD = 3 };

static void say(struct stand_unit *u, enum process_id as, enum ipc_type type,
		const ProtobufCMessage *m)
{
	struct err e = ipc_send_pb(u->peers[as], type, m);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("%s: %s", ipc_type_name(type), e.text);
}

// --- management

struct err stand_issue(struct stand *s, const char *device, const struct sign_key *key,
		       struct buf *der)
{
	struct x509_issue want = {.profile = X509_DEVICE,
				  .name = device,
				  .key = sign_key_public(key),
				  .from_ns = clock_wall_ns() - 60 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 7200 * NS_PER_S,
				  .issuer = s->root.data,
				  .issuer_len = s->root.len};
	return x509_issue(&want, s->authority, der);
}

static struct err certify(struct stand_unit *u, const Ipc__CertRequest *r)
{
	struct stand *s = u->s;
	scoped(buf) struct buf der = {0};
	struct x509_csr csr;
	TRY(x509_csr_read(r->csr.data, r->csr.len, &csr));
	struct x509_issue want = {.profile = X509_PEER,
				  .name = r->role,
				  .key = &csr.key,
				  .from_ns = clock_wall_ns() - 60 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 7200 * NS_PER_S,
				  .issuer = s->root.data,
				  .issuer_len = s->root.len};
	TRY(x509_issue(&want, s->authority, &der));
	Ipc__CertIssued m = IPC__CERT_ISSUED__INIT;
	ProtobufCBinaryData chain[] = {{der.len, der.data}};
	m.id = r->id;
	m.chain = chain;
	m.n_chain = 1;
	m.root = (ProtobufCBinaryData){s->root.len, s->root.data};
	say(u, PROCESS_MANAGEMENT, IPC_CERT_ISSUED, &m.base);
	return OK;
}

static void admit(struct stand_unit *u, const Ipc__AdmitRequest *r)
{
	Ipc__AdmitAnswer m = IPC__ADMIT_ANSWER__INIT;
	m.id = r->id;
	m.admitted = !*r->tls_error;
	m.device = r->device;
	m.state = (char *)(uintptr_t) "production";
	m.reason = r->tls_error;
	say(u, PROCESS_MANAGEMENT, IPC_ADMIT_ANSWER, &m.base);
}

// A stand-in takes any evidence: this is a bench of ingestion.
static void attest(struct stand_unit *u, const Ipc__EnrolRequest *r)
{
	static uint8_t accepted[] = {8, 1};
	Ipc__EnrolAnswer m = IPC__ENROL_ANSWER__INIT;
	m.id = r->id;
	m.message = (ProtobufCBinaryData){sizeof accepted, accepted};
	say(u, PROCESS_MANAGEMENT, IPC_ENROL_ANSWER, &m.base);
}

struct err stand_device(struct stand *s, const char *name, const struct sign_public *key)
{
	Ipc__BatchKey k = IPC__BATCH_KEY__INIT, *keys[] = {&k};
	Ipc__DeviceState m = IPC__DEVICE_STATE__INIT;
	k.key_id = (ProtobufCBinaryData){SIGN_KEY_ID, (uint8_t *)(uintptr_t)key->id};
	k.algorithm = key->algorithm;
	k.public_key = (ProtobufCBinaryData){key->len, (uint8_t *)(uintptr_t)key->bytes};
	k.from_ns = clock_wall_ns() - 60 * NS_PER_S;
	k.until_ns = clock_wall_ns() + 7200 * NS_PER_S;
	m.device = (char *)(uintptr_t)name;
	m.state = (char *)(uintptr_t) "production";
	m.kind = (char *)(uintptr_t) "agent";
	m.domain = (char *)(uintptr_t) "bench";
	m.keys = keys;
	m.n_keys = 1;
	return ipc_send_pb(s->units[STAND_REPOSITORY].peers[PROCESS_MANAGEMENT], IPC_DEVICE_STATE,
			   &m.base);
}

static struct err on_management(struct stand_unit *u, const struct ipc_message *m, struct arena *a)
{
	struct err e = OK;
	void *r = NULL;
	if (m->type == IPC_CERT_REQUEST && (r = IPC_UNPACK(cert_request, m, a, &e)))
		return certify(u, r);
	if (m->type == IPC_ADMIT_REQUEST && (r = IPC_UNPACK(admit_request, m, a, &e)))
		admit(u, r);
	else if (m->type == IPC_ENROL_REQUEST && (r = IPC_UNPACK(enrol_request, m, a, &e)))
		attest(u, r);
	else if (m->type == IPC_OBSERVED && (r = IPC_UNPACK(observed, m, a, &e))) {
		const Ipc__Observed *o = r;
		u->s->refused += o->count;
		snprintf(u->s->observed, sizeof u->s->observed, "%s %s: %.200s", o->kind, o->device,
			 o->detail);
	}
	return e;
}

// --- keys, models

static void give_keys(struct stand_unit *u)
{
	static const Ipc__KeyPurpose purposes[] = {IPC__KEY_PURPOSE__KEY_CHECKPOINT,
						   IPC__KEY_PURPOSE__KEY_TICKET,
						   IPC__KEY_PURPOSE__KEY_POLICY};
	const struct sign_public *p = sign_key_public(u->s->signer);
	Ipc__KeyPublicItem item[3], *items[3];
	Ipc__KeyPublic m = IPC__KEY_PUBLIC__INIT;
	for (int i = 0; i < 3; i++) {
		ipc__key_public_item__init(&item[i]);
		item[i].purpose = purposes[i];
		item[i].algorithm = p->algorithm;
		item[i].public_key = (ProtobufCBinaryData){p->len, (uint8_t *)(uintptr_t)p->bytes};
		items[i] = &item[i];
	}
	m.keys = items;
	m.n_keys = 3;
	say(u, PROCESS_KEYS, IPC_KEY_PUBLIC, &m.base);
}

static struct err sign(struct stand_unit *u, const struct ipc_message *msg, struct arena *a)
{
	struct err e = OK;
	struct sign_signature signature;
	Ipc__KeySign *r = IPC_UNPACK(key_sign, msg, a, &e);
	if (!r)
		return e;
	TRY(sign_make(u->s->signer, r->message.data, r->message.len, &signature));
	Ipc__KeySigned m = IPC__KEY_SIGNED__INIT;
	m.id = r->id;
	m.signature = (ProtobufCBinaryData){signature.len, signature.bytes};
	say(u, PROCESS_KEYS, IPC_KEY_SIGNED, &m.base);
	return OK;
}

static void feed_ack(struct stand_unit *u)
{
	Ipc__FeedAck m = IPC__FEED_ACK__INIT;
	u->s->fed++;
	say(u, PROCESS_MODELS, IPC_FEED_ACK, &m.base);
}

struct played { // whom a channel's other end takes us for
	struct stand_unit *u;
	enum process_id as;
};

static struct played played[STAND_UNITS][PROCESS_COUNT];

static struct err on_message(void *ctx, const struct ipc_message *m)
{
	const struct played *p = ctx;
	scoped(arena) struct arena *a = NULL;
	if (m->type == IPC_FEED) {
		feed_ack(p->u);
		return OK;
	}
	if (p->as != PROCESS_MANAGEMENT && p->as != PROCESS_KEYS)
		return OK;
	a = arena_new(4 << 20);
	ENSURE(a, ERR_LIMIT, "out of memory");
	return p->as == PROCESS_KEYS ? sign(p->u, m, a) : on_management(p->u, m, a);
}

static void on_close(void *ctx, enum process_id peer, struct err why)
{
	const struct played *p = ctx;
	if (p->u->s->stopping)
		return;
	log_error("%s ended its channel with %s: %s", process_name(p->u->id), process_name(p->as),
		  why.text);
	exit(1);
}

// --- parent

static struct err give(struct stand_unit *u, enum process_id peer, int fd)
{
	Ipc__Channel m = IPC__CHANNEL__INIT;
	uint8_t bytes[16];
	m.peer = peer;
	size_t n = ipc__channel__pack(&m, bytes);
	struct err e = ipc_send(u->parent, IPC_CHANNEL, bytes, n, fd);
	close(fd);
	return e;
}

static struct err play(struct stand_unit *u, enum process_id as)
{
	static const struct ipc_events events = {on_message, NULL, on_close};
	struct played *p = &played[u - u->s->units][as];
	int fds[2];
	*p = (struct played){u, as};
	TRY(ipc_pair(fds));
	TRY(ipc_open(&u->peers[as], u->s->base, fds[0], as, u->id, &events, p));
	ipc_set_running(u->peers[as], true);
	return give(u, as, fds[1]);
}

static struct err join(struct stand *s)
{
	struct stand_unit *t = &s->units[STAND_TELEMETRY], *r = &s->units[STAND_REPOSITORY];
	static const enum process_id to_repository[] = {PROCESS_MANAGEMENT, PROCESS_KEYS,
							PROCESS_MODELS, PROCESS_NORTHBOUND};
	int fds[2];
	for (size_t i = 0; i < sizeof to_repository / sizeof *to_repository; i++)
		TRY(play(r, to_repository[i]));
	give_keys(r);
	TRY(play(t, PROCESS_MANAGEMENT));
	TRY(ipc_pair(fds));
	TRY(give(t, PROCESS_REPOSITORY, fds[0]));
	return give(r, PROCESS_TELEMETRY, fds[1]);
}

static void note_metric(struct stand_metrics *to, const Ipc__Metric *m)
{
	const struct {
		const char *name;
		double *value;
	} known[] = {{"gemel_telemetry_updates_total", &to->updates},
		     {"gemel_repository_points_total", &to->points},
		     {"gemel_repository_chunk_points_total", &to->chunk_points},
		     {"gemel_repository_chunk_bytes_total", &to->chunk_bytes},
		     {"gemel_repository_head_bytes", &to->head_bytes},
		     {"gemel_repository_syncs_total", &to->syncs}};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].name, m->name) == 0)
			*known[i].value = m->value;
	if (strcmp(m->name, "gemel_repository_points_total") == 0)
		to->points_ns = clock_mono_ns();
}

static struct err on_parent(void *ctx, const struct ipc_message *m)
{
	struct stand_unit *u = ctx;
	struct stand *s = u->s;
	struct err e = OK;
	scoped(arena) struct arena *a = arena_new(4 << 20);
	ENSURE(a, ERR_LIMIT, "out of memory");
	if (m->type == IPC_READY) {
		Ipc__Ready *ready = IPC_UNPACK(ready, m, a, &e);
		if (!ready)
			return e;
		u->ready = true;
		ipc_set_running(u->parent, true);
		log_notice("%s: %s", process_name(u->id), ready->sandbox);
		return stand_ready(s) ? join(s) : OK;
	}
	if (m->type != IPC_METRICS)
		return OK;
	Ipc__Metrics *list = IPC_UNPACK(metrics, m, a, &e);
	for (size_t i = 0; list && i < list->n_metrics; i++)
		note_metric(&s->metrics, list->metrics[i]);
	return e;
}

static void on_parent_close(void *ctx, enum process_id peer, struct err why)
{
	struct stand_unit *u = ctx;
	if (u->s->stopping)
		return;
	log_error("%s has died: %s", process_name(u->id), why.text);
	exit(1);
}

static void become(const struct stand_unit *u, int fd)
{
	char *argv[] = {(char *)(uintptr_t) "gemeld", (char *)(uintptr_t) "--process",
			(char *)(uintptr_t)process_name(u->id), NULL};
	char *environment[] = {NULL};
	if (fd == CHILD_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, CHILD_FD);
	execve(u->s->program, argv, environment);
	_exit(127);
}

static struct err hand_over(struct stand_unit *u)
{
	static const char *const names[] = {"telemetry", "enrolment"};
	struct stand *s = u->s;
	TRY(ipc_send(u->parent, IPC_CONFIG, s->conf_text.data, s->conf_text.len, -1));
	if (u->state_dir >= 0)
		TRY(ipc_send(u->parent, IPC_STATE_DIR, NULL, 0, u->state_dir));
	for (int i = 0; i < 2 && u->id == PROCESS_TELEMETRY; i++) {
		Ipc__Listener m = IPC__LISTENER__INIT;
		uint8_t bytes[64];
		m.name = (char *)(uintptr_t)names[i];
		size_t n = ipc__listener__pack(&m, bytes);
		TRY(ipc_send(u->parent, IPC_LISTENER, bytes, n, s->listeners[i]));
	}
	return ipc_send(u->parent, IPC_STARTED, NULL, 0, -1);
}

static struct err start(struct stand *s, int unit, enum process_id id, int state_dir)
{
	static const struct ipc_events events = {on_parent, NULL, on_parent_close};
	struct stand_unit *u = &s->units[unit];
	int fds[2];
	*u = (struct stand_unit){.s = s, .id = id, .state_dir = state_dir};
	TRY(ipc_pair(fds));
	u->pid = fork();
	if (u->pid == 0)
		become(u, fds[1]);
	close(fds[1]);
	ENSURE(u->pid > 0, ERR_IO, "fork");
	TRY(ipc_open(&u->parent, s->base, fds[0], PROCESS_PARENT, id, &events, u));
	return hand_over(u);
}

// --- making it

static struct err listen_on(int *out, uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, BACKLOG) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		return err_system("listen");
	*out = fd;
	if (port)
		*port = ntohs(at.sin_port);
	return OK;
}

static struct err configure(struct stand *s, const char *conf)
{
	scoped(buf) struct buf yaml = {0};
	buf_printf(&yaml,
		   "name: gemel.bench\nstate: %s\nwitnesses_mode: none\nlog_level: warning\n%s",
		   s->folder, conf);
	TRY(daemon_conf_parse("bench", buf_text(&yaml), yaml.len, &s->conf, s->arena));
	return daemon_conf_write(&s->conf, &s->conf_text);
}

static struct err make_folder(struct stand *s, int *out)
{
	char path[300];
	uid_t uid = (uid_t)(s->conf.uid_base + PROCESS_REPOSITORY);
	snprintf(path, sizeof path, "%s/repository", s->folder);
	if (mkdir(s->folder, 0755) != 0 || mkdir(path, 0700) != 0)
		return err_system("%s", path);
	*out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*out < 0 || (geteuid() == 0 && fchown(*out, uid, uid) != 0))
		return err_system("%s", path);
	return OK;
}

struct err stand_open(struct stand *s, const char *program, const char *folder, const char *conf)
{
	int state = -1;
	signal(SIGPIPE, SIG_IGN);
	*s = (struct stand){.program = program};
	snprintf(s->folder, sizeof s->folder, "%s", folder);
	TRY(crypto_start());
	s->base = event_base_new();
	s->arena = arena_new(16 << 20);
	ENSURE(s->base && s->arena, ERR_LIMIT, "out of memory");
	TRY(sign_key_generate(SIGN_P256, &s->authority));
	TRY(sign_key_generate(SIGN_ED25519, &s->signer));
	struct x509_issue want = {.profile = X509_ROOT,
				  .name = "bench",
				  .key = sign_key_public(s->authority),
				  .from_ns = clock_wall_ns() - 3600 * NS_PER_S,
				  .until_ns = clock_wall_ns() + 24 * 3600 * NS_PER_S};
	TRY(x509_issue(&want, s->authority, &s->root));
	TRY(configure(s, conf));
	TRY(make_folder(s, &state));
	TRY(listen_on(&s->listeners[0], &s->port));
	TRY(listen_on(&s->listeners[1], NULL));
	TRY(start(s, STAND_TELEMETRY, PROCESS_TELEMETRY, -1));
	return start(s, STAND_REPOSITORY, PROCESS_REPOSITORY, state);
}

bool stand_ready(const struct stand *s)
{
	return s->units[STAND_TELEMETRY].ready && s->units[STAND_REPOSITORY].ready;
}

void stand_close(struct stand *s)
{
	s->stopping = true;
	for (int i = 0; i < STAND_UNITS; i++) {
		err_ignore(ipc_send(s->units[i].parent, IPC_STOP, NULL, 0, -1));
		err_ignore(ipc_flush(s->units[i].parent, 1000));
	}
	for (int i = 0; i < STAND_UNITS; i++)
		if (s->units[i].pid > 0)
			waitpid(s->units[i].pid, NULL, 0);
}

// --- what they cost

size_t stand_rss(const struct stand *s, int unit)
{
	char path[64], line[256];
	size_t kib = 0;
	snprintf(path, sizeof path, "/proc/%d/status", (int)s->units[unit].pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "VmRSS: %zu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib << 10;
}

int64_t stand_cpu(pid_t pid)
{
	char path[64], line[1024] = "";
	unsigned long user = 0, system = 0;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "r");
	if (f && fgets(line, sizeof line, f) && strrchr(line, ')'))
		sscanf(strrchr(line, ')') + 1,
		       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	if (f)
		fclose(f);
	return (int64_t)(user + system) * (NS_PER_S / sysconf(_SC_CLK_TCK));
}
