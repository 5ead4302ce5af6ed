// SPDX-License-Identifier: Apache-2.0
// The process that alone reaches the TPM. Short-lived software keys are made here and certified by
// it; batches are signed here, one hash at a time. It reads no byte that came over the network but
// in the flat pieces of keys_link.h.

#include "agent/keys_internal.h"

#include "lib/base/log.h"
#include "lib/crypto/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct err open_device(const char *path, int *fd)
{
	struct stat s;
	if (stat(path, &s) < 0)
		return err_system("tpm: %s", path);
	if (!S_ISSOCK(s.st_mode)) {
		*fd = open(path, O_RDWR | O_CLOEXEC);
		return *fd < 0 ? err_system("tpm: %s", path) : OK;
	}
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	ENSURE(strlen(path) < sizeof a.sun_path, ERR_USAGE, "tpm: %s: the path is too long", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 || connect(*fd, (struct sockaddr *)&a, sizeof a) < 0) {
		struct err e = err_system("tpm: %s", path);
		if (*fd >= 0)
			close(*fd);
		return e;
	}
	return OK;
}

static struct err open_tpm(struct keys *k)
{
	int fd;
	if (!k->child->conf->tpm) {
		snprintf(k->tpm_name, sizeof k->tpm_name, "none");
		return OK;
	}
	TRY(open_device(k->child->conf->tpm, &fd));
	TRY(tpm_open(fd, &k->tpm));
	return tpm_describe(k->tpm, k->tpm_name);
}

static struct err start(struct child *c)
{
	struct keys *k = calloc(1, sizeof *k);
	ENSURE(k, ERR_LIMIT, "out of memory");
	c->state = k;
	k->child = c;
	scoped(fd) int state = open(c->conf->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	k->folder = state < 0 ? -1 : openat(state, "keys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->folder < 0)
		return err_system("%s/keys", c->conf->state);
	TRY(open_tpm(k));
	return keys_load(k);
}

static struct err sandbox(struct child *c, struct sandbox *s)
{
	static char folder[4096];
	static const char *folders[] = {folder, NULL};
	static const char *const calls[] = {"openat",	"rename",  "renameat", "renameat2",
					    "unlinkat", "fsync",   "fchmod",   "newfstatat",
					    "fstat",	"recvmsg", "sendmsg",  "poll",
					    "ppoll",	"read",	   "write",    NULL};
	int n = snprintf(folder, sizeof folder, "%s/keys", c->conf->state);
	ENSURE(n > 0 && (size_t)n < sizeof folder, ERR_USAGE, "state: the path is too long");
	s->folders = folders;
	s->syscalls = calls;
	return OK;
}

static struct err ready(struct child *c)
{
	return OK;
}

// --- to wire

static struct err send_identity(struct keys *k)
{
	scoped(buf) struct buf b = {0};
	struct err e = keys_identity_message(k, &b);
	if (e.code == ERR_NONE)
		e = link_send_buf(k->child->links[LINK_WIRE], LINK_IDENTITY, &b);
	if (b.data)
		secret_zero(b.data, b.len);
	return e;
}

static struct err send_batch_key(struct keys *k)
{
	scoped(buf) struct buf b = {0};
	TRY(keys_batch_new(k));
	buf_append(&b, k->batch[0].id, 8);
	buf_u8(&b, SIGN_ED25519);
	link_put(&b, k->batch[0].certified.data, k->batch[0].certified.len);
	return link_send_buf(k->child->links[LINK_WIRE], LINK_BATCH_KEY, &b);
}

static struct err send_begin(struct keys *k)
{
	scoped(buf) struct buf b = {0};
	if (!k->has_token || !k->child->links[LINK_WIRE])
		return OK;
	TRY(keys_begin(k, &b));
	return link_send_buf(k->child->links[LINK_WIRE], LINK_BEGIN, &b);
}

static void peer_up(struct child *c, enum link_process peer)
{
	struct keys *k = c->state;
	// A new wire knows of no chain: it begins one, with a key of its own.
	struct err e = send_identity(k);
	if (e.code == ERR_NONE)
		e = send_batch_key(k);
	if (e.code == ERR_NONE)
		e = send_begin(k);
	if (e.code != ERR_NONE)
		log_error("%s", e.text);
}

// --- what wire and the parent ask

static struct err on_token(struct child *c, const struct link_message *m)
{
	struct keys *k = c->state;
	struct cursor in = cursor_over(m->bytes, m->len);
	scoped(secret) struct secret *text = secret_new(2048);
	ENSURE(text, ERR_LIMIT, "out of memory");
	link_get_text(&in, (char *)secret_bytes(text), secret_size(text));
	TRY(cursor_finish(&in, "TOKEN"));
	keys_token_clear(&k->token);
	k->has_token = false;
	TRY(keys_token_read((const char *)secret_bytes(text), c->conf->device, &k->token));
	k->has_token = true;
	log_notice("enrolment token %s is here", k->token.id);
	return send_begin(k);
}

static struct err on_sign(struct child *c, const struct link_message *m)
{
	struct keys *k = c->state;
	struct cursor in = cursor_over(m->bytes, m->len);
	struct sign_signature s = {0};
	scoped(buf) struct buf b = {0};
	uint32_t id = cursor_be32(&in);
	const uint8_t *key_id = cursor_take(&in, 8), *hash = cursor_take(&in, 32);
	TRY(cursor_finish(&in, "SIGN"));
	for (unsigned i = 0; i < BATCH_KEYS; i++)
		if (k->batch[i].key && memcmp(k->batch[i].id, key_id, 8) == 0)
			TRY(sign_make(k->batch[i].key, hash, 32, &s));
	buf_be32(&b, id);
	link_put(&b, s.bytes, s.len);
	return link_send_buf(c->links[LINK_WIRE], LINK_SIGNED, &b);
}

static struct err on_new_key(struct child *c, const struct link_message *m)
{
	return send_batch_key(c->state);
}

static struct err on_activate(struct child *c, const struct link_message *m)
{
	struct cursor in = cursor_over(m->bytes, m->len);
	scoped(buf) struct buf request = {0};
	scoped(buf) struct buf b = {0};
	struct err why = keys_complete(c->state, &in, &request);
	if (why.code != ERR_NONE) { // wire tells people that it failed
		log_error("%s", why.text);
		request.len = 0;
	}
	link_put(&b, request.data, request.len);
	struct err e = link_send_buf(c->links[LINK_WIRE], LINK_COMPLETE, &b);
	if (request.data)
		secret_zero(request.data, request.cap);
	if (b.data)
		secret_zero(b.data, b.cap);
	return e;
}

static struct err on_enrolled(struct child *c, const struct link_message *m)
{
	struct keys *k = c->state;
	struct cursor in = cursor_over(m->bytes, m->len);
	TRY(keys_save(k, &in));
	log_notice("enrolled as %s, certificate %.16s", k->self.device, k->self.serial);
	if (k->has_token) {
		keys_token_clear(&k->token);
		k->has_token = false;
		TRY(link_send(c->links[LINK_PARENT], LINK_TOKEN_USED, NULL, 0, -1));
	}
	return send_identity(k);
}

static struct err on_refused(struct child *c, const struct link_message *m)
{
	struct keys *k = c->state;
	struct cursor in = cursor_over(m->bytes, m->len);
	char why[ERR_TEXT_MAX];
	link_get_text(&in, why, sizeof why);
	TRY(cursor_finish(&in, "REFUSED"));
	log_error("enrolment was refused: %s", why);
	keys_token_clear(&k->token); // waits for another file
	k->has_token = false;
	return OK;
}

static struct err on_attest(struct child *c, const struct link_message *m)
{
	struct cursor in = cursor_over(m->bytes, m->len);
	scoped(buf) struct buf request = {0};
	scoped(buf) struct buf b = {0};
	uint32_t id = cursor_be32(&in);
	struct err e = keys_attest(c->state, &in, &request);
	if (e.code == ERR_PEER)
		return e;
	if (e.code != ERR_NONE) {
		log_error("%s", e.text);
		request.len = 0;
	}
	buf_be32(&b, id);
	link_put(&b, request.data, request.len);
	return link_send_buf(c->links[LINK_WIRE], LINK_ATTESTED, &b);
}

static const struct child_handler handlers[] = {
	{LINK_TOKEN, on_token},	      {LINK_SIGN, on_sign},	    {LINK_NEW_KEY, on_new_key},
	{LINK_ACTIVATE, on_activate}, {LINK_ENROLLED, on_enrolled}, {LINK_REFUSED, on_refused},
	{LINK_ATTEST, on_attest},
};

const struct child_part keys_part = {
	.self = LINK_KEYS,
	.start = start,
	.sandbox = sandbox,
	.ready = ready,
	.peer_up = peer_up,
	.handlers = handlers,
	.n_handlers = sizeof handlers / sizeof *handlers,
};
