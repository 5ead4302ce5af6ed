// SPDX-License-Identifier: Apache-2.0
// What a channel must do between two ends that keep the rules: order, sizes, descriptors,
// back-pressure, closing inside handlers.

#include "ends.h"

#include "lib/ipc/messages.pb-c.h"

static struct event_base *base;
static struct end a, b; // telemetry, repository

static int open_ends(void **state)
{
	base = event_base_new();
	ends_open(base, &a, PROCESS_TELEMETRY, &b, PROCESS_REPOSITORY, true);
	return 0;
}

static int close_ends(void **state)
{
	end_clear(&a);
	end_clear(&b);
	event_base_free(base);
	return 0;
}

static void pattern(uint8_t *p, size_t n, uint8_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 31 + (i >> 8) + seed);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = {0,     1,     7,	    8,	     4095,	    8191,   8192,
				       65535, 65536, 65537, 1 << 20, (8 << 20) - 1, 8 << 20};
	uint8_t *bytes = malloc(8 << 20);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		pattern(bytes, sizes[i], (uint8_t)i);
		assert_int_equal(ipc_send(a.ch, IPC_BATCH, bytes, sizes[i], -1).code, ERR_NONE);
		turn(base);
		assert_int_equal(b.messages, i + 1);
		assert_int_equal(b.type, IPC_BATCH);
		assert_int_equal(b.last.len, sizes[i]);
		if (sizes[i])
			assert_memory_equal(b.last.data, bytes, sizes[i]);
		assert_int_equal(ipc_backlog(a.ch), 0);
	}
	free(bytes);
}

static uint32_t expected;
static struct err in_order(struct end *e, const struct ipc_message *m)
{
	uint32_t number;
	assert_true(m->len >= 4);
	memcpy(&number, m->bytes, 4);
	assert_int_equal(number, expected++);
	for (size_t i = 4; i < m->len; i++)
		assert_int_equal(m->bytes[i], (uint8_t)number);
	return OK;
}

// Small and large mixed, faster than they are read: none lost, none out of order.
static void test_order(void **state)
{
	uint8_t *bytes = malloc(1 << 20);
	b.answer = in_order;
	expected = 0;
	for (uint32_t i = 0; i < 3000; i++) {
		size_t n = i % 7 == 0 ? 100000 : i % 5 == 0 ? 9000 : 4 + i % 50;
		memset(bytes, (uint8_t)i, n);
		memcpy(bytes, &i, 4);
		assert_int_equal(ipc_send(a.ch, IPC_BATCH, bytes, n, -1).code, ERR_NONE);
		if (i % 100 == 0)
			event_base_loop(base, EVLOOP_NONBLOCK);
	}
	for (int i = 0; i < 100; i++)
		turn(base);
	assert_int_equal(expected, 3000);
	free(bytes);
}

static void test_backlog_and_drain(void **state)
{
	uint8_t *bytes = calloc(1, 8 << 20);
	ipc_pause(b.ch);
	for (int i = 0; i < 6; i++)
		assert_int_equal(ipc_send(a.ch, IPC_BATCH, bytes, 8 << 20, -1).code, ERR_NONE);
	turn(base);
	assert_int_equal(b.messages, 0);
	assert_true(ipc_backlog(a.ch) > IPC_HIGH);
	assert_int_equal(a.drains, 0);
	for (int i = 0; i < 30; i++) // never more than IPC_MOST waits
		err_ignore(ipc_send(a.ch, IPC_BATCH, bytes, 8 << 20, -1));
	assert_int_equal(ipc_send(a.ch, IPC_BATCH, bytes, 8 << 20, -1).code, ERR_BUSY);
	assert_true(ipc_backlog(a.ch) <= IPC_MOST);
	ipc_resume(b.ch);
	while (ipc_backlog(a.ch) >= IPC_LOW) {
		assert_int_equal(a.drains, 0);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	assert_true(a.drains > 0);
	turn(base);
	assert_int_equal(ipc_backlog(a.ch), 0);
	assert_int_equal(a.closes + b.closes, 0);
	assert_int_equal(b.bytes, (uint64_t)b.messages * (8 << 20));
	free(bytes);
}

// A slow peer with little waiting: told when nothing waits any more.
static void test_drain_when_empty(void **state)
{
	uint8_t *bytes = calloc(1, 1 << 20);
	unsigned sent = 0;
	ipc_pause(b.ch);
	for (; !ipc_backlog(a.ch); sent++) {
		assert_int_equal(ipc_send(a.ch, IPC_BATCH, bytes, 1 << 20, -1).code, ERR_NONE);
		turn(base);
	}
	assert_true(ipc_backlog(a.ch) < IPC_LOW);
	assert_int_equal(a.drains, 0);
	ipc_resume(b.ch);
	turn(base);
	assert_int_equal(b.messages, sent);
	assert_int_equal(a.drains, 1);
	free(bytes);
}

static struct err pause_each(struct end *e, const struct ipc_message *m)
{
	ipc_pause(e->ch);
	return OK;
}

static void test_pause_in_handler(void **state)
{
	b.answer = pause_each;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(ipc_send(a.ch, IPC_BATCH, &i, 4, -1).code, ERR_NONE);
	for (unsigned i = 1; i <= 5; i++) { // one for each resume, though all were read at once
		turn(base);
		assert_int_equal(b.messages, i);
		ipc_resume(b.ch);
	}
}

static struct err close_self(struct end *e, const struct ipc_message *m)
{
	ipc_close(e->ch);
	e->ch = NULL;
	return OK;
}

static void test_close_in_handler(void **state)
{
	b.answer = close_self;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(ipc_send(a.ch, IPC_BATCH, &i, 4, -1).code, ERR_NONE);
	turn(base);
	assert_int_equal(b.messages, 1);
	assert_int_equal(b.closes, 0);
	assert_int_equal(a.closes, 1);
	assert_int_equal(a.why, ERR_BUSY);
	assert_null(a.ch);
}

// What was sent before the end is still read.
static void test_last_words(void **state)
{
	uint8_t bytes[20000] = {0};
	assert_int_equal(ipc_send(a.ch, IPC_BATCH, bytes, sizeof bytes, -1).code, ERR_NONE);
	assert_int_equal(ipc_send(a.ch, IPC_BATCH, bytes, 10, -1).code, ERR_NONE);
	assert_int_equal(ipc_flush(a.ch, 1000).code, ERR_NONE);
	ipc_close(a.ch);
	a.ch = NULL;
	turn(base);
	assert_int_equal(b.messages, 2);
	assert_int_equal(b.closes, 1);
	assert_int_equal(b.why, ERR_BUSY);
}

static void test_away(void **state)
{
	assert_int_equal(ipc_send(NULL, IPC_BATCH, "x", 1, -1).code, ERR_BUSY);
	assert_int_equal(ipc_backlog(NULL), 0);
	ipc_close(b.ch);
	b.ch = NULL;
	uint8_t *bytes = calloc(1, 1 << 20);
	for (int i = 0; i < 3; i++)
		err_ignore(ipc_send(a.ch, IPC_BATCH, bytes, 1 << 20, -1));
	assert_int_equal(ipc_flush(a.ch, 1000).code, ERR_NONE); // nothing is kept for the dead
	turn(base);
	assert_int_equal(a.closes, 1);
	free(bytes);
}

static void test_not_permitted_here(void **state)
{
	assert_int_equal(ipc_send(a.ch, IPC_FEED, "x", 1, -1).code, ERR_INTERNAL);
	assert_int_equal(ipc_send(b.ch, IPC_BATCH, "x", 1, -1).code, ERR_INTERNAL);
	assert_int_equal(ipc_send(a.ch, IPC_BATCH, "x", 1, 0).code, ERR_INTERNAL);
	uint8_t *bytes = calloc(1, (8 << 20) + 1);
	assert_int_equal(ipc_send(a.ch, IPC_BATCH, bytes, (8 << 20) + 1, -1).code, ERR_INTERNAL);
	free(bytes);
	ipc_set_running(a.ch, false);
	assert_int_equal(ipc_send(a.ch, IPC_BATCH, "x", 1, -1).code, ERR_INTERNAL);
	turn(base);
	assert_int_equal(b.messages + b.closes, 0);
}

static struct err says(struct end *e, const struct ipc_message *m)
{
	return err_make((enum err_code)m->bytes[0], "as told");
}

// A handler's error: PEER and INTERNAL end the channel, others do not.
static void test_handler_errors(void **state)
{
	b.answer = says;
	uint8_t code = ERR_LIMIT;
	assert_int_equal(ipc_send(a.ch, IPC_BATCH, &code, 1, -1).code, ERR_NONE);
	turn(base);
	assert_int_equal(b.closes, 0);
	code = ERR_PEER;
	assert_int_equal(ipc_send(a.ch, IPC_BATCH, &code, 1, -1).code, ERR_NONE);
	turn(base);
	assert_int_equal(b.closes, 1);
	assert_int_equal(b.why, ERR_PEER);
	assert_int_equal(a.closes, 1);
}

static void test_protobuf(void **state)
{
	scoped(arena) struct arena *arena = arena_new(1 << 20);
	Ipc__BatchAck m = IPC__BATCH_ACK__INIT;
	m.device = (char *)(uintptr_t) "r1";
	m.seq = 77;
	assert_int_equal(ipc_send_pb(b.ch, IPC_BATCH_ACK, &m.base).code, ERR_NONE);
	turn(base);
	assert_int_equal(a.type, IPC_BATCH_ACK);
	struct err e = OK;
	struct ipc_message got = {.bytes = a.last.data, .len = a.last.len};
	Ipc__BatchAck *back = IPC_UNPACK(batch_ack, &got, arena, &e);
	assert_non_null(back);
	assert_string_equal(back->device, "r1");
	assert_int_equal(back->seq, 77);
	got.len--; // within a field
	assert_null(IPC_UNPACK(batch_ack, &got, arena, &e));
	assert_int_equal(e.code, ERR_PEER);
	scoped(arena) struct arena *small = arena_new(16);
	e = OK;
	got.len++;
	assert_null(IPC_UNPACK(batch_ack, &got, small, &e));
	assert_int_equal(e.code, ERR_PEER);
}

// --- descriptors

static struct end parent, child;
static unsigned seen_fds, wrong_fds;

static struct err take_fd(struct end *e, const struct ipc_message *m)
{
	char text[16] = "";
	if (m->fd < 0)
		return OK;
	seen_fds++;
	// Each message's number is what its own pipe holds.
	ssize_t n = read(m->fd, text, sizeof text - 1);
	if (n <= 0 || (size_t)n != m->len || memcmp(text, m->bytes, m->len) != 0)
		wrong_fds++;
	return OK;
}

// Among plain messages, each descriptor arrives with its own message; also when all wait in a
// queue.
static void test_descriptors(void **state)
{
	ends_open(base, &parent, PROCESS_PARENT, &child, PROCESS_KEYS, false);
	child.answer = take_fd;
	seen_fds = wrong_fds = 0;
	uint8_t *bytes = calloc(1, 1 << 20);
	for (int i = 0; i < 40; i++) {
		char text[16];
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		snprintf(text, sizeof text, "pipe %d", i);
		assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
		assert_int_equal(
			ipc_send(parent.ch, IPC_CONFIG, bytes, i % 4 == 0 ? 1 << 20 : 10, -1).code,
			ERR_NONE);
		assert_int_equal(
			ipc_send(parent.ch, IPC_LISTENER, text, strlen(text), ends[0]).code,
			ERR_NONE);
		close(ends[0]); // it is ours still, and may be closed at once
		close(ends[1]);
		if (i % 3 == 0)
			turn(base);
	}
	for (int i = 0; i < 10; i++)
		turn(base);
	assert_int_equal(child.closes, 0);
	assert_int_equal(child.messages, 80);
	assert_int_equal(seen_fds, 40);
	assert_int_equal(wrong_fds, 0);
	free(bytes);
	end_clear(&parent);
	end_clear(&child);
}

// Descriptors of a channel that is closed with messages waiting are not leaked.
static void test_no_leak(void **state)
{
	int before = dup(0);
	close(before);
	for (int i = 0; i < 50; i++) {
		ends_open(base, &parent, PROCESS_PARENT, &child, PROCESS_KEYS, false);
		ipc_pause(child.ch);
		for (int k = 0; k < 3; k++)
			assert_int_equal(ipc_send(parent.ch, IPC_STATE_DIR, "", 0, 0).code,
					 ERR_NONE);
		if (i % 2)
			turn(base);
		end_clear(&parent);
		end_clear(&child);
	}
	int after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_ends, close_ends)
	const struct CMUnitTest tests[] = {
		CASE(test_sizes),
		CASE(test_order),
		CASE(test_backlog_and_drain),
		CASE(test_drain_when_empty),
		CASE(test_pause_in_handler),
		CASE(test_close_in_handler),
		CASE(test_last_words),
		CASE(test_away),
		CASE(test_not_permitted_here),
		CASE(test_handler_errors),
		CASE(test_protobuf),
		CASE(test_descriptors),
		CASE(test_no_leak),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
