// SPDX-License-Identifier: Apache-2.0
// The telemetry process faces the network: it has no data key, no database, and no credential but a
// short-lived TLS key of its own. It collects what the repository grants and nothing else (X.2011
// 8.1.2-1), and hands on what management decides about who may join (8.1.1-2). This header is the
// process's inside; nothing outside src/telemetry includes it but its tests and benches.
//
//   telemetry.c   the part for the parent's list, life, messages
//   identity.c    our certificate and whom we trust        accept.c      listeners, before any
//   crypto session.c     a connection: admission                  admission.c   its states, as a
//   table enrolment.c   Enrolment calls, to management           target.c      standard devices,
//   dialled device.c      what is granted for each device          collect.c     its Subscribe
//   stream ingest.c      a SubscribeResponse to a BATCH (hot)     intern.c      paths by their wire
//   bytes pressure.c    who may send now                         observe.c     alerts, counted
#pragma once

#include "lib/batch/batch.h"
#include "lib/crypto/tls.h"
#include "lib/gnmi/path.h"
#include "lib/gnmi/tunnel.h"
#include "lib/ipc/messages.pb-c.h"
#include "lib/ipc/process.h"
#include "telemetry/admission.h"
#include "telemetry/intern.h"
#include "telemetry/sources.h"

#include <sys/queue.h>

extern const struct process_part telemetry_part;

// Bounds that tests and benches set before start.
struct telemetry_limits {
	struct rate source_handshakes; // of one source
	struct rate all_handshakes;    // of all together: the processor's share for newcomers
	uint32_t source_connections;   // open at once from one source
	uint32_t connections;	       // open at once, without enrolment
	uint32_t handshakes;	       // under way at once
	uint32_t enrolments;	       // enrolment connections at once
	uint32_t answer_s;	       // management's time to answer
	uint32_t register_s;	       // from admission to a registered target
	uint32_t enrolment_s;	       // a whole enrolment connection
	size_t device_flight; // bytes of one device that the repository has not acknowledged
	size_t all_flight;    // of all: above it each device has its share only
	size_t share_least;
	size_t backlog;			 // bytes queued to the repository: all wait above it
	uint32_t bytes_per_update;	 // a device's byte rate is its update rate times this
	int64_t retry_ns, retry_most_ns; // a stream that ended is asked for again
	uint32_t refuse_ms;		 // a refused peer may read why
	uint32_t open_ms;		 // from TCP to the first HTTP/2 frame
	uint32_t slow_ms;		 // from a message's first byte to its last
};
extern struct telemetry_limits telemetry_limits;

// --- devices

enum {
	GRANT_ITEMS_MAX = 64,
	FLIGHTS_MAX = 64, // batches of one device that are not acknowledged
	PLACES_MAX = 4,	  // batch keys of one device that are remembered
	DEVICES_MAX = 65536,
	TARGETS_MAX = 1024,
};

struct scope { // paths that may be asked for; devices of one kind share one
	LIST_ENTRY(scope) link;
	unsigned references;
	size_t n;
	struct scope_path {
		struct path_pattern *pattern;
		uint32_t mode; // 1 ON_CHANGE, 2 SAMPLE
		int64_t interval_ns;
	} item[GRANT_ITEMS_MAX];
};

struct collection { // what the repository granted
	uint64_t id;
	struct scope *scope;
	struct rate updates, bytes;
	uint32_t max_series;
	bool signed_batches;
};

struct place { // how far a chain has come; by its key
	uint8_t key_id[BATCH_KEY_ID];
	bool used, told; // told: nothing more is to be said to the device
	uint64_t forwarded, acked;
};

struct flight {
	uint64_t seq;
	uint8_t key_id[BATCH_KEY_ID];
	uint32_t bytes, updates;
};

enum collect_state {
	COLLECT_IDLE,	   // nothing is asked of the device
	COLLECT_OPENING,   // waits for the transport or the target's connection
	COLLECT_STREAMING, // Subscribe is open
	COLLECT_SETTLING,  // closed; waits for acknowledgements and its time to try again
};

enum pause {		      // why a device's stream is not read, as bits
	PAUSE_RATE = 1,	      // above its granted rate
	PAUSE_FLIGHT = 2,     // too much of it is not acknowledged
	PAUSE_REPOSITORY = 4, // the repository is behind
};

struct device {
	LIST_ENTRY(device) chain; // of its name's bucket
	TAILQ_ENTRY(device) turn; // least recently served first
	struct telemetry *t;
	char name[BATCH_DEVICE_MAX + 1];
	struct collection *grant; // NULL: nothing may be asked
	struct session *session;  // the one that it is collected over; NULL: away
	unsigned n_admitted;	  // sessions that are admitted as this device
	struct target *target;	  // a standard device that is dialled; NULL: comes by tunnel
	bool reachable;		  // its tunnel target is registered, or it is connected

	enum collect_state state;
	struct grpc_conn *conn;	   // gNMI; a tunnelled one is ours, a target's is its session's
	struct grpc_call *call;	   // Subscribe
	uint64_t asked;		   // grant that `call` asks for
	bool resuming;		   // no new batch has come on this stream yet
	struct event *timer;	   // rate, or the next try
	int64_t retry_ns, wait_ns; // earliest next try; how long the last wait was
	unsigned refusals;	   // streams that ended so in a row, without an acknowledgement

	struct intern series;
	uint32_t series_refused;
	struct place places[PLACES_MAX];
	struct flight flights[FLIGHTS_MAX];
	unsigned first_flight, n_flights;
	size_t flight_bytes;
	unsigned paused; // bits of enum pause
	struct bucket updates, bytes;
	uint64_t observed_seq; // of unsigned batches, ours
	bool ack_due;
	TAILQ_ENTRY(device) ack;

	uint64_t n_updates, n_lost;
};

// --- connections

struct session {
	LIST_ENTRY(session) link;
	struct telemetry *t;
	enum admission state;
	char id[33];
	char source[SOURCE_TEXT_MAX];
	struct source *from;   // NULL: dialled
	struct target *target; // NULL: accepted
	struct grpc_conn *conn;
	struct tunnel_peer *peer;	 // has registered
	struct device *device;		 // once admitted, counted there
	char claimed[X509_NAME_MAX + 1]; // who its certificate says it is
	uint8_t *leaf;			 // its certificate, DER; owned
	size_t leaf_len;
	uint64_t ask;		 // id of ADMIT_REQUEST
	bool told;		 // management knows of it: it hears of the end
	bool attested;		 // management accepted a quote on this connection
	bool registered;	 // its target is registered
	struct bucket inquiries; // Enrolment calls
	int64_t since_ns;	 // in this state
	char reason[160];	 // of the refusal
};

struct target {
	LIST_ENTRY(target) link;
	struct telemetry *t;
	struct device *device;
	char address[64], netns[256], server_name[256];
	uint16_t port;
	struct x509_trust *trust;
	struct tls_context *tls;
	struct session *session; // NULL: not connected
	uint64_t dial;		 // under way; 0: none
	int64_t retry_ns, wait_ns;
	int encoding;		  // Gnmi__Encoding, once known
	struct grpc_call *asking; // Capabilities
};

struct counters {
	uint64_t updates, batches, bytes, acks, refused, lost, resent, malformed, throttled;
	uint64_t handshakes_good, handshakes_refused, handshakes_failed, handshakes_limited;
	uint64_t admitted, denied, enrolments, series_made;
};

LIST_HEAD(session_list, session);
LIST_HEAD(target_list, target);
LIST_HEAD(device_list, device);
LIST_HEAD(scope_list, scope);
TAILQ_HEAD(device_turns, device);

enum { DEVICE_BUCKETS = 4096, LISTENERS = 2 };
enum telemetry_listener { LISTEN_TUNNEL, LISTEN_ENROLMENT };

struct telemetry {
	struct process *p;
	uint64_t next_id;
	struct siphash_key hash_key;
	struct event *tick, *acks_event;

	struct identity *identity;
	struct acceptor *acceptor;
	struct enrolment *enrolment;
	struct observer *observer;
	struct grpc_server *grpc; // of the tunnel listener
	struct tunnel_server *tunnel;
	struct session_list sessions;
	uint32_t n_sessions, n_handshakes;

	struct device_list devices[DEVICE_BUCKETS];
	struct device_turns turns;
	struct scope_list scopes;
	TAILQ_HEAD(, device) acks;
	uint32_t n_devices, n_streaming, n_paused;
	struct target_list targets;
	uint32_t n_targets;

	struct paths *paths;
	struct numbers numbers;
	struct ingest *ingest;
	size_t flight_bytes;
	bool choked; // the repository is behind
	struct counters count;
};

static inline struct telemetry *telemetry_of(struct process *p)
{
	return p->self;
}

// --- identity.c
MUST_USE struct err identity_start(struct telemetry *t);
void identity_tick(struct telemetry *t); // asks when there is none, or it is two thirds spent
MUST_USE struct err identity_issued(struct telemetry *t, const struct ipc_message *m);
struct tls_context *identity_tls(struct telemetry *t, enum telemetry_listener l); // NULL: not yet
// Our certificate for connections that we open.
MUST_USE struct err identity_lend(struct telemetry *t, struct tls_context *to);

// --- accept.c
MUST_USE struct err accept_start(struct telemetry *t);
MUST_USE struct err accept_listener(struct telemetry *t, enum telemetry_listener l, int fd);
void accept_tick(struct telemetry *t); // goes on where it had stopped
void accept_closed(struct telemetry *t, struct source *from);

// --- session.c
MUST_USE struct err session_start(struct telemetry *t);
// Takes over `tr`. `target` NULL: it was accepted, and `from` is held by it.
MUST_USE struct err session_new(struct telemetry *t, struct transport *tr, struct source *from,
				struct target *target, const char *source);
MUST_USE struct err session_answer(struct telemetry *t, const struct ipc_message *m);
void session_refuse(struct session *s, enum admission_event why, const char *reason);
void session_end(struct session *s, const char *reason);
void sessions_drop(struct telemetry *t, const char *device, const char *reason); // all of it
void sessions_tick(struct telemetry *t);
void sessions_ask_again(struct telemetry *t); // management came anew

// --- enrolment.c
MUST_USE struct err enrolment_start(struct telemetry *t);
// On the enrolment listener. What may be called on a tunnel connection is registered at t->grpc.
MUST_USE struct err enrolment_accept(struct telemetry *t, struct transport *tr, struct source *from,
				     const char *source);
MUST_USE struct err enrolment_answer(struct telemetry *t, const struct ipc_message *m);
bool enrolment_idle(const struct telemetry *t); // nobody is there, nothing is asked
void enrolment_tick(struct telemetry *t);
void enrolment_away(struct telemetry *t); // management is away: nobody waits in vain

// --- target.c
MUST_USE struct err target_set(struct telemetry *t, const struct ipc_message *m);
void target_dialled(struct telemetry *t, uint64_t id, int fd, const char *error);
void target_want(struct target *g); // it is granted: connect
void target_admitted(struct target *g);
void target_gone(struct target *g, struct session *s, const char *why);
void targets_tick(struct telemetry *t);

// --- device.c
struct device *device_find(struct telemetry *t, const char *name); // NULL: none
MUST_USE struct err device_get(struct telemetry *t, const char *name, struct device **out);
void device_release(struct device *d); // frees it when nobody knows of it any more
MUST_USE struct err device_grant(struct telemetry *t, const struct ipc_message *m);
MUST_USE struct err device_revoke(struct telemetry *t, const struct ipc_message *m);
MUST_USE struct err device_drop(struct telemetry *t, const struct ipc_message *m);
void devices_forget(struct telemetry *t); // the repository is away: grants and numbers are void
enum { COVERS_UPDATE = 1, COVERS_DELETE = 2 };
unsigned device_covers(const struct device *d, const char *path, size_t n);

// --- collect.c
void collect_consider(struct device *d); // starts, changes or ends the stream, as is right now
void collect_stop(struct device *d, const char *why); // cancels the stream; does not try again
void collect_fail(struct device *d, const char *kind, struct err why); // its mistake: later again
void collect_lost_conn(struct device *d);
MUST_USE struct err collect_acked(struct telemetry *t, const struct ipc_message *m);
MUST_USE struct err collect_refused(struct telemetry *t, const struct ipc_message *m);
struct place *collect_place(struct device *d, const uint8_t key_id[BATCH_KEY_ID]);
void collect_ack_due(struct device *d);
void collect_tell_acks(struct telemetry *t);

// --- ingest.c
MUST_USE struct err ingest_start(struct telemetry *t);
void ingest_stop(struct telemetry *t);
// One SubscribeResponse. An error ends the stream; its code says whose fault it was.
MUST_USE struct err ingest_response(struct device *d, const uint8_t *message, size_t n);
void ingest_recover_series(struct device *d); // its grant changed: what it covers, anew

// --- pressure.c
void pressure_sent(struct device *d, uint64_t seq, const uint8_t key_id[BATCH_KEY_ID],
		   size_t message_bytes, size_t batch_bytes, uint32_t updates);
// Takes the flight with this key and seq out; false: there is none.
bool pressure_landed(struct device *d, uint64_t seq, const uint8_t *key_id, struct flight *out);
void pressure_clear(struct device *d); // all its flights are void
void pressure_pause(struct device *d, enum pause why, bool paused);
void pressure_timer(struct device *d); // a rate's wait is over
void pressure_drained(struct telemetry *t);

// --- observe.c
MUST_USE struct err observe_start(struct telemetry *t);
void observe_stop(struct telemetry *t);
// An alert to management: the first of its kind at once, then counted. `kind` is a literal.
void observe(struct telemetry *t, const char *kind, const char *device, const char *source,
	     const char *format, ...) __attribute__((format(printf, 5, 6)));
void observe_tick(struct telemetry *t);
void observe_metrics(struct telemetry *t);
