// SPDX-License-Identifier: Apache-2.0
#include "house.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/tlog/request.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct end { // of a channel, at the neighbour
	struct house *h;
	enum process_id who;
};
static struct end ends[PROCESS_COUNT];

struct repository *house_repository(struct house *h)
{
	return h->p.self;
}

static void say(struct house *h, enum process_id from, enum ipc_type type,
		const ProtobufCMessage *m)
{
	ok(ipc_send_pb(h->others[from], type, m));
}

static void kept_append(struct buf *b, const uint8_t *bytes, size_t n)
{
	buf_be32(b, (uint32_t)n);
	buf_append(b, bytes, n);
}

// --- keys and the witness

static void sign_for(struct house *h, const Ipc__KeySign *m)
{
	struct sign_signature s;
	Ipc__KeySigned a = IPC__KEY_SIGNED__INIT;
	assert_int_equal(m->purpose, IPC__KEY_PURPOSE__KEY_CHECKPOINT);
	if (h->mute_keys)
		return;
	ok(sign_make(h->checkpoint, m->message.data, m->message.len, &s));
	a.id = m->id;
	a.signature = (ProtobufCBinaryData){s.len, s.bytes};
	say(h, PROCESS_KEYS, IPC_KEY_SIGNED, &a.base);
}

static struct err witness_sign(void *ctx, const void *message, size_t n,
			       uint8_t out[NOTE_SIGNATURE])
{
	struct sign_signature s;
	TRY(sign_make(ctx, message, n, &s));
	memcpy(out, s.bytes, NOTE_SIGNATURE);
	return OK;
}

// c2sp.org/tlog-witness: the status; the body in `out`.
static unsigned witness_answer(struct house *h, const uint8_t *body, size_t n, struct buf *out)
{
	struct house_witness *w = &h->witness;
	struct witness_request q;
	struct note_key log;
	struct note note;
	struct checkpoint c;
	ok(witness_request_parse((const char *)body, n, &q));
	ok(note_key_make(h->conf.name, NOTE_ED25519, sign_key_public(h->checkpoint)->bytes, &log));
	ok(checkpoint_open(q.checkpoint, q.checkpoint_len, h->conf.name, &log, &note, &c));
	if (q.old != w->size) {
		buf_printf(out, "%llu\n", (unsigned long long)w->size);
		return 409;
	}
	if (q.old &&
	    merkle_check_consistency(q.old, &w->root, c.size, &c.root, q.proof.at, q.proof.n)
			    .code != ERR_NONE)
		return 422;
	const struct note_signer s = {.key = w->key, .sign = witness_sign, .ctx = w->sign};
	struct buf other = {0};
	buf_str(&other, "gemel.test/other\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
	ok(note_sign(&s, (uint64_t)(clock_wall_ns() / NS_PER_S),
		     w->lies ? buf_text(&other) : note.text, w->lies ? other.len : note.text_len,
		     out));
	buf_clear(&other);
	w->size = c.size;
	w->root = c.root;
	w->cosigned++;
	return 200;
}

static void witness_for(struct house *h, const Ipc__WitnessAsk *m)
{
	Ipc__WitnessAnswer a = IPC__WITNESS_ANSWER__INIT;
	struct buf out = {0};
	a.id = m->id;
	a.witness = m->witness;
	a.error = (char *)(uintptr_t) "";
	h->witness.asked++;
	if (h->witness.away)
		a.error = (char *)(uintptr_t) "connection refused";
	else
		a.status = witness_answer(h, m->body.data, m->body.len, &out);
	a.body = (ProtobufCBinaryData){out.len, out.data};
	say(h, PROCESS_NORTHBOUND, IPC_WITNESS_ANSWER, &a.base);
	buf_clear(&out);
}

// --- what the repository says

static void tell(struct house_told *list, size_t *n, const char *device, uint64_t seq,
		 uint64_t expected, const char *reason)
{
	if (*n == HOUSE_LOG)
		return;
	struct house_told *t = &list[(*n)++];
	snprintf(t->device, sizeof t->device, "%s", device);
	snprintf(t->reason, sizeof t->reason, "%s", reason);
	t->seq = seq;
	t->expected = expected;
}

static void take_answer(struct house *h, const Ipc__ApiAnswer *m)
{
	if (h->answer.id != m->id)
		buf_reset(&h->answer.body);
	h->answer.id = m->id;
	h->answer.status = m->status;
	snprintf(h->answer.type, sizeof h->answer.type, "%s", m->content_type);
	buf_append(&h->answer.body, m->body.data, m->body.len);
}

static void take_event(struct house *h, const Ipc__Event *m)
{
	if (strcmp(m->type, "integrity.alert") != 0)
		return;
	h->alerts++;
	snprintf(h->alert, sizeof h->alert, "%.*s", (int)m->json.len, (const char *)m->json.data);
}

static void take_series(struct house *h, const Ipc__Series *m)
{
	for (size_t i = 0; i < m->n_items; i++) {
		const Ipc__SeriesItem *s = m->items[i];
		assert_true(s->number < HOUSE_NAMES);
		h->names[s->number] = arena_printf(h->kept, "%s %s", s->device, s->path);
	}
}

static struct err on_other(void *ctx, const struct ipc_message *m)
{
	struct house *h = ((struct end *)ctx)->h;
	struct err e = OK;
	void *r = NULL;
	scoped(arena) struct arena *a = arena_new(64 << 20);
	if (m->type == IPC_KEY_SIGN && (r = IPC_UNPACK(key_sign, m, a, &e)))
		sign_for(h, r);
	else if (m->type == IPC_WITNESS_ASK && (r = IPC_UNPACK(witness_ask, m, a, &e)))
		witness_for(h, r);
	else if (m->type == IPC_API_ANSWER && (r = IPC_UNPACK(api_answer, m, a, &e)))
		take_answer(h, r);
	else if (m->type == IPC_EVENT && (r = IPC_UNPACK(event, m, a, &e)))
		take_event(h, r);
	else if (m->type == IPC_SERIES && (r = IPC_UNPACK(series, m, a, &e)))
		take_series(h, r);
	else if (m->type == IPC_GRANT && (h->grant = IPC_UNPACK(grant, m, h->kept, &e)))
		h->grants++;
	else if (m->type == IPC_GRANT_REVOKE)
		h->revokes++;
	else if (m->type == IPC_BATCH_ACK && (r = IPC_UNPACK(batch_ack, m, a, &e)))
		tell(h->acks, &h->n_acks, ((Ipc__BatchAck *)r)->device, ((Ipc__BatchAck *)r)->seq,
		     0, "");
	else if (m->type == IPC_BATCH_REFUSED && (r = IPC_UNPACK(batch_refused, m, a, &e)))
		tell(h->refusals, &h->n_refusals, ((Ipc__BatchRefused *)r)->device,
		     ((Ipc__BatchRefused *)r)->seq, ((Ipc__BatchRefused *)r)->expected,
		     ((Ipc__BatchRefused *)r)->reason);
	else if (m->type == IPC_RECORDED && (r = IPC_UNPACK(recorded, m, a, &e)))
		tell(h->recorded, &h->n_recorded, "", ((Ipc__Recorded *)r)->id,
		     ((Ipc__Recorded *)r)->index, ((Ipc__Recorded *)r)->error);
	else if (m->type == IPC_FEED)
		kept_append(&h->feeds, m->bytes, m->len);
	else if (m->type == IPC_FEED_END)
		h->feed_ends++;
	else if (m->type == IPC_STATE_FEED)
		kept_append(&h->state, m->bytes + 8, m->len - 8);
	else if (m->type == IPC_STATE_END && (r = IPC_UNPACK(state_end, m, a, &e))) {
		h->state_end = ((Ipc__StateEnd *)r)->id;
		h->state_ends++;
		snprintf(h->state_error, sizeof h->state_error, "%s", ((Ipc__StateEnd *)r)->error);
	}
	return e;
}

static struct err on_ours(void *ctx, const struct ipc_message *m)
{
	struct house *h = ctx;
	const struct process_part *part = &repository_part;
	arena_reset(h->p.scratch);
	for (size_t i = 0; i < part->n_handlers; i++)
		if (part->handlers[i].type == m->type)
			return part->handlers[i].handle(&h->p, m);
	return err_make(ERR_INTERNAL, "%s has no handler", ipc_type_name(m->type));
}

static void on_close_ours(void *ctx, enum process_id peer, struct err why)
{
	struct house *h = ctx;
	ipc_close(h->p.peers[peer]);
	h->p.peers[peer] = NULL;
	h->closed++;
	repository_part.peer_down(&h->p, peer);
}

static void on_close_other(void *ctx, enum process_id peer, struct err why)
{
	struct end *e = ctx;
	ipc_close(e->h->others[e->who]);
	e->h->others[e->who] = NULL;
}

static void on_drain_ours(void *ctx, enum process_id peer)
{
	struct house *h = ctx;
	repository_part.drained(&h->p, peer);
}

// --- life

static void give_keys(struct house *h)
{
	const struct sign_public *c = sign_key_public(h->checkpoint),
				 *m = sign_key_public(h->management);
	Ipc__KeyPublicItem items[3], *list[3];
	static const Ipc__KeyPurpose purposes[] = {IPC__KEY_PURPOSE__KEY_CHECKPOINT,
						   IPC__KEY_PURPOSE__KEY_TICKET,
						   IPC__KEY_PURPOSE__KEY_POLICY};
	for (int i = 0; i < 3; i++) {
		const struct sign_public *k = i ? m : c;
		ipc__key_public_item__init(&items[i]);
		items[i].purpose = purposes[i];
		items[i].algorithm = 1;
		items[i].public_key = (ProtobufCBinaryData){k->len, (uint8_t *)(uintptr_t)k->bytes};
		list[i] = &items[i];
	}
	Ipc__KeyPublic k = IPC__KEY_PUBLIC__INIT;
	k.keys = list;
	k.n_keys = 3;
	say(h, PROCESS_KEYS, IPC_KEY_PUBLIC, &k.base);
}

static void give_policy(struct house *h)
{
	scoped(buf) struct buf b = {0};
	struct sign_signature s;
	access_policy_encode_default(&b, 1, clock_wall_ns());
	ok(sign_make(h->management, b.data, b.len, &s));
	buf_append(&b, s.bytes, s.len);
	Ipc__Policy m = IPC__POLICY__INIT;
	m.snapshot = (ProtobufCBinaryData){b.len, b.data};
	say(h, PROCESS_MANAGEMENT, IPC_POLICY, &m.base);
}

static void send_channel(struct house *h, enum process_id id, int fd)
{
	Ipc__Channel m = IPC__CHANNEL__INIT;
	uint8_t bytes[16];
	m.peer = id;
	size_t n = protobuf_c_message_pack(&m.base, bytes);
	ok(ipc_send(h->parent, IPC_CHANNEL, bytes, n, fd));
	close(fd);
}

void house_up(struct house *h, enum process_id id)
{
	static const struct ipc_events ours = {on_ours, on_drain_ours, on_close_ours};
	static const struct ipc_events theirs = {on_other, NULL, on_close_other};
	int fds[2];
	ends[id] = (struct end){h, id};
	ok(ipc_pair(fds));
	ok(ipc_open(&h->others[id], h->p.base, fds[1], id, PROCESS_REPOSITORY, &theirs, &ends[id]));
	ipc_set_running(h->others[id], true);
	if (h->child) {
		send_channel(h, id, fds[0]);
	} else {
		ok(ipc_open(&h->p.peers[id], h->p.base, fds[0], PROCESS_REPOSITORY, id, &ours, h));
		ipc_set_running(h->p.peers[id], true);
		repository_part.peer_up(&h->p, id);
	}
	if (id == PROCESS_KEYS)
		give_keys(h);
	if (id == PROCESS_MANAGEMENT)
		give_policy(h);
}

void house_down(struct house *h, enum process_id id)
{
	ipc_close(h->others[id]);
	ipc_close(h->p.peers[id]);
	h->others[id] = h->p.peers[id] = NULL;
	if (h->p.self)
		repository_part.peer_down(&h->p, id);
}

struct house *house_new(void)
{
	struct house *h = calloc(1, sizeof *h);
	assert_non_null(h);
	ok(crypto_start());
	log_start("repository", getenv("GEMEL_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	strcpy(h->folder, "/tmp/gemel-repository-XXXXXX");
	assert_non_null(mkdtemp(h->folder));
	ok(sign_key_generate(SIGN_ED25519, &h->checkpoint));
	ok(sign_key_generate(SIGN_ED25519, &h->management));
	ok(sign_key_generate(SIGN_ED25519, &h->witness.sign));
	ok(note_key_make("gemel.test/witness", NOTE_COSIGNATURE,
			 sign_key_public(h->witness.sign)->bytes, &h->witness.key));
	scoped(buf) struct buf vkey = {0};
	note_key_format(&h->witness.key, &vkey);
	snprintf(h->vkey, sizeof h->vkey, "%s", buf_text(&vkey));
	h->witness_conf = (struct conf_witness){.name = (char *)(uintptr_t) "w1", .vkey = h->vkey};
	h->conf = (struct daemon_conf){.name = (char *)(uintptr_t) "gemel.test/campus",
				       .witnesses = {&h->witness_conf, 1},
				       .memory_budget = 64 << 20,
				       .sample_interval = NS_PER_S,
				       .device_rate = 1000,
				       .device_series = 1000};
	h->kept = arena_new(256 << 20);
	h->feeds.limit = h->state.limit = 256 << 20;
	return h;
}

static void one_turn(struct house *h, int64_t since)
{
	event_base_loop(h->p.base, EVLOOP_ONCE);
	if (clock_mono_ns() - since > 60 * NS_PER_S)
		fail_msg("nothing came in a minute");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	return remove(path);
}

void house_free(struct house *h)
{
	if (h->child)
		house_kill(h);
	if (h->p.self)
		house_close(h, false);
	nftw(h->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	sign_key_free(h->checkpoint);
	sign_key_free(h->management);
	sign_key_free(h->witness.sign);
	buf_clear(&h->feeds);
	buf_clear(&h->state);
	buf_clear(&h->answer.body);
	arena_free(h->kept);
	free(h);
}

void house_open(struct house *h)
{
	static const enum process_id all[] = {PROCESS_KEYS, PROCESS_MANAGEMENT, PROCESS_TELEMETRY,
					      PROCESS_MODELS, PROCESS_NORTHBOUND};
	h->p = (struct process){.id = PROCESS_REPOSITORY, .conf = &h->conf, .running = true};
	h->p.base = event_base_new();
	h->p.scratch = arena_new(64 << 20);
	h->p.state_dir = open(h->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(h->names, 0, sizeof h->names);
	buf_reset(&h->feeds);
	h->feed_ends = 0;
	ok(repository_part.start(&h->p));
	ok(repository_part.ready(&h->p));
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		house_up(h, all[i]);
	house_turn(h);
}

// --- as a child

static struct err on_parent(void *ctx, const struct ipc_message *m)
{
	struct house *h = ctx;
	struct err e = OK;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	if (m->type == IPC_READY) {
		Ipc__Ready *r = IPC_UNPACK(ready, m, a, &e);
		assert_non_null(r);
		snprintf(h->sandbox, sizeof h->sandbox, "%s", r->sandbox);
		h->ready++;
		ipc_set_running(h->parent, true);
	} else if (m->type == IPC_BROKEN) {
		Ipc__Broken *b = IPC_UNPACK(broken, m, a, &e);
		snprintf(h->broken, sizeof h->broken, "%s", b ? b->why : "?");
	}
	return e;
}

static void on_parent_close(void *ctx, enum process_id peer, struct err why)
{
	struct house *h = ctx;
	ipc_close(h->parent);
	h->parent = NULL;
}

static void start_child(struct house *h, int theirs)
{
	fflush(NULL);
	h->child = fork();
	assert_true(h->child >= 0);
	if (h->child)
		return;
	if (theirs != 3)
		dup2(theirs, 3);
	close_range(4, ~0u, 0); // ours: the child must see when we are gone
	_exit(process_main(&repository_part));
}

void house_open_child(struct house *h)
{
	static const struct ipc_events events = {on_parent, NULL, on_parent_close};
	static const enum process_id all[] = {PROCESS_KEYS, PROCESS_MANAGEMENT, PROCESS_TELEMETRY,
					      PROCESS_MODELS, PROCESS_NORTHBOUND};
	char conf[1000];
	int fds[2], folder = open(h->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	h->p = (struct process){.id = PROCESS_REPOSITORY, .conf = &h->conf, .state_dir = -1};
	if (geteuid() == 0)
		assert_int_equal(
			fchown(folder, 61200 + PROCESS_REPOSITORY, 61200 + PROCESS_REPOSITORY), 0);
	ok(ipc_pair(fds));
	start_child(h, fds[1]);
	close(fds[1]);
	h->p.base = event_base_new();
	h->p.scratch = arena_new(1 << 20);
	memset(h->names, 0, sizeof h->names);
	buf_reset(&h->feeds);
	h->ready = h->feed_ends = 0;
	ok(ipc_open(&h->parent, h->p.base, fds[0], PROCESS_PARENT, PROCESS_REPOSITORY, &events, h));
	snprintf(conf, sizeof conf,
		 "name: %s\nstate: /nowhere\nuid_base: 61200\nlog_level: error\nwitnesses:\n"
		 "  - {name: w1, vkey: \"%s\", address: 127.0.0.1}\n",
		 h->conf.name, h->vkey);
	ok(ipc_send(h->parent, IPC_CONFIG, conf, strlen(conf), -1));
	ok(ipc_send(h->parent, IPC_STATE_DIR, "", 0, folder));
	close(folder);
	ok(ipc_send(h->parent, IPC_STARTED, "", 0, -1));
	house_until(h, &h->ready, 1);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		house_up(h, all[i]);
}

static int reap(struct house *h)
{
	int status = 0;
	assert_int_equal(waitpid(h->child, &status, 0), h->child);
	h->child = 0;
	ipc_close(h->parent);
	h->parent = NULL;
	for (int i = 0; i < PROCESS_COUNT; i++) {
		ipc_close(h->others[i]);
		h->others[i] = NULL;
	}
	event_base_loop(h->p.base, EVLOOP_NONBLOCK);
	event_base_free(h->p.base);
	arena_free(h->p.scratch);
	return status;
}

void house_kill(struct house *h)
{
	assert_int_equal(kill(h->child, SIGKILL), 0);
	int status = reap(h);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int house_stop_child(struct house *h)
{
	int64_t since = clock_mono_ns();
	ok(ipc_send(h->parent, IPC_STOP, "", 0, -1));
	while (h->parent)
		one_turn(h, since);
	return reap(h);
}

void house_close(struct house *h, bool orderly)
{
	if (orderly) {
		repository_part.stop(&h->p);
	} else { // what memory held is gone; what was written stays
		struct repository *r = house_repository(h);
		h->p.self = NULL;
		repository_close(r);
	}
	for (int i = 0; i < PROCESS_COUNT; i++) {
		ipc_close(h->others[i]);
		ipc_close(h->p.peers[i]);
		h->others[i] = h->p.peers[i] = NULL;
	}
	event_base_loop(h->p.base, EVLOOP_NONBLOCK);
	event_base_free(h->p.base);
	arena_free(h->p.scratch);
	close(h->p.state_dir);
}

void house_turn(struct house *h)
{
	for (int i = 0; i < 12; i++)
		event_base_loop(h->p.base, EVLOOP_NONBLOCK);
}

void house_until(struct house *h, const unsigned *at, unsigned least)
{
	int64_t since = clock_mono_ns();
	while (*at < least)
		one_turn(h, since);
}

void house_wait_head(struct house *h, uint64_t size)
{
	int64_t since = clock_mono_ns();
	while (ledger_checkpoint_size(house_repository(h)->ledger) < size)
		one_turn(h, since);
}

// --- devices

void house_device(struct house_device *d, const char *name, unsigned number)
{
	*d = (struct house_device){.first = 1 + number * 1024};
	snprintf(d->name, sizeof d->name, "%s", name);
	ok(sign_key_generate(number % 2 ? SIGN_P256 : SIGN_ED25519, &d->key));
}

void house_device_clear(struct house_device *d)
{
	for (unsigned i = 0; i < d->n_paths; i++)
		free(d->paths[i]);
	sign_key_free(d->key);
}

void house_state(struct house *h, const struct house_device *d, const char *state,
		 const char *domain)
{
	const struct sign_public *k = sign_key_public(d->key);
	Ipc__BatchKey key = IPC__BATCH_KEY__INIT, *keys[] = {&key};
	Ipc__DeviceState m = IPC__DEVICE_STATE__INIT;
	key.key_id = (ProtobufCBinaryData){SIGN_KEY_ID, (uint8_t *)(uintptr_t)k->id};
	key.algorithm = k->algorithm;
	key.public_key = (ProtobufCBinaryData){k->len, (uint8_t *)(uintptr_t)k->bytes};
	key.from_ns = 1;
	key.until_ns = clock_wall_ns() + 3600 * NS_PER_S;
	m.device = (char *)(uintptr_t)d->name;
	m.state = (char *)(uintptr_t)state;
	m.kind = (char *)(uintptr_t) "agent";
	m.domain = (char *)(uintptr_t)domain;
	m.keys = keys;
	m.n_keys = 1;
	say(h, PROCESS_MANAGEMENT, IPC_DEVICE_STATE, &m.base);
	house_turn(h);
}

void house_telemetry_again(struct house_device *d)
{
	for (unsigned i = 0; i < d->n_paths; i++)
		free(d->paths[i]);
	d->n_paths = 0;
}

static uint32_t number_of(struct house *h, struct house_device *d, const char *path)
{
	for (unsigned i = 0; i < d->n_paths; i++)
		if (!strcmp(d->paths[i], path))
			return d->first + i;
	assert_true(d->n_paths < 1024);
	d->paths[d->n_paths] = strdup(path);
	Ipc__SeriesItem item = IPC__SERIES_ITEM__INIT, *items[] = {&item};
	Ipc__Series m = IPC__SERIES__INIT;
	item.number = d->first + d->n_paths;
	item.device = d->name;
	item.path = d->paths[d->n_paths];
	m.items = items;
	m.n_items = 1;
	say(h, PROCESS_TELEMETRY, IPC_SERIES, &m.base);
	return d->first + d->n_paths++;
}

void house_batch(struct house *h, struct house_device *d, const struct house_update *list, size_t n,
		 unsigned spoil)
{
	static const uint8_t zeros[BATCH_HASH];
	struct batch_canonical *c = batch_canonical_new();
	struct sign_signature signature = {0};
	uint8_t hash[BATCH_HASH];
	uint64_t seq = spoil & SPOIL_REPEAT ? d->seq : d->seq + 1 + (spoil & SPOIL_GAP ? 1 : 0);
	struct batch_head head = {.seq = seq, .received_ns = clock_wall_ns()};
	snprintf(head.device, sizeof head.device, "%s", d->name);
	memcpy(head.previous, seq == 1 ? zeros : d->previous, BATCH_HASH);
	if (spoil & SPOIL_PREVIOUS)
		head.previous[7] ^= 1;
	batch_canonical_start(c, d->name, seq, head.previous, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		batch_canonical_add(c, list[i].deletion ? BATCH_DELETE : BATCH_UPDATE,
				    list[i].time_ns, list[i].path, strlen(list[i].path),
				    &list[i].value);
	batch_canonical_finish(c, hash);
	batch_canonical_free(c);
	if (!(spoil & SPOIL_UNSIGNED)) {
		ok(sign_make(d->key, hash, sizeof hash, &signature));
		head.flags = BATCH_SIGNED | (seq == 1 ? BATCH_CHAIN_START : 0);
		head.algorithm = sign_key_public(d->key)->algorithm;
		memcpy(head.key_id, sign_key_public(d->key)->id, BATCH_KEY_ID);
	}
	if (spoil & SPOIL_SIGNATURE)
		signature.bytes[20] ^= 4;
	head.signature = signature.bytes;
	head.signature_len = (uint16_t)signature.len;
	scoped(buf) struct buf out = {0};
	struct batch_writer w;
	uint32_t numbers[1024];
	assert_true(n <= 1024);
	for (size_t i = 0; i < n; i++)
		numbers[i] = number_of(h, d, list[i].path);
	batch_write_head(&w, &out, &head);
	for (size_t i = 0; i < n; i++) {
		struct batch_record r = {list[i].deletion ? BATCH_DELETE : BATCH_UPDATE, numbers[i],
					 list[i].time_ns, list[i].value};
		if ((spoil & SPOIL_VALUE) && i == 0)
			r.time_ns++;
		batch_write_record(&w, &r);
	}
	batch_write_finish(&w);
	ok(buf_check(&out, "batch"));
	ok(ipc_send(h->others[PROCESS_TELEMETRY], IPC_BATCH, out.data, out.len, -1));
	if (spoil & ~(unsigned)SPOIL_UNSIGNED)
		return;
	d->seq = seq;
	memcpy(d->previous, hash, BATCH_HASH);
}

void house_uint(struct house *h, struct house_device *d, const char *path, int64_t time_ns,
		uint64_t value)
{
	const struct house_update u = {path, time_ns, {.type = VALUE_UINT, .u = value}, false};
	house_batch(h, d, &u, 1, 0);
}

struct house_update house_text(const char *path, int64_t time_ns, const char *text)
{
	struct house_update u = {path, time_ns, {.type = VALUE_STRING}, false};
	u.value.s.bytes = (const uint8_t *)text;
	u.value.s.len = (uint32_t)strlen(text);
	return u;
}

// --- asking

void house_record(struct house *h, enum process_id from, uint64_t id, const char *kind,
		  const char *subject, const char *json)
{
	Ipc__Record m = IPC__RECORD__INIT;
	m.id = id;
	m.kind = (char *)(uintptr_t)kind;
	m.subject = (char *)(uintptr_t)subject;
	m.actor = (char *)(uintptr_t) "tester";
	m.body = (ProtobufCBinaryData){strlen(json), (uint8_t *)(uintptr_t)json};
	say(h, from, IPC_RECORD, &m.base);
}

static void ticket_make(struct house *h, const char *role, struct buf *out)
{
	const char *domain = strchr(role, '@');
	struct access_subject s = {.n_roles = 1,
				   .issued_ns = clock_wall_ns(),
				   .until_ns = clock_wall_ns() + 200 * NS_PER_S};
	struct sign_signature signature;
	strcpy(s.account, "ann");
	snprintf(s.session, sizeof s.session, "0123456789abcdef0123456789abcdef");
	snprintf(s.roles[0], sizeof s.roles[0], "%.*s", domain ? (int)(domain - role) : 64, role);
	snprintf(s.domain, sizeof s.domain, "%s", domain ? domain + 1 : "");
	access_ticket_encode(&s, out);
	ok(sign_make(h->management, out->data, out->len, &signature));
	buf_append(out, signature.bytes, signature.len);
}

json_t *house_ask(struct house *h, const char *role, const char *operation, ...)
{
	Ipc__Param params[16], *list[16];
	Ipc__ApiRequest m = IPC__API_REQUEST__INIT;
	scoped(buf) struct buf ticket = {0};
	va_list args;
	va_start(args, operation);
	for (const char *name; (name = va_arg(args, const char *)) != NULL;) {
		Ipc__Param *p = &params[m.n_params];
		const char *text = va_arg(args, const char *);
		ipc__param__init(p);
		list[m.n_params++] = p;
		p->name = (char *)(uintptr_t)(name + (*name == '#'));
		p->value_case = *name == '#' ? IPC__PARAM__VALUE_NUMBER : IPC__PARAM__VALUE_TEXT;
		if (*name == '#')
			p->number = strtoll(text, NULL, 10);
		else
			p->text = (char *)(uintptr_t)text;
	}
	va_end(args);
	ticket_make(h, role, &ticket);
	m.id = ++h->next_id;
	m.operation = (char *)(uintptr_t)operation;
	m.params = list;
	m.ticket = (ProtobufCBinaryData){ticket.len, ticket.data};
	say(h, PROCESS_NORTHBOUND, IPC_API_REQUEST, &m.base);
	int64_t since = clock_mono_ns();
	while (h->answer.id != m.id)
		one_turn(h, since);
	return json_loadb((const char *)h->answer.body.data, h->answer.body.len, 0, NULL);
}

const struct batch_value *house_value(struct house *h, const struct buf *from, const char *device,
				      const char *path)
{
	static struct batch_value found;
	char name[1200];
	bool any = false;
	struct cursor all = cursor_over(from->data, from->len);
	snprintf(name, sizeof name, "%s %s", device, path);
	while (cursor_left(&all)) {
		uint32_t n = cursor_be32(&all);
		struct cursor c = cursor_sub(&all, n);
		struct batch_head head;
		ok(batch_read_head(&c, &head));
		for (uint32_t i = 0; i < head.count; i++) {
			struct batch_record r;
			ok(batch_read_record(&c, &r));
			assert_true(r.series < HOUSE_NAMES);
			assert_non_null(h->names[r.series]); // models knew the number before
			if (r.op == BATCH_DELETE) {
				size_t len = strlen(h->names[r.series]);
				if (!strncmp(name, h->names[r.series], len))
					any = false;
			} else if (!strcmp(name, h->names[r.series])) {
				found = r.value;
				any = true;
			}
		}
	}
	return any ? &found : NULL;
}
