// SPDX-License-Identifier: Apache-2.0
// Sending. A large frame goes to the kernel straight from the caller's bytes when nothing waits,
// and only what the kernel did not take is copied. Small frames are gathered in chunks and written
// at the end of the loop's turn, many in one call. A descriptor rides on the first byte of its
// frame, so its frame begins a chunk and that chunk begins a sendmsg: the receiver relies on it.
#include "lib/ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/clock.h"

enum { PARTS = 64 };

// --- chunks

// Chunks are used again rather than given back: fresh pages cost more than what is copied into
// them.
static struct chunk *spare;
static unsigned n_spare;

static struct chunk *chunk_new(void)
{
	struct chunk *c = spare;
	if (c) {
		spare = c->next;
		n_spare--;
	} else {
		c = malloc(sizeof *c);
	}
	if (c) {
		c->next = NULL;
		c->fd = -1;
		c->secret = false;
		c->len = c->sent = 0;
	}
	return c;
}

static void chunk_free(struct chunk *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (c->secret)
		secret_zero(c->bytes, c->len);
	if (n_spare == SPARES) {
		free(c);
		return;
	}
	c->next = spare;
	spare = c;
	n_spare++;
}

static void shift(struct ipc_channel *ch)
{
	struct chunk *c = ch->first;
	ch->first = c->next;
	if (!ch->first)
		ch->last = NULL;
	chunk_free(c);
}

void ipc_send_clear(struct ipc_channel *ch)
{
	while (ch->first)
		shift(ch);
	ch->queued = 0;
}

static void append_chunk(struct ipc_channel *ch, struct chunk *c)
{
	if (ch->last)
		ch->last->next = c;
	else
		ch->first = c;
	ch->last = c;
}

// Room for n bytes behind what waits, all of it or none. A descriptor begins a chunk.
static struct err make_room(struct ipc_channel *ch, size_t n, int fd, struct chunk **first)
{
	struct chunk *c = ch->last && fd < 0 && ch->last->len < CHUNK ? ch->last : NULL;
	size_t room = c ? CHUNK - c->len : 0;
	struct chunk *list = NULL, **end = &list;
	bool good = true;
	for (; room < n && good; room += CHUNK) {
		*end = chunk_new();
		good = *end != NULL;
		if (good)
			end = &(*end)->next;
	}
	if (good && fd >= 0) {
		list->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		good = list->fd >= 0;
	}
	while (!good && list) {
		struct chunk *next = list->next;
		chunk_free(list);
		list = next;
	}
	ENSURE(good, ERR_LIMIT, "out of memory or descriptors for a message");
	*first = c ? c : list;
	if (list) {
		append_chunk(ch, list);
		while (ch->last->next)
			ch->last = ch->last->next;
	}
	return OK;
}

// Fills from *at on, which moves along.
static void fill(struct ipc_channel *ch, struct chunk **at, const uint8_t *bytes, size_t n,
		 bool secret)
{
	ch->queued += n;
	while (n) {
		struct chunk *c = *at;
		size_t part = CHUNK - c->len < n ? CHUNK - c->len : n;
		if (!part) {
			*at = c->next;
			continue;
		}
		memcpy(c->bytes + c->len, bytes, part);
		c->len += part;
		c->secret |= secret;
		bytes += part;
		n -= part;
	}
}

// --- to the kernel

static ssize_t write_parts(int fd, const struct iovec *parts, size_t n, int ride)
{
	union {
		struct cmsghdr head;
		uint8_t room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = n};
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
		sent = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent;
}

// The kernel took no more: for now, or for ever.
static void refused(struct ipc_channel *ch)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM) {
		ch->full = true;
		event_add(ch->writable, NULL);
		return;
	}
	ch->gone = true; // the end of the stream says the rest, when it is read
	ipc_send_clear(ch);
}

static void written(struct ipc_channel *ch, size_t n)
{
	ch->queued -= n;
	while (n) {
		struct chunk *c = ch->first;
		size_t part = c->len - c->sent < n ? c->len - c->sent : n;
		c->sent += part;
		n -= part;
		if (c->fd >= 0) {
			close(c->fd); // it rode with the first byte
			c->fd = -1;
		}
		if (c->sent == c->len)
			shift(ch);
	}
}

// Writes what waits, until nothing does or the kernel takes no more.
static void write_queue(struct ipc_channel *ch)
{
	ch->full = false;
	while (ch->first && !ch->full) {
		struct iovec parts[PARTS];
		size_t n = 0;
		for (struct chunk *c = ch->first; c && n < PARTS; c = c->next) {
			if (n && c->fd >= 0)
				break;
			parts[n++] = (struct iovec){c->bytes + c->sent, c->len - c->sent};
		}
		ssize_t sent = write_parts(ch->fd, parts, n, ch->first->fd);
		if (sent < 0)
			refused(ch);
		else
			written(ch, (size_t)sent);
	}
}

void ipc_on_writable(evutil_socket_t fd, short what, void *ctx)
{
	struct ipc_channel *ch = ctx;
	if (ch->closed)
		return;
	if (ch->full && !(what & EV_WRITE))
		return; // small frames were queued behind large ones: `writable` comes
	bool slow = ch->full || ch->high;
	ipc_enter(ch);
	write_queue(ch);
	bool drained = (ch->high && ch->queued < IPC_LOW) || (slow && !ch->queued && !ch->gone);
	if (ch->queued < IPC_LOW)
		ch->high = false;
	if (drained && ch->events->on_drain)
		ch->events->on_drain(ch->ctx, ch->peer);
	ipc_leave(ch);
}

// --- one frame

// Sends the frame at once as far as the kernel takes it; returns how many bytes it took.
static size_t send_direct(struct ipc_channel *ch, const uint8_t head[IPC_HEAD], const void *bytes,
			  size_t len, int fd)
{
	struct iovec parts[2] = {{(void *)(uintptr_t)head, IPC_HEAD},
				 {(void *)(uintptr_t)bytes, len}};
	ssize_t sent = write_parts(ch->fd, parts, 2, fd);
	if (sent < 0)
		refused(ch);
	return sent < 0 ? 0 : (size_t)sent;
}

static struct err queue_rest(struct ipc_channel *ch, const uint8_t head[IPC_HEAD], bool secret,
			     const void *bytes, size_t len, size_t sent, int fd)
{
	struct chunk *at = NULL;
	struct err e = make_room(ch, IPC_HEAD + len - sent, sent ? -1 : fd, &at);
	if (e.code != ERR_NONE && sent) // half a frame is out: the stream is lost
		return err_make(ERR_INTERNAL, "within a frame: %s", e.text);
	TRY(e);
	if (sent < IPC_HEAD) {
		fill(ch, &at, head + sent, IPC_HEAD - sent, secret);
		sent = IPC_HEAD;
	}
	size_t done = sent - IPC_HEAD;
	if (len > done)
		fill(ch, &at, (const uint8_t *)bytes + done, len - done, secret);
	return OK;
}

struct err ipc_send(struct ipc_channel *ch, enum ipc_type type, const void *bytes, size_t len,
		    int fd)
{
	uint8_t head[IPC_HEAD];
	ENSURE(ch, ERR_BUSY, "the process that would take %s is away", ipc_type_name(type));
	struct err e = ipc_frame_check(&ch->sends, ch->running, type, len, fd >= 0);
	ENSURE(e.code == ERR_NONE, ERR_INTERNAL, "%s", e.text);
	ENSURE(!ch->dead && !ch->closed && !ch->gone, ERR_BUSY, "%s is gone",
	       process_name(ch->peer));
	ENSURE(ch->queued + len <= IPC_MOST, ERR_BUSY, "%s does not read: %zu bytes wait for it",
	       process_name(ch->peer), ch->queued);
	ipc_frame_write(head, type, (uint32_t)len, fd >= 0);
	size_t sent = 0;
	if (!ch->queued && len >= DIRECT)
		sent = send_direct(ch, head, bytes, len, fd);
	if (sent == IPC_HEAD + len || ch->gone)
		return OK; // gone: as if it had been lost in the socket; on_close follows
	TRY(queue_rest(ch, head, !ipc_is_bulk(type), bytes, len, sent, fd));
	if (sent && !ch->full) {
		ch->full = true;
		event_add(ch->writable, NULL);
	}
	if (ch->queued >= IPC_LOW)
		ch->high = true;
	if (!ch->full && ch->queued >= CHUNK)
		write_queue(ch);
	if ((ch->queued || ch->high) && !ch->full)
		event_active(ch->flush, 0, 0);
	return OK;
}

struct err ipc_send_pb(struct ipc_channel *ch, enum ipc_type type, const ProtobufCMessage *m)
{
	uint8_t small[2048];
	size_t n = protobuf_c_message_get_packed_size(m);
	const struct ipc_rule *r = ch && type < IPC_TYPES ? ch->sends.by_type[type] : NULL;
	ENSURE(!r || n <= r->most, ERR_INTERNAL, "%s of %zu bytes to %s: at most %u",
	       ipc_type_name(type), n, process_name(ch->peer), r->most);
	uint8_t *bytes = n <= sizeof small ? small : malloc(n);
	ENSURE(bytes, ERR_LIMIT, "out of memory for %s", ipc_type_name(type));
	protobuf_c_message_pack(m, bytes);
	struct err e = ipc_send(ch, type, bytes, n, -1);
	if (!ipc_is_bulk(type))
		secret_zero(bytes, n);
	if (bytes != small)
		free(bytes);
	return e;
}

struct err ipc_flush(struct ipc_channel *ch, int timeout_ms)
{
	int64_t until = clock_mono_ns() + timeout_ms * NS_PER_MS;
	while (ch && ch->first) {
		write_queue(ch);
		int64_t left = until - clock_mono_ns();
		ENSURE(!ch->gone, ERR_BUSY, "%s is gone", process_name(ch->peer));
		if (!ch->first)
			break;
		ENSURE(left > 0, ERR_BUSY, "%s does not read: %zu bytes wait for it",
		       process_name(ch->peer), ch->queued);
		struct pollfd p = {.fd = ch->fd, .events = POLLOUT};
		(void)poll(&p, 1, (int)(left / NS_PER_MS) + 1);
	}
	return OK;
}
