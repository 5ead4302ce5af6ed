// SPDX-License-Identifier: Apache-2.0
// Entities, with and without a schema, and decided over.
#include "fuzz_cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cedar_text text = {(const char *)data, size};
	struct cedar_entities *s;
	struct cedar_policies *p;
	struct err e = cedar_entities_parse(text, fuzz_schema(), &s);
	if (!e.code)
		cedar_entities_free(s);
	e = cedar_entities_parse(text, NULL, &s);
	if (e.code)
		return 0;
	must(cedar_policies_parse(
		cedar_text("permit(principal in Group::\"g\", action, resource) when { "
			   "principal.r.x == 1 && principal.hasTag(\"t\") };"),
		NULL, &p));
	fuzz_use(p, s);
	cedar_policies_free(p);
	cedar_entities_free(s);
	return 0;
}
