// SPDX-License-Identifier: Apache-2.0
// gemeld --verify-store: the complete check of a copy of a state folder, without a running twin.
// X.2011 8.3.3-9, 9.2-storage.
#include "lib/base/clock.h"
#include "parent/parent.h"
#include "repository/verify.h"

#include <inttypes.h>
#include <stdio.h>

static void found(void *ctx, const struct verify_finding *f)
{
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	printf("%s: %s\n", f->what, f->record);
	if (*f->device)
		printf("  device   %s\n", f->device);
	if (*f->path)
		printf("  lost     %s%s\n", f->path, f->paths > 1 ? " and others" : "");
	if (f->from_ns || f->to_ns)
		printf("  time     %s to %s\n", clock_format(f->from_ns, from),
		       clock_format(f->to_ns, to));
	printf("  %s\n", f->text);
}

int store_verify(const char *folder)
{
	struct verify_totals t = {0};
	struct err e = repository_verify(folder, found, NULL, &t);
	if (e.code != ERR_NONE) {
		fprintf(stderr, "gemeld: %s\n", e.text);
		return 2;
	}
	printf("%" PRIu64 " rows, %" PRIu64 " manifests, %" PRIu64 " journal frames, %" PRIu64
	       " ledger entries: %s%" PRIu64 " found wrong\n",
	       t.rows, t.manifests, t.journal_frames, t.ledger_entries, t.findings ? "" : "good, ",
	       t.findings);
	return t.findings ? 1 : 0;
}
