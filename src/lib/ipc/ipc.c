// SPDX-License-Identifier: Apache-2.0
// A channel's life, and receiving. Bytes are read into one buffer that grows to the frame at its
// head (never past what messages.def allows for that type, since the head is judged first), and
// handlers see the payload where it lies: no copy.
//
// Descriptors on a stream socket: the kernel hands a sendmsg's descriptor over with the first byte
// of that call, and ends the recvmsg there. So each received descriptor is noted with the span of
// stream bytes it came in, and the frame that claims it must begin within that span. A descriptor
// that no frame claims, or a second one in a call, ends the channel.
#include "lib/ipc/channel.h"

#include "lib/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKET_BYTES = 4 << 20, IDLE_TURNS = 64 };

struct err ipc_pair(int fds[2])
{
	int bytes = SOCKET_BYTES;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return err_system("socketpair");
	for (int i = 0; i < 2; i++) // more room means fewer wake-ups; without the right, some more
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
			(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	return OK;
}

// --- life

static void release(struct ipc_channel *ch)
{
	ipc_send_clear(ch);
	for (unsigned i = 0; i < ch->n_rides; i++)
		close(ch->rides[i].fd);
	struct event *events[] = {ch->readable, ch->writable, ch->flush};
	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		if (events[i])
			event_free(events[i]);
	close(ch->fd);
	free(ch->in);
	free(ch);
}

void ipc_enter(struct ipc_channel *ch)
{
	ch->busy++;
}

void ipc_leave(struct ipc_channel *ch)
{
	if (--ch->busy == 0 && ch->closed)
		release(ch);
}

void ipc_close(struct ipc_channel *ch)
{
	if (!ch || ch->closed)
		return;
	ch->closed = ch->dead = true;
	if (!ch->busy)
		release(ch);
}

static void fail(struct ipc_channel *ch, struct err why)
{
	if (ch->dead)
		return;
	ch->dead = true;
	event_del(ch->readable);
	event_del(ch->writable);
	ch->events->on_close(ch->ctx, ch->peer, why);
}

void ipc_set_running(struct ipc_channel *ch, bool running)
{
	ch->running = running;
}

enum process_id ipc_peer(const struct ipc_channel *ch)
{
	return ch->peer;
}

size_t ipc_backlog(const struct ipc_channel *ch)
{
	return ch ? ch->queued : 0;
}

void ipc_pause(struct ipc_channel *ch)
{
	ch->paused = true;
	event_del(ch->readable);
}

void ipc_resume(struct ipc_channel *ch)
{
	if (!ch->paused || ch->dead)
		return;
	ch->paused = false;
	event_add(ch->readable, NULL);
	event_active(ch->readable, EV_READ, 0); // for what has been read already
}

// --- receiving

// The descriptor that rides with the frame at the buffer's start; -1: none.
static struct err claim(struct ipc_channel *ch, bool wanted, int *fd)
{
	struct ride *r = ch->n_rides ? &ch->rides[0] : NULL;
	*fd = -1;
	ENSURE(!r || ch->in_offset < r->until, ERR_PEER, "%s sent a descriptor without a message",
	       process_name(ch->peer));
	if (!wanted)
		return OK;
	ENSURE(r && ch->in_offset >= r->from, ERR_PEER, "%s announced a descriptor and sent none",
	       process_name(ch->peer));
	*fd = r->fd;
	ch->n_rides--;
	memmove(r, r + 1, ch->n_rides * sizeof *r);
	return OK;
}

// Runs the handler. What its error means for the channel is decided here, see ipc.h.
static struct err deliver(struct ipc_channel *ch, const struct ipc_frame *f, int fd)
{
	uint8_t *bytes = ch->in + ch->in_start + IPC_HEAD;
	const struct ipc_message m = {f->type, ch->peer, bytes, f->len, fd};
	struct err e = ch->events->on_message(ch->ctx, &m);
	if (!ipc_is_bulk(f->type))
		secret_zero(bytes, f->len);
	ch->in_start += IPC_HEAD + f->len;
	ch->in_offset += IPC_HEAD + f->len;
	if (e.code == ERR_NONE || e.code == ERR_PEER || e.code == ERR_INTERNAL)
		return err_within(e, "%s from %s", ipc_type_name(f->type), process_name(ch->peer));
	log_warning("%s from %s: %s", ipc_type_name(f->type), process_name(ch->peer), e.text);
	return OK;
}

// Delivers every whole frame. *need: bytes that the next one lacks (0: its head is not whole).
static struct err deliver_all(struct ipc_channel *ch, size_t *need)
{
	struct ipc_frame f;
	*need = 0;
	while (!ch->paused && !ch->dead && ch->in_end - ch->in_start >= IPC_HEAD) {
		TRY(ipc_frame_read(&ch->takes, ch->running, ch->in + ch->in_start, &f));
		size_t have = ch->in_end - ch->in_start, whole = IPC_HEAD + (size_t)f.len;
		if (have < whole) {
			*need = whole - have;
			break;
		}
		int fd;
		TRY(claim(ch, f.fd, &fd));
		TRY(deliver(ch, &f, fd));
	}
	return OK;
}

// Makes room for `need` bytes after what has not been delivered.
static struct err make_room(struct ipc_channel *ch, size_t need)
{
	size_t have = ch->in_end - ch->in_start;
	if (!have) {
		ch->in_start = ch->in_end = 0;
		bool large = ch->in_cap > RECEIVE_KEEP && need <= RECEIVE_LEAST;
		ch->idle_large = large ? ch->idle_large + 1 : 0;
		if (ch->idle_large >= IDLE_TURNS) {
			free(ch->in);
			ch->in = NULL;
			ch->in_cap = ch->idle_large = 0;
		}
	}
	if (ch->in_cap - ch->in_end >= need)
		return OK;
	if (ch->in_cap >= have + need) { // also its oldest bytes' room
		memmove(ch->in, ch->in + ch->in_start, have);
	} else {
		size_t cap = have + need + RECEIVE_LEAST;
		uint8_t *in = malloc(cap);
		ENSURE(in, ERR_LIMIT, "out of memory for a message of %s", process_name(ch->peer));
		if (have)
			memcpy(in, ch->in + ch->in_start, have);
		free(ch->in);
		ch->in = in;
		ch->in_cap = cap;
	}
	ch->in_start = 0;
	ch->in_end = have;
	return OK;
}

static int ridden(struct msghdr *m)
{
	int fd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof fd))
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

static struct err note_ride(struct ipc_channel *ch, struct msghdr *m, size_t n)
{
	int fd = ridden(m);
	uint64_t from = ch->in_offset + (ch->in_end - ch->in_start);
	bool room = ch->n_rides < RIDES;
	if (fd >= 0 && room)
		ch->rides[ch->n_rides++] = (struct ride){fd, from, from + n};
	else if (fd >= 0)
		close(fd);
	ENSURE(!(m->msg_flags & MSG_CTRUNC) && (fd < 0 || room), ERR_PEER,
	       "%s sent more descriptors than one for each message", process_name(ch->peer));
	return OK;
}

enum turn { TURN_MORE, TURN_EMPTY };

// One recvmsg. TURN_EMPTY: the socket has no more for now. ERR_BUSY: it has ended.
static struct err receive(struct ipc_channel *ch, size_t need, size_t *got, enum turn *turn)
{
	TRY(make_room(ch, need > RECEIVE_LEAST ? need : RECEIVE_LEAST));
	struct iovec part = {ch->in + ch->in_end, ch->in_cap - ch->in_end};
	union {
		struct cmsghdr head;
		uint8_t room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof control};
	ssize_t n = recvmsg(ch->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	*turn = TURN_EMPTY;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return OK;
	if (n < 0 && errno != ECONNRESET)
		return err_system("reading from %s", process_name(ch->peer));
	ENSURE(n > 0, ERR_BUSY, "%s is gone", process_name(ch->peer));
	TRY(note_ride(ch, &m, (size_t)n));
	ch->in_end += (size_t)n;
	*got += (size_t)n;
	// A short read emptied the socket, unless a descriptor cut it.
	*turn = (size_t)n < part.iov_len && !m.msg_controllen ? TURN_EMPTY : TURN_MORE;
	return OK;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct ipc_channel *ch = ctx;
	size_t need = 0, got = 0;
	enum turn turn = TURN_MORE;
	ipc_enter(ch);
	struct err e = deliver_all(ch, &need); // left from before a pause
	while (e.code == ERR_NONE && !ch->paused && !ch->dead && turn == TURN_MORE &&
	       got < RECEIVE_TURN) {
		e = receive(ch, need, &got, &turn);
		if (e.code == ERR_NONE)
			e = deliver_all(ch, &need);
	}
	if (e.code != ERR_NONE)
		fail(ch, e);
	ipc_leave(ch);
}

struct err ipc_open(struct ipc_channel **out, struct event_base *base, int fd, enum process_id self,
		    enum process_id peer, const struct ipc_events *events, void *ctx)
{
	*out = NULL;
	struct ipc_channel *ch = calloc(1, sizeof *ch);
	if (!ch) {
		close(fd);
		return err_make(ERR_LIMIT, "out of memory for a channel");
	}
	ch->fd = fd;
	ch->self = self;
	ch->peer = peer;
	ch->events = events;
	ch->ctx = ctx;
	ipc_table_fill(&ch->takes, peer, self);
	ipc_table_fill(&ch->sends, self, peer);
	ch->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, ch);
	ch->writable = event_new(base, fd, EV_WRITE, ipc_on_writable, ch);
	ch->flush = event_new(base, -1, 0, ipc_on_writable, ch);
	if (evutil_make_socket_nonblocking(fd) < 0 || !ch->readable || !ch->writable ||
	    !ch->flush || event_add(ch->readable, NULL) < 0) {
		release(ch);
		return err_make(ERR_LIMIT, "no event for a channel");
	}
	*out = ch;
	return OK;
}
