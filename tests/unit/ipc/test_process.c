// SPDX-License-Identifier: Apache-2.0
// A whole process with its sandbox, in a child; the test is its parent and its neighbours.

#include "ends.h"

#include "lib/base/clock.h"
#include "lib/ipc/messages.pb-c.h"
#include "lib/ipc/process.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

// --- the process under test: repository, as far as its messages go

static void say(struct process *p, const char *what)
{
	process_metric(p, what, "", 1, true, "");
}

static struct err part_start(struct process *p)
{
	int fd = openat(p->state_dir, "made", O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 && errno != EEXIST)
		return err_system("made");
	close(fd);
	p->self = p;
	return OK;
}

static struct err part_ready(struct process *p)
{
	ENSURE(p->running && !p->peers[PROCESS_MODELS], ERR_INTERNAL, "neighbours come later");
	return OK;
}

static void part_up(struct process *p, enum process_id peer)
{
	Ipc__FeedEnd m = IPC__FEED_END__INIT;
	say(p, "up");
	if (peer == PROCESS_MODELS)
		err_ignore(process_send(p, peer, IPC_FEED_END, &m.base));
}

static void part_down(struct process *p, enum process_id peer)
{
	say(p, "down");
}

static void part_stop(struct process *p)
{
	Ipc__FeedEnd m = IPC__FEED_END__INIT;
	m.revision = 999; // last words
	err_ignore(process_send(p, PROCESS_MODELS, IPC_FEED_END, &m.base));
}

// FEED_ACK tells what to do; a real one would not.
enum { DO_NOTHING, DO_FORBIDDEN, DO_INTERNAL, DO_OPEN_INSIDE, DO_OPEN_OUTSIDE, DO_PEER };

static struct err on_ack(struct process *p, const struct ipc_message *m)
{
	struct err e = OK;
	Ipc__FeedAck *a = IPC_UNPACK(feed_ack, m, p->scratch, &e);
	if (!a)
		return e;
	switch (a->revision) {
	case DO_FORBIDDEN:
		(void)!socket(AF_INET, SOCK_STREAM, 0);
		return OK;
	case DO_INTERNAL:
		return err_make(ERR_INTERNAL, "an invariant is broken");
	case DO_OPEN_INSIDE:
		if (openat(p->state_dir, "later", O_WRONLY | O_CREAT, 0600) < 0)
			return err_make(ERR_INTERNAL, "%s", strerror(errno));
		say(p, "opened");
		return OK;
	case DO_OPEN_OUTSIDE:
		if (open("/etc/hostname", O_RDONLY) >= 0 || errno != EACCES)
			return err_make(ERR_INTERNAL, "a path could be opened");
		say(p, "refused");
		return OK;
	case DO_PEER:
		return err_make(ERR_PEER, "its content broke the contract");
	default:
		return OK;
	}
}

static const struct process_handler handlers[] = {{IPC_FEED_ACK, on_ack}};
static const char *const calls[] = {"openat", "newfstatat", NULL};
static const struct process_part part = {
	.id = PROCESS_REPOSITORY,
	.has_state = true,
	.handlers = handlers,
	.n_handlers = 1,
	.syscalls = calls,
	.start = part_start,
	.ready = part_ready,
	.peer_up = part_up,
	.peer_down = part_down,
	.stop = part_stop,
};

// --- its parent

static struct event_base *base;
static struct end parent, models, northbound;
static pid_t pid;
static char folder[] = "/tmp/gemel-process-XXXXXX";
static int state_dir;
static char sandbox[256], broken[512], metrics[512];
static unsigned broken_peer;

static struct err parent_hears(struct end *e, const struct ipc_message *m)
{
	scoped(arena) struct arena *a = arena_new(1 << 20);
	struct err why = OK;
	if (m->type == IPC_READY) {
		Ipc__Ready *r = IPC_UNPACK(ready, m, a, &why);
		assert_non_null(r);
		snprintf(sandbox, sizeof sandbox, "%s", r->sandbox);
		ipc_set_running(e->ch, true);
	} else if (m->type == IPC_BROKEN) {
		Ipc__Broken *b = IPC_UNPACK(broken, m, a, &why);
		assert_non_null(b);
		broken_peer = b->peer;
		snprintf(broken, sizeof broken, "%s", b->why);
	} else if (m->type == IPC_METRICS) {
		Ipc__Metrics *set = IPC_UNPACK(metrics, m, a, &why);
		assert_non_null(set);
		assert_string_equal(set->process, "repository");
		metrics[0] = 0;
		for (size_t i = 0; i < set->n_metrics; i++) {
			strncat(metrics, set->metrics[i]->name, 40);
			strcat(metrics, " ");
		}
	}
	return why;
}

static const char conf[] = "name: x\nstate: /nowhere\nlog_level: error\n";

static void begin_child(void)
{
	int fds[2];
	assert_int_equal(ipc_pair(fds).code, ERR_NONE);
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		dup2(fds[1], 3);
		close_range(4, ~0U, 0);
		_exit(process_main(&part));
	}
	close(fds[1]);
	parent = models = northbound = (struct end){.fd = -1};
	parent.answer = parent_hears;
	sandbox[0] = broken[0] = metrics[0] = 0;
	broken_peer = 0;
	assert_int_equal(ipc_open(&parent.ch, base, fds[0], PROCESS_PARENT, PROCESS_REPOSITORY,
				  &end_events, &parent)
				 .code,
			 ERR_NONE);
}

static void to_child(enum ipc_type type, const void *bytes, size_t n, int fd)
{
	struct err e = ipc_send(parent.ch, type, bytes, n, fd);
	if (e.code != ERR_NONE)
		fail_msg("%s", e.text);
}

static void wait_until(bool (*done)(void))
{
	for (int i = 0; i < 2000 && !done(); i++) { // a bound, not a measure
		event_base_loop(base, EVLOOP_NONBLOCK);
		poll(NULL, 0, 5);
	}
	assert_true(done());
}

static bool is_ready(void)
{
	return sandbox[0] != 0;
}
static bool models_heard(void)
{
	return models.messages > 0;
}
static bool was_accused(void)
{
	return broken[0] != 0;
}
static bool parent_closed(void)
{
	return parent.closes > 0;
}
static bool models_closed(void)
{
	return models.closes > 0;
}
static const char *word;
static bool metrics_have_word(void)
{
	return strstr(metrics, word) != NULL;
}

static void start_it(void)
{
	begin_child();
	to_child(IPC_CONFIG, conf, sizeof conf - 1, -1);
	to_child(IPC_STATE_DIR, NULL, 0, state_dir);
	to_child(IPC_STARTED, NULL, 0, -1);
	wait_until(is_ready);
}

static void give_channel(struct end *end, enum process_id peer)
{
	int fds[2];
	Ipc__Channel m = IPC__CHANNEL__INIT;
	uint8_t bytes[16];
	m.peer = peer;
	size_t n = ipc__channel__pack(&m, bytes);
	end_clear(end);
	assert_int_equal(ipc_pair(fds).code, ERR_NONE);
	to_child(IPC_CHANNEL, bytes, n, fds[1]);
	close(fds[1]);
	assert_int_equal(
		ipc_open(&end->ch, base, fds[0], peer, PROCESS_REPOSITORY, &end_events, end).code,
		ERR_NONE);
	ipc_set_running(end->ch, true);
}

static void with_models(void)
{
	start_it();
	give_channel(&models, PROCESS_MODELS);
	wait_until(models_heard);
	assert_int_equal(models.type, IPC_FEED_END);
}

static void tell_models_says(uint64_t what)
{
	Ipc__FeedAck m = IPC__FEED_ACK__INIT;
	m.revision = what;
	assert_int_equal(ipc_send_pb(models.ch, IPC_FEED_ACK, &m.base).code, ERR_NONE);
}

static int ended(void)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	pid = 0;
	return status;
}

static int tidy_child(void **state)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		pid = 0;
	}
	end_clear(&parent);
	end_clear(&models);
	end_clear(&northbound);
	return 0;
}

// --- tests

static void test_life(void **state)
{
	with_models();
	assert_non_null(strstr(sandbox, "seccomp "));
	if (geteuid() == 0) { // 61200 + 3, and what it made is its own
		struct stat s;
		assert_non_null(strstr(sandbox, "uid 61203, "));
		assert_int_equal(fstatat(state_dir, "made", &s, 0), 0);
		assert_int_equal(s.st_uid, 61203);
	}
	to_child(IPC_STOP, NULL, 0, -1);
	wait_until(models_closed);
	Ipc__FeedEnd *m = ipc__feed_end__unpack(NULL, models.last.len, models.last.data);
	assert_int_equal(m->revision, 999);
	ipc__feed_end__free_unpacked(m, NULL);
	assert_int_equal(ended(), 0);
}

static void test_neighbour_comes_again(void **state)
{
	with_models();
	ipc_close(models.ch); // it died
	models.ch = NULL;
	word = "down";
	wait_until(metrics_have_word);
	give_channel(&models, PROCESS_MODELS);
	wait_until(models_heard);
	give_channel(&northbound, PROCESS_MODELS); // anew, with the one before still open
	wait_until(models_closed);
	for (int i = 0; i < 2000 && !northbound.messages; i++)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(northbound.type, IPC_FEED_END);
	assert_int_equal(parent.closes, 0);
}

static void test_bad_neighbour_is_accused(void **state)
{
	with_models();
	give_channel(&northbound, PROCESS_NORTHBOUND);
	// FEED_ACK is not northbound's to say: raw bytes, since our own end would refuse.
	ipc_close(models.ch);
	models.ch = NULL;
	int fds[2];
	Ipc__Channel m = IPC__CHANNEL__INIT;
	uint8_t bytes[16], head[IPC_HEAD];
	m.peer = PROCESS_NORTHBOUND;
	size_t n = ipc__channel__pack(&m, bytes);
	assert_int_equal(ipc_pair(fds).code, ERR_NONE);
	to_child(IPC_CHANNEL, bytes, n, fds[1]);
	close(fds[1]);
	ipc_frame_write(head, IPC_FEED_ACK, 0, false);
	assert_int_equal(write(fds[0], head, sizeof head), sizeof head);
	wait_until(was_accused);
	assert_int_equal(broken_peer, PROCESS_NORTHBOUND);
	assert_non_null(strstr(broken, "may not send"));
	assert_int_equal(read(fds[0], head, 1), 0); // its channel is closed
	close(fds[0]);
	assert_int_equal(parent.closes, 0); // and the process lives
}

static void test_content_accused(void **state)
{
	with_models();
	tell_models_says(DO_PEER);
	wait_until(was_accused);
	assert_int_equal(broken_peer, PROCESS_MODELS);
	assert_int_equal(models.closes, 1);
}

static void test_own_invariant_ends_it(void **state)
{
	with_models();
	tell_models_says(DO_INTERNAL);
	wait_until(parent_closed);
	int status = ended();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void test_unhandled_message_ends_it(void **state)
{
	with_models();
	Ipc__StateAt m = IPC__STATE_AT__INIT; // permitted, but this part has no handler
	assert_int_equal(ipc_send_pb(models.ch, IPC_STATE_AT, &m.base).code, ERR_NONE);
	wait_until(parent_closed);
	assert_int_equal(WEXITSTATUS(ended()), 1);
}

// X.2011 8.3.1-7
static void test_forbidden_call_kills(void **state)
{
	with_models();
	tell_models_says(DO_FORBIDDEN);
	wait_until(parent_closed);
	int status = ended();
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void test_files(void **state)
{
	with_models();
	tell_models_says(DO_OPEN_INSIDE);
	word = "opened";
	wait_until(metrics_have_word);
	if (!strstr(sandbox, "landlock "))
		skip();
	tell_models_says(DO_OPEN_OUTSIDE);
	word = "refused";
	wait_until(metrics_have_word);
}

static void expect_refusal(void)
{
	wait_until(parent_closed);
	assert_int_equal(WEXITSTATUS(ended()), 1);
}

static void test_bad_starts(void **state)
{
	begin_child();
	to_child(IPC_CONFIG, "name: x\n", 8, -1);
	expect_refusal();
	tidy_child(NULL);
	begin_child();
	to_child(IPC_CONFIG, conf, sizeof conf - 1, -1);
	to_child(IPC_CONFIG, conf, sizeof conf - 1, -1);
	expect_refusal();
	tidy_child(NULL);
	begin_child(); // no state folder
	to_child(IPC_CONFIG, conf, sizeof conf - 1, -1);
	to_child(IPC_STARTED, NULL, 0, -1);
	expect_refusal();
	tidy_child(NULL);
	begin_child(); // a listener for who listens on nothing
	to_child(IPC_CONFIG, conf, sizeof conf - 1, -1);
	to_child(IPC_LISTENER,
		 "\x0a\x03"
		 "api",
		 5, 0);
	expect_refusal();
	tidy_child(NULL);
	begin_child(); // a channel to whom it does not talk
	to_child(IPC_CHANNEL, "\x08\x02", 2, 0);
	expect_refusal();
}

static void test_parent_gone(void **state)
{
	start_it();
	ipc_close(parent.ch);
	parent.ch = NULL;
	assert_int_equal(ended(), 0);
}

static int prepare(void **state)
{
	alarm(120); // nothing here may hang
	if (!mkdtemp(folder))
		return -1;
	state_dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state_dir < 0 || (geteuid() == 0 && fchown(state_dir, 61203, 61203) < 0))
		return -1;
	base = event_base_new();
	return 0;
}

static int tidy(void **state)
{
	unlinkat(state_dir, "made", 0);
	unlinkat(state_dir, "later", 0);
	close(state_dir);
	event_base_free(base);
	return rmdir(folder);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, tidy_child)
	const struct CMUnitTest tests[] = {
		CASE(test_life),
		CASE(test_neighbour_comes_again),
		CASE(test_bad_neighbour_is_accused),
		CASE(test_content_accused),
		CASE(test_own_invariant_ends_it),
		CASE(test_unhandled_message_ends_it),
		CASE(test_forbidden_call_kills),
		CASE(test_files),
		CASE(test_bad_starts),
		CASE(test_parent_gone),
	};
	return cmocka_run_group_tests(tests, prepare, tidy);
}
