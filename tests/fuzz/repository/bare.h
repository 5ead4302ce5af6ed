// SPDX-License-Identifier: Apache-2.0
// A repository of memory only, for decoders that fill it: no journal, no store, nobody to talk to.
#pragma once

#include "repository/grant.h"
#include "repository/ingest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static inline void bare_open(struct repository *r)
{
	static struct batch_record *records;
	if (!records)
		records = calloc(BATCH_COUNT_MAX, sizeof *records);
	*r = (struct repository){.records = records};
	assert(records && grants_start().code == ERR_NONE);
	assert(index_init(&r->index).code == ERR_NONE);
	assert(classes_new(NULL, &r->classes).code == ERR_NONE);
}

static inline void bare_close(struct repository *r)
{
	index_clear(&r->index);
	classes_free(r->classes);
	buf_clear(&r->domains);
	buf_clear(&r->scratch);
}
