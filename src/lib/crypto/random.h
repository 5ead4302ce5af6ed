// SPDX-License-Identifier: Apache-2.0
// Random bytes from OpenSSL's generator (seeded by getrandom, reseeded after fork).
// Used by every process.
#pragma once

#include "lib/base/mem.h"

// Fills n bytes, fit for keys. ERR_INTERNAL when the generator fails: do not go on.
MUST_USE struct err random_bytes(void *out, size_t n);
// A new secret of n random bytes; the caller frees it with secret_free.
MUST_USE struct err random_secret(size_t n, struct secret **out);
