// SPDX-License-Identifier: Apache-2.0
#include "drive.h"

#include "lib/base/log.h"
#include "lib/crypto/crypto.h"
#include "lib/crypto/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_S = 60 };

// --- management's side, as lib/ipc/process.c does it

static struct err on_message(void *ctx, const struct ipc_message *m)
{
	struct drive *d = ctx;
	arena_reset(d->p.scratch);
	for (size_t i = 0; i < management_part.n_handlers; i++)
		if (management_part.handlers[i].type == m->type) {
			struct err e = management_part.handlers[i].handle(&d->p, m);
			if (e.code != ERR_NONE)
				fprintf(stderr, "drive: %s: %s\n", ipc_type_name(m->type), e.text);
			return e;
		}
	fail_msg("%s has no handler", ipc_type_name(m->type));
	return OK;
}

static void on_close(void *ctx, enum process_id peer, struct err why)
{
}

// --- the neighbours

struct other {
	struct drive *d;
	enum process_id id;
};
static struct other others[PROCESS_COUNT];

static void keep_message(struct drive *d, enum process_id to, const struct ipc_message *m)
{
	if (d->n_kept == d->cap_kept) {
		d->cap_kept = d->cap_kept ? d->cap_kept * 2 : 64;
		d->kept = realloc(d->kept, d->cap_kept * sizeof *d->kept);
		assert_non_null(d->kept);
	}
	struct kept *k = &d->kept[d->n_kept++];
	*k = (struct kept){to, m->type, malloc(m->len + 1), m->len};
	assert_non_null(k->bytes);
	if (m->len)
		memcpy(k->bytes, m->bytes, m->len);
}

static struct err keys_sign(struct drive *d, const struct ipc_message *m)
{
	struct err e = OK;
	struct sign_signature s;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	Ipc__KeySign *ask = IPC_UNPACK(key_sign, m, a, &e);
	Ipc__KeySigned answer = IPC__KEY_SIGNED__INIT;
	assert_non_null(ask);
	if (d->keys_silent)
		return OK;
	good(key_rules_sign(&d->keys, m->from, ask->purpose, ask->message.data, ask->message.len,
			    &s));
	answer.id = ask->id;
	answer.signature = (ProtobufCBinaryData){s.len, s.bytes};
	drive_say(d, PROCESS_KEYS, IPC_KEY_SIGNED, &answer.base);
	return OK;
}

static struct err repository_record(struct drive *d, const struct ipc_message *m)
{
	struct err e = OK;
	scoped(arena) struct arena *a = arena_new(1 << 20);
	Ipc__Record *r = IPC_UNPACK(record, m, a, &e);
	Ipc__Recorded answer = IPC__RECORDED__INIT;
	assert_non_null(r);
	answer.id = r->id;
	answer.index = d->n_kept;
	if (!d->repository_silent)
		drive_say(d, PROCESS_REPOSITORY, IPC_RECORDED, &answer.base);
	return OK;
}

static struct err on_other(void *ctx, const struct ipc_message *m)
{
	struct other *o = ctx;
	keep_message(o->d, o->id, m);
	if (m->type == IPC_KEY_SIGN)
		return keys_sign(o->d, m);
	if (m->type == IPC_RECORD)
		return repository_record(o->d, m);
	return OK;
}

static void say_public_keys(struct drive *d)
{
	Ipc__KeyPublicItem items[PURPOSES], *list[PURPOSES];
	Ipc__KeyPublic m = IPC__KEY_PUBLIC__INIT;
	for (unsigned i = 1; i < PURPOSES; i++) {
		const struct sign_public *public = sign_key_public(d->keys.keys[i]);
		Ipc__KeyPublicItem *item = &items[m.n_keys];
		ipc__key_public_item__init(item);
		item->purpose = (Ipc__KeyPurpose)i;
		item->algorithm = public->algorithm;
		item->public_key =
			(ProtobufCBinaryData){public->len, (uint8_t *)(uintptr_t) public->bytes};
		list[m.n_keys++] = item;
	}
	m.keys = list;
	m.root_certificate = (ProtobufCBinaryData){d->keys.root.len, d->keys.root.data};
	m.issuing_certificate = (ProtobufCBinaryData){d->keys.issuing.len, d->keys.issuing.data};
	drive_say(d, PROCESS_KEYS, IPC_KEY_PUBLIC, &m.base);
}

void drive_up(struct drive *d, enum process_id id)
{
	static const struct ipc_events ours = {on_message, NULL, on_close};
	static const struct ipc_events theirs = {on_other, NULL, on_close};
	int fds[2];
	good(ipc_pair(fds));
	others[id] = (struct other){d, id};
	good(ipc_open(&d->p.peers[id], d->p.base, fds[0], PROCESS_MANAGEMENT, id, &ours, d));
	good(ipc_open(&d->others[id], d->p.base, fds[1], id, PROCESS_MANAGEMENT, &theirs,
		      &others[id]));
	ipc_set_running(d->p.peers[id], true);
	ipc_set_running(d->others[id], true);
	if (id != PROCESS_PARENT)
		management_part.peer_up(&d->p, id);
	if (id == PROCESS_KEYS)
		say_public_keys(d);
}

static void close_both(struct drive *d, enum process_id id)
{
	ipc_close(d->others[id]);
	ipc_close(d->p.peers[id]);
	d->others[id] = d->p.peers[id] = NULL;
}

void drive_down(struct drive *d, enum process_id id)
{
	close_both(d, id);
	management_part.peer_down(&d->p, id);
}

// --- life

static void folder_make(struct drive *d, const char *name, int *fd)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", d->folder, name);
	assert_int_equal(mkdir(path, 0700), 0);
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(*fd >= 0);
}

void drive_new(struct drive *d)
{
	*d = (struct drive){.p = {.id = PROCESS_MANAGEMENT}, .next_id = 1};
	good(crypto_start());
	log_start("drive", LOG_ERROR);
	strcpy(d->folder, "/tmp/gemel-management-XXXXXX");
	assert_non_null(mkdtemp(d->folder));
	folder_make(d, "management", &d->state);
	folder_make(d, "keys", &d->key_folder);
	d->p.state_dir = d->state;
	d->p.conf = &d->conf;
	d->p.scratch = arena_new(64 << 20);
	d->arena = arena_new(64 << 20);
	d->conf = (struct daemon_conf){.name = (char *)"test.example/lab",
				       .certificate_days = 7,
				       .api = {(char *)"127.0.0.1", 8443, NULL},
				       .console = {(char *)"127.0.0.1", 8444, NULL},
				       .telemetry = {(char *)"10.0.0.1", 9339, NULL},
				       .enrolment = {(char *)"10.0.0.1", 9340, NULL},
				       .control = {(char *)"10.0.0.2", 9342, NULL}};
	good(key_store_open(&d->keys, d->key_folder, "test", clock_wall_ns()));
}

void drive_start_without(struct drive *d, enum process_id who)
{
	static const enum process_id all[] = {PROCESS_PARENT, PROCESS_KEYS, PROCESS_REPOSITORY,
					      PROCESS_TELEMETRY, PROCESS_NORTHBOUND};
	d->p.base = event_base_new();
	assert_non_null(d->p.base);
	good(management_part.start(&d->p));
	d->p.running = true;
	drive_up(d, PROCESS_PARENT);
	good(management_part.ready(&d->p));
	for (size_t i = 1; i < sizeof all / sizeof *all; i++)
		if (all[i] != who)
			drive_up(d, all[i]);
	drive_settle(d);
}

void drive_start(struct drive *d)
{
	drive_start_without(d, PROCESS_COUNT);
}

static void channels_close(struct drive *d)
{
	for (int i = 0; i < PROCESS_COUNT; i++)
		if (d->others[i])
			close_both(d, (enum process_id)i);
	event_base_free(d->p.base);
	d->p.base = NULL;
	d->p.running = false;
}

void drive_stop(struct drive *d)
{
	management_part.stop(&d->p);
	channels_close(d);
}

void drive_restart(struct drive *d)
{
	if (d->p.base)
		drive_stop(d);
	drive_start(d);
}

static void remove_below(const char *path)
{
	DIR *folder = opendir(path);
	for (struct dirent *f; folder && (f = readdir(folder));) {
		char inner[512];
		if (!strcmp(f->d_name, ".") || !strcmp(f->d_name, ".."))
			continue;
		snprintf(inner, sizeof inner, "%s/%s", path, f->d_name);
		if (unlink(inner) != 0)
			remove_below(inner);
	}
	if (folder)
		closedir(folder);
	rmdir(path);
}

void drive_free(struct drive *d)
{
	if (d->p.base)
		drive_stop(d);
	drive_forget(d);
	free(d->kept);
	key_store_clear(&d->keys);
	arena_free(d->arena);
	arena_free(d->p.scratch);
	close(d->state);
	close(d->key_folder);
	remove_below(d->folder);
}

struct management *drive_management(struct drive *d)
{
	return d->p.self;
}

void drive_settle(struct drive *d)
{
	for (int quiet = 0; quiet < 16;) { // a message takes some turns of the loop
		size_t before = d->n_kept;
		event_base_loop(d->p.base, EVLOOP_NONBLOCK);
		quiet = d->n_kept == before ? quiet + 1 : 0;
	}
}

void drive_tick(struct drive *d, int64_t seconds)
{
	struct management *m = d->p.self;
	m->skew_ns += seconds * NS_PER_S;
	event_active(m->tick, EV_TIMEOUT, 1);
	drive_settle(d);
}

void drive_forget(struct drive *d)
{
	for (size_t i = 0; i < d->n_kept; i++)
		free(d->kept[i].bytes);
	d->n_kept = 0;
}

// --- messages

void drive_say(struct drive *d, enum process_id from, enum ipc_type type, const ProtobufCMessage *m)
{
	good(ipc_send_pb(d->others[from], type, m));
}

void *drive_last(struct drive *d, enum process_id to, enum ipc_type type,
		 const ProtobufCMessageDescriptor *kind)
{
	for (size_t i = d->n_kept; i-- > 0;) {
		struct err e = OK;
		if (d->kept[i].to == to && d->kept[i].type == type)
			return ipc_unpack(kind, d->kept[i].bytes, d->kept[i].n, d->arena, &e);
	}
	return NULL;
}

size_t drive_count(const struct drive *d, enum process_id to, enum ipc_type type)
{
	size_t n = 0;
	for (size_t i = 0; i < d->n_kept; i++)
		n += d->kept[i].to == to && d->kept[i].type == type;
	return n;
}

static unsigned records(struct drive *d, const char *kind, const char *subject, const char *words)
{
	unsigned found = 0;
	for (size_t i = 0; i < d->n_kept; i++) {
		struct err e = OK;
		const struct kept *k = &d->kept[i];
		if (k->type != IPC_RECORD)
			continue;
		scoped(arena) struct arena *a = arena_new(1 << 20);
		Ipc__Record *r = ipc_unpack(&ipc__record__descriptor, k->bytes, k->n, a, &e);
		assert_non_null(r);
		char *body = arena_strndup(a, (char *)r->body.data, r->body.len);
		found += !strcmp(r->kind, kind) && (!subject || !strcmp(r->subject, subject)) &&
			 (!words || strstr(body, words));
	}
	return found;
}

bool drive_recorded(struct drive *d, const char *kind, const char *subject, const char *words)
{
	return records(d, kind, subject, words) > 0;
}

unsigned drive_records(struct drive *d, const char *kind)
{
	return records(d, kind, NULL, NULL);
}

bool drive_told(struct drive *d, const char *type, const char *subject)
{
	for (size_t i = 0; i < d->n_kept; i++) {
		struct err e = OK;
		const struct kept *k = &d->kept[i];
		if (k->type != IPC_EVENT)
			continue;
		Ipc__Event *v = ipc_unpack(&ipc__event__descriptor, k->bytes, k->n, d->arena, &e);
		if (v && !strcmp(v->type, type) && !strcmp(v->subject, subject))
			return true;
	}
	return false;
}

// --- the API

static Ipc__Param *param(struct drive *d, const char *name, json_t *value)
{
	Ipc__Param *p = arena_alloc(d->arena, sizeof *p);
	ipc__param__init(p);
	p->name = arena_strdup(d->arena, name);
	if (json_is_integer(value)) {
		p->value_case = IPC__PARAM__VALUE_NUMBER;
		p->number = json_integer_value(value);
	} else if (json_is_boolean(value)) {
		p->value_case = IPC__PARAM__VALUE_FLAG;
		p->flag = json_is_true(value);
	} else {
		p->value_case = IPC__PARAM__VALUE_TEXT;
		p->text = arena_strdup(d->arena, json_string_value(value));
	}
	return p;
}

static void params_make(struct drive *d, const char *params, Ipc__ApiRequest *r)
{
	char *text = arena_strdup(d->arena, params);
	const char *name;
	json_t *value;
	json_error_t bad;
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *all = json_loads(text, 0, &bad);
	if (!all)
		fail_msg("%s: %s", params, bad.text);
	r->params = arena_alloc(d->arena, (json_object_size(all) + 1) * sizeof *r->params);
	json_object_foreach(all, name, value) r->params[r->n_params++] = param(d, name, value);
	json_decref(all);
}

static bool answered(struct drive *d, uint64_t id, struct reply *out)
{
	Ipc__ApiAnswer *a =
		drive_last(d, PROCESS_NORTHBOUND, IPC_API_ANSWER, &ipc__api_answer__descriptor);
	if (!a || a->id != id)
		return false;
	out->status = a->status;
	out->body = json_loadb((char *)a->body.data, a->body.len, JSON_DECODE_ANY, NULL);
	snprintf(out->etag, sizeof out->etag, "%s", a->etag);
	snprintf(out->session, sizeof out->session, "%.*s", (int)a->set_session.len,
		 a->set_session.len ? (char *)a->set_session.data : "");
	return true;
}

struct reply drive_call_with(struct drive *d, const char *operation, const char *params,
			     const char *if_match, const char *idempotency_key)
{
	Ipc__ApiRequest r = IPC__API_REQUEST__INIT;
	struct reply out = {.status = 0};
	int64_t until = clock_mono_ns() + PATIENCE_S * NS_PER_S;
	r.id = d->next_id++;
	r.operation = (char *)(uintptr_t)operation;
	r.source = (char *)(uintptr_t) "127.0.0.1";
	r.if_match = (char *)(uintptr_t)(if_match ? if_match : "");
	r.idempotency_key = (char *)(uintptr_t)(idempotency_key ? idempotency_key : "");
	r.ticket = (ProtobufCBinaryData){d->ticket_len, d->ticket};
	params_make(d, params, &r);
	drive_say(d, PROCESS_NORTHBOUND, IPC_API_REQUEST, &r.base);
	while (!answered(d, r.id, &out)) {
		assert_true(clock_mono_ns() < until);
		drive_settle(d);
	}
	drive_settle(d);
	return out;
}

struct reply drive_call(struct drive *d, const char *operation, const char *params)
{
	return drive_call_with(d, operation, params, NULL, NULL);
}

void reply_clear(struct reply *r)
{
	json_decref(r->body);
	*r = (struct reply){.status = 0};
}

const char *reply_text(const struct reply *r, const char *path)
{
	json_t *at = r->body;
	char part[64];
	while (*path && at) {
		size_t n = strcspn(path, ".");
		snprintf(part, sizeof part, "%.*s", (int)n, path);
		at = json_is_array(at) ? json_array_get(at, (size_t)atoi(part))
				       : json_object_get(at, part);
		path += n + (path[n] == '.');
	}
	return json_is_string(at) ? json_string_value(at) : "";
}

void drive_expect(struct drive *d, unsigned status, const char *operation, const char *params)
{
	struct reply r = drive_call(d, operation, params);
	if (r.status != status)
		fail_msg("%s %s: %u, not %u: %s", operation, params, r.status, status,
			 reply_text(&r, "detail"));
	reply_clear(&r);
}

bool drive_ticket(struct drive *d)
{
	uint8_t hash[HASH_SIZE];
	Ipc__SessionCheck c = IPC__SESSION_CHECK__INIT;
	hash_sha256(d->token, strlen(d->token), hash);
	c.id = d->next_id++;
	c.token_hash = (ProtobufCBinaryData){sizeof hash, hash};
	c.source = (char *)(uintptr_t) "127.0.0.1";
	drive_say(d, PROCESS_NORTHBOUND, IPC_SESSION_CHECK, &c.base);
	drive_settle(d);
	Ipc__Session *s = drive_last(d, PROCESS_NORTHBOUND, IPC_SESSION, &ipc__session__descriptor);
	assert_non_null(s);
	assert_int_equal(s->id, c.id);
	if (*s->error)
		return false;
	assert_true(s->ticket.len <= sizeof d->ticket);
	memcpy(d->ticket, s->ticket.data, s->ticket.len);
	d->ticket_len = s->ticket.len;
	return true;
}

void drive_login(struct drive *d, const char *account, const char *password)
{
	char params[512];
	snprintf(params, sizeof params, "{'account':'%s','password':'%s'}", account, password);
	struct reply r = drive_call(d, "session.login", params);
	if (r.status != 200)
		fail_msg("log-in of %s: %u %s", account, r.status, reply_text(&r, "detail"));
	snprintf(d->token, sizeof d->token, "%s", r.session);
	reply_clear(&r);
	assert_true(drive_ticket(d));
}

void drive_login_admin(struct drive *d)
{
	char path[128];
	snprintf(path, sizeof path, "%s/management/first-login.json", d->folder);
	json_t *j = json_load_file(path, 0, NULL);
	assert_non_null(j);
	drive_login(d, json_string_value(json_object_get(j, "account")),
		    json_string_value(json_object_get(j, "password")));
	json_decref(j);
}
