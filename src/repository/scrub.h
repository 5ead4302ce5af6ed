// SPDX-License-Identifier: Apache-2.0
// Findings of a verification as JSON. Used by scrub.c and by gemel-verify-store.
#pragma once

#include "repository/api.h"

enum { FINDINGS_MAX = 256 };

json_t *scrub_finding_json(const struct verify_finding *f);
json_t *scrub_totals_json(const struct verify_totals *t);
