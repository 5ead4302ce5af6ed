// SPDX-License-Identifier: Apache-2.0

#include "agent/link.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum fd_rule { NO, YES, MAYBE };
enum { TURN = 64, SOCKET_BYTES = 1 << 20 };

static const struct {
	enum link_type type;
	enum link_process from, to;
	enum fd_rule fd;
} rules[] = {
#define LINK(name, from, to, fd) {LINK_##name, LINK_##from, LINK_##to, fd},
#include "agent/messages_agent.def"
#undef LINK
};

struct packet {
	struct packet *next;
	int fd;
	size_t len;
	uint8_t bytes[];
};

struct link {
	int fd;
	enum link_process self, peer;
	const struct link_events *events;
	void *ctx;
	struct event *readable, *writable;
	struct packet *first, **last;
	size_t queued;
	unsigned busy; // inside a handler
	bool closed;   // freed when the handler returns
};

const char *link_process_name(enum link_process p)
{
	static const char *const names[] = {"parent", "wire", "apply", "keys"};
	return p < LINK_PROCESSES ? names[p] : "unknown";
}

static bool permitted(enum link_process from, enum link_process to, unsigned type, bool fd)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rules[i].type == type && rules[i].from == from && rules[i].to == to)
			return rules[i].fd == MAYBE || (rules[i].fd == YES) == fd;
	return false;
}

struct err link_pair(int fds[2])
{
	int bytes = SOCKET_BYTES;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return err_system("socketpair");
	for (int i = 0; i < 2; i++) // more room means fewer wake-ups; refused is fine
		(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	return OK;
}

static void release(struct link *l)
{
	while (l->first) {
		struct packet *p = l->first;
		l->first = p->next;
		if (p->fd >= 0)
			close(p->fd);
		free(p);
	}
	if (l->readable)
		event_free(l->readable);
	if (l->writable)
		event_free(l->writable);
	close(l->fd);
	free(l);
}

void link_close(struct link *l)
{
	if (!l || l->closed)
		return;
	l->closed = true;
	if (!l->busy)
		release(l);
}

static void fail(struct link *l, struct err why)
{
	if (!l->closed)
		l->events->on_close(l->ctx, l->peer, why);
}

// --- sending

static ssize_t send_packet(int fd, const uint8_t *bytes, size_t n, int ride)
{
	struct iovec part = {(void *)(uintptr_t)bytes, n};
	union {
		struct cmsghdr head;
		uint8_t room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	if (ride >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof ride);
		memcpy(CMSG_DATA(c), &ride, sizeof ride);
	}
	ssize_t sent;
	do
		sent = sendmsg(fd, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

static struct err queue_packet(struct link *l, const uint8_t *bytes, size_t n, int fd)
{
	ENSURE(l->queued + n <= LINK_QUEUE, ERR_LIMIT, "%s does not read its messages",
	       link_process_name(l->peer));
	struct packet *p = malloc(sizeof *p + n);
	ENSURE(p, ERR_LIMIT, "out of memory");
	*p = (struct packet){.fd = fd >= 0 ? dup(fd) : -1, .len = n};
	memcpy(p->bytes, bytes, n);
	*l->last = p;
	l->last = &p->next;
	l->queued += n;
	event_add(l->writable, NULL);
	return OK;
}

struct err link_send(struct link *l, enum link_type type, const void *bytes, size_t n, int fd)
{
	ENSURE(l && !l->closed, ERR_BUSY, "the other process is away");
	ENSURE(permitted(l->self, l->peer, type, fd >= 0) && n <= LINK_MESSAGE_MAX, ERR_INTERNAL,
	       "message %d of %zu bytes from %s to %s is not permitted", type, n,
	       link_process_name(l->self), link_process_name(l->peer));
	uint8_t packet[2 + LINK_MESSAGE_MAX];
	packet[0] = (uint8_t)(type >> 8);
	packet[1] = (uint8_t)type;
	if (n)
		memcpy(packet + 2, bytes, n);
	struct err e = OK;
	if (l->first || send_packet(l->fd, packet, n + 2, fd) < 0) {
		if (!l->first && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
			e = err_system("sending to %s", link_process_name(l->peer));
		else
			e = queue_packet(l, packet, n + 2, fd);
	}
	secret_zero(packet, n + 2); // keys and tokens pass here
	return e;
}

struct err link_send_buf(struct link *l, enum link_type type, const struct buf *b)
{
	TRY(buf_check(b, "message"));
	return link_send(l, type, b->data, b->len, -1);
}

size_t link_queued(const struct link *l)
{
	return l ? l->queued : 0;
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
	struct link *l = ctx;
	while (l->first) {
		struct packet *p = l->first;
		if (send_packet(l->fd, p->bytes, p->len, p->fd) < 0) {
			event_add(l->writable, NULL); // a broken link shows when it is read
			return;
		}
		l->first = p->next;
		if (!l->first)
			l->last = &l->first;
		l->queued -= p->len;
		if (p->fd >= 0)
			close(p->fd);
		secret_zero(p->bytes, p->len);
		free(p);
	}
	if (l->events->on_drain)
		l->events->on_drain(l->ctx, l->peer);
}

// --- receiving

static int ridden(struct msghdr *m)
{
	int fd = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof fd))
			memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

static struct err take(struct link *l, const uint8_t *bytes, size_t n, bool cut, int fd)
{
	unsigned type = n >= 2 ? (unsigned)bytes[0] << 8 | bytes[1] : 0;
	if (n < 2 || cut || !permitted(l->peer, l->self, type, fd >= 0)) {
		if (fd >= 0)
			close(fd);
		return err_make(ERR_PEER, "%s sent message %u of %zu bytes, which is not permitted",
				link_process_name(l->peer), type, n);
	}
	struct link_message m = {(enum link_type)type, l->peer, bytes + 2, n - 2, fd};
	return l->events->on_message(l->ctx, &m);
}

static bool receive(struct link *l, uint8_t *bytes, size_t size)
{
	struct iovec part = {bytes, size};
	union {
		struct cmsghdr head;
		uint8_t room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof control};
	ssize_t n = recvmsg(l->fd, &m, MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		fail(l, n == 0 ? err_make(ERR_BUSY, "%s is gone", link_process_name(l->peer))
			       : err_system("reading from %s", link_process_name(l->peer)));
		return false;
	}
	struct err e = take(l, bytes, (size_t)n, (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0,
			    ridden(&m));
	secret_zero(bytes, (size_t)n);
	if (e.code != ERR_NONE)
		fail(l, e);
	return e.code == ERR_NONE && !l->closed;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	static uint8_t bytes[2 + LINK_MESSAGE_MAX + 1];
	struct link *l = ctx;
	l->busy++;
	for (int i = 0; i < TURN && receive(l, bytes, sizeof bytes); i++)
		;
	if (--l->busy == 0 && l->closed)
		release(l);
}

struct err link_open(struct event_base *base, int fd, enum link_process self,
		     enum link_process peer, const struct link_events *events, void *ctx,
		     struct link **out)
{
	struct link *l = calloc(1, sizeof *l);
	if (!l) {
		close(fd);
		return err_make(ERR_LIMIT, "out of memory");
	}
	*l = (struct link){.fd = fd, .self = self, .peer = peer, .events = events, .ctx = ctx};
	l->last = &l->first;
	l->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, l);
	l->writable = event_new(base, fd, EV_WRITE, on_writable, l);
	if (!l->readable || !l->writable || event_add(l->readable, NULL) < 0) {
		release(l);
		return err_make(ERR_LIMIT, "out of memory");
	}
	*out = l;
	return OK;
}

// --- payloads

void link_put(struct buf *b, const void *bytes, size_t n)
{
	buf_be32(b, (uint32_t)n);
	buf_append(b, bytes, n);
}

void link_put_text(struct buf *b, const char *text)
{
	link_put(b, text, strlen(text));
}

struct cursor link_get(struct cursor *c)
{
	return cursor_sub(c, cursor_be32(c));
}

void link_get_text(struct cursor *c, char *out, size_t size)
{
	struct cursor s = link_get(c);
	size_t n = cursor_left(&s);
	out[0] = 0;
	if (n >= size || s.failed || memchr(s.at, 0, n)) {
		c->failed = true;
		return;
	}
	memcpy(out, s.at, n);
	out[n] = 0;
}
