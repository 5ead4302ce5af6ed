// SPDX-License-Identifier: Apache-2.0
// An inventory that somebody sends: whatever is taken of it has good names and stands there once.
#include "management/import.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import i;
	char *text = malloc(size + 1);
	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = 0;
	struct err e = import_csv(text, &i);
	for (size_t k = 0; e.code == ERR_NONE && k < i.n; k++) {
		const struct import_row *r = &i.rows[k];
		if (x509_name_check(r->id).code != ERR_NONE ||
		    (*r->domain && x509_name_check(r->domain).code != ERR_NONE))
			abort();
		for (size_t other = 0; other < k; other++)
			if (strcmp(i.rows[other].id, r->id) == 0)
				abort();
	}
	import_clear(&i);
	free(text);
	return 0;
}
