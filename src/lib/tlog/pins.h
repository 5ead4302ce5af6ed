// SPDX-License-Identifier: Apache-2.0
// What was seen of each log, so that it cannot be rolled back or forked: an older checkpoint is
// validly signed too, and only memory tells. One text file, replaced whole:
//     gemel pins v1
//     <size> <base64 root> <origin>
//     sha256 <hex of all above>
// X.2011 8.3.3-9, 9.1-ledger. Used by agent, CLI, witness, repository's peers.
#pragma once

#include "lib/tlog/note.h"

enum { PINS_MAX = 1000 };

struct pins; // opaque

// `folder` is a directory descriptor (duplicated), `name` a plain file name in it. No file: empty.
// ERR_CORRUPT: the file was altered.
MUST_USE struct err pins_open(int folder, const char *name, struct pins **out);
void pins_close(struct pins *p); // NULL is fine

size_t pins_count(const struct pins *p); // origins
// Writes what is remembered, were it nothing: from then on a missing file is a lost one.
MUST_USE struct err pins_keep(const struct pins *p);

// What is remembered of an origin. false: nothing.
bool pins_find(const struct pins *p, const char *origin, struct checkpoint *out);

// May the remembered checkpoint be replaced by `c`, which was verified? The first of an origin is
// believed. ERR_CONFLICT: smaller than what was seen (rolled back). ERR_CORRUPT: the same size with
// another root, or a proof that does not lead from one to the other (forked). ERR_BUSY: it is
// larger and `proof` is NULL; fetch one from the remembered size.
MUST_USE struct err pins_check(const struct pins *p, const struct checkpoint *c,
			       const struct merkle_proof *proof);
// The same, then remembered and on disk when it returns.
MUST_USE struct err pins_advance(struct pins *p, const struct checkpoint *c,
				 const struct merkle_proof *proof);
