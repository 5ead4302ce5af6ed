// SPDX-License-Identifier: Apache-2.0
// The text form of forwarding state and its changes, "fibtrace 1", and files of verdicts that
// another checker made for it. Plain or zstd. Used by gemel-forwarding(1) and tests.
#pragma once

#include "models/fib.h"

// --- lines of a file, plain or zstd, one at a time
struct lines;							      // opaque
MUST_USE struct err lines_open(const char *path, struct lines **out); // "-": standard input
void lines_close(struct lines *l);				      // NULL is fine
// *text: the line without its end, valid until the next call; NULL at the end. ERR_LIMIT: over 1
// MiB.
MUST_USE struct err lines_next(struct lines *l, char **text);
unsigned long lines_number(const struct lines *l); // of the line that was read last, from 1
const char *lines_name(const struct lines *l);

// --- a trace
struct fibtrace_events {
	// After each update; `ns` is what it took. May be NULL.
	struct err (*updated)(void *ctx, uint64_t ns, const struct fib_change *c);
	struct err (*marked)(void *ctx, const char *name); // may be NULL
};
// Reads the whole trace into `f`. Errors name file and line: ERR_USAGE.
MUST_USE struct err fibtrace_read(struct lines *in, struct fib *f,
				  const struct fibtrace_events *events, void *ctx);

// --- verdicts
struct fibtrace_verdicts {
	uint64_t headers, compared, differ;
};
// Compares `f` now with every header and ingress of the file. ERR_CONFLICT names the first that
// differs; ERR_USAGE: not of the form.
MUST_USE struct err fibtrace_compare(struct lines *in, struct fib *f,
				     struct fibtrace_verdicts *out);
