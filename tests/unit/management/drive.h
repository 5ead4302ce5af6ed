// SPDX-License-Identifier: Apache-2.0
// The management process as gemeld runs it, but in the test's own program, with its neighbours
// played at the other ends of its channels: keys with its real store and rules, a repository that
// takes every record, telemetry and northbound that remember what they were sent.
#pragma once

#include "keys/rules.h"
#include "lib/access/access.h"
#include "lib/base/clock.h"
#include "management/management.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define good(e)                                                                                    \
	do {                                                                                       \
		struct err e_ = (e);                                                               \
		if (e_.code != ERR_NONE)                                                           \
			fail_msg("%s", e_.text);                                                   \
	} while (0)

struct kept { // a message that a neighbour got
	enum process_id to;
	enum ipc_type type;
	uint8_t *bytes;
	size_t n;
};

struct drive {
	struct process p;
	struct daemon_conf conf;
	struct ipc_channel *others[PROCESS_COUNT]; // the neighbours' ends
	char folder[64];			   // holds management/ and keys/
	int state, key_folder;
	struct key_store keys;
	bool keys_silent, repository_silent;
	struct kept *kept;
	size_t n_kept, cap_kept;
	struct arena *arena; // of what the test unpacks
	uint64_t next_id;
	char token[512]; // of the session that `call` uses; "": none
	uint8_t ticket[4096];
	size_t ticket_len;
};

void drive_new(struct drive *d); // folders and keys; then set conf, drive_start
void drive_start(struct drive *d);
void drive_start_without(struct drive *d, enum process_id who); // drive_up it later
void drive_stop(struct drive *d);    // as gemeld stops it; the folder stays
void drive_restart(struct drive *d); // stop, start again on the same state
void drive_free(struct drive *d);
struct management *drive_management(struct drive *d);
void drive_up(struct drive *d, enum process_id peer);
void drive_down(struct drive *d, enum process_id peer);
// Lets everything that is under way arrive.
void drive_settle(struct drive *d);
void drive_tick(struct drive *d, int64_t seconds); // moves the clock, then the timer runs
void drive_forget(struct drive *d);		   // what was kept

void drive_say(struct drive *d, enum process_id from, enum ipc_type type,
	       const ProtobufCMessage *m);
// The newest kept message of this type; NULL: none. In d->arena.
void *drive_last(struct drive *d, enum process_id to, enum ipc_type type,
		 const ProtobufCMessageDescriptor *kind);
size_t drive_count(const struct drive *d, enum process_id to, enum ipc_type type);
// Whether a record of this kind about this subject, holding `words`, has been taken.
bool drive_recorded(struct drive *d, const char *kind, const char *subject, const char *words);
unsigned drive_records(struct drive *d, const char *kind);
bool drive_told(struct drive *d, const char *type, const char *subject); // an event

// --- the API: `params` is JSON text of an object, with ' for "
struct reply {
	unsigned status;
	json_t *body;
	char etag[64], session[512];
};
struct reply drive_call(struct drive *d, const char *operation, const char *params);
struct reply drive_call_with(struct drive *d, const char *operation, const char *params,
			     const char *if_match, const char *idempotency_key);
void reply_clear(struct reply *r);
const char *reply_text(const struct reply *r, const char *path); // "a.b"; "" when absent
// Calls, expects this status, and forgets the body.
void drive_expect(struct drive *d, unsigned status, const char *operation, const char *params);
// Logs in and takes a ticket for the calls that follow.
void drive_login(struct drive *d, const char *account, const char *password);
void drive_login_admin(struct drive *d); // by first-login.json
bool drive_ticket(struct drive *d);	 // a fresh one; false: refused
