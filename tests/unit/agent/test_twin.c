// SPDX-License-Identifier: Apache-2.0
// The signed stream from the inside: a real gRPC connection to the agent's tunnel service, with
// keys and the twin's enrolment service played here, so that hours, overflows and refusals can be
// had at once. (test_join.c runs the whole program.)
#include "test_agent.h"

#include "agent/wire_internal.h"
#include "lib/crypto/sign.h"
#include "lib/gnmi/gemel.pb-c.h"
#include "lib/gnmi/gnmi.pb-c.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SPOOL = 48 << 20 };

static struct wire w;
static struct child child;
static struct agent_conf conf;
static char folder[64];
static int dir;
static struct sign_key *key;
static uint8_t key_id[8];
static unsigned asked_keys, asked_proofs, challenges;
static bool refuse_proofs;

// --- the other side of the stream

static struct grpc_conn *gnmi, *outer; // both client ends
static struct grpc_server *enrolment;
static struct grpc_call *stream;
static bool acks;
static struct {
	unsigned batches, updates, deletes, syncs, losses;
	uint64_t first_seq, last_seq, lost;
	uint8_t key_id[8];
} seen;

static void pair(struct transport **a, struct transport **b)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_good(transport_plain(ends.base, fds[0], a));
	assert_good(transport_plain(ends.base, fds[1], b));
}

static void on_response(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	struct gnmi_response r;
	struct gnmi_notification note;
	assert_good(gnmi_response_read(m, n, &r));
	seen.syncs += r.sync_response;
	seen.losses += r.loss.present;
	seen.lost += r.loss.present ? r.loss.count : 0;
	if (!r.proof.present)
		return;
	assert_good(gnmi_notification_read(r.notification, BATCH_COUNT_MAX, &note));
	seen.batches++;
	seen.updates += note.updates;
	seen.deletes += note.deletes;
	if (!seen.first_seq)
		seen.first_seq = r.proof.seq;
	seen.last_seq = r.proof.seq;
	memcpy(seen.key_id, r.proof.key_id, 8);
	if (acks) {
		scoped(buf) struct buf ack = {0};
		gnmi_write_ack(&ack, r.proof.seq, r.proof.key_id);
		assert_good(grpc_call_send(call, ack.data, ack.len));
	}
}

static void on_stream_end(void *ctx, struct grpc_call *call, enum grpc_status s, const char *text)
{
	if (stream == call)
		stream = NULL;
}

static const struct grpc_handlers stream_h = {.on_message = on_response, .on_end = on_stream_end};

static void turn(void)
{
	for (int i = 0; i < 40; i++)
		ends_turn();
}

static void subscribe(void)
{
	Gnmi__SubscribeRequest m = GNMI__SUBSCRIBE_REQUEST__INIT;
	Gnmi__SubscriptionList list = GNMI__SUBSCRIPTION_LIST__INIT;
	Gnmi__Subscription item = GNMI__SUBSCRIPTION__INIT, *items = &item;
	scoped(arena) struct arena *a = arena_new(1 << 16);
	uint8_t bytes[512];
	memset(&seen, 0, sizeof seen);
	assert_good(path_message_of_text("/interfaces", a, &item.path));
	item.mode = GNMI__SUBSCRIPTION_MODE__ON_CHANGE;
	list.n_subscription = 1;
	list.subscription = &items;
	list.encoding = GNMI__ENCODING__PROTO;
	m.request_case = GNMI__SUBSCRIBE_REQUEST__REQUEST_SUBSCRIBE;
	m.subscribe = &list;
	size_t n = gnmi__subscribe_request__pack(&m, bytes);
	assert_good(grpc_call_start(gnmi, "/gnmi.gNMI/Subscribe", GRPC_BIDI, &stream_h, NULL, 0,
				    &stream));
	assert_good(grpc_call_send(stream, bytes, n));
	turn();
}

static void unsubscribe(void)
{
	grpc_call_cancel(stream);
	stream = NULL;
	turn();
}

// --- enrolment service

static void answer(struct grpc_call *call, const ProtobufCMessage *m)
{
	uint8_t bytes[512];
	size_t n = protobuf_c_message_pack(m, bytes);
	grpc_call_fail(call, grpc_call_send(call, bytes, n));
}

static void on_challenge(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	static uint8_t nonce[32];
	Gemel__Enrolment__V1__ChallengeAnswer a = GEMEL__ENROLMENT__V1__CHALLENGE_ANSWER__INIT;
	a.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
	challenges++;
	answer(call, &a.base);
}

static void on_attest(void *ctx, struct grpc_call *call, const uint8_t *m, size_t n)
{
	Gemel__Enrolment__V1__AttestAnswer a = GEMEL__ENROLMENT__V1__ATTEST_ANSWER__INIT;
	a.accepted = !refuse_proofs;
	a.state = (char *)(uintptr_t) "production";
	answer(call, &a.base);
}

static const struct grpc_handlers challenge_h = {.on_message = on_challenge},
				  attest_h = {.on_message = on_attest};

// --- keys

static void certified(struct buf *out)
{
	uint8_t inner[128], whole[192];
	Gemel__Enrolment__V1__BatchKey b = GEMEL__ENROLMENT__V1__BATCH_KEY__INIT;
	Gemel__Enrolment__V1__CertifiedBatchKey c = GEMEL__ENROLMENT__V1__CERTIFIED_BATCH_KEY__INIT;
	b.until_ns = INT64_MAX;
	c.batch_key =
		(ProtobufCBinaryData){gemel__enrolment__v1__batch_key__pack(&b, inner), inner};
	buf_append(out, whole, gemel__enrolment__v1__certified_batch_key__pack(&c, whole));
}

static void bring_key(void)
{
	scoped(buf) struct buf b = {0};
	scoped(buf) struct buf c = {0};
	sign_key_free(key);
	assert_good(sign_key_generate(SIGN_ED25519, &key));
	memcpy(key_id, sign_key_public(key)->id, 8);
	certified(&c);
	buf_append(&b, key_id, 8);
	buf_u8(&b, SIGN_ED25519);
	link_put(&b, c.data, c.len);
	const struct link_message m = {LINK_BATCH_KEY, LINK_KEYS, b.data, b.len, -1};
	assert_good(twin_batch_key(&w, &m));
}

static struct err on_sign(struct cursor *c)
{
	scoped(buf) struct buf b = {0};
	struct sign_signature s = {0};
	uint32_t id = cursor_be32(c);
	bool mine = memcmp(cursor_take(c, 8), key_id, 8) == 0;
	if (mine)
		TRY(sign_make(key, cursor_take(c, 32), 32, &s));
	buf_be32(&b, id);
	link_put(&b, s.bytes, s.len);
	const struct link_message m = {LINK_SIGNED, LINK_KEYS, b.data, b.len, -1};
	return twin_signed(&w, &m);
}

static struct err on_keys(const struct link_message *m)
{
	struct cursor c = cursor_over(m->bytes, m->len);
	if (m->type == LINK_SIGN)
		return on_sign(&c);
	if (m->type == LINK_NEW_KEY) {
		asked_keys++;
		bring_key();
		return OK;
	}
	assert_int_equal(m->type, LINK_ATTEST);
	asked_proofs++;
	scoped(buf) struct buf b = {0};
	buf_be32(&b, cursor_be32(&c));
	link_put(&b, "request", 7);
	const struct link_message back = {LINK_ATTESTED, LINK_KEYS, b.data, b.len, -1};
	return wire_attested(&w, &back);
}

// --- set-up

static void connections(void)
{
	struct transport *a, *b;
	struct grpc_conn *unused;
	const struct grpc_client_conf plain = {.plain = true};
	assert_good(service_start(&w, &w.tunnel, true));
	pair(&a, &b);
	assert_good(grpc_server_accept(w.tunnel.grpc, a, NULL, NULL, &unused));
	assert_good(grpc_client_new(b, &plain, NULL, NULL, &gnmi));
	enrolment = grpc_server_new(NULL);
	assert_good(grpc_server_add(enrolment, "/gemel.enrolment.v1.Enrolment/Challenge",
				    GRPC_UNARY, &challenge_h, NULL));
	assert_good(grpc_server_add(enrolment, "/gemel.enrolment.v1.Enrolment/Attest", GRPC_UNARY,
				    &attest_h, NULL));
	pair(&a, &b);
	assert_good(grpc_server_accept(enrolment, a, NULL, NULL, &unused));
	assert_good(grpc_client_new(b, &plain, NULL, NULL, &outer));
	w.session.conn = outer;
	w.session.stage = SESSION_UP;
}

static void on_flush(evutil_socket_t fd, short what, void *ctx)
{
	wire_flush(&w);
	twin_work(&w);
}

static int make(void **state)
{
	memset(&w, 0, sizeof w);
	memset(&child, 0, sizeof child);
	asked_keys = asked_proofs = challenges = 0;
	acks = true;
	refuse_proofs = false;
	conf = (struct agent_conf){.device = (char *)(uintptr_t) "r1",
				   .sample_ns = 3600 * 1000000000LL,
				   .rate = 1000000,
				   .spool_bytes = SPOOL};
	strcpy(folder, "/tmp/gemel-twin-XXXXXX");
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	ends_make(LINK_WIRE, LINK_KEYS, NULL);
	ends.on_b = on_keys;
	child.base = w.base = ends.base;
	child.links[LINK_KEYS] = ends.a;
	w.child = &child;
	w.conf = child.conf = &conf;
	w.status.fd = openat(dir, "status", O_RDWR | O_CREAT, 0600);
	w.tree = tree_new();
	w.has_state = true;
	w.flush = evtimer_new(w.base, on_flush, NULL);
	assert_good(twin_open(&w, dir));
	assert_good(samples_start(&w));
	assert_good(twin_start(&w));
	assert_good(session_start(&w));
	connections();
	bring_key();
	return 0;
}

static int clear(void **state)
{
	grpc_conn_close(gnmi);
	grpc_conn_close(outer);
	turn();
	struct event *const events[] = {w.flush,	 w.twin.timer,	   w.twin.rotate,
					w.samples.ready, w.samples.late,   w.session.retry,
					w.session.again, w.session.overdue};
	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		event_free(events[i]);
	grpc_server_free(w.tunnel.grpc);
	grpc_server_free(enrolment);
	watch_clear(&w.twin.watch);
	buf_clear(&w.twin.record);
	buf_clear(&w.session.attest.certified);
	chain_free(w.twin.chain);
	spool_close(w.twin.spool);
	tree_free(w.tree);
	close(w.status.fd);
	ends_clear();
	sign_key_free(key);
	key = NULL;
	DIR *d = opendir(folder);
	for (struct dirent *e; (e = readdir(d));)
		unlinkat(dir, e->d_name, 0);
	closedir(d);
	close(dir);
	return rmdir(folder);
}

static void change(unsigned interface, uint64_t value)
{
	char path[128];
	snprintf(path, sizeof path, "/interfaces/interface[name=eth%u]/state/mtu", interface);
	put_uint(w.tree, path, value, 0);
	wire_flush(&w);
	ends_turn();
}

static struct spool_counts spooled(void)
{
	struct spool_counts c;
	spool_count(w.twin.spool, &c);
	return c;
}

// --- tests

static void test_the_state_and_what_changes(void **state)
{
	change(0, 1500);
	subscribe();
	assert_int_equal(seen.syncs, 1);
	assert_int_equal(seen.updates, 1);
	assert_int_equal(seen.deletes, 1); // /interfaces, before it is told
	assert_int_equal(challenges, 1);   // the key was proved first
	change(0, 9000);
	tree_delete(w.tree, "/interfaces/interface[name=eth0]");
	wire_flush(&w);
	turn();
	assert_int_equal(seen.updates, 2);
	assert_int_equal(seen.deletes, 2);
	assert_int_equal(spooled().batches, 0);
	put_uint(w.tree, "/system/state/boot-time", 1, 0); // not subscribed to
	wire_flush(&w);
	turn();
	assert_int_equal(seen.updates, 2);
}

static void test_an_empty_state_is_synced_too(void **state)
{
	subscribe();
	assert_int_equal(seen.syncs, 1);
	unsubscribe();
	subscribe(); // nothing to delete any more, and nothing to tell
	assert_int_equal(seen.syncs, 1);
	assert_int_equal(seen.batches, 0);
}

static void test_an_hour_later(void **state)
{
	uint8_t before[8];
	change(0, 1500);
	subscribe();
	memcpy(before, key_id, 8);
	memset(&seen, 0, sizeof seen);
	twin_new_key(&w);
	change(1, 1500); // in between: waits for the new chain
	turn();
	assert_int_equal(asked_keys, 1);
	assert_memory_not_equal(before, key_id, 8);
	assert_memory_equal(seen.key_id, key_id, 8);
	assert_int_equal(seen.first_seq, 1);
	assert_int_equal(seen.deletes, 0); // it knows what it told
	assert_int_equal(challenges, 2);   // a fresh proof for the fresh key
	assert_true(seen.updates >= 2);
	assert_int_equal(spooled().batches, 0);
}

static void test_keys_dies(void **state)
{
	change(0, 1500);
	subscribe();
	memset(&seen, 0, sizeof seen);
	twin_keys_away(&w);
	tree_delete(w.tree, "/interfaces/interface[name=eth0]");
	change(1, 1500); // told to nobody
	assert_int_equal(seen.batches, 0);
	bring_key();
	turn();
	assert_int_equal(seen.deletes, 1); // so all is wiped, and told again
	assert_int_equal(seen.updates, 1);
}

static void test_away_and_back(void **state)
{
	change(0, 1500);
	subscribe();
	uint64_t seq = seen.last_seq;
	unsubscribe();
	for (unsigned i = 0; i < 10; i++)
		change(1, i);
	assert_int_equal(spooled().batches, 10);
	subscribe();
	assert_int_equal(seen.first_seq, seq + 1);
	assert_true(seen.batches >= 11); // what was missed, one by one, then the state
	assert_int_equal(seen.deletes, 0);
	assert_int_equal(seen.syncs, 1);
	assert_int_equal(spooled().batches, 0);
}

static void test_a_process_before_this_one(void **state)
{
	change(0, 1500);
	acks = false;
	subscribe();
	unsubscribe();
	uint8_t old[8];
	memcpy(old, key_id, 8);
	bring_key(); // as after a restart: the old key is nowhere but in the spool
	turn();
	acks = true;
	asked_proofs = 0;
	w.session.n_attested = 0;
	subscribe();
	assert_int_equal(asked_proofs, 2); // the old one, certified in the spool, and the new one
	assert_memory_equal(seen.key_id, key_id, 8);
	assert_int_equal(spooled().batches, 0);
}

static void test_a_key_that_is_not_accepted(void **state)
{
	change(0, 1500);
	acks = false;
	subscribe();
	unsubscribe();
	bring_key();
	turn();
	acks = true;
	w.session.n_attested = 1; // the new one is known, the old one will be refused
	memcpy(w.session.attested[0], key_id, 8);
	refuse_proofs = true;
	subscribe();
	assert_true(seen.batches > 0);
	assert_int_equal(seen.first_seq, 1);
	assert_memory_equal(seen.key_id, key_id, 8);
	assert_true(w.twin.skipped > 0);
	assert_int_equal(seen.lost, w.twin.skipped); // the twin hears of it
	unsubscribe();
	subscribe();
	assert_int_equal(seen.losses, 0); // once
}

static void test_a_chain_that_is_never_acknowledged(void **state)
{
	uint8_t old[8];
	change(0, 1500);
	acks = false;
	memcpy(old, key_id, 8);
	for (int i = 0; i < 3; i++) {
		subscribe();
		assert_memory_equal(seen.key_id, old, 8);
		unsubscribe();
	}
	assert_true(w.twin.has_broken);
	acks = true;
	twin_new_key(&w); // what its timer does
	turn();
	subscribe();
	assert_memory_not_equal(seen.key_id, old, 8);
	assert_int_equal(seen.first_seq, 1);
	assert_int_equal(seen.deletes, 1);
	assert_int_equal(seen.syncs, 1);
	assert_int_equal(spooled().batches, 0);
}

// 3 MiB a segment: each change of one large leaf is a batch of its own.
static void large_change(unsigned n)
{
	static uint8_t text[TREE_VALUE_MAX];
	memset(text, 'a' + (int)(n % 26), sizeof text);
	text[0] = (uint8_t)('a' + (int)(n / 26 % 26));
	tree_put(w.tree, "/interfaces/interface[name=eth0]/state/description",
		 &(struct batch_value){.type = VALUE_STRING, .s = {text, sizeof text}}, 1, 0);
	wire_flush(&w);
	ends_turn();
}

static void test_an_overflow(void **state)
{
	change(0, 1500);
	subscribe();
	unsubscribe();
	unsigned n = 0;
	while (spooled().lost_batches == 0 && n < 5000)
		large_change(n++);
	assert_true(spooled().lost_batches > 0);
	assert_true(asked_keys >= 3); // a chain holds a quarter of the spool at most
	subscribe();
	turn();
	for (int i = 0; i < 2000 && spooled().batches; i++)
		turn();
	assert_int_equal(spooled().batches, 0);
	assert_int_equal(seen.lost, spooled().lost_updates + w.twin.skipped);
	assert_true(w.twin.skipped > 0 && w.twin.skipped < n); // the rest of one chain, not of all
	assert_int_equal(seen.first_seq, 1);		       // of a chain that is whole
	assert_int_equal(seen.syncs, 1);
}

static void test_a_later_subscription_takes_the_place(void **state)
{
	change(0, 1500);
	subscribe();
	struct grpc_call *first = stream;
	subscribe();
	assert_ptr_not_equal(stream, first);
	assert_int_equal(seen.syncs, 1);
	change(0, 1400);
	assert_int_equal(w.twin.stream->call != NULL, 1);
}

static void test_what_may_not_be_said_on_it(void **state)
{
	static const uint8_t poll[] = {0x1a, 0};
	change(0, 1500);
	subscribe();
	assert_good(grpc_call_send(stream, poll, sizeof poll));
	turn();
	assert_null(stream); // ended
	assert_null(w.twin.stream);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, clear)
	const struct CMUnitTest tests[] = {
		TEST(test_the_state_and_what_changes),
		TEST(test_an_empty_state_is_synced_too),
		TEST(test_an_hour_later),
		TEST(test_keys_dies),
		TEST(test_away_and_back),
		TEST(test_a_process_before_this_one),
		TEST(test_a_key_that_is_not_accepted),
		TEST(test_a_chain_that_is_never_acknowledged),
		TEST(test_an_overflow),
		TEST(test_a_later_subscription_takes_the_place),
		TEST(test_what_may_not_be_said_on_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
