// SPDX-License-Identifier: Apache-2.0
// Starting the cryptographic libraries. OpenSSL and libsodium open files and fetch algorithms when
// they are first used; a process with a closed sandbox could not. Used by every process.
#pragma once

#include "lib/base/err.h"

// Loads what later calls need: no configuration file of OpenSSL is read, algorithms are fetched,
// the random generator is seeded, the error texts and the C library's time zone are loaded. Call
// once, before sandbox_enter and before threads. Calling again is fine. Functions of this folder
// call it themselves when it was forgotten, which works only while files may still be opened.
MUST_USE struct err crypto_start(void);
