// SPDX-License-Identifier: Apache-2.0
// One conformance test file, run.
#pragma once

#include "lib/cedar/cedar.h"

struct check_file {
	const char *name;
	unsigned disagreements; // printed, each on a line
};

// An error when the file is not of the format; a disagreement is none.
MUST_USE struct err check_run(struct check_file *f, struct cedar_text json);
