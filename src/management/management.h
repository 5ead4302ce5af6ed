// SPDX-License-Identifier: Apache-2.0
// The management process: who may use the twin, which devices belong to it, and what its policy is.
// It sees no packet and no telemetry; what it decides is written down (outbox.c), told (events),
// and signed by keys. This header is the process's inside; nothing outside src/management includes
// it but its tests.
//
//   management.c  life, dispatch          sign.c      what keys signs        outbox.c   ledger
//   records api*.c        operations of the API   login.c     sessions and tickets   policy.c   the
//   snapshot inventory.c   device states           join*.c     enrolment              attest.c
//   evidence admit.c       admission               trial.c     tests of a device      ca*.c
//   certificates import*.c     CSV, NetBox             alerts.c    what needs attention   denials.c
//   counted refusals
// Below them, without a process: keep, accounts, sessions, backoff, devices, evidence, reasons.
// X.2011 8.3.3.
#pragma once

#include "lib/access/access.h"
#include "lib/crypto/x509.h"
#include "lib/ipc/messages.pb-c.h"
#include "lib/ipc/process.h"
#include "management/accounts.h"
#include "management/devices.h"
#include "management/evidence.h"
#include "management/sessions.h"

extern const struct process_part management_part;

enum { RECORDS_WAITING_MAX = 8192 }; // above it nothing is changed until the ledger is there again

struct signer;
struct outbox;
struct denials;
struct alerts;
struct joins;
struct nonces;
struct visits;
struct authority;
struct remembered;

struct management {
	struct process *p;
	struct keep *keep;
	struct sessions *sessions;
	struct backoff *backoff;
	struct devices *devices;
	struct signer *signer;
	struct outbox *outbox;
	struct denials *denials;
	struct alerts *alerts;
	struct joins *joins;	       // enrolments under way
	struct nonces *nonces;	       // challenges that are out
	struct visits *visits;	       // live connections of devices
	struct authority *authority;   // certificates
	struct remembered *remembered; // answers by Idempotency-Key
	struct event *tick;
	unsigned ticks; // seconds

	bool has_keys;
	uint8_t ticket_key[32], policy_key[32];
	struct buf key_public; // KEY_PUBLIC as it came, for northbound
	struct access_policy *policy;
	struct buf snapshot; // signed
	int64_t snapshot_ns; // when it was asked for
	uint64_t snapshot_version;
	struct buf status; // PROCESS_STATUS as it came
	uint64_t seen_restarts;
	int64_t status_ns;

	int first_login; // descriptor of first-login.json; -1: there is none
	uint64_t refused, logins, enrolled;
	int64_t skew_ns, frozen_ns; // tests move the clock, or let it stand
};

int64_t now_of(const struct management *m); // wall time
void time_text(int64_t ns, char out[40]);
json_t *time_or_null(int64_t ns);

// --- outbox.c: records wait on disk until the ledger has them. X.2011 8.3.3-9.
MUST_USE struct err outbox_start(struct management *m);
void outbox_stop(struct management *m);
// Into the change that is being gathered; takes over `body`. Sent once that is committed.
void record(struct management *m, const char *kind, const char *subject, const char *actor,
	    json_t *body);
// Commits the gathered change and sends its records. On failure nothing of it is there.
MUST_USE struct err commit(struct management *m);
void rollback(struct management *m); // forgets the gathered change
// ERR_BUSY when so many records wait that nothing may be changed.
MUST_USE struct err outbox_room(const struct management *m);
size_t outbox_waiting(const struct management *m);
void outbox_send(struct management *m);	 // the repository is there, or has taken some
void outbox_again(struct management *m); // it is new: what was under way is sent anew
MUST_USE struct err outbox_recorded(struct management *m, const Ipc__Recorded *r);
void outbox_tick(struct management *m);

// --- events.c
// Foreign text made fit to keep and show: anything but printable ASCII becomes '?'; cut to size.
void clean_text(char *out, size_t size, const char *in);
void tell(struct management *m, const char *type, const char *subject, json_t *body,
	  const char *class_name); // takes over `body`

// --- sign.c: asks keys. `done` runs exactly once, also when keys is away; it owns ctx.
typedef void (*signed_fn)(struct management *m, void *ctx, struct err e, const uint8_t *signature,
			  size_t n);
MUST_USE struct err signer_start(struct management *m);
void signer_stop(struct management *m);
void signer_ask(struct management *m, unsigned purpose, const void *bytes, size_t n, signed_fn done,
		void *ctx);
MUST_USE struct err signer_answer(struct management *m, const Ipc__KeySigned *s);
void signer_away(struct management *m); // keys went: all that waits fails with ERR_BUSY
void signer_tick(struct management *m);

// --- policy.c
MUST_USE struct err policy_keys(struct management *m, const struct ipc_message *msg); // KEY_PUBLIC
void policy_keys_send(struct management *m); // to northbound
void policy_make(struct management *m);	     // signed, taken up and sent to all
void policy_send(struct management *m, enum process_id to);
void policy_tick(struct management *m);

// --- login.c
MUST_USE struct err login_check(struct management *m, const Ipc__SessionCheck *c);
// Ends sessions of an account but `except` (an id; NULL: all) and says so to northbound.
MUST_USE struct err login_end(struct management *m, const char *account, const char *except,
			      const char *why);
MUST_USE struct err login_end_one(struct management *m, const char *id);
void login_tick(struct management *m);
// The first administrator, when there is no account: before the sandbox closes.
MUST_USE struct err login_first(struct management *m);
void login_first_forget(struct management *m); // its pass phrase was changed

// --- inventory.c: every change of a device goes through here
struct change {
	const char *step; // of the story; the record's kind is "device.STEP"
	enum device_state to;
	enum reason reason;
	const char *reason_detail; // may be NULL
	const char *actor;	   // NULL: "management"
	json_t *detail;		   // taken over; may be NULL
};
// Writes `changed` (a copy of *d with its new members) and puts it in the place of *d. What others
// must know is sent: DEVICE_STATE, events, alerts.
MUST_USE struct err inventory_change(struct management *m, struct device *d, struct device *changed,
				     const struct change *c);
// Adds one; `as` has kind, domain, site, role, address. Commits.
MUST_USE struct err inventory_add(struct management *m, const struct device *as, const char *actor,
				  struct device **out);
// The same without a commit, for many at once: on failure of the commit, devices_remove it.
MUST_USE struct err inventory_add_gathered(struct management *m, const struct device *as,
					   const char *actor, struct device **out);
// A refusal that concerns an enrolled or invited device (NULL: nobody we know): in its story, in
// the ledger once for each subject, reason and minute, as an event and an alert.
void inventory_refused(struct management *m, struct device *d, const char *claimed,
		       const struct verdict *v, const char *source, const char *where);
void inventory_state_send(struct management *m, const struct device *d);
void inventory_states_send(struct management *m);	     // the repository is new
MUST_USE struct err inventory_targets(struct management *m); // of the configuration, at start
void inventory_targets_send(struct management *m);
void inventory_tick(struct management *m); // overdue attestation, certificates that end

// --- tokens.c, of enrolment
enum { TOKEN_TEXT_MAX = 256, TOKEN_LIFE_S = 3600 };
// life_s: of the certificate that it is good for; 0: as the configuration says.
MUST_USE struct err token_make(struct management *m, struct device *d, const char *actor,
			       int64_t life_s, char out[TOKEN_TEXT_MAX], int64_t *until_ns);
int64_t token_life(const struct management *m, const char *id);
// The token named in a BeginRequest, proved and not spent. REASON_NONE: good.
struct verdict token_check(struct management *m, const char *id, const char *device,
			   const uint8_t *body, size_t n, const uint8_t *proof, size_t proof_len);
void token_spend(struct management *m, const char *id); // into the change that is being gathered
void tokens_void(struct management *m, const char *device); // likewise
void tokens_tick(struct management *m);

// --- nonces.c
enum { NONCE_LIFE_S = 60 };
MUST_USE struct err nonces_start(struct management *m);
void nonces_stop(struct management *m);
// A challenge for a device on a session ("" where there is none). ERR_LIMIT.
MUST_USE struct err nonce_make(struct management *m, const char *device, const char *session,
			       unsigned purpose, uint8_t out[EVIDENCE_NONCE], int64_t *until_ns);
// Takes it back: false when it is not out for this device, session and purpose, or too old.
bool nonce_take(struct management *m, const char *device, const char *session, unsigned purpose,
		const uint8_t *nonce, size_t n);

// --- join.c, join_issue.c, attest.c: ENROL_REQUEST by method
MUST_USE struct err joins_start(struct management *m);
void joins_stop(struct management *m);
MUST_USE struct err join_request(struct management *m, const Ipc__EnrolRequest *r);
void join_begin(struct management *m, const Ipc__EnrolRequest *r);
void join_complete(struct management *m, const Ipc__EnrolRequest *r);
void join_renew(struct management *m, const Ipc__EnrolRequest *r);
void join_challenge(struct management *m, const Ipc__EnrolRequest *r);
void attest_request(struct management *m, const Ipc__EnrolRequest *r);
// Answers; `why` NULL: good, with `message`.
void join_answer(struct management *m, uint64_t id, const struct verdict *why,
		 const ProtobufCMessage *message);
// Records and answers a refusal.
void join_refuse(struct management *m, const Ipc__EnrolRequest *r, struct device *d,
		 const char *claimed, const struct verdict *v);
// A certificate for an appraised device, then the CompleteAnswer. Takes over nothing.
struct join_grant {
	uint64_t id; // of ENROL_REQUEST
	char device[X509_NAME_MAX + 1], token[65], source[80];
	bool renewal;
	int64_t life_s; // of the certificate; 0: as the configuration says
	struct x509_csr csr;
	uint8_t ek[32];
	char ek_subject[128], ek_issuer[128], agent_version[33];
	uint8_t ak[DEVICE_AK_MAX];
	size_t ak_len;
	struct evidence_found found;
};
void join_issue(struct management *m, const struct join_grant *g);
// What a good quote said: the batch key, the software, when.
void device_take_evidence(struct device *d, const struct evidence_found *f, int64_t now_ns);

// --- visits: live connections (admit.c)
struct visit {
	char session[65], device[X509_NAME_MAX + 1], source[80];
	uint8_t tls[32];
	uint64_t ask; // of ADMIT_REQUEST: a later "no" goes under the same id
	int64_t since_ns, attested_ns;
	bool target;
};
MUST_USE struct err visits_start(struct management *m);
void visits_stop(struct management *m);
MUST_USE struct err admit_request(struct management *m, const Ipc__AdmitRequest *r);
void admit_early(struct management *m); // keys has come: those that waited for it
MUST_USE struct err admit_ended(struct management *m, const Ipc__SessionEnd *s);
void visits_forget(struct management *m); // telemetry is away
struct visit *visit_find(struct management *m, const char *session);
struct visit *visit_of(struct management *m, const char *device); // attested ones first; NULL: none
// Ends one connection, with its reason; the device's others stay.
void visit_refuse(struct management *m, struct visit *v, const struct verdict *why);
void visits_drop(struct management *m, const char *device, enum reason why); // DEVICE_DROP
void visits_tick(struct management *m);

// --- trial.c: the security test before production. X.2011 8.3.3-6.
// Runs the checks; `checks` (a new reference, may be NULL) lists them. True: all passed.
bool trial_run(struct management *m, const struct device *d, json_t **checks, const char **failed);
// Lifts a device as far as its evidence carries it. `actor` NULL: by itself.
MUST_USE struct err trial_promote(struct management *m, struct device *d, const char *actor);

// --- ca.c
MUST_USE struct err
authority_start(struct management *m); // trust in manufacturers, before the sandbox
void authority_stop(struct management *m);
MUST_USE struct err authority_keys(struct management *m, const uint8_t *root, size_t root_len,
				   const uint8_t *issuing, size_t issuing_len);
bool authority_ready(const struct management *m);
const struct buf *authority_root(const struct management *m);
const struct buf *authority_issuing(const struct management *m);
const struct buf *authority_crl(const struct management *m);
const char *authority_pin(const struct management *m);	   // hex SHA-256 of the root's SPKI
const char *authority_bundle(const struct management *m);  // PEM, for devices
struct x509_trust *authority_trust(struct management *m);  // ours
struct x509_trust *authority_makers(struct management *m); // of TPMs
typedef void (*issued_fn)(struct management *m, void *ctx, struct err e, const struct buf *der,
			  const char *serial);
// `want` without its issuer; the key's bytes need not outlive the call. `done` as in sign.c.
void authority_issue(struct management *m, const struct x509_issue *want, issued_fn done,
		     void *ctx);
MUST_USE struct err authority_request(struct management *m, enum process_id from,
				      const Ipc__CertRequest *r);
// Into the change that is being gathered; then authority_crl_make.
void authority_revoke(struct management *m, const char *serial, const char *device,
		      int64_t until_ns);
bool authority_revoked(const struct management *m, const char *serial);
void authority_crl_make(struct management *m); // signed, and sent to telemetry
void authority_tick(struct management *m);

// --- denials.c: the first is recorded at once, what follows in the same minute is counted
MUST_USE struct err denials_start(struct management *m);
void denials_stop(struct management *m);
// True: it is the first of this kind, subject and reason in this minute. Not committed.
bool denial(struct management *m, const char *kind, const char *subject, const char *reason,
	    const char *source, const char *detail);
void denials_tick(struct management *m);

// --- alerts.c
MUST_USE struct err alerts_start(struct management *m);
void alerts_stop(struct management *m);
void alert(struct management *m, const char *severity, const char *kind, const char *subject,
	   const char *source, const char *detail, const char *fix, uint64_t count);
void alert_clear(struct management *m, const char *kind, const char *subject);
MUST_USE struct err alerts_observed(struct management *m, const Ipc__Observed *o);
json_t *alerts_json(const struct management *m, int64_t at_ns, bool now);
// Abnormal behaviour of a device that was seen after `since_ns`; NULL: none.
const char *alerts_behaviour(const struct management *m, const char *device, int64_t since_ns);
size_t alerts_active(const struct management *m);
void alerts_tick(struct management *m);

// --- status.c
MUST_USE struct err status_take(struct management *m, const struct ipc_message *msg);
json_t *status_json(struct management *m);
void status_metrics(struct management *m);
