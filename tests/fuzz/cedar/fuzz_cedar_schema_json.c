// SPDX-License-Identifier: Apache-2.0
// Schemas in JSON form: what is accepted serves to read entities.
#include "fuzz_cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cedar_text text = {(const char *)data, size};
	struct cedar_schema *s;
	struct cedar_entities *entities;
	struct err e = cedar_schema_parse_json(text, &s);
	if (e.code)
		return 0;
	e = cedar_entities_parse(cedar_text("[]"), s, &entities);
	if (!e.code)
		cedar_entities_free(entities);
	cedar_schema_free(s);
	return 0;
}
