// SPDX-License-Identifier: Apache-2.0
// How fast the ledger grows through the repository as it runs: RECORD from management -> entry,
// journal, fdatasync -> RECORDED, with tiles, and a signed checkpoint each second beside it. The
// repository is gemeld's own process in its sandbox; management and keys are played. The bound is
// what no ledger can do without: the same bodies appended to a file in the same rounds, one
// fdatasync for each, and a checkpoint signed, synced and renamed each second.
//     ledger_bench GEMELD [--seconds S] [--runs N] [--window N] [--state FOLDER]
// Prints "name value unit"; of the runs the median. A ratio is the part of the bound that is reached.
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/sign.h"
#include "lib/ipc/daemon_conf.h"
#include "lib/ipc/ipc.h"
#include "lib/ipc/messages.pb-c.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_FD = 3, RUNS_MAX = 25, BODY = 300, ALONE = 200, WAIT_S = 60 };

struct bench {
	const char *program;
	char folder[200];
	struct event_base *base;
	struct daemon_conf conf;
	struct arena *arena, *scratch;
	struct sign_key *key;
	pid_t pid;
	struct ipc_channel *parent, *management, *keys;
	bool ready, stopping, filling;
	unsigned window;
	uint64_t asked, recorded;
	uint64_t checkpoints;
	int64_t last_ns;
	char body[BODY + 1];
};

static struct {
	unsigned seconds, runs, window;
	const char *state;
} o = {.seconds = 3, .runs = 5, .window = 1024, .state = "/var/tmp"};

static void must(struct err e, const char *what)
{
	if (e.code == ERR_NONE)
		return;
	fprintf(stderr, "ledger_bench: %s: %s\n", what, e.text);
	exit(1);
}

// --- management

static void record(struct bench *b)
{
	Ipc__Record m = IPC__RECORD__INIT;
	m.id = ++b->asked;
	m.kind = (char *)(uintptr_t)"bench.entry";
	m.subject = (char *)(uintptr_t)"bench";
	m.actor = (char *)(uintptr_t)"bench";
	m.body = (ProtobufCBinaryData){BODY, (uint8_t *)b->body};
	must(ipc_send_pb(b->management, IPC_RECORD, &m.base), "RECORD");
}

static void fill(struct bench *b)
{
	while (b->filling && b->asked - b->recorded < b->window)
		record(b);
}

static struct err on_recorded(struct bench *b, const struct ipc_message *m)
{
	struct err e = OK;
	Ipc__Recorded *r = IPC_UNPACK(recorded, m, b->scratch, &e);
	if (!r)
		return e;
	ENSURE(!*r->error && r->id == b->recorded + 1, ERR_PEER, "entry %llu: %s",
	       (unsigned long long)r->id, r->error);
	b->recorded++;
	b->last_ns = clock_mono_ns();
	if (b->asked - b->recorded <= b->window / 2) // in rounds, not one for one
		fill(b);
	return OK;
}

// --- keys

static struct err give_keys(struct bench *b)
{
	static const Ipc__KeyPurpose purposes[] = {IPC__KEY_PURPOSE__KEY_CHECKPOINT,
						   IPC__KEY_PURPOSE__KEY_TICKET,
						   IPC__KEY_PURPOSE__KEY_POLICY};
	const struct sign_public *p = sign_key_public(b->key);
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
	return ipc_send_pb(b->keys, IPC_KEY_PUBLIC, &m.base);
}

static struct err on_sign(struct bench *b, const struct ipc_message *m)
{
	struct err e = OK;
	struct sign_signature s;
	Ipc__KeySigned answer = IPC__KEY_SIGNED__INIT;
	Ipc__KeySign *r = IPC_UNPACK(key_sign, m, b->scratch, &e);
	if (!r)
		return e;
	TRY(sign_make(b->key, r->message.data, r->message.len, &s));
	answer.id = r->id;
	answer.signature = (ProtobufCBinaryData){s.len, s.bytes};
	b->checkpoints++;
	return ipc_send_pb(b->keys, IPC_KEY_SIGNED, &answer.base);
}

// --- channels

static struct err on_message(void *ctx, const struct ipc_message *m)
{
	struct bench *b = ctx;
	struct err e = OK;
	if (m->type == IPC_RECORDED)
		e = on_recorded(b, m);
	else if (m->type == IPC_KEY_SIGN)
		e = on_sign(b, m);
	arena_reset(b->scratch);
	return e;
}

static void on_close(void *ctx, enum process_id peer, struct err why)
{
	const struct bench *b = ctx;
	if (!b->stopping)
		must(err_make(ERR_IO, "%s", why.text), "the repository");
}

static struct err play(struct bench *b, enum process_id as, struct ipc_channel **out)
{
	static const struct ipc_events events = {on_message, NULL, on_close};
	Ipc__Channel m = IPC__CHANNEL__INIT;
	uint8_t bytes[16];
	int fds[2];
	TRY(ipc_pair(fds));
	TRY(ipc_open(out, b->base, fds[0], as, PROCESS_REPOSITORY, &events, b));
	ipc_set_running(*out, true);
	m.peer = as;
	size_t n = ipc__channel__pack(&m, bytes);
	struct err e = ipc_send(b->parent, IPC_CHANNEL, bytes, n, fds[1]);
	close(fds[1]);
	return e;
}

static struct err on_parent(void *ctx, const struct ipc_message *m)
{
	struct bench *b = ctx;
	if (m->type != IPC_READY)
		return OK;
	ipc_set_running(b->parent, true);
	TRY(play(b, PROCESS_MANAGEMENT, &b->management));
	TRY(play(b, PROCESS_KEYS, &b->keys));
	TRY(give_keys(b));
	b->ready = true;
	return OK;
}

// --- the repository

static struct err state_folder(struct bench *b, int *out)
{
	char path[300];
	uid_t uid = (uid_t)(b->conf.uid_base + PROCESS_REPOSITORY);
	snprintf(path, sizeof path, "%s/repository", b->folder);
	if (mkdir(b->folder, 0755) != 0 || mkdir(path, 0700) != 0)
		return err_system("%s", path);
	*out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*out < 0 || (geteuid() == 0 && fchown(*out, uid, uid) != 0))
		return err_system("%s", path);
	return OK;
}

static void become(const struct bench *b, int fd)
{
	char *argv[] = {(char *)(uintptr_t)"gemeld", (char *)(uintptr_t)"--process",
			(char *)(uintptr_t)process_name(PROCESS_REPOSITORY), NULL};
	char *environment[] = {NULL};
	if (fd == CHILD_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, CHILD_FD);
	execve(b->program, argv, environment);
	_exit(127);
}

static struct err start(struct bench *b)
{
	static const struct ipc_events events = {on_parent, NULL, on_close};
	scoped(buf) struct buf yaml = {0}, text = {0};
	int fds[2], state = -1;
	buf_printf(&yaml, "name: gemel.bench\nstate: %s\nwitnesses_mode: none\nlog_level: warning\n",
		   b->folder);
	TRY(daemon_conf_parse("bench", buf_text(&yaml), yaml.len, &b->conf, b->arena));
	TRY(daemon_conf_write(&b->conf, &text));
	TRY(state_folder(b, &state));
	TRY(ipc_pair(fds));
	b->pid = fork();
	if (b->pid == 0)
		become(b, fds[1]);
	close(fds[1]);
	ENSURE(b->pid > 0, ERR_IO, "fork");
	TRY(ipc_open(&b->parent, b->base, fds[0], PROCESS_PARENT, PROCESS_REPOSITORY, &events, b));
	TRY(ipc_send(b->parent, IPC_CONFIG, text.data, text.len, -1));
	TRY(ipc_send(b->parent, IPC_STATE_DIR, NULL, 0, state));
	close(state);
	return ipc_send(b->parent, IPC_STARTED, NULL, 0, -1);
}

static void stop(struct bench *b)
{
	b->stopping = true;
	err_ignore(ipc_send(b->parent, IPC_STOP, NULL, 0, -1));
	err_ignore(ipc_flush(b->parent, 1000));
	waitpid(b->pid, NULL, 0);
	ipc_close(b->management);
	ipc_close(b->keys);
	ipc_close(b->parent);
}

// --- measuring

static void turn_until(struct bench *b, int64_t until_ns)
{
	for (int64_t left; (left = until_ns - clock_mono_ns()) > 0;) {
		struct timeval tv = {left / NS_PER_S, left % NS_PER_S / 1000 + 1};
		event_base_loopexit(b->base, &tv);
		event_base_loop(b->base, 0);
	}
}

static void settle(struct bench *b)
{
	int64_t since = clock_mono_ns();
	b->filling = false;
	while (b->recorded < b->asked && clock_mono_ns() - since < WAIT_S * NS_PER_S)
		event_base_loop(b->base, EVLOOP_ONCE);
	if (b->recorded < b->asked)
		must(err_make(ERR_IO, "entries are not answered"), "the repository");
}

static double through_repository(struct bench *b)
{
	uint64_t before = b->recorded;
	int64_t begin = clock_mono_ns();
	b->window = o.window;
	b->filling = true;
	fill(b);
	turn_until(b, begin + (int64_t)o.seconds * NS_PER_S);
	settle(b);
	return (double)(b->recorded - before) / ((double)(b->last_ns - begin) / 1e9);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double at_part(double *list, unsigned n, double part)
{
	qsort(list, n, sizeof *list, by_size);
	return list[(unsigned)((n - 1) * part + 0.5)];
}

static void one_by_one(struct bench *b)
{
	double ms[ALONE];
	for (unsigned i = 0; i < ALONE; i++) {
		int64_t begin = clock_mono_ns();
		record(b);
		settle(b);
		ms[i] = (double)(b->last_ns - begin) / 1e6;
	}
	printf("ledger_append_p50_ms %.3f ms\n", at_part(ms, ALONE, 0.5));
	printf("ledger_append_p99_ms %.3f ms\n", at_part(ms, ALONE, 0.99));
	fflush(stdout);
}

// --- the bound

static struct err checkpoint(const struct bench *b, int folder, uint64_t size)
{
	char text[200];
	struct sign_signature s;
	int n = snprintf(text, sizeof text, "gemel.bench\n%llu\n", (unsigned long long)size);
	TRY(sign_make(b->key, text, (size_t)n, &s));
	scoped(fd) int fd = openat(folder, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)n) != n ||
	    write(fd, s.bytes, s.len) != (ssize_t)s.len || fdatasync(fd) != 0 ||
	    renameat(folder, "new", folder, "checkpoint") != 0 || fsync(folder) != 0)
		return err_system("checkpoint");
	return OK;
}

static double raw(const struct bench *b)
{
	scoped(buf) struct buf round = {0};
	scoped(fd) int folder = open(b->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(fd) int fd = openat(folder, "raw", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int64_t begin = clock_mono_ns(), end = begin + (int64_t)o.seconds * NS_PER_S, signed_ns = 0;
	uint64_t entries = 0;
	for (unsigned i = 0; i < o.window; i++)
		buf_append(&round, b->body, BODY);
	must(fd < 0 ? err_system("raw") : buf_check(&round, "round"), "the bound");
	int64_t now = begin;
	for (; now < end; now = clock_mono_ns()) {
		if (write(fd, round.data, round.len) != (ssize_t)round.len || fdatasync(fd) != 0)
			must(err_system("raw"), "the bound");
		entries += o.window;
		if (now - signed_ns < NS_PER_S)
			continue;
		must(checkpoint(b, folder, entries), "the bound");
		signed_ns = now;
	}
	return (double)entries / ((double)(now - begin) / 1e9);
}

// --- all

static void options(int argc, char **argv)
{
	static const struct option names[] = {{"seconds", required_argument, NULL, 's'},
					      {"runs", required_argument, NULL, 'r'},
					      {"window", required_argument, NULL, 'w'},
					      {"state", required_argument, NULL, 'f'},
					      {0}};
	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		unsigned n = optarg ? (unsigned)atoi(optarg) : 0;
		if (c == 's')
			o.seconds = n;
		else if (c == 'r')
			o.runs = n < RUNS_MAX ? n : RUNS_MAX;
		else if (c == 'w')
			o.window = n;
		else if (c == 'f')
			o.state = optarg;
		else
			exit(2);
	}
	if (optind + 1 != argc || !o.seconds || !o.runs || !o.window || o.window > 10000)
		exit(2);
}

static void remove_folder(const char *path)
{
	pid_t pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	static struct bench b;
	double ours[RUNS_MAX], bound[RUNS_MAX];
	options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	log_start("ledger_bench", LOG_WARNING);
	must(crypto_start(), "OpenSSL");
	b.program = argv[optind];
	b.base = event_base_new();
	b.arena = arena_new(16 << 20);
	b.scratch = arena_new(4 << 20);
	must(b.base && b.arena && b.scratch ? OK : err_make(ERR_LIMIT, "out of memory"), "start");
	must(sign_key_generate(SIGN_ED25519, &b.key), "key");
	snprintf(b.folder, sizeof b.folder, "%s/gemel-ledger-bench.%d", o.state, (int)getpid());
	memset(b.body, 'x', BODY);
	memcpy(b.body, "{\"text\":\"", 9);
	memcpy(b.body + BODY - 2, "\"}", 2);
	must(start(&b), "the repository");
	while (!b.ready)
		event_base_loop(b.base, EVLOOP_ONCE);
	one_by_one(&b);
	for (unsigned i = 0; i < o.runs; i++) {
		ours[i] = through_repository(&b);
		bound[i] = raw(&b);
	}
	double rate = at_part(ours, o.runs, 0.5), most = at_part(bound, o.runs, 0.5);
	printf("ledger_appends_per_s %.0f 1/s\n", rate);
	printf("ledger_appends_per_s.ratio %.3f of_raw_journal_and_checkpoint\n", rate / most);
	if (!b.checkpoints)
		must(err_make(ERR_IO, "no checkpoint was signed"), "the repository");
	stop(&b);
	remove_folder(b.folder);
	return 0;
}
