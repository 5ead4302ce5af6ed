// SPDX-License-Identifier: Apache-2.0
// northbound's own refusals, RFC 9457, in the same form as lib/ipc/answer.h gives them for the
// processes behind it. Used by northbound.
#pragma once

#include "lib/base/mem.h"

// `status` 0: from the code. Appends the JSON to `out` and returns the status.
unsigned problem_json(struct err why, unsigned status, const char *fix, struct buf *out);
