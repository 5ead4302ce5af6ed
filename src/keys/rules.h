// SPDX-License-Identifier: Apache-2.0
// Who may have what signed. Taking one process over gives the signatures of that process and no
// others: management cannot forge a verdict or a checkpoint. X.2011 8.3.1-7. Used by keys.
#pragma once

#include "keys/store.h"
#include "lib/ipc/ipc.h"

// Signs `bytes` with the key of `purpose` if it belongs to `asker`. ERR_DENIED names both;
// ERR_USAGE for an unknown purpose or nothing to sign.
MUST_USE struct err key_rules_sign(const struct key_store *s, enum process_id asker,
				   unsigned purpose, const uint8_t *bytes, size_t n,
				   struct sign_signature *out);
