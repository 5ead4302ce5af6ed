// SPDX-License-Identifier: Apache-2.0
// Connections to the twin: asked of the parent, which alone calls connect(). And how long to wait
// after a failure: doubling, with a little chance in it, so that a thousand devices do not come
// back in the same moment.

#include "agent/wire_internal.h"

#include "lib/crypto/random.h"

#include <unistd.h>

enum {
	NETWORK_FIRST_MS = 500,
	NETWORK_MOST_MS = 30000,
	REFUSED_FIRST_MS = 10000,
	REFUSED_MOST_MS = 300000,
};

struct err wire_dial(struct wire *w, enum dial_use use, uint16_t port,
		     void (*done)(struct wire *w, int fd, struct err why))
{
	struct dial *d = &w->dials[use];
	scoped(buf) struct buf b = {0};
	*d = (struct dial){wire_id(w), done};
	buf_be32(&b, d->id);
	buf_be16(&b, port);
	struct err e = link_send_buf(w->child->links[LINK_PARENT], LINK_DIAL, &b);
	if (e.code != ERR_NONE)
		d->id = 0;
	return e;
}

void wire_dial_forget(struct wire *w, enum dial_use use)
{
	w->dials[use].id = 0;
}

struct err wire_dialled(struct wire *w, const struct link_message *m)
{
	struct cursor in = cursor_over(m->bytes, m->len);
	char why[ERR_TEXT_MAX];
	uint32_t id = cursor_be32(&in);
	link_get_text(&in, why, sizeof why);
	struct err e = cursor_finish(&in, "DIALLED");
	if (e.code == ERR_NONE && m->fd < 0 && !why[0])
		e = err_make(ERR_PEER, "DIALLED has neither a connection nor a reason");
	for (int i = 0; i < DIAL_USES && e.code == ERR_NONE; i++) {
		struct dial *d = &w->dials[i];
		if (!d->id || d->id != id)
			continue;
		d->id = 0;
		d->done(w, m->fd, m->fd < 0 ? err_make(ERR_IO, "%s", why) : OK);
		return OK;
	}
	if (m->fd >= 0) // nobody waits for it any more
		close(m->fd);
	return e;
}

int64_t back_off_next(struct back_off *b, bool refused)
{
	int64_t first = refused ? REFUSED_FIRST_MS : NETWORK_FIRST_MS;
	int64_t most = refused ? REFUSED_MOST_MS : NETWORK_MOST_MS;
	uint8_t chance[2] = {0};
	b->ms = b->ms * 2 < first ? first : b->ms * 2 > most ? most : b->ms * 2;
	err_ignore(random_bytes(chance, sizeof chance)); // without it the wait is the longest
	return b->ms - b->ms / 4 * (chance[0] << 8 | chance[1]) / 65536;
}

void wire_after(struct event *timer, int64_t ms)
{
	struct timeval t = {ms / 1000, ms % 1000 * 1000};
	event_add(timer, &t);
}
