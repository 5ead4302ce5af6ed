// SPDX-License-Identifier: Apache-2.0
// What the way of data costs: simulated devices -> TLS 1.3, tunnel, gNMI -> telemetry (admission,
// grants, interning) -> repository (signature, class, sealed journal, fdatasync, publication) ->
// acknowledgement. Telemetry and repository are gemeld's own processes in their sandboxes; the
// other neighbours are played (stand.h); the devices are in a process of their own (sim.h). A point
// counts when the repository has synced it.
//     ingest_bench GEMELD [--devices N] [--interfaces N] [--seconds S] [--runs N] [--state FOLDER]
//                         [--memory SIZE] [--window N] [--rate N]
// Prints "name value unit"; of the runs the median.
#include "sim.h"
#include "stand.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS_MAX = 25, SAMPLE_MS = 10000 };

static struct {
	unsigned devices, interfaces, seconds, runs, window, rate;
	const char *state, *memory;
} o = {.devices = 1000,
       .interfaces = 50,
       .seconds = 5,
       .runs = 5,
       .window = 2,
       .rate = 1000000,
       .memory = "64M"};

// Between the generator and us.
static struct shared {
	volatile unsigned interval_ms;
	volatile bool stop;
	struct sim_counts counts;
} * shared;
static pid_t generator;

static void must(struct err e, const char *what)
{
	if (e.code == ERR_NONE)
		return;
	fprintf(stderr, "ingest_bench: %s: %s\n", what, e.text);
	exit(1);
}

// --- the generator

struct generator {
	struct sim *sim;
	unsigned interval_ms;
	struct event_base *base;
};

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct generator *g = ctx;
	sim_count(g->sim, &shared->counts);
	if (shared->interval_ms != g->interval_ms)
		sim_pace(g->sim, g->interval_ms = shared->interval_ms);
	if (shared->stop)
		event_base_loopbreak(g->base);
}

static void generate(const struct stand *s, struct sim_identity *who)
{
	struct generator g = {.interval_ms = shared->interval_ms, .base = event_base_new()};
	struct sim_conf conf = {.base = g.base,
				.address = "127.0.0.1",
				.port = s->port,
				.devices = o.devices,
				.interfaces = o.interfaces,
				.window = o.window,
				.interval_ms = g.interval_ms,
				.root = &s->root,
				.spread = true};
	must(sim_new(&conf, &g.sim), "devices");
	for (unsigned i = 0; i < o.devices; i++)
		must(sim_add(g.sim, &who[i]), "device");
	struct event *tick = event_new(g.base, -1, EV_PERSIST, on_tick, &g);
	event_add(tick, &(struct timeval){.tv_usec = 50000});
	event_base_dispatch(g.base);
	_exit(0);
}

// --- us

static void turn_for(struct stand *s, int64_t ms)
{
	int64_t until = clock_mono_ns() + ms * NS_PER_MS;
	for (;;) {
		int64_t left = until - clock_mono_ns();
		if (left <= 0)
			return;
		struct timeval tv = {left / NS_PER_S, left % NS_PER_S / 1000 + 1};
		event_base_loopexit(s->base, &tv);
		event_base_loop(s->base, 0);
	}
}

static void until(struct stand *s, bool good, const char *what, int64_t since)
{
	if (good || clock_mono_ns() - since < 120 * NS_PER_S)
		return;
	fprintf(stderr, "ingest_bench: never came: %s (%u connected, %u subscribed; %s; %s)\n",
		what, shared->counts.connected, shared->counts.subscribed, shared->counts.trouble,
		s->observed);
	exit(1);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(double *list, unsigned n)
{
	qsort(list, n, sizeof *list, by_size);
	return n % 2 ? list[n / 2] : (list[n / 2 - 1] + list[n / 2]) / 2;
}

static void print(const char *name, double value, const char *unit)
{
	printf("%s %.*f %s\n", name, value < 100 ? 2 : 0, value, unit);
	fflush(stdout);
}

static void wait_for_devices(struct stand *s)
{
	int64_t since = clock_mono_ns();
	while (shared->counts.subscribed < o.devices) {
		turn_for(s, 50);
		until(s, false, "subscriptions", since);
	}
	print("devices_joined_per_s", (double)o.devices / ((double)(clock_mono_ns() - since) / 1e9),
	      "1/s");
	double all = (double)o.devices * o.interfaces * SIM_COUNTERS;
	while (s->metrics.points < 2 * all) { // every series is known, and has moved
		turn_for(s, 50);
		until(s, false, "the first samples", since);
	}
}

// Memory while all sample at their usual pace.
static void measure_memory(struct stand *s)
{
	turn_for(s, SAMPLE_MS);
	double t = (double)stand_rss(s, STAND_TELEMETRY) / (1 << 20);
	double r = (double)stand_rss(s, STAND_REPOSITORY) / (1 << 20);
	print("rss_mb_telemetry", t, "MB");
	print("rss_mb_repository", r, "MB");
	char name[64];
	snprintf(name, sizeof name, "rss_mb_%u_devices", o.devices);
	print(name, t + r, "MB");
}

struct mark {
	double points, syncs;
	int64_t ns, cpu[STAND_UNITS + 1]; // the last: the generator
};

// At the arrival of the repository's next count.
static struct mark mark(struct stand *s)
{
	struct mark m;
	int64_t before = s->metrics.points_ns;
	while (s->metrics.points_ns == before)
		event_base_loop(s->base, EVLOOP_ONCE);
	m.points = s->metrics.points;
	m.syncs = s->metrics.syncs;
	m.ns = s->metrics.points_ns;
	for (int i = 0; i < STAND_UNITS; i++)
		m.cpu[i] = stand_cpu(s->units[i].pid);
	m.cpu[STAND_UNITS] = stand_cpu(generator);
	return m;
}

static void measure_rate(struct stand *s)
{
	double rate[RUNS_MAX], syncs[RUNS_MAX], cpu[STAND_UNITS + 1][RUNS_MAX];
	struct mark from = mark(s);
	for (unsigned i = 0; i < o.runs; i++) {
		turn_for(s, (int64_t)o.seconds * 1000 - 500);
		struct mark to = mark(s);
		double seconds = (double)(to.ns - from.ns) / 1e9;
		rate[i] = (to.points - from.points) / seconds;
		syncs[i] = (to.syncs - from.syncs) / seconds;
		for (int u = 0; u <= STAND_UNITS; u++)
			cpu[u][i] = (double)(to.cpu[u] - from.cpu[u]) / 1e9 / seconds;
		from = to;
	}
	print("ingest_updates_per_s", median(rate, o.runs), "1/s");
	print("ingest_cores_telemetry", median(cpu[STAND_TELEMETRY], o.runs), "cores");
	print("ingest_cores_repository", median(cpu[STAND_REPOSITORY], o.runs), "cores");
	print("ingest_syncs_per_s", median(syncs, o.runs), "1/s");
	print("ingest_cores_devices", median(cpu[STAND_UNITS], o.runs), "cores");
}

static void measure_size(struct stand *s)
{
	const struct stand_metrics *m = &s->metrics;
	if (m->chunk_points > 0)
		print("repository_bytes_per_point", m->chunk_bytes / m->chunk_points, "B");
}

static struct sim_identity *identities(struct stand *s)
{
	struct sim_identity *who = calloc(o.devices, sizeof *who);
	for (unsigned i = 0; who && i < o.devices; i++) {
		struct buf der = {0};
		snprintf(who[i].name, sizeof who[i].name, "sim%04u", i);
		must(sign_key_generate(SIGN_P256, &who[i].tls), "key");
		must(sign_key_generate(SIGN_ED25519, &who[i].batch), "key");
		must(stand_issue(s, who[i].name, who[i].tls, &der), "certificate");
		who[i].certificate = der.data;
		who[i].certificate_len = der.len;
	}
	return who;
}

static void options(int argc, char **argv)
{
	static const struct option names[] = {{"devices", required_argument, NULL, 'd'},
					      {"interfaces", required_argument, NULL, 'i'},
					      {"seconds", required_argument, NULL, 's'},
					      {"runs", required_argument, NULL, 'r'},
					      {"state", required_argument, NULL, 'f'},
					      {"memory", required_argument, NULL, 'm'},
					      {"window", required_argument, NULL, 'w'},
					      {"rate", required_argument, NULL, 'u'},
					      {0}};
	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		unsigned n = optarg ? (unsigned)atoi(optarg) : 0;
		switch (c) {
		case 'd':
			o.devices = n;
			break;
		case 'i':
			o.interfaces = n;
			break;
		case 's':
			o.seconds = n;
			break;
		case 'r':
			o.runs = n < RUNS_MAX ? n : RUNS_MAX;
			break;
		case 'w':
			o.window = n;
			break;
		case 'u':
			o.rate = n;
			break;
		case 'f':
			o.state = optarg;
			break;
		case 'm':
			o.memory = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (optind + 1 != argc || !o.devices || !o.interfaces || !o.seconds || !o.runs)
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

static void descriptors(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

int main(int argc, char **argv)
{
	static struct stand s;
	char folder[200], conf[200];
	options(argc, argv);
	log_start("ingest_bench", LOG_WARNING);
	descriptors();
	snprintf(folder, sizeof folder, "%s/gemel-bench.%d", o.state ? o.state : "/var/tmp",
		 (int)getpid());
	snprintf(conf, sizeof conf,
		 "memory_budget: %s\ndevice_rate: %u\ndevice_series: 100000\nsample_interval: "
		 "%dms\n",
		 o.memory, o.rate, SAMPLE_MS);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		exit(1);
	must(stand_open(&s, argv[optind], folder, conf), "stand");
	struct sim_identity *who = identities(&s);
	while (!stand_ready(&s) || !s.units[STAND_REPOSITORY].peers[PROCESS_MANAGEMENT])
		turn_for(&s, 10);
	for (unsigned i = 0; i < o.devices; i++)
		must(stand_device(&s, who[i].name, sign_key_public(who[i].batch)), "device");
	turn_for(&s, 200);
	shared->interval_ms = SAMPLE_MS;
	generator = fork();
	if (generator == 0)
		generate(&s, who);
	wait_for_devices(&s);
	measure_memory(&s);
	shared->interval_ms = 0;
	turn_for(&s, 2000);
	measure_rate(&s);
	measure_size(&s);
	if (shared->counts.again || s.refused)
		print("troubles", (double)(shared->counts.again + s.refused), "events");
	if (s.refused)
		fprintf(stderr, "ingest_bench: observed: %s\n", s.observed);
	shared->stop = true;
	waitpid(generator, NULL, 0);
	stand_close(&s);
	remove_folder(folder);
	return 0;
}
