// SPDX-License-Identifier: Apache-2.0
// The unified data repository (X.2011 8.3.1): grants collection, keeps what came in sealed, and
// decides each read at the data. This header is the process's inside: one struct that its rooms
// share. The part for the parent's list is repository_part. Used by repository; repository_verify
// by the parent's --verify-store and by tests.
#pragma once

#include "lib/access/access.h"
#include "lib/ipc/process.h"
#include "repository/aggregate.h"
#include "repository/classes.h"
#include "repository/commit.h"
#include "repository/head.h"
#include "repository/journal.h"
#include "repository/ledger.h"
#include "repository/series.h"
#include "repository/verify.h"

extern const struct process_part repository_part;

// Telemetry's number for a path, on its present channel.
struct source {
	uint32_t device, series; // series 0: over the device's quota
	uint32_t epoch;		 // of the grant that the flags are of
	bool update, deletion;	 // covered
};
enum { SOURCES_MAX = 1 << 23 };

// What recovery found: told when the ledger is whole again.
struct held_note {
	bool alert;
	char kind[24], subject[128], why[200];
};
enum { HELD_MAX = 64 };

struct outgoing { // waits for the journal's sync
	uint32_t device;
	uint64_t seq;
	uint8_t key_id[BATCH_KEY_ID];
	size_t feed, feed_len; // in outbox
	unsigned told;	       // feed_life in which models knew all its series; 0: not all
};

struct counters {
	uint64_t points, batches, refused, syncs, chunk_points, chunk_bytes, commits, reads;
	int64_t sync_ns; // of the last sync
};

struct repository {
	struct process *p;
	const struct daemon_conf *conf;
	int folder, journal_folder, ledger_folder;
	struct store *store;
	struct data_keys *keys;
	struct journal *journal;
	struct index index;
	struct classes *classes;
	struct ledger *ledger;
	struct aggregate *aggregate;
	struct chunk_writer *chunks;
	// counters that survive
	uint64_t revision, commit_version, last_grant;
	uint64_t signed_ledger; // size of the head that the store remembers
	struct buf domains;	// names by number, each ended by a newline; 0 is ""
	// telemetry's numbers
	struct source *sources;
	uint32_t n_sources;
	// ingest
	struct batch_canonical *canonical;
	struct batch_record *records; // BATCH_COUNT_MAX
	uint32_t *record_series;
	struct buf outbox, scratch;
	struct outgoing *out;
	size_t n_out, cap_out;
	struct event *sync_event, *tick_event, *verify_event;
	// feed
	bool models_fed;	// its snapshot is complete: live feeds follow
	unsigned feed_life;	// counts models' channels, from 1
	bool paused;		// telemetry, for models' sake
	bool feed_lost;		// models was sent less than it must know
	uint32_t next_snapshot; // device whose state is sent next; 0: none
	// policy
	struct access_policy *policy;
	struct buf policy_bytes;
	uint8_t policy_key[32], ticket_key[32];
	bool have_keys;
	// health
	bool recovering; // what is to be told waits in `held`
	struct held_note *held;
	size_t n_held, more_held;
	bool damaged;		 // something stored is not what it was
	char why[200];		 // in words
	bool read_only;		 // the ledger was shortened or forked: nothing is acknowledged
	bool offline;		 // a copy is being checked: nothing is written
	verify_report_fn report; // offline: where alerts go
	void *report_ctx;
	bool stopping;
	bool full_devices;     // one at least wants to be flushed
	bool bursting_devices; // and one cannot wait
	int64_t last_checkpoint_ns, last_event_ns, last_second_ns, last_scrub_ns;
	uint64_t checkpointed; // commits at the last checkpoint of the store
	uint64_t events_held;
	struct scrub *scrub;	 // a verification under way
	struct moments *moments; // moments that models has asked for
	struct counters count;
};

static inline struct repository *repository_of(struct process *p)
{
	return p->self;
}

// --- state.c: open and close everything; recover.c: what the disk says
MUST_USE struct err repository_open(struct process *p, struct repository **out);
// A copy that is only checked: nothing is written but by SQLite, and alerts go to `report`.
MUST_USE struct err repository_open_offline(struct process *p, verify_report_fn report, void *ctx,
					    struct repository **out);
void repository_close(struct repository *r);
MUST_USE struct err repository_recover(struct repository *r);
// An alert: event, log line, ledger record. `subject` device or file.
void repository_alert(struct repository *r, const char *kind, const char *subject, const char *why);
// Something that a start found, and that is no damage.
void repository_notice(struct repository *r, const char *kind, const char *subject,
		       const char *why);
void repository_event_damaged(struct repository *r); // the event of the last alert once more
void repository_tell_held(struct repository *r);     // recovery is over

// --- devices.c
MUST_USE struct err devices_state(struct repository *r, const struct ipc_message *m);
MUST_USE struct err devices_grant(struct repository *r, struct device *d); // GRANT or GRANT_REVOKE
void devices_grant_all(struct repository *r);
MUST_USE struct err devices_write(const struct repository *r, const struct device *d,
				  struct buf *out);
MUST_USE struct err devices_read(struct repository *r, uint32_t number, uint32_t domain,
				 const uint8_t *bytes, size_t n);
MUST_USE struct err devices_save(struct repository *r, struct device *d); // into the journal
uint32_t devices_domain(struct repository *r, const char *name);	  // number

// --- ingest.c
enum access_class ingest_class(struct repository *r, const char *path, size_t n);
MUST_USE struct err ingest_series(struct repository *r, const struct ipc_message *m);
MUST_USE struct err ingest_batch(struct repository *r, const uint8_t *bytes, size_t n);
MUST_USE struct err ingest_sync(struct repository *r); // journal, then publish
void ingest_schedule(struct repository *r);	       // ingest_sync at the end of this turn
MUST_USE struct err ingest_replay(struct repository *r, uint64_t segment, const uint8_t *bytes,
				  size_t n);
MUST_USE struct err ingest_replay_series(struct repository *r, const uint8_t *bytes, size_t n);
// ingest_apply.c: into heads, and where the proof is kept
MUST_USE struct err ingest_apply(struct repository *r, struct device *d,
				 const struct batch_head *head, const uint8_t hash[BATCH_HASH],
				 uint64_t grant, uint64_t segment);

// --- flush.c: heads into chunks
MUST_USE struct err flush_all(struct repository *r);
MUST_USE struct err flush_now(struct repository *r); // some of those that are due
MUST_USE struct err flush_device_now(struct repository *r, struct device *d);
bool flush_urgent(const struct repository *r); // it cannot wait for the next tick
MUST_USE struct err flush_housekeeping(struct repository *r);

// --- feed.c: to models and northbound
void feed_publish(struct repository *r, const struct outgoing *o);
void feed_models_up(struct repository *r);
void feed_drained(struct repository *r, enum process_id peer);
void feed_event(struct repository *r, const char *type, const char *subject, const char *json,
		const char *class_name);

void feed_policy(struct repository *r);	      // the snapshot, to models
void feed_telemetry_up(struct repository *r); // a new channel reads, whatever the old one did
void feed_models_down(struct repository *r);

// --- moments.c: the network as it was, for models
MUST_USE struct err moments_state_at(struct repository *r, const struct ipc_message *m);
void moments_go_on(struct repository *r);
void moments_forget(struct repository *r); // models is gone
void moments_stop(struct repository *r);

// --- scrub.c: a verification beside the work, in slices
MUST_USE struct err scrub_start(struct repository *r); // goes on, when one is under way
void scrub_slice(evutil_socket_t fd, short what, void *r);
void scrub_forget(struct repository *r); // those who wait for it are gone
void scrub_cancel(struct repository *r, uint64_t request);
void scrub_stop(struct repository *r);

// --- api.c
MUST_USE struct err api_request(struct repository *r, const struct ipc_message *m);
MUST_USE struct err api_cancel(struct repository *r, const struct ipc_message *m);
