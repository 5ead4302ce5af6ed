// SPDX-License-Identifier: Apache-2.0
// The private keys of the twin, and its certificate authority, at rest and in memory.
// Files in the process's state folder, opened only while it starts:
//     keys.sealed  one key for each purpose, the issuing authority's key, both certificates
//     root.sealed  the root authority's key and certificate: read at the first start and when the
//                  issuing authority is renewed. It may be kept elsewhere in between (offline
//                  root).
//     seal.key     32 random bytes under which both are sealed, unless the service manager hands
//                  over a credential `gemel-keys` ($CREDENTIALS_DIRECTORY, as systemd-creds seals
//                  to the machine's TPM). With seal.key beside them the seal guards only against
//                  changes and against copies that lack seal.key: SECURITY.md says so.
// What cannot be opened is never made anew: that would disown every device. X.2011 8.3.1-1.
// Used by keys.
#pragma once

#include "lib/crypto/sign.h"

// The numbers are those of KeyPurpose in lib/ipc/messages.proto; they are in the file: never
// change one.
enum key_purpose {
	PURPOSE_CHECKPOINT = 1,
	PURPOSE_TICKET = 2,
	PURPOSE_CONTROL = 3,
	PURPOSE_VERDICT = 4,
	PURPOSE_CERTIFICATE = 5,
	PURPOSE_POLICY = 6,
	PURPOSE_BUNDLE = 7,
	PURPOSES = 8,
};

struct key_store {
	struct sign_key *keys[PURPOSES]; // by purpose; [0] is unused
	struct buf issuing, root;	 // certificates, DER
};

// "checkpoint", ...; NULL for a number that is no purpose.
const char *key_purpose_name(unsigned purpose);

// Opens the store in `folder` (a directory descriptor, borrowed), or makes it when nothing is
// there. `name` is the twin's, for the authority's certificates. `s` is zeroed by the caller;
// key_store_clear also after a failure. ERR_CORRUPT, ERR_NOT_FOUND (seal key missing), ERR_IO.
MUST_USE struct err key_store_open(struct key_store *s, int folder, const char *name,
				   int64_t now_ns);
void key_store_clear(struct key_store *s);
