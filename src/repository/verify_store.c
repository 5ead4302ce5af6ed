// SPDX-License-Identifier: Apache-2.0
// gemel-verify-store STATE_DIR [--json]: the complete check of a copy of the state folder, for an
// operator or an auditor who has the copy and its root key, and no running Gemel. Exit status: 0
// all is as it was written, 1 something is not, 2 usage, 3 it could not be opened. X.2011 8.3.3-9.
#include "repository/verify.h"

#include "lib/base/log.h"
#include "repository/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INTACT, DAMAGED, USAGE, FAILED };

struct output {
	json_t *damaged; // NULL: for people
};

static void print(void *ctx, const struct verify_finding *f)
{
	struct output *o = ctx;
	if (o->damaged)
		json_array_append_new(o->damaged, scrub_finding_json(f));
	else
		printf("%s\n", f->text);
}

static int tell(struct output *o, const struct verify_totals *t)
{
	if (!o->damaged) {
		printf("%llu rows, %llu manifests, %llu journal records, %llu ledger entries: %llu "
		       "finding%s\n",
		       (unsigned long long)t->rows, (unsigned long long)t->manifests,
		       (unsigned long long)t->journal_frames, (unsigned long long)t->ledger_entries,
		       (unsigned long long)t->findings, t->findings == 1 ? "" : "s");
		return t->findings ? DAMAGED : INTACT;
	}
	json_t *body = json_pack("{s:b, s:o, s:o}", "ok", t->findings == 0, "damaged", o->damaged,
				 "checked", scrub_totals_json(t));
	char *text = body ? json_dumps(body, JSON_INDENT(2)) : NULL;
	printf("%s\n", text ? text : "");
	free(text);
	json_decref(body);
	return !text ? FAILED : t->findings ? DAMAGED : INTACT;
}

int main(int argc, char **argv)
{
	bool json = argc == 3 && !strcmp(argv[2], "--json");
	if (argc < 2 || argv[1][0] == '-' || (argc > 2 && !json)) {
		fprintf(stderr, "usage: gemel-verify-store STATE_DIR [--json]\n"
				"STATE_DIR is a copy of the state folder, with root.key in it.\n");
		return USAGE;
	}
	log_start("gemel-verify-store", LOG_ERROR);
	struct verify_totals totals;
	struct output o = {.damaged = json ? json_array() : NULL};
	struct err e = repository_verify(argv[1], print, &o, &totals);
	if (e.code != ERR_NONE) {
		fprintf(stderr, "gemel-verify-store: %s\n", e.text);
		return FAILED;
	}
	return tell(&o, &totals);
}
