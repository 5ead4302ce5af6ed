// SPDX-License-Identifier: Apache-2.0
// The console's files, read into memory before the sandbox closes. Used by northbound.
#pragma once

#include "lib/base/err.h"

#include <stdint.h>

enum { FILES_MAX = 512, FILE_BYTES_MAX = 8 << 20, FILES_BYTES_MAX = 32 << 20 };

struct file {
	char *path; // "/assets/app.js"
	const char *type;
	uint8_t *bytes;
	size_t len;
	char etag[36]; // quoted
};

struct files; // opaque

// Reads a folder. ERR_IO when it cannot be read, ERR_LIMIT when it holds more than is allowed.
// Files whose type is not known and hidden ones are left out.
MUST_USE struct err files_load(const char *folder, struct files **out);
void files_free(struct files *f); // NULL is fine
size_t files_count(const struct files *f);
// The file at a path (without query); for a path of the console that names no file (a link to an
// object), its first page. NULL: nothing is there.
const struct file *files_find(const struct files *f, const char *path, size_t len);
