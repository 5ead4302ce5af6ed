// SPDX-License-Identifier: Apache-2.0
// From request to answer: ticket, operation, decision, answer. A refusal says which policy refused
// and what to do; refusals are counted for each subject and minute. An answer to a change is
// remembered for ten minutes by its Idempotency-Key, so that asking twice changes nothing twice.
#include "management/api.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"
#include "lib/ipc/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REMEMBERED = 256, REMEMBER_S = 600, KEY_MAX = 128 };

struct answer {
	uint8_t key[HASH_SIZE], content[HASH_SIZE]; // of who, operation and key; of the request
	int64_t until_ns;			    // 0: free
	unsigned status;
	char *body;
	char etag[40];
};

struct remembered {
	struct answer items[REMEMBERED];
	unsigned next;
};

const struct api_operation api_operations[] = {
	{"session.login", api_login, .without_session = true, .changes = true,
	 .secret_answer = true},
	{"session.get", api_session_get},
	{"session.end", api_session_end, .changes = true},
	{"accounts.list", api_accounts_list},
	{"accounts.create", api_accounts_create, .changes = true},
	{"accounts.update", api_accounts_update, .changes = true},
	{"accounts.delete", api_accounts_delete, .changes = true},
	{"access.decide", api_access_decide},
	{"devices.list", api_devices_list},
	{"devices.get", api_devices_get},
	{"devices.create", api_devices_create, .changes = true},
	{"devices.import", api_devices_import, .changes = true},
	{"devices.enrol", api_devices_enrol, .changes = true},
	{"devices.quarantine", api_devices_quarantine, .changes = true},
	{"devices.revoke", api_devices_revoke, .changes = true},
	{"devices.test", api_devices_test, .changes = true},
	{"alerts.list", api_alerts_list},
	{"system.status", api_system_status},
	{"conformance.list", api_conformance_list},
	{"conformance.submit", api_conformance_submit, .changes = true},
};
const unsigned api_operations_count = sizeof api_operations / sizeof *api_operations;

// --- what operations use

struct err may(struct request *q, enum access_action action, const char *kind, const char *id,
	       const char *path, const char *domain)
{
	struct access_resource what = {
		.kind = kind, .id = id, .path = path, .class = CLASS_INTERNAL, .domain = domain};
	struct access_decision d = access_decide(q->m->policy, &q->who, action, &what, q->now_ns);
	if (d.permit)
		return OK;
	q->decision = d;
	q->decided = true;
	return err_make(ERR_DENIED, "%s may not %s %s%s%s", q->who.account,
			access_action_name(action), kind, id ? " " : "", id ? id : "");
}

struct err matches(struct request *q, uint64_t version)
{
	const char *asked = q->r->if_match;
	char now[40];
	snprintf(now, sizeof now, "\"%llu\"", (unsigned long long)version);
	if (!*asked || strcmp(asked, "*") == 0 || strstr(asked, now))
		return OK;
	q->fix = "Read it again, look at what has changed, and send the new ETag in If-Match.";
	return err_make(ERR_CONFLICT, "it has changed: its version is %s", now);
}

void set_version(struct request *q, uint64_t version)
{
	snprintf(q->etag, sizeof q->etag, "\"%llu\"", (unsigned long long)version);
}

struct err asked_time(struct request *q, int64_t *at_ns, bool *past)
{
	const char *at = answer_text(q->r, "at");
	*at_ns = q->now_ns;
	*past = false;
	if (!at)
		return OK;
	TRY(err_within(clock_parse(at, at_ns), "at"));
	ENSURE(*at_ns <= q->now_ns, ERR_USAGE, "at: that is in the future");
	*past = true;
	return OK;
}

// --- Idempotency-Key

struct err api_start(struct management *m)
{
	m->remembered = calloc(1, sizeof *m->remembered);
	ENSURE(m->remembered, ERR_LIMIT, "no memory for answers");
	return OK;
}

static void forget(struct answer *a)
{
	if (a->body)
		secret_zero(a->body, strlen(a->body));
	free(a->body);
	*a = (struct answer){.until_ns = 0};
}

void api_stop(struct management *m)
{
	for (unsigned i = 0; m->remembered && i < REMEMBERED; i++)
		forget(&m->remembered->items[i]);
	free(m->remembered);
	m->remembered = NULL;
}

static void hash_param(struct hash *h, const Ipc__Param *p)
{
	hash_add(h, p->name, strlen(p->name) + 1);
	if (p->value_case == IPC__PARAM__VALUE_TEXT)
		hash_add(h, p->text, strlen(p->text) + 1);
	else if (p->value_case == IPC__PARAM__VALUE_NUMBER)
		hash_add(h, &p->number, sizeof p->number);
	else if (p->value_case == IPC__PARAM__VALUE_FLAG)
		hash_add(h, &p->flag, sizeof p->flag);
}

static bool hashes_of(const struct request *q, struct answer *out)
{
	const Ipc__ApiRequest *r = q->r;
	struct hash_part parts[] = {{q->who.account, strlen(q->who.account) + 1},
				    {r->operation, strlen(r->operation) + 1},
				    {r->idempotency_key, strlen(r->idempotency_key)}};
	struct hash *h = hash_new();
	if (!h)
		return false;
	hash_parts(parts, 3, out->key);
	hash_start(h);
	for (size_t i = 0; i < r->n_params; i++)
		hash_param(h, r->params[i]);
	hash_finish(h, out->content);
	hash_free(h);
	return true;
}

static bool by_key(const struct api_operation *o, const struct request *q)
{
	return o->changes && !o->secret_answer && *q->r->idempotency_key;
}

// *known: answered before; then the request's answer is set.
static struct err recall(struct request *q, const struct api_operation *o, bool *known)
{
	struct answer this = {.status = 0};
	*known = false;
	if (!by_key(o, q))
		return OK;
	ENSURE(strlen(q->r->idempotency_key) <= KEY_MAX, ERR_USAGE,
	       "Idempotency-Key: longer than %d bytes", KEY_MAX);
	ENSURE(hashes_of(q, &this), ERR_LIMIT, "out of memory");
	for (unsigned i = 0; i < REMEMBERED; i++) {
		struct answer *a = &q->m->remembered->items[i];
		if (a->until_ns <= q->now_ns || memcmp(a->key, this.key, sizeof a->key) != 0)
			continue;
		ENSURE(memcmp(a->content, this.content, sizeof a->content) == 0, ERR_CONFLICT,
		       "Idempotency-Key: it was used for another request");
		q->status = a->status;
		q->body = json_loads(a->body, 0, NULL);
		memcpy(q->etag, a->etag, sizeof q->etag);
		*known = true;
	}
	return OK;
}

static void remember(struct request *q, const struct api_operation *o)
{
	struct remembered *all = q->m->remembered;
	if (!by_key(o, q))
		return;
	struct answer *a = &all->items[all->next++ % REMEMBERED];
	forget(a);
	a->body = json_dumps(q->body, JSON_COMPACT);
	if (!a->body || !hashes_of(q, a))
		return;
	a->status = q->status;
	a->until_ns = q->now_ns + REMEMBER_S * NS_PER_S;
	memcpy(a->etag, q->etag, sizeof a->etag);
}

// --- answers

static struct err send_answer(struct request *q)
{
	char *text = json_dumps(q->body ? q->body : json_null(), JSON_COMPACT);
	ENSURE(text, ERR_LIMIT, "out of memory");
	Ipc__ApiAnswer a = IPC__API_ANSWER__INIT;
	a.id = q->r->id;
	a.status = q->status;
	a.body = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
	a.etag = q->etag;
	if (q->session_token) {
		const char *token = (const char *)secret_bytes(q->session_token);
		a.set_session = (ProtobufCBinaryData){strlen(token), (uint8_t *)(uintptr_t)token};
	}
	struct err e = process_send(q->m->p, PROCESS_NORTHBOUND, IPC_API_ANSWER, &a.base);
	secret_zero(text, strlen(text));
	free(text);
	return e;
}

static struct err send_good(struct request *q)
{
	if (!q->etag[0] && !q->session_token) {
		json_t *body = q->body ? q->body : json_object();
		q->body = NULL; // taken over
		return answer_json(q->m->p, q->r->id, q->status, body);
	}
	return send_answer(q);
}

// Anonymous mistakes are northbound's to count; these have a name.
static void count_denial(struct request *q, struct err why)
{
	char detail[256];
	snprintf(detail, sizeof detail, "%.60s: %.120s (policy %.50s)", q->r->operation, why.text,
		 q->decision.policy);
	if (denial(q->m, "access.denied", q->who.account, q->r->operation, q->r->source, detail))
		err_ignore(commit(q->m));
}

static const char *usual_fix(enum err_code code)
{
	switch (code) {
	case ERR_USAGE:
		return "Correct what is named, and ask again.";
	case ERR_NOT_FOUND:
		return "Look at the list for the right name.";
	case ERR_CONFLICT:
		return "Read it again; it is not as you thought.";
	case ERR_LIMIT:
		return "Wait, or ask for less at once.";
	case ERR_BUSY:
		return "Try again in a moment.";
	default:
		return NULL;
	}
}

static struct err send_refusal(struct request *q, struct err why)
{
	char text[ERR_TEXT_MAX];
	snprintf(text, sizeof text, "%s", why.text);
	struct err kept = {why.code, text};
	if (why.code == ERR_DENIED && q->decided)
		count_denial(q, kept);
	if (!q->fix && q->decided)
		q->fix = "Ask an administrator for a role whose policy permits it; `gemel account "
			 "decide` "
			 "shows which does.";
	if (!q->fix)
		q->fix = usual_fix(why.code);
	return answer_problem(q->m->p, q->r->id, kept, q->fix, q->decided ? &q->decision : NULL);
}

static struct err subject_of(struct request *q)
{
	struct management *m = q->m;
	ENSURE(m->has_keys, ERR_BUSY, "the key that checks tickets has not come yet");
	TRY(access_ticket_verify(q->r->ticket.data, q->r->ticket.len, m->ticket_key, q->now_ns,
				 &q->who));
	// Here, and only here, is known at once that a session has ended.
	ENSURE(sessions_by_id(m->sessions, q->who.session), ERR_AUTH, "the session has ended");
	return OK;
}

static struct err run(struct request *q, const struct api_operation *o)
{
	bool known;
	if (!o->without_session) {
		q->fix = "Log in again.";
		TRY(subject_of(q));
		q->fix = NULL;
	}
	if (o->changes && strcmp(o->id, "session.end") != 0) {
		q->fix = "See `gemel status`: the repository must take the records that wait.";
		TRY(outbox_room(q->m));
		q->fix = NULL;
	}
	TRY(recall(q, o, &known));
	if (known)
		return OK;
	struct err e = o->run(q);
	if (e.code != ERR_NONE) {
		rollback(q->m);
		return e;
	}
	remember(q, o);
	return OK;
}

struct err api_request(struct management *m, const Ipc__ApiRequest *r)
{
	struct request q = {.m = m, .r = r, .now_ns = now_of(m), .status = 200};
	struct err e =
		err_make(ERR_NOT_FOUND, "management has no operation \"%.64s\"", r->operation);
	for (unsigned i = 0; i < api_operations_count; i++)
		if (strcmp(api_operations[i].id, r->operation) == 0)
			e = run(&q, &api_operations[i]);
	e = e.code == ERR_NONE ? send_good(&q) : send_refusal(&q, e);
	json_decref(q.body);
	secret_free(q.session_token);
	return e.code == ERR_BUSY ? OK : e; // northbound went: nobody waits
}
