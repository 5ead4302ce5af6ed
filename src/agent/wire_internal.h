// SPDX-License-Identifier: Apache-2.0
// Inside wire*.c only: the process that speaks with the network. It has no capability, opens no
// file and no socket; the TPM, the kernel and the disk's keys are in other processes.
//
//     STATE from apply -> tree -> wire_flush -> subscribers   third parties, as they asked
//     (dial-in)
//                                            -> twin: chain -> SIGN -> SIGNED -> spool -> tunnel
//     wire_session   the connection to telemetry: attested, then the tunnel, then gNMI inside it
//     wire_enrol     the connection to the enrolment port: joining, and renewal when the other is
//     away wire_attest    nonce -> quote by keys -> Attest or Renew, on either connection
#pragma once

#include "agent/chain.h"
#include "agent/child.h"
#include "agent/note.h"
#include "agent/state_link.h"
#include "agent/watch.h"
#include "lib/crypto/tls.h"
#include "lib/gnmi/tunnel.h"

#include <event2/event.h>

enum {
	SUBSCRIBERS_MAX = 16, // Subscribe calls at once
	TWIN_WATCHER = 0,     // of tree_leaf.match; 1 .. TREE_WATCHERS-1 are third parties' streams
	WAITERS_MAX = 32,
	GETS_MAX = 16,
	LISTEN_MAX = 32, // connections that dialled in
	KEYS_ATTESTED = 64,
	STATUS_MAX = 4096,
};

struct wire;

// --- wire_dial.c: connections that the parent opens. One place for each user.
enum dial_use { DIAL_SESSION, DIAL_ENROL, DIAL_USES };
struct dial {
	uint32_t id; // 0: none under way
	// `fd` is the handler's; -1 with `why`.
	void (*done)(struct wire *w, int fd, struct err why);
};
MUST_USE struct err wire_dial(struct wire *w, enum dial_use use, uint16_t port,
			      void (*done)(struct wire *w, int fd, struct err why));
void wire_dial_forget(struct wire *w, enum dial_use use);
MUST_USE struct err wire_dialled(struct wire *w, const struct link_message *m);
struct back_off { // of tries that fail
	int64_t ms;
};
// The next wait, in ms: `refused` by a decision (which a person must change) or by the network.
int64_t back_off_next(struct back_off *b, bool refused);
void wire_after(struct event *timer, int64_t ms);

// --- wire_identity.c: who we are
struct identity {
	bool enrolled;
	char tpm[65];
	char device[X509_NAME_MAX + 1], serial[41];
	int64_t until_ns, renew_after_ns;
	uint8_t authority_pin[32]; // SHA-256 of the root's SPKI
	struct sign_key *key;
	struct x509_trust *trust;
	struct tls_context *client, *server; // tunnel; dial-in
};
// IDENTITY from keys. *changed: what exists should be made anew with it.
MUST_USE struct err wire_identity(struct wire *w, const struct link_message *m);
MUST_USE struct err wire_tls_pinned(struct wire *w, const uint8_t pin[32],
				    struct tls_context **out);
// Why a connection ended, in its on_end: when we refused the certificate, that.
MUST_USE struct err wire_tls_refused(struct grpc_conn *conn, struct err why);

// --- wire_attest.c: one proof at a time on one connection
struct attest {
	struct wire *wire;
	struct grpc_conn *conn;
	struct grpc_call *call;
	uint32_t id; // of ATTEST at keys; 0: none under way
	enum attest_stage { ATTEST_IDLE, ATTEST_CHALLENGE, ATTEST_QUOTE, ATTEST_ANSWER } stage;
	unsigned purpose;  // enum attest_purpose
	uint8_t key_id[8]; // whose batches follow
	struct buf certified;
	// OK: accepted. ERR_DENIED and the like: refused, with the reason. `answer`: NULL, or an
	// AttestAnswer (session) or CompleteAnswer (renewal), valid during the call.
	void (*done)(struct attest *a, struct err why, const void *answer);
};
// `certified` empty: the present batch key. ERR_BUSY: one is under way.
MUST_USE struct err wire_attest(struct attest *a, struct grpc_conn *conn, unsigned purpose,
				const uint8_t key_id[8], struct cursor certified);
void wire_attest_drop(struct attest *a); // its connection has gone
MUST_USE struct err wire_attested(struct wire *w, const struct link_message *m);
void wire_attest_keys_away(struct attest *a); // keys died: the quote does not come

// --- wire_session.c
enum session_stage {
	SESSION_AWAY,
	SESSION_DIALLING,
	SESSION_PROVING,
	SESSION_REGISTERING,
	SESSION_UP
};
struct session {
	enum session_stage stage;
	struct grpc_conn *conn;
	struct tunnel_client *tunnel;
	struct attest attest;
	struct event *retry, *again, *overdue; // overdue: the whole of dial to registered
	struct back_off back_off;
	uint8_t attested[KEYS_ATTESTED][8]; // batch keys that telemetry knows of on this connection
	unsigned n_attested;
};
MUST_USE struct err session_start(struct wire *w);
void session_again(struct wire *w, int64_t ms); // ends what is, and dials after that
void session_enrolled(struct wire *w);		// there is a certificate, or a new one
bool session_knows(const struct session *s, const uint8_t key_id[8]);

// --- wire_enrol.c
struct enrol {
	bool asked; // there is a BeginRequest
	uint8_t pin[32];
	struct buf request;
	bool renewing, completing;
	struct grpc_conn *conn;
	struct grpc_call *call;
	struct tls_context *tls;
	char session[257];
	struct attest attest;
	struct event *retry, *renew, *overdue;
	struct back_off back_off;
};
MUST_USE struct err enrol_start(struct wire *w);
MUST_USE struct err enrol_begin(struct wire *w, const struct link_message *m);	  // BEGIN
MUST_USE struct err enrol_complete(struct wire *w, const struct link_message *m); // COMPLETE
void enrol_renew_at(struct wire *w, int64_t wall_ns);
// CompleteAnswer, of Complete or Renew, to keys.
MUST_USE struct err enrol_send(struct wire *w, const void *answer);

// --- wire_sample.c: counters as they are now
struct waiter {
	uint32_t id; // 0: free
	unsigned what;
	bool ready;
	void (*done)(void *ctx);
	void *ctx;
};
struct samples {
	struct waiter waiters[WAITERS_MAX];
	uint32_t next_id;
	unsigned fresh; // enum sample_what, read at
	int64_t fresh_ns;
	struct event *ready, *late;
};
MUST_USE struct err samples_start(struct wire *w);
// `done` runs from the loop when apply has answered, is away, or is late.
MUST_USE struct err wire_sample(struct wire *w, unsigned what, void (*done)(void *ctx), void *ctx);
void wire_sample_forget(struct wire *w, const void *ctx);
MUST_USE struct err wire_sampled(struct wire *w, const struct link_message *m);
void wire_samples_drop(struct wire *w); // apply is away: nobody waits for it

// --- wire_service.c: gNMI
struct service { // one for those who dial in, one inside the tunnel
	struct wire *wire;
	struct grpc_server *grpc;
	bool twin;
};
MUST_USE struct err service_start(struct wire *w, struct service *s, bool twin);
// Whether the connection's peer may read: at the start of each call.
MUST_USE struct err service_admits(const struct service *s, struct grpc_call *call);
// A client may say which models it will use: ERR_USAGE for one that is not here (gNMI 2.6.1).
struct Gnmi__ModelData;
MUST_USE struct err service_models(struct Gnmi__ModelData *const *models, size_t n);
extern const struct grpc_handlers wire_get_handlers, wire_subscribe_handlers;

struct get { // one Get that waits for counters
	struct wire *wire;
	struct grpc_call *call; // NULL: free
	enum watch_encoding encoding;
	bool empty; // CONFIG: there is none
	char target[65];
	unsigned n;
	struct path_pattern *patterns[WATCH_ITEMS];
};

// --- wire_subscribe.c
struct subscriber {
	struct wire *wire;
	struct grpc_call *call; // NULL: free
	bool twin, subscribed, signed_stream, telling, again, half_closed, failed, sampling;
	unsigned watcher; // 0: none
	struct watch watch;
	char at[PATH_TEXT_MAX + 1]; // told up to here
	struct note note;
	struct event *timer;
};
void subscriber_fail(struct subscriber *s, struct err why); // ends its call
void subscribers_gone(struct wire *w, const char *path);
void subscribers_leaf(struct wire *w, struct tree_leaf *leaf);
void subscribers_flushed(struct wire *w);
void subscribers_state(struct wire *w); // there is a state now

// --- wire_twin.c: the signed stream
struct twin {
	struct chain *chain;
	struct spool *spool;
	struct watch
		watch; // what telemetry last subscribed to; goes on into the spool while it is away
	bool watching;
	struct subscriber *stream; // NULL: away
	bool telling, wipe, missed, rotating, sampling;
	char at[PATH_TEXT_MAX + 1];
	unsigned n_wipes;
	char wipes[WATCH_ITEMS][128]; // subtrees that the telling begins by deleting
	struct event *timer, *rotate;
	unsigned group; // records in the flush under way
	int64_t group_ns;
	// sending
	struct spool_place sent;
	uint64_t last_number;
	bool gap, has_broken;
	uint8_t broken[8]; // chain with a gap: the rest of it is not sent
	uint64_t skipped, skipped_to, lost_told;
	struct buf record;
	uint8_t sync_key[8];
	uint64_t sync_seq; // 0: none is due
	uint64_t rotate_bytes;
	uint64_t stuck; // record that several streams ended on
	unsigned strikes;
};
MUST_USE struct err twin_open(struct wire *w, int folder);
MUST_USE struct err twin_start(struct wire *w);
MUST_USE struct err twin_subscribe(struct wire *w, struct subscriber *s);
void twin_message(struct wire *w, const uint8_t *message, size_t n);
void twin_ended(struct wire *w);
void twin_pump(struct wire *w);
void twin_work(struct wire *w); // tells on, rotates: after anything that may have waited
void twin_gone(struct wire *w, const char *path);
void twin_leaf(struct wire *w, struct tree_leaf *leaf);
void twin_flushed(struct wire *w);
bool twin_holds(const struct wire *w); // changes wait in the tree
void twin_key_refused(struct wire *w, const uint8_t key_id[8]);
void twin_new_key(struct wire *w);
void twin_keys_away(struct wire *w);
MUST_USE struct err twin_batch_key(struct wire *w, const struct link_message *m);
MUST_USE struct err twin_signed(struct wire *w, const struct link_message *m);

// --- wire_listen.c
struct client { // one that dialled in
	struct wire *wire;
	char denied[256]; // why it may not read; "": it may
};
struct listen {
	struct evconnlistener *listener;
	unsigned connections;
	bool ready; // it is known whether there is a certificate
};
MUST_USE struct err wire_listen(struct wire *w, int fd);
void wire_listen_ready(struct wire *w);

// --- wire_status.c: what people read, and /gemel/agent
struct status {
	int fd;
	char state[32], reason[ERR_TEXT_MAX];
	int64_t since_ns;
	size_t written;
	struct event *tick;
};
MUST_USE struct err status_open(struct wire *w, int folder);
MUST_USE struct err status_start(struct wire *w);
// A new state (words of a person), with its reason or NULL. Logs it when it is news.
void status_set(struct wire *w, const char *state, const char *reason);

struct wire {
	struct child *child;
	const struct agent_conf *conf;
	struct event_base *base;
	struct tree *tree;
	struct state_inbox inbox;
	bool has_state; // apply has told all once
	struct event *flush;
	int64_t tokens, tokens_ns; // updates that may go now: conf.rate
	uint32_t next_id;
	struct dial dials[DIAL_USES];
	struct identity identity;
	struct session session;
	struct enrol enrol;
	struct samples samples;
	struct service dial_in, tunnel;
	struct subscriber subscribers[SUBSCRIBERS_MAX];
	struct get gets[GETS_MAX];
	struct twin twin;
	struct listen listen;
	struct status status;
};
uint32_t wire_id(struct wire *w); // never 0
// Tells what has changed to all who want it, as far as rate and signatures let it.
void wire_flush(struct wire *w);
bool wire_may_send(struct wire *w); // tokens are left; else the flush timer runs
void wire_spend(struct wire *w, size_t updates);
