// SPDX-License-Identifier: Apache-2.0
// One round for each head: every witness that is due is asked to cosign it, from the size that it
// last saw. Its answer: a cosignature, merged into the note that is served; or 409 with another
// size, and it is asked again from there. A witness that has seen more than there is, or another
// tree of the same size, has found a roll-back or a fork. Nobody waits for a witness that is away:
// it is asked again later, and the head is served meanwhile without it.
#include "repository/ledger_witness.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/messages.pb-c.h"
#include "lib/tlog/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t patience = 3 * NS_PER_S, give_up = 15 * NS_PER_S, again_least = 2 * NS_PER_S,
		     again_most = 60 * NS_PER_S;
enum { TRIES = 3, HTTP_OK = 200, HTTP_CONFLICT = 409, HTTP_UNPROCESSABLE = 422 };

struct err ledger_witness_open(struct ledger *l)
{
	const struct daemon_conf *conf = l->r->conf;
	const struct conf_witness *w = conf->witnesses.items;
	if (conf->witnesses_mode != 0)
		return OK; // `witnesses: none` was written out
	ENSURE(conf->witnesses.n <= LEDGER_WITNESSES_MAX, ERR_USAGE, "at most %d witnesses",
	       LEDGER_WITNESSES_MAX);
	for (size_t i = 0; i < conf->witnesses.n; i++) {
		struct ledger_witness *at = &l->witnesses[l->n_witnesses];
		struct err e = note_key_parse(w[i].vkey, &at->key);
		if (e.code == ERR_NONE && at->key.type != NOTE_COSIGNATURE)
			e = err_make(ERR_USAGE, "the key is not one for cosignatures (type %d)",
				     NOTE_COSIGNATURE);
		if (e.code != ERR_NONE)
			return err_within(err_make(ERR_USAGE, "%s", e.text), "witness %s",
					  w[i].name);
		at->name = w[i].name;
		l->n_witnesses++;
	}
	return OK;
}

void ledger_witness_known(struct ledger *l, const struct note *note)
{
	bool any = false;
	for (unsigned i = 0; i < l->n_witnesses; i++) {
		struct ledger_witness *w = &l->witnesses[i];
		uint64_t time_s;
		if (note_verify(note, &w->key, &w->signed_, &time_s).code != ERR_NONE)
			w->signed_ = false; // ledger_head_check has told
		if (!w->signed_)
			continue;
		any = true;
		w->size = l->head.size;
		w->last_ns = (int64_t)time_s * NS_PER_S;
	}
	err_ignore(ledger_serve(l, any));
}

bool ledger_witness_waiting(const struct ledger *l)
{
	int64_t now = clock_mono_ns();
	for (unsigned i = 0; i < l->n_witnesses; i++)
		if (l->witnesses[i].ask && now - l->witnesses[i].asked_ns < patience)
			return true;
	return false;
}

static bool anyone_asked(const struct ledger *l)
{
	for (unsigned i = 0; i < l->n_witnesses; i++)
		if (l->witnesses[i].ask)
			return true;
	return false;
}

static bool anyone_signed(const struct ledger *l)
{
	for (unsigned i = 0; i < l->n_witnesses; i++)
		if (l->witnesses[i].signed_)
			return true;
	return false;
}

// The first failure after a success, and the first success after a failure, are entries.
static void note_change(struct ledger *l, const struct ledger_witness *w, bool good)
{
	scoped(buf) struct buf json = {.limit = 1024};
	buf_printf(&json, "{\"good\":%s,\"size\":%" PRIu64 "}", good ? "true" : "false", w->size);
	struct err e = ledger_note(l, "ledger.witness", w->name, "repository", buf_text(&json));
	if (e.code != ERR_NONE)
		log_error("record of witness %s: %s", w->name, e.text);
}

static void failed(struct ledger *l, struct ledger_witness *w, const char *why)
{
	bool news = !*w->why;
	w->ask = 0;
	w->wait_ns = w->wait_ns * 2 < again_least  ? again_least
		     : w->wait_ns * 2 > again_most ? again_most
						   : w->wait_ns * 2;
	w->again_ns = clock_mono_ns() + w->wait_ns;
	snprintf(w->why, sizeof w->why, "%s", why);
	if (!news)
		return;
	log_warning("witness %s: %s", w->name, w->why);
	note_change(l, w, false);
}

static struct err ask(struct ledger *l, struct ledger_witness *w)
{
	struct witness_request q = {.old = w->size,
				    .checkpoint = (const char *)l->head_note.data,
				    .checkpoint_len = l->log_note_len};
	struct merkle_source source = tiles_source(l->reader);
	scoped(buf) struct buf body = {.limit = REQUEST_MAX};
	TRY(merkle_consistency(&source, q.old, l->head.size, &q.proof));
	witness_request_format(&q, &body);
	TRY(buf_check(&body, "request to a witness"));
	Ipc__WitnessAsk m = IPC__WITNESS_ASK__INIT;
	m.id = l->next_id;
	m.witness = (char *)(uintptr_t)w->name;
	m.body.data = body.data;
	m.body.len = body.len;
	TRY(process_send(l->r->p, PROCESS_NORTHBOUND, IPC_WITNESS_ASK, &m.base));
	w->ask = l->next_id++;
	w->asked_ns = clock_mono_ns();
	w->tries++;
	return OK;
}

static void ask_due(struct ledger *l)
{
	int64_t now = clock_mono_ns();
	if (!l->have_key || !l->head.size || !l->r->p->peers[PROCESS_NORTHBOUND])
		return;
	for (unsigned i = 0; i < l->n_witnesses && !l->broken; i++) {
		struct ledger_witness *w = &l->witnesses[i];
		if (w->signed_ || w->ask || now < w->again_ns)
			continue;
		struct err e = ask(l, w);
		if (e.code != ERR_NONE)
			failed(l, w, e.text);
	}
}

struct err ledger_witness_round(struct ledger *l)
{
	l->log_note_len = l->head_note.len;
	for (unsigned i = 0; i < l->n_witnesses; i++) {
		struct ledger_witness *w = &l->witnesses[i];
		if (w->ask) // an answer about the head before comes too late
			failed(l, w, "it is slower than heads are made");
		w->signed_ = false;
		w->tries = 0;
	}
	ask_due(l);
	return anyone_asked(l) ? OK : ledger_serve(l, false);
}

// Serves the head when the last answer of the round is in.
static struct err settle(struct ledger *l)
{
	bool any = anyone_signed(l);
	if (anyone_asked(l) || l->broken)
		return OK;
	if (any) // what outlives us is witnessed too
		TRY(tiles_checkpoint(l->tiles, l->head_note.data, l->head_note.len));
	return ledger_serve(l, any);
}

void ledger_witness_tick(struct ledger *l)
{
	int64_t now = clock_mono_ns();
	bool gave_up = false;
	for (unsigned i = 0; i < l->n_witnesses; i++)
		if (l->witnesses[i].ask && now - l->witnesses[i].asked_ns > give_up) {
			failed(l, &l->witnesses[i], "it does not answer");
			gave_up = true;
		}
	struct err e = gave_up ? settle(l) : OK;
	if (e.code != ERR_NONE)
		log_error("ledger: checkpoint: %s", e.text);
	if (!l->sign_id)
		ask_due(l);
}

void ledger_witness_forget(struct ledger *l)
{
	for (unsigned i = 0; i < l->n_witnesses; i++)
		l->witnesses[i].ask = 0;
	struct err e = settle(l);
	if (e.code != ERR_NONE)
		log_error("ledger: checkpoint: %s", e.text);
}

// --- answers

static struct err merge(struct ledger *l, struct ledger_witness *w, const char *body, size_t n)
{
	struct note ours, theirs;
	uint64_t time_s = 0;
	bool good = false;
	TRY(note_parse((const char *)l->head_note.data, l->head_note.len, &ours));
	TRY(note_parse_lines(body, n, ours.text, ours.text_len, &theirs));
	TRY(note_verify(&theirs, &w->key, &good, &time_s));
	ENSURE(good, ERR_AUTH, "its answer has no cosignature of its key");
	size_t before = l->head_note.len;
	for (size_t i = 0; i < theirs.n; i++) {
		const struct note_line *line = &theirs.lines[i];
		if (line->id != w->key.id || line->name_len != strlen(w->key.name) ||
		    memcmp(line->name, w->key.name, line->name_len) != 0)
			continue;
		buf_printf(&l->head_note, "\u2014 %.*s %.*s\n", (int)line->name_len, line->name,
			   (int)line->base64_len, line->base64);
		break;
	}
	struct err e = buf_check(&l->head_note, "checkpoint");
	if (e.code != ERR_NONE) {
		l->head_note.len = before;
		l->head_note.failed = false;
		return e;
	}
	w->signed_ = true;
	w->size = l->head.size;
	w->last_ns = (int64_t)time_s * NS_PER_S;
	w->wait_ns = w->again_ns = 0;
	if (*w->why)
		note_change(l, w, true);
	w->why[0] = 0;
	return OK;
}

// It knows another size: from there, unless that is more than there is.
static struct err other_size(struct ledger *l, struct ledger_witness *w, const char *body, size_t n)
{
	uint64_t size;
	TRY(witness_size_parse(body, n, &size));
	if (size > l->head.size) {
		ledger_break(l, err_make(ERR_CORRUPT,
					 "witness %s has seen %" PRIu64 " entries, and %" PRIu64
					 " are here: the ledger was rolled back",
					 w->name, size, l->head.size));
		return OK;
	}
	ENSURE(w->tries < TRIES, ERR_PEER, "it answers with another size each time");
	w->size = size;
	return ask(l, w);
}

static struct err take(struct ledger *l, struct ledger_witness *w, const Ipc__WitnessAnswer *m)
{
	const char *body = m->body.data ? (const char *)m->body.data : "";
	ENSURE(!*m->error, ERR_IO, "%s", m->error);
	if (m->status == HTTP_OK)
		return merge(l, w, body, m->body.len);
	if (m->status == HTTP_CONFLICT)
		return other_size(l, w, body, m->body.len);
	if (m->status == HTTP_UNPROCESSABLE && w->size) {
		ledger_break(l, err_make(ERR_CORRUPT,
					 "witness %s knows another history of the first %" PRIu64
					 " entries: the ledger was forked",
					 w->name, w->size));
		return OK;
	}
	return err_make(ERR_PEER, "it refuses with status %u", m->status);
}

struct err ledger_witnessed(struct ledger *l, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__WitnessAnswer *m = IPC_UNPACK(witness_answer, msg, l->r->p->scratch, &e);
	if (!m)
		return e;
	struct ledger_witness *w = NULL;
	for (unsigned i = 0; i < l->n_witnesses && !w; i++)
		if (m->id && l->witnesses[i].ask == m->id)
			w = &l->witnesses[i];
	if (!w || l->broken)
		return OK; // too late
	w->ask = 0;
	e = take(l, w, m);
	if (e.code != ERR_NONE)
		failed(l, w, e.text);
	return settle(l);
}

// --- for people

unsigned ledger_witnesses(const struct ledger *l)
{
	return l->n_witnesses;
}

struct ledger_witness_state ledger_witness_state(const struct ledger *l, unsigned i)
{
	const struct ledger_witness *w = &l->witnesses[i];
	return (struct ledger_witness_state){w->name, w->why, w->size, w->last_ns, w->signed_};
}
