// SPDX-License-Identifier: Apache-2.0
// A device for tests: a real software TPM, and messages of gemel.proto made as gemel-agent makes
// them (src/agent/keys_evidence.c), each of which a test can bend.
#pragma once

#include "drive.h"
#include "swtpm.h"

#include "lib/crypto/tpm.h"
#include "lib/gnmi/gemel.pb-c.h"

enum { AGENT_SPKI_MAX = 128 };

struct agent {
	struct drive *d;
	char device[65];
	struct swtpm machine;
	struct tpm *tpm;
	struct sign_key *tls, *batch;
	uint8_t chain[2][4096];
	size_t chain_len[2];
	char session[40], source[40];
	// what a test bends
	const char *claims;   // device_id in messages; NULL: its own
	struct agent *quotes; // whose TPM makes the quotes; NULL: its own
	bool wrong_secret, wrong_nonce, no_batch_key;
	uint8_t nonce[EVIDENCE_NONCE]; // of the last challenge
};

void agent_new(struct agent *a, struct drive *d, const char *device);
void agent_free(struct agent *a);
// References and manufacturers of the configuration that fit this TPM.
void agent_trust(struct agent *a, struct conf_reference *reference, char **ek_root);

// Each returns the answer's reason word ("" when it is good).
const char *agent_begin(struct agent *a, const char *token,
			Gemel__Enrolment__V1__BeginAnswer **out);
const char *agent_enrol(struct agent *a, const char *token); // Begin and Complete
const char *agent_admit(struct agent *a, const char *session);
void agent_admit_ask(struct agent *a, const char *session); // without looking at the answer
const char *agent_attest(struct agent *a);		    // Challenge and Attest on its session
const char *agent_attest_again(struct agent *a);	    // Attest with the nonce of before
const char *agent_renew(struct agent *a);
void agent_leave(struct agent *a); // SESSION_END
// The last ADMIT_ANSWER: whether it was a yes, and its reason word.
bool agent_admitted(struct agent *a, const char **word);
