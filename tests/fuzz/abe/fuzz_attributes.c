// SPDX-License-Identifier: Apache-2.0
// Any text as a list of attributes: refused, or with a canonical form that is read as itself.
#include "lib/abe/attribute.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attributes *a, *again;
	if (attributes_parse((const char *)data, size, &a).code != ERR_NONE)
		return 0;
	const char *text = attributes_text(a);
	if (attributes_read(text, strlen(text), &again).code != ERR_NONE ||
	    attributes_count(a) != attributes_count(again) || attributes_count(a) > ATTRIBUTES_MAX)
		abort();
	for (size_t i = 0; i < attributes_count(a); i++)
		if (attributes_find(again, attributes_at(a, i)->hash) != (int)i)
			abort();
	attributes_free(again);
	attributes_free(a);
	return 0;
}
