// SPDX-License-Identifier: Apache-2.0
// A sender that does not keep the rules writes raw bytes into its end: each breach ends the channel
// with ERR_PEER, names the breach, and leaks no descriptor.

#include "ends.h"

#include <sys/uio.h>

static struct event_base *base;
static struct end child; // listens to the parent's end, which is a plain socket here
static int raw;

static int open_raw(void **state)
{
	int fds[2];
	base = event_base_new();
	child = (struct end){.fd = -1};
	assert_int_equal(ipc_pair(fds).code, ERR_NONE);
	raw = fds[0];
	assert_int_equal(
		ipc_open(&child.ch, base, fds[1], PROCESS_KEYS, PROCESS_PARENT, &end_events, &child)
			.code,
		ERR_NONE);
	return 0;
}

static int close_raw(void **state)
{
	close(raw);
	end_clear(&child);
	event_base_free(base);
	return 0;
}

static void raw_send(const void *bytes, size_t n, const int *fds, size_t n_fds)
{
	struct iovec part = {(void *)(uintptr_t)bytes, n};
	union {
		struct cmsghdr head;
		uint8_t room[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	if (n_fds) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(raw, &m, 0), n);
}

static size_t frame(uint8_t *out, unsigned type, unsigned flags, uint32_t len, size_t present)
{
	const uint8_t head[IPC_HEAD] = {
		(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),   (uint8_t)len,
		(uint8_t)(type >> 8), (uint8_t)type,	    (uint8_t)(flags >> 8), (uint8_t)flags};
	memcpy(out, head, IPC_HEAD);
	memset(out + IPC_HEAD, 'x', present);
	return IPC_HEAD + present;
}

static void expect_end(const char *words, unsigned messages)
{
	turn(base);
	assert_int_equal(child.closes, 1);
	assert_int_equal(child.why, ERR_PEER);
	if (!strstr(child.words, words))
		fail_msg("\"%s\" does not say \"%s\"", child.words, words);
	assert_int_equal(child.messages, messages);
	char byte;
	assert_int_equal(read(raw, &byte, 1), 0); // it has been closed
}

static void test_unknown_type(void **state)
{
	uint8_t bytes[64];
	raw_send(bytes, frame(bytes, IPC_TYPES + 7, 0, 4, 4), NULL, 0);
	expect_end("may not send message", 0);
}

static void test_type_of_others(void **state)
{
	uint8_t bytes[64];
	raw_send(bytes, frame(bytes, IPC_PROCESS_STATUS, 0, 4, 4), NULL, 0);
	expect_end("may not send message", 0);
}

// The head alone is enough: no byte of an oversized payload is waited for or stored.
static void test_too_large(void **state)
{
	uint8_t bytes[64];
	raw_send(bytes, frame(bytes, IPC_CONFIG, 0, (1 << 20) + 1, 0), NULL, 0);
	expect_end("at most 1048576", 0);
}

static void test_largest_length(void **state)
{
	uint8_t bytes[64];
	raw_send(bytes, frame(bytes, IPC_CONFIG, 0, UINT32_MAX, 0), NULL, 0);
	expect_end("at most", 0);
}

static void test_state(void **state)
{
	uint8_t bytes[64];
	ipc_set_running(child.ch, true);
	raw_send(bytes, frame(bytes, IPC_CONFIG, 0, 4, 4), NULL, 0);
	expect_end("not permitted after READY", 0);
}

static void test_undefined_flag(void **state)
{
	uint8_t bytes[64];
	raw_send(bytes, frame(bytes, IPC_CONFIG, 2, 4, 4), NULL, 0);
	expect_end("flags", 0);
}

static void test_descriptor_missing(void **state)
{
	uint8_t bytes[64];
	raw_send(bytes, frame(bytes, IPC_LISTENER, IPC_FLAG_FD, 4, 4), NULL, 0);
	expect_end("announced a descriptor and sent none", 0);
}

static void test_descriptor_not_announced(void **state)
{
	uint8_t bytes[64];
	raw_send(bytes, frame(bytes, IPC_LISTENER, 0, 4, 4), NULL, 0);
	expect_end("must carry a descriptor", 0);
}

static int next_free(void)
{
	int fd = dup(raw);
	close(fd);
	return fd;
}

static void test_descriptor_where_none_is_due(void **state)
{
	uint8_t bytes[64];
	int zero = 0, before = next_free();
	size_t n = frame(bytes, IPC_CONFIG, 0, 4, 4);
	raw_send(bytes, n, &zero, 1);
	turn(base);
	raw_send(bytes, n, NULL, 0); // at the next frame the first descriptor is nobody's
	expect_end("descriptor without a message", 1);
	assert_true(next_free() <= before);
}

static void test_several_descriptors(void **state)
{
	uint8_t bytes[64];
	const int many[5] = {0, 0, 0, 0, 0};
	int before = next_free();
	raw_send(bytes, frame(bytes, IPC_LISTENER, IPC_FLAG_FD, 4, 4), many, 5);
	expect_end("more descriptors than one", 0);
	assert_true(next_free() <= before);
}

// A descriptor that rides with the second half of a frame belongs to no message.
static void test_descriptor_within_a_frame(void **state)
{
	uint8_t bytes[64];
	int zero = 0;
	size_t n = frame(bytes, IPC_LISTENER, IPC_FLAG_FD, 8, 8);
	raw_send(bytes, 10, NULL, 0);
	turn(base);
	raw_send(bytes + 10, n - 10, &zero, 1);
	expect_end("announced a descriptor and sent none", 0);
}

// Byte by byte is slow, not wrong.
static void test_byte_by_byte(void **state)
{
	uint8_t bytes[64];
	int zero = 0;
	size_t n = frame(bytes, IPC_LISTENER, IPC_FLAG_FD, 20, 20);
	for (int round = 1; round <= 3; round++) {
		raw_send(bytes, 1, &zero, 1);
		for (size_t i = 1; i < n; i++) {
			raw_send(bytes + i, 1, NULL, 0);
			event_base_loop(base, EVLOOP_NONBLOCK);
			assert_int_equal(child.messages, round - (i + 1 < n ? 1 : 0));
		}
		assert_true(child.fd >= 0);
	}
	assert_int_equal(child.closes, 0);
}

static void test_cut_within_a_frame(void **state)
{
	uint8_t bytes[64];
	raw_send(bytes, frame(bytes, IPC_CONFIG, 0, 30, 10), NULL, 0);
	shutdown(raw, SHUT_WR);
	turn(base);
	assert_int_equal(child.closes, 1);
	assert_int_equal(child.why, ERR_BUSY);
	assert_int_equal(child.messages, 0);
}

// What came before the breach in the same bytes is delivered, what comes after is not.
static void test_order_at_a_breach(void **state)
{
	uint8_t bytes[128];
	size_t n = frame(bytes, IPC_CONFIG, 0, 4, 4);
	n += frame(bytes + n, IPC_DIAL, 0, 4, 4);
	n += frame(bytes + n, IPC_CONFIG, 0, 4, 4);
	raw_send(bytes, n, NULL, 0);
	expect_end("may not send", 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_raw, close_raw)
	const struct CMUnitTest tests[] = {
		CASE(test_unknown_type),
		CASE(test_type_of_others),
		CASE(test_too_large),
		CASE(test_largest_length),
		CASE(test_state),
		CASE(test_undefined_flag),
		CASE(test_descriptor_missing),
		CASE(test_descriptor_not_announced),
		CASE(test_descriptor_where_none_is_due),
		CASE(test_several_descriptors),
		CASE(test_descriptor_within_a_frame),
		CASE(test_byte_by_byte),
		CASE(test_cut_within_a_frame),
		CASE(test_order_at_a_breach),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
