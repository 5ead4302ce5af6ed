// SPDX-License-Identifier: Apache-2.0
// The telemetry process as gemeld runs it, but in this program, with its neighbours played at the
// other ends of its channels: a parent that dials, a management with a small authority, and a
// repository that keeps what comes, recomputes each canonical form and checks each signature. Tests
// say what each answers, and look at what each was told.
#pragma once

#include "lib/batch/batch.h"
#include "lib/crypto/x509.h"
#include "lib/ipc/messages.pb-c.h"
#include "lib/ipc/process.h"

#include <event2/event.h>

enum { TOLD_MAX = 512, RECORDS_MAX = 4096, SERIES_MAX = 8192, KEYS_MAX = 16 };

struct told { // ADMIT_REQUEST, ENROL_REQUEST, SESSION_END, OBSERVED: what tests look at
	enum ipc_type type;
	uint64_t id, count;
	char device[80], word[80], text[300], session[40],
		source[80]; // word: tls_error, method, kind
	size_t chain, bytes;
};

struct kept { // one record of a batch that the repository took
	char device[65], path[200];
	enum batch_op op;
	enum batch_type type;
	uint64_t number; // of a number; the length of a text
	char text[64];
	uint64_t seq;
	uint8_t flags;
	bool proved; // its batch's canonical form was recomputed and its signature is good
};

struct house {
	struct process p;
	struct daemon_conf conf;
	struct event_base *base;
	struct ipc_channel *others[PROCESS_COUNT]; // the neighbours' ends
	struct sign_key *authority;
	struct buf root;
	int tunnel_port, enrolment_port;

	struct told told[TOLD_MAX];
	size_t n_told;
	bool hold_admission; // no answer
	const char *refuse;  // reason, for whoever asks; NULL: all are admitted
	bool hold_enrolment;
	bool attest_no; // quotes are not accepted
	unsigned enrol_status;
	uint64_t held_batches; // not acknowledged
	bool hold_acks;
	const char *refuse_batch; // reason, for the next one

	struct {
		char device[65], path[200];
	} series[SERIES_MAX];
	struct kept kept[RECORDS_MAX];
	size_t n_kept, n_batches;
	struct {
		char device[65];
		uint64_t seq;
		uint8_t key_id[BATCH_KEY_ID];
	} held[256];
	size_t n_held;
	struct verify_key *keys[KEYS_MAX]; // of devices' batches
	unsigned n_keys;
	struct batch_canonical *canonical;
	unsigned dials;
	int dial_port; // overrides what is dialled; 0: as asked
};

extern struct house house;

void house_open(void); // once a program
void house_up(enum process_id id);
void house_down(enum process_id id);
// Runs the loop until `done(ctx)`, or fails after a minute: by this, or by ending the program.
extern void (*house_failed)(const char *what);
void house_until(bool (*done)(void *ctx), void *ctx, const char *what);
void house_turn(int times); // the loop, as far as it goes by itself
// Some of what was told, newest last; NULL: nothing such. `device` NULL: any.
const struct told *house_told(enum ipc_type type, const char *device, const char *word);
size_t house_count(enum ipc_type type, const char *device, const char *word);
void house_forget(void); // what was told and kept

// Certificates by the house's authority.
struct house_certificate {
	struct sign_key *key;
	struct buf der;
};
void house_issue(const char *device, int64_t from_s, int64_t until_s, const struct sign_key *by,
		 const struct buf *issuer, struct house_certificate *out);
void house_certificate_clear(struct house_certificate *c);
void house_revoke(const struct house_certificate *c);

// From the repository: `paths` end with NULL; one that begins with "~" is sampled each second.
void house_grant(const char *device, uint64_t id, const char *const *paths, bool signed_batches,
		 uint32_t updates_per_s, uint32_t max_series);
void house_revoke_grant(const char *device);
void house_ack_held(void);
void house_drop(const char *device, const char *reason);
void house_target(const char *device, int port, const char *server_name, const struct buf *root,
		  bool gone);
void must(struct err e, const char *what);
