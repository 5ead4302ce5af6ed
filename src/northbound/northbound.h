// SPDX-License-Identifier: Apache-2.0
// The northbound process: what its files share. Nothing outside src/northbound includes this.
//   northbound.c   life, certificate, messages in     exchange.c   one request from door to answer
//   relay.c        API_REQUEST out, API_ANSWER in     stream.c     server-sent events
//   local.c        what is answered here              witness.c    asking witnesses over HTTP
#pragma once

#include "lib/ipc/messages.pb-c.h"
#include "lib/ipc/process.h"
#include "northbound/files.h"
#include "northbound/http.h"
#include "northbound/request.h"
#include "northbound/ring.h"
#include "northbound/sessions.h"

#include <sys/queue.h>

enum {
	ANSWER_S = 60,	      // an owner's time for an answer
	CHECK_S = 10,	      // management's time for a session
	REQUEST_ARENA = 6 << 20,
	ANSWER_ARENA = 20 << 20,
	PARTS_MAX = 32 << 20, // of a long answer that the client has not taken
	STREAMS_MAX = 64,
	STREAM_WAITING_MAX = 256 << 10,
	HEARTBEAT_S = 15,
	WITNESS_ASKS_MAX = 16,
	WITNESS_S = 10,
	METRICS_BYTES_MAX = 65536,
};

enum exchange_state { EXCHANGE_SESSION, EXCHANGE_RUN, EXCHANGE_PARTS, EXCHANGE_STREAM };

// One request, from the door to its answer.
struct exchange {
	struct northbound *nb;
	struct http_request *http;
	struct arena *arena;
	struct request r;
	enum exchange_state state;
	uint64_t id;			    // of API_REQUEST
	int64_t until_ns;		    // monotonic: then it is given up
	bool with_session, cancelled;	    // with_session: token_hash is set
	uint8_t token_hash[32];
	struct session *session;	    // counted in session->running or ->streams
	uint64_t last_event, last_beat_ns;  // streams
	struct ring_filter filter;
	LIST_ENTRY(exchange) link;
};

struct witness_ask; // witness.c

struct northbound {
	struct process *p;
	struct http *http;
	struct tls_context *tls;
	struct sign_key *key;	   // of the certificate in use
	struct sign_key *next_key; // asked for
	uint64_t certificate_id;
	int64_t ask_again_ns; // monotonic: when a certificate is asked for next
	int listeners[DOORS];
	bool serving;
	struct files *files;
	char *openapi;
	size_t openapi_len;
	struct sessions *sessions;
	struct ring *ring;
	LIST_HEAD(, exchange) exchanges;
	LIST_HEAD(, witness_ask) asks;
	unsigned n_streams, n_asks;
	uint64_t next_id;
	struct event *tick;
	uint8_t *metrics[PROCESS_COUNT];
	size_t metrics_len[PROCESS_COUNT];
	uint8_t ticket_key[32], policy_key[32];
	bool has_ticket_key, has_policy_key;
	struct access_policy *policy;
	uint8_t *policy_bytes;
	size_t policy_len;
	uint64_t requests, refused, events;
};

// exchange.c
void exchange_begin(void *ctx, struct http_request *http); // ctx: struct northbound
// Goes on after SESSION has come: `why` is its refusal or OK.
void exchange_session(struct exchange *x, struct err why);
void exchange_refuse(struct exchange *x, struct err why, unsigned status, const char *fix);
void exchange_answer(struct exchange *x, unsigned status, const char *type, const void *body,
		     size_t n);
void exchange_free(struct exchange *x); // after its http request was answered
void exchanges_tick(struct northbound *nb);

// relay.c
MUST_USE struct err relay_ask(struct exchange *x);
MUST_USE struct err relay_answer(struct northbound *nb, const struct ipc_message *m);
void relay_away(struct northbound *nb, enum process_id peer);
void relay_cancel(struct exchange *x);

// local.c
void local_answer(struct exchange *x); // operations whose owner is NORTHBOUND
bool local_file(struct exchange *x);   // false: no such file
MUST_USE struct err local_metrics_keep(struct northbound *nb, const struct ipc_message *m);
void local_counts(struct northbound *nb); // our own metrics

// stream.c
void stream_begin(struct exchange *x);
void stream_gone(void *ctx, struct http_request *http);
void streams_pump(struct northbound *nb);
void streams_tick(struct northbound *nb);
void streams_session_ended(struct northbound *nb, const uint8_t hash[32]);

// witness.c
MUST_USE struct err witness_ask(struct northbound *nb, const struct ipc_message *m);
void witness_dialled(struct northbound *nb, uint64_t id, int fd, const char *error);
void witness_tick(struct northbound *nb);

// northbound.c
MUST_USE struct err session_check(struct northbound *nb, const uint8_t hash[32], const char *source,
				  enum http_door door);
// Fills session->who once the ticket's key is known. False: not known yet, or not genuine.
bool session_know(struct northbound *nb, struct session *s);
