// SPDX-License-Identifier: Apache-2.0
// What the witness keeps: its key and, of each log, the largest checkpoint that it cosigned. Files
// in the state folder:
//     key.sealed  the Ed25519 key, sealed under
//     seal.key    32 random bytes, unless the service manager hands over a credential
//                 `gemel-witness` ($CREDENTIALS_DIRECTORY, as systemd-creds seals to a TPM)
//     pins        what was seen (lib/tlog/pins.h)
// A witness that forgets is worse than none: it would cosign a rolled-back log. So a key whose pins
// are gone, and pins whose key is gone, are refused, not made anew, and one process holds the
// folder. X.2011 8.3.3-9, 9.1-ledger. Used by gemel-witness.
#pragma once

#include "lib/crypto/sign.h"
#include "lib/tlog/pins.h"
#include "lib/tlog/request.h"
#include "witness/conf.h"

struct keeper {
	int folder;
	const struct witness_conf *conf; // borrowed
	struct sign_key *key;
	struct note_signer signer; // ctx is the keeper: it must not move
	struct pins *pins;
};

// The seal key from the service manager; read before the sandbox closes. *out is NULL when there is
// none; the caller frees it with secret_free.
MUST_USE struct err keeper_credential(struct secret **out);
// Makes the state folder if it is missing, and gives it to the user `uid` when started as root.
// *out: its descriptor.
MUST_USE struct err keeper_folder(const struct witness_conf *conf, int *out);
// Opens key and pins, or makes both when the folder has neither. `folder` is borrowed. With `serve`
// the folder is held for the life of the process: ERR_BUSY when another one serves from it.
MUST_USE struct err keeper_open(struct keeper *k, int folder, const struct witness_conf *conf,
				const struct secret *credential, bool serve);
void keeper_close(struct keeper *k);

// The answer to a body of add-checkpoint (c2sp.org/tlog-witness 1.0.0).
struct keeper_answer {
	unsigned status;
	const char *type; // static
	struct buf body;  // the caller's, cleared by it
};
// What a 200 cosigns is on disk when this returns. `now_s`: POSIX time.
void keeper_judge(struct keeper *k, const uint8_t *body, size_t n, uint64_t now_s,
		  struct keeper_answer *out);
