// SPDX-License-Identifier: Apache-2.0
// What ingest.c and its neighbours share. Used by repository.
#pragma once

#include "repository/repository.h"

#include <jansson.h>

// Counts, records (aggregated) and announces a refusal. d and detail may be NULL.
void ingest_refused(struct repository *r, struct device *d, uint64_t seq, const char *reason,
		    const char *detail);
