// SPDX-License-Identifier: Apache-2.0
// The requirements of ITU-T X.2011 by the ids that code, tests and `gemel conformance` share, each
// with a short title of our own. level: M required, R recommended, C a countermeasure or step.
// Used by management.
#pragma once

#include <stddef.h>

struct requirement {
	const char *id, *clause, *level, *title;
};
extern const struct requirement requirements[];
extern const size_t requirements_count;
const struct requirement *requirement_find(const char *id); // NULL: there is none
