// SPDX-License-Identifier: Apache-2.0
// Files of gemel abe: keys read into locked memory, results that appear whole or not at all.
#pragma once

#include "lib/abe/payload.h"

// The whole file, at most `most` bytes, in locked memory. *out: secret_free. ERR_IO, ERR_LIMIT.
MUST_USE struct err abe_file_read(const char *path, size_t most, struct secret **out);

// Where a result goes. A regular file, or one that does not exist yet, is made without a name
// beside it and takes its place on commit; anything else, and "-", is a stream that is written at
// once.
struct abe_output {
	struct payload_end end;
	bool stream;
	char path[4096], folder[4096], beside[4096]; // not of a stream
	bool named;				     // `beside` exists
};
// `secret`: mode 0600, else 0666 less the umask. A master key is never replaced: ERR_CONFLICT.
MUST_USE struct err abe_output_open(struct abe_output *o, const char *path, bool secret);
// Commits when `e` is OK, else removes; returns the first error.
MUST_USE struct err abe_output_close(struct abe_output *o, struct err e);

// A new file `path` of these bytes; ERR_CONFLICT when it exists, whatever it is.
MUST_USE struct err abe_file_create(const char *path, const void *bytes, size_t n, bool secret);

// Copies all of `in` to a file without a name in $TMPDIR. The copy is rewound.
MUST_USE struct err abe_spool(struct payload_end in, struct payload_end *out);
