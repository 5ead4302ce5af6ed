// SPDX-License-Identifier: Apache-2.0

#include "agent/child.h"

#include "lib/base/log.h"
#include "lib/crypto/crypto.h"

#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct child_part *running; // one process has one part

static struct err on_message(void *ctx, const struct link_message *m);

static void on_close(void *ctx, enum link_process peer, struct err why)
{
	struct child *c = ctx;
	link_close(c->links[peer]);
	c->links[peer] = NULL;
	if (peer == LINK_PARENT) {
		log_debug("%s", why.text);
		event_base_loopbreak(c->base);
		return;
	}
	log_write(why.code == ERR_BUSY ? LOG_DEBUG : LOG_WARNING, "%s", why.text);
	if (running->peer_down)
		running->peer_down(c, peer);
}

static void on_drain(void *ctx, enum link_process peer)
{
	if (running->drained)
		running->drained(ctx, peer);
}

static const struct link_events events = {on_message, on_drain, on_close};

static struct err on_channel(struct child *c, const struct link_message *m)
{
	struct cursor in = cursor_over(m->bytes, m->len);
	unsigned peer = cursor_u8(&in);
	if (cursor_finish(&in, "CHANNEL").code != ERR_NONE || peer == LINK_PARENT ||
	    peer >= LINK_PROCESSES) {
		close(m->fd);
		return err_make(ERR_PEER, "CHANNEL names no process");
	}
	if (c->links[peer]) {
		link_close(c->links[peer]);
		c->links[peer] = NULL;
		if (running->peer_down)
			running->peer_down(c, (enum link_process)peer);
	}
	TRY(link_open(c->base, m->fd, c->self, (enum link_process)peer, &events, c,
		      &c->links[peer]));
	if (running->peer_up)
		running->peer_up(c, (enum link_process)peer);
	return OK;
}

static struct err on_message(void *ctx, const struct link_message *m)
{
	struct child *c = ctx;
	if (m->type == LINK_CHANNEL)
		return on_channel(c, m);
	for (size_t i = 0; i < running->n_handlers; i++)
		if (running->handlers[i].type == m->type) {
			struct err e = running->handlers[i].handle(c, m);
			if (e.code == ERR_PEER || e.code == ERR_INTERNAL)
				return e;
			if (e.code != ERR_NONE)
				log_warning("%s", e.text);
			return OK;
		}
	if (m->fd >= 0)
		close(m->fd);
	return err_make(ERR_INTERNAL, "message %d has no handler", m->type);
}

static struct err enter_sandbox(struct child *c, const char **summary)
{
	struct sandbox s = {0};
	int landlock_abi = 0;
	if (geteuid() == 0)
		s.uid = (uid_t)(c->conf->uid_base + c->self - 1);
	TRY(running->sandbox(c, &s));
	return sandbox_enter(&s, summary, &landlock_abi);
}

static struct err life(struct child *c)
{
	const char *summary = "";
	TRY(crypto_start());
	json_object_seed(0); // reads /dev/urandom, which is out of reach afterwards
	TRY(running->start(c));
	TRY(enter_sandbox(c, &summary)); // X.2011 8.3.1-7
	TRY(link_open(c->base, LINK_FD, c->self, LINK_PARENT, &events, c, &c->links[LINK_PARENT]));
	scoped(buf) struct buf b = {0};
	link_put_text(&b, summary);
	TRY(link_send_buf(c->links[LINK_PARENT], LINK_READY, &b));
	TRY(running->ready(c));
	event_base_dispatch(c->base);
	return OK;
}

int child_main(const struct child_part *part, const struct agent_conf *conf)
{
	struct child c = {.self = part->self, .conf = conf};
	running = part;
	signal(SIGPIPE, SIG_IGN);
	struct event_config *choice = event_config_new();
	if (choice) {
		// Nothing is read from the environment, and no file is opened later.
		event_config_set_flag(choice, EVENT_BASE_FLAG_IGNORE_ENV);
		c.base = event_base_new_with_config(choice);
		event_config_free(choice);
	}
	struct err e = c.base ? life(&c) : err_make(ERR_INTERNAL, "no event loop");
	if (e.code != ERR_NONE) {
		log_error("%s", e.text);
		return 1;
	}
	return 0;
}
