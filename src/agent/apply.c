// SPDX-License-Identifier: Apache-2.0
// The process that is close to the kernel. It holds netlink sockets and the outputs of nft and
// lldpcli, keeps the device's state in a tree, and tells wire what changes.
//
//     netlink event -> kernel.c -> tree -> STATE to wire       in one turn of the loop
//     nft monitor prints -> nft list -> nft.c -> tree -> STATE  (likewise lldpcli watch)
//     wire asks SAMPLE -> counters -> STATE, then SAMPLED
//
// When wire does not keep up, nothing is queued without bound: the changes stay in the tree, and
// the whole state is sent when the link has drained.

#include "agent/child.h"
#include "agent/kernel.h"
#include "agent/lldp.h"
#include "agent/nft.h"
#include "agent/programs.h"
#include "agent/state_link.h"
#include "agent/system.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUTPUT_MAX = 16 << 20, AGAIN_MS = 2000, SAMPLES_MAX = 32 };

struct apply;

struct job { // one of enum program
	struct apply *apply;
	enum program program;
	uint32_t id; // of the run under way; 0: none
	bool asked, again, off;
	int fd;
	struct event *event, *retry;
	struct buf output;
};

struct apply {
	struct child *child;
	struct tree *tree;
	struct kernel *kernel;
	struct system *system;
	struct event *kernel_event;
	struct job jobs[PROGRAMS];
	uint32_t next_id;
	bool whole;		       // wire has no state of ours yet, or lost some
	uint32_t waiting[SAMPLES_MAX]; // samples that wait for nft's counters
	unsigned n_waiting;
};

// --- to wire

static void tell(struct apply *a)
{
	struct link *wire = a->child->links[LINK_WIRE];
	if (tree_lost(a->tree))
		log_warning("the state is larger than %d leaves: some is missing", TREE_LEAVES_MAX);
	if (!wire || (!a->whole && !tree_changed(a->tree)))
		return;
	if (a->whole && link_queued(wire) > 0)
		return; // on_drain comes back here
	struct err e = state_send(wire, a->tree, a->whole, clock_wall_ns());
	a->whole = e.code != ERR_NONE;
	if (e.code != ERR_NONE)
		log_warning("%s: the whole state is sent again", e.text);
}

static void collectors_write(struct apply *a)
{
	static const struct {
		enum program program;
		const char *name;
	} of[] = {{PROGRAM_NFT_LIST, "nftables"}, {PROGRAM_LLDP_NEIGHBOURS, "lldp"}};
	scoped(buf) struct buf b = {0};
	struct leaf_path p;
	struct leaf_writer w = {a->tree, &p, clock_wall_ns(), 0};
	buf_str(&b, "[\"netlink\",\"system\"");
	for (size_t i = 0; i < sizeof of / sizeof *of; i++)
		if (!a->jobs[of[i].program].off)
			buf_printf(&b, ",\"%s\"", of[i].name);
	buf_str(&b, "]");
	leaf_at(&p, "/gemel/agent/state");
	leaf_json(&w, "collectors", buf_text(&b));
	w.flags = TREE_VOLATILE;
	leaf_uint(&w, "kernel-overruns", kernel_overruns(a->kernel));
}

// --- programs

static void job_run(struct job *j)
{
	struct apply *a = j->apply;
	if (j->off)
		return;
	if (j->id || j->asked) {
		j->again = true;
		return;
	}
	scoped(buf) struct buf b = {0};
	j->id = ++a->next_id ? a->next_id : ++a->next_id;
	j->asked = true;
	j->again = false;
	buf_reset(&j->output);
	buf_be32(&b, j->id);
	buf_u8(&b, (uint8_t)j->program);
	struct err e = link_send_buf(a->child->links[LINK_PARENT], LINK_RUN, &b);
	if (e.code != ERR_NONE)
		log_warning("%s", e.text);
}

static void samples_answer(struct apply *a)
{
	int64_t now = clock_wall_ns();
	struct link *wire = a->child->links[LINK_WIRE];
	struct err e = OK;
	if (a->n_waiting)
		e = state_send_volatile(wire, a->tree, "/acl", now);
	for (unsigned i = 0; i < a->n_waiting && e.code == ERR_NONE; i++) {
		scoped(buf) struct buf b = {0};
		buf_be32(&b, a->waiting[i]);
		e = link_send_buf(wire, LINK_SAMPLED, &b);
	}
	a->n_waiting = 0;
	if (e.code != ERR_NONE)
		log_debug("%s", e.text);
}

static bool is_monitor(enum program p)
{
	return p == PROGRAM_NFT_MONITOR || p == PROGRAM_LLDP_WATCH;
}

static void job_output(struct job *j)
{
	struct apply *a = j->apply;
	const char *json = (const char *)j->output.data;
	size_t n = j->output.len;
	int64_t now = clock_wall_ns();
	struct err e = OK;
	if (j->output.failed)
		e = err_make(ERR_LIMIT, "more than %d bytes", OUTPUT_MAX);
	else if (j->program == PROGRAM_NFT_LIST)
		e = nft_read(a->tree, json, n, now, NULL);
	else if (j->program == PROGRAM_LLDP_NEIGHBOURS)
		e = lldp_read_neighbours(a->tree, json, n, now);
	else if (j->program == PROGRAM_LLDP_CHASSIS)
		e = lldp_read_chassis(a->tree, json, n, now);
	if (e.code != ERR_NONE)
		log_warning("reading %s: %s",
			    j->program == PROGRAM_NFT_LIST ? "the ruleset" : "LLDP", e.text);
	tell(a);
	if (j->program == PROGRAM_NFT_LIST)
		samples_answer(a);
}

static void job_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct job *j = ctx;
	job_run(j);
	// What happened while nobody watched.
	job_run(&j->apply->jobs[j->program == PROGRAM_NFT_MONITOR ? PROGRAM_NFT_LIST
								  : PROGRAM_LLDP_NEIGHBOURS]);
	if (j->program == PROGRAM_LLDP_WATCH)
		job_run(&j->apply->jobs[PROGRAM_LLDP_CHASSIS]);
}

static void job_ended(struct job *j)
{
	if (j->event)
		event_free(j->event);
	if (j->fd >= 0)
		close(j->fd);
	j->event = NULL;
	j->fd = -1;
	j->id = 0;
	j->asked = false;
	if (is_monitor(j->program)) {
		struct timeval later = {AGAIN_MS / 1000, AGAIN_MS % 1000 * 1000};
		event_add(j->retry, &later);
		return;
	}
	job_output(j);
	if (j->again)
		job_run(j);
}

static void job_readable(evutil_socket_t fd, short what, void *ctx)
{
	static uint8_t bytes[1 << 16];
	struct job *j = ctx;
	struct apply *a = j->apply;
	ssize_t n = read(fd, bytes, sizeof bytes);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		job_ended(j);
		return;
	}
	if (!is_monitor(j->program)) {
		buf_append(&j->output, bytes, (size_t)n);
		return;
	}
	// What it says does not matter, that it speaks does: the list is the truth.
	job_run(&a->jobs[j->program == PROGRAM_NFT_MONITOR ? PROGRAM_NFT_LIST
							   : PROGRAM_LLDP_NEIGHBOURS]);
}

static struct err on_ran(struct child *c, const struct link_message *m)
{
	struct apply *a = c->state;
	struct cursor in = cursor_over(m->bytes, m->len);
	char why[ERR_TEXT_MAX];
	uint32_t id = cursor_be32(&in);
	link_get_text(&in, why, sizeof why);
	struct job *j = NULL;
	for (unsigned i = 0; i < PROGRAMS; i++)
		if (a->jobs[i].asked && a->jobs[i].id == id)
			j = &a->jobs[i];
	if (cursor_finish(&in, "RAN").code != ERR_NONE || !j || (m->fd < 0 && !why[0])) {
		if (m->fd >= 0)
			close(m->fd);
		return err_make(ERR_PEER, "RAN: nobody asked for it");
	}
	if (m->fd < 0) {
		log_notice("%s", why);
		j->off = true;
		j->id = 0;
		j->asked = false;
		samples_answer(a);
		collectors_write(a);
		tell(a);
		return OK;
	}
	j->fd = m->fd;
	fcntl(j->fd, F_SETFL, fcntl(j->fd, F_GETFL) | O_NONBLOCK);
	j->event = event_new(c->base, j->fd, EV_READ | EV_PERSIST, job_readable, j);
	ENSURE(j->event && event_add(j->event, NULL) == 0, ERR_LIMIT, "out of memory");
	return OK;
}

// --- the kernel

static void on_kernel(evutil_socket_t fd, short what, void *ctx)
{
	struct apply *a = ctx;
	uint64_t before = kernel_overruns(a->kernel);
	struct err e = kernel_events(a->kernel);
	if (e.code != ERR_NONE)
		log_error("%s", e.text);
	tell(a);
	if (kernel_overruns(a->kernel) != before) {
		log_warning("the kernel's event queue ran over: everything was read again");
		collectors_write(a);
	}
}

static struct err on_sample(struct child *c, const struct link_message *m)
{
	struct apply *a = c->state;
	struct cursor in = cursor_over(m->bytes, m->len);
	uint32_t id = cursor_be32(&in);
	unsigned what = cursor_u8(&in);
	int64_t now = clock_wall_ns();
	TRY(cursor_finish(&in, "SAMPLE"));
	if (what & SAMPLE_INTERFACES)
		TRY(kernel_counters(a->kernel));
	if (what & SAMPLE_SYSTEM)
		system_sample(a->system, now);
	tell(a);
	if (what & SAMPLE_INTERFACES)
		TRY(state_send_volatile(c->links[LINK_WIRE], a->tree, "/interfaces", now));
	if (what & SAMPLE_SYSTEM) {
		TRY(state_send_volatile(c->links[LINK_WIRE], a->tree, "/system", now));
		TRY(state_send_volatile(c->links[LINK_WIRE], a->tree, "/gemel", now));
	}
	if (what & SAMPLE_ACL && !a->jobs[PROGRAM_NFT_LIST].off && a->n_waiting < SAMPLES_MAX) {
		a->waiting[a->n_waiting++] = id;
		job_run(&a->jobs[PROGRAM_NFT_LIST]);
		return OK;
	}
	scoped(buf) struct buf b = {0};
	buf_be32(&b, id);
	return link_send_buf(c->links[LINK_WIRE], LINK_SAMPLED, &b);
}

// --- life

static struct err start(struct child *c)
{
	struct apply *a = calloc(1, sizeof *a);
	ENSURE(a, ERR_LIMIT, "out of memory");
	c->state = a;
	a->child = c;
	a->whole = true;
	a->tree = tree_new();
	ENSURE(a->tree, ERR_LIMIT, "out of memory");
	TRY(kernel_open(a->tree, &a->kernel));
	return system_open(a->tree, &a->system);
}

static struct err sandbox(struct child *c, struct sandbox *s)
{
	// Netlink sockets are open already: it may use them, not make others.
	static const char *const calls[] = {"sendto", "recvfrom", "recvmsg",	 "sendmsg", "ioctl",
					    "uname",  "pread64",  "getsockname", "fcntl",   NULL};
	s->syscalls = calls;
	s->keep_capabilities = true;
	return OK;
}

static struct err jobs_start(struct apply *a)
{
	for (unsigned i = 0; i < PROGRAMS; i++) {
		struct job *j = &a->jobs[i];
		*j = (struct job){.apply = a,
				  .program = (enum program)i,
				  .fd = -1,
				  .output.limit = OUTPUT_MAX};
		j->retry = evtimer_new(a->child->base, job_retry, j);
		ENSURE(j->retry, ERR_LIMIT, "out of memory");
	}
	// Watch first, then list: nothing falls in between.
	job_run(&a->jobs[PROGRAM_NFT_MONITOR]);
	job_run(&a->jobs[PROGRAM_LLDP_WATCH]);
	job_run(&a->jobs[PROGRAM_NFT_LIST]);
	job_run(&a->jobs[PROGRAM_LLDP_CHASSIS]);
	job_run(&a->jobs[PROGRAM_LLDP_NEIGHBOURS]);
	return OK;
}

static struct err ready(struct child *c)
{
	struct apply *a = c->state;
	TRY(kernel_read(a->kernel));
	system_read(a->system, clock_wall_ns());
	a->kernel_event =
		event_new(c->base, kernel_fd(a->kernel), EV_READ | EV_PERSIST, on_kernel, a);
	ENSURE(a->kernel_event && event_add(a->kernel_event, NULL) == 0, ERR_LIMIT,
	       "out of memory");
	TRY(jobs_start(a));
	collectors_write(a);
	return OK;
}

static void peer_up(struct child *c, enum link_process peer)
{
	struct apply *a = c->state;
	a->whole = true;
	a->n_waiting = 0;
	tell(a);
}

static void drained(struct child *c, enum link_process peer)
{
	if (peer == LINK_WIRE)
		tell(c->state);
}

static const struct child_handler handlers[] = {{LINK_RAN, on_ran}, {LINK_SAMPLE, on_sample}};

const struct child_part apply_part = {
	.self = LINK_APPLY,
	.start = start,
	.sandbox = sandbox,
	.ready = ready,
	.peer_up = peer_up,
	.drained = drained,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
};
