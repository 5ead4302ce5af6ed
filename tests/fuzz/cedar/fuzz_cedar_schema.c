// SPDX-License-Identifier: Apache-2.0
// Schema texts: what is accepted serves to validate.
#include "fuzz_cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cedar_text text = {(const char *)data, size};
	struct cedar_schema *s;
	struct cedar_policies *p;
	struct cedar_findings *f;
	struct err e = cedar_schema_parse(text, &s);
	if (e.code)
		return 0;
	must(cedar_policies_parse(
		cedar_text("permit(principal, action, resource) when { context has a && "
			   "principal.n == resource.n };"),
		NULL, &p));
	e = cedar_validate(s, p, &f);
	if (!e.code)
		cedar_findings_free(f);
	cedar_policies_free(p);
	cedar_schema_free(s);
	return 0;
}
