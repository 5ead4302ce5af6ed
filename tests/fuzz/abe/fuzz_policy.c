// SPDX-License-Identifier: Apache-2.0
// Any text as a policy: refused with words, or of a canonical form that is read as itself and whose
// shares can be made.
#include "lib/abe/lsss.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy *p, *again;
	struct err e = policy_parse((const char *)data, size, &p);
	if (e.code != ERR_NONE) {
		if ((e.code != ERR_USAGE && e.code != ERR_LIMIT) || !e.text[0])
			abort();
		return 0;
	}
	const char *text = policy_text(p);
	if (policy_read(text, strlen(text), &again).code != ERR_NONE ||
	    policy_rows(again) != policy_rows(p) || policy_rows(p) > POLICY_ROWS_MAX ||
	    policy_columns(p) > policy_rows(p) || policy_repeat(p) > POLICY_REPEAT_MAX)
		abort();
	blst_fr *v = calloc(policy_columns(p), sizeof *v);
	blst_fr *share = calloc(policy_rows(p), sizeof *share);
	bool *have = calloc(policy_rows(p), sizeof *have);
	struct lsss_use *use = calloc(policy_rows(p), sizeof *use);
	size_t n;
	if (!v || !share || !have || !use)
		abort();
	lsss_share(p, v, share);
	memset(have, 1, policy_rows(p));
	if (lsss_choose(p, have, use, &n).code != ERR_NONE || n == 0)
		abort(); // who has everything may always decrypt
	free(v);
	free(share);
	free(have);
	free(use);
	policy_free(again);
	policy_free(p);
	return 0;
}
