// SPDX-License-Identifier: Apache-2.0
// A request's way: form -> route -> who asks -> how much they ask -> parameters -> owner. Who asks
// comes before the parameters, so that a stranger learns nothing of what would have been right.
#include "northbound/northbound.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/crypto/hash.h"
#include "northbound/problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char away_fix[] = "It is started again within seconds; ask again then.";

void exchange_free(struct exchange *x)
{
	if (x->session && x->state == EXCHANGE_STREAM)
		x->session->streams--;
	else if (x->session)
		x->session->running--;
	if (x->state == EXCHANGE_STREAM)
		x->nb->n_streams--;
	LIST_REMOVE(x, link);
	request_wipe(&x->r);
	arena_free(x->arena);
	free(x);
}

void exchange_answer(struct exchange *x, unsigned status, const char *type, const void *body,
		     size_t n)
{
	struct http_request *http = x->http;
	exchange_free(x);
	http_reply(http, status, type, body, n);
}

void exchange_refuse(struct exchange *x, struct err why, unsigned status, const char *fix)
{
	scoped(buf) struct buf body = {0};
	status = problem_json(why, status, fix, &body);
	x->nb->refused++;
	if (status == 401 && x->http->door == DOOR_API)
		http_add_header(x->http, "WWW-Authenticate", "Bearer realm=\"gemel\"");
	if (status == 503)
		http_add_header(x->http, "Retry-After", "1");
	http_add_header(x->http, "Cache-Control", "no-store");
	exchange_answer(x, status, "application/problem+json", body.data, body.len);
}

static void refuse_wait(struct exchange *x, unsigned wait_s, const char *text)
{
	char number[16];
	snprintf(number, sizeof number, "%u", wait_s ? wait_s : 1);
	http_add_header(x->http, "Retry-After", number);
	exchange_refuse(x, err_make(ERR_LIMIT, "%s", text), 429, "Wait as long as Retry-After says.");
}

// --- form

static bool changes(const struct exchange *x)
{
	const char *m = http_method(x->http);
	return strcmp(m, "GET") != 0 && strcmp(m, "HEAD") != 0;
}

// RFC 9112 sections 3.2 and 6.3. What a proxy in between could read in two ways is refused.
static struct err form_check(const struct exchange *x)
{
	const struct http_request *h = x->http;
	ENSURE(http_header_count(h, "Host") == 1, ERR_USAGE, "Host: exactly one is needed");
	ENSURE(http_header_count(h, "Content-Length") <= 1 &&
		       !(http_header(h, "Content-Length") && http_header(h, "Transfer-Encoding")),
	       ERR_USAGE, "the length of the body is said twice");
	ENSURE(http_header_count(h, "Authorization") <= 1, ERR_USAGE, "Authorization: given twice");
	static const char *const bounded[] = {"Idempotency-Key", "If-Match", "If-None-Match",
					      "Last-Event-ID"};
	for (size_t i = 0; i < sizeof bounded / sizeof *bounded; i++) {
		const char *v = http_header(h, bounded[i]);
		for (const char *c = v; v && *c; c++)
			ENSURE(*c >= 0x20 && *c < 0x7f && c - v < 128, ERR_USAGE,
			       "%s: at most 128 printable characters", bounded[i]);
	}
	return OK;
}

// The console's cookie comes with every request that a browser makes, also one that another site
// made it make: such a one cannot set a header of its own, and tells its origin.
static struct err same_site_check(const struct exchange *x)
{
	const char *header = http_header(x->http, "X-Gemel");
	const char *origin = http_header(x->http, "Origin"), *host = http_header(x->http, "Host");
	if (x->http->door != DOOR_CONSOLE || !changes(x))
		return OK;
	ENSURE(header && strcmp(header, "1") == 0, ERR_DENIED,
	       "the header \"X-Gemel: 1\" is missing on a call that changes something");
	ENSURE(!origin || (strncmp(origin, "https://", 8) == 0 && host &&
			   strcasecmp(origin + 8, host) == 0),
	       ERR_DENIED, "the call comes from another site");
	return OK;
}

// --- who asks

static bool token_take(struct exchange *x)
{
	size_t n = 0;
	const char *token = x->http->door == DOOR_API
				    ? session_bearer(http_header(x->http, "Authorization"), &n)
				    : session_cookie(http_header(x->http, "Cookie"), &n);
	if (!token)
		return false;
	hash_sha256(token, n, x->token_hash);
	x->with_session = true;
	return true;
}

static void run(struct exchange *x)
{
	size_t n;
	uint8_t *body = http_body(x->http, &n);
	struct err e = request_read(&x->r, http_header(x->http, "Content-Type"), body, n, x->arena);
	if (n && x->r.op->auth == AUTH_NONE)
		secret_zero(body, n); // a pass phrase
	if (e.code != ERR_NONE) {
		exchange_refuse(x, e, x->r.status, "See /v1/openapi.json for what is possible.");
		return;
	}
	if (x->r.op->owner == PROCESS_NORTHBOUND) {
		local_answer(x);
		return;
	}
	x->state = EXCHANGE_RUN;
	x->until_ns = clock_mono_ns() + ANSWER_S * NS_PER_S;
	e = relay_ask(x);
	request_wipe(&x->r);
	if (e.code != ERR_NONE)
		exchange_refuse(x, e, 0, e.code == ERR_BUSY ? away_fix : NULL);
}

static void run_as(struct exchange *x, struct session *s)
{
	unsigned wait_s = 0;
	if (!bucket_take(&s->bucket, SESSION_RATE, SESSION_BURST, clock_mono_ns(), &wait_s)) {
		refuse_wait(x, wait_s, "this session asks more than 1,000 times a second");
		return;
	}
	if (s->running >= SESSION_CONCURRENT_MAX) {
		refuse_wait(x, 1, "16 requests of this session are being answered, the most there may be");
		return;
	}
	x->session = s;
	s->running++;
	run(x);
}

void exchange_session(struct exchange *x, struct err why)
{
	struct session *s = sessions_find(x->nb->sessions, x->token_hash, clock_wall_ns());
	if (why.code == ERR_NONE && s)
		run_as(x, s);
	else if (why.code == ERR_NONE || why.code == ERR_AUTH)
		exchange_refuse(x, why.code ? why : err_make(ERR_AUTH, "the session is over"), 401,
				"Log in again.");
	else
		exchange_refuse(x, why, 0, away_fix);
}

static bool source_limited(struct exchange *x)
{
	unsigned wait_s = 0;
	if (sessions_source(x->nb->sessions, x->http->source, clock_mono_ns(), &wait_s))
		return false;
	refuse_wait(x, wait_s, "too many log-ins or unknown tokens from this address");
	return true;
}

static void identify(struct exchange *x)
{
	if (x->r.op->auth == AUTH_NONE) {
		if (x->r.op->owner == PROCESS_NORTHBOUND || !source_limited(x))
			run(x);
		return;
	}
	if (!token_take(x)) {
		exchange_refuse(x, err_make(ERR_AUTH, "this needs a session"), 401,
				x->http->door == DOOR_API
					? "Log in with POST /v1/sessions (gemel login), then send Authorization: Bearer TOKEN."
					: "Log in.");
		return;
	}
	struct session *s = sessions_find(x->nb->sessions, x->token_hash, clock_wall_ns());
	if (s) {
		run_as(x, s);
		return;
	}
	// A renewal is not a guess.
	if (!sessions_any(x->nb->sessions, x->token_hash) && source_limited(x))
		return;
	x->state = EXCHANGE_SESSION;
	x->until_ns = clock_mono_ns() + CHECK_S * NS_PER_S;
	struct err e = session_check(x->nb, x->token_hash, x->http->source, x->http->door);
	if (e.code != ERR_NONE)
		exchange_refuse(x, e, 0, away_fix);
}

// --- begin and end

static bool is_console_path(const char *target)
{
	static const char *const api[] = {"/v1", "/restconf", "/metrics", "/healthz"};
	for (size_t i = 0; i < sizeof api / sizeof *api; i++) {
		size_t n = strlen(api[i]);
		if (strncmp(target, api[i], n) == 0 && strchr("/?:", target[n])) // also the end
			return false;
	}
	return true;
}

void exchange_begin(void *ctx, struct http_request *http)
{
	struct northbound *nb = ctx;
	struct exchange *x = calloc(1, sizeof *x);
	struct arena *a = arena_new(REQUEST_ARENA);
	if (!x || !a) {
		free(x);
		arena_free(a);
		http_reply(http, 503, NULL, NULL, 0);
		return;
	}
	*x = (struct exchange){.nb = nb, .http = http, .arena = a, .id = nb->next_id++};
	x->until_ns = clock_mono_ns() + ANSWER_S * NS_PER_S;
	LIST_INSERT_HEAD(&nb->exchanges, x, link);
	http->user = x;
	nb->requests++;
	struct err e = form_check(x);
	if (e.code == ERR_NONE && http->door == DOOR_CONSOLE && !changes(x) &&
	    is_console_path(http_target(http)) && local_file(x))
		return;
	if (e.code == ERR_NONE)
		e = same_site_check(x);
	if (e.code == ERR_NONE) {
		e = request_route(http_method(http), http_target(http), &x->r);
		if (e.code != ERR_NONE && x->r.status == 405)
			http_add_header(http, "Allow", x->r.allow);
	}
	if (e.code != ERR_NONE) {
		exchange_refuse(x, e, x->r.status, "See /v1/openapi.json for what is possible.");
		return;
	}
	identify(x);
}

void exchanges_tick(struct northbound *nb)
{
	int64_t now = clock_mono_ns();
	struct exchange *x = LIST_FIRST(&nb->exchanges), *next;
	for (; x; x = next) {
		next = LIST_NEXT(x, link);
		if (x->state == EXCHANGE_STREAM || now < x->until_ns)
			continue;
		if (x->state == EXCHANGE_PARTS) {
			relay_cancel(x);
			http_drop(x->http); // its on_gone ends it
			continue;
		}
		if (x->state == EXCHANGE_RUN)
			relay_cancel(x);
		exchange_refuse(x, err_make(ERR_BUSY, "no answer came in time"), 504,
				"Ask for less, or again later.");
	}
}
