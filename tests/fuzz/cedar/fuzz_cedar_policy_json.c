// SPDX-License-Identifier: Apache-2.0
// Policies in JSON form: what is accepted is validated and decided.
#include "fuzz_cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cedar_text text = {(const char *)data, size};
	struct cedar_policies *p;
	struct err e = cedar_policies_parse_json(text, &p);
	if (!e.code) {
		fuzz_use(p, NULL);
		cedar_policies_free(p);
	}
	return 0;
}
