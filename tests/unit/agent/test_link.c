// SPDX-License-Identifier: Apache-2.0
// Links between the agent's processes: who may say what to whom; and STATE, which fills most of
// them.
#include "agent/state_link.h"
#include "test_agent.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static unsigned came, last_type;
static size_t last_len;
static int last_fd;

static struct err count(const struct link_message *m)
{
	came++;
	last_type = m->type;
	last_len = m->len;
	last_fd = m->fd;
	return OK;
}

static int make(void **state)
{
	came = 0;
	return 0;
}

static int clear(void **state)
{
	ends_clear();
	return 0;
}

static void test_what_is_listed_comes(void **state)
{
	ends_make(LINK_WIRE, LINK_KEYS, NULL);
	ends.on_b = count;
	assert_good(link_send(ends.a, LINK_SIGN, "abc", 3, -1));
	ends_turn();
	assert_int_equal(came, 1);
	assert_int_equal(last_type, LINK_SIGN);
	assert_int_equal(last_len, 3);
}

static void test_what_is_not_listed_is_not_sent(void **state)
{
	ends_make(LINK_WIRE, LINK_KEYS, NULL);
	ends.on_b = count;
	assert_bad(ERR_INTERNAL, "not permitted",
		   link_send(ends.a, LINK_SIGNED, "", 0, -1)); // keys' word
	assert_bad(ERR_INTERNAL, "not permitted",
		   link_send(ends.a, LINK_STATE, "", 0, -1)); // apply's
	assert_bad(ERR_INTERNAL, "not permitted",
		   link_send(ends.a, LINK_SIGN, "", 0, 0)); // no descriptor
	ends_turn();
	assert_int_equal(came, 0);
	assert_bad(ERR_BUSY, "away", link_send(NULL, LINK_SIGN, "", 0, -1));
}

// A peer that does not keep the rules.
static void raw(int fd, unsigned type, size_t n, int ride)
{
	static uint8_t bytes[LINK_MESSAGE_MAX + 64];
	struct iovec part = {bytes, n};
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	bytes[0] = (uint8_t)(type >> 8);
	bytes[1] = (uint8_t)type;
	if (ride >= 0) {
		m.msg_control = room;
		m.msg_controllen = sizeof room;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof ride);
		memcpy(CMSG_DATA(c), &ride, sizeof ride);
	}
	assert_true(sendmsg(fd, &m, 0) >= 0);
}

static void test_whoever_breaks_the_rules_is_cut_off(void **state)
{
	static const struct {
		unsigned type;
		size_t n;
		bool fd;
	} bad[] = {
		{LINK_SIGNED, 2, false}, {LINK_TYPES, 2, false},
		{0xffff, 2, false},	 {LINK_SIGN, 1, false},
		{LINK_SIGN, 0, false},	 {LINK_SIGN, 2, true},
		{LINK_CHANNEL, 3, true}, {LINK_SIGN, LINK_MESSAGE_MAX + 4, false},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int fd, null = open("/dev/null", O_RDONLY);
		ends_make(LINK_WIRE, LINK_KEYS, &fd);
		ends.on_b = count;
		if (bad[i].n) {
			raw(fd, bad[i].type, bad[i].n, bad[i].fd ? null : -1);
			ends_turn();
		} else {
			close(fd);
			fd = -1;
			ends_turn();
		}
		assert_true(ends.is_closed);
		assert_int_equal(ends.closed_b.code, bad[i].n ? ERR_PEER : ERR_BUSY);
		if (fd >= 0)
			close(fd);
		close(null);
		ends_clear();
	}
	assert_int_equal(came, 0);
	ends_make(LINK_WIRE, LINK_KEYS, NULL);
}

static void test_a_descriptor_must_ride_where_it_is_asked_for(void **state)
{
	ends_make(LINK_PARENT, LINK_WIRE, NULL);
	ends.on_b = count;
	int null = open("/dev/null", O_RDONLY);
	assert_bad(ERR_INTERNAL, NULL, link_send(ends.a, LINK_LISTENER, NULL, 0, -1));
	assert_good(link_send(ends.a, LINK_LISTENER, NULL, 0, null));
	assert_good(link_send(ends.a, LINK_DIALLED, "x", 1, -1)); // may, or may not
	ends_turn();
	assert_int_equal(came, 2);
	close(null);
}

static void test_the_queue_has_a_bound(void **state)
{
	static uint8_t bytes[LINK_MESSAGE_MAX];
	ends_make(LINK_WIRE, LINK_KEYS, NULL);
	ends.on_b = count;
	struct err e = OK;
	unsigned sent = 0;
	while (e.code == ERR_NONE && sent < 1000) {
		e = link_send(ends.a, LINK_SIGN, bytes, sizeof bytes, -1);
		sent += e.code == ERR_NONE;
	}
	assert_int_equal(e.code, ERR_LIMIT);
	assert_true(link_queued(ends.a) <= LINK_QUEUE);
	for (int i = 0; i < 100; i++)
		ends_turn();
	assert_int_equal(came, sent); // all of them, in spite of it
	assert_int_equal(link_queued(ends.a), 0);
}

// --- STATE

static struct state_inbox inbox;
static unsigned groups;

static struct err take(const struct link_message *m)
{
	bool complete;
	TRY(state_receive(&inbox, m, &complete));
	groups += complete;
	return OK;
}

static void same_trees(const struct tree *x, const struct tree *y)
{
	struct tree_leaf *a = tree_after(x, ""), *b = tree_after(y, "");
	for (; a && b; a = tree_next(a, "/"), b = tree_next(b, "/")) {
		assert_string_equal(a->path, b->path);
		assert_true(batch_value_equal(&a->value, &b->value));
		assert_int_equal(a->flags, b->flags);
	}
	assert_true(!a && !b);
}

static void test_state_arrives(void **state)
{
	struct tree *from = tree_new();
	inbox = (struct state_inbox){tree_new(), false};
	groups = 0;
	ends_make(LINK_APPLY, LINK_WIRE, NULL);
	ends.on_b = take;
	put_uint(inbox.tree, "/gemel/own", 1, TREE_OWN);
	put_uint(inbox.tree, "/stale", 1, 0);
	for (unsigned i = 0; i < 5000; i++) { // many messages
		char path[128];
		snprintf(path, sizeof path, "/interfaces/interface[name=eth%u]/state/ifindex", i);
		put_uint(from, path, i, i % 2 ? TREE_VOLATILE : 0);
	}
	put_string(from, "/system/state/hostname", "r1");
	assert_good(state_send(ends.a, from, true, 77));
	ends_turn();
	assert_int_equal(groups, 1);
	assert_no_leaf(inbox.tree, "/stale"); // the whole was told, and this was not in it
	assert_leaf(inbox.tree, "/gemel/own", "1");
	put_uint(from, "/gemel/own", 1, TREE_OWN);
	same_trees(from, inbox.tree);
	tree_delete(from, "/gemel");
	tree_delete(from, "/interfaces/interface[name=eth7]");
	put_string(from, "/system/state/hostname", "r2");
	assert_good(state_send(ends.a, from, false, 78));
	ends_turn();
	assert_no_leaf(inbox.tree, "/interfaces/interface[name=eth7]/state/ifindex");
	assert_leaf(inbox.tree, "/system/state/hostname", "r2");
	assert_int_equal(tree_first(inbox.tree, "/system")->time_ns, 78);
	tree_free(from);
	tree_free(inbox.tree);
}

static void test_broken_state_is_refused(void **state)
{
	static const uint8_t unknown_kind[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, '/', 'a'};
	static const uint8_t cut_path[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 9, '/', 'a'};
	static const uint8_t no_value[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, '/', 'a'};
	const struct {
		const uint8_t *bytes;
		size_t n;
	} bad[] = {{unknown_kind, sizeof unknown_kind},
		   {cut_path, sizeof cut_path},
		   {no_value, sizeof no_value},
		   {unknown_kind, 5}};
	inbox = (struct state_inbox){tree_new(), false};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		bool complete;
		const struct link_message m = {LINK_STATE, LINK_APPLY, bad[i].bytes, bad[i].n, -1};
		assert_int_equal(state_receive(&inbox, &m, &complete).code, ERR_PEER);
	}
	tree_free(inbox.tree);
	ends_make(LINK_APPLY, LINK_WIRE, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_listed_comes, make, clear),
		cmocka_unit_test_setup_teardown(test_what_is_not_listed_is_not_sent, make, clear),
		cmocka_unit_test_setup_teardown(test_whoever_breaks_the_rules_is_cut_off, make,
						clear),
		cmocka_unit_test_setup_teardown(test_a_descriptor_must_ride_where_it_is_asked_for,
						make, clear),
		cmocka_unit_test_setup_teardown(test_the_queue_has_a_bound, make, clear),
		cmocka_unit_test_setup_teardown(test_state_arrives, make, clear),
		cmocka_unit_test_setup_teardown(test_broken_state_is_refused, make, clear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
