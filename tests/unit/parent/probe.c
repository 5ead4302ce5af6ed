// SPDX-License-Identifier: Apache-2.0
// gemeld's parent with processes of our own, which do what real ones must not do. run.py starts it,
// talks to the control listener and reads what is logged.

#include "lib/base/log.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/messages.pb-c.h"
#include "parent/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// --- telemetry: dials every configured target; its listener answers a word to whoever comes

static struct event *telemetry_door;

static void on_guest(evutil_socket_t fd, short what, void *ctx)
{
	int guest = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (guest < 0)
		return;
	(void)!write(guest, "here\n", 5);
	close(guest);
}

static struct err telemetry_listener(struct process *p, const char *name, int fd)
{
	if (strcmp(name, "telemetry") != 0) {
		close(fd);
		return OK;
	}
	telemetry_door = event_new(p->base, fd, EV_READ | EV_PERSIST, on_guest, p);
	return telemetry_door && event_add(telemetry_door, NULL) == 0
		       ? OK
		       : err_make(ERR_INTERNAL, "no event");
}

static struct err telemetry_ready(struct process *p)
{
	const struct conf_target *t = p->conf->targets.items;
	for (size_t i = 0; i < p->conf->targets.n; i++)
		TRY(process_dial(p, i + 1, t[i].address, (uint16_t)t[i].port, t[i].netns));
	TRY(process_dial(p, 50, "localhost", 80, NULL));
	TRY(process_dial(p, 51, "127.0.0.1", 80, "nowhere-configured"));
	TRY(process_dial(p, 52, "127.0.0.1", 0, NULL));
	return OK;
}

static void dialled(struct process *p, uint64_t id, int fd, const char *error)
{
	char word[16] = "";
	if (fd >= 0) {
		fcntl(fd, F_SETFL, 0);
		ssize_t n = read(fd, word, sizeof word - 1);
		word[n > 0 ? n : 0] = 0;
		word[strcspn(word, "\n")] = 0;
		close(fd);
	}
	log_notice("dial %llu: %s%s", (unsigned long long)id, error ? "refused: " : "said ",
		   error ? error : word);
}

// --- northbound: dials a witness, and its neighbour's port

static struct err northbound_ready(struct process *p)
{
	const struct conf_witness *w = p->conf->witnesses.items;
	TRY(process_dial(p, 1, w->address, (uint16_t)w->port, w->netns));
	return process_dial(p, 2, w->address, (uint16_t)(w->port + 1), w->netns);
}

static struct err drop_listener(struct process *p, const char *name, int fd)
{
	close(fd);
	return OK;
}

static struct err on_metrics(struct process *p, const struct ipc_message *m)
{
	struct err e = OK;
	Ipc__Metrics *set = IPC_UNPACK(metrics, m, p->scratch, &e);
	if (!set)
		return e;
	for (size_t i = 0; i < set->n_metrics; i++)
		if (strcmp(set->metrics[i]->name, "gemel_process_resident_bytes") == 0 ||
		    strcmp(set->metrics[i]->name, "probe_total") == 0)
			log_notice("metric %s of %s: %.0f", set->metrics[i]->name, set->process,
				   set->metrics[i]->value);
	return OK;
}

// --- management: tells of PROCESS_STATUS

static struct err management_ready(struct process *p)
{
	return process_publish(p, "authority.pem", "PEM\n", 4);
}

static struct err on_status(struct process *p, const struct ipc_message *m)
{
	struct err e = OK;
	Ipc__ProcessStatus *s = IPC_UNPACK(process_status, m, p->scratch, &e);
	if (!s)
		return e;
	for (size_t i = 0; i < s->n_processes; i++)
		log_notice("status %s pid %u uid %u restarts %u running %d rss %llu last \"%s\"",
			   s->processes[i]->name, s->processes[i]->pid, s->processes[i]->uid,
			   s->processes[i]->restarts, s->processes[i]->running,
			   (unsigned long long)s->processes[i]->rss_bytes,
			   s->processes[i]->last_exit);
	return OK;
}

static struct err on_request(struct process *p, const struct ipc_message *m)
{
	return err_make(ERR_PEER, "a request that breaks its contract");
}

// --- control: does what the word says that comes in at its listener

static struct event *control_door;

static void raw(struct process *p, enum process_id to, enum ipc_type type, size_t n)
{
	uint8_t bytes[64] = {0};
	ipc_frame_write(bytes, type, (uint32_t)n, false);
	(void)!write(p->peers[to]->fd, bytes, IPC_HEAD + n);
}

static void obey(struct process *p, const char *word)
{
	log_notice("told: %s", word);
	if (strcmp(word, "forbidden") == 0)
		(void)!socket(AF_INET, SOCK_STREAM, 0);
	else if (strcmp(word, "abort") == 0)
		abort();
	else if (strcmp(word, "exit") == 0)
		_exit(7);
	else if (strcmp(word, "raw parent") == 0)
		raw(p, PROCESS_PARENT, IPC_CONFIG, 4);
	else if (strcmp(word, "raw management") == 0)
		raw(p, PROCESS_MANAGEMENT, IPC_FEED, 4);
	else if (strcmp(word, "content") == 0) {
		Ipc__CertRequest m = IPC__CERT_REQUEST__INIT;
		err_ignore(process_send(p, PROCESS_MANAGEMENT, IPC_CERT_REQUEST, &m.base));
	} else if (strcmp(word, "accuse") == 0) {
		Ipc__Broken m = IPC__BROKEN__INIT;
		m.peer = PROCESS_MANAGEMENT;
		m.why = (char *)(uintptr_t) "a lie";
		err_ignore(process_send(p, PROCESS_PARENT, IPC_BROKEN, &m.base));
	} else if (strcmp(word, "metrics") == 0) {
		err_ignore(ipc_send(p->peers[PROCESS_PARENT], IPC_METRICS, "\xff\xff", 2, -1));
	} else if (strcmp(word, "hang") == 0) {
		for (;;)
			sched_yield();
	}
}

static void on_word(evutil_socket_t fd, short what, void *ctx)
{
	char word[32] = "";
	int guest = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (guest < 0)
		return;
	ssize_t n = read(guest, word, sizeof word - 1);
	close(guest);
	if (n > 0)
		obey(ctx, word);
}

static struct err control_listener(struct process *p, const char *name, int fd)
{
	control_door = event_new(p->base, fd, EV_READ | EV_PERSIST, on_word, p);
	return control_door && event_add(control_door, NULL) == 0
		       ? OK
		       : err_make(ERR_INTERNAL, "no event");
}

static struct err count(struct process *p)
{
	process_metric(p, "probe_total", "", 5, true, "");
	return OK;
}

static void said_stop(struct process *p)
{
	log_notice("told to stop");
}

static struct err fails(struct process *p)
{
	return err_make(ERR_IO, "it cannot start");
}

static struct err none(struct process *p)
{
	return OK;
}

static const char *const with_sockets[] = {"accept4", NULL};
static const struct process_handler northbound_rows[] = {{IPC_METRICS, on_metrics}};
static const struct process_handler management_rows[] = {{IPC_PROCESS_STATUS, on_status},
							 {IPC_CERT_REQUEST, on_request}};

static const struct process_part telemetry = {.id = PROCESS_TELEMETRY,
					      .syscalls = with_sockets,
					      .ready = telemetry_ready,
					      .listener = telemetry_listener,
					      .dialled = dialled,
					      .stop = said_stop};
static const struct process_part northbound = {.id = PROCESS_NORTHBOUND,
					       .handlers = northbound_rows,
					       .n_handlers = 1,
					       .ready = northbound_ready,
					       .listener = drop_listener,
					       .dialled = dialled,
					       .stop = said_stop};
static const struct process_part management = {.id = PROCESS_MANAGEMENT,
					       .has_state = true,
					       .handlers = management_rows,
					       .n_handlers = 2,
					       .ready = management_ready,
					       .stop = said_stop};
static const struct process_part control = {.id = PROCESS_CONTROL,
					    .syscalls = with_sockets,
					    .ready = count,
					    .listener = control_listener,
					    .stop = said_stop};
static const struct process_part models = {.id = PROCESS_MODELS, .start = fails};
static const struct process_part keys = {
	.id = PROCESS_KEYS, .has_state = true, .ready = none, .stop = said_stop};

int main(int argc, char **argv)
{
	static const struct process_part *const parts[] = {&telemetry, &northbound, &management,
							   &control,   &models,	    &keys};
	static struct daemon_conf conf;
	if (argc == 3 && strcmp(argv[1], "--process") == 0) {
		for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
			if (strcmp(process_name(parts[i]->id), argv[2]) == 0)
				return process_main(parts[i]);
		return 2;
	}
	scoped(arena) struct arena *a = arena_new(1 << 20);
	struct err e = argc == 2 ? daemon_conf_load(argv[1], &conf, a)
				 : err_make(ERR_USAGE, "usage: parent_probe CONFIG");
	if (e.code != ERR_NONE) {
		fprintf(stderr, "%s\n", e.text);
		return 2;
	}
	return parent_main(&conf, parts, sizeof parts / sizeof *parts);
}
