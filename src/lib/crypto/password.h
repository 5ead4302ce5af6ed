// SPDX-License-Identifier: Apache-2.0
// Passwords of people: Argon2id (RFC 9106) by libsodium, in its own text form "$argon2id$v=19$...",
// which carries its costs so that they can be raised. X.2011 8.2.1-1. Used by management.
#pragma once

#include "lib/base/mem.h"

enum { PASSWORD_HASH_MAX = 128, PASSWORD_MIN = 8, PASSWORD_MAX = 1024 };

// Hashes with a fresh salt; 64 MiB and 3 passes. ERR_USAGE for a length out of bounds (strength is
// the caller's rule). Takes about a tenth of a second: limit how often a stranger can ask.
MUST_USE struct err password_hash(const char *password, size_t n, char out[PASSWORD_HASH_MAX]);
// ERR_AUTH when it does not fit. Costs the same when it does not.
MUST_USE struct err password_verify(const char *hash, const char *password, size_t n);
// Made with other costs than today's: hash again at the next good log-in.
bool password_needs_rehash(const char *hash);
// A pass phrase of 98 random bits: "k7wnp-3x9qd-..." (4 groups of 5 signs out of 30, without
// look-alikes); NUL-terminated text in *out, which the caller frees with secret_free.
MUST_USE struct err password_generate(struct secret **out);
