// SPDX-License-Identifier: Apache-2.0
// Asks a witness to cosign a checkpoint (c2sp.org/tlog-witness): one POST over a connection that the
// parent opened. The asking is HTTP/1.0, so that the answer ends with the connection and is never
// chunked. What comes back is bounded and passed on; repository verifies it.
#include "northbound/northbound.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "northbound/witness.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct witness_ask {
	struct northbound *nb;
	uint64_t id, dial;
	char *witness, *host;
	uint8_t *body;
	size_t len;
	struct bufferevent *bev;
	int64_t until_ns;
	LIST_ENTRY(witness_ask) link;
};

// --- the answer's form

struct err witness_answer_read(const uint8_t *bytes, size_t n, unsigned *status,
			       const uint8_t **body, size_t *body_len)
{
	struct cursor c = cursor_over(bytes, n);
	const uint8_t *line = cursor_take(&c, 13); // "HTTP/1.1 200 "
	bool good = line && memcmp(line, "HTTP/1.", 7) == 0 && line[8] == ' ';
	for (int i = 9; good && i < 12; i++)
		good = line[i] >= '0' && line[i] <= '9';
	ENSURE(good && line[9] != '0', ERR_PEER, "the witness does not answer in HTTP/1");
	*status = (unsigned)((line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0');
	const uint8_t *end = memmem(bytes, n, "\r\n\r\n", 4);
	ENSURE(end, ERR_PEER, "the witness's answer ends within its head");
	*body = end + 4;
	*body_len = n - (size_t)(*body - bytes);
	size_t head = (size_t)(end - bytes);
	static const char name[] = "\ncontent-length:";
	for (size_t i = 0; i + sizeof name - 1 <= head; i++) {
		if (strncasecmp((const char *)bytes + i, name, sizeof name - 1) != 0)
			continue;
		uint64_t length = 0;
		size_t k = i + sizeof name - 1;
		while (k < head && bytes[k] == ' ')
			k++;
		for (; k < head && bytes[k] >= '0' && bytes[k] <= '9' && length < 1 << 20; k++)
			length = length * 10 + (uint64_t)(bytes[k] - '0');
		ENSURE(length <= *body_len, ERR_PEER, "the witness's answer is cut short");
		*body_len = length;
	}
	return OK;
}

// --- life of an asking

static void ask_free(struct witness_ask *a)
{
	LIST_REMOVE(a, link);
	a->nb->n_asks--;
	if (a->bev)
		bufferevent_free(a->bev);
	free(a->witness);
	free(a->host);
	free(a->body);
	free(a);
}

static void answer(struct northbound *nb, uint64_t id, const char *witness, struct err why,
		   unsigned status, const uint8_t *body, size_t n)
{
	Ipc__WitnessAnswer m = IPC__WITNESS_ANSWER__INIT;
	m.id = id;
	m.witness = (char *)(uintptr_t)witness;
	m.error = (char *)(uintptr_t)(why.text ? why.text : "");
	m.status = status;
	m.body = (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)body};
	struct err e = process_send(nb->p, PROCESS_REPOSITORY, IPC_WITNESS_ANSWER, &m.base);
	if (e.code != ERR_NONE)
		log_notice("an answer of witness %s is lost: %s", witness, e.text);
}

static void fail(struct witness_ask *a, struct err why)
{
	answer(a->nb, a->id, a->witness, why, 0, NULL, 0);
	ask_free(a);
}

static const struct conf_witness *find(const struct northbound *nb, const char *name)
{
	const struct conf_witness *w = nb->p->conf->witnesses.items;
	for (size_t i = 0; i < nb->p->conf->witnesses.n; i++)
		if (strcmp(w[i].name, name) == 0)
			return &w[i];
	return NULL;
}

static struct err begin(struct northbound *nb, const Ipc__WitnessAsk *m, const struct conf_witness *w)
{
	ENSURE(w, ERR_USAGE, "witness \"%.64s\" is not in the configuration", m->witness);
	ENSURE(nb->n_asks < WITNESS_ASKS_MAX, ERR_BUSY, "%d askings are under way", WITNESS_ASKS_MAX);
	struct witness_ask *a = calloc(1, sizeof *a);
	ENSURE(a, ERR_LIMIT, "out of memory");
	LIST_INSERT_HEAD(&nb->asks, a, link);
	nb->n_asks++;
	a->nb = nb;
	a->id = m->id;
	a->dial = nb->next_id++;
	a->until_ns = clock_mono_ns() + WITNESS_S * NS_PER_S;
	a->witness = strdup(m->witness);
	a->host = strdup(w->address);
	a->body = malloc(m->body.len + 1);
	a->len = m->body.len;
	struct err e = a->witness && a->host && a->body ? OK : err_make(ERR_LIMIT, "out of memory");
	if (e.code == ERR_NONE) {
		memcpy(a->body, m->body.data, m->body.len);
		e = process_dial(nb->p, a->dial, w->address, (uint16_t)w->port, w->netns);
	}
	if (e.code != ERR_NONE)
		ask_free(a);
	return e;
}

struct err witness_ask(struct northbound *nb, const struct ipc_message *msg)
{
	struct err e = OK;
	Ipc__WitnessAsk *m = IPC_UNPACK(witness_ask, msg, nb->p->scratch, &e);
	if (!m)
		return e;
	ENSURE(m->body.len > 0, ERR_PEER, "WITNESS_ASK without a body");
	e = begin(nb, m, find(nb, m->witness));
	if (e.code != ERR_NONE)
		answer(nb, m->id, m->witness, e, 0, NULL, 0);
	return OK;
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct witness_ask *a = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(in), len;
	unsigned status;
	const uint8_t *body, *bytes = n ? evbuffer_pullup(in, -1) : NULL;
	if (!(what & BEV_EVENT_EOF) || !bytes) {
		fail(a, err_make(ERR_IO, "witness %s broke the connection", a->witness));
		return;
	}
	struct err e = witness_answer_read(bytes, n, &status, &body, &len);
	if (e.code != ERR_NONE) {
		fail(a, e);
		return;
	}
	answer(a->nb, a->id, a->witness, OK, status, body, len);
	ask_free(a);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	if (evbuffer_get_length(bufferevent_get_input(bev)) > WITNESS_ANSWER_MAX)
		fail(ctx, err_make(ERR_LIMIT, "the witness's answer is longer than %d bytes",
				   WITNESS_ANSWER_MAX));
}

void witness_dialled(struct northbound *nb, uint64_t id, int fd, const char *error)
{
	struct witness_ask *a;
	LIST_FOREACH(a, &nb->asks, link)
		if (a->dial == id)
			break;
	if (!a) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (fd < 0) {
		fail(a, err_make(ERR_IO, "witness %s cannot be reached: %s", a->witness,
				 error ? error : "no reason was given"));
		return;
	}
	evutil_make_socket_nonblocking(fd);
	a->bev = bufferevent_socket_new(nb->p->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!a->bev) {
		close(fd);
		fail(a, err_make(ERR_LIMIT, "out of memory"));
		return;
	}
	bufferevent_setcb(a->bev, on_read, NULL, on_event, a);
	bool v6 = strchr(a->host, ':') != NULL;
	evbuffer_add_printf(bufferevent_get_output(a->bev),
			    "POST /add-checkpoint HTTP/1.0\r\nHost: %s%s%s\r\nUser-Agent: gemel\r\n"
			    "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
			    v6 ? "[" : "", a->host, v6 ? "]" : "", a->len);
	bufferevent_write(a->bev, a->body, a->len);
	bufferevent_enable(a->bev, EV_READ | EV_WRITE);
}

void witness_tick(struct northbound *nb)
{
	int64_t now = clock_mono_ns();
	struct witness_ask *a = LIST_FIRST(&nb->asks), *next;
	for (; a; a = next) {
		next = LIST_NEXT(a, link);
		if (now > a->until_ns)
			fail(a, err_make(ERR_BUSY, "witness %s did not answer in %d s", a->witness,
					 WITNESS_S));
	}
}
