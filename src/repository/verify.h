// SPDX-License-Identifier: Apache-2.0
// The complete check of what is stored: every manifest against its ledger entry, every row against
// its manifest and its seal, the journal's frames, every ledger entry against its leaf, the tree
// against the signed checkpoint. It samples nothing (sampling misses single bytes) and names each
// record that was altered, is missing, was added or swapped: device, path, time. Runs in slices
// beside the work, or to its end on a copy of the state folder. X.2011 8.3.1-1, 8.3.3-9.
// Used by repository, and through repository_verify by gemeld --verify-store.
#pragma once

#include "lib/base/mem.h"

struct repository;
struct verification; // opaque

struct verify_finding {
	const char *what; // altered, missing, added, unreadable, cut, forked; static text
	char record[128]; // chunk, batch, ledger entry 7, journal segment 2 at byte 900 ...
	char device[65];  // "" when none
	char path[1100];  // the first of `paths`; "" when none
	unsigned paths;
	int64_t from_ns, to_ns; // 0, 0: unknown
	char text[512];		// all of it in words
};

struct verify_totals {
	uint64_t rows, manifests, journal_frames, ledger_entries, findings;
};

typedef void (*verify_report_fn)(void *ctx, const struct verify_finding *f);

MUST_USE struct err verification_new(struct repository *r, verify_report_fn report, void *ctx,
				     struct verification **out);
void verification_free(struct verification *v); // NULL is fine
// Goes on for about `rows` rows. *done: everything has been seen.
MUST_USE struct err verification_step(struct verification *v, unsigned rows, bool *done);
const struct verify_totals *verification_totals(const struct verification *v);

// The whole check on a *copy* of a repository's state folder, or of gemeld's with it inside (it
// needs root.key there; the store's own log is brought in, so the copy changes). Everything that
// was found goes to `report`, which is also counted in totals->findings: 0 means that all is as it
// was written. Errors: no such folder, no store in it, memory.
MUST_USE struct err repository_verify(const char *folder, verify_report_fn report, void *ctx,
				      struct verify_totals *totals);
