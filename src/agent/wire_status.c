// SPDX-License-Identifier: Apache-2.0
// What people read: `status` in the state folder, a few lines of YAML that say how this device
// stands with the twin and, when it is refused, why. The file was opened before the sandbox closed
// and is written over in place. And the agent's own leaves, /gemel/agent/state.

#include "agent/wire_internal.h"

#include "agent/version.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { TICK_S = 10 };

struct err status_open(struct wire *w, int folder)
{
	w->status.fd = openat(folder, "status",
			      O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	return w->status.fd < 0 ? err_system("status file") : OK;
}

// A double-quoted YAML scalar: reasons come from the other side.
static void quoted(struct buf *b, const char *text)
{
	buf_u8(b, '"');
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c >= 0x7f)
			buf_printf(b, "\\x%02x", *c);
		else if (*c == '"' || *c == '\\')
			buf_printf(b, "\\%c", *c);
		else
			buf_u8(b, *c);
	buf_str(b, "\"\n");
}

static void status_text(struct wire *w, struct buf *b)
{
	const struct identity *id = &w->identity;
	char time[CLOCK_TEXT_MAX];
	struct spool_counts spool;
	spool_count(w->twin.spool, &spool);
	buf_printf(b, "device: %s\nstate: %s\nsince: %s\n", w->conf->device, w->status.state,
		   clock_format(w->status.since_ns, time));
	if (w->status.reason[0]) {
		buf_str(b, "reason: ");
		quoted(b, w->status.reason);
	}
	buf_printf(b, "twin: %s port %" PRId64 "\n", w->conf->twin.address, w->conf->twin.port);
	if (id->enrolled)
		buf_printf(b, "certificate: %s until %s\n", id->serial,
			   clock_format(id->until_ns, time));
	buf_printf(b, "tpm: ");
	quoted(b, id->tpm);
	buf_printf(b,
		   "spool: {batches: %" PRIu64 ", bytes: %" PRIu64 ", lost_updates: %" PRIu64 "}\n",
		   spool.batches, spool.bytes, spool.lost_updates + w->twin.skipped);
}

static void status_write(struct wire *w)
{
	scoped(buf) struct buf b = {.limit = STATUS_MAX};
	status_text(w, &b);
	// The length last: a reader in between sees the new text with the end of the old behind it.
	if (b.failed || pwrite(w->status.fd, b.data, b.len, 0) != (ssize_t)b.len ||
	    ftruncate(w->status.fd, (off_t)b.len) < 0)
		log_warning("the status file could not be written");
}

void status_set(struct wire *w, const char *state, const char *reason)
{
	struct status *s = &w->status;
	char text[ERR_TEXT_MAX];
	snprintf(text, sizeof text, "%s", reason ? reason : "");
	if (strcmp(s->state, state) == 0 && strcmp(s->reason, text) == 0)
		return;
	if (strcmp(s->state, state) != 0)
		s->since_ns = clock_wall_ns();
	snprintf(s->state, sizeof s->state, "%s", state);
	memcpy(s->reason, text, sizeof text);
	if (strcmp(state, "refused") == 0)
		log_error("refused: %s", text);
	else
		log_notice("%s%s%s", state, text[0] ? ": " : "", text);
	status_write(w);
}

static void own_leaves(struct wire *w)
{
	struct leaf_path p;
	struct leaf_writer to = {w->tree, &p, clock_wall_ns(), TREE_OWN};
	struct spool_counts spool;
	spool_count(w->twin.spool, &spool);
	leaf_at(&p, "/gemel/agent/state");
	leaf_text(&to, "version", GEMEL_VERSION);
	leaf_uint(&to, "lost-updates", spool.lost_updates + w->twin.skipped);
	// While the twin reads, these are near zero at each tick; as news of their own they would
	// be what they count.
	leaf_uint(&to, "spool-bytes", w->twin.stream ? 0 : spool.bytes);
	leaf_uint(&to, "spool-batches", w->twin.stream ? 0 : spool.batches);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct wire *w = ctx;
	own_leaves(w);
	status_write(w);
	wire_flush(w);
}

struct err status_start(struct wire *w)
{
	struct timeval t = {TICK_S, 0};
	w->status.tick = event_new(w->base, -1, EV_PERSIST, on_tick, w);
	ENSURE(w->status.tick && event_add(w->status.tick, &t) == 0, ERR_LIMIT, "out of memory");
	own_leaves(w);
	status_set(w, "starting", NULL);
	return OK;
}
