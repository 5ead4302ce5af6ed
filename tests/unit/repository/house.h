// SPDX-License-Identifier: Apache-2.0
// The repository process as gemeld runs it, but in this program, on a folder under /tmp, with all
// its neighbours played at the other ends of its channels: keys that sign, management that states
// devices and gives policy, telemetry whose devices sign batches, models that is fed, northbound
// with a witness behind it. Used by the tests of the process.
#pragma once

#include "lib/crypto/sign.h"
#include "lib/ipc/messages.pb-c.h"
#include "lib/tlog/proof.h"
#include "repository/repository.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ok(e)                                                                                      \
	do {                                                                                       \
		struct err e_ = (e);                                                               \
		if (e_.code)                                                                       \
			fail_msg("%s:%d: %s", __FILE__, __LINE__, e_.text);                        \
	} while (0)
#define refused_with(e, c)                                                                         \
	do {                                                                                       \
		struct err e_ = (e);                                                               \
		if (e_.code != (c))                                                                \
			fail_msg("%s:%d: %s instead of %s: %s", __FILE__, __LINE__,                \
				 err_code_name(e_.code), err_code_name(c),                         \
				 e_.text ? e_.text : "");                                          \
	} while (0)

enum { HOUSE_NAMES = 65536, HOUSE_LOG = 20000 };

struct house_told { // an ACK, a refusal, or a RECORDED
	char device[65], reason[64];
	uint64_t seq, expected;
};

struct house_witness {
	bool away, lies; // lies: signs something else
	uint64_t size;
	struct merkle_hash root;
	unsigned asked, cosigned;
	struct note_key key;
	struct sign_key *sign;
};

struct house {
	char folder[64];
	struct process p;
	struct daemon_conf conf;
	struct conf_witness witness_conf;
	char vkey[200];
	struct ipc_channel *others[PROCESS_COUNT];
	struct sign_key *checkpoint, *management; // management: tickets and policy
	struct house_witness witness;
	bool mute_keys;
	// what came
	struct house_told acks[HOUSE_LOG], refusals[HOUSE_LOG], recorded[HOUSE_LOG];
	size_t n_acks, n_refusals, n_recorded;
	Ipc__Grant *grant; // the last one, in `kept`
	unsigned grants, revokes;
	struct arena *kept;
	char *names[HOUSE_NAMES]; // the repository's numbers, as models was told
	struct buf feeds;	  // u32 length, FEED; again
	unsigned feed_ends;
	struct buf state; // STATE_FEED bodies likewise
	uint64_t state_end;
	unsigned state_ends;
	char state_error[200];
	struct { // the last answer
		uint64_t id;
		unsigned status;
		struct buf body;
		char type[80];
	} answer;
	uint64_t next_id;
	char alert[2000]; // JSON of the last integrity.alert
	unsigned alerts;
	int closed; // channels that ended
	// or the process itself, sandboxed, as a child
	pid_t child;
	struct ipc_channel *parent; // the parent's end
	unsigned ready;
	char sandbox[200], broken[300];
};

// A device that signs.
struct house_device {
	char name[65];
	struct sign_key *key;
	uint64_t seq;
	uint8_t previous[BATCH_HASH];
	uint32_t numbers; // of SERIES, from first
	uint32_t first;
	char *paths[1024];
	unsigned n_paths;
};

struct house_update {
	const char *path;
	int64_t time_ns;
	struct batch_value value;
	bool deletion;
};

struct house *house_new(void);
void house_free(struct house *h);		 // removes the folder
void house_open(struct house *h);		 // start, ready, all neighbours up
void house_close(struct house *h, bool orderly); // orderly: stop; else as if it were killed
// The same as a child of its own that closes its sandbox; house_value and asking work alike.
void house_open_child(struct house *h);
void house_kill(struct house *h);      // SIGKILL
int house_stop_child(struct house *h); // STOP; its exit status
void house_up(struct house *h, enum process_id peer);
void house_down(struct house *h, enum process_id peer);
void house_turn(struct house *h); // until nothing moves
// Turns until *at is not below `least`; fails the test after some seconds.
void house_until(struct house *h, const unsigned *at, unsigned least);
void house_wait_head(struct house *h, uint64_t size); // until a head of that size is served
struct repository *house_repository(struct house *h);

void house_device(struct house_device *d, const char *name, unsigned number);
void house_device_clear(struct house_device *d);
// DEVICE_STATE with its key.
void house_state(struct house *h, const struct house_device *d, const char *state,
		 const char *domain);
void house_telemetry_again(struct house_device *d); // its numbers are to be told again
// One signed batch. `spoil`: bits of enum house_spoil.
enum house_spoil {
	SPOIL_SIGNATURE = 1,
	SPOIL_PREVIOUS = 2,
	SPOIL_VALUE = 4,
	SPOIL_UNSIGNED = 8,
	SPOIL_GAP = 16,
	SPOIL_REPEAT = 32,
};
void house_batch(struct house *h, struct house_device *d, const struct house_update *list, size_t n,
		 unsigned spoil);
void house_uint(struct house *h, struct house_device *d, const char *path, int64_t time_ns,
		uint64_t value);
struct house_update house_text(const char *path, int64_t time_ns, const char *text);

void house_record(struct house *h, enum process_id from, uint64_t id, const char *kind,
		  const char *subject, const char *json);
// Asks an operation as `account` in `role`. parameters: "name", "text", ..., NULL; a name that
// begins with '#' is a number. The answer is h->answer; the JSON (decref) or NULL.
json_t *house_ask(struct house *h, const char *role, const char *operation, ...)
	__attribute__((sentinel));
// The value of a path in the state that models would have: feeds applied. NULL: none. From `feeds`
// or `state` bytes.
const struct batch_value *house_value(struct house *h, const struct buf *from, const char *device,
				      const char *path);
