// SPDX-License-Identifier: Apache-2.0
// What the parent tells of its processes: PROCESS_STATUS to management, figures to northbound,
// addresses for clients on this machine.
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"
#include "parent/parent.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { METRICS_MOST = 65536 };

// --- from /proc

static bool read_proc(pid_t pid, const char *file, char *out, size_t size)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	scoped(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, size - 1) : -1;
	if (n <= 0)
		return false;
	out[n] = 0;
	return true;
}

static uint64_t resident(pid_t pid)
{
	char text[256];
	uint64_t pages = 0;
	if (!pid || !read_proc(pid, "statm", text, sizeof text) ||
	    sscanf(text, "%*u %" SCNu64, &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(pid_t pid)
{
	char text[1024];
	uint64_t user = 0, kernel = 0;
	if (!pid || !read_proc(pid, "stat", text, sizeof text))
		return 0;
	// After the name, which may hold anything: state, then fields 4 to 13, then the times.
	const char *rest = strrchr(text, ')');
	if (!rest ||
	    sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
		   &user, &kernel) != 2)
		return 0;
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

// --- to management

static void describe(const struct unit *u, Ipc__ProcessInfo *i)
{
	ipc__process_info__init(i);
	i->name = (char *)(uintptr_t)process_name(u->id);
	i->pid = (uint32_t)u->pid;
	i->uid = u->uid;
	i->restarts = u->restarts;
	i->started_ns = u->started_ns;
	i->rss_bytes = resident(u->pid);
	i->sandbox = (char *)(uintptr_t)u->sandbox;
	i->running = u->ready;
	i->last_exit = (char *)(uintptr_t)u->last_exit;
}

static int64_t parent_started_ns;

void status_send(struct parent *p)
{
	const struct unit *management = p->units[PROCESS_MANAGEMENT];
	Ipc__ProcessInfo items[PROCESS_COUNT], *list[PROCESS_COUNT];
	size_t n = 1;
	if (!management || !management->ready || p->stopping)
		return;
	if (!parent_started_ns)
		parent_started_ns = clock_wall_ns();
	const struct unit self = {.id = PROCESS_PARENT,
				  .pid = getpid(),
				  .uid = geteuid(),
				  .started_ns = parent_started_ns,
				  .ready = true,
				  .sandbox = "none: it parses no network byte"};
	describe(&self, &items[0]);
	list[0] = &items[0];
	for (int i = 0; i < PROCESS_COUNT; i++)
		if (p->units[i]) {
			describe(p->units[i], &items[n]);
			list[n] = &items[n];
			n++;
		}
	Ipc__ProcessStatus m = IPC__PROCESS_STATUS__INIT;
	m.processes = list;
	m.n_processes = n;
	struct err e = ipc_send_pb(management->ch, IPC_PROCESS_STATUS, &m.base);
	if (e.code != ERR_NONE)
		log_warning("PROCESS_STATUS: %s", e.text);
}

// --- figures

struct figure {
	const char *name, *help;
	double value;
	bool counter;
};

static size_t pack_figures(const char *process, const struct figure *f, size_t n, uint8_t *out,
			   size_t room)
{
	Ipc__Metric items[8], *list[8];
	Ipc__Metrics m = IPC__METRICS__INIT;
	for (size_t i = 0; i < n; i++) {
		ipc__metric__init(&items[i]);
		items[i].name = (char *)(uintptr_t)f[i].name;
		items[i].help = (char *)(uintptr_t)f[i].help;
		items[i].value = f[i].value;
		items[i].counter = f[i].counter;
		list[i] = &items[i];
	}
	m.process = (char *)(uintptr_t)process;
	m.metrics = list;
	m.n_metrics = n;
	size_t bytes = ipc__metrics__get_packed_size(&m);
	return bytes <= room ? ipc__metrics__pack(&m, out) : 0;
}

static bool northbound_takes(const struct parent *p)
{
	const struct unit *n = p->units[PROCESS_NORTHBOUND];
	return n && n->ready && !p->stopping && ipc_backlog(n->ch) < IPC_LOW;
}

static void send_metrics(struct parent *p, const uint8_t *bytes, size_t n)
{
	struct err e = ipc_send(p->units[PROCESS_NORTHBOUND]->ch, IPC_METRICS, bytes, n, -1);
	if (e.code != ERR_NONE)
		log_warning("METRICS: %s", e.text);
}

// Protobuf messages that are written one after the other are one message: repeated fields go on, of
// the others the last counts. So our figures and the true name go behind what the process sent.
struct err status_metrics(struct unit *u, const struct ipc_message *m)
{
	static uint8_t bytes[METRICS_MOST];
	const struct figure own[] = {
		{"gemel_process_resident_bytes", "Resident memory", (double)resident(u->pid),
		 false},
		{"gemel_process_cpu_seconds_total", "CPU time since its start", cpu_seconds(u->pid),
		 true},
		{"gemel_process_restarts_total", "Times that it was started again", u->restarts,
		 true},
	};
	struct err e = OK;
	if (!IPC_UNPACK(metrics, m, u->parent->scratch, &e)) // northbound would blame us
		return e;
	if (!northbound_takes(u->parent) || m->len > sizeof bytes)
		return OK;
	memcpy(bytes, m->bytes, m->len);
	size_t n = pack_figures(process_name(u->id), own, sizeof own / sizeof *own, bytes + m->len,
				sizeof bytes - m->len);
	if (n)
		send_metrics(u->parent, bytes, m->len + n);
	else
		log_warning("%s has more figures than fit", process_name(u->id));
	return OK;
}

void status_own_metrics(struct parent *p)
{
	uint8_t bytes[1024];
	unsigned running = 0;
	if (!northbound_takes(p))
		return;
	for (int i = 0; i < PROCESS_COUNT; i++)
		running += p->units[i] && p->units[i]->ready;
	const struct figure own[] = {
		{"gemel_process_resident_bytes", "Resident memory", (double)resident(getpid()),
		 false},
		{"gemel_process_cpu_seconds_total", "CPU time since its start",
		 cpu_seconds(getpid()), true},
		{"gemel_processes_running", "Processes that are READY", running, false},
	};
	size_t n = pack_figures("parent", own, sizeof own / sizeof *own, bytes, sizeof bytes);
	if (n)
		send_metrics(p, bytes, n);
}

// --- addresses

static json_t *url(const struct conf_listen *l)
{
	const char *host = l->address;
	if (strcmp(host, "0.0.0.0") == 0)
		host = "127.0.0.1";
	if (strcmp(host, "::") == 0)
		host = "::1";
	return json_sprintf(strchr(host, ':') ? "https://[%s]:%d" : "https://%s:%d", host,
			    (int)l->port);
}

struct err status_console(struct parent *p)
{
	json_t *all = json_pack("{s:o, s:o, s:s, s:s}", "api", url(&p->conf->api), "console",
				url(&p->conf->console), "authority", "authority.pem", "name",
				p->conf->name);
	char *text = all ? json_dumps(all, JSON_INDENT(1)) : NULL;
	json_decref(all);
	ENSURE(text, ERR_LIMIT, "out of memory");
	struct err e = folders_write(p, "console.json", text, strlen(text));
	free(text);
	return e;
}
