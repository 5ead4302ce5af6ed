// SPDX-License-Identifier: Apache-2.0
// Sessions towards northbound: a token's hash becomes a ticket of five minutes, signed by keys;
// what has ended is said at once. And the first administrator. X.2011 8.2.1-4, 8.3.3-1.
#include "management/management.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/sealedfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char first_name[] = "admin";
static const char first_roles[] = "administrator,security-officer,operator";

// --- tickets

struct ticket {
	uint64_t id; // of SESSION_CHECK
	uint8_t hash[32];
	int64_t until_ns;
	struct buf bytes;
};

static void session_answer(struct management *m, uint64_t id, const uint8_t hash[32],
			   const char *error, const struct buf *ticket, int64_t until_ns)
{
	Ipc__Session s = IPC__SESSION__INIT;
	s.id = id;
	s.error = (char *)(uintptr_t)error;
	s.token_hash = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)hash};
	if (ticket)
		s.ticket = (ProtobufCBinaryData){ticket->len, ticket->data};
	s.until_ns = until_ns;
	struct err e = process_send(m->p, PROCESS_NORTHBOUND, IPC_SESSION, &s.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("a session cannot be answered: %s", e.text);
}

static void ticket_signed(struct management *m, void *ctx, struct err e, const uint8_t *signature,
			  size_t n)
{
	struct ticket *t = ctx;
	if (e.code == ERR_NONE) {
		buf_append(&t->bytes, signature, n);
		e = buf_check(&t->bytes, "ticket");
	}
	if (e.code == ERR_NONE)
		session_answer(m, t->id, t->hash, "", &t->bytes, t->until_ns);
	else
		session_answer(m, t->id, t->hash, e.text, NULL, 0);
	buf_clear(&t->bytes);
	free(t);
}

static struct err subject_of(struct management *m, const struct session *s,
			     struct access_subject *out)
{
	struct account a;
	int64_t now = now_of(m), end = session_until(s);
	TRY(account_get(m->keep, s->account, &a));
	ENSURE(!a.disabled, ERR_AUTH, "the account is locked");
	*out = (struct access_subject){.n_roles = a.n_roles, .issued_ns = now};
	memcpy(out->account, a.name, sizeof out->account);
	memcpy(out->roles, a.roles, sizeof out->roles);
	memcpy(out->domain, a.domain, sizeof out->domain);
	memcpy(out->session, s->id, sizeof out->session);
	out->until_ns = now + SESSION_TICKET_S * NS_PER_S;
	if (out->until_ns > end)
		out->until_ns = end;
	return OK;
}

struct err login_check(struct management *m, const Ipc__SessionCheck *c)
{
	struct access_subject who;
	ENSURE(c->token_hash.len == 32, ERR_PEER, "SESSION_CHECK with a hash of %zu bytes",
	       c->token_hash.len);
	struct session *s = sessions_find(m->sessions, c->token_hash.data, now_of(m));
	struct err e = s ? subject_of(m, s, &who)
			 : err_make(ERR_AUTH, "the session is not known, or is over");
	struct ticket *t = e.code == ERR_NONE ? calloc(1, sizeof *t) : NULL;
	if (!t) {
		session_answer(m, c->id, c->token_hash.data,
			       e.code == ERR_NONE ? "out of memory" : e.text, NULL, 0);
		return OK;
	}
	t->id = c->id;
	t->until_ns = who.until_ns;
	memcpy(t->hash, c->token_hash.data, 32);
	access_ticket_encode(&who, &t->bytes);
	signer_ask(m, IPC__KEY_PURPOSE__KEY_TICKET, t->bytes.data, t->bytes.len, ticket_signed, t);
	return OK;
}

// --- ending

static void push_ended(void *ctx, const struct session *s)
{
	struct management *m = ctx;
	Ipc__Session p = IPC__SESSION__INIT;
	p.token_hash = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)s->hash};
	p.ended = true;
	p.error = (char *)(uintptr_t) "the session has ended";
	struct err e = process_send(m->p, PROCESS_NORTHBOUND, IPC_SESSION, &p.base);
	if (e.code != ERR_NONE && e.code != ERR_BUSY)
		log_error("the end of a session cannot be told: %s", e.text);
}

struct pick {
	const char *account, *except;
};

static bool of_account(const struct session *s, const void *ctx)
{
	const struct pick *p = ctx;
	return strcmp(s->account, p->account) == 0 && (!p->except || strcmp(s->id, p->except) != 0);
}

static bool of_id(const struct session *s, const void *ctx)
{
	return strcmp(s->id, ctx) == 0;
}

struct err login_end(struct management *m, const char *account, const char *except, const char *why)
{
	struct pick p = {account, except};
	return err_within(sessions_end(m->sessions, of_account, &p, push_ended, m), "%s", why);
}

struct err login_end_one(struct management *m, const char *id)
{
	return sessions_end(m->sessions, of_id, id, push_ended, m);
}

void login_tick(struct management *m)
{
	struct err e = sessions_expire(m->sessions, now_of(m), push_ended, m);
	if (e.code != ERR_NONE)
		log_warning("sessions that are over stay: %s", e.text);
}

// --- the first administrator

static const char first_file[] = "first-login.json";

// In the process's own folder, which only it and root can read; emptied when the pass phrase is
// changed. Never into a log that is kept.
static struct err first_write(struct management *m, const char *password)
{
	json_t *j = json_pack("{s:s,s:s}", "account", first_name, "password", password);
	char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	json_decref(j);
	ENSURE(text, ERR_LIMIT, "out of memory");
	struct err e = sealedfile_replace(m->p->state_dir, first_file, text, strlen(text));
	secret_zero(text, strlen(text));
	free(text);
	if (e.code == ERR_NONE && isatty(STDERR_FILENO))
		fprintf(stderr,
			"\n  First start. Log in as %s with this pass phrase; it is not shown "
			"again:\n"
			"\n      %s\n\n",
			first_name, password);
	return e;
}

static struct err first_make(struct management *m)
{
	struct account a = {.created_ns = now_of(m), .version = 1};
	scoped(secret) struct secret *generated = NULL;
	TRY(password_generate(&generated));
	const char *password = (const char *)secret_bytes(generated);
	snprintf(a.name, sizeof a.name, "%s", first_name);
	TRY(account_set_roles(&a, first_roles));
	TRY(account_set_password(&a, password, m->p->conf->name, now_of(m)));
	a.initial = true;
	// First told, then kept: an account whose pass phrase nobody knows would lock everyone out.
	TRY(first_write(m, password));
	account_put(m->keep, &a);
	record(m, "account.created", a.name, "management",
	       json_pack("{s:s,s:s}", "roles", first_roles, "reason", "first start"));
	return commit(m);
}

struct err login_first(struct management *m)
{
	struct account a;
	m->first_login = -1;
	if (keep_count(m->keep, "account") == 0)
		TRY(first_make(m));
	bool valid = account_get(m->keep, first_name, &a).code == ERR_NONE && a.initial;
	if (!valid && unlinkat(m->p->state_dir, first_file, 0) != 0 && errno != ENOENT)
		return err_system("removing %s", first_file);
	if (valid) // kept open: the sandbox will let us open nothing
		m->first_login =
			openat(m->p->state_dir, first_file, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return OK;
}

void login_first_forget(struct management *m)
{
	if (m->first_login < 0)
		return;
	if (ftruncate(m->first_login, 0) != 0 || fsync(m->first_login) != 0)
		log_warning("%s still has the first pass phrase, which is no longer valid",
			    first_file);
	close(m->first_login);
	m->first_login = -1;
}
