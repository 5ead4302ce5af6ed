// SPDX-License-Identifier: Apache-2.0
// The class of a path: the configuration's rules first, then those that ship. The class decides the
// key that seals a value, who may read it, and whether each read is recorded. X.2011 8.3.1-6.
// Used by repository.
#pragma once

#include "lib/access/access.h"
#include "lib/ipc/daemon_conf.h"

struct classes; // opaque
// *out: classes_free. ERR_USAGE: a rule's path is not a pattern.
MUST_USE struct err classes_new(const struct daemon_conf *conf, struct classes **out);
void classes_free(struct classes *c); // NULL is fine
enum access_class classes_of(const struct classes *c, const char *path, size_t n);
// The pattern that decided, for people; "(default)".
const char *classes_rule(const struct classes *c, const char *path, size_t n);
