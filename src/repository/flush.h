// SPDX-License-Identifier: Apache-2.0
// Commits of the store: what flush.c shares with recovery. Used by repository.
#pragma once

#include "repository/repository.h"

// Puts the counters that outlive the process.
MUST_USE struct err flush_meta(struct repository *r, struct commit *c);
// The ledger entry that names a finished commit's root.
MUST_USE struct err flush_record(struct repository *r, const struct commit *c);
